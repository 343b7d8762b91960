/* The HTTP API: OpenAI's conventions under /v1, Kith's own under /kith/v1 (docs/api.md). One table of
 * routes in api.c; a handler a route, in the api_*.c file of its group. */
#ifndef KITH_NODE_API_H
#define KITH_NODE_API_H

#include "base/amount.h"
#include "base/json.h"
#include "base/key.h"
#include "node/http/http.h"
#include "node/market/jobs.h"
#include "node/host/timer.h"

struct node;
struct job_view;
struct apikey;

struct api_call {
    struct node *node;
    struct http_request *request;
    char rest[256];           /* what stands in the path where the route has a '*' */
    const struct apikey *key; /* that the request came with, or NULL; borrowed for the call */
};
typedef void (*api_fn)(struct api_call *call);

/* The i-th route, false behind the last. A path's '*' stands for one part, '**' for all that follow. */
bool api_route(size_t i, const char **method, const char **path);
/* What /openapi.json is: describes every route. */
struct bytes api_openapi_text(void);
/* Handler of both doors; `arg` is the struct node. */
void api_handle(void *arg, struct http_request *r);

/* -- for the handlers -- */
/* The HTTP status that an error deserves, and its code for programs. */
unsigned api_status(enum err e);
const char *api_code(enum err e);
/* {"code":"..","message":".."} */
void api_put_error(struct buf *b, enum err e, const struct note *note);
/* Answers with it. `note` may be NULL. */
void api_fail(struct http_request *r, enum err e, const struct note *note);
/* 429: more is under way than we take; `text` says of what. */
void api_reply_busy(struct http_request *r, const char *text);
/* False after answering 401 or 403. `scope`: what a key must allow, one of them at least, 0 for what needs none. Sets
 * call->key. */
bool api_let_in(struct api_call *call, unsigned scope) MUST_USE;
/* Of the key that the call came with; zero for the node's own user. */
struct hash api_owner(const struct api_call *call);
/* Whether the caller may know of what that one asked for: a key's holder sees his own, the node's user all. */
bool api_may_see(const struct api_call *call, const struct hash *owner);
/* The body as a JSON object (an empty body is {}), or NULL after answering 400. The caller owns it. */
json_t *api_body(struct http_request *r);
/* The body's "path", which must be absolute: the daemon's directory is not the caller's. NULL: answered, naming what it
 * should be the path of. */
const char *api_path(struct http_request *r, const json_t *body, const char *of);
/* A schema that an answer is to satisfy, in its canonical form into *out, which is empty. ERR_FORMAT, which is 400,
 * with the keyword that we do not support. */
enum err api_read_schema(const json_t *schema, struct buf *out, struct note *note) MUST_USE;
/* Variables of a chat template (base/variables.h), an object or nothing, with how much it is to think (NULL: not said):
 * into *out, which stays empty where there are none. `called`, `effort_called`: the names for people. */
enum err api_read_variables(const json_t *given, const char *called, const char *effort, const char *effort_called,
                            struct buf *out, struct note *note) MUST_USE;
/* Members of an object that may be missing or null: false and NULL then. ERR_FORMAT where they are something else.
 * `called`: the name for people. */
enum err api_read_flag(const json_t *object, const char *name, const char *called, bool *out,
                       struct note *note) MUST_USE;
enum err api_read_text(const json_t *object, const char *name, const char *called, const char **out,
                       struct note *note) MUST_USE;
/* auto, local or network; *out stays where `text` is NULL. ERR_FORMAT. */
/* A member that may be missing or null: *out stays then. ERR_RANGE: it is no number, or not within. */
enum err api_read_number(const json_t *object, const char *name, const char *called, double low, double high,
                         float *out, struct note *note) MUST_USE;
enum err api_read_whole(const json_t *object, const char *name, const char *called, uint32_t low, uint32_t high,
                        uint32_t *out, struct note *note) MUST_USE;
