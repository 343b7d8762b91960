/* Keeping snapshots and serving them. */
#include "node/consensus/snapshot_in.h"

#include "base/log.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

RECORD_DEFINE(snapshot_offer, SNAPSHOT_OFFER_FIELDS)
RECORD_DEFINE(snapshot_ask, SNAPSHOT_ASK_FIELDS)
RECORD_DEFINE(snapshot_table_answer, SNAPSHOT_TABLE_FIELDS)
RECORD_DEFINE(snapshot_leaf_ask, SNAPSHOT_LEAF_ASK_FIELDS)
RECORD_DEFINE(snapshot_leaf_answer, SNAPSHOT_LEAF_ANSWER_FIELDS)
RECORD_DEFINE(light_answer, LIGHT_ANSWER_FIELDS)
RECORD_DEFINE(snapshot_slot, SNAPSHOT_SLOT_FIELDS)
RECORD_DEFINE(snapshot_index, SNAPSHOT_INDEX_FIELDS)

#define INDEX_BYTES_MAX ((SNAPSHOT_SLOT_SIZE + 1) * (size_t)SNAPSHOT_LEAVES_MAX + (64u << 10))

bool snapshot_sync_parse(const char *text, enum snapshot_sync *out)
{
    static const char *const names[] = {"auto", "snapshot", "blocks"};
    for (int i = 0; i < 3; i++)
        if (strcmp(text, names[i]) == 0) {
            *out = (enum snapshot_sync)i;
            return true;
        }
    return false;
}

/* -- files -- */

void snapshot_path(const struct snapshots *s, const char *name, char path[4096])
{
    snprintf(path, 4096, "%s/%s", s->dir, name);
}

void snapshot_file(const struct snapshots *s, uint64_t height, const char *kind, char path[4096])
{
    snprintf(path, 4096, "%s/%020" PRIu64 ".%s", s->dir, height, kind);
}

struct hash snapshot_index_check(const struct snapshot_index *x)
{
    struct buf b = {0};
    struct snapshot_index copy = *x;
    copy.check = (struct hash){{0}};
    snapshot_index_put(&b, &copy);
    struct hash h = hash_once(HASH_FILE, b.p, b.n);
    buf_clear(&b);
    return h;
}

static void kept_clear(struct kept *k)
{
    host_file_close(k->file);
    snapshot_tree_free(k->tree);
    snapshot_table_clear(&k->table);
    free(k->hashes);
    buf_clear(&k->raw);
    *k = (struct kept){0};
}

static void files_remove(struct snapshots *s, uint64_t height)
{
    char path[4096];
    snapshot_file(s, height, "index", path); /* first: without it the other is nothing */
    (void)!host_remove(s->o.host, path, NULL);
    snapshot_file(s, height, "leaves", path);
    (void)!host_remove(s->o.host, path, NULL);
}

/* The index is whole, and its hashes lead to its root. Leaves are compared when they are sent. */
static enum err kept_read(struct snapshots *s, uint64_t height, struct kept *k, struct note *note)
{
    char path[4096];
    *k = (struct kept){0};
    snapshot_file(s, height, "index", path);
    enum err e = host_read(s->o.host, path, INDEX_BYTES_MAX, &k->raw, note);
    if (e != ERR_OK)
        return e;
    struct cursor c = cursor_of(bytes_of_buf(&k->raw));
    snapshot_index_get(&c, &k->index);
    struct hash check = {{0}};
    if (cursor_end(&c))
        check = snapshot_index_check(&k->index);
    if (!cursor_end(&c) || !hash_equal(&check, &k->index.check) || k->index.base.height != height)
        return note_set(note, ERR_CORRUPT, "%s is damaged", path);
    e = snapshot_table_decode(k->index.depths, &k->table, note);
    if (e == ERR_OK && k->index.slots.n != (size_t)SNAPSHOT_SLOT_SIZE * k->table.n)
        e = note_set(note, ERR_CORRUPT, "%s does not fit its leaves", path);
    if (e != ERR_OK)
        return e;
    k->hashes = mem_array(k->table.n, sizeof *k->hashes);
    for (uint32_t i = 0; i < k->table.n; i++)
        memcpy(k->hashes[i].b, k->index.slots.p + (size_t)SNAPSHOT_SLOT_SIZE * i, HASH_SIZE);
    k->tree = snapshot_tree_new(&k->table, k->hashes);
    struct hash root = snapshot_tree_root(k->tree);
    if (!hash_equal(&root, &k->index.base.state_root))
        return note_set(note, ERR_CORRUPT, "%s does not have the root of its height", path);
    snapshot_file(s, height, "leaves", path);
    return host_file_open(s->o.host, path, HOST_READ, &k->file, note);
}

