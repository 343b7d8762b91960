/* Products of packed weights (inference/kernels/pack.h) for AVX-512: the body of ops_avx512.c and ops_avx512_vnni.c,
 * which differ in how four neighbouring products are added (dot4 below).
 *
 * A register of codes is 4 elements of 16 rows, so with 4 activations broadcast the sums of 16 rows appear side by
 * side, and nothing is added across lanes. Codes are unsigned and activations signed, which is what the processor's
 * instruction takes; a code's offset is folded into where the sum starts: -offset times the sum of the activations.
 *
 * Many columns: a run of two tiles (32 rows x 256 elements) is unpacked into 8 KiB of codes once (codes of 8 bits are
 * read where they are), then meets all columns, six at a time: 12 sums, 12 running totals, 2 registers of codes and the
 * broadcasts fill the 32 registers.
 * Up to eight columns: codes of one tile are unpacked in registers on their way, once for all of them.
 *
 * Everything is inlined into functions that know the format, so that no branch on it is left. */
#include "inference/kernels/floats_avx512.h"
#include "inference/kernels/pack.h"

#include "inference/kernels/ops_x86.h"

#include <immintrin.h>

#define TILES        2   /* of PACK_ROWS rows, side by side */
#define COLS         6   /* columns that meet a register of codes */
#define COLS_FEW     8   /* at most, that meet weights as they are packed */
#define COLS_STRIP   252 /* columns whose totals are kept at once: 31.5 KiB */
#define BLOCKS       (ARITH_RUN / ARITH_BLOCK)
#define QUADS        8    /* of a slab */
#define STREAM_AHEAD 4096 /* bytes that few columns ask for before they get to them, past the end of a page */
#define ALWAYS       static inline __attribute__((always_inline))

/* -- codes -- */

ALWAYS __m512i load(const void *p)
{
    return _mm512_loadu_si512(p);
}

/* Bits [at, at + width) of every byte, moved to `to`. Shifts are of 16 bits; the mask takes what crossed a byte. */
ALWAYS __m512i bits_of(__m512i v, unsigned at, unsigned width, unsigned to)
{
    const __m512i mask = _mm512_set1_epi8((char)(((1u << width) - 1) << to));
    if (at > to)
        v = _mm512_srli_epi16(v, (int)(at - to));
    else if (at < to)
        v = _mm512_slli_epi16(v, (int)(to - at));
    return _mm512_and_si512(v, mask);
}

/* Quad g of a slab: codes 0..255. A table's weights are given their offset more, so that they too are unsigned. */
ALWAYS __m512i quad(const struct quant_format *f, const uint8_t *slab, unsigned g)
{
    const unsigned bits = f->bits;
    const uint8_t *pairs = slab + (bits >= 4 ? 256 : 0), *ones = pairs + (bits == 3 ? 128 : 0);
    __m512i v;
    if (bits == 8)
        return load(slab + 64 * g);
    if (bits >= 4)
        v = bits_of(load(slab + 64 * (g % 4)), g / 4 * 4, 4, 0);
    else
        v = bits_of(load(pairs + 64 * (g / 4)), g % 4 * 2, 2, 0);
    if (f->table)
        return _mm512_shuffle_epi8(
            _mm512_add_epi8(_mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)quant_table(f))),
                            _mm512_set1_epi8((char)f->offset)),
            v);
    if (bits == 6)
        v = _mm512_or_si512(v, bits_of(load(pairs + 64 * (g / 4)), g % 4 * 2, 2, 4));
    if (bits == 5)
        v = _mm512_or_si512(v, bits_of(load(ones), g, 1, 4));
    if (bits == 3)
        v = _mm512_or_si512(v, bits_of(load(ones), g, 1, 2));
    return v;
}

