/* Logits as they leave: scaled, capped, looked at for what is not finite, and the largest of each row found, in one
 * pass.
 *
 * The largest is a maximum of 64-bit keys, the logit above and its place below, so neither the order of threads nor
 * that of blocks matters: greater logits have greater keys, and of equal ones the first. */
#include "inference/cuda/kernels.h"
#include "inference/cuda/lane.h"

#define THREADS  256u
#define ELEMENTS 16u /* of a thread */

/* Floats order as these integers do; both zeros are one. */
LANE uint32_t rank_of(float v)
{
    uint32_t b = arith_bits(v);
    if (b == 0x80000000u)
        b = 0;
    return b >> 31 ? ~b : b | 0x80000000u;
}

__global__ static void tell_rows(float *x, float by, float cap, uint32_t n, struct cuda_marks marks,
                                 unsigned long long *best)
{
    lane_begin();
    uint32_t c = blockIdx.y, first = blockIdx.x * ELEMENTS * THREADS + threadIdx.x;
    unsigned long long most = 0;
    bool finite = true;
    x += (size_t)c * n;
    for (uint32_t k = 0, i = first; k < ELEMENTS && i < n; k++, i += THREADS) {
        float v = x[i] * by;
        if (cap != 0.0f)
            v = cap * arith_fn_tanh(v / cap);
        if (by != 1.0f || cap != 0.0f)
            x[i] = v;
        finite = finite && arith_is_finite(v);
        unsigned long long key = (unsigned long long)rank_of(v) << 32 | (CUDA_BEST_LAST - i);
        most = key > most ? key : most;
    }
    if (!finite)
        lane_mark(marks.finite, marks.slot, c);
    for (int apart = WARP / 2; apart; apart /= 2) {
        unsigned long long other = __shfl_xor_sync(ALL, most, apart);
        most = other > most ? other : most;
    }
    if (threadIdx.x % WARP == 0 && most)
        atomicMax(&best[c], most);
}

void cuda_tell(void *stream, float *x, float by, float cap, uint32_t n, uint32_t cols, struct cuda_marks marks,
               uint64_t *best)
{
    launch(tell_rows, dim3((n + ELEMENTS * THREADS - 1) / (ELEMENTS * THREADS), cols), THREADS, 0, stream, x, by, cap,
           n, marks, (unsigned long long *)best);
}
