/* Products with many columns, as a prompt is read: by the unit for matrices, whose int32 sums are exact, so that only
 * the float operations behind each block are in the arithmetic's order. They, not the unit, are what takes the time
 * (docs/cuda.md counts them).
 *
 * A block of threads has 128 rows and 64 or 128 columns, a warp 32 (or 16) rows and 64 columns. Runs of 256 elements
 * go through shared memory as they are, packed, the next one being copied while this one is multiplied; every warp
 * takes its rows' codes apart itself, in registers. */
#include "inference/cuda/fragments.cuh"
#include "inference/cuda/products.cuh"

#define TILES         4u /* of 32 rows in a block */
#define ROWS          (TILES * REPACK_ROWS)
#define COLS          64u /* of a warp */
#define NT            (COLS / 8)
#define COLUMN_STRIDE 272u /* bytes: 16 more than a run has, so that rows of matrices are in different banks */
#define COLS_MOST     128u /* of a block */
#define THREADS_MOST  256u

/* -- a run in shared memory -- */

template <class F> struct stage {
    uint8_t *w, *q;
    int16_t *sums; /* [cols, 16] */
    float *s;      /* [cols, 8 or 1] */
};
template <class F> static __host__ __device__ inline uint32_t stage_bytes(uint32_t cols)
{
    return TILES * F::run_bytes + cols * (COLUMN_STRIDE + 32 + (F::is_narrow ? 32 : 4));
}
template <class F> LANE struct stage<F> stage_at(uint8_t *shared, uint32_t cols) {
    struct stage<F> s;
    s.w = shared;
    s.q = s.w + TILES * F::run_bytes;
    s.sums = (int16_t *)(s.q + cols * COLUMN_STRIDE);
    s.s = (float *)(s.sums + cols * 16);
    return s;
}

/* Which columns of the result a block has, [cols] at the beginning of shared memory; behind the last ones the last. */
LANE void
list_columns(const struct product *p, const struct product_part *part, uint32_t first, uint32_t cols, uint32_t *to)
{
    for (uint32_t i = threadIdx.x; i < cols; i += blockDim.x)
        to[i] = product_to(p, part, min(first + i, part->cols - 1));
}

/* Begins to copy run r of the block's rows and columns. Behind the last of `tiles` stand copies. */
template <class F>
LANE void stage_copy(const struct product *p, const uint8_t *w, uint32_t tiles, const uint32_t *to,
                     const struct stage<F> *s, uint32_t r, uint32_t cols)
{
    const uint32_t pieces = F::run_bytes / 16;
    for (uint32_t i = threadIdx.x; i < TILES * pieces; i += blockDim.x) {
        uint32_t tile = min(blockIdx.x * TILES + i / pieces, tiles - 1);
        lane_copy16(s->w + i * 16, w + ((size_t)tile * p->runs + r) * F::run_bytes + i % pieces * 16);
    }
    for (uint32_t i = threadIdx.x; i < cols * 16; i += blockDim.x) {
        size_t at = (size_t)product_from(p, to[i / 16]) * p->runs + r;
        lane_copy16(s->q + i / 16 * COLUMN_STRIDE + i % 16 * 16, p->in.q + at * ARITH_RUN + i % 16 * 16);
    }
    for (uint32_t i = threadIdx.x; i < cols * 2; i += blockDim.x) {
        size_t at = (size_t)product_from(p, to[i / 2]) * p->runs + r;
        if constexpr (F::has_min)
            lane_copy16(s->sums + i * 8, p->in.sums + at * 16 + i % 2 * 8);
        if constexpr (F::is_narrow)
            lane_copy16(s->s + i * 4, p->in.s + at * RUN_BLOCKS + i % 2 * 4);
        else if (i % 2 == 0)
            lane_copy4(s->s + i / 2, p->in.s + at);
    }
}

/* -- a warp's part of a run -- */

/* Where a warp is: its rows in a tile of 32, its columns in the block. */
struct place {
    const uint8_t *run; /* of its 32 rows */
    uint32_t row, col, g, t;
};

