/* What a file may say of its model, and what is refused by name. */
#include "tests/arch.h"

#include <stdio.h>

static void name_classes(struct gguf_make *m, const struct model_make *s)
{
    static const uint8_t one_text[] = {GGUF_TEXT, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 'A'};
    (void)s;
    gguf_make_raw(m, "bert.classifier.output_labels", GGUF_ARRAY, one_text, sizeof one_text);
}

static void say_norm(struct gguf_make *m, uint8_t flag)
{
    gguf_make_raw(m, "qwen3moe.expert_weights_norm", GGUF_FLAG, &flag, 1);
    gguf_make_u32(m, "qwen3moe.expert_gating_func", 1);
}

static void norm_of_experts(struct gguf_make *m, const struct model_make *s)
{
    (void)s;
    say_norm(m, 1);
}

static void softmax_of_the_chosen(struct gguf_make *m, const struct model_make *s)
{
    model_make_say(m, s, "expert_gating_func", 3);
}

/* Names of classes without a classifier, and experts weighed as we do it. */
static void what_changes_nothing_is_taken(void **state)
{
    (void)state;
    struct loaded l;
    struct model_make s = *shape_of("bert");
    s.more = name_classes;
    load(&l, &s);
    unload(&l);
    s = *shape_of("qwen3moe");
    s.more = norm_of_experts;
    load(&l, &s);
    unload(&l);
    s.more = softmax_of_the_chosen;
    load(&l, &s);
    unload(&l);
}

static void no_head_norms(struct gguf_make *m, const struct model_make *s)
{
    (void)s;
    model_make_vector(m, "blk.0.attn_q_norm.weight", 16, 1);
}

static void tiny_cap(struct gguf_make *m, const struct model_make *s)
{
    model_make_say_real(m, s, "final_logit_softcapping", 1e-5f);
}

static void causal_encoder(struct gguf_make *m, const struct model_make *s)
{
    (void)s;
    gguf_make_raw(m, "bert.rope.scaling.attn_factor", GGUF_F32, "\0\0\x80\x3f", 4);
}

static void no_norm_of_experts(struct gguf_make *m, const struct model_make *s)
{
    (void)s;
    say_norm(m, 0);
}

static void other_gate_of_experts(struct gguf_make *m, const struct model_make *s)
{
    model_make_say(m, s, "expert_gating_func", 2);
}

static void period_of_one(struct gguf_make *m, const struct model_make *s)
{
    model_make_window(m, s);
    model_make_say(m, s, "attention.sliding_window_pattern", 1);
}

static void norm_before(struct gguf_make *m, const struct model_make *s)
{
    model_make_vector(m, "blk.0.attn_norm.weight", s->embed, 1);
}

static void say_windows(struct gguf_make *m, const struct model_make *s, uint8_t type, uint8_t count)
{
    uint8_t list[12 + 4] = {type, 0, 0, 0, count, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 1};
    char room[96];
    snprintf(room, sizeof room, "%s.attention.sliding_window_pattern", s->architecture);
    gguf_make_raw(m, room, GGUF_ARRAY, list, 12u + count);
    model_make_window(m, s);
}

static void windows_of_three(struct gguf_make *m, const struct model_make *s)
{
    say_windows(m, s, GGUF_FLAG, 3);
}

static void windows_by_number(struct gguf_make *m, const struct model_make *s)
{
    say_windows(m, s, GGUF_U8, 4);
}

/* A list says which layers have the window, whatever the period would be. */
static void a_list_names_the_windows(void **state)
{
    (void)state;
    struct loaded l;
    struct model_make s = *shape_of("olmo2, windows by layer, yarn");
    load(&l, &s);
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(l.model->layer[i].window, i == 2 ? 0 : 70);
    assert_true(l.model->rope[MODEL_ROPE].yarn);
    assert_false(l.model->rope[MODEL_ROPE_LOCAL].yarn);
    unload(&l);
    s.more = windows_of_three;
    expect_refusal(&s, "sliding_window_pattern");
    s.more = windows_by_number;
    expect_refusal(&s, "sliding_window_pattern");
}

static void say_list(struct gguf_make *m, const char *key, uint32_t first, uint32_t second)
{
    uint8_t list[12 + 8] = {GGUF_I32, 0, 0, 0, 2};
    store_le32(list + 12, first);
    store_le32(list + 16, second);
    gguf_make_raw(m, key, GGUF_ARRAY, list, sizeof list);
}

static void same_for_all(struct gguf_make *m, const struct model_make *s)
{
    (void)s;
    say_list(m, "llama.rope.dimension_count", 8, 8);
}

static void another_in_the_second(struct gguf_make *m, const struct model_make *s)
{
    (void)s;
    say_list(m, "llama.rope.dimension_count", 8, 16);
}

