/* Whole models on emulated GPUs (tests/cuda): the bits of the reference for every architecture and format, cut over
 * several devices, in any batches, with shared beginnings; and when a device is lost or full, the answers go on here.
 */
#include "base/mem.h"
#include "inference/cuda/kernels.h"
#include "inference/engine/engine.h"
#include "inference/kernels/ops.h"
#include "tests/cuda/order.h"
#include "tests/cuda/runtime_emulated.h"
#include "tests/model_eval.h"
#include "tests/support.h"

#include <stdlib.h>
#include <string.h>

#define TOKENS MODEL_EVAL_TOKENS
#define MIXED  5 /* sequences: more rows than logits are made at once, here or on a GPU */

/* Layers from `first` on on devices, cut at `cut` (0: one device); first == layers: all here. */
static struct engine *engine_for(const struct model_eval *l, uint32_t first, uint32_t cut, uint32_t batch,
                                 struct note *lost)
{
    const struct device_table *t = kith_device_table();
    uint32_t ends[2] = {cut ? cut : l->model->layers, l->model->layers}, n = cut ? 2 : 1;
    struct engine_device at[2];
    struct note note = {{0}};
    for (uint32_t i = 0; i < n && first < l->model->layers; i++) {
        const struct device_options o = {.index = i,
                                         .model = l->model,
                                         .first = i ? ends[0] : first,
                                         .end = ends[i],
                                         .has_output = model_writes(l->model) && ends[i] == l->model->layers,
                                         .batch_max = batch};
        at[i] = (struct engine_device){.table = t, .first = o.first, .end = o.end};
        if (t->open(&o, &at[i].device_take, &note) != ERR_OK)
            fail_msg("%s", note.text);
    }
    const struct engine_options o = {.model = l->model,
                                     .ops = &ops_ref,
                                     .threads = 2,
                                     .batch_max = batch,
                                     .devices = at,
                                     .devices_n = first < l->model->layers ? n : 0,
                                     .lost = model_eval_lost,
                                     .lost_arg = lost};
    return engine_new(&o);
}

static uint32_t gpus_n(void)
{
    struct note why;
    return kith_device_table()->start(&why);
}

/* What a real GPU cannot be told. */
static void needs_emulation(void)
{
    if (emulated_is())
        return;
    print_message("skip: a real GPU is not lost or filled for a test\n");
    skip();
}

static void encode(struct engine *e, uint32_t n, float *out)
{
    uint32_t ids[TOKENS];
    for (uint32_t i = 0; i < n; i++)
        ids[i] = model_eval_token(i);
    assert_true(engine_embed(e, ids, n, out));
}

/* -- the same bits -- */

static void every_architecture(void **state)
{
    (void)state;
    const struct model_make *shape;
    for (size_t k = 0; (shape = model_make_at(k)); k++) {
        struct model_eval l;
        struct note lost = {{0}};
        model_eval_open(&l, shape);
        if (model_on_processors(l.model)) {
            model_eval_close(&l);
            continue;
        }
        struct engine *here = engine_for(&l, l.model->layers, 0, TOKENS, NULL);
        struct engine *there = engine_for(&l, 0, 0, TOKENS, &lost);
        if (model_writes(l.model)) {
            model_eval_all(here, 7, model_eval_want);
            model_eval_all(there, TOKENS - 1, model_eval_got);
            model_eval_compare(l.model, shape->label, "in one batch, and a token");
        } else {
            encode(here, TOKENS, model_eval_want);
            encode(there, TOKENS, model_eval_got);
            assert_memory_equal(model_eval_want, model_eval_got, l.model->embed * sizeof *model_eval_want);
        }
        assert_string_equal(lost.text, "");
        engine_free(here);
        engine_free(there);
        model_eval_close(&l);
    }
    assert_int_equal(emulated_bytes(), 0);
    assert_int_equal(emulated_pinned(), 0);
}

#define TAPS 12

/* rows[TAPS, embed], of all layers but the last. */
static void tap_all(const struct model_eval *l, struct engine *e, uint32_t batch, float *rows)
{
    struct engine_tap tap[TAPS];
    struct engine_seq *s = engine_seq_new(e, TOKENS);
    for (uint32_t i = 0; i < TAPS; i++)
        tap[i] = (struct engine_tap){i * 5 % (l->model->layers - 1), i * 37 % TOKENS, rows + i * l->model->embed};
    engine_seq_tap(s, tap, TAPS);
    model_eval_rows(e, s, 0, TOKENS, batch, model_eval_got);
    engine_seq_free(s);
}

