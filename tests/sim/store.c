/* The store's calls pass through here. */
#include "tests/sim/store.h"

#include "base/mem.h"
#include "tests/sim/disk.h"
#include "tests/sim/sim.h"

#include <stdlib.h>

struct sim_store {
    struct kv kv;
    struct sim_node *node;
    struct kv *content;
    unsigned failing;
};

static struct sim_store *of(struct kv *kv)
{
    return (struct sim_store *)kv;
}

static enum err store_get(struct kv *kv, struct bytes key, struct buf *value, struct note *note)
{
    return kv_get(of(kv)->content, key, value, note);
}

static enum err store_scan(struct kv *kv, struct bytes prefix, struct bytes from, kv_visit_fn visit, void *arg,
                           struct note *note)
{
    return kv_scan_from(of(kv)->content, prefix, from, visit, arg, note);
}

static enum err store_write(struct kv *kv, const struct kv_batch *batch, bool sync, struct note *note)
{
    struct sim_store *s = of(kv);
    if (!sim_acts(s->node))
        return note_set(note, ERR_IO, "the process is gone");
    if (disk_is_full(s->node->disk))
        return note_set(note, ERR_FULL, "the disk is full");
    if (s->failing > 0) {
        s->failing--;
        return note_set(note, ERR_IO, "the store fails");
    }
    enum err e = kv_write(s->content, batch, sync, note);
    /* It may die with the batch written and nobody told. */
    return e == ERR_OK && !sim_acts(s->node) ? note_set(note, ERR_IO, "the process is gone") : e;
}

static enum err store_room(const struct kv *kv, size_t need, struct note *note)
{
    const struct sim_store *s = (const struct sim_store *)kv;
    (void)need;
    return disk_is_full(s->node->disk) ? note_set(note, ERR_FULL, "the disk is full") : ERR_OK;
}

static void store_close(struct kv *kv)
{
    (void)kv;
}

static const struct kv_ops ops = {store_get, store_scan, store_write, store_room, store_close, NULL};

struct sim_store *store_new(struct sim_node *node)
{
    struct sim_store *s = mem_new(sizeof *s);
    s->kv.ops = &ops;
    s->node = node;
    s->content = kv_mem_open();
    return s;
}

void store_free(struct sim_store *s)
{
    kv_close(s->content);
    free(s);
}

struct kv *store_kv(struct sim_store *s)
{
    return &s->kv;
}

struct kv *store_content(struct sim_store *s)
{
    return s->content;
}

void store_fail(struct sim_store *s, unsigned n)
{
    s->failing = n;
}

void store_crash(struct sim_store *s)
{
    kv_mem_crash(s->content);
    s->failing = 0;
}
