/* Packing; see the header for the layout. */
#include "inference/kernels/pack.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

static size_t min_of(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t pack_tile_bytes(const struct quant_format *f, size_t n)
{
    size_t rest = n % ARITH_RUN / ARITH_BLOCK;
    return n / ARITH_RUN * pack_run_bytes(f, ARITH_RUN / ARITH_BLOCK) + (rest ? pack_run_bytes(f, rest) : 0);
}

uint64_t pack_matrix_bytes(const struct quant_format *f, size_t n, uint64_t rows)
{
    return (rows + PACK_ROWS - 1) / PACK_ROWS * pack_tile_bytes(f, n);
}

/* -- one row of a run -- */

/* The four codes of a quad, as they lie in a register. */
static uint32_t quad_of(const uint8_t *code)
{
    uint32_t v;
    memcpy(&v, code, sizeof v);
    return v;
}

static void merge(uint8_t *at, uint32_t bits)
{
    uint32_t v;
    memcpy(&v, at, sizeof v);
    v |= bits;
    memcpy(at, &v, sizeof v);
}

/* 32 codes of row r into a slab of zeros. */
static void put_codes(unsigned bits, const uint8_t *code, size_t r, uint8_t *slab)
{
    uint8_t *pairs = slab + (bits >= 4 ? 256 : 0), *ones = pairs + (bits == 3 ? 128 : 0);
    for (unsigned g = 0; g < 8; g++) {
        uint32_t q = quad_of(code + 4 * g);
        if (bits == 8) {
            merge(slab + 64 * g + 4 * r, q);
            continue;
        }
        if (bits >= 4)
            merge(slab + 64 * (g % 4) + 4 * r, (q & 0x0F0F0F0Fu) << (g / 4 * 4));
        if (bits == 6 || bits <= 3)
            merge(pairs + 64 * (g / 4) + 4 * r, (q >> (bits == 6 ? 4 : 0) & 0x03030303u) << (g % 4 * 2));
        if (bits == 5 || bits == 3)
            merge(ones + 4 * r, (q >> (bits - 1) & 0x01010101u) << g);
    }
}

/* `subs` values of 6 bits of row r; returns what lies behind them. */
static uint8_t *put_sixes(const uint8_t *value, size_t subs, size_t r, uint8_t *at)
{
    uint8_t *high = at + subs / 2 * 16;
    for (size_t j = 0; j < subs; j++) {
        at[j % (subs / 2) * 16 + r] |= (uint8_t)((value[j] & 15) << (j / (subs / 2) * 4));
        high[j / 4 * 16 + r] |= (uint8_t)((value[j] >> 4 & 3) << (j % 4 * 2));
    }
    return high + subs / 4 * 16;
}

static void put_scales(const struct quant_format *f, const struct quant_block *b, size_t r, uint8_t *at)
{
    size_t subs = f->block / f->sub;
    uint8_t value[QUANT_SUBS_MAX];
    for (size_t j = 0; j < subs; j++)
        value[j] = (uint8_t)(b->scale[j] + f->scale_under);
    if (f->scale_bits == 6) {
        at = put_sixes(value, subs, r, at);
        if (f->has_min)
            put_sixes(b->min, subs, r, at);
        return;
    }
    for (size_t j = 0; j < subs; j++)
        at[16 * j + r] = (uint8_t)(f->scale_bits == 4 ? value[j] | b->min[j] << 4 : value[j]);
}

/* One row's part of a run of `blocks` x 32 elements, which were zeros. */
static void put_run(const struct quant_format *f, const uint8_t *row, size_t blocks, size_t r, uint8_t *out)
{
    bool narrow = f->input == QUANT_NARROW;
    size_t halves = narrow ? blocks : 1;
    uint8_t *slab = out + pack_head_bytes(f, blocks), *m = out + 32 * halves;
    struct quant_block b;
    for (size_t i = 0; i < halves; i++, row += f->bytes) {
        const uint8_t *half = row + quant_scale_at(f);
        quant_read_block(f, row, &b);
        store_le16(out + 32 * i + 2 * r, quant_scale_bits(f, row));
        if (f->has_min)
            memcpy(m + 32 * i + 2 * r, half + 2, 2);
        if (f->scale_bits)
            put_scales(f, &b, r, m + (f->has_min ? 32 : 0));
        for (size_t k = 0; k < f->block / ARITH_BLOCK; k++, slab += pack_slab_bytes(f))
            put_codes(f->bits, b.code + ARITH_BLOCK * k, r, slab);
    }
}

/* -- and back -- */

static uint32_t word_at(const uint8_t *p, unsigned shift, uint32_t mask)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v >> shift & mask;
}