enum err snapshot_keep(struct snapshots *s, uint64_t height, struct note *note)
{
    struct kept k;
    enum err e = kept_read(s, height, &k, note);
    if (e != ERR_OK) {
        kept_clear(&k);
        files_remove(s, height);
        return e;
    }
    if (s->kept_n == SNAPSHOT_KEPT) {
        uint64_t oldest = s->kept[s->kept_n - 1].index.base.height;
        kept_clear(&s->kept[--s->kept_n]);
        files_remove(s, oldest);
    }
    memmove(&s->kept[1], &s->kept[0], s->kept_n * sizeof s->kept[0]);
    s->kept[0] = k;
    s->kept_n++;
    consensus_keep_from(s->o.consensus, s->kept[s->kept_n - 1].index.base.height);
    return ERR_OK;
}

struct listing {
    uint64_t heights[1024];
    unsigned n;
    struct snapshots *s;
};

/* In byte order, which is the order of heights. What is not whole is removed when it is met. */
static void on_name(void *arg, const char *name)
{
    struct listing *l = arg;
    uint64_t height = strtoull(name, NULL, 10);
    if (strlen(name) > 20 && (strcmp(name + 20, ".index") == 0 || strcmp(name + 20, ".leaves") == 0) && height > 0 &&
        l->n < 1024 && (l->n == 0 || l->heights[l->n - 1] != height))
        l->heights[l->n++] = height;
}

static enum err snapshots_read(struct snapshots *s, struct note *note)
{
    struct listing *l = mem_new(sizeof *l);
    enum err e = host_make_dir(s->o.host, s->dir, note);
    if (e == ERR_OK)
        e = host_list(s->o.host, s->dir, on_name, l, note);
    for (unsigned i = 0; e == ERR_OK && i < l->n; i++) {
        struct note why = {{0}};
        if (snapshot_keep(s, l->heights[i], &why) != ERR_OK)
            log_event(LOG_INFO, "snapshot", "dropped", "height=%" PRIu64 " why=\"%s\"", l->heights[i], why.text);
    }
    free(l);
    return e;
}

/* -- serving -- */

static const struct kept *kept_find(const struct snapshots *s, uint64_t height)
{
    for (unsigned i = 0; i < s->kept_n; i++)
        if (s->kept[i].index.base.height == height)
            return &s->kept[i];
    return NULL;
}

static void answer(struct snapshots *s, const struct pubkey *to, enum msg_type type, struct buf *body_take)
{
    enum err e = peers_send(s->o.peers, to, type, bytes_of_buf(body_take));
    if (e != ERR_OK)
        log_event(LOG_DEBUG, "snapshot", "unsent", "type=%d why=%s", (int)type, err_name(e));
    buf_clear(body_take);
}

static enum err on_list_get(void *arg, const struct pubkey *from, struct bytes body)
{
    struct snapshots *s = arg;
    struct buf out = {0};
    uint64_t height = ledger_info(s->o.ledger).height;
    if (body.n)
        return ERR_PROTOCOL;
    for (unsigned i = 0; i < s->kept_n; i++) {
        const struct ledger_base *b = &s->kept[i].index.base;
        struct snapshot_offer offer = {b->height, b->state_root, b->leaves,
                                       snapshot_table_hash(s->kept[i].index.depths)};
        if (b->height + 2 <= height) /* what proves it is there */
            snapshot_offer_put(&out, &offer);
    }
    answer(s, from, MSG_SNAPSHOT_LIST, &out);
    return ERR_OK;
}

static enum err on_table_get(void *arg, const struct pubkey *from, struct bytes body)
{
    struct snapshots *s = arg;
    struct snapshot_ask ask;
    struct cursor c = cursor_of(body);
    struct buf out = {0};
    snapshot_ask_get(&c, &ask);
    if (!cursor_end(&c))
        return ERR_PROTOCOL;
    const struct kept *k = kept_find(s, ask.height);
    struct snapshot_table_answer a = {.height = ask.height};
    if (k) {
        a.depths = k->index.depths;
        a.anchor = k->index.anchor;
    }
    snapshot_table_answer_put(&out, &a);
    answer(s, from, MSG_SNAPSHOT_TABLE, &out);
    return ERR_OK;
}

