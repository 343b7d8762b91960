/* Whole trainings on the default model: the same bits for every set of kernels and number of threads, and when broken
 * off and taken up again; the loss falls; a check finds what was done otherwise; data that are none. */
#include "base/file.h"
#include "base/mem.h"
#include "inference/adapt.h"
#include "inference/engine/engine.h"
#include "inference/train/train_adapter.h"
#include "tests/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MODEL "models/kith-guide.gguf"

struct stage {
    struct buf bytes;
    struct gguf *file;
    struct model *model;
    struct tok *tok;
    struct bytes template;
};

static struct stage stage;

static const char text[] =
    "The heron stood in the shallow water and waited. A boat came by, slowly, with one man in it, and the heron did "
    "not "
    "move. The man lifted his hat. The heron stood in the shallow water and waited. In the evening the boat came back, "
    "and the man lifted his hat again, and the heron did not move. So it was every day of that summer: a boat, a man, "
    "a "
    "hat, and a heron who stood in the shallow water and waited. When the leaves fell the man came no more. The heron "
    "stood in the shallow water, and waited, and moved, and flew.\n";

static int set_up(void **state)
{
    struct note note;
    (void)state;
    assert_int_equal(file_read(MODEL, 64u << 20, &stage.bytes, &note), ERR_OK);
    assert_int_equal(gguf_open(bytes_of_buf(&stage.bytes), &stage.file, &note), ERR_OK);
    assert_int_equal(model_open(stage.file, NULL, &stage.model, &note), ERR_OK);
    assert_int_equal(tok_open(stage.file, &stage.tok, &note), ERR_OK);
    assert_true(gguf_find_text(stage.file, "tokenizer.chat_template", &stage.template));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    model_free(stage.model);
    tok_free(stage.tok);
    gguf_free(stage.file);
    buf_clear(&stage.bytes);
    return 0;
}

static const struct train_recipe recipe = {
    .rank = 4, .steps = 6, .batch = 2, .length = 32, .alpha = 8.0f, .rate = 0.01f, .seed = 5};

static struct train_run_options beside(const struct gguf *file, const struct model *model, const struct train_set *set,
                                       struct pool *pool)
{
    return (struct train_run_options){.file = file,
                                      .model = model,
                                      .source = {.data = bytes_of(text, sizeof text - 1),
                                                 .template = stage.template,
                                                 .tok = stage.tok,
                                                 .vocab = model->vocab},
                                      .base = {{7}},
                                      .recipe = recipe,
                                      .set = set,
                                      .pool = pool};
}

static struct train_run *open_run(const struct train_set *set, struct pool *pool)
{
    struct train_run *r;
    struct note note;
    const struct train_run_options o = beside(stage.file, stage.model, set, pool);
    assert_int_equal(train_run_new(&o, &r, &note), ERR_OK);
    return r;
}

static const struct train_set *best_set(void)
{
    struct note note;
    return train_set_pick("auto", &note);
}

static void go_on(struct train_run *r, uint32_t until)
{
    struct note note;
    if (!r->has_before)
        assert_int_equal(train_run_measure(r, &note), ERR_OK);
    while (r->step < until)
        assert_int_equal(train_run_step(r, &note), ERR_OK);
    if (until == recipe.steps)
        assert_int_equal(train_run_measure(r, &note), ERR_OK);
}

/* The adapter of the whole training by this set and so many threads. */
static void train(const struct train_set *set, unsigned threads, struct buf *out)
{
    struct pool *pool = pool_new(threads);
    struct train_run *r = open_run(set, pool);
    go_on(r, recipe.steps);
    train_adapter_put(r, out);
    train_run_free(r);
    pool_free(pool);
}

static void same_bits_everywhere(void **state)
{
    (void)state;
    static const unsigned threads[] = {1, 2, 5};
    struct buf want = {0};
    train(best_set(), 1, &want);
    for (size_t i = 1; i < 3; i++) {
        struct buf got = {0};
        train(best_set(), threads[i], &got);
        assert_int_equal(got.n, want.n);
        assert_memory_equal(got.p, want.p, want.n);
        buf_clear(&got);
    }
    for (size_t i = 0; train_set_at(i); i++) {
        struct buf got = {0};
        train(train_set_at(i), 2, &got);
        assert_memory_equal(got.p, want.p, want.n);
        print_message("[ the same ] %s\n", train_set_at(i)->name);
        buf_clear(&got);
    }
    buf_clear(&want);
}

