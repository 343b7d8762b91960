/* Attention of many queries of one sequence: a block walks over the chunks in increasing order, each of its warps with
 * 16 queries and what is summed of them in registers. While a chunk is met the next is on its way into shared memory.
 *
 * What bounds it is not the matrix unit but the other operations of a lane; they are counted in docs/cuda.md. */
#include "inference/cuda/attend.cuh"

#define WARPS (ATTEND_MANY_ROWS / TILE_ROWS)

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
    for (uint32_t i = threadIdx.x; i < a->blocks * 8 * 16; i += WARPS * WARP) {
        uint32_t row = i / 16, four = i % 16, too = i / 8, fourth = i % 8;
        lane_copy16(to.k + (row * 16 + (four ^ row % 4)) * 16, from.k + i * 16);
        lane_copy16(to.v + (too * 8 + (fourth ^ too % 4 * 2)) * 16, from.v + i * 16);
    }
    for (uint32_t i = threadIdx.x; i < a->blocks * 16; i += WARPS * WARP) {
        lane_copy16(to.ks + i * 4, from.ks + i * 4);
        lane_copy16(to.vs + i * 4, from.vs + i * 4);
    }
    lane_copy_end();
}

/* -- a warp's queries -- */

/* The sums of a lane's two queries, and of each what it has of up to BLOCKS blocks. */
template <int BLOCKS> struct sums {
    float peak[2], sum[2], o[BLOCKS][2][8]; /* sum NaN: a number was not finite */
};

/* The chunk joins what was before. Nobody sees a chunk for the first time with anything but +0 in the sums, so that
 * e^(-infinity) = +0 for what was before changes nothing. */
template <int BLOCKS, bool sees_all>
LANE void meet(const struct attend_call *a, const struct tile_queries *q, const struct chunk *c,
               const struct tile_view view[2], struct sums<BLOCKS> *all)
{
    struct tile_sum now[2];
    float p[2][4][4], old[2], new_[2];
    bool seen[2];
    tile_scores<2, true>(q, c, a->blocks, p);
    tile_probabilities<2, sees_all>(&a->a, view, p, now);
    LANE_UNROLL
    for (int r = 0; r < 2; r++) {
        seen[r] = sees_all || view[r].to != 0;
        float top = fmaxf(all->peak[r], now[r].peak), before = all->peak[r];
        old[r] = seen[r] ? tile_exp(before - top) : 1.0f;
        new_[r] = tile_exp(now[r].peak - top);
        all->peak[r] = top;
        if (seen[r])
            all->sum[r] = all->sum[r] * old[r] + now[r].sum * new_[r];
        if (now[r].peak != now[r].peak)
            all->sum[r] = NAN;
    }
    bool keeps = __all_sync(ALL, old[0] == 1.0f && old[1] == 1.0f);
    LANE_UNROLL
    for (int b = 0; b < BLOCKS; b++) {
        float o[2][8];
        if (b >= (int)a->blocks)
            break;
        struct tile_piece v = tile_fetch<true>(c, b);
        tile_weigh<2, sees_all>(p, &v, o);
        LANE_UNROLL
        for (int i = 0; i < 16; i++) {
            float *to = &all->o[b][i / 8][i % 8], x = o[i / 8][i % 8] * new_[i / 8];
            if (seen[i / 8])
                *to = (keeps ? *to : *to * old[i / 8]) + x;
        }
    }
}

