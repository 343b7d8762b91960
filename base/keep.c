/* The directory of files that can be made again. */
#include "base/keep.h"

#include "base/file.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define NEW_SUFFIX ".new"
#define TRIES      4 /* at a file that others finish or remove in between */

static bool is_new_name(const char *name)
{
    size_t n = strlen(name), suffix = strlen(NEW_SUFFIX);
    return n > suffix && strcmp(name + n - suffix, NEW_SUFFIX) == 0;
}

static char *joined(const char *dir, const char *name, const char *suffix)
{
    struct buf b = {0};
    buf_add_format(&b, "%s/%s%s", dir, name, suffix);
    char *path = mem_string(buf_text(&b));
    buf_clear(&b);
    return path;
}

static char *new_path(const struct keep_file *f)
{
    struct buf b = {0};
    buf_add_format(&b, "%s" NEW_SUFFIX, f->path);
    char *path = mem_string(buf_text(&b));
    buf_clear(&b);
    return path;
}

/* -- room -- */

struct entry {
    char *path;
    uint64_t bytes;
    struct timespec used;
};

static int compare_used(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->used.tv_sec != y->used.tv_sec)
        return x->used.tv_sec < y->used.tv_sec ? -1 : 1;
    return (x->used.tv_nsec > y->used.tv_nsec) - (x->used.tv_nsec < y->used.tv_nsec);
}

/* Begun by somebody who is no more: nobody has it locked. */
static void remove_stale(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        unlink(path);
    close(fd);
}

static size_t list(const char *dir, struct entry **out)
{
    struct entry *entries = NULL;
    size_t n = 0, room = 0;
    DIR *d = opendir(dir);
    const struct dirent *one;
    while (d && (one = readdir(d))) {
        struct stat st;
        char *path = joined(dir, one->d_name, "");
        if (lstat(path, &st) != 0 || !S_ISREG(st.st_mode)) {
            free(path);
            continue;
        }
        if (is_new_name(one->d_name)) {
            remove_stale(path);
            free(path);
            continue;
        }
        if (n == room) {
            room = room ? 2 * room : 16;
            entries = mem_resize(entries, room, sizeof *entries);
        }
        entries[n++] = (struct entry){path, (uint64_t)st.st_size, st.st_mtim};
    }
    if (d)
        closedir(d);
    *out = entries;
    return n;
}

/* Under the cap with `more` bytes beside what is there, the least recently used first. */
static void make_room(const char *dir, uint64_t cap, uint64_t more)
{
    struct entry *entries;
    size_t n = list(dir, &entries);
    uint64_t sum = more;
    for (size_t i = 0; i < n; i++)
        sum += entries[i].bytes;
    if (n)
        qsort(entries, n, sizeof *entries, compare_used);
    for (size_t i = 0; i < n; i++) {
        if (sum > cap && unlink(entries[i].path) == 0)
            sum -= entries[i].bytes;
        free(entries[i].path);
    }
    free(entries);
}

/* -- one file -- */

static bool is_same_file(int fd, const char *path)
{
    struct stat a, b;
    return fstat(fd, &a) == 0 && lstat(path, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* ERR_STATE: somebody was faster, look again. */
static enum err begin(struct keep_file *f, struct note *note)
{
    char *path = new_path(f);
    enum err e = ERR_OK;
    f->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (f->fd < 0)
        e = note_set(note, ERR_IO, "cannot create %.200s: %s", path, strerror(errno));
    else if (flock(f->fd, LOCK_EX | LOCK_NB) != 0)
        e = note_set(note, ERR_BUSY, "%.200s is being made by another process", path);
    else if (!is_same_file(f->fd, path))
        e = ERR_STATE;
    else if (ftruncate(f->fd, 0) != 0)
        e = note_set(note, ERR_IO, "cannot empty %.200s: %s", path, strerror(errno));
    free(path);
    f->is_new = true;
    return e;
}

static enum err open_or_begin(struct keep_file *f, struct note *note)
{
    struct stat st;
    f->is_new = false;
    f->fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK); /* a pipe is refused below, not waited for */
    if (f->fd < 0 && errno == ENOENT)
        return begin(f, note);
    if (f->fd < 0)
        return note_set(note, ERR_IO, "cannot open %.200s: %s", f->path, strerror(errno));
    if (fstat(f->fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022))
        return note_set(note, ERR_AUTH, "%.200s is not used: it is not a file that only you can write", f->path);
    futimens(f->fd, NULL); /* used now; on a file system that does not take it, it only goes earlier */
    return ERR_OK;
}

static void close_file(struct keep_file *f)
{
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
}

enum err keep_open(const char *dir, uint64_t cap, const char *name, uint64_t bytes, struct keep_file *f,
                   struct note *note)
{
    *f = (struct keep_file){.fd = -1, .cap = cap};
    if (bytes > cap)
        return note_set(note, ERR_LIMIT, "%llu MiB are more than the %llu MiB that may be kept in %.150s",
                        (unsigned long long)(bytes >> 20), (unsigned long long)(cap >> 20), dir);
    enum err e = file_make_dir(dir, note);
    if (e != ERR_OK)
        return e;
    f->path = joined(dir, name, "");
    e = ERR_STATE;
    for (int i = 0; i < TRIES && e == ERR_STATE; i++) {
        close_file(f);
        e = open_or_begin(f, note);
    }
    if (e == ERR_OK && f->is_new)
        make_room(dir, cap, bytes);
    if (e == ERR_STATE)
        e = note_set(note, ERR_BUSY, "%.200s is being made by others", f->path);
    if (e != ERR_OK) {
        close_file(f);
        free(f->path);
        *f = (struct keep_file){.fd = -1};
    }
    return e;
}

enum err keep_finish(struct keep_file *f, struct note *note)
{
    char *path = new_path(f);
    CHECK(f->is_new);
    enum err e = ERR_OK;
    if (fsync(f->fd) != 0 || rename(path, f->path) != 0)
        e = note_set(note, errno == ENOSPC ? ERR_FULL : ERR_IO, "cannot keep %.200s: %s", f->path, strerror(errno));
    free(path);
    if (e != ERR_OK) {
        keep_clear(f);
        return e;
    }
    f->is_new = false;
    char *dir = mem_string(f->path);
    *strrchr(dir, '/') = 0;
    make_room(dir, f->cap, 0);
    free(dir);
    return ERR_OK;
}

void keep_remove(struct keep_file *f)
{
    if (f->path && !f->is_new && is_same_file(f->fd, f->path))
        unlink(f->path);
    keep_clear(f);
}

void keep_clear(struct keep_file *f)
{
    if (f->path && f->is_new) {
        char *path = new_path(f);
        if (is_same_file(f->fd, path))
            unlink(path);
        free(path);
    }
    close_file(f);
    free(f->path);
    *f = (struct keep_file){.fd = -1};
}
