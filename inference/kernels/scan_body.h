/* A state space's steps for registers of any length (recur_body.h). Columns of a state are sums of their own and go
 * through all positions a few vectors at a time; a position reads and writes each element once. */
#ifndef KITH_INFERENCE_SCAN_BODY_H
#define KITH_INFERENCE_SCAN_BODY_H

#include "inference/kernels/recur_body.h"

#define SCAN_PARTS 4 /* vectors of a pass */

/* Columns [j, j + 16 parts) of s[n, m] learn a row. */
LANES_ALWAYS void scan_pass(float *s, size_t n, size_t m, size_t parts, size_t j, const struct ops_delta *r, bool asks)
{
    lanes16 d[SCAN_PARTS], sum[SCAN_PARTS];
    for (size_t p = 0; p < parts; p++) {
        d[p] = lanes_get(r->v + j + p * ARITH_LANES, ARITH_LANES) * r->beta;
        sum[p] = (lanes16){0};
    }
    for (size_t i = 0; i < n; i++)
        for (size_t p = 0; p < parts; p++) {
            float *at = s + i * m + j + p * ARITH_LANES;
            lanes16 x = lanes_get(at, ARITH_LANES) * r->decay + d[p] * r->k[i];
            lanes_put(at, x, ARITH_LANES);
            if (asks)
                sum[p] = sum[p] + x * r->q[i];
        }
    for (size_t p = 0; asks && p < parts; p++)
        lanes_put(r->out + j + p * ARITH_LANES, sum[p], ARITH_LANES);
}

LANES_ALWAYS void scan_columns(float *s, size_t n, size_t m, size_t parts, size_t j, const struct ops_delta *row,
                               size_t count)
{
    for (size_t t = 0; t < count; t++)
        if (row[t].out)
            scan_pass(s, n, m, parts, j, &row[t], true);
        else
            scan_pass(s, n, m, parts, j, &row[t], false);
}

static void scan_run_rows(float *s, size_t n, size_t m, const struct ops_delta *row, size_t count)
{
    size_t j = 0;
    for (; j + SCAN_PARTS * ARITH_LANES <= m; j += SCAN_PARTS * ARITH_LANES)
        scan_columns(s, n, m, SCAN_PARTS, j, row, count);
    for (; j < m; j += ARITH_LANES)
        scan_columns(s, n, m, 1, j, row, count);
}

#endif
