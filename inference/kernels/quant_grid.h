/* Formats by grids: a file names the sizes of 8 or 4 weights at once by their place in a list of the format (its grid),
 * and keeps signs apart. Bytes and lists are the formats' (ggml's block_iq*); what they mean is docs/arithmetic.md. */
#ifndef KITH_INFERENCE_QUANT_GRID_H
#define KITH_INFERENCE_QUANT_GRID_H

#include "inference/kernels/quant.h"

/* A block of 256 of such a format from its bytes in the file; as quant_read_block. */
void quant_grid_read(const struct quant_format *f, const uint8_t *p, struct quant_block *out);
/* The binary16 of IQ1_M, from the upper bits of its four words of scales. */
uint16_t quant_grid_scale(const uint8_t *block);

/* Places in a table, the first in the lowest bits: 8 of 2 bits, or 4 of 3 bits. */
extern const uint16_t quant_grid_iq1[2048], quant_grid_iq2_xxs[256], quant_grid_iq2_xs[512], quant_grid_iq2_s[1024],
    quant_grid_iq3_xxs[256], quant_grid_iq3_s[512];

#endif
