/* Activations in int8 blocks (docs/arithmetic.md, Activations in blocks): a warp for a run of a column, 8 neighbours a
 * lane, so that a block of 32 is four lanes and one of 256 the warp. */
#include "inference/cuda/kernels.h"
#include "inference/cuda/lane.h"

#define LANE_ELEMENTS 8u
#define WARPS         8u /* of a block: runs of a column */

static uint32_t runs_of(uint32_t n)
{
    return (n + ARITH_RUN - 1) / ARITH_RUN;
}

/* Each part begins at a multiple of 256. */
static size_t part(size_t bytes)
{
    return (bytes + 255) / 256 * 256;
}

size_t cuda_blocks_bytes(uint32_t n, uint32_t cols)
{
    size_t all = (size_t)runs_of(n) * cols;
    return part(all * ARITH_RUN) + part(all * 32) + part(all * 32);
}

struct cuda_blocks cuda_blocks_at(void *memory, uint32_t n, uint32_t cols, bool is_wide)
{
    size_t all = (size_t)runs_of(n) * cols;
    uint8_t *at = (uint8_t *)memory;
    struct cuda_blocks b;
    b.q = (int8_t *)at;
    b.s = (float *)(at + part(all * ARITH_RUN));
    b.sums = (int16_t *)(at + part(all * ARITH_RUN) + part(all * (is_wide ? 4 : 32)));
    return b;
}

/* This lane's elements of a run; zeros behind the row's end. */
LANE void load_elements(const float *x, uint32_t left, bool is_aligned, float v[LANE_ELEMENTS])
{
    if (is_aligned && left >= LANE_ELEMENTS) {
        float4 a = *(const float4 *)x, b = *(const float4 *)(x + 4);
        v[0] = a.x, v[1] = a.y, v[2] = a.z, v[3] = a.w;
        v[4] = b.x, v[5] = b.y, v[6] = b.z, v[7] = b.w;
        return;
    }
    LANE_UNROLL
    for (uint32_t i = 0; i < LANE_ELEMENTS; i++)
        v[i] = i < left ? x[i] : 0.0f;
}

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
}

static __global__ void __launch_bounds__(WARPS *WARP)
    quantise(struct cuda_input in, uint32_t runs, struct cuda_marks marks)
{
    uint32_t lane = threadIdx.x % WARP, run = blockIdx.x * WARPS + threadIdx.x / WARP, col = blockIdx.y;
    if (run >= runs)
        return;
    uint32_t from = run * ARITH_RUN + lane * LANE_ELEMENTS;
    size_t at = (size_t)col * runs + run;
    float v[LANE_ELEMENTS], scale;
    bool narrow_finite = true, wide_finite = true;
    load_elements(in.f + (size_t)col * in.n + from, in.n > from ? in.n - from : 0, in.n % 4 == 0, v);
    if (in.narrow.q) {
        put_words(quantise_block(v, 4, &scale, &narrow_finite), &in.narrow, at, lane);
        if (lane % 4 == 0)
            in.narrow.s[at * 8 + lane / 4] = scale;
    }
    if (in.wide.q) {
        put_words(quantise_block(v, WARP, &scale, &wide_finite), &in.wide, at, lane);
        if (lane == 0)
            in.wide.s[at] = scale;
    }
    if (!narrow_finite || !wide_finite)
        marks.finite[marks.slot ? marks.slot[col] : col] = 0;
}

void cuda_quantise(void *stream, const struct cuda_input *in, struct cuda_marks marks)
{
    uint32_t runs = runs_of(in->n);
    if (in->cols && (in->narrow.q || in->wide.q))
        launch(quantise, dim3((runs + WARPS - 1) / WARPS, in->cols), dim3(WARPS * WARP), 0, stream, *in, runs, marks);
}
