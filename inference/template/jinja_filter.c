/* Templates: filters. Where a filter does what a method does, it asks the method. */
#include "inference/template/jinja.h"

#include "inference/tok/unicode.h"

#include <stdlib.h>
#include <string.h>

static struct jinja_value nothing(void)
{
    return jinja_undefined(bytes_of(NULL, 0));
}

/* The method of this name, called on the value as text. */
static struct jinja_value as_method(struct jinja *j, const char *name, struct jinja_value self,
                                    const struct jinja_args *args)
{
    struct jinja_value text = jinja_text(jinja_to_text(j, self));
    struct jinja_value method = jinja_method(j, text, bytes_of_text(name));
    return j->err == ERR_OK ? jinja_call(j, method, args) : nothing();
}

static struct jinja_value filter_trim(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    return as_method(j, "strip", self, args);
}

static struct jinja_value filter_upper(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    return as_method(j, "upper", self, args);
}

static struct jinja_value filter_lower(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    return as_method(j, "lower", self, args);
}

static struct jinja_value filter_capitalize(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    return as_method(j, "capitalize", self, args);
}

static struct jinja_value filter_replace(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    return as_method(j, "replace", self, args);
}

/* Words begin behind these only, so "it's" is one: unlike the method of this name. */
static bool parts_words(uint32_t c)
{
    return jinja_is_space(c) || (c && c < 0x80 && strchr("-({[<", (int)c));
}

static struct jinja_value filter_title(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    struct bytes text = jinja_to_text(j, self);
    struct buf b = {0};
    bool first = true;
    (void)args;
    for (size_t at = 0; at < text.n && jinja_step(j, 0);) {
        uint32_t c;
        at += unicode_get(text.p + at, text.n - at, &c);
        unicode_put(&b, first ? unicode_to_upper(c) : unicode_to_lower(c));
        first = parts_words(c);
    }
    return jinja_text(jinja_take(j, &b));
}

/* Runs of letters, digits and underscores. */
static struct jinja_value filter_wordcount(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    struct bytes text = jinja_to_text(j, self);
    int64_t words = 0;
    bool within = false;
    (void)args;
    for (size_t at = 0; at < text.n && jinja_step(j, 0);) {
        uint32_t c;
        at += unicode_get(text.p + at, text.n - at, &c);
        enum unicode_class k = unicode_class_of(c);
        bool word = (k >= UNICODE_LU && k <= UNICODE_LO) || k == UNICODE_NUMBER || c == '_';
        words += word && !within;
        within = word;
    }
    return jinja_integer(words);
}

static struct jinja_value filter_string(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    (void)args;
    return jinja_text(jinja_to_text(j, self));
}

static struct jinja_value filter_safe(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    (void)j;
    (void)args;
    return self; /* nothing is escaped anyway */
}

static struct jinja_value filter_length(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    (void)args;
    return jinja_integer(jinja_length(j, self));
}

static struct jinja_value filter_default(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    bool falsy = jinja_truth(jinja_arg(args, 1, "boolean", jinja_flag(false)));
    (void)j;
    if (self.kind == JINJA_UNDEFINED || (falsy && !jinja_truth(self)))
        return jinja_arg(args, 0, "default_value", jinja_literal(""));
    return self;
}

/* -- JSON -- */

/* Positions and names are those of the filter that published templates are written for, whose first argument is
 * ensure_ascii. */
