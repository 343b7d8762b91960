/* Packed weights in a file or in memory; see the header. */
#include "inference/engine/pack_file.h"

#include "base/codec.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

_Static_assert(WIRE_PACK_VERSION == PACK_VERSION, "files of packed weights are named by the layout's version");

#define PAGE       4096u
#define HEAD_BYTES PAGE
#define LEAF_BYTES (1u << 20)                   /* about a millisecond to hash: nobody waits longer for it */
#define MAGIC      UINT64_C(0x6B6361706874696B) /* "kithpack" */
#define GRAIN      16                           /* tiles, or rows, that a thread takes at once */

#define PACK_HEAD_FIELDS(F) F(u64, magic) F(u32, version) F(u32, leaf_bytes) F(hash, root) F(u64, bytes) F(hash, table)
RECORD_DECLARE(pack_head, PACK_HEAD_FIELDS)
RECORD_DEFINE(pack_head, PACK_HEAD_FIELDS)

struct pack_file {
    struct pack *pack;
    struct pool *pool;
    const struct gguf *file;
    enum wire_packed state;
    char remark[256];
    uint8_t *map; /* NULL: in memory */
    uint64_t map_bytes;
    uint8_t *memory;
    uint64_t memory_bytes;
    bool is_empty;                   /* that memory is only set aside */
    bool is_partial;                 /* what the pack leaves out (pack_leave) is not in it */
    uint64_t leaves, first, checked; /* leaves compared, from `first` on */
};

static uint64_t rounded(uint64_t n, uint64_t to)
{
    return (n + to - 1) / to * to;
}

static uint64_t leaves_of(const struct pack *p)
{
    return (pack_bytes(p) + LEAF_BYTES - 1) / LEAF_BYTES;
}

static uint64_t weights_at(const struct pack *p)
{
    return HEAD_BYTES + rounded(leaves_of(p) * HASH_SIZE, PAGE);
}

static uint64_t file_bytes(const struct pack *p)
{
    return weights_at(p) + pack_bytes(p);
}

static struct hash leaf_hash(const struct pack_file *f, uint64_t i)
{
    uint64_t left = pack_bytes(f->pack) - i * LEAF_BYTES;
    return hash_once(HASH_FILE, f->map + weights_at(f->pack) + i * LEAF_BYTES,
                     left < LEAF_BYTES ? (size_t)left : LEAF_BYTES);
}

static const uint8_t *table_of(const struct pack_file *f)
{
    return f->map + HEAD_BYTES;
}

/* The record and its checksum, as they stand in front of such a table. */
static void put_head(const struct pack_file *f, const struct hash *root, const uint8_t *table, struct buf *out)
{
    struct pack_head h = {.magic = MAGIC,
                          .version = PACK_VERSION,
                          .leaf_bytes = LEAF_BYTES,
                          .root = *root,
                          .bytes = pack_bytes(f->pack),
                          .table = hash_once(HASH_FILE, table, f->leaves * HASH_SIZE)};
    pack_head_put(out, &h);
    struct hash sum = hash_once(HASH_FILE, out->p, out->n);
    buf_add(out, sum.b, HASH_SIZE);
}

/* -- packing -- */

struct filling {
    struct pack_file *f;
    const struct gguf_tensor *t;
    int fd;         /* where tiles are written, or -1: into memory, */
    uint64_t place; /* ... from here on */
    size_t tile_bytes;
    bool only_left;
    atomic_bool is_odd;
    atomic_int error; /* of a write */
};

static void write_at(struct filling *w, const uint8_t *p, size_t n, uint64_t at)
{
    int error = file_write_at(w->fd, p, n, at);
    if (error)
        atomic_store(&w->error, error);
}

static void fill_part(void *arg, size_t first, size_t end)
{
    struct filling *w = arg;
    if (w->fd < 0) {
        pack_tensor_fill(w->t, first, end, w->f->memory + w->place + first * w->tile_bytes);
        return;
    }
    /* Not through a mapping: its pages would come one by one, which takes three times as long. */
    uint8_t *room = mem_array(GRAIN, w->tile_bytes);
    for (size_t i = first; i < end; i += GRAIN) {
        size_t n = end - i < GRAIN ? end - i : GRAIN;
        pack_tensor_fill(w->t, i, i + n, room);
        write_at(w, room, n * w->tile_bytes, w->place + i * w->tile_bytes);
    }
    free(room);
}

static void check_part(void *arg, size_t first, size_t end)
{
    struct filling *w = arg;
    size_t n = (size_t)w->t->dims[0], row = quant_row_bytes(w->t->type, n);
    if (!quant_is_finite(w->t->type, w->t->data.p + first * row, (end - first) * n))
        atomic_store(&w->is_odd, true);
}

/* Its pages are the file's: they can be read again if anybody asks. */
static void let_go(const struct gguf_tensor *t)
{
    uintptr_t from = (uintptr_t)t->data.p / PAGE * PAGE, end = (uintptr_t)(t->data.p + t->data.n) / PAGE * PAGE;
    if (end > from)
        madvise((void *)from, end - from, MADV_DONTNEED);
}

