/* Reading, replacing and mapping files. */
#include "base/file.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum err file_failed(struct note *note, const char *what, const char *path)
{
    int e = errno;
    enum err code = e == ENOENT || e == ENOTDIR  ? ERR_NOT_FOUND
                    : e == EEXIST                ? ERR_EXISTS
                    : e == ENOSPC || e == EDQUOT ? ERR_FULL
                                                 : ERR_IO;
    return note_set(note, code, "cannot %s %s: %s%s", what, path, strerror(e),
                    code == ERR_FULL ? ": make room on that disk" : "");
}

enum err file_read(const char *path, size_t max, struct buf *out, struct note *note)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return file_failed(note, "open", path);
    enum err e = ERR_OK;
    size_t start = out->n;
    for (;;) {
        buf_reserve(out, 65536);
        ssize_t n = read(fd, out->p + out->n, 65536);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            e = file_failed(note, "read", path);
        if (n <= 0)
            break;
        out->n += (size_t)n;
        if (out->n - start > max) {
            e = note_set(note, ERR_LIMIT, "%s is larger than the %zu bytes that are read of it", path, max);
            break;
        }
    }
    close(fd);
    if (e != ERR_OK)
        out->n = start;
    return e;
}

static bool write_all(int fd, struct bytes b)
{
    while (b.n) {
        ssize_t n = write(fd, b.p, b.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        b.p += n;
        b.n -= (size_t)n;
    }
    return true;
}

enum err file_sync_parent(const char *path, struct note *note)
{
    const char *slash = strrchr(path, '/');
    char *dir = mem_string(slash ? path : ".");
    if (slash)
        dir[slash == path ? 1 : slash - path] = 0;
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum err e = fd < 0 || fsync(fd) != 0 ? file_failed(note, "sync", dir) : ERR_OK;
    if (fd >= 0)
        close(fd);
    free(dir);
    return e;
}

/* A new file for what is to become `path`. One of that name is of a process that had our number, or of somebody who
 * waits for us to write into his. */
static enum err open_beside(const char *path, const char *temp, unsigned mode, int *fd, struct note *note)
{
    struct stat st;
    *fd = -1;
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return note_set(note, ERR_EXISTS, "%s is not a regular file: it is left as it is", path);
    unlink(temp);
    *fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    return *fd < 0 ? file_failed(note, "create", temp) : ERR_OK;
}

enum err file_write(const char *path, unsigned mode, struct bytes content, struct note *note)
{
    struct buf beside = {0};
    buf_add_format(&beside, "%s.%ld.new", path, (long)getpid());
    const char *temp = buf_text(&beside);
    int fd;
    enum err e = open_beside(path, temp, mode, &fd, note);
    if (e == ERR_OK && (!write_all(fd, content) || fsync(fd) != 0))
        e = file_failed(note, "write", temp);
    if (fd >= 0 && close(fd) != 0 && e == ERR_OK)
        e = file_failed(note, "close", temp);
    if (e == ERR_OK && rename(temp, path) != 0)
        e = file_failed(note, "rename over", path);
    if (e == ERR_OK)
        e = file_sync_parent(path, note);
    else if (fd >= 0)
        unlink(temp);
    buf_clear(&beside);
    return e;
}

/* One that is there may have been made by somebody who was killed before he synced its name. */
static enum err make_one_dir(const char *path, struct note *note)
{
    if (mkdir(path, 0700) == 0)
        return file_sync_parent(path, note);
    if (errno != EEXIST)
        return file_failed(note, "make the directory", path);
    enum err ignored = file_sync_parent(path, NULL); /* where we may not read the parent, we did not make this */
    (void)ignored;
    return ERR_OK;
}

enum err file_make_dir(const char *path, struct note *note)
{
    char *p = mem_string(path);
    enum err e = ERR_OK;
    for (char *c = p + 1; e == ERR_OK; c++) {
        if (*c != '/' && *c != 0)
            continue;
        char keep = *c;
        *c = 0;
        e = make_one_dir(p, note);
        *c = keep;
        if (keep == 0)
            break;
    }
    struct stat st;
    if (e == ERR_OK && (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)))
        e = note_set(note, ERR_EXISTS, "%s exists and is not a directory", path);
    free(p);
    return e;
}

enum err file_read_at(int fd, const char *path, void *p, size_t n, uint64_t at, struct note *note)
{
    uint8_t *to = p;
    while (n) {
        ssize_t got = pread(fd, to, n, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return file_failed(note, "read", path);
        if (got == 0)
            return note_set(note, ERR_IO, "%s became shorter while it was read", path);
        to += got;
        at += (uint64_t)got;
        n -= (size_t)got;
    }
    return ERR_OK;
}

int file_write_at(int fd, const void *p, size_t n, uint64_t at)
{
    const uint8_t *from = p;
    while (n) {
        ssize_t put = pwrite(fd, from, n, (off_t)at);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return put < 0 ? errno : EIO;
        from += put;
        at += (uint64_t)put;
        n -= (size_t)put;
    }
    return 0;
}

enum err file_open_regular(const char *path, int *fd, uint64_t *size, struct note *note)
{
    struct stat st;
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK); /* a pipe would wait for whoever writes into it */
    if (*fd < 0)
        return file_failed(note, "open", path);
    if (fstat(*fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size >= 0) {
        *size = (uint64_t)st.st_size;
        return ERR_OK;
    }
    close(*fd);
    *fd = -1;
    return note_set(note, ERR_FORMAT, "%s is not a regular file", path);
}
