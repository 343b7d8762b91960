/* Attention of few queries over long contexts: chunks are computed apart from each other, wherever there is room, and
 * the block that is the last of a tile to be done combines them in increasing order (inference/attention.c has the
 * recurrence). So which block combines depends on time, and nothing of what it computes does.
 *
 * A wave of blocks covers so many chunks of every column that its parts fit in a bounded scratch; the next goes on
 * where it ended. How many there are depends on the plan and the pages, not on what is in them. */
#include "inference/cuda/attend.cuh"
#include "inference/cuda/blocks.cuh"
#include "inference/cuda/quarter.cuh"
#include "inference/cuda/turn.cuh"

#define AHEAD      8u     /* parts of a query under way to a lane that combines */
#define PARTS_MOST 32768u /* (query, chunk) of a wave, if there are not more queries */

/* -- shapes -- */

/* Chunks that the columns of a short stretch see at most, from the first that one of them sees. */
static uint32_t chunks_seen(const struct cuda_attention *a)
{
    uint64_t in_window = (uint64_t)(a->window + TILE_ROWS + ARITH_CHUNK - 3) / ARITH_CHUNK + 1;
    return a->window && in_window < a->pages_most ? (uint32_t)in_window : a->pages_most;
}

static uint64_t parts_most(const struct cuda_attention *a)
{
    return a->parts_most ? a->parts_most : PARTS_MOST;
}

/* Of them in a wave. */
static uint32_t wave_of(const struct cuda_attention *a, uint64_t queries)
{
    uint64_t wave = queries < parts_most(a) ? parts_most(a) / queries : 1;
    return wave < chunks_seen(a) ? (uint32_t)wave : chunks_seen(a);
}

/* Scratch: parts [queries, wave, 32 blocks], their sums [queries, wave], what is behind a query [queries]. There may be
 * fewer queries than there are columns and heads, and a longer wave. */
uint64_t attend_few_scratch(const struct cuda_attention *a, uint32_t cols)
{
    uint64_t queries = (uint64_t)cols * a->heads, parts = queries > parts_most(a) ? queries : parts_most(a);
    uint64_t part_bytes = (uint64_t)attend_over(a->head, ARITH_BLOCK) * ARITH_BLOCK * sizeof(float);
    parts = parts < queries * chunks_seen(a) ? parts : queries * chunks_seen(a);
    return parts * (part_bytes + sizeof(struct tile_sum)) + queries * sizeof(struct tile_sum);
}

struct few_call {
    struct attend_call all;
    uint32_t start, wave; /* chunks [start, start + wave) from the first that a stretch sees */
    float *part;
    struct tile_sum *sum, *before;
    uint32_t *arrived;       /* blocks of a tile that are done */
    struct cuda_input in;    /* what rows become as int8 blocks; without memory: not here */
    struct heads_call fresh; /* a column whose heads are yet to be turned, or nothing */
};

/* -- parts -- */

