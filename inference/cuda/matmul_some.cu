/* Products with some columns, 2 to 64, as several answers are written at once: by the unit for matrices, and so that
 * neither it nor memory waits for long. A block of threads has few rows, so that a matrix fills the GPU; its warps
 * work on different runs of them at once.
 *
 * The warps of a block are `phases` groups; group i has runs i, i + phases... A group has `tiles` times 32 rows and
 * `spans` times 8 x eights columns, a warp for each. It copies its next run while it multiplies this one, both in
 * shared memory of its own, and adds what it gets to the block's totals when the group of the run before it has: so
 * the order is the arithmetic's, left to right. Barriers are of a group, or between two of them. */
#include "inference/cuda/matmul.cuh"
#include "inference/cuda/products.cuh"

#define WARPS_MOST 16u /* of a block: 128 registers a thread */
#define COLS_MOST  64u /* of a block */

/* How a block is cut. */
struct some_shape {
    uint32_t tiles, spans, phases;
};

/* -- shared memory: totals, columns, then two runs of each group -- */

template <class F, uint32_t eights> static __host__ __device__ inline size_t some_bytes(struct some_shape shape)
{
    const uint32_t cols = shape.spans * eights * 8;
    return shape.tiles * WARP * cols * 4 + 2 * COLS_MOST * 4 +
           (size_t)2 * shape.phases * stage_bytes<F>(shape.tiles, cols);
}

/* A thread's block, its part of it, and its group. */
struct some {
    struct some_shape shape;
    uint32_t lane, warp, phase, member; /* of the warps; member of the group */
    uint32_t tile, cols, group;         /* 32 rows of the matrix; of the block; threads of the group */
    float4 *total;                      /* [tiles, spans, 2 eights, 32] */
    uint32_t *to, *from;                /* [cols] column of the result; where its runs begin in the input */
    uint8_t *room;                      /* of the group: two runs */
};

template <class F, uint32_t eights> LANE struct some some_of(uint8_t *shared, struct some_shape shape, uint32_t rows)
{
    struct some b;
    const uint32_t tiles = (rows + REPACK_ROWS - 1) / REPACK_ROWS, members = shape.tiles * shape.spans;
    b.shape = shape;
    b.lane = threadIdx.x % WARP;
    b.warp = threadIdx.x / WARP;
    b.phase = b.warp / members;
    b.member = b.warp % members;
    b.cols = shape.spans * eights * 8;
    b.group = members * WARP;
    b.tile = min(blockIdx.x * shape.tiles + b.member % shape.tiles, tiles - 1);
    b.total = (float4 *)shared;
    b.to = (uint32_t *)(shared + shape.tiles * WARP * b.cols * 4);
    b.from = b.to + COLS_MOST;
    b.room = (uint8_t *)(b.from + COLS_MOST) + b.phase * 2 * stage_bytes<F>(shape.tiles, b.cols);
    return b;
}

/* Behind the last column the last. */
LANE void list_columns(const struct product *p, const struct product_part *part, uint32_t first, const struct some *b)
{
    for (uint32_t i = threadIdx.x; i < b->cols; i += blockDim.x) {
        b->to[i] = product_to(p, part, min(first + i, part->cols - 1));
        b->from[i] = product_from(p, b->to[i]) * p->runs;
    }
}

/* -- copies of run r, begun -- */

/* The warp's rows, if it is the first of the group that has them. */
template <class F>
LANE void copy_weights(const uint8_t *w, uint32_t runs, const struct some *b, uint8_t *room, uint32_t r)
{
    const uint8_t *from = w + ((size_t)b->tile * runs + r) * F::run_bytes + b->lane * 16;
    uint8_t *to = room + b->member * F::run_bytes + b->lane * 16;
    if (b->member >= b->shape.tiles)
        return;
    LANE_UNROLL
    for (uint32_t i = 0; i < F::codes + F::heads; i++)
        lane_copy16(to + i * WARP * 16, from + i * WARP * 16);
    if (F::tail && b->lane < 2 * F::tail)
        lane_copy16(to + (F::codes + F::heads) * WARP * 16, from + (F::codes + F::heads) * WARP * 16);
}

/* The group's columns, each warp a share: of 8 columns 16 lanes have one. Where columns are is read for several at
 * once, since a copy's address waits for it. */
