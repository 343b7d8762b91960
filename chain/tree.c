/* The authenticated state in memory: changes, their journal, filling. tree_core.h says how it is laid out. */
#include "chain/tree_core.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* -- the tree -- */

struct tree *tree_new(const char *listed)
{
    struct tree *t = mem_new(sizeof *t);
    t->leaves = (struct pool){.item = sizeof(struct leaf), .used = 1};
    order_init(t);
    t->top = mem_new(sizeof *t->top);
    t->epoch = 1;
    t->loading = mem_array(TREE_LOAD, sizeof *t->loading);
    t->recent = mem_array(TREE_RECENT, sizeof *t->recent);
    for (; *listed; listed++)
        t->listed[(uint8_t)*listed] = true;
    return t;
}

void tree_free(struct tree *t)
{
    if (!t)
        return;
    tree_settle(t);
    page_free(t, t->top);
    pool_clear(&t->leaves);
    order_clear(t);
    free(t->top);
    for (uint32_t i = 0; i < t->loading_n; i++)
        payload_clear(&t->loading[i]);
    free(t->loading);
    free(t->recent);
    free(t->journal);
    free(t->touched);
    free(t);
}

void tree_set_parallel(struct tree *t, const struct parallel *p)
{
    t->parallel = *p;
}

uint64_t tree_count(const struct tree *t)
{
    return t->count;
}

struct bytes tree_get(const struct tree *t, struct bytes key)
{
    uint32_t leaf = leaf_find(t, key);
    return leaf ? leaf_value(tree_leaf(t, leaf)) : (struct bytes){0};
}

void tree_near(const struct tree *t, const struct hash *path)
{
    uint64_t bits = path_bits(path);
    page_near(tree_page(t, bits), bits);
}

struct tree_spot tree_warm(const struct tree *t, const struct hash *path)
{
    struct tree_spot spot = {*path, locate(t, path).leaf};
    tree_fetch(t, &spot);
    return spot;
}

/* The first entry at or behind these bits whose path is behind `after`. Entries before it have equal bits: few. */
static const struct leaf *page_next(const struct tree *t, const struct page *p, uint64_t bits, const struct hash *after)
{
    for (uint32_t i = page_rank(p, bits); i < p->n; i++) {
        const struct leaf *l = page_leaf(t, p, i);
        if (!after || hash_compare(&l->path, after) > 0)
            return l;
    }
    return NULL;
}

bool tree_next_path(const struct tree *t, const struct hash *after, struct hash *path, struct bytes *key,
                    struct bytes *value)
{
    const struct leaf *found = NULL;
    for (uint64_t bits = after ? path_bits(after) : 0;;) {
        const struct page *p = tree_page(t, bits);
        if ((found = page_next(t, p, bits, after)))
            break;
        uint64_t span = p->depth ? UINT64_C(1) << (64 - p->depth) : 0; /* on to the next page, if any */
        uint64_t next = p->depth ? (bits & ~(span - 1)) + span : 0;
        if (next == 0)
            return false;
        bits = next;
    }
    *path = found->path;
    *key = leaf_key(found);
    *value = leaf_value(found);
    return true;
}

/* -- changes -- */

static void touch(struct tree *t, uint64_t bits)
{
    if (t->touched_n == t->touched_room) {
        t->touched_room = t->touched_room ? 2 * t->touched_room : 256;
        t->touched = mem_resize(t->touched, t->touched_room, sizeof *t->touched);
    }
    t->touched[t->touched_n++] = bits;
}

static uint32_t leaf_new(struct tree *t, const struct hash *path, const struct payload *data)
{
    uint32_t i = pool_take(&t->leaves);
    struct leaf *l = tree_leaf(t, i);
    l->path = *path;
    l->data = *data;
    l->fork_depth = TREE_NO_FORK;
    l->dirty = true;
    t->count++;
    if (data->key_n && t->listed[*payload_at(data)])
        order_add(t, i);
    return i;
}

static uint32_t insert(struct tree *t, const struct place *x, const struct hash *path, const struct payload *data)
{
    uint32_t i = leaf_new(t, path, data);
    touch(t, x->bits);
    page_insert(t, x, i);
    return i;
}

/* Gives up the entry; its payload stays with the caller. */
static void cut(struct tree *t, const struct place *x)
{
    struct page *p = x->page;
    struct leaf *l = tree_leaf(t, x->leaf);
    uint32_t behind = p->n - x->at - 1;
    touch(t, x->bits);
    if (x->at > 0)
        touch(t, p->u.bits[x->at - 1]);
    if (behind)
        touch(t, p->u.bits[x->at + 1]);
    if (l->data.key_n && t->listed[*payload_at(&l->data)])
        order_remove(t, x->leaf);
    memmove(p->u.bits + x->at, p->u.bits + x->at + 1, behind * sizeof(uint64_t));
    memmove(page_leaves(p) + x->at, page_leaves(p) + x->at + 1, behind * sizeof(uint32_t));
    p->n--;
    p->moved = true;
    pool_give(&t->leaves, x->leaf);
    t->count--;
}

/* Another payload for an entry that exists; what it was stays with the caller. */
static void exchange(struct tree *t, uint32_t leaf, const struct payload *data)
{
    struct leaf *l = tree_leaf(t, leaf);
    if (!l->dirty)
        touch(t, path_bits(&l->path));
    l->dirty = true;
    l->data = *data;
}

