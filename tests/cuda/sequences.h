/* Sequences in a cache of the reference and in a GPU's, batches of their rows, and the reference for what a kernel
 * makes of them: what the tests of attention and of heads share. */
#ifndef KITH_TESTS_CUDA_SEQUENCES_H
#define KITH_TESTS_CUDA_SEQUENCES_H

#include "base/mem.h"
#include "inference/engine/attention.h"
#include "inference/cuda/kernels.h"
#include "tests/cuda/case.h"

#define LAYERS     2
#define SEQUENCES  4
#define ROWS_MOST  300
#define PARTS_MOST 300 /* in scratch, so that there are waves */

static inline void draw_floats(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = ((float)draw(1u << 24) - 0x1p23f) * 0x1p-22f;
}

/* -- sequences, here and on the GPU -- */

struct world {
    struct model m;
    struct model_layer layers[LAYERS];
    struct pages *pages;
    struct cache cache[SEQUENCES];
    uint32_t length[SEQUENCES];
    uint32_t layer;
    struct cuda_cache gpu;
    uint8_t **slab;
    uint32_t slabs;
    uint32_t *page, first[SEQUENCES], pages_most; /* tables */
    /* the batch */
    uint32_t rows, sequence[ROWS_MOST], *position, *table;
    uint32_t leaves_out; /* one of so many rows does not go on */
};

static const uint32_t heads_long[] = {8, 64, 80, 96, 128, 256, 10, 54};

/* Layers that are alike. */
static inline void set_layers(struct world *w)
{
    w->m.layer = w->layers;
    for (uint32_t i = 0; i < LAYERS; i++)
        w->layers[i].keys = (struct model_keys){w->m.heads_kv, w->m.head, model_value_length(&w->m), i, 0};
    cache_place(&w->m);
    w->pages = pages_new(cache_page_bytes(&w->m), 0);
}

static inline void draw_model(struct world *w)
{
    w->m = (struct model){.layers = LAYERS, .epsilon = 1e-5f};
    w->m.head = heads_long[draw(8)];
    w->m.heads_kv = 1 + draw(2);
    w->m.heads = w->m.heads_kv * (draw(6) ? 1 + draw(8) : 1 + draw(20));
    w->layer = draw(LAYERS);
    set_layers(w);
}

/* Heads that share one row: keys longer than values. */
static inline void draw_latent(struct world *w)
{
    static const uint32_t rows[][2] = {{576, 512}, {80, 64}, {96, 32}, {20, 10}};
    const uint32_t *row = rows[draw(4)];
    w->m = (struct model){.layers = LAYERS, .epsilon = 1e-5f, .head = row[0], .latent = row[1], .heads_kv = 1};
    w->m.heads = 1 + draw(draw(3) ? 8 : 40);
    w->layer = draw(LAYERS);
    set_layers(w);
}

/* Positions [0, length) of a sequence get keys and values; `wild`: sometimes far larger than others. */
static inline void fill(struct world *w, uint32_t s, uint32_t length, bool wild)
{
    struct cache *c = &w->cache[s];
    const uint32_t value_n = model_value_length(&w->m);
    float key[576], value[576];
    cache_init(c, &w->m, w->pages);
    w->length[s] = length;
    for (uint32_t t = 0; t < length; t++) {
        cache_reserve(c, t, t);
        for (uint32_t h = 0; h < w->m.heads_kv; h++) {
            draw_floats(key, w->m.head);
            draw_floats(value, value_n);
            for (uint32_t i = 0; wild && i < w->m.head; i++)
                key[i] *= draw(400) ? 1.0f : 0x1p110f;
            for (uint32_t i = 0; wild && i < value_n; i++)
                value[i] *= draw(50) ? 1.0f : 0x1p-70f;
            for (uint32_t i = 0; i < value_n && draw(9) == 0; i++)
                value[i] = 0.0f;
            assert_true(cache_put(c, &ops_ref, t, w->layer, h, key, value));
        }
    }
}

/* Where nobody wrote, a GPU's page may hold anything. */
static inline void spoil(const struct world *w, uint8_t *page, uint32_t from)
{
    const uint32_t blocks = w->gpu.blocks, blocks_v = w->gpu.blocks_v;
    const size_t row = (size_t)ARITH_CHUNK * blocks, row_v = (size_t)ARITH_CHUNK * blocks_v;
    uint8_t *at = page + w->gpu.layer_at;
    for (uint32_t h = 0; h < w->m.heads_kv; h++, at += cache_head_bytes(&w->layers[w->layer].keys)) {
        float *scales = (float *)(void *)(at + (row + row_v) * ARITH_BLOCK);
        for (uint32_t b = 0; b < blocks + blocks_v; b++) /* keys, then values */
            for (uint32_t t = from; t < ARITH_CHUNK; t++) {
                scales[b * ARITH_CHUNK + t] = arith_of_bits(0x7FFFFFFF); /* a GPU's NaN */
                for (uint32_t i = 0; i < ARITH_BLOCK; i++)
                    at[b < blocks ? ops_key_at(b, t, i) : row * ARITH_BLOCK + ops_value_at(b - blocks, t, i)] = 0x80;
            }
    }
}

