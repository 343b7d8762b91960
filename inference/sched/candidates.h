/* The tokens that a choice is among, in order: logit falling, then id rising. They are not sorted: each lies in a
 * bucket by how far its logit is below the largest, and only a bucket in which something is decided is put in order,
 * since a vocabulary has a hundred thousand tokens and a choice lies among few. */
#ifndef KITH_INFERENCE_CANDIDATES_H
#define KITH_INFERENCE_CANDIDATES_H

#include "inference/kernels/ops.h"

struct candidates;

struct candidates *candidates_new(const struct ops *ops, uint32_t vocab);
void candidates_free(struct candidates *c);

/* Those of logits[vocab] that `mask` allows (NULL: all) and whose weight floor(2^32 e^x), x = (logit - peak) / temp, is
 * not zero. `peak`: the largest allowed logit, finite. What is said below holds until the next call. */
void candidates_fill(struct candidates *c, const float *logits, const uint32_t *mask, float peak, float temp);

/* The first of them, in order: all of the buckets before one, and so many of it. */
struct candidates_front {
    uint32_t bucket, within;
    uint64_t sum; /* of their weights */
};
/* At most `n`. */
struct candidates_front candidates_first(struct candidates *c, uint32_t n);
/* Of `f` the shortest front whose weights sum to at least top_p of its own; at least one. top_p counts as an integer of
 * 24 bits, which a binary32 in 0..1 scales to without loss above 2^-24. */
struct candidates_front candidates_heavy(struct candidates *c, struct candidates_front f, float top_p);
/* Of `f` those before the first with e^x < min_p; at least one. */
struct candidates_front candidates_likely(struct candidates *c, struct candidates_front f, float min_p);
/* The id of the first whose running sum of weights exceeds `at`, which is under the sum of all. */
uint32_t candidates_at(struct candidates *c, uint64_t at);

#endif
