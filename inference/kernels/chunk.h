/* How a chunk of a head lies in the cache, here and on a GPU, so that four neighbours of 16 lanes fill a register: keys
 * [B, 8, CHUNK, 4], four elements of every position, values [B, CHUNK / 4, 32, 4], four positions of every element. */
#ifndef KITH_INFERENCE_CHUNK_H
#define KITH_INFERENCE_CHUNK_H

#include "inference/kernels/arith.h"

/* Element i of block b at position t of the chunk. */
ARITH_INLINE size_t ops_key_at(size_t b, size_t t, size_t i)
{
    return ((b * (ARITH_BLOCK / 4) + i / 4) * ARITH_CHUNK + t) * 4 + i % 4;
}
ARITH_INLINE size_t ops_value_at(size_t b, size_t t, size_t i)
{
    return ((b * (ARITH_CHUNK / 4) + t / 4) * ARITH_BLOCK + i) * 4 + t % 4;
}

/* One head's part of a chunk: keys or values with their scales; both, of the same length. */
ARITH_INLINE size_t chunk_part_bytes(size_t blocks)
{
    return (size_t)ARITH_CHUNK * blocks * (ARITH_BLOCK + sizeof(float));
}
ARITH_INLINE size_t chunk_head_bytes(size_t blocks)
{
    return 2 * chunk_part_bytes(blocks);
}

#endif
