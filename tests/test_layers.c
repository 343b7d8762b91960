/* A model cut over several devices that are processors (inference/engine/layers.h), and over machines
 * (inference/engine/far.h): the bits that it has in one piece, for every architecture, at any cut and in any batches;
 * and calls that no engine makes.
 */
#include "base/codec.h"
#include "base/mem.h"
#include "inference/engine/far.h"
#include "inference/engine/layers.h"
#include "inference/kernels/ops.h"
#include "inference/engine/pool.h"
#include "tests/model_eval.h"
#include "tests/support.h"

#include <stdlib.h>
#include <string.h>

#define TOKENS MODEL_EVAL_TOKENS

struct loaded {
    struct model_eval made;
    const struct model *model;
    struct pool *pool;
    /* the machine elsewhere */
    struct engine_device there;
    struct far_bounds bounds;
    uint32_t calls, calls_until; /* it is lost after so many; 0: never */
    struct buf sent;             /* a call that is on its way, until somebody waits for it */
    bool is_away;
    uint32_t sent_n, most_rows, meanwhile; /* so many calls, and rows in one; how often layers here ran meanwhile */
};

static void load(struct loaded *l, const struct model_make *s)
{
    *l = (struct loaded){.pool = pool_new(2)};
    model_eval_open(&l->made, s);
    l->model = l->made.model;
}

static void unload(struct loaded *l)
{
    if (l->there.table)
        l->there.table->close(l->there.device_take);
    model_eval_close(&l->made);
    buf_clear(&l->sent);
    pool_free(l->pool);
}

static struct engine_device device_of(const struct loaded *l, uint32_t first, uint32_t end)
{
    return layers_device(&(struct layers_options){
        .model = l->model, .ops = &ops_ref, .pool = l->pool, .batch_max = TOKENS, .first = first, .end = end});
}

static enum err carry(void *arg, uint32_t hop, struct bytes call, struct buf *answer, struct note *note)
{
    struct loaded *l = arg;
    assert_int_equal(hop, 7);
    if (l->calls_until && l->calls++ == l->calls_until)
        return note_set(note, ERR_CLOSED, "the line is cut");
    struct note odd = {{0}};
    enum err e = far_serve(&l->bounds, &l->there, call, answer, &odd);
    if (e != ERR_OK)
        fail_msg("%s", odd.text);
    return e;
}

/* The same, looked at only when it is waited for. */
static enum err send(void *arg, uint32_t hop, struct bytes call, struct note *note)
{
    struct loaded *l = arg;
    uint32_t rows = load_le32(call.p);
    (void)note;
    assert_true(hop == 7 && !l->is_away);
    buf_reset(&l->sent);
    buf_add(&l->sent, call.p, call.n);
    l->is_away = true;
    l->sent_n++;
    l->most_rows = rows > l->most_rows ? rows : l->most_rows;
    return ERR_OK;
}

static enum err receive(void *arg, uint32_t hop, struct buf *answer, struct note *note)
{
    struct loaded *l = arg;
    assert_true(l->is_away);
    l->is_away = false;
    return carry(l, hop, bytes_of_buf(&l->sent), answer, note);
}

/* Layers [first, end) elsewhere. */
static struct engine_device far_of(struct loaded *l, uint32_t first, uint32_t end)
{
    l->there = device_of(l, first, end);
    l->bounds =
        (struct far_bounds){.model = l->model, .rows_max = TOKENS, .context = l->model->context, .numbers_max = 64};
    return far_device(&(struct far_options){.model = l->model,
                                            .hop = 7,
                                            .first = first,
                                            .end = end,
                                            .call = carry,
                                            .send = send,
                                            .receive = receive,
                                            .arg = l});
}

static struct engine *engine_of(struct loaded *l, const struct engine_device *at, uint32_t n, struct note *lost)
{
    return engine_new(&(struct engine_options){.model = l->model,
                                               .ops = &ops_ref,
                                               .pool = l->pool,
                                               .batch_max = TOKENS,
                                               .devices = at,
                                               .devices_n = n,
                                               .lost = model_eval_lost,
                                               .lost_arg = lost});
}

