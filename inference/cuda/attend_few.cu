/* Attention of few queries over long contexts: chunks are computed apart from each other, wherever there is room, and
 * the block that is the last of a tile to be done combines them (parts.cuh).
 *
 * A wave of blocks covers so many chunks of every column that its parts fit in a bounded scratch; the next goes on
 * where it ended. How many there are depends on the plan and the pages, not on what is in them. */
#include "inference/cuda/parts.cuh"

#define PARTS_MOST 32768u /* (query, chunk) of a wave, if there are not more queries */
#define TAKE_MOST  16u    /* chunks of a block: long sequences are not to be one block's */

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

/* Scratch: parts [queries, wave, 32 blocks of a value], their sums [queries, wave], what is behind a query [queries].
 * There may be fewer queries than there are columns and heads, and a longer wave. */
uint64_t attend_few_scratch(const struct cuda_attention *a, uint32_t cols)
{
    uint64_t queries = (uint64_t)cols * a->heads, parts = queries > parts_most(a) ? queries : parts_most(a);
    uint64_t part_bytes = (uint64_t)attend_over(attend_value(a), ARITH_BLOCK) * ARITH_BLOCK * sizeof(float);
    parts = parts < queries * chunks_seen(a) ? parts : queries * chunks_seen(a);
    return parts * (part_bytes + sizeof(struct tile_sum)) + queries * sizeof(struct tile_sum);
}

/* -- parts -- */

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
    return (float *)(memory + quarter_bytes(a->all.blocks)) + threadIdx.x / WARP * a->all.blocks.keys * ARITH_BLOCK;
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
        tile_put_query(q, r, turning(a), a->all.a.head, a->all.blocks.keys);
    }
}

template <int ROWS, bool is_fresh>
LANE void put_parts(const struct few_call *a, const struct tile_queries *q, const struct few_tile *tile,
                    const struct fresh *fresh, const struct chunk *chunk)
{
    __shared__ struct quarter_board<ROWS> board;
    uint32_t warp = threadIdx.x / WARP, rows = tile->stretch.cols * tile->heads.count, blocks = a->all.blocks.keys;
    float s[ROWS][4] = {}, p[ROWS][4][4], o[ROWS][8];
    struct chunk here = quarter_chunk_at(q, a->all.blocks);
    if (is_fresh)
        keep_fresh(a, tile, fresh, chunk);
    quarter_ask_scales(chunk, blocks, &here);
    lane_copy_end();
    quarter_ask_values(chunk, a->all.blocks.values, &here);
    lane_copy_end();
    struct quarter_keys keys = quarter_fetch<false>(chunk, 0, blocks);
    struct attend_sight sight[ROWS];
    struct tile_view view[ROWS];
    struct tile_sum sum[ROWS];
    uint32_t at[ROWS];
    sights_of<ROWS>(&a->all, tile, sight);
    LANE_UNROLL
    for (int r = 0; r < ROWS; r++)
        view[r] = attend_view(&sight[r], tile->chunk);
    if (is_fresh)
        put_fresh_queries(a, q, tile, fresh);
    else
        attend_put_queries<1>(&a->all, q, tile->stretch, tile->heads, 0, rows, warp, QUARTERS);
    lane_copy_wait<1>();
    __syncthreads();
    for (uint32_t b = 0; b < blocks; b += QUARTER_BLOCKS) {
        if (b)
            keys = quarter_fetch<false>(chunk, b, blocks);
        quarter_scores<ROWS>(q, &keys, here.ks, b, blocks, s);
    }
    lane_copy_wait<0>();
    __syncwarp();
    quarter_probabilities<ROWS>(&a->all.a, view, &board, s, p, sum);
    put_sums<ROWS>(a, q, tile, tile->k, sum, at);
    for (uint32_t b = warp; b < a->all.blocks.values; b += QUARTERS) {
        struct tile_piece piece = tile_fetch<true>(&here, b);
        tile_weigh<ROWS, false>(p, &piece, o);
        put_part<ROWS>(a, rows, b, at, o);
    }
}

/* -- a block -- */

/* A block for each chunk. Where the chunk is no kernel writes, so it is asked for before the one that adds to its end
 * is done. */
template <int ROWS, bool is_fresh>
__global__ static void __launch_bounds__(QUARTERS *WARP, 4) make_parts(const struct few_call a)
{
    lane_next();
    LANE_SHARED(unsigned char, memory);
    __shared__ struct few_tile kept; /* registers are for the chunk */
    struct tile_queries q = tile_queries_at(memory, a.all.blocks.keys);
    struct few_tile tile = tile_of(&a);
    struct chunk chunk = {nullptr, nullptr, nullptr, nullptr};
    struct fresh fresh = {};
    if (is_fresh)
        fresh = fresh_of(&a);
    bool sees = tile.chunk < tile.end;
    if (sees) {
        chunk = chunk_at(&a.all.cache, table_of(&a, &tile), tile.chunk, tile.heads.head_kv);
        if (threadIdx.x == 0)
            lane_fetch(chunk.k, chunk_bytes(a.all.blocks));
    }
    lane_wait();
    if (!sees)
        return;
    if (threadIdx.x == 0)
        kept = tile;
    put_parts<ROWS, is_fresh>(&a, &q, &tile, &fresh, &chunk);
    if (arrive(&a, &kept, 1))
        combine(&a, &kept, (float *)memory);
}

/* Shared memory of a block: with heads that are turned here, a row of them for each of its warps. */
static size_t shared_of(struct chunk_blocks n, bool is_fresh)
{
    return quarter_bytes(n) + (is_fresh ? QUARTERS * n.keys * ARITH_BLOCK * sizeof(float) : 0);
}

size_t attend_few_shared(uint32_t head, uint32_t value)
{
    return shared_of(attend_blocks(head, value), true);
}

/* How many chunks of its tile a block takes. One, if all blocks find room at once: what counts then is how long one
 * takes. Else so many that they do; and all of the wave where that is at most twice as many, since nothing goes through
 * scratch then. */
static uint32_t take_of(const struct few_call *a, uint64_t tiles, uint32_t rows)
{
    const struct cuda_attention *way = &a->all.a;
    uint64_t places = way->fresh ? 0 : attend_chunks_places(a->all.blocks, rows), all = a->wave * tiles;
    if (places && way->places)
        places = way->places;
    if (!places || all <= places)
        return 1;
    uint64_t take = (all + places - 1) / places, most = a->wave < TAKE_MOST ? a->wave : TAKE_MOST;
    return (uint32_t)(take < most && 2 * take < a->wave ? take : most);
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
    a.sum = (struct tile_sum *)(a.part + queries * a.wave * call->blocks.values * ARITH_BLOCK);
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
    a.take = take_of(&a, (uint64_t)groups * plan->short_n, rows);
    const dim3 grid(attend_over(a.wave, a.take), groups, plan->short_n);
    for (; a.start < seen; a.start += a.wave)
        if (a.take > 1)
            attend_chunks(stream, &a, grid, rows);
        else
            launch(kernel, grid, QUARTERS * WARP, shared_of(call->blocks, call->a.fresh), stream, a);
}
