/* train: an update of low rank beside a model, trained here on data that need not leave this machine; and whether
 * somebody else's was trained as its file says. What has been done so far is kept beside the result, in FILE.part, so
 * that the same command goes on where one was cut off, with the same bits. */
#include "base/file.h"
#include "cli/commands.h"
#include "cli/how.h"
#include "cli/out.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SAY_MS 10000 /* between two lines of progress where no terminal shows one */

const struct option_spec cmd_train_options[] = {
    HOW_MODEL_OPTION,
    {.name = "data",
     .type = OPTION_TEXT,
     .value = "FILE",
     .help = "a text, or JSONL with a `text` or `messages` a line"},
    {.name = "output", .letter = 'o', .type = OPTION_TEXT, .value = "ADAPTER.gguf", .help = "where the update goes"},
    {.name = "check",
     .type = OPTION_TEXT,
     .value = "ADAPTER.gguf",
     .help = "train as this one says that it was trained, and compare"},
    {.name = "rank",
     .type = OPTION_COUNT,
     .value = "N",
     .preset = "16",
     .least = 1,
     .most = TRAIN_RANK_MAX,
     .help = "of the update's matrices"},
    {.name = "alpha",
     .type = OPTION_REAL,
     .value = "X",
     .preset = "32",
     .least = 1e-3,
     .most = 65536,
     .help = "the update counts alpha / rank times"},
    {.name = "steps",
     .type = OPTION_COUNT,
     .value = "N",
     .preset = "100",
     .least = 1,
     .most = TRAIN_STEPS_MAX,
     .help = "of the optimiser"},
    {.name = "rate",
     .type = OPTION_REAL,
     .value = "X",
     .preset = "0.0001",
     .least = 1e-9,
     .most = 1,
     .help = "how far a step goes, at most"},
    {.name = "batch",
     .type = OPTION_COUNT,
     .value = "N",
     .preset = "4",
     .least = 1,
     .most = TRAIN_BATCH_MAX,
     .help = "windows of a step"},
    {.name = "length",
     .type = OPTION_COUNT,
     .value = "N",
     .preset = "256",
     .least = 16,
     .most = TRAIN_LENGTH_MAX,
     .help = "tokens of a window, a multiple of 16"},
    {.name = "seed",
     .type = OPTION_COUNT,
     .value = "N",
     .preset = "0",
     .least = 0,
     .most = 9007199254740992.0,
     .help = "of the update's beginning and of the order of windows"},
    {.name = "save",
     .type = OPTION_COUNT,
     .value = "SECONDS",
     .preset = "30",
     .least = 0,
     .most = 86400,
     .help = "between two savings of what has been done; 0: after every step"},
    {.name = "backend",
     .type = OPTION_TEXT,
     .value = "auto|ref|avx2|..",
     .preset = "auto",
     .help = "which kernels; all give the same bits"},
    {.name = "threads",
     .type = OPTION_COUNT,
     .value = "N",
     .preset = "0",
     .least = 0,
     .most = THREADS_MAX,
     .help = "0: as many as there are processors"},
    {.name = NULL},
};

struct training {
    const struct cli *cli;
    struct local *l;
    const char *output, *check; /* one of them */
    struct buf part_path;
    struct buf part[WIRE_PIECES]; /* as they come */
    struct wire_train_began began;
    struct wire_trained end;
    uint64_t save_ms, saved_ms, said_ms;
    uint64_t tokens, us; /* of the steps of this worker */
    bool is_saving, has_ended;
};

/* -- what is given -- */

static enum err feed(struct training *t, enum wire_piece piece, const char *path, size_t most, struct note *note)
{
    struct buf content = {0}, out = {0};
    enum err e = file_read(path, most, &content, note);
    for (size_t at = 0; e == ERR_OK && at < content.n; at += TRAIN_PART_MAX) {
        const size_t n = content.n - at < TRAIN_PART_MAX ? content.n - at : TRAIN_PART_MAX;
        wire_add_train_feed(&out, &(struct wire_train_feed){1, (uint8_t)piece, bytes_of(content.p + at, n)});
        e = local_send(t->l, &out, note);
    }
    buf_clear(&content);
    buf_clear(&out);
    return e;
}

