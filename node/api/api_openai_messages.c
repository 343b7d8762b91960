/* The messages of a chat as they came, before a template sees them: what a template would leave out or print as "None"
 * is refused here, with the place. */
#include "node/api/api_openai.h"

#include <string.h>

static bool is_role(const char *role)
{
    static const char *const roles[] = {"system", "developer", "user", "assistant", "tool", "function"};
    for (size_t i = 0; role && i < sizeof roles / sizeof *roles; i++)
        if (strcmp(role, roles[i]) == 0)
            return true;
    return false;
}

/* A model of texts sees no pictures: better said than left out. */
static enum err check_parts(const json_t *parts, size_t i, struct note *note)
{
    for (size_t k = 0; k < json_array_size(parts); k++) {
        const json_t *part = json_array_get(parts, k);
        const char *type = json_text(part, "type");
        if (!type || strcmp(type, "text") != 0)
            return note_set(note, ERR_FORMAT,
                            "messages[%zu].content[%zu] is of type %.32s: only parts of type text are supported", i, k,
                            type ? type : "(none)");
        if (!json_text(part, "text"))
            return note_set(note, ERR_FORMAT, "messages[%zu].content[%zu].text must be a text", i, k);
    }
    return ERR_OK;
}

static enum err check_calls(const json_t *calls, size_t i, struct note *note)
{
    if (!json_is_array(calls))
        return note_set(note, ERR_FORMAT, "messages[%zu].tool_calls must be a list", i);
    for (size_t k = 0; k < json_array_size(calls); k++) {
        const json_t *function = json_object_get(json_array_get(calls, k), "function");
        const json_t *arguments = json_object_get(function, "arguments");
        if (!json_text(function, "name") || (!json_is_string(arguments) && !json_is_object(arguments)))
            return note_set(note, ERR_FORMAT,
                            "messages[%zu].tool_calls[%zu].function must have a name, and arguments that are a text "
                            "of JSON",
                            i, k);
    }
    return ERR_OK;
}

/* An assistant that only called tools said nothing. */
static enum err check_content(const json_t *message, const char *role, size_t i, struct note *note)
{
    const json_t *content = json_object_get(message, "content"), *calls = json_object_get(message, "tool_calls");
    bool called = json_array_size(calls) || json_is_given(json_object_get(message, "function_call"));
    if (json_is_array(content))
        return check_parts(content, i, note);
    if (json_is_string(content) || (!json_is_given(content) && called && strcmp(role, "assistant") == 0))
        return ERR_OK;
    return note_set(note, ERR_FORMAT, "messages[%zu].content must be a text or a list of parts", i);
}

static enum err check_message(const json_t *message, size_t i, struct note *note)
{
    const char *role = json_text(message, "role");
    const json_t *calls = json_object_get(message, "tool_calls");
    if (!json_is_object(message))
        return note_set(note, ERR_FORMAT, "messages[%zu] must be an object with role and content", i);
    if (!is_role(role))
        return note_set(note, ERR_FORMAT,
                        "messages[%zu].role is %.32s: it must be system, developer, user, assistant or tool", i,
                        role ? role : "(none)");
    enum err e = json_is_given(calls) ? check_calls(calls, i, note) : ERR_OK;
    return e == ERR_OK ? check_content(message, role, i, note) : e;
}

enum err openai_check_messages(const json_t *list, struct note *note)
{
    enum err e = ERR_OK;
    if (!json_is_array(list) || json_array_size(list) == 0)
        return note_set(note, ERR_FORMAT, "messages must be a list of at least one message");
    for (size_t i = 0; e == ERR_OK && i < json_array_size(list); i++)
        e = check_message(json_array_get(list, i), i, note);
    return e;
}
