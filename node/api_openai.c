/* /v1/chat/completions and /v1/completions, as OpenAI's clients expect them.
 *
 * Each choice of an answer is a job (node/jobs.h): `n` of them for each prompt, which differ in nothing but their
 * number. Without `stream` the answer waits for the end of all jobs; with it, each piece of text is a chunk, a broken
 * job is an error frame, and the end is [DONE]. A client that hangs up cancels its jobs; what was delivered is billed.
 * Fields that are not known are ignored and named in the header Kith-Ignored.
 */
#include "node/api_openai.h"

#include "base/codec.h"
#include "base/mem.h"
#include "node/node.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct choice {
    struct answer *answer;
    unsigned index;
    struct hash job;
    struct job_watch *watch;
    bool is_over, started; /* started: the client knows of it */
    size_t sent;           /* bytes of the text that the client has */
    struct openai_place logprobs;
    json_t *calls;   /* of the whole answer, once it is over */
    struct buf json; /* of a whole answer's choice that is over */
};

/* What one request is answered with. */
struct answer {
    struct node *node;
    struct http_request *request;
    bool is_chat, stream, include_usage, started; /* started: the client has a status */
    bool one_call;                                /* the client takes no second */
    char *model;
    json_t *tools; /* that the answer may call, or NULL */
    struct choice *choice;
    unsigned n, over_n;
    struct {
        uint64_t prompt, written, cached; /* tokens of the choices that are over */
    } usage;
    struct buf kith; /* of a whole answer's first choice */
};

/* Jobs that are not over go with it. */
static void answer_free(struct answer *a)
{
    for (unsigned i = 0; i < a->n; i++) {
        struct choice *c = &a->choice[i];
        if (c->watch)
            jobs_unwatch(c->watch);
        if (!c->is_over)
            jobs_cancel(node_jobs(a->node), &c->job);
        json_decref(c->calls);
        buf_clear(&c->json);
    }
    buf_clear(&a->kith);
    json_decref(a->tools);
    free(a->choice);
    free(a->model);
    free(a);
}

/* -- pieces of JSON -- */

static const char *finish_reason(const struct choice *c, const struct job_view *v)
{
    if (c->calls)
        return "tool_calls";
    if (!v->stop)
        return "stop";
    return strcmp(v->stop, "length") == 0                                      ? "length"
           : strcmp(v->stop, "numeric") == 0 || strcmp(v->stop, "schema") == 0 ? "content_filter"
                                                                               : "stop";
}

static void put_head(struct buf *b, const struct answer *a, uint64_t made_ms, bool is_chunk)
{
    char id[65];
    hex_put(id, a->choice[0].job.b, sizeof a->choice[0].job.b);
    const char *object = !a->is_chat ? "text_completion" : is_chunk ? "chat.completion.chunk" : "chat.completion";
    buf_add_format(b, "{\"id\":\"%s-%s\",\"object\":\"%s\",\"created\":%" PRIu64 ",\"model\":",
                   a->is_chat ? "chatcmpl" : "cmpl", id, object, made_ms / 1000);
    codec_json_string(b, a->model, strlen(a->model));
}

static void put_kith(struct buf *b, const struct job_view *v)
{
    char kith[AMOUNT_TEXT_ROOM];
    amount_print(v->cost, kith);
    buf_add_text(b, ",\"kith\":{\"job\":");
    codec_json_hash(b, &v->id);
    buf_add_format(b, ",\"cost\":\"%" PRIu64 "\",\"cost_kith\":\"%s\",\"provider\":", v->cost.mote, kith);
    if (v->is_local)
        buf_add_text(b, "\"local\"");
    else
        codec_json_pubkey(b, &v->provider);
    buf_add_text(b, ",\"receipt\":");
    if (hash_is_zero(&v->receipt))
        buf_add_text(b, "null");
    else
        codec_json_hash(b, &v->receipt);
    buf_add_text(b, ",\"digest\":");
    codec_json_hash(b, &v->digest);
    buf_add_text(b, ",\"seed\":");
    codec_json_hash(b, &v->seed);
    buf_add_format(b, ",\"choice\":%u,\"verified\":%s}", v->choice, v->verified ? "true" : "false");
}

