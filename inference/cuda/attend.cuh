/* What the two ways of attention share: attend_few.cu for short stretches of columns, attend_many.cu for long ones.
 *
 * A tile is some columns of a stretch and some heads that share a head of keys: row r is column r / per_part and head
 * r % per_part of them. */
#ifndef KITH_INFERENCE_CUDA_ATTEND_CUH
#define KITH_INFERENCE_CUDA_ATTEND_CUH

#include "inference/cuda/tile.cuh"

struct attend_call {
    const float *q;
    struct cuda_attention a;
    struct cuda_cache cache;
    struct cuda_marks marks;
    const struct cuda_stretch *stretch; /* of this way; NULL: each column */
    struct chunk_blocks blocks;         /* along keys and values */
    uint32_t value;                     /* length of one */
    uint32_t shared_by;                 /* heads on a head of keys... */
    uint32_t parts, per_part;           /* ... in parts for tiles */
    float *out;
};

/* The way of few. in: what rows of `out` become as int8 blocks, where a tile's heads are whole runs of a
 * column; NULL: they do not here. */
void attend_few(void *stream, const struct attend_call *call, struct cuda_room room, const struct cuda_input *in);
uint64_t attend_few_scratch(const struct cuda_attention *a, uint32_t cols);
/* Shared memory that a block asks for at its launch, at most. */
size_t attend_few_shared(uint32_t head, uint32_t value);
/* The way of many, for heads that it has room for. */
void attend_many(void *stream, const struct attend_call *call);
bool attend_many_fits(const struct cuda_attention *a);
#define ATTEND_HEAD_MOST 256u
#define ATTEND_MANY_ROWS 32u /* of a tile */

static __host__ __device__ inline uint32_t attend_over(uint32_t n, uint32_t by)
{
    return (n + by - 1) / by;
}

static __host__ __device__ inline uint32_t attend_value(const struct cuda_attention *a)
{
    return a->value ? a->value : a->head;
}

static __host__ __device__ inline struct chunk_blocks attend_blocks(uint32_t head, uint32_t value)
{
    return {attend_over(head, ARITH_BLOCK), attend_over(value, ARITH_BLOCK)};
}

LANE struct cuda_stretch attend_stretch(const struct attend_call *a, uint32_t i)
{
    struct cuda_stretch alone = {i, 1, i};
    return a->stretch ? a->stretch[i] : alone;
}

/* A part of the heads on a head of keys: [head, head + count). */
struct attend_heads {
    uint32_t head_kv, head, count;
};

LANE struct attend_heads attend_heads_of(const struct attend_call *a, uint32_t i)
{
    uint32_t from = i % a->parts * a->per_part, head_kv = i / a->parts;
    struct attend_heads h = {head_kv, head_kv * a->shared_by + from, min(a->per_part, a->shared_by - from)};
    return h;
}

/* Of a head before the first chunk. */
LANE struct tile_sum attend_begin(const struct attend_call *a, uint32_t head)
{
    return a->a.sinks ? tile_sum{a->a.sinks[head], 1.0f} : tile_sum{-INFINITY, 0.0f};
}

/* Positions [first, end) that column c sees, and chunks [first_chunk, end_chunk). */
struct attend_sight {
    uint32_t row, first, end, first_chunk, end_chunk;
};

LANE struct attend_sight attend_sight_of(const struct attend_call *a, uint32_t c)
{
    struct attend_sight s;
    s.row = a->marks.slot[c];
    s.end = a->cache.position[s.row] + 1;
    s.first = a->a.window && s.end > a->a.window ? s.end - a->a.window : 0;
    s.first_chunk = s.first / ARITH_CHUNK;
    s.end_chunk = (s.end - 1) / ARITH_CHUNK + 1;
    return s;
}

LANE struct tile_view attend_view(const struct attend_sight *s, uint32_t chunk)
{
    uint32_t start = chunk * ARITH_CHUNK;
    struct tile_view v = {0, 0};
    if (s->end <= start || s->first >= start + ARITH_CHUNK)
        return v;
    v.from = s->first > start ? (int)(s->first - start) : 0;
    v.to = (int)min(s->end - start, ARITH_CHUNK + 0u);
    return v;
}

/* Rows [from, from + n) of a tile into q, by warps that begin at row `first` of them and take each `step`-th; AHEAD are
 * under way at a time. */
template <int AHEAD>
LANE void attend_put_queries(const struct attend_call *a, const struct tile_queries *q, struct cuda_stretch s,
                             struct attend_heads h, uint32_t from, uint32_t n, uint32_t first, uint32_t step)
{
    LANE_UNROLL_BY(AHEAD)
    for (uint32_t r = first; r < n; r += step) {
        uint32_t c = (from + r) / h.count, head = h.head + (from + r) % h.count;
        const float *x = nullptr;
        if (c < s.cols)
            x = a->q + ((size_t)a->marks.slot[s.first + c] * a->a.heads + head) * a->a.head;
        tile_put_query(q, r, x, a->a.head, a->blocks.keys);
    }
}

#endif