/* What put_codes has put. */
static void get_codes(unsigned bits, const uint8_t *slab, size_t r, uint8_t *code)
{
    const uint8_t *row = slab + 4 * r, *pairs = row + (bits >= 4 ? 256 : 0), *ones = pairs + (bits == 3 ? 128 : 0);
    for (unsigned g = 0; g < 8; g++) {
        uint32_t q = 0;
        if (bits == 8)
            q = word_at(row + 64 * g, 0, UINT32_MAX);
        else if (bits >= 4)
            q = word_at(row + 64 * (g % 4), g / 4 * 4, 0x0F0F0F0Fu);
        if (bits == 6 || bits <= 3)
            q |= word_at(pairs + 64 * (g / 4), g % 4 * 2, 0x03030303u) << (bits == 6 ? 4 : 0);
        if (bits == 5 || bits == 3)
            q |= word_at(ones, g, 0x01010101u) << (bits - 1);
        memcpy(code + 4 * g, &q, sizeof q);
    }
}

static const uint8_t *get_sixes(const uint8_t *at, size_t subs, size_t r, uint8_t *value)
{
    const uint8_t *high = at + subs / 2 * 16;
    for (size_t j = 0; j < subs; j++)
        value[j] = (uint8_t)((at[j % (subs / 2) * 16 + r] >> (j / (subs / 2) * 4) & 15) |
                             (high[j / 4 * 16 + r] >> (j % 4 * 2) & 3) << 4);
    return high + subs / 4 * 16;
}

static void get_scales(const struct quant_format *f, const uint8_t *at, size_t r, struct quant_block *b)
{
    size_t subs = f->block / f->sub;
    uint8_t value[QUANT_SUBS_MAX];
    if (f->scale_bits == 6) {
        at = get_sixes(at, subs, r, value);
        if (f->has_min)
            get_sixes(at, subs, r, b->min);
    } else {
        for (size_t j = 0; j < subs; j++) {
            value[j] = at[16 * j + r] & (f->scale_bits == 4 ? 15 : 255);
            b->min[j] = at[16 * j + r] >> 4; /* of 4 bits; others have none */
        }
    }
    for (size_t j = 0; j < subs; j++)
        b->scale[j] = (int8_t)(value[j] - f->scale_under);
}

/* Row r of a run of `blocks` x 32 elements. */
static void read_run(const struct quant_format *f, const uint8_t *run, size_t blocks, size_t r, float *out)
{
    const bool narrow = f->input == QUANT_NARROW;
    const size_t halves = narrow ? blocks : 1;
    const uint8_t *slab = run + pack_head_bytes(f, blocks), *m = run + 32 * halves;
    struct quant_block b = {0};
    memset(b.scale, 1, sizeof b.scale);
    memset(b.min, f->has_min, sizeof b.min);
    for (size_t i = 0; i < halves; i++, out += f->block) {
        b.d = quant_scale(f, load_le16(run + 32 * i + 2 * r));
        if (f->has_min)
            b.m = narrow ? arith_half(load_le16(m + 32 * i + 2 * r)) : -arith_half(load_le16(m + 2 * r));
        if (f->scale_bits)
            get_scales(f, m + (f->has_min ? 32 : 0), r, &b);
        for (size_t k = 0; k < f->block / ARITH_BLOCK; k++, slab += pack_slab_bytes(f))
            get_codes(f->bits, slab, r, b.code + ARITH_BLOCK * k);
        quant_block_values(f, &b, out);
    }
}

