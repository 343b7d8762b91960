/* Makes models for tests. */
#include "tests/model_make.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* -- making -- */

static uint64_t seed;

static uint32_t draw(uint32_t below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((seed >> 33) % below);
}

static float draw_float(float deviation)
{
    return ((float)draw(1u << 20) * 0x1p-19f - 1.0f) * 1.7320508f * deviation;
}

static void add_values(struct buf *b, size_t n, float mean, float deviation)
{
    for (size_t i = 0; i < n; i++) {
        float v = mean + draw_float(deviation);
        buf_add(b, &v, sizeof v);
    }
}

/* Random blocks whose binary16 scales, or weights, are small: any other bits will do. */
static void add_blocks(struct buf *b, const struct quant_format *f, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint8_t raw[256];
        size_t scale = quant_scale_at(f);
        uint32_t least = f->type == GGUF_TENSOR_BF16 ? 0x3B00 : f->block == 256 ? 0x0500 : 0x1800;
        for (size_t j = 0; j < f->bytes; j++)
            raw[j] = (uint8_t)draw(256);
        if (f->has_exponent)
            raw[scale] = (uint8_t)(122 + draw(3));
        for (size_t j = 0; !f->has_exponent && j < (f->has_min ? 2 : 1); j++)
            store_le16(raw + scale + 2 * j, (uint16_t)(least + draw(f->block == 256 ? 64 : 256)));
        buf_add(b, raw, f->bytes);
    }
}

static void add_matrices(struct gguf_make *m, const struct model_make *s, const char *name, size_t n, size_t rows,
                         size_t count, float gain)
{
    struct buf data = {0};
    const struct quant_format *f = quant_format(s->type);
    enum gguf_tensor_type type = n % f->block ? GGUF_TENSOR_F32 : s->type;
    if (type == GGUF_TENSOR_F32)
        add_values(&data, n * rows * count, 0, gain / sqrtf((float)n));
    else
        add_blocks(&data, f, n / f->block * rows * count);
    gguf_make_tensors(m, name, n, rows, count, type, bytes_of_buf(&data));
    buf_clear(&data);
}

void model_make_vector(struct gguf_make *m, const char *name, size_t n, float mean)
{
    struct buf data = {0};
    add_values(&data, n, mean, 0.2f);
    gguf_make_tensor(m, name, n, 1, GGUF_TENSOR_F32, bytes_of_buf(&data));
    buf_clear(&data);
}

static const char *in_layer(uint32_t i, const char *name, const char *end)
{
    static char room[96];
    snprintf(room, sizeof room, "blk.%u.%s.%s", i, name, end);
    return room;
}

static bool is(const struct model_make *s, const char *architecture)
{
    return strcmp(s->architecture, architecture) == 0;
}

/* One of several, each with a space behind. */
static bool is_of(const struct model_make *s, const char *architectures)
{
    const size_t n = strlen(s->architecture);
    for (const char *at = architectures; (at = strstr(at, s->architecture)); at++)
        if ((at == architectures || at[-1] == ' ') && at[n] == ' ')
            return true;
    return false;
}

/* Its layers differ: every second one sees all positions, the others have a window and heads half as long, or of floats
 * twice as long, of which half is turned. Without experts the last two read the keys of two before them, rows between
 * gate and down are longer there, and `shared` is the length of a layer's part of the second embedding. */
static bool has_layer_keys(const struct model_make *s)
{
    return is(s, "gemma4");
}

static bool is_wide(uint32_t i)
{
    return i % 2 == 1;
}

static uint32_t head_of(const struct model_make *s, uint32_t i)
{
    return is_wide(i) ? s->head : s->type == GGUF_TENSOR_F32 ? 2 * s->head : s->head / 2;
}

static uint32_t heads_kv_of(const struct model_make *s, uint32_t i)
{
    return is_wide(i) ? 1 : s->heads_kv;
}

static uint32_t sharing(const struct model_make *s)
{
    return s->experts ? 0 : 2;
}