#define COPIES_AT_ONCE 4u
template <class F>
LANE void copy_columns(const struct product *p, const struct some *b, const struct stage<F> *s, uint32_t r)
{
    const uint32_t thread = b->member * WARP + b->lane, piece = thread % 16 * 16, step = b->group / 16;
    const int8_t *q = p->in.q + piece;
    LANE_UNROLL_BY(1)
    for (uint32_t c = thread / 16; c < b->cols; c += COPIES_AT_ONCE * step) {
        uint32_t at[COPIES_AT_ONCE];
        LANE_UNROLL
        for (uint32_t i = 0; i < COPIES_AT_ONCE; i++)
            at[i] = b->from[min(c + i * step, b->cols - 1)] + r;
        LANE_UNROLL
        for (uint32_t i = 0; i < COPIES_AT_ONCE; i++)
            if (c + i * step < b->cols)
                lane_copy16_near(s->q + (c + i * step) * COLUMN_STRIDE + piece, q + (size_t)at[i] * ARITH_RUN);
    }
    LANE_UNROLL_BY(1)
    for (uint32_t i = thread; i < b->cols * 2; i += b->group) {
        const size_t at = b->from[i / 2] + r;
        if constexpr (F::has_min)
            lane_copy16_near(s->sums + i * 8, (const uint16_t *)product_sums<F>(p, at) + i % 2 * 8);
        if constexpr (F::is_narrow)
            lane_copy16_near(s->s + i * 4, p->in.s + at * RUN_BLOCKS + i % 2 * 4);
        else if (i % 2 == 0)
            lane_copy4(s->s + i / 2, p->in.s + at);
    }
}

/* -- barriers -- */

/* All copies of the group's run are there, and none of its warps still reads the one before. */
LANE void meet_group(const struct some *b)
{
    lane_copy_wait<0>();
    if (b->group == WARP)
        __syncwarp();
    else
        lane_meet(1 + b->shape.phases + b->phase, b->group);
}
/* Totals have the run before; the next group may add its own. */
LANE void await_turn(const struct some *b)
{
    if (b->shape.phases > 1)
        lane_meet(1 + b->phase, 2 * b->group);
}
LANE void pass_turn(const struct some *b)
{
    if (b->shape.phases > 1)
        lane_arrive(b->phase + 1 == b->shape.phases ? 1 : b->phase + 2, 2 * b->group);
}

/* -- the kernel -- */

/* Turns of a group that the second cache is ahead of it. */
#define TURNS_AHEAD 3u
template <class F> LANE void fetch_run(const uint8_t *w, uint32_t runs, const struct some *b, uint32_t r)
{
    if (b->member < b->shape.tiles && b->lane == 0 && r < runs && blockIdx.y == 0)
        lane_fetch(w + ((size_t)b->tile * runs + r) * F::run_bytes, F::run_bytes);
}

/* What is ahead of the columns: the group's first run begins to come to shared memory, further ones to the second
 * cache. Of experts nobody knows yet which. */
template <class F> LANE void fetch_ahead(const struct product *p, const struct some *b, const uint8_t *w)
{
    if (b->phase < p->runs)
        copy_weights<F>(w, p->runs, b, b->room, b->phase);
    LANE_UNROLL
    for (uint32_t i = 1; i < TURNS_AHEAD; i++)
        fetch_run<F>(w, p->runs, b, b->phase + i * b->shape.phases);
}

/* The warp's fragments of the totals, behind each other. */
template <uint32_t eights> LANE float4 *totals_of(const struct some *b)
{
    return b->total + b->member * 2 * eights * WARP + b->lane;
}

template <uint32_t eights>
LANE void add_run(const struct some *b, uint32_t r, uint32_t runs, const float run[2][eights][4])
{
    float4 *total = totals_of<eights>(b);
    if (r)
        await_turn(b);
    LANE_UNROLL
    for (uint32_t i = 0; i < 2 * eights; i++) {
        const float *v = run[i / eights][i % eights];
        float4 t = r ? total[i * WARP] : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        total[i * WARP] = make_float4(t.x + v[0], t.y + v[1], t.z + v[2], t.w + v[3]);
    }
    if (r + 1 < runs)
        pass_turn(b);
}

