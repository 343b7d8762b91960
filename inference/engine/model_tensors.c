/* The tensors of a model, by what its architecture has. */
#include "inference/engine/model_read.h"

#include "base/mem.h"
#include "inference/engine/cache.h"
#include "inference/engine/recur.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

static bool has(const struct model_reader *r, unsigned what)
{
    return r->m->kind->has & what;
}

static const char *layer_name(char room[96], uint32_t i, const char *name, const char *end)
{
    snprintf(room, 96, "blk.%u.%s.%s", i, name, end);
    return room;
}

/* -- parts -- */

static struct model_norm norm_of(struct model_reader *r, const char *name, uint64_t n)
{
    char room[112];
    struct model_norm norm = {0};
    snprintf(room, sizeof room, "%s.weight", name);
    norm.gain = model_vector(r, room, n);
    if (has(r, HAS_ENCODER | HAS_LAYER_NORMS)) {
        snprintf(room, sizeof room, "%s.bias", name);
        norm.bias = model_vector(r, room, n);
    }
    if (has(r, HAS_FLAT_NORMS))
        norm.bias = model_same(r, n, 0.0f);
    return norm;
}

static struct model_norm layer_norm(struct model_reader *r, uint32_t i, const char *name, uint64_t n)
{
    char room[96];
    snprintf(room, sizeof room, "blk.%u.%s", i, name);
    return norm_of(r, room, n);
}

/* Elements [first, first + rows) of the bias of a tensor with `all` rows; NULL where the file has none. */
static const float *bias_of(struct model_reader *r, const char *name, uint64_t all, uint64_t first)
{
    if (!has(r, MAY_BIASES) || !model_has_tensor(r, name))
        return NULL;
    const float *b = model_vector(r, name, all);
    return b ? b + first : NULL;
}

/* Rows [first, first + rows) of a tensor with `all`. */
static struct model_product part_of(struct model_reader *r, uint32_t i, const char *name, uint64_t n, uint64_t all,
                                    uint64_t first, uint64_t rows)
{
    char room[96];
    struct model_product p;
    p.w = model_matrix_part(r, layer_name(room, i, name, "weight"), n, all, first, rows);
    p.bias = bias_of(r, layer_name(room, i, name, "bias"), all, first);
    return p;
}

static struct model_product product_of(struct model_reader *r, uint32_t i, const char *name, uint64_t n, uint64_t rows)
{
    return part_of(r, i, name, n, rows, 0, rows);
}

/* -- a layer -- */

static bool may_norm_heads(const struct model_reader *r, uint32_t i)
{
    char room[96];
    return r->m->kind->more & MAY_HEAD_NORMS && model_has_tensor(r, layer_name(room, i, "attn_q_norm", "weight"));
}

/* Of each head the matrices that stand between its own numbers and the row: as the file has them, or older files in
 * one tensor, head by head rows that make keys, then rows that make values, of which the former are turned round. */
static void read_ups(struct model_reader *r, uint32_t i, struct model_latent *a)
{
    const struct model *m = r->m;
    char room[96];
    a->key_up = mem_array(m->heads, sizeof *a->key_up);
    a->value_up = mem_array(m->heads, sizeof *a->value_up);
    if (!model_has_tensor(r, layer_name(room, i, "attn_kv_b", "weight"))) {
        model_matrices(r, layer_name(room, i, "attn_k_b", "weight"), m->plain, m->latent, m->heads, a->key_up,
                       sizeof *a->key_up);
        model_matrices(r, layer_name(room, i, "attn_v_b", "weight"), m->latent, m->value, m->heads, a->value_up,
                       sizeof *a->value_up);
        return;
    }
    const uint64_t each = (uint64_t)m->plain + m->value, all = m->heads * each;
    for (uint64_t h = 0; r->e == ERR_OK && h < m->heads; h++) {
        a->key_up[h] = model_matrix_turned(r, room, m->latent, all, h * each, m->plain);
        a->value_up[h] = model_matrix_part(r, room, m->latent, all, h * each + m->plain, m->value);
    }
}