/* sum + the four products of each dword: w unsigned, x signed. `wide`: w may exceed 127. */
ALWAYS __m512i dot4(__m512i sum, __m512i w, __m512i x, bool wide)
{
#ifdef TILE_VNNI
    (void)wide;
    return _mm512_dpbusd_epi32(sum, w, x);
#else
    /* Pairs of products are added in int16, where 255 x 127 x 2 has no room: the eighth bit goes by itself. */
    const __m512i ones = _mm512_set1_epi16(1);
    if (wide) {
        __m512i top = _mm512_and_si512(_mm512_srli_epi16(w, 7), _mm512_set1_epi8(1));
        __m512i tops = _mm512_maddubs_epi16(top, x);
        sum = _mm512_add_epi32(sum, _mm512_madd_epi16(tops, _mm512_set1_epi16(128)));
        w = _mm512_and_si512(w, _mm512_set1_epi8(127));
    }
    sum = _mm512_add_epi32(sum, _mm512_madd_epi16(_mm512_maddubs_epi16(w, x), ones));
    __asm__("" : "+v"(sum));
    return sum;
#endif
}

/* sum + a pair of products of int16. */
ALWAYS __m512i dot2(__m512i sum, __m512i a, __m512i b)
{
#ifdef TILE_VNNI
    return _mm512_dpwssd_epi32(sum, a, b);
#else
    return _mm512_add_epi32(sum, _mm512_madd_epi16(a, b));
#endif
}

ALWAYS __m512i spread4(const void *p)
{
    int32_t v;
    memcpy(&v, p, sizeof v);
    return _mm512_set1_epi32(v);
}

/* -- the head of a run -- */

struct head {
    __m512 d[BLOCKS], m[BLOCKS]; /* wide formats: the first only */
    __m512i scale[QUANT_SUBS_MAX];
    __m512i mins[QUANT_SUBS_MAX / 2]; /* of two neighbouring subs, as pairs of int16 */
};

ALWAYS __m512 halves(const uint8_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}

/* d of 16 rows. */
ALWAYS __m512 scales16(const struct quant_format *f, const uint8_t *p)
{
    if (!f->has_exponent)
        return f->down ? _mm512_mul_ps(halves(p), _mm512_set1_ps(quant_down(f))) : halves(p);
    __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)p);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(v), 16));
}

/* Value j of `subs` values of 6 bits: [16] bytes. */
ALWAYS __m128i six(const uint8_t *p, unsigned subs, unsigned j)
{
    __m128i low = _mm_loadu_si128((const __m128i *)(const void *)(p + j % (subs / 2) * 16));
    __m128i high = _mm_loadu_si128((const __m128i *)(const void *)(p + subs / 2 * 16 + j / 4 * 16));
    low = _mm_and_si128(_mm_srli_epi16(low, (int)(j / (subs / 2) * 4)), _mm_set1_epi8(15));
    high = _mm_and_si128(_mm_srli_epi16(high, (int)(j % 4 * 2)), _mm_set1_epi8(3));
    return _mm_or_si128(low, _mm_slli_epi16(high, 4));
}

/* Scale and minimum of sub j, in bytes. */
ALWAYS __m128i scale_of(const struct quant_format *f, const uint8_t *scales, unsigned j)
{
    if (f->scale_bits == 6)
        return _mm_sub_epi8(six(scales, f->block / f->sub, j), _mm_set1_epi8((char)f->scale_under));
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(scales + 16 * j));
    return f->scale_bits == 4 ? _mm_and_si128(v, _mm_set1_epi8(15)) : v;
}

ALWAYS __m128i min_of_sub(const struct quant_format *f, const uint8_t *scales, unsigned j)
{
    unsigned subs = f->block / f->sub;
    if (f->scale_bits == 6)
        return six(scales + subs * 12, subs, j);
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(scales + 16 * j));
    return _mm_and_si128(_mm_srli_epi16(v, 4), _mm_set1_epi8(15));
}

