/* Patterns: the part of ECMAScript's regular expressions that is regular, over characters, as JSON strings spell them.
 *
 * A pattern is parsed into a tree, and the tree is turned into operations from its end to its beginning. A pattern that
 * does not begin with ^ or end with $ may stand anywhere in the text, so anything may stand before or behind it. */
#include "inference/schema/schema_in.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define LAST_CHAR 0x10FFFFu

/* -- characters -- */

/* Bytes of one length: lo[i]..hi[i] in turn, where all but the first that differ span everything. */
static uint32_t span(struct grammar *g, uint32_t lo, uint32_t hi, unsigned more, uint8_t mark, uint32_t next)
{
    if (more == 0)
        return grammar_range(g, (uint8_t)(mark | lo), (uint8_t)(mark | hi), next);
    unsigned shift = 6 * more;
    uint32_t low = (1u << shift) - 1, a = lo >> shift, b = hi >> shift, all = GRAMMAR_FAIL;
    uint32_t rest_lo = lo & low, rest_hi = hi & low;
    if (a == b)
        return grammar_range(g, (uint8_t)(mark | a), (uint8_t)(mark | a),
                             span(g, rest_lo, rest_hi, more - 1, 0x80, next));
    if (rest_lo != 0) {
        all = grammar_range(g, (uint8_t)(mark | a), (uint8_t)(mark | a), span(g, rest_lo, low, more - 1, 0x80, next));
        a++;
    }
    if (rest_hi != low) {
        all = grammar_split(
            g, all,
            grammar_range(g, (uint8_t)(mark | b), (uint8_t)(mark | b), span(g, 0, rest_hi, more - 1, 0x80, next)));
        b--;
    }
    if (a <= b)
        all = grammar_split(
            g, all, grammar_range(g, (uint8_t)(mark | a), (uint8_t)(mark | b), span(g, 0, low, more - 1, 0x80, next)));
    return all;
}

/* A range cut at `from` and `to`, if anything of it lies there. */
static uint32_t cut(struct grammar *g, const struct char_range *r, uint32_t from, uint32_t to, unsigned more,
                    uint8_t mark, uint32_t next)
{
    uint32_t lo = r->lo > from ? r->lo : from, hi = r->hi < to ? r->hi : to;
    return lo <= hi ? span(g, lo, hi, more, mark, next) : GRAMMAR_FAIL;
}

uint32_t schema_chars(struct schema_work *w, const struct char_range *ranges, size_t n, uint32_t next)
{
    struct grammar *g = w->g;
    uint32_t plain[8] = {0}, all = GRAMMAR_FAIL;
    for (size_t i = 0; i < n; i++) {
        const struct char_range *r = &ranges[i];
        for (uint32_t c = r->lo; c <= r->hi && c < 0x80; c++)
            if (c >= 0x20 && c != '"' && c != '\\')
                plain[c / 32] |= 1u << c % 32;
        all = grammar_split(g, all, cut(g, r, 0x80, 0x7FF, 1, 0xC0, next));
        all = grammar_split(g, all, cut(g, r, 0x800, 0xD7FF, 2, 0xE0, next));
        all = grammar_split(g, all, cut(g, r, 0xE000, 0xFFFF, 2, 0xE0, next));
        all = grammar_split(g, all, cut(g, r, 0x10000, LAST_CHAR, 3, 0xF0, next));
    }
    return grammar_split(g, grammar_set(g, plain, next), all);
}

uint32_t schema_chars_spelled(struct schema_work *w, const struct char_range *ranges, size_t n, uint32_t next)
{
    static const char of[] = "\"\\\b\f\n\r\t", spelled[] = "\"\\bfnrt";
    uint32_t escapes[8] = {0};
    for (size_t i = 0; i < n; i++)
        for (unsigned k = 0; of[k]; k++)
            if ((uint32_t)of[k] >= ranges[i].lo && (uint32_t)of[k] <= ranges[i].hi)
                escapes[spelled[k] / 32] |= 1u << spelled[k] % 32;
    return grammar_split(w->g, schema_chars(w, ranges, n, next),
                         grammar_range(w->g, '\\', '\\', grammar_set(w->g, escapes, next)));
}

/* -- sets of characters -- */

struct set {
    struct char_range *r;
    size_t n, room;
};

static void set_add(struct set *s, uint32_t lo, uint32_t hi)
{
    if (s->n == s->room) {
        s->room = s->room ? 2 * s->room : 8;
        s->r = mem_resize(s->r, s->room, sizeof *s->r);
    }
    s->r[s->n++] = (struct char_range){lo, hi};
}

