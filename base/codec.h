/* Canonical encodings from field lists.
 *
 * A record is declared once:
 *
 *     #define TRANSFER_FIELDS(F) F(pubkey, to) F(amount, amount) F(text64, memo)
 *     RECORD_DECLARE(transfer, TRANSFER_FIELDS)      in the header
 *     RECORD_DEFINE(transfer, TRANSFER_FIELDS)       in the source
 *
 * which gives struct transfer, transfer_put, transfer_get, transfer_equal and transfer_json.
 * Integers are little-endian and fixed in width, texts and byte strings carry a length in front.
 * Every value has exactly one encoding. A record that is a whole message is decoded with
 * `RECORD_get` and then cursor_end, which demands that every byte was used.
 *
 * A cursor goes null on the first read that fails and stays so: check once, at the end.
 * `blob` and `hashes` borrow from the bytes being read.
 */
#ifndef KITH_BASE_CODEC_H
#define KITH_BASE_CODEC_H

#include "base/amount.h"
#include "base/key.h"
#include "base/limits.h"

struct cursor {
    const uint8_t *p; /* NULL after a read that failed */
    size_t n;
};

struct cursor cursor_of(struct bytes b);
bool cursor_ok(const struct cursor *c) MUST_USE;
/* All was read, and nothing failed. */
bool cursor_end(const struct cursor *c) MUST_USE;
void cursor_fail(struct cursor *c);
/* The next n bytes, borrowed; NULL on failure. */
const uint8_t *cursor_take(struct cursor *c, size_t n);

/* Text of up to 64 or 255 bytes: UTF-8 without control characters; anything else fails to decode. */
struct text64 {
    uint8_t n;
    char s[65]; /* NUL behind */
};
struct text255 {
    uint8_t n;
    char s[256];
};
/* False if too long or not clean UTF-8. */
bool text64_set(struct text64 *t, const char *s) MUST_USE;
bool text255_set(struct text255 *t, const char *s) MUST_USE;
bool text_is_clean(const char *s, size_t n) MUST_USE;
/* How many bytes at the end are a UTF-8 character that is not whole yet: 0 to 3. */
size_t text_half_character(struct bytes b);

/* n hashes one behind the other, borrowed. */
struct hashes {
    const uint8_t *p;
    uint32_t n;
};
struct hash hashes_at(const struct hashes *h, uint32_t i);

/* The kinds of field. For each KIND: CODEC_TYPE_KIND, codec_put_KIND, codec_get_KIND,
 * codec_equal_KIND, codec_json_KIND (which prints a JSON value). */
#define CODEC_TYPE_u8      uint8_t
#define CODEC_TYPE_u16     uint16_t
#define CODEC_TYPE_u32     uint32_t
#define CODEC_TYPE_u64     uint64_t
#define CODEC_TYPE_f32     float /* as its bits; NaN and infinity fail to decode */
#define CODEC_TYPE_flag    bool  /* one byte, 0 or 1 */
#define CODEC_TYPE_amount  struct amount
#define CODEC_TYPE_hash    struct hash
#define CODEC_TYPE_pubkey  struct pubkey
#define CODEC_TYPE_sig     struct sig
#define CODEC_TYPE_text64  struct text64
#define CODEC_TYPE_text255 struct text255
#define CODEC_TYPE_blob    struct bytes  /* u32 length, borrowed */
#define CODEC_TYPE_hashes  struct hashes /* u32 count, borrowed */

#define CODEC_KINDS(K)                                                                                                 \
    K(u8) K(u16) K(u32) K(u64) K(f32) K(flag) K(amount) K(hash) K(pubkey) K(sig) K(text64) K(text255) K(blob) K(hashes)

#define CODEC_PROTOTYPES(kind)                                                                                         \
    void codec_put_##kind(struct buf *b, const CODEC_TYPE_##kind *v);                                                  \
    void codec_get_##kind(struct cursor *c, CODEC_TYPE_##kind *v);                                                     \
    bool codec_equal_##kind(const CODEC_TYPE_##kind *a, const CODEC_TYPE_##kind *b);                                   \
    void codec_json_##kind(struct buf *b, const CODEC_TYPE_##kind *v);
CODEC_KINDS(CODEC_PROTOTYPES)

