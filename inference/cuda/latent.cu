/* Heads that share one row of the cache (inference/engine/latent.c): what stands between their products. Each head's
 * own matrix is multiplied as an expert's is, of which every row picks all. */
#include "inference/cuda/turn.cuh"

#define UNITS   4u /* heads of a block of threads */
#define THREADS 256u

/* -- picks -- */

/* Thread i has the i-th pick of the list, that of row i % cols in head i / cols. */
__global__ static void pick_heads(uint32_t heads, struct cuda_picks out)
{
    lane_begin();
    const uint32_t i = blockIdx.x * THREADS + threadIdx.x;
    if (i <= heads)
        out.begin[i] = i * out.cols;
    if (i >= heads * out.cols)
        return;
    out.chosen[i] = i % heads;
    out.pick[i] = i % out.cols * heads + i / out.cols;
}

void cuda_pick_heads(void *stream, uint32_t heads, struct cuda_picks out)
{
    const uint32_t all = heads * out.cols > heads + 1 ? heads * out.cols : heads + 1;
    launch(pick_heads, (all + THREADS - 1) / THREADS, THREADS, 0, stream, heads, out);
}

/* -- queries -- */

__global__ static void split_heads(const float *projected, uint32_t plain, uint32_t each, uint64_t count, float *out)
{
    lane_begin();
    const uint64_t i = (uint64_t)blockIdx.x * THREADS + threadIdx.x;
    if (i < count)
        out[i] = projected[i / plain * each + i % plain];
}

void cuda_split_heads(void *stream, const struct cuda_latent *a, const float *projected, uint32_t rows, float *out)
{
    const uint64_t count = (uint64_t)rows * a->heads * a->plain;
    launch(split_heads, (uint32_t)((count + THREADS - 1) / THREADS), THREADS, 0, stream, projected, a->plain,
           a->plain + 2 * a->turn.pairs, count, out);
}

/* -- what meets the cache -- */

struct join_call {
    struct heads_call all; /* head: the latent, which is what is normed */
    uint32_t plain;
    const float *projected, *made;
};

/* One row's query of a head: what its own matrix made of the plain part, and behind it the rotated one. */
LANE void join_query(const struct join_call *a, uint32_t row, uint32_t head, const struct angles *early, float *x)
{
    const uint32_t lane = threadIdx.x % WARP, turned = 2 * a->all.turn.pairs, latent = a->all.head;
    const size_t i = (size_t)row * a->all.heads + head;
    const float *made = a->made + i * latent, *from = a->projected + i * (a->plain + turned) + a->plain;
    float *to = a->all.q + i * (latent + turned);
    for (uint32_t e = lane; e < turned; e += WARP)
        x[e] = from[e];
    __syncwarp();
    rotate_head(&a->all, row, early, x);
    for (uint32_t e = lane; e < latent; e += WARP)
        to[e] = made[e];
    for (uint32_t e = lane; e < turned; e += WARP)
        to[latent + e] = x[e];
}

/* The row of a position: key as a whole, value as far as it is not rotated. */
LANE void join_row(const struct join_call *a, uint32_t row, const struct angles *early, float *x)
{
    const uint32_t lane = threadIdx.x % WARP, latent = a->all.head, n = latent + 2 * a->all.turn.pairs,
                   position = a->all.cache.position[row];
    const struct chunk to = chunk_at(&a->all.cache, a->all.cache.table[row], position / ARITH_CHUNK, 0);
    struct unit u = {KEY, row, 0, a->all.turn.key_gain, true};
    take_head(a->all.k + (size_t)row * n, n, a->all.cache.blocks * ARITH_BLOCK, x);
    norm_head(&a->all, u.gain, x);
    rotate_head(&a->all, row, early, x + latent);
    put_head(&a->all, &u, &to, position % ARITH_CHUNK, x);
    __syncwarp();
    for (uint32_t e = latent + lane; e < a->all.cache.blocks_v * ARITH_BLOCK; e += WARP)
        x[e] = 0.0f;
    __syncwarp();
    u.what = VALUE;
    put_head(&a->all, &u, &to, position % ARITH_CHUNK, x);
}

/* Block (heads of a row and, behind them, the row itself; row). */
__global__ static void __launch_bounds__(UNITS *WARP) join_heads(const struct join_call a)
{
    lane_next();
    LANE_SHARED(float, all);
    const uint32_t i = blockIdx.x * UNITS + threadIdx.x / WARP;
    float *x = all + threadIdx.x / WARP * a.all.cache.blocks * ARITH_BLOCK;
    const struct angles early = early_angles(&a.all, blockIdx.y, true);
    lane_wait();
    if (i < a.all.heads)
        join_query(&a, blockIdx.y, i, &early, x);
    else if (i == a.all.heads)
        join_row(&a, blockIdx.y, &early, x);
}

void cuda_join_heads(void *stream, const struct cuda_latent *a, const float *projected, const float *made, float *row,
                     uint32_t rows, const struct cuda_cache *cache, struct cuda_marks marks, float *q)
{
    const struct heads_call all = {q, row, nullptr, a->heads, a->latent, rows, a->turn, *cache, marks};
    const struct join_call call = {all, a->plain, projected, made};
    const uint32_t units = a->heads + 1, row_bytes = cache->blocks * ARITH_BLOCK * (uint32_t)sizeof(float);
    launch(join_heads, dim3((units + UNITS - 1) / UNITS, rows), UNITS * WARP, UNITS * row_bytes, stream, call);
}
