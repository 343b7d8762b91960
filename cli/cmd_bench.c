/* bench: how fast a model reads a prompt, writes an answer, writes several at once, and has an answer checked, beside
 * how fast this machine reads memory. Nothing is timed that was not first found right: the answer that was written
 * token by token is verified in one pass, every repetition must give the same digest, and of the answers that are
 * written at once one is written alone, too. */
#include "base/file.h"
#include "cli/bandwidth.h"
#include "cli/commands.h"
#include "cli/how.h"
#include "cli/out.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define REPEATS_MAX     99
#define BENCH_JOBS_MAX  256
#define JOB_PROMPT_MAX  16 /* tokens: many jobs are to write, not to read */
#define BENCH_TOKEN_MAX 65536

const struct option_spec cmd_bench_options[] = {
    HOW_MODEL_OPTION,
    {.name = "prompt",
     .letter = 'p',
     .type = OPTION_COUNT,
     .value = "N",
     .preset = "512",
     .least = 1,
     .most = BENCH_TOKEN_MAX,
     .help = "tokens that are read; what fits where the model has room for less"},
    {.name = "tokens",
     .letter = 'n',
     .type = OPTION_COUNT,
     .value = "N",
     .preset = "64",
     .least = 2,
     .most = BENCH_TOKEN_MAX,
     .help = "tokens that are written"},
    {.name = "jobs",
     .type = OPTION_COUNT,
     .value = "N",
     .preset = "8",
     .least = 0,
     .most = BENCH_JOBS_MAX,
     .help = "answers written at once (0: not measured)"},
    {.name = "repeat",
     .type = OPTION_COUNT,
     .value = "N",
     .preset = "3",
     .least = 1,
     .most = REPEATS_MAX,
     .help = "times; the median is shown"},
    {.name = "edit", .type = OPTION_TEXT, .value = "FILE", .help = "also: a text that is rewritten, with --into..."},
    {.name = "into", .type = OPTION_TEXT, .value = "FILE", .help = "...what it becomes, as if the model had said so"},
    HOW_OPTIONS,
    {.name = NULL},
};

struct sizes {
    uint32_t prompt, tokens, jobs, repeats;
};

/* A text and what it becomes, as tokens; empty where no edit is measured. */
struct edit {
    struct buf before, after;
};

struct series {
    double value[REPEATS_MAX];
    unsigned n;
};

/* Of all repetitions. */
struct figures {
    struct series prompt_tps, decode_tps, write_ms, verify_ms, jobs_tps, edit_tps, edit_draft_tps;
    uint32_t edit_tokens, drafted, accepted;
    double load_ms, memory_bytes_per_s;
    uint64_t peak_bytes;
    struct hash digest; /* of the answer that was written and verified */
};

/* One answer. */
struct answer {
    struct buf tokens;
    struct hash digest;
    uint64_t prompt_us, decode_us;
    bool is_done;
};

static uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(const struct series *s)
{
    struct series sorted = *s;
    if (s->n == 0)
        return 0;
    qsort(sorted.value, s->n, sizeof *sorted.value, compare_doubles);
    return (sorted.value[(s->n - 1) / 2] + sorted.value[s->n / 2]) / 2;
}

static void add(struct series *s, double value)
{
    CHECK(s->n < REPEATS_MAX);
    s->value[s->n++] = value;
}

static double per_second(double count, uint64_t us)
{
    return us ? count * 1e6 / (double)us : 0;
}

static enum err odd_answer(struct note *note)
{
    return note_set(note, ERR_PROTOCOL, "the worker spoke against the protocol");
}

/* -- one answer, several answers -- */

/* A greedy request over a prompt that looks like nothing, the same every time; `which` draws another. */
static void make_request(uint32_t vocab, uint32_t which, uint32_t prompt_n, uint32_t tokens, struct buf *out)
{
    struct request r;
    struct buf prompt = {0};
    uint32_t state = 2463534242u + which * 2654435761u;
    for (uint32_t i = 0; i < prompt_n; i++) {
        state = state * 1664525u + 1013904223u;
        wire_put_id(&prompt, (uint32_t)((uint64_t)state * vocab >> 32));
    }
    request_init(&r);
    r.prompt = bytes_of_buf(&prompt);
    r.tokens_max = tokens;
    request_put(out, &r);
    buf_clear(&prompt);
}