/* A kind that is `struct KIND { uint8_t b[N]; }`: N bytes, hexadecimal in JSON. */
#define CODEC_DEFINE_FIXED(kind)                                                                                       \
    void codec_put_##kind(struct buf *b, const struct kind *v)                                                         \
    {                                                                                                                  \
        buf_add(b, v->b, sizeof v->b);                                                                                 \
    }                                                                                                                  \
    void codec_get_##kind(struct cursor *c, struct kind *v)                                                            \
    {                                                                                                                  \
        const uint8_t *p = cursor_take(c, sizeof v->b);                                                                \
        for (size_t i = 0; i < sizeof v->b; i++)                                                                       \
            v->b[i] = p ? p[i] : 0;                                                                                    \
    }                                                                                                                  \
    bool codec_equal_##kind(const struct kind *x, const struct kind *y)                                                \
    {                                                                                                                  \
        bool equal = true;                                                                                             \
        for (size_t i = 0; i < sizeof x->b; i++)                                                                       \
            equal = equal && x->b[i] == y->b[i];                                                                       \
        return equal;                                                                                                  \
    }                                                                                                                  \
    void codec_json_##kind(struct buf *b, const struct kind *v)                                                        \
    {                                                                                                                  \
        char text[2 * sizeof v->b + 1];                                                                                \
        hex_put(text, v->b, sizeof v->b);                                                                              \
        buf_add_format(b, "\"%s\"", text);                                                                             \
    }

/* A record can be a field of another: F(transfer, inner) works when a record `transfer` was declared
 * and `#define CODEC_TYPE_transfer struct transfer` and RECORD_AS_FIELD(transfer) stand behind it. */
#define RECORD_AS_FIELD(name)                                                                                          \
    static inline void codec_put_##name(struct buf *b, const struct name *v)                                           \
    {                                                                                                                  \
        name##_put(b, v);                                                                                              \
    }                                                                                                                  \
    static inline void codec_get_##name(struct cursor *c, struct name *v)                                              \
    {                                                                                                                  \
        name##_get(c, v);                                                                                              \
    }                                                                                                                  \
    static inline bool codec_equal_##name(const struct name *a, const struct name *b)                                  \
    {                                                                                                                  \
        return name##_equal(a, b);                                                                                     \
    }                                                                                                                  \
    static inline void codec_json_##name(struct buf *b, const struct name *v)                                          \
    {                                                                                                                  \
        name##_json(b, v);                                                                                             \
    }

#define CODEC_MEMBER(kind, field)   CODEC_TYPE_##kind field;
#define CODEC_DO_PUT(kind, field)   codec_put_##kind(b, &v->field);
#define CODEC_DO_GET(kind, field)   codec_get_##kind(c, &v->field);
#define CODEC_DO_EQUAL(kind, field) &&codec_equal_##kind(&x->field, &y->field)
#define CODEC_DO_JSON(kind, field)                                                                                     \
    codec_json_key(b, &first, #field);                                                                                 \
    codec_json_##kind(b, &v->field);

/* `name_json` appends one JSON object. `name_get` leaves the cursor null on failure. */
#define RECORD_DECLARE(name, FIELDS)                                                                                   \
    struct name {                                                                                                      \
        FIELDS(CODEC_MEMBER)                                                                                           \
    };                                                                                                                 \
    void name##_put(struct buf *b, const struct name *v);                                                              \
    void name##_get(struct cursor *c, struct name *v);                                                                 \
    bool name##_equal(const struct name *x, const struct name *y);                                                     \
    void name##_json(struct buf *b, const struct name *v);

#define RECORD_DEFINE(name, FIELDS)                                                                                    \
    void name##_put(struct buf *b, const struct name *v)                                                               \
    {                                                                                                                  \
        FIELDS(CODEC_DO_PUT)                                                                                           \
    }                                                                                                                  \
    void name##_get(struct cursor *c, struct name *v)                                                                  \
    {                                                                                                                  \
        *v = (struct name){0};                                                                                         \
        FIELDS(CODEC_DO_GET)                                                                                           \
    }                                                                                                                  \
    bool name##_equal(const struct name *x, const struct name *y)                                                      \
    {                                                                                                                  \
        return true FIELDS(CODEC_DO_EQUAL);                                                                            \
    }                                                                                                                  \
    void name##_json(struct buf *b, const struct name *v)                                                              \
    {                                                                                                                  \
        bool first = true;                                                                                             \
        buf_add_text(b, "{");                                                                                          \
        FIELDS(CODEC_DO_JSON)                                                                                          \
        buf_add_text(b, "}");                                                                                          \
    }

/* For hand-written JSON: `,"name":` with the comma where one is needed; a quoted, escaped string. */
void codec_json_key(struct buf *b, bool *first, const char *name);
void codec_json_string(struct buf *b, const char *s, size_t n);

#endif
