/* Attention of one head at one position over a stretch of its sequence's cache (docs/arithmetic.md, Attention). */
#ifndef KITH_INFERENCE_ATTENTION_H
#define KITH_INFERENCE_ATTENTION_H

#include "inference/cache.h"

/* Bytes of scratch that a thread needs for heads of this length. */
size_t attention_scratch(size_t head_n);
/* The positions that a query sees, and how its scores are made. */
struct attention {
    const struct cache *cache; /* keys and values of [first, end) are in it */
    const struct ops *ops;
    uint32_t layer, first, end; /* first < end */
    float scale;                /* of the scores */
    float cap;                  /* 0: none */
};
/* out[head_n] = attention of query[head_n] over one head's keys and values. False if a number on the way is not finite;
 * out is then zero. */
bool attention_run(const struct attention *a, uint32_t head_kv, const float *query, size_t head_n, void *scratch,
                   float *out);

#endif
