/* When each kernel's first block was behind its wait (lane.h): from one to the next is what a kernel costs where it
 * stands, beside weights that others ask for and with its beginning hidden behind them. A profiler runs kernels one by
 * one and sees neither. Only in builds with -DLANE_CLOCKS (build/release/bench/bench_gpu_clocks); else there are none.
 */
#ifndef KITH_INFERENCE_CUDA_CLOCKS_H
#define KITH_INFERENCE_CUDA_CLOCKS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct cuda_clock {
    uint64_t ns;      /* of the GPU's clock, which has steps of 32 or more */
    const char *file; /* of the kernel */
    uint32_t grid[3], threads;
};
/* Those since the last call, in the order of time, of the GPU in use, whose work must be done; how many, at most
 * `room`. */
uint32_t cuda_clocks_take(struct cuda_clock *out, uint32_t room);

#ifdef __cplusplus
}
#endif
#endif
