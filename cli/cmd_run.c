/* run and verify: a model on this machine answers, or its answer is computed again; no daemon, no network. */
#include "base/file.h"
#include "base/secret.h"
#include "cli/commands.h"
#include "cli/how.h"
#include "cli/out.h"
#include "cli/transcript.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define DRAFT_OPTION_MAX 64 /* the engine takes what it can */

const struct option_spec cmd_run_options[] = {
    HOW_MODEL_OPTION,
    {.name = "prompt", .type = OPTION_TEXT, .value = "TEXT", .help = "raw text that the model continues"},
    {.name = "tokens",
     .type = OPTION_COUNT,
     .value = "N",
     .preset = "64",
     .least = 1,
     .most = CONTEXT_MAX,
     .help = "at most so many"},
    {.name = "temp",
     .type = OPTION_REAL,
     .value = "T",
     .preset = "0",
     .least = 0,
     .most = 100,
     .help = "0: always the likeliest token"},
    {.name = "top-k",
     .type = OPTION_COUNT,
     .value = "K",
     .preset = "0",
     .least = 0,
     .most = VOCAB_MAX,
     .help = "only the K likeliest (0: all)"},
    {.name = "top-p",
     .type = OPTION_REAL,
     .value = "P",
     .preset = "1",
     .least = 0,
     .most = 1,
     .help = "only the likeliest that make up P"},
    {.name = "min-p",
     .type = OPTION_REAL,
     .value = "P",
     .preset = "0",
     .least = 0,
     .most = 1,
     .help = "only those at least P as likely as the likeliest"},
    {.name = "seed",
     .type = OPTION_TEXT,
     .value = "HEX",
     .help = "for the same answer again (drawn where one is needed)"},
    {.name = "stop", .type = OPTION_TEXT, .value = "TEXT", .many = true, .help = "ends the answer"},
    {.name = "draft",
     .type = OPTION_COUNT,
     .value = "N",
     .most = DRAFT_OPTION_MAX,
     .help = "tokens guessed ahead at most; changes no bit (as many as pay)"},
    {.name = "schema", .type = OPTION_TEXT, .value = "FILE.json", .help = "JSON schema that the answer satisfies"},
    HOW_OPTIONS,
    {.name = NULL},
};

const struct option_spec cmd_verify_options[] = {
    HOW_MODEL_OPTION,
    {.name = "transcript", .type = OPTION_TEXT, .value = "FILE.json", .help = "what `kith run --json` printed"},
    {.name = "witness",
     .type = OPTION_HEX32,
     .value = "KEY",
     .help = "print the replay's witness that this key draws, too: 64 hexadecimal digits"},
    HOW_OPTIONS,
    {.name = NULL},
};

/* At most 64 digits; shorter ones have zeros in front. */
static bool read_seed(const char *text, struct hash *seed)
{
    char digits[2 * HASH_SIZE + 1];
    size_t n = strlen(text);
    if (n == 0 || n > 2 * HASH_SIZE)
        return false;
    memset(digits, '0', sizeof digits - 1);
    memcpy(digits + 2 * HASH_SIZE - n, text, n + 1);
    return hex_get(digits, seed->b, HASH_SIZE);
}

static enum err read_schema(const char *path, struct transcript *t, struct note *note)
{
    struct buf content = {0};
    struct note why = {{0}};
    enum err e = file_read(path, SCHEMA_BYTES_MAX, &content, note);
    if (e == ERR_OK) {
        json_t *schema = json_parse(bytes_of_buf(&content), &why);
        if (schema)
            json_print(&t->schema, schema);
        else
            e = note_set(note, ERR_FORMAT, "%.120s: %s", path, why.text);
        json_decref(schema);
    }
    t->request.schema = bytes_of_buf(&t->schema);
    buf_clear(&content);
    return e;
}

