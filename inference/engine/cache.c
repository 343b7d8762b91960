/* Pages of keys and values. */
#include "inference/engine/cache.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define HEAD_BLOCKS_MAX (EMBED_MAX / ARITH_BLOCK)

size_t cache_head_bytes(const struct model_keys *keys)
{
    return chunk_part_bytes(cache_blocks(keys->key_n)) + chunk_part_bytes(cache_blocks(keys->value_n));
}

/* What a layer adds to a page: nothing where it has none, or reads another's. */
static size_t layer_bytes(const struct model *m, uint32_t layer)
{
    const struct model_keys *keys = &m->layer[layer].keys;
    return keys->of == layer ? cache_head_bytes(keys) * keys->heads : 0;
}

void cache_place(struct model *m)
{
    size_t at = 0;
    for (uint32_t i = 0; i < m->layers; i++) {
        struct model_keys *keys = &m->layer[i].keys;
        CHECK(keys->of <= i);
        keys->at = keys->of == i ? at : m->layer[keys->of].keys.at;
        at += layer_bytes(m, i);
    }
}

void cache_init_layers(struct cache *c, const struct model *m, uint32_t first, uint32_t end, struct pages *store)
{
    *c = (struct cache){
        .m = m, .from = m->layer[first].keys.at, .page_bytes = cache_layers_bytes(m, first, end), .store = store};
}

void cache_init(struct cache *c, const struct model *m, struct pages *store)
{
    cache_init_layers(c, m, 0, m->layers, store);
    c->needs_states = m->layers_recurrent > 0;
}

size_t cache_layers_bytes(const struct model *m, uint32_t first, uint32_t end)
{
    size_t bytes = 0;
    for (uint32_t i = first; i < end; i++)
        bytes += layer_bytes(m, i);
    return bytes;
}

size_t cache_page_bytes(const struct model *m)
{
    return cache_layers_bytes(m, 0, m->layers);
}

/* The last page first: pages.h, 3. */
void cache_clear(struct cache *c)
{
    while (c->pages > 0)
        pages_drop(c->store, c->page[--c->pages]);
    free(c->page);
    c->page = NULL;
    c->room = 0;
}

static void add_page(struct cache *c, struct page *page)
{
    if (c->pages == c->room) {
        c->room = c->room ? 2 * c->room : 8;
        c->page = mem_resize(c->page, c->room, sizeof *c->page);
    }
    c->page[c->pages++] = page;
}

void cache_reserve(struct cache *c, uint32_t position, uint32_t token)
{
    while (c->pages <= position / ARITH_CHUNK)
        add_page(c, pages_take(c->store));
    c->page[position / ARITH_CHUNK]->tokens[position % ARITH_CHUNK] = token;
}

/* -- sharing -- */

void cache_share(struct cache *c, const struct hash *root)
{
    CHECK(c->pages == 0);
    c->is_shared = true;
    c->key = *root;
}

void cache_settle(struct cache *c, uint32_t position, bool finite)
{
    if (!c->is_shared || position % ARITH_CHUNK != ARITH_CHUNK - 1)
        return;
    CHECK(c->whole == position / ARITH_CHUNK);
    if (!finite) {
        c->is_shared = false; /* nor is what comes behind it */
        return;
    }
    struct page **page = &c->page[c->whole++];
    c->key = pages_key(&c->key, (*page)->tokens);
    *page = pages_publish(c->store, *page, &c->key);
}

uint32_t cache_reuse(struct cache *c, const uint32_t *tokens, uint32_t n, uint32_t *known)
{
    struct hash key = c->key;
    *known = c->whole;
    if (c->whole != c->pages)
        return c->whole * ARITH_CHUNK;
    while (c->is_shared && n / ARITH_CHUNK > c->pages) {
        const uint32_t *next = tokens + (size_t)c->pages * ARITH_CHUNK;
        key = pages_key(&key, next);
        struct page *page = pages_find(c->store, &key, next);
        if (!page)
            break;
        add_page(c, page);
        if (c->needs_states && !page->is_state_whole)
            continue;
        c->key = key;
        c->whole = c->pages;
    }
    *known = c->pages;
    while (c->pages > c->whole)
        pages_drop(c->store, c->page[--c->pages]);
    return c->whole * ARITH_CHUNK;
}

bool cache_next_key(const struct cache *c, uint32_t length, const uint32_t *tokens, uint32_t n, struct hash *key)
{
    if (!c->is_shared || length / ARITH_CHUNK != c->whole || n / ARITH_CHUNK <= c->whole)
        return false;
    *key = pages_key(&c->key, tokens + (size_t)c->whole * ARITH_CHUNK);
    return true;
}

struct cache_part cache_at(const struct cache *c, uint32_t page, uint32_t layer, uint32_t head)
{
    const struct model_keys *keys = &c->m->layer[layer].keys;
    size_t row = (size_t)ARITH_CHUNK * cache_blocks(keys->key_n);
    size_t row_v = (size_t)ARITH_CHUNK * cache_blocks(keys->value_n);
    uint8_t *at = c->page[page]->data + (keys->at - c->from) + head * cache_head_bytes(keys);
    struct cache_part p;
    p.k = (int8_t *)at;
    p.v = p.k + row * ARITH_BLOCK;
    p.ks = (float *)(void *)(p.v + row_v * ARITH_BLOCK);
    p.vs = p.ks + row;
    return p;
}

/* x[n] as int8 in q[32 blocks]; its scales go to position t of s. */
static bool quantise(const struct ops *ops, const float *x, size_t n, int8_t *q, float *s, uint32_t blocks, uint32_t t)
{
    float scales[HEAD_BLOCKS_MAX];
    bool finite = ops->quantise(x, n, q, scales);
    for (uint32_t b = 0; b < blocks; b++)
        s[(size_t)b * ARITH_CHUNK + t] = scales[b];
    return finite;
}

bool cache_put(struct cache *c, const struct ops *ops, uint32_t position, uint32_t layer, uint32_t head,
               const float *key, const float *value)
{
    struct cache_part p = cache_at(c, position / ARITH_CHUNK, layer, head);
    const struct model_keys *keys = &c->m->layer[layer].keys;
    const uint32_t t = position % ARITH_CHUNK, blocks = cache_blocks(keys->key_n);
    const uint32_t blocks_v = cache_blocks(keys->value_n);
    int8_t k[EMBED_MAX], v[EMBED_MAX];
    bool k_fine = quantise(ops, key, keys->key_n, k, p.ks, blocks, t);
    bool v_fine = quantise(ops, value, keys->value_n, v, p.vs, blocks_v, t);
    for (size_t b = 0; b < blocks; b++)
        for (size_t i = 0; i < ARITH_BLOCK; i += 4)
            memcpy(p.k + ops_key_at(b, t, i), k + b * ARITH_BLOCK + i, 4);
    for (size_t b = 0; b < blocks_v; b++)
        for (size_t i = 0; i < ARITH_BLOCK; i++)
            p.v[ops_value_at(b, t, i)] = v[b * ARITH_BLOCK + i];
    return k_fine && v_fine;
}
