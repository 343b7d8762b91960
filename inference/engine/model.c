/* Opening a model: its architecture's row, its numbers, its tensors, and that nothing is left over. */
#include "inference/engine/model_read.h"

#include "base/codec.h"
#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void read_kind(struct model_reader *r)
{
    struct model *m = r->m;
    struct bytes text;
    if (!gguf_find_text(r->file, "general.architecture", &text) || text.n >= sizeof m->architecture ||
        !text_is_clean((const char *)text.p, text.n)) {
        r->e = note_set(r->note, ERR_FORMAT, "the file does not say its architecture");
        return;
    }
    memcpy(m->architecture, text.p, text.n);
    m->kind = model_kind_find(m->architecture);
    if (!m->kind) {
        r->e = note_set(r->note, ERR_UNSUPPORTED,
                        "the architecture \"%s\" is not supported (README.md lists those that are)", m->architecture);
    }
}

/* -- numbers -- */

/* Where layers without any are recurrent, those of the others. */
static uint32_t read_heads_kv(struct model_reader *r)
{
    const char *key = "attention.head_count_kv";
    uint32_t heads = 0;
    if (!(r->m->kind->more & HAS_SHORT_CONVS) || !model_has_list(r, key))
        return model_number(r, key, HEADS_MAX, r->m->heads ? r->m->heads : 1);
    for (uint32_t i = 0; i < r->m->layers; i++) {
        uint32_t here = model_number_at(r, key, i);
        if (here > HEADS_MAX || (heads && here && here != heads))
            model_fail(r, ERR_UNSUPPORTED, key, here, "layers that have heads of keys must have as many");
        heads = here ? here : heads;
    }
    if (heads == 0)
        model_fail(r, ERR_UNSUPPORTED, key, 0, "a model without any attention is not run");
    return heads ? heads : 1;
}

static void read_heads(struct model_reader *r)
{
    struct model *m = r->m;
    bool says_head = model_has_key(r, "attention.key_length");
    m->heads = model_number(r, "attention.head_count", HEADS_MAX, 0);
    m->heads_kv = read_heads_kv(r);
    if (r->e != ERR_OK)
        return;
    m->head = model_number(r, "attention.key_length", EMBED_MAX, m->embed / m->heads ? m->embed / m->heads : 1);
    uint32_t value_length = model_number(r, "attention.value_length", EMBED_MAX, m->head);
    if (m->heads % m->heads_kv)
        model_fail(r, ERR_RANGE, "attention.head_count_kv", m->heads_kv, "does not divide the number of heads");
    if (value_length != m->head)
        model_fail(r, ERR_UNSUPPORTED, "attention.value_length", value_length, "differs from the keys' length");
    if (!says_head && m->embed % m->heads)
        model_fail(r, ERR_RANGE, "attention.head_count", m->heads, "does not divide the embedding");
    if ((uint64_t)m->heads * m->head > EMBED_MAX * 8)
        model_fail(r, ERR_RANGE, "attention.key_length", m->head, "all heads together are over the limit");
}

/* Layers have their own numbers of heads of keys; how long heads are with a window is read with the layers. */
static void read_heads_by_layer(struct model_reader *r)
{
    struct model *m = r->m;
    const char *key = "attention.head_count_kv";
    m->heads = model_number(r, "attention.head_count", HEADS_MAX, 0);
    m->head = model_number(r, "attention.key_length", EMBED_MAX, 0);
    uint32_t value_length = model_number(r, "attention.value_length", EMBED_MAX, m->head ? m->head : 1);
    if (!model_has_list(r, key))
        m->heads_kv = model_number(r, key, HEADS_MAX, m->heads ? m->heads : 1);
    for (uint32_t i = 0; model_has_list(r, key) && i < m->layers; i++)
        m->heads_kv = model_number_at(r, key, i) > m->heads_kv ? model_number_at(r, key, i) : m->heads_kv;
    m->layers_sharing = model_number_or_none(r, "attention.shared_kv_layers", LAYERS_MAX);
    if (r->e == ERR_OK && value_length != m->head)
        model_fail(r, ERR_UNSUPPORTED, "attention.value_length", value_length, "differs from the keys' length");
    if (r->e == ERR_OK && m->layers_sharing && m->layers_sharing + 2 > m->layers)
        model_fail(r, ERR_RANGE, "attention.shared_kv_layers", m->layers_sharing,
                   "too many: two layers at least have keys of their own");
}