static void want_in_one_piece(struct loaded *l)
{
    struct engine *e = engine_of(l, NULL, 0, NULL);
    model_eval_all(e, 16, model_eval_want);
    engine_free(e);
}

/* -- the same bits -- */

static void every_architecture_in_three(void **state)
{
    (void)state;
    const struct model_make *shape;
    for (size_t k = 0; (shape = model_make_at(k)); k++) {
        struct loaded l;
        struct note lost = {{0}};
        struct model_make s = *shape;
        s.layers = s.layers < 3 ? 3 : s.layers;
        load(&l, &s);
        if (l.model->layers_recurrent || l.model->layers_sharing || l.model->input_n) {
            assert_int_equal(layers_check(l.model, &lost), ERR_UNSUPPORTED);
            assert_non_null(strstr(lost.text, s.architecture));
        } else if (model_writes(l.model)) {
            want_in_one_piece(&l);
            struct engine_device at[] = {far_of(&l, 1, s.layers - 1), device_of(&l, s.layers - 1, s.layers)};
            struct engine *e = engine_of(&l, at, 2, &lost);
            model_eval_all(e, 33, model_eval_got);
            model_eval_compare(l.model, s.label, "in three pieces");
            assert_string_equal(lost.text, "");
            engine_free(e);
        }
        unload(&l);
    }
}

static void any_cut_and_any_batch(void **state)
{
    (void)state;
    static const struct {
        uint32_t cut[4], pieces, batch; /* pieces [cut[i], cut[i + 1]) on devices, those before the first here */
        const char *way;
    } ways[] = {{{0, 4}, 1, 1, "one token at a time on one device"},
                {{0, 4}, 1, 70, "one batch on one device"},
                {{3, 4}, 1, 9, "the last layer on a device"},
                {{0, 1, 4}, 2, 23, "two devices"},
                {{1, 2, 3, 4}, 3, 33, "one here and each of the others on a device"}};
    struct model_make s = *model_make_at(0);
    struct loaded l;
    s.layers = 4;
    load(&l, &s);
    want_in_one_piece(&l);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        struct engine_device at[3];
        for (uint32_t k = 0; k < ways[i].pieces; k++)
            at[k] = device_of(&l, ways[i].cut[k], ways[i].cut[k + 1]);
        struct engine *e = engine_of(&l, at, ways[i].pieces, NULL);
        model_eval_all(e, ways[i].batch, model_eval_got);
        model_eval_compare(l.model, s.label, ways[i].way);
        engine_free(e);
    }
    unload(&l);
}

/* Two sequences in one batch, one of which goes on from pages that a third left; then one is cut back. */
static void sequences_mix_share_and_are_cut(void **state)
{
    (void)state;
    struct model_make s = *model_make_at(0);
    struct loaded l;
    const struct hash scope = {{1}};
    uint32_t ids[TOKENS];
    struct engine_row rows[2];
    s.layers = 3;
    load(&l, &s);
    want_in_one_piece(&l);
    struct engine_device at[] = {far_of(&l, 0, 2), device_of(&l, 2, 3)};
    struct engine *e = engine_of(&l, at, 2, NULL);
    const size_t width = l.model->vocab + l.model->embed;
    for (uint32_t i = 0; i < TOKENS; i++)
        ids[i] = model_eval_token(i);
    struct engine_seq *first = engine_seq_new(e, TOKENS), *second = engine_seq_new(e, TOKENS), *third;
    engine_seq_share(first, &scope);
    model_eval_rows(e, first, 0, 66, 16, model_eval_got);
    engine_seq_free(first);
    model_eval_rows(e, second, 0, 30, 16, model_eval_got);
    engine_seq_cut(second, 20);
    third = engine_seq_new(e, TOKENS);
    engine_seq_share(third, &scope);
    assert_int_equal(engine_seq_reuse(third, ids, TOKENS), 64);
    for (uint32_t i = 0; i < 6; i++) {
        rows[0] = (struct engine_row){.seq = second, .token = model_eval_token(20 + i), .wants = true};
        rows[1] = (struct engine_row){.seq = third, .token = model_eval_token(64 + i), .wants = true};
        engine_eval(e, rows, 2);
        for (unsigned k = 0; k < 2; k++)
            if ((k ? 64 + i : 20 + i) % 5 != 1) /* which `want` does not have */
                assert_memory_equal(rows[k].logits, model_eval_want + (k ? 64 + i : 20 + i) * width,
                                    l.model->vocab * 4);
    }
    engine_seq_free(second);
    engine_seq_free(third);
    engine_free(e);
    unload(&l);
}

