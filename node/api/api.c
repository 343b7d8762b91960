/* Routes, and what all handlers share. */
#include "node/api/api.h"

#include "base/codec.h"
#include "base/variables.h"
#include "inference/schema/schema.h"
#include "node/node.h"
#include "wallet/address.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_MAX_S 60

/* Who is let in: LOCAL is the Unix socket only; the others need a key with that scope where one is needed, LOOK with
 * one of READ and USE. */
enum who { READ, LOCAL, USE, POST, LOOK, OPEN };

/* method, path ('*' stands for one part, '**' for all that follow), handler, who */
static const struct route {
    const char *method, *path;
    api_fn fn;
    enum who who;
} routes[] = {
    {"GET", "/v1/models", api_openai_models, USE},
    {"GET", "/v1/models/**", api_openai_model, USE},
    {"POST", "/v1/chat/completions", api_openai_chat, USE},
    {"POST", "/v1/completions", api_openai_completion, USE},
    {"POST", "/v1/responses", api_openai_response, USE},
    {"POST", "/v1/embeddings", api_openai_embeddings, USE},
    {"GET", "/", api_page_get, OPEN},
    {"GET", "/web/**", api_page_get, OPEN},
    {"GET", "/health", api_health, OPEN},
    {"GET", "/ready", api_ready, OPEN},
    {"GET", "/metrics", api_metrics, READ},
    {"GET", "/openapi.json", api_openapi, OPEN},
    {"GET", "/kith/v1/status", api_status_get, READ},
    {"GET", "/kith/v1/events", api_events_get, LOOK},
    {"GET", "/kith/v1/peers", api_peers_get, READ},
    {"GET", "/kith/v1/workers", api_workers_get, READ},
    {"POST", "/kith/v1/peers", api_peers_post, LOCAL},
    {"GET", "/kith/v1/peers/bans", api_bans_get, READ},
    {"POST", "/kith/v1/peers/ban", api_peer_ban, LOCAL},
    {"POST", "/kith/v1/peers/unban", api_peer_unban, LOCAL},
    {"GET", "/kith/v1/net/check", api_net_check, READ},
    {"GET", "/kith/v1/tasks/*", api_task_get, USE},
    {"DELETE", "/kith/v1/tasks/*", api_task_cancel, USE},
    {"GET", "/kith/v1/chain/info", api_chain_info, READ},
    {"GET", "/kith/v1/chain/wait", api_chain_wait, READ},
    {"GET", "/kith/v1/chain/blocks/*", api_chain_block, READ},
    {"GET", "/kith/v1/chain/testimonies/*", api_chain_testimony, READ},
    {"GET", "/kith/v1/light/*", api_light_get, READ},
    {"GET", "/kith/v1/proof", api_proof_get, READ},
    {"GET", "/kith/v1/receipt", api_receipt_get, READ},
    {"GET", "/kith/v1/accounts/*", api_account_get, READ},
    {"GET", "/kith/v1/accounts/*/history", api_account_history, READ},
    {"POST", "/kith/v1/accounts/*/publication", api_account_publication, LOCAL},
    {"GET", "/kith/v1/accounts/*/qr", api_qr_get, READ},
    {"GET", "/kith/v1/earnings", api_earnings_get, READ},
    {"POST", "/kith/v1/tx", api_tx_post, POST},
    {"POST", "/kith/v1/txs", api_txs_post, POST},
    {"GET", "/kith/v1/tx/*", api_tx_get, READ},
    {"GET", "/kith/v1/models", api_models_get, READ},
    {"POST", "/kith/v1/models/import", api_model_import, LOCAL},
    {"POST", "/kith/v1/models/pull", api_model_pull, LOCAL},
    {"POST", "/kith/v1/models/verify", api_model_verify, LOCAL},
    {"POST", "/kith/v1/models/remove", api_model_remove, LOCAL},
    {"GET", "/kith/v1/models/*", api_model_get, READ},
    {"POST", "/kith/v1/data", api_data_post, LOCAL},
    {"GET", "/kith/v1/data", api_data_get, READ},
    {"POST", "/kith/v1/data/*/fetch", api_data_fetch, LOCAL},
    {"POST", "/kith/v1/data/*/key", api_data_key, LOCAL},
    {"POST", "/kith/v1/data/*/open", api_data_open, LOCAL},
    {"GET", "/kith/v1/grants", api_grants_get, READ},
    {"GET", "/kith/v1/grants/*", api_grant_get, READ},
    {"POST", "/kith/v1/grants/*/seal", api_grant_seal, LOCAL},
    {"POST", "/kith/v1/grants/*/check", api_grant_check, LOCAL},
    {"POST", "/kith/v1/jobs", api_job_post, USE},
    {"GET", "/kith/v1/jobs", api_jobs_get, USE},
    {"GET", "/kith/v1/jobs/*", api_job_get, USE},
    {"GET", "/kith/v1/jobs/*/events", api_job_events, USE},
    {"POST", "/kith/v1/jobs/*/cancel", api_job_cancel, USE},
    {"POST", "/kith/v1/jobs/*/verify", api_job_verify, USE},
    {"GET", "/kith/v1/chats", api_chats_get, USE},
    {"GET", "/kith/v1/chats/*", api_chat_get, USE},
    {"POST", "/kith/v1/chats/*/remove", api_chat_remove, USE},
    {"POST", "/kith/v1/share/prepare", api_share_prepare, LOCAL},
    {"POST", "/kith/v1/share", api_share_post, LOCAL},
    {"GET", "/kith/v1/share", api_share_get, READ},
    {"POST", "/kith/v1/share/set", api_share_set, LOCAL},
    {"POST", "/kith/v1/share/pause", api_share_pause, LOCAL},
    {"POST", "/kith/v1/share/resume", api_share_resume, LOCAL},
    {"POST", "/kith/v1/share/finish", api_share_finish, LOCAL},
    {"POST", "/kith/v1/share/stop", api_share_stop, LOCAL},
    {"GET", "/kith/v1/share/hops", api_hops_get, READ},
    {"POST", "/kith/v1/share/hops/set", api_hops_set, LOCAL},
    {"POST", "/kith/v1/share/hops/remove", api_hops_remove, LOCAL},
    {"POST", "/kith/v1/share/hops/allow", api_hops_allow, LOCAL},
    {"POST", "/kith/v1/share/hops/deny", api_hops_deny, LOCAL},
    {"POST", "/kith/v1/share/hops/check", api_hops_check, LOCAL},
    {"POST", "/kith/v1/settle", api_settle_post, LOCAL},
    {"GET", "/kith/v1/channels", api_channels_get, READ},
    {"GET", "/kith/v1/settlements", api_settlements_get, READ},
    {"GET", "/kith/v1/doubts", api_doubts_get, READ},
    {"GET", "/kith/v1/keys", api_keys_get, LOCAL},
    {"POST", "/kith/v1/keys", api_key_post, LOCAL},
    {"POST", "/kith/v1/keys/*/remove", api_key_remove, LOCAL},
    {"GET", "/kith/v1/bounties", api_bounties_get, READ},
    {"GET", "/kith/v1/bounties/*", api_bounty_get, READ},
    {"POST", "/kith/v1/jobs/*/challenge", api_job_challenge, LOCAL},
};

