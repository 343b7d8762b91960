/* Weights as the fast kernels read them: the same bits in another order, made once from the file.
 *
 * 16 rows form a tile. A tile is a sequence of runs (256 elements; the last may be short, in whole blocks of 32), and
 * a run of 8 blocks of 32 is
 *
 *     narrow formats:  d[blocks][16], m[blocks][16]            in 16 bits (quant_scale_bits); m only where there are
 * minimums wide formats:    d[16], m[16], scales, minimums          m is as in the file, to be negated zeros up to a
 * multiple of 64 slab[blocks]                                             32 elements of 16 rows
 *
 * Byte 4 r + j of a register of 64 bytes belongs to row r, so a register of codes is 4 neighbouring elements (a
 * quad) of 16 rows, and a slab has 8 quads:
 *
 *     8 bits:   quad[8][64]
 *     4, 5, 6:  low[4][64]: quad g in the low nibbles of low[g], quad g + 4 in the high ones; then
 *     2, 3, 6:  pair[2][64]: quad g in bits 2 (g % 4) and the next of pair[g / 4]; then
 *     5, 3:     one[64]: quad g in bit g
 *
 * Scales of 8 bits: [subs][16]. Of 4 bits (with minimums): [subs][16], scale | min << 4. Of 6 bits, s = scale +
 * scale_under: low[subs / 2][16]: low four bits of s[p] and, above, of s[p + subs / 2]; high[subs / 4][16]: the
 * upper two bits of s[4 h + i] in bits 2 i; minimums the same way behind. Rows behind the last are zeros.
 *
 * So a packed tensor takes what it takes in the file, to a per cent or two (padding; 16 bits for an exponent of 8). */
#ifndef KITH_INFERENCE_PACK_H
#define KITH_INFERENCE_PACK_H

#include "inference/kernels/quant.h"

#define PACK_ROWS    16
#define PACK_VERSION 1 /* of this layout; kept copies of another are made again */

/* Bytes in front of a run's slabs; `blocks` of 32 in the run. */
static inline size_t pack_head_bytes(const struct quant_format *f, size_t blocks)
{
    size_t halves = f->input == QUANT_NARROW ? blocks : 1,
           subs = f->input == QUANT_NARROW ? 0 : (size_t)(f->block / f->sub);
    size_t scales = f->scale_bits == 6 ? subs * 12u * (1u + f->has_min) : f->scale_bits ? subs * 16u : 0;
    return (halves * 32u * (1u + f->has_min) + scales + 63) / 64 * 64;
}

static inline size_t pack_slab_bytes(const struct quant_format *f)
{
    return f->bits * 64u;
}

static inline size_t pack_run_bytes(const struct quant_format *f, size_t blocks)
{
    return pack_head_bytes(f, blocks) + blocks * pack_slab_bytes(f);
}

/* A tile of rows of n elements. */
size_t pack_tile_bytes(const struct quant_format *f, size_t n);
/* A matrix of so many rows. */
uint64_t pack_matrix_bytes(const struct quant_format *f, size_t n, uint64_t rows);

/* out[n] = row `row` of a packed matrix, the values that quant_read_row gives. */
void pack_read_row(const struct quant_format *f, const uint8_t *matrix, size_t n, uint64_t row, float *out);

/* The packed form of all tensors of a file that have one, in one piece of memory; the matrices of a tensor of three
 * dimensions one behind the other. */
struct pack;
/* Finds places only; pack_bytes says how much memory the rest needs. */
struct pack *pack_new(const struct gguf *file);
void pack_free(struct pack *p);
uint64_t pack_bytes(const struct pack *p);
/* Layers [first, end) are evaluated elsewhere, or with `ends` what belongs to no layer is: in memory their weights are
 * left out until somebody needs them after all. In a file all are kept. */
void pack_leave(struct pack *p, uint32_t first, uint32_t end);
void pack_leave_ends(struct pack *p);
bool pack_is_left(const struct pack *p, const struct gguf_tensor *t);
/* Of pack_bytes what is not left out; and of the file, tensors that are. */
uint64_t pack_bytes_here(const struct pack *p);
uint64_t pack_left_source_bytes(const struct pack *p);
/* Memory of pack_bytes, aligned to 64: made by pack_fill, or kept from an earlier time. Borrowed until pack_free. */
void pack_set_memory(struct pack *p, uint8_t *base);
void pack_fill(struct pack *p);
/* Or in pieces: where in that memory a tensor's packed form begins, PACK_NOWHERE if it has none; how many tiles it has;
 * and tiles [first, end) of them, to out. Any thread, any order. */
#define PACK_NOWHERE UINT64_MAX
uint64_t pack_place(const struct pack *p, const struct gguf_tensor *t);
uint64_t pack_tensor_tiles(const struct gguf_tensor *t);
void pack_tensor_fill(const struct gguf_tensor *t, uint64_t first, uint64_t end, uint8_t *out);
/* Whether every weight of the file was found finite when the memory was filled, so that nobody need look again. */
void pack_set_checked(struct pack *p, bool is_checked);
bool pack_is_checked(const struct pack *p);
/* Bytes of the file that need not be read any more; of what is not left out. */
uint64_t pack_source_bytes(const struct pack *p);
/* Where a tensor's packed form begins; NULL where it is used as it is in the file, as formats of floats are. */
const uint8_t *pack_find(const struct pack *p, const struct gguf_tensor *t);
/* One matrix; for tests and benches. */
void pack_matrix(const struct quant_format *f, const uint8_t *data, size_t n, size_t rows, uint8_t *out);

#endif
