/* Evaluating a batch, layer by layer. Every step is split over the pool by rows of a matrix, by rows of the batch, or
 * by (row, head); no result is ever put together from two threads. */
#include "inference/engine.h"

#include "base/limits.h"
#include "base/mem.h"
#include "inference/attention.h"
#include "inference/pool.h"
#include "inference/rope.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct engine_seq {
    struct engine *engine;
    struct cache cache;
    uint32_t length;
    bool finite; /* of every position so far */
};

struct engine {
    const struct model *m;
    const struct ops *ops;
    struct pool *pool;
    struct pages *pages;
    struct rope *rope;
    uint32_t batch_max, context;
    /* scratch; [rows of the batch, ...] */
    float *x;             /* [embed] the residual stream */
    float *h;             /* [embed] after a norm */
    float *q, *k, *v, *o; /* [heads head], [heads_kv head] twice, [heads head] */
    float *gate, *up;     /* [mix] */
    float *back;          /* [embed] what a branch adds */
    float *hidden, *logits;
    void *narrow, *wide; /* the inputs of products in blocks, ops_blocks_bytes each */
    uint32_t *position;  /* of each row in its sequence */
    uint32_t *slot;      /* rows of the batch that still go on, in the last layer */
    bool *finite;        /* of each row in this batch */
    uint8_t *scratch;    /* [batch, attention_scratch] */
    size_t scratch_bytes;
    size_t widest;
    struct engine_row *rows;
    uint32_t n;
};

static size_t max_of(size_t a, size_t b)
{
    return a > b ? a : b;
}

struct engine *engine_new(const struct engine_options *o)
{
    const struct model *m = o->model;
    struct engine *e = mem_new(sizeof *e);
    size_t n = o->batch_max, all = (size_t)m->heads * m->head, kv = (size_t)m->heads_kv * m->head;
    CHECK(n >= 1 && n <= BATCH_MAX);
    e->m = m;
    e->ops = o->ops;
    e->batch_max = o->batch_max;
    e->context = o->context && o->context < m->context ? o->context : m->context;
    e->pool = pool_new(o->threads);
    e->pages = pages_new(cache_page_bytes(m));
    e->rope = rope_new(m, e->context);
    e->widest = max_of(max_of(m->embed, m->mix), all);
    e->scratch_bytes = (attention_scratch(m->head) + 63) / 64 * 64;
    e->x = mem_array(n * m->embed, sizeof(float));
    e->h = mem_array(n * m->embed, sizeof(float));
    e->q = mem_array(n * all, sizeof(float));
    e->o = mem_array(n * all, sizeof(float));
    e->k = mem_array(n * kv, sizeof(float));
    e->v = mem_array(n * kv, sizeof(float));
    e->gate = mem_array(n * m->mix, sizeof(float));
    e->up = mem_array(n * m->mix, sizeof(float));
    e->back = mem_array(n * m->embed, sizeof(float));
    e->hidden = mem_array(n * m->embed, sizeof(float));
    e->logits = mem_array(n * m->vocab, sizeof(float));
    e->narrow = mem_new(ops_blocks_bytes(e->widest, n));
    e->wide = mem_new(ops_blocks_bytes(e->widest, n));
    e->position = mem_array(n, sizeof *e->position);
    e->slot = mem_array(n, sizeof *e->slot);
    e->finite = mem_array(n, sizeof *e->finite);
    e->scratch = mem_array(n * m->heads, e->scratch_bytes);
    return e;
}

void engine_free(struct engine *e)
{
    if (!e)
        return;
    pool_free(e->pool);
    pages_free(e->pages);
    rope_free(e->rope);
    void *all[] = {e->x,      e->h,      e->q,      e->o,    e->k,        e->v,    e->gate,   e->up,     e->back,
                   e->hidden, e->logits, e->narrow, e->wide, e->position, e->slot, e->finite, e->scratch};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    free(e);
}

const struct model *engine_model(const struct engine *e)
{
    return e->m;
}

uint32_t engine_batch_max(const struct engine *e)
{
    return e->batch_max;
}

uint32_t engine_context(const struct engine *e)
{
    return e->context;
}

uint64_t engine_bytes(const struct engine *e)
{
    const struct model *m = e->m;
    uint64_t all = (uint64_t)m->heads * m->head, kv = (uint64_t)m->heads_kv * m->head;
    uint64_t floats = 4ull * m->embed + 2 * all + 2 * kv + 2ull * m->mix + m->vocab;
    return 2 * ops_blocks_bytes(e->widest, e->batch_max) + e->batch_max * (floats * 4 + m->heads * e->scratch_bytes);
}

uint64_t engine_seq_bytes(const struct engine *e, uint32_t positions)
{
    return ((uint64_t)positions + ARITH_CHUNK - 1) / ARITH_CHUNK * (sizeof(struct page) + cache_page_bytes(e->m));
}

struct engine_seq *engine_seq_new(struct engine *e)
{
    struct engine_seq *s = mem_new(sizeof *s);
    s->engine = e;
    s->finite = true;
    cache_init(&s->cache, e->m, e->pages);
    return s;
}