bool api_route(size_t i, const char **method, const char **path)
{
    if (i >= sizeof routes / sizeof *routes)
        return false;
    *method = routes[i].method;
    *path = routes[i].path;
    return true;
}

/* True if the path fits; `rest` takes what stands at the star. */
static bool fits(const char *pattern, const char *path, char *rest, size_t room)
{
    const char *star = strchr(pattern, '*');
    if (!star)
        return strcmp(pattern, path) == 0;
    size_t before = (size_t)(star - pattern);
    if (strncmp(pattern, path, before) != 0)
        return false;
    bool to_end = star[1] == '*';
    size_t n = to_end ? strlen(path + before) : strcspn(path + before, "/");
    if (n == 0 || n >= room || strcmp(star + 1 + to_end, path + before + n) != 0)
        return false;
    memcpy(rest, path + before, n);
    rest[n] = 0;
    return true;
}

static unsigned scope_of(enum who who)
{
    static const unsigned scopes[] = {
        [READ] = APIKEY_READ, [USE] = APIKEY_USE, [POST] = APIKEY_POST, [LOOK] = APIKEY_READ | APIKEY_USE, [OPEN] = 0};
    return scopes[who];
}

/* The list of the header Allow; HEAD is answered wherever GET is. */
static void allow(char *list, size_t room, const char *method)
{
    size_t n = strlen(list);
    snprintf(list + n, room - n, "%s%s", n ? ", " : "", strcmp(method, "GET") == 0 ? "GET, HEAD" : method);
}