struct few_tile {
    struct cuda_stretch stretch;
    struct attend_heads heads;
    uint32_t first, end; /* chunks of the wave that a column sees; absolute */
    uint32_t chunk, k;   /* the block's: absolute, in the wave */
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
LANE uint32_t query_of(const struct few_call *a, struct cuda_stretch s, struct attend_heads h, uint32_t row)
{
    return (s.before + row / h.count) * a->all.a.heads + h.head + row % h.count;
}

/* What is known of a fresh column before its heads are there. */
struct fresh {
    uint32_t row, position;
    struct angles angles;
};

LANE struct fresh fresh_of(const struct few_call *a)
{
    struct fresh f;
    f.row = a->all.marks.slot[0];
    f.position = a->fresh.cache.position[f.row];
    f.angles = early_angles(&a->fresh, f.row, a->fresh.turn.pairs != 0);
    return f;
}

/* A warp's room to turn a head. */
LANE float *turning(const struct few_call *a)
{
    LANE_SHARED(unsigned char, memory);
    return (float *)(memory + quarter_bytes(a->all.blocks)) + threadIdx.x / WARP * a->all.blocks * ARITH_BLOCK;
}

/* Key and value into the chunk that ends with them, by a warp each; the block has not asked for it yet. Of several
 * parts of the heads that share them each does it, since each reads them. */
LANE void keep_fresh(const struct few_call *a, const struct few_tile *tile, const struct fresh *f,
                     const struct chunk *chunk)
{
    const uint32_t warp = threadIdx.x / WARP;
    if (f->position / ARITH_CHUNK != tile->chunk)
        return;
    if (warp < 2) {
        const struct unit u =
            unit_of(&a->fresh, f->row, a->fresh.heads + warp * a->fresh.cache.heads_kv + tile->heads.head_kv);
        turn_unit(&a->fresh, &u, &f->angles, turning(a));
        put_head(&a->fresh, &u, chunk, f->position % ARITH_CHUNK, turning(a));
    }
    __syncthreads();
}

LANE void put_fresh_queries(const struct few_call *a, const struct tile_queries *q, const struct few_tile *tile,
                            const struct fresh *f)
{
    for (uint32_t r = threadIdx.x / WARP; r < tile->heads.count; r += QUARTERS) {
        const struct unit u = unit_of(&a->fresh, f->row, tile->heads.head + r);
        __syncwarp();
        turn_unit(&a->fresh, &u, &f->angles, turning(a));
        tile_put_query(q, r, turning(a), a->all.a.head, a->all.blocks);
    }
}

template <int ROWS, bool is_fresh>
LANE void put_parts(const struct few_call *a, const struct tile_queries *q, const struct few_tile *tile,
                    const struct fresh *fresh, const struct chunk *chunk)
{
    __shared__ struct quarter_board<ROWS> board;
    uint32_t warp = threadIdx.x / WARP, g = threadIdx.x % WARP / 4, t = threadIdx.x % 4;
    uint32_t rows = tile->stretch.cols * tile->heads.count, blocks = a->all.blocks;
    float s[ROWS][4] = {}, p[ROWS][4][4], o[ROWS][8];
    struct chunk here = quarter_chunk_at(q, blocks);
    if (is_fresh)
        keep_fresh(a, tile, fresh, chunk);
    quarter_ask(chunk, blocks, &here);
    struct quarter_keys keys = quarter_fetch(chunk, 0, blocks);
    struct tile_view view[ROWS];
    struct tile_sum sum[ROWS];
    uint32_t at[ROWS];
    views_of<ROWS>(&a->all, tile, view);
    if (is_fresh)
        put_fresh_queries(a, q, tile, fresh);
    else
        attend_put_queries<1>(&a->all, q, tile->stretch, tile->heads, 0, rows, warp, QUARTERS);
    lane_copy_wait<1>();
    __syncthreads();
    for (uint32_t b = 0; b < blocks; b += QUARTER_BLOCKS) {
        if (b)
            keys = quarter_fetch(chunk, b, blocks);
        quarter_scores<ROWS>(q, &keys, here.ks, b, blocks, s);
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
        struct tile_piece piece = tile_fetch<true>(&here, b);
        tile_weigh<ROWS, false>(p, &piece, o);
        LANE_UNROLL
        for (int r = 0; r < ROWS; r++) {
            if (g + 8 * r >= rows)
                continue;
            float4 *to = (float4 *)(a->part + ((size_t)at[r] * blocks + b) * ARITH_BLOCK + 8 * t);
            to[0] = make_float4(o[r][0], o[r][1], o[r][2], o[r][3]);
            to[1] = make_float4(o[r][4], o[r][5], o[r][6], o[r][7]);
        }
    }
}

/* -- combining -- */

/* A row of a tile: chunks [from, to) of the wave that it sees. */
struct few_row {
    uint32_t row, column; /* of the batch, of those that attend */
    uint32_t from, to;
    bool begins, ends;  /* with this wave */
    uint32_t query, at; /* its place among queries, of its first part among parts */
    float *out;
};

LANE struct few_row row_of(const struct few_call *a, const struct few_tile *tile, uint32_t row)
{
    uint32_t column = tile->stretch.first + row / tile->heads.count;
    uint32_t head = tile->heads.head + row % tile->heads.count;
    struct attend_sight s = attend_sight_of(&a->all, column);
    struct few_row r;
    r.row = s.row;
    r.column = column;
    r.from = max(s.first_chunk, tile->first);
    r.to = min(s.end_chunk, tile->first + a->wave);
    r.begins = r.from == s.first_chunk;
    r.ends = r.to == s.end_chunk;
    r.query = query_of(a, tile->stretch, tile->heads, row);
    r.at = r.query * a->wave + r.from - tile->first;
    r.out = a->all.out + ((uint64_t)column * a->all.a.heads + head) * a->all.a.head;
    return r;
}

/* Steps of n <= WARP chunks, a lane each, behind those whose largest peak is *top (begun: there are some); *top goes
 * on, NaN where a part is not finite. The largest of all chunks up to one is exact in any order. A step is what a chunk
 * does to the sums, O = O x + o y, L = L x + z. */
LANE float4 make_step(struct tile_sum part, uint32_t n, bool begun, float *top)
{
    uint32_t lane = threadIdx.x % WARP;
    float peak = lane < n ? part.peak : -INFINITY, upto = peak;
    bool bad = __any_sync(ALL, peak != peak || *top != *top);
    LANE_UNROLL
    for (uint32_t by = 1; by < WARP; by *= 2) {
        float lower = __shfl_up_sync(ALL, upto, by);
        upto = lane >= by ? fmaxf(upto, lower) : upto;
    }
    float before = __shfl_up_sync(ALL, upto, 1);
    before = lane ? before : begun ? *top : upto;
    if (begun) {
        before = fmaxf(before, *top);
        upto = fmaxf(upto, *top);
    }
    float now = tile_exp(peak - upto);
    *top = bad ? NAN : __shfl_sync(ALL, upto, WARP - 1);
    return make_float4(tile_exp(before - upto), now, part.sum * now, 0.0f);
}

/* What a lane has of AHEAD parts, 4 elements of each. Other blocks have just written them. */
LANE void ask_parts(const float *part, uint32_t padded, uint32_t n, float4 p[AHEAD])
{
    LANE_UNROLL
    for (uint32_t i = 0; i < AHEAD; i++)
        if (i < n)
            p[i] = lane_load_new((const float4 *)(part + (size_t)i * padded));
}

/* O of a lane's 4 elements and L go through the chunks of a row. */
LANE void take_chunks(const struct few_call *a, const struct few_row *row, const float *part, float4 *step,
                      struct tile_sum *all, float o[4])
{
    uint32_t lane = threadIdx.x % WARP, padded = a->all.blocks * ARITH_BLOCK;
    for (uint32_t k = row->from; k < row->to; k += WARP) {
        uint32_t n = min(WARP, row->to - k);
        const struct tile_sum *sum = a->sum + row->at + k - row->from;
        float4 p[AHEAD];
        float2 mine = lane_load_new((const float2 *)(sum + min(lane, n - 1)));
        ask_parts(part, padded, n, p);
        __syncwarp();
        step[lane] = make_step({mine.x, mine.y}, n, k > row->from || !row->begins, &all->peak);
        __syncwarp();
        for (uint32_t i = 0; i < n; i += AHEAD) {
            LANE_UNROLL
            for (uint32_t j = 0; j < AHEAD; j++) {
                if (i + j >= n)
                    break;
                float4 s = step[i + j];
                all->sum = all->sum * s.x + s.z;
                LANE_UNROLL
                for (int e = 0; e < 4; e++)
                    o[e] = o[e] * s.x + tile_float(p[j], e) * s.y;
            }
            part += AHEAD * padded;
            ask_parts(part, padded, n - min(n, i + AHEAD), p);
        }
    }
}

/* A warp combines a row of the tile: into `out`, and when the last chunk was there into done[head], too. Between waves
 * what has been summed is in `out`. */
LANE void combine_row(const struct few_call *a, const struct few_row *row, float4 *step, float *done)
{
    uint32_t head = a->all.a.head, padded = a->all.blocks * ARITH_BLOCK, lane = threadIdx.x % WARP;
    const struct tile_sum before = row->begins ? tile_sum{0.0f, 0.0f} : a->before[row->query];
    struct tile_sum all = before;
    for (uint32_t first = 0; first < head; first += 4 * WARP) {
        uint32_t e = first + 4 * lane;
        float o[4] = {};
        all = before;
        for (uint32_t i = 0; i < 4 && !row->begins; i++)
            o[i] = e + i < head ? row->out[e + i] : 0.0f;
        take_chunks(a, row, a->part + (size_t)row->at * padded + min(e, padded - 4), step, &all, o);
        for (uint32_t i = 0; i < 4 && e + i < head; i++) {
            if (row->ends)
                done[e + i] = o[i] = all.peak != all.peak ? 0.0f : o[i] / all.sum;
            row->out[e + i] = o[i];
        }
    }
    if (lane == 0)
        a->before[row->query] = all;
    if (lane == 0 && all.peak != all.peak)
        a->all.marks.finite[row->row] = 0;
}

/* Columns that are done become int8 blocks, a warp for a run. */
LANE void put_blocks(const struct few_call *a, const struct few_tile *tile, const float *done)
{
    uint32_t lane = threadIdx.x % WARP, wide = tile->heads.count * a->all.a.head, runs = wide / ARITH_RUN;
    LANE_UNROLL_BY(1)
    for (uint32_t i = threadIdx.x / WARP; i < tile->stretch.cols * runs; i += QUARTERS) {
        uint32_t c = i / runs, first = tile->heads.head * a->all.a.head / ARITH_RUN;
        struct few_row row = row_of(a, tile, c * tile->heads.count);
        const float4 *from = (const float4 *)(done + c * wide + i % runs * ARITH_RUN) + 2 * lane;
        float4 x = from[0], y = from[1];
        const float v[LANE_ELEMENTS] = {x.x, x.y, x.z, x.w, y.x, y.y, y.z, y.w};
        if (row.from < row.to && row.ends)
            put_run(v, &a->in, row.column, first + i % runs, a->in.n / ARITH_RUN, lane, &a->all.marks);
    }
}

/* All rows of a tile; done: [rows, head]. */
LANE void combine(const struct few_call *a, const struct few_tile *tile, float *done)
{
    __shared__ float4 step[QUARTERS][WARP];
    uint32_t warp = threadIdx.x / WARP, rows = tile->stretch.cols * tile->heads.count;
    LANE_UNROLL_BY(1)
    for (uint32_t i = warp; i < rows; i += QUARTERS) {
        struct few_row row = row_of(a, tile, i);
        if (row.from < row.to)
            combine_row(a, &row, step[warp], done + i * a->all.a.head);
    }
    if (!a->in.narrow.q && !a->in.wide.q)
        return;
    __syncthreads();
    put_blocks(a, tile, done);
}

/* -- a block -- */

/* Whether the block is the last of its tile and wave to be done; what the others wrote is there then. */
LANE bool arrive(const struct few_call *a, const struct few_tile *tile)
{
    __shared__ bool last;
    uint32_t *arrived = a->arrived + blockIdx.z * gridDim.y + blockIdx.y;
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) {
        last = atomicAdd(arrived, 1u) + 1 == tile->end - tile->first;
        if (last)
            *arrived = 0;
        __threadfence();
    }
    __syncthreads();
    return last;
}

