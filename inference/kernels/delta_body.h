/* The gated delta net's step for registers of any length: 16 columns of a state are one vector, which the compiler cuts
 * into as many as the processor has. Each column is its own sum, so any cut has the reference's bits. A column is read
 * twice; 64 of them of 128 rows stay in the first-level cache in between. */
#ifndef KITH_INFERENCE_DELTA_BODY_H
#define KITH_INFERENCE_DELTA_BODY_H

#include "inference/kernels/ops.h"

#include <string.h>

typedef float delta_lanes __attribute__((vector_size(ARITH_LANES * sizeof(float))));

/* Columns [0, 16 parts) of s, whose rows are n long. */
static inline __attribute__((always_inline)) void delta_columns(float *s, size_t n, size_t parts, const float *q,
                                                                const float *k, const float *v, float decay, float beta,
                                                                float *out)
{
    delta_lanes d[4], sum[4], x;
    for (size_t p = 0; p < parts; p++)
        d[p] = sum[p] = (delta_lanes){0};
    for (size_t i = 0; i < n; i++)
        for (size_t p = 0; p < parts; p++) {
            memcpy(&x, s + i * n + p * ARITH_LANES, sizeof x);
            d[p] = d[p] + x * k[i];
        }
    for (size_t p = 0; p < parts; p++) {
        memcpy(&x, v + p * ARITH_LANES, sizeof x);
        d[p] = (x - d[p] * decay) * beta;
    }
    for (size_t i = 0; i < n; i++)
        for (size_t p = 0; p < parts; p++) {
            memcpy(&x, s + i * n + p * ARITH_LANES, sizeof x);
            x = x * decay + d[p] * k[i];
            memcpy(s + i * n + p * ARITH_LANES, &x, sizeof x);
            if (q)
                sum[p] = sum[p] + x * q[i];
        }
    for (size_t p = 0; q && p < parts; p++)
        memcpy(out + p * ARITH_LANES, &sum[p], sizeof x);
}

static void delta_step(float *s, size_t n, const float *q, const float *k, const float *v, float decay, float beta,
                       float *out)
{
    size_t j = 0;
    for (; j + 4 * ARITH_LANES <= n; j += 4 * ARITH_LANES)
        if (q)
            delta_columns(s + j, n, 4, q, k, v + j, decay, beta, out + j);
        else
            delta_columns(s + j, n, 4, NULL, k, v + j, decay, beta, NULL);
    for (; j < n; j += ARITH_LANES)
        if (q)
            delta_columns(s + j, n, 1, q, k, v + j, decay, beta, out + j);
        else
            delta_columns(s + j, n, 1, NULL, k, v + j, decay, beta, NULL);
}

#endif
