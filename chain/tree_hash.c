/* The root: what changed is sorted by path once and hashed upwards once, page by page; proofs. */
#include "chain/tree_core.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define PARALLEL_LEAST 256u /* touched entries: under that, waking helpers costs more than they save */

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

/* What stands alone at `from` bits of its path, as seen from fewer. */
static struct hash lift(struct hash h, const struct hash *path, unsigned from, unsigned to)
{
    static const struct hash nothing = {{0}};
    while (from-- > to)
        h = path_bit(path, from) ? pair_hash(&nothing, &h) : pair_hash(&h, &nothing);
    return h;
}

/* -- within a page -- */

/* Entries low..high-1, the bit where their paths part (none for a single one), and the first on the one side. */
struct span {
    uint32_t low, high, split;
    unsigned fork;
};

static unsigned paths_part(const struct hash *a, const struct hash *b)
{
    unsigned i = 0;
    while (i < 8 * HASH_SIZE && path_bit(a, i) == path_bit(b, i))
        i++;
    CHECK(i < 8 * HASH_SIZE);
    return i;
}

/* The first entry of low..high-1 that is not before these bits; it is likely to stand in the middle. */
static uint32_t split_find(const uint64_t *b, uint32_t low, uint32_t high, uint64_t bits)
{
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (b[mid] < bits)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static struct span span_of(const struct tree *t, const struct page *p, uint32_t low, uint32_t high)
{
    struct span s = {low, high, high, 0};
    const uint64_t *b = p->u.bits;
    if (high - low < 2)
        return s;
    uint64_t differ = b[low] ^ b[high - 1];
    if (differ) {
        s.fork = (unsigned)__builtin_clzll(differ);
        uint64_t unit = UINT64_C(1) << (63 - s.fork);
        s.split = split_find(b, low, high, b[high - 1] & ~(unit - 1));
        return s;
    }
    /* 64 equal bits: somebody searched for them */
    s.fork = paths_part(&page_leaf(t, p, low)->path, &page_leaf(t, p, high - 1)->path);
    for (s.split = low; !path_bit(&page_leaf(t, p, s.split)->path, s.fork);)
        s.split++;
    return s;
}

struct work {
    const struct tree *t;
    const struct page *page;
};

/* What the hash of a span is read from, if it is clean. */
static void span_prefetch(const struct work *w, const struct span *s)
{
    bool is_one = s->high - s->low == 1;
    const struct leaf *l = page_leaf(w->t, w->page, is_one ? s->low : s->split - 1);
    __builtin_prefetch(is_one ? &l->hash : &l->fork);
    __builtin_prefetch(&l->fork_depth);
}

static struct hash leaf_hash(struct leaf *l)
{
    if (l->dirty)
        l->hash = entry_hash(&l->path, leaf_value(l));
    l->dirty = false;
    return l->hash;
}

/* The hash of a span as seen from `depth`; a to b: places of the entries that were touched in it. */
static struct hash span_hash(const struct work *w, const struct span *s, unsigned depth, const uint64_t *a,
                             const uint64_t *b)
{
    const struct page *p = w->page;
    if (s->high - s->low == 1)
        return leaf_hash(page_leaf(w->t, p, s->low));
    struct leaf *l = page_leaf(w->t, p, s->split - 1);
    bool is_searched = s->fork >= 64; /* among equal bits, the touched place is that of the first */
    if (a == b && l->fork_depth == depth && !is_searched)
        return l->fork;
    struct span zero = span_of(w->t, p, s->low, s->split), one = span_of(w->t, p, s->split, s->high);
    span_prefetch(w, &zero);
    span_prefetch(w, &one);
    const uint64_t *mid = a;
    while (mid < b && *mid < s->split)
        mid++;
    struct hash left = span_hash(w, &zero, s->fork + 1, a, mid);
    struct hash right = span_hash(w, &one, s->fork + 1, mid, b);
    l->fork = lift(pair_hash(&left, &right), &l->path, s->fork, depth);
    l->fork_depth = (uint16_t)depth;
    return l->fork;
}

/* Turns bits into places, in place; those of entries that went are left out. */
static uint64_t *places_of(const struct page *p, uint64_t *a, const uint64_t *b)
{
    uint64_t *out = a;
    for (const uint64_t *x = a; x < b; x++) {
        uint32_t at = page_rank(p, *x);
        if (at < p->n && p->u.bits[at] == *x)
            *out++ = at;
    }
    return out;
}

static void page_rehash(const struct tree *t, struct page *p, uint64_t *a, uint64_t *b);

static void entries_rehash(const struct tree *t, struct page *p, uint64_t *a, const uint64_t *b)
{
    struct work w = {t, p};
    p->kind = p->n == 0 ? TREE_NONE : p->n == 1 ? TREE_ONE : TREE_MANY;
    p->hash = (struct hash){{0}};
    if (p->n == 0)
        return;
    struct span all = span_of(t, p, 0, p->n);
    const uint64_t *end = places_of(p, a, b);
    p->hash = span_hash(&w, &all, p->depth, a, end);
}

/* -- fans -- */

static void fan_child_get(const struct fan *f, unsigned i, const struct hash **hash, unsigned *kind)
{
    *hash = i < TREE_FAN ? &f->inner[i] : &f->pages[i - TREE_FAN].hash;
    *kind = i < TREE_FAN ? f->kinds[i] : f->pages[i - TREE_FAN].kind;
}

static void fan_combine(struct fan *f, unsigned i)
{
    const struct hash *zero, *one;
    unsigned zeros, ones;
    fan_child_get(f, 2 * i, &zero, &zeros);
    fan_child_get(f, 2 * i + 1, &one, &ones);
    f->kinds[i] = (uint8_t)(zeros + ones < TREE_MANY ? zeros + ones : TREE_MANY);
    if (f->kinds[i] == TREE_MANY)
        f->inner[i] = pair_hash(zero, one);
    else
        f->inner[i] = zeros ? *zero : *one;
}

/* Which of the touched lie in each page, and whether it must be visited at all. */
struct fan_work {
    const struct tree *t;
    struct fan *fan;
    uint64_t *from[TREE_FAN + 1];
    bool visit[2 * TREE_FAN]; /* as in the tree of inner hashes */
};

static void fan_divide(struct fan_work *w, const struct page *p, uint64_t *a, uint64_t *b)
{
    for (unsigned i = 0; i < TREE_FAN; i++) {
        w->from[i] = a;
        while (a < b && *a << p->depth >> (64 - TREE_FAN_BITS) == i)
            a++;
        w->visit[TREE_FAN + i] = a > w->from[i] || w->fan->pages[i].stale;
    }
    w->from[TREE_FAN] = a;
    for (unsigned i = TREE_FAN - 1; i > 0; i--)
        w->visit[i] = w->visit[2 * i] || w->visit[2 * i + 1];
}

static void fan_part(void *arg, uint32_t i)
{
    struct fan_work *w = arg;
    if (w->visit[TREE_FAN + i])
        page_rehash(w->t, &w->fan->pages[i], w->from[i], w->from[i + 1]);
}

static void fan_rehash(const struct tree *t, struct page *p, uint64_t *a, uint64_t *b, const struct parallel *how)
{
    struct fan_work w = {.t = t, .fan = p->u.fan};
    fan_divide(&w, p, a, b);
    parallel_run(how, fan_part, &w, TREE_FAN);
    for (unsigned i = TREE_FAN - 1; i > 0; i--)
        if (w.visit[i])
            fan_combine(w.fan, i);
    p->hash = w.fan->inner[1];
    p->kind = w.fan->kinds[1];
}

static void page_rehash(const struct tree *t, struct page *p, uint64_t *a, uint64_t *b)
{
    static const struct parallel alone = {0};
    if (p->is_fan)
        fan_rehash(t, p, a, b, &alone);
    else
        entries_rehash(t, p, a, b);
    p->stale = false;
}

/* -- the root -- */

#define SORT_BITS 12u

static int compare_bits(const void *x, const void *y)
{
    uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;
    return (a > b) - (a < b);
}

static void sort_small(uint64_t *v, size_t n)
{
    if (n > 32) {
        qsort(v, n, sizeof *v, compare_bits);
        return;
    }
    for (size_t i = 1; i < n; i++) {
        uint64_t x = v[i];
        size_t k = i;
        for (; k > 0 && v[k - 1] > x; k--)
            v[k] = v[k - 1];
        v[k] = x;
    }
}

/* By the first bits into as many heaps as there are, which are small, as paths are evenly spread. */
static void sort_bits(uint64_t *v, size_t n)
{
    uint32_t *ends = mem_array((1u << SORT_BITS) + 1, sizeof *ends);
    uint64_t *from = mem_resize(NULL, n + 1, sizeof *from);
    memcpy(from, v, n * sizeof *v);
    for (size_t i = 0; i < n; i++)
        ends[(v[i] >> (64 - SORT_BITS)) + 1]++;
    for (uint32_t k = 0; k < 1u << SORT_BITS; k++)
        ends[k + 1] += ends[k];
    for (size_t i = 0; i < n; i++)
        v[ends[from[i] >> (64 - SORT_BITS)]++] = from[i];
    for (uint32_t k = 0, start = 0; k < 1u << SORT_BITS; start = ends[k++])
        sort_small(v + start, ends[k] - start);
    free(from);
    free(ends);
}

static size_t drop_equal(uint64_t *v, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || v[kept - 1] != v[i])
            v[kept++] = v[i];
    return kept;
}

