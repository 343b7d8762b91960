/* chat, through a daemon: a job is posted, and its events are followed by their number, so that a daemon that dies in
 * the middle and is started again goes on where it was: nothing is lost, repeated, or paid twice. */
#include "base/secret.h"
#include "base/variables.h"
#include "cli/chat.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/local_chat.h"
#include "cli/out.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const struct option_spec cmd_chat_options[] = {
    {.name = "message", .type = OPTION_TEXT, .value = "TEXT", .letter = 'm', .help = "ask this and end"},
    {.name = "system", .type = OPTION_TEXT, .value = "TEXT", .help = "how the model is to behave"},
    {.name = "tokens",
     .type = OPTION_COUNT,
     .value = "N",
     .least = 1,
     .most = 1048576,
     .help = "at most so many in an answer (what fits)"},
    {.name = "temp",
     .type = OPTION_REAL,
     .value = "T",
     .preset = "0",
     .least = 0,
     .most = 100,
     .help = "0: always the likeliest word"},
    {.name = "seed", .type = OPTION_HEX32, .value = "HEX", .help = "for the same answer again (drawn)"},
    {.name = "effort",
     .type = OPTION_TEXT,
     .value = "LEVEL",
     .help = "how much the model is to think: none, minimal, low, medium, high, xhigh, max"},
    {.name = "no-think", .type = OPTION_FLAG, .help = "the same as --effort none"},
    {.name = "max-cost", .type = OPTION_AMOUNT, .value = "KITH", .help = "most to pay for an answer"},
    {.name = "private", .type = OPTION_FLAG, .help = "only on this machine, shown to nobody"},
    {.name = "key", .type = OPTION_TEXT, .value = "TEXT", .help = "for scripts: the same key gives the same job again"},
    {.name = "route", .type = OPTION_TEXT, .value = "auto|local|network", .preset = "auto", .help = "who computes"},
    {.name = "resume",
     .type = OPTION_TEXT,
     .value = "JOB",
     .help = "show an answer from its start, and its rest as it comes"},
    {.name = NULL},
};

enum {
    RECONNECT_MS = 60000, /* a daemon that is started again within this long goes on */
    PAUSE_MS = 300,
    SILENT_MS = 30000, /* three missing signs of life */
};

struct chat {
    const struct cli *cli;
    const struct args *args;
    const char *model;
    uint64_t lost_ms; /* since when the daemon does not answer; 0: it does */
};

/* After a failure of the connection: pauses and says true while it is worth trying again. */
static bool may_retry(struct chat *c, enum err e)
{
    struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};
    uint64_t now = out_now_ms();
    if (e != ERR_CLOSED && e != ERR_NOT_FOUND && e != ERR_TIMEOUT && e != ERR_PROTOCOL)
        return false;
    if (c->lost_ms == 0)
        c->lost_ms = now;
    if (now - c->lost_ms > RECONNECT_MS)
        return false;
    nanosleep(&pause, NULL);
    return true;
}

/* A daemon that is starting again listens before it knows everything. */
static bool is_starting(int status)
{
    return status == 502 || status == 503;
}

static json_t *job_body(const struct chat *c, const json_t *messages)
{
    uint8_t key[32];
    char hex[65], cost[24];
    const struct args *a = c->args;
    secret_random(key, sizeof key);
    hex_put(hex, key, sizeof key);
    json_t *params = json_pack("{s:f}", "temp", args_real(a, "temp"));
    if (args_has(a, "tokens"))
        json_object_set_new(params, "tokens", json_integer((json_int_t)args_count(a, "tokens")));
    if (args_has(a, "seed"))
        json_object_set_new(params, "seed", json_string(args_text(a, "seed")));
    json_t *body = json_pack("{s:s, s:O, s:o, s:b, s:s, s:s}", "model", c->model, "messages", messages, "params",
                             params, "private", (int)args_has(a, "private"), "route", args_text(a, "route"), "key",
                             args_has(a, "key") ? args_text(a, "key") : hex);
    if (body && chat_effort(a))
        json_object_set_new(body, "reasoning_effort", json_string(chat_effort(a)));
    if (body && args_has(a, "max-cost")) {
        snprintf(cost, sizeof cost, "%" PRIu64, args_amount(a, "max-cost").mote);
        json_object_set_new(body, "max_cost", json_string(cost));
    }
    return body;
}