static enum err give(struct training *t, const struct args *args, struct note *note)
{
    struct buf out = {0};
    enum err e = feed(t, WIRE_PIECE_DATA, args_text(args, "data"), TRAIN_DATA_MAX, note);
    if (e == ERR_OK && t->check)
        e = feed(t, WIRE_PIECE_ADAPTER, t->check, TRAIN_STATE_MAX, note);
    else if (e == ERR_OK && access(buf_text(&t->part_path), F_OK) == 0)
        e = feed(t, WIRE_PIECE_STATE, buf_text(&t->part_path), TRAIN_STATE_MAX, note);
    if (e == ERR_OK) {
        struct wire_train m = {.ask = 1, .check = t->check != NULL};
        if (!t->check)
            m = (struct wire_train){.ask = 1,
                                    .rank = (uint32_t)args_count(args, "rank"),
                                    .steps = (uint32_t)args_count(args, "steps"),
                                    .batch = (uint32_t)args_count(args, "batch"),
                                    .length = (uint32_t)args_count(args, "length"),
                                    .alpha = (float)args_real(args, "alpha"),
                                    .rate = (float)args_real(args, "rate"),
                                    .seed = args_count(args, "seed")};
        wire_add_train(&out, &m);
        e = local_send(t->l, &out, note);
    }
    buf_clear(&out);
    return e;
}

/* -- what comes -- */

