/* The kernels for AVX-512 (F, BW, DQ, VL) without VNNI. */
#include "inference/kernels/ops.h" /* for other processors too: a file says something */
#if defined(__x86_64__)

#include "inference/kernels/tile_avx512.h"

#include "inference/kernels/attend_avx512.h"

const struct ops ops_avx512 = AVX512_OPS("avx512bw");
#endif
