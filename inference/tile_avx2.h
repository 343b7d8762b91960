/* Products of blocked formats with several columns, for AVX2: the bits of ops_ref.multiply. */
#ifndef KITH_INFERENCE_TILE_AVX2_H
#define KITH_INFERENCE_TILE_AVX2_H

#include "inference/ops.h"

/* As ops.multiply, for Q8_0 and Q4_0. Worth it from a few columns on. */
void tile_avx2_multiply(const struct ops_weight *w, size_t first, size_t rows, const struct ops_input *x, float *out,
                        size_t stride);

#endif
