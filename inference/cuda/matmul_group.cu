/* Products with more than 64 columns on Hopper, whose unit for matrices is used whole only by groups of four warps that
 * let it work in the background (lane_group.h). Wide formats whose weights times their scales are two planes of 8 bits:
 * so a run of 256 is nothing but products, and the int32 sums of its planes are made one or two terms behind it.
 *
 * A block takes one tile of 128 rows and 128 columns after the other, and has three groups. One copies runs to shared
 * memory, as far ahead as there are stages, over the ends of tiles. The other two have 64 rows each and begin half of
 * a run's products apart, so that one makes floats of its sums while the other's products run. Runs are counted through
 * all tiles of a block. */
#include "inference/cuda/fragments.cuh"
#include "inference/cuda/lane_group.h"
#include "inference/cuda/products.cuh"

#define SHARED_BYTES (227u << 10) /* of a block, on Hopper */
#define GROUPS       2u           /* that multiply */
#define THREADS      ((GROUPS + 1) * GROUP)
#define TILES        4u /* of 32 rows in a block */
#define ROWS         (TILES * REPACK_ROWS)
#define COLS         GROUP_COLS
#define NT           (COLS / 8)
#define SLAB         (COLS * SLAB_BYTES)
#define STAGES_MOST  4u
#define LAG          1u /* runs on their way behind the one that is said to be there */

/* Registers of a thread that multiplies, and of one that copies: together what a block of THREADS has. */
#define REGISTERS_MANY 240
#define REGISTERS_FEW  24

/* -- barriers: a run is in its stage (for each group), both are done with it, a group may begin, all that copy -- */
LANE uint32_t is_full(uint32_t stage, uint32_t group)
{
    return 1 + stage * GROUPS + group;
}
LANE uint32_t is_empty(uint32_t stage)
{
    return 1 + STAGES_MOST * GROUPS + stage;
}
LANE uint32_t has_turn(uint32_t group)
{
    return 1 + STAGES_MOST * (GROUPS + 1) + group;
}
#define COPIES_MEET 15u

/* -- a run in shared memory -- */

struct stage {
    uint8_t *q; /* two slabs */
    uint8_t *w;
    uint16_t *sums; /* [cols, 16] binary16; piece i of column c in place i exclusive-or c / 4 % 2 */
    float *s;       /* [cols] */
};
template <class F> static __host__ __device__ constexpr uint32_t stage_bytes(void)
{
    return (2 * SLAB + TILES * F::run_bytes + COLS * ((F::has_min ? 32 : 0) + 4) + 1023) / 1024 * 1024;
}

/* What lies in front of the stages: of a tile's columns, which of the result each is, and where its runs begin in the
 * input. They are written when its copying begins, as many runs as there are stages ahead of when the last group puts
 * down the tile's totals. */
template <class F> struct front {
    static constexpr uint32_t slots = STAGES_MOST + 2;
    uint32_t to[slots][COLS], runs[2][COLS];
};
template <class F> struct stages_of {
    static constexpr uint32_t most = (SHARED_BYTES - sizeof(struct front<F>) - 1024) / stage_bytes<F>(),
                              n = most < STAGES_MOST ? most : STAGES_MOST,
                              shared = sizeof(struct front<F>) + 1024 + n * stage_bytes<F>();
    static_assert(n >= LAG + 2, "a run is copied while two groups are at two others");
};
template <class F> LANE uint8_t *first_stage(uint8_t *shared)
{
    uint8_t *first = shared + sizeof(struct front<F>);
    return first + (1024 - lane_shared_at(first) % 1024) % 1024;
}
/* Of run k of all. */
template <class F> LANE struct stage stage_at(uint8_t *first, uint32_t k)
{
    struct stage s;
    s.q = first + k % stages_of<F>::n * stage_bytes<F>();
    s.w = s.q + 2 * SLAB;
    s.sums = (uint16_t *)(s.w + TILES * F::run_bytes);
    s.s = (float *)(s.sums + (F::has_min ? COLS * 16 : 0));
    return s;
}

/* -- tiles -- */