static enum err look(struct filling *w, struct note *note)
{
    const struct gguf_tensor *t = w->t;
    pool_run(w->f->pool, (size_t)(t->dims[1] * t->dims[2] * t->dims[3]), GRAIN, check_part, w);
    return atomic_load(&w->is_odd) ? note_set(note, ERR_NUMERIC, "tensor %s holds a value that is not finite", t->name)
                                   : ERR_OK;
}

static enum err fill(struct filling *w, uint64_t from, struct note *note)
{
    const struct pack_file *f = w->f;
    for (size_t i = 0; i < gguf_tensor_count(f->file); i++) {
        w->t = gguf_tensor(f->file, i);
        uint64_t place = pack_place(f->pack, w->t);
        if (place == PACK_NOWHERE || (w->only_left && !pack_is_left(f->pack, w->t)))
            continue;
        enum err e = pack_is_checked(f->pack) || w->only_left ? ERR_OK : look(w, note);
        if (e != ERR_OK)
            return e;
        if (f->is_partial && !w->only_left && pack_is_left(f->pack, w->t)) {
            let_go(w->t); /* looked at, since it may be needed after all */
            continue;
        }
        w->place = from + place;
        w->tile_bytes = pack_tile_bytes(quant_format(w->t->type), (size_t)w->t->dims[0]);
        pool_run(f->pool, (size_t)pack_tensor_tiles(w->t), GRAIN, fill_part, w);
        let_go(w->t);
    }
    return ERR_OK;
}

static enum err fill_memory(struct pack_file *f, struct note *note)
{
    struct filling w = {.f = f, .fd = -1};
    return fill(&w, 0, note);
}

/* -- in memory -- */

/* Nothing of it is taken before it is written, then large pages where there are any. */
static bool set_aside(struct pack_file *f)
{
    const uint64_t bytes = pack_bytes(f->pack) + 1;
    void *p = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return false;
    madvise(p, (size_t)bytes, MADV_HUGEPAGE);
    f->memory = p;
    f->memory_bytes = bytes;
    pack_set_memory(f->pack, f->memory);
    return true;
}

static enum err pack_in_memory(struct pack_file *f, uint64_t memory_bytes, struct note *note)
{
    if ((memory_bytes && pack_bytes_here(f->pack) > memory_bytes) || !set_aside(f))
        return note_set(note, ERR_FULL, "the model's weights need %llu MiB: raise the limit or take a smaller model",
                        (unsigned long long)(pack_bytes_here(f->pack) >> 20));
    f->is_partial = pack_bytes_here(f->pack) < pack_bytes(f->pack);
    return fill_memory(f, note);
}

/* -- in a file -- */

