/* wallet new, restore, backup, balance, receive, ls. */
#include "base/file.h"
#include "base/mem.h"
#include "base/secret.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/line.h"
#include "cli/out.h"
#include "cli/owner.h"
#include "cli/qr.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PREFIX_OPTION                                                                                                  \
    {                                                                                                                  \
        .name = "prefix", .type = OPTION_TEXT, .value = "PREFIX",                                                      \
        .help = "how addresses begin: kith, or kithdev on private networks (as the daemon says, else kith)"            \
    }

const struct option_spec cmd_wallet_new_options[] = {
    {.name = "name", .type = OPTION_TEXT, .value = "NAME", .help = "of the account (main)"},
    PREFIX_OPTION,
    {.name = NULL},
};
const struct option_spec cmd_wallet_restore_options[] = {
    {.name = "name", .type = OPTION_TEXT, .value = "NAME", .preset = "main", .help = "of the first account"},
    PREFIX_OPTION,
    {.name = NULL},
};
const struct option_spec cmd_wallet_receive_options[] = {
    OWNER_ACCOUNT_OPTION,
    {.name = NULL},
};

/* Everything secret that these commands hold, in locked memory. */
struct vault {
    char password[LINE_PASSWORD_ROOM];
    char words[1024]; /* as typed, so with more space between them than needed */
    char mnemonic[MNEMONIC_TEXT_ROOM];
    struct keystore_secret secret;
};

/* The prefix of --prefix, of the running daemon's chain, or the main network's. */
static int choose_prefix(const struct cli *cli, const struct args *args, char prefix[ADDRESS_PREFIX_MAX + 1])
{
    const char *given = args_text(args, "prefix");
    if (given && strcmp(given, ADDRESS_PREFIX_MAIN) != 0 && strcmp(given, ADDRESS_PREFIX_DEV) != 0)
        return cli_fail(cli, CLI_USAGE, "--prefix \"%.40s\": it is %s, or %s on private networks", given,
                        ADDRESS_PREFIX_MAIN, ADDRESS_PREFIX_DEV);
    if (given || !accounts_daemon_prefix(cli, prefix))
        snprintf(prefix, ADDRESS_PREFIX_MAX + 1, "%s", given ? given : ADDRESS_PREFIX_MAIN);
    return CLI_DONE;
}

/* The wallet's file, to add to it. */
static int load(const struct cli *cli, struct keystore *ks)
{
    struct note note = {{0}};
    char *path = accounts_path(cli, "wallet.keys");
    enum err e = keystore_read(path, ks, &note);
    free(path);
    return e == ERR_OK ? CLI_DONE : cli_fail_note(cli, e, &note);
}

static int save(const struct cli *cli, const struct keystore *ks, bool fresh)
{
    struct note note = {{0}};
    char *path = accounts_path(cli, "wallet.keys"), *dir = accounts_path(cli, "");
    enum err e = file_make_dir(dir, &note);
    if (e == ERR_OK)
        e = keystore_write(path, ks, fresh, &note);
    free(dir);
    free(path);
    return e == ERR_OK ? CLI_DONE : cli_fail_note(cli, e, &note);
}

static json_t *account_json(const char *prefix, const char *name, const struct pubkey *key)
{
    char address[ADDRESS_TEXT_ROOM], hex[65];
    address_put(prefix, key, address);
    hex_put(hex, key->b, sizeof key->b);
    return json_pack("{s:s, s:s, s:s}", "name", name, "address", address, "pubkey", hex);
}

static json_t *known_json(const struct accounts *all, const struct account *a)
{
    json_t *v = account_json(all->prefix, a->name, &a->key);
    if (!a->own)
        json_object_set_new(v, "watch", json_true());
    return v;
}

/* The words go from locked memory to the descriptor, past every buffer. */
static void write_secret(const char *text)
{
    fflush(stdout);
    for (size_t n = strlen(text); n;) {
        ssize_t done = write(STDOUT_FILENO, text, n);
        if (done <= 0)
            return;
        text += done;
        n -= (size_t)done;
    }
}

