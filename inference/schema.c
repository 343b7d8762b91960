/* Keywords to operations: alternatives, values, objects and lists.
 *
 * Every schema becomes a rule, found again by its text, so schemas that contain themselves end, and equal ones are one.
 * Rules are made one after the other from a queue; nothing recurs as deep as a schema is nested. */
#include "inference/schema_in.h"

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

static uint32_t call(struct schema_work *w, json_t *schema, uint32_t next)
{
    return w->e == ERR_OK ? grammar_call(w->g, schema_rule_of(w, schema), next) : GRAMMAR_FAIL;
}

/* -- white space: one space, or none, behind a colon and a comma -- */

static uint32_t space(struct schema_work *w, uint32_t next)
{
    return grammar_split(w->g, next, grammar_range(w->g, ' ', ' ', next));
}

static uint32_t colon(struct schema_work *w, uint32_t next)
{
    return grammar_range(w->g, ':', ':', space(w, next));
}

static uint32_t comma(struct schema_work *w, uint32_t next)
{
    return grammar_range(w->g, ',', ',', space(w, next));
}

static uint32_t letter(struct schema_work *w, char c, uint32_t next)
{
    return grammar_range(w->g, (uint8_t)c, (uint8_t)c, next);
}

/* -- any value -- */

/* The rules for numbers without bounds are shared, too. */
static uint32_t any_number(struct schema_work *w, bool is_whole, uint32_t next)
{
    uint32_t *rule = is_whole ? &w->integer : &w->number;
    if (*rule == 0)
        *rule = schema_number_of(w, NULL, is_whole, GRAMMAR_RETURN);
    return grammar_call(w->g, *rule, next);
}

static uint32_t word(struct schema_work *w, const char *text, uint32_t next)
{
    return grammar_text(w->g, bytes_of_text(text), next);
}

/* [item, item, ...] and {"key": item, ...} without limits, of values. */
static uint32_t any_value(struct schema_work *w, uint32_t next)
{
    struct grammar *g = w->g;
    if (w->value == 0) {
        w->value = grammar_label(g);
        uint32_t items = grammar_label(g), pairs = grammar_label(g), all;
        uint32_t item = grammar_call(g, w->value, items);
        uint32_t pair = schema_string(w, colon(w, grammar_call(g, w->value, pairs)));
        grammar_bind(g, items, grammar_split(g, letter(w, ']', GRAMMAR_RETURN), comma(w, item)));
        grammar_bind(g, pairs, grammar_split(g, letter(w, '}', GRAMMAR_RETURN), comma(w, pair)));
        all = letter(w, '{', grammar_split(g, letter(w, '}', GRAMMAR_RETURN), pair));
        all = grammar_split(g, all, letter(w, '[', grammar_split(g, letter(w, ']', GRAMMAR_RETURN), item)));
        all = grammar_split(g, all, schema_string(w, GRAMMAR_RETURN));
        all = grammar_split(g, all, any_number(w, false, GRAMMAR_RETURN));
        all = grammar_split(g, all, word(w, "true", GRAMMAR_RETURN));
        all = grammar_split(g, all, word(w, "false", GRAMMAR_RETURN));
        all = grammar_split(g, all, word(w, "null", GRAMMAR_RETURN));
        grammar_bind(g, w->value, all);
    }
    return grammar_call(g, w->value, next);
}

/* -- limits -- */

/* False: absent. Above SCHEMA_LENGTH_MAX a maximum is none. */
static bool read_limit(struct schema_work *w, const json_t *schema, const char *keyword, uint32_t *out)
{
    const json_t *v = json_object_get(schema, keyword);
    if (!v)
        return false;
    if (!json_is_integer(v) || json_integer_value(v) < 0) {
        schema_fail(w, ERR_UNSUPPORTED, "\"%s\" must be a whole number from 0 on", keyword);
        return false;
    }
    bool is_over = json_integer_value(v) > SCHEMA_LENGTH_MAX;
    *out = is_over ? SCHEMA_LENGTH_MAX : (uint32_t)json_integer_value(v);
    if (is_over && strncmp(keyword, "min", 3) == 0)
        schema_fail(w, ERR_LIMIT, "\"%s\": at most %d", keyword, SCHEMA_LENGTH_MAX);
    return !is_over;
}

struct limits {
    uint32_t min, max;
    bool has_max;
};

static struct limits read_limits(struct schema_work *w, const json_t *schema, const char *min, const char *max)
{
    struct limits l = {0};
    read_limit(w, schema, min, &l.min);
    l.has_max = read_limit(w, schema, max, &l.max);
    return l;
}

