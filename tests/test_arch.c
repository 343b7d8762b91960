/* Small random models of every architecture: the same bits for every kernel set, batch and number of threads, one token
 * at a time and in one pass; and what is special to each: windows, experts, caps, long requests, encoders. */
#include "inference/engine/recur.h"
#include "tests/arch.h"

static void every_way_gives_the_same_bits(void **state)
{
    (void)state;
    static const struct {
        unsigned threads;
        uint32_t batch;
    } ways[] = {{1, 1}, {2, 64}, {1, 7}};
    static float want[TOKENS * 512], got[TOKENS * 512];
    const struct model_make *shape;
    for (size_t k = 0; (shape = model_make_at(k)); k++) {
        struct loaded l;
        const struct ops *ops;
        size_t n = 0;
        load(&l, shape);
        for (size_t i = 0; (ops = ops_at(i)); i++)
            for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
                struct engine *e = engine_for(&l, ops, ways[w].threads, ways[w].batch);
                size_t count = everything(e, TOKENS, ways[w].batch, n ? got : want);
                engine_free(e);
                if (n && memcmp(got, want, n * sizeof *want) != 0)
                    fail_msg("%s: %s, %u threads, batches of %u differ from the reference", shape->label, ops->name,
                             ways[w].threads, ways[w].batch);
                n = count;
            }
        float s = spread(want, n);
        if (!(s > 0.05f && s < 100.0f))
            fail_msg("%s: values of about %g are no test", shape->label, (double)s);
        unload(&l);
    }
}

/* Of a text of 70 tokens in batches of 32 those that `every` names: each so many-th row of a batch, counted from its
 * end. `all`: what everything() says of them. */
static void eval_some(const struct loaded *l, struct engine *e, uint32_t every, const float *all, const char *label)
{
    const size_t width = l->model->vocab + l->model->embed;
    struct engine_seq *s = engine_seq_new(e, 70);
    struct engine_row rows[32];
    for (uint32_t from = 0, cols; from < 70; from += cols) {
        cols = 70 - from < 32 ? 70 - from : 32;
        for (uint32_t c = 0; c < cols; c++)
            rows[c] = (struct engine_row){.seq = s, .token = token_at(from + c), .wants = (cols - 1 - c) % every == 0};
        engine_eval(e, rows, cols);
        for (uint32_t c = 0; c < cols; c++) {
            const float *want = all + (from + c) * width;
            if (rows[c].wants && (memcmp(rows[c].logits, want, l->model->vocab * sizeof *want) != 0 ||
                                  memcmp(rows[c].hidden, want + l->model->vocab, l->model->embed * sizeof *want) != 0))
                fail_msg("%s: position %u differs where each %u-th is asked for", label, from + c, every);
        }
    }
    engine_seq_free(s);
}

/* In the last layer only those rows go on whose output somebody wants. */
static void what_nobody_asks_for_changes_nothing(void **state)
{
    (void)state;
    static float all[TOKENS * 512];
    const struct model_make *shape;
    for (size_t k = 0; (shape = model_make_at(k)); k++) {
        struct loaded l;
        load(&l, shape);
        if (model_writes(l.model)) {
            struct engine *e = engine_for(&l, ops_pick("auto", NULL), 2, 32);
            (void)everything(e, 70, 32, all);
            eval_some(&l, e, 3, all, shape->label);
            eval_some(&l, e, 32, all, shape->label);
            engine_free(e);
        }
        unload(&l);
    }
}

/* The rows of the tokens from `from` on, of a sequence that shares with `scope` and takes over what it finds. Returns
 * how many positions it found. */
static uint32_t eval_shared(struct engine *e, uint8_t scope, uint32_t n, uint32_t length, float *out)
{
    const struct model *m = engine_model(e);
    const struct hash h = {{scope}};
    struct engine_seq *s = engine_seq_new(e, length);
    size_t width = m->vocab + m->embed;
    uint32_t ids[TOKENS];
    for (uint32_t i = 0; i < n; i++)
        ids[i] = token_at(i);
    engine_seq_share(s, &h);
    uint32_t found = engine_seq_reuse(s, ids, n - 1);
    for (uint32_t i = found; i < n; i++) {
        struct engine_row row = {.seq = s, .token = ids[i], .wants = true};
        engine_eval(e, &row, 1);
        memcpy(out + i * width, row.logits, m->vocab * sizeof *out);
        memcpy(out + i * width + m->vocab, row.hidden, m->embed * sizeof *out);
    }
    engine_seq_free(s);
    return found;
}

