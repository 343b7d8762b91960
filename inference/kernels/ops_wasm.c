/* The kernels for WebAssembly with vectors of 128 bits. */
#include "inference/kernels/ops.h"

#if defined(__wasm_simd128__)

#include "inference/kernels/tile_vector.h"

#include "inference/kernels/rows_vector.h"

const struct ops ops_wasm = VECTOR_OPS("wasm");
#endif
