/* Strings: any, of some length, of a format, one of several, and keys that are not among some. */
#include "inference/schema/schema_in.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

static const struct char_range plain[] = {{0x20, 0x10FFFF}}; /* quote and backslash are left out by schema_chars */

static uint32_t bit_set(struct grammar *g, const char *bytes, uint32_t next)
{
    uint32_t set[8] = {0};
    for (; *bytes; bytes++)
        set[(uint8_t)*bytes / 32] |= 1u << (uint8_t)*bytes % 32;
    return grammar_set(g, set, next);
}

static uint32_t hex(struct grammar *g, unsigned n, uint32_t next)
{
    for (; n > 0; n--)
        next = bit_set(g, "0123456789abcdefABCDEF", next);
    return next;
}

/* Behind \u: a character, or both halves of one. */
static uint32_t unicode_escape(struct grammar *g, uint32_t next)
{
    uint32_t low = grammar_text(g, bytes_of_text("\\u"), bit_set(g, "dD", bit_set(g, "cdefCDEF", hex(g, 2, next))));
    uint32_t high = bit_set(g, "89abAB", hex(g, 2, low));
    uint32_t d = bit_set(g, "dD", grammar_split(g, bit_set(g, "01234567", hex(g, 2, next)), high));
    return grammar_split(g, bit_set(g, "0123456789abcefABCEF", hex(g, 3, next)), d);
}

/* One character of any string. */
static uint32_t any_char(struct schema_work *w, uint32_t next)
{
    struct grammar *g = w->g;
    uint32_t escaped =
        grammar_split(g, bit_set(g, "\"\\/bfnrt", next), grammar_range(g, 'u', 'u', unicode_escape(g, next)));
    return grammar_split(g, schema_chars(w, plain, 1, next), grammar_range(g, '\\', '\\', escaped));
}

uint32_t schema_string(struct schema_work *w, uint32_t next)
{
    struct grammar *g = w->g;
    if (w->string == 0) {
        uint32_t loop = grammar_label(g);
        grammar_bind(g, loop, grammar_split(g, any_char(w, loop), grammar_range(g, '"', '"', GRAMMAR_RETURN)));
        w->string = grammar_range(g, '"', '"', loop);
    }
    return grammar_call(g, w->string, next);
}

/* -- length -- */

/* -1: not there. */
static json_int_t read_length(struct schema_work *w, const json_t *schema, const char *keyword)
{
    const json_t *v = json_object_get(schema, keyword);
    if (!v)
        return -1;
    if (!json_is_integer(v) || json_integer_value(v) < 0)
        schema_fail(w, ERR_UNSUPPORTED, "\"%s\" must be a whole number from 0 on", keyword);
    return json_integer_value(v);
}

static uint32_t of_length(struct schema_work *w, const json_t *schema, uint32_t next)
{
    struct grammar *g = w->g;
    json_int_t min = read_length(w, schema, "minLength"), max = read_length(w, schema, "maxLength");
    if (min > SCHEMA_LENGTH_MAX)
        return schema_fail(w, ERR_LIMIT, "\"minLength\": at most %d", SCHEMA_LENGTH_MAX);
    if (max > SCHEMA_LENGTH_MAX)
        max = -1;
    if (max >= 0 && max < min)
        return GRAMMAR_FAIL;
    if (max < 0 && min <= 0)
        return schema_string(w, next);
    uint32_t least = min > 0 ? (uint32_t)min : 0, most = (uint32_t)max, loop = grammar_label(g);
    uint32_t end = grammar_least(g, least, grammar_range(g, '"', '"', next));
    uint32_t more = any_char(w, grammar_count(g, max >= 0 ? most : least, loop));
    grammar_bind(g, loop, grammar_split(g, max >= 0 ? grammar_below(g, most, more) : more, end));
    return grammar_range(g, '"', '"', loop);
}

/* -- formats -- */

#define H4 "[0-9a-fA-F]{1,4}"
#define DATE                                                                                                           \
    "(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|"              \
    "02-(?:0[1-9]|1[0-9]|2[0-8]))|"                                                                                    \
    "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)"
