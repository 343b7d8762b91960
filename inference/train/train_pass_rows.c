/* What a pass does to rows: norms, branches, heads, gates; see the header. */
#include "inference/train/train_pass_in.h"
#include "inference/train/train_rows.h"

struct row_step {
    const struct train_pass *p;
    const struct model_layer *l;
    const float *x, *gain, *d;
    float *out;
    size_t n;
    bool back, add;
};

static void norm_part(void *arg, size_t first, size_t end)
{
    const struct row_step *s = arg;
    const struct train_cut c = {s->p->t, first * TRAIN_PASS_CUT, end * TRAIN_PASS_CUT};
    if (s->back)
        train_norm_back(&c, s->x, s->gain, s->p->m->epsilon, s->n, s->d, s->out, s->add);
    else
        train_norm(&c, s->x, s->gain, s->p->m->epsilon, s->n, s->out);
}

void train_pass_norm(struct train_pass *p, const float *x, const float *gain, float *out)
{
    struct row_step s = {.p = p, .x = x, .gain = gain, .out = out, .n = p->m->embed};
    pool_run(p->o.pool, p->t / TRAIN_PASS_CUT, 1, norm_part, &s);
}

void train_pass_norm_back(struct train_pass *p, const float *x, const float *gain, const float *d, float *out, bool add)
{
    struct row_step s = {.p = p, .x = x, .gain = gain, .out = out, .n = p->m->embed, .d = d, .back = true, .add = add};
    pool_run(p->o.pool, p->t / TRAIN_PASS_CUT, 1, norm_part, &s);
}

const float *train_pass_enter(struct train_pass *p, const struct model_norm *norm, const float *x)
{
    if (!norm->gain)
        return x;
    train_pass_norm(p, x, norm->gain, p->h);
    return p->h;
}

static void add_rows(float *x, const float *y, float by, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = by == 1.0f ? x[i] + y[i] : x[i] + y[i] * by;
}

void train_pass_leave(struct train_pass *p, const struct model_norm *post, const float *made)
{
    if (post->gain)
        train_pass_norm(p, made, post->gain, p->branch);
    add_rows(p->x, p->branch, p->m->branch_scale, p->m->embed * p->t);
}

void train_pass_leave_back(struct train_pass *p, const struct model_norm *post, const float *made)
{
    const size_t n = p->m->embed * p->t;
    for (size_t i = 0; i < n; i++)
        p->branch[i] = p->x[i] * p->m->branch_scale;
    if (post->gain)
        train_pass_norm_back(p, made, post->gain, p->branch, p->branch, false);
}

void train_pass_enter_back(struct train_pass *p, const struct model_norm *norm, const float *x)
{
    if (norm->gain)
        train_pass_norm_back(p, x, norm->gain, p->dh, p->x, true);
    else
        add_rows(p->x, p->dh, 1.0f, p->m->embed * p->t);
}

void train_pass_bias(const struct train_pass *p, const float *bias, size_t rows, float *y)
{
    for (size_t r = 0; bias && r < rows; r++)
        for (size_t i = 0; i < p->t; i++)
            y[r * p->t + i] = y[r * p->t + i] + bias[r];
}

/* -- heads -- */

static size_t way_of(const struct train_pass *p, const struct model_layer *l)
{
    const struct model *m = p->m;
    if (l->window && m->kind->has & HAS_LOCAL_TURNS)
        return MODEL_ROPE_LOCAL;
    return m->rope_long_from && p->t > m->rope_long_from ? MODEL_ROPE_LONG : MODEL_ROPE;
}

/* Heads [first, end) of queries and keys, which follow each other: normed, then turned; or both undone for gradients.
 */
static void heads_part(void *arg, size_t first, size_t end)
{
    const struct row_step *s = arg;
    const struct model *m = s->p->m;
    const struct train_cut c = {s->p->t, 0, s->p->t};
    const size_t way = way_of(s->p, s->l), each = m->head * s->p->t;
    for (size_t i = first; i < end; i++) {
        const float *gain = i < m->heads ? s->l->query_norm.gain : s->l->key_norm.gain, *x = s->x + i * each;
        float *y = s->out + i * each;
        if (!s->back && gain)
            train_norm(&c, x, gain, m->epsilon, m->head, y);
        if (!s->l->is_still && m->rope_pairs)
            train_turn(&c, y, s->p->cosine[way], s->p->sine[way], m->rope_pairs, m->kind->has & HAS_HALVES, s->back);
        if (s->back && gain)
            train_norm_back(&c, x, gain, m->epsilon, m->head, y, y, false);
    }
}

void train_pass_heads(struct train_pass *p, uint32_t layer, float *y, bool back)
{
    struct row_step s = {.p = p, .l = &p->m->layer[layer], .x = p->kept[layer].plain, .out = y, .back = back};
    if (!s.x)
        s.x = y; /* nothing is normed */
    pool_run(p->o.pool, p->m->heads + p->m->heads_kv, 1, heads_part, &s);
}

/* -- gates -- */

static void gate_part(void *arg, size_t first, size_t end)
{
    const struct row_step *s = arg;
    const size_t t = s->p->t, from = first * t, n = (end - first) * t, all = s->n * t;
    const bool gelu = s->p->m->kind->has & HAS_GELU;
    if (s->back)
        train_gate_back(s->x + from, s->x + all + from, s->d + from, n, gelu, s->out + from, s->out + all + from);
    else
        train_gate(s->x + from, s->x + all + from, n, gelu, s->out + from);
}

void train_pass_gate(struct train_pass *p, const float *mix, float *out)
{
    struct row_step s = {.p = p, .x = mix, .out = out, .n = p->m->mix};
    pool_run(p->o.pool, p->m->mix, 16, gate_part, &s);
}

void train_pass_gate_back(struct train_pass *p, const float *mix, const float *d, float *out)
{
    struct row_step s = {.p = p, .x = mix, .out = out, .n = p->m->mix, .d = d, .back = true};
    pool_run(p->o.pool, p->m->mix, 16, gate_part, &s);
}
