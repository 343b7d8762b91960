/* The client's half of HTTP/1.1 (RFC 9112) and of server-sent events, as pure readers: bytes in, status, body and
 * events out. They trust nothing that the other side says about lengths. */
#ifndef KITH_CLI_HTTP_H
#define KITH_CLI_HTTP_H

#include "base/bytes.h"

/* Status line -> header lines -> body (by length, by chunks, or until the end) -> done.
 *
 *   STATUS --line--> HEADERS --empty line--> LENGTH | CHUNK_SIZE | TO_END --> DONE
 *                                            CHUNK_SIZE -> CHUNK -> CHUNK_END -> CHUNK_SIZE
 *                                            CHUNK_SIZE (0) -> TRAILERS -> DONE
 */
enum http_state {
    HTTP_STATUS,
    HTTP_HEADERS,
    HTTP_LENGTH,
    HTTP_CHUNK_SIZE,
    HTTP_CHUNK,
    HTTP_CHUNK_END,
    HTTP_TRAILERS,
    HTTP_TO_END,
    HTTP_DONE,
};

struct http_reader {
    enum http_state state;
    int status; /* 100..599 once past HTTP_STATUS */
    bool chunked, has_length;
    uint64_t left;    /* of the body or the chunk */
    unsigned headers; /* lines so far */
    struct buf line;
    struct buf body; /* grows; the user may take bytes off its front */
    size_t body_max; /* how much may wait in `body` */
};

void http_reader_init(struct http_reader *r, size_t body_max);
void http_reader_clear(struct http_reader *r);
/* ERR_PROTOCOL on anything that is not HTTP, ERR_LIMIT when the body is larger than body_max. */
enum err http_reader_step(struct http_reader *r, const void *p, size_t n, struct note *note) MUST_USE;
/* The other side closed: ERR_CLOSED if that cut the answer short. */
enum err http_reader_end(struct http_reader *r, struct note *note) MUST_USE;

struct http_event {
    char name[32];   /* "message" when the event has none */
    char id[48];     /* the last that was said up to here, also by one without data; empty: none */
    struct buf data; /* lines joined by newlines */
};
/* Takes the next complete event off the front of `body`; false if there is none yet, and only its id is set. Clear with
 * buf_clear(&e->data). */
bool http_event_take(struct buf *body, struct http_event *e) MUST_USE;

#endif
