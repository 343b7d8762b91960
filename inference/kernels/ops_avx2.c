/* The kernels for AVX2 and F16C, with the bits of ops_ref.c. Lanes of a register are rows of the matrix,
 * positions of the cache or stripes of a sum, never parts of a term; fused multiply-add is not used. */
#include "inference/kernels/ops.h" /* for other processors too: a file says something */
#if defined(__x86_64__)

#include "inference/kernels/delta_body.h"
#include "inference/kernels/lanes_avx2.h"
#include "inference/kernels/ops_x86.h"

#include "inference/kernels/tile_avx2.h"

#include <immintrin.h>
#include <math.h>

#define ALWAYS static inline __attribute__((always_inline))

/* Largest of 8 non-negative integers. */
static inline int32_t max8(__m256i v)
{
    __m128i h = _mm_max_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    h = _mm_max_epi32(h, _mm_shuffle_epi32(h, 0x4E));
    h = _mm_max_epi32(h, _mm_shuffle_epi32(h, 0xB1));
    return _mm_cvtsi128_si32(h);
}

/* round(x[i] inverse) of 32 values, as bytes. */
static inline __m256i scaled32(const float *x, __m256 inverse)
{
    __m256i r[4];
    for (size_t i = 0; i < 4; i++)
        r[i] = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 8 * i), inverse));
    __m256i packed = _mm256_packs_epi16(_mm256_packs_epi32(r[0], r[1]), _mm256_packs_epi32(r[2], r[3]));
    return _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

bool avx2_quantise(const float *x, size_t n, int8_t *q, float *s)
{
    const __m256i magnitude = _mm256_set1_epi32(0x7FFFFFFF);
    size_t whole = n / ARITH_BLOCK;
    bool finite = true;
    for (size_t b = 0; b < whole; b++, x += ARITH_BLOCK, q += ARITH_BLOCK) {
        __m256i peaks = _mm256_setzero_si256();
        for (size_t i = 0; i < 4; i++)
            peaks =
                _mm256_max_epi32(peaks, _mm256_and_si256(_mm256_castps_si256(_mm256_loadu_ps(x + 8 * i)), magnitude));
        float peak = arith_of_bits((uint32_t)max8(peaks));
        bool fine = arith_is_finite(peak);
        finite = finite && fine;
        if (!fine || peak < ARITH_TINY) {
            memset(q, 0, ARITH_BLOCK);
            s[b] = 0.0f;
            continue;
        }
        __m256 inverse = _mm256_set1_ps(127.0f / peak);
        s[b] = peak / 127.0f;
        _mm256_storeu_si256((__m256i *)(void *)q, scaled32(x, inverse));
    }
    if (n % ARITH_BLOCK && !ops_ref.quantise(x, n % ARITH_BLOCK, q, s + whole))
        finite = false;
    return finite;
}

bool avx2_quantise_wide(const float *x, size_t n, int8_t *q, float *s)
{
    const __m256i magnitude = _mm256_set1_epi32(0x7FFFFFFF);
    __m256i peaks = _mm256_setzero_si256();
    if (n < ARITH_RUN)
        return ops_ref.quantise_wide(x, n, q, s);
    for (size_t i = 0; i < ARITH_RUN; i += 8)
        peaks = _mm256_max_epi32(peaks, _mm256_and_si256(_mm256_castps_si256(_mm256_loadu_ps(x + i)), magnitude));
    float peak = arith_of_bits((uint32_t)max8(peaks));
    bool fine = arith_is_finite(peak);
    if (!fine || peak < ARITH_TINY) {
        memset(q, 0, ARITH_RUN);
        *s = 0.0f;
        return fine;
    }
    __m256 inverse = _mm256_set1_ps(127.0f / peak);
    *s = peak / 127.0f;
    for (size_t i = 0; i < ARITH_RUN; i += 32)
        _mm256_storeu_si256((__m256i *)(void *)(q + i), scaled32(x + i, inverse));
    return true;
}

