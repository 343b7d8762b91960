/* peer ban, unban, ls; net check: the network as this node meets it. */
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/out.h"

#include <stdio.h>
#include <string.h>

const struct option_spec cmd_peer_ban_options[] = {
    {.name = "reason", .type = OPTION_TEXT, .value = "TEXT", .help = "to remember why, at most 64 bytes"},
    {.name = NULL},
};

static void print_state(const struct cli *cli, const json_t *r)
{
    (void)cli;
    printf("%s: %s\n", out_text(r, "node"), out_text(r, "state"));
}

static int post(const struct cli *cli, const char *path, json_t *body)
{
    json_t *reply;
    if (!body)
        return cli_fail(cli, CLI_USAGE, "that is not plain text");
    int rc = client_post_take(cli, path, body, &reply);
    return rc == CLI_DONE ? out_reply_take(cli, reply, print_state) : rc;
}

int cmd_peer_ban(const struct cli *cli, const struct args *args)
{
    const char *reason = args_text(args, "reason");
    return post(cli, "/kith/v1/peers/ban",
                json_pack("{s:s, s:s}", "peer", args_word(args, 0), "reason", reason ? reason : ""));
}

int cmd_peer_unban(const struct cli *cli, const struct args *args)
{
    return post(cli, "/kith/v1/peers/unban", json_pack("{s:s}", "peer", args_word(args, 0)));
}

static void print_bans(const struct cli *cli, const json_t *r)
{
    static const char *const titles[] = {"NODE", "SINCE", "WHY"};
    const json_t *bans = json_object_get(r, "bans"), *ban;
    char room[OUT_TIME_ROOM];
    size_t i;
    if (json_array_size(bans) == 0) {
        printf("nobody is kept out; `kith peers` shows who is connected\n");
        return;
    }
    struct out_table *t = out_table_new(titles, 3);
    json_array_foreach(bans, i, ban)
    {
        const char *reason = json_text(ban, "reason");
        out_table_add(t, "%s", out_text(ban, "node"));
        out_table_add(t, "%s", out_time(out_count(ban, "since_ms"), room));
        out_table_add(t, "%s", reason && *reason ? out_text(ban, "reason") : "-");
    }
    out_table_print_free(cli, t);
}

int cmd_peer_ls(const struct cli *cli, const struct args *args)
{
    json_t *reply;
    (void)args;
    int rc = client_get(cli, &reply, "/kith/v1/peers/bans");
    return rc == CLI_DONE ? out_reply_take(cli, reply, print_bans) : rc;
}

static void print_checks(const struct cli *cli, const json_t *r)
{
    const json_t *check;
    size_t i;
    json_array_foreach(json_object_get(r, "checks"), i, check)
    {
        const char *result = out_text(check, "result");
        bool bad = strcmp(result, "bad") == 0;
        printf("%-10s %s%-8s%s ", out_text(check, "check"),
               out_style(cli, bad                         ? OUT_BAD
                              : strcmp(result, "ok") == 0 ? OUT_GOOD
                                                          : OUT_DIM),
               strcmp(result, "unknown") == 0 ? "?" : result, out_style(cli, OUT_PLAIN));
        printf("%s\n", out_text(check, "text"));
    }
}

/* 1 where something is bad, so that a script can tell. */
int cmd_net_check(const struct cli *cli, const struct args *args)
{
    json_t *reply, *check;
    bool bad = false;
    size_t i;
    (void)args;
    int rc = client_get(cli, &reply, "/kith/v1/net/check");
    if (rc != CLI_DONE)
        return rc;
    json_array_foreach(json_object_get(reply, "checks"), i, check) bad |= strcmp(out_text(check, "result"), "bad") == 0;
    rc = out_reply_take(cli, reply, print_checks);
    return bad && !cli->json ? CLI_REFUSED : rc;
}