ALWAYS void read_head(const struct quant_format *f, const uint8_t *p, size_t blocks, struct head *h)
{
    if (f->input == QUANT_NARROW) {
        for (size_t b = 0; b < blocks; b++) {
            h->d[b] = scales16(f, p + 32 * b);
            if (f->has_min)
                h->m[b] = halves(p + 32 * (blocks + b));
        }
        return;
    }
    const uint8_t *scales = p + (f->has_min ? 64 : 32);
    h->d[0] = scales16(f, p);
    for (unsigned j = 0; j < f->block / f->sub; j++)
        h->scale[j] = _mm512_cvtepi8_epi32(scale_of(f, scales, j));
    if (!f->has_min)
        return;
    h->m[0] = _mm512_xor_ps(halves(p + 32), _mm512_set1_ps(-0.0f));
    for (unsigned j = 0; j < f->block / f->sub; j += 2) {
        __m128i a = min_of_sub(f, scales, j), b = min_of_sub(f, scales, j + 1);
        __m512i low = _mm512_cvtepu8_epi32(a), high = _mm512_cvtepu8_epi32(b);
        h->mins[j / 2] = _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
    }
}

/* -- a column's run -- */

struct column {
    const int8_t *q;
    const float *s;
    int32_t start[QUANT_SUBS_MAX]; /* where the sum of a sub begins */
    int32_t sums[BLOCKS];          /* narrow: of a block's activations; wide: pairs of int16, of the subs' */
};

ALWAYS void read_column(const struct quant_format *f, const struct ops_input *x, size_t run, size_t c, struct column *o)
{
    const struct ops_blocks *in = f->input == QUANT_NARROW ? &x->narrow : &x->wide;
    size_t at = run * x->cols + c;
    __m256i sums = _mm256_loadu_si256((const __m256i *)(const void *)(in->sums + at * 16));
    __m256i both = _mm256_madd_epi16(sums, _mm256_set1_epi16(1)); /* of 32 elements */
    __m512i each = f->sub == 16 ? _mm512_cvtepi16_epi32(sums) : _mm512_castsi256_si512(both);
    o->q = in->q + at * ARITH_RUN;
    o->s = in->s + at * (f->input == QUANT_NARROW ? BLOCKS : 1);
    _mm512_storeu_si512(o->start, _mm512_mullo_epi32(each, _mm512_set1_epi32(-f->offset)));
    if (f->input == QUANT_NARROW)
        _mm256_storeu_si256((__m256i *)(void *)o->sums, both);
    else if (f->sub == 16)
        _mm256_storeu_si256((__m256i *)(void *)o->sums, sums);
    else
        _mm_storeu_si128((__m128i *)(void *)o->sums,
                         _mm_packs_epi32(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1)));
}

/* run + d s sum (+ m (s x)) of a narrow block. */
ALWAYS __m512 narrow_terms(const struct quant_format *f, const struct head *h, size_t b, const struct column *c,
                           __m512i sum, __m512 run)
{
    __m512 s = _mm512_set1_ps(c->s[b]);
    run = _mm512_add_ps(run, _mm512_mul_ps(_mm512_mul_ps(h->d[b], s), _mm512_cvtepi32_ps(sum)));
    if (f->has_min)
        run = _mm512_add_ps(run, _mm512_mul_ps(_mm512_mul_ps(h->m[b], s), _mm512_set1_ps((float)c->sums[b])));
    return run;
}

/* The same of a wide block; the run has nothing else. */
ALWAYS __m512 wide_terms(const struct quant_format *f, const struct head *h, const struct column *c, __m512i sum)
{
    __m512 s = _mm512_set1_ps(c->s[0]);
    __m512 run = _mm512_mul_ps(_mm512_mul_ps(h->d[0], s), _mm512_cvtepi32_ps(sum));
    if (f->has_min) {
        __m512i mins = _mm512_setzero_si512();
        for (unsigned j = 0; j < f->block / f->sub; j += 2)
            mins = dot2(mins, h->mins[j / 2], spread4(&c->sums[j / 2]));
        run = _mm512_add_ps(run, _mm512_mul_ps(_mm512_mul_ps(h->m[0], s), _mm512_cvtepi32_ps(mins)));
    }
    return run;
}