static void read_latent(struct model_reader *r, uint32_t i)
{
    struct model *m = r->m;
    struct model_layer *l = &m->layer[i];
    const uint64_t turned = 2ull * m->rope_pairs, queries = m->heads * (m->plain + turned);
    struct model_latent *a = l->latent = mem_new(sizeof *a);
    if (m->query_low) {
        a->query_low = product_of(r, i, "attn_q_a", m->embed, m->query_low);
        a->query_norm = layer_norm(r, i, "attn_q_a_norm", m->query_low);
        a->query = product_of(r, i, "attn_q_b", m->query_low, queries);
    } else {
        a->query = product_of(r, i, "attn_q", m->embed, queries);
    }
    a->row = product_of(r, i, "attn_kv_a_mqa", m->embed, m->latent + turned);
    a->row_norm = layer_norm(r, i, "attn_kv_a_norm", m->latent);
    read_ups(r, i, a);
    l->output = product_of(r, i, "attn_output", (uint64_t)m->heads * m->value, m->embed);
}

/* [n, head]: gains of each of n heads. */
static struct model_norm own_norms(struct model_reader *r, uint32_t i, const char *name, uint64_t n)
{
    char room[96];
    const float *gain = model_vectors(r, layer_name(room, i, name, "weight"), r->m->head, n);
    return (struct model_norm){gain, model_same(r, r->m->head, 0.0f)};
}

/* Keys and values of a layer's own, or none, where another's are read; values that are the keys before these are normed
 * have no product. */
static void read_own_keys(struct model_reader *r, uint32_t i, uint64_t kv)
{
    static const char *const names[] = {"attn_k", "attn_v", "attn_k_norm"};
    struct model *m = r->m;
    struct model_layer *l = &m->layer[i];
    char room[96];
    for (size_t j = 0; l->keys.of != i && j < sizeof names / sizeof *names; j++)
        model_ignore_tensor(r, layer_name(room, i, names[j], "weight"));
    if (l->keys.of != i)
        return;
    l->key = product_of(r, i, "attn_k", m->embed, kv);
    if (!(m->kind->more & HAS_VALUE_NORMS) || model_has_tensor(r, layer_name(room, i, "attn_v", "weight")))
        l->value = product_of(r, i, "attn_v", m->embed, kv);
    if (m->kind->more & HAS_VALUE_NORMS)
        l->value_norm.gain = model_same(r, l->keys.value_n, 1.0f);
}

static void read_attention(struct model_reader *r, uint32_t i)
{
    struct model *m = r->m;
    struct model_layer *l = &m->layer[i];
    const uint64_t head = l->keys.key_n, q = m->heads * head, kv = l->keys.heads * head, all = q + 2 * kv;
    char room[96];
    if (m->latent) {
        read_latent(r, i);
        return;
    }
    if (has(r, MAY_FUSED) && model_has_tensor(r, layer_name(room, i, "attn_qkv", "weight"))) {
        l->query = part_of(r, i, "attn_qkv", m->embed, all, 0, q);
        l->key = part_of(r, i, "attn_qkv", m->embed, all, q, kv);
        l->value = part_of(r, i, "attn_qkv", m->embed, all, q + kv, kv);
    } else {
        const bool has_gates = m->kind->more & HAS_DELTA_NET; /* behind each head's query */
        l->query = product_of(r, i, "attn_q", m->embed, has_gates ? 2 * q : q);
        read_own_keys(r, i, kv);
    }
    l->output = product_of(r, i, "attn_output", q, m->embed);
    if (has(r, HAS_SINKS))
        l->sinks = model_vector(r, layer_name(room, i, "attn_sinks", "weight"), m->heads);
    if (m->kind->more & MAY_OWN_NORMS && model_has_tensor(r, layer_name(room, i, "attn_q_norm", "weight"))) {
        l->query_norm = own_norms(r, i, "attn_q_norm", m->heads);
        l->key_norm = own_norms(r, i, "attn_k_norm", m->heads_kv);
    }
    if (has(r, HAS_HEAD_NORMS | HAS_ROW_NORMS) || may_norm_heads(r, i)) {
        l->query_norm = layer_norm(r, i, "attn_q_norm", has(r, HAS_ROW_NORMS) ? q : head);
        if (l->keys.of == i)
            l->key_norm = layer_norm(r, i, "attn_k_norm", has(r, HAS_ROW_NORMS) ? kv : head);
    }
}

