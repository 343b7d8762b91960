/* Numbers between bounds, exactly, digit by digit.
 *
 * A number is written [-]whole[.part], the whole part without zeros in front. While what was written equals the front
 * of a bound, the bound is tight and limits the next digit; afterwards it is met or not for good. So a state is a place
 * and which of the two bounds are tight, and there are few of them. */
#include "inference/schema/schema_in.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS 18 /* of each part, where no bound has more: every such whole number fits 63 bits */

/* A magnitude. */
struct decimal {
    bool is_set, is_negative, is_exclusive;
    uint8_t whole[DIGITS + 2], part[DIGITS + 2];
    unsigned whole_n, part_n; /* no zeros in front of the one (but 0 itself), none behind the other */
};

struct range {
    struct schema_work *w;
    struct decimal lo, hi; /* lo is set; hi may not be */
    bool is_whole;
    uint32_t end;                                           /* behind the number */
    uint32_t free_whole[DIGITS + 2], free_part[DIGITS + 2]; /* with so many digits left or written; 0: not made */
};

void schema_real_text(double value, char text[32])
{
    char shortest[32] = "";
    int digits = 0;
    do
        CHECK(snprintf(shortest, sizeof shortest, "%.*g", ++digits, value) < (int)sizeof shortest);
    while (digits < 17 && strtod(shortest, NULL) != value);
    memcpy(text, shortest, sizeof shortest);
}

/* -- bounds -- */

/* d.ddde+xx into digits; false if it has more digits on a side than we count. */
static bool read_decimal(const char *text, struct decimal *d)
{
    char digits[64];
    int n = 0, point = -1;
    d->is_negative = *text == '-';
    for (text += d->is_negative; *text && *text != 'e'; text++)
        if (*text == '.')
            point = n;
        else
            digits[n++] = *text;
    point = (point < 0 ? n : point) + (*text == 'e' ? (int)strtol(text + 1, NULL, 10) : 0);
    int first = 0;
    while (first < n && digits[first] == '0')
        first++;
    while (n > first && digits[n - 1] == '0' && n > point)
        n--;
    if (point > DIGITS + 1 || n - point > DIGITS)
        return false;
    for (int i = first < point ? first : point; i < point; i++)
        d->whole[d->whole_n++] = (uint8_t)(i >= 0 && i < n ? digits[i] - '0' : 0);
    if (d->whole_n == 0)
        d->whole[d->whole_n++] = 0;
    for (int i = point; i < n; i++)
        d->part[d->part_n++] = (uint8_t)(i >= 0 ? digits[i] - '0' : 0);
    d->is_set = true;
    return true;
}

static bool is_zero(const struct decimal *d)
{
    return d->whole_n == 1 && d->whole[0] == 0 && d->part_n == 0;
}

/* Of magnitudes. */
static int compare(const struct decimal *a, const struct decimal *b)
{
    if (a->whole_n != b->whole_n)
        return a->whole_n < b->whole_n ? -1 : 1;
    int c = memcmp(a->whole, b->whole, a->whole_n);
    for (unsigned i = 0; c == 0 && (i < a->part_n || i < b->part_n); i++)
        c = (i < a->part_n ? a->part[i] : 0) - (i < b->part_n ? b->part[i] : 0);
    return c;
}

static int compare_signed(const struct decimal *a, const struct decimal *b)
{
    bool an = a->is_negative && !is_zero(a), bn = b->is_negative && !is_zero(b);
    if (an != bn)
        return an ? -1 : 1;
    return an ? -compare(a, b) : compare(a, b);
}

/* A bound of the schema into *out, where it is tighter than what stands there. */
static void read_bound(struct schema_work *w, const json_t *schema, const char *keyword, bool is_upper, bool exclusive,
                       struct decimal *out)
{
    const json_t *v = json_object_get(schema, keyword);
    struct decimal d = {.is_exclusive = exclusive};
    char text[32];
    if (!v)
        return;
    if (!json_is_number(v)) {
        schema_fail(w, ERR_UNSUPPORTED, "\"%s\" must be a number", keyword);
        return;
    }
    if (json_is_integer(v))
        snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
    else
        schema_real_text(json_real_value(v), text);
    if (!read_decimal(text, &d)) {
        schema_fail(w, ERR_UNSUPPORTED, "\"%s\": %s has too many digits: %d on each side of the point are counted",
                    keyword, text, DIGITS);
        return;
    }
    int c = out->is_set ? compare_signed(&d, out) : 0;
    if (!out->is_set || (c == 0 && exclusive) || (c && (c < 0) == is_upper))
        *out = d;
}

/* -- digits -- */

static bool may_end(const struct range *r, unsigned k, bool lo, bool hi)
{
    if (lo && (k < r->lo.part_n || r->lo.is_exclusive))
        return false;
    return !hi || k < r->hi.part_n || !r->hi.is_exclusive;
}

static uint32_t part(struct range *r, unsigned k, bool lo, bool hi);
static uint32_t whole(struct range *r, unsigned k, unsigned n, bool lo, bool hi);

