/* Memory that a test and the kernels that it calls both see: this machine's where GPUs are emulated, managed by the
 * driver where they are real (make gpu-check). */
#ifndef KITH_TESTS_CUDA_MEMORY_H
#define KITH_TESTS_CUDA_MEMORY_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Aligned to 256, filled with garbage. */
void *gpu_new(size_t bytes);
void gpu_free(void *p);
/* Until the kernels that were called are done: before the test reads what they wrote. */
void gpu_wait(void);

#ifdef __cplusplus
}
#endif
#endif
