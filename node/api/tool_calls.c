/* Calls of tools: of the form whose mark stands first, over all of the answer that is left. */
#include "node/api/tool_calls.h"

#include "base/answer_form.h"
#include "base/codec.h"
#include "node/api/tool_forms.h"
#include "node/api/tool_schema.h"

#include <string.h>

static const char python_mark[] = "<|python_tag|>";

enum choice { CHOICE_AUTO, CHOICE_NONE, CHOICE_REQUIRED, CHOICE_NAMED };

/* -- the request -- */

bool tool_calls_is_name(const char *name)
{
    size_t n = name ? strlen(name) : 0;
    return n > 0 && n <= TOOL_NAME_BYTES_MAX &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") == n;
}

static const char *tool_name(const json_t *tool)
{
    const char *name = json_text(json_object_get(tool, "function"), "name");
    const char *type = json_text(tool, "type");
    return tool_calls_is_name(name) && type && strcmp(type, "function") == 0 ? name : NULL;
}

static enum err check_tools(const json_t *list, struct note *note)
{
    if (json_is_given(list) && !json_is_array(list))
        return note_set(note, ERR_FORMAT, "tools must be a list");
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!tool_name(json_array_get(list, i)))
            return note_set(
                note, ERR_FORMAT,
                "tools[%zu] must be {\"type\":\"function\",\"function\":{\"name\":..}} with a name of 1 to %d "
                "letters, digits, _ and -",
                i, TOOL_NAME_BYTES_MAX);
    return ERR_OK;
}

static json_t *find_tool(const json_t *list, const char *name)
{
    for (size_t i = 0; name && i < json_array_size(list); i++)
        if (strcmp(tool_name(json_array_get(list, i)), name) == 0)
            return json_array_get(list, i);
    return NULL;
}

/* Of the body's tools those that {"mode":"auto" or "required","tools":[..]} names stay. *mode is then the choice. */
static enum err allow_only(json_t *body, const json_t *allowed, json_t **mode, struct note *note)
{
    const json_t *list = json_object_get(body, "tools"), *names = json_object_get(allowed, "tools"), *v;
    json_t *kept = json_array();
    enum err e = ERR_OK;
    size_t i;
    *mode = json_object_get(allowed, "mode");
    if (!json_is_string(*mode) || json_array_size(names) == 0)
        e = note_set(note, ERR_FORMAT, "tool_choice.allowed_tools must have a mode, auto or required, and tools");
    json_array_foreach(names, i, v)
    {
        const char *name = tool_name(v);
        json_t *tool = find_tool(list, name);
        if (!tool && e == ERR_OK)
            e = note_set(note, ERR_FORMAT, "tool_choice allows %.64s, which is not among the tools",
                         name ? name : "what is no function");
        if (tool && !find_tool(kept, name))
            json_array_append(kept, tool);
    }
    if (e == ERR_OK)
        json_object_set(body, "tools", kept);
    json_decref(kept);
    return e;
}

/* auto, none, required, {"type":"function","function":{"name":..}}, whose name is *named, or
 * {"type":"allowed_tools","allowed_tools":{..}}, which leaves in the body the tools that it allows. */
static enum err read_choice(json_t *body, enum choice *out, const char **named, struct note *note)
{
    static const char *const words[] = {"auto", "none", "required"};
    json_t *choice = json_object_get(body, "tool_choice");
    const char *type = json_text(choice, "type");
    if (type && strcmp(type, "allowed_tools") == 0) {
        enum err e = allow_only(body, json_object_get(choice, "allowed_tools"), &choice, note);
        if (e != ERR_OK)
            return e;
    }
    const char *word = json_string_value(choice);
    *named = tool_name(choice);
    *out = *named ? CHOICE_NAMED : CHOICE_AUTO;
    if (!json_is_given(choice))
        return ERR_OK;
    bool known = *named != NULL;
    for (size_t i = 0; word && i < sizeof words / sizeof *words; i++)
        if (strcmp(word, words[i]) == 0) {
            *out = (enum choice)i;
            known = true;
        }
    if (!known)
        return note_set(note, ERR_FORMAT,
                        "tool_choice must be auto, none, required, or "
                        "{\"type\":\"function\",\"function\":{\"name\":..}}");
    if (*out >= CHOICE_REQUIRED && json_array_size(json_object_get(body, "tools")) == 0)
        return note_set(note, ERR_FORMAT, "tool_choice asks for a call, but there are no tools");
    return ERR_OK;
}

