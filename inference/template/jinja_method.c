/* Templates: methods of strings, dicts and loops, and the functions that every template has. */
#include "inference/template/jinja.h"

#include "inference/tok/unicode.h"

#include <string.h>

static struct jinja_value nothing(void)
{
    return jinja_undefined(bytes_of(NULL, 0));
}

/* -- strings -- */

static struct jinja_value strip_any(struct jinja *j, struct bytes text, const struct jinja_args *args, bool left,
                                    bool right)
{
    struct jinja_value set = jinja_arg(args, 0, "chars", jinja_none());
    if (!jinja_step(j, text.n * (1 + (set.kind == JINJA_TEXT ? set.text.n : 0))))
        return nothing();
    return jinja_text(jinja_strip(text, set.kind == JINJA_TEXT ? &set.text : NULL, left, right));
}

static struct jinja_value text_strip(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    return strip_any(j, self.text, args, true, true);
}

static struct jinja_value text_lstrip(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    return strip_any(j, self.text, args, true, false);
}

static struct jinja_value text_rstrip(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    return strip_any(j, self.text, args, false, true);
}

/* Bytes up to the next white space, or all. */
static size_t word_length(struct bytes text)
{
    size_t n = 0, width;
    for (uint32_t c; n < text.n; n += width) {
        width = unicode_get(text.p + n, text.n - n, &c);
        if (jinja_is_space(c))
            break;
    }
    return n;
}

/* At white space: runs of it separate, and none at the ends counts. */
static void split_spaces(struct jinja *j, struct bytes text, int64_t most, struct jinja_list *list)
{
    text = jinja_strip(text, NULL, true, false);
    for (; text.n && jinja_step(j, 0); most -= most > 0) {
        size_t n = most == 0 ? text.n : word_length(text);
        jinja_list_add(j, list, jinja_text(bytes_of(text.p, n)));
        text = jinja_strip(bytes_of(text.p + n, text.n - n), NULL, true, false);
    }
}

static void split_at(struct jinja *j, struct bytes text, struct bytes mark, int64_t most, struct jinja_list *list)
{
    size_t at = 0, found;
    for (; most != 0 && jinja_step(j, 0) && (found = jinja_text_find(text, mark, at)) != SIZE_MAX; most -= most > 0) {
        jinja_list_add(j, list, jinja_text(bytes_of(text.p + at, found - at)));
        at = found + mark.n;
    }
    jinja_list_add(j, list, jinja_text(bytes_of(text.p + at, text.n - at)));
}

static struct jinja_value text_split(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    struct jinja_value mark = jinja_arg(args, 0, "sep", jinja_none());
    int64_t most = jinja_arg_integer(j, args, 1, "maxsplit", -1);
    struct jinja_list *list = jinja_list_new(j);
    if (mark.kind == JINJA_NONE)
        split_spaces(j, self.text, most, list);
    else if (mark.kind != JINJA_TEXT || mark.text.n == 0)
        jinja_fail(j, ERR_FORMAT, "split at an empty string or at %s", jinja_kind_name(mark));
    else if (jinja_step(j, self.text.n))
        split_at(j, self.text, mark.text, most, list);
    return jinja_list_value(list);
}

/* Like split, but a limit keeps the leftmost together. */
static struct jinja_value text_rsplit(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    int64_t most = jinja_arg_integer(j, args, 1, "maxsplit", -1);
    struct jinja_args first = *args;
    first.n = first.n > 1 ? 1 : first.n;
    first.named_n = 0;
    struct jinja_value all = text_split(j, self, &first);
    if (all.kind != JINJA_LIST || most < 0 || (size_t)most + 1 >= all.list->n)
        return all;
    struct jinja_list *list = jinja_list_new(j);
    size_t kept = all.list->n - (size_t)most;
    struct bytes start = all.list->items[0].text, end = all.list->items[kept - 1].text;
    jinja_list_add(j, list, jinja_text(bytes_of(start.p, (size_t)(end.p - start.p) + end.n)));
    for (size_t i = kept; i < all.list->n; i++)
        jinja_list_add(j, list, all.list->items[i]);
    return jinja_list_value(list);
}

