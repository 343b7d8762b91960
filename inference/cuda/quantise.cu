/* Activations in int8 blocks (docs/arithmetic.md, Activations in blocks): a warp for a run of a column, 8 neighbours a
 * lane, so that a block of 32 is four lanes and one of 256 the warp. */
#include "inference/cuda/blocks.cuh"
#include "inference/cuda/gate.cuh"
#include "inference/cuda/norm.cuh"

#define WARPS 8u /* of a block: runs of a column */

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
    return part(all * ARITH_RUN) + 3 * part(all * 32);
}

struct cuda_blocks cuda_blocks_at(void *memory, uint32_t n, uint32_t cols, bool is_wide)
{
    size_t all = (size_t)runs_of(n) * cols;
    uint8_t *at = (uint8_t *)memory;
    struct cuda_blocks b;
    b.q = (int8_t *)at;
    b.s = (float *)(at + part(all * ARITH_RUN));
    b.sums = (int16_t *)(at + part(all * ARITH_RUN) + part(all * (is_wide ? 4 : 32)));
    b.halves = is_wide ? (uint16_t *)((uint8_t *)b.sums + part(all * 32)) : nullptr;
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

/* This lane's elements of a run to where floats are wanted. */
LANE void store_elements(float *x, uint32_t left, const float v[LANE_ELEMENTS])
{
    LANE_UNROLL
    for (uint32_t i = 0; i < LANE_ELEMENTS; i++)
        if (i < left)
            x[i] = v[i];
}

static __global__ void __launch_bounds__(WARPS *WARP)
    quantise(struct cuda_input in, uint32_t runs, struct cuda_marks marks)
{
    lane_begin();
    uint32_t lane = threadIdx.x % WARP, run = blockIdx.x * WARPS + threadIdx.x / WARP, col = blockIdx.y;
    if (run >= runs)
        return;
    uint32_t from = run * ARITH_RUN + lane * LANE_ELEMENTS;
    float v[LANE_ELEMENTS];
    load_elements(in.f + (size_t)col * in.n + from, in.n > from ? in.n - from : 0, in.n % 4 == 0, v);
    put_run(v, &in, col, run, runs, lane, &marks);
}

void cuda_quantise(void *stream, const struct cuda_input *in, struct cuda_marks marks)
{
    uint32_t runs = runs_of(in->n);
    if (in->cols && (in->narrow.q || in->wide.q))
        launch(quantise, dim3((runs + WARPS - 1) / WARPS, in->cols), dim3(WARPS * WARP), 0, stream, *in, runs, marks);
}

/* -- with what comes before it -- */

/* A block for each column: its norm, then its runs, warp by warp. */
template <bool centred>
static __global__ void __launch_bounds__(WARPS *WARP)
    norm_quantise(const float *x, const float *gain, const float *bias, float epsilon, struct cuda_input in, float *out,
                  struct cuda_marks marks)
{
    lane_begin();
    LANE_SHARED(float, piece);
    const uint32_t lane = threadIdx.x % WARP, col = blockIdx.x, runs = (in.n + ARITH_RUN - 1) / ARITH_RUN;
    x += (size_t)col * in.n;
    out += (size_t)col * in.n;
    const struct norm_numbers m = norm_measure<centred>(x, epsilon, in.n, piece);
    for (uint32_t run = threadIdx.x / WARP; run < runs; run += WARPS) {
        uint32_t from = run * ARITH_RUN + lane * LANE_ELEMENTS, left = in.n > from ? in.n - from : 0;
        float v[LANE_ELEMENTS];
        load_elements(x + from, left, in.n % 4 == 0, v);
        LANE_UNROLL
        for (uint32_t i = 0; i < LANE_ELEMENTS; i++)
            v[i] = i < left ? norm_turn<centred>(m, v[i], gain, bias, from + i) : 0.0f;
        store_elements(out + from, left, v);
        put_run(v, &in, col, run, runs, lane, &marks);
    }
}

void cuda_norm_quantise(void *stream, const float *x, const float *gain, const float *bias, float epsilon,
                        const struct cuda_input *in, float *out, struct cuda_marks marks)
{
    launch(bias ? norm_quantise<true> : norm_quantise<false>, in->cols, WARPS * WARP, norm_shared(in->n), stream, x,
           gain, bias, epsilon, *in, out, marks);
}

template <enum cuda_gate kind>
static __global__ void __launch_bounds__(WARPS *WARP)
    activate_quantise(const float *gate, const float *up, struct cuda_input in, float *out, uint32_t runs,
                      struct cuda_marks marks)
{
    lane_begin();
    uint32_t lane = threadIdx.x % WARP, run = blockIdx.x * WARPS + threadIdx.x / WARP, col = blockIdx.y;
    if (run >= runs)
        return;
    uint32_t from = run * ARITH_RUN + lane * LANE_ELEMENTS, left = in.n > from ? in.n - from : 0;
    size_t at = (size_t)col * in.n + from;
    float v[LANE_ELEMENTS], u[LANE_ELEMENTS];
    load_elements(gate + at, left, in.n % 4 == 0, v);
    if (kind != CUDA_GELU_ALONE)
        load_elements(up + at, left, in.n % 4 == 0, u);
    LANE_UNROLL
    for (uint32_t i = 0; i < LANE_ELEMENTS; i++)
        v[i] = i < left ? gate_turn<kind>(v[i], kind == CUDA_GELU_ALONE ? 0.0f : u[i]) : 0.0f;
    if (out)
        store_elements(out + at, left, v);
    put_run(v, &in, col, run, runs, lane, &marks);
}

void cuda_activate_quantise(void *stream, enum cuda_gate kind, const float *gate, const float *up,
                            const struct cuda_input *in, float *out, struct cuda_marks marks)
{
    uint32_t runs = runs_of(in->n);
    dim3 grid((runs + WARPS - 1) / WARPS, in->cols), block(WARPS * WARP);
    if (kind == CUDA_SILU)
        launch(activate_quantise<CUDA_SILU>, grid, block, 0, stream, gate, up, *in, out, runs, marks);
    else if (kind == CUDA_GELU)
        launch(activate_quantise<CUDA_GELU>, grid, block, 0, stream, gate, up, *in, out, runs, marks);
    else
        launch(activate_quantise<CUDA_GELU_ALONE>, grid, block, 0, stream, gate, up, *in, out, runs, marks);
}
