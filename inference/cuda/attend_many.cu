/* Attention of many queries of one sequence: a block walks over the chunks in increasing order. Two warps, a pair, have
 * 16 queries: each scores half of a chunk's positions, they tell each other the probabilities, and each weighs half of
 * the values' blocks, whose sums stay in its registers. While a chunk is met the next is on its way into shared memory.
 *
 * What bounds it is not the matrix unit but the other operations of a lane; they are counted in docs/cuda.md. */
#include "inference/cuda/attend.cuh"

#define PAIRS   (ATTEND_MANY_ROWS / TILE_ROWS)
#define THREADS (PAIRS * 2 * WARP)

/* -- chunks in shared memory -- */

LANE struct chunk buffer_at(unsigned char *memory, uint32_t blocks)
{
    struct chunk c;
    c.k = (int8_t *)memory;
    c.v = c.k + ARITH_CHUNK * blocks * ARITH_BLOCK;
    c.ks = (float *)(c.v + ARITH_CHUNK * blocks * ARITH_BLOCK);
    c.vs = c.ks + ARITH_CHUNK * blocks;
    return c;
}

/* All threads of the block copy a chunk to `memory`, 16 bytes at a time, which change places as tile.cuh has it. */
LANE void fetch(const struct attend_call *a, uint32_t table, uint32_t index, uint32_t head_kv, unsigned char *memory)
{
    struct chunk from = chunk_at(&a->cache, table, index, head_kv), to = buffer_at(memory, a->blocks);
    for (uint32_t i = threadIdx.x; i < a->blocks * 8 * 16; i += THREADS) {
        uint32_t row = i / 16, four = i % 16, too = i / 8, fourth = i % 8;
        lane_copy16(to.k + (row * 16 + (four ^ row % 4)) * 16, from.k + i * 16);
        lane_copy16(to.v + (too * 8 + (fourth ^ too % 4 * 2)) * 16, from.v + i * 16);
    }
    for (uint32_t i = threadIdx.x; i < a->blocks * 16; i += THREADS) {
        lane_copy16(to.ks + i * 4, from.ks + i * 4);
        lane_copy16(to.vs + i * 4, from.vs + i * 4);
    }
    lane_copy_end();
}

/* -- a pair's queries -- */

/* What the warps of a pair tell each other. */
struct board {
    float4 p[TILE_ROWS][ARITH_CHUNK / 4]; /* probabilities; of odd rows 16 bytes change places with those 4 further */
    float2 peak[TILE_ROWS];               /* of each half; NaN where a score is not finite */
    float sum[TILE_ROWS];
};

LANE uint32_t pair_of(void)
{
    return threadIdx.x / (2 * WARP);
}
/* Which of the pair: has half `side` of the positions, blocks from side x BLOCKS / 2 on, the sum of row g + 8 side. */
LANE uint32_t side_of(void)
{
    return threadIdx.x / WARP % 2;
}
LANE void meet_pair(void)
{
    lane_meet(1 + pair_of(), 2 * WARP);
}
LANE uint32_t place_of(uint32_t g, uint32_t i)
{
    return (4 * i + threadIdx.x % 4) ^ g % 2 * 4;
}

/* What a lane has: the peaks of its two queries, the sum of one of them, and of both what it has of half of BLOCKS
 * blocks. sum NaN: a number was not finite. */
template <int BLOCKS> struct sums {
    float peak[2], sum, o[BLOCKS / 2][2][8];
};

/* All probabilities of a chunk, for both warps of a pair, and its peaks. */
template <bool sees_all>
LANE void share(const struct attend_call *a, const struct tile_queries *q, const struct chunk *c,
                const struct tile_view view[2], struct board *board, float peak[2])
{
    uint32_t g = threadIdx.x % WARP / 4, t = threadIdx.x % 4, side = side_of();
    float s[2][2][4];
    tile_scores<2, true>(q, c, a->blocks, side, s);
    LANE_UNROLL
    for (int r = 0; r < 2; r++) {
        float mine = tile_peak<sees_all>(&a->a, view[r], side, s[r]);
        if (t == 0)
            ((float *)&board->peak[g + 8 * r])[side] = mine;
    }
    meet_pair();
    LANE_UNROLL
    for (int r = 0; r < 2; r++) {
        float2 of = board->peak[g + 8 * r];
        float largest = fmaxf(of.x, of.y), top = !sees_all && largest == -INFINITY ? 0.0f : largest;
        LANE_UNROLL
        for (uint32_t i = 0; i < 2; i++) {
            float p[4];
            LANE_UNROLL
            for (int j = 0; j < 4; j++)
                p[j] = tile_exp(s[r][i][j] - top);
            board->p[g + 8 * r][place_of(g, 2 * side + i)] = make_float4(p[0], p[1], p[2], p[3]);
        }
        peak[r] = of.x != of.x || of.y != of.y ? NAN : largest;
    }
    meet_pair();
}

