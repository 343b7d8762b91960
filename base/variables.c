/* Variables of templates. */
#include "base/variables.h"

#include "base/limits.h"

#include <string.h>

/* What every template is given, or is told by other fields of a request. */
static const char *const taken[] = {"messages",  "tools",    "documents", "add_generation_prompt",
                                    "bos_token", "eos_token"};

static bool is_among(const char *name, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

/* As Jinja has names. */
static bool is_name(const char *name)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";
    size_t n = strlen(name);
    return n > 0 && n <= TEMPLATE_VARIABLE_NAME_MAX && strspn(name, letters) == n && !strchr("0123456789", name[0]);
}

static enum err check_one(const char *name, const json_t *value, const char *called, struct note *note)
{
    if (!is_name(name))
        return note_set(note, ERR_FORMAT,
                        "%s has a name \"%.64s\": names have 1 to %d letters, digits and _, no digit in front", called,
                        name, TEMPLATE_VARIABLE_NAME_MAX);
    if (is_among(name, taken, sizeof taken / sizeof *taken))
        return note_set(note, ERR_FORMAT, "%s.%s cannot be set: every template is given it by the request itself",
                        called, name);
    if (json_is_array(value) || json_is_object(value))
        return note_set(note, ERR_FORMAT, "%s.%s is %s: a variable is a text, a number, true, false or null", called,
                        name, json_is_array(value) ? "a list" : "an object");
    return ERR_OK;
}

enum err variables_check(const json_t *object, const char *called, struct note *note)
{
    const char *name;
    const json_t *value;
    struct buf text = {0};
    enum err e = ERR_OK;
    if (!json_is_given(object))
        return ERR_OK;
    if (!json_is_object(object))
        return note_set(note, ERR_FORMAT, "%s must be an object of variables for the chat template", called);
    if (json_object_size(object) > TEMPLATE_VARIABLES_MAX)
        return note_set(note, ERR_RANGE, "%s has %zu variables: at most %d are allowed", called,
                        json_object_size(object), TEMPLATE_VARIABLES_MAX);
    json_object_foreach((json_t *)object, name, value)
    {
        if (e == ERR_OK)
            e = check_one(name, value, called, note);
    }
    json_print(&text, object);
    if (e == ERR_OK && text.n > TEMPLATE_VARIABLES_BYTES_MAX)
        e = note_set(note, ERR_RANGE, "%s has %zu bytes: at most %d are allowed", called, text.n,
                     TEMPLATE_VARIABLES_BYTES_MAX);
    buf_clear(&text);
    return e;
}

static enum err set(json_t *object, const char *name, json_t *value_take, const char *called, struct note *note)
{
    json_t *there = json_object_get(object, name);
    enum err e = ERR_OK;
    if (there && !json_equal(there, value_take))
        e = note_set(note, ERR_FORMAT, "%s and the variable %s contradict each other: leave one of them out", called,
                     name);
    else
        json_object_set(object, name, value_take);
    json_decref(value_take);
    return e;
}

enum err variables_set_effort(json_t *object, const char *effort, const char *called, struct note *note)
{
    static const char *const efforts[] = {"none", "minimal", "low", "medium", "high", "xhigh", "max"};
    if (!is_among(effort, efforts, sizeof efforts / sizeof *efforts))
        return note_set(
            note, ERR_FORMAT,
            "%s is \"%.40s\": it must be none, minimal, low, medium, high, xhigh or max; another word that the "
            "model's template knows goes as the variable reasoning_effort",
            called, effort);
    if (strcmp(effort, "none") == 0)
        return set(object, "enable_thinking", json_false(), called, note);
    return set(object, "reasoning_effort", json_string(effort), called, note);
}
