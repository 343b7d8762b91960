/* Attention of few queries over long contexts: chunks are computed apart from each other, wherever there is room, and
 * combined in increasing order behind that (inference/attention.c has the recurrence).
 *
 * A wave of launches covers so many chunks of every column that its parts fit in a bounded scratch; the next goes on
 * where it ended. How many there are depends on the columns and the pages, not on what is in them. */
#include "inference/cuda/tile.h"

#define WARPS 4u /* of a block: neighbouring chunks */
#ifdef CUDA_EMULATED
#define PARTS_MOST 300u /* so that tests meet more than one wave */
#else
#define PARTS_MOST 32768u /* (query, chunk) of a wave, if there are not more queries */
#endif
#define COMBINED 128u /* threads of a block that combines, and chunks that it reads at a time */

/* -- shapes, the same for scratch and launches -- */

struct shape {
    uint32_t blocks;     /* along a head */
    uint32_t seen, wave; /* chunks that a query sees at most, and of them in a wave */
    uint64_t queries;
};

static struct shape shape_of(const struct cuda_attention *a, uint32_t cols)
{
    struct shape s = {(a->head + ARITH_BLOCK - 1) / ARITH_BLOCK, a->pages_most, 1, (uint64_t)cols * a->heads};
    uint64_t in_window = (uint64_t)(a->window + ARITH_CHUNK - 2) / ARITH_CHUNK + 1;
    if (a->window && in_window < s.seen)
        s.seen = (uint32_t)in_window;
    if (s.queries && PARTS_MOST / s.queries > 1)
        s.wave = (uint32_t)(PARTS_MOST / s.queries);
    s.wave = s.wave < s.seen ? s.wave : s.seen;
    return s;
}

/* Scratch: parts [queries, wave, 32 blocks], their sums [queries, wave], what is behind a query [queries]. */
static uint64_t parts_floats(const struct shape *s)
{
    return s->queries * s->wave * s->blocks * ARITH_BLOCK;
}

uint64_t cuda_attend_scratch(const struct cuda_attention *a, uint32_t cols)
{
    struct shape s = shape_of(a, cols);
    return parts_floats(&s) * sizeof(float) + s.queries * (s.wave + 1) * sizeof(struct tile_sum);
}

struct attend_call {
    const float *q;
    struct cuda_attention a;
    struct cuda_cache cache;
    struct cuda_marks marks;
    uint32_t blocks, shared_by, parts, per_part; /* heads on a head of keys, in parts for a tile */
    uint32_t start, wave;                        /* chunks [start, start + wave) of what each query sees */
    float *part;
    struct tile_sum *sum, *before;
    float *out;
};

/* Positions [first, end) that column c sees. */
struct sight {
    uint32_t row, first, end;
};

LANE struct sight sight_of(const struct attend_call *a, uint32_t c)
{
    struct sight s;
    s.row = a->marks.slot[c];
    s.end = a->cache.position[s.row] + 1;
    s.first = a->a.window && s.end > a->a.window ? s.end - a->a.window : 0;
    return s;
}

/* How many chunks of this wave it sees. */
LANE uint32_t chunks_here(const struct attend_call *a, const struct sight *s)
{
    uint32_t all = (s->end - 1) / ARITH_CHUNK - s->first / ARITH_CHUNK + 1;
    return all <= a->start ? 0 : min(all - a->start, a->wave);
}

/* -- parts -- */

/* A warp's chunk, number k of the wave, for `count` heads of column c from `head` on: the part of each. */
template <int ROWS>
LANE void put_parts(const struct attend_call *a, const struct tile_queries *q, const struct sight *s, uint32_t k,
                    uint32_t c, uint32_t head, uint32_t count)
{
    uint32_t index = s->first / ARITH_CHUNK + a->start + k, g = threadIdx.x % WARP / 4, t = threadIdx.x % 4;
    uint32_t start = index * ARITH_CHUNK;
    struct chunk chunk = chunk_at(&a->cache, a->cache.table[s->row], index, head / a->shared_by);
    struct tile_view view = {s->first > start ? (int)(s->first - start) : 0,
                             s->end - start < ARITH_CHUNK ? (int)(s->end - start) : (int)ARITH_CHUNK};
    struct tile_view views[2] = {view, view};
    struct tile_sum sum[ROWS];
    bool sees_all = view.from == 0 && view.to == (int)ARITH_CHUNK;
    float p[ROWS][4][4], o[ROWS][8];
    tile_scores<ROWS, false>(q, &chunk, a->blocks, p);
    tile_probabilities<ROWS>(&a->a, views, sees_all, p, sum);
    for (uint32_t b = 0; b < a->blocks; b++) {
        tile_weigh<ROWS, false>(p, &chunk, b, sees_all, o);
        LANE_UNROLL
        for (int r = 0; r < ROWS; r++) {
            uint64_t at = ((uint64_t)c * a->a.heads + head + g + 8 * r) * a->wave + k;
            if (g + 8 * r >= count)
                continue;
            float4 *to = (float4 *)(a->part + (at * a->blocks + b) * ARITH_BLOCK + 8 * t);
            to[0] = make_float4(o[r][0], o[r][1], o[r][2], o[r][3]);
            to[1] = make_float4(o[r][4], o[r][5], o[r][6], o[r][7]);
            if (b == 0 && t == 0)
                a->sum[at] = {q->fine[g + 8 * r] ? sum[r].peak : NAN, sum[r].sum};
        }
    }
}

