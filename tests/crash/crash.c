/* A sweep of crashes over everything that a validator writes to its disk.
 *
 *     crash [--scene alone|four|files|full|flips] [--every N] [--deep N] [--workers N] [--without WHAT]
 * [--point P --cut NAME [--then Q]]
 *
 * A scene is run once and every call that changes the disk is noted (disk.h). Then, for the point behind each call and
 * each way to crash (image.h), what is left is laid on a disk, and a validator is started on it. It must start; have
 * every block that it said was committed, and the money as it was; sign nothing that contradicts what left before; and
 * go on deciding blocks. What it writes while it recovers is noted too, and cut again: the second level.
 *
 * --every N looks at each N-th point; --deep N at fewer recoveries, 0 at none. --without dirsync | sync | signersync |
 * walsync, or several of them (signersync+walsync), leaves out these syncs: then the sweep must find losses, or it is
 * blind. The signer's alone loses nothing: the log, synced before it, brings the same vote back. */
#include "tests/crash/facts.h"
#include "tests/crash/faults.h"
#include "tests/crash/image.h"

#include "base/log.h"
#include "base/mem.h"
#include "tests/support.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKERS_MAX 16
#define SHOWN_MAX   5 /* failures whose story is told; one where they are wanted */
#define TRIED_MAX   (1u << 16)

static const struct plan {
    const char *name;
    unsigned nodes, loss_percent, blocks;
    uint32_t share; /* one of so many disks has its recovery cut as well, times --deep */
} plans[] = {
    {"alone", 1, 0, 44, 8},
    {"four", 4, 8, 24, 48},
};
#define PLANS_N (sizeof plans / sizeof *plans)

struct options {
    const char *scene, *without, *cut;
    uint32_t every, deep, workers;
    int64_t point, then;
    char scratch[512];
};

/* Shared by the workers. */
struct tally {
    uint64_t calls, points, images, deep_points, deep_images, failed;
    char at[WORKERS_MAX][160]; /* what each is at, for one that dies */
};

struct sweep {
    const struct options *o;
    const struct plan *plan;
    struct tally *tally;
    unsigned worker;
    char dir[600], home[640];
    struct disk_trace trace;
    struct hash *seen; /* images that were tried, a hash table */
};

/* -- the reference run -- */

static void scenes_log(void *arg, enum log_level level, const char *line)
{
    (void)arg;
    if (getenv("KITH_TEST_LOG"))
        fprintf(stderr, "%s\n", line);
    CHECK(level != LOG_BROKEN);
}

static struct scene_options scene_of(const struct plan *plan, const char *home, const char *elsewhere)
{
    return (struct scene_options){
        .nodes = plan->nodes, .seed = 1, .loss_percent = plan->loss_percent, .home = home, .elsewhere = elsewhere};
}

static void record(const struct plan *plan, const char *scratch, const char *path)
{
    char root[600], home[640], elsewhere[640];
    struct disk_trace t = {0};
    struct note note = {{0}};
    snprintf(root, sizeof root, "%s/%s", scratch, plan->name);
    snprintf(home, sizeof home, "%s/home", root);
    snprintf(elsewhere, sizeof elsewhere, "%s/%s.others", scratch, plan->name);
    CHECK(mkdir(root, 0700) == 0);
    disk_record(root, &t, NULL, 0);
    struct scene_options o = scene_of(plan, home, elsewhere);
    struct scene *s = scene_new(&o);
    for (unsigned i = 0; i < plan->nodes; i++)
        CHECK(scene_start(s, i, &note) == ERR_OK);
    for (uint64_t h = 1; h <= plan->blocks; h += 2) {
        scene_pay(s, (unsigned)h % plan->nodes, h);
        CHECK(scene_run(s, h + 1, 600000));
        if (h == plan->blocks / 2 + 1) { /* starts on what is there: logs and manifests are turned over */
            scene_stop(s, 0);
            CHECK(scene_start(s, 0, &note) == ERR_OK);
        }
    }
    scene_mark_chain(s, 0);
    scene_free(s);
    disk_stop();
    disk_trace_save(&t, path);
    disk_trace_clear(&t);
}