struct tiles {
    uint32_t rows, cols; /* how many, of a matrix */
};
struct tile {
    struct product_matrix matrix;
    struct product_part part;
    uint32_t row, col; /* where it begins */
};
/* Tile i of all; false if it is behind the matrix's rows or columns. */
LANE bool tile_at(const struct product *p, struct tiles all, uint32_t i, struct tile *t)
{
    const uint32_t z = i / (all.rows * all.cols);
    t->matrix = product_matrix_at(p, z);
    t->part = product_part_at(p, z);
    t->row = i % all.rows * ROWS;
    t->col = i / all.rows % all.cols * COLS;
    return t->row < t->matrix.rows && t->col < t->part.cols;
}

/* -- the group that copies -- */

/* Run r of a tile, whose rows begin at w. Each of the group's warps has 32 rows; of each 8 columns 16 lanes have one.
 */
template <class F>
LANE void copy_run(const struct product *p, const uint8_t *w, const uint32_t *runs, const struct stage *s, uint32_t r)
{
    const uint32_t pieces = F::run_bytes / 16, i0 = threadIdx.x % GROUP, lane = i0 % WARP, piece = i0 % 16;
    uint8_t *rows = s->w + i0 / WARP * F::run_bytes + lane * 16, *columns = s->q + piece / 8 * SLAB;
    w += (size_t)r * F::run_bytes + lane * 16;
    LANE_UNROLL
    for (uint32_t i = 0; i < pieces; i += WARP)
        if (i + WARP <= pieces || i + lane < pieces)
            lane_copy16(rows + i * 16, w + i * 16);
    columns += slab_piece(i0 / 16, piece % 8);
    LANE_UNROLL
    for (uint32_t i = 0; i < COLS; i += 8) {
        size_t run = runs[i + i0 / 16] + r;
        lane_copy16(columns + i * SLAB_BYTES, p->in.q + run * ARITH_RUN + piece * 16);
    }
    const size_t run = runs[i0] + r;
    if constexpr (F::has_min)
        for (uint32_t i = 0; i < 2; i++)
            lane_copy16(s->sums + i0 * 16 + (i ^ i0 / 4 % 2) * 8, p->in.halves + run * 16 + i * 8);
    lane_copy4(s->s + i0, p->in.s + run);
}

/* Run k is there. */
template <class F> LANE void say_full(uint32_t k)
{
    lane_publish();
    for (uint32_t group = 0; group < GROUPS; group++)
        lane_arrive(is_full(k % stages_of<F>::n, group), 2 * GROUP);
}

/* The tile's runs, of which the first is run k; returns which is the next tile's. Behind the last rows stand copies. */
template <class F>
LANE uint32_t copy_tile(const struct product *p, const struct tile *t, const uint32_t *runs, uint8_t *first, uint32_t k)
{
    const uint32_t packs = (t->matrix.rows + REPACK_ROWS - 1) / REPACK_ROWS,
                   pack = min(t->row / REPACK_ROWS + threadIdx.x % GROUP / WARP, packs - 1);
    const uint8_t *w = t->part.w + (size_t)pack * p->runs * F::run_bytes;
    for (uint32_t r = 0; r < p->runs; r++, k++) {
        struct stage s = stage_at<F>(first, k);
        if (k >= stages_of<F>::n)
            lane_meet(is_empty(k % stages_of<F>::n), THREADS);
        copy_run<F>(p, w, runs, &s, r);
        lane_copy_end();
        lane_copy_wait<LAG>();
        if (k >= LAG)
            say_full<F>(k - LAG);
    }
    return k;
}

template <class F> LANE void copy_tiles(const struct product *p, struct tiles all, struct front<F> *c, uint8_t *first)
{
    const uint32_t col = threadIdx.x % GROUP;
    uint32_t k = 0, seen = 0;
    for (uint32_t i = blockIdx.x; i < all.rows * all.cols * p->z; i += gridDim.x) {
        struct tile t;
        if (!tile_at(p, all, i, &t))
            continue;
        uint32_t *to = c->to[seen % c->slots], *runs = c->runs[seen % 2];
        to[col] = product_to(p, &t.part, min(t.col + col, t.part.cols - 1));
        runs[col] = product_from(p, to[col]) * p->runs;
        seen++;
        lane_meet(COPIES_MEET, GROUP);
        k = copy_tile<F>(p, &t, runs, first, k);
    }
    lane_copy_wait<0>();
    for (uint32_t last = k < LAG ? k : LAG; last > 0; last--)
        say_full<F>(k - last);
    for (uint32_t last = k < stages_of<F>::n ? k : stages_of<F>::n; last > 0; last--)
        lane_meet(is_empty((k - last) % stages_of<F>::n), THREADS);
}

