/* Keywords to operations: types, alternatives, constants; the rules and their queue.
 *
 * Every schema becomes a rule, found again by its text, so schemas that contain themselves end, and equal ones are one.
 * Rules are made one after the other from a queue; nothing recurs as deep as a schema is nested. */
#include "inference/schema/schema_in.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint32_t schema_fail(struct schema_work *w, enum err e, const char *format, ...)
{
    char text[200];
    va_list list;
    if (w->e == ERR_OK) {
        va_start(list, format);
        vsnprintf(text, sizeof text, format, list);
        va_end(list);
        w->e = note_set(w->note, e, "the schema: %s", text);
    }
    return GRAMMAR_FAIL;
}

bool schema_spend(struct schema_work *w, size_t bytes)
{
    w->bytes += bytes;
    if (w->bytes > SCHEMA_WORK_MAX)
        schema_fail(w, ERR_LIMIT, "its parts, put together, are too large: make it simpler");
    return w->e == ERR_OK;
}

/* -- rules -- */

static uint32_t hash_of(struct bytes text)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < text.n; i++)
        h = (h ^ text.p[i]) * 16777619u;
    return h ^ h >> 16;
}

uint32_t schema_rule_of(struct schema_work *w, json_t *schema)
{
    const uint32_t slots = 2 * SCHEMA_RULES_MAX;
    struct buf text = {0};
    json_print(&text, schema);
    uint32_t at = hash_of(bytes_of_buf(&text)) % slots;
    for (; w->slots[at]; at = (at + 1) % slots) {
        const struct schema_rule *r = &w->rules[w->slots[at] - 1];
        if (bytes_equal(bytes_of_buf(&r->text), bytes_of_buf(&text))) {
            buf_clear(&text);
            return r->label;
        }
    }
    if (w->rules_n == SCHEMA_RULES_MAX)
        schema_fail(w, ERR_LIMIT, "it has more than %d parts", SCHEMA_RULES_MAX);
    if (!schema_spend(w, text.n)) {
        buf_clear(&text);
        return GRAMMAR_FAIL;
    }
    uint32_t label = grammar_label(w->g);
    w->rules[w->rules_n++] = (struct schema_rule){json_incref(schema), text, label};
    w->slots[at] = w->rules_n;
    return label;
}

uint32_t schema_call(struct schema_work *w, json_t *schema, uint32_t next)
{
    return w->e == ERR_OK ? grammar_call(w->g, schema_rule_of(w, schema), next) : GRAMMAR_FAIL;
}

static uint32_t word(struct schema_work *w, const char *text, uint32_t next)
{
    return grammar_text(w->g, bytes_of_text(text), next);
}

/* -- types -- */

enum { OBJECT = 1, LIST = 2, STRING = 4, NUMBER = 8, INTEGER = 16, BOOLEAN = 32, NOTHING = 64 };
#define ANY (OBJECT | LIST | STRING | NUMBER | BOOLEAN | NOTHING)

/* Keywords and the type that they speak of; 0: of any. */
static const struct {
    const char *name;
    unsigned type;
} keywords[] = {
    {"type", 0},
    {"enum", 0},
    {"const", 0},
    {"anyOf", 0},
    {"oneOf", 0},
    {"allOf", 0},
    {"$ref", 0},
    {"nullable", 0},
    {"properties", OBJECT},
    {"required", OBJECT},
    {"additionalProperties", OBJECT},
    {"minProperties", OBJECT},
    {"maxProperties", OBJECT},
    {"items", LIST},
    {"prefixItems", LIST},
    {"minItems", LIST},
    {"maxItems", LIST},
    {"uniqueItems", LIST},
    {"minLength", STRING},
    {"maxLength", STRING},
    {"pattern", STRING},
    {"format", STRING},
    {"minimum", NUMBER},
    {"maximum", NUMBER},
    {"exclusiveMinimum", NUMBER},
    {"exclusiveMaximum", NUMBER},
};