/* -- starting on what is left -- */

static uint64_t tail_u64(const struct buf *b, size_t at)
{
    uint64_t v;
    memcpy(&v, b->p + at, sizeof v);
    return v;
}

static bool is_mark(const struct disk_op *o, uint32_t what)
{
    return o->kind == DISK_MARK && o->inode == what;
}

/* The others speak as they did: first what they said in the height that is in the making, then, in its time, what they
 * said after the crash; in the end they only tell their height. */
static bool go_on_with_others(struct scene *s, const struct facts *f, const struct disk_trace *t, uint32_t point,
                              uint64_t seed)
{
    uint64_t final = 0, making = ledger_info(scene_ledger(s, 0)).height + 1;
    scene_offer_chain(s, t);
    if (seed & 1)
        scene_wait(s, scene_now(s) + 9000); /* alone for some rounds */
    for (uint32_t i = 0; i < t->n; i++) {
        const struct disk_op *o = &t->ops[i];
        final += is_mark(o, MARK_CHAIN);
        if (!is_mark(o, MARK_IN) || (i < point && tail_u64(&o->bytes, 0) < making))
            continue;
        struct bytes body = bytes_of(o->bytes.p + 18, o->bytes.n - 18);
        scene_wait(s, tail_u64(&o->bytes, 8));
        if (facts_allow(f, o->bytes.p[17], body))
            scene_deliver(s, o->bytes.p[16], o->bytes.p[17], body);
    }
    for (int i = 0; i < 60 && !scene_run(s, final, 2000); i++)
        scene_tell_height(s);
    return scene_run(s, final, 0);
}

static bool go_on_alone(struct scene *s)
{
    uint64_t height = ledger_info(scene_ledger(s, 0)).height;
    scene_run(s, height + 1, 2000); /* what the log still has to decide */
    height = ledger_info(scene_ledger(s, 0)).height;
    scene_pay(s, 0, 1);
    return scene_run(s, height + 2, 60000);
}

/* Time when the point was reached. */
static uint64_t time_at(const struct disk_trace *t, uint32_t point)
{
    for (uint32_t i = point; i-- > 0;)
        if (is_mark(&t->ops[i], MARK_IN))
            return tail_u64(&t->ops[i].bytes, 8);
    return 0;
}

/* Starts a validator on the directory, which is being recorded. */
static bool recover(struct sweep *w, const struct facts *f, uint32_t point, uint64_t seed, struct note *why)
{
    char elsewhere[640];
    struct note note = {{0}};
    snprintf(elsewhere, sizeof elsewhere, "%s/none", w->dir);
    struct scene_options o = scene_of(w->plan, w->home, elsewhere);
    struct scene *s = scene_new(&o);
    scene_set_now(s, w->plan->nodes == 1 ? 100000 : time_at(&w->trace, point));
    bool ok = scene_start(s, 0, &note) == ERR_OK;
    if (!ok)
        (void)note_set(why, ERR_STATE, "LOST: does not start: %.250s", note.text);
    ok = ok && facts_check(f, s, why);
    if (ok && !(w->plan->nodes == 1 ? go_on_alone(s) : go_on_with_others(s, f, &w->trace, point, seed))) {
        (void)note_set(why, ERR_STATE, "STOPPED: stays at height %" PRIu64, ledger_info(scene_ledger(s, 0)).height);
        ok = false;
    }
    scene_free(s);
    return ok;
}

/* -- the sweep -- */

/* The last inode that got this name, and where in the trace. */
static uint32_t inode_of(const struct disk_trace *t, const char *path, uint32_t *at)
{
    uint32_t inode = UINT32_MAX;
    for (uint32_t i = 0; i < t->n; i++) {
        const struct disk_op *o = &t->ops[i];
        if ((o->kind == DISK_MAKE && strcmp(o->path, path) == 0) ||
            (o->kind == DISK_RENAME && strcmp(o->to, path) == 0)) {
            inode = o->inode;
            *at = i;
        }
    }
    return inode;
}

