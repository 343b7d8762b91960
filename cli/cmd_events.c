/* events: what happens to the node, a line each, until one has seen enough. A connection that is lost is made again,
 * and goes on behind the last event that came. */
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/out.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SILENT_MS     30000 /* a sign of life comes every ten seconds */
#define RETRY_S       1
#define RETRIES_MAX   60
#define EVENT_ID_ROOM 48

const struct option_spec cmd_events_options[] = {
    {.name = "only",
     .type = OPTION_TEXT,
     .value = "KIND,..",
     .help = "of block, earned, share, peer, hops, pull, job, task; all unless given"},
    {.name = "count", .type = OPTION_COUNT, .value = "N", .preset = "0", .help = "end after so many; 0: go on"},
    {.name = NULL},
};

/* -- in words -- */

static const char *short_id(const json_t *e, const char *key, char room[13])
{
    snprintf(room, 13, "%.12s", out_text(e, key));
    return room;
}

/* The name that people gave, else the beginning of the root. */
static const char *called(const json_t *e, const char *root, char room[13])
{
    const char *name = json_text(e, "name");
    return name && *name ? out_text(e, "name") : short_id(e, root, room);
}

static void say_block(const json_t *e)
{
    char id[13];
    printf("%" JSON_INTEGER_FORMAT "  %s  %" JSON_INTEGER_FORMAT " transactions", out_count(e, "height"),
           short_id(e, "block", id), out_count(e, "txs"));
}

static void say_earned(const json_t *e)
{
    char amount[OUT_AMOUNT_ROOM], root[13];
    printf("%s as %s", out_amount(json_object_get(e, "amount"), amount), out_text(e, "reason"));
    printf(" of %s, in block %" JSON_INTEGER_FORMAT, called(e, "root", root), out_count(e, "height"));
}

static void say_share(const json_t *e)
{
    printf("%s: ", out_text(e, "state"));
    printf("%s", out_text(e, "why"));
}

static void say_peer(const json_t *e)
{
    char node[13];
    printf("%s %s", short_id(e, "node", node), out_text(e, "state"));
    if (json_text(e, "endpoint"))
        printf("  %s", out_text(e, "endpoint"));
}

static void say_layers(const json_t *list, const char *where, const char *none)
{
    const json_t *h;
    size_t i;
    json_array_foreach(list, i, h)
    {
        char node[13], model[13];
        printf("%s%s ", i ? "; " : "", called(h, "model", model));
        printf("%" JSON_INTEGER_FORMAT "-%" JSON_INTEGER_FORMAT " %s ", out_count(h, "first"), out_count(h, "last"),
               where);
        printf("%s: ", short_id(h, "node", node));
        printf("%s", json_is_true(json_object_get(h, "used")) ? "used" : out_text(h, "state"));
        if (json_text(h, "why") && *out_text(h, "why"))
            printf(" (%s)", out_text(h, "why"));
    }
    if (json_array_size(list) == 0)
        printf("%s", none);
}

static void say_hops(const json_t *e)
{
    say_layers(json_object_get(e, "hops"), "at", "none elsewhere");
    printf("; ");
    say_layers(json_object_get(e, "lent"), "lent to", "none lent");
    if (out_count(e, "left_out") > 0)
        printf("; and %" JSON_INTEGER_FORMAT " more: kith hop ls has them", out_count(e, "left_out"));
}

static void say_pull(const json_t *e)
{
    char root[13];
    double done = (double)out_count(e, "done"), total = (double)out_count(e, "total");
    printf("%s ", called(e, "root", root));
    printf("%s", out_text(e, "state"));
    if (total > 0)
        printf("  %.1f of %.1f MB, %.0f%%", done / 1e6, total / 1e6, 100 * done / total);
    printf(", from %" JSON_INTEGER_FORMAT " peers", out_count(e, "sources"));
}

static void say_error(const json_t *e)
{
    const json_t *error = json_object_get(e, "error");
    if (json_is_object(error))
        printf(": %s", out_text(error, "message"));
}

static void say_job(const json_t *e)
{
    char id[13], amount[OUT_AMOUNT_ROOM];
    bool is_free = strcmp(out_text(e, "route"), "local") == 0;
    printf("%s ", short_id(e, "job", id));
    printf("%s  ", out_text(e, "state"));
    printf("%s, %" JSON_INTEGER_FORMAT " tokens in, %" JSON_INTEGER_FORMAT " out", called(e, "model", id),
           out_count(e, "tokens_in"), out_count(e, "tokens_out"));
    if (!is_free)
        printf(", %s", out_amount(json_object_get(e, "cost"), amount));
    say_error(e);
}

