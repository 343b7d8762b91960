/* A head of a query, key or value behind its product (inference/engine/layer.c, heads_part), a warp's work: normed and rotated
 * in shared memory, and into the cache as int8. What it turns by no kernel writes: that is asked for before the products
 * are there. */
#ifndef KITH_INFERENCE_CUDA_TURN_CUH
#define KITH_INFERENCE_CUDA_TURN_CUH

#include "inference/cuda/blocks.cuh"
#include "inference/cuda/chunk_at.cuh"

#define EARLY 2u /* pairs of a lane whose angles come early: of heads up to 128 all */
#define PIECE 4u /* neighbours that a lane has, so that 8 lanes are a block of int8 */

struct heads_call {
    float *q, *k;
    const float *v;
    uint32_t heads, head, rows;
    struct cuda_turn turn;
    struct cuda_cache cache;
    struct cuda_marks marks;
};

enum what { QUERY, KEY, VALUE };

/* One head of one row. */
struct unit {
    enum what what;
    uint32_t row, index; /* of the head among its kind */
    const float *gain;   /* NULL: not normed */
    bool turns;
};

/* Heads of a row one behind the other: queries, keys, values. */
LANE struct unit unit_of(const struct heads_call *a, uint32_t row, uint32_t i)
{
    uint32_t kv = a->cache.heads_kv;
    if (i < a->heads)
        return {QUERY, row, i, a->turn.query_gain, a->turn.pairs != 0};
    if (i < a->heads + kv)
        return {KEY, row, i - a->heads, a->turn.key_gain, a->turn.pairs != 0};
    return {VALUE, row, i - a->heads - kv, nullptr, false};
}

/* Cosines and sines of a lane's first pairs. */
struct angles {
    float cosine[EARLY], sine[EARLY];
};

LANE struct angles early_angles(const struct heads_call *a, uint32_t row, bool turns)
{
    const float *cosine = a->turn.angles + (size_t)row * 2 * a->turn.pairs;
    struct angles early;
    LANE_UNROLL
    for (uint32_t n = 0; n < EARLY; n++) {
        uint32_t i = threadIdx.x % WARP + n * WARP;
        bool is_there = turns && i < a->turn.pairs;
        early.cosine[n] = is_there ? cosine[i] : 0.0f;
        early.sine[n] = is_there ? cosine[a->turn.pairs + i] : 0.0f;
    }
    return early;
}

/* x[head] becomes x[padded], zeros behind it. */
LANE void take_head(const float *from, uint32_t head, uint32_t padded, float *x)
{
    for (uint32_t i = PIECE * (threadIdx.x % WARP); i < padded; i += PIECE * WARP) {
        float4 v = {0.0f, 0.0f, 0.0f, 0.0f};
        if (head % PIECE == 0 && i < head)
            v = *(const float4 *)(from + i);
        else if (i < head)
            v = make_float4(from[i], i + 1 < head ? from[i + 1] : 0.0f, i + 2 < head ? from[i + 2] : 0.0f,
                            i + 3 < head ? from[i + 3] : 0.0f);
        *(float4 *)(x + i) = v;
    }
    __syncwarp();
}

/* Both halves of the warp sum, each lane a stripe; who has the sum knows that all have read. */
LANE void norm_head(const struct heads_call *a, const float *gain, float *x)
{
    float stripe = 0.0f;
    LANE_UNROLL_BY(8)
    for (uint32_t i = threadIdx.x % ARITH_LANES; i < a->head; i += ARITH_LANES)
        stripe = stripe + x[i] * x[i];
    float scale = 1.0f / sqrtf(lane_fold(stripe) / (float)(int32_t)a->head + a->turn.epsilon);
    for (uint32_t i = threadIdx.x % WARP; i < a->head; i += WARP)
        x[i] = (x[i] * scale) * gain[i];
    __syncwarp();
}

LANE void rotate_head(const struct heads_call *a, uint32_t row, const struct angles *early, float *x)
{
    uint32_t pairs = a->turn.pairs, apart = a->turn.is_halves ? pairs : 1, step = a->turn.is_halves ? 1 : 2;
    const float *cosine = a->turn.angles + (size_t)row * 2 * pairs;
    LANE_UNROLL_BY(1)
    for (uint32_t i = threadIdx.x % WARP, n = 0; i < pairs; i += WARP, n++) {
        float c = n == 0 ? early->cosine[0] : n == 1 ? early->cosine[1] : cosine[i];
        float s = n == 0 ? early->sine[0] : n == 1 ? early->sine[1] : cosine[pairs + i];
        float u = x[step * i], v = x[step * i + apart];
        x[step * i] = u * c - v * s;
        x[step * i + apart] = u * s + v * c;
    }
    __syncwarp();
}

/* The head comes to x, which is padded to whole blocks of 32, and is normed and rotated there. */
LANE void turn_unit(const struct heads_call *a, const struct unit *u, const struct angles *early, float *x)
{
    const float *from = u->what == QUERY ? a->q : u->what == KEY ? a->k : a->v;
    const uint32_t heads = u->what == QUERY ? a->heads : a->cache.heads_kv;
    take_head(from + ((size_t)u->row * heads + u->index) * a->head, a->head, a->cache.blocks * ARITH_BLOCK, x);
    if (u->gain && !a->turn.is_late)
        norm_head(a, u->gain, x);
    if (u->turns)
        rotate_head(a, u->row, early, x);
    if (u->gain && a->turn.is_late)
        norm_head(a, u->gain, x);
}

/* x as int8 into the cache, position t of a chunk; zeros with scale 0 where a value is not finite, which marks the row.
 */
LANE void put_head(const struct heads_call *a, const struct unit *u, const struct chunk *to, uint32_t t, const float *x)
{
    const uint32_t blocks = u->what == KEY ? a->cache.blocks : a->cache.blocks_v;
    for (uint32_t first = 0; first < blocks; first += WARP * PIECE / ARITH_BLOCK) {
        uint32_t lane = threadIdx.x % WARP, b = first + lane / 8, i = lane % 8 * PIECE, word;
        bool is_there = b < blocks, finite;
        float4 v = is_there ? *(const float4 *)(x + b * ARITH_BLOCK + i) : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        const float e[PIECE] = {v.x, v.y, v.z, v.w};
        float scale;
        quantise_block<PIECE>(e, ARITH_BLOCK / PIECE, &word, &scale, &finite);
        if (!is_there)
            continue;
        if (u->what == KEY)
            *(uint32_t *)(to->k + ops_key_at(b, t, i)) = word;
        LANE_UNROLL
        for (uint32_t j = 0; j < PIECE && u->what == VALUE; j++)
            to->v[ops_value_at(b, t, i + j)] = (int8_t)(word >> 8 * j);
        if (lane % 8 == 0)
            (u->what == KEY ? to->ks : to->vs)[b * ARITH_CHUNK + t] = scale;
        if (lane % 8 == 0 && !finite)
            lane_mark(a->marks.finite, a->marks.slot, u->row);
    }
}

#endif