static struct jinja_value filter_tojson(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    struct jinja_value indent = jinja_arg(args, 1, "indent", jinja_none());
    struct jinja_json_style style = {
        .indent = indent.kind == JINJA_NONE ? -1 : jinja_arg_integer(j, args, 1, "indent", -1),
        .ascii = jinja_truth(jinja_arg(args, 0, "ensure_ascii", jinja_flag(false))),
        .sort_keys = jinja_truth(jinja_arg(args, 3, "sort_keys", jinja_flag(false))),
        .colon = bytes_of_text(": "),
    };
    style.comma = bytes_of_text(style.indent < 0 ? ", " : ",");
    struct jinja_value separators = jinja_arg(args, 2, "separators", jinja_none());
    if (separators.kind == JINJA_LIST && separators.list->n == 2 && separators.list->items[0].kind == JINJA_TEXT &&
        separators.list->items[1].kind == JINJA_TEXT) {
        style.comma = separators.list->items[0].text;
        style.colon = separators.list->items[1].text;
    }
    if (style.indent > 64)
        jinja_fail(j, ERR_LIMIT, "an indent of %lld: at most 64", (long long)style.indent);
    struct buf b = {0};
    jinja_print_json(j, &b, self, &style);
    return jinja_text(jinja_take(j, &b));
}

/* -- sequences -- */

/* x.a.b for "a.b", x[0] for "0" or 0: what `attribute=` names. */
static struct jinja_value attribute(struct jinja *j, struct jinja_value v, struct jinja_value name)
{
    if (name.kind != JINJA_TEXT)
        return jinja_subscript(j, v, name);
    struct bytes rest = name.text;
    while (j->err == ERR_OK && v.kind != JINJA_UNDEFINED) {
        size_t dot = jinja_text_find(rest, bytes_of_text("."), 0);
        v = jinja_subscript(j, v, jinja_text(bytes_of(rest.p, dot == SIZE_MAX ? rest.n : dot)));
        if (dot == SIZE_MAX)
            break;
        rest = bytes_of(rest.p + dot + 1, rest.n - dot - 1);
    }
    return v;
}

static struct jinja_value filter_join(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    const struct jinja_list *items = jinja_items(j, self);
    struct bytes mark = jinja_to_text(j, jinja_arg(args, 0, "d", jinja_literal("")));
    struct jinja_value name = jinja_arg(args, 1, "attribute", jinja_none());
    struct buf b = {0};
    for (size_t i = 0; items && i < items->n && jinja_step(j, 0); i++) {
        struct jinja_value item = items->items[i];
        if (i)
            buf_add(&b, mark.p, mark.n);
        jinja_print(j, &b, name.kind == JINJA_NONE ? item : attribute(j, item, name));
    }
    return jinja_text(jinja_take(j, &b));
}

static struct jinja_value filter_first(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    const struct jinja_list *items = jinja_items(j, self);
    (void)args;
    return items && items->n ? items->items[0] : nothing();
}

static struct jinja_value filter_last(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    const struct jinja_list *items = jinja_items(j, self);
    (void)args;
    return items && items->n ? items->items[items->n - 1] : nothing();
}

static struct jinja_value filter_list(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    const struct jinja_list *items = jinja_items(j, self);
    struct jinja_list *list = jinja_list_new(j);
    (void)args;
    for (size_t i = 0; items && i < items->n; i++)
        jinja_list_add(j, list, items->items[i]);
    return jinja_list_value(list);
}

static struct jinja_value filter_reverse(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    static const struct jinja_value whole = {.kind = JINJA_NONE};
    struct jinja_value bounds[3] = {whole, whole, jinja_integer(-1)};
    (void)args;
    return jinja_slice(j, self.kind == JINJA_TEXT ? self : jinja_list_value(jinja_items(j, self)), bounds);
}

static struct jinja_value pair(struct jinja *j, struct jinja_value a, struct jinja_value b)
{
    struct jinja_list *list = jinja_list_new(j);
    jinja_list_add(j, list, a);
    jinja_list_add(j, list, b);
    if (list)
        list->tuple = true;
    return jinja_list_value(list);
}

static struct jinja_value filter_items(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    struct jinja_list *list = jinja_list_new(j);
    (void)args;
    if (self.kind == JINJA_DICT)
        for (size_t i = 0; i < self.dict->n && j->err == ERR_OK; i++)
            jinja_list_add(j, list, pair(j, self.dict->items[i].key, self.dict->items[i].value));
    else if (self.kind != JINJA_UNDEFINED)
        jinja_fail(j, ERR_FORMAT, "%s has no items", jinja_kind_name(self));
    return jinja_list_value(list);
}

