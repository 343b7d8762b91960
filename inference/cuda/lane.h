/* What the kernels are written in: CUDA C++, and the few things that need a GPU's own instructions, each with its
 * imitation for tests (tests/cuda/emulate.h, which the compiler is given where there is no nvcc).
 *
 * docs/arithmetic.md holds here as everywhere: compiled with --fmad=false, and nvcc's defaults --ftz=false,
 * --prec-div=true, --prec-sqrt=true. So `a * b + c` is two rounded operations, `/` and sqrtf are rounded to nearest.
 * Where a fused operation gives the same bits (a product that is exact), __fmaf_rn says so by its name. */
#ifndef KITH_INFERENCE_CUDA_LANE_H
#define KITH_INFERENCE_CUDA_LANE_H

#ifdef __CUDACC__
#include <cstdint>
#include <cuda_fp16.h>
#elif !defined(CUDA_EMULATED)
#error "kernels are compiled by nvcc, or behind tests/cuda/emulate.h"
#endif

#include "inference/kernels/arith_fn.h"

#define LANE __device__ static __forceinline__
#define WARP 32u
#define ALL  0xFFFFFFFFu /* lanes of a warp */

/* Before a loop whose length is known: its arrays become registers. And before one of which several turns may be under
 * way. */
#ifdef __CUDACC__
#define LANE_PRAGMA(text) _Pragma(#text)
#define LANE_UNROLL       _Pragma("unroll")
#define LANE_UNROLL_BY(n) LANE_PRAGMA(unroll n)
#else
#define LANE_UNROLL
#define LANE_UNROLL_BY(n)
#endif

/* -- shared memory whose size the launch says -- */

#ifdef __CUDACC__
#define LANE_SHARED(type, name)                                                                                        \
    extern __shared__ __align__(16) unsigned char lane_shared_bytes[];                                                 \
    type *name = (type *)lane_shared_bytes
#else
#define LANE_SHARED(type, name) type *name = (type *)emulate_shared()
#endif

/* -- when kernels run, where that is wanted -- */

#if defined(__CUDACC__) && defined(LANE_CLOCKS)
#include "inference/cuda/lane_clock.h"
#else
LANE void lane_clock(void)
{
}
#endif

/* -- launching; errors are kept by the runtime (runtime.h) --
 *
 * From sm_90 on a kernel's blocks may start before the kernel ahead has ended (programmatic dependent launch, CUDA C++
 * Programming Guide): what it fetches of weights, which nobody writes, is on its way while others still work. So every
 * thread of every kernel says when it begins to read what others wrote, or to write: lane_wait(), before any return. It
 * waits until the kernel ahead is complete, which has itself waited for the one ahead of it.
 *
 * When the next may start is said by lane_next(), in all blocks, or by their end. Small kernels say so at once
 * (lane_begin), and so do those beside whose blocks nothing finds room. Others say so when their work is nearly done:
 * blocks that wait take the places of others, and those that come later crowd where there is room (measured on an H200:
 * 64 rows, 8 layers, 8.8 ms with all kernels saying it at once, 7.8 ms with none). */
