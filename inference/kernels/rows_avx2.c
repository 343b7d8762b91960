/* The AVX2 set's row kernels beside those of ops_avx2.c: norms, gates, caps, rotations. Where a loop has no sum and no
 * function in it, the compiler's own vectors are used: without reassociation and contraction they are exact. */
#include "inference/kernels/ops.h" /* for other processors too: a file says something */
#if defined(__x86_64__)

#include "inference/kernels/lanes_avx2.h"
#include "inference/kernels/ops_x86.h"

#include <math.h>

static inline __m256 all(float x)
{
    return _mm256_set1_ps(x);
}

/* p x + c */
static inline __m256 step(__m256 p, __m256 x, float c)
{
    return _mm256_add_ps(_mm256_mul_ps(p, x), all(c));
}

static inline __m256 without_sign(__m256 x)
{
    return _mm256_andnot_ps(all(-0.0f), x);
}

/* arith_tanh, operation for operation. */
static inline __m256 tanh8(__m256 x)
{
    __m256 a = without_sign(x), z = _mm256_mul_ps(x, x), p = all(-6.10494800e-3f);
    p = step(p, z, 2.10036412e-2f);
    p = step(p, z, -5.38524985e-2f);
    p = step(p, z, 1.33327827e-1f);
    p = step(p, z, -3.33333284e-1f);
    __m256 near = _mm256_add_ps(x, _mm256_mul_ps(x, _mm256_mul_ps(z, p)));
    __m256 e = _mm256_add_ps(exp8(_mm256_add_ps(a, a)), all(1.0f));
    __m256 far = _mm256_sub_ps(all(1.0f), _mm256_div_ps(all(2.0f), e));
    __m256 negative = _mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_LT_OQ);
    far = _mm256_xor_ps(far, _mm256_and_ps(negative, all(-0.0f)));
    return _mm256_blendv_ps(far, near, _mm256_cmp_ps(a, all(0.625f), _CMP_LT_OQ));
}

/* arith_gelu_tanh */
static inline __m256 gelu_tanh8(__m256 x)
{
    __m256 inner = _mm256_add_ps(all(1.59576912f), _mm256_mul_ps(all(7.13548163e-2f), _mm256_mul_ps(x, x)));
    __m256 twice = _mm256_xor_ps(_mm256_mul_ps(x, inner), all(-0.0f));
    return _mm256_div_ps(x, _mm256_add_ps(all(1.0f), exp8(twice)));
}

/* arith_gelu_erf */
static inline __m256 gelu_erf8(__m256 x)
{
    __m256 a = without_sign(x), q = all(5.20786830e-2f);
    __m256 t = _mm256_div_ps(all(1.0f), _mm256_add_ps(all(1.0f), _mm256_mul_ps(all(0.247487373f), a)));
    static const float terms[] = {-3.20791780e-1f, 6.50603350e-1f, -4.84576760e-1f, 4.57058000e-1f,
                                  4.21324970e-2f,  2.11622330e-1f, 1.94238100e-1f,  1.97635560e-1f};
    for (size_t i = 0; i < sizeof terms / sizeof *terms; i++)
        q = step(q, t, terms[i]);
    __m256 e = exp8(_mm256_mul_ps(_mm256_mul_ps(a, a), all(-0.5f)));
    __m256 tail = _mm256_mul_ps(_mm256_mul_ps(_mm256_mul_ps(t, q), e), all(0.5f));
    __m256 negative = _mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_LT_OQ);
    return _mm256_mul_ps(x, _mm256_blendv_ps(_mm256_sub_ps(all(1.0f), tail), tail, negative));
}

void avx2_layer_norm(const float *x, const float *gain, const float *bias, float epsilon, size_t n, float *out)
{
    __m256 sum[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()}, square[2] = {sum[0], sum[0]};
    for (size_t i = 0; i < n; i += 8) {
        __m256 v = n - i < 8 ? load_part(x + i, n - i) : _mm256_loadu_ps(x + i);
        sum[i / 8 % 2] = _mm256_add_ps(sum[i / 8 % 2], v);
    }
    float mean = fold16(sum[0], sum[1]) / (float)(int32_t)n;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 d = _mm256_sub_ps(_mm256_loadu_ps(x + i), all(mean));
        square[i / 8 % 2] = _mm256_add_ps(square[i / 8 % 2], _mm256_mul_ps(d, d));
    }
    if (i < n) {
        float rest[8] = {0};
        for (size_t j = i; j < n; j++)
            rest[j - i] = x[j] - mean;
        __m256 d = _mm256_loadu_ps(rest);
        square[i / 8 % 2] = _mm256_add_ps(square[i / 8 % 2], _mm256_mul_ps(d, d));
    }
    float scale = 1.0f / sqrtf(fold16(square[0], square[1]) / (float)(int32_t)n + epsilon);
    for (i = 0; i < n; i++)
        out[i] = ((x[i] - mean) * scale) * gain[i] + bias[i];
}

