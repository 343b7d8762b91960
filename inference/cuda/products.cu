/* Products with one column, as an answer is written: every weight is read once, and what counts is that memory never
 * waits. A block of threads has 32 rows, a lane a row. Its warps take different runs of these rows, so that all of a
 * row's runs are on their way together; the sums of the runs meet in shared memory, where one warp adds them from left
 * to right. So the order is the arithmetic's, with no shuffles.
 *
 * A run of the column is in the warp's own shared memory (column.cuh) and read from there by all lanes at once. Gate
 * and up may be one product: a block has the same rows of both, and puts what the gate lets through. Further down:
 * which kernel multiplies what. */
#include "inference/cuda/column.cuh"
#include "inference/cuda/gate.cuh"

/* Warps of a block at most. Blocks that a processor of the GPU has room for, by their registers: 3 of 8 warps have 80 a
 * thread, 2 have 128, 2 of 6 warps 168. A wide block has all of a processor: where there are no more blocks than
 * processors, all runs are on their way at once. Of two formats in one launch the one with less room decides. */
#define ONE_BLOCKS 3u
#define ONE_WARPS  8u
template <class F, class G, bool is_wide> struct one {
    static constexpr bool is_alone = F::type == G::type,
                          is_small = F::bits < 5 && F::bits != 3 && !F::has_table && !(F::is_narrow && F::has_min);
    static constexpr uint32_t room = is_alone && is_small ? ONE_BLOCKS : 2, blocks = is_wide ? 1 : room,
                              each = F::bits == 8 || G::bits == 8 || F::has_table ? 6 : ONE_WARPS,
                              warps = each * (is_wide ? room : 1);
};
#define ROUND 64u /* runs whose sums wait for their addition: 8 KiB of shared memory, and two totals */
static size_t one_shared(uint32_t warps, uint32_t normed_n)
{
    return warps * COLUMN_BYTES + (ROUND + 2) * WARP * sizeof(float) + (normed_n ? column_row_bytes(normed_n) : 0);
}
/* Sum of w q over a half of block b. */
template <class F> LANE int half_sum(const uint32_t quad[8], const uint8_t *column, uint32_t b, uint32_t half)
{
    const uint4 q = ((const uint4 *)column)[2 * b + half];
    int sum = __dp4a((int)quad[4 * half], (int)q.x, 0);
    sum = __dp4a((int)quad[4 * half + 1], (int)q.y, sum);
    sum = __dp4a((int)quad[4 * half + 2], (int)q.z, sum);
    sum = __dp4a((int)quad[4 * half + 3], (int)q.w, sum);
    return F::offset ? sum - F::offset * column_sum(column, 2 * b + half) : sum;
}

/* The run with a column: the terms of its blocks from left to right. */
template <class F> LANE float run_narrow(const struct lane_run<F> *w, const uint8_t *column)
{
    const struct table table = run_table<F>(w);
    float run = 0.0f;
    LANE_UNROLL
    for (uint32_t b = 0; b < RUN_BLOCKS; b++) {
        uint32_t quad[8];
        if (F::has_table) /* keeps the compiler from asking for all of the column at once, into memory */
            __syncwarp();
        run_quads<F>(w, &table, b, quad);
        float s = column_scale(column, b);
        int sum = half_sum<F>(quad, column, b, 0) + half_sum<F>(quad, column, b, 1);
        run = run + (run_scale<F>(w, b) * s) * (float)sum;
        if constexpr (F::has_min) {
            int mins = column_sum(column, 2 * b) + column_sum(column, 2 * b + 1);
            run = run + (run_min_scale<F>(w, b) * s) * (float)mins;
        }
    }
    return run;
}

