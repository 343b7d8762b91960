/* Layers that carry a state: the gated delta net of docs/arithmetic.md, and the gates of the attention beside it.
 *
 * What a row needs but the states of its heads is made row by row. Then each head of each sequence goes through the
 * rows of its sequence by itself, so that heads are what threads share. Guessed rows go on in a copy. */
#include "inference/engine/recur_in.h"

#include <math.h>
#include <string.h>

/* -- by rows -- */

/* Heads of keys have their values' rates one behind the other: first betas, then alphas. */
static void part_rates(const struct model *m, const float *raw, float *alpha, float *beta)
{
    const uint32_t each = m->values_n / m->keys_n;
    for (uint32_t h = 0; h < m->values_n; h++) {
        const float *group = raw + (size_t)h / each * 2 * each;
        beta[h] = group[h % each];
        alpha[h] = group[each + h % each];
    }
}

/* alpha and beta of a row, which stand where they go, become decay and beta. */
static void put_rates(const struct recur_step *t, float *alpha, float *beta)
{
    const struct model_recurrent *l = t->l->recurrent;
    for (uint32_t h = 0; h < t->e->m->values_n; h++) {
        alpha[h] = arith_exp(l->rate[h] * arith_softplus(alpha[h] + l->bias[h]));
        beta[h] = 1.0f / (1.0f + arith_exp(-beta[h]));
    }
}

static void rates_part(void *arg, size_t first, size_t end)
{
    const struct recur_step *t = arg;
    const struct model *m = t->e->m;
    const struct recur *r = t->e->recur;
    const size_t n = m->values_n;
    for (size_t c = first; c < end; c++) {
        float *rates = r->rates + c * 2 * n;
        if (t->l->recurrent->alpha.w.data) {
            memcpy(rates, r->raw + c * n, n * sizeof *rates);
            memcpy(rates + n, r->raw + (t->e->n + c) * n, n * sizeof *rates);
        } else {
            part_rates(m, r->raw + c * 2 * n, rates, rates + n);
        }
        if (!t->e->ops->finite(recur_entry_of(t->e, (uint32_t)c), m->channels) || !t->e->ops->finite(rates, 2 * n))
            t->e->finite[c] = false;
        put_rates(t, rates, rates + n);
    }
}

static void mix_part(void *arg, size_t first, size_t end)
{
    const struct recur_step *t = arg;
    const struct model *m = t->e->m;
    const float by = 1.0f / sqrtf((float)(int32_t)m->side);
    for (size_t c = first; c < end; c++) {
        float *x = t->e->recur->mixed + c * m->channels;
        recur_convolve(t, (uint32_t)c, x);
        t->e->ops->silu(x, m->channels);
        for (uint32_t h = 0; h < 2 * m->keys_n; h++)
            t->e->ops->unit(x + (size_t)h * m->side, m->side, m->epsilon, h < m->keys_n ? by : 1.0f);
    }
}

/* Heads of e->o are normed and gated. */
static void finish_part(void *arg, size_t first, size_t end)
{
    const struct recur_step *t = arg;
    const struct model *m = t->e->m;
    const size_t n = m->side, all = m->values_n * n;
    for (size_t c = first; c < end; c++) {
        float *o = t->e->o + c * all;
        for (uint32_t h = 0; h < m->values_n; h++)
            t->e->ops->norm(o + h * n, t->l->recurrent->norm.gain, m->epsilon, n, o + h * n);
        t->e->ops->gated_silu(t->e->recur->gate + c * all, o, all, o);
    }
}

/* -- by heads -- */

#define RUN 64 /* positions that a head goes through at once */

struct run {
    const struct recur_step *t;
    uint32_t head;
    float *state;
    struct ops_delta row[RUN];
    size_t n;
};

static void finish_run(struct run *r)
{
    if (r->n > 0)
        r->t->e->ops->delta(r->state, r->t->e->m->side, r->row, r->n);
    r->n = 0;
}

/* A position whose convolution and rates are given. out NULL: nobody asks. */
static void add_row(struct run *r, const float *mixed, const float *rates, float *out)
{
    const struct model *m = r->t->e->m;
    const size_t n = m->side, head = r->head;
    const size_t key = m->kind->more & HAS_TILED_HEADS ? head % m->keys_n : head / (m->values_n / m->keys_n);
    if (r->n == RUN)
        finish_run(r);
    r->row[r->n++] = (struct ops_delta){.q = mixed + key * n,
                                        .k = mixed + (m->keys_n + key) * n,
                                        .v = mixed + (2 * (size_t)m->keys_n + head) * n,
                                        .decay = rates[head],
                                        .beta = rates[m->values_n + head],
                                        .out = out};
}

