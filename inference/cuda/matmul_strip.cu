/* Products with 17 to 64 columns on Hopper, as many answers are written at once: wide formats, by groups of four warps
 * whose products of matrices run in the background (lane_group.h), and so that a matrix of few rows fills the GPU, too.
 *
 * A tile is 64 or 128 rows and 32 or 64 columns; a block takes one after the other. Its groups are `phases` times
 * `tiles`: those of a phase have 64 rows each of the same run. Runs are counted through all tiles of a block, of which
 * phase i has i, i + phases... It copies its next run while it multiplies this one, both in shared memory of its own,
 * and adds what it gets to the tile's totals when the phase of the run before it has: so the order is the arithmetic's,
 * left to right. Who adds a tile's last run has the result, and puts it. No barrier is the whole block's. */
#include "inference/cuda/lane_group.h"
#include "inference/cuda/strip.cuh"
#include "inference/cuda/products.cuh"

#define GROUPS_MOST 4u /* of a block: 128 registers a thread */
#define GROUP_ROWS  64u
#define GROUP_PACKS (GROUP_ROWS / REPACK_ROWS)

/* How all is cut. */
struct strip_cut {
    uint32_t tiles, phases, spans; /* of 64 rows in a block; runs under way; parts of the columns: 1 or 2 */
    uint32_t end[PRODUCTS_MOST];   /* of each matrix, of all tiles of one part of the columns */
};
LANE bool has_tile(const struct strip_cut *cut, uint32_t i)
{
    return i < cut->end[PRODUCTS_MOST - 1] * cut->spans;
}

/* -- a run in shared memory -- */

struct stage {
    uint8_t *q; /* two slabs */
    uint8_t *w;
    uint16_t *sums; /* [cols, 16] binary16; piece i of column c in place i exclusive-or c / 4 % 2 */
    float *s;       /* [cols] */
};
template <class F, uint32_t cols> static __host__ __device__ inline uint32_t stage_bytes(uint32_t tiles)
{
    return (2 * cols * SLAB_BYTES + tiles * GROUP_PACKS * F::run_bytes + cols * ((F::has_min ? 32 : 0) + 4) + 1023) /
           1024 * 1024;
}
template <class F, uint32_t cols> LANE struct stage stage_at(uint8_t *room, uint32_t tiles)
{
    struct stage s;
    s.q = room;
    s.w = s.q + 2 * cols * SLAB_BYTES;
    s.sums = (uint16_t *)(s.w + tiles * GROUP_PACKS * F::run_bytes);
    s.s = (float *)(s.sums + (F::has_min ? cols * 16 : 0));
    return s;
}

/* Totals, then two stages of each phase, which begin at multiples of 1,024 bytes. */
template <uint32_t cols> static __host__ __device__ inline uint32_t totals_bytes(uint32_t tiles)
{
    return tiles * GROUP_ROWS * cols * (uint32_t)sizeof(float);
}
template <class F, uint32_t cols> static size_t strip_bytes(uint32_t tiles, uint32_t phases)
{
    return totals_bytes<cols>(tiles) + 1024 + (size_t)2 * phases * stage_bytes<F, cols>(tiles);
}

/* -- where a thread is -- */

struct strip {
    uint32_t group, phase, member; /* of the block; member of the phase */
    uint32_t thread;               /* of the phase */
    float4 *total;                 /* this lane's: [cols / 8], a warp apart */
    uint8_t *room;                 /* of the phase: two stages */
};
template <class F, uint32_t cols> LANE struct strip strip_of(uint8_t *shared, const struct strip_cut *cut)
{
    struct strip b;
    uint8_t *first = shared + totals_bytes<cols>(cut->tiles);
    b.group = threadIdx.x / GROUP;
    b.phase = b.group / cut->tiles;
    b.member = b.group % cut->tiles;
    b.thread = threadIdx.x - b.phase * cut->tiles * GROUP;
    b.total = (float4 *)shared + b.thread / WARP * (cols / 8) * WARP + b.thread % WARP;
    b.room = first + (1024 - lane_shared_at(first) % 1024) % 1024 + b.phase * 2 * stage_bytes<F, cols>(cut->tiles);
    return b;
}

/* Run `run` of tile `tile` of all. */
struct cursor {
    uint32_t tile, run;
};
LANE struct cursor cursor_further(struct cursor at, uint32_t by, uint32_t runs)
{
    for (at.run += by; at.run >= runs; at.run -= runs)
        at.tile += gridDim.x;
    return at;
}

