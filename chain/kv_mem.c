/* The store in memory, for tests and the simulator: a sorted array, faults on demand, and the loss of
 * unsynced writes.
 *
 * Two arrays of the same immutable, counted entries: `now` is what readers see, `safe` is what a crash
 * leaves. A batch is sorted and merged into a fresh array, so a failed write leaves nothing behind. */
#include "base/mem.h"
#include "chain/kv.h"

#include <stdlib.h>
#include <string.h>

struct entry {
    uint32_t owners;
    uint32_t key_n, value_n;
    bool is_delete; /* only within a batch */
    uint32_t order; /* of the operation within its batch */
    uint8_t data[]; /* key, value */
};

struct rows {
    struct entry **at;
    size_t n;
};

struct kv_mem {
    struct kv kv; /* first: a struct kv * is a struct kv_mem * */
    struct rows now, safe;
    uint64_t fail_in; /* writes until the first failure, counting it; 0: never */
    enum err fail_with;
};

static struct kv_mem *of(struct kv *kv)
{
    return (struct kv_mem *)kv;
}

static struct bytes key_of(const struct entry *e)
{
    return bytes_of(e->data, e->key_n);
}

static int compare_bytes(struct bytes a, struct bytes b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.p, b.p, n) : 0;
    return c ? c : (a.n > b.n) - (a.n < b.n);
}

static int compare_ops(const void *x, const void *y)
{
    const struct entry *a = *(struct entry *const *)x, *b = *(struct entry *const *)y;
    int c = compare_bytes(key_of(a), key_of(b));
    return c ? c : (a->order > b->order) - (a->order < b->order);
}

static void entry_release(struct entry *e)
{
    if (--e->owners == 0)
        free(e);
}

static void rows_clear(struct rows *r)
{
    for (size_t i = 0; i < r->n; i++)
        entry_release(r->at[i]);
    free(r->at);
    *r = (struct rows){0};
}

static struct rows rows_share(const struct rows *r)
{
    struct rows copy = {mem_array(r->n, sizeof *copy.at), r->n};
    for (size_t i = 0; i < r->n; i++) {
        copy.at[i] = r->at[i];
        copy.at[i]->owners++;
    }
    return copy;
}

/* The first row whose key is not below `key`. */
static size_t rows_find(const struct rows *r, struct bytes key)
{
    size_t low = 0, high = r->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (compare_bytes(key_of(r->at[mid]), key) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static struct entry *entry_new(struct bytes key, struct bytes value, uint32_t order)
{
    struct entry *e = mem_new(sizeof *e + key.n + value.n);
    e->owners = 1;
    e->key_n = (uint32_t)key.n;
    e->value_n = (uint32_t)value.n;
    e->is_delete = value.p == NULL;
    e->order = order;
    if (key.n)
        memcpy(e->data, key.p, key.n);
    if (value.n)
        memcpy(e->data + key.n, value.p, value.n);
    return e;
}

/* The batch as sorted operations, the last one to each key only. */
static struct rows batch_sort(const struct kv_batch *batch)
{
    struct rows ops = {mem_array(batch->count, sizeof *ops.at), 0};
    struct bytes key, value;
    for (size_t at = 0; kv_batch_next(batch, &at, &key, &value); ops.n++)
        ops.at[ops.n] = entry_new(key, value, (uint32_t)ops.n);
    qsort(ops.at, ops.n, sizeof *ops.at, compare_ops);
    size_t kept = 0;
    for (size_t i = 0; i < ops.n; i++) {
        if (i + 1 < ops.n && bytes_equal(key_of(ops.at[i]), key_of(ops.at[i + 1])))
            entry_release(ops.at[i]);
        else
            ops.at[kept++] = ops.at[i];
    }
    ops.n = kept;
    return ops;
}

/* Takes `old` and `ops`. */
static struct rows rows_merge_take(struct rows old, struct rows ops)
{
    struct rows out = {mem_array(old.n + ops.n, sizeof *out.at), 0};
    size_t i = 0, k = 0;
    while (i < old.n || k < ops.n) {
        int c = i == old.n ? 1 : k == ops.n ? -1 : compare_bytes(key_of(old.at[i]), key_of(ops.at[k]));
        if (c < 0) {
            out.at[out.n++] = old.at[i++];
            continue;
        }
        if (c == 0)
            entry_release(old.at[i++]);
        if (ops.at[k]->is_delete)
            entry_release(ops.at[k++]);
        else
            out.at[out.n++] = ops.at[k++];
    }
    free(old.at);
    free(ops.at);
    return out;
}

static enum err mem_get(struct kv *kv, struct bytes key, struct buf *value, struct note *note)
{
    const struct rows *r = &of(kv)->now;
    size_t i = rows_find(r, key);
    if (i == r->n || !bytes_equal(key_of(r->at[i]), key))
        return note_set(note, ERR_NOT_FOUND, "no such key in the store");
    buf_add(value, r->at[i]->data + r->at[i]->key_n, r->at[i]->value_n);
    return ERR_OK;
}

static enum err mem_scan(struct kv *kv, struct bytes prefix, struct bytes from, kv_visit_fn visit, void *arg,
                         struct note *note)
{
    const struct rows *r = &of(kv)->now;
    (void)note;
    for (size_t i = rows_find(r, from); i < r->n; i++) {
        const struct entry *e = r->at[i];
        if (e->key_n < prefix.n || (prefix.n && memcmp(e->data, prefix.p, prefix.n) != 0) ||
            !visit(arg, key_of(e), bytes_of(e->data + e->key_n, e->value_n)))
            break;
    }
    return ERR_OK;
}

static enum err mem_write(struct kv *kv, const struct kv_batch *batch, bool sync, struct note *note)
{
    struct kv_mem *m = of(kv);
    if (m->fail_in == 1)
        return note_set(note, m->fail_with, "the store failed to write, as it was told to");
    if (m->fail_in > 1)
        m->fail_in--;
    m->now = rows_merge_take(m->now, batch_sort(batch));
    if (sync) {
        rows_clear(&m->safe);
        m->safe = rows_share(&m->now);
    }
    return ERR_OK;
}

static void mem_close(struct kv *kv)
{
    rows_clear(&of(kv)->now);
    rows_clear(&of(kv)->safe);
    free(kv);
}

static enum err mem_room(const struct kv *kv, size_t need, struct note *note)
{
    const struct kv_mem *m = (const struct kv_mem *)kv;
    (void)need;
    return m->fail_in == 1 && m->fail_with == ERR_FULL ? note_set(note, ERR_FULL, "the store is full") : ERR_OK;
}

static const struct kv_ops ops = {mem_get, mem_scan, mem_write, mem_room, mem_close, NULL};

struct kv *kv_mem_open(void)
{
    struct kv_mem *m = mem_new(sizeof *m);
    m->kv.ops = &ops;
    return &m->kv;
}

void kv_mem_fail(struct kv *kv, uint64_t k, enum err e)
{
    CHECK(kv->ops == &ops);
    of(kv)->fail_in = k;
    of(kv)->fail_with = e;
}

void kv_mem_crash(struct kv *kv)
{
    CHECK(kv->ops == &ops);
    rows_clear(&of(kv)->now);
    of(kv)->now = rows_share(&of(kv)->safe);
}

struct kv *kv_mem_copy(const struct kv *kv)
{
    const struct kv_mem *m = (const struct kv_mem *)kv;
    CHECK(kv->ops == &ops);
    struct kv_mem *copy = mem_new(sizeof *copy);
    copy->kv.ops = &ops;
    copy->now = rows_share(&m->now);
    copy->safe = rows_share(&m->safe);
    return &copy->kv;
}