static struct jinja_value text_splitlines(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    bool keep = jinja_truth(jinja_arg(args, 0, "keepends", jinja_flag(false)));
    struct jinja_list *list = jinja_list_new(j);
    for (size_t at = 0, n, end; at < self.text.n && jinja_step(j, 0); at += n + end) {
        n = jinja_text_line(bytes_of(self.text.p + at, self.text.n - at), &end);
        jinja_list_add(j, list, jinja_text(bytes_of(self.text.p + at, keep ? n + end : n)));
    }
    return jinja_list_value(list);
}

static bool has_end(struct bytes text, struct bytes part, bool at_start)
{
    return part.n <= text.n && bytes_equal(bytes_of(at_start ? text.p : text.p + text.n - part.n, part.n), part);
}

/* A string, or a tuple of which one must fit. */
static struct jinja_value text_ends(struct jinja *j, struct jinja_value self, const struct jinja_args *args,
                                    bool at_start)
{
    struct jinja_value part = jinja_arg(args, 0, "prefix", nothing());
    bool found = false;
    if (part.kind == JINJA_LIST) {
        for (size_t i = 0; i < part.list->n && !found && jinja_step(j, 0); i++)
            found = part.list->items[i].kind == JINJA_TEXT && has_end(self.text, part.list->items[i].text, at_start);
    } else if (part.kind == JINJA_TEXT)
        found = has_end(self.text, part.text, at_start);
    else
        jinja_fail(j, ERR_FORMAT, "a string cannot begin or end with %s", jinja_kind_name(part));
    return jinja_flag(found);
}

static struct jinja_value text_startswith(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    return text_ends(j, self, args, true);
}

static struct jinja_value text_endswith(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    return text_ends(j, self, args, false);
}

static struct jinja_value text_removeprefix(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    struct bytes part = jinja_arg_text(j, args, 0, "prefix", NULL);
    bool there = has_end(self.text, part, true);
    return jinja_text(there ? bytes_of(self.text.p + part.n, self.text.n - part.n) : self.text);
}

static struct jinja_value text_removesuffix(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    struct bytes part = jinja_arg_text(j, args, 0, "suffix", NULL);
    bool there = has_end(self.text, part, false);
    return jinja_text(there ? bytes_of(self.text.p, self.text.n - part.n) : self.text);
}

static struct jinja_value text_replace(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    struct bytes old = jinja_arg_text(j, args, 0, "old", NULL), new = jinja_arg_text(j, args, 1, "new", NULL);
    int64_t count = jinja_arg_integer(j, args, 2, "count", -1);
    return jinja_text(jinja_text_replace(j, self.text, old, new, count));
}

/* Every character mapped; of `first` only in front of a word, the others the other way. */
static struct jinja_value map_case(struct jinja *j, struct bytes text, bool upper, bool first_only, bool each_word)
{
    struct buf b = {0};
    bool first = true;
    for (size_t at = 0; at < text.n && jinja_step(j, 0);) {
        uint32_t c;
        at += unicode_get(text.p + at, text.n - at, &c);
        unicode_put(&b, (first_only ? first : upper) ? unicode_to_upper(c) : unicode_to_lower(c));
        enum unicode_class k = unicode_class_of(c);
        first = each_word && !(k >= UNICODE_LU && k <= UNICODE_LO);
    }
    return jinja_text(jinja_take(j, &b));
}

static struct jinja_value text_upper(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    (void)args;
    return map_case(j, self.text, true, false, false);
}

static struct jinja_value text_lower(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    (void)args;
    return map_case(j, self.text, false, false, false);
}

static struct jinja_value text_capitalize(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    (void)args;
    return map_case(j, self.text, false, true, false);
}

static struct jinja_value text_title(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    (void)args;
    return map_case(j, self.text, false, true, true);
}

static struct jinja_value text_find(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    struct bytes part = jinja_arg_text(j, args, 0, "sub", NULL);
    size_t at = jinja_step(j, self.text.n) ? jinja_text_find(self.text, part, 0) : SIZE_MAX;
    return jinja_integer(at == SIZE_MAX ? -1 : (int64_t)jinja_text_length(bytes_of(self.text.p, at)));
}

static struct jinja_value text_rfind(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    struct bytes part = jinja_arg_text(j, args, 0, "sub", NULL);
    for (size_t at = part.n <= self.text.n ? self.text.n - part.n + 1 : 0; at-- > 0 && jinja_step(j, part.n);)
        if (bytes_equal(bytes_of(self.text.p + at, part.n), part))
            return jinja_integer((int64_t)jinja_text_length(bytes_of(self.text.p, at)));
    return jinja_integer(-1);
}

