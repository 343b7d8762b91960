/* Layers that carry a state: it belongs to its sequence, guesses that are taken back leave nothing of it, and a
 * sequence goes on only from where it was kept. */
#include "inference/engine/recur.h"
#include "tests/arch.h"

#define WIDE 512

/* The i-th token of the which-th text. */
static uint32_t text_at(unsigned which, uint32_t i)
{
    return (token_at(i) + which * (i % 7 + 1) * 11) % VOCAB;
}

static void take(const struct engine *e, const struct engine_row *r, float *out)
{
    const struct model *m = engine_model(e);
    assert_true(r->finite);
    memcpy(out, r->logits, m->vocab * sizeof *out);
    memcpy(out + m->vocab, r->hidden, m->embed * sizeof *out);
}

/* out[n, WIDE]: logits and hidden state of every position of a text by itself, one token at a time by the reference. */
static void want_text(const struct loaded *l, unsigned which, uint32_t n, float *out)
{
    struct engine *e = engine_for(l, &ops_ref, 1, 1);
    struct engine_seq *s = engine_seq_new(e, n);
    for (uint32_t i = 0; i < n; i++) {
        struct engine_row row = {.seq = s, .token = text_at(which, i), .wants = true};
        engine_eval(e, &row, 1);
        take(e, &row, out + (size_t)i * WIDE);
    }
    engine_seq_free(s);
    engine_free(e);
}

static void expect_row(const struct loaded *l, const struct engine *e, const struct engine_row *row, const float *want,
                       const char *label, uint32_t position)
{
    static float got[WIDE];
    take(e, row, got);
    if (memcmp(got, want, (l->model->vocab + l->model->embed) * sizeof *got) != 0)
        fail_msg("%s: position %u differs", label, position);
}

static const struct model_make *recurrent_at(size_t *k, struct loaded *l)
{
    const struct model_make *shape;
    while ((shape = model_make_at((*k)++))) {
        load(l, shape);
        if (l->model->layers_recurrent)
            return shape;
        unload(l);
    }
    return NULL;
}

/* Three sequences whose rows stand between each other's, in parts of uneven lengths. */
static void sequences_do_not_meet(void **state)
{
    (void)state;
    enum { TEXTS = 3, BATCH = 13 };
    static float want[TEXTS][TOKENS * WIDE];
    const struct model_make *shape;
    struct loaded l;
    for (size_t k = 0; (shape = recurrent_at(&k, &l)); unload(&l)) {
        struct engine *e = engine_for(&l, ops_pick("auto", NULL), 2, BATCH);
        struct engine_seq *s[TEXTS];
        for (unsigned i = 0; i < TEXTS; i++) {
            want_text(&l, i, TOKENS, want[i]);
            s[i] = engine_seq_new(e, TOKENS);
        }
        uint32_t at[TEXTS] = {0}, draws = 1;
        for (uint32_t left = TEXTS * TOKENS; left > 0;) {
            struct engine_row rows[BATCH];
            uint32_t whose[BATCH], n = 0;
            for (; n < BATCH && left > 0; n++, left--) {
                uint32_t i = (draws = draws * 1103515245u + 12345u) >> 16;
                for (i %= TEXTS; at[i] == TOKENS;)
                    i = (i + 1) % TEXTS;
                whose[n] = i;
                rows[n] = (struct engine_row){.seq = s[i], .token = text_at(i, at[i]++), .wants = true};
            }
            uint32_t seen[TEXTS];
            memcpy(seen, at, sizeof seen);
            engine_eval(e, rows, n);
            while (n-- > 0) {
                uint32_t i = whose[n], position = --seen[i];
                expect_row(&l, e, &rows[n], want[i] + (size_t)position * WIDE, shape->label, position);
            }
        }
        for (unsigned i = 0; i < TEXTS; i++)
            engine_seq_free(s[i]);
        engine_free(e);
    }
}

/* A certain row and guesses of which only the first few are right, beside another sequence that guesses nothing: what
 * is cut never was, also over batches that bring one row. */
