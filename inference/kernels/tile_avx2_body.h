/* Products of packed weights with registers of 32 bytes: the body of tile_avx2.c and tile_avxvnni.c.
 *
 * A register is half of a packed one: 4 neighbouring elements (a quad) of 8 rows. With 4 activations broadcast, the
 * sums of 8 rows appear side by side, and nothing is added across lanes.
 *
 * With TILE_VNNI the processor adds four products of bytes, unsigned by signed, to int32 in one instruction. Where that
 * is used (has_dots), codes are unsigned (signed weights are given 128 more), quads are added until their scale
 * changes, and offsets are taken off by the activations' sums. What follows is about the rest.
 *
 * The processor multiplies bytes, unsigned by signed, and adds pairs of products in int16, saturating. How many quads
 * may be added in int16 before they go to int32 depends on the codes:
 *
 *     codes     a pair is at most     quads together
 *     4 bits    2 x 15 x 127          8 (a block of 32)
 *     5 bits    2 x 31 x 127          4
 *     6 bits    2 x 63 x 127          2; 4 with their offset, see below
 *     MXFP4     2 x 24 x 127          4; weights are -12..12, and made codes by 12 more
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
 * signs. Few columns, up to eight: codes are unpacked in registers on their way, for four columns at a time, one tile
 * after the other, since tiles follow each other in memory and are one stream.
 *
 * Everything is inlined into functions that know the format, so that no branch on it is left. */
#include "inference/kernels/codes_avx2.h"

#define TILES        2          /* unpacked at once */
#define COLS         4          /* columns that meet a register of codes */
#define COLS_FEW     (2 * COLS) /* at most, that meet weights as they are packed */
#define COLS_STRIP   252        /* columns whose totals are kept at once: 31.5 KiB */
#define STREAM_AHEAD 4096       /* bytes that few columns ask for before they get to them, past the end of a page */

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
            sum[0][i] = dot2(sum[0][i], w[0], even);
            sum[1][i] = dot2(sum[1][i], w[2], even);
            sum[0][i] = dot2(sum[0][i], w[1], odd);
            sum[1][i] = dot2(sum[1][i], w[3], odd);
        }
    }
}

/* -- a few columns -- */

enum source {
    UNPACKED, /* `code` */
    NEAR,     /* `slabs`, in a near cache */
    STREAMED, /* `slabs`, from memory: what comes next is asked for */
};

/* A run of a tile. */
struct codes {
    const struct head *head; /* of the two halves */
    const __m256i *code;     /* unpacked: [BLOCKS x QUADS][2], or [BLOCKS x QUADS][2][even, odd] of has_pairs */
    const struct pairs *x;   /* has_pairs: the columns */
    const uint8_t *slabs;    /* packed */
};

ALWAYS __m256i quad_at(const struct quant_format *f, const struct codes *w, enum source from, size_t b, unsigned g,
                       size_t h)
{
    return from != UNPACKED ? quad(f, w->slabs + b * pack_slab_bytes(f), g, h) : w->code[(b * QUADS + g) * 2 + h];
}

/* add_stretch where four products are added at once. */
ALWAYS void add_dots(const struct quant_format *f, const struct codes *w, enum source from, const struct column *c,
                     size_t cols, size_t b, unsigned first, const __m256i factor[2], __m256i sum[2][COLS])
{
    bool scaled = f->input == QUANT_WIDE;
    __m256i part[2][COLS];
#pragma GCC unroll 4
    for (size_t i = 0; i < cols; i++)
        for (size_t h = 0; h < 2; h++)
            part[h][i] = !scaled        ? sum[h][i]
                         : has_start(f) ? spread(&c[i].start[(b * QUADS + first) * 4 / f->sub])
                                        : _mm256_setzero_si256();
#pragma GCC unroll 8
    for (unsigned g = first; g < first + stretch_of(f); g++) {
        __m256i w0 = quad_at(f, w, from, b, g, 0), w1 = quad_at(f, w, from, b, g, 1);
#pragma GCC unroll 4
        for (size_t i = 0; i < cols; i++) {
            __m256i x = spread(c[i].q + b * ARITH_BLOCK + 4 * g);
            part[0][i] = dot4(part[0][i], w0, x);
            part[1][i] = dot4(part[1][i], w1, x);
        }
    }
#pragma GCC unroll 4
    for (size_t i = 0; i < cols; i++)
        for (size_t h = 0; h < 2; h++)
            sum[h][i] = scaled ? _mm256_add_epi32(sum[h][i], _mm256_mullo_epi32(part[h][i], factor[h])) : part[h][i];
}

