/* The forms, each a few marks around names and JSON. Those whose parameters stand between tags: node/api/tool_tags.c.
 */
#include "node/api/tool_forms.h"

#include "base/limits.h"
#include "node/api/tool_tags.h"

#include <string.h>

const char *tool_name_of(const json_t *tool)
{
    return json_text(json_object_get(tool, "function"), "name");
}

const char *tool_known_name(const json_t *tools, struct bytes name)
{
    for (size_t i = 0; i < json_array_size(tools); i++) {
        const char *known = tool_name_of(json_array_get(tools, i));
        if (known && bytes_equal(bytes_of_text(known), name))
            return known;
    }
    return NULL;
}

bool tool_add_call(struct tool_finds *f, struct bytes name, const json_t *arguments)
{
    const char *known = tool_known_name(f->tools, name);
    struct buf text = {0};
    json_t *inner = NULL;
    if (!known || (arguments && !json_is_object(arguments) && !json_is_string(arguments)))
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
    json_array_append_new(f->calls, json_pack("{s:s, s:s}", "name", known, "arguments", buf_text(&text)));
    buf_clear(&text);
    json_decref(inner);
    return true;
}

/* -- JSON -- */

static const json_t *member(const json_t *object, const char *name, const char *otherwise)
{
    const json_t *value = json_object_get(object, name);
    return value ? value : json_object_get(object, otherwise);
}

/* {NAME: arguments} */
static bool add_pair(struct tool_finds *f, const json_t *object)
{
    void *at = json_object_iter((json_t *)(uintptr_t)object);
    const char *name = at ? json_object_iter_key(at) : NULL;
    return name && json_object_size(object) == 1 && json_is_object(json_object_iter_value(at)) &&
           tool_add_call(f, bytes_of_text(name), json_object_iter_value(at));
}

/* {"name":..,"arguments" or "parameters":..}, bare or within {"type":"function","function":..}. */
static bool add_object(struct tool_finds *f, const json_t *object)
{
    const json_t *inner = json_object_get(object, "function");
    if (json_is_object(inner))
        object = inner;
    const json_t *name = member(object, "name", "tool_name");
    if (!json_is_string(name))
        return false;
    return tool_add_call(f, bytes_of(json_string_value(name), json_string_length(name)),
                         member(object, "arguments", "parameters"));
}

typedef bool (*add_fn)(struct tool_finds *f, const json_t *object);

static bool take_object(struct tool_finds *f, struct rest *r)
{
    json_t *object = rest_take_json(r);
    bool good = json_is_object(object) && add_object(f, object);
    json_decref(object);
    return good;
}

static bool take_list(struct tool_finds *f, struct rest *r, add_fn add)
{
    json_t *list = rest_take_json(r);
    bool good = json_is_array(list);
    for (size_t i = 0; good && i < json_array_size(list); i++)
        good = add(f, json_array_get(list, i));
    json_decref(list);
    rest_skip_spaces(r);
    return good;
}

/* Objects with semicolons, commas or white space between. */
static bool take_objects(struct tool_finds *f, struct rest *r)
{
    bool good = true;
    while (good && rest_begins(r, "{")) {
        good = take_object(f, r);
        rest_skip_spaces(r);
        if (rest_take(r, ";") || rest_take(r, ","))
            rest_skip_spaces(r);
    }
    return good;
}

/* An answer may end before the mark that closes its calls. */
static bool closes(struct rest *r, const char *close)
{
    rest_skip_spaces(r);
    bool closed = rest_take(r, close);
    rest_skip_spaces(r);
    return closed || r->n == 0;
}

static bool take_json_calls(struct tool_finds *f, struct rest *r, const char *close)
{
    rest_skip_spaces(r);
    bool good = rest_begins(r, "[") ? take_list(f, r, add_object) : take_objects(f, r);
    return good && closes(r, close);
}

