/* Where a GPU's time goes, without a worker around it: bench_gpu MODEL.gguf [PROMPT_TOKENS] [DEPTH] [WIDEST].
 *
 * All layers on the first GPU. How long a prompt takes, in batches as a worker reads it; and how long a step takes that
 * writes one token for each of 1, 2, 4 ... WIDEST sequences of DEPTH positions. Before a time is printed, the results
 * are compared: a row beside others is the row alone, and a prompt's last row that of the same prompt in small pieces.
 *
 * bench_gpu_clocks is the same with what each kernel takes where it stands, from its wait to the next one's: kernels of
 * one file with one grid together, in the order in which they first come (inference/cuda/clocks.h).
 */
#include "base/file_map.h"
#include "base/mem.h"
#include "inference/cuda/clocks.h"
#include "inference/engine/engine.h"
#include "inference/kernels/ops.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BATCH      1024u
#define PIECE      48u /* a batch whose products and attention go other ways */
#define WIDEST_MAX 256u
#define REPEATS    15

int cudaProfilerStart(void), cudaProfilerStop(void); /* cuda_profiler_api.h */

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *ms, unsigned n)
{
    qsort(ms, n, sizeof *ms, compare_doubles);
    return ms[n / 2];
}

static void give_up(const char *why)
{
    fprintf(stderr, "bench_gpu: %s\n", why);
    exit(1);
}

static uint32_t token_at(const struct model *m, uint32_t seq, uint32_t i)
{
    uint32_t x = (seq * 4099 + i) * 2654435761u;
    return (uint32_t)((uint64_t)(x ^ x >> 15) * 2246822519u % m->vocab);
}

/* -- what kernels take -- */

#define CLOCKS_MOST 65536u
#define KINDS_MOST  256u

struct kind {
    struct cuda_clock of;
    double us[CLOCKS_MOST / 16];
    unsigned n;
};

static bool is_kind(const struct cuda_clock *a, const struct cuda_clock *b)
{
    return a->file == b->file && memcmp(a->grid, b->grid, sizeof a->grid) == 0 && a->threads == b->threads;
}

static struct cuda_clock *take_clocks(uint32_t *n)
{
    struct cuda_clock *all = mem_array(CLOCKS_MOST, sizeof *all);
    *n = cuda_clocks_take(all, CLOCKS_MOST);
    return all;
}

/* What was done before does not count. */
static void forget_clocks(void)
{
    uint32_t n;
    free(take_clocks(&n));
}

static void print_clocks(void)
{
    uint32_t n, kinds_n = 0;
    struct cuda_clock *all = take_clocks(&n);
    struct kind *kinds = mem_array(KINDS_MOST, sizeof *kinds);
    for (uint32_t i = 0; i + 1 < n; i++) {
        uint32_t k = 0;
        while (k < kinds_n && !is_kind(&kinds[k].of, &all[i]))
            k++;
        if (k == KINDS_MOST)
            break;
        if (k == kinds_n)
            kinds[kinds_n++] = (struct kind){.of = all[i]};
        if (kinds[k].n < sizeof kinds[k].us / sizeof *kinds[k].us)
            kinds[k].us[kinds[k].n++] = (double)(all[i + 1].ns - all[i].ns) / 1e3;
    }
    for (uint32_t k = 0; k < kinds_n; k++) {
        const struct cuda_clock *c = &kinds[k].of;
        const char *file = strrchr(c->file, '/');
        double sum = 0;
        for (unsigned i = 0; i < kinds[k].n; i++)
            sum += kinds[k].us[i];
        printf("    %-20s %5u x %5u x %3u blocks of %4u: %4u times, median %8.2f us, together %9.1f\n",
               file ? file + 1 : c->file, c->grid[0], c->grid[1], c->grid[2], c->threads, kinds[k].n,
               median(kinds[k].us, kinds[k].n), sum);
    }
    free(kinds);
    free(all);
}

/* -- what steps and prompts take -- */

/* Positions [from, to) of a sequence, the last one's logits. */
static const float *read_prompt(struct engine *e, struct engine_seq *s, uint32_t seq, uint32_t from, uint32_t to,
                                uint32_t batch)
{
    static struct engine_row rows[BATCH];
    uint32_t cols = 0;
    for (; from < to; from += cols) {
        cols = to - from < batch ? to - from : batch;
        for (uint32_t c = 0; c < cols; c++)
            rows[c] = (struct engine_row){
                .seq = s, .token = token_at(engine_model(e), seq, from + c), .wants = from + c + 1 == to};
        engine_eval(e, rows, cols);
    }
    return rows[cols - 1].logits;
}

