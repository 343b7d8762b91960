/* Products with more than 64 columns on Hopper, whose unit for matrices is used whole only by groups of four warps that
 * let it work in the background (lane_group.h). Wide formats whose weights times their scales are two planes of 8 bits
 * (planes.cuh): so a run of 256 is nothing but products, and the int32 sums of its planes are made one or two terms
 * behind it.
 *
 * A block takes one tile of 128 rows and 128 columns after the other, and has three groups. One fills stages of shared
 * memory with halves of runs, as far ahead as there are stages, over the ends of tiles: columns as they are, weights
 * taken apart. The other two have 64 rows each; they begin all products of a run and wait for nothing but them. Group 1
 * is told of a stage one later than group 0, so it begins half a run behind: one makes floats of its sums while the
 * other's products run. Halves of runs are counted through all tiles of a block. */
#include "inference/cuda/lane_group.h"
#include "inference/cuda/planes.cuh"
#include "inference/cuda/products.cuh"

#define SHARED_BYTES (227u << 10) /* of a block, on Hopper */
#define GROUPS       2u           /* that multiply */
#define THREADS      ((GROUPS + 1) * GROUP)
#define GROUP_ROWS   64u
#define ROWS         (GROUPS * GROUP_ROWS)
#define COLS         GROUP_COLS
#define NT           (COLS / 8)
#define SLAB         (COLS * SLAB_BYTES) /* of columns, and of a plane of rows */
#define HALF_BLOCKS  (RUN_BLOCKS / 2)
#define STAGES       4u
#define LAG          1u /* stages being filled behind the one that group 0 is told of */

static_assert(ROWS == GROUP && COLS == GROUP, "who fills has a row and a column");
static_assert(HALF_BLOCKS * ARITH_BLOCK == SLAB_BYTES, "a slab has half a run");

/* Registers of a thread that multiplies, and of one that fills: together what a block of THREADS is launched with. */
#define REGISTERS_MANY 208
#define REGISTERS_FEW  88

/* -- barriers: a stage is full (for each group), both are done with it, all that fill -- */
LANE uint32_t is_full(uint32_t stage, uint32_t group)
{
    return 1 + stage * GROUPS + group;
}
LANE uint32_t is_empty(uint32_t stage)
{
    return 1 + STAGES * GROUPS + stage;
}
#define FILLERS_MEET 15u

/* -- shared memory: stages, what stands beside the codes of runs, then the fronts of tiles -- */

/* Half a run: a slab of columns, then one of rows for each plane. */
template <class F> static __host__ __device__ constexpr uint32_t stage_bytes(void)
{
    return (1 + planes<F>::n) * SLAB;
}

/* What a run needs behind its products. A group has read it when it is done with a stage of the next run; so there are
 * as many as runs have stages, and one. */
struct beside {
    uint16_t *sums; /* [COLS, 16] binary16; piece i of column c in place i exclusive-or c / 4 % 2 */
    uint16_t *mins; /* [ROWS, 16] */
    float *s;       /* [COLS], in the order of scale_at */
    float *d, *m;   /* [ROWS] */
};
#define BESIDES (STAGES / 2 + 1)
template <class F> static __host__ __device__ constexpr uint32_t beside_bytes(void)
{
    return COLS * 4 + ROWS * 4 + (F::has_min ? (COLS + ROWS) * 32 + ROWS * 4 : 0);
}

/* Of a tile's columns, which of the result each is, and where its runs begin in the input. They are written when its
 * filling begins: up to three tiles ahead of the totals of the last group that puts them down (tiles of one run). */
struct front {
    static constexpr uint32_t slots = BESIDES + 1;
    uint32_t to[slots][COLS], runs[2][COLS];
};