/* Block (chunk, part of the heads on a head of keys, stretch). Where the chunk is no kernel writes, so it is asked for
 * before the one that adds to its end is done. */
template <int ROWS, bool is_fresh>
__global__ static void __launch_bounds__(QUARTERS *WARP, 4) make_parts(const struct few_call a)
{
    lane_next();
    LANE_SHARED(unsigned char, memory);
    __shared__ struct few_tile kept; /* registers are for the chunk */
    struct tile_queries q = tile_queries_at(memory, a.all.blocks);
    struct few_tile tile;
    struct chunk chunk = {nullptr, nullptr, nullptr, nullptr};
    tile.stretch = attend_stretch(&a.all, blockIdx.z);
    tile.heads = attend_heads_of(&a.all, blockIdx.y);
    tile.first = attend_sight_of(&a.all, tile.stretch.first).first_chunk + a.start;
    tile.end = attend_sight_of(&a.all, tile.stretch.first + tile.stretch.cols - 1).end_chunk;
    tile.end = min(tile.end, tile.first + a.wave);
    tile.k = blockIdx.x;
    tile.chunk = tile.first + tile.k;
    struct fresh fresh = {};
    if (is_fresh)
        fresh = fresh_of(&a);
    bool sees = tile.chunk < tile.end;
    if (sees) {
        uint32_t table = a.all.cache.table[a.all.marks.slot[tile.stretch.first]];
        chunk = chunk_at(&a.all.cache, table, tile.chunk, tile.heads.head_kv);
        if (threadIdx.x == 0)
            lane_fetch(chunk.k, chunk_bytes(a.all.blocks));
    }
    lane_wait();
    if (!sees)
        return;
    if (threadIdx.x == 0)
        kept = tile;
    put_parts<ROWS, is_fresh>(&a, &q, &tile, &fresh, &chunk);
    if (arrive(&a, &kept))
        combine(&a, &kept, (float *)memory);
}

