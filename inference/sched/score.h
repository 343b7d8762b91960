/* How likely a token was: for measuring models, not for answers. */
#ifndef KITH_INFERENCE_SCORE_H
#define KITH_INFERENCE_SCORE_H

#include <stdint.h>

/* The natural logarithm of the probability of `token` < n under logits[n], which are finite: binary64, left to right.
 */
double score_token(const float *logits, uint32_t n, uint32_t token);

#endif
