/* Routing of a mixture of experts (inference/engine/moe.c): a warp for each row chooses, a block for each expert lists
 * its picks. Nothing is counted by atomic operations, so lists are in order. */
#include "base/limits.h"
#include "inference/cuda/kernels.h"
#include "inference/cuda/lane.h"

#define ROUTE_WARPS 4u
#define THREADS     256u
#define GROUPS_MOST (EXPERTS_MAX / 2)

/* -- choosing -- */

/* A score and whose it is; the better one is larger, or as large and earlier. No score: whose = UINT32_MAX. */
struct candidate {
    float score;
    uint32_t whose;
};

LANE struct candidate better(struct candidate a, struct candidate b)
{
    bool first = b.whose == UINT32_MAX ||
                 (a.whose != UINT32_MAX && (a.score > b.score || (a.score == b.score && a.whose < b.whose)));
    return first ? a : b;
}

/* What experts are chosen by: their scores, or what weights are made of and a preference. */
struct liking {
    const float *score, *preference;
    bool by_parts; /* of `all` */
    float all;
};

LANE float liking_of(const struct liking *l, uint32_t i)
{
    float v = l->by_parts ? l->score[i] / l->all : l->score[i];
    return l->preference ? v + l->preference[i] : v;
}

/* The best of a row that is not taken, for all lanes. Lane l looks at experts l, l + 32...; taken: a bit for each. */
LANE struct candidate best_left(const struct liking *l, uint32_t experts, uint32_t taken)
{
    unsigned lane = threadIdx.x % WARP;
    struct candidate best = {0.0f, UINT32_MAX};
    for (uint32_t i = lane, bit = 0; i < experts; i += WARP, bit++)
        if (!(taken >> bit & 1u))
            best = better(best, candidate{liking_of(l, i), i});
    for (int by = WARP / 2; by; by /= 2)
        best = better(best, candidate{__shfl_xor_sync(ALL, best.score, by), __shfl_xor_sync(ALL, best.whose, by)});
    return best;
}

LANE bool row_is_finite(const float *score, uint32_t experts)
{
    bool finite = true;
    for (uint32_t i = threadIdx.x % WARP; i < experts; i += WARP)
        finite = finite && arith_is_finite(score[i]);
    return __all_sync(ALL, finite);
}

/* The striped sum of e^(score - peak) over all experts, both halves of the warp alike. */
LANE float sum_of_all(const float *score, uint32_t experts, float peak)
{
    float stripe = 0.0f;
    for (uint32_t i = threadIdx.x % ARITH_LANES; i < experts; i += ARITH_LANES)
        stripe = stripe + arith_fn_exp(score[i] - peak);
    return lane_fold(stripe);
}

/* Before anything is chosen: scores become sigmoids, or with a preference their exponentials. */
LANE struct liking prepare(const struct cuda_routes *how, float *score)
{
    struct liking l = {score, how->preference, false, 1.0f};
    const uint32_t lane = threadIdx.x % WARP;
    if (how->by_sigmoid) {
        for (uint32_t i = lane; i < how->experts; i += WARP)
            score[i] = 1.0f / (1.0f + arith_fn_exp(-score[i]));
    } else if (how->preference) {
        const struct liking plain = {score, nullptr, false, 1.0f};
        const float peak = best_left(&plain, how->experts, 0).score;
        l.all = sum_of_all(score, how->experts, peak);
        l.by_parts = true;
        __syncwarp();
        for (uint32_t i = lane; i < how->experts; i += WARP)
            score[i] = arith_fn_exp(score[i] - peak);
    }
    __syncwarp();
    return l;
}

/* Experts outside the best groups, as `taken` of best_left. Of sigmoids a group is as good as its two best together,
 * else as its best one. value[groups]: room. */
LANE uint32_t outside_groups(const struct cuda_routes *how, const struct liking *l, float *value)
{
    const uint32_t lane = threadIdx.x % WARP, each = how->experts / how->groups;
    const struct liking of_groups = {value, nullptr, false, 1.0f};
    uint32_t outside = UINT32_MAX, taken = 0;
    for (uint32_t g = lane; g < how->groups; g += WARP) {
        float first = liking_of(l, g * each), second = -INFINITY;
        for (uint32_t i = 1; i < each; i++) {
            const float v = liking_of(l, g * each + i);
            second = v > first ? first : v > second ? v : second;
            first = v > first ? v : first;
        }
        value[g] = how->by_sigmoid ? first + second : first;
    }
    __syncwarp();
    for (uint32_t r = 0; r < how->groups_used; r++) {
        const uint32_t best = best_left(&of_groups, how->groups, taken).whose;
        if (best % WARP == lane)
            taken |= 1u << best / WARP;
        for (uint32_t i = lane, bit = 0; i < how->experts; i += WARP, bit++)
            if (i / each == best)
                outside &= ~(1u << bit);
    }
    return outside;
}

/* Weights are made of the chosen's exponentials or sigmoids, which all lanes hold in turn: divided by their sum by
 * rising rank, or by the sum of all. */
