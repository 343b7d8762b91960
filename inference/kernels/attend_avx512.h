/* Attention over a chunk for AVX-512: lanes are positions, or elements of the result. Included by ops_avx512.c and
 * ops_avx512_vnni.c behind tile_avx512.h, whose dot4 it uses.
 *
 * Both loops meet four neighbours of one operand, broadcast, with four neighbours of 16 lanes of the other, so nothing
 * is added across lanes. Keys are signed and made unsigned on their way (by 128, which the sum's start takes back); the
 * weights of values are 15 bits without sign and go in two planes of bytes: sum = low + 256 high. Four queries at a
 * time share what is loaded: 16 sums. */
#include "inference/kernels/delta_body.h"

#include <immintrin.h>

#define LANES   (ARITH_CHUNK / 16) /* registers of 16 positions of a chunk */
#define QUERIES 4                  /* that meet a register of keys or values */

/* The sum of 32 activations times -128. */
ALWAYS int32_t start_of(const int8_t *q)
{
    __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)q);
    __m256i pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(1), x);
    __m256i quads = _mm256_madd_epi16(pairs, _mm256_set1_epi16(-128));
    __m128i h = _mm_add_epi32(_mm256_castsi256_si128(quads), _mm256_extracti128_si256(quads, 1));
    h = _mm_add_epi32(h, _mm_shuffle_epi32(h, 0x4E));
    return _mm_cvtsi128_si32(_mm_add_epi32(h, _mm_shuffle_epi32(h, 0xB1)));
}

/* Of one block of N queries: its terms, added to those of the blocks before in out[N, CHUNK]. */
ALWAYS void score_block(const int8_t *q, const float *qs, size_t n, const int8_t *k, const float *ks, size_t blocks,
                        size_t b, float scale, float *out)
{
    __m512i dot[QUERIES][LANES];
    for (size_t i = 0; i < n; i++)
        for (size_t l = 0; l < LANES; l++)
            dot[i][l] = _mm512_set1_epi32(start_of(q + i * blocks * ARITH_BLOCK));
#pragma GCC unroll 1
    for (size_t g = 0; g < QUADS; g++, k += 4 * ARITH_CHUNK) {
        __m512i key[LANES];
        for (size_t l = 0; l < LANES; l++)
            key[l] = _mm512_xor_si512(load(k + 64 * l), _mm512_set1_epi8(-128));
        for (size_t i = 0; i < n; i++) {
            __m512i x = spread4(q + i * blocks * ARITH_BLOCK + 4 * g);
            for (size_t l = 0; l < LANES; l++)
                dot[i][l] = dot4(dot[i][l], key[l], x, true);
        }
    }
    for (size_t i = 0; i < n; i++)
        for (size_t l = 0; l < LANES; l++) {
            float *at = out + i * ARITH_CHUNK + 16 * l;
            __m512 both = _mm512_mul_ps(_mm512_set1_ps(qs[i * blocks]), _mm512_loadu_ps(ks + 16 * l));
            __m512 before = b ? _mm512_loadu_ps(at) : _mm512_setzero_ps();
            __m512 sum = _mm512_add_ps(before, _mm512_mul_ps(both, _mm512_cvtepi32_ps(dot[i][l])));
            _mm512_storeu_ps(at, b + 1 == blocks ? _mm512_mul_ps(sum, _mm512_set1_ps(scale)) : sum);
        }
}

static void tile_scores(const int8_t *q, const float *qs, size_t n, const int8_t *k, const float *ks, size_t blocks,
                        size_t count, float scale, float *out)
{
    (void)count; /* a chunk is 64 positions whether they are seen or not */
    for (size_t b = 0; b < blocks; b++, q += ARITH_BLOCK, qs++, k += ARITH_CHUNK * ARITH_BLOCK, ks += ARITH_CHUNK) {
        size_t i = 0, width = blocks * ARITH_BLOCK;
        for (; i + QUERIES <= n; i += QUERIES)
            score_block(q + i * width, qs + i * blocks, QUERIES, k, ks, blocks, b, scale, out + i * ARITH_CHUNK);
        for (; i < n; i++)
            score_block(q + i * width, qs + i * blocks, 1, k, ks, blocks, b, scale, out + i * ARITH_CHUNK);
    }
}