/* LevelDB syncs its directory by itself just before it syncs a manifest. */
static bool is_before_manifest(const struct disk_trace *t, uint32_t i)
{
    while (++i < t->n && t->ops[i].kind != DISK_SYNC)
        continue;
    for (uint32_t k = i; k-- > 0 && i < t->n;)
        if (t->ops[k].kind == DISK_MAKE && t->ops[k].inode == t->ops[i].inode)
            return strstr(t->ops[k].path, "MANIFEST") != NULL;
    return false;
}

/* Is this word one of "a+b"? */
static bool is_named(const char *words, const char *word)
{
    size_t n = strlen(word);
    for (const char *w = words; w; w = strchr(w, '+') ? strchr(w, '+') + 1 : NULL)
        if (strncmp(w, word, n) == 0 && (w[n] == 0 || w[n] == '+'))
            return true;
    return false;
}

/* What --without names: our sync of the store's directory, and syncs of bytes. */
static bool is_left_out(const char *what, const struct disk_trace *t, uint32_t i)
{
    uint32_t signer_at = 0, wal_at = 0;
    uint32_t signer = inode_of(t, "home/consensus/signer", &signer_at);
    uint32_t wal = inode_of(t, "home/consensus/wal", &wal_at);
    const struct disk_op *o = &t->ops[i];
    if (o->kind == DISK_SYNC_DIR)
        return is_named(what, "dirsync") && strcmp(o->path, "home/chain") == 0 && !is_before_manifest(t, i);
    if (o->kind != DISK_SYNC)
        return false;
    const char *name = o->inode == signer ? "signersync" : o->inode == wal ? "walsync" : "sync";
    return is_named(what, name) && (o->inode != signer || i > signer_at);
}

static void leave_out(const char *what, struct disk_trace *t)
{
    bool *out = mem_array(t->n + 1, sizeof *out);
    for (uint32_t i = 0; i < t->n; i++)
        out[i] = is_left_out(what, t, i);
    for (uint32_t i = 0; i < t->n; i++)
        if (out[i])
            t->ops[i].kind = DISK_MARK, t->ops[i].inode = MARK_NOTHING;
    free(out);
}

/* False if this image, with these facts, was tried before. */
static bool is_fresh(struct sweep *w, const struct image *image, const struct facts *f)
{
    struct hash h = image_hash(image);
    uint64_t what[3] = {f->signs_n, f->blocks_n, 0};
    for (size_t i = 0; i < sizeof what; i++)
        h.b[i % HASH_SIZE] ^= ((uint8_t *)what)[i];
    static const struct hash none;
    for (uint32_t i = load_le32(h.b) % TRIED_MAX;; i = (i + 1) % TRIED_MAX) {
        if (hash_equal(&w->seen[i], &h))
            return false;
        if (hash_equal(&w->seen[i], &none)) {
            w->seen[i] = h;
            return true;
        }
    }
}

static void failed(struct sweep *w, const char *at, const char *why)
{
    uint64_t shown = w->o->without ? 1 : SHOWN_MAX;
    if (__atomic_fetch_add(&w->tally->failed, 1, __ATOMIC_RELAXED) < shown || w->o->point >= 0)
        printf("  %s: %s: %s\n", w->plan->name, at, why);
    fflush(stdout);
}

