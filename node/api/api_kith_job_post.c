/* Jobs over HTTP: made. A field of another form than it should have is refused, never left out: "private" above all. */
#include "base/codec.h"
#include "node/api/api.h"
#include "node/node.h"

#include <string.h>

#define TITLE_BYTES 160

static enum err read_stops(json_t *params, struct buf *stops, struct note *note)
{
    json_t *list = json_object_get(params, "stop");
    if (json_is_given(list) && !json_is_array(list))
        return note_set(note, ERR_FORMAT, "params.stop must be a list of texts");
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *v = json_array_get(list, i);
        size_t n = json_string_length(v);
        if (n == 0 || n >= STOP_BYTES_MAX || i >= STOPS_MAX)
            return note_set(note, ERR_RANGE, "params.stop must be at most %d texts of 1 to %d bytes", STOPS_MAX,
                            STOP_BYTES_MAX - 1);
        uint8_t length = (uint8_t)n;
        buf_add(stops, &length, 1);
        buf_add(stops, json_string_value(v), n);
    }
    return ERR_OK;
}

static enum err read_seed(const json_t *params, struct job_ask *ask, struct note *note)
{
    const char *seed = NULL;
    enum err e = api_read_text(params, "seed", "params.seed", &seed, note);
    ask->has_seed = seed != NULL;
    if (e == ERR_OK && seed && !hex_get(seed, ask->seed.b, sizeof ask->seed.b))
        e = note_set(note, ERR_FORMAT, "params.seed must be 64 hexadecimal digits");
    return e;
}

static enum err read_params(json_t *params, struct job_ask *ask, struct buf *stops, struct buf *schema,
                            struct note *note)
{
    if (json_is_given(params) && !json_is_object(params))
        return note_set(note, ERR_FORMAT, "params must be an object");
    enum err e = api_read_whole(params, "tokens", "params.tokens", 0, CONTEXT_MAX, &ask->tokens_max, note);
    if (e == ERR_OK)
        e = api_read_number(params, "temp", "params.temp", 0, 100, &ask->temp, note);
    if (e == ERR_OK)
        e = api_read_whole(params, "top_k", "params.top_k", 0, VOCAB_MAX, &ask->top_k, note);
    if (e == ERR_OK)
        e = api_read_number(params, "top_p", "params.top_p", 0, 1, &ask->top_p, note);
    if (e == ERR_OK)
        e = api_read_number(params, "min_p", "params.min_p", 0, 1, &ask->min_p, note);
    if (e == ERR_OK)
        e = read_stops(params, stops, note);
    if (e == ERR_OK && json_object_get(params, "schema"))
        e = api_read_schema(json_object_get(params, "schema"), schema, note);
    ask->stops = bytes_of_buf(stops);
    ask->schema = bytes_of_buf(schema);
    return e == ERR_OK ? read_seed(params, ask, note) : e;
}

static enum err read_cost(json_t *body, struct job_ask *ask, struct note *note)
{
    const json_t *cost = json_object_get(body, "max_cost");
    return !json_is_given(cost) ? ERR_OK : api_read_mote(cost, "max_cost", &ask->cost_max, note);
}

/* Any text will do as a key. */
static uint64_t key_of_text(const char *text)
{
    struct hash h = hash_once(HASH_REQUEST, text, strlen(text));
    return load_le64(h.b) | 1;
}

static enum err read_key(const json_t *body, uint64_t *out, struct note *note)
{
    const json_t *key = json_object_get(body, "key");
    if (json_is_integer(key))
        *out = (uint64_t)json_integer_value(key);
    else if (json_is_string(key))
        *out = key_of_text(json_string_value(key));
    else if (json_is_given(key))
        return note_set(note, ERR_FORMAT, "key must be a whole number or a text");
    return ERR_OK;
}

static enum err read_route(const json_t *body, enum job_route *out, struct note *note)
{
    const char *route = NULL;
    enum err e = api_read_text(body, "route", "route", &route, note);
    return e == ERR_OK ? api_read_route(route, "route", out, note) : e;
}

static enum err read_prompt(const json_t *body, struct job_ask *ask, struct buf *messages, struct note *note)
{
    const json_t *list = json_object_get(body, "messages");
    enum err e = api_read_text(body, "prompt", "prompt", &ask->prompt, note);
    if (json_is_given(list) && !json_is_array(list))
        return note_set(note, ERR_FORMAT, "messages must be a list");
    if (json_is_array(list)) {
        json_print(messages, list);
        ask->messages = buf_text(messages);
    }
    if (e == ERR_OK && json_array_size(list) == 0 && !ask->prompt)
        e = note_set(note, ERR_FORMAT, "messages (a list) or prompt (a text) is missing");
    return e;
}

/* The head of a question, on one line, whole characters only. */
static void put_title(struct buf *title, const char *question)
{
    size_t n = strnlen(question, TITLE_BYTES);
    n -= question[n] ? text_half_character(bytes_of(question, n)) : 0;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)question[i], next = (unsigned char)question[i + 1];
        bool is_late_control = c == 0xC2 && next < 0xA0; /* U+0080 to U+009F */
        buf_add(title, c < ' ' || c == 0x7F || is_late_control ? " " : question + i, 1);
        i += is_late_control;
    }
}

