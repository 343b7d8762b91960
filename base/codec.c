/* The kinds of field: how each is put, got, compared and printed. */
#include "base/codec.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

struct cursor cursor_of(struct bytes b)
{
    static const uint8_t empty[1];
    return (struct cursor){b.n ? b.p : empty, b.n};
}

bool cursor_ok(const struct cursor *c)
{
    return c->p != NULL;
}

bool cursor_end(const struct cursor *c)
{
    return c->p != NULL && c->n == 0;
}

void cursor_fail(struct cursor *c)
{
    *c = (struct cursor){0};
}

const uint8_t *cursor_take(struct cursor *c, size_t n)
{
    if (!c->p || c->n < n) {
        cursor_fail(c);
        return NULL;
    }
    const uint8_t *p = c->p;
    c->p += n;
    c->n -= n;
    return p;
}

/* Length of the UTF-8 sequence at s (RFC 3629: shortest form, no surrogates, up to U+10FFFF), or 0. */
static size_t utf8_length(const uint8_t *s, size_t n)
{
    if (s[0] < 0x80)
        return 1;
    size_t len = s[0] >= 0xC2 && s[0] <= 0xDF ? 2 : (s[0] & 0xF0) == 0xE0 ? 3 : s[0] >= 0xF0 && s[0] <= 0xF4 ? 4 : 0;
    if (len == 0 || len > n)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    if ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F) || (s[0] == 0xF0 && s[1] < 0x90) ||
        (s[0] == 0xF4 && s[1] > 0x8F))
        return 0;
    return len;
}

bool text_is_clean(const char *s, size_t n)
{
    const uint8_t *u = (const uint8_t *)s;
    for (size_t i = 0; i < n;) {
        size_t len = utf8_length(u + i, n - i);
        if (len == 0 || u[i] < 0x20 || u[i] == 0x7F || (len == 2 && u[i] == 0xC2 && u[i + 1] < 0xA0))
            return false;
        i += len;
    }
    return true;
}

size_t text_half_character(struct bytes b)
{
    for (size_t back = 1; back <= 3 && back <= b.n; back++) {
        uint8_t c = b.p[b.n - back];
        if ((c & 0xC0) == 0x80)
            continue;
        size_t need = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : c >= 0xC0 ? 2 : 1;
        return need > back ? back : 0;
    }
    return 0;
}

static bool text_set(uint8_t *n, char *s, size_t room, const char *from)
{
    size_t len = strlen(from);
    if (len > room || !text_is_clean(from, len))
        return false;
    memset(s, 0, room + 1);
    memcpy(s, from, len);
    *n = (uint8_t)len;
    return true;
}

bool text64_set(struct text64 *t, const char *s)
{
    return text_set(&t->n, t->s, 64, s);
}

bool text255_set(struct text255 *t, const char *s)
{
    return text_set(&t->n, t->s, 255, s);
}

struct hash hashes_at(const struct hashes *h, uint32_t i)
{
    struct hash out;
    CHECK(i < h->n);
    memcpy(out.b, h->p + (size_t)i * HASH_SIZE, HASH_SIZE);
    return out;
}

