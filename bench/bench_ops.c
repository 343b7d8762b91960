/* How fast the kernels are, one thread: bench_ops [ROWS [LENGTH]].
 *
 * For every set of kernels and every format: a matrix of ROWS rows of LENGTH against 1, 8 and 64 columns, in G
 * multiply-adds a second, and for one column the bytes of weights read a second; then scores and weighted sum of
 * attention over full chunks. Before anything is timed its result is compared with the reference, bit by bit. */
#include "base/mem.h"
#include "inference/ops.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COLS_MAX   64
#define SECONDS    0.3
#define HEAD       128 /* elements of a head */
#define HEAD_COUNT 64  /* chunks of cache that are gone through */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static uint32_t draw(void)
{
    static uint64_t seed = 1;
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 40);
}

struct product {
    struct ops_weight w;
    struct ops_input x;
    uint8_t *weights;
    float *f, *s, *out, *expected;
    int8_t *q;
};

static void make_product(struct product *p, enum gguf_tensor_type type, size_t rows, size_t n)
{
    size_t bytes = rows * quant_row_bytes(type, n);
    size_t step = type == GGUF_TENSOR_F32 ? 4 : type == GGUF_TENSOR_F16 ? 2 : quant_row_bytes(type, ARITH_BLOCK);
    *p = (struct product){.weights = mem_new(bytes)};
    for (size_t i = 0; i < bytes; i++)
        p->weights[i] = (uint8_t)draw();
    for (size_t i = 0; i + step <= bytes; i += step) { /* scales and weights that are ordinary numbers */
        size_t high = i + (type == GGUF_TENSOR_F32 ? 3 : 1);
        p->weights[high] = (uint8_t)((p->weights[high] & 0x83u) | 0x30u);
    }
    p->f = mem_array(COLS_MAX * n, sizeof(float));
    p->q = mem_array(COLS_MAX, n);
    p->s = mem_array(COLS_MAX * n / ARITH_BLOCK, sizeof(float));
    p->out = mem_array(COLS_MAX * rows, sizeof(float));
    p->expected = mem_array(COLS_MAX * rows, sizeof(float));
    for (size_t i = 0; i < COLS_MAX * n; i++)
        p->f[i] = (float)((int32_t)(draw() % 2001) - 1000) * 1e-3f;
    for (size_t c = 0; c < COLS_MAX; c++)
        CHECK(ops_ref.quantise(p->f + c * n, n, p->q + c * n, p->s + c * (n / ARITH_BLOCK)));
    p->w = (struct ops_weight){
        .type = type, .n = n, .rows = rows, .row_bytes = quant_row_bytes(type, n), .data = p->weights};
    p->x = (struct ops_input){.n = n, .cols = COLS_MAX, .f = p->f, .q = p->q, .s = p->s};
    ops_ref.multiply(&p->w, 0, rows, &p->x, p->expected, rows);
}

static void free_product(struct product *p)
{
    free(p->weights);
    free(p->f);
    free(p->q);
    free(p->s);
    free(p->out);
    free(p->expected);
}

static void time_product(const struct ops *o, struct product *p)
{
    static const size_t cols[] = {1, 8, COLS_MAX};
    size_t rows = p->w.rows, n = p->w.n;
    p->x.cols = COLS_MAX;
    o->multiply(&p->w, 0, rows, &p->x, p->out, rows);
    CHECK(memcmp(p->out, p->expected, COLS_MAX * rows * sizeof(float)) == 0);
    printf("%-5s %-5s", o->name, gguf_tensor_type_name(p->w.type));
    for (size_t i = 0; i < sizeof cols / sizeof *cols; i++) {
        uint64_t rounds = 0;
        double start = now(), took;
        p->x.cols = cols[i];
        do {
            o->multiply(&p->w, 0, rows, &p->x, p->out, rows);
            rounds++;
        } while ((took = now() - start) < SECONDS);
        printf("  %2zu: %6.2f G/s", cols[i], 1e-9 * (double)(rounds * rows * n * cols[i]) / took);
        if (cols[i] == 1)
            printf(" (%5.2f GB/s)", 1e-9 * (double)(rounds * rows * p->w.row_bytes) / took);
    }
    printf("\n");
}

