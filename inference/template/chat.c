/* Forms of a chat; see the header. Members that do not change are shared with the original, not copied. */
#include "inference/template/chat.h"

#include "base/harmony.h"
#include "base/thought.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

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
    if (json_is_string(thought)) {
        json_object_set(converted, "reasoning_content", thought);
        json_object_set(converted, "reasoning", thought);
    }
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

static void fill_description(json_t *object)
{
    if (!json_is_given(json_object_get(object, "description")))
        json_object_set_new(object, "description", json_string(""));
}

static void describe_parameters(json_t *function)
{
    const char *name;
    json_t *parameter;
    json_object_foreach(json_object_get(json_object_get(function, "parameters"), "properties"), name, parameter)
    {
        if (json_is_object(parameter))
            fill_description(parameter);
    }
}

/* A function may have no parameters and no description, and some templates print both; some print those of parameters,
 * and walk over tools where there are none. */
static json_t *fill_tools(const json_t *tools, bool spelled)
{
    json_t *filled = tools ? json_deep_copy(tools) : json_array(), *tool;
    size_t i;
    json_array_foreach(filled, i, tool)
    {
        json_t *function = json_object_get(tool, "function");
        if (!json_is_object(function))
            continue;
        if (!json_is_given(json_object_get(function, "parameters")))
            json_object_set_new(function, "parameters", json_pack("{s:s, s:{}}", "type", "object", "properties"));
        fill_description(function);
        if (spelled)
            describe_parameters(function);
    }
    return filled;
}

static bool says(struct bytes text, const char *words)
{
    return text.n && memmem(text.p, text.n, words, strlen(words));
}

/* Templates that know thoughts as parts of a message, and under no other name. */
static bool has_thoughts_as_parts(struct bytes source)
{
    return (says(source, "== 'thinking'") || says(source, "== \"thinking\"")) && !says(source, "reasoning_content");
}

static void make_parts(json_t *messages)
{
    size_t i;
    json_t *message;
    json_array_foreach(messages, i, message)
    {
        json_t *thought = json_object_get(message, "reasoning_content"), *content = json_object_get(message, "content");
        const char *role = json_text(message, "role");
        if (!role || strcmp(role, "assistant") != 0 || !json_string_length(thought))
            continue;
        json_t *parts = json_pack("[{s:s, s:O}]", "type", "thinking", "thinking", thought);
        if (json_string_length(content))
            json_array_append_new(parts, json_pack("{s:s, s:O}", "type", "text", "text", content));
        json_object_set_new(message, "content", parts);
    }
}

static void set_if_none(json_t *object, const char *name, json_t *value_take)
{
    if (!json_object_get(object, name))
        json_object_set(object, name, value_take);
    json_decref(value_take);
}

/* What the variables are called: some templates know `thinking` and not `enable_thinking`, which is meant as well by
 * who says how much it is to think. */
static json_t *name_variables(const json_t *variables)
{
    json_t *named = variables ? json_copy((json_t *)(uintptr_t)variables) : json_object();
    const json_t *enabled = json_object_get(named, "enable_thinking");
    if (json_is_boolean(enabled))
        set_if_none(named, "thinking", json_boolean(json_is_true(enabled)));
    else if (json_object_get(named, "reasoning_effort"))
        set_if_none(named, "thinking", json_true());
    return named;
}

/* Tools as a text and the time, which one template has beside messages. */
static void fill_variables(json_t *variables, const json_t *tools, int64_t clock_s)
{
    char text[64] = "";
    const time_t now = (time_t)clock_s;
    struct tm tm;
    char *json = json_dumps(tools, JSON_INDENT(4));
    if (gmtime_r(&now, &tm))
        strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S GMT", &tm);
    set_if_none(variables, "functions", json_string(json ? json : "[]"));
    set_if_none(variables, "datetime", json_string(text));
    free(json);
}

