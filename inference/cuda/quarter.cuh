/* A chunk of the cache that four warps of a block meet together, for up to 16 queries that share a head of keys: what
 * counts with few queries is how long a chunk takes from its first load to its last store, not how many operations it
 * takes. All that a warp reads of the cache it asks for before anything else.
 *
 * Warp w scores the positions 16 w to 16 w + 15, of which a lane has 4 t to 4 t + 3 of the queries g and g + 8 (tile.cuh
 * has the letters): column g of product j is position 16 w + 2 g + j. The largest scores and then the probabilities go
 * through shared memory, so that each warp has those of the whole chunk, as tile.cuh wants them; it weighs the blocks
 * w, w + 4 ... of the values with them. */
#ifndef KITH_INFERENCE_CUDA_QUARTER_CUH
#define KITH_INFERENCE_CUDA_QUARTER_CUH

#include "inference/cuda/tile.cuh"

#define QUARTERS       4u
#define QUARTER_BLOCKS 4u  /* of keys that are asked for at once */
#define QUARTER_STRIDE 20u /* of 16 bytes: two rows meet no bank twice */

/* A lane's part of QUARTER_BLOCKS blocks of a warp's keys. */
struct quarter_keys {
    uint2 low[QUARTER_BLOCKS], high[QUARTER_BLOCKS];
};

/* Shared memory of a block: queries, and behind them of the chunk the values and all scales. */
static __host__ __device__ inline size_t quarter_bytes(struct chunk_blocks n)
{
    return tile_queries_bytes(n.keys) + chunk_part_bytes(n.values) + ARITH_CHUNK * n.keys * sizeof(float);
}

LANE struct chunk quarter_chunk_at(const struct tile_queries *q, struct chunk_blocks n)
{
    struct chunk c = {nullptr, (int8_t *)q->q + tile_queries_bytes(n.keys), nullptr, nullptr};
    c.vs = (float *)(c.v + ARITH_CHUNK * n.values * ARITH_BLOCK);
    c.ks = c.vs + ARITH_CHUNK * n.values;
    return c;
}

/* A warp asks for the scales of its keys. */
LANE void quarter_ask_scales(const struct chunk *from, uint32_t blocks, const struct chunk *to)
{
    uint32_t lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    for (uint32_t i = lane; i < 4 * blocks; i += WARP) {
        uint32_t at = i / 4 * ARITH_CHUNK + warp * ARITH_LANES + i % 4 * 4;
        lane_copy16(to->ks + at, from->ks + at);
    }
}

/* For its blocks of the values, which change places as tile.cuh has it. */
LANE void quarter_ask_values(const struct chunk *from, uint32_t blocks, const struct chunk *to)
{
    uint32_t lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, row = lane / 8, four = lane % 8;
    const int8_t *v = from->v + lane * 16;
    int8_t *here = to->v + (row * 8 + (four ^ row * 2)) * 16;
    for (uint32_t b = warp; b < blocks; b += QUARTERS) {
        LANE_UNROLL
        for (uint32_t i = 0; i < ARITH_CHUNK * ARITH_BLOCK; i += WARP * 16)
            lane_copy16(here + b * ARITH_CHUNK * ARITH_BLOCK + i, v + b * ARITH_CHUNK * ARITH_BLOCK + i);
        if (lane < ARITH_CHUNK / 4)
            lane_copy16(to->vs + b * ARITH_CHUNK + lane * 4, from->vs + b * ARITH_CHUNK + lane * 4);
    }
}

/* For its keys: in shared memory they stand warp by warp, rows of 16 positions, of which two of every four have their
 * pieces of 16 bytes changed, so that the 16 lanes that are served together meet no bank twice. */
LANE void quarter_ask_keys(const struct chunk *from, uint32_t blocks, const struct chunk *to)
{
    uint32_t row = threadIdx.x % WARP / 4, piece = threadIdx.x % 4, warp = threadIdx.x / WARP;
    const int8_t *k = from->k + row * ARITH_CHUNK * 4 + warp * ARITH_LANES * 4 + piece * 16;
    int8_t *here = to->k + (warp * blocks * 8 + row) * ARITH_LANES * 4 + (piece ^ row / 2 % 2 * 2) * 16;
    LANE_UNROLL_BY(4)
    for (uint32_t b = 0; b < blocks; b++)
        lane_copy16(here + b * 8 * ARITH_LANES * 4, k + b * 8 * ARITH_CHUNK * 4);
}

/* Blocks from `first` on, as many as there are; `is_here`: in shared memory, as quarter_ask_keys puts them. */
template <bool is_here> LANE struct quarter_keys quarter_fetch(const struct chunk *c, uint32_t first, uint32_t blocks)
{
    uint32_t warp = threadIdx.x / WARP, g = threadIdx.x % WARP / 4, t = threadIdx.x % 4;
    struct quarter_keys k;
    LANE_UNROLL
    for (uint32_t i = 0; i < QUARTER_BLOCKS; i++) {
        uint32_t b = min(first + i, blocks - 1);
        uint32_t apart = is_here ? ARITH_LANES / 2 : ARITH_CHUNK / 2; /* rows of 4 elements */
        uint32_t at = is_here ? ((warp * blocks + b) * 8 + t) * apart + (g ^ t / 2 * 4) : (b * 8 + t) * apart + 8 * warp + g;
        k.low[i] = ((const uint2 *)c->k)[at];
        k.high[i] = ((const uint2 *)c->k)[at + 4 * apart];
    }
    return k;
}

