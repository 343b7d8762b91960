/* The witness of a replay: its places, and its rows against a reader that has no taps: a model cut off behind the
 * layer, one token at a time by the reference kernels, the stream read where the engine keeps it. */
#include "inference/engine/engine_in.h"
#include "inference/sched/witness.h"
#include "tests/arch.h"

#define PROMPT 70 /* two chunks of the cache, and no window holds it */
#define ANSWER 9
#define COUNT  (PROMPT + ANSWER - 1)

/* -- places -- */

static void places_are_drawn(void **state)
{
    (void)state;
    struct witness_options o = {.layers = 5, .embed = 1, .prompt_n = 3, .answer_n = 5};
    struct witness_place p[WITNESS_PLACES], again[WITNESS_PLACES];
    uint32_t layer[5] = {0}, position[7] = {0};
    for (uint32_t i = 0; i < 4000; i++) {
        store_le32(o.key.b, i);
        witness_find_places(&o, p);
        assert_int_equal(p[0].layer, 4);
        assert_int_equal(p[0].position, 6);
        for (uint32_t k = 1; k < WITNESS_PLACES; k++) {
            assert_true(p[k].layer < 4 && p[k].position < 7);
            layer[p[k].layer]++;
            position[p[k].position]++;
        }
    }
    /* 28000 draws: 7000 +- 72 of a layer, 4000 +- 59 of a position; six times that */
    for (uint32_t i = 0; i < 4; i++)
        assert_in_range(layer[i], 6568, 7432);
    for (uint32_t i = 0; i < 7; i++)
        assert_in_range(position[i], 3646, 4354);
    witness_find_places(&o, again);
    assert_memory_equal(p, again, sizeof p);
    o.key.b[31] ^= 1;
    witness_find_places(&o, again);
    assert_memory_not_equal(p, again, sizeof p);
}

/* Places of one key, drawn by another program (Python's BLAKE2b). */
static void places_stay_as_they_are(void **state)
{
    (void)state;
    static const struct witness_place want[] = {{21, 1022}, {18, 461}, {8, 831}, {15, 181},
                                                {2, 489},   {9, 157},  {2, 266}, {13, 719}};
    struct witness_options o = {.layers = 22, .embed = 1, .prompt_n = 1000, .answer_n = 24};
    struct witness_place p[WITNESS_PLACES];
    for (uint8_t i = 0; i < HASH_SIZE; i++)
        o.key.b[i] = i;
    witness_find_places(&o, p);
    for (uint32_t k = 0; k < WITNESS_PLACES; k++)
        if (p[k].layer != want[k].layer || p[k].position != want[k].position)
            fail_msg("place %u: layer %u, position %u", k, p[k].layer, p[k].position);
}

static void few_positions_and_layers(void **state)
{
    (void)state;
    struct witness_place p[WITNESS_PLACES];
    struct witness_options o = {.layers = 1, .embed = 1, .prompt_n = 40, .answer_n = 0};
    assert_int_equal(witness_count(&o), 40); /* the row behind the prompt is what says that there is no answer */
    witness_find_places(&o, p);
    for (uint32_t k = 0; k < WITNESS_PLACES; k++)
        assert_true(p[k].layer == 0 && p[k].position == 39);
    o.answer_n = 1;
    assert_int_equal(witness_count(&o), 40);
    o.answer_n = 4;
    bool others = false;
    for (uint32_t i = 0; i < 50; i++) {
        store_le32(o.key.b, i);
        witness_find_places(&o, p);
        for (uint32_t k = 0; k < WITNESS_PLACES; k++) {
            assert_true(p[k].layer == 0 && p[k].position >= 39 && p[k].position < 43);
            others |= p[k].position == 39;
        }
    }
    assert_true(others);
    o = (struct witness_options){.layers = 2, .embed = 1, .prompt_n = 1, .answer_n = 1};
    witness_find_places(&o, p);
    assert_true(p[0].layer == 1 && p[0].position == 0 && p[1].layer == 0 && p[1].position == 0);
}

/* -- replays -- */

struct work {
    uint32_t prompt_n, answer_n;
    uint32_t ids[PROMPT + ANSWER];
    float temp;
    struct hash key, digest, scope;
};

static struct work random_work(void)
{
    struct work w = {.prompt_n = PROMPT, .answer_n = ANSWER, .key = {{7, 7, 7}}};
    for (uint32_t i = 0; i < PROMPT + ANSWER; i++)
        w.ids[i] = token_at(i);
    return w;
}

static struct witness_options options_of(const struct model *m, const struct work *w)
{
    return (struct witness_options){
        .key = w->key, .layers = m->layers, .embed = m->embed, .prompt_n = w->prompt_n, .answer_n = w->answer_n};
}