/* `qwen3next` has both rates in one tensor, by heads of keys. */
static void read_delta_net(struct model_reader *r, uint32_t i, struct model_recurrent *l)
{
    struct model *m = r->m;
    const uint64_t inner = (uint64_t)m->values_n * m->side;
    char room[96];
    l->in = product_of(r, i, "attn_qkv", m->embed, m->channels);
    l->gate = product_of(r, i, "attn_gate", m->embed, inner);
    l->taps = model_columns(r, layer_name(room, i, "ssm_conv1d", "weight"), m->taps, m->channels);
    if (m->kind->more & HAS_TILED_HEADS) {
        l->alpha = product_of(r, i, "ssm_alpha", m->embed, m->values_n);
        l->beta = product_of(r, i, "ssm_beta", m->embed, m->values_n);
    } else {
        l->beta = product_of(r, i, "ssm_ba", m->embed, 2 * (uint64_t)m->values_n);
    }
    l->bias = model_vector(r, layer_name(room, i, "ssm_dt", "bias"), m->values_n);
    snprintf(room, sizeof room, "blk.%u.ssm_a", i);
    l->rate = model_vector(r, room, m->values_n);
    l->norm = layer_norm(r, i, "ssm_norm", m->side);
    l->out = product_of(r, i, "ssm_out", inner, m->embed);
}

static void read_recurrent(struct model_reader *r, uint32_t i)
{
    struct model *m = r->m;
    struct model_recurrent *l = m->layer[i].recurrent = mem_new(sizeof *l);
    char room[96];
    if (m->values_n) {
        read_delta_net(r, i, l);
        return;
    }
    l->in = product_of(r, i, "shortconv.in_proj", m->embed, 3 * (uint64_t)m->channels);
    l->taps = model_columns(r, layer_name(room, i, "shortconv.conv", "weight"), m->taps, m->channels);
    l->out = product_of(r, i, "shortconv.out_proj", m->channels, m->embed);
}

/* Gates and ups of all experts that stand in one tensor. */
static void read_gates_and_ups(struct model_reader *r, uint32_t i)
{
    const struct model *m = r->m;
    struct model_expert *x = m->layer[i].expert;
    const uint64_t mix = m->expert_mix;
    char room[96];
    layer_name(room, i, "ffn_gate_up_exps", "weight");
    model_matrices_part(r, room, m->embed, 2 * mix, 0, mix, m->experts, &x->gate.w, sizeof *x);
    model_matrices_part(r, room, m->embed, 2 * mix, mix, mix, m->experts, &x->up.w, sizeof *x);
}

/* Experts beside gate, up and down: the norms of both, and what the router's input and its weights are multiplied by.
 */
static void read_two_mixes(struct model_reader *r, uint32_t i)
{
    struct model *m = r->m;
    struct model_layer *l = &m->layer[i];
    const float root = 1.0f / sqrtf((float)(int32_t)m->embed);
    char room[96];
    l->two_mixes.norm = layer_norm(r, i, "pre_ffw_norm_2", m->embed);
    l->two_mixes.dense_post = layer_norm(r, i, "post_ffw_norm_1", m->embed);
    l->two_mixes.post = layer_norm(r, i, "post_ffw_norm_2", m->embed);
    l->two_mixes.router_norm.gain = model_vector_times(r, layer_name(room, i, "ffn_gate_inp", "scale"), m->embed, root);
    if (model_has_tensor(r, layer_name(room, i, "ffn_down_exps", "scale")))
        l->importance = model_vector(r, room, m->experts);
}

