/* The kernels for NEON with dot products of bytes (ARMv8.2). */
#include "inference/kernels/ops.h"

#if defined(__aarch64__)

#define TILE_DOT
#include "inference/kernels/tile_vector.h"

#include "inference/kernels/rows_vector.h"

const struct ops ops_neon_dot = VECTOR_OPS("neondot");
#endif
