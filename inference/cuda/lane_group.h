/* What only Hopper has (compiled for sm_90a): groups of four warps that multiply matrices in the background; with its
 * imitation for tests, as in lane.h. */
#ifndef KITH_INFERENCE_CUDA_LANE_GROUP_H
#define KITH_INFERENCE_CUDA_LANE_GROUP_H

#include "inference/cuda/lane.h"

#define GROUP       128u /* threads; the first is a multiple of as many */
#define GROUP_COLS  128u /* of a product */
#define GROUP_PARTS 64u  /* sums that a lane has of 64 rows x 128 columns */

/* Whether code is being compiled for a GPU that has them. */
#if !defined(__CUDACC__) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define GROUP_IS_HERE 1
#else
#define GROUP_IS_HERE 0
#endif

/* Whether this GPU has them. An emulated one is a Hopper if it has as much shared memory. */
static inline bool group_is_had(void)
{
#ifdef __CUDACC__
    return lane_attribute(cudaDevAttrComputeCapabilityMajor, 0) == 9;
#else
    return emulate_shared_most() >= (227u << 10);
#endif
}

/* What this thread wrote to shared memory is seen by the unit for matrices of who meets it next. */
LANE void lane_publish(void)
{
#ifdef __CUDACC__
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}

/* Registers of a thread from here on, of the block's: by all warps of a group. */
template <int n> LANE void lane_registers_more(void)
{
#ifdef __CUDACC__
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(n));
#endif
}
template <int n> LANE void lane_registers_fewer(void)
{
#ifdef __CUDACC__
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(n));
#endif
}

/* threadIdx.x, read where it stands in the code: what is made of it needs no registers before. */
LANE uint32_t lane_thread_anew(void)
{
#ifdef __CUDACC__
    uint32_t thread;
    asm volatile("mov.u32 %0, %%tid.x;" : "=r"(thread));
    return thread;
#else
    return threadIdx.x;
#endif
}

/* -- products of a group: a and b of shared memory --
 *
 * d[64 x 128] += a[64 x 32] b[32 x 128], exact in int32. Warp w of the group has rows 16 w to 16 w + 15, of 8 columns
 * at a time as lane_mma has its d: d[4 n..] is of columns 8 n to 8 n + 7.
 *
 * Both lie in slabs: 128 bytes in k of each row of a or column of b, line after line, from a multiple of 1,024 bytes
 * on, pieces of 16 bytes exchanged: piece i of line l stands in place i exclusive-or l % 8. So 8 lines' pieces that are
 * needed together are in different banks. (PTX ISA, asynchronous warpgroup level matrix: shared memory matrix layout,
 * 128-byte swizzling; matrix descriptor.) */
#define SLAB_BYTES 128u /* of a line */

/* Where a product finds lines of `bytes`, one behind the other; `exchange`: the descriptor's word for how pieces are
 * exchanged. */
LANE uint64_t lines_at(const void *lines, uint32_t bytes, uint32_t exchange)
{
#ifdef __CUDACC__
    const uint64_t eight_lines = 8 * bytes / 16, how = exchange;
    return (__cvta_generic_to_shared(lines) & 0x3FFFFu) / 16 | 1ull << 16 | eight_lines << 32 | how << 62;
#else
    (void)bytes, (void)exchange;
    return (uint64_t)lines;
#endif
}
LANE uint64_t slab_at(const void *slab)
{
    return lines_at(slab, SLAB_BYTES, 1);
}
/* The same for sums of a run, of which each column has 32 bytes: from a multiple of 256 bytes on, piece i of column c
 * in place i exclusive-or c / 4 % 2. */
#define SUMS_BYTES 32u
LANE uint64_t sums_at(const void *sums)
{
    return lines_at(sums, SUMS_BYTES, 3);
}
/* `bytes` further in k of all lines: 32 for the next 32. */
LANE uint64_t slab_further(uint64_t at, uint32_t bytes)
{
#ifdef __CUDACC__
    return at + bytes / 16;
#else
    return at + bytes;
#endif
}
/* Where something is in shared memory. */
LANE uint32_t lane_shared_at(const void *shared)
{
#ifdef __CUDACC__
    return (uint32_t)__cvta_generic_to_shared(shared);
#else
    return (uint32_t)(uintptr_t)shared;
#endif
}
/* Offset of piece i of 16 bytes of a line. */
LANE uint32_t slab_piece(uint32_t line, uint32_t i)
{
    return line * SLAB_BYTES + (i ^ line % 8) * 16;
}

