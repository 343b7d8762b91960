/* The one column of a product in shared memory, a run at a time, which a warp has for itself. It is int8 in memory
 * already, or the warp makes it of floats, which may have to be normed before: then each block of threads does that by
 * itself, beside weights that are on their way, with the column and its gain in shared memory. */
#ifndef KITH_INFERENCE_CUDA_COLUMN_CUH
#define KITH_INFERENCE_CUDA_COLUMN_CUH

#include "inference/cuda/blocks.cuh"
#include "inference/cuda/norm.cuh"
#include "inference/cuda/products.cuh"

#define COLUMN_BYTES 320u /* q[256], sums[16], then s[8] or s[1] */

/* A run of the column to shared memory. */
template <class F> LANE void column_load(const struct cuda_blocks *in, size_t run, uint32_t lane, uint8_t *out)
{
    ((uint2 *)out)[lane] = ((const uint2 *)(in->q + run * ARITH_RUN))[lane];
    if (lane < 8)
        ((uint32_t *)(out + 256))[lane] = ((const uint32_t *)(in->sums + run * 16))[lane];
    else if (lane < (F::is_narrow ? 16 : 9))
        ((float *)(out + 256))[lane] = in->s[run * (F::is_narrow ? RUN_BLOCKS : 1) + lane - 8];
}

LANE int column_sum(const uint8_t *column, uint32_t sixteen)
{
    return ((const int16_t *)(column + 256))[sixteen];
}
LANE float column_scale(const uint8_t *column, uint32_t b)
{
    return ((const float *)(column + 288))[b];
}

/* Where the column is to be normed: x[n], gain[n] and the scale of the norm. */
static inline size_t column_row_bytes(uint32_t n)
{
    return (2 * (size_t)n + 4) * sizeof(float);
}

/* from[n] on its way to shared memory, by all threads; both are aligned to 16. */
LANE void column_ask_row(const float *from, uint32_t n, float *to)
{
    for (uint32_t i = 4 * threadIdx.x; i < n; i += 4 * blockDim.x)
        lane_copy16(to + i, from + i);
    lane_copy_end();
}

/* row: x[n] to come, gain[n] on its way, and room for the scale. A warp adds, which takes nearly all that a quarter of a
 * processor issues; `quarter`: blocks that are on one processor should not take the same. */
LANE void column_norm(const struct product *p, float *row, uint32_t quarter)
{
    const uint32_t adds = quarter % min(4u, blockDim.x / WARP), lane = threadIdx.x % WARP;
    column_ask_row(p->f, p->n, row);
    lane_copy_wait<0>();
    __syncthreads();
    if (threadIdx.x / WARP == adds) {
        const struct norm_numbers m = norm_measure<false>(p->raw.epsilon, p->n, [=](auto f) {
            return lane_fold(lane < ARITH_LANES ? add_stripe(row, p->n, 0.0f, f) : 0.0f);
        });
        if (lane == 0)
            row[2 * p->n] = m.scale;
    }
    __syncthreads();
}

/* A run of a column that comes as it is, or is normed (row), to shared memory. */
template <class F> LANE void column_make(const struct product *p, const float *row, uint32_t r, uint8_t *column)
{
    const uint32_t lanes = F::is_narrow ? ARITH_BLOCK / LANE_ELEMENTS : WARP, lane = threadIdx.x % WARP,
                   from = r * ARITH_RUN + lane * LANE_ELEMENTS, left = p->n > from ? p->n - from : 0;
    const struct cuda_blocks out = {(int8_t *)column, (float *)(column + 288), (int16_t *)(column + 256), nullptr};
    float v[LANE_ELEMENTS], gain[LANE_ELEMENTS], scale;
    uint32_t word[2];
    bool is_finite;
    load_elements((p->raw.gain ? row : p->f) + from, left, p->n % 4 == 0, v);
    if (p->raw.gain) {
        const struct norm_numbers m = {0.0f, row[2 * p->n]};
        load_elements(row + p->n + from, left, true, gain);
        LANE_UNROLL
        for (uint32_t i = 0; i < LANE_ELEMENTS; i++)
            v[i] = i < left ? norm_turn<false>(m, v[i], gain[i], 0.0f) : 0.0f;
    }
    quantise_block<LANE_ELEMENTS>(v, lanes, word, &scale, &is_finite);
    put_words(word, &out, 0, lane);
    if (lane % lanes == 0)
        out.s[lane / lanes] = scale;
    if (!is_finite)
        lane_mark(p->raw.marks.finite, p->raw.marks.slot, 0);
}

#endif
