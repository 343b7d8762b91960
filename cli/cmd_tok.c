/* tokenize, detokenize, template, logits: what a model's file makes of texts and tokens, without a daemon. */
#include "base/file.h"
#include "base/variables.h"
#include "cli/commands.h"
#include "cli/how.h"
#include "cli/out.h"
#include "cli/transcript.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

const struct option_spec cmd_tokenize_options[] = {
    HOW_MODEL_OPTION,
    {.name = "text", .type = OPTION_TEXT, .value = "TEXT", .help = "what to take apart"},
    {.name = "special", .type = OPTION_FLAG, .help = "control tokens spelled out in the text become those tokens"},
    {.name = "bos", .type = OPTION_FLAG, .help = "a beginning-of-text token in front"},
    {.name = NULL},
};
const struct option_spec cmd_detokenize_options[] = {
    HOW_MODEL_OPTION,
    {.name = "ids", .type = OPTION_TEXT, .value = "1,2,3", .help = "tokens"},
    {.name = "special", .type = OPTION_FLAG, .help = "show control tokens, too"},
    {.name = NULL},
};
const struct option_spec cmd_template_options[] = {
    HOW_MODEL_OPTION,
    {.name = "messages", .type = OPTION_TEXT, .value = "FILE.json", .help = "[{\"role\":..,\"content\":..},..]"},
    {.name = "vars",
     .type = OPTION_TEXT,
     .value = "JSON",
     .help = "variables of the template, as in {\"enable_thinking\":false}"},
    {.name = "effort",
     .type = OPTION_TEXT,
     .value = "LEVEL",
     .help = "how much it is to think: none, minimal, low, medium, high, xhigh, max"},
    {.name = NULL},
};
const struct option_spec cmd_logits_options[] = {
    HOW_MODEL_OPTION,
    {.name = "ids", .type = OPTION_TEXT, .value = "1,2,3", .help = "tokens"},
    {.name = "out", .type = OPTION_TEXT, .value = "FILE", .help = "gets float32, little-endian, [tokens, vocabulary]"},
    HOW_OPTIONS,
    {.name = NULL},
};

/* "1,403,407" to ids. */
static enum err read_ids(const char *text, struct buf *ids, struct note *note)
{
    const char *p = text;
    do {
        char *end;
        errno = 0;
        unsigned long v = strtoul(p, &end, 10);
        if (end == p || *p < '0' || *p > '9' || errno != 0 || v >= VOCAB_MAX || (*end && *end != ','))
            return note_set(note, ERR_USAGE, "--ids \"%.60s\": whole numbers with commas between, as in 1,403,407",
                            text);
        wire_put_id(ids, (uint32_t)v);
        p = end + (*end == ',');
        if (*end == ',' && !*p)
            return note_set(note, ERR_USAGE, "--ids \"%.60s\" ends with a comma", text);
    } while (*p);
    return ERR_OK;
}

static int need(const struct cli *cli, const struct args *args, const char *other)
{
    if (!args_text(args, "model"))
        return cli_fail(cli, CLI_USAGE, "which model? --model FILE.gguf");
    if (!args_text(args, other))
        return cli_fail(cli, CLI_USAGE, "--%s is missing", other);
    return CLI_DONE;
}

/* One question to a worker with the vocabulary, and its answer, which must be of that type. */
static enum err ask_vocabulary(const struct args *args, struct buf *question, enum wire_type type, struct local **l,
                               struct wire_frame *answer, struct note *note)
{
    const struct wire_open how = {.mode = WIRE_VOCAB};
    enum err e = how_open(args_text(args, "model"), &how, l, note);
    if (e == ERR_OK)
        e = local_send(*l, question, note);
    if (e == ERR_OK)
        e = local_next(*l, answer, note);
    if (e == ERR_OK && answer->type != type)
        e = note_set(note, ERR_PROTOCOL, "the worker spoke against the protocol");
    return e;
}

static void print_ids(struct bytes ids)
{
    for (size_t i = 0; i < wire_id_count(ids); i++)
        printf("%s%u", i ? "," : "", wire_id_at(ids, i));
    printf("\n");
}