#ifndef __CUDACC__
/* 32 bytes of a line, as the unit finds them. */
static inline void emulate_line(uint8_t x[32], uint64_t slab, unsigned line)
{
    for (unsigned half = 0; half < 2; half++) {
        uint64_t at = slab + line * SLAB_BYTES + half * 16;
        memcpy(x + 16 * half, (const void *)(at ^ (at >> 7 & 7) << 4), 16);
    }
}
template <bool is_unsigned>
static inline void emulate_group_mma(int32_t d[GROUP_PARTS], uint64_t a, uint64_t b, bool adds)
{
    unsigned lane = emulate_lane(), g = lane / 4, t = lane % 4, row = threadIdx.x % GROUP / WARP * 16 + g;
    uint8_t x[2][32], y[32];
    emulate_line(x[0], a, row);
    emulate_line(x[1], a, row + 8);
    for (unsigned i = 0; i < GROUP_PARTS / 2; i++) {
        emulate_line(y, b, i / 2 * 8 + 2 * t + i % 2);
        for (unsigned half = 0; half < 2; half++) {
            int32_t sum = 0, *to = &d[i / 2 * 4 + half * 2 + i % 2];
            for (unsigned k = 0; k < 32; k++)
                sum += (is_unsigned ? x[half][k] : (int8_t)x[half][k]) * (int8_t)y[k];
            *to = (adds ? *to : 0) + sum;
        }
    }
}
#endif

/* Registers that were written may be used by products from here on. */
LANE void lane_group_begin(void)
{
#ifdef __CUDACC__
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#endif
}
/* Ends a batch of products. */
LANE void lane_group_end(void)
{
#ifdef __CUDACC__
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
#else
    emulate_later_end();
#endif
}
/* All batches but the last `left` are done: their registers may be touched. */
template <int left> LANE void lane_group_wait(void)
{
#ifdef __CUDACC__
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(left) : "memory");
#else
    emulate_later_wait(left);
#endif
}

/* Begins d += a b, or where `adds` is not d = a b; neither d nor what lies in shared memory is touched before its batch
 * is done. */
#ifdef __CUDACC__
#define GROUP_4(i)  "+r"(d[i]), "+r"(d[i + 1]), "+r"(d[i + 2]), "+r"(d[i + 3])
#define GROUP_16(i) GROUP_4(i), GROUP_4(i + 4), GROUP_4(i + 8), GROUP_4(i + 12)
#define GROUP_MMA(type)                                                                                                \
    asm volatile("{.reg .pred p; setp.ne.b32 p, %66, 0; wgmma.mma_async.sync.aligned.m64n128k32.s32." type ".s8 "      \
                 "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26," \
                 "%27,%28,%29,%30,%31,%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,%48,%49,%50,"    \
                 "%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63}, %64, %65, p;}"                                 \
                 : GROUP_16(0), GROUP_16(16), GROUP_16(32), GROUP_16(48)                                               \
                 : "l"(a), "l"(b), "r"((int)adds))
#endif
template <bool is_unsigned> LANE void lane_group_mma(int32_t d[GROUP_PARTS], uint64_t a, uint64_t b, bool adds)
{
#ifndef __CUDACC__
    emulate_exchange("lane_group_mma", nullptr, 0);
    emulate_later([=] { emulate_group_mma<is_unsigned>(d, a, b, adds); });
#else
    if constexpr (is_unsigned)
        GROUP_MMA("u8");
    else
        GROUP_MMA("s8");
#endif
}