/* ```json {..} ```, or the object alone, of the function with that name. */
static bool take_arguments(struct tool_finds *f, struct rest *r, struct bytes name)
{
    rest_skip_spaces(r);
    bool fenced = rest_take(r, "```json") || rest_take(r, "```");
    rest_skip_spaces(r);
    json_t *arguments = rest_take_json(r);
    rest_skip_spaces(r);
    bool good = json_is_object(arguments) && (!fenced || rest_take(r, "```")) && tool_add_call(f, name, arguments);
    json_decref(arguments);
    rest_skip_spaces(r);
    return good;
}

/* -- <tool_call> -- */

static const char tagged_open[] = "<tool_call>", tagged_close[] = "</tool_call>";

/* A name, then keys and values in tags, or JSON. */
static bool take_name_first(struct tool_finds *f, struct rest *r)
{
    size_t n = 0;
    while (n < r->n && !strchr("<{`\n", r->p[n]))
        n++;
    const struct bytes name = bytes_trim(bytes_of(r->p, n));
    if (!tool_known_name(f->tools, name))
        return false;
    rest_skip(r, n);
    rest_skip_spaces(r);
    if (rest_begins(r, "{") || rest_begins(r, "`"))
        return take_arguments(f, r, name);
    return tool_tags_take_pairs(f, r, name);
}

static bool take_tagged(struct tool_finds *f, struct rest *r)
{
    while (rest_take(r, tagged_open)) {
        rest_skip_spaces(r);
        bool good = rest_begins(r, "{")            ? take_object(f, r)
                    : rest_begins(r, "<function=") ? tool_tags_take(f, r, TOOL_TAGS_FUNCTION)
                                                   : take_name_first(f, r);
        if (!good)
            return false;
        rest_skip_spaces(r);
        if (!rest_take(r, tagged_close) && r->n)
            return false;
        rest_skip_spaces(r);
    }
    return true;
}

/* Models that forget the tag in front of the function may still close it. */
static bool take_functions(struct tool_finds *f, struct rest *r)
{
    while (rest_begins(r, "<function=")) {
        if (!tool_tags_take(f, r, TOOL_TAGS_FUNCTION))
            return false;
        rest_skip_spaces(r);
        (void)rest_take(r, tagged_close);
        rest_skip_spaces(r);
        (void)rest_take(r, tagged_open);
        rest_skip_spaces(r);
    }
    return r->n == 0;
}

/* Between marks, as long as there are functions in that kind of tags. */
static bool take_tags_between(struct tool_finds *f, struct rest *r, enum tool_tags_kind kind, const char *close)
{
    rest_skip_spaces(r);
    while (tool_tags_begin(r, kind)) {
        if (!tool_tags_take(f, r, kind))
            return false;
        rest_skip_spaces(r);
    }
    return closes(r, close);
}

static bool take_section(struct tool_finds *f, struct rest *r)
{
    static const char close[] = "</tool_calls>";
    rest_skip_spaces(r);
    if (!rest_begins(r, tagged_open))
        return take_json_calls(f, r, close);
    while (rest_take(r, tagged_open)) {
        rest_skip_spaces(r);
        if (!(rest_begins(r, "{") ? take_object(f, r) : take_name_first(f, r)))
            return false;
        rest_skip_spaces(r);
        if (!rest_take(r, tagged_close))
            return false;
        rest_skip_spaces(r);
    }
    return closes(r, close);
}

/* -- names and JSON between marks -- */

/* NAME sep {..}, or function sep NAME and the object in a fence. */
static bool take_deepseek(struct tool_finds *f, struct rest *r)
{
    struct bytes name;
    rest_skip_spaces(r);
    while (rest_take(r, "<｜tool▁call▁begin｜>")) {
        struct rest line;
        if (!rest_take_until(r, "<｜tool▁sep｜>", &name))
            return false;
        line = *r;
        struct bytes second;
        if (!tool_known_name(f->tools, bytes_trim(name)) && rest_take_until(&line, "\n", &second)) {
            name = second;
            *r = line;
        }
        if (!take_arguments(f, r, bytes_trim(name)) || (!rest_take(r, "<｜tool▁call▁end｜>") && r->n))
            return false;
        rest_skip_spaces(r);
    }
    return closes(r, "<｜tool▁calls▁end｜>");
}

