/* What the host's side needs of a GPU: its memory, copies, one queue of work. runtime.cu has it from the CUDA runtime,
 * tests/cuda/runtime_emulated.cc from this machine's memory. Pointers into a GPU's memory are only handed on.
 *
 * Work is done in the order in which it was queued; an error shows at cuda_wait, or later, and then the device is lost:
 * nothing that it holds is to be believed. All calls of one device come from one thread. */
#ifndef KITH_INFERENCE_CUDA_RUNTIME_H
#define KITH_INFERENCE_CUDA_RUNTIME_H

#include "base/err.h"
#include "inference/engine/device.h"

#ifdef __cplusplus
extern "C" {
#endif

struct cuda_queue;

/* How many GPUs there are, all of them started, with their kernels; 0 with a reason in the note. */
uint32_t cuda_start(struct note *note);
enum err cuda_describe(uint32_t index, struct device_facts *out, struct note *note) MUST_USE;

enum err cuda_queue_new(uint32_t index, struct cuda_queue **out, struct note *note) MUST_USE;
void cuda_queue_free(struct cuda_queue *q);
/* The CUDA stream, for launches. */
void *cuda_queue_stream(const struct cuda_queue *q);

/* Aligned to 256, not zeroed; NULL if there is no room. */
void *cuda_alloc(struct cuda_queue *q, uint64_t bytes);
void cuda_free(struct cuda_queue *q, void *p);
/* Memory of this machine that a GPU reads and writes by itself. NULL if there is none. */
void *cuda_alloc_host(struct cuda_queue *q, uint64_t bytes);
void cuda_free_host(struct cuda_queue *q, void *p);

/* Memory of the caller's becomes such for a while; nothing is lost but speed where that cannot be. */
void cuda_pin(struct cuda_queue *q, void *p, size_t bytes);
void cuda_unpin(struct cuda_queue *q, void *p);

/* Queued. Those of alloc_host's memory go on beside the caller. */
void cuda_put(struct cuda_queue *q, void *device, const void *host, size_t bytes);
void cuda_get(struct cuda_queue *q, void *host, const void *device, size_t bytes);
void cuda_zero(struct cuda_queue *q, void *device, size_t bytes);
/* Until all that was queued is done. ERR_IO with a note: the device is lost. */
enum err cuda_wait(struct cuda_queue *q, struct note *note) MUST_USE;

/* What is queued between begin and end is recorded instead of done: a graph, which costs one launch whenever it is run.
 * Neither may be possible: begin says false, end NULL; then it is to be queued again, plainly. */
struct cuda_graph;
bool cuda_graph_begin(struct cuda_queue *q);
struct cuda_graph *cuda_graph_end(struct cuda_queue *q);
void cuda_graph_run(struct cuda_queue *q, const struct cuda_graph *g);
void cuda_graph_free(struct cuda_graph *g);

#ifdef __cplusplus
}
#endif
#endif
