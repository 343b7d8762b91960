/* Requests of OpenAI's API: what they ask for, in our words. Fields that are not known are named, not refused; values
 * that would be served otherwise than asked are refused. */
#include "node/api/api_openai.h"

#include "base/codec.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* Fields that are read, or that nothing here depends on, and of which forms. Of `text` it is its members. */
#define OLDER  (OPENAI_CHAT | OPENAI_COMPLETION)
#define TOOLED (OPENAI_CHAT | OPENAI_RESPONSE)
#define JOBS   (OLDER | OPENAI_RESPONSE)
static const struct {
    const char *name;
    unsigned forms;
} fields[] = {
    {"model", ~0u},
    {"user", ~0u},
    {"stream", JOBS},
    {"stream_options", JOBS},
    {"temperature", JOBS},
    {"top_p", JOBS},
    {"presence_penalty", JOBS},
    {"frequency_penalty", JOBS},
    {"seed", JOBS},
    {"stop", JOBS},
    {"store", JOBS},
    {"metadata", JOBS},
    {"service_tier", JOBS},
    {"safety_identifier", JOBS},
    {"prompt_cache_key", JOBS},
    {"kith", JOBS},
    {"n", OLDER},
    {"max_tokens", OLDER},
    {"response_format", OLDER},
    {"logprobs", OLDER},
    {"logit_bias", OLDER},
    {"modalities", OLDER},
    {"messages", OPENAI_CHAT},
    {"max_completion_tokens", OPENAI_CHAT},
    {"top_logprobs", TOOLED},
    {"tools", TOOLED},
    {"tool_choice", TOOLED},
    {"parallel_tool_calls", TOOLED},
    {"chat_template_kwargs", TOOLED},
    {"reasoning_effort", OPENAI_CHAT},
    {"reasoning_format", TOOLED},
    {"include_reasoning", TOOLED},
    {"reasoning", OPENAI_RESPONSE},
    {"reasoning.effort", OPENAI_RESPONSE},
    {"prompt", OPENAI_COMPLETION | OPENAI_RESPONSE},
    {"echo", OPENAI_COMPLETION},
    {"suffix", OPENAI_COMPLETION},
    {"best_of", OPENAI_COMPLETION},
    {"input", OPENAI_RESPONSE | OPENAI_EMBEDDING},
    {"instructions", OPENAI_RESPONSE},
    {"max_output_tokens", OPENAI_RESPONSE},
    {"max_tool_calls", OPENAI_RESPONSE}, /* of tools that a server calls: there are none */
    {"previous_response_id", OPENAI_RESPONSE},
    {"conversation", OPENAI_RESPONSE},
    {"background", OPENAI_RESPONSE},
    {"truncation", OPENAI_RESPONSE},
    {"include", OPENAI_RESPONSE},
    {"text", OPENAI_RESPONSE},
    {"text.format", OPENAI_RESPONSE},
    {"dimensions", OPENAI_EMBEDDING},
    {"encoding_format", OPENAI_EMBEDDING},
};

static bool is_field(const char *name, unsigned forms)
{
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if ((fields[i].forms & forms) && strcmp(fields[i].name, name) == 0)
            return true;
    return false;
}

static void add_ignored(struct buf *names, const char *within, json_t *object, unsigned form)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        struct buf name = {0};
        buf_add_format(&name, "%s%.64s", within, key);
        if (!is_field(buf_text(&name), form) && names->n < 400 &&
            strspn(key, "abcdefghijklmnopqrstuvwxyz_0123456789") == strlen(key))
            buf_add_format(names, "%s%s", names->n ? ", " : "", buf_text(&name));
        buf_clear(&name);
    }
}

void openai_name_ignored(struct http_request *r, json_t *body, unsigned form)
{
    struct buf names = {0};
    add_ignored(&names, "", body, form);
    if (form == OPENAI_RESPONSE)
        add_ignored(&names, "text.", json_object_get(body, "text"), form);
    if (form == OPENAI_RESPONSE)
        add_ignored(&names, "reasoning.", json_object_get(body, "reasoning"), form);
    if (names.n)
        http_add_header(r, "Kith-Ignored", buf_text(&names));
    buf_clear(&names);
}

/* A message about a field begins with its name: that is the error's `param`. */
static const char *param_of(const char *text, char room[32])
{
    size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyz_");
    if (n == 0 || n >= 32 || !strchr(" .[:", text[n]))
        return NULL;
    memcpy(room, text, n);
    room[n] = 0;
    return is_field(room, ~0u) ? room : NULL;
}

