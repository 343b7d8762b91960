/* Which layers of a model are recurrent, and how long their parts are. */
#include "base/limits.h"
#include "inference/engine/model_read.h"

static void read_taps(struct model_reader *r, const char *key)
{
    r->m->taps = model_number(r, key, TAPS_MAX, 0);
    if (r->e == ERR_OK && r->m->taps < 2)
        model_fail(r, ERR_UNSUPPORTED, key, r->m->taps, "a convolution is over two positions at least");
}

/* Queries, keys and values go through a convolution; each head of values has a state of side x side. */
static void read_delta_net(struct model_reader *r)
{
    struct model *m = r->m;
    read_taps(r, "ssm.conv_kernel");
    m->side = model_number(r, "ssm.state_size", SIDE_MAX, 0);
    m->keys_n = model_number(r, "ssm.group_count", HEADS_MAX, 0);
    m->values_n = model_number(r, "ssm.time_step_rank", HEADS_MAX, 0);
    uint32_t inner = model_number(r, "ssm.inner_size", EMBED_MAX * 8, 0);
    if (r->e != ERR_OK)
        return;
    if (m->side % ARITH_LANES)
        model_fail(r, ERR_UNSUPPORTED, "ssm.state_size", m->side, "only multiples of 16 run here");
    if (m->values_n % m->keys_n)
        model_fail(r, ERR_RANGE, "ssm.group_count", m->keys_n, "does not divide the heads of values");
    if (inner != m->values_n * m->side)
        model_fail(r, ERR_UNSUPPORTED, "ssm.inner_size", inner, "values of another length than keys are not run");
    m->channels = (2 * m->keys_n + m->values_n) * m->side;
    if (m->channels > EMBED_MAX * 8)
        model_fail(r, ERR_RANGE, "ssm.group_count", m->keys_n, "all heads together are over the limit");
}

static bool has_delta_net(struct model_reader *r, uint32_t layer)
{
    const uint32_t interval = model_number(r, "full_attention_interval", LAYERS_MAX, 4);
    if (model_has_list(r, "attention.recurrent_layers"))
        return model_flag_at(r, "attention.recurrent_layers", layer, r->m->layers + r->m->layers_ahead);
    return interval && (layer + 1) % interval != 0;
}

bool model_is_recurrent(struct model_reader *r, uint32_t layer)
{
    const char *key = "attention.head_count_kv";
    if (r->m->kind->more & HAS_DELTA_NET)
        return has_delta_net(r, layer);
    return (r->m->kind->more & HAS_SHORT_CONVS) && model_has_list(r, key) && model_number_at(r, key, layer) == 0;
}

/* Heads with both and without are run, models that have only one kind of layers are none that anybody made. */
static void check_mixture(struct model_reader *r)
{
    uint32_t recurrent = 0;
    for (uint32_t i = 0; r->e == ERR_OK && i < r->m->layers; i++)
        recurrent += model_is_recurrent(r, i);
    if (r->e == ERR_OK && (recurrent == 0 || recurrent == r->m->layers))
        model_fail(r, ERR_UNSUPPORTED, "layers that carry a state", recurrent,
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
}
