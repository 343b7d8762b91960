/* The authenticated state in memory: a binary tree over hashed keys, an ordered index over the listed ones, a journal.
 *
 * Invariants:
 *   - a reference is 0 (nothing), an inner node, or a leaf (LEAF_BIT set); node and leaf 0 are never used;
 *   - an inner node has at least two leaves below it, so removing one may lift its last neighbour;
 *   - a dirty node's or leaf's hash is stale, and then every node above it is dirty too;
 *   - the order index holds exactly the leaves of listed classes: a treap whose priorities are the paths' first bytes,
 *     which are as good as random and the same on every machine;
 *   - the journal owns the old data of what it would bring back. */
#include "chain/tree.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define LEAF_BIT   0x80000000u
#define CHUNK      4096u
#define CHUNKS_MAX (LEAF_BIT / CHUNK)
#define PATH_BITS  256u

/* Fixed-size items in chunks that never move. */
struct pool {
    size_t item;
    uint8_t **chunks;
    uint32_t chunks_n;
    uint32_t used; /* first never used; starts at 1 */
    uint32_t free_first;
};

struct node {
    struct hash hash;
    uint32_t child[2];
    bool dirty;
};

struct leaf {
    struct hash path, hash;
    uint8_t *data; /* key, value */
    uint32_t key_n, value_n;
    uint32_t before, after; /* children in the order index */
    uint32_t seen;          /* last tree_changes that told of it */
    bool dirty;
};

/* What a key was before a change: data NULL where it was absent. */
struct undo {
    struct hash path;
    uint8_t *data;
    uint32_t key_n, value_n;
};

struct tree {
    struct pool nodes, leaves;
    uint32_t root, order;
    uint64_t count;
    bool listed[256];
    struct undo *journal;
    size_t journal_n, journal_room;
    uint32_t epoch;
};

/* -- pools -- */

static void *pool_at(const struct pool *p, uint32_t i)
{
    return p->chunks[i / CHUNK] + (size_t)(i % CHUNK) * p->item;
}

static uint32_t pool_take(struct pool *p)
{
    uint32_t i = p->free_first;
    if (i) {
        memcpy(&p->free_first, pool_at(p, i), sizeof p->free_first);
        memset(pool_at(p, i), 0, p->item);
        return i;
    }
    i = p->used++;
    if (i / CHUNK == p->chunks_n) {
        CHECK(p->chunks_n < CHUNKS_MAX);
        p->chunks = mem_resize(p->chunks, p->chunks_n + 1, sizeof *p->chunks);
        p->chunks[p->chunks_n++] = mem_array(CHUNK, p->item);
    }
    return i;
}

static void pool_give(struct pool *p, uint32_t i)
{
    memcpy(pool_at(p, i), &p->free_first, sizeof p->free_first);
    p->free_first = i;
}

static void pool_clear(struct pool *p)
{
    for (uint32_t i = 0; i < p->chunks_n; i++)
        free(p->chunks[i]);
    free(p->chunks);
}

static struct node *node_at(const struct tree *t, uint32_t ref)
{
    return pool_at(&t->nodes, ref);
}

static struct leaf *leaf_at(const struct tree *t, uint32_t ref)
{
    return pool_at(&t->leaves, ref & ~LEAF_BIT);
}

static unsigned path_bit(const struct hash *path, unsigned i)
{
    return path->b[i / 8] >> (7 - i % 8) & 1;
}

static struct hash path_of(struct bytes key)
{
    return hash_once(HASH_STATE_KEY, key.p, key.n);
}

static struct bytes leaf_key(const struct leaf *l)
{
    return bytes_of(l->data, l->key_n);
}

static struct bytes leaf_value(const struct leaf *l)
{
    return bytes_of(l->data + l->key_n, l->value_n);
}

/* -- order index -- */

static int compare_keys(struct bytes a, struct bytes b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.p, b.p, n) : 0;
    return c ? c : (a.n > b.n) - (a.n < b.n);
}

/* Splits `at` into keys up to `key` and keys behind it. */
static void order_split(struct tree *t, uint32_t at, struct bytes key, uint32_t *low, uint32_t *high)
{
    while (at) {
        struct leaf *l = leaf_at(t, at);
        if (compare_keys(leaf_key(l), key) <= 0) {
            *low = at;
            low = &l->after;
            at = l->after;
        } else {
            *high = at;
            high = &l->before;
            at = l->before;
        }
    }
    *low = *high = 0;
}

static void order_add(struct tree *t, uint32_t ref)
{
    struct leaf *l = leaf_at(t, ref);
    uint32_t *slot = &t->order;
    while (*slot && hash_compare(&leaf_at(t, *slot)->path, &l->path) < 0) {
        struct leaf *at = leaf_at(t, *slot);
        slot = compare_keys(leaf_key(l), leaf_key(at)) < 0 ? &at->before : &at->after;
    }
    uint32_t below = *slot;
    *slot = ref;
    order_split(t, below, leaf_key(l), &l->before, &l->after);
}