template <class F> LANE float run_wide(const struct lane_run<F> *w, const uint8_t *column)
{
    const uint32_t halves = F::sub == 32 ? 2 : 1; /* of 16 under one scale */
    const struct table table = run_table<F>(w);
    uint32_t scale[4], min[4], quad[8];
    run_subs<F>(w, scale, min);
    int sum = 0, mins = 0;
    LANE_UNROLL
    for (uint32_t j = 0; j < F::subs; j++) {
        int part = 0, part_q = 0;
        LANE_UNROLL
        for (uint32_t h = halves * j; h < halves * (j + 1); h++) {
            if (h % 2 == 0)
                run_quads<F>(w, &table, h / 2, quad);
            part += half_sum<F>(quad, column, h / 2, h % 2);
            part_q += column_sum(column, h);
        }
        sum += sub_scale<F>(scale, j) * part;
        if constexpr (F::has_min)
            mins += byte_of(min, j) * part_q;
    }
    float s = column_scale(column, 0), run = 0.0f + (run_scale<F>(w, 0) * s) * (float)sum;
    if constexpr (F::has_min)
        run = run + (run_min_scale<F>(w, 0) * s) * (float)mins;
    return run;
}

/* Run r of the block's rows, of a matrix. */
template <class F> LANE const uint8_t *run_at(const struct product *p, const uint8_t *w, uint32_t r)
{
    return w + ((size_t)blockIdx.x * p->runs + r) * F::run_bytes;
}

/* A run of this lane's row with a run of the column -> its sum. Codes are taken apart where they are needed, and
 * registers are free for what comes. */
template <class F> LANE float one_run(const struct lane_run<F> &w, const uint8_t *column)
{
    if constexpr (F::is_narrow)
        return run_narrow<F>(&w, column);
    else
        return run_wide<F>(&w, column);
}

/* total + sums[n, 32] of this lane, from left to right; eight are on their way at a time. */
LANE float add_sums(const float *sums, uint32_t n, float total)
{
    uint32_t r = 0;
    LANE_UNROLL_BY(1)
    for (; r + 8 <= n; r += 8) {
        float v[8];
        LANE_UNROLL
        for (uint32_t i = 0; i < 8; i++)
            v[i] = sums[(r + i) * WARP];
        LANE_UNROLL
        for (uint32_t i = 0; i < 8; i++)
            total = total + v[i];
    }
    LANE_UNROLL_BY(1)
    for (; r < n; r++)
        total = total + sums[r * WARP];
    return total;
}

/* Memory shall not wait while others still write the column: a warp's first run of weights goes into registers. Of
 * experts nobody knows yet which. No more is asked for: what the column is read behind would stand in its way. */
template <class F> LANE void load_ahead(const struct product *p, struct lane_run<F> *w)
{
    const struct product_matrix m = product_matrix_of(p);
    const uint32_t warp = threadIdx.x / WARP;
    if (!p->chosen && blockIdx.x * WARP < m.rows && warp < p->runs)
        run_load<F>(w, run_at<F>(p, m.w, warp), threadIdx.x % WARP);
}

/* The column of the result. */
LANE uint32_t product_pick(const struct product *p)
{
    return p->chosen ? blockIdx.z : 0;
}

/* A row of gate and up. */
LANE void put_gated(const struct product *p, uint32_t row, float gate, float up)
{
    if (p->bias)
        gate = gate + p->bias[row];
    if (p->more[0].bias)
        up = up + p->more[0].bias[row];
    p->out[row] = p->kind == CUDA_SILU   ? gate_turn<CUDA_SILU>(gate, up)
                  : p->kind == CUDA_GELU ? gate_turn<CUDA_GELU>(gate, up)
                                         : gate_turn<CUDA_CLAMPED>(gate, up);
}

