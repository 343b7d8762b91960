/* A layer: the steps that architectures share, and their order in a model that writes. Each step has its arguments in
 * a struct, and a function over a stretch of its rows. */
#include "inference/attention.h"
#include "inference/engine_in.h"

#include <string.h>

/* -- products -- */

struct input_step {
    struct engine *e;
    const struct ops_input *in;
    const uint32_t *slot;
};

static void input_part(void *arg, size_t first, size_t end)
{
    struct input_step *t = arg;
    for (size_t c = first; c < end; c++)
        if (!ops_put_column(t->e->ops, t->in, c, t->in->f + c * t->in->n))
            t->e->finite[t->slot[c]] = false;
}

/* What a product with a matrix reads of its input: bit 1 << enum quant_input. */
static unsigned input_of(const struct ops_weight *w)
{
    return w ? 1u << quant_format(w->type)->input : 0;
}

struct ops_input engine_input(struct engine *e, const float *x, size_t n, size_t cols, const uint32_t *slot,
                              const struct ops_weight *a, const struct ops_weight *b, const struct ops_weight *c)
{
    unsigned mask = input_of(a) | input_of(b) | input_of(c);
    struct ops_input in = {.n = n, .cols = cols, .f = x};
    if (mask & 1u << QUANT_NARROW)
        in.narrow = ops_blocks_at(e->narrow, n, cols);
    if (mask & 1u << QUANT_WIDE)
        in.wide = ops_blocks_at(e->wide, n, cols);
    struct input_step t = {e, &in, slot};
    if (in.narrow.q || in.wide.q)
        pool_run(e->pool, cols, 1, input_part, &t);
    return in;
}

struct multiply_step {
    const struct ops *ops;
    const struct ops_weight *w;
    const struct ops_input *x;
    float *out;
};

static void multiply_part(void *arg, size_t first, size_t end)
{
    struct multiply_step *t = arg;
    t->ops->multiply(t->w, first, end - first, t->x, t->out, t->w->rows);
}

void engine_multiply(struct engine *e, const struct ops_weight *w, const struct ops_input *x, float *out)
{
    struct multiply_step t = {e->ops, w, x, out};
    pool_run(e->pool, w->rows, OPS_GRAIN, multiply_part, &t);
}

void engine_product(struct engine *e, const struct model_product *p, const struct ops_input *x, float *out)
{
    engine_multiply(e, &p->w, x, out);
    for (size_t c = 0; p->bias && c < x->cols; c++)
        e->ops->add(out + c * p->w.rows, p->bias, p->w.rows);
}

/* -- rows -- */

struct row_step {
    struct engine *e;
    const struct model_norm *norm;
    const float *x;
    float *to;
    size_t n;
};

static void norm_part(void *arg, size_t first, size_t end)
{
    struct row_step *t = arg;
    float epsilon = t->e->m->epsilon;
    for (size_t c = first; c < end; c++) {
        const float *x = t->x + c * t->n;
        if (t->norm->bias)
            t->e->ops->layer_norm(x, t->norm->gain, t->norm->bias, epsilon, t->n, t->to + c * t->n);
        else
            t->e->ops->norm(x, t->norm->gain, epsilon, t->n, t->to + c * t->n);
    }
}

void engine_norm(struct engine *e, const struct model_norm *norm, const float *x, size_t n, float *out, size_t cols)
{
    struct row_step t = {.e = e, .norm = norm, .x = x, .to = out, .n = n};
    pool_run(e->pool, cols, 1, norm_part, &t);
}

static void add_part(void *arg, size_t first, size_t end)
{
    struct row_step *t = arg;
    t->e->ops->add(t->to + first * t->n, t->x + first * t->n, (end - first) * t->n);
}

void engine_add(struct engine *e, float *x, const float *y, size_t cols)
{
    struct row_step t = {.e = e, .x = y, .to = x, .n = e->m->embed};
    pool_run(e->pool, cols, 1, add_part, &t);
}

