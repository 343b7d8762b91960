/* The gated delta net's steps for registers of any length (recur_body.h). Columns of a state are sums of their own, so
 * they go through all positions a few vectors at a time, out of a copy that stays in the first-level cache: in the
 * state itself the lines of a column's rows lie so that they push each other out. A pass changes the state by one
 * position and sums what the next one asks of it, so a position reads and writes the state once.
 *
 * A single position goes through the state where it is, whole stretches of its rows at a time. */
#ifndef KITH_INFERENCE_DELTA_BODY_H
#define KITH_INFERENCE_DELTA_BODY_H

#include "base/limits.h"
#include "inference/kernels/recur_body.h"

#ifdef __AVX512F__
#define DELTA_PARTS  2 /* vectors of a pass: of the sums of a row, of the next one's and of what it learns */
#define DELTA_SINGLE 8 /* of a position by itself */
#else
#define DELTA_PARTS  1
#define DELTA_SINGLE 2
#endif

/* sum[parts] = columns of s, whose rows are `stride` long, times k[n]. */
LANES_ALWAYS void delta_ask(const float *s, size_t stride, size_t n, size_t parts, const float *k, lanes16 *sum)
{
    for (size_t p = 0; p < parts; p++)
        sum[p] = (lanes16){0};
    for (size_t i = 0; i < n; i++)
        for (size_t p = 0; p < parts; p++)
            sum[p] = sum[p] + lanes_get(s + i * stride + p * ARITH_LANES, ARITH_LANES) * k[i];
}

/* Columns [j, j + 16 parts) of the values learn a row; u is what its key gave before, and becomes what `next` gives
 * then, where somebody asks. */
LANES_ALWAYS void delta_pass(float *s, size_t stride, size_t n, size_t parts, size_t j, const struct ops_delta *r,
                             const float *next, lanes16 *u)
{
    const float *asked = r->out ? r->q : r->k;
    lanes16 d[DELTA_SINGLE], sum[DELTA_SINGLE];
    for (size_t p = 0; p < parts; p++) {
        d[p] = (lanes_get(r->v + j + p * ARITH_LANES, ARITH_LANES) - u[p] * r->decay) * r->beta;
        sum[p] = u[p] = (lanes16){0};
    }
    for (size_t i = 0; i < n; i++)
        for (size_t p = 0; p < parts; p++) {
            float *at = s + i * stride + p * ARITH_LANES;
            lanes16 x = lanes_get(at, ARITH_LANES) * r->decay + d[p] * r->k[i];
            lanes_put(at, x, ARITH_LANES);
            sum[p] = sum[p] + x * asked[i];
            if (next)
                u[p] = u[p] + x * next[i];
        }
    for (size_t p = 0; r->out && p < parts; p++)
        lanes_put(r->out + j + p * ARITH_LANES, sum[p], ARITH_LANES);
}

/* `parts` vectors of n rows to where rows have another length. */
LANES_ALWAYS void delta_copy(float *to, size_t to_stride, const float *from, size_t from_stride, size_t n, size_t parts)
{
    for (size_t i = 0; i < n; i++)
        for (size_t p = 0; p < parts; p++)
            lanes_put(to + i * to_stride + p * ARITH_LANES,
                      lanes_get(from + i * from_stride + p * ARITH_LANES, ARITH_LANES), ARITH_LANES);
}

/* Columns [j, j + 16 parts) through all rows. */
LANES_ALWAYS void delta_columns(float *s, size_t n, size_t parts, size_t j, const struct ops_delta *row, size_t count)
{
    const size_t wide = parts * ARITH_LANES;
    float copy[SIDE_MAX * DELTA_PARTS * ARITH_LANES];
    lanes16 u[DELTA_PARTS];
    delta_copy(copy, wide, s + j, n, n, parts);
    delta_ask(copy, wide, n, parts, row[0].k, u);
    for (size_t t = 0; t + 1 < count; t++)
        delta_pass(copy, wide, n, parts, j, &row[t], row[t + 1].k, u);
    delta_pass(copy, wide, n, parts, j, &row[count - 1], NULL, u);
    delta_copy(s + j, n, copy, wide, n, parts);
}

static void delta_many(float *s, size_t n, const struct ops_delta *row, size_t count)
{
    size_t j = 0;
    for (; j + DELTA_PARTS * ARITH_LANES <= n; j += DELTA_PARTS * ARITH_LANES)
        delta_columns(s, n, DELTA_PARTS, j, row, count);
    for (; j < n; j += ARITH_LANES)
        delta_columns(s, n, 1, j, row, count);
}

LANES_ALWAYS void delta_one(float *s, size_t n, size_t parts, size_t j, const struct ops_delta *row)
{
    lanes16 u[DELTA_SINGLE];
    delta_ask(s + j, n, n, parts, row->k, u);
    delta_pass(s + j, n, n, parts, j, row, NULL, u);
}

static void delta_run_rows(float *s, size_t n, const struct ops_delta *row, size_t count)
{
    size_t j = 0;
    if (count > 1) {
        delta_many(s, n, row, count);
        return;
    }
    for (; j + DELTA_SINGLE * ARITH_LANES <= n; j += DELTA_SINGLE * ARITH_LANES)
        delta_one(s, n, DELTA_SINGLE, j, row);
    for (; j < n; j += ARITH_LANES)
        delta_one(s, n, 1, j, row);
}

#endif
