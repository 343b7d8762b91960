/* What the AVX2 files share: the exponential, registers that are not full, and the end of a striped sum. */
#ifndef KITH_INFERENCE_LANES_AVX2_H
#define KITH_INFERENCE_LANES_AVX2_H

#include "inference/kernels/arith.h"

#include <immintrin.h>

/* e^x as arith_exp has it, operation for operation. */
static inline __m256 exp8(__m256 x)
{
    const __m256 magic = _mm256_set1_ps(12582912.0f);
    __m256 under = _mm256_cmp_ps(x, _mm256_set1_ps(ARITH_EXP_MIN), _CMP_LT_OQ);
    x = _mm256_min_ps(_mm256_set1_ps(ARITH_EXP_MAX), x); /* a NaN stays: the second operand wins */
    __m256 shifted = _mm256_add_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504f)), magic);
    __m256 n = _mm256_sub_ps(shifted, magic);
    __m256 r = _mm256_sub_ps(x, _mm256_mul_ps(n, _mm256_set1_ps(0.693359375f)));
    r = _mm256_sub_ps(r, _mm256_mul_ps(n, _mm256_set1_ps(-2.12194440e-4f)));
    static const float terms[] = {1.38888889e-3f, 8.33333333e-3f, 4.16666667e-2f, 1.66666667e-1f, 0.5f, 1.0f, 1.0f};
    __m256 p = _mm256_set1_ps(1.98412698e-4f);
    for (size_t i = 0; i < sizeof terms / sizeof *terms; i++)
        p = _mm256_add_ps(_mm256_mul_ps(p, r), _mm256_set1_ps(terms[i]));
    __m256i exponent = _mm256_add_epi32(_mm256_castps_si256(shifted), _mm256_set1_epi32(127 - 0x4B400000));
    p = _mm256_mul_ps(p, _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23)));
    return _mm256_andnot_ps(under, p);
}

/* The first `count` of 8 values, +0 behind them. */
static inline __m256 load_part(const float *x, size_t count)
{
    float padded[8] = {0};
    memcpy(padded, x, count * sizeof *x);
    return _mm256_loadu_ps(padded);
}

static inline void store_part(float *out, __m256 v, size_t count)
{
    float all[8];
    _mm256_storeu_ps(all, v);
    memcpy(out, all, count * sizeof *out);
}

static inline float fold16(__m256 low, __m256 high)
{
    __m256 s = _mm256_add_ps(low, high);
    __m128 h = _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1));
    h = _mm_add_ps(h, _mm_movehl_ps(h, h));
    h = _mm_add_ss(h, _mm_movehdup_ps(h));
    return _mm_cvtss_f32(h);
}

#endif
