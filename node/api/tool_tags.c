/* Tags, and the types of what stands between them. */
#include "node/api/tool_tags.h"

#include "node/api/tool_forms.h"

#include <string.h>

static const struct tags {
    const char *open, *close, *key_open, *value_close;
    const char *end; /* of a name or a key */
} kinds[TOOL_TAGS_KINDS] = {
    [TOOL_TAGS_FUNCTION] = {"<function=", "</function>", "<parameter=", "</parameter>", ">"},
    [TOOL_TAGS_INVOKE] = {"<invoke name=\"", "</invoke>", "<parameter name=\"", "</parameter>", "\""},
    [TOOL_TAGS_DSML] = {"<｜DSML｜invoke name=\"", "</｜DSML｜invoke>", "<｜DSML｜parameter name=\"",
                        "</｜DSML｜parameter>", "\""},
    [TOOL_TAGS_ELEMENT] = {"<function name=\"", "</function>", "<param name=\"", "</param>", "\""},
};

/* -- types -- */

static const char *type_name(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "object";
    case JSON_ARRAY:
        return "array";
    case JSON_STRING:
        return "string";
    case JSON_INTEGER:
        return "integer";
    case JSON_REAL:
        return "number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "boolean";
    case JSON_NULL:
        return "null";
    }
    return "";
}

static bool is_type(const json_t *type, const char *name)
{
    const char *text = json_string_value(type);
    return text && (strcmp(text, name) == 0 || (strcmp(text, "number") == 0 && strcmp(name, "integer") == 0));
}

/* Whether a schema lets a value be of a type; `says`: it says anything of types at all. */
static bool allows(const json_t *schema, const char *name, bool *says)
{
    static const char *const lists[] = {"anyOf", "oneOf"};
    const json_t *type = json_object_get(schema, "type"), *all = json_object_get(schema, "enum");
    bool good = is_type(type, name);
    *says = *says || json_is_string(type) || json_array_size(type);
    for (size_t i = 0; i < json_array_size(type); i++)
        good = good || is_type(json_array_get(type, i), name);
    for (size_t i = 0; !json_is_given(type) && i < json_array_size(all); i++) {
        *says = true;
        good = good || strcmp(type_name(json_array_get(all, i)), name) == 0;
    }
    for (size_t k = 0; k < sizeof lists / sizeof *lists; k++) {
        const json_t *any = json_object_get(schema, lists[k]);
        for (size_t i = 0; i < json_array_size(any); i++) { /* one level: deeper ones are taken for silent */
            const json_t *one = json_object_get(json_array_get(any, i), "type");
            *says = *says || json_is_given(one);
            good = good || is_type(one, name);
        }
    }
    return good;
}

static const json_t *schema_of(const json_t *tools, struct bytes name, struct bytes key)
{
    for (size_t i = 0; i < json_array_size(tools); i++) {
        const json_t *tool = json_array_get(tools, i);
        const json_t *parameters = json_object_get(json_object_get(tool, "function"), "parameters");
        if (bytes_equal(bytes_of_text(tool_name_of(tool)), name))
            return json_object_getn(json_object_get(parameters, "properties"), (const char *)key.p, key.n);
    }
    return NULL;
}

/* Any value, in JSON or in Python's words. */
static json_t *parse_any(struct bytes text)
{
    struct rest r = {text.p, text.n};
    json_t *value = tool_text_json(text);
    if (value)
        return value;
    value = rest_take_value(&r);
    rest_skip_spaces(&r);
    if (r.n == 0)
        return value;
    json_decref(value);
    return NULL;
}

/* The value of a type that the schema allows; a text where none is, or where the schema wants one. NULL: no UTF-8. */
static json_t *typed(const json_t *schema, struct bytes text)
{
    bool says = false, may_be_text = allows(schema, "string", &says);
    json_t *value = parse_any(text);
    bool fits = value && (says ? allows(schema, type_name(value), &says) : !json_is_string(value));
    /* a text of digits is a text where it may be one, but null is null */
    if (fits && may_be_text && !json_is_null(value))
        fits = false;
    if (fits)
        return value;
    json_decref(value);
    return json_stringn((const char *)text.p, text.n);
}

