/* Money. One KITH is 10^9 mote; an amount is a count of mote, never negative, never a float.
 * A struct, so that it is not added to anything else by accident; arithmetic is checked. */
#ifndef KITH_BASE_AMOUNT_H
#define KITH_BASE_AMOUNT_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define MOTE_PER_KITH UINT64_C(1000000000)
#define BPS_ALL       10000u /* basis points in a whole */

struct amount {
    uint64_t mote;
};

/* "18446744073.709551615" is the longest: 21 characters and a NUL. */
#define AMOUNT_TEXT_ROOM 24

static inline struct amount amount_of(uint64_t mote)
{
    return (struct amount){mote};
}

static inline int amount_compare(struct amount a, struct amount b)
{
    return (a.mote > b.mote) - (a.mote < b.mote);
}

/* *out = a + b, a - b; false (and *out untouched) on overflow or a negative result. out may be a or b. */
bool amount_add(struct amount *out, struct amount a, struct amount b) MUST_USE;
bool amount_sub(struct amount *out, struct amount a, struct amount b) MUST_USE;
/* floor(a * numerator / denominator) in 128 bits; false on overflow; denominator > 0. */
bool amount_scale(struct amount *out, struct amount a, uint64_t numerator, uint64_t denominator) MUST_USE;
/* floor(a * bps / 10000), bps <= 10000: never more than a. */
struct amount amount_share(struct amount a, uint32_t bps);

/* Decimal KITH: digits, at most one point, at most 9 decimals, no sign, no exponent, no spaces.
 * The note names the value and what is wrong with it. */
enum err amount_parse(const char *text, struct amount *out, struct note *note) MUST_USE;
/* Shortest exact form: "12", "0.5", "0.000000001". */
void amount_print(struct amount a, char text[AMOUNT_TEXT_ROOM]);

#endif