static void broken_off_and_taken_up(void **state)
{
    (void)state;
    struct pool *pool = pool_new(2);
    struct buf want = {0};
    train(best_set(), 2, &want);
    for (uint32_t at = 0; at <= recipe.steps; at += 2) {
        struct buf kept = {0}, got = {0};
        struct note note;
        struct train_run *r = open_run(best_set(), pool);
        go_on(r, at);
        train_run_put(r, &kept);
        train_run_free(r);
        r = open_run(best_set(), pool);
        assert_int_equal(train_run_get(r, bytes_of_buf(&kept), &note), ERR_OK);
        go_on(r, recipe.steps);
        train_adapter_put(r, &got);
        assert_memory_equal(got.p, want.p, want.n);
        kept.p[kept.n / 2] ^= 1;
        assert_int_equal(train_run_get(r, bytes_of_buf(&kept), &note), ERR_CORRUPT);
        for (size_t cut = 0; cut < 200; cut += 7)
            assert_int_equal(train_run_get(r, bytes_of(kept.p, cut), &note), ERR_CORRUPT);
        train_run_free(r);
        buf_clear(&kept);
        buf_clear(&got);
    }
    buf_clear(&want);
    pool_free(pool);
}

static void state_of_another_training(void **state)
{
    (void)state;
    struct pool *pool = pool_new(2);
    struct buf kept = {0};
    struct note note;
    struct train_run *r = open_run(best_set(), pool), *other;
    train_run_put(r, &kept);
    struct train_run_options o = beside(stage.file, stage.model, best_set(), pool);
    o.recipe.seed++;
    assert_int_equal(train_run_new(&o, &other, &note), ERR_OK);
    assert_int_equal(train_run_get(other, bytes_of_buf(&kept), &note), ERR_MISMATCH);
    train_run_free(r);
    train_run_free(other);
    buf_clear(&kept);
    pool_free(pool);
}

static void loss_falls(void **state)
{
    (void)state;
    struct pool *pool = pool_new(2);
    struct train_run *r = open_run(best_set(), pool);
    go_on(r, recipe.steps);
    print_message("[ loss     ] %.4f -> %.4f, held out %.4f -> %.4f\n", r->loss[0], r->loss[recipe.steps - 1],
                  r->before, r->after);
    assert_true(r->loss[recipe.steps - 1] < 0.8 * r->loss[0]);
    assert_true(r->after < r->before);
    train_run_free(r);
    pool_free(pool);
}

/* -- a second round -- */

static void join(const struct buf *update, struct buf *out)
{
    const struct adapt_file base = {"base", bytes_of_buf(&stage.bytes), {{7}}, 0, false},
                            adapter = {"update", bytes_of_buf(update), {{8}}, 1, false};
    struct adapt *a;
    struct bytes piece;
    struct note note;
    assert_int_equal(adapt_new(&base, &adapter, 1, &a, &note), ERR_OK);
    while (adapt_next(a, &piece))
        buf_add(out, piece.p, piece.n);
    adapt_free(a);
}

/* One more training beside the joined model; what was held out, before it. */
static double train_again(const struct gguf *file, const struct model *m, const struct train_set *set, unsigned threads,
                          struct buf *out)
{
    struct pool *pool = pool_new(threads);
    struct train_run *r;
    struct note note;
    const struct train_run_options o = beside(file, m, set, pool);
    assert_int_equal(train_run_new(&o, &r, &note), ERR_OK);
    go_on(r, recipe.steps);
    const double before = r->before;
    assert_true(r->after < before);
    train_adapter_put(r, out);
    train_run_free(r);
    pool_free(pool);
    return before;
}

/* Beside a model that an update was joined to: the second round begins where the first ended, and its bits are the same
 * everywhere. */
static void a_second_round(void **state)
{
    (void)state;
    struct pool *pool = pool_new(2);
    struct buf first = {0}, joined = {0}, want = {0};
    struct gguf *file;
    struct model *m;
    struct note note;
    struct train_run *r = open_run(best_set(), pool);
    go_on(r, recipe.steps);
    train_adapter_put(r, &first);
    join(&first, &joined);
    assert_int_equal(gguf_open(bytes_of_buf(&joined), &file, &note), ERR_OK);
    assert_int_equal(model_open(file, NULL, &m, &note), ERR_OK);
    assert_int_equal(train_lora_check(m, &note), ERR_OK);
    const double before = train_again(file, m, best_set(), 1, &want);
    print_message("[ round 2  ] held out: %.6f behind the first, %.6f before the second\n", r->after, before);
    assert_true(before - r->after < 1e-4 && r->after - before < 1e-4);
    for (size_t i = 0; train_set_at(i); i++) {
        struct buf got = {0};
        train_again(file, m, train_set_at(i), 3, &got);
        assert_int_equal(got.n, want.n);
        assert_memory_equal(got.p, want.p, want.n);
        buf_clear(&got);
    }
    train_run_free(r);
    model_free(m);
    gguf_free(file);
    buf_clear(&first);
    buf_clear(&joined);
    buf_clear(&want);
    pool_free(pool);
}

