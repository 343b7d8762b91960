/* The kernels of tile_avx2_body.h for AVX2. */
#include "inference/kernels/ops.h" /* for other processors too: a file says something */
#if defined(__x86_64__)

#include "inference/kernels/tile_avx2.h"

#include "inference/kernels/tile_avx2_body.h"

void tile_avx2_multiply(const struct ops_weight *w, size_t first, size_t rows, const struct ops_input *x, float *out,
                        size_t stride)
{
    multiply_blocked(w, first, rows, x, out, stride);
}

#endif
