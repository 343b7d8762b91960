/* Weights of wide formats times their integer scales, as bytes: what Hopper's unit for matrices multiplies by itself
 * for all of a run (matmul_group.cu). A lane has a row of 32 (formats.cuh) and takes it apart block by block. Half a
 * run's codes are in its registers: what a block was the last to need makes room for the same of the next half, on its
 * way since.
 *
 * Scales for 32 of Q4_K and Q5_K are 8 high + low, so that both times a weight of 5 bits are bytes without a sign; the
 * others are as fragments.cuh has them, those with tables in 16 bits as Q6_K. */
#ifndef KITH_INFERENCE_CUDA_PLANES_CUH
#define KITH_INFERENCE_CUDA_PLANES_CUH

#include "inference/cuda/fragments.cuh"

template <class F> struct planes {
    static constexpr bool is_split = fragments<F>::way == FRAGMENT_SCALED && !F::has_table,
                          is_one = fragments<F>::way == FRAGMENT_FOLDED, /* and has no high plane */
        low_has_sign = is_one, high_has_sign = !is_split;
    static constexpr int worth = is_split ? 8 : 256; /* of the high plane's sums */
    static constexpr uint32_t n = is_one ? 1 : 2;
};

/* -- a row on its way -- */

LANE void load_piece(uint32_t *at, const uint8_t *run, uint32_t lane, uint32_t piece)
{
    put4(at, lane_load_far(run + (piece * WARP + lane) * 16));
}

/* What stands beside the codes. */
template <class F> LANE void load_head(struct lane_run<F> *w, const uint8_t *run, uint32_t lane)
{
    const uint8_t *tail = run + (F::codes + F::heads) * WARP * 16 + lane * F::tail;
    if constexpr (F::heads != 0)
        load_piece(w->head, run, lane, F::codes);
    if constexpr (F::tail == 2)
        w->tail[0] = __ldg((const uint16_t *)tail);
    if constexpr (F::tail >= 4)
        w->tail[0] = __ldg((const uint32_t *)tail);
    if constexpr (F::tail == 8)
        w->tail[1] = __ldg((const uint32_t *)(tail + 4));
}

/* The codes that block b needs, and no block behind it. */
template <class F> LANE void load_codes(struct lane_run<F> *w, const uint8_t *run, uint32_t lane, uint32_t b)
{
    const uint32_t pairs = F::bits >= 4 ? 8 : 0, ones = F::bits == 5 ? 8 : 4; /* pieces (repack.h) */
    if constexpr (F::bits >= 4)
        load_piece(w->code + 4 * b, run, lane, b);
    if constexpr (F::bits == 6 || F::bits <= 3)
        if (b % 2 == 1)
            load_piece(w->code + 4 * (pairs + b / 2), run, lane, pairs + b / 2);
    if constexpr (F::bits == 5 || F::bits == 3)
        if (b % 4 == 3)
            load_piece(w->code + 4 * (ones + b / 4), run, lane, ones + b / 4);
}

/* What a row begins with: the codes of its first half are there before they are used. */
template <class F> LANE void load_row(struct lane_run<F> *w, const uint8_t *run, uint32_t lane)
{
    load_head<F>(w, run, lane);
    LANE_UNROLL
    for (uint32_t b = 0; b < RUN_BLOCKS / 2; b++)
        load_codes<F>(w, run, lane, b);
}

/* -- taking it apart -- */

/* Four weights times their scale. */
template <class F> LANE void quad_planes(uint32_t q, int scale, uint32_t *low, uint32_t *high)
{
    if constexpr (planes<F>::is_split) {
        *low = q * ((uint32_t)scale & 7u);
        *high = q * ((uint32_t)scale >> 3);
    } else if constexpr (planes<F>::is_one) {
        *low = folded_quad<F>(q, scale);
        *high = 0;
    } else if constexpr (F::has_table) {
        plane_quads<128>(q ^ 0x80808080u, scale, low, high);
    } else {
        plane_quads<F::offset>(q, scale, low, high);
    }
}

/* Block b: 8 words of each plane. */
template <class F>
LANE void block_planes(const struct lane_run<F> *w, const struct table *table, const uint32_t scale[4], uint32_t b, uint32_t low[8],
                       uint32_t high[8])
{
    uint32_t quad[8];
    run_quads<F>(w, table, b, quad);
    LANE_UNROLL
    for (uint32_t g = 0; g < 8; g++)
        quad_planes<F>(quad[g], sub_scale<F>(scale, F::sub == 32 ? b : 2 * b + g / 4), &low[g], &high[g]);
}

/* Minimums of 16 as words of two binary16, 2 i and 2 i + 1; those for 32 count twice. */
template <class F> LANE void min_halves(const uint32_t min[4], uint32_t half[8])
{
    LANE_UNROLL
    for (uint32_t i = 0; i < 8; i++)
        if constexpr (F::sub == 32)
            half[i] = lane_half_bits(byte_of(min, i)) * 0x10001u;
        else
            half[i] = lane_half_bits(byte_of(min, 2 * i)) | lane_half_bits(byte_of(min, 2 * i + 1)) << 16;
}

#endif
