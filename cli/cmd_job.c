/* job show, job verify, job challenge. */
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/out.h"
#include "cli/task.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const struct option_spec cmd_job_show_options[] = {
    {.name = "wait", .type = OPTION_FLAG, .help = "until it is done"},
    {.name = "until", .type = OPTION_TEXT, .value = "done|settled", .help = "wait for that instead"},
    {.name = "timeout",
     .type = OPTION_COUNT,
     .value = "SECONDS",
     .preset = "300",
     .help = "give up waiting after that long"},
    {.name = NULL},
};

static int check_id(const struct cli *cli, const char *id)
{
    uint8_t hash[32];
    if (strlen(id) == 64 && hex_get(id, hash, sizeof hash))
        return CLI_DONE;
    return cli_fail(cli, CLI_USAGE, "\"%.70s\" is not the id of a job: 64 hexadecimal digits", id);
}

static void print_settlement(const json_t *r)
{
    const json_t *settlement = json_object_get(r, "settlement"), *audit = json_object_get(r, "audit");
    if (json_is_object(settlement))
        printf("settled   %s in block %" JSON_INTEGER_FORMAT "  tx %s\n", out_text(settlement, "state"),
               out_count(settlement, "height"), out_text(settlement, "tx"));
    if (json_text(settlement, "challenger"))
        printf("challenged by %s\n", out_text(settlement, "challenger"));
    if (json_is_object(audit))
        printf("audit     %s by %s\n", out_text(audit, "verdict"), out_text(audit, "auditor"));
}

static void print_job(const struct cli *cli, const json_t *r)
{
    const json_t *model = json_object_get(r, "model"), *error = json_object_get(r, "error");
    const char *text = json_text(r, "text");
    char cost[OUT_AMOUNT_ROOM];
    printf("job       %s\n", out_text(r, "job"));
    printf("state     %s%s%s%s\n", out_style(cli, OUT_BOLD), out_text(r, "state"), out_style(cli, OUT_PLAIN),
           json_is_true(json_object_get(r, "private")) ? ", private" : "");
    if (json_is_object(error))
        printf("error     %s\n", out_text(error, "message"));
    printf("model     %s  %s\n", out_text(model, "name"), out_text(model, "root"));
    printf("computed  %s%s%s\n", out_text(r, "route"), json_text(r, "provider") ? " by " : "",
           json_text(r, "provider") ? out_text(r, "provider") : "");
    printf("tokens    %" JSON_INTEGER_FORMAT " in, %" JSON_INTEGER_FORMAT " out, stopped by %s\n",
           out_count(r, "tokens_in"), out_count(r, "tokens_out"), out_text(r, "stop"));
    printf("cost      %s\n", json_text(r, "cost") ? out_amount(json_object_get(r, "cost"), cost) : "-");
    printf("digest    %s\n", out_text(r, "digest"));
    print_settlement(r);
    if (text) {
        printf("\n");
        out_untrusted(text, strlen(text));
        printf("\n");
    }
}

/* Is there nothing more to wait for? */
static bool is_there(const json_t *r, bool settled)
{
    const char *state = out_text(r, "state");
    const char *settlement = json_text(json_object_get(r, "settlement"), "state");
    struct amount cost = {0};
    if (strcmp(state, "failed") == 0 || strcmp(state, "cancelled") == 0)
        return true;
    if (strcmp(state, "done") != 0)
        return false;
    bool free_of_charge = !out_amount_get(json_object_get(r, "cost"), &cost) || cost.mote == 0;
    return !settled || free_of_charge || (settlement && strcmp(settlement, "waiting") != 0);
}

int cmd_job_show(const struct cli *cli, const struct args *args)
{
    enum { WAIT_S = 20 };
    const char *id = args_word(args, 0), *until = args_text(args, "until");
    bool settled = until && strcmp(until, "settled") == 0, wait = args_has(args, "wait") || until;
    uint64_t deadline = out_now_ms() + args_count(args, "timeout") * 1000;
    char path[192];
    json_t *reply = NULL;
    int rc = check_id(cli, id);
    if (rc == CLI_DONE && until && !settled && strcmp(until, "done") != 0)
        rc = cli_fail(cli, CLI_USAGE, "--until \"%.40s\" is neither done nor settled", until);
    snprintf(path, sizeof path, "/kith/v1/jobs/%.64s%s%s", id, !wait ? "" : "?wait=20&until=",
             !wait     ? ""
             : settled ? "settled"
                       : "done");
    while (rc == CLI_DONE) {
        rc = client_get_patiently(cli, WAIT_S * 1000 + CLIENT_TIMEOUT_MS, &reply, path);
        if (rc != CLI_DONE || !wait || is_there(reply, settled))
            break;
        if (out_now_ms() > deadline)
            rc = cli_fail(cli, CLI_LATE, "the job is %s and was not %s in time", out_text(reply, "state"),
                          settled ? "settled" : "done");
        json_decref(reply);
        reply = NULL;
    }
    return rc == CLI_DONE ? out_reply_take(cli, reply, print_job) : rc;
}