void pack_read_row(const struct quant_format *f, const uint8_t *matrix, size_t n, uint64_t row, float *out)
{
    const uint8_t *run = matrix + row / PACK_ROWS * pack_tile_bytes(f, n);
    for (size_t from = 0; from < n; from += ARITH_RUN) {
        size_t blocks = min_of(n - from, ARITH_RUN) / ARITH_BLOCK;
        read_run(f, run, blocks, row % PACK_ROWS, out + from);
        run += pack_run_bytes(f, blocks);
    }
}

/* -- tiles -- */

static void put_tile(const struct quant_format *f, const uint8_t *data, size_t n, size_t rows, uint8_t *out)
{
    size_t row_bytes = quant_row_bytes(f->type, n), per_run = quant_row_bytes(f->type, ARITH_RUN);
    memset(out, 0, pack_tile_bytes(f, n));
    for (size_t from = 0; from < n; from += ARITH_RUN) {
        size_t blocks = min_of(n - from, ARITH_RUN) / ARITH_BLOCK;
        for (size_t r = 0; r < rows; r++)
            put_run(f, data + r * row_bytes + from / ARITH_RUN * per_run, blocks, r, out);
        out += pack_run_bytes(f, blocks);
    }
}

void pack_matrix(const struct quant_format *f, const uint8_t *data, size_t n, size_t rows, uint8_t *out)
{
    size_t row_bytes = quant_row_bytes(f->type, n);
    for (size_t r = 0; r < rows; r += PACK_ROWS, out += pack_tile_bytes(f, n))
        put_tile(f, data + r * row_bytes, n, min_of(rows - r, PACK_ROWS), out);
}

/* -- whole files -- */

/* Of these a token reads one row: an embedding, unless it is the output too, and one of all layers. */
static bool is_read_by_rows(const struct gguf *file, const struct gguf_tensor *t)
{
    return strcmp(t->name, "per_layer_token_embd.weight") == 0 ||
           (strcmp(t->name, "token_embd.weight") == 0 && gguf_find_tensor(file, "output.weight"));
}

/* The format of a tensor that is packed, or NULL. */
static const struct quant_format *packed_format(const struct gguf *file, const struct gguf_tensor *t)
{
    const struct quant_format *f = quant_format(t->type);
    if (!f || f->input == QUANT_FLOATS || t->data.p == NULL)
        return NULL;
    return is_read_by_rows(file, t) ? NULL : f;
}

uint64_t pack_tensor_tiles(const struct gguf_tensor *t)
{
    return (t->dims[1] + PACK_ROWS - 1) / PACK_ROWS * t->dims[2] * t->dims[3];
}

struct pack {
    const struct gguf *file;
    uint64_t *at;  /* [tensors], PACK_NOWHERE: not packed */
    bool *is_left; /* [tensors] */
    uint64_t bytes, source_bytes, left_bytes, left_source_bytes;
    uint8_t *base;
    bool is_checked;
};

struct pack *pack_new(const struct gguf *file)
{
    size_t n = gguf_tensor_count(file);
    struct pack *p = mem_new(sizeof *p);
    p->file = file;
    p->at = mem_array(n ? n : 1, sizeof *p->at);
    p->is_left = mem_array(n ? n : 1, sizeof *p->is_left);
    for (size_t i = 0; i < n; i++) {
        const struct gguf_tensor *t = gguf_tensor(file, i);
        const struct quant_format *f = packed_format(file, t);
        p->at[i] = f ? p->bytes : PACK_NOWHERE;
        if (!f)
            continue;
        p->bytes += pack_tensor_tiles(t) * pack_tile_bytes(f, (size_t)t->dims[0]);
        p->source_bytes += t->size;
    }
    return p;
}