void openai_fail(struct http_request *r, enum err e, const char *prompt, const char *text)
{
    char room[32];
    if (e == ERR_LIMIT)
        http_reply_fault(r, 400, "context_length_exceeded", prompt, text);
    else if (e == ERR_NOT_FOUND)
        http_reply_fault(r, 404, "model_not_found", "model", text);
    else
        http_reply_fault(r, api_status(e), api_code(e), param_of(text, room), text);
}

void openai_refuse(struct http_request *r, enum err e, const char *prompt, const char *text)
{
    if (e == ERR_BUSY)
        api_reply_busy(r, text);
    else
        openai_fail(r, e, prompt, text);
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
    if (!json_is_given(v))
        return ERR_OK;
    if (!json_is_array(v))
        return add_stop(stops, v, note);
    if (json_array_size(v) > STOPS_MAX)
        return note_set(note, ERR_RANGE, "stop has %zu texts: at most %d are allowed", json_array_size(v), STOPS_MAX);
    enum err e = ERR_OK;
    for (size_t i = 0; e == ERR_OK && i < json_array_size(v); i++)
        e = add_stop(stops, json_array_get(v, i), note);
    return e;
}

/* A number seed is OpenAI's; it becomes the 256 bits that Kith's sampler takes, little-endian. */
static enum err read_seed(json_t *body, struct job_ask *ask, struct note *note)
{
    json_t *v = json_object_get(body, "seed");
    if (!json_is_given(v))
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
    json_t *k = json_object_get(body, "kith"), *limit = json_object_get(k, "max_cost");
    if (!json_is_given(k))
        return ERR_OK;
    if (!json_is_object(k))
        return note_set(note, ERR_FORMAT, "kith must be an object");
    if (json_is_given(limit) && !json_is_string(limit))
        return note_set(note, ERR_FORMAT, "kith.max_cost must be a text, an amount of KITH as in \"0.25\"");
    const char *cost = json_text(k, "max_cost");
    const char *route = NULL;
    enum err e = api_read_text(k, "route", "kith.route", &route, note);
    if (e == ERR_OK)
        e = api_read_route(route, "kith.route", &ask->route, note);
    if (e == ERR_OK)
        e = api_read_flag(k, "private", "kith.private", &ask->is_private, note);
    if (e == ERR_OK && cost)
        e = amount_parse(cost, &ask->cost_max, note);
    if (e == ERR_OK)
        e = api_read_whole(k, "top_k", "kith.top_k", 1, VOCAB_MAX, &ask->top_k, note);
    return e == ERR_OK ? api_read_number(k, "min_p", "kith.min_p", 0, 1, &ask->min_p, note) : e;
}

/* As api_read_schema, and the note begins with the field that has the schema. */
static enum err read_schema_of(const char *called, const json_t *schema, struct buf *out, struct note *note)
{
    struct note why = {{0}};
    enum err e = api_read_schema(schema, out, &why);
    return e == ERR_OK ? e : note_set(note, e, "%s: %s", called, why.text);
}

/* `name` and `strict` make no difference here: a schema is always kept to. */
enum err openai_read_format(const json_t *format, const json_t *holder, const char *called, const char *holder_called,
                            struct buf *schema, struct note *note)
{
    const char *type = json_text(format, "type");
    const json_t *given = json_object_get(holder, "schema");
    if (!json_is_given(format) || (type && strcmp(type, "text") == 0))
        return ERR_OK;
    if (type && strcmp(type, "json_object") == 0) {
        buf_add_text(schema, "{\"type\":\"object\"}");
        return ERR_OK;
    }
    if (!type || strcmp(type, "json_schema") != 0)
        return note_set(note, ERR_FORMAT, "%s.type must be text, json_object or json_schema", called);
    if (!given)
        return note_set(note, ERR_FORMAT, "%s.schema is missing: the schema of the answer", holder_called);
    return read_schema_of(called, given, schema, note);
}

/* -- what several forms have in common -- */

/* OpenAI's penalties look at all of the text. */
static enum err read_penalties(json_t *body, struct job_ask *ask, struct note *note)
{
    enum err e = api_read_number(body, "presence_penalty", "presence_penalty", -2, 2, &ask->presence, note);
    if (e == ERR_OK)
        e = api_read_number(body, "frequency_penalty", "frequency_penalty", -2, 2, &ask->frequency, note);
    if (ask->presence != 0.0f || ask->frequency != 0.0f)
        ask->window = CONTEXT_MAX;
    return e;
}

