/* The state of another height, into the store leaf by leaf.
 *
 *     committed --begin--> dropping the old state --> fetching --end--> committed, at the snapshot's height
 *
 * In the store: KV_META "snap" says which snapshot, and whether the old state is gone; KV_META 'l' and a leaf's number
 * says that its entries are there, written in the same batch. While "snap" stands, records and head in the store
 * are no state. A kill at any moment loses at most the leaf that was being written: what is on
 * disk is always a whole number of batches, in order. Leaves are not synced one by one; the last batch is, and all
 * before it with it. */
#include "chain/ledger_core.h"
#include "chain/snapshot.h"

#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

RECORD_DEFINE(ledger_base, LEDGER_BASE_FIELDS)
#define CODEC_TYPE_ledger_base struct ledger_base
RECORD_AS_FIELD(ledger_base)

#define REC_FETCH_FIELDS(F) F(ledger_base, snapshot) F(flag, is_clean)
RECORD_DECLARE(rec_fetch, REC_FETCH_FIELDS)
RECORD_DEFINE(rec_fetch, REC_FETCH_FIELDS)

static const char key_fetch[] = {KV_META, 's', 'n', 'a', 'p'};
static const char prefix_state[] = {KV_STATE}, prefix_leaf[] = {KV_META, 'l'};
#define BYTES_OF_ARRAY(a) bytes_of((a), sizeof(a))
#define LEAF_KEY_SIZE     6

static struct bytes leaf_key(uint8_t key[LEAF_KEY_SIZE], uint32_t leaf)
{
    memcpy(key, prefix_leaf, 2);
    for (int i = 0; i < 4; i++)
        key[2 + i] = (uint8_t)(leaf >> (24 - 8 * i));
    return bytes_of(key, LEAF_KEY_SIZE);
}

/* -- which leaves are there -- */

static void fetch_clear(struct ledger_fetch *f)
{
    free(f->has);
    *f = (struct ledger_fetch){0};
}

static void fetch_set(struct ledger_fetch *f, const struct ledger_base *s, bool is_clean)
{
    fetch_clear(f);
    *f = (struct ledger_fetch){.is_on = true, .is_clean = is_clean, .snapshot = *s};
    f->has = mem_array(s->leaves, sizeof *f->has);
}

static bool load_leaf(void *arg, struct bytes key, struct bytes value)
{
    struct ledger_fetch *f = arg;
    (void)value;
    if (key.n != LEAF_KEY_SIZE)
        return true;
    uint32_t leaf = (uint32_t)key.p[2] << 24 | (uint32_t)key.p[3] << 16 | (uint32_t)key.p[4] << 8 | key.p[5];
    if (leaf < f->snapshot.leaves && !f->has[leaf]) {
        f->has[leaf] = true;
        f->count++;
    }
    return true;
}

enum err ledger_fetch_load(struct ledger *l, struct note *note)
{
    struct buf raw = {0};
    struct rec_fetch rec;
    enum err e = kv_get(l->kv, BYTES_OF_ARRAY(key_fetch), &raw, note);
    struct cursor c = cursor_of(bytes_of_buf(&raw));
    if (e == ERR_OK)
        rec_fetch_get(&c, &rec);
    bool is_whole = e == ERR_OK && cursor_end(&c) && rec.snapshot.leaves <= SNAPSHOT_LEAVES_MAX;
    buf_clear(&raw);
    if (e != ERR_OK)
        return e == ERR_NOT_FOUND ? ERR_OK : e;
    if (!is_whole)
        return note_set(note, ERR_CORRUPT,
                        "the store's record of a fetch is damaged: remove the chain's directory and start again");
    fetch_set(&l->fetch, &rec.snapshot, rec.is_clean);
    return rec.is_clean ? kv_scan(l->kv, BYTES_OF_ARRAY(prefix_leaf), load_leaf, &l->fetch, note) : ERR_OK;
}

/* -- begin -- */

static enum err write_fetch(struct ledger *l, const struct ledger_base *s, bool is_clean, struct note *note)
{
    struct kv_batch batch = {0};
    struct buf raw = {0};
    rec_fetch_put(&raw, &(struct rec_fetch){*s, is_clean});
    kv_batch_put(&batch, BYTES_OF_ARRAY(key_fetch), bytes_of_buf(&raw));
    enum err e = kv_write(l->kv, &batch, true, note);
    if (e == ERR_OK)
        fetch_set(&l->fetch, s, is_clean);
    kv_batch_clear(&batch);
    buf_clear(&raw);
    return e;
}

static bool drop_one(void *arg, struct bytes key, struct bytes value)
{
    struct kv_batch *batch = arg;
    (void)value;
    kv_batch_delete(batch, key);
    return batch->count < SNAPSHOT_DROP_KEYS;
}

/* A part of what is there. ERR_BUSY: there may be more. */
static enum err drop_some(struct ledger *l, struct note *note)
{
    struct kv_batch batch = {0};
    enum err e = kv_scan(l->kv, BYTES_OF_ARRAY(prefix_leaf), drop_one, &batch, note);
    if (e == ERR_OK && batch.count < SNAPSHOT_DROP_KEYS)
        e = kv_scan(l->kv, BYTES_OF_ARRAY(prefix_state), drop_one, &batch, note);
    if (e == ERR_OK && batch.count > 0)
        e = kv_write(l->kv, &batch, false, note);
    if (e == ERR_OK && batch.count >= SNAPSHOT_DROP_KEYS)
        e = ERR_BUSY;
    kv_batch_clear(&batch);
    return e;
}

