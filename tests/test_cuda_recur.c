/* Layers that carry a state on emulated GPUs (tests/cuda): sequences that stand between each other in a batch, guesses
 * that are taken back, beginnings that are known, a part of the layers here, a device that is lost at any call: the
 * bits of the reference, position by position. */
#include "inference/cuda/kernels.h"
#include "inference/engine/cache.h"
#include "inference/engine/recur.h"
#include "tests/arch.h"
#include "tests/cuda/order.h"
#include "tests/cuda/runtime_emulated.h"
#include "tests/model_eval.h"

#define WIDE 512

/* The i-th token of the which-th text. */
static uint32_t text_at(unsigned which, uint32_t i)
{
    return (token_at(i) + which * (i % 7 + 1) * 11) % VOCAB;
}

/* The next shape with states, *k on. Long rows only take longer here: test_cuda_model.c has them. */
static const struct model_make *carrying_at(size_t *k, struct loaded *l)
{
    const struct model_make *shape;
    while ((shape = model_make_at((*k)++))) {
        if (shape->embed > 64)
            continue;
        load(l, shape);
        if (l->model->layers_recurrent && !model_on_processors(l->model))
            return shape;
        unload(l);
    }
    return NULL;
}

/* Layers from `first` on on a device, or from `cut` on (0: none) on a second one. */
static struct engine *on_gpus(const struct loaded *l, uint32_t first, uint32_t cut, uint32_t batch, struct note *lost)
{
    const struct device_table *t = kith_device_table();
    const uint32_t ends[2] = {cut ? cut : l->model->layers, l->model->layers}, n = cut ? 2 : 1;
    struct engine_device at[2];
    struct note note = {{0}};
    for (uint32_t i = 0; i < n; i++) {
        const struct device_options o = {.index = i,
                                         .model = l->model,
                                         .first = i ? cut : first,
                                         .end = ends[i],
                                         .has_output = ends[i] == l->model->layers,
                                         .batch_max = batch};
        at[i] = (struct engine_device){.table = t, .first = o.first, .end = o.end};
        if (t->open(&o, &at[i].device_take, &note) != ERR_OK)
            fail_msg("%s", note.text);
    }
    const struct engine_options o = {.model = l->model,
                                     .ops = ops_pick("auto", NULL),
                                     .threads = 2,
                                     .batch_max = batch,
                                     .devices = at,
                                     .devices_n = n,
                                     .lost = model_eval_lost,
                                     .lost_arg = lost};
    return engine_new(&o);
}

static void take(const struct engine *e, const struct engine_row *r, float *out)
{
    const struct model *m = engine_model(e);
    assert_true(r->finite);
    memcpy(out, r->logits, m->vocab * sizeof *out);
    memcpy(out + m->vocab, r->hidden, m->embed * sizeof *out);
}

/* out[n, WIDE]: every position of a text by itself, by the reference on this machine. */
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

static void expect_row(const struct engine *e, const struct engine_row *row, const float *want, const char *label,
                       uint32_t position)
{
    static float got[WIDE];
    const struct model *m = engine_model(e);
    if (!row->wants)
        return;
    take(e, row, got);
    if (memcmp(got, want, (m->vocab + m->embed) * sizeof *got) != 0)
        fail_msg("%s: position %u differs", label, position);
}

/* -- texts beside each other, with guesses -- */

enum { TEXTS = 3, STEPS_BATCH = 40, READ = 72 }; /* over the end of a page */

struct reader {
    struct engine_seq *s;
    uint32_t at, rows, right; /* of the batch: rows, of which so many are not taken back */
};

static uint32_t draw_below(uint32_t *seed, uint32_t n)
{
    *seed = *seed * 1103515245u + 12345u;
    return (*seed >> 16) % n;
}

/* What a text brings next: a few certain rows, then guesses up to where its page may end, of which some are right. */
static void plan_reader(struct reader *r, uint32_t *seed, uint32_t room, uint32_t *guesses)
{
    const uint32_t left = READ - r->at;
    uint32_t certain = draw_below(seed, 3) ? 1 : 1 + draw_below(seed, 9), most;
    *guesses = 0;
    certain = certain < left ? certain : left;
    certain = certain < room ? certain : room;
    r->rows = r->right = certain;
    if (certain == 0)
        return;
    most = ARITH_CHUNK - 1 - (r->at + certain - 1) % ARITH_CHUNK; /* no guess ends a page */
    most = most > 0 ? most - 1 : 0;
    most = most < left - certain ? most : left - certain;
    most = most < room - certain ? most : room - certain;
    most = most < GUESSES_MAX ? most : GUESSES_MAX;
    *guesses = most && draw_below(seed, 2) ? draw_below(seed, most + 1) : 0;
    r->rows += *guesses;
    r->right += *guesses ? draw_below(seed, *guesses + 1) : 0;
}

