/* Products of packed weights (inference/kernels/pack.h) with registers of 16 bytes: the body of ops_neon.c,
 * ops_neon_dot.c and ops_wasm.c.
 *
 * A register is a quarter of a packed one: 4 neighbouring elements (a quad) of 4 rows. With 4 activations spread over
 * it, the sums of 4 rows appear side by side, and nothing is added across rows. Codes become signed weights when they
 * are unpacked, so there are no offsets here.
 *
 * With TILE_DOT the processor adds four products of bytes to an int32. Without, products are added in int16, one of
 * each quad to a lane, as long as they fit (8 bits: 128 x 127 twice; 6 and less: 32 x 127 eight times), and then
 * pairwise in int32.
 *
 * Many columns: a run of a tile (16 rows x 256 elements) is unpacked into 4 KiB of weights once, then meets all
 * columns, a few at a time. Few columns: codes are unpacked in registers on their way. Everything is inlined into
 * functions that know the format. */
#include "inference/kernels/ops.h"
#include "inference/kernels/pack.h"
#include "inference/kernels/vector.h"

/* Columns and quarters of a tile that meet: as many as there are registers for. */
#if defined(TILE_DOT)
#define COLS     4
#define QUARTERS 4
#elif defined(__aarch64__)
#define COLS     2
#define QUARTERS 4
#else
#define COLS     2
#define QUARTERS 2
#endif
#define COLS_STRIP 128 /* columns whose totals are kept at once: 8 KiB */
#define BLOCKS     (ARITH_RUN / ARITH_BLOCK)
#define QUADS      8 /* of a slab */

/* -- weights -- */

/* Bits [at, at + width) of every byte, moved to `to`. Shifts are of 16 bits; the mask takes what crossed a byte. */
ALWAYS v_i8 bits_of(v_i8 v, int at, int width, int to)
{
    v_u16 moved = at > to ? (v_u16)v >> (at - to) : (v_u16)v << (to - at);
    return (v_i8)moved & v_splat8((int8_t)(((1 << width) - 1) << to));
}

/* Quarter k of quad g of a slab. */
ALWAYS v_i8 quad(const struct quant_format *f, const uint8_t *slab, int g, size_t k)
{
    int bits = f->bits;
    const uint8_t *at = slab + 16 * k, *pairs = at + (bits >= 4 ? 256 : 0), *ones = pairs + (bits == 3 ? 128 : 0);
    v_i8 v;
    if (bits == 8)
        return v_load8(at + 64 * g) ^ v_splat8(-128);
    if (bits >= 4)
        v = bits_of(v_load8(at + 64 * (g % 4)), g / 4 * 4, 4, 0);
    else
        v = bits_of(v_load8(pairs + 64 * (g / 4)), g % 4 * 2, 2, 0);
    if (f->table)
        return v_lookup(v_load8(quant_table(f)), v);
    if (bits == 6)
        v = v | bits_of(v_load8(pairs + 64 * (g / 4)), g % 4 * 2, 2, 4);
    if (bits == 5)
        v = v | bits_of(v_load8(ones), g, 1, 4);
    if (bits == 3)
        v = v | bits_of(v_load8(ones), g, 1, 2);
    return f->offset ? v - v_splat8((int8_t)f->offset) : v;
}

/* -- the head of a run -- */

struct head {
    v_f32 d[BLOCKS][4], m[BLOCKS][4]; /* [quarter]; wide formats: the first only */
    v_i32 scale[QUANT_SUBS_MAX][4], min[QUANT_SUBS_MAX][4];
};

/* 16 bytes as int32. */
ALWAYS void widen(v_i8 v, v_i32 out[4])
{
    v_i16 low = v_widen8_low(v), high = v_widen8_high(v);
    out[0] = v_widen16_low(low);
    out[1] = v_widen16_high(low);
    out[2] = v_widen16_low(high);
    out[3] = v_widen16_high(high);
}

/* Value j of `subs` values of 6 bits, of 16 rows. */
ALWAYS v_i8 six(const uint8_t *p, int subs, int j)
{
    v_i8 low = v_load8(p + j % (subs / 2) * 16), high = v_load8(p + subs / 2 * 16 + j / 4 * 16);
    return bits_of(low, j / (subs / 2) * 4, 4, 0) | bits_of(high, j % 4 * 2, 2, 4);
}