static enum err render_form(const struct template_input *input, enum chat_form form, struct buf *out, struct note *note)
{
    struct template_input in = *input;
    json_t *messages = chat_convert(input->messages, form), *variables = name_variables(input->variables);
    const bool spelled = form == CHAT_SPELLED, fills = form != CHAT_OBJECTS && (spelled || input->tools);
    json_t *tools = fills ? fill_tools(input->tools, spelled) : NULL;
    if (form != CHAT_AS_SENT && has_thoughts_as_parts(input->source))
        make_parts(messages);
    if (spelled)
        fill_variables(variables, tools, input->clock_s);
    in.messages = messages;
    in.variables = variables;
    in.tools = tools ? tools : input->tools;
    enum err e = template_render(&in, out, note);
    json_decref(messages);
    json_decref(variables);
    json_decref(tools);
    return e;
}

static size_t count(const struct buf *b, size_t from, const char *word)
{
    size_t n = 0;
    for (const uint8_t *at; from < b->n && (at = memmem(b->p + from, b->n - from, word, strlen(word))); n++)
        from = (size_t)(at - b->p) + strlen(word);
    return n;
}

static bool lacks_content(const json_t *messages)
{
    size_t i;
    const json_t *message;
    json_array_foreach(messages, i, message)
    {
        if (json_is_object(message) && !json_is_given(json_object_get(message, "content")))
            return true;
    }
    return false;
}

/* Where no content was printed as what it is called, an empty text was meant. */
static void mend_none(const struct template_input *input, size_t before, struct buf *out)
{
    struct buf filled = {0};
    const size_t n = lacks_content(input->messages) ? count(out, before, "None") : 0;
    if (n && render_form(input, CHAT_FILLED, &filled, NULL) == ERR_OK && count(&filled, 0, "None") < n) {
        out->n = before;
        buf_add(out, filled.p, filled.n);
    }
    buf_clear(&filled);
}

static enum err render_any(const struct template_input *input, struct buf *out, struct note *note)
{
    struct note first = {{0}};
    enum err err = ERR_FORMAT;
    const size_t before = out->n;
    for (enum chat_form form = CHAT_OBJECTS; form < CHAT_FORMS && err == ERR_FORMAT; form++) {
        enum err this = render_form(input, form, out, form == CHAT_OBJECTS ? &first : NULL);
        if (form == CHAT_OBJECTS || this == ERR_OK)
            err = this;
        if (form == CHAT_OBJECTS && this == ERR_OK)
            mend_none(input, before, out);
    }
    if (err != ERR_OK && note)
        *note = first;
    return err;
}

/* What a system message says in front of the user's first words; NULL where there is no such pair of texts. */
static json_t *merge_system(const json_t *messages)
{
    json_t *list = chat_convert(messages, CHAT_OBJECTS);
    const json_t *system = json_array_get(list, 0), *user = json_array_get(list, 1);
    const char *role = json_text(system, "role"), *next = json_text(user, "role");
    const char *rules = json_text(system, "content"), *words = json_text(user, "content");
    struct buf both = {0};
    if (!role || !next || !rules || !words || strcmp(role, "system") != 0 || strcmp(next, "user") != 0) {
        json_decref(list);
        return NULL;
    }
    buf_add_format(&both, "%s\n", rules);
    buf_add_text(&both, words);
    json_t *merged = json_copy((json_t *)(uintptr_t)user);
    json_object_set_new(merged, "content", json_string(buf_text(&both)));
    buf_clear(&both);
    json_array_remove(list, 0);
    json_array_set_new(list, 0, merged);
    return list;
}

enum err chat_render(const struct template_input *input, struct buf *out, struct note *note)
{
    struct template_input in = *input;
    struct note why = {{0}};
    enum err e = render_any(input, out, &why);
    json_t *merged = e == ERR_REFUSED && strstr(why.text, "ystem") ? merge_system(input->messages) : NULL;
    in.messages = merged;
    if (merged && render_any(&in, out, NULL) == ERR_OK) /* it takes no system message */
        e = ERR_OK;
    json_decref(merged);
    if (e != ERR_OK && note)
        *note = why;
    return e;
}
