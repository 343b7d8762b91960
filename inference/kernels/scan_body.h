/* A state space's step for registers of any length, as delta_body.h has a delta net's: 16 columns of a state are one
 * vector, each column is its own sum, and each element of the state is read and written once. */
#ifndef KITH_INFERENCE_SCAN_BODY_H
#define KITH_INFERENCE_SCAN_BODY_H

#include "inference/kernels/ops.h"

#include <string.h>

typedef float scan_lanes __attribute__((vector_size(ARITH_LANES * sizeof(float))));

/* Columns [0, 16 parts) of s[n, m]. */
static inline __attribute__((always_inline)) void scan_columns(float *s, size_t n, size_t m, size_t parts,
                                                               const float *q, const float *k, const float *v,
                                                               float decay, float step, float *out)
{
    scan_lanes d[4], sum[4], x;
    for (size_t p = 0; p < parts; p++) {
        memcpy(&x, v + p * ARITH_LANES, sizeof x);
        d[p] = x * step;
        sum[p] = (scan_lanes){0};
    }
    for (size_t i = 0; i < n; i++)
        for (size_t p = 0; p < parts; p++) {
            memcpy(&x, s + i * m + p * ARITH_LANES, sizeof x);
            x = x * decay + d[p] * k[i];
            memcpy(s + i * m + p * ARITH_LANES, &x, sizeof x);
            if (q)
                sum[p] = sum[p] + x * q[i];
        }
    for (size_t p = 0; q && p < parts; p++)
        memcpy(out + p * ARITH_LANES, &sum[p], sizeof x);
}

static void scan_step(float *s, size_t n, size_t m, const float *q, const float *k, const float *v, float decay,
                      float step, float *out)
{
    size_t j = 0;
    for (; j + 4 * ARITH_LANES <= m; j += 4 * ARITH_LANES)
        if (q)
            scan_columns(s + j, n, m, 4, q, k, v + j, decay, step, out + j);
        else
            scan_columns(s + j, n, m, 4, NULL, k, v + j, decay, step, NULL);
    for (; j < m; j += ARITH_LANES)
        if (q)
            scan_columns(s + j, n, m, 1, q, k, v + j, decay, step, out + j);
        else
            scan_columns(s + j, n, m, 1, NULL, k, v + j, decay, step, NULL);
}

#endif
