/* Attention forth and back; see the header. Of a block of queries [from, from + many) the weights P[j, i] of all
 * positions j that one of them sees are made, and going back made again. */
#include "inference/train/train_attend.h"

#include "inference/kernels/arith_fn.h"

#include <string.h>

struct block {
    const struct train_attend *a;
    size_t from, many, first, end; /* queries; positions that one of them sees */
    const float *q, *k, *v;        /* [head, t] each */
    float *p;                      /* [end - first, many] */
};

static struct block block_at(const struct train_attend *a, size_t head, size_t from, float *scratch)
{
    const struct model *m = a->m;
    const size_t each = (size_t)m->head * a->t, kv = head / (m->heads / m->heads_kv);
    struct block b = {.a = a, .from = from, .many = a->t - from < TRAIN_QUERIES ? a->t - from : TRAIN_QUERIES};
    b.end = from + b.many;
    b.first = a->window && from + 1 > a->window ? from + 1 - a->window : 0;
    b.q = a->qkv + head * each;
    b.k = a->qkv + (m->heads + kv) * each;
    b.v = b.k + m->heads_kv * each;
    b.p = scratch;
    return b;
}

/* Whether query `from` + i sees position j. */
static bool sees(const struct block *b, size_t i, size_t j)
{
    const size_t at = b->from + i;
    return j <= at && (b->a->window == 0 || at - j < b->a->window);
}

/* p = (k . q) * scale where it is seen, and each query's largest. */
static void score(const struct block *b, float largest[TRAIN_QUERIES])
{
    const struct train_product p = {.m = b->end - b->first,
                                    .n = b->many,
                                    .k = b->a->m->head,
                                    .a = b->k + b->first,
                                    .am = 1,
                                    .ak = b->a->t,
                                    .b = b->q + b->from,
                                    .bk = b->a->t,
                                    .c = b->p,
                                    .cm = b->many};
    const float scale = b->a->m->score_scale;
    train_multiply(b->a->set, &p);
    for (size_t j = b->first; j < b->end; j++) {
        float *row = b->p + (j - b->first) * b->many;
        for (size_t i = 0; i < b->many; i++) {
            row[i] = row[i] * scale;
            if (sees(b, i, j))
                largest[i] = row[i] > largest[i] ? row[i] : largest[i];
        }
    }
}

static void weigh(const struct block *b)
{
    float largest[TRAIN_QUERIES], sum[TRAIN_QUERIES] = {0};
    for (size_t i = 0; i < b->many; i++)
        largest[i] = -3.0e38f;
    score(b, largest);
    for (size_t j = b->first; j < b->end; j++) {
        float *row = b->p + (j - b->first) * b->many;
        for (size_t i = 0; i < b->many; i++) {
            float e = arith_fn_exp(row[i] - largest[i]);
            row[i] = sees(b, i, j) ? e : 0.0f;
            sum[i] = sum[i] + row[i];
        }
    }
    for (size_t j = b->first; j < b->end; j++) {
        float *row = b->p + (j - b->first) * b->many;
        for (size_t i = 0; i < b->many; i++)
            row[i] = row[i] / sum[i];
    }
}

static void attend_part(void *arg, size_t first, size_t end)
{
    const struct train_attend *a = arg;
    for (size_t head = first; head < end; head++)
        for (size_t from = 0; from < a->t; from += TRAIN_QUERIES) {
            const struct block b = block_at(a, head, from, a->scratch + head * TRAIN_SCRATCH(a->t));
            const struct train_product p = {.m = a->m->head,
                                            .n = b.many,
                                            .k = b.end - b.first,
                                            .a = b.v + b.first,
                                            .am = a->t,
                                            .ak = 1,
                                            .b = b.p,
                                            .bk = b.many,
                                            .c = a->o + head * a->m->head * a->t + from,
                                            .cm = a->t};
            weigh(&b);
            train_multiply(a->set, &p);
        }
}

void train_attend(const struct train_attend *a, struct pool *pool)
{
    pool_run(pool, a->m->heads, 1, attend_part, (void *)(uintptr_t)a);
}

