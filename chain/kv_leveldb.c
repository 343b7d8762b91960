/* The store over LevelDB.
 *
 * What LevelDB does not do for us:
 *
 * A synced write syncs LevelDB's log file, but not the directory entry of a log that was begun since, which
 * a power cut could then take away with all that is in it. So the directory is synced after each synced
 * write.
 *
 * After a write that failed half-way, LevelDB would go on behind the torn record, and a later recovery
 * would drop what stands there, synced or not. So after a failure the store is closed and opened again, which
 * ends the torn log, before the next write.
 *
 * The end of a log that a power cut tore is cut off, where LevelDB would refuse to open, and a damaged one is an error,
 * where it might open (kv_tail.h).
 *
 * A disk that fills is met early: with less than RESERVE_BYTES free, a write is refused whole, so that there is always
 * room to open again and to compact.
 *
 * Checksums are verified on every read: a flipped bit is an error, never a value.
 *
 * Tables have no filters: the state is read once, at the start, and what is asked for later is nearly always there,
 * while a filter would be made again for every record that LevelDB merges. */
#include "chain/kv.h"

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "chain/kv_tail.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <leveldb/c.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define RESERVE_BYTES (UINT64_C(32) << 20) /* several logs and tables of the size set below */
#define BUFFER_BYTES  (8u << 20)
#define PROBE_BYTES                                                                                                    \
    (3 * BUFFER_BYTES) /* a log, the table that it becomes, and a merge's beginning: within the reserve */

struct kv_leveldb {
    struct kv kv; /* first: a struct kv * is a struct kv_leveldb * */
    char *path;
    leveldb_t *db; /* NULL: it could not be opened again after a failure */
    bool torn;     /* the last write failed */
    leveldb_options_t *options;
    leveldb_readoptions_t *read;
    leveldb_writeoptions_t *write_synced, *write_plain;
    int dir;
    struct level_view *view; /* open now, or NULL */
};

/* An iterator of LevelDB's stays at the moment when it was made. */
struct level_view {
    struct kv_view view; /* first */
    struct kv_leveldb *of;
    leveldb_iterator_t *it; /* NULL: the database was closed under it */
    struct buf prefix;
    bool is_begun;
};

static struct kv_leveldb *of(struct kv *kv)
{
    return (struct kv_leveldb *)kv;
}

/* LevelDB gives its errors as text alone. Takes `text`. */
static enum err failed_take(char *text, struct note *note, const char *doing)
{
    enum err e = ERR_IO;
    if (strstr(text, "No space left"))
        e = ERR_FULL;
    else if (strstr(text, "orruption") || strstr(text, "checksum") || strstr(text, "Invalid argument"))
        e = ERR_CORRUPT; /* the last: a table is shorter than what is read of it */
    else if (strstr(text, "lock"))
        e = ERR_BUSY;
    const char *remedy = e == ERR_FULL      ? "make room on the disk and it goes on"
                         : e == ERR_CORRUPT ? "restore the directory from a copy or let the node fetch the chain again"
                         : e == ERR_BUSY    ? "another process has this store open"
                                            : "if the disk fails, restore the directory from a copy";
    note_set(note, e, "the store failed at %s: %.160s (%s)", doing, text, remedy);
    leveldb_free(text);
    return e;
}

static void db_close(struct kv_leveldb *l)
{
    if (l->view && l->view->it) {
        leveldb_iter_destroy(l->view->it);
        l->view->it = NULL;
    }
    if (l->db)
        leveldb_close(l->db);
    l->db = NULL;
}

static enum err dir_sync(const struct kv_leveldb *l, struct note *note)
{
    if (l->dir < 0 || fsync(l->dir) == 0)
        return ERR_OK;
    bool is_full = errno == ENOSPC || errno == EDQUOT;
    return note_set(note, is_full ? ERR_FULL : ERR_IO, "cannot sync the store's directory %s: %s%s", l->path,
                    strerror(errno), is_full ? ": make room on that disk" : "");
}

/* Would opening again, with a new log and the old one made into a table, find room? The store that is open serves reads
 * until it would. */
