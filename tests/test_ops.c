/* Every set of kernels against the reference, bit by bit, on random shapes and on values that hurt: zeros,
 * tiny and huge ones, infinities, NaN, unaligned memory. And the arithmetic's own functions against libm. */
#include "tests/gguf_make.h"
#include "tests/support.h"

#include "base/mem.h"
#include "inference/kernels/ops.h"
#include "inference/kernels/pack.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS 400

static uint64_t seed = 0x9E3779B97F4A7C15u;

static uint32_t draw(uint32_t below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((seed >> 33) % below);
}

/* Mostly near 1; some zeros, some from far ends of the range. */
static float draw_float(void)
{
    float v = ((float)draw(1u << 24) - 0x1p23f) * 0x1p-22f;
    switch (draw(64)) {
    case 0:
        return 0.0f;
    case 1:
        return -0.0f;
    case 2:
        return v * 0x1p-70f;
    case 3:
        return v * 0x1p-140f;
    case 4:
        return v * 0x1p40f;
    default:
        return v;
    }
}

static void draw_floats(float *out, size_t n, bool wild)
{
    for (size_t i = 0; i < n; i++)
        out[i] = draw_float();
    if (wild && n)
        out[draw((uint32_t)n)] =
            arith_of_bits((uint32_t[]){0x7F800000u, 0xFF800000u, 0x7FC00000u, 0x7F7FFFFFu}[draw(4)]);
}

static void assert_same_bits(const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (arith_bits(a[i]) != arith_bits(b[i]) && !(isnan(a[i]) && isnan(b[i])))
            fail_msg("element %zu: %a and %a", i, (double)a[i], (double)b[i]);
}

/* Calls `test` for every set but the reference. */
static void each(void (*test)(const struct ops *))
{
    const struct ops *o;
    size_t i = 1;
    for (; (o = ops_at(i)); i++)
        for (unsigned round = 0; round < ROUNDS; round++)
            test(o);
    if (i == 1) {
        print_message("skip: this processor runs the reference kernels only\n");
        skip();
    }
}

/* -- rows -- */

static void quantise_once(const struct ops *o)
{
    size_t n = 1 + draw(600), padded = quant_padded(n);
    float *x = mem_array(n, sizeof *x), s[2][32];
    int8_t q[2][1024];
    draw_floats(x, n, draw(4) == 0);
    memset(q, 99, sizeof q);
    memset(s, 0, sizeof s);
    assert_int_equal(ops_ref.quantise(x, n, q[0], s[0]), o->quantise(x, n, q[1], s[1]));
    assert_memory_equal(q[0], q[1], padded);
    assert_same_bits(s[0], s[1], padded / ARITH_BLOCK);
    for (size_t i = 0; i < padded; i++)
        assert_true(q[0][i] != -128 && (i < n || q[0][i] == 0));
    assert_int_equal(ops_ref.finite(x, n), o->finite(x, n));
    free(x);
}

