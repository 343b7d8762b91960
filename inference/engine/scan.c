/* Layers that carry a state: the state space of docs/arithmetic.md (Mamba-2). What a row needs but the states of its
 * heads is made row by row, then heads go through their rows (recur.c). */
#include "inference/engine/recur_in.h"
#include "inference/kernels/arith.h"

#include <string.h>

/* -- by rows -- */

/* Of a row's raw steps the decays and the steps. */
static void put_rates(const struct recur_step *t, const float *raw, float *decay, float *step)
{
    const struct model_recurrent *l = t->l->recurrent;
    for (uint32_t h = 0; h < t->e->m->values_n; h++) {
        step[h] = arith_softplus(raw[h] + l->bias[h]);
        decay[h] = arith_exp(step[h] * l->rate[h]);
    }
}

static void rates_part(void *arg, size_t first, size_t end)
{
    const struct recur_step *t = arg;
    const struct engine *e = t->e;
    const struct recur *r = e->recur;
    const size_t n = e->m->values_n;
    for (size_t c = first; c < end; c++) {
        const float *raw = r->raw + c * n;
        if (!e->ops->finite(recur_entry_of(e, (uint32_t)c), e->m->channels) || !e->ops->finite(raw, n))
            e->finite[c] = false;
        put_rates(t, raw, r->rates + c * 2 * n, r->rates + (c * 2 + 1) * n);
    }
}

static void mix_part(void *arg, size_t first, size_t end)
{
    const struct recur_step *t = arg;
    const struct engine *e = t->e;
    const size_t n = e->m->channels;
    for (size_t c = first; c < end; c++) {
        float *x = e->recur->mixed + c * n;
        recur_convolve(t, (uint32_t)c, x);
        if (t->l->recurrent->taps_bias)
            e->ops->add(x, t->l->recurrent->taps_bias, n);
        e->ops->silu(x, n);
    }
}

/* Heads of e->o get what goes through, and are gated, then normed in as many groups as there are heads of keys. */
static void finish_part(void *arg, size_t first, size_t end)
{
    const struct recur_step *t = arg;
    const struct engine *e = t->e;
    const struct model *m = e->m;
    const struct model_recurrent *l = t->l->recurrent;
    const size_t n = m->side, all = m->values_n * n, group = all / m->keys_n;
    for (size_t c = first; c < end; c++) {
        float *o = e->o + c * all;
        for (uint32_t h = 0; h < m->values_n; h++)
            e->ops->add_scaled(o + h * n, e->recur->mixed + c * m->channels + h * n, l->through[h], n);
        e->ops->gated_silu(e->recur->gate + c * all, o, all, o);
        for (size_t i = 0; l->norm.gain && i < all; i += group)
            e->ops->norm(o + i, l->norm.gain + i, m->epsilon, group, o + i);
    }
}

/* -- by heads -- */

/* What the convolution leaves is values, keys, queries. */
static struct ops_delta row_of(const struct model *m, uint32_t head, const float *mixed, const float *rates)
{
    const size_t values = (size_t)m->values_n * m->side, key = (size_t)(head / (m->values_n / m->keys_n)) * m->depth;
    const float *k = mixed + values + key;
    return (struct ops_delta){.q = k + (size_t)m->keys_n * m->depth,
                              .k = k,
                              .v = mixed + (size_t)head * m->side,
                              .decay = rates[head],
                              .beta = rates[m->values_n + head]};
}

void scan_run(struct recur_step *t, const float *x, size_t cols)
{
    struct engine *e = t->e;
    struct recur *r = e->recur;
    const struct model_recurrent *l = t->l->recurrent;
    t->row = row_of;
    struct ops_input in = engine_input(e, x, e->m->embed, cols, e->slot, &l->in.w, NULL, NULL);
    engine_product(e, &l->in, &in, r->in);
    engine_product(e, &l->gate, &in, r->gate);
    engine_product(e, &l->beta, &in, r->raw);
    pool_run(e->pool, cols, 1, rates_part, t);
    pool_run(e->pool, r->chains, 1, recur_take_part, t);
    pool_run(e->pool, cols, 1, mix_part, t);
    pool_run(e->pool, r->chains * (size_t)e->m->values_n, 1, recur_heads_part, t);
    pool_run(e->pool, cols, 1, finish_part, t);
    pool_run(e->pool, r->chains, 1, recur_leave_part, t);
}
