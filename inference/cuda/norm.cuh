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

/* The striped sum of f(x[i]), i < n, for all threads of the block. Sixteen lanes add, each its stripe: 16 chains of
 * additions are all that the order leaves, so the others only see to it that the chains do not wait for memory. */
template <typename F> LANE float striped_sum(const float *x, uint32_t n, float *piece, F f)
{
    float sum = 0.0f;
    for (uint32_t start = 0; start < n; start += NORM_PIECE) {
        uint32_t count = min(NORM_PIECE, n - start);
        put_piece(x + start, count, n % 4 == 0, piece, f);
        __syncthreads();
        if (threadIdx.x < ARITH_LANES)
            for (uint32_t i = threadIdx.x; i < count; i += ARITH_LANES)
                sum = sum + piece[i];
        __syncthreads();
    }
    if (threadIdx.x < WARP) {
        sum = lane_fold(sum);
        if (threadIdx.x == 0)
            piece[0] = sum;
    }
    __syncthreads();
    sum = piece[0];
    __syncthreads();
    return sum;
}

/* What turns an element of a row into its normed self. */
struct norm_numbers {
    float mean, scale;
};

/* Of x[n], for all threads of the block; a layer norm or by the mean square. */
template <bool centred> LANE struct norm_numbers norm_measure(const float *x, float epsilon, uint32_t n, float *piece)
{
    float mean = 0.0f, length = (float)(int32_t)n;
    if (centred)
        mean = striped_sum(x, n, piece, [](float v) { return v; }) / length;
    float squares = striped_sum(x, n, piece, [mean](float v) {
        float d = centred ? v - mean : v;
        return d * d;
    });
    return {mean, 1.0f / sqrtf(squares / length + epsilon)};
}

template <bool centred>
LANE float norm_turn(struct norm_numbers m, float x, const float *gain, const float *bias, uint32_t i)
{
    return centred ? ((x - m.mean) * m.scale) * gain[i] + bias[i] : (x * m.scale) * gain[i];
}

/* Shared memory of such a block. */
static inline size_t norm_shared(uint32_t n)
{
    return (n < NORM_PIECE ? (n + 3) / 4 * 4 : NORM_PIECE) * sizeof(float);
}

#endif
