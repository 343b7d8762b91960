/* The GPU's products and quantisation, emulated or real, against the reference by equality: random shapes, formats,
 * numbers of columns, orders of threads. */
#include "tests/gguf_make.h"
#include "tests/support.h"

#include "base/mem.h"
#include "inference/cuda/kernels.h"
#include "inference/cuda/repack.h"
#include "inference/kernels/ops.h"
#include "tests/cuda/memory.h"
#include "tests/cuda/order.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static uint64_t seed = 0x2545F4914F6CDD1Du;

static uint32_t draw(uint32_t below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((seed >> 33) % below);
}

/* Mostly near 1; some zeros, some from far ends of the range. */
static float draw_float(void)
{
    float v = ((float)draw(1u << 24) - 0x1p23f) * 0x1p-22f;
    switch (draw(48)) {
    case 0:
        return -0.0f;
    case 1:
        return v * 0x1p-70f;
    case 2:
        return v * 0x1p40f;
    default:
        return v;
    }
}

static const enum gguf_tensor_type types[] = {GGUF_TENSOR_F32, GGUF_TENSOR_F16, GGUF_TENSOR_BF16,
#define E(name, ...) GGUF_TENSOR_##name,
                                              QUANT_BLOCKED_LIST(E)
#undef E
};
#define TYPES (sizeof types / sizeof *types)

/* A batch for both sides. */
struct batch {
    struct ops_input cpu;
    struct cuda_input gpu;
    float *x, *gain, *normed;
    void *cpu_blocks[2], *gpu_blocks[2];
    uint8_t *finite;
    bool finite_raw; /* what finite is to say where a product made the blocks */
};

static void batch_init(struct batch *b, size_t n, size_t cols)
{
    *b = (struct batch){.x = gpu_new(n * cols * sizeof *b->x), .finite_raw = true};
    for (size_t i = 0; i < n * cols; i++)
        b->x[i] = draw_float();
    b->cpu = (struct ops_input){.n = n, .cols = cols, .f = b->x};
    b->gpu = (struct cuda_input){.n = (uint32_t)n, .cols = (uint32_t)cols, .f = b->x};
    for (size_t i = 0; i < 2; i++) {
        b->cpu_blocks[i] = mem_new(ops_blocks_bytes(n, cols));
        b->gpu_blocks[i] = gpu_new(cuda_blocks_bytes((uint32_t)n, (uint32_t)cols));
        *(i ? &b->cpu.wide : &b->cpu.narrow) = ops_blocks_at(b->cpu_blocks[i], n, cols);
        *(i ? &b->gpu.wide : &b->gpu.narrow) = cuda_blocks_at(b->gpu_blocks[i], (uint32_t)n, (uint32_t)cols, i);
    }
    b->finite = gpu_new(cols);
    memset(b->finite, 1, cols);
}

static void batch_clear(struct batch *b)
{
    gpu_free(b->x);
    gpu_free(b->gain);
    free(b->normed);
    gpu_free(b->finite);
    for (size_t i = 0; i < 2; i++) {
        free(b->cpu_blocks[i]);
        gpu_free(b->gpu_blocks[i]);
    }
}

/* -- activations -- */

static void assert_same_blocks(const struct ops_blocks *cpu, const struct cuda_blocks *gpu, size_t runs, size_t cols,
                               size_t scales)
{
    for (size_t c = 0; c < cols; c++)
        for (size_t r = 0; r < runs; r++) {
            size_t mine = r * cols + c, yours = c * runs + r;
            assert_memory_equal(cpu->q + mine * ARITH_RUN, gpu->q + yours * ARITH_RUN, ARITH_RUN);
            assert_memory_equal(cpu->s + mine * scales, gpu->s + yours * scales, scales * sizeof(float));
            assert_memory_equal(cpu->sums + mine * 16, gpu->sums + yours * 16, 16 * sizeof(int16_t));
        }
}