void pack_free(struct pack *p)
{
    if (!p)
        return;
    free(p->at);
    free(p->is_left);
    free(p);
}

/* The layer of a tensor "blk.N.what"; false of one that belongs to none. */
static bool layer_of(const struct gguf_tensor *t, uint32_t *layer)
{
    char *rest;
    if (strncmp(t->name, "blk.", 4) != 0 || t->name[4] < '0' || t->name[4] > '9')
        return false;
    unsigned long n = strtoul(t->name + 4, &rest, 10);
    *layer = n < LAYERS_MAX ? (uint32_t)n : LAYERS_MAX;
    return *rest == '.';
}

static void leave(struct pack *p, size_t i)
{
    const struct gguf_tensor *t = gguf_tensor(p->file, i);
    if (p->is_left[i])
        return;
    p->is_left[i] = true;
    p->left_source_bytes += t->size;
    if (p->at[i] == PACK_NOWHERE)
        return;
    p->left_bytes += pack_tensor_tiles(t) * pack_tile_bytes(quant_format(t->type), (size_t)t->dims[0]);
    p->source_bytes -= t->size;
}

void pack_leave(struct pack *p, uint32_t first, uint32_t end)
{
    uint32_t layer;
    for (size_t i = 0; i < gguf_tensor_count(p->file); i++)
        if (layer_of(gguf_tensor(p->file, i), &layer) && layer >= first && layer < end)
            leave(p, i);
}

void pack_leave_ends(struct pack *p)
{
    uint32_t layer;
    for (size_t i = 0; i < gguf_tensor_count(p->file); i++)
        if (!layer_of(gguf_tensor(p->file, i), &layer))
            leave(p, i);
}

bool pack_is_left(const struct pack *p, const struct gguf_tensor *t)
{
    return p->is_left[t - gguf_tensor(p->file, 0)];
}

uint64_t pack_bytes_here(const struct pack *p)
{
    return p->bytes - p->left_bytes;
}

uint64_t pack_left_source_bytes(const struct pack *p)
{
    return p->left_source_bytes;
}

uint64_t pack_bytes(const struct pack *p)
{
    return p->bytes;
}

void pack_set_memory(struct pack *p, uint8_t *base)
{
    p->base = base;
}

void pack_set_checked(struct pack *p, bool is_checked)
{
    p->is_checked = is_checked;
}

bool pack_is_checked(const struct pack *p)
{
    return p->is_checked;
}

uint64_t pack_source_bytes(const struct pack *p)
{
    return p->source_bytes;
}

uint64_t pack_place(const struct pack *p, const struct gguf_tensor *t)
{
    return p->at[t - gguf_tensor(p->file, 0)];
}

const uint8_t *pack_find(const struct pack *p, const struct gguf_tensor *t)
{
    uint64_t at = pack_place(p, t);
    return at == PACK_NOWHERE ? NULL : p->base + at;
}

void pack_tensor_fill(const struct gguf_tensor *t, uint64_t first, uint64_t end, uint8_t *out)
{
    const struct quant_format *f = quant_format(t->type);
    size_t n = (size_t)t->dims[0], tile_bytes = pack_tile_bytes(f, n);
    uint64_t rows = t->dims[1], per_matrix = (rows + PACK_ROWS - 1) / PACK_ROWS;
    for (uint64_t i = first; i < end; i++, out += tile_bytes) {
        uint64_t row = i % per_matrix * PACK_ROWS, start = i / per_matrix * rows + row;
        put_tile(f, t->data.p + start * quant_row_bytes(t->type, n), n, min_of((size_t)(rows - row), PACK_ROWS), out);
    }
}

void pack_fill(struct pack *p)
{
    for (size_t i = 0; i < gguf_tensor_count(p->file); i++)
        if (p->at[i] != PACK_NOWHERE) {
            const struct gguf_tensor *t = gguf_tensor(p->file, i);
            pack_tensor_fill(t, 0, pack_tensor_tiles(t), p->base + p->at[i]);
        }
}