static uint32_t mix_of(const struct model_make *s, uint32_t i)
{
    return has_layer_keys(s) && i + sharing(s) >= s->layers ? 2 * s->mix : s->mix;
}

/* One tensor for gate and up. */
static bool is_fused(const struct model_make *s)
{
    return is_of(s, "phi3 glm4 chatglm ");
}

static bool is_cohere(const struct model_make *s)
{
    return is_of(s, "command-r cohere2 ");
}

static void add_product(struct gguf_make *m, const struct model_make *s, uint32_t i, const char *name, size_t n,
                        size_t rows)
{
    add_matrices(m, s, in_layer(i, name, "weight"), n, rows, 1, 1.5f);
    if (s->biases)
        model_make_vector(m, in_layer(i, name, "bias"), rows, 0);
}

static void add_norm(struct gguf_make *m, const struct model_make *s, uint32_t i, const char *name, size_t n)
{
    model_make_vector(m, in_layer(i, name, "weight"), n, 1);
    if (is_of(s, "bert starcoder2 nemotron "))
        model_make_vector(m, in_layer(i, name, "bias"), n, 0);
}

/* In gpt-oss they have biases, and as its files have it MXFP4 beside other blocks of 32. */
static void add_experts(struct gguf_make *m, const struct model_make *s, uint32_t i, const char *name, size_t n,
                        size_t rows)
{
    struct model_make own = *s;
    if (is(s, "gpt-oss") && s->type == GGUF_TENSOR_Q8_0)
        own.type = GGUF_TENSOR_MXFP4;
    add_matrices(m, &own, in_layer(i, name, "weight"), n, rows, s->experts, 1);
    if (!is(s, "gpt-oss"))
        return;
    struct buf data = {0};
    add_values(&data, rows * s->experts, 0, 0.2f);
    gguf_make_tensor(m, in_layer(i, name, "bias"), rows, s->experts, GGUF_TENSOR_F32, bytes_of_buf(&data));
    buf_clear(&data);
}

/* So many layers come before those with experts. */
static uint32_t leads(const struct model_make *s)
{
    return is_of(s, "ernie4_5-moe glm4moe dots1 deepseek2 bailingmoe2 deepseek exaone-moe lfm2moe ") ? 1 : 0;
}

/* Heads share a row that is as long as the stream, and a third of them is turned. Newer files count one head of keys
 * and values; the older kind is made as its models were: queries in one step, experts without preferences. */
static bool has_row(const struct model_make *s)
{
    return is(s, "deepseek2");
}

static bool shares_row(const struct model_make *s)
{
    return has_row(s) && s->heads_kv == 1;
}

static void add_mix(struct gguf_make *m, const struct model_make *s, uint32_t i)
{
    if (s->experts && i >= leads(s) && !has_layer_keys(s)) {
        struct model_make floats = *s;
        floats.type = GGUF_TENSOR_F32;
        add_matrices(m, &floats, in_layer(i, "ffn_gate_inp", "weight"), s->embed, s->experts, 1, 1);
        if (is(s, "gpt-oss"))
            model_make_vector(m, in_layer(i, "ffn_gate_inp", "bias"), s->experts, 0);
        if (is_of(s, "ernie4_5-moe glm4moe dots1 bailingmoe2 minimax-m2 exaone-moe lfm2moe ") || shares_row(s))
            model_make_vector(m, in_layer(i, "exp_probs_b", "bias"), s->experts, 0);
        add_experts(m, s, i, "ffn_gate_exps", s->embed, s->mix);
        add_experts(m, s, i, "ffn_up_exps", s->embed, s->mix);
        add_experts(m, s, i, "ffn_down_exps", s->mix, s->embed);
        if (s->shared) {
            add_product(m, s, i, "ffn_gate_shexp", s->embed, s->shared);
            add_product(m, s, i, "ffn_up_shexp", s->embed, s->shared);
            add_product(m, s, i, "ffn_down_shexp", s->shared, s->embed);
            if (is_of(s, "qwen2moe qwen3next qwen35moe "))
                add_matrices(m, &floats, in_layer(i, "ffn_gate_inp_shexp", "weight"), s->embed, 1, 1, 1);
        }
        return;
    }
    if (!is_fused(s) && !is_of(s, "bert starcoder2 nemotron arcee "))
        add_product(m, s, i, "ffn_gate", s->embed, mix_of(s, i));
    add_product(m, s, i, "ffn_up", s->embed, is_fused(s) ? 2 * s->mix : mix_of(s, i));
    add_product(m, s, i, "ffn_down", mix_of(s, i), s->embed);
}