static void put_request(struct buf *out, const struct work *w)
{
    struct request r;
    request_init(&r);
    r.prompt = bytes_of(w->ids, w->prompt_n * sizeof *w->ids);
    r.tokens_max = ANSWER;
    r.temp = w->temp;
    r.top_k = 40;
    r.top_p = 0.95f;
    request_put(out, &r);
}

/* The last event of a job, in batches. */
static struct session_event run(struct engine *e, const struct work *w, enum session_mode mode, bool is_witnessed,
                                uint32_t batch, uint32_t *tokens)
{
    struct buf request = {0};
    struct session *s;
    struct note note;
    struct session_event last = {0}, now;
    struct engine_row rows[TOKENS];
    put_request(&request, w);
    const uint32_t known = mode == SESSION_VERIFY ? w->answer_n : 0;
    const struct session_options o = {.mode = mode,
                                      .engine = e,
                                      .request = bytes_of_buf(&request),
                                      .tokens = bytes_of(w->ids + w->prompt_n, known * sizeof *w->ids),
                                      .digest = w->digest,
                                      .scope = w->scope,
                                      .key = is_witnessed ? &w->key : NULL};
    if (session_new(&o, &s, &note) != ERR_OK)
        fail_msg("%s", note.text);
    for (uint32_t n; (n = session_rows(s, NULL, rows, batch, 3)) > 0;) {
        engine_eval(e, rows, n);
        session_take(s, rows, n);
        while ((now = session_next_event(s)).kind != SESSION_NONE) {
            last = now;
            if (now.kind == SESSION_TOKEN)
                tokens[now.index] = now.token;
        }
    }
    assert_true(session_is_over(s));
    if (is_witnessed)
        assert_int_equal(session_shared_n(s), 0);
    session_free(s);
    buf_clear(&request);
    return last;
}

static struct hash witness_of(struct engine *e, const struct work *w, uint32_t batch)
{
    const struct session_event v = run(e, w, SESSION_VERIFY, true, batch, NULL);
    assert_true(v.kind == SESSION_VERIFIED && v.is_witnessed);
    return v.witness;
}

static struct hash quick_witness(const struct loaded *l, const struct work *w)
{
    struct engine *e = engine_for(l, ops_pick("auto", NULL), 1, 40);
    const struct hash h = witness_of(e, w, 40);
    engine_free(e);
    return h;
}

/* -- the reader without taps -- */

/* out[k, embed] = the row of each place of a layer before `end`: what is left by the last of a model's layers, cut
 * there, and behind the output norm where that is the whole model. */
static void read_layer(const struct loaded *l, const struct work *w, uint32_t layer, uint32_t end,
                       const struct witness_place p[WITNESS_PLACES], float *out)
{
    struct model *m = l->model;
    const uint32_t layers = m->layers;
    m->layers = layer + 1;
    struct engine *e = engine_for(l, &ops_ref, 1, 1);
    struct engine_seq *s = engine_seq_new(e, w->prompt_n + ANSWER);
    for (uint32_t i = 0; i < end; i++) {
        struct engine_row row = {.seq = s, .token = w->ids[i], .wants = true, .no_logits = true};
        engine_eval(e, &row, 1);
        for (uint32_t k = 0; k < WITNESS_PLACES; k++)
            if (p[k].layer == layer && p[k].position == i)
                memcpy(out + (size_t)k * m->embed, layer + 1 == layers ? e->hidden : e->x, m->embed * sizeof *out);
    }
    engine_seq_free(s);
    engine_free(e);
    m->layers = layers;
}

/* Of each layer as far as its last place. */
static void read_places(const struct loaded *l, const struct work *w, const struct witness_place p[WITNESS_PLACES],
                        float *out)
{
    for (uint32_t layer = 0; layer < l->model->layers; layer++) {
        uint32_t end = 0;
        for (uint32_t k = 0; k < WITNESS_PLACES; k++)
            if (p[k].layer == layer && p[k].position >= end)
                end = p[k].position + 1;
        if (end)
            read_layer(l, w, layer, end, p, out);
    }
}

static struct hash slow_witness(const struct loaded *l, const struct work *w)
{
    const struct witness_options o = options_of(l->model, w);
    struct witness_place p[WITNESS_PLACES];
    struct hasher h;
    float *rows = mem_array((size_t)WITNESS_PLACES * o.embed, sizeof *rows);
    witness_find_places(&o, p);
    read_places(l, w, p, rows);
    hash_start(&h, HASH_WITNESS);
    hash_add(&h, w->key.b, HASH_SIZE);
    for (uint32_t k = 0; k < WITNESS_PLACES; k++) {
        hash_add_u32(&h, p[k].layer);
        hash_add_u32(&h, p[k].position);
        hash_add(&h, rows + (size_t)k * o.embed, o.embed * sizeof *rows);
    }
    free(rows);
    return hash_end(&h);
}