template <class F> struct room {
    static constexpr uint32_t besides = STAGES * stage_bytes<F>(), front_at = besides + BESIDES * beside_bytes<F>(),
                              shared = 1024 + front_at + sizeof(struct front);
    static_assert(shared <= SHARED_BYTES, "a block's shared memory");
};
LANE uint8_t *room_begin(uint8_t *shared)
{
    return shared + (1024 - lane_shared_at(shared) % 1024) % 1024;
}
/* Of half h of all: its slab of columns. */
template <class F> LANE uint8_t *stage_at(uint8_t *room, uint32_t h)
{
    return room + h % STAGES * stage_bytes<F>();
}
/* Of run k of all. */
template <class F> LANE struct beside beside_at(uint8_t *room_, uint32_t k)
{
    uint8_t *at = room_ + room<F>::besides + k % BESIDES * beside_bytes<F>();
    struct beside b = {};
    if constexpr (F::has_min) {
        b.sums = (uint16_t *)at;
        b.mins = b.sums + COLS * 16;
        b.m = (float *)(b.mins + ROWS * 16);
        at = (uint8_t *)(b.m + ROWS);
    }
    b.s = (float *)at;
    b.d = b.s + COLS;
    return b;
}

/* -- tiles -- */

struct tiles {
    uint32_t rows, cols, n; /* how many, of a matrix and of all */
};
struct tile {
    struct product_matrix matrix;
    struct product_part part;
    uint32_t row, col; /* where it begins */
};
/* Tile i of all; false if it is behind the expert's columns. Those of the same rows follow each other: so blocks that
 * are at work together read a part of the weights, and nothing comes from memory twice. Of experts, of which most have
 * fewer columns than the batch, first those of the first columns of each, so that what is missing is at the end. */
LANE bool tile_at(const struct product *p, struct tiles all, uint32_t i, struct tile *t)
{
    uint32_t z = 0, row = i / all.cols, col = i % all.cols;
    if (p->chosen)
        z = i / all.rows % p->z, row = i % all.rows, col = i / all.rows / p->z;
    t->matrix = product_matrix_at(p, z);
    for (; z < p->more_n && row * ROWS >= t->matrix.rows; t->matrix = product_matrix_at(p, ++z))
        row -= (t->matrix.rows + ROWS - 1) / ROWS;
    t->part = product_part_at(p, z);
    t->row = row * ROWS;
    t->col = col * COLS;
    return t->col < t->part.cols;
}
/* The first of this block's tiles from number i on; all.n or more: there is none. */
LANE uint32_t tile_from(const struct product *p, struct tiles all, uint32_t i, struct tile *t)
{
    while (i < all.n && !tile_at(p, all, i, t))
        i += gridDim.x;
    return i;
}

/* -- the group that fills: a thread has a row of the tile, and a column -- */

/* Where the 32 rows of this warp begin, in the GPU's memory. Behind the last rows stand copies. */
template <class F> LANE const uint8_t *rows_of(const struct product *p, const struct tile *t)
{
    const uint32_t packs = (t->matrix.rows + REPACK_ROWS - 1) / REPACK_ROWS,
                   pack = min(t->row / REPACK_ROWS + threadIdx.x % GROUP / WARP, packs - 1);
    return t->part.w + (size_t)pack * p->runs * F::run_bytes;
}

/* What a thread copies next: a piece of 16 bytes of every 16th column, 8 threads one column; and which run of the input
 * the tile's first is of the column whose sums and scale it copies. */
#define PIECES  (SLAB_BYTES / 16)
#define STRIDES (COLS / (GROUP / PIECES))
struct columns {
    const int8_t *q[STRIDES];
    uint32_t own;
};
LANE void load_begins(const struct product *p, const uint32_t *runs, struct columns *c)
{
    const uint32_t thread = threadIdx.x % GROUP;
    c->own = runs[thread];
    LANE_UNROLL
    for (uint32_t i = 0; i < STRIDES; i++)
        c->q[i] = p->in.q + (size_t)runs[i * (GROUP / PIECES) + thread / PIECES] * ARITH_RUN + thread % PIECES * 16;
}
LANE void copy_columns(struct columns *c, uint8_t *stage)
{
    stage += slab_piece(threadIdx.x % GROUP / PIECES, threadIdx.x % PIECES);
    LANE_UNROLL
    for (uint32_t i = 0; i < STRIDES; i++, stage += GROUP / PIECES * SLAB_BYTES) {
        lane_copy16(stage, c->q[i]);
        c->q[i] += SLAB_BYTES;
    }
}

/* Where the scale of a column stands, so that a lane finds those of two products of 8 columns side by side. */
LANE uint32_t scale_at(uint32_t col)
{
    return col / 16 * 16 + col % 8 / 2 * 4 + col / 8 % 2 * 2 + col % 2;
}