ALWAYS v_i8 scale_of(const struct quant_format *f, const uint8_t *scales, int j)
{
    if (f->scale_bits == 6)
        return six(scales, f->block / f->sub, j) - v_splat8((int8_t)f->scale_under);
    return f->scale_bits == 4 ? v_load8(scales + 16 * j) & v_splat8(15) : v_load8(scales + 16 * j);
}

ALWAYS v_i8 min_of_sub(const struct quant_format *f, const uint8_t *scales, int j)
{
    int subs = f->block / f->sub;
    return f->scale_bits == 6 ? six(scales + subs * 12, subs, j) : bits_of(v_load8(scales + 16 * j), 4, 4, 0);
}

ALWAYS void read_head(const struct quant_format *f, const uint8_t *p, size_t blocks, struct head *h)
{
    size_t halves = f->input == QUANT_NARROW ? blocks : 1;
    const uint8_t *scales = p + (f->has_min ? 64 : 32);
    for (size_t b = 0; b < halves; b++)
        for (size_t k = 0; k < 4; k++) {
            h->d[b][k] = f->has_exponent ? v_upper_halves(p + 32 * b + 8 * k) : v_halves(p + 32 * b + 8 * k);
            if (f->down)
                h->d[b][k] = h->d[b][k] * v_splat(quant_down(f));
            if (f->has_min)
                h->m[b][k] = v_halves(p + 32 * (halves + b) + 8 * k);
        }
    if (f->input == QUANT_NARROW)
        return;
    for (size_t k = 0; f->has_min && k < 4; k++)
        h->m[0][k] = -h->m[0][k];
    for (int j = 0; j < f->block / f->sub; j++) {
        widen(scale_of(f, scales, j), h->scale[j]);
        if (f->has_min)
            widen(min_of_sub(f, scales, j), h->min[j]);
    }
}

/* -- a column's run -- */

struct column {
    const int8_t *q;
    const float *s;
    int32_t sum[QUANT_SUBS_MAX]; /* of a sub's activations, with minimums */
};

ALWAYS void read_column(const struct quant_format *f, const struct ops_input *x, size_t run, size_t col,
                        struct column *c)
{
    const struct ops_blocks *in = f->input == QUANT_NARROW ? &x->narrow : &x->wide;
    size_t at = run * x->cols + col;
    c->q = in->q + at * ARITH_RUN;
    c->s = in->s + at * (f->input == QUANT_NARROW ? BLOCKS : 1);
    for (size_t j = 0; f->has_min && j < ARITH_RUN / f->sub; j++) {
        const int16_t *sums = in->sums + at * 16 + j * (f->sub / 16u);
        c->sum[j] = f->sub == 16 ? sums[0] : sums[0] + sums[1];
    }
}

/* -- a few columns -- */

/* Where weights come from, and which quarters of the tile are meant. */
struct source {
    const struct head *head;
    const v_i8 *weight;   /* unpacked: [BLOCKS x QUADS][4] */
    const uint8_t *slabs; /* or packed, where there is no weight */
    size_t first;         /* quarter */
};

ALWAYS v_i8 weight_at(const struct quant_format *f, const struct source *w, bool packed, size_t b, int g, size_t k)
{
    k += w->first;
    return packed ? quad(f, w->slabs + b * pack_slab_bytes(f), g, k) : w->weight[(b * QUADS + (size_t)g) * 4 + k];
}

#if defined(TILE_DOT)

/* sum[quarter][column] = the products of quads [from, from + quads) of block b. */
ALWAYS void dot_quads(const struct quant_format *f, const struct source *w, bool packed, const struct column *c,
                      size_t cols, size_t b, int from, int quads, v_i32 sum[QUARTERS][COLS])
{
    for (size_t k = 0; k < QUARTERS; k++)
        for (size_t i = 0; i < cols; i++)
            sum[k][i] = (v_i32){0};
#pragma GCC unroll 8
    for (int g = from; g < from + quads; g++) {
        v_i8 x[COLS];
        for (size_t i = 0; i < cols; i++)
            x[i] = v_spread(c[i].q + b * ARITH_BLOCK + 4 * (size_t)g);
        for (size_t k = 0; k < QUARTERS; k++) {
            v_i8 v = weight_at(f, w, packed, b, g, k);
            for (size_t i = 0; i < cols; i++)
                sum[k][i] = v_dot4(sum[k][i], v, x[i]);
        }
    }
}