static void show_new(const struct cli *cli, const struct keystore *ks, const struct keystore_account *a,
                     const char *words)
{
    char address[ADDRESS_TEXT_ROOM], hex[65];
    address_put(ks->prefix.s, &a->key, address);
    hex_put(hex, a->key.b, sizeof a->key.b);
    if (cli->json) {
        printf("{\"name\":\"%s\",\"address\":\"%s\",\"pubkey\":\"%s\"", a->name.s, address, hex);
        if (words) {
            printf(",\"words\":\"");
            write_secret(words);
            printf("\"");
        }
        printf("}\n");
        return;
    }
    printf("account \"%s\": %s\n", a->name.s, address);
    if (!words)
        return;
    printf("\nWrite these words down, in this order, and keep them where nobody else looks.\n"
           "They are the wallet: whoever has them has the money, and nothing else brings it back.\n\n  ");
    write_secret(words);
    printf("\n");
}

/* A first account with fresh words. */
static int new_wallet(const struct cli *cli, const struct args *args, struct vault *v)
{
    struct note note = {{0}};
    struct keystore ks;
    char prefix[ADDRESS_PREFIX_MAX + 1];
    const char *name = args_has(args, "name") ? args_text(args, "name") : "main";
    int rc = choose_prefix(cli, args, prefix);
    if (rc != CLI_DONE)
        return rc;
    enum err e = line_password(cli, "a password for the new wallet: ", true, v->password, &note);
    if (e == ERR_OK) {
        v->secret.entropy_n = MNEMONIC_ENTROPY_MAX;
        secret_random(v->secret.entropy, sizeof v->secret.entropy);
        e = keystore_init(&ks, &v->secret, prefix, name, v->password, keystore_cost_usual, &note);
    }
    if (e != ERR_OK)
        return cli_fail_note(cli, e, &note);
    keystore_words(&v->secret, v->mnemonic);
    rc = save(cli, &ks, true);
    if (rc == CLI_DONE)
        show_new(cli, &ks, &ks.accounts[0], v->mnemonic);
    return rc;
}

/* One more account of the words that are there. */
static int new_account(const struct cli *cli, const struct args *args, struct vault *v)
{
    struct note note = {{0}};
    struct keystore ks;
    const char *name = args_text(args, "name");
    int rc = load(cli, &ks);
    if (rc != CLI_DONE)
        return rc;
    if (!name)
        return cli_fail(cli, CLI_USAGE,
                        "there is a wallet in %s/wallet already: `kith wallet new --name NAME` adds an account",
                        cli->home);
    enum err e = line_password(cli, "password of the wallet: ", false, v->password, &note);
    if (e == ERR_OK)
        e = keystore_unlock(&ks, v->password, &v->secret, &note);
    if (e == ERR_OK)
        e = keystore_add(&ks, &v->secret, name, &note);
    if (e != ERR_OK)
        return cli_fail_note(cli, e, &note);
    rc = save(cli, &ks, false);
    if (rc == CLI_DONE)
        show_new(cli, &ks, &ks.accounts[ks.accounts_n - 1], NULL);
    return rc;
}

int cmd_wallet_new(const struct cli *cli, const struct args *args)
{
    char *path = accounts_path(cli, "wallet.keys");
    bool exists = access(path, F_OK) == 0;
    struct vault *v = secret_new(sizeof *v);
    int rc = exists ? new_account(cli, args, v) : new_wallet(cli, args, v);
    secret_free(v);
    free(path);
    return rc;
}

/* Has this account ever been used? Asked of the daemon, quietly; unknown counts as no. */
static bool is_used(const struct cli *cli, const struct pubkey *key)
{
    char path[128], hex[65];
    json_t *reply = NULL;
    struct note note;
    int status = 0;
    struct amount balance = {0};
    hex_put(hex, key->b, sizeof key->b);
    snprintf(path, sizeof path, "/kith/v1/accounts/%s", hex);
    bool used = client_try(cli, "GET", path, NULL, 5000, &status, &reply, &note) == ERR_OK && status == 200 &&
                (out_count(reply, "nonce") > 0 ||
                 (out_amount_get(json_object_get(reply, "balance"), &balance) && balance.mote > 0));
    json_decref(reply);
    return used;
}

/* Adds the accounts behind the first that the chain knows: as far as the last used one before GAP unused in a row. */
static enum err find_accounts(const struct cli *cli, struct keystore *ks, const struct keystore_secret *secret,
                              struct note *note)
{
    enum { GAP = 5 };
    unsigned keep = ks->accounts_n;
    enum err e = ERR_OK;
    if (!client_is_reachable(cli))
        return ERR_OK;
    while (e == ERR_OK && ks->accounts_n < keep + GAP && ks->accounts_n < WALLET_ACCOUNTS_MAX) {
        char name[32];
        snprintf(name, sizeof name, "account-%u", ks->accounts_n + 1);
        e = keystore_add(ks, secret, name, note);
        if (e == ERR_OK && is_used(cli, &ks->accounts[ks->accounts_n - 1].key))
            keep = ks->accounts_n;
    }
    if (e == ERR_OK)
        keystore_keep(ks, secret, keep);
    return e;
}

