/* Weights as the GPU's kernels read them: the bytes of the file in another order, made on the way to the GPU. */
#ifndef KITH_INFERENCE_CUDA_REPACK_H
#define KITH_INFERENCE_CUDA_REPACK_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Of a matrix of rows of n elements, GGUF's type; a multiple of 256. */
uint64_t repack_bytes(uint32_t type, uint32_t n, uint32_t rows);
/* Rows [first, end) of it, both multiples of REPACK_ROWS (end may be `rows`), from their bytes in the file, rows of
 * `row_bytes`; returns where in the matrix they belong, *bytes how many. out has room for repack_bytes of so many rows.
 */
#define REPACK_ROWS 32u
uint64_t repack_rows(uint32_t type, uint32_t n, uint32_t first, uint32_t end, const uint8_t *file, size_t row_bytes,
                     uint8_t *out, uint64_t *bytes);

#ifdef __cplusplus
}
#endif
#endif
