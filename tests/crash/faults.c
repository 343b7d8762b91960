/* Full disks and changed bits. */
#include "tests/crash/faults.h"

#include "base/log.h"
#include "base/mem.h"
#include "tests/crash/facts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCKS     8
#define POSITIONS  160 /* in each file */
#define SHOWN_MAX  5
#define SMALL_DISK "size=44m" /* a few megabytes over what the store keeps free */
#define STUCK_MS   20000
#define GOES_ON_MS 120000

static unsigned odd_lines, stuck_lines; /* since the last look */

static void take_line(void *arg, enum log_level level, const char *line)
{
    (void)arg;
    odd_lines += level >= LOG_ODD;
    stuck_lines += strstr(line, " stuck ") && strstr(line, "make room");
    if (getenv("KITH_TEST_LOG"))
        fprintf(stderr, "%s\n", line);
    CHECK(level != LOG_BROKEN);
}

static void lines_forget(void)
{
    log_open(LOG_DEBUG, take_line, NULL, NULL);
    odd_lines = stuck_lines = 0;
}

static void fail(struct faults *f, const char *what, const char *why)
{
    if (f->failed++ < SHOWN_MAX)
        printf("  %s: %s\n", what, why);
}

/* A line that a person can act upon. */
static bool has_remedy(const struct note *note)
{
    static const char *const remedies[] = {"make room",   "restore",     "let the node fetch",
                                           "put it back", "start again", "give a genesis"};
    for (size_t i = 0; i < sizeof remedies / sizeof *remedies; i++)
        if (strstr(note->text, remedies[i]))
            return true;
    return false;
}

static struct scene *scene_alone(const struct faults *f)
{
    struct scene_options o = {.nodes = 1, .seed = 1, .home = f->home, .elsewhere = f->dir};
    return scene_new(&o);
}

/* What the trace says agrees with itself and with what was known. */
static bool agrees(struct facts *known, const struct disk_trace *t, struct note *why)
{
    bool ok = true;
    for (uint32_t i = 0; i < t->n && ok; i++)
        ok = facts_add(known, &t->ops[i], why);
    return ok;
}

/* -- full -- */

/* All that was told is there, while nothing can be written. */
static bool reads_are_served(struct scene *s)
{
    struct buf block = {0};
    uint64_t height = ledger_info(scene_ledger(s, 0)).height;
    bool ok = true;
    for (uint64_t h = 1; h <= height && ok; h++) {
        buf_reset(&block);
        ok = scene_block(s, 0, h, &block, NULL) == ERR_OK && block.n > 0;
    }
    buf_clear(&block);
    return ok;
}

/* Pays until the disk is full or all is paid; then there is room. NULL, or what went wrong. */
static const char *run_full(struct scene *s, bool *was_full)
{
    for (uint64_t b = 0; b < BLOCKS; b++) {
        uint64_t height = ledger_info(scene_ledger(s, 0)).height;
        lines_forget();
        scene_pay(s, 0, b + 1);
        if (scene_run(s, height + 2, STUCK_MS))
            continue;
        *was_full = true;
        if (!scene_is_stuck(s) || stuck_lines != 1)
            return "does not say, or not once, that it is stuck";
        if (!reads_are_served(s))
            return "does not serve what it has";
        disk_fail(0, 0);
        if (!scene_run(s, height + 2, GOES_ON_MS) || scene_is_stuck(s))
            return "does not go on when there is room";
    }
    return NULL;
}