/* Posts the job; the key in the body makes asking again after a lost answer harmless, once the first try was connected.
 */
static int post_job(struct chat *c, const json_t *body, json_t **reply)
{
    bool connected = false;
    for (;;) {
        struct note note = {{0}};
        int status = 0;
        enum err e = client_try(c->cli, "POST", "/kith/v1/jobs", body, CLIENT_TIMEOUT_MS, &status, reply, &note);
        if (e == ERR_OK && status >= 200 && status < 300 && json_text(*reply, "job"))
            return CLI_DONE;
        connected = connected || e == ERR_CLOSED;
        bool again = connected && (e != ERR_OK || is_starting(status));
        if (again && may_retry(c, e == ERR_OK ? ERR_CLOSED : e)) {
            json_decref(*reply);
            continue;
        }
        int rc = e == ERR_OK ? client_refusal(c->cli, status, *reply) : client_fail(c->cli, e, &note);
        json_decref(*reply);
        *reply = NULL;
        return rc;
    }
}

enum step { STEP_MORE, STEP_DONE, STEP_FAILED };

/* Why nothing comes: for people at once, for programs with the answer. */
static void take_note(struct chat *c, const char *text, struct chat_answer *out)
{
    if (!c->cli->json) {
        fprintf(stderr, "%skith: %s%s\n", out_style(c->cli, OUT_DIM), text, out_style(c->cli, OUT_PLAIN));
        return;
    }
    if (!json_object_get(out->facts, "notes"))
        json_object_set_new(out->facts, "notes", json_array());
    json_array_append_new(json_object_get(out->facts, "notes"), json_string(text));
}

static struct bytes bytes_at(const json_t *data, const char *name)
{
    const json_t *text = json_object_get(data, name);
    return bytes_of(json_string_value(text), json_string_length(text));
}

/* One event of the job's stream. *seen counts the tokens whose text was shown so far. */
static enum step take_event(struct chat *c, const char *name, json_t *data, json_int_t *seen, struct chat_answer *out)
{
    if (strcmp(name, "token") == 0) {
        json_int_t i = out_count(data, "i");
        if (i < *seen)
            return STEP_MORE;
        /* A daemon of before there were parts tells the text alone. */
        chat_put(c->cli, out, bytes_at(data, "thought"),
                 bytes_at(data, json_object_get(data, "said") ? "said" : "text"));
        *seen = i + 1;
    } else if (strcmp(name, "note") == 0)
        take_note(c, out_text(data, "text"), out);
    else if (strcmp(name, "done") == 0) {
        json_object_update(out->facts, data);
        return STEP_DONE;
    } else if (strcmp(name, "failed") == 0) {
        cli_fail(c->cli, CLI_REFUSED, "%s", out_text(json_object_get(data, "error"), "message"));
        return STEP_FAILED;
    }
    return STEP_MORE;
}

static void cancel_job(struct chat *c, const char *job)
{
    char path[128];
    json_t *reply = NULL;
    struct note note;
    int status;
    snprintf(path, sizeof path, "/kith/v1/jobs/%.64s/cancel", job);
    json_t *body = json_object();
    if (client_try(c->cli, "POST", path, body, CLIENT_TIMEOUT_MS, &status, &reply, &note) == ERR_OK)
        json_decref(reply);
    json_decref(body);
}

/* Reads one connection's worth of events. */
static enum err follow_once(struct chat *c, struct client_stream *s, json_int_t *seen, struct chat_answer *out,
                            enum step *step, struct note *note)
{
    enum err e = ERR_OK;
    *step = STEP_MORE;
    while (e == ERR_OK && *step == STEP_MORE) {
        char name[32];
        json_t *data = NULL;
        e = client_stream_next(s, SILENT_MS, name, &data, note);
        if (e == ERR_OK) {
            *step = take_event(c, name, data, seen, out);
            c->lost_ms = 0;
        }
        json_decref(data);
    }
    return e;
}

