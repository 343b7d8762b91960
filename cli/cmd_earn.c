/* earn: what an account was paid, by reason, day and model. */
#include "cli/accounts.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/out.h"
#include "cli/owner.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

const struct option_spec cmd_earn_options[] = {
    OWNER_ACCOUNT_OPTION,
    {.name = "since", .type = OPTION_TEXT, .value = "7d|24h|..", .help = "only what was earned in so long (all)"},
    {.name = NULL},
};

/* What a person calls each reason, in the order of the table. */
static const struct {
    const char *reason, *title;
} columns[] = {
    {"provider", "ANSWERING"}, {"publisher", "MODELS"}, {"parent", "PARENTS"},  {"data", "DATA"},
    {"auditor", "AUDITS"},     {"grant", "ACCESS"},     {"bounty", "BOUNTIES"},
};
enum { COLUMNS = sizeof columns / sizeof *columns };

static bool is_used(const json_t *r, int column)
{
    const char *mote = json_text(json_object_get(r, "reasons"), columns[column].reason);
    return mote && strcmp(mote, "0") != 0;
}

static void add_row(struct out_table *t, const json_t *shown, const json_t *row, const char *name)
{
    char room[OUT_AMOUNT_ROOM];
    out_table_add(t, "%s", name);
    for (int i = 0; i < COLUMNS; i++)
        if (is_used(shown, i))
            out_table_add(t, "%s",
                          out_amount(json_object_get(json_object_get(row, "reasons"), columns[i].reason), room));
    out_table_add(t, "%s", out_amount(json_object_get(row, "total"), room));
}

static void print_days(const struct cli *cli, const json_t *r)
{
    const char *titles[COLUMNS + 2] = {"DAY"};
    const json_t *day;
    unsigned n = 1;
    size_t i;
    for (int k = 0; k < COLUMNS; k++)
        if (is_used(r, k))
            titles[n++] = columns[k].title;
    titles[n++] = "TOTAL";
    struct out_table *t = out_table_new(titles, n);
    json_array_foreach(json_object_get(r, "days"), i, day) add_row(t, r, day, out_text(day, "day"));
    add_row(t, r, r, "all");
    out_table_print_free(cli, t);
}

static void print_models(const struct cli *cli, const json_t *r)
{
    static const char *const titles[] = {"FOR", "PAYOUTS", "EARNED"};
    const json_t *m;
    char room[OUT_AMOUNT_ROOM];
    size_t i;
    struct out_table *t = out_table_new(titles, 3);
    json_array_foreach(json_object_get(r, "models"), i, m)
    {
        const char *name = json_text(m, "name");
        out_table_add(t, "%.40s", name && *name ? out_text(m, "name") : out_text(m, "root"));
        out_table_add(t, "%" JSON_INTEGER_FORMAT, out_count(m, "payouts"));
        out_table_add(t, "%s", out_amount(json_object_get(m, "amount"), room));
    }
    printf("\n");
    out_table_print_free(cli, t);
}

static void print_earnings(const struct cli *cli, const json_t *r)
{
    char room[OUT_AMOUNT_ROOM];
    if (out_count(r, "payouts") == 0) {
        printf("nothing was earned by %s in that time\n", out_text(r, "address"));
    } else {
        print_days(cli, r);
        print_models(cli, r);
    }
    printf("\nin audit  %s, ", out_amount(json_object_get(r, "in_audit"), room));
    printf("not yet settled %s: royalties are still to be taken off both\n",
           out_amount(json_object_get(r, "unsettled"), room));
    if (!json_is_true(json_object_get(r, "complete")))
        printf("complete from height %" JSON_INTEGER_FORMAT " on: this node has no history of before\n",
               out_count(r, "from"));
}

/* An address or label given as a word, an account of the wallet by name, its first; or empty, and the daemon says
 * whose: the owner of the node. */
static int choose(const struct cli *cli, const struct args *args, struct accounts *known, char hex[65])
{
    struct note note = {{0}};
    struct pubkey key;
    const char *word = args_word(args, 0), *name = args_text(args, "account");
    char *path = accounts_path(cli, "wallet.keys");
    bool has_wallet = access(path, F_OK) == 0;
    const struct account *a = NULL;
    int rc = CLI_DONE;
    free(path);
    if (word) {
        rc = accounts_labels_load(cli, &known->labels);
        if (rc == CLI_DONE)
            rc = accounts_address(cli, known, word, NULL, &key);
    } else if (name || has_wallet) {
        rc = accounts_load(cli, known);
        a = rc == CLI_DONE ? accounts_find(known, name, &note) : NULL;
        if (rc == CLI_DONE && !a)
            rc = cli_fail(cli, CLI_USAGE, "%s", note.text);
        if (a)
            key = a->key;
    }
    if (rc == CLI_DONE && (word || a))
        hex_put(hex, key.b, sizeof key.b);
    return rc;
}

int cmd_earn(const struct cli *cli, const struct args *args)
{
    struct accounts known = {0};
    const char *since = args_text(args, "since");
    char hex[65] = "";
    uint64_t ago_ms, since_ms = 0;
    json_t *reply = NULL;
    if (since) {
        struct timespec now;
        if (!args_duration(since, &ago_ms))
            return cli_fail(cli, CLI_USAGE, "--since %.40s: 7d, 24h or 30m is meant", since);
        CHECK(clock_gettime(CLOCK_REALTIME, &now) == 0);
        since_ms = (uint64_t)now.tv_sec * 1000 - ago_ms;
    }
    int rc = choose(cli, args, &known, hex);
    if (rc == CLI_DONE)
        rc = client_get(cli, &reply, "/kith/v1/earnings?since=%" PRIu64 "%s%s", since_ms, *hex ? "&account=" : "", hex);
    accounts_clear(&known);
    return rc == CLI_DONE ? out_reply_take(cli, reply, print_earnings) : rc;
}