/* Of which matrix, and where it begins. Parts of the columns are neighbours: so weights are read at about one time. */
struct tile {
    uint32_t z, row, col;
};
template <uint32_t cols> LANE struct tile tile_at(const struct strip_cut *cut, uint32_t i)
{
    const uint32_t part = cut->spans - 1, at = i >> part;
    struct tile t = {0, at, (i & part) * cols};
    LANE_UNROLL
    for (uint32_t z = 1; z < PRODUCTS_MOST; z++)
        if (at >= cut->end[z - 1])
            t.z = z, t.row = at - cut->end[z - 1];
    t.row *= cut->tiles * GROUP_ROWS;
    return t;
}

/* -- barriers: a phase's run is there, a group may add to the totals -- */

/* All copies of the phase's run are there, and none of its warps still reads the one before. */
LANE void meet_phase(const struct strip *b, const struct strip_cut *cut)
{
    lane_copy_wait<0>();
    lane_publish();
    lane_meet(1 + b->phase, cut->tiles * GROUP);
}
LANE void await_turn(const struct strip *b, const struct strip_cut *cut)
{
    if (cut->phases > 1)
        lane_meet(1 + GROUPS_MOST + b->group, 2 * GROUP);
}
LANE void pass_turn(const struct strip *b, const struct strip_cut *cut)
{
    const uint32_t next = b->phase + 1 == cut->phases ? 0 : b->phase + 1;
    if (cut->phases > 1)
        lane_arrive(1 + GROUPS_MOST + next * cut->tiles + b->member, 2 * GROUP);
}

/* -- copies of a run, begun -- */

/* Where the runs of `pack` of a tile's packs of 32 rows begin; behind the last rows stand copies. */
template <class F> LANE const uint8_t *pack_at(const struct product *p, const struct tile *t, uint32_t pack)
{
    const struct product_matrix m = product_matrix_at(p, t->z);
    const uint32_t packs = (m.rows + REPACK_ROWS - 1) / REPACK_ROWS;
    return m.w + (size_t)min(t->row / REPACK_ROWS + pack, packs - 1) * p->runs * F::run_bytes;
}

/* Two warps have 32 rows. */
template <class F, uint32_t cols>
LANE void copy_weights(const struct product *p, const struct strip_cut *cut, const struct strip *b, struct cursor at,
                       const struct stage *s)
{
    const uint32_t pieces = F::run_bytes / 16, pack = b->thread / (2 * WARP), lane = b->thread % (2 * WARP);
    const struct tile t = tile_at<cols>(cut, at.tile);
    const uint8_t *w = pack_at<F>(p, &t, pack) + (size_t)at.run * F::run_bytes + lane * 16;
    uint8_t *to = s->w + pack * F::run_bytes + lane * 16;
    LANE_UNROLL
    for (uint32_t i = 0; i < pieces; i += 2 * WARP)
        if (i + 2 * WARP <= pieces || i + lane < pieces)
            lane_copy16(to + i * 16, w + i * 16);
}

/* Of each 8 columns 128 threads have a piece; none behind the last, where nobody looks at what comes out. */
template <class F, uint32_t cols>
LANE void copy_columns(const struct product *p, const struct strip_cut *cut, const struct strip *b, struct cursor at,
                       const struct stage *s)
{
    const uint32_t first = tile_at<cols>(cut, at.tile).col, left = p->cols - first, piece = b->thread % 16,
                   column = b->thread / 16, step = 8 * cut->tiles;
    const size_t run = (size_t)first * p->runs + at.run;
    const int8_t *q = p->in.q + (run + column * p->runs) * ARITH_RUN + piece * 16;
    uint8_t *to = s->q + piece / 8 * (cols * SLAB_BYTES) + slab_piece(column, piece % 8);
    LANE_UNROLL
    for (uint32_t i = 0; i < cols / 8; i++)
        if (column + i * step < min(cols, left))
            lane_copy16(to + i * step * SLAB_BYTES, q + (size_t)(i * step * p->runs) * ARITH_RUN);
    if (F::has_min && b->thread < 2 * min(cols, left)) {
        const uint32_t c = b->thread / 2, half = b->thread % 2;
        lane_copy16(s->sums + c * 16 + (half ^ c / 4 % 2) * 8, p->in.halves + (run + c * p->runs) * 16 + half * 8);
    }
    if (b->thread < min(cols, left))
        lane_copy4(s->s + b->thread, p->in.s + run + b->thread * p->runs);
}

/* -- a run's sums -- */

/* A block's fragments are made while the block before it is multiplied, into registers that the third before it has
 * left. */