static struct jinja_value text_count(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    struct bytes part = jinja_arg_text(j, args, 0, "sub", NULL);
    int64_t count = 0;
    if (part.n == 0)
        return jinja_integer(jinja_length(j, self) + 1);
    for (size_t at = 0; jinja_step(j, 0) && (at = jinja_text_find(self.text, part, at)) != SIZE_MAX; at += part.n)
        count++;
    return jinja_integer(count);
}

static struct jinja_value text_join(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    struct jinja_args mark = {.values = {self}, .n = 1};
    const struct jinja_list *items = jinja_items(j, jinja_arg(args, 0, "iterable", nothing()));
    for (size_t i = 0; items && i < items->n && jinja_step(j, 0); i++)
        if (items->items[i].kind != JINJA_TEXT) /* the filter of this name prints anything */
            jinja_fail(j, ERR_FORMAT, "join of %s: a string joins strings", jinja_kind_name(items->items[i]));
    return jinja_filter(j, bytes_of_text("join"), jinja_list_value(items), &mark);
}

/* Finding a character's class costs about as much as looking at so many bytes. */
#define CLASS_COST 16

typedef bool (*glyph_test)(uint32_t c, enum unicode_class k);

static bool is_digit(uint32_t c, enum unicode_class k)
{
    (void)c;
    return k == UNICODE_NUMBER;
}

static bool is_alpha(uint32_t c, enum unicode_class k)
{
    (void)c;
    return k >= UNICODE_LU && k <= UNICODE_LO;
}

static bool is_alnum(uint32_t c, enum unicode_class k)
{
    return is_digit(c, k) || is_alpha(c, k);
}

static bool is_blank(uint32_t c, enum unicode_class k)
{
    (void)k;
    return jinja_is_space(c);
}

/* Not empty, and all characters pass. */
static struct jinja_value all_are(struct jinja *j, struct bytes text, glyph_test test)
{
    bool all = text.n > 0 && jinja_step(j, CLASS_COST * text.n);
    for (size_t at = 0; all && at < text.n;) {
        uint32_t c;
        at += unicode_get(text.p + at, text.n - at, &c);
        all = test(c, unicode_class_of(c));
    }
    return jinja_flag(all);
}

static struct jinja_value text_isdigit(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    (void)args;
    return all_are(j, self.text, is_digit);
}

static struct jinja_value text_isalpha(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    (void)args;
    return all_are(j, self.text, is_alpha);
}

static struct jinja_value text_isalnum(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    (void)args;
    return all_are(j, self.text, is_alnum);
}

static struct jinja_value text_isspace(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    (void)args;
    return all_are(j, self.text, is_blank);
}

static struct jinja_value text_isupper(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    (void)args;
    return jinja_flag(jinja_test(j, bytes_of_text("upper"), self, &(struct jinja_args){.n = 0}));
}

static struct jinja_value text_islower(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    (void)args;
    return jinja_flag(jinja_test(j, bytes_of_text("lower"), self, &(struct jinja_args){.n = 0}));
}

/* What stands for {}, {1} or {name}; nothing of the format language behind them, which no template was seen to use. */
static struct jinja_value format_field(struct jinja *j, struct bytes field, const struct jinja_args *args, size_t *next)
{
    size_t index = 0;
    bool number = true;
    for (size_t i = 0; i < field.n; i++) {
        uint8_t c = field.p[i];
        if (memchr(".[!:", c, 4)) {
            jinja_fail(j, ERR_UNSUPPORTED, "format: {%.*s}: only {}, {1} and {name} are supported",
                       (int)(field.n < 32 ? field.n : 32), (const char *)field.p);
            return nothing();
        }
        number &= c >= '0' && c <= '9';
        index = index < TEMPLATE_ARGS_MAX ? index * 10 + (c & 15u) : index;
    }
    if (field.n == 0)
        index = (*next)++;
    if (number && index < args->n)
        return args->values[index];
    for (size_t i = 0; !number && i < args->named_n; i++)
        if (bytes_equal(args->names[i], field))
            return args->named[i];
    jinja_fail(j, ERR_FORMAT, "format: there is no argument for {%.*s}", (int)(field.n < 32 ? field.n : 32),
               field.n ? (const char *)field.p : "");
    return nothing();
}

