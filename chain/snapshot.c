/* Cutting the state into leaves, and checking one. */
#include "chain/snapshot.h"

#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

RECORD_DEFINE(snapshot_entry, SNAPSHOT_ENTRY_FIELDS)

#define DEPTH_MAX 64u

/* -- places -- */

static uint64_t path_head(const struct hash *path)
{
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v = v << 8 | path->b[i];
    return v;
}

static bool head_bit(uint64_t head, unsigned i)
{
    return head >> (63 - i) & 1;
}

/* How many heads a place holds; 0 stands for all 2^64. */
static uint64_t place_width(unsigned depth)
{
    return depth ? UINT64_C(1) << (64 - depth) : 0;
}

static bool place_holds(const struct snapshot_place *p, uint64_t head)
{
    return p->depth == 0 || (head ^ p->start) >> (64 - p->depth) == 0;
}

enum err snapshot_table_decode(struct bytes depths, struct snapshot_table *out, struct note *note)
{
    uint64_t start = 0;
    *out = (struct snapshot_table){0};
    if (depths.n == 0 || depths.n > SNAPSHOT_LEAVES_MAX)
        return note_set(note, ERR_LIMIT, "a snapshot of %zu leaves: from 1 to %u", depths.n, SNAPSHOT_LEAVES_MAX);
    out->at = mem_array(depths.n, sizeof *out->at);
    for (size_t i = 0; i < depths.n; i++) {
        unsigned depth = depths.p[i];
        if (depth > DEPTH_MAX || (i > 0 && start == 0) || (depth < DEPTH_MAX && start << depth))
            return note_set(note, ERR_FORMAT, "leaf %zu of the snapshot overlaps another", i);
        out->at[i] = (struct snapshot_place){start, (uint8_t)depth};
        start += place_width(depth);
    }
    if (start != 0)
        return note_set(note, ERR_FORMAT, "the snapshot's leaves leave a gap");
    out->n = (uint32_t)depths.n;
    return ERR_OK;
}

void snapshot_table_clear(struct snapshot_table *t)
{
    free(t->at);
    *t = (struct snapshot_table){0};
}

struct hash snapshot_table_hash(struct bytes depths)
{
    return hash_once(HASH_SNAPSHOT, depths.p, depths.n);
}

/* -- the hash of what stands at a place, as chain/tree.h defines it -- */

struct path_entry {
    struct hash path;
    struct bytes value;
    size_t at, n; /* of the encoding */
};

static struct hash entry_hash(const struct path_entry *e)
{
    struct hasher h;
    hash_start(&h, HASH_STATE_LEAF);
    hash_add(&h, e->path.b, sizeof e->path.b);
    hash_add(&h, e->value.p, e->value.n);
    return hash_end(&h);
}

static struct hash pair_hash(const struct hash *zero, const struct hash *one)
{
    struct hash pair[2] = {*zero, *one};
    return hash_once(HASH_STATE, pair, sizeof pair);
}

static bool path_bit(const struct hash *path, unsigned i)
{
    return path->b[i / 8] >> (7 - i % 8) & 1;
}

/* Entries in order of their paths, which agree in the first `depth` bits. Distinct paths end the recursion. */
static struct hash entries_hash(const struct path_entry *e, size_t n, unsigned depth)
{
    size_t low = 0, high = n;
    if (n == 0)
        return (struct hash){{0}};
    if (n == 1)
        return entry_hash(e);
    while (low < high) { /* the first whose next bit is 1 */
        size_t mid = low + (high - low) / 2;
        if (path_bit(&e[mid].path, depth))
            high = mid;
        else
            low = mid + 1;
    }
    struct hash zero = entries_hash(e, low, depth + 1), one = entries_hash(e + low, n - low, depth + 1);
    return pair_hash(&zero, &one);
}

/* The entries with their paths; NULL where they do not decode. The caller frees. */
static struct path_entry *entries_read(struct bytes entries, size_t *n)
{
    size_t room = 64;
    struct path_entry *e = mem_array(room, sizeof *e);
    struct cursor c = cursor_of(entries);
    for (*n = 0; c.n > 0;) {
        struct snapshot_entry entry;
        size_t before = c.n;
        snapshot_entry_get(&c, &entry);
        if (!cursor_ok(&c) || entry.key.n == 0 || entry.key.n > SNAPSHOT_KEY_MAX) {
            free(e);
            return NULL;
        }
        if (*n == room) {
            room *= 2;
            e = mem_resize(e, room, sizeof *e);
        }
        e[(*n)++] = (struct path_entry){hash_once(HASH_STATE_KEY, entry.key.p, entry.key.n), entry.value,
                                        entries.n - before, before - c.n};
    }
    return e;
}