/* b of block `block` for the 16 columns of n and n + 1. */
template <class F>
LANE void load_columns(const struct stage<F> *s, const struct place *at, uint32_t block, uint32_t n, uint32_t b[4])
{
    uint32_t lane = at->g * 4 + at->t, col = at->col + n * 8 + lane / 16 * 8 + lane % 8;
    lane_matrices(b, s->q + col * COLUMN_STRIDE + block * 32 + lane / 8 % 2 * 16);
}

/* Rows g and g + 8 of tile m. */
LANE uint32_t row_of(const struct place *at, uint32_t m, uint32_t half)
{
    return at->row + m * 16 + half * 8 + at->g;
}

/* a of block b for tile m: weights without scales. */
template <class F> LANE void load_weights(const struct place *at, uint32_t m, uint32_t b, uint32_t a[4])
{
    LANE_UNROLL
    for (uint32_t half = 0; half < 2; half++) {
        uint2 q = code_quads<F>(at->run, row_of(at, m, half), at->t, b);
        a[half] = signed_quad<F>(q.x);
        a[2 + half] = signed_quad<F>(q.y);
    }
}

/* The same times their scales of 16, in one plane or two. */
template <class F>
LANE void load_products(const struct place *at, uint32_t m, uint32_t b, uint32_t low[4], uint32_t high[4])
{
    LANE_UNROLL
    for (uint32_t half = 0; half < 2; half++) {
        uint32_t row = row_of(at, m, half), scale = scales_of_sixteens<F>(at->run, row, b / 2) >> b % 2 * 16;
        uint2 q = code_quads<F>(at->run, row, at->t, b);
        int first = sub_scale<F>(&scale, 0), second = sub_scale<F>(&scale, 1);
        if constexpr (fragments<F>::has_planes) {
            plane_quads<F>(q.x, first, &low[half], &high[half]);
            plane_quads<F>(q.y, second, &low[2 + half], &high[2 + half]);
        } else {
            low[half] = folded_quad<F>(q.x, first);
            low[2 + half] = folded_quad<F>(q.y, second);
        }
    }
}

/* -- narrow formats: total += the run, block by block -- */

template <class F>
LANE void add_terms(const struct stage<F> *s, const struct place *at, uint32_t n, uint32_t b, const float d[2],
                    const float m[2], const int32_t sum[4], float run[4])
{
    LANE_UNROLL
    for (uint32_t j = 0; j < 2; j++) {
        uint32_t col = at->col + n * 8 + 2 * at->t + j;
        float scale = s->s[col * RUN_BLOCKS + b];
        LANE_UNROLL
        for (uint32_t half = 0; half < 2; half++) {
            uint32_t o = 2 * half + j;
            run[o] = run[o] + (d[half] * scale) * lane_float(sum[o]);
            if constexpr (F::has_min) {
                int32_t mins = s->sums[col * 16 + 2 * b] + s->sums[col * 16 + 2 * b + 1];
                run[o] = run[o] + (m[half] * scale) * (float)mins;
            }
        }
    }
}

template <class F> LANE void run_terms(const struct stage<F> *s, const struct place *at, float total[2][NT][4])
{
    float run[2][NT][4] = {{{0.0f}}};
    LANE_UNROLL_BY(1)
    for (uint32_t b = 0; b < RUN_BLOCKS; b++) {
        uint32_t a[2][4];
        float d[2][2], m[2][2];
        LANE_UNROLL
        for (uint32_t tile = 0; tile < 2; tile++) {
            load_weights<F>(at, tile, b, a[tile]);
            LANE_UNROLL
            for (uint32_t half = 0; half < 2; half++) {
                d[tile][half] = row_scale<F>(at->run, row_of(at, tile, half), b);
                if constexpr (F::has_min)
                    m[tile][half] = row_min_scale<F>(at->run, row_of(at, tile, half), b);
            }
        }
        LANE_UNROLL
        for (uint32_t n = 0; n < NT; n += 2) {
            uint32_t columns[4];
            load_columns(s, at, b, n, columns);
            LANE_UNROLL
            for (uint32_t j = 0; j < 4; j++) { /* of the columns, tile */
                int32_t sum[4] = {LANE_ZERO, LANE_ZERO, LANE_ZERO, LANE_ZERO};
                lane_mma(sum, a[j % 2], columns + j / 2 * 2);
                add_terms<F>(s, at, n + j / 2, b, d[j % 2], m[j % 2], sum, run[j % 2][n + j / 2]);
            }
        }
    }
    LANE_UNROLL
    for (uint32_t o = 0; o < 2 * NT * 4; o++)
        total[o / (NT * 4)][o / 4 % NT][o % 4] += run[o / (NT * 4)][o / 4 % NT][o % 4];
}

