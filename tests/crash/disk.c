/* The calls that change a disk, in place of the C library's. */
#include "tests/crash/disk.h"

#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FDS      4096
#define NO_INODE UINT32_MAX

struct name {
    char *path;
    uint32_t inode;
};

/* What a descriptor is: nothing of ours, a file under the root, or a directory under it. */
struct open_file {
    enum { OTHER, FILE_UNDER_ROOT, DIR_UNDER_ROOT } what;
    uint32_t inode;
    bool appends;
    char *path;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char root[1024];
static size_t root_n; /* 0: nothing is watched */
static struct disk_trace *trace;
static struct name *names;
static uint32_t names_n, names_room, inodes;
static struct open_file files[FDS];
static uint64_t fail_at, taken;
static int fail_with;

/* -- traces -- */

void disk_trace_clear(struct disk_trace *t)
{
    for (uint32_t i = 0; i < t->n; i++) {
        free(t->ops[i].path);
        free(t->ops[i].to);
        buf_clear(&t->ops[i].bytes);
    }
    free(t->ops);
    *t = (struct disk_trace){0};
}

static void put_text(struct buf *out, const char *text)
{
    uint32_t n = text ? (uint32_t)strlen(text) + 1 : 0;
    buf_add(out, &n, sizeof n);
    buf_add(out, text ? text : "", n);
}

void disk_trace_save(const struct disk_trace *t, const char *path)
{
    struct buf out = {0};
    for (uint32_t i = 0; i < t->n; i++) {
        const struct disk_op *o = &t->ops[i];
        uint64_t head[4] = {o->kind, o->inode, o->at, o->bytes.n};
        buf_add(&out, head, sizeof head);
        put_text(&out, o->path);
        put_text(&out, o->to);
        buf_add(&out, o->bytes.p ? o->bytes.p : (const uint8_t *)"", o->bytes.n);
    }
    CHECK(file_write(path, 0600, bytes_of_buf(&out), NULL) == ERR_OK);
    buf_clear(&out);
}

static char *get_text(const uint8_t **p)
{
    uint32_t n;
    memcpy(&n, *p, sizeof n);
    char *text = n ? mem_string((const char *)*p + sizeof n) : NULL;
    *p += sizeof n + n;
    return text;
}

static struct disk_op *op_add(struct disk_trace *t, enum disk_kind kind)
{
    if (t->n == t->room) {
        t->room = t->room ? 2 * t->room : 1024;
        t->ops = mem_resize(t->ops, t->room, sizeof *t->ops);
    }
    t->ops[t->n] = (struct disk_op){.kind = kind};
    return &t->ops[t->n++];
}

void disk_trace_load(struct disk_trace *t, const char *path)
{
    struct buf all = {0};
    CHECK(file_read(path, SIZE_MAX, &all, NULL) == ERR_OK);
    for (const uint8_t *p = all.p; p < all.p + all.n;) {
        uint64_t head[4];
        memcpy(head, p, sizeof head);
        p += sizeof head;
        struct disk_op *o = op_add(t, (enum disk_kind)head[0]);
        o->inode = (uint32_t)head[1];
        o->at = head[2];
        o->path = get_text(&p);
        o->to = get_text(&p);
        buf_add(&o->bytes, p, head[3]);
        p += head[3];
    }
    buf_clear(&all);
}

/* -- what is watched; everything below is under the lock -- */

/* The path relative to the root, or NULL if it is not under it. */
static const char *under_root(const char *path)
{
    if (root_n == 0 || strncmp(path, root, root_n) != 0)
        return NULL;
    if (path[root_n] == 0)
        return "";
    return path[root_n] == '/' ? path + root_n + 1 : NULL;
}

static struct name *name_find(const char *path)
{
    for (uint32_t i = 0; i < names_n; i++)
        if (strcmp(names[i].path, path) == 0)
            return &names[i];
    return NULL;
}

static void name_add(const char *path, uint32_t inode)
{
    if (names_n == names_room) {
        names_room = names_room ? 2 * names_room : 64;
        names = mem_resize(names, names_room, sizeof *names);
    }
    names[names_n++] = (struct name){mem_string(path), inode};
}

static void name_drop(const char *path)
{
    struct name *n = name_find(path);
    if (!n)
        return;
    free(n->path);
    *n = names[--names_n];
}

static struct disk_op *note_op(enum disk_kind kind, const char *path, uint32_t inode)
{
    static struct disk_op ignored;
    struct disk_op *o = trace ? op_add(trace, kind) : &ignored;
    o->inode = inode;
    if (trace && path)
        o->path = mem_string(path);
    return o;
}

/* A call that takes room: is it this one's turn to fail? */
static bool must_fail(void)
{
    taken++;
    if (fail_at == 0 || taken < fail_at)
        return false;
    errno = fail_with;
    return true;
}

void disk_record(const char *at, struct disk_trace *t, char *const *paths, uint32_t n)
{
    pthread_mutex_lock(&lock);
    CHECK(strlen(at) < sizeof root);
    memcpy(root, at, strlen(at) + 1);
    root_n = strlen(at);
    trace = t;
    while (names_n)
        free(names[--names_n].path);
    for (uint32_t i = 0; i < n; i++)
        name_add(paths[i], i);
    inodes = n + DISK_RESERVED;
    pthread_mutex_unlock(&lock);
}

void disk_stop(void)
{
    pthread_mutex_lock(&lock);
    trace = NULL;
    root_n = 0;
    pthread_mutex_unlock(&lock);
}

void disk_mark(uint32_t what, struct bytes said)
{
    pthread_mutex_lock(&lock);
    struct disk_op *o = note_op(DISK_MARK, NULL, what);
    if (trace)
        buf_add(&o->bytes, said.p, said.n);
    pthread_mutex_unlock(&lock);
}

void disk_fail(uint64_t k, int e)
{
    pthread_mutex_lock(&lock);
    fail_at = k;
    fail_with = e;
    taken = 0;
    pthread_mutex_unlock(&lock);
}

uint64_t disk_taken(void)
{
    pthread_mutex_lock(&lock);
    uint64_t n = taken;
    pthread_mutex_unlock(&lock);
    return n;
}

/* -- the calls -- */

static void opened(int fd, const char *path, int flags)
{
    struct stat st;
    CHECK(fd < FDS && fstat(fd, &st) == 0);
    struct open_file *f = &files[fd];
    free(f->path);
    *f = (struct open_file){.what = S_ISDIR(st.st_mode) ? DIR_UNDER_ROOT : FILE_UNDER_ROOT,
                            .appends = flags & O_APPEND,
                            .path = mem_string(path),
                            .inode = NO_INODE};
    if (f->what == DIR_UNDER_ROOT)
        return;
    struct name *n = name_find(path);
    if (n) {
        f->inode = n->inode;
        if (flags & O_TRUNC)
            note_op(DISK_CUT, NULL, f->inode)->at = 0;
    } else if (flags & O_CREAT) {
        f->inode = inodes++;
        name_add(path, f->inode);
        note_op(DISK_MAKE, path, f->inode);
    }
}

static int watched_open(const char *path, int flags, mode_t mode)
{
    const char *rest = under_root(path);
    if (rest && (flags & O_CREAT) && !name_find(rest) && must_fail())
        return -1;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    if (fd >= 0 && rest)
        opened(fd, rest, flags);
    return fd;
}

#define MODE_OF(flags, last)                                                                                           \
    mode_t mode = 0;                                                                                                   \
    if ((flags) & (O_CREAT | O_TMPFILE)) {                                                                             \
        va_list args;                                                                                                  \
        va_start(args, last);                                                                                          \
        mode = va_arg(args, mode_t);                                                                                   \
        va_end(args);                                                                                                  \
    }

int open(const char *path, int flags, ...)
{
    MODE_OF(flags, flags)
    pthread_mutex_lock(&lock);
    int fd = watched_open(path, flags, mode);
    pthread_mutex_unlock(&lock);
    return fd;
}

int open64(const char *path, int flags, ...)
{
    MODE_OF(flags, flags)
    return open(path, flags, mode);
}

int close(int fd)
{
    pthread_mutex_lock(&lock);
    if (fd >= 0 && fd < FDS) {
        free(files[fd].path);
        files[fd] = (struct open_file){0};
    }
    int rc = (int)syscall(SYS_close, fd);
    pthread_mutex_unlock(&lock);
    return rc;
}

static struct open_file *watched(int fd)
{
    return root_n && fd >= 0 && fd < FDS && files[fd].what != OTHER ? &files[fd] : NULL;
}

static ssize_t watched_write(struct open_file *f, int fd, const void *p, size_t n, off_t at)
{
    if (must_fail()) {
        if (n < 2 || taken != fail_at) /* the first that fails still has room for half */
            return -1;
        n /= 2;
    }
    ssize_t put = at < 0 ? syscall(SYS_write, fd, p, n) : syscall(SYS_pwrite64, fd, p, n, at);
    return f && put >= 0 ? put : -1;
}

static ssize_t write_at(int fd, const void *p, size_t n, off_t at)
{
    pthread_mutex_lock(&lock);
    struct open_file *f = watched(fd);
    if (!f || f->inode == NO_INODE) {
        pthread_mutex_unlock(&lock);
        return at < 0 ? syscall(SYS_write, fd, p, n) : syscall(SYS_pwrite64, fd, p, n, at);
    }
    off_t from = at >= 0 ? at : (off_t)syscall(SYS_lseek, fd, 0, f->appends ? SEEK_END : SEEK_CUR);
    ssize_t put = watched_write(f, fd, p, n, at);
    if (put > 0 && trace) {
        struct disk_op *o = note_op(DISK_WRITE, NULL, f->inode);
        o->at = (uint64_t)from;
        buf_add(&o->bytes, p, (size_t)put);
    }
    pthread_mutex_unlock(&lock);
    return put;
}

ssize_t write(int fd, const void *p, size_t n)
{
    return write_at(fd, p, n, -1);
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
    return write_at(fd, p, n, at);
}

ssize_t pwrite64(int fd, const void *p, size_t n, off_t at)
{
    return write_at(fd, p, n, at);
}

static int cut(int fd, off_t size)
{
    pthread_mutex_lock(&lock);
    struct open_file *f = watched(fd);
    int rc = (int)syscall(SYS_ftruncate, fd, size);
    if (f && rc == 0)
        note_op(DISK_CUT, NULL, f->inode)->at = (uint64_t)size;
    pthread_mutex_unlock(&lock);
    return rc;
}

int ftruncate(int fd, off_t size)
{
    return cut(fd, size);
}

int ftruncate64(int fd, off_t size)
{
    return cut(fd, size);
}

/* Noted, not done. A disk that fails the calls that take room fails this too: that is when many report it. */
static int sync_one(int fd, long call)
{
    int rc = 0;
    pthread_mutex_lock(&lock);
    struct open_file *f = watched(fd);
    if (!f)
        rc = (int)syscall(call, fd);
    else if (must_fail())
        rc = -1;
    else if (f->what == DIR_UNDER_ROOT)
        note_op(DISK_SYNC_DIR, f->path, 0);
    else
        note_op(DISK_SYNC, NULL, f->inode);
    pthread_mutex_unlock(&lock);
    return rc;
}

int fsync(int fd)
{
    return sync_one(fd, SYS_fsync);
}

int fdatasync(int fd)
{
    return sync_one(fd, SYS_fdatasync);
}

int rename(const char *from, const char *to)
{
    int rc = -1;
    pthread_mutex_lock(&lock);
    const char *a = under_root(from), *b = under_root(to);
    if (!(a && b && must_fail()))
        rc = (int)syscall(SYS_rename, from, to);
    if (rc == 0 && a && b) {
        struct name *n = name_find(a);
        uint32_t inode = n ? n->inode : NO_INODE;
        struct disk_op *o = note_op(DISK_RENAME, a, inode);
        if (trace)
            o->to = mem_string(b);
        name_drop(b);
        name_drop(a);
        name_add(b, inode);
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

int unlink(const char *path)
{
    pthread_mutex_lock(&lock);
    const char *a = under_root(path);
    int rc = (int)syscall(SYS_unlink, path);
    if (rc == 0 && a) {
        name_drop(a);
        note_op(DISK_REMOVE, a, 0);
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

int mkdir(const char *path, mode_t mode)
{
    int rc = -1;
    struct stat st;
    pthread_mutex_lock(&lock);
    const char *a = under_root(path);
    bool is_new = a && stat(path, &st) != 0;
    if (!(is_new && must_fail()))
        rc = (int)syscall(SYS_mkdir, path, mode);
    if (rc == 0 && a)
        note_op(DISK_MAKE_DIR, a, 0);
    pthread_mutex_unlock(&lock);
    return rc;
}
