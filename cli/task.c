/* Waiting for tasks. A daemon that is started again has forgotten its tasks, so a lost one is an error to say. */
#include "cli/task.h"

#include "cli/client.h"
#include "cli/out.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { TASK_WAIT_S = 10, NOBODY_MS = 5000 };

static int failed(const struct cli *cli, const json_t *task)
{
    const json_t *error = json_object_get(task, "error");
    const char *code = json_text(error, "code");
    bool bad_input = code && (strcmp(code, "bad_model") == 0 || strcmp(code, "bad_request") == 0);
    return cli_fail(cli, bad_input ? CLI_USAGE : CLI_REFUSED, "%s",
                    json_text(error, "message") ? json_text(error, "message") : "the daemon could not do it");
}

/* Nobody may have what is fetched. That is no failure: whoever has it may come; but whoever waits should know. */
static void say_nobody(const struct cli *cli, const json_t *task, uint64_t since_ms, bool *has_said)
{
    const char *note = json_text(task, "note");
    if (*has_said || !note || out_now_ms() - since_ms < NOBODY_MS)
        return;
    *has_said = true;
    const char *end = strcmp(out_text(task, "kind"), "pull") == 0 ? "; kith model pull --cancel ends it" : "";
    if (!cli->json)
        fprintf(stderr, "%s: waiting (the daemon goes on with it if you do not%s)\n", note, end);
}

static int wait_for(const struct cli *cli, const char *id, const char *what, json_t **result)
{
    struct out_progress progress;
    char path[128];
    const uint64_t since_ms = out_now_ms();
    bool has_said = false;
    int rc = CLI_DONE;
    snprintf(path, sizeof path, "/kith/v1/tasks/%.64s?wait=%d", id, TASK_WAIT_S);
    out_progress_start(&progress, cli, what);
    while (rc == CLI_DONE && !*result) {
        json_t *task = NULL;
        rc = client_get_patiently(cli, TASK_WAIT_S * 1000 + CLIENT_TIMEOUT_MS, &task, path);
        const char *state = rc == CLI_DONE ? out_text(task, "state") : "";
        json_int_t done = out_count(task, "done"), total = out_count(task, "total");
        if (done >= 0 && total > 0)
            out_progress_set(&progress, (uint64_t)done, (uint64_t)total);
        if (strcmp(state, "running") != 0)
            out_progress_end(&progress);
        else
            say_nobody(cli, task, since_ms, &has_said);
        if (strcmp(state, "failed") == 0)
            rc = failed(cli, task);
        else if (strcmp(state, "done") == 0) {
            *result = json_incref(json_object_get(task, "result"));
            if (!*result)
                *result = json_object();
        } else if (rc == CLI_DONE && strcmp(state, "running") != 0) /* or it would be asked for ever */
            rc = cli_fail(cli, CLI_REFUSED, "the daemon says of its task %s that it is \"%s\": that is no kithd", id,
                          state);
        json_decref(task);
    }
    return rc;
}

int task_run_take(const struct cli *cli, const char *path, json_t *body, const char *what, json_t **result)
{
    json_t *reply = NULL;
    *result = NULL;
    int rc = client_post_take(cli, path, body, &reply);
    if (rc == CLI_DONE)
        rc = wait_for(cli, out_text(reply, "task"), what, result);
    json_decref(reply);
    return rc;
}

int task_file(const struct cli *cli, const char *path, char **absolute)
{
    struct stat st;
    *absolute = NULL;
    if (stat(path, &st) != 0)
        return cli_fail(cli, CLI_USAGE, "cannot open %s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return cli_fail(cli, CLI_USAGE, "%s is not a regular file", path);
    if (st.st_size == 0)
        return cli_fail(cli, CLI_USAGE, "%s is empty", path);
    *absolute = realpath(path, NULL);
    return *absolute ? CLI_DONE : cli_fail(cli, CLI_USAGE, "cannot open %s: %s", path, strerror(errno));
}

bool task_percent(const char *text, uint32_t *bps)
{
    size_t whole = strspn(text, "0123456789");
    const char *rest = text + whole;
    size_t decimals = *rest == '.' ? strspn(rest + 1, "0123456789") : 0;
    if (whole == 0 || whole > 3 || decimals > 2 || (*rest == '.' && decimals == 0))
        return false;
    if (*rest && rest[1 + decimals])
        return false;
    uint32_t v = 0;
    for (size_t i = 0; i < whole; i++)
        v = v * 10 + (uint32_t)(text[i] - '0');
    for (size_t i = 0; i < 2; i++)
        v = v * 10 + (i < decimals ? (uint32_t)(rest[1 + i] - '0') : 0);
    *bps = v;
    return v <= BPS_ALL;
}