static void row_once(const struct ops *o)
{
    enum { MOST = 700 };
    static float x[MOST], y[MOST], out[2][MOST];
    size_t n = 1 + draw(MOST);
    draw_floats(x, n, draw(8) == 0);
    draw_floats(y, n, false);
    ops_ref.norm(x, y, 1e-5f, n, out[0]);
    o->norm(x, y, 1e-5f, n, out[1]);
    assert_same_bits(out[0], out[1], n);
    ops_ref.gated_silu(x, y, n, out[0]);
    o->gated_silu(x, y, n, out[1]);
    assert_same_bits(out[0], out[1], n);
    ops_ref.gated_gelu(x, y, n, out[0]);
    o->gated_gelu(x, y, n, out[1]);
    assert_same_bits(out[0], out[1], n);
    for (size_t i = 0; i < n; i++) {
        out[0][i] = 8.0f * x[i]; /* some of them beyond the limits */
        out[1][i] = 8.0f * x[n - 1 - i];
    }
    static float wide[2][MOST], clamped[2][MOST];
    memcpy(wide, out, sizeof wide);
    ops_ref.gated_clamped(wide[0], wide[1], n, clamped[0]);
    o->gated_clamped(wide[0], wide[1], n, clamped[1]);
    assert_same_bits(clamped[0], clamped[1], n);
    ops_ref.layer_norm(x, y, x, 1e-5f, n, out[0]);
    o->layer_norm(x, y, x, 1e-5f, n, out[1]);
    assert_same_bits(out[0], out[1], n);
    memcpy(out[0], x, n * sizeof *x);
    memcpy(out[1], x, n * sizeof *x);
    ops_ref.add(out[0], y, n);
    o->add(out[1], y, n);
    assert_same_bits(out[0], out[1], n);
    ops_ref.rotate(out[0], y, y + n / 2, n / 2);
    o->rotate(out[1], y, y + n / 2, n / 2);
    assert_same_bits(out[0], out[1], n);
    ops_ref.rotate_halves(out[0], y, y + n / 2, n / 2);
    o->rotate_halves(out[1], y, y + n / 2, n / 2);
    assert_same_bits(out[0], out[1], n);
    float by = draw_float();
    ops_ref.add_scaled(out[0], y, by, n);
    o->add_scaled(out[1], y, by, n);
    ops_ref.scale(out[0], by, n);
    o->scale(out[1], by, n);
    assert_same_bits(out[0], out[1], n);
    memcpy(out[0], x, n * sizeof *x);
    memcpy(out[1], x, n * sizeof *x);
    float cap = 0.25f + (float)draw(100);
    ops_ref.soft_cap(out[0], cap, n);
    o->soft_cap(out[1], cap, n);
    assert_same_bits(out[0], out[1], n);
    memcpy(out[0], x, n * sizeof *x);
    memcpy(out[1], x, n * sizeof *x);
    ops_ref.gelu(out[0], n);
    o->gelu(out[1], n);
    assert_same_bits(out[0], out[1], n);
    memcpy(out[0], x, n * sizeof *x);
    memcpy(out[1], x, n * sizeof *x);
    ops_ref.gelu_tanh(out[0], n);
    o->gelu_tanh(out[1], n);
    assert_same_bits(out[0], out[1], n);
    memcpy(out[0], x, n * sizeof *x);
    memcpy(out[1], x, n * sizeof *x);
    ops_ref.squares(out[0], n);
    o->squares(out[1], n);
    assert_same_bits(out[0], out[1], n);
}

static void recur_once(const struct ops *o)
{
    static float x[4][300], tap[4 * 300], out[2][300];
    const size_t n = draw(301), whole = n / ARITH_LANES * ARITH_LANES, taps = 1 + draw(4);
    const float *rows[4] = {x[0], x[1], x[2], x[3]}, by = draw_float();
    for (unsigned i = 0; i < 4; i++)
        draw_floats(x[i], n, draw(8) == 0);
    draw_floats(tap, taps * n, false);
    ops_ref.convolve(rows, tap, taps, n, out[0]);
    o->convolve(rows, tap, taps, n, out[1]);
    assert_same_bits(out[0], out[1], n);
    ops_ref.silu(out[0], n);
    o->silu(out[1], n);
    assert_same_bits(out[0], out[1], n);
    ops_ref.times(out[0], x[0], n);
    o->times(out[1], x[0], n);
    assert_same_bits(out[0], out[1], n);
    ops_ref.times_sigmoid(out[0], x[1], n);
    o->times_sigmoid(out[1], x[1], n);
    assert_same_bits(out[0], out[1], n);
    ops_ref.unit(out[0], whole, 1e-6f, by);
    o->unit(out[1], whole, 1e-6f, by);
    assert_same_bits(out[0], out[1], n);
}

#define DELTA_ROWS 5