/* The types that a schema's keywords speak of; a failure for one that we do not know. */
static unsigned read_keywords(struct schema_work *w, const json_t *schema)
{
    unsigned types = 0;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)schema, key, value)
    {
        size_t i = 0, n = sizeof keywords / sizeof *keywords;
        while (i < n && strcmp(key, keywords[i].name) != 0)
            i++;
        if (i < n)
            types |= keywords[i].type;
        else if (!schema_is_annotation(key))
            schema_fail(w, ERR_UNSUPPORTED, "\"%.60s\" is not supported: leave it out", key);
    }
    return types;
}

static unsigned type_of_name(const json_t *v)
{
    static const struct {
        const char *name;
        unsigned type;
    } names[] = {{"object", OBJECT},   {"array", LIST},      {"string", STRING}, {"number", NUMBER},
                 {"integer", INTEGER}, {"boolean", BOOLEAN}, {"null", NOTHING}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (json_is_string(v) && strcmp(json_string_value(v), names[i].name) == 0)
            return names[i].type;
    return 0;
}

static unsigned type_of_value(const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return OBJECT;
    case JSON_ARRAY:
        return LIST;
    case JSON_STRING:
        return STRING;
    case JSON_INTEGER:
        return NUMBER | INTEGER;
    case JSON_REAL:
        return NUMBER;
    case JSON_NULL:
        return NOTHING;
    default:
        return BOOLEAN;
    }
}

/* 0: any. */
static unsigned read_types(struct schema_work *w, const json_t *schema)
{
    const json_t *v = json_object_get(schema, "type"), *one;
    unsigned types = type_of_name(v);
    size_t i;
    if (!v)
        return 0;
    json_array_foreach(v, i, one)
    {
        unsigned type = type_of_name(one);
        if (!type) {
            types = 0;
            break;
        }
        types |= type;
    }
    if (!types)
        schema_fail(w, ERR_UNSUPPORTED,
                    "\"type\" must be object, array, string, number, integer, boolean or null, or "
                    "a list of these");
    return types;
}

/* -- enum and const: each value in its one compact spelling -- */

static bool is_whole(const json_t *v)
{
    double x = json_real_value(v);
    return x >= -1e15 && x <= 1e15 && x == (double)(int64_t)x;
}

static void print_value(struct buf *out, const json_t *v);

static void print_members(struct buf *out, const json_t *v)
{
    json_t *members = (json_t *)(uintptr_t)v, *value;
    const char *key, *between = "";
    json_object_foreach(members, key, value)
    {
        json_t *name = json_string(key);
        buf_add_text(out, between);
        json_print(out, name);
        buf_add_text(out, ":");
        print_value(out, value);
        json_decref(name);
        between = ",";
    }
}

/* Compact, and reals within a list or an object in the fewest digits, too. A schema is not deep (is_too_deep). */
static void print_value(struct buf *out, const json_t *v)
{
    char text[32];
    if (json_is_real(v)) {
        schema_real_text(json_real_value(v), text);
        buf_add_text(out, text);
    } else if (json_is_array(v)) {
        buf_add_text(out, "[");
        for (size_t i = 0; i < json_array_size(v); i++) {
            buf_add_text(out, i ? "," : "");
            print_value(out, json_array_get(v, i));
        }
        buf_add_text(out, "]");
    } else if (json_is_object(v)) {
        buf_add_text(out, "{");
        print_members(out, v);
        buf_add_text(out, "}");
    } else
        json_print(out, v);
}

