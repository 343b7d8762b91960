/* The cache of one sequence: keys and values of every layer and head, int8 in blocks of 32 with a scale each, in pages
 * of ARITH_CHUNK positions. A page holds all layers, so a sequence takes memory as it grows.
 *
 *     page = for each layer, for each of heads_kv:
 *                k, v: CHUNK x 32 B int8 each, in the order of ops_key_at and ops_value_at;
 *                ks[B, CHUNK], vs[B, CHUNK] binary32
 *     B = blocks along a head, the last one padded with zeros. A page begins as zeros. */
#ifndef KITH_INFERENCE_CACHE_H
#define KITH_INFERENCE_CACHE_H

#include "inference/model.h"

struct cache {
    uint32_t blocks, heads_kv, layers;
    size_t head_bytes, page_bytes;
    uint8_t **page;
    uint32_t pages, room;
};

struct cache_part { /* one layer's and head's part of a page */
    int8_t *k, *v;
    float *ks, *vs;
};

void cache_init(struct cache *c, const struct model *m);
void cache_clear(struct cache *c);
/* Pages for positions below `end`. */
void cache_reserve(struct cache *c, uint32_t end);
size_t cache_page_bytes(const struct model *m);
struct cache_part cache_at(const struct cache *c, uint32_t page, uint32_t layer, uint32_t head);
/* Writes head `head` of position t: key[head_n] and value[head_n] through ops->quantise. False if one is not finite. */
bool cache_put(struct cache *c, const struct ops *ops, uint32_t position, uint32_t layer, uint32_t head,
               const float *key, const float *value, size_t head_n);

#endif