void avx2_sum_run(const int8_t *q, int16_t *out)
{
    const __m256i ones = _mm256_set1_epi8(1), pairs = _mm256_set1_epi16(1);
    for (size_t i = 0; i < 16; i += 8) {
        __m256i s[4];
        for (size_t k = 0; k < 4; k++) /* two sums of 16 each, in dwords of both halves */
            s[k] = _mm256_madd_epi16(
                _mm256_maddubs_epi16(ones, _mm256_loadu_si256((const __m256i *)(const void *)(q + 16 * i + 32 * k))),
                pairs);
        __m256i all = _mm256_hadd_epi32(_mm256_hadd_epi32(s[0], s[1]), _mm256_hadd_epi32(s[2], s[3]));
        __m128i low = _mm256_castsi256_si128(all), high = _mm256_extracti128_si256(all, 1);
        __m128i even = _mm_unpacklo_epi32(low, high), odd = _mm_unpackhi_epi32(low, high);
        _mm_storeu_si128((__m128i *)(void *)(out + i), _mm_packs_epi32(even, odd));
    }
}

bool avx2_finite(const float *x, size_t n)
{
    const __m256i exponent = _mm256_set1_epi32(0x7F800000);
    __m256i bad = _mm256_setzero_si256();
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256i v = _mm256_and_si256(_mm256_castps_si256(_mm256_loadu_ps(x + i)), exponent);
        bad = _mm256_or_si256(bad, _mm256_cmpeq_epi32(v, exponent));
    }
    return _mm256_testz_si256(bad, bad) && ops_ref.finite(x + i, n - i);
}

/* -- matrix products -- */

static inline __m256 load_weights(enum gguf_tensor_type type, const uint8_t *row, size_t i)
{
    if (type == GGUF_TENSOR_F32)
        return _mm256_loadu_ps((const float *)(const void *)(row + 4 * i));
    __m128i half = _mm_loadu_si128((const __m128i *)(const void *)(row + 2 * i));
    if (type == GGUF_TENSOR_BF16)
        return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
    return _mm256_cvtph_ps(half);
}

/* Elements from `from` on, fewer than 16, into the stripes. */
static void tail_floats(enum gguf_tensor_type type, const uint8_t *row, const float *x, size_t from, size_t n,
                        __m256 lanes[2])
{
    float weights[ARITH_LANES] = {0}, values[ARITH_LANES] = {0};
    size_t width = type == GGUF_TENSOR_F32 ? 4 : 2;
    quant_read_row(type, row + from * width, n - from, weights);
    memcpy(values, x + from, (n - from) * sizeof *x);
    for (size_t h = 0; h < 2; h++)
        lanes[h] =
            _mm256_add_ps(lanes[h], _mm256_mul_ps(_mm256_loadu_ps(weights + 8 * h), _mm256_loadu_ps(values + 8 * h)));
}

/* Four rows against one column: eight independent sums hide the addition's latency. */
static inline __attribute__((always_inline)) void tile_floats(enum gguf_tensor_type type, const uint8_t *const row[4],
                                                              size_t rows, const float *x, size_t n, float *out)
{
    __m256 lanes[4][2];
    for (size_t r = 0; r < 4; r++)
        lanes[r][0] = lanes[r][1] = _mm256_setzero_ps();
    size_t i = 0;
    for (; i + ARITH_LANES <= n; i += ARITH_LANES) {
        __m256 low = _mm256_loadu_ps(x + i), high = _mm256_loadu_ps(x + i + 8);
        for (size_t r = 0; r < 4; r++) {
            lanes[r][0] = _mm256_add_ps(lanes[r][0], _mm256_mul_ps(load_weights(type, row[r], i), low));
            lanes[r][1] = _mm256_add_ps(lanes[r][1], _mm256_mul_ps(load_weights(type, row[r], i + 8), high));
        }
    }
    for (size_t r = 0; r < rows; r++) {
        if (i < n)
            tail_floats(type, row[r], x, i, n, lanes[r]);
        out[r] = fold16(lanes[r][0], lanes[r][1]);
    }
}

static void multiply_floats(const struct ops_weight *w, size_t first, size_t rows, const struct ops_input *x,
                            float *out, size_t stride)
{
    for (size_t done = 0; done < rows; done += 4) {
        size_t count = rows - done < 4 ? rows - done : 4;
        const uint8_t *row[4];
        for (size_t r = 0; r < 4; r++)
            row[r] = w->data + (first + done + (r < count ? r : count - 1)) * w->row_bytes;
        for (size_t c = 0; c < x->cols; c++) {
            float *to = out + c * stride + first + done;
            if (w->type == GGUF_TENSOR_F32)
                tile_floats(GGUF_TENSOR_F32, row, count, x->f + c * x->n, x->n, to);
            else if (w->type == GGUF_TENSOR_F16)
                tile_floats(GGUF_TENSOR_F16, row, count, x->f + c * x->n, x->n, to);
            else
                tile_floats(GGUF_TENSOR_BF16, row, count, x->f + c * x->n, x->n, to);
        }
    }
}

