/* A mixture of experts in a pass, forth and back; see the header. Nothing of it is trained: what flows back goes
 * through the experts and through the weights that the router gives them. Which experts a position goes to has no
 * gradient. Nothing is kept on the way forth; the way back makes scores, gates and ups again. */
#include "base/mem.h"
#include "inference/engine/moe.h"
#include "inference/kernels/arith_fn.h"
#include "inference/train/train_pass_in.h"
#include "inference/train/train_rows.h"

#include <stdlib.h>
#include <string.h>

struct train_moe {
    float *memory;
    float *score;         /* [experts, t]: e^(score - the largest), or sigmoids; going back the scores' gradients */
    float *part;          /* [experts, t]: of the sum that they are divided by */
    float *weight, *more; /* [experts, t] of what an expert makes; its gradient */
    float *x, *d, *made;  /* [embed, t]: columns of one expert */
    float *mix, *dmix;    /* [2 widest, t]: gate and up */
    float *act, *dact;    /* [widest, t] */
    float *gate, *dgate;  /* [t] of the shared expert */
    uint8_t *takes;       /* [experts, t] */
    uint32_t *column;     /* [t] of one expert */
};

static size_t widest(const struct model *m)
{
    return m->expert_mix > m->shared_mix ? m->expert_mix : m->shared_mix;
}

static size_t floats(const struct model *m)
{
    return 4 * (size_t)m->experts + 3 * (size_t)m->embed + 6 * widest(m) + 2;
}

uint64_t train_moe_bytes(const struct model *m, size_t t)
{
    return m->experts ? (uint64_t)t * (4 * floats(m) + m->experts + 4) : 0;
}

struct train_moe *train_moe_new(const struct model *m, size_t t)
{
    if (!m->experts)
        return NULL;
    struct train_moe *e = mem_new(sizeof *e);
    float *at = e->memory = mem_array(floats(m) * t, sizeof *at);
    float **const scores[] = {&e->score, &e->part, &e->weight, &e->more}, **const streams[] = {&e->x, &e->d, &e->made},
                  **const mixes[] = {&e->act, &e->dact}, **const ones[] = {&e->gate, &e->dgate};
    for (size_t i = 0; i < 4; i++, at += m->experts * t)
        *scores[i] = at;
    for (size_t i = 0; i < 3; i++, at += m->embed * t)
        *streams[i] = at;
    for (size_t i = 0; i < 2; i++, at += widest(m) * t)
        *mixes[i] = at;
    e->mix = at;
    e->dmix = at += 2 * widest(m) * t;
    at += 2 * widest(m) * t;
    for (size_t i = 0; i < 2; i++, at += t)
        *ones[i] = at;
    e->takes = mem_array(m->experts * t, 1);
    e->column = mem_array(t, sizeof *e->column);
    return e;
}

void train_moe_free(struct train_moe *e)
{
    if (!e)
        return;
    free(e->memory);
    free(e->takes);
    free(e->column);
    free(e);
}

/* -- the router -- */

struct moe_step {
    struct train_pass *p;
    const struct model_layer *l;
    const float *x, *d, *bias;
    float *out;
    size_t n, mix; /* rows, or columns of an expert; its length */
};

/* A position's scores become what weights are made of, by[] what experts are chosen by; the sum over all. */
static float like(const struct moe_step *s, size_t i, float *by)
{
    const struct model *m = s->p->m;
    const size_t t = s->p->t;
    float *score = s->p->moe->score + i, largest = score[0], all = 0.0f;
    for (size_t e = 0; e < m->experts; e++) {
        by[e] = score[e * t];
        largest = by[e] > largest ? by[e] : largest;
    }
    for (size_t e = 0; e < m->experts; e++) {
        score[e * t] = m->by_sigmoid ? 1.0f / (1.0f + arith_fn_exp(-by[e])) : arith_fn_exp(by[e] - largest);
        all = all + score[e * t];
    }
    if (m->by_sigmoid)
        all = 1.0f;
    for (size_t e = 0; e < m->experts && (m->by_sigmoid || s->l->preference); e++)
        by[e] = score[e * t] / all + (s->l->preference ? s->l->preference[e] : 0.0f);
    return all;
}

