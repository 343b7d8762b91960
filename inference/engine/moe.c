/* A mixture of experts: each row of the batch goes to the few experts that its router likes best. Rows of one expert
 * are gathered and multiplied together; what comes back is put aside by row and rank, and added rank by rank, so the
 * order of the sum is a row's own. An expert that all rows share is added behind. */
#include "inference/engine/engine_in.h"
#include "inference/engine/moe.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct moe {
    float *score;     /* [batch, experts] of the router, then what weights are made of; then [batch] of the shared
                         expert's gate */
    float *liking;    /* [batch, experts] what experts are chosen by, where that is not the score */
    uint32_t *chosen; /* [batch, used] experts, by rank */
    float *weight;    /* [batch, used] */
    float *gathered;  /* [batch, embed] rows of one expert */
    float *made;      /* [batch, embed] what it makes of them */
    float *aside;     /* [batch, used, embed] */
    uint32_t *row;    /* [batch] where a gathered row comes from: row x used + rank */
    uint32_t *slot;   /* [batch] its row in the batch */
};

struct moe *moe_new(const struct model *m, uint32_t batch)
{
    if (!m->experts)
        return NULL;
    struct moe *t = mem_new(sizeof *t);
    size_t n = batch, picks = n * m->experts_used;
    t->score = mem_array(n * m->experts, sizeof(float));
    t->liking = mem_array(n * m->experts, sizeof(float));
    t->chosen = mem_array(picks, sizeof *t->chosen);
    t->weight = mem_array(picks, sizeof(float));
    t->gathered = mem_array(n * m->embed, sizeof(float));
    t->made = mem_array(n * m->embed, sizeof(float));
    t->aside = mem_array(picks * m->embed, sizeof(float));
    t->row = mem_array(n, sizeof *t->row);
    t->slot = mem_array(n, sizeof *t->slot);
    return t;
}

void moe_free(struct moe *t)
{
    if (!t)
        return;
    void *all[] = {t->score, t->liking, t->chosen, t->weight, t->gathered, t->made, t->aside, t->row, t->slot};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    free(t);
}

uint64_t moe_bytes(const struct model *m, uint32_t batch)
{
    uint64_t picks = m->experts_used;
    return m->experts ? batch * 4 * (2ull * m->experts + 2 * picks + 2ull * m->embed + picks * m->embed + 2) : 0;
}

/* The `used` best of score[experts], best first, the lower index first where two are equal. Finite scores. */
static void choose(const float *score, uint32_t experts, uint32_t used, uint32_t *chosen)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < experts; i++) {
        uint32_t at = n < used ? n++ : used;
        while (at > 0 && score[i] > score[chosen[at - 1]]) {
            if (at < used)
                chosen[at] = chosen[at - 1];
            at--;
        }
        if (at < used)
            chosen[at] = i;
    }
}

/* What experts are chosen by becomes -infinity in all groups but the best. Of sigmoids a group is as good as its two
 * best experts together, else as its best one: so these models were made. */
static void close_groups(const struct model *m, float *by)
{
    const uint32_t each = m->experts / m->groups;
    float value[EXPERTS_MAX], kept[EXPERTS_MAX];
    uint32_t open[EXPERTS_MAX];
    for (uint32_t g = 0; g < m->groups; g++) {
        const float *x = by + (size_t)g * each;
        float first = x[0], second = -INFINITY;
        for (uint32_t i = 1; i < each; i++) {
            second = x[i] > first ? first : x[i] > second ? x[i] : second;
            first = x[i] > first ? x[i] : first;
        }
        value[g] = m->by_sigmoid ? first + second : first;
    }
    choose(value, m->groups, m->groups_used, open);
    for (uint32_t i = 0; i < m->experts; i++)
        kept[i] = -INFINITY;
    for (uint32_t i = 0; i < m->groups_used; i++)
        memcpy(kept + (size_t)open[i] * each, by + (size_t)open[i] * each, each * sizeof *by);
    memcpy(by, kept, m->experts * sizeof *by);
}

void moe_pick(const struct model *m, const float *by, float *liking, uint32_t *chosen)
{
    if (m->groups > 1) {
        memmove(liking, by, m->experts * sizeof *liking);
        close_groups(m, liking);
        by = liking;
    }
    choose(by, m->experts, m->experts_used, chosen);
}

/* Finite scores become sigmoids, or e^(score - peak); the chosen ones, and the sum of all (1 for sigmoids). */
static float like(const struct engine *e, const float *preference, float *score, float peak, float *liking,
                  uint32_t *chosen)
{
    const struct model *m = e->m;
    float all = 1.0f;
    if (!m->by_sigmoid && !preference)
        moe_pick(m, score, liking, chosen);
    if (m->by_sigmoid)
        for (uint32_t i = 0; i < m->experts; i++)
            score[i] = 1.0f / (1.0f + arith_exp(-score[i]));
    else
        all = e->ops->exponentials(score, m->experts, peak);
    for (uint32_t i = 0; preference && i < m->experts; i++)
        liking[i] = (m->by_sigmoid ? score[i] : score[i] / all) + preference[i];
    if (m->by_sigmoid || preference)
        moe_pick(m, preference ? liking : score, liking, chosen);
    return all;
}

