/* A register of AVX2 is half of a packed one: 4 neighbouring elements (a quad) of 8 rows. With 4 activations broadcast,
 * the sums of 8 rows appear side by side, and nothing is added across lanes.
 *
 * The processor multiplies bytes, unsigned by signed, and adds pairs of products in int16, saturating. How many quads
 * may be added in int16 before they go to int32 depends on the codes:
 *
 *     codes     a pair is at most     quads together
 *     4 bits    2 x 15 x 127          8 (a block of 32)
 *     5 bits    2 x 31 x 127          4
 *     6 bits    2 x 63 x 127          2; 4 with their offset, see below
 *     8 bits    2 x 128 x 127         1; weights are signed there: |w| times x, which takes w's sign
 *
 * Going to int32 is a product with pairs of int16, so integer scales cost nothing: it is with the scale instead of 1.
 * Offsets are taken off by the activations' sums, where scales are of 16 elements in int16 already: there the sum
 * begins at -offset times the activations of the same places. It may wrap on its way, so four quads of 6 bits may be
 * added: what comes out, the sum of (code - 32) x, has room again.
 *
 * Many columns: a run of two tiles (32 rows x 256 elements) is unpacked into 8 KiB of codes once, then meets all
 * columns, a few at a time. Signed weights of narrow blocks are unpacked to int16 there, those at even and at odd
 * places by themselves, and so are the activations: two products and two additions as before, but nothing is done about
 * signs. Few columns: codes are unpacked in registers on their way, one tile at a time, since tiles follow each other
 * in memory and are one stream.
 *
 * Everything is inlined into functions that know the format, so that no branch on it is left. */
#include "inference/ops.h" /* for other processors too: a file says something */
#if defined(__x86_64__)

#include "inference/tile_avx2.h"

#include "inference/pack.h"

#include <immintrin.h>

#define TILES        2   /* unpacked at once */
#define COLS         4   /* columns that meet a register of codes */
#define COLS_STRIP   128 /* columns whose totals are kept at once: 16 KiB */
#define BLOCKS       (ARITH_RUN / ARITH_BLOCK)
#define QUADS        8    /* of a slab */
#define HALF         8    /* rows of a register */
#define STREAM_AHEAD 4096 /* bytes that few columns ask for before they get to them, past the end of a page */
#define ALWAYS       static inline __attribute__((always_inline))

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

/* The products are of signed weights. */
ALWAYS bool is_signed(const struct quant_format *f)
{
    return f->bits == 8 || f->has_table;
}

/* Half h of quad g of a slab: codes, or weights where they are signed. */
ALWAYS __m256i quad(const struct quant_format *f, const uint8_t *slab, unsigned g, size_t h)
{
    unsigned bits = f->bits;
    const uint8_t *half = slab + 32 * h, *pairs = half + (bits >= 4 ? 256 : 0), *ones = pairs + (bits == 3 ? 128 : 0);
    __m256i v;
    if (bits == 8)
        return _mm256_xor_si256(load(half + 64 * g), _mm256_set1_epi8(-128));
    if (bits >= 4)
        v = bits_of(load(half + 64 * (g % 4)), g / 4 * 4, 4, 0);
    else
        v = bits_of(load(pairs + 64 * (g / 4)), g % 4 * 2, 2, 0);
    if (f->has_table)
        return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(load16(quant_iq4)), v);
    if (bits == 6)
        v = _mm256_or_si256(v, bits_of(load(pairs + 64 * (g / 4)), g % 4 * 2, 2, 4));
    if (bits == 5)
        v = _mm256_or_si256(v, bits_of(load(ones), g, 1, 4));
    if (bits == 3)
        v = _mm256_or_si256(v, bits_of(load(ones), g, 1, 2));
    return v;
}

/* Quads that are added in int16. */
ALWAYS unsigned stretch_of(const struct quant_format *f)
{
    unsigned room = is_signed(f) ? 1 : f->bits >= 5 ? 4 : 8, quads = f->sub / 4u;
    return room < quads ? room : quads;
}

/* Sums begin at the activations' places times -offset, in int16. */
ALWAYS bool has_start(const struct quant_format *f)
{
    return f->sub == 16 && f->offset;
}

/* -- the head of a run -- */

struct head {
    __m256 d[BLOCKS], m[BLOCKS];      /* wide formats: the first only */
    __m256i scale[QUANT_SUBS_MAX];    /* a row's twice, as int16 */
    __m256i mins[QUANT_SUBS_MAX / 2]; /* of two neighbouring subs, as pairs of int16 */
};