static float scale_of(const struct moe_step *s, size_t expert)
{
    return s->l->importance ? s->l->importance[expert] : s->p->m->expert_scale;
}

static void route_part(void *arg, size_t first, size_t end)
{
    const struct moe_step *s = arg;
    const struct model *m = s->p->m;
    struct train_moe *moe = s->p->moe;
    const size_t t = s->p->t;
    for (size_t i = first * TRAIN_PASS_CUT; i < end * TRAIN_PASS_CUT; i++) {
        float by[EXPERTS_MAX], sum = like(s, i, by);
        uint32_t chosen[EXPERTS_MAX];
        moe_pick(m, by, by, chosen);
        for (size_t e = 0; e < m->experts; e++)
            moe->takes[e * t + i] = 0;
        for (size_t k = 0; k < m->experts_used; k++)
            moe->takes[chosen[k] * t + i] = 1;
        if (!m->parts_of_all) {
            sum = 0.0f;
            for (size_t e = 0; e < m->experts; e++)
                sum = moe->takes[e * t + i] ? sum + moe->score[e * t + i] : sum;
        }
        for (size_t e = 0; e < m->experts; e++) {
            moe->part[e * t + i] = moe->score[e * t + i] / sum;
            moe->weight[e * t + i] = moe->part[e * t + i] * scale_of(s, e);
        }
    }
}

static void route(struct train_pass *p, const struct model_layer *l, const float *x)
{
    struct moe_step s = {.p = p, .l = l};
    train_pass_weigh(p, &l->router.w, p->t, x, p->moe->score, false);
    train_pass_bias(p, l->router.bias, p->m->experts, p->moe->score);
    pool_run(p->o.pool, p->t / TRAIN_PASS_CUT, 1, route_part, &s);
}

/* moe->score: from `more`, the gradients of weights, those of scores. */
static void route_back_part(void *arg, size_t first, size_t end)
{
    const struct moe_step *s = arg;
    const struct model *m = s->p->m;
    struct train_moe *moe = s->p->moe;
    const size_t t = s->p->t;
    const bool is_divided = !(m->by_sigmoid && m->parts_of_all);
    for (size_t i = first * TRAIN_PASS_CUT; i < end * TRAIN_PASS_CUT; i++) {
        float mean = 0.0f;
        for (size_t e = 0; e < m->experts; e++) {
            float *more = &moe->more[e * t + i];
            *more = moe->takes[e * t + i] ? *more * scale_of(s, e) : 0.0f;
            if (moe->takes[e * t + i])
                mean = mean + moe->part[e * t + i] * *more;
        }
        for (size_t e = 0; e < m->experts; e++) {
            float *score = &moe->score[e * t + i], d = moe->more[e * t + i];
            const bool counts = moe->takes[e * t + i] || (m->parts_of_all && !m->by_sigmoid);
            d = moe->part[e * t + i] * (is_divided ? d - mean : d);
            *score = counts ? (m->by_sigmoid ? d * (1.0f - *score) : d) : 0.0f;
        }
    }
}

/* -- columns -- */

/* Positions that go to an expert. */
static size_t find_columns(struct train_pass *p, uint32_t expert)
{
    size_t n = 0;
    for (size_t i = 0; i < p->t; i++)
        if (p->moe->takes[expert * p->t + i])
            p->moe->column[n++] = (uint32_t)i;
    return n;
}

/* out[.., n], columns of x[.., t]. */
static void gather_part(void *arg, size_t first, size_t end)
{
    const struct moe_step *s = arg;
    for (size_t f = first; f < end; f++)
        for (size_t j = 0; j < s->n; j++)
            s->out[f * s->n + j] = s->x[f * s->p->t + s->p->moe->column[j]];
}

static void gather(struct train_pass *p, const float *x, size_t n, float *out)
{
    struct moe_step s = {.p = p, .x = x, .out = out, .n = n};
    pool_run(p->o.pool, p->m->embed, 16, gather_part, &s);
}

