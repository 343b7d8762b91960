/* Making a snapshot beside everything else: a slice of time, then a pause.
 *
 *     OFF --block at the interval--> SCAN --> CUT --> WRITE --> OFF
 *
 * SCAN walks a view of the store as it was at the height and writes the entries to a file in the order of keys; what is
 * kept in memory is 24 bytes an entry. CUT sorts those on a thread. WRITE reads each leaf's entries from the file,
 * hashes and stores them; at the end the root must be that of the height. Any failure ends it, and the next interval
 * tries again. */
#include "node/consensus/snapshot_in.h"

#include "base/log.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>

#define FLUSH_BYTES (256u << 10)

enum phase { OFF, SCAN, CUT, WRITE };

struct making {
    struct snapshots *s;
    enum phase phase;
    bool is_closing; /* freed once the thread is done */
    struct ledger_base base;
    struct buf anchor;
    struct kv_view *view;
    struct snapshot_maker *maker;
    enum err cut;
    struct host_file *entries, *leaves;
    struct buf pending; /* entries not written yet */
    uint64_t entries_size, leaves_size, start_ms;
    struct snapshot_table table;
    struct hash *hashes;
    struct buf slots;
    uint32_t leaf;
    struct timer timer;
};

static void step(void *arg);

struct making *making_new(struct snapshots *s)
{
    struct making *m = mem_new(sizeof *m);
    m->s = s;
    return m;
}

static void stop(struct making *m)
{
    char path[4096];
    (void)!kv_view_close(m->view);
    snapshot_maker_free(m->maker);
    host_file_close(m->entries);
    host_file_close(m->leaves);
    snapshot_table_clear(&m->table);
    free(m->hashes);
    buf_clear(&m->anchor);
    buf_clear(&m->pending);
    buf_clear(&m->slots);
    host_timer_cancel(m->s->o.host, &m->timer);
    snapshot_path(m->s, "making.entries", path);
    (void)!host_remove(m->s->o.host, path, NULL);
    *m = (struct making){.s = m->s};
}

void making_free(struct making *m)
{
    if (!m)
        return;
    if (m->phase == CUT) { /* the thread has it */
        m->is_closing = true;
        host_timer_cancel(m->s->o.host, &m->timer);
        return;
    }
    stop(m);
    free(m);
}

bool making_is_on(const struct making *m)
{
    return m->phase != OFF;
}

static void fail(struct making *m, const char *why)
{
    char path[4096];
    log_event(LOG_ODD, "snapshot", "unmade", "height=%" PRIu64 " why=\"%s\"", m->base.height, why);
    snapshot_file(m->s, m->base.height, "leaves", path);
    stop(m);
    (void)!host_remove(m->s->o.host, path, NULL);
}

/* -- scan -- */

static enum err flush(struct making *m)
{
    enum err e = m->pending.n ? host_file_put(m->entries, m->entries_size, m->pending.p, m->pending.n) : ERR_OK;
    m->entries_size += m->pending.n;
    buf_reset(&m->pending);
    return e;
}

static void cut_work(void *arg)
{
    struct making *m = arg;
    m->cut = snapshot_maker_cut(m->maker);
}

static void write_begin(struct making *m)
{
    struct note note = {{0}};
    char path[4096];
    snapshot_file(m->s, m->base.height, "leaves", path);
    enum err e = m->cut;
    if (e == ERR_OK)
        e = snapshot_table_decode(snapshot_maker_depths(m->maker), &m->table, &note);
    if (e == ERR_OK)
        e = host_file_open(m->s->o.host, path, HOST_WRITE, &m->leaves, &note);
    if (e == ERR_OK)
        e = host_file_cut(m->leaves, 0);
    if (e != ERR_OK) {
        fail(m, note.text[0] ? note.text : err_text(e));
        return;
    }
    m->base.leaves = m->table.n;
    m->hashes = mem_array(m->table.n, sizeof *m->hashes);
    m->phase = WRITE;
    host_timer_set(m->s->o.host, &m->timer, 0, step, m);
}

static void cut_done(void *arg)
{
    struct making *m = arg;
    if (m->is_closing) {
        snapshot_maker_free(m->maker);
        buf_clear(&m->anchor);
        buf_clear(&m->pending);
        host_file_close(m->entries);
        free(m);
        return;
    }
    write_begin(m);
}

static void scan(struct making *m, uint64_t until_ms)
{
    struct bytes key, value;
    enum err e = ERR_OK;
    for (unsigned n = 0; e == ERR_OK && (n % 64 || host_now_ms(m->s->o.host) < until_ms); n++) {
        if (!ledger_snapshot_next(m->view, &key, &value)) {
            e = kv_view_close(m->view);
            m->view = NULL;
            if (e == ERR_OK)
                e = flush(m);
            if (e != ERR_OK)
                break;
            m->phase = CUT;
            host_submit(m->s->o.host, cut_work, cut_done, m);
            return;
        }
        snapshot_maker_add(m->maker, key, value, &m->pending);
        if (m->pending.n >= FLUSH_BYTES)
            e = flush(m);
    }
    if (e != ERR_OK)
        fail(m, err_text(e));
    else
        host_timer_set(m->s->o.host, &m->timer, SNAPSHOT_PAUSE_MS, step, m);
}

