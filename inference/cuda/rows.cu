/* Steps over rows: norms, sums, gates, soft caps. All but the norms are bound by memory and go four floats at a time.
 */
#include "inference/cuda/kernels.h"
#include "inference/cuda/gate.cuh"
#include "inference/cuda/norm.cuh"

#define THREADS 256u

static unsigned blocks_for(uint64_t count, unsigned each)
{
    return (unsigned)((count + each - 1) / each);
}

/* -- norms -- */

/* A block for each row. */
#define NORM_THREADS 512u
template <bool centred>
__global__ static void norm_rows(const float *x, const float *gain, const float *bias, float epsilon, uint32_t n,
                                 float *out)
{
    lane_begin();
    LANE_SHARED(float, piece);
    x += (size_t)blockIdx.x * n;
    out += (size_t)blockIdx.x * n;
    const struct norm_numbers m = norm_measure_row<centred>(x, epsilon, n, piece);
    LANE_UNROLL_BY(8) /* so many on their way at once */
    for (uint32_t i = threadIdx.x; i < n; i += blockDim.x)
        out[i] = norm_turn<centred>(m, x[i], gain[i], centred ? bias[i] : 0.0f);
}

void cuda_norm(void *stream, const float *x, const float *gain, const float *bias, float epsilon, uint32_t n,
               uint32_t cols, float *out)
{
    launch(bias ? norm_rows<true> : norm_rows<false>, cols, NORM_THREADS, norm_shared(n), stream, x, gain, bias,
           epsilon, n, out);
}

/* -- element by element -- */

/* a[i] = f(a[i], b[i]), i < count; a and b are aligned to 16. */
template <typename F> LANE void each_pair(float *a, const float *b, uint64_t count, F f)
{
    uint64_t i = 4 * ((uint64_t)blockIdx.x * blockDim.x + threadIdx.x);
    if (i + 4 <= count) {
        float4 u = *(const float4 *)(a + i), v = *(const float4 *)(b + i);
        *(float4 *)(a + i) = make_float4(f(u.x, v.x), f(u.y, v.y), f(u.z, v.z), f(u.w, v.w));
        return;
    }
    for (; i < count; i++)
        a[i] = f(a[i], b[i]);
}

__global__ static void add_rows(float *x, const float *y, float by, uint64_t count)
{
    lane_begin();
    each_pair(x, y, count, [by](float a, float b) { return a + b * by; });
}

void cuda_add(void *stream, float *x, const float *y, float by, uint64_t count)
{
    launch(add_rows, blocks_for(count, 4 * THREADS), THREADS, 0, stream, x, y, by, count);
}

__global__ static void add_bias(float *x, const float *bias, uint32_t n)
{
    const uint32_t i = blockIdx.x * THREADS + threadIdx.x;
    lane_begin();
    if (i < n)
        x[(size_t)blockIdx.y * n + i] = x[(size_t)blockIdx.y * n + i] + bias[i];
}

void cuda_add_bias(void *stream, float *x, const float *bias, uint32_t n, uint32_t cols)
{
    launch(add_bias, dim3(blocks_for(n, THREADS), cols), THREADS, 0, stream, x, bias, n);
}

template <enum cuda_gate kind> __global__ static void activate(float *gate, const float *up, uint64_t count)
{
    lane_begin();
    each_pair(gate, up, count, [](float g, float u) { return gate_turn<kind>(g, u); });
}

void cuda_activate(void *stream, enum cuda_gate kind, float *gate, const float *up, uint64_t count)
{
    const dim3 grid(blocks_for(count, 4 * THREADS)), block(THREADS);
    if (kind == CUDA_SILU)
        launch(activate<CUDA_SILU>, grid, block, 0, stream, gate, up, count);
    else if (kind == CUDA_GELU)
        launch(activate<CUDA_GELU>, grid, block, 0, stream, gate, up, count);
    else if (kind == CUDA_CLAMPED)
        launch(activate<CUDA_CLAMPED>, grid, block, 0, stream, gate, up, count);
    else if (kind == CUDA_GELU_ALONE)
        launch(activate<CUDA_GELU_ALONE>, grid, block, 0, stream, gate, (const float *)gate, count);
    else if (kind == CUDA_SQUARES_ALONE)
        launch(activate<CUDA_SQUARES_ALONE>, grid, block, 0, stream, gate, (const float *)gate, count);
    else
        launch(activate<CUDA_GELU_ERF_ALONE>, grid, block, 0, stream, gate, (const float *)gate, count);
}

__global__ static void gather_rows(const float *x, const uint32_t *slot, uint32_t n, float *out)
{
    lane_begin();
    const float *from = x + (size_t)slot[blockIdx.x] * n;
    for (uint32_t i = threadIdx.x; i < n; i += blockDim.x)
        out[(size_t)blockIdx.x * n + i] = from[i];
}

void cuda_gather(void *stream, const float *x, const uint32_t *slot, uint32_t n, uint32_t cols, float *out)
{
    launch(gather_rows, cols, THREADS, 0, stream, x, slot, n, out);
}

#define FINISHED 4u /* elements of a thread */

__global__ static void finish_rows(float *x, float cap, uint32_t n, struct cuda_marks marks)
{
    lane_begin();
    uint32_t c = blockIdx.y;
    bool finite = true;
    x += (size_t)c * n;
    for (uint32_t k = 0, i = blockIdx.x * FINISHED * THREADS + threadIdx.x; k < FINISHED && i < n; k++, i += THREADS) {
        float v = x[i];
        if (cap != 0.0f)
            x[i] = v = cap * arith_fn_tanh(v / cap);
        finite = finite && arith_is_finite(v);
    }
    if (!finite)
        lane_mark(marks.finite, marks.slot, c);
}

void cuda_finish(void *stream, float *x, float cap, uint32_t n, uint32_t cols, struct cuda_marks marks)
{
    launch(finish_rows, dim3(blocks_for(n, FINISHED * THREADS), cols), THREADS, 0, stream, x, cap, n, marks);
}