static void what_is_cut_never_was(void **state)
{
    (void)state;
    static float want[TOKENS * WIDE], other[TOKENS * WIDE];
    const struct model_make *shape;
    struct loaded l;
    for (size_t k = 0; (shape = recurrent_at(&k, &l)); unload(&l)) {
        struct engine *e = engine_for(&l, ops_pick("auto", NULL), 2, 2 + GUESSES_MAX);
        struct engine_seq *s = engine_seq_new(e, TOKENS), *beside = engine_seq_new(e, TOKENS);
        want_text(&l, 0, TOKENS, want);
        want_text(&l, 1, TOKENS, other);
        for (uint32_t at = 0, step = 0; at < TOKENS; step++) {
            uint32_t page = ARITH_CHUNK - 1 - at % ARITH_CHUNK, most = step * 7 % (GUESSES_MAX + 1), n = 0;
            uint32_t guesses = most < page ? most : page ? page - 1 : 0, right = guesses ? step * 5 % (guesses + 1) : 0;
            struct engine_row rows[2 + GUESSES_MAX];
            if (at + guesses >= TOKENS)
                guesses = right = 0;
            if (step % 2)
                rows[n++] = (struct engine_row){.seq = beside, .token = text_at(1, step / 2), .wants = true};
            for (uint32_t i = 0; i <= guesses; i++)
                rows[n + i] = (struct engine_row){
                    .seq = s, .token = text_at(i <= right ? 0 : 2, at + i), .wants = true, .guessed = i > 0};
            engine_eval(e, rows, n + guesses + 1);
            if (step % 2)
                expect_row(&l, e, &rows[0], other + (size_t)(step / 2) * WIDE, shape->label, step / 2);
            for (uint32_t i = 0; i <= right; i++)
                expect_row(&l, e, &rows[n + i], want + (size_t)(at + i) * WIDE, shape->label, at + i);
            engine_seq_cut(s, at + 1 + right);
            at += 1 + right;
        }
        engine_seq_free(beside);
        engine_seq_free(s);
        engine_free(e);
    }
}

/* One position after another, and yet the decay of a head is its own: with a rate of nothing it forgets nothing, and
 * with a rate of far below nothing all of it. */
static void expect_rates(const char *label, uint32_t layers)
{
    static float out[3][40 * WIDE];
    struct model_make s = *shape_of(label);
    s.layers = layers; /* of which the last has attention */
    for (unsigned way = 0; way < 3; way++) {
        struct loaded l;
        uint32_t ids[40];
        load(&l, &s);
        for (uint32_t k = 0; k + 1 < layers; k++) {
            float *rate = (float *)(uintptr_t)l.model->layer[k].recurrent->rate;
            for (uint32_t h = 0; h < l.model->values_n; h++)
                rate[h] = way == 0 ? rate[h] : way == 1 ? 0.0f : -1e6f;
        }
        for (uint32_t i = 0; i < 40; i++)
            ids[i] = text_at(0, i);
        struct engine *e = engine_for(&l, &ops_ref, 1, 40);
        const struct ops_weight *w = &l.model->layer[layers - 1].output.w; /* only the state is to remember */
        memset((void *)(uintptr_t)w->data, 0, w->rows * w->row_bytes);
        eval_all(e, ids, 40, 40, 40, out[way]);
        ids[30] = (ids[30] + 1) % VOCAB; /* four positions of a convolution see it, then it is forgotten or not */
        static float changed[40 * WIDE];
        eval_all(e, ids, 40, 40, 40, changed);
        const size_t width = l.model->vocab + l.model->embed;
        bool same = memcmp(out[way] + 38 * width, changed + 38 * width, width * sizeof **out) == 0;
        assert_int_equal(same, way == 2);
        engine_free(e);
        unload(&l);
    }
    assert_memory_not_equal(out[0], out[1], sizeof out[0]);
}

static void heads_forget_by_their_rates(void **state)
{
    (void)state;
    expect_rates("qwen35", 2);
    expect_rates("granitehybrid, floats", 3);
}

/* -- beginnings -- */

/* A text whose first `same` tokens are text 0's, the others text `which`'s, is read from where it is known, in batches
 * of 50, up to n tokens. Returns how many positions were known. */