void api_handle(void *arg, struct http_request *r)
{
    struct api_call call = {.node = arg, .request = r};
    const char *asked = strcmp(http_method(r), "HEAD") == 0 ? "GET" : http_method(r);
    char allowed[32] = "";
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        const struct route *o = &routes[i];
        if (!fits(o->path, http_path(r), call.rest, sizeof call.rest))
            continue;
        if (strcmp(o->method, asked) != 0) {
            allow(allowed, sizeof allowed, o->method);
            continue;
        }
        if (o->who == LOCAL && !http_is_local(r))
            http_reply_error(r, 403, "forbidden", "this is answered on the node's own Unix socket only");
        else if (api_let_in(&call, scope_of(o->who)))
            o->fn(&call);
        return;
    }
    if (*allowed) {
        http_add_header(r, "Allow", allowed);
        http_reply_error(r, 405, "bad_method", "not with this method: the header Allow has those that will do");
    } else
        http_reply_error(r, 404, "not_found", "no such path: see docs/api.md");
}

/* error, status, code; anything else is a fault of ours */
static const struct {
    enum err e;
    unsigned status;
    const char *code;
} errors[] = {
    {ERR_NOT_FOUND, 404, "not_found"}, {ERR_EXISTS, 409, "exists"},       {ERR_FULL, 503, "full"},
    {ERR_FORMAT, 400, "bad_request"},  {ERR_LIMIT, 413, "too_large"},     {ERR_UNSUPPORTED, 422, "bad_model"},
    {ERR_RANGE, 400, "bad_request"},   {ERR_CORRUPT, 422, "corrupt"},     {ERR_AUTH, 422, "auth"},
    {ERR_CHAIN, 422, "chain"},         {ERR_NONCE, 422, "nonce"},         {ERR_FUNDS, 402, "budget"},
    {ERR_STATE, 409, "state"},         {ERR_DUPLICATE, 409, "exists"},    {ERR_EXPIRED, 422, "expired"},
    {ERR_REFUSED, 422, "refused"},     {ERR_BUSY, 503, "no_provider"},    {ERR_TIMEOUT, 503, "no_provider"},
    {ERR_CLOSED, 503, "no_provider"},  {ERR_CANCELLED, 409, "cancelled"}, {ERR_USAGE, 400, "bad_request"},
    {ERR_MISMATCH, 422, "mismatch"},   {ERR_NUMERIC, 422, "numeric"},
};

static size_t error_index(enum err e)
{
    size_t i = 0;
    while (i < sizeof errors / sizeof *errors && errors[i].e != e)
        i++;
    return i;
}

unsigned api_status(enum err e)
{
    size_t i = error_index(e);
    return i < sizeof errors / sizeof *errors ? errors[i].status : 500;
}

const char *api_code(enum err e)
{
    size_t i = error_index(e);
    return i < sizeof errors / sizeof *errors ? errors[i].code : "internal";
}

void api_put_error(struct buf *b, enum err e, const struct note *note)
{
    const char *text = note && note->text[0] ? note->text : err_text(e);
    buf_add_format(b, "{\"code\":\"%s\",\"message\":", api_code(e));
    codec_json_string(b, text, strlen(text));
    buf_add_text(b, "}");
}

void api_fail(struct http_request *r, enum err e, const struct note *note)
{
    http_reply_error(r, api_status(e), api_code(e), note && note->text[0] ? note->text : err_text(e));
}

void api_reply_busy(struct http_request *r, const char *text)
{
    http_reply_error(r, 429, "busy", text);
}

json_t *api_body(struct http_request *r)
{
    struct note note = {{0}};
    struct bytes body = http_body(r);
    json_t *value = json_parse(body.n ? body : bytes_of_text("{}"), &note);
    if (value && json_is_object(value))
        return value;
    if (value)
        note_set(&note, ERR_FORMAT, "the body must be a JSON object");
    json_decref(value);
    http_reply_error(r, 400, "bad_request", note.text);
    return NULL;
}

const char *api_path(struct http_request *r, const json_t *body, const char *of)
{
    char why[80];
    const char *path = json_text(body, "path");
    if (path && *path == '/')
        return path;
    CHECK(snprintf(why, sizeof why, "path must be the absolute path of %s", of) < (int)sizeof why);
    http_reply_error(r, 400, "bad_request", why);
    return NULL;
}

enum err api_read_schema(const json_t *schema, struct buf *out, struct note *note)
{
    struct grammar *g = NULL;
    json_print(out, schema);
    if (schema_compile(bytes_of_buf(out), &g, note) != ERR_OK)
        return ERR_FORMAT;
    grammar_free(g);
    return ERR_OK;
}