/* On two devices; and where short batches come again and again, so that they might be recorded. */
static void rows_are_taken_between_layers(void **state)
{
    (void)state;
    const struct model_make *shape;
    emulated_gpus(2, (uint64_t)1 << 30);
    for (size_t k = 0; (shape = model_make_at(k)); k++) {
        struct model_eval l;
        model_eval_open(&l, shape);
        if (model_eval_takes(k) && model_writes(l.model) && !model_on_processors(l.model) && l.model->layers > 1) {
            const size_t n = (size_t)TAPS * l.model->embed;
            float *want = mem_array(n, sizeof *want), *got = mem_array(n, sizeof *got);
            struct engine *here = engine_for(&l, l.model->layers, 0, TOKENS, NULL);
            tap_all(&l, here, 7, want);
            for (uint32_t i = k ? 2 : 0; i < 3; i++) {
                struct note lost = {{0}};
                if (i == 2 && gpus_n() < 2)
                    continue;
                struct engine *there = engine_for(&l, 0, i == 2 ? l.model->layers - 1 : 0, TOKENS, &lost);
                memset(got, 0, n * sizeof *got);
                tap_all(&l, there, i == 0 ? 10 : TOKENS, got); /* seven batches of one shape, or one that is long */
                for (size_t c = 0; c < n; c++)
                    if (memcmp(&want[c], &got[c], sizeof *got) != 0)
                        fail_msg("%s, way %u: tap %zu, value %zu", shape->label, i, c / l.model->embed,
                                 c % l.model->embed);
                assert_string_equal(lost.text, "");
                engine_free(there);
            }
            engine_free(here);
            free(want);
            free(got);
        }
        model_eval_close(&l);
    }
    emulated_gpus(1, (uint64_t)1 << 30);
    assert_int_equal(emulated_bytes(), 0);
}

static void every_format(void **state)
{
    (void)state;
    static const enum gguf_tensor_type types[] = {
        GGUF_TENSOR_F32,    GGUF_TENSOR_F16,  GGUF_TENSOR_BF16,   GGUF_TENSOR_Q8_0,  GGUF_TENSOR_Q4_0, GGUF_TENSOR_Q4_1,
        GGUF_TENSOR_Q5_0,   GGUF_TENSOR_Q5_1, GGUF_TENSOR_Q2_K,   GGUF_TENSOR_Q3_K,  GGUF_TENSOR_Q4_K, GGUF_TENSOR_Q5_K,
        GGUF_TENSOR_IQ4_NL, GGUF_TENSOR_Q6_K, GGUF_TENSOR_IQ4_XS, GGUF_TENSOR_MXFP4,
#define E(name, ...) GGUF_TENSOR_##name,
        QUANT_GRID_LIST(E)
#undef E
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        const struct model_make s = {.label = gguf_tensor_type_name(types[i]),
                                     .architecture = "llama",
                                     .type = types[i],
                                     .embed = 256,
                                     .layers = 1,
                                     .heads = 4,
                                     .heads_kv = 2,
                                     .head = 64,
                                     .mix = 512};
        struct model_eval l;
        model_eval_open(&l, &s);
        struct engine *here = engine_for(&l, 1, 0, 16, NULL), *there = engine_for(&l, 0, 0, 23, NULL);
        model_eval_all(here, 16, model_eval_want);
        model_eval_all(there, 23, model_eval_got); /* a token is left over */
        model_eval_compare(l.model, s.label, "on a GPU");
        engine_free(here);
        engine_free(there);
        model_eval_close(&l);
    }
}

/* One column has less between its products than several have. */
static void one_column_takes_few_kernels(void **state)
{
    (void)state;
    needs_emulation();
    const struct model_make s = {.label = "few kernels",
                                 .architecture = "llama",
                                 .type = GGUF_TENSOR_Q4_K,
                                 .embed = 256,
                                 .layers = 2,
                                 .heads = 8,
                                 .heads_kv = 2,
                                 .head = 64,
                                 .mix = 512};
    const uint32_t few = 5, all = 9, last = 6; /* of a layer; and once: those that go on, the output's */
    struct engine_row rows[2];
    struct model_eval l;
    model_eval_open(&l, &s);
    struct engine *e = engine_for(&l, 0, 0, 16, NULL);
    for (uint32_t n = 1; n <= 2; n++) {
        struct engine_seq *seq[2];
        for (uint32_t i = 0; i < n; i++) {
            seq[i] = engine_seq_new(e, TOKENS);
            rows[i] = (struct engine_row){.seq = seq[i], .token = i, .wants = true};
        }
        const uint64_t before = emulated_kernels_run();
        engine_eval(e, rows, n);
        assert_int_equal(emulated_kernels_run() - before, (n == 1 ? few : all) * s.layers + last);
        for (uint32_t i = 0; i < n; i++)
            engine_seq_free(seq[i]);
    }
    engine_free(e);
    model_eval_close(&l);
}

