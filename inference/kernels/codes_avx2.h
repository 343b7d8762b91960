/* What tile_avx2_body.h reads: codes of packed weights, the numbers in front of a run, and a run of a column. How many
 * products of a code are added in int16, and where sums begin, stands there. */
#ifndef KITH_INFERENCE_CODES_AVX2_H
#define KITH_INFERENCE_CODES_AVX2_H

#include "inference/kernels/ops.h"
#include "inference/kernels/pack.h"

#include <immintrin.h>

#define BLOCKS (ARITH_RUN / ARITH_BLOCK)
#define QUADS  8 /* of a slab */
#define HALF   8 /* rows of a register */
#define ALWAYS static inline __attribute__((always_inline))

#ifdef TILE_VNNI
#define HAS_DOTS true
#else
#define HAS_DOTS false
#endif

/* -- codes -- */

ALWAYS __m256i load(const void *p)
{
    return _mm256_loadu_si256(p);
}

ALWAYS __m128i load16(const void *p)
{
    return _mm_loadu_si128(p);
}

/* a + b of int16, here and now. A compiler knows that such sums have no order: it would first make all products of a
 * stretch, for which there are not registers enough, and then add them. */
ALWAYS __m256i add16(__m256i a, __m256i b)
{
    __m256i sum = _mm256_add_epi16(a, b);
    __asm__("" : "+x"(sum));
    return sum;
}

/* The same of int32. */
ALWAYS __m256i add32(__m256i a, __m256i b)
{
    __m256i sum = _mm256_add_epi32(a, b);
    __asm__("" : "+x"(sum));
    return sum;
}

/* Four products are added at once. Where a sum meets a scale every 16 or 32 elements there are not registers enough for
 * that: products are added by pairs there, as without. */
ALWAYS bool has_dots(const struct quant_format *f)
{
    return HAS_DOTS && (f->input == QUANT_NARROW || f->table);
}

/* sum + the four products of each dword: w unsigned, x signed. Asked for where has_dots only. */
ALWAYS __m256i dot4(__m256i sum, __m256i w, __m256i x)
{
#ifdef TILE_VNNI
    return _mm256_dpbusd_avx_epi32(sum, w, x);
#else
    (void)w;
    (void)x;
    return sum;
#endif
}

/* sum + pairs of products of int16. */
ALWAYS __m256i dot2(__m256i sum, __m256i a, __m256i b)
{
#ifdef TILE_VNNI
    return _mm256_dpwssd_avx_epi32(sum, a, b);
#else
    return add32(sum, _mm256_madd_epi16(a, b));
#endif
}

/* Bits [at, at + width) of every byte, moved to `to`. Shifts are of 16 bits; the mask takes what crossed a byte. */
ALWAYS __m256i bits_of(__m256i v, unsigned at, unsigned width, unsigned to)
{
    const __m256i mask = _mm256_set1_epi8((char)(((1u << width) - 1) << to));
    if (at > to)
        v = _mm256_srli_epi16(v, (int)(at - to));
    else if (at < to)
        v = _mm256_slli_epi16(v, (int)(to - at));
    return _mm256_and_si256(v, mask);
}

/* The products are of signed weights: of 8 bits, and of tables but the one whose weights become codes of 5 bits. */
ALWAYS bool is_signed(const struct quant_format *f)
{
    return !has_dots(f) && (f->bits == 8 || (f->table && f->table != QUANT_E2M1));
}

/* What codes are less; with a table, what its weights are given more, so that they are unsigned where they have to be.
 */
ALWAYS int offset_of(const struct quant_format *f)
{
    return f->table && is_signed(f) ? 0 : f->offset;
}

/* Half h of quad g of a slab: codes, or weights where they are signed. */
ALWAYS __m256i quad(const struct quant_format *f, const uint8_t *slab, unsigned g, size_t h)
{
    unsigned bits = f->bits;
    const uint8_t *half = slab + 32 * h, *pairs = half + (bits >= 4 ? 256 : 0), *ones = pairs + (bits == 3 ? 128 : 0);
    __m256i v;
    if (bits == 8)
        return is_signed(f) ? _mm256_xor_si256(load(half + 64 * g), _mm256_set1_epi8(-128)) : load(half + 64 * g);
    if (bits >= 4)
        v = bits_of(load(half + 64 * (g % 4)), g / 4 * 4, 4, 0);
    else
        v = bits_of(load(pairs + 64 * (g / 4)), g % 4 * 2, 2, 0);
    if (f->table)
        return _mm256_shuffle_epi8(
            _mm256_add_epi8(_mm256_broadcastsi128_si256(load16(quant_table(f))), _mm256_set1_epi8((char)offset_of(f))),
            v);
    if (bits == 6)
        v = _mm256_or_si256(v, bits_of(load(pairs + 64 * (g / 4)), g % 4 * 2, 2, 4));
    if (bits == 5)
        v = _mm256_or_si256(v, bits_of(load(ones), g, 1, 4));
    if (bits == 3)
        v = _mm256_or_si256(v, bits_of(load(ones), g, 1, 2));
    return v;
}

