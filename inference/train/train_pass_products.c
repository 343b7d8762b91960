/* A pass's products, with the pairs beside them; see the header. Weights are read out a few rows at a time. */
#include "inference/train/train_pass_in.h"

#define CHUNK_BYTES (4u << 20) /* of weights that are read out at once */

/* Rows of a matrix of n columns that are read out at once. */
static size_t chunk_rows(size_t n)
{
    size_t rows = CHUNK_BYTES / sizeof(float) / n / 16 * 16;
    return rows < 16 ? 16 : rows;
}

size_t train_pass_weights(const struct model *m)
{
    const size_t rows[] = {m->embed, m->mix, (size_t)m->heads * m->head, m->low_rank, m->expert_mix, m->shared_mix};
    size_t longest = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        longest = rows[i] > longest ? rows[i] : longest;
    longest *= 16;
    return longest > CHUNK_BYTES / sizeof(float) ? longest : CHUNK_BYTES / sizeof(float);
}

struct read_step {
    const struct ops_weight *w;
    size_t from;
    float *out;
};

static void read_part(void *arg, size_t first, size_t end)
{
    const struct read_step *r = arg;
    for (size_t i = first; i < end; i++)
        quant_read_row(r->w->type, r->w->data + (r->from + i) * r->w->row_bytes, r->w->n, r->out + i * r->w->n);
}

/* Rows [from, from + rows) of a matrix into p->weights. */
static void read_rows(struct train_pass *p, const struct ops_weight *w, size_t from, size_t rows)
{
    struct read_step r = {w, from, p->weights};
    pool_run(p->o.pool, rows, 16, read_part, &r);
}

static void multiply(struct train_pass *p, const struct train_product *product)
{
    train_multiply_all(p->o.set, p->o.pool, product);
}

void train_pass_weigh(struct train_pass *p, const struct ops_weight *w, size_t t, const float *x, float *y, bool add)
{
    const size_t chunk = chunk_rows(w->n);
    for (size_t r = 0, rows; r < w->rows; r += rows) {
        rows = w->rows - r < chunk ? w->rows - r : chunk;
        read_rows(p, w, r, rows);
        multiply(p, &(struct train_product){.m = rows,
                                            .n = t,
                                            .k = w->n,
                                            .a = p->weights,
                                            .am = w->n,
                                            .ak = 1,
                                            .b = x,
                                            .bk = t,
                                            .c = y + r * t,
                                            .cm = t,
                                            .add = add});
    }
}

void train_pass_weigh_back(struct train_pass *p, const struct ops_weight *w, size_t t, const float *dy, float *dx,
                           bool add)
{
    const size_t chunk = chunk_rows(w->n);
    for (size_t r = 0, rows; r < w->rows; r += rows) {
        rows = w->rows - r < chunk ? w->rows - r : chunk;
        read_rows(p, w, r, rows);
        multiply(p, &(struct train_product){.m = w->n,
                                            .n = t,
                                            .k = rows,
                                            .a = p->weights,
                                            .am = 1,
                                            .ak = w->n,
                                            .b = dy + r * t,
                                            .bk = t,
                                            .c = dx,
                                            .cm = t,
                                            .add = add || r > 0});
    }
}

void train_pass_frozen(struct train_pass *p, const struct ops_weight *w, const struct model_low *low, size_t t,
                       const float *x, float *y)
{
    train_pass_weigh(p, w, t, x, y, false);
    if (!low->down.data)
        return;
    train_pass_weigh(p, &low->down, t, x, p->frozen, false);
    train_pass_weigh(p, &low->up, t, p->frozen, y, true);
}

void train_pass_frozen_back(struct train_pass *p, const struct ops_weight *w, const struct model_low *low, size_t t,
                            const float *dy, float *dx, bool add)
{
    train_pass_weigh_back(p, w, t, dy, dx, add);
    if (!low->down.data)
        return;
    train_pass_weigh_back(p, &low->up, t, dy, p->frozen, false);
    train_pass_weigh_back(p, &low->down, t, p->frozen, dx, true);
}