static uint32_t read_text(const struct loaded *l, struct engine *e, unsigned which, uint32_t same, uint32_t prompt,
                          uint32_t n)
{
    static float want[MODEL_MAKE_CONTEXT * WIDE];
    const struct hash scope = {{1}};
    uint32_t ids[MODEL_MAKE_CONTEXT];
    struct engine_seq *s = engine_seq_new(e, n);
    struct engine *plain = engine_for(l, ops_pick("auto", NULL), 1, 1);
    struct engine_seq *p = engine_seq_new(plain, n);
    for (uint32_t i = 0; i < n; i++) {
        ids[i] = text_at(i < same ? 0 : which, i);
        struct engine_row row = {.seq = p, .token = ids[i], .wants = true};
        engine_eval(plain, &row, 1);
        take(plain, &row, want + (size_t)i * WIDE);
    }
    engine_seq_share(s, &scope);
    uint32_t known = engine_seq_reuse(s, ids, prompt - 1);
    for (uint32_t at = known; at < n;) {
        struct engine_row rows[50];
        uint32_t cols = n - at < 50 ? n - at : 50;
        for (uint32_t i = 0; i < cols; i++)
            rows[i] = (struct engine_row){.seq = s, .token = ids[at + i], .wants = true};
        engine_eval(e, rows, cols);
        for (uint32_t i = 0; i < cols; i++)
            expect_row(l, e, &rows[i], want + (size_t)(at + i) * WIDE, "a beginning that is known", at + i);
        at += cols;
    }
    engine_seq_free(p);
    engine_free(plain);
    engine_seq_free(s);
    return known;
}

static uint64_t states_n(const struct engine *e, const struct loaded *l, uint32_t pages)
{
    uint64_t page = engine_seq_bytes(e, ARITH_CHUNK) - engine_seq_bytes(e, 0);
    return (engine_idle_bytes(e) - pages * page) / recur_state_bytes(l->model);
}

/* More than a page's keys and values. */
static const char *const large[] = {"lfm2, floats, attention last", "qwen35, a state last", "nemotron_h"};

static void load_large(struct loaded *l, const char *label)
{
    struct model_make s = *shape_of(label);
    const bool has_heads = label != large[0];
    s.embed = has_heads ? s.embed : 256;
    s.layers = has_heads ? s.layers : 4;
    load(l, &s);
    assert_false(recur_keeps_all(l->model));
}

static void keeps_where_texts_go_on(const char *label)
{
    struct loaded l;
    load_large(&l, label);
    struct engine *e = engine_for(&l, ops_pick("auto", NULL), 2, 50);
    assert_int_equal(read_text(&l, e, 1, 64, 150, 150), 0); /* behind the second page, the prompt's last */
    assert_int_equal(states_n(e, &l, 2), 1);
    assert_int_equal(read_text(&l, e, 2, 64, 150, 150), 0); /* where it parts from the first, and its own last */
    assert_int_equal(states_n(e, &l, 3), 3);
    assert_int_equal(read_text(&l, e, 3, 64, 150, 150), 64);
    assert_int_equal(read_text(&l, e, 1, 64, 150, 150), 128);
    engine_trim(e, 0);
    engine_trim(e, 1u << 30);
    assert_int_equal(read_text(&l, e, 1, 64, 70, 256), 0); /* behind the prompt's page and the answer's last */
    assert_int_equal(states_n(e, &l, 4), 2);
    assert_int_equal(read_text(&l, e, 1, 64, 256, 256), 64); /* the fourth page would leave no row to evaluate */
    assert_int_equal(read_text(&l, e, 1, 64, 70, 256), 64);
    engine_free(e);
    unload(&l);
}

static void large_states_are_kept_where_texts_go_on(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof large / sizeof *large; i++)
        keeps_where_texts_go_on(large[i]);
}

/* States take half of what may be kept; none fits into less, and then all is evaluated. */
static void states_are_bounded(void **state)
{
    (void)state;
    struct loaded l;
    load_large(&l, large[1]);
    struct engine *e = engine_for(&l, ops_pick("auto", NULL), 2, 50);
    const uint64_t one = recur_state_bytes(l.model), pages = 64 * engine_seq_bytes(e, ARITH_CHUNK);
    assert_int_equal(read_text(&l, e, 1, 0, 70, 150), 0);
    assert_true(engine_idle_bytes(e) > 2 * one);
    engine_trim(e, 2 * one);
    assert_int_equal(read_text(&l, e, 2, 0, 70, 150), 0);
    assert_int_equal(states_n(e, &l, 2), 1); /* the newest; the first text's pages went before */
    engine_trim(e, 2 * one - 1);
    assert_int_equal(read_text(&l, e, 2, 0, 70, 150), 0);
    engine_trim(e, pages);
    assert_int_equal(read_text(&l, e, 2, 0, 70, 150), 0);
    assert_int_equal(read_text(&l, e, 2, 0, 70, 150), 64);
    engine_free(e);
    unload(&l);
}

