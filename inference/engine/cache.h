/* The cache of one sequence: keys and values of every layer and head, int8 in blocks of 32 with a scale each, in pages
 * of ARITH_CHUNK positions. A page holds all layers, so a sequence takes memory as it grows. Whole pages may be shared
 * with other sequences (pages.h): then they are only read.
 *
 *     page = for each layer that has keys of its own, for each of its heads:
 *                k: CHUNK x 32 B int8, v: CHUNK x 32 V int8, in the order of ops_key_at and ops_value_at;
 *                ks[B, CHUNK], vs[V, CHUNK] binary32
 *     B = blocks along a key, V along a value (fewer with a latent), the last one padded with zeros; of a layer by its
 *     struct model_keys, which also says where it begins. A page begins as zeros. */
#ifndef KITH_INFERENCE_CACHE_H
#define KITH_INFERENCE_CACHE_H

#include "inference/engine/model.h"
#include "inference/engine/pages.h"

struct cache {
    const struct model *m;
    size_t from, page_bytes; /* of a page of all layers its pages are page_bytes, `from` on */
    struct pages *store;     /* of the engine */
    struct page **page;
    uint32_t pages, room;
    bool is_shared;
    struct hash key; /* of the pages that are whole, the first `whole` */
    uint32_t whole;
    bool needs_states; /* pages are taken over up to one that has the state of recurrent layers */
};

struct cache_part { /* one layer's and head's part of a page */
    int8_t *k, *v;
    float *ks, *vs;
};

/* The blocks of a key, or a value, of so many elements; what a head of such a layer takes of a page. */
static inline uint32_t cache_blocks(uint32_t n)
{
    return (uint32_t)(quant_padded(n) / ARITH_BLOCK);
}
size_t cache_head_bytes(const struct model_keys *keys);
/* Sets where each layer's keys begin in a page of all layers, by how long they are and how many. */
void cache_place(struct model *m);

void cache_init(struct cache *c, const struct model *m, struct pages *store);
/* Of layers [first, end) only, which read no other's keys. */
void cache_init_layers(struct cache *c, const struct model *m, uint32_t first, uint32_t end, struct pages *store);
void cache_clear(struct cache *c);
/* A page for position `position`, the next one, which will hold what this token makes. */
void cache_reserve(struct cache *c, uint32_t position, uint32_t token);
/* Bytes of a page without its head, of all layers or of [first, end). */
size_t cache_page_bytes(const struct model *m);
size_t cache_layers_bytes(const struct model *m, uint32_t first, uint32_t end);

/* From now on whole pages are shared with those of the same root (pages_root); for an empty cache. */
void cache_share(struct cache *c, const struct hash *root);
/* The position that ends a page was evaluated: it and all before it are finite or not. */
void cache_settle(struct cache *c, uint32_t position, bool finite);
/* Takes over known pages that go on with tokens[n], those of the whole sequence, as far as there are any. Returns how
 * many positions the cache has then; only where it has whole pages and nothing beyond. *known: how many pages were
 * found in all, whether or not they could be taken over. */
uint32_t cache_reuse(struct cache *c, const uint32_t *tokens, uint32_t n, uint32_t *known);
/* The key of the page that position `length`, the next one, lies in, if tokens[n] fill it and it is to be shared. */
bool cache_next_key(const struct cache *c, uint32_t length, const uint32_t *tokens, uint32_t n, struct hash *key);

struct cache_part cache_at(const struct cache *c, uint32_t page, uint32_t layer, uint32_t head);
/* Writes head `head` of position t: key[key_n] and value[value_n] of the layer through ops->quantise. False if one is
 * not finite. */
bool cache_put(struct cache *c, const struct ops *ops, uint32_t position, uint32_t layer, uint32_t head,
               const float *key, const float *value);

#endif