static void format_add(struct jinja *j, struct buf *out, struct bytes part)
{
    if (out->n + part.n > TEMPLATE_OUTPUT_MAX)
        jinja_fail(j, ERR_LIMIT, "more than %u bytes of text", TEMPLATE_OUTPUT_MAX);
    if (jinja_step(j, part.n))
        buf_add(out, part.p, part.n);
}

static struct jinja_value text_format(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    struct bytes text = self.text;
    struct buf out = {0};
    size_t next = 0;
    for (size_t at = 0, n; at < text.n && j->err == ERR_OK; at += n) {
        const uint8_t *p = text.p + at, *end = NULL;
        for (n = 0; at + n < text.n && p[n] != '{' && p[n] != '}';)
            n++;
        if (n) {
            format_add(j, &out, bytes_of(p, n));
        } else if (at + 1 < text.n && p[1] == p[0]) {
            format_add(j, &out, bytes_of(p, 1));
            n = 2;
        } else if (p[0] == '{' && (end = memchr(p, '}', text.n - at))) {
            n = (size_t)(end - p) + 1;
            format_add(j, &out, jinja_to_text(j, format_field(j, bytes_of(p + 1, n - 2), args, &next)));
        } else {
            jinja_fail(j, ERR_FORMAT, "format: a single %c", p[0]);
        }
    }
    return jinja_text(jinja_take(j, &out));
}

/* -- dicts and loops -- */

static struct jinja_value dict_get(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    struct jinja_value *found = jinja_dict_find(j, self.dict, jinja_arg(args, 0, "key", nothing()));
    return found ? *found : jinja_arg(args, 1, "default", jinja_none());
}

static struct jinja_value dict_keys(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    (void)args;
    return jinja_list_value(jinja_items(j, self));
}

static struct jinja_value dict_values(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    struct jinja_list *list = jinja_list_new(j);
    (void)args;
    for (size_t i = 0; i < self.dict->n; i++)
        jinja_list_add(j, list, self.dict->items[i].value);
    return jinja_list_value(list);
}

static struct jinja_value dict_items(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    (void)args;
    return jinja_filter(j, bytes_of_text("items"), self, &(struct jinja_args){.n = 0});
}

static struct jinja_value dict_copy(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    (void)j;
    (void)args;
    return self; /* nothing can change it but the lists in it, which both have */
}

static struct jinja_value loop_cycle(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    if (args->n == 0) {
        jinja_fail(j, ERR_FORMAT, "cycle of nothing");
        return nothing();
    }
    return args->values[self.loop->at % args->n];
}

static const struct {
    enum jinja_kind kind;
    const char *name;
    jinja_native native;
} methods[] = {
    {JINJA_TEXT, "strip", text_strip},
    {JINJA_TEXT, "lstrip", text_lstrip},
    {JINJA_TEXT, "rstrip", text_rstrip},
    {JINJA_TEXT, "split", text_split},
    {JINJA_TEXT, "rsplit", text_rsplit},
    {JINJA_TEXT, "splitlines", text_splitlines},
    {JINJA_TEXT, "startswith", text_startswith},
    {JINJA_TEXT, "endswith", text_endswith},
    {JINJA_TEXT, "removeprefix", text_removeprefix},
    {JINJA_TEXT, "removesuffix", text_removesuffix},
    {JINJA_TEXT, "replace", text_replace},
    {JINJA_TEXT, "upper", text_upper},
    {JINJA_TEXT, "lower", text_lower},
    {JINJA_TEXT, "capitalize", text_capitalize},
    {JINJA_TEXT, "title", text_title},
    {JINJA_TEXT, "find", text_find},
    {JINJA_TEXT, "rfind", text_rfind},
    {JINJA_TEXT, "count", text_count},
    {JINJA_TEXT, "join", text_join},
    {JINJA_TEXT, "format", text_format},
    {JINJA_TEXT, "isdigit", text_isdigit},
    {JINJA_TEXT, "isalpha", text_isalpha},
    {JINJA_TEXT, "isalnum", text_isalnum},
    {JINJA_TEXT, "isspace", text_isspace},
    {JINJA_TEXT, "isupper", text_isupper},
    {JINJA_TEXT, "islower", text_islower},
    {JINJA_LIST, "append", jinja_list_append},
    {JINJA_LIST, "pop", jinja_list_pop},
    {JINJA_DICT, "get", dict_get},
    {JINJA_DICT, "keys", dict_keys},
    {JINJA_DICT, "values", dict_values},
    {JINJA_DICT, "items", dict_items},
    {JINJA_DICT, "copy", dict_copy},
    {JINJA_LOOP, "cycle", loop_cycle},
};

