/* Values in values: lists, objects, and any value at all.
 *
 * Operations are made from the last item to the first; `behind` an item is the end, or a comma and another. */
#include "inference/schema/schema_in.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

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
uint32_t schema_any_number(struct schema_work *w, bool is_whole, uint32_t next)
{
    uint32_t *rule = is_whole ? &w->integer : &w->number;
    if (*rule == 0)
        *rule = schema_number_of(w, NULL, is_whole, GRAMMAR_RETURN);
    return grammar_call(w->g, *rule, next);
}

/* [item, item, ...] and {"key": item, ...} without limits, of values. */
uint32_t schema_any(struct schema_work *w, uint32_t next)
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
        all = grammar_split(g, all, schema_any_number(w, false, GRAMMAR_RETURN));
        all = grammar_split(g, all, grammar_text(g, bytes_of_text("true"), GRAMMAR_RETURN));
        all = grammar_split(g, all, grammar_text(g, bytes_of_text("false"), GRAMMAR_RETURN));
        all = grammar_split(g, all, grammar_text(g, bytes_of_text("null"), GRAMMAR_RETURN));
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
    uint32_t loop = grammar_label(g), item = schema_call(w, items, counted(w, &l, loop));
    bind_loop(w, loop, &l, item, end);
    if (!is_first)
        item = comma(w, item);
    return l.min == 0 ? grammar_split(g, end, item) : item;
}

/* The first items, each with its schema, and then those of `items`; all may be left out from minItems on. */
uint32_t schema_list(struct schema_work *w, json_t *schema, uint32_t next)
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
        at = schema_call(w, json_array_get(prefix, i - 1), at);
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
    p->key = schema_other_key(w, named, colon(w, schema_call(w, more ? more : any, counted(w, &p->l, loop))));
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
    uint32_t pair = grammar_text(w->g, rest, colon(w, schema_call(w, value, p->behind)));
    bool required = is_required(p->schema, name);
    p->key = required ? pair : grammar_split(w->g, pair, p->key);
    p->may_end &= !required;
    uint32_t more = comma(w, letter(w, '"', p->key));
    p->behind = p->may_end ? grammar_split(w->g, p->end, more) : more;
    json_decref(key);
    buf_clear(&text);
}

uint32_t schema_object(struct schema_work *w, json_t *schema, uint32_t next)
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
