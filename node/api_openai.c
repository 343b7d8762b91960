/* /v1/chat/completions and /v1/models, as OpenAI's clients expect them.
 *
 * A chat becomes a job (node/jobs.h). Without `stream` the answer waits for the end of the job; with it,
 * each piece of text is a chunk, a broken job is an error frame, and the end is [DONE]. A client that
 * hangs up cancels its job; what was delivered is billed. Fields that are not known are ignored and
 * named in the header Kith-Ignored.
 */
#include "node/api.h"

#include "base/codec.h"
#include "base/mem.h"
#include "node/node.h"
#include "node/tool_calls.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- reading the request -- */

static const char *const known_fields[] = {"model",
                                           "messages",
                                           "stream",
                                           "stream_options",
                                           "max_tokens",
                                           "temperature",
                                           "top_p",
                                           "max_completion_tokens",
                                           "seed",
                                           "response_format",
                                           "stop",
                                           "n",
                                           "presence_penalty",
                                           "user",
                                           "store",
                                           "metadata",
                                           "frequency_penalty",
                                           "service_tier",
                                           "kith",
                                           "tools",
                                           "tool_choice",
                                           "parallel_tool_calls"};

static void name_ignored(struct http_request *r, json_t *body)
{
    struct buf names = {0};
    const char *key;
    json_t *value;
    json_object_foreach(body, key, value)
    {
        bool known = false;
        for (size_t i = 0; i < sizeof known_fields / sizeof *known_fields; i++)
            known |= strcmp(key, known_fields[i]) == 0;
        if (!known && strspn(key, "abcdefghijklmnopqrstuvwxyz_0123456789") == strlen(key) && names.n < 400)
            buf_add_format(&names, "%s%.64s", names.n ? ", " : "", key);
    }
    if (names.n)
        http_add_header(r, "Kith-Ignored", buf_text(&names));
    buf_clear(&names);
}

static enum err read_float(json_t *body, const char *name, double low, double high, float *out, struct note *note)
{
    json_t *v = json_object_get(body, name);
    if (!v || json_is_null(v))
        return ERR_OK;
    double x = json_number_value(v);
    if (!json_is_number(v) || !(x >= low && x <= high))
        return note_set(note, ERR_RANGE, "%s must be a number from %g to %g", name, low, high);
    *out = (float)x;
    return ERR_OK;
}

static enum err read_count(json_t *body, const char *name, json_int_t high, uint32_t *out, struct note *note)
{
    json_t *v = json_object_get(body, name);
    if (!v || json_is_null(v))
        return ERR_OK;
    json_int_t x = json_integer_value(v);
    if (!json_is_integer(v) || x < 1 || x > high)
        return note_set(note, ERR_RANGE, "%s must be a whole number from 1 to %" JSON_INTEGER_FORMAT, name, high);
    *out = (uint32_t)x;
    return ERR_OK;
}

static enum err add_stop(struct buf *stops, json_t *v, struct note *note)
{
    const char *s = json_string_value(v);
    size_t n = s ? json_string_length(v) : 0;
    if (n == 0 || n >= STOP_BYTES_MAX)
        return note_set(note, ERR_RANGE, "stop must be a text, or a list of texts, of 1 to %d bytes",
                        STOP_BYTES_MAX - 1);
    uint8_t length = (uint8_t)n;
    buf_add(stops, &length, 1);
    buf_add(stops, s, n);
    return ERR_OK;
}

static enum err read_stops(json_t *body, struct buf *stops, struct note *note)
{
    json_t *v = json_object_get(body, "stop");
    if (!v || json_is_null(v))
        return ERR_OK;
    if (!json_is_array(v))
        return add_stop(stops, v, note);
    if (json_array_size(v) > STOPS_MAX)
        return note_set(note, ERR_LIMIT, "at most %d stop texts", STOPS_MAX);
    enum err e = ERR_OK;
    for (size_t i = 0; e == ERR_OK && i < json_array_size(v); i++)
        e = add_stop(stops, json_array_get(v, i), note);
    return e;
}

