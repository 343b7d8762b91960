/* Blocked formats in a lane's registers: a run of 256 weights of one row, as cuda/repack.h lays it out. Everything is
 * unrolled, so that indices are constants and nothing is in memory. */
#ifndef KITH_INFERENCE_CUDA_FORMATS_CUH
#define KITH_INFERENCE_CUDA_FORMATS_CUH

#include "inference/cuda/lane.h"
#include "inference/cuda/repack.h"

#define RUN_BLOCKS 8u /* of 32 in a run */

/* A format's facts as constants. */
template <enum gguf_tensor_type type> struct facts_of;
#define E(name, ...)                                                                                                   \
    template <> struct facts_of<GGUF_TENSOR_##name> {                                                                  \
        static constexpr struct quant_format all = QUANT_FORMAT(name, __VA_ARGS__);                                    \
    };
REPACK_LIST(E)
#undef E

template <enum gguf_tensor_type type_> struct format_of {
    static constexpr struct quant_format f = facts_of<type_>::all;
    static constexpr enum gguf_tensor_type type = type_;
    static constexpr bool is_narrow = f.input == QUANT_NARROW, has_min = f.has_min, has_table = f.table != QUANT_CODES,
                          is_grid = repack_is_grid(&facts_of<type_>::all), has_exponent = f.has_exponent;
    static constexpr uint32_t bits = f.bits, sub = f.sub, subs = is_narrow ? 0 : ARITH_RUN / f.sub,
                              scale_bits = f.scale_bits;
    static constexpr int offset = bits == 8 || has_table ? 0 : f.offset, scale_under = f.scale_under;
    static constexpr uint32_t codes = repack_codes(&facts_of<type_>::all), heads = repack_heads(&facts_of<type_>::all),
                              tail = repack_tail(&facts_of<type_>::all), run_bytes = repack_run(&facts_of<type_>::all);
};

template <class F> struct lane_run {
    uint32_t code[4 * F::codes];
    uint32_t head[F::heads ? 4 * F::heads : 1];
    uint32_t tail[2];
};

/* -- loading -- */

LANE void put4(uint32_t *at, uint4 v)
{
    at[0] = v.x, at[1] = v.y, at[2] = v.z, at[3] = v.w;
}

/* A run of 32 rows in the GPU's memory -> the row of this lane. */
template <class F> LANE void run_load(struct lane_run<F> *w, const uint8_t *run, uint32_t lane)
{
    const uint8_t *piece = run + lane * 16, *tail = run + (F::codes + F::heads) * WARP * 16 + lane * F::tail;
    if constexpr (F::heads >= 1)
        put4(w->head, lane_load_once(piece + F::codes * WARP * 16));
    if constexpr (F::heads == 2)
        put4(w->head + 4, lane_load_once(piece + (F::codes + 1) * WARP * 16));
    if constexpr (F::tail == 2)
        w->tail[0] = *(const uint16_t *)tail;
    if constexpr (F::tail >= 4)
        w->tail[0] = *(const uint32_t *)tail;
    if constexpr (F::tail == 8)
        w->tail[1] = *(const uint32_t *)(tail + 4);
    LANE_UNROLL
    for (uint32_t p = 0; p < F::codes; p++)
        put4(w->code + 4 * p, lane_load_once(piece + p * WARP * 16));
}

/* -- codes -- */

/* The 16 weights of a format with a table, `which` of the tables of formats by grids. */
struct table {
    uint32_t word[4];
};
template <class F> LANE struct table table_of(uint32_t which)
{
    if constexpr (F::is_grid) { /* sizes, and the same below zero */
        const uint32_t near = which == 0 ? 0x00090107u : which == 1 ? 0x002B1908u : which == 2 ? 0x07050301u : 0x0E0A0602u,
                       far = which == 2 ? 0x0F0D0B09u : 0x1F1A1612u;
        return {{near, far, (0x80808080u - near) ^ 0x80808080u, (0x80808080u - far) ^ 0x80808080u}};
    }
    if constexpr (F::has_exponent)
        return {{0x03020100u, 0x0C080604u, 0xFDFEFF00u, 0xF4F8FAFCu}}; /* QUANT_E2M1 */
    return {{0xBFAD9881u, 0xF6EADDCFu, 0x26190D01u, 0x71594535u}};     /* QUANT_IQ4 */
}

template <class F> LANE struct table run_table(const struct lane_run<F> *w)
{
    uint32_t which = 0;
    if constexpr (F::is_grid)
        which = w->head[3];
    return table_of<F>(which);
}

/* Eight codes of a format with a table, in the nibbles of a word, to the weights that they mean: quads of the low and
 * of the high nibbles. */
LANE void table_quads(struct table t, uint32_t nibbles, uint32_t *low, uint32_t *high)
{
    const uint32_t *table = t.word;
    uint32_t pick = nibbles & 0x77777777u, upper = (nibbles & 0x88888888u) >> 1 | 0x32103210u;
    uint32_t first = __byte_perm(__byte_perm(table[0], table[1], pick), __byte_perm(table[2], table[3], pick), upper);
    uint32_t second = __byte_perm(__byte_perm(table[0], table[1], pick >> 16),
                                  __byte_perm(table[2], table[3], pick >> 16), upper >> 16);
    *low = __byte_perm(first, second, 0x6420);
    *high = __byte_perm(first, second, 0x7531);
}

