/* The list of small models, and what is special to each. */
#include "tests/model_make_in.h"

#include <stdio.h>

void model_make_window(struct gguf_make *m, const struct model_make *s)
{
    model_make_say(m, s, "attention.sliding_window", 70);
}

static void adapted(struct gguf_make *m, const struct model_make *s)
{
    (void)m;
    (void)s;
    model_make_low_rank(5);
}

/* Of more rows than go together. */
static void adapted_widely(struct gguf_make *m, const struct model_make *s)
{
    (void)m;
    (void)s;
    model_make_low_rank(40);
}

static void scaling(struct gguf_make *m, const struct model_make *s, const char *type)
{
    char room[96];
    snprintf(room, sizeof room, "%s.rope.scaling.type", s->architecture);
    gguf_make_text(m, room, type);
    model_make_say_real(m, s, "rope.scaling.factor", 4.0f);
    model_make_say(m, s, "rope.scaling.original_context_length", 64);
}

static void linear(struct gguf_make *m, const struct model_make *s)
{
    scaling(m, s, "linear");
}

static void yarn(struct gguf_make *m, const struct model_make *s)
{
    scaling(m, s, "yarn");
}

static void window_and_yarn(struct gguf_make *m, const struct model_make *s)
{
    model_make_window(m, s);
    yarn(m, s);
}

/* As files have it: a flag for each layer. */
static void window_by_layer(struct gguf_make *m, const struct model_make *s)
{
    uint8_t list[12 + 4] = {GGUF_FLAG, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 1};
    char room[96];
    CHECK(s->layers == 4);
    snprintf(room, sizeof room, "%s.attention.sliding_window_pattern", s->architecture);
    gguf_make_raw(m, room, GGUF_ARRAY, list, sizeof list);
    model_make_window(m, s);
    scaling(m, s, "yarn");
}

static void scales(struct gguf_make *m, const struct model_make *s)
{
    model_make_say_real(m, s, "embedding_scale", 12.0f);
    model_make_say_real(m, s, "residual_scale", 0.22f);
    model_make_say_real(m, s, "attention.scale", 0.0625f);
    model_make_say_real(m, s, "logit_scale", 8.0f);
}

/* Granite 4 without experts or state spaces says the numbers of both. */
static void scales_only(struct gguf_make *m, const struct model_make *s)
{
    model_make_say_real(m, s, "logit_scale", 6.0f);
    model_make_say(m, s, "expert_shared_feed_forward_length", s->mix);
    model_make_say(m, s, "expert_count", 0);
    model_make_say(m, s, "expert_used_count", 0);
    model_make_say(m, s, "ssm.conv_kernel", 4);
    model_make_say(m, s, "ssm.state_size", 128);
    model_make_say(m, s, "ssm.group_count", 1);
    model_make_say(m, s, "ssm.inner_size", 128);
    model_make_say(m, s, "ssm.time_step_rank", 8);
}

static void scales_still(struct gguf_make *m, const struct model_make *s)
{
    scales(m, s);
    char room[96];
    snprintf(room, sizeof room, "%s.rope.scaling.finetuned", s->architecture);
    gguf_make_raw(m, room, GGUF_FLAG, "", 1);
}

static void logits_by_half(struct gguf_make *m, const struct model_make *s)
{
    model_make_say_real(m, s, "logit_scale", 0.5f);
}

static void window_and_half(struct gguf_make *m, const struct model_make *s)
{
    model_make_window(m, s);
    logits_by_half(m, s);
}

/* Of each head only so many are turned. */
static void partly_rotated(struct gguf_make *m, const struct model_make *s)
{
    model_make_say(m, s, "rope.dimension_count", s->head / 2);
}

/* As files have it: sigmoids that sum to one, and a scale. */
static void weighed(struct gguf_make *m, const struct model_make *s)
{
    char room[96];
    snprintf(room, sizeof room, "%s.expert_weights_norm", s->architecture);
    gguf_make_raw(m, room, GGUF_FLAG, "\1", 1);
    model_make_say_real(m, s, "expert_weights_scale", 2.5f);
    model_make_say(m, s, "expert_gating_func", 2);
    model_make_say(m, s, "expert_group_count", 1);
    model_make_say(m, s, "expert_group_used_count", 1);
}