#define CLOCK "(?:[01][0-9]|2[0-3]):[0-5][0-9]"
#define TIME  CLOCK ":[0-5][0-9](?:\\.[0-9]{1,9})?(?:Z|[+-]" CLOCK ")"
#define LABEL "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
#define BYTE  "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
#define COUNT "[0-9]{1,6}"
#define WORD  "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,32}"

static const struct {
    const char *name, *pattern;
} formats[] = {
    {"date", "^" DATE "$"},
    {"time", "^" TIME "$"},
    {"date-time", "^" DATE "T" TIME "$"},
    {"duration", "^P(?:" COUNT "W|(?:" COUNT "D|" COUNT "M(?:" COUNT "D)?|" COUNT "Y(?:" COUNT "M(?:" COUNT
                 "D)?)?)(?:T(?:" COUNT "H(?:" COUNT "M(?:" COUNT "S)?)?|" COUNT "M(?:" COUNT "S)?|" COUNT
                 "S))?|T(?:" COUNT "H(?:" COUNT "M(?:" COUNT "S)?)?|" COUNT "M(?:" COUNT "S)?|" COUNT "S))$"},
    {"uuid", "^[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$"},
    {"ipv4", "^" BYTE "(?:\\." BYTE "){3}$"},
    {"ipv6", "^(?:(?:" H4 ":){7}" H4 "|(?:" H4 ":){1,7}:|(?:" H4 ":){1,6}:" H4 "|(?:" H4 ":){1,5}(?::" H4
             "){1,2}|(?:" H4 ":){1,4}(?::" H4 "){1,3}|(?:" H4 ":){1,3}(?::" H4 "){1,4}|(?:" H4 ":){1,2}(?::" H4
             "){1,5}|" H4 ":(?::" H4 "){1,6}|:(?:(?::" H4 "){1,7}|:))$"},
    {"hostname", "^" LABEL "(?:\\." LABEL "){0,3}$"},
    {"email", "^" WORD "(?:\\." WORD "){0,1}@" LABEL "(?:\\." LABEL "){1,3}$"},
    {"uri", "^[A-Za-z][A-Za-z0-9+.-]{0,15}:(?:[!#$&-;=?-Z_a-z~]|%[0-9A-Fa-f]{2})+$"},
};

static const char *find_format(struct schema_work *w, const json_t *name)
{
    struct buf known = {0};
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (json_is_string(name) && strcmp(json_string_value(name), formats[i].name) == 0)
            return formats[i].pattern;
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        buf_add_format(&known, " %s", formats[i].name);
    schema_fail(w, ERR_UNSUPPORTED, "\"format\": \"%.40s\" is not supported:%s are",
                json_is_string(name) ? json_string_value(name) : "?", buf_text(&known));
    buf_clear(&known);
    return NULL;
}

uint32_t schema_string_of(struct schema_work *w, const json_t *schema, uint32_t next)
{
    const json_t *pattern = json_object_get(schema, "pattern"), *format = json_object_get(schema, "format");
    bool is_long = json_object_get(schema, "minLength") || json_object_get(schema, "maxLength");
    if (!!pattern + !!format + is_long > 1)
        return schema_fail(
            w, ERR_UNSUPPORTED,
            "only one of \"pattern\", \"format\" and \"minLength\" with \"maxLength\" is supported for one "
            "string: a pattern can say the length, ^.{1,20}$");
    if (!pattern && !format)
        return of_length(w, schema, next);
    struct bytes source;
    if (pattern) {
        if (!json_is_string(pattern))
            return schema_fail(w, ERR_UNSUPPORTED, "\"pattern\" must be a text");
        source = bytes_of(json_string_value(pattern), json_string_length(pattern));
    } else {
        const char *found = find_format(w, format);
        if (!found)
            return GRAMMAR_FAIL;
        source = bytes_of_text(found);
    }
    next = grammar_range(w->g, '"', '"', next);
    return grammar_range(w->g, '"', '"', schema_pattern(w, source, next));
}

/* -- one of several texts -- */

static int by_bytes(const void *a, const void *b)
{
    const struct bytes *x = a, *y = b;
    int c = memcmp(x->p, y->p, x->n < y->n ? x->n : y->n);
    return c ? c : (x->n > y->n) - (x->n < y->n);
}

static size_t shared(const struct bytes *texts, size_t n, size_t from)
{
    const struct bytes *a = &texts[0], *b = &texts[n - 1]; /* sorted: these differ most */
    while (from < a->n && from < b->n && a->p[from] == b->p[from])
        from++;
    return from;
}

