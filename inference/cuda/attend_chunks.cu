/* Attention of few queries in many sequences: a block takes several chunks of a tile, one behind the other, and while
 * it meets one the next is on its way to shared memory. Where it has all that the tile sees of the wave, what is summed
 * stays in the block, and nobody waits for another; else its parts go to scratch, as attend_few.cu's do. */
#include "inference/cuda/parts.cuh"

#define BUFFERS 2u
#define BLOCKS  4u /* that a processor's registers have room for... */
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1000
#define BLOCKS_OF_16 3u /* ...of 16 rows and any heads: none are to be kept in memory */
#else
#define BLOCKS_OF_16 BLOCKS
#endif

/* -- shared memory: queries, the chunk that is met and the next, what is summed of the tile's rows -- */

/* Floats from row to row: lanes of two rows meet no bank twice. */
static __host__ __device__ inline uint32_t sums_stride(uint32_t blocks)
{
    return blocks * ARITH_BLOCK + 4;
}

static size_t shared_of(struct chunk_blocks n, uint32_t rows)
{
    return tile_queries_bytes(n.keys) + BUFFERS * chunk_bytes(n) + rows * sums_stride(n.values) * sizeof(float);
}

LANE struct chunk buffer_at(struct chunk_blocks n, uint32_t chunk)
{
    LANE_SHARED(unsigned char, memory);
    return chunk_of(memory + tile_queries_bytes(n.keys) + chunk % BUFFERS * chunk_bytes(n), n);
}

/* Known to the compiler where they are EXACT. */
template <int EXACT> LANE struct chunk_blocks blocks_of(const struct few_call *a)
{
    return EXACT ? chunk_blocks{EXACT, EXACT} : a->all.blocks;
}

/* A lane's 8 elements of block b of a row. */
LANE float4 *sums_at(struct chunk_blocks n, uint32_t row, uint32_t b)
{
    LANE_SHARED(unsigned char, memory);
    float *o = (float *)(memory + tile_queries_bytes(n.keys) + BUFFERS * chunk_bytes(n));
    return (float4 *)(o + row * sums_stride(n.values) + b * ARITH_BLOCK + 8 * (threadIdx.x % 4));
}

/* -- what is summed -- */

/* Of a lane's rows. All warps know peaks and factors, the first one sums. sum NaN: a number was not finite. */
template <int ROWS> struct kept {
    float peak[ROWS], sum[ROWS];
    float old[ROWS], now[ROWS]; /* factors of what was before, and of the chunk that joins it */
};

/* As nothing, or as the wave before left it. */
template <int ROWS, int EXACT>
LANE void begin_sums(const struct few_call *a, const struct tile_queries *q, const struct few_tile *tile,
                     struct kept<ROWS> *all)
{
    const struct chunk_blocks n = blocks_of<EXACT>(a);
    uint32_t rows = tile->stretch.cols * tile->heads.count;
    LANE_UNROLL
    for (int r = 0; r < ROWS; r++) {
        uint32_t g = threadIdx.x % WARP / 4 + 8 * r;
        const struct tile_sum begin = attend_begin(&a->all, tile->heads.head + g % tile->heads.count);
        all->peak[r] = begin.peak;
        all->sum[r] = q->fine[g] ? begin.sum : NAN;
        if (g >= rows)
            continue;
        struct few_row row = row_of(a, tile, g);
        bool begins = row.begins || row.from >= row.to;
        if (!begins) {
            struct tile_sum before = a->before[row.query];
            all->peak[r] = before.peak;
            all->sum[r] = before.peak != before.peak ? NAN : before.sum;
        }
        for (uint32_t b = threadIdx.x / WARP; b < n.values; b += QUARTERS) {
            float *to = (float *)sums_at(n, g, b);
            uint32_t first = b * ARITH_BLOCK + 8 * (threadIdx.x % 4);
            LANE_UNROLL_BY(1)
            for (uint32_t e = 0; e < 8; e++)
                to[e] = !begins && first + e < a->all.value ? row.out[first + e] : 0.0f;
        }
    }
}

/* Peaks and sums of a chunk join what was before. Nobody sees a chunk for the first time with anything but +0 in the
 * sums, so that e^(-infinity) = +0 for what was before changes nothing. */
