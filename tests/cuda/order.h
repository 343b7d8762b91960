/* In which order the threads of an emulated GPU run, and what it has; tests in C say it. */
#ifndef KITH_TESTS_CUDA_ORDER_H
#define KITH_TESTS_CUDA_ORDER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum emulate_order { EMULATE_FORWARD, EMULATE_BACKWARD, EMULATE_MIXED };
void emulate_set_order(enum emulate_order order);
/* What a block may have of shared memory; 0: as the largest GPUs, 227 KiB. */
void emulate_set_shared(size_t bytes);
/* Its processors; 0: 132. How kernels are cut depends on them. */
void emulate_set_processors(unsigned n);

#ifdef __cplusplus
}
#endif
#endif
