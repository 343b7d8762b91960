/* The streams of one connection: who opened which, and the credit that bounds what is on the way. Pure.
 *
 *     free --open_out/open_in--> OPEN --close_out/close_in--> free
 *
 * The side that dialled uses even numbers, the other odd ones, each counting up and never reusing, so
 * both know who opened a stream. A sender may have as many bytes outstanding as its window, which its kind says; the
 * receiver gives bytes back (STREAM_CREDIT) as it has handled them. More than the credit, a number twice, a number of
 * the wrong parity: against the protocol. Messages for a stream that is closed here are dropped, and cost like any that
 * nobody asked for: the other side may not know yet.
 */
#ifndef KITH_P2P_STREAM_H
#define KITH_P2P_STREAM_H

#include "p2p/msg.h"

struct stream {
    uint32_t id;        /* on the wire */
    uint64_t user;      /* whatever the owner of the table puts here */
    uint32_t window;    /* bytes that each side may have on the way */
    uint32_t credit;    /* bytes that may still be sent */
    uint32_t taken;     /* bytes received whose credit was not given back yet */
    uint32_t in_flight; /* bytes that the other side may still send */
    bool starved;       /* a send was refused for lack of credit */
    bool held;          /* no credit is given back for now */
};

struct stream_table {
    bool dialled;
    uint32_t next_out, next_in; /* the least number that was not used yet */
    struct stream *open;
    unsigned n, room;
};

void stream_table_init(struct stream_table *t, bool dialled);
void stream_table_clear(struct stream_table *t);
struct stream *stream_find(struct stream_table *t, uint32_t id);

/* NULL when STREAMS_MAX are open. Pointers to streams are valid until the next open or close. */
struct stream *stream_open_out(struct stream_table *t, uint64_t user, uint32_t window);
/* NULL and an error (PROTOCOL, or FULL: refuse it politely) */
struct stream *stream_open_in(struct stream_table *t, uint32_t id, uint64_t user, uint32_t window, enum err *e);
void stream_remove(struct stream_table *t, uint32_t id);

/* May n bytes go out? Takes them off the credit, or marks the stream starved. */
bool stream_spend(struct stream *s, size_t n) MUST_USE;
/* n bytes came. False: more than allowed. *give > 0: tell the other side that it has so much again. */
bool stream_take(struct stream *s, size_t n, uint32_t *give) MUST_USE;
/* Held: what comes gives no credit back, so the other side has to stop; no longer, and what is due is given. */
void stream_hold(struct stream *s, bool held, uint32_t *give);
/* The other side gave credit. False: more than it can have. *ready: tell the user that it may go on. */
bool stream_refill(struct stream *s, uint32_t n, bool *ready) MUST_USE;
/* Was this number ever used by its side? Of the wrong side or of the future: against the protocol. */
bool stream_was_open(const struct stream_table *t, uint32_t id);

#endif