__global__ static void route_rows(float *score, struct cuda_routes how, uint32_t cols, struct cuda_marks marks,
                                  uint32_t *chosen, float *weight)
{
    lane_begin();
    __shared__ float of_groups[ROUTE_WARPS][GROUPS_MOST];
    const uint32_t experts = how.experts, used = how.used;
    const bool is_plain = !how.by_sigmoid && !how.preference;
    uint32_t c = blockIdx.x * ROUTE_WARPS + threadIdx.x / WARP, lane = threadIdx.x % WARP, taken = 0;
    float peak = 0.0f, sum = 0.0f;
    if (c >= cols)
        return;
    score += (size_t)c * experts;
    chosen += (size_t)c * used;
    weight += (size_t)c * used;
    if (!row_is_finite(score, experts)) {
        for (uint32_t i = lane; i < experts; i += WARP)
            score[i] = 0.0f;
        if (lane == 0)
            lane_mark(marks.finite, marks.slot, c);
    }
    __syncwarp();
    const struct liking l = prepare(&how, score);
    if (how.groups > 1)
        taken = outside_groups(&how, &l, of_groups[threadIdx.x / WARP]);
    for (uint32_t r = 0; r < used; r++) {
        struct candidate best = best_left(&l, experts, taken);
        peak = r ? peak : best.score;
        float e = is_plain ? arith_fn_exp(best.score - peak) : score[best.whose];
        sum = sum + e;
        if (best.whose % WARP == lane)
            taken |= 1u << best.whose / WARP;
        if (lane == 0) {
            chosen[r] = best.whose;
            weight[r] = e;
        }
    }
    __syncwarp();
    if (how.of_all)
        sum = is_plain ? sum_of_all(score, experts, peak) : l.all;
    for (uint32_t r = lane; r < used; r += WARP)
        weight[r] = (weight[r] / sum) * how.scale;
}

/* -- listing -- */

/* The sum of `mine` over the block's threads before this one; *all: over all of them. */
LANE uint32_t sum_before(uint32_t mine, uint32_t *all)
{
    __shared__ uint32_t of_warp[THREADS / WARP];
    uint32_t lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, sum = mine, before = 0;
    for (uint32_t by = 1; by < WARP; by *= 2) {
        uint32_t lower = __shfl_up_sync(ALL, sum, by);
        sum += lane >= by ? lower : 0;
    }
    if (lane == WARP - 1)
        of_warp[warp] = sum;
    __syncthreads();
    *all = 0;
    for (uint32_t w = 0; w < THREADS / WARP; w++) {
        before += w < warp ? of_warp[w] : 0;
        *all += of_warp[w];
    }
    __syncthreads();
    return before + sum - mine;
}

/* Block e lists the picks of expert e; the last block knows where all of them end. */
__global__ static void list_picks(const uint32_t *chosen, uint32_t picks, uint32_t *begin, uint32_t *pick)
{
    lane_begin();
    uint32_t e = blockIdx.x, lower = 0, at;
    for (uint32_t p = threadIdx.x; p < picks; p += THREADS)
        lower += chosen[p] < e;
    (void)sum_before(lower, &at);
    if (threadIdx.x == 0)
        begin[e] = at;
    for (uint32_t first = 0; first < picks; first += THREADS) {
        uint32_t p = first + threadIdx.x, is_here = p < picks && chosen[p] == e, here;
        uint32_t before = sum_before(is_here, &here);
        if (is_here)
            pick[at + before] = p;
        at += here;
    }
}

void cuda_route(void *stream, float *score, const struct cuda_routes *how, uint32_t cols, struct cuda_marks marks,
                struct cuda_picks out)
{
    launch(route_rows, (cols + ROUTE_WARPS - 1) / ROUTE_WARPS, ROUTE_WARPS * WARP, 0, stream, score, *how, cols, marks,
           out.chosen, out.weight);
    launch(list_picks, how->experts + 1, THREADS, 0, stream, out.chosen, cols * how->used, out.begin, out.pick);
}

/* -- what comes back -- */

__global__ static void sum_picked(const float *y, const float *weight, uint32_t used, uint32_t n, float *out)
{
    lane_begin();
    uint32_t c = blockIdx.y, i = blockIdx.x * THREADS + threadIdx.x;
    if (i >= n)
        return;
    float sum = 0.0f;
    for (uint32_t r = 0; r < used; r++) {
        size_t p = (size_t)c * used + r;
        sum = sum + y[p * n + i] * weight[p];
    }
    out[(size_t)c * n + i] = sum;
}

void cuda_sum_picked(void *stream, const float *y, struct cuda_picks picks, uint32_t used, uint32_t n, uint32_t cols,
                     float *out)
{
    launch(sum_picked, dim3((n + THREADS - 1) / THREADS, cols), THREADS, 0, stream, y, picks.weight, used, n, out);
}

__global__ static void add_gated(float *x, const float *y, const float *gate, uint32_t n)
{
    lane_begin();
    uint32_t c = blockIdx.y, i = blockIdx.x * THREADS + threadIdx.x;
    if (i >= n)
        return;
    float weight = 1.0f / (1.0f + arith_fn_exp(-gate[c]));
    x += (size_t)c * n;
    x[i] = x[i] + y[(size_t)c * n + i] * weight;
}

void cuda_add_gated(void *stream, float *x, const float *y, const float *gate, uint32_t n, uint32_t cols)
{
    launch(add_gated, dim3((n + THREADS - 1) / THREADS, cols), THREADS, 0, stream, x, y, gate, n);
}

__global__ static void spread_slots(const uint32_t *slot, uint32_t used, uint32_t picks, uint32_t *out)
{
    lane_begin();
    uint32_t p = blockIdx.x * THREADS + threadIdx.x;
    if (p < picks)
        out[p] = slot ? slot[p / used] : p / used;
}

void cuda_spread_slots(void *stream, const uint32_t *slot, uint32_t used, uint32_t cols, uint32_t *out)
{
    launch(spread_slots, (cols * used + THREADS - 1) / THREADS, THREADS, 0, stream, slot, used, cols * used, out);
}