/* Shared memory of a block: with heads that are turned here, a row of them for each of its warps. */
static size_t shared_of(uint32_t blocks, bool is_fresh)
{
    return quarter_bytes(blocks) + (is_fresh ? QUARTERS * blocks * ARITH_BLOCK * sizeof(float) : 0);
}

size_t attend_few_shared(uint32_t head)
{
    return shared_of(attend_over(head, ARITH_BLOCK), true);
}

void attend_few(void *stream, const struct attend_call *call, struct cuda_room room, const struct cuda_input *in)
{
    const struct cuda_plan *plan = &call->a.plan;
    uint32_t groups = call->cache.heads_kv * call->parts, rows = plan->short_most * call->per_part;
    uint64_t queries = (uint64_t)plan->short_cols * call->a.heads;
    struct few_call a = {};
    a.all = *call;
    a.wave = wave_of(&call->a, queries);
    a.part = (float *)room.scratch;
    a.sum = (struct tile_sum *)(a.part + queries * a.wave * call->blocks * ARITH_BLOCK);
    a.before = a.sum + queries * a.wave;
    a.arrived = room.arrived;
    if (in)
        a.in = *in;
    if (call->a.fresh) {
        const struct cuda_fresh *f = call->a.fresh;
        a.fresh = {(float *)call->q,
                   (float *)f->k,
                   f->v,
                   call->a.heads,
                   call->a.head,
                   1,
                   {},
                   call->cache,
                   {nullptr, call->marks.finite}};
        if (f->turn)
            a.fresh.turn = *f->turn;
    }
    const auto kernel = call->a.fresh ? (rows > 8 ? make_parts<2, true> : make_parts<1, true>)
                                      : (rows > 8 ? make_parts<2, false> : make_parts<1, false>);
    uint32_t seen = chunks_seen(&call->a);
    for (; a.start < seen; a.start += a.wave)
        launch(kernel, dim3(a.wave, groups, plan->short_n), QUARTERS * WARP, shared_of(call->blocks, call->a.fresh),
               stream, a);
}
