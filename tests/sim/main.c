/* sim: runs seeds, each in a process of its own so that a failed CHECK or a loop is one seed's end, and says what
 * became of them. The last lines name the seeds that failed; each comes again with --seed N --log. */
#include "base/mem.h"
#include "tests/sim/check.h"
#include "tests/sim/measure.h"
#include "tests/sim/role.h"
#include "tests/sim/sim.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define LINE_ROOM    1024
#define AT_ONCE_MAX  64
#define SEED_LIMIT_S 60 /* of processor time, whatever else the machine does: a run takes well under a second */

struct run {
    struct sim_options o;
    uint64_t count;
    unsigned jobs;
    bool is_twice; /* each seed twice: the same digest */
    bool stops;    /* at the first failure */
    bool is_quiet;
    bool is_light;
    unsigned crowd;
};

static const char usage[] =
    "sim: whole nodes on virtual time, everything from one seed\n"
    "  --seed N        the (first) seed; default 1\n"
    "  --count N       so many seeds, one after the other; default 1\n"
    "  --jobs N        so many at a time; default 1\n"
    "  --nodes N       validators; default: 4 or 7, drawn\n"
    "  --byzantine N   of them; default: drawn, under a third\n"
    "  --role NAME     theirs (equivocating, silent, delaying, forgetful, twin, invalid, rushing, forging,\n"
    "                  amnesiac, garbling); default: drawn\n"
    "  --fault-ms N    how long there are faults; default 20000\n"
    "  --heal-ms N     how long the healed network has to show progress; default 180000\n"
    "  --calm          no faults\n"
    "  --halt          instead of faults: a market, and a halt of the chain longer than bonds take to return\n"
    "  --plant         a market with planted jobs, beside the faults\n"
    "  --doubt         a market with an auditor who makes up witnesses, beside the faults\n"
    "  --twice         each seed twice, and compared\n"
    "  --stop          at the first seed that fails\n"
    "  --quiet         only the sum, and what failed\n"
    "  --log           every line and event\n"
    "  --light         instead: latency of 4 validators at light load, 100 ms round trips\n"
    "  --crowd N       instead: latency of N validators, 100 Mbit/s each, 400 transactions of 1 KiB a second\n";

/* -- one seed -- */

/* What is not given is drawn, from the seed as well. */
static struct sim_options options_of(const struct run *r, uint64_t seed)
{
    struct sim_options o = r->o;
    struct random random = {seed ^ UINT64_C(0x5EED)};
    o.seed = seed;
    unsigned nodes = random_chance(&random, 70) ? 4 : 7, byzantine = (unsigned)random_below(&random, 3);
    o.nodes = o.nodes ? o.nodes : nodes;
    unsigned most = (o.nodes - 1) / 3;
    o.byzantine = r->o.byzantine != UINT32_MAX ? r->o.byzantine : byzantine < most ? byzantine : most;
    o.followers = 1;
    return o;
}

static void run_halt(struct sim *s)
{
    deal_open(s);
    sim_run(s, s->o.heal_ms * 1000, deal_before_word);
    if (!s->is_violated)
        deal_halt(s);
}

/* Writes the seed's line; false if something did not hold. */
static bool run_seed(const struct sim_options *o, char line[LINE_ROOM], uint64_t *digest)
{
    struct sim *s = sim_new(o);
    if (o->has_faults && !o->is_halting)
        fault_open(s);
    load_open(s);
    if (o->is_planting || o->is_doubting)
        deal_open(s);
    if (o->is_halting)
        run_halt(s);
    else
        sim_run(s, o->fault_ms * 1000, NULL);
    fault_heal(s);
    sim_run(s, s->now_us + o->heal_ms * 1000, check_progress_done);
    check_end(s);
    char roles[128] = "";
    for (unsigned i = 0; i < s->nodes; i++)
        if (!sim_is_honest(&s->node[i]))
            snprintf(roles + strlen(roles), sizeof roles - strlen(roles), "%s%s", roles[0] ? "," : "",
                     role_name(s->node[i].role));
    snprintf(line, LINE_ROOM,
             "seed=%" PRIu64 " nodes=%u byzantine=%s heights=%" PRIu64 " turns=%" PRIu64 " seconds=%" PRIu64
             " digest=%016" PRIx64 " %s%s",
             o->seed, o->nodes, roles[0] ? roles : "-", check_height(s), s->turns, s->now_us / SIM_SECOND, s->digest,
             s->is_violated ? "VIOLATED " : "ok", s->violation);
    bool is_good = !s->is_violated;
    *digest = s->digest;
    sim_free(s);
    return is_good;
}

static bool run_twice(const struct run *r, uint64_t seed, char line[LINE_ROOM])
{
    struct sim_options o = options_of(r, seed);
    uint64_t first, second;
    bool is_good = run_seed(&o, line, &first);
    if (!r->is_twice || !is_good)
        return is_good;
    is_good = run_seed(&o, line, &second);
    if (first != second)
        snprintf(line, LINE_ROOM, "seed=%" PRIu64 " VIOLATED repeatable: digests %016" PRIx64 " and %016" PRIx64, seed,
                 first, second);
    return is_good && first == second;
}

/* -- many -- */

struct job {
    pid_t pid; /* 0: free */
    int out;
    uint64_t seed;
};

static void job_start(struct job *j, const struct run *r, uint64_t seed)
{
    int ends[2];
    CHECK(pipe(ends) == 0);
    fflush(stdout);
    j->seed = seed;
    j->pid = fork();
    CHECK(j->pid >= 0);
    if (j->pid == 0) {
        char line[LINE_ROOM] = "";
        close(ends[0]);
        CHECK(setitimer(ITIMER_PROF, &(struct itimerval){.it_value.tv_sec = SEED_LIMIT_S}, NULL) == 0);
        sim_crash_line(ends[1]);
        bool is_good = run_twice(r, seed, line);
        fflush(stdout);
        _exit(write(ends[1], line, strlen(line)) < 0 || !is_good);
    }
    close(ends[1]);
    j->out = ends[0];
}

