/* Rotary angles as tables, computed in binary64 from primitives and rounded to binary32, for every backend
 * the same (docs/arithmetic.md, Rotation). One table for each way to rotate. */
#ifndef KITH_INFERENCE_ROPE_H
#define KITH_INFERENCE_ROPE_H

#include "inference/engine/model.h"

struct rope;
/* way->pairs > 0. The tables are made for positions below `positions` at most, with room for `room` pairs of each, of
 * which those beyond way->pairs are zeros. */
struct rope *rope_new(const struct model_rope *way, uint32_t room, uint32_t positions);
/* NULL is fine. */
void rope_free(struct rope *r);
/* Makes the tables for positions below `end`; not thread-safe, and before rope_at for them. */
void rope_prepare(struct rope *r, uint32_t end);
/* cosine[room] of a position; *sine likewise. */
const float *rope_at(const struct rope *r, uint32_t position, const float **sine);

#endif