/* -- many columns -- */

/* Where the totals of a group of columns are and go: behind the first run there are none yet, the last ones go out.
 * Each column's lies TILES x PACK_ROWS behind the one before in `before`, `stride` in `to`. */
struct totals {
    const float *before; /* NULL: +0 */
    float *to;
    size_t stride;
};

ALWAYS void put_total(const struct totals *o, size_t col, size_t tile, __m512 run)
{
    size_t at = (col * TILES + tile) * PACK_ROWS;
    __m512 before = o->before ? _mm512_loadu_ps(o->before + at) : _mm512_setzero_ps();
    _mm512_storeu_ps(o->to + col * o->stride + tile * PACK_ROWS, _mm512_add_ps(before, run));
}

struct unpacked {
    struct head head[TILES];
    const uint8_t *code[TILES]; /* [BLOCKS x QUADS][64], in `room` or in the tile itself */
    __m512i room[TILES][BLOCKS * QUADS];
};

ALWAYS void unpack(const struct quant_format *f, const uint8_t *p, size_t blocks, struct unpacked *u, size_t t)
{
    const uint8_t *slab = p + pack_head_bytes(f, blocks);
    read_head(f, p, blocks, &u->head[t]);
    u->code[t] = f->bits == 8 ? slab : (const uint8_t *)u->room[t];
    for (size_t b = 0; f->bits != 8 && b < blocks; b++, slab += pack_slab_bytes(f))
#pragma GCC unroll 8
        for (unsigned g = 0; g < QUADS; g++)
            u->room[t][b * QUADS + g] = quad(f, slab, g);
}

/* A stretch of quads of a run against `cols` columns, from where the columns say. */
ALWAYS void dot_quads(const struct quant_format *f, const struct unpacked *u, const struct column *c, size_t cols,
                      size_t sub, size_t from, size_t quads, __m512i sum[TILES][COLS])
{
    bool wide = f->offset == 128;
#pragma GCC unroll 6
    for (size_t i = 0; i < cols; i++)
        sum[0][i] = sum[1][i] = _mm512_set1_epi32(c[i].start[sub]);
#pragma GCC unroll 8
    for (size_t g = from; g < from + quads; g++) {
        __m512i w0 = load(u->code[0] + 64 * g), w1 = load(u->code[1] + 64 * g);
#pragma GCC unroll 6
        for (size_t i = 0; i < cols; i++) {
            __m512i x = spread4(c[i].q + 4 * g);
            sum[0][i] = dot4(sum[0][i], w0, x, wide);
            sum[1][i] = dot4(sum[1][i], w1, x, wide);
        }
    }
}

ALWAYS void narrow_group(const struct quant_format *f, const struct unpacked *u, const struct column *c, size_t cols,
                         size_t blocks, const struct totals *o)
{
    __m512 run[TILES][COLS];
    __m512i sum[TILES][COLS];
    for (size_t i = 0; i < cols; i++)
        run[0][i] = run[1][i] = _mm512_setzero_ps();
#pragma GCC unroll 1
    for (size_t b = 0; b < blocks; b++) {
        dot_quads(f, u, c, cols, b, b * QUADS, QUADS, sum);
#pragma GCC unroll 6
        for (size_t i = 0; i < cols; i++)
            for (size_t t = 0; t < TILES; t++)
                run[t][i] = narrow_terms(f, &u->head[t], b, &c[i], sum[t][i], run[t][i]);
    }
    for (size_t i = 0; i < cols; i++)
        for (size_t t = 0; t < TILES; t++)
            put_total(o, i, t, run[t][i]);
}