static int restore(const struct cli *cli, const struct args *args, struct vault *v)
{
    struct note note = {{0}};
    struct keystore ks;
    char prefix[ADDRESS_PREFIX_MAX + 1];
    size_t n = 0;
    int rc = choose_prefix(cli, args, prefix);
    if (rc != CLI_DONE)
        return rc;
    enum err e = line_words("the words of the wallet, then an empty line:\n", v->words, sizeof v->words, &note);
    if (e == ERR_OK)
        e = mnemonic_get(v->words, v->secret.entropy, &n, &note);
    v->secret.entropy_n = (uint8_t)n;
    if (e == ERR_OK)
        e = line_password(cli, "a password for this wallet: ", true, v->password, &note);
    if (e == ERR_OK)
        e = keystore_init(&ks, &v->secret, prefix, args_text(args, "name"), v->password, keystore_cost_usual, &note);
    if (e == ERR_OK)
        e = find_accounts(cli, &ks, &v->secret, &note);
    if (e != ERR_OK)
        return cli_fail_note(cli, e, &note);
    rc = save(cli, &ks, true);
    json_t *list = json_array();
    for (unsigned i = 0; rc == CLI_DONE && i < ks.accounts_n; i++) {
        json_t *a = account_json(ks.prefix.s, ks.accounts[i].name.s, &ks.accounts[i].key);
        json_array_append(list, a);
        if (!cli->json)
            printf("account \"%s\": %s\n", out_text(a, "name"), out_text(a, "address"));
        json_decref(a);
    }
    if (rc == CLI_DONE && cli->json)
        out_json_take(json_pack("{s:O}", "accounts", list));
    json_decref(list);
    return rc;
}

int cmd_wallet_restore(const struct cli *cli, const struct args *args)
{
    char *path = accounts_path(cli, "wallet.keys");
    int rc;
    if (access(path, F_OK) == 0)
        rc = cli_fail(cli, CLI_USAGE, "there is a wallet at %s already: move it away first, or use another --home",
                      path);
    else {
        struct vault *v = secret_new(sizeof *v);
        rc = restore(cli, args, v);
        secret_free(v);
    }
    free(path);
    return rc;
}

static void print_accounts(const struct cli *cli, const json_t *reply)
{
    const json_t *list = json_object_get(reply, "accounts"), *a;
    bool balances = json_object_get(json_array_get(list, 0), "balance") != NULL;
    static const char *const titles[] = {"NAME", "ADDRESS", "BALANCE"};
    struct out_table *t = out_table_new(titles, balances ? 3 : 2);
    char room[OUT_AMOUNT_ROOM];
    size_t i;
    json_array_foreach(list, i, a)
    {
        bool watch = json_is_true(json_object_get(a, "watch"));
        out_table_add(t, "%s%s", out_text(a, "name"), watch ? " (watched)" : "");
        out_table_add(t, "%s", out_text(a, "address"));
        if (balances)
            out_table_add(t, "%s", out_amount(json_object_get(a, "balance"), room));
    }
    out_table_print_free(cli, t);
}

int cmd_wallet_ls(const struct cli *cli, const struct args *args)
{
    struct accounts all;
    json_t *list = json_array();
    (void)args;
    int rc = accounts_load(cli, &all);
    if (rc == CLI_DONE)
        accounts_ask_prefix(cli, &all);
    for (unsigned i = 0; rc == CLI_DONE && i < all.n; i++)
        json_array_append_new(list, known_json(&all, &all.at[i]));
    accounts_clear(&all);
    json_t *reply = json_pack("{s:o}", "accounts", list);
    if (rc == CLI_DONE)
        return out_reply_take(cli, reply, print_accounts);
    json_decref(reply);
    return rc;
}

