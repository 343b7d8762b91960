/* Requests for a response, OpenAI's later form of a chat: what they ask for as a chat would (api_openai_ask.c), with
 * the fields that differ put into its form. Nothing is kept here after the answer, so what needs an earlier response is
 * refused. */
#include "node/api/api_openai.h"

#include "base/limits.h"

#include <string.h>

/* -- what is refused -- */

static enum err refuse_what_is_not_kept(json_t *body, struct note *note)
{
    static const struct {
        const char *name, *remedy;
    } fields[] = {
        {"previous_response_id", "send what was said before as items of input: this node keeps no responses"},
        {"conversation", "send what was said before as items of input: this node keeps no conversations"},
        {"prompt", "send its text as instructions or input: this node keeps no prompts"},
    };
    bool background = false, store;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (json_is_given(json_object_get(body, fields[i].name)))
            return note_set(note, ERR_FORMAT, "%s is not supported: %s", fields[i].name, fields[i].remedy);
    enum err e = api_read_flag(body, "background", "background", &background, note);
    if (e == ERR_OK && background)
        e = note_set(note, ERR_FORMAT,
                     "background is not supported: ask with stream, or make a job that goes on by itself: POST "
                     "/kith/v1/jobs");
    return e == ERR_OK ? api_read_flag(body, "store", "store", &store, note) : e;
}

static enum err refuse_what_changes(json_t *body, struct note *note)
{
    json_t *cut = json_object_get(body, "truncation"), *options = json_object_get(body, "stream_options");
    const char *how = json_string_value(cut);
    bool obfuscate = false;
    if (json_is_given(cut) && (!how || strcmp(how, "disabled") != 0))
        return note_set(note, ERR_FORMAT,
                        "truncation must be disabled: an input that is too long is refused and never cut, so leave "
                        "old items out yourself");
    enum err e = api_read_flag(options, "include_obfuscation", "stream_options.include_obfuscation", &obfuscate, note);
    if (e == ERR_OK && obfuscate)
        e = note_set(note, ERR_FORMAT, "stream_options.include_obfuscation is not supported: leave it out");
    return e;
}

/* -- fields -- */

static enum err read_input(json_t *body, struct openai_ask *a, struct note *note)
{
    json_t *messages = json_array();
    enum err e =
        openai_read_items(json_object_get(body, "instructions"), json_object_get(body, "input"), messages, note);
    if (e == ERR_OK) {
        json_print(&a->messages, messages);
        a->job.messages = buf_text(&a->messages);
    }
    json_decref(messages);
    return e;
}

static enum err read_text(json_t *body, struct openai_ask *a, struct note *note)
{
    const json_t *text = json_object_get(body, "text"), *format = json_object_get(text, "format");
    if (json_is_given(text) && !json_is_object(text))
        return note_set(note, ERR_FORMAT, "text must be an object");
    enum err e = openai_read_format(format, format, "text.format", "text.format", &a->schema, note);
    a->job.schema = bytes_of_buf(&a->schema);
    return e;
}

/* The list of what an answer is to have besides: logprobs, or parts of items that are never there. */
static enum err read_include(json_t *body, bool *logprobs, struct note *note)
{
    static const char *const never[] = {"reasoning.encrypted_content",   "file_search_call.results",
                                        "web_search_call.results",       "web_search_call.action.sources",
                                        "message.input_image.image_url", "computer_call_output.output.image_url",
                                        "code_interpreter_call.outputs"};
    const json_t *list = json_object_get(body, "include");
    if (json_is_given(list) && !json_is_array(list))
        return note_set(note, ERR_FORMAT, "include must be a list");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *what = json_string_value(json_array_get(list, i));
        bool known = what && strcmp(what, "message.output_text.logprobs") == 0;
        *logprobs |= known;
        for (size_t k = 0; what && k < sizeof never / sizeof *never; k++)
            known |= strcmp(what, never[k]) == 0;
        if (!known)
            return note_set(note, ERR_FORMAT, "include[%zu] is %.64s: only message.output_text.logprobs is supported",
                            i, what ? what : "no text");
    }
    return ERR_OK;
}