/* The same product of all experts, [rows, n] each; `at`: where in struct model_expert it stands. */
static void read_expert_products(struct model_reader *r, uint32_t i, const char *name, uint64_t n, uint64_t rows,
                                 size_t at)
{
    const uint64_t experts = r->m->experts;
    uint8_t *to = (uint8_t *)r->m->layer[i].expert + at;
    char room[96];
    model_matrices(r, layer_name(room, i, name, "weight"), n, rows, experts, to + offsetof(struct model_product, w),
                   sizeof(struct model_expert));
    if (!has(r, MAY_EXPERT_BIASES) || !model_has_tensor(r, layer_name(room, i, name, "bias")))
        return;
    const float *bias = model_vectors(r, room, rows, experts);
    for (uint64_t j = 0; bias && j < experts; j++, to += sizeof(struct model_expert))
        ((struct model_product *)(void *)to)->bias = bias + j * rows;
}

static void read_experts(struct model_reader *r, uint32_t i)
{
    struct model *m = r->m;
    struct model_layer *l = &m->layer[i];
    char room[96];
    l->router.w = model_matrix(r, layer_name(room, i, "ffn_gate_inp", "weight"), m->embed, m->experts);
    if (has(r, MAY_EXPERT_BIASES))
        l->router.bias = bias_of(r, layer_name(room, i, "ffn_gate_inp", "bias"), m->experts, 0);
    if (m->kind->more & MAY_PREFER && model_has_tensor(r, layer_name(room, i, "exp_probs_b", "bias")))
        l->preference = model_vector(r, room, m->experts);
    l->expert = mem_array(m->experts, sizeof *l->expert);
    if (m->kind->more & HAS_TWO_MIXES && model_has_tensor(r, layer_name(room, i, "ffn_gate_up_exps", "weight"))) {
        read_gates_and_ups(r, i);
    } else {
        read_expert_products(r, i, "ffn_gate_exps", m->embed, m->expert_mix, offsetof(struct model_expert, gate));
        read_expert_products(r, i, "ffn_up_exps", m->embed, m->expert_mix, offsetof(struct model_expert, up));
    }
    read_expert_products(r, i, "ffn_down_exps", m->expert_mix, m->embed, offsetof(struct model_expert, down));
    if (!m->shared_mix)
        return;
    l->gate = product_of(r, i, "ffn_gate_shexp", m->embed, m->shared_mix);
    l->up = product_of(r, i, "ffn_up_shexp", m->embed, m->shared_mix);
    l->down = product_of(r, i, "ffn_down_shexp", m->shared_mix, m->embed);
    if (has(r, MUST_SHARED))
        l->shared_gate = model_matrix(r, layer_name(room, i, "ffn_gate_inp_shexp", "weight"), m->embed, 1);
}

static bool has_experts(const struct model_reader *r, uint32_t i)
{
    const struct model *m = r->m;
    char room[96];
    return m->experts && i >= m->experts_from &&
           (!(m->kind->more & HAS_TWO_MIXES) || model_has_tensor(r, layer_name(room, i, "ffn_gate_inp", "weight")));
}

