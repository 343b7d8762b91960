/* How a warp makes int8 blocks of a run of a column (docs/arithmetic.md, Activations in blocks): 8 neighbours a lane, so
 * that a block of 32 is four lanes and one of 256 the warp. */
#ifndef KITH_INFERENCE_CUDA_BLOCKS_CUH
#define KITH_INFERENCE_CUDA_BLOCKS_CUH

#include "inference/cuda/kernels.h"
#include "inference/cuda/lane.h"

#define LANE_ELEMENTS 8u

/* The block of `lanes` lanes to which this one belongs becomes int8, [8 of this lane] in two words. */
LANE uint2 quantise_block(const float v[LANE_ELEMENTS], uint32_t lanes, float *scale, bool *is_finite)
{
    uint32_t peak_bits = 0; /* magnitudes order as their bits do, NaN above infinity */
    LANE_UNROLL
    for (uint32_t i = 0; i < LANE_ELEMENTS; i++)
        peak_bits = max(peak_bits, __float_as_uint(v[i]) & 0x7FFFFFFFu);
    for (uint32_t by = 1; by < lanes; by *= 2)
        peak_bits = max(peak_bits, __shfl_xor_sync(ALL, peak_bits, (int)by));
    float peak = __uint_as_float(peak_bits);
    *is_finite = arith_is_finite(peak);
    *scale = 0.0f;
    if (!*is_finite || peak < ARITH_TINY)
        return make_uint2(0, 0);
    float inverse = 127.0f / peak;
    uint32_t word[2] = {0, 0};
    *scale = peak / 127.0f;
    LANE_UNROLL
    for (uint32_t i = 0; i < LANE_ELEMENTS; i++)
        word[i / 4] |= ((uint32_t)arith_round(v[i] * inverse) & 255u) << i % 4 * 8;
    return make_uint2(word[0], word[1]);
}

/* q of this lane and the sums of 16, which two lanes share. */
LANE void put_words(uint2 q, const struct cuda_blocks *out, size_t run, uint32_t lane)
{
    int sum = __dp4a((int)q.x, 0x01010101, __dp4a((int)q.y, 0x01010101, 0));
    sum += __shfl_xor_sync(ALL, sum, 1);
    *(uint2 *)(out->q + run * ARITH_RUN + lane * LANE_ELEMENTS) = q;
    if (lane % 2 == 0)
        out->sums[run * 16 + lane / 2] = (int16_t)sum;
    if (lane % 2 == 0 && out->halves)
        out->halves[run * 16 + lane / 2] = (uint16_t)lane_half_bits(sum);
}

/* A run of a column, this lane's elements of it, into the blocks that have memory. */
LANE void put_run(const float v[LANE_ELEMENTS], const struct cuda_input *in, uint32_t col, uint32_t run, uint32_t runs,
                  uint32_t lane, const struct cuda_marks *marks)
{
    size_t at = (size_t)col * runs + run;
    bool narrow_finite = true, wide_finite = true;
    float scale;
    if (in->narrow.q) {
        put_words(quantise_block(v, 4, &scale, &narrow_finite), &in->narrow, at, lane);
        if (lane % 4 == 0)
            in->narrow.s[at * 8 + lane / 4] = scale;
    }
    if (in->wide.q) {
        put_words(quantise_block(v, WARP, &scale, &wide_finite), &in->wide, at, lane);
        if (lane == 0)
            in->wide.s[at] = scale;
    }
    if (!narrow_finite || !wide_finite)
        lane_mark(marks->finite, marks->slot, col);
}

#endif
