/* Heads with states (delta nets, state spaces): a warp takes 32 columns of one head of one sequence through all of that
 * sequence's rows, each lane a column, which is a sum of its own; and what a batch leaves. */
#ifndef KITH_INFERENCE_CUDA_WALK_CUH
#define KITH_INFERENCE_CUDA_WALK_CUH

#include "inference/cuda/states.cuh"

#include "base/limits.h"

#define VECTOR 4u

/* Where heads stand in what leaves a convolution, [rows, channels], and how long they are; rates are [rows, 2,
 * values_n]. Of a state space's head `side` columns are `depth` long, of a delta net's both are alike. */
struct walk_call {
    struct cuda_states s;
    uint32_t keys_n, values_n, depth, side;
    uint32_t query_at, key_at, value_at; /* elements of a row */
    bool is_tiled;                       /* head h of values goes with head h mod keys_n, not with h div */
    const float *mixed, *rates;
    float *out; /* [rows, values_n, side] */
};

/* A lane's column of a state: in registers where its length is known, else in shared memory, the lanes' side by side.
 */
template <uint32_t depth> struct column {
    float at[depth];
    __device__ __forceinline__ explicit column(float *)
    {
    }
    __device__ __forceinline__ float &operator[](uint32_t i)
    {
        return at[i];
    }
};
template <> struct column<0> {
    float *at;
    __device__ __forceinline__ explicit column(float *shared) : at(shared + threadIdx.x)
    {
    }
    __device__ __forceinline__ float &operator[](uint32_t i)
    {
        return at[i * WARP];
    }
};

/* What a position brings to a head: four of k and of q a lane at a time, one of v. */
#define VECTORS (SIDE_MAX / (WARP * VECTOR))
LANE constexpr uint32_t vectors_of(uint32_t depth)
{
    return depth ? depth / (WARP * VECTOR) : VECTORS;
}
struct position {
    float4 k[VECTORS], q[VECTORS];
    float v, decay, beta;
};

/* Where the p-th position of a chain, right guesses first, has what left its convolution, and its rates. */
struct source {
    const float *mixed, *rates;
};
LANE struct source source_of(const struct walk_call *c, const struct cuda_chain *chain, uint32_t p)
{
    if (p < chain->right) {
        const float *guess = state_guess(&c->s, chain, p);
        return {guess + c->s.channels, guess + 2 * c->s.channels};
    }
    const uint32_t row = c->s.row[chain->first + p - chain->right];
    return {c->mixed + (size_t)row * c->s.channels, c->rates + (size_t)row * 2 * c->values_n};
}

template <uint32_t depth>
LANE void ask(const struct walk_call *c, struct source from, uint32_t head, uint32_t col, struct position *out)
{
    const uint32_t n = depth ? depth : c->depth;
    const uint32_t key = c->is_tiled ? head % c->keys_n : head / (c->values_n / c->keys_n);
    LANE_UNROLL
    for (uint32_t j = 0; j < vectors_of(depth); j++) {
        const uint32_t i = (j * WARP + threadIdx.x) * VECTOR;
        if (i < n) {
            out->q[j] = *(const float4 *)(from.mixed + c->query_at + (size_t)key * n + i);
            out->k[j] = *(const float4 *)(from.mixed + c->key_at + (size_t)key * n + i);
        }
    }
    out->v = col < c->side ? from.mixed[c->value_at + (size_t)head * c->side + col] : 0.0f;
    out->decay = from.rates[head];
    out->beta = from.rates[c->values_n + head];
}

template <uint32_t depth> LANE void put_position(const struct position *p, uint32_t n, float *k, float *q)
{
    LANE_UNROLL
    for (uint32_t j = 0; j < vectors_of(depth); j++) {
        const uint32_t i = (j * WARP + threadIdx.x) * VECTOR;
        if (i < n) {
            *(float4 *)(k + i) = p->k[j];
            *(float4 *)(q + i) = p->q[j];
        }
    }
}

/* Nothing is read from shared memory ahead of here: else the compiler would read all of a key ahead, and find no
 * registers for it. */
#define HELD 16u /* elements */
LANE void hold(uint32_t i)
{
#ifdef __CUDACC__
    if (i % HELD == 0)
        __syncwarp();
#else
    (void)i;
#endif
}

/* One position: what comes of the query. A state space learns its value; a delta net what its key did not give. */
template <bool is_scan, uint32_t depth>
LANE float step(column<depth> &s, uint32_t n, const float *k, const float *q, float v, float decay, float beta)
{
    float d = 0.0f, sum = 0.0f;
    LANE_UNROLL_BY(depth ? depth / VECTOR : 1)
    for (uint32_t i = 0; i < n && !is_scan; i += VECTOR) {
        hold(i);
        const float4 x = lane_read_shared((const float4 *)(k + i));
        d = d + s[i] * x.x;
        d = d + s[i + 1] * x.y;
        d = d + s[i + 2] * x.z;
        d = d + s[i + 3] * x.w;
    }
    d = is_scan ? v * beta : (v - d * decay) * beta;
    LANE_UNROLL_BY(depth ? depth / VECTOR : 1)
    for (uint32_t i = 0; i < n; i += VECTOR) {
        hold(i);
        const float4 x = lane_read_shared((const float4 *)(k + i)), y = lane_read_shared((const float4 *)(q + i));
        sum = sum + (s[i] = s[i] * decay + d * x.x) * y.x;
        sum = sum + (s[i + 1] = s[i + 1] * decay + d * x.y) * y.y;
        sum = sum + (s[i + 2] = s[i + 2] * decay + d * x.z) * y.z;
        sum = sum + (s[i + 3] = s[i + 3] * decay + d * x.w) * y.w;
    }
    return sum;
}

