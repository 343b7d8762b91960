/* Where entries stand: paths, pages and their fans, and the memory of where keys stood lately. */
#include "chain/tree_core.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* -- paths -- */

uint64_t path_bits(const struct hash *path)
{
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v = v << 8 | path->b[i];
    return v;
}

void tree_paths(const struct bytes *keys, uint32_t n, struct hash *out)
{
    struct hash_job jobs[TREE_PATHS_MAX];
    uint32_t jobs_n = 0;
    CHECK(n <= TREE_PATHS_MAX);
    for (uint32_t i = 0; i < n; i++) {
        const uint8_t *p = keys[i].p;
        if (keys[i].n >= HASH_SIZE && keys[i].n <= HASH_SIZE + HASH_JOB_MAX)
            jobs[jobs_n++] = (struct hash_job){p, p + HASH_SIZE, (uint32_t)keys[i].n - HASH_SIZE, &out[i]};
        else
            out[i] = hash_once(HASH_STATE_KEY, p, keys[i].n);
    }
    hash_many(HASH_STATE_KEY, jobs, jobs_n);
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
    if (spot->leaf)
        leaf_fetch(tree_leaf(t, spot->leaf));
}

/* -- pages -- */

struct page *tree_page(const struct tree *t, uint64_t bits)
{
    struct page *p = t->top;
    while (p->is_fan)
        p = fan_child(p, bits);
    return p;
}

/* Where these bits would stand if paths were evenly spread, which they nearly are. */
static uint32_t page_guess(const struct page *p, uint64_t bits)
{
    uint64_t own = bits << p->depth >> 32;
    return (uint32_t)(own * p->n >> 32);
}

void page_near(const struct page *p, uint64_t bits)
{
    if (p->is_fan || p->n == 0)
        return;
    uint32_t at = page_guess(p, bits);
    __builtin_prefetch(p->u.bits + at);
    __builtin_prefetch(p->u.bits + (at < 8 ? 0 : at - 8)); /* a guess is off by some */
    __builtin_prefetch(p->u.bits + at + 8);
    __builtin_prefetch(page_leaves(p) + at);
}

/* Starts at the guess, and looks further and further away from there. */
uint32_t page_rank(const struct page *p, uint64_t bits)
{
    const uint64_t *b = p->u.bits;
    uint32_t low = page_guess(p, bits), high = low, step = 1;
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

struct place locate(const struct tree *t, const struct hash *path)
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
uint32_t leaf_find(const struct tree *t, struct bytes key)
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
void mark_stale(struct tree *t, uint64_t bits)
{
    struct page *p = t->top;
    for (; p->is_fan; p = fan_child(p, bits))
        p->stale = true;
    p->stale = true;
}

void page_insert(struct tree *t, const struct place *x, uint32_t leaf)
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

void page_free(struct tree *t, struct page *p)
{
    if (p->is_fan)
        for (uint32_t i = 0; i < TREE_FAN; i++)
            page_free(t, &p->u.fan->pages[i]);
    else
        for (uint32_t i = 0; i < p->n; i++)
            payload_clear(&page_leaf(t, p, i)->data);
    free(p->is_fan ? (void *)p->u.fan : (void *)p->u.bits);
}