/* Block b of a run as 8 quads: signed weights of 8 bits and of a table, else codes without their offset. */
template <class F>
LANE void run_quads(const struct lane_run<F> *w, const struct table *table, uint32_t b, uint32_t quad[8])
{
    const uint32_t *pair = w->code + (F::bits >= 4 ? 32 : 0) + 2 * b, *one = w->code + (F::bits == 5 ? 32 : 16) + b;
    LANE_UNROLL
    for (uint32_t g = 0; g < 8; g++) {
        if constexpr (F::bits == 8) {
            quad[g] = w->code[8 * b + g];
        } else if constexpr (F::has_table) {
            if (g < 4)
                table_quads(*table, w->code[4 * b + g], &quad[g], &quad[g + 4]);
        } else {
            uint32_t q = 0;
            if constexpr (F::bits >= 4)
                q = w->code[4 * b + g % 4] >> g / 4 * 4 & 0x0F0F0F0Fu;
            if constexpr (F::bits == 6)
                q |= (g % 4 < 2 ? pair[g / 4] << (4 - 2 * (g % 4)) : pair[g / 4] >> (2 * (g % 4) - 4)) & 0x30303030u;
            if constexpr (F::bits <= 3)
                q = pair[g / 4] >> 2 * (g % 4) & 0x03030303u;
            if constexpr (F::bits == 5)
                q |= (g < 4 ? *one << (4 - g) : *one >> (g - 4)) & 0x10101010u;
            if constexpr (F::bits == 3)
                q |= (g < 2 ? *one << (2 - g) : *one >> (g - 2)) & 0x04040404u;
            quad[g] = q;
        }
    }
}

/* -- numbers beside the codes -- */

/* Half h of a word as binary32. */
LANE float half_of(uint32_t word, uint32_t h)
{
    return lane_half((uint16_t)(h ? word >> 16 : word & 0xFFFFu));
}

/* d of a narrow block from its 16 bits (quant_scale). */
template <class F> LANE float narrow_scale(uint32_t bits)
{
    return F::has_exponent ? arith_of_bits(bits << 16) : lane_half((uint16_t)bits);
}

/* d of block b (narrow) or of the run. */
template <class F> LANE float run_scale(const struct lane_run<F> *w, uint32_t b)
{
    if constexpr (F::is_narrow)
        return narrow_scale<F>(w->head[b / 2] >> b % 2 * 16 & 0xFFFFu);
    if constexpr (F::is_grid)
        return arith_of_bits(w->head[0]);
    if constexpr (F::tail)
        return half_of(w->tail[0], 0);
    return half_of(w->head[F::has_min ? 0 : 3], 0);
}

/* m likewise, negated where the format says so. */
template <class F> LANE float run_min_scale(const struct lane_run<F> *w, uint32_t b)
{
    if constexpr (F::is_narrow)
        return half_of(w->head[4 + b / 2], b % 2);
    return -half_of(F::tail ? w->tail[0] : w->head[0], 1);
}

/* Four scales of a format by grids, in the low halves of bytes. */
LANE uint32_t odd_scales(uint32_t word)
{
    return (word & 0x0F0F0F0Fu) << 1 | 0x01010101u;
}

/* The integer scales of a wide run, with what they are less still in them, [subs] in bytes; and the minimums. */
template <class F> LANE void run_subs(const struct lane_run<F> *w, uint32_t scale[4], uint32_t min[4])
{
    const uint32_t nibbles = 0x0F0F0F0Fu, upper = 0x30303030u, *h = w->head;
    if constexpr (F::is_grid) {
        LANE_UNROLL
        for (uint32_t j = 0; j < 4; j++)
            scale[j] = odd_scales(h[1 + j % 2] >> j / 2 * 4);
    } else if constexpr (F::has_table) {
        scale[0] = scale[1] = 0;
        LANE_UNROLL
        for (uint32_t j = 0; j < 8; j++)
            scale[j / 4] |= ((w->tail[1] >> 4 * j & 15u) | (w->tail[0] >> (16 + 2 * j) & 3u) << 4) << j % 4 * 8;
    } else if constexpr (F::scale_bits == 8) {
        scale[0] = h[0], scale[1] = h[1], scale[2] = h[2], scale[3] = h[3];
    } else if constexpr (F::scale_bits == 4) {
        LANE_UNROLL
        for (uint32_t j = 0; j < 4; j++)
            scale[j] = h[j] & nibbles, min[j] = h[j] >> 4 & nibbles;
    } else if constexpr (F::has_min) { /* Q4_K, Q5_K */
        scale[0] = h[1] & 0x3F3F3F3Fu;
        scale[1] = (h[3] & nibbles) | (h[1] >> 2 & upper);
        min[0] = h[2] & 0x3F3F3F3Fu;
        min[1] = (h[3] >> 4 & nibbles) | (h[2] >> 2 & upper);
    } else { /* Q3_K */
        scale[0] = (h[0] & nibbles) | (h[2] << 4 & upper);
        scale[1] = (h[1] & nibbles) | (h[2] << 2 & upper);
        scale[2] = (h[0] >> 4 & nibbles) | (h[2] & upper);
        scale[3] = (h[1] >> 4 & nibbles) | (h[2] >> 2 & upper);
    }
}

/* Byte j of an array of words. */
LANE int byte_of(const uint32_t *words, uint32_t j)
{
    return (int)(words[j / 4] >> j % 4 * 8 & 255u);
}
template <class F> LANE int sub_scale(const uint32_t scale[4], uint32_t j)
{
    return F::scale_bits == 8 ? (int)(int8_t)byte_of(scale, j) : byte_of(scale, j) - F::scale_under;
}

#endif