/* Two that ask alike at once: the second waits, and goes on behind the first. */
static void who_asks_alike_waits(void **state)
{
    (void)state;
    const struct hash scope = {{1}};
    uint32_t ids[TOKENS];
    struct hash a, b;
    struct loaded l;
    load_large(&l, large[1]);
    struct engine *e = engine_for(&l, ops_pick("auto", NULL), 2, TOKENS);
    struct engine_seq *first = engine_seq_new(e, TOKENS), *second = engine_seq_new(e, TOKENS);
    struct engine_row rows[TOKENS];
    engine_seq_share(first, &scope);
    engine_seq_share(second, &scope);
    for (uint32_t i = 0; i < TOKENS; i++) {
        ids[i] = token_at(i);
        rows[i] = (struct engine_row){.seq = first, .token = ids[i], .wants = true};
    }
    assert_int_equal(engine_seq_reuse(first, ids, TOKENS - 1), 0);
    assert_int_equal(engine_seq_reuse(second, ids, TOKENS - 1), 0);
    engine_eval(e, rows, 70);
    assert_true(engine_seq_next_key(first, ids, TOKENS, &a) && engine_seq_next_key(second, ids, TOKENS, &b));
    assert_true(hash_equal(&a, &b));
    engine_eval(e, rows + 70, 60);
    assert_false(engine_seq_next_key(first, ids, TOKENS, &a));
    assert_int_equal(engine_seq_reuse(second, ids, TOKENS - 1), 128);
    assert_false(engine_seq_next_key(second, ids, TOKENS, &b));
    engine_seq_free(first);
    engine_seq_free(second);
    engine_free(e);
    unload(&l);
}

/* -- answers -- */

static struct hash answer_of(struct engine *e, struct bytes request, uint32_t draft, uint32_t batch, uint32_t *counted)
{
    struct session *s;
    struct hash digest = {{0}};
    struct session_options o = {.engine = e, .request = request, .draft = draft};
    assert_int_equal(session_new(&o, &s, NULL), ERR_OK);
    for (uint32_t n; !session_is_over(s);) {
        struct engine_row rows[64];
        struct session_event event;
        n = session_rows(s, NULL, rows, batch, UINT32_MAX);
        assert_true(n > 0);
        engine_eval(e, rows, n);
        session_take(s, rows, n);
        while ((event = session_next_event(s)).kind != SESSION_NONE)
            digest = event.digest;
    }
    *counted += session_draft(s)->counted;
    session_free(s);
    return digest;
}

static void drafts_change_nothing(void **state)
{
    (void)state;
    const struct model_make *shape;
    struct loaded l;
    uint32_t came = 0;
    for (size_t k = 0; (shape = recurrent_at(&k, &l)); unload(&l)) {
        struct engine *e = engine_for(&l, ops_pick("auto", NULL), 1, 64);
        uint32_t prompt[90], none = 0;
        struct buf request = {0};
        struct request r;
        request_init(&r);
        for (uint32_t i = 0; i < 90; i++)
            prompt[i] = i % 9 * 7;
        r.prompt = bytes_of(prompt, sizeof prompt);
        r.tokens_max = 100;
        request_put(&request, &r);
        struct hash want = answer_of(e, bytes_of_buf(&request), 0, 64, &none);
        for (uint32_t batch = 2; batch <= 64; batch *= 2) {
            struct hash got = answer_of(e, bytes_of_buf(&request), GUESSES_MAX, batch, &came);
            if (!hash_equal(&got, &want))
                fail_msg("%s: with drafts in batches of %u the answer is another", shape->label, batch);
        }
        assert_int_equal(none, 0);
        buf_clear(&request);
        engine_free(e);
    }
    print_message("%u guesses came\n", came);
    assert_true(came > 0);
}

/* -- files -- */