ALWAYS void wide_group(const struct quant_format *f, const struct unpacked *u, const struct column *c, size_t cols,
                       const struct totals *o)
{
    size_t quads = f->sub / 4u;
    __m512i all[TILES][COLS], sum[TILES][COLS];
    for (size_t i = 0; i < cols; i++)
        all[0][i] = all[1][i] = _mm512_setzero_si512();
#pragma GCC unroll 1
    for (size_t j = 0; j < f->block / f->sub; j++) {
        dot_quads(f, u, c, cols, j, j * quads, quads, sum);
#pragma GCC unroll 6
        for (size_t i = 0; i < cols; i++)
            for (size_t t = 0; t < TILES; t++)
                all[t][i] = _mm512_add_epi32(all[t][i], _mm512_mullo_epi32(sum[t][i], u->head[t].scale[j]));
    }
    for (size_t i = 0; i < cols; i++)
        for (size_t t = 0; t < TILES; t++)
            put_total(o, i, t, wide_terms(f, &u->head[t], &c[i], all[t][i]));
}

ALWAYS void group(const struct quant_format *f, const struct unpacked *u, const struct column *c, size_t cols,
                  size_t blocks, const struct totals *o)
{
    if (f->input == QUANT_NARROW)
        narrow_group(f, u, c, cols, blocks, o);
    else
        wide_group(f, u, c, cols, o);
}

/* What comes next of two tiles, asked for while a strip is at work: else its first bytes are waited for. */
struct ahead {
    const uint8_t *tile, *other;
    size_t bytes; /* of each */
};

ALWAYS void ask_ahead(const struct ahead *a, size_t from, size_t end)
{
    for (size_t i = from; i < end && i < a->bytes; i += 64) {
        _mm_prefetch((const char *)a->tile + i, _MM_HINT_T1);
        _mm_prefetch((const char *)a->other + i, _MM_HINT_T1);
    }
}

/* One run of two tiles against a strip of columns. */
ALWAYS void run_strip(const struct quant_format *f, const struct unpacked *u, const struct ops_input *x, size_t run,
                      size_t blocks, size_t first, size_t cols, struct totals o, const struct ahead *ahead)
{
    size_t groups = (cols + COLS - 1) / COLS, step = (ahead->bytes / groups + 64) / 64 * 64, asked = 0;
    struct column c[COLS];
    for (size_t at = 0; at < cols; at += COLS, o.to += COLS * o.stride) {
        size_t n = cols - at < COLS ? cols - at : COLS;
        ask_ahead(ahead, asked, asked + step);
        asked += step;
        for (size_t i = 0; i < n; i++)
            read_column(f, x, run, first + at + i, &c[i]);
        switch (n) {
        case 6:
            group(f, u, c, 6, blocks, &o);
            break;
        case 5:
            group(f, u, c, 5, blocks, &o);
            break;
        case 4:
            group(f, u, c, 4, blocks, &o);
            break;
        case 3:
            group(f, u, c, 3, blocks, &o);
            break;
        case 2:
            group(f, u, c, 2, blocks, &o);
            break;
        default:
            group(f, u, c, 1, blocks, &o);
        }
        if (o.before)
            o.before += COLS * TILES * PACK_ROWS;
    }
}

/* Two tiles against a strip of columns, to out[cols, stride]. `other`: the second tile, or the first again where there
 * is none. */
ALWAYS void strip(const struct quant_format *f, const uint8_t *tile, const uint8_t *other, const struct ops_input *x,
                  size_t first, size_t cols, float *out, size_t stride)
{
    struct unpacked u;
    float total[COLS_STRIP * TILES * PACK_ROWS];
    size_t runs = quant_runs(x->n);
    const uint8_t *behind = tile + TILES * pack_tile_bytes(f, x->n); /* where the next two tiles begin */
    for (size_t run = 0; run < runs; run++) {
        size_t left = (x->n - run * ARITH_RUN) / ARITH_BLOCK, blocks = left < BLOCKS ? left : BLOCKS;
        unpack(f, tile, blocks, &u, 0);
        unpack(f, other, blocks, &u, 1);
        tile += pack_run_bytes(f, blocks);
        other += pack_run_bytes(f, blocks);
        struct ahead ahead = {tile, other, pack_run_bytes(f, blocks)};
        if (run + 1 == runs)
            ahead = (struct ahead){behind, behind + pack_tile_bytes(f, x->n), ahead.bytes};
        struct totals o = {run ? total : NULL, total, TILES * PACK_ROWS};
        if (run + 1 == runs)
            o = (struct totals){o.before, out, stride};
        run_strip(f, &u, x, run, blocks, first, cols, o, &ahead);
    }
}