/* The conversation that it is to belong to. */
static enum err read_talk(const json_t *body, struct job_ask *ask, struct buf *title, struct note *note)
{
    const char *talk = NULL, *question;
    const json_t *list = json_object_get(body, "messages");
    enum err e = api_read_text(body, "chat", "chat", &talk, note);
    if (e != ERR_OK || !talk)
        return e;
    if (!hex_get(talk, ask->talk.b, sizeof ask->talk.b) || hash_is_zero(&ask->talk))
        return note_set(note, ERR_FORMAT, "chat must be 64 hexadecimal digits, drawn at random, not all of them 0");
    if (!ask->messages)
        return note_set(note, ERR_FORMAT, "chat goes with messages, not with prompt");
    question = json_text(json_array_get(list, json_array_size(list) - 1), "content");
    put_title(title, question ? question : "");
    ask->title = buf_text(title);
    return ERR_OK;
}

/* What an ask borrows from. */
struct texts {
    struct buf messages, variables, stops, schema, title;
};

static void texts_clear(struct texts *t)
{
    buf_clear(&t->messages);
    buf_clear(&t->variables);
    buf_clear(&t->stops);
    buf_clear(&t->schema);
    buf_clear(&t->title);
}

/* How a chat is put to the model: as in OpenAI's half. */
static enum err read_variables(const json_t *body, struct job_ask *ask, struct buf *variables, struct note *note)
{
    const json_t *given = json_object_get(body, "chat_template_kwargs");
    const char *effort = NULL;
    enum err e = api_read_text(body, "reasoning_effort", "reasoning_effort", &effort, note);
    if (e == ERR_OK)
        e = api_read_variables(given, "chat_template_kwargs", effort, "reasoning_effort", variables, note);
    if (e == ERR_OK && variables->n && !ask->messages)
        e = note_set(note, ERR_FORMAT, "%s goes with messages: a prompt passes through no chat template",
                     effort ? "reasoning_effort" : "chat_template_kwargs");
    ask->variables = variables->n ? buf_text(variables) : NULL;
    return e;
}

static enum err read_ask(json_t *body, struct job_ask *ask, struct texts *t, struct note *note)
{
    job_ask_init(ask);
    enum err e = api_read_text(body, "model", "model", &ask->model, note);
    if (e == ERR_OK)
        e = read_prompt(body, ask, &t->messages, note);
    if (e == ERR_OK)
        e = read_variables(body, ask, &t->variables, note);
    if (e == ERR_OK)
        e = read_talk(body, ask, &t->title, note);
    if (e == ERR_OK)
        e = read_route(body, &ask->route, note);
    if (e == ERR_OK)
        e = api_read_flag(body, "private", "private", &ask->is_private, note);
    if (e == ERR_OK)
        e = read_key(body, &ask->key, note);
    if (e == ERR_OK)
        e = read_cost(body, ask, note);
    if (!ask->model)
        ask->model = "default";
    return e == ERR_OK ? read_params(json_object_get(body, "params"), ask, &t->stops, &t->schema, note) : e;
}

/* Within what the caller's key may spend. One that was made before is paid for already. */
static enum err make_job(struct api_call *c, struct job_ask *ask, struct hash *id, struct note *note)
{
    struct jobs *jobs = market_jobs(c->node->market);
    uint64_t before = jobs_made(jobs);
    ask->owner = api_owner(c);
    if (c->key && amount_compare(ask->cost_max, apikeys_left(c->key)) > 0)
        ask->cost_max = apikeys_left(c->key);
    enum err e = jobs_make(jobs, ask, id, note);
    if (e != ERR_OK || !c->key || jobs_made(jobs) == before)
        return e;
    e = apikeys_charge(c->node->apikeys, &c->key->hash, jobs, id, ask->cost_max, note);
    if (e != ERR_OK)
        jobs_cancel(jobs, id);
    return e;
}

void api_job_post(struct api_call *c)
{
    struct note note = {{0}};
    struct job_ask ask;
    struct job_view v;
    struct hash id;
    struct texts texts = {0};
    struct buf b = {0};
    bool first = true;
    json_t *body = api_body(c->request);
    if (!body)
        return;
    enum err e = read_ask(body, &ask, &texts, &note);
    if (e == ERR_OK)
        e = make_job(c, &ask, &id, &note);
    if (e == ERR_BUSY) {
        api_reply_busy(c->request, note.text);
    } else if (e != ERR_OK || !jobs_find(market_jobs(c->node->market), &id, &v)) {
        api_fail(c->request, e, &note);
    } else {
        buf_add_text(&b, "{");
        api_put_hash(&b, &first, "job", &id);
        api_put_hash(&b, &first, "model", &v.model);
        api_put_text(&b, &first, "route", v.is_local ? "local" : "network");
        buf_add_text(&b, "}");
        api_reply_json(c->request, 201, &b);
    }
    texts_clear(&texts);
    json_decref(body);
}