static void read_mix(struct model_reader *r, uint32_t i)
{
    struct model *m = r->m;
    struct model_layer *l = &m->layer[i];
    const bool by_layer = m->kind->more & MAY_LAYER_KEYS && model_has_list(r, "feed_forward_length");
    const uint64_t mix = by_layer ? model_number_at(r, "feed_forward_length", i) : m->mix;
    char room[96];
    if (has_experts(r, i)) {
        read_experts(r, i);
        if (!(m->kind->more & HAS_TWO_MIXES))
            return;
        read_two_mixes(r, i);
    }
    if (has(r, HAS_ENCODER | HAS_NO_GATE)) {
        l->up = product_of(r, i, "ffn_up", m->embed, mix);
    } else if (has(r, MAY_FUSED) && !model_has_tensor(r, layer_name(room, i, "ffn_gate", "weight"))) {
        l->gate = part_of(r, i, "ffn_up", m->embed, 2 * mix, 0, mix);
        l->up = part_of(r, i, "ffn_up", m->embed, 2 * mix, mix, mix);
    } else {
        l->gate = product_of(r, i, "ffn_gate", m->embed, mix);
        l->up = product_of(r, i, "ffn_up", m->embed, mix);
    }
    l->down = product_of(r, i, "ffn_down", mix, m->embed);
}

static bool has_windows(const struct model *m)
{
    uint32_t i = 0;
    while (i < m->layers && !m->layer[i].window)
        i++;
    return i < m->layers;
}

/* A layer of a model whose layers differ: with a window heads have another length, and the last ones read the keys of
 * the last layer before them that is of their kind. */
static void read_layer_keys(struct model_reader *r, uint32_t i)
{
    const struct model *m = r->m;
    struct model_layer *l = &m->layer[i];
    const uint32_t own = m->layers - m->layers_sharing, pairs = m->rope[MODEL_ROPE_LOCAL].pairs;
    if (model_has_list(r, "attention.head_count_kv"))
        l->keys.heads = model_number_at(r, "attention.head_count_kv", i);
    if (l->window) {
        l->keys.key_n = model_number(r, "attention.key_length_swa", EMBED_MAX, 0);
        l->keys.value_n = model_number(r, "attention.value_length_swa", EMBED_MAX, 0);
        l->pairs = pairs;
    }
    if (r->e != ERR_OK)
        return;
    if (l->keys.heads == 0 || m->heads % l->keys.heads)
        model_fail(r, ERR_RANGE, "attention.head_count_kv", l->keys.heads, "does not divide the number of heads");
    if (l->keys.value_n != l->keys.key_n)
        model_fail(r, ERR_UNSUPPORTED, "attention.value_length_swa", l->keys.value_n, "differs from the keys' length");
    if (2 * (uint64_t)l->pairs > l->keys.key_n)
        model_fail(r, ERR_RANGE, "rope.dimension_count_swa", 2 * l->pairs, "more than a head is long");
    if ((uint64_t)m->heads * l->keys.key_n > EMBED_MAX * 8)
        model_fail(r, ERR_RANGE, "attention.key_length", l->keys.key_n, "all heads together are over the limit");
    if (i < own)
        return;
    l->keys.of = own - (l->window ? 2 : 1);
    const struct model_layer *of = &m->layer[l->keys.of];
    if (of->window != l->window || of->keys.heads != l->keys.heads || of->keys.key_n != l->keys.key_n)
        model_fail(r, ERR_UNSUPPORTED, "attention.shared_kv_layers", m->layers_sharing,
                   "the layer whose keys such a layer would read is of another kind");
}

/* Before the tensors, whose shapes follow from it. */
static void read_keys(struct model_reader *r, uint32_t i)
{
    const struct model *m = r->m;
    struct model_layer *l = &m->layer[i];
    l->keys = (struct model_keys){.of = i};
    l->pairs = m->rope_pairs;
    if (model_is_recurrent(r, i))
        return;
    l->keys.heads = m->heads_kv;
    l->keys.key_n = m->head;
    l->keys.value_n = model_value_length(m);
    if (m->kind->more & MAY_LAYER_KEYS)
        read_layer_keys(r, i);
}

