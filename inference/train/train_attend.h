/* Attention in training: one sequence of t positions, head by head, in blocks of queries. Activations lie feature by
 * feature (train_rows.h); nothing is quantised. */
#ifndef KITH_INFERENCE_TRAIN_ATTEND_H
#define KITH_INFERENCE_TRAIN_ATTEND_H

#include "inference/engine/model.h"
#include "inference/train/train_product.h"

#define TRAIN_QUERIES 64 /* of a block */

struct train_attend {
    const struct train_set *set;
    const struct model *m;
    uint32_t window; /* positions seen, itself included; 0: all before it */
    size_t t;
    const float *qkv; /* [heads + 2 heads_kv, head, t], normed and turned */
    float *o;         /* [heads, head, t]: what it makes; going back: its gradient */
    float *dqkv;      /* as qkv: gradients */
    float *scratch;   /* [heads, TRAIN_SCRATCH(t)]; going back, of heads_kv */
};
/* Floats of a head. */
#define TRAIN_SCRATCH(t) (3 * (size_t)(t)*TRAIN_QUERIES)

void train_attend(const struct train_attend *a, struct pool *pool);
void train_attend_back(const struct train_attend *a, struct pool *pool);

#endif