/* And back: added to out[.., t], times the expert's weights where there is one (`d`). */
static void scatter_part(void *arg, size_t first, size_t end)
{
    const struct moe_step *s = arg;
    for (size_t f = first; f < end; f++)
        for (size_t j = 0; j < s->n; j++) {
            const size_t i = s->p->moe->column[j];
            float *to = s->out + f * s->p->t + i, x = s->x[f * s->n + j];
            *to = *to + (s->d ? x * s->d[i] : x);
        }
}

static void scatter(struct train_pass *p, const float *x, const float *weight, size_t n, float *out)
{
    struct moe_step s = {.p = p, .x = x, .d = weight, .out = out, .n = n};
    pool_run(p->o.pool, p->m->embed, 16, scatter_part, &s);
}

/* -- an expert -- */

/* One, or the shared one, whose columns are all. */
struct mixer {
    const struct model_product *gate, *up, *down;
    size_t mix, n;       /* its length; columns */
    const float *weight; /* [n] */
};

static void gate_part(void *arg, size_t first, size_t end)
{
    const struct moe_step *s = arg;
    const size_t n = end - first, all = s->n;
    const bool gelu = s->p->m->kind->has & HAS_GELU;
    if (s->d)
        train_gate_back(s->x + first, s->x + all + first, s->d + first, n, gelu, s->out + first, s->out + all + first);
    else
        train_gate(s->x + first, s->x + all + first, n, gelu, s->out + first);
}

static void frozen(struct train_pass *p, const struct model_product *w, size_t n, const float *x, float *y)
{
    train_pass_frozen(p, &w->w, &w->low, n, x, y);
    for (size_t r = 0; w->bias && r < w->w.rows; r++)
        for (size_t i = 0; i < n; i++)
            y[r * n + i] = y[r * n + i] + w->bias[r];
}

/* moe->mix and moe->act of x[embed, n]. */
static void run_gate(struct train_pass *p, const struct mixer *e, const float *x)
{
    struct train_moe *moe = p->moe;
    struct moe_step s = {.p = p, .x = moe->mix, .out = moe->act, .n = e->mix * e->n};
    frozen(p, e->gate, e->n, x, moe->mix);
    frozen(p, e->up, e->n, x, moe->mix + e->mix * e->n);
    pool_run(p->o.pool, e->mix * e->n, 256, gate_part, &s);
}

/* `more`, the gradient of each column's weight, and moe->dact times the weight. */
static void weight_part(void *arg, size_t first, size_t end)
{
    const struct moe_step *s = arg;
    const struct train_moe *moe = s->p->moe;
    const size_t n = s->n, mix = s->mix;
    for (size_t j = first; j < end; j++) {
        float sum = 0.0f;
        for (size_t f = 0; f < mix; f++) {
            float *d = &moe->dact[f * n + j];
            sum = sum + moe->act[f * n + j] * *d;
            *d = *d * s->x[j];
        }
        for (size_t f = 0; s->bias && f < s->p->m->embed; f++)
            sum = sum + s->d[f * n + j] * s->bias[f];
        s->out[j] = sum;
    }
}

/* From d[embed, n], the gradient of what is added with the weights: that of the input, set or gone on with, and those
 * of the weights. */
static void run_back(struct train_pass *p, const struct mixer *e, const float *x, const float *d, float *dx, bool add,
                     float *dweight)
{
    struct train_moe *moe = p->moe;
    struct moe_step w = {.p = p, .x = e->weight, .d = d, .bias = e->down->bias, .out = dweight, .n = e->n};
    w.mix = e->mix;
    struct moe_step s = {.p = p, .x = moe->mix, .d = moe->dact, .out = moe->dmix, .n = e->mix * e->n};
    run_gate(p, e, x);
    train_pass_frozen_back(p, &e->down->w, &e->down->low, e->n, d, moe->dact, false);
    pool_run(p->o.pool, e->n, 8, weight_part, &w);
    pool_run(p->o.pool, e->mix * e->n, 256, gate_part, &s);
    train_pass_frozen_back(p, &e->gate->w, &e->gate->low, e->n, moe->dmix, dx, add);
    train_pass_frozen_back(p, &e->up->w, &e->up->low, e->n, moe->dmix + e->mix * e->n, dx, true);
}

