/* Gated delta nets (inference/engine/delta.c): what a row needs but the states of its heads is made row by row, a warp
 * a head; then a warp takes 32 columns of one head of one sequence through all of that sequence's rows, each lane a
 * column, which is a sum of its own; then heads are normed and gated, and what the batch leaves is left. */
#include "inference/cuda/delta.h"
#include "inference/cuda/states.cuh"

#include "base/limits.h"

#define UNITS  4u /* heads of a block of threads */
#define VECTOR 4u

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

/* -- columns -- */

struct walk_call {
    struct cuda_delta a;
    struct cuda_states s;
    float *out;
};

/* A lane's column of a state: in registers where its length is known, else in shared memory, the lanes' side by side.
 */
template <uint32_t side> struct column {
    float at[side];
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
LANE constexpr uint32_t vectors_of(uint32_t side)
{
    return side ? side / (WARP * VECTOR) : VECTORS;
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
    return {c->a.mixed + (size_t)row * c->s.channels, c->a.rates + (size_t)row * 2 * c->a.values_n};
}

template <uint32_t side>
LANE void ask(const struct walk_call *c, struct source from, uint32_t head, uint32_t col, struct position *out)
{
    const struct cuda_delta *a = &c->a;
    const uint32_t n = side ? side : a->side;
    const uint32_t key = a->is_tiled ? head % a->keys_n : head / (a->values_n / a->keys_n);
    LANE_UNROLL
    for (uint32_t j = 0; j < vectors_of(side); j++) {
        const uint32_t i = (j * WARP + threadIdx.x) * VECTOR;
        if (i < n) {
            out->q[j] = *(const float4 *)(from.mixed + (size_t)key * n + i);
            out->k[j] = *(const float4 *)(from.mixed + (size_t)(a->keys_n + key) * n + i);
        }
    }
    out->v = col < n ? from.mixed[(size_t)(2 * a->keys_n + head) * n + col] : 0.0f;
    out->decay = from.rates[head];
    out->beta = from.rates[a->values_n + head];
}

template <uint32_t side> LANE void put_position(const struct position *p, uint32_t n, float *k, float *q)
{
    LANE_UNROLL
    for (uint32_t j = 0; j < vectors_of(side); j++) {
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

/* One position: what comes of the query. */
template <uint32_t side>
LANE float step(column<side> &s, uint32_t n, const float *k, const float *q, float v, float decay, float beta)
{
    float d = 0.0f, sum = 0.0f;
    LANE_UNROLL_BY(side ? side / VECTOR : 1)
    for (uint32_t i = 0; i < n; i += VECTOR) {
        hold(i);
        const float4 x = lane_read_shared((const float4 *)(k + i));
        d = d + s[i] * x.x;
        d = d + s[i + 1] * x.y;
        d = d + s[i + 2] * x.z;
        d = d + s[i + 3] * x.w;
    }
    d = (v - d * decay) * beta;
    LANE_UNROLL_BY(side ? side / VECTOR : 1)
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

template <uint32_t side> LANE void load_column(column<side> &s, uint32_t n, const float *from)
{
    LANE_UNROLL_BY(side ? side : 8)
    for (uint32_t i = 0; i < n; i++)
        s[i] = from[(size_t)i * n];
}
template <uint32_t side> LANE void store_column(column<side> &s, uint32_t n, float *to)
{
    LANE_UNROLL_BY(side ? side : 8)
    for (uint32_t i = 0; i < n; i++)
        to[(size_t)i * n] = s[i];
}

/* The rows of a chain, for a lane's column of a head, if it has one: `state` is where it stands. */
template <uint32_t side>
LANE void walk_chain(const struct walk_call *c, const struct cuda_chain *chain, uint32_t head, uint32_t col,
                     uint64_t state_at, float *shared)
{
    const uint32_t n = side ? side : c->a.side, all = chain->right + chain->rows, ahead = all - chain->guessed;
    const bool is_there = col < n;
    float *k = shared, *q = shared + 2 * n, *state = chain->state + state_at + (is_there ? col : 0);
    column<side> s(shared + 4 * n);
    struct position next;
    ask<side>(c, source_of(c, chain, 0), head, col, &next);
    load_column<side>(s, n, state);
    LANE_UNROLL_BY(1)
    for (uint32_t p = 0; p < all; p++) {
        const float v = next.v, decay = next.decay, beta = next.beta;
        float *now_k = k + p % 2 * n, *now_q = q + p % 2 * n;
        put_position<side>(&next, n, now_k, now_q);
        __syncwarp();
        if (p + 1 < all)
            ask<side>(c, source_of(c, chain, p + 1), head, col, &next);
        if (p == ahead && is_there)
            store_column<side>(s, n, state);
        const float sum = step<side>(s, n, now_k, now_q, v, decay, beta);
        if (p < chain->right || !is_there)
            continue;
        const uint32_t row = c->s.row[chain->first + p - chain->right];
        float *kept = state_kept(&c->s, row);
        c->out[((size_t)row * c->a.values_n + head) * n + col] = sum;
        if (kept)
            store_column<side>(s, n, kept + state_at + col);
    }
    if (ahead == all && is_there)
        store_column<side>(s, n, state);
}

/* Block (32 columns of a head, chain). */
template <uint32_t side> __global__ static void __launch_bounds__(WARP, 8) walk(const struct walk_call c)
{
    LANE_SHARED(float, shared);
    const uint32_t n = side ? side : c.a.side, parts = (n + WARP - 1) / WARP, head = blockIdx.x / parts;
    lane_begin();
    const struct cuda_chain chain = c.s.chain[blockIdx.y];
    const uint64_t history = (uint64_t)(c.s.taps - 1) * c.s.channels;
    walk_chain<side>(&c, &chain, head, blockIdx.x % parts * WARP + threadIdx.x,
                     c.s.state_at + history + (uint64_t)head * n * n, shared);
}

/* -- what comes of it, and what is left -- */

struct finish_call {
    struct cuda_delta a;
    struct cuda_states s;
    uint32_t rows;
    float *out;
};

/* Head h of a row is normed and gated. */
LANE void finish_head(const struct finish_call *c, uint32_t row, uint32_t h, float *x)
{
    const struct cuda_delta *a = &c->a;
    const uint32_t n = a->side, lane = threadIdx.x % WARP;
    const size_t at = ((size_t)row * a->values_n + h) * n;
    for (uint32_t j = lane; j < n; j += WARP)
        x[j] = c->out[at + j];
    __syncwarp();
    float stripe = 0.0f;
    LANE_UNROLL_BY(8)
    for (uint32_t j = lane % ARITH_LANES; j < n; j += ARITH_LANES)
        stripe = stripe + x[j] * x[j];
    const float scale = 1.0f / sqrtf(lane_fold(stripe) / (float)(int32_t)n + a->epsilon);
    for (uint32_t j = lane; j < n; j += WARP) {
        const float z = a->gate[at + j];
        c->out[at + j] = (z / (1.0f + arith_fn_exp(-z))) * ((x[j] * scale) * a->gain[j]);
    }
}

/* A chain's history and guesses; nobody reads what stood there any more. */
LANE void leave_chain(const struct finish_call *c, const struct cuda_chain *chain)
{
    const struct cuda_states *s = &c->s;
    const uint32_t rates = 2 * c->a.values_n, n = s->channels + rates, certain = chain->rows - chain->guessed;
    for (uint32_t i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        if (i < s->channels)
            state_leave<false>(s, chain, i);
        for (uint32_t g = 0; g < chain->guessed; g++) {
            const uint32_t row = s->row[chain->first + certain + g];
            state_guess(s, chain, g)[s->channels + i] = i < s->channels
                                                            ? c->a.mixed[(size_t)row * s->channels + i]
                                                            : c->a.rates[(size_t)row * rates + i - s->channels];
        }
    }
}

/* Block (heads of a row, row), and behind all rows (channels, chain). */
__global__ static void __launch_bounds__(UNITS *WARP) finish(const struct finish_call c)
{
    __shared__ float all[UNITS][SIDE_MAX];
    const uint32_t h = blockIdx.x * UNITS + threadIdx.x / WARP;
    lane_begin();
    if (blockIdx.y >= c.rows)
        leave_chain(&c, &c.s.chain[blockIdx.y - c.rows]);
    else if (h < c.a.values_n)
        finish_head(&c, blockIdx.y, h, all[threadIdx.x / WARP]);
}

#define SIDE 128u /* of published models: columns in registers */

void cuda_delta(void *stream, const struct cuda_delta *a, const struct cuda_states *s, uint32_t rows,
                struct cuda_marks marks, float *out)
{
    const uint32_t units = 2 * a->keys_n + a->values_n, n = a->side;
    const struct mix_call mix = {*a, *s, marks, 1.0f / sqrtf((float)(int32_t)n)};
    const struct walk_call walks = {*a, *s, out};
    const struct finish_call finishes = {*a, *s, rows, out};
    const dim3 grid(a->values_n * ((n + WARP - 1) / WARP), s->chains);
    launch(rate_rows, dim3((a->values_n + WARP - 1) / WARP, rows), WARP, 0, stream, mix);
    launch(mix_rows, dim3((units + UNITS - 1) / UNITS, rows), UNITS * WARP, 0, stream, mix);
    if (n == SIDE)
        launch(walk<SIDE>, grid, WARP, 4 * n * sizeof(float), stream, walks);
    else
        launch(walk<0>, grid, WARP, (4 + WARP) * n * sizeof(float), stream, walks);
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