/* A number seed is OpenAI's; it becomes the 256 bits that Kith's sampler takes, little-endian. */
static enum err read_seed(json_t *body, struct job_ask *ask, struct note *note)
{
    json_t *v = json_object_get(body, "seed");
    if (!v || json_is_null(v))
        return ERR_OK;
    ask->has_seed = true;
    if (json_is_integer(v))
        store_le64(ask->seed.b, (uint64_t)json_integer_value(v));
    else if (!json_is_string(v) || !hex_get(json_string_value(v), ask->seed.b, sizeof ask->seed.b))
        return note_set(note, ERR_FORMAT, "seed must be a whole number or 64 hexadecimal digits");
    return ERR_OK;
}

/* "kith": {"route": "auto|local|network", "max_cost": "KITH", "private": bool, "top_k", "min_p"} */
static enum err read_extension(json_t *body, struct job_ask *ask, struct note *note)
{
    json_t *k = json_object_get(body, "kith");
    if (!k)
        return ERR_OK;
    const char *route = json_text(k, "route"), *cost = json_text(k, "max_cost");
    if (route && strcmp(route, "auto") != 0 && strcmp(route, "local") != 0 && strcmp(route, "network") != 0)
        return note_set(note, ERR_FORMAT, "kith.route \"%.20s\" must be auto, local or network", route);
    if (route)
        ask->route = *route == 'l' ? ROUTE_LOCAL : *route == 'n' ? ROUTE_NETWORK : ROUTE_AUTO;
    ask->is_private = json_is_true(json_object_get(k, "private"));
    enum err e = cost ? amount_parse(cost, &ask->cost_max, note) : ERR_OK;
    if (e == ERR_OK)
        e = read_count(k, "top_k", VOCAB_MAX, &ask->top_k, note);
    return e == ERR_OK ? read_float(k, "min_p", 0, 1, &ask->min_p, note) : e;
}

/* A model of texts sees no pictures: better said than left out. */
static enum err check_parts(const json_t *messages, struct note *note)
{
    for (size_t i = 0; i < json_array_size(messages); i++) {
        const json_t *content = json_object_get(json_array_get(messages, i), "content");
        for (size_t k = 0; k < json_array_size(content); k++) {
            const char *type = json_text(json_array_get(content, k), "type");
            if (!type || strcmp(type, "text") != 0)
                return note_set(note, ERR_UNSUPPORTED,
                                "messages[%zu].content[%zu] is of type %.32s: only parts of type text are supported", i,
                                k, type ? type : "(none)");
        }
    }
    return ERR_OK;
}

/* {"type":"text"}, {"type":"json_object"}, or {"type":"json_schema","json_schema":{"schema":{..}}}, whose `name` and
 * `strict` make no difference here: a schema is always kept to. */
static enum err read_format(json_t *body, struct buf *schema, struct note *note)
{
    json_t *format = json_object_get(body, "response_format"), *given;
    const char *type = json_text(format, "type");
    if (!format || json_is_null(format) || (type && strcmp(type, "text") == 0))
        return ERR_OK;
    if (type && strcmp(type, "json_object") == 0) {
        buf_add_text(schema, "{\"type\":\"object\"}");
        return ERR_OK;
    }
    if (!type || strcmp(type, "json_schema") != 0)
        return note_set(note, ERR_FORMAT, "response_format.type must be text, json_object or json_schema");
    given = json_object_get(json_object_get(format, "json_schema"), "schema");
    if (!given)
        return note_set(note, ERR_FORMAT, "response_format.json_schema.schema is missing: the schema of the answer");
    return api_read_schema(given, schema, note);
}

/* What an ask borrows. */
struct texts {
    struct buf messages, stops, schema, tools;
};

static void texts_clear(struct texts *t)
{
    buf_clear(&t->messages);
    buf_clear(&t->stops);
    buf_clear(&t->schema);
    buf_clear(&t->tools);
}