/* What is sorted, and by what: folded copies where case does not count. */
static struct jinja_value sort_key(struct jinja *j, struct jinja_value item, struct jinja_value name, bool cased)
{
    struct jinja_value key = name.kind == JINJA_NONE ? item : attribute(j, item, name);
    return key.kind == JINJA_TEXT && !cased ? as_method(j, "lower", key, &(struct jinja_args){.n = 0}) : key;
}

/* Merges two sorted halves of [low, high) into `out`; equals keep their order. */
static void merge(struct jinja *j, const struct jinja_entry *in, struct jinja_entry *out, size_t low, size_t middle,
                  size_t high, bool reverse)
{
    size_t a = low, b = middle;
    for (size_t at = low; at < high; at++) {
        bool second = a == middle;
        if (a < middle && b < high && jinja_step(j, 0)) {
            bool same = jinja_equal(j, in[a].key, in[b].key); /* what has no order may still be the same */
            int order = same ? 0 : jinja_compare(j, in[a].key, in[b].key);
            second = reverse ? order < 0 : order > 0;
        }
        out[at] = in[second && b < high ? b++ : a < middle ? a++ : b++];
    }
}

static struct jinja_value sorted(struct jinja *j, const struct jinja_list *items, struct jinja_value name, bool cased,
                                 bool reverse)
{
    size_t n = items ? items->n : 0;
    struct jinja_entry *from = jinja_alloc(j, n + 1, sizeof *from), *to = jinja_alloc(j, n + 1, sizeof *to);
    struct jinja_list *list = jinja_list_new(j);
    if (!list || !from || !to)
        return nothing();
    for (size_t i = 0; i < n; i++)
        from[i] = (struct jinja_entry){sort_key(j, items->items[i], name, cased), items->items[i]};
    for (size_t width = 1; width < n && j->err == ERR_OK; width *= 2) {
        for (size_t low = 0; low < n; low += 2 * width) {
            size_t middle = low + width < n ? low + width : n, high = middle + width < n ? middle + width : n;
            merge(j, from, to, low, middle, high, reverse);
        }
        struct jinja_entry *swap = from;
        from = to;
        to = swap;
    }
    for (size_t i = 0; i < n; i++)
        jinja_list_add(j, list, from[i].value);
    return jinja_list_value(list);
}

static struct jinja_value filter_sort(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    bool reverse = jinja_truth(jinja_arg(args, 0, "reverse", jinja_flag(false)));
    bool cased = jinja_truth(jinja_arg(args, 1, "case_sensitive", jinja_flag(false)));
    return sorted(j, jinja_items(j, self), jinja_arg(args, 2, "attribute", jinja_none()), cased, reverse);
}

static struct jinja_value filter_dictsort(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    bool cased = jinja_truth(jinja_arg(args, 0, "case_sensitive", jinja_flag(false)));
    bool by_value = jinja_is(jinja_arg(args, 1, "by", jinja_literal("key")), "value");
    bool reverse = jinja_truth(jinja_arg(args, 2, "reverse", jinja_flag(false)));
    struct jinja_value items = filter_items(j, self, args);
    return sorted(j, j->err == ERR_OK ? items.list : NULL, jinja_integer(by_value), cased, reverse);
}

static struct jinja_value filter_unique(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    const struct jinja_list *items = jinja_items(j, self);
    bool cased = jinja_truth(jinja_arg(args, 0, "case_sensitive", jinja_flag(false)));
    struct jinja_value name = jinja_arg(args, 1, "attribute", jinja_none());
    struct jinja_list *list = jinja_list_new(j), *keys = jinja_list_new(j);
    for (size_t i = 0; items && keys && i < items->n && jinja_step(j, 0); i++) {
        struct jinja_value key = sort_key(j, items->items[i], name, cased);
        if (jinja_contains(j, jinja_list_value(keys), key))
            continue;
        jinja_list_add(j, keys, key);
        jinja_list_add(j, list, items->items[i]);
    }
    return jinja_list_value(list);
}