/* A sequence that takes over another's whole pages goes on in the same bits; with a stranger's scope, or where a long
 * request turns otherwise, it finds none; and none once they were trimmed. */
static void beginnings_are_shared_by_those_alike(void **state)
{
    (void)state;
    static float want[TOKENS * 512], got[TOKENS * 512];
    const struct model_make *shape;
    for (size_t k = 0; (shape = model_make_at(k)); k++) {
        struct loaded l;
        load(&l, shape);
        if (model_writes(l.model)) {
            struct engine *e = engine_for(&l, ops_pick("auto", NULL), 2, 64);
            size_t width = l.model->vocab + l.model->embed, rest = (TOKENS - 128) * width;
            bool turns = l.model->rope_long_from > 0;
            uint32_t length = turns ? l.model->rope_long_from : TOKENS;
            uint32_t ids[TOKENS];
            for (uint32_t i = 0; i < TOKENS; i++)
                ids[i] = token_at(i);
            eval_all(e, ids, TOKENS, length, 64, want);
            assert_int_equal(eval_shared(e, 1, TOKENS, length, got), 0);
            uint64_t states = recur_keeps_all(l.model) ? 2 : 1; /* behind both pages, or the last */
            assert_int_equal(engine_idle_bytes(e),
                             engine_seq_bytes(e, 128) - engine_seq_bytes(e, 0) + states * recur_state_bytes(l.model));
            assert_int_equal(eval_shared(e, 2, TOKENS, length, got), 0);
            memset(got, 0, sizeof got);
            assert_int_equal(eval_shared(e, 1, TOKENS, length, got), 128);
            if (memcmp(got + 128 * width, want + 128 * width, rest * sizeof *want) != 0)
                fail_msg("%s: a shared beginning changes what follows", shape->label);
            assert_int_equal(eval_shared(e, 1, TOKENS, length + 1, got), turns ? 0 : 128);
            engine_trim(e, 0);
            assert_int_equal(engine_idle_bytes(e), 0);
            assert_int_equal(eval_shared(e, 1, TOKENS, length, got), 0);
            engine_free(e);
        }
        unload(&l);
    }
}

/* With one layer, position i sees i - 69 and not i - 70. */
static void a_window_ends_where_it_should(void **state)
{
    (void)state;
    static float first[TOKENS * 512], second[TOKENS * 512];
    struct model_make s = *shape_of("llama, window");
    struct loaded l;
    uint32_t ids[TOKENS];
    s.layers = 1;
    load(&l, &s);
    struct engine *e = engine_for(&l, ops_pick("auto", NULL), 1, 32);
    size_t width = VOCAB + s.embed;
    for (uint32_t i = 0; i < TOKENS; i++)
        ids[i] = token_at(i);
    eval_all(e, ids, TOKENS, TOKENS, 32, first);
    for (uint32_t changed = 3; changed < 80; changed += 38) { /* in the first chunk and in the second */
        uint32_t before = ids[changed];
        ids[changed] = (before + 1) % VOCAB;
        eval_all(e, ids, TOKENS, TOKENS, 32, second);
        for (uint32_t i = 0; i < TOKENS; i++) {
            bool same = memcmp(first + i * width, second + i * width, width * sizeof *first) == 0;
            assert_int_equal(same, i < changed || i - changed >= 70);
        }
        ids[changed] = before;
    }
    engine_free(e);
    unload(&l);
}

/* The table belongs to the request's length: 100 tokens are short, 101 long; the engine's own limit says nothing. */
static void long_requests_turn_otherwise(void **state)
{
    (void)state;
    static float out[3][40 * 512];
    struct loaded l;
    uint32_t ids[40];
    load(&l, shape_of("phi3, factors"));
    for (uint32_t i = 0; i < 40; i++)
        ids[i] = token_at(i);
    struct engine *e = engine_for(&l, ops_pick("auto", NULL), 1, 40);
    eval_all(e, ids, 40, 100, 40, out[0]);
    eval_all(e, ids, 40, 101, 40, out[1]);
    engine_free(e);
    struct engine_options o = {
        .model = l.model, .ops = ops_pick("auto", NULL), .threads = 1, .batch_max = 40, .context = 64};
    e = engine_new(&o);
    eval_all(e, ids, 40, 101, 40, out[2]);
    engine_free(e);
    size_t n = 40 * (VOCAB + l.model->embed);
    assert_memory_not_equal(out[0], out[1], n * sizeof **out);
    assert_memory_equal(out[1], out[2], n * sizeof **out);
    unload(&l);
}

