/* Attention on a GPU (inference/cuda/attend*.cu), emulated, against the reference by equality: heads of every length,
 * windows, caps, positions around the edges of chunks, batches that mix sequences, values that are not finite, pages
 * where only a part was written, threads in several orders. */
#include "tests/support.h"

#include "tests/cuda/order.h"
#include "tests/cuda/sequences.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

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
    float *sinks = draw_sinks(w);
    struct cuda_attention way = *a;
    const uint32_t value = model_value_length(&w->m), made = w->m.heads * value;
    uint32_t cols = 0, n = w->m.heads * w->m.head, *slot = gpu_new(w->rows * sizeof *slot);
    float *q = gpu_new((size_t)w->rows * n * sizeof *q), *out = gpu_new((size_t)w->rows * made * sizeof *out);
    float *expected = mem_array((size_t)w->rows * made, sizeof *expected);
    uint8_t *finite = gpu_new(w->rows), *fine = mem_new(w->rows);
    void *host = mem_new(attention_scratch(w->m.head, value));
    draw_floats(q, (size_t)w->rows * n);
    for (size_t i = 0; wild && i < (size_t)w->rows * n; i++)
        q[i] *= draw(3 * n) ? 1.0f : (float[]){0x1p50f, INFINITY, NAN, 0.0f}[draw(4)];
    way.sinks = sinks;
    memset(finite, 1, w->rows);
    memset(fine, 1, w->rows);
    for (uint32_t r = 0; r < w->rows; r++)
        if (draw(w->leaves_out) || w->rows == 1) {
            slot[cols] = r;
            for (uint32_t h = 0; h < w->m.heads; h++)
                if (!attend_one(w, &way, r, h, q + (size_t)r * n + h * w->m.head,
                                expected + (size_t)cols * made + h * value, host))
                    fine[r] = 0;
            cols++;
        }
    struct cuda_stretch *stretch = gpu_new(cols * sizeof *stretch);
    if (planned)
        way.plan = cuda_attend_plan(a, w->m.heads_kv, w->position, w->table, slot, cols, stretch);
    size_t scratch_bytes = cuda_attend_scratch(a, cols), blocks_bytes = cuda_blocks_bytes(made, cols);
    uint8_t *scratch = gpu_new(scratch_bytes + 64), *narrow = gpu_new(blocks_bytes), *wide = gpu_new(blocks_bytes);
    const struct cuda_room room = {scratch, gpu_new(cols * w->m.heads * sizeof(uint32_t))};
    struct cuda_input in = {.n = made, .cols = cols, .f = out};
    memset(room.arrived, 0, cols * w->m.heads * sizeof(uint32_t));
    if (draw(3))
        in.narrow = cuda_blocks_at(narrow, made, cols, false);
    if (draw(2))
        in.wide = cuda_blocks_at(wide, made, cols, true);
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
    snprintf(what, sizeof what, "head %u, %u of %u heads, window %u, cap %g, sinks %d, %u columns", w->m.head,
             w->m.heads_kv, w->m.heads, a->window, (double)a->cap, sinks != NULL, cols);
    assert_same_bits(out, expected, (size_t)cols * made, what);
    assert_memory_equal(finite, fine, w->rows);
    if (sinks)
        gpu_free(sinks);
    gpu_free(slot);
    gpu_free(q);
    gpu_free(out);
    free(expected);
    gpu_free(finite);
    free(fine);
    free(host);
    gpu_free(scratch);
}

static void attend_once(unsigned round)
{
    struct world w = {0};
    bool wild = round % 4 == 3;
    draw(4) ? draw_model(&w) : draw_latent(&w);
    for (uint32_t s = 0; s < SEQUENCES; s++)
        fill(&w, s, draw(3) ? 1 + draw(300) : ARITH_CHUNK * (1 + draw(4)) + draw(2), wild);
    upload(&w);
    draw_batch(&w, 1 + draw(10));
    struct cuda_attention a = {.heads = w.m.heads,
                               .head = w.m.head,
                               .value = w.m.latent,
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
    print_message("%u batches had sequences of more chunks than a wave\n", waves);
    assert_true(waves >= case_rounds(15));
}

static bool is_wild(unsigned round)
{
    return round % 4 == 3;
}

/* A round's sequences, of `least` positions to `more` more. */
static void draw_sequences(struct world *w, unsigned round, uint32_t least, uint32_t more)
{
    emulate_set_order((enum emulate_order)(round % 3));
    draw(4) ? draw_model(w) : draw_latent(w);
    for (uint32_t s = 0; s < SEQUENCES; s++)
        fill(w, s, least + draw(more), is_wild(round));
    upload(w);
}

/* Prompts: enough columns of a sequence that they walk, between others that do not. */
static void long_stretches_are_alike(void **state)
{
    (void)state;
    for (unsigned round = 0; round < case_rounds(24); round++) {
        struct world w = {0};
        draw_sequences(&w, round, 20, 240);
        draw_stretches(&w);
        struct cuda_attention a = {.heads = w.m.heads,
                                   .head = w.m.head,
                                   .value = w.m.latent,
                                   .scale = 0.07f,
                                   .cap = draw(4) ? 0.0f : 5.0f,
                                   .window = draw(2) ? 0 : windows[draw(sizeof windows / sizeof *windows)],
                                   .pages_most = w.pages_most,
                                   .walk_queries = 64,
                                   .parts_most = PARTS_MOST};
        compare_attention(&w, &a, is_wild(round), true);
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
        draw_sequences(&w, round, 210, 250);
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
                                   .value = w.m.latent,
                                   .scale = 0.09f,
                                   .cap = draw(4) ? 0.0f : 5.0f,
                                   .window = window,
                                   .pages_most = w.pages_most,
                                   .parts_most = w.rows * w.m.heads * (1 + draw(w.pages_most)),
                                   .places = draw(2) ? 1 : 1 + draw(4 * w.rows)};
        emulate_set_shared(round % 5 == 4 ? 60u << 10 : 0); /* two chunks of heads of 256 have no room in that */
        compare_attention(&w, &a, is_wild(round), draw(3));
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
        set_layers(&w);
        for (uint32_t s = 0; s < SEQUENCES; s++)
            fill(&w, s, s ? 1 + draw(100) : 2100 + draw(9000), round % 2);
        upload(&w);
        draw_batch(&w, 1 + draw(4));
        w.sequence[0] = 0;
        w.position[0] = w.length[0] - 1;
        w.table[0] = w.first[0];
        struct cuda_attention a = {.heads = w.m.heads,
                                   .head = w.m.head,
                                   .value = w.m.latent,
                                   .scale = 0.5f,
                                   .window = round < 3 ? 0 : 2000 + draw(5000),
                                   .pages_most = w.pages_most,
                                   .parts_most = round % 3 ? PARTS_MOST : 0,
                                   .places = round % 2};
        compare_attention(&w, &a, false, draw(2));
        clear_world(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attention_is_alike),
        cmocka_unit_test(many_sequences_are_alike),
        cmocka_unit_test(long_stretches_are_alike),
        cmocka_unit_test(long_contexts_are_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
