/* Steps over rows: norms, sums, gates, soft caps. All but the norms are bound by memory and go four floats at a time.
 */
#include "inference/cuda/kernels.h"
#include "inference/cuda/lane.h"

#define THREADS 256u
#define PIECE   8192u /* floats of a row that are in shared memory at a time */

static unsigned blocks_for(uint64_t count, unsigned each)
{
    return (unsigned)((count + each - 1) / each);
}

/* -- norms -- */

/* piece[i] = f(x[i]), i < count, by all threads of the block. */
template <typename F> LANE void put_piece(const float *x, uint32_t count, bool by_fours, float *piece, F f)
{
    if (!by_fours) {
        for (uint32_t i = threadIdx.x; i < count; i += blockDim.x)
            piece[i] = f(x[i]);
        return;
    }
    for (uint32_t i = 4 * threadIdx.x; i < count; i += 4 * blockDim.x) {
        float4 v = *(const float4 *)(x + i);
        *(float4 *)(piece + i) = make_float4(f(v.x), f(v.y), f(v.z), f(v.w));
    }
}

/* The striped sum of f(x[i]), i < n, for all threads of the block. Sixteen lanes add, each its stripe: 16 chains of
 * additions are all that the order leaves, so the others only see to it that the chains do not wait for memory. */
template <typename F> LANE float striped_sum(const float *x, uint32_t n, float *piece, F f)
{
    float sum = 0.0f;
    for (uint32_t start = 0; start < n; start += PIECE) {
        uint32_t count = min(PIECE, n - start);
        put_piece(x + start, count, n % 4 == 0, piece, f);
        __syncthreads();
        if (threadIdx.x < ARITH_LANES)
            for (uint32_t i = threadIdx.x; i < count; i += ARITH_LANES)
                sum = sum + piece[i];
        __syncthreads();
    }
    if (threadIdx.x < WARP) {
        sum = lane_fold(sum);
        if (threadIdx.x == 0)
            piece[0] = sum;
    }
    __syncthreads();
    sum = piece[0];
    __syncthreads();
    return sum;
}

/* A block for each row. */
template <bool centred>
__global__ static void norm_rows(const float *x, const float *gain, const float *bias, float epsilon, uint32_t n,
                                 float *out)
{
    LANE_SHARED(float, piece);
    float mean = 0.0f, length = (float)(int32_t)n;
    x += (size_t)blockIdx.x * n;
    out += (size_t)blockIdx.x * n;
    if (centred)
        mean = striped_sum(x, n, piece, [](float v) { return v; }) / length;
    float squares = striped_sum(x, n, piece, [mean](float v) {
        float d = centred ? v - mean : v;
        return d * d;
    });
    float scale = 1.0f / sqrtf(squares / length + epsilon);
    for (uint32_t i = threadIdx.x; i < n; i += blockDim.x)
        out[i] = centred ? ((x[i] - mean) * scale) * gain[i] + bias[i] : (x[i] * scale) * gain[i];
}

void cuda_norm(void *stream, const float *x, const float *gain, const float *bias, float epsilon, uint32_t n,
               uint32_t cols, float *out)
{
    size_t shared = (n < PIECE ? (n + 3) / 4 * 4 : PIECE) * sizeof(float);
    launch(bias ? norm_rows<true> : norm_rows<false>, cols, THREADS, shared, stream, x, gain, bias, epsilon, n, out);
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

__global__ static void add_rows(float *x, const float *y, uint64_t count)
{
    each_pair(x, y, count, [](float a, float b) { return a + b; });
}

void cuda_add(void *stream, float *x, const float *y, uint64_t count)
{
    launch(add_rows, blocks_for(count, 4 * THREADS), THREADS, 0, stream, x, y, count);
}

__global__ static void gate_silu(float *gate, const float *up, uint64_t count)
{
    each_pair(gate, up, count, [](float g, float u) { return (g / (1.0f + arith_fn_exp(-g))) * u; });
}

__global__ static void gate_gelu(float *gate, const float *up, uint64_t count)
{
    each_pair(gate, up, count, [](float g, float u) { return arith_fn_gelu_tanh(g) * u; });
}

__global__ static void gelu_alone(float *gate, const float *, uint64_t count)
{
    each_pair(gate, gate, count, [](float g, float) { return arith_fn_gelu_erf(g); });
}

void cuda_activate(void *stream, enum cuda_gate kind, float *gate, const float *up, uint64_t count)
{
    void (*const kernels[])(float *, const float *, uint64_t) = {gate_silu, gate_gelu, gelu_alone};
    launch(kernels[kind], blocks_for(count, 4 * THREADS), THREADS, 0, stream, gate, up, count);
}

__global__ static void gather_rows(const float *x, const uint32_t *slot, uint32_t n, float *out)
{
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