/* All of a request but its prompt. */
static int read_request(const struct cli *cli, const struct args *args, struct transcript *t)
{
    struct request *r = &t->request;
    const char *seed = args_text(args, "seed"), *stop;
    struct note note;
    request_init(r);
    r->tokens_max = (uint32_t)args_count(args, "tokens");
    r->temp = (float)args_real(args, "temp");
    r->top_k = (uint32_t)args_count(args, "top-k");
    r->top_p = (float)args_real(args, "top-p");
    r->min_p = (float)args_real(args, "min-p");
    for (unsigned i = 0; (stop = args_nth(args, "stop", i)); i++)
        if (transcript_add_stop(&t->stops, stop, strlen(stop), &note) != ERR_OK)
            return cli_fail(cli, CLI_USAGE, "--stop: %s", note.text);
    r->stops = bytes_of_buf(&t->stops);
    if (args_text(args, "schema") && read_schema(args_text(args, "schema"), t, &note) != ERR_OK)
        return cli_fail(cli, CLI_USAGE, "--schema: %s", note.text);
    if (seed && !read_seed(seed, &r->seed))
        return cli_fail(cli, CLI_USAGE, "--seed \"%.70s\" is not a seed: 1 to 64 hexadecimal digits", seed);
    if (!seed && r->temp > 0)
        secret_random(r->seed.b, HASH_SIZE);
    return CLI_DONE;
}

static enum err tokenize_prompt(struct local *l, const char *prompt, struct transcript *t, struct note *note)
{
    enum err e = local_tokenize(l, bytes_of_text(prompt), WIRE_ENDS_FILE, &t->prompt, note);
    t->request.prompt = bytes_of_buf(&t->prompt);
    return e;
}

static void show_text(const struct cli *cli, struct transcript *t, struct bytes text)
{
    buf_add(&t->text, text.p, text.n);
    if (cli->json || text.n == 0)
        return;
    out_untrusted((const char *)text.p, text.n);
    fflush(stdout);
}

static enum err run(const struct cli *cli, struct local *l, struct transcript *t, uint8_t draft, struct note *note)
{
    struct buf request = {0}, out = {0};
    struct wire_frame frame;
    request_put(&request, &t->request);
    wire_add_run(&out, &(struct wire_run){.ask = 2, .request = bytes_of_buf(&request), .draft = draft});
    enum err e = local_send(l, &out, note);
    bool is_over = false;
    while (e == ERR_OK && !is_over) {
        struct wire_token token;
        struct wire_done done;
        e = local_next(l, &frame, note);
        if (e == ERR_OK && frame.type == WIRE_TOKEN && wire_read_token(frame.body, &token)) {
            wire_put_id(&t->tokens, token.token);
            show_text(cli, t, token.text);
        } else if (e == ERR_OK && frame.type == WIRE_DONE && wire_read_done(frame.body, &done)) {
            show_text(cli, t, done.text);
            t->digest = done.digest;
            t->stop = done.stop;
            t->prompt_us = done.prompt_us;
            t->decode_us = done.decode_us;
            is_over = true;
        } else if (e == ERR_OK) {
            e = note_set(note, ERR_PROTOCOL, "the worker spoke against the protocol");
        }
    }
    buf_clear(&request);
    buf_clear(&out);
    return e;
}

static void show_end(const struct cli *cli, const struct args *args, const struct transcript *t)
{
    char seed[2 * HASH_SIZE + 1];
    size_t n = t->tokens.n / 4;
    double seconds = (double)t->decode_us / 1e6;
    if (cli->json) {
        out_json_take(transcript_object(t));
        return;
    }
    printf("\n");
    fflush(stdout);
    fprintf(stderr, "%zu tokens, stopped by %s, %.1f tokens/s (%s)\n", n, request_stop_name(t->stop),
            seconds > 0 && n > 1 ? (double)(n - 1) / seconds : 0.0, t->backend);
    if (t->request.temp > 0 && !args_has(args, "seed")) {
        hex_put(seed, t->request.seed.b, HASH_SIZE);
        fprintf(stderr, "seed %s\n", seed);
    }
}

/* Model and prompt come as options, as words, or the prompt as the one word beside --model. */
static int read_words(const struct cli *cli, const struct args *args, const char **model, const char **prompt)
{
    unsigned next = 0;
    *model = args_text(args, "model");
    *prompt = args_text(args, "prompt");
    if (!*model)
        *model = args_word(args, next++);
    if (!*prompt)
        *prompt = args_word(args, next++);
    if (!*model)
        return cli_fail(cli, CLI_USAGE, "which model? `kith run MODEL PROMPT`, or --model FILE.gguf");
    if (!*prompt)
        return cli_fail(cli, CLI_USAGE, "which prompt? `kith run MODEL PROMPT`, or --prompt TEXT");
    if (args_word(args, next))
        return cli_fail(cli, CLI_USAGE, "\"%.60s\" is one word too many: put the prompt in quotes",
                        args_word(args, next));
    return CLI_DONE;
}

