/* Layers that carry a state. */
#include "tests/model_make_in.h"

#include <stdio.h>

/* Of three layers the third has attention. */
bool is_short_convolution(const struct model_make *s, uint32_t i)
{
    return is_of(s, "lfm2 lfm2moe ") && i % 3 != 2;
}

void add_short_convolution(struct gguf_make *m, const struct model_make *s, uint32_t i)
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

bool has_delta_net(const struct model_make *s)
{
    return is_of(s, "qwen3next qwen35 qwen35moe ");
}

/* Of two layers the second has attention. */
bool is_delta_net(const struct model_make *s, uint32_t i)
{
    return has_delta_net(s) && i < s->layers && i % 2 == 0;
}

/* Twice as many heads of values as of keys, of states of 16. */
void add_delta_net(struct gguf_make *m, const struct model_make *s, uint32_t i)
{
    const size_t values = s->heads, inner = values * 16, channels = 2 * inner;
    struct buf data = {0};
    add_product(m, s, i, "attn_qkv", s->embed, channels);
    add_product(m, s, i, "attn_gate", s->embed, inner);
    add_values(&data, 4 * channels, 0.1f, 0.5f);
    gguf_make_tensor(m, in_layer(i, "ssm_conv1d", "weight"), 4, channels, GGUF_TENSOR_F32, bytes_of_buf(&data));
    buf_clear(&data);
    if (is_one(s, "qwen3next")) {
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

void say_delta_net(struct gguf_make *m, const struct model_make *s)
{
    model_make_say(m, s, "ssm.conv_kernel", 4);
    model_make_say(m, s, "ssm.state_size", 16);
    model_make_say(m, s, "ssm.group_count", s->heads / 2);
    model_make_say(m, s, "ssm.time_step_rank", s->heads);
    model_make_say(m, s, "ssm.inner_size", s->heads * 16);
    model_make_say(m, s, "full_attention_interval", 2);
    model_make_say(m, s, "rope.dimension_count", s->head / 2);
}

bool has_scan(const struct model_make *s)
{
    return is_of(s, "granitehybrid falcon-h1 nemotron_h nemotron_h_moe ");
}

bool has_one_branch(const struct model_make *s)
{
    return is_of(s, "nemotron_h nemotron_h_moe ");
}

/* Of three layers the third has attention, and in some architectures the second is a mix alone. */
bool is_mix_alone(const struct model_make *s, uint32_t i)
{
    return has_one_branch(s) && i < s->layers && i % 3 == 1;
}

bool is_scan(const struct model_make *s, uint32_t i)
{
    return is_one(s, "falcon-h1") || (has_scan(s) && i < s->layers && i % 3 != 2 && !is_mix_alone(s, i));
}

/* Half as many groups as heads of values, of states of 24 x 16. */
void add_scan(struct gguf_make *m, const struct model_make *s, uint32_t i)
{
    const size_t groups = s->heads / 2, inner = s->heads * 16, channels = inner + 2 * groups * 24;
    struct buf data = {0};
    char room[96];
    add_matrices(m, s, in_layer(i, "ssm_in", "weight"), s->embed, inner + channels + s->heads, 1, 1.5f);
    add_values(&data, 4 * channels, 0.1f, 0.5f);
    gguf_make_tensor(m, in_layer(i, "ssm_conv1d", "weight"), 4, channels, GGUF_TENSOR_F32, bytes_of_buf(&data));
    buf_clear(&data);
    if (!is_one(s, "nemotron_h_moe"))
        model_make_vector(m, in_layer(i, "ssm_conv1d", "bias"), channels, 0);
    model_make_vector(m, in_layer(i, "ssm_dt", "bias"), s->heads, -1);
    for (unsigned k = 0; k < 2; k++) {
        add_values(&data, s->heads, k ? 1 : -0.5f, 0.1f);
        snprintf(room, sizeof room, "blk.%u.ssm_%c", i, "ad"[k]);
        gguf_make_tensor(m, room, 1, s->heads, GGUF_TENSOR_F32, bytes_of_buf(&data));
        buf_clear(&data);
    }
    if (!is_one(s, "falcon-h1") || s->tied) { /* some of its models have none */
        add_values(&data, inner, 1, 0.2f);
        gguf_make_tensor(m, in_layer(i, "ssm_norm", "weight"), inner / groups, groups, GGUF_TENSOR_F32,
                         bytes_of_buf(&data));
        buf_clear(&data);
    }
    add_matrices(m, s, in_layer(i, "ssm_out", "weight"), inner, s->embed, 1, 1.5f);
}

void say_scan(struct gguf_make *m, const struct model_make *s)
{
    model_make_say(m, s, "ssm.conv_kernel", 4);
    model_make_say(m, s, "ssm.state_size", 24);
    model_make_say(m, s, "ssm.group_count", s->heads / 2);
    model_make_say(m, s, "ssm.time_step_rank", s->heads);
    model_make_say(m, s, "ssm.inner_size", s->heads * 16);
}

bool has_attention(const struct model_make *s, uint32_t i)
{
    return !is_short_convolution(s, i) && !is_scan(s, i) && !is_mix_alone(s, i);
}