/* A second embedding has its parts by the number of layers, so that such a model cannot be cut. */
static bool can_be_cut(const struct model *m)
{
    return m->input_n == 0;
}

static void expect_everywhere(const struct loaded *l, const char *label, const struct work *w, const struct hash *want)
{
    static const uint32_t batches[] = {100, 13, 1};
    const struct ops *ops;
    for (size_t i = 0; (ops = ops_at(i)); i++)
        for (size_t k = 0; k < (i ? 3 : 1); k++) { /* the reference, which is slow, in one */
            struct engine *e = engine_for(l, ops, k == 1 ? 3 : 1, batches[k]);
            const struct hash got = witness_of(e, w, batches[k]);
            engine_free(e);
            if (!hash_equal(&got, want))
                fail_msg("%s, %s in batches of %u: another witness", label, ops->name, batches[k]);
        }
}

static void every_architecture_has_the_rows_of_a_slow_reader(void **state)
{
    (void)state;
    const struct model_make *shape;
    unsigned whole = 0, cut = 0;
    for (size_t k = 0; (shape = model_make_at(k)); k++) {
        struct loaded l;
        load(&l, shape);
        if (model_writes(l.model)) {
            struct work w = random_work();
            store_le32(w.key.b, (uint32_t)k);
            struct engine *e = engine_for(&l, &ops_ref, 1, 1);
            const struct hash want = can_be_cut(l.model) ? slow_witness(&l, &w) : witness_of(e, &w, 1);
            engine_free(e);
            expect_everywhere(&l, shape->label, &w, &want);
            cut += can_be_cut(l.model);
            whole++;
        }
        unload(&l);
    }
    assert_true(cut > 60 && whole - cut < 6);
}

static void one_layer_and_no_answer(void **state)
{
    (void)state;
    struct model_make shape = *shape_of("llama");
    shape.layers = 1;
    for (unsigned i = 0; i < 4; i++) {
        struct loaded l;
        load(&l, i < 2 ? &shape : shape_of("llama"));
        struct work w = random_work();
        if (i % 2)
            w.answer_n = 0;
        const struct hash want = slow_witness(&l, &w);
        expect_everywhere(&l, "few", &w, &want);
        unload(&l);
    }
}

/* -- what it depends on -- */

static void an_answer_keeps_its_verdict(void **state)
{
    (void)state;
    struct loaded l;
    load(&l, shape_of("qwen3"));
    struct engine *e = engine_for(&l, ops_pick("auto", NULL), 1, 40);
    for (unsigned sampled = 0; sampled < 2; sampled++) {
        struct work w = random_work();
        w.temp = sampled ? 0.9f : 0;
        w.digest = run(e, &w, SESSION_RUN, false, 40, w.ids + PROMPT).digest;
        struct session_event plain = run(e, &w, SESSION_VERIFY, false, 40, NULL);
        struct session_event both = run(e, &w, SESSION_VERIFY, true, 40, NULL);
        const struct hash slow = slow_witness(&l, &w);
        assert_true(plain.same && both.same && !plain.is_witnessed && both.is_witnessed);
        assert_true(hash_equal(&plain.digest, &both.digest) && hash_equal(&both.witness, &slow));
        /* Another digest is claimed: the same rows. */
        w.digest.b[3] ^= 1;
        both = run(e, &w, SESSION_VERIFY, true, 40, NULL);
        assert_true(!both.same && both.index == ANSWER && hash_equal(&both.witness, &slow));
        /* A token in the middle: the same place of the difference, in every batch, and other rows. */
        w.ids[PROMPT + 4] ^= 1;
        const struct hash other = slow_witness(&l, &w);
        assert_false(hash_equal(&other, &slow));
        for (uint32_t batch = 1; batch <= 40; batch += 13) {
            plain = run(e, &w, SESSION_VERIFY, false, batch, NULL);
            both = run(e, &w, SESSION_VERIFY, true, batch, NULL);
            assert_true(!plain.same && !both.same && plain.index == 4 && both.index == 4 && plain.token == both.token);
            assert_true(hash_equal(&plain.digest, &both.digest) && hash_equal(&both.witness, &other));
        }
    }
    engine_free(e);
    unload(&l);
}

/* Any token that is fed, the key, and the last layer's weights, too: the first place sees them all. */
static void everything_changes_it(void **state)
{
    (void)state;
    struct loaded l;
    load(&l, shape_of("llama"));
    struct work w = random_work();
    const struct hash want = quick_witness(&l, &w);
    for (uint32_t i = 0; i < PROMPT + ANSWER; i++) {
        struct work other = w;
        other.ids[i] ^= 1;
        const struct hash got = quick_witness(&l, &other);
        assert_int_equal(hash_equal(&got, &want), i == PROMPT + ANSWER - 1); /* the last token is not fed */
    }
    struct work other = w;
    other.key.b[31] ^= 128;
    struct hash got = quick_witness(&l, &other);
    assert_false(hash_equal(&got, &want));
    unload(&l);
}