/* The next kernel may start. */
LANE void lane_next(void)
{
#if defined(__CUDACC__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}
LANE void lane_wait(void)
{
#ifndef __CUDACC__
    emulate_waited();
#elif __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
    lane_clock();
}
LANE void lane_begin(void)
{
    lane_next();
    lane_wait();
}
/* Weights stream by once a step: the second cache gives them up first, and keeps what every layer asks for again (the
 * cache's page table, angles, positions), which else would come from memory behind all that was asked for ahead. */
#ifdef __CUDACC__
LANE uint64_t lane_stream(void)
{
    uint64_t policy = 0;
#if __CUDA_ARCH__ >= 800
    asm("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
#endif
    return policy;
}
#endif

/* Asks for `bytes` (a multiple of 16, as is the address) of weights to come to the GPU's second cache. By one thread.
 */
LANE void lane_fetch(const void *global, uint32_t bytes)
{
#if defined(__CUDACC__) && __CUDA_ARCH__ >= 900
    asm volatile("cp.async.bulk.prefetch.L2.global.L2::cache_hint [%0], %1, %2;" ::"l"(global), "r"(bytes),
                 "l"(lane_stream())
                 : "memory");
#else
    (void)global, (void)bytes;
#endif
}

/* More must be asked for, together with what a kernel has beside what the launch says. */
#define LANE_SHARED_PLAIN (48u << 10)
#define LANE_SHARED_OWN   (16u << 10) /* at most */
#ifdef __CUDACC__
/* Of the GPU that this thread launches on. */
static inline int lane_attribute(enum cudaDeviceAttr which, int if_unknown)
{
    int device = 0, value = if_unknown;
    (void)cudaGetDevice(&device);
    (void)cudaDeviceGetAttribute(&value, which, device);
    return value;
}
template <typename... P, typename... A>
static void launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared, void *stream, A... args)
{
    cudaLaunchAttribute overlaps = {};
    cudaLaunchConfig_t config = {};
    if (shared > LANE_SHARED_PLAIN - LANE_SHARED_OWN)
        (void)cudaFuncSetAttribute((const void *)kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared);
    /* All alike: a processor must be empty before it divides its memory another way. */
    (void)cudaFuncSetAttribute((const void *)kernel, cudaFuncAttributePreferredSharedMemoryCarveout,
                               cudaSharedmemCarveoutMaxShared);
    overlaps.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    overlaps.val.programmaticStreamSerializationAllowed = 1;
    config.gridDim = grid;
    config.blockDim = block;
    config.dynamicSmemBytes = shared;
    config.stream = (cudaStream_t)stream;
    config.attrs = &overlaps;
    config.numAttrs = lane_attribute(cudaDevAttrComputeCapabilityMajor, 0) >= 9;
    (void)cudaLaunchKernelEx(&config, kernel, args...);
}
#else
template <typename... P, typename... A>
static void launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared, void *stream, A... args)
{
    emulate_launched_on(stream);
    emulate_launch(grid, block, shared, [=] { kernel(args...); });
}
#endif

/* -- matrices of int8 -- */

/* d[16 x 8] += a[16 x 32] b[32 x 8], exact in int32. With g = lane / 4 and t = lane % 4, a register of four int8 being
 * four neighbours in k from 4 t on:
 *     a[0], a[1]: rows g and g + 8, k from 0 on;  a[2], a[3]: the same, k from 16 on
 *     b[0], b[1]: column g, k from 0 on and from 16 on
 *     d[0], d[1]: row g, columns 2 t and 2 t + 1;  d[2], d[3]: row g + 8
 * (PTX ISA, mma.m16n8k32; on sm_75 made of m8n8k16, whose fragments are quarters of these.) */
#ifndef __CUDACC__
/* Words of four are multiplied as both sides have them: 8 words of a row of a, 8 of a column of b. */
template <bool a_is_unsigned> static inline void emulate_mma(int32_t d[4], const uint32_t a[4], const uint32_t b[2])
{
    uint32_t mine[6] = {a[0], a[1], a[2], a[3], b[0], b[1]};
    const unsigned char *all = emulate_exchange("lane_mma", mine, sizeof mine);
    unsigned lane = emulate_lane(), g = lane / 4, t = lane % 4;
    for (unsigned from = 0; from < 4; from++) /* lanes of a row or a column: 4 from on */
        for (unsigned column = 0; column < 2; column++) {
            uint32_t x[6], y[6];
            memcpy(x, all + 64 * (4 * g + from), sizeof x);
            memcpy(y, all + 64 * (4 * (2 * t + column) + from), sizeof y);
            for (unsigned i = 0; i < 16; i++) {
                unsigned shift = i % 4 * 8, row = i / 4 % 2, half = i / 8;
                uint8_t byte = (uint8_t)(x[i / 4] >> shift);
                d[2 * row + column] += (a_is_unsigned ? byte : (int8_t)byte) * (int8_t)(y[4 + half] >> shift);
            }
        }
}
#endif

