/* Borrowed bytes, a growing buffer, little-endian integers and hexadecimal. */
#ifndef KITH_BASE_BYTES_H
#define KITH_BASE_BYTES_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Borrowed: whoever made them keeps them alive. */
struct bytes {
    const uint8_t *p;
    size_t n;
};

/* Owned, growing. {0} is empty. Free with buf_clear. */
struct buf {
    uint8_t *p;
    size_t n;
    size_t room;
};

struct bytes bytes_of(const void *p, size_t n);
struct bytes bytes_of_text(const char *text);
struct bytes bytes_of_buf(const struct buf *b);
bool bytes_equal(struct bytes a, struct bytes b);
bool bytes_begin(struct bytes text, const char *with);
/* Without spaces, tabs and ends of lines in front, behind, or at both ends. */
struct bytes bytes_trim_front(struct bytes text);
struct bytes bytes_trim_behind(struct bytes text);
struct bytes bytes_trim(struct bytes text);

void buf_clear(struct buf *b);
/* Empties but keeps the room. */
void buf_reset(struct buf *b);
void buf_reserve(struct buf *b, size_t more);
void buf_add(struct buf *b, const void *p, size_t n);
void buf_add_text(struct buf *b, const char *text);
void buf_add_format(struct buf *b, const char *format, ...) PRINTF_LIKE(2, 3);
/* Takes n bytes off the front (n <= b->n). */
void buf_drop(struct buf *b, size_t n);
/* The content as a C string: a NUL is kept behind it and not counted. Valid until the next change. */
const char *buf_text(struct buf *b);

uint16_t load_le16(const void *p);
uint32_t load_le32(const void *p);
uint64_t load_le64(const void *p);
void store_le16(void *p, uint16_t v);
void store_le32(void *p, uint32_t v);
void store_le64(void *p, uint64_t v);
/* For keys of ordered stores: the order of bytes is the order of numbers. */
void store_be32(void *p, uint32_t v);
void store_be64(void *p, uint64_t v);

/* Writes 2 n digits and a NUL: text holds 2 n + 1. */
void hex_put(char *text, const void *p, size_t n);
/* Exactly 2 n digits of either case and nothing else; false leaves `out` unspecified. */
bool hex_get(const char *text, void *out, size_t n) MUST_USE;

/* Of two spellings, how many letters must change, 64 at most compared; for "did you mean". */
unsigned text_distance(const char *a, const char *b);

#endif
