/* Gated delta nets (inference/engine/delta.c): what a row needs but the states of its heads is made row by row, a warp
 * a head; then a warp takes 32 columns of one head of one sequence through all of that sequence's rows, each lane a
 * column, which is a sum of its own; then heads are normed and gated, and what the batch leaves is left. */
#include "inference/cuda/delta.h"
#include "inference/cuda/walk.cuh"

#define UNITS 4u /* heads of a block of threads */

/* -- rows: convolution, length, rates -- */

struct mix_call {
    struct cuda_delta a;
    struct cuda_states s;
    struct cuda_marks marks;
    float by; /* of a query's length */
};

/* Heads of keys have their values' rates one behind the other where they come together: betas, then alphas. */
LANE void put_rates(const struct mix_call *c, uint32_t row, uint32_t h)
{
    const struct cuda_delta *a = &c->a;
    const uint32_t n = a->values_n, each = n / a->keys_n, at = h / each * 2 * each + h % each;
    const float *together = a->beta + (size_t)row * 2 * n;
    float alpha = a->alpha ? a->alpha[(size_t)row * n + h] : together[at + each];
    float beta = a->alpha ? a->beta[(size_t)row * n + h] : together[at];
    float *rates = a->rates + (size_t)row * 2 * n;
    if (!arith_is_finite(alpha) || !arith_is_finite(beta))
        lane_mark(c->marks.finite, c->marks.slot, row);
    rates[h] = arith_fn_exp(a->rate[h] * arith_fn_softplus(alpha + a->bias[h]));
    rates[n + h] = 1.0f / (1.0f + arith_fn_exp(-beta));
}

/* Head h of a row: x[side], its convolution, also where the history behind the row is kept. */
LANE void mix_head(const struct mix_call *c, uint32_t row, uint32_t h, float *x)
{
    const struct cuda_states *s = &c->s;
    const struct cuda_chain *chain = &s->chain[s->whose[row]];
    const uint32_t side = c->a.side, k = s->place[row];
    float *kept = state_kept(s, row);
    bool finite = true;
    for (uint32_t j = threadIdx.x % WARP; j < side; j += WARP) {
        const uint32_t i = h * side + j;
        x[j] = state_convolve<false>(s, chain, k, i);
        finite = finite && arith_is_finite(state_entry<false>(s, row, i));
        if (kept)
            state_put_history<false>(s, chain, k + 1, i, state_history(s, kept));
    }
    if (!finite)
        lane_mark(c->marks.finite, c->marks.slot, row);
    LANE_UNROLL_BY(1) /* what is divided waits in registers */
    for (uint32_t j = threadIdx.x % WARP; j < side; j += WARP)
        x[j] = x[j] / (1.0f + arith_fn_exp(-x[j]));
    __syncwarp();
}

/* x[side] to length 1 times `by`; both halves of the warp sum. */
LANE float unit_scale(const struct cuda_delta *a, const float *x, float by)
{
    float stripe = 0.0f;
    LANE_UNROLL_BY(8)
    for (uint32_t j = threadIdx.x % ARITH_LANES; j < a->side; j += ARITH_LANES)
        stripe = stripe + x[j] * x[j];
    return (1.0f / sqrtf(lane_fold(stripe) + a->epsilon)) * by;
}

/* Block (32 heads, row). By themselves: what binary64 needs leaves too few registers for anything else. */
__global__ static void __launch_bounds__(WARP) rate_rows(const struct mix_call c)
{
    const uint32_t h = blockIdx.x * WARP + threadIdx.x;
    lane_begin();
    if (h < c.a.values_n)
        put_rates(&c, blockIdx.y, h);
}

/* Block (heads of a row, row): of queries, keys and values. */
__global__ static void __launch_bounds__(UNITS *WARP, 8) mix_rows(const struct mix_call c)
{
    __shared__ float all[UNITS][SIDE_MAX];
    const struct cuda_delta *a = &c.a;
    const uint32_t row = blockIdx.y, unit = blockIdx.x * UNITS + threadIdx.x / WARP, lane = threadIdx.x % WARP;
    float *x = all[threadIdx.x / WARP];
    lane_begin();
    if (unit >= 2 * a->keys_n + a->values_n)
        return;
    mix_head(&c, row, unit, x);
    const float scale = unit < 2 * a->keys_n ? unit_scale(a, x, unit < a->keys_n ? c.by : 1.0f) : 1.0f;
    float *out = a->mixed + (size_t)row * c.s.channels + unit * a->side;
    for (uint32_t j = lane; j < a->side; j += WARP)
        out[j] = x[j] * scale; /* times 1 is itself */
}