#if !defined(__CUDACC__)
#define LANE_MMA(name, type, is_unsigned)                                                                              \
    LANE void name(int32_t d[4], const uint32_t a[4], const uint32_t b[2])                                             \
    {                                                                                                                  \
        emulate_mma<is_unsigned>(d, a, b);                                                                             \
    }
#elif __CUDA_ARCH__ >= 800
#define LANE_MMA(name, type, is_unsigned)                                                                              \
    LANE void name(int32_t d[4], const uint32_t a[4], const uint32_t b[2])                                             \
    {                                                                                                                  \
        asm("mma.sync.aligned.m16n8k32.row.col.s32." type                                                              \
            ".s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"                                            \
            : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])                                                           \
            : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));                                       \
    }
#else
#define LANE_MMA(name, type, is_unsigned)                                                                              \
    LANE void name(int32_t d[4], const uint32_t a[4], const uint32_t b[2])                                             \
    {                                                                                                                  \
        for (int i = 0; i < 4; i++) /* half of the rows, half of k */                                                  \
            asm("mma.sync.aligned.m8n8k16.row.col.s32." type ".s8.s32 {%0,%1}, {%2}, {%3}, {%0,%1};"                   \
                : "+r"(d[i % 2 * 2]), "+r"(d[i % 2 * 2 + 1])                                                           \
                : "r"(a[i]), "r"(b[i / 2]));                                                                           \
    }
#endif
LANE_MMA(lane_mma, "s8", false)
/* The same with a of uint8: the two bytes of a weight of 15 bits. */
LANE_MMA(lane_mma_bytes, "u8", true)

/* Four matrices of 8 rows of 16 bytes in shared memory: lane l says where row l % 8 of matrix l / 8 begins (aligned to
 * 16), and gets word t of row g of each. So two of them are the b of lane_mma, of 8 columns that lie row by row. */
LANE void lane_matrices(uint32_t d[4], const void *row)
{
#ifdef __CUDACC__
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
                 : "r"((unsigned)__cvta_generic_to_shared(row))
                 : "memory");
#else
    const unsigned char *all = emulate_exchange("lane_matrices", &row, sizeof row);
    for (unsigned i = 0; i < 4; i++) {
        const unsigned char *from;
        memcpy(&from, all + 64 * (8 * i + emulate_lane() / 4), sizeof from);
        memcpy(&d[i], from + emulate_lane() % 4 * 4, sizeof d[i]);
    }
#endif
}

/* -- copies from global to shared memory that are waited for later: 16 or 4 bytes, both aligned to as many -- */

LANE void lane_copy16(void *shared, const void *global)
{
#if defined(__CUDACC__) && __CUDA_ARCH__ >= 800
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"((unsigned)__cvta_generic_to_shared(shared)),
                 "l"(global));
#elif defined(__CUDACC__)
    *(uint4 *)shared = *(const uint4 *)global;
#else
    emulate_copy(shared, global, 16);
#endif
}
LANE void lane_copy4(void *shared, const void *global)
{
#if defined(__CUDACC__) && __CUDA_ARCH__ >= 800
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"((unsigned)__cvta_generic_to_shared(shared)),
                 "l"(global));
#elif defined(__CUDACC__)
    *(uint32_t *)shared = *(const uint32_t *)global;
#else
    emulate_copy(shared, global, 4);
#endif
}
/* Of what other blocks of this processor read, too, so that it is kept in the nearest cache. */
LANE void lane_copy16_near(void *shared, const void *global)
{
#if defined(__CUDACC__) && __CUDA_ARCH__ >= 800
    asm volatile("cp.async.ca.shared.global [%0], [%1], 16;" ::"r"((unsigned)__cvta_generic_to_shared(shared)),
                 "l"(global));
#elif defined(__CUDACC__)
    *(uint4 *)shared = *(const uint4 *)global;
#else
    emulate_copy(shared, global, 16);
#endif
}
/* Ends a group of copies of this thread. */
LANE void lane_copy_end(void)
{
#if defined(__CUDACC__) && __CUDA_ARCH__ >= 800
    asm volatile("cp.async.commit_group;");
#elif !defined(__CUDACC__)
    emulate_copy_end();
#endif
}
/* All groups of this thread but the last `left` are there; other threads' copies after the next barrier. */
template <int left> LANE void lane_copy_wait(void)
{
#if defined(__CUDACC__) && __CUDA_ARCH__ >= 800
    asm volatile("cp.async.wait_group %0;" ::"n"(left));
#elif !defined(__CUDACC__)
    emulate_copy_wait(left);
#endif
}