/* Behind an item of a list or a pair of an object: `end`, or a comma and another from `item`, which leads back to the
 * label. `l` counts them. */
static void bind_loop(struct schema_work *w, uint32_t label, const struct limits *l, uint32_t item, uint32_t end)
{
    struct grammar *g = w->g;
    uint32_t more = comma(w, item);
    end = grammar_least(g, l->min, end);
    grammar_bind(g, label, grammar_split(g, end, l->has_max ? grammar_below(g, l->max, more) : more));
}

/* An item counts itself before it goes on. */
static uint32_t counted(struct schema_work *w, const struct limits *l, uint32_t label)
{
    return grammar_count(w->g, l->has_max ? l->max : l->min, label);
}

/* -- lists -- */

static uint32_t list_rest(struct schema_work *w, json_t *items, struct limits l, bool is_first, uint32_t next)
{
    struct grammar *g = w->g;
    uint32_t end = letter(w, ']', next);
    if (l.has_max && l.max < l.min)
        return GRAMMAR_FAIL;
    if (!items || json_is_false(items) || (l.has_max && l.max == 0))
        return l.min == 0 ? end : GRAMMAR_FAIL;
    uint32_t loop = grammar_label(g), item = call(w, items, counted(w, &l, loop));
    bind_loop(w, loop, &l, item, end);
    if (!is_first)
        item = comma(w, item);
    return l.min == 0 ? grammar_split(g, end, item) : item;
}

/* The first items, each with its schema, and then those of `items`; all may be left out from minItems on. */
static uint32_t list(struct schema_work *w, json_t *schema, uint32_t next)
{
    json_t *items = json_object_get(schema, "items"), *prefix = json_object_get(schema, "prefixItems"),
           *any = json_true();
    struct limits l = read_limits(w, schema, "minItems", "maxItems"), rest = l;
    if (prefix && !json_is_array(prefix))
        return schema_fail(w, ERR_UNSUPPORTED, "\"prefixItems\" must be a list of schemas");
    if (json_is_array(items))
        return schema_fail(w, ERR_UNSUPPORTED, "\"items\" as a list is not supported: write it as \"prefixItems\"");
    if (json_is_true(json_object_get(schema, "uniqueItems")))
        return schema_fail(w, ERR_UNSUPPORTED, "\"uniqueItems\" is not supported: leave it out");
    size_t n = json_array_size(prefix);
    if (l.has_max && n > l.max)
        n = l.max;
    rest.min = l.min > n ? l.min - (uint32_t)n : 0;
    rest.max = l.max - (uint32_t)n;
    if (!items && (!prefix || rest.min > 0))
        items = any; /* where nothing is said of further items, first ones that are named stay alone */
    uint32_t at = list_rest(w, items, rest, n == 0, next);
    for (size_t i = n; i > 0; i--) {
        at = call(w, json_array_get(prefix, i - 1), at);
        if (i > 1)
            at = comma(w, at);
        if (i - 1 >= l.min)
            at = grammar_split(w->g, letter(w, ']', next), at);
    }
    return letter(w, '[', at);
}

/* -- objects -- */

static bool is_required(const json_t *schema, const char *key)
{
    json_t *list = json_object_get(schema, "required"), *v;
    size_t i;
    json_array_foreach(list, i, v)
    {
        if (json_is_string(v) && strcmp(json_string_value(v), key) == 0)
            return true;
    }
    return false;
}

/* The properties in the order in which they are written: as declared, then those that are only required. */
static json_t *all_properties(struct schema_work *w, json_t *schema)
{
    json_t *named = json_object_get(schema, "properties"), *more = json_object_get(schema, "additionalProperties"), *v;
    json_t *all = json_is_object(named) ? json_copy(named) : json_object(), *list = json_object_get(schema, "required");
    size_t i;
    if ((named && !json_is_object(named)) || (list && !json_is_array(list)))
        schema_fail(w, ERR_UNSUPPORTED,
                    "\"properties\" must be an object of schemas, and \"required\" a list of names");
    json_array_foreach(list, i, v)
    {
        if (!json_is_string(v))
            schema_fail(w, ERR_UNSUPPORTED, "\"required\" must be a list of names");
        else if (!json_object_get(all, json_string_value(v)))
            json_object_set_new(all, json_string_value(v), more ? json_incref(more) : json_true());
    }
    if (json_object_size(all) > SCHEMA_PROPERTIES_MAX)
        schema_fail(w, ERR_LIMIT, "an object has %zu properties: at most %d", json_object_size(all),
                    SCHEMA_PROPERTIES_MAX);
    return all;
}

