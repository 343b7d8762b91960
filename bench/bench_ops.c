/* How fast the kernels are, one thread: bench_ops [ROWS [LENGTH [SET [FORMAT]]]].
 *
 * For every set of kernels and every format, or those named: a matrix of ROWS rows of LENGTH against 1, 2, 8 and 120
 * columns, in G multiply-adds a second, and for one column the bytes of weights read a second; then scores and weighted
 * sum of attention over full chunks. Before anything is timed its result is compared with the reference, bit by bit. */
#include "base/mem.h"
#include "inference/kernels/ops.h"
#include "inference/kernels/pack.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COLS_MAX   120
#define SECONDS    0.3
#define HEAD       128 /* elements of a head */
#define HEAD_COUNT 64  /* chunks of cache that are gone through */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); /* others may be using the machine */
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
    uint8_t *weights, *packed;
    void *blocks[2];
    float *f, *out, *expected;
};

/* The first `cols` columns, as the kernels read them. */
static void put_columns(struct product *p, const struct ops *o, size_t cols)
{
    p->x.cols = cols;
    p->x.narrow = ops_blocks_at(p->blocks[0], p->x.n, cols);
    p->x.wide = ops_blocks_at(p->blocks[1], p->x.n, cols);
    for (size_t c = 0; c < cols; c++)
        CHECK(ops_put_column(o, &p->x, c, p->f + c * p->x.n));
}

static void make_product(struct product *p, enum gguf_tensor_type type, size_t rows, size_t n)
{
    const struct quant_format *f = quant_format(type);
    size_t bytes = rows * quant_row_bytes(type, n);
    *p = (struct product){.weights = mem_new(bytes)};
    for (size_t i = 0; i < bytes; i++)
        p->weights[i] = (uint8_t)draw();
    size_t at = quant_is_blocked(type) ? quant_scale_at(f) : 0;
    for (size_t i = 0; i + f->bytes <= bytes; i += f->bytes) /* scales and weights that are ordinary numbers */
        for (size_t h = 0; h <= f->has_min; h++) {
            uint8_t *high = p->weights + i + at + 2 * h + (type == GGUF_TENSOR_F32 ? 3 : !f->has_exponent);
            *high = f->has_exponent ? (uint8_t)(124 + (*high & 3)) : (uint8_t)((*high & 0x83u) | 0x30u);
        }
    p->f = mem_array(COLS_MAX * n, sizeof(float));
    p->out = mem_array(COLS_MAX * rows, sizeof(float));
    p->expected = mem_array(COLS_MAX * rows, sizeof(float));
    for (size_t i = 0; i < COLS_MAX * n; i++)
        p->f[i] = (float)((int32_t)(draw() % 2001) - 1000) * 1e-3f;
    for (size_t i = 0; i < 2; i++)
        p->blocks[i] = mem_new(ops_blocks_bytes(n, COLS_MAX));
    p->w = (struct ops_weight){
        .type = type, .n = n, .rows = rows, .row_bytes = quant_row_bytes(type, n), .data = p->weights};
    if (quant_is_blocked(type)) {
        p->packed = aligned_alloc(64, (size_t)pack_matrix_bytes(f, n, rows) / 64 * 64 + 64);
        CHECK(p->packed);
        pack_matrix(f, p->weights, n, rows, p->packed);
        p->w.packed = p->packed;
    }
    p->x = (struct ops_input){.n = n, .f = p->f};
    put_columns(p, &ops_ref, COLS_MAX);
    ops_ref.multiply(&p->w, 0, rows, &p->x, p->expected, rows);
}

static void free_product(struct product *p)
{
    free(p->weights);
    free(p->packed);
    free(p->blocks[0]);
    free(p->blocks[1]);
    free(p->f);
    free(p->out);
    free(p->expected);
}