/* Before and behind branches. */
static void add_norms(struct gguf_make *m, const struct model_make *s, uint32_t i)
{
    if (!is_of(s, "olmo2 exaone4 "))
        add_norm(m, s, i, is(s, "bert") ? "attn_output_norm" : "attn_norm", s->embed);
    if (is(s, "bert"))
        add_norm(m, s, i, "layer_output_norm", s->embed);
    else if (is_of(s, "gpt-oss seed_oss glm4moe qwen3next qwen35 qwen35moe "))
        add_norm(m, s, i, "post_attention_norm", s->embed);
    else if (!is_cohere(s) && !is_of(s, "olmo2 exaone4 "))
        add_norm(m, s, i, "ffn_norm", s->embed);
    if (is_of(s, "gemma2 gemma3 gemma4 olmo2 glm4 exaone4 ")) {
        add_norm(m, s, i, "post_attention_norm", s->embed);
        add_norm(m, s, i, "post_ffw_norm", s->embed);
    }
}

/* Of three layers the third has attention. */
static bool is_short_convolution(const struct model_make *s, uint32_t i)
{
    return is_of(s, "lfm2 lfm2moe ") && i % 3 != 2;
}

static void add_short_convolution(struct gguf_make *m, const struct model_make *s, uint32_t i)
{
    struct buf data = {0};
    add_product(m, s, i, "shortconv.in_proj", s->embed, 3 * s->embed);
    add_values(&data, 3 * s->embed, 0.1f, 0.5f);
    gguf_make_tensor(m, in_layer(i, "shortconv.conv", "weight"), 3, s->embed, GGUF_TENSOR_F32, bytes_of_buf(&data));
    buf_clear(&data);
    add_product(m, s, i, "shortconv.out_proj", s->embed, s->embed);
    add_norms(m, s, i);
    add_mix(m, s, i);
}

static bool has_delta_net(const struct model_make *s)
{
    return is_of(s, "qwen3next qwen35 qwen35moe ");
}

/* Of two layers the second has attention. */
static bool is_delta_net(const struct model_make *s, uint32_t i)
{
    return has_delta_net(s) && i < s->layers && i % 2 == 0;
}

/* Twice as many heads of values as of keys, of states of 16. */
static void add_delta_net(struct gguf_make *m, const struct model_make *s, uint32_t i)
{
    const size_t values = s->heads, inner = values * 16, channels = 2 * inner;
    struct buf data = {0};
    add_product(m, s, i, "attn_qkv", s->embed, channels);
    add_product(m, s, i, "attn_gate", s->embed, inner);
    add_values(&data, 4 * channels, 0.1f, 0.5f);
    gguf_make_tensor(m, in_layer(i, "ssm_conv1d", "weight"), 4, channels, GGUF_TENSOR_F32, bytes_of_buf(&data));
    buf_clear(&data);
    if (is(s, "qwen3next")) {
        add_product(m, s, i, "ssm_ba", s->embed, 2 * values);
    } else {
        add_product(m, s, i, "ssm_alpha", s->embed, values);
        add_product(m, s, i, "ssm_beta", s->embed, values);
    }
    model_make_vector(m, in_layer(i, "ssm_dt", "bias"), values, -1);
    add_values(&data, values, -0.5f, 0.1f);
    char room[96];
    snprintf(room, sizeof room, "blk.%u.ssm_a", i);
    gguf_make_tensor(m, room, values, 1, GGUF_TENSOR_F32, bytes_of_buf(&data));
    buf_clear(&data);
    add_norm(m, s, i, "ssm_norm", 16);
    add_product(m, s, i, "ssm_out", inner, s->embed);
    add_norms(m, s, i);
    add_mix(m, s, i);
}

