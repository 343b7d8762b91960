/* Products with many columns, as a prompt is read: by the unit for matrices, whose int32 sums are exact, so that only
 * the float operations behind each block are in the arithmetic's order. They, not the unit, are what takes the time
 * (docs/cuda.md counts them).
 *
 * A block of threads has 128 rows and 64 or 128 columns, a warp 32 (or 16) rows and 64 columns. Runs of 256 elements
 * go through shared memory as they are, packed, the next one being copied while this one is multiplied; every warp
 * takes its rows' codes apart itself, in registers. */
#include "inference/cuda/matmul.cuh"
#include "inference/cuda/products.cuh"

#define TILES        4u /* of 32 rows in a block */
#define ROWS         (TILES * REPACK_ROWS)
#define COLS         64u /* of a warp */
#define NT           (COLS / 8)
#define COLS_MOST    128u /* of a block */
#define THREADS_MOST 256u

/* -- a run in shared memory -- */

/* Which columns of the result a block has, [cols] at the beginning of shared memory; behind the last ones the last. */
LANE void list_columns(const struct product *p, const struct product_part *part, uint32_t first, uint32_t cols,
                       uint32_t *to)
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
            lane_copy16(s->sums + i * 8, (const uint16_t *)product_sums<F>(p, at) + i % 2 * 8);
        if constexpr (F::is_narrow)
            lane_copy16(s->s + i * 4, p->in.s + at * RUN_BLOCKS + i % 2 * 4);
        else if (i % 2 == 0)
            lane_copy4(s->s + i / 2, p->in.s + at);
    }
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
        struct stage<F> s = stage_at<F>(stage0, TILES, cols);
        stage_copy(&p, part.w, packs, to, &s, 0, cols);
        lane_copy_end();
    }
    for (uint32_t r = 0; r < p.runs; r++) {
        uint32_t next = r + stages - 1;
        struct stage<F> s = stage_at<F>(stage0 + next % stages * stage_bytes<F>(TILES, cols), TILES, cols);
        if (next < p.runs)
            stage_copy(&p, part.w, packs, to, &s, next, cols);
        lane_copy_end();
        if (stages == 2)
            lane_copy_wait<1>();
        else
            lane_copy_wait<0>();
        __syncthreads();
        s = stage_at<F>(stage0 + r % stages * stage_bytes<F>(TILES, cols), TILES, cols);
        at.run = s.w + row / REPACK_ROWS * F::run_bytes;
        float run[tiles][NT][4];
        run_terms<F, tiles, NT>(&s, &at, run);
        LANE_UNROLL
        for (uint32_t i = 0; i < tiles * NT * 4; i++)
            total[i / (NT * 4)][i / 4 % NT][i % 4] += run[i / (NT * 4)][i / 4 % NT][i % 4];
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
    while (wide > 1 && stages * stage_bytes<F>(TILES, wide * COLS) > room)
        wide--;
    if (stages * stage_bytes<F>(TILES, wide * COLS) > room)
        stages = 1;
    dim3 grid((product_rows(p) + ROWS - 1) / ROWS, (p->cols + wide * COLS - 1) / (wide * COLS), p->z);
    size_t bytes = COLS_MOST * sizeof(uint32_t) + stages * stage_bytes<F>(TILES, wide * COLS);
    launch(multiply_many<F>, grid, dim3(wide * across * WARP), bytes, stream, *p, stages);
}

void product_many(void *stream, uint32_t type, const struct product *p)
{
    switch (type) {
#define E(name, ...)                                                                                                   \
    case GGUF_TENSOR_##name:                                                                                           \
        launch_many<format_of<GGUF_TENSOR_##name>>(stream, p);                                                         \
        return;
        REPACK_LIST(E)
#undef E
    default:
        return;
    }
}
