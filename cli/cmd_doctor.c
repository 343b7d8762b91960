/* doctor, ps: what this machine has for Kith, and what runs on it. */
#include "base/locate.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/out.h"
#include "inference/worker_proto.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define REPORT_MAX 65536u

/* -- the worker's report -- */

static _Noreturn void become_doctor(const char *program, int out)
{
    char *argv[] = {"kith-worker", WORKER_DOCTOR, NULL}, *environment[LOCATE_ENVIRONMENT_MAX];
    locate_environment(environment);
    if (dup2(out, STDOUT_FILENO) >= 0)
        execve(program, argv, environment);
    _exit(127);
}

static enum err read_report(const char *program, struct buf *out, struct note *note)
{
    int ends[2], status = 0;
    ssize_t n = 0;
    if (pipe(ends) != 0)
        return note_set(note, ERR_IO, "no pipe for the worker");
    pid_t child = fork();
    if (child == 0)
        become_doctor(program, ends[1]);
    close(ends[1]);
    do {
        buf_reserve(out, 4096);
        n = child < 0 ? 0 : read(ends[0], out->p + out->n, 4096);
        out->n += n > 0 ? (size_t)n : 0;
    } while (n > 0 && out->n < REPORT_MAX);
    close(ends[0]);
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return note_set(note, ERR_IO, "%.200s doctor ended with status %d instead of a report", program, status);
    return ERR_OK;
}

/* NULL with a note. */
static json_t *look(struct buf *program, struct note *note)
{
    struct buf text = {0};
    json_t *report = NULL;
    enum err e = locate_worker(program, note);
    if (e == ERR_OK)
        e = read_report(buf_text(program), &text, note);
    if (e == ERR_OK)
        report = json_parse(bytes_of_buf(&text), note);
    buf_clear(&text);
    return report;
}

/* -- doctor -- */

static void say(const struct cli *cli, const char *what, bool is_good, const char *text)
{
    printf("%-10s %s%s%s\n", what, out_style(cli, is_good ? OUT_PLAIN : OUT_BAD), text, out_style(cli, OUT_PLAIN));
}

static void print_gpus(const struct cli *cli, const json_t *report)
{
    const json_t *gpu;
    size_t i;
    char line[320];
    json_array_foreach(json_object_get(report, "gpus"), i, gpu)
    {
        snprintf(line, sizeof line, "%s (%s, %s), %.1f of %.1f GiB free", out_text(gpu, "name"), out_text(gpu, "kind"),
                 out_text(gpu, "driver"), (double)out_count(gpu, "free_bytes") / (1 << 30),
                 (double)out_count(gpu, "total_bytes") / (1 << 30));
        say(cli, "gpu", true, line);
    }
    snprintf(line, sizeof line, "none: %s", out_text(report, "gpu_why"));
    if (i == 0)
        say(cli, "gpu", true, line);
}

static void print_sandbox(const struct cli *cli, const json_t *report)
{
    const json_t *s = json_object_get(report, "sandbox");
    bool filter = json_is_true(json_object_get(s, "filter"));
    char line[320];
    snprintf(line, sizeof line, "system calls %s, files %s, network %s", filter ? "filtered" : "NOT filtered",
             json_is_true(json_object_get(s, "own_root")) ? "none" : "by the filter only",
             json_is_true(json_object_get(s, "own_net")) ? "none" : "by the filter only");
    say(cli, "sandbox", filter, line);
}

static void print_doctor(const struct cli *cli, const json_t *r)
{
    const json_t *report = json_object_get(r, "worker"), *kernel;
    char line[320];
    size_t i;
    int n = snprintf(line, sizeof line, "%" JSON_INTEGER_FORMAT " cores, kernels %s of", out_count(r, "cores"),
                     out_text(report, "picked"));
    json_array_foreach(json_object_get(report, "kernels"), i, kernel) if (n > 0 && (size_t)n < sizeof line) n +=
        snprintf(line + n, sizeof line - (size_t)n, " %s", json_string_value(kernel));
    say(cli, "processor", true, line);
    snprintf(line, sizeof line, "%.1f GiB", (double)out_count(r, "memory_bytes") / (1 << 30));
    say(cli, "memory", true, line);
    print_gpus(cli, report);
    print_sandbox(cli, report);
    snprintf(line, sizeof line, "%.1f GiB free in %.200s", (double)out_count(r, "disk_free_bytes") / (1 << 30),
             out_text(r, "home"));
    say(cli, "disk", out_count(r, "disk_free_bytes") > (1 << 30), line);
    say(cli, "daemon", true, json_is_true(json_object_get(r, "daemon")) ? "answers" : "does not run: start kithd");
}