static uint32_t enumeration(struct schema_work *w, const json_t *values, unsigned types, uint32_t next)
{
    size_t n = json_array_size(values), kept = 0, i;
    struct buf *texts = mem_array(n + 1, sizeof *texts);
    struct bytes *borrowed = mem_array(n + 1, sizeof *borrowed);
    const json_t *v;
    json_array_foreach(values, i, v)
    {
        unsigned type = type_of_value(v) | (json_is_real(v) && is_whole(v) ? INTEGER : 0);
        if (types && !(type & types))
            continue;
        print_value(&texts[kept], v);
        borrowed[kept] = bytes_of_buf(&texts[kept]);
        schema_spend(w, borrowed[kept++].n);
    }
    uint32_t start = w->e == ERR_OK ? schema_one_of(w, borrowed, kept, next) : GRAMMAR_FAIL;
    for (i = 0; i < kept; i++)
        buf_clear(&texts[i]);
    free(texts);
    free(borrowed);
    return start;
}

/* -- one schema -- */

/* Each alternative, together with what stands beside the list of them. */
static uint32_t alternatives(struct schema_work *w, json_t *schema, const char *keyword)
{
    json_t *list = json_object_get(schema, keyword), *base = schema_without(schema, keyword), *part;
    uint32_t all = GRAMMAR_FAIL;
    if (!json_is_array(list) || json_array_size(list) == 0)
        schema_fail(w, ERR_UNSUPPORTED, "\"%s\" must be a list of schemas", keyword);
    for (size_t i = json_array_size(list); i > 0 && w->e == ERR_OK; i--) {
        part = json_array_get(list, i - 1);
        json_t *both = json_object_size(base) ? json_pack("{s:[O, O]}", "allOf", base, part) : json_incref(part);
        all = grammar_split(w->g, schema_call(w, both, GRAMMAR_RETURN), all);
        json_decref(both);
    }
    json_decref(base);
    return all;
}

static uint32_t of_types(struct schema_work *w, json_t *schema, unsigned types)
{
    struct grammar *g = w->g;
    bool is_bounded = read_keywords(w, schema) & NUMBER;
    uint32_t all = GRAMMAR_FAIL;
    if (types & OBJECT)
        all = schema_object(w, schema, GRAMMAR_RETURN);
    if (types & LIST)
        all = grammar_split(g, all, schema_list(w, schema, GRAMMAR_RETURN));
    if (types & STRING)
        all = grammar_split(g, all, schema_string_of(w, schema, GRAMMAR_RETURN));
    if (types & (NUMBER | INTEGER)) {
        bool whole = !(types & NUMBER);
        all = grammar_split(g, all,
                            is_bounded ? schema_number_of(w, schema, whole, GRAMMAR_RETURN)
                                       : schema_any_number(w, whole, GRAMMAR_RETURN));
    }
    if (types & BOOLEAN)
        all =
            grammar_split(g, all, grammar_split(g, word(w, "true", GRAMMAR_RETURN), word(w, "false", GRAMMAR_RETURN)));
    if (types & NOTHING)
        all = grammar_split(g, all, word(w, "null", GRAMMAR_RETURN));
    return all;
}

/* A flat schema: an object without $ref and allOf, or false. */
static uint32_t flat(struct schema_work *w, json_t *schema)
{
    if (json_is_false(schema))
        return GRAMMAR_FAIL;
    unsigned spoken_of = read_keywords(w, schema), types = read_types(w, schema);
    const json_t *values = json_object_get(schema, "enum");
    if (w->e != ERR_OK)
        return GRAMMAR_FAIL;
    if (json_object_get(schema, "anyOf"))
        return alternatives(w, schema, "anyOf");
    if (json_object_get(schema, "oneOf"))
        return alternatives(w, schema, "oneOf");
    if (values) {
        if (!json_is_array(values))
            return schema_fail(w, ERR_UNSUPPORTED, "\"enum\" must be a list");
        unsigned kinds = types & INTEGER ? types | NUMBER : types; /* bounds speak of both */
        if (spoken_of && (!kinds || kinds & spoken_of))
            return schema_fail(w, ERR_UNSUPPORTED,
                               "\"enum\" or \"const\" beside other limits is not supported: leave "
                               "those out, and the values that they exclude");
        return enumeration(w, values, types, GRAMMAR_RETURN);
    }
    if (!types && !spoken_of)
        return schema_any(w, GRAMMAR_RETURN);
    return of_types(w, schema, types ? types : spoken_of); /* what speaks of a type means that type */
}