template <class F, uint32_t cols>
LANE void sum_run(const struct stage *s, const struct place *at, int32_t low[cols / 2], int32_t high[cols / 2])
{
    const uint64_t slab = slab_at(s->q);
    uint32_t a[3][2][4];
    struct plane_scales scales;
    plane_load_scales<F>(at, &scales);
    plane_load<F>(at, &scales, 0, a[0][0], a[0][1]);
    LANE_UNROLL
    for (uint32_t b = 0; b < RUN_BLOCKS; b++) {
        const uint64_t columns = slab_further(slab, b / 4 * (cols * SLAB_BYTES) + b % 4 * 32);
        lane_group_begin();
        lane_group_mma_some<!planes<F>::low_has_sign, cols>(low, a[b % 3][0], columns, b != 0);
        if constexpr (!planes<F>::is_one)
            lane_group_mma_some<!planes<F>::high_has_sign, cols>(high, a[b % 3][1], columns, b != 0);
        lane_group_end();
        if (b + 1 < RUN_BLOCKS) {
            plane_load<F>(at, &scales, b + 1, a[(b + 1) % 3][0], a[(b + 1) % 3][1]);
            lane_group_wait<1>();
        }
    }
    lane_group_wait<0>();
}

/* b of lane_mma_halves for the 16 columns of n and n + 1. */
LANE void load_sums(const struct stage *s, const struct place *at, uint32_t n, uint32_t b[4])
{
    const uint32_t lane = at->g * 4 + at->t, col = n * 8 + lane / 16 * 8 + lane % 8;
    lane_matrices(b, s->sums + col * 16 + (lane / 8 % 2 ^ col / 4 % 2) * 8);
}

/* The term, or the two terms, of the run: docs/arithmetic.md, Matrix times vector. */
template <class F, uint32_t cols>
LANE void terms_of_run(const struct stage *s, const struct place *at, const int32_t low[cols / 2],
                       const int32_t high[cols / 2], float run[cols / 2])
{
    float d[2], m[2] = {0.0f, 0.0f};
    uint32_t a[4];
    LANE_UNROLL
    for (uint32_t half = 0; half < 2; half++) {
        const float scale = row_scale<F>(at->run, at->row + half * 8 + at->g, 0);
        d[half] = fragments<F>::is_negated ? -scale : scale;
        if constexpr (F::has_min)
            m[half] = row_min_scale<F>(at->run, at->row + half * 8 + at->g, 0);
    }
    if constexpr (F::has_min)
        plane_load_mins<F>(at, a);
    LANE_UNROLL
    for (uint32_t n = 0; n < cols / 8; n++) {
        const float2 scales = *(const float2 *)(s->s + n * 8 + 2 * at->t);
        float mins[4];
        uint32_t sums[4];
        if constexpr (F::has_min) {
            if (n % 2 == 0)
                load_sums(s, at, n, sums);
            lane_mma_halves(mins, a, sums + n % 2 * 2);
        }
        LANE_UNROLL
        for (uint32_t o = 0; o < 4; o++) {
            const float scale = o % 2 ? scales.y : scales.x;
            int sum = low[n * 4 + o];
            if constexpr (!planes<F>::is_one)
                sum += high[n * 4 + o] * planes<F>::worth;
            run[n * 4 + o] = (d[o / 2] * scale) * (float)sum;
            if constexpr (F::has_min)
                run[n * 4 + o] = run[n * 4 + o] + (m[o / 2] * scale) * mins[o];
        }
    }
}

/* -- totals -- */

/* run = the tile's total up to this run, and so are the totals. */
template <uint32_t cols>
LANE void add_run(const struct product *p, const struct strip_cut *cut, const struct strip *b, struct cursor at,
                  float run[cols / 2])
{
    const bool is_last = at.run + 1 == p->runs;
    if (at.run || at.tile != blockIdx.x)
        await_turn(b, cut);
    LANE_UNROLL
    for (uint32_t n = 0; n < cols / 8; n++) {
        float *v = run + n * 4;
        const float4 t = at.run ? b->total[n * WARP] : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        v[0] = t.x + v[0], v[1] = t.y + v[1], v[2] = t.z + v[2], v[3] = t.w + v[3];
        if (!is_last)
            b->total[n * WARP] = make_float4(v[0], v[1], v[2], v[3]);
    }
    if (!is_last || has_tile(cut, at.tile + gridDim.x))
        pass_turn(b, cut);
}

