/* Attention on a GPU (inference/cuda/heads.cu, attend*.cu), emulated, against the reference by equality: heads of every
 * length, windows, caps, positions around the edges of chunks, batches that mix sequences, values that are not finite,
 * pages where only a part was written, threads in several orders. */
#include "tests/support.h"

#include "base/mem.h"
#include "inference/attention.h"
#include "inference/cuda/kernels.h"
#include "tests/cuda/case.h"
#include "tests/cuda/order.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define LAYERS     2
#define SEQUENCES  4
#define ROWS_MOST  300
#define PARTS_MOST 300 /* in scratch, so that there are waves */

static void draw_floats(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = ((float)draw(1u << 24) - 0x1p23f) * 0x1p-22f;
}

/* -- sequences, here and on the GPU -- */

struct world {
    struct model m;
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

static void draw_model(struct world *w)
{
    w->m = (struct model){.layers = LAYERS, .epsilon = 1e-5f};
    w->m.head = heads_long[draw(8)];
    w->m.heads_kv = 1 + draw(2);
    w->m.heads = w->m.heads_kv * (draw(6) ? 1 + draw(8) : 1 + draw(20));
    w->layer = draw(LAYERS);
    w->pages = pages_new(cache_page_bytes(&w->m));
}

/* Positions [0, length) of a sequence get keys and values; `wild`: sometimes far larger than others. */
static void fill(struct world *w, uint32_t s, uint32_t length, bool wild)
{
    struct cache *c = &w->cache[s];
    float key[256], value[256];
    cache_init(c, &w->m, w->pages);
    w->length[s] = length;
    for (uint32_t t = 0; t < length; t++) {
        cache_reserve(c, t, t);
        for (uint32_t h = 0; h < w->m.heads_kv; h++) {
            draw_floats(key, w->m.head);
            draw_floats(value, w->m.head);
            for (uint32_t i = 0; wild && i < w->m.head; i++) {
                key[i] *= draw(400) ? 1.0f : 0x1p110f;
                value[i] *= draw(50) ? 1.0f : 0x1p-70f;
            }
            for (uint32_t i = 0; i < w->m.head && draw(9) == 0; i++)
                value[i] = 0.0f;
            assert_true(cache_put(c, &ops_ref, t, w->layer, h, key, value, w->m.head));
        }
    }
}

/* Where nobody wrote, a GPU's page may hold anything. */
static void spoil(const struct world *w, uint8_t *page, uint32_t from)
{
    size_t row = (size_t)ARITH_CHUNK * w->gpu.blocks;
    uint8_t *at = page + w->gpu.layer_at;
    for (uint32_t h = 0; h < w->m.heads_kv; h++, at += w->cache[0].head_bytes)
        for (uint32_t b = 0; b < w->gpu.blocks; b++)
            for (uint32_t t = from; t < ARITH_CHUNK; t++) {
                float *scales = (float *)(void *)(at + 2 * row * ARITH_BLOCK);
                scales[b * ARITH_CHUNK + t] = scales[row + b * ARITH_CHUNK + t] =
                    arith_of_bits(0x7FFFFFFF); /* a GPU's NaN */
                for (uint32_t i = 0; i < ARITH_BLOCK; i++)
                    at[ops_key_at(b, t, i)] = at[row * ARITH_BLOCK + ops_value_at(b, t, i)] = 0x80;
            }
}

static void upload(struct world *w)
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
                                 .layer_at = w->layer * w->m.heads_kv * w->cache[0].head_bytes,
                                 .heads_kv = w->m.heads_kv,
                                 .blocks = w->cache[0].blocks,
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
static void draw_batch(struct world *w, uint32_t rows)
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
static void draw_stretches(struct world *w)
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

static void clear_world(struct world *w)
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

/* -- attention -- */

/* The reference for head `head` of a row; false if not finite. */
static bool attend_one(struct world *w, const struct cuda_attention *a, uint32_t row, uint32_t head, const float *q,
                       float *out, void *scratch)
{
    struct attention ref = {.cache = &w->cache[w->sequence[row]],
                            .ops = &ops_ref,
                            .layer = w->layer,
                            .head_kv = head / (w->m.heads / w->m.heads_kv),
                            .head_n = w->m.head,
                            .scale = a->scale,
                            .cap = a->cap};
    struct attention_query query = {.x = q, .out = out, .end = w->position[row] + 1};
    if (a->window && query.end > a->window)
        query.first = query.end - a->window;
    attention_run(&ref, &query, 1, scratch);
    return query.finite;
}

static unsigned walked, waves; /* how often the plan had long stretches; a sequence had more chunks than a wave */

/* What attention was to make of its output as input of a product, and what cuda_quantise makes of it. */
static void compare_blocks(const struct cuda_input *in, uint32_t rows, const uint32_t *slot, const uint8_t *finite)
{
    size_t bytes = cuda_blocks_bytes(in->n, in->cols);
    void *narrow = gpu_new(bytes), *wide = gpu_new(bytes);
    uint8_t *marks = gpu_new(rows);
    struct cuda_input too = {.n = in->n, .cols = in->cols, .f = in->f};
    if (in->narrow.q)
        too.narrow = cuda_blocks_at(narrow, in->n, in->cols, false);
    if (in->wide.q)
        too.wide = cuda_blocks_at(wide, in->n, in->cols, true);
    memset(marks, 1, rows);
    cuda_quantise(NULL, &too, (struct cuda_marks){slot, marks});
    gpu_wait();
    if (in->narrow.q)
        assert_memory_equal(in->narrow.q, narrow, bytes);
    if (in->wide.q)
        assert_memory_equal(in->wide.q, wide, bytes);
    for (uint32_t r = 0; r < rows; r++)
        assert_true(marks[r] >= finite[r]);
    gpu_free(narrow);
    gpu_free(wide);
    gpu_free(marks);
}

static void compare_attention(struct world *w, const struct cuda_attention *a, bool wild, bool planned)
{
    uint32_t cols = 0, n = w->m.heads * w->m.head, *slot = gpu_new(w->rows * sizeof *slot);
    float *q = gpu_new((size_t)w->rows * n * sizeof *q), *out = gpu_new((size_t)w->rows * n * sizeof *out);
    float *expected = mem_array((size_t)w->rows * n, sizeof *expected);
    uint8_t *finite = gpu_new(w->rows), *fine = mem_new(w->rows);
    void *host = mem_new(attention_scratch(w->m.head));
    draw_floats(q, (size_t)w->rows * n);
    for (size_t i = 0; wild && i < (size_t)w->rows * n; i++)
        q[i] *= draw(3 * n) ? 1.0f : (float[]){0x1p50f, INFINITY, NAN, 0.0f}[draw(4)];
    memset(finite, 1, w->rows);
    memset(fine, 1, w->rows);
    for (uint32_t r = 0; r < w->rows; r++)
        if (draw(w->leaves_out) || w->rows == 1) {
            slot[cols] = r;
            for (uint32_t h = 0; h < w->m.heads; h++)
                if (!attend_one(w, a, r, h, q + (size_t)r * n + h * w->m.head,
                                expected + (size_t)cols * n + h * w->m.head, host))
                    fine[r] = 0;
            cols++;
        }
    struct cuda_stretch *stretch = gpu_new(cols * sizeof *stretch);
    struct cuda_attention way = *a;
    if (planned)
        way.plan = cuda_attend_plan(a, w->m.heads_kv, w->position, w->table, slot, cols, stretch);
    size_t scratch_bytes = cuda_attend_scratch(a, cols), blocks_bytes = cuda_blocks_bytes(n, cols);
    uint8_t *scratch = gpu_new(scratch_bytes + 64), *narrow = gpu_new(blocks_bytes), *wide = gpu_new(blocks_bytes);
    const struct cuda_room room = {scratch, gpu_new(cols * w->m.heads * sizeof(uint32_t))};
    struct cuda_input in = {.n = n, .cols = cols, .f = out};
    memset(room.arrived, 0, cols * w->m.heads * sizeof(uint32_t));
    if (draw(3))
        in.narrow = cuda_blocks_at(narrow, n, cols, false);
    if (draw(2))
        in.wide = cuda_blocks_at(wide, n, cols, true);
    if (cols)
        cuda_attend(NULL, q, &way, &w->gpu, cols, (struct cuda_marks){slot, finite}, room, out,
                    in.narrow.q || in.wide.q ? &in : NULL);
    gpu_wait();
    for (size_t i = 0; i < 64; i++)
        assert_int_equal(scratch[scratch_bytes + i], 0xA5);
    for (uint32_t i = 0; i < cols * w->m.heads; i++)
        assert_int_equal(room.arrived[i], 0);
    if (cols)
        compare_blocks(&in, w->rows, slot, finite);
    gpu_free(narrow);
    gpu_free(wide);
    gpu_free(room.arrived);
    waves += a->pages_most * cols * w->m.heads > a->parts_most;
    walked += way.plan.long_n > 0;
    gpu_free(stretch);
    char what[128];
    snprintf(what, sizeof what, "head %u, %u of %u heads, window %u, cap %g, %u columns", w->m.head, w->m.heads_kv,
             w->m.heads, a->window, (double)a->cap, cols);
    assert_same_bits(out, expected, (size_t)cols * n, what);
    assert_memory_equal(finite, fine, w->rows);
    gpu_free(slot);
    gpu_free(q);
    gpu_free(out);
    free(expected);
    gpu_free(finite);
    free(fine);
    free(host);
    gpu_free(scratch);
}

/* Around the edges of chunks. */
static const uint32_t windows[] = {1, 2, 3, 63, 64, 65, 66, 100, 127, 128, 129, 130, 200, 1000};

static void attend_once(unsigned round)
{
    struct world w = {0};
    bool wild = round % 4 == 3;
    draw_model(&w);
    for (uint32_t s = 0; s < SEQUENCES; s++)
        fill(&w, s, draw(3) ? 1 + draw(300) : ARITH_CHUNK * (1 + draw(4)) + draw(2), wild);
    upload(&w);
    draw_batch(&w, 1 + draw(10));
    struct cuda_attention a = {.heads = w.m.heads,
                               .head = w.m.head,
                               .scale = 0.11f,
                               .cap = draw(3) ? 0.0f : 2.0f + (float)draw(20),
                               .window = draw(2) ? 0 : windows[draw(sizeof windows / sizeof *windows)],
                               .pages_most = w.pages_most + draw(3),
                               .parts_most = PARTS_MOST,
                               .places = draw(3) ? 1 + draw(40) : 0}; /* a block takes some chunks or all, or one */
    compare_attention(&w, &a, wild, draw(3) > 0);
    clear_world(&w);
}

static void attention_is_alike(void **state)
{
    (void)state;
    for (unsigned round = 0; round < case_rounds(150); round++) {
        emulate_set_order((enum emulate_order)(round % 3));
        attend_once(round);
    }
}

/* Prompts: enough columns of a sequence that they walk, between others that do not. */
static void long_stretches_are_alike(void **state)
{
    (void)state;
    for (unsigned round = 0; round < case_rounds(24); round++) {
        struct world w = {0};
        bool wild = round % 4 == 3;
        emulate_set_order((enum emulate_order)(round % 3));
        draw_model(&w);
        for (uint32_t s = 0; s < SEQUENCES; s++)
            fill(&w, s, 20 + draw(240), wild);
        upload(&w);
        draw_stretches(&w);
        struct cuda_attention a = {.heads = w.m.heads,
                                   .head = w.m.head,
                                   .scale = 0.07f,
                                   .cap = draw(4) ? 0.0f : 5.0f,
                                   .window = draw(2) ? 0 : windows[draw(sizeof windows / sizeof *windows)],
                                   .pages_most = w.pages_most,
                                   .walk_queries = 64,
                                   .parts_most = PARTS_MOST};
        compare_attention(&w, &a, wild, true);
        clear_world(&w);
    }
    print_message("%u batches had columns that walk\n", walked);
    assert_true(walked >= case_rounds(6));
}

/* Rows of all sequences, more than there are places for, so that blocks take several chunks; those of one sequence may
 * be a stretch. In one wave or some: of each a block has all chunks (one place is enough for that) or a part. */
static void many_sequences_are_alike(void **state)
{
    (void)state;
    for (unsigned round = 0; round < case_rounds(60); round++) {
        struct world w = {0};
        bool wild = round % 4 == 3;
        emulate_set_order((enum emulate_order)(round % 3));
        draw_model(&w);
        for (uint32_t s = 0; s < SEQUENCES; s++)
            fill(&w, s, 210 + draw(250), wild);
        upload(&w);
        draw_batch(&w, 4 + draw(8));
        uint32_t window = draw(3) ? 0 : windows[draw(13)];
        for (uint32_t r = 0; r < w.rows && round % 2; r++)
            w.position[r] = w.length[w.sequence[r]] - 1 - draw(3);
        for (uint32_t r = 0; r < w.rows && window && round % 2 == 0; r++) { /* a draft that leaves a chunk behind */
            w.sequence[r] = 0;
            w.table[r] = w.first[0];
            w.position[r] = window + 61 + r;
        }
        struct cuda_attention a = {.heads = w.m.heads,
                                   .head = w.m.head,
                                   .scale = 0.09f,
                                   .cap = draw(4) ? 0.0f : 5.0f,
                                   .window = window,
                                   .pages_most = w.pages_most,
                                   .parts_most = w.rows * w.m.heads * (1 + draw(w.pages_most)),
                                   .places = draw(2) ? 1 : 1 + draw(4 * w.rows)};
        emulate_set_shared(round % 5 == 4 ? 60u << 10 : 0); /* two chunks of heads of 256 have no room in that */
        compare_attention(&w, &a, wild, draw(3));
        emulate_set_shared(0);
        clear_world(&w);
    }
}

/* More chunks than are combined at a time, peaks rising and falling on the way. */
static void long_contexts_are_alike(void **state)
{
    (void)state;
    for (unsigned round = 0; round < case_rounds(6); round++) {
        struct world w = {0};
        emulate_set_order((enum emulate_order)(round % 3));
        w.m = (struct model){.layers = LAYERS, .epsilon = 1e-5f, .head = 8, .heads_kv = 1, .heads = 1 + draw(3)};
        w.pages = pages_new(cache_page_bytes(&w.m));
        for (uint32_t s = 0; s < SEQUENCES; s++)
            fill(&w, s, s ? 1 + draw(100) : 2100 + draw(9000), round % 2);
        upload(&w);
        draw_batch(&w, 1 + draw(4));
        w.sequence[0] = 0;
        w.position[0] = w.length[0] - 1;
        w.table[0] = w.first[0];
        struct cuda_attention a = {.heads = w.m.heads,
                                   .head = w.m.head,
                                   .scale = 0.5f,
                                   .window = round < 3 ? 0 : 2000 + draw(5000),
                                   .pages_most = w.pages_most,
                                   .parts_most = round % 3 ? PARTS_MOST : 0,
                                   .places = round % 2};
        compare_attention(&w, &a, false, draw(2));
        clear_world(&w);
    }
}

/* -- heads -- */

/* layer.c's turn_head by the reference. */
static void turn(const struct world *w, const struct cuda_turn *t, const float *gain, float *x, uint32_t row)
{
    const float *cosine = t ? t->angles + (size_t)row * 2 * t->pairs : NULL;
    if (t && gain)
        ops_ref.norm(x, gain, t->epsilon, w->m.head, x);
    if (t && t->pairs)
        (t->is_halves ? ops_ref.rotate_halves : ops_ref.rotate)(x, cosine, cosine + t->pairs, t->pairs);
}

/* All rows' heads by the reference, keys and values into the caches. */
static void turn_all(struct world *w, const struct cuda_turn *t, float *q, float *k, const float *v, uint8_t *fine)
{
    uint32_t head = w->m.head;
    for (uint32_t r = 0; r < w->rows; r++) {
        for (uint32_t h = 0; h < w->m.heads; h++)
            turn(w, t, t ? t->query_gain : NULL, q + ((size_t)r * w->m.heads + h) * head, r);
        for (uint32_t h = 0; h < w->m.heads_kv; h++) {
            size_t at = ((size_t)r * w->m.heads_kv + h) * head;
            turn(w, t, t ? t->key_gain : NULL, k + at, r);
            if (!cache_put(&w->cache[w->sequence[r]], &ops_ref, w->position[r], w->layer, h, k + at, v + at, head))
                fine[r] = 0;
        }
    }
}

static void assert_same_pages(const struct world *w)
{
    for (uint32_t s = 0, at = 0; s < SEQUENCES; s++)
        for (uint32_t i = 0; i < w->cache[s].pages; i++, at++) {
            uint32_t number = w->page[at];
            const uint8_t *page = w->slab[number / CUDA_SLAB_PAGES] + number % CUDA_SLAB_PAGES * w->gpu.page_bytes;
            assert_memory_equal(page, w->cache[s].page[i]->data, w->gpu.page_bytes);
        }
}

static float *copy_of(const float *x, size_t n)
{
    float *out = gpu_new(n * sizeof *out);
    memcpy(out, x, n * sizeof *out);
    return out;
}

/* A batch's heads, and how they are turned. */
struct heads {
    size_t nq, nk;
    float *q, *k, *v, *gain, *angles;
    struct cuda_turn turn;
    const struct cuda_turn *way; /* NULL: not at all */
};

static void draw_heads(const struct world *w, struct heads *h)
{
    uint32_t head = w->m.head, pairs = draw(3) ? head / 2 : 1 + draw(head / 2);
    h->nq = (size_t)w->rows * w->m.heads * head;
    h->nk = (size_t)w->rows * w->m.heads_kv * head;
    h->q = gpu_new(h->nq * sizeof *h->q);
    h->k = gpu_new(h->nk * sizeof *h->k);
    h->v = gpu_new(h->nk * sizeof *h->v);
    h->gain = gpu_new(2 * head * sizeof *h->gain);
    h->angles = gpu_new(w->rows * 2 * pairs * sizeof *h->angles);
    draw_floats(h->gain, 2 * head);
    draw_floats(h->angles, w->rows * 2 * pairs);
    draw_floats(h->q, h->nq);
    draw_floats(h->k, h->nk);
    draw_floats(h->v, h->nk);
    if (draw(2))
        (draw(2) ? h->k : h->v)[draw((uint32_t)h->nk)] = draw(2) ? NAN : -INFINITY;
    h->turn = (struct cuda_turn){.query_gain = draw(2) ? h->gain : NULL,
                                 .key_gain = draw(2) ? h->gain + head : NULL,
                                 .epsilon = 1e-6f,
                                 .angles = h->angles,
                                 .pairs = draw(4) ? pairs : 0,
                                 .is_halves = draw(2)};
    h->way = draw(5) ? &h->turn : NULL;
}

static void clear_heads(struct heads *h)
{
    gpu_free(h->q);
    gpu_free(h->k);
    gpu_free(h->v);
    gpu_free(h->gain);
    gpu_free(h->angles);
}

static void heads_once(void)
{
    struct world w = {0};
    struct heads h;
    draw_model(&w);
    for (uint32_t s = 0; s < SEQUENCES; s++)
        fill(&w, s, ARITH_CHUNK * (1 + draw(3)), false); /* whole pages: nothing is spoilt */
    upload(&w);
    draw_batch(&w, 1 + draw(40));
    for (uint32_t r = 0; r < w.rows; r++) /* a position once: rows must not meet in the cache */
        for (uint32_t i = 0; i < r; i++)
            if (w.sequence[i] == w.sequence[r] && w.position[i] == w.position[r])
                w.rows = r;
    draw_heads(&w, &h);
    float *q_too = copy_of(h.q, h.nq), *k_too = copy_of(h.k, h.nk);
    uint8_t *finite = gpu_new(w.rows), *fine = mem_new(w.rows);
    memset(finite, 1, w.rows);
    memset(fine, 1, w.rows);
    turn_all(&w, h.way, h.q, h.k, h.v, fine);
    cuda_heads(NULL, q_too, k_too, h.v, w.m.heads, w.m.head, w.rows, h.way, &w.gpu, (struct cuda_marks){NULL, finite});
    assert_same_bits(q_too, h.q, h.nq, "queries");
    assert_same_pages(&w);
    assert_memory_equal(finite, fine, w.rows);
    gpu_free(q_too);
    gpu_free(k_too);
    gpu_free(finite);
    free(fine);
    clear_heads(&h);
    clear_world(&w);
}

static void heads_are_turned_and_kept_alike(void **state)
{
    (void)state;
    for (unsigned round = 0; round < case_rounds(60); round++) {
        emulate_set_order((enum emulate_order)(round % 3));
        heads_once();
    }
}

/* -- a column whose heads attention turns -- */

/* A position of a sequence, in both caches. */
static void assert_same_position(const struct world *w, uint32_t s, uint32_t position)
{
    const uint32_t t = position % ARITH_CHUNK, number = w->page[w->first[s] + position / ARITH_CHUNK];
    const size_t row = (size_t)ARITH_CHUNK * w->gpu.blocks;
    const uint8_t *a = w->slab[number / CUDA_SLAB_PAGES] + number % CUDA_SLAB_PAGES * w->gpu.page_bytes;
    const uint8_t *b = (const uint8_t *)w->cache[s].page[position / ARITH_CHUNK]->data;
    a += w->gpu.layer_at;
    b += w->gpu.layer_at;
    for (uint32_t h = 0; h < w->m.heads_kv; h++, a += w->cache[s].head_bytes, b += w->cache[s].head_bytes)
        for (uint32_t block = 0; block < w->gpu.blocks; block++) {
            for (uint32_t i = 0; i < ARITH_BLOCK; i++) {
                size_t key = ops_key_at(block, t, i), value = row * ARITH_BLOCK + ops_value_at(block, t, i);
                assert_int_equal(a[key], b[key]);
                assert_int_equal(a[value], b[value]);
            }
            for (uint32_t kind = 0; kind < 2; kind++) {
                size_t scale = 2 * row * ARITH_BLOCK + (kind * row + block * ARITH_CHUNK + t) * sizeof(float);
                assert_memory_equal(a + scale, b + scale, sizeof(float));
            }
        }
}

/* Where the column is to be kept, and behind it, the GPU's page holds anything. */
static void fresh_once(void)
{
    struct world w = {0};
    struct heads h;
    draw_model(&w);
    for (uint32_t s = 0; s < SEQUENCES; s++) {
        fill(&w, s, draw(3) ? 1 + draw(300) : ARITH_CHUNK * (1 + draw(4)) + draw(2), false);
        w.length[s]--;
    }
    upload(&w);
    for (uint32_t s = 0; s < SEQUENCES; s++)
        w.length[s]++;
    draw_batch(&w, 1);
    const uint32_t s = w.sequence[0], head = w.m.head;
    w.position[0] = w.length[s] - 1;
    draw_heads(&w, &h);
    float *q = copy_of(h.q, h.nq), *k = copy_of(h.k, h.nk), *out = gpu_new(h.nq * sizeof *out);
    float *expected = mem_array(h.nq, sizeof *expected);
    uint8_t *finite = gpu_new(1), fine = 1;
    uint32_t *slot = gpu_new(sizeof *slot);
    struct cuda_stretch *stretch = gpu_new(sizeof *stretch);
    void *host = mem_new(attention_scratch(head));
    const struct cuda_fresh fresh = {k, h.v, h.way};
    struct cuda_attention a = {.heads = w.m.heads,
                               .head = head,
                               .scale = 0.11f,
                               .window = draw(2) ? 0 : windows[draw(sizeof windows / sizeof *windows)],
                               .pages_most = w.pages_most + draw(3),
                               .parts_most = draw(2) ? PARTS_MOST : w.m.heads,
                               .fresh = &fresh};
    finite[0] = 1;
    slot[0] = 0;
    turn_all(&w, h.way, h.q, h.k, h.v, &fine);
    for (uint32_t i = 0; i < w.m.heads; i++)
        if (!attend_one(&w, &a, 0, i, h.q + i * head, expected + i * head, host))
            fine = 0;
    if (draw(2))
        a.plan = cuda_attend_plan(&a, w.m.heads_kv, w.position, w.table, slot, 1, stretch);
    const struct cuda_room room = {gpu_new(cuda_attend_scratch(&a, 1)), gpu_new(w.m.heads * sizeof(uint32_t))};
    memset(room.arrived, 0, w.m.heads * sizeof(uint32_t));
    cuda_attend(NULL, q, &a, &w.gpu, 1, (struct cuda_marks){slot, finite}, room, out, NULL);
    assert_same_bits(out, expected, h.nq, "a fresh column");
    assert_same_position(&w, s, w.position[0]);
    assert_int_equal(finite[0], fine);
    gpu_free(room.scratch);
    gpu_free(room.arrived);
    gpu_free(q);
    gpu_free(k);
    gpu_free(out);
    gpu_free(finite);
    gpu_free(slot);
    gpu_free(stretch);
    free(expected);
    free(host);
    clear_heads(&h);
    clear_world(&w);
}

static void fresh_columns_are_alike(void **state)
{
    (void)state;
    for (unsigned round = 0; round < case_rounds(90); round++) {
        emulate_set_order((enum emulate_order)(round % 3));
        fresh_once();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads_are_turned_and_kept_alike),
        cmocka_unit_test(fresh_columns_are_alike),
        cmocka_unit_test(attention_is_alike),
        cmocka_unit_test(many_sequences_are_alike),
        cmocka_unit_test(long_stretches_are_alike),
        cmocka_unit_test(long_contexts_are_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
