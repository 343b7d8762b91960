/* Hostile peers against a live kithd: tests/hostile/attacks.c says what they do, friend.c what it costs honest ones.
 *
 *     hostile --node KEY@HOST:PORT --http PORT --pid PID [--seed N] [--ms N] [--attack NAME]
 *             [--wait-ms N] [--rss-mb N] [--fds N]
 *
 * Each attack for so long, one after the other; calm before and after. Ends with status 1 if the node died,
 * if somebody honest waited longer than --wait-ms or got nothing, or if the node held more memory or descriptors. */
#include "tests/hostile/attacks.h"
#include "tests/hostile/friend.h"

#include "base/mem.h"
#include "p2p/way.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define DIALS_TURN  16         /* new connections in one round of the loop */
#define OUT_MAX     (1u << 20) /* bytes that wait in one connection before it makes up more */
#define ACCEPTS_MAX 64

struct options {
    struct field field;
    uint16_t http_port;
    pid_t pid;
    uint64_t seed, ms, wait_ms, rss_mb, fds;
    const char *attack;
};

struct run {
    struct options o;
    struct friends *friends;
    struct random random;
    int listener;
    struct seckey listen_key;
    struct foe accepted[ACCEPTS_MAX];
    uint64_t rss_mb, fds, dialled, bytes;
    bool failed;
};

/* -- the node, from outside -- */

static uint64_t rss_mb(pid_t pid)
{
    char path[64];
    unsigned long long pages = 0, resident = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    FILE *f = fopen(path, "re");
    if (f && fscanf(f, "%llu %llu", &pages, &resident) != 2)
        resident = 0;
    if (f)
        fclose(f);
    return resident * (unsigned long long)sysconf(_SC_PAGESIZE) >> 20;
}

static uint64_t fds_of(pid_t pid)
{
    char path[64];
    uint64_t n = 0;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *d = opendir(path);
    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n;
}

static void watch(struct run *r)
{
    uint64_t rss = rss_mb(r->o.pid), fds = fds_of(r->o.pid);
    r->rss_mb = rss > r->rss_mb ? rss : r->rss_mb;
    r->fds = fds > r->fds ? fds : r->fds;
}

static bool is_alive(const struct run *r)
{
    return kill(r->o.pid, 0) == 0;
}

/* -- one attack -- */

static struct foe *foes_new(struct run *r, const struct attack *a)
{
    struct foe *foes = mem_array(a->foes, sizeof *foes);
    for (unsigned i = 0; i < a->foes; i++)
        foes[i] = (struct foe){.field = &r->o.field,
                               .is_raw = a->is_raw,
                               .is_deaf = a->is_deaf,
                               .first = a->first,
                               .on_message = a->heard,
                               .random = random_fork(&r->random)};
    return foes;
}