/* Read again for each block: registers are for the sums. */
LANE void get_row(const struct board *board, uint32_t r, float p[4][4])
{
    uint32_t g = threadIdx.x % WARP / 4;
    LANE_UNROLL
    for (uint32_t i = 0; i < 4; i++) {
        float4 x = lane_read_shared(&board->p[g + 8 * r][place_of(g, i)]);
        p[i][0] = x.x, p[i][1] = x.y, p[i][2] = x.z, p[i][3] = x.w;
    }
}

/* The chunk joins what was before. Nobody sees a chunk for the first time with anything but +0 in the sums, so that
 * e^(-infinity) = +0 for what was before changes nothing. */
template <int BLOCKS, bool sees_all>
LANE void meet(const struct attend_call *a, const struct tile_queries *q, const struct chunk *c,
               const struct tile_view view[2], struct board *board, struct sums<BLOCKS> *all)
{
    uint32_t side = side_of();
    struct tile_weighed<2> w;
    float p[4][4], peak[2], old[2], new_[2];
    bool seen[2];
    share<sees_all>(a, q, c, view, board, peak);
    LANE_UNROLL
    for (int r = 0; r < 2; r++) {
        seen[r] = sees_all || view[r].to != 0;
        float top = fmaxf(all->peak[r], peak[r]), before = all->peak[r];
        old[r] = seen[r] ? tile_exp(before - top) : 1.0f;
        new_[r] = tile_exp(peak[r] - top);
        all->peak[r] = top;
    }
    get_row(board, side, p);
    float sum = tile_fold(p);
    if (side ? seen[1] : seen[0])
        all->sum = all->sum * (side ? old[1] : old[0]) + sum * (side ? new_[1] : new_[0]);
    if (side ? peak[1] != peak[1] : peak[0] != peak[0])
        all->sum = NAN;
    bool keeps = __all_sync(ALL, old[0] == 1.0f && old[1] == 1.0f);
    LANE_UNROLL
    for (uint32_t i = 0; i < BLOCKS / 2; i++) {
        uint32_t b = side * (BLOCKS / 2) + i;
        float o[2][8];
        if (b >= a->blocks)
            break;
        struct tile_piece v = tile_fetch<true>(c, b);
        LANE_UNROLL
        for (int r = 0; r < 2; r++) {
            get_row(board, r, p);
            w.scale[r] = tile_weights<sees_all>(p, v.scale, w.low[r], w.high[r]);
        }
        tile_sum_values<2>(&w, &v, o);
        LANE_UNROLL
        for (int e = 0; e < 16; e++) {
            float *to = &all->o[i][e / 8][e % 8], x = o[e / 8][e % 8] * new_[e / 8];
            if (seen[e / 8])
                *to = (keeps ? *to : *to * old[e / 8]) + x;
        }
    }
}

template <int BLOCKS>
LANE void put_out(const struct attend_call *a, struct cuda_stretch s, struct attend_heads h, struct board *board,
                  const struct sums<BLOCKS> *all)
{
    uint32_t g = threadIdx.x % WARP / 4, t = threadIdx.x % 4, side = side_of();
    if (t == 0)
        board->sum[g + 8 * side] = all->sum;
    meet_pair();
    LANE_UNROLL
    for (int r = 0; r < 2; r++) {
        uint32_t row = pair_of() * TILE_ROWS + g + 8 * r, c = s.first + row / h.count;
        float *out = a->out + ((size_t)c * a->a.heads + h.head + row % h.count) * a->a.head;
        float sum = board->sum[g + 8 * r];
        bool bad = sum != sum;
        if (row >= s.cols * h.count)
            continue;
        if (bad && side == 0 && t == 0)
            a->marks.finite[a->marks.slot[c]] = 0;
        LANE_UNROLL
        for (uint32_t e = 0; e < BLOCKS / 2 * 8; e++) {
            uint32_t at = (side * (BLOCKS / 2) + e / 8) * ARITH_BLOCK + 8 * t + e % 8;
            if (at < a->a.head)
                out[at] = bad ? 0.0f : all->o[e / 8][r][e % 8] / sum;
        }
    }
}

/* -- a block -- */

/* Chunks [*begin, *end) are seen by a column of the stretch; sight: of the columns of a lane's rows, behind the last as
 * the last. */
