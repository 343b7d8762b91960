/* One schema from several: $ref and allOf are gone afterwards. What both sides demand is demanded; where we cannot say
 * it in one schema, it is refused. */
#include "inference/schema/schema_in.h"

#include <stdlib.h>
#include <string.h>

/* -- small things -- */

bool schema_is_annotation(const char *keyword)
{
    static const char *const names[] = {
        "title",           "description",  "default",       "example",    "examples",
        "$schema",         "$id",          "$comment",      "$defs",      "definitions",
        "readOnly",        "xml",          "writeOnly",     "deprecated", "contentMediaType",
        "contentEncoding", "externalDocs", "discriminator", "strict",     "$vocabulary"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(keyword, names[i]) == 0)
            return true;
    return strncmp(keyword, "x-", 2) == 0;
}

json_t *schema_without(const json_t *schema, const char *keyword)
{
    json_t *copy = json_object();
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)schema, key, value)
    {
        if (strcmp(key, keyword) != 0 && !schema_is_annotation(key))
            json_object_set(copy, key, value);
    }
    return copy;
}

static json_t *all_of(json_t *a, json_t *b)
{
    if (json_equal(a, b) || json_is_true(b))
        return json_incref(a);
    if (json_is_true(a))
        return json_incref(b);
    return json_is_false(a) || json_is_false(b) ? json_false() : json_pack("{s:[O, O]}", "allOf", a, b);
}

/* -- $ref -- */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
}

/* One step of a JSON pointer in a URI: %HH, then ~1 and ~0. */
static void unescape(const char *p, size_t n, struct buf *out)
{
    for (size_t i = 0; i < n; i++) {
        char c = p[i];
        if (c == '%' && i + 2 < n && hex_digit(p[i + 1]) >= 0 && hex_digit(p[i + 2]) >= 0) {
            c = (char)(hex_digit(p[i + 1]) << 4 | hex_digit(p[i + 2]));
            i += 2;
        }
        if (c == '~' && i + 1 < n && (p[i + 1] == '0' || p[i + 1] == '1'))
            c = p[++i] == '0' ? '~' : '/';
        buf_add(out, &c, 1);
    }
}

json_t *schema_target(struct schema_work *w, const json_t *ref)
{
    const char *p = json_string_value(ref), *whole = p;
    json_t *at = w->root;
    struct buf name = {0};
    if (!p || *p != '#' || (p[1] && p[1] != '/')) {
        schema_fail(w, ERR_UNSUPPORTED, "\"$ref\": \"%.80s\" is not supported: it must begin with #/", p ? p : "?");
        return NULL;
    }
    for (p++; *p && at;) {
        size_t n = strcspn(++p, "/");
        char *end;
        buf_reset(&name);
        unescape(p, n, &name);
        const char *text = buf_text(&name);
        if (json_is_array(at)) {
            unsigned long i = strtoul(text, &end, 10);
            at = *text && !*end ? json_array_get(at, i) : NULL;
        } else {
            at = json_object_get(at, text);
        }
        p += n;
    }
    buf_clear(&name);
    if (!at)
        schema_fail(w, ERR_UNSUPPORTED, "\"$ref\": the schema has no \"%.80s\"", whole);
    return at;
}

/* -- merging -- */

static bool is_named(const char *key, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(key, names[i]) == 0)
            return true;
    return false;
}

static int compare_numbers(const json_t *a, const json_t *b)
{
    if (json_is_integer(a) && json_is_integer(b))
        return json_integer_value(a) < json_integer_value(b) ? -1 : json_integer_value(a) > json_integer_value(b);
    double x = json_number_value(a), y = json_number_value(b);
    return x < y ? -1 : x > y;
}

/* Elements of a that are in b; integers are numbers. A new list. */
static json_t *common(json_t *a, json_t *b, bool are_types)
{
    json_t *out = json_array(), *x, *y;
    size_t i, k;
    json_array_foreach(a, i, x)
    {
        json_array_foreach(b, k, y)
        {
            const char *s = json_string_value(x), *t = json_string_value(y);
            bool is_less = are_types && s && t && strcmp(s, "number") == 0 && strcmp(t, "integer") == 0;
            bool is_more = are_types && s && t && strcmp(t, "number") == 0 && strcmp(s, "integer") == 0;
            if (json_equal(x, y) || is_less || is_more) {
                json_array_append(out, is_less ? y : x);
                break;
            }
        }
    }
    return out;
}