/* Lays the image down and starts on it; `made` is what that writes. */
static bool try_image(struct sweep *w, const struct image *image, const struct facts *f, uint32_t point, uint64_t seed,
                      struct disk_trace *made, const char *at)
{
    char **paths;
    struct note why = {{0}};
    snprintf(w->tally->at[w->worker], sizeof w->tally->at[0], "%s", at);
    image_write(image, w->dir);
    uint32_t n = image_paths(image, &paths);
    disk_record(w->dir, made, paths, n);
    bool ok = recover(w, f, point, seed, &why);
    disk_stop();
    free(paths);
    struct facts all = facts_copy(f);
    for (uint32_t i = 0; i < made->n && ok; i++)
        ok = facts_add(&all, &made->ops[i], &why);
    facts_clear(&all);
    if (!ok)
        failed(w, at, why.text);
    return ok;
}

/* Crashes at each point of a recovery from this disk, which is used up. */
static void sweep_recovery(struct sweep *w, struct disk *d, const struct facts *before, uint32_t point, uint64_t seed,
                           const struct disk_trace *made, const char *outer)
{
    struct facts f = facts_copy(before);
    struct note why = {{0}};
    bool has_gone_on = false; /* what follows is as in the first level */
    for (uint32_t i = 0; i + 1 < made->n && !has_gone_on; i++) {
        char at[160];
        const struct disk_op *op = &made->ops[i];
        disk_step(d, op);
        has_gone_on = is_mark(op, MARK_BLOCK);
        if (!facts_add(&f, op, &why) || op->kind == DISK_MARK)
            continue;
        while (i + 1 < made->n && made->ops[i + 1].kind == DISK_MARK && facts_add(&f, &made->ops[i + 1], &why))
            has_gone_on = is_mark(&made->ops[++i], MARK_BLOCK) || has_gone_on;
        if (w->o->then >= 0 && (uint32_t)w->o->then != i)
            continue;
        __atomic_fetch_add(&w->tally->deep_points, 1, __ATOMIC_RELAXED);
        for (unsigned k = 0; k < 2; k++) { /* everything lost, and one of the other ways in turn */
            enum image_cut cut = k == 0 ? IMAGE_BOTH : (enum image_cut)((seed + i) % IMAGE_CUTS);
            struct image left;
            struct disk_trace again = {0};
            image_make(&left, d, cut, seed + i);
            snprintf(at, sizeof at, "%.100s, then %u %s", outer, i, image_cut_name(cut));
            if (is_fresh(w, &left, &f)) {
                __atomic_fetch_add(&w->tally->deep_images, 1, __ATOMIC_RELAXED);
                try_image(w, &left, &f, point, seed, &again, at);
            }
            disk_trace_clear(&again);
            image_clear(&left);
        }
    }
    facts_clear(&f);
    disk_free(d);
}

static void sweep_point(struct sweep *w, const struct disk *d, const struct facts *f, uint32_t point)
{
    for (int cut = 0; cut < IMAGE_CUTS; cut++) {
        char at[160];
        struct image image;
        struct disk_trace made = {0};
        uint64_t seed = (uint64_t)point * IMAGE_CUTS + (uint64_t)cut;
        if (w->o->cut && strcmp(w->o->cut, image_cut_name((enum image_cut)cut)) != 0)
            continue;
        image_make(&image, d, (enum image_cut)cut, seed);
        snprintf(at, sizeof at, "point %u %s", point, image_cut_name((enum image_cut)cut));
        if (is_fresh(w, &image, f)) {
            uint64_t number = __atomic_fetch_add(&w->tally->images, 1, __ATOMIC_RELAXED);
            bool ok = try_image(w, &image, f, point, seed, &made, at);
            if (ok && w->o->deep && (number % (w->o->deep * w->plan->share) == 0 || w->o->then >= 0))
                sweep_recovery(w, cut == IMAGE_KILL ? disk_after_kill(d, &image) : disk_of(&image), f, point, seed,
                               &made, at);
        }
        disk_trace_clear(&made);
        image_clear(&image);
    }
}