template <int BLOCKS>
LANE void put_out(const struct attend_call *a, struct cuda_stretch s, struct attend_heads h, uint32_t from,
                  const struct sums<BLOCKS> *all)
{
    uint32_t lane = threadIdx.x % WARP, t = lane % 4;
    LANE_UNROLL
    for (int r = 0; r < 2; r++) {
        uint32_t row = from + lane / 4 + 8 * r, c = s.first + row / h.count;
        float *out = a->out + ((size_t)c * a->a.heads + h.head + row % h.count) * a->a.head;
        if (row >= s.cols * h.count)
            continue;
        bool bad = all->sum[r] != all->sum[r];
        if (bad && t == 0)
            a->marks.finite[a->marks.slot[c]] = 0;
        LANE_UNROLL
        for (int b = 0; b < BLOCKS; b++)
            LANE_UNROLL
        for (int i = 0; i < 8; i++) {
            uint32_t e = b * ARITH_BLOCK + 8 * t + i;
            if (e < a->a.head)
                out[e] = bad ? 0.0f : all->o[b][r][i] / all->sum[r];
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
                       const struct attend_sight sight[2], uint32_t chunk, struct sums<BLOCKS> *all)
{
    struct tile_view view[2] = {attend_view(&sight[0], chunk), attend_view(&sight[1], chunk)};
    if (__all_sync(ALL, attend_sees_all(view[0]) && attend_sees_all(view[1])))
        meet<BLOCKS, true>(a, q, c, view, all);
    else if (__any_sync(ALL, view[0].to || view[1].to))
        meet<BLOCKS, false>(a, q, c, view, all);
}

/* Block (part of the heads on a head of keys, stretch). BUFFERS 2: the next chunk comes while one is met. */
template <int BLOCKS, int BUFFERS>
__global__ static void __launch_bounds__(WARPS *WARP, BLOCKS <= 4 ? 2 : 1) walk(const struct attend_call a)
{
    lane_wait();
    LANE_SHARED(unsigned char, memory);
    uint32_t warp = threadIdx.x / WARP, from = warp * TILE_ROWS, begin, end, bytes = chunk_bytes(a.blocks);
    struct cuda_stretch s = attend_stretch(&a, blockIdx.y);
    struct attend_heads h = attend_heads_of(&a, blockIdx.x);
    struct tile_queries q = tile_queries_at(memory + BUFFERS * bytes + warp * tile_queries_bytes(a.blocks), a.blocks);
    struct attend_sight sight[2];
    struct sums<BLOCKS> all = {
    };
    sights_of(&a, s, h, from, sight, &begin, &end);
    uint32_t table = a.cache.table[sight[0].row];
    fetch(&a, table, begin, h.head_kv, memory);
    attend_put_queries<4>(&a, &q, s, h, from, TILE_ROWS, 0, 1);
    __syncwarp();
    for (int r = 0; r < 2; r++) {
        all.peak[r] = -INFINITY;
        if (!q.fine[threadIdx.x % WARP / 4 + 8 * r])
            all.sum[r] = NAN;
    }
    for (uint32_t chunk = begin; chunk < end; chunk++) {
        unsigned char *here = memory + (chunk - begin) % BUFFERS * bytes;
        if (BUFFERS == 2 && chunk + 1 < end) {
            fetch(&a, table, chunk + 1, attend_heads_of(&a, blockIdx.x).head_kv,
                  memory + (chunk + 1 - begin) % BUFFERS * bytes);
            lane_copy_wait<1>();
        } else {
            lane_copy_wait<0>();
        }
        __syncthreads();
        struct chunk c = buffer_at(here, a.blocks);
        meet_if_seen<BLOCKS>(&a, &q, &c, sight, chunk, &all);
        __syncthreads();
        if (BUFFERS == 1 && chunk + 1 < end)
            fetch(&a, table, chunk + 1, attend_heads_of(&a, blockIdx.x).head_kv, memory);
    }
    /* Asked for once more: between, registers are for the sums. */
    put_out(&a, attend_stretch(&a, blockIdx.y), attend_heads_of(&a, blockIdx.x), from, &all);
}

void attend_many(void *stream, const struct attend_call *call)
{
    uint32_t buffers = call->blocks <= 4 ? 2 : 1; /* of long heads one: 64 KiB is all that some GPUs have */
    size_t shared = buffers * 2 * ARITH_CHUNK * call->blocks * (ARITH_BLOCK + sizeof(float)) +
                    WARPS * tile_queries_bytes(call->blocks);
    dim3 grid(call->cache.heads_kv * call->parts, call->a.plan.long_n);
    launch(call->blocks <= 2   ? walk<2, 2>
           : call->blocks <= 4 ? walk<4, 2>
                               : walk<8, 1>,
           grid, WARPS * WARP, shared, stream, *call);
}