static void accept_all(struct run *r)
{
    int fd;
    while ((fd = accept4(r->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        unsigned i = 0;
        while (i < ACCEPTS_MAX && r->accepted[i].state != FOE_CLOSED)
            i++;
        if (i == ACCEPTS_MAX)
            close(fd);
        else
            foe_accept(&r->accepted[i], fd, &r->listen_key, foe_now_ms());
    }
}

static void turn(struct run *r, const struct attack *a, struct foe *f, uint64_t now_ms, unsigned *dials)
{
    if (f->state == FOE_CLOSED && *dials < DIALS_TURN) {
        ++*dials;
        r->dialled++;
        if (a->begin)
            a->begin(f);
        foe_dial(f, now_ms);
    }
    if (f->state >= (a->is_raw ? FOE_HANDSHAKE : FOE_READY) && f->out.n < OUT_MAX)
        a->turn(f, now_ms);
}

static void poll_all(struct run *r, struct foe *foes, unsigned n, struct pollfd *polls)
{
    unsigned total = n + ACCEPTS_MAX;
    for (unsigned i = 0; i < total; i++) {
        const struct foe *f = i < n ? &foes[i] : &r->accepted[i - n];
        polls[i] = (struct pollfd){f->state == FOE_CLOSED ? -1 : f->fd, foe_events(f), 0};
    }
    if (poll(polls, total, 5) < 0)
        return;
    for (unsigned i = 0; i < total; i++) {
        struct foe *f = i < n ? &foes[i] : &r->accepted[i - n];
        size_t before = f->out.n;
        if (f->state != FOE_CLOSED)
            foe_step(f, polls[i].revents);
        r->bytes += before > f->out.n ? before - f->out.n : 0;
    }
}

static void attack(struct run *r, const struct attack *a)
{
    uint64_t end_ms = foe_now_ms() + r->o.ms, watched_ms = 0, now_ms;
    struct foe *foes = foes_new(r, a);
    struct pollfd *polls = mem_array(a->foes + ACCEPTS_MAX, sizeof *polls);
    while ((now_ms = foe_now_ms()) < end_ms && is_alive(r)) {
        unsigned dials = 0;
        for (unsigned i = 0; i < a->foes; i++)
            turn(r, a, &foes[i], now_ms, &dials);
        accept_all(r);
        poll_all(r, foes, a->foes, polls);
        if (now_ms >= watched_ms + 50) {
            watch(r);
            watched_ms = now_ms;
        }
    }
    for (unsigned i = 0; i < a->foes; i++)
        foe_clear(&foes[i]);
    free(foes);
    free(polls);
}

/* -- what came of it -- */

static void judge(struct run *r, const char *name)
{
    static const char *const kinds[FRIEND_KINDS] = {"peer", "newcomer", "client"};
    printf("%-10s", name);
    for (int k = 0; k < FRIEND_KINDS; k++) {
        struct waits w = friends_take(r->friends, (enum friend_kind)k);
        /* who waits still is counted with the next */
        bool bad = w.failed || w.worst_ms > r->o.wait_ms || (w.n == 0 && r->o.ms >= r->o.wait_ms);
        printf("  %s %u/%u ms of %u%s", kinds[k], w.median_ms, w.worst_ms, w.n, bad ? " TOO LONG" : "");
        r->failed |= bad;
    }
    bool alive = is_alive(r);
    bool held = r->rss_mb > r->o.rss_mb || r->fds > r->o.fds;
    printf("  %llu MiB, %llu descriptors%s; %llu connections, %llu MB sent%s\n", (unsigned long long)r->rss_mb,
           (unsigned long long)r->fds, held ? " TOO MUCH" : "", (unsigned long long)r->dialled,
           (unsigned long long)r->bytes / 1000000, alive ? "" : "; THE NODE DIED");
    fflush(stdout);
    r->failed |= held || !alive;
    r->rss_mb = r->fds = r->dialled = r->bytes = 0;
}

static void run_all(struct run *r)
{
    static const struct attack calm = {.name = "calm"}, after = {.name = "after"};
    attack(r, &calm);
    judge(r, calm.name);
    for (unsigned i = 0; i < attacks_n && is_alive(r); i++)
        if (!r->o.attack || strcmp(r->o.attack, attacks[i].name) == 0) {
            attack(r, &attacks[i]);
            judge(r, attacks[i].name);
        }
    if (is_alive(r)) {
        attack(r, &after);
        judge(r, after.name);
    }
}

/* -- the start -- */

static void listen_here(struct run *r)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    r->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    CHECK(r->listener >= 0 && bind(r->listener, (struct sockaddr *)&at, sizeof at) == 0 &&
          listen(r->listener, 64) == 0 && getsockname(r->listener, (struct sockaddr *)&at, &n) == 0);
    r->o.field.listen_at = ntohs(at.sin_port);
    key_new(&r->listen_key);
    for (unsigned i = 0; i < ACCEPTS_MAX; i++)
        r->accepted[i] = (struct foe){.field = &r->o.field, .random = random_fork(&r->random)};
}

static bool take_option(struct options *o, const char *name, const char *value)
{
    static struct note note;
    struct way way;
    uint64_t *number = strcmp(name, "--seed") == 0      ? &o->seed
                       : strcmp(name, "--ms") == 0      ? &o->ms
                       : strcmp(name, "--wait-ms") == 0 ? &o->wait_ms
                       : strcmp(name, "--rss-mb") == 0  ? &o->rss_mb
                       : strcmp(name, "--fds") == 0     ? &o->fds
                                                        : NULL;
    if (number)
        *number = strtoull(value, NULL, 10);
    else if (strcmp(name, "--attack") == 0)
        o->attack = value;
    else if (strcmp(name, "--http") == 0)
        o->http_port = (uint16_t)strtoul(value, NULL, 10);
    else if (strcmp(name, "--pid") == 0)
        o->pid = (pid_t)strtol(value, NULL, 10);
    else if (strcmp(name, "--node") == 0 && way_parse_peer(value, &o->field.node, &way, &note) == ERR_OK)
        o->field.at = (struct sockaddr_in){
            .sin_family = AF_INET, .sin_port = htons(way.at[0].port), .sin_addr.s_addr = inet_addr(way.at[0].host)};
    else
        return false;
    return true;
}

static bool take_options(struct options *o, int n, char **words)
{
    *o = (struct options){.seed = 1, .ms = 1000, .wait_ms = 1000, .rss_mb = 512, .fds = 400};
    for (int i = 1; i < n; i += 2)
        if (i + 1 >= n || !take_option(o, words[i], words[i + 1]))
            return false;
    return o->pid > 0 && o->http_port && o->field.at.sin_port;
}

int main(int argc, char **argv)
{
    struct run *r = mem_new(sizeof *r);
    struct rlimit files;
    if (!take_options(&r->o, argc, argv)) {
        fprintf(stderr, "usage: hostile --node KEY@HOST:PORT --http PORT --pid PID [--seed N] [--ms N] [--attack "
                        "NAME] [--wait-ms N] [--rss-mb N] [--fds N]\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    r->random = (struct random){r->o.seed};
    listen_here(r);
    r->friends = friends_start(&r->o.field, r->o.http_port, r->o.seed);
    run_all(r);
    friends_stop(r->friends);
    for (unsigned i = 0; i < ACCEPTS_MAX; i++)
        foe_clear(&r->accepted[i]);
    close(r->listener);
    bool failed = r->failed;
    free(r);
    return failed;
}