static bool map_file(struct pack_file *f, int fd)
{
    void *p = mmap(NULL, (size_t)file_bytes(f->pack), PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        return false;
    f->map = p;
    f->map_bytes = file_bytes(f->pack);
    f->leaves = leaves_of(f->pack);
    pack_set_memory(f->pack, f->map + weights_at(f->pack));
    return true;
}

static void unmap(struct pack_file *f)
{
    if (f->map)
        munmap(f->map, (size_t)f->map_bytes);
    f->map = NULL;
}

static void say_not_kept(struct pack_file *f, int error)
{
    snprintf(f->remark, sizeof f->remark,
             "the packed weights (%llu MiB) are not kept, so that each start packs them anew: %s",
             (unsigned long long)(file_bytes(f->pack) >> 20),
             error == ENOSPC || error == EDQUOT ? "the disk is full"
             : error == EFBIG                   ? "they are larger than expected"
                                                : strerror(error));
}

/* False, with a remark, where the file cannot have them: then they go into memory. */
static bool begin_file(struct pack_file *f, int fd)
{
    if (fallocate(fd, 0, 0, (off_t)file_bytes(f->pack)) != 0) {
        say_not_kept(f, errno);
        return false;
    }
    return map_file(f, fd);
}

struct hashing {
    const struct pack_file *f;
    uint8_t *table;
};

static void hash_part(void *arg, size_t first, size_t end)
{
    const struct hashing *t = arg;
    for (size_t i = first; i < end; i++) {
        struct hash h = leaf_hash(t->f, i);
        memcpy(t->table + i * HASH_SIZE, h.b, HASH_SIZE);
    }
}

static enum err pack_in_file(struct pack_file *f, const struct pack_file_options *o, struct note *note)
{
    struct filling w = {.f = f, .fd = o->fd};
    struct hashing hashing = {f, mem_array((size_t)f->leaves, HASH_SIZE)};
    struct buf head = {0};
    enum err e = fill(&w, weights_at(f->pack), note);
    if (e == ERR_OK && !atomic_load(&w.error)) {
        pool_run(f->pool, (size_t)f->leaves, 1, hash_part, &hashing);
        put_head(f, o->root, hashing.table, &head);
        write_at(&w, hashing.table, (size_t)f->leaves * HASH_SIZE, HEAD_BYTES);
        write_at(&w, head.p, head.n, 0);
    }
    free(hashing.table);
    buf_clear(&head);
    if (e != ERR_OK)
        return e;
    if (atomic_load(&w.error)) {
        say_not_kept(f, atomic_load(&w.error));
        unmap(f);
        return pack_in_memory(f, o->memory_bytes, note);
    }
    f->state = WIRE_PACKED_MADE;
    f->checked = f->leaves;
    return ERR_OK;
}

static bool is_right(const struct pack_file *f, const struct hash *root)
{
    struct buf head = {0};
    put_head(f, root, table_of(f), &head);
    bool same = memcmp(f->map, head.p, head.n) == 0;
    buf_clear(&head);
    return same;
}

/* False: it is not what it should be, and not used. */
static bool use_kept(struct pack_file *f, const struct pack_file_options *o)
{
    f->state = WIRE_PACKED_BAD;
    /* Not fstat: the C library asks by a call that the worker's walls do not let out. */
    if (lseek(o->fd, 0, SEEK_END) == (off_t)file_bytes(f->pack) && map_file(f, o->fd) && is_right(f, o->root)) {
        uint64_t drawn;
        secret_random(&drawn, sizeof drawn);
        f->first = f->leaves ? drawn % f->leaves : 0;
        f->state = WIRE_PACKED_USED;
        pack_set_checked(f->pack, true);
        return true;
    }
    unmap(f);
    snprintf(f->remark, sizeof f->remark,
             "the kept copy of the packed weights is damaged or of another model: it is removed, and made anew");
    return false;
}

enum err pack_file_open(const struct pack_file_options *o, struct pack_file **out, struct note *note)
{
    struct pack_file *f = mem_new(sizeof *f);
    f->pack = o->pack;
    f->pool = o->pool;
    f->file = o->file;
    enum err e = ERR_OK;
    bool fits = !o->memory_bytes || pack_bytes_here(o->pack) <= o->memory_bytes;
    if (o->given == WIRE_PACK_KEPT && fits && use_kept(f, o))
        ;
    else if (o->given == WIRE_PACK_NEW && fits && pack_bytes(o->pack) > 0 && begin_file(f, o->fd))
        e = pack_in_file(f, o, note);
    else
        e = pack_in_memory(f, o->memory_bytes, note);
    if (o->fd >= 0)
        close(o->fd);
    if (e != ERR_OK) {
        pack_file_close(f);
        return e;
    }
    *out = f;
    return ERR_OK;
}

enum err pack_file_reserve(const struct pack_file_options *o, struct pack_file **out, struct note *note)
{
    struct pack_file *f = mem_new(sizeof *f);
    f->pack = o->pack;
    f->file = o->file;
    f->is_empty = true;
    if (!set_aside(f)) {
        free(f);
        return note_set(note, ERR_FULL, "there is no room for %llu MiB of weights",
                        (unsigned long long)(pack_bytes(o->pack) >> 20));
    }
    *out = f;
    return ERR_OK;
}

enum err pack_file_look(struct pack_file *f, struct pool *pool, struct note *note)
{
    struct filling w = {.f = f};
    enum err e = ERR_OK;
    f->pool = pool;
    for (size_t i = 0; i < gguf_tensor_count(f->file) && e == ERR_OK; i++) {
        w.t = gguf_tensor(f->file, i);
        if (w.t->data.p && quant_format(w.t->type))
            e = look(&w, note);
    }
    pack_set_checked(f->pack, e == ERR_OK);
    return e;
}

enum err pack_file_fill(struct pack_file *f, struct pool *pool, struct note *note)
{
    struct filling rest = {.f = f, .fd = -1, .only_left = true};
    f->pool = pool;
    if (f->is_partial) {
        f->is_partial = false;
        return fill(&rest, 0, note);
    }
    if (!f->is_empty)
        return ERR_OK;
    f->is_empty = false;
    return fill_memory(f, note);
}

void pack_file_close(struct pack_file *f)
{
    if (!f)
        return;
    if (f->memory)
        munmap(f->memory, (size_t)f->memory_bytes);
    unmap(f);
    free(f);
}

enum wire_packed pack_file_state(const struct pack_file *f)
{
    return f->state;
}

const char *pack_file_remark(const struct pack_file *f)
{
    return f->remark;
}

enum err pack_file_check(struct pack_file *f, bool *more, struct note *note)
{
    if (f->state == WIRE_PACKED_USED && f->checked < f->leaves) {
        uint64_t i = (f->first + f->checked) % f->leaves;
        struct hash h = leaf_hash(f, i);
        if (memcmp(h.b, table_of(f) + i * HASH_SIZE, HASH_SIZE) != 0)
            return note_set(note, ERR_CORRUPT,
                            "the kept copy of the packed weights is damaged: it is removed, and answers since this "
                            "worker's start may be wrong; ask again");
        f->checked++;
    }
    *more = f->state == WIRE_PACKED_USED && f->checked < f->leaves;
    return ERR_OK;
}
