/* The authenticated state in memory: entries, changes, the journal. tree_core.h says how it is laid out. */
#include "chain/tree_core.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define CHUNK       4096u
#define CHUNKS_MAX  (UINT32_MAX / CHUNK)
#define SLAB_CHUNKS 16u
#define HUGE_PAGE   (2u << 20)

/* -- pools -- */

void *pool_at(const struct pool *p, uint32_t i)
{
    return p->chunks[i / CHUNK] + (size_t)(i % CHUNK) * p->item;
}

/* A large pool is used all over at once, and most of its accesses would also miss the processor's table of small pages:
 * large ones are asked for, which is a hint. */
static void *slab_new(size_t size)
{
    size_t whole = (size + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    void *slab = aligned_alloc(HUGE_PAGE, whole);
    CHECK(slab);
    (void)madvise(slab, whole, MADV_HUGEPAGE);
    return slab;
}

static uint8_t *chunk_new(struct pool *p)
{
    size_t size = CHUNK * p->item;
    if (p->slab_left == 0) {
        bool is_large = p->chunks_n >= SLAB_CHUNKS;
        p->slab_left = is_large ? SLAB_CHUNKS : 1;
        p->slab = is_large ? slab_new(SLAB_CHUNKS * size) : mem_array(CHUNK, p->item);
        p->slabs = mem_resize(p->slabs, p->slabs_n + 1, sizeof *p->slabs);
        p->slabs[p->slabs_n++] = p->slab;
    }
    uint8_t *chunk = p->slab;
    p->slab += size;
    p->slab_left--;
    memset(chunk, 0, size);
    return chunk;
}

uint32_t pool_take(struct pool *p)
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
        p->chunks[p->chunks_n] = chunk_new(p);
        p->chunks_n++;
    }
    return i;
}

/* All of it is zeroed, so that nobody takes it for what it was. */
void pool_give(struct pool *p, uint32_t i)
{
    memset(pool_at(p, i), 0, p->item);
    memcpy(pool_at(p, i), &p->free_first, sizeof p->free_first);
    p->free_first = i;
}

void pool_clear(struct pool *p)
{
    for (uint32_t i = 0; i < p->slabs_n; i++)
        free(p->slabs[i]);
    free(p->slabs);
    free(p->chunks);
}

/* -- payloads -- */

static const uint8_t *payload_at(const struct payload *d)
{
    const uint8_t *large;
    if (!d->is_large)
        return d->room;
    memcpy(&large, d->room, sizeof large);
    return large;
}

static struct payload payload_make(struct bytes key, struct bytes value)
{
    CHECK(key.n <= UINT8_MAX && value.n <= UINT32_MAX);
    struct payload d = {.value_n = (uint32_t)value.n, .key_n = (uint8_t)key.n};
    uint8_t *at = d.room;
    d.is_large = key.n + value.n > TREE_SMALL_MAX;
    if (d.is_large) {
        at = mem_array(key.n + value.n, 1);
        memcpy(d.room, &at, sizeof at);
    }
    if (key.n)
        memcpy(at, key.p, key.n);
    if (value.n)
        memcpy(at + key.n, value.p, value.n);
    return d;
}

static void payload_clear(const struct payload *d)
{
    if (d->is_large)
        free((void *)(uintptr_t)payload_at(d));
}

struct bytes leaf_key(const struct leaf *l)
{
    return bytes_of(payload_at(&l->data), l->data.key_n);
}

struct bytes leaf_value(const struct leaf *l)
{
    return bytes_of(payload_at(&l->data) + l->data.key_n, l->data.value_n);
}

/* -- paths -- */

uint64_t path_bits(const struct hash *path)
{
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v = v << 8 | path->b[i];
    return v;
}

#define RECENT_LEAST 4u /* bytes: keys that are remembered differ in their last ones */

static struct recent *recent_at(const struct tree *t, struct bytes key)
{
    _Static_assert(TREE_RECENT == 1u << 10, "an index is the upper 10 bits");
    return &t->recent[load_le32(key.p + key.n - 4) * 2654435769u >> 22];
}

/* NULL for keys that are not remembered. */
static struct recent *recent_of(const struct tree *t, struct bytes key)
{
    if (key.n < RECENT_LEAST || key.n > sizeof t->recent->key)
        return NULL;
    struct recent *r = recent_at(t, key);
    if (r->key_n != key.n || memcmp(r->key, key.p, key.n) != 0) {
        r->spot = (struct tree_spot){hash_once(HASH_STATE_KEY, key.p, key.n), 0};
        r->key_n = (uint8_t)key.n;
        memcpy(r->key, key.p, key.n);
    }
    return r;
}