static void say_task(const json_t *e)
{
    printf("%s ", out_text(e, "task"));
    printf("%s ", out_text(e, "kind"));
    printf("%s", out_text(e, "state"));
    say_error(e);
}

static void say_missed(const json_t *e)
{
    if (json_is_integer(json_object_get(e, "events")))
        printf("%" JSON_INTEGER_FORMAT " events are not kept any more", out_count(e, "events"));
    else
        printf("the node was started again: what it did before is not kept");
}

static const struct {
    const char *name;
    void (*say)(const json_t *e);
} kinds[] = {
    {"block", say_block}, {"earned", say_earned}, {"share", say_share}, {"peer", say_peer},     {"hops", say_hops},
    {"pull", say_pull},   {"job", say_job},       {"task", say_task},   {"missed", say_missed},
};

static void print_event(const struct cli *cli, const char *name, const json_t *e)
{
    char text[OUT_TIME_ROOM];
    size_t i = 0;
    json_int_t ms = out_count(e, "time_ms");
    while (i < sizeof kinds / sizeof *kinds && strcmp(kinds[i].name, name) != 0)
        i++;
    if (i == sizeof kinds / sizeof *kinds)
        return; /* of a later version */
    printf("%s%-19s%s  %-7s", out_style(cli, OUT_DIM), ms ? out_time(ms, text) : "", out_style(cli, OUT_PLAIN), name);
    kinds[i].say(e);
    printf("\n");
    fflush(stdout);
}

/* -- following -- */

struct follow {
    const struct cli *cli;
    char path[512], last[EVENT_ID_ROOM];
    uint64_t left; /* of the events that are wanted; 0: all */
    bool is_done;
};

static void take_event(struct follow *f, const char *name, json_t *data_take)
{
    if (f->cli->json) {
        json_object_set_new(data_take, "event", json_string(name));
        out_json_take(data_take);
        fflush(stdout);
    } else {
        print_event(f->cli, name, data_take);
        json_decref(data_take);
    }
    f->is_done = (f->left && --f->left == 0) || ferror(stdout);
}

static enum err follow_stream(struct follow *f, struct client_stream *s, struct note *note)
{
    enum err e = ERR_OK;
    while (e == ERR_OK && !f->is_done) {
        char name[32];
        json_t *data = NULL;
        e = client_stream_next(s, SILENT_MS, name, &data, note);
        if (client_stream_id(s)[0])
            snprintf(f->last, sizeof f->last, "%s", client_stream_id(s));
        if (e == ERR_OK)
            take_event(f, name, data);
    }
    return e;
}

/* CLI_DONE where it is to be tried again, or all that was wanted came. */
static int follow_once(struct follow *f, struct note *note)
{
    struct client_stream *s;
    json_t *refusal = NULL;
    int status = 0, rc = CLI_DONE;
    enum err e = client_stream_open(f->cli, f->path, f->last, &s, &status, &refusal, note);
    if (e == ERR_OK && !s)
        rc = client_refusal(f->cli, status, refusal);
    else if (e == ERR_OK) {
        e = follow_stream(f, s, note);
        client_stream_close(s);
    }
    json_decref(refusal);
    if (rc == CLI_DONE && e != ERR_OK && e != ERR_CLOSED && e != ERR_TIMEOUT && !(e == ERR_NOT_FOUND && f->last[0]))
        rc = client_fail(f->cli, e, note);
    return rc;
}

int cmd_events(const struct cli *cli, const struct args *args)
{
    struct follow f = {.cli = cli, .left = args_count(args, "count")};
    const char *only = args_text(args, "only");
    if (only && strspn(only, "abcdefghijklmnopqrstuvwxyz,") != strlen(only))
        return cli_fail(cli, CLI_USAGE, "--only %.60s: names of kinds with commas between are meant, as in job,earned",
                        only);
    snprintf(f.path, sizeof f.path, "/kith/v1/events%s%.400s", only ? "?kinds=" : "", only ? only : "");
    for (unsigned tries = 0; tries <= RETRIES_MAX; tries++) {
        char before[EVENT_ID_ROOM];
        struct note note = {{0}};
        memcpy(before, f.last, sizeof before);
        int rc = follow_once(&f, &note);
        if (rc != CLI_DONE || f.is_done)
            return rc;
        if (strcmp(before, f.last) != 0)
            tries = 0; /* it got somewhere */
        if (tries == 0)
            cli_remark("%s: trying again", note.text);
        sleep(RETRY_S);
    }
    return cli_fail(cli, CLI_UNREACHABLE, "kithd did not come back");
}