/* Asks for `n` answers at once: request i of the worker's ask number i + 1. `first_all_us` and `first_done_us`: when
 * each had its first token, and when the first of them had ended; `between`: tokens written in that time. */
static enum err write_all(struct local *l, const struct buf *requests, struct answer *answers, uint32_t n,
                          double *between_tps, struct note *note)
{
    struct buf out = {0};
    uint32_t started = 0, ended = 0, between = 0;
    uint64_t all_us = 0, first_end_us = 0;
    for (uint32_t i = 0; i < n; i++)
        wire_add_run(
            &out, &(struct wire_run){.ask = i + 1, .request = bytes_of_buf(&requests[i]), .endless = true, .draft = 1});
    enum err e = local_send(l, &out, note);
    while (e == ERR_OK && ended < n) {
        struct wire_frame frame;
        struct wire_token token;
        struct wire_done done;
        e = local_next(l, &frame, note);
        if (e == ERR_OK && frame.type == WIRE_TOKEN && wire_read_token(frame.body, &token) && token.ask - 1 < n) {
            started += token.index == 0;
            if (all_us && !first_end_us)
                between++;
            if (started == n && !all_us)
                all_us = now_us();
            wire_put_id(&answers[token.ask - 1].tokens, token.token);
        } else if (e == ERR_OK && frame.type == WIRE_DONE && wire_read_done(frame.body, &done) && done.ask - 1 < n) {
            struct answer *a = &answers[done.ask - 1];
            a->digest = done.digest;
            a->prompt_us = done.prompt_us;
            a->decode_us = done.decode_us;
            first_end_us = first_end_us ? first_end_us : now_us();
            ended++;
        } else if (e == ERR_OK)
            e = odd_answer(note);
    }
    *between_tps = first_end_us > all_us ? per_second(between, first_end_us - all_us) : 0;
    buf_clear(&out);
    return e;
}

static enum err verify(struct local *l, const struct buf *request, const struct answer *a, uint64_t *us,
                       struct note *note)
{
    struct buf out = {0};
    struct wire_frame frame;
    struct wire_verified v;
    wire_add_verify(&out, &(struct wire_verify){.ask = 1,
                                                .request = bytes_of_buf(request),
                                                .tokens = bytes_of_buf(&a->tokens),
                                                .digest = a->digest,
                                                .endless = true});
    enum err e = local_send(l, &out, note);
    if (e == ERR_OK)
        e = local_next(l, &frame, note);
    if (e == ERR_OK && (frame.type != WIRE_VERIFIED || !wire_read_verified(frame.body, &v)))
        e = odd_answer(note);
    if (e == ERR_OK && !v.same)
        e = note_set(note, ERR_MISMATCH,
                     "an answer is different when it is verified, from token %u on: do not trust "
                     "this build on this machine",
                     v.position);
    if (e == ERR_OK)
        *us = v.us;
    buf_clear(&out);
    return e;
}

static enum err expect_digest(const struct hash *had, const struct hash *got, const char *when, struct note *note)
{
    if (hash_is_zero(had) || hash_equal(had, got))
        return ERR_OK;
    return note_set(note, ERR_MISMATCH, "an answer is different %s: do not trust this build on this machine", when);
}

static void clear_answers(struct answer *answers, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        buf_clear(&answers[i].tokens);
        answers[i] = (struct answer){0};
    }
}

/* -- what is measured -- */

/* Reading and writing behind it, and verifying both. */
static enum err measure_answer(struct local *l, const struct sizes *z, struct figures *f, struct note *note)
{
    struct buf request = {0};
    struct answer a = {0};
    double ignored;
    uint64_t us = 0;
    make_request(local_opened(l)->vocab, 0, z->prompt, z->tokens, &request);
    enum err e = write_all(l, &request, &a, 1, &ignored, note);
    if (e == ERR_OK)
        e = expect_digest(&f->digest, &a.digest, "when it is repeated", note);
    if (e == ERR_OK)
        e = verify(l, &request, &a, &us, note);
    if (e == ERR_OK) {
        f->digest = a.digest;
        add(&f->prompt_tps, per_second(z->prompt, a.prompt_us));
        add(&f->write_ms, (double)(a.prompt_us + a.decode_us) / 1e3);
        add(&f->verify_ms, (double)us / 1e3);
    }
    clear_answers(&a, 1);
    buf_clear(&request);
    return e;
}