static void activate_part(void *arg, size_t first, size_t end)
{
    struct row_step *t = arg;
    const struct ops *ops = t->e->ops;
    unsigned has = t->e->m->kind->has;
    float *to = t->to + first * t->n;
    const float *up = t->x + first * t->n;
    size_t n = (end - first) * t->n;
    if (has & HAS_ENCODER)
        ops->gelu(to, n);
    else if (has & HAS_GELU)
        ops->gated_gelu(to, up, n, to);
    else
        ops->gated_silu(to, up, n, to);
}

void engine_activate(struct engine *e, float *gate, const float *up, size_t n, size_t cols)
{
    struct row_step t = {.e = e, .x = up, .to = gate, .n = n};
    pool_run(e->pool, cols, 1, activate_part, &t);
}

/* -- attention -- */

struct heads_step {
    struct engine *e;
    const struct model_layer *l;
    uint32_t layer;
    unsigned what;
};

/* One head of a row: normed and rotated. */
static void turn_head(const struct engine *e, const struct model_norm *norm, float *x, const float *cosine,
                      const float *sine)
{
    const struct model *m = e->m;
    if (norm->gain)
        e->ops->norm(x, norm->gain, m->epsilon, m->head, x);
    if (!cosine)
        return;
    if (m->kind->has & HAS_HALVES)
        e->ops->rotate_halves(x, cosine, sine, m->rope_pairs);
    else
        e->ops->rotate(x, cosine, sine, m->rope_pairs);
}

/* The angles of a row in a layer; NULL where nothing is rotated. */
static const float *angles_of(const struct engine *e, const struct model_layer *l, size_t row, const float **sine)
{
    const struct rope *r = e->rope[MODEL_ROPE];
    if (l->window && e->rope[MODEL_ROPE_LOCAL])
        r = e->rope[MODEL_ROPE_LOCAL];
    else if (e->rows[row].seq->is_long)
        r = e->rope[MODEL_ROPE_LONG];
    *sine = NULL;
    return r ? rope_at(r, e->position[row], sine) : NULL;
}

static void heads_part(void *arg, size_t first, size_t end)
{
    struct heads_step *t = arg;
    struct engine *e = t->e;
    const struct model *m = e->m;
    for (size_t c = first; c < end; c++) {
        const float *sine, *cosine = angles_of(e, t->l, c, &sine);
        struct cache *cache = &e->rows[c].seq->cache;
        for (uint32_t i = 0; (t->what & ENGINE_QUERIES) && i < m->heads; i++)
            turn_head(e, &t->l->query_norm, e->q + (c * m->heads + i) * m->head, cosine, sine);
        for (uint32_t i = 0; (t->what & ENGINE_KEYS) && i < m->heads_kv; i++) {
            float *key = e->k + (c * m->heads_kv + i) * m->head;
            const float *value = e->v + (c * m->heads_kv + i) * m->head;
            turn_head(e, &t->l->key_norm, key, cosine, sine);
            if (!cache_put(cache, e->ops, e->position[c], t->layer, i, key, value, m->head))
                e->finite[c] = false;
        }
    }
}

void engine_project(struct engine *e, uint32_t layer, const float *x, size_t cols, unsigned what)
{
    const struct model_layer *l = &e->m->layer[layer];
    struct heads_step t = {e, l, layer, what};
    struct ops_input in = engine_input(e, x, e->m->embed, cols, e->slot, what & ENGINE_QUERIES ? &l->query.w : NULL,
                                       what & ENGINE_KEYS ? &l->key.w : NULL, what & ENGINE_KEYS ? &l->value.w : NULL);
    if (what & ENGINE_QUERIES)
        engine_product(e, &l->query, &in, e->q);
    if (what & ENGINE_KEYS) {
        engine_product(e, &l->key, &in, e->k);
        engine_product(e, &l->value, &in, e->v);
    }
    pool_run(e->pool, cols, 1, heads_part, &t);
}