/* -- wide formats: sums of the run, then one term -- */

/* With scales for 32: sum += scale times the block's sum. */
template <class F> LANE void sum_scaled(const struct stage<F> *s, const struct place *at, int32_t sum[2][NT][4])
{
    uint64_t scales[2][2];
    LANE_UNROLL
    for (uint32_t j = 0; j < 4; j++)
        scales[j / 2][j % 2] = scales_of_run<F>(at->run, row_of(at, j / 2, j % 2));
    LANE_UNROLL_BY(1)
    for (uint32_t b = 0; b < RUN_BLOCKS; b++) {
        uint32_t a[2][4];
        int scale[2][2];
        LANE_UNROLL
        for (uint32_t j = 0; j < 4; j++) { /* tile, half */
            uint32_t word = (uint32_t)scales[j / 2][j % 2];
            scale[j / 2][j % 2] = sub_scale<F>(&word, 0);
            scales[j / 2][j % 2] >>= 8;
        }
        load_weights<F>(at, 0, b, a[0]);
        load_weights<F>(at, 1, b, a[1]);
        LANE_UNROLL
        for (uint32_t n = 0; n < NT; n += 2) {
            uint32_t columns[4];
            load_columns(s, at, b, n, columns);
            LANE_UNROLL
            for (uint32_t j = 0; j < 4; j++) { /* of the columns, tile */
                int32_t part[4] = {0, 0, 0, 0};
                lane_mma(part, a[j % 2], columns + j / 2 * 2);
                LANE_UNROLL
                for (uint32_t o = 0; o < 4; o++)
                    sum[j % 2][n + j / 2][o] += scale[j % 2][o / 2] * part[o];
            }
        }
    }
}

/* With scales for 16 in the products. */
template <class F, uint32_t tiles>
LANE void sum_products(const struct stage<F> *s, const struct place *at, int32_t sum[tiles][NT][4],
                       int32_t high[tiles][NT][4])
{
    LANE_UNROLL_BY(1)
    for (uint32_t b = 0; b < RUN_BLOCKS; b++) {
        uint32_t a[tiles][4], up[tiles][4];
        LANE_UNROLL
        for (uint32_t m = 0; m < tiles; m++)
            load_products<F>(at, m, b, a[m], up[m]);
        LANE_UNROLL
        for (uint32_t n = 0; n < NT; n += 2) {
            uint32_t columns[4];
            load_columns(s, at, b, n, columns);
            LANE_UNROLL
            for (uint32_t j = 0; j < 2 * tiles; j++) {
                uint32_t m = j % tiles, h = j / tiles;
                if constexpr (fragments<F>::has_planes) {
                    lane_mma_bytes(sum[m][n + h], a[m], columns + 2 * h);
                    lane_mma(high[m][n + h], up[m], columns + 2 * h);
                } else {
                    lane_mma(sum[m][n + h], a[m], columns + 2 * h);
                }
            }
        }
    }
}

/* Sums of 16 as b of lane_mma, in two planes of int8: 256 high + low. */
template <class F>
LANE void load_sums(const struct stage<F> *s, const struct place *at, uint32_t n, uint32_t low[2], uint32_t high[2])
{
    uint2 four = *(const uint2 *)(s->sums + (at->col + n * 8 + at->g) * 16 + at->t * 4);
    low[0] = __byte_perm(four.x, four.y, 0x6420);
    high[0] = __byte_perm(four.x, four.y, 0x7531) ^ 0x80808080u; /* small, so one more overflows nothing */
    high[0] = (high[0] + (low[0] >> 7 & 0x01010101u)) ^ 0x80808080u;
    low[1] = high[1] = 0;
}

