/* What a worker does around a device: bench_host MODEL.gguf [THREADS].
 *
 * A device that computes nothing takes all layers: tokens, hidden states and logits are made up, so that what is left
 * is the processor's part, from the batch's rows to the messages. Of one job, eight and 64, greedy and sampled; of
 * prompts; and of an answer that is verified, once by the row and once more for its digest alone. Answers are compared:
 * a job beside others is the job alone. */
#include "base/file_map.h"
#include "base/mem.h"
#include "bench/talk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOKENS   200u /* of an answer */
#define PROMPT   16u
#define JOBS     64u
#define VERIFIED 1024u

/* -- the device -- */

struct device {
    const struct model *model;
    float *hidden, *logits; /* of any row */
};

static uint64_t device_us; /* spent in it */

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Sums of draws: as logits are spread. */
static float *made_up(uint32_t n, float by)
{
    float *x = mem_array(n, sizeof *x);
    uint32_t state = n;
    for (uint32_t i = 0; i < n; i++)
        for (unsigned k = 0; k < 6; k++)
            x[i] += ((float)(int32_t)next_random(&state) * 0x1p-23f - 1.0f) * by;
    return x;
}

static uint32_t start(struct note *why)
{
    (void)why;
    return 1;
}

static enum err describe(uint32_t index, struct device_facts *out, struct note *note)
{
    (void)index;
    (void)note;
    *out = (struct device_facts){.name = "nothing", .free_bytes = UINT64_C(1) << 40, .total_bytes = UINT64_C(1) << 40};
    return ERR_OK;
}

static uint64_t bytes(const struct device_options *o)
{
    (void)o;
    return 1 << 20;
}

static enum err open_device(const struct device_options *o, struct device **out, struct note *note)
{
    (void)note;
    struct device *d = mem_new(sizeof *d);
    d->model = o->model;
    d->hidden = made_up(o->model->embed, 0.5f);
    d->logits = made_up(o->model->vocab, 1.2f);
    *out = d;
    return ERR_OK;
}

static void close_device(struct device *d)
{
    free(d->hidden);
    free(d->logits);
    free(d);
}

static void pin(struct device *d, void *p, uint64_t n)
{
    (void)d;
    (void)p;
    (void)n;
}

static void unpin(struct device *d, void *p)
{
    (void)d;
    (void)p;
}

/* A row's results by its position alone. */
static enum err run(struct device *d, const struct device_batch *b, struct note *note)
{
    uint64_t before = talk_now_us();
    uint32_t vocab = d->model->vocab, embed = d->model->embed;
    (void)note;
    for (uint32_t c = 0; c < b->wanted; c++)
        memcpy(b->hidden + (size_t)c * embed, d->hidden, embed * sizeof(float));
    for (uint32_t c = 0; c < b->told; c++)
        b->best[c] = (b->position[b->slot[c]] * 2654435761u >> 8) % vocab;
    for (uint32_t i = 0; i < b->kept; i++)
        memcpy(b->logits + (size_t)i * vocab, d->logits, vocab * sizeof(float));
    device_us += talk_now_us() - before;
    return ERR_OK;
}

static const struct device_table table = {.abi = DEVICE_ABI,
                                          .start = start,
                                          .describe = describe,
                                          .bytes = bytes,
                                          .page_bytes = bytes,
                                          .open = open_device,
                                          .close = close_device,
                                          .pin = pin,
                                          .unpin = unpin,
                                          .run = run};

/* -- jobs -- */

struct heard {
    struct hash digest;
    struct buf tokens;
    bool is_over;
};

struct stage {
    struct talk talk;
    struct heard heard[JOBS + 1];
    uint32_t tokens, over;
};

static void give_up(const char *why)
{
    fprintf(stderr, "bench_host: %s\n", why);
    exit(1);
}

static void hear(void *arg, const struct wire_frame *f)
{
    struct stage *s = arg;
    struct wire_token token;
    struct wire_done done;
    struct wire_verified verified;
    if (f->type == WIRE_TOKEN && wire_read_token(f->body, &token)) {
        wire_put_id(&s->heard[token.ask].tokens, token.token);
        s->tokens++;
    } else if (f->type == WIRE_DONE && wire_read_done(f->body, &done)) {
        s->heard[done.ask].digest = done.digest;
        s->over++;
    } else if (f->type == WIRE_VERIFIED && wire_read_verified(f->body, &verified)) {
        if (!verified.same)
            give_up("an answer is not what it was when it is verified");
        s->over++;
    } else {
        give_up("a message that was not expected");
    }
}