template <class F, uint32_t eights>
LANE void multiply_runs(const struct product *p, const uint8_t *w, const struct some *b, bool has_weights)
{
    const uint32_t bytes = stage_bytes<F>(b->shape.tiles, b->cols);
    struct place at = {nullptr, 0, b->member / b->shape.tiles * eights * 8, b->lane / 4, b->lane % 4};
    for (uint32_t r = b->phase, turn = 0; r < p->runs; r += b->shape.phases, turn ^= 1) {
        struct stage<F> s = stage_at<F>(b->room + turn * bytes, b->shape.tiles, b->cols);
        if (r == b->phase) {
            if (!has_weights)
                copy_weights<F>(w, p->runs, b, s.w, r);
            copy_columns<F>(p, b, &s, r);
            lane_copy_end();
        }
        meet_group(b);
        if (r + b->shape.phases < p->runs) {
            struct stage<F> next = stage_at<F>(b->room + (turn ^ 1) * bytes, b->shape.tiles, b->cols);
            copy_weights<F>(w, p->runs, b, next.w, r + b->shape.phases);
            copy_columns<F>(p, b, &next, r + b->shape.phases);
        }
        lane_copy_end();
        fetch_run<F>(w, p->runs, b, r + TURNS_AHEAD * b->shape.phases);
        float run[2][eights][4];
        at.run = s.w + b->member % b->shape.tiles * F::run_bytes;
        run_terms<F, 2, eights>(&s, &at, run);
        add_run<eights>(b, r, p->runs, run);
    }
}

/* Puts the block's totals, each warp other fragments; what they are added to is read while the last run is awaited. */
#define PUT_AT_ONCE 4u
template <uint32_t eights> LANE void put_totals(const struct product *p, const struct some *b, uint32_t left)
{
    const struct product_matrix m = product_matrix_of(p);
    const uint32_t all = b->shape.tiles * b->shape.spans * 2 * eights, warps = blockDim.x / WARP;
    bool is_done = false;
    for (uint32_t first = b->warp; first < all || !is_done; first += PUT_AT_ONCE * warps) {
        float *out[PUT_AT_ONCE][4], old[PUT_AT_ONCE][4], bias[PUT_AT_ONCE][4];
        LANE_UNROLL
        for (uint32_t j = 0; j < 4 * PUT_AT_ONCE; j++) {
            const uint32_t i = first + j / 4 * warps, o = j % 4, member = i / (2 * eights), tile = i / eights % 2,
                           c = (member / b->shape.tiles * eights + i % eights) * 8 + b->lane % 4 * 2 + o % 2,
                           r = (blockIdx.x * b->shape.tiles + member % b->shape.tiles) * WARP + tile * 16 + o / 2 * 8 +
                               b->lane / 4;
            const bool is_there = i < all && r < m.rows && c < left;
            out[j / 4][o] = is_there ? m.out + (size_t)b->to[c] * m.rows + r : nullptr;
            old[j / 4][o] = is_there && p->adds ? *out[j / 4][o] : 0.0f;
            bias[j / 4][o] = is_there && m.bias ? m.bias[r] : 0.0f;
        }
        if (!is_done)
            __syncthreads();
        is_done = true;
        LANE_UNROLL
        for (uint32_t j = 0; j < 4 * PUT_AT_ONCE; j++) {
            if (!out[j / 4][j % 4])
                continue;
            float sum = ((const float *)(b->total + (first + j / 4 * warps) * WARP + b->lane))[j % 4];
            sum = m.bias ? sum + bias[j / 4][j % 4] : sum;
            *out[j / 4][j % 4] = p->adds ? old[j / 4][j % 4] + sum : sum;
        }
    }
}

template <class F, uint32_t eights>
static __global__ void __launch_bounds__(WARPS_MOST *WARP) multiply_some(struct product p, struct some_shape shape)
{
    LANE_SHARED(uint8_t, shared);
    const struct product_matrix m = product_matrix_of(&p);
    const struct some b = some_of<F, eights>(shared, shape, m.rows);
    const bool is_here = blockIdx.x * shape.tiles * REPACK_ROWS < m.rows, is_known = !p.chosen;
    if (is_here && is_known)
        fetch_ahead<F>(&p, &b, m.w);
    lane_wait();
    const struct product_part part = product_part_of(&p);
    const uint32_t first = blockIdx.y * b.cols;
    if (!is_here || first >= part.cols)
        return;
    list_columns(&p, &part, first, &b);
    __syncthreads();
    multiply_runs<F, eights>(&p, part.w, &b, is_known);
    lane_next();
    put_totals<eights>(&p, &b, part.cols - first);
}