static int by_lo(const void *a, const void *b)
{
    const struct char_range *x = a, *y = b;
    return (x->lo > y->lo) - (x->lo < y->lo);
}

/* Rising and apart. */
static void set_tidy(struct set *s)
{
    size_t n = 0;
    if (s->n)
        qsort(s->r, s->n, sizeof *s->r, by_lo);
    for (size_t i = 0; i < s->n; i++)
        if (n && s->r[i].lo <= s->r[n - 1].hi + 1) {
            if (s->r[i].hi > s->r[n - 1].hi)
                s->r[n - 1].hi = s->r[i].hi;
        } else {
            s->r[n++] = s->r[i];
        }
    s->n = n;
}

static void set_negate(struct set *s)
{
    struct set out = {0};
    uint32_t from = 0;
    set_tidy(s);
    for (size_t i = 0; i < s->n; i++) {
        if (s->r[i].lo > from)
            set_add(&out, from, s->r[i].lo - 1);
        from = s->r[i].hi + 1;
    }
    if (from <= LAST_CHAR)
        set_add(&out, from, LAST_CHAR);
    free(s->r);
    *s = out;
}

static void set_add_class(struct set *s, char name)
{
    static const struct char_range digits[] = {{'0', '9'}};
    static const struct char_range words[] = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
    static const struct char_range spaces[] = {{9, 13},          {32, 32},         {0xA0, 0xA0},     {0x1680, 0x1680},
                                               {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F},
                                               {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
    const char kind = (char)(name | 0x20);
    const struct char_range *r = kind == 'd' ? digits : kind == 'w' ? words : spaces;
    size_t n = kind == 'd' ? 1 : kind == 'w' ? 4 : sizeof spaces / sizeof *spaces;
    struct set class = {0};
    for (size_t i = 0; i < n; i++)
        set_add(&class, r[i].lo, r[i].hi);
    if (kind != name)
        set_negate(&class);
    for (size_t i = 0; i < class.n; i++)
        set_add(s, class.r[i].lo, class.r[i].hi);
    free(class.r);
}

/* -- the tree -- */

enum node_kind { NODE_SET, NODE_ROW, NODE_CHOICE, NODE_REPEAT };
#define MANY UINT32_MAX

struct node {
    enum node_kind kind;
    struct set set;      /* SET */
    uint32_t min, max;   /* REPEAT: MANY: without end */
    struct node *last;   /* of its parts: of a REPEAT, one */
    struct node *before; /* the part before this one */
    struct node *made;   /* all nodes, to be freed */
};

struct parser {
    struct schema_work *w;
    const uint8_t *p, *end;
    struct node *made;
    unsigned groups;
    bool failed;
};

static struct node *node_new(struct parser *s, enum node_kind kind)
{
    struct node *n = mem_new(sizeof *n);
    n->kind = kind;
    n->made = s->made;
    s->made = n;
    return n;
}

static void node_append(struct node *to, struct node *part)
{
    part->before = to->last;
    to->last = part;
}

static void fail(struct parser *s, const char *what)
{
    if (!s->failed)
        schema_fail(s->w, ERR_UNSUPPORTED, "\"pattern\": %s", what);
    s->failed = true;
    s->p = s->end;
}

static bool at(const struct parser *s, char c)
{
    return s->p < s->end && *s->p == (uint8_t)c;
}

static bool take(struct parser *s, char c)
{
    bool is = at(s, c);
    s->p += is;
    return is;
}

/* The pattern is a JSON string, so its UTF-8 is right. */
static uint32_t take_char(struct parser *s)
{
    uint32_t c = *s->p++;
    unsigned more = c < 0xC0 ? 0 : c < 0xE0 ? 1 : c < 0xF0 ? 2 : 3;
    if (more)
        c &= 0x3Fu >> more;
    for (; more > 0 && s->p < s->end; more--)
        c = c << 6 | (*s->p++ & 0x3Fu);
    return c;
}

static uint32_t take_hex(struct parser *s, unsigned digits)
{
    uint32_t v = 0;
    for (; digits > 0; digits--) {
        uint8_t c = s->p < s->end ? *s->p++ : 0;
        uint32_t low = c | 0x20u, d = 16;
        if (c >= '0' && c <= '9')
            d = c - (uint32_t)'0';
        else if (low >= 'a' && low <= 'f')
            d = low - 'a' + 10;
        if (d == 16) {
            fail(s, "\\x and \\u are followed by 2 and 4 hexadecimal digits");
            return 0;
        }
        v = v << 4 | d;
    }
    if (v >= 0xD800 && v < 0xE000)
        fail(s, "half a character (\\uD800 to \\uDFFF) is not supported: write the character itself");
    return v;
}

/* Behind a backslash. A class goes into `set`, and false is returned; else the character is *c. */
static bool take_escape(struct parser *s, struct set *set, uint32_t *c)
{
    static const char of[] = "tnrfv0", is[] = "\t\n\r\f\v";
    if (s->p == s->end) {
        fail(s, "it ends with a backslash");
        *c = 0;
        return true;
    }
    const char *known;
    *c = take_char(s);
    if (*c < 0x80 && strchr("dDwWsS", (int)*c) && *c) {
        set_add_class(set, (char)*c);
        return false;
    }
    if (*c < 0x80 && *c && (known = strchr(of, (int)*c)))
        *c = (uint8_t)is[known - of]; /* the last one is the NUL behind */
    else if (*c == 'x' || *c == 'u')
        *c = take_hex(s, *c == 'x' ? 2 : 4);
    else if ((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '1' && *c <= '9'))
        fail(s, "of the escapes \\d \\w \\s, their capitals, \\t \\n \\r \\f \\v \\0 \\xHH \\uHHHH are supported, no "
                "references, boundaries or properties");
    return true;
}

/* Behind [. */
static void take_class(struct parser *s, struct set *set)
{
    bool negated = take(s, '^');
    while (s->p < s->end && !at(s, ']')) {
        uint32_t lo, hi;
        bool is_char = true;
        if (take(s, '\\'))
            is_char = take_escape(s, set, &lo);
        else
            lo = take_char(s);
        if (!is_char)
            continue;
        hi = lo;
        if (s->end - s->p >= 2 && *s->p == '-' && s->p[1] != ']') {
            s->p++;
            if (take(s, '\\'))
                is_char = take_escape(s, set, &hi);
            else
                hi = take_char(s);
        }
        if (!is_char || hi < lo)
            fail(s, "a range in [ ] must go from a character to one that is not before it");
        set_add(set, lo, hi < lo ? lo : hi);
    }
    if (!take(s, ']'))
        fail(s, "[ without ]");
    if (negated)
        set_negate(set);
    set_tidy(set);
}

static struct node *take_choice(struct parser *s);

/* Behind (. */
static struct node *take_group(struct parser *s)
{
    if (take(s, '?') && !take(s, ':')) {
        fail(s, "of the groups that begin with (? only (?: is supported");
        return node_new(s, NODE_ROW);
    }
    if (++s->groups > PATTERN_GROUPS_MAX) {
        fail(s, "groups are nested too deep");
        return node_new(s, NODE_ROW);
    }
    struct node *n = take_choice(s);
    s->groups--;
    if (!take(s, ')'))
        fail(s, "( without )");
    return n;
}

static struct node *take_atom(struct parser *s)
{
    uint32_t c;
    if (take(s, '('))
        return take_group(s);
    struct node *n = node_new(s, NODE_SET);
    if (take(s, '[')) {
        take_class(s, &n->set);
    } else if (take(s, '.')) {
        set_add(&n->set, '\n', '\n');
        set_add(&n->set, '\r', '\r');
        set_add(&n->set, 0x2028, 0x2029);
        set_negate(&n->set);
    } else if (take(s, '\\')) {
        if (take_escape(s, &n->set, &c))
            set_add(&n->set, c, c);
        set_tidy(&n->set);
    } else {
        c = take_char(s);
        if (c < 0x80 && c && strchr("*+?{}^$]", (int)c))
            fail(s,
                 "one of * + ? { } ^ $ ] stands where it is not supported: put a backslash before it if it is meant");
        set_add(&n->set, c, c);
    }
    return n;
}

/* Digits; MANY if there are none. */
static uint32_t take_count(struct parser *s)
{
    uint32_t v = MANY;
    while (s->p < s->end && *s->p >= '0' && *s->p <= '9') {
        v = (v == MANY ? 0 : v) * 10 + (*s->p++ - (uint32_t)'0');
        if (v > PATTERN_TIMES_MAX) {
            fail(s, "{ } with a number over 1000");
            return 0;
        }
    }
    return v;
}

static bool take_times(struct parser *s, uint32_t *min, uint32_t *max)
{
    *min = 0;
    *max = MANY;
    if (take(s, '*'))
        return true;
    if (take(s, '+')) {
        *min = 1;
        return true;
    }
    if (take(s, '?')) {
        *max = 1;
        return true;
    }
    if (!take(s, '{'))
        return false;
    *min = *max = take_count(s);
    bool is_sound = *min != MANY;
    if (take(s, ','))
        *max = take_count(s);
    if (!take(s, '}') || !is_sound || *max < *min)
        fail(s, "{ } must be {n}, {n,} or {n,m} with n not over m");
    return true;
}

static struct node *take_repeat(struct parser *s)
{
    struct node *n = take_atom(s);
    uint32_t min, max;
    while (!s->failed && take_times(s, &min, &max)) {
        struct node *r = node_new(s, NODE_REPEAT);
        r->min = min;
        r->max = max;
        node_append(r, n);
        n = r;
        take(s, '?'); /* which of several matches is taken makes no difference here */
        if (at(s, '*') || at(s, '+') || at(s, '?') || at(s, '{'))
            fail(s, "two repetitions one behind the other");
    }
    return n;
}

static void append_anything(struct parser *s, struct node *row)
{
    struct node *any = node_new(s, NODE_SET), *r = node_new(s, NODE_REPEAT);
    set_add(&any->set, 0, LAST_CHAR);
    r->max = MANY;
    node_append(r, any);
    node_append(row, r);
}

static struct node *take_row(struct parser *s)
{
    struct node *row = node_new(s, NODE_ROW);
    bool outside = s->groups == 0;
    if (outside && !take(s, '^'))
        append_anything(s, row);
    while (s->p < s->end && !at(s, '|') && !at(s, ')')) {
        if (outside && at(s, '$') && (s->p + 1 == s->end || s->p[1] == '|')) {
            s->p++;
            return row;
        }
        node_append(row, take_repeat(s));
    }
    if (outside)
        append_anything(s, row);
    return row;
}

static struct node *take_choice(struct parser *s)
{
    struct node *n = node_new(s, NODE_CHOICE);
    do
        node_append(n, take_row(s));
    while (take(s, '|'));
    return n;
}

/* -- operations -- */

static uint32_t put(struct schema_work *w, const struct node *n, uint32_t next);

static uint32_t put_repeat(struct schema_work *w, const struct node *n, uint32_t next)
{
    struct grammar *g = w->g;
    uint32_t at = next;
    if (n->max == MANY) {
        at = grammar_label(g);
        grammar_bind(g, at, grammar_split(g, put(w, n->last, at), next));
    } else {
        for (uint32_t i = n->min; i < n->max && w->e == ERR_OK; i++)
            at = grammar_split(g, put(w, n->last, at), next);
    }
    for (uint32_t i = 0; i < n->min && w->e == ERR_OK; i++)
        at = put(w, n->last, at);
    return at;
}

static uint32_t put(struct schema_work *w, const struct node *n, uint32_t next)
{
    uint32_t all = GRAMMAR_FAIL;
    if (++w->steps > 4 * GRAMMAR_OPS_MAX || grammar_is_full(w->g))
        return schema_fail(w, ERR_LIMIT, "\"pattern\": it becomes too large: make it simpler");
    switch (n->kind) {
    case NODE_SET:
        return schema_chars_spelled(w, n->set.r, n->set.n, next);
    case NODE_ROW:
        for (const struct node *part = n->last; part; part = part->before)
            next = put(w, part, next);
        return next;
    case NODE_CHOICE:
        for (const struct node *part = n->last; part; part = part->before)
            all = grammar_split(w->g, put(w, part, next), all);
        return all;
    case NODE_REPEAT:
        return put_repeat(w, n, next);
    }
    return all;
}

uint32_t schema_pattern(struct schema_work *w, struct bytes pattern, uint32_t next)
{
    struct parser s = {.w = w, .p = pattern.p, .end = pattern.p + pattern.n};
    if (pattern.n > PATTERN_BYTES_MAX)
        return schema_fail(w, ERR_LIMIT, "\"pattern\": %zu bytes, at most %d are read", pattern.n, PATTERN_BYTES_MAX);
    struct node *n = take_choice(&s);
    if (!s.failed && s.p < s.end)
        fail(&s, ") without (");
    uint32_t start = s.failed ? GRAMMAR_FAIL : put(w, n, next);
    while (s.made) {
        struct node *made = s.made;
        s.made = made->made;
        free(made->set.r);
        free(made);
    }
    return start;
}