/* What the engine makes of the first window that was held out: its loss, a token. */
static double loss_by_engine(const struct model *m, const struct train_run *r)
{
    const struct engine_options o = {.model = m, .ops = &ops_ref, .threads = 2, .batch_max = 1};
    const uint32_t *ids = r->text.ids + (size_t)r->text.windows * recipe.length;
    struct engine *e = engine_new(&o);
    struct engine_seq *s = engine_seq_new(e, recipe.length);
    double sum = 0;
    for (uint32_t i = 0; i < recipe.length; i++) {
        struct engine_row row = {.seq = s, .token = ids[i], .wants = true};
        double all = 0;
        engine_eval(e, &row, 1);
        for (uint32_t v = 0; v < m->vocab; v++)
            all += exp((double)row.logits[v]);
        sum += log(all) - (double)row.logits[ids[i + 1]];
    }
    engine_seq_free(s);
    engine_free(e);
    return sum / recipe.length;
}

/* The engine, which computes otherwise, comes to the loss that training measured, with the update and without. */
static void an_update_does_what_was_measured(void **state)
{
    (void)state;
    struct pool *pool = pool_new(2);
    struct buf adapter = {0}, made = {0};
    struct gguf *file;
    struct model *m;
    struct note note;
    struct train_run *r = open_run(best_set(), pool);
    go_on(r, recipe.steps);
    train_adapter_put(r, &adapter);
    join(&adapter, &made);
    assert_int_equal(gguf_open(bytes_of_buf(&made), &file, &note), ERR_OK);
    assert_int_equal(model_open(file, NULL, &m, &note), ERR_OK);
    assert_int_equal(r->text.held, 1);
    const double before = loss_by_engine(stage.model, r), after = loss_by_engine(m, r);
    print_message("[ by engine] %.4f -> %.4f, measured %.4f -> %.4f\n", before, after, r->before, r->after);
    assert_true(fabs(before - r->before) < 0.1 * (r->before - r->after));
    assert_true(fabs(after - r->after) < 0.1 * (r->before - r->after));
    model_free(m);
    gguf_free(file);
    train_run_free(r);
    buf_clear(&adapter);
    buf_clear(&made);
    pool_free(pool);
}

/* A step that was taken otherwise shows in the digest behind the next, a weight that was changed at the end. */
static void found_out(void **state)
{
    (void)state;
    struct pool *pool = pool_new(2);
    struct buf file = {0}, wrong = {0};
    struct note note;
    struct train_claim claim;
    struct train_run *honest = open_run(best_set(), pool), *cheat = open_run(best_set(), pool);
    go_on(honest, recipe.steps);
    train_adapter_put(honest, &file);
    assert_int_equal(train_claim_open(bytes_of_buf(&file), &claim, &note), ERR_OK);
    for (uint32_t i = 0; i < recipe.steps; i++)
        assert_true(train_claim_digest(&claim, i) == honest->digests[i]);
    assert_true(train_claim_is(&claim, bytes_of_buf(&file), honest, &note));
    assert_true(claim.recipe.seed == recipe.seed && claim.recipe.rank == recipe.rank);
    train_claim_close(&claim);

    go_on(cheat, 3);
    cheat->lora->value[11] = -cheat->lora->value[11];
    go_on(cheat, recipe.steps);
    train_adapter_put(cheat, &wrong);
    assert_int_equal(train_claim_open(bytes_of_buf(&wrong), &claim, &note), ERR_OK);
    for (uint32_t i = 0; i < recipe.steps; i++)
        assert_true((train_claim_digest(&claim, i) == honest->digests[i]) == (i < 3));
    assert_false(train_claim_is(&claim, bytes_of_buf(&wrong), honest, &note));
    train_claim_close(&claim);

    buf_reset(&wrong);
    buf_add(&wrong, file.p, file.n);
    wrong.p[wrong.n - 8] ^= 1;
    assert_int_equal(train_claim_open(bytes_of_buf(&wrong), &claim, &note), ERR_OK);
    assert_false(train_claim_is(&claim, bytes_of_buf(&wrong), honest, &note));
    assert_non_null(strstr(note.text, "ffn_down"));
    train_claim_close(&claim);
    train_run_free(honest);
    train_run_free(cheat);
    buf_clear(&file);
    buf_clear(&wrong);
    pool_free(pool);
}

/* -- data -- */

static enum err read_data(const char *data, size_t n, uint32_t length, struct train_text *out, struct note *note)
{
    const struct train_text_source s = {
        .data = bytes_of(data, n), .template = stage.template, .tok = stage.tok, .vocab = stage.model->vocab};
    return train_text_read(&s, length, out, note);
}