static void measure_prompt(struct engine *e, uint32_t n)
{
    uint64_t bytes = engine_model(e)->vocab * sizeof(float);
    float *want = mem_array(engine_model(e)->vocab, sizeof *want);
    double ms[3];
    for (unsigned i = 0; i < 4; i++) {
        struct engine_seq *s = engine_seq_new(e, n);
        if (i == 3)
            (void)cudaProfilerStart();
        forget_clocks();
        double start = now_ms();
        const float *logits = read_prompt(e, s, 0, 0, n, i ? BATCH : PIECE);
        if (i)
            ms[i - 1] = now_ms() - start;
        (void)cudaProfilerStop();
        if (!i)
            memcpy(want, logits, bytes);
        else if (memcmp(want, logits, bytes) != 0)
            give_up("a prompt's last row depends on its pieces");
        engine_seq_free(s);
    }
    printf("prompt   %8.2f ms for %u tokens\n", median(ms, 3), n);
    print_clocks();
    free(want);
}

static void measure_steps(struct engine *e, uint32_t depth, uint32_t widest)
{
    const struct model *m = engine_model(e);
    struct engine_seq *seq[WIDEST_MAX];
    struct engine_row rows[WIDEST_MAX];
    float *want = mem_array((size_t)widest * m->vocab, sizeof *want);
    for (uint32_t c = 0; c < widest; c++) {
        seq[c] = engine_seq_new(e, depth + 1);
        read_prompt(e, seq[c], c, 0, depth, BATCH);
        memcpy(want + (size_t)c * m->vocab, read_prompt(e, seq[c], c, depth, depth + 1, 1), m->vocab * sizeof *want);
    }
    double alone = 0;
    for (uint32_t cols = 1; cols <= widest; cols *= 2) {
        double ms[REPEATS];
        for (unsigned i = 0; i < REPEATS + 3; i++) { /* the second is recorded, the third not yet warm */
            for (uint32_t c = 0; c < cols; c++) {
                engine_seq_cut(seq[c], depth);
                rows[c] = (struct engine_row){.seq = seq[c], .token = token_at(m, c, depth), .wants = true};
            }
            if (i == 0 && 2 * cols > widest) /* recorded kernels are no profiler's */
                (void)cudaProfilerStart();
            forget_clocks();
            double start = now_ms();
            engine_eval(e, rows, cols);
            if (i >= 3)
                ms[i - 3] = now_ms() - start;
            (void)cudaProfilerStop();
            for (uint32_t c = 0; c < cols; c++)
                if (memcmp(want + (size_t)c * m->vocab, rows[c].logits, m->vocab * sizeof *want) != 0)
                    give_up("a row beside others is another");
        }
        double step = median(ms, REPEATS);
        alone = cols == 1 ? step : alone;
        printf("step     %8.3f ms, %3u sequences of %u: %8.1f tokens/s, %5.2f times one\n", step, cols, depth,
               cols * 1e3 / step, cols * alone / step);
        print_clocks();
    }
    for (uint32_t c = 0; c < widest; c++)
        engine_seq_free(seq[c]);
    free(want);
}

static void be_lost(void *arg, const struct note *why)
{
    (void)arg;
    give_up(why->text);
}

int main(int argc, char **argv)
{
    struct bytes file;
    struct gguf *gguf;
    struct model *model;
    struct note note = {{0}};
    struct device_facts facts;
    if (argc < 2)
        give_up("usage: bench_gpu MODEL.gguf [PROMPT_TOKENS] [DEPTH] [WIDEST]");
    uint32_t prompt = argc > 2 ? (uint32_t)atoi(argv[2]) : 4096, depth = argc > 3 ? (uint32_t)atoi(argv[3]) : 256,
             widest = argc > 4 ? (uint32_t)atoi(argv[4]) : 64;
    const struct device_table *t = kith_device_table();
    if (file_map(argv[1], &file, &note) != ERR_OK || gguf_open(file, &gguf, &note) != ERR_OK ||
        model_open(gguf, NULL, &model, &note) != ERR_OK || t->start(&note) == 0 ||
        t->describe(0, &facts, &note) != ERR_OK)
        give_up(note.text);
    struct device_options o = {.model = model,
                               .end = model->layers,
                               .has_output = true,
                               .batch_max = BATCH,
                               .threads = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN)};
    struct engine_device at = {.table = t, .end = model->layers};
    double start = now_ms();
    if (t->open(&o, &at.device_take, &note) != ERR_OK)
        give_up(note.text);
    printf("%s, %s, %u layers\nload     %8.0f ms\n", facts.name, facts.driver, model->layers, now_ms() - start);
    struct engine *e = engine_new(&(struct engine_options){.model = model,
                                                           .ops = &ops_ref,
                                                           .threads = 1,
                                                           .batch_max = BATCH,
                                                           .devices = &at,
                                                           .devices_n = 1,
                                                           .lost = be_lost});
    if (widest && widest <= WIDEST_MAX)
        measure_steps(e, depth, widest);
    if (prompt)
        measure_prompt(e, prompt);
    engine_free(e);
    model_free(model);
    gguf_free(gguf);
    return 0;
}
