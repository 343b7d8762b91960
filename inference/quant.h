/* Weight formats: a row of facts for each, what a row of weights looks like in the file, how it is read back, and
 * whether a stranger's row may be used at all.
 *
 * Every blocked format is read as integers under few numbers: weight i of a block is
 *
 *     d * scale[i / sub] * (code[i] - offset)  +  m * min[i / sub]        code from a table where the format has one
 *
 * with d and m binary32 (m 0 where the format has no minimums), scales and minimums integers (1 where it has none).
 * So products are sums of integers, and kernels differ in bits and scales, not by format. */
#ifndef KITH_INFERENCE_QUANT_H
#define KITH_INFERENCE_QUANT_H

#include "inference/arith.h"
#include "inference/gguf.h"

/* What a product with the format reads of the activations. */
enum quant_input {
    QUANT_FLOATS, /* binary32 as they are */
    QUANT_NARROW, /* int8 in blocks of 32 */
    QUANT_WIDE,   /* int8 in blocks of 256 */
};

#define QUANT_SUBS_MAX 16

struct quant_format {
    enum gguf_tensor_type type;
    enum quant_input input;
    uint16_t block;      /* weights of a block: 1, 32, 256 */
    uint16_t bytes;      /* of a block in the file */
    uint8_t bits;        /* of a code */
    uint8_t sub;         /* weights under one scale; the block where it has no integer scales */
    uint8_t scale_bits;  /* of an integer scale: 0 (none), 4, 6, 8 */
    uint8_t scale_under; /* what a packed scale of 6 bits is less */
    uint8_t offset;      /* what a code is less; not with a table */
    bool has_min, has_table;
};

/* E(name, input, block, bytes, bits, sub, scale_bits, scale_under, offset, has_min, has_table) */
#define QUANT_BLOCKED_LIST(E)                                                                                          \
    E(Q8_0, QUANT_NARROW, 32, 34, 8, 32, 0, 0, 128, false, false)                                                      \
    E(Q4_0, QUANT_NARROW, 32, 18, 4, 32, 0, 0, 8, false, false)                                                        \
    E(Q4_1, QUANT_NARROW, 32, 20, 4, 32, 0, 0, 0, true, false)                                                         \
    E(Q5_0, QUANT_NARROW, 32, 22, 5, 32, 0, 0, 16, false, false)                                                       \
    E(Q5_1, QUANT_NARROW, 32, 24, 5, 32, 0, 0, 0, true, false)                                                         \
    E(IQ4_NL, QUANT_NARROW, 32, 18, 4, 32, 0, 0, 0, false, true)                                                       \
    E(Q2_K, QUANT_WIDE, 256, 84, 2, 16, 4, 0, 0, true, false)                                                          \
    E(Q3_K, QUANT_WIDE, 256, 110, 3, 16, 6, 32, 4, false, false)                                                       \
    E(Q4_K, QUANT_WIDE, 256, 144, 4, 32, 6, 0, 0, true, false)                                                         \
    E(Q5_K, QUANT_WIDE, 256, 176, 5, 32, 6, 0, 0, true, false)                                                         \
    E(Q6_K, QUANT_WIDE, 256, 210, 6, 16, 8, 0, 32, false, false)                                                       \
    E(IQ4_XS, QUANT_WIDE, 256, 136, 4, 32, 6, 32, 0, false, true)
/* An entry as initialiser of a struct quant_format: a kernel that is made for one format keeps it as a constant. */
#define QUANT_FORMAT(name, ...)                                                                                        \
    {                                                                                                                  \
        GGUF_TENSOR_##name, __VA_ARGS__                                                                                \
    }

struct quant_block {
    float d, m;
    int8_t scale[QUANT_SUBS_MAX];
    uint8_t min[QUANT_SUBS_MAX];
    uint8_t code[ARITH_RUN];
};

#ifdef __cplusplus
extern "C" {
#endif

/* The 16 weights that IQ4 codes mean. */
extern const int8_t quant_iq4[16];

/* NULL for a format without kernels. */
const struct quant_format *quant_format(enum gguf_tensor_type type);
/* Where in a block of a blocked format its binary16 scale stands; a minimum's stands behind it. */
size_t quant_scale_at(const struct quant_format *f);
/* A block of a blocked format from its bytes in the file. */
void quant_read_block(const struct quant_format *f, const uint8_t *p, struct quant_block *out);
static inline int32_t quant_weight(const struct quant_format *f, uint8_t code)
{
    return f->has_table ? quant_iq4[code] : (int32_t)code - f->offset;
}

/* Elements of a row as the cache stores them: up to whole blocks of 32, the rest zero. */
static inline size_t quant_padded(size_t n)
{
    return (n + ARITH_BLOCK - 1) / ARITH_BLOCK * ARITH_BLOCK;
}
/* Runs of a row; the last may be short. */
static inline size_t quant_runs(size_t n)
{
    return (n + ARITH_RUN - 1) / ARITH_RUN;
}

/* The engine has kernels for it. */
bool quant_is_supported(enum gguf_tensor_type type);
/* Its products take int8 activations. */
bool quant_is_blocked(enum gguf_tensor_type type);
/* Bytes of a row of n elements, n a multiple of the format's block. */
size_t quant_row_bytes(enum gguf_tensor_type type, size_t n);
/* out[f->block] = (d * float(scale * weight)) + m * float(min), how a token's embedding is read. */
void quant_block_values(const struct quant_format *f, const struct quant_block *b, float *out);
/* A row of n of them, from its bytes in the file. */
void quant_read_row(enum gguf_tensor_type type, const uint8_t *row, size_t n, float *out);
/* Every scale and weight of `n` elements is finite. */
bool quant_is_finite(enum gguf_tensor_type type, const uint8_t *p, size_t n);

#ifdef __cplusplus
}
#endif

#endif
