/* UTF-8 and look-ups in the committed Unicode tables. */
#include "inference/tok/unicode.h"

static bool is_tail(uint8_t b)
{
    return (b & 0xc0) == 0x80;
}

size_t unicode_get(const uint8_t *p, size_t n, uint32_t *out)
{
    uint8_t a = p[0];
    *out = UNICODE_INVALID;
    if (a < 0x80) {
        *out = a;
        return 1;
    }
    if (a >= 0xc2 && a < 0xe0 && n >= 2 && is_tail(p[1])) {
        *out = (uint32_t)(a & 0x1f) << 6 | (p[1] & 0x3fu);
        return 2;
    }
    if (a >= 0xe0 && a < 0xf0 && n >= 3 && is_tail(p[1]) && is_tail(p[2])) {
        uint32_t c = (uint32_t)(a & 0x0f) << 12 | (uint32_t)(p[1] & 0x3f) << 6 | (p[2] & 0x3fu);
        if (c >= 0x800 && (c < 0xd800 || c > 0xdfff)) {
            *out = c;
            return 3;
        }
    }
    if (a >= 0xf0 && a < 0xf5 && n >= 4 && is_tail(p[1]) && is_tail(p[2]) && is_tail(p[3])) {
        uint32_t c =
            (uint32_t)(a & 0x07) << 18 | (uint32_t)(p[1] & 0x3f) << 12 | (uint32_t)(p[2] & 0x3f) << 6 | (p[3] & 0x3fu);
        if (c >= 0x10000 && c < 0x110000) {
            *out = c;
            return 4;
        }
    }
    return 1;
}

void unicode_put(struct buf *b, uint32_t c)
{
    uint8_t p[4];
    size_t n = 1;
    if (c >= 0x110000 || (c >= 0xd800 && c <= 0xdfff))
        c = 0xfffd;
    if (c < 0x80) {
        p[0] = (uint8_t)c;
    } else if (c < 0x800) {
        p[0] = (uint8_t)(0xc0 | c >> 6);
        n = 2;
    } else if (c < 0x10000) {
        p[0] = (uint8_t)(0xe0 | c >> 12);
        n = 3;
    } else {
        p[0] = (uint8_t)(0xf0 | c >> 18);
        n = 4;
    }
    for (size_t i = 1; i < n; i++)
        p[i] = (uint8_t)(0x80 | ((c >> (6 * (n - 1 - i))) & 0x3f));
    buf_add(b, p, n);
}

bool unicode_is_utf8(struct bytes text)
{
    for (size_t at = 0; at < text.n;) {
        uint32_t c;
        at += unicode_get(text.p + at, text.n - at, &c);
        if (c == UNICODE_INVALID)
            return false;
    }
    return true;
}

enum unicode_class unicode_class_of(uint32_t c)
{
    if (c >= 0x110000)
        return UNICODE_NONE;
    size_t low = 0, high = unicode_ranges_count; /* the run that holds c begins in [low, high) */
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (unicode_ranges[middle] >> 4 <= c)
            low = middle;
        else
            high = middle;
    }
    return (enum unicode_class)(unicode_ranges[low] & 15);
}

bool unicode_is_space(uint32_t c)
{
    if (c < 0x80)
        return c == ' ' || (c >= 9 && c <= 13);
    return c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 ||
           c == 0x202f || c == 0x205f || c == 0x3000;
}

/* The first pair of c, or the one behind all smaller ones. */
static size_t find_pair(const struct unicode_pair *pairs, size_t count, uint32_t c)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (pairs[middle].from < c)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static uint32_t map(const struct unicode_pair *pairs, size_t count, uint32_t c)
{
    size_t i = find_pair(pairs, count, c);
    return i < count && pairs[i].from == c ? pairs[i].to : c;
}

uint32_t unicode_to_lower(uint32_t c)
{
    if (c < 0x80)
        return c >= 'A' && c <= 'Z' ? c + 32 : c;
    return map(unicode_lower, unicode_lower_count, c);
}

uint32_t unicode_to_upper(uint32_t c)
{
    if (c < 0x80)
        return c >= 'a' && c <= 'z' ? c - 32 : c;
    return map(unicode_upper, unicode_upper_count, c);
}

/* Hangul syllables are numbered by lead, vowel and tail (Unicode 3.12). */
static size_t decompose_hangul(uint32_t c, uint32_t *out)
{
    uint32_t index = c - 0xac00, tail = index % 28;
    out[0] = 0x1100 + index / (21 * 28);
    out[1] = 0x1161 + index / 28 % 21;
    out[2] = 0x11a7 + tail;
    return tail ? 3 : 2;
}

size_t unicode_decompose(uint32_t c, uint32_t out[UNICODE_PARTS_MAX])
{
    size_t n = 0;
    out[0] = c;
    if (c < 0xc0)
        return 1;
    if (c >= 0xac00 && c <= 0xd7a3)
        return decompose_hangul(c, out);
    for (size_t i = find_pair(unicode_parts, unicode_parts_count, c);
         i < unicode_parts_count && unicode_parts[i].from == c && n < UNICODE_PARTS_MAX; i++)
        out[n++] = unicode_parts[i].to;
    return n ? n : 1;
}