/* The line of a job that ended; true if all held. */
static bool job_end(struct job *j, int status, char line[LINE_ROOM])
{
    size_t n = 0;
    ssize_t got;
    while (n + 1 < LINE_ROOM && (got = read(j->out, line + n, LINE_ROOM - 1 - n)) > 0)
        n += (size_t)got;
    line[n] = 0;
    close(j->out);
    j->pid = 0;
    if (WIFEXITED(status))
        return WEXITSTATUS(status) == 0;
    size_t used = strlen(line);
    if (!used)
        snprintf(line, LINE_ROOM, "seed=%" PRIu64 " VIOLATED %s: signal %d", j->seed,
                 WTERMSIG(status) == SIGPROF ? "endless" : "crash", WTERMSIG(status));
    return false;
}

static int run_all(const struct run *r)
{
    struct job jobs[AT_ONCE_MAX] = {0};
    uint64_t next = r->o.seed, end = r->o.seed + r->count, bad = 0, done = 0;
    unsigned running = 0;
    while (running > 0 || next < end) {
        for (unsigned i = 0; i < r->jobs && next < end; i++)
            if (!jobs[i].pid) {
                job_start(&jobs[i], r, next++);
                running++;
            }
        int status;
        pid_t pid = wait(&status);
        for (unsigned i = 0; i < r->jobs; i++) {
            char line[LINE_ROOM];
            if (jobs[i].pid != pid)
                continue;
            bool is_good = job_end(&jobs[i], status, line);
            running--;
            done++;
            bad += !is_good;
            if (!is_good || !r->is_quiet)
                printf("%s\n", line);
            if (!is_good && r->stops)
                next = end;
        }
    }
    printf("sim: %" PRIu64 " seeds, %" PRIu64 " failed\n", done, bad);
    return bad ? 1 : 0;
}

/* -- figures -- */

static int run_light(const struct run *r)
{
    struct measure_options o = {
        .nodes = 4, .round_trip_us = 100000, .per_second = 1, .run_ms = 300000, .seed = r->o.seed};
    return !measure_run(&o, r->o.is_logged);
}

static int run_crowd(const struct run *r)
{
    struct measure_options o = {.nodes = r->crowd,
                                .links = 8,
                                .round_trip_us = 100000,
                                .bits_per_second = 100000000,
                                .per_second = 400,
                                .tx_bytes = 1024,
                                .warm_ms = 5000,
                                .run_ms = 10000,
                                .seed = r->o.seed};
    return !measure_run(&o, r->o.is_logged);
}

/* -- arguments -- */

static bool take_number(const char *name, const char *value, struct run *r)
{
    char *end;
    if (!value)
        return false;
    uint64_t n = strtoull(value, &end, 10);
    const struct {
        const char *name;
        uint64_t *u64;
        unsigned *u32;
    } numbers[] = {
        {"--seed", &r->o.seed, NULL},
        {"--count", &r->count, NULL},
        {"--jobs", NULL, &r->jobs},
        {"--nodes", NULL, &r->o.nodes},
        {"--byzantine", NULL, &r->o.byzantine},
        {"--fault-ms", &r->o.fault_ms, NULL},
        {"--heal-ms", &r->o.heal_ms, NULL},
        {"--crowd", NULL, &r->crowd},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (strcmp(name, numbers[i].name) == 0 && !*end && *value) {
            if (numbers[i].u64)
                *numbers[i].u64 = n;
            else
                *numbers[i].u32 = (unsigned)n;
            return true;
        }
    return false;
}

static bool take_flag(const char *name, struct run *r)
{
    if (strcmp(name, "--twice") == 0)
        r->is_twice = true;
    else if (strcmp(name, "--stop") == 0)
        r->stops = true;
    else if (strcmp(name, "--quiet") == 0)
        r->is_quiet = true;
    else if (strcmp(name, "--log") == 0)
        r->o.is_logged = true;
    else if (strcmp(name, "--light") == 0)
        r->is_light = true;
    else if (strcmp(name, "--calm") == 0)
        r->o.has_faults = false;
    else if (strcmp(name, "--halt") == 0)
        r->o.is_halting = true;
    else if (strcmp(name, "--plant") == 0)
        r->o.is_planting = true;
    else if (strcmp(name, "--doubt") == 0)
        r->o.is_doubting = true;
    else
        return false;
    return true;
}

int main(int argc, char **argv)
{
    struct run r = {.o = {.seed = 1, .byzantine = UINT32_MAX, .fault_ms = 20000, .heal_ms = 180000, .has_faults = true},
                    .count = 1,
                    .jobs = 1};
    for (int i = 1; i < argc; i++) {
        if (take_flag(argv[i], &r))
            continue;
        if (strcmp(argv[i], "--role") == 0 && i + 1 < argc && (r.o.role = role_parse(argv[i + 1])) != SIM_ROLES)
            i++;
        else if (take_number(argv[i], argv[i + 1], &r))
            i++;
        else {
            fputs(usage, stderr);
            return 2;
        }
    }
    if (r.jobs == 0 || r.jobs > AT_ONCE_MAX || r.o.nodes > SIM_NODES_MAX / 2 || r.crowd > SIM_NODES_MAX ||
        r.o.role >= SIM_ROLES) {
        fputs(usage, stderr);
        return 2;
    }
    if (r.is_light)
        return run_light(&r);
    return r.crowd ? run_crowd(&r) : run_all(&r);
}