/* -- a group that multiplies -- */

struct place {
    const uint8_t *run; /* of this warp's 32 rows, of which it has 16 from `row` on */
    uint32_t row, g, t;
};

/* How weights times scales become bytes. Scales for 32 of Q4_K and Q5_K are 8 high + low, so that both times a weight
 * of 5 bits are bytes without a sign; the others are as fragments.cuh has them, IQ4_XS in 16 bits as Q6_K. */
template <class F> struct planes {
    static constexpr bool is_split = fragments<F>::way == FRAGMENT_SCALED && !F::has_table,
                          is_one = fragments<F>::way == FRAGMENT_FOLDED, /* and has no high plane */
        low_has_sign = is_one, high_has_sign = !is_split;
    static constexpr int worth = is_split ? 8 : 256; /* of the high plane's sums */
};

/* Scales for 32 of rows g and g + 8, a byte each. */
struct scales {
    uint32_t low[2][2], high[2][2];
};
template <class F> LANE void load_scales(const struct place *at, struct scales *s)
{
    if constexpr (F::sub == 32)
        LANE_UNROLL
    for (uint32_t i = 0; i < 4; i++) { /* row, half of the run */
        uint32_t all = (uint32_t)(scales_of_run<F>(at->run, at->row + i / 2 * 8 + at->g) >> i % 2 * 32);
        s->low[i / 2][i % 2] = planes<F>::is_split ? all & 0x07070707u : all;
        s->high[i / 2][i % 2] = all >> 3 & 0x07070707u;
    }
}
/* That of block b. */
LANE uint32_t scale_of(const uint32_t scales[2], uint32_t b)
{
    return __byte_perm(scales[b / 4], 0, 0x4440u + b % 4);
}

/* a of block b, in two planes. */
template <class F>
LANE void load_planes(const struct place *at, const struct scales *s, uint32_t b, uint32_t low[4], uint32_t high[4])
{
    LANE_UNROLL
    for (uint32_t half = 0; half < 2; half++) {
        const uint32_t row = at->row + half * 8 + at->g;
        const uint2 q = code_quads<F>(at->run, row, at->t, b);
        if constexpr (planes<F>::is_split) {
            uint32_t l = scale_of(s->low[half], b), h = scale_of(s->high[half], b);
            low[half] = q.x * l, low[2 + half] = q.y * l;
            high[half] = q.x * h, high[2 + half] = q.y * h;
        } else if constexpr (F::has_table) {
            uint32_t scale = scale_of(s->low[half], b);
            plane_quads<128>(q.x ^ 0x80808080u, sub_scale<F>(&scale, 0), &low[half], &high[half]);
            plane_quads<128>(q.y ^ 0x80808080u, sub_scale<F>(&scale, 0), &low[2 + half], &high[2 + half]);
        } else {
            uint32_t scale = scales_of_sixteens<F>(at->run, row, b / 2) >> b % 2 * 16;
            int first = sub_scale<F>(&scale, 0), second = sub_scale<F>(&scale, 1);
            if constexpr (planes<F>::is_one) {
                low[half] = folded_quad<F>(q.x, first), low[2 + half] = folded_quad<F>(q.y, second);
            } else {
                plane_quads<F::offset>(q.x, first, &low[half], &high[half]);
                plane_quads<F::offset>(q.y, second, &low[2 + half], &high[2 + half]);
            }
        }
    }
}

/* Begins the run's products when it is this group's turn. A block's fragments are made while two blocks before it are
 * multiplied, into registers that the third before it has left. Halfway the other group may begin, too: in step, both
 * would take codes apart at one time and make floats at another. */