static void say_delta_net(struct gguf_make *m, const struct model_make *s)
{
    model_make_say(m, s, "ssm.conv_kernel", 4);
    model_make_say(m, s, "ssm.state_size", 16);
    model_make_say(m, s, "ssm.group_count", s->heads / 2);
    model_make_say(m, s, "ssm.time_step_rank", s->heads);
    model_make_say(m, s, "ssm.inner_size", s->heads * 16);
    model_make_say(m, s, "full_attention_interval", 2);
    model_make_say(m, s, "rope.dimension_count", s->head / 2);
}

/* Layers without attention have none. */
static void say_heads_kv(struct gguf_make *m, const struct model_make *s)
{
    uint8_t list[12 + 4 * 16] = {GGUF_I32, 0, 0, 0, (uint8_t)s->layers};
    char room[96];
    if (!is_of(s, "lfm2 lfm2moe ")) {
        model_make_say(m, s, "attention.head_count_kv", s->heads_kv);
        return;
    }
    CHECK(s->layers <= 16);
    for (uint32_t i = 0; i < s->layers; i++)
        store_le32(list + 12 + 4 * i, is_short_convolution(s, i) ? 0 : s->heads_kv);
    snprintf(room, sizeof room, "%s.attention.head_count_kv", s->architecture);
    gguf_make_raw(m, room, GGUF_ARRAY, list, 12 + 4 * s->layers);
    model_make_say(m, s, "shortconv.l_cache", 3);
}

/* [plain, turned] of a head of keys; half as long as the former are values. */
static void add_row_attention(struct gguf_make *m, const struct model_make *s, uint32_t i)
{
    const size_t turned = s->head / 3, plain = s->head - turned, value = plain / 2, low = s->embed / 2;
    if (shares_row(s)) {
        add_product(m, s, i, "attn_q_a", s->embed, low);
        add_norm(m, s, i, "attn_q_a_norm", low);
        add_product(m, s, i, "attn_q_b", low, s->heads * s->head);
        add_matrices(m, s, in_layer(i, "attn_k_b", "weight"), plain, s->embed, s->heads, 1.5f);
        add_matrices(m, s, in_layer(i, "attn_v_b", "weight"), s->embed, value, s->heads, 1.5f);
    } else {
        add_product(m, s, i, "attn_q", s->embed, s->heads * s->head);
        add_product(m, s, i, "attn_kv_b", s->embed, s->heads * (plain + value));
    }
    add_product(m, s, i, "attn_kv_a_mqa", s->embed, s->embed + turned);
    add_norm(m, s, i, "attn_kv_a_norm", s->embed);
    add_product(m, s, i, "attn_output", s->heads * value, s->embed);
}

static void add_row_numbers(struct gguf_make *m, const struct model_make *s)
{
    const uint32_t turned = s->head / 3, value = (s->head - turned) / 2;
    model_make_say(m, s, "attention.kv_lora_rank", s->embed);
    model_make_say(m, s, "rope.dimension_count", turned);
    model_make_say(m, s, "attention.key_length", shares_row(s) ? s->embed + turned : s->head);
    model_make_say(m, s, "attention.value_length", shares_row(s) ? s->embed : value);
    if (!shares_row(s))
        return;
    model_make_say(m, s, "attention.q_lora_rank", s->embed / 2);
    model_make_say(m, s, "attention.key_length_mla", s->head);
    model_make_say(m, s, "attention.value_length_mla", value);
}

