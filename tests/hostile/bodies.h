/* What hostile messages say: half of them well formed with wrong content, half of them random bytes. */
#ifndef KITH_TESTS_HOSTILE_BODIES_H
#define KITH_TESTS_HOSTILE_BODIES_H

#include "tests/hostile/foe.h"

uint8_t body_random_type(struct foe *f);
void body_random_message(struct foe *f, uint8_t type);

/* One frame of n bytes that begins with `head`. */
void body_frame_filled(struct foe *f, uint8_t head, size_t n);
void body_raw_garbage(struct foe *f, size_t n);

void body_hello(struct foe *f);
void body_vote(struct foe *f);
void body_status(struct foe *f, uint64_t height);
void body_bye(struct foe *f);
/* A large one of a kind that is only sent when asked for. */
void body_answer(struct foe *f, uint8_t type);

void body_stream_open(struct foe *f, uint8_t kind, size_t n);
/* 1: bytes, 2: credit, 3: closing; of streams that are, were or never will be. */
void body_stream_message(struct foe *f, unsigned what);
/* Opens a job or an audit, or says something on one. */
void body_job(struct foe *f);

/* Streams that ask for something (tests/hostile/favours.c): to be dialled back, to be promised circuits, for a circuit
 * to one who was promised some, for layers. */
void body_probe(struct foe *f);
void body_promise(struct foe *f);
void body_circuit(struct foe *f);
void body_layers(struct foe *f);

/* For the next hello. */
void body_set_listen(struct foe *f);
void body_set_texts(struct foe *f);

void body_heard_favours(struct foe *f, uint8_t type, struct bytes body);
void body_heard_stream(struct foe *f, uint8_t type, struct bytes body);
/* Whatever is asked is answered with a lie. */
void body_heard_lies(struct foe *f, uint8_t type, struct bytes body);

#endif
