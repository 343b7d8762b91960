/* share set, pause, resume, finish, stop, status, why: what the owner of a machine that is lent says of it afterwards.
 */
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/lend.h"
#include "cli/out.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

const struct option_spec cmd_share_set_options[] = {
    LEND_TERMS_OPTIONS,
    {.name = NULL},
};

const struct option_spec cmd_share_finish_options[] = {
    {.name = "timeout",
     .type = OPTION_COUNT,
     .value = "S",
     .preset = "600",
     .least = 0,
     .most = 86400,
     .help = "how long to wait for what runs; it goes on finishing after that"},
    {.name = NULL},
};

/* -- the state -- */

static void print_rules(const json_t *r)
{
    const json_t *rules = json_object_get(r, "rules");
    printf("lent      %s%s, %s%s", strcmp(out_text(rules, "hours"), "any") == 0 ? "at any hour" : "",
           strcmp(out_text(rules, "hours"), "any") == 0 ? "" : out_text(rules, "hours"),
           json_is_true(json_object_get(rules, "on_battery")) ? "also on battery" : "not on battery",
           json_is_true(json_object_get(rules, "idle_only")) ? ", only while nobody uses it" : "");
    if (out_count(rules, "temperature_max"))
        printf(", up to %" JSON_INTEGER_FORMAT " degrees", out_count(rules, "temperature_max"));
    if (out_count(rules, "memory_max_mb"))
        printf(", models of %" JSON_INTEGER_FORMAT " MiB together", out_count(rules, "memory_max_mb"));
    printf("\n");
}

void lend_print(const struct cli *cli, const json_t *r)
{
    const json_t *m;
    size_t i;
    char room[OUT_AMOUNT_ROOM];
    printf("%s%s%s%s%s\n", out_style(cli, OUT_BOLD), out_text(r, "state"), out_style(cli, OUT_PLAIN),
           json_text(r, "why") ? ": " : "", json_text(r, "why") ? out_text(r, "why") : "");
    if (json_array_size(json_object_get(r, "models")) == 0)
        return;
    printf("owner     %s\n", out_text(r, "owner"));
    json_array_foreach(json_object_get(r, "models"), i, m)
        printf("model     %s  %s\n", out_text(m, "name"), out_text(m, "root"));
    printf("prices    %s in, ", out_amount(json_object_get(r, "price_in"), room));
    printf("%s out, per million tokens\n", out_amount(json_object_get(r, "price_out"), room));
    print_rules(r);
    printf("jobs      %" JSON_INTEGER_FORMAT " served, %" JSON_INTEGER_FORMAT " running, %" JSON_INTEGER_FORMAT
           " at a time\n",
           out_count(r, "jobs"), out_count(r, "running"), out_count(r, "slots"));
    printf("earned    %s, ", out_amount(json_object_get(r, "earned"), room));
    printf("not yet settled %s\n", out_amount(json_object_get(r, "unsettled"), room));
}

int cmd_share_status(const struct cli *cli, const struct args *args)
{
    json_t *reply;
    (void)args;
    int rc = client_get(cli, &reply, "/kith/v1/share");
    return rc == CLI_DONE ? out_reply_take(cli, reply, lend_print) : rc;
}

static void print_why(const struct cli *cli, const json_t *r)
{
    (void)cli;
    printf("%s: %s\n", out_text(r, "state"), out_text(r, "why"));
}

int cmd_share_why(const struct cli *cli, const struct args *args)
{
    json_t *reply, *shown;
    (void)args;
    int rc = client_get(cli, &reply, "/kith/v1/share");
    if (rc != CLI_DONE)
        return rc;
    shown = json_pack("{s:s, s:s}", "state", out_text(reply, "state"), "why", json_text(reply, "why"));
    json_decref(reply);
    return out_reply_take(cli, shown, print_why);
}

/* -- terms -- */