/* Of three layers: none, one or two here, the others on one device or cut over two. */
static void any_cut_and_any_batch(void **state)
{
    (void)state;
    static const struct {
        uint32_t first, cut, batch;
        const char *way;
    } ways[] = {{0, 0, 1, "one token at a time"},
                {1, 0, 33, "one layer here"},
                {2, 0, 9, "two layers here"},
                {0, 1, 23, "two devices, a token left over"},
                {1, 2, 23, "here and two devices"}};
    struct model_make s = *model_make_at(0);
    struct model_eval l;
    s.layers = 3;
    emulated_gpus(2, (uint64_t)1 << 30);
    model_eval_open(&l, &s);
    struct engine *here = engine_for(&l, 3, 0, 16, NULL);
    model_eval_all(here, 16, model_eval_want);
    engine_free(here);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        if (ways[i].cut && gpus_n() < 2)
            continue;
        struct engine *e = engine_for(&l, ways[i].first, ways[i].cut, ways[i].batch, NULL);
        model_eval_all(e, ways[i].batch, model_eval_got);
        model_eval_compare(l.model, s.label, ways[i].way);
        engine_free(e);
    }
    assert_true(!emulated_is() || emulated_graphs_run() > 0);
    model_eval_close(&l);
    emulated_gpus(1, (uint64_t)1 << 30);
}

/* A token of each of two sequences from `from` on, and behind each a guess that is wrong and taken back. */
static void eval_with_guesses(struct engine *e, struct engine_seq **s, const uint32_t *from, const char *label)
{
    struct engine_row rows[4];
    const struct model *m = engine_model(e);
    for (unsigned k = 0; k < 4; k++)
        rows[k] = (struct engine_row){.seq = s[k / 2],
                                      .token = (model_eval_token(from[k / 2] + k % 2) + k % 2) % MODEL_MAKE_VOCAB,
                                      .wants = true,
                                      .guessed = k % 2};
    engine_eval(e, rows, 4);
    for (unsigned k = 0; k < 2; k++) {
        if (from[k] % 5 != 1 && /* which `want` does not have */
            memcmp(rows[2 * k].logits, model_eval_want + from[k] * (m->vocab + m->embed), m->vocab * sizeof(float)))
            fail_msg("%s: sequence %u differs at %u", label, k, from[k]);
        engine_seq_cut(s[k], from[k] + 1);
    }
}

/* Two sequences in one batch, one of which shares a page that a third left. */
static void mix_and_share(const struct model_make *shape)
{
    struct model_eval l;
    struct note lost = {{0}};
    const struct hash scope = {{1}};
    uint32_t ids[TOKENS];
    model_eval_open(&l, shape);
    assert_null(model_on_processors(l.model));
    struct engine *here = engine_for(&l, l.model->layers, 0, 16, NULL), *e = engine_for(&l, 0, 0, 16, &lost);
    model_eval_all(here, 16, model_eval_want);
    for (uint32_t i = 0; i < TOKENS; i++)
        ids[i] = model_eval_token(i);
    struct engine_seq *first = engine_seq_new(e, TOKENS), *s[2] = {engine_seq_new(e, TOKENS), NULL};
    engine_seq_share(first, &scope);
    model_eval_rows(e, first, 0, 66, 16, model_eval_got);
    engine_seq_free(first);
    model_eval_rows(e, s[0], 0, 20, 16, model_eval_got);
    s[1] = engine_seq_new(e, TOKENS);
    engine_seq_share(s[1], &scope);
    assert_int_equal(engine_seq_reuse(s[1], ids, TOKENS), 64);
    for (uint32_t i = 0; i < 5; i++)
        eval_with_guesses(e, s, (const uint32_t[]){20 + i, 64 + i}, shape->label);
    assert_string_equal(lost.text, "");
    engine_seq_free(s[0]);
    engine_seq_free(s[1]);
    engine_free(here);
    engine_free(e);
    model_eval_close(&l);
}