/* What a layer takes of the second embedding, and the number that it is multiplied by. */
static void read_input(struct model_reader *r, uint32_t i)
{
    struct model *m = r->m;
    struct model_layer *l = &m->layer[i];
    char room[96];
    if (m->input_n) {
        l->input.gate = product_of(r, i, "inp_gate", m->embed, m->input_n);
        l->input.back = product_of(r, i, "proj", m->input_n, m->embed);
        l->input.post = layer_norm(r, i, "post_norm", m->embed);
    }
    l->scale = 1.0f;
    if (m->kind->more & MAY_LAYER_SCALES && model_has_tensor(r, layer_name(room, i, "layer_output_scale", "weight"))) {
        const float *scale = model_vector(r, room, 1);
        l->scale = scale ? *scale : 1.0f;
    }
}

static void read_layer(struct model_reader *r, uint32_t i)
{
    struct model *m = r->m;
    struct model_layer *l = &m->layer[i];
    uint32_t still = m->kind->still_period;
    read_keys(r, i);
    if (r->e != ERR_OK)
        return;
    read_input(r, i);
    l->is_still = still ? i % still == still - 1 : has(r, HAS_STILL_WIDE) && !l->window && has_windows(m);
    if (model_is_recurrent(r, i))
        read_recurrent(r, i);
    else
        read_attention(r, i);
    l->place = l->recurrent ? m->layers_recurrent++ : i - m->layers_recurrent;
    read_mix(r, i);
    if (has(r, HAS_ENCODER)) {
        l->attention_post = layer_norm(r, i, "attn_output_norm", m->embed);
        l->mix_post = layer_norm(r, i, "layer_output_norm", m->embed);
        return;
    }
    if (!has(r, HAS_NO_PRE_NORMS)) {
        l->attention_norm = layer_norm(r, i, "attn_norm", m->embed);
        l->mix_norm = has(r, HAS_ONE_NORM)
                          ? l->attention_norm
                          : layer_norm(r, i, has(r, HAS_POST_NAME) ? "post_attention_norm" : "ffn_norm", m->embed);
    }
    if (has(r, HAS_POST_NORMS)) {
        l->attention_post = layer_norm(r, i, "post_attention_norm", m->embed);
        l->mix_post = layer_norm(r, i, "post_ffw_norm", m->embed);
    }
}

/* -- the rest -- */

/* Layer by layer, where the file says it so. */
static void read_window_flags(struct model_reader *r, uint32_t window)
{
    struct model *m = r->m;
    for (uint32_t i = 0; i < m->layers; i++)
        if (model_flag_at(r, "attention.sliding_window_pattern", i, m->layers))
            m->layer[i].window = window;
}

static void read_windows(struct model_reader *r)
{
    struct model *m = r->m;
    const struct model_kind *k = m->kind;
    if (k->window_period == 0)
        return;
    uint32_t window = k->window;
    if (model_has_key(r, "attention.sliding_window"))
        window = model_number_or_none(r, "attention.sliding_window", UINT32_MAX);
    bool by_layer = model_has_list(r, "attention.sliding_window_pattern");
    if (k->more & MAY_LAYER_KEYS && (!by_layer || window == 0) && r->e == ERR_OK)
        r->e =
            note_set(r->note, ERR_FORMAT,
                     "%s.attention.sliding_window_pattern: files of this architecture have a flag for each layer, and "
                     "say the window",
                     m->architecture);
    if (window == 0)
        return;
    if (by_layer) {
        read_window_flags(r, window);
        return;
    }
    uint32_t period = model_number(r, "attention.sliding_window_pattern", LAYERS_MAX, (uint32_t)k->window_period);
    if (period == 1 && k->window_period != 1) /* its makers mean that no layer has one, `llama` would mean all */
        model_fail(r, ERR_UNSUPPORTED, "attention.sliding_window_pattern", 1,
                   "a file whose layers all see everything names no window");
    for (uint32_t i = 0; i < m->layers; i++)
        if (period == 1 || i % period < period - 1)
            m->layer[i].window = window;
}

