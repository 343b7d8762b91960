/* share plan: before lending, what this machine could serve, how fast, what that costs and what it would earn. Speeds
 * are measured by asking the daemon for a short text; prices are those that others ask now. */
#include "base/mem.h"
#include "cli/accounts.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/lend.h"
#include "cli/out.h"
#include "cli/owner.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MODELS_SHOWN    8
#define MEASURE_MS      180000 /* loading a large model takes its time */
#define MEASURE_TOKENS  48
#define PRICE_OUT_USUAL (MOTE_PER_KITH / 10 * 4) /* what `share start` asks by itself */

const struct option_spec cmd_share_plan_options[] = {
    {.name = "model",
     .type = OPTION_TEXT,
     .value = "ROOT|NAME",
     .many = true,
     .help = "only these (all that are here and on the ledger)"},
    {.name = "bench",
     .type = OPTION_TEXT,
     .value = "yes|no",
     .preset = "yes",
     .help = "measure; no: prices and costs alone"},
    {.name = "bond",
     .type = OPTION_AMOUNT,
     .value = "KITH",
     .help = "to have at stake (the least the ledger asks for)"},
    {.name = "audit", .type = OPTION_FLAG, .help = "with what checking others' work needs at stake"},
    OWNER_ACCOUNT_OPTION,
    {.name = NULL},
};

/* -- speed -- */

/* A text of so many tokens on this machine: how many it became. -1 with the reason in the note. */
static json_int_t write_text(const struct cli *cli, const char *root, const char *prompt, int tokens, uint64_t *ms,
                             struct note *note)
{
    json_t *reply = NULL, *body = json_pack("{s:s, s:s, s:i, s:i, s:{s:s}}", "model", root, "prompt", prompt,
                                            "max_tokens", tokens, "temperature", 0, "kith", "route", "local");
    json_int_t made = -1;
    int status = 0;
    uint64_t start_ms = out_now_ms();
    enum err e = client_try(cli, "POST", "/v1/completions", body, MEASURE_MS, &status, &reply, note);
    *ms = out_now_ms() - start_ms;
    if (e == ERR_OK && status == 200)
        made = out_count(json_object_get(reply, "usage"), "completion_tokens");
    else if (e == ERR_OK) {
        const char *why = json_text(json_object_get(reply, "error"), "message");
        (void)note_set(note, ERR_REFUSED, "%.200s", why ? why : "it cannot be run");
    }
    json_decref(body);
    json_decref(reply);
    return made;
}

/* Tokens a second of one job; 0 with the reason. The first answer loads the model; a model may end a text at once, so
 * there are some. */
static double measure(const struct cli *cli, const char *root, struct note *note)
{
    static const char *const prompts[] = {"Once upon a time",
                                          "The following is a list of",
                                          "In the beginning there was",
                                          "Question: how does it work? Answer:",
                                          "Dear all,",
                                          "1 2 3 4 5 6 7 8"};
    uint64_t ms = 0, sum_ms = 0;
    json_int_t made = 0, sum = 0;
    if (write_text(cli, root, "The", 1, &ms, note) < 0)
        return 0;
    for (size_t i = 0; i < sizeof prompts / sizeof *prompts && sum < MEASURE_TOKENS && made >= 0; i++) {
        made = write_text(cli, root, prompts[i], MEASURE_TOKENS, &ms, note);
        sum += made > 0 ? made : 0;
        sum_ms += ms;
    }
    if (made < 0)
        return 0;
    if (sum < 8 || sum_ms == 0) {
        (void)note_set(note, ERR_RANGE, "its answers were too short to be timed");
        return 0;
    }
    return (double)sum * 1000 / (double)sum_ms;
}

/* -- prices -- */

static int by_value(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* The middle of what others ask for writing with that model; false if nobody offers it. */
static bool ask_of_others(const json_t *offers, const char *root, const char *self, unsigned *n, uint64_t *median)
{
    uint64_t *prices = mem_array(json_array_size(offers) + 1, sizeof *prices);
    const json_t *offer;
    size_t i;
    *n = 0;
    json_array_foreach(offers, i, offer)
    {
        struct amount price;
        if (strcmp(out_text(offer, "model"), root) == 0 && strcmp(out_text(offer, "provider"), self) != 0 &&
            out_amount_get(json_object_get(offer, "price_out"), &price))
            prices[(*n)++] = price.mote;
    }
    qsort(prices, *n, sizeof *prices, by_value);
    *median = *n ? prices[*n / 2] : PRICE_OUT_USUAL;
    free(prices);
    return *n > 0;
}

static json_t *amount_json(uint64_t mote)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, mote);
    return json_string(text);
}

static json_int_t royalty_of(const struct cli *cli, const char *root)
{
    json_t *reply = NULL;
    char path[100];
    struct note note;
    int status;
    snprintf(path, sizeof path, "/kith/v1/models/%.64s", root);
    if (client_try(cli, "GET", path, NULL, CLIENT_TIMEOUT_MS, &status, &reply, &note) != ERR_OK)
        return 0;
    json_int_t bps = out_count(json_object_get(reply, "published"), "royalty_bps");
    json_decref(reply);
    return bps;
}

static json_t *plan_model(const struct cli *cli, const json_t *m, const json_t *offers, const char *self, bool bench)
{
    struct note note = {{0}};
    const char *root = out_text(m, "root");
    uint64_t median;
    unsigned n;
    bool offered = ask_of_others(offers, root, self, &n, &median);
    json_int_t royalty = royalty_of(cli, root);
    double speed = bench ? measure(cli, root, &note) : 0;
    double day = speed * 86400 * (double)median / 1e6 * (double)(10000 - royalty) / 10000;
    json_t *out = json_pack("{s:s, s:s, s:O, s:f, s:i, s:o, s:b, s:I, s:o}", "root", root, "name", out_text(m, "name"),
                            "size", json_object_get(m, "size"), "speed", speed, "offers", (int)n, "price_out",
                            amount_json(median), "price_of_others", (int)offered, "royalty_bps", royalty, "day",
                            amount_json(day < 1e18 ? (uint64_t)day : 0));
    if (bench && speed == 0)
        json_object_set_new(out, "why", json_string(note.text));
    return out;
}

