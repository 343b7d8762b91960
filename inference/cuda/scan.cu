/* State spaces (inference/engine/scan.c, Mamba-2): what a row needs but the states of its heads is made element by
 * element; heads walk (walk.cuh); then what goes through joins, all is gated, and where there is a norm it is one of
 * each group of heads. */
#include "inference/cuda/norm.cuh"
#include "inference/cuda/walk.cuh"
#include "inference/cuda/delta.h"

#define THREADS 256u

struct mix_call {
    struct cuda_scan a;
    struct cuda_states s;
    struct cuda_marks marks;
};

/* Block (32 heads, row). By themselves, as a delta net's: binary64. */
__global__ static void __launch_bounds__(WARP) rate_rows(const struct mix_call c)
{
    const struct cuda_scan *a = &c.a;
    const uint32_t h = blockIdx.x * WARP + threadIdx.x, row = blockIdx.y, n = a->values_n;
    lane_begin();
    if (h >= n)
        return;
    const float raw = a->step[(size_t)row * n + h], step = arith_fn_softplus(raw + a->bias[h]);
    float *rates = a->rates + (size_t)row * 2 * n;
    if (!arith_is_finite(raw))
        lane_mark(c.marks.finite, c.marks.slot, row);
    rates[h] = arith_fn_exp(step * a->rate[h]);
    rates[n + h] = step;
}

/* Block (channels, row). */
__global__ static void __launch_bounds__(THREADS) mix_rows(const struct mix_call c)
{
    const struct cuda_states *s = &c.s;
    const uint32_t i = blockIdx.x * THREADS + threadIdx.x, row = blockIdx.y;
    lane_begin();
    if (i >= s->channels)
        return;
    const struct cuda_chain *chain = &s->chain[s->whose[row]];
    const uint32_t k = s->place[row];
    float *kept = state_kept(s, row), x = state_convolve<false>(s, chain, k, i);
    if (c.a.taps_bias)
        x = x + c.a.taps_bias[i];
    if (!arith_is_finite(state_entry<false>(s, row, i)))
        lane_mark(c.marks.finite, c.marks.slot, row);
    if (kept)
        state_put_history<false>(s, chain, k + 1, i, state_history(s, kept));
    c.a.mixed[(size_t)row * s->channels + i] = x / (1.0f + arith_fn_exp(-x));
}

struct finish_call {
    struct cuda_scan a;
    struct walk_call walked;
    uint32_t rows;
};

/* Block (elements of a row, row), and behind all rows (channels, chain). */
__global__ static void __launch_bounds__(THREADS) finish(const struct finish_call c)
{
    const struct cuda_scan *a = &c.a;
    const uint32_t all = a->values_n * a->side, row = blockIdx.y, i = blockIdx.x * THREADS + threadIdx.x;
    lane_begin();
    if (row >= c.rows) {
        leave_chain(&c.walked, &c.walked.s.chain[row - c.rows]);
        return;
    }
    if (i >= all)
        return;
    float *out = c.walked.out + (size_t)row * all + i;
    const float x = *out + a->mixed[(size_t)row * c.walked.s.channels + i] * a->through[i / a->side];
    const float z = a->gate[(size_t)row * all + i];
    *out = (z / (1.0f + arith_fn_exp(-z))) * x;
}

/* Block (group, row): a norm of n elements by gains of their own. */
#define NORM_THREADS 512u
__global__ static void __launch_bounds__(NORM_THREADS)
    norm_groups(const float *gain, float epsilon, uint32_t n, float *out)
{
    LANE_SHARED(float, piece);
    lane_begin();
    float *x = out + ((size_t)blockIdx.y * gridDim.x + blockIdx.x) * n;
    gain += (size_t)blockIdx.x * n;
    const struct norm_numbers m = norm_measure_row<false>(x, epsilon, n, piece);
    LANE_UNROLL_BY(8)
    for (uint32_t i = threadIdx.x; i < n; i += blockDim.x)
        x[i] = norm_turn<false>(m, x[i], gain[i], 0.0f);
}

void cuda_scan(void *stream, const struct cuda_scan *a, const struct cuda_states *s, uint32_t rows,
               struct cuda_marks marks, float *out)
{
    const uint32_t all = a->values_n * a->side, group = all / a->keys_n;
    const struct mix_call mix = {*a, *s, marks};
    const struct walk_call walks = {.s = *s,
                                    .keys_n = a->keys_n,
                                    .values_n = a->values_n,
                                    .depth = a->depth,
                                    .side = a->side,
                                    .query_at = all + a->keys_n * a->depth,
                                    .key_at = all,
                                    .value_at = 0,
                                    .is_tiled = false,
                                    .mixed = a->mixed,
                                    .rates = a->rates,
                                    .out = out};
    const struct finish_call finishes = {*a, walks, rows};
    launch(rate_rows, dim3((a->values_n + WARP - 1) / WARP, rows), WARP, 0, stream, mix);
    launch(mix_rows, dim3((s->channels + THREADS - 1) / THREADS, rows), THREADS, 0, stream, mix);
    launch_walk<true>(stream, &walks);
    launch(finish, dim3((all + THREADS - 1) / THREADS, rows + s->chains), THREADS, 0, stream, finishes);
    if (a->gain)
        launch(norm_groups, dim3(a->keys_n, rows), NORM_THREADS, norm_shared(group), stream, a->gain, a->epsilon, group,
               out);
}
