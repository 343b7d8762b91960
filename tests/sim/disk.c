/* Files in memory with their pending writes. */
#include "tests/sim/disk.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

struct op {
    uint64_t at;
    bool is_cut;  /* to length `at` */
    bool is_lost; /* a sync failed on it */
    struct buf data;
};

struct sim_file {
    struct sim_file *next;
    struct sim_disk *disk;
    char *path;
    struct buf now, safe;
    struct op *ops; /* since the last sync */
    uint32_t ops_n, ops_room;
};

struct sim_disk {
    struct sim_file *files; /* in byte order of their paths */
    bool is_full;
    unsigned failing_syncs;
};

struct sim_disk *disk_new(void)
{
    return mem_new(sizeof(struct sim_disk));
}

static void ops_clear(struct sim_file *f)
{
    for (uint32_t i = 0; i < f->ops_n; i++)
        buf_clear(&f->ops[i].data);
    f->ops_n = 0;
}

static void file_free(struct sim_file *f)
{
    ops_clear(f);
    buf_clear(&f->now);
    buf_clear(&f->safe);
    free(f->ops);
    free(f->path);
    free(f);
}

void disk_free(struct sim_disk *d)
{
    while (d->files) {
        struct sim_file *f = d->files;
        d->files = f->next;
        file_free(f);
    }
    free(d);
}

void disk_fill(struct sim_disk *d, bool is_full)
{
    d->is_full = is_full;
}

bool disk_is_full(const struct sim_disk *d)
{
    return d->is_full;
}

void disk_fail_syncs(struct sim_disk *d, unsigned n)
{
    d->failing_syncs = n;
}

/* -- one write -- */

static void set_size(struct buf *b, size_t size)
{
    static const uint8_t zeros[4096];
    while (b->n < size)
        buf_add(b, zeros, size - b->n < sizeof zeros ? size - b->n : sizeof zeros);
    b->n = size;
}

static void apply_put(struct buf *b, uint64_t at, struct bytes data)
{
    if (b->n < at + data.n)
        set_size(b, at + data.n);
    if (data.n)
        memcpy(b->p + at, data.p, data.n);
}

static void apply(struct buf *b, const struct op *op)
{
    if (op->is_cut)
        set_size(b, op->at);
    else
        apply_put(b, op->at, bytes_of_buf(&op->data));
}

/* The last write that reached the platter before the power went. */
static void apply_torn(struct buf *b, const struct op *op, struct random *r)
{
    uint64_t end = op->at + op->data.n;
    if (op->is_cut || random_chance(r, 30))
        apply(b, op);
    else if (end > b->n && random_chance(r, 20))
        set_size(b, end); /* its length came, its bytes did not */
    else
        apply_put(b, op->at, bytes_of(op->data.p, random_below(r, op->data.n + 1)));
}

static void copy(struct buf *to, const struct buf *from)
{
    buf_reset(to);
    buf_add(to, from->p, from->n);
}

void disk_crash(struct sim_disk *d, struct random *r)
{
    for (struct sim_file *f = d->files; f; f = f->next) {
        uint32_t n = (uint32_t)random_below(r, f->ops_n + 1);
        for (uint32_t i = 0; i < n; i++) {
            if (f->ops[i].is_lost)
                continue;
            if (i + 1 == n)
                apply_torn(&f->safe, &f->ops[i], r);
            else
                apply(&f->safe, &f->ops[i]);
        }
        ops_clear(f);
        copy(&f->now, &f->safe);
    }
    d->failing_syncs = 0;
}

static struct op *op_add(struct sim_file *f)
{
    if (f->ops_n == f->ops_room) {
        f->ops_room = f->ops_room ? 2 * f->ops_room : 8;
        f->ops = mem_resize(f->ops, f->ops_room, sizeof *f->ops);
    }
    f->ops[f->ops_n] = (struct op){0};
    return &f->ops[f->ops_n++];
}

/* -- names -- */

struct sim_file *disk_find(struct sim_disk *d, const char *path)
{
    struct sim_file *f = d->files;
    while (f && strcmp(f->path, path) != 0)
        f = f->next;
    return f;
}

struct sim_file *disk_open(struct sim_disk *d, const char *path)
{
    struct sim_file *f = disk_find(d, path);
    if (f)
        return f;
    struct sim_file **at = &d->files;
    while (*at && strcmp((*at)->path, path) < 0)
        at = &(*at)->next;
    f = mem_new(sizeof *f);
    f->disk = d;
    f->path = mem_string(path);
    f->next = *at;
    *at = f;
    return f;
}

void disk_remove(struct sim_disk *d, const char *path)
{
    struct sim_file **at = &d->files;
    while (*at && strcmp((*at)->path, path) != 0)
        at = &(*at)->next;
    if (!*at)
        return;
    struct sim_file *gone = *at;
    *at = gone->next;
    file_free(gone);
}

void disk_rename(struct sim_disk *d, const char *from, const char *to)
{
    struct sim_file *f = disk_find(d, from);
    struct sim_file *target = disk_open(d, to);
    copy(&target->now, &f->now);
    copy(&target->safe, &f->safe);
    ops_clear(target);
    disk_remove(d, from);
}

enum err disk_write(struct sim_disk *d, const char *path, struct bytes content)
{
    if (d->is_full)
        return ERR_FULL;
    struct sim_file *f = disk_open(d, path);
    ops_clear(f);
    buf_reset(&f->safe);
    buf_add(&f->safe, content.p, content.n);
    copy(&f->now, &f->safe);
    return ERR_OK;
}

void disk_list(struct sim_disk *d, const char *dir, host_name_fn fn, void *arg)
{
    size_t n = strlen(dir);
    for (struct sim_file *f = d->files; f; f = f->next)
        if (strncmp(f->path, dir, n) == 0 && f->path[n] == '/' && !strchr(f->path + n + 1, '/'))
            fn(arg, f->path + n + 1);
}

/* -- files -- */

struct bytes file_content(const struct sim_file *f)
{
    return bytes_of_buf(&f->now);
}

/* What lies within the file needs no room. */
enum err file_put(struct sim_file *f, uint64_t at, const void *p, size_t n, struct random *r)
{
    bool has_room = !f->disk->is_full || at + n <= f->now.n;
    size_t taken = has_room ? n : (size_t)random_below(r, n);
    struct op *op = op_add(f);
    op->at = at;
    buf_add(&op->data, p, taken);
    apply(&f->now, op);
    return has_room ? ERR_OK : ERR_FULL;
}

enum err file_cut(struct sim_file *f, uint64_t size)
{
    struct op *op = op_add(f);
    op->is_cut = true;
    op->at = size;
    apply(&f->now, op);
    return ERR_OK;
}

enum err file_sync(struct sim_file *f)
{
    if (f->disk->failing_syncs > 0) {
        f->disk->failing_syncs--;
        for (uint32_t i = 0; i < f->ops_n; i++)
            f->ops[i].is_lost = true;
        return ERR_IO;
    }
    for (uint32_t i = 0; i < f->ops_n; i++)
        if (!f->ops[i].is_lost)
            apply(&f->safe, &f->ops[i]);
    ops_clear(f);
    return ERR_OK;
}