void tool_forced_clear(struct tool_forced *f)
{
    json_decref(f->call);
    json_decref(f->arguments);
    *f = (struct tool_forced){0};
}

static enum err force(const json_t *list, const char *named, struct tool_forced *out, struct note *note)
{
    out->call = tool_schema_of_call(list, named);
    if (!out->call)
        return note_set(note, ERR_FORMAT, "tool_choice names %.64s, which is not among the tools", named);
    out->name = named ? named : json_array_size(list) == 1 ? tool_name(json_array_get(list, 0)) : NULL;
    out->arguments = out->name ? tool_schema_of_arguments(list, out->name) : NULL;
    return ERR_OK;
}

enum err tool_calls_read(json_t *body, const json_t **tools, bool *one_only, struct tool_forced *forced,
                         struct note *note)
{
    const json_t *list = json_object_get(body, "tools"), *parallel = json_object_get(body, "parallel_tool_calls");
    enum choice choice = CHOICE_AUTO;
    const char *named = NULL;
    *tools = NULL;
    *forced = (struct tool_forced){0};
    *one_only = json_is_false(parallel);
    if (json_is_given(parallel) && !json_is_boolean(parallel))
        return note_set(note, ERR_FORMAT, "parallel_tool_calls must be true or false");
    enum err e = check_tools(list, note);
    if (e == ERR_OK)
        e = read_choice(body, &choice, &named, note);
    list = json_object_get(body, "tools");
    if (e == ERR_OK && choice >= CHOICE_REQUIRED)
        e = force(list, named, forced, note);
    if (e != ERR_OK)
        return e;
    if (json_array_size(list) && choice != CHOICE_NONE)
        *tools = list;
    return ERR_OK;
}

/* -- reading -- */

bool tool_calls_add(json_t *calls, const json_t *tools, struct bytes name, struct bytes arguments)
{
    struct tool_finds f = {tools, calls};
    json_t *value = json_parse(arguments, NULL);
    bool good = json_is_object(value) && tool_add_call(&f, name, value);
    json_decref(value);
    return good;
}

static size_t find(struct bytes text, const char *mark)
{
    const uint8_t *p = text.n ? memmem(text.p, text.n, mark, strlen(mark)) : NULL;
    return p ? (size_t)(p - text.p) : text.n;
}

/* Where the first mark of one of the forms stands; the text's length if there is none. */
static size_t find_form(uint32_t forms, struct bytes text, enum call_form *form)
{
    size_t first = text.n;
    for (unsigned i = 0; i < CALL_FORMS; i++) {
        if (!(forms & 1u << i))
            continue;
        size_t at = find(bytes_of(text.p, first), call_form_mark((enum call_form)i));
        if (at >= first)
            continue;
        first = at;
        *form = (enum call_form)i;
    }
    return first;
}

json_t *tool_calls_find(const json_t *tools, uint32_t forms, struct bytes answer, size_t *content_n)
{
    struct tool_finds f = {tools, json_array()};
    enum call_form form = CALL_FORMS;
    size_t at = find_form(forms | ANSWER_FORM_PLAIN, answer, &form);
    struct rest r = {answer.p, answer.n};
    bool good = form == CALL_ALL && tool_form_take_bare(&f, &r); /* the first call has no mark */
    if (good) {
        at = 0;
    } else if (form != CALL_FORMS) {
        json_array_clear(f.calls);
        r = (struct rest){answer.p, answer.n};
        rest_skip(&r, at);
        good = tool_form_take(form, &f, &r);
    } else {
        good = tool_form_take_bare(&f, &r);
        at = 0;
    }
    *content_n = bytes_trim(bytes_of(answer.p, at)).n == 0 ? 0 : at;
    /* a NUL, which JSON may hold and readers of it refuse, is nothing that is called with */
    good = good && !memchr(answer.p + at, 0, answer.n - at);
    if (good && json_array_size(f.calls))
        return f.calls;
    json_decref(f.calls);
    *content_n = answer.n;
    return NULL;
}