/* Some files say a number once for each layer. */
static void numbers_by_layer(void **state)
{
    (void)state;
    struct loaded l;
    struct model_make s = *shape_of("llama");
    s.more = same_for_all;
    load(&l, &s);
    assert_int_equal(l.model->rope_pairs, 4);
    unload(&l);
    s.more = another_in_the_second;
    expect_refusal(&s, "rope.dimension_count = 1");
    s.layers = 3;
    expect_refusal(&s, "rope.dimension_count");
}

static void one_factor(struct gguf_make *m, const struct model_make *s)
{
    model_make_vector(m, "rope_freqs.weight", s->head / 2, 1);
}

static void no_scale_of_logits(struct gguf_make *m, const struct model_make *s)
{
    model_make_say_real(m, s, "residual_scale", 0.22f);
}

static void logits_by_nothing(struct gguf_make *m, const struct model_make *s)
{
    model_make_say_real(m, s, "logit_scale", 0.0f);
}

static void sum_to_one(struct gguf_make *m, const struct model_make *s)
{
    (void)s;
    gguf_make_raw(m, "qwen2moe.expert_weights_norm", GGUF_FLAG, "\1", 1);
}

static void state_space(struct gguf_make *m, const struct model_make *s)
{
    model_make_say_real(m, s, "logit_scale", 6.0f);
    model_make_vector(m, "blk.1.ssm_a", 8, 0);
}

static void gate_too(struct gguf_make *m, const struct model_make *s)
{
    model_make_vector(m, "blk.0.ffn_gate.bias", s->mix, 0);
}

static void norm_behind(struct gguf_make *m, const struct model_make *s)
{
    model_make_vector(m, "blk.0.ffn_norm.weight", s->embed, 1);
}

static void weighed_otherwise(struct gguf_make *m, const struct model_make *s)
{
    model_make_say(m, s, "expert_gating_func", 4);
}

static void sink(struct gguf_make *m, const struct model_make *s)
{
    model_make_vector(m, "blk.1.attn_sinks.weight", s->heads, 1);
}

static void groups(struct gguf_make *m, const struct model_make *s)
{
    model_make_say(m, s, "expert_group_count", 8);
}

static void every_second(struct gguf_make *m, const struct model_make *s)
{
    model_make_say(m, s, "interleave_moe_layer_step", 2);
}

static void square_roots(struct gguf_make *m, const struct model_make *s)
{
    model_make_say(m, s, "expert_gating_func", 4);
}

static void guesses(struct gguf_make *m, const struct model_make *s)
{
    model_make_say(m, s, "nextn_predict_layers", 1);
}

static void sections(struct gguf_make *m, const struct model_make *s)
{
    model_make_say(m, s, "rope.dimension_sections", 8);
}

static void nothing_more(struct gguf_make *m, const struct model_make *s)
{
    (void)m;
    (void)s;
}

static void a_norm_too_many(struct gguf_make *m, const struct model_make *s)
{
    model_make_say_real(m, s, "logit_scale", 0.5f);
    model_make_vector(m, "blk.0.ffn_norm.weight", s->embed, 1);
}