int cmd_run(const struct cli *cli, const struct args *args)
{
    const char *model, *prompt;
    struct transcript t = {0};
    struct wire_open how;
    struct local *l = NULL;
    struct note note = {{0}};
    int rc = read_words(cli, args, &model, &prompt);
    if (rc == CLI_DONE)
        rc = read_request(cli, args, &t);
    if (rc != CLI_DONE)
        goto out;
    how_read(args, &how);
    enum err e = how_open(model, &how, &l, &note);
    if (e == ERR_OK) {
        t.model = local_opened(l)->root;
        memcpy(t.backend, local_opened(l)->backend.s, sizeof t.backend);
        e = tokenize_prompt(l, prompt, &t, &note);
    }
    if (e == ERR_OK)
        e = run(cli, l, &t, args_has(args, "draft") ? (uint8_t)(args_count(args, "draft") + 1) : 0, &note);
    if (e == ERR_OK)
        show_end(cli, args, &t);
    else
        rc = cli_fail_note(cli, e, &note);
out:
    local_close(l);
    transcript_clear(&t);
    return rc;
}

/* -- verify -- */

static enum err read_file(const char *path, struct transcript *t, struct note *note)
{
    struct buf content = {0};
    struct note why = {{0}};
    enum err e = file_read(path, JSON_BYTES_MAX, &content, note);
    if (e == ERR_OK) {
        json_t *object = json_parse(bytes_of_buf(&content), &why);
        e = object ? transcript_read(object, t, &why) : ERR_FORMAT;
        if (e != ERR_OK)
            e = note_set(note, e, "%.120s: %s", path, why.text);
        json_decref(object);
    }
    buf_clear(&content);
    return e;
}

/* What is asked of a replay, and what comes of it. */
struct replay {
    bool is_witnessed;
    struct hash key, witness;
    struct wire_verified v;
};

static enum err replay(struct local *l, const struct transcript *t, struct replay *r, struct note *note)
{
    struct buf request = {0}, out = {0};
    struct wire_frame frame;
    request_put(&request, &t->request);
    const struct wire_verify m = {.ask = 1,
                                  .request = bytes_of_buf(&request),
                                  .tokens = bytes_of_buf(&t->tokens),
                                  .digest = t->digest,
                                  .key = bytes_of(r->key.b, r->is_witnessed ? HASH_SIZE : 0)};
    wire_add_verify(&out, &m);
    enum err e = local_send(l, &out, note);
    if (e == ERR_OK)
        e = local_next(l, &frame, note);
    if (e == ERR_OK &&
        (frame.type != WIRE_VERIFIED || !wire_read_verified(frame.body, &r->v) || r->v.witness.n != m.key.n))
        e = note_set(note, ERR_PROTOCOL, "the worker spoke against the protocol");
    if (e == ERR_OK && r->is_witnessed)
        memcpy(r->witness.b, r->v.witness.p, sizeof r->witness.b); /* the frame goes with the next one */
    buf_clear(&request);
    buf_clear(&out);
    return e;
}

/* The text must be that of the tokens, less what a stop text cut off. */
static enum err check_text(struct local *l, const struct transcript *t, bool *is_same, struct note *note)
{
    struct buf out = {0};
    struct wire_frame frame;
    struct wire_text m;
    wire_add_detokenize(&out, &(struct wire_detokenize){.ask = 2, .ids = bytes_of_buf(&t->tokens)});
    enum err e = local_send(l, &out, note);
    if (e == ERR_OK)
        e = local_next(l, &frame, note);
    if (e == ERR_OK && (frame.type != WIRE_TEXT || !wire_read_text(frame.body, &m)))
        e = note_set(note, ERR_PROTOCOL, "the worker spoke against the protocol");
    if (e == ERR_OK) {
        json_t *text = transcript_text(m.text.p, m.text.n);
        size_t n = json_string_length(text);
        bool is_front =
            t->text.n <= n && (t->text.n == 0 || memcmp(json_string_value(text), t->text.p, t->text.n) == 0);
        *is_same = is_front && (t->text.n == n || t->stop == REQUEST_STOP);
        json_decref(text);
    }
    buf_clear(&out);
    return e;
}

