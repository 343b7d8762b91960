#include "cli/accounts.h"

#include "base/file.h"
#include "base/mem.h"
#include "cli/client.h"
#include "cli/out.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *accounts_path(const struct cli *cli, const char *file)
{
    struct buf path = {0};
    buf_add_format(&path, "%s/wallet/%s", cli->home, file);
    char *copy = mem_string(buf_text(&path));
    buf_clear(&path);
    return copy;
}

int accounts_labels_load(const struct cli *cli, struct labels *l)
{
    struct note note = {{0}};
    char *path = accounts_path(cli, "labels.jsonl");
    enum err e = labels_read(path, l, &note);
    free(path);
    return e == ERR_OK ? CLI_DONE : cli_fail_note(cli, e, &note);
}

int accounts_labels_save(const struct cli *cli, const struct labels *l)
{
    struct note note = {{0}};
    char *path = accounts_path(cli, "labels.jsonl"), *dir = accounts_path(cli, "");
    enum err e = file_make_dir(dir, &note);
    if (e == ERR_OK)
        e = labels_write(path, l, &note);
    free(dir);
    free(path);
    return e == ERR_OK ? CLI_DONE : cli_fail_note(cli, e, &note);
}

/* The wallet's own first, in their order, then what is watched. */
static void list(struct accounts *a)
{
    unsigned own = a->ks ? a->ks->accounts_n : 0;
    a->at = mem_array(own + a->labels.n + 1, sizeof *a->at);
    for (unsigned i = 0; i < own; i++)
        a->at[a->n++] = (struct account){a->ks->accounts[i].name.s, a->ks->accounts[i].key, &a->ks->accounts[i]};
    for (unsigned i = 0; i < a->labels.n; i++) {
        const struct label *l = &a->labels.at[i];
        if (l->type != LABEL_ADDR || !l->watch)
            continue;
        a->at[a->n] = (struct account){.name = l->text.s};
        memcpy(a->at[a->n++].key.b, l->id, sizeof l->id);
    }
}

int accounts_load(const struct cli *cli, struct accounts *a)
{
    struct note note = {{0}};
    *a = (struct accounts){0};
    int rc = accounts_labels_load(cli, &a->labels);
    if (rc != CLI_DONE)
        return rc;
    char *path = accounts_path(cli, "wallet.keys");
    a->ks = mem_new(sizeof *a->ks);
    enum err e = keystore_read(path, a->ks, &note);
    free(path);
    if (e != ERR_OK) {
        free(a->ks);
        a->ks = NULL;
    }
    const char *prefix = a->ks ? a->ks->prefix.s : a->labels.prefix[0] ? a->labels.prefix : ADDRESS_PREFIX_MAIN;
    snprintf(a->prefix, sizeof a->prefix, "%.15s", prefix);
    list(a);
    return e == ERR_OK || (e == ERR_NOT_FOUND && a->n) ? CLI_DONE : cli_fail_note(cli, e, &note);
}

void accounts_clear(struct accounts *a)
{
    free(a->ks);
    free(a->at);
    labels_clear(&a->labels);
    *a = (struct accounts){0};
}

bool accounts_daemon_prefix(const struct cli *cli, char prefix[ADDRESS_PREFIX_MAX + 1])
{
    enum { PATIENCE_MS = 2000 };
    struct note note;
    json_t *info = NULL;
    int status = 0;
    bool known = client_try(cli, "GET", "/kith/v1/chain/info", NULL, PATIENCE_MS, &status, &info, &note) == ERR_OK &&
                 status == 200;
    const char *chain = known ? json_text(info, "prefix") : NULL;
    known = chain && (strcmp(chain, ADDRESS_PREFIX_MAIN) == 0 || strcmp(chain, ADDRESS_PREFIX_DEV) == 0);
    if (known)
        snprintf(prefix, ADDRESS_PREFIX_MAX + 1, "%s", chain);
    json_decref(info);
    return known;
}

void accounts_ask_prefix(const struct cli *cli, struct accounts *a)
{
    char prefix[ADDRESS_PREFIX_MAX + 1];
    if (accounts_daemon_prefix(cli, prefix))
        snprintf(a->prefix, sizeof a->prefix, "%s", prefix);
}

const struct account *accounts_find(const struct accounts *a, const char *name, struct note *note)
{
    struct buf names = {0};
    for (unsigned i = 0; i < a->n; i++) {
        if (!name || strcmp(a->at[i].name, name) == 0) {
            buf_clear(&names);
            return &a->at[i];
        }
        if (names.n < 200)
            buf_add_format(&names, "%s%s", i ? ", " : "", a->at[i].name);
    }
    note_set(note, ERR_NOT_FOUND, "this wallet has no account \"%.40s\": it has %.240s", name ? name : "",
             buf_text(&names));
    buf_clear(&names);
    return NULL;
}

const char *accounts_name(const struct accounts *a, const struct pubkey *key)
{
    for (unsigned i = 0; i < a->n; i++)
        if (memcmp(a->at[i].key.b, key->b, sizeof key->b) == 0)
            return a->at[i].name;
    const struct label *l = labels_find(&a->labels, LABEL_ADDR, key->b);
    return l ? l->text.s : NULL;
}

int accounts_address(const struct cli *cli, const struct accounts *a, const char *text, const char *prefix,
                     struct pubkey *key)
{
    struct note note = {{0}};
    for (unsigned i = 0; a && i < a->n; i++)
        if (strcmp(a->at[i].name, text) == 0) {
            *key = a->at[i].key;
            return CLI_DONE;
        }
    const struct label *l = a ? labels_find_text(&a->labels, text) : NULL;
    if (l) {
        memcpy(key->b, l->id, sizeof key->b);
        return CLI_DONE;
    }
    if (!strchr(text, '1')) /* which every address has behind its prefix */
        return cli_fail(cli, CLI_USAGE, "\"%.80s\" is neither an address nor a label: `kith wallet labels` lists them",
                        text);
    enum err e = address_get(text, prefix, key, &note);
    return e == ERR_OK ? CLI_DONE : cli_fail(cli, CLI_USAGE, "%s", note.text);
}