/* The same of the later ones. */
static void strangers_of_later_architectures(void **state)
{
    (void)state;
    static const struct {
        const char *label;
        void (*more)(struct gguf_make *m, const struct model_make *s);
        const char *word;
    } cases[] = {
        {"glm4moe", groups, "expert_group_count"},
        {"dots1", square_roots, "expert_gating_func"},
        {"ernie4_5-moe", every_second, "interleave"},
        {"ernie4_5-moe", groups, "expert_group_count"},
        {"dots1", guesses, "nextn_predict_layers"},
        {"glm4", sections, "rope.dimension_sections"},
        {"cohere2", nothing_more, "cohere2.logit_scale"},
        {"cohere2", a_norm_too_many, "blk.0.ffn_norm.weight"},
        {"command-r", a_norm_too_many, "blk.0.ffn_norm.weight"},
        {"hunyuan-moe", square_roots, "expert_gating_func"},
        {"minimax-m2", groups, "expert_group_count"},
        {"deepseek", groups, "expert_group_count"},
        {"deepseek", guesses, "nextn_predict_layers"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct model_make s = *shape_of(cases[i].label);
        s.more = cases[i].more;
        expect_refusal(&s, cases[i].word);
    }
    struct model_make s = *shape_of("ernie4_5");
    s.biases = true;
    expect_refusal(&s, ".bias");
    s = *shape_of("hunyuan-dense");
    s.architecture = "qwen3";
    s.more = guesses;
    expect_refusal(&s, "nextn_predict_layers");
}

static void tempered(struct gguf_make *m, const struct model_make *s)
{
    shape_of("mistral3")->more(m, s);
    model_make_say_real(m, s, "attention.temperature_scale", 0.1f);
}

static void four_sections(struct gguf_make *m, const struct model_make *s)
{
    uint8_t list[12 + 16] = {GGUF_I32, 0, 0, 0, 4};
    char room[96];
    list[24] = 2; /* the fourth */
    snprintf(room, sizeof room, "%s.rope.dimension_sections", s->architecture);
    gguf_make_raw(m, room, GGUF_ARRAY, list, sizeof list);
}

/* Where scores would be scaled, or pairs go by what a text has none of. */
static void what_a_text_or_a_context_rules_out(void **state)
{
    (void)state;
    struct model_make s = *shape_of("mistral3");
    struct loaded l;
    load(&l, &s);
    assert_int_equal(l.model->context, MODEL_MAKE_CONTEXT);
    assert_true(l.model->rope[MODEL_ROPE].yarn && l.model->rope[MODEL_ROPE].magnitude == 1.0);
    unload(&l);
    s.more = tempered;
    load(&l, &s);
    assert_int_equal(l.model->context, 64); /* the original one */
    unload(&l);
    s = *shape_of("arcee"); /* says yarn, and no multiplier */
    load(&l, &s);
    assert_true(l.model->rope[MODEL_ROPE].magnitude > 1.1);
    unload(&l);
    s = *shape_of("qwen3vl");
    s.more = four_sections;
    expect_refusal(&s, "rope.dimension_sections");
    s.architecture = "qwen3";
    expect_refusal(&s, "rope.dimension_sections");
}

static void strangers_are_named(void **state)
{
    (void)state;
    struct model_make s = *shape_of("llama");
    s.more = no_head_norms;
    expect_refusal(&s, "blk.0.attn_q_norm.weight");
    s = *shape_of("qwen3");
    s.biases = true; /* it has none */
    expect_refusal(&s, ".bias");
    s = *shape_of("gemma2");
    s.more = tiny_cap;
    expect_refusal(&s, "cap");
    s = *shape_of("bert");
    s.more = causal_encoder;
    expect_refusal(&s, "attn_factor");
    s = *shape_of("qwen2");
    s.more = model_make_window; /* its layers have none */
    expect_refusal(&s, "sliding_window");
    s = *shape_of("qwen3moe");
    s.experts = 0;
    expect_refusal(&s, "expert_count");
    s = *shape_of("qwen3moe");
    s.more = no_norm_of_experts;
    expect_refusal(&s, "expert_weights_norm");
    s.more = other_gate_of_experts;
    expect_refusal(&s, "expert_gating_func");
    s = *shape_of("gemma3");
    s.more = period_of_one;
    expect_refusal(&s, "sliding_window_pattern");
    s = *shape_of("phi3");
    s.head = 20; /* 4 x 20 rows of queries and keys are whole tiles, 3 x 20 are not */
    s.heads = s.heads_kv = 3;
    expect_refusal(&s, "row 60");
    s = *shape_of("olmo2");
    s.more = norm_before;
    expect_refusal(&s, "blk.0.attn_norm.weight");
    s = *shape_of("qwen2moe");
    s.more = sum_to_one;
    expect_refusal(&s, "expert_weights_norm");
    s = *shape_of("starcoder2");
    s.more = gate_too;
    expect_refusal(&s, "blk.0.ffn_gate.bias");
    s.more = model_make_window;
    expect_refusal(&s, "sliding_window");
    s = *shape_of("smollm3");
    s.more = one_factor;
    expect_refusal(&s, "rope_freqs.weight");
    s = *shape_of("granite");
    s.more = state_space;
    expect_refusal(&s, "blk.1.ssm_a");
    s.more = no_scale_of_logits;
    expect_refusal(&s, "granite.logit_scale");
    s.more = logits_by_nothing;
    expect_refusal(&s, "granite.logit_scale");
    s = *shape_of("gpt-oss");
    s.more = norm_behind;
    expect_refusal(&s, "blk.0.ffn_norm.weight");
    s.more = weighed_otherwise;
    expect_refusal(&s, "expert_gating_func");
    s = *shape_of("llama");
    s.more = sink;
    expect_refusal(&s, "blk.1.attn_sinks.weight");
    s = *shape_of("llama");
    s.architecture = "mamba";
    expect_refusal(&s, "\"mamba\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_changes_nothing_is_taken),
        cmocka_unit_test(a_list_names_the_windows),
        cmocka_unit_test(numbers_by_layer),
        cmocka_unit_test(what_a_text_or_a_context_rules_out),
        cmocka_unit_test(strangers_are_named),
        cmocka_unit_test(strangers_of_later_architectures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