/* Equal scores choose the lower indices: with a router of zeros the experts behind the first two are never asked. */
static void ties_between_experts_go_to_the_lower(void **state)
{
    (void)state;
    static float out[2][20 * 512];
    const struct model_make *s = shape_of("llama, experts");
    for (unsigned spoil = 0; spoil < 2; spoil++) {
        struct loaded l;
        load(&l, s);
        for (uint32_t i = 0; i < s->layers; i++) {
            struct model_layer *layer = &l.model->layer[i];
            memset((void *)(uintptr_t)layer->router.w.data, 0, layer->router.w.row_bytes * layer->router.w.rows);
            for (uint32_t x = 2; spoil && x < s->experts; x++)
                layer->expert[x] = layer->expert[0];
        }
        struct engine *e = engine_for(&l, ops_pick("auto", NULL), 1, 20);
        everything(e, 20, 20, out[spoil]);
        engine_free(e);
        unload(&l);
    }
    assert_memory_equal(out[0], out[1], 20 * (VOCAB + s->embed) * sizeof **out);
}

static void caps_hold(void **state)
{
    (void)state;
    static float out[TOKENS * 512];
    struct loaded l;
    load(&l, shape_of("gemma2"));
    l.model->cap_logits = 0.75f;
    struct engine *e = engine_for(&l, ops_pick("auto", NULL), 1, 50);
    everything(e, TOKENS, 50, out);
    float most = 0;
    for (uint32_t i = 0; i < TOKENS; i++)
        for (uint32_t j = 0; j < VOCAB; j++) {
            float v = fabsf(out[i * (VOCAB + l.model->embed) + j]);
            most = v > most ? v : most;
        }
    assert_true(most > 0.7f && most <= 0.75f);
    engine_free(e);
    unload(&l);
}

/* -- embeddings -- */

static void pooled_as_the_file_says(void **state)
{
    (void)state;
    enum { N = 30, BATCH = 8 };
    static float all[N * 512], out[512];
    uint32_t ids[N];
    struct loaded l;
    load(&l, shape_of("qwen3"));
    size_t embed = l.model->embed, width = VOCAB + embed;
    for (uint32_t i = 0; i < N; i++)
        ids[i] = token_at(i);
    struct engine *e = engine_for(&l, ops_pick("auto", NULL), 1, BATCH);
    assert_int_equal(l.model->pooling, MODEL_POOL_LAST);
    eval_all(e, ids, N, N, BATCH, all);
    assert_true(engine_embed(e, ids, N, out));
    assert_memory_equal(out, all + (N - 1) * width + VOCAB, embed * sizeof *out);
    l.model->pooling = MODEL_POOL_FIRST;
    assert_true(engine_embed(e, ids, N, out));
    assert_memory_equal(out, all + VOCAB, embed * sizeof *out);
    l.model->pooling = MODEL_POOL_MEAN;
    assert_true(engine_embed(e, ids, N, out));
    for (size_t j = 0; j < embed; j++) {
        float sum = 0;
        for (uint32_t i = 0; i < N; i++)
            sum = sum + all[i * width + VOCAB + j];
        assert_true(out[j] == sum / (float)N);
    }
    engine_embed_normalise(out, embed);
    assert_true(fabsf(spread(out, embed) * sqrtf((float)embed) - 1.0f) < 1e-6f);
    memset(out, 0, sizeof out);
    engine_embed_normalise(out, embed);
    assert_true(out[0] == 0.0f);
    engine_free(e);
    unload(&l);
}

