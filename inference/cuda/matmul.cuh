/* A run of a warp's rows times its columns by the unit for matrices: what the kernels of many and of some columns
 * share. Packed rows and columns lie in shared memory; the warp takes its rows' codes apart itself, in registers. Its
 * rows are `tiles` times 16, its columns `eights` times 8; a lane with g = lane / 4 and t = lane % 4 gets rows g and g
 * + 8 of each 16, columns 2 t and 2 t + 1 of each 8, in the order of lane_mma's d. */
#ifndef KITH_INFERENCE_CUDA_MATMUL_CUH
#define KITH_INFERENCE_CUDA_MATMUL_CUH

#include "inference/cuda/planes.cuh"

#define COLUMN_STRIDE 272u /* bytes: 16 more than a run has, so that rows of matrices are in different banks */

/* A run in shared memory. */
template <class F> struct stage {
    uint8_t *w, *q;
    int16_t *sums; /* [cols, 16]; of wide formats as binary16 */
    float *s;      /* [cols, 8 or 1] */
};
/* Of `tiles` tiles of rows and so many columns, columns COLUMN_STRIDE apart. */
template <class F> static __host__ __device__ inline uint32_t stage_bytes(uint32_t tiles, uint32_t cols)
{
    return tiles * F::run_bytes + cols * (COLUMN_STRIDE + 32 + (F::is_narrow ? 32 : 4));
}
template <class F> LANE struct stage<F> stage_at(uint8_t *shared, uint32_t tiles, uint32_t cols) {
    struct stage<F> s;
    s.w = shared;
    s.q = s.w + tiles * F::run_bytes;
    s.sums = (int16_t *)(s.q + cols * COLUMN_STRIDE);
    s.s = (float *)(s.sums + cols * 16);
    return s;
}

/* Where a warp is: its rows in a tile of 32, its columns in the block. */
struct place {
    const uint8_t *run; /* of its 32 rows */
    uint32_t row, col, g, t;
};

/* b of block `block` for the 16 columns of n and n + 1; of 8 columns that of the next block, too. */
template <class F, uint32_t eights>
LANE void load_columns(const struct stage<F> *s, const struct place *at, uint32_t block, uint32_t n, uint32_t b[4])
{
    uint32_t lane = at->g * 4 + at->t, upper = lane / 16, col = at->col + n * 8 + lane % 8;
    if constexpr (eights == 1)
        block += upper;
    else
        col += upper * 8;
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
        quad_planes<F>(q.x, first, &low[half], &high[half]);
        quad_planes<F>(q.y, second, &low[2 + half], &high[2 + half]);
    }
}

/* Blocks of a run that are under way together: with few columns there are registers for it, and little else that hides
 * how long each takes. With 32, code for sm_100 on would keep registers in memory. */
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1000
#define TURNS_OF_32 1
#else
#define TURNS_OF_32 2
#endif
template <class F, uint32_t eights> struct turns {
    static constexpr int at_once = eights == 1                    ? 8
                                   : eights == 2 && !F::is_narrow ? 4
                                   : eights == 2                  ? 2
                                   : eights == 4                  ? TURNS_OF_32
                                                                  : 1;
};

/* -- narrow formats: the terms of the run, block by block -- */

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

template <class F, uint32_t tiles, uint32_t eights>
LANE void run_narrow(const struct stage<F> *s, const struct place *at, float run[tiles][eights][4])
{
    uint32_t columns[4];
    LANE_UNROLL_BY((turns<F, eights>::at_once))
    for (uint32_t b = 0; b < RUN_BLOCKS; b++) {
        uint32_t a[tiles][4];
        float d[tiles][2], m[tiles][2];
        LANE_UNROLL
        for (uint32_t tile = 0; tile < tiles; tile++) {
            load_weights<F>(at, tile, b, a[tile]);
            LANE_UNROLL
            for (uint32_t half = 0; half < 2; half++) {
                d[tile][half] = row_scale<F>(at->run, row_of(at, tile, half), b);
                if constexpr (F::has_min)
                    m[tile][half] = row_min_scale<F>(at->run, row_of(at, tile, half), b);
            }
        }
        LANE_UNROLL
        for (uint32_t n = 0; n < eights; n++) {
            if (eights == 1 ? b % 2 == 0 : n % 2 == 0)
                load_columns<F, eights>(s, at, b, n, columns);
            LANE_UNROLL
            for (uint32_t tile = 0; tile < tiles; tile++) {
                int32_t sum[4] = {LANE_ZERO, LANE_ZERO, LANE_ZERO, LANE_ZERO};
                lane_mma(sum, a[tile], columns + (eights == 1 ? b : n) % 2 * 2);
                add_terms<F>(s, at, n, b, d[tile], m[tile], sum, run[tile][n]);
            }
        }
    }
}

