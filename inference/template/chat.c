/* Forms of a chat; see the header. Members that do not change are shared with the original, not copied. */
#include "inference/template/chat.h"

#include "base/harmony.h"
#include "base/thought.h"

#include <string.h>

/* The parts' texts, or NULL if there is another part than text. */
static json_t *join_parts(const json_t *parts)
{
    struct buf text = {0};
    size_t i;
    json_t *part, *joined = NULL;
    json_array_foreach(parts, i, part)
    {
        const char *type = json_text(part, "type");
        const json_t *piece = json_object_get(part, "text");
        if (!type || strcmp(type, "text") != 0 || !json_is_string(piece))
            goto out;
        buf_add(&text, "\n", i > 0);
        buf_add(&text, json_string_value(piece), json_string_length(piece));
    }
    joined = json_stringn(buf_text(&text), text.n);
out:
    buf_clear(&text);
    return joined;
}

/* {"a":1} of the text that holds it; NULL for any other text. */
static json_t *parse_arguments(const json_t *arguments)
{
    if (!json_is_string(arguments))
        return NULL;
    json_t *value = json_parse(bytes_of(json_string_value(arguments), json_string_length(arguments)), NULL);
    if (json_is_object(value))
        return value;
    json_decref(value);
    return NULL;
}

/* A call with `arguments` as an object, or as a text of JSON. */
static json_t *convert_call(json_t *call, bool objects)
{
    json_t *function = json_object_get(call, "function"), *arguments = json_object_get(function, "arguments"), *new;
    struct buf text = {0};
    if (objects) {
        new = parse_arguments(arguments);
    } else if (json_is_object(arguments)) {
        json_print(&text, arguments);
        new = json_stringn(buf_text(&text), text.n);
        buf_clear(&text);
    } else {
        new = NULL;
    }
    if (!new)
        return json_incref(call);
    json_t *converted = json_copy(call), *inner = json_copy(function);
    json_object_set_new(inner, "arguments", new);
    json_object_set_new(converted, "function", inner);
    return converted;
}

static json_t *convert_calls(const json_t *calls, bool objects)
{
    json_t *list = json_array(), *call;
    size_t i;
    json_array_foreach(calls, i, call)
    {
        json_array_append_new(list, convert_call(call, objects));
    }
    return list;
}

/* An assistant's content as it was written, in parts, becomes what was said and what was thought. */
static void take_apart(json_t *converted)
{
    json_t *content = json_object_get(converted, "content");
    struct bytes all = bytes_of(json_string_value(content), json_string_length(content));
    struct buf said = {0}, thought = {0};
    if (!json_is_string(content) || !harmony_is(all, true))
        return;
    harmony_join(all, HARMONY_ANSWER, &said);
    harmony_join(all, HARMONY_THOUGHT, &thought);
    json_object_set_new(converted, "content", json_stringn(buf_text(&said), said.n));
    if (thought.n && !json_object_get(converted, "thinking"))
        json_object_set_new(converted, "thinking", json_stringn(buf_text(&thought), thought.n));
    buf_clear(&said);
    buf_clear(&thought);
}

/* Calls behind something that was said: the template that knows `thinking` refuses both in front of calls, and shows
 * what was said in its place. */
static bool has_preamble(const json_t *message)
{
    return json_array_size(json_object_get(message, "tool_calls")) &&
           json_string_length(json_object_get(message, "content"));
}