/* The same number, of which nothing is known before here: else where 128 elements go is worked out ahead of all
 * positions, and kept in as many registers. */
LANE uint32_t anew(uint32_t stride)
{
#ifdef __CUDACC__
    asm volatile("" : "+r"(stride));
#endif
    return stride;
}

/* Its elements are `stride` apart. */
template <uint32_t depth> LANE void load_column(column<depth> &s, uint32_t n, uint32_t stride, const float *from)
{
    LANE_UNROLL_BY(depth ? depth : 8)
    for (uint32_t i = 0; i < n; i++)
        s[i] = from[(size_t)i * stride];
}
template <uint32_t depth> LANE void store_column(column<depth> &s, uint32_t n, uint32_t stride, float *to)
{
    const uint32_t now = anew(stride);
    LANE_UNROLL_BY(depth ? depth : 8)
    for (uint32_t i = 0; i < n; i++)
        to[(size_t)i * now] = s[i];
}

/* The rows of a chain, for a lane's column of a head, if it has one: `state` is where it stands. */
template <bool is_scan, uint32_t depth>
LANE void walk_chain(const struct walk_call *c, const struct cuda_chain *chain, uint32_t head, uint32_t col,
                     uint64_t state_at, float *shared)
{
    const uint32_t n = depth ? depth : c->depth, stride = is_scan ? c->side : n;
    const uint32_t all = chain->right + chain->rows, ahead = all - chain->guessed;
    const bool is_there = col < stride;
    float *k = shared, *q = shared + 2 * n, *state = chain->state + state_at + (is_there ? col : 0);
    column<depth> s(shared + 4 * n);
    struct position next;
    ask<depth>(c, source_of(c, chain, 0), head, col, &next);
    load_column<depth>(s, n, stride, state);
    LANE_UNROLL_BY(1)
    for (uint32_t p = 0; p < all; p++) {
        const float v = next.v, decay = next.decay, beta = next.beta;
        float *now_k = k + p % 2 * n, *now_q = q + p % 2 * n;
        put_position<depth>(&next, n, now_k, now_q);
        __syncwarp();
        if (p + 1 < all)
            ask<depth>(c, source_of(c, chain, p + 1), head, col, &next);
        if (p == ahead && is_there)
            store_column<depth>(s, n, stride, state);
        const float sum = step<is_scan, depth>(s, n, now_k, now_q, v, decay, beta);
        if (p < chain->right || !is_there)
            continue;
        const uint32_t row = c->s.row[chain->first + p - chain->right];
        float *kept = state_kept(&c->s, row);
        c->out[((size_t)row * c->values_n + head) * stride + col] = sum;
        if (kept)
            store_column<depth>(s, n, stride, kept + state_at + col);
    }
    if (ahead == all && is_there)
        store_column<depth>(s, n, stride, state);
}

/* Block (32 columns of a head, chain). */
template <bool is_scan, uint32_t depth>
__global__ static void __launch_bounds__(WARP, 8) walk(const struct walk_call c)
{
    LANE_SHARED(float, shared);
    const uint32_t n = depth ? depth : c.depth, side = is_scan ? c.side : n;
    const uint32_t parts = (side + WARP - 1) / WARP, head = blockIdx.x / parts;
    lane_begin();
    const struct cuda_chain chain = c.s.chain[blockIdx.y];
    const uint64_t history = (uint64_t)(c.s.taps - 1) * c.s.channels;
    walk_chain<is_scan, depth>(&c, &chain, head, blockIdx.x % parts * WARP + threadIdx.x,
                               c.s.state_at + history + (uint64_t)head * n * side, shared);
}

#define DEPTH 128u /* of most published models: columns in registers */

template <bool is_scan> static void launch_walk(void *stream, const struct walk_call *c)
{
    const dim3 grid(c->values_n * ((c->side + WARP - 1) / WARP), c->s.chains);
    if (c->depth == DEPTH)
        launch(walk<is_scan, DEPTH>, grid, WARP, 4 * DEPTH * sizeof(float), stream, *c);
    else
        launch(walk<is_scan, 0>, grid, WARP, (4 + WARP) * c->depth * sizeof(float), stream, *c);
}

/* A chain's history and guesses, by the blocks of a row of the grid; nobody reads what stood there any more. */
LANE void leave_chain(const struct walk_call *c, const struct cuda_chain *chain)
{
    const struct cuda_states *s = &c->s;
    const uint32_t rates = 2 * c->values_n, n = s->channels + rates, certain = chain->rows - chain->guessed;
    for (uint32_t i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        if (i < s->channels)
            state_leave<false>(s, chain, i);
        for (uint32_t g = 0; g < chain->guessed; g++) {
            const uint32_t row = s->row[chain->first + certain + g];
            state_guess(s, chain, g)[s->channels + i] =
                i < s->channels ? c->mixed[(size_t)row * s->channels + i] : c->rates[(size_t)row * rates + i - s->channels];
        }
    }
}

#endif