/* What stands beside the codes of the column, which is run `run` of the input, and of the row. */
template <class F> LANE void copy_beside(const struct product *p, size_t run, const struct beside *to)
{
    const uint32_t col = threadIdx.x % GROUP;
    if constexpr (F::has_min)
        for (uint32_t i = 0; i < 2; i++)
            lane_copy16(to->sums + col * 16 + (i ^ col / 4 % 2) * 8, p->in.halves + run * 16 + i * 8);
    lane_copy4(to->s + scale_at(col), p->in.s + run);
}
template <class F> LANE void put_beside(const struct lane_run<F> *w, const uint32_t min[4], const struct beside *to)
{
    const uint32_t row = threadIdx.x % GROUP;
    const float d = run_scale<F>(w, 0);
    to->d[row] = fragments<F>::is_negated ? -d : d;
    if constexpr (F::has_min) {
        uint32_t half[8];
        uint4 *mins = (uint4 *)(to->mins + row * 16);
        to->m[row] = run_min_scale<F>(w, 0);
        min_halves<F>(min, half);
        mins[0] = make_uint4(half[0], half[1], half[2], half[3]);
        mins[1] = make_uint4(half[4], half[5], half[6], half[7]);
    }
}

/* Block b of the row, taken apart. */
template <class F>
LANE void put_block(const struct lane_run<F> *w, const struct table *table, const uint32_t scale[4], uint32_t b,
                    uint8_t *stage)
{
    uint32_t low[8], high[8];
    block_planes<F>(w, table, scale, b, low, high);
    LANE_UNROLL
    for (uint32_t i = 0; i < 2; i++) {
        uint8_t *to = stage + SLAB + slab_piece(threadIdx.x % GROUP, b % HALF_BLOCKS * 2 + i);
        *(uint4 *)to = make_uint4(low[4 * i], low[4 * i + 1], low[4 * i + 2], low[4 * i + 3]);
        if constexpr (planes<F>::n == 2)
            *(uint4 *)(to + SLAB) = make_uint4(high[4 * i], high[4 * i + 1], high[4 * i + 2], high[4 * i + 3]);
    }
}

/* Stages up to half h are filled, of n in all: group 0 is told of the one LAG before, group 1 of the one before that.
 */
LANE void say_full(uint32_t h, uint32_t n)
{
    lane_publish();
    LANE_UNROLL
    for (uint32_t group = 0; group < GROUPS; group++)
        if (h >= LAG + group && h - LAG - group < n)
            lane_arrive(is_full((h - LAG - group) % STAGES, group), 2 * GROUP);
}

/* Run r of the tile, which is run k of all, of the rows at `run`; w has its first half, and then that of `next`. */
template <class F>
LANE void fill_run(const struct product *p, struct columns *columns, uint32_t r, uint32_t k, struct lane_run<F> *w,
                   const uint8_t *run, const uint8_t *next, uint8_t *room)
{
    const uint32_t lane = threadIdx.x % WARP;
    const struct beside beside = beside_at<F>(room, k);
    const struct table table = run_table<F>(w); /* the next run's head comes while this one's codes are taken apart */
    uint32_t scale[4] = {0}, min[4];
    run_subs<F>(w, scale, min);
    LANE_UNROLL
    for (uint32_t half = 0; half < 2; half++) {
        const uint32_t h = 2 * k + half;
        uint8_t *stage = stage_at<F>(room, h);
        if (h >= STAGES)
            lane_meet(is_empty(h % STAGES), THREADS);
        copy_columns(columns, stage);
        if (half == 0) {
            copy_beside<F>(p, (size_t)columns->own + r, &beside);
            put_beside<F>(w, min, &beside);
            load_head<F>(w, next, lane);
        }
        lane_copy_end();
        LANE_UNROLL
        for (uint32_t b = half * HALF_BLOCKS; b < (half + 1) * HALF_BLOCKS; b++) {
            put_block<F>(w, &table, scale, b, stage);
            load_codes<F>(w, half == 0 ? run : next, lane, (b + HALF_BLOCKS) % RUN_BLOCKS);
        }
        lane_copy_wait<LAG>();
        say_full(h, h);
    }
}