/* What we do not do, and what would change the answer if it was left out. */
static enum err refuse_what_changes(const json_t *body, struct note *note)
{
    const json_t *kinds = json_object_get(body, "modalities");
    for (size_t i = 0; i < json_array_size(kinds); i++) {
        const char *kind = json_string_value(json_array_get(kinds, i));
        if (!kind || strcmp(kind, "text") != 0)
            return note_set(note, ERR_FORMAT, "modalities must be [\"text\"]: the models here answer in text");
    }
    return ERR_OK;
}

static enum err read_stream(json_t *body, struct openai_ask *a, struct note *note)
{
    json_t *options = json_object_get(body, "stream_options");
    if (json_is_given(options) && !json_is_object(options))
        return note_set(note, ERR_FORMAT, "stream_options must be an object");
    enum err e = api_read_flag(body, "stream", "stream", &a->stream, note);
    if (e == ERR_OK)
        e = api_read_flag(options, "include_usage", "stream_options.include_usage", &a->include_usage, note);
    return e;
}

enum err openai_read_common(json_t *body, struct openai_ask *a, struct note *note)
{
    struct job_ask *ask = &a->job;
    ask->model = json_text(body, "model");
    ask->temp = 1; /* OpenAI's default */
    a->prompts_n = a->n = 1;
    if (!ask->model || !*ask->model)
        return note_set(note, ERR_FORMAT, "model is missing: name one of GET /v1/models");
    enum err e = read_stream(body, a, note);
    if (e == ERR_OK)
        e = api_read_number(body, "temperature", "temperature", 0, 2, &ask->temp, note);
    if (e == ERR_OK)
        e = api_read_number(body, "top_p", "top_p", 0, 1, &ask->top_p, note);
    if (e == ERR_OK)
        e = read_penalties(body, ask, note);
    if (e == ERR_OK)
        e = read_stops(body, &a->stops, note);
    if (e == ERR_OK)
        e = read_seed(body, ask, note);
    if (e == ERR_OK)
        e = read_extension(body, ask, note);
    ask->stops = bytes_of_buf(&a->stops);
    return e;
}

/* None is a question about the prompt alone, which a completion may be. */
static enum err read_max_tokens(json_t *body, struct openai_ask *a, struct note *note)
{
    uint32_t n = UINT32_MAX;
    enum err e = api_read_whole(body, "max_tokens", "max_tokens", a->is_chat, CONTEXT_MAX, &n, note);
    a->no_answer = n == 0;
    if (n != UINT32_MAX)
        a->job.tokens_max = n;
    return e;
}

/* What chats and completions have, and later forms of OpenAI's have not. */
static enum err read_older(json_t *body, struct openai_ask *a, struct note *note)
{
    const json_t *format = json_object_get(body, "response_format");
    enum err e = openai_read_common(body, a, note);
    if (e == ERR_OK)
        e = refuse_what_changes(body, note);
    if (e == ERR_OK)
        e = openai_read_biases(json_object_get(body, "logit_bias"), &a->biases, note);
    a->job.biases = bytes_of_buf(&a->biases);
    if (e == ERR_OK)
        e = api_read_whole(body, "n", "n", 1, CHOICES_MAX, &a->n, note);
    if (e == ERR_OK)
        e = read_max_tokens(body, a, note);
    if (e == ERR_OK)
        e = openai_read_format(format, json_object_get(format, "json_schema"), "response_format",
                               "response_format.json_schema", &a->schema, note);
    a->job.schema = bytes_of_buf(&a->schema);
    return e;
}

void openai_ask_init(struct openai_ask *a)
{
    *a = (struct openai_ask){0};
    job_ask_init(&a->job);
}

void openai_ask_clear(struct openai_ask *a)
{
    buf_clear(&a->messages);
    buf_clear(&a->stops);
    buf_clear(&a->schema);
    buf_clear(&a->biases);
    buf_clear(&a->tools_text);
    buf_clear(&a->variables);
    buf_clear(&a->call_schema);
    free(a->call);
    buf_clear(&a->ids);
    buf_clear(&a->echo);
    json_decref(a->chat);
}

/* What several answers may cost together is shared out. */
static void share_cost(struct openai_ask *a)
{
    a->job.cost_max.mote /= (uint64_t)a->prompts_n * a->n;
}

/* -- chats -- */

