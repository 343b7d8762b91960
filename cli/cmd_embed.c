/* embed: texts to vectors, without a daemon. */
#include "cli/commands.h"
#include "cli/local.h"
#include "cli/out.h"

#include <stdio.h>

const struct option_spec cmd_embed_options[] = {
    {.name = "model", .type = OPTION_TEXT, .value = "FILE.gguf", .help = "the model's file, or `default`"},
    {.name = "dimensions",
     .type = OPTION_COUNT,
     .value = "N",
     .preset = "0",
     .least = 0,
     .most = EMBED_MAX,
     .help = "only the first N numbers; 0: all"},
    {.name = "raw", .type = OPTION_FLAG, .help = "as pooled, not divided by their length"},
    {.name = "backend", .type = OPTION_TEXT, .value = "auto|ref|avx2|..", .preset = "auto", .help = "which kernels"},
    {.name = "threads",
     .type = OPTION_COUNT,
     .value = "N",
     .preset = "0",
     .least = 0,
     .most = THREADS_MAX,
     .help = "0: as many as there are processors"},
    {.name = NULL},
};

static enum err next_of(struct local *l, enum wire_type type, struct wire_frame *frame, struct note *note)
{
    enum err e = local_next(l, frame, note);
    if (e == ERR_OK && frame->type != type)
        e = note_set(note, ERR_PROTOCOL, "the worker spoke against the protocol");
    return e;
}

/* One text's vector; *out borrows until the next question. */
static enum err embed_text(struct local *l, const struct args *args, const char *text, struct wire_embedding *out,
                           struct note *note)
{
    struct buf question = {0};
    struct wire_frame frame;
    struct wire_tokens tokens;
    wire_add_tokenize(&question, &(struct wire_tokenize){.ask = 1, .text = bytes_of_text(text)});
    enum err e = local_send(l, &question, note);
    if (e == ERR_OK)
        e = next_of(l, WIRE_TOKENS, &frame, note);
    if (e == ERR_OK && !wire_read_tokens(frame.body, &tokens))
        e = note_set(note, ERR_PROTOCOL, "the worker spoke against the protocol");
    if (e == ERR_OK && tokens.ids.n == 0)
        e = note_set(note, ERR_USAGE, "a text without a token has no embedding");
    if (e == ERR_OK) {
        const struct wire_embed m = {.ask = 2,
                                     .dimensions = (uint32_t)args_count(args, "dimensions"),
                                     .unit = !args_has(args, "raw"),
                                     .ids = tokens.ids};
        wire_add_embed(&question, &m);
        e = local_send(l, &question, note);
    }
    if (e == ERR_OK)
        e = next_of(l, WIRE_EMBEDDING, &frame, note);
    if (e == ERR_OK && !wire_read_embedding(frame.body, out))
        e = note_set(note, ERR_PROTOCOL, "the worker spoke against the protocol");
    buf_clear(&question);
    return e;
}

static double value_at(const struct wire_embedding *m, size_t i)
{
    return (double)arith_of_bits(wire_id_at(m->values, i));
}

static json_t *json_of(const struct wire_embedding *m)
{
    char hex[2 * HASH_SIZE + 1];
    json_t *vector = json_array();
    hex_put(hex, m->digest.b, sizeof m->digest.b);
    for (size_t i = 0; i < wire_id_count(m->values); i++)
        json_array_append_new(vector, json_real(value_at(m, i)));
    return json_pack("{s:I, s:s, s:o}", "tokens", (json_int_t)m->tokens, "digest", hex, "embedding", vector);
}

static void print(const struct wire_embedding *m)
{
    for (size_t i = 0; i < wire_id_count(m->values); i++)
        printf("%s%.9g", i ? " " : "", value_at(m, i));
    printf("\n");
}

int cmd_embed(const struct cli *cli, const struct args *args)
{
    struct buf path = {0};
    struct local *l = NULL;
    struct note note = {{0}};
    json_t *list = json_array();
    struct wire_open how = {.threads = (uint32_t)args_count(args, "threads")};
    enum err e = ERR_OK;
    int rc = CLI_DONE;
    if (!text64_set(&how.backend, args_text(args, "backend")))
        CHECK(text64_set(&how.backend, "?"));
    if (!args_text(args, "model"))
        e = note_set(&note, ERR_USAGE, "which model? --model FILE.gguf");
    if (e == ERR_OK)
        e = local_find_model(args_text(args, "model"), &path, &note);
    if (e == ERR_OK)
        e = local_open(buf_text(&path), &how, &l, &note);
    for (unsigned i = 0; e == ERR_OK && args_word(args, i); i++) {
        struct wire_embedding m;
        e = embed_text(l, args, args_word(args, i), &m, &note);
        if (e == ERR_OK && cli->json)
            json_array_append_new(list, json_of(&m));
        else if (e == ERR_OK)
            print(&m);
    }
    if (e != ERR_OK)
        rc = cli_fail_note(cli, e, &note);
    else if (cli->json)
        out_json_take(json_pack("{s:O, s:s}", "embeddings", list, "backend", local_opened(l)->backend.s));
    json_decref(list);
    local_close(l);
    buf_clear(&path);
    return rc;
}