/* sum[half][column] += factor[half] times the products of quads [first, first + stretch) of block b. */
ALWAYS void add_stretch(const struct quant_format *f, const struct codes *w, enum source from, const struct column *c,
                        size_t cols, size_t b, unsigned first, const __m256i factor[2], __m256i sum[2][COLS])
{
    unsigned stretch = stretch_of(f);
    __m256i part[2][COLS];
    if (has_dots(f)) {
        add_dots(f, w, from, c, cols, b, first, factor, sum);
        return;
    }
#pragma GCC unroll 8
    for (unsigned g = first; g < first + stretch; g++) {
        __m256i w0 = quad_at(f, w, from, b, g, 0), w1 = quad_at(f, w, from, b, g, 1);
        __m256i u0 = is_signed(f) ? _mm256_abs_epi8(w0) : w0, u1 = is_signed(f) ? _mm256_abs_epi8(w1) : w1;
#pragma GCC unroll 4
        for (size_t i = 0; i < cols; i++) {
            __m256i x = spread(c[i].q + b * ARITH_BLOCK + 4 * g);
            __m256i p0 = _mm256_maddubs_epi16(u0, is_signed(f) ? _mm256_sign_epi8(x, w0) : x);
            __m256i p1 = _mm256_maddubs_epi16(u1, is_signed(f) ? _mm256_sign_epi8(x, w1) : x);
            if (g == first && has_start(f)) {
                __m256i start = spread(&c[i].start[(b * QUADS + g) * 4 / f->sub]);
                part[0][i] = add16(start, p0);
                part[1][i] = add16(start, p1);
            } else {
                part[0][i] = g == first ? p0 : add16(part[0][i], p0);
                part[1][i] = g == first ? p1 : add16(part[1][i], p1);
            }
        }
    }
#pragma GCC unroll 4
    for (size_t i = 0; i < cols; i++)
        for (size_t h = 0; h < 2; h++)
            sum[h][i] = dot2(sum[h][i], part[h][i], factor[h]);
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

/* Packed weights come from memory: what stands STREAM_AHEAD behind a slab is asked for. */
ALWAYS void ask_ahead(const struct quant_format *f, const struct codes *w, size_t b)
{
    const uint8_t *slab = w->slabs + b * pack_slab_bytes(f);
    for (size_t i = 0; i < pack_slab_bytes(f); i += 64)
        _mm_prefetch((const char *)slab + STREAM_AHEAD + i, _MM_HINT_T0);
}

/* The runs of a tile against `cols` columns. */
ALWAYS void narrow_runs(const struct quant_format *f, const struct codes *w, enum source from, const struct column *c,
                        size_t cols, size_t blocks, __m256 run[2][COLS])
{
    const __m256i ones[2] = {_mm256_set1_epi16(1), _mm256_set1_epi16(1)};
    __m256i sum[2][COLS];
#pragma GCC unroll 4
    for (size_t i = 0; i < cols; i++)
        run[0][i] = run[1][i] = _mm256_setzero_ps();
#pragma GCC unroll 1
    for (size_t b = 0; b < blocks; b++) {
        bool less = offset_of(f) && !is_signed(f);
        if (from == STREAMED)
            ask_ahead(f, w, b);
#pragma GCC unroll 4
        for (size_t i = 0; i < cols; i++)
            sum[0][i] = sum[1][i] = _mm256_setzero_si256();
        if (has_pairs(f) && from == UNPACKED)
            add_pairs(w->code, w->x, cols, b, sum);
        else
#pragma GCC unroll 8
            for (unsigned g = 0; g < QUADS; g += stretch_of(f))
                add_stretch(f, w, from, c, cols, b, g, ones, sum);
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
        all = dot2(all, h->mins[j / 2], spread(&c->start[j / 2]));
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

ALWAYS void wide_runs(const struct quant_format *f, const struct codes *w, enum source from, const struct column *c,
                      size_t cols, __m256 run[2][COLS])
{
    __m256i sum[2][COLS];
#pragma GCC unroll 4
    for (size_t i = 0; i < cols; i++)
        sum[0][i] = sum[1][i] = _mm256_setzero_si256();
#pragma GCC unroll 1
    for (size_t b = 0; b < BLOCKS; b++) {
        if (from == STREAMED)
            ask_ahead(f, w, b);
#pragma GCC unroll 8
        for (unsigned g = 0; g < QUADS; g += stretch_of(f)) {
            size_t sub = (b * QUADS + g) * 4 / f->sub;
            const __m256i scale[2] = {w->head[0].scale[sub], w->head[1].scale[sub]};
            add_stretch(f, w, from, c, cols, b, g, scale, sum);
        }
    }
#pragma GCC unroll 4
    for (size_t i = 0; i < cols; i++)
        for (size_t h = 0; h < 2; h++)
            run[h][i] = wide_terms(f, &w->head[h], &c[i], sum[h][i]);
}

/* A run of a tile against `cols` columns, added to total[cols, TILES x 16]. */
ALWAYS void group(const struct quant_format *f, const struct codes *w, enum source from, const struct column *c,
                  size_t cols, size_t blocks, float *total)
{
    __m256 run[2][COLS];
    if (f->input == QUANT_NARROW)
        narrow_runs(f, w, from, c, cols, blocks, run);
    else
        wide_runs(f, w, from, c, cols, run);
#pragma GCC unroll 4
    for (size_t i = 0; i < cols; i++)
        for (size_t h = 0; h < 2; h++) {
            float *at = total + i * TILES * PACK_ROWS + h * HALF;
            _mm256_storeu_ps(at, _mm256_add_ps(_mm256_loadu_ps(at), run[h][i]));
        }
}

ALWAYS void any_group(const struct quant_format *f, const struct codes *w, enum source from, const struct column *c,
                      size_t cols, size_t blocks, float *total)
{
    switch (cols) {
    case 4:
        group(f, w, from, c, 4, blocks, total);
        break;
    case 3:
        group(f, w, from, c, 3, blocks, total);
        break;
    case 2:
        group(f, w, from, c, 2, blocks, total);
        break;
    default:
        group(f, w, from, c, 1, blocks, total);
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

/* What comes next of two tiles, asked for while a strip is at work: else its first bytes are waited for. */
struct ahead {
    const uint8_t *tile, *other; /* NULL: there is no second */
    size_t bytes, asked, step;   /* of each; so far, and for each group of columns */
};

ALWAYS void ask_share(struct ahead *a)
{
    size_t end = a->asked + a->step < a->bytes ? a->asked + a->step : a->bytes;
    for (; a->asked < end; a->asked += 64) {
        _mm_prefetch((const char *)a->tile + a->asked, _MM_HINT_T1);
        if (a->other)
            _mm_prefetch((const char *)a->other + a->asked, _MM_HINT_T1);
    }
}

/* A run of two tiles (or one) against a strip of columns. */
ALWAYS void run_strip(const struct quant_format *f, const struct unpacked *u, bool both, const struct ops_input *x,
                      size_t run, size_t blocks, size_t first, size_t cols, float *total, struct ahead *ahead)
{
    struct column c[COLS];
    struct pairs pairs[COLS];
    for (size_t at = 0; at < cols; at += COLS) {
        size_t n = cols - at < COLS ? cols - at : COLS;
        ask_share(ahead);
        for (size_t i = 0; i < n; i++)
            read_column(f, x, run, first + at + i, &c[i]);
        for (size_t i = 0; has_pairs(f) && i < n; i++)
            widen(c[i].q, &pairs[i]);
        for (size_t t = 0; t < (both ? 2 : 1); t++) {
            struct codes w = {.head = u->head[t], .code = u->code[t], .x = pairs};
            any_group(f, &w, UNPACKED, c, n, blocks, total + (at * TILES + t) * PACK_ROWS);
        }
    }
}

/* Two tiles against a strip of columns. `other`: the second tile, or NULL. */
ALWAYS void strip(const struct quant_format *f, const uint8_t *tile, const uint8_t *other, const struct ops_input *x,
                  size_t first, size_t cols, float *total)
{
    struct unpacked u;
    size_t runs = quant_runs(x->n), groups = (cols + COLS - 1) / COLS;
    const uint8_t *behind = tile + TILES * pack_tile_bytes(f, x->n); /* where the next two tiles begin */
    for (size_t run = 0; run < runs; run++) {
        size_t left = (x->n - run * ARITH_RUN) / ARITH_BLOCK, blocks = left < BLOCKS ? left : BLOCKS;
        size_t bytes = pack_run_bytes(f, blocks);
        unpack(f, tile, blocks, &u, 0);
        tile += bytes;
        if (other) {
            unpack(f, other, blocks, &u, 1);
            other += bytes;
        }
        struct ahead ahead = {tile, other, bytes, 0, (bytes / groups + 64) / 64 * 64};
        if (run + 1 == runs)
            ahead.tile = behind, ahead.other = behind + pack_tile_bytes(f, x->n);
        run_strip(f, &u, other, x, run, blocks, first, cols, total, &ahead);
    }
}

/* -- few columns -- */

/* Columns that meet weights as they are packed. Bits that stand in two planes are dear to put together, so where a
 * second group of columns comes they are unpacked first. */
ALWAYS size_t few_most(const struct quant_format *f)
{
    return f->bits == 3 || f->bits == 5 || f->bits == 6 ? COLS : COLS_FEW;
}

/* One tile against up to COLS_FEW columns, COLS at a time, evenly. Tiles follow each other in memory, and one at a time
 * is one stream; the second group finds a run's weights in the nearest cache. */
ALWAYS void few(const struct quant_format *f, const uint8_t *tile, const struct ops_input *x, float *total)
{
    struct column c[COLS_FEW];
    struct head head[2];
    size_t cols = x->cols, half = cols > COLS ? (cols + 1) / 2 : cols;
    for (size_t run = 0; run < quant_runs(x->n); run++) {
        size_t left = (x->n - run * ARITH_RUN) / ARITH_BLOCK, blocks = left < BLOCKS ? left : BLOCKS;
        struct codes w = {.head = head, .slabs = tile + pack_head_bytes(f, blocks)};
        for (size_t i = 0; i < cols; i++)
            read_column(f, x, run, i, &c[i]);
        read_head(f, tile, blocks, head);
        any_group(f, &w, STREAMED, c, half, blocks, total);
        if (few_most(f) > COLS && cols > COLS)
            any_group(f, &w, NEAR, c + half, cols - half, blocks, total + half * TILES * PACK_ROWS);
        tile += pack_run_bytes(f, blocks);
    }
}

/* -- a matrix -- */

/* The first `count` rows of two tiles. A copy whose length the compiler knows is a few moves, any other a loop of the
 * processor's own that takes longer than the products of a column. */
ALWAYS void put_rows(float *out, const float *total, size_t count)
{
    if (count == TILES * PACK_ROWS)
        memcpy(out, total, TILES * PACK_ROWS * sizeof *out);
    else
        memcpy(out, total, count * sizeof *out);
}

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
            if (x->cols > few_most(f))
                strip(f, tile, other, x, c, cols, total);
            for (size_t t = 0; x->cols <= few_most(f) && t < (other ? 2 : 1); t++)
                few(f, t ? other : tile, x, total + t * PACK_ROWS);
            for (size_t i = 0; i < cols; i++)
                put_rows(out + (c + i) * stride + first + done, total + i * TILES * PACK_ROWS, count);
        }
    }
}

#include "inference/kernels/tile_formats.h"
