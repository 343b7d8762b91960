/* The kernels for WebAssembly with vectors of 128 bits. */
<<<<<<< HEAD
#include "inference/ops.h" /* for other processors too: a file says something */
=======
#include "inference/ops.h"

>>>>>>> main
#if defined(__wasm_simd128__)

#include "inference/tile_vector.h"

#include "inference/rows_vector.h"

const struct ops ops_wasm = VECTOR_OPS("wasm");
#endif