#else

/* The same of one stretch, whose products fit into int16: of rows 0, 1 and of rows 2, 3 in pairs. */
ALWAYS void add_stretch(const struct quant_format *f, const struct source *w, bool packed, const struct column *c,
                        size_t cols, size_t b, int from, int quads, v_i32 low[QUARTERS][COLS],
                        v_i32 high[QUARTERS][COLS])
{
    v_i16 part[2][QUARTERS][COLS];
#pragma GCC unroll 8
    for (int g = from; g < from + quads; g++) {
        v_i8 x[COLS];
        for (size_t i = 0; i < cols; i++)
            x[i] = v_spread(c[i].q + b * ARITH_BLOCK + 4 * (size_t)g);
        for (size_t k = 0; k < QUARTERS; k++) {
            v_i8 v = weight_at(f, w, packed, b, g, k);
            for (size_t i = 0; i < cols; i++) {
                part[0][k][i] = g == from ? v_mul_low(v, x[i]) : v_mul_add_low(part[0][k][i], v, x[i]);
                part[1][k][i] = g == from ? v_mul_high(v, x[i]) : v_mul_add_high(part[1][k][i], v, x[i]);
            }
        }
    }
    for (size_t k = 0; k < QUARTERS; k++)
        for (size_t i = 0; i < cols; i++) {
            low[k][i] = v_add_pairs(low[k][i], part[0][k][i]);
            high[k][i] = v_add_pairs(high[k][i], part[1][k][i]);
        }
}

ALWAYS void dot_quads(const struct quant_format *f, const struct source *w, bool packed, const struct column *c,
                      size_t cols, size_t b, int from, int quads, v_i32 sum[QUARTERS][COLS])
{
    int stretch = f->bits == 8 || (f->table && !f->has_exponent) ? 2 : quads;
    v_i32 low[QUARTERS][COLS], high[QUARTERS][COLS];
    for (size_t k = 0; k < QUARTERS; k++)
        for (size_t i = 0; i < cols; i++)
            low[k][i] = high[k][i] = (v_i32){0};
    for (int g = from; g < from + quads; g += stretch)
        add_stretch(f, w, packed, c, cols, b, g, stretch, low, high);
    for (size_t k = 0; k < QUARTERS; k++)
        for (size_t i = 0; i < cols; i++)
            sum[k][i] = v_fold(low[k][i], high[k][i]);
}

#endif

ALWAYS v_f32 to_floats(v_i32 v)
{
    return __builtin_convertvector(v, v_f32);
}

ALWAYS void narrow_runs(const struct quant_format *f, const struct source *w, bool packed, const struct column *c,
                        size_t cols, size_t blocks, v_f32 run[QUARTERS][COLS])
{
    v_i32 sum[QUARTERS][COLS];
    for (size_t k = 0; k < QUARTERS; k++)
        for (size_t i = 0; i < cols; i++)
            run[k][i] = v_splat(0.0f);
#pragma GCC unroll 1
    for (size_t b = 0; b < blocks; b++) {
        dot_quads(f, w, packed, c, cols, b, 0, QUADS, sum);
        for (size_t k = 0; k < QUARTERS; k++)
            for (size_t i = 0; i < cols; i++) {
                v_f32 s = v_splat(c[i].s[b]);
                run[k][i] = run[k][i] + (w->head->d[b][w->first + k] * s) * to_floats(sum[k][i]);
                if (f->has_min)
                    run[k][i] = run[k][i] + (w->head->m[b][w->first + k] * s) * v_splat((float)c[i].sum[b]);
            }
    }
}