LANE void sights_of(const struct attend_call *a, struct cuda_stretch s, struct attend_heads h, uint32_t from,
                    struct attend_sight sight[2], uint32_t *begin, uint32_t *end)
{
    *begin = attend_sight_of(a, s.first).first_chunk;
    *end = attend_sight_of(a, s.first + s.cols - 1).end_chunk;
    for (uint32_t r = 0; r < 2; r++)
        sight[r] = attend_sight_of(a, s.first + min((from + threadIdx.x % WARP / 4 + 8 * r) / h.count, s.cols - 1));
}

template <int BLOCKS>
LANE void meet_if_seen(const struct attend_call *a, const struct tile_queries *q, const struct chunk *c,
                       const struct attend_sight sight[2], uint32_t chunk, struct board *board,
                       struct sums<BLOCKS> *all)
{
    struct tile_view view[2] = {attend_view(&sight[0], chunk), attend_view(&sight[1], chunk)};
    if (__all_sync(ALL, attend_sees_all(view[0]) && attend_sees_all(view[1])))
        meet<BLOCKS, true>(a, q, c, view, board, all);
    else if (__any_sync(ALL, view[0].to || view[1].to))
        meet<BLOCKS, false>(a, q, c, view, board, all);
}

/* Block (part of the heads on a head of keys, stretch). BUFFERS 2: the next chunk comes while one is met. */
template <int BLOCKS, int BUFFERS>
__global__ static void __launch_bounds__(THREADS, BUFFERS == 2 ? 3 : 2) walk(const struct attend_call a)
{
    lane_begin();
    LANE_SHARED(unsigned char, memory);
    uint32_t from = pair_of() * TILE_ROWS, begin, end, bytes = chunk_bytes(a.blocks);
    struct cuda_stretch s = attend_stretch(&a, blockIdx.y);
    struct attend_heads h = attend_heads_of(&a, blockIdx.x);
    struct board *board = (struct board *)(memory + BUFFERS * bytes) + pair_of();
    unsigned char *queries = memory + BUFFERS * bytes + PAIRS * sizeof(struct board);
    struct tile_queries q = tile_queries_at(queries + pair_of() * tile_queries_bytes(a.blocks), a.blocks);
    struct attend_sight sight[2];
    struct sums<BLOCKS> all = {
    };
    sights_of(&a, s, h, from, sight, &begin, &end);
    uint32_t table = a.cache.table[sight[0].row];
    fetch(&a, table, begin, h.head_kv, memory);
    attend_put_queries<4>(&a, &q, s, h, from, TILE_ROWS, side_of(), 2);
    meet_pair();
    all.peak[0] = all.peak[1] = -INFINITY;
    if (!q.fine[threadIdx.x % WARP / 4 + 8 * side_of()])
        all.sum = NAN;
    for (uint32_t chunk = begin; chunk < end; chunk++) {
        struct chunk c = buffer_at(memory + (chunk - begin) % BUFFERS * bytes, a.blocks);
        lane_copy_wait<0>();
        __syncthreads(); /* and nobody needs the chunk before any more */
        if (BUFFERS == 2 && chunk + 1 < end)
            fetch(&a, table, chunk + 1, attend_heads_of(&a, blockIdx.x).head_kv,
                  memory + (chunk + 1 - begin) % BUFFERS * bytes);
        meet_if_seen<BLOCKS>(&a, &q, &c, sight, chunk, board, &all);
        if (BUFFERS == 1)
            __syncthreads();
        if (BUFFERS == 1 && chunk + 1 < end)
            fetch(&a, table, chunk + 1, attend_heads_of(&a, blockIdx.x).head_kv, memory);
    }
    /* Asked for once more: between, registers are for the sums. */
    put_out(&a, attend_stretch(&a, blockIdx.y), attend_heads_of(&a, blockIdx.x), board, &all);
}

static size_t shared_of(uint32_t blocks, uint32_t buffers)
{
    return buffers * chunk_head_bytes(blocks) + PAIRS * (sizeof(struct board) + tile_queries_bytes(blocks));
}

bool attend_many_fits(uint32_t head)
{
    return head <= ATTEND_HEAD_MOST && shared_of(attend_over(head, ARITH_BLOCK), 1) <= lane_shared_most();
}

void attend_many(void *stream, const struct attend_call *call)
{
    uint32_t blocks = call->blocks, buffers = blocks <= 4 && shared_of(blocks, 2) <= lane_shared_most() ? 2 : 1;
    dim3 grid(call->cache.heads_kv * call->parts, call->a.plan.long_n);
    launch(blocks > 4     ? walk<8, 1>
           : buffers == 1 ? walk<4, 1>
           : blocks <= 2  ? walk<2, 2>
                          : walk<4, 2>,
           grid, THREADS, shared_of(blocks, buffers), stream, *call);
}
