/* The HTTP API: OpenAI's conventions under /v1, Kith's own under /kith/v1 (docs/api.md). One table of
 * routes; a handler a route. */
#ifndef KITH_NODE_API_H
#define KITH_NODE_API_H

#include "node/http.h"
#include "node/jobs.h"

struct node;

struct api_call {
    struct node *node;
    struct http_request *request;
    const char *rest; /* what stands in the path where the route has a '*' */
};
typedef void (*api_fn)(struct api_call *call);

/* handler of both doors: `arg` is the struct node */
void api_handle(void *arg, struct http_request *r);

/* Routes, in api_openai.c and api_kith_*.c. */
void api_openai_models(struct api_call *c);
void api_openai_chat(struct api_call *c);

/* The HTTP status that an error deserves. */
unsigned api_status(enum err e);
/* Answers with the error's code name in lower case and the note. */
void api_fail(struct http_request *r, enum err e, const struct note *note);
/* The body as a JSON object, or NULL after answering 400. The caller owns it. */
json_t *api_body(struct http_request *r);
void api_reply_json(struct http_request *r, unsigned status, struct buf *json_take);

#endif
