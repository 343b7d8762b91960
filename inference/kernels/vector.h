/* Registers of 16 bytes, as the kernels of tile_vector.h and rows_vector.h use them: what C's vector types say by
 * themselves (+, *, &, comparisons...), and a few operations that they do not, for NEON and for WebAssembly.
 *
 * A vector's comparison is all ones or zeros in each lane. Nothing here fuses or flushes. */
#ifndef KITH_INFERENCE_VECTOR_H
#define KITH_INFERENCE_VECTOR_H

#include <stdint.h>
#include <string.h>
#if defined(__aarch64__)
#include <arm_neon.h>
#elif defined(__wasm_simd128__)
#include <wasm_simd128.h>
#endif

#define ALWAYS static inline __attribute__((always_inline))

typedef float v_f32 __attribute__((vector_size(16)));
typedef int32_t v_i32 __attribute__((vector_size(16)));
typedef uint32_t v_u32 __attribute__((vector_size(16)));
typedef int16_t v_i16 __attribute__((vector_size(16)));
typedef uint16_t v_u16 __attribute__((vector_size(16)));
typedef int8_t v_i8 __attribute__((vector_size(16)));
typedef uint16_t v_u16x4 __attribute__((vector_size(8)));

ALWAYS v_i8 v_load8(const void *p)
{
    v_i8 v;
    memcpy(&v, p, sizeof v);
    return v;
}

ALWAYS v_f32 v_load(const float *p)
{
    v_f32 v;
    memcpy(&v, p, sizeof v);
    return v;
}

ALWAYS void v_store(float *p, v_f32 v)
{
    memcpy(p, &v, sizeof v);
}

ALWAYS v_f32 v_splat(float x)
{
    return (v_f32){x, x, x, x};
}

ALWAYS v_i8 v_splat8(int8_t x)
{
    return (v_i8){x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x};
}

/* Four bytes, four times. */
ALWAYS v_i8 v_spread(const void *p)
{
    int32_t v;
    memcpy(&v, p, sizeof v);
    return (v_i8)(v_i32){v, v, v, v};
}

/* a where the mask is ones, b where it is zeros. */
ALWAYS v_i32 v_select(v_i32 mask, v_i32 a, v_i32 b)
{
    return (a & mask) | (b & ~mask);
}

/* Four numbers of binary16, finite. Moved into binary32's places they are 2^112 times too small, subnormal ones too. */
ALWAYS v_f32 v_halves(const uint8_t *p)
{
    v_u16x4 raw;
    memcpy(&raw, p, sizeof raw);
    v_u32 wide = __builtin_convertvector(raw, v_u32);
    v_f32 magnitude = (v_f32)((wide & 0x7FFF) << 13) * v_splat(0x1p112f);
    return (v_f32)((v_u32)magnitude | (wide & 0x8000) << 16);
}

/* Four binary32 from their upper 16 bits. */
ALWAYS v_f32 v_upper_halves(const uint8_t *p)
{
    v_u16x4 raw;
    memcpy(&raw, p, sizeof raw);
    return (v_f32)(__builtin_convertvector(raw, v_u32) << 16);
}

#if defined(__aarch64__)

/* Products of bytes 0..7 and 8..15, as int16. */
ALWAYS v_i16 v_mul_low(v_i8 a, v_i8 b)
{
    return (v_i16)vmull_s8(vget_low_s8((int8x16_t)a), vget_low_s8((int8x16_t)b));
}

ALWAYS v_i16 v_mul_high(v_i8 a, v_i8 b)
{
    return (v_i16)vmull_high_s8((int8x16_t)a, (int8x16_t)b);
}

ALWAYS v_i16 v_mul_add_low(v_i16 sum, v_i8 a, v_i8 b)
{
    return (v_i16)vmlal_s8((int16x8_t)sum, vget_low_s8((int8x16_t)a), vget_low_s8((int8x16_t)b));
}

ALWAYS v_i16 v_mul_add_high(v_i16 sum, v_i8 a, v_i8 b)
{
    return (v_i16)vmlal_high_s8((int16x8_t)sum, (int8x16_t)a, (int8x16_t)b);
}

/* sum + sums of neighbours, as int32. */
ALWAYS v_i32 v_add_pairs(v_i32 sum, v_i16 a)
{
    return (v_i32)vpadalq_s16((int32x4_t)sum, (int16x8_t)a);
}

/* Sums of neighbours of a, then of b. */
ALWAYS v_i32 v_fold(v_i32 a, v_i32 b)
{
    return (v_i32)vpaddq_s32((int32x4_t)a, (int32x4_t)b);
}