enum err snapshot_leaf_hash(const struct snapshot_place *place, struct bytes entries, struct hash *out,
                            struct note *note)
{
    size_t n;
    if (entries.n > SNAPSHOT_LEAF_MAX)
        return note_set(note, ERR_LIMIT, "a leaf of %zu bytes: at most %u", entries.n, SNAPSHOT_LEAF_MAX);
    struct path_entry *e = entries_read(entries, &n);
    if (!e)
        return note_set(note, ERR_FORMAT, "a leaf whose entries do not decode");
    bool is_good = true;
    for (size_t i = 0; is_good && i < n; i++)
        is_good = place_holds(place, path_head(&e[i].path)) && (i == 0 || hash_compare(&e[i - 1].path, &e[i].path) < 0);
    if (is_good)
        *out = entries_hash(e, n, place->depth);
    free(e);
    return is_good ? ERR_OK : note_set(note, ERR_FORMAT, "a leaf with entries out of their place");
}

enum err snapshot_leaf_check(const struct hash *root, const struct snapshot_place *place, const struct hashes *siblings,
                             struct bytes entries, struct note *note)
{
    struct hash top;
    if (siblings->n != place->depth)
        return note_set(note, ERR_FORMAT, "a leaf at depth %u with %u siblings", place->depth, siblings->n);
    enum err e = snapshot_leaf_hash(place, entries, &top, note);
    if (e != ERR_OK)
        return e;
    for (unsigned depth = place->depth; depth-- > 0;) {
        struct hash sibling = hashes_at(siblings, depth);
        top = head_bit(place->start, depth) ? pair_hash(&sibling, &top) : pair_hash(&top, &sibling);
    }
    if (!hash_equal(&top, root))
        return note_set(note, ERR_CORRUPT, "a leaf that is not of this state");
    return ERR_OK;
}

static int compare_paths(const void *a, const void *b)
{
    const struct path_entry *x = a, *y = b;
    return hash_compare(&x->path, &y->path);
}

void snapshot_leaf_sort(struct buf *entries)
{
    size_t n;
    struct path_entry *e = entries_read(bytes_of_buf(entries), &n);
    struct buf sorted = {0};
    CHECK(e);
    if (n > 1)
        qsort(e, n, sizeof *e, compare_paths);
    for (size_t i = 0; i < n; i++)
        buf_add(&sorted, entries->p + e[i].at, e[i].n);
    free(e);
    buf_clear(entries);
    *entries = sorted;
}

/* -- the tree above the leaves: nodes in pre-order, the left child behind its parent -- */

struct snapshot_node {
    struct hash hash;
    uint32_t right; /* 0: a leaf */
};
struct snapshot_tree {
    const struct snapshot_table *table;
    const struct hash *leaves;
    uint32_t leaf, n; /* how many of each are built */
    struct snapshot_node *at;
};

static uint32_t build(struct snapshot_tree *t, unsigned depth)
{
    uint32_t self = t->n++;
    if (t->table->at[t->leaf].depth == depth) {
        t->at[self] = (struct snapshot_node){t->leaves[t->leaf++], 0};
        return self;
    }
    uint32_t left = build(t, depth + 1);
    t->at[self].right = build(t, depth + 1);
    t->at[self].hash = pair_hash(&t->at[left].hash, &t->at[t->at[self].right].hash);
    return self;
}

struct snapshot_tree *snapshot_tree_new(const struct snapshot_table *table, const struct hash *leaves)
{
    struct snapshot_tree *t = mem_new(sizeof *t);
    CHECK(table->n > 0);
    t->table = table;
    t->leaves = leaves;
    t->at = mem_array(2 * (size_t)table->n, sizeof *t->at);
    build(t, 0);
    return t;
}

void snapshot_tree_free(struct snapshot_tree *t)
{
    if (t)
        free(t->at);
    free(t);
}

struct hash snapshot_tree_root(const struct snapshot_tree *t)
{
    return t->at[0].hash;
}

void snapshot_tree_siblings(const struct snapshot_tree *t, const struct snapshot_place *place, struct buf *out)
{
    uint32_t at = 0;
    for (unsigned depth = 0; depth < place->depth; depth++) {
        uint32_t left = at + 1, right = t->at[at].right;
        CHECK(right);
        bool bit = head_bit(place->start, depth);
        codec_put_hash(out, &t->at[bit ? left : right].hash);
        at = bit ? right : left;
    }
}