/* A gain for each element of each head. */
static void add_own_norms(struct gguf_make *m, const struct model_make *s, uint32_t i, const char *name, size_t n)
{
    struct buf data = {0};
    add_values(&data, s->head * n, 1, 0.2f);
    gguf_make_tensor(m, in_layer(i, name, "weight"), s->head, n, GGUF_TENSOR_F32, bytes_of_buf(&data));
    buf_clear(&data);
}

static void say_list(struct gguf_make *m, const struct model_make *s, const char *key,
                     uint32_t (*of)(const struct model_make *, uint32_t))
{
    uint8_t list[12 + 4 * 16] = {GGUF_I32, 0, 0, 0, (uint8_t)s->layers};
    char room[96];
    CHECK(s->layers <= 16);
    for (uint32_t i = 0; i < s->layers; i++)
        store_le32(list + 12 + 4 * i, of(s, i));
    snprintf(room, sizeof room, "%s.%s", s->architecture, key);
    gguf_make_raw(m, room, GGUF_ARRAY, list, 12 + 4 * s->layers);
}

static void say_layer_keys(struct gguf_make *m, const struct model_make *s)
{
    uint8_t flags[12 + 16] = {GGUF_FLAG, 0, 0, 0, (uint8_t)s->layers};
    for (uint32_t i = 0; i < s->layers; i++)
        flags[12 + i] = !is_wide(i);
    gguf_make_raw(m, "gemma4.attention.sliding_window_pattern", GGUF_ARRAY, flags, 12 + s->layers);
    say_list(m, s, "attention.head_count_kv", heads_kv_of);
    say_list(m, s, "feed_forward_length", mix_of);
    model_make_say(m, s, "attention.key_length_swa", head_of(s, 0));
    model_make_say(m, s, "attention.value_length_swa", head_of(s, 0));
    model_make_say(m, s, "rope.dimension_count_swa", head_of(s, 0) / 2);
    model_make_say(m, s, "attention.shared_kv_layers", sharing(s));
    model_make_say(m, s, "embedding_length_per_layer_input", s->shared);
    model_make_say_real(m, s, "final_logit_softcapping", 30.0f);
    model_make_window(m, s);
}

/* Values of wide layers are their keys where there are experts. */
static void add_layer_attention(struct gguf_make *m, const struct model_make *s, uint32_t i)
{
    const size_t head = head_of(s, i), kv = heads_kv_of(s, i) * head;
    add_product(m, s, i, "attn_q", s->embed, s->heads * head);
    add_norm(m, s, i, "attn_q_norm", head);
    add_product(m, s, i, "attn_output", s->heads * head, s->embed);
    if (i + sharing(s) >= s->layers)
        return;
    add_product(m, s, i, "attn_k", s->embed, kv);
    add_norm(m, s, i, "attn_k_norm", head);
    if (!s->experts || !is_wide(i))
        add_product(m, s, i, "attn_v", s->embed, kv);
}

/* Behind both branches; and experts beside gate, up and down, as newer files have it gates and ups in one tensor. */
static void add_layer_rest(struct gguf_make *m, const struct model_make *s, uint32_t i)
{
    struct model_make floats = *s;
    floats.type = GGUF_TENSOR_F32;
    model_make_vector(m, in_layer(i, "layer_output_scale", "weight"), 1, 0.9f);
    if (s->shared) {
        add_product(m, s, i, "inp_gate", s->embed, s->shared);
        add_product(m, s, i, "proj", s->shared, s->embed);
        add_norm(m, s, i, "post_norm", s->embed);
    }
    if (!s->experts)
        return;
    add_matrices(m, &floats, in_layer(i, "ffn_gate_inp", "weight"), s->embed, s->experts, 1, 8);
    model_make_vector(m, in_layer(i, "ffn_gate_inp", "scale"), s->embed, 1);
    model_make_vector(m, in_layer(i, "ffn_down_exps", "scale"), s->experts, 1);
    add_norm(m, s, i, "pre_ffw_norm_2", s->embed);
    add_norm(m, s, i, "post_ffw_norm_1", s->embed);
    add_norm(m, s, i, "post_ffw_norm_2", s->embed);
    if (s->type == GGUF_TENSOR_F32) {
        add_experts(m, s, i, "ffn_gate_exps", s->embed, s->mix);
        add_experts(m, s, i, "ffn_up_exps", s->embed, s->mix);
    } else {
        add_experts(m, s, i, "ffn_gate_up_exps", s->embed, 2 * s->mix);
    }
    add_experts(m, s, i, "ffn_down_exps", s->mix, s->embed);
}