/* The smallest or the largest. */
static struct jinja_value extreme(struct jinja *j, struct jinja_value self, const struct jinja_args *args, int sign)
{
    const struct jinja_list *items = jinja_items(j, self);
    struct jinja_value name = jinja_arg(args, 1, "attribute", jinja_none()), best = nothing(), best_key = nothing();
    for (size_t i = 0; items && i < items->n && jinja_step(j, 0); i++) {
        struct jinja_value key = sort_key(j, items->items[i], name, false);
        if (i && jinja_compare(j, key, best_key) * sign <= 0)
            continue;
        best = items->items[i];
        best_key = key;
    }
    return best;
}

static struct jinja_value filter_min(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    return extreme(j, self, args, -1);
}

static struct jinja_value filter_max(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    return extreme(j, self, args, 1);
}

static struct jinja_value filter_sum(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    const struct jinja_list *items = jinja_items(j, self);
    struct jinja_value name = jinja_arg(args, 0, "attribute", jinja_none());
    struct jinja_value sum = jinja_arg(args, 1, "start", jinja_integer(0));
    for (size_t i = 0; items && i < items->n && jinja_step(j, 0); i++) {
        struct jinja_value item = items->items[i];
        sum = jinja_binary(j, bytes_of_text("+"), sum, name.kind == JINJA_NONE ? item : attribute(j, item, name));
    }
    return sum;
}

/* Arguments from `first` on. */
static struct jinja_args behind(const struct jinja_args *args, size_t first)
{
    struct jinja_args rest = *args;
    rest.n = args->n > first ? args->n - first : 0;
    for (size_t i = 0; i < rest.n; i++)
        rest.values[i] = args->values[first + i];
    return rest;
}

/* These filters take what is empty or none for an empty list. */
static const struct jinja_list *items_if_any(struct jinja *j, struct jinja_value v)
{
    return jinja_items(j, jinja_truth(v) ? v : nothing());
}

/* map(attribute='a') or map('filter', ...). */
static struct jinja_value filter_map(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    const struct jinja_list *items = items_if_any(j, self);
    struct jinja_list *list = jinja_list_new(j);
    struct jinja_value name = jinja_arg(args, TEMPLATE_ARGS_MAX, "attribute", jinja_none());
    struct jinja_value missing = jinja_arg(args, TEMPLATE_ARGS_MAX, "default", nothing());
    struct jinja_args rest = behind(args, 1);
    for (size_t i = 0; items && i < items->n && jinja_step(j, 0); i++) {
        struct jinja_value item = items->items[i];
        if (name.kind != JINJA_NONE)
            item = attribute(j, item, name);
        else
            item = jinja_filter(j, jinja_arg_text(j, args, 0, "filter", NULL), item, &rest);
        jinja_list_add(j, list, item.kind == JINJA_UNDEFINED ? missing : item);
    }
    return jinja_list_value(list);
}

/* Keeps items that pass (or, with `wanted` false, fail) a test, of themselves or of an attribute. */
static struct jinja_value choose(struct jinja *j, struct jinja_value self, const struct jinja_args *args,
                                 bool of_attribute, bool wanted)
{
    const struct jinja_list *items = items_if_any(j, self);
    struct jinja_list *list = jinja_list_new(j);
    size_t at = of_attribute;
    struct jinja_args rest = behind(args, at + 1);
    if (of_attribute && args->n == 0)
        jinja_fail(j, ERR_FORMAT, "the name of an attribute is missing");
    for (size_t i = 0; items && i < items->n && jinja_step(j, 0); i++) {
        struct jinja_value v = of_attribute ? attribute(j, items->items[i], args->values[0]) : items->items[i];
        bool passed = args->n > at ? jinja_test(j, jinja_arg_text(j, args, at, "", NULL), v, &rest) : jinja_truth(v);
        if (passed == wanted)
            jinja_list_add(j, list, items->items[i]);
    }
    return jinja_list_value(list);
}