struct hash tree_path(const struct tree *t, struct bytes key)
{
    const struct recent *r = recent_of(t, key);
    return r ? r->spot.path : hash_once(HASH_STATE_KEY, key.p, key.n);
}

void tree_prime(struct tree *t, struct bytes key, const struct tree_spot *spot)
{
    if (key.n < RECENT_LEAST || key.n > sizeof t->recent->key)
        return;
    struct recent *r = recent_at(t, key);
    r->spot = *spot;
    r->key_n = (uint8_t)key.n;
    memcpy(r->key, key.p, key.n);
}

void tree_fetch(const struct tree *t, const struct tree_spot *spot)
{
    if (!spot->leaf)
        return;
    const char *leaf = (const char *)tree_leaf(t, spot->leaf);
    for (size_t at = 0; at < sizeof(struct leaf); at += 64)
        __builtin_prefetch(leaf + at, 1);
}

/* -- pages -- */

/* The child of a fan that holds these bits. */
static struct page *fan_child(const struct page *p, uint64_t bits)
{
    return &p->u.fan->pages[bits << p->depth >> (64 - TREE_FAN_BITS)];
}

struct page *tree_page(const struct tree *t, uint64_t bits)
{
    struct page *p = t->top;
    while (p->is_fan)
        p = fan_child(p, bits);
    return p;
}

/* Starts where these bits would stand if paths were evenly spread, which they nearly are, and looks further and further
 * away from there. */
uint32_t page_rank(const struct page *p, uint64_t bits)
{
    const uint64_t *b = p->u.bits;
    uint64_t own = bits << p->depth >> 32;
    uint32_t low = (uint32_t)(own * p->n >> 32), high = low, step = 1;
    if (low < p->n && b[low] < bits) {
        for (high = ++low; high < p->n && b[high] < bits; step *= 2) {
            low = high + 1;
            high = low + step;
        }
        high = high < p->n ? high : p->n;
    } else {
        for (; low > 0 && b[low - 1] >= bits; step *= 2) {
            high = low - 1;
            low = high > step ? high - step : 0;
        }
    }
    return bits_rank(b, low, high, bits);
}

struct place {
    struct page *page;
    uint64_t bits;
    uint32_t at;   /* where it stands or would stand */
    uint32_t leaf; /* 0: not there */
};

static struct place locate(const struct tree *t, const struct hash *path)
{
    struct place x = {.bits = path_bits(path)};
    x.page = tree_page(t, x.bits);
    for (x.at = page_rank(x.page, x.bits); x.at < x.page->n && x.page->u.bits[x.at] == x.bits; x.at++) {
        uint32_t leaf = page_leaves(x.page)[x.at];
        int c = hash_compare(&tree_leaf(t, leaf)->path, path);
        if (c == 0)
            x.leaf = leaf;
        if (c >= 0)
            break;
    }
    return x;
}

/* The entry of a key, if it is there. */
static uint32_t leaf_find(const struct tree *t, struct bytes key)
{
    struct recent *r = recent_of(t, key);
    if (r && r->spot.leaf && hash_equal(&tree_leaf(t, r->spot.leaf)->path, &r->spot.path))
        return r->spot.leaf;
    struct hash path = r ? r->spot.path : hash_once(HASH_STATE_KEY, key.p, key.n);
    uint32_t leaf = locate(t, &path).leaf;
    if (r)
        r->spot.leaf = leaf;
    return leaf;
}

static void page_reserve(struct page *p, uint32_t room)
{
    struct page old = *p;
    if (room <= old.room)
        return;
    p->room = room;
    p->u.bits = mem_resize(NULL, room, sizeof(uint64_t) + sizeof(uint32_t));
    if (old.n) {
        memcpy(p->u.bits, old.u.bits, old.n * sizeof(uint64_t));
        memcpy(page_leaves(p), page_leaves(&old), old.n * sizeof(uint32_t));
    }
    free(old.u.bits);
}