static void add_layer(struct gguf_make *m, const struct model_make *s, uint32_t i)
{
    size_t all = s->heads * s->head, kv = s->heads_kv * s->head;
    if (is_short_convolution(s, i)) {
        add_short_convolution(m, s, i);
        return;
    }
    if (is_delta_net(s, i)) {
        add_delta_net(m, s, i);
        return;
    }
    if (has_layer_keys(s)) {
        add_layer_attention(m, s, i);
        add_layer_rest(m, s, i);
        add_norms(m, s, i);
        add_mix(m, s, i);
        return;
    }
    if (has_row(s)) {
        add_row_attention(m, s, i);
        add_norms(m, s, i);
        add_mix(m, s, i);
        return;
    }
    if (is_of(s, "phi3 bailingmoe2 "))
        add_product(m, s, i, "attn_qkv", s->embed, all + 2 * kv);
    else {
        add_product(m, s, i, "attn_q", s->embed, has_delta_net(s) ? 2 * all : all);
        add_product(m, s, i, "attn_k", s->embed, kv);
        add_product(m, s, i, "attn_v", s->embed, kv);
    }
    add_product(m, s, i, "attn_output", all, s->embed);
    if (is_of(s, "qwen3 qwen3moe qwen3vl qwen3vlmoe gemma3 hunyuan-dense hunyuan-moe exaone4 dots1 bailingmoe2 "
                 "exaone-moe lfm2 lfm2moe qwen3next qwen35 qwen35moe ")) {
        add_norm(m, s, i, "attn_q_norm", s->head);
        add_norm(m, s, i, "attn_k_norm", s->head);
    }
    if (is(s, "command-r") && s->heads_kv == s->heads) { /* Command R+ */
        add_own_norms(m, s, i, "attn_q_norm", s->heads);
        add_own_norms(m, s, i, "attn_k_norm", s->heads_kv);
    }
    if (is_of(s, "olmo2 olmoe minimax-m2 ")) {
        add_norm(m, s, i, "attn_q_norm", all);
        add_norm(m, s, i, "attn_k_norm", kv);
    }
    if (is(s, "gpt-oss"))
        model_make_vector(m, in_layer(i, "attn_sinks", "weight"), s->heads, 1);
    add_norms(m, s, i);
    add_mix(m, s, i);
}

void model_make_say(struct gguf_make *m, const struct model_make *s, const char *key, uint32_t v)
{
    char room[96];
    snprintf(room, sizeof room, "%s.%s", s->architecture, key);
    gguf_make_u32(m, room, v);
}

void model_make_say_real(struct gguf_make *m, const struct model_make *s, const char *key, float v)
{
    char room[96];
    snprintf(room, sizeof room, "%s.%s", s->architecture, key);
    gguf_make_f32(m, room, v);
}