/* -- few columns -- */

/* A stretch of a slab against `cols` columns, from where the columns say; q: of the first column, at the slab. Few have
 * two sums each, since one would be waited for. */
ALWAYS void dot_slab(const struct quant_format *f, const uint8_t *slab, const int8_t *q, const struct column *c,
                     size_t cols, size_t sub, unsigned from, unsigned quads, __m512i sum[COLS_FEW])
{
    __m512i odd[COLS_FEW];
    bool wide = f->offset == 128, has_two = cols < 4;
#pragma GCC unroll 8
    for (size_t i = 0; i < cols; i++) {
        sum[i] = _mm512_set1_epi32(c[i].start[sub]);
        odd[i] = _mm512_setzero_si512();
    }
#pragma GCC unroll 8
    for (unsigned g = from; g < from + quads; g++) {
        __m512i w = quad(f, slab, g);
#pragma GCC unroll 8
        for (size_t i = 0; i < cols; i++) {
            __m512i *to = has_two && g % 2 ? &odd[i] : &sum[i];
            *to = dot4(*to, w, spread4(q + i * ARITH_RUN + 4 * g), wide);
        }
    }
#pragma GCC unroll 8
    for (size_t i = 0; has_two && i < cols; i++)
        sum[i] = _mm512_add_epi32(sum[i], odd[i]);
}

/* A run of a tile as it is packed, added to total[cols]. What stands STREAM_AHEAD behind is asked for. */
ALWAYS void few_run(const struct quant_format *f, const uint8_t *p, const struct column *c, size_t cols, size_t blocks,
                    __m512 total[COLS_FEW])
{
    struct head h;
    const uint8_t *slab = p + pack_head_bytes(f, blocks);
    const unsigned quads = f->input == QUANT_NARROW ? QUADS : f->sub / 4u;
    __m512 run[COLS_FEW];
    __m512i all[COLS_FEW], sum[COLS_FEW];
    for (size_t i = 0; i < cols; i++) {
        run[i] = _mm512_setzero_ps();
        all[i] = _mm512_setzero_si512();
    }
    read_head(f, p, blocks, &h);
#pragma GCC unroll 1
    for (size_t b = 0; b < blocks; b++, slab += pack_slab_bytes(f)) {
        const int8_t *q = c->q + b * ARITH_BLOCK; /* columns follow each other */
        for (size_t i = 0; i < pack_slab_bytes(f); i += 64)
            _mm_prefetch((const char *)slab + STREAM_AHEAD + i, _MM_HINT_T0);
#pragma GCC unroll 2
        for (unsigned from = 0; from < QUADS; from += quads) {
            size_t sub = (b * QUADS + from) / quads;
            dot_slab(f, slab, q, c, cols, sub, from, quads, sum);
#pragma GCC unroll 8
            for (size_t i = 0; i < cols; i++)
                if (f->input == QUANT_NARROW)
                    run[i] = narrow_terms(f, &h, b, &c[i], sum[i], run[i]);
                else
                    all[i] = _mm512_add_epi32(all[i], _mm512_mullo_epi32(sum[i], h.scale[sub]));
        }
    }
#pragma GCC unroll 8
    for (size_t i = 0; i < cols; i++) {
        if (f->input == QUANT_WIDE)
            run[i] = wide_terms(f, &h, &c[i], all[i]);
        total[i] = _mm512_add_ps(total[i], run[i]);
    }
}

