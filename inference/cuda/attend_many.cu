/* Attention of many queries of one sequence: a block walks over the chunks in increasing order. Two warps, a pair, have
 * 16 queries: each scores half of a chunk's positions, they tell each other the probabilities, and each weighs half of
 * the values' blocks, whose sums stay in its registers. While a chunk is met the next is on its way into shared memory.
 *
 * What bounds it is not the matrix unit but the other operations of a lane; they are counted in docs/cuda.md. */
#include "inference/cuda/attend.cuh"

#define PAIRS   (ATTEND_MANY_ROWS / TILE_ROWS)
#define THREADS (PAIRS * 2 * WARP)

/* -- chunks in shared memory -- */

/* All threads of the block copy a chunk to `memory`, 16 bytes at a time, which change places as tile.cuh has it. A
 * block of keys, and one of values, is a piece for each thread, so a thread's pieces are all at the same place of
 * theirs. */
LANE void fetch(const uint8_t *from, uint32_t blocks, unsigned char *memory)
{
    const uint32_t step = THREADS * 16, values = blocks * step, scales = 2 * values;
    const uint32_t i = threadIdx.x, row = i / 16, too = i / 8;
    const uint8_t *mine = from + i * 16;
    unsigned char *k = memory + (row * 16 + (i % 16 ^ row % 4)) * 16;
    unsigned char *v = memory + values + (too * 8 + (i % 8 ^ too % 4 * 2)) * 16;
    LANE_UNROLL_BY(4)
    for (uint32_t b = 0; b < blocks; b++) {
        lane_copy16(k + b * step, mine + b * step);
        lane_copy16(v + b * step, mine + values + b * step);
    }
    for (uint32_t b = 0; b < blocks; b += 4) /* scales of four, or of the rest */
        if (b + 4 <= blocks || i < blocks % 4 * (2 * ARITH_CHUNK / 4))
            lane_copy16(memory + scales + i * 16 + b / 4 * step, mine + scales + b / 4 * step);
    lane_copy_end();
}
static_assert(THREADS * 16 == ARITH_CHUNK * ARITH_BLOCK, "a piece of a block for each thread");

/* Where a chunk is in the cache: asked for a chunk ahead, since it takes two loads. */
LANE const uint8_t *place_of(const struct attend_call *a, uint32_t table, uint32_t index, uint32_t head_kv)
{
    return (const uint8_t *)chunk_at(&a->cache, table, index, head_kv).k;
}

/* -- a pair's queries -- */

