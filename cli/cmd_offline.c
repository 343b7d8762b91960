/* tx build, sign, broadcast: a transaction made where the chain is known, signed where the keys are, sent where the
 * network is; and tx bond, unbond, rule, which do all three at once. */
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/line.h"
#include "cli/out.h"
#include "cli/spend.h"
#include "base/mem.h"
#include "base/secret.h"
#include "wallet/offline.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct option_spec cmd_tx_build_options[] = {
    {.name = "out", .type = OPTION_TEXT, .value = "FILE", .help = "where to write it"},
    {.name = "account", .type = OPTION_TEXT, .value = "NAME", .help = "which account, also a watched one (the first)"},
    {.name = "memo", .type = OPTION_TEXT, .value = "TEXT", .preset = "", .help = "of send: for everyone to read"},
    {.name = "fee", .type = OPTION_AMOUNT, .value = "KITH", .help = "to offer (twice what is asked now)"},
    {.name = NULL},
};
const struct option_spec cmd_tx_sign_options[] = {
    {.name = "account", .type = OPTION_TEXT, .value = "NAME", .help = "whose key signs (the first that may)"},
    {.name = "out", .type = OPTION_TEXT, .value = "FILE", .help = "instead of the file itself"},
    {.name = "yes", .type = OPTION_FLAG, .help = "do not ask"},
    {.name = NULL},
};
const struct option_spec cmd_tx_spend_options[] = {
    OWNER_ACCOUNT_OPTION,
    {.name = "yes", .type = OPTION_FLAG, .help = "do not ask"},
    {.name = NULL},
};

static json_t *offline_json(const struct offline *o)
{
    struct buf words = {0}, tx = {0};
    struct note note;
    char id[65];
    struct hash hash = tx_id(&o->tx);
    hex_put(id, hash.b, sizeof hash.b);
    offline_describe(&words, o);
    tx_print(&tx, &o->tx);
    json_t *v = json_pack("{s:s, s:i, s:s, s:o}", "id", id, "missing", (int)tx_partial_missing(&o->p), "words",
                          buf_text(&words), "tx", json_parse(bytes_of_buf(&tx), &note));
    buf_clear(&tx);
    buf_clear(&words);
    return v;
}

static void describe(const struct offline *o)
{
    struct buf words = {0};
    offline_describe(&words, o);
    out_untrusted(buf_text(&words), words.n);
    buf_clear(&words);
}

static int save(const struct cli *cli, const char *path, const struct offline *o, const char *what)
{
    struct note note = {{0}};
    enum err e = offline_write(path, o, &note);
    if (e != ERR_OK)
        return cli_fail_note(cli, e, &note);
    if (cli->json) {
        out_json_take(offline_json(o));
        return CLI_DONE;
    }
    uint32_t missing = tx_partial_missing(&o->p);
    printf("%s %s\n", what, path);
    if (missing)
        printf("next: `kith tx sign %s`, %u signature%s needed\n", path, missing, missing == 1 ? " is" : "s are");
    else
        printf("next: `kith tx broadcast %s`\n", path);
    return CLI_DONE;
}

/* -- build -- */

/* A price that rises until the file comes back must not void it. */
static int choose_fee(struct owner *o, const struct args *args, const struct spend *s, struct amount *fee)
{
    struct amount least;
    int rc = owner_fee(o, s->kind, bytes_of_buf(&s->body), &least);
    if (rc != CLI_DONE)
        return rc;
    if (!args_has(args, "fee")) {
        if (!amount_add(fee, least, least))
            *fee = least;
        return CLI_DONE;
    }
    char text[AMOUNT_TEXT_ROOM];
    *fee = args_amount(args, "fee");
    amount_print(least, text);
    if (amount_compare(*fee, least) < 0)
        return cli_fail(o->cli, CLI_USAGE, "--fee is less than the %s KITH that the chain asks now", text);
    return CLI_DONE;
}