/* One disk that is full from the k-th call on; false when there were fewer calls. */
static bool full_at(struct faults *f, uint64_t k)
{
    struct image nothing = {0};
    struct disk_trace t = {0};
    struct facts known = {.chain = scene_chain(1)};
    struct note note = {{0}}, why = {{0}};
    bool was_full = false;
    char what[64];
    snprintf(what, sizeof what, "full at call %" PRIu64, k);
    image_write(&nothing, f->dir);
    disk_record(f->dir, &t, NULL, 0);
    disk_fail(k, ENOSPC);
    struct scene *s = scene_alone(f);
    enum err e = scene_start(s, 0, &note);
    const char *wrong = NULL;
    if (e != ERR_OK) {
        was_full = true;
        wrong = e == ERR_FULL && has_remedy(&note) ? NULL : note.text;
        disk_fail(0, 0);
        if (!wrong && scene_start(s, 0, &note) != ERR_OK)
            wrong = note.text;
    }
    wrong = wrong ? wrong : run_full(s, &was_full);
    bool is_over = disk_taken() < k && !was_full;
    disk_fail(0, 0);
    if (!wrong && !agrees(&known, &t, &why))
        wrong = why.text;
    if (!wrong) {
        scene_stop(s, 0);
        if (scene_start(s, 0, &note) != ERR_OK)
            wrong = note.text;
        else if (!facts_check(&known, s, &why))
            wrong = why.text;
    }
    if (wrong)
        fail(f, what, wrong);
    f->tried++;
    scene_free(s);
    disk_stop();
    disk_trace_clear(&t);
    facts_clear(&known);
    return !is_over;
}

void faults_full(struct faults *f)
{
    for (uint64_t k = 1; full_at(f, k); k += f->every)
        continue;
}

void faults_small_disk(struct faults *f)
{
    struct note note = {{0}};
    struct buf filler = {0};
    char path[1100];
    image_write(&(struct image){0}, f->dir);
    CHECK(mkdir(f->home, 0700) == 0);
    if (mount("tmpfs", f->home, "tmpfs", 0, SMALL_DISK) != 0) {
        printf("skip: a small disk cannot be mounted here (%s)\n", strerror(errno));
        return;
    }
    struct scene *s = scene_alone(f);
    const char *wrong = scene_start(s, 0, &note) == ERR_OK ? NULL : note.text;
    scene_pay(s, 0, 1);
    if (!wrong && !scene_run(s, 2, GOES_ON_MS))
        wrong = "does not begin";
    snprintf(path, sizeof path, "%s/filler", f->home);
    FILE *file = fopen(path, "wb");
    buf_reserve(&filler, 1u << 20);
    memset(filler.p, 1, 1u << 20);
    while (file && fwrite(filler.p, 1, 1u << 20, file) == 1u << 20)
        continue;
    if (file)
        fclose(file);
    lines_forget();
    scene_pay(s, 0, 2);
    if (!wrong && scene_run(s, 3, STUCK_MS))
        wrong = "goes on though the disk is full";
    if (!wrong && (!scene_is_stuck(s) || stuck_lines != 1 || !reads_are_served(s)))
        wrong = "does not say that it is stuck, or serves nothing";
    unlink(path);
    if (!wrong && !scene_run(s, 4, GOES_ON_MS))
        wrong = "does not go on when there is room";
    if (wrong)
        fail(f, "a small disk", wrong);
    f->tried++;
    scene_free(s);
    buf_clear(&filler);
    CHECK(umount(f->home) == 0);
}

/* -- flips -- */

enum damage { DAMAGE_BIT, DAMAGE_BYTE, DAMAGE_SECTOR, DAMAGE_CUT, DAMAGES };
static const char *const damage_names[] = {"bit", "byte", "sector", "cut"};

static void damage(struct buf *b, size_t at, enum damage kind)
{
    switch (kind) {
    case DAMAGE_BIT:
        b->p[at] ^= (uint8_t)(1u << at % 8);
        break;
    case DAMAGE_BYTE:
        b->p[at] ^= 0xff;
        break;
    case DAMAGE_SECTOR:
        for (size_t i = at / 512 * 512; i < b->n && i < (at / 512 + 1) * 512; i++)
            b->p[i] ^= 0x5a;
        break;
    case DAMAGE_CUT:
        b->n = at;
        break;
    case DAMAGES:
        break;
    }
}