/* -- wide formats: sums of the run, then one term -- */

/* With scales for 32: sum += scale times the block's sum. */
template <class F, uint32_t tiles, uint32_t eights>
LANE void sum_scaled(const struct stage<F> *s, const struct place *at, int32_t sum[tiles][eights][4])
{
    uint64_t scales[tiles][2];
    uint32_t columns[4];
    LANE_UNROLL
    for (uint32_t j = 0; j < 2 * tiles; j++)
        scales[j / 2][j % 2] = scales_of_run<F>(at->run, row_of(at, j / 2, j % 2));
    LANE_UNROLL_BY((turns<F, eights>::at_once))
    for (uint32_t b = 0; b < RUN_BLOCKS; b++) {
        uint32_t a[tiles][4];
        int scale[tiles][2];
        LANE_UNROLL
        for (uint32_t j = 0; j < 2 * tiles; j++) { /* tile, half */
            uint32_t word = (uint32_t)scales[j / 2][j % 2];
            scale[j / 2][j % 2] = sub_scale<F>(&word, 0);
            scales[j / 2][j % 2] >>= 8;
        }
        LANE_UNROLL
        for (uint32_t tile = 0; tile < tiles; tile++)
            load_weights<F>(at, tile, b, a[tile]);
        LANE_UNROLL
        for (uint32_t n = 0; n < eights; n++) {
            if (eights == 1 ? b % 2 == 0 : n % 2 == 0)
                load_columns<F, eights>(s, at, b, n, columns);
            LANE_UNROLL
            for (uint32_t tile = 0; tile < tiles; tile++) {
                int32_t part[4] = {0, 0, 0, 0};
                lane_mma(part, a[tile], columns + (eights == 1 ? b : n) % 2 * 2);
                LANE_UNROLL
                for (uint32_t o = 0; o < 4; o++)
                    sum[tile][n][o] += scale[tile][o / 2] * part[o];
            }
        }
    }
}

/* With scales for 16 in the products. */
template <class F, uint32_t tiles, uint32_t eights>
LANE void sum_products(const struct stage<F> *s, const struct place *at, int32_t sum[tiles][eights][4],
                       int32_t high[tiles][eights][4])
{
    uint32_t columns[4];
    LANE_UNROLL_BY((turns<F, eights>::at_once))
    for (uint32_t b = 0; b < RUN_BLOCKS; b++) {
        uint32_t a[tiles][4], up[tiles][4];
        LANE_UNROLL
        for (uint32_t tile = 0; tile < tiles; tile++)
            load_products<F>(at, tile, b, a[tile], up[tile]);
        LANE_UNROLL
        for (uint32_t n = 0; n < eights; n++) {
            const uint32_t *own = columns + (eights == 1 ? b : n) % 2 * 2;
            if (eights == 1 ? b % 2 == 0 : n % 2 == 0)
                load_columns<F, eights>(s, at, b, n, columns);
            LANE_UNROLL
            for (uint32_t tile = 0; tile < tiles; tile++) {
                if constexpr (fragments<F>::has_planes) {
                    lane_mma_bytes(sum[tile][n], a[tile], own);
                    lane_mma(high[tile][n], up[tile], own);
                } else {
                    lane_mma(sum[tile][n], a[tile], own);
                }
            }
        }
    }
}

