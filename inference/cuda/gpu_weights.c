/* Weights of a device: from the file, repacked, to the GPU. */
#include "inference/cuda/gpu.h"
#include "inference/cuda/repack.h"
#include "inference/engine/pool.h"

#include "base/mem.h"

#include <stdlib.h>

#define STAGE_BYTES (32u << 20) /* repacked and copied at once; a piece has a tile of rows at least */

/* -- what there is -- */

static uint64_t matrix_bytes(const struct ops_weight *w)
{
    return w->data ? repack_bytes((uint32_t)w->type, (uint32_t)w->n, (uint32_t)w->rows) : 0;
}

static uint64_t product_bytes(const struct model_product *p)
{
    return matrix_bytes(&p->w) + matrix_bytes(&p->low.down) + matrix_bytes(&p->low.up) +
           (p->bias ? p->w.rows * sizeof(float) : 0);
}

/* Elements of the gains of queries and keys. */
static size_t query_norm_n(const struct model *m)
{
    return m->kind->has & HAS_ROW_NORMS ? m->heads * m->head : m->head;
}
static size_t key_norm_n(const struct model *m)
{
    return m->kind->has & HAS_ROW_NORMS ? m->heads_kv * m->head : m->head;
}

static uint64_t latent_bytes(const struct model *m, const struct model_latent *a)
{
    uint64_t all = product_bytes(&a->query_low) + product_bytes(&a->query) + product_bytes(&a->row) +
                   (m->query_low + m->latent) * sizeof(float);
    for (uint32_t h = 0; h < m->heads; h++)
        all += matrix_bytes(&a->key_up[h]) + matrix_bytes(&a->value_up[h]);
    return all;
}

static size_t taps_n(const struct model *m)
{
    return (size_t)m->taps * m->channels;
}

/* Of the norm of what heads with a state make: one for all heads, or of a state space one of each group's. */
static size_t state_norm_n(const struct model *m)
{
    return m->kind->more & HAS_SCAN ? (size_t)m->values_n * m->side : m->side;
}

static uint64_t layer_bytes(const struct model *m, const struct model_layer *l)
{
    const struct model_product *product[] = {&l->query, &l->key, &l->value, &l->output, &l->gate, &l->up, &l->down};
    const struct model_recurrent *r = l->recurrent;
    const uint64_t of_norms = l->mix_norm.bias ? 8 : 4;
    uint64_t all = product_bytes(&l->router) + matrix_bytes(&l->shared_gate) +
                   ((l->sinks ? m->heads : 0) + (l->preference ? m->experts : 0)) * sizeof(float) +
                   (of_norms * m->embed + query_norm_n(m) + key_norm_n(m)) * sizeof(float);
    for (size_t i = 0; i < sizeof product / sizeof *product; i++)
        all += product_bytes(product[i]);
    all += l->latent ? latent_bytes(m, l->latent) : 0;
    if (r)
        all += product_bytes(&r->in) + product_bytes(&r->out) + product_bytes(&r->gate) + product_bytes(&r->alpha) +
               product_bytes(&r->beta) +
               (taps_n(m) + (r->taps_bias ? m->channels : 0) + (r->rate ? 3 * m->values_n + state_norm_n(m) : 0)) *
                   sizeof(float);
    for (uint32_t i = 0; l->expert && i < m->experts; i++)
        all += product_bytes(&l->expert[i].gate) + product_bytes(&l->expert[i].up) + product_bytes(&l->expert[i].down);
    return all;
}

uint64_t gpu_weight_bytes(const struct device_options *o)
{
    const struct model *m = o->model;
    uint64_t all = 0;
    for (uint32_t i = o->first; i < o->end; i++)
        all += layer_bytes(m, &m->layer[i]);
    if (o->has_output)
        all += product_bytes(&m->output) + (m->output_norm.bias ? 2 : 1) * m->embed * sizeof(float);
    return all;
}

/* -- copying -- */

/* What is repacked goes into one stage while the other one's bytes are on their way. */
struct loading {
    struct device *d;
    struct pool *pool;
    uint8_t *stage[2];
    unsigned next;
    uint64_t stage_bytes, all;
    struct note *note;
};