static float *head_of(const struct recur_step *t, float *state, uint32_t head)
{
    const struct model *m = t->e->m;
    return recur_state_of(t, state) + recur_history_floats(m) + (size_t)head * m->side * m->side;
}

static void run_head(const struct recur_step *t, uint32_t c, uint32_t head)
{
    const struct engine *e = t->e;
    const struct model *m = e->m;
    const struct recur *r = e->recur;
    struct state *s = &e->rows[c].seq->state;
    const size_t all = (size_t)m->values_n * m->side, bytes = (size_t)m->side * m->side * sizeof(float);
    struct run run;
    run.t = t;
    run.head = head;
    run.state = head_of(t, s->now, head);
    run.n = 0;
    for (uint32_t i = 0; i < s->guessed; i++) {
        const float *guess = recur_guess_of(t, s, i);
        add_row(&run, guess + m->channels, guess + 2 * (size_t)m->channels, NULL);
    }
    for (bool ahead = false; c != NONE; c = r->after[c]) {
        if (e->rows[c].guessed && !ahead) {
            finish_run(&run);
            run.state = memcpy(s->ahead + (size_t)head * m->side * m->side, run.state, bytes);
            ahead = true;
        }
        add_row(&run, r->mixed + (size_t)c * m->channels, r->rates + (size_t)c * 2 * m->values_n,
                e->o + c * all + (size_t)head * m->side);
        if (r->kept[c]) {
            finish_run(&run);
            memcpy(head_of(t, r->kept[c], head), run.state, bytes);
        }
    }
    finish_run(&run);
}

static void heads_part(void *arg, size_t first, size_t end)
{
    const struct recur_step *t = arg;
    const uint32_t heads = t->e->m->values_n;
    for (size_t i = first; i < end; i++)
        run_head(t, t->e->recur->first[i / heads], (uint32_t)(i % heads));
}

void delta_run(struct recur_step *t, const float *x, size_t cols)
{
    struct engine *e = t->e;
    struct recur *r = e->recur;
    const struct model_recurrent *l = t->l->recurrent;
    const size_t n = e->m->values_n;
    const bool has_alpha = l->alpha.w.data != NULL;
    struct ops_input in = engine_input(e, x, e->m->embed, cols, e->slot, &l->in.w, &l->gate.w, &l->beta.w);
    engine_product(e, &l->in, &in, r->in);
    engine_product(e, &l->gate, &in, r->gate);
    engine_product(e, &l->beta, &in, has_alpha ? r->raw + cols * n : r->raw);
    if (has_alpha && l->alpha.w.type != l->beta.w.type)
        in = engine_input(e, x, e->m->embed, cols, e->slot, &l->alpha.w, NULL, NULL);
    if (has_alpha)
        engine_product(e, &l->alpha, &in, r->raw);
    pool_run(e->pool, cols, 1, rates_part, t);
    pool_run(e->pool, r->chains, 1, recur_take_part, t);
    pool_run(e->pool, cols, 1, mix_part, t);
    pool_run(e->pool, r->chains * n, 1, heads_part, t);
    pool_run(e->pool, cols, 1, finish_part, t);
    pool_run(e->pool, r->chains, 1, recur_leave_part, t);
}

/* -- attention's gates -- */

float *recur_queries(struct engine *e)
{
    return e->recur->in;
}

static void part_queries_part(void *arg, size_t first, size_t end)
{
    struct engine *e = arg;
    const size_t n = e->m->head, heads = e->m->heads;
    for (size_t i = first * heads; i < end * heads; i++) {
        memcpy(e->q + i * n, e->recur->in + 2 * i * n, n * sizeof *e->q);
        memcpy(e->recur->gate + i * n, e->recur->in + (2 * i + 1) * n, n * sizeof *e->q);
    }
}

void recur_part_queries(struct engine *e, size_t cols)
{
    pool_run(e->pool, cols, 1, part_queries_part, e);
}

static void gate_part(void *arg, size_t first, size_t end)
{
    struct engine *e = arg;
    const size_t n = (size_t)e->m->heads * e->m->head;
    for (size_t c = first; c < end; c++)
        e->ops->times_sigmoid(e->o + c * n, e->recur->gate + e->slot[c] * n, n);
}

void recur_gate(struct engine *e, size_t cols)
{
    pool_run(e->pool, cols, 1, gate_part, e);
}
