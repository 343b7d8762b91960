/* Heads on a GPU, turned and kept by a kernel of their own (inference/cuda/heads.cu) or by attention (turn.cuh),
 * emulated, against the reference by equality. */
#include "tests/support.h"

#include "tests/cuda/order.h"
#include "tests/cuda/sequences.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* -- a kernel of their own -- */

/* layer.c's turn_head by the reference. */
static void turn(const struct world *w, const struct cuda_turn *t, const float *gain, float *x, uint32_t row)
{
    const float *cosine = t ? t->angles + (size_t)row * 2 * t->pairs : NULL;
    if (t && gain && !t->is_late)
        ops_ref.norm(x, gain, t->epsilon, w->m.head, x);
    if (t && t->pairs)
        (t->is_halves ? ops_ref.rotate_halves : ops_ref.rotate)(x, cosine, cosine + t->pairs, t->pairs);
    if (t && gain && t->is_late)
        ops_ref.norm(x, gain, t->epsilon, w->m.head, x);
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
            if (!cache_put(&w->cache[w->sequence[r]], &ops_ref, w->position[r], w->layer, h, k + at, v + at))
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
                                 .is_halves = draw(2),
                                 .is_late = draw(3) == 0};
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

/* -- heads that share one row -- */

/* One row by latent.c: its key and value into the cache, and each head's query. */
static bool join_ref(struct world *w, const struct cuda_latent *a, uint32_t r, const float *projected,
                     const float *made, float *row, float *q)
{
    const uint32_t pairs = a->turn.pairs, each = a->plain + 2 * pairs, head = w->m.head;
    const float *cosine = a->turn.angles + (size_t)r * 2 * pairs;
    ops_ref.norm(row, a->turn.key_gain, a->turn.epsilon, a->latent, row);
    (a->turn.is_halves ? ops_ref.rotate_halves : ops_ref.rotate)(row + a->latent, cosine, cosine + pairs, pairs);
    for (uint32_t h = 0; h < a->heads; h++) {
        float *to = q + h * head;
        memcpy(to, made + h * a->latent, a->latent * sizeof *to);
        memcpy(to + a->latent, projected + h * each + a->plain, 2 * pairs * sizeof *to);
        (a->turn.is_halves ? ops_ref.rotate_halves : ops_ref.rotate)(to + a->latent, cosine, cosine + pairs, pairs);
    }
    return cache_put(&w->cache[w->sequence[r]], &ops_ref, w->position[r], w->layer, 0, row, row);
}

static void assert_picks(uint32_t heads, uint32_t cols)
{
    const uint32_t all = heads * cols;
    const struct cuda_picks p = {gpu_new(all * 4), NULL, gpu_new((heads + 1) * 4), gpu_new(all * 4), cols};
    cuda_pick_heads(NULL, heads, p);
    gpu_wait();
    for (uint32_t h = 0; h <= heads; h++)
        assert_int_equal(p.begin[h], h * cols);
    for (uint32_t i = 0; i < all; i++) {
        assert_int_equal(p.chosen[p.pick[i]], i / cols);
        assert_int_equal(p.pick[i], i % cols * heads + i / cols);
    }
    gpu_free(p.chosen);
    gpu_free(p.begin);
    gpu_free(p.pick);
}