/* Block (chunks, part of the heads on a head of keys, column). */
template <int ROWS> __global__ static void make_parts(const struct attend_call a)
{
    LANE_SHARED(unsigned char, memory);
    struct tile_queries q = tile_queries_at(memory, a.blocks);
    uint32_t c = blockIdx.z, part = blockIdx.y % a.parts, warp = threadIdx.x / WARP, warps = blockDim.x / WARP;
    uint32_t in_group = part * a.per_part, head = blockIdx.y / a.parts * a.shared_by + in_group;
    uint32_t count = min(a.per_part, a.shared_by - in_group), k = blockIdx.x * warps + warp;
    struct sight s = sight_of(&a, c);
    uint32_t here = chunks_here(&a, &s);
    if (blockIdx.x * warps >= here)
        return;
    for (uint32_t r = warp; r < TILE_ROWS; r += warps)
        tile_put_query(&q, r, r < count ? a.q + ((size_t)s.row * a.a.heads + head + r) * a.a.head : nullptr, a.a.head,
                       a.blocks);
    __syncthreads();
    if (k < here)
        put_parts<ROWS>(&a, &q, &s, k, c, head, count);
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

/* Element e of a query, if it has so many, goes through n steps. */
LANE float take_steps(const struct step *step, uint32_t n, const float *part, uint32_t stride, float sum)
{
    LANE_UNROLL_BY(8)
    for (uint32_t k = 0; k < n; k++)
        sum = sum * step[k].old + part[(size_t)k * stride] * step[k].now;
    return sum;
}

/* A block for each query. Between waves what has been summed is in `out`. */
__global__ static void combine_parts(const struct attend_call a)
{
    __shared__ struct step step[COMBINED];
    uint32_t c = blockIdx.x / a.a.heads, padded = a.blocks * ARITH_BLOCK;
    uint64_t query = blockIdx.x;
    struct sight s = sight_of(&a, c);
    uint32_t n = chunks_here(&a, &s);
    bool is_last = a.start + a.wave >= (s.end - 1) / ARITH_CHUNK - s.first / ARITH_CHUNK + 1;
    struct tile_sum now = {0.0f, 0.0f};
    float *out = a.out + query * a.a.head;
    if (n == 0)
        return;
    if (a.start)
        now = a.before[query];
    for (uint32_t k = 0; k < n; k += COMBINED) {
        uint32_t here = min(COMBINED, n - k);
        uint64_t at = query * a.wave + k;
        now.peak = make_steps(a.sum + at, here, now.peak, a.start || k, step);
        for (uint32_t i = 0; i < here; i++)
            now.sum = now.sum * step[i].old + step[i].l_now;
        for (uint32_t e = threadIdx.x; e < a.a.head; e += COMBINED)
            out[e] = take_steps(step, here, a.part + at * padded + e, padded, a.start || k ? out[e] : 0.0f);
        __syncthreads();
    }
    bool bad = now.peak != now.peak;
    if (threadIdx.x == 0) {
        a.before[query] = now;
        if (bad)
            a.marks.finite[s.row] = 0;
    }
    for (uint32_t e = threadIdx.x; is_last && e < a.a.head; e += COMBINED)
        out[e] = bad ? 0.0f : out[e] / now.sum;
}

void cuda_attend(void *stream, const float *q, const struct cuda_attention *a, const struct cuda_cache *cache,
                 uint32_t cols, struct cuda_marks marks, void *scratch, float *out)
{
    struct shape s = shape_of(a, cols);
    struct attend_call call = {};
    call.q = q;
    call.a = *a;
    call.cache = *cache;
    call.marks = marks;
    call.blocks = s.blocks;
    call.shared_by = a->heads / cache->heads_kv;
    call.parts = (call.shared_by + TILE_ROWS - 1) / TILE_ROWS;
    call.per_part = (call.shared_by + call.parts - 1) / call.parts;
    call.wave = s.wave;
    call.part = (float *)scratch;
    call.sum = (struct tile_sum *)(call.part + parts_floats(&s));
    call.before = call.sum + s.queries * s.wave;
    call.out = out;
    uint32_t warps = s.wave < WARPS ? s.wave : WARPS;
    dim3 grid((s.wave + warps - 1) / warps, cache->heads_kv * call.parts, cols);
    for (; call.start < s.seen; call.start += s.wave) {
        launch(call.per_part > 8 ? make_parts<2> : make_parts<1>, grid, warps * WARP, tile_queries_bytes(s.blocks),
               stream, call);
        launch(combine_parts, (unsigned)s.queries, COMBINED, 0, stream, call);
    }
}
