/* Attention of few queries over long contexts: chunks are computed apart from each other, wherever there is room, and
 * combined in increasing order behind that (inference/attention.c has the recurrence).
 *
 * A wave of launches covers so many chunks of every column that its parts fit in a bounded scratch; the next goes on
 * where it ended. How many there are depends on the plan and the pages, not on what is in them. */
#include "inference/cuda/attend.cuh"
#include "inference/cuda/quarter.cuh"

#define COMBINED 128u /* threads of a block that combines, and chunks that it reads at a time */
/* (query, chunk) of a wave, if there are not more queries. */
#ifdef CUDA_EMULATED
#define PARTS_MOST 300u /* so that tests meet more than one wave */
#else
#define PARTS_MOST 32768u
#endif

/* -- shapes -- */

/* Chunks that the columns of a short stretch see at most, from the first that one of them sees. */
static uint32_t chunks_seen(const struct cuda_attention *a)
{
    uint64_t in_window = (uint64_t)(a->window + TILE_ROWS + ARITH_CHUNK - 3) / ARITH_CHUNK + 1;
    return a->window && in_window < a->pages_most ? (uint32_t)in_window : a->pages_most;
}

/* Of them in a wave. */
static uint32_t wave_of(const struct cuda_attention *a, uint64_t queries)
{
    uint64_t wave = queries < PARTS_MOST ? PARTS_MOST / queries : 1;
    return wave < chunks_seen(a) ? (uint32_t)wave : chunks_seen(a);
}

/* Scratch: parts [queries, wave, 32 blocks], their sums [queries, wave], what is behind a query [queries]. There may be
 * fewer queries than there are columns and heads, and a longer wave. */
uint64_t attend_few_scratch(const struct cuda_attention *a, uint32_t cols)
{
    uint64_t queries = (uint64_t)cols * a->heads, parts = queries > PARTS_MOST ? queries : PARTS_MOST;
    uint64_t part_bytes = (uint64_t)attend_over(a->head, ARITH_BLOCK) * ARITH_BLOCK * sizeof(float);
    parts = parts < queries * chunks_seen(a) ? parts : queries * chunks_seen(a);
    return parts * (part_bytes + sizeof(struct tile_sum)) + queries * sizeof(struct tile_sum);
}

struct few_call {
    struct attend_call all;
    uint32_t start, wave; /* chunks [start, start + wave) from the first that a stretch sees */
    float *part;
    struct tile_sum *sum, *before;
};

/* -- parts -- */

struct few_tile {
    struct cuda_stretch stretch;
    struct attend_heads heads;
    uint32_t chunk; /* absolute */
    uint32_t k;     /* in the wave */
};

/* What the rows of a lane see of a tile's chunk; behind the last column as the last. */
template <int ROWS>
LANE void views_of(const struct attend_call *a, const struct few_tile *tile, struct tile_view view[ROWS])
{
    LANE_UNROLL
    for (uint32_t r = 0; r < ROWS; r++) {
        uint32_t c = min((threadIdx.x % WARP / 4 + 8 * r) / tile->heads.count, tile->stretch.cols - 1);
        struct attend_sight s = attend_sight_of(a, tile->stretch.first + c);
        view[r] = attend_view(&s, tile->chunk);
    }
}

/* A row's place among the queries of scratch. */
LANE uint64_t query_of(const struct few_call *a, struct cuda_stretch s, struct attend_heads h, uint32_t row)
{
    return (uint64_t)(s.before + row / h.count) * a->all.a.heads + h.head + row % h.count;
}