/* -- what comes of it, and what is left -- */

struct finish_call {
    struct cuda_delta a;
    struct walk_call walked;
    uint32_t rows;
};

/* Head h of a row is normed and gated. */
LANE void finish_head(const struct finish_call *c, uint32_t row, uint32_t h, float *x)
{
    const struct cuda_delta *a = &c->a;
    const uint32_t n = a->side, lane = threadIdx.x % WARP;
    const size_t at = ((size_t)row * a->values_n + h) * n;
    float *out = c->walked.out;
    for (uint32_t j = lane; j < n; j += WARP)
        x[j] = out[at + j];
    __syncwarp();
    float stripe = 0.0f;
    LANE_UNROLL_BY(8)
    for (uint32_t j = lane % ARITH_LANES; j < n; j += ARITH_LANES)
        stripe = stripe + x[j] * x[j];
    const float scale = 1.0f / sqrtf(lane_fold(stripe) / (float)(int32_t)n + a->epsilon);
    for (uint32_t j = lane; j < n; j += WARP) {
        const float z = a->gate[at + j];
        out[at + j] = (z / (1.0f + arith_fn_exp(-z))) * ((x[j] * scale) * a->gain[j]);
    }
}

/* Block (heads of a row, row), and behind all rows (channels, chain). */
__global__ static void __launch_bounds__(UNITS *WARP) finish(const struct finish_call c)
{
    __shared__ float all[UNITS][SIDE_MAX];
    const uint32_t h = blockIdx.x * UNITS + threadIdx.x / WARP;
    lane_begin();
    if (blockIdx.y >= c.rows)
        leave_chain(&c.walked, &c.walked.s.chain[blockIdx.y - c.rows]);
    else if (h < c.a.values_n)
        finish_head(&c, blockIdx.y, h, all[threadIdx.x / WARP]);
}

void cuda_delta(void *stream, const struct cuda_delta *a, const struct cuda_states *s, uint32_t rows,
                struct cuda_marks marks, float *out)
{
    const uint32_t units = 2 * a->keys_n + a->values_n, n = a->side;
    const struct mix_call mix = {*a, *s, marks, 1.0f / sqrtf((float)(int32_t)n)};
    const struct walk_call walks = {.s = *s,
                                    .keys_n = a->keys_n,
                                    .values_n = a->values_n,
                                    .depth = n,
                                    .side = n,
                                    .query_at = 0,
                                    .key_at = a->keys_n * n,
                                    .value_at = 2 * a->keys_n * n,
                                    .is_tiled = a->is_tiled,
                                    .mixed = a->mixed,
                                    .rates = a->rates,
                                    .out = out};
    const struct finish_call finishes = {*a, walks, rows};
    launch(rate_rows, dim3((a->values_n + WARP - 1) / WARP, rows), WARP, 0, stream, mix);
    launch(mix_rows, dim3((units + UNITS - 1) / UNITS, rows), UNITS * WARP, 0, stream, mix);
    launch_walk<false>(stream, &walks);
    launch(finish, dim3((a->values_n + UNITS - 1) / UNITS, rows + s->chains), UNITS * WARP, 0, stream, finishes);
}

/* -- attention's gates: of each head of a row its query, then its gate -- */

__global__ static void __launch_bounds__(256) part_queries(const float *both, uint32_t head, uint32_t all, float *q)
{
    const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
    lane_begin();
    if (i < all)
        q[(size_t)blockIdx.y * all + i] = both[(size_t)blockIdx.y * 2 * all + (size_t)(i / head * 2) * head + i % head];
}

__global__ static void __launch_bounds__(256)
    gate_heads(const float *both, const uint32_t *slot, uint32_t head, uint32_t all, float *o)
{
    const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
    lane_begin();
    if (i >= all)
        return;
    const float g = both[(size_t)slot[blockIdx.y] * 2 * all + (size_t)(i / head * 2 + 1) * head + i % head];
    float *x = o + (size_t)blockIdx.y * all + i;
    *x = *x * (1.0f / (1.0f + arith_fn_exp(-g)));
}

void cuda_part_queries(void *stream, const float *both, uint32_t heads, uint32_t head, uint32_t rows, float *q)
{
    const uint32_t all = heads * head;
    launch(part_queries, dim3((all + 255) / 256, rows), 256, 0, stream, both, head, all, q);
}

void cuda_gate_heads(void *stream, const float *both, const uint32_t *slot, uint32_t heads, uint32_t head,
                     uint32_t cols, float *o)
{
    const uint32_t all = heads * head;
    launch(gate_heads, dim3((all + 255) / 256, cols), 256, 0, stream, both, slot, head, all, o);
}