/* out[4]: sums of minimums times q for tile's rows and the columns of n; exact, below 2^22. */
template <class F>
LANE void sum_mins(const struct stage<F> *s, const struct place *at, const uint32_t a[4], uint32_t n, float out[4])
{
    uint32_t low[2], high[2];
    int32_t sum[4] = {0, 0, 0, 0};
    load_sums<F>(s, at, n, low, high);
    lane_mma(sum, a, high);
    LANE_UNROLL
    for (uint32_t o = 0; o < 4; o++)
        sum[o] = sum[o] * 256 + LANE_ZERO;
    lane_mma(sum, a, low);
    LANE_UNROLL
    for (uint32_t o = 0; o < 4; o++)
        out[o] = lane_float(sum[o]);
}

/* total += the term, or the two terms, of the run. */
template <class F, uint32_t tiles>
LANE void add_run(const struct stage<F> *s, const struct place *at, const int32_t sum[tiles][NT][4],
                  float total[tiles][NT][4])
{
    LANE_UNROLL
    for (uint32_t tile = 0; tile < tiles; tile++) {
        float d[2], m[2];
        uint32_t a[4] = {0, 0, 0, 0};
        LANE_UNROLL
        for (uint32_t half = 0; half < 2; half++) {
            uint32_t row = row_of(at, tile, half);
            d[half] = fragments<F>::is_negated ? -row_scale<F>(at->run, row, 0) : row_scale<F>(at->run, row, 0);
            if constexpr (F::has_min) {
                m[half] = row_min_scale<F>(at->run, row, 0);
                a[half] = mins_of_sixteens<F>(at->run, row, at->t);
            }
        }
        LANE_UNROLL
        for (uint32_t n = 0; n < NT; n++) {
            float mins[4];
            if constexpr (F::has_min)
                sum_mins<F>(s, at, a, n, mins);
            LANE_UNROLL
            for (uint32_t o = 0; o < 4; o++) {
                float scale = s->s[at->col + n * 8 + 2 * at->t + o % 2];
                float run = (d[o / 2] * scale) * (float)sum[tile][n][o];
                if constexpr (F::has_min)
                    run = run + (m[o / 2] * scale) * mins[o];
                total[tile][n][o] = total[tile][n][o] + run;
            }
        }
    }
}

template <class F, uint32_t tiles>
LANE void run_wide(const struct stage<F> *s, const struct place *at, float total[tiles][NT][4])
{
    int32_t sum[tiles][NT][4] = {{{0}}};
    if constexpr (fragments<F>::way == FRAGMENT_SCALED) {
        sum_scaled<F>(s, at, sum);
    } else if constexpr (fragments<F>::has_planes) {
        int32_t high[tiles][NT][4] = {{{0}}};
        sum_products<F, tiles>(s, at, sum, high);
        LANE_UNROLL
        for (uint32_t o = 0; o < tiles * NT * 4; o++)
            sum[o / (NT * 4)][o / 4 % NT][o % 4] += high[o / (NT * 4)][o / 4 % NT][o % 4] * 256;
    } else {
        sum_products<F, tiles>(s, at, sum, sum);
    }
    add_run<F, tiles>(s, at, sum, total);
}

/* -- the kernel -- */

/* `left` columns are there, from the warp's on: to[left]. What is added to is fetched ahead of the stores, which might
 * change it for all that the compiler knows. */
#define PUT_AT_ONCE 16u
template <class F, uint32_t tiles>
LANE void put_totals(const struct product *p, const struct place *at, uint32_t row, const uint32_t *to, uint32_t left,
                     const float total[tiles][NT][4])
{
    const struct product_matrix m = product_matrix_of(p);
    LANE_UNROLL
    for (uint32_t i = 0; i < tiles * NT * 4; i += PUT_AT_ONCE) {
        float *out[PUT_AT_ONCE], old[PUT_AT_ONCE], bias[PUT_AT_ONCE];
        LANE_UNROLL
        for (uint32_t j = 0; j < PUT_AT_ONCE; j++) {
            uint32_t tile = i / (NT * 4), n = (i + j) / 4 % NT, o = j % 4, r = row + tile * 16 + o / 2 * 8 + at->g,
                     c = n * 8 + 2 * at->t + o % 2;
            bool is_there = r < m.rows && c < left;
            out[j] = is_there ? m.out + (size_t)to[c] * m.rows + r : nullptr;
            old[j] = is_there && p->adds ? *out[j] : 0.0f;
            bias[j] = is_there && m.bias ? m.bias[r] : 0.0f;
        }
        LANE_UNROLL
        for (uint32_t j = 0; j < PUT_AT_ONCE; j++) {
            float sum = total[i / (NT * 4)][(i + j) / 4 % NT][j % 4];
            sum = m.bias ? sum + bias[j] : sum;
            if (out[j])
                *out[j] = p->adds ? old[j] + sum : sum;
        }
    }
}

