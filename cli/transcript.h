/* What `kith run --json` prints and `kith verify` reads: a request, its answer and the digest of both. */
#ifndef KITH_CLI_TRANSCRIPT_H
#define KITH_CLI_TRANSCRIPT_H

#include "base/json.h"
#include "inference/worker_proto.h"

struct transcript {
    struct hash model;
    struct request request; /* borrows prompt, stops and schema from below */
    struct buf prompt, stops, schema, tokens, text;
    struct hash digest;
    uint8_t stop;
    char backend[65];
    uint64_t prompt_us, decode_us;
};

void transcript_clear(struct transcript *t);
/* The caller's. Bytes of the text that are no UTF-8 become U+FFFD. */
json_t *transcript_object(const struct transcript *t);
/* *t zeroed before. ERR_FORMAT and the like with the member's name and what is wrong with it. */
enum err transcript_read(const json_t *object, struct transcript *t, struct note *note) MUST_USE;

/* Any bytes as a JSON string. */
json_t *transcript_text(const void *p, size_t n);
json_t *transcript_ids(struct bytes ids);
/* A stop text behind the others. */
enum err transcript_add_stop(struct buf *stops, const char *text, size_t n, struct note *note) MUST_USE;

#endif