/* Sums of two neighbouring products of int16. */
ALWAYS v_i32 v_dot2(v_i16 a, v_i16 b)
{
    int16x8_t x = (int16x8_t)a, y = (int16x8_t)b;
    return (v_i32)vpaddq_s32(vmull_s16(vget_low_s16(x), vget_low_s16(y)), vmull_high_s16(x, y));
}

ALWAYS v_i16 v_widen8_low(v_i8 a)
{
    return (v_i16)vmovl_s8(vget_low_s8((int8x16_t)a));
}

ALWAYS v_i16 v_widen8_high(v_i8 a)
{
    return (v_i16)vmovl_high_s8((int8x16_t)a);
}

ALWAYS v_i32 v_widen16_low(v_i16 a)
{
    return (v_i32)vmovl_s16(vget_low_s16((int16x8_t)a));
}

ALWAYS v_i32 v_widen16_high(v_i16 a)
{
    return (v_i32)vmovl_high_s16((int16x8_t)a);
}

/* 8 integers as int16; they fit. */
ALWAYS v_i16 v_narrow32(v_i32 a, v_i32 b)
{
    return (v_i16)vmovn_high_s32(vmovn_s32((int32x4_t)a), (int32x4_t)b);
}

ALWAYS v_i8 v_narrow16(v_i16 a, v_i16 b)
{
    return (v_i8)vmovn_high_s16(vmovn_s16((int16x8_t)a), (int16x8_t)b);
}

/* table[index[i]], index 0..15. */
ALWAYS v_i8 v_lookup(v_i8 table, v_i8 index)
{
    return (v_i8)vqtbl1q_s8((int8x16_t)table, (uint8x16_t)index);
}

#if defined(__ARM_FEATURE_DOTPROD)
/* sum + the four products of each dword. */
ALWAYS v_i32 v_dot4(v_i32 sum, v_i8 a, v_i8 b)
{
    return (v_i32)vdotq_s32((int32x4_t)sum, (int8x16_t)a, (int8x16_t)b);
}
#endif

#elif defined(__wasm_simd128__)

ALWAYS v_i16 v_mul_low(v_i8 a, v_i8 b)
{
    return (v_i16)wasm_i16x8_extmul_low_i8x16((v128_t)a, (v128_t)b);
}

ALWAYS v_i16 v_mul_high(v_i8 a, v_i8 b)
{
    return (v_i16)wasm_i16x8_extmul_high_i8x16((v128_t)a, (v128_t)b);
}

ALWAYS v_i16 v_mul_add_low(v_i16 sum, v_i8 a, v_i8 b)
{
    return sum + v_mul_low(a, b);
}

ALWAYS v_i16 v_mul_add_high(v_i16 sum, v_i8 a, v_i8 b)
{
    return sum + v_mul_high(a, b);
}

ALWAYS v_i32 v_add_pairs(v_i32 sum, v_i16 a)
{
    return sum + (v_i32)wasm_i32x4_extadd_pairwise_i16x8((v128_t)a);
}

ALWAYS v_i32 v_fold(v_i32 a, v_i32 b)
{
    return __builtin_shufflevector(a, b, 0, 2, 4, 6) + __builtin_shufflevector(a, b, 1, 3, 5, 7);
}

ALWAYS v_i32 v_dot2(v_i16 a, v_i16 b)
{
    return (v_i32)wasm_i32x4_dot_i16x8((v128_t)a, (v128_t)b);
}

ALWAYS v_i16 v_widen8_low(v_i8 a)
{
    return (v_i16)wasm_i16x8_extend_low_i8x16((v128_t)a);
}

ALWAYS v_i16 v_widen8_high(v_i8 a)
{
    return (v_i16)wasm_i16x8_extend_high_i8x16((v128_t)a);
}

ALWAYS v_i32 v_widen16_low(v_i16 a)
{
    return (v_i32)wasm_i32x4_extend_low_i16x8((v128_t)a);
}

ALWAYS v_i32 v_widen16_high(v_i16 a)
{
    return (v_i32)wasm_i32x4_extend_high_i16x8((v128_t)a);
}

ALWAYS v_i16 v_narrow32(v_i32 a, v_i32 b)
{
    return (v_i16)wasm_i16x8_narrow_i32x4((v128_t)a, (v128_t)b);
}

ALWAYS v_i8 v_narrow16(v_i16 a, v_i16 b)
{
    return (v_i8)wasm_i8x16_narrow_i16x8((v128_t)a, (v128_t)b);
}

ALWAYS v_i8 v_lookup(v_i8 table, v_i8 index)
{
    return (v_i8)wasm_i8x16_swizzle((v128_t)table, (v128_t)index);
}

#endif
#endif
