/* Log-probabilities in binary64. */
#include "inference/sched/score.h"

#include "inference/kernels/arith.h"

#define LEAST (-80.0) /* a million terms under e^-80 change nothing in binary64 */

double score_token(const float *logits, uint32_t n, uint32_t token)
{
    double most = (double)logits[0], sum = 0;
    for (uint32_t i = 1; i < n; i++)
        most = (double)logits[i] > most ? (double)logits[i] : most;
    for (uint32_t i = 0; i < n; i++)
        if ((double)logits[i] - most > LEAST)
            sum += arith_exp_f64((double)logits[i] - most);
    return (double)logits[token] - most - arith_log_f64(sum);
}