struct hash tree_root(struct tree *t)
{
    if (t->touched_n == 0 && !t->top->stale)
        return t->top->hash;
    if (t->touched_n > PARALLEL_LEAST)
        sort_bits(t->touched, t->touched_n);
    else
        sort_small(t->touched, t->touched_n);
    size_t n = drop_equal(t->touched, t->touched_n);
    bool is_shared = t->top->is_fan && (n >= PARALLEL_LEAST || t->top->stale);
    if (is_shared)
        fan_rehash(t, t->top, t->touched, t->touched + n, &t->parallel);
    else
        page_rehash(t, t->top, t->touched, t->touched + n);
    t->top->stale = false;
    t->touched_n = 0;
    return t->top->hash;
}

/* -- proofs -- */

enum proof_end { END_EMPTY, END_OWN, END_OTHER };
/* `other`: where another entry stands in the place, its path and value. Siblings from the root downwards. */
#define STATE_PROOF_FIELDS(F) F(u8, end) F(blob, other) F(hashes, siblings)
RECORD_DECLARE(state_proof, STATE_PROOF_FIELDS)
RECORD_DEFINE(state_proof, STATE_PROOF_FIELDS)

struct proving {
    struct hash path;
    struct buf siblings;
    uint32_t siblings_n;
    const struct leaf *end; /* what stands at the end of the way; NULL: nothing */
};

