/* Attention in chunks of positions at absolute multiples of ARITH_CHUNK, combined in increasing order:
 *
 *     for each chunk: s = scores, m = max s, p = e^(s - m), l = sum p, o = sum p v
 *         M' = max(M, m);  a = e^(M - M'), b = e^(m - M')
 *         L = L a + l b;   O = O a + o b;   M = M'          (before the first chunk M = m, L = +0, O = +0)
 *     out = O / L
 *
 * So a chunk may be computed anywhere, and nothing depends on how many positions are evaluated at once. */
#include "inference/attention.h"

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

bool attention_run(const struct cache *c, const struct ops *ops, uint32_t layer, uint32_t head_kv, uint32_t position,
                   const float *query, size_t head_n, float scale, void *scratch, float *out)
{
    size_t padded = (size_t)c->blocks * ARITH_BLOCK;
    struct work w = lay_out(scratch, padded);
    float top = 0, total = 0;
    bool finite = ops->quantise(query, head_n, w.q, w.qs);
    memset(w.sum, 0, padded * sizeof *w.sum);
    for (uint32_t page = 0; finite && page <= position / ARITH_CHUNK; page++) {
        struct cache_part p = cache_at(c, page, layer, head_kv);
        uint32_t first = page * ARITH_CHUNK, left = position + 1 - first;
        size_t count = left < ARITH_CHUNK ? left : ARITH_CHUNK;
        float peak;
        ops->scores(w.q, w.qs, p.k, p.ks, c->blocks, count, scale, w.s);
        finite = ops->peak(w.s, count, &peak);
        if (!finite)
            break;
        float l = ops->exponentials(w.s, count, peak);
        ops->weigh(w.s, p.v, p.vs, c->blocks, count, w.part);
        if (page == 0)
            top = peak;
        float next = peak > top ? peak : top;
        float a = arith_exp(top - next), b = arith_exp(peak - next);
        total = total * a + l * b;
        for (size_t i = 0; i < padded; i++)
            w.sum[i] = w.sum[i] * a + w.part[i] * b;
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
