/* Writing GGUF files. */
#include "inference/gguf_put.h"

#include "base/codec.h"

#include <string.h>

void gguf_put_u32(struct buf *b, uint32_t v)
{
    codec_put_u32(b, &v);
}

void gguf_put_u64(struct buf *b, uint64_t v)
{
    codec_put_u64(b, &v);
}

void gguf_put_f32(struct buf *b, float v)
{
    codec_put_f32(b, &v);
}

void gguf_put_text(struct buf *b, const char *text)
{
    gguf_put_u64(b, strlen(text));
    buf_add_text(b, text);
}

void gguf_put_hash(struct buf *b, const struct hash *h)
{
    char text[2 * HASH_SIZE + 1];
    hex_put(text, h->b, sizeof h->b);
    gguf_put_text(b, text);
}

bool gguf_find_hash(const struct gguf *g, const char *key, struct hash *out)
{
    struct bytes text;
    char digits[2 * HASH_SIZE + 1] = {0};
    if (!gguf_find_text(g, key, &text) || text.n != 2 * HASH_SIZE)
        return false;
    memcpy(digits, text.p, text.n);
    return hex_get(digits, out->b, sizeof out->b);
}

void gguf_writer_key(struct gguf_writer *w, const char *name, enum gguf_type type)
{
    gguf_put_text(&w->keys, name);
    gguf_put_u32(&w->keys, type);
    w->keys_n++;
}

void gguf_writer_list(struct gguf_writer *w, const char *name, enum gguf_type type, uint64_t n)
{
    gguf_writer_key(w, name, GGUF_ARRAY);
    gguf_put_u32(&w->keys, type);
    gguf_put_u64(&w->keys, n);
}

void gguf_writer_u32(struct gguf_writer *w, const char *name, uint32_t v)
{
    gguf_writer_key(w, name, GGUF_U32);
    gguf_put_u32(&w->keys, v);
}

void gguf_writer_u64(struct gguf_writer *w, const char *name, uint64_t v)
{
    gguf_writer_key(w, name, GGUF_U64);
    gguf_put_u64(&w->keys, v);
}

void gguf_writer_f32(struct gguf_writer *w, const char *name, float v)
{
    gguf_writer_key(w, name, GGUF_F32);
    gguf_put_f32(&w->keys, v);
}

void gguf_writer_text(struct gguf_writer *w, const char *name, const char *text)
{
    gguf_writer_key(w, name, GGUF_TEXT);
    gguf_put_text(&w->keys, text);
}

void gguf_writer_hash(struct gguf_writer *w, const char *name, const struct hash *h)
{
    gguf_writer_key(w, name, GGUF_TEXT);
    gguf_put_hash(&w->keys, h);
}

void gguf_writer_tensor(struct gguf_writer *w, const char *name, const uint64_t *dims, uint32_t n_dims,
                        enum gguf_tensor_type type, uint64_t offset)
{
    gguf_put_text(&w->infos, name);
    gguf_put_u32(&w->infos, n_dims);
    for (uint32_t d = 0; d < n_dims; d++)
        gguf_put_u64(&w->infos, dims[d]);
    gguf_put_u32(&w->infos, type);
    gguf_put_u64(&w->infos, offset);
    w->tensors_n++;
}

void gguf_writer_head(const struct gguf_writer *w, uint64_t alignment, struct buf *out)
{
    const size_t from = out->n;
    buf_add_text(out, "GGUF");
    gguf_put_u32(out, 3);
    gguf_put_u64(out, w->tensors_n);
    gguf_put_u64(out, w->keys_n);
    buf_add(out, w->keys.p, w->keys.n);
    buf_add(out, w->infos.p, w->infos.n);
    while ((out->n - from) % alignment)
        buf_add(out, "", 1);
}

void gguf_writer_clear(struct gguf_writer *w)
{
    buf_clear(&w->keys);
    buf_clear(&w->infos);
}