/* What the warps of a pair tell each other. */
struct board {
    float4 p[TILE_ROWS][ARITH_CHUNK / 4]; /* probabilities; of odd rows 16 bytes change places with those 4 further */
    float2 peak[TILE_ROWS];               /* of each half; infinity where a score is not finite */
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

/* e^s, of which none is +0 where they may not vanish. */
template <bool may_vanish> LANE void put_probabilities(struct board *board, uint32_t side, const float s[2][2][4])
{
    uint32_t g = threadIdx.x % WARP / 4;
    LANE_UNROLL
    for (int r = 0; r < 2; r++) {
        LANE_UNROLL
        for (uint32_t i = 0; i < 2; i++) {
            float p[4];
            LANE_UNROLL
            for (int j = 0; j < 4; j++)
                p[j] = tile_exp_of<may_vanish>(s[r][i][j]);
            board->p[g + 8 * r][place_of(g, 2 * side + i)] = make_float4(p[0], p[1], p[2], p[3]);
        }
    }
}

/* All probabilities of a chunk, for both warps of a pair, and its peaks. */
template <bool sees_all, int EXACT>
LANE void share(const struct attend_call *a, const struct tile_queries *q, const struct chunk *c,
                const struct tile_view view[2], struct board *board, float peak[2])
{
    uint32_t g = threadIdx.x % WARP / 4, t = threadIdx.x % 4, side = side_of();
    float s[2][2][4];
    tile_scores<2, true, EXACT>(q, c, a->blocks.keys, side, s);
    LANE_UNROLL
    for (int r = 0; r < 2; r++) {
        float mine = tile_peak<sees_all, EXACT == 0>(&a->a, view[r], side, s[r]);
        if (t == 0)
            ((float *)&board->peak[g + 8 * r])[side] = mine;
    }
    meet_pair();
    LANE_UNROLL
    for (int r = 0; r < 2; r++) {
        float2 of = board->peak[g + 8 * r];
        float top = peak[r] = fmaxf(of.x, of.y);
        if (!sees_all && top == -INFINITY)
            top = 0.0f;
        LANE_UNROLL
        for (int i = 0; i < 8; i++)
            s[r][i / 4][i % 4] = s[r][i / 4][i % 4] - top;
    }
    if (!sees_all || __any_sync(ALL, tile_vanish(s)))
        put_probabilities<true>(board, side, s);
    else
        put_probabilities<false>(board, side, s);
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

template <int BLOCKS> LANE void scale_sums(const float old[2], struct sums<BLOCKS> *all)
{
    LANE_UNROLL
    for (uint32_t i = 0; i < BLOCKS / 2; i++)
        LANE_UNROLL
    for (int e = 0; e < 16; e++)
        all->o[i][e / 8][e % 8] = all->o[i][e / 8][e % 8] * old[e / 8];
}

/* The chunk joins what was before. Nobody sees a chunk for the first time with anything but +0 in the sums, so that
 * e^(-infinity) = +0 for what was before changes nothing. Of the factors one is e^0 = 1. */
template <int BLOCKS, bool exact, bool sees_all>
LANE void meet(const struct attend_call *a, const struct tile_queries *q, const struct chunk *c,
               const struct tile_view view[2], struct board *board, struct sums<BLOCKS> *all)
{
    uint32_t side = side_of(), blocks = exact ? BLOCKS : a->blocks.keys;
    struct tile_weighed<2> w;
    float p[4][4], peak[2], old[2], new_[2];
    bool seen[2];
    share<sees_all, exact ? BLOCKS : 0>(a, q, c, view, board, peak);
    LANE_UNROLL
    for (int r = 0; r < 2; r++) {
        seen[r] = sees_all || view[r].to != 0;
        float before = all->peak[r], top = fmaxf(before, peak[r]);
        float factor = tile_exp(fminf(before, peak[r]) - top);
        bool grows = peak[r] > before;
        old[r] = grows ? factor : 1.0f; /* and where it is not seen */
        new_[r] = grows ? 1.0f : factor;
        all->peak[r] = top;
    }
    get_row(board, side, p);
    float sum = tile_fold(p);
    if (side ? seen[1] : seen[0])
        all->sum = all->sum * (side ? old[1] : old[0]) + sum * (side ? new_[1] : new_[0]);
    if ((side ? peak[1] : peak[0]) == INFINITY)
        all->sum = NAN;
    if (!__all_sync(ALL, old[0] == 1.0f && old[1] == 1.0f))
        scale_sums<BLOCKS>(old, all);
    LANE_UNROLL
    for (uint32_t i = 0; i < BLOCKS / 2; i++) {
        uint32_t b = side * (BLOCKS / 2) + i;
        float o[2][8];
        if (b >= blocks)
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
                *to = *to + x;
        }
    }
}

/* Before the first chunk. Rows behind the last count as if they were heads. */
template <int BLOCKS>
LANE void begin_sums(const struct attend_call *a, struct attend_heads h, uint32_t from, struct sums<BLOCKS> *all)
{
    LANE_UNROLL
    for (uint32_t r = 0; r < 2; r++) {
        const struct tile_sum begin = attend_begin(a, h.head + (from + threadIdx.x % WARP / 4 + 8 * r) % h.count);
        all->peak[r] = begin.peak;
        if (r == side_of())
            all->sum = begin.sum;
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

/* Chunks [begin, end) are seen by a column of the stretch, of these [whole, whole_end) entirely by all of a warp's. */
struct span {
    uint32_t begin, end, whole, whole_end;
};

/* Of a tile's row, behind the last as the last. */
LANE struct attend_sight sight_of(const struct attend_call *a, struct cuda_stretch s, struct attend_heads h,
                                  uint32_t row)
{
    return attend_sight_of(a, s.first + min(row / h.count, s.cols - 1));
}

LANE struct span span_of(const struct attend_call *a, struct cuda_stretch s, struct attend_heads h, uint32_t from)
{
    struct span span;
    span.begin = sight_of(a, s, h, 0).first_chunk;
    span.end = sight_of(a, s, h, ATTEND_MANY_ROWS - 1).end_chunk;
    span.whole = attend_over(sight_of(a, s, h, from + TILE_ROWS - 1).first, ARITH_CHUNK);
    span.whole_end = sight_of(a, s, h, from).end / ARITH_CHUNK;
    return span;
}

/* What a lane's rows see of a chunk; known where a warp's do not see all of it, so it is asked for then. */
LANE void views_of(const struct attend_call *a, uint32_t chunk, struct tile_view view[2])
{
    struct cuda_stretch s = attend_stretch(a, blockIdx.y);
    struct attend_heads h = attend_heads_of(a, blockIdx.x);
    for (uint32_t r = 0; r < 2; r++) {
        struct attend_sight sight = sight_of(a, s, h, pair_of() * TILE_ROWS + threadIdx.x % WARP / 4 + 8 * r);
        view[r] = attend_view(&sight, chunk);
    }
}

template <int BLOCKS, bool exact>
LANE void meet_if_seen(const struct attend_call *a, const struct tile_queries *q, const struct chunk *c,
                       const struct span *span, uint32_t chunk, struct board *board, struct sums<BLOCKS> *all)
{
    struct tile_view view[2] = {{0, ARITH_CHUNK}, {0, ARITH_CHUNK}};
    if (chunk >= span->whole && chunk < span->whole_end) {
        meet<BLOCKS, exact, true>(a, q, c, view, board, all);
        return;
    }
    views_of(a, chunk, view);
    if (__any_sync(ALL, view[0].to || view[1].to))
        meet<BLOCKS, exact, false>(a, q, c, view, board, all);
}

/* Blocks that a processor's registers have room for, so that none are kept in memory. */
constexpr int blocks_of(int buffers, bool exact)
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 900
    return buffers == 2 && !exact ? 3 : 2;
#elif defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1000
    return buffers == 2 && exact ? 3 : 2;
#else
    return buffers == 2 || exact ? 3 : 2;
#endif
}

/* Block (part of the heads on a head of keys, stretch). BUFFERS 2: the next chunk comes while one is met. exact: BLOCKS
 * are all that there are, so that places in shared memory are known, and scores have no cap. */
template <int BLOCKS, int BUFFERS, bool exact>
__global__ static void __launch_bounds__(THREADS, blocks_of(BUFFERS, exact)) walk(const struct attend_call a)
{
    lane_begin();
    LANE_SHARED(unsigned char, memory);
    const uint32_t blocks = exact ? BLOCKS : a.blocks.keys, bytes = chunk_bytes({blocks, blocks}),
                   from = pair_of() * TILE_ROWS;
    struct cuda_stretch s = attend_stretch(&a, blockIdx.y);
    struct attend_heads h = attend_heads_of(&a, blockIdx.x);
    struct board *board = (struct board *)(memory + BUFFERS * bytes) + pair_of();
    unsigned char *queries = memory + BUFFERS * bytes + PAIRS * sizeof(struct board);
    struct tile_queries q = tile_queries_at(queries + pair_of() * tile_queries_bytes(blocks), blocks);
    struct sums<BLOCKS> all = {
    };
    const struct span span = span_of(&a, s, h, from);
    const uint32_t begin = span.begin, end = span.end;
    const uint32_t table = a.cache.table[sight_of(&a, s, h, 0).row], head_kv = h.head_kv;
    fetch(place_of(&a, table, begin, head_kv), blocks, memory + begin % BUFFERS * bytes);
    const uint8_t *next = place_of(&a, table, min(begin + 1, end - 1), head_kv);
    attend_put_queries<4>(&a, &q, s, h, from, TILE_ROWS, side_of(), 2);
    meet_pair();
    begin_sums<BLOCKS>(&a, h, from, &all);
    if (!q.fine[threadIdx.x % WARP / 4 + 8 * side_of()])
        all.sum = NAN;
    for (uint32_t chunk = begin; chunk < end; chunk++) {
        struct chunk c = chunk_of(memory + chunk % BUFFERS * bytes, {blocks, blocks});
        lane_copy_wait<0>();
        __syncthreads(); /* and nobody needs the chunk before any more */
        if (BUFFERS == 2 && chunk + 1 < end) {
            fetch(next, blocks, memory + (chunk + 1) % BUFFERS * bytes);
            next = place_of(&a, table, min(chunk + 2, end - 1), head_kv);
        }
        meet_if_seen<BLOCKS, exact>(&a, &q, &c, &span, chunk, board, &all);
        if (BUFFERS == 1)
            __syncthreads();
        if (BUFFERS == 1 && chunk + 1 < end) {
            fetch(next, blocks, memory);
            next = place_of(&a, table, min(chunk + 2, end - 1), head_kv);
        }
    }
    /* Asked for once more: between, registers are for the sums. */
    put_out(&a, attend_stretch(&a, blockIdx.y), attend_heads_of(&a, blockIdx.x), board, &all);
}

static size_t shared_of(uint32_t blocks, uint32_t buffers)
{
    return buffers * chunk_head_bytes(blocks) + PAIRS * (sizeof(struct board) + tile_queries_bytes(blocks));
}

bool attend_many_fits(const struct cuda_attention *a)
{
    return a->head <= ATTEND_HEAD_MOST && attend_value(a) == a->head &&
           shared_of(attend_over(a->head, ARITH_BLOCK), 1) <= lane_shared_most();
}

void attend_many(void *stream, const struct attend_call *call)
{
    uint32_t blocks = call->blocks.keys, buffers = blocks <= 4 && shared_of(blocks, 2) <= lane_shared_most() ? 2 : 1;
    const bool is_plain = blocks == 4 && call->a.cap == 0.0f;
    dim3 grid(call->cache.heads_kv * call->parts, call->a.plan.long_n);
    launch(blocks > 4     ? walk<8, 1, false>
           : buffers == 1 ? walk<4, 1, false>
           : blocks <= 2  ? walk<2, 2, false>
           : is_plain     ? walk<4, 2, true>
                          : walk<4, 2, false>,
           grid, THREADS, shared_of(blocks, buffers), stream, *call);
}
