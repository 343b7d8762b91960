/* The command's cache directory. */
#include "cli/cache.h"

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/merkle_file.h"
#include "inference/worker_proto.h"

#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define CACHE_MB_DEFAULT 32768u
#define ROOTS_MAX        256 /* files remembered */
#define ROOTS_BYTES_MAX  (ROOTS_MAX * 256u)
#define YOUNG_S          2

/* False: nothing is kept. */
static bool cache_dir(struct buf *dir)
{
    const char *set = getenv("KITH_CACHE"), *cache = getenv("XDG_CACHE_HOME"), *user = getenv("HOME");
    if (set && strcmp(set, "off") == 0)
        return false;
    if (set && *set)
        buf_add_text(dir, set);
    else if (cache && *cache == '/')
        buf_add_format(dir, "%s/kith", cache);
    else if (user && *user == '/')
        buf_add_format(dir, "%s/.cache/kith", user);
    return dir->n > 0;
}

static uint64_t cap_bytes(struct note *note)
{
    const char *set = getenv("KITH_CACHE_MB");
    if (!set || !*set)
        return (uint64_t)CACHE_MB_DEFAULT << 20;
    char *end;
    unsigned long long mb = strtoull(set, &end, 10);
    if (*set >= '0' && *set <= '9' && !*end && mb <= UINT32_MAX)
        return (uint64_t)mb << 20;
    note_set(note, ERR_USAGE, "KITH_CACHE_MB is \"%.60s\": a number of MiB is needed; nothing is kept", set);
    return 0;
}

/* -- roots -- */

/* What a file must still be for its root to be taken from a line that begins so. */
static void identify(const struct stat *st, char out[160])
{
    snprintf(out, 160, "%ju %ju %jd %jd.%09ld %jd.%09ld ", (uintmax_t)st->st_dev, (uintmax_t)st->st_ino,
             (intmax_t)st->st_size, (intmax_t)st->st_mtim.tv_sec, st->st_mtim.tv_nsec, (intmax_t)st->st_ctim.tv_sec,
             st->st_ctim.tv_nsec);
}

/* A line: identity, root, a checksum of both, so that a damaged line is no line. */
static void add_line(struct buf *out, const char *identity, const struct hash *root)
{
    char hex[2 * HASH_SIZE + 1];
    size_t start = out->n;
    hex_put(hex, root->b, HASH_SIZE);
    buf_add_format(out, "%s%s", identity, hex);
    struct hash sum = hash_once(HASH_FILE, out->p + start, out->n - start);
    hex_put(hex, sum.b, HASH_SIZE);
    buf_add_format(out, " %.16s\n", hex);
}

static bool read_line(const char *line, size_t n, const char *identity, struct hash *root)
{
    size_t front = strlen(identity);
    struct buf again = {0};
    char hex[2 * HASH_SIZE + 1];
    if (n < front + 2 * HASH_SIZE || memcmp(line, identity, front) != 0)
        return false;
    memcpy(hex, line + front, 2 * HASH_SIZE);
    hex[2 * HASH_SIZE] = 0;
    if (!hex_get(hex, root->b, HASH_SIZE))
        return false;
    add_line(&again, identity, root);
    bool is_whole = again.n == n + 1 && memcmp(again.p, line, n) == 0;
    buf_clear(&again);
    return is_whole;
}

static bool find_root(const struct buf *lines, const char *identity, struct hash *root)
{
    for (size_t at = 0; at < lines->n;) {
        const char *line = (const char *)lines->p + at, *end = memchr(line, '\n', lines->n - at);
        if (!end)
            return false;
        if (read_line(line, (size_t)(end - line), identity, root))
            return true;
        at += (size_t)(end - line) + 1;
    }
    return false;
}

/* In front of the others, as many as are kept. */
static void remember(const char *path, const struct buf *lines, const char *identity, const struct hash *root)
{
    struct buf out = {0};
    struct note ignored;
    add_line(&out, identity, root);
    size_t at = 0;
    for (unsigned n = 1; at < lines->n && n < ROOTS_MAX; n++) {
        const char *end = memchr(lines->p + at, '\n', lines->n - at);
        if (!end)
            break;
        at = (size_t)((const uint8_t *)end - lines->p) + 1;
    }
    buf_add(&out, lines->p, at);
    (void)!file_write(path, 0600, bytes_of_buf(&out), &ignored); /* then it is hashed again next time */
    buf_clear(&out);
}

static unsigned count_processors(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return n < 1 ? 1 : n > (int)THREADS_MAX ? THREADS_MAX : (unsigned)n;
}

static enum err hash_file(int fd, struct stat *st, bool *is_settled, struct hash *root, struct note *note)
{
    char before[160], after[160];
    struct stat later;
    time_t now = time(NULL);
    identify(st, before);
    enum err e = merkle_root_of_file(fd, count_processors(), root, note);
    if (e == ERR_OK && fstat(fd, &later) == 0)
        identify(&later, after);
    *is_settled = e == ERR_OK && strcmp(before, after) == 0 && now - st->st_ctim.tv_sec > YOUNG_S;
    return e;
}

/* Nothing, where it is no file: a pipe would be waited for. */
static void read_roots(const char *path, struct buf *lines)
{
    int fd;
    uint64_t size;
    struct note ignored;
    if (file_open_regular(path, &fd, &size, &ignored) != ERR_OK)
        return;
    close(fd);
    if (file_read(path, ROOTS_BYTES_MAX, lines, &ignored) != ERR_OK)
        buf_reset(lines);
}

enum err cache_root(int fd, struct hash *root, struct note *note)
{
    struct stat st;
    struct note ignored;
    struct buf path = {0}, lines = {0};
    char identity[160];
    bool is_settled;
    if (fstat(fd, &st) != 0)
        return note_set(note, ERR_IO, "the model's file cannot be examined");
    identify(&st, identity);
    bool may_keep = cache_dir(&path) && file_make_dir(buf_text(&path), &ignored) == ERR_OK;
    buf_add_text(&path, "/roots");
    if (may_keep)
        read_roots(buf_text(&path), &lines);
    enum err e = ERR_OK;
    if (!find_root(&lines, identity, root)) {
        e = hash_file(fd, &st, &is_settled, root, note);
        if (is_settled && may_keep)
            remember(buf_text(&path), &lines, identity, root);
    }
    buf_clear(&path);
    buf_clear(&lines);
    return e;
}

/* -- packed weights -- */

void cache_pack(const struct hash *root, uint64_t model_bytes, struct keep_file *f, struct note *note)
{
    struct buf dir = {0}, name = {0};
    char hex[2 * HASH_SIZE + 1];
    *f = (struct keep_file){.fd = -1};
    note->text[0] = 0;
    hex_put(hex, root->b, HASH_SIZE);
    buf_add_format(&name, "%s-%d.pack", hex, WIRE_PACK_VERSION);
    uint64_t cap = cap_bytes(note);
    if (cap > 0 && cache_dir(&dir)) {
        buf_add_text(&dir, "/packs");
        enum err e = keep_open(buf_text(&dir), cap, buf_text(&name), model_bytes, f, note);
        if (e == ERR_BUSY || e == ERR_LIMIT)
            note->text[0] = 0; /* neither is anything to worry about */
    }
    buf_clear(&dir);
    buf_clear(&name);
}