/* The prompt of several choices was read once, and counts once; each prompt of a completion counts. */
static void count_usage(struct answer *a, const struct job_view *v)
{
    a->usage.written += v->tokens;
    if (v->choice > 0)
        return;
    a->usage.prompt += v->prompt_tokens;
    a->usage.cached += v->shared;
}

static void put_usage(struct buf *b, const struct answer *a)
{
    buf_add_format(b,
                   "\"usage\":{\"prompt_tokens\":%" PRIu64 ",\"completion_tokens\":%" PRIu64
                   ",\"total_tokens\":%" PRIu64 ",\"prompt_tokens_details\":{\"cached_tokens\":%" PRIu64 "}}",
                   a->usage.prompt, a->usage.written, a->usage.prompt + a->usage.written, a->usage.cached);
}

/* Those of the tokens that came since the last time. The last token waits for what follows it: one that only ends the
 * answer is no part of it. */
static void put_logprobs(struct buf *b, struct choice *c, const struct job_view *v)
{
    bool is_over = v->state == JOB_DONE, ends = is_over && v->stop && strcmp(v->stop, "eos") == 0;
    uint32_t end = v->tokens > 0 && (ends || !is_over) ? v->tokens - 1 : v->tokens;
    buf_add_text(b, "\"logprobs\":");
    openai_put_logprobs(b, c->answer->is_chat, v->logprobs, v->logprobs_each, end, &c->logprobs);
}

/* Bytes of the text that are for people as far as can be known; finds the calls of an answer that is over. */
static size_t text_ready(struct choice *c, const struct job_view *v)
{
    const struct answer *a = c->answer;
    size_t n = v->text_n;
    if (!a->tools)
        return n;
    if (v->state != JOB_DONE)
        return tool_calls_sure(a->tools, bytes_of(v->text, n));
    json_decref(c->calls);
    c->calls = tool_calls_find(a->tools, bytes_of(v->text, n), &n);
    while (a->one_call && json_array_size(c->calls) > 1)
        json_array_remove(c->calls, 1);
    return n;
}

/* -- a stream -- */

/* Of each chunk but the last, where the last one has it. */
static const char no_usage[] = ",\"usage\":null";

static bool send_event(struct answer *a, struct buf *json)
{
    struct buf frame = {0};
    buf_add_format(&frame, "data: %s\n\n", buf_text(json));
    bool good = http_stream_put(a->request, bytes_of_buf(&frame));
    buf_clear(&frame);
    buf_clear(json);
    return good;
}

static void put_delta(struct buf *b, const struct choice *c, const char *text, size_t n, bool last)
{
    buf_add_text(b, "\"delta\":{");
    if (!c->started)
        buf_add_text(b, "\"role\":\"assistant\",");
    if (!last) {
        buf_add_text(b, "\"content\":");
        codec_json_string(b, text, n);
    } else if (!c->started)
        buf_add_text(b, "\"content\":\"\"");
    buf_add_text(b, "},");
}

static bool send_chunk(struct choice *c, const struct job_view *v, const char *text, size_t n, bool last)
{
    struct answer *a = c->answer;
    struct buf b = {0};
    put_head(&b, a, v->made_ms, true);
    buf_add_format(&b, ",\"choices\":[{\"index\":%u,", c->index);
    if (a->is_chat) {
        put_delta(&b, c, text, n, last);
    } else {
        buf_add_text(&b, "\"text\":");
        codec_json_string(&b, text, n);
        buf_add_text(&b, ",");
    }
    put_logprobs(&b, c, v);
    buf_add_format(&b, last ? ",\"finish_reason\":\"%s\"}]" : ",\"finish_reason\":null}]",
                   last ? finish_reason(c, v) : "");
    if (a->include_usage)
        buf_add_text(&b, no_usage);
    if (last)
        put_kith(&b, v);
    buf_add_text(&b, "}");
    c->started = true;
    return send_event(a, &b);
}

static bool send_calls(struct choice *c, const struct job_view *v)
{
    struct buf b = {0};
    put_head(&b, c->answer, v->made_ms, true);
    buf_add_format(&b, ",\"choices\":[{\"index\":%u,\"delta\":{", c->index);
    if (!c->started)
        buf_add_text(&b, "\"role\":\"assistant\",\"content\":null,");
    buf_add_text(&b, "\"tool_calls\":");
    tool_calls_print(&b, c->calls, &c->job, true);
    buf_add_text(&b, "},\"logprobs\":null,\"finish_reason\":null}]");
    buf_add_text(&b, c->answer->include_usage ? no_usage : "");
    buf_add_text(&b, "}");
    c->started = true;
    return send_event(c->answer, &b);
}

