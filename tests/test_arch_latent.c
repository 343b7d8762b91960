/* Heads that share one row of the cache, and experts that are chosen by groups: what files say of both, and what it
 * does. That every set of kernels, batch and number of threads gives the same bits is test_arch.c's. */
#include "inference/engine/devices.h"
#include "tests/arch.h"

#include <stdio.h>

static void say(struct gguf_make *m, const char *key, uint32_t v)
{
    char room[96];
    snprintf(room, sizeof room, "deepseek2.%s", key);
    gguf_make_u32(m, room, v);
}

/* -- rows -- */

static void one_row_for_all_heads(void **state)
{
    (void)state;
    struct loaded l;
    load(&l, shape_of("deepseek2")); /* heads of 48: 32 as they are and 16 turned, with a value of 16 */
    const struct model *m = l.model;
    assert_true(m->heads == 4 && m->heads_kv == 1 && m->latent == 64 && m->head == 80 && m->rope_pairs == 8);
    assert_true(m->plain == 32 && m->value == 16 && m->query_low == 32);
    assert_int_equal(m->layer[0].output.w.n, 64);
    assert_true(m->score_scale == 1.0f / sqrtf(48));
    /* Keys of 80 (three blocks) and values of 64 (two) for 64 positions, a scale for each block: once, not per head. */
    struct engine *e = engine_for(&l, &ops_ref, 1, 8);
    uint64_t bytes = engine_seq_bytes(e, 64);
    assert_true(bytes >= 3 * 64 * (32 + 4) * 5 && bytes < 3 * 64 * (32 + 4) * 5 + 1024);
    engine_free(e);
    unload(&l);
}

/* Rows of each head that make keys, turned round, and behind them those that make values. */
static void older_files_have_both_in_one_tensor(void **state)
{
    (void)state;
    struct loaded l;
    load(&l, shape_of("deepseek2, as older files"));
    const struct model *m = l.model;
    assert_true(m->heads_kv == 1 && m->latent == 64 && m->head == 80 && m->plain == 32 && m->value == 16);
    assert_true(m->query_low == 0);
    const struct gguf_tensor *t = gguf_find_tensor(l.gguf, "blk.1.attn_kv_b.weight");
    const struct model_latent *a = m->layer[1].latent;
    for (uint32_t h = 0; h < 4; h++)
        for (uint32_t i = 0; i < 48; i++) {
            float row[64], got[64];
            quant_read_row(t->type, t->data.p + (size_t)(48 * h + i) * quant_row_bytes(t->type, 64), 64, row);
            for (uint32_t j = 0; i < 32 && j < 64; j++)
                got[j] = ((const float *)(const void *)a->key_up[h].data)[j * 32 + i];
            if (i >= 32)
                quant_read_row(a->value_up[h].type, a->value_up[h].data + (i - 32) * a->value_up[h].row_bytes, 64, got);
            assert_memory_equal(row, got, sizeof row);
        }
    unload(&l);
}

static void yarn_scales_scores(void **state)
{
    (void)state;
    struct loaded l;
    load(&l, shape_of("deepseek2, yarn, more heads than go together"));
    const struct model_rope *rope = &l.model->rope[MODEL_ROPE];
    float by = 1.0f + 0.1f * logf(4.0f);
    assert_true(rope->yarn && rope->scale == 4.0 && rope->magnitude == 1.0);
    assert_true(fabsf(l.model->score_scale * sqrtf(48) - by * by) < 1e-5f);
    unload(&l);
}

/* A head's own matrices are its own: with those of one head spoilt the others' part of the output stays. */
static void heads_have_their_own_matrices(void **state)
{
    (void)state;
    static float out[3][20 * 512];
    for (unsigned spoil = 0; spoil < 3; spoil++) {
        struct loaded l;
        load(&l, shape_of("deepseek2"));
        struct model_latent *a = l.model->layer[2].latent;
        if (spoil == 1)
            a->key_up[3] = a->key_up[0];
        if (spoil == 2)
            a->value_up[3] = a->value_up[0];
        struct engine *e = engine_for(&l, ops_pick("auto", NULL), 2, 20);
        everything(e, 20, 20, out[spoil]);
        engine_free(e);
        unload(&l);
    }
    const size_t width = VOCAB + 64;
    assert_memory_equal(out[0], out[1], width * sizeof **out); /* a position that sees itself alone asks no key */
    assert_memory_not_equal(out[0] + width, out[1] + width, width * sizeof **out);
    assert_memory_not_equal(out[0], out[2], width * sizeof **out);
}

/* -- experts by groups -- */

/* 20 positions where one group is asked and scores, or what is added to sigmoids, are these; the experts of group
 * `spoilt` are all made like one of another group, unless there is no such group. */
static void run_grouped(const char *label, const float *scores, uint32_t spoilt, float *out)
{
    struct loaded l;
    load(&l, shape_of(label));
    struct model *m = l.model;
    const uint32_t each = m->experts / m->groups;
    m->groups_used = 1;
    for (uint32_t i = m->experts_from; i < m->layers; i++) {
        struct model_layer *layer = &m->layer[i];
        memset((void *)(uintptr_t)layer->router.w.data, 0, layer->router.w.row_bytes * layer->router.w.rows);
        if (layer->preference)
            layer->preference = scores;
        else
            layer->router.bias = scores;
        for (uint32_t x = spoilt * each; spoilt < m->groups && x < (spoilt + 1) * each; x++)
            layer->expert[x] = layer->expert[(spoilt + 1) % m->groups * each];
    }
    struct engine *e = engine_for(&l, ops_pick("auto", NULL), 1, 20);
    everything(e, 20, 20, out);
    engine_free(e);
    unload(&l);
}

