/* Calls of tools in answers: forms tried one after the other, each over the whole answer. */
#include "node/api/tool_calls.h"

#include "base/codec.h"
#include "node/api/tool_schema.h"

#include <string.h>

static const char open_tag[] = "<tool_call>", close_tag[] = "</tool_call>", mistral_mark[] = "[TOOL_CALLS]",
                  args_mark[] = "[ARGS]", id_mark[] = "[CALL_ID]", python_mark[] = "<|python_tag|>";

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

/* auto, none, required, or {"type":"function","function":{"name":..}}, whose name is *named. */
static enum err read_choice(const json_t *body, size_t tools_n, enum choice *out, const char **named, struct note *note)
{
    static const char *const words[] = {"auto", "none", "required"};
    const json_t *choice = json_object_get(body, "tool_choice");
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
    if (*out >= CHOICE_REQUIRED && tools_n == 0)
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

enum err tool_calls_read(const json_t *body, const json_t **tools, bool *one_only, struct tool_forced *forced,
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
        e = read_choice(body, json_array_size(list), &choice, &named, note);
    if (e == ERR_OK && choice >= CHOICE_REQUIRED)
        e = force(list, named, forced, note);
    if (e != ERR_OK)
        return e;
    if (json_array_size(list) && choice != CHOICE_NONE)
        *tools = list;
    return ERR_OK;
}

/* -- reading -- */

/* What is left of an answer; a failed step leaves it where it was. */
struct rest {
    const uint8_t *p;
    size_t n;
};

static void skip(struct rest *r, size_t n)
{
    r->p += n;
    r->n -= n;
}

static void skip_spaces(struct rest *r)
{
    while (r->n && (*r->p == ' ' || *r->p == '\n' || *r->p == '\r' || *r->p == '\t'))
        skip(r, 1);
}

static bool take(struct rest *r, const char *mark)
{
    size_t n = strlen(mark);
    bool there = r->n >= n && memcmp(r->p, mark, n) == 0;
    if (there)
        skip(r, n);
    return there;
}

/* The JSON object or array that it begins with, taken off; NULL if there is none. */
static json_t *take_json(struct rest *r)
{
    size_t depth = 0, n = 0;
    bool quoted = false;
    if (r->n == 0 || (*r->p != '{' && *r->p != '['))
        return NULL;
    for (; n < r->n; n++) {
        uint8_t c = r->p[n];
        if (quoted && c == '\\')
            n++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == '{' || c == '['))
            depth++;
        else if (!quoted && (c == '}' || c == ']') && --depth == 0)
            break;
    }
    json_t *value = n < r->n ? json_parse(bytes_of(r->p, n + 1), NULL) : NULL;
    if (value)
        skip(r, n + 1);
    return value;
}

static const char *known_name(const json_t *tools, const char *name)
{
    for (size_t i = 0; name && i < json_array_size(tools); i++)
        if (strcmp(tool_name(json_array_get(tools, i)), name) == 0)
            return name;
    return NULL;
}

/* Adds a call with arguments that are an object, or the text of one. */
static bool add_call(json_t *calls, const char *name, const json_t *arguments)
{
    struct buf text = {0};
    json_t *inner = NULL;
    if (!name || (arguments && !json_is_object(arguments) && !json_is_string(arguments)))
        return false;
    if (json_is_string(arguments)) {
        inner = json_parse(bytes_of(json_string_value(arguments), json_string_length(arguments)), NULL);
        if (!json_is_object(inner)) {
            json_decref(inner);
            return false;
        }
        arguments = inner;
    }
    if (arguments)
        json_print_short(&text, arguments);
    else
        buf_add_text(&text, "{}");
    json_array_append_new(calls, json_pack("{s:s, s:s}", "name", name, "arguments", buf_text(&text)));
    buf_clear(&text);
    json_decref(inner);
    return true;
}

bool tool_calls_add(json_t *calls, const json_t *tools, struct bytes name, struct bytes arguments)
{
    char room[TOOL_NAME_BYTES_MAX + 1] = {0};
    json_t *value = json_parse(arguments, NULL);
    bool good = name.n < sizeof room && json_is_object(value);
    if (good)
        memcpy(room, name.p, name.n);
    good = good && add_call(calls, known_name(tools, room), value);
    json_decref(value);
    return good;
}

/* {"name":..,"arguments" or "parameters":..}, bare or within {"type":"function","function":..}. */
static bool add_object(const json_t *tools, json_t *calls, const json_t *object)
{
    const json_t *inner = json_object_get(object, "function");
    if (json_is_object(inner))
        object = inner;
    const json_t *arguments = json_object_get(object, "arguments");
    if (!arguments)
        arguments = json_object_get(object, "parameters");
    return add_call(calls, known_name(tools, json_text(object, "name")), arguments);
}

static bool take_object(const json_t *tools, json_t *calls, struct rest *r)
{
    json_t *object = take_json(r);
    bool good = json_is_object(object) && add_object(tools, calls, object);
    json_decref(object);
    return good;
}

