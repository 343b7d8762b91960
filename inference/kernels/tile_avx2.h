/* Products of packed weights (inference/kernels/pack.h) for AVX2, without and with AVX-VNNI. */
#ifndef KITH_INFERENCE_TILE_AVX2_H
#define KITH_INFERENCE_TILE_AVX2_H

#include "inference/kernels/ops.h"

/* As ops.multiply, for the blocked formats. */
void tile_avx2_multiply(const struct ops_weight *w, size_t first, size_t rows, const struct ops_input *x, float *out,
                        size_t stride);
void tile_avxvnni_multiply(const struct ops_weight *w, size_t first, size_t rows, const struct ops_input *x, float *out,
                           size_t stride);

#endif