static enum err read_logprobs(json_t *body, struct openai_ask *a, struct note *note)
{
    bool wanted = false;
    uint32_t top = 0;
    enum err e = read_include(body, &wanted, note);
    if (e == ERR_OK)
        e = api_read_whole(body, "top_logprobs", "top_logprobs", 0, LOGPROBS_MAX, &top, note);
    if (e == ERR_OK && top > 0 && !wanted)
        e = note_set(note, ERR_FORMAT, "top_logprobs needs include: [\"message.output_text.logprobs\"]");
    a->job.logprobs = wanted ? (uint8_t)(1 + top) : 0;
    return e;
}

/* -- tools -- */

/* {"type":"function","name":..,"description":..,"parameters":..,"strict":..} to {"type":"function","function":{..}}. */
static json_t *convert_tool(const json_t *tool)
{
    static const char *const members[] = {"name", "description", "parameters", "strict"};
    json_t *function = json_object();
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        json_t *v = json_object_get(tool, members[i]);
        if (json_is_given(v))
            json_object_set(function, members[i], v);
    }
    return json_pack("{s:s, s:o}", "type", "function", "function", function);
}

static bool is_function(const json_t *v)
{
    const char *type = json_text(v, "type");
    return type && strcmp(type, "function") == 0;
}

/* Into the list *out. */
static enum err convert_tools(const json_t *list, json_t *out, struct note *note)
{
    if (json_is_given(list) && !json_is_array(list))
        return note_set(note, ERR_FORMAT, "tools must be a list");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *tool = json_array_get(list, i);
        const char *type = json_text(tool, "type");
        if (!is_function(tool))
            return note_set(note, ERR_FORMAT,
                            "tools[%zu] is of type %.32s: only tools of type function are supported, which the client "
                            "calls",
                            i, type ? type : "(none)");
        if (!tool_calls_is_name(json_text(tool, "name")))
            return note_set(note, ERR_FORMAT, "tools[%zu].name must be 1 to %d letters, digits, _ and -", i,
                            TOOL_NAME_BYTES_MAX);
        json_array_append_new(out, convert_tool(tool));
    }
    return ERR_OK;
}

/* {"type":"allowed_tools","mode":..,"tools":[{"type":"function","name":..}]} as a chat has it. */
static json_t *convert_allowed(const json_t *choice)
{
    json_t *tools = json_array(), *tool, *allowed = json_pack("{s:o}", "tools", tools);
    size_t i;
    json_array_foreach(json_object_get(choice, "tools"), i, tool) json_array_append_new(tools, convert_tool(tool));
    if (json_object_get(choice, "mode"))
        json_object_set(allowed, "mode", json_object_get(choice, "mode"));
    return json_pack("{s:s, s:o}", "type", "allowed_tools", "allowed_tools", allowed);
}

/* A text, {"type":"function","name":..}, or one of allowed tools. */
static enum err convert_choice(json_t *choice, json_t *chat, struct note *note)
{
    static const char *const words[] = {"auto", "none", "required"};
    const char *name = json_text(choice, "name"), *word = json_string_value(choice), *type = json_text(choice, "type");
    if (type && strcmp(type, "allowed_tools") == 0) {
        json_object_set_new(chat, "tool_choice", convert_allowed(choice));
        return ERR_OK;
    }
    bool known = !json_is_given(choice);
    if (is_function(choice) && tool_calls_is_name(name)) {
        known = true;
        json_object_set_new(chat, "tool_choice",
                            json_pack("{s:s, s:{s:s}}", "type", "function", "function", "name", name));
    }
    for (size_t i = 0; word && i < sizeof words / sizeof *words; i++)
        if (strcmp(word, words[i]) == 0) {
            known = true;
            json_object_set(chat, "tool_choice", choice);
        }
    if (!known)
        return note_set(note, ERR_FORMAT,
                        "tool_choice must be auto, none, required, or {\"type\":\"function\",\"name\":..}");
    return ERR_OK;
}

static enum err read_tools(json_t *body, struct openai_ask *a, struct note *note)
{
    json_t *parallel = json_object_get(body, "parallel_tool_calls");
    a->chat = json_pack("{s:[]}", "tools");
    enum err e = convert_tools(json_object_get(body, "tools"), json_object_get(a->chat, "tools"), note);
    if (e == ERR_OK)
        e = convert_choice(json_object_get(body, "tool_choice"), a->chat, note);
    if (parallel)
        json_object_set(a->chat, "parallel_tool_calls", parallel);
    return e == ERR_OK ? openai_read_tools(a->chat, a, note) : e;
}