template <class F> LANE void fill_tiles(const struct product *p, struct tiles all, struct front *front, uint8_t *room)
{
    const uint32_t col = threadIdx.x % GROUP;
    uint32_t k = 0, seen = 0;
    struct tile t;
    struct lane_run<F> w;
    struct columns columns;
    uint32_t i = tile_from(p, all, blockIdx.x, &t);
    if (i < all.n)
        load_row<F>(&w, rows_of<F>(p, &t), threadIdx.x % WARP);
    for (; i < all.n; seen++) {
        tile_at(p, all, i, &t); /* again: what lies between needs its registers */
        const uint8_t *rows = rows_of<F>(p, &t), *later = rows;
        uint32_t *to = front->to[seen % front->slots], *runs = front->runs[seen % 2];
        to[col] = product_to(p, &t.part, min(t.col + col, t.part.cols - 1));
        runs[col] = product_from(p, to[col]) * p->runs;
        lane_meet(FILLERS_MEET, GROUP);
        load_begins(p, runs, &columns);
        i = tile_from(p, all, i + gridDim.x, &t);
        if (i < all.n)
            later = rows_of<F>(p, &t);
        LANE_UNROLL_BY(1)
        for (uint32_t r = 0; r < p->runs; r++, k++) {
            const uint8_t *run = rows;
            rows += F::run_bytes;
            fill_run<F>(p, &columns, r, k, &w, run, r + 1 < p->runs ? rows : later, room);
        }
    }
    const uint32_t n = 2 * k;
    lane_copy_wait<0>();
    for (uint32_t h = n; h < n + LAG + GROUPS - 1; h++)
        say_full(h, n);
    for (uint32_t last = n < STAGES ? n : STAGES; last > 0; last--)
        lane_meet(is_empty((n - last) % STAGES), THREADS);
}

/* -- a group that multiplies -- */

struct place {
    uint32_t row, g, t; /* of this warp's 16 rows in the tile, the first; of the lane */
};

/* Begins the products of half a run; the group's rows are in its part of the slabs. */
template <class F>
LANE void begin_half(const uint8_t *stage, uint32_t group, bool adds, int32_t low[GROUP_PARTS],
                     int32_t high[GROUP_PARTS])
{
    const uint64_t columns = slab_at(stage), rows = slab_at(stage + SLAB + group * GROUP_ROWS * SLAB_BYTES);
    lane_group_begin();
    LANE_UNROLL
    for (uint32_t b = 0; b < HALF_BLOCKS; b++) {
        const uint64_t column = slab_further(columns, b * ARITH_BLOCK);
        lane_group_mma<!planes<F>::low_has_sign>(low, slab_further(rows, b * ARITH_BLOCK), column, adds || b != 0);
        if constexpr (planes<F>::n == 2)
            lane_group_mma<!planes<F>::high_has_sign>(high, slab_further(rows, SLAB + b * ARITH_BLOCK), column,
                                                      adds || b != 0);
    }
    lane_group_end();
}

/* The sums of run k. A stage is said to be empty as soon as its products are done. */
template <class F>
LANE void multiply_run(uint8_t *room, uint32_t k, uint32_t group, int32_t low[GROUP_PARTS], int32_t high[GROUP_PARTS])
{
    LANE_UNROLL
    for (uint32_t half = 0; half < 2; half++) {
        lane_meet(is_full((2 * k + half) % STAGES, group), 2 * GROUP);
        begin_half<F>(stage_at<F>(room, 2 * k + half), group, half != 0, low, high);
    }
    lane_group_wait<1>();
    lane_arrive(is_empty(2 * k % STAGES), THREADS);
    lane_group_wait<0>();
    lane_arrive(is_empty((2 * k + 1) % STAGES), THREADS);
}

/* Begins the sums of minimums times the columns' sums of 16, as bits of binary32. */
LANE void begin_mins(const struct beside *s, const struct place *at, int32_t mins[GROUP_PARTS])
{
    uint32_t a[4];
    LANE_UNROLL
    for (uint32_t i = 0; i < 4; i++)
        a[i] = ((const uint32_t *)(s->mins + (at->row + i % 2 * 8 + at->g) * 16))[i / 2 * 4 + at->t];
    lane_group_begin();
    lane_group_mma_halves(mins, a, sums_at(s->sums));
    lane_group_end();
}