static void add_ends(struct gguf_make *m, const struct model_make *s)
{
    add_matrices(m, s, "token_embd.weight", s->embed, MODEL_MAKE_VOCAB, 1, 4.0f);
    if (has_layer_keys(s) && s->shared) {
        add_matrices(m, s, "per_layer_token_embd.weight", s->layers * s->shared, MODEL_MAKE_VOCAB, 1, 4.0f);
        add_matrices(m, s, "per_layer_model_proj.weight", s->embed, s->layers * s->shared, 1, 1.0f);
        model_make_vector(m, "per_layer_proj_norm.weight", s->shared, 1);
    }
    if (is(s, "bert")) {
        add_matrices(m, s, "position_embd.weight", s->embed, MODEL_MAKE_CONTEXT, 1, 4.0f);
        add_matrices(m, s, "token_types.weight", s->embed, 2, 1, 4.0f);
        model_make_vector(m, "token_embd_norm.weight", s->embed, 1);
        model_make_vector(m, "token_embd_norm.bias", s->embed, 0);
        return;
    }
    model_make_vector(m, is_of(s, "lfm2 lfm2moe ") ? "token_embd_norm.weight" : "output_norm.weight", s->embed, 1);
    if (is_of(s, "starcoder2 nemotron "))
        model_make_vector(m, "output_norm.bias", s->embed, 0);
    if (!s->tied)
        add_matrices(m, s, "output.weight", s->embed, MODEL_MAKE_VOCAB, 1, 3.0f);
}

/* Layers behind the last that a file has and nobody runs. */
static uint32_t ahead(const struct model_make *s)
{
    return is_of(s, "glm4moe bailingmoe2 qwen3next ") ? 1 : 0;
}

void model_make(struct buf *out, const struct model_make *s)
{
    struct gguf_make m;
    seed = 42;
    gguf_make_init(&m);
    gguf_make_text(&m, "general.architecture", s->architecture);
    model_make_say(&m, s, "context_length", MODEL_MAKE_CONTEXT);
    model_make_say(&m, s, "embedding_length", s->embed);
    model_make_say(&m, s, "block_count", s->layers + ahead(s));
    model_make_say(&m, s, "attention.head_count", s->heads);
    if (has_layer_keys(s)) {
        say_layer_keys(&m, s);
    } else {
        model_make_say(&m, s, "feed_forward_length", s->mix);
        say_heads_kv(&m, s);
    }
    if (has_delta_net(s))
        say_delta_net(&m, s);
    if (has_row(s)) {
        add_row_numbers(&m, s);
    } else {
        model_make_say(&m, s, "attention.key_length", s->head);
        model_make_say(&m, s, "attention.value_length", s->head);
    }
    if (s->experts) {
        model_make_say(&m, s, "expert_count", s->experts);
        model_make_say(&m, s, "expert_used_count", s->used);
        model_make_say(&m, s, "expert_feed_forward_length", s->mix);
    }
    if (leads(s))
        model_make_say(&m, s, "leading_dense_block_count", leads(s));
    if (ahead(s))
        model_make_say(&m, s, "nextn_predict_layers", ahead(s));
    if (s->shared && is_of(s, "glm4moe dots1 bailingmoe deepseek2 deepseek exaone-moe "))
        model_make_say(&m, s, "expert_shared_count", s->shared / s->mix);
    else if (s->shared && !has_layer_keys(s))
        model_make_say(&m, s, "expert_shared_feed_forward_length", s->shared);
    if (is(s, "bert"))
        gguf_make_raw(&m, "bert.attention.causal", GGUF_FLAG, "", 1);
    if (s->more)
        s->more(&m, s);
    add_ends(&m, s);
    for (uint32_t i = 0; i < s->layers + ahead(s); i++)
        add_layer(&m, s, i);
    gguf_make_end(&m, out);
    gguf_make_clear(&m);
}

/* -- variants -- */

void model_make_window(struct gguf_make *m, const struct model_make *s)
{
    model_make_say(m, s, "attention.sliding_window", 70);
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
    gguf_make_raw(m, "granite.rope.scaling.finetuned", GGUF_FLAG, "", 1);
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
    {"bert", "bert", GGUF_TENSOR_Q8_0, 64, 2, 4, 4, 16, 96, 0, 0, 0, true, false, NULL},
};

const struct model_make *model_make_at(size_t i)
{
    return i < sizeof shapes / sizeof *shapes ? &shapes[i] : NULL;
}
