/* Weights as the unit for matrices takes them: of a run of 32 rows, as cuda/repack.h lays it out, a lane with g = lane
 * / 4 and t = lane % 4 takes quads t and t + 4 of a block of 32 for rows g and g + 8 of 16 (lane.h, lane_mma). The
 * packed words lie so that these are the two halves of one word, and that a warp reads neighbouring words.
 *
 * What the unit multiplies is the weight itself, or the weight times its integer scale: */
#ifndef KITH_INFERENCE_CUDA_FRAGMENTS_CUH
#define KITH_INFERENCE_CUDA_FRAGMENTS_CUH

#include "inference/cuda/formats.cuh"

enum fragment_way {
    FRAGMENT_TERMS,  /* narrow: weights; a term of floats for every block of 32 */
    FRAGMENT_SCALED, /* wide with scales for 32: weights; sums of a block are multiplied by the scale as integers */
    FRAGMENT_FOLDED, /* wide with scales for 16, products in 8 bits: one sum for 256 */
    FRAGMENT_PLANES, /* the same, products in 16 bits: 256 high + low, two sums for 256 */
};
template <class F> struct fragments {
    static constexpr enum fragment_way way = F::is_narrow   ? FRAGMENT_TERMS
                                             : F::sub == 32 ? FRAGMENT_SCALED
                                             : F::bits == 6 || F::is_grid ? FRAGMENT_PLANES
                                                            : FRAGMENT_FOLDED;
    static constexpr bool has_planes = way == FRAGMENT_PLANES;
    static constexpr bool is_negated = F::bits == 3;      /* Q3_K's products lie in -128..124 then */
    static constexpr uint32_t tiles = has_planes ? 1 : 2; /* of 16 rows for a warp: two sums leave room for one */
};

/* Word w of a row of a run. */
LANE const uint32_t *run_word(const uint8_t *run, uint32_t row, uint32_t w)
{
    return (const uint32_t *)(run + (w / 4 * WARP + row) * 16) + w % 4;
}

/* Codes of quads t and t + 4 of block b, as run_quads has them. */
template <class F> LANE uint2 code_quads(const uint8_t *run, uint32_t row, uint32_t t, uint32_t b)
{
    const uint32_t pairs_at = F::bits >= 4 ? 32 : 0, ones_at = F::bits == 5 ? 32 : 16;
    uint2 q = make_uint2(0, 0);
    if constexpr (F::bits == 8)
        return make_uint2(*run_word(run, row, 8 * b + t), *run_word(run, row, 8 * b + 4 + t));
    if constexpr (F::has_table) {
        const uint32_t which = F::is_grid ? *run_word(run, row, 4 * F::codes + 3) : 0;
        table_quads(table_of<F>(which), *run_word(run, row, 4 * b + t), &q.x, &q.y);
        return q;
    }
    if constexpr (F::bits >= 4) {
        uint32_t low = *run_word(run, row, 4 * b + t);
        q = make_uint2(low & 0x0F0F0F0Fu, low >> 4 & 0x0F0F0F0Fu);
    }
    if constexpr (F::bits == 6 || F::bits <= 3) {
        uint2 pair = *(const uint2 *)run_word(run, row, pairs_at + 2 * b);
        const uint32_t up = F::bits == 6 ? 4 : 0;
        q.x |= (pair.x >> 2 * t & 0x03030303u) << up;
        q.y |= (pair.y >> 2 * t & 0x03030303u) << up;
    }
    if constexpr (F::bits == 5 || F::bits == 3) {
        uint32_t one = *run_word(run, row, ones_at + b) >> t;
        q.x |= (one & 0x01010101u) << (F::bits - 1);
        q.y |= (one >> 4 & 0x01010101u) << (F::bits - 1);
    }
    return q;
}

/* -- integer scales -- */

/* Scales for 32 of a row, in 8 bytes, unpacked once for a run; those for 16 of blocks 2 i and 2 i + 1, in 4. */
template <class F> LANE uint64_t scales_of_run(const uint8_t *run, uint32_t row)
{
    uint32_t scale[4] = {0}, min[4];
    struct lane_run<F> w;
    if constexpr (F::has_table) {
        uint2 tail = *(const uint2 *)(run + (F::codes + F::heads) * WARP * 16 + row * F::tail);
        w.tail[0] = tail.x, w.tail[1] = tail.y;
    } else {
        put4(w.head, *(const uint4 *)run_word(run, row, 4 * F::codes));
    }
    run_subs<F>(&w, scale, min);
    return (uint64_t)scale[1] << 32 | scale[0];
}
template <class F> LANE uint32_t scales_of_sixteens(const uint8_t *run, uint32_t row, uint32_t i)
{
    if constexpr (F::is_grid)
        return odd_scales(*run_word(run, row, 4 * F::codes + 1 + i % 2) >> i / 2 * 4);
    if constexpr (F::scale_bits == 6) {
        uint32_t low = *run_word(run, row, 4 * F::codes + i % 2), high = *run_word(run, row, 4 * F::codes + 2);
        return (low >> i / 2 * 4 & 0x0F0F0F0Fu) | (high >> 2 * i & 0x03030303u) << 4;
    }
    uint32_t word = *run_word(run, row, 4 * F::codes + i);
    return F::scale_bits == 4 ? word & 0x0F0F0F0Fu : word;
}

