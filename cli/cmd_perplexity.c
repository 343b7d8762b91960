/* perplexity: how well a model foretells a text, counted as llama-perplexity counts it, so that both can be compared on
 * the same file and text: the whole text is one row of tokens, cut into chunks of the context; each chunk begins anew,
 * its first token taken for a beginning of text where the vocabulary puts one in front of texts; the second half of a
 * chunk is scored, each token behind all before it in the chunk; what is left behind the last whole chunk is not used.
 */
#include "base/file.h"
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/how.h"
#include "cli/out.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AHEAD 4 /* chunks asked for at once, so that the worker's batches are full */

const struct option_spec cmd_perplexity_options[] = {
    HOW_MODEL_OPTION,
    {.name = "file", .type = OPTION_TEXT, .value = "FILE", .help = "the text"},
    {.name = "ctx",
     .letter = 'c',
     .type = OPTION_COUNT,
     .value = "N",
     .preset = "512",
     .least = 4,
     .most = CONTEXT_MAX,
     .help = "tokens of a chunk, of which the second half is scored"},
    {.name = "chunks",
     .type = OPTION_COUNT,
     .value = "N",
     .preset = "0",
     .least = 0,
     .most = UINT32_MAX,
     .help = "at most so many (0: the whole text)"},
    HOW_OPTIONS,
    {.name = NULL},
};

struct text {
    struct buf ids;
    bool has_bos; /* in front of texts of this vocabulary */
    uint32_t ctx, chunks;
};

/* Of negative log-probabilities; of each chunk, so that the order in which they come back decides nothing. */
struct part {
    double sum, squares;
};

struct tally {
    struct part *part; /* [chunks of the text] */
    uint64_t tokens;
    uint32_t chunks;
};

static enum err read_text(struct local *l, const char *path, uint32_t chunks_max, struct text *t, struct note *note)
{
    struct buf content = {0}, nothing = {0};
    enum err e = file_read(path, PROMPT_BYTES_MAX, &content, note);
    if (e == ERR_OK)
        e = local_tokenize(l, bytes_of_buf(&content), WIRE_ENDS_FILE, &t->ids, note);
    if (e == ERR_OK)
        e = local_tokenize(l, bytes_of(NULL, 0), WIRE_ENDS_FILE, &nothing, note); /* what stands around any text */
    size_t n = t->ids.n / 4, around = nothing.n / 4;
    t->has_bos = around > 0 && wire_id_at(bytes_of_buf(&nothing), 0) == local_opened(l)->bos;
    if (e == ERR_OK && around > (t->has_bos ? 1u : 0u))
        e = note_set(note, ERR_UNSUPPORTED,
                     "this vocabulary puts an end behind texts: chunks of one cannot be compared");
    if (e == ERR_OK && n < 2 * (size_t)t->ctx)
        e = note_set(note, ERR_USAGE, "%.120s has %zu tokens: at least two chunks of --ctx %u are needed", path, n,
                     t->ctx);
    t->chunks = (uint32_t)(n / t->ctx);
    if (chunks_max && chunks_max < t->chunks)
        t->chunks = chunks_max;
    buf_clear(&content);
    buf_clear(&nothing);
    return e;
}

static void add_chunk(const struct local *l, const struct text *t, uint32_t i, struct buf *out)
{
    struct buf ids = {0};
    buf_add(&ids, t->ids.p + 4 * (size_t)i * t->ctx, 4 * (size_t)t->ctx);
    if (t->has_bos)
        store_le32(ids.p, local_opened(l)->bos);
    wire_add_score(out, &(struct wire_score){.ask = i + 1, .from = t->ctx / 2, .ids = bytes_of_buf(&ids)});
    buf_clear(&ids);
}

static void count(struct tally *sum, uint64_t chunk, struct bytes scores)
{
    for (size_t i = 0; i < scores.n / 8; i++) {
        double nll = -wire_score_at(scores, i);
        sum->part[chunk].sum += nll;
        sum->part[chunk].squares += nll * nll;
        sum->tokens++;
    }
    sum->chunks++;
}

