/* How fast a GPU reads its memory: a kernel that only adds up what it reads, over 2 GiB, the median of 15 passes; the
 * sum is checked first. One JSON object: {"gpu":..,"bytes":..,"bytes_per_s":..}. What decoding is measured by. */
#include <algorithm>
#include <cstdint>
#include <cstdio>
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

/* Four loads of 16 bytes under way in every thread. */
__global__ void sum(const uint4 *p, size_t n, unsigned long long *out)
{
    unsigned all = 0;
    size_t step = (size_t)gridDim.x * blockDim.x;
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i + 3 * step < n; i += 4 * step) {
        uint4 a = __ldcs(p + i), b = __ldcs(p + i + step), c = __ldcs(p + i + 2 * step), d = __ldcs(p + i + 3 * step);
        all += a.x + a.y + a.z + a.w + b.x + b.y + b.z + b.w + c.x + c.y + c.z + c.w + d.x + d.y + d.z + d.w;
    }
    atomicAdd(out, (unsigned long long)all);
}

int main()
{
    cudaDeviceProp prop;
    uint4 *p;
    unsigned long long *out, got = 0, want = 0;
    cudaEvent_t begin, end;
    const size_t n = BYTES / sizeof *p;
    float ms[PASSES];
    if (!ok(cudaGetDeviceProperties(&prop, 0), "no GPU") || !ok(cudaMalloc(&p, BYTES), "memory") ||
        !ok(cudaMalloc(&out, sizeof *out), "memory") || !ok(cudaEventCreate(&begin), "event") ||
        !ok(cudaEventCreate(&end), "event"))
        return 1;
    /* n is a multiple of 4 x the threads, as blocks are a power of two */
    unsigned blocks = 1;
    while (blocks < (unsigned)prop.multiProcessorCount * 4)
        blocks *= 2;
    fill<<<blocks, THREADS>>>(p, n);
    for (int i = -1; i < PASSES; i++) {
        (void)cudaMemset(out, 0, sizeof *out);
        (void)cudaEventRecord(begin);
        sum<<<blocks, THREADS>>>(p, n, out);
        (void)cudaEventRecord(end);
        if (!ok(cudaEventSynchronize(end), "run"))
            return 1;
        if (i >= 0)
            (void)cudaEventElapsedTime(&ms[i], begin, end);
    }
    if (!ok(cudaMemcpy(&got, out, sizeof got, cudaMemcpyDeviceToHost), "result"))
        return 1;
    /* Sums of threads are modulo 2^32; so is this. */
    for (size_t i = 0; i < n; i++)
        want += (unsigned)i + 6u;
    if ((unsigned)got != (unsigned)want) {
        fprintf(stderr, "gpu_bandwidth: the sum is wrong\n");
        return 1;
    }
    std::sort(ms, ms + PASSES);
    printf("{\"gpu\":\"%s\",\"bytes\":%zu,\"bytes_per_s\":%.4g}\n", prop.name, BYTES, BYTES / (ms[PASSES / 2] / 1e3));
    return 0;
}