enum err ledger_snapshot_begin(struct ledger *l, const struct ledger_base *s, struct note *note)
{
    struct ledger_fetch *f = &l->fetch;
    if (l->finalized)
        return note_set(note, ERR_STATE, "block %" PRIu64 " is finalized and not committed", l->next_head.height);
    if (s->leaves == 0 || s->leaves > SNAPSHOT_LEAVES_MAX)
        return note_set(note, ERR_LIMIT, "a snapshot of %u leaves: from 1 to %u", s->leaves, SNAPSHOT_LEAVES_MAX);
    enum err e = ERR_OK;
    if (!f->is_on || !ledger_base_equal(&f->snapshot, s))
        e = write_fetch(l, s, false, note);
    if (e == ERR_OK && !f->is_clean) {
        e = drop_some(l, note);
        if (e == ERR_OK)
            e = write_fetch(l, s, true, note);
    }
    return e;
}

const struct ledger_base *ledger_snapshot_now(const struct ledger *l)
{
    return l->fetch.is_on ? &l->fetch.snapshot : NULL;
}

/* -- leaves -- */

enum err ledger_snapshot_put(struct ledger *l, uint32_t leaf, struct bytes entries, struct note *note)
{
    struct kv_batch batch = {0};
    struct buf stored = {0};
    uint8_t key[LEAF_KEY_SIZE];
    struct ledger_fetch *f = &l->fetch;
    CHECK(f->is_on && f->is_clean && leaf < f->snapshot.leaves);
    if (f->has[leaf])
        return ERR_OK;
    for (struct cursor c = cursor_of(entries); c.n > 0;) {
        struct snapshot_entry entry;
        snapshot_entry_get(&c, &entry);
        CHECK(cursor_ok(&c));
        buf_reset(&stored);
        buf_add(&stored, prefix_state, 1);
        buf_add(&stored, entry.key.p, entry.key.n);
        kv_batch_put(&batch, bytes_of_buf(&stored), entry.value.n ? entry.value : bytes_of("", 0));
    }
    kv_batch_put(&batch, leaf_key(key, leaf), bytes_of("", 0));
    enum err e = kv_write(l->kv, &batch, false, note);
    if (e == ERR_OK) {
        f->has[leaf] = true;
        f->count++;
    }
    kv_batch_clear(&batch);
    buf_clear(&stored);
    return e;
}

bool ledger_snapshot_has(const struct ledger *l, uint32_t leaf)
{
    return l->fetch.is_on && leaf < l->fetch.snapshot.leaves && l->fetch.has[leaf];
}

uint32_t ledger_snapshot_count(const struct ledger *l)
{
    return l->fetch.count;
}

/* -- end -- */

static enum err write_end(struct ledger *l, const struct rec_head *head, const struct kv_batch *extra,
                          struct note *note)
{
    struct kv_batch batch = {0};
    uint8_t key[LEAF_KEY_SIZE];
    if (extra)
        kv_batch_append(&batch, extra);
    ledger_put_head(&batch, head);
    kv_batch_delete(&batch, BYTES_OF_ARRAY(key_fetch));
    for (uint32_t i = 0; i < l->fetch.snapshot.leaves; i++)
        kv_batch_delete(&batch, leaf_key(key, i));
    enum err e = kv_write(l->kv, &batch, true, note);
    kv_batch_clear(&batch);
    return e;
}

enum err ledger_snapshot_end(struct ledger *l, const struct kv_batch *extra, struct note *note)
{
    struct ledger_base s = l->fetch.snapshot;
    struct rec_head head = {s.height, s.time_ms, s.block, s.state_root, s.previous_root};
    struct state fresh;
    CHECK(l->fetch.is_on && l->fetch.count == s.leaves);
    state_init(&fresh);
    if (l->parallel.run)
        tree_set_parallel(fresh.tree, &l->parallel);
    tree_set_parallel(fresh.tree, &l->parallel);
    enum err e = ledger_load_state(l->kv, &fresh, &s.state_root, s.height, note);
    if (e == ERR_CORRUPT) {
        enum err again = write_fetch(l, &s, false, NULL); /* what is there is dropped */
        e = again == ERR_OK ? e : again;
    }
    if (e == ERR_OK)
        e = write_end(l, &head, extra, note);
    if (e != ERR_OK) {
        state_clear(&fresh);
        return e;
    }
    state_clear(&l->state);
    l->state = fresh;
    l->head = head;
    fetch_clear(&l->fetch);
    l->validators_n = ledger_validators(l, l->validators);
    l->state.validators_changed = false;
    l->office_moves = true; /* not known, as when it was opened */
    return ERR_OK;
}

/* -- the other side -- */

struct ledger_base ledger_snapshot_of(const struct ledger *l)
{
    const struct rec_head *h = &l->head;
    return (struct ledger_base){h->height, h->time_ms, h->block, h->previous_root, h->state_root, 0};
}

enum err ledger_snapshot_view(struct ledger *l, struct kv_view **out, struct note *note)
{
    return kv_view_open(l->kv, BYTES_OF_ARRAY(prefix_state), out, note);
}

bool ledger_snapshot_next(struct kv_view *v, struct bytes *key, struct bytes *value)
{
    if (!kv_view_next(v, key, value))
        return false;
    *key = bytes_of(key->p + 1, key->n - 1);
    return true;
}