static void delta_once(const struct ops *o)
{
    static float state[2][128 * 128], x[3 * DELTA_ROWS][128], out[2][DELTA_ROWS][128];
    const size_t n = ARITH_LANES * (1 + draw(8)), count = 1 + draw(DELTA_ROWS);
    struct ops_delta row[2][DELTA_ROWS];
    draw_floats(state[0], n * n, draw(8) == 0);
    memcpy(state[1], state[0], sizeof state[0]);
    memset(out, 0, sizeof out);
    for (size_t t = 0; t < count; t++) {
        for (size_t i = 0; i < 3; i++)
            draw_floats(x[3 * t + i], n, false);
        row[0][t] = (struct ops_delta){x[3 * t],     x[3 * t + 1], x[3 * t + 2],
                                       draw_float(), draw_float(), draw(4) ? out[0][t] : NULL};
        row[1][t] = row[0][t];
        row[1][t].out = row[0][t].out ? out[1][t] : NULL;
    }
    ops_ref.delta(state[0], n, row[0], count);
    o->delta(state[1], n, row[1], count);
    assert_same_bits(state[0], state[1], n * n);
    for (size_t t = 0; t < count; t++)
        assert_same_bits(out[0][t], out[1][t], n);
}

/* -- products -- */

static const enum gguf_tensor_type types[] = {GGUF_TENSOR_F32, GGUF_TENSOR_F16, GGUF_TENSOR_BF16,
#define E(name, ...) GGUF_TENSOR_##name,
                                              QUANT_BLOCKED_LIST(E)
#undef E
};
#define TYPES (sizeof types / sizeof *types)

/* A random matrix and a random batch for it. */
struct product {
    struct ops_weight w;
    struct ops_input in;
    uint8_t *data, *packed;
    float *x;
    void *blocks[2];
};

static void make_product(struct product *p, enum gguf_tensor_type type)
{
    const struct quant_format *f = quant_format(type);
    size_t n = f->block > 1 ? f->block * (1 + draw(f->block == 32 ? 20 : 3)) : 1 + draw(300);
    size_t rows = 1 + draw(90), cols = draw(3) ? 1 + draw(20) : 1 + draw(560);
    size_t row_bytes = quant_row_bytes(type, n);
    p->data = mem_new(rows * row_bytes + 1);
    p->x = mem_array(cols * n, sizeof *p->x);
    gguf_make_rows(draw, type, p->data + 1, rows * row_bytes); /* off by one: nothing may rely on alignment */
    draw_floats(p->x, cols * n, false);
    p->w = (struct ops_weight){.type = type, .n = n, .rows = rows, .row_bytes = row_bytes, .data = p->data + 1};
    p->in = (struct ops_input){.n = n, .cols = cols, .f = p->x};
    p->packed = mem_new(f->block > 1 ? (size_t)pack_matrix_bytes(f, n, rows) + 1 : 1);
    if (f->block > 1) {
        pack_matrix(f, p->data + 1, n, rows, p->packed + 1);
        p->w.packed = p->packed + 1;
    }
    for (size_t i = 0; i < 2; i++) {
        p->blocks[i] = mem_new(ops_blocks_bytes(n, cols));
        *(i ? &p->in.wide : &p->in.narrow) = ops_blocks_at(p->blocks[i], n, cols);
    }
}

static void put_columns(const struct product *p, const struct ops *o)
{
    for (size_t c = 0; c < p->in.cols; c++)
        assert_true(ops_put_column(o, &p->in, c, p->x + c * p->in.n));
}

static void clear_product(struct product *p)
{
    free(p->data);
    free(p->packed);
    free(p->x);
    free(p->blocks[0]);
    free(p->blocks[1]);
}

static void multiply_once(const struct ops *o)
{
    struct product p;
    make_product(&p, types[draw(TYPES)]);
    size_t rows = p.w.rows, cols = p.in.cols, first = draw((uint32_t)(rows + OPS_GRAIN - 1) / OPS_GRAIN) * OPS_GRAIN,
           count = 1 + draw((uint32_t)(rows - first)), bytes = ops_blocks_bytes(p.in.n, cols);
    float *out[2] = {mem_array(cols * rows, sizeof *p.x), mem_array(cols * rows, sizeof *p.x)};
    uint8_t *expected[2] = {mem_new(bytes), mem_new(bytes)};
    put_columns(&p, &ops_ref);
    ops_ref.multiply(&p.w, first, count, &p.in, out[0], rows);
    for (size_t i = 0; i < 2; i++)
        memcpy(expected[i], p.blocks[i], bytes);
    put_columns(&p, o);
    for (size_t i = 0; i < 2; i++)
        assert_memory_equal(expected[i], p.blocks[i], bytes);
    o->multiply(&p.w, first, count, &p.in, out[1], rows);
    for (size_t i = 0; i < cols * rows; i++)
        if (arith_bits(out[0][i]) != arith_bits(out[1][i]))
            fail_msg("%s %s: %zu rows from %zu of %zu, %zu columns of %zu: element %zu is %a, not %a", o->name,
                     gguf_tensor_type_name(p.w.type), count, first, rows, cols, p.in.n, i, (double)out[1][i],
                     (double)out[0][i]);
    clear_product(&p);
    for (size_t i = 0; i < 2; i++) {
        free(out[i]);
        free(expected[i]);
    }
}