/* What is added to is fetched ahead of the stores, which might change it for all that the compiler knows. */
#define PUT_COLS 4u /* of a lane at a time, two rows of each */
template <uint32_t cols>
LANE void put_tile(const struct product *p, const struct tile *tile, const struct strip *b, const struct place *at,
                   const float total[cols / 2])
{
    const struct product_matrix m = product_matrix_at(p, tile->z);
    const uint32_t r = tile->row + b->thread / WARP * 16 + at->g, first = tile->col + 2 * at->t,
                   all = first < p->cols ? p->cols - first : 0,
                   left[2] = {r < m.rows ? all : 0, r + 8 < m.rows ? all : 0};
    const float bias[2] = {m.bias ? m.bias[min(r, m.rows - 1)] : 0.0f, m.bias ? m.bias[min(r + 8, m.rows - 1)] : 0.0f};
    float *out = m.out + (size_t)first * m.rows + r;
    LANE_UNROLL
    for (uint32_t i = 0; i < cols / 2; i += 2 * PUT_COLS) {
        float old[2 * PUT_COLS] = {0.0f};
        LANE_UNROLL
        for (uint32_t j = i; j < i + 2 * PUT_COLS && p->adds; j++)
            if (j / 4 * 8 + j % 2 < left[j % 4 / 2])
                old[j - i] = out[(size_t)(j / 4 * 8 + j % 2) * m.rows + j % 4 / 2 * 8];
        LANE_UNROLL
        for (uint32_t j = i; j < i + 2 * PUT_COLS; j++) {
            const float sum = m.bias ? total[j] + bias[j % 4 / 2] : total[j];
            if (j / 4 * 8 + j % 2 < left[j % 4 / 2])
                out[(size_t)(j / 4 * 8 + j % 2) * m.rows + j % 4 / 2 * 8] = p->adds ? old[j - i] + sum : sum;
        }
    }
}

/* -- the kernel -- */

/* What is ahead of the columns: the phase's first run begins to come to shared memory, further ones of the block's
 * first tile to the second cache. */
#define FETCHED_AHEAD 16u /* runs */
template <class F, uint32_t cols>
LANE void fetch_ahead(const struct product *p, const struct strip_cut *cut, const struct strip *b, struct cursor at)
{
    const struct stage s = stage_at<F, cols>(b->room, cut->tiles);
    const uint32_t packs = cut->tiles * GROUP_PACKS, warp = threadIdx.x / WARP, warps = blockDim.x / WARP;
    const struct tile t = tile_at<cols>(cut, blockIdx.x);
    if (has_tile(cut, at.tile))
        copy_weights<F, cols>(p, cut, b, at, &s);
    if (threadIdx.x % WARP == 0 && t.col == 0)
        for (uint32_t i = warp; i < packs * min(p->runs, FETCHED_AHEAD); i += warps)
            if (i / packs >= cut->phases)
                lane_fetch(pack_at<F>(p, &t, i % packs) + (size_t)(i / packs) * F::run_bytes, F::run_bytes);
}

template <class F, uint32_t cols> LANE void multiply_block(const struct product *p, const struct strip_cut *cut)
{
    LANE_SHARED(uint8_t, shared);
    const struct strip b = strip_of<F, cols>(shared, cut);
    const uint32_t bytes = stage_bytes<F, cols>(cut->tiles), lane = threadIdx.x % WARP, warp = threadIdx.x / WARP,
                   pack = b.thread / (2 * WARP);
    struct place place = {nullptr, warp % 2 * 16, lane / 4, lane % 4};
    struct cursor at = cursor_further({blockIdx.x, 0}, b.phase, p->runs), next;
    struct stage s = stage_at<F, cols>(b.room, cut->tiles);
    fetch_ahead<F, cols>(p, cut, &b, at);
    lane_wait();
    if (has_tile(cut, at.tile))
        copy_columns<F, cols>(p, cut, &b, at, &s);
    lane_copy_end();
    LANE_UNROLL_BY(1)
    for (uint32_t turn = 1; has_tile(cut, at.tile); turn ^= 1, at = next) {
        const struct stage other = stage_at<F, cols>(b.room + turn * bytes, cut->tiles);
        int32_t low[cols / 2], high[cols / 2];
        float run[cols / 2];
        next = cursor_further(at, cut->phases, p->runs);
        meet_phase(&b, cut);
        if (has_tile(cut, next.tile)) {
            copy_weights<F, cols>(p, cut, &b, next, &other);
            copy_columns<F, cols>(p, cut, &b, next, &other);
        } else {
            lane_next();
        }
        lane_copy_end();
        place.run = s.w + pack * F::run_bytes;
        sum_run<F, cols>(&s, &place, low, high);
        terms_of_run<F, cols>(&s, &place, low, high, run);
        add_run<cols>(p, cut, &b, at, run);
        if (at.run + 1 == p->runs) {
            const struct tile t = tile_at<cols>(cut, at.tile);
            put_tile<cols>(p, &t, &b, &place, run);
        }
        s = other;
    }
}

