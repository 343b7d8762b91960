/* From logits to a token, by rules that leave nothing to the machine (docs/arithmetic.md, Sampling):
 *
 *   0. tokens that a mask does not allow are out: nothing below sees them; a token's bias is added to its logit;
 *   1. penalties over the last `window` tokens: a token that occurs c > 0 times has its logit divided by repeat_penalty
 * if positive, else multiplied; then presence and c x frequency are taken off;
 *   2. temp 0: the largest logit, the smaller id where equal. Otherwise
 *   3. x = (logit - largest) / temp; w = floor(2^32 e^x), an integer; tokens with w = 0 are out;
 *   4. order: logit falling, then id rising; the first top_k stay (0: all);
 *   5. the shortest front whose weights sum to at least top_p of all that stayed; at least one;
 *   6. those with e^x < min_p go, the first stays;
 *   7. r = floor(R x sum / 2^64), R the first 8 bytes, little-endian, of H[kith.sample] keyed with the seed over
 *      (choice index u32, position u32); the first token whose running sum of weights exceeds r.
 *
 * Sums are of integers, so no order of additions matters. */
#ifndef KITH_INFERENCE_SAMPLER_H
#define KITH_INFERENCE_SAMPLER_H

#include "inference/kernels/ops.h"
#include "inference/request.h"

struct sampler;
struct sampler *sampler_new(const struct ops *ops, uint32_t vocab);
void sampler_free(struct sampler *s);
/* Without a mask the first of the largest logits is chosen, whatever came before. */
bool sampler_is_plain(const struct request *r);
/* logits[vocab], all finite, are changed. `mask`: bit by token which are allowed, at least one; NULL: all. `recent`:
 * the tokens so far, prompt included, oldest first. `position`: of the token that is chosen, counted from the start of
 * the prompt; `choice`: which of several answers (n), from 0. */
uint32_t sampler_pick(struct sampler *s, const struct request *r, const uint32_t *mask, float *logits,
                      const uint32_t *recent, size_t recent_n, uint32_t choice, uint32_t position);

#endif