static inline void upload(struct world *w)
{
    uint32_t all = 0, free_pages = 0;
    for (uint32_t s = 0; s < SEQUENCES; s++)
        all += w->cache[s].pages;
    w->slabs = (all + 20) / CUDA_SLAB_PAGES + 1;
    w->slab = gpu_new(w->slabs * sizeof *w->slab);
    for (uint32_t i = 0; i < w->slabs; i++)
        w->slab[i] = gpu_new(CUDA_SLAB_PAGES * w->cache[0].page_bytes);
    w->page = gpu_new(all * sizeof *w->page);
    w->gpu = (struct cuda_cache){.slab = w->slab,
                                 .page_bytes = w->cache[0].page_bytes,
                                 .layer_at = w->layers[w->layer].keys.at,
                                 .heads_kv = w->m.heads_kv,
                                 .blocks = cache_blocks(w->m.head),
                                 .blocks_v = cache_blocks(model_value_length(&w->m)),
                                 .page = w->page};
    uint32_t numbers = w->slabs * CUDA_SLAB_PAGES, step = numbers - 1; /* without a common divisor */
    for (uint32_t s = 0, at = 0; s < SEQUENCES; s++) {
        w->first[s] = at;
        for (uint32_t i = 0; i < w->cache[s].pages; i++, at++) {
            uint32_t number = w->page[at] = (5 + free_pages++ * step) % numbers;
            uint8_t *to = w->slab[number / CUDA_SLAB_PAGES] + number % CUDA_SLAB_PAGES * w->gpu.page_bytes;
            memcpy(to, w->cache[s].page[i]->data, w->gpu.page_bytes);
            if (w->length[s] < (i + 1) * ARITH_CHUNK)
                spoil(w, to, w->length[s] % ARITH_CHUNK);
        }
        w->pages_most = w->cache[s].pages > w->pages_most ? w->cache[s].pages : w->pages_most;
    }
}

/* Rows of the batch: stretches of one sequence, up to its end or somewhere before. */
static inline void draw_batch(struct world *w, uint32_t rows)
{
    w->rows = rows;
    w->leaves_out = 4;
    w->position = gpu_new(rows * sizeof *w->position);
    w->table = gpu_new(rows * sizeof *w->table);
    for (uint32_t r = 0; r < rows;) {
        uint32_t s = draw(SEQUENCES), count = draw(3) ? 1 : 1 + draw(24), to = w->length[s] - draw(w->length[s]);
        count = count < to ? count : to;
        for (uint32_t i = 0; i < count && r < rows; i++, r++) {
            w->sequence[r] = s;
            w->position[r] = to - count + i;
            w->table[r] = w->first[s];
        }
    }
    w->gpu.position = w->position;
    w->gpu.table = w->table;
}

/* A prompt of one sequence, and a few columns of others before and behind it. */
static inline void draw_stretches(struct world *w)
{
    uint32_t before = draw(4), behind = draw(4), most = w->length[0], n = 16 + draw(most - 16);
    w->rows = before + n + behind;
    w->leaves_out = 60;
    w->position = gpu_new(w->rows * sizeof *w->position);
    w->table = gpu_new(w->rows * sizeof *w->table);
    for (uint32_t r = 0; r < w->rows; r++) {
        bool is_prompt = r >= before && r < before + n;
        uint32_t s = w->sequence[r] = is_prompt ? 0 : 1 + draw(SEQUENCES - 1);
        w->position[r] = is_prompt ? most - n + r - before : draw(w->length[s]);
        w->table[r] = w->first[s];
    }
    w->gpu.position = w->position;
    w->gpu.table = w->table;
}

static inline void clear_world(struct world *w)
{
    for (uint32_t i = 0; i < w->slabs; i++)
        gpu_free(w->slab[i]);
    gpu_free(w->slab);
    gpu_free(w->page);
    gpu_free(w->position);
    gpu_free(w->table);
    for (uint32_t s = 0; s < SEQUENCES; s++)
        cache_clear(&w->cache[s]);
    pages_free(w->pages);
}

/* Around the edges of chunks. */
static const uint32_t windows[] = {1, 2, 3, 63, 64, 65, 66, 100, 127, 128, 129, 130, 200, 1000};

/* A sink for each head, in the GPU's memory, or none: as large as scores, or so far from them that one side vanishes.
 */
static inline float *draw_sinks(const struct world *w)
{
    float *sinks = draw(2) ? gpu_new(w->m.heads * sizeof *sinks) : NULL;
    for (uint32_t h = 0; sinks && h < w->m.heads; h++)
        sinks[h] = ((float)draw(4001) - 2000.0f) * (draw(4) ? 0.002f : 0.2f);
    return sinks;
}

/* The reference for head `head` of a row; false if not finite. */
static inline bool attend_one(struct world *w, const struct cuda_attention *a, uint32_t row, uint32_t head,
                              const float *q, float *out, void *scratch)
{
    struct attention ref = {.cache = &w->cache[w->sequence[row]],
                            .ops = &ops_ref,
                            .layer = w->layer,
                            .head_kv = head / (w->m.heads / w->m.heads_kv),
                            .scale = a->scale,
                            .cap = a->cap};
    struct attention_query query = {
        .x = q, .out = out, .sink = a->sinks ? a->sinks + head : NULL, .end = w->position[row] + 1};
    if (a->window && query.end > a->window)
        query.first = query.end - a->window;
    attention_run(&ref, &query, 1, scratch);
    return query.finite;
}

#endif