static void *keep(struct loading *t, uint64_t bytes)
{
    struct device *d = t->d;
    void *p = cuda_alloc(d->queue, bytes);
    if (!p) {
        (void)note_set(t->note, ERR_FULL, "the GPU has no room for %llu MiB of weights",
                       (unsigned long long)(t->all >> 20));
        return NULL;
    }
    if (d->kept_n == d->kept_room) {
        d->kept_room = d->kept_room ? 2 * d->kept_room : 64;
        d->kept = mem_resize(d->kept, d->kept_room, sizeof *d->kept);
    }
    d->kept[d->kept_n++] = p;
    return p;
}

static void copied(struct loading *t, uint64_t bytes)
{
    struct device *d = t->d;
    d->copied += bytes;
    if (d->o.progress)
        d->o.progress(d->o.progress_arg, d->copied, t->all);
}

/* Rows [first, first + rows) of a matrix, for all threads. */
struct repacking {
    const struct ops_weight *w;
    uint32_t first, rows;
    uint8_t *out;
};

static void repack_part(void *arg, size_t first, size_t end)
{
    const struct repacking *r = arg;
    const uint32_t n = (uint32_t)r->w->n, type = (uint32_t)r->w->type, from = (uint32_t)first * REPACK_ROWS;
    const uint32_t all = (uint32_t)end * REPACK_ROWS, to = all < r->rows ? all : r->rows;
    (void)repack_rows(type, n, to - from, r->w->data + (r->first + from) * r->w->row_bytes, r->w->row_bytes,
                      r->out + repack_at(type, n, from));
}

/* Rows as many at a time as the stage has room for, in whole tiles. */
static enum err put_matrix(struct loading *t, const struct ops_weight *w, uint8_t *to)
{
    const uint32_t n = (uint32_t)w->n, rows = (uint32_t)w->rows, type = (uint32_t)w->type;
    const uint64_t tile = repack_at(type, n, REPACK_ROWS), room = t->stage_bytes / tile;
    CHECK(room > 0);
    for (uint32_t first = 0, step; first < rows; first += step) {
        const uint32_t tiles = (rows - first + REPACK_ROWS - 1) / REPACK_ROWS;
        const uint32_t some = tiles < room ? tiles : (uint32_t)room;
        step = some * REPACK_ROWS;
        struct repacking r = {w, first, rows - first < step ? rows - first : step, t->stage[t->next]};
        pool_run(t->pool, some, 1, repack_part, &r);
        enum err e = cuda_wait(t->d->queue, t->note); /* the other stage may be written again */
        if (e != ERR_OK)
            return e;
        cuda_put(t->d->queue, to + repack_at(type, n, first), r.out, some * tile);
        t->next ^= 1;
        copied(t, some * tile);
    }
    return ERR_OK;
}

static enum err load_matrix(struct loading *t, const struct ops_weight *w, struct cuda_matrix *out)
{
    if (!w->data)
        return ERR_OK;
    uint8_t *p = keep(t, matrix_bytes(w));
    if (!p)
        return ERR_FULL;
    *out = (struct cuda_matrix){
        .type = repack_type((uint32_t)w->type), .n = (uint32_t)w->n, .rows = (uint32_t)w->rows, .data = p};
    return put_matrix(t, w, p);
}

static enum err load_floats(struct loading *t, const float *x, size_t n, const float **out)
{
    if (!x)
        return ERR_OK;
    void *p = keep(t, n * sizeof *x);
    if (!p)
        return ERR_FULL;
    *out = p;
    cuda_put(t->d->queue, p, x, n * sizeof *x);
    copied(t, n * sizeof *x);
    return ERR_OK;
}

static enum err load_norm(struct loading *t, const struct model_norm *norm, size_t n, struct gpu_norm *out)
{
    enum err e = load_floats(t, norm->gain, n, &out->gain);
    return e == ERR_OK ? load_floats(t, norm->bias, n, &out->bias) : e;
}

static enum err load_product(struct loading *t, const struct model_product *p, struct gpu_product *out)
{
    enum err e = load_matrix(t, &p->w, &out->w);
    if (e == ERR_OK)
        e = load_matrix(t, &p->low.down, &out->low_down);
    if (e == ERR_OK)
        e = load_matrix(t, &p->low.up, &out->low_up);
    return e == ERR_OK ? load_floats(t, p->bias, p->w.rows, &out->bias) : e;
}