void engine_seq_free(struct engine_seq *s)
{
    if (!s)
        return;
    cache_clear(&s->cache);
    free(s);
}

uint32_t engine_seq_length(const struct engine_seq *s)
{
    return s->length;
}

void engine_seq_share(struct engine_seq *s, const struct hash *scope)
{
    struct hash root = pages_root(scope, 0);
    cache_share(&s->cache, &root);
}

uint32_t engine_seq_reuse(struct engine_seq *s, const uint32_t *tokens, uint32_t n)
{
    if (s->length % ARITH_CHUNK == 0 && s->cache.is_shared)
        s->length = cache_reuse(&s->cache, tokens, n);
    return s->length;
}

bool engine_seq_next_key(const struct engine_seq *s, const uint32_t *tokens, uint32_t n, struct hash *key)
{
    return cache_next_key(&s->cache, s->length, tokens, n, key);
}

uint64_t engine_idle_bytes(const struct engine *e)
{
    return pages_idle_bytes(e->pages);
}

void engine_trim(struct engine *e, uint64_t idle_bytes_max)
{
    pages_trim(e->pages, idle_bytes_max);
}

/* -- steps: each has its arguments in a struct, and a function over a stretch of its rows -- */

struct input_step {
    struct engine *e;
    const struct ops_input *in;
};

static void input_part(void *arg, size_t first, size_t end)
{
    struct input_step *t = arg;
    for (size_t c = first; c < end; c++)
        if (!ops_put_column(t->e->ops, t->in, c, t->in->f + c * t->in->n))
            t->e->finite[t->e->slot[c]] = false;
}

/* What products with these matrices read of their input: bits 1 << enum quant_input. */
static unsigned inputs_of(const struct ops_weight *const w[], size_t n)
{
    unsigned mask = 0;
    for (size_t i = 0; i < n; i++)
        mask |= 1u << quant_format(w[i]->type)->input;
    return mask;
}