static void quantise_once(void)
{
    struct batch b;
    size_t n = 1 + draw(700), cols = 1 + draw(5);
    uint32_t *slot = gpu_new(5 * sizeof *slot);
    bool finite[5] = {true, true, true, true, true};
    batch_init(&b, n, cols);
    if (draw(2))
        b.x[draw((uint32_t)(n * cols))] =
            arith_of_bits((uint32_t[]){0x7F800000u, 0xFF800000u, 0x7FC00000u, 0x7F7FFFFFu}[draw(4)]);
    if (draw(4) == 0)
        b.gpu.wide.q = NULL, b.cpu.wide.q = NULL;
    for (size_t c = 0; c < cols; c++) {
        slot[c] = (uint32_t)(cols - 1 - c);
        finite[slot[c]] = ops_put_column(&ops_ref, &b.cpu, c, b.x + c * n);
    }
    cuda_quantise(NULL, &b.gpu, (struct cuda_marks){.slot = slot, .finite = b.finite});
    gpu_wait();
    assert_same_blocks(&b.cpu.narrow, &b.gpu.narrow, quant_runs(n), cols, 8);
    if (b.cpu.wide.q)
        assert_same_blocks(&b.cpu.wide, &b.gpu.wide, quant_runs(n), cols, 1);
    for (size_t c = 0; c < cols; c++)
        assert_int_equal(b.finite[c], finite[c]);
    gpu_free(slot);
    batch_clear(&b);
}

static void activations_are_quantised_alike(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++) {
        emulate_set_order((enum emulate_order)(i % 3));
        quantise_once();
    }
}

/* -- products -- */

/* The matrix as the GPU has it, uploaded in two pieces where it has more than one tile. */
static void *repack(const struct ops_weight *w)
{
    uint32_t n = (uint32_t)w->n, rows = (uint32_t)w->rows, cut = rows > 32 ? 32 : rows, type = (uint32_t)w->type;
    uint64_t all = repack_bytes(type, n, rows), bytes, sum = 0;
    uint8_t *out = gpu_new(all), *piece = mem_new(all);
    for (uint32_t first = 0; first < rows; first = cut, cut = rows, sum += bytes) {
        bytes = repack_rows(type, n, cut - first, w->data + first * w->row_bytes, w->row_bytes, piece);
        assert_int_equal(repack_at(type, n, first), sum);
        memcpy(out + sum, piece, bytes);
    }
    assert_true(sum <= all && sum + 256 > all);
    free(piece);
    return out;
}

/* What kernels are cut by: the GPU's processors and shared memory, and the order of their threads. */
static void draw_gpu(size_t i)
{
    emulate_set_order((enum emulate_order)(i % 3));
    emulate_set_processors((unsigned[]){0, 1, 3, 5}[draw(4)]);
    emulate_set_shared((size_t[]){0, 0, 99u << 10, 64u << 10}[draw(4)]);
}

/* How one column came: as blocks, as it is, as what it is the norm of. */
static unsigned ways[3];

/* The batch for both machines, as input of such a matrix; `wild`: perhaps with what is not finite. */
static void put_input(struct batch *b, const struct cuda_matrix *m, bool wild)
{
    const size_t n = b->gpu.n, cols = b->gpu.cols;
    const bool is_raw = cols == 1 && draw(3), is_normed = is_raw && cuda_takes_normed(m) && draw(2);
    float *from = b->x;
    bool finite = true;
    if (is_raw && wild && draw(8) == 0)
        b->x[draw((uint32_t)n)] = draw(2) ? INFINITY : NAN;
    if (is_normed) {
        b->gain = gpu_new(n * sizeof *b->gain);
        from = b->normed = mem_array(n, sizeof *from);
        for (size_t i = 0; i < n; i++)
            b->gain[i] = draw_float();
        ops_ref.norm(b->x, b->gain, 1e-5f, n, from);
    }
    for (size_t c = 0; c < cols; c++)
        finite = ops_put_column(&ops_ref, &b->cpu, c, from + c * n) && finite;
    ways[is_raw + is_normed] += cols == 1;
    if (is_raw) {
        memset(&b->gpu.narrow, 0, sizeof b->gpu.narrow);
        memset(&b->gpu.wide, 0, sizeof b->gpu.wide);
        b->gpu.raw =
            (struct cuda_raw){.is = true, .gain = b->gain, .epsilon = 1e-5f, .marks = {.finite = &b->finite[0]}};
        b->finite_raw = finite;
    } else {
        assert_true(finite);
        cuda_quantise(NULL, &b->gpu, (struct cuda_marks){.finite = b->finite});
    }
}

