/* Disks and what is left of them. */
#include "tests/crash/image.h"

#include "base/file.h"
#include "base/mem.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR     512
#define INODE_DIR  UINT32_MAX
#define INODE_NONE (UINT32_MAX - 1) /* the name goes away */

/* A write or a cut that is not synced. */
struct change {
    uint64_t when; /* counts the calls */
    uint64_t at;
    bool is_cut;
    struct bytes bytes; /* borrowed from the trace */
};

struct inode {
    struct buf safe, now;
    struct change *changes;
    uint32_t changes_n, changes_room;
};

/* Sets a name; `from` also goes away with it (a rename). */
struct naming {
    uint64_t when;
    char *path, *from;
    uint32_t inode;
};

struct namings {
    struct naming *at;
    uint32_t n, room;
};

struct disk {
    struct inode *inodes;
    uint32_t inodes_n, inodes_room;
    struct namings safe, now; /* maps: at most one naming a path */
    struct namings pending;   /* of all directories, in order */
    uint64_t when;
};

static const char *const cut_names[] = {"kill", "both", "data", "names", "torn", "holes", "random"};

const char *image_cut_name(enum image_cut cut)
{
    return cut_names[cut];
}

/* -- names -- */

static struct naming *namings_add(struct namings *list, const char *path, const char *from, uint32_t inode)
{
    if (list->n == list->room) {
        list->room = list->room ? 2 * list->room : 32;
        list->at = mem_resize(list->at, list->room, sizeof *list->at);
    }
    struct naming *n = &list->at[list->n++];
    *n = (struct naming){0, mem_string(path), from ? mem_string(from) : NULL, inode};
    return n;
}

static void naming_remove(struct namings *list, uint32_t i)
{
    free(list->at[i].path);
    free(list->at[i].from);
    memmove(&list->at[i], &list->at[i + 1], (list->n - i - 1) * sizeof *list->at);
    list->n--;
}

static void namings_clear(struct namings *list)
{
    while (list->n)
        naming_remove(list, list->n - 1);
    free(list->at);
    *list = (struct namings){0};
}

static void name_remove(struct namings *map, const char *path)
{
    for (uint32_t i = 0; i < map->n; i++)
        if (strcmp(map->at[i].path, path) == 0) {
            naming_remove(map, i);
            return;
        }
}

static uint32_t name_get(const struct namings *map, const char *path)
{
    for (uint32_t i = 0; i < map->n; i++)
        if (strcmp(map->at[i].path, path) == 0)
            return map->at[i].inode;
    return INODE_NONE;
}

static void name_apply(struct namings *map, const struct naming *n)
{
    name_remove(map, n->path);
    if (n->from)
        name_remove(map, n->from);
    if (n->inode != INODE_NONE)
        namings_add(map, n->path, NULL, n->inode);
}

static bool is_in(const char *path, const char *dir)
{
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;
    return strlen(dir) == n && strncmp(path, dir, n) == 0;
}

static void name_change(struct disk *d, const char *path, const char *from, uint32_t inode)
{
    struct naming *n = namings_add(&d->pending, path, from, inode);
    n->when = d->when;
    name_apply(&d->now, n);
}

static void sync_names(struct disk *d, const char *dir)
{
    for (uint32_t i = 0; i < d->pending.n;)
        if (is_in(d->pending.at[i].path, dir)) {
            name_apply(&d->safe, &d->pending.at[i]);
            naming_remove(&d->pending, i);
        } else {
            i++;
        }
}

/* -- bytes -- */

static void resize(struct buf *b, size_t n)
{
    if (n > b->n) {
        buf_reserve(b, n - b->n);
        memset(b->p + b->n, 0, n - b->n);
    }
    b->n = n;
}

static void copy(struct buf *to, const struct buf *from)
{
    buf_reset(to);
    buf_add(to, from->p ? from->p : (const uint8_t *)"", from->n);
}

static void put(struct buf *b, uint64_t at, struct bytes bytes)
{
    if (at + bytes.n > b->n)
        resize(b, at + bytes.n);
    memcpy(b->p + at, bytes.p, bytes.n);
}

static void change_apply(struct buf *b, const struct change *c)
{
    if (c->is_cut)
        resize(b, c->at);
    else
        put(b, c->at, c->bytes);
}