template <class F>
LANE void begin_sums(const struct stage *s, const struct place *at, uint32_t group, bool waits,
                     int32_t low[GROUP_PARTS], int32_t high[GROUP_PARTS])
{
    const uint64_t slab = slab_at(s->q);
    uint32_t a[3][2][4];
    struct scales scales;
    load_scales<F>(at, &scales);
    load_planes<F>(at, &scales, 0, a[0][0], a[0][1]);
    if (waits)
        lane_meet(has_turn(group), GROUPS * GROUP);
    LANE_UNROLL
    for (uint32_t b = 0; b < RUN_BLOCKS; b++) {
        const uint64_t columns = slab_further(slab, b / 4 * SLAB + b % 4 * 32);
        lane_group_begin();
        lane_group_mma<!planes<F>::low_has_sign>(low, a[b % 3][0], columns, b != 0);
        if constexpr (!planes<F>::is_one)
            lane_group_mma<!planes<F>::high_has_sign>(high, a[b % 3][1], columns, b != 0);
        lane_group_end();
        if (b + 1 < RUN_BLOCKS) {
            load_planes<F>(at, &scales, b + 1, a[(b + 1) % 3][0], a[(b + 1) % 3][1]);
            lane_group_wait<1>();
        }
        if (b + 1 == RUN_BLOCKS / 2)
            lane_arrive(has_turn(1 - group), GROUPS * GROUP);
    }
}

/* Minimums of 16 as a of lane_mma_halves; with minimums for 32 those of 2 t and 2 t + 1 are the one of block t. */
template <class F> LANE void load_mins(const struct place *at, uint32_t a[4])
{
    LANE_UNROLL
    for (uint32_t half = 0; half < 2; half++) {
        uint32_t scale[4], min[4];
        struct lane_run<F> w;
        put4(w.head, *(const uint4 *)run_word(at->run, at->row + half * 8 + at->g, 4 * F::codes));
        run_subs<F>(&w, scale, min);
        LANE_UNROLL
        for (uint32_t i = 0; i < 2; i++)
            if constexpr (F::sub == 32) {
                a[2 * i + half] = lane_half_bits((int)(min[i] >> 8 * at->t & 255u)) * 0x10001u;
            } else {
                uint32_t two = (at->t / 2 ? min[2 * i + 1] : min[2 * i]) >> at->t % 2 * 16;
                a[2 * i + half] = lane_half_bits((int)(two & 255u)) | lane_half_bits((int)(two >> 8 & 255u)) << 16;
            }
    }
}

/* b of lane_mma_halves for the 16 columns of n and n + 1. */
LANE void load_sums(const struct stage *s, const struct place *at, uint32_t n, uint32_t b[4])
{
    uint32_t lane = at->g * 4 + at->t, col = n * 8 + lane / 16 * 8 + lane % 8;
    lane_matrices(b, s->sums + col * 16 + (lane / 8 % 2 ^ col / 4 % 2) * 8);
}

/* total += the term, or the two terms, of the run: docs/arithmetic.md, Matrix times vector. */
template <class F>
LANE void add_run(const struct stage *s, const struct place *at, const int32_t low[GROUP_PARTS],
                  const int32_t high[GROUP_PARTS], float total[GROUP_PARTS])
{
    float d[2], m[2] = {0.0f, 0.0f};
    uint32_t a[4];
    LANE_UNROLL
    for (uint32_t half = 0; half < 2; half++) {
        float scale = row_scale<F>(at->run, at->row + half * 8 + at->g, 0);
        d[half] = fragments<F>::is_negated ? -scale : scale;
        if constexpr (F::has_min)
            m[half] = row_min_scale<F>(at->run, at->row + half * 8 + at->g, 0);
    }
    if constexpr (F::has_min)
        load_mins<F>(at, a);
    LANE_UNROLL
    for (uint32_t n = 0; n < NT; n++) {
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
            float run = (d[o / 2] * scale) * (float)sum;
            if constexpr (F::has_min)
                run = run + (m[o / 2] * scale) * mins[o];
            total[n * 4 + o] = total[n * 4 + o] + run;
        }
    }
}