/* total += the term, or the two terms, of the run: docs/arithmetic.md, Matrix times vector. Minimums are multiplied
 * into the registers that the high plane has left, while the sums become floats. */
template <class F>
LANE void add_run(const struct beside *s, const struct place *at, int32_t low[GROUP_PARTS], int32_t high[GROUP_PARTS],
                  float total[GROUP_PARTS])
{
    float d[2], m[2] = {0.0f, 0.0f}, sum[GROUP_PARTS];
    LANE_UNROLL
    for (uint32_t i = 0; i < GROUP_PARTS && planes<F>::n == 2; i++)
        low[i] += high[i] * planes<F>::worth;
    if constexpr (F::has_min)
        begin_mins(s, at, high);
    LANE_UNROLL
    for (uint32_t half = 0; half < 2; half++) {
        d[half] = s->d[at->row + half * 8 + at->g];
        if constexpr (F::has_min)
            m[half] = s->m[at->row + half * 8 + at->g];
    }
    LANE_UNROLL
    for (uint32_t i = 0; i < GROUP_PARTS; i++)
        sum[i] = (float)low[i];
    if constexpr (F::has_min)
        lane_group_wait<0>();
    LANE_UNROLL
    for (uint32_t n = 0; n < NT; n += 2) {
        const float4 two = lane_read_shared((const float4 *)(s->s + n * 8 + 4 * at->t));
        const float scale[4] = {two.x, two.y, two.z, two.w};
        LANE_UNROLL
        for (uint32_t o = 0; o < 8; o++) {
            const uint32_t i = n * 4 + o, row = o / 2 % 2, column = o / 4 * 2 + o % 2;
            float run = (d[row] * scale[column]) * sum[i];
            if constexpr (F::has_min)
                run = run + (m[row] * scale[column]) * __int_as_float(high[i]);
            total[i] = total[i] + run;
        }
    }
}

/* The tile's runs from run k on: total = their sum. */
template <class F>
LANE void multiply_tile(uint32_t runs, const struct place *at, uint32_t group, uint8_t *room, uint32_t k,
                        float total[GROUP_PARTS])
{
    LANE_UNROLL
    for (uint32_t i = 0; i < GROUP_PARTS; i++)
        total[i] = 0.0f;
    LANE_UNROLL_BY(1)
    for (uint32_t end = k + runs; k < end; k++) {
        const struct beside s = beside_at<F>(room, k);
        int32_t low[GROUP_PARTS], high[GROUP_PARTS];
        multiply_run<F>(room, k, group, low, high);
        add_run<F>(&s, at, low, high, total);
    }
}

/* `whole`: the tile's rows and columns are all there, so nothing is asked. What is added to is fetched ahead of the
 * stores, which might change it for all that the compiler knows. */
#define PUT_COLS 16u /* of a lane at a time, two rows of each */
template <bool whole>
LANE void put_totals(const struct product *p, const struct tile *t, uint32_t row, const uint32_t *to,
                     const struct place *at, float total[GROUP_PARTS])
{
    const uint32_t rows = t->matrix.rows, r = row + at->g, all = t->part.cols - t->col - 2 * at->t,
                   left[2] = {r < rows ? all : 0, r + 8 < rows ? all : 0}; /* columns of the two rows */
    if (t->matrix.bias) {
        const float bias[2] = {t->matrix.bias[min(r, rows - 1)], t->matrix.bias[min(r + 8, rows - 1)]};
        LANE_UNROLL
        for (uint32_t i = 0; i < GROUP_PARTS; i++)
            total[i] = total[i] + bias[i % 4 / 2];
    }
    LANE_UNROLL
    for (uint32_t i = 0; i < GROUP_PARTS; i += 2 * PUT_COLS) {
        float *out[PUT_COLS], old[2 * PUT_COLS] = {0.0f};
        LANE_UNROLL
        for (uint32_t j = 0; j < PUT_COLS; j++)
            out[j] = t->matrix.out + (size_t)to[(i / 4 + j / 2) * 8 + 2 * at->t + j % 2] * rows + r;
        LANE_UNROLL
        for (uint32_t j = 0; j < 2 * PUT_COLS && p->adds; j++)
            if (whole || (int)((i + j) / 4 * 8 + j % 2) < (int)left[j % 4 / 2])
                old[j] = out[j / 4 * 2 + j % 2][j % 4 / 2 * 8];
        LANE_UNROLL
        for (uint32_t j = 0; j < 2 * PUT_COLS; j++)
            if (whole || (int)((i + j) / 4 * 8 + j % 2) < (int)left[j % 4 / 2])
                out[j / 4 * 2 + j % 2][j % 4 / 2 * 8] = p->adds ? old[j] + total[i + j] : total[i + j];
    }
}

