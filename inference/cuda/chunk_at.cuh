/* Where the chunks of the cache are in the GPU's memory (kernels.h, struct cuda_cache; inference/engine/cache.h). */
#ifndef KITH_INFERENCE_CUDA_CHUNK_AT_CUH
#define KITH_INFERENCE_CUDA_CHUNK_AT_CUH

#include "inference/kernels/chunk.h"
#include "inference/cuda/kernels.h"
#include "inference/cuda/lane.h"

/* A page holds a chunk. Its part of a layer and head: k [CHUNK x 32 B], v [CHUNK x 32 V] int8, ks[B, CHUNK], vs[V, CHUNK];
 * B and V: */
struct chunk_blocks {
    uint32_t keys, values; /* of 32 along a key, and along a value */
};
struct chunk {
    int8_t *k, *v;
    float *ks, *vs;
};

static __host__ __device__ inline uint32_t chunk_bytes(struct chunk_blocks n)
{
    return (uint32_t)(chunk_part_bytes(n.keys) + chunk_part_bytes(n.values));
}

/* The parts of a chunk that begins there. */
LANE struct chunk chunk_of(uint8_t *at, struct chunk_blocks n)
{
    struct chunk out;
    out.k = (int8_t *)at;
    out.v = out.k + ARITH_CHUNK * n.keys * ARITH_BLOCK;
    out.ks = (float *)(out.v + ARITH_CHUNK * n.values * ARITH_BLOCK);
    out.vs = out.ks + ARITH_CHUNK * n.keys;
    return out;
}

/* Of head `head` of keys, chunk `index` of the sequence whose pages begin at page[first]. */
LANE struct chunk chunk_at(const struct cuda_cache *c, uint32_t first, uint32_t index, uint32_t head)
{
    const struct chunk_blocks n = {c->blocks, c->blocks_v};
    uint32_t page = c->page[first + index];
    uint8_t *at = c->slab[page / CUDA_SLAB_PAGES] + page % CUDA_SLAB_PAGES * c->page_bytes + c->layer_at +
                  (size_t)head * chunk_bytes(n);
    return chunk_of(at, n);
}

#endif