static bool is_wanted(const struct args *args, const json_t *m)
{
    const char *name;
    unsigned i = 0;
    for (; (name = args_nth(args, "model", i)); i++)
        if (strcmp(name, out_text(m, "root")) == 0 || strcmp(name, out_text(m, "name")) == 0)
            return true;
    return i == 0;
}

static int plan_models(const struct cli *cli, const struct args *args, bool bench, json_t *plan)
{
    json_t *models = NULL, *status = NULL, *list = json_array(), *m;
    size_t i;
    json_object_set_new(plan, "models", list);
    int rc = client_get(cli, &models, "/kith/v1/models");
    if (rc == CLI_DONE)
        rc = client_get(cli, &status, "/kith/v1/status");
    if (rc == CLI_DONE)
        json_array_foreach(json_object_get(models, "local"), i, m) if (json_is_true(json_object_get(m, "published")) &&
                                                                       is_wanted(args, m) &&
                                                                       json_array_size(list) < MODELS_SHOWN)
            json_array_append_new(
                list, plan_model(cli, m, json_object_get(models, "offers"), out_text(status, "node"), bench));
    if (rc == CLI_DONE && args_has(args, "model") && json_array_size(list) == 0)
        rc = cli_fail(cli, CLI_REFUSED, "\"%.64s\" is no published model on this machine: `kith models` lists them",
                      args_text(args, "model"));
    json_decref(models);
    json_decref(status);
    return rc;
}

/* -- showing -- */

static void print_plan(const struct cli *cli, const json_t *r)
{
    static const char *const titles[] = {"MODEL", "TOKENS/S", "OFFERS", "OUT/1M", "ROYALTY", "A DAY"};
    const json_t *models = json_object_get(r, "models"), *m, *line;
    char room[OUT_AMOUNT_ROOM];
    size_t i;
    if (json_array_size(models) == 0)
        printf("no model that is on the ledger is here: `kith model pull` gets one, `kith models` lists them\n");
    else {
        struct out_table *t = out_table_new(titles, 6);
        json_array_foreach(models, i, m)
        {
            out_table_add(t, "%.40s", out_text(m, "name"));
            out_table_add(t, "%.1f", json_number_value(json_object_get(m, "speed")));
            out_table_add(t, "%" JSON_INTEGER_FORMAT, out_count(m, "offers"));
            out_table_add(t, "%s", out_amount(json_object_get(m, "price_out"), room));
            out_table_add(t, "%.2f %%", (double)out_count(m, "royalty_bps") / 100);
            out_table_add(t, "%s", out_amount(json_object_get(m, "day"), room));
        }
        out_table_print_free(cli, t);
        json_array_foreach(models, i, m) if (json_text(m, "why"))
            printf("%.40s was not timed: %s\n", out_text(m, "name"), out_text(m, "why"));
    }
    if (json_object_get(r, "bond")) {
        printf("\nto begin  %s at stake in addition, ", out_amount(json_object_get(r, "bond"), room));
        printf("%s in fees; ", out_amount(json_object_get(r, "fees"), room));
        printf("the account has %s\n", out_amount(json_object_get(r, "balance"), room));
    } else if (json_is_false(json_object_get(r, "wallet")))
        printf("\nto begin  a wallet is needed for what is put at stake: `kith wallet new`\n");
    else
        printf("\n");
    json_array_foreach(json_object_get(r, "assumes"), i, line)
        printf("%s%s\n", i ? "          " : "assumes   ", json_string_value(line));
}

int cmd_share_plan(const struct cli *cli, const struct args *args)
{
    const char *text = args_text(args, "bench");
    struct amount bonds = {0}, fees = {0}, balance = {0};
    json_t *plan = json_object();
    char *wallet = accounts_path(cli, "wallet.keys");
    bool bench = strcmp(text, "yes") == 0, has_wallet = access(wallet, F_OK) == 0;
    free(wallet);
    int rc = bench || strcmp(text, "no") == 0 ? plan_models(cli, args, bench, plan)
                                              : cli_fail(cli, CLI_USAGE, "--bench %.40s: yes or no is needed", text);
    if (rc == CLI_DONE && has_wallet && json_array_size(json_object_get(plan, "models"))) {
        rc = lend_costs(cli, args, &bonds, &fees, &balance);
        json_object_set_new(plan, "bond", amount_json(bonds.mote));
        json_object_set_new(plan, "fees", amount_json(fees.mote));
        json_object_set_new(plan, "balance", amount_json(balance.mote));
    }
    json_object_set_new(plan, "wallet", json_boolean(has_wallet));
    json_object_set_new(
        plan, "assumes",
        json_pack("[s, s, s, s]",
                  "each model alone, one job at a time, writing all day: what comes is less, and several jobs "
                  "at a time write more together",
                  "the middle of the prices that other providers ask now, or 0.4 KITH where nobody offers it",
                  "royalties taken off, fees of settlements, audits and electricity not",
                  bench ? "the speed of some 48 tokens now, with whatever else this machine does"
                        : "no speed: --bench no"));
    if (rc != CLI_DONE) {
        json_decref(plan);
        return rc;
    }
    return out_reply_take(cli, plan, print_plan);
}