static void avx2_multiply(const struct ops_weight *w, size_t first, size_t rows, const struct ops_input *x, float *out,
                          size_t stride)
{
    if (quant_is_blocked(w->type))
        tile_avx2_multiply(w, first, rows, x, out, stride);
    else
        multiply_floats(w, first, rows, x, out, stride);
}

static void avxvnni_multiply(const struct ops_weight *w, size_t first, size_t rows, const struct ops_input *x,
                             float *out, size_t stride)
{
    if (quant_is_blocked(w->type))
        tile_avxvnni_multiply(w, first, rows, x, out, stride);
    else
        multiply_floats(w, first, rows, x, out, stride);
}

/* -- rows -- */

void avx2_norm(const float *x, const float *gain, float epsilon, size_t n, float *out)
{
    __m256 lanes[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
    size_t i = 0;
    for (; i + ARITH_LANES <= n; i += ARITH_LANES)
        for (size_t h = 0; h < 2; h++) {
            __m256 v = _mm256_loadu_ps(x + i + 8 * h);
            lanes[h] = _mm256_add_ps(lanes[h], _mm256_mul_ps(v, v));
        }
    for (size_t h = 0; i < n; i += 8, h++) {
        __m256 v = load_part(x + i, n - i < 8 ? n - i : 8);
        lanes[h] = _mm256_add_ps(lanes[h], _mm256_mul_ps(v, v));
    }
    float mean = fold16(lanes[0], lanes[1]) / (float)(int32_t)n;
    float scale = 1.0f / sqrtf(mean + epsilon);
    for (i = 0; i < n; i++)
        out[i] = (x[i] * scale) * gain[i];
}

static inline __m256 gated8(__m256 gate, __m256 up)
{
    __m256 negative = _mm256_xor_ps(gate, _mm256_set1_ps(-0.0f));
    __m256 below = _mm256_add_ps(_mm256_set1_ps(1.0f), exp8(negative));
    return _mm256_mul_ps(_mm256_div_ps(gate, below), up);
}

static void avx2_gated_silu(const float *gate, const float *up, size_t n, float *out)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(out + i, gated8(_mm256_loadu_ps(gate + i), _mm256_loadu_ps(up + i)));
    if (i < n)
        store_part(out + i, gated8(load_part(gate + i, n - i), load_part(up + i, n - i)), n - i);
}

void avx2_add(float *x, const float *y, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(x + i, _mm256_add_ps(_mm256_loadu_ps(x + i), _mm256_loadu_ps(y + i)));
    for (; i < n; i++)
        x[i] = x[i] + y[i];
}

static inline __m256i spread4(const void *p)
{
    int32_t v;
    memcpy(&v, p, sizeof v);
    return _mm256_set1_epi32(v);
}

/* -- attention: lanes are positions, or elements of the result. Two registers of them meet four queries: 8 sums. -- */

#define QUERIES 4

/* Of block b of n queries and 16 positions: its terms, added to those of the blocks before in out[n, CHUNK]. */
ALWAYS void score_block(const int8_t *q, const float *qs, size_t n, const int8_t *k, const float *ks, size_t blocks,
                        size_t b, float scale, float *out)
{
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i dot[2][QUERIES];
    for (size_t i = 0; i < n; i++)
        dot[0][i] = dot[1][i] = _mm256_setzero_si256();
#pragma GCC unroll 1
    for (size_t g = 0; g < ARITH_BLOCK / 4; g++, k += 4 * ARITH_CHUNK)
        for (size_t h = 0; h < 2; h++) { /* |k| is unsigned; its sign moves to q: no pair saturates */
            __m256i key = _mm256_loadu_si256((const __m256i *)(const void *)(k + 32 * h)), size = _mm256_abs_epi8(key);
            for (size_t i = 0; i < n; i++) {
                __m256i x = _mm256_sign_epi8(spread4(q + i * blocks * ARITH_BLOCK + 4 * g), key);
                dot[h][i] = _mm256_add_epi32(dot[h][i], _mm256_madd_epi16(_mm256_maddubs_epi16(size, x), ones));
                __asm__("" : "+x"(dot[h][i]));
            }
        }
    for (size_t i = 0; i < n; i++)
        for (size_t h = 0; h < 2; h++) {
            float *at = out + i * ARITH_CHUNK + 8 * h;
            __m256 both = _mm256_mul_ps(_mm256_set1_ps(qs[i * blocks]), _mm256_loadu_ps(ks + 8 * h));
            __m256 before = b ? _mm256_loadu_ps(at) : _mm256_setzero_ps();
            __m256 sum = _mm256_add_ps(before, _mm256_mul_ps(both, _mm256_cvtepi32_ps(dot[h][i])));
            _mm256_storeu_ps(at, b + 1 == blocks ? _mm256_mul_ps(sum, _mm256_set1_ps(scale)) : sum);
        }
}

