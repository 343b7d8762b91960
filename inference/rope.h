/* Rotary angles as tables, computed in binary64 from primitives and rounded to binary32, for every backend
 * the same. Angle of pair i at position t: (t / scale) * base^(-2 i / dims) / factor_i. */
#ifndef KITH_INFERENCE_ROPE_H
#define KITH_INFERENCE_ROPE_H

#include "inference/model.h"

struct rope;
struct rope *rope_new(const struct model *m, uint32_t positions);
void rope_free(struct rope *r);
/* Makes the tables for positions below `end`; not thread-safe, and before rope_at for them. */
void rope_prepare(struct rope *r, uint32_t end);
/* cosine[rope_pairs] of a position; *sine likewise. */
const float *rope_at(const struct rope *r, uint32_t position, const float **sine);

#endif