static void a_weight_changes_it(void **state)
{
    (void)state;
    struct model_make shape = *shape_of("llama");
    const struct work w = random_work();
    shape.type = GGUF_TENSOR_F32;
    struct loaded l;
    load(&l, &shape);
    const struct hash want = quick_witness(&l, &w);
    unload(&l);
    for (uint32_t layer = 0; layer < shape.layers; layer++) {
        load(&l, &shape);
        float *weight = (float *)(uintptr_t)l.model->layer[layer].down.w.data;
        weight[5] *= 1.5f;
        pack_fill(l.pack);
        const struct hash got = quick_witness(&l, &w);
        assert_false(hash_equal(&got, &want));
        unload(&l);
    }
}

/* Others have read the same beginning, and the replay is in their scope. */
static void shared_beginnings_change_nothing(void **state)
{
    (void)state;
    struct loaded l;
    load(&l, shape_of("llama"));
    struct engine *e = engine_for(&l, ops_pick("auto", NULL), 1, 40);
    struct work w = random_work();
    w.scope.b[0] = 1;
    const struct hash want = slow_witness(&l, &w);
    w.digest = run(e, &w, SESSION_RUN, false, 40, w.ids + PROMPT).digest;
    assert_true(engine_idle_bytes(e) > 0);
    const struct hash other = slow_witness(&l, &w);
    for (unsigned i = 0; i < 2; i++) {
        struct session_event v = run(e, &w, SESSION_VERIFY, true, 40, NULL);
        assert_true(v.same && hash_equal(&v.witness, &other));
    }
    w = random_work();
    w.scope.b[0] = 1;
    const struct hash got = witness_of(e, &w, 40);
    assert_true(hash_equal(&got, &want));
    engine_free(e);
    unload(&l);
}

/* -- numbers that are none -- */

/* A model whose arithmetic overflows behind token 5: rows from there on have no numbers, on any kernels. */
static void what_is_no_number_has_no_row(void **state)
{
    (void)state;
    struct gguf_make make;
    struct loaded l = {0};
    struct note note;
    gguf_make_counter(&make, NULL);
    gguf_make_end(&make, &l.file);
    assert_int_equal(gguf_open(bytes_of_buf(&l.file), &l.gguf, &note), ERR_OK);
    assert_int_equal(model_open(l.gguf, NULL, &l.model, &note), ERR_OK);
    struct work w = {.prompt_n = 2, .answer_n = 6, .ids = {7, 3, 4, 5, 6, 1, 2, 3}, .key = {{9}}};
    const struct witness_options o = options_of(l.model, &w);
    struct witness_place p[WITNESS_PLACES];
    struct hasher h;
    float *row = mem_array((size_t)WITNESS_PLACES * o.embed, sizeof *row);
    unsigned rows = 0;
    witness_find_places(&o, p);
    read_places(&l, &w, p, row);
    hash_start(&h, HASH_WITNESS);
    hash_add(&h, w.key.b, HASH_SIZE);
    for (uint32_t k = 0; k < WITNESS_PLACES; k++) {
        hash_add_u32(&h, p[k].layer);
        hash_add_u32(&h, p[k].position);
        if (p[k].position >= 3) { /* token 5 is at 3 */
            hash_add(&h, "numeric", 7);
            continue;
        }
        hash_add(&h, row + (size_t)k * o.embed, o.embed * sizeof *row);
        rows++;
    }
    const struct hash want = hash_end(&h);
    assert_in_range(rows, 1, 6);
    const struct ops *ops;
    for (size_t i = 0; (ops = ops_at(i)); i++)
        for (uint32_t batch = 1; batch <= 4; batch++) {
            if (ops->wants_packed)
                continue;
            struct engine *e = engine_for(&l, ops, 1, 4);
            const struct hash got = witness_of(e, &w, batch);
            assert_true(hash_equal(&got, &want));
            engine_free(e);
        }
    free(row);
    gguf_make_clear(&make);
    model_free(l.model);
    gguf_free(l.gguf);
    buf_clear(&l.file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_are_drawn),
        cmocka_unit_test(places_stay_as_they_are),
        cmocka_unit_test(few_positions_and_layers),
        cmocka_unit_test(every_architecture_has_the_rows_of_a_slow_reader),
        cmocka_unit_test(one_layer_and_no_answer),
        cmocka_unit_test(an_answer_keeps_its_verdict),
        cmocka_unit_test(everything_changes_it),
        cmocka_unit_test(a_weight_changes_it),
        cmocka_unit_test(shared_beginnings_change_nothing),
        cmocka_unit_test(what_is_no_number_has_no_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