/* Heads that share one row. Newer files count it as one head of keys and say beside it how long a head is without;
 * older ones say that alone. */
static void read_latent(struct model_reader *r)
{
    struct model *m = r->m;
    const bool says_both = model_has_key(r, "attention.key_length_mla");
    m->heads = model_number(r, "attention.head_count", HEADS_MAX, 0);
    m->heads_kv = model_number(r, "attention.head_count_kv", HEADS_MAX, m->heads ? m->heads : 1);
    m->latent = model_number(r, "attention.kv_lora_rank", EMBED_MAX / 2, 0);
    m->query_low = model_number_or_none(r, "attention.q_lora_rank", m->embed);
    uint32_t turned = model_number(r, "rope.dimension_count", EMBED_MAX / 2, 0);
    uint32_t key = model_number(r, "attention.key_length", EMBED_MAX, 0), key_alone = key;
    uint32_t value = model_number(r, "attention.value_length", EMBED_MAX, 0);
    m->value = value;
    m->head = m->latent + turned;
    if (says_both) {
        key_alone = model_number(r, "attention.key_length_mla", EMBED_MAX, 0);
        m->value = model_number(r, "attention.value_length_mla", EMBED_MAX, 0);
    }
    if (r->e != ERR_OK)
        return;
    if (m->heads_kv != (says_both ? 1 : m->heads))
        model_fail(r, ERR_RANGE, "attention.head_count_kv", m->heads_kv, "heads that share a row count as one");
    if (says_both && (key != m->head || value != m->latent))
        model_fail(r, ERR_RANGE, "attention.key_length", key, "not the row's length");
    if (key_alone <= turned)
        model_fail(r, ERR_RANGE, "rope.dimension_count", turned, "as much as a head is long, or more");
    uint64_t most = m->head > m->value ? m->head : m->value;
    if (m->heads * (most > key_alone ? most : key_alone) > EMBED_MAX * 8)
        model_fail(r, ERR_RANGE, "attention.key_length", key, "all heads together are over the limit");
    m->heads_kv = 1;
    m->plain = key_alone - turned;
    if (gguf_find_tensor(r->file, "blk.0.attn_q.weight")) /* some files name a rank that is not theirs */
        m->query_low = 0;
}

/* 0, as where it is absent: none. */
static float scale_of(struct model_reader *r, const char *key)
{
    float scale = (float)model_real(r, key, 0, 1e6, 0);
    return scale == 0.0f ? 1.0f : scale;
}

/* What is added to sigmoids: a file with it that says no gating means them. */
static bool has_preferences(const struct model_reader *r)
{
    char name[64];
    bool found = false;
    for (uint32_t i = 0; r->m->kind->more & MAY_PREFER && !found && i < r->m->layers; i++) {
        snprintf(name, sizeof name, "blk.%u.exp_probs_b.bias", i);
        found = model_has_tensor(r, name);
    }
    return found;
}

/* Groups of as many experts, of which some are chosen first. */
static void read_groups(struct model_reader *r)
{
    struct model *m = r->m;
    m->groups = model_number(r, "expert_group_count", UINT32_MAX, 1);
    m->groups_used = model_number(r, "expert_group_used_count", UINT32_MAX, 1);
    if (r->e != ERR_OK || m->groups == 1)
        return;
    if (!(m->kind->more & MAY_GROUPS))
        model_fail(r, ERR_UNSUPPORTED, "expert_group_count", m->groups,
                   "experts of this architecture that are chosen by groups are not run");
    else if (m->experts % m->groups || m->experts / m->groups < 2)
        model_fail(r, ERR_RANGE, "expert_group_count", m->groups, "experts do not fall into so many groups");
    else if (m->groups_used > m->groups || m->groups_used * (m->experts / m->groups) < m->experts_used)
        model_fail(r, ERR_RANGE, "expert_group_used_count", m->groups_used, "not so many groups, or too few experts");
}

/* As the file says it. */
static void read_way_of_weighing(struct model_reader *r)
{
    struct model *m = r->m;
    const uint32_t softmax = 1, sigmoid = 2;
    bool by_sigmoid = m->kind->more & HAS_SIGMOIDS || has_preferences(r);
    uint32_t gating = model_number(r, "expert_gating_func", UINT32_MAX, by_sigmoid ? sigmoid : softmax);
    if (gating != softmax && gating != sigmoid)
        model_fail(r, ERR_UNSUPPORTED, "expert_gating_func", gating, "only a softmax (1) and sigmoids (2) run here");
    m->by_sigmoid = gating == sigmoid;
    m->parts_of_all = !model_flag(r, "expert_weights_norm", m->kind->more & HAS_WHOLE_SUMS);
    m->expert_scale = scale_of(r, "expert_weights_scale");
    read_groups(r);
}