static json_t *convert_message(json_t *message, enum chat_form form)
{
    const json_t *content = json_object_get(message, "content"), *calls = json_object_get(message, "tool_calls");
    const char *role = json_text(message, "role");
    if (!json_is_object(message))
        return json_incref(message);
    json_t *converted = json_copy(message);
    json_t *joined = json_array_size(content) ? join_parts(content) : NULL;
    if (joined)
        json_object_set_new(converted, "content", joined);
    else if (form != CHAT_OBJECTS && !json_is_given(content))
        json_object_set_new(converted, "content", json_string(""));
    if (json_array_size(calls))
        json_object_set_new(converted, "tool_calls", convert_calls(calls, form != CHAT_TEXTS));
    json_t *thought = json_object_get(message, "reasoning_content");
    if (!json_is_given(thought))
        thought = json_object_get(message, "reasoning");
    if (json_is_string(thought) && !json_is_given(json_object_get(message, "reasoning_content")))
        json_object_set(converted, "reasoning_content", thought);
    if (json_is_string(thought) && !json_object_get(message, "thinking") && !has_preamble(converted))
        json_object_set(converted, "thinking", thought);
    if (role && strcmp(role, "assistant") == 0)
        take_apart(converted);
    if (role && strcmp(role, "developer") == 0)
        json_object_set_new(converted, "role", json_string("system"));
    return converted;
}

json_t *chat_convert(const json_t *messages, enum chat_form form)
{
    json_t *list = json_array(), *message;
    size_t i;
    json_array_foreach(messages, i, message)
    {
        json_array_append_new(list, form == CHAT_AS_SENT ? json_incref(message) : convert_message(message, form));
    }
    return list;
}

static bool ends_with(struct bytes text, const char *end)
{
    size_t n = strlen(end);
    return text.n >= n && memcmp(text.p + text.n - n, end, n) == 0;
}

static struct bytes without_spaces(struct bytes text)
{
    while (text.n && strchr(" \n", text.p[text.n - 1]))
        text.n--;
    return text;
}

bool chat_begin(struct buf *prompt, bool has_channels, const char *function)
{
    static const enum thought_kind closed[] = {THOUGHT_THINK, THOUGHT_SEED, THOUGHT_BRACKET, THOUGHT_COHERE};
    struct bytes text = without_spaces(bytes_of_buf(prompt));
    if (has_channels && ends_with(text, "<|start|>assistant")) {
        prompt->n = text.n;
        if (function)
            buf_add_format(prompt, "<|channel|>commentary to=functions.%s <|constrain|>json<|message|>", function);
        else
            buf_add_text(prompt, "<|channel|>final<|message|>");
        return function != NULL;
    }
    for (size_t i = 0; i < sizeof closed / sizeof *closed; i++)
        if (ends_with(text, thought_open(closed[i]))) {
            prompt->n = text.n;
            buf_add_format(prompt, "\n\n%s\n\n", thought_close(closed[i]));
            break;
        }
    return false;
}

/* A function may have no parameters and no description, and some templates print both. */
static json_t *fill_tools(const json_t *tools)
{
    json_t *filled = json_deep_copy(tools), *tool;
    size_t i;
    json_array_foreach(filled, i, tool)
    {
        json_t *function = json_object_get(tool, "function");
        if (!json_is_object(function))
            continue;
        if (!json_is_given(json_object_get(function, "parameters")))
            json_object_set_new(function, "parameters", json_pack("{s:s, s:{}}", "type", "object", "properties"));
        if (!json_is_given(json_object_get(function, "description")))
            json_object_set_new(function, "description", json_string(""));
    }
    return filled;
}

enum err chat_render(const struct template_input *input, struct buf *out, struct note *note)
{
    struct note first = {{0}};
    enum err err = ERR_FORMAT;
    for (enum chat_form form = CHAT_OBJECTS; form < CHAT_FORMS && err == ERR_FORMAT; form++) {
        struct template_input in = *input;
        json_t *messages = chat_convert(input->messages, form);
        json_t *tools = form != CHAT_OBJECTS && input->tools ? fill_tools(input->tools) : NULL;
        in.messages = messages;
        in.tools = tools ? tools : input->tools;
        enum err this = template_render(&in, out, form == CHAT_OBJECTS ? &first : NULL);
        if (form == CHAT_OBJECTS || this == ERR_OK)
            err = this;
        json_decref(messages);
        json_decref(tools);
    }
    if (err != ERR_OK && note)
        *note = first;
    return err;
}