/* Of each kind that is not evaluated as others are; those with states are in test_cuda_recur.c. */
static void sequences_mix_and_share(void **state)
{
    (void)state;
    static const char *const labels[] = {"deepseek2", "deepseek2, without experts", "bailingmoe2", "llama, adapted",
                                         "deepseek2, adapted"};
    struct model_make grids = {.label = "formats by grids",
                               .architecture = "llama",
                               .type = GGUF_TENSOR_IQ2_XXS,
                               .embed = 256,
                               .layers = 2,
                               .heads = 4,
                               .heads_kv = 2,
                               .head = 64,
                               .mix = 256};
    mix_and_share(model_make_at(0));
    mix_and_share(&grids);
    for (size_t i = 0; i < sizeof labels / sizeof *labels; i++) {
        const struct model_make *shape;
        for (size_t k = 0; (shape = model_make_at(k)) && strcmp(shape->label, labels[i]) != 0;)
            k++;
        assert_non_null(shape);
        mix_and_share(shape);
    }
}

static uint32_t largest_of(const float *x, uint32_t n)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++)
        best = x[i] > x[best] ? i : best;
    return best;
}

/* Row i of a sequence: some model_eval_want the largest logit alone, some all of them, some nothing; or none wants all.
 */
static struct engine_row mixed_row(struct engine_seq *s, uint32_t i, bool best_only)
{
    return (struct engine_row){.seq = s,
                               .token = model_eval_token(i),
                               .wants = i % 5 != 1,
                               .best_only = i % 5 != 1 && (best_only || i % 5 > 2)};
}

static void compare_mixed(const struct engine_row *r, const float *values, const struct model *m)
{
    assert_true(r->finite);
    assert_int_equal(r->logits != NULL, r->wants && !r->best_only);
    if (r->best_only)
        assert_int_equal(r->best, largest_of(values, m->vocab));
    else if (r->wants)
        assert_memory_equal(r->logits, values, m->vocab * sizeof *values);
    if (r->wants)
        assert_memory_equal(r->hidden, values + m->vocab, m->embed * sizeof *values);
}

/* Rows [from, to) of five sequences in one batch. Three of them have no logits to be kept, and stand between the
 * others, so that some of the pieces in which a long batch's logits are made are kept and some are not. */
static void eval_mixed(struct engine *e, struct engine_seq **s, uint32_t from, uint32_t to)
{
    static struct engine_row rows[MIXED * TOKENS];
    const struct model *m = engine_model(e);
    uint32_t n = to - from;
    for (uint32_t c = 0; c < MIXED * n; c++)
        rows[c] = mixed_row(s[c / n], from + c % n, c / n > 0 && c / n + 1 < MIXED);
    engine_eval(e, rows, MIXED * n);
    for (uint32_t c = 0; c < MIXED * n; c++)
        compare_mixed(&rows[c], model_eval_want + (from + c % n) * (m->vocab + m->embed), m);
}

/* Here and on a GPU, in long batches and in short ones. Each token has a neighbour with the same logit. */
static void only_the_best_is_told(void **state)
{
    (void)state;
    static const uint32_t batches[] = {TOKENS, 7, 1};
    struct model_eval l;
    model_eval_open(&l, model_make_at(0));
    const struct ops_weight *w = &l.model->output.w;
    for (uint32_t token = 0; token < MODEL_MAKE_VOCAB; token += 2)
        memcpy((uint8_t *)(uintptr_t)w->data + (token + 1) * w->row_bytes, w->data + token * w->row_bytes,
               w->row_bytes);
    struct engine *here = engine_for(&l, l.model->layers, 0, TOKENS, NULL);
    model_eval_all(here, 7, model_eval_want);
    engine_free(here);
    for (unsigned way = 0; way < 6; way++) {
        struct engine *e = engine_for(&l, way < 3 ? l.model->layers : 0, 0, MIXED * TOKENS, NULL);
        struct engine_seq *s[MIXED];
        for (unsigned i = 0; i < MIXED; i++)
            s[i] = engine_seq_new(e, TOKENS);
        for (uint32_t from = 0, n = batches[way % 3]; from < TOKENS; from += n)
            eval_mixed(e, s, from, TOKENS - from < n ? TOKENS : from + n);
        for (unsigned i = 0; i < MIXED; i++)
            engine_seq_free(s[i]);
        engine_free(e);
    }
    model_eval_close(&l);
}