/* Some rows model_eval_want all logits, some only the largest, some the hidden state alone. */
static void rows_want_different_things(void **state)
{
    (void)state;
    struct loaded l;
    struct engine_row rows[2][12];
    load(&l, model_make_at(0));
    struct engine_device at = device_of(&l, 0, l.model->layers);
    struct engine *e[2] = {engine_of(&l, NULL, 0, NULL), engine_of(&l, &at, 1, NULL)};
    struct engine_seq *s[2];
    for (unsigned k = 0; k < 2; k++) {
        s[k] = engine_seq_new(e[k], TOKENS);
        for (uint32_t i = 0; i < 12; i++)
            rows[k][i] = (struct engine_row){.seq = s[k],
                                             .token = model_eval_token(i),
                                             .wants = i % 3 != 1,
                                             .best_only = i % 3 == 2,
                                             .no_logits = i >= 9};
        engine_eval(e[k], rows[k], 12);
    }
    for (uint32_t i = 0; i < 12; i++) {
        const struct engine_row *here = &rows[0][i], *there = &rows[1][i];
        assert_int_equal(here->logits != NULL, there->logits != NULL);
        assert_int_equal(here->hidden != NULL, there->hidden != NULL);
        if (here->logits)
            assert_memory_equal(here->logits, there->logits, l.model->vocab * sizeof(float));
        if (here->hidden)
            assert_memory_equal(here->hidden, there->hidden, l.model->embed * sizeof(float));
        if (here->wants && here->best_only && !here->no_logits)
            assert_int_equal(here->best, there->best);
    }
    for (unsigned k = 0; k < 2; k++) {
        engine_seq_free(s[k]);
        engine_free(e[k]);
    }
    unload(&l);
}

/* -- a line that is cut, and calls that no engine makes -- */

static void a_cut_line_loses_nothing(void **state)
{
    (void)state;
    struct model_make s = *model_make_at(0);
    s.layers = 3;
    for (uint32_t until = 1; until < 8; until++) {
        struct loaded l;
        struct note lost = {{0}};
        load(&l, &s);
        want_in_one_piece(&l);
        l.calls_until = until;
        struct engine_device at[] = {far_of(&l, 1, 2), device_of(&l, 2, 3)};
        struct engine *e = engine_of(&l, at, 2, &lost);
        model_eval_all(e, 9, model_eval_got);
        model_eval_compare(l.model, s.label, "after the line was cut");
        assert_string_equal(lost.text, "the line is cut");
        engine_free(e);
        unload(&l);
    }
}

/* -- parts of a batch -- */

static struct loaded *watched;
static const struct device_table *watched_table;

static enum err run_watched(struct device *d, const struct device_batch *b, struct note *note)
{
    watched->meanwhile += watched->is_away;
    return watched_table->run(d, b, note);
}

/* A long batch goes in parts, so that layers here have something to do while others are elsewhere; a short one in one
 * piece. Never two calls at once. */