static void sweep(struct sweep *w)
{
    struct disk *d = disk_new();
    struct facts f = {0};
    struct note why = {{0}};
    uint32_t n = 0;
    f.chain = scene_chain(w->plan->nodes);
    for (uint32_t i = 0; i < w->trace.n; i++) {
        disk_step(d, &w->trace.ops[i]);
        if (!facts_add(&f, &w->trace.ops[i], &why)) {
            failed(w, "the reference run", why.text);
            break;
        }
        bool is_point = i + 1 < w->trace.n && w->trace.ops[i + 1].kind != DISK_MARK;
        if (!is_point || n++ % w->o->every != 0 || (n - 1) / w->o->every % w->o->workers != w->worker)
            continue;
        if (w->o->point >= 0 && (uint32_t)w->o->point != i)
            continue;
        __atomic_fetch_add(&w->tally->points, 1, __ATOMIC_RELAXED);
        sweep_point(w, d, &f, i);
    }
    facts_clear(&f);
    disk_free(d);
}

/* -- processes -- */

static int wait_for(pid_t child)
{
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    return status;
}

/* Processes of their own, since LevelDB's thread does not survive a fork. */
static void work(const struct options *o, const struct plan *plan, struct tally *tally, const char *path,
                 unsigned worker)
{
    struct sweep w = {.o = o, .plan = plan, .tally = tally, .worker = worker};
    snprintf(w.dir, sizeof w.dir, "%s/%s.%u", o->scratch, plan->name, worker);
    snprintf(w.home, sizeof w.home, "%s/home", w.dir);
    CHECK(mkdir(w.dir, 0700) == 0);
    w.seen = mem_array(TRIED_MAX, sizeof *w.seen);
    disk_trace_load(&w.trace, path);
    if (o->without)
        leave_out(o->without, &w.trace);
    sweep(&w);
    disk_trace_clear(&w.trace);
    free(w.seen);
    fflush(NULL);
    _exit(0);
}

static bool run_plan(const struct options *o, const struct plan *plan, struct tally *tally)
{
    char path[600];
    pid_t children[WORKERS_MAX];
    snprintf(path, sizeof path, "%s/%s.trace", o->scratch, plan->name);
    children[0] = fork();
    if (children[0] == 0) {
        record(plan, o->scratch, path);
        _exit(0);
    }
    if (wait_for(children[0]) != 0) {
        printf("  %s: the reference run failed\n", plan->name);
        return false;
    }
    for (unsigned i = 0; i < o->workers; i++)
        if ((children[i] = fork()) == 0)
            work(o, plan, tally, path, i);
    for (unsigned i = 0; i < o->workers; i++)
        if (wait_for(children[i]) != 0) {
            printf("  %s: a process died at %s\n", plan->name, tally->at[i]);
            tally->failed++;
        }
    printf("%s: %" PRIu64 " points, %" PRIu64 " disks; in recoveries %" PRIu64 " points, %" PRIu64
           " disks; failed: %" PRIu64 "\n",
           plan->name, tally->points, tally->images, tally->deep_points, tally->deep_images, tally->failed);
    fflush(stdout);
    return tally->failed == 0;
}

/* In a process of its own, like every run. */
static void faults_work(const struct options *o, const char *scene, struct tally *tally)
{
    char dir[600], home[640], path[600];
    snprintf(dir, sizeof dir, "%s/%s", o->scratch, scene);
    snprintf(home, sizeof home, "%s/home", dir);
    snprintf(path, sizeof path, "%s/alone.trace", o->scratch);
    CHECK(mkdir(dir, 0700) == 0);
    struct faults f = {.dir = dir, .home = home, .every = o->every};
    if (strcmp(scene, "full") == 0) {
        faults_full(&f);
        faults_small_disk(&f);
    } else if (strcmp(scene, "files") == 0) {
        faults_files(&f);
    } else {
        struct disk_trace t = {0};
        struct disk *d = disk_new();
        struct image image;
        disk_trace_load(&t, path);
        uint32_t end = t.n;
        while (end > 0 && t.ops[end - 1].kind != DISK_SYNC) /* of the last vote: in the middle of a height */
            end--;
        t.n = end;
        for (uint32_t i = 0; i < t.n; i++)
            disk_step(d, &t.ops[i]);
        image_make(&image, d, IMAGE_KILL, 0);
        faults_flips(&f, &image, &t);
        image_clear(&image);
        disk_free(d);
    }
    tally->points = f.tried;
    tally->failed = f.failed;
    fflush(NULL);
    _exit(0);
}