static int build(struct owner *o, const struct args *args, const struct spend *s, const char *path)
{
    struct note note = {{0}};
    struct offline file;
    struct amount fee;
    int rc = choose_fee(o, args, s, &fee);
    if (rc == CLI_DONE)
        rc = owner_check_funds(o, s->amount, fee);
    if (rc != CLI_DONE)
        return rc;
    struct tx t = {.chain = o->terms.chain,
                   .signer = o->account->key,
                   .nonce = o->terms.nonce,
                   .fee = fee,
                   .kind = (uint8_t)s->kind,
                   .body = bytes_of_buf(&s->body)};
    enum err e = offline_begin(&file, o->prefix, &t, o->rule.k, &o->rule.keys, &note);
    if (e != ERR_OK)
        return cli_fail_note(o->cli, e, &note);
    if (!o->cli->json)
        describe(&file);
    rc = save(o->cli, path, &file, "written to");
    offline_clear(&file);
    return rc;
}

int cmd_tx_build(const struct cli *cli, const struct args *args)
{
    struct owner o = {0};
    struct spend s = {0};
    const char *path = args_text(args, "out");
    if (!path || !*path)
        return cli_fail(cli, CLI_USAGE, "say where to write it: --out FILE");
    if (access(path, F_OK) == 0)
        return cli_fail(cli, CLI_USAGE, "%.200s is there already: it is left as it is", path);
    int rc = owner_open(&o, cli, args_text(args, "account"));
    if (rc == CLI_DONE)
        rc = spend_parse(cli, &o.accounts, o.prefix, args->words, args->words_n, args_text(args, "memo"), &s);
    if (rc == CLI_DONE)
        rc = build(&o, args, &s, path);
    spend_clear(&s);
    owner_close(&o);
    return rc;
}

/* -- sign -- */

/* The account whose key may sign and has not: the one that was named, or the first. */
static const struct account *find_signer(const struct cli *cli, const struct accounts *all, const struct offline *o,
                                         const char *name)
{
    struct note note = {{0}};
    if (name) {
        const struct account *a = accounts_find(all, name, &note);
        if (!a || !a->own)
            cli_fail(cli, CLI_USAGE, "%s", a ? "that account is only watched: its key is elsewhere" : note.text);
        return a && a->own ? a : NULL;
    }
    for (unsigned i = 0; i < all->n; i++)
        if (all->at[i].own && offline_wants(o, &all->at[i].key))
            return &all->at[i];
    if (tx_partial_missing(&o->p) == 0)
        cli_fail(cli, CLI_USAGE, "all signatures are there: `kith tx broadcast` sends it");
    else
        cli_fail(cli, CLI_USAGE, "no account of this wallet may sign this and has not yet");
    return NULL;
}

static int ask(const struct cli *cli, const struct args *args, const struct offline *o, const struct account *by)
{
    struct buf question = {0};
    if (!cli->json)
        describe(o);
    if (args_has(args, "yes"))
        return CLI_DONE;
    buf_add_format(&question, "sign this with \"%s\"?", by->name);
    int rc = line_confirm(cli, buf_text(&question));
    buf_clear(&question);
    return rc;
}

int cmd_tx_sign(const struct cli *cli, const struct args *args)
{
    struct note note = {{0}};
    struct accounts all = {0};
    struct offline o;
    const char *path = args_word(args, 0), *out = args_text(args, "out");
    struct seckey *key = NULL;
    if (offline_read(path, &o, &note) != ERR_OK)
        return cli_fail(cli, CLI_USAGE, "%s", note.text);
    int rc = accounts_load(cli, &all);
    const struct account *by = rc == CLI_DONE ? find_signer(cli, &all, &o, args_text(args, "account")) : NULL;
    if (rc == CLI_DONE)
        rc = by ? ask(cli, args, &o, by) : CLI_USAGE;
    if (rc == CLI_DONE)
        rc = owner_key(cli, &all, by, &key);
    if (rc == CLI_DONE) {
        enum err e = offline_sign(&o, key, &note);
        rc = e == ERR_OK ? save(cli, out ? out : path, &o, "signed:") : cli_fail(cli, CLI_USAGE, "%s", note.text);
    }
    if (key)
        secret_free(key);
    offline_clear(&o);
    accounts_clear(&all);
    return rc;
}