static void scale_low(const struct train_pass *p, float *low)
{
    for (size_t i = 0; i < p->o.lora->rank * p->t; i++)
        low[i] = low[i] * p->o.lora->scale;
}

/* y = W x, what the base's adapters add, + B low, low[rank, t] = (A x) scale. */
static void run_site(struct train_pass *p, const struct train_site *s, const float *x, float *low, float *y)
{
    const size_t t = p->t, rank = p->o.lora->rank, n = s->w.n, rows = s->w.rows;
    train_pass_frozen(p, &s->w, &s->low, t, x, y);
    multiply(p, &(struct train_product){
                    .m = rank, .n = t, .k = n, .a = s->a, .am = 1, .ak = rank, .b = x, .bk = t, .c = low, .cm = t});
    scale_low(p, low);
    multiply(p, &(struct train_product){.m = rows,
                                        .n = t,
                                        .k = rank,
                                        .a = s->b,
                                        .am = rank,
                                        .ak = 1,
                                        .b = low,
                                        .bk = t,
                                        .c = y,
                                        .cm = t,
                                        .add = true});
}

/* p->turned[t, rank] = low[rank, t] the other way round. */
static void turn_low(struct train_pass *p, const float *low)
{
    const size_t t = p->t, rank = p->o.lora->rank;
    for (size_t q = 0; q < rank; q++)
        for (size_t i = 0; i < t; i++)
            p->turned[i * rank + q] = low[q * t + i];
}

/* gradient[rows, rank] += x[rows, t] turned. */
static void add_gradient(struct train_pass *p, const float *x, size_t rows, float *gradient)
{
    const size_t t = p->t, rank = p->o.lora->rank;
    multiply(p, &(struct train_product){.m = rows,
                                        .n = rank,
                                        .k = t,
                                        .a = x,
                                        .am = t,
                                        .ak = 1,
                                        .b = p->turned,
                                        .bk = rank,
                                        .c = gradient,
                                        .cm = rank,
                                        .add = true});
}

/* Gradients of a pair, and of the site's input: dx set, gone on with (`add`), or not wanted (NULL). */
static void run_site_back(struct train_pass *p, const struct train_site *s, const float *x, const float *low,
                          const float *dy, float *dx, bool add)
{
    const size_t t = p->t, rank = p->o.lora->rank, n = s->w.n, rows = s->w.rows;
    turn_low(p, low);
    add_gradient(p, dy, rows, s->db);
    multiply(p,
             &(struct train_product){
                 .m = rank, .n = t, .k = rows, .a = s->b, .am = 1, .ak = rank, .b = dy, .bk = t, .c = p->low, .cm = t});
    scale_low(p, p->low);
    turn_low(p, p->low);
    add_gradient(p, x, n, s->da);
    if (!dx)
        return;
    train_pass_frozen_back(p, &s->w, &s->low, t, dy, dx, add);
    multiply(p, &(struct train_product){.m = n,
                                        .n = t,
                                        .k = rank,
                                        .a = s->a,
                                        .am = rank,
                                        .ak = 1,
                                        .b = p->low,
                                        .bk = t,
                                        .c = dx,
                                        .cm = t,
                                        .add = true});
}

void train_pass_place(struct train_pass *p, uint32_t layer, enum train_place place, const float *x, float *y)
{
    const struct train_lora *l = p->o.lora;
    for (size_t i = l->first[layer]; i < l->first[layer + 1]; i++)
        if (l->site[i].place == place)
            run_site(p, &l->site[i], x, p->kept[layer].low[i - l->first[layer]], y + l->site[i].to * p->t);
}

void train_pass_place_back(struct train_pass *p, uint32_t layer, enum train_place place, const float *x,
                           const float *dy, float *dx)
{
    const struct train_lora *l = p->o.lora;
    for (size_t i = l->first[layer]; i < l->first[layer + 1]; i++) {
        const struct train_site *s = &l->site[i];
        if (s->place == place)
            run_site_back(p, s, x, p->kept[layer].low[i - l->first[layer]], dy + s->to * p->t, dx, s->to > 0);
    }
}
