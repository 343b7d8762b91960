/* Gates, one element at a time (layer.c's engine_activate). */
#ifndef KITH_INFERENCE_CUDA_GATE_CUH
#define KITH_INFERENCE_CUDA_GATE_CUH

#include "inference/cuda/kernels.h"
#include "inference/cuda/lane.h"

/* Whether there is an up. */
LANE constexpr bool gate_is_pair(enum cuda_gate kind)
{
    return kind == CUDA_SILU || kind == CUDA_GELU || kind == CUDA_CLAMPED;
}

template <enum cuda_gate kind> LANE float gate_turn(float g, float u)
{
    if constexpr (kind == CUDA_SILU)
        return (g / (1.0f + arith_fn_exp(-g))) * u;
    if constexpr (kind == CUDA_GELU)
        return arith_fn_gelu_tanh(g) * u;
    if constexpr (kind == CUDA_CLAMPED)
        return arith_fn_gate_clamped(g, u);
    if constexpr (kind == CUDA_GELU_ALONE)
        return arith_fn_gelu_tanh(g);
    if constexpr (kind == CUDA_SQUARES_ALONE)
        return arith_fn_square(g);
    return arith_fn_gelu_erf(g);
}

#endif