static void proving_add(struct proving *v, const struct hash *sibling)
{
    codec_put_hash(&v->siblings, sibling);
    v->siblings_n++;
}

/* Down a page from its place to the entry, or to where it would stand. */
static void prove_entries(const struct tree *t, const struct page *p, struct proving *v)
{
    static const struct hash nothing = {{0}};
    struct work w = {t, p};
    struct span s = span_of(t, p, 0, p->n);
    unsigned depth = p->depth;
    while (s.high - s.low > 1) {
        struct leaf *l = page_leaf(t, p, s.split - 1);
        struct span zero = span_of(t, p, s.low, s.split), one = span_of(t, p, s.split, s.high);
        for (; depth < s.fork; depth++) { /* levels without a fork: the span is on one side, nothing on the other */
            bool parts = path_bit(&v->path, depth) != path_bit(&l->path, depth);
            struct hash below = {{0}};
            if (parts) {
                struct hash left = span_hash(&w, &zero, s.fork + 1, NULL, NULL);
                struct hash right = span_hash(&w, &one, s.fork + 1, NULL, NULL);
                below = lift(pair_hash(&left, &right), &l->path, s.fork, depth + 1);
            }
            proving_add(v, parts ? &below : &nothing);
            if (parts)
                return;
        }
        bool bit = path_bit(&v->path, depth++);
        struct hash sibling = span_hash(&w, bit ? &zero : &one, s.fork + 1, NULL, NULL);
        proving_add(v, &sibling);
        s = bit ? one : zero;
    }
    v->end = p->n ? page_leaf(t, p, s.low) : NULL;
}