template <int ROWS>
LANE void put_parts(const struct few_call *a, const struct tile_queries *q, const struct few_tile *tile,
                    const struct chunk *chunk)
{
    __shared__ struct quarter_board<ROWS> board;
    uint32_t warp = threadIdx.x / WARP, g = threadIdx.x % WARP / 4, t = threadIdx.x % 4;
    uint32_t rows = tile->stretch.cols * tile->heads.count, blocks = a->all.blocks;
    float s[ROWS][4] = {}, p[ROWS][4][4], o[ROWS][8];
    struct chunk values = quarter_values_at(q, blocks);
    quarter_ask(chunk, blocks, &values);
    struct quarter_keys keys = quarter_fetch(chunk, 0, blocks);
    struct tile_view view[ROWS];
    struct tile_sum sum[ROWS];
    uint64_t at[ROWS];
    views_of<ROWS>(&a->all, tile, view);
    attend_put_queries<1>(&a->all, q, tile->stretch, tile->heads, 0, rows, warp, QUARTERS);
    __syncthreads();
    for (uint32_t b = 0; b < blocks; b += QUARTER_BLOCKS) {
        if (b)
            keys = quarter_fetch(chunk, b, blocks);
        quarter_scores<ROWS>(q, &keys, b, blocks, s);
    }
    lane_copy_wait<0>();
    __syncwarp();
    quarter_probabilities<ROWS>(&a->all.a, view, &board, s, p, sum);
    LANE_UNROLL
    for (int r = 0; r < ROWS; r++) {
        at[r] = query_of(a, tile->stretch, tile->heads, g + 8 * r) * a->wave + tile->k;
        if (warp == 0 && t == 0 && g + 8 * r < rows)
            a->sum[at[r]] = {q->fine[g + 8 * r] ? sum[r].peak : NAN, sum[r].sum};
    }
    for (uint32_t b = warp; b < blocks; b += QUARTERS) {
        struct tile_piece piece = tile_fetch<true>(&values, b);
        tile_weigh<ROWS, false>(p, &piece, o);
        LANE_UNROLL
        for (int r = 0; r < ROWS; r++) {
            if (g + 8 * r >= rows)
                continue;
            float4 *to = (float4 *)(a->part + (at[r] * blocks + b) * ARITH_BLOCK + 8 * t);
            to[0] = make_float4(o[r][0], o[r][1], o[r][2], o[r][3]);
            to[1] = make_float4(o[r][4], o[r][5], o[r][6], o[r][7]);
        }
    }
}

/* Block (chunk, part of the heads on a head of keys, stretch). Where the chunk is no kernel writes, so it is asked for
 * before the one that adds to its end is done. */
template <int ROWS>
__global__ static void __launch_bounds__(QUARTERS *WARP, ROWS == 1 ? 5 : 4) make_parts(const struct few_call a)
{
    lane_next();
    LANE_SHARED(unsigned char, memory);
    struct tile_queries q = tile_queries_at(memory, a.all.blocks);
    struct few_tile tile;
    struct chunk chunk = {nullptr, nullptr, nullptr, nullptr};
    tile.stretch = attend_stretch(&a.all, blockIdx.z);
    tile.heads = attend_heads_of(&a.all, blockIdx.y);
    tile.k = blockIdx.x;
    tile.chunk = attend_sight_of(&a.all, tile.stretch.first).first_chunk + a.start + tile.k;
    if (tile.chunk < attend_sight_of(&a.all, tile.stretch.first + tile.stretch.cols - 1).end_chunk) {
        uint32_t table = a.all.cache.table[a.all.marks.slot[tile.stretch.first]];
        chunk = chunk_at(&a.all.cache, table, tile.chunk, tile.heads.head_kv);
        if (threadIdx.x == 0)
            lane_fetch(chunk.k, chunk_bytes(a.all.blocks));
    }
    lane_wait();
    if (chunk.k)
        put_parts<ROWS>(&a, &q, &tile, &chunk);
}

/* -- combining -- */

/* What a chunk does to the sums: O = O old + o now, L = L old + l now. */
struct step {
    float old, now, l_now;
};

/* Steps of n <= COMBINED chunks from `sum` on, behind those whose largest peak is `top` (begun: there are some);
 * returns the new top, NaN where a part is not finite. The largest of all chunks up to one is exact in any order. */
LANE float make_steps(const struct tile_sum *sum, uint32_t n, float top, bool begun, struct step *step)
{
    __shared__ float of_warp[COMBINED / WARP];
    __shared__ uint32_t bad;
    uint32_t i = threadIdx.x, lane = i % WARP;
    float peak = i < n ? sum[i].peak : -INFINITY, upto = peak;
    for (uint32_t by = 1; by < WARP; by *= 2) {
        float lower = __shfl_up_sync(ALL, upto, by);
        upto = lane >= by ? fmaxf(upto, lower) : upto;
    }
    float before = __shfl_up_sync(ALL, upto, 1);
    before = lane ? before : -INFINITY;
    if (i == 0)
        bad = 0;
    if (lane == WARP - 1)
        of_warp[i / WARP] = upto;
    __syncthreads();
    if (peak != peak || top != top)
        bad = 1;
    for (uint32_t w = 0; w < i / WARP; w++)
        before = fmaxf(before, of_warp[w]);
    before = begun ? fmaxf(before, top) : before;
    upto = fmaxf(before, upto);
    before = begun || i ? before : upto;
    if (i < n) {
        float now = arith_fn_exp(peak - upto);
        step[i] = {arith_fn_exp(before - upto), now, sum[i].sum * now};
    }
    float all = begun ? top : -INFINITY;
    for (uint32_t w = 0; w < COMBINED / WARP; w++)
        all = fmaxf(all, of_warp[w]);
    __syncthreads();
    return bad ? NAN : all;
}

