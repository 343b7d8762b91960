/* In which order the threads of an emulated GPU run; tests in C say it. */
#ifndef KITH_TESTS_CUDA_ORDER_H
#define KITH_TESTS_CUDA_ORDER_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum emulate_order { EMULATE_FORWARD, EMULATE_BACKWARD, EMULATE_MIXED };
void emulate_set_order(enum emulate_order order);
/* How many threads the calls so far ran. */
uint64_t emulate_threads_run(void);

#ifdef __cplusplus
}
#endif
#endif