int cmd_tokenize(const struct cli *cli, const struct args *args)
{
    struct buf question = {0};
    struct local *l = NULL;
    struct wire_frame answer;
    struct wire_tokens m;
    struct note note = {{0}};
    int rc = need(cli, args, "text");
    if (rc != CLI_DONE)
        return rc;
    const struct wire_tokenize q = {.ask = 1,
                                    .ends = args_has(args, "bos") ? WIRE_ENDS_BOS : WIRE_ENDS_NONE,
                                    .special = args_has(args, "special"),
                                    .text = bytes_of_text(args_text(args, "text"))};
    if (q.text.n > PROMPT_BYTES_MAX)
        return cli_fail(cli, CLI_USAGE, "a text of %zu bytes: at most %u are allowed", q.text.n, PROMPT_BYTES_MAX);
    wire_add_tokenize(&question, &q);
    enum err e = ask_vocabulary(args, &question, WIRE_TOKENS, &l, &answer, &note);
    if (e == ERR_OK && !wire_read_tokens(answer.body, &m))
        e = note_set(&note, ERR_PROTOCOL, "the worker spoke against the protocol");
    if (e != ERR_OK)
        rc = cli_fail_note(cli, e, &note);
    else if (cli->json)
        out_json_take(json_pack("{s:o}", "ids", transcript_ids(m.ids)));
    else
        print_ids(m.ids);
    local_close(l);
    buf_clear(&question);
    return rc;
}

int cmd_detokenize(const struct cli *cli, const struct args *args)
{
    struct buf question = {0}, ids = {0};
    struct local *l = NULL;
    struct wire_frame answer;
    struct wire_text m;
    struct note note = {{0}};
    int rc = need(cli, args, "ids");
    if (rc != CLI_DONE)
        return rc;
    enum err e = read_ids(args_text(args, "ids"), &ids, &note);
    if (e == ERR_OK) {
        const struct wire_detokenize q = {1, args_has(args, "special"), true, bytes_of_buf(&ids)};
        wire_add_detokenize(&question, &q);
        e = ask_vocabulary(args, &question, WIRE_TEXT, &l, &answer, &note);
    }
    if (e == ERR_OK && !wire_read_text(answer.body, &m))
        e = note_set(&note, ERR_PROTOCOL, "the worker spoke against the protocol");
    if (e != ERR_OK)
        rc = cli_fail_note(cli, e, &note);
    else if (cli->json)
        out_json_take(json_pack("{s:o}", "text", transcript_text(m.text.p, m.text.n)));
    else {
        out_untrusted((const char *)m.text.p, m.text.n);
        printf("\n");
    }
    local_close(l);
    buf_clear(&ids);
    buf_clear(&question);
    return rc;
}

/* What --vars and --effort say, checked here as a node checks it. */
static enum err read_variables(const struct args *args, struct buf *out, struct note *note)
{
    const char *given = args_text(args, "vars"), *effort = args_text(args, "effort");
    json_t *all = given ? json_parse(bytes_of_text(given), note) : json_object();
    enum err e = all ? variables_check(all, "--vars", note) : ERR_FORMAT;
    if (e == ERR_OK && effort)
        e = variables_set_effort(all, effort, "--effort", note);
    if (e == ERR_OK && json_object_size(all))
        json_print(out, all);
    json_decref(all);
    return e == ERR_OK ? e : ERR_USAGE;
}

static enum err render(const struct args *args, struct local **l, struct wire_templated *m, struct wire_frame *answer,
                       struct note *note)
{
    struct buf question = {0}, messages = {0}, variables = {0};
    enum err e = file_read(args_text(args, "messages"), PROMPT_BYTES_MAX, &messages, note);
    if (e == ERR_OK)
        e = read_variables(args, &variables, note);
    if (e == ERR_OK) {
        const struct wire_template q = {.ask = 1,
                                        .answer = true,
                                        .clock_ms = (uint64_t)time(NULL) * 1000,
                                        .messages = bytes_of_buf(&messages),
                                        .variables = bytes_of_buf(&variables)};
        wire_add_template(&question, &q);
        e = ask_vocabulary(args, &question, WIRE_TEMPLATED, l, answer, note);
    }
    if (e == ERR_OK && !wire_read_templated(answer->body, m))
        e = note_set(note, ERR_PROTOCOL, "the worker spoke against the protocol");
    buf_clear(&messages);
    buf_clear(&variables);
    buf_clear(&question);
    return e;
}