static void weighed_partly_rotated(struct gguf_make *m, const struct model_make *s)
{
    weighed(m, s);
    partly_rotated(m, s);
}

/* From the best groups, as DeepSeek V3 has it. */
static void by_groups(struct gguf_make *m, const struct model_make *s)
{
    char room[96];
    snprintf(room, sizeof room, "%s.expert_weights_norm", s->architecture);
    gguf_make_raw(m, room, GGUF_FLAG, "\1", 1);
    model_make_say_real(m, s, "expert_weights_scale", 2.5f);
    model_make_say(m, s, "expert_group_count", 4);
    model_make_say(m, s, "expert_group_used_count", 2);
}

static void by_groups_and_yarn(struct gguf_make *m, const struct model_make *s)
{
    by_groups(m, s);
    scaling(m, s, "yarn");
    model_make_say_real(m, s, "rope.scaling.yarn_log_multiplier", 0.1f);
}

/* ... and as V2 has it. */
static void by_groups_of_a_softmax(struct gguf_make *m, const struct model_make *s)
{
    model_make_say(m, s, "expert_gating_func", 1);
    model_make_say(m, s, "expert_group_count", 3);
    model_make_say(m, s, "expert_group_used_count", 1);
}

static void by_groups_partly_rotated(struct gguf_make *m, const struct model_make *s)
{
    by_groups(m, s);
    partly_rotated(m, s);
}

static void window_and_weighed(struct gguf_make *m, const struct model_make *s)
{
    model_make_window(m, s);
    weighed(m, s);
}

/* A softmax whose chosen parts do not sum to one. */
static void parts_by_softmax(struct gguf_make *m, const struct model_make *s)
{
    model_make_say(m, s, "expert_gating_func", 1);
}

/* Of a text all go by its positions. */
static void sections(struct gguf_make *m, const struct model_make *s)
{
    uint8_t list[12 + 16] = {GGUF_I32, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 4};
    char room[96];
    snprintf(room, sizeof room, "%s.rope.dimension_sections", s->architecture);
    gguf_make_raw(m, room, GGUF_ARRAY, list, sizeof list);
    model_make_say(m, s, "n_deepstack_layers", 2);
}

/* As Ministral 3 says it; the test's context is the original one. */
static void tempered(struct gguf_make *m, const struct model_make *s)
{
    scaling(m, s, "yarn");
    model_make_say_real(m, s, "rope.scaling.yarn_log_multiplier", 1.0f);
}

static void add_factors(struct gguf_make *m, const char *name, uint32_t n, float most)
{
    float f[128];
    for (uint32_t i = 0; i < n; i++)
        f[i] = 1.0f + (most - 1.0f) * (float)i / (float)n;
    gguf_make_tensor(m, name, n, 1, GGUF_TENSOR_F32, bytes_of(f, n * sizeof *f));
}

static void one_set_of_factors(struct gguf_make *m, const struct model_make *s)
{
    add_factors(m, "rope_freqs.weight", s->head / 2, 8);
}

/* As files say that of each head only the first pairs are turned. */
static void divided_frequencies(struct gguf_make *m, const struct model_make *s)
{
    float f[64];
    CHECK(s->head / 2 <= 64);
    for (uint32_t i = 0; i < s->head / 2; i++)
        f[i] = i < s->head / 8 ? 1.0f : 1e30f;
    gguf_make_tensor(m, "rope_freqs.weight", s->head / 2, 1, GGUF_TENSOR_F32, bytes_of(f, s->head / 2 * sizeof *f));
}

static void long_and_short(struct gguf_make *m, const struct model_make *s)
{
    model_make_say(m, s, "rope.scaling.original_context_length", 100);
    model_make_say_real(m, s, "rope.scaling.attn_factor", 1.2f);
    model_make_say(m, s, "rope.dimension_count", s->head / 2);
    add_factors(m, "rope_factors_short.weight", s->head / 4, 1.5f);
    add_factors(m, "rope_factors_long.weight", s->head / 4, 6.0f);
}

/*   label               architecture          type             embed lay heads kv head  mix  experts used shared biases
 * tied more
 */