enum err api_read_variables(const json_t *given, const char *called, const char *effort, const char *effort_called,
                            struct buf *out, struct note *note)
{
    json_t *all = json_is_object(given) ? json_copy((json_t *)given) : json_object();
    enum err e = variables_check(given, called, note);
    if (e == ERR_OK && effort)
        e = variables_set_effort(all, effort, effort_called, note);
    if (e == ERR_OK && json_object_size(all))
        json_print(out, all);
    json_decref(all);
    return e;
}

enum err api_read_flag(const json_t *object, const char *name, const char *called, bool *out, struct note *note)
{
    const json_t *v = json_object_get(object, name);
    if (json_is_given(v) && !json_is_boolean(v))
        return note_set(note, ERR_FORMAT, "%s must be true or false", called);
    *out = json_is_true(v);
    return ERR_OK;
}

enum err api_read_text(const json_t *object, const char *name, const char *called, const char **out, struct note *note)
{
    const json_t *v = json_object_get(object, name);
    if (json_is_given(v) && !json_is_string(v))
        return note_set(note, ERR_FORMAT, "%s must be a text", called);
    *out = json_string_value(v);
    return ERR_OK;
}

enum err api_read_number(const json_t *object, const char *name, const char *called, double low, double high,
                         float *out, struct note *note)
{
    const json_t *v = json_object_get(object, name);
    if (!json_is_given(v))
        return ERR_OK;
    double x = json_number_value(v);
    if (!json_is_number(v) || !(x >= low && x <= high))
        return note_set(note, ERR_RANGE, "%s must be a number from %g to %g", called, low, high);
    *out = (float)x;
    return ERR_OK;
}

enum err api_read_whole(const json_t *object, const char *name, const char *called, uint32_t low, uint32_t high,
                        uint32_t *out, struct note *note)
{
    const json_t *v = json_object_get(object, name);
    if (!json_is_given(v))
        return ERR_OK;
    double x = json_number_value(v); /* 5.0 is whole, too */
    if (!json_is_number(v) || !(x >= low && x <= high) || (double)(uint32_t)x != x)
        return note_set(note, ERR_RANGE, "%s must be a whole number from %u to %u", called, low, high);
    *out = (uint32_t)x;
    return ERR_OK;
}

enum err api_read_route(const char *text, const char *called, enum job_route *out, struct note *note)
{
    if (!text)
        return ERR_OK;
    if (strcmp(text, "auto") != 0 && strcmp(text, "local") != 0 && strcmp(text, "network") != 0)
        return note_set(note, ERR_FORMAT, "%s \"%.20s\" must be auto, local or network", called, text);
    *out = *text == 'l' ? ROUTE_LOCAL : *text == 'n' ? ROUTE_NETWORK : ROUTE_AUTO;
    return ERR_OK;
}

enum err api_read_mote(const json_t *v, const char *name, struct amount *out, struct note *note)
{
    const char *text = json_string_value(v);
    if (!text || !*text || strspn(text, "0123456789") != strlen(text) || strlen(text) > 19)
        return note_set(note, ERR_FORMAT, "%s must be a text: mote in decimal digits", name);
    *out = amount_of(strtoull(text, NULL, 10));
    return ERR_OK;
}

void api_reply_json(struct http_request *r, unsigned status, struct buf *json_take)
{
    http_reply(r, status, "application/json", bytes_of_buf(json_take));
    buf_clear(json_take);
}

static bool is_whole(const char *text)
{
    return *text && strspn(text, "0123456789") == strlen(text) && strlen(text) < 20;
}

bool api_path_height(const struct api_call *c, uint64_t *out)
{
    struct note note;
    bool is_latest = strcmp(c->rest, "latest") == 0, good = is_latest || is_whole(c->rest);
    *out = is_latest ? ledger_info(c->node->ledger).height : strtoull(c->rest, NULL, 10);
    if (!good)
        api_fail(c->request,
                 note_set(&note, ERR_FORMAT, "\"%.40s\" is not a height: a whole number, or latest", c->rest), &note);
    return good;
}

bool api_query_number(const struct api_call *c, const char *name, uint64_t most, uint64_t *out)
{
    struct note note;
    const char *text = http_query(c->request, name);
    if (!text)
        return true;
    uint64_t v = strtoull(text, NULL, 10);
    bool good = is_whole(text) && v <= most;
    if (good)
        *out = v;
    else
        api_fail(c->request,
                 note_set(&note, ERR_RANGE, "%s=%.40s must be a whole number, at most %" PRIu64, name, text, most),
                 &note);
    return good;
}