/* functions.NAME:3 */
static struct bytes name_of_id(struct bytes id)
{
    static const char prefix[] = "functions.";
    size_t n = strlen(prefix);
    id = bytes_trim(id);
    if (id.n > n && memcmp(id.p, prefix, n) == 0)
        id = bytes_of(id.p + n, id.n - n);
    const uint8_t *colon = id.n ? memrchr(id.p, ':', id.n) : NULL;
    return colon ? bytes_of(id.p, (size_t)(colon - id.p)) : id;
}

static bool take_kimi(struct tool_finds *f, struct rest *r)
{
    struct bytes id;
    rest_skip_spaces(r);
    while (rest_take(r, "<|tool_call_begin|>")) {
        if (!rest_take_until(r, "<|tool_call_argument_begin|>", &id) || !take_arguments(f, r, name_of_id(id)) ||
            (!rest_take(r, "<|tool_call_end|>") && r->n))
            return false;
        rest_skip_spaces(r);
    }
    return closes(r, "<|tool_calls_section_end|>");
}

/* call:NAME{key:value, ..} */
static bool take_gemma(struct tool_finds *f, struct rest *r)
{
    do {
        struct bytes name;
        struct rest at = *r;
        rest_skip_spaces(&at);
        if (!rest_take(&at, "call:") || !rest_take_until(&at, "{", &name))
            return false;
        at.p--; /* the brace is the object's */
        at.n++;
        json_t *arguments = rest_take_value(&at);
        bool good = json_is_object(arguments) && tool_add_call(f, name, arguments);
        json_decref(arguments);
        if (!good)
            return false;
        *r = at;
        rest_skip_spaces(r);
        if (!rest_take(r, "<tool_call|>") && r->n)
            return false;
        rest_skip_spaces(r);
    } while (rest_take(r, "<|tool_call>"));
    return r->n == 0;
}

/* -- Python -- */

/* NAME(key=value, ..), each key once. */
static bool take_python_call(struct tool_finds *f, struct rest *r)
{
    struct bytes name, key;
    json_t *arguments = json_object();
    bool good = rest_take_until(r, "(", &name), first = true;
    for (; good; first = false) {
        rest_skip_spaces(r);
        if (rest_take(r, ")"))
            break;
        good = first || rest_take(r, ",");
        rest_skip_spaces(r);
        good = good && rest_take_until(r, "=", &key);
        key = good ? bytes_trim(key) : key;
        json_t *value = good ? rest_take_value(r) : NULL;
        good = value && key.n && !json_object_getn(arguments, (const char *)key.p, key.n) &&
               json_object_setn_new(arguments, (const char *)key.p, key.n, json_incref(value)) == 0;
        json_decref(value);
    }
    good = good && tool_add_call(f, bytes_trim(name), arguments);
    json_decref(arguments);
    return good;
}

static bool take_python(struct tool_finds *f, struct rest *r)
{
    if (!rest_take(r, "["))
        return false;
    for (bool first = true;; first = false) {
        rest_skip_spaces(r);
        if (!first && rest_take(r, "]"))
            return true;
        if (!first && !rest_take(r, ","))
            return false;
        rest_skip_spaces(r);
        if (!take_python_call(f, r))
            return false;
    }
}

static bool take_list_of_any(struct tool_finds *f, struct rest *r)
{
    struct rest at = *r;
    rest_skip_spaces(&at);
    if (take_list(f, &at, add_object)) {
        *r = at;
        return true;
    }
    rest_skip_spaces(r);
    json_array_clear(f->calls);
    return take_python(f, r);
}

/* -- Mistral -- */

static const char bracket_mark[] = "[TOOL_CALLS]";