/* Reference: product, bias, then the addition to what was there. */
static void multiply_ref(const struct ops_weight *w, const struct ops_input *in, const float *bias, bool adds,
                         float *out)
{
    float *product = mem_array(in->cols * w->rows, sizeof *product);
    ops_ref.multiply(w, 0, w->rows, in, product, w->rows);
    for (size_t c = 0; c < in->cols; c++) {
        float *row = product + c * w->rows;
        if (bias)
            ops_ref.add(row, bias, w->rows);
        if (adds)
            ops_ref.add(out + c * w->rows, row, w->rows);
        else
            memcpy(out + c * w->rows, row, w->rows * sizeof *row);
    }
    free(product);
}

static void multiply_once(enum gguf_tensor_type type, size_t cols)
{
    const struct quant_format *f = quant_format(type);
    size_t n = f->block == 256 ? 256 * (1 + draw(4)) : f->block == 32 ? 32 * (1 + draw(30)) : 1 + draw(300);
    size_t rows = 1 + draw(draw(3) ? 75 : 300), row_bytes = quant_row_bytes(type, n);
    if (cols > 128)
        rows = 128 + draw(140); /* a tile of Hopper's that is whole, and some that are not */
    else if (draw(24) == 0)
        n = f->block > 1 ? 256 * 67 : n, rows = 5, row_bytes = quant_row_bytes(type, n); /* more runs than a round */
    uint8_t *data = mem_new(rows * row_bytes);
    float *out[2] = {gpu_new(cols * rows * sizeof(float)), gpu_new(cols * rows * sizeof(float))};
    float *bias = draw(2) ? gpu_new(rows * sizeof(float)) : NULL;
    bool adds = draw(2);
    struct batch b;
    gguf_make_rows(draw, type, data, rows * row_bytes);
    batch_init(&b, n, cols);
    for (size_t i = 0; bias && i < rows; i++)
        bias[i] = draw_float();
    for (size_t i = 0; i < cols * rows; i++)
        out[0][i] = out[1][i] = draw_float();
    struct ops_weight w = {.type = type, .n = n, .rows = rows, .row_bytes = row_bytes, .data = data};
    void *packed = repack(&w);
    struct cuda_matrix m = {
        .type = repack_type((uint32_t)type), .n = (uint32_t)n, .rows = (uint32_t)rows, .data = packed};
    put_input(&b, &m, f->block > 1);
    multiply_ref(&w, &b.cpu, bias, adds, out[0]);
    cuda_multiply(NULL, &m, &b.gpu, bias, adds, out[1]);
    gpu_wait();
    for (size_t i = 0; i < cols * rows; i++)
        if (arith_bits(out[0][i]) != arith_bits(out[1][i]))
            fail_msg(
                "%s: %zu rows, %zu columns of %zu, bias %d, adds %d, raw %d, normed %d: column %zu, row %zu is %a, "
                "not %a",
                gguf_tensor_type_name(type), rows, cols, n, bias != NULL, adds, b.gpu.raw.is, b.gain != NULL, i / rows,
                i % rows, (double)out[1][i], (double)out[0][i]);
    assert_int_equal(b.finite[0], b.finite_raw);
    free(data);
    gpu_free(packed);
    gpu_free(bias);
    gpu_free(out[0]);
    gpu_free(out[1]);
    batch_clear(&b);
}

static void products_are_alike(void **state)
{
    (void)state;
    static const size_t counts[] = {1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 17, 31, 33, 64, 65, 66, 133};
    for (size_t t = 0; t < TYPES; t++)
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
            if (getenv("KITH_TEST_SHORT") && (t + i) % 5)
                continue; /* under a tool that makes everything slow */
            draw_gpu(i + t);
            if (counts[i] == 66)
                emulate_set_shared(163u << 10); /* a GPU that is older than Hopper */
            else if (counts[i] > 66)
                emulate_set_shared(0);
            multiply_once(types[t], counts[i]);
        }
    emulate_set_shared(0);
    assert_true(getenv("KITH_TEST_SHORT") || (ways[0] && ways[1] && ways[2]));
}

