/* Where the chunks of the cache are in the GPU's memory (kernels.h, struct cuda_cache; inference/engine/cache.h). */
#ifndef KITH_INFERENCE_CUDA_CHUNK_AT_CUH
#define KITH_INFERENCE_CUDA_CHUNK_AT_CUH

#include "inference/kernels/chunk.h"
#include "inference/cuda/kernels.h"
#include "inference/cuda/lane.h"

/* A page holds a chunk. Its part of a layer and head: k, v [CHUNK x 32 B] int8 each, ks, vs [B, CHUNK]. */
struct chunk {
    int8_t *k, *v;
    float *ks, *vs;
};

LANE uint32_t chunk_bytes(uint32_t blocks)
{
    return (uint32_t)chunk_head_bytes(blocks);
}

/* The parts of a chunk that begins there. */
LANE struct chunk chunk_of(uint8_t *at, uint32_t blocks)
{
    uint32_t row = ARITH_CHUNK * blocks;
    struct chunk out;
    out.k = (int8_t *)at;
    out.v = out.k + row * ARITH_BLOCK;
    out.ks = (float *)(out.v + row * ARITH_BLOCK);
    out.vs = out.ks + row;
    return out;
}

/* Of head `head` of keys, chunk `index` of the sequence whose pages begin at page[first]. */
LANE struct chunk chunk_at(const struct cuda_cache *c, uint32_t first, uint32_t index, uint32_t head)
{
    uint32_t page = c->page[first + index];
    uint8_t *at = c->slab[page / CUDA_SLAB_PAGES] + page % CUDA_SLAB_PAGES * c->page_bytes + c->layer_at +
                  (size_t)head * chunk_bytes(c->blocks);
    return chunk_of(at, c->blocks);
}

#endif