static const struct model_make shapes[] = {
    {"llama", "llama", GGUF_TENSOR_F32, 64, 2, 4, 2, 16, 96, 0, 0, 0, false, false, NULL},
    {"llama, heads of 24", "llama", GGUF_TENSOR_Q8_0, 96, 2, 4, 4, 24, 128, 0, 0, 0, false, false, NULL},
    {"llama, heads of 8, biases", "llama", GGUF_TENSOR_F16, 64, 2, 8, 2, 8, 96, 0, 0, 0, true, false, NULL},
    {"llama, divided frequencies", "llama", GGUF_TENSOR_Q4_0, 64, 2, 2, 1, 32, 96, 0, 0, 0, false, true,
     one_set_of_factors},
    {"llama, window", "llama", GGUF_TENSOR_Q8_0, 64, 2, 4, 2, 16, 96, 0, 0, 0, false, false, model_make_window},
    {"llama, linear", "llama", GGUF_TENSOR_Q8_0, 64, 2, 4, 2, 16, 96, 0, 0, 0, false, false, linear},
    {"llama, experts", "llama", GGUF_TENSOR_Q8_0, 64, 2, 4, 2, 16, 96, 6, 2, 0, false, false, NULL},
    {"llama, experts, blocks of 256", "llama", GGUF_TENSOR_Q4_K, 256, 2, 4, 2, 64, 256, 4, 2, 0, false, false, NULL},
    {"qwen2", "qwen2", GGUF_TENSOR_Q8_0, 64, 2, 4, 2, 16, 96, 0, 0, 0, true, true, NULL},
    {"qwen2, yarn", "qwen2", GGUF_TENSOR_F32, 64, 2, 4, 2, 16, 96, 0, 0, 0, true, true, yarn},
    {"qwen2moe", "qwen2moe", GGUF_TENSOR_Q8_0, 64, 2, 4, 2, 16, 32, 8, 3, 96, true, false, NULL},
    {"qwen2moe, blocks of 256", "qwen2moe", GGUF_TENSOR_Q4_K, 256, 2, 4, 4, 64, 256, 20, 2, 512, false, false, NULL},
    {"qwen3", "qwen3", GGUF_TENSOR_Q8_0, 64, 2, 4, 2, 40, 96, 0, 0, 0, false, true, NULL},
    {"qwen3moe", "qwen3moe", GGUF_TENSOR_Q8_0, 64, 2, 4, 2, 24, 32, 8, 3, 0, false, false, NULL},
    {"gemma", "gemma", GGUF_TENSOR_Q8_0, 64, 2, 4, 1, 24, 96, 0, 0, 0, false, true, NULL},
    {"gemma2", "gemma2", GGUF_TENSOR_Q8_0, 64, 4, 4, 2, 24, 96, 0, 0, 0, false, true, model_make_window},
    {"gemma3", "gemma3", GGUF_TENSOR_Q6_K, 256, 6, 2, 1, 80, 256, 0, 0, 0, false, true, model_make_window},
    {"gemma4", "gemma4", GGUF_TENSOR_Q8_0, 64, 6, 4, 2, 32, 96, 0, 0, 32, false, true, NULL},
    {"gemma4, heads longer with a window", "gemma4", GGUF_TENSOR_F32, 64, 4, 4, 2, 24, 96, 0, 0, 16, false, true,
     divided_frequencies},
    {"gemma4, no second embedding", "gemma4", GGUF_TENSOR_Q4_K, 256, 4, 4, 4, 64, 256, 0, 0, 0, false, false, NULL},
    {"gemma4, experts", "gemma4", GGUF_TENSOR_Q8_0, 64, 3, 4, 2, 48, 32, 6, 2, 0, false, true, NULL},
    {"gemma4, experts, floats", "gemma4", GGUF_TENSOR_F32, 64, 4, 4, 4, 16, 32, 5, 3, 0, false, true, NULL},
    {"phi3", "phi3", GGUF_TENSOR_Q8_0, 96, 2, 4, 4, 24, 96, 0, 0, 0, false, false, NULL},
    {"phi3, factors", "phi3", GGUF_TENSOR_Q4_0, 128, 2, 4, 2, 32, 96, 0, 0, 0, false, true, long_and_short},
    {"olmo2", "olmo2", GGUF_TENSOR_Q8_0, 64, 2, 4, 2, 24, 96, 0, 0, 0, false, false, NULL},
    {"olmo2, floats, a head of keys for each", "olmo2", GGUF_TENSOR_F32, 64, 2, 4, 4, 16, 96, 0, 0, 0, false, true,
     NULL},
    {"olmo2, windows by layer, yarn", "olmo2", GGUF_TENSOR_Q4_K, 256, 4, 4, 2, 64, 256, 0, 0, 0, false, false,
     window_by_layer},
    {"granite", "granite", GGUF_TENSOR_Q8_0, 64, 2, 4, 2, 16, 96, 0, 0, 0, false, true, scales},
    {"granite, biases", "granite", GGUF_TENSOR_F32, 64, 2, 4, 2, 16, 96, 0, 0, 0, true, false, scales_only},
    {"granite, not rotated", "granite", GGUF_TENSOR_Q8_0, 64, 2, 4, 1, 24, 96, 0, 0, 0, false, true, scales_still},
    {"granitemoe", "granitemoe", GGUF_TENSOR_Q8_0, 64, 2, 4, 2, 16, 64, 6, 2, 0, false, true, scales},
    {"granitemoe, a shared expert", "granitemoe", GGUF_TENSOR_Q4_K, 256, 2, 4, 2, 64, 256, 5, 3, 512, false, false,
     scales},
    {"smollm3", "smollm3", GGUF_TENSOR_Q8_0, 64, 5, 4, 2, 24, 96, 0, 0, 0, false, true, NULL},
    {"smollm3, yarn", "smollm3", GGUF_TENSOR_F32, 64, 4, 4, 1, 16, 96, 0, 0, 0, false, true, yarn},
    {"exaone", "exaone", GGUF_TENSOR_Q8_0, 64, 2, 4, 2, 16, 96, 0, 0, 0, false, false, one_set_of_factors},
    {"starcoder2", "starcoder2", GGUF_TENSOR_Q8_0, 64, 2, 4, 2, 24, 160, 0, 0, 0, true, true, NULL},
    {"starcoder2, floats", "starcoder2", GGUF_TENSOR_F32, 64, 2, 4, 1, 16, 96, 0, 0, 0, true, false, NULL},
    {"starcoder2, blocks of 256", "starcoder2", GGUF_TENSOR_Q4_K, 256, 2, 4, 4, 64, 512, 0, 0, 0, true, false, linear},
    {"gpt-oss", "gpt-oss", GGUF_TENSOR_Q8_0, 64, 3, 4, 2, 16, 96, 8, 4, 0, true, false, model_make_window},
    {"gpt-oss, heads of 64, yarn", "gpt-oss", GGUF_TENSOR_MXFP4, 128, 2, 8, 1, 64, 64, 6, 2, 0, true, false,
     window_and_yarn},
    {"gpt-oss, floats, a head of keys for each", "gpt-oss", GGUF_TENSOR_F32, 64, 2, 4, 4, 24, 48, 5, 3, 0, true, true,
     NULL},
    {"gpt-oss, blocks of 256", "gpt-oss", GGUF_TENSOR_Q4_K, 256, 2, 4, 2, 128, 256, 34, 4, 0, true, false,
     model_make_window},
    {"seed_oss", "seed_oss", GGUF_TENSOR_Q8_0, 64, 2, 4, 2, 24, 96, 0, 0, 0, true, false, NULL},
    {"ernie4_5", "ernie4_5", GGUF_TENSOR_Q8_0, 64, 2, 4, 2, 24, 96, 0, 0, 0, false, true, NULL},
    {"hunyuan-dense", "hunyuan-dense", GGUF_TENSOR_Q8_0, 64, 2, 4, 2, 40, 96, 0, 0, 0, false, true, NULL},
    {"hunyuan-dense, blocks of 256", "hunyuan-dense", GGUF_TENSOR_Q4_K, 256, 2, 4, 2, 128, 256, 0, 0, 0, false, true,
     NULL},
    {"glm4", "glm4", GGUF_TENSOR_Q8_0, 64, 2, 4, 2, 24, 96, 0, 0, 0, true, false, partly_rotated},
    {"glm4, blocks of 256", "glm4", GGUF_TENSOR_Q4_K, 256, 2, 4, 2, 64, 256, 0, 0, 0, false, false, partly_rotated},
    {"exaone4", "exaone4", GGUF_TENSOR_Q8_0, 64, 2, 4, 2, 24, 96, 0, 0, 0, false, true, one_set_of_factors},
    {"exaone4, windows", "exaone4", GGUF_TENSOR_Q8_0, 64, 5, 4, 2, 24, 96, 0, 0, 0, false, false, model_make_window},
    {"command-r", "command-r", GGUF_TENSOR_Q8_0, 64, 2, 4, 2, 16, 96, 0, 0, 0, false, true, logits_by_half},
    {"command-r, norms of heads", "command-r", GGUF_TENSOR_Q8_0, 64, 2, 4, 4, 24, 96, 0, 0, 0, false, true,
     logits_by_half},
    {"cohere2", "cohere2", GGUF_TENSOR_Q8_0, 64, 5, 4, 1, 16, 96, 0, 0, 0, false, true, window_and_half},
    {"cohere2, floats", "cohere2", GGUF_TENSOR_F32, 64, 4, 4, 4, 16, 96, 0, 0, 0, false, true, window_and_half},
    {"cohere2, blocks of 256", "cohere2", GGUF_TENSOR_Q4_K, 256, 2, 4, 2, 64, 256, 0, 0, 0, false, true,
     window_and_half},
    {"nemotron", "nemotron", GGUF_TENSOR_Q8_0, 64, 2, 4, 2, 24, 160, 0, 0, 0, false, false, partly_rotated},
    {"nemotron, floats, biases", "nemotron", GGUF_TENSOR_F32, 64, 2, 4, 1, 16, 96, 0, 0, 0, true, false, linear},
    {"arcee", "arcee", GGUF_TENSOR_Q8_0, 64, 2, 4, 2, 16, 160, 0, 0, 0, false, false, yarn},
    {"arcee, blocks of 256", "arcee", GGUF_TENSOR_Q4_K, 256, 2, 4, 4, 64, 512, 0, 0, 0, false, true,
     one_set_of_factors},
    {"ernie4_5-moe", "ernie4_5-moe", GGUF_TENSOR_Q8_0, 64, 3, 4, 2, 24, 96, 8, 3, 64, false, true, NULL},
    {"ernie4_5-moe, more experts than lanes", "ernie4_5-moe", GGUF_TENSOR_Q8_0, 64, 2, 4, 2, 16, 32, 35, 6, 32, false,
     true, NULL},
    {"glm4moe", "glm4moe", GGUF_TENSOR_Q8_0, 64, 3, 4, 2, 24, 32, 8, 3, 32, true, false, weighed_partly_rotated},
    {"glm4moe, blocks of 256", "glm4moe", GGUF_TENSOR_Q4_K, 256, 2, 4, 2, 64, 256, 6, 3, 256, false, false,
     weighed_partly_rotated},
    {"dots1", "dots1", GGUF_TENSOR_Q8_0, 64, 3, 4, 4, 24, 32, 8, 3, 64, false, false, weighed},
    {"dots1, weights that do not sum to one", "dots1", GGUF_TENSOR_F32, 64, 2, 4, 4, 16, 32, 8, 3, 32, false, false,
     NULL},
    {"dots1, parts of a softmax", "dots1", GGUF_TENSOR_Q8_0, 64, 2, 4, 4, 16, 32, 8, 3, 32, false, false,
     parts_by_softmax},
    {"hunyuan-moe", "hunyuan-moe", GGUF_TENSOR_Q8_0, 64, 2, 4, 2, 24, 64, 6, 2, 96, false, true, NULL},
    {"olmoe", "olmoe", GGUF_TENSOR_Q8_0, 64, 2, 4, 4, 16, 64, 8, 3, 0, false, false, NULL},
    {"qwen2vl", "qwen2vl", GGUF_TENSOR_Q8_0, 64, 2, 4, 2, 16, 96, 0, 0, 0, true, true, sections},
    {"qwen3vl", "qwen3vl", GGUF_TENSOR_Q8_0, 64, 2, 4, 2, 40, 96, 0, 0, 0, false, true, sections},
    {"qwen3vlmoe", "qwen3vlmoe", GGUF_TENSOR_Q8_0, 64, 2, 4, 2, 24, 32, 8, 3, 0, false, false, sections},
    {"mistral3", "mistral3", GGUF_TENSOR_Q8_0, 64, 2, 4, 2, 24, 96, 0, 0, 0, false, true, tempered},
    {"internlm2", "internlm2", GGUF_TENSOR_Q8_0, 64, 2, 4, 2, 16, 96, 0, 0, 0, false, false, NULL},
    {"chatglm", "chatglm", GGUF_TENSOR_Q8_0, 64, 2, 4, 2, 24, 96, 0, 0, 0, true, false, partly_rotated},
    {"minicpm", "minicpm", GGUF_TENSOR_Q8_0, 64, 2, 4, 4, 16, 96, 0, 0, 0, false, true, scales},
    {"bailingmoe", "bailingmoe", GGUF_TENSOR_Q8_0, 64, 2, 4, 2, 16, 32, 8, 3, 64, false, false, parts_by_softmax},
    {"qwen3next", "qwen3next", GGUF_TENSOR_Q8_0, 64, 4, 4, 2, 24, 32, 8, 3, 32, false, false, NULL},
    {"qwen35", "qwen35", GGUF_TENSOR_F32, 64, 4, 4, 2, 16, 96, 0, 0, 0, false, true, NULL},
    {"qwen35, a state last", "qwen35", GGUF_TENSOR_Q8_0, 64, 5, 6, 1, 16, 96, 0, 0, 0, false, true, NULL},
    {"qwen35, blocks of 256", "qwen35", GGUF_TENSOR_Q4_K, 256, 2, 16, 4, 32, 256, 0, 0, 0, false, true, NULL},
    {"qwen35moe", "qwen35moe", GGUF_TENSOR_Q8_0, 64, 2, 4, 2, 16, 32, 8, 3, 32, false, false, NULL},
    {"granitehybrid", "granitehybrid", GGUF_TENSOR_Q8_0, 64, 4, 4, 2, 16, 96, 0, 0, 0, false, true, scales_still},
    {"granitehybrid, floats", "granitehybrid", GGUF_TENSOR_F32, 64, 3, 4, 1, 16, 96, 0, 0, 0, true, false, scales},
    {"granitehybrid, experts, rotated", "granitehybrid", GGUF_TENSOR_Q8_0, 64, 3, 4, 2, 16, 64, 6, 2, 96, false, true,
     scales},
    {"granitehybrid, blocks of 256", "granitehybrid", GGUF_TENSOR_Q4_K, 256, 3, 16, 4, 32, 256, 0, 0, 0, false, true,
     scales_still},
    {"falcon-h1", "falcon-h1", GGUF_TENSOR_Q8_0, 64, 2, 4, 2, 24, 96, 0, 0, 0, false, false, NULL},
    {"falcon-h1, norms, floats", "falcon-h1", GGUF_TENSOR_F32, 64, 2, 6, 1, 16, 96, 0, 0, 0, false, true, NULL},
    {"nemotron_h", "nemotron_h", GGUF_TENSOR_Q8_0, 64, 5, 4, 2, 24, 96, 0, 0, 0, true, false, NULL},
    {"nemotron_h, floats, attention last", "nemotron_h", GGUF_TENSOR_F32, 64, 3, 4, 1, 16, 96, 0, 0, 0, false, true,
     NULL},
    {"nemotron_h_moe", "nemotron_h_moe", GGUF_TENSOR_Q8_0, 64, 4, 4, 2, 16, 32, 8, 3, 64, false, false, weighed},
    {"lfm2", "lfm2", GGUF_TENSOR_Q8_0, 64, 4, 4, 2, 16, 96, 0, 0, 0, false, true, NULL},
    {"lfm2, floats, attention last", "lfm2", GGUF_TENSOR_F32, 64, 3, 4, 1, 16, 96, 0, 0, 0, false, false, NULL},
    {"lfm2, blocks of 256", "lfm2", GGUF_TENSOR_Q4_K, 256, 4, 4, 2, 64, 256, 0, 0, 0, false, true, NULL},
    {"lfm2moe", "lfm2moe", GGUF_TENSOR_Q8_0, 64, 4, 4, 2, 16, 32, 8, 3, 0, false, true, NULL},
    {"deepseek2", "deepseek2", GGUF_TENSOR_Q8_0, 64, 3, 4, 1, 48, 32, 16, 3, 64, false, false, by_groups},
    {"deepseek2, yarn, more heads than go together", "deepseek2", GGUF_TENSOR_F32, 64, 2, 11, 1, 48, 32, 16, 4, 32,
     false, true, by_groups_and_yarn},
    {"deepseek2, blocks of 256", "deepseek2", GGUF_TENSOR_Q4_K, 256, 2, 4, 1, 96, 256, 16, 3, 256, false, false,
     by_groups},
    {"deepseek2, as older files", "deepseek2", GGUF_TENSOR_Q8_0, 64, 3, 4, 4, 48, 32, 9, 3, 64, false, false,
     by_groups_of_a_softmax},
    {"deepseek2, without experts", "deepseek2", GGUF_TENSOR_F16, 64, 2, 3, 1, 24, 96, 0, 0, 0, false, true, NULL},
    {"bailingmoe2", "bailingmoe2", GGUF_TENSOR_Q8_0, 64, 3, 4, 2, 32, 32, 16, 3, 64, false, false,
     by_groups_partly_rotated},
    {"minimax-m2", "minimax-m2", GGUF_TENSOR_Q8_0, 64, 2, 4, 2, 24, 32, 8, 3, 0, false, false, partly_rotated},
    {"minimax-m2, blocks of 256", "minimax-m2", GGUF_TENSOR_Q4_K, 256, 2, 4, 2, 64, 256, 6, 3, 0, false, false,
     partly_rotated},
    {"deepseek", "deepseek", GGUF_TENSOR_Q8_0, 64, 3, 4, 4, 16, 32, 8, 3, 64, false, false, NULL},
    {"exaone-moe", "exaone-moe", GGUF_TENSOR_Q8_0, 64, 5, 4, 2, 24, 32, 8, 3, 64, false, true, window_and_weighed},
    {"llama, adapted", "llama", GGUF_TENSOR_Q8_0, 64, 2, 4, 2, 16, 96, 0, 0, 0, true, false, adapted},
    {"qwen3, adapted, blocks of 256", "qwen3", GGUF_TENSOR_Q4_K, 256, 2, 4, 2, 64, 512, 0, 0, 0, false, true,
     adapted_widely},
    {"phi3, adapted", "phi3", GGUF_TENSOR_Q8_0, 64, 2, 4, 2, 24, 96, 0, 0, 0, false, false, adapted},
    {"starcoder2, adapted", "starcoder2", GGUF_TENSOR_F32, 64, 2, 4, 2, 16, 96, 0, 0, 0, true, true, adapted_widely},
    {"qwen2moe, adapted", "qwen2moe", GGUF_TENSOR_Q8_0, 64, 2, 4, 2, 16, 32, 8, 3, 96, true, false, adapted},
    {"qwen35, adapted", "qwen35", GGUF_TENSOR_Q8_0, 64, 4, 4, 2, 16, 96, 0, 0, 0, false, true, adapted},
    {"lfm2, adapted", "lfm2", GGUF_TENSOR_Q8_0, 64, 4, 4, 2, 16, 96, 0, 0, 0, false, true, adapted},
    {"deepseek2, adapted", "deepseek2", GGUF_TENSOR_Q8_0, 64, 3, 4, 1, 48, 32, 0, 0, 0, false, false, adapted},
    {"bert", "bert", GGUF_TENSOR_Q8_0, 64, 2, 4, 4, 16, 96, 0, 0, 0, true, false, NULL},
    {"bert, adapted", "bert", GGUF_TENSOR_Q8_0, 64, 2, 4, 4, 16, 96, 0, 0, 0, true, false, adapted},
};

const struct model_make *model_make_at(size_t i)
{
    return i < sizeof shapes / sizeof *shapes ? &shapes[i] : NULL;
}
