/* Weight formats, one switch arm each. */
#include "inference/quant.h"

bool quant_is_supported(enum gguf_tensor_type type)
{
    return type == GGUF_TENSOR_F32 || type == GGUF_TENSOR_F16 || quant_is_blocked(type);
}

bool quant_is_blocked(enum gguf_tensor_type type)
{
    return type == GGUF_TENSOR_Q8_0 || type == GGUF_TENSOR_Q4_0;
}

size_t quant_row_bytes(enum gguf_tensor_type type, size_t n)
{
    switch (type) {
    case GGUF_TENSOR_F32:
        return n * 4;
    case GGUF_TENSOR_F16:
        return n * 2;
    case GGUF_TENSOR_Q8_0:
        return n / ARITH_BLOCK * QUANT_Q8_0_BYTES;
    case GGUF_TENSOR_Q4_0:
        return n / ARITH_BLOCK * QUANT_Q4_0_BYTES;
    default:
        CHECK(!"a format without kernels");
    }
}

static void read_q8_0(const uint8_t *row, size_t n, float *out)
{
    for (size_t i = 0; i < n; i += ARITH_BLOCK, row += QUANT_Q8_0_BYTES) {
        float d = arith_half(load_le16(row));
        for (size_t j = 0; j < ARITH_BLOCK; j++)
            out[i + j] = d * (float)(int8_t)row[2 + j];
    }
}

static void read_q4_0(const uint8_t *row, size_t n, float *out)
{
    for (size_t i = 0; i < n; i += ARITH_BLOCK, row += QUANT_Q4_0_BYTES) {
        float d = arith_half(load_le16(row));
        for (size_t j = 0; j < ARITH_BLOCK / 2; j++) {
            out[i + j] = d * (float)((row[2 + j] & 15) - 8);
            out[i + j + ARITH_BLOCK / 2] = d * (float)((row[2 + j] >> 4) - 8);
        }
    }
}

void quant_read_row(enum gguf_tensor_type type, const uint8_t *row, size_t n, float *out)
{
    switch (type) {
    case GGUF_TENSOR_F32:
        for (size_t i = 0; i < n; i++)
            out[i] = arith_of_bits(load_le32(row + 4 * i));
        return;
    case GGUF_TENSOR_F16:
        for (size_t i = 0; i < n; i++)
            out[i] = arith_half(load_le16(row + 2 * i));
        return;
    case GGUF_TENSOR_Q8_0:
        read_q8_0(row, n, out);
        return;
    case GGUF_TENSOR_Q4_0:
        read_q4_0(row, n, out);
        return;
    default:
        CHECK(!"a format without kernels");
    }
}

/* n binary16 values, `step` bytes apart: none has all exponent bits set. */
static bool halves_are_finite(const uint8_t *p, size_t n, size_t step)
{
    unsigned bad = 0;
    for (size_t i = 0; i < n; i++)
        bad |= (load_le16(p + i * step) & 0x7C00u) == 0x7C00u;
    return !bad;
}

bool quant_is_finite(enum gguf_tensor_type type, const uint8_t *p, size_t n)
{
    unsigned bad = 0;
    switch (type) {
    case GGUF_TENSOR_F32:
        for (size_t i = 0; i < n; i++)
            bad |= (load_le32(p + 4 * i) & 0x7F800000u) == 0x7F800000u;
        return !bad;
    case GGUF_TENSOR_F16:
        return halves_are_finite(p, n, 2);
    case GGUF_TENSOR_Q8_0:
        return halves_are_finite(p, n / ARITH_BLOCK, QUANT_Q8_0_BYTES);
    case GGUF_TENSOR_Q4_0:
        return halves_are_finite(p, n / ARITH_BLOCK, QUANT_Q4_0_BYTES);
    default:
        CHECK(!"a format without kernels");
    }
}
