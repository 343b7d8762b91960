/* Pairs of low rank beside a model's matrices; see the header. */
#include "inference/train/train_lora.h"

#include "base/hash.h"
#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- what can be trained -- */

/* What training has steps for, or what shows in the model itself (norms, biases, windows, turns). */
#define TRAINED_HAS                                                                                                    \
    (HAS_HALVES | HAS_HEAD_NORMS | HAS_POST_NORMS | HAS_EMBED_SCALE | HAS_GELU | HAS_SOFT_CAPS | MAY_BIASES |          \
     MAY_FUSED | MAY_EXPERTS | MAY_ROPE_FACTORS | HAS_NO_PRE_NORMS | HAS_LOCAL_TURNS | HAS_SCALES | MAY_SHARED |       \
     HAS_POST_NAME | HAS_STILL_WIDE | MUST_EXPERTS | MUST_SHARED | HAS_PARTS_OF_ALL)
#define TRAINED_MORE                                                                                                   \
    (MAY_LEAD | MAY_HEAD_NORMS | MAY_SECTIONS | MAY_TEMPER | MAY_STILL | MAY_WEIGH | HAS_SIGMOIDS | MAY_PREFER |       \
     HAS_WHOLE_SUMS | MAY_GROUPS | MAY_LOOK_AHEAD)

/* All layers have as many heads, as long, and matrices of their own. */
static bool are_alike(const struct model *m)
{
    for (uint32_t i = 0; i < m->layers; i++) {
        const struct model_layer *l = &m->layer[i];
        const bool turns = !l->is_still && m->rope_pairs;
        if (l->keys.of != i || l->keys.heads != m->heads_kv || l->keys.key_n != m->head || l->keys.value_n != m->head ||
            !l->query.w.data || !l->key.w.data || !l->value.w.data || !l->output.w.data ||
            (turns && l->pairs != m->rope_pairs))
            return false;
        if (l->expert ? !l->expert->gate.w.data || l->expert->gate.bias
                      : !l->gate.w.data || !l->up.w.data || l->down.w.n != m->mix)
            return false;
    }
    return true;
}

static const char *lacks(const struct model *m)
{
    if (!model_writes(m))
        return "models that only make vectors";
    if (m->latent)
        return "heads that share one row";
    if (m->layers_recurrent)
        return "layers that carry a state";
    if (m->cap_scores != 0.0f || m->cap_logits != 0.0f)
        return "soft caps of scores or logits";
    if (m->kind->has & ~(unsigned)TRAINED_HAS || m->kind->more & ~(unsigned)TRAINED_MORE)
        return "layers of another make than norms by the root of the mean square, attention and a gated product";
    return are_alike(m) ? NULL : "layers that differ in their heads or have keys of another";
}

enum err train_lora_check(const struct model *m, struct note *note)
{
    const char *what = lacks(m);
    if (!what)
        return ERR_OK;
    return note_set(note, ERR_UNSUPPORTED,
                    "a model of the architecture \"%s\" is not trained: there are no steps for %s", m->architecture,
                    what);
}

/* -- sites -- */

size_t train_place_rows(const struct model *m, enum train_place place)
{
    switch (place) {
    case TRAIN_QKV:
        return (size_t)(m->heads + 2 * m->heads_kv) * m->head;
    case TRAIN_MIX:
        return 2 * (size_t)m->mix;
    default:
        return m->embed;
    }
}

static void add_site(struct train_lora *l, uint32_t layer, const char *name, const struct model_product *w, size_t rows,
                     enum train_place place, size_t to)
{
    struct train_site *s = &l->site[l->sites_n++];
    snprintf(s->name, sizeof s->name, "blk.%u.%s", layer, name);
    s->w = w->w;
    s->low = w->low;
    s->w.rows = rows;
    s->low.up.rows = rows;
    s->place = place;
    s->to = to;
    l->values_n += (s->w.n + rows) * l->rank;
}

static bool is_fused(const struct gguf *file, uint32_t layer, const char *name)
{
    char whole[64];
    snprintf(whole, sizeof whole, "blk.%u.%s.weight", layer, name);
    return gguf_find_tensor(file, whole) != NULL;
}