/* Weights 0..32767 of one block as two planes of bytes, [CHUNK] each; returns their scale. */
ALWAYS float planes_of(const __m512 p[LANES], const float *vs, uint8_t low[ARITH_CHUNK], uint8_t high[ARITH_CHUNK])
{
    __m512 w[LANES], peaks = _mm512_setzero_ps();
    for (size_t l = 0; l < LANES; l++) {
        w[l] = _mm512_mul_ps(p[l], _mm512_loadu_ps(vs + 16 * l));
        peaks = _mm512_max_ps(peaks, w[l]);
    }
    float peak = _mm512_reduce_max_ps(peaks);
    if (peak < ARITH_TINY) {
        memset(low, 0, ARITH_CHUNK);
        memset(high, 0, ARITH_CHUNK);
        return 0.0f;
    }
    __m512 inverse = _mm512_set1_ps(ARITH_WEIGHT_MAX / peak);
    for (size_t l = 0; l < LANES; l++) {
        __m512i v = _mm512_cvtps_epi32(_mm512_mul_ps(w[l], inverse));
        _mm_storeu_si128((__m128i *)(void *)(low + 16 * l), _mm512_cvtepi32_epi8(v));
        _mm_storeu_si128((__m128i *)(void *)(high + 16 * l), _mm512_cvtepi32_epi8(_mm512_srli_epi32(v, 8)));
    }
    return peak / ARITH_WEIGHT_MAX;
}

/* Of one block of n queries. */
ALWAYS void weigh_block(const float *p, size_t n, const int8_t *v, const float *vs, size_t quads, size_t stride,
                        float *out)
{
    uint8_t low[QUERIES][ARITH_CHUNK], high[QUERIES][ARITH_CHUNK];
    float scale[QUERIES];
    __m512i sum[QUERIES][2][2];
    for (size_t i = 0; i < n; i++) {
        __m512 all[LANES];
        for (size_t l = 0; l < LANES; l++)
            all[l] = _mm512_loadu_ps(p + i * ARITH_CHUNK + 16 * l);
        scale[i] = planes_of(all, vs, low[i], high[i]);
        for (size_t h = 0; h < 2; h++)
            sum[i][h][0] = sum[i][h][1] = _mm512_setzero_si512();
    }
#pragma GCC unroll 1
    for (size_t t = 0; t < quads; t++) {
        __m512i values[2] = {load(v + 128 * t), load(v + 128 * t + 64)};
        for (size_t i = 0; i < n; i++) {
            __m512i l = spread4(low[i] + 4 * t), h = spread4(high[i] + 4 * t);
            for (size_t half = 0; half < 2; half++) {
                sum[i][half][0] = dot4(sum[i][half][0], l, values[half], true);
                sum[i][half][1] = dot4(sum[i][half][1], h, values[half], false);
            }
        }
    }
    for (size_t i = 0; i < n; i++)
        for (size_t half = 0; half < 2; half++) {
            __m512i both = _mm512_add_epi32(sum[i][half][0], _mm512_slli_epi32(sum[i][half][1], 8));
            _mm512_storeu_ps(out + i * stride + 16 * half,
                             _mm512_mul_ps(_mm512_set1_ps(scale[i]), _mm512_cvtepi32_ps(both)));
        }
}

static void tile_weigh(const float *p, size_t n, const int8_t *v, const float *vs, size_t blocks, size_t count,
                       float *out)
{
    size_t quads = (count + 3) / 4, stride = blocks * ARITH_BLOCK;
    for (size_t b = 0; b < blocks; b++, v += ARITH_CHUNK * ARITH_BLOCK, vs += ARITH_CHUNK, out += ARITH_BLOCK) {
        size_t i = 0;
        for (; i + QUERIES <= n; i += QUERIES)
            weigh_block(p + i * ARITH_CHUNK, QUERIES, v, vs, quads, stride, out + i * stride);
        for (; i < n; i++)
            weigh_block(p + i * ARITH_CHUNK, 1, v, vs, quads, stride, out + i * stride);
    }
}