/* -- broadcast -- */

static void print_broadcast(const struct cli *cli, const json_t *r)
{
    (void)cli;
    printf("in block %" JSON_INTEGER_FORMAT "\ntx %s\n", out_count(r, "height"), out_text(r, "id"));
}

/* Signatures of all copies together. */
static int gather(const struct cli *cli, const struct args *args, struct offline *o)
{
    struct note note = {{0}};
    const char *path = args_word(args, 0);
    enum err e = offline_read(path, o, &note);
    for (unsigned i = 1; e == ERR_OK && i < args->words_n; i++) {
        struct offline copy;
        path = args_word(args, i);
        e = offline_read(path, &copy, &note);
        if (e == ERR_OK)
            e = offline_merge(o, &copy, &note);
        offline_clear(&copy);
    }
    return e == ERR_OK ? CLI_DONE : cli_fail(cli, CLI_USAGE, "%s", note.text);
}

int cmd_tx_broadcast(const struct cli *cli, const struct args *args)
{
    struct note note = {{0}};
    struct offline o = {0};
    struct buf raw = {0};
    json_t *reply = NULL;
    int rc = gather(cli, args, &o);
    if (rc == CLI_DONE && tx_partial_finish(bytes_of_buf(&o.partial), &raw, &note) != ERR_OK)
        rc = cli_fail(cli, CLI_USAGE, "%s: `kith tx sign %.100s`", note.text, args_word(args, 0));
    if (rc == CLI_DONE)
        rc = owner_post(cli, bytes_of_buf(&raw), &reply);
    if (rc == CLI_DONE)
        rc = out_reply_take(cli, reply, print_broadcast);
    buf_clear(&raw);
    offline_clear(&o);
    return rc;
}

/* -- at once -- */

static int confirm(struct owner *o, const struct args *args, struct spend *s, struct amount fee)
{
    struct buf question = {0};
    char cost[AMOUNT_TEXT_ROOM];
    if (args_has(args, "yes"))
        return CLI_DONE;
    amount_print(fee, cost);
    buf_add_format(&question, "%s, account \"%s\", fee %s KITH?", buf_text(&s->words), o->account->name, cost);
    int rc = line_confirm(o->cli, buf_text(&question));
    buf_clear(&question);
    return rc;
}

static int spend_now(const struct cli *cli, const struct args *args, const char *what)
{
    const char *words[ARGS_MAX + 1] = {what};
    struct owner o = {0};
    struct spend s = {0};
    struct amount fee;
    json_t *reply = NULL;
    memcpy(words + 1, args->words, args->words_n * sizeof *words);
    int rc = owner_open(&o, cli, args_text(args, "account"));
    if (rc == CLI_DONE)
        rc = spend_parse(cli, &o.accounts, o.prefix, words, args->words_n + 1, NULL, &s);
    if (rc == CLI_DONE)
        rc = spend_check(&o, &s, &fee);
    if (rc == CLI_DONE)
        rc = confirm(&o, args, &s, fee);
    if (rc == CLI_DONE)
        rc = owner_send(&o, s.kind, bytes_of_buf(&s.body), &reply);
    if (rc == CLI_DONE)
        rc = out_reply_take(cli, reply, print_broadcast);
    spend_clear(&s);
    owner_close(&o);
    return rc;
}

int cmd_tx_bond(const struct cli *cli, const struct args *args)
{
    return spend_now(cli, args, "bond");
}

int cmd_tx_unbond(const struct cli *cli, const struct args *args)
{
    return spend_now(cli, args, "unbond");
}

int cmd_tx_rule(const struct cli *cli, const struct args *args)
{
    return spend_now(cli, args, "rule");
}
