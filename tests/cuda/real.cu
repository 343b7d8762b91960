/* For the tests on a real GPU: managed memory; and what only an emulated one can be told is said to be impossible. */
#include "tests/cuda/memory.h"
#include "tests/cuda/order.h"
#include "tests/cuda/runtime_emulated.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <cuda_runtime.h>

static void must(cudaError_t e, const char *what)
{
    if (e == cudaSuccess)
        return;
    fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(e));
    abort();
}

void *gpu_new(size_t bytes)
{
    void *p = nullptr;
    must(cudaMallocManaged(&p, bytes ? bytes : 1), "managed memory");
    memset(p, 0xA5, bytes);
    return p;
}

void gpu_free(void *p)
{
    must(cudaFree(p), "free");
}

void gpu_wait(void)
{
    must(cudaDeviceSynchronize(), "kernels");
    must(cudaGetLastError(), "launch");
}

bool emulated_is(void)
{
    return false;
}

void emulate_set_order(enum emulate_order)
{
}

void emulate_set_shared(size_t)
{
}

void emulate_set_processors(unsigned)
{
}

void emulated_gpus(uint32_t, uint64_t)
{
}

void emulated_lose_at(uint32_t)
{
}

uint64_t emulated_bytes(void)
{
    return 0;
}

uint32_t emulated_pinned(void)
{
    return 0;
}

uint64_t emulated_graphs_run(void)
{
    return 0;
}

uint64_t emulated_kernels_run(void)
{
    return 0;
}