ALWAYS __m256 halves(const uint8_t *p)
{
    return _mm256_cvtph_ps(load16(p));
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

ALWAYS void read_narrow_head(const struct quant_format *f, const uint8_t *p, size_t blocks, struct head head[2])
{
    for (size_t b = 0; b < blocks; b++)
        for (size_t h = 0; h < 2; h++) {
            head[h].d[b] = halves(p + 32 * b + 16 * h);
            if (f->has_min)
                head[h].m[b] = halves(p + 32 * (blocks + b) + 16 * h);
        }
}

ALWAYS void read_wide_head(const struct quant_format *f, const uint8_t *p, struct head head[2])
{
    const uint8_t *scales = p + (f->has_min ? 64 : 32);
    for (size_t h = 0; h < 2; h++) {
        head[h].d[0] = halves(p + 16 * h);
        if (f->has_min)
            head[h].m[0] = _mm256_xor_ps(halves(p + 32 + 16 * h), _mm256_set1_ps(-0.0f));
    }
#pragma GCC unroll 8
    for (unsigned j = 0; j < f->block / f->sub; j += 2) {
        __m128i a = scale_of(f, scales, j), b = scale_of(f, scales, j + 1);
        put_pairs(a, a, &head[0].scale[j], &head[1].scale[j]);
        put_pairs(b, b, &head[0].scale[j + 1], &head[1].scale[j + 1]);
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
    int32_t start[QUANT_SUBS_MAX]; /* pairs of int16: where a sub begins; or sums of two subs, for minimums */
    int32_t less[BLOCKS];          /* narrow: what a block's sum is to lose */
    float sum[BLOCKS];             /* narrow, with minimums: of a block's activations */
};

ALWAYS __m256i spread(const void *p)
{
    int32_t v;
    memcpy(&v, p, sizeof v);
    return _mm256_set1_epi32(v);
}

/* -offset times the sums of a sub's activations, of those that meet the low and the high int16 of a row. */
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
    if (has_start(f))
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
        _mm256_storeu_si256((__m256i *)(void *)c->less, _mm256_mullo_epi32(both, _mm256_set1_epi32(f->offset)));
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

/* -- signed weights of narrow blocks against many columns -- */

ALWAYS bool has_pairs(const struct quant_format *f)
{
    return is_signed(f) && f->input == QUANT_NARROW;
}

/* A column's run in int16. */
struct pairs {
    int32_t x[2][ARITH_RUN / 4]; /* of each quad: elements 0 and 2; elements 1 and 3 */
};

ALWAYS void widen(const int8_t *q, struct pairs *p)
{
    for (size_t i = 0; i < ARITH_RUN; i += 32) {
        __m256i v = load(q + i);
        _mm256_storeu_si256((__m256i *)(void *)(p->x[0] + i / 4), even_of(v));
        _mm256_storeu_si256((__m256i *)(void *)(p->x[1] + i / 4), odd_of(v));
    }
}

/* sum[half][column] += the products of block b. */
ALWAYS void add_pairs(const __m256i *code, const struct pairs *x, size_t cols, size_t b, __m256i sum[2][COLS])
{
#pragma GCC unroll 8
    for (size_t g = b * QUADS; g < (b + 1) * QUADS; g++) {
        __m256i w[4] = {code[4 * g], code[4 * g + 1], code[4 * g + 2], code[4 * g + 3]};
#pragma GCC unroll 4
        for (size_t i = 0; i < cols; i++) {
            __m256i even = spread(&x[i].x[0][g]), odd = spread(&x[i].x[1][g]);
            sum[0][i] = add32(sum[0][i], _mm256_madd_epi16(w[0], even));
            sum[1][i] = add32(sum[1][i], _mm256_madd_epi16(w[2], even));
            sum[0][i] = add32(sum[0][i], _mm256_madd_epi16(w[1], odd));
            sum[1][i] = add32(sum[1][i], _mm256_madd_epi16(w[3], odd));
        }
    }
}

/* -- a few columns -- */

/* Where codes come from. */
struct codes {
    const struct head *head; /* of the two halves */
    const __m256i *code;     /* unpacked: [BLOCKS x QUADS][2], or [BLOCKS x QUADS][2][even, odd] of has_pairs */
    const struct pairs *x;   /* has_pairs: the columns */
    const uint8_t *slabs;    /* or packed, where there is no code */
};

ALWAYS __m256i quad_at(const struct quant_format *f, const struct codes *w, bool packed, size_t b, unsigned g, size_t h)
{
    return packed ? quad(f, w->slabs + b * pack_slab_bytes(f), g, h) : w->code[(b * QUADS + g) * 2 + h];
}

/* sum[half][column] += factor[half] times the products of quads [from, from + stretch) of block b. */
ALWAYS void add_stretch(const struct quant_format *f, const struct codes *w, bool packed, const struct column *c,
                        size_t cols, size_t b, unsigned from, const __m256i factor[2], __m256i sum[2][COLS])
{
    unsigned stretch = stretch_of(f);
    __m256i part[2][COLS];
#pragma GCC unroll 8
    for (unsigned g = from; g < from + stretch; g++) {
        __m256i w0 = quad_at(f, w, packed, b, g, 0), w1 = quad_at(f, w, packed, b, g, 1);
        __m256i u0 = is_signed(f) ? _mm256_abs_epi8(w0) : w0, u1 = is_signed(f) ? _mm256_abs_epi8(w1) : w1;
#pragma GCC unroll 4
        for (size_t i = 0; i < cols; i++) {
            __m256i x = spread(c[i].q + b * ARITH_BLOCK + 4 * g);
            __m256i p0 = _mm256_maddubs_epi16(u0, is_signed(f) ? _mm256_sign_epi8(x, w0) : x);
            __m256i p1 = _mm256_maddubs_epi16(u1, is_signed(f) ? _mm256_sign_epi8(x, w1) : x);
            if (g == from && has_start(f)) {
                __m256i start = spread(&c[i].start[(b * QUADS + g) * 4 / f->sub]);
                part[0][i] = add16(start, p0);
                part[1][i] = add16(start, p1);
            } else {
                part[0][i] = g == from ? p0 : add16(part[0][i], p0);
                part[1][i] = g == from ? p1 : add16(part[1][i], p1);
            }
        }
    }
#pragma GCC unroll 4
    for (size_t i = 0; i < cols; i++)
        for (size_t h = 0; h < 2; h++)
            sum[h][i] = add32(sum[h][i], _mm256_madd_epi16(part[h][i], factor[h]));
}

/* run + d s sum (+ m (s x)) of a narrow block. */
ALWAYS __m256 narrow_terms(const struct quant_format *f, const struct head *h, size_t b, const struct column *c,
                           __m256i sum, __m256 run)
{
    __m256 s = _mm256_set1_ps(c->s[b]);
    run = _mm256_add_ps(run, _mm256_mul_ps(_mm256_mul_ps(h->d[b], s), _mm256_cvtepi32_ps(sum)));
    if (f->has_min)
        run = _mm256_add_ps(run, _mm256_mul_ps(_mm256_mul_ps(h->m[b], s), _mm256_set1_ps(c->sum[b])));
    return run;
}

/* Packed weights are read once and from memory: what stands STREAM_AHEAD behind a slab is asked for. */
ALWAYS void ask_ahead(const struct quant_format *f, const struct codes *w, size_t b)
{
    const uint8_t *slab = w->slabs + b * pack_slab_bytes(f);
    for (size_t i = 0; i < pack_slab_bytes(f); i += 64)
        _mm_prefetch((const char *)slab + STREAM_AHEAD + i, _MM_HINT_T0);
}

/* The runs of a tile against `cols` columns. */
ALWAYS void narrow_runs(const struct quant_format *f, const struct codes *w, bool packed, const struct column *c,
                        size_t cols, size_t blocks, __m256 run[2][COLS])
{
    const __m256i ones[2] = {_mm256_set1_epi16(1), _mm256_set1_epi16(1)};
    __m256i sum[2][COLS];
#pragma GCC unroll 4
    for (size_t i = 0; i < cols; i++)
        run[0][i] = run[1][i] = _mm256_setzero_ps();
#pragma GCC unroll 1
    for (size_t b = 0; b < blocks; b++) {
        bool less = f->offset && !is_signed(f);
        if (packed)
            ask_ahead(f, w, b);
#pragma GCC unroll 4
        for (size_t i = 0; i < cols; i++)
            sum[0][i] = sum[1][i] = _mm256_setzero_si256();
        if (has_pairs(f) && !packed)
            add_pairs(w->code, w->x, cols, b, sum);
        else
#pragma GCC unroll 8
            for (unsigned g = 0; g < QUADS; g += stretch_of(f))
                add_stretch(f, w, packed, c, cols, b, g, ones, sum);
#pragma GCC unroll 4
        for (size_t i = 0; i < cols; i++)
            for (size_t h = 0; h < 2; h++) {
                if (less)
                    sum[h][i] = _mm256_sub_epi32(sum[h][i], spread(&c[i].less[b]));
                run[h][i] = narrow_terms(f, &w->head[h], b, &c[i], sum[h][i], run[h][i]);
            }
    }
}

/* The sum of minimums times activations. */
ALWAYS __m256i dot_mins(const struct quant_format *f, const struct head *h, const struct column *c)
{
    __m256i all = _mm256_setzero_si256();
#pragma GCC unroll 8
    for (unsigned j = 0; j < f->block / f->sub; j += 2)
        all = add32(all, _mm256_madd_epi16(h->mins[j / 2], spread(&c->start[j / 2])));
    return all;
}

/* The terms of a wide block; the run has nothing else. */
ALWAYS __m256 wide_terms(const struct quant_format *f, const struct head *h, const struct column *c, __m256i sum)
{
    __m256 s = _mm256_set1_ps(c->s[0]);
    __m256 run = _mm256_mul_ps(_mm256_mul_ps(h->d[0], s), _mm256_cvtepi32_ps(sum));
    if (f->has_min)
        run = _mm256_add_ps(run, _mm256_mul_ps(_mm256_mul_ps(h->m[0], s), _mm256_cvtepi32_ps(dot_mins(f, h, c))));
    return run;
}

ALWAYS void wide_runs(const struct quant_format *f, const struct codes *w, bool packed, const struct column *c,
                      size_t cols, __m256 run[2][COLS])
{
    __m256i sum[2][COLS];
#pragma GCC unroll 4
    for (size_t i = 0; i < cols; i++)
        sum[0][i] = sum[1][i] = _mm256_setzero_si256();
#pragma GCC unroll 1
    for (size_t b = 0; b < BLOCKS; b++) {
        if (packed)
            ask_ahead(f, w, b);
#pragma GCC unroll 8
        for (unsigned g = 0; g < QUADS; g += stretch_of(f)) {
            size_t sub = (b * QUADS + g) * 4 / f->sub;
            const __m256i scale[2] = {w->head[0].scale[sub], w->head[1].scale[sub]};
            add_stretch(f, w, packed, c, cols, b, g, scale, sum);
        }
    }
#pragma GCC unroll 4
    for (size_t i = 0; i < cols; i++)
        for (size_t h = 0; h < 2; h++)
            run[h][i] = wide_terms(f, &w->head[h], &c[i], sum[h][i]);
}

/* A run of a tile against `cols` columns, added to total[cols, TILES x 16]. */
ALWAYS void group(const struct quant_format *f, const struct codes *w, bool packed, const struct column *c, size_t cols,
                  size_t blocks, float *total)
{
    __m256 run[2][COLS];
    if (f->input == QUANT_NARROW)
        narrow_runs(f, w, packed, c, cols, blocks, run);
    else
        wide_runs(f, w, packed, c, cols, run);
#pragma GCC unroll 4
    for (size_t i = 0; i < cols; i++)
        for (size_t h = 0; h < 2; h++) {
            float *at = total + i * TILES * PACK_ROWS + h * HALF;
            _mm256_storeu_ps(at, _mm256_add_ps(_mm256_loadu_ps(at), run[h][i]));
        }
}

ALWAYS void any_group(const struct quant_format *f, const struct codes *w, bool packed, const struct column *c,
                      size_t cols, size_t blocks, float *total)
{
    switch (cols) {
    case 4:
        group(f, w, packed, c, 4, blocks, total);
        break;
    case 3:
        group(f, w, packed, c, 3, blocks, total);
        break;
    case 2:
        group(f, w, packed, c, 2, blocks, total);
        break;
    default:
        group(f, w, packed, c, 1, blocks, total);
    }
}

/* -- many columns -- */

struct unpacked {
    struct head head[TILES][2];
    __m256i code[TILES][BLOCKS * QUADS * 4];
};

ALWAYS void unpack(const struct quant_format *f, const uint8_t *p, size_t blocks, struct unpacked *u, size_t t)
{
    const uint8_t *slab = p + pack_head_bytes(f, blocks);
    read_head(f, p, blocks, u->head[t]);
    for (size_t b = 0; b < blocks; b++, slab += pack_slab_bytes(f))
#pragma GCC unroll 8
        for (unsigned g = 0; g < QUADS; g++)
            for (size_t h = 0; h < 2; h++) {
                __m256i code = quad(f, slab, g, h);
                size_t at = (b * QUADS + g) * 2 + h;
                if (has_pairs(f)) {
                    u->code[t][2 * at] = even_of(code);
                    u->code[t][2 * at + 1] = odd_of(code);
                } else {
                    u->code[t][at] = code;
                }
            }
}

/* Two tiles against a strip of columns. `other`: the second tile, or NULL. */
ALWAYS void strip(const struct quant_format *f, const uint8_t *tile, const uint8_t *other, const struct ops_input *x,
                  size_t first, size_t cols, float *total)
{
    struct unpacked u;
    struct column c[COLS];
    struct pairs pairs[COLS];
    for (size_t run = 0; run < quant_runs(x->n); run++) {
        size_t left = (x->n - run * ARITH_RUN) / ARITH_BLOCK, blocks = left < BLOCKS ? left : BLOCKS;
        unpack(f, tile, blocks, &u, 0);
        tile += pack_run_bytes(f, blocks);
        if (other) {
            unpack(f, other, blocks, &u, 1);
            other += pack_run_bytes(f, blocks);
        }
        for (size_t at = 0; at < cols; at += COLS) {
            size_t n = cols - at < COLS ? cols - at : COLS;
            for (size_t i = 0; i < n; i++)
                read_column(f, x, run, first + at + i, &c[i]);
            for (size_t i = 0; has_pairs(f) && i < n; i++)
                widen(c[i].q, &pairs[i]);
            for (size_t t = 0; t < (other ? 2 : 1); t++) {
                struct codes w = {u.head[t], u.code[t], pairs, NULL};
                any_group(f, &w, false, c, n, blocks, total + (at * TILES + t) * PACK_ROWS);
            }
        }
    }
}

/* -- few columns -- */

/* One tile against up to COLS columns. Tiles follow each other in memory, and one at a time is one stream. */
ALWAYS void few(const struct quant_format *f, const uint8_t *tile, const struct ops_input *x, float *total)
{
    struct column c[COLS];
    struct head head[2];
    for (size_t run = 0; run < quant_runs(x->n); run++) {
        size_t left = (x->n - run * ARITH_RUN) / ARITH_BLOCK, blocks = left < BLOCKS ? left : BLOCKS;
        struct codes w = {head, NULL, NULL, tile + pack_head_bytes(f, blocks)};
        for (size_t i = 0; i < x->cols; i++)
            read_column(f, x, run, i, &c[i]);
        read_head(f, tile, blocks, head);
        any_group(f, &w, true, c, x->cols, blocks, total);
        tile += pack_run_bytes(f, blocks);
    }
}

/* -- a matrix -- */

ALWAYS void multiply_packed(const struct quant_format *f, const struct ops_weight *w, size_t first, size_t rows,
                            const struct ops_input *x, float *out, size_t stride)
{
    float total[COLS_STRIP * TILES * PACK_ROWS];
    size_t tile_bytes = pack_tile_bytes(f, w->n);
    for (size_t done = 0; done < rows; done += TILES * PACK_ROWS) {
        size_t count = rows - done < TILES * PACK_ROWS ? rows - done : TILES * PACK_ROWS;
        const uint8_t *tile = w->packed + (first + done) / PACK_ROWS * tile_bytes;
        const uint8_t *other = count > PACK_ROWS ? tile + tile_bytes : NULL;
        for (size_t c = 0; c < x->cols; c += COLS_STRIP) {
            size_t cols = x->cols - c < COLS_STRIP ? x->cols - c : COLS_STRIP;
            memset(total, 0, cols * TILES * PACK_ROWS * sizeof *total);
            if (x->cols > COLS)
                strip(f, tile, other, x, c, cols, total);
            for (size_t t = 0; x->cols <= COLS && t < (other ? 2 : 1); t++)
                few(f, t ? other : tile, x, total + t * PACK_ROWS);
            for (size_t i = 0; i < cols; i++)
                memcpy(out + (c + i) * stride + first + done, total + i * TILES * PACK_ROWS, count * sizeof *out);
        }
    }
}

#include "inference/tile_formats.h"

void tile_avx2_multiply(const struct ops_weight *w, size_t first, size_t rows, const struct ops_input *x, float *out,
                        size_t stride)
{
    multiply_blocked(w, first, rows, x, out, stride);
}

#endif
