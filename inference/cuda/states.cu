/* Short convolutions (lfm2): a block of threads has 32 channels of one chain, a warp some of its rows. Nobody else
 * reads or writes these channels, so that a barrier is all that lies between what stood there and what is left. */
#include "inference/cuda/states.cuh"

#define WARPS_MOST 16u

__global__ static void __launch_bounds__(WARPS_MOST *WARP)
    convolve(const struct cuda_states s, struct cuda_marks marks, float *out)
{
    const uint32_t i = blockIdx.x * WARP + threadIdx.x % WARP, n = s.channels, warps = blockDim.x / WARP;
    const bool is_there = i < n;
    lane_begin();
    const struct cuda_chain chain = s.chain[blockIdx.y];
    LANE_UNROLL_BY(2)
    for (uint32_t k = threadIdx.x / WARP; k < chain.rows && is_there; k += warps) {
        const uint32_t row = s.row[chain.first + k];
        float *kept = state_kept(&s, row);
        out[(size_t)row * n + i] = s.in[((size_t)row * 3 + 1) * n + i] * state_convolve<true>(&s, &chain, k, i);
        if (!arith_is_finite(state_entry<true>(&s, row, i)))
            lane_mark(marks.finite, marks.slot, row);
        if (kept)
            state_put_history<true>(&s, &chain, k + 1, i, state_history(&s, kept));
    }
    __syncthreads();
    if (threadIdx.x < WARP && is_there)
        state_leave<true>(&s, &chain, i);
}

void cuda_convolve(void *stream, const struct cuda_states *s, uint32_t rows, struct cuda_marks marks, float *out)
{
    const uint32_t each = rows / s->chains, warps = each < WARPS_MOST ? each : WARPS_MOST;
    launch(convolve, dim3((s->channels + WARP - 1) / WARP, s->chains), warps * WARP, 0, stream, *s, marks, out);
}
