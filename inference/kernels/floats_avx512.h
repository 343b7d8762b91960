/* Products of F32, F16 and BF16 weights for AVX-512: a register is the 16 stripes of a sum. Four rows meet four
 * columns, so that 16 sums hide the additions' latency and a weight is converted once for four columns. Included by
 * ops_avx512.c and ops_avx512_vnni.c. */
#include "inference/kernels/ops_x86.h"

#include <immintrin.h>

#define FLOAT_ROWS      4
#define FLOAT_ROWS_MOST 8 /* with one column */
#define FLOAT_COLS      4
#define FLOAT_STRIP     16 /* rows that stay near while all columns pass */

/* 16 weights from element i on, +0 outside the mask. */
static inline __attribute__((always_inline)) __m512 load_stripes(enum gguf_tensor_type type, const uint8_t *row,
                                                                 size_t i, __mmask16 mask)
{
    if (type == GGUF_TENSOR_F32)
        return _mm512_maskz_loadu_ps(mask, row + 4 * i);
    __m256i half = _mm256_maskz_loadu_epi16(mask, row + 2 * i);
    if (type == GGUF_TENSOR_BF16)
        return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
    return _mm512_cvtph_ps(half);
}

static inline __attribute__((always_inline)) float fold_stripes(__m512 v)
{
    __m256 s = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    __m128 h = _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1));
    h = _mm_add_ps(h, _mm_movehl_ps(h, h));
    return _mm_cvtss_f32(_mm_add_ss(h, _mm_movehdup_ps(h)));
}

/* A step of 16 elements. Stripes outside the mask keep what they have. */
static inline __attribute__((always_inline)) void float_step(enum gguf_tensor_type type, const uint8_t *const row[],
                                                             size_t rows, const float *x, size_t n, size_t cols,
                                                             size_t i, __mmask16 mask, __m512 *sum)
{
    __m512 w[FLOAT_ROWS_MOST];
    for (size_t r = 0; r < rows; r++)
        w[r] = load_stripes(type, row[r], i, mask);
    for (size_t c = 0; c < cols; c++) {
        __m512 v = _mm512_maskz_loadu_ps(mask, x + c * n + i);
        for (size_t r = 0; r < rows; r++) {
            __m512 *s = &sum[r * FLOAT_COLS + c];
            *s = _mm512_mask_add_ps(*s, mask, *s, _mm512_mul_ps(w[r], v));
        }
    }
}

/* out[c, r] of `rows` rows and `cols` columns; x is [cols, n]. */
static inline __attribute__((always_inline)) void float_tile(enum gguf_tensor_type type, const uint8_t *const row[],
                                                             size_t rows, const float *x, size_t n, size_t cols,
                                                             float out[FLOAT_COLS][FLOAT_ROWS_MOST])
{
    __m512 sum[FLOAT_ROWS_MOST * FLOAT_COLS];
    size_t i = 0;
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < cols; c++)
            sum[r * FLOAT_COLS + c] = _mm512_setzero_ps();
    for (; i + 16 <= n; i += 16)
        float_step(type, row, rows, x, n, cols, i, 0xFFFF, sum);
    if (i < n)
        float_step(type, row, rows, x, n, cols, i, (__mmask16)((1u << (n - i)) - 1), sum);
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < cols; c++)
            out[c][r] = fold_stripes(sum[r * FLOAT_COLS + c]);
}

/* `tall` rows at a time against one column, or FLOAT_ROWS against FLOAT_COLS. */
static inline __attribute__((always_inline)) void float_rows(enum gguf_tensor_type type, size_t tall, size_t wide,
                                                             const struct ops_weight *w, size_t first, size_t rows,
                                                             const struct ops_input *x, size_t col, float *out,
                                                             size_t stride)
{
    float part[FLOAT_COLS][FLOAT_ROWS_MOST];
    for (size_t done = 0; done < rows; done += tall) {
        size_t count = rows - done < tall ? rows - done : tall;
        const uint8_t *row[FLOAT_ROWS_MOST];
        for (size_t r = 0; r < tall; r++) /* rows behind the last repeat it and are not stored */
            row[r] = w->data + (first + done + (r < count ? r : count - 1)) * w->row_bytes;
        float_tile(type, row, tall, x->f + col * x->n, x->n, wide, part);
        for (size_t i = 0; i < wide; i++)
            memcpy(out + (col + i) * stride + first + done, part[i], count * sizeof *out);
    }
}

static inline __attribute__((always_inline)) void float_matrix(enum gguf_tensor_type type, const struct ops_weight *w,
                                                               size_t first, size_t rows, const struct ops_input *x,
                                                               float *out, size_t stride)
{
    for (size_t done = 0; done < rows; done += FLOAT_STRIP) {
        size_t count = rows - done < FLOAT_STRIP ? rows - done : FLOAT_STRIP, c = 0;
        for (; c + FLOAT_COLS <= x->cols; c += FLOAT_COLS)
            float_rows(type, FLOAT_ROWS, FLOAT_COLS, w, first + done, count, x, c, out, stride);
        for (; c < x->cols; c++)
            float_rows(type, FLOAT_ROWS_MOST, 1, w, first + done, count, x, c, out, stride);
    }
}

static void multiply_floats(const struct ops_weight *w, size_t first, size_t rows, const struct ops_input *x,
                            float *out, size_t stride)
{
    switch (w->type) {
    case GGUF_TENSOR_F32:
        float_matrix(GGUF_TENSOR_F32, w, first, rows, x, out, stride);
        break;
    case GGUF_TENSOR_F16:
        float_matrix(GGUF_TENSOR_F16, w, first, rows, x, out, stride);
        break;
    default:
        float_matrix(GGUF_TENSOR_BF16, w, first, rows, x, out, stride);
    }
}
