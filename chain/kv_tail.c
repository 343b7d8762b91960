/* LevelDB's log format (doc/log_format.md of its source), as far as it is needed to find a torn end; its manifests have
 * it, too:
 *
 *     log    = blocks of 32 KiB
 *     block  = records, then fewer than 7 zeros
 *     record = u32 checksum | u16 length | u8 type | bytes       checksum = masked CRC-32C of type and bytes
 *     type   = 1 whole batch, 2 its first part, 3 a middle one, 4 the last */
#include "chain/kv_tail.h"

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define BLOCK   32768u
#define HEADER  7u
#define SECTOR  512u
#define LOG_MAX (1u << 30) /* far over what a log grows to */

enum { TYPE_WHOLE = 1, TYPE_FIRST, TYPE_MIDDLE, TYPE_LAST };

static uint32_t crc_table[256];

static void crc_table_make(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++)
            c = (c >> 1) ^ (UINT32_C(0x82f63b78) & (0u - (c & 1)));
        crc_table[i] = c;
    }
}

static uint32_t crc32c(const uint8_t *p, size_t n)
{
    uint32_t crc = ~UINT32_C(0);
    while (n--)
        crc = (crc >> 8) ^ crc_table[(crc ^ *p++) & 0xff];
    return ~crc;
}

/* Does its checksum say that the record has n bytes? */
static bool is_record(const uint8_t *p, size_t n)
{
    uint32_t crc = crc32c(p + 6, n + 1), masked = ((crc >> 15) | (crc << 17)) + UINT32_C(0xa282ead8);
    return masked == load_le32(p);
}

/* Size of the record at `at`, 0 if there is no whole one. */
static size_t record_at(struct bytes log, size_t at)
{
    size_t left = BLOCK - at % BLOCK;
    if (left < HEADER || log.n - at < HEADER)
        return 0;
    const uint8_t *p = log.p + at;
    size_t n = (size_t)p[4] | (size_t)p[5] << 8;
    if (p[6] < TYPE_WHOLE || p[6] > TYPE_LAST || HEADER + n > left || HEADER + n > log.n - at)
        return 0;
    return is_record(p, n) ? HEADER + n : 0;
}

static bool begins_batch(struct bytes log, size_t at)
{
    uint8_t type = log.p[at + 6];
    return type == TYPE_WHOLE || type == TYPE_FIRST;
}

/* Is there a sector of which everything from `at` on is zero? */
static bool has_hole(struct bytes log, size_t at, size_t end)
{
    for (size_t next; at < end; at = next) {
        next = (at / SECTOR + 1) * SECTOR < end ? (at / SECTOR + 1) * SECTOR : end;
        size_t i = at;
        while (i < next && log.p[i] == 0)
            i++;
        if (i == next)
            return true;
    }
    return false;
}

static bool has_batch_behind(struct bytes log, size_t at)
{
    for (; at + HEADER < log.n; at++)
        if (begins_batch(log, at) && record_at(log, at))
            return true;
    return false;
}

/* Did the bad record at `at` arrive in parts? Its extent is what its head says, or its block. */
static bool is_torn(struct bytes log, size_t at)
{
    size_t left = BLOCK - at % BLOCK, there = log.n - at;
    if (there < HEADER)
        return true;
    size_t n = HEADER + ((size_t)log.p[at + 4] | (size_t)log.p[at + 5] << 8);
    if (n <= left && n > there) /* it ends behind the file; or it is the length that is wrong */
        return !is_record(log.p + at, there - HEADER) && !has_batch_behind(log, at + 1);
    n = n <= left ? n : left;
    return has_hole(log, at, at + (n < there ? n : there));
}

enum kv_tail kv_tail_find(struct bytes log, size_t *where)
{
    *where = 0; /* the end of the last whole batch */
    crc_table_make();
    for (size_t at = 0, n; at < log.n; at += n) {
        if (BLOCK - at % BLOCK < HEADER) {
            n = BLOCK - at % BLOCK;
            continue;
        }
        n = record_at(log, at);
        if (n == 0)
            return is_torn(log, at) ? KV_TAIL_TORN : KV_TAIL_DAMAGED;
        if (log.p[at + 6] == TYPE_WHOLE || log.p[at + 6] == TYPE_LAST)
            *where = at + n;
    }
    return KV_TAIL_WHOLE;
}

static enum err cut_at(const char *path, size_t at, struct note *note)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    enum err e = ERR_OK;
    if (fd < 0 || ftruncate(fd, (off_t)at) != 0 || fsync(fd) != 0)
        e = note_set(note, ERR_IO, "cannot cut the torn end off %s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return e;
}

static enum err mend_one(const char *path, unsigned *cut, struct note *note)
{
    struct buf log = {0};
    size_t at;
    enum err e = file_read(path, LOG_MAX, &log, note);
    enum kv_tail tail = e == ERR_OK ? kv_tail_find(bytes_of_buf(&log), &at) : KV_TAIL_WHOLE;
    buf_clear(&log);
    if (tail == KV_TAIL_DAMAGED)
        return note_set(
            note, ERR_CORRUPT,
            "%s is damaged behind byte %zu: restore its directory from a copy, or remove that and let the node "
            "fetch the chain again",
            path, at);
    *cut += tail == KV_TAIL_TORN;
    return tail == KV_TAIL_TORN ? cut_at(path, at, note) : e;
}

/* Logs, and the manifest that is in force: one that was begun and never came into force may be in any state. */
static bool is_looked_at(const char *name, const char *current)
{
    size_t n = strlen(name);
    return (n > 4 && strcmp(name + n - 4, ".log") == 0) || (n > 0 && strcmp(name, current) == 0);
}

/* The name that the file CURRENT holds; "" if it does not. */
static void current_read(const char *dir, char name[64])
{
    struct buf path = {0}, text = {0};
    buf_add_format(&path, "%s/CURRENT", dir);
    name[0] = 0;
    if (file_read(buf_text(&path), 63, &text, NULL) == ERR_OK) {
        memcpy(name, buf_text(&text), text.n + 1);
        name[strcspn(name, "\n")] = 0;
    }
    buf_clear(&path);
    buf_clear(&text);
}

enum err kv_tail_mend(const char *dir, unsigned *cut, struct note *note)
{
    enum err e = ERR_OK;
    const struct dirent *one;
    char current[64];
    *cut = 0;
    DIR *d = opendir(dir);
    if (!d)
        return errno == ENOENT ? ERR_OK : note_set(note, ERR_IO, "cannot list %s: %s", dir, strerror(errno));
    current_read(dir, current);
    while (e == ERR_OK && (one = readdir(d))) {
        struct buf path = {0};
        buf_add_format(&path, "%s/%s", dir, one->d_name);
        if (is_looked_at(one->d_name, current))
            e = mend_one(buf_text(&path), cut, note);
        buf_clear(&path);
    }
    closedir(d);
    return e;
}
