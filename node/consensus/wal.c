/* The write-ahead log of consensus. */
#include "node/consensus/wal.h"

#include "base/hash.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define CHECKSUM_SIZE 8
#define FILE_MAX      (256u << 20) /* a height with many rounds of full blocks */

struct wal {
    struct host_file *file;
    uint64_t good;       /* bytes of whole entries in the file */
    bool is_torn;        /* behind them something else may stand */
    bool is_dirty;       /* something was written since the last sync */
    struct buf unsynced; /* the last of the `good` bytes, those that no sync has covered */
    struct buf pending;  /* entries that are not in the file */
};

/* Size of the whole entry at the front of `b`, 0 if there is none. */
static size_t entry_size(struct bytes b)
{
    if (b.n < 4 + CHECKSUM_SIZE)
        return 0;
    size_t n = load_le32(b.p);
    if (n > b.n - 4 - CHECKSUM_SIZE)
        return 0;
    struct hash sum = hash_once(HASH_FILE, b.p + 4, n);
    return memcmp(sum.b, b.p + 4 + n, CHECKSUM_SIZE) == 0 ? 4 + n + CHECKSUM_SIZE : 0;
}

static uint64_t replay(struct bytes all, wal_entry_fn fn, void *arg)
{
    uint64_t at = 0;
    for (size_t n; at < all.n && (n = entry_size(bytes_of(all.p + at, all.n - at))) != 0; at += n)
        if (!fn(arg, bytes_of(all.p + at + 4, n - 4 - CHECKSUM_SIZE)))
            break;
    return at;
}

enum err wal_open(struct host *host, const char *path, wal_entry_fn fn, void *arg, struct wal **out, struct note *note)
{
    struct host_file *file;
    struct buf all = {0};
    enum err e = host_file_open(host, path, HOST_APPEND, &file, note);
    if (e != ERR_OK)
        return e;
    e = host_read(host, path, FILE_MAX, &all, note);
    if (e == ERR_OK && all.n > 0 && (e = host_file_sync(file)) != ERR_OK)
        e = note_set(note, e, "cannot sync %s: %s", path, err_text(e));
    if (e != ERR_OK) {
        host_file_close(file);
        buf_clear(&all);
        return e;
    }
    struct wal *w = mem_new(sizeof *w);
    w->file = file;
    w->good = replay(bytes_of_buf(&all), fn, arg);
    w->is_torn = w->good < all.n;
    if (w->is_torn)
        log_event(LOG_INFO, "wal", "cut", "at=%" PRIu64 " bytes=%" PRIu64, w->good, (uint64_t)all.n - w->good);
    buf_clear(&all);
    *out = w;
    return ERR_OK;
}

void wal_close(struct wal *w)
{
    if (!w)
        return;
    host_file_close(w->file);
    buf_clear(&w->unsynced);
    buf_clear(&w->pending);
    free(w);
}

static enum err flush(struct wal *w)
{
    enum err e = w->is_torn ? host_file_cut(w->file, w->good) : ERR_OK;
    if (e != ERR_OK)
        return e;
    w->is_torn = w->pending.n > 0;
    w->is_dirty = w->is_dirty || w->pending.n > 0;
    e = w->pending.n ? host_file_append(w->file, w->pending.p, w->pending.n) : ERR_OK;
    if (e != ERR_OK)
        return e;
    w->is_torn = false;
    w->good += w->pending.n;
    buf_add(&w->unsynced, w->pending.p, w->pending.n);
    buf_reset(&w->pending);
    return ERR_OK;
}

/* A sync failed: what it should have covered is taken for lost, and waits to be written again. */
static void unwrite(struct wal *w)
{
    w->good -= w->unsynced.n;
    w->is_torn = true;
    buf_add(&w->unsynced, w->pending.p, w->pending.n);
    struct buf swap = w->pending;
    w->pending = w->unsynced;
    w->unsynced = swap;
    buf_reset(&w->unsynced);
}

void wal_append(struct wal *w, struct bytes entry)
{
    uint8_t length[4];
    struct hash sum = hash_once(HASH_FILE, entry.p, entry.n);
    store_le32(length, (uint32_t)entry.n);
    buf_add(&w->pending, length, sizeof length);
    buf_add(&w->pending, entry.p, entry.n);
    buf_add(&w->pending, sum.b, CHECKSUM_SIZE);
    if (flush(w) != ERR_OK)
        log_event(LOG_ODD, "wal", "waits", "bytes=%zu", w->pending.n);
}

enum err wal_sync(struct wal *w)
{
    enum err e = flush(w);
    if (e != ERR_OK || !w->is_dirty)
        return e;
    e = host_file_sync(w->file);
    if (e != ERR_OK) {
        unwrite(w);
        return e;
    }
    w->is_dirty = false;
    buf_reset(&w->unsynced);
    return ERR_OK;
}

/* If cutting fails, entries of a decided height stay in front, and are passed over when read. */
void wal_reset(struct wal *w)
{
    buf_reset(&w->pending);
    if (host_file_cut(w->file, 0) != ERR_OK)
        return;
    buf_reset(&w->unsynced);
    w->good = 0;
    w->is_torn = false;
    w->is_dirty = true;
}