ALWAYS void wide_runs(const struct quant_format *f, const struct source *w, bool packed, const struct column *c,
                      size_t cols, v_f32 run[QUARTERS][COLS])
{
    v_i32 all[QUARTERS][COLS], sum[QUARTERS][COLS];
    size_t subs = f->block / f->sub;
    for (size_t k = 0; k < QUARTERS; k++)
        for (size_t i = 0; i < cols; i++)
            all[k][i] = (v_i32){0};
#pragma GCC unroll 1
    for (size_t b = 0; b < BLOCKS; b++)
#pragma GCC unroll 2
        for (int g = 0; g < QUADS; g += f->sub / 4) {
            dot_quads(f, w, packed, c, cols, b, g, f->sub / 4, sum);
            for (size_t k = 0; k < QUARTERS; k++)
                for (size_t i = 0; i < cols; i++)
                    all[k][i] += sum[k][i] * w->head->scale[(b * QUADS + (size_t)g) * 4 / f->sub][w->first + k];
        }
    for (size_t k = 0; k < QUARTERS; k++)
        for (size_t i = 0; i < cols; i++) {
            v_f32 s = v_splat(c[i].s[0]);
            run[k][i] = (w->head->d[0][w->first + k] * s) * to_floats(all[k][i]);
            if (!f->has_min)
                continue;
            v_i32 mins = {0};
            for (size_t j = 0; j < subs; j++)
                mins += w->head->min[j][w->first + k] * c[i].sum[j];
            run[k][i] = run[k][i] + (w->head->m[0][w->first + k] * s) * to_floats(mins);
        }
}

/* A run of a tile against `cols` columns, added to total[cols, 16]. */
ALWAYS void group(const struct quant_format *f, struct source w, bool packed, const struct column *c, size_t cols,
                  size_t blocks, float *total)
{
#pragma GCC unroll 1
    for (w.first = 0; w.first < 4; w.first += QUARTERS) {
        v_f32 run[QUARTERS][COLS];
        if (f->input == QUANT_NARROW)
            narrow_runs(f, &w, packed, c, cols, blocks, run);
        else
            wide_runs(f, &w, packed, c, cols, run);
        for (size_t k = 0; k < QUARTERS; k++)
            for (size_t i = 0; i < cols; i++) {
                float *at = total + i * PACK_ROWS + (w.first + k) * 4;
                v_store(at, v_load(at) + run[k][i]);
            }
    }
}

ALWAYS void any_group(const struct quant_format *f, struct source w, bool packed, const struct column *c, size_t cols,
                      size_t blocks, float *total)
{
#if COLS == 4
    if (cols == 4)
        group(f, w, packed, c, 4, blocks, total);
    else if (cols == 3)
        group(f, w, packed, c, 3, blocks, total);
    else
#endif
        if (cols == 2)
        group(f, w, packed, c, 2, blocks, total);
    else
        group(f, w, packed, c, 1, blocks, total);
}

/* -- a tile -- */

ALWAYS void unpack(const struct quant_format *f, const uint8_t *slab, size_t blocks, v_i8 *weight)
{
    for (size_t b = 0; b < blocks; b++, slab += pack_slab_bytes(f))
#pragma GCC unroll 8
        for (int g = 0; g < QUADS; g++)
            for (size_t k = 0; k < 4; k++)
                *weight++ = quad(f, slab, g, k);
}

/* A tile against a strip of columns, first to first + cols; total is [cols, 16]. */
ALWAYS void strip(const struct quant_format *f, const uint8_t *tile, const struct ops_input *x, size_t first,
                  size_t cols, float *total)
{
    v_i8 weight[BLOCKS * QUADS * 4];
    struct head head;
    struct column c[COLS];
    bool packed = cols <= COLS;
    memset(total, 0, cols * PACK_ROWS * sizeof *total);
    for (size_t run = 0; run < quant_runs(x->n); run++) {
        size_t left = (x->n - run * ARITH_RUN) / ARITH_BLOCK, blocks = left < BLOCKS ? left : BLOCKS;
        struct source w = {&head, weight, tile + pack_head_bytes(f, blocks), 0};
        read_head(f, tile, blocks, &head);
        if (!packed)
            unpack(f, w.slabs, blocks, weight);
        for (size_t at = 0; at < cols; at += COLS) {
            size_t n = cols - at < COLS ? cols - at : COLS;
            for (size_t i = 0; i < n; i++)
                read_column(f, x, run, first + at + i, &c[i]);
            if (packed)
                any_group(f, w, true, c, n, blocks, total + at * PACK_ROWS);
            else
                any_group(f, w, false, c, n, blocks, total + at * PACK_ROWS);
        }
        tile += pack_run_bytes(f, blocks);
    }
}