void avx2_gated_gelu(const float *gate, const float *up, size_t n, float *out)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(out + i, _mm256_mul_ps(gelu_tanh8(_mm256_loadu_ps(gate + i)), _mm256_loadu_ps(up + i)));
    if (i < n)
        store_part(out + i, _mm256_mul_ps(gelu_tanh8(load_part(gate + i, n - i)), load_part(up + i, n - i)), n - i);
}

/* arith_gate_clamped of eight. The least and the largest of two are the second where one is NaN. */
static inline __m256 clamped8(__m256 gate, __m256 up)
{
    const __m256 most = _mm256_set1_ps(ARITH_CLAMP), least = _mm256_set1_ps(-ARITH_CLAMP), one = _mm256_set1_ps(1.0f);
    gate = _mm256_min_ps(most, gate);
    up = _mm256_max_ps(least, _mm256_min_ps(most, up));
    __m256 turned = _mm256_mul_ps(_mm256_set1_ps(ARITH_CLAMP_SLOPE), gate);
    __m256 below = _mm256_add_ps(one, exp8(_mm256_xor_ps(turned, _mm256_set1_ps(-0.0f))));
    return _mm256_mul_ps(_mm256_div_ps(gate, below), _mm256_add_ps(up, one));
}

void avx2_gated_clamped(const float *gate, const float *up, size_t n, float *out)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(out + i, clamped8(_mm256_loadu_ps(gate + i), _mm256_loadu_ps(up + i)));
    if (i < n)
        store_part(out + i, clamped8(load_part(gate + i, n - i), load_part(up + i, n - i)), n - i);
}

void avx2_gelu(float *x, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(x + i, gelu_erf8(_mm256_loadu_ps(x + i)));
    if (i < n)
        store_part(x + i, gelu_erf8(load_part(x + i, n - i)), n - i);
}

void avx2_gelu_tanh(float *x, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(x + i, gelu_tanh8(_mm256_loadu_ps(x + i)));
    if (i < n)
        store_part(x + i, gelu_tanh8(load_part(x + i, n - i)), n - i);
}

/* arith_square of eight. The largest of two is the second where one is NaN. */
static inline __m256 squares8(__m256 x)
{
    __m256 above = _mm256_max_ps(_mm256_setzero_ps(), x);
    return _mm256_mul_ps(above, above);
}

void avx2_squares(float *x, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(x + i, squares8(_mm256_loadu_ps(x + i)));
    if (i < n)
        store_part(x + i, squares8(load_part(x + i, n - i)), n - i);
}

void avx2_soft_cap(float *x, float cap, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(x + i, _mm256_mul_ps(all(cap), tanh8(_mm256_div_ps(_mm256_loadu_ps(x + i), all(cap)))));
    if (i < n)
        store_part(x + i, _mm256_mul_ps(all(cap), tanh8(_mm256_div_ps(load_part(x + i, n - i), all(cap)))), n - i);
}

/* Each of 4 values twice, side by side. */
static inline __m256 doubled(const float *v)
{
    __m128 four = _mm_loadu_ps(v);
    return _mm256_set_m128(_mm_unpackhi_ps(four, four), _mm_unpacklo_ps(four, four));
}

void avx2_rotate(float *x, const float *cosine, const float *sine, size_t pairs)
{
    size_t i = 0;
    for (; i + 4 <= pairs; i += 4) {
        __m256 v = _mm256_loadu_ps(x + 2 * i), crossed = _mm256_permute_ps(v, 0xB1);
        __m256 along = _mm256_mul_ps(v, doubled(cosine + i)), across = _mm256_mul_ps(crossed, doubled(sine + i));
        _mm256_storeu_ps(x + 2 * i, _mm256_addsub_ps(along, across));
    }
    ops_ref.rotate(x + 2 * i, cosine + i, sine + i, pairs - i);
}

void avx2_rotate_halves(float *x, const float *cosine, const float *sine, size_t pairs)
{
    size_t i = 0;
    for (; i + 8 <= pairs; i += 8) {
        __m256 a = _mm256_loadu_ps(x + i), b = _mm256_loadu_ps(x + i + pairs);
        __m256 c = _mm256_loadu_ps(cosine + i), s = _mm256_loadu_ps(sine + i);
        _mm256_storeu_ps(x + i, _mm256_sub_ps(_mm256_mul_ps(a, c), _mm256_mul_ps(b, s)));
        _mm256_storeu_ps(x + i + pairs, _mm256_add_ps(_mm256_mul_ps(a, s), _mm256_mul_ps(b, c)));
    }
    for (; i < pairs; i++) {
        float a = x[i], b = x[i + pairs];
        x[i] = a * cosine[i] - b * sine[i];
        x[i + pairs] = a * sine[i] + b * cosine[i];
    }
}

void avx2_add_scaled(float *restrict x, const float *restrict y, float by, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = x[i] + y[i] * by;
}

void avx2_scale(float *x, float by, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = x[i] * by;
}

#endif