template <int ROWS>
LANE void join_sums(const struct tile_view view[ROWS], const struct tile_sum sum[ROWS], struct kept<ROWS> *all)
{
    LANE_UNROLL
    for (int r = 0; r < ROWS; r++) {
        float before = all->peak[r], top = fmaxf(before, sum[r].peak);
        all->old[r] = tile_exp(before - top);
        all->now[r] = tile_exp(sum[r].peak - top);
        if (view[r].to) {
            all->peak[r] = top;
            all->sum[r] = all->sum[r] * all->old[r] + sum[r].sum * all->now[r];
        }
        if (sum[r].peak != sum[r].peak)
            all->sum[r] = NAN;
    }
}

/* So does a block of the weighed values. */
template <int ROWS>
LANE void join_block(struct chunk_blocks n, uint32_t rows, uint32_t b, const struct tile_view view[ROWS],
                     const struct kept<ROWS> *all, const float o[ROWS][8])
{
    LANE_UNROLL
    for (int r = 0; r < ROWS; r++) {
        uint32_t g = threadIdx.x % WARP / 4 + 8 * r;
        float4 *to = sums_at(n, g, b);
        if (g >= rows || !view[r].to)
            continue;
        LANE_UNROLL
        for (int i = 0; i < 2; i++) {
            float4 x = to[i];
            to[i] = make_float4(
                x.x * all->old[r] + o[r][4 * i] * all->now[r], x.y * all->old[r] + o[r][4 * i + 1] * all->now[r],
                x.z * all->old[r] + o[r][4 * i + 2] * all->now[r], x.w * all->old[r] + o[r][4 * i + 3] * all->now[r]);
        }
    }
}

/* The first warp tells the others. */
template <int ROWS> LANE void put_totals(const struct kept<ROWS> *all, float *total)
{
    LANE_UNROLL
    for (int r = 0; r < ROWS; r++)
        if (threadIdx.x < WARP && threadIdx.x % 4 == 0)
            total[threadIdx.x / 4 + 8 * r] = all->sum[r];
}

/* Elements [e, e + 4) of a head, as far as it goes. */
LANE void put_four(float *head, uint32_t e, uint32_t n, float4 v)
{
    if (n % 4 == 0) {
        if (e < n)
            *(float4 *)(head + e) = v;
        return;
    }
    for (uint32_t i = 0; i < 4 && e + i < n; i++)
        head[e + i] = tile_float(v, (int)i);
}

/* What is summed goes to `out`, and when the last chunk was there, divided, to done[rows, value], too. */
template <int ROWS, int EXACT>
LANE void end_sums(const struct few_call *a, const struct few_tile *tile, const struct kept<ROWS> *all,
                   const float *total, float *done)
{
    const struct chunk_blocks blocks = blocks_of<EXACT>(a);
    uint32_t rows = tile->stretch.cols * tile->heads.count, n = a->all.value;
    LANE_UNROLL
    for (int r = 0; r < ROWS; r++) {
        uint32_t g = threadIdx.x % WARP / 4 + 8 * r;
        float sum = total[g];
        bool bad = sum != sum;
        if (g >= rows)
            continue;
        struct few_row row = row_of(a, tile, g);
        if (row.from >= row.to)
            continue;
        for (uint32_t i = threadIdx.x / WARP * 2; i < 2 * blocks.values; i += i % 2 ? 2 * QUARTERS - 1 : 1) {
            uint32_t e = i / 2 * ARITH_BLOCK + 8 * (threadIdx.x % 4) + i % 2 * 4;
            float4 v = sums_at(blocks, g, i / 2)[i % 2];
            if (row.ends) {
                v = bad ? make_float4(0.0f, 0.0f, 0.0f, 0.0f) : make_float4(v.x / sum, v.y / sum, v.z / sum, v.w / sum);
                put_four(done + g * n, e, n, v);
            }
            put_four(row.out, e, n, v);
        }
        if (threadIdx.x >= WARP || threadIdx.x % 4)
            continue;
        a->before[row.query] = {bad ? NAN : all->peak[r], sum};
        if (bad)
            a->all.marks.finite[row.row] = 0;
    }
}

/* -- a block -- */