/* An element of a query goes through n steps. */
LANE float take_steps(const struct step *step, uint32_t n, const float *part, uint32_t stride, float sum)
{
    LANE_UNROLL_BY(8)
    for (uint32_t k = 0; k < n; k++)
        sum = sum * step[k].old + part[(size_t)k * stride] * step[k].now;
    return sum;
}

/* Block (row of a tile, part of the heads, stretch): a query. Between waves what has been summed is in `out`. */
__global__ static void combine_parts(const struct few_call a)
{
    lane_begin();
    __shared__ struct step step[COMBINED];
    struct cuda_stretch stretch = attend_stretch(&a.all, blockIdx.z);
    struct attend_heads h = attend_heads_of(&a.all, blockIdx.y);
    uint64_t query = query_of(&a, stretch, h, blockIdx.x);
    uint32_t c = stretch.first + blockIdx.x / h.count, head = a.all.a.head, padded = a.all.blocks * ARITH_BLOCK;
    if (blockIdx.x >= stretch.cols * h.count)
        return;
    struct attend_sight s = attend_sight_of(&a.all, c);
    uint32_t start = attend_sight_of(&a.all, stretch.first).first_chunk + a.start;
    uint32_t from = max(s.first_chunk, start), to = min(s.end_chunk, start + a.wave);
    struct tile_sum now = {0.0f, 0.0f};
    float *out = a.all.out + ((uint64_t)c * a.all.a.heads + h.head + blockIdx.x % h.count) * head;
    if (from >= to)
        return;
    if (from > s.first_chunk)
        now = a.before[query];
    for (uint32_t k = from; k < to; k += COMBINED) {
        uint32_t here = min(COMBINED, to - k);
        uint64_t at = query * a.wave + k - start;
        bool begun = k > s.first_chunk;
        now.peak = make_steps(a.sum + at, here, now.peak, begun, step);
        for (uint32_t i = 0; i < here; i++)
            now.sum = now.sum * step[i].old + step[i].l_now;
        for (uint32_t e = threadIdx.x; e < head; e += COMBINED)
            out[e] = take_steps(step, here, a.part + at * padded + e, padded, begun ? out[e] : 0.0f);
        __syncthreads();
    }
    bool bad = now.peak != now.peak;
    if (threadIdx.x == 0) {
        a.before[query] = now;
        if (bad)
            a.all.marks.finite[s.row] = 0;
    }
    for (uint32_t e = threadIdx.x; to == s.end_chunk && e < head; e += COMBINED)
        out[e] = bad ? 0.0f : out[e] / now.sum;
}

void attend_few(void *stream, const struct attend_call *call, void *scratch)
{
    const struct cuda_plan *plan = &call->a.plan;
    uint32_t groups = call->cache.heads_kv * call->parts, rows = plan->short_most * call->per_part;
    uint64_t queries = (uint64_t)plan->short_cols * call->a.heads;
    struct few_call a = {};
    a.all = *call;
    a.wave = wave_of(&call->a, queries);
    a.part = (float *)scratch;
    a.sum = (struct tile_sum *)(a.part + queries * a.wave * call->blocks * ARITH_BLOCK);
    a.before = a.sum + queries * a.wave;
    uint32_t seen = chunks_seen(&call->a);
    dim3 parts(a.wave, groups, plan->short_n), combine(rows, groups, plan->short_n);
    for (; a.start < seen; a.start += a.wave) {
        launch(rows > 8 ? make_parts<2> : make_parts<1>, parts, QUARTERS * WARP, quarter_bytes(call->blocks), stream,
               a);
        launch(combine_parts, combine, COMBINED, 0, stream, a);
    }
}