/* A value that is not finite ends its own position, and no other's. */
static void not_a_number(void **state)
{
    (void)state;
    struct model_eval l;
    struct engine_row rows[3];
    model_eval_open(&l, model_make_at(0));
    assert_int_equal(l.model->embedding.type, GGUF_TENSOR_F32);
    /* The first element of the stream is zero but for one token, whose norm is then times a number too large. */
    for (uint32_t token = 0; token < MODEL_MAKE_VOCAB; token++)
        store_le32((uint8_t *)(uintptr_t)l.model->embedding.data + token * l.model->embedding.row_bytes,
                   arith_bits(token == model_eval_token(1) ? 100.0f : 0.0f));
    ((float *)(uintptr_t)l.model->layer[0].attention_norm.gain)[0] = 3e38f;
    for (unsigned k = 0; k < 4; k++) {
        struct engine *e = engine_for(&l, k % 2 ? 0 : l.model->layers, 0, 3, NULL);
        struct engine_seq *a = engine_seq_new(e, 3), *b = engine_seq_new(e, 3);
        rows[0] = (struct engine_row){.seq = a, .token = model_eval_token(0), .wants = true};
        rows[1] = (struct engine_row){.seq = a, .token = model_eval_token(1), .wants = true};
        rows[2] = (struct engine_row){.seq = b, .token = model_eval_token(2), .wants = true};
        for (unsigned i = 0; i < 3; i++)
            rows[i].best_only = k >= 2;
        engine_eval(e, rows, 3);
        for (unsigned i = 0; i < 3; i++)
            assert_int_equal(rows[i].finite, i != 1);
        engine_seq_free(a);
        engine_seq_free(b);
        engine_free(e);
    }
    model_eval_close(&l);
}

/* -- what fails -- */

/* Lost at any call: two sequences go on as if nothing had been. */
static void a_lost_device_costs_no_answer(void **state)
{
    (void)state;
    needs_emulation();
    struct model_make s = *model_make_at(0);
    struct model_eval l;
    s.layers = 2;
    model_eval_open(&l, &s);
    struct engine *here = engine_for(&l, 2, 0, 16, NULL);
    model_eval_all(here, 16, model_eval_want);
    engine_free(here);
    for (uint32_t at = 1; at <= 7; at += 2)
        for (uint32_t first = 0; first < 2; first++) {
            struct note lost = {{0}};
            struct engine *e = engine_for(&l, first, 0, 16, &lost);
            struct engine_seq *a = engine_seq_new(e, TOKENS), *b = engine_seq_new(e, TOKENS);
            emulated_lose_at(at);
            model_eval_rows(e, a, 0, 40, 16, model_eval_got);
            model_eval_rows(e, b, 0, TOKENS, 16, model_eval_got);
            model_eval_compare(l.model, "the second sequence", "lost");
            model_eval_rows(e, a, 40, TOKENS, 16, model_eval_got);
            model_eval_compare(l.model, "the first sequence", "lost");
            assert_non_null(strstr(lost.text, "lost"));
            assert_int_equal(emulated_bytes(), 0);
            assert_int_equal(emulated_pinned(), 0);
            engine_seq_free(a);
            engine_seq_free(b);
            engine_free(e);
        }
    emulated_lose_at(0);
    model_eval_close(&l);
}

/* An encoder: partly here, on two devices, in texts that are no single batch, and on a device that is lost. */
static void encoders(void **state)
{
    (void)state;
    const struct model_make *shape = NULL;
    struct model_eval l;
    for (size_t k = 0; (shape = model_make_at(k)); k++) {
        model_eval_open(&l, shape);
        if (!model_writes(l.model))
            break;
        model_eval_close(&l);
    }
    assert_non_null(shape);
    assert_true(l.model->layers >= 2);
    emulated_gpus(2, (uint64_t)1 << 30);
    struct engine *here = engine_for(&l, l.model->layers, 0, TOKENS, NULL);
    encode(here, TOKENS, model_eval_want);
    engine_free(here);
    for (unsigned way = 0; way < 4; way++) {
        if (way == 2 ? gpus_n() < 2 : way == 0 && !emulated_is())
            continue;
        struct note lost = {{0}};
        struct engine *e = engine_for(&l, way == 1, way == 2, way == 3 ? 16 : TOKENS, &lost);
        emulated_lose_at(way == 0 ? 2 : 0);
        for (unsigned i = 0; i < 2; i++) {
            encode(e, TOKENS, model_eval_got);
            assert_memory_equal(model_eval_want, model_eval_got, l.model->embed * sizeof *model_eval_want);
        }
        assert_int_equal(lost.text[0] != 0, way == 0);
        engine_free(e);
    }
    emulated_lose_at(0);
    emulated_gpus(1, (uint64_t)1 << 30);
    model_eval_close(&l);
}

