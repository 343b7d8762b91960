/* The items of a response's `input` as the messages of a chat, which is what templates know.
 *
 *     {"role":R,"content":TEXT or parts}                      a message, of its own type or of none
 *     {"type":"function_call","call_id","name","arguments"}   goes to the assistant's message in front of it, as
 *                                                             templates want the calls of one turn
 *     {"type":"function_call_output","call_id","output"}      a message of the tool
 *     {"type":"reasoning","content":[reasoning_text]}         what the assistant thought on the way to what follows, in
 * its message's `reasoning_content`; without content, nothing
 *
 * Anything else is refused with its place: a template would leave it out. */
#include "node/api/api_openai.h"

#include <string.h>

/* What was read so far. */
struct items {
    json_t *messages;
    json_t *called;     /* call_id of each call: true */
    struct buf thought; /* that stands in front of the assistant's next message */
};

static bool is_among(const char *text, const char *const *names, size_t n)
{
    for (size_t i = 0; text && i < n; i++)
        if (strcmp(text, names[i]) == 0)
            return true;
    return false;
}

/* A text, or a list of parts that are texts: as chats have it. NULL: the note says why not. `member`: what of the item
 * it is. */
static json_t *convert_content(json_t *content, size_t i, const char *member, struct note *note)
{
    static const char *const types[] = {"input_text", "output_text"};
    if (json_is_string(content))
        return json_incref(content);
    json_t *parts = json_array();
    for (size_t k = 0; k < json_array_size(content); k++) {
        const json_t *part = json_array_get(content, k);
        const char *type = json_text(part, "type");
        json_t *text = json_object_get(part, "text");
        bool known = is_among(type, types, sizeof types / sizeof *types);
        if (!known)
            (void)note_set(note, ERR_FORMAT,
                           "input[%zu].%s[%zu] is of type %.32s: only parts of type input_text and output_text are "
                           "supported",
                           i, member, k, type ? type : "(none)");
        else if (!json_is_string(text))
            (void)note_set(note, ERR_FORMAT, "input[%zu].%s[%zu].text must be a text", i, member, k);
        if (!known || !json_is_string(text)) {
            json_decref(parts);
            return NULL;
        }
        json_array_append_new(parts, json_pack("{s:s, s:O}", "type", "text", "text", text));
    }
    if (json_is_array(content))
        return parts;
    json_decref(parts);
    (void)note_set(note, ERR_FORMAT, "input[%zu].%s must be a text or a list of parts", i, member);
    return NULL;
}

static bool is_assistant(const char *role)
{
    return role && strcmp(role, "assistant") == 0;
}

/* A new message; the assistant's has what was thought in front of it. */
static json_t *append(struct items *all, const char *role, json_t *content_take)
{
    json_t *message = json_pack("{s:s, s:o}", "role", role, "content", content_take);
    if (is_assistant(role) && all->thought.n)
        json_object_set_new(message, "reasoning_content", json_stringn((const char *)all->thought.p, all->thought.n));
    buf_reset(&all->thought);
    json_array_append_new(all->messages, message);
    return message;
}

static enum err add_message(struct items *all, const json_t *item, size_t i, struct note *note)
{
    static const char *const roles[] = {"system", "developer", "user", "assistant"};
    const char *role = json_text(item, "role");
    if (!role && json_text(item, "id"))
        return note_set(note, ERR_FORMAT,
                        "input[%zu] refers to an item that this node does not keep: send the item itself, and store: "
                        "false to clients that would refer to it",
                        i);
    if (!is_among(role, roles, sizeof roles / sizeof *roles))
        return note_set(note, ERR_FORMAT, "input[%zu].role is %.32s: it must be system, developer, user or assistant",
                        i, role ? role : "(none)");
    json_t *content = convert_content(json_object_get(item, "content"), i, "content", note);
    if (!content)
        return ERR_FORMAT;
    (void)append(all, role, content);
    return ERR_OK;
}

static enum err add_thought(struct items *all, const json_t *item, size_t i, struct note *note)
{
    const json_t *parts = json_object_get(item, "content");
    for (size_t k = 0; k < json_array_size(parts); k++) {
        const json_t *part = json_array_get(parts, k), *text = json_object_get(part, "text");
        const char *type = json_text(part, "type");
        if (!type || strcmp(type, "reasoning_text") != 0 || !json_is_string(text))
            return note_set(note, ERR_FORMAT,
                            "input[%zu].content[%zu] must be {\"type\":\"reasoning_text\",\"text\":..}", i, k);
        buf_add_text(&all->thought, all->thought.n ? "\n\n" : "");
        buf_add(&all->thought, json_string_value(text), json_string_length(text));
    }
    return ERR_OK;
}