/* From disk, and still what it was: a peer would take a flipped bit for a lie. */
static bool leaf_read(struct snapshots *s, const struct kept *k, uint32_t leaf, struct buf *out)
{
    struct snapshot_slot slot;
    struct hash h;
    struct cursor c = cursor_of(bytes_of(k->index.slots.p + (size_t)SNAPSHOT_SLOT_SIZE * leaf, SNAPSHOT_SLOT_SIZE));
    snapshot_slot_get(&c, &slot);
    if (slot.size > SNAPSHOT_LEAF_MAX)
        return false;
    buf_reserve(out, slot.size + 1);
    out->n = slot.size;
    bool is_good = (slot.size == 0 || host_file_get(k->file, slot.offset, out->p, slot.size) == ERR_OK) &&
                   snapshot_leaf_hash(&k->table.at[leaf], bytes_of_buf(out), &h, NULL) == ERR_OK &&
                   hash_equal(&h, &slot.hash);
    if (!is_good)
        log_event(LOG_ODD, "snapshot", "unreadable", "height=%" PRIu64 " leaf=%u dir=%s why=\"the disk changed it\"",
                  k->index.base.height, leaf, s->dir);
    return is_good;
}

static enum err on_leaf_get(void *arg, const struct pubkey *from, struct bytes body)
{
    struct snapshots *s = arg;
    struct snapshot_leaf_ask ask;
    struct cursor c = cursor_of(body);
    struct buf out = {0}, entries = {0}, siblings = {0};
    snapshot_leaf_ask_get(&c, &ask);
    if (!cursor_end(&c))
        return ERR_PROTOCOL;
    const struct kept *k = kept_find(s, ask.height);
    struct snapshot_leaf_answer leaf = {.height = ask.height, .leaf = ask.leaf};
    if (k && ask.leaf < k->table.n && leaf_read(s, k, ask.leaf, &entries)) {
        snapshot_tree_siblings(k->tree, &k->table.at[ask.leaf], &siblings);
        leaf.has = true;
        leaf.siblings = (struct hashes){siblings.p, (uint32_t)(siblings.n / HASH_SIZE)};
        leaf.entries = bytes_of_buf(&entries);
    }
    snapshot_leaf_answer_put(&out, &leaf);
    answer(s, from, MSG_SNAPSHOT_LEAF, &out);
    buf_clear(&entries);
    buf_clear(&siblings);
    return ERR_OK;
}

static enum err on_light_get(void *arg, const struct pubkey *from, struct bytes body)
{
    struct snapshots *s = arg;
    struct snapshot_ask ask;
    struct cursor c = cursor_of(body);
    struct buf block = {0}, out = {0};
    snapshot_ask_get(&c, &ask);
    if (!cursor_end(&c))
        return ERR_PROTOCOL;
    if (consensus_light_block(s->o.consensus, ask.height, &block, NULL) != ERR_OK)
        buf_reset(&block);
    light_answer_put(&out, &(struct light_answer){ask.height, bytes_of_buf(&block)});
    answer(s, from, MSG_LIGHT, &out);
    buf_clear(&block);
    return ERR_OK;
}

static void on_block(void *arg, const struct consensus_block *block)
{
    struct snapshots *s = arg;
    making_on_block(s->making, block->header->height);
}

/* -- life -- */

enum err snapshots_open(const struct snapshots_options *o, struct snapshots **out, struct note *note)
{
    struct snapshots *s = mem_new(sizeof *s);
    s->o = *o;
    s->dir = mem_string(o->dir);
    s->o.dir = s->dir;
    *out = NULL;
    enum err e = snapshots_read(s, note);
    if (e != ERR_OK) {
        snapshots_close(s);
        return e;
    }
    s->making = making_new(s);
    s->joining = joining_new(s);
    peers_on(o->peers, MSG_SNAPSHOT_LIST_GET, on_list_get, s);
    peers_on(o->peers, MSG_SNAPSHOT_TABLE_GET, on_table_get, s);
    peers_on(o->peers, MSG_SNAPSHOT_LEAF_GET, on_leaf_get, s);
    peers_on(o->peers, MSG_LIGHT_GET, on_light_get, s);
    consensus_on_block(o->consensus, on_block, s);
    *out = s;
    return ERR_OK;
}

void snapshots_close(struct snapshots *s)
{
    if (!s)
        return;
    making_free(s->making);
    joining_free(s->joining);
    for (unsigned i = 0; i < s->kept_n; i++)
        kept_clear(&s->kept[i]);
    free(s->dir);
    free(s);
}

struct snapshots_status snapshots_status(const struct snapshots *s)
{
    struct snapshots_status status = {.newest = s->kept_n ? s->kept[0].index.base.height : 0,
                                      .is_making = making_is_on(s->making)};
    joining_status(s->joining, &status);
    return status;
}