/* Every token counts for an encoder's first position; a request to write is refused in words. */
static void an_encoder_sees_all_and_writes_nothing(void **state)
{
    (void)state;
    float out[2][64];
    uint32_t ids[TOKENS];
    struct loaded l;
    load(&l, shape_of("bert"));
    l.model->pooling = MODEL_POOL_FIRST;
    struct engine *e = engine_for(&l, ops_pick("auto", NULL), 2, 32);
    for (uint32_t i = 0; i < TOKENS; i++)
        ids[i] = token_at(i);
    assert_true(engine_embed(e, ids, TOKENS, out[0]));
    ids[TOKENS - 1] = (ids[TOKENS - 1] + 1) % VOCAB;
    assert_true(engine_embed(e, ids, TOKENS, out[1]));
    assert_memory_not_equal(out[0], out[1], sizeof out[0]);
    struct request r;
    struct buf request = {0};
    struct session *s;
    struct note note = {{0}};
    request_init(&r);
    r.prompt = bytes_of(ids, 8);
    r.tokens_max = 4;
    request_put(&request, &r);
    struct session_options o = {.engine = e, .request = bytes_of_buf(&request)};
    assert_int_equal(session_new(&o, &s, &note), ERR_UNSUPPORTED);
    assert_non_null(strstr(note.text, "bert"));
    buf_clear(&request);
    engine_free(e);
    unload(&l);
}

/* Powers of two, so that nothing is rounded: what is scaled up on the way in and down on the way out is as it was. */
static void scales_of_the_stream(void **state)
{
    (void)state;
    static float plain[20 * 512], scaled[20 * 512];
    struct model_make s = *shape_of("granite, biases");
    struct loaded l;
    s.biases = false;
    load(&l, &s);
    l.model->logit_scale = 1.0f;
    l.model->epsilon = 0;
    struct engine *e = engine_for(&l, ops_pick("auto", NULL), 1, 20);
    everything(e, 20, 20, plain);
    l.model->embed_scale = l.model->branch_scale = 4.0f; /* the stream is four times what it was: norms do not see it */
    l.model->logit_scale = 0.125f;
    everything(e, 20, 20, scaled);
    for (uint32_t i = 0; i < 20; i++)
        for (uint32_t j = 0; j < VOCAB; j++)
            assert_true(scaled[i * (VOCAB + s.embed) + j] == plain[i * (VOCAB + s.embed) + j] * 0.125f);
    l.model->branch_scale = 2.0f;
    everything(e, 20, 20, scaled);
    assert_true(scaled[0] != plain[0] * 0.125f);
    engine_free(e);
    unload(&l);
}

/* The fourth layer of each four sees where tokens stand only by what others left: alone it would take any order. */
static void some_layers_are_not_rotated(void **state)
{
    (void)state;
    static float first[3 * 512], second[3 * 512];
    static const uint32_t ids[] = {5, 17, 40}, swapped[] = {17, 5, 40};
    struct model_make s = *shape_of("smollm3");
    struct loaded l;
    size_t last = 2 * (VOCAB + (size_t)s.embed);
    load(&l, &s);
    for (uint32_t i = 0; i < s.layers; i++)
        assert_true(l.model->layer[i].is_still == (i == 3));
    l.model->layers = 1; /* rotated: the order of what came before counts */
    struct engine *e = engine_for(&l, &ops_ref, 1, 3);
    eval_all(e, ids, 3, 3, 3, first);
    eval_all(e, swapped, 3, 3, 3, second);
    assert_memory_not_equal(first + last, second + last, VOCAB * sizeof *first);
    l.model->layer[0].is_still = true;
    eval_all(e, ids, 3, 3, 3, first);
    eval_all(e, swapped, 3, 3, 3, second);
    for (uint32_t j = 0; j < VOCAB; j++) /* but for the order in which floats are added */
        assert_true(fabsf(first[last + j] - second[last + j]) < 1e-3f);
    engine_free(e);
    l.model->layers = s.layers;
    unload(&l);
}

/* With one expert for each token its weight is its part of all experts, not 1; a gate that is shut leaves the shared
 * expert out. */
static void experts_beside_one_that_all_share(void **state)
{
    (void)state;
    static float out[3][20 * 512];
    struct model_make s = *shape_of("qwen2moe");
    struct loaded l;
    s.used = 1;
    for (unsigned way = 0; way < 3; way++) {
        load(&l, &s);
        for (uint32_t i = 0; i < s.layers; i++) {
            struct model_layer *layer = &l.model->layer[i];
            const struct ops_weight *w = way == 1 ? &layer->router.w : &layer->shared_gate;
            for (size_t j = 0; way && j < w->rows * w->n; j++) /* router: all alike; gate: one half, whatever comes */
                store_le32((uint8_t *)(uintptr_t)w->data + 4 * j, 0);
        }
        struct engine *e = engine_for(&l, ops_pick("auto", NULL), 1, 20);
        everything(e, 20, 20, out[way]);
        engine_free(e);
        unload(&l);
    }
    assert_memory_not_equal(out[0], out[1], VOCAB * sizeof **out);
    assert_memory_not_equal(out[0], out[2], VOCAB * sizeof **out);
    s.shared = 0;
    expect_refusal(&s, "expert_shared_feed_forward_length");
}