#define INTEGER_KIND(kind, bits, format)                                                                               \
    void codec_put_##kind(struct buf *b, const uint##bits##_t *v)                                                      \
    {                                                                                                                  \
        uint8_t raw[bits / 8];                                                                                         \
        for (unsigned i = 0; i < bits / 8; i++)                                                                        \
            raw[i] = (uint8_t)((uint64_t)*v >> (8 * i));                                                               \
        buf_add(b, raw, sizeof raw);                                                                                   \
    }                                                                                                                  \
    void codec_get_##kind(struct cursor *c, uint##bits##_t *v)                                                         \
    {                                                                                                                  \
        const uint8_t *p = cursor_take(c, bits / 8);                                                                   \
        uint64_t x = 0;                                                                                                \
        for (unsigned i = 0; p && i < bits / 8; i++)                                                                   \
            x |= (uint64_t)p[i] << (8 * i);                                                                            \
        *v = (uint##bits##_t)x;                                                                                        \
    }                                                                                                                  \
    bool codec_equal_##kind(const uint##bits##_t *a, const uint##bits##_t *b)                                          \
    {                                                                                                                  \
        return *a == *b;                                                                                               \
    }                                                                                                                  \
    void codec_json_##kind(struct buf *b, const uint##bits##_t *v)                                                     \
    {                                                                                                                  \
        buf_add_format(b, format, *v);                                                                                 \
    }

INTEGER_KIND(u8, 8, "%" PRIu8)
INTEGER_KIND(u16, 16, "%" PRIu16)
INTEGER_KIND(u32, 32, "%" PRIu32)
INTEGER_KIND(u64, 64, "%" PRIu64)

void codec_put_f32(struct buf *b, const float *v)
{
    uint32_t bits;
    memcpy(&bits, v, sizeof bits);
    codec_put_u32(b, &bits);
}

void codec_get_f32(struct cursor *c, float *v)
{
    uint32_t bits;
    codec_get_u32(c, &bits);
    memcpy(v, &bits, sizeof bits);
    if (!isfinite(*v)) {
        *v = 0;
        cursor_fail(c);
    }
}

bool codec_equal_f32(const float *a, const float *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

void codec_json_f32(struct buf *b, const float *v)
{
    buf_add_format(b, "%.9g", (double)*v);
}

void codec_put_flag(struct buf *b, const bool *v)
{
    uint8_t raw = *v;
    codec_put_u8(b, &raw);
}

void codec_get_flag(struct cursor *c, bool *v)
{
    uint8_t raw;
    codec_get_u8(c, &raw);
    if (raw > 1)
        cursor_fail(c);
    *v = raw == 1;
}

bool codec_equal_flag(const bool *a, const bool *b)
{
    return *a == *b;
}

void codec_json_flag(struct buf *b, const bool *v)
{
    buf_add_text(b, *v ? "true" : "false");
}

void codec_put_amount(struct buf *b, const struct amount *v)
{
    codec_put_u64(b, &v->mote);
}

void codec_get_amount(struct cursor *c, struct amount *v)
{
    codec_get_u64(c, &v->mote);
}

bool codec_equal_amount(const struct amount *a, const struct amount *b)
{
    return a->mote == b->mote;
}

void codec_json_amount(struct buf *b, const struct amount *v)
{
    buf_add_format(b, "\"%" PRIu64 "\"", v->mote);
}

CODEC_DEFINE_FIXED(hash)
CODEC_DEFINE_FIXED(pubkey)
CODEC_DEFINE_FIXED(sig)

static void text_get(struct cursor *c, uint8_t *n, char *s, size_t room)
{
    codec_get_u8(c, n);
    const uint8_t *p = *n <= room ? cursor_take(c, *n) : NULL;
    memset(s, 0, room + 1);
    if (p && text_is_clean((const char *)p, *n)) {
        memcpy(s, p, *n);
        return;
    }
    *n = 0;
    cursor_fail(c);
}

#define TEXT_KIND(kind)                                                                                                \
    void codec_put_##kind(struct buf *b, const struct kind *v)                                                         \
    {                                                                                                                  \
        codec_put_u8(b, &v->n);                                                                                        \
        buf_add(b, v->s, v->n);                                                                                        \
    }                                                                                                                  \
    void codec_get_##kind(struct cursor *c, struct kind *v)                                                            \
    {                                                                                                                  \
        text_get(c, &v->n, v->s, sizeof v->s - 1);                                                                     \
    }                                                                                                                  \
    bool codec_equal_##kind(const struct kind *a, const struct kind *b)                                                \
    {                                                                                                                  \
        return a->n == b->n && memcmp(a->s, b->s, a->n) == 0;                                                          \
    }                                                                                                                  \
    void codec_json_##kind(struct buf *b, const struct kind *v)                                                        \
    {                                                                                                                  \
        codec_json_string(b, v->s, v->n);                                                                              \
    }

TEXT_KIND(text64)
TEXT_KIND(text255)

void codec_put_blob(struct buf *b, const struct bytes *v)
{
    CHECK(v->n <= UINT32_MAX);
    uint32_t n = (uint32_t)v->n;
    codec_put_u32(b, &n);
    buf_add(b, v->p, v->n);
}

void codec_get_blob(struct cursor *c, struct bytes *v)
{
    uint32_t n;
    codec_get_u32(c, &n);
    const uint8_t *p = cursor_take(c, n);
    *v = p ? bytes_of(p, n) : (struct bytes){0};
}

bool codec_equal_blob(const struct bytes *a, const struct bytes *b)
{
    return bytes_equal(*a, *b);
}

void codec_json_blob(struct buf *b, const struct bytes *v)
{
    static const char digits[] = "0123456789abcdef";
    buf_add_text(b, "\"");
    for (size_t i = 0; i < v->n; i++) {
        char pair[2] = {digits[v->p[i] >> 4], digits[v->p[i] & 15]};
        buf_add(b, pair, 2);
    }
    buf_add_text(b, "\"");
}

void codec_put_hashes(struct buf *b, const struct hashes *v)
{
    codec_put_u32(b, &v->n);
    buf_add(b, v->p, (size_t)v->n * HASH_SIZE);
}

void codec_get_hashes(struct cursor *c, struct hashes *v)
{
    uint32_t n;
    codec_get_u32(c, &n);
    const uint8_t *p = cursor_take(c, (size_t)n * HASH_SIZE);
    *v = p ? (struct hashes){p, n} : (struct hashes){0};
}

bool codec_equal_hashes(const struct hashes *a, const struct hashes *b)
{
    return a->n == b->n && (a->n == 0 || memcmp(a->p, b->p, (size_t)a->n * HASH_SIZE) == 0);
}

void codec_json_hashes(struct buf *b, const struct hashes *v)
{
    buf_add_text(b, "[");
    for (uint32_t i = 0; i < v->n; i++) {
        struct hash h = hashes_at(v, i);
        if (i)
            buf_add_text(b, ",");
        codec_json_hash(b, &h);
    }
    buf_add_text(b, "]");
}

void codec_json_key(struct buf *b, bool *first, const char *name)
{
    buf_add_format(b, "%s\"%s\":", *first ? "" : ",", name);
    *first = false;
}

void codec_json_string(struct buf *b, const char *s, size_t n)
{
    buf_add_text(b, "\"");
    for (size_t i = 0; i < n;) {
        uint8_t ch = (uint8_t)s[i];
        size_t len = utf8_length((const uint8_t *)s + i, n - i);
        if (len == 0) {
            buf_add_text(b, "\xEF\xBF\xBD"); /* U+FFFD for what is not UTF-8 */
            len = 1;
        } else if (ch == '"' || ch == '\\')
            buf_add_format(b, "\\%c", ch);
        else if (ch < 0x20 || ch == 0x7F)
            buf_add_format(b, "\\u%04x", ch);
        else
            buf_add(b, s + i, len);
        i += len;
    }
    buf_add_text(b, "\"");
}
