/* The emulated GPUs' memory, and how they fail when a test wants it. */
#ifndef KITH_TESTS_CUDA_RUNTIME_EMULATED_H
#define KITH_TESTS_CUDA_RUNTIME_EMULATED_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* GPUs are emulated; if not (tests/cuda/real.cu), what follows does nothing. */
bool emulated_is(void);
/* How many there are (1), and the memory of each (4 GiB). */
void emulated_gpus(uint32_t count, uint64_t bytes);
/* The `nth` cuda_wait from now on, 1 being the next, says that the device is lost; 0: none does. */
void emulated_lose_at(uint32_t nth);
/* What is allocated now, over all devices. */
uint64_t emulated_bytes(void);
/* How many pieces of the caller's memory are pinned now. */
uint32_t emulated_pinned(void);
/* How many graphs were run so far; how many kernels, by them and by themselves. */
uint64_t emulated_graphs_run(void);
uint64_t emulated_kernels_run(void);

#ifdef __cplusplus
}
#endif
#endif