/* -- barriers 1 to 15 (0 is __syncthreads): `threads` come to one in all, whole warps, of which some do not wait -- */

LANE void lane_meet(uint32_t barrier, uint32_t threads)
{
#ifdef __CUDACC__
    asm volatile("bar.sync %0, %1;" ::"r"(barrier), "r"(threads) : "memory");
#else
    emulate_meet(barrier, threads, true);
#endif
}
LANE void lane_arrive(uint32_t barrier, uint32_t threads)
{
#ifdef __CUDACC__
    asm volatile("bar.arrive %0, %1;" ::"r"(barrier), "r"(threads) : "memory");
#else
    emulate_meet(barrier, threads, false);
#endif
}

/* -- this GPU -- */

/* Processors that blocks are shared among. */
static inline uint32_t lane_processors(void)
{
#ifdef __CUDACC__
    return (uint32_t)lane_attribute(cudaDevAttrMultiProcessorCount, 1);
#else
    return emulate_processors();
#endif
}

/* What a block may have of shared memory; and what more each takes of its processor's. */
#define LANE_SHARED_KEPT 1024u
static inline size_t lane_shared_most(void)
{
#ifdef __CUDACC__
    return (size_t)lane_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, (int)LANE_SHARED_PLAIN);
#else
    return emulate_shared_most();
#endif
}

/* -- loads -- */

/* 16 bytes of weights: read once, so that they push nothing out of the nearest cache, and little out of the second. */
LANE uint4 lane_load_once(const void *global)
{
#ifdef __CUDACC__
    uint4 v;
#if __CUDA_ARCH__ >= 800
    asm("ld.global.nc.L1::no_allocate.L2::cache_hint.v4.u32 {%0,%1,%2,%3}, [%4], %5;"
        : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
        : "l"(global), "l"(lane_stream()));
#else
    asm("ld.global.nc.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];"
        : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
        : "l"(global));
#endif
    return v;
#else
    return *(const uint4 *)global;
#endif
}

/* 16 bytes of weights that other blocks read, too: the second cache keeps them. */
LANE uint4 lane_load_far(const void *global)
{
#ifdef __CUDACC__
    uint4 v;
    asm("ld.global.nc.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];"
        : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
        : "l"(global));
    return v;
#else
    return *(const uint4 *)global;
#endif
}

/* From shared memory, where it stands in the code: a compiler that knew that it is there already would keep it in
 * registers. */
LANE float4 lane_read_shared(const float4 *shared)
{
#ifdef __CUDACC__
    float4 v;
    asm volatile("ld.shared.v4.f32 {%0,%1,%2,%3}, [%4];"
                 : "=f"(v.x), "=f"(v.y), "=f"(v.z), "=f"(v.w)
                 : "r"((unsigned)__cvta_generic_to_shared(shared)));
    return v;
#else
    return *shared;
#endif
}

/* What other blocks of the same kernel wrote, behind __threadfence: not from the nearest cache, which may have what was
 * there before. */
template <typename T> LANE T lane_load_new(const T *global)
{
#ifdef __CUDACC__
    return __ldcg(global);
#else
    return *global;
#endif
}

/* -- what arith.h and arith_fn.h do not have -- */

/* Sums in a register that begins as LANE_ZERO become floats by one subtraction: exact for |sum| < 2^22. */
#define LANE_ZERO 0x4B400000
LANE float lane_float(int32_t from_zero)
{
    return __int_as_float(from_zero) - 12582912.0f;
}

