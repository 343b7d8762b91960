/* Attention of few queries: what its ways share (attend_few.cu says which there are). Parts of chunks in scratch, and how
 * a block that is the last of a tile to be done combines them, in increasing order (inference/engine/attention.c has the
 * recurrence). So which block combines depends on time, and nothing of what it computes does. */
#ifndef KITH_INFERENCE_CUDA_PARTS_CUH
#define KITH_INFERENCE_CUDA_PARTS_CUH

#include "inference/cuda/attend.cuh"
#include "inference/cuda/blocks.cuh"
#include "inference/cuda/quarter.cuh"
#include "inference/cuda/turn.cuh"

#define AHEAD 8u /* parts of a query under way to a lane that combines */

struct few_call {
    struct attend_call all;
    uint32_t start, wave; /* chunks [start, start + wave) from the first that a stretch sees */
    uint32_t take;        /* of them that a block has, one behind the other */
    float *part;
    struct tile_sum *sum, *before;
    uint32_t *arrived;       /* chunks of a tile that are done */
    struct cuda_input in;    /* what rows become as int8 blocks; without memory: not here */
    struct heads_call fresh; /* a column whose heads are yet to be turned, or nothing */
};

/* Where a block takes several chunks (attend_chunks.cu): how many such blocks the GPU has room for at once, 0: none; and
 * their launch, for tiles of so many rows. */
uint32_t attend_chunks_places(struct chunk_blocks n, uint32_t rows);
void attend_chunks(void *stream, const struct few_call *a, dim3 grid, uint32_t rows);

struct few_tile {
    struct cuda_stretch stretch;
    struct attend_heads heads;
    uint32_t first, end; /* chunks of the wave that a column sees; absolute */
    uint32_t chunk, k;   /* the block's, or its first: absolute, in the wave */
};

/* Block (chunks, part of the heads on a head of keys, stretch). */
LANE struct few_tile tile_of(const struct few_call *a)
{
    struct few_tile tile;
    tile.stretch = attend_stretch(&a->all, blockIdx.z);
    tile.heads = attend_heads_of(&a->all, blockIdx.y);
    tile.first = attend_sight_of(&a->all, tile.stretch.first).first_chunk + a->start;
    tile.end = attend_sight_of(&a->all, tile.stretch.first + tile.stretch.cols - 1).end_chunk;
    tile.end = min(tile.end, tile.first + a->wave);
    tile.k = blockIdx.x * a->take;
    tile.chunk = tile.first + tile.k;
    return tile;
}

/* Where its sequence's pages begin. */
LANE uint32_t table_of(const struct few_call *a, const struct few_tile *tile)
{
    return a->all.cache.table[a->all.marks.slot[tile->stretch.first]];
}

/* What the rows of a lane see; behind the last column as the last. */
template <int ROWS>
LANE void sights_of(const struct attend_call *a, const struct few_tile *tile, struct attend_sight sight[ROWS])
{
    LANE_UNROLL
    for (uint32_t r = 0; r < ROWS; r++) {
        uint32_t c = min((threadIdx.x % WARP / 4 + 8 * r) / tile->heads.count, tile->stretch.cols - 1);
        sight[r] = attend_sight_of(a, tile->stretch.first + c);
    }
}

/* A row's place among the queries of scratch. */
LANE uint32_t query_of(const struct few_call *a, struct cuda_stretch s, struct attend_heads h, uint32_t row)
{
    return (s.before + row / h.count) * a->all.a.heads + h.head + row % h.count;
}

/* -- parts in scratch -- */

/* Chunk k of the wave for the rows of a lane: peak and sum, by the first warp; where their parts are. */
template <int ROWS>
LANE void put_sums(const struct few_call *a, const struct tile_queries *q, const struct few_tile *tile,
                   uint32_t k, const struct tile_sum sum[ROWS], uint32_t at[ROWS])
{
    uint32_t g = threadIdx.x % WARP / 4, rows = tile->stretch.cols * tile->heads.count;
    LANE_UNROLL
    for (int r = 0; r < ROWS; r++) {
        at[r] = query_of(a, tile->stretch, tile->heads, g + 8 * r) * a->wave + k;
        if (threadIdx.x < WARP && threadIdx.x % 4 == 0 && g + 8 * r < rows)
            a->sum[at[r]] = {q->fine[g + 8 * r] ? sum[r].peak : NAN, sum[r].sum};
    }
}

/* Block b of them. */
template <int ROWS>
LANE void put_part(const struct few_call *a, uint32_t rows, uint32_t b, const uint32_t at[ROWS],
                   const float o[ROWS][8])
{
    uint32_t g = threadIdx.x % WARP / 4, t = threadIdx.x % 4;
    LANE_UNROLL
    for (int r = 0; r < ROWS; r++) {
        if (g + 8 * r >= rows)
            continue;
        float4 *to = (float4 *)(a->part + ((size_t)at[r] * a->all.blocks.values + b) * ARITH_BLOCK + 8 * t);
        to[0] = make_float4(o[r][0], o[r][1], o[r][2], o[r][3]);
        to[1] = make_float4(o[r][4], o[r][5], o[r][6], o[r][7]);
    }
}

