/* How a warp makes int8 blocks of a run of a column (docs/arithmetic.md, Activations in blocks): 8 neighbours a lane,
 * so that a block of 32 is four lanes and one of 256 the warp. */
#ifndef KITH_INFERENCE_CUDA_BLOCKS_CUH
#define KITH_INFERENCE_CUDA_BLOCKS_CUH

#include "inference/cuda/kernels.h"
#include "inference/cuda/lane.h"

#define LANE_ELEMENTS 8u

/* Eight floats at an address aligned to 16. */
LANE void load_eight(const float *x, float v[LANE_ELEMENTS])
{
    float4 a = *(const float4 *)x, b = *(const float4 *)(x + 4);
    v[0] = a.x, v[1] = a.y, v[2] = a.z, v[3] = a.w;
    v[4] = b.x, v[5] = b.y, v[6] = b.z, v[7] = b.w;
}
LANE void store_eight(float *x, const float v[LANE_ELEMENTS])
{
    *(float4 *)x = make_float4(v[0], v[1], v[2], v[3]);
    *(float4 *)(x + 4) = make_float4(v[4], v[5], v[6], v[7]);
}

/* This lane's elements of a run; zeros behind the row's end. */
LANE void load_elements(const float *x, uint32_t left, bool is_aligned, float v[LANE_ELEMENTS])
{
    if (is_aligned && left >= LANE_ELEMENTS) {
        load_eight(x, v);
        return;
    }
    LANE_UNROLL
    for (uint32_t i = 0; i < LANE_ELEMENTS; i++)
        v[i] = i < left ? x[i] : 0.0f;
}

/* The block of `lanes` lanes to which this one belongs becomes int8: this lane's neighbours as word[count / 4]. Zeros
 * with scale 0 where a value is not finite, or all are next to nothing. */
template <uint32_t count>
LANE void quantise_block(const float v[count], uint32_t lanes, uint32_t word[count / 4], float *scale, bool *is_finite)
{
    uint32_t peak_bits = 0; /* magnitudes order as their bits do, NaN above infinity */
    LANE_UNROLL
    for (uint32_t i = 0; i < count; i++)
        peak_bits = max(peak_bits, __float_as_uint(v[i]) & 0x7FFFFFFFu);
    for (uint32_t by = 1; by < lanes; by *= 2)
        peak_bits = max(peak_bits, __shfl_xor_sync(ALL, peak_bits, (int)by));
    float peak = __uint_as_float(peak_bits);
    *is_finite = arith_is_finite(peak);
    *scale = 0.0f;
    LANE_UNROLL
    for (uint32_t i = 0; i < count / 4; i++)
        word[i] = 0;
    if (!*is_finite || peak < ARITH_TINY)
        return;
    float inverse = 127.0f / peak;
    *scale = peak / 127.0f;
    LANE_UNROLL
    for (uint32_t i = 0; i < count; i++)
        word[i / 4] |= ((uint32_t)arith_round(v[i] * inverse) & 255u) << i % 4 * 8;
}

/* q of this lane and the sums of 16, which two lanes share. */
LANE void put_words(const uint32_t q[2], const struct cuda_blocks *out, size_t run, uint32_t lane)
{
    int sum = __dp4a((int)q[0], 0x01010101, __dp4a((int)q[1], 0x01010101, 0));
    sum += __shfl_xor_sync(ALL, sum, 1);
    *(uint2 *)(out->q + run * ARITH_RUN + lane * LANE_ELEMENTS) = make_uint2(q[0], q[1]);
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
    uint32_t word[2];
    float scale;
    if (in->narrow.q) {
        quantise_block<LANE_ELEMENTS>(v, 4, word, &scale, &narrow_finite);
        put_words(word, &in->narrow, at, lane);
        if (lane % 4 == 0)
            in->narrow.s[at * 8 + lane / 4] = scale;
    }
    if (in->wide.q) {
        quantise_block<LANE_ELEMENTS>(v, WARP, word, &scale, &wide_finite);
        put_words(word, &in->wide, at, lane);
        if (lane == 0)
            in->wide.s[at] = scale;
    }
    if (!narrow_finite || !wide_finite)
        lane_mark(marks->finite, marks->slot, col);
}

#endif