/* The chosen experts' weights are a softmax over their scores, which sum to one, or over all scores: as the
 * architecture has it. Other ways are not run, but where the file may say them. */
static void read_weighing(struct model_reader *r)
{
    struct model *m = r->m;
    m->parts_of_all = m->kind->has & HAS_PARTS_OF_ALL;
    m->expert_scale = 1.0f;
    if (m->kind->more & MAY_WEIGH) {
        read_way_of_weighing(r);
        return;
    }
    uint32_t gating = model_number(r, "expert_gating_func", UINT32_MAX, 1);
    bool sum_to_one = !m->parts_of_all;
    if (gating != 1 && !(gating == 3 && sum_to_one)) /* 3: a softmax over the chosen, which is what runs */
        model_fail(r, ERR_UNSUPPORTED, "expert_gating_func", gating, "only a softmax (1, 3) runs here");
    if (model_flag(r, "expert_weights_norm", sum_to_one) != sum_to_one)
        model_fail(r, ERR_UNSUPPORTED, "expert_weights_norm", !sum_to_one,
                   sum_to_one ? "weights that do not sum to one are not run"
                              : "of this architecture only weights that do not sum to one are run");
}

/* How long the expert is that all rows share: as the file says it, or so many of the others. */
static void read_shared(struct model_reader *r)
{
    struct model *m = r->m;
    if (m->kind->has & MUST_SHARED)
        m->shared_mix = model_number(r, "expert_shared_feed_forward_length", EMBED_MAX * 8, 0);
    else if (m->kind->has & MAY_SHARED)
        m->shared_mix = model_number_or_none(r, "expert_shared_feed_forward_length", EMBED_MAX * 8);
    if (!(m->kind->more & MAY_LEAD))
        return;
    uint64_t count = model_number_or_none(r, "expert_shared_count", EXPERTS_MAX);
    if (m->shared_mix == 0 && count * m->expert_mix <= EMBED_MAX * 8)
        m->shared_mix = (uint32_t)(count * m->expert_mix);
    else if (m->shared_mix == 0)
        model_fail(r, ERR_RANGE, "expert_shared_count", count, "together they are over the limit");
}

static void read_lead(struct model_reader *r)
{
    uint32_t step = model_number(r, "interleave_moe_layer_step", LAYERS_MAX, 1);
    r->m->experts_from = model_number_or_none(r, "leading_dense_block_count", LAYERS_MAX);
    if (step != 1)
        model_fail(r, ERR_UNSUPPORTED, "interleave_moe_layer_step", step, "only every layer (1) runs here");
}

/* What files without experts say of them too. */
static void skip_experts(struct model_reader *r)
{
    static const char *const led[] = {"leading_dense_block_count", "expert_shared_count", "expert_feed_forward_length",
                                      "expert_weights_scale",      "expert_weights_norm", "expert_gating_func"};
    if (r->m->kind->has & MAY_SHARED)
        (void)model_has_key(r, "expert_shared_feed_forward_length");
    for (size_t i = 0; r->m->kind->more & MAY_LEAD && i < sizeof led / sizeof *led; i++)
        (void)model_has_key(r, led[i]);
}

static void read_experts(struct model_reader *r)
{
    struct model *m = r->m;
    if (!(m->kind->has & (MAY_EXPERTS | MUST_EXPERTS)))
        return;
    m->experts = model_number_or_none(r, "expert_count", EXPERTS_MAX);
    if (m->experts == 0) {
        if (m->kind->has & MUST_EXPERTS)
            model_number(r, "expert_count", EXPERTS_MAX, 0);
        skip_experts(r);
        return;
    }
    m->experts_used =
        model_number(r, "expert_used_count", m->experts < EXPERTS_USED_MAX ? m->experts : EXPERTS_USED_MAX, 0);
    m->expert_mix =
        model_number(r, "expert_feed_forward_length", EMBED_MAX * 8, m->kind->has & MUST_EXPERTS ? 0 : m->mix);
    read_weighing(r);
    read_shared(r);
    if (m->kind->more & MAY_LEAD)
        read_lead(r);
}