/* -- how a block is cut -- */

/* Runs that a block has under way: as its shared memory, its warps and barriers 1 to 15 allow, of `resident` blocks on
 * a processor; in equal turns. 0: there is no room. */
template <class F, uint32_t eights>
static uint32_t phases_of(const struct product *p, struct some_shape shape, uint32_t resident)
{
    const uint32_t members = shape.tiles * shape.spans, warps = WARPS_MOST / resident;
    const size_t room = (lane_shared_most() + LANE_SHARED_KEPT) / resident - LANE_SHARED_KEPT;
    uint32_t phases = members == 1 ? 8 : 7;
    phases = phases * members > warps ? warps / members : phases;
    for (shape.phases = phases; shape.phases && some_bytes<F, eights>(shape) > room; shape.phases--)
        ;
    if (shape.phases == 0)
        return 0;
    const uint32_t turns = (p->runs + shape.phases - 1) / shape.phases;
    return (p->runs + turns - 1) / turns;
}

/* Of a run of all blocks. */
#define ISSUED 3u /* a cycle, of 4 */
template <class F, uint32_t eights>
static uint64_t some_cost(const struct product *p, struct some_shape shape, uint32_t cols, uint32_t processors)
{
    const uint32_t wide = shape.spans * eights * 8, slots = shape.tiles * shape.spans * (120 + 260 * eights);
    const uint64_t blocks = product_row_blocks(p, shape.tiles * REPACK_ROWS) * ((cols + wide - 1) / wide),
                   turns = (blocks + processors - 1) / processors, bytes = stage_bytes<F>(shape.tiles, wide);
    const uint64_t all = blocks * bytes / (CACHE_BYTES * processors), own = turns * bytes / OWN_BYTES,
                   issue = turns * slots / ISSUED;
    return product_cost(all, own, issue);
}

template <class F, uint32_t eights> static void launch_some(void *stream, const struct product *p, uint32_t cols)
{
    const uint32_t processors = lane_processors(), rows = product_rows(p);
    struct some_shape best = {0, 0, 0};
    uint64_t least = UINT64_MAX;
    for (uint32_t tiles = 1; tiles <= 4; tiles *= 2)
        for (uint32_t spans = 1; spans * eights * 8 <= COLS_MOST && (spans == 1 || spans * eights * 4 < cols);
             spans *= 2) {
            struct some_shape shape = {tiles, spans, 0};
            const uint64_t cost = some_cost<F, eights>(p, shape, cols, processors);
            if (cost < least && phases_of<F, eights>(p, shape, 1)) {
                best = shape;
                least = cost;
            }
        }
    const uint32_t wide = best.spans * eights * 8;
    dim3 grid((rows + best.tiles * REPACK_ROWS - 1) / (best.tiles * REPACK_ROWS), (p->cols + wide - 1) / wide, p->z);
    best.phases = phases_of<F, eights>(p, best, 1);
    const uint64_t blocks = product_row_blocks(p, best.tiles * REPACK_ROWS) * grid.y,
                   turns = (blocks + processors - 1) / processors, pairs = (turns + 1) / 2;
    const uint32_t half = phases_of<F, eights>(p, best, 2);
    if (2 * half >= best.phases && 2 * pairs <= turns) /* two blocks on a processor: one begins while the other works */
        best.phases = half;
    launch(multiply_some<F, eights>, grid, dim3(best.tiles * best.spans * best.phases * WARP),
           some_bytes<F, eights>(best), stream, *p, best);
}

template <class F> static void launch_any(void *stream, const struct product *p, uint32_t cols)
{
    if (cols <= 8)
        launch_some<F, 1>(stream, p, cols);
    else if (cols <= 16 || F::is_grid) /* a warp with 32 columns and a table would keep registers in memory */
        launch_some<F, 2>(stream, p, cols);
    else if constexpr (!F::is_grid)
        launch_some<F, 4>(stream, p, cols);
}

void product_some(void *stream, uint32_t type, const struct product *p, uint32_t cols)
{
    switch (type) {
#define E(name, input, ...)                                                                                            \
    case GGUF_TENSOR_##name:                                                                                           \
        launch_any<format_of<GGUF_TENSOR_##name>>(stream, p, cols);                                                    \
        return;
        REPACK_LIST(E)
#undef E
    default:
        return;
    }
}