struct route_step {
    struct engine *e;
    const float *preference, *importance;
};

/* Of the chosen ones, divided by their sum or by that of all. */
static void route_part(void *arg, size_t first, size_t end)
{
    struct route_step *r = arg;
    struct engine *e = r->e;
    struct moe *t = e->moe;
    uint32_t experts = e->m->experts, used = e->m->experts_used;
    for (size_t c = first; c < end; c++) {
        float *score = t->score + c * experts, *weight = t->weight + c * used, peak, sum = 0.0f;
        uint32_t *chosen = t->chosen + c * used;
        if (!e->ops->peak(score, experts, &peak)) {
            e->finite[e->slot[c]] = false;
            memset(score, 0, experts * sizeof *score);
            peak = 0.0f;
        }
        float all = like(e, r->preference, score, peak, t->liking + c * experts, chosen);
        for (uint32_t i = 0; i < used; i++)
            sum = sum + score[chosen[i]];
        if (e->m->parts_of_all)
            sum = all;
        for (uint32_t i = 0; i < used; i++)
            weight[i] = (score[chosen[i]] / sum) * (r->importance ? r->importance[chosen[i]] : e->m->expert_scale);
    }
}

/* The rows of x that go to an expert into t->gathered; how many there are. */
static size_t gather(struct engine *e, uint32_t expert, const float *x, size_t cols)
{
    struct moe *t = e->moe;
    size_t n = 0, embed = e->m->embed, used = e->m->experts_used;
    for (size_t c = 0; c < cols; c++)
        for (size_t i = 0; i < used; i++)
            if (t->chosen[c * used + i] == expert) {
                memcpy(t->gathered + n * embed, x + c * embed, embed * sizeof(float));
                t->slot[n] = e->slot[c];
                t->row[n++] = (uint32_t)(c * used + i);
            }
    return n;
}

static void run_expert(struct engine *e, const struct model_expert *x, size_t n)
{
    const struct model *m = e->m;
    struct moe *t = e->moe;
    const struct model_product *first = x->gate.w.data ? &x->gate : &x->up;
    struct ops_input in = engine_input(e, t->gathered, m->embed, n, t->slot, &first->w, &x->up.w, NULL);
    engine_product(e, first, &in, e->gate);
    if (first != &x->up)
        engine_product(e, &x->up, &in, e->up);
    engine_activate(e, e->gate, e->up, m->expert_mix, n);
    in = engine_input(e, e->gate, m->expert_mix, n, t->slot, &x->down.w, NULL, NULL);
    engine_product(e, &x->down, &in, t->made);
    for (size_t i = 0; i < n; i++)
        memcpy(t->aside + t->row[i] * (size_t)m->embed, t->made + i * m->embed, m->embed * sizeof(float));
}

static void sum_part(void *arg, size_t first, size_t end)
{
    struct engine *e = arg;
    struct moe *t = e->moe;
    size_t embed = e->m->embed, used = e->m->experts_used;
    for (size_t c = first; c < end; c++) {
        memset(e->back + c * embed, 0, embed * sizeof(float));
        for (size_t i = c * used; i < (c + 1) * used; i++)
            e->ops->add_scaled(e->back + c * embed, t->aside + i * embed, t->weight[i], embed);
    }
}

/* What the shared expert made, which is in t->made, joins what the chosen ones did; its gates are in t->score. */
static void join_part(void *arg, size_t first, size_t end)
{
    struct engine *e = arg;
    size_t embed = e->m->embed;
    bool gated = e->m->kind->has & MUST_SHARED;
    for (size_t c = first; c < end; c++) {
        float weight = gated ? 1.0f / (1.0f + arith_exp(-e->moe->score[c])) : 1.0f;
        e->ops->add_scaled(e->back + c * embed, e->moe->made + c * embed, weight, embed);
    }
}

void moe_run(struct engine *e, const struct model_layer *l, const float *x, const float *by, size_t cols)
{
    const struct model *m = e->m;
    struct ops_input in = engine_input(e, by, m->embed, cols, e->slot, &l->router.w, NULL, NULL);
    engine_product(e, &l->router, &in, e->moe->score);
    struct route_step r = {e, l->preference, l->importance};
    pool_run(e->pool, cols, 1, route_part, &r);
    for (uint32_t i = 0; i < m->experts; i++) {
        size_t n = gather(e, i, x, cols);
        if (n)
            run_expert(e, &l->expert[i], n);
    }
    pool_run(e->pool, cols, 1, sum_part, e);
    if (!m->shared_mix)
        return;
    if (l->shared_gate.data) {
        in = engine_input(e, x, m->embed, cols, e->slot, &l->shared_gate, NULL, NULL);
        engine_multiply(e, &l->shared_gate, &in, e->moe->score);
    }
    engine_mix(e, l, x, e->moe->made, cols);
    pool_run(e->pool, cols, 1, join_part, e);
}