/* Hidden states and logits of 20 positions by a gpt-oss of one layer, its sinks as given; NAN: none. */
static void run_with_sinks(float sink, float *out)
{
    struct model_make s = *shape_of("gpt-oss");
    struct loaded l;
    float sinks[8];
    s.layers = 1;
    load(&l, &s);
    for (uint32_t h = 0; h < s.heads; h++)
        sinks[h] = sink;
    l.model->layer[0].sinks = sink == sink ? sinks : NULL;
    if (sink == INFINITY) { /* as if attention gave nothing */
        l.model->layer[0].sinks = NULL;
        memset((void *)(uintptr_t)l.model->layer[0].output.w.data, 0,
               l.model->layer[0].output.w.row_bytes * l.model->layer[0].output.w.rows);
    }
    struct engine *e = engine_for(&l, &ops_ref, 1, 20);
    everything(e, 20, 20, out);
    engine_free(e);
    unload(&l);
}

/* One far below all scores is none, bit by bit; one far above leaves nothing of the values; between, each counts. */
static void a_sink_takes_its_part(void **state)
{
    (void)state;
    static float none[20 * 512], low[20 * 512], high[20 * 512], nothing[20 * 512], some[20 * 512];
    const size_t n = 20 * (VOCAB + 64);
    run_with_sinks(NAN, none);
    run_with_sinks(-1000.0f, low);
    run_with_sinks(1000.0f, high);
    run_with_sinks(INFINITY, nothing);
    run_with_sinks(1.0f, some);
    assert_memory_equal(none, low, n * sizeof *none);
    assert_memory_equal(high, nothing, n * sizeof *none);
    assert_memory_not_equal(none, some, VOCAB * sizeof *none);
    assert_memory_not_equal(high, some, VOCAB * sizeof *none);
}

/* Every bias of the experts, and the router's, changes what comes out. */
static void experts_have_biases(void **state)
{
    (void)state;
    static float out[5][20 * 512];
    static const float zeros[256];
    const struct model_make *s = shape_of("gpt-oss");
    for (unsigned way = 0; way < 5; way++) {
        struct loaded l;
        load(&l, s);
        for (uint32_t i = 0; way && i < s->layers; i++) {
            struct model_layer *layer = &l.model->layer[i];
            layer->router.bias = way == 4 ? zeros : layer->router.bias;
            for (uint32_t x = 0; way < 4 && x < s->experts; x++)
                *(way == 1   ? &layer->expert[x].gate.bias
                  : way == 2 ? &layer->expert[x].up.bias
                             : &layer->expert[x].down.bias) = zeros;
        }
        struct engine *e = engine_for(&l, ops_pick("auto", NULL), 1, 20);
        everything(e, 20, 20, out[way]);
        engine_free(e);
        unload(&l);
    }
    for (unsigned way = 1; way < 5; way++)
        assert_memory_not_equal(out[0], out[way], VOCAB * sizeof **out);
}

/* 20 positions by an architecture that lacks some of what it has. */
static void run_without(const struct model_make *s, unsigned has, void (*spoil)(struct model *m), float *out)
{
    struct loaded l;
    load(&l, s);
    struct model_kind kind = *l.model->kind;
    kind.has &= ~has;
    l.model->kind = &kind;
    if (spoil)
        spoil(l.model);
    struct engine *e = engine_for(&l, &ops_ref, 1, 20);
    everything(e, 20, 20, out);
    engine_free(e);
    unload(&l);
}

static void even_gains(struct model *m)
{
    for (uint32_t i = 0; i < m->layers; i++)
        for (uint32_t j = 0; j < m->head; j++) {
            ((float *)(uintptr_t)m->layer[i].query_norm.gain)[j] = 1.0f;
            ((float *)(uintptr_t)m->layer[i].key_norm.gain)[j] = 1.0f;
        }
}