/* One (row, head) each; rows are those of e->slot. */
static void attention_part(void *arg, size_t first, size_t end)
{
    struct heads_step *t = arg;
    struct engine *e = t->e;
    const struct model *m = e->m;
    for (size_t at = first; at < end; at++) {
        uint32_t c = (uint32_t)(at / m->heads), head = (uint32_t)(at % m->heads), row = e->slot[c];
        const struct engine_seq *s = e->rows[row].seq;
        struct attention a = {.cache = &s->cache,
                              .ops = e->ops,
                              .layer = t->layer,
                              .end = model_writes(m) ? e->position[row] + 1 : s->length,
                              .scale = m->score_scale,
                              .cap = m->cap_scores};
        if (t->l->window && a.end > t->l->window)
            a.first = a.end - t->l->window;
        if (!attention_run(&a, head / (m->heads / m->heads_kv), e->q + ((size_t)row * m->heads + head) * m->head,
                           m->head, e->scratch + at * e->scratch_bytes, e->o + at * m->head))
            e->finite[row] = false;
    }
}

void engine_attend(struct engine *e, uint32_t layer, size_t cols)
{
    struct heads_step t = {.e = e, .l = &e->m->layer[layer], .layer = layer};
    pool_run(e->pool, cols * e->m->heads, 1, attention_part, &t);
}

/* -- the whole -- */

void engine_mix(struct engine *e, const struct model_layer *l, const float *x, size_t cols)
{
    const struct model *m = e->m;
    const struct model_product *first = model_writes(m) ? &l->gate : &l->up;
    struct ops_input in = engine_input(e, x, m->embed, cols, e->slot, &first->w, &l->up.w, NULL);
    engine_product(e, first, &in, e->gate);
    if (first != &l->up)
        engine_product(e, &l->up, &in, e->up);
    engine_activate(e, e->gate, e->up, m->mix, cols);
    in = engine_input(e, e->gate, m->mix, cols, e->slot, &l->down.w, NULL, NULL);
    engine_product(e, &l->down, &in, e->back);
}

void engine_attention_output(struct engine *e, const struct model_layer *l, size_t cols)
{
    size_t all = (size_t)e->m->heads * e->m->head;
    struct ops_input in = engine_input(e, e->o, all, cols, e->slot, &l->output.w, NULL, NULL);
    engine_product(e, &l->output, &in, e->back);
}

/* In the last layer only the rows that somebody wants go on behind the keys and values: x is packed to them. */
static size_t pack_wanted(struct engine *e)
{
    size_t kept = 0, n = e->m->embed;
    for (uint32_t c = 0; c < e->n; c++)
        if (e->rows[c].wants) {
            if (kept != c)
                memmove(e->x + kept * n, e->x + c * n, n * sizeof *e->x);
            e->slot[kept++] = c;
        }
    return kept;
}

/* The stream plus what a branch left in e->back, normed first where the architecture has it so. */
static void add_branch(struct engine *e, const struct model_norm *post, size_t cols)
{
    if (post->gain)
        engine_norm(e, post, e->back, e->m->embed, e->back, cols);
    engine_add(e, e->x, e->back, cols);
}

size_t engine_layer(struct engine *e, uint32_t index)
{
    const struct model *m = e->m;
    const struct model_layer *l = &m->layer[index];
    size_t cols = e->n;
    engine_norm(e, &l->attention_norm, e->x, m->embed, e->h, cols);
    engine_project(e, index, e->h, cols, ENGINE_QUERIES | ENGINE_KEYS);
    if (index + 1 == m->layers)
        cols = pack_wanted(e);
    if (cols == 0)
        return 0;
    engine_attend(e, index, cols);
    engine_attention_output(e, l, cols);
    add_branch(e, &l->attention_post, cols);

    engine_norm(e, &l->mix_norm, e->x, m->embed, e->h, cols);
    if (l->expert)
        moe_run(e, l, cols);
    else
        engine_mix(e, l, e->h, cols);
    add_branch(e, &l->mix_post, cols);
    return cols;
}
