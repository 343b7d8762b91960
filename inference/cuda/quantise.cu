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

#define NORM_WARPS 16u /* of a block, at most */
#define HELD       2u  /* runs of a row that a warp keeps in registers, if that is all of the row */

/* Where this lane's elements of a run begin, and what is left of a row there. */
LANE uint32_t element_of(uint32_t run)
{
    return run * ARITH_RUN + threadIdx.x % WARP * LANE_ELEMENTS;
}
LANE uint32_t left_from(uint32_t from, uint32_t n)
{
    return n > from ? n - from : 0;
}
/* The k-th run of those that this warp holds. */
LANE uint32_t held_run(uint32_t k)
{
    return (threadIdx.x + k * blockDim.x) / WARP;
}

/* row[n], n a multiple of 8, as far as this lane holds it. */
LANE void load_held(const float *row, uint32_t n, float v[HELD][LANE_ELEMENTS])
{
    LANE_UNROLL
    for (uint32_t k = 0; k < HELD; k++) {
        uint32_t from = element_of(held_run(k));
        if (from < n)
            load_eight(row + from, v[k]);
    }
}

/* The striped sum of f of a row that a block's warps hold, for all threads. */
template <typename F> LANE float held_sum(const float v[HELD][LANE_ELEMENTS], uint32_t n, float *piece, F f)
{
    float sum = 0.0f;
    LANE_UNROLL
    for (uint32_t k = 0; k < HELD; k++) {
        uint32_t from = element_of(held_run(k));
        float y[LANE_ELEMENTS];
        LANE_UNROLL
        for (uint32_t i = 0; i < LANE_ELEMENTS; i++)
            y[i] = f(v[k][i]);
        if (from < n)
            store_eight(piece + from, y);
    }
    __syncthreads();
    if (threadIdx.x < ARITH_LANES)
        sum = add_stripe(piece, n, sum);
    return fold_stripes(sum, piece);
}

struct norm_call {
    const float *x, *gain, *bias;
    float epsilon;
    struct cuda_input in;
    float *out;
    struct cuda_marks marks;
};

/* A run of the normed row, from this lane's elements of it. */
template <bool centred, bool is_held>
LANE void put_normed(const struct norm_call *a, struct norm_numbers m, uint32_t run, const float v[LANE_ELEMENTS],
                     const float gain[LANE_ELEMENTS], const float bias[LANE_ELEMENTS])
{
    const uint32_t n = a->in.n, from = element_of(run), left = left_from(from, n), col = blockIdx.x;
    float y[LANE_ELEMENTS], *out = a->out + (size_t)col * n + from;
    LANE_UNROLL
    for (uint32_t i = 0; i < LANE_ELEMENTS; i++)
        y[i] = (is_held ? from < n : i < left) ? norm_turn<centred>(m, v[i], gain[i], centred ? bias[i] : 0.0f) : 0.0f;
    if (a->out && is_held && from < n)
        store_eight(out, y);
    if (a->out && !is_held)
        store_elements(out, left, y);
    put_run(y, &a->in, col, run, (n + ARITH_RUN - 1) / ARITH_RUN, threadIdx.x % WARP, &a->marks);
}

/* A block for each column: its norm, then its runs, warp by warp. Rows that a block holds are read once, and their
 * gains before the kernel ahead has ended. */
template <bool centred, bool is_held>
static __global__ void __launch_bounds__(NORM_WARPS *WARP) norm_quantise(const struct norm_call a)
{
    LANE_SHARED(float, piece);
    const uint32_t warps = blockDim.x / WARP, warp = threadIdx.x / WARP, n = a.in.n,
                   runs = (n + ARITH_RUN - 1) / ARITH_RUN;
    const float *x = a.x + (size_t)blockIdx.x * n;
    float v[HELD][LANE_ELEMENTS] = {{0.0f}}, gain[HELD][LANE_ELEMENTS], bias[HELD][LANE_ELEMENTS];
    struct norm_numbers m;
    lane_next();
    if (is_held)
        load_held(a.gain, n, gain);
    if (is_held && centred)
        load_held(a.bias, n, bias);
    lane_wait();
    if (is_held) {
        load_held(x, n, v);
        m = norm_measure<centred>(a.epsilon, n, [&](auto f) { return held_sum(v, n, piece, f); });
        LANE_UNROLL
        for (uint32_t k = 0; k < HELD; k++)
            if (held_run(k) < runs)
                put_normed<centred, true>(&a, m, held_run(k), v[k], gain[k], bias[k]);
        return;
    }
    m = norm_measure_row<centred>(x, a.epsilon, n, piece);
    for (uint32_t run = warp; run < runs; run += warps) {
        uint32_t from = element_of(run), left = left_from(from, n);
        load_elements(x + from, left, n % 4 == 0, v[0]);
        load_elements(a.gain + from, left, n % 4 == 0, gain[0]);
        if (centred)
            load_elements(a.bias + from, left, n % 4 == 0, bias[0]);
        put_normed<centred, false>(&a, m, run, v[0], gain[0], bias[0]);
    }
}

void cuda_norm_quantise(void *stream, const float *x, const float *gain, const float *bias, float epsilon,
                        const struct cuda_input *in, float *out, struct cuda_marks marks)
{
    const struct norm_call a = {x, gain, bias, epsilon, *in, out, marks};
    const uint32_t runs = runs_of(in->n), warps = runs < NORM_WARPS ? runs : NORM_WARPS;
    const bool is_held = runs <= HELD * warps && in->n <= NORM_PIECE && in->n % LANE_ELEMENTS == 0;
    launch(bias ? (is_held ? norm_quantise<true, true> : norm_quantise<true, false>)
                : (is_held ? norm_quantise<false, true> : norm_quantise<false, false>),
           in->cols, warps * WARP, norm_shared(in->n), stream, a);
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
    if (gate_is_pair(kind))
        load_elements(up + at, left, in.n % 4 == 0, u);
    LANE_UNROLL
    for (uint32_t i = 0; i < LANE_ELEMENTS; i++)
        v[i] = i < left ? gate_turn<kind>(v[i], gate_is_pair(kind) ? u[i] : 0.0f) : 0.0f;
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
    else if (kind == CUDA_CLAMPED)
        launch(activate_quantise<CUDA_CLAMPED>, grid, block, 0, stream, gate, up, *in, out, runs, marks);
    else if (kind == CUDA_GELU_ALONE)
        launch(activate_quantise<CUDA_GELU_ALONE>, grid, block, 0, stream, gate, up, *in, out, runs, marks);
    else if (kind == CUDA_SQUARES_ALONE)
        launch(activate_quantise<CUDA_SQUARES_ALONE>, grid, block, 0, stream, gate, up, *in, out, runs, marks);
    else
        launch(activate_quantise<CUDA_GELU_ERF_ALONE>, grid, block, 0, stream, gate, up, *in, out, runs, marks);
}
