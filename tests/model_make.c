/* Makes models for tests. */
#include "tests/model_make_in.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static uint64_t seed;
static uint32_t low_rank; /* of what adapters add to every product; 0: nothing */

static uint32_t draw(uint32_t below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((seed >> 33) % below);
}

static float draw_float(float deviation)
{
    return ((float)draw(1u << 20) * 0x1p-19f - 1.0f) * 1.7320508f * deviation;
}

void add_values(struct buf *b, size_t n, float mean, float deviation)
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

void add_matrices(struct gguf_make *m, const struct model_make *s, const char *name, size_t n, size_t rows,
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

const char *in_layer(uint32_t i, const char *name, const char *end)
{
    static char room[96];
    snprintf(room, sizeof room, "blk.%u.%s.%s", i, name, end);
    return room;
}

bool is_one(const struct model_make *s, const char *architecture)
{
    return strcmp(s->architecture, architecture) == 0;
}

/* One of several, each with a space behind. */
bool is_of(const struct model_make *s, const char *architectures)
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
    return is_one(s, "gemma4");
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

static void add_low(struct gguf_make *m, const struct model_make *s, uint32_t i, const char *name, size_t n,
                    size_t rows)
{
    struct model_make floats = *s;
    floats.type = GGUF_TENSOR_F32;
    add_matrices(m, &floats, in_layer(i, name, "weight.lora_a"), n, low_rank, 1, 1);
    add_matrices(m, &floats, in_layer(i, name, "weight.lora_b"), low_rank, rows, 1, 1);
}

void add_product(struct gguf_make *m, const struct model_make *s, uint32_t i, const char *name, size_t n, size_t rows)
{
    add_matrices(m, s, in_layer(i, name, "weight"), n, rows, 1, 1.5f);
    if (low_rank)
        add_low(m, s, i, name, n, rows);
    if (s->biases)
        model_make_vector(m, in_layer(i, name, "bias"), rows, 0);
}

void add_norm(struct gguf_make *m, const struct model_make *s, uint32_t i, const char *name, size_t n)
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
    if (is_one(s, "gpt-oss") && s->type == GGUF_TENSOR_Q8_0)
        own.type = GGUF_TENSOR_MXFP4;
    add_matrices(m, &own, in_layer(i, name, "weight"), n, rows, s->experts, 1);
    if (!is_one(s, "gpt-oss"))
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
    return is_one(s, "deepseek2");
}

static bool shares_row(const struct model_make *s)
{
    return has_row(s) && s->heads_kv == 1;
}

static bool has_no_gate(const struct model_make *s)
{
    return is_of(s, "bert starcoder2 nemotron arcee nemotron_h nemotron_h_moe ");
}

void add_mix(struct gguf_make *m, const struct model_make *s, uint32_t i)
{
    if (s->experts && i >= leads(s) && !has_layer_keys(s)) {
        struct model_make floats = *s;
        floats.type = GGUF_TENSOR_F32;
        add_matrices(m, &floats, in_layer(i, "ffn_gate_inp", "weight"), s->embed, s->experts, 1, 1);
        if (is_one(s, "gpt-oss"))
            model_make_vector(m, in_layer(i, "ffn_gate_inp", "bias"), s->experts, 0);
        if (is_of(s, "ernie4_5-moe glm4moe dots1 bailingmoe2 minimax-m2 exaone-moe lfm2moe nemotron_h_moe ") ||
            shares_row(s))
            model_make_vector(m, in_layer(i, "exp_probs_b", "bias"), s->experts, 0);
        if (!has_no_gate(s))
            add_experts(m, s, i, "ffn_gate_exps", s->embed, s->mix);
        add_experts(m, s, i, "ffn_up_exps", s->embed, s->mix);
        add_experts(m, s, i, "ffn_down_exps", s->mix, s->embed);
        if (s->shared) {
            if (!has_no_gate(s))
                add_product(m, s, i, "ffn_gate_shexp", s->embed, s->shared);
            add_product(m, s, i, "ffn_up_shexp", s->embed, s->shared);
            add_product(m, s, i, "ffn_down_shexp", s->shared, s->embed);
            if (is_of(s, "qwen2moe qwen3next qwen35moe "))
                add_matrices(m, &floats, in_layer(i, "ffn_gate_inp_shexp", "weight"), s->embed, 1, 1, 1);
        }
        return;
    }
    if (!is_fused(s) && !has_no_gate(s))
        add_product(m, s, i, "ffn_gate", s->embed, mix_of(s, i));
    add_product(m, s, i, "ffn_up", s->embed, is_fused(s) ? 2 * s->mix : mix_of(s, i));
    add_product(m, s, i, "ffn_down", mix_of(s, i), s->embed);
}

/* Before and behind branches. */
void add_norms(struct gguf_make *m, const struct model_make *s, uint32_t i)
{
    if (!is_of(s, "olmo2 exaone4 "))
        add_norm(m, s, i, is_one(s, "bert") ? "attn_output_norm" : "attn_norm", s->embed);
    if (is_one(s, "bert"))
        add_norm(m, s, i, "layer_output_norm", s->embed);
    else if (is_of(s, "gpt-oss seed_oss glm4moe qwen3next qwen35 qwen35moe "))
        add_norm(m, s, i, "post_attention_norm", s->embed);
    else if (is_one(s, "falcon-h1") && !s->tied) { /* as its files have it */
        char room[96];
        snprintf(room, sizeof room, "blk.%u.ffn_norm", i);
        model_make_vector(m, room, s->embed, 1);
    } else if (!is_cohere(s) && !is_of(s, "olmo2 exaone4 nemotron_h nemotron_h_moe "))
        add_norm(m, s, i, "ffn_norm", s->embed);
    if (is_of(s, "gemma2 gemma3 gemma4 olmo2 glm4 exaone4 ")) {
        add_norm(m, s, i, "post_attention_norm", s->embed);
        add_norm(m, s, i, "post_ffw_norm", s->embed);
    }
}