static void time_product(const struct ops *o, struct product *p)
{
    static const size_t cols[] = {1, 2, 8, COLS_MAX};
    size_t rows = p->w.rows, n = p->w.n;
    put_columns(p, o, COLS_MAX);
    o->multiply(&p->w, 0, rows, &p->x, p->out, rows);
    CHECK(memcmp(p->out, p->expected, COLS_MAX * rows * sizeof(float)) == 0);
    printf("%-8s %-6s", o->name, gguf_tensor_type_name(p->w.type));
    for (size_t i = 0; o != &ops_ref && i < sizeof cols / sizeof *cols; i++) {
        uint64_t rounds = 0;
        double start = now(), took;
        put_columns(p, o, cols[i]);
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

/* Queries of one head over a cache, n at a time. */
struct queries {
    int8_t *q, *k;
    float *ks, *qs;
    float s[2][OPS_QUERIES * ARITH_CHUNK], out[2][OPS_QUERIES * HEAD];
};

/* All chunks once; returns their number. */
static size_t attend(const struct ops *o, struct queries *t, size_t n, size_t which)
{
    enum { BLOCKS = HEAD / ARITH_BLOCK };
    for (size_t c = 0; c < HEAD_COUNT; c++) {
        const int8_t *page = t->k + c * ARITH_CHUNK * HEAD;
        const float *scales = t->ks + c * ARITH_CHUNK * BLOCKS;
        float peak;
        o->scores(t->q, t->qs, n, page, scales, BLOCKS, ARITH_CHUNK, 0.1f, t->s[which]);
        for (size_t i = 0; i < n; i++) {
            CHECK(o->peak(t->s[which] + i * ARITH_CHUNK, ARITH_CHUNK, &peak));
            o->exponentials(t->s[which] + i * ARITH_CHUNK, ARITH_CHUNK, peak);
        }
        o->weigh(t->s[which], n, page, scales, BLOCKS, ARITH_CHUNK, t->out[which]);
    }
    return HEAD_COUNT;
}

static void time_attention(const struct ops *o, size_t n)
{
    enum { BLOCKS = HEAD / ARITH_BLOCK, CACHE = HEAD_COUNT * ARITH_CHUNK };
    struct queries *t = mem_new(sizeof *t);
    t->q = mem_array(n, HEAD);
    t->k = mem_array(CACHE, HEAD);
    t->ks = mem_array(CACHE * BLOCKS, sizeof *t->ks);
    t->qs = mem_array(n * BLOCKS, sizeof *t->qs);
    for (size_t i = 0; i < (size_t)CACHE * HEAD; i++)
        t->k[i] = (int8_t)((int32_t)(draw() % 255) - 127);
    for (size_t i = 0; i < n * HEAD; i++)
        t->q[i] = (int8_t)((int32_t)(draw() % 255) - 127);
    for (size_t i = 0; i < CACHE * BLOCKS; i++)
        t->ks[i] = (float)(draw() % 1000 + 1) * 1e-4f;
    for (size_t i = 0; i < n * BLOCKS; i++)
        t->qs[i] = 0.01f;
    attend(o, t, n, 0);
    attend(&ops_ref, t, n, 1);
    CHECK(memcmp(t->s[0], t->s[1], n * ARITH_CHUNK * sizeof(float)) == 0); /* of the last chunk */
    CHECK(memcmp(t->out[0], t->out[1], n * HEAD * sizeof(float)) == 0);
    uint64_t chunks = 0;
    double start = now(), took;
    do {
        chunks += attend(o, t, n, 0);
    } while ((took = now() - start) < SECONDS);
    printf("%-8s attention, %zu queries at a time over %d positions of %d elements: %.2f G/s\n", o->name, n, CACHE,
           HEAD, 2e-9 * (double)(chunks * n * ARITH_CHUNK * HEAD) / took);
    void *all[] = {t->q, t->k, t->ks, t->qs, t};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

static bool is_asked(const char *wanted, const char *name)
{
    return !wanted || strcmp(wanted, name) == 0;
}

int main(int argc, char **argv)
{
    static const enum gguf_tensor_type types[] = {GGUF_TENSOR_F32, GGUF_TENSOR_F16, GGUF_TENSOR_BF16,
#define E(name, ...) GGUF_TENSOR_##name,
                                                  QUANT_BLOCKED_LIST(E)
#undef E
    };
    size_t rows = argc > 1 ? strtoul(argv[1], NULL, 10) : 2048, n = argc > 2 ? strtoul(argv[2], NULL, 10) : 2048;
    if (rows == 0 || n == 0 || n % ARITH_RUN || rows > (1u << 20) || n > (1u << 20)) {
        fprintf(stderr, "usage: bench_ops [ROWS [LENGTH [SET [FORMAT]]]], LENGTH a multiple of %d\n", ARITH_RUN);
        return 3;
    }
    const char *set = argc > 3 ? argv[3] : NULL, *format = argc > 4 ? argv[4] : NULL;
    const struct ops *o;
    printf("%zu rows of %zu, one thread; multiply-adds a second by columns\n", rows, n);
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        struct product p;
        if (!is_asked(format, gguf_tensor_type_name(types[t])))
            continue;
        make_product(&p, types[t], rows, n);
        for (size_t i = 0; (o = ops_at(i)); i++)
            if (is_asked(set, o->name))
                time_product(o, &p);
        free_product(&p);
    }
    for (size_t i = 0; (o = ops_at(i)); i++)
        for (size_t queries = 1; !format && is_asked(set, o->name) && queries <= OPS_QUERIES; queries *= OPS_QUERIES)
            time_attention(o, queries);
    return 0;
}
