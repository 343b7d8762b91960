/* key new, ls, rm: keys of the daemon's HTTP API. Through its Unix socket only. */
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/out.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const struct option_spec cmd_key_new_options[] = {
    {.name = "name", .type = OPTION_TEXT, .value = "TEXT", .help = "to know it by"},
    {.name = "scope",
     .type = OPTION_TEXT,
     .value = "WHAT",
     .many = true,
     .help = "use (ask models), read (look), post (hand in transactions); more than one may be given (use)"},
    {.name = "cap", .type = OPTION_AMOUNT, .value = "KITH", .help = "what it may spend in all (no limit)"},
    {.name = NULL},
};

static void print_new(const struct cli *cli, const json_t *r)
{
    (void)cli;
    printf("%s\n", out_text(r, "key"));
    fprintf(stderr, "kith: this is shown once: `kith key rm %s` takes it back\n", out_text(r, "id"));
}

int cmd_key_new(const struct cli *cli, const struct args *args)
{
    char cap[24];
    const char *name = args_text(args, "name"), *scope;
    json_t *body = json_pack("{s:s}", "name", name ? name : ""), *scopes = json_array(), *reply;
    for (unsigned i = 0; (scope = args_nth(args, "scope", i)) != NULL; i++)
        json_array_append_new(scopes, json_string(scope));
    if (json_array_size(scopes))
        json_object_set(body, "scopes", scopes);
    json_decref(scopes);
    if (args_has(args, "cap")) {
        snprintf(cap, sizeof cap, "%" PRIu64, args_amount(args, "cap").mote);
        json_object_set_new(body, "cap", json_string(cap));
    }
    int rc = client_post_take(cli, "/kith/v1/keys", body, &reply);
    return rc == CLI_DONE ? out_reply_take(cli, reply, print_new) : rc;
}

static void print_keys(const struct cli *cli, const json_t *reply)
{
    static const char *const titles[] = {"ID", "NAME", "FOR", "SPENT", "OF"};
    const json_t *keys = json_object_get(reply, "keys"), *key, *scope;
    char spent[OUT_AMOUNT_ROOM], cap[OUT_AMOUNT_ROOM];
    size_t i, k;
    if (json_array_size(keys) == 0) {
        printf("no keys: `kith key new` makes one, for clients on other machines\n");
        return;
    }
    struct out_table *t = out_table_new(titles, 5);
    json_array_foreach(keys, i, key)
    {
        char names[64] = "";
        json_array_foreach(json_object_get(key, "scopes"), k, scope)
        {
            size_t n = strlen(names);
            snprintf(names + n, sizeof names - n, "%s%s", n ? " " : "", json_string_value(scope));
        }
        const json_t *limit = json_object_get(key, "cap");
        out_table_add(t, "%s", out_text(key, "id"));
        out_table_add(t, "%s", out_text(key, "name"));
        out_table_add(t, "%s", names);
        out_table_add(t, "%s", out_amount(json_object_get(key, "spent"), spent));
        out_table_add(t, "%s", limit ? out_amount(limit, cap) : "any");
    }
    out_table_print_free(cli, t);
}

int cmd_key_ls(const struct cli *cli, const struct args *args)
{
    json_t *reply;
    (void)args;
    int rc = client_get(cli, &reply, "/kith/v1/keys");
    return rc == CLI_DONE ? out_reply_take(cli, reply, print_keys) : rc;
}

static void print_removed(const struct cli *cli, const json_t *r)
{
    (void)cli;
    (void)r;
    printf("removed\n");
}

int cmd_key_rm(const struct cli *cli, const struct args *args)
{
    const char *id = args_word(args, 0);
    char path[128];
    json_t *reply;
    if (strlen(id) < 8 || strlen(id) > 64 || strspn(id, "0123456789abcdef") != strlen(id))
        return cli_fail(cli, CLI_USAGE, "\"%.80s\" is no key's id: `kith key ls` lists them", id);
    snprintf(path, sizeof path, "/kith/v1/keys/%s/remove", id);
    int rc = client_post_take(cli, path, json_object(), &reply);
    return rc == CLI_DONE ? out_reply_take(cli, reply, print_removed) : rc;
}
