/* How rows find their experts where files say it: sigmoids, a preference that chooses and does not weigh, a scale,
 * layers without experts, layers behind the last that are not run. */
#include "tests/arch.h"

/* 20 positions of a model whose routers, preferences and numbers `change` has set. */
static void run_with(const char *label, void (*change)(struct model *m), float *out)
{
    struct loaded l;
    load(&l, shape_of(label));
    if (change)
        change(l.model);
    struct engine *e = engine_for(&l, &ops_ref, 1, 20);
    everything(e, 20, 20, out);
    engine_free(e);
    unload(&l);
}

static size_t bytes_of_run(const char *label)
{
    return 20 * (VOCAB + (size_t)shape_of(label)->embed) * sizeof(float);
}

static void prefer_the_last(struct model *m)
{
    for (uint32_t i = m->experts_from; i < m->layers; i++)
        for (uint32_t x = 0; x < m->experts; x++)
            ((float *)(uintptr_t)m->layer[i].preference)[x] = x + m->experts_used < m->experts ? 0.0f : 1000.0f;
}

static void spoil_others(struct model *m)
{
    prefer_the_last(m);
    for (uint32_t i = m->experts_from; i < m->layers; i++)
        for (uint32_t x = 0; x + m->experts_used < m->experts; x++)
            m->layer[i].expert[x] = m->layer[i].expert[m->experts - 1];
}

static void prefer_more(struct model *m)
{
    prefer_the_last(m);
    for (uint32_t i = m->experts_from; i < m->layers; i++)
        for (uint32_t x = m->experts - m->experts_used; x < m->experts; x++)
            ((float *)(uintptr_t)m->layer[i].preference)[x] = 5000.0f;
}

/* With a preference that nothing outweighs the others are never asked; how large it is changes no weight, but the ranks
 * and so the order of sums. */
static void a_preference_chooses_and_does_not_weigh(void **state)
{
    (void)state;
    static const char *const labels[] = {"ernie4_5-moe", "glm4moe", "dots1, weights that do not sum to one"};
    static float as_made[20 * 512], last[20 * 512], spoilt[20 * 512], more[20 * 512];
    for (size_t k = 0; k < sizeof labels / sizeof *labels; k++) {
        const size_t n = bytes_of_run(labels[k]);
        run_with(labels[k], NULL, as_made);
        run_with(labels[k], prefer_the_last, last);
        run_with(labels[k], spoil_others, spoilt);
        run_with(labels[k], prefer_more, more);
        assert_memory_not_equal(as_made, last, n);
        assert_memory_equal(last, spoilt, n);
        for (size_t i = 0; i < n / sizeof(float); i++)
            assert_true(fabsf(last[i] - more[i]) < 0.2f);
    }
}

static void one_alone(struct model *m)
{
    m->experts_used = 1;
    prefer_the_last(m);
    m->expert_scale = 1.0f;
}

static void one_alone_without_router(struct model *m)
{
    one_alone(m);
    for (uint32_t i = m->experts_from; i < m->layers; i++) {
        const struct ops_weight *w = &m->layer[i].router.w;
        memset((void *)(uintptr_t)w->data, 0, w->row_bytes * w->rows);
    }
}

static void parts_alone(struct model *m)
{
    one_alone(m);
    m->parts_of_all = true;
}

static void parts_alone_without_router(struct model *m)
{
    one_alone_without_router(m);
    m->parts_of_all = true;
}

/* A sigmoid of 0 is a half: weighed by it and scaled by two is what one alone weighs that sums to one. */
static void parts_alone_twice(struct model *m)
{
    parts_alone_without_router(m);
    m->expert_scale = 2.0f;
}

static void weights_of_one_alone(void **state)
{
    (void)state;
    static float one[20 * 512], other[20 * 512];
    const size_t n = bytes_of_run("dots1");
    run_with("dots1", one_alone, one);
    run_with("dots1", one_alone_without_router, other);
    assert_memory_equal(one, other, n);
    run_with("dots1", parts_alone_twice, other);
    assert_memory_equal(one, other, n);
    run_with("dots1", parts_alone, one);
    run_with("dots1", parts_alone_without_router, other);
    assert_memory_not_equal(one, other, n);
}

static void what_files_say_of_it(void **state)
{
    (void)state;
    struct loaded l;
    load(&l, shape_of("glm4moe"));
    assert_true(l.model->by_sigmoid && !l.model->parts_of_all && l.model->expert_scale == 2.5f);
    assert_int_equal(l.model->layers, 3);
    assert_int_equal(l.model->shared_mix, 32); /* one of the others' length */
    assert_null(l.model->layer[0].expert);
    assert_non_null(l.model->layer[1].expert);
    assert_non_null(l.model->layer[1].preference);
    assert_null(l.model->layer[1].query_norm.gain); /* which it has where the file does */
    unload(&l);
    load(&l, shape_of("dots1, parts of a softmax"));
    assert_true(!l.model->by_sigmoid && l.model->parts_of_all && l.model->expert_scale == 1.0f);
    unload(&l);
    load(&l, shape_of("dots1, weights that do not sum to one"));
    assert_true(l.model->by_sigmoid && l.model->parts_of_all);
    unload(&l);
    load(&l, shape_of("ernie4_5-moe"));
    assert_true(!l.model->by_sigmoid && !l.model->parts_of_all && l.model->shared_mix == 64);
    unload(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_preference_chooses_and_does_not_weigh),
        cmocka_unit_test(weights_of_one_alone),
        cmocka_unit_test(what_files_say_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
