/* wallet watch, label, labels: what the person calls things, and accounts whose keys are elsewhere. */
#include "cli/accounts.h"
#include "cli/commands.h"
#include "cli/out.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct option_spec cmd_wallet_watch_options[] = {
    {.name = "name", .type = OPTION_TEXT, .value = "NAME", .help = "what to call it"},
    {.name = "remove", .type = OPTION_FLAG, .help = "watch it no longer"},
    {.name = NULL},
};
const struct option_spec cmd_wallet_label_options[] = {
    {.name = "remove", .type = OPTION_FLAG, .help = "take the label off"},
    {.name = NULL},
};

/* What is called something: a transaction by its id, an account by its address or label. */
static int read_ref(const struct cli *cli, const struct labels *l, const char *ref, enum label_type *type,
                    uint8_t id[32])
{
    struct accounts known = {.labels = *l};
    struct pubkey key;
    *type = LABEL_TX;
    if (strlen(ref) == 64 && hex_get(ref, id, 32))
        return CLI_DONE;
    *type = LABEL_ADDR;
    int rc = accounts_address(cli, &known, ref, NULL, &key);
    if (rc == CLI_DONE)
        memcpy(id, key.b, sizeof key.b);
    return rc;
}

/* How addresses in the file begin: as the running daemon's chain has it, else as the one that was typed. */
static void take_prefix(const struct cli *cli, struct labels *l, const char *ref)
{
    static const char *const known[] = {ADDRESS_PREFIX_MAIN, ADDRESS_PREFIX_DEV};
    for (int i = 0; ref && i < 2; i++) {
        size_t n = strlen(known[i]);
        if (strncmp(ref, known[i], n) == 0 && ref[n] == '1')
            snprintf(l->prefix, sizeof l->prefix, "%s", known[i]);
    }
    (void)accounts_daemon_prefix(cli, l->prefix);
}

static json_t *label_json(const struct labels *all, const struct label *l)
{
    char ref[ADDRESS_TEXT_ROOM];
    struct pubkey key;
    memcpy(key.b, l->id, sizeof key.b);
    if (l->type == LABEL_TX)
        hex_put(ref, l->id, sizeof l->id);
    else
        address_put(all->prefix[0] ? all->prefix : ADDRESS_PREFIX_MAIN, &key, ref);
    return json_pack("{s:s, s:s, s:s, s:b}", "type", l->type == LABEL_TX ? "tx" : "addr", "ref", ref, "label",
                     l->text.s, "watch", (int)l->watch);
}

static void print_label(const struct cli *cli, const json_t *r)
{
    const char *text = out_text(r, "label");
    (void)cli;
    printf("%s  ", out_text(r, "ref"));
    out_untrusted(text, strlen(text));
    printf("%s\n", json_is_true(json_object_get(r, "watch")) ? "  (watched)" : "");
}

/* Changes one label, saves, and shows it; an empty text removes. */
static int change(const struct cli *cli, struct labels *l, const char *ref, const char *text, bool watch)
{
    struct note note = {{0}};
    enum label_type type;
    uint8_t id[32];
    int rc = read_ref(cli, l, ref, &type, id);
    if (rc != CLI_DONE)
        return rc;
    if (!*text && !labels_find(l, type, id))
        return cli_fail(cli, CLI_USAGE, "\"%.80s\" has no label: `kith wallet labels` lists them", ref);
    enum err e = labels_set(l, type, id, text, watch, &note);
    if (e != ERR_OK)
        return cli_fail_note(cli, e == ERR_EXISTS ? ERR_USAGE : e, &note);
    take_prefix(cli, l, ref);
    rc = accounts_labels_save(cli, l);
    const struct label *now = labels_find(l, type, id);
    if (rc == CLI_DONE && now)
        return out_reply_take(cli, label_json(l, now), print_label);
    if (rc == CLI_DONE && cli->json)
        out_json_take(json_object());
    return rc;
}

/* What the wallet has the key of need not be watched. */
static int refuse_own(const struct cli *cli, const struct labels *l, const char *ref)
{
    struct keystore ks;
    enum label_type type;
    uint8_t id[32];
    char *path = accounts_path(cli, "wallet.keys");
    int rc = read_ref(cli, l, ref, &type, id);
    bool has = rc == CLI_DONE && keystore_read(path, &ks, NULL) == ERR_OK;
    free(path);
    for (unsigned i = 0; has && i < ks.accounts_n; i++)
        if (memcmp(ks.accounts[i].key.b, id, sizeof id) == 0)
            return cli_fail(cli, CLI_USAGE, "that is account \"%s\" of this wallet: its key is here",
                            ks.accounts[i].name.s);
    return rc;
}

int cmd_wallet_watch(const struct cli *cli, const struct args *args)
{
    struct labels l;
    const char *ref = args_word(args, 0), *name = args_text(args, "name");
    bool remove = args_has(args, "remove");
    if (!remove && (!name || !*name))
        return cli_fail(cli, CLI_USAGE, "say what to call it: `kith wallet watch %.80s --name NAME`", ref);
    int rc = accounts_labels_load(cli, &l);
    if (rc == CLI_DONE && !remove && strlen(ref) == 64)
        rc = cli_fail(cli, CLI_USAGE, "\"%.70s\" is a transaction's id; an address is watched", ref);
    if (rc == CLI_DONE)
        rc = refuse_own(cli, &l, ref);
    if (rc == CLI_DONE)
        rc = change(cli, &l, ref, remove ? "" : name, true);
    labels_clear(&l);
    return rc;
}

int cmd_wallet_label(const struct cli *cli, const struct args *args)
{
    struct labels l;
    const char *ref = args_word(args, 0), *text = args_word(args, 1);
    bool remove = args_has(args, "remove");
    if (!remove == !text || (text && !*text))
        return cli_fail(cli, CLI_USAGE, "either a label or --remove: `kith wallet label %.80s \"rent\"`", ref);
    int rc = accounts_labels_load(cli, &l);
    if (rc == CLI_DONE) {
        enum label_type type;
        uint8_t id[32];
        rc = read_ref(cli, &l, ref, &type, id);
        const struct label *old = rc == CLI_DONE ? labels_find(&l, type, id) : NULL;
        if (old && old->watch && remove)
            rc = cli_fail(cli, CLI_USAGE, "it is watched under that name: `kith wallet watch %.80s --remove`", ref);
        if (rc == CLI_DONE)
            rc = change(cli, &l, ref, remove ? "" : text, old && old->watch);
    }
    labels_clear(&l);
    return rc;
}

static void print_labels(const struct cli *cli, const json_t *r)
{
    const json_t *l;
    size_t i;
    json_array_foreach(json_object_get(r, "labels"), i, l) print_label(cli, l);
}

int cmd_wallet_labels(const struct cli *cli, const struct args *args)
{
    struct labels l;
    json_t *list = json_array();
    (void)args;
    int rc = accounts_labels_load(cli, &l);
    take_prefix(cli, &l, NULL);
    for (unsigned i = 0; rc == CLI_DONE && i < l.n; i++)
        json_array_append_new(list, label_json(&l, &l.at[i]));
    labels_clear(&l);
    json_t *reply = json_pack("{s:o}", "labels", list);
    if (rc == CLI_DONE)
        return out_reply_take(cli, reply, print_labels);
    json_decref(reply);
    return rc;
}
