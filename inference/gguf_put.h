/* Writing GGUF files (version 3): keys and tensors' infos are collected, then come out as the head; the tensors' bytes
 * behind it are the caller's, at the offsets that he named, which count from the head's end. */
#ifndef KITH_INFERENCE_GGUF_PUT_H
#define KITH_INFERENCE_GGUF_PUT_H

#include "base/hash.h"
#include "inference/gguf.h"

/* Zeroed: empty. */
struct gguf_writer {
    struct buf keys, infos;
    uint64_t keys_n, tensors_n;
};

void gguf_put_u32(struct buf *b, uint32_t v);
void gguf_put_u64(struct buf *b, uint64_t v);
void gguf_put_f32(struct buf *b, float v);
void gguf_put_text(struct buf *b, const char *text);
void gguf_put_hash(struct buf *b, const struct hash *h); /* a text of hexadecimal digits */
/* And read again; false where the key has none. */
bool gguf_find_hash(const struct gguf *g, const char *key, struct hash *out) MUST_USE;

/* A key whose value the caller puts behind it, into w->keys. */
void gguf_writer_key(struct gguf_writer *w, const char *name, enum gguf_type type);
void gguf_writer_list(struct gguf_writer *w, const char *name, enum gguf_type type, uint64_t n);
void gguf_writer_u32(struct gguf_writer *w, const char *name, uint32_t v);
void gguf_writer_u64(struct gguf_writer *w, const char *name, uint64_t v);
void gguf_writer_f32(struct gguf_writer *w, const char *name, float v);
void gguf_writer_text(struct gguf_writer *w, const char *name, const char *text);
void gguf_writer_hash(struct gguf_writer *w, const char *name, const struct hash *h);

void gguf_writer_tensor(struct gguf_writer *w, const char *name, const uint64_t *dims, uint32_t n_dims,
                        enum gguf_tensor_type type, uint64_t offset);
/* Appends the head, with zeros up to a multiple of `alignment` from where it began. */
void gguf_writer_head(const struct gguf_writer *w, uint64_t alignment, struct buf *out);
void gguf_writer_clear(struct gguf_writer *w);

#endif