static void avx2_scores(const int8_t *q, const float *qs, size_t n, const int8_t *k, const float *ks, size_t blocks,
                        size_t count, float scale, float *out)
{
    for (size_t b = 0; b < blocks; b++, q += ARITH_BLOCK, qs++, k += ARITH_CHUNK * ARITH_BLOCK, ks += ARITH_CHUNK)
        for (size_t t = 0; t < count; t += 16) { /* a chunk always has memory for 64 */
            const int8_t *at = k + 4 * t;
            size_t i = 0, width = blocks * ARITH_BLOCK;
            for (; i + QUERIES <= n; i += QUERIES)
                score_block(q + i * width, qs + i * blocks, QUERIES, at, ks + t, blocks, b, scale,
                            out + i * ARITH_CHUNK + t);
            for (; i < n; i++)
                score_block(q + i * width, qs + i * blocks, 1, at, ks + t, blocks, b, scale, out + i * ARITH_CHUNK + t);
        }
}

static bool avx2_peak(const float *s, size_t count, float *out)
{
    const __m256i exponent = _mm256_set1_epi32(0x7F800000);
    if (count < 8)
        return ops_ref.peak(s, count, out);
    __m256 peaks = _mm256_loadu_ps(s);
    __m256i bad = _mm256_setzero_si256();
    for (size_t t = 0; t < count; t += 8) { /* at the end some twice: neither minds */
        __m256 v = _mm256_loadu_ps(s + (t + 8 <= count ? t : count - 8));
        peaks = _mm256_max_ps(peaks, v);
        bad = _mm256_or_si256(bad, _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_castps_si256(v), exponent), exponent));
    }
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(peaks), _mm256_extractf128_ps(peaks, 1));
    four = _mm_max_ps(four, _mm_movehl_ps(four, four));
    *out = _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
    return _mm256_testz_si256(bad, bad);
}

static float avx2_exponentials(float *s, size_t count, float peak)
{
    __m256 lanes[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()}, top = _mm256_set1_ps(peak);
    for (size_t t = 0; t < count; t += 8) {
        size_t part = count - t < 8 ? count - t : 8;
        __m256 e;
        if (part == 8) {
            e = exp8(_mm256_sub_ps(_mm256_loadu_ps(s + t), top));
            _mm256_storeu_ps(s + t, e);
        } else {
            store_part(s + t, exp8(_mm256_sub_ps(load_part(s + t, part), top)), part);
            e = load_part(s + t, part);
        }
        lanes[t / 8 % 2] = _mm256_add_ps(lanes[t / 8 % 2], e);
    }
    return fold16(lanes[0], lanes[1]);
}

/* 15-bit weights of one block, in the order 0 2 1 3 of every four positions. Returns their scale. */
static float weights_of(const float *p, const float *vs, int16_t weight[ARITH_CHUNK])
{
    const __m256i order = _mm256_setr_epi8(0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15, 0, 1, 4, 5, 2, 3, 6, 7,
                                           8, 9, 12, 13, 10, 11, 14, 15);
    __m256 w[ARITH_CHUNK / 8], peaks = _mm256_setzero_ps();
    for (size_t t = 0; t < ARITH_CHUNK; t += 8) {
        w[t / 8] = _mm256_mul_ps(_mm256_loadu_ps(p + t), _mm256_loadu_ps(vs + t));
        peaks = _mm256_max_ps(peaks, w[t / 8]);
    }
    float peak = arith_of_bits((uint32_t)max8(_mm256_castps_si256(peaks)));
    if (peak < ARITH_TINY) {
        memset(weight, 0, ARITH_CHUNK * sizeof *weight);
        return 0.0f;
    }
    __m256 inverse = _mm256_set1_ps(ARITH_WEIGHT_MAX / peak);
    for (size_t t = 0; t < ARITH_CHUNK; t += 16) {
        __m256i low = _mm256_cvtps_epi32(_mm256_mul_ps(w[t / 8], inverse));
        __m256i high = _mm256_cvtps_epi32(_mm256_mul_ps(w[t / 8 + 1], inverse));
        __m256i packed = _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), 0xD8);
        _mm256_storeu_si256((__m256i *)(weight + t), _mm256_shuffle_epi8(packed, order));
    }
    return peak / ARITH_WEIGHT_MAX;
}

