/* Norms of rows, for blocks of threads: the striped sums of docs/arithmetic.md and what is made of them. */
#ifndef KITH_INFERENCE_CUDA_NORM_CUH
#define KITH_INFERENCE_CUDA_NORM_CUH

#include "inference/cuda/lane.h"

#define NORM_PIECE 8192u /* floats of a row that are in shared memory at a time */

/* piece[i] = f(x[i]), i < count, by all threads of the block. */
template <typename F> LANE void put_piece(const float *x, uint32_t count, bool by_fours, float *piece, F f)
{
    if (!by_fours) {
        for (uint32_t i = threadIdx.x; i < count; i += blockDim.x)
            piece[i] = f(x[i]);
        return;
    }
    for (uint32_t i = 4 * threadIdx.x; i < count; i += 4 * blockDim.x) {
        float4 v = *(const float4 *)(x + i);
        *(float4 *)(piece + i) = make_float4(f(v.x), f(v.y), f(v.z), f(v.w));
    }
}

/* sum + this lane's stripe of f(piece[count]), which begins at a multiple of ARITH_LANES of the row: an addition every
 * four cycles is all that the order leaves, so what is added next is on its way meanwhile. */
#define NORM_AHEAD 16u
template <typename F> LANE float add_stripe(const float *piece, uint32_t count, float sum, F f)
{
    const uint32_t lane = threadIdx.x % WARP, step = NORM_AHEAD * ARITH_LANES;
    float next[NORM_AHEAD];
    uint32_t at = 0;
    if (step <= count) {
        LANE_UNROLL
        for (uint32_t i = 0; i < NORM_AHEAD; i++)
            next[i] = piece[lane + i * ARITH_LANES];
    }
    for (; at + step <= count; at += step) {
        float now[NORM_AHEAD];
        const uint32_t from = at + 2 * step <= count ? at + step : at;
        LANE_UNROLL
        for (uint32_t i = 0; i < NORM_AHEAD; i++) {
            now[i] = next[i];
            next[i] = piece[from + lane + i * ARITH_LANES];
        }
        LANE_UNROLL
        for (uint32_t i = 0; i < NORM_AHEAD; i++)
            sum = sum + f(now[i]);
    }
    for (at += lane; at < count; at += ARITH_LANES)
        sum = sum + f(piece[at]);
    return sum;
}

/* The same of what is f(x) already. */
LANE float add_stripe(const float *piece, uint32_t count, float sum)
{
    return add_stripe(piece, count, sum, [](float v) { return v; });
}

/* The sum of the stripes that the first lanes have, for all threads of the block. */
LANE float fold_stripes(float stripe, float *piece)
{
    __syncthreads();
    if (threadIdx.x < WARP) {
        stripe = lane_fold(stripe);
        if (threadIdx.x == 0)
            piece[0] = stripe;
    }
    __syncthreads();
    stripe = piece[0];
    __syncthreads();
    return stripe;
}

/* The striped sum of f(x[i]), i < n, for all threads of the block. Sixteen lanes add, each its stripe; the others only
 * see to it that these chains do not wait for memory. */
template <typename F> LANE float striped_sum(const float *x, uint32_t n, float *piece, F f)
{
    float sum = 0.0f;
    for (uint32_t start = 0; start < n; start += NORM_PIECE) {
        uint32_t count = min(NORM_PIECE, n - start);
        __syncthreads();
        put_piece(x + start, count, n % 4 == 0, piece, f);
        __syncthreads();
        if (threadIdx.x < ARITH_LANES)
            sum = add_stripe(piece, count, sum);
    }
    return fold_stripes(sum, piece);
}

/* What turns an element of a row into its normed self. */
struct norm_numbers {
    float mean, scale;
};

/* Of a row of n, for all threads of the block; a layer norm or by the mean square. `sum`(f) is the striped sum of f of
 * its elements. */
template <bool centred, typename Sum> LANE struct norm_numbers norm_measure(float epsilon, uint32_t n, Sum sum)
{
    float mean = 0.0f, length = (float)(int32_t)n;
    if (centred)
        mean = sum([](float v) { return v; }) / length;
    float squares = sum([mean](float v) {
        float d = centred ? v - mean : v;
        return d * d;
    });
    return {mean, 1.0f / sqrtf(squares / length + epsilon)};
}
template <bool centred>
LANE struct norm_numbers norm_measure_row(const float *x, float epsilon, uint32_t n, float *piece)
{
    return norm_measure<centred>(epsilon, n, [=](auto f) { return striped_sum(x, n, piece, f); });
}

template <bool centred> LANE float norm_turn(struct norm_numbers m, float x, float gain, float bias)
{
    return centred ? ((x - m.mean) * m.scale) * gain + bias : (x * m.scale) * gain;
}

/* Shared memory of such a block. */
static inline size_t norm_shared(uint32_t n)
{
    return (n < NORM_PIECE ? (n + 3) / 4 * 4 : NORM_PIECE) * sizeof(float);
}

#endif
