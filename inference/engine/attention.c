/* Attention in chunks of positions at absolute multiples of ARITH_CHUNK, combined in increasing order:
 *
 *     for each chunk: s = scores, m = max s, p = e^(s - m), l = sum p, o = sum p v
 *         M' = max(M, m);  a = e^(M - M'), b = e^(m - M')
 *         L = L a + l b;   O = O a + o b;   M = M'          (before the first chunk M = m, L = +0, O = +0;
 *                                                            with a sink M = sink, L = 1, O = +0)
 *     out = O / L
 *
 * A chunk without a position that is seen is skipped; "first" is the first that is not. So a chunk may be computed
 * anywhere, and nothing depends on how many positions are evaluated at once. One of a and b is always 1. */
#include "inference/engine/attention.h"

#include <math.h>
#include <string.h>

size_t attention_scratch(size_t key_n, size_t value_n)
{
    size_t keys = quant_padded(key_n);
    return keys + (keys / ARITH_BLOCK + 2 * quant_padded(value_n) + ARITH_CHUNK) * sizeof(float);
}

struct work {
    float *sum, *part, *s, *qs; /* [n, values], [n, values], [n, CHUNK], [n, blocks] */
    int8_t *q;                  /* [n, keys] */
    size_t keys, values;        /* padded to whole blocks, */
    size_t blocks, blocks_v;    /* ... of which there are so many, */
    size_t key_n, value_n;      /* ... and not */
    float top[OPS_QUERIES], total[OPS_QUERIES];
    bool begun[OPS_QUERIES];
};

static struct work lay_out(void *scratch, const struct attention *a, size_t n)
{
    const struct model_keys *keys = &a->cache->m->layer[a->layer].keys;
    struct work w = {.key_n = keys->key_n, .value_n = keys->value_n};
    w.blocks = cache_blocks(keys->key_n);
    w.blocks_v = cache_blocks(keys->value_n);
    w.keys = w.blocks * ARITH_BLOCK;
    w.values = w.blocks_v * ARITH_BLOCK;
    w.sum = scratch;
    w.part = w.sum + n * w.values;
    w.s = w.part + n * w.values;
    w.qs = w.s + n * ARITH_CHUNK;
    w.q = (int8_t *)(w.qs + n * w.blocks);
    return w;
}

/* What a query sees of the page that begins at `start`: [from, to) of it; nothing where they are equal. */
struct view {
    size_t from, to;
};

static struct view view_of(const struct attention_query *q, uint32_t start)
{
    struct view v = {0, 0};
    if (!q->finite || q->end <= start || q->first >= start + ARITH_CHUNK)
        return v;
    v.from = q->first > start ? q->first - start : 0;
    v.to = q->end - start < ARITH_CHUNK ? q->end - start : ARITH_CHUNK;
    return v;
}

/* Scores s[CHUNK] become probabilities, +0 where the query does not see; their peak and sum. */
static bool probabilities(const struct attention *a, struct view v, float *s, float *peak, float *sum)
{
    if (a->cap != 0.0f)
        a->ops->soft_cap(s + v.from, a->cap, v.to - v.from);
    if (!a->ops->peak(s + v.from, v.to - v.from, peak))
        return false;
    for (size_t t = 0; t < v.from; t++)
        s[t] = -INFINITY;
    *sum = a->ops->exponentials(s, v.to, *peak);
    memset(s + v.to, 0, (ARITH_CHUNK - v.to) * sizeof *s);
    return true;
}

/* The chunk's part of query i, which is in w->part, joins what was before. */
static void combine(const struct attention *a, struct work *w, size_t i, float peak, float l)
{
    float *sum = w->sum + i * w->values, *part = w->part + i * w->values;
    float top = w->begun[i] ? w->top[i] : peak, next = peak > top ? peak : top;
    if (next > top) {
        float old = arith_exp(top - next);
        w->total[i] = w->total[i] * old;
        a->ops->scale(sum, old, w->values);
    }
    float new = next > peak ? arith_exp(peak - next) : 1.0f;
    w->total[i] = w->total[i] + l * new;
    a->ops->add_scaled(sum, part, new, w->values);
    w->top[i] = next;
    w->begun[i] = true;
}

/* Queries [low, high) meet a page; some between may not see it. */
static void meet(const struct attention *a, struct attention_query *q, struct work *w, const struct cache_part *p,
                 const struct view *view, size_t low, size_t high)
{
    size_t blocks = w->blocks, n = high - low, most = 0;
    float peak[OPS_QUERIES], sum[OPS_QUERIES];
    for (size_t i = low; i < high; i++)
        most = view[i].to > most ? view[i].to : most;
    a->ops->scores(w->q + low * w->keys, w->qs + low * blocks, n, p->k, p->ks, blocks, most, a->scale,
                   w->s + low * ARITH_CHUNK);
    for (size_t i = low; i < high; i++) {
        float *s = w->s + i * ARITH_CHUNK;
        q[i].finite = q[i].finite && (!view[i].to || probabilities(a, view[i], s, &peak[i], &sum[i]));
        if (!q[i].finite || !view[i].to)
            memset(s, 0, ARITH_CHUNK * sizeof *s);
    }
    a->ops->weigh(w->s + low * ARITH_CHUNK, n, p->v, p->vs, w->blocks_v, most, w->part + low * w->values);
    for (size_t i = low; i < high; i++)
        if (q[i].finite && view[i].to)
            combine(a, w, i, peak[i], sum[i]);
}

static void meet_page(const struct attention *a, struct attention_query *q, size_t n, struct work *w, uint32_t page)
{
    struct cache_part p = cache_at(a->cache, page, a->layer, a->head_kv);
    struct view view[OPS_QUERIES];
    size_t low = 0, high = n;
    for (size_t i = 0; i < n; i++)
        view[i] = view_of(&q[i], page * ARITH_CHUNK);
    while (low < high && !view[low].to)
        low++;
    while (low < high && !view[high - 1].to)
        high--;
    if (low < high)
        meet(a, q, w, &p, view, low, high);
}

static void put_out(const struct attention_query *q, const float *sum, size_t n, float total)
{
    if (!q->finite) {
        memset(q->out, 0, n * sizeof *q->out);
        return;
    }
    for (size_t i = 0; i < n; i++)
        q->out[i] = sum[i] / total;
}

void attention_run(const struct attention *a, struct attention_query *q, size_t n, void *scratch)
{
    CHECK(n >= 1 && n <= OPS_QUERIES);
    struct work w = lay_out(scratch, a, n);
    uint32_t first = q->first, end = q->end;
    memset(w.sum, 0, n * w.values * sizeof *w.sum);
    for (size_t i = 0; i < n; i++) {
        if (q[i].sink) {
            w.top[i] = *q[i].sink;
            w.total[i] = 1.0f;
            w.begun[i] = true;
        }
        q[i].finite = a->ops->quantise(q[i].x, w.key_n, w.q + i * w.keys, w.qs + i * w.blocks);
        first = q[i].first < first ? q[i].first : first;
        end = q[i].end > end ? q[i].end : end;
    }
    for (uint32_t page = first / ARITH_CHUNK; page * ARITH_CHUNK < end; page++)
        meet_page(a, q, n, &w, page);
    for (size_t i = 0; i < n; i++)
        put_out(&q[i], w.sum + i * w.values, w.value_n, w.total[i]);
}