/* All texts to their ends, rows of one between those of others. */
static void read_beside(struct engine *e, const char *label, float want[TEXTS][READ * WIDE], uint32_t seed)
{
    struct reader r[TEXTS] = {{0}};
    for (unsigned i = 0; i < TEXTS; i++)
        r[i].s = engine_seq_new(e, READ);
    for (uint32_t left = TEXTS; left > 0;) {
        static struct engine_row rows[TEXTS * STEPS_BATCH];
        uint32_t whose[TEXTS * STEPS_BATCH], guesses[TEXTS], put[TEXTS] = {0}, n = 0;
        for (unsigned i = 0; i < TEXTS; i++)
            plan_reader(&r[i], &seed, STEPS_BATCH / TEXTS, &guesses[i]);
        for (bool any = true; any;) {
            any = false;
            for (unsigned i = 0; i < TEXTS; i++) {
                const uint32_t k = put[i];
                if (k == r[i].rows)
                    continue;
                any = true;
                whose[n] = i;
                rows[n++] = (struct engine_row){.seq = r[i].s,
                                                .token = text_at(k < r[i].right ? i : i + 5, r[i].at + k),
                                                .wants = draw_below(&seed, 4) > 0,
                                                .guessed = k + guesses[i] >= r[i].rows};
                put[i]++;
            }
        }
        if (n == 0)
            break;
        engine_eval(e, rows, n);
        memset(put, 0, sizeof put);
        for (uint32_t c = 0; c < n; c++) {
            const uint32_t i = whose[c], k = put[i]++;
            if (k < r[i].right)
                expect_row(e, &rows[c], want[i] + (size_t)(r[i].at + k) * WIDE, label, r[i].at + k);
        }
        left = 0;
        for (unsigned i = 0; i < TEXTS; i++) {
            r[i].at += r[i].right;
            engine_seq_cut(r[i].s, r[i].at);
            left += r[i].at < READ;
        }
    }
    for (unsigned i = 0; i < TEXTS; i++)
        engine_seq_free(r[i].s);
}

static float texts[TEXTS][READ * WIDE];

static void sequences_guess_beside_each_other(void **state)
{
    (void)state;
    const struct model_make *shape;
    struct loaded l;
    size_t n = 0;
    emulated_gpus(2, (uint64_t)1 << 30);
    for (size_t k = 0; (shape = carrying_at(&k, &l)); unload(&l)) {
        if (!model_eval_takes(n++))
            continue;
        struct note lost = {{0}};
        for (unsigned i = 0; i < TEXTS; i++)
            want_text(&l, i, READ, texts[i]);
        const uint32_t way = (uint32_t)(k % 4), first = way == 1 ? 1 : 0, cut = way == 2 ? l.model->layers - 1 : 0;
        if (cut && !emulated_is())
            continue;
        emulate_set_order((enum emulate_order)(way % 3));
        struct engine *e = on_gpus(&l, first, cut, STEPS_BATCH, &lost);
        read_beside(e, shape->label, texts, way + 1);
        read_beside(e, shape->label, texts, way + 10); /* in the places of those that are gone */
        assert_string_equal(lost.text, "");
        engine_free(e);
        assert_int_equal(emulated_bytes(), 0);
    }
    assert_true(!emulated_is() || emulated_graphs_run() > 0);
    emulated_gpus(1, (uint64_t)1 << 30);
    emulate_set_order(EMULATE_FORWARD);
}

/* Lost at one of its first calls, with guesses that were right and not yet taken in. */
static void a_lost_device_costs_no_state(void **state)
{
    (void)state;
    const struct model_make *shape;
    struct loaded l;
    if (!emulated_is())
        return;
    for (size_t k = 0; (shape = carrying_at(&k, &l)); unload(&l)) {
        for (unsigned i = 0; i < TEXTS; i++)
            want_text(&l, i, READ, texts[i]);
        struct note lost = {{0}};
        const uint32_t at = 1 + (uint32_t)(k % 6);
        struct engine *e = on_gpus(&l, at % 2 && l.model->layers > 2 ? 2 : 0, 0, STEPS_BATCH, &lost);
        emulated_lose_at(at);
        read_beside(e, shape->label, texts, at);
        assert_non_null(strstr(lost.text, "lost"));
        assert_int_equal(emulated_bytes(), 0);
        engine_free(e);
    }
    emulated_lose_at(0);
}

