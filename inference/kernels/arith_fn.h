/* The elementary functions, as text that every compiler of kernels includes: arith.c makes the functions of
 * arith.h of them, and a GPU's kernels have them inline. Each reduces its argument and sums a Taylor series by Horner's
 * rule; the degree is where the next term falls under a tenth of a unit in the last place. */
#ifndef KITH_INFERENCE_ARITH_FN_H
#define KITH_INFERENCE_ARITH_FN_H

#include "inference/kernels/arith.h"

/* e^r for |r| <= 0.3466. */
ARITH_INLINE float arith_fn_exp_near(float r)
{
    float p = 1.98412698e-4f;
    p = p * r + 1.38888889e-3f;
    p = p * r + 8.33333333e-3f;
    p = p * r + 4.16666667e-2f;
    p = p * r + 1.66666667e-1f;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    return p * r + 1.0f;
}

/* x = n ln 2 + r, |r| <= 0.3466; ln 2 in two parts, the first short enough that n times it is exact.
 * Degree 7: the next term is r^8/8! < 5.2e-9. */
ARITH_INLINE float arith_fn_exp(float x)
{
    if (x < ARITH_EXP_MIN)
        return 0.0f;
    if (x > ARITH_EXP_MAX)
        x = ARITH_EXP_MAX;
    float shifted = x * 1.44269504f + 12582912.0f;
    float n = shifted - 12582912.0f;
    float r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
    return arith_fn_exp_near(r) * arith_of_bits((arith_bits(shifted) - 0x4B400000u + 127u) << 23);
}

/* Near 0 an odd polynomial, fitted at Chebyshev points of [0, 0.625^2] to 2e-8; further out 1 - 2 / (e^2x + 1), whose
 * subtraction costs less than a bit there. */
ARITH_INLINE float arith_fn_tanh(float x)
{
    float a = arith_of_bits(arith_bits(x) & 0x7FFFFFFFu);
    if (a < 0.625f) {
        float z = x * x, p = -6.10494800e-3f;
        p = p * z + 2.10036412e-2f;
        p = p * z + -5.38524985e-2f;
        p = p * z + 1.33327827e-1f;
        p = p * z + -3.33333284e-1f;
        return x + x * (z * p);
    }
    float t = 1.0f - 2.0f / (arith_fn_exp(a + a) + 1.0f);
    return x < 0.0f ? -t : t;
}

/* A SiLU of 1.702 times the gate, times up plus 1, both at most 7 and up at least -7; NaN stays. */
ARITH_INLINE float arith_fn_gate_clamped(float gate, float up)
{
    gate = gate > ARITH_CLAMP ? ARITH_CLAMP : gate;
    up = up > ARITH_CLAMP ? ARITH_CLAMP : up < -ARITH_CLAMP ? -ARITH_CLAMP : up;
    return (gate / (1.0f + arith_fn_exp(-(ARITH_CLAMP_SLOPE * gate)))) * (up + 1.0f);
}

/* NaN stays. */
ARITH_INLINE float arith_fn_square(float x)
{
    float above = x < 0.0f ? 0.0f : x;
    return above * above;
}

/* x/2 (1 + tanh u) with u = sqrt(2/pi) (x + 0.044715 x^3) is x / (1 + e^-2u): no cancellation for negative x. */
ARITH_INLINE float arith_fn_gelu_tanh(float x)
{
    float twice = x * (1.59576912f + 7.13548163e-2f * (x * x));
    return x / (1.0f + arith_fn_exp(-twice));
}

/* The tail beyond |x| is e^(-x^2/2) t q(t) / 2 with t = 1 / (1 + 0.35 |x| / sqrt 2), q fitted at Chebyshev points to
 * 3e-8 for |x| up to 14, behind which the exponential is zero. */
ARITH_INLINE float arith_fn_gelu_erf(float x)
{
    float a = arith_of_bits(arith_bits(x) & 0x7FFFFFFFu);
    float t = 1.0f / (1.0f + 0.247487373f * a), q = 5.20786830e-2f;
    q = q * t + -3.20791780e-1f;
    q = q * t + 6.50603350e-1f;
    q = q * t + -4.84576760e-1f;
    q = q * t + 4.57058000e-1f;
    q = q * t + 4.21324970e-2f;
    q = q * t + 2.11622330e-1f;
    q = q * t + 1.94238100e-1f;
    q = q * t + 1.97635560e-1f;
    float tail = ((t * q) * arith_fn_exp((a * a) * -0.5f)) * 0.5f;
    return x * (x < 0.0f ? tail : 1.0f - tail);
}

ARITH_INLINE float arith_fn_half(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exponent = (h >> 10) & 31u, fraction = h & 1023u;
    if (exponent == 31)
        return arith_of_bits(sign | 0x7F800000u | fraction << 13);
    if (exponent)
        return arith_of_bits(sign | (exponent + 112u) << 23 | fraction << 13);
    float magnitude = (float)(int32_t)fraction * 0x1p-24f;
    return arith_of_bits(sign | arith_bits(magnitude));
}

/* -- binary64 -- */

#define ARITH_LN2_HIGH 0x1.62e42feep-1 /* 32 bits: exact times any exponent */
#define ARITH_LN2_LOW  0x1.a39ef35793c76p-33

/* x = m 2^e, m in [sqrt 1/2, sqrt 2): log m = 2 artanh((m-1)/(m+1)), whose argument is at most 0.1716. */
ARITH_INLINE double arith_fn_log_f64(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    int e = (int)(bits >> 52) - 1023;
    bits = (bits & UINT64_C(0x000FFFFFFFFFFFFF)) | UINT64_C(0x3FF0000000000000);
    double m;
    memcpy(&m, &bits, sizeof m);
    if (m > 1.4142135623730951) {
        m = m * 0.5;
        e++;
    }
    double s = (m - 1.0) / (m + 1.0), z = s * s, p = 0.0;
    for (int k = 23; k >= 1; k -= 2)
        p = p * z + 1.0 / (double)k;
    return (double)e * ARITH_LN2_HIGH + ((double)e * ARITH_LN2_LOW + 2.0 * s * p);
}

ARITH_INLINE double arith_fn_exp_f64(double x)
{
    double shifted = x * 1.4426950408889634 + 6755399441055744.0;
    double n = shifted - 6755399441055744.0;
    double r = (x - n * ARITH_LN2_HIGH) - n * ARITH_LN2_LOW;
    double p = 1.0;
    for (int k = 14; k >= 1; k--)
        p = p * r / (double)k + 1.0;
    uint64_t bits = (uint64_t)((int64_t)n + 1023) << 52;
    double scale;
    memcpy(&scale, &bits, sizeof scale);
    return p * scale;
}

ARITH_INLINE float arith_fn_softplus(float x)
{
    const double limit = 20.0; /* beyond it one of the two is all that a float holds */
    if (!arith_is_finite(x) || (double)x > limit)
        return x;
    if ((double)x < -limit)
        return (double)x < -200.0 ? 0.0f : (float)arith_fn_exp_f64((double)x);
    return (float)arith_fn_log_f64(1.0 + arith_fn_exp_f64((double)x));
}

#endif
