/* cuda/runtime.h by the CUDA runtime, which is linked in and opens the driver's libcuda itself: without one, or without
 * a GPU, cuda_start says so. */
#include "inference/cuda/runtime.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <cuda_runtime.h>

struct cuda_queue {
    int index;
    cudaStream_t stream;
};

struct cuda_graph {
    cudaGraphExec_t run;
};

static enum err failed(struct note *note, enum err e, const char *what, cudaError_t why)
{
    return note_set(note, e, "%s: %s (%s)", what, cudaGetErrorString(why), cudaGetErrorName(why));
}

/* With all kernels loaded now: later a process may be shut in, and cannot make code. */
static cudaError_t start(int index)
{
    cudaError_t e = cudaSetDevice(index);
    return e == cudaSuccess ? cudaFree(nullptr) : e;
}

uint32_t cuda_start(struct note *note)
{
    int n = 0;
    (void)setenv("CUDA_MODULE_LOADING", "EAGER", 1);
    cudaError_t e = cudaGetDeviceCount(&n);
    for (int i = 0; i < n && e == cudaSuccess; i++)
        e = start(i);
    if (e == cudaErrorInsufficientDriver)
        (void)note_set(note, ERR_UNSUPPORTED,
                       "the NVIDIA driver is missing or older than CUDA %d.%d needs: install or update it",
                       CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10);
    else if (e == cudaErrorNoKernelImageForDevice || e == cudaErrorInvalidDeviceFunction)
        (void)note_set(note, ERR_UNSUPPORTED,
                       "kith-cuda.so has no code for this GPU: build with its number in CUDA_ARCHS");
    else if (e != cudaSuccess)
        (void)failed(note, ERR_NOT_FOUND, "no NVIDIA GPU can be used", e);
    else if (n == 0)
        (void)note_set(note, ERR_NOT_FOUND, "there is no NVIDIA GPU");
    return e == cudaSuccess ? (uint32_t)n : 0;
}

enum err cuda_describe(uint32_t index, struct device_facts *out, struct note *note)
{
    cudaDeviceProp p;
    int driver = 0;
    size_t free_bytes = 0, total = 0;
    cudaError_t e = cudaGetDeviceProperties(&p, (int)index);
    if (e == cudaSuccess)
        e = cudaSetDevice((int)index);
    if (e == cudaSuccess)
        e = cudaMemGetInfo(&free_bytes, &total);
    if (e == cudaSuccess)
        e = cudaDriverGetVersion(&driver);
    if (e != cudaSuccess)
        return failed(note, ERR_IO, "the GPU does not say what it is", e);
    memset(out, 0, sizeof *out);
    snprintf(out->name, sizeof out->name, "%.63s", p.name);
    snprintf(out->kind, sizeof out->kind, "sm_%d%d", p.major, p.minor);
    snprintf(out->driver, sizeof out->driver, "CUDA %d.%d", driver / 1000, driver % 1000 / 10);
    out->free_bytes = free_bytes;
    out->total_bytes = total;
    return ERR_OK;
}

/* -- a queue -- */

enum err cuda_queue_new(uint32_t index, struct cuda_queue **out, struct note *note)
{
    struct cuda_queue *q = (struct cuda_queue *)calloc(1, sizeof *q);
    CHECK(q);
    q->index = (int)index;
    cudaError_t e = cudaSetDevice(q->index);
    if (e == cudaSuccess)
        e = cudaStreamCreateWithFlags(&q->stream, cudaStreamNonBlocking);
    if (e == cudaSuccess) {
        *out = q;
        return ERR_OK;
    }
    free(q);
    return failed(note, ERR_IO, "the GPU cannot be started", e);
}

void cuda_queue_free(struct cuda_queue *q)
{
    if (!q)
        return;
    (void)cudaSetDevice(q->index);
    (void)cudaStreamDestroy(q->stream);
    free(q);
}

