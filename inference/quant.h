/* Weight formats: what a row looks like in the file, how one is read back, and whether a stranger's row
 * may be used at all. */
#ifndef KITH_INFERENCE_QUANT_H
#define KITH_INFERENCE_QUANT_H

#include "inference/arith.h"
#include "inference/gguf.h"

/* 32 weights: binary16 scale d, 32 x int8 q.   weight = d q */
#define QUANT_Q8_0_BYTES 34
/* 32 weights: binary16 scale d, 16 bytes; the low nibbles are weights 0..15, the high ones 16..31.
 * weight = d (nibble - 8) */
#define QUANT_Q4_0_BYTES 18

/* Elements of a row as activations store them: up to whole blocks, the rest zero. */
static inline size_t quant_padded(size_t n)
{
    return (n + ARITH_BLOCK - 1) / ARITH_BLOCK * ARITH_BLOCK;
}

/* The engine has kernels for it. */
bool quant_is_supported(enum gguf_tensor_type type);
/* Its kernels take int8 activations with a scale per block, not binary32. */
bool quant_is_blocked(enum gguf_tensor_type type);
/* Bytes of a row of n elements, n a multiple of the format's block. */
size_t quant_row_bytes(enum gguf_tensor_type type, size_t n);
/* out[n], one multiplication a weight: how a token's embedding is read. */
void quant_read_row(enum gguf_tensor_type type, const uint8_t *row, size_t n, float *out);
/* Every scale and weight of `n` elements is finite. */
bool quant_is_finite(enum gguf_tensor_type type, const uint8_t *p, size_t n);

#endif