/* e^x as arith_exp has it, operation for operation. */
ALWAYS __m512 exp16(__m512 x)
{
    const __m512 magic = _mm512_set1_ps(12582912.0f);
    __mmask16 under = _mm512_cmp_ps_mask(x, _mm512_set1_ps(ARITH_EXP_MIN), _CMP_LT_OQ);
    x = _mm512_min_ps(_mm512_set1_ps(ARITH_EXP_MAX), x); /* a NaN stays: the second operand wins */
    __m512 shifted = _mm512_add_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)), magic);
    __m512 n = _mm512_sub_ps(shifted, magic);
    __m512 r = _mm512_sub_ps(x, _mm512_mul_ps(n, _mm512_set1_ps(0.693359375f)));
    r = _mm512_sub_ps(r, _mm512_mul_ps(n, _mm512_set1_ps(-2.12194440e-4f)));
    static const float terms[] = {1.38888889e-3f, 8.33333333e-3f, 4.16666667e-2f, 1.66666667e-1f, 0.5f, 1.0f, 1.0f};
    __m512 p = _mm512_set1_ps(1.98412698e-4f);
    for (size_t i = 0; i < sizeof terms / sizeof *terms; i++)
        p = _mm512_add_ps(_mm512_mul_ps(p, r), _mm512_set1_ps(terms[i]));
    __m512i exponent = _mm512_add_epi32(_mm512_castps_si512(shifted), _mm512_set1_epi32(127 - 0x4B400000));
    p = _mm512_mul_ps(p, _mm512_castsi512_ps(_mm512_slli_epi32(exponent, 23)));
    return _mm512_mask_blend_ps(under, p, _mm512_setzero_ps());
}

static float tile_exponentials(float *s, size_t count, float peak)
{
    __m512 lanes = _mm512_setzero_ps(), top = _mm512_set1_ps(peak);
    for (size_t t = 0; t < count; t += 16) {
        __mmask16 mask = count - t < 16 ? (__mmask16)((1u << (count - t)) - 1) : 0xFFFF;
        __m512 e = exp16(_mm512_sub_ps(_mm512_maskz_loadu_ps(mask, s + t), top));
        _mm512_mask_storeu_ps(s + t, mask, e);
        lanes = _mm512_mask_add_ps(lanes, mask, lanes, e);
    }
    return fold_stripes(lanes);
}

static bool tile_peak(const float *s, size_t count, float *out)
{
    const __m512i exponent = _mm512_set1_epi32(0x7F800000);
    __m512 peaks = _mm512_set1_ps(s[0]);
    __mmask16 bad = 0;
    for (size_t t = 0; t < count; t += 16) {
        __mmask16 mask = count - t < 16 ? (__mmask16)((1u << (count - t)) - 1) : 0xFFFF;
        __m512 v = _mm512_maskz_loadu_ps(mask, s + t);
        bad |= _mm512_mask_cmpeq_epi32_mask(mask, _mm512_and_si512(_mm512_castps_si512(v), exponent), exponent);
        peaks = _mm512_mask_max_ps(peaks, mask, peaks, v);
    }
    *out = _mm512_reduce_max_ps(peaks);
    return !bad;
}

static void tile_gated_silu(const float *gate, const float *up, size_t n, float *out)
{
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 mask = n - i < 16 ? (__mmask16)((1u << (n - i)) - 1) : 0xFFFF;
        __m512 g = _mm512_maskz_loadu_ps(mask, gate + i), u = _mm512_maskz_loadu_ps(mask, up + i);
        __m512 negative = _mm512_castsi512_ps(_mm512_xor_si512(_mm512_castps_si512(g), _mm512_set1_epi32(INT32_MIN)));
        __m512 below = _mm512_add_ps(_mm512_set1_ps(1.0f), exp16(negative));
        _mm512_mask_storeu_ps(out + i, mask, _mm512_mul_ps(_mm512_div_ps(g, below), u));
    }
}

/* The set as both files have it. */
#define AVX512_OPS(text)                                                                                               \
    {                                                                                                                  \
        .name = (text), .wants_packed = true, .quantise = avx2_quantise, .quantise_wide = avx2_quantise_wide,          \
        .sum_run = avx2_sum_run, .finite = avx2_finite, .multiply = tile_multiply, .norm = avx2_norm,                  \
        .layer_norm = avx2_layer_norm, .gated_silu = tile_gated_silu, .gated_gelu = avx2_gated_gelu,                   \
        .gated_clamped = avx2_gated_clamped, .gelu = avx2_gelu, .gelu_tanh = avx2_gelu_tanh, .squares = avx2_squares,  \
        .rotate = avx2_rotate, .rotate_halves = avx2_rotate_halves, .add = avx2_add, .add_scaled = avx2_add_scaled,    \
        .scale = avx2_scale, .soft_cap = avx2_soft_cap, RECUR_OPS, .scores = tile_scores, .peak = tile_peak,           \
        .exponentials = tile_exponentials, .weigh = tile_weigh,                                                        \
    }