static void rows_once(void)
{
    struct world w = {0};
    draw_latent(&w);
    for (uint32_t s = 0; s < SEQUENCES; s++)
        fill(&w, s, ARITH_CHUNK * (1 + draw(2)), false);
    upload(&w);
    draw_batch(&w, 1 + draw(20));
    for (uint32_t r = 0; r < w.rows; r++) /* a position once */
        for (uint32_t i = 0; i < r; i++)
            if (w.sequence[i] == w.sequence[r] && w.position[i] == w.position[r])
                w.rows = r;
    const uint32_t heads = w.m.heads, pairs = (w.m.head - w.m.latent) / 2, plain = 1 + draw(40), n = w.rows * heads;
    struct heads h = {.nq = (size_t)n * w.m.head, .nk = (size_t)w.rows * w.m.head};
    float *projected = gpu_new((size_t)n * (plain + 2 * pairs) * sizeof *projected);
    float *made = gpu_new((size_t)n * w.m.latent * sizeof *made), *apart = gpu_new((size_t)n * plain * sizeof *apart);
    h.q = gpu_new(h.nq * sizeof *h.q);
    h.k = gpu_new(h.nk * sizeof *h.k);
    h.gain = gpu_new(w.m.latent * sizeof *h.gain);
    h.angles = gpu_new(w.rows * 2 * pairs * sizeof *h.angles);
    draw_floats(projected, (size_t)n * (plain + 2 * pairs));
    draw_floats(made, (size_t)n * w.m.latent);
    draw_floats(h.k, h.nk);
    draw_floats(h.gain, w.m.latent);
    draw_floats(h.angles, w.rows * 2 * pairs);
    if (draw(2))
        h.k[draw((uint32_t)h.nk)] = draw(2) ? NAN : -INFINITY;
    const struct cuda_latent a = {
        heads,
        plain,
        w.m.latent,
        {.key_gain = h.gain, .epsilon = 1e-6f, .angles = h.angles, .pairs = pairs, .is_halves = draw(2)}};
    float *row = copy_of(h.k, h.nk), *q = mem_array(h.nq, sizeof *q);
    uint8_t *finite = gpu_new(w.rows), *fine = mem_new(w.rows);
    memset(finite, 1, w.rows);
    for (uint32_t r = 0; r < w.rows; r++)
        fine[r] = join_ref(&w, &a, r, projected + (size_t)r * heads * (plain + 2 * pairs),
                           made + (size_t)r * heads * w.m.latent, h.k + (size_t)r * w.m.head,
                           q + (size_t)r * heads * w.m.head);
    cuda_split_heads(NULL, &a, projected, w.rows, apart);
    cuda_join_heads(NULL, &a, projected, made, row, w.rows, &w.gpu, (struct cuda_marks){NULL, finite}, h.q);
    gpu_wait();
    for (uint32_t i = 0; i < n; i++)
        assert_memory_equal(apart + (size_t)i * plain, projected + (size_t)i * (plain + 2 * pairs),
                            plain * sizeof *apart);
    assert_same_bits(h.q, q, h.nq, "queries with a latent");
    assert_same_pages(&w);
    assert_memory_equal(finite, fine, w.rows);
    gpu_free(projected);
    gpu_free(made);
    gpu_free(apart);
    gpu_free(row);
    gpu_free(finite);
    free(q);
    free(fine);
    clear_heads(&h);
    clear_world(&w);
}

static void rows_are_kept_alike(void **state)
{
    (void)state;
    for (unsigned round = 0; round < case_rounds(40); round++) {
        emulate_set_order((enum emulate_order)(round % 3));
        assert_picks(1 + draw(140), 1 + draw(20));
        rows_once();
    }
}

/* -- a column whose heads attention turns -- */

/* A position of a sequence, in both caches. */
static void assert_same_position(const struct world *w, uint32_t s, uint32_t position)
{
    const uint32_t t = position % ARITH_CHUNK, number = w->page[w->first[s] + position / ARITH_CHUNK];
    const size_t row = (size_t)ARITH_CHUNK * w->gpu.blocks, each = cache_head_bytes(&w->layers[w->layer].keys);
    const uint8_t *a = w->slab[number / CUDA_SLAB_PAGES] + number % CUDA_SLAB_PAGES * w->gpu.page_bytes;
    const uint8_t *b = (const uint8_t *)w->cache[s].page[position / ARITH_CHUNK]->data;
    a += w->gpu.layer_at;
    b += w->gpu.layer_at;
    for (uint32_t h = 0; h < w->m.heads_kv; h++, a += each, b += each)
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
    void *host = mem_new(attention_scratch(head, head));
    const struct cuda_fresh fresh = {k, h.v, h.way};
    float *sinks = draw_sinks(&w);
    struct cuda_attention a = {.heads = w.m.heads,
                               .head = head,
                               .scale = 0.11f,
                               .window = draw(2) ? 0 : windows[draw(sizeof windows / sizeof *windows)],
                               .pages_most = w.pages_most + draw(3),
                               .parts_most = draw(2) ? PARTS_MOST : w.m.heads,
                               .sinks = sinks,
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
    if (sinks)
        gpu_free(sinks);
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
        cmocka_unit_test(rows_are_kept_alike),
        cmocka_unit_test(fresh_columns_are_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