static int follow(struct chat *c, const char *job, struct chat_answer *out)
{
    json_int_t seen = 0;
    for (;;) {
        struct client_stream *stream;
        struct note note = {{0}};
        json_t *reply = NULL;
        char path[160];
        int status = 0;
        enum step step = STEP_MORE;
        snprintf(path, sizeof path, "/kith/v1/jobs/%.64s/events?from=%" JSON_INTEGER_FORMAT, job, seen);
        enum err e = client_stream_open(c->cli, path, NULL, &stream, &status, &reply, &note);
        if (stream) {
            e = follow_once(c, stream, &seen, out, &step, &note);
            client_stream_close(stream);
        } else if (e == ERR_OK && is_starting(status))
            e = note_set(&note, ERR_CLOSED, "the daemon is starting");
        else if (e == ERR_OK) {
            int rc = client_refusal(c->cli, status, reply);
            json_decref(reply);
            return rc;
        }
        json_decref(reply);
        if (step == STEP_DONE || step == STEP_FAILED)
            return step == STEP_DONE ? CLI_DONE : CLI_REFUSED;
        if (e == ERR_CANCELLED) {
            cancel_job(c, job);
            return CLI_DONE;
        }
        if (!may_retry(c, e))
            return cli_fail(c->cli, e == ERR_TIMEOUT ? CLI_LATE : CLI_UNREACHABLE,
                            "%s; the job goes on when the daemon does: `kith chat --resume %s`", note.text, job);
    }
}

static int ask(void *arg, const json_t *messages, struct chat_answer *out)
{
    struct chat *c = arg;
    json_t *reply = NULL, *body = job_body(c, messages);
    if (!body)
        return cli_fail(c->cli, CLI_USAGE, "\"%.60s\" is not the name of a model", c->model);
    c->lost_ms = 0;
    client_watch_interrupt();
    int rc = post_job(c, body, &reply);
    if (rc == CLI_DONE) {
        json_object_update(out->facts, reply);
        rc = follow(c, out_text(reply, "job"), out);
    }
    client_unwatch_interrupt();
    json_decref(reply);
    json_decref(body);
    return rc;
}

static int resume(struct chat *c, const char *job)
{
    struct chat_answer out = {.facts = json_pack("{s:s}", "job", job)};
    uint8_t hash[32];
    int rc = CLI_DONE;
    if (strlen(job) != 64 || !hex_get(job, hash, sizeof hash))
        rc = cli_fail(c->cli, CLI_USAGE, "--resume \"%.70s\" is not the id of a job: 64 hexadecimal digits", job);
    if (rc == CLI_DONE)
        rc = follow(c, job, &out);
    if (rc == CLI_DONE) {
        chat_finish(c->cli, &out, c->cli->json);
        return rc;
    }
    chat_answer_clear(&out);
    return rc;
}

static int check_effort(const struct cli *cli, const struct args *args)
{
    const char *effort = args_text(args, "effort");
    json_t *variables = json_object();
    struct note note = {{0}};
    enum err e = effort ? variables_set_effort(variables, effort, "--effort", &note) : ERR_OK;
    json_decref(variables);
    if (e != ERR_OK)
        return cli_fail(cli, CLI_USAGE, "%s", note.text);
    if (effort && args_has(args, "no-think") && strcmp(effort, "none") != 0)
        return cli_fail(cli, CLI_USAGE, "--effort %s and --no-think contradict each other", effort);
    return CLI_DONE;
}

int cmd_chat(const struct cli *cli, const struct args *args)
{
    const char *route = args_text(args, "route"), *job = args_text(args, "resume");
    struct chat c = {.cli = cli, .args = args, .model = args_word(args, 0) ? args_word(args, 0) : "default"};
    int rc = check_effort(cli, args);
    if (rc != CLI_DONE)
        return rc;
    if (strcmp(route, "auto") != 0 && strcmp(route, "local") != 0 && strcmp(route, "network") != 0)
        return cli_fail(cli, CLI_USAGE, "--route \"%.40s\" is none of auto, local, network", route);
    if (job)
        return resume(&c, job);
    /* A fresh machine has no daemon yet, and its guide answers all the same. */
    if (strcmp(route, "network") != 0 && strcmp(c.model, "default") == 0 && !cli->url && !client_is_reachable(cli))
        return local_chat(cli, args, c.model);
    return chat_run(cli, args, ask, &c);
}
