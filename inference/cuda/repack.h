/* Weights as the GPU's kernels read them: the bits of the file in another order, made on the way to the GPU.
 *
 * Blocked formats: 32 rows form a tile, a tile is a sequence of runs (256 elements; the last may be short, and is
 * padded with zeros). In a run each of the 32 lanes of a warp finds its row in pieces, and the same piece of all lanes
 * stands together, so that a warp reads neighbouring bytes:
 *
 *     codes  [2 bits][32][16 bytes]
 *     head   [0..2][32][16 bytes]
 *     tail   [32][0, 2, 4 or 8 bytes]
 *
 * Codes are words of four bytes, byte j belonging to element j of a quad (4 neighbouring elements); 8 blocks of 32
 * elements have 8 quads each. Word w of a row is in piece w / 4:
 *
 *     8 bits:   quad[64], signed
 *     4, 5, 6:  low[8][4]: quad g of a block in the low nibbles of low[g], quad g + 4 in the high ones; then
 *     2, 3, 6:  pair[8][2]: quad g in bits 2 (g % 4) and the next of pair[g / 4]; then
 *     5, 3:     one[8]: quad g in bit g
 *
 * Narrow formats have heads of 8 of 16 bits (quant_scale_bits): d of the blocks, and m where there are minimums. Wide
 * ones keep the bytes of the file: Q4_K and Q5_K d, m, scales[12]; Q3_K scales[12], d, 2 zeros; Q6_K scales[16], tail
 * d; Q2_K scales[16], tail d, m; IQ4_XS only a tail of 8.
 *
 * Formats by grids are one (known as IQ2_S): weights of one of eight sizes, 4 bits: its place, and 8 more where it is
 * negative. Their head is d in binary32, scales[8], and the table's number from QUANT_GRID_1 on. The scales of 16
 * weights each are odd, 2 s + 1: s of scale j is in the low half of byte j of scales, of scale 8 + j in the high one.
 *
 * Formats of floats: 4 rows and groups of 128 bytes of a row form a piece of 32 lanes; see repack_float_at. */
#ifndef KITH_INFERENCE_CUDA_REPACK_H
#define KITH_INFERENCE_CUDA_REPACK_H

#include "inference/kernels/quant.h"

#ifdef __cplusplus
#define REPACK_FACT static constexpr
extern "C" {
#else
#define REPACK_FACT static inline
#endif

#define REPACK_ROWS 32u

/* Pieces of 16 bytes, and the rest, of a row in a run. */
REPACK_FACT uint32_t repack_codes(const struct quant_format *f)
{
    return 2u * f->bits;
}
REPACK_FACT bool repack_is_grid(const struct quant_format *f)
{
    return f->table >= QUANT_GRID_1;
}
REPACK_FACT uint32_t repack_heads(const struct quant_format *f)
{
    return f->input == QUANT_NARROW ? 1u + f->has_min : f->table && !repack_is_grid(f) ? 0u : 1u;
}
REPACK_FACT uint32_t repack_tail(const struct quant_format *f)
{
    return f->input == QUANT_NARROW || repack_is_grid(f) ? 0u
           : f->table                                    ? 8u
           : f->scale_bits == 4                          ? 4u
           : f->scale_bits == 8                          ? 2u
                                                         : 0u;
}
/* Bytes of a run of 32 rows. */
REPACK_FACT uint32_t repack_run(const struct quant_format *f)
{
    return REPACK_ROWS * (16u * (repack_codes(f) + repack_heads(f)) + repack_tail(f));
}

/* Formats of floats: elements of a row in a group of 128 bytes, and where element i of row r stands. Lane 8 (r % 4) +
 * i % 16 / 2 has both its stripes (i mod 16) of the row's group: so a lane is one of 8 for a row. */
REPACK_FACT uint32_t repack_group(uint32_t bytes)
{
    return 128u / bytes;
}
REPACK_FACT uint64_t repack_float_at(uint32_t bytes, uint32_t n, uint32_t r, uint32_t i)
{
    uint32_t group = repack_group(bytes), groups = (n + group - 1) / group;
    uint64_t piece = ((uint64_t)(r / 4) * groups + i / group) * 32 + r % 4 * 8 + i % 16 / 2;
    return piece * 16 + (i % group / 16 * 2 + i % 2) * bytes;
}

/* The formats that kernels have, E as in quant.h, and which of them a format of the file is repacked to. */
#define REPACK_GRID(E) E(IQ2_S, QUANT_WIDE, 256, 82, 4, 16, 6, 0, 43, false, QUANT_GRID_2, false, 3)
#define REPACK_LIST(E) QUANT_PLAIN_LIST(E) REPACK_GRID(E)
uint32_t repack_type(uint32_t type);

/* Of a matrix of rows of n elements, GGUF's type; a multiple of 256. */
uint64_t repack_bytes(uint32_t type, uint32_t n, uint32_t rows);
/* Where row `first` of it begins, a multiple of REPACK_ROWS. */
uint64_t repack_at(uint32_t type, uint32_t n, uint32_t first);
/* So many rows from such a one on, from their bytes in the file, rows of `row_bytes`; they are a multiple of
 * REPACK_ROWS or the matrix's last. Returns how many bytes of `out` they became: whole tiles. */
uint64_t repack_rows(uint32_t type, uint32_t n, uint32_t rows, const uint8_t *file, size_t row_bytes, uint8_t *out);

#ifdef __cplusplus
}
#endif
#endif