/* Quads that are added before their sum meets a scale: in int16, where products are added by pairs. */
ALWAYS unsigned stretch_of(const struct quant_format *f)
{
    unsigned room = has_dots(f) ? 8 : is_signed(f) ? 1 : f->bits >= 5 || f->has_exponent ? 4 : 8, quads = f->sub / 4u;
    return room < quads ? room : quads;
}

/* Sums begin at -offset times the activations: in int16 those of the same places, or in int32 those of the sub. */
ALWAYS bool has_start(const struct quant_format *f)
{
    return has_dots(f) ? f->input == QUANT_WIDE && offset_of(f) : f->sub == 16 && offset_of(f);
}

/* -- the head of a run -- */

struct head {
    __m256 d[BLOCKS], m[BLOCKS];      /* wide formats: the first only */
    __m256i scale[QUANT_SUBS_MAX];    /* has_dots: int32; else a row's twice, as int16 */
    __m256i mins[QUANT_SUBS_MAX / 2]; /* of two neighbouring subs, as pairs of int16 */
};

ALWAYS __m256 halves(const uint8_t *p)
{
    return _mm256_cvtph_ps(load16(p));
}

/* d of 8 rows. */
ALWAYS __m256 scales8(const struct quant_format *f, const uint8_t *p)
{
    if (!f->has_exponent)
        return f->down ? _mm256_mul_ps(halves(p), _mm256_set1_ps(quant_down(f))) : halves(p);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(load16(p)), 16));
}

/* Value j of `subs` values of 6 bits: [16] bytes. */
ALWAYS __m128i six(const uint8_t *p, unsigned subs, unsigned j)
{
    __m128i low = load16(p + j % (subs / 2) * 16), high = load16(p + subs / 2 * 16 + j / 4 * 16);
    low = _mm_and_si128(_mm_srli_epi16(low, (int)(j / (subs / 2) * 4)), _mm_set1_epi8(15));
    unsigned at = j % 4 * 2;
    high = at > 4 ? _mm_srli_epi16(high, (int)(at - 4)) : _mm_slli_epi16(high, (int)(4 - at));
    return _mm_or_si128(low, _mm_and_si128(high, _mm_set1_epi8(0x30)));
}

/* Scale of sub j of 16 rows, in bytes. */
ALWAYS __m128i scale_of(const struct quant_format *f, const uint8_t *scales, unsigned j)
{
    if (f->scale_bits == 6)
        return _mm_sub_epi8(six(scales, f->block / f->sub, j), _mm_set1_epi8((char)f->scale_under));
    __m128i v = load16(scales + 16 * j);
    return f->scale_bits == 4 ? _mm_and_si128(v, _mm_set1_epi8(15)) : v;
}

ALWAYS __m128i min_of_sub(const struct quant_format *f, const uint8_t *scales, unsigned j)
{
    unsigned subs = f->block / f->sub;
    if (f->scale_bits == 6)
        return six(scales + subs * 12, subs, j);
    return _mm_and_si128(_mm_srli_epi16(load16(scales + 16 * j), 4), _mm_set1_epi8(15));
}

/* Two values of 16 rows as pairs of int16, row by row. */
ALWAYS void put_pairs(__m128i a, __m128i b, __m256i *low, __m256i *high)
{
    *low = _mm256_cvtepi8_epi16(_mm_unpacklo_epi8(a, b));
    *high = _mm256_cvtepi8_epi16(_mm_unpackhi_epi8(a, b));
}

ALWAYS void put_scales(const struct quant_format *f, __m128i v, __m256i *low, __m256i *high)
{
    if (has_dots(f)) {
        *low = _mm256_cvtepi8_epi32(v);
        *high = _mm256_cvtepi8_epi32(_mm_srli_si128(v, 8));
    } else {
        put_pairs(v, v, low, high);
    }
}

ALWAYS void read_narrow_head(const struct quant_format *f, const uint8_t *p, size_t blocks, struct head head[2])
{
    for (size_t b = 0; b < blocks; b++)
        for (size_t h = 0; h < 2; h++) {
            head[h].d[b] = scales8(f, p + 32 * b + 16 * h);
            if (f->has_min)
                head[h].m[b] = halves(p + 32 * (blocks + b) + 16 * h);
        }
}

ALWAYS void read_wide_head(const struct quant_format *f, const uint8_t *p, struct head head[2])
{
    const uint8_t *scales = p + (f->has_min ? 64 : 32);
    for (size_t h = 0; h < 2; h++) {
        head[h].d[0] = scales8(f, p + 16 * h);
        if (f->has_min)
            head[h].m[0] = _mm256_xor_ps(halves(p + 32 + 16 * h), _mm256_set1_ps(-0.0f));
    }
#pragma GCC unroll 8
    for (unsigned j = 0; j < f->block / f->sub; j += 2) {
        __m128i a = scale_of(f, scales, j), b = scale_of(f, scales, j + 1);
        put_scales(f, a, &head[0].scale[j], &head[1].scale[j]);
        put_scales(f, b, &head[0].scale[j + 1], &head[1].scale[j + 1]);
        if (f->has_min)
            put_pairs(min_of_sub(f, scales, j), min_of_sub(f, scales, j + 1), &head[0].mins[j / 2],
                      &head[1].mins[j / 2]);
    }
}