/* Writing alone, behind one token. */
static enum err measure_decode(struct local *l, const struct sizes *z, struct figures *f, struct note *note)
{
    struct buf request = {0};
    struct answer a = {0};
    double ignored;
    make_request(local_opened(l)->vocab, 1, 1, z->tokens, &request);
    enum err e = write_all(l, &request, &a, 1, &ignored, note);
    if (e == ERR_OK)
        add(&f->decode_tps, per_second(z->tokens - 1, a.decode_us));
    clear_answers(&a, 1);
    buf_clear(&request);
    return e;
}

static enum err measure_jobs(struct local *l, const struct sizes *z, struct figures *f, struct note *note)
{
    struct buf requests[BENCH_JOBS_MAX] = {{0}};
    struct answer answers[BENCH_JOBS_MAX] = {0}, alone = {0};
    double tps = 0, ignored;
    uint32_t prompt = z->prompt < JOB_PROMPT_MAX ? z->prompt : JOB_PROMPT_MAX;
    for (uint32_t i = 0; i < z->jobs; i++)
        make_request(local_opened(l)->vocab, 2 + i, prompt, z->tokens, &requests[i]);
    enum err e = write_all(l, requests, answers, z->jobs, &tps, note);
    if (e == ERR_OK && f->jobs_tps.n == 0) {
        e = write_all(l, &requests[z->jobs - 1], &alone, 1, &ignored, note);
        if (e == ERR_OK)
            e = expect_digest(&answers[z->jobs - 1].digest, &alone.digest, "when others are written beside it", note);
    }
    if (e == ERR_OK)
        add(&f->jobs_tps, tps);
    clear_answers(answers, z->jobs);
    clear_answers(&alone, 1);
    for (uint32_t i = 0; i < z->jobs; i++)
        buf_clear(&requests[i]);
    return e;
}

static enum err write_edit(struct local *l, const struct edit *edit, const struct buf *request, uint8_t draft,
                           struct wire_done *done, struct note *note)
{
    struct buf out = {0};
    struct wire_frame frame;
    wire_add_run(&out, &(struct wire_run){.ask = 1,
                                          .request = bytes_of_buf(request),
                                          .tokens = bytes_of_buf(&edit->after),
                                          .endless = true,
                                          .forced = true,
                                          .draft = draft});
    enum err e = local_send(l, &out, note);
    do
        e = e == ERR_OK ? local_next(l, &frame, note) : e;
    while (e == ERR_OK && frame.type == WIRE_TOKEN);
    if (e == ERR_OK && (frame.type != WIRE_DONE || !wire_read_done(frame.body, done)))
        e = odd_answer(note);
    buf_clear(&out);
    return e;
}

/* The text is the prompt, and what it becomes is the answer, whatever the model would have said: with drafts and
 * without, which must give the same digest. */
static enum err measure_edit(struct local *l, const struct edit *edit, struct figures *f, struct note *note)
{
    struct buf request = {0};
    struct request r;
    struct wire_done plain, drafts;
    request_init(&r);
    r.prompt = bytes_of_buf(&edit->before);
    r.tokens_max = f->edit_tokens = (uint32_t)(edit->after.n / 4);
    request_put(&request, &r);
    enum err e = write_edit(l, edit, &request, 1, &plain, note);
    if (e == ERR_OK)
        e = write_edit(l, edit, &request, 0, &drafts, note);
    if (e == ERR_OK)
        e = expect_digest(&plain.digest, &drafts.digest, "when tokens are guessed ahead", note);
    if (e == ERR_OK) {
        add(&f->edit_tps, per_second(f->edit_tokens - 1, plain.decode_us));
        add(&f->edit_draft_tps, per_second(f->edit_tokens - 1, drafts.decode_us));
        f->drafted = drafts.drafted;
        f->accepted = drafts.accepted;
    }
    buf_clear(&request);
    return e;
}