static float logit_scale(struct model_reader *r)
{
    if (!model_has_key(r, "logit_scale") && r->e == ERR_OK)
        r->e = note_set(r->note, ERR_FORMAT, "the file does not say %s.logit_scale", r->m->architecture);
    return (float)model_real(r, "logit_scale", 1e-3, 1e6, 1);
}

/* Embeddings and branches are multiplied by theirs, logits divided. */
static void read_stream_scales(struct model_reader *r)
{
    struct model *m = r->m;
    m->embed_scale = scale_of(r, "embedding_scale");
    m->branch_scale = scale_of(r, "residual_scale");
    m->logit_scale = 1.0f / logit_scale(r);
}

static void read_scales(struct model_reader *r)
{
    struct model *m = r->m;
    const struct model_kind *k = m->kind;
    m->embed_scale = k->has & HAS_EMBED_SCALE ? sqrtf((float)(int32_t)m->embed) : 1.0f;
    m->branch_scale = m->logit_scale = 1.0f;
    if (k->has & HAS_SCALES)
        read_stream_scales(r);
    if (k->has & HAS_LOGIT_FACTOR)
        m->logit_scale = logit_scale(r);
    const bool is_plain = k->more & HAS_PLAIN_SCORES;
    uint32_t n = k->scale_layers && k->scale_layers == m->layers ? m->embed / m->heads : m->head;
    if (m->latent)
        n = m->plain + m->head - m->latent;
    m->score_scale = (float)model_real(r, "attention.scale", 0, 1e6, 0);
    if (m->score_scale == 0.0f)
        m->score_scale = is_plain ? 1.0f : 1.0f / sqrtf((float)(int32_t)(n ? n : 1));
    if (k->has & HAS_SOFT_CAPS) {
        m->cap_scores = (float)model_real(r, "attn_logit_softcapping", 0, 1e6, (double)k->cap_scores);
        m->cap_logits = (float)model_real(r, "final_logit_softcapping", 0, 1e6, (double)k->cap_logits);
        if ((m->cap_scores != 0.0f && m->cap_scores < 1e-3f) || (m->cap_logits != 0.0f && m->cap_logits < 1e-3f))
            model_fail(r, ERR_RANGE, "softcapping", 0, "a cap is 0 (none) or at least 0.001");
    }
}

static void read_pooling(struct model_reader *r)
{
    struct model *m = r->m;
    bool encodes = !model_writes(m);
    uint32_t pooling = model_number_or_none(r, "pooling_type", MODEL_POOL_LAST);
    m->pooling = pooling ? (enum model_pooling)pooling : encodes ? MODEL_POOL_MEAN : MODEL_POOL_LAST;
    if (model_flag(r, "attention.causal", !encodes) == encodes && r->e == ERR_OK)
        r->e = note_set(r->note, ERR_UNSUPPORTED, "%s.attention.causal: this architecture is run %s it only",
                        m->architecture, encodes ? "without" : "with");
}

/* Layers that are counted and not run. */
static void read_looks_ahead(struct model_reader *r)
{
    struct model *m = r->m;
    if (!(m->kind->more & MAY_LOOK_AHEAD))
        return;
    m->layers_ahead = model_number_or_none(r, "nextn_predict_layers", LAYERS_MAX);
    if (r->e == ERR_OK && m->layers_ahead >= m->layers)
        model_fail(r, ERR_RANGE, "nextn_predict_layers", m->layers_ahead, "as many as there are layers, or more");
    else
        m->layers -= m->layers_ahead;
}

/* Up to the original context the factor is 1: further no position is run. */
static void read_tempering(struct model_reader *r)
{
    struct model *m = r->m;
    if (!(m->kind->more & MAY_TEMPER) || model_real(r, "attention.temperature_scale", 0, 1e3, 0) == 0)
        return;
    uint32_t original = model_number(r, "rope.scaling.original_context_length", CONTEXT_MAX, m->context);
    original = model_number(r, "attention.temperature_length", CONTEXT_MAX, original);
    m->context = original < m->context ? original : m->context;
}

