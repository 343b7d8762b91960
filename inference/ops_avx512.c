/* The kernels for AVX-512 (F, BW, DQ, VL) without VNNI. */
#include "inference/ops.h" /* for other processors too: a file says something */
#if defined(__x86_64__)

#include "inference/tile_avx512.h"

#include "inference/attend_avx512.h"

const struct ops ops_avx512 = {
    .name = "avx512bw",
    .wants_packed = true,
    .quantise = avx2_quantise,
    .quantise_wide = avx2_quantise_wide,
    .sum_run = avx2_sum_run,
    .finite = avx2_finite,
    .multiply = tile_multiply,
    .norm = avx2_norm,
    .layer_norm = avx2_layer_norm,
    .gated_silu = tile_gated_silu,
    .gated_gelu = avx2_gated_gelu,
    .gelu = avx2_gelu,
    .rotate = avx2_rotate,
    .rotate_halves = avx2_rotate_halves,
    .add = avx2_add,
    .add_scaled = avx2_add_scaled,
    .scale = avx2_scale,
    .soft_cap = avx2_soft_cap,
    .scores = tile_scores,
    .peak = tile_peak,
    .exponentials = tile_exponentials,
    .weigh = tile_weigh,
};
#endif