/* -- what the answer says of its request -- */

/* "reasoning": {"effort": ..}; a summary is another model's work, which is not done here. */
static enum err read_reasoning(json_t *body, struct openai_ask *a, struct note *note)
{
    const json_t *reasoning = json_object_get(body, "reasoning");
    const char *effort = NULL;
    if (json_is_given(reasoning) && !json_is_object(reasoning))
        return note_set(note, ERR_FORMAT, "reasoning must be an object");
    enum err e = api_read_text(reasoning, "effort", "reasoning.effort", &effort, note);
    return e == ERR_OK ? openai_read_variables(body, effort, "reasoning.effort", a, note) : e;
}

static enum err check_metadata(json_t *body, struct note *note)
{
    json_t *metadata = json_object_get(body, "metadata"), *value;
    const char *key;
    if (json_is_given(metadata) && !json_is_object(metadata))
        return note_set(note, ERR_FORMAT, "metadata must be an object");
    json_object_foreach(metadata, key, value)
    {
        if (!json_is_string(value))
            return note_set(note, ERR_FORMAT, "metadata has a value of %.64s that is no text", key);
    }
    return ERR_OK;
}

/* A member as it was given, or as it is without. */
static void put_given(struct buf *b, const json_t *object, const char *name, const char *otherwise)
{
    const json_t *v = json_object_get(object, name);
    buf_add_format(b, ",\"%s\":", name);
    if (json_is_given(v))
        json_print_short(b, v);
    else
        buf_add_text(b, otherwise);
}

static void put_reasoning(struct buf *b, const json_t *reasoning)
{
    const char *effort = json_text(reasoning, "effort");
    if (effort)
        buf_add_format(b, ",\"reasoning\":{\"effort\":\"%s\",\"summary\":null}", effort);
    else
        buf_add_text(b, ",\"reasoning\":null");
}

static enum err put_echo(json_t *body, struct openai_ask *a, struct note *note)
{
    struct buf *b = &a->echo;
    put_given(b, body, "instructions", "null");
    put_given(b, body, "max_output_tokens", "null");
    put_given(b, body, "metadata", "{}");
    put_given(b, body, "parallel_tool_calls", "true");
    put_given(b, body, "temperature", "1");
    put_given(b, body, "tool_choice", "\"auto\"");
    put_given(b, body, "tools", "[]");
    put_given(b, body, "top_logprobs", "0");
    put_given(b, body, "top_p", "1");
    put_given(b, body, "user", "null");
    buf_add_text(b, ",\"text\":{\"format\":");
    const json_t *format = json_object_get(json_object_get(body, "text"), "format");
    if (json_is_given(format))
        json_print_short(b, format);
    else
        buf_add_text(b, "{\"type\":\"text\"}");
    buf_add_text(b, "},\"background\":false,\"previous_response_id\":null,\"store\":false,\"truncation\":\"disabled\"");
    put_reasoning(b, json_object_get(body, "reasoning"));
    if (b->n <= RESPONSE_ECHO_MAX)
        return ERR_OK;
    return note_set(note, ERR_RANGE,
                    "instructions, metadata, tools and text come to %zu bytes, which the answer repeats: at most %u "
                    "are allowed",
                    b->n, RESPONSE_ECHO_MAX);
}

enum err openai_read_response(json_t *body, struct openai_ask *a, struct note *note)
{
    a->is_chat = true;
    enum err e = openai_read_common(body, a, note);
    if (e == ERR_OK)
        e = refuse_what_is_not_kept(body, note);
    if (e == ERR_OK)
        e = refuse_what_changes(body, note);
    if (e == ERR_OK)
        e = read_input(body, a, note);
    if (e == ERR_OK)
        e = api_read_whole(body, "max_output_tokens", "max_output_tokens", 1, CONTEXT_MAX, &a->job.tokens_max, note);
    if (e == ERR_OK)
        e = read_text(body, a, note);
    if (e == ERR_OK)
        e = read_logprobs(body, a, note);
    if (e == ERR_OK)
        e = read_tools(body, a, note);
    if (e == ERR_OK)
        e = read_reasoning(body, a, note);
    if (e == ERR_OK)
        e = openai_read_thoughts(body, a, note);
    if (e == ERR_OK)
        e = check_metadata(body, note);
    return e == ERR_OK ? put_echo(body, a, note) : e;
}
