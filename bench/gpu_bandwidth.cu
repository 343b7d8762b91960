/* How fast a GPU reads its memory: a kernel that only adds up what it reads, over 2 GiB, the median of 15 passes of the
 * grid that is fastest; the sum is checked. One JSON object: {"gpu":..,"bytes":..,"bytes_per_s":..}. What decoding is
 * measured by. */
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cuda_runtime.h>

#define BYTES   ((size_t)2 << 30)
#define PASSES  15
#define THREADS 512

static bool ok(cudaError_t e, const char *what)
{
    if (e != cudaSuccess)
        fprintf(stderr, "gpu_bandwidth: %s: %s\n", what, cudaGetErrorString(e));
    return e == cudaSuccess;
}

__global__ void fill(uint4 *p, size_t n)
{
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n; i += (size_t)gridDim.x * blockDim.x)
        p[i] = make_uint4((unsigned)i, 1, 2, 3);
}

#define LOADS 4 /* of 16 bytes, under way in every thread */
#define TILE  ((size_t)THREADS * LOADS)

/* Blocks read tiles that lie in one piece. */
__global__ void sum(const uint4 *p, size_t n, unsigned *out)
{
    unsigned all = 0;
    for (size_t tile = blockIdx.x * TILE; tile < n; tile += gridDim.x * TILE) {
        uint4 v[LOADS];
#pragma unroll
        for (int i = 0; i < LOADS; i++)
            v[i] = __ldcs(p + tile + i * THREADS + threadIdx.x);
#pragma unroll
        for (int i = 0; i < LOADS; i++)
            all += v[i].x + v[i].y + v[i].z + v[i].w;
    }
    all = __reduce_add_sync(0xFFFFFFFFu, all);
    if (threadIdx.x % 32 == 0)
        atomicAdd(out, all);
}

static float median_ms(const uint4 *p, size_t n, unsigned blocks, unsigned *out, cudaEvent_t begin, cudaEvent_t end)
{
    float ms[PASSES];
    for (int i = -1; i < PASSES; i++) {
        (void)cudaMemset(out, 0, sizeof *out);
        (void)cudaEventRecord(begin);
        sum<<<blocks, THREADS>>>(p, n, out);
        (void)cudaEventRecord(end);
        if (!ok(cudaEventSynchronize(end), "run"))
            exit(1);
        if (i >= 0)
            (void)cudaEventElapsedTime(&ms[i], begin, end);
    }
    std::sort(ms, ms + PASSES);
    return ms[PASSES / 2];
}

int main()
{
    cudaDeviceProp prop;
    uint4 *p;
    unsigned *out, got = 0, want = 0;
    cudaEvent_t begin, end;
    const size_t n = BYTES / sizeof *p;
    float best = 0;
    if (!ok(cudaGetDeviceProperties(&prop, 0), "no GPU") || !ok(cudaMalloc(&p, BYTES), "memory") ||
        !ok(cudaMalloc(&out, sizeof *out), "memory") || !ok(cudaEventCreate(&begin), "event") ||
        !ok(cudaEventCreate(&end), "event"))
        return 1;
    fill<<<1024, THREADS>>>(p, n);
    for (size_t i = 0; i < n; i++)
        want += (unsigned)i + 6u;                          /* sums are modulo 2^32 */
    for (unsigned blocks = 1; blocks <= 16; blocks *= 2) { /* of a processor */
        float ms = median_ms(p, n, blocks * (unsigned)prop.multiProcessorCount, out, begin, end);
        best = best == 0 || ms < best ? ms : best;
        if (!ok(cudaMemcpy(&got, out, sizeof got, cudaMemcpyDeviceToHost), "result"))
            return 1;
        if (got != want) {
            fprintf(stderr, "gpu_bandwidth: the sum is wrong\n");
            return 1;
        }
    }
    printf("{\"gpu\":\"%s\",\"bytes\":%zu,\"bytes_per_s\":%.4g}\n", prop.name, BYTES, BYTES / (best / 1e3));
    return 0;
}