static void print_verified(const struct cli *cli, const json_t *r)
{
    bool same = json_is_true(json_object_get(r, "same"));
    printf("%s%s%s: %" JSON_INTEGER_FORMAT " tokens replayed in %" JSON_INTEGER_FORMAT " ms\n",
           out_style(cli, same ? OUT_GOOD : OUT_BAD), same ? "same" : "DIFFERENT", out_style(cli, OUT_PLAIN),
           out_count(r, "tokens"), out_count(r, "replay_ms"));
    if (json_is_true(json_object_get(r, "cut")))
        printf(
            "its tokens are the model's, but the model does not end it there, or not for the reason that was given\n");
    else if (!same && json_is_integer(json_object_get(r, "position")))
        printf("the first difference is at token %" JSON_INTEGER_FORMAT " of the answer\n", out_count(r, "position"));
    printf("claimed  %s\nreplayed %s\n", out_text(r, "digest_claimed"), out_text(r, "digest_replayed"));
}

int cmd_job_verify(const struct cli *cli, const struct args *args)
{
    char path[128];
    json_t *result;
    int rc = check_id(cli, args_word(args, 0));
    if (rc != CLI_DONE)
        return rc;
    snprintf(path, sizeof path, "/kith/v1/jobs/%.64s/verify", args_word(args, 0));
    rc = task_run_take(cli, path, json_object(), "replaying", &result);
    if (rc != CLI_DONE)
        return rc;
    bool same = json_is_true(json_object_get(result, "same"));
    out_reply_take(cli, result, print_verified);
    if (!same && !cli->json)
        fprintf(stderr, "`kith job challenge %s` takes it to the ledger\n", args_word(args, 0));
    return same ? CLI_DONE : CLI_REFUSED;
}

static void print_challenged(const struct cli *cli, const json_t *r)
{
    char bond[OUT_AMOUNT_ROOM];
    (void)cli;
    if (strcmp(out_text(r, "state"), "sent") == 0)
        printf("challenged: receipt %" JSON_INTEGER_FORMAT " of settlement %s, bond %s\ntx %s\n", out_count(r, "index"),
               out_text(r, "settlement"), out_amount(json_object_get(r, "bond"), bond), out_text(r, "tx"));
    else
        printf("not settled yet: the node challenges it as soon as it is, bond %s\n",
               out_amount(json_object_get(r, "bond"), bond));
}

int cmd_job_challenge(const struct cli *cli, const struct args *args)
{
    char path[128];
    json_t *result;
    int rc = check_id(cli, args_word(args, 0));
    snprintf(path, sizeof path, "/kith/v1/jobs/%.64s/challenge", args_word(args, 0));
    if (rc == CLI_DONE)
        rc = task_run_take(cli, path, json_object(), "replaying", &result);
    return rc == CLI_DONE ? out_reply_take(cli, result, print_challenged) : rc;
}

/* -- all of them -- */

const struct option_spec cmd_jobs_options[] = {
    {.name = "limit",
     .type = OPTION_COUNT,
     .value = "N",
     .preset = "20",
     .least = 1,
     .most = 100000,
     .help = "at most so many"},
    {.name = NULL},
};

static void print_jobs(const struct cli *cli, const json_t *r)
{
    static const char *const titles[] = {"TIME (UTC)", "STATE", "MODEL", "ROUTE", "IN", "OUT", "COST", "JOB"};
    const json_t *list = json_object_get(r, "jobs"), *j;
    size_t i;
    if (json_array_size(list) == 0) {
        printf("nothing was asked yet: `kith chat` asks\n");
        return;
    }
    struct out_table *t = out_table_new(titles, sizeof titles / sizeof *titles);
    json_array_foreach(list, i, j)
    {
        char cost[OUT_AMOUNT_ROOM], when[OUT_TIME_ROOM];
        out_table_add(t, "%s", out_time(out_count(j, "created_ms"), when));
        out_table_add(t, "%s", out_text(j, "state"));
        out_table_add(t, "%.24s", out_text(j, "model"));
        out_table_add(t, "%s", out_text(j, "route"));
        out_table_add(t, "%" JSON_INTEGER_FORMAT, out_count(j, "tokens_in"));
        out_table_add(t, "%" JSON_INTEGER_FORMAT, out_count(j, "tokens_out"));
        out_table_add(t, "%s", out_amount(json_object_get(j, "cost"), cost));
        out_table_add(t, "%s", out_text(j, "job"));
    }
    out_table_print_free(cli, t);
}

int cmd_jobs(const struct cli *cli, const struct args *args)
{
    json_t *reply = NULL;
    int rc = client_get(cli, &reply, "/kith/v1/jobs?limit=%s", args_text(args, "limit"));
    return rc == CLI_DONE ? out_reply_take(cli, reply, print_jobs) : rc;
}