template <class F> LANE void multiply_rows(const struct product *p)
{
    LANE_SHARED(uint8_t, shared);
    const uint32_t lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, warps = blockDim.x / WARP,
                   matrices = p->is_gated ? 2 : 1, round = ROUND / matrices;
    uint8_t *column = shared + warp * COLUMN_BYTES;
    float *sums = (float *)(shared + warps * COLUMN_BYTES), *total = sums + ROUND * WARP, *row = total + 2 * WARP;
    struct lane_run<F> w;
    const bool has_rows = blockIdx.x * WARP < product_matrix_of(p).rows;
    if (has_rows && p->raw.gain)
        column_ask_row(p->raw.gain, p->n, row + p->n);
    load_ahead<F>(p, &w);
    lane_wait();
    lane_next(); /* what follows finds room only where blocks have ended, or is small */
    const uint8_t *weights = product_part_of(p).w;
    if (!has_rows)
        return;
    if (p->raw.gain)
        column_norm(p, row, (blockIdx.x + gridDim.x * blockIdx.z) / p->processors);
    for (uint32_t first = 0; first < p->runs; first += round) {
        LANE_UNROLL_BY(1)
        for (uint32_t r = first + warp; r < min(p->runs, first + round); r += warps) {
            LANE_UNROLL_BY(1)
            for (uint32_t m = 0; m < matrices; m++) {
                if (m || r != warp || p->chosen)
                    run_load<F>(&w, run_at<F>(p, m ? p->more[0].w : weights, r), lane);
                __syncwarp();
                if (m == 0 && p->raw.is)
                    column_make<F>(p, row, r, column);
                else if (m == 0)
                    column_load<F>(&p->in, (size_t)product_from(p, product_pick(p)) * p->runs + r, lane, column);
                __syncwarp();
                sums[(m * round + r - first) * WARP + lane] = one_run<F>(w, column);
            }
        }
        __syncthreads();
        LANE_UNROLL_BY(1)
        for (uint32_t m = 0; m < matrices && warp == 0; m++)
            total[m * WARP + lane] = add_sums(sums + m * round * WARP + lane, min(p->runs - first, round),
                                              first ? total[m * WARP + lane] : 0.0f);
        __syncthreads();
    }
    const uint32_t at = blockIdx.x * WARP + lane;
    if (warp == 0 && at < product_matrix_of(p).rows)
        p->is_gated ? put_gated(p, at, total[lane], total[WARP + lane])
                    : product_put(p, product_pick(p), at, total[lane]);
}

/* Matrices from number `firsts` on are of format G. */
template <class F, class G, bool is_wide>
static __global__ void __launch_bounds__(one<F, G, is_wide>::warps *WARP, one<F, G, is_wide>::blocks)
    multiply_one(struct product p)
{
    if (one<F, G, is_wide>::is_alone || blockIdx.z < p.firsts)
        multiply_rows<F>(&p);
    else
        multiply_rows<G>(&p);
}

static size_t shared_of(const struct product *p, uint32_t warps)
{
    return one_shared(warps, p->raw.gain ? p->n : 0);
}

/* Blocks of so many warps that are at work together. */
template <class F, class G, bool is_wide> static uint32_t wave_of(const struct product *p, uint32_t warps)
{
    const uint32_t by_warps = one<F, G, is_wide>::warps * one<F, G, is_wide>::blocks / warps,
                   by_shared =
                       (uint32_t)((lane_shared_most() + LANE_SHARED_KEPT) / (shared_of(p, warps) + LANE_SHARED_KEPT));
    return (by_warps < by_shared ? by_warps : by_shared) * lane_processors();
}

/* Of a block at most. Where gate and up are one, a block that began when the others are nearly done would take long:
 * rather all begin at once, with fewer warps each, where that is possible. */
#define GATED_WARPS_LEAST 4u
template <class F, class G, bool is_wide> static uint32_t warps_most(const struct product *p)
{
    const uint32_t most = one<F, G, is_wide>::warps;
    for (uint32_t warps = most; p->is_gated && warps >= GATED_WARPS_LEAST; warps--)
        if (wave_of<F, G, is_wide>(p, warps) >= product_row_blocks(p, WARP))
            return warps;
    return most;
}