static void journal_add(struct tree *t, const struct hash *path, uint32_t leaf, const struct payload *was)
{
    if (t->journal_n == t->journal_room) {
        t->journal_room = t->journal_room ? 2 * t->journal_room : 256;
        t->journal = mem_resize(t->journal, t->journal_room, sizeof *t->journal);
    }
    struct undo *u = &t->journal[t->journal_n++];
    u->path = *path;
    u->leaf = leaf;
    u->was_there = was != NULL;
    u->is_first = leaf && tree_leaf(t, leaf)->epoch != t->epoch;
    u->data = was ? *was : (struct payload){0};
    if (leaf)
        tree_leaf(t, leaf)->epoch = t->epoch;
}

void tree_put(struct tree *t, struct bytes key, struct bytes value)
{
    uint32_t leaf = leaf_find(t, key);
    if (leaf && bytes_equal(leaf_value(tree_leaf(t, leaf)), value))
        return;
    struct payload data = payload_make(key, value);
    if (leaf) {
        journal_add(t, &tree_leaf(t, leaf)->path, leaf, &tree_leaf(t, leaf)->data);
        exchange(t, leaf, &data);
    } else {
        struct hash path = tree_path(t, key);
        struct place x = locate(t, &path);
        journal_add(t, &path, insert(t, &x, &path, &data), NULL);
    }
}

void tree_remove(struct tree *t, struct bytes key)
{
    struct hash path = tree_path(t, key);
    struct place x = locate(t, &path);
    if (!x.leaf)
        return;
    journal_add(t, &path, 0, &tree_leaf(t, x.leaf)->data);
    cut(t, &x);
}

/* -- filling -- */

static void load_paths(const struct tree *t, struct hash out[TREE_LOAD])
{
    _Static_assert(TREE_LOAD <= TREE_PATHS_MAX, "one call does");
    struct bytes keys[TREE_LOAD];
    for (uint32_t i = 0; i < t->loading_n; i++)
        keys[i] = bytes_of(payload_at(&t->loading[i]), t->loading[i].key_n);
    tree_paths(keys, t->loading_n, out);
}

/* Stale pages stand for the list of what is touched, which would be as long as the tree. The pages of all that wait are
 * asked for before the first is needed. */
static bool load_flush(struct tree *t)
{
    struct hash paths[TREE_LOAD];
    bool all_new = true;
    load_paths(t, paths);
    for (uint32_t i = 0; i < t->loading_n; i++)
        tree_near(t, &paths[i]);
    for (uint32_t i = 0; i < t->loading_n; i++) {
        struct place x = locate(t, &paths[i]);
        if (x.leaf) {
            payload_clear(&t->loading[i]);
            all_new = false;
            continue;
        }
        mark_stale(t, x.bits);
        page_insert(t, &x, leaf_new(t, &paths[i], &t->loading[i]));
    }
    t->loading_n = 0;
    return all_new;
}

bool tree_load(struct tree *t, struct bytes key, struct bytes value)
{
    t->loading[t->loading_n++] = payload_make(key, value);
    return t->loading_n < TREE_LOAD || load_flush(t);
}

bool tree_load_end(struct tree *t)
{
    return load_flush(t);
}

/* -- the journal -- */

size_t tree_mark(const struct tree *t)
{
    return t->journal_n;
}

static void undo_one(struct tree *t, const struct undo *u)
{
    struct place x = locate(t, &u->path);
    struct payload now = {0};
    if (x.leaf)
        now = tree_leaf(t, x.leaf)->data;
    if (x.leaf && u->is_first)
        tree_leaf(t, x.leaf)->epoch = 0;
    if (x.leaf && u->was_there)
        exchange(t, x.leaf, &u->data);
    else if (x.leaf)
        cut(t, &x);
    else if (u->was_there)
        insert(t, &x, &u->path, &u->data);
    payload_clear(&now);
}

void tree_undo(struct tree *t, size_t mark)
{
    CHECK(mark <= t->journal_n);
    while (t->journal_n > mark)
        undo_one(t, &t->journal[--t->journal_n]);
}

void tree_settle(struct tree *t)
{
    for (size_t i = 0; i < t->journal_n; i++)
        payload_clear(&t->journal[i].data);
    t->journal_n = 0;
    t->epoch++;
}

/* The entry that a change left, if it is still there. Its number is good as long as the path there is the same. */
static struct leaf *changed_leaf(struct tree *t, const struct undo *u)
{
    if (u->leaf && hash_equal(&tree_leaf(t, u->leaf)->path, &u->path))
        return tree_leaf(t, u->leaf);
    uint32_t leaf = locate(t, &u->path).leaf;
    return leaf ? tree_leaf(t, leaf) : NULL;
}

#define CHANGES_AHEAD 8u /* their memory comes while so many are visited */

void tree_changes(struct tree *t, tree_change_fn visit, void *arg)
{
    for (size_t i = 0; i < t->journal_n; i++) {
        const struct undo *u = &t->journal[i];
        if (i + CHANGES_AHEAD < t->journal_n && u[CHANGES_AHEAD].leaf)
            leaf_fetch(tree_leaf(t, u[CHANGES_AHEAD].leaf));
        if (u->leaf && !u->is_first)
            continue;
        const struct leaf *l = changed_leaf(t, u);
        if (l)
            visit(arg, leaf_key(l), leaf_value(l));
        else if (u->was_there)
            visit(arg, bytes_of(payload_at(&u->data), u->data.key_n), (struct bytes){0});
    }
}
