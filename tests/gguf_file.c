/* Writes GGUF version 3 metadata. */
#include "tests/gguf_file.h"

#include "inference/gguf.h"

#include <string.h>

static void add_u32(struct buf *b, uint32_t v)
{
    uint8_t raw[4];
    store_le32(raw, v);
    buf_add(b, raw, 4);
}

static void add_u64(struct buf *b, uint64_t v)
{
    uint8_t raw[8];
    store_le64(raw, v);
    buf_add(b, raw, 8);
}

static void add_text(struct buf *b, const char *text)
{
    add_u64(b, strlen(text));
    buf_add_text(b, text);
}

static void add_key(struct gguf_file *f, const char *key, enum gguf_type type)
{
    add_text(&f->body, key);
    add_u32(&f->body, type);
    f->keys++;
}

static void add_array(struct gguf_file *f, const char *key, enum gguf_type type, size_t n)
{
    add_key(f, key, GGUF_ARRAY);
    add_u32(&f->body, type);
    add_u64(&f->body, n);
}

void gguf_file_text(struct gguf_file *f, const char *key, const char *value)
{
    add_key(f, key, GGUF_TEXT);
    add_text(&f->body, value);
}

void gguf_file_i32(struct gguf_file *f, const char *key, int32_t value)
{
    add_key(f, key, GGUF_I32);
    add_u32(&f->body, (uint32_t)value);
}

void gguf_file_flag(struct gguf_file *f, const char *key, bool value)
{
    uint8_t raw = value;
    add_key(f, key, GGUF_FLAG);
    buf_add(&f->body, &raw, 1);
}

void gguf_file_texts(struct gguf_file *f, const char *key, const char *const *values, size_t n)
{
    add_array(f, key, GGUF_TEXT, n);
    for (size_t i = 0; i < n; i++)
        add_text(&f->body, values[i]);
}

void gguf_file_floats(struct gguf_file *f, const char *key, const float *values, size_t n)
{
    add_array(f, key, GGUF_F32, n);
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], 4);
        add_u32(&f->body, bits);
    }
}

void gguf_file_ints(struct gguf_file *f, const char *key, const int32_t *values, size_t n)
{
    add_array(f, key, GGUF_I32, n);
    for (size_t i = 0; i < n; i++)
        add_u32(&f->body, (uint32_t)values[i]);
}

void gguf_file_end(struct gguf_file *f, struct buf *out)
{
    buf_add_text(out, "GGUF");
    add_u32(out, 3);
    add_u64(out, 0);
    add_u64(out, f->keys);
    buf_add(out, f->body.p, f->body.n);
    buf_clear(&f->body);
    f->keys = 0;
}