static enum err read_ask(json_t *body, struct job_ask *ask, struct texts *texts, struct note *note)
{
    job_ask_init(ask);
    ask->model = json_text(body, "model");
    json_t *list = json_object_get(body, "messages");
    if (!ask->model || !*ask->model)
        return note_set(note, ERR_FORMAT, "model is missing: name one of GET /v1/models");
    if (!json_is_array(list) || json_array_size(list) == 0)
        return note_set(note, ERR_FORMAT, "messages must be a list of at least one message");
    json_t *n = json_object_get(body, "n");
    if (n && !json_is_null(n) && json_integer_value(n) != 1)
        return note_set(note, ERR_UNSUPPORTED, "n must be 1: ask again for another answer");
    json_print(&texts->messages, list);
    ask->messages = buf_text(&texts->messages);
    ask->temp = 1; /* OpenAI's default */
    enum err e = check_parts(list, note);
    if (e == ERR_OK)
        e = read_count(body, "max_tokens", CONTEXT_MAX, &ask->tokens_max, note);
    if (e == ERR_OK)
        e = read_count(body, "max_completion_tokens", CONTEXT_MAX, &ask->tokens_max, note);
    if (e == ERR_OK)
        e = read_float(body, "temperature", 0, 2, &ask->temp, note);
    if (e == ERR_OK)
        e = read_float(body, "top_p", 0, 1, &ask->top_p, note);
    if (e == ERR_OK)
        e = read_float(body, "presence_penalty", -2, 2, &ask->presence, note);
    if (e == ERR_OK)
        e = read_float(body, "frequency_penalty", -2, 2, &ask->frequency, note);
    if (e == ERR_OK)
        e = read_stops(body, &texts->stops, note);
    if (e == ERR_OK)
        e = read_seed(body, ask, note);
    if (e == ERR_OK)
        e = read_extension(body, ask, note);
    if (e == ERR_OK)
        e = read_format(body, &texts->schema, note);
    ask->stops = bytes_of_buf(&texts->stops);
    ask->schema = bytes_of_buf(&texts->schema);
    return e;
}

/* -- answering -- */

struct chat {
    struct node *node;
    struct http_request *request;
    struct job_watch *watch;
    struct hash job;
    bool stream, include_usage, started;
    char *model;
    size_t sent;   /* bytes of the text that the client has */
    json_t *tools; /* that the answer may call, or NULL */
    json_t *calls; /* of the whole answer, once it is over */
    bool one_call; /* the client takes no second */
};

static void chat_free(struct chat *c)
{
    if (c->watch)
        jobs_unwatch(c->watch);
    json_decref(c->tools);
    json_decref(c->calls);
    free(c->model);
    free(c);
}

static const char *finish_reason(const struct chat *c, const struct job_view *v)
{
    if (c->calls)
        return "tool_calls";
    if (!v->stop)
        return "stop";
    return strcmp(v->stop, "length") == 0                                      ? "length"
           : strcmp(v->stop, "numeric") == 0 || strcmp(v->stop, "schema") == 0 ? "content_filter"
                                                                               : "stop";
}

static void put_head(struct buf *b, const struct chat *c, const struct job_view *v, const char *object)
{
    char id[65];
    hex_put(id, c->job.b, sizeof c->job.b);
    buf_add_format(b, "{\"id\":\"chatcmpl-%s\",\"object\":\"%s\",\"created\":%" PRIu64 ",\"model\":", id, object,
                   v->made_ms / 1000);
    codec_json_string(b, c->model, strlen(c->model));
}

static void put_usage(struct buf *b, const struct job_view *v)
{
    buf_add_format(b, "\"usage\":{\"prompt_tokens\":%u,\"completion_tokens\":%u,\"total_tokens\":%u}", v->prompt_tokens,
                   v->tokens, v->prompt_tokens + v->tokens);
}

static void put_kith(struct buf *b, const struct job_view *v)
{
    char kith[AMOUNT_TEXT_ROOM];
    amount_print(v->cost, kith);
    buf_add_text(b, "\"kith\":{\"job\":");
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
    buf_add_format(b, ",\"verified\":%s}", v->verified ? "true" : "false");
}