static enum err read_chat_logprobs(json_t *body, struct openai_ask *a, struct note *note)
{
    bool wanted = false;
    uint32_t top = 0;
    enum err e = api_read_flag(body, "logprobs", "logprobs", &wanted, note);
    if (e == ERR_OK)
        e = api_read_whole(body, "top_logprobs", "top_logprobs", 0, LOGPROBS_MAX, &top, note);
    if (e == ERR_OK && top > 0 && !wanted)
        e = note_set(note, ERR_FORMAT, "top_logprobs needs logprobs: true");
    a->job.logprobs = wanted ? (uint8_t)(1 + top) : 0;
    return e;
}

static enum err force(const struct tool_forced *forced, struct openai_ask *a, struct note *note)
{
    if (!forced->call)
        return ERR_OK;
    buf_reset(&a->schema);
    enum err e = read_schema_of("tools", forced->call, &a->schema, note);
    a->job.schema = bytes_of_buf(&a->schema);
    if (e == ERR_OK && forced->name) {
        e = read_schema_of("tools", forced->arguments, &a->call_schema, note);
        a->job.call = a->call = mem_string(forced->name);
        a->job.call_schema = bytes_of_buf(&a->call_schema);
    }
    return e;
}

enum err openai_read_tools(json_t *body, struct openai_ask *a, struct note *note)
{
    struct tool_forced forced = {0};
    enum err e = tool_calls_read(body, &a->tools, &a->one_call, &forced, note);
    if (a->tools) {
        json_print(&a->tools_text, a->tools);
        a->job.tools = buf_text(&a->tools_text);
    }
    if (e == ERR_OK)
        e = force(&forced, a, note);
    tool_forced_clear(&forced);
    return e;
}

enum err openai_read_variables(const json_t *body, const char *effort, const char *effort_called, struct openai_ask *a,
                               struct note *note)
{
    enum err e = api_read_variables(json_object_get(body, "chat_template_kwargs"), "chat_template_kwargs", effort,
                                    effort_called, &a->variables, note);
    a->job.variables = a->variables.n ? buf_text(&a->variables) : NULL;
    return e;
}

/* As llama.cpp's server and vLLM call it. Where a thought is apart, all of what this node writes is read like
 * DeepSeek's.
 */
enum err openai_read_thoughts(json_t *body, struct openai_ask *a, struct note *note)
{
    static const struct {
        const char *name;
        enum openai_thoughts thoughts;
    } formats[] = {{"auto", OPENAI_THOUGHTS_APART},
                   {"deepseek", OPENAI_THOUGHTS_APART},
                   {"none", OPENAI_THOUGHTS_IN_TEXT},
                   {"hidden", OPENAI_THOUGHTS_HIDDEN}};
    const char *format = NULL;
    bool include = true, known = false;
    enum err e = api_read_text(body, "reasoning_format", "reasoning_format", &format, note);
    if (e == ERR_OK)
        e = api_read_flag(body, "include_reasoning", "include_reasoning", &include, note);
    include = include || !json_is_given(json_object_get(body, "include_reasoning"));
    a->thoughts = include ? OPENAI_THOUGHTS_APART : OPENAI_THOUGHTS_HIDDEN;
    if (e != ERR_OK || !format)
        return e;
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (strcmp(format, formats[i].name) == 0) {
            a->thoughts = include ? formats[i].thoughts : a->thoughts;
            known = true;
        }
    if (known)
        return ERR_OK;
    return note_set(note, ERR_FORMAT, "reasoning_format is %.32s: it must be auto, deepseek, none or hidden", format);
}

enum err openai_read_chat(json_t *body, struct openai_ask *a, struct note *note)
{
    json_t *list = json_object_get(body, "messages");
    a->is_chat = true;
    enum err e = read_older(body, a, note);
    if (e == ERR_OK)
        e = openai_check_messages(list, note);
    if (e != ERR_OK)
        return e;
    json_print(&a->messages, list);
    a->job.messages = buf_text(&a->messages);
    e = api_read_whole(body, "max_completion_tokens", "max_completion_tokens", 1, CONTEXT_MAX, &a->job.tokens_max,
                       note);
    if (e == ERR_OK)
        e = read_chat_logprobs(body, a, note);
    if (e == ERR_OK)
        e = openai_read_tools(body, a, note);
    const char *effort = NULL;
    if (e == ERR_OK)
        e = api_read_text(body, "reasoning_effort", "reasoning_effort", &effort, note);
    if (e == ERR_OK)
        e = openai_read_variables(body, effort, "reasoning_effort", a, note);
    if (e == ERR_OK)
        e = openai_read_thoughts(body, a, note);
    share_cost(a);
    return e;
}