/* The first group has the best expert, the second the best two. Only spoiling the group that is asked shows. */
static void check_asked(const char *label, uint32_t each, uint32_t asked)
{
    static float want[20 * 512], got[20 * 512];
    const size_t n = 20 * (VOCAB + 64) * sizeof *want;
    float scores[16] = {0};
    scores[1] = 5.0f;
    scores[each] = scores[each + 2] = 3.0f;
    run_grouped(label, scores, 99, want);
    for (uint32_t g = 0; g < 3; g++) {
        run_grouped(label, scores, g, got);
        if ((memcmp(want, got, n) != 0) != (g == asked))
            fail_msg("%s: group %u is %sasked", label, g, g == asked ? "not " : "");
    }
}

static void groups_go_by_their_best(void **state)
{
    (void)state;
    check_asked("deepseek2", 4, 1);
    check_asked("deepseek2, as older files", 3, 0);
}

static void what_files_say_of_groups(void **state)
{
    (void)state;
    struct loaded l;
    load(&l, shape_of("deepseek2")); /* says no gating, and has a preference */
    assert_true(l.model->by_sigmoid && l.model->groups == 4 && l.model->groups_used == 2);
    unload(&l);
    load(&l, shape_of("deepseek2, as older files"));
    assert_true(!l.model->by_sigmoid && l.model->groups == 3 && l.model->parts_of_all);
    unload(&l);
    load(&l, shape_of("deepseek2, without experts"));
    assert_int_equal(l.model->experts, 0);
    unload(&l);
}

/* -- refusals -- */

static void five_groups(struct gguf_make *m, const struct model_make *s)
{
    (void)s;
    say(m, "expert_group_count", 5);
}

static void more_groups_than_there_are(struct gguf_make *m, const struct model_make *s)
{
    (void)s;
    say(m, "expert_group_count", 4);
    say(m, "expert_group_used_count", 5);
}

static void too_few_experts(struct gguf_make *m, const struct model_make *s)
{
    (void)s;
    say(m, "expert_group_count", 8);
    say(m, "expert_group_used_count", 1);
}

static void scaling(struct gguf_make *m, const char *type)
{
    gguf_make_text(m, "deepseek2.rope.scaling.type", type);
    gguf_make_f32(m, "deepseek2.rope.scaling.factor", 4.0f);
}

static void yarn_alone(struct gguf_make *m, const struct model_make *s)
{
    (void)s;
    scaling(m, "yarn");
}

static void linear(struct gguf_make *m, const struct model_make *s)
{
    (void)s;
    scaling(m, "linear");
}

static void longer_angles(struct gguf_make *m, const struct model_make *s)
{
    (void)s;
    gguf_make_f32(m, "deepseek2.rope.scaling.attn_factor", 1.5f);
}

static void a_length_too_many(struct gguf_make *m, const struct model_make *s)
{
    (void)s;
    say(m, "attention.key_length_mla", 48);
}

static void a_long_rank(struct gguf_make *m, const struct model_make *s)
{
    (void)s;
    say(m, "attention.q_lora_rank", 65);
}

static void a_norm_too_many(struct gguf_make *m, const struct model_make *s)
{
    (void)s;
    model_make_vector(m, "blk.1.attn_q_a_norm.weight", 32, 1);
}

static void both_kinds_of_matrices(struct gguf_make *m, const struct model_make *s)
{
    (void)s;
    model_make_vector(m, "blk.0.attn_kv_b.weight", 64, 1);
}

static void what_is_not_run_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *label;
        void (*more)(struct gguf_make *m, const struct model_make *s);
        const char *word;
    } cases[] = {
        {"deepseek2", five_groups, "expert_group_count"},
        {"deepseek2", more_groups_than_there_are, "expert_group_used_count"},
        {"deepseek2", too_few_experts, "expert_group_used_count"},
        {"deepseek2", yarn_alone, "yarn_log_multiplier"},
        {"deepseek2", linear, "rope.scaling.type"},
        {"deepseek2", longer_angles, "attn_factor"},
        {"deepseek2", both_kinds_of_matrices, "attn_kv_b"},
        {"deepseek2, as older files", a_length_too_many, "value_length_mla"},
        {"deepseek2, as older files", a_long_rank, "q_lora_rank"},
        {"deepseek2, as older files", a_norm_too_many, "attn_q_a_norm"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct model_make s = *shape_of(cases[i].label);
        s.more = cases[i].more;
        expect_refusal(&s, cases[i].word);
    }
    struct model_make s = *shape_of("deepseek2, as older files");
    s.heads_kv = 2; /* as many as heads, or one */
    expect_refusal(&s, "head_count_kv");
}

/* What a GPU's kernels do not have is said before anything is loaded; these they have. */
static void what_no_gpu_takes_is_named(void **state)
{
    (void)state;
    struct loaded l;
    struct devices d = {.n = 1}; /* not asked */
    struct devices_plan plan;
    char line[256];
    load(&l, shape_of("deepseek2"));
    assert_null(model_on_processors(l.model));
    unload(&l);
    load(&l, shape_of("command-r, norms of heads"));
    devices_plan(&d, l.model, 8, 4, 1, &plan);
    assert_int_equal(plan.n, 0);
    devices_say(&plan, line, sizeof line);
    assert_string_equal(line, "no GPU: a command-r has norms of each head's own, which runs on processors only");
    unload(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_row_for_all_heads),    cmocka_unit_test(older_files_have_both_in_one_tensor),
        cmocka_unit_test(yarn_scales_scores),       cmocka_unit_test(heads_have_their_own_matrices),
        cmocka_unit_test(groups_go_by_their_best),  cmocka_unit_test(what_files_say_of_groups),
        cmocka_unit_test(what_is_not_run_is_named), cmocka_unit_test(what_no_gpu_takes_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