static void run_jobs(struct stage *s, uint32_t n, uint32_t prompt_n, uint32_t tokens, float temp)
{
    for (uint32_t i = 1; i <= n; i++) {
        struct buf request = {0}, frame = {0};
        talk_request(&request, prompt_n, tokens, temp);
        buf_reset(&s->heard[i].tokens);
        wire_add_run(&frame,
                     &(struct wire_run){.ask = i, .request = bytes_of_buf(&request), .endless = true, .draft = 1});
        talk_say(&s->talk, &frame);
        buf_clear(&request);
    }
    s->tokens = s->over = 0;
}

/* All of it, timed but for the device, in microseconds. */
static double finish(struct stage *s, uint32_t n)
{
    uint64_t start_us = talk_now_us(), before = device_us;
    while (s->over < n)
        talk_step(&s->talk);
    return (double)(talk_now_us() - start_us - (device_us - before));
}

static void measure_jobs(struct stage *s, float temp, const char *how)
{
    struct hash alone = {{0}};
    for (uint32_t n = 1; n <= JOBS; n *= 8) {
        run_jobs(s, n, PROMPT, TOKENS, temp);
        double us = finish(s, n) / TOKENS;
        if (n == 1)
            alone = s->heard[1].digest;
        for (uint32_t i = 1; i <= n; i++)
            if (!hash_equal(&alone, &s->heard[i].digest))
                give_up("a job beside others is another");
        printf("step     %8.1f us, %2u jobs, %s: %6.1f us a token\n", us, n, how, us / n);
    }
}

static void measure_prompt(struct stage *s, uint32_t n)
{
    run_jobs(s, 1, n, 1, 0);
    double us = finish(s, 1);
    printf("prompt   %8.1f us for %u tokens: %6.2f us a token\n", us, n, us / n);
}

static void measure_verify(struct stage *s, float temp, const char *how)
{
    struct buf request = {0}, frame = {0};
    talk_request(&request, PROMPT, VERIFIED, temp);
    run_jobs(s, 1, PROMPT, VERIFIED, temp);
    (void)finish(s, 1);
    wire_add_verify(&frame, &(struct wire_verify){.ask = 1,
                                                  .request = bytes_of_buf(&request),
                                                  .tokens = bytes_of_buf(&s->heard[1].tokens),
                                                  .digest = s->heard[1].digest,
                                                  .endless = true});
    talk_say(&s->talk, &frame);
    s->over = 0;
    printf("verify   %8.1f us for %u tokens, %s\n", finish(s, 1), VERIFIED, how);
    buf_clear(&request);
}

int main(int argc, char **argv)
{
    struct bytes file;
    struct note note = {{0}};
    struct buf out = {0};
    struct stage *s = mem_new(sizeof *s);
    struct devices devices = {.table = &table, .n = 1};
    struct wire_open o = {
        .root = {{1}}, .threads = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 2, .jobs = JOBS, .context = 8192};
    s->talk.hear = hear;
    s->talk.arg = s;
    CHECK(text64_set(&o.backend, "cuda"));
    if (argc < 2)
        give_up("usage: bench_host MODEL.gguf [THREADS]");
    enum err e = file_map(argv[1], &file, &note);
    uint64_t start_us = talk_now_us();
    if (e == ERR_OK)
        e = sched_open(&o,
                       &(struct sched_options){.file = file, .pack_fd = -1, .devices = &devices, .clock = talk_now_us},
                       &out, &s->talk.sched, &note);
    if (e != ERR_OK)
        give_up(note.text);
    printf("open     %8.1f ms for %.0f MB\n", (double)(talk_now_us() - start_us) / 1e3, (double)file.n / 1e6);
    buf_clear(&out);
    measure_jobs(s, 0, "greedy");
    measure_jobs(s, 0.8f, "sampled");
    measure_prompt(s, 4096);
    measure_verify(s, 0, "greedy");
    measure_verify(s, 0.8f, "sampled");
    sched_close(s->talk.sched);
    file_unmap(file);
    for (uint32_t i = 0; i <= JOBS; i++)
        buf_clear(&s->heard[i].tokens);
    free(s);
    return 0;
}