/* -- completions -- */

#define TOKENS_DEFAULT 16 /* OpenAI's, of a completion */

static enum err refuse_what_is_not_there(json_t *body, const struct openai_ask *a, struct note *note)
{
    uint32_t best_of = a->n;
    const char *suffix = json_text(body, "suffix");
    enum err e = ERR_OK;
    if (suffix && *suffix)
        e = note_set(note, ERR_FORMAT, "suffix is not supported: the models here only continue a text");
    if (e == ERR_OK)
        e = api_read_whole(body, "best_of", "best_of", 1, CHOICES_MAX, &best_of, note);
    if (e == ERR_OK && best_of != a->n)
        e = note_set(note, ERR_FORMAT, "best_of %u is not supported: ask for n and choose by their logprobs", best_of);
    return e;
}

static bool are_tokens(const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_int_t id = json_integer_value(json_array_get(list, i));
        if (!json_is_integer(json_array_get(list, i)) || id < 0 || id >= VOCAB_MAX)
            return false;
    }
    return json_array_size(list) > 0;
}

static bool is_prompt(const json_t *v)
{
    return json_is_string(v) || (json_is_array(v) && are_tokens(v));
}

/* The i-th of a text, a list of tokens, or a list of these. */
static const json_t *prompt_at(const json_t *prompt, size_t i)
{
    return is_prompt(prompt) ? prompt : json_array_get(prompt, i);
}

enum err openai_read_inputs(json_t *body, const char *name, uint32_t most, uint32_t *n, struct note *note)
{
    const json_t *v = json_object_get(body, name);
    size_t count = is_prompt(v) ? 1 : json_array_size(v);
    for (size_t i = 0; i < count; i++)
        if (!is_prompt(prompt_at(v, i)))
            count = 0;
    if (count == 0)
        return note_set(note, ERR_FORMAT, "%s must be a text, a list of tokens, or a list of texts or of token lists",
                        name);
    if (count > most)
        return note_set(note, ERR_FORMAT, "%s has %zu entries: at most %u are allowed", name, count, most);
    *n = (uint32_t)count;
    return ERR_OK;
}

struct openai_input openai_input_at(const json_t *body, const char *name, uint32_t i, struct buf *ids)
{
    const json_t *v = prompt_at(json_object_get(body, name), i);
    struct openai_input in = {.text = json_string_value(v)};
    buf_reset(ids);
    for (size_t k = 0; !in.text && k < json_array_size(v); k++) {
        uint8_t raw[4];
        store_le32(raw, (uint32_t)json_integer_value(json_array_get(v, k)));
        buf_add(ids, raw, sizeof raw);
    }
    in.ids = bytes_of_buf(ids);
    return in;
}

void openai_set_prompt(const json_t *body, struct openai_ask *a, uint32_t i)
{
    if (a->is_chat)
        return;
    struct openai_input in = openai_input_at(body, "prompt", i, &a->ids);
    a->job.prompt = in.text;
    a->job.prompt_ids = in.ids;
}

enum err openai_read_completion(json_t *body, struct openai_ask *a, struct note *note)
{
    uint32_t top = UINT32_MAX;
    enum err e = read_older(body, a, note);
    if (e == ERR_OK)
        e = openai_read_inputs(body, "prompt", CHOICES_MAX, &a->prompts_n, note);
    if (e == ERR_OK)
        e = refuse_what_is_not_there(body, a, note);
    if (e == ERR_OK)
        e = api_read_flag(body, "echo", "echo", &a->echo_prompt, note);
    if (e == ERR_OK)
        e = api_read_whole(body, "logprobs", "logprobs", 0, LOGPROBS_MAX, &top, note);
    if (e != ERR_OK)
        return e;
    if (a->prompts_n * a->n > CHOICES_MAX)
        return note_set(note, ERR_FORMAT, "%u prompts with %u answers each: at most %u answers in all", a->prompts_n,
                        a->n, (unsigned)CHOICES_MAX);
    a->job.logprobs = top == UINT32_MAX ? 0 : (uint8_t)(1 + top);
    if (a->job.tokens_max == 0)
        a->job.tokens_max = TOKENS_DEFAULT;
    share_cost(a);
    return ERR_OK;
}
