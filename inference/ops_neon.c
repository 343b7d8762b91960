/* The kernels for NEON as every 64-bit ARM has it. */
#include "inference/ops.h"

#if defined(__aarch64__)

#include "inference/tile_vector.h"

#include "inference/rows_vector.h"

const struct ops ops_neon = VECTOR_OPS("neon");
#endif
