/* Kernels of the AVX2 set that the AVX-512 sets use as they are. Contracts: inference/kernels/ops.h. */
#ifndef KITH_INFERENCE_OPS_X86_H
#define KITH_INFERENCE_OPS_X86_H

#include "inference/kernels/ops.h"

bool avx2_quantise(const float *x, size_t n, int8_t *q, float *s);
bool avx2_quantise_wide(const float *x, size_t n, int8_t *q, float *s);
void avx2_sum_run(const int8_t *q, int16_t *out);
bool avx2_finite(const float *x, size_t n);
void avx2_norm(const float *x, const float *gain, float epsilon, size_t n, float *out);
void avx2_layer_norm(const float *x, const float *gain, const float *bias, float epsilon, size_t n, float *out);
void avx2_gated_gelu(const float *gate, const float *up, size_t n, float *out);
void avx2_gated_clamped(const float *gate, const float *up, size_t n, float *out);
void avx2_gelu(float *x, size_t n);
void avx2_gelu_tanh(float *x, size_t n);
void avx2_squares(float *x, size_t n);
void avx2_rotate(float *x, const float *cosine, const float *sine, size_t pairs);
void avx2_rotate_halves(float *x, const float *cosine, const float *sine, size_t pairs);
void avx2_add(float *x, const float *y, size_t n);
void avx2_add_scaled(float *restrict x, const float *restrict y, float by, size_t n);
void avx2_scale(float *x, float by, size_t n);
void avx2_soft_cap(float *x, float cap, size_t n);

#endif