/* As many warps as there are runs, or as share them evenly. */
template <class F, class G, bool is_wide> static void launch_warps(void *stream, const struct product *p)
{
    const uint32_t most = warps_most<F, G, is_wide>(p), turns = (p->runs + most - 1) / most,
                   warps = (p->runs + turns - 1) / turns;
    dim3 grid((product_rows(p) + WARP - 1) / WARP, 1, p->z);
    struct product all = *p;
    all.processors = lane_processors();
    launch(multiply_one<F, G, is_wide>, grid, dim3(warps * WARP), shared_of(p, warps), stream, all);
}

/* By the room that the blocks find. */
template <class F, class G> static void launch_one(void *stream, const struct product *p)
{
    if (product_row_blocks(p, WARP) <= lane_processors())
        launch_warps<F, G, true>(stream, p);
    else
        launch_warps<F, G, false>(stream, p);
}

/* -- any number of columns -- */

/* Most experts have no more than twice the picks that they have on the average. */
#define COLS_SOME 64u

template <class F> static void multiply(void *stream, const struct product *p)
{
    const uint32_t cols = p->begin ? 2 * (p->picks / p->z) : p->cols;
    if (p->cols == 1 && !p->begin)
        launch_one<F, F>(stream, p);
    else if (cols <= COLS_SOME) {
        if (!product_by_strips(stream, F::type, p))
            product_some(stream, F::type, p, cols);
    } else if (!product_by_groups(stream, F::type, p))
        product_many(stream, F::type, p);
}

static bool is_blocked(const struct cuda_matrix *w)
{
    return quant_is_blocked((enum gguf_tensor_type)w->type);
}

static void set_input(struct product *p, const struct cuda_matrix *w, const struct cuda_input *in)
{
    p->w = (const uint8_t *)w->data;
    p->n = w->n;
    p->rows = w->rows;
    p->runs = (w->n + ARITH_RUN - 1) / ARITH_RUN;
    p->f = in->f;
    p->raw = in->raw;
    if (is_blocked(w))
        p->in = quant_format((enum gguf_tensor_type)w->type)->input == QUANT_NARROW ? in->narrow : in->wide;
}

static void multiply_any(void *stream, const struct cuda_matrix *w, const struct cuda_input *in, struct product *p)
{
    set_input(p, w, in);
    switch (w->type) {
#define E(name, ...)                                                                                                   \
    case GGUF_TENSOR_##name:                                                                                           \
        multiply<format_of<GGUF_TENSOR_##name>>(stream, p);                                                            \
        return;
        REPACK_LIST(E)
#undef E
    default:
        product_floats(stream, w->type, p);
    }
}

void cuda_multiply(void *stream, const struct cuda_matrix *w, const struct cuda_input *in, const float *bias, bool adds,
                   float *out)
{
    struct product p = {};
    p.cols = in->cols;
    p.bias = bias;
    p.adds = adds;
    p.out = out;
    p.z = 1;
    if (p.cols)
        multiply_any(stream, w, in, &p);
}

/* What files mix: values and some layers are of a better format than the rest. */
#define PAIRS(P) P(Q4_K, Q6_K) P(Q5_K, Q6_K) P(Q4_K, Q5_K) P(Q3_K, Q5_K) P(Q3_K, Q4_K)
static bool launch_pair(void *stream, uint32_t type, uint32_t other, const struct product *p)
{
#define P(a, b)                                                                                                        \
    if (type == GGUF_TENSOR_##a && other == GGUF_TENSOR_##b) {                                                         \
        launch_one<format_of<GGUF_TENSOR_##a>, format_of<GGUF_TENSOR_##b>>(stream, p);                                 \
        return true;                                                                                                   \
    }
    PAIRS(P)
#undef P
    return false;
}

