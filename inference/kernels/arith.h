/* The arithmetic that every backend reproduces bit for bit (docs/arithmetic.md is its definition in
 * words): its version, its constants, and the functions that are built from primitives.
 *
 * Primitives are binary32 add, subtract, multiply, divide, square root, rounded to nearest even, and
 * exact int32 sums. No fused multiply-add, no libm, no reassociation: these files are compiled with
 * contraction off. binary64 appears in rotary tables only, by the same rules. */
#ifndef KITH_INFERENCE_ARITH_H
#define KITH_INFERENCE_ARITH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define ARITH_VERSION 1 /* frozen: a changed rule is another version */

#define ARITH_BLOCK 32  /* elements under one activation scale */
#define ARITH_RUN   256 /* elements whose terms are added left to right before the runs are */
#define ARITH_LANES 16  /* stripes of a floating-point sum */
#define ARITH_CHUNK 64  /* positions of the cache that are weighed together, at absolute multiples */

/* A GPU's compiler makes the functions below for both sides; what they are is one text. */
#ifdef __CUDACC__
#define ARITH_INLINE __host__ __device__ static inline
#else
#define ARITH_INLINE static inline
#endif

/* A block whose largest magnitude is under this becomes zeros: 127 / x stays finite with room. */
#define ARITH_TINY 0x1p-64f
/* Attention weights of a chunk become integers 0..32767: 64 x 32767 x 127 < 2^31. */
#define ARITH_WEIGHT_MAX 32767.0f
/* Below this the exponential is +0, above ARITH_EXP_MAX it is that of ARITH_EXP_MAX. */
#define ARITH_EXP_MIN (-87.0f)
#define ARITH_EXP_MAX 88.0f

ARITH_INLINE uint32_t arith_bits(float x)
{
    uint32_t b;
    memcpy(&b, &x, sizeof b);
    return b;
}

ARITH_INLINE float arith_of_bits(uint32_t b)
{
    float x;
    memcpy(&x, &b, sizeof x);
    return x;
}

/* By the exponent's bits, so that no comparison with a NaN decides anything. */
ARITH_INLINE bool arith_is_finite(float x)
{
    return (arith_bits(x) & 0x7F800000u) != 0x7F800000u;
}

/* Nearest integer, ties to even, for |x| < 2^22: adding 1.5 x 2^23 leaves it in the low bits. */
ARITH_INLINE int32_t arith_round(float x)
{
    float shifted = x + 12582912.0f;
    return (int32_t)(arith_bits(shifted) - 0x4B400000u);
}

/* The 16 stripes of a sum, folded in halves: 8, 4, 2, 1. Destroys `lanes`. */
ARITH_INLINE float arith_fold(float lanes[ARITH_LANES])
{
    for (size_t half = ARITH_LANES / 2; half; half /= 2)
        for (size_t i = 0; i < half; i++)
            lanes[i] = lanes[i] + lanes[i + half];
    return lanes[0];
}

/* e^x within 2 units in the last place; NaN gives NaN. */
float arith_exp(float x);
/* Within 2 units in the last place. */
float arith_tanh(float x);
/* x times the normal distribution's Phi(x): with the approximation of Phi that is written with a hyperbolic tangent,
 * and with Phi itself. */
float arith_gelu_tanh(float x);
float arith_gelu_erf(float x);
/* The square of what is positive. */
float arith_square(float x);
/* binary16 to binary32, exact. */
float arith_half(uint16_t h);
/* gate and up between their limits, gated: docs/arithmetic.md, Gate. */
#define ARITH_CLAMP       7.0f
#define ARITH_CLAMP_SLOPE 1.702f
float arith_gate_clamped(float gate, float up);

/* For rotary tables. log: x > 0 and normal. exp: |x| < 700. sin_cos: |x| < 2^30. */
double arith_log_f64(double x);
double arith_exp_f64(double x);
void arith_sin_cos_f64(double x, double *sine, double *cosine);

/* log(1 + e^x) by the functions above, rounded once; what is not finite stays as it is. */
float arith_softplus(float x);

#endif