/* Free room where the home is, or will be: of the nearest folder above that exists. */
static uint64_t disk_free(const char *home)
{
    char path[4096];
    struct statvfs st;
    snprintf(path, sizeof path, "%s", home);
    while (statvfs(path, &st) != 0) {
        char *slash = strrchr(path, '/');
        if (!slash)
            return 0;
        slash[slash == path] = 0;
    }
    return (uint64_t)st.f_bavail * st.f_frsize;
}

int cmd_doctor(const struct cli *cli, const struct args *args)
{
    struct buf program = {0};
    struct note note = {{0}};
    (void)args;
    json_t *report = look(&program, &note);
    buf_clear(&program);
    if (!report)
        return cli_fail(cli, CLI_REFUSED, "%s", note.text);
    uint64_t memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    json_t *all = json_pack("{s:I, s:I, s:s, s:I, s:b, s:o}", "cores", (json_int_t)sysconf(_SC_NPROCESSORS_ONLN),
                            "memory_bytes", (json_int_t)memory, "home", cli->home, "disk_free_bytes",
                            (json_int_t)disk_free(cli->home), "daemon", client_is_reachable(cli), "worker", report);
    return out_reply_take(cli, all, print_doctor);
}

/* -- ps -- */

/* With what is not the usual: only tokens, layers that it lends, layers that others have. */
static void put_state(struct out_table *t, const json_t *w)
{
    const char *state = out_text(w, "state"), *purpose = out_text(w, "purpose");
    if (strcmp(purpose, "tokens") == 0)
        out_table_add(t, "%s (tokens)", state);
    else if (strcmp(purpose, "layers") == 0)
        out_table_add(t, "%s (lends layers %" JSON_INTEGER_FORMAT "-%" JSON_INTEGER_FORMAT ")", state,
                      out_count(w, "first"), out_count(w, "last"));
    else if (out_count(w, "elsewhere"))
        out_table_add(t, "%s (%" JSON_INTEGER_FORMAT " layers elsewhere: kith hop ls)", state,
                      out_count(w, "elsewhere"));
    else
        out_table_add(t, "%s%s", state, strcmp(state, "waiting") == 0 ? " (for devices: kith hop ls)" : "");
}

static void print_workers(const struct cli *cli, const json_t *reply)
{
    static const char *const titles[] = {"MODEL", "STATE", "JOBS", "MEMORY", "KERNELS", "GPU"};
    const json_t *list = json_object_get(reply, "workers"), *w;
    size_t i;
    if (json_array_size(list) == 0) {
        printf("no model is loaded: a worker starts with the first question, `kith models` lists what could\n");
        return;
    }
    struct out_table *t = out_table_new(titles, 6);
    json_array_foreach(list, i, w)
    {
        const char *name = out_text(w, "name"), *device = out_text(w, "device");
        out_table_add(t, "%.24s", *name && strcmp(name, "-") != 0 ? name : out_text(w, "root"));
        put_state(t, w);
        out_table_add(t, "%" JSON_INTEGER_FORMAT, out_count(w, "jobs"));
        out_table_add(t, "%" JSON_INTEGER_FORMAT " MiB", out_count(w, "memory_bytes") >> 20);
        out_table_add(t, "%s", out_text(w, "backend"));
        out_table_add(t, "%s", *device ? device : "-");
    }
    out_table_print_free(cli, t);
}

int cmd_ps(const struct cli *cli, const struct args *args)
{
    json_t *reply;
    (void)args;
    int rc = client_get(cli, &reply, "/kith/v1/workers");
    return rc == CLI_DONE ? out_reply_take(cli, reply, print_workers) : rc;
}