/* The name of a tool, with what may stand between it and its arguments; false if the text begins otherwise. */
static bool take_name(const json_t *tools, struct rest *r, struct bytes *name)
{
    struct rest best = *r;
    bool found = false;
    for (size_t i = 0; i < json_array_size(tools); i++) {
        struct rest at = *r;
        const char *one = tool_name_of(json_array_get(tools, i));
        if (!rest_take(&at, one))
            continue;
        if (rest_take(&at, "[CALL_ID]"))
            while (at.n && *at.p != '[' && *at.p != '{')
                rest_skip(&at, 1);
        (void)rest_take(&at, "[ARGS]");
        rest_skip_spaces(&at);
        if (at.n && *at.p == '{') {
            best = at;
            *name = bytes_of_text(one);
            found = true;
        }
    }
    *r = best;
    return found;
}

static bool take_named(struct tool_finds *f, struct rest *r)
{
    bool good = true;
    while (good && r->n) {
        struct bytes name;
        good = take_name(f->tools, r, &name) && take_arguments(f, r, name);
        if (rest_take(r, bracket_mark) || rest_take(r, call_form_mark(CALL_ALL)))
            rest_skip_spaces(r);
    }
    return good;
}

/* By the first characters. */
bool tool_form_take_bare(struct tool_finds *f, struct rest *r)
{
    rest_skip_spaces(r);
    (void)rest_take(r, "<|python_tag|>");
    rest_skip_spaces(r);
    bool good = rest_begins(r, "[")   ? take_list_of_any(f, r)
                : rest_begins(r, "{") ? take_objects(f, r)
                                      : take_named(f, r);
    rest_skip_spaces(r);
    return good && r->n == 0;
}

/* What stands behind one mark. */
static bool take_one(enum call_form form, struct tool_finds *f, struct rest *r)
{
    switch (form) {
    case CALL_TAGGED:
        return take_tagged(f, r);
    case CALL_FUNCTION:
        return take_functions(f, r);
    case CALL_ELEMENT:
        return take_tags_between(f, r, TOOL_TAGS_ELEMENT, "");
    case CALL_BRACKET:
        return tool_form_take_bare(f, r);
    case CALL_ALL:
        return take_named(f, r);
    case CALL_SEED:
        return take_tags_between(f, r, TOOL_TAGS_FUNCTION, "</seed:tool_call>");
    case CALL_INVOKE:
        return take_tags_between(f, r, TOOL_TAGS_INVOKE, "</minimax:tool_call>");
    case CALL_DSML:
        return take_tags_between(f, r, TOOL_TAGS_DSML, "</｜DSML｜function_calls>");
    case CALL_DSML_TOOL:
        return take_tags_between(f, r, TOOL_TAGS_DSML, "</｜DSML｜tool_calls>");
    case CALL_DEEPSEEK:
        return take_deepseek(f, r);
    case CALL_KIMI:
        return take_kimi(f, r);
    case CALL_PYTHON:
        return take_list_of_any(f, r) && closes(r, "<|tool_call_end|>");
    case CALL_ACTION:
        return take_json_calls(f, r, "<|END_ACTION|>");
    case CALL_TOOLCALL:
        return take_json_calls(f, r, "</TOOLCALL>");
    case CALL_SECTION:
        return take_section(f, r);
    case CALL_PREFIX:
        return take_list(f, r, add_pair) && closes(r, "<|tools_suffix|>");
    case CALL_GEMMA:
        return take_gemma(f, r);
    case CALL_GRANITE:
    case CALL_GIGA:
        return take_json_calls(f, r, "");
    case CALL_FORMS:
        break;
    }
    return false;
}

/* Those whose mark is a part of the first call. */
static bool is_part(enum call_form form)
{
    return form == CALL_TAGGED || form == CALL_FUNCTION || form == CALL_ELEMENT;
}

bool tool_form_take(enum call_form form, struct tool_finds *f, struct rest *r)
{
    const char *mark = call_form_mark(form);
    while (rest_begins(r, mark)) {
        const size_t before = r->n;
        if (!is_part(form))
            rest_skip(r, strlen(mark));
        if (!take_one(form, f, r) || r->n >= before)
            return false;
    }
    return r->n == 0;
}