static uint64_t next_random(uint64_t *s)
{
    uint64_t z = (*s += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* The size is as if all of it had been written. */
static void change_apply_holes(struct buf *b, const struct change *c, uint64_t *seed)
{
    if (c->is_cut) {
        resize(b, c->at);
        return;
    }
    if (c->at + c->bytes.n > b->n)
        resize(b, c->at + c->bytes.n);
    for (uint64_t i = 0; i < c->bytes.n;) {
        uint64_t sector = SECTOR - (c->at + i) % SECTOR;
        uint64_t n = c->bytes.n - i < sector ? c->bytes.n - i : sector;
        if (next_random(seed) & 1)
            memcpy(b->p + c->at + i, c->bytes.p + i, n);
        i += n;
    }
}

static void change_apply_torn(struct buf *b, const struct change *c, uint64_t keep)
{
    struct change part = *c;
    if (c->is_cut)
        return;
    part.bytes.n = keep;
    change_apply(b, &part);
}

/* Of what was written before `until`. */
static void some_bytes(struct buf *out, const struct inode *f, enum image_cut cut, uint64_t until, uint64_t *seed)
{
    uint32_t n = 0;
    copy(out, cut == IMAGE_KILL ? &f->now : &f->safe);
    while (n < f->changes_n && f->changes[n].when < until)
        n++;
    for (uint32_t i = 0; cut == IMAGE_NAMES && i < n; i++)
        change_apply(out, &f->changes[i]);
    if (n == 0)
        return;
    if (cut == IMAGE_RANDOM)
        cut = next_random(seed) & 1 ? IMAGE_HOLES : IMAGE_TORN;
    else
        *seed = *seed * 2 + 1;
    if (cut == IMAGE_HOLES)
        for (uint32_t i = 0; i < n; i++)
            change_apply_holes(out, &f->changes[i], seed);
    if (cut == IMAGE_TORN) {
        uint32_t whole = next_random(seed) & 1 ? n - 1 : (uint32_t)(next_random(seed) % n);
        for (uint32_t i = 0; i < whole; i++)
            change_apply(out, &f->changes[i]);
        uint64_t size = f->changes[whole].bytes.n;
        change_apply_torn(out, &f->changes[whole], size ? next_random(seed) % size : 0);
    }
}

static struct inode *inode_at(struct disk *d, uint32_t i)
{
    while (d->inodes_n <= i) {
        if (d->inodes_n == d->inodes_room) {
            d->inodes_room = d->inodes_room ? 2 * d->inodes_room : 64;
            d->inodes = mem_resize(d->inodes, d->inodes_room, sizeof *d->inodes);
        }
        d->inodes[d->inodes_n++] = (struct inode){0};
    }
    return &d->inodes[i];
}

static void change_add(struct disk *d, const struct disk_op *op)
{
    struct inode *f = inode_at(d, op->inode);
    if (f->changes_n == f->changes_room) {
        f->changes_room = f->changes_room ? 2 * f->changes_room : 8;
        f->changes = mem_resize(f->changes, f->changes_room, sizeof *f->changes);
    }
    struct change *c = &f->changes[f->changes_n++];
    *c = (struct change){d->when, op->at, op->kind == DISK_CUT, bytes_of_buf(&op->bytes)};
    change_apply(&f->now, c);
}

static void sync_bytes(struct disk *d, uint32_t inode)
{
    struct inode *f = inode_at(d, inode);
    for (uint32_t i = 0; i < f->changes_n; i++)
        change_apply(&f->safe, &f->changes[i]);
    f->changes_n = 0;
}

/* -- disks -- */

struct disk *disk_new(void)
{
    return mem_new(sizeof(struct disk));
}

struct disk *disk_of(const struct image *image)
{
    struct disk *d = disk_new();
    uint32_t inodes = 0;
    for (uint32_t i = 0; i < image->n; i++) {
        const struct image_file *f = &image->files[i];
        uint32_t inode = f->is_dir ? INODE_DIR : inodes++;
        namings_add(&d->safe, f->path, NULL, inode);
        namings_add(&d->now, f->path, NULL, inode);
        if (f->is_dir)
            continue;
        copy(&inode_at(d, inode)->safe, &f->bytes);
        copy(&inode_at(d, inode)->now, &f->bytes);
    }
    return d;
}

static void inode_copy(struct inode *to, const struct inode *from)
{
    copy(&to->safe, &from->safe);
    copy(&to->now, &from->now);
    to->changes_n = to->changes_room = from->changes_n;
    to->changes = mem_array(from->changes_n + 1, sizeof *to->changes);
    if (from->changes_n)
        memcpy(to->changes, from->changes, from->changes_n * sizeof *to->changes);
}

/* Numbers of the old disk's inodes in the new one: 1 more than the number, 0 for none yet. */
struct renumbering {
    struct disk *to;
    const struct disk *from;
    uint32_t *numbers, next;
};

static uint32_t renumber(struct renumbering *r, uint32_t old)
{
    if (old == INODE_DIR || old == INODE_NONE)
        return old;
    if (r->numbers[old] == 0) {
        inode_copy(inode_at(r->to, r->next), &r->from->inodes[old]);
        r->numbers[old] = ++r->next;
    }
    return r->numbers[old] - 1;
}

struct disk *disk_after_kill(const struct disk *d, const struct image *image)
{
    struct disk *k = disk_new();
    struct renumbering r = {k, d, mem_array(d->inodes_n + 1, sizeof(uint32_t)), 0};
    for (uint32_t i = 0; i < image->n; i++) {
        const char *path = image->files[i].path;
        namings_add(&k->now, path, NULL, renumber(&r, name_get(&d->now, path)));
    }
    uint32_t named = r.next;
    for (uint32_t i = 0; i < d->safe.n; i++)
        namings_add(&k->safe, d->safe.at[i].path, NULL, renumber(&r, d->safe.at[i].inode));
    for (uint32_t i = 0; i < d->pending.n; i++) {
        const struct naming *n = &d->pending.at[i];
        namings_add(&k->pending, n->path, n->from, renumber(&r, n->inode))->when = n->when;
    }
    CHECK(r.next <= named + DISK_RESERVED);
    k->when = d->when;
    free(r.numbers);
    struct image same;
    image_make(&same, k, IMAGE_KILL, 0);
    struct hash a = image_hash(image), b = image_hash(&same);
    CHECK(hash_equal(&a, &b));
    image_clear(&same);
    return k;
}

void disk_free(struct disk *d)
{
    for (uint32_t i = 0; i < d->inodes_n; i++) {
        buf_clear(&d->inodes[i].safe);
        buf_clear(&d->inodes[i].now);
        free(d->inodes[i].changes);
    }
    free(d->inodes);
    namings_clear(&d->safe);
    namings_clear(&d->now);
    namings_clear(&d->pending);
    free(d);
}

void disk_step(struct disk *d, const struct disk_op *op)
{
    d->when++;
    switch (op->kind) {
    case DISK_MAKE:
        (void)inode_at(d, op->inode);
        name_change(d, op->path, NULL, op->inode);
        break;
    case DISK_MAKE_DIR:
        name_change(d, op->path, NULL, INODE_DIR);
        break;
    case DISK_RENAME:
        name_change(d, op->to, op->path, name_get(&d->now, op->path));
        break;
    case DISK_REMOVE:
        name_change(d, op->path, NULL, INODE_NONE);
        break;
    case DISK_WRITE:
    case DISK_CUT:
        change_add(d, op);
        break;
    case DISK_SYNC:
        sync_bytes(d, op->inode);
        break;
    case DISK_SYNC_DIR:
        sync_names(d, op->path);
        break;
    case DISK_MARK:
        break;
    }
}

/* -- images -- */

static int compare_files(const void *a, const void *b)
{
    return strcmp(((const struct image_file *)a)->path, ((const struct image_file *)b)->path);
}

/* Are all directories above it there? */
static bool is_reachable(const struct namings *map, const char *path)
{
    char *above = mem_string(path);
    bool ok = true;
    for (char *slash; ok && (slash = strrchr(above, '/'));) {
        *slash = 0;
        ok = name_get(map, above) == INODE_DIR;
    }
    free(above);
    return ok;
}

static void dir_of(char dir[256], const char *path)
{
    const char *slash = strrchr(path, '/');
    snprintf(dir, 256, "%.*s", slash ? (int)(slash - path) : 0, path);
}

/* When a directory's names stopped reaching the disk. What is written into its files later and not synced does not
 * either where names are lost. */
static uint64_t stops_at(const struct disk *d, const char *path, enum image_cut cut, uint64_t seed)
{
    char dir[256];
    uint64_t first = UINT64_MAX, in_dir = 0;
    if (cut != IMAGE_BOTH && cut != IMAGE_NAMES && cut != IMAGE_RANDOM)
        return UINT64_MAX;
    dir_of(dir, path);
    for (uint32_t i = d->pending.n; i-- > 0;)
        if (is_in(d->pending.at[i].path, dir)) {
            first = d->pending.at[i].when;
            in_dir++;
        }
    if (cut != IMAGE_RANDOM || in_dir == 0)
        return first;
    for (const char *c = dir; *c; c++)
        seed = seed * 31 + (uint8_t)*c;
    uint64_t skip = next_random(&seed) % (in_dir + 1); /* so many names stay */
    for (uint32_t i = 0; i < d->pending.n; i++)
        if (is_in(d->pending.at[i].path, dir) && skip-- == 0)
            return d->pending.at[i].when;
    return UINT64_MAX;
}

static void some_names(struct namings *map, const struct disk *d, enum image_cut cut, uint64_t seed)
{
    for (uint32_t i = 0; i < d->safe.n; i++)
        namings_add(map, d->safe.at[i].path, NULL, d->safe.at[i].inode);
    for (uint32_t i = 0; i < d->pending.n; i++)
        if (d->pending.at[i].when < stops_at(d, d->pending.at[i].path, cut, seed))
            name_apply(map, &d->pending.at[i]);
}

void image_make(struct image *image, const struct disk *d, enum image_cut cut, uint64_t seed)
{
    struct namings map = {0};
    uint64_t s = seed * 1000003 + (uint64_t)cut;
    some_names(&map, d, cut, seed);
    *image = (struct image){.files = mem_array(map.n + 1, sizeof *image->files)};
    for (uint32_t i = 0; i < map.n; i++) {
        const struct naming *n = &map.at[i];
        if (!is_reachable(&map, n->path))
            continue;
        struct image_file *f = &image->files[image->n++];
        *f = (struct image_file){.path = mem_string(n->path), .is_dir = n->inode == INODE_DIR};
        if (!f->is_dir)
            some_bytes(&f->bytes, &d->inodes[n->inode], cut, stops_at(d, n->path, cut, seed), &s);
    }
    qsort(image->files, image->n, sizeof *image->files, compare_files);
    namings_clear(&map);
}

void image_clear(struct image *image)
{
    for (uint32_t i = 0; i < image->n; i++) {
        free(image->files[i].path);
        buf_clear(&image->files[i].bytes);
    }
    free(image->files);
    *image = (struct image){0};
}

struct hash image_hash(const struct image *image)
{
    struct buf all = {0};
    for (uint32_t i = 0; i < image->n; i++) {
        const struct image_file *f = &image->files[i];
        buf_add(&all, f->path, strlen(f->path) + 1);
        buf_add(&all, &f->bytes.n, sizeof f->bytes.n);
        buf_add(&all, f->bytes.p ? f->bytes.p : (const uint8_t *)"", f->bytes.n);
    }
    struct hash h = hash_once(HASH_FILE, all.p ? all.p : (const uint8_t *)"", all.n);
    buf_clear(&all);
    return h;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    return ftw->level > 0 ? remove(path) : 0;
}

void image_write(const struct image *image, const char *dir)
{
    char path[2048];
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    CHECK(mkdir(dir, 0700) == 0 || access(dir, W_OK) == 0);
    for (uint32_t i = 0; i < image->n; i++) {
        const struct image_file *f = &image->files[i];
        snprintf(path, sizeof path, "%s/%s", dir, f->path);
        if (f->is_dir) {
            CHECK(mkdir(path, 0700) == 0);
            continue;
        }
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        CHECK(fd >= 0 && write(fd, f->bytes.p, f->bytes.n) == (ssize_t)f->bytes.n);
        close(fd);
    }
}

uint32_t image_paths(const struct image *image, char ***paths)
{
    uint32_t n = 0;
    *paths = mem_array(image->n + 1, sizeof **paths);
    for (uint32_t i = 0; i < image->n; i++)
        if (!image->files[i].is_dir)
            (*paths)[n++] = image->files[i].path;
    return n;
}