#ifndef __CUDACC__
struct emulate_weights { /* rows g and g + 8 of a */
    int16_t x[2][32];
};
template <bool is_unsigned> static inline emulate_weights emulate_weights_of(const uint32_t a[4])
{
    const unsigned char *all = emulate_exchange("lane_group_mma_some", a, 16);
    emulate_weights w;
    for (unsigned i = 0; i < 64; i++) {
        unsigned row = i / 32, k = i % 32;
        uint8_t byte = all[64 * (emulate_lane() / 4 * 4 + k % 16 / 4) + 4 * (row + k / 16 * 2) + k % 4];
        w.x[row][k] = is_unsigned ? (int16_t)byte : (int16_t)(int8_t)byte;
    }
    return w;
}
template <uint32_t parts>
static inline void emulate_group_mma_some(int32_t d[parts], const emulate_weights &a, uint64_t b, bool adds)
{
    for (unsigned i = 0; i < parts / 2; i++) {
        uint8_t y[32];
        emulate_line(y, b, i / 2 * 8 + 2 * (emulate_lane() % 4) + i % 2);
        for (unsigned row = 0; row < 2; row++) {
            int32_t sum = 0, *to = &d[i / 2 * 4 + row * 2 + i % 2];
            for (unsigned k = 0; k < 32; k++)
                sum += a.x[row][k] * (int8_t)y[k];
            *to = (adds ? *to : 0) + sum;
        }
    }
}
#endif
/* Begins d += a b with 32 or 64 columns, whose lanes have fewer sums; a of registers. */
#ifdef __CUDACC__
#define GROUP_MMA_32(type)                                                                                             \
    asm volatile("{.reg .pred p; setp.ne.b32 p, %21, 0; wgmma.mma_async.sync.aligned.m64n32k32.s32." type ".s8 "       \
                 "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15}, {%16,%17,%18,%19}, %20, p;}"                \
                 : GROUP_16(0)                                                                                         \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"((int)adds))
#define GROUP_MMA_64(type)                                                                                             \
    asm volatile("{.reg .pred p; setp.ne.b32 p, %37, 0; wgmma.mma_async.sync.aligned.m64n64k32.s32." type ".s8 "       \
                 "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26," \
                 "%27,%28,%29,%30,%31}, {%32,%33,%34,%35}, %36, p;}"                                                   \
                 : GROUP_16(0), GROUP_16(16)                                                                           \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"((int)adds))
#endif
template <bool is_unsigned, uint32_t cols>
LANE void lane_group_mma_some(int32_t d[cols / 2], const uint32_t a[4], uint64_t b, bool adds)
{
    static_assert(cols == 32 || cols == 64, "columns");
#ifndef __CUDACC__
    const emulate_weights w = emulate_weights_of<is_unsigned>(a);
    emulate_later([=] { emulate_group_mma_some<cols / 2>(d, w, b, adds); });
#else
    if constexpr (cols == 32 && is_unsigned)
        GROUP_MMA_32("u8");
    else if constexpr (cols == 32)
        GROUP_MMA_32("s8");
    else if constexpr (is_unsigned)
        GROUP_MMA_64("u8");
    else
        GROUP_MMA_64("s8");
#endif
}

/* Begins d[64 x 128] = a[64 x 16] b[16 x 128] of binary16, summed in binary32 (whose bits d has), exact where
 * lane_mma_halves is; a of registers, as that has it for 16 rows of each warp. */
#ifndef __CUDACC__
struct emulate_rows { /* a of the four lanes that have a row */
    uint16_t half[4][4][2];
};
static inline void emulate_group_halves(int32_t d[GROUP_PARTS], const emulate_rows &a, uint64_t b)
{
    for (unsigned i = 0; i < GROUP_PARTS; i++) {
        float sum = 0.0f;
        for (unsigned k = 0; k < 16; k++) {
            uint64_t at = b + (i / 4 * 8 + 2 * (emulate_lane() % 4) + i % 2) * SUMS_BYTES + k / 8 * 16;
            uint16_t y;
            memcpy(&y, (const unsigned char *)(at ^ (at >> 7 & 1) << 4) + k % 8 * 2, 2);
            sum += lane_half(a.half[k % 8 / 2][i / 2 % 2 + k / 8 * 2][k % 2]) * lane_half(y);
        }
        d[i] = __float_as_int(sum);
    }
}
#endif
LANE void lane_group_mma_halves(int32_t d[GROUP_PARTS], const uint32_t a[4], uint64_t b)
{
#ifndef __CUDACC__
    emulate_rows rows;
    const unsigned char *all = emulate_exchange("lane_group_mma_halves", a, 16);
    for (unsigned i = 0; i < 4; i++)
        memcpy(rows.half[i], all + 64 * (emulate_lane() / 4 * 4 + i), 16);
    emulate_later([=] { emulate_group_halves(d, rows, b); });
#else
    asm volatile("{.reg .pred p; setp.ne.b32 p, 0, 0; wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 "
                 "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,"
                 "%27,%28,%29,%30,%31,%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,%48,%49,%50,"
                 "%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63}, {%64,%65,%66,%67}, %68, p, 1, 1, 0;}"
                 : GROUP_16(0), GROUP_16(16), GROUP_16(32), GROUP_16(48)
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
#endif
}

#endif