/* -- back -- */

/* out[i, j] = in[j, i] */
static void turn_over(const float *in, size_t rows, size_t columns, float *out)
{
    for (size_t j = 0; j < rows; j++)
        for (size_t i = 0; i < columns; i++)
            out[i * rows + j] = in[j * columns + i];
}

/* Adds to dx[head, t] at the seen positions the products over the block's queries of y[head, t] and w[many, seen]. */
static void add_over_queries(const struct block *b, const float *y, const float *w, float *dx)
{
    const struct train_product p = {.m = b->a->m->head,
                                    .n = b->end - b->first,
                                    .k = b->many,
                                    .a = y + b->from,
                                    .am = b->a->t,
                                    .ak = 1,
                                    .b = w,
                                    .bk = b->end - b->first,
                                    .c = dx + b->first,
                                    .cm = b->a->t,
                                    .add = true};
    train_multiply(b->a->set, &p);
}

/* d becomes the scores' gradient: p (d - sum over j of p d), times the scale. */
static void score_back(const struct block *b, float *d)
{
    const size_t n = (b->end - b->first) * b->many;
    float sum[TRAIN_QUERIES] = {0};
    for (size_t at = 0; at < n; at += b->many)
        for (size_t i = 0; i < b->many; i++)
            sum[i] = sum[i] + b->p[at + i] * d[at + i];
    for (size_t at = 0; at < n; at += b->many)
        for (size_t i = 0; i < b->many; i++)
            d[at + i] = (b->p[at + i] * (d[at + i] - sum[i])) * b->a->m->score_scale;
}

static void block_back(const struct block *b, const float *d_out, float *dq, float *dk, float *dv)
{
    const size_t seen = b->end - b->first, t = b->a->t, head = b->a->m->head;
    float *d = b->p + t * TRAIN_QUERIES, *turned = d + t * TRAIN_QUERIES;
    const struct train_product to_p = {.m = seen,
                                       .n = b->many,
                                       .k = head,
                                       .a = b->v + b->first,
                                       .am = 1,
                                       .ak = t,
                                       .b = d_out + b->from,
                                       .bk = t,
                                       .c = d,
                                       .cm = b->many};
    const struct train_product to_q = {.m = head,
                                       .n = b->many,
                                       .k = seen,
                                       .a = b->k + b->first,
                                       .am = t,
                                       .ak = 1,
                                       .b = d,
                                       .bk = b->many,
                                       .c = dq + b->from,
                                       .cm = t};
    weigh(b);
    turn_over(b->p, seen, b->many, turned);
    add_over_queries(b, d_out, turned, dv);
    train_multiply(b->a->set, &to_p);
    score_back(b, d);
    train_multiply(b->a->set, &to_q);
    turn_over(d, seen, b->many, turned);
    add_over_queries(b, b->q, turned, dk);
}

/* Of a head of keys and values all that its heads of queries make of it, one after the other. */
static void back_part(void *arg, size_t first, size_t end)
{
    const struct train_attend *a = arg;
    const struct model *m = a->m;
    const size_t each = (size_t)m->head * a->t, shared = m->heads / m->heads_kv;
    for (size_t kv = first; kv < end; kv++) {
        float *dk = a->dqkv + (m->heads + kv) * each, *dv = dk + m->heads_kv * each;
        memset(dk, 0, each * sizeof *dk);
        memset(dv, 0, each * sizeof *dv);
        for (size_t head = kv * shared; head < (kv + 1) * shared; head++)
            for (size_t from = 0; from < a->t; from += TRAIN_QUERIES) {
                const struct block b = block_at(a, head, from, a->scratch + kv * TRAIN_SCRATCH(a->t));
                block_back(&b, a->o + head * each, a->dqkv + head * each, dk, dv);
            }
    }
}

void train_attend_back(const struct train_attend *a, struct pool *pool)
{
    pool_run(pool, a->m->heads_kv, 1, back_part, (void *)(uintptr_t)a);
}
