/* Attention of one head's queries over a stretch of a sequence's cache (docs/arithmetic.md, Attention). */
#ifndef KITH_INFERENCE_ATTENTION_H
#define KITH_INFERENCE_ATTENTION_H

#include "inference/engine/cache.h"

/* Bytes of scratch that a query needs, of keys and values of these lengths. */
size_t attention_scratch(size_t key_n, size_t value_n);

/* The keys and values, and how scores are made. */
struct attention {
    const struct cache *cache;
    const struct ops *ops;
    uint32_t layer, head_kv;
    float scale; /* of the scores */
    float cap;   /* 0: none */
};

/* A query and the positions that it sees. */
struct attention_query {
    const float *x;      /* [key_n] of the layer */
    float *out;          /* [value_n] */
    const float *sink;   /* what joins the scores as if one more position had it, whose value is zeros; NULL: none */
    uint32_t first, end; /* first < end; keys and values of [first, end) are in the cache */
    bool finite;         /* set: whether all numbers on the way were; out is zero if not */
};

/* The queries q[n], 1 <= n <= OPS_QUERIES, which meet each chunk together; each has the bits that it has alone.
 * scratch: n times attention_scratch. */
void attention_run(const struct attention *a, struct attention_query *q, size_t n, void *scratch);

#endif