static void long_batches_go_in_parts(void **state)
{
    (void)state;
    static const struct {
        uint32_t batch, calls, most, meanwhile;
    } cases[] = {
        {TOKENS, 4, 18, 6}, /* 17, 18, 17, 18 rows; both pieces here run beside three of the calls */
        {35, 4, 18, 4},     /* twice 17 and 18 */
        {31, 0, 0, 0},      /* in one piece each, that is waited for */
    };
    struct model_make s = *model_make_at(0);
    s.layers = 4;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct loaded l;
        struct note lost = {{0}};
        load(&l, &s);
        want_in_one_piece(&l);
        struct engine_device at[] = {device_of(&l, 0, 1), far_of(&l, 1, 2), device_of(&l, 2, 3), device_of(&l, 3, 4)};
        watched = &l;
        watched_table = at[0].table;
        struct device_table table = *watched_table;
        table.run = run_watched;
        at[0].table = at[2].table = at[3].table = &table;
        struct engine *e = engine_of(&l, at, 4, &lost);
        model_eval_all(e, cases[i].batch, model_eval_got);
        model_eval_compare(l.model, s.label, "in parts");
        assert_string_equal(lost.text, "");
        assert_int_equal(l.sent_n, cases[i].calls);
        assert_int_equal(l.most_rows, cases[i].most);
        assert_int_equal(l.meanwhile, cases[i].meanwhile);
        engine_free(e);
        unload(&l);
    }
}

/* Cut at each call of a batch in parts, nothing is lost, and nobody waits for what is not on its way. */
static void parts_that_are_cut_lose_nothing(void **state)
{
    (void)state;
    struct model_make s = *model_make_at(0);
    s.layers = 4;
    for (uint32_t until = 1; until < 5; until++) {
        struct loaded l;
        struct note lost = {{0}};
        load(&l, &s);
        want_in_one_piece(&l);
        l.calls_until = until;
        struct engine_device at[] = {device_of(&l, 0, 1), far_of(&l, 1, 2), device_of(&l, 2, 4)};
        struct engine *e = engine_of(&l, at, 3, &lost);
        struct engine_seq *before = engine_seq_new(e, TOKENS);
        model_eval_rows(e, before, 0, 5, 5, model_eval_got); /* by a call of its own */
        model_eval_all(e, TOKENS, model_eval_got);
        model_eval_compare(l.model, s.label, "after the line was cut");
        assert_string_equal(lost.text, "the line is cut");
        assert_false(l.is_away);
        model_eval_rows(e, before, 5, TOKENS, 33, model_eval_got);
        engine_seq_free(before);
        engine_free(e);
        unload(&l);
    }
}

/* -- rows that are wanted beside the results -- */

#define TAPS 12

/* rows[TAPS, embed]: of layers everywhere, in no order, some twice, over a page's end. */
static void tap_all(struct loaded *l, struct engine *e, uint32_t batch, float *rows)
{
    struct engine_tap tap[TAPS];
    struct engine_seq *s = engine_seq_new(e, TOKENS);
    for (uint32_t i = 0; i < TAPS; i++)
        tap[i] = (struct engine_tap){i * 5 % (l->model->layers - 1), (i * 37 + i / 10 * 30) % TOKENS,
                                     rows + (size_t)i * l->model->embed};
    tap[TAPS - 1].layer = tap[0].layer;
    tap[TAPS - 1].position = tap[0].position;
    engine_seq_tap(s, tap, TAPS);
    model_eval_rows(e, s, 0, TOKENS, batch, model_eval_got);
    engine_seq_free(s);
}

/* Layers here, elsewhere, and on devices of this machine, in one part and in several; and where the line is cut in the
 * middle, so that they are taken here. */