/* One digit of from..to, and what follows: at the edges that are tight they stay so. */
static uint32_t digit(struct range *r, bool in_part, unsigned k, unsigned n, bool lo, bool hi, unsigned from,
                      unsigned to)
{
    struct grammar *g = r->w->g;
    uint32_t all = GRAMMAR_FAIL;
    for (unsigned d = from; d <= to; d++) {
        bool stays_lo = lo && d == from, stays_hi = hi && d == to;
        unsigned last = d;
        if (!stays_lo && !stays_hi) /* all inner digits at once */
            last = hi ? to - 1 : to;
        uint32_t next = in_part ? part(r, k + 1, stays_lo, stays_hi) : whole(r, k + 1, n, stays_lo, stays_hi);
        all = grammar_split(g, all, grammar_range(g, (uint8_t)('0' + d), (uint8_t)('0' + last), next));
        d = last;
    }
    return all;
}

/* k digits stand behind the point (k = 0: the point itself). */
static uint32_t part(struct range *r, unsigned k, bool lo, bool hi)
{
    lo = lo && (k < r->lo.part_n || r->lo.is_exclusive);
    bool is_free = !lo && !hi;
    if (is_free && r->free_part[k])
        return r->free_part[k];
    uint32_t more = GRAMMAR_FAIL;
    if (k < DIGITS)
        more = digit(r, true, k, 0, lo, hi, lo && k < r->lo.part_n ? r->lo.part[k] : 0,
                     !hi                ? 9
                     : k < r->hi.part_n ? r->hi.part[k]
                                        : 0);
    if (k > 0 && may_end(r, k, lo, hi))
        more = grammar_split(r->w->g, r->end, more);
    if (is_free)
        r->free_part[k] = more;
    return more;
}

static uint32_t behind_whole(struct range *r, bool lo, bool hi)
{
    struct grammar *g = r->w->g;
    uint32_t end = may_end(r, 0, lo, hi) ? r->end : GRAMMAR_FAIL;
    if (r->is_whole)
        return end;
    return grammar_split(g, end, grammar_range(g, '.', '.', part(r, 0, lo, hi)));
}

/* k of n digits stand there. */
static uint32_t whole(struct range *r, unsigned k, unsigned n, bool lo, bool hi)
{
    bool is_free = !lo && !hi && k > 0;
    if (is_free && r->free_whole[n - k])
        return r->free_whole[n - k];
    uint32_t more;
    if (k == n)
        more = behind_whole(r, lo, hi);
    else
        more = digit(r, false, k, n, lo, hi, lo ? r->lo.whole[k] : k == 0 && n > 1, hi ? r->hi.whole[k] : 9);
    if (is_free)
        r->free_whole[n - k] = more;
    return more;
}

static uint32_t magnitudes(struct schema_work *w, const struct decimal *lo, const struct decimal *hi, bool is_whole,
                           uint32_t end)
{
    struct range r = {.w = w, .lo = *lo, .hi = *hi, .is_whole = is_whole, .end = end};
    uint32_t all = GRAMMAR_FAIL;
    if (hi->is_set && compare(lo, hi) > 0)
        return GRAMMAR_FAIL;
    for (unsigned n = lo->whole_n; n <= (hi->is_set ? hi->whole_n : DIGITS); n++)
        all = grammar_split(w->g, all, whole(&r, 0, n, n == lo->whole_n, hi->is_set && n == hi->whole_n));
    return all;
}

/* -- the whole -- */

static uint32_t exponent(struct grammar *g, uint32_t next)
{
    uint32_t sign[8] = {0}, e[8] = {0};
    e['E' / 32] |= 1u << 'E' % 32;
    e['e' / 32] |= 1u << 'e' % 32;
    sign['+' / 32] |= 1u << '+' % 32 | 1u << '-' % 32;
    uint32_t digits = grammar_range(g, '0', '9', grammar_split(g, next, grammar_range(g, '0', '9', next)));
    return grammar_split(g, next, grammar_set(g, e, grammar_split(g, digits, grammar_set(g, sign, digits))));
}

uint32_t schema_number_of(struct schema_work *w, const json_t *schema, bool is_whole, uint32_t next)
{
    static const struct decimal none;
    struct decimal min = {0}, max = {0}, zero = {.is_set = true, .whole_n = 1}, low, over_zero;
    read_bound(w, schema, "minimum", false, false, &min);
    read_bound(w, schema, "exclusiveMinimum", false, true, &min);
    read_bound(w, schema, "maximum", true, false, &max);
    read_bound(w, schema, "exclusiveMaximum", true, true, &max);
    bool is_bounded = min.is_set || max.is_set;
    if (!is_bounded && !is_whole)
        next = exponent(w->g, next);
    over_zero = zero;
    over_zero.is_exclusive = is_bounded || is_whole; /* -0 is a number, but nobody's bound */
    uint32_t up = GRAMMAR_FAIL, down = GRAMMAR_FAIL;
    if (!max.is_set || compare_signed(&max, &zero) >= 0) {
        low = min.is_set && compare_signed(&min, &zero) >= 0 ? min : zero;
        up = magnitudes(w, &low, &max, is_whole, next);
    }
    if (!min.is_set || compare_signed(&min, &zero) < 0) {
        low = max.is_set && compare_signed(&max, &zero) < 0 ? max : over_zero;
        down = magnitudes(w, &low, min.is_set ? &min : &none, is_whole, next);
    }
    return grammar_split(w->g, up, grammar_range(w->g, '-', '-', down));
}