/* The same product of all experts. `at`: where in struct model_expert it stands; biases of all are one piece. */
static enum err load_experts(struct loading *t, const struct model_layer *l, size_t at, struct gpu_experts *out)
{
    uint32_t experts = t->d->o.model->experts;
    const struct model_product *first = (const void *)((const uint8_t *)&l->expert[0] + at);
    const struct ops_weight *w = &first->w;
    if (!w->data)
        return ERR_OK;
    out->stride = matrix_bytes(w);
    uint8_t *p = keep(t, out->stride * experts);
    if (!p)
        return ERR_FULL;
    out->w = (struct cuda_matrix){
        .type = repack_type((uint32_t)w->type), .n = (uint32_t)w->n, .rows = (uint32_t)w->rows, .data = p};
    enum err e = ERR_OK;
    for (uint32_t i = 0; i < experts && e == ERR_OK; i++)
        e = put_matrix(t, &((const struct model_product *)(const void *)((const uint8_t *)&l->expert[i] + at))->w,
                       p + i * out->stride);
    return e == ERR_OK ? load_floats(t, first->bias, experts * w->rows, &out->bias) : e;
}

/* A matrix of each head. */
static enum err load_heads(struct loading *t, const struct ops_weight *w, struct gpu_experts *out)
{
    const uint32_t heads = t->d->o.model->heads;
    out->stride = matrix_bytes(w);
    uint8_t *p = keep(t, out->stride * heads);
    if (!p)
        return ERR_FULL;
    out->w = (struct cuda_matrix){
        .type = repack_type((uint32_t)w->type), .n = (uint32_t)w->n, .rows = (uint32_t)w->rows, .data = p};
    enum err e = ERR_OK;
    for (uint32_t h = 0; h < heads && e == ERR_OK; h++)
        e = put_matrix(t, &w[h], p + h * out->stride);
    return e;
}

static enum err load_latent(struct loading *t, const struct model_latent *a, struct gpu_latent *out)
{
    const struct model *m = t->d->o.model;
    enum err e = load_product(t, &a->query_low, &out->query_low);
    if (e == ERR_OK)
        e = load_product(t, &a->query, &out->query);
    if (e == ERR_OK)
        e = load_product(t, &a->row, &out->row);
    if (e == ERR_OK)
        e = load_norm(t, &a->query_norm, m->query_low, &out->query_norm);
    if (e == ERR_OK)
        e = load_norm(t, &a->row_norm, m->latent, &out->row_norm);
    if (e == ERR_OK)
        e = load_heads(t, a->key_up, &out->key_up);
    return e == ERR_OK ? load_heads(t, a->value_up, &out->value_up) : e;
}

static enum err load_recurrent(struct loading *t, const struct model_recurrent *r, struct gpu_layer *out)
{
    const struct model *m = t->d->o.model;
    struct gpu_recurrent *to = &out->recurrent;
    const struct {
        const struct model_product *from;
        struct gpu_product *to;
    } products[] = {
        {&r->in, &to->in}, {&r->out, &to->out}, {&r->gate, &to->gate}, {&r->alpha, &to->alpha}, {&r->beta, &to->beta}};
    enum err e = load_floats(t, r->taps, taps_n(m), &to->taps);
    to->is = true;
    for (size_t i = 0; i < sizeof products / sizeof *products && e == ERR_OK; i++)
        e = load_product(t, products[i].from, products[i].to);
    if (e == ERR_OK)
        e = load_floats(t, r->taps_bias, m->channels, &to->taps_bias);
    if (e == ERR_OK)
        e = load_floats(t, r->through, m->values_n, &to->through);
    if (e == ERR_OK)
        e = load_floats(t, r->rate, m->values_n, &to->rate);
    if (e == ERR_OK)
        e = load_floats(t, r->bias, m->values_n, &to->bias);
    return e == ERR_OK ? load_norm(t, &r->norm, state_norm_n(m), &to->norm) : e;
}

