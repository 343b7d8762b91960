/* Attention in chunks of positions at absolute multiples of ARITH_CHUNK, combined in increasing order:
 *
 *     for each chunk: s = scores, m = max s, p = e^(s - m), l = sum p, o = sum p v
 *         M' = max(M, m);  a = e^(M - M'), b = e^(m - M')
 *         L = L a + l b;   O = O a + o b;   M = M'          (before the first chunk M = m, L = +0, O = +0)
 *     out = O / L
 *
 * A chunk without a position that is seen is skipped; "first" is the first that is not. So a chunk may be computed
 * anywhere, and nothing depends on how many positions are evaluated at once. */
#include "inference/attention.h"

#include <math.h>
#include <string.h>

size_t attention_scratch(size_t head_n)
{
    size_t padded = quant_padded(head_n);
    return padded + (padded / ARITH_BLOCK + 2 * padded + ARITH_CHUNK) * sizeof(float);
}

struct work {
    float *sum, *part, *s, *qs; /* [padded], [padded], [CHUNK], [blocks] */
    int8_t *q;                  /* [padded] */
};

static struct work lay_out(void *scratch, size_t padded)
{
    struct work w;
    w.sum = scratch;
    w.part = w.sum + padded;
    w.s = w.part + padded;
    w.qs = w.s + ARITH_CHUNK;
    w.q = (int8_t *)(w.qs + padded / ARITH_BLOCK);
    return w;
}

/* p[CHUNK] of the positions of a chunk that are seen, [from, to), +0 for those before; their peak and sum. */
static bool probabilities(const struct attention *a, const struct work *w, const struct cache_part *p, size_t from,
                          size_t to, float *peak, float *sum)
{
    a->ops->scores(w->q, w->qs, p->k, p->ks, a->cache->blocks, to, a->scale, w->s);
    if (a->cap != 0.0f)
        a->ops->soft_cap(w->s + from, a->cap, to - from);
    if (!a->ops->peak(w->s + from, to - from, peak))
        return false;
    for (size_t t = 0; t < from; t++)
        w->s[t] = -INFINITY;
    *sum = a->ops->exponentials(w->s, to, *peak);
    return true;
}

bool attention_run(const struct attention *a, uint32_t head_kv, const float *query, size_t head_n, void *scratch,
                   float *out)
{
    size_t padded = (size_t)a->cache->blocks * ARITH_BLOCK;
    struct work w = lay_out(scratch, padded);
    float top = 0, total = 0;
    uint32_t first_page = a->first / ARITH_CHUNK;
    bool finite = a->ops->quantise(query, head_n, w.q, w.qs);
    memset(w.sum, 0, padded * sizeof *w.sum);
    for (uint32_t page = first_page; finite && page * ARITH_CHUNK < a->end; page++) {
        struct cache_part p = cache_at(a->cache, page, a->layer, head_kv);
        uint32_t start = page * ARITH_CHUNK, left = a->end - start;
        size_t from = a->first > start ? a->first - start : 0, to = left < ARITH_CHUNK ? left : ARITH_CHUNK;
        float peak, l;
        finite = probabilities(a, &w, &p, from, to, &peak, &l);
        if (!finite)
            break;
        a->ops->weigh(w.s, p.v, p.vs, a->cache->blocks, to, w.part);
        if (page == first_page)
            top = peak;
        float next = peak > top ? peak : top;
        float old = arith_exp(top - next), new = arith_exp(peak - next);
        total = total * old + l * new;
        for (size_t i = 0; i < padded; i++)
            w.sum[i] = w.sum[i] * old + w.part[i] * new;
        top = next;
    }
    if (!finite) {
        memset(out, 0, head_n * sizeof *out);
        return false;
    }
    for (size_t i = 0; i < head_n; i++)
        out[i] = w.sum[i] / total;
    return true;
}