/* Their rests from `at` on; common beginnings once. */
static uint32_t rests(struct grammar *g, const struct bytes *texts, size_t n, size_t at, uint32_t next)
{
    size_t fork = shared(texts, n, at), i = 0;
    uint32_t all = GRAMMAR_FAIL;
    for (; i < n && texts[i].n == fork; i++)
        all = next;
    while (i < n) {
        size_t first = i;
        while (i < n && texts[i].p[fork] == texts[first].p[fork])
            i++;
        all = grammar_split(g, all, rests(g, texts + first, i - first, fork, next));
    }
    return grammar_text(g, bytes_of(texts[0].p + at, fork - at), all);
}

uint32_t schema_one_of(struct schema_work *w, struct bytes *texts, size_t n, uint32_t next)
{
    if (n == 0)
        return GRAMMAR_FAIL;
    qsort(texts, n, sizeof *texts, by_bytes);
    return rests(w->g, texts, n, 0, next);
}

/* -- keys that are not among some -- */

struct other {
    struct schema_work *w;
    uint32_t free, next; /* inside a key that is another already; behind it */
};

static uint32_t char_at(const struct bytes *b, size_t at, size_t *size)
{
    uint32_t c = b->p[at];
    size_t n = c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
    c = n == 1 ? c : c & (0x7Fu >> n);
    for (size_t i = 1; i < n; i++)
        c = c << 6 | (b->p[at + i] & 0x3Fu);
    *size = n;
    return c;
}

/* `at` characters of all keys are the same and were written. */
static uint32_t differ(const struct other *o, const struct bytes *keys, size_t n, size_t at)
{
    struct grammar *g = o->w->g;
    struct char_range *rest = mem_array(n + 1, sizeof *rest);
    size_t rest_n = 0, i = 0, size = 0;
    uint32_t from = 0x20, all = GRAMMAR_FAIL;
    while (i < n && keys[i].n == at) /* the key itself */
        i++;
    if (i == 0)
        all = grammar_range(g, '"', '"', o->next);
    while (i < n && !grammar_is_full(g)) {
        size_t first = i;
        uint32_t c = char_at(&keys[i], at, &size);
        while (i < n && keys[i].n > at && memcmp(keys[i].p + at, keys[first].p + at, size) == 0)
            i++;
        if (c > from)
            rest[rest_n++] = (struct char_range){from, c - 1};
        from = c + 1;
        uint32_t same = differ(o, keys + first, i - first, at + size);
        all = grammar_split(g, all, grammar_text(g, bytes_of(keys[first].p + at, size), same));
    }
    rest[rest_n++] = (struct char_range){from, 0x10FFFF};
    all = grammar_split(g, all, schema_chars(o->w, rest, rest_n, o->free));
    free(rest);
    return all;
}

static bool is_plain(const char *key, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((uint8_t)key[i] < 0x20 || key[i] == '"' || key[i] == '\\')
            return false;
    return true;
}

uint32_t schema_other_key(struct schema_work *w, const json_t *properties, uint32_t next)
{
    struct other o = {.w = w, .free = grammar_label(w->g), .next = next};
    struct bytes *keys = mem_array(json_object_size(properties) + 1, sizeof *keys);
    size_t n = 0;
    const char *key;
    json_t *value;
    grammar_bind(w->g, o.free,
                 grammar_split(w->g, schema_chars(w, plain, 1, o.free), grammar_range(w->g, '"', '"', next)));
    json_object_foreach((json_t *)(uintptr_t)properties, key, value)
    {
        size_t size = strlen(key);
        if (size > TOKEN_PIECE_MAX) /* one step of the recursion for each character */
            schema_fail(w, ERR_LIMIT, "a property's name of %zu bytes beside others that are not named: at most %d",
                        size, TOKEN_PIECE_MAX);
        else if (is_plain(key, size)) /* one that needs an escape is no other key's text */
            keys[n++] = bytes_of(key, size);
    }
    qsort(keys, n, sizeof *keys, by_bytes);
    uint32_t start = w->e == ERR_OK ? differ(&o, keys, n, 0) : GRAMMAR_FAIL;
    free(keys);
    return start;
}