/* Bytes of the text that are for people as far as can be known; finds the calls of an answer that is over. */
static size_t text_ready(struct chat *c, const struct job_view *v)
{
    size_t n = v->text_n;
    if (!c->tools)
        return n;
    if (v->state != JOB_DONE)
        return tool_calls_sure(c->tools, bytes_of(v->text, n));
    json_decref(c->calls);
    c->calls = tool_calls_find(c->tools, bytes_of(v->text, n), &n);
    while (c->one_call && json_array_size(c->calls) > 1)
        json_array_remove(c->calls, 1);
    return n;
}

static bool send_event(struct chat *c, struct buf *json)
{
    struct buf frame = {0};
    buf_add_format(&frame, "data: %s\n\n", buf_text(json));
    bool good = http_stream_put(c->request, bytes_of_buf(&frame));
    buf_clear(&frame);
    buf_clear(json);
    return good;
}

static bool send_chunk(struct chat *c, const struct job_view *v, const char *text, size_t n, bool last)
{
    struct buf b = {0};
    put_head(&b, c, v, "chat.completion.chunk");
    buf_add_text(&b, ",\"choices\":[{\"index\":0,\"delta\":{");
    if (!c->started)
        buf_add_text(&b, "\"role\":\"assistant\",");
    if (!last) {
        buf_add_text(&b, "\"content\":");
        codec_json_string(&b, text, n);
    } else if (!c->started)
        buf_add_text(&b, "\"content\":\"\"");
    buf_add_text(&b, "},\"logprobs\":null,\"finish_reason\":");
    buf_add_format(&b, last ? "\"%s\"}]" : "null}]", last ? finish_reason(c, v) : "");
    if (last) {
        buf_add_text(&b, ",");
        put_kith(&b, v);
    }
    buf_add_text(&b, "}");
    c->started = true;
    return send_event(c, &b);
}

static bool send_calls(struct chat *c, const struct job_view *v)
{
    struct buf b = {0};
    put_head(&b, c, v, "chat.completion.chunk");
    buf_add_text(&b, ",\"choices\":[{\"index\":0,\"delta\":{");
    if (!c->started)
        buf_add_text(&b, "\"role\":\"assistant\",\"content\":null,");
    buf_add_text(&b, "\"tool_calls\":");
    tool_calls_print(&b, c->calls, &c->job, true);
    buf_add_text(&b, "},\"logprobs\":null,\"finish_reason\":null}]}");
    c->started = true;
    return send_event(c, &b);
}

static bool send_usage(struct chat *c, const struct job_view *v)
{
    struct buf b = {0};
    put_head(&b, c, v, "chat.completion.chunk");
    buf_add_text(&b, ",\"choices\":[],");
    put_usage(&b, v);
    buf_add_text(&b, "}");
    return send_event(c, &b);
}

static bool send_error(struct chat *c, const struct job_view *v)
{
    struct buf b = {0};
    buf_add_text(&b, "{\"error\":{\"message\":");
    codec_json_string(&b, v->error, strlen(v->error));
    buf_add_format(&b, ",\"type\":\"server_error\",\"code\":\"%s\"}}", err_name(v->code));
    return send_event(c, &b);
}

/* `ready` of the text may be sent. False when the client is too slow and the stream must end. */
static bool stream_progress(struct chat *c, const struct job_view *v, size_t ready)
{
    if (ready > c->sent) {
        bool good = send_chunk(c, v, v->text + c->sent, ready - c->sent, false);
        c->sent = ready;
        if (!good)
            return false;
    }
    if (v->state == JOB_FAILED)
        return send_error(c, v);
    if (v->state != JOB_DONE)
        return true;
    static const char done[] = "data: [DONE]\n\n";
    return (!c->calls || send_calls(c, v)) && send_chunk(c, v, "", 0, true) &&
           (!c->include_usage || send_usage(c, v)) && http_stream_put(c->request, bytes_of_text(done));
}