static bool take_tagged(const json_t *tools, json_t *calls, struct rest *r)
{
    while (take(r, open_tag)) {
        skip_spaces(r);
        if (!take_object(tools, calls, r))
            return false;
        skip_spaces(r);
        if (!take(r, close_tag) && r->n)
            return false;
        skip_spaces(r);
    }
    return r->n == 0;
}

static bool take_list(const json_t *tools, json_t *calls, struct rest *r)
{
    json_t *list = take_json(r);
    bool good = json_is_array(list);
    for (size_t i = 0; good && i < json_array_size(list); i++)
        good = add_object(tools, calls, json_array_get(list, i));
    json_decref(list);
    skip_spaces(r);
    return good && r->n == 0;
}

/* Objects with semicolons, commas or white space between. */
static bool take_objects(const json_t *tools, json_t *calls, struct rest *r)
{
    bool good = true;
    while (good && r->n) {
        good = take_object(tools, calls, r);
        skip_spaces(r);
        if (take(r, ";") || take(r, ","))
            skip_spaces(r);
    }
    return good;
}

/* The name of a tool, with what may stand between it and its arguments; NULL if the text begins otherwise. */
static const char *take_name(const json_t *tools, struct rest *r)
{
    struct rest best = *r;
    const char *found = NULL;
    for (size_t i = 0; i < json_array_size(tools); i++) {
        struct rest at = *r;
        const char *name = tool_name(json_array_get(tools, i));
        if (!take(&at, name))
            continue;
        if (take(&at, id_mark))
            while (at.n && *at.p != '[' && *at.p != '{')
                skip(&at, 1);
        (void)take(&at, args_mark);
        skip_spaces(&at);
        if (at.n && *at.p == '{') {
            best = at;
            found = name;
        }
    }
    *r = best;
    return found;
}

static bool take_named(const json_t *tools, json_t *calls, struct rest *r)
{
    bool good = true;
    while (good && r->n) {
        const char *name = take_name(tools, r);
        json_t *arguments = name ? take_json(r) : NULL;
        good = json_is_object(arguments) && add_call(calls, name, arguments);
        json_decref(arguments);
        skip_spaces(r);
        if (take(r, mistral_mark))
            skip_spaces(r);
    }
    return good;
}

/* By the first characters. */
static bool take_unmarked(const json_t *tools, json_t *calls, struct rest *r)
{
    skip_spaces(r);
    if (r->n && *r->p == '[')
        return take_list(tools, calls, r);
    return r->n && *r->p == '{' ? take_objects(tools, calls, r) : take_named(tools, calls, r);
}

static size_t find(struct bytes text, const char *mark)
{
    const uint8_t *p = text.n ? memmem(text.p, text.n, mark, strlen(mark)) : NULL;
    return p ? (size_t)(p - text.p) : text.n;
}

json_t *tool_calls_find(const json_t *tools, struct bytes answer, size_t *content_n)
{
    json_t *calls = json_array();
    size_t tagged = find(answer, open_tag), marked = find(answer, mistral_mark), at = tagged < marked ? tagged : marked;
    struct rest r = {answer.p, answer.n};
    bool good;
    if (at < answer.n) {
        skip(&r, at);
        good =
            tagged < marked ? take_tagged(tools, calls, &r) : take(&r, mistral_mark) && take_unmarked(tools, calls, &r);
    } else {
        at = 0;
        skip_spaces(&r);
        (void)take(&r, python_mark);
        good = take_unmarked(tools, calls, &r);
    }
    *content_n = at;
    if (good && json_array_size(calls))
        return calls;
    json_decref(calls);
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

size_t tool_calls_sure(const json_t *tools, struct bytes answer)
{
    struct rest r = {answer.p, answer.n};
    skip_spaces(&r);
    struct bytes text = bytes_of(r.p, r.n);
    if (text.n == 0 || *text.p == '{' || *text.p == '[' || may_begin(text, python_mark))
        return 0;
    for (size_t i = 0; i < json_array_size(tools); i++) {
        struct rest at = r;
        const char *name = tool_name(json_array_get(tools, i));
        if (!may_begin(text, name))
            continue;
        bool whole = take(&at, name);
        skip_spaces(&at);
        if (!whole || at.n == 0 || *at.p == '{' || *at.p == '[')
            return 0;
    }
    size_t tagged = before_mark(answer, open_tag), marked = before_mark(answer, mistral_mark);
    return tagged < marked ? tagged : marked;
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

void tool_calls_print(struct buf *out, const json_t *calls, const struct hash *job, bool indexed)
{
    buf_add_text(out, "[");
    for (size_t i = 0; i < json_array_size(calls); i++) {
        const char *name = json_text(json_array_get(calls, i), "name");
        const char *arguments = json_text(json_array_get(calls, i), "arguments");
        buf_add_text(out, i ? ",{" : "{");
        if (indexed)
            buf_add_format(out, "\"index\":%zu,", i);
        buf_add_text(out, "\"id\":\"");
        tool_calls_print_id(out, job, i);
        buf_add_text(out, "\",\"type\":\"function\",\"function\":{\"name\":");
        codec_json_string(out, name, strlen(name));
        buf_add_text(out, ",\"arguments\":");
        codec_json_string(out, arguments, strlen(arguments));
        buf_add_text(out, "}}");
    }
    buf_add_text(out, "]");
}