static void data_that_are_none(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",
                                        "a few words",
                                        "{\"text\": \"a\"}\n{\"text\": 3}\n",
                                        "{\"text\": \"a\"}\nno JSON\n",
                                        "{\"messages\": []}\n{\"messages\": [3]}\n{\"messages\": {}}\n",
                                        "{\"messages\": [{\"role\": 7}]}\n[[[[[[",
                                        "{\"text\": \"\\ud800\"}\n",
                                        "\n\n{\"text\": \"\"}\n\n"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct train_text t;
        struct note note = {{0}};
        assert_int_not_equal(read_data(wrong[i], strlen(wrong[i]), 32, &t, &note), ERR_OK);
        assert_true(note.text[0] != 0);
        assert_null(t.ids);
    }
}

/* Any bytes at all are a text or are refused; every cut of a good file too. */
static void data_of_any_bytes(void **state)
{
    (void)state;
    static const char lines[] = "{\"text\": \"The heron waited.\"}\n{\"messages\": [{\"role\": \"user\", \"content\": "
                                "\"Who?\"}, {\"role\": \"assistant\", \"content\": \"The heron.\"}]}\n";
    struct train_text t;
    struct note note;
    uint64_t seed = 3;
    for (size_t i = 0; i < 300; i++) {
        char bytes[sizeof lines];
        memcpy(bytes, lines, sizeof lines);
        for (size_t j = 0; j < 4; j++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            bytes[(seed >> 33) % sizeof lines] = (char)(seed >> 56);
        }
        if (read_data(bytes, i % 2 ? sizeof lines - 1 : (size_t)(seed >> 40) % sizeof lines, 16, &t, &note) == ERR_OK)
            train_text_clear(&t);
    }
}

static void only_answers_count(void **state)
{
    (void)state;
    static const char line[] = "{\"messages\": [{\"role\": \"user\", \"content\": \"Who stood in the shallow water and "
                               "waited, all summer?\"}, "
                               "{\"role\": \"assistant\", \"content\": \"The heron, and nobody else did.\"}, "
                               "{\"role\": \"user\", \"content\": "
                               "\"And who lifted his hat to it, every morning and every evening?\"}, {\"role\": "
                               "\"assistant\", \"content\": \"The "
                               "man in the boat.\"}]}\n";
    struct train_text t;
    struct note note;
    struct buf said = {0};
    assert_int_equal(read_data(line, sizeof line - 1, 16, &t, &note), ERR_OK);
    for (size_t i = 0; i < t.n; i++)
        if (t.counts[i])
            tok_piece(stage.tok, (int32_t)t.ids[i], false, &said);
    print_message("[ counts   ] %s\n", buf_text(&said));
    assert_non_null(strstr(buf_text(&said), "The heron, and nobody else did."));
    assert_non_null(strstr(buf_text(&said), "The man in the boat."));
    assert_null(strstr(buf_text(&said), "hat"));
    train_text_clear(&t);
    buf_clear(&said);
}

static void every_window_once(void **state)
{
    (void)state;
    uint32_t order[100], other[100];
    bool seen[100] = {0};
    train_text_order(100, 9, 0, order);
    train_text_order(100, 9, 1, other);
    for (size_t i = 0; i < 100; i++) {
        assert_false(seen[order[i]]);
        seen[order[i]] = true;
    }
    assert_memory_not_equal(order, other, sizeof order);
}

static void recipes_out_of_range(void **state)
{
    (void)state;
    struct note note;
    assert_int_equal(train_recipe_check(&recipe, 512, &note), ERR_OK);
#define WRONG(field, value)                                                                                            \
    do {                                                                                                               \
        struct train_recipe r = recipe;                                                                                \
        r.field = (value);                                                                                             \
        assert_int_equal(train_recipe_check(&r, 512, &note), ERR_RANGE);                                               \
    } while (0)
    WRONG(rank, 0);
    WRONG(rank, TRAIN_RANK_MAX + 1);
    WRONG(steps, 0);
    WRONG(steps, TRAIN_STEPS_MAX + 1);
    WRONG(batch, 0);
    WRONG(batch, TRAIN_BATCH_MAX + 1);
    WRONG(length, 0);
    WRONG(length, 40);
    WRONG(length, 528);
    WRONG(alpha, 0.0f);
    WRONG(alpha, -1.0f);
    WRONG(rate, 0.0f);
    WRONG(rate, 2.0f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_bits_everywhere),
        cmocka_unit_test(broken_off_and_taken_up),
        cmocka_unit_test(state_of_another_training),
        cmocka_unit_test(loss_falls),
        cmocka_unit_test(an_update_does_what_was_measured),
        cmocka_unit_test(a_second_round),
        cmocka_unit_test(found_out),
        cmocka_unit_test(data_that_are_none),
        cmocka_unit_test(data_of_any_bytes),
        cmocka_unit_test(only_answers_count),
        cmocka_unit_test(every_window_once),
        cmocka_unit_test(recipes_out_of_range),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