static void time_attention(const struct ops *o)
{
    enum { BLOCKS = HEAD / ARITH_BLOCK, CACHE = HEAD_COUNT * ARITH_CHUNK };
    int8_t *q = mem_new(HEAD), *k = mem_array(CACHE, HEAD);
    float *ks = mem_array(CACHE * BLOCKS, sizeof *ks), qs[BLOCKS], s[2][ARITH_CHUNK], out[2][HEAD];
    for (size_t i = 0; i < (size_t)CACHE * HEAD; i++)
        k[i] = (int8_t)((int32_t)(draw() % 255) - 127);
    for (size_t i = 0; i < HEAD; i++)
        q[i] = (int8_t)((int32_t)(draw() % 255) - 127);
    for (size_t i = 0; i < CACHE * BLOCKS; i++)
        ks[i] = (float)(draw() % 1000 + 1) * 1e-4f;
    for (size_t i = 0; i < BLOCKS; i++)
        qs[i] = 0.01f;
    uint64_t rounds = 0;
    double start = now(), took;
    for (int timed = 0; timed < 2; timed++) {
        start = now();
        do {
            for (size_t c = 0; c < HEAD_COUNT; c++) {
                const int8_t *page = k + c * ARITH_CHUNK * HEAD;
                const float *scales = ks + c * ARITH_CHUNK * BLOCKS;
                float peak;
                o->scores(q, qs, page, scales, BLOCKS, ARITH_CHUNK, 0.1f, s[0]);
                CHECK(o->peak(s[0], ARITH_CHUNK, &peak));
                o->exponentials(s[0], ARITH_CHUNK, peak);
                o->weigh(s[0], page, scales, BLOCKS, ARITH_CHUNK, out[0]);
                if (timed)
                    continue;
                ops_ref.scores(q, qs, page, scales, BLOCKS, ARITH_CHUNK, 0.1f, s[1]);
                ops_ref.exponentials(s[1], ARITH_CHUNK, peak);
                ops_ref.weigh(s[1], page, scales, BLOCKS, ARITH_CHUNK, out[1]);
                CHECK(memcmp(s[0], s[1], sizeof s[0]) == 0 && memcmp(out[0], out[1], sizeof out[0]) == 0);
            }
            rounds++;
        } while ((took = now() - start) < (timed ? SECONDS : 0.0));
    }
    rounds--; /* the one that was compared */
    printf("%-5s attention over %d positions of %d elements: %.2f G/s\n", o->name, CACHE, HEAD,
           2e-9 * (double)(rounds * CACHE * HEAD) / took);
    free(q);
    free(k);
    free(ks);
}

int main(int argc, char **argv)
{
    static const enum gguf_tensor_type types[] = {GGUF_TENSOR_F32, GGUF_TENSOR_F16, GGUF_TENSOR_Q8_0, GGUF_TENSOR_Q4_0};
    size_t rows = argc > 1 ? strtoul(argv[1], NULL, 10) : 2048, n = argc > 2 ? strtoul(argv[2], NULL, 10) : 2048;
    if (rows == 0 || n == 0 || n % ARITH_BLOCK || rows > (1u << 20) || n > (1u << 20)) {
        fprintf(stderr, "usage: bench_ops [ROWS [LENGTH]], LENGTH a multiple of %d\n", ARITH_BLOCK);
        return 3;
    }
    const struct ops *o;
    printf("%zu rows of %zu, one thread; multiply-adds a second by columns\n", rows, n);
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        struct product p;
        make_product(&p, types[t], rows, n);
        for (size_t i = 0; (o = ops_at(i)); i++)
            time_product(o, &p);
        free_product(&p);
    }
    for (size_t i = 0; (o = ops_at(i)); i++)
        time_attention(o);
    return 0;
}