/* Minimums of blocks of 16 as binary16: of 2 t and 2 t + 1, and of those 8 further on. */
template <class F> LANE uint2 mins_of_sixteens(const uint8_t *run, uint32_t row, uint32_t t)
{
    if constexpr (F::sub == 16) {
        const uint32_t *word = run_word(run, row, 4 * F::codes) + t / 2, at = t % 2 * 16 + 4;
        return make_uint2(lane_half_bits((int)(word[0] >> at & 15u)) | lane_half_bits((int)(word[0] >> (at + 8) & 15u)) << 16,
                          lane_half_bits((int)(word[2] >> at & 15u)) | lane_half_bits((int)(word[2] >> (at + 8) & 15u)) << 16);
    }
    uint32_t scale[4], min[4];
    struct lane_run<F> w;
    put4(w.head, *(const uint4 *)run_word(run, row, 4 * F::codes));
    run_subs<F>(&w, scale, min);
    return make_uint2(lane_half_bits((int)(min[0] >> 8 * t & 255u)) * 0x10001u,
                      lane_half_bits((int)(min[1] >> 8 * t & 255u)) * 0x10001u);
}

/* d of block b, or of the run; and m. */
template <class F> LANE float row_scale(const uint8_t *run, uint32_t row, uint32_t b)
{
    if constexpr (F::is_narrow)
        return narrow_scale<F>(((const uint16_t *)run_word(run, row, 4 * F::codes))[b]);
    if constexpr (F::is_grid)
        return arith_of_bits(*run_word(run, row, 4 * F::codes));
    if constexpr (F::tail != 0)
        return lane_half(*(const uint16_t *)(run + (F::codes + F::heads) * WARP * 16 + row * F::tail));
    return lane_half(*(const uint16_t *)run_word(run, row, 4 * F::codes + (F::has_min ? 0 : 3)));
}
template <class F> LANE float row_min_scale(const uint8_t *run, uint32_t row, uint32_t b)
{
    if constexpr (F::is_narrow)
        return lane_half(((const uint16_t *)run_word(run, row, 4 * F::codes + 4))[b]);
    if constexpr (F::tail != 0)
        return -lane_half(((const uint16_t *)(run + (F::codes + F::heads) * WARP * 16 + row * F::tail))[1]);
    return -lane_half(((const uint16_t *)run_word(run, row, 4 * F::codes))[1]);
}

/* -- fragments -- */

/* Codes to signed weights: less the offset, byte by byte without a borrow. */
template <class F> LANE uint32_t signed_quad(uint32_t q)
{
    if constexpr (F::offset == 0 || F::has_table)
        return q;
    return (q + (128u - F::offset) * 0x01010101u) ^ 0x80808080u;
}

/* Codes times a scale in 8 bits: Q2_K's are not negative, Q3_K's are made so by 128. */
template <class F> LANE uint32_t folded_quad(uint32_t q, int scale)
{
    if constexpr (!fragments<F>::is_negated)
        return q * (uint32_t)scale;
    return (q * (uint32_t)-scale + (uint32_t)(F::offset * scale + 128) * 0x01010101u) ^ 0x80808080u;
}

/* Weights times a scale in 16 bits, as low bytes (not signed) and high ones. Two products in a word, of which the lower
 * is made positive by 2^15 so that it borrows nothing. */
template <int offset> LANE void plane_quads(uint32_t q, int scale, uint32_t *low, uint32_t *high)
{
    uint32_t less = (uint32_t)(-offset * scale) * 0x10001u + 0x8000u;
    uint32_t first = __byte_perm(q, 0, 0x4140) * (uint32_t)scale + less,
             second = __byte_perm(q, 0, 0x4342) * (uint32_t)scale + less;
    *low = __byte_perm(first, second, 0x6420);
    *high = __byte_perm(first, second, 0x7531) ^ 0x00800080u;
}

#endif
