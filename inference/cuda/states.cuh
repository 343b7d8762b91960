/* What enters the convolutions of layers that carry a state, and what they leave: columns of channels, each by itself
 * (inference/engine/recur.c). Before a chain's first row stand the guesses that were right, before these the history. */
#ifndef KITH_INFERENCE_CUDA_STATES_CUH
#define KITH_INFERENCE_CUDA_STATES_CUH

#include "inference/cuda/kernels.h"
#include "inference/cuda/lane.h"

/* What enters at channel i of a row of the batch: as a product made it, or the product of two of its parts. */
template <bool is_gated> LANE float state_entry(const struct cuda_states *s, uint32_t row, uint32_t i)
{
    if (is_gated) {
        const float *x = s->in + (size_t)row * 3 * s->channels + i;
        return x[0] * x[2 * s->channels];
    }
    return s->in[(size_t)row * s->channels + i];
}

LANE float *state_history(const struct cuda_states *s, float *state)
{
    return state + s->state_at;
}

/* The g-th guess that a chain left, its entries first. */
LANE float *state_guess(const struct cuda_states *s, const struct cuda_chain *chain, uint32_t g)
{
    return chain->state + s->guess_at + (size_t)g * s->guess_floats;
}

/* What enters at channel i `back` positions before the k-th row of a chain. */
template <bool is_gated>
LANE float state_before(const struct cuda_states *s, const struct cuda_chain *chain, uint32_t k, uint32_t back,
                        uint32_t i)
{
    if (back <= k)
        return state_entry<is_gated>(s, s->row[chain->first + k - back], i);
    back -= k;
    if (back <= chain->right)
        return state_guess(s, chain, chain->right - back)[i];
    back -= chain->right;
    return state_history(s, chain->state)[(size_t)(s->taps - 1 - back) * s->channels + i];
}

/* The convolution up to the k-th row. */
template <bool is_gated>
LANE float state_convolve(const struct cuda_states *s, const struct cuda_chain *chain, uint32_t k, uint32_t i)
{
    float y = 0.0f;
    for (uint32_t t = 0; t < s->taps; t++)
        y = y + state_before<is_gated>(s, chain, k, s->taps - 1 - t, i) * s->tap[(size_t)t * s->channels + i];
    return y;
}

/* The history behind the first `rows` of a chain, to where it is kept or to where it stands, rising: of that only
 * later entries are read. */
template <bool is_gated>
LANE void state_put_history(const struct cuda_states *s, const struct cuda_chain *chain, uint32_t rows, uint32_t i,
                            float *out)
{
    for (uint32_t t = 0; t + 1 < s->taps; t++)
        out[(size_t)t * s->channels + i] = state_before<is_gated>(s, chain, rows, s->taps - 1 - t, i);
}

/* What a chain leaves at channel i, when nobody reads what stood there. */
template <bool is_gated> LANE void state_leave(const struct cuda_states *s, const struct cuda_chain *chain, uint32_t i)
{
    const uint32_t certain = chain->rows - chain->guessed;
    state_put_history<is_gated>(s, chain, certain, i, state_history(s, chain->state));
    for (uint32_t g = 0; g < chain->guessed; g++)
        state_guess(s, chain, g)[i] = state_entry<is_gated>(s, s->row[chain->first + certain + g], i);
}

/* Where the state behind a row is kept, if it is. */
LANE float *state_kept(const struct cuda_states *s, uint32_t row)
{
    return s->keep[row] == CUDA_NOT_KEPT ? nullptr : s->stage + (size_t)s->keep[row] * s->stage_floats;
}

#endif