/* -- attention -- */

static void draw_bytes(int8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (int8_t)((int)draw(255) - 127);
}

static void attention_once(const struct ops *o)
{
    enum { BLOCKS = 8, WIDTH = BLOCKS * ARITH_BLOCK, MOST = OPS_QUERIES };
    static int8_t q[MOST * WIDTH], k[ARITH_CHUNK * WIDTH];
    static float qs[MOST * BLOCKS], ks[BLOCKS * ARITH_CHUNK], s[2][MOST * ARITH_CHUNK], out[2][MOST * WIDTH];
    size_t blocks = 1 + draw(BLOCKS), count = 1 + draw(ARITH_CHUNK), n = 1 + draw(MOST);
    draw_bytes(q, sizeof q);
    draw_bytes(k, sizeof k);
    for (size_t i = 0; i < MOST * BLOCKS; i++)
        qs[i] = (float)draw(1000) * 1e-4f;
    for (size_t i = 0; i < BLOCKS * ARITH_CHUNK; i++)
        ks[i] = draw(9) ? (float)draw(1000) * 1e-4f : 0.0f;
    ops_ref.scores(q, qs, n, k, ks, blocks, count, 0.125f, s[0]);
    o->scores(q, qs, n, k, ks, blocks, count, 0.125f, s[1]);
    for (size_t i = 0; i < n; i++) {
        float *mine[2] = {s[0] + i * ARITH_CHUNK, s[1] + i * ARITH_CHUNK}, peak[2], sum[2];
        size_t seen = 1 + draw((uint32_t)count); /* of what is scored for all */
        assert_same_bits(mine[0], mine[1], count);
        assert_true(ops_ref.peak(mine[0], seen, &peak[0]) && o->peak(mine[1], seen, &peak[1]));
        assert_same_bits(&peak[0], &peak[1], 1);
        sum[0] = ops_ref.exponentials(mine[0], seen, peak[0]);
        sum[1] = o->exponentials(mine[1], seen, peak[0]);
        assert_same_bits(mine[0], mine[1], seen);
        assert_same_bits(&sum[0], &sum[1], 1);
        for (size_t h = 0; h < 2; h++)
            memset(mine[h] + seen, 0, (ARITH_CHUNK - seen) * sizeof(float));
    }
    ops_ref.weigh(s[0], n, k, ks, blocks, count, out[0]);
    o->weigh(s[0], n, k, ks, blocks, count, out[1]);
    assert_same_bits(out[0], out[1], n * blocks * ARITH_BLOCK);
    float peak;
    s[0][draw((uint32_t)count)] = draw(2) ? INFINITY : NAN;
    assert_false(ops_ref.peak(s[0], count, &peak) || o->peak(s[0], count, &peak));
}

static void rows_are_quantised_alike(void **state)
{
    (void)state;
    each(quantise_once);
}

static void rows_are_normed_gated_added_rotated_alike(void **state)
{
    (void)state;
    each(row_once);
}

static void recurrent_rows_are_alike(void **state)
{
    (void)state;
    each(recur_once);
}

static void deltas_are_alike(void **state)
{
    (void)state;
    each(delta_once);
}

static void products_are_alike(void **state)
{
    (void)state;
    each(multiply_once);
}

static void attention_is_alike(void **state)
{
    (void)state;
    each(attention_once);
}

/* -- the arithmetic -- */

