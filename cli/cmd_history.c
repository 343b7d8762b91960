/* tx history: what happened to an account, in words. */
#include "cli/accounts.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/out.h"
#include "cli/owner.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

const struct option_spec cmd_tx_history_options[] = {
    OWNER_ACCOUNT_OPTION,
    {.name = "limit",
     .type = OPTION_COUNT,
     .value = "N",
     .preset = "30",
     .help = "how many, newest first",
     .least = 1,
     .most = 500},
    {.name = "before", .type = OPTION_TEXT, .value = "PLACE", .help = "older ones: where an earlier list ended"},
    {.name = NULL},
};

/* What an entry says: the code that the daemon gives (a kind of transaction, a reason), sign of the amount for the
 * account, words around the other side, and the subject. %o other, %n name of the subject, %m memo where there is one.
 */
static const struct phrase {
    const char *what, *code;
    int sign;
    const char *words;
} phrases[] = {
    {"tx", "transfer", -1, "sent to %o%m"},
    {"tx", "bond", -1, "bond"},
    {"tx", "unbond", 0, "bond asked back"},
    {"tx", "channel_open", -1, "locked for jobs of %n at %o"},
    {"tx", "channel_topup", -1, "more locked for jobs"},
    {"tx", "channel_close", 0, "channel closing"},
    {"tx", "channel_settle", 0, "settled a channel"},
    {"tx", "doubt", 0, "doubted an auditor"},
    {"tx", "claim", 0, "claimed what is published later"},
    {"tx", "model_publish", 0, "published %n"},
    {"tx", "data_contribute", 0, "contributed data"},
    {"tx", "provider", 0, "declared a provider"},
    {"tx", "account_rule", 0, "changed who signs for the account"},
    {"tx", "data_grant", -1, "locked for access to data"},
    {"tx", "key_release", 0, "released a data key"},
    {"tx", "bounty_post", -1, "posted a bounty"},
    {"grant paid", NULL, 1, "%o paid for access to %n"},
    {"grant back", NULL, 1, "back from %o: no access to %n"},
    {"bounty", NULL, 1, "bounty of %o for %n"},
    {"bounty back", NULL, 1, "bounty returned"},
    {"received", NULL, 1, "received from %o%m"},
    {"payout", "provider", 1, "earned by answering with %n"},
    {"payout", "publisher", 1, "royalty from %n"},
    {"payout", "parent", 1, "royalty from a model made from %n"},
    {"payout", "data", 1, "royalty from a model trained on %n"},
    {"payout", "auditor", 1, "paid for an audit of %n"},
    {"rest", NULL, 1, "unused money of a channel for %n"},
    {"refund", NULL, 1, "refund: %o failed an audit"},
    {"slashed", NULL, -1, "slashed out of the bond"},
    {"unbonded", NULL, 1, "bond returned"},
};

static const struct phrase *find_phrase(const json_t *e)
{
    const char *what = out_text(e, "what"), *code = out_text(e, "code");
    for (size_t i = 0; i < sizeof phrases / sizeof *phrases; i++)
        if (strcmp(phrases[i].what, what) == 0 && (!phrases[i].code || strcmp(phrases[i].code, code) == 0))
            return &phrases[i];
    return NULL;
}

static void add_other(struct buf *b, const struct accounts *known, const json_t *e)
{
    struct pubkey key;
    const char *address = out_text(e, "other");
    const char *name = address_get(address, NULL, &key, NULL) == ERR_OK ? accounts_name(known, &key) : NULL;
    buf_add_text(b, name ? name : address);
}

static void add_subject(struct buf *b, const json_t *e)
{
    const char *name = json_text(e, "name"), *root = json_text(e, "subject");
    if (name)
        buf_add_format(b, "%s", name);
    else
        buf_add_format(b, "%.16s", root ? root : "a model");
}

static void add_words(struct buf *b, const struct accounts *known, const json_t *e)
{
    const struct phrase *p = find_phrase(e);
    const char *memo = json_text(e, "memo");
    if (!p) { /* a kind that this table does not know is named as the ledger names it */
        buf_add_text(b, strcmp(out_text(e, "what"), "tx") == 0 ? out_text(e, "code") : out_text(e, "what"));
        return;
    }
    for (const char *w = p->words; *w; w++) {
        if (*w != '%')
            buf_add(b, w, 1);
        else if (*++w == 'o')
            add_other(b, known, e);
        else if (*w == 'n')
            add_subject(b, e);
        else if (memo)
            buf_add_format(b, ": %s", memo);
    }
}