static void whole_answer(struct chat *c, const struct job_view *v)
{
    struct buf b = {0};
    size_t n = text_ready(c, v);
    put_head(&b, c, v, "chat.completion");
    buf_add_text(&b, ",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":");
    if (n || !c->calls)
        codec_json_string(&b, v->text, n);
    else
        buf_add_text(&b, "null");
    if (c->calls) {
        buf_add_text(&b, ",\"tool_calls\":");
        tool_calls_print(&b, c->calls, &c->job, false);
    }
    buf_add_format(&b, ",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"%s\"}],", finish_reason(c, v));
    put_usage(&b, v);
    buf_add_text(&b, ",");
    put_kith(&b, v);
    buf_add_text(&b, "}");
    api_reply_json(c->request, 200, &b);
}

static void fail_whole(struct http_request *r, enum err e, const char *text)
{
    if (e == ERR_LIMIT)
        http_reply_error(r, 400, "context_length_exceeded", text);
    else {
        struct note note;
        note_set(&note, e, "%s", text);
        api_fail(r, e, &note);
    }
}

static void on_progress(void *arg, const struct job_view *v)
{
    struct chat *c = arg;
    bool over = v->state == JOB_DONE || v->state == JOB_FAILED;
    size_t ready = c->stream ? text_ready(c, v) : 0;
    /* A job that fails before its first text still gets a proper status. */
    if (c->stream && !c->started && v->state != JOB_FAILED && (ready || over)) {
        http_add_header(c->request, "X-Accel-Buffering", "no");
        http_stream_start(c->request, 200, "text/event-stream");
    } else if (!c->started && v->state == JOB_FAILED) {
        c->watch = NULL;
        fail_whole(c->request, v->code, v->error);
        chat_free(c);
        return;
    } else if (!c->stream && over) {
        c->watch = NULL;
        whole_answer(c, v);
        chat_free(c);
        return;
    }
    if (!c->stream || (!c->started && !ready && !over))
        return;
    bool good = stream_progress(c, v, ready);
    if (!over && good)
        return;
    if (over)
        c->watch = NULL;
    else
        jobs_cancel(node_jobs(c->node), &c->job);
    http_stream_end(c->request);
    chat_free(c);
}

static void on_client_gone(void *arg, struct http_request *r)
{
    struct chat *c = arg;
    (void)r;
    jobs_cancel(node_jobs(c->node), &c->job);
    chat_free(c);
}

void api_openai_chat(struct api_call *call)
{
    struct http_request *r = call->request;
    struct note note = {{0}};
    struct job_ask ask;
    struct texts texts = {0};
    const json_t *tools = NULL;
    bool one_call = false;
    json_t *body = api_body(r);
    if (!body)
        return;
    struct hash id;
    enum err e = read_ask(body, &ask, &texts, &note);
    if (e == ERR_OK)
        e = tool_calls_read(body, &tools, &one_call, &note);
    if (tools) {
        json_print(&texts.tools, tools);
        ask.tools = buf_text(&texts.tools);
    }
    if (e == ERR_OK)
        e = jobs_make(node_jobs(call->node), &ask, &id, &note);
    if (e != ERR_OK) {
        fail_whole(r, e, note.text);
    } else {
        struct chat *c = mem_new(sizeof *c);
        char hex[65];
        name_ignored(r, body);
        hex_put(hex, id.b, sizeof id.b);
        http_add_header(r, "Kith-Job", hex);
        *c = (struct chat){.node = call->node,
                           .request = r,
                           .job = id,
                           .stream = json_is_true(json_object_get(body, "stream")),
                           .include_usage =
                               json_is_true(json_object_get(json_object_get(body, "stream_options"), "include_usage")),
                           .tools = tools ? json_deep_copy(tools) : NULL,
                           .one_call = one_call,
                           .model = mem_string(ask.model)};
        http_on_gone(r, on_client_gone, c);
        c->watch = jobs_watch(node_jobs(call->node), &id, on_progress, c);
    }
    texts_clear(&texts);
    json_decref(body);
}