/* Of 16 elements of n queries: weight[n][CHUNK] times v. Bytes of even and of odd positions become pairs of int16 by
 * shifts alone, which is the order that the weights have. */
ALWAYS void weigh_half(int16_t (*weight)[ARITH_CHUNK], const float *scale, size_t n, const int8_t *v, size_t count,
                       size_t stride, float *out)
{
    __m256i sum[2][QUERIES];
    for (size_t i = 0; i < n; i++)
        sum[0][i] = sum[1][i] = _mm256_setzero_si256();
#pragma GCC unroll 1
    for (size_t t = 0; t < count; t += 4, v += 4 * ARITH_BLOCK)
        for (size_t h = 0; h < 2; h++) {
            __m256i four = _mm256_loadu_si256((const __m256i *)(const void *)(v + 32 * h));
            __m256i even = _mm256_srai_epi16(_mm256_slli_epi16(four, 8), 8), odd = _mm256_srai_epi16(four, 8);
            for (size_t i = 0; i < n; i++) {
                sum[h][i] = _mm256_add_epi32(sum[h][i], _mm256_madd_epi16(even, spread4(&weight[i][t])));
                __asm__("" : "+x"(sum[h][i]));
                sum[h][i] = _mm256_add_epi32(sum[h][i], _mm256_madd_epi16(odd, spread4(&weight[i][t + 2])));
                __asm__("" : "+x"(sum[h][i]));
            }
        }
    for (size_t i = 0; i < n; i++)
        for (size_t h = 0; h < 2; h++)
            _mm256_storeu_ps(out + i * stride + 8 * h,
                             _mm256_mul_ps(_mm256_set1_ps(scale[i]), _mm256_cvtepi32_ps(sum[h][i])));
}

static void avx2_weigh(const float *p, size_t n, const int8_t *v, const float *vs, size_t blocks, size_t count,
                       float *out)
{
    size_t stride = blocks * ARITH_BLOCK;
    for (size_t b = 0; b < blocks; b++, v += ARITH_CHUNK * ARITH_BLOCK, vs += ARITH_CHUNK, out += ARITH_BLOCK) {
        int16_t weight[OPS_QUERIES][ARITH_CHUNK];
        float scale[OPS_QUERIES];
        for (size_t i = 0; i < n; i++)
            scale[i] = weights_of(p + i * ARITH_CHUNK, vs, weight[i]);
        for (size_t half = 0; half < ARITH_BLOCK; half += 16) {
            size_t i = 0;
            for (; i + QUERIES <= n; i += QUERIES)
                weigh_half(weight + i, scale + i, QUERIES, v + 4 * half, count, stride, out + i * stride + half);
            for (; i < n; i++)
                weigh_half(weight + i, scale + i, 1, v + 4 * half, count, stride, out + i * stride + half);
        }
    }
}

/* The set as both processors have it: they differ in products of packed weights. */
#define AVX2_OPS(text, product)                                                                                        \
    {                                                                                                                  \
        .name = (text), .multiply = (product), .wants_packed = true, .quantise = avx2_quantise,                        \
        .quantise_wide = avx2_quantise_wide, .sum_run = avx2_sum_run, .finite = avx2_finite, .norm = avx2_norm,        \
        .layer_norm = avx2_layer_norm, .gated_silu = avx2_gated_silu, .gated_gelu = avx2_gated_gelu,                   \
        .gated_clamped = avx2_gated_clamped, .gelu = avx2_gelu, .gelu_tanh = avx2_gelu_tanh, .squares = avx2_squares,  \
        .rotate = avx2_rotate, .rotate_halves = avx2_rotate_halves, .add = avx2_add, .add_scaled = avx2_add_scaled,    \
        .scale = avx2_scale, .soft_cap = avx2_soft_cap, RECUR_OPS, .scores = avx2_scores, .peak = avx2_peak,           \
        .exponentials = avx2_exponentials, .weigh = avx2_weigh,                                                        \
    }

const struct ops ops_avx2 = AVX2_OPS("avx2", avx2_multiply);
const struct ops ops_avxvnni = AVX2_OPS("avxvnni", avxvnni_multiply);

#endif
