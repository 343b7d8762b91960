/* The kernels for NEON as every 64-bit ARM has it. */
#include "inference/kernels/ops.h"

#if defined(__aarch64__)

#include "inference/kernels/tile_vector.h"

#include "inference/kernels/rows_vector.h"

const struct ops ops_neon = VECTOR_OPS("neon");
#endif