bool api_wait_ms(const struct api_call *c, uint64_t *ms)
{
    struct note note;
    const char *text = http_query(c->request, "wait");
    char *end = NULL;
    *ms = 0;
    if (!text)
        return true;
    double s = strtod(text, &end);
    if (!*text || *end || strspn(text, "0123456789.") != strlen(text)) {
        api_fail(c->request, note_set(&note, ERR_RANGE, "wait=%.40s must be a number of seconds", text), &note);
        return false;
    }
    *ms = (uint64_t)((s < WAIT_MAX_S ? s : WAIT_MAX_S) * 1000);
    return true;
}

void api_begin_entry(struct buf *b)
{
    buf_add_text(b, b->p[b->n - 1] == '[' ? "{" : ",{");
}

void api_put_text(struct buf *b, bool *first, const char *name, const char *text)
{
    codec_json_key(b, first, name);
    codec_json_string(b, text, strlen(text));
}

void api_put_u64(struct buf *b, bool *first, const char *name, uint64_t v)
{
    codec_json_key(b, first, name);
    buf_add_format(b, "%" PRIu64, v);
}

void api_put_flag(struct buf *b, bool *first, const char *name, bool v)
{
    codec_json_key(b, first, name);
    codec_json_flag(b, &v);
}

void api_put_hash(struct buf *b, bool *first, const char *name, const struct hash *h)
{
    codec_json_key(b, first, name);
    codec_json_hash(b, h);
}

void api_put_key(struct buf *b, bool *first, const char *name, const struct pubkey *k)
{
    codec_json_key(b, first, name);
    codec_json_pubkey(b, k);
}

void api_put_amount(struct buf *b, bool *first, const char *name, struct amount a)
{
    codec_json_key(b, first, name);
    codec_json_amount(b, &a);
}

void api_put_hex(struct buf *b, bool *first, const char *name, struct bytes v)
{
    codec_json_key(b, first, name);
    codec_json_blob(b, &v);
}

void api_put_verdict(struct buf *b, bool *first, uint8_t verdict)
{
    static const char *const names[] = {"match", "mismatch", "withheld"};
    const char *name = verdict < AUDIT_VERDICTS ? names[verdict] : verdict == AUDIT_CAUGHT ? "caught" : NULL;
    codec_json_key(b, first, "verdict");
    buf_add_format(b, name ? "\"%s\"" : "null", name ? name : "");
}

bool api_rest_hash(struct api_call *c, const char *what, struct hash *out)
{
    struct note note;
    if (strlen(c->rest) == 64 && hex_get(c->rest, out->b, sizeof out->b))
        return true;
    api_fail(c->request, note_set(&note, ERR_FORMAT, "\"%.70s\" is not %s: 64 hexadecimal digits", c->rest, what),
             &note);
    return false;
}

void api_put_next(struct buf *b, const struct hash *last)
{
    buf_add_text(b, ",\"next\":");
    if (last)
        codec_json_hash(b, last);
    else
        buf_add_text(b, "null");
    buf_add_text(b, "}");
}

void api_put_address(struct buf *b, bool *first, const char *name, const struct node *n, const struct pubkey *k)
{
    char text[ADDRESS_TEXT_ROOM];
    address_put(node_prefix(n), k, text);
    api_put_text(b, first, name, text);
}

/* -- fetching -- */

#define PROGRESS_MS 100

static void say_pull(struct task *t, const struct blobs_info *info)
{
    char line[120] = "";
    if (info->pulling && !info->sources)
        snprintf(line, sizeof line, "nobody has it yet; %u peers were asked, %" PRIu64 " s ago", info->asked,
                 info->asked_ago_ms / 1000);
    else if (info->pulling && info->waits)
        snprintf(line, sizeof line, "%u peers have it; waits for its turn: %u others are being pulled", info->sources,
                 BLOB_PULLS_MAX);
    task_say(t, line);
}

static void pull_progress(void *arg)
{
    struct api_pull *p = arg;
    struct blobs_info info;
    if (blobs_find(p->node->blobs, &p->root, &info)) {
        uint64_t have = info.leaves_have * LEAF_SIZE;
        task_progress(p->task, have < info.size ? have : info.size, info.size);
        say_pull(p->task, &info);
    }
    host_timer_set(p->node->host, &p->timer, PROGRESS_MS, pull_progress, p);
}

void api_pull_begin(struct api_call *c, struct api_pull *p, const char *kind, const struct hash *root)
{
    *p = (struct api_pull){.node = c->node, .task = task_new(c->node->tasks, kind), .root = *root};
    host_timer_set(c->node->host, &p->timer, 0, pull_progress, p);
    task_accepted(p->task, c->request);
}

void api_pull_end(struct api_pull *p)
{
    host_timer_cancel(p->node->host, &p->timer);
}