static void rows_come_from_any_layer(void **state)
{
    (void)state;
    const struct model_make *shape;
    for (size_t k = 0; (shape = model_make_at(k)); k++) {
        struct model_make s = *shape;
        struct loaded l;
        struct note lost = {{0}};
        s.layers = s.layers < 4 ? 4 : s.layers;
        load(&l, &s);
        if (!model_writes(l.model) || layers_check(l.model, &lost) != ERR_OK) {
            unload(&l);
            continue;
        }
        const size_t n = (size_t)TAPS * l.model->embed;
        float *want = mem_array(n, sizeof *want), *got = mem_array(n, sizeof *got);
        struct engine *e = engine_of(&l, NULL, 0, NULL);
        tap_all(&l, e, 1, want);
        engine_free(e);
        for (uint32_t i = 0; i < 4; i++) {
            l.calls_until = i < 3 ? 0 : 2;
            l.calls = 0;
            struct engine_device at[] = {far_of(&l, 0, 2), device_of(&l, 2, s.layers - 1),
                                         device_of(&l, s.layers - 1, s.layers)};
            lost = (struct note){{0}};
            e = engine_of(&l, at, 3, &lost);
            memset(got, 0, n * sizeof *got);
            tap_all(&l, e, (const uint32_t[]){1, 23, TOKENS, 23}[i], got);
            for (size_t c = 0; c < n; c++)
                if (memcmp(&want[c], &got[c], sizeof *got) != 0)
                    fail_msg("%s, way %u: tap %zu, value %zu", s.label, i, c / l.model->embed, c % l.model->embed);
            assert_string_equal(lost.text, i < 3 ? "" : "the line is cut");
            engine_free(e);
            l.there.table->close(l.there.device_take);
            l.there.table = NULL;
        }
        free(want);
        free(got);
        unload(&l);
    }
}

struct call {
    uint32_t rows, pages, pages_most, number_end;
    uint8_t sets;
    uint32_t position, table, page;
    size_t short_by;
    uint32_t value; /* of each float, as its bits; 0: 0.5 */
    uint32_t taps, tap_row, tap_layer;
};

static enum err serve(const struct loaded *l, const struct call *c, struct buf *answer)
{
    const struct model *m = l->model;
    struct buf b = {0};
    struct note note;
    codec_put_u32(&b, &c->rows);
    codec_put_u32(&b, &c->pages);
    codec_put_u32(&b, &c->pages_most);
    codec_put_u32(&b, &c->number_end);
    codec_put_u32(&b, &c->taps);
    codec_put_u8(&b, &c->sets);
    for (uint32_t i = 0; i < c->rows && i < 100; i++)
        codec_put_u32(&b, &c->position);
    for (uint32_t i = 0; i < c->rows && i < 100; i++)
        codec_put_u32(&b, &c->table);
    for (uint32_t i = 0; i < c->pages && i < 100; i++)
        codec_put_u32(&b, &c->page);
    for (uint32_t i = 0; i < 2 * c->taps && i < 2000; i++)
        codec_put_u32(&b, i % 2 ? &c->tap_layer : &c->tap_row);
    const size_t floats = (c->rows < 100 ? c->rows : 100) * (m->embed + c->sets * 2u * m->rope_pairs);
    for (size_t i = 0; i < floats; i++)
        codec_put_u32(&b, &(uint32_t){c->value ? c->value : 0x3f000000});
    b.n -= c->short_by;
    enum err e = far_serve(&l->bounds, &l->there, bytes_of_buf(&b), answer, &note);
    buf_clear(&b);
    return e;
}

static void calls_out_of_bounds_are_refused(void **state)
{
    (void)state;
    const struct call good = {
        .rows = 1, .pages = 1, .pages_most = 1, .number_end = 64, .sets = 1, .page = 63, .taps = 2, .tap_layer = 1};
    struct model_make s = *model_make_at(0);
    struct loaded l;
    struct buf answer = {0};
    s.layers = 3;
    load(&l, &s);
    struct engine_device unused = far_of(&l, 1, 2);
    struct call c[18];
    for (size_t i = 0; i < sizeof c / sizeof *c; i++)
        c[i] = good;
    c[0].rows = 0;
    c[1].rows = TOKENS + 1;
    c[2].number_end = 65;
    c[3].page = 64;
    c[4].table = 1;
    c[5].position = ARITH_CHUNK; /* its table has one page */
    c[6].position = UINT32_MAX;
    c[7].pages_most = UINT32_MAX;
    c[8].sets = 0;
    c[9].sets = 3;
    c[10].short_by = 1;
    c[11].table = UINT32_MAX;
    c[12].rows = 2; /* both at one place of one page: which stays there is not decided */
    c[13].tap_row = 1;
    c[14].tap_layer = 0; /* layers that are not there */
    c[15].tap_layer = 2;
    c[16].taps = FAR_TAPS_MAX + 1;
    c[17].taps = UINT32_MAX;
    assert_int_equal(serve(&l, &good, &answer), ERR_OK);
    assert_int_equal(answer.n, 1 + 3 * l.model->embed * sizeof(float));
    for (size_t i = 0; i < sizeof c / sizeof *c; i++)
        if (serve(&l, &c[i], &answer) != ERR_PROTOCOL)
            fail_msg("call %zu was taken", i);
    unused.table->close(unused.device_take);
    buf_clear(&answer);
    unload(&l);
}

