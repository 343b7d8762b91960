/* Attention whose heads share one row of the cache (multi-head latent attention, DeepSeek V2 and later). A position's
 * row is its latent, normed, and behind it a few elements that are rotated; together they are the key of all heads, and
 * the latent alone is the value. What a head has of its own is on the query's side:
 *
 *     query of head h = key_up[h] . plain part, rotated part          [latent], [2 rope_pairs]
 *     value of head h = value_up[h] . (attention over the rows)       [value]
 *
 * The plain products of heads with keys, (key_up' . row) . plain, are the same numbers but for rounding; so a position
 * takes the memory of one row, not that of heads. Queries as they are projected stand in e->o, then in e->q as they
 * meet the rows; values in e->q again. */
#include "inference/engine/engine_in.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define COLS 64 /* of a batch that go through the heads together: that bounds what heads put aside */

struct latent {
    float *gathered; /* [heads, COLS, longest input] */
    uint8_t *blocks; /* [heads] the same in blocks */
    size_t n;        /* the longest input */
    size_t blocks_bytes;
};

static size_t input_n(const struct model *m)
{
    return m->plain > m->latent ? m->plain : m->latent;
}

static size_t cols_of(uint32_t batch)
{
    return batch < COLS ? batch : COLS;
}

struct latent *latent_new(const struct model *m, uint32_t batch)
{
    if (!m->latent)
        return NULL;
    struct latent *t = mem_new(sizeof *t);
    t->n = input_n(m);
    t->blocks_bytes = ops_blocks_bytes(t->n, cols_of(batch));
    t->gathered = mem_array(m->heads * cols_of(batch) * t->n, sizeof *t->gathered);
    t->blocks = mem_new(m->heads * t->blocks_bytes);
    return t;
}

void latent_free(struct latent *t)
{
    if (!t)
        return;
    free(t->gathered);
    free(t->blocks);
    free(t);
}

uint64_t latent_bytes(const struct model *m, uint32_t batch)
{
    const size_t cols = cols_of(batch), n = input_n(m);
    return m->latent ? m->heads * ((uint64_t)cols * n * sizeof(float) + ops_blocks_bytes(n, cols)) : 0;
}

/* -- products of each head with a matrix of its own -- */

struct heads_product {
    struct engine *e;
    const struct ops_weight *w; /* [heads] */
    const float *x;             /* [cols, x_row], head h from h x_head on */
    float *out;                 /* [cols, out_row], likewise */
    size_t cols, x_row, x_head, out_row, out_head;
    const uint32_t *slot; /* of columns: where what is not finite is marked */
};

static void heads_product_part(void *arg, size_t first, size_t end)
{
    const struct heads_product *t = arg;
    const struct ops *ops = t->e->ops;
    const struct latent *s = t->e->latent;
    for (size_t h = first; h < end; h++) {
        const struct ops_weight *w = &t->w[h];
        float *gathered = s->gathered + h * t->cols * w->n;
        struct ops_input in = {.n = w->n, .cols = t->cols, .f = gathered};
        enum quant_input input = quant_format(w->type)->input;
        if (input == QUANT_NARROW)
            in.narrow = ops_blocks_at(s->blocks + h * s->blocks_bytes, w->n, t->cols);
        if (input == QUANT_WIDE)
            in.wide = ops_blocks_at(s->blocks + h * s->blocks_bytes, w->n, t->cols);
        for (size_t c = 0; c < t->cols; c++) {
            memcpy(gathered + c * w->n, t->x + c * t->x_row + h * t->x_head, w->n * sizeof *gathered);
            if (!ops_put_column(ops, &in, c, gathered + c * w->n))
                t->e->finite[t->slot[c]] = false;
        }
        ops->multiply(w, 0, w->rows, &in, t->out + h * t->out_head, t->out_row);
    }
}

/* All `cols` columns, a piece at a time. */
static void multiply_heads(struct heads_product *t, size_t cols)
{
    for (; cols > 0; cols -= t->cols) {
        t->cols = cols < COLS ? cols : COLS;
        pool_run(t->e->pool, t->e->m->heads, 1, heads_product_part, t);
        t->x += t->cols * t->x_row;
        t->out += t->cols * t->out_row;
        t->slot += t->cols;
    }
}

/* -- rows -- */

static void turn(const struct engine *e, float *x, const float *cosine, const float *sine)
{
    if (cosine && e->m->kind->has & HAS_HALVES)
        e->ops->rotate_halves(x, cosine, sine, e->m->rope_pairs);
    else if (cosine)
        e->ops->rotate(x, cosine, sine, e->m->rope_pairs);
}

struct rows_step {
    struct engine *e;
    const struct model_layer *l;
    uint32_t layer;
};

/* Each position's row is normed, turned and kept; of its queries what is rotated goes where it belongs. */
static void rows_part(void *arg, size_t first, size_t end)
{
    const struct rows_step *t = arg;
    struct engine *e = t->e;
    const struct model *m = e->m;
    const size_t turned = 2 * m->rope_pairs, projected = m->plain + turned;
    for (size_t c = first; c < end; c++) {
        const float *sine, *cosine = engine_angles(e, t->l, c, &sine);
        float *row = e->k + c * m->head;
        e->ops->norm(row, t->l->latent->row_norm.gain, m->epsilon, m->latent, row);
        turn(e, row + m->latent, cosine, sine);
        if (!cache_put(&e->rows[c].seq->cache, e->ops, e->position[c], t->layer, 0, row, row))
            e->finite[c] = false;
        for (size_t h = 0; h < m->heads; h++) {
            float *to = e->q + (c * m->heads + h) * m->head + m->latent;
            memcpy(to, e->o + (c * m->heads + h) * projected + m->plain, turned * sizeof *to);
            turn(e, to, cosine, sine);
        }
    }
}

void latent_project(struct engine *e, uint32_t layer, const float *x, size_t cols)
{
    const struct model *m = e->m;
    const struct model_layer *l = &m->layer[layer];
    const struct model_latent *a = l->latent;
    const struct model_product *first = m->query_low ? &a->query_low : &a->query;
    struct ops_input in = engine_input(e, x, m->embed, cols, e->slot, &a->row.w, &first->w, NULL);
    engine_product(e, &a->row, &in, e->k);
    engine_product(e, first, &in, m->query_low ? e->back : e->o);
    if (m->query_low) {
        engine_norm(e, &a->query_norm, e->back, m->query_low, e->back, cols);
        in = engine_input(e, e->back, m->query_low, cols, e->slot, &a->query.w, NULL, NULL);
        engine_product(e, &a->query, &in, e->o);
    }
    struct rows_step rows = {e, l, layer};
    pool_run(e->pool, cols, 1, rows_part, &rows);
    const size_t projected = m->plain + 2 * m->rope_pairs;
    struct heads_product up = {.e = e,
                               .w = a->key_up,
                               .x = e->o,
                               .x_row = m->heads * projected,
                               .x_head = projected,
                               .out = e->q,
                               .out_row = (size_t)m->heads * m->head,
                               .out_head = m->head,
                               .slot = e->slot};
    multiply_heads(&up, cols);
}

const float *latent_values(struct engine *e, const struct model_layer *l, size_t cols)
{
    const struct model *m = e->m;
    struct heads_product up = {.e = e,
                               .w = l->latent->value_up,
                               .x = e->o,
                               .x_row = (size_t)m->heads * m->latent,
                               .x_head = m->latent,
                               .out = e->q,
                               .out_row = (size_t)m->heads * m->value,
                               .out_head = m->value,
                               .slot = e->slot};
    multiply_heads(&up, cols);
    return e->q;
}