/* Layers behind the last that a file has and nobody runs. */
static uint32_t ahead(const struct model_make *s)
{
    return is_of(s, "glm4moe bailingmoe2 qwen3next nemotron_h_moe ") ? 1 : 0;
}

/* A number that the layers have for which `has`, and the others 0. */
static void say_of_layers(struct gguf_make *m, const struct model_make *s, const char *key, uint32_t v,
                          bool (*has)(const struct model_make *s, uint32_t i))
{
    const uint32_t all = s->layers + ahead(s);
    uint8_t list[12 + 4 * 16] = {GGUF_I32, 0, 0, 0, (uint8_t)all};
    char room[96];
    CHECK(all <= 16);
    for (uint32_t i = 0; i < all; i++)
        store_le32(list + 12 + 4 * i, has(s, i) ? v : 0);
    snprintf(room, sizeof room, "%s.%s", s->architecture, key);
    gguf_make_raw(m, room, GGUF_ARRAY, list, 12 + 4 * all);
}

/* Layers without attention have none. */
static void say_heads_kv(struct gguf_make *m, const struct model_make *s)
{
    const bool has_convolutions = is_of(s, "lfm2 lfm2moe ");
    if (has_convolutions || (has_scan(s) && !is_one(s, "falcon-h1")))
        say_of_layers(m, s, "attention.head_count_kv", s->heads_kv, has_attention);
    else
        model_make_say(m, s, "attention.head_count_kv", s->heads_kv);
    if (has_convolutions)
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

/* What stands behind a state, or alone. */
static void add_other_branch(struct gguf_make *m, const struct model_make *s, uint32_t i)
{
    add_norms(m, s, i);
    if (!is_scan(s, i) || !has_one_branch(s))
        add_mix(m, s, i);
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
    if (is_scan(s, i))
        add_scan(m, s, i);
    if (has_scan(s) && !has_attention(s, i) && !is_one(s, "falcon-h1")) {
        add_other_branch(m, s, i);
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
    if (is_one(s, "command-r") && s->heads_kv == s->heads) { /* Command R+ */
        add_own_norms(m, s, i, "attn_q_norm", s->heads);
        add_own_norms(m, s, i, "attn_k_norm", s->heads_kv);
    }
    if (is_of(s, "olmo2 olmoe minimax-m2 ")) {
        add_norm(m, s, i, "attn_q_norm", all);
        add_norm(m, s, i, "attn_k_norm", kv);
    }
    if (is_one(s, "gpt-oss"))
        model_make_vector(m, in_layer(i, "attn_sinks", "weight"), s->heads, 1);
    add_norms(m, s, i);
    if (!has_one_branch(s) || i >= s->layers)
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

void model_make_low_rank(uint32_t rank)
{
    low_rank = rank;
}

static void add_ends(struct gguf_make *m, const struct model_make *s)
{
    add_matrices(m, s, "token_embd.weight", s->embed, MODEL_MAKE_VOCAB, 1, 4.0f);
    if (has_layer_keys(s) && s->shared) {
        add_matrices(m, s, "per_layer_token_embd.weight", s->layers * s->shared, MODEL_MAKE_VOCAB, 1, 4.0f);
        add_matrices(m, s, "per_layer_model_proj.weight", s->embed, s->layers * s->shared, 1, 1.0f);
        model_make_vector(m, "per_layer_proj_norm.weight", s->shared, 1);
    }
    if (is_one(s, "bert")) {
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

void model_make(struct buf *out, const struct model_make *s)
{
    struct gguf_make m;
    seed = 42;
    low_rank = 0;
    gguf_make_init(&m);
    gguf_make_text(&m, "general.architecture", s->architecture);
    model_make_say(&m, s, "context_length", MODEL_MAKE_CONTEXT);
    model_make_say(&m, s, "embedding_length", s->embed);
    model_make_say(&m, s, "block_count", s->layers + ahead(s));
    model_make_say(&m, s, "attention.head_count", s->heads);
    if (has_layer_keys(s)) {
        say_layer_keys(&m, s);
    } else if (has_one_branch(s)) {
        say_of_layers(&m, s, "feed_forward_length", s->mix, is_mix_alone);
        say_heads_kv(&m, s);
    } else {
        model_make_say(&m, s, "feed_forward_length", s->mix);
        say_heads_kv(&m, s);
    }
    if (has_delta_net(s))
        say_delta_net(&m, s);
    if (has_scan(s))
        say_scan(&m, s);
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
    if (is_one(s, "bert"))
        gguf_make_raw(&m, "bert.attention.causal", GGUF_FLAG, "", 1);
    if (s->more)
        s->more(&m, s);
    add_ends(&m, s);
    for (uint32_t i = 0; i < s->layers + ahead(s); i++)
        add_layer(&m, s, i);
    gguf_make_end(&m, out);
    gguf_make_clear(&m);
}