/* Blocks are as they were told, or reading them is an error: NULL, or what went wrong. `may_miss`: of a manifest that
 * ends early nobody can tell that it was longer; LevelDB then drops the tables that were added since. */
static const char *blocks_are_true(const struct facts *known, struct scene *s, bool may_miss)
{
    const char *wrong = NULL;
    for (uint32_t i = 0; i < known->blocks_n && !wrong; i++) {
        enum err e = facts_block(&known->blocks[i], s);
        if (e == ERR_NOT_FOUND && !may_miss)
            wrong = "a block that was told is missing, and nothing says so";
        else if (e != ERR_OK && e != ERR_CORRUPT && e != ERR_IO && e != ERR_NOT_FOUND)
            wrong = "another block is believed";
    }
    return wrong;
}

static const char *run_damaged(struct scene *s, const struct facts *known, bool may_miss, struct note *note)
{
    enum err e = scene_start(s, 0, note);
    if (e != ERR_OK)
        return has_remedy(note) ? NULL : note->text;
    struct ledger_info info = ledger_info(scene_ledger(s, 0));
    const struct fact_block *last = &known->blocks[known->blocks_n - 1];
    if (info.height < last->height)
        return odd_lines ? NULL : "a lower height is believed, and nothing says so";
    if (info.height == last->height && !hash_equal(&info.state_root, &last->root))
        return "another state is believed";
    const char *wrong = blocks_are_true(known, s, may_miss);
    if (wrong)
        return wrong;
    scene_run(s, info.height + 1, 2000);
    scene_pay(s, 0, 1);
    if (!scene_run(s, info.height + 2, 60000) && odd_lines == 0)
        return "does not go on, and nothing says why";
    return NULL;
}

static void flip_one(struct faults *f, const struct image *image, const struct facts *known, uint32_t file, size_t at,
                     enum damage kind)
{
    struct disk_trace t = {0};
    struct note note = {{0}}, why = {{0}};
    struct image_file *target = &image->files[file];
    struct buf keep = {0};
    char what[400], **paths;
    buf_add(&keep, target->bytes.p, target->bytes.n);
    damage(&target->bytes, at, kind);
    snprintf(what, sizeof what, "%s at %zu of %s", damage_names[kind], at, target->path);
    image_write(image, f->dir);
    target->bytes.n = 0;
    buf_add(&target->bytes, keep.p, keep.n);
    buf_clear(&keep);
    uint32_t n = image_paths(image, &paths);
    lines_forget();
    disk_record(f->dir, &t, paths, n);
    struct scene *s = scene_alone(f);
    scene_set_now(s, 100000);
    bool may_miss = kind == DAMAGE_CUT && strstr(target->path, "MANIFEST");
    const char *wrong = run_damaged(s, known, may_miss, &note);
    scene_free(s);
    disk_stop();
    free(paths);
    struct facts all = facts_copy(known);
    if (!wrong && !agrees(&all, &t, &why) && strstr(why.text, "DOUBLE"))
        wrong = why.text;
    if (wrong)
        fail(f, what, wrong);
    f->tried++;
    facts_clear(&all);
    disk_trace_clear(&t);
}

static bool is_of_no_use(const char *path)
{
    return strstr(path, "/LOG") || strstr(path, "/LOCK");
}

void faults_flips(struct faults *f, const struct image *image, const struct disk_trace *trace)
{
    struct facts known = {.chain = scene_chain(1)};
    struct note why = {{0}};
    CHECK(agrees(&known, trace, &why));
    for (uint32_t i = 0; i < image->n; i++) {
        size_t n = image->files[i].bytes.n, step = n / POSITIONS * f->every + 1;
        if (is_of_no_use(image->files[i].path))
            continue;
        for (size_t at = 0; at < n; at += step + at % 3)
            for (int kind = 0; kind < DAMAGES; kind++)
                flip_one(f, image, &known, i, at, (enum damage)kind);
    }
    facts_clear(&known);
}