static struct jinja_value native_value(struct jinja *j, jinja_native native, struct jinja_value self)
{
    struct jinja_function *function = jinja_alloc(j, 1, sizeof *function);
    if (!function)
        return nothing();
    function->native = native;
    function->self = self;
    return (struct jinja_value){.kind = JINJA_FUNCTION, .function = function};
}

struct jinja_value jinja_method(struct jinja *j, struct jinja_value self, struct bytes name)
{
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (methods[i].kind == self.kind && bytes_equal(name, bytes_of_text(methods[i].name)))
            return native_value(j, methods[i].native, self);
    return jinja_undefined(name);
}

/* -- functions -- */

static struct jinja_value call_range(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    (void)self;
    int64_t from = args->n > 1 ? jinja_arg_integer(j, args, 0, "start", 0) : 0;
    int64_t to = jinja_arg_integer(j, args, args->n > 1 ? 1 : 0, "stop", 0);
    int64_t step = jinja_arg_integer(j, args, 2, "step", 1);
    struct jinja_list *list = jinja_list_new(j);
    if (step == 0)
        jinja_fail(j, ERR_FORMAT, "range with step 0");
    while ((step > 0 ? from < to : from > to) && jinja_step(j, 0)) {
        jinja_list_add(j, list, jinja_integer(from));
        if (__builtin_add_overflow(from, step, &from))
            break;
    }
    return jinja_list_value(list);
}

/* dict(a=1) and namespace(a=1); a dict as first argument is copied in front. */
static struct jinja_dict *collect(struct jinja *j, const struct jinja_args *args)
{
    struct jinja_dict *dict = jinja_dict_new(j);
    if (args->n && args->values[0].kind == JINJA_DICT)
        for (size_t i = 0; i < args->values[0].dict->n; i++)
            jinja_dict_put(j, dict, args->values[0].dict->items[i].key, args->values[0].dict->items[i].value);
    else if (args->n)
        jinja_fail(j, ERR_FORMAT, "a dict cannot be made of %s", jinja_kind_name(args->values[0]));
    for (size_t i = 0; i < args->named_n; i++)
        jinja_dict_put(j, dict, jinja_text(args->names[i]), args->named[i]);
    return dict;
}

static struct jinja_value call_dict(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    (void)self;
    return jinja_dict_value(collect(j, args));
}

static struct jinja_value call_namespace(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    struct jinja_value value = call_dict(j, self, args);
    if (value.kind == JINJA_DICT)
        value.kind = JINJA_NAMESPACE;
    return value;
}

static struct jinja_value call_raise(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    (void)self;
    struct bytes text = jinja_to_text(j, jinja_arg(args, 0, "message", nothing()));
    jinja_fail(j, ERR_REFUSED, "%.*s", (int)(text.n < 200 ? text.n : 200), text.n ? (const char *)text.p : "");
    return nothing();
}

static struct jinja_value call_time(struct jinja *j, struct jinja_value self, const struct jinja_args *args)
{
    (void)self;
    return jinja_text(jinja_time(j, jinja_arg_text(j, args, 0, "format", "%Y-%m-%d"), j->clock_s));
}

void jinja_functions(struct jinja *j, struct jinja_frame *frame)
{
    jinja_frame_put(j, frame, "range", native_value(j, call_range, nothing()));
    jinja_frame_put(j, frame, "dict", native_value(j, call_dict, nothing()));
    jinja_frame_put(j, frame, "namespace", native_value(j, call_namespace, nothing()));
    jinja_frame_put(j, frame, "raise_exception", native_value(j, call_raise, nothing()));
    jinja_frame_put(j, frame, "strftime_now", native_value(j, call_time, nothing()));
}