/* What runs only on a GPU as large as Hopper: the random ones above are often smaller. */
static void strips_are_alike(void **state)
{
    (void)state;
    static const size_t counts[] = {17, 24, 32, 33, 40, 56, 63, 64};
    for (size_t t = 0; t < TYPES; t++)
        for (size_t i = t % 2; i < sizeof counts / sizeof *counts && quant_format(types[t])->block > 1; i += 2) {
            if (getenv("KITH_TEST_SHORT") && (t + i) % 5)
                continue;
            draw_gpu(i + t);
            emulate_set_shared(0);
            multiply_once(types[t], counts[i]);
        }
}

/* -- several matrices of one input -- */

struct side { /* of a matrix: both machines' weights and results */
    struct ops_weight w;
    struct cuda_matrix m;
    uint8_t *data;
    float *bias, *out[2];
};

static void side_init(struct side *s, enum gguf_tensor_type type, size_t rows, size_t n, size_t cols)
{
    size_t row_bytes = quant_row_bytes(type, n);
    s->data = mem_new(rows * row_bytes);
    gguf_make_rows(draw, type, s->data, rows * row_bytes);
    s->w = (struct ops_weight){.type = type, .n = n, .rows = rows, .row_bytes = row_bytes, .data = s->data};
    s->m = (struct cuda_matrix){
        .type = repack_type((uint32_t)type), .n = (uint32_t)n, .rows = (uint32_t)rows, .data = repack(&s->w)};
    s->bias = draw(2) ? gpu_new(rows * sizeof(float)) : NULL;
    for (size_t i = 0; s->bias && i < rows; i++)
        s->bias[i] = draw_float();
    for (size_t i = 0; i < 2; i++)
        s->out[i] = gpu_new(cols * rows * sizeof(float));
}

static void side_clear(struct side *s)
{
    free(s->data);
    gpu_free((void *)(uintptr_t)s->m.data);
    gpu_free(s->bias);
    gpu_free(s->out[0]);
    gpu_free(s->out[1]);
}

static void multiply_of(enum gguf_tensor_type type, enum gguf_tensor_type other, size_t cols)
{
    size_t n = 256 * (1 + draw(3)), count = 2 + draw(2);
    struct cuda_task task[3];
    struct side side[3];
    struct batch b;
    batch_init(&b, n, cols);
    for (size_t i = 0; i < count; i++)
        side_init(&side[i], i == 1 ? other : type, 1 + draw(140), n, cols);
    put_input(&b, cuda_takes_normed(&side[0].m) ? &side[1].m : &side[0].m, false);
    for (size_t i = 0; i < count; i++) {
        multiply_ref(&side[i].w, &b.cpu, side[i].bias, false, side[i].out[0]);
        task[i] = (struct cuda_task){&side[i].m, side[i].bias, side[i].out[1]};
    }
    cuda_multiply_together(NULL, task, (uint32_t)count, &b.gpu);
    gpu_wait();
    for (size_t i = 0; i < count; i++) {
        assert_memory_equal(side[i].out[0], side[i].out[1], cols * side[i].w.rows * sizeof(float));
        side_clear(&side[i]);
    }
    batch_clear(&b);
}

static void multiply_together_once(enum gguf_tensor_type type, size_t cols)
{
    multiply_of(type, draw(2) ? type : types[draw(TYPES)], cols);
}

static void products_go_together(void **state)
{
    (void)state;
    static const size_t counts[] = {1, 5, 40, 150};
    for (size_t t = 0; t < TYPES; t++) {
        draw_gpu(t);
        multiply_together_once(types[t], counts[t % 4]);
        multiply_together_once(types[t], counts[(t + 2) % 4]);
        emulate_set_shared(0);
        multiply_together_once(types[t], 20 + draw(45));
    }
    for (size_t i = 0; i < 6; i++) { /* of one format to a GPU, with tables of their own */
        static const size_t some[] = {1, 7, 40, 150, 20, 1};
        draw_gpu(i);
        emulate_set_shared(0);
        multiply_of(i % 2 ? GGUF_TENSOR_IQ1_S : GGUF_TENSOR_IQ3_S, GGUF_TENSOR_IQ2_XXS, some[i]);
    }
}