ALWAYS void multiply_packed(const struct quant_format *f, const struct ops_weight *w, size_t first, size_t rows,
                            const struct ops_input *x, float *out, size_t stride)
{
    float total[COLS_STRIP * PACK_ROWS];
    for (size_t done = 0; done < rows; done += PACK_ROWS) {
        size_t count = rows - done < PACK_ROWS ? rows - done : PACK_ROWS;
        const uint8_t *tile = w->packed + (first + done) / PACK_ROWS * pack_tile_bytes(f, w->n);
        for (size_t c = 0; c < x->cols; c += COLS_STRIP) {
            size_t cols = x->cols - c < COLS_STRIP ? x->cols - c : COLS_STRIP;
            strip(f, tile, x, c, cols, total);
            for (size_t i = 0; i < cols; i++) {
                float *to = out + (c + i) * stride + first + done, *from = total + i * PACK_ROWS;
                if (count == PACK_ROWS)
                    memcpy(to, from, PACK_ROWS * sizeof *out); /* of a length that the compiler knows: a few moves */
                else
                    memcpy(to, from, count * sizeof *out);
            }
        }
    }
}

/* -- formats of floats: their rows are as in the file -- */

ALWAYS v_f32 load_weights(enum gguf_tensor_type type, const uint8_t *p)
{
    v_u16x4 raw;
    if (type == GGUF_TENSOR_F32)
        return (v_f32)v_load8(p);
    if (type == GGUF_TENSOR_F16)
        return v_halves(p);
    memcpy(&raw, p, sizeof raw);
    return (v_f32)(__builtin_convertvector(raw, v_u32) << 16);
}

/* The 16 stripes of a row against a column. */
ALWAYS float dot_floats(enum gguf_tensor_type type, const uint8_t *row, const float *x, size_t n)
{
    v_f32 lanes[4] = {{0}, {0}, {0}, {0}};
    float weights[ARITH_LANES] = {0}, values[ARITH_LANES] = {0}, all[ARITH_LANES];
    size_t width = type == GGUF_TENSOR_F32 ? 4 : 2, i = 0;
    for (; i + ARITH_LANES <= n; i += ARITH_LANES)
        for (size_t k = 0; k < 4; k++)
            lanes[k] = lanes[k] + load_weights(type, row + (i + 4 * k) * width) * v_load(x + i + 4 * k);
    if (i < n) {
        quant_read_row(type, row + i * width, n - i, weights);
        memcpy(values, x + i, (n - i) * sizeof *x);
        for (size_t k = 0; k < 4; k++)
            lanes[k] = lanes[k] + v_load(weights + 4 * k) * v_load(values + 4 * k);
    }
    for (size_t k = 0; k < 4; k++)
        v_store(all + 4 * k, lanes[k]);
    return arith_fold(all);
}

ALWAYS void multiply_floats(enum gguf_tensor_type type, const struct ops_weight *w, size_t first, size_t rows,
                            const struct ops_input *x, float *out, size_t stride)
{
    for (size_t r = first; r < first + rows; r++)
        for (size_t c = 0; c < x->cols; c++)
            out[c * stride + r] = dot_floats(type, w->data + r * w->row_bytes, x->f + c * x->n, x->n);
}

#include "inference/kernels/tile_formats.h"

static void vector_multiply(const struct ops_weight *w, size_t first, size_t rows, const struct ops_input *x,
                            float *out, size_t stride)
{
    switch (w->type) {
    case GGUF_TENSOR_F32:
        multiply_floats(GGUF_TENSOR_F32, w, first, rows, x, out, stride);
        return;
    case GGUF_TENSOR_F16:
        multiply_floats(GGUF_TENSOR_F16, w, first, rows, x, out, stride);
        return;
    case GGUF_TENSOR_BF16:
        multiply_floats(GGUF_TENSOR_BF16, w, first, rows, x, out, stride);
        return;
    default:
        multiply_blocked(w, first, rows, x, out, stride);
    }
}