static void add_layer(struct train_lora *l, const struct gguf *file, uint32_t i)
{
    const struct model *m = l->m;
    const struct model_layer *layer = &m->layer[i];
    const size_t q = (size_t)m->heads * m->head, kv = (size_t)m->heads_kv * m->head;
    if (is_fused(file, i, "attn_qkv")) {
        add_site(l, i, "attn_qkv", &layer->query, q + 2 * kv, TRAIN_QKV, 0);
    } else {
        add_site(l, i, "attn_q", &layer->query, q, TRAIN_QKV, 0);
        add_site(l, i, "attn_k", &layer->key, kv, TRAIN_QKV, q);
        add_site(l, i, "attn_v", &layer->value, kv, TRAIN_QKV, q + kv);
    }
    add_site(l, i, "attn_output", &layer->output, m->embed, TRAIN_OUTPUT, 0);
    if (layer->expert)
        return;
    if (is_fused(file, i, "ffn_gate")) {
        add_site(l, i, "ffn_gate", &layer->gate, m->mix, TRAIN_MIX, 0);
        add_site(l, i, "ffn_up", &layer->up, m->mix, TRAIN_MIX, m->mix);
    } else {
        add_site(l, i, "ffn_up", &layer->gate, 2 * (size_t)m->mix, TRAIN_MIX, 0);
    }
    add_site(l, i, "ffn_down", &layer->down, m->embed, TRAIN_DOWN, 0);
}

/* -- values -- */

/* A's begin as numbers of (-1, 1) / sqrt(n), 24 bits each, from a hash keyed with the seed, 8 at a time. */
static void draw(const struct train_site *s, uint32_t rank, uint64_t seed)
{
    uint8_t key[32] = {0}, from[sizeof s->name + 8];
    const size_t name_n = strlen(s->name), n = s->w.n;
    const float bound = (float)(1.0 / sqrt((double)n));
    store_le64(key, seed);
    memcpy(from, s->name, name_n);
    for (size_t i = 0; i < rank * n; i += 8) {
        store_le64(from + name_n, i / 8);
        struct hash h = hash_keyed(HASH_TRAIN, key, from, name_n + 8);
        for (size_t j = i; j < i + 8 && j < rank * n; j++) {
            float part = (float)(int32_t)(load_le32(h.b + 4 * (j - i)) >> 8) * 0x1p-23f - 1.0f;
            s->a[j % n * rank + j / n] = part * bound;
        }
    }
}

static void place_values(struct train_lora *l, uint64_t seed)
{
    size_t at = 0;
    l->value = mem_array(l->values_n, sizeof *l->value);
    l->gradient = mem_array(l->values_n, sizeof *l->gradient);
    for (size_t i = 0; i < l->sites_n; i++) {
        struct train_site *s = &l->site[i];
        s->a = l->value + at;
        s->da = l->gradient + at;
        at += s->w.n * l->rank;
        s->b = l->value + at;
        s->db = l->gradient + at;
        at += s->w.rows * l->rank;
        draw(s, l->rank, seed);
    }
}

struct train_lora *train_lora_new(const struct gguf *file, const struct model *m, uint32_t rank, float alpha,
                                  uint64_t seed)
{
    struct train_lora *l = mem_new(sizeof *l);
    l->m = m;
    l->rank = rank;
    l->scale = alpha / (float)(int32_t)rank;
    l->site = mem_array((size_t)m->layers * TRAIN_SITES_MAX, sizeof *l->site);
    l->first = mem_array((size_t)m->layers + 1, sizeof *l->first);
    for (uint32_t i = 0; i < m->layers; i++) {
        add_layer(l, file, i);
        l->first[i + 1] = l->sites_n;
    }
    place_values(l, seed);
    return l;
}

void train_lora_free(struct train_lora *l)
{
    if (!l)
        return;
    free(l->site);
    free(l->first);
    free(l->value);
    free(l->gradient);
    free(l);
}