/* The verdict as JSON, or as a line; the witness with it. */
static void say(const struct cli *cli, const struct replay *r, json_t *json_take, const char *line)
{
    char witness[2 * HASH_SIZE + 1];
    hex_put(witness, r->witness.b, HASH_SIZE);
    if (r->is_witnessed)
        json_object_set_new(json_take, "witness", json_string(witness));
    if (cli->json) {
        out_json_take(json_take);
        return;
    }
    json_decref(json_take);
    printf("%s\n", line);
    if (r->is_witnessed)
        printf("witness: %s\n", witness);
}

static int different(const struct cli *cli, const struct replay *r, json_t *json_take, const char *why)
{
    char line[256];
    snprintf(line, sizeof line, "different: %s", why);
    say(cli, r, json_take, line);
    return CLI_REFUSED;
}

static int say_verdict(const struct cli *cli, const struct transcript *t, const struct replay *r, bool is_text)
{
    const struct wire_verified *v = &r->v;
    char line[200], digest[2 * HASH_SIZE + 1];
    size_t n = t->tokens.n / 4;
    hex_put(digest, v->digest.b, HASH_SIZE);
    bool is_cut = t->stop == REQUEST_LENGTH && n != t->request.tokens_max;
    if (v->same && is_text && !is_cut) {
        snprintf(line, sizeof line, "same: %zu tokens, digest %s", n, digest);
        say(cli, r,
            json_pack("{s:b, s:I, s:s, s:f}", "same", 1, "tokens", (json_int_t)n, "digest", digest, "ms",
                      (double)v->us / 1000),
            line);
        return CLI_DONE;
    }
    json_t *json = json_pack("{s:b, s:I, s:s}", "same", 0, "position", (json_int_t)v->position, "digest", digest);
    if (v->same && is_cut)
        snprintf(line, sizeof line, "at position %zu: the answer ends there before its %" PRIu32 " tokens", n,
                 t->request.tokens_max);
    else if (v->same)
        snprintf(line, sizeof line, "the tokens and the digest are right, but the text is not theirs");
    else if (v->position < n && v->token != WIRE_NO_TOKEN &&
             v->token != wire_id_at(bytes_of_buf(&t->tokens), v->position))
        snprintf(line, sizeof line,
                 "at position %" PRIu32 " of the answer: the transcript has token %" PRIu32 ", the model says %" PRIu32,
                 v->position, wire_id_at(bytes_of_buf(&t->tokens), v->position), v->token);
    else if (v->position < n)
        snprintf(line, sizeof line, "at position %" PRIu32 " of the answer, which does not end where the model ends it",
                 v->position);
    else
        snprintf(line, sizeof line,
                 "at position %" PRIu32 ", behind the last token: the digest is %.16s.. or the answer "
                 "goes on",
                 v->position, digest);
    return different(cli, r, json, line);
}

int cmd_verify(const struct cli *cli, const struct args *args)
{
    const char *model = args_text(args, "model"), *path = args_text(args, "transcript");
    struct transcript t = {0};
    struct wire_open how;
    struct replay r = {.is_witnessed = args_has(args, "witness")}, none = {.is_witnessed = false};
    struct local *l = NULL;
    struct note note = {{0}};
    bool is_text = true;
    int rc;
    if (!model || !path)
        return cli_fail(cli, CLI_USAGE, "`kith verify` needs --model FILE.gguf and --transcript FILE.json");
    if (r.is_witnessed)
        args_hex32(args, "witness", r.key.b);
    how_read(args, &how);
    enum err e = read_file(path, &t, &note);
    if (e == ERR_OK)
        e = how_open(model, &how, &l, &note);
    if (e == ERR_OK && !hash_equal(&t.model, &local_opened(l)->root)) {
        char root[2 * HASH_SIZE + 1];
        hex_put(root, local_opened(l)->root.b, HASH_SIZE);
        rc = different(cli, &none, json_pack("{s:b, s:s, s:s}", "same", 0, "where", "model", "model", root),
                       "the transcript is of another model than this file");
        goto out;
    }
    if (e == ERR_OK)
        e = replay(l, &t, &r, &note);
    if (e == ERR_OK && r.v.same)
        e = check_text(l, &t, &is_text, &note);
    if (e == ERR_OK)
        rc = say_verdict(cli, &t, &r, is_text);
    else
        rc = cli_fail(cli, CLI_USAGE, "%s", note.text[0] ? note.text : err_text(e));
out:
    local_close(l);
    transcript_clear(&t);
    return rc;
}