void *cuda_queue_stream(const struct cuda_queue *q)
{
    (void)cudaSetDevice(q->index); /* whoever launches has the right one */
    return q->stream;
}

/* -- memory -- */

void *cuda_alloc(struct cuda_queue *q, uint64_t bytes)
{
    void *p = nullptr;
    (void)cudaSetDevice(q->index);
    if (cudaMalloc(&p, bytes ? bytes : 1) == cudaSuccess)
        return p;
    (void)cudaGetLastError(); /* said by the NULL, not again by cuda_wait */
    return nullptr;
}

void cuda_free(struct cuda_queue *q, void *p)
{
    (void)cudaSetDevice(q->index);
    (void)cudaFree(p);
}

void *cuda_alloc_host(struct cuda_queue *q, uint64_t bytes)
{
    void *p = nullptr;
    (void)cudaSetDevice(q->index);
    if (cudaMallocHost(&p, bytes ? bytes : 1) == cudaSuccess)
        return p;
    (void)cudaGetLastError();
    return nullptr;
}

void cuda_free_host(struct cuda_queue *q, void *p)
{
    (void)cudaSetDevice(q->index);
    (void)cudaFreeHost(p);
}

void cuda_pin(struct cuda_queue *q, void *p, size_t bytes)
{
    (void)cudaSetDevice(q->index);
    if (cudaHostRegister(p, bytes, cudaHostRegisterPortable) != cudaSuccess)
        (void)cudaGetLastError();
}

void cuda_unpin(struct cuda_queue *q, void *p)
{
    (void)cudaSetDevice(q->index);
    if (cudaHostUnregister(p) != cudaSuccess)
        (void)cudaGetLastError();
}

/* -- work: errors stay with the runtime until cuda_wait -- */

void cuda_put(struct cuda_queue *q, void *device, const void *host, size_t bytes)
{
    (void)cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, q->stream);
}

void cuda_get(struct cuda_queue *q, void *host, const void *device, size_t bytes)
{
    (void)cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, q->stream);
}

void cuda_zero(struct cuda_queue *q, void *device, size_t bytes)
{
    (void)cudaMemsetAsync(device, 0, bytes, q->stream);
}

enum err cuda_wait(struct cuda_queue *q, struct note *note)
{
    (void)cudaSetDevice(q->index);
    cudaError_t queued = cudaGetLastError(), done = cudaStreamSynchronize(q->stream);
    if (done == cudaSuccess && queued == cudaSuccess)
        return ERR_OK;
    return failed(note, ERR_IO, "the GPU failed", done != cudaSuccess ? done : queued);
}

/* -- graphs -- */

bool cuda_graph_begin(struct cuda_queue *q)
{
    (void)cudaSetDevice(q->index);
    if (cudaStreamBeginCapture(q->stream, cudaStreamCaptureModeThreadLocal) == cudaSuccess)
        return true;
    (void)cudaGetLastError();
    return false;
}

struct cuda_graph *cuda_graph_end(struct cuda_queue *q)
{
    cudaGraph_t graph = nullptr;
    struct cuda_graph *g = (struct cuda_graph *)calloc(1, sizeof *g);
    CHECK(g);
    if (cudaStreamEndCapture(q->stream, &graph) == cudaSuccess &&
        cudaGraphInstantiate(&g->run, graph, 0) == cudaSuccess) {
        (void)cudaGraphDestroy(graph);
        return g;
    }
    if (graph)
        (void)cudaGraphDestroy(graph);
    free(g);
    (void)cudaGetLastError();
    return nullptr;
}

void cuda_graph_run(struct cuda_queue *q, const struct cuda_graph *g)
{
    (void)cudaGraphLaunch(g->run, q->stream);
}

void cuda_graph_free(struct cuda_graph *g)
{
    if (!g)
        return;
    (void)cudaGraphExecDestroy(g->run);
    free(g);
}
