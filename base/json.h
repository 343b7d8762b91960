/* JSON in: jansson, made strict. This header owns jansson.h: users take its values from here.
 * JSON out: jansson's dumps for trees, codec_json_* for records. */
#ifndef KITH_BASE_JSON_H
#define KITH_BASE_JSON_H

#include "base/bytes.h"

#include <jansson.h>

/* Parses exactly one JSON value of at most JSON_BYTES_MAX bytes (RFC 8259): no raw NUL, no duplicate
 * keys, nothing behind it, at most JSON_DEPTH_MAX deep. The caller owns the value (json_decref). NULL on failure,
 * with line, column and reason in the note. */
json_t *json_parse(struct bytes text, struct note *note) MUST_USE;
/* Appends the value in compact form, keys in insertion order. */
void json_print(struct buf *out, const json_t *value);
/* The same with numbers as short as they can be without becoming others, for people. */
void json_print_short(struct buf *out, const json_t *value);
/* A member that was given: not absent, and not null. */
static inline bool json_is_given(const json_t *value)
{
    return value && !json_is_null(value);
}
/* Text of a string member, or NULL if it is absent or no string. Borrowed. */
const char *json_text(const json_t *object, const char *key);

#endif
