/* The little of Unicode that tokens need: UTF-8, general categories, white space, simple case and
 * what a composed letter is made of. Tokens enter verification, so the version is fixed (15.0.0) and
 * the tables are committed (inference/tok/unicode_tables.c, written by scripts/unicode-tables). */
#ifndef KITH_INFERENCE_UNICODE_H
#define KITH_INFERENCE_UNICODE_H

#include "base/bytes.h"

/* General categories, as far as any pre-tokenizer tells them apart. NONE: unassigned, surrogate,
 * private use, and bytes that are not UTF-8. */
enum unicode_class {
    UNICODE_NONE,
    UNICODE_LU,
    UNICODE_LL,
    UNICODE_LT,
    UNICODE_LM,
    UNICODE_LO,
    UNICODE_MN,
    UNICODE_MARK, /* Mc and Me */
    UNICODE_NUMBER,
    UNICODE_PUNCTUATION,
    UNICODE_SYMBOL,
    UNICODE_SEPARATOR,
    UNICODE_CONTROL, /* Cc and Cf */
    UNICODE_CLASSES
};

/* What a byte that is not part of valid UTF-8 reads as: no code point, of class NONE. */
#define UNICODE_INVALID 0x110000u

/* Reads one code point at p (n > 0 bytes): its length 1..4 is returned. Overlong forms, surrogates and
 * stray bytes give UNICODE_INVALID and length 1, so that every byte string reads as some sequence. */
size_t unicode_get(const uint8_t *p, size_t n, uint32_t *out);
/* Appends UTF-8; what is no code point becomes U+FFFD. */
void unicode_put(struct buf *b, uint32_t c);
bool unicode_is_utf8(struct bytes text);

enum unicode_class unicode_class_of(uint32_t c);
/* Property White_Space. */
bool unicode_is_space(uint32_t c);
/* Simple mappings: one code point to one. */
uint32_t unicode_to_lower(uint32_t c);
uint32_t unicode_to_upper(uint32_t c);
/* The full canonical decomposition of one code point (most are their own): how many are put into `out`. */
#define UNICODE_PARTS_MAX 4
size_t unicode_decompose(uint32_t c, uint32_t out[UNICODE_PARTS_MAX]);

/* Tables: code point << 4 | class where a run of a class begins; pairs sorted by `from`, in unicode_parts
 * one after the other for each code point that `from` is made of. */
struct unicode_pair {
    uint32_t from;
    uint32_t to;
};
extern const uint32_t unicode_ranges[];
extern const size_t unicode_ranges_count;
extern const struct unicode_pair unicode_lower[];
extern const size_t unicode_lower_count;
extern const struct unicode_pair unicode_upper[];
extern const size_t unicode_upper_count;
extern const struct unicode_pair unicode_parts[];
extern const size_t unicode_parts_count;

#endif