static json_t *as_list(json_t *v)
{
    return json_is_array(v) ? json_incref(v) : json_pack("[O]", v);
}

/* {"anyOf":[..]} of both: each alternative of the one with all of the other. */
static json_t *both_choices(json_t *a, const char *keyword, json_t *b)
{
    json_t *out = json_array(), *x;
    size_t i;
    json_array_foreach(a, i, x)
    {
        json_array_append_new(out, json_pack("{s:[O, {s:O}]}", "allOf", x, keyword, b));
    }
    return out;
}

/* What a schema says of a property that it may not name; NULL: nothing. */
static json_t *says_of(json_t *schema, const char *key)
{
    json_t *v = json_object_get(json_object_get(schema, "properties"), key);
    return v ? v : json_object_get(schema, "additionalProperties");
}

static void merge_properties(json_t *out, json_t *a, json_t *b)
{
    json_t *all = json_object(), *from[2] = {a, b}, *value;
    json_t *more[2] = {json_object_get(a, "additionalProperties"), json_object_get(b, "additionalProperties")};
    const char *key;
    for (unsigned i = 0; i < 2; i++)
        json_object_foreach(json_object_get(from[i], "properties"), key, value)
        {
            json_t *other = says_of(from[1 - i], key);
            if (!json_object_get(all, key))
                json_object_set_new(all, key, other ? all_of(value, other) : json_incref(value));
        }
    if (json_object_get(a, "properties") || json_object_get(b, "properties"))
        json_object_set(out, "properties", all);
    if (more[0] || more[1])
        json_object_set_new(out, "additionalProperties",
                            !more[1]   ? json_incref(more[0])
                            : !more[0] ? json_incref(more[1])
                                       : all_of(more[0], more[1]));
    json_decref(all);
}

static void merge_required(json_t *out, json_t *b)
{
    json_t *all = json_copy(json_object_get(out, "required")), *x, *y;
    size_t i, k;
    json_array_foreach(b, i, x)
    {
        bool known = false;
        json_array_foreach(all, k, y)
        {
            known |= json_equal(x, y);
        }
        if (!known)
            json_array_append(all, x);
    }
    json_object_set_new(out, "required", all);
}

/* A keyword that both have, with different values, into out, which has a's. False: nothing satisfies both. */
static bool merge_keyword(struct schema_work *w, json_t *out, const char *key, json_t *a, json_t *b)
{
    static const char *const larger[] = {"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"};
    static const char *const smaller[] = {"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"};
    bool is_type = strcmp(key, "type") == 0;
    if (json_is_number(a) && json_is_number(b)) {
        int c = compare_numbers(b, a);
        if (is_named(key, larger, 5) || is_named(key, smaller, 5)) {
            if (is_named(key, larger, 5) ? c > 0 : c < 0)
                json_object_set(out, key, b);
            return true;
        }
    }
    if (is_type || strcmp(key, "enum") == 0) {
        json_t *x = as_list(a), *y = as_list(b), *both = common(x, y, is_type);
        bool any = json_array_size(both) > 0;
        json_object_set_new(out, key, both);
        json_decref(x);
        json_decref(y);
        return any;
    }
    if (strcmp(key, "required") == 0 && json_is_array(a) && json_is_array(b))
        merge_required(out, b);
    else if (strcmp(key, "items") == 0)
        json_object_set_new(out, key, all_of(a, b));
    else if (strcmp(key, "anyOf") == 0 || strcmp(key, "oneOf") == 0)
        json_object_set_new(out, key, both_choices(a, key, b));
    else
        schema_fail(w, ERR_UNSUPPORTED, "\"allOf\" with two different values of \"%.40s\" is not supported", key);
    return true;
}

/* `const` as an enum of one, so that there is one way to say it. */
static json_t *plain_copy(json_t *schema)
{
    json_t *copy = schema_without(schema, "const"), *v = json_object_get(schema, "const");
    if (v) {
        json_t *one = json_pack("[O]", v), *list = json_object_get(copy, "enum");
        json_object_set_new(copy, "enum", json_is_array(list) ? common(one, list, false) : json_incref(one));
        json_decref(one);
    }
    return copy;
}