static void print_account(const struct cli *cli, const json_t *r)
{
    static const char *const roles[] = {"validator", "provider", "auditor"};
    const json_t *bonds = json_object_get(r, "bonds"), *u;
    size_t i;
    char room[OUT_AMOUNT_ROOM], at[OUT_TIME_ROOM];
    struct amount at_stake;
    (void)cli;
    printf("%s  %s\n", out_text(r, "address"), out_amount(json_object_get(r, "balance"), room));
    for (i = 0; i < sizeof roles / sizeof *roles; i++)
        if (out_amount_get(json_object_get(bonds, roles[i]), &at_stake) && at_stake.mote)
            printf("  at stake as %s: %s\n", roles[i], out_amount(json_object_get(bonds, roles[i]), room));
    json_array_foreach(json_object_get(r, "unbonding"), i, u)
        printf("  returns at %s, from the stake as %s: %s\n", out_time(out_count(u, "until_ms"), at),
               out_text(u, "role"), out_amount(json_object_get(u, "amount"), room));
}

/* Any account of the chain, by address or label; no wallet is needed for an address. */
static int balance_of(const struct cli *cli, const char *who)
{
    struct labels labels;
    struct pubkey key;
    json_t *reply;
    char hex[65];
    int rc = accounts_labels_load(cli, &labels);
    struct accounts known = {.labels = labels};
    if (rc == CLI_DONE)
        rc = accounts_address(cli, &known, who, NULL, &key);
    labels_clear(&labels);
    if (rc != CLI_DONE)
        return rc;
    hex_put(hex, key.b, sizeof key.b);
    rc = client_get(cli, &reply, "/kith/v1/accounts/%s", hex);
    return rc == CLI_DONE ? out_reply_take(cli, reply, print_account) : rc;
}

int cmd_wallet_balance(const struct cli *cli, const struct args *args)
{
    struct accounts all;
    json_t *reply, *list = json_array();
    if (args_word(args, 0)) {
        json_decref(list);
        return balance_of(cli, args_word(args, 0));
    }
    int rc = accounts_load(cli, &all);
    for (unsigned i = 0; rc == CLI_DONE && i < all.n; i++) {
        char hex[65];
        hex_put(hex, all.at[i].key.b, sizeof all.at[i].key.b);
        rc = client_get(cli, &reply, "/kith/v1/accounts/%s", hex);
        if (rc != CLI_DONE)
            break;
        json_object_set_new(reply, "name", json_string(all.at[i].name));
        if (!all.at[i].own)
            json_object_set_new(reply, "watch", json_true());
        json_array_append_new(list, reply);
    }
    accounts_clear(&all);
    if (rc == CLI_DONE)
        return out_reply_take(cli, json_pack("{s:o}", "accounts", list), print_accounts);
    json_decref(list);
    return rc;
}

int cmd_wallet_receive(const struct cli *cli, const struct args *args)
{
    struct accounts all;
    struct note note = {{0}};
    int rc = accounts_load(cli, &all);
    const struct account *a = rc == CLI_DONE ? accounts_find(&all, args_text(args, "account"), &note) : NULL;
    if (rc == CLI_DONE && !a)
        rc = cli_fail(cli, CLI_USAGE, "%s", note.text);
    if (a) {
        accounts_ask_prefix(cli, &all);
        json_t *account = known_json(&all, a);
        if (!cli->json) {
            printf("%s\n", out_text(account, "address"));
            if (isatty(STDOUT_FILENO))
                qr_print(out_text(account, "address"));
            json_decref(account);
        } else
            out_json_take(account);
    }
    accounts_clear(&all);
    return rc;
}

/* The words once more, for who has the password. */
static int backup(const struct cli *cli, struct vault *v)
{
    struct note note = {{0}};
    struct keystore ks;
    int rc = load(cli, &ks);
    if (rc != CLI_DONE)
        return rc;
    enum err e = line_password(cli, "password of the wallet: ", false, v->password, &note);
    if (e == ERR_OK)
        e = keystore_unlock(&ks, v->password, &v->secret, &note);
    if (e != ERR_OK)
        return cli_fail_note(cli, e, &note);
    keystore_words(&v->secret, v->mnemonic);
    printf(cli->json ? "{\"words\":\"" : "The wallet's words, in order; whoever has them has the money.\n\n  ");
    write_secret(v->mnemonic);
    printf(cli->json ? "\"}\n" : "\n");
    return CLI_DONE;
}

int cmd_wallet_backup(const struct cli *cli, const struct args *args)
{
    (void)args;
    struct vault *v = secret_new(sizeof *v);
    int rc = backup(cli, v);
    secret_free(v);
    return rc;
}
