/* What a file of kernels has where clocks are taken (clocks.h): room for marks on the GPU, and how they are read. */
#ifndef KITH_INFERENCE_CUDA_LANE_CLOCK_H
#define KITH_INFERENCE_CUDA_LANE_CLOCK_H

#include "inference/cuda/clocks.h"

#define LANE_CLOCKS_MOST 8192u /* between two readings, of a file; further ones are not kept */

struct lane_moment {
    unsigned long long ns;
    uint32_t grid[3], threads;
};
static __device__ struct lane_moment lane_moments[LANE_CLOCKS_MOST];
static __device__ uint32_t lane_moments_n;

/* By the kernel's first thread. */
__device__ static __forceinline__ void lane_clock(void)
{
    if (blockIdx.x || blockIdx.y || blockIdx.z || threadIdx.x)
        return;
    const uint32_t i = atomicAdd(&lane_moments_n, 1u);
    unsigned long long ns;
    asm volatile("mov.u64 %0, %globaltimer;" : "=l"(ns));
    if (i < LANE_CLOCKS_MOST)
        lane_moments[i] = {ns, {gridDim.x, gridDim.y, gridDim.z}, blockDim.x};
}

/* A file's marks: read into out[LANE_CLOCKS_MOST] and begun anew. */
struct lane_clocks {
    const char *file;
    uint32_t (*take)(struct lane_moment *out);
    struct lane_clocks *next;
};
void lane_clocks_add(struct lane_clocks *of_file); /* clocks.cu */

static uint32_t lane_moments_take(struct lane_moment *out)
{
    uint32_t n = 0, none = 0;
    (void)cudaMemcpyFromSymbol(&n, lane_moments_n, sizeof n);
    n = n < LANE_CLOCKS_MOST ? n : LANE_CLOCKS_MOST;
    (void)cudaMemcpyFromSymbol(out, lane_moments, n * sizeof *out);
    (void)cudaMemcpyToSymbol(lane_moments_n, &none, sizeof none);
    return n;
}
namespace
{
struct lane_clocks_of_file : lane_clocks {
    lane_clocks_of_file() : lane_clocks{__BASE_FILE__, lane_moments_take, nullptr}
    {
        lane_clocks_add(this);
    }
} lane_clocks_here;
} // namespace

#endif