template <class F, uint32_t cols>
static __global__ void __launch_bounds__(GROUPS_MOST *GROUP, 1) multiply_strips(struct product p, struct strip_cut cut)
{
    if (GROUP_IS_HERE)
        multiply_block<F, cols>(&p, &cut);
}

/* -- how it is cut -- */

/* Phases that a block of so many tiles has room for. */
template <class F, uint32_t cols> static uint32_t phases_of(uint32_t tiles)
{
    uint32_t phases = GROUPS_MOST / tiles;
    while (phases && strip_bytes<F, cols>(tiles, phases) > lane_shared_most())
        phases--;
    return phases;
}

template <uint32_t cols> static struct strip_cut cut_of(const struct product *p, uint32_t tiles)
{
    const uint32_t rows = tiles * GROUP_ROWS;
    struct strip_cut cut = {tiles, 0, (p->cols + cols - 1) / cols, {(p->rows + rows - 1) / rows}};
    for (uint32_t i = 1; i < PRODUCTS_MOST; i++)
        cut.end[i] = cut.end[i - 1] + (i <= p->more_n ? (p->more[i - 1].rows + rows - 1) / rows : 0);
    return cut;
}

/* Of a run of all tiles; issue slots are of a quarter of a processor. */
#define SLOTS_ROWS 320u /* of a warp, whatever the columns */
#define SLOTS_COLS 46u  /* more for each 8 */
template <class F, uint32_t cols> static uint64_t strip_cost(const struct strip_cut *cut, uint32_t processors)
{
    const uint64_t all = (uint64_t)cut->end[PRODUCTS_MOST - 1] * cut->spans,
                   turns = (all + processors - 1) / processors, bytes = stage_bytes<F, cols>(cut->tiles);
    const uint64_t cache = all * bytes / (CACHE_BYTES * processors), own = turns * bytes / OWN_BYTES,
                   issue = turns * cut->tiles * (SLOTS_ROWS + SLOTS_COLS * cols / 8) * 4 / 3;
    return product_cost(cache, own, issue);
}

/* The best of a number of columns, if it is better than *best. */
template <class F, uint32_t cols>
static uint64_t find_cut(const struct product *p, uint32_t processors, uint64_t least, struct strip_cut *best)
{
    for (uint32_t tiles = 1; tiles <= 2; tiles++) {
        struct strip_cut cut = cut_of<cols>(p, tiles);
        const uint64_t cost = strip_cost<F, cols>(&cut, processors);
        cut.phases = phases_of<F, cols>(tiles);
        if (cut.phases == 0 || cost >= least)
            continue;
        *best = cut;
        least = cost;
    }
    return least;
}

template <class F, uint32_t cols>
static bool launch_cut(void *stream, const struct product *p, const struct strip_cut *cut, uint32_t processors)
{
    const uint32_t all = cut->end[PRODUCTS_MOST - 1] * cut->spans;
    launch(multiply_strips<F, cols>, dim3(all < processors ? all : processors), dim3(cut->tiles * cut->phases * GROUP),
           strip_bytes<F, cols>(cut->tiles, cut->phases), stream, *p, *cut);
    return true;
}

template <class F> static bool launch_strips(void *stream, const struct product *p)
{
    const uint32_t processors = lane_processors();
    struct strip_cut narrow, wide;
    const uint64_t cost = find_cut<F, 32>(p, processors, UINT64_MAX, &narrow);
    if (p->cols > 32 && find_cut<F, 64>(p, processors, cost, &wide) < cost)
        return launch_cut<F, 64>(stream, p, &wide, processors);
    return launch_cut<F, 32>(stream, p, &narrow, processors);
}

/* With fewer columns most of the unit's work would be nobody's. */
#define COLS_LEAST 17u
#define COLS_MOST  64u
bool product_by_strips(void *stream, uint32_t type, const struct product *p)
{
    if (!group_is_had() || p->chosen || p->cols < COLS_LEAST || p->cols > COLS_MOST)
        return false;
    switch (type) {
#define E(name, input, ...)                                                                                            \
    case GGUF_TENSOR_##name:                                                                                           \
        if constexpr (input == QUANT_WIDE)                                                                             \
            return launch_strips<format_of<GGUF_TENSOR_##name>>(stream, p);                                            \
        return false;
        REPACK_LIST(E)
#undef E
    default:
        return false;
    }
}
