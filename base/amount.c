/* Checked arithmetic and the decimal form of amounts. */
#include "base/amount.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bool amount_add(struct amount *out, struct amount a, struct amount b)
{
    uint64_t sum;
    if (__builtin_add_overflow(a.mote, b.mote, &sum))
        return false;
    out->mote = sum;
    return true;
}

bool amount_sub(struct amount *out, struct amount a, struct amount b)
{
    if (a.mote < b.mote)
        return false;
    out->mote = a.mote - b.mote;
    return true;
}

bool amount_scale(struct amount *out, struct amount a, uint64_t numerator, uint64_t denominator)
{
    CHECK(denominator > 0);
    __extension__ unsigned __int128 product = (unsigned __int128)a.mote * numerator;
    product /= denominator;
    if (product > UINT64_MAX)
        return false;
    out->mote = (uint64_t)product;
    return true;
}

struct amount amount_share(struct amount a, uint32_t bps)
{
    CHECK(bps <= BPS_ALL);
    struct amount share = {0};
    CHECK(amount_scale(&share, a, bps, BPS_ALL));
    return share;
}

static enum err parse_whole(const char *text, size_t digits, uint64_t *out)
{
    uint64_t v = 0;
    for (size_t i = 0; i < digits; i++)
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, (uint64_t)(text[i] - '0'), &v))
            return ERR_RANGE;
    return __builtin_mul_overflow(v, MOTE_PER_KITH, out) ? ERR_RANGE : ERR_OK;
}

enum err amount_parse(const char *text, struct amount *out, struct note *note)
{
    size_t whole = strspn(text, "0123456789");
    const char *point = text + whole;
    size_t decimals = *point == '.' ? strspn(point + 1, "0123456789") : 0;
    const char *end = *point == '.' ? point + 1 + decimals : point;
    if (*end || (whole == 0 && decimals == 0) || (*point == '.' && decimals == 0))
        return note_set(note, ERR_FORMAT, "\"%.40s\" is not an amount: write KITH as in 12 or 0.25", text);
    if (decimals > 9)
        return note_set(note, ERR_FORMAT, "\"%.40s\" has %zu decimals: the smallest unit is 0.000000001 KITH", text,
                        decimals);
    uint64_t mote, part = 0;
    if (parse_whole(text, whole, &mote) != ERR_OK)
        return note_set(note, ERR_RANGE, "\"%.40s\" is more KITH than can exist", text);
    for (size_t i = 0; i < 9; i++)
        part = part * 10 + (i < decimals ? (uint64_t)(point[1 + i] - '0') : 0);
    if (__builtin_add_overflow(mote, part, &mote))
        return note_set(note, ERR_RANGE, "\"%.40s\" is more KITH than can exist", text);
    out->mote = mote;
    return ERR_OK;
}

void amount_print(struct amount a, char text[AMOUNT_TEXT_ROOM])
{
    uint64_t part = a.mote % MOTE_PER_KITH;
    int n = snprintf(text, AMOUNT_TEXT_ROOM, "%" PRIu64, a.mote / MOTE_PER_KITH);
    if (part == 0)
        return;
    n += snprintf(text + n, AMOUNT_TEXT_ROOM - (size_t)n, ".%09" PRIu64, part);
    while (text[n - 1] == '0')
        text[--n] = 0;
}