/* -- tags -- */

/* Less the newline that stands between a tag and a value. */
static struct bytes without_newlines(struct bytes text)
{
    if (text.n && *text.p == '\n')
        text = bytes_of(text.p + 1, text.n - 1);
    if (text.n && text.p[text.n - 1] == '\n')
        text.n--;
    return text;
}

/* What may stand behind a value: the next parameter, or the end of the call. */
static bool goes_on(const struct rest *r, const struct tags *t)
{
    struct rest at = *r;
    rest_skip_spaces(&at);
    return rest_begins(&at, t->key_open) || rest_begins(&at, t->close);
}

/* A value may hold the tag that closes it: that which the call goes on behind is meant. */
static bool take_value(struct rest *r, const struct tags *t, struct bytes *value)
{
    struct rest at = *r;
    struct bytes piece;
    while (rest_take_until(&at, t->value_close, &piece))
        if (goes_on(&at, t)) {
            *value = bytes_of(r->p, (size_t)(piece.p - r->p) + piece.n);
            *r = at;
            return true;
        }
    return false;
}

/* Up to the end of the tag; *attributes: what stands behind name or key in it. */
static bool take_name(struct rest *r, const struct tags *t, struct bytes *name, struct bytes *attributes)
{
    *attributes = bytes_of(NULL, 0);
    return rest_take_until(r, t->end, name) && (*t->end == '>' || rest_take_until(r, ">", attributes));
}

static bool is_said(struct bytes attributes, const char *what)
{
    return attributes.n && memmem(attributes.p, attributes.n, what, strlen(what));
}

static bool set(json_t *arguments, struct bytes key, json_t *value_take)
{
    if (value_take && key.n && json_object_setn_new(arguments, (const char *)key.p, key.n, value_take) == 0)
        return true;
    if (value_take && !key.n)
        json_decref(value_take);
    return false;
}

static bool take_parameter(struct tool_finds *f, struct rest *r, const struct tags *t, struct bytes name,
                           json_t *arguments)
{
    struct bytes key, attributes, text;
    if (!rest_take(r, t->key_open) || !take_name(r, t, &key, &attributes) || !take_value(r, t, &text))
        return false;
    text = without_newlines(text);
    json_t *value = is_said(attributes, "string=\"true\"") ? json_stringn((const char *)text.p, text.n)
                                                           : typed(schema_of(f->tools, name, key), text);
    return set(arguments, key, value);
}

bool tool_tags_begin(const struct rest *r, enum tool_tags_kind kind)
{
    return rest_begins(r, kinds[kind].open);
}

bool tool_tags_take(struct tool_finds *f, struct rest *r, enum tool_tags_kind kind)
{
    const struct tags *t = &kinds[kind];
    struct bytes name, attributes;
    if (!rest_take(r, t->open) || !take_name(r, t, &name, &attributes) || !tool_known_name(f->tools, name))
        return false;
    rest_skip_spaces(r);
    json_t *arguments = rest_begins(r, "{") ? rest_take_json(r) : json_object();
    bool good = json_is_object(arguments);
    rest_skip_spaces(r);
    while (good && !rest_take(r, t->close)) {
        good = take_parameter(f, r, t, name, arguments);
        rest_skip_spaces(r);
    }
    good = good && tool_add_call(f, name, arguments);
    json_decref(arguments);
    return good;
}

bool tool_tags_take_pairs(struct tool_finds *f, struct rest *r, struct bytes name)
{
    static const struct tags pair = {.close = "</tool_call>", .key_open = "<arg_key>", .value_close = "</arg_value>"};
    json_t *arguments = json_object();
    bool good = true;
    while (good && rest_take(r, pair.key_open)) {
        struct bytes key, text;
        good = rest_take_until(r, "</arg_key>", &key);
        rest_skip_spaces(r);
        good = good && rest_take(r, "<arg_value>") && take_value(r, &pair, &text);
        good = good && set(arguments, key, typed(schema_of(f->tools, name, key), without_newlines(text)));
        rest_skip_spaces(r);
    }
    good = good && rest_begins(r, pair.close) && tool_add_call(f, name, arguments);
    json_decref(arguments);
    return good;
}
