/* The kernels for AVX-512 with VNNI, which adds four products of bytes in one instruction. */
#include "inference/kernels/ops.h" /* for other processors too: a file says something */
#if defined(__x86_64__)

#define TILE_VNNI
#include "inference/kernels/tile_avx512.h"

#include "inference/kernels/attend_avx512.h"

const struct ops ops_avx512_vnni = AVX512_OPS("avx512");
#endif