ALWAYS void read_head(const struct quant_format *f, const uint8_t *p, size_t blocks, struct head head[2])
{
    if (f->input == QUANT_NARROW)
        read_narrow_head(f, p, blocks, head);
    else
        read_wide_head(f, p, head);
}

/* -- a column's run -- */

struct column {
    const int8_t *q;
    const float *s;
    int32_t start[QUANT_SUBS_MAX]; /* where a sub begins (has_start); or sums of two subs, for minimums */
    int32_t less[BLOCKS];          /* narrow: what a block's sum is to lose */
    float sum[BLOCKS];             /* narrow, with minimums: of a block's activations */
};

ALWAYS __m256i spread(const void *p)
{
    int32_t v;
    memcpy(&v, p, sizeof v);
    return _mm256_set1_epi32(v);
}

/* -offset times the sums of a sub's activations, `sums` of 16 each. */
ALWAYS void put_starts(const struct quant_format *f, __m256i sums, struct column *c)
{
    const __m256i by = _mm256_set1_epi32(-offset_of(f));
    __m256i low = f->sub == 16 ? _mm256_cvtepi16_epi32(_mm256_castsi256_si128(sums))
                               : _mm256_madd_epi16(sums, _mm256_set1_epi16(1));
    _mm256_storeu_si256((__m256i *)(void *)c->start, _mm256_mullo_epi32(low, by));
    if (f->sub == 16) {
        __m256i high = _mm256_cvtepi16_epi32(_mm256_extracti128_si256(sums, 1));
        _mm256_storeu_si256((__m256i *)(void *)(c->start + 8), _mm256_mullo_epi32(high, by));
    }
}

/* The same for sums of int16, of those that meet the low and the high int16 of a row. */
ALWAYS void put_start(const struct quant_format *f, struct column *c)
{
    for (size_t i = 0; i < 4; i++) { /* 64 elements: 4 subs of 16, which are 4 pairs of int16 each */
        __m256i a = _mm256_maddubs_epi16(_mm256_set1_epi8((char)f->offset), load(c->q + 64 * i));
        __m256i b = _mm256_maddubs_epi16(_mm256_set1_epi8((char)f->offset), load(c->q + 64 * i + 32));
        __m256i sum = _mm256_add_epi16(_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
        sum = _mm256_add_epi16(sum, _mm256_shuffle_epi32(sum, 0x4E)); /* in each half: subs of a and b, twice */
        sum = _mm256_sub_epi16(_mm256_setzero_si256(), sum);
        __m128i low = _mm256_castsi256_si128(sum), high = _mm256_extracti128_si256(sum, 1);
        __m128i order = _mm_unpacklo_epi32(low, high); /* a0 a1 b0 b1 */
        _mm_storeu_si128((__m128i *)(void *)(c->start + 4 * i), order);
    }
}

ALWAYS void read_column(const struct quant_format *f, const struct ops_input *x, size_t run, size_t col,
                        struct column *c)
{
    const struct ops_blocks *in = f->input == QUANT_NARROW ? &x->narrow : &x->wide;
    size_t at = run * x->cols + col;
    c->q = in->q + at * ARITH_RUN;
    c->s = in->s + at * (f->input == QUANT_NARROW ? BLOCKS : 1);
    if (has_start(f) && has_dots(f))
        put_starts(f, load(in->sums + at * 16), c);
    else if (has_start(f))
        put_start(f, c);
    if (is_signed(f) || (f->input == QUANT_WIDE && !f->has_min))
        return;
    __m256i sums = load(in->sums + at * 16), both = _mm256_madd_epi16(sums, _mm256_set1_epi16(1)); /* of 16, of 32 */
    if (f->input == QUANT_WIDE && f->sub == 16)
        _mm256_storeu_si256((__m256i *)(void *)c->start, sums);
    else if (f->input == QUANT_WIDE)
        _mm_storeu_si128((__m128i *)(void *)c->start,
                         _mm_packs_epi32(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1)));
    else if (f->has_min)
        _mm256_storeu_ps(c->sum, _mm256_cvtepi32_ps(both));
    else
        _mm256_storeu_si256((__m256i *)(void *)c->less, _mm256_mullo_epi32(both, _mm256_set1_epi32(offset_of(f))));
}

/* Bytes as int16, those at even and those at odd places: by shifts alone. */
ALWAYS __m256i even_of(__m256i v)
{
    return _mm256_srai_epi16(_mm256_slli_epi16(v, 8), 8);
}

ALWAYS __m256i odd_of(__m256i v)
{
    return _mm256_srai_epi16(v, 8);
}

#endif