template <class F>
LANE void multiply_tiles(const struct product *p, struct tiles all, uint32_t group, const struct front *front,
                         uint8_t *room)
{
    const uint32_t lane = threadIdx.x % WARP;
    const struct place at = {threadIdx.x / WARP * 16, lane / 4, lane % 4};
    uint32_t seen = 0;
    struct tile t;
    for (uint32_t i = tile_from(p, all, blockIdx.x, &t); i < all.n; seen++) {
        float total[GROUP_PARTS];
        multiply_tile<F>(p->runs, &at, group, room, seen * p->runs, total);
        tile_at(p, all, i, &t);
        const uint32_t *to = front->to[seen % front->slots];
        if (t.row + ROWS <= t.matrix.rows && t.col + COLS <= t.part.cols)
            put_totals<true>(p, &t, t.row + at.row, to, &at, total);
        else
            put_totals<false>(p, &t, t.row + at.row, to, &at, total);
        i = tile_from(p, all, i + gridDim.x, &t);
    }
}

/* -- the kernel -- */

template <class F> LANE void multiply_block(const struct product *p, struct tiles all)
{
    LANE_SHARED(uint8_t, shared);
    uint8_t *begin = room_begin(shared);
    struct front *front = (struct front *)(begin + room<F>::front_at);
    /* A shuffle lets the compiler see that it is the warp's, not a lane's. */
    const uint32_t group = __shfl_sync(ALL, threadIdx.x / GROUP, 0);
    if (group == GROUPS) {
        lane_registers_fewer<REGISTERS_FEW>();
        fill_tiles<F>(p, all, front, begin);
    } else {
        lane_registers_more<REGISTERS_MANY>();
        multiply_tiles<F>(p, all, group, front, begin);
    }
}

/* The next kernel may begin when all blocks of this one have their input. Where it is this one again, with another
 * format and the same input, it has its input, too: so its blocks begin where these have left a processor, and wait for
 * the kernel ahead behind their work, since whoever comes later counts on that. */
template <class F>
static __global__ void __launch_bounds__(THREADS, 1) multiply_by_groups(struct product p, struct tiles all)
{
    if (!p.is_beside)
        lane_wait();
    lane_next();
    if (GROUP_IS_HERE)
        multiply_block<F>(&p, all);
    if (p.is_beside)
        lane_wait();
}

/* As many blocks as there are processors, each of which has room for one. */
template <class F> static bool launch_groups(void *stream, const struct product *p)
{
    const uint32_t rows = (product_rows(p) + ROWS - 1) / ROWS, cols = (p->cols + COLS - 1) / COLS,
                   n = (p->chosen ? rows * p->z : (uint32_t)product_row_blocks(p, ROWS)) * cols,
                   processors = lane_processors();
    const struct tiles all = {rows, cols, n};
    launch(multiply_by_groups<F>, dim3(n < processors ? n : processors), dim3(THREADS), room<F>::shared, stream, *p,
           all);
    return true;
}

bool product_by_groups(void *stream, uint32_t type, const struct product *p)
{
    if (!group_is_had())
        return false;
    switch (type) {
#define E(name, input, ...)                                                                                            \
    case GGUF_TENSOR_##name:                                                                                           \
        if constexpr (input == QUANT_WIDE)                                                                             \
            return launch_groups<format_of<GGUF_TENSOR_##name>>(stream, p);                                            \
        return false;
        REPACK_LIST(E)
#undef E
    default:
        return false;
    }
}