/* How long rows between gate and down are: the most, where each layer has a length of its own. */
static void read_mix_length(struct model_reader *r)
{
    struct model *m = r->m;
    const char *key = "feed_forward_length";
    if (!(m->kind->more & MAY_LAYER_KEYS) || !model_has_list(r, key)) {
        m->mix = model_number(r, key, EMBED_MAX * 8, m->kind->has & MUST_EXPERTS ? 1 : 0);
        return;
    }
    for (uint32_t i = 0; i < m->layers; i++) {
        uint32_t mix = model_number_at(r, key, i);
        if (mix == 0 || mix > EMBED_MAX * 8)
            model_fail(r, ERR_RANGE, key, mix, "not a number that a model can have");
        m->mix = mix > m->mix ? mix : m->mix;
    }
}

/* The second embedding, of which each layer has a part. */
static void read_input_length(struct model_reader *r)
{
    struct model *m = r->m;
    if (!(m->kind->more & MAY_LAYER_INPUTS))
        return;
    m->input_n = model_number_or_none(r, "embedding_length_per_layer_input", EMBED_MAX);
    if ((uint64_t)m->input_n * m->layers > EMBED_MAX * 8)
        model_fail(r, ERR_RANGE, "embedding_length_per_layer_input", m->input_n,
                   "those of all layers together are over the limit");
}

static void read_numbers(struct model_reader *r)
{
    struct model *m = r->m;
    bool encodes = !model_writes(m), by_layer = encodes || (m->kind->has & (HAS_LAYER_NORMS | HAS_FLAT_NORMS));
    m->context = model_number(r, "context_length", CONTEXT_MAX, 0);
    m->embed = model_number(r, "embedding_length", EMBED_MAX, 0);
    m->layers = model_number(r, "block_count", LAYERS_MAX, 0);
    read_looks_ahead(r);
    read_mix_length(r);
    read_input_length(r);
    if (r->e == ERR_OK && m->kind->more & HAS_LATENT)
        read_latent(r);
    else if (r->e == ERR_OK && m->kind->more & MAY_LAYER_KEYS)
        read_heads_by_layer(r);
    else if (r->e == ERR_OK)
        read_heads(r);
    if (r->e != ERR_OK)
        return;
    m->epsilon = (float)model_real(r, by_layer ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon",
                                   1e-20, 0.999, encodes ? 1e-12 : 1e-5);
    read_experts(r);
    read_scales(r);
    read_pooling(r);
    model_read_recurrence(r);
    model_read_rope(r);
    read_tempering(r);
}

/* -- */

/* The format that most bytes are in. */
static void name_format(const struct gguf *file, struct model *m)
{
    uint64_t most = 0;
    for (size_t i = 0; i < gguf_tensor_count(file); i++) {
        uint64_t bytes = 0;
        for (size_t j = 0; j < gguf_tensor_count(file); j++)
            if (gguf_tensor(file, j)->type == gguf_tensor(file, i)->type)
                bytes += gguf_tensor(file, j)->size;
        if (bytes > most) {
            most = bytes;
            snprintf(m->format, sizeof m->format, "%s", gguf_tensor_type_name(gguf_tensor(file, i)->type));
        }
    }
}

enum err model_open(const struct gguf *file, const struct pack *pack, struct model **out, struct note *note)
{
    struct model *m = mem_new(sizeof *m);
    struct model_reader r = {.file = file, .pack = pack, .m = m, .note = note};
    r.used = mem_array(gguf_tensor_count(file) + 1, sizeof *r.used);
    read_kind(&r);
    if (r.e == ERR_OK)
        read_numbers(&r);
    if (r.e == ERR_OK)
        model_read_tensors(&r);
    if (r.e == ERR_OK)
        model_refuse_keys(&r);
    if (r.e == ERR_OK)
        model_refuse_tensors(&r);
    free(r.used);
    if (r.e != ERR_OK) {
        if (r.e != ERR_UNSUPPORTED)
            note_add(note, " (fetch the file again, or convert it again)");
        model_free(m);
        return r.e;
    }
    name_format(file, m);
    *out = m;
    return ERR_OK;
}

void model_free(struct model *m)
{
    if (!m)
        return;
    for (uint32_t i = 0; m->layer && i < m->layers; i++) {
        free(m->layer[i].expert);
        free(m->layer[i].recurrent);
        if (m->layer[i].latent) {
            free(m->layer[i].latent->key_up);
            free(m->layer[i].latent->value_up);
            free(m->layer[i].latent);
        }
    }
    for (size_t i = 0; i < m->vectors_n; i++)
        free(m->vectors[i]);
    free(m->vectors);
    free(m->layer);
    free(m);
}
