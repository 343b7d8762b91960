/* What a model thought of a token: logarithms of probabilities from the logits as the model gave them, before
 * penalties, masks and temperature. No part of any digest, but computed by the same rules, so the same bits everywhere:
 *
 *     z = the sum of e^(logit - largest) over the vocabulary in the order of ids, binary64, each term binary32
 *     logprob = (logit - largest) - log z, in binary64, rounded to binary32; LOGPROB_LEAST where it is less */
#ifndef KITH_INFERENCE_LOGPROB_H
#define KITH_INFERENCE_LOGPROB_H

#include "inference/kernels/ops.h"
#include "inference/tok/tok.h"

#define LOGPROB_LEAST (-9999.0) /* OpenAI's way to say never */

struct logprob {
    uint32_t token;
    float value;
};
/* out[0]: of `token`; out[1..top_n]: of the likeliest, the smaller id first where equal. logits[n] are finite, top_n <=
 * n. */
void logprob_all(const struct ops *ops, const float *logits, uint32_t n, uint32_t token, uint32_t top_n,
                 struct logprob *out);
/* Appends them as a worker tells them (wire_next_logprob, inference/worker_proto.h), with their texts; `tok` may be
 * NULL: without. */
void logprob_put(struct buf *out, const struct tok *tok, const struct logprob *all, uint32_t n);

#endif