/* s[r][2 e + j] goes on by those blocks. */
template <int ROWS>
LANE void quarter_scores(const struct tile_queries *q, const struct quarter_keys *k, const float *ks, uint32_t first,
                         uint32_t blocks, float s[ROWS][4])
{
    uint32_t warp = threadIdx.x / WARP, g = threadIdx.x % WARP / 4, t = threadIdx.x % 4, stride = tile_stride(blocks);
    const uint32_t *row = q->q + g * stride + t;
    LANE_UNROLL
    for (uint32_t i = 0; i < QUARTER_BLOCKS; i++) {
        uint32_t b = first + i;
        if (b >= blocks)
            break;
        uint32_t a[4] = {row[8 * b], 0, row[8 * b + 4], 0};
        uint32_t even[2] = {k->low[i].x, k->high[i].x}, odd[2] = {k->low[i].y, k->high[i].y};
        int32_t d[2][4] = {{LANE_ZERO, LANE_ZERO, LANE_ZERO, LANE_ZERO}, {LANE_ZERO, LANE_ZERO, LANE_ZERO, LANE_ZERO}};
        if (ROWS == 2) {
            a[1] = row[8 * stride + 8 * b];
            a[3] = row[8 * stride + 8 * b + 4];
        }
        float4 key_scale = ((const float4 *)(ks + b * ARITH_CHUNK))[4 * warp + t];
        lane_mma(d[0], a, even);
        lane_mma(d[1], a, odd);
        LANE_UNROLL
        for (int r = 0; r < ROWS; r++) {
            float scale = q->s[(g + 8 * r) * blocks + b];
            LANE_UNROLL
            for (int j = 0; j < 4; j++)
                s[r][j] = s[r][j] + (scale * tile_float(key_scale, j)) * lane_float(d[j % 2][2 * r + j / 2]);
        }
    }
}

/* What the warps of a block tell each other. */
template <int ROWS> struct quarter_board {
    float4 p[8 * ROWS][QUARTER_STRIDE]; /* probabilities: [row, position / 4] */
    float4 peak[8 * ROWS];              /* of each quarter; NaN where a score is not finite */
};

/* The largest score that is seen among a lane's four of a query, for its four lanes; the others become -infinity. */
template <bool may_cap> LANE float quarter_peak(const struct cuda_attention *a, struct tile_view v, float s[4])
{
    int from = (int)(threadIdx.x / WARP * ARITH_LANES + threadIdx.x % 4 * 4);
    float peak = -INFINITY, probe = 0.0f;
    LANE_UNROLL
    for (int j = 0; j < 4; j++)
        s[j] = s[j] * a->scale;
    if (may_cap && a->cap != 0.0f)
        tile_cap(s, 4, a->cap);
    LANE_UNROLL
    for (int j = 0; j < 4; j++) {
        bool seen = from + j >= v.from && from + j < v.to;
        probe = __fmaf_rn(seen ? s[j] : 0.0f, 0.0f, probe); /* 0 times what is not finite is NaN */
        s[j] = seen ? s[j] : -INFINITY;
        peak = fmaxf(peak, s[j]);
    }
    LANE_UNROLL
    for (int by = 1; by < 4; by *= 2) {
        peak = fmaxf(peak, __shfl_xor_sync(ALL, peak, by));
        probe = probe + __shfl_xor_sync(ALL, probe, by);
    }
    return probe != probe ? NAN : peak;
}

/* Scores of a quarter become probabilities, +0 where a query does not see; those of the whole chunk are on the board
 * then, and its peaks known. */
template <int ROWS, bool may_cap>
LANE void quarter_share(const struct cuda_attention *a, const struct tile_view v[ROWS],
                        struct quarter_board<ROWS> *board, float s[ROWS][4], struct tile_sum out[ROWS])
{
    uint32_t warp = threadIdx.x / WARP, g = threadIdx.x % WARP / 4, t = threadIdx.x % 4;
    LANE_UNROLL
    for (int r = 0; r < ROWS; r++) {
        float peak = quarter_peak<may_cap>(a, v[r], s[r]);
        if (t == 0)
            ((float *)&board->peak[g + 8 * r])[warp] = peak;
    }
    __syncthreads();
    LANE_UNROLL
    for (int r = 0; r < ROWS; r++) {
        float4 of = board->peak[g + 8 * r];
        float peak = fmaxf(fmaxf(of.x, of.y), fmaxf(of.z, of.w)), top = peak == -INFINITY ? 0.0f : peak;
        bool bad = of.x != of.x || of.y != of.y || of.z != of.z || of.w != of.w;
        LANE_UNROLL
        for (int j = 0; j < 4; j++)
            s[r][j] = tile_exp(s[r][j] - top);
        board->p[g + 8 * r][4 * warp + t] = make_float4(s[r][0], s[r][1], s[r][2], s[r][3]);
        out[r].peak = bad ? NAN : peak;
    }
    __syncthreads();
}

/* A lane's probabilities of row g + 8 r. */
LANE void quarter_row(const float4 board[][QUARTER_STRIDE], int r, float p[4][4])
{
    uint32_t g = threadIdx.x % WARP / 4, t = threadIdx.x % 4;
    LANE_UNROLL
    for (int i = 0; i < 4; i++) {
        float4 x = lane_read_shared(&board[g + 8 * r][4 * i + t]);
        p[i][0] = x.x, p[i][1] = x.y, p[i][2] = x.z, p[i][3] = x.w;
    }
}

/* All in registers, and their sums. */
template <int ROWS>
LANE void quarter_probabilities(const struct cuda_attention *a, const struct tile_view v[ROWS],
                                struct quarter_board<ROWS> *board, float s[ROWS][4], float p[ROWS][4][4],
                                struct tile_sum out[ROWS])
{
    quarter_share<ROWS, true>(a, v, board, s, out);
    LANE_UNROLL
    for (int r = 0; r < ROWS; r++) {
        quarter_row(board->p, r, p[r]);
        out[r].sum = tile_fold(p[r]);
    }
}

#endif