template <class F>
static __global__ void __launch_bounds__(THREADS_MOST) multiply_many(struct product p, uint32_t stages)
{
    lane_wait();
    LANE_SHARED(uint8_t, shared);
    const struct product_part part = product_part_of(&p);
    const uint32_t tiles = fragments<F>::tiles, across = ROWS / (16 * tiles), lane = threadIdx.x % WARP,
                   warp = threadIdx.x / WARP, cols = blockDim.x / WARP / across * COLS,
                   row = warp % across * 16 * tiles, first = blockIdx.y * cols;
    const uint32_t rows = product_matrix_of(&p).rows, packs = (rows + REPACK_ROWS - 1) / REPACK_ROWS;
    if (first >= part.cols || blockIdx.x * ROWS >= rows)
        return;
    struct place at = {nullptr, row % REPACK_ROWS, warp / across * COLS, lane / 4, lane % 4};
    uint32_t *to = (uint32_t *)shared;
    uint8_t *stage0 = shared + COLS_MOST * sizeof *to;
    float total[tiles][NT][4] = {{{0.0f}}};
    list_columns(&p, &part, first, cols, to);
    __syncthreads();
    if (stages == 2) {
        struct stage<F> s = stage_at<F>(stage0, cols);
        stage_copy(&p, part.w, packs, to, &s, 0, cols);
        lane_copy_end();
    }
    for (uint32_t r = 0; r < p.runs; r++) {
        uint32_t next = r + stages - 1;
        struct stage<F> s = stage_at<F>(stage0 + next % stages * stage_bytes<F>(cols), cols);
        if (next < p.runs)
            stage_copy(&p, part.w, packs, to, &s, next, cols);
        lane_copy_end();
        if (stages == 2)
            lane_copy_wait<1>();
        else
            lane_copy_wait<0>();
        __syncthreads();
        s = stage_at<F>(stage0 + r % stages * stage_bytes<F>(cols), cols);
        at.run = s.w + row / REPACK_ROWS * F::run_bytes;
        if constexpr (F::is_narrow)
            run_terms<F>(&s, &at, total);
        else
            run_wide<F, tiles>(&s, &at, total);
        __syncthreads();
    }
    if (first + at.col < part.cols)
        put_totals<F, tiles>(&p, &at, blockIdx.x * ROWS + row, to + at.col, part.cols - first - at.col, total);
}

/* As many columns in a block, and as many runs in shared memory, as there is room for. */
template <class F> static void launch_many(void *stream, const struct product *p)
{
    const uint32_t across = ROWS / (16 * fragments<F>::tiles), most = THREADS_MOST / (across * WARP);
    const size_t room = lane_shared_most() - COLS_MOST * sizeof(uint32_t);
    uint32_t wide = p->cols > COLS ? most : 1, stages = 2;
    while (wide > 1 && stages * stage_bytes<F>(wide * COLS) > room)
        wide--;
    if (stages * stage_bytes<F>(wide * COLS) > room)
        stages = 1;
    dim3 grid((product_rows(p) + ROWS - 1) / ROWS, (p->cols + wide * COLS - 1) / (wide * COLS), p->z);
    size_t bytes = COLS_MOST * sizeof(uint32_t) + stages * stage_bytes<F>(wide * COLS);
    launch(multiply_many<F>, grid, dim3(wide * across * WARP), bytes, stream, *p, stages);
}

void product_many(void *stream, uint32_t type, const struct product *p)
{
    switch (type) {
#define E(name, ...)                                                                                                   \
    case GGUF_TENSOR_##name:                                                                                           \
        launch_many<format_of<GGUF_TENSOR_##name>>(stream, p);                                                         \
        return;
        QUANT_BLOCKED_LIST(E)
#undef E
    default:
        return;
    }
}