/* -- write -- */

static enum err write_leaf(struct making *m, struct buf *room)
{
    uint32_t n;
    const struct snapshot_item *item = snapshot_maker_leaf(m->maker, m->leaf, &n);
    enum err e = ERR_OK;
    buf_reset(room);
    for (uint32_t i = 0; e == ERR_OK && i < n; i++) {
        buf_reserve(room, item[i].size);
        e = host_file_get(m->entries, item[i].offset, room->p + room->n, item[i].size);
        room->n += item[i].size;
    }
    if (e != ERR_OK)
        return e;
    snapshot_leaf_sort(room);
    e = snapshot_leaf_hash(&m->table.at[m->leaf], bytes_of_buf(room), &m->hashes[m->leaf], NULL);
    if (e == ERR_OK && room->n > 0)
        e = host_file_put(m->leaves, m->leaves_size, room->p, room->n);
    struct snapshot_slot slot = {m->hashes[m->leaf], m->leaves_size, (uint32_t)room->n};
    snapshot_slot_put(&m->slots, &slot);
    m->leaves_size += room->n;
    m->leaf++;
    return e;
}

static enum err write_index(struct making *m, struct note *note)
{
    char path[4096];
    struct buf raw = {0};
    struct snapshot_tree *tree = snapshot_tree_new(&m->table, m->hashes);
    struct hash root = snapshot_tree_root(tree);
    snapshot_tree_free(tree);
    if (!hash_equal(&root, &m->base.state_root))
        return note_set(note, ERR_CORRUPT, "the store does not have the state of height %" PRIu64, m->base.height);
    struct snapshot_index x = {.base = m->base,
                               .depths = snapshot_maker_depths(m->maker),
                               .slots = bytes_of_buf(&m->slots),
                               .anchor = bytes_of_buf(&m->anchor)};
    x.check = snapshot_index_check(&x);
    snapshot_index_put(&raw, &x);
    snapshot_file(m->s, m->base.height, "index", path);
    enum err e = host_file_sync(m->leaves);
    if (e == ERR_OK)
        e = host_write(m->s->o.host, path, 0600, bytes_of_buf(&raw), note);
    buf_clear(&raw);
    return e;
}

static void write_end(struct making *m)
{
    struct note note = {{0}};
    struct ledger_base base = m->base;
    uint64_t size = m->leaves_size, ms = host_now_ms(m->s->o.host) - m->start_ms;
    enum err e = write_index(m, &note);
    if (e != ERR_OK) {
        fail(m, note.text[0] ? note.text : err_text(e));
        return;
    }
    struct snapshots *s = m->s;
    stop(m);
    e = snapshot_keep(s, base.height, &note);
    log_event(e == ERR_OK ? LOG_INFO : LOG_ODD, "snapshot", "made",
              "height=%" PRIu64 " leaves=%u bytes=%" PRIu64 " ms=%" PRIu64 " state=%s", base.height, base.leaves, size,
              ms, err_name(e));
}

static void write_some(struct making *m, uint64_t until_ms)
{
    struct buf room = {0};
    enum err e = ERR_OK;
    do
        e = write_leaf(m, &room);
    while (e == ERR_OK && m->leaf < m->table.n && host_now_ms(m->s->o.host) < until_ms);
    buf_clear(&room);
    if (e != ERR_OK)
        fail(m, err_text(e));
    else if (m->leaf < m->table.n)
        host_timer_set(m->s->o.host, &m->timer, SNAPSHOT_PAUSE_MS, step, m);
    else
        write_end(m);
}

static void step(void *arg)
{
    struct making *m = arg;
    uint64_t until_ms = host_now_ms(m->s->o.host) + SNAPSHOT_SLICE_MS;
    if (m->phase == SCAN)
        scan(m, until_ms);
    else if (m->phase == WRITE)
        write_some(m, until_ms);
}

void making_on_block(struct making *m, uint64_t height)
{
    const struct snapshots_options *o = &m->s->o;
    struct note note = {{0}};
    char path[4096];
    if (m->phase != OFF || o->interval == 0 || height % o->interval != 0)
        return;
    m->base = ledger_snapshot_of(o->ledger);
    m->start_ms = host_now_ms(o->host);
    consensus_anchor_put(o->consensus, &m->anchor);
    snapshot_path(m->s, "making.entries", path);
    enum err e = host_file_open(o->host, path, HOST_WRITE, &m->entries, &note);
    if (e == ERR_OK)
        e = host_file_cut(m->entries, 0);
    if (e == ERR_OK)
        e = ledger_snapshot_view(o->ledger, &m->view, &note);
    m->maker = snapshot_maker_new();
    m->phase = SCAN;
    if (e != ERR_OK)
        fail(m, note.text[0] ? note.text : err_text(e));
    else
        host_timer_set(o->host, &m->timer, 0, step, m);
}