/* Gate and up as one product of one column, and what the gate lets through. */
static void gate_once(enum gguf_tensor_type type)
{
    void (*const turns[])(const float *gate, const float *up, size_t n, float *out) = {
        [CUDA_SILU] = ops_ref.gated_silu, [CUDA_GELU] = ops_ref.gated_gelu, [CUDA_CLAMPED] = ops_ref.gated_clamped};
    const bool is_long = draw(6) == 0;
    const enum cuda_gate kind = (enum cuda_gate)draw(3);
    const size_t n = 256 * (is_long ? 33 + draw(40) : 1 + draw(4)), rows = 1 + draw(is_long ? 5 : 300);
    struct side gate, up;
    struct batch b;
    side_init(&gate, type, rows, n, 1);
    side_init(&up, type, rows, n, 1);
    assert_true(cuda_takes_gate(&gate.m, &up.m));
    batch_init(&b, n, 1);
    put_input(&b, &gate.m, true);
    multiply_ref(&gate.w, &b.cpu, gate.bias, false, gate.out[0]);
    multiply_ref(&up.w, &b.cpu, up.bias, false, up.out[0]);
    turns[kind](gate.out[0], up.out[0], rows, gate.out[0]);
    cuda_multiply_gated(NULL, kind, &(struct cuda_task){&gate.m, gate.bias, gate.out[1]},
                        &(struct cuda_task){&up.m, up.bias, up.out[1]}, &b.gpu);
    gpu_wait();
    for (size_t i = 0; i < rows; i++)
        if (arith_bits(gate.out[0][i]) != arith_bits(gate.out[1][i]))
            fail_msg("%s: gate and up of %zu rows and %zu, kind %d: row %zu is %a, not %a", gguf_tensor_type_name(type),
                     rows, n, (int)kind, i, (double)gate.out[1][i], (double)gate.out[0][i]);
    assert_int_equal(b.finite[0], b.finite_raw);
    side_clear(&gate);
    side_clear(&up);
    batch_clear(&b);
}

static void gates_are_alike(void **state)
{
    (void)state;
    const struct cuda_matrix floats = {.type = GGUF_TENSOR_F16, .n = 256, .rows = 64};
    const struct cuda_matrix narrow = {.type = GGUF_TENSOR_Q8_0, .n = 256, .rows = 64};
    const struct cuda_matrix wide = {.type = GGUF_TENSOR_Q4_K, .n = 256, .rows = 64};
    const struct cuda_matrix few = {.type = GGUF_TENSOR_Q4_K, .n = 256, .rows = 32};
    assert_false(cuda_takes_gate(&floats, &floats));
    assert_false(cuda_takes_gate(&narrow, &wide));
    assert_false(cuda_takes_gate(&wide, &few));
    for (size_t t = 0; t < TYPES; t++)
        for (size_t i = 0; i < 6 && quant_format(types[t])->block > 1; i++) {
            if (getenv("KITH_TEST_SHORT") && (t + i) % 5)
                continue;
            draw_gpu(i + t);
            gate_once(types[t]);
        }
    emulate_set_shared(0);
}

/* -- experts -- */

/* Random picks: of each row `used` different experts, listed as cuda_route lists them. */
static struct cuda_picks draw_picks(uint32_t experts, uint32_t used, uint32_t rows)
{
    uint32_t all = rows * used, n = 0;
    struct cuda_picks p = {
        .chosen = gpu_new(all * 4), .begin = gpu_new((experts + 1) * 4), .pick = gpu_new(all * 4), .cols = rows};
    for (uint32_t r = 0; r < rows; r++) {
        uint32_t first = draw(draw(3) ? experts : 2), step = 1 + 2 * draw(experts / 2); /* experts is a power of two */
        for (uint32_t i = 0; i < used; i++)
            p.chosen[r * used + i] = (first + i * step) % experts;
    }
    for (uint32_t e = 0; e < experts; e++) {
        p.begin[e] = n;
        for (uint32_t i = 0; i < all; i++)
            if (p.chosen[i] == e)
                p.pick[n++] = i;
    }
    p.begin[experts] = n;
    assert_int_equal(n, all);
    return p;
}