static bool run_faults(const struct options *o, const char *scene, struct tally *tally)
{
    char path[600];
    snprintf(path, sizeof path, "%s/alone.trace", o->scratch);
    pid_t child = fork();
    if (child == 0) {
        if (access(path, R_OK) != 0)
            record(&plans[0], o->scratch, path);
        _exit(0);
    }
    bool ok = wait_for(child) == 0;
    if (ok && (child = fork()) == 0)
        faults_work(o, scene, tally);
    ok = ok && wait_for(child) == 0 && tally->failed == 0;
    printf("%s: %" PRIu64 " tried; failed: %" PRIu64 "%s\n", scene, tally->points, tally->failed,
           ok || tally->failed ? "" : ", and its process died");
    return ok;
}

static void usage(void)
{
    fprintf(stderr, "crash [--scene NAME] [--every N] [--deep N] [--without WHAT] [--cut NAME] [--workers N] [--point "
                    "N [--then N]]\n"
                    "  every N-th point, and behind it every N-th of its recovery (--deep 0: none); what they mean "
                    "stands at the head "
                    "of crash.c\n");
    exit(3);
}

static void parse(struct options *o, int argc, char **argv)
{
    *o = (struct options){.every = 1, .deep = 1, .workers = 2, .point = -1, .then = -1};
    for (int i = 1; i < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1];
        if (!value)
            usage();
        if (strcmp(name, "--scene") == 0)
            o->scene = value;
        else if (strcmp(name, "--without") == 0)
            o->without = value;
        else if (strcmp(name, "--cut") == 0)
            o->cut = value;
        else if (strcmp(name, "--every") == 0)
            o->every = (uint32_t)strtoul(value, NULL, 10);
        else if (strcmp(name, "--deep") == 0)
            o->deep = (uint32_t)strtoul(value, NULL, 10);
        else if (strcmp(name, "--workers") == 0)
            o->workers = (uint32_t)strtoul(value, NULL, 10);
        else if (strcmp(name, "--point") == 0)
            o->point = strtol(value, NULL, 10);
        else if (strcmp(name, "--then") == 0)
            o->then = strtol(value, NULL, 10);
        else
            usage();
    }
    if (o->every == 0 || o->workers == 0 || o->workers > WORKERS_MAX)
        usage();
    if (o->point >= 0)
        o->workers = 1;
}

int main(int argc, char **argv)
{
    struct options o;
    bool ok = true;
    parse(&o, argc, argv);
    log_open(LOG_DEBUG, scenes_log, NULL, NULL);
    if (access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 1); /* many small files, and no sync is real */
    char *scratch = test_dir_new();
    snprintf(o.scratch, sizeof o.scratch, "%s", scratch);
    static const char *const scenes[] = {"alone", "four", "files", "full", "flips"};
    for (size_t i = 0; i < sizeof scenes / sizeof *scenes; i++) {
        if (o.scene ? strcmp(o.scene, scenes[i]) != 0 : o.without && i >= PLANS_N)
            continue;
        struct tally *tally = mmap(NULL, sizeof *tally, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        CHECK(tally != MAP_FAILED);
        ok = (i < PLANS_N ? run_plan(&o, &plans[i], tally) : run_faults(&o, scenes[i], tally)) && ok;
        munmap(tally, sizeof *tally);
    }
    test_dir_remove(scratch);
    if (o.without)
        printf("without %s: %s\n", o.without, ok ? "NOTHING WAS FOUND, this sweep is blind" : "found, as it must be");
    return ok == !o.without ? 0 : 1;
}