enum err api_read_route(const char *text, const char *called, enum job_route *out, struct note *note) MUST_USE;
/* An amount in mote as a text of decimal digits. ERR_FORMAT, with the name that the field goes by. */
enum err api_read_mote(const json_t *v, const char *name, struct amount *out, struct note *note) MUST_USE;
/* Answers and clears the buffer. */
void api_reply_json(struct http_request *r, unsigned status, struct buf *json_take);
/* ?NAME=N, a whole number of at most `most`; *out stays where it is absent. False after answering 400. */
bool api_query_number(const struct api_call *c, const char *name, uint64_t most, uint64_t *out) MUST_USE;
/* What stands in the path where a height is meant: a whole number, or `latest`. False after answering 400. */
bool api_path_height(const struct api_call *c, uint64_t *out) MUST_USE;
/* ?wait=S in milliseconds, at most 60 s; 0 when absent. False after answering 400: no number of seconds. */
bool api_wait_ms(const struct api_call *c, uint64_t *ms) MUST_USE;
/* The brace of an object in a list, with the comma in front where it is not the first. */
void api_begin_entry(struct buf *b);
/* "name":"text" and its kin, with the comma in front where `first` is false. */
void api_put_text(struct buf *b, bool *first, const char *name, const char *text);
void api_put_u64(struct buf *b, bool *first, const char *name, uint64_t v);
void api_put_flag(struct buf *b, bool *first, const char *name, bool v);
void api_put_hash(struct buf *b, bool *first, const char *name, const struct hash *h);
void api_put_key(struct buf *b, bool *first, const char *name, const struct pubkey *k);
void api_put_amount(struct buf *b, bool *first, const char *name, struct amount a);
void api_put_hex(struct buf *b, bool *first, const char *name, struct bytes v);
/* "verdict":"match" and its kin, null for one that is pending. */
void api_put_verdict(struct buf *b, bool *first, uint8_t verdict);
/* The end of an object that is one page of a list: ,"next":.. and the brace. NULL: there is no more. */
void api_put_next(struct buf *b, const struct hash *last);
/* "name": what people call a model, on the ledger or as `default`; empty for others. */
void api_put_model_name(struct buf *b, bool *first, struct node *n, const struct hash *root);
/* queued, running, done, failed or cancelled. */
const char *api_job_state(const struct job_view *v);
/* Whose earnings this node's are: its owner's, where it is lent by one, else its own. */
struct pubkey api_earner(struct node *n);
/* A job with all that is known of it, an object. */
void api_put_job(struct buf *b, struct node *n, const struct job_view *v);
/* As the chain's address. */
void api_put_address(struct buf *b, bool *first, const char *name, const struct node *n, const struct pubkey *k);

/* Layers elsewhere (docs/api.md): the lists "hops" and "lent", members of an object, without what moves at every call.
 */
void api_put_layers(struct buf *b, bool *first, struct node *n);
/* Of them what fits while b has at most `room` bytes, and how many do not. */
void api_put_layers_within(struct buf *b, bool *first, struct node *n, size_t room);
/* All, with what moves, and "allowed". */
void api_put_hops(struct buf *b, bool *first, struct node *n);
/* Answers with whether this machine is lent, and why. */
void api_reply_share(struct api_call *c);
/* The terms that the body names, into *s. ERR_FORMAT names what is wrong. */
struct market_share;
enum err api_read_terms(const json_t *body, struct market_share *s, struct note *note) MUST_USE;

/* A task that fetches a blob, and tells how far that is. */
struct task;
struct api_pull {
    struct node *node;
    struct task *task;
    struct hash root;
    struct timer timer;
};
/* Makes the task and answers the call with it; `kind` is a literal. Until api_pull_end, *p stays where it is. */
void api_pull_begin(struct api_call *c, struct api_pull *p, const char *kind, const struct hash *root);
void api_pull_end(struct api_pull *p);

/* What stands at the star as a hash; false after answering that it is not `what`, as "the id of a grant". */
bool api_rest_hash(struct api_call *c, const char *what, struct hash *out) MUST_USE;