/* Input of pick p for the reference: one column. */
static void multiply_pick(const struct ops_weight *all, uint32_t expert, const float *x, float *out)
{
    struct ops_weight w = *all;
    struct ops_input in = {.n = w.n, .cols = 1, .f = x};
    void *blocks[2] = {mem_new(ops_blocks_bytes(w.n, 1)), mem_new(ops_blocks_bytes(w.n, 1))};
    in.narrow = ops_blocks_at(blocks[0], w.n, 1);
    in.wide = ops_blocks_at(blocks[1], w.n, 1);
    w.data += expert * w.rows * w.row_bytes;
    assert_true(ops_put_column(&ops_ref, &in, 0, x));
    ops_ref.multiply(&w, 0, w.rows, &in, out, w.rows);
    free(blocks[0]);
    free(blocks[1]);
}

/* `share`: the picks of a row have its column, or each its own (1). */
static void pick_once(enum gguf_tensor_type type, uint32_t rows_of_batch, bool shares)
{
    const struct quant_format *f = quant_format(type);
    uint32_t experts = 4u << draw(3), used = draw(4) ? 1 + draw(3) : experts, share = shares ? used : 1;
    size_t n = f->block == 256 ? 256 * (1 + draw(3)) : 32 * (1 + draw(20)), rows = 1 + draw(70);
    struct ops_weight w = {.type = type, .n = n, .rows = rows, .row_bytes = quant_row_bytes(type, n)};
    uint64_t stride = repack_bytes((uint32_t)type, (uint32_t)n, (uint32_t)rows);
    uint8_t *data = mem_new(experts * rows * w.row_bytes), *packed = gpu_new(experts * stride);
    struct batch b;
    struct cuda_picks picks = draw_picks(experts, used, rows_of_batch);
    gguf_make_rows(draw, type, data, experts * rows * w.row_bytes);
    for (uint32_t e = 0; e < experts; e++) {
        w.data = data + e * rows * w.row_bytes;
        void *one = repack(&w);
        memcpy(packed + e * stride, one, stride);
        gpu_free(one);
    }
    w.data = data;
    batch_init(&b, n, rows_of_batch * used / share);
    struct cuda_matrix m = {
        .type = repack_type((uint32_t)type), .n = (uint32_t)n, .rows = (uint32_t)rows, .data = packed};
    put_input(&b, &m, false);
    float *out = gpu_new(rows_of_batch * used * rows * sizeof *out), *expected = mem_array(rows, sizeof *expected);
    float *bias = draw(2) ? gpu_new(experts * rows * sizeof *bias) : NULL;
    for (size_t i = 0; bias && i < experts * rows; i++)
        bias[i] = draw_float();
    cuda_multiply_picked(NULL, &m, stride, experts, share, &b.gpu, picks, bias, out);
    gpu_wait();
    for (uint32_t p = 0; p < rows_of_batch * used; p++) {
        multiply_pick(&w, picks.chosen[p], (b.normed ? b.normed : b.x) + p / share * n, expected);
        if (bias)
            ops_ref.add(expected, bias + picks.chosen[p] * rows, rows);
        for (size_t r = 0; r < rows; r++)
            if (arith_bits(expected[r]) != arith_bits(out[p * rows + r]))
                fail_msg("%s: %u experts, %u of each of %u rows, pick %u, row %zu of %zu: %a, not %a",
                         gguf_tensor_type_name(type), experts, used, rows_of_batch, p, r, rows,
                         (double)out[p * rows + r], (double)expected[r]);
    }
    gpu_free(picks.chosen);
    gpu_free(picks.begin);
    gpu_free(picks.pick);
    if (bias)
        gpu_free(bias);
    gpu_free(out);
    free(expected);
    free(data);
    gpu_free(packed);
    batch_clear(&b);
}

static void experts_are_alike(void **state)
{
    (void)state;
    static const uint32_t rows[] = {1, 2, 7, 30, 150};
    for (size_t t = 0; t < TYPES; t++)
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            draw_gpu(i + t);
            pick_once(types[t], rows[i], draw(2));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(activations_are_quantised_alike),
        cmocka_unit_test(products_are_alike),
        cmocka_unit_test(strips_are_alike),
        cmocka_unit_test(products_go_together),
        cmocka_unit_test(gates_are_alike),
        cmocka_unit_test(experts_are_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