/* The tile's runs from run k on: total = their sum. */
template <class F>
LANE void multiply_tile(uint32_t runs, struct place *at, uint32_t group, uint8_t *first, uint32_t k,
                        float total[GROUP_PARTS])
{
    const uint32_t pack = group * (TILES / GROUPS) + threadIdx.x % GROUP / (2 * WARP);
    LANE_UNROLL
    for (uint32_t i = 0; i < GROUP_PARTS; i++)
        total[i] = 0.0f;
    LANE_UNROLL_BY(1)
    for (uint32_t end = k + runs; k < end; k++) {
        struct stage s = stage_at<F>(first, k);
        int32_t low[GROUP_PARTS], high[GROUP_PARTS];
        at->run = s.w + pack * F::run_bytes;
        lane_meet(is_full(k % stages_of<F>::n, group), 2 * GROUP);
        begin_sums<F>(&s, at, group, k != 0 || group != 0, low, high);
        lane_group_wait<0>();
        add_run<F>(&s, at, low, high, total);
        lane_arrive(is_empty(k % stages_of<F>::n), THREADS);
    }
}

/* What is added to is fetched ahead of the stores, which might change it for all that the compiler knows. */
#define PUT_COLS 4u /* of a lane at a time, two rows of each */
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
            if ((int)((i + j) / 4 * 8 + j % 2) < (int)left[j % 4 / 2])
                old[j] = out[j / 4 * 2 + j % 2][j % 4 / 2 * 8];
        LANE_UNROLL
        for (uint32_t j = 0; j < 2 * PUT_COLS; j++)
            if ((int)((i + j) / 4 * 8 + j % 2) < (int)left[j % 4 / 2])
                out[j / 4 * 2 + j % 2][j % 4 / 2 * 8] = p->adds ? old[j] + total[i + j] : total[i + j];
    }
}

template <class F>
LANE void multiply_tiles(const struct product *p, struct tiles all, uint32_t group, const struct front<F> *c,
                         uint8_t *first)
{
    const uint32_t lane = threadIdx.x % WARP, row = threadIdx.x / WARP * 16;
    struct place at = {nullptr, row % REPACK_ROWS, lane / 4, lane % 4};
    uint32_t k = 0, seen = 0;
    for (uint32_t i = blockIdx.x; i < all.rows * all.cols * p->z; i += gridDim.x) {
        struct tile t;
        float total[GROUP_PARTS];
        if (!tile_at(p, all, i, &t))
            continue;
        multiply_tile<F>(p->runs, &at, group, first, k, total);
        tile_at(p, all, i, &t); /* again: what lies between needs its registers */
        put_totals(p, &t, t.row + row, c->to[seen % c->slots], &at, total);
        k += p->runs;
        seen++;
    }
    if (k && group == 0)
        lane_meet(has_turn(group), GROUPS * GROUP); /* the other's last word */
}

/* -- the kernel -- */

template <class F> LANE void multiply_block(const struct product *p, struct tiles all)
{
    LANE_SHARED(uint8_t, shared);
    struct front<F> *c = (struct front<F> *)shared;
    uint8_t *first = first_stage<F>(shared);
    const uint32_t group = threadIdx.x / GROUP;
    if (group == GROUPS) {
        lane_registers_fewer<REGISTERS_FEW>();
        copy_tiles<F>(p, all, c, first);
    } else {
        lane_registers_more<REGISTERS_MANY>();
        multiply_tiles<F>(p, all, group, c, first);
    }
}

template <class F>
static __global__ void __launch_bounds__(THREADS, 1) multiply_by_groups(struct product p, struct tiles all)
{
    lane_begin();
    if (GROUP_IS_HERE)
        multiply_block<F>(&p, all);
}

/* As many blocks as there are processors, each of which has room for one. */
template <class F> static bool launch_groups(void *stream, const struct product *p)
{
    const struct tiles all = {(product_rows(p) + ROWS - 1) / ROWS, (p->cols + COLS - 1) / COLS};
    const uint32_t n = all.rows * all.cols * p->z, processors = lane_processors();
    launch(multiply_by_groups<F>, dim3(n < processors ? n : processors), dim3(THREADS), stages_of<F>::shared, stream,
           *p, all);
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
        QUANT_BLOCKED_LIST(E)
#undef E
    default:
        return false;
    }
}