struct pairs {
    json_t *schema;
    struct limits l;
    uint32_t end; /* the brace and what is behind */
    /* what is made from the last pair to the first: */
    uint32_t behind; /* a pair was written: the end, or a comma and one of those that are left */
    uint32_t key;    /* behind the opening quote: one of those that are left; FAIL: there is none */
    bool may_end;    /* none of those that are left is required */
};

/* Others than those named, any number of them. */
static void other_pairs(struct schema_work *w, struct pairs *p, const json_t *named)
{
    json_t *more = json_object_get(p->schema, "additionalProperties");
    p->may_end = true;
    p->key = GRAMMAR_FAIL;
    p->behind = p->end;
    if (json_is_false(more) || (!more && (json_object_size(named) > 0 || json_object_get(p->schema, "properties"))) ||
        (p->l.has_max && p->l.max == 0))
        return;
    json_t *any = json_true();
    uint32_t loop = grammar_label(w->g);
    p->key = schema_other_key(w, named, colon(w, call(w, more ? more : any, counted(w, &p->l, loop))));
    bind_loop(w, loop, &p->l, letter(w, '"', p->key), p->end);
    p->behind = loop;
}

/* One named pair in front of those that are left. */
static void named_pair(struct schema_work *w, struct pairs *p, const char *name, json_t *value)
{
    struct buf text = {0};
    json_t *key = json_string(name);
    json_print(&text, key);
    const struct bytes rest = {text.p + 1, text.n - 1}; /* the quote was written */
    uint32_t pair = grammar_text(w->g, rest, colon(w, call(w, value, p->behind)));
    bool required = is_required(p->schema, name);
    p->key = required ? pair : grammar_split(w->g, pair, p->key);
    p->may_end &= !required;
    uint32_t more = comma(w, letter(w, '"', p->key));
    p->behind = p->may_end ? grammar_split(w->g, p->end, more) : more;
    json_decref(key);
    buf_clear(&text);
}

static uint32_t object(struct schema_work *w, json_t *schema, uint32_t next)
{
    struct pairs p = {.schema = schema, .end = letter(w, '}', next)};
    json_t *named = all_properties(w, schema), *value, **values;
    const char *key, **keys;
    size_t n = 0;
    p.l = read_limits(w, schema, "minProperties", "maxProperties");
    if (json_object_size(named) && (p.l.min || p.l.has_max))
        schema_fail(w, ERR_UNSUPPORTED,
                    "\"minProperties\" and \"maxProperties\" are supported where no property is named");
    keys = mem_array(json_object_size(named) + 1, sizeof *keys);
    values = mem_array(json_object_size(named) + 1, sizeof *values);
    json_object_foreach(named, key, value)
    {
        keys[n] = key;
        values[n++] = value;
    }
    other_pairs(w, &p, named);
    if (p.l.has_max && p.l.max < p.l.min)
        p.end = p.key = GRAMMAR_FAIL;
    while (n > 0 && w->e == ERR_OK) {
        n--;
        named_pair(w, &p, keys[n], values[n]);
    }
    uint32_t first = letter(w, '"', p.key);
    free(keys);
    free(values);
    json_decref(named);
    return letter(w, '{', p.may_end && p.l.min == 0 ? grammar_split(w->g, p.end, first) : first);
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

static void print_value(struct buf *out, const json_t *v)
{
    char text[32];
    if (!json_is_real(v)) {
        json_print(out, v);
        return;
    }
    schema_real_text(json_real_value(v), text);
    buf_add_text(out, text);
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
        all = grammar_split(w->g, call(w, both, GRAMMAR_RETURN), all);
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
        all = object(w, schema, GRAMMAR_RETURN);
    if (types & LIST)
        all = grammar_split(g, all, list(w, schema, GRAMMAR_RETURN));
    if (types & STRING)
        all = grammar_split(g, all, schema_string_of(w, schema, GRAMMAR_RETURN));
    if (types & (NUMBER | INTEGER)) {
        bool whole = !(types & NUMBER);
        all = grammar_split(g, all,
                            is_bounded ? schema_number_of(w, schema, whole, GRAMMAR_RETURN)
                                       : any_number(w, whole, GRAMMAR_RETURN));
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
        if (spoken_of && (!types || types & spoken_of))
            return schema_fail(w, ERR_UNSUPPORTED,
                               "\"enum\" or \"const\" beside other limits is not supported: leave "
                               "those out, and the values that they exclude");
        return enumeration(w, values, types, GRAMMAR_RETURN);
    }
    if (!types && !spoken_of)
        return any_value(w, GRAMMAR_RETURN);
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
        start = target ? call(w, target, GRAMMAR_RETURN) : GRAMMAR_FAIL;
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