/* The values of a row, from the file and from its packed form. */
static void packed_rows_are_the_files(void **state)
{
    (void)state;
    for (size_t t = 3; t < TYPES; t++) /* the blocked ones */
        for (unsigned round = 0; round < 20; round++) {
            struct product p;
            make_product(&p, types[t]);
            float *out[2] = {mem_array(p.w.n, sizeof *p.x), mem_array(p.w.n, sizeof *p.x)};
            for (size_t row = 0; row < p.w.rows; row++) {
                quant_read_row(p.w.type, p.w.data + row * p.w.row_bytes, p.w.n, out[0]);
                pack_read_row(quant_format(p.w.type), p.w.packed, p.w.n, row, out[1]);
                assert_same_bits(out[0], out[1], p.w.n);
            }
            clear_product(&p);
            free(out[0]);
            free(out[1]);
        }
}

/* Every weight, scale and activation at an end of its range: what a sum in too few bits would show. */
static void extremes_do_not_saturate(void **state)
{
    (void)state;
    const struct ops *o;
    for (size_t t = 3; t < TYPES; t++) /* the blocked ones */
        for (unsigned kind = 0; kind < 4; kind++) {
            struct product p;
            make_product(&p, types[t]);
            const struct quant_format *f = quant_format(types[t]);
            size_t rows = p.w.rows, cols = p.in.cols;
            for (size_t i = 0; i < rows * p.w.row_bytes; i += f->bytes) {
                uint8_t half[4];
                const size_t scales = quant_scale_bytes(f) * (f->has_min ? 2 : 1);
                memcpy(half, p.data + 1 + i + quant_scale_at(f), scales);
                memset(p.data + 1 + i, kind & 1 ? 0xFF : f->bits == 8 ? 0x80 : 0, f->bytes);
                memcpy(p.data + 1 + i + quant_scale_at(f), half, scales);
            }
            pack_matrix(f, p.data + 1, p.in.n, rows, p.packed + 1);
            for (size_t i = 0; i < p.in.n * cols; i++)
                p.x[i] = kind & 2 ? -1.0f : 1.0f;
            float *out[2] = {mem_array(cols * rows, sizeof *p.x), mem_array(cols * rows, sizeof *p.x)};
            put_columns(&p, &ops_ref);
            ops_ref.multiply(&p.w, 0, rows, &p.in, out[0], rows);
            for (size_t i = 1; (o = ops_at(i)); i++) {
                o->multiply(&p.w, 0, rows, &p.in, out[1], rows);
                assert_same_bits(out[0], out[1], cols * rows);
            }
            clear_product(&p);
            free(out[0]);
            free(out[1]);
        }
}

/* MXFP4 as its specification has it: 2^(exponent - 127) times 0, 0.5, 1, 1.5, 2, 3, 4, 6, for every exponent that is a
 * number, in the file and packed; and so are products, whose scales may be as small or as large as binary32 has them.
 */
static void exponents_of_a_byte_are_exact(void **state)
{
    (void)state;
    static const double values[8] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
    enum { ROWS = 255, N = 32 };
    const struct quant_format *f = quant_format(GGUF_TENSOR_MXFP4);
    uint8_t file[ROWS * 17], *packed = mem_new((size_t)pack_matrix_bytes(f, N, ROWS));
    float out[2][N], made[2][ROWS];
    struct product p = {.data = file, .packed = packed};
    for (size_t row = 0; row < ROWS; row++) {
        file[row * 17] = (uint8_t)row;
        for (size_t i = 0; i < 16; i++)
            file[row * 17 + 1 + i] = (uint8_t)(i | (15 - i) << 4);
    }
    assert_true(quant_is_finite(GGUF_TENSOR_MXFP4, file, (size_t)ROWS * N));
    pack_matrix(f, file, N, ROWS, packed);
    for (size_t row = 0; row < ROWS; row++) {
        quant_read_row(GGUF_TENSOR_MXFP4, file + row * 17, N, out[0]);
        pack_read_row(f, packed, N, row, out[1]);
        for (size_t i = 0; i < N; i++) {
            const size_t code = i < 16 ? i : 31 - i;
            const double exact = ldexp(code & 8 ? -values[code & 7] : values[code & 7], (int)row - 127);
            assert_true(out[0][i] == (float)exact && out[1][i] == (float)exact);
        }
    }
    p.w = (struct ops_weight){
        .type = GGUF_TENSOR_MXFP4, .n = N, .rows = ROWS, .row_bytes = 17, .data = file, .packed = packed};
    p.in = (struct ops_input){.n = N, .cols = 1, .f = out[0]};
    p.x = out[0];
    p.blocks[0] = mem_new(ops_blocks_bytes(N, 1));
    p.in.narrow = ops_blocks_at(p.blocks[0], N, 1);
    for (size_t i = 0; i < N; i++)
        out[0][i] = (float)draw(100) - 20.0f;
    put_columns(&p, &ops_ref);
    ops_ref.multiply(&p.w, 0, ROWS, &p.in, made[0], ROWS);
    assert_true(made[0][0] != 0.0f);
    for (size_t i = 1; ops_at(i); i++) {
        ops_at(i)->multiply(&p.w, 0, ROWS, &p.in, made[1], ROWS);
        assert_same_bits(made[0], made[1], ROWS);
    }
    file[17 * 7] = 255;
    assert_false(quant_is_finite(GGUF_TENSOR_MXFP4, file, (size_t)ROWS * N));
    free(p.blocks[0]);
    free(packed);
}