static int add_flag(const struct cli *cli, const struct args *args, const char *option, const char *name, json_t *body)
{
    const char *text = args_text(args, option);
    if (!text)
        return CLI_DONE;
    if (strcmp(text, "yes") != 0 && strcmp(text, "no") != 0)
        return cli_fail(cli, CLI_USAGE, "--%s %.40s: yes or no is needed", option, text);
    json_object_set_new(body, name, json_boolean(strcmp(text, "yes") == 0));
    return CLI_DONE;
}

static void add_price(const struct args *args, const char *option, const char *name, json_t *body)
{
    char text[24];
    if (!args_has(args, option))
        return;
    snprintf(text, sizeof text, "%" PRIu64, args_amount(args, option).mote);
    json_object_set_new(body, name, json_string(text));
}

static void add_count(const struct args *args, const char *option, const char *name, json_t *body)
{
    if (args_has(args, option))
        json_object_set_new(body, name, json_integer((json_int_t)args_count(args, option)));
}

int lend_terms(const struct cli *cli, const struct args *args, json_t *body)
{
    add_price(args, "price-in", "price_in", body);
    add_price(args, "price-out", "price_out", body);
    add_count(args, "slots", "slots", body);
    add_count(args, "temperature-max", "temperature_max", body);
    add_count(args, "memory-max", "memory_max_mb", body);
    if (args_has(args, "hours"))
        json_object_set_new(body, "hours", json_string(args_text(args, "hours")));
    int rc = add_flag(cli, args, "idle-only", "idle_only", body);
    return rc == CLI_DONE ? add_flag(cli, args, "on-battery", "on_battery", body) : rc;
}

int cmd_share_set(const struct cli *cli, const struct args *args)
{
    json_t *body = json_object(), *reply;
    int rc = lend_terms(cli, args, body);
    if (rc == CLI_DONE && json_object_size(body) == 0)
        rc = cli_fail(cli, CLI_USAGE, "say which term is to change: `kith help share set` lists them");
    if (rc != CLI_DONE) {
        json_decref(body);
        return rc;
    }
    rc = client_post_take(cli, "/kith/v1/share/set", body, &reply);
    return rc == CLI_DONE ? out_reply_take(cli, reply, lend_print) : rc;
}

/* -- when -- */

static int post(const struct cli *cli, const char *path, json_t *body, out_print_fn print)
{
    json_t *reply;
    int rc = client_post_take(cli, path, body, &reply);
    return rc == CLI_DONE ? out_reply_take(cli, reply, print) : rc;
}

int cmd_share_pause(const struct cli *cli, const struct args *args)
{
    const char *word = args_word(args, 0);
    json_t *body = json_object();
    uint64_t ms;
    if (word && !args_duration(word, &ms)) {
        json_decref(body);
        return cli_fail(cli, CLI_USAGE, "%.40s is no time: 30m, 2h or 1d are, and nothing is until `kith share resume`",
                        word);
    }
    if (word)
        json_object_set_new(body, "for_ms", json_integer((json_int_t)ms));
    return post(cli, "/kith/v1/share/pause", body, print_why);
}

int cmd_share_resume(const struct cli *cli, const struct args *args)
{
    (void)args;
    return post(cli, "/kith/v1/share/resume", json_object(), print_why);
}

int cmd_share_stop(const struct cli *cli, const struct args *args)
{
    (void)args;
    return post(cli, "/kith/v1/share/stop", json_object(), lend_print);
}

/* Until the last job is over. */
int cmd_share_finish(const struct cli *cli, const struct args *args)
{
    const uint64_t end_ms = out_now_ms() + args_count(args, "timeout") * 1000;
    json_t *reply;
    int rc = client_post_take(cli, "/kith/v1/share/finish", json_object(), &reply);
    while (rc == CLI_DONE && strcmp(out_text(reply, "state"), "finishing") == 0) {
        if (out_now_ms() >= end_ms) {
            json_decref(reply);
            return cli_fail(cli, CLI_LATE,
                            "jobs still run; no new one is taken: kith share status shows when it is off");
        }
        usleep(250000);
        json_decref(reply);
        rc = client_get(cli, &reply, "/kith/v1/share");
    }
    return rc == CLI_DONE ? out_reply_take(cli, reply, lend_print) : rc;
}