/* -- beginnings -- */

/* A text whose first `same` tokens are text 0's, the others text `which`'s, from where it is known to its end. Returns
 * how many positions were known. */
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
    const uint32_t known = engine_seq_reuse(s, ids, prompt - 1);
    for (uint32_t at = known; at < n;) {
        struct engine_row rows[50];
        uint32_t cols = n - at < 50 ? n - at : 50;
        for (uint32_t i = 0; i < cols; i++)
            rows[i] = (struct engine_row){.seq = s, .token = ids[at + i], .wants = true};
        engine_eval(e, rows, cols);
        for (uint32_t i = 0; i < cols; i++)
            expect_row(e, &rows[i], want + (size_t)(at + i) * WIDE, "a beginning that is known", at + i);
        at += cols;
    }
    engine_seq_free(p);
    engine_free(plain);
    engine_seq_free(s);
    return known;
}

/* The same question again, another one that parts from it, a talk's second turn; on a device, on two, and partly here.
 */
static void beginnings_go_on_from_where_they_were_kept(void **state)
{
    (void)state;
    const struct model_make *shape;
    struct loaded l;
    emulated_gpus(2, (uint64_t)1 << 30);
    for (size_t k = 0; (shape = carrying_at(&k, &l)); unload(&l))
        for (uint32_t way = (uint32_t)(k % 3); way < 3; way += 3) {
            struct note lost = {{0}};
            if (way == 2 && !emulated_is())
                way = 0;
            struct engine *e = on_gpus(&l, way == 1, way == 2 ? 1 : 0, 50, &lost);
            assert_int_equal(read_text(&l, e, 1, 64, 150, 150), 0);
            const uint32_t second = read_text(&l, e, 2, 64, 150, 150);
            assert_int_equal(second, recur_keeps_all(l.model) ? 64 : 0);
            assert_int_equal(read_text(&l, e, 3, 64, 80, 80), 64);
            assert_int_equal(read_text(&l, e, 1, 64, 150, 200), 128); /* and its answer */
            assert_int_equal(read_text(&l, e, 1, 64, 210, 210), 192);
            assert_string_equal(lost.text, "");
            engine_free(e);
        }
    emulated_gpus(1, (uint64_t)1 << 30);
}

/* No room for another sequence's state: what was on the device goes on here. */
static void a_full_device_goes_on_here(void **state)
{
    (void)state;
    const struct device_table *t = kith_device_table();
    struct loaded l;
    struct note lost = {{0}};
    size_t k = 0;
    if (!emulated_is() || !carrying_at(&k, &l))
        return;
    const struct device_options o = {
        .model = l.model, .end = l.model->layers, .has_output = true, .batch_max = STEPS_BATCH};
    for (unsigned i = 0; i < TEXTS; i++)
        want_text(&l, i, READ, texts[i]);
    emulated_gpus(1, t->bytes(&o) + (16 << 10));
    struct engine *e = on_gpus(&l, 0, 0, STEPS_BATCH, &lost);
    read_beside(e, "a full device", texts, 1);
    assert_non_null(strstr(lost.text, "no room"));
    engine_free(e);
    emulated_gpus(1, (uint64_t)1 << 30);
    unload(&l);
}

/* What a page is worth on a device is its part of the cache or of the states, whichever is more; a device that has
 * layers with states alone is no division by nothing. */
static void pages_are_worth_states_too(void **state)
{
    (void)state;
    const struct device_table *t = kith_device_table();
    struct loaded l;
    size_t k = 0;
    assert_non_null(carrying_at(&k, &l));
    const struct model *m = l.model;
    struct device_options o = {.model = m, .end = m->layers, .has_output = true, .batch_max = 16};
    const uint64_t all = t->page_bytes(&o);
    assert_int_equal(all, cache_page_bytes(m));
    for (uint32_t i = 0; i < m->layers; i++) {
        o.first = i;
        o.end = i + 1;
        assert_true(t->page_bytes(&o) > 0);
        if (m->layer[i].recurrent)
            assert_true(t->page_bytes(&o) * m->layers_recurrent >= all);
    }
    unload(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sequences_guess_beside_each_other),
        cmocka_unit_test(a_lost_device_costs_no_state),
        cmocka_unit_test(beginnings_go_on_from_where_they_were_kept),
        cmocka_unit_test(a_full_device_goes_on_here),
        cmocka_unit_test(pages_are_worth_states_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