static enum err load_layer(struct loading *t, const struct model_layer *l, struct gpu_layer *out)
{
    const struct model *m = t->d->o.model;
    const struct {
        const struct model_norm *from;
        struct gpu_norm *to;
        size_t n;
    } norms[] = {
        {&l->attention_norm, &out->attention_norm, m->embed},
        {&l->query_norm, &out->query_norm, query_norm_n(m)},
        {&l->key_norm, &out->key_norm, key_norm_n(m)},
        {&l->attention_post, &out->attention_post, m->embed},
        {&l->mix_norm, &out->mix_norm, m->embed},
        {&l->mix_post, &out->mix_post, m->embed},
    };
    const struct {
        const struct model_product *from;
        struct gpu_product *to;
    } products[] = {
        {&l->query, &out->query}, {&l->key, &out->key}, {&l->value, &out->value}, {&l->output, &out->output},
        {&l->gate, &out->gate},   {&l->up, &out->up},   {&l->down, &out->down},
    };
    enum err e = ERR_OK;
    out->window = l->window;
    out->attends = l->keys.heads > 0;
    out->mixes = l->mixes;
    out->has_experts = l->expert != NULL;
    out->has_latent = l->latent != NULL;
    out->is_still = l->is_still;
    for (size_t i = 0; i < sizeof norms / sizeof *norms && e == ERR_OK; i++)
        e = load_norm(t, norms[i].from, norms[i].n, norms[i].to);
    for (size_t i = 0; i < sizeof products / sizeof *products && e == ERR_OK; i++)
        e = load_product(t, products[i].from, products[i].to);
    if (l->recurrent && e == ERR_OK)
        e = load_recurrent(t, l->recurrent, out);
    if (e == ERR_OK)
        e = load_floats(t, l->sinks, m->heads, &out->sinks);
    if (e == ERR_OK && l->latent)
        e = load_latent(t, l->latent, &out->latent);
    if (!l->expert || e != ERR_OK)
        return e;
    e = load_product(t, &l->router, &out->router);
    if (e == ERR_OK)
        e = load_floats(t, l->preference, m->experts, &out->preference);
    if (e == ERR_OK)
        e = load_matrix(t, &l->shared_gate, &out->shared_gate);
    if (e == ERR_OK)
        e = load_experts(t, l, offsetof(struct model_expert, gate), &out->expert_gate);
    if (e == ERR_OK)
        e = load_experts(t, l, offsetof(struct model_expert, up), &out->expert_up);
    if (e == ERR_OK)
        e = load_experts(t, l, offsetof(struct model_expert, down), &out->expert_down);
    return e;
}

static uint64_t widest_tile(const struct device_options *o)
{
    return repack_bytes(GGUF_TENSOR_F32, (uint32_t)gpu_widest(o->model), REPACK_ROWS);
}

enum err gpu_weights_load(struct device *d, struct note *note)
{
    const struct model *m = d->o.model;
    struct loading t = {.d = d, .all = gpu_weight_bytes(&d->o), .note = note};
    t.stage_bytes = widest_tile(&d->o);
    t.stage_bytes = t.stage_bytes > STAGE_BYTES ? t.stage_bytes : STAGE_BYTES;
    for (unsigned i = 0; i < 2; i++)
        t.stage[i] = cuda_alloc_host(d->queue, t.stage_bytes);
    t.pool = pool_new(d->o.threads ? d->o.threads : 1);
    d->layer = mem_array(d->o.end - d->o.first, sizeof *d->layer);
    enum err e = ERR_OK;
    if (!t.stage[0] || !t.stage[1])
        e = note_set(note, ERR_FULL, "there is no memory to copy weights to the GPU from");
    uint32_t carrying = 0, attending = 0;
    for (uint32_t i = d->o.first; i < d->o.end && e == ERR_OK; i++) {
        struct gpu_layer *l = &d->layer[i - d->o.first];
        l->place = carrying;
        l->keys_place = attending;
        e = load_layer(&t, &m->layer[i], l);
        carrying += l->recurrent.is;
        attending += l->attends;
    }
    if (e == ERR_OK && d->o.has_output)
        e = load_norm(&t, &m->output_norm, m->embed, &d->output_norm);
    if (e == ERR_OK && d->o.has_output)
        e = load_product(&t, &m->output, &d->output);
    if (e == ERR_OK)
        e = cuda_wait(d->queue, note); /* the stages are read to the end */
    for (unsigned i = 0; i < 2; i++)
        cuda_free_host(d->queue, t.stage[i]);
    pool_free(t.pool);
    return e;
}

void gpu_weights_free(struct device *d)
{
    for (uint32_t i = 0; i < d->kept_n; i++)
        cuda_free(d->queue, d->kept[i]);
    free(d->kept);
    free(d->layer);
}