/* A warp asks for what it reads of a chunk: nobody else reads that. */
LANE void ask(struct chunk_blocks n, uint8_t *at, uint32_t chunk)
{
    const struct chunk from = chunk_of(at, n), to = buffer_at(n, chunk);
    quarter_ask_keys(&from, n.keys, &to);
    quarter_ask_scales(&from, n.keys, &to);
    quarter_ask_values(&from, n.values, &to);
}

/* Where it is in the cache. */
LANE uint8_t *place_of(const struct few_call *a, uint32_t table, uint32_t head_kv, uint32_t chunk)
{
    return (uint8_t *)chunk_at(&a->all.cache, table, chunk, head_kv).k;
}

/* Its scores become probabilities on the board; their sums, by the first warp. */
template <int ROWS, int EXACT>
LANE void score(const struct few_call *a, const struct tile_queries *q, const struct chunk *here,
                const struct tile_view view[ROWS], struct quarter_board<ROWS> *board, struct tile_sum sum[ROWS])
{
    const uint32_t blocks = blocks_of<EXACT>(a).keys;
    float s[ROWS][4] = {}, p[4][4];
    LANE_UNROLL_BY(1)
    for (uint32_t b = 0; b < blocks; b += QUARTER_BLOCKS) {
        struct quarter_keys keys = quarter_fetch<true>(here, b, blocks);
        quarter_scores<ROWS>(q, &keys, here->ks, b, blocks, s);
    }
    quarter_share<ROWS, EXACT == 0>(&a->all.a, view, board, s, sum);
    if (threadIdx.x >= WARP)
        return;
    LANE_UNROLL
    for (int r = 0; r < ROWS; r++) {
        quarter_row(board->p, r, p);
        sum[r].sum = tile_fold(p);
    }
}

/* The rows of a lane weigh block b of its values. */
template <int ROWS>
LANE void weigh(const struct quarter_board<ROWS> *board, const struct chunk *here, uint32_t b, float o[ROWS][8])
{
    const struct tile_piece piece = tile_fetch<true>(here, b);
    struct tile_weighed<ROWS> w = {
    };
    float p[4][4];
    LANE_UNROLL
    for (int r = 0; r < ROWS; r++) { /* read for each block: registers are for the products */
        quarter_row(board->p, r, p);
        w.scale[r] = tile_weights<false>(p, piece.scale, w.low[r], w.high[r]);
    }
    tile_sum_values<ROWS>(&w, &piece, o);
}

/* Chunks [chunk, end), of which the first has been asked for and the second is at `next`. keeps: what is summed stays
 * here. */
template <int ROWS, int EXACT, bool keeps>
LANE void meet(const struct few_call *a, const struct tile_queries *q, struct few_tile *tile, uint32_t chunk,
               uint32_t end, const struct attend_sight sight[ROWS], uint8_t *next, struct quarter_board<ROWS> *board,
               struct kept<ROWS> *all)
{
    const struct chunk_blocks blocks = blocks_of<EXACT>(a);
    const uint32_t rows = tile->stretch.cols * tile->heads.count;
    const uint32_t table = table_of(a, tile);
    LANE_UNROLL_BY(1)
    for (; chunk < end; chunk++) {
        const struct chunk here = buffer_at(blocks, chunk);
        float o[ROWS][8];
        struct tile_view view[ROWS];
        struct tile_sum sum[ROWS] = {};
        uint32_t at[ROWS] = {};
        if (chunk + 1 < end)
            ask(blocks, next, chunk + 1);
        lane_copy_end();
        if (chunk + 2 < end)
            next = place_of(a, table, tile->heads.head_kv, chunk + 2);
        lane_copy_wait<1>();
        __syncwarp();
        LANE_UNROLL
        for (int r = 0; r < ROWS; r++)
            view[r] = attend_view(&sight[r], chunk);
        score<ROWS, EXACT>(a, q, &here, view, board, sum);
        if (chunk + 2 < end && threadIdx.x == 0)
            lane_fetch(next, chunk_bytes(blocks));
        if (keeps)
            join_sums<ROWS>(view, sum, all);
        else
            put_sums<ROWS>(a, q, tile, chunk - tile->first, sum, at);
        LANE_UNROLL_BY(1)
        for (uint32_t b = threadIdx.x / WARP; b < blocks.values; b += QUARTERS) {
            weigh<ROWS>(board, &here, b, o);
            if (keeps)
                join_block<ROWS>(blocks, rows, b, view, all, o);
            else
                put_part<ROWS>(a, rows, b, at, o);
        }
        __syncwarp(); /* and no lane needs the chunk any more */
    }
}