static struct jinja_value filter_select(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    return choose(j, self, args, false, true);
}

static struct jinja_value filter_reject(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    return choose(j, self, args, false, false);
}

static struct jinja_value filter_selectattr(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    return choose(j, self, args, true, true);
}

static struct jinja_value filter_rejectattr(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    return choose(j, self, args, true, false);
}

/* -- texts -- */

static struct jinja_value filter_indent(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    struct jinja_value width = jinja_arg(args, 0, "width", jinja_integer(4));
    bool first = jinja_truth(jinja_arg(args, 1, "first", jinja_flag(false)));
    bool blank = jinja_truth(jinja_arg(args, 2, "blank", jinja_flag(false)));
    struct bytes text = jinja_to_text(j, self);
    struct jinja_value pad = width;
    if (width.kind == JINJA_INTEGER)
        pad = jinja_binary(j, bytes_of_text("*"), jinja_literal(" "), width);
    struct buf b = {0};
    if (pad.kind != JINJA_TEXT)
        jinja_fail(j, ERR_FORMAT, "an indent of %s", jinja_kind_name(width));
    /* However lines end, they are joined by newlines; one at the very end stays. */
    size_t at = 0;
    for (bool more = true; more && j->err == ERR_OK;) {
        size_t end, n = jinja_text_line(bytes_of(text.p + at, text.n - at), &end);
        if (at)
            buf_add_text(&b, "\n");
        if (at ? blank || n : first)
            jinja_print(j, &b, pad);
        jinja_print(j, &b, jinja_text(bytes_of(text.p + at, n)));
        at += n + end;
        more = end > 0;
    }
    return jinja_text(jinja_take(j, &b));
}

static struct jinja_value filter_escape(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    static const char *const pairs[][2] = {
        {"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"'", "&#39;"}, {"\"", "&#34;"}};
    struct bytes text = jinja_to_text(j, self);
    (void)args;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        text = jinja_text_replace(j, text, bytes_of_text(pairs[i][0]), bytes_of_text(pairs[i][1]), -1);
    return jinja_text(text);
}

static const struct {
    const char *name;
    jinja_native filter;
} filters[] = {
    {"abs", jinja_number_abs},
    {"capitalize", filter_capitalize},
    {"count", filter_length},
    {"d", filter_default},
    {"default", filter_default},
    {"dictsort", filter_dictsort},
    {"e", filter_escape},
    {"escape", filter_escape},
    {"first", filter_first},
    {"float", jinja_number_float},
    {"indent", filter_indent},
    {"int", jinja_number_int},
    {"items", filter_items},
    {"join", filter_join},
    {"last", filter_last},
    {"length", filter_length},
    {"list", filter_list},
    {"lower", filter_lower},
    {"map", filter_map},
    {"max", filter_max},
    {"min", filter_min},
    {"reject", filter_reject},
    {"rejectattr", filter_rejectattr},
    {"replace", filter_replace},
    {"reverse", filter_reverse},
    {"round", jinja_number_round},
    {"safe", filter_safe},
    {"select", filter_select},
    {"selectattr", filter_selectattr},
    {"sort", filter_sort},
    {"string", filter_string},
    {"sum", filter_sum},
    {"title", filter_title},
    {"tojson", filter_tojson},
    {"trim", filter_trim},
    {"unique", filter_unique},
    {"upper", filter_upper},
    {"wordcount", filter_wordcount},
};

struct jinja_value jinja_filter(struct jinja *j, struct bytes name, struct jinja_value self,
                                const struct jinja_args *args)
{
    if (!jinja_step(j, 0))
        return nothing();
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++)
        if (bytes_equal(name, bytes_of_text(filters[i].name)))
            return filters[i].filter(j, self, args);
    jinja_fail(j, ERR_UNSUPPORTED, "the filter '%.*s' is not supported", (int)(name.n < 40 ? name.n : 40),
               name.n ? (const char *)name.p : "");
    return nothing();
}