static void order_remove(struct tree *t, uint32_t ref)
{
    struct leaf *l = leaf_at(t, ref);
    uint32_t *slot = &t->order;
    while (*slot != ref) {
        CHECK(*slot);
        struct leaf *at = leaf_at(t, *slot);
        slot = compare_keys(leaf_key(l), leaf_key(at)) < 0 ? &at->before : &at->after;
    }
    uint32_t a = l->before, b = l->after;
    while (a && b) { /* join: the smaller path stands above */
        struct leaf *x = leaf_at(t, a), *y = leaf_at(t, b);
        if (hash_compare(&x->path, &y->path) < 0) {
            *slot = a;
            slot = &x->after;
            a = x->after;
        } else {
            *slot = b;
            slot = &y->before;
            b = y->before;
        }
    }
    *slot = a ? a : b;
    l->before = l->after = 0;
}

bool tree_next(const struct tree *t, struct bytes prefix, struct bytes after, struct bytes *key, struct bytes *value)
{
    const struct leaf *best = NULL;
    for (uint32_t at = t->order; at;) {
        const struct leaf *l = leaf_at(t, at);
        bool behind = after.p ? compare_keys(leaf_key(l), after) > 0 : compare_keys(leaf_key(l), prefix) >= 0;
        if (behind)
            best = l;
        at = behind ? l->before : l->after;
    }
    if (!best || best->key_n < prefix.n || memcmp(best->data, prefix.p, prefix.n) != 0)
        return false;
    *key = leaf_key(best);
    *value = leaf_value(best);
    return true;
}

/* -- the tree -- */

struct tree *tree_new(const char *listed)
{
    struct tree *t = mem_new(sizeof *t);
    t->nodes = (struct pool){.item = sizeof(struct node), .used = 1};
    t->leaves = (struct pool){.item = sizeof(struct leaf), .used = 1};
    for (; *listed; listed++)
        t->listed[(uint8_t)*listed] = true;
    return t;
}

static void free_leaves(struct tree *t, uint32_t ref)
{
    if (ref & LEAF_BIT) {
        free(leaf_at(t, ref)->data);
    } else if (ref) {
        free_leaves(t, node_at(t, ref)->child[0]);
        free_leaves(t, node_at(t, ref)->child[1]);
    }
}

void tree_free(struct tree *t)
{
    if (!t)
        return;
    free_leaves(t, t->root);
    tree_settle(t);
    pool_clear(&t->nodes);
    pool_clear(&t->leaves);
    free(t->journal);
    free(t);
}

uint64_t tree_count(const struct tree *t)
{
    return t->count;
}

static struct leaf *find(const struct tree *t, const struct hash *path)
{
    uint32_t ref = t->root;
    for (unsigned depth = 0; ref && !(ref & LEAF_BIT); depth++)
        ref = node_at(t, ref)->child[path_bit(path, depth)];
    struct leaf *l = ref ? leaf_at(t, ref) : NULL;
    return l && hash_equal(&l->path, path) ? l : NULL;
}

struct bytes tree_get(const struct tree *t, struct bytes key)
{
    struct hash path = path_of(key);
    const struct leaf *l = find(t, &path);
    return l ? leaf_value(l) : (struct bytes){0};
}

/* Down the path to where its entry stands or would stand; marks all above it. */
static uint32_t *descend(struct tree *t, const struct hash *path, unsigned *depth)
{
    uint32_t *slot = &t->root;
    for (*depth = 0; *slot && !(*slot & LEAF_BIT); ++*depth) {
        struct node *n = node_at(t, *slot);
        n->dirty = true;
        slot = &n->child[path_bit(path, *depth)];
    }
    return slot;
}

static void insert(struct tree *t, const struct hash *path, uint8_t *data, uint32_t key_n, uint32_t value_n)
{
    unsigned depth;
    uint32_t *slot = descend(t, path, &depth);
    uint32_t ref = LEAF_BIT | pool_take(&t->leaves);
    struct leaf *l = leaf_at(t, ref);
    *l = (struct leaf){.path = *path, .data = data, .key_n = key_n, .value_n = value_n, .dirty = true};
    if (*slot) {
        uint32_t other = *slot;
        const struct hash *other_path = &leaf_at(t, other)->path;
        for (;; depth++) {
            CHECK(depth < PATH_BITS);
            unsigned bit = path_bit(path, depth), other_bit = path_bit(other_path, depth);
            *slot = pool_take(&t->nodes);
            struct node *n = node_at(t, *slot);
            n->dirty = true;
            slot = &n->child[bit];
            if (bit != other_bit) {
                n->child[other_bit] = other;
                break;
            }
        }
    }
    *slot = ref;
    t->count++;
    if (key_n && t->listed[data[0]])
        order_add(t, ref);
}