static void the_exponential_is_close_everywhere(void **state)
{
    (void)state;
    double worst = 0;
    for (float x = -86.9f; x < 88.0f; x += 0.00137f) {
        double exact = exp((double)x), got = (double)arith_exp(x);
        double ulp = ldexp(1.0, ilogb(exact) - 23), off = fabs(got - exact) / ulp;
        worst = off > worst ? off : worst;
    }
    print_message("exp: at most %.2f units in the last place from the exact value\n", worst);
    assert_true(worst < 2.0);
    assert_true(arith_exp(0.0f) == 1.0f && arith_exp(-88.0f) == 0.0f && isfinite(arith_exp(1e30f)));
    assert_true(isnan(arith_exp(NAN)) && arith_exp(-INFINITY) == 0.0f);
}

/* How far f is from `exact` over [from, to], in units in the last place of the exact value. */
static double worst_of(float (*f)(float), double (*exact)(double), float from, float to)
{
    double worst = 0;
    for (unsigned i = 0; i <= 400000; i++) {
        float x = from + (to - from) * ((float)i / 400000.0f);
        double want = exact((double)x), ulp = want == 0 ? 0x1p-149 : ldexp(1.0, ilogb(want) - 23);
        double off = fabs((double)f(x) - want) / ulp;
        worst = off > worst ? off : worst;
    }
    return worst;
}

static double gelu_by_tanh(double x)
{
    double u = sqrt(2.0 / acos(-1.0)) * (x + 0.044715 * x * x * x);
    return x / (1.0 + exp(-2.0 * u));
}

static double gelu_by_erf(double x)
{
    return x * 0.5 * erfc(-x * sqrt(0.5));
}

