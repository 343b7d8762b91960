/* Leaf files, stamps and copies. */
#include "node/blobs/blob_disk.h"

#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define MAGIC        UINT64_C(0x315f736576616c6b) /* "klaves_1" */
#define COPY_AT_ONCE (1u << 20)

void blob_head_put(uint8_t out[BLOB_HEAD_SIZE], const struct blob_head *h)
{
    store_le64(out, MAGIC);
    store_le64(out + 8, h->size);
    store_le64(out + 16, h->time_ns);
    store_le64(out + 24, h->inode);
}

bool blob_head_get(const uint8_t in[BLOB_HEAD_SIZE], struct blob_head *h)
{
    *h = (struct blob_head){load_le64(in + 8), load_le64(in + 16), load_le64(in + 24)};
    return load_le64(in) == MAGIC && h->size <= BLOB_SIZE_MAX;
}

enum err blob_leaves_read(struct host *host, const char *path, struct blob_head *h, struct hash **leaves,
                          struct note *note)
{
    struct host_file *f;
    uint8_t head[BLOB_HEAD_SIZE];
    *leaves = NULL;
    enum err e = host_file_open(host, path, HOST_READ, &f, note);
    if (e != ERR_OK)
        return e;
    e = host_file_get(f, 0, head, sizeof head);
    if (e != ERR_OK || !blob_head_get(head, h)) {
        host_file_close(f);
        return note_set(note, ERR_FORMAT, "%s is no list of leaves", path);
    }
    uint64_t n = merkle_leaves(h->size), there = (host_file_size(f) - sizeof head) / HASH_SIZE;
    *leaves = mem_array(n ? n : 1, sizeof **leaves);
    e = host_file_get(f, sizeof head, *leaves, (size_t)((there < n ? there : n) * HASH_SIZE));
    host_file_close(f);
    if (e == ERR_OK)
        return ERR_OK;
    free(*leaves);
    *leaves = NULL;
    return note_set(note, e, "cannot read %s: %s", path, err_text(e));
}

enum err blob_leaves_write(struct host *host, const char *path, const struct blob_head *h, const struct hash *leaves,
                           struct note *note)
{
    struct buf out = {0};
    uint8_t head[BLOB_HEAD_SIZE];
    blob_head_put(head, h);
    buf_add(&out, head, sizeof head);
    buf_add(&out, leaves, (size_t)merkle_leaves(h->size) * sizeof *leaves);
    enum err e = host_write(host, path, 0600, bytes_of_buf(&out), note);
    buf_clear(&out);
    return e;
}

enum err blob_stamp(const char *path, struct blob_head *h, struct note *note)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return file_failed(note, "examine", path);
    h->size = (uint64_t)st.st_size;
    h->time_ns = (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec;
    h->inode = (uint64_t)st.st_ino;
    return ERR_OK;
}

enum err blob_seal(const char *path, struct note *note)
{
    return chmod(path, 0400) == 0 ? ERR_OK : file_failed(note, "make read-only", path);
}

enum err blob_unseal(const char *path, struct note *note)
{
    return chmod(path, 0600) == 0 ? ERR_OK : file_failed(note, "make writable", path);
}

/* -- copying in -- */

static enum err copy_bytes(int in, int out, const char *from, const char *to, struct note *note)
{
    struct stat st;
    struct statvfs room_left;
    if (ioctl(out, FICLONE, in) == 0)
        return ERR_OK;
    if (fstat(in, &st) == 0 && fstatvfs(out, &room_left) == 0 &&
        (uint64_t)st.st_size / room_left.f_frsize >= (uint64_t)room_left.f_bavail) {
        errno = ENOSPC; /* said before hours of copying, and before others find the disk full */
        return file_failed(note, "write", to);
    }
    uint8_t *room = mem_new(COPY_AT_ONCE);
    enum err e = ERR_OK;
    while (e == ERR_OK) {
        ssize_t n = read(in, room, COPY_AT_ONCE);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            e = file_failed(note, "read", from);
        if (n <= 0)
            break;
        for (ssize_t done = 0; done < n && e == ERR_OK;) {
            ssize_t put = write(out, room + done, (size_t)(n - done));
            if (put < 0 && errno == EINTR)
                continue;
            if (put <= 0)
                e = file_failed(note, "write", to);
            else
                done += put;
        }
    }
    free(room);
    return e;
}

static enum err hash_file(int fd, const char *path, uint64_t *size, struct hash **leaves, struct note *note)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return file_failed(note, "examine", path);
    *size = (uint64_t)st.st_size;
    if (*size > BLOB_SIZE_MAX)
        return note_set(note, ERR_LIMIT, "%s is larger than a blob may be (1 TiB)", path);
    uint64_t n = merkle_leaves(*size);
    *leaves = mem_array(n ? n : 1, sizeof **leaves);
    uint8_t leaf[LEAF_SIZE];
    for (uint64_t i = 0; i < n; i++) {
        uint32_t want = merkle_leaf_size(*size, i);
        for (uint32_t have = 0; have < want;) {
            ssize_t got = pread(fd, leaf + have, want - have, (off_t)(i * LEAF_SIZE + have));
            if (got < 0 && errno == EINTR)
                continue;
            if (got <= 0)
                return file_failed(note, "read", path);
            have += (uint32_t)got;
        }
        (*leaves)[i] = merkle_leaf_hash(leaf, want);
    }
    return ERR_OK;
}

enum err blob_copy(const char *from, const char *to, uint64_t *size, struct hash **leaves, struct note *note)
{
    int in;
    uint64_t ignored;
    *leaves = NULL;
    enum err e = file_open_regular(from, &in, &ignored, note);
    if (e != ERR_OK)
        return e;
    int out = open(to, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    e = out < 0 ? file_failed(note, "create", to) : copy_bytes(in, out, from, to, note);
    if (e == ERR_OK && (fchmod(out, 0400) != 0 || fsync(out) != 0))
        e = file_failed(note, "sync", to);
    if (e == ERR_OK)
        e = hash_file(out, to, size, leaves, note);
    close(in);
    if (out >= 0)
        close(out);
    if (e != ERR_OK) {
        if (out >= 0)
            unlink(to);
        free(*leaves);
        *leaves = NULL;
    }
    return e;
}