/* x[cols, n] as input of products, in the blocks that the n_w matrices ask for. */
static struct ops_input make_input(struct engine *e, const float *x, size_t n, size_t cols,
                                   const struct ops_weight *const w[], size_t n_w)
{
    unsigned mask = inputs_of(w, n_w);
    struct ops_input in = {.n = n, .cols = cols, .f = x};
    if (mask & 1u << QUANT_NARROW)
        in.narrow = ops_blocks_at(e->narrow, n, cols);
    if (mask & 1u << QUANT_WIDE)
        in.wide = ops_blocks_at(e->wide, n, cols);
    struct input_step t = {e, &in};
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

/* out[cols, w.rows] */
static void multiply(struct engine *e, const struct ops_weight *w, const struct ops_input *x, float *out)
{
    struct multiply_step t = {e->ops, w, x, out};
    pool_run(e->pool, w->rows, OPS_GRAIN, multiply_part, &t);
}

struct norm_step {
    struct engine *e;
    const float *gain;
    const float *x;
    float *out;
};

static void norm_part(void *arg, size_t first, size_t end)
{
    struct norm_step *t = arg;
    size_t n = t->e->m->embed;
    for (size_t c = first; c < end; c++)
        t->e->ops->norm(t->x + c * n, t->gain, t->e->m->epsilon, n, t->out + c * n);
}

static void norm(struct engine *e, const float *gain, const float *x, float *out, size_t cols)
{
    struct norm_step t = {e, gain, x, out};
    pool_run(e->pool, cols, 1, norm_part, &t);
}

struct layer_step {
    struct engine *e;
    uint32_t layer;
};

/* Rotates queries and keys and puts keys and values into the caches. */
static void cache_part_of(void *arg, size_t first, size_t end)
{
    struct layer_step *t = arg;
    struct engine *e = t->e;
    const struct model *m = e->m;
    for (size_t c = first; c < end; c++) {
        const float *sine, *cosine = rope_at(e->rope, e->position[c], &sine);
        struct cache *cache = &e->rows[c].seq->cache;
        for (uint32_t i = 0; i < m->heads; i++)
            e->ops->rotate(e->q + (c * m->heads + i) * m->head, cosine, sine, m->rope_pairs);
        for (uint32_t i = 0; i < m->heads_kv; i++) {
            float *key = e->k + (c * m->heads_kv + i) * m->head;
            const float *value = e->v + (c * m->heads_kv + i) * m->head;
            e->ops->rotate(key, cosine, sine, m->rope_pairs);
            if (!cache_put(cache, e->ops, e->position[c], t->layer, i, key, value, m->head))
                e->finite[c] = false;
        }
    }
}

/* One (row, head) each; rows are those of e->slot. */
static void attention_part(void *arg, size_t first, size_t end)
{
    struct layer_step *t = arg;
    struct engine *e = t->e;
    const struct model *m = e->m;
    float scale = 1.0f / sqrtf((float)(int32_t)m->head);
    for (size_t at = first; at < end; at++) {
        uint32_t c = (uint32_t)(at / m->heads), head = (uint32_t)(at % m->heads), row = e->slot[c];
        uint32_t head_kv = head / (m->heads / m->heads_kv);
        if (!attention_run(&e->rows[row].seq->cache, e->ops, t->layer, head_kv, e->position[row],
                           e->q + ((size_t)row * m->heads + head) * m->head, m->head, scale,
                           e->scratch + at * e->scratch_bytes, e->o + at * m->head))
            e->finite[row] = false;
    }
}

struct pair_step {
    struct engine *e;
    float *a;
    const float *b;
    size_t n;
};

static void add_part(void *arg, size_t first, size_t end)
{
    struct pair_step *t = arg;
    t->e->ops->add(t->a + first * t->n, t->b + first * t->n, (end - first) * t->n);
}

static void silu_part(void *arg, size_t first, size_t end)
{
    struct pair_step *t = arg;
    t->e->ops->gated_silu(t->a + first * t->n, t->b + first * t->n, (end - first) * t->n, t->a + first * t->n);
}

/* -- a layer -- */

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

static size_t run_layer(struct engine *e, uint32_t index)
{
    const struct model *m = e->m;
    const struct model_layer *l = &m->layer[index];
    struct layer_step step = {e, index};
    size_t cols = e->n, all = (size_t)m->heads * m->head;
    norm(e, l->attention_norm, e->x, e->h, cols);
    struct ops_input in =
        make_input(e, e->h, m->embed, cols, (const struct ops_weight *[]){&l->query, &l->key, &l->value}, 3);
    multiply(e, &l->query, &in, e->q);
    multiply(e, &l->key, &in, e->k);
    multiply(e, &l->value, &in, e->v);
    pool_run(e->pool, cols, 1, cache_part_of, &step);
    if (index + 1 == m->layers)
        cols = pack_wanted(e);
    if (cols == 0)
        return 0;
    pool_run(e->pool, cols * m->heads, 1, attention_part, &step);
    in = make_input(e, e->o, all, cols, (const struct ops_weight *[]){&l->output}, 1);
    multiply(e, &l->output, &in, e->back);
    struct pair_step add = {e, e->x, e->back, m->embed};
    pool_run(e->pool, cols, 1, add_part, &add);

    norm(e, l->mix_norm, e->x, e->h, cols);
    in = make_input(e, e->h, m->embed, cols, (const struct ops_weight *[]){&l->gate, &l->up}, 2);
    multiply(e, &l->gate, &in, e->gate);
    multiply(e, &l->up, &in, e->up);
    struct pair_step silu = {e, e->gate, e->up, m->mix};
    pool_run(e->pool, cols, 1, silu_part, &silu);
    in = make_input(e, e->gate, m->mix, cols, (const struct ops_weight *[]){&l->down}, 1);
    multiply(e, &l->down, &in, e->back);
    pool_run(e->pool, cols, 1, add_part, &add);
    return cols;
}

/* -- a batch -- */

static void begin(struct engine *e, struct engine_row *rows, uint32_t n)
{
    const struct model *m = e->m;
    e->rows = rows;
    e->n = n;
    for (uint32_t c = 0; c < n; c++) {
        struct engine_seq *s = rows[c].seq;
        CHECK(rows[c].token < m->vocab && s->length < e->context);
        e->position[c] = s->length++;
        e->slot[c] = c;
        e->finite[c] = true;
        cache_reserve(&s->cache, e->position[c], rows[c].token);
        rope_prepare(e->rope, s->length);
        quant_read_row(m->embedding.type, m->embedding.data + rows[c].token * m->embedding.row_bytes, m->embed,
                       e->x + (size_t)c * m->embed);
    }
}

/* A position is finite when it and all before it in its sequence are; rows of a sequence are in order. */
static void settle_finite(struct engine *e)
{
    for (uint32_t c = 0; c < e->n; c++) {
        struct engine_seq *s = e->rows[c].seq;
        s->finite = s->finite && e->finite[c];
        e->rows[c].finite = s->finite;
        cache_settle(&s->cache, e->position[c], s->finite);
    }
}

void engine_eval(struct engine *e, struct engine_row *rows, uint32_t n)
{
    const struct model *m = e->m;
    size_t cols = 0;
    CHECK(n >= 1 && n <= e->batch_max);
    begin(e, rows, n);
    for (uint32_t i = 0; i < m->layers; i++)
        cols = run_layer(e, i);
    if (cols) {
        norm(e, m->output_norm, e->x, e->hidden, cols);
        struct ops_input in = make_input(e, e->hidden, m->embed, cols, (const struct ops_weight *[]){&m->output}, 1);
        multiply(e, &m->output, &in, e->logits);
    }
    for (size_t c = 0; c < cols; c++) {
        struct engine_row *r = &rows[e->slot[c]];
        r->hidden = e->hidden + c * m->embed;
        r->logits = e->logits + c * m->vocab;
        if (!e->ops->finite(r->hidden, m->embed) || !e->ops->finite(r->logits, m->vocab))
            e->finite[e->slot[c]] = false;
    }
    settle_finite(e);
}
