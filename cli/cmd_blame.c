/* chain testimony, chain blame: what a node can testify of a height, and who signed two blocks of one. A file is a
 * node's testimony, or the two blocks that a light client saw. */
#include "base/file.h"
#include "base/mem.h"
#include "chain/blame.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/out.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILES_MAX 16

const struct option_spec cmd_chain_testimony_options[] = {
    {.name = "out", .type = OPTION_TEXT, .value = "FILE", .help = "where to write it (testimony-HEIGHT)"},
    {.name = NULL},
};

int cmd_chain_testimony(const struct cli *cli, const struct args *args)
{
    const char *height = args_word(args, 0);
    struct note note = {{0}};
    struct buf raw = {0}, path = {0};
    if (!*height || strspn(height, "0123456789") != strlen(height) || strlen(height) > 19)
        return cli_fail(cli, CLI_USAGE, "\"%.40s\" is not a height", height);
    if (args_has(args, "out"))
        buf_add_text(&path, args_text(args, "out"));
    else
        buf_add_format(&path, "testimony-%s", height);
    int rc = client_get_bytes(cli, &raw, "/kith/v1/chain/testimonies/%s", height);
    if (rc == CLI_DONE) {
        enum err e = file_write(buf_text(&path), 0600, bytes_of_buf(&raw), &note);
        rc = e == ERR_OK ? CLI_DONE : cli_fail_note(cli, e, &note);
    }
    if (rc == CLI_DONE && cli->json)
        out_json_take(json_pack("{s:s, s:i}", "file", buf_text(&path), "bytes", (int)raw.n));
    else if (rc == CLI_DONE)
        printf("%s: %zu bytes; `kith chain blame FILE FILE...` compares those of two nodes\n", buf_text(&path), raw.n);
    buf_clear(&raw);
    buf_clear(&path);
    return rc;
}

static json_t *culprit_json(const struct evidence *e, const struct valset_entry *all, uint32_t n)
{
    char key[65], *hex;
    struct buf raw = {0};
    uint64_t power = 0;
    for (uint32_t i = 0; i < n; i++)
        if (memcmp(all[i].key.b, e->validator.b, sizeof e->validator.b) == 0)
            power = all[i].power;
    evidence_put(&raw, e);
    hex = mem_new(2 * raw.n + 1);
    hex_put(hex, raw.p, raw.n);
    hex_put(key, e->validator.b, sizeof e->validator.b);
    json_t *v = json_pack("{s:s, s:I, s:s, s:s}", "validator", key, "power", (json_int_t)power, "what",
                          evidence_text(e), "evidence", hex);
    free(hex);
    buf_clear(&raw);
    return v;
}

static void print_blame(const struct cli *cli, const json_t *r)
{
    const json_t *v;
    size_t i;
    (void)cli;
    printf("height %" JSON_INTEGER_FORMAT " was decided twice; these signed what contradicts itself:\n",
           out_count(r, "height"));
    json_array_foreach(json_object_get(r, "validators"), i, v)
        printf("  %s  power %" JSON_INTEGER_FORMAT "  %s\n", out_text(v, "validator"), out_count(v, "power"),
               out_text(v, "what"));
    printf("%" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT " power%s\n", out_count(r, "power"),
           out_count(r, "total"),
           json_is_true(json_object_get(r, "complete")) ? "" : ": not yet a third; more nodes must testify");
}

static json_t *blame_json(const struct blame *b, const struct testimony *t, bool complete)
{
    struct valset_entry all[VALIDATORS_MAX];
    uint32_t n = blame_validators(t, all);
    json_t *list = json_array();
    for (uint32_t i = 0; i < b->n; i++)
        json_array_append_new(list, culprit_json(&b->evidence[i], all, n));
    return json_pack("{s:I, s:I, s:I, s:b, s:o}", "height", (json_int_t)t->height, "power", (json_int_t)b->power,
                     "total", (json_int_t)b->total, "complete", (int)complete, "validators", list);
}

struct read {
    struct buf raw[2 * FILES_MAX];
    struct testimony t[2 * FILES_MAX];
    const struct testimony *all[2 * FILES_MAX];
    uint32_t n;
    struct blame blame;
};

static enum err read_file(struct read *r, const char *path, struct note *note)
{
    struct buf *to = &r->raw[r->n];
    struct buf raw = {0};
    struct note why = {{0}};
    enum err e = file_read(path, TESTIMONY_SIZE_MAX, &raw, note);
    if (e == ERR_OK && blame_get_conflict(bytes_of_buf(&raw), to, NULL) == ERR_OK) {
        r->n += 2;
        buf_clear(&raw);
        return ERR_OK;
    }
    buf_clear(&to[0]);
    buf_clear(&to[1]);
    to[0] = raw;
    r->n++;
    if (e == ERR_OK && (e = blame_get_testimony(bytes_of_buf(&raw), &r->t[r->n - 1], &why)) != ERR_OK)
        note_set(note, e, "%.150s: %.150s, nor what a light client kept of two blocks", path, why.text);
    return e;
}

static int read_files(const struct cli *cli, const struct args *args, struct read *r)
{
    for (unsigned i = 0; i < args->words_n; i++) {
        struct note note = {{0}};
        if (read_file(r, args_word(args, i), &note) != ERR_OK)
            return cli_fail(cli, CLI_USAGE, "%s", note.text);
    }
    for (uint32_t i = 0; i < r->n; i++) {
        CHECK(blame_get_testimony(bytes_of_buf(&r->raw[i]), &r->t[i], NULL) == ERR_OK);
        r->all[i] = &r->t[i];
    }
    return CLI_DONE;
}

int cmd_chain_blame(const struct cli *cli, const struct args *args)
{
    struct note note = {{0}};
    struct read *r = mem_new(sizeof *r);
    int rc = read_files(cli, args, r);
    if (rc == CLI_DONE) {
        enum err e = blame_find(r->all, r->n, &r->blame, &note);
        if (e == ERR_OK || e == ERR_NOT_FOUND) {
            out_reply_take(cli, blame_json(&r->blame, &r->t[0], e == ERR_OK), print_blame);
            rc = e == ERR_OK ? CLI_DONE : CLI_REFUSED;
        } else
            rc = cli_fail(cli, e == ERR_STATE ? CLI_REFUSED : CLI_USAGE, "%s", note.text);
    }
    for (uint32_t i = 0; i < r->n; i++)
        buf_clear(&r->raw[i]);
    free(r);
    return rc;
}