/* A rotation leaves the length of a head as it is: only where gains differ it counts which of both comes first. */
static void heads_are_normed_behind_the_rotation(void **state)
{
    (void)state;
    static float late[20 * 512], early[20 * 512];
    const struct model_make *s = shape_of("hunyuan-dense");
    const size_t n = 20 * (VOCAB + (size_t)s->embed);
    for (unsigned even = 0; even < 2; even++) {
        run_without(s, 0, even ? even_gains : NULL, late);
        run_without(s, HAS_LATE_NORMS, even ? even_gains : NULL, early);
        const float all = spread(late, n);
        for (size_t i = 0; i < n; i++)
            late[i] -= early[i];
        assert_true((spread(late, n) < 0.02f * all) == (even == 1));
    }
}

static void silence_attention(struct model *m)
{
    for (uint32_t i = 0; i < m->layers; i++) {
        const struct ops_weight *w = &m->layer[i].output.w;
        memset((void *)(uintptr_t)w->data, 0, w->row_bytes * w->rows);
    }
}

/* The second branch does not see what the first adds: with nothing added it cannot be told. */
static void both_branches_enter_by_one_norm(void **state)
{
    (void)state;
    static float beside[20 * 512], behind[20 * 512];
    const struct model_make *s = shape_of("command-r");
    const size_t n = 20 * (VOCAB + (size_t)s->embed);
    run_without(s, 0, NULL, beside);
    run_without(s, HAS_ONE_NORM, NULL, behind);
    assert_memory_not_equal(beside, behind, n * sizeof *beside);
    run_without(s, 0, silence_attention, beside);
    run_without(s, HAS_ONE_NORM, silence_attention, behind);
    assert_memory_equal(beside, behind, n * sizeof *beside);
}

static void wide_layers_beside_windows_are_not_rotated(void **state)
{
    (void)state;
    static const char *const labels[] = {"exaone4", "exaone4, windows", "cohere2", "gemma3"};
    for (size_t k = 0; k < sizeof labels / sizeof *labels; k++) {
        struct loaded l;
        load(&l, shape_of(labels[k]));
        for (uint32_t i = 0; i < l.model->layers; i++) {
            assert_true((l.model->layer[i].window == 0) == (k == 0 || i % (k == 3 ? 6 : 4) == (k == 3 ? 5 : 3)));
            assert_true(l.model->layer[i].is_still == ((k == 1 || k == 2) && l.model->layer[i].window == 0));
        }
        unload(&l);
    }
}

/* Gains of head 2 are its own: the first position, which sees itself alone, is the same with others. */
static void heads_have_gains_of_their_own(void **state)
{
    (void)state;
    static float out[2][20 * 512];
    const size_t width = VOCAB + 64;
    for (unsigned spoil = 0; spoil < 2; spoil++) {
        struct loaded l;
        load(&l, shape_of("command-r, norms of heads"));
        const struct model_norm *norm = &l.model->layer[1].query_norm;
        for (uint32_t i = 2 * 24; spoil && i < 3 * 24; i++)
            ((float *)(uintptr_t)norm->gain)[i] = 3.0f;
        struct engine *e = engine_for(&l, ops_pick("auto", NULL), 1, 20);
        everything(e, 20, 20, out[spoil]);
        engine_free(e);
        unload(&l);
    }
    assert_memory_equal(out[0], out[1], width * sizeof **out);
    assert_memory_not_equal(out[0] + width, out[1] + width, width * sizeof **out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_way_gives_the_same_bits),
        cmocka_unit_test(what_nobody_asks_for_changes_nothing),
        cmocka_unit_test(beginnings_are_shared_by_those_alike),
        cmocka_unit_test(a_window_ends_where_it_should),
        cmocka_unit_test(long_requests_turn_otherwise),
        cmocka_unit_test(ties_between_experts_go_to_the_lower),
        cmocka_unit_test(caps_hold),
        cmocka_unit_test(pooled_as_the_file_says),
        cmocka_unit_test(an_encoder_sees_all_and_writes_nothing),
        cmocka_unit_test(scales_of_the_stream),
        cmocka_unit_test(some_layers_are_not_rotated),
        cmocka_unit_test(experts_beside_one_that_all_share),
        cmocka_unit_test(a_sink_takes_its_part),
        cmocka_unit_test(experts_have_biases),
        cmocka_unit_test(heads_are_normed_behind_the_rotation),
        cmocka_unit_test(heads_have_gains_of_their_own),
        cmocka_unit_test(both_branches_enter_by_one_norm),
        cmocka_unit_test(wide_layers_beside_windows_are_not_rotated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