/* A full page becomes a fan of pages that are hashed anew; the forks that stay within one of them stay good. */
static void page_split(struct page *p)
{
    struct fan *f = mem_new(sizeof *f);
    struct page old = *p;
    p->is_fan = p->stale = true;
    p->n = p->room = 0;
    p->u.fan = f;
    for (uint32_t i = 0, from = 0, to = 0; i < TREE_FAN; i++, from = to) {
        struct page *child = &f->pages[i];
        child->depth = (uint8_t)(old.depth + TREE_FAN_BITS);
        child->stale = child->moved = true;
        child->has_equal = old.has_equal;
        while (to < old.n && fan_child(p, old.u.bits[to]) == child)
            to++;
        page_reserve(child, to - from);
        child->n = to - from;
        if (child->n) {
            memcpy(child->u.bits, old.u.bits + from, child->n * sizeof(uint64_t));
            memcpy(page_leaves(child), page_leaves(&old) + from, child->n * sizeof(uint32_t));
        }
    }
    free(old.u.bits);
}

/* The bits of a place are one number, so pages above it are found again from the top. */
static void mark_stale(struct tree *t, uint64_t bits)
{
    struct page *p = t->top;
    for (; p->is_fan; p = fan_child(p, bits))
        p->stale = true;
    p->stale = true;
}

static void page_insert(struct tree *t, const struct place *x, uint32_t leaf)
{
    struct page *p = x->page;
    if (p->n == p->room)
        page_reserve(p, p->room + p->room / 2 + 4);
    uint32_t *leaves = page_leaves(p) + x->at;
    uint64_t *bits = p->u.bits + x->at;
    memmove(bits + 1, bits, (p->n - x->at) * sizeof *bits);
    memmove(leaves + 1, leaves, (p->n - x->at) * sizeof *leaves);
    *bits = x->bits;
    *leaves = leaf;
    p->n++;
    p->moved = true;
    p->has_equal |= (x->at > 0 && bits[-1] == x->bits) || (x->at + 1 < p->n && bits[1] == x->bits);
    if (p->n > TREE_PAGE_MAX && p->depth < TREE_DEPTH_MAX) {
        page_split(p);
        mark_stale(t, x->bits);
    }
}

static void page_free(struct tree *t, struct page *p)
{
    if (p->is_fan)
        for (uint32_t i = 0; i < TREE_FAN; i++)
            page_free(t, &p->u.fan->pages[i]);
    else
        for (uint32_t i = 0; i < p->n; i++)
            payload_clear(&page_leaf(t, p, i)->data);
    free(p->is_fan ? (void *)p->u.fan : (void *)p->u.bits);
}

/* -- the tree -- */

struct tree *tree_new(const char *listed)
{
    struct tree *t = mem_new(sizeof *t);
    t->leaves = (struct pool){.item = sizeof(struct leaf), .used = 1};
    t->order.nodes = (struct pool){.item = sizeof(struct order_node), .used = 1};
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

struct tree_spot tree_warm(const struct tree *t, struct bytes key)
{
    struct tree_spot spot = {.path = hash_once(HASH_STATE_KEY, key.p, key.n)};
    spot.leaf = locate(t, &spot.path).leaf;
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
    struct hash_job jobs[TREE_LOAD];
    uint32_t n = 0;
    for (uint32_t i = 0; i < t->loading_n; i++) {
        const struct payload *d = &t->loading[i];
        const uint8_t *key = payload_at(d);
        if (d->key_n >= HASH_SIZE && d->key_n <= HASH_SIZE + HASH_JOB_MAX)
            jobs[n++] = (struct hash_job){key, key + HASH_SIZE, d->key_n - HASH_SIZE, &out[i]};
        else
            out[i] = hash_once(HASH_STATE_KEY, key, d->key_n);
    }
    hash_many(HASH_STATE_KEY, jobs, n);
}

/* Stale pages stand for the list of what is touched, which would be as long as the tree. The pages of all that wait are
 * asked for before the first is needed. */
static bool load_flush(struct tree *t)
{
    struct hash paths[TREE_LOAD];
    bool all_new = true;
    load_paths(t, paths);
    for (uint32_t i = 0; i < t->loading_n; i++) {
        const struct page *p = tree_page(t, path_bits(&paths[i]));
        if (p->n)
            __builtin_prefetch(p->u.bits + p->n / 2);
    }
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

void tree_changes(struct tree *t, tree_change_fn visit, void *arg)
{
    for (size_t i = 0; i < t->journal_n; i++) {
        const struct undo *u = &t->journal[i];
        if (u->leaf && !u->is_first)
            continue;
        const struct leaf *l = changed_leaf(t, u);
        if (l)
            visit(arg, leaf_key(l), leaf_value(l));
        else if (u->was_there)
            visit(arg, bytes_of(payload_at(&u->data), u->data.key_n), (struct bytes){0});
    }
}