/* What this account calls the transaction. */
static void add_label(struct buf *b, const struct accounts *known, const json_t *e)
{
    uint8_t id[32];
    const char *tx = json_text(e, "tx");
    const struct label *l =
        tx && strlen(tx) == 64 && hex_get(tx, id, 32) ? labels_find(&known->labels, LABEL_TX, id) : NULL;
    if (l)
        buf_add_format(b, " [%s]", l->text.s);
}

static void format_time(const json_t *e, char text[32])
{
    struct tm utc;
    time_t seconds = (time_t)(out_count(e, "time_ms") / 1000);
    if (!gmtime_r(&seconds, &utc) || strftime(text, 32, "%Y-%m-%d %H:%M", &utc) == 0)
        snprintf(text, 32, "?");
}

static void print_entry(const struct cli *cli, const struct accounts *known, const json_t *e)
{
    char amount[OUT_AMOUNT_ROOM], fee[OUT_AMOUNT_ROOM], when[32];
    const struct phrase *p = find_phrase(e);
    const char *mote = json_text(e, "amount");
    bool moved = mote && strcmp(mote, "0") != 0, failed = json_is_false(json_object_get(e, "ok"));
    int sign = p ? p->sign : 0;
    struct buf words = {0};
    add_words(&words, known, e);
    add_label(&words, known, e);
    format_time(e, when);
    out_amount(json_object_get(e, "amount"), amount);
    printf("%s  %s%s%22s%s  ", when,
           out_style(cli, failed     ? OUT_DIM
                          : sign > 0 ? OUT_GOOD
                                     : OUT_PLAIN),
           !moved || failed || sign == 0 ? ""
           : sign > 0                    ? "+"
                                         : "-",
           moved ? amount : "", out_style(cli, OUT_PLAIN));
    out_untrusted(buf_text(&words), words.n);
    if (failed)
        printf(", without effect: %s", out_text(e, "error"));
    if (json_object_get(e, "fee"))
        printf("  %s(fee %s)%s", out_style(cli, OUT_DIM), out_amount(json_object_get(e, "fee"), fee),
               out_style(cli, OUT_PLAIN));
    printf("\n");
    buf_clear(&words);
}

static void print_history(const struct cli *cli, const struct accounts *known, const json_t *r)
{
    const json_t *e;
    size_t i;
    json_array_foreach(json_object_get(r, "entries"), i, e) print_entry(cli, known, e);
    if (json_text(r, "next"))
        printf("more: --before %s\n", out_text(r, "next"));
    else if (out_count(r, "from") > 1)
        printf("this node knows of nothing before block %" JSON_INTEGER_FORMAT "\n", out_count(r, "from"));
    else if (i == 0)
        printf("nothing yet\n");
}

/* Whose history: an address or label given as a word, or an account of the wallet. */
static int choose(const struct cli *cli, const struct args *args, struct accounts *known, struct pubkey *key)
{
    struct note note = {{0}};
    const char *word = args_word(args, 0);
    if (word) {
        int rc = accounts_labels_load(cli, &known->labels);
        return rc == CLI_DONE ? accounts_address(cli, known, word, NULL, key) : rc;
    }
    int rc = accounts_load(cli, known);
    const struct account *a = rc == CLI_DONE ? accounts_find(known, args_text(args, "account"), &note) : NULL;
    if (rc == CLI_DONE && !a)
        rc = cli_fail(cli, CLI_USAGE, "%s", note.text);
    if (a)
        *key = a->key;
    return rc;
}

int cmd_tx_history(const struct cli *cli, const struct args *args)
{
    struct accounts known = {0};
    struct pubkey key;
    char hex[65];
    const char *before = args_has(args, "before") ? args_text(args, "before") : "";
    json_t *reply = NULL;
    int rc = CLI_DONE;
    if (strspn(before, "0123456789.") != strlen(before))
        return cli_fail(cli, CLI_USAGE, "--before \"%.40s\": it is what an earlier list ended with", before);
    rc = choose(cli, args, &known, &key);
    if (rc == CLI_DONE) {
        hex_put(hex, key.b, sizeof key.b);
        rc = client_get(cli, &reply, "/kith/v1/accounts/%s/history?limit=%" PRIu64 "&before=%s", hex,
                        args_count(args, "limit"), before);
    }
    if (rc == CLI_DONE && cli->json)
        out_json_take(reply);
    else if (rc == CLI_DONE) {
        print_history(cli, &known, reply);
        json_decref(reply);
    }
    accounts_clear(&known);
    return rc;
}