/* No room: a model does not open, with a reason; a cache that outgrows a device goes on here. */
static void a_full_device(void **state)
{
    (void)state;
    needs_emulation();
    const struct device_table *t = kith_device_table();
    struct model_eval l;
    struct note note = {{0}}, lost = {{0}};
    struct device *d;
    model_eval_open(&l, model_make_at(0));
    struct device_options o = {.model = l.model, .end = l.model->layers, .has_output = true, .batch_max = 16};
    uint64_t bytes = t->bytes(&o);
    emulated_gpus(1, bytes / 2);
    assert_int_equal(t->open(&o, &d, &note), ERR_FULL);
    assert_non_null(strstr(note.text, "no room"));
    assert_int_equal(emulated_bytes(), 0);
    emulated_gpus(1, bytes + (64 << 10));
    struct engine *here = engine_for(&l, l.model->layers, 0, 16, NULL), *e = engine_for(&l, 0, 0, 16, &lost);
    model_eval_all(here, 16, model_eval_want);
    model_eval_all(e, 16, model_eval_got);
    model_eval_compare(l.model, "a full device", "here");
    assert_non_null(strstr(lost.text, "no room"));
    engine_free(here);
    engine_free(e);
    emulated_gpus(1, (uint64_t)1 << 30);
    model_eval_close(&l);
}

/* Heads that a GPU has no shared memory for: the model does not open there, instead of a device lost at its first
 * token.
 */
static void heads_that_find_no_room(void **state)
{
    (void)state;
    needs_emulation();
    const struct device_table *t = kith_device_table();
    struct model_eval l;
    struct note note = {{0}};
    struct device *d;
    size_t needs, has;
    model_eval_open(&l, model_make_at(0));
    const struct device_options o = {.model = l.model, .end = l.model->layers, .has_output = true, .batch_max = 16};
    assert_true(cuda_attend_fits(l.model->head, l.model->head, &needs, &has));
    emulate_set_shared(needs - 1);
    assert_int_equal(t->open(&o, &d, &note), ERR_UNSUPPORTED);
    assert_non_null(strstr(note.text, "shared memory"));
    assert_int_equal(emulated_bytes(), 0);
    emulate_set_shared(needs);
    assert_int_equal(t->open(&o, &d, &note), ERR_OK);
    t->close(d);
    emulate_set_shared(0);
    model_eval_close(&l);
}

static void devices_are_described(void **state)
{
    (void)state;
    needs_emulation();
    const struct device_table *t = kith_device_table();
    struct device_facts f;
    struct note note = {{0}};
    assert_int_equal(t->abi, DEVICE_ABI);
    emulated_gpus(1, (uint64_t)1 << 30);
    assert_int_equal(t->start(&note), 1);
    assert_int_equal(t->describe(0, &f, &note), ERR_OK);
    assert_string_equal(f.name, "emulated GPU 0");
    assert_int_equal(t->describe(1, &f, &note), ERR_NOT_FOUND);
    emulated_gpus(0, 0);
    assert_int_equal(t->start(&note), 0);
    assert_true(note.text[0] != 0);
    emulated_gpus(1, (uint64_t)1 << 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_architecture),
        cmocka_unit_test(rows_are_taken_between_layers),
        cmocka_unit_test(every_format),
        cmocka_unit_test(one_column_takes_few_kernels),
        cmocka_unit_test(any_cut_and_any_batch),
        cmocka_unit_test(sequences_mix_and_share),
        cmocka_unit_test(only_the_best_is_told),
        cmocka_unit_test(not_a_number),
        cmocka_unit_test(a_lost_device_costs_no_answer),
        cmocka_unit_test(a_full_device),
        cmocka_unit_test(heads_that_find_no_room),
        cmocka_unit_test(encoders),
        cmocka_unit_test(devices_are_described),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