/* The file says another number, and is not taken; no matter which it is, nothing else happens. */
static void expect_number_refused(const char *label, const char *key, uint32_t value)
{
    struct buf file = {0};
    struct gguf *g;
    struct model *m = NULL;
    struct note note = {{0}};
    const size_t n = strlen(key);
    model_make(&file, shape_of(label));
    uint8_t *at = file.p;
    while (at + n + 8 < file.p + file.n && memcmp(at, key, n) != 0)
        at++;
    assert_memory_equal(at, key, n);
    store_le32(at + n + 4, value); /* behind its type */
    if (gguf_open(bytes_of_buf(&file), &g, &note) == ERR_OK) {
        if (model_open(g, NULL, &m, &note) == ERR_OK)
            fail_msg("%s with %s = %u was taken", label, key, value);
        assert_true(strlen(note.text) > 0);
        gguf_free(g);
    }
    buf_clear(&file);
}

static void numbers_that_do_not_fit(void **state)
{
    (void)state;
    static const uint32_t odd[] = {0, 1, 2, 4, 5, 8, 17, 32, 64, 65, 256, 257, 1024, 1u << 20, UINT32_MAX};
    static const struct {
        const char *label, *key;
        uint32_t right;
    } numbers[] = {{"lfm2", "lfm2.shortconv.l_cache", 3},
                   {"qwen35", "qwen35.ssm.conv_kernel", 4},
                   {"qwen35", "qwen35.ssm.state_size", 16},
                   {"qwen35", "qwen35.ssm.group_count", 2},
                   {"qwen35", "qwen35.ssm.time_step_rank", 4},
                   {"qwen35", "qwen35.ssm.inner_size", 64},
                   {"qwen3next", "qwen3next.ssm.group_count", 2},
                   {"qwen3next", "qwen3next.ssm.time_step_rank", 4},
                   {"qwen35", "qwen35.full_attention_interval", 2},
                   {"falcon-h1", "falcon-h1.ssm.conv_kernel", 4},
                   {"falcon-h1", "falcon-h1.ssm.state_size", 24},
                   {"falcon-h1", "falcon-h1.ssm.group_count", 2},
                   {"falcon-h1", "falcon-h1.ssm.time_step_rank", 4},
                   {"falcon-h1", "falcon-h1.ssm.inner_size", 64},
                   {"nemotron_h", "nemotron_h.ssm.inner_size", 64},
                   {"granitehybrid", "granitehybrid.ssm.time_step_rank", 4}};
    for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++)
        for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
            if (odd[i] != numbers[k].right)
                expect_number_refused(numbers[k].label, numbers[k].key, odd[i]);
}

static void window(struct gguf_make *m, const struct model_make *s)
{
    model_make_say(m, s, "attention.sliding_window", 64);
}

static void not_causal(struct gguf_make *m, const struct model_make *s)
{
    (void)s;
    gguf_make_raw(m, "lfm2.attention.causal", GGUF_FLAG, "", 1);
}

static void dense(struct gguf_make *m, const struct model_make *s)
{
    (void)s;
    model_make_vector(m, "dense_2.weight", 16, 1);
}

/* Experts that see less than the stream: Nemotron 3 Super's. */
static void wide_experts(struct gguf_make *m, const struct model_make *s)
{
    model_make_say(m, s, "moe_latent_size", 32);
}

static void step_bias(struct gguf_make *m, const struct model_make *s)
{
    (void)s;
    model_make_vector(m, "blk.0.ssm_in.bias", 228, 0);
}

static void strangers_are_named(void **state)
{
    (void)state;
    struct model_make s = *shape_of("lfm2");
    s.more = window;
    expect_refusal(&s, "sliding_window");
    s.more = not_causal;
    expect_refusal(&s, "attention.causal");
    s.more = dense;
    expect_refusal(&s, "dense_2.weight");
    s.more = NULL;
    s.layers = 2;
    expect_refusal(&s, "attention.head_count_kv");
    s = *shape_of("nemotron_h");
    s.more = wide_experts;
    expect_refusal(&s, "moe_latent_size");
    s.layers = 2; /* a state and a mix */
    s.more = NULL;
    expect_refusal(&s, "attention.head_count_kv");
    s = *shape_of("falcon-h1");
    s.more = step_bias;
    expect_refusal(&s, "ssm_in.bias");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sequences_do_not_meet),       cmocka_unit_test(what_is_cut_never_was),
        cmocka_unit_test(heads_forget_by_their_rates), cmocka_unit_test(large_states_are_kept_where_texts_go_on),
        cmocka_unit_test(states_are_bounded),          cmocka_unit_test(who_asks_alike_waits),
        cmocka_unit_test(drafts_change_nothing),       cmocka_unit_test(numbers_that_do_not_fit),
        cmocka_unit_test(strangers_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