/* -- cutting -- */

struct snapshot_maker {
    struct snapshot_item *items;
    size_t n, room;
    uint64_t size;
    struct buf depths;
    size_t *first; /* item of each leaf, and the end */
    size_t first_room;
};

struct snapshot_maker *snapshot_maker_new(void)
{
    return mem_new(sizeof(struct snapshot_maker));
}

void snapshot_maker_free(struct snapshot_maker *m)
{
    if (!m)
        return;
    free(m->items);
    free(m->first);
    buf_clear(&m->depths);
    free(m);
}

void snapshot_maker_add(struct snapshot_maker *m, struct bytes key, struct bytes value, struct buf *out)
{
    size_t before = out->n;
    struct hash path = hash_once(HASH_STATE_KEY, key.p, key.n);
    CHECK(key.n <= SNAPSHOT_KEY_MAX);
    if (m->n == m->room) {
        m->room = m->room ? 2 * m->room : 1024;
        m->items = mem_resize(m->items, m->room, sizeof *m->items);
    }
    snapshot_entry_put(out, &(struct snapshot_entry){key, value});
    m->items[m->n++] = (struct snapshot_item){path_head(&path), m->size, (uint32_t)(out->n - before)};
    m->size += out->n - before;
}

static int compare_items(const void *a, const void *b)
{
    const struct snapshot_item *x = a, *y = b;
    return (x->path > y->path) - (x->path < y->path);
}

static enum err cut(struct snapshot_maker *m, size_t from, size_t to, uint64_t size, unsigned depth)
{
    if (size <= SNAPSHOT_LEAF_BYTES || depth == DEPTH_MAX || to - from < 2) {
        uint8_t byte = (uint8_t)depth;
        if (m->depths.n == SNAPSHOT_LEAVES_MAX || size > SNAPSHOT_LEAF_MAX)
            return ERR_LIMIT;
        if (m->depths.n + 2 > m->first_room) {
            m->first_room = m->first_room ? 2 * m->first_room : 64;
            m->first = mem_resize(m->first, m->first_room, sizeof *m->first);
        }
        m->first[m->depths.n] = from;
        m->first[m->depths.n + 1] = to;
        buf_add(&m->depths, &byte, 1);
        return ERR_OK;
    }
    size_t middle = from;
    uint64_t left = 0;
    for (; middle < to && !head_bit(m->items[middle].path, depth); middle++)
        left += m->items[middle].size;
    enum err e = cut(m, from, middle, left, depth + 1);
    return e == ERR_OK ? cut(m, middle, to, size - left, depth + 1) : e;
}

enum err snapshot_maker_cut(struct snapshot_maker *m)
{
    if (m->n > 1)
        qsort(m->items, m->n, sizeof *m->items, compare_items);
    return cut(m, 0, m->n, m->size, 0);
}

struct bytes snapshot_maker_depths(const struct snapshot_maker *m)
{
    return bytes_of_buf(&m->depths);
}

const struct snapshot_item *snapshot_maker_leaf(const struct snapshot_maker *m, uint32_t i, uint32_t *n)
{
    CHECK(i < m->depths.n);
    *n = (uint32_t)(m->first[i + 1] - m->first[i]);
    return m->items + m->first[i];
}

/* -- the anchor -- */

void snapshot_anchor_put(struct buf *out, const struct valset *next, const struct valset *after)
{
    valset_put(out, next);
    valset_put(out, after);
}

static bool is_set_of(const struct valset *s, const struct hash *members, const struct hash *rotation)
{
    struct hash m = valset_hash(s), r = valset_rotation_hash(s);
    return hash_equal(&m, members) && hash_equal(&r, rotation);
}

enum err snapshot_anchor_get(struct bytes raw, const struct header *next_header, const struct header *after_header,
                             struct valset *next, struct valset *after, struct note *note)
{
    struct cursor c = cursor_of(raw);
    valset_get(&c, next);
    valset_get(&c, after);
    if (!cursor_end(&c))
        return note_set(note, ERR_FORMAT, "the snapshot's validators do not decode");
    if (!is_set_of(next, &next_header->validators, &next_header->rotation) ||
        !is_set_of(after, &next_header->next_validators, &after_header->rotation))
        return note_set(note, ERR_CORRUPT,
                        "the snapshot's validators are not those of headers %" PRIu64 " and %" PRIu64,
                        next_header->height, after_header->height);
    return ERR_OK;
}