int cmd_template(const struct cli *cli, const struct args *args)
{
    struct local *l = NULL;
    struct wire_frame answer;
    struct wire_templated m;
    struct note note = {{0}};
    int rc = need(cli, args, "messages");
    if (rc != CLI_DONE)
        return rc;
    enum err e = render(args, &l, &m, &answer, &note);
    if (e != ERR_OK)
        rc = cli_fail_note(cli, e, &note);
    else if (cli->json)
        out_json_take(
            json_pack("{s:o, s:o}", "text", transcript_text(m.text.p, m.text.n), "ids", transcript_ids(m.ids)));
    else
        out_untrusted((const char *)m.text.p, m.text.n);
    local_close(l);
    return rc;
}

/* -- logits -- */

static enum err write_rows(struct local *l, FILE *f, const char *path, uint32_t *rows, struct note *note)
{
    for (;;) {
        struct wire_frame frame;
        struct wire_row row;
        enum err e = local_next(l, &frame, note);
        if (e != ERR_OK || frame.type == WIRE_DONE)
            return e;
        if (frame.type != WIRE_ROW || !wire_read_row(frame.body, &row) || row.position != (*rows)++)
            return note_set(note, ERR_PROTOCOL, "the worker spoke against the protocol");
        if (fwrite(row.values.p, 1, row.values.n, f) != row.values.n)
            return note_set(note, ERR_IO, "%.200s cannot be written: %s", path, strerror(errno));
    }
}

static enum err write_logits(struct local *l, struct bytes ids, const char *path, uint32_t *rows, struct note *note)
{
    struct buf question = {0};
    struct stat st;
    FILE *f = fopen(path, "wb");
    if (!f)
        return note_set(note, ERR_IO, "%.200s cannot be written: %s", path, strerror(errno));
    wire_add_logits(&question, &(struct wire_logits){1, ids});
    enum err e = local_send(l, &question, note);
    if (e == ERR_OK)
        e = write_rows(l, f, path, rows, note);
    bool is_file = fstat(fileno(f), &st) == 0 && S_ISREG(st.st_mode); /* a device or a pipe is left alone */
    if (fclose(f) != 0 && e == ERR_OK)
        e = note_set(note, ERR_IO, "%.200s cannot be written: %s", path, strerror(errno));
    if (e != ERR_OK && is_file)
        unlink(path); /* no half of it */
    buf_clear(&question);
    return e;
}

int cmd_logits(const struct cli *cli, const struct args *args)
{
    struct buf ids = {0};
    struct local *l = NULL;
    struct note note = {{0}};
    uint32_t rows = 0;
    int rc = need(cli, args, "ids");
    if (rc == CLI_DONE)
        rc = need(cli, args, "out");
    if (rc != CLI_DONE)
        return rc;
    struct wire_open how;
    how_read(args, &how);
    enum err e = read_ids(args_text(args, "ids"), &ids, &note);
    if (e == ERR_OK)
        e = how_open(args_text(args, "model"), &how, &l, &note);
    if (e == ERR_OK)
        e = write_logits(l, bytes_of_buf(&ids), args_text(args, "out"), &rows, &note);
    if (e != ERR_OK)
        rc = cli_fail_note(cli, e, &note);
    else if (cli->json)
        out_json_take(json_pack("{s:I, s:I, s:s}", "rows", (json_int_t)rows, "vocab",
                                (json_int_t)local_opened(l)->vocab, "backend", local_opened(l)->backend.s));
    else
        printf("%u x %u logits in %s\n", rows, local_opened(l)->vocab, args_text(args, "out"));
    local_close(l);
    buf_clear(&ids);
    return rc;
}