static void read_vocab(struct model_reader *r)
{
    const struct gguf_tensor *t = gguf_find_tensor(r->file, "token_embd.weight");
    if (!t)
        return; /* said when it is read */
    if (t->dims[1] == 0 || t->dims[1] > VOCAB_MAX)
        model_fail(r, ERR_RANGE, "vocabulary", t->dims[1], "over the limit");
    else
        r->m->vocab = (uint32_t)t->dims[1];
    uint32_t said = model_number(r, "vocab_size", VOCAB_MAX, r->m->vocab ? r->m->vocab : 1);
    struct gguf_array tokens;
    if (r->e == ERR_OK && said != r->m->vocab)
        model_fail(r, ERR_FORMAT, "vocab_size", said, "token_embd.weight has another number of rows");
    if (gguf_find_array(r->file, "tokenizer.ggml.tokens", &tokens) && tokens.count != r->m->vocab)
        model_fail(r, ERR_FORMAT, "tokenizer.ggml.tokens", tokens.count,
                   "token_embd.weight has another number of rows");
}

static void read_encoder(struct model_reader *r)
{
    struct model *m = r->m;
    const struct gguf_tensor *types = gguf_find_tensor(r->file, "token_types.weight");
    m->positions = model_matrix(r, "position_embd.weight", m->embed, m->context);
    if (types) /* all tokens are of the first type */
        m->types = model_matrix(r, "token_types.weight", m->embed, types->dims[1]);
    m->embedding_norm = norm_of(r, "token_embd_norm", m->embed);
}

/* The second embedding, of all layers. */
static void read_inputs(struct model_reader *r)
{
    struct model *m = r->m;
    const uint64_t all = (uint64_t)m->layers * m->input_n;
    if (!m->input_n)
        return;
    m->inputs = model_matrix(r, "per_layer_token_embd.weight", all, m->vocab);
    m->inputs_stream.w = model_matrix(r, "per_layer_model_proj.weight", m->embed, all);
    m->inputs_norm = norm_of(r, "per_layer_proj_norm", m->input_n);
}

/* Whose scratch is for any layer. */
static void raise_most(struct model *m)
{
    for (uint32_t i = 0; i < m->layers; i++) {
        const struct model_layer *l = &m->layer[i];
        m->head = l->keys.key_n > m->head ? l->keys.key_n : m->head;
        m->rope_pairs = l->pairs > m->rope_pairs ? l->pairs : m->rope_pairs;
    }
}

static void read_output(struct model_reader *r)
{
    struct model *m = r->m;
    const bool is_misnamed = m->kind->more & HAS_SHORT_CONVS; /* by those who made the first files */
    m->output_norm = norm_of(r, is_misnamed ? "token_embd_norm" : "output_norm", m->embed);
    if (model_has_tensor(r, "output.weight"))
        m->output.w = model_matrix(r, "output.weight", m->embed, m->vocab);
    else
        m->output.w = m->embedding;
    m->output.bias = bias_of(r, "output.bias", m->vocab, 0);
}

void model_read_tensors(struct model_reader *r)
{
    struct model *m = r->m;
    m->layer = mem_array(m->layers, sizeof *m->layer);
    read_vocab(r);
    m->embedding = model_matrix(r, "token_embd.weight", m->embed, m->vocab);
    if (has(r, HAS_ENCODER))
        read_encoder(r);
    else
        read_output(r);
    read_inputs(r);
    read_windows(r);
    for (uint32_t i = 0; r->e == ERR_OK && i < m->layers; i++)
        read_layer(r, i);
    if (r->e == ERR_OK) {
        raise_most(m);
        cache_place(m);
    }
    if (recur_state_bytes(m) > STATE_BYTES_MAX)
        model_fail(r, ERR_RANGE, "the states of all layers", recur_state_bytes(m),
                   "bytes for each job are over the limit");
}
