/* hop set, rm, ls, allow, deny, check: a model cut over several devices of one owner. */
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/out.h"
#include "cli/task.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- what is where -- */

static const char *model_name(const json_t *o)
{
    const char *name = json_text(o, "name");
    return name && *name ? out_text(o, "name") : out_text(o, "model");
}

static void print_hops(const struct cli *cli, const json_t *list)
{
    static const char *const titles[] = {"MODEL", "LAYERS", "AT", "STATE", "CALLS", "WHY"};
    struct out_table *t = out_table_new(titles, 6);
    const json_t *h;
    size_t i;
    json_array_foreach(list, i, h)
    {
        const char *endpoint = json_text(h, "endpoint"), *why = json_text(h, "why");
        out_table_add(t, "%.24s", model_name(h));
        out_table_add(t, "%" JSON_INTEGER_FORMAT "-%" JSON_INTEGER_FORMAT, out_count(h, "first"), out_count(h, "last"));
        out_table_add(t, "%.16s%s%s", out_text(h, "node"), endpoint && *endpoint ? "@" : "",
                      endpoint && *endpoint ? out_text(h, "endpoint") : "");
        out_table_add(t, "%s%s", out_text(h, "state"), json_is_true(json_object_get(h, "used")) ? ", in use" : "");
        out_table_add(t, "%" JSON_INTEGER_FORMAT, out_count(h, "calls"));
        out_table_add(t, "%s", why && *why ? out_text(h, "why") : "-");
    }
    out_table_print_free(cli, t);
}

static void print_lent(const json_t *list)
{
    const json_t *h;
    size_t i;
    json_array_foreach(list, i, h)
    {
        printf("lent      layers %" JSON_INTEGER_FORMAT "-%" JSON_INTEGER_FORMAT " of %.24s ", out_count(h, "first"),
               out_count(h, "last"), model_name(h));
        printf("to %s: %s, %" JSON_INTEGER_FORMAT " calls\n", out_text(h, "node"), out_text(h, "state"),
               out_count(h, "calls"));
    }
}

static void print_all(const struct cli *cli, const json_t *r)
{
    const json_t *hops = json_object_get(r, "hops"), *allowed = json_object_get(r, "allowed"), *node;
    size_t i;
    if (json_array_size(hops))
        print_hops(cli, hops);
    else
        printf("no layers are elsewhere: `kith hop set MODEL NODE FIRST-LAST` says which are to be\n");
    print_lent(json_object_get(r, "lent"));
    json_array_foreach(allowed, i, node) printf("allowed   %s\n", json_string_value(node));
}

int cmd_hop_ls(const struct cli *cli, const struct args *args)
{
    json_t *reply;
    (void)args;
    int rc = client_get(cli, &reply, "/kith/v1/share/hops");
    return rc == CLI_DONE ? out_reply_take(cli, reply, print_all) : rc;
}

/* -- changes -- */

static int post(const struct cli *cli, const char *path, json_t *body)
{
    json_t *reply;
    if (!body)
        return cli_fail(cli, CLI_USAGE, "that is not plain text");
    int rc = client_post_take(cli, path, body, &reply);
    return rc == CLI_DONE ? out_reply_take(cli, reply, print_all) : rc;
}

/* "4-11", or one layer. */
static bool parse_range(const char *text, unsigned *first, unsigned *last)
{
    int used = 0;
    if (sscanf(text, "%5u-%5u%n", first, last, &used) == 2 && used > 0 && text[used] == '\0')
        return true;
    used = 0;
    bool good = sscanf(text, "%5u%n", first, &used) == 1 && used > 0 && text[used] == '\0';
    *last = *first;
    return good;
}

int cmd_hop_set(const struct cli *cli, const struct args *args)
{
    unsigned first, last;
    if (!parse_range(args_word(args, 2), &first, &last))
        return cli_fail(cli, CLI_USAGE, "%.40s is no range of layers: 4-11 is, counted from 0", args_word(args, 2));
    return post(cli, "/kith/v1/share/hops/set",
                json_pack("{s:s, s:s, s:i, s:i}", "model", args_word(args, 0), "node", args_word(args, 1), "first",
                          (int)first, "last", (int)last));
}

int cmd_hop_rm(const struct cli *cli, const struct args *args)
{
    return post(cli, "/kith/v1/share/hops/remove",
                json_pack("{s:s, s:s}", "model", args_word(args, 0), "node", args_word(args, 1)));
}

int cmd_hop_allow(const struct cli *cli, const struct args *args)
{
    return post(cli, "/kith/v1/share/hops/allow", json_pack("{s:s}", "node", args_word(args, 0)));
}

int cmd_hop_deny(const struct cli *cli, const struct args *args)
{
    return post(cli, "/kith/v1/share/hops/deny", json_pack("{s:s}", "node", args_word(args, 0)));
}

/* -- checking -- */

static void print_wrong(const struct cli *cli, const json_t *h)
{
    const json_t *s = json_object_get(h, "statement");
    char *statement = json_dumps(s, JSON_COMPACT | JSON_PRESERVE_ORDER);
    printf("%swrong%s     layers %" JSON_INTEGER_FORMAT "-%" JSON_INTEGER_FORMAT, out_style(cli, OUT_BAD),
           out_style(cli, OUT_PLAIN), out_count(h, "first"), out_count(h, "last"));
    printf(" at %s: call %" JSON_INTEGER_FORMAT "\n", out_text(h, "node"), out_count(h, "call"));
    printf("there     %s\n", out_text(s, "answer"));
    printf("here      %s\n", out_text(h, "here"));
    printf("signed    ");
    if (statement)
        out_untrusted(statement, strlen(statement));
    printf("\n");
    free(statement);
}

static void print_checked(const struct cli *cli, const json_t *r)
{
    const json_t *h;
    size_t i;
    json_array_foreach(json_object_get(r, "hops"), i, h)
    {
        if (!json_is_true(json_object_get(h, "agree"))) {
            print_wrong(cli, h);
            continue;
        }
        printf("right     layers %" JSON_INTEGER_FORMAT "-%" JSON_INTEGER_FORMAT, out_count(h, "first"),
               out_count(h, "last"));
        printf(" at %s: %" JSON_INTEGER_FORMAT " calls\n", out_text(h, "node"), out_count(h, "calls"));
    }
    if (!json_is_true(json_object_get(r, "agree")))
        printf("one of the two devices computes wrongly: `kith model verify`, on both, reads its copy of the model "
               "again\n");
}

/* 1 where a hop differs, also with --json. */
int cmd_hop_check(const struct cli *cli, const struct args *args)
{
    json_t *result = NULL;
    int rc = task_run_take(cli, "/kith/v1/share/hops/check", json_pack("{s:s}", "model", args_word(args, 0)),
                           "checking", &result);
    if (rc != CLI_DONE)
        return rc;
    bool agree = json_is_true(json_object_get(result, "agree"));
    rc = out_reply_take(cli, result, print_checked);
    return rc == CLI_DONE && !agree ? CLI_REFUSED : rc;
}
