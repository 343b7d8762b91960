/* CUDA on a processor, for tests: what the kernels of inference/cuda use of the language, so that they run, and are
 * compared with the reference, where there is no GPU. Given to the compiler by -include, before a kernel's file.
 *
 * Every thread of a block is a fiber; blocks run one after the other. A fiber runs until it waits for its warp (a
 * shuffle, a vote, a product of matrices) or for its block. So results do not depend on time; but they would depend on
 * the order of the threads if a barrier were missing, and a test runs every kernel in more orders than one
 * (emulate_set_order). Shared memory begins as garbage. What is undefined on a GPU ends the program with a message:
 * a lane that is missing from a warp's operation, threads that leave before others wait for them. */
#ifndef KITH_TESTS_CUDA_EMULATE_H
#define KITH_TESTS_CUDA_EMULATE_H

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>

#include "tests/cuda/order.h"

#define CUDA_EMULATED 1

#define __global__
#define __device__
#define __host__
#define __constant__    static
#define __forceinline__ inline
#define __shared__      static
#define __restrict__
#define __launch_bounds__(...)

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_)
    {
    }
};

#define EMULATE_VECTOR(type, name)                                                                                     \
    struct name##2                                                                                                     \
    {                                                                                                                  \
        type x, y;                                                                                                     \
    };                                                                                                                 \
    struct alignas(4 * sizeof(type)) name##4                                                                           \
    {                                                                                                                  \
        type x, y, z, w;                                                                                               \
    };                                                                                                                 \
    static inline name##2 make_##name##2(type x, type y)                                                               \
    {                                                                                                                  \
        return name##2 {x, y};                                                                                         \
    }                                                                                                                  \
    static inline name##4 make_##name##4(type x, type y, type z, type w)                                               \
    {                                                                                                                  \
        return name##4 {x, y, z, w};                                                                                   \
    }
EMULATE_VECTOR(int, int)
EMULATE_VECTOR(unsigned, uint)
EMULATE_VECTOR(float, float)

/* -- where a thread is -- */

extern dim3 gridDim, blockDim, blockIdx;
extern const dim3 *emulate_thread;
#define threadIdx (*emulate_thread)
enum { warpSize = 32 };

/* -- waiting -- */

void emulate_wait_block(const char *what);
/* Leaves `bytes` <= 64 of this lane and waits for the warp; what lane i left is then at result + 64 i. */
const unsigned char *emulate_exchange(const char *what, const void *mine, size_t bytes);

/* Comes to barrier `id` of the block, to which `threads` come in all, and waits for them or goes on. */
void emulate_meet(unsigned id, unsigned threads, bool waits);

static inline void __syncthreads(void)
{
    emulate_wait_block("__syncthreads");
}
static inline void __syncwarp(unsigned mask = 0xFFFFFFFFu)
{
    (void)mask;
    emulate_exchange("__syncwarp", nullptr, 0);
}
static inline void __threadfence(void)
{
}
static inline void __threadfence_block(void)
{
}

/* -- a warp -- */

static inline unsigned emulate_lane(void)
{
    return (threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)) % 32;
}

template <typename T> static inline T emulate_shuffle(const char *what, T mine, unsigned from)
{
    T out;
    memcpy(&out, emulate_exchange(what, &mine, sizeof mine) + 64 * (from % 32), sizeof out);
    return out;
}
/* A width of 32, 16, 8...: lanes of a part among themselves, as CUDA has it. */
template <typename T> static inline T __shfl_sync(unsigned, T v, int from, int width = 32)
{
    unsigned base = emulate_lane() / width * width;
    return emulate_shuffle("__shfl_sync", v, base + (unsigned)from % width);
}
template <typename T> static inline T __shfl_xor_sync(unsigned, T v, int by, int width = 32)
{
    unsigned lane = emulate_lane(), to = lane ^ (unsigned)by;
    return emulate_shuffle("__shfl_xor_sync", v, to / width == lane / width ? to : lane);
}
template <typename T> static inline T __shfl_down_sync(unsigned, T v, unsigned by, int width = 32)
{
    unsigned lane = emulate_lane();
    return emulate_shuffle("__shfl_down_sync", v, lane % width + by < (unsigned)width ? lane + by : lane);
}
template <typename T> static inline T __shfl_up_sync(unsigned, T v, unsigned by, int width = 32)
{
    unsigned lane = emulate_lane();
    return emulate_shuffle("__shfl_up_sync", v, lane % width >= by ? lane - by : lane);
}
static inline unsigned __ballot_sync(unsigned, int yes)
{
    const unsigned char *all = emulate_exchange("__ballot_sync", &yes, sizeof yes);
    unsigned votes = 0;
    for (unsigned i = 0; i < 32; i++) {
        int vote;
        memcpy(&vote, all + 64 * i, sizeof vote);
        votes |= (vote != 0) << i;
    }
    return votes;
}
static inline int __any_sync(unsigned mask, int yes)
{
    return __ballot_sync(mask, yes) != 0;
}
static inline int __all_sync(unsigned mask, int yes)
{
    return __ballot_sync(mask, yes) == 0xFFFFFFFFu;
}