static struct mixer mixer_of(const struct model *m, const struct model_layer *l, uint32_t expert, size_t n)
{
    const struct model_expert *x = &l->expert[expert];
    return (struct mixer){.gate = &x->gate, .up = &x->up, .down = &x->down, .mix = m->expert_mix, .n = n};
}

static struct mixer shared_of(const struct train_pass *p, const struct model_layer *l)
{
    return (struct mixer){
        .gate = &l->gate, .up = &l->up, .down = &l->down, .mix = p->m->shared_mix, .n = p->t, .weight = p->moe->gate};
}

/* How much of the shared expert each position takes. */
static void open_gate(struct train_pass *p, const struct model_layer *l, const float *x)
{
    float *gate = p->moe->gate;
    if (l->shared_gate.data)
        train_pass_weigh(p, &l->shared_gate, p->t, x, gate, false);
    for (size_t i = 0; i < p->t; i++)
        gate[i] = l->shared_gate.data ? 1.0f / (1.0f + arith_fn_exp(-gate[i])) : 1.0f;
}

/* -- forth and back -- */

void train_pass_experts(struct train_pass *p, uint32_t layer, const float *x, float *y)
{
    const struct model *m = p->m;
    const struct model_layer *l = &m->layer[layer];
    struct train_moe *moe = p->moe;
    route(p, l, x);
    memset(y, 0, m->embed * p->t * sizeof *y);
    for (uint32_t i = 0; i < m->experts; i++) {
        const struct mixer e = mixer_of(m, l, i, find_columns(p, i));
        if (!e.n)
            continue;
        gather(p, x, e.n, moe->x);
        run_gate(p, &e, moe->x);
        frozen(p, e.down, e.n, moe->act, moe->made);
        scatter(p, moe->made, moe->weight + i * p->t, e.n, y);
    }
    if (!m->shared_mix)
        return;
    const struct mixer e = shared_of(p, l);
    open_gate(p, l, x);
    run_gate(p, &e, x);
    frozen(p, e.down, e.n, moe->act, moe->made);
    for (size_t i = 0; i < p->t; i++)
        moe->column[i] = (uint32_t)i;
    scatter(p, moe->made, moe->gate, p->t, y);
}

static void shared_back(struct train_pass *p, const struct model_layer *l, const float *x, const float *dy, float *dx)
{
    struct train_moe *moe = p->moe;
    const struct mixer e = shared_of(p, l);
    open_gate(p, l, x);
    run_back(p, &e, x, dy, dx, true, moe->dgate);
    if (!l->shared_gate.data)
        return;
    for (size_t i = 0; i < p->t; i++)
        moe->dgate[i] = moe->dgate[i] * (moe->gate[i] * (1.0f - moe->gate[i]));
    train_pass_weigh_back(p, &l->shared_gate, p->t, moe->dgate, dx, true);
}

void train_pass_experts_back(struct train_pass *p, uint32_t layer, const float *x, const float *dy, float *dx)
{
    const struct model *m = p->m;
    const struct model_layer *l = &m->layer[layer];
    struct train_moe *moe = p->moe;
    const size_t t = p->t;
    struct moe_step s = {.p = p, .l = l};
    route(p, l, x);
    memset(dx, 0, m->embed * t * sizeof *dx);
    for (uint32_t i = 0; i < m->experts; i++) {
        struct mixer e = mixer_of(m, l, i, find_columns(p, i));
        float *weight = moe->gate, *dweight = moe->dgate;
        if (!e.n)
            continue;
        for (size_t j = 0; j < e.n; j++)
            weight[j] = moe->weight[i * t + moe->column[j]];
        e.weight = weight;
        gather(p, x, e.n, moe->x);
        gather(p, dy, e.n, moe->d);
        run_back(p, &e, moe->x, moe->d, moe->made, false, dweight);
        scatter(p, moe->made, NULL, e.n, dx);
        for (size_t j = 0; j < e.n; j++)
            moe->more[i * t + moe->column[j]] = dweight[j];
    }
    pool_run(p->o.pool, t / TRAIN_PASS_CUT, 1, route_back_part, &s);
    train_pass_weigh_back(p, &l->router.w, t, moe->score, dx, true);
    if (m->shared_mix)
        shared_back(p, l, x, dy, dx);
}