/* Chunks come back in any order; a few are always asked for. */
static enum err score_all(const struct cli *cli, struct local *l, const struct text *t, struct tally *sum,
                          struct note *note)
{
    struct out_progress progress;
    struct buf out = {0};
    uint32_t asked = 0;
    enum err e = ERR_OK;
    out_progress_start(&progress, cli, "scoring");
    while (e == ERR_OK && sum->chunks < t->chunks) {
        struct wire_frame frame;
        struct wire_scores m;
        while (asked < t->chunks && asked < sum->chunks + AHEAD)
            add_chunk(l, t, asked++, &out);
        e = local_send(l, &out, note);
        if (e == ERR_OK)
            e = local_next(l, &frame, note);
        if (e == ERR_OK && (frame.type != WIRE_SCORES || !wire_read_scores(frame.body, &m) || m.ask > t->chunks ||
                            m.values.n / 8 != t->ctx - 1 - t->ctx / 2))
            e = note_set(note, ERR_PROTOCOL, "the worker spoke against the protocol");
        if (e == ERR_OK)
            count(sum, m.ask - 1, m.values);
        out_progress_set(&progress, sum->chunks, t->chunks);
    }
    out_progress_end(&progress);
    buf_clear(&out);
    return e;
}

static void show(const struct cli *cli, const struct wire_opened *o, const struct text *t, const struct tally *sum)
{
    struct part all = {0, 0};
    for (uint32_t i = 0; i < t->chunks; i++) {
        all.sum += sum->part[i].sum;
        all.squares += sum->part[i].squares;
    }
    double n = (double)sum->tokens, nll = all.sum / n, variance = all.squares / n - nll * nll;
    double ppl = exp(nll), error = variance > 0 && sum->tokens > 1 ? ppl * sqrt(variance / (n - 1)) : 0;
    if (cli->json)
        out_json_take(json_pack("{s:o, s:f, s:f, s:f, s:I, s:I, s:I, s:s, s:s, s:s}", "bos",
                                t->has_bos ? json_integer((json_int_t)o->bos) : json_null(), "perplexity", ppl, "nll",
                                nll, "stderr", error, "tokens_scored", (json_int_t)sum->tokens, "chunks",
                                (json_int_t)sum->chunks, "ctx", (json_int_t)t->ctx, "architecture", o->architecture.s,
                                "format", o->format.s, "backend", o->backend.s));
    else
        printf("perplexity %.4f +/- %.5f (%" PRIu64 " tokens scored, %u chunks of %u)\n", ppl, error, sum->tokens,
               sum->chunks, t->ctx);
}

int cmd_perplexity(const struct cli *cli, const struct args *args)
{
    struct text t = {.ctx = (uint32_t)args_count(args, "ctx")};
    struct tally sum = {0};
    struct wire_open how;
    struct local *l = NULL;
    struct note note = {{0}};
    int rc = CLI_DONE;
    if (!args_text(args, "model") || !args_text(args, "file"))
        return cli_fail(cli, CLI_USAGE, "`kith perplexity` needs --model FILE.gguf and --file TEXT");
    how_read(args, &how);
    enum err e = how_open(args_text(args, "model"), &how, &l, &note);
    if (e == ERR_OK && t.ctx > local_opened(l)->context)
        e = note_set(&note, ERR_USAGE, "--ctx %u is over the model's context of %u", t.ctx, local_opened(l)->context);
    if (e == ERR_OK)
        e = read_text(l, args_text(args, "file"), (uint32_t)args_count(args, "chunks"), &t, &note);
    if (e == ERR_OK) {
        sum.part = mem_array(t.chunks, sizeof *sum.part);
        e = score_all(cli, l, &t, &sum, &note);
    }
    if (e == ERR_OK)
        show(cli, local_opened(l), &t, &sum);
    else
        rc = cli_fail_note(cli, e, &note);
    local_close(l);
    buf_clear(&t.ids);
    free(sum.part);
    return rc;
}