static bool send_end(struct answer *a, const struct job_view *v)
{
    static const char done[] = "data: [DONE]\n\n";
    struct buf b = {0};
    bool good = true;
    if (a->include_usage) {
        put_head(&b, a, v->made_ms, true);
        buf_add_text(&b, ",\"choices\":[],");
        put_usage(&b, a);
        buf_add_text(&b, "}");
        good = send_event(a, &b);
    }
    return good && http_stream_put(a->request, bytes_of_text(done));
}

static bool send_error(struct answer *a, const struct job_view *v)
{
    struct buf b = {0};
    http_put_error(&b, 500, api_code(v->code), NULL, v->error);
    return send_event(a, &b);
}

/* `ready` of the text may be sent. False when the client is too slow and the stream must end. */
static bool stream_choice(struct choice *c, const struct job_view *v, size_t ready)
{
    if (ready > c->sent) {
        bool good = send_chunk(c, v, v->text + c->sent, ready - c->sent, false);
        c->sent = ready;
        if (!good)
            return false;
    }
    if (v->state != JOB_DONE)
        return true;
    return (!c->calls || send_calls(c, v)) && send_chunk(c, v, "", 0, true);
}

/* True when the answer is at its end. */
static bool stream_progress(struct choice *c, const struct job_view *v)
{
    struct answer *a = c->answer;
    size_t ready = text_ready(c, v);
    if (v->state != JOB_DONE && ready <= c->sent)
        return false;
    if (!a->started) {
        http_add_header(a->request, "X-Accel-Buffering", "no");
        http_stream_start(a->request, 200, "text/event-stream");
        a->started = true;
    }
    if (!stream_choice(c, v, ready))
        return true;
    if (a->over_n < a->n)
        return false;
    (void)send_end(a, v); /* too slow or not, this is the end */
    return true;
}

/* -- a whole answer -- */

static void put_message(struct buf *b, struct choice *c, const struct job_view *v)
{
    size_t n = text_ready(c, v);
    buf_add_text(b, "\"message\":{\"role\":\"assistant\",\"content\":");
    if (n || !c->calls)
        codec_json_string(b, v->text, n);
    else
        buf_add_text(b, "null");
    if (c->calls) {
        buf_add_text(b, ",\"tool_calls\":");
        tool_calls_print(b, c->calls, &c->job, false);
    }
    buf_add_text(b, ",\"refusal\":null},");
}

static void put_choice(struct choice *c, const struct job_view *v)
{
    struct buf *b = &c->json;
    buf_add_format(b, "%s{\"index\":%u,", c->index ? "," : "", c->index);
    if (c->answer->is_chat) {
        put_message(b, c, v);
    } else {
        buf_add_text(b, "\"text\":");
        codec_json_string(b, v->text, v->text_n);
        buf_add_text(b, ",");
    }
    put_logprobs(b, c, v);
    buf_add_format(b, ",\"finish_reason\":\"%s\"", finish_reason(c, v));
    if (c->answer->n > 1)
        put_kith(b, v);
    buf_add_text(b, "}");
    if (c->index == 0)
        put_kith(&c->answer->kith, v);
}

static void whole_answer(struct answer *a, uint64_t made_ms)
{
    struct buf b = {0};
    put_head(&b, a, made_ms, false);
    buf_add_text(&b, ",\"choices\":[");
    for (unsigned i = 0; i < a->n; i++)
        buf_add(&b, a->choice[i].json.p, a->choice[i].json.n);
    buf_add_text(&b, "],");
    put_usage(&b, a);
    buf_add(&b, a->kith.p, a->kith.n);
    buf_add_text(&b, "}");
    api_reply_json(a->request, 200, &b);
}

/* -- the way of a request -- */