/* What a run's terms take of its rows: d, m, and minimums as a of lane_mma_halves. */
template <class F> struct row_terms {
    float d[2], m[2];
    uint32_t min[4];
};
template <class F> LANE void load_row_terms(const struct place *at, uint32_t tile, struct row_terms<F> *w)
{
    LANE_UNROLL
    for (uint32_t half = 0; half < 2; half++) {
        const uint32_t row = row_of(at, tile, half);
        w->d[half] = fragments<F>::is_negated ? -row_scale<F>(at->run, row, 0) : row_scale<F>(at->run, row, 0);
        if constexpr (F::has_min) {
            const uint2 min = mins_of_sixteens<F>(at->run, row, at->t);
            w->m[half] = row_min_scale<F>(at->run, row, 0);
            w->min[half] = min.x;
            w->min[2 + half] = min.y;
        }
    }
}

/* The term, or the two terms, of the run. Sums of minimums times q are exact, below 2^22. */
template <class F, uint32_t tiles, uint32_t eights>
LANE void terms_of_sums(const struct stage<F> *s, const struct place *at, const int32_t sum[tiles][eights][4],
                        float run[tiles][eights][4])
{
    struct row_terms<F> w[tiles];
    LANE_UNROLL
    for (uint32_t tile = 0; tile < tiles; tile++)
        load_row_terms<F>(at, tile, &w[tile]);
    LANE_UNROLL
    for (uint32_t n = 0; n < eights; n++) {
        const uint32_t *sums = (const uint32_t *)(s->sums + (at->col + n * 8 + at->g) * 16);
        const float2 scales = *(const float2 *)(s->s + at->col + n * 8 + 2 * at->t);
        uint32_t columns[2];
        if constexpr (F::has_min)
            columns[0] = sums[at->t], columns[1] = sums[4 + at->t];
        LANE_UNROLL
        for (uint32_t tile = 0; tile < tiles; tile++) {
            float mins[4];
            if constexpr (F::has_min)
                lane_mma_halves(mins, w[tile].min, columns);
            LANE_UNROLL
            for (uint32_t o = 0; o < 4; o++) {
                const float scale = o % 2 ? scales.y : scales.x;
                run[tile][n][o] = (w[tile].d[o / 2] * scale) * (float)sum[tile][n][o];
                if constexpr (F::has_min)
                    run[tile][n][o] = run[tile][n][o] + (w[tile].m[o / 2] * scale) * mins[o];
            }
        }
    }
}

template <class F, uint32_t tiles, uint32_t eights>
LANE void run_wide(const struct stage<F> *s, const struct place *at, float run[tiles][eights][4])
{
    int32_t sum[tiles][eights][4] = {{{0}}};
    if constexpr (fragments<F>::way == FRAGMENT_SCALED) {
        sum_scaled<F, tiles, eights>(s, at, sum);
    } else if constexpr (fragments<F>::has_planes) {
        int32_t high[tiles][eights][4] = {{{0}}};
        sum_products<F, tiles, eights>(s, at, sum, high);
        LANE_UNROLL
        for (uint32_t o = 0; o < tiles * eights * 4; o++)
            sum[o / (eights * 4)][o / 4 % eights][o % 4] += high[o / (eights * 4)][o / 4 % eights][o % 4] * 256;
    } else {
        sum_products<F, tiles, eights>(s, at, sum, sum);
    }
    terms_of_sums<F, tiles, eights>(s, at, sum, run);
}

/* The run's sum from +0, of each row and column. */
template <class F, uint32_t tiles, uint32_t eights>
LANE void run_terms(const struct stage<F> *s, const struct place *at, float run[tiles][eights][4])
{
    LANE_UNROLL
    for (uint32_t o = 0; o < tiles * eights * 4; o++)
        run[o / (eights * 4)][o / 4 % eights][o % 4] = 0.0f;
    if constexpr (F::is_narrow)
        run_narrow<F, tiles, eights>(s, at, run);
    else
        run_wide<F, tiles, eights>(s, at, run);
}

#endif