/* The first entry of some. */
static const struct leaf *first_leaf(const struct tree *t, const struct page *p)
{
    if (!p->is_fan)
        return page_leaf(t, p, 0);
    const struct page *child = p->u.fan->pages;
    while (child->kind == TREE_NONE)
        child++;
    return first_leaf(t, child);
}

/* The same below place i of a fan. */
static const struct leaf *first_below(const struct tree *t, const struct fan *f, unsigned i)
{
    while (i < TREE_FAN) {
        const struct hash *hash;
        unsigned kind;
        fan_child_get(f, 2 * i, &hash, &kind);
        i = 2 * i + (kind == TREE_NONE);
    }
    return first_leaf(t, &f->pages[i - TREE_FAN]);
}

/* Down a fan to one of its pages; false where the way ends before. */
static bool prove_fan(const struct tree *t, const struct page *p, struct proving *v, const struct page **next)
{
    const struct fan *f = p->u.fan;
    unsigned i = 1;
    for (unsigned depth = p->depth;; depth++) {
        const struct hash *hash;
        unsigned kind;
        fan_child_get(f, i, &hash, &kind);
        if (kind != TREE_MANY) {
            v->end = kind == TREE_ONE ? first_below(t, f, i) : NULL;
            return false;
        }
        if (i >= TREE_FAN) {
            *next = &f->pages[i - TREE_FAN];
            return true;
        }
        i = 2 * i + path_bit(&v->path, depth);
        fan_child_get(f, i ^ 1, &hash, &kind);
        proving_add(v, hash);
    }
}

void tree_prove(const struct tree *t, struct bytes key, struct buf *proof)
{
    struct proving v = {.path = tree_path(t, key)};
    struct state_proof p = {.end = END_EMPTY};
    struct buf other = {0};
    const struct page *at = t->top;
    CHECK(t->touched_n == 0 && !t->top->stale);
    while (at->is_fan && prove_fan(t, at, &v, &at))
        continue;
    if (!at->is_fan)
        prove_entries(t, at, &v);
    if (v.end) {
        p.end = hash_equal(&v.end->path, &v.path) ? END_OWN : END_OTHER;
        if (p.end == END_OTHER) {
            struct bytes value = leaf_value(v.end);
            codec_put_hash(&other, &v.end->path);
            buf_add(&other, value.p, value.n);
        }
    }
    p.siblings = (struct hashes){v.siblings.p, v.siblings_n};
    p.other = bytes_of_buf(&other);
    state_proof_put(proof, &p);
    buf_clear(&v.siblings);
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
    struct hash path = hash_once(HASH_STATE_KEY, key.p, key.n), top;
    state_proof_get(&c, &p);
    if (!cursor_end(&c) || p.siblings.n > PROOF_DEPTH_MAX || !end_hash(&p, &path, value, &top))
        return false;
    for (unsigned depth = p.siblings.n; depth-- > 0;) {
        struct hash sibling = hashes_at(&p.siblings, depth);
        top = path_bit(&path, depth) ? pair_hash(&sibling, &top) : pair_hash(&top, &sibling);
    }
    return hash_equal(&top, root);
}
