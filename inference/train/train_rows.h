/* What training does to activations beside products, forth and back. Activations lie feature by feature: x[n, t], the t
 * positions of a sequence side by side, so that a sum over features is one sum a position, taken left to right,
 * whatever is done to other positions beside it. All cut their work along positions or rows, and no bit depends on the
 * cut. docs/arithmetic.md, Training, has the formulas. */
#ifndef KITH_INFERENCE_TRAIN_ROWS_H
#define KITH_INFERENCE_TRAIN_ROWS_H

#include "inference/engine/pool.h"
#include "inference/kernels/arith.h"

/* Positions [first, end) of rows that are t long. */
struct train_cut {
    size_t t, first, end;
};

/* out[n] = x / rms(x) * gain. out may be x. */
void train_norm(const struct train_cut *c, const float *x, const float *gain, float epsilon, size_t n, float *out);
/* Adds what `d`, the gradient of the output, means for x to out[n]; or sets it. out may be d. */
void train_norm_back(const struct train_cut *c, const float *x, const float *gain, float epsilon, size_t n,
                     const float *d, float *out, bool add);
/* Pairs of a head x[2 pairs] turned by the angles whose cosines and sines are given, [pairs, t] each; or turned back.
 */
void train_turn(const struct train_cut *c, float *x, const float *cosine, const float *sine, size_t pairs, bool halves,
                bool back);
/* out[n] = act(gate) * up, by SiLU or the GELU with a hyperbolic tangent; n numbers. */
void train_gate(const float *gate, const float *up, size_t n, bool gelu, float *out);
/* From d, the gradient of what train_gate made, those of gate and up. */
void train_gate_back(const float *gate, const float *up, const float *d, size_t n, bool gelu, float *dgate, float *dup);

#endif
