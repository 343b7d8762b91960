/* What recurrent layers do beside products and steps of their states, for registers of any length: 16 elements are one
 * vector, which the compiler cuts into as many as the processor has. Lanes are elements of a row, or the stripes of a
 * sum, so any cut has the reference's bits. */
#ifndef KITH_INFERENCE_RECUR_BODY_H
#define KITH_INFERENCE_RECUR_BODY_H

#include "inference/kernels/ops.h"

#include <math.h>
#include <string.h>

#define LANES_ALWAYS static inline __attribute__((always_inline))

typedef float lanes16 __attribute__((vector_size(ARITH_LANES * sizeof(float))));
typedef int32_t lanes_i __attribute__((vector_size(ARITH_LANES * sizeof(float))));
typedef uint32_t lanes_u __attribute__((vector_size(ARITH_LANES * sizeof(float))));

/* All of these are inlined: no vector is given to a function. */
#pragma GCC diagnostic ignored "-Wpsabi"

/* The first `count` of 16 values, +0 behind them. */
LANES_ALWAYS lanes16 lanes_get(const float *x, size_t count)
{
    lanes16 v = {0};
    memcpy(&v, x, count * sizeof *x);
    return v;
}

LANES_ALWAYS void lanes_put(float *out, lanes16 v, size_t count)
{
    memcpy(out, &v, count * sizeof *out);
}

/* e^x as arith_exp has it, operation for operation. */
LANES_ALWAYS lanes16 lanes_exp(lanes16 x)
{
    const lanes16 most = (lanes16){0} + ARITH_EXP_MAX;
    lanes_i under = x<ARITH_EXP_MIN, over = x> ARITH_EXP_MAX;
    x = (lanes16)((over & (lanes_i)most) | (~over & (lanes_i)x)); /* a NaN stays */
    lanes16 shifted = x * 1.44269504f + 12582912.0f;
    lanes16 n = shifted - 12582912.0f;
    lanes16 r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
    lanes16 p = (lanes16){0} + 1.98412698e-4f;
    p = p * r + 1.38888889e-3f;
    p = p * r + 8.33333333e-3f;
    p = p * r + 4.16666667e-2f;
    p = p * r + 1.66666667e-1f;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    p = p * (lanes16)(((lanes_u)shifted - 0x4B400000u + 127u) << 23);
    return (lanes16)(~under & (lanes_i)p);
}

/* 1 + e^-x */
LANES_ALWAYS lanes16 lanes_below(lanes16 x)
{
    return 1.0f + lanes_exp(-x);
}

LANES_ALWAYS void convolve_lanes(const float *const *x, const float *tap, size_t taps, size_t n, size_t i, size_t count,
                                 float *out)
{
    lanes16 sum = {0};
    for (size_t k = 0; k < taps; k++)
        sum = sum + lanes_get(x[k] + i, count) * lanes_get(tap + k * n + i, count);
    lanes_put(out + i, sum, count);
}

static void recur_convolve_row(const float *const *x, const float *tap, size_t taps, size_t n, float *out)
{
    size_t i = 0;
    for (; i + ARITH_LANES <= n; i += ARITH_LANES)
        convolve_lanes(x, tap, taps, n, i, ARITH_LANES, out);
    if (i < n)
        convolve_lanes(x, tap, taps, n, i, n - i, out);
}

LANES_ALWAYS void silu_lanes(float *x, size_t count)
{
    lanes16 v = lanes_get(x, count);
    lanes_put(x, v / lanes_below(v), count);
}

static void recur_silu_row(float *x, size_t n)
{
    size_t i = 0;
    for (; i + ARITH_LANES <= n; i += ARITH_LANES)
        silu_lanes(x + i, ARITH_LANES);
    if (i < n)
        silu_lanes(x + i, n - i);
}

static void recur_unit_row(float *x, size_t n, float epsilon, float by)
{
    lanes16 sum = {0};
    for (size_t i = 0; i < n; i += ARITH_LANES) {
        lanes16 v = lanes_get(x + i, ARITH_LANES);
        sum = sum + v * v;
    }
    float all[ARITH_LANES];
    lanes_put(all, sum, ARITH_LANES);
    const float scale = (1.0f / sqrtf(arith_fold(all) + epsilon)) * by;
    for (size_t i = 0; i < n; i += ARITH_LANES)
        lanes_put(x + i, lanes_get(x + i, ARITH_LANES) * scale, ARITH_LANES);
}

LANES_ALWAYS void times_lanes(float *x, const float *y, size_t count)
{
    lanes_put(x, lanes_get(x, count) * lanes_get(y, count), count);
}

static void recur_times_row(float *x, const float *y, size_t n)
{
    size_t i = 0;
    for (; i + ARITH_LANES <= n; i += ARITH_LANES)
        times_lanes(x + i, y + i, ARITH_LANES);
    if (i < n)
        times_lanes(x + i, y + i, n - i);
}

LANES_ALWAYS void times_sigmoid_lanes(float *x, const float *y, size_t count)
{
    lanes_put(x, lanes_get(x, count) * (1.0f / lanes_below(lanes_get(y, count))), count);
}

static void recur_times_sigmoid_row(float *x, const float *y, size_t n)
{
    size_t i = 0;
    for (; i + ARITH_LANES <= n; i += ARITH_LANES)
        times_sigmoid_lanes(x + i, y + i, ARITH_LANES);
    if (i < n)
        times_sigmoid_lanes(x + i, y + i, n - i);
}

/* As members of a set. */
#define RECUR_OPS                                                                                                      \
    .convolve = recur_convolve_row, .silu = recur_silu_row, .unit = recur_unit_row, .times = recur_times_row,          \
    .times_sigmoid = recur_times_sigmoid_row, .delta = delta_run_rows

#endif