/* One column: matrices of two formats in one launch, if they are of no more; false: they were not multiplied. */
static bool multiply_two_formats(void *stream, const struct cuda_task *task, uint32_t n, const struct cuda_input *in)
{
    const uint32_t type = task[0].w->type;
    uint32_t other = type;
    struct product p = {};
    if (in->cols != 1)
        return false;
    p.firsts = 1;
    for (uint32_t others = 0; others < 2; others++)
        for (uint32_t i = 1; i < n; i++) {
            const struct cuda_matrix *w = task[i].w;
            if ((w->type != type) != others)
                continue;
            if (others && other != type && other != w->type)
                return false;
            other = others ? w->type : other;
            p.firsts += !others;
            p.more[p.more_n++] = {(const uint8_t *)w->data, task[i].bias, task[i].out, w->rows};
        }
    if (other == type)
        return false;
    set_input(&p, task[0].w, in);
    p.cols = 1;
    p.bias = task[0].bias;
    p.out = task[0].out;
    p.z = 1 + p.more_n;
    return launch_pair(stream, type, other, &p);
}

/* Those of one format go together: many small ones fill a GPU, and of many blocks fewer are left over for a last turn.
 */
void cuda_multiply_together(void *stream, const struct cuda_task *task, uint32_t n, const struct cuda_input *in)
{
    bool is_done[PRODUCTS_MOST] = {false}, was_wide = false;
    if (multiply_two_formats(stream, task, n, in))
        return;
    for (uint32_t i = 0; i < n; i++) {
        if (is_done[i])
            continue;
        const bool is_wide = quant_format((enum gguf_tensor_type)task[i].w->type)->input == QUANT_WIDE;
        struct product p = {};
        p.is_beside = was_wide && is_wide;
        was_wide = is_wide;
        p.cols = in->cols;
        p.bias = task[i].bias;
        p.out = task[i].out;
        for (uint32_t k = i + 1; k < n; k++)
            if (task[k].w->type == task[i].w->type) {
                p.more[p.more_n++] = {(const uint8_t *)task[k].w->data, task[k].bias, task[k].out, task[k].w->rows};
                is_done[k] = true;
            }
        p.z = 1 + p.more_n;
        if (p.cols)
            multiply_any(stream, task[i].w, in, &p);
    }
}

/* Where the row would leave a processor room for fewer blocks, norms are better apart. */
bool cuda_takes_normed(const struct cuda_matrix *w)
{
    const size_t bytes = one_shared(ONE_WARPS, w->n) + LANE_SHARED_KEPT;
    return is_blocked(w) && w->n % 4 == 0 && ONE_BLOCKS * bytes <= lane_shared_most() + LANE_SHARED_KEPT;
}

bool cuda_takes_gate(const struct cuda_matrix *gate, const struct cuda_matrix *up)
{
    return gate->type == up->type && gate->rows == up->rows && gate->n == up->n && is_blocked(gate);
}

void cuda_multiply_gated(void *stream, enum cuda_gate kind, const struct cuda_task *gate, const struct cuda_task *up,
                         const struct cuda_input *in)
{
    struct product p = {};
    p.cols = 1;
    p.bias = gate->bias;
    p.out = gate->out;
    p.z = 1;
    p.more_n = 1;
    p.more[0] = {(const uint8_t *)up->w->data, up->bias, up->out, up->w->rows};
    p.is_gated = true;
    p.kind = kind;
    multiply_any(stream, gate->w, in, &p);
}

/* The picks of few rows are each multiplied by themselves, since hardly any share an expert, and of one none do; those
 * of more rows expert by expert, of which each has at most one pick of a row. */
void cuda_multiply_picked(void *stream, const struct cuda_matrix *w, uint64_t stride, uint32_t experts, uint32_t share,
                          const struct cuda_input *in, struct cuda_picks picks, const float *bias, float *out)
{
    struct product p = {};
    uint32_t all = in->cols * share;
    bool is_alone = in->cols == 1 || picks.cols == 1 || all < experts;
    p.cols = is_alone ? 1 : picks.cols;
    p.chosen = picks.chosen;
    p.begin = is_alone ? nullptr : picks.begin;
    p.pick = picks.pick;
    p.bias = bias;
    p.stride = stride;
    p.share = share;
    p.picks = all;
    p.z = is_alone ? all : experts;
    p.out = out;
    if (p.cols)
        multiply_any(stream, w, in, &p);
}
