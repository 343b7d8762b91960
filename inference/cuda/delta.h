/* Kernels of gated delta nets, of the gates of the attention beside them, and of state spaces, as calls that queue
 * them; kernels.h has the rules, and what a chain is. */
#ifndef KITH_INFERENCE_CUDA_DELTA_H
#define KITH_INFERENCE_CUDA_DELTA_H

#include "inference/cuda/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

struct cuda_delta {
    uint32_t keys_n, values_n, side; /* struct model's */
    bool is_tiled;                   /* head h of values goes with head h mod keys_n, not with h div */
    float epsilon;
    const float *alpha, *beta; /* [rows, values_n] each; or alpha NULL and beta [rows, keys_n, 2, values_n / keys_n] */
    const float *rate, *bias;  /* [values_n] of the decay */
    const float *gate;         /* [rows, values_n side] of the result */
    const float *gain;         /* [side] of its norm */
    float *mixed;              /* [rows, channels] what leaves the convolution, */
    float *rates;              /* [rows, 2, values_n] and decay and beta: scratch */
};
/* delta.c: out[rows, values_n side], as the layer's last product takes it. A state of the layer is its history,
 * [taps - 1, channels], then its heads, [values_n, side, side]; a guess is what entered the convolution, what left it,
 * [channels] each, and its rates, and its length a multiple of 4. States go on. */
void cuda_delta(void *stream, const struct cuda_delta *a, const struct cuda_states *s, uint32_t rows,
                struct cuda_marks marks, float *out);

struct cuda_scan {
    uint32_t keys_n, values_n, depth, side; /* struct model's; depth is a multiple of 4 */
    float epsilon;
    const float *step;        /* [rows, values_n] raw */
    const float *rate, *bias; /* [values_n] of the decay, of the step */
    const float *through;     /* [values_n] */
    const float *taps_bias;   /* [channels], or NULL */
    const float *gate;        /* [rows, values_n side] of the result */
    const float *gain;        /* [values_n side] of its norms, one for each head of keys, or NULL */
    float *mixed, *rates;     /* as above */
};
/* The same for scan.c; heads are [values_n, depth, side]. */
void cuda_scan(void *stream, const struct cuda_scan *a, const struct cuda_states *s, uint32_t rows,
               struct cuda_marks marks, float *out);

/* both[rows, heads, 2, head]: a query, then its gate. q[rows, heads, head] = the queries; o[c] of o[cols, heads, head]
 * times sigmoids of the gates of row slot[c]. */
void cuda_part_queries(void *stream, const float *both, uint32_t heads, uint32_t head, uint32_t rows, float *q);
void cuda_gate_heads(void *stream, const float *both, const uint32_t *slot, uint32_t heads, uint32_t head,
                     uint32_t cols, float *o);

#ifdef __cplusplus
}
#endif
#endif