/* One tile against up to COLS_FEW columns. Tiles follow each other in memory, and one at a time is one stream. */
ALWAYS void few(const struct quant_format *f, const uint8_t *tile, const struct ops_input *x, __m512 total[COLS_FEW])
{
    struct column c[COLS_FEW];
    for (size_t i = 0; i < x->cols; i++)
        total[i] = _mm512_setzero_ps();
    for (size_t run = 0; run < quant_runs(x->n); run++) {
        size_t left = (x->n - run * ARITH_RUN) / ARITH_BLOCK, blocks = left < BLOCKS ? left : BLOCKS;
        for (size_t i = 0; i < x->cols; i++)
            read_column(f, x, run, i, &c[i]);
        switch (x->cols) {
#define E(n)                                                                                                           \
    case n:                                                                                                            \
        few_run(f, tile, c, n, blocks, total);                                                                         \
        break;
            E(1) E(2) E(3) E(4) E(5) E(6) E(7) default : few_run(f, tile, c, COLS_FEW, blocks, total);
#undef E
        }
        tile += pack_run_bytes(f, blocks);
    }
}

/* -- a matrix -- */

/* Many columns: rows of two tiles at a time go straight to where they belong, but for the last if there are fewer. */
ALWAYS void multiply_many(const struct quant_format *f, const struct ops_weight *w, size_t first, size_t rows,
                          const struct ops_input *x, float *out, size_t stride)
{
    const size_t both = TILES * PACK_ROWS, tile_bytes = pack_tile_bytes(f, w->n);
    for (size_t done = 0; done < rows; done += both) {
        size_t count = rows - done < both ? rows - done : both;
        const uint8_t *tile = w->packed + (first + done) / PACK_ROWS * tile_bytes;
        const uint8_t *other = count > PACK_ROWS ? tile + tile_bytes : tile;
        for (size_t c = 0; c < x->cols; c += COLS_STRIP) {
            size_t cols = x->cols - c < COLS_STRIP ? x->cols - c : COLS_STRIP;
            float *to = out + c * stride + first + done, part[COLS_STRIP * TILES * PACK_ROWS];
            strip(f, tile, other, x, c, cols, count == both ? to : part, count == both ? stride : both);
            for (size_t i = 0; count < both && i < cols; i++)
                memcpy(to + i * stride, part + i * both, count * sizeof *out);
        }
    }
}

ALWAYS void multiply_few(const struct quant_format *f, const struct ops_weight *w, size_t first, size_t rows,
                         const struct ops_input *x, float *out, size_t stride)
{
    size_t tile_bytes = pack_tile_bytes(f, w->n);
    for (size_t done = 0; done < rows; done += PACK_ROWS) {
        size_t count = rows - done < PACK_ROWS ? rows - done : PACK_ROWS;
        __m512 total[COLS_FEW];
        float *to = out + first + done;
        few(f, w->packed + (first + done) / PACK_ROWS * tile_bytes, x, total);
        for (size_t i = 0; i < x->cols; i++)
            if (count == PACK_ROWS) {
                _mm512_storeu_ps(to + i * stride, total[i]);
            } else {
                float part[PACK_ROWS];
                _mm512_storeu_ps(part, total[i]);
                memcpy(to + i * stride, part, count * sizeof *out);
            }
    }
}

ALWAYS void multiply_packed(const struct quant_format *f, const struct ops_weight *w, size_t first, size_t rows,
                            const struct ops_input *x, float *out, size_t stride)
{
    if (x->cols > COLS_FEW)
        multiply_many(f, w, first, rows, x, out, stride);
    else
        multiply_few(f, w, first, rows, x, out, stride);
}

#include "inference/kernels/tile_formats.h"

static void tile_multiply(const struct ops_weight *w, size_t first, size_t rows, const struct ops_input *x, float *out,
                          size_t stride)
{
    if (quant_is_blocked(w->type))
        multiply_blocked(w, first, rows, x, out, stride);
    else
        multiply_floats(w, first, rows, x, out, stride);
}