static uint32_t compile(struct schema_work *w, json_t *schema)
{
    const json_t *ref = json_object_get(schema, "$ref");
    json_t *rest = ref ? schema_without(schema, "$ref") : NULL, *plain = NULL;
    uint32_t start = GRAMMAR_FAIL;
    if (json_is_object(schema))
        read_keywords(w, schema);
    if (w->e == ERR_OK && ref && json_object_size(rest) == 0) { /* alone it is the other's rule */
        json_t *target = schema_target(w, ref);
        start = target ? schema_call(w, target, GRAMMAR_RETURN) : GRAMMAR_FAIL;
    } else if (w->e == ERR_OK && (plain = schema_flatten(w, schema, 0)) && w->e == ERR_OK) {
        start = flat(w, plain);
    }
    json_decref(rest);
    json_decref(plain);
    return start;
}

/* -- the whole -- */

static bool is_too_deep(struct bytes text)
{
    unsigned depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        if (in_string && c == '\\')
            i++;
        else if (c == '"')
            in_string = !in_string;
        else if (!in_string && (c == '{' || c == '[') && ++depth > SCHEMA_DEPTH_MAX)
            return true;
        else if (!in_string && (c == '}' || c == ']'))
            depth--;
    }
    return false;
}

static json_t *read_root(struct bytes text, struct note *note, enum err *e)
{
    struct note why = {{0}};
    struct buf again = {0};
    json_t *root = NULL;
    *e = ERR_OK;
    if (text.n > SCHEMA_BYTES_MAX)
        *e = note_set(note, ERR_LIMIT, "the schema has %zu bytes: at most %u are read", text.n, SCHEMA_BYTES_MAX);
    else if (!(root = json_parse(text, &why)))
        *e = note_set(note, ERR_FORMAT, "the schema is %s", why.text);
    else if (is_too_deep(text))
        *e = note_set(note, ERR_LIMIT, "the schema is nested deeper than %d", SCHEMA_DEPTH_MAX);
    if (*e == ERR_OK) {
        json_print(&again, root);
        if (!bytes_equal(bytes_of_buf(&again), text))
            *e = note_set(note, ERR_FORMAT, "the schema is not in its canonical form");
    }
    buf_clear(&again);
    return root;
}

static void compile_all(struct schema_work *w)
{
    for (; w->done_n < w->rules_n && w->e == ERR_OK; w->done_n++) {
        struct schema_rule *r = &w->rules[w->done_n]; /* the list does not move */
        grammar_bind(w->g, r->label, compile(w, r->schema));
        if (grammar_is_full(w->g))
            break; /* grammar_close says so */
    }
}

enum err schema_compile(struct bytes text, struct grammar **out, struct note *note)
{
    enum err e;
    json_t *root = read_root(text, note, &e);
    if (e != ERR_OK) {
        json_decref(root);
        return e;
    }
    struct schema_work *w = mem_new(sizeof *w);
    w->root = root;
    w->note = note;
    w->g = grammar_new();
    w->rules = mem_array(SCHEMA_RULES_MAX, sizeof *w->rules);
    uint32_t start = schema_rule_of(w, root);
    compile_all(w);
    if (w->e == ERR_OK)
        w->e = grammar_close(w->g, start, note);
    e = w->e;
    if (e == ERR_OK)
        *out = w->g;
    else
        grammar_free(w->g);
    for (uint32_t i = 0; i < w->rules_n; i++) {
        json_decref(w->rules[i].schema);
        buf_clear(&w->rules[i].text);
    }
    free(w->rules);
    free(w);
    json_decref(root);
    return e;
}