static enum err read_edit(struct local *l, const struct args *args, struct edit *edit, struct note *note)
{
    const char *paths[] = {args_text(args, "edit"), args_text(args, "into")};
    struct buf *to[] = {&edit->before, &edit->after};
    enum err e = ERR_OK;
    for (unsigned i = 0; i < 2 && e == ERR_OK && paths[0] && paths[1]; i++) {
        struct buf text = {0};
        e = file_read(paths[i], PROMPT_BYTES_MAX, &text, note);
        if (e == ERR_OK)
            e = local_tokenize(l, bytes_of_buf(&text), i == 0 ? WIRE_ENDS_FILE : WIRE_ENDS_NONE, to[i], note);
        buf_clear(&text);
        if (e == ERR_OK && to[i]->n < 8)
            e = note_set(note, ERR_USAGE, "%.200s has fewer than two tokens", paths[i]);
    }
    size_t n = (edit->before.n + edit->after.n) / 4;
    if (e == ERR_OK && n > local_opened(l)->context)
        e = note_set(note, ERR_USAGE, "--edit and --into have %zu tokens: the context is %u", n,
                     local_opened(l)->context);
    return e;
}

static enum err measure(const struct cli *cli, struct local *l, const struct sizes *z, const struct edit *edit,
                        struct figures *f, struct note *note)
{
    struct out_progress progress;
    enum err e = ERR_OK;
    out_progress_start(&progress, cli, "measuring");
    for (uint32_t i = 0; i < z->repeats && e == ERR_OK; i++) {
        out_progress_set(&progress, i, z->repeats);
        e = measure_answer(l, z, f, note);
        if (e == ERR_OK)
            e = measure_decode(l, z, f, note);
        if (e == ERR_OK && z->jobs)
            e = measure_jobs(l, z, f, note);
        if (e == ERR_OK && edit->after.n)
            e = measure_edit(l, edit, f, note);
    }
    out_progress_end(&progress);
    return e;
}

/* -- telling -- */

static json_t *figures_json(const char *model, const struct wire_opened *o, const struct sizes *z,
                            const struct figures *f)
{
    char digest[2 * HASH_SIZE + 1], root[2 * HASH_SIZE + 1];
    hex_put(digest, f->digest.b, HASH_SIZE);
    hex_put(root, o->root.b, HASH_SIZE);
    json_t *j = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I}", "model", model, "root", root,
                          "architecture", o->architecture.s, "format", o->format.s, "backend", o->backend.s, "device",
                          o->device.s, "parameters", (json_int_t)o->parameters, "threads", (json_int_t)o->threads,
                          "batch", (json_int_t)o->batch, "repeats", (json_int_t)z->repeats);
    json_t *k = json_pack("{s:I, s:f, s:I, s:f, s:f, s:f, s:f, s:I, s:f, s:s}", "prompt_tokens", (json_int_t)z->prompt,
                          "prompt_tps", median(&f->prompt_tps), "decode_tokens", (json_int_t)z->tokens, "decode_tps",
                          median(&f->decode_tps), "write_ms", median(&f->write_ms), "verify_ms", median(&f->verify_ms),
                          "load_ms", f->load_ms, "peak_bytes", (json_int_t)f->peak_bytes, "memory_bytes_per_s",
                          f->memory_bytes_per_s, "digest", digest);
    json_object_update(j, k);
    json_decref(k);
    if (z->jobs) {
        json_object_set_new(j, "jobs", json_integer((json_int_t)z->jobs));
        json_object_set_new(j, "jobs_tps", json_real(median(&f->jobs_tps)));
    }
    if (f->edit_tokens) {
        json_t *edit = json_pack("{s:I, s:f, s:f, s:I, s:I}", "edit_tokens", (json_int_t)f->edit_tokens, "edit_tps",
                                 median(&f->edit_tps), "edit_draft_tps", median(&f->edit_draft_tps), "drafted",
                                 (json_int_t)f->drafted, "accepted", (json_int_t)f->accepted);
        json_object_update(j, edit);
        json_decref(edit);
    }
    return j;
}