/* -- streams -- */

/* The text may begin a mark at its end, or the whole of it may be the beginning of one. */
static bool may_begin(struct bytes text, const char *mark)
{
    size_t n = strlen(mark);
    return memcmp(text.p, mark, text.n < n ? text.n : n) == 0;
}

/* Less the tail that could turn out to be a mark's beginning. */
static size_t before_mark(struct bytes text, const char *mark)
{
    size_t n = strlen(mark), at = find(text, mark);
    for (size_t from = text.n > n ? text.n - n : 0; at == text.n && from < text.n; from++)
        if (may_begin(bytes_of(text.p + from, text.n - from), mark))
            return from;
    return at;
}

size_t tool_calls_sure(const json_t *tools, uint32_t forms, struct bytes answer)
{
    struct rest r = {answer.p, answer.n};
    rest_skip_spaces(&r);
    struct bytes text = bytes_of(r.p, r.n);
    if (text.n == 0 || *text.p == '{' || *text.p == '[' || may_begin(text, python_mark))
        return 0;
    for (size_t i = 0; i < json_array_size(tools); i++) {
        struct rest at = r;
        const char *name = tool_name(json_array_get(tools, i));
        if (!may_begin(text, name))
            continue;
        bool whole = rest_take(&at, name);
        rest_skip_spaces(&at);
        if (!whole || at.n == 0 || *at.p == '{' || *at.p == '[' || *at.p == '`')
            return 0;
    }
    size_t sure = answer.n;
    forms |= ANSWER_FORM_PLAIN;
    for (unsigned i = 0; i < CALL_FORMS; i++)
        if (forms & 1u << i)
            sure = before_mark(bytes_of(answer.p, sure), call_form_mark((enum call_form)i));
    return bytes_trim(bytes_of(answer.p, sure)).n == 0 ? 0 : sure;
}

/* -- printing -- */

void tool_calls_print_id(struct buf *out, const struct hash *job, size_t index)
{
    static const char letters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    uint64_t high = load_le64(job->b), low = index;
    char id[10] = {0};
    for (size_t i = 0; i < 6; i++, high /= 62)
        id[i] = letters[high % 62];
    for (size_t i = 6; i < 9; i++, low /= 62)
        id[i] = letters[low % 62];
    buf_add_text(out, id);
}

static void put_call(struct buf *out, const json_t *call, const struct hash *job, size_t i, const char *arguments)
{
    const char *name = json_text(call, "name");
    buf_add_text(out, "\"id\":\"");
    tool_calls_print_id(out, job, i);
    buf_add_text(out, "\",\"type\":\"function\",\"function\":{\"name\":");
    codec_json_string(out, name, strlen(name));
    buf_add_text(out, ",\"arguments\":");
    codec_json_string(out, arguments, strlen(arguments));
    buf_add_text(out, "}}");
}

void tool_calls_print(struct buf *out, const json_t *calls, const struct hash *job)
{
    buf_add_text(out, "[");
    for (size_t i = 0; i < json_array_size(calls); i++) {
        const json_t *call = json_array_get(calls, i);
        buf_add_text(out, i ? ",{" : "{");
        put_call(out, call, job, i, json_text(call, "arguments"));
    }
    buf_add_text(out, "]");
}

void tool_calls_print_delta(struct buf *out, const json_t *calls, const struct hash *job, size_t i, bool arguments)
{
    const json_t *call = json_array_get(calls, i);
    const char *text = json_text(call, "arguments");
    buf_add_format(out, "{\"index\":%zu,", i);
    if (!arguments) {
        put_call(out, call, job, i, "");
        return;
    }
    buf_add_text(out, "\"function\":{\"arguments\":");
    codec_json_string(out, text, strlen(text));
    buf_add_text(out, "}}");
}
