/* Attention of one head at one position over its sequence's cache (docs/arithmetic.md, Attention). */
#ifndef KITH_INFERENCE_ATTENTION_H
#define KITH_INFERENCE_ATTENTION_H

#include "inference/cache.h"

/* Bytes of scratch that a thread needs for heads of this length. */
size_t attention_scratch(size_t head_n);
/* out[head_n] = attention of query[head_n] at `position` (whose key and value are in the cache already). `scale`
 * multiplies the scores. False if a number on the way is not finite; out is then zero. */
bool attention_run(const struct cache *c, const struct ops *ops, uint32_t layer, uint32_t head_kv, uint32_t position,
                   const float *query, size_t head_n, float scale, void *scratch, float *out);

#endif