static enum err room_probe(const struct kv_leveldb *l, struct note *note)
{
    struct buf path = {0};
    buf_add_format(&path, "%s/room", l->path);
    int fd = open(buf_text(&path), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int rc = fd < 0 ? errno : posix_fallocate(fd, 0, PROBE_BYTES);
    if (fd >= 0) {
        close(fd);
        unlink(buf_text(&path));
    }
    buf_clear(&path);
    if (rc == 0)
        return ERR_OK;
    bool is_full = rc == ENOSPC || rc == EDQUOT;
    return note_set(note, is_full ? ERR_FULL : ERR_IO, "the disk of %s takes nothing: %s%s", l->path, strerror(rc),
                    is_full ? ": make room and it goes on" : "");
}

/* Opens the database; the directory stays synced. */
static enum err db_open(struct kv_leveldb *l, struct note *note)
{
    unsigned cut = 0;
    char *error = NULL;
    enum err e = kv_tail_mend(l->path, &cut, note);
    if (e != ERR_OK)
        return e;
    if (cut > 0)
        log_event(LOG_ODD, "store", "cut", "dir=%s logs=%u why=\"the last write was torn\"", l->path, cut);
    l->db = leveldb_open(l->options, l->path, &error);
    if (error)
        return failed_take(error, note, l->path);
    l->torn = false;
    return dir_sync(l, note);
}

static enum err db_usable(const struct kv_leveldb *l, struct note *note)
{
    return l->db ? ERR_OK : note_set(note, ERR_IO, "the store %s could not be opened again after a failure", l->path);
}

/* Room for this much and the reserve? */
static enum err room_check(const struct kv_leveldb *l, size_t need, struct note *note)
{
    struct statvfs disk;
    if (fstatvfs(l->dir, &disk) != 0)
        return ERR_OK; /* the write itself will tell */
    uint64_t free_bytes = (uint64_t)disk.f_bavail * disk.f_frsize;
    if (free_bytes >= RESERVE_BYTES + need)
        return ERR_OK;
    return note_set(note, ERR_FULL, "the disk of %s has %" PRIu64 " bytes left: make room and it goes on", l->path,
                    free_bytes);
}

static enum err level_get(struct kv *kv, struct bytes key, struct buf *value, struct note *note)
{
    char *error = NULL;
    size_t n = 0;
    enum err e = db_usable(of(kv), note);
    if (e)
        return e;
    char *got = leveldb_get(of(kv)->db, of(kv)->read, (const char *)key.p, key.n, &n, &error);
    if (error)
        return failed_take(error, note, "reading");
    if (!got)
        return note_set(note, ERR_NOT_FOUND, "no such key in the store");
    buf_add(value, got, n);
    leveldb_free(got);
    return ERR_OK;
}

static enum err level_scan(struct kv *kv, struct bytes prefix, struct bytes from, kv_visit_fn visit, void *arg,
                           struct note *note)
{
    char *error = NULL;
    enum err e = db_usable(of(kv), note);
    if (e)
        return e;
    leveldb_iterator_t *it = leveldb_create_iterator(of(kv)->db, of(kv)->read);
    for (leveldb_iter_seek(it, (const char *)from.p, from.n); leveldb_iter_valid(it); leveldb_iter_next(it)) {
        size_t key_n, value_n;
        const char *key = leveldb_iter_key(it, &key_n);
        const char *value = leveldb_iter_value(it, &value_n);
        if (key_n < prefix.n || (prefix.n && memcmp(key, prefix.p, prefix.n) != 0) ||
            !visit(arg, bytes_of(key, key_n), bytes_of(value, value_n)))
            break;
    }
    leveldb_iter_get_error(it, &error);
    leveldb_iter_destroy(it);
    return error ? failed_take(error, note, "scanning") : ERR_OK;
}

/* An operation of a batch: the first bytes of its key, and its place. */
#define ORDER_BYTES 6u
struct op {
    uint8_t first[ORDER_BYTES];
    size_t at;
};

/* By one byte of each, the others staying as they are. */
static void sort_by_byte(const struct op *from, struct op *to, uint32_t n, unsigned byte)
{
    uint32_t ends[257] = {0};
    for (uint32_t i = 0; i < n; i++)
        ends[from[i].first[byte] + 1u]++;
    for (unsigned k = 0; k < 256; k++)
        ends[k + 1] += ends[k];
    for (uint32_t i = 0; i < n; i++)
        to[ends[from[i].first[byte]]++] = from[i];
}

/* Nearly in the order of keys; operations on one key stay in their order. Freed by the caller. */
static struct op *ops_order(const struct kv_batch *batch)
{
    struct op *order = mem_array(batch->count + 1, sizeof *order), *other = mem_array(batch->count + 1, sizeof *order);
    struct bytes key, value;
    size_t at = 0;
    for (uint32_t n = 0; n < batch->count; n++) {
        order[n].at = at;
        CHECK(kv_batch_next(batch, &at, &key, &value));
        memcpy(order[n].first, key.p, key.n < ORDER_BYTES ? key.n : ORDER_BYTES);
    }
    for (unsigned byte = ORDER_BYTES; byte-- > 0;) {
        struct op *sorted = other;
        sort_by_byte(order, sorted, batch->count, byte);
        other = order;
        order = sorted;
    }
    free(other);
    return order;
}

/* LevelDB puts one after the other into a list that is searched from its beginning. In the order of keys each search
 * goes where the last one went, through memory that is near. Operations on one key stay in their order. */
static leveldb_writebatch_t *ops_of(const struct kv_batch *batch)
{
    leveldb_writebatch_t *ops = leveldb_writebatch_create();
    struct op *order = ops_order(batch);
    struct bytes key, value;
    for (uint32_t n = 0; n < batch->count; n++) {
        CHECK(kv_batch_next(batch, &order[n].at, &key, &value));
        if (value.p)
            leveldb_writebatch_put(ops, (const char *)key.p, key.n, (const char *)value.p, value.n);
        else
            leveldb_writebatch_delete(ops, (const char *)key.p, key.n);
    }
    free(order);
    return ops;
}

static enum err level_write(struct kv *kv, const struct kv_batch *batch, bool sync, struct note *note)
{
    struct kv_leveldb *l = of(kv);
    char *error = NULL;
    enum err e = room_check(l, batch->ops.n, note);
    if (e)
        return e;
    if (l->torn || !l->db) {
        if ((e = room_probe(l, note)))
            return e;
        db_close(l);
        if ((e = db_open(l, note)))
            return e;
    }
    leveldb_writebatch_t *ops = ops_of(batch);
    leveldb_write(l->db, sync ? l->write_synced : l->write_plain, ops, &error);
    leveldb_writebatch_destroy(ops);
    l->torn = error != NULL;
    if (error)
        return failed_take(error, note, "writing");
    e = sync ? dir_sync(l, note) : ERR_OK;
    l->torn = e != ERR_OK;
    return e;
}

static void level_close(struct kv *kv)
{
    struct kv_leveldb *l = of(kv);
    db_close(l);
    if (l->dir >= 0)
        close(l->dir);
    leveldb_options_destroy(l->options);
    leveldb_readoptions_destroy(l->read);
    leveldb_writeoptions_destroy(l->write_synced);
    leveldb_writeoptions_destroy(l->write_plain);
    free(l->path);
    free(l);
}

static enum err level_room(const struct kv *kv, size_t need, struct note *note)
{
    return room_check((const struct kv_leveldb *)kv, need, note);
}

static bool view_next(struct kv_view *v, struct bytes *key, struct bytes *value)
{
    struct level_view *w = (struct level_view *)v;
    size_t key_n, value_n;
    if (!w->it)
        return false;
    if (w->is_begun)
        leveldb_iter_next(w->it);
    w->is_begun = true;
    if (!leveldb_iter_valid(w->it))
        return false;
    const char *k = leveldb_iter_key(w->it, &key_n);
    const char *p = leveldb_iter_value(w->it, &value_n);
    if (key_n < w->prefix.n || memcmp(k, w->prefix.p, w->prefix.n) != 0)
        return false;
    *key = bytes_of(k, key_n);
    *value = bytes_of(p, value_n);
    return true;
}

static enum err view_close(struct kv_view *v)
{
    struct level_view *w = (struct level_view *)v;
    char *error = NULL;
    enum err e = w->it ? ERR_OK : ERR_CLOSED;
    if (w->it) {
        leveldb_iter_get_error(w->it, &error);
        leveldb_iter_destroy(w->it);
    }
    if (error)
        e = failed_take(error, NULL, "walking");
    w->of->view = NULL;
    buf_clear(&w->prefix);
    free(w);
    return e;
}

static const struct kv_view_ops view_ops = {view_next, view_close};

static enum err level_view(struct kv *kv, struct bytes prefix, struct kv_view **out, struct note *note)
{
    struct kv_leveldb *l = of(kv);
    enum err e = db_usable(l, note);
    if (e)
        return e;
    CHECK(!l->view);
    struct level_view *w = l->view = mem_new(sizeof *w);
    w->view.ops = &view_ops;
    w->of = l;
    w->it = leveldb_create_iterator(l->db, l->read);
    buf_add(&w->prefix, prefix.p, prefix.n);
    leveldb_iter_seek(w->it, (const char *)prefix.p, prefix.n);
    *out = &w->view;
    return ERR_OK;
}

static const struct kv_ops ops = {level_get, level_scan, level_write, level_room, level_close, level_view};

enum err kv_leveldb_open(const char *path, struct kv **out, struct note *note)
{
    struct kv_leveldb *l = mem_new(sizeof *l);
    l->kv.ops = &ops;
    l->path = mem_string(path);
    l->dir = -1;
    l->options = leveldb_options_create();
    l->read = leveldb_readoptions_create();
    l->write_synced = leveldb_writeoptions_create();
    l->write_plain = leveldb_writeoptions_create();
    leveldb_options_set_create_if_missing(l->options, 1);
    leveldb_options_set_paranoid_checks(l->options, 1);
    leveldb_options_set_compression(l->options, leveldb_no_compression); /* keys and hashes do not compress */
    leveldb_options_set_write_buffer_size(l->options, BUFFER_BYTES);
    leveldb_readoptions_set_verify_checksums(l->read, 1);
    leveldb_writeoptions_set_sync(l->write_synced, 1);
    enum err e = db_open(l, note);
    if (e == ERR_OK) {
        l->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        e = l->dir < 0 ? note_set(note, ERR_IO, "cannot open the directory %s: %s", path, strerror(errno))
                       : dir_sync(l, note);
    }
    if (e == ERR_OK)
        e = file_sync_parent(path, note); /* LevelDB made the directory, and syncs neither it nor its name */
    if (e) {
        level_close(&l->kv);
        return e;
    }
    *out = &l->kv;
    return ERR_OK;
}