/* -- combining -- */

/* A row of a tile: chunks [from, to) of the wave that it sees. */
struct few_row {
    uint32_t row, column, head; /* of the batch, of those that attend, of the queries' */
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
    r.head = head;
    r.from = max(s.first_chunk, tile->first);
    r.to = min(s.end_chunk, tile->first + a->wave);
    r.begins = r.from == s.first_chunk;
    r.ends = r.to == s.end_chunk;
    r.query = query_of(a, tile->stretch, tile->heads, row);
    r.at = r.query * a->wave + r.from - tile->first;
    r.out = a->all.out + ((uint64_t)column * a->all.a.heads + head) * a->all.value;
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
    uint32_t lane = threadIdx.x % WARP, padded = a->all.blocks.values * ARITH_BLOCK;
    for (uint32_t k = row->from; k < row->to; k += WARP) {
        uint32_t n = min(WARP, row->to - k);
        const struct tile_sum *sum = a->sum + row->at + k - row->from;
        float4 p[AHEAD];
        float2 mine = lane_load_new((const float2 *)(sum + min(lane, n - 1)));
        ask_parts(part, padded, n, p);
        __syncwarp();
        step[lane] = make_step({mine.x, mine.y}, n, k > row->from || !row->begins || a->all.a.sinks, &all->peak);
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

/* A warp combines a row of the tile: into `out`, and when the last chunk was there into done[value], too. Between waves
 * what has been summed is in `out`. */
LANE void combine_row(const struct few_call *a, const struct few_row *row, float4 *step, float *done)
{
    uint32_t value = a->all.value, padded = a->all.blocks.values * ARITH_BLOCK, lane = threadIdx.x % WARP;
    const struct tile_sum before = row->begins ? attend_begin(&a->all, row->head) : a->before[row->query];
    struct tile_sum all = before;
    for (uint32_t first = 0; first < value; first += 4 * WARP) {
        uint32_t e = first + 4 * lane;
        float o[4] = {};
        all = before;
        for (uint32_t i = 0; i < 4 && !row->begins; i++)
            o[i] = e + i < value ? row->out[e + i] : 0.0f;
        take_chunks(a, row, a->part + (size_t)row->at * padded + min(e, padded - 4), step, &all, o);
        for (uint32_t i = 0; i < 4 && e + i < value; i++) {
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
    uint32_t lane = threadIdx.x % WARP, wide = tile->heads.count * a->all.value, runs = wide / ARITH_RUN;
    LANE_UNROLL_BY(1)
    for (uint32_t i = threadIdx.x / WARP; i < tile->stretch.cols * runs; i += QUARTERS) {
        uint32_t c = i / runs, first = tile->heads.head * a->all.value / ARITH_RUN;
        struct few_row row = row_of(a, tile, c * tile->heads.count);
        const float4 *from = (const float4 *)(done + c * wide + i % runs * ARITH_RUN) + 2 * lane;
        float4 x = from[0], y = from[1];
        const float v[LANE_ELEMENTS] = {x.x, x.y, x.z, x.w, y.x, y.y, y.z, y.w};
        if (row.from < row.to && row.ends)
            put_run(v, &a->in, row.column, first + i % runs, a->in.n / ARITH_RUN, lane, &a->all.marks);
    }
}

/* All rows of a tile; done: [rows, value]. */
LANE void combine(const struct few_call *a, const struct few_tile *tile, float *done)
{
    __shared__ float4 step[QUARTERS][WARP];
    uint32_t warp = threadIdx.x / WARP, rows = tile->stretch.cols * tile->heads.count;
    LANE_UNROLL_BY(1)
    for (uint32_t i = warp; i < rows; i += QUARTERS) {
        struct few_row row = row_of(a, tile, i);
        if (row.from < row.to)
            combine_row(a, &row, step[warp], done + i * a->all.value);
    }
    if (!a->in.narrow.q && !a->in.wide.q)
        return;
    __syncthreads();
    put_blocks(a, tile, done);
}

/* Whether the block, which has done `count` chunks, is the last of its tile and wave to be done; what the others wrote is
 * there then. */
LANE bool arrive(const struct few_call *a, const struct few_tile *tile, uint32_t count)
{
    __shared__ bool last;
    uint32_t *arrived = a->arrived + blockIdx.z * gridDim.y + blockIdx.y;
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) {
        last = atomicAdd(arrived, count) + count == tile->end - tile->first;
        if (last)
            *arrived = 0;
        __threadfence();
    }
    __syncthreads();
    return last;
}

#endif