/* What stands behind the point where numbers end differs between processors. An answer is signed, and compared with
 * what others make of the same call: such a row is zeros. */
static void what_is_not_finite_has_one_answer(void **state)
{
    static const uint32_t values[] = {0x7f800000, 0xff800000, 0x7fc01234, 0xffc00001};
    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        const struct call call = {.rows = 1,
                                  .pages = 1,
                                  .pages_most = 1,
                                  .number_end = 64,
                                  .sets = 1,
                                  .page = 63,
                                  .value = values[i],
                                  .taps = 1,
                                  .tap_layer = 1};
        struct model_make s = *model_make_at(0);
        struct loaded l;
        struct buf answer = {0};
        s.layers = 3;
        load(&l, &s);
        struct engine_device unused = far_of(&l, 1, 2);
        assert_int_equal(serve(&l, &call, &answer), ERR_OK);
        if (answer.p[0] != 0)
            fail_msg("%08x is finite", values[i]);
        for (size_t k = 1; k < answer.n; k++)
            if (answer.p[k] != 0)
                fail_msg("%08x: byte %zu of the answer is %u", values[i], k, answer.p[k]);
        unused.table->close(unused.device_take);
        buf_clear(&answer);
        unload(&l);
    }
}

/* What comes back is not believed either. */
static enum err answer_badly(void *arg, uint32_t hop, struct bytes call, struct buf *answer, struct note *note)
{
    struct loaded *l = arg;
    enum err e = carry(arg, hop, call, answer, note);
    if (l->calls == 0)
        answer->n--;
    else
        answer->p[0] = 2;
    return e;
}

static void answers_out_of_bounds_are_refused(void **state)
{
    (void)state;
    struct model_make s = *model_make_at(0);
    s.layers = 3;
    for (uint32_t kind = 0; kind < 2; kind++) {
        struct loaded l;
        struct note lost = {{0}};
        load(&l, &s);
        want_in_one_piece(&l);
        struct engine_device at[] = {far_of(&l, 1, 2), device_of(&l, 2, 3)};
        at[0].table->close(at[0].device_take);
        l.calls = kind;
        at[0] = far_device(
            &(struct far_options){.model = l.model, .hop = 7, .first = 1, .end = 2, .call = answer_badly, .arg = &l});
        struct engine *e = engine_of(&l, at, 2, &lost);
        model_eval_all(e, 9, model_eval_got);
        model_eval_compare(l.model, s.label, "after an answer that is none");
        assert_string_not_equal(lost.text, "");
        engine_free(e);
        unload(&l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_architecture_in_three),       cmocka_unit_test(any_cut_and_any_batch),
        cmocka_unit_test(sequences_mix_share_and_are_cut),   cmocka_unit_test(rows_want_different_things),
        cmocka_unit_test(long_batches_go_in_parts),          cmocka_unit_test(parts_that_are_cut_lose_nothing),
        cmocka_unit_test(a_cut_line_loses_nothing),          cmocka_unit_test(calls_out_of_bounds_are_refused),
        cmocka_unit_test(answers_out_of_bounds_are_refused), cmocka_unit_test(what_is_not_finite_has_one_answer),
        cmocka_unit_test(rows_come_from_any_layer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