/* Gives up the leaf; its data stays with the caller. */
static void cut(struct tree *t, const struct hash *path)
{
    uint32_t *slots[PATH_BITS + 1];
    unsigned depth = 0;
    slots[0] = &t->root;
    while (!(*slots[depth] & LEAF_BIT)) {
        struct node *n = node_at(t, *slots[depth]);
        n->dirty = true;
        slots[depth + 1] = &n->child[path_bit(path, depth)];
        depth++;
    }
    uint32_t ref = *slots[depth];
    const struct leaf *l = leaf_at(t, ref);
    if (l->key_n && t->listed[l->data[0]])
        order_remove(t, ref);
    *slots[depth] = 0;
    pool_give(&t->leaves, ref & ~LEAF_BIT);
    t->count--;
    while (depth-- > 0) {
        uint32_t above = *slots[depth];
        const struct node *n = node_at(t, above);
        uint32_t a = n->child[0], b = n->child[1];
        uint32_t left = a ? a : b;
        if ((a && b) || !(left & LEAF_BIT))
            break;
        *slots[depth] = left;
        pool_give(&t->nodes, above);
    }
}

/* -- changes and their journal -- */

static void journal_add(struct tree *t, const struct undo *u)
{
    if (t->journal_n == t->journal_room) {
        t->journal_room = t->journal_room ? 2 * t->journal_room : 256;
        t->journal = mem_resize(t->journal, t->journal_room, sizeof *t->journal);
    }
    t->journal[t->journal_n++] = *u;
}

/* Another value for an entry that exists; what it was is returned and not freed. */
static struct undo exchange(struct tree *t, struct leaf *l, uint8_t *data, uint32_t value_n)
{
    struct undo was = {l->path, l->data, l->key_n, l->value_n};
    unsigned depth;
    if (!l->dirty)
        (void)descend(t, &l->path, &depth);
    l->data = data;
    l->value_n = value_n;
    l->dirty = true;
    return was;
}

/* The entry gets this data, or goes where data is NULL; what it was is returned and not freed. */
static struct undo replace(struct tree *t, const struct hash *path, uint8_t *data, uint32_t key_n, uint32_t value_n)
{
    struct undo was = {.path = *path};
    struct leaf *l = find(t, path);
    if (l && data)
        return exchange(t, l, data, value_n);
    if (l) {
        was = (struct undo){*path, l->data, l->key_n, l->value_n};
        cut(t, path);
    } else if (data) {
        insert(t, path, data, key_n, value_n);
    }
    return was;
}

void tree_put(struct tree *t, struct bytes key, struct bytes value)
{
    struct hash path = path_of(key);
    struct leaf *l = find(t, &path);
    struct undo was = {.path = path};
    if (l && bytes_equal(leaf_value(l), value))
        return;
    uint8_t *data = mem_array(key.n + value.n, 1);
    memcpy(data, key.p, key.n);
    if (value.n)
        memcpy(data + key.n, value.p, value.n);
    if (l)
        was = exchange(t, l, data, (uint32_t)value.n);
    else
        insert(t, &path, data, (uint32_t)key.n, (uint32_t)value.n);
    journal_add(t, &was);
}

void tree_remove(struct tree *t, struct bytes key)
{
    struct hash path = path_of(key);
    struct undo was = replace(t, &path, NULL, 0, 0);
    if (was.data)
        journal_add(t, &was);
}

size_t tree_mark(const struct tree *t)
{
    return t->journal_n;
}

void tree_undo(struct tree *t, size_t mark)
{
    CHECK(mark <= t->journal_n);
    while (t->journal_n > mark) {
        const struct undo *u = &t->journal[--t->journal_n];
        struct undo now = replace(t, &u->path, u->data, u->key_n, u->value_n);
        free(now.data);
    }
}

void tree_settle(struct tree *t)
{
    for (size_t i = 0; i < t->journal_n; i++)
        free(t->journal[i].data);
    t->journal_n = 0;
}

void tree_changes(struct tree *t, tree_change_fn visit, void *arg)
{
    t->epoch++;
    for (size_t i = 0; i < t->journal_n; i++) {
        const struct undo *u = &t->journal[i];
        struct leaf *l = find(t, &u->path);
        if (l && l->seen != t->epoch)
            visit(arg, leaf_key(l), leaf_value(l));
        else if (!l && u->data)
            visit(arg, bytes_of(u->data, u->key_n), (struct bytes){0});
        if (l)
            l->seen = t->epoch;
    }
}

/* -- hashes and proofs -- */