/* -- integers -- */

static inline int __dp4a(int a, int b, int sum)
{
    for (int i = 0; i < 4; i++)
        sum += (int)(int8_t)(a >> 8 * i) * (int)(int8_t)(b >> 8 * i);
    return sum;
}
static inline unsigned __byte_perm(unsigned a, unsigned b, unsigned pick)
{
    uint64_t both = (uint64_t)b << 32 | a;
    unsigned out = 0;
    for (int i = 0; i < 4; i++) {
        unsigned p = pick >> 4 * i, byte = (unsigned)(both >> 8 * (p & 7)) & 255;
        out |= (p & 8 ? (byte & 128 ? 255u : 0u) : byte) << 8 * i;
    }
    return out;
}
static inline int __popc(unsigned x)
{
    return __builtin_popcount(x);
}
static inline int min(int a, int b)
{
    return a < b ? a : b;
}
static inline int max(int a, int b)
{
    return a > b ? a : b;
}
static inline unsigned min(unsigned a, unsigned b)
{
    return a < b ? a : b;
}
static inline unsigned max(unsigned a, unsigned b)
{
    return a > b ? a : b;
}

/* -- memory -- */

template <typename T> static inline T __ldg(const T *p)
{
    return *p;
}
template <typename T> static inline T atomicAdd(T *p, T by)
{
    T old = *p;
    *p = old + by;
    return old;
}
template <typename T> static inline T atomicMax(T *p, T by)
{
    T old = *p;
    *p = old > by ? old : by;
    return old;
}
template <typename T> static inline T atomicExch(T *p, T by)
{
    T old = *p;
    *p = by;
    return old;
}

/* -- bits and floats: rounded to nearest, as everything here -- */

template <typename To, typename From> static inline To emulate_cast(From x)
{
    static_assert(sizeof(To) == sizeof(From), "of one size");
    To out;
    memcpy(&out, &x, sizeof out);
    return out;
}
static inline unsigned __float_as_uint(float x)
{
    return emulate_cast<unsigned>(x);
}
static inline int __float_as_int(float x)
{
    return emulate_cast<int>(x);
}
static inline float __uint_as_float(unsigned x)
{
    return emulate_cast<float>(x);
}
static inline float __int_as_float(int x)
{
    return emulate_cast<float>(x);
}
static inline float __fmaf_rn(float a, float b, float c)
{
    return fmaf(a, b, c);
}
static inline float __int2float_rn(int x)
{
    return (float)x;
}

/* Of an integer below 2,048. */
static inline unsigned emulate_half_bits(int x)
{
    unsigned size = x < 0 ? -(unsigned)x : (unsigned)x, power = 0;
    while (size >> power > 1)
        power++;
    return size ? (x < 0 ? 0x8000u : 0u) | (power + 15) << 10 | (size << (10 - power) & 0x3FFu) : 0u;
}

/* -- launching -- */

/* A thread waits for the kernel before its own, which on a GPU may still run (lane_begin): one that never does ends the
 * program. */
void emulate_waited(void);

/* Copies to shared memory that are waited for later, in groups of a thread. They are made at once or, where threads run
 * backward or mixed, as late as they may be: so both what is read too early and what is written too early is seen. */
void emulate_copy(void *to, const void *from, size_t bytes);
void emulate_copy_end(void);
void emulate_copy_wait(unsigned left);

/* Work of a thread in the background, in batches that are waited for later (lane_group.h): done at once or as late as
 * it may be, likewise. Who waits lets all others go on first. */
void emulate_later(const std::function<void()> &work);
void emulate_later_end(void);
void emulate_later_wait(unsigned left);

/* The dynamic shared memory of the running block. */
void *emulate_shared(void);
/* How much a block may have; tests may say less than the largest GPUs have (emulate_set_shared). */
size_t emulate_shared_most(void);
unsigned emulate_processors(void);
void emulate_run(dim3 grid, dim3 block, size_t shared, void (*thread)(void *), void *arg);

/* A stream is launched on while its GPU is the thread's own; else the program ends. */
void emulate_launched_on(const void *stream);

/* While launches are recorded they are kept, with copies of their arguments, instead of run. */
bool emulate_keeps(const std::function<void()> &launch);

template <typename Call> static inline void emulate_launch(dim3 grid, dim3 block, size_t shared, Call call)
{
    if (emulate_keeps([=] { emulate_launch(grid, block, shared, call); }))
        return;
    emulate_run(
        grid, block, shared, [](void *c) { (*(Call *)c)(); }, &call);
}

#endif