static void caps_and_gates_are_close_everywhere(void **state)
{
    (void)state;
    double near = worst_of(arith_tanh, tanh, -1.0f, 1.0f), all = worst_of(arith_tanh, tanh, -30.0f, 30.0f);
    print_message("tanh: at most %.2f units in the last place\n", near > all ? near : all);
    assert_true(near < 3.0 && all < 3.0);
    near = worst_of(arith_gelu_tanh, gelu_by_tanh, -3.0f, 20.0f);
    all = worst_of(arith_gelu_tanh, gelu_by_tanh, -9.0f, -3.0f);
    print_message("GELU by tanh: at most %.2f units from -3 on, %.1f from -9 to -3\n", near, all);
    assert_true(near < 16.0 &&
                all < 256.0); /* rounding the exponent costs what it is large: the value is small there */
    near = worst_of(arith_gelu_erf, gelu_by_erf, -3.0f, 20.0f);
    all = worst_of(arith_gelu_erf, gelu_by_erf, -13.0f, -3.0f);
    print_message("GELU by erf: at most %.2f units from -3 on, %.1f from -13 to -3\n", near, all);
    assert_true(near < 16.0 &&
                all < 256.0); /* rounding the exponent costs what it is large: the value is small there */
    assert_true(arith_tanh(INFINITY) == 1.0f && arith_tanh(-INFINITY) == -1.0f && arith_tanh(1e30f) == 1.0f);
    assert_true(isnan(arith_tanh(NAN)) && isnan(arith_gelu_tanh(NAN)) && isnan(arith_gelu_erf(NAN)));
    for (float g = -30.0f; g < 10.0f; g += 0.37f)
        for (float u = -9.0f; u < 9.0f; u += 0.7f) {
            const double x = (double)fminf(g, 7.0f), y = (double)fmaxf(fminf(u, 7.0f), -7.0f);
            const double exact = x / (1.0 + exp(-1.702 * x)) * (y + 1.0);
            assert_true(fabs((double)arith_gate_clamped(g, u) - exact) <= 4e-6 * fabs(exact));
        }
    assert_true(isnan(arith_gate_clamped(NAN, 1.0f)) && isnan(arith_gate_clamped(1.0f, NAN)));
    assert_true(arith_gate_clamped(INFINITY, INFINITY) == arith_gate_clamped(7.0f, 7.0f));
    assert_true(arith_square(3.0f) == 9.0f && arith_square(-3.0f) == 0.0f && isnan(arith_square(NAN)));
    assert_true(arith_gelu_tanh(100.0f) == 100.0f && arith_gelu_erf(100.0f) == 100.0f);
    assert_true(arith_gelu_erf(-100.0f) == 0.0f && fabsf(arith_gelu_tanh(-100.0f)) < 1e-30f);
}

static void binary64_functions_are_close(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 200000; i++) {
        double x = (double)draw(1u << 30) / 1024.0 * (i % 3 ? 1.0 : 1e-6), s, c;
        arith_sin_cos_f64(x, &s, &c);
        assert_true(fabs(s - sin(x)) < 4e-16 && fabs(c - cos(x)) < 4e-16);
        double y = 1e-9 + x;
        assert_true(fabs(arith_log_f64(y) - log(y)) <= 4e-16 * (1 + fabs(log(y))));
        double e = -(double)draw(1u << 20) / 4096.0;
        assert_true(fabs(arith_exp_f64(e) - exp(e)) <= 1e-15 * exp(e));
    }
}

static void halves_and_roundings_are_exact(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        uint32_t e = (h >> 10) & 31, f = h & 1023;
        double v = e == 31 ? (f ? (double)NAN : (double)INFINITY) : e ? ldexp(1024 + f, (int)e - 25) : ldexp(f, -24);
        v = h & 0x8000 ? -v : v;
        float got = arith_half((uint16_t)h);
        assert_true(isnan(v) ? isnan(got) : (double)got == v && !signbit(got) == !signbit(v));
    }
    assert_int_equal(arith_round(0.5f), 0);
    assert_int_equal(arith_round(1.5f), 2);
    assert_int_equal(arith_round(-2.5f), -2);
    assert_int_equal(arith_round(-126.50001f), -127);
}

static void backends_have_names(void **state)
{
    (void)state;
    struct note note = {""};
    assert_string_equal(ops_pick("ref", &note)->name, "ref");
    assert_non_null(ops_pick("auto", &note));
    assert_null(ops_pick("abacus", &note));
    assert_non_null(strstr(note.text, "abacus"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_quantised_alike),
        cmocka_unit_test(rows_are_normed_gated_added_rotated_alike),
        cmocka_unit_test(recurrent_rows_are_alike),
        cmocka_unit_test(deltas_are_alike),
        cmocka_unit_test(products_are_alike),
        cmocka_unit_test(attention_is_alike),
        cmocka_unit_test(extremes_do_not_saturate),
        cmocka_unit_test(exponents_of_a_byte_are_exact),
        cmocka_unit_test(packed_rows_are_the_files),
        cmocka_unit_test(the_exponential_is_close_everywhere),
        cmocka_unit_test(caps_and_gates_are_close_everywhere),
        cmocka_unit_test(binary64_functions_are_close),
        cmocka_unit_test(halves_and_roundings_are_exact),
        cmocka_unit_test(backends_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