/* 64 hexadecimal digits or an address of this chain. */
bool api_account_parse(struct node *n, const char *text, struct pubkey *out, struct note *note) MUST_USE;
/* Whoever waits for the chain is looked after: after each block, and at the end. */
void api_on_block(struct node *n);
void api_drop_waits(struct node *n);
/* Who follows the node's events (api_kith_events.c), with n->feed made and unmade. */
void api_events_open(struct node *n);
void api_events_close(struct node *n);

/* Routes. */
void api_openai_models(struct api_call *c);
void api_openai_model(struct api_call *c);
void api_openai_chat(struct api_call *c);
void api_openai_completion(struct api_call *c);
void api_openai_response(struct api_call *c);
void api_openai_embeddings(struct api_call *c);
void api_health(struct api_call *c);
void api_ready(struct api_call *c);
void api_metrics(struct api_call *c);
void api_openapi(struct api_call *c);
void api_status_get(struct api_call *c);
void api_events_get(struct api_call *c);
void api_peers_get(struct api_call *c);
void api_workers_get(struct api_call *c);
void api_peers_post(struct api_call *c);
void api_bans_get(struct api_call *c);
void api_peer_ban(struct api_call *c);
void api_peer_unban(struct api_call *c);
void api_net_check(struct api_call *c);
void api_task_get(struct api_call *c);
void api_task_cancel(struct api_call *c);
void api_chain_info(struct api_call *c);
void api_chain_block(struct api_call *c);
void api_chain_testimony(struct api_call *c);
void api_chain_wait(struct api_call *c);
void api_light_get(struct api_call *c);
void api_proof_get(struct api_call *c);
void api_receipt_get(struct api_call *c);
void api_account_get(struct api_call *c);
void api_account_history(struct api_call *c);
void api_account_publication(struct api_call *c);
void api_earnings_get(struct api_call *c);
void api_tx_post(struct api_call *c);
void api_txs_post(struct api_call *c);
void api_tx_get(struct api_call *c);
void api_models_get(struct api_call *c);
void api_model_get(struct api_call *c);
void api_model_import(struct api_call *c);
void api_model_pull(struct api_call *c);
void api_model_verify(struct api_call *c);
void api_model_remove(struct api_call *c);
void api_data_post(struct api_call *c);
void api_data_get(struct api_call *c);
void api_data_fetch(struct api_call *c);
void api_data_key(struct api_call *c);
void api_data_open(struct api_call *c);
void api_bounties_get(struct api_call *c);
void api_bounty_get(struct api_call *c);
void api_grants_get(struct api_call *c);
void api_grant_get(struct api_call *c);
void api_grant_seal(struct api_call *c);
void api_grant_check(struct api_call *c);
void api_job_post(struct api_call *c);
void api_job_get(struct api_call *c);
void api_job_events(struct api_call *c);
void api_job_cancel(struct api_call *c);
void api_job_verify(struct api_call *c);
void api_job_challenge(struct api_call *c);
void api_share_prepare(struct api_call *c);
void api_share_post(struct api_call *c);
void api_share_get(struct api_call *c);
void api_share_set(struct api_call *c);
void api_share_pause(struct api_call *c);
void api_share_resume(struct api_call *c);
void api_share_finish(struct api_call *c);
void api_share_stop(struct api_call *c);
void api_hops_get(struct api_call *c);
void api_hops_set(struct api_call *c);
void api_hops_remove(struct api_call *c);
void api_hops_allow(struct api_call *c);
void api_hops_deny(struct api_call *c);
void api_hops_check(struct api_call *c);
void api_settle_post(struct api_call *c);
void api_jobs_get(struct api_call *c);
void api_chats_get(struct api_call *c);
void api_chat_get(struct api_call *c);
void api_chat_remove(struct api_call *c);
void api_qr_get(struct api_call *c);
void api_page_get(struct api_call *c);
void api_channels_get(struct api_call *c);
void api_settlements_get(struct api_call *c);
void api_doubts_get(struct api_call *c);
void api_keys_get(struct api_call *c);
void api_key_post(struct api_call *c);
void api_key_remove(struct api_call *c);

#endif
