/* Writes GGUF files for tests. */
#include "tests/gguf_make.h"

#include "inference/kernels/quant.h"

#include <string.h>

#define ALIGNMENT 32

void gguf_make_init(struct gguf_make *m)
{
    *m = (struct gguf_make){.magic = 0x46554747u, .version = 3};
}

void gguf_make_clear(struct gguf_make *m)
{
    buf_clear(&m->keys);
    buf_clear(&m->infos);
    buf_clear(&m->data);
}

static void add_u32(struct buf *b, uint32_t v)
{
    uint8_t raw[4];
    store_le32(raw, v);
    buf_add(b, raw, sizeof raw);
}

static void add_u64(struct buf *b, uint64_t v)
{
    uint8_t raw[8];
    store_le64(raw, v);
    buf_add(b, raw, sizeof raw);
}

static void add_text(struct buf *b, const char *s)
{
    add_u64(b, strlen(s));
    buf_add(b, s, strlen(s));
}

static void pad(struct buf *b)
{
    static const uint8_t zeros[ALIGNMENT];
    buf_add(b, zeros, (ALIGNMENT - b->n % ALIGNMENT) % ALIGNMENT);
}

void gguf_make_raw(struct gguf_make *m, const char *key, uint32_t type, const void *value, size_t n)
{
    add_text(&m->keys, key);
    add_u32(&m->keys, type);
    buf_add(&m->keys, value, n);
    m->keys_n++;
}

void gguf_make_u32(struct gguf_make *m, const char *key, uint32_t v)
{
    uint8_t raw[4];
    store_le32(raw, v);
    gguf_make_raw(m, key, GGUF_U32, raw, sizeof raw);
}

void gguf_make_f32(struct gguf_make *m, const char *key, float v)
{
    gguf_make_raw(m, key, GGUF_F32, &v, sizeof v);
}

void gguf_make_text(struct gguf_make *m, const char *key, const char *v)
{
    struct buf raw = {0};
    add_text(&raw, v);
    gguf_make_raw(m, key, GGUF_TEXT, raw.p, raw.n);
    buf_clear(&raw);
}

void gguf_make_array_text(struct gguf_make_array *a, const char *v)
{
    add_text(&a->values, v);
    a->n++;
}

void gguf_make_array_i32(struct gguf_make_array *a, int32_t v)
{
    add_u32(&a->values, (uint32_t)v);
    a->n++;
}

void gguf_make_array_take(struct gguf_make *m, const char *key, enum gguf_type type, struct gguf_make_array *a)
{
    struct buf raw = {0};
    add_u32(&raw, type);
    add_u64(&raw, a->n);
    buf_add(&raw, a->values.p, a->values.n);
    gguf_make_raw(m, key, GGUF_ARRAY, raw.p, raw.n);
    buf_clear(&raw);
    buf_clear(&a->values);
    a->n = 0;
}

void gguf_make_info(struct gguf_make *m, const char *name, uint32_t n_dims, const uint64_t *dims, uint32_t type,
                    uint64_t offset)
{
    add_text(&m->infos, name);
    add_u32(&m->infos, n_dims);
    for (uint32_t d = 0; d < n_dims; d++)
        add_u64(&m->infos, dims[d]);
    add_u32(&m->infos, type);
    add_u64(&m->infos, offset);
    m->tensors_n++;
}

void gguf_make_tensors(struct gguf_make *m, const char *name, uint64_t n, uint64_t rows, uint64_t count, uint32_t type,
                       struct bytes data)
{
    uint32_t n_dims = count > 1 ? 3 : rows > 1 ? 2 : 1;
    pad(&m->data);
    gguf_make_info(m, name, n_dims, (const uint64_t[]){n, rows, count}, type, m->data.n);
    buf_add(&m->data, data.p, data.n);
}

void gguf_make_tensor(struct gguf_make *m, const char *name, uint64_t n, uint64_t rows, uint32_t type,
                      struct bytes data)
{
    gguf_make_tensors(m, name, n, rows, 1, type, data);
}

void gguf_make_end(const struct gguf_make *m, struct buf *out)
{
    add_u32(out, m->magic);
    add_u32(out, m->version);
    add_u64(out, m->tensors_n);
    add_u64(out, m->keys_n);
    buf_add(out, m->keys.p, m->keys.n);
    buf_add(out, m->infos.p, m->infos.n);
    pad(out);
    buf_add(out, m->data.p, m->data.n);
}

void gguf_make_lengthen(struct buf *file, uint32_t context)
{
    static const char key[] = ".context_length";
    size_t at = 0;
    while (memcmp(file->p + at, key, sizeof key - 1) != 0) {
        at++;
        CHECK(at + sizeof key + 8 <= file->n);
    }
    at += sizeof key - 1;
    CHECK(load_le32(file->p + at) == GGUF_U32);
    store_le32(file->p + at + 4, context);
}

void gguf_make_rows(uint32_t (*draw)(uint32_t below), enum gguf_tensor_type type, uint8_t *p, size_t bytes)
{
    const struct quant_format *f = quant_format(type);
    for (size_t i = 0; i < bytes; i++)
        p[i] = (uint8_t)draw(256);
    size_t at = quant_is_blocked(type) ? quant_scale_at(f) : 0, halves = f->has_min ? 2 : 1;
    for (size_t i = 0; i + f->bytes <= bytes; i += f->bytes)
        for (size_t h = 0; h < halves; h++) {
            uint8_t *high = p + i + at + 2 * h + (type == GGUF_TENSOR_F32 ? 3 : !f->has_exponent);
            *high = f->has_exponent ? (uint8_t)(124 + (*high & 3)) : (uint8_t)((*high & 0x83u) | 0x30u);
        }
}

void gguf_make_counter(struct gguf_make *m, const char *skip)
{
    enum { N = 8 };
    float zeros[N * N] = {0}, ones[N], embedding[N * N] = {0}, output[N * N] = {0};
    for (size_t i = 0; i < N; i++) {
        ones[i] = 1.0f;
        embedding[i * N + i] = 1.0f;
        output[(i + 1) % N * N + i] = i == 5 ? 3e38f : 1.0f;
    }
    gguf_make_init(m);
    gguf_make_text(m, "general.architecture", "llama");
    gguf_make_u32(m, "llama.context_length", 256);
    gguf_make_u32(m, "llama.embedding_length", N);
    gguf_make_u32(m, "llama.block_count", 1);
    gguf_make_u32(m, "llama.feed_forward_length", N);
    gguf_make_u32(m, "llama.attention.head_count", 2);
    gguf_make_f32(m, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    const struct {
        const char *name;
        const float *values;
        uint64_t rows;
    } tensors[] = {
        {"token_embd.weight", embedding, N}, {"blk.0.attn_norm.weight", ones, 1},
        {"blk.0.attn_q.weight", zeros, N},   {"blk.0.attn_k.weight", zeros, N},
        {"blk.0.attn_v.weight", zeros, N},   {"blk.0.attn_output.weight", zeros, N},
        {"blk.0.ffn_norm.weight", ones, 1},  {"blk.0.ffn_gate.weight", zeros, N},
        {"blk.0.ffn_up.weight", zeros, N},   {"blk.0.ffn_down.weight", zeros, N},
        {"output_norm.weight", ones, 1},     {"output.weight", output, N},
    };
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++)
        if (!skip || strcmp(skip, tensors[i].name) != 0)
            gguf_make_tensor(m, tensors[i].name, N, tensors[i].rows, GGUF_TENSOR_F32,
                             bytes_of(tensors[i].values, (size_t)(N * tensors[i].rows) * sizeof(float)));
}
