/* What the layers of a model have, and how long the parts of recurrent ones are. */
#include "base/limits.h"
#include "inference/engine/model_read.h"

static void read_taps(struct model_reader *r, const char *key)
{
    r->m->taps = model_number(r, key, TAPS_MAX, 0);
    if (r->e == ERR_OK && r->m->taps < 2)
        model_fail(r, ERR_UNSUPPORTED, key, r->m->taps, "a convolution is over two positions at least");
}

static void set_channels(struct model_reader *r)
{
    struct model *m = r->m;
    uint64_t channels = 2ull * m->keys_n * m->depth + (uint64_t)m->values_n * m->side;
    if (channels > EMBED_MAX * 8)
        model_fail(r, ERR_RANGE, "ssm.group_count", m->keys_n, "all heads together are over the limit");
    else
        m->channels = (uint32_t)channels;
}

/* Heads of values, in as many groups as there are heads of keys. The sum of the values' lengths; 0 if it cannot be. */
static uint32_t read_heads(struct model_reader *r)
{
    struct model *m = r->m;
    read_taps(r, "ssm.conv_kernel");
    m->depth = model_number(r, "ssm.state_size", SIDE_MAX, 0);
    m->keys_n = model_number(r, "ssm.group_count", HEADS_MAX, 0);
    m->values_n = model_number(r, "ssm.time_step_rank", HEADS_MAX, 0);
    const uint32_t inner = model_number(r, "ssm.inner_size", EMBED_MAX * 8, 0);
    if (r->e != ERR_OK)
        return 0;
    if (m->values_n % m->keys_n)
        model_fail(r, ERR_RANGE, "ssm.group_count", m->keys_n, "does not divide the heads of values");
    return r->e == ERR_OK ? inner : 0;
}

/* Queries, keys and values go through a convolution; each head of values has a state of side x side. */
static void read_delta_net(struct model_reader *r)
{
    struct model *m = r->m;
    const uint32_t inner = read_heads(r);
    if (!inner)
        return;
    m->side = m->depth;
    if (m->side % ARITH_LANES)
        model_fail(r, ERR_UNSUPPORTED, "ssm.state_size", m->side, "only multiples of 16 run here");
    if (inner != m->values_n * m->side)
        model_fail(r, ERR_UNSUPPORTED, "ssm.inner_size", inner, "values of another length than keys are not run");
    set_channels(r);
}

/* Values go through a convolution with keys and queries, one of each for a group. */
static void read_scan(struct model_reader *r)
{
    struct model *m = r->m;
    const uint32_t inner = read_heads(r);
    if (!inner)
        return;
    m->side = inner / m->values_n;
    if (inner % m->values_n || m->side % ARITH_LANES || m->side > SIDE_MAX)
        model_fail(r, ERR_UNSUPPORTED, "ssm.inner_size", inner,
                   "of each head of values (ssm.time_step_rank) only multiples of 16 up to 256 run here");
    set_channels(r);
}

static bool has_delta_net(struct model_reader *r, uint32_t layer)
{
    const uint32_t interval = model_number(r, "full_attention_interval", LAYERS_MAX, 4);
    if (model_has_list(r, "attention.recurrent_layers"))
        return model_flag_at(r, "attention.recurrent_layers", layer, r->m->layers + r->m->layers_ahead);
    return interval && (layer + 1) % interval != 0;
}

/* By lists that have an element for each layer, 0 where it has none. */
static bool has_any(struct model_reader *r, const char *key, uint32_t layer)
{
    return !model_has_list(r, key) || model_number_at(r, key, layer) != 0;
}

unsigned model_parts(struct model_reader *r, uint32_t layer)
{
    const unsigned more = r->m->kind->more;
    const bool is_one = more & HAS_ONE_BRANCH, mixes = !is_one || has_any(r, "feed_forward_length", layer);
    const bool has_keys = has_any(r, "attention.head_count_kv", layer);
    if (more & HAS_DELTA_NET)
        return MODEL_MIX | (has_delta_net(r, layer) ? MODEL_STATE : MODEL_ATTENTION);
    if (more & HAS_BOTH)
        return MODEL_MIX | MODEL_STATE | MODEL_ATTENTION;
    if (!(more & (HAS_SHORT_CONVS | HAS_SCAN)))
        return MODEL_MIX | MODEL_ATTENTION;
    if (is_one && mixes && has_keys)
        model_fail(r, ERR_UNSUPPORTED, "layer", layer, "of this architecture a layer has heads of keys or a mix");
    if (is_one && mixes)
        return MODEL_MIX;
    return (mixes ? MODEL_MIX : 0u) | (has_keys ? MODEL_ATTENTION : MODEL_STATE);
}

/* Heads with both and without are run, models that have only one kind of layers are none that anybody made. */
static void check_mixture(struct model_reader *r)
{
    uint32_t states = 0, attentions = 0;
    for (uint32_t i = 0; r->e == ERR_OK && i < r->m->layers; i++) {
        const unsigned parts = model_parts(r, i);
        states += (parts & MODEL_STATE) != 0;
        attentions += (parts & MODEL_ATTENTION) != 0;
    }
    if (r->e == ERR_OK && (states == 0 || attentions == 0))
        model_fail(r, ERR_UNSUPPORTED, "layers that carry a state", states,
                   "of this architecture some must, and some have attention");
}

void model_read_recurrence(struct model_reader *r)
{
    if (r->m->kind->more & HAS_SHORT_CONVS) {
        read_taps(r, "shortconv.l_cache");
        r->m->channels = r->m->embed;
    }
    if (r->m->kind->more & HAS_DELTA_NET) {
        read_delta_net(r);
        check_mixture(r);
    }
    if (r->m->kind->more & HAS_SCAN) {
        read_scan(r);
        check_mixture(r);
    }
}