static struct hash entry_hash(const struct hash *path, struct bytes value)
{
    struct hasher h;
    hash_start(&h, HASH_STATE_LEAF);
    hash_add(&h, path->b, sizeof path->b);
    hash_add(&h, value.p, value.n);
    return hash_end(&h);
}

static struct hash pair_hash(const struct hash *zero, const struct hash *one)
{
    struct hash pair[2] = {*zero, *one};
    return hash_once(HASH_STATE, pair, sizeof pair);
}

static struct hash rehash(struct tree *t, uint32_t ref)
{
    if (ref == 0)
        return (struct hash){{0}};
    if (ref & LEAF_BIT) {
        struct leaf *l = leaf_at(t, ref);
        if (l->dirty)
            l->hash = entry_hash(&l->path, leaf_value(l));
        l->dirty = false;
        return l->hash;
    }
    struct node *n = node_at(t, ref);
    if (n->dirty) {
        struct hash zero = rehash(t, n->child[0]), one = rehash(t, n->child[1]);
        n->hash = pair_hash(&zero, &one);
        n->dirty = false;
    }
    return n->hash;
}

struct hash tree_root(struct tree *t)
{
    return rehash(t, t->root);
}

enum proof_end { END_EMPTY, END_OWN, END_OTHER };
/* `other`: where another entry stands in the place, its path and value. Siblings from the root downwards. */
#define STATE_PROOF_FIELDS(F) F(u8, end) F(blob, other) F(hashes, siblings)
RECORD_DECLARE(state_proof, STATE_PROOF_FIELDS)
RECORD_DEFINE(state_proof, STATE_PROOF_FIELDS)

static struct hash clean_hash(const struct tree *t, uint32_t ref)
{
    if (ref == 0)
        return (struct hash){{0}};
    CHECK(ref & LEAF_BIT ? !leaf_at(t, ref)->dirty : !node_at(t, ref)->dirty);
    return ref & LEAF_BIT ? leaf_at(t, ref)->hash : node_at(t, ref)->hash;
}

void tree_prove(const struct tree *t, struct bytes key, struct buf *proof)
{
    struct hash path = path_of(key);
    struct state_proof p = {.end = END_EMPTY};
    struct buf siblings = {0}, other = {0};
    uint32_t ref = t->root;
    for (unsigned depth = 0; ref && !(ref & LEAF_BIT); depth++) {
        const struct node *n = node_at(t, ref);
        unsigned bit = path_bit(&path, depth);
        struct hash sibling = clean_hash(t, n->child[!bit]);
        codec_put_hash(&siblings, &sibling);
        p.siblings.n++;
        ref = n->child[bit];
    }
    if (ref) {
        const struct leaf *l = leaf_at(t, ref);
        p.end = hash_equal(&l->path, &path) ? END_OWN : END_OTHER;
        if (p.end == END_OTHER) {
            struct bytes value = leaf_value(l);
            codec_put_hash(&other, &l->path);
            buf_add(&other, value.p, value.n);
        }
    }
    p.siblings.p = siblings.p;
    p.other = bytes_of_buf(&other);
    state_proof_put(proof, &p);
    buf_clear(&siblings);
    buf_clear(&other);
}

/* The hash of what stands at the end of a path of `depth` bits, if the proof may claim it there. */
static bool end_hash(const struct state_proof *p, const struct hash *path, struct bytes value, struct hash *out)
{
    *out = (struct hash){{0}};
    if (p->end == END_OWN && value.p && p->other.n == 0) {
        *out = entry_hash(path, value);
        return true;
    }
    if (p->end == END_EMPTY)
        return !value.p && p->other.n == 0;
    if (p->end != END_OTHER || value.p || p->other.n < HASH_SIZE)
        return false;
    struct hash other;
    memcpy(other.b, p->other.p, HASH_SIZE);
    if (hash_equal(&other, path))
        return false;
    for (unsigned i = 0; i < p->siblings.n; i++)
        if (path_bit(&other, i) != path_bit(path, i))
            return false;
    *out = entry_hash(&other, bytes_of(p->other.p + HASH_SIZE, p->other.n - HASH_SIZE));
    return true;
}

bool tree_verify(const struct hash *root, struct bytes key, struct bytes value, struct bytes proof)
{
    struct cursor c = cursor_of(proof);
    struct state_proof p;
    struct hash path = path_of(key), top;
    state_proof_get(&c, &p);
    if (!cursor_end(&c) || p.siblings.n > PROOF_DEPTH_MAX || !end_hash(&p, &path, value, &top))
        return false;
    for (unsigned depth = p.siblings.n; depth-- > 0;) {
        struct hash sibling = hashes_at(&p.siblings, depth);
        top = path_bit(&path, depth) ? pair_hash(&sibling, &top) : pair_hash(&top, &sibling);
    }
    return hash_equal(&top, root);
}