static void on_progress(void *arg, const struct job_view *v)
{
    struct choice *c = arg;
    struct answer *a = c->answer;
    if (v->state == JOB_DONE || v->state == JOB_FAILED) {
        c->watch = NULL; /* it ends itself */
        c->is_over = true;
        a->over_n++;
        count_usage(a, v);
    }
    if (v->state == JOB_FAILED && !a->started) { /* nothing was sent yet: a proper status */
        openai_fail(a->request, v->code, a->is_chat ? "messages" : "prompt", v->error);
    } else if (v->state == JOB_FAILED) {
        (void)send_error(a, v);
        http_stream_end(a->request);
    } else if (a->stream) {
        if (!stream_progress(c, v))
            return;
        http_stream_end(a->request);
    } else {
        if (v->state == JOB_DONE)
            put_choice(c, v);
        if (a->over_n < a->n)
            return;
        whole_answer(a, v->made_ms);
    }
    answer_free(a);
}

static void on_client_gone(void *arg, struct http_request *r)
{
    (void)r;
    answer_free(arg);
}

/* Of what the caller's key may still spend, each job's part. */
static void limit_cost(const struct apikey *key, struct openai_ask *ask)
{
    uint64_t most = key ? apikeys_left(key).mote / ((uint64_t)ask->prompts_n * ask->n) : UINT64_MAX;
    if (ask->job.cost_max.mote > most)
        ask->job.cost_max.mote = most;
}

/* A job for each choice; those that were made are cancelled if one cannot be. */
static enum err make_jobs(struct answer *a, const struct apikey *key, struct openai_ask *ask, const json_t *body,
                          struct note *note)
{
    struct jobs *jobs = node_jobs(a->node);
    a->choice = mem_array((size_t)ask->prompts_n * ask->n, sizeof *a->choice);
    for (uint32_t i = 0; i < ask->prompts_n; i++) {
        openai_set_prompt(body, ask, i);
        for (uint32_t k = 0; k < ask->n; k++) {
            struct choice *c = &a->choice[a->n];
            *c = (struct choice){.answer = a, .index = a->n};
            ask->job.choice = k;
            enum err e = jobs_make(jobs, &ask->job, &c->job, note);
            if (e != ERR_OK)
                return e;
            a->n++;
            if (key)
                e = apikeys_charge(a->node->apikeys, &key->hash, jobs, &c->job, ask->job.cost_max, note);
            if (e != ERR_OK)
                return e;
        }
    }
    return ERR_OK;
}

static void start(struct answer *a, json_t *body)
{
    char hex[65];
    openai_name_ignored(a->request, body);
    hex_put(hex, a->choice[0].job.b, sizeof a->choice[0].job.b);
    http_add_header(a->request, "Kith-Job", hex);
    http_add_header(a->request, "X-Request-Id", hex); /* where OpenAI's clients look for it */
    http_on_gone(a->request, on_client_gone, a);
    for (unsigned i = 0; i < a->n; i++)
        a->choice[i].watch = jobs_watch(node_jobs(a->node), &a->choice[i].job, on_progress, &a->choice[i]);
}

static void answer_request(struct api_call *call,
                           enum err (*read)(json_t *body, struct openai_ask *a, struct note *note))
{
    struct note note = {{0}};
    struct openai_ask ask;
    json_t *body = api_body(call->request);
    if (!body)
        return;
    openai_ask_init(&ask);
    enum err e = read(body, &ask, &note);
    if (e != ERR_OK) {
        openai_refuse(call->request, e, "messages", note.text);
    } else {
        struct answer *a = mem_new(sizeof *a);
        *a = (struct answer){.node = call->node,
                             .request = call->request,
                             .is_chat = ask.is_chat,
                             .stream = ask.stream,
                             .include_usage = ask.include_usage,
                             .one_call = ask.one_call,
                             .tools = ask.tools ? json_deep_copy(ask.tools) : NULL,
                             .model = mem_string(ask.job.model)};
        limit_cost(call->key, &ask);
        ask.job.owner = api_owner(call);
        e = make_jobs(a, call->key, &ask, body, &note);
        if (e == ERR_OK)
            start(a, body);
        else {
            openai_refuse(call->request, e, "model", note.text);
            answer_free(a);
        }
    }
    openai_ask_clear(&ask);
    json_decref(body);
}

void api_openai_chat(struct api_call *call)
{
    answer_request(call, openai_read_chat);
}

void api_openai_completion(struct api_call *call)
{
    answer_request(call, openai_read_completion);
}