/* An `items` speaks of what `prefixItems` beside it does not, so lists of both kinds do not merge key by key. */
static bool lists_differ(const json_t *a, const json_t *b)
{
    const json_t *x = json_object_get(a, "prefixItems"), *y = json_object_get(b, "prefixItems");
    if ((!x && !y) || (json_equal(x, y) && json_equal(json_object_get(a, "items"), json_object_get(b, "items"))))
        return false;
    return (x || json_object_get(a, "items")) && (y || json_object_get(b, "items"));
}

json_t *schema_merge(struct schema_work *w, json_t *a, json_t *b)
{
    if (json_is_false(a) || json_is_false(b))
        return json_false();
    json_t *out = plain_copy(a), *other = plain_copy(b), *value;
    const char *key;
    bool any = true;
    if (lists_differ(a, b))
        schema_fail(w, ERR_UNSUPPORTED, "\"allOf\" with \"prefixItems\" beside other items is not supported");
    json_object_foreach(other, key, value)
    {
        json_t *mine = json_object_get(out, key);
        if (strcmp(key, "properties") == 0 || strcmp(key, "additionalProperties") == 0)
            continue; /* which speak of each other's */
        if (!mine)
            json_object_set(out, key, value);
        else if (!json_equal(mine, value))
            any &= merge_keyword(w, out, key, mine, value);
    }
    merge_properties(out, a, b);
    json_decref(other);
    if (!any) {
        json_decref(out);
        return json_false();
    }
    return out;
}

/* -- flattening -- */

static json_t *flatten_all_of(struct schema_work *w, json_t *schema, json_t *list, unsigned depth)
{
    json_t *out = schema_without(schema, "allOf"), *part;
    size_t i;
    if (!json_is_array(list))
        schema_fail(w, ERR_UNSUPPORTED, "\"allOf\" must be a list of schemas");
    json_array_foreach(list, i, part)
    {
        json_t *flat = w->e == ERR_OK ? schema_flatten(w, part, depth + 1) : NULL;
        if (!flat)
            break;
        json_t *merged = schema_merge(w, out, flat);
        json_decref(out);
        json_decref(flat);
        out = merged;
    }
    return out;
}

static json_t *flatten_ref(struct schema_work *w, json_t *schema, json_t *ref, unsigned depth)
{
    json_t *target = schema_target(w, ref);
    if (!target)
        return NULL;
    json_t *rest = schema_without(schema, "$ref"), *a = schema_flatten(w, rest, depth + 1), *out = NULL;
    json_t *b = a ? schema_flatten(w, target, depth + 1) : NULL;
    if (b)
        out = schema_merge(w, b, a);
    json_decref(rest);
    json_decref(a);
    json_decref(b);
    return out;
}

json_t *schema_flatten(struct schema_work *w, json_t *schema, unsigned depth)
{
    json_t *part;
    if (depth > SCHEMA_DEPTH_MAX) {
        schema_fail(w, ERR_LIMIT,
                    "\"$ref\" and \"allOf\" lead from one schema to the next more than %d times, or in a circle",
                    SCHEMA_DEPTH_MAX);
        return NULL;
    }
    if (!schema_spend(w,
                      64 + 64 * (json_object_size(schema) + json_object_size(json_object_get(schema, "properties")))))
        return NULL;
    if (json_is_true(schema))
        return json_object();
    if (json_is_false(schema))
        return json_false();
    if (!json_is_object(schema)) {
        schema_fail(w, ERR_UNSUPPORTED, "a schema must be an object, true or false");
        return NULL;
    }
    part = json_object_get(schema, "nullable");
    if (json_is_true(part) || json_is_false(part)) { /* of OpenAPI: null beside all the rest */
        json_t *rest = schema_without(schema, "nullable"), *flat;
        flat = json_is_true(part) ? json_pack("{s:[O, {s:s}]}", "anyOf", rest, "type", "null")
                                  : schema_flatten(w, rest, depth + 1);
        json_decref(rest);
        return flat;
    }
    if ((part = json_object_get(schema, "$ref")))
        return flatten_ref(w, schema, part, depth);
    if ((part = json_object_get(schema, "allOf")))
        return flatten_all_of(w, schema, part, depth);
    return plain_copy(schema);
}