static void print_figures(const struct cli *cli, const struct wire_opened *o, const struct sizes *z,
                          const struct figures *f)
{
    char digest[2 * HASH_SIZE + 1];
    hex_put(digest, f->digest.b, HASH_SIZE);
    printf("%s%s %s%s, %.1f M parameters, %s kernels, %u threads, batches of %u\n", out_style(cli, OUT_BOLD),
           o->architecture.s, o->format.s, out_style(cli, OUT_PLAIN), (double)o->parameters / 1e6, o->backend.s,
           o->threads, o->batch);
    printf("  load       %10.0f ms\n", f->load_ms);
    printf("  read       %10.1f tokens/s  (%u tokens)\n", median(&f->prompt_tps), z->prompt);
    printf("  write      %10.1f tokens/s  (%u tokens behind one)\n", median(&f->decode_tps), z->tokens);
    if (z->jobs)
        printf("  together   %10.1f tokens/s  (%u answers at once)\n", median(&f->jobs_tps), z->jobs);
    printf("  answer     %10.0f ms        (%u tokens read, %u written)\n", median(&f->write_ms), z->prompt, z->tokens);
    printf("  verify it  %10.0f ms\n", median(&f->verify_ms));
    if (f->edit_tokens)
        printf("  edit       %10.1f tokens/s  (%u tokens; without drafts %.1f; %u of %u guesses came)\n",
               median(&f->edit_draft_tps), f->edit_tokens, median(&f->edit_tps), f->accepted, f->drafted);
    printf("  worker     %10.1f MB at most\n", (double)f->peak_bytes / 1e6);
    printf("  memory     %10.1f GB/s read by %u threads\n", f->memory_bytes_per_s / 1e9, o->threads);
    printf("  digest     %s\n", digest);
}

static struct sizes read_sizes(const struct args *args)
{
    return (struct sizes){(uint32_t)args_count(args, "prompt"), (uint32_t)args_count(args, "tokens"),
                          (uint32_t)args_count(args, "jobs"), (uint32_t)args_count(args, "repeat")};
}

/* A model of a short context is measured with less where nobody said how much. */
static void fit_sizes(struct sizes *z, const struct args *args, const struct wire_opened *o)
{
    if (!args_has(args, "tokens") && z->tokens > o->context / 4)
        z->tokens = o->context / 4 > 2 ? o->context / 4 : 2;
    if (!args_has(args, "prompt") && o->context > z->tokens && z->prompt > o->context - z->tokens)
        z->prompt = o->context - z->tokens;
}

/* Against what the worker can do. */
static enum err check_sizes(const struct sizes *z, const struct wire_opened *o, struct note *note)
{
    if (z->jobs > o->batch)
        return note_set(note, ERR_USAGE, "--jobs %u needs a batch of as many: --batch %u", z->jobs, z->jobs);
    if (z->prompt + z->tokens > o->context)
        return note_set(note, ERR_USAGE,
                        "%u and %u tokens are over the model's context of %u: ask for fewer with --prompt and --tokens",
                        z->prompt, z->tokens, o->context);
    return ERR_OK;
}

int cmd_bench(const struct cli *cli, const struct args *args)
{
    const char *model = args_has(args, "model") ? args_text(args, "model") : args_word(args, 0);
    struct figures f = {0};
    struct edit edit = {{0}, {0}};
    struct sizes z = read_sizes(args);
    struct wire_open how;
    struct wire_opened opened;
    struct local *l = NULL;
    struct note note = {{0}};
    if (args_has(args, "edit") != args_has(args, "into"))
        return cli_fail(cli, CLI_USAGE, "--edit FILE and --into FILE belong together");
    if (!model)
        return cli_fail(cli, CLI_USAGE, "which model? `kith bench MODEL`, or --model FILE.gguf");
    how_read(args, &how);
    how.jobs = z.jobs ? z.jobs : 1;
    uint64_t start_us = now_us();
    enum err e = how_open(model, &how, &l, &note);
    if (e == ERR_OK) {
        f.load_ms = (double)(now_us() - start_us) / 1e3;
        opened = *local_opened(l);
        fit_sizes(&z, args, &opened);
        e = check_sizes(&z, &opened, &note);
    }
    if (e == ERR_OK)
        e = read_edit(l, args, &edit, &note);
    if (e == ERR_OK)
        e = measure(cli, l, &z, &edit, &f, &note);
    buf_clear(&edit.before);
    buf_clear(&edit.after);
    f.peak_bytes = local_close(l);
    if (e != ERR_OK)
        return cli_fail_note(cli, e, &note);
    f.memory_bytes_per_s =
        bandwidth_measure(opened.threads); /* a worker that waits for work reads kept weights again */
    if (cli->json)
        out_json_take(figures_json(model, &opened, &z, &f));
    else
        print_figures(cli, &opened, &z, &f);
    return CLI_DONE;
}