/* 1 / x within 2 units in the last place, for x whose reciprocal is a normal number. Emulated, it is one off. */
LANE float lane_near_reciprocal(float x)
{
    float y;
#ifdef __CUDACC__
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
#else
    y = arith_of_bits(arith_bits(1.0f / x) + (arith_bits(x) & 2) - 1);
#endif
    return y;
}

/* The largest of three that are at least +0, whose bits are ordered as they are; where one is NaN, anything. */
LANE float lane_largest(float a, float b, float c)
{
#ifdef __CUDACC__
    return __int_as_float(__vimax3_s32(__float_as_int(a), __float_as_int(b), __float_as_int(c)));
#else
    return fmaxf(fmaxf(a, b), c);
#endif
}

/* Of whole numbers. */
LANE uint32_t lane_largest_bits(uint32_t a, uint32_t b, uint32_t c)
{
#ifdef __CUDACC__
    return __vimax3_u32(a, b, c);
#else
    return max(max(a, b), c);
#endif
}

/* arith_fold of a stripe a lane, for each half of a warp; the same in all its lanes, since a + b is b + a. */
LANE float lane_fold(float stripe)
{
    for (int half = ARITH_LANES / 2; half; half /= 2)
        stripe = stripe + __shfl_xor_sync(ALL, stripe, half);
    return stripe;
}

/* Column c of a batch is not finite; many threads may say so. */
LANE void lane_mark(uint8_t *finite, const uint32_t *slot, uint32_t c)
{
    finite[slot ? slot[c] : c] = 0;
}

/* An integer below 2,049 as binary16, exact. */
LANE uint32_t lane_half_bits(int x)
{
#ifdef __CUDACC__
    return __half_as_ushort(__int2half_rn(x));
#else
    return emulate_half_bits(x);
#endif
}

/* binary16 bits to binary32, exact. */
LANE float lane_half(uint16_t bits)
{
#ifdef __CUDACC__
    return __half2float(__ushort_as_half(bits));
#else
    return arith_fn_half(bits);
#endif
}

/* -- matrices of binary16 -- */

/* d[16 x 8] = a[16 x 16] b[16 x 8] of binary16, summed in binary32, exact where all partial sums are integers below
 * 2^24. a[0], a[1]: rows g and g + 8, k = 2 t and 2 t + 1; a[2], a[3]: k + 8; b[0], b[1]: column g likewise; d as
 * lane_mma has it. (PTX ISA, mma.m16n8k16; on sm_75 made of m16n8k8.) */
LANE void lane_mma_halves(float d[4], const uint32_t a[4], const uint32_t b[2])
{
#if defined(__CUDACC__) && __CUDA_ARCH__ >= 800
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%10,%10,%10,%10};"
        : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]), "f"(0.0f));
#elif defined(__CUDACC__)
    d[0] = d[1] = d[2] = d[3] = 0.0f;
    for (int i = 0; i < 2; i++) /* half of k */
        asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
            : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
            : "r"(a[2 * i]), "r"(a[2 * i + 1]), "r"(b[i]));
#else
    uint32_t mine[6] = {a[0], a[1], a[2], a[3], b[0], b[1]};
    const unsigned char *all = emulate_exchange("lane_mma_halves", mine, sizeof mine);
    unsigned lane = emulate_lane(), g = lane / 4, t = lane % 4;
    for (unsigned o = 0; o < 4; o++) {
        d[o] = 0.0f;
        for (unsigned k = 0; k < 16; k++) {
            uint16_t x, y;
            memcpy(&x, all + 64 * (4 * g + k % 8 / 2) + 4 * (o / 2 + k / 8 * 2) + k % 2 * 2, 2);
            memcpy(&y, all + 64 * (4 * (2 * t + o % 2) + k % 8 / 2) + 16 + k / 8 * 4 + k % 2 * 2, 2);
            d[o] += lane_half(x) * lane_half(y);
        }
    }
#endif
}

#endif