static double real_of(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static void say_step(struct training *t, const struct wire_train_step *m)
{
    const uint64_t now = out_now_ms();
    const bool live = !t->cli->json && isatty(STDERR_FILENO), is_last = m->step == t->began.steps;
    t->tokens += m->tokens;
    t->us += m->us;
    if (!live && t->said_ms && !is_last && now - t->said_ms < SAY_MS)
        return;
    t->said_ms = now;
    const double speed = (double)t->tokens * 1e6 / (double)(t->us ? t->us : 1);
    const double left = (double)(t->began.steps - m->step) * (double)m->tokens / speed;
    fprintf(stderr, "%sstep %u of %u: loss %.4f, %.0f tokens/s, %.0f s left%s", live ? "\r\033[K" : "", m->step,
            t->began.steps, real_of(m->loss), speed, left, live && !is_last ? "" : "\n");
    fflush(stderr);
}

static enum err ask_for_state(struct training *t, struct note *note)
{
    struct buf out = {0};
    const uint64_t now = out_now_ms();
    /* At once behind the first: a place that cannot be written to is said before hours have passed. */
    if (t->check || t->is_saving || (t->saved_ms && now - t->saved_ms < t->save_ms))
        return ERR_OK;
    t->is_saving = true;
    wire_add_train_save(&out, &(struct wire_train_save){1});
    enum err e = local_send(t->l, &out, note);
    buf_clear(&out);
    return e;
}

static enum err take_part(struct training *t, const struct wire_train_part *m, struct note *note)
{
    struct buf *to = &t->part[m->piece];
    const bool is_state = m->piece == WIRE_PIECE_STATE;
    if (m->piece == WIRE_PIECE_DATA || to->n + m->part.n > TRAIN_STATE_MAX)
        return note_set(note, ERR_PROTOCOL, "the worker spoke against the protocol");
    buf_add(to, m->part.p, m->part.n);
    if (!m->last)
        return ERR_OK;
    enum err e =
        file_write(is_state ? buf_text(&t->part_path) : t->output, is_state ? 0600 : 0644, bytes_of_buf(to), note);
    buf_clear(to);
    t->is_saving = t->is_saving && !is_state;
    t->saved_ms = out_now_ms();
    return e;
}

static void say_began(const struct training *t)
{
    const struct wire_train_began *m = &t->began;
    cli_remark("%" PRIu64 " tokens: %u windows to train on, %u held out; %" PRIu64 " numbers are trained, in %" PRIu64
               " MiB beside the model",
               m->tokens, m->windows, m->held, m->values, m->memory_bytes >> 20);
    if (m->step)
        cli_remark("%s has %u of %u steps: going on from there", t->part_path.p ? (const char *)t->part_path.p : "",
                   m->step, m->steps);
}

static enum err take(struct training *t, const struct wire_frame *frame, struct note *note)
{
    struct wire_train_step step;
    struct wire_train_part part;
    switch (frame->type) {
    case WIRE_TRAIN_BEGAN:
        if (!wire_read_train_began(frame->body, &t->began))
            break;
        say_began(t);
        return ERR_OK;
    case WIRE_TRAIN_STEP:
        if (!wire_read_train_step(frame->body, &step) || step.step > t->began.steps)
            break;
        say_step(t, &step);
        return ask_for_state(t, note);
    case WIRE_TRAIN_PART:
        if (t->check || !wire_read_train_part(frame->body, &part))
            break;
        return take_part(t, &part, note);
    case WIRE_TRAINED:
        if (!wire_read_trained(frame->body, &t->end))
            break;
        t->has_ended = true;
        return ERR_OK;
    default:
        break;
    }
    return note_set(note, ERR_PROTOCOL, "the worker spoke against the protocol");
}

/* -- the whole -- */

static int show(const struct training *t)
{
    const struct wire_trained *m = &t->end;
    char base[2 * HASH_SIZE + 1], data[2 * HASH_SIZE + 1], digest[2 * HASH_SIZE + 1];
    hex_put(base, m->base.b, HASH_SIZE);
    hex_put(data, m->data.b, HASH_SIZE);
    hex_put(digest, m->digest.b, HASH_SIZE);
    const char *path = t->check ? t->check : t->output;
    if (t->cli->json)
        out_json_take(json_pack(
            "{s:s, s:o, s:b, s:o, s:I, s:f, s:f, s:I, s:I, s:I, s:f, s:s, s:s, s:s}", "adapter", path, "same",
            t->check ? json_boolean(m->same) : json_null(), "checked", t->check != NULL, "differs_at_step",
            !m->same && m->step ? json_integer(m->step) : json_null(), "steps", (json_int_t)m->steps, "loss_before",
            real_of(m->before), "loss_after", real_of(m->after), "tokens", (json_int_t)t->began.tokens, "values",
            (json_int_t)t->began.values, "windows", (json_int_t)t->began.windows, "tokens_per_second",
            (double)t->tokens * 1e6 / (double)(t->us ? t->us : 1), "base", base, "data", data, "digest", digest));
    else if (!m->same)
        printf("different: %s: %s\n", path, m->text.s);
    else
        printf("%s%s: %u steps; loss of what was held out %.4f -> %.4f\nbase   %s\ndata   %s\ndigest %s\n",
               t->check ? "the same bits: " : "", path, m->steps, real_of(m->before), real_of(m->after), base, data,
               digest);
    return m->same ? CLI_DONE : CLI_REFUSED;
}

static enum err train(struct training *t, const struct args *args, struct note *note)
{
    struct wire_open how = {.mode = WIRE_TRAINING, .threads = (uint32_t)args_count(args, "threads")};
    if (!text64_set(&how.backend, args_text(args, "backend")))
        CHECK(text64_set(&how.backend, "?")); /* which the worker refuses by name */
    enum err e = how_open(args_text(args, "model"), &how, &t->l, note);
    if (e == ERR_OK)
        e = give(t, args, note);
    while (e == ERR_OK && !t->has_ended) {
        struct wire_frame frame;
        e = local_next(t->l, &frame, note);
        if (e == ERR_OK)
            e = take(t, &frame, note);
    }
    if (e == ERR_OK && !t->check)
        unlink(buf_text(&t->part_path));
    if ((e == ERR_MISMATCH || e == ERR_CORRUPT) && !t->check && !t->began.steps) {
        const struct note why = *note;
        note_set(note, e, "%.120s cannot be gone on from: %s; remove it, or give another -o", buf_text(&t->part_path),
                 why.text);
    }
    local_close(t->l);
    return e;
}

int cmd_train(const struct cli *cli, const struct args *args)
{
    struct training t = {.cli = cli,
                         .output = args_text(args, "output"),
                         .check = args_text(args, "check"),
                         .save_ms = 1000 * args_count(args, "save")};
    struct note note = {{0}};
    if (!args_text(args, "model") || !args_text(args, "data") || !t.output == !t.check)
        return cli_fail(cli, CLI_USAGE,
                        "`kith train` needs --model FILE.gguf, --data FILE, and either -o ADAPTER.gguf or "
                        "--check ADAPTER.gguf");
    if (t.output)
        buf_add_format(&t.part_path, "%s.part", t.output);
    enum err e = train(&t, args, &note);
    int rc;
    if (e == ERR_OK)
        rc = show(&t);
    else if (e == ERR_MISMATCH && t.check)
        rc = cli_fail(cli, CLI_REFUSED, "%s: %s", t.check, note.text);
    else
        rc = cli_fail_note(cli, e, &note);
    buf_clear(&t.part_path);
    for (size_t i = 0; i < WIRE_PIECES; i++)
        buf_clear(&t.part[i]);
    return rc;
}