/* Where chunks are no kernel writes, so they are asked for before the one that adds to the last one's end is done.
 * EXACT: blocks of 32 along a head, and scores have no cap; 0: as the call says. */
template <int ROWS, int EXACT>
__global__ static void __launch_bounds__(QUARTERS *WARP, ROWS == 2 && EXACT == 0 ? BLOCKS_OF_16 : BLOCKS)
    meet_chunks(const struct few_call a)
{
    lane_next();
    LANE_SHARED(unsigned char, memory);
    __shared__ struct few_tile whole; /* registers are for the chunk */
    __shared__ struct quarter_board<ROWS> board;
    __shared__ float total[8 * ROWS];
    struct tile_queries q = tile_queries_at(memory, a.all.blocks.keys);
    struct few_tile tile = tile_of(&a);
    uint8_t *first = nullptr, *next = nullptr;
    struct attend_sight sight[ROWS];
    struct kept<ROWS> all = {
    };
    uint32_t end = min(tile.end, tile.chunk + a.take), count = end - tile.chunk;
    bool sees = tile.chunk < tile.end, keeps = count == tile.end - tile.first;
    if (sees) {
        uint32_t table = table_of(&a, &tile);
        first = place_of(&a, table, tile.heads.head_kv, tile.chunk);
        next = place_of(&a, table, tile.heads.head_kv, min(tile.chunk + 1, end - 1));
        if (threadIdx.x < min(count, 2u))
            lane_fetch(threadIdx.x ? next : first, chunk_bytes(a.all.blocks));
        sights_of<ROWS>(&a.all, &tile, sight);
    }
    lane_wait();
    if (!sees)
        return;
    if (threadIdx.x == 0)
        whole = tile;
    ask(blocks_of<EXACT>(&a), first, tile.chunk);
    lane_copy_end();
    attend_put_queries<1>(&a.all, &q, tile.stretch, tile.heads, 0, tile.stretch.cols * tile.heads.count,
                          threadIdx.x / WARP, QUARTERS);
    __syncthreads();
    if (!keeps) {
        meet<ROWS, EXACT, false>(&a, &q, &whole, tile.chunk, end, sight, next, &board, &all);
        if (arrive(&a, &whole, count))
            combine(&a, &whole, (float *)memory);
        return;
    }
    begin_sums<ROWS, EXACT>(&a, &q, &whole, &all);
    meet<ROWS, EXACT, true>(&a, &q, &whole, tile.chunk, end, sight, next, &board, &all);
    put_totals<ROWS>(&all, total);
    __syncthreads(); /* and queries and chunks are done with */
    end_sums<ROWS, EXACT>(&a, &whole, &all, total, (float *)memory);
    if (!a.in.narrow.q && !a.in.wide.q)
        return;
    __syncthreads();
    put_blocks(&a, &whole, (float *)memory);
}

/* Memory of a block beside what it asks for at its launch; and of its processor's. */
#define OWN (8u << 10)

uint32_t attend_chunks_places(struct chunk_blocks blocks, uint32_t rows)
{
    size_t needs = shared_of(blocks, rows > 8 ? 16 : 8) + OWN, most = lane_shared_most();
    uint64_t n = (most + LANE_SHARED_KEPT) / (needs + LANE_SHARED_KEPT);
    return needs > most ? 0 : lane_processors() * (uint32_t)(n < BLOCKS ? n : BLOCKS);
}

void attend_chunks(void *stream, const struct few_call *a, dim3 grid, uint32_t rows)
{
    const bool is_plain = a->all.blocks.keys == 4 && a->all.blocks.values == 4 && a->all.a.cap == 0.0f;
    launch(rows > 8 ? (is_plain ? meet_chunks<2, 4> : meet_chunks<2, 0>)
                    : (is_plain ? meet_chunks<1, 4> : meet_chunks<1, 0>),
           grid, QUARTERS * WARP, shared_of(a->all.blocks, rows > 8 ? 16 : 8), stream, *a);
}