/* The calls of the assistant's turn that is under way. */
static json_t *calls_of_turn(struct items *all)
{
    size_t n = json_array_size(all->messages);
    json_t *last = n ? json_array_get(all->messages, n - 1) : NULL;
    if (!is_assistant(json_text(last, "role")) || all->thought.n)
        last = append(all, "assistant", json_null());
    if (!json_object_get(last, "tool_calls"))
        json_object_set_new(last, "tool_calls", json_array());
    return json_object_get(last, "tool_calls");
}

static enum err add_call(struct items *all, const json_t *item, size_t i, struct note *note)
{
    const char *id = json_text(item, "call_id"), *name = json_text(item, "name");
    json_t *arguments = json_object_get(item, "arguments");
    if (!id || !*id || !name || !json_is_string(arguments))
        return note_set(note, ERR_FORMAT,
                        "input[%zu] is a function_call: it must have call_id, name, and arguments that are a text of "
                        "JSON",
                        i);
    json_array_append_new(calls_of_turn(all), json_pack("{s:s, s:s, s:{s:s, s:O}}", "id", id, "type", "function",
                                                        "function", "name", name, "arguments", arguments));
    json_object_set_new(all->called, id, json_true());
    return ERR_OK;
}

static enum err add_output(struct items *all, const json_t *item, size_t i, struct note *note)
{
    const char *id = json_text(item, "call_id");
    if (!id || !json_object_get(all->called, id))
        return note_set(note, ERR_FORMAT,
                        "input[%zu].call_id is %.40s: no function_call in front of it has that, and this node keeps "
                        "no responses: send the call as well",
                        i, id ? id : "(none)");
    json_t *content = convert_content(json_object_get(item, "output"), i, "output", note);
    if (!content)
        return ERR_FORMAT;
    json_array_append_new(all->messages,
                          json_pack("{s:s, s:s, s:o}", "role", "tool", "tool_call_id", id, "content", content));
    return ERR_OK;
}

static enum err add_item(struct items *all, const json_t *item, size_t i, struct note *note)
{
    /* item_reference has its id alone, and is found as a message without a role. */
    static const struct {
        const char *type;
        enum err (*add)(struct items *all, const json_t *item, size_t i, struct note *note);
    } kinds[] = {{"message", add_message},
                 {"item_reference", add_message},
                 {"reasoning", add_thought},
                 {"function_call", add_call},
                 {"function_call_output", add_output}};
    const json_t *given = json_object_get(item, "type");
    const char *type = json_is_given(given) ? json_string_value(given) : "message";
    if (!json_is_object(item))
        return note_set(note, ERR_FORMAT, "input[%zu] must be an object: a message, a call or its output", i);
    for (size_t k = 0; type && k < sizeof kinds / sizeof *kinds; k++)
        if (strcmp(type, kinds[k].type) == 0)
            return kinds[k].add(all, item, i, note);
    return note_set(
        note, ERR_FORMAT,
        "input[%zu] is of type %.32s: only message, reasoning, function_call and function_call_output are supported", i,
        type ? type : "(none)");
}

enum err openai_read_items(json_t *instructions, json_t *input, json_t *messages, struct note *note)
{
    struct items all = {.messages = messages, .called = json_object()};
    enum err e = ERR_OK;
    if (json_is_string(instructions))
        json_array_append_new(messages, json_pack("{s:s, s:O}", "role", "system", "content", instructions));
    else if (json_is_given(instructions))
        e = note_set(note, ERR_FORMAT, "instructions must be a text");
    if (json_is_string(input))
        json_array_append_new(messages, json_pack("{s:s, s:O}", "role", "user", "content", input));
    else if (e == ERR_OK && json_array_size(input) == 0)
        e = note_set(note, ERR_FORMAT, "input must be a text or a list of at least one item");
    for (size_t i = 0; e == ERR_OK && i < json_array_size(input); i++)
        e = add_item(&all, json_array_get(input, i), i, note);
    json_decref(all.called);
    buf_clear(&all.thought);
    return e;
}
