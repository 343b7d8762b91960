/* The root: what changed is sorted by path once and hashed upwards once. */
#include "chain/tree_core.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define PARALLEL_LEAST 256u /* touched entries: under that, waking helpers costs more than they save */

static const struct hash nothing = {{0}};

struct hash tree_entry_hash(const struct hash *path, struct bytes value)
{
    struct hasher h;
    hash_start(&h, HASH_STATE_LEAF);
    hash_add(&h, path->b, sizeof path->b);
    hash_add(&h, value.p, value.n);
    return hash_end(&h);
}

struct hash tree_pair_hash(const struct hash *zero, const struct hash *one)
{
    struct hash pair[2] = {*zero, *one};
    return hash_once(HASH_STATE, pair, sizeof pair);
}

/* What stands alone at `from` bits of its path, as seen from fewer. */
struct hash tree_lift(struct hash h, const struct hash *path, unsigned from, unsigned to)
{
    while (from-- > to)
        h = path_bit(path, from) ? tree_pair_hash(&nothing, &h) : tree_pair_hash(&h, &nothing);
    return h;
}

/* -- within a page -- */

static unsigned paths_part(const struct hash *a, const struct hash *b)
{
    unsigned i = 0;
    while (i < 8 * HASH_SIZE && path_bit(a, i) == path_bit(b, i))
        i++;
    CHECK(i < 8 * HASH_SIZE);
    return i;
}

struct span span_of(const struct tree *t, const struct page *p, uint32_t low, uint32_t high)
{
    struct span s = {low, high, high, 0};
    const uint64_t *b = p->u.bits;
    if (high - low < 2)
        return s;
    uint64_t differ = b[low] ^ b[high - 1];
    if (differ) {
        s.fork = (unsigned)__builtin_clzll(differ);
        uint64_t unit = UINT64_C(1) << (63 - s.fork);
        s.split = bits_rank(b, low, high, b[high - 1] & ~(unit - 1));
        return s;
    }
    /* 64 equal bits: somebody searched for them */
    s.fork = paths_part(&page_leaf(t, p, low)->path, &page_leaf(t, p, high - 1)->path);
    for (s.split = low; !path_bit(&page_leaf(t, p, s.split)->path, s.fork);)
        s.split++;
    return s;
}

/* -- what is to be hashed: planned from the leaves upwards, then done level by level, several at once -- */

#define PLAN_LEVELS 600u /* above a leaf there are at most 256 places, each a fork or a level without one */
#define BATCH       64u

struct node_job {
    const struct hash *zero, *one;
    struct hash *out;
    uint32_t next; /* of the same level; 0: none */
};

struct plan {
    struct leaf **leaves;
    uint32_t leaves_n, leaves_room;
    struct node_job *jobs; /* from 1 on */
    uint32_t jobs_n, jobs_room;
    uint32_t first[PLAN_LEVELS]; /* jobs by level; what a job reads is of lower levels */
    unsigned levels;
};

static void plan_leaf(struct plan *v, struct leaf *l)
{
    leaf_fetch(l);
    if (v->leaves_n == v->leaves_room) {
        v->leaves_room = v->leaves_room ? 2 * v->leaves_room : 64;
        v->leaves = mem_resize(v->leaves, v->leaves_room, sizeof(struct leaf *));
    }
    v->leaves[v->leaves_n++] = l;
}

static void plan_node(struct plan *v, unsigned level, const struct hash *zero, const struct hash *one, struct hash *out)
{
    if (v->jobs_n + 1 >= v->jobs_room) {
        v->jobs_room = v->jobs_room ? 2 * v->jobs_room : 256;
        v->jobs = mem_resize(v->jobs, v->jobs_room, sizeof *v->jobs);
    }
    CHECK(level < PLAN_LEVELS);
    v->jobs[++v->jobs_n] = (struct node_job){zero, one, out, v->first[level]};
    v->first[level] = v->jobs_n;
    v->levels = v->levels > level + 1 ? v->levels : level + 1;
}

static void plan_run_leaves(const struct plan *v)
{
    struct hash_job batch[BATCH];
    unsigned n = 0;
    for (uint32_t i = 0; i < v->leaves_n; i++) {
        struct leaf *l = v->leaves[i];
        struct bytes value = leaf_value(l);
        l->dirty = false;
        if (value.n > HASH_JOB_MAX) {
            l->hash = tree_entry_hash(&l->path, value);
            continue;
        }
        batch[n++] = (struct hash_job){l->path.b, value.p, (uint32_t)value.n, &l->hash};
        if (n == BATCH) {
            hash_many(HASH_STATE_LEAF, batch, n);
            n = 0;
        }
    }
    hash_many(HASH_STATE_LEAF, batch, n);
}

static void plan_run_level(const struct plan *v, uint32_t first)
{
    struct hash_job batch[BATCH];
    unsigned n = 0;
    for (uint32_t i = first; i; i = v->jobs[i].next) {
        const struct node_job *j = &v->jobs[i];
        batch[n++] = (struct hash_job){j->zero, j->one, HASH_SIZE, j->out};
        if (n == BATCH) {
            hash_many(HASH_STATE, batch, n);
            n = 0;
        }
    }
    hash_many(HASH_STATE, batch, n);
}

static void plan_run(struct plan *v)
{
    plan_run_leaves(v);
    for (unsigned i = 0; i < v->levels; i++) {
        plan_run_level(v, v->first[i]);
        v->first[i] = 0;
    }
    v->leaves_n = v->jobs_n = 0;
    v->levels = 0;
}

static void plan_clear(struct plan *v)
{
    free(v->leaves);
    free(v->jobs);
}

struct work {
    const struct tree *t;
    const struct page *page;
    struct plan *plan;
};

/* What the hash of a span is read from, if it is clean. */
struct hash *span_kept(const struct tree *t, const struct page *p, const struct span *s)
{
    bool is_one = s->high - s->low == 1;
    struct leaf *l = page_leaf(t, p, is_one ? s->low : s->split - 1);
    return is_one ? &l->hash : &l->fork;
}

/* Plans the hash of a span as seen from `depth`, kept in *at; a to b: places of the entries that were touched in it.
 * Returns the level from which on it can be read. */
static unsigned span_plan(const struct work *w, const struct span *s, unsigned depth, const uint64_t *a,
                          const uint64_t *b, const struct hash **at)
{
    const struct page *p = w->page;
    bool is_one = s->high - s->low == 1;
    struct leaf *l = page_leaf(w->t, p, is_one ? s->low : s->split - 1);
    *at = is_one ? &l->hash : &l->fork;
    /* Entries are far away in memory. Where nothing moved, those that nobody touched have what they need, those that
     * were touched are dirty, and forks are kept for their depths: nothing of them is read before it comes. */
    bool is_still = !p->moved && !p->has_equal;
    if (is_still && a == b)
        return 0;
    if (is_one) {
        if (is_still || l->dirty)
            plan_leaf(w->plan, l);
        return 0;
    }
    bool is_searched = s->fork >= 64; /* among equal bits, the touched place is that of the first */
    if (a == b && l->fork_depth == depth && !is_searched)
        return 0;
    struct span zero = span_of(w->t, p, s->low, s->split), one = span_of(w->t, p, s->split, s->high);
    __builtin_prefetch(span_kept(w->t, p, &zero));
    __builtin_prefetch(span_kept(w->t, p, &one));
    const uint64_t *mid = a;
    while (mid < b && *mid < s->split)
        mid++;
    const struct hash *left, *right;
    unsigned zero_level = span_plan(w, &zero, s->fork + 1, a, mid, &left);
    unsigned level = span_plan(w, &one, s->fork + 1, mid, b, &right);
    level = level > zero_level ? level : zero_level;
    plan_node(w->plan, level++, left, right, &l->fork);
    for (unsigned d = s->fork; d-- > depth;) { /* levels without a fork: nothing is on the other side */
        bool bit = d < 64 ? p->u.bits[s->low] >> (63 - d) & 1 : path_bit(&l->path, d);
        plan_node(w->plan, level++, bit ? &nothing : &l->fork, bit ? &l->fork : &nothing, &l->fork);
    }
    if (!is_still)
        l->fork_depth = (uint16_t)depth;
    return level;
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

static void entries_plan(const struct tree *t, struct page *p, uint64_t *a, const uint64_t *b, struct plan *plan)
{
    struct work w = {t, p, plan};
    const struct hash *at;
    p->kind = p->n == 0 ? TREE_NONE : p->n == 1 ? TREE_ONE : TREE_MANY;
    if (p->n == 0)
        return;
    struct span all = span_of(t, p, 0, p->n);
    const uint64_t *end = places_of(p, a, b);
    (void)span_plan(&w, &all, p->depth, a, end, &at);
}

static void entries_finish(const struct tree *t, struct page *p)
{
    p->hash = nothing;
    if (p->n) {
        struct span all = span_of(t, p, 0, p->n);
        p->hash = *span_kept(t, p, &all);
    }
}

/* -- fans -- */

void fan_child_get(const struct fan *f, unsigned i, const struct hash **hash, unsigned *kind)
{
    *hash = i < TREE_FAN ? &f->inner[i] : &f->pages[i - TREE_FAN].hash;
    *kind = i < TREE_FAN ? f->kinds[i] : f->pages[i - TREE_FAN].kind;
}

/* Places from..2 from - 1, which are one level of the fan. */
static void fan_combine(struct fan *f, unsigned from, const bool *visit)
{
    struct hash_job batch[TREE_FAN / 2];
    unsigned n = 0;
    for (unsigned i = from; i < 2 * from; i++) {
        const struct hash *zero, *one;
        unsigned zeros, ones;
        if (!visit[i])
            continue;
        fan_child_get(f, 2 * i, &zero, &zeros);
        fan_child_get(f, 2 * i + 1, &one, &ones);
        f->kinds[i] = (uint8_t)(zeros + ones < TREE_MANY ? zeros + ones : TREE_MANY);
        if (f->kinds[i] == TREE_MANY)
            batch[n++] = (struct hash_job){zero, one, HASH_SIZE, &f->inner[i]};
        else
            f->inner[i] = zeros ? *zero : *one;
    }
    hash_many(HASH_STATE, batch, n);
}

/* Which of the touched lie in each page, and whether it must be visited at all. */
struct fan_work {
    const struct tree *t;
    struct fan *fan;
    uint64_t *from[TREE_FAN + 1];
    bool visit[2 * TREE_FAN]; /* as in the tree of inner hashes */
};

static void fan_divide(struct fan_work *w, const struct page *p, uint64_t *a, const uint64_t *b)
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

/* Plans all pages below that are to be visited; they stay stale until page_finish. */
static void page_plan(const struct tree *t, struct page *p, uint64_t *a, uint64_t *b, struct plan *plan)
{
    p->stale = true;
    if (!p->is_fan) {
        entries_plan(t, p, a, b, plan);
        return;
    }
    struct fan_work w = {.t = t, .fan = p->u.fan};
    fan_divide(&w, p, a, b);
    for (const uint64_t *x = a; x < b; x++)
        page_near(fan_child(p, *x), *x);
    for (unsigned i = 0; i < TREE_FAN; i++)
        if (w.visit[TREE_FAN + i])
            page_plan(t, &w.fan->pages[i], w.from[i], w.from[i + 1], plan);
}

/* From the pages that are finished up to this one. */
static void fan_finish(struct page *p, const bool *visit)
{
    for (unsigned from = TREE_FAN / 2; from > 0; from /= 2)
        fan_combine(p->u.fan, from, visit);
    p->hash = p->u.fan->inner[1];
    p->kind = p->u.fan->kinds[1];
    p->stale = false;
}

static void page_finish(const struct tree *t, struct page *p)
{
    bool visit[2 * TREE_FAN];
    if (!p->is_fan) {
        entries_finish(t, p);
        p->stale = p->moved = false;
        return;
    }
    for (unsigned i = 0; i < TREE_FAN; i++)
        if ((visit[TREE_FAN + i] = p->u.fan->pages[i].stale))
            page_finish(t, &p->u.fan->pages[i]);
    for (unsigned i = TREE_FAN - 1; i > 0; i--)
        visit[i] = visit[2 * i] || visit[2 * i + 1];
    fan_finish(p, visit);
}

static void page_rehash(const struct tree *t, struct page *p, uint64_t *a, uint64_t *b)
{
    struct plan *plan = mem_new(sizeof *plan);
    page_plan(t, p, a, b, plan);
    plan_run(plan);
    page_finish(t, p);
    plan_clear(plan);
    free(plan);
}

static void fan_part(void *arg, uint32_t i)
{
    struct fan_work *w = arg;
    if (w->visit[TREE_FAN + i])
        page_rehash(w->t, &w->fan->pages[i], w->from[i], w->from[i + 1]);
}

/* The pages of a fan in parts. */
static void fan_rehash(const struct tree *t, struct page *p, uint64_t *a, const uint64_t *b)
{
    struct fan_work w = {.t = t, .fan = p->u.fan};
    fan_divide(&w, p, a, b);
    parallel_run(&t->parallel, fan_part, &w, TREE_FAN);
    fan_finish(p, w.visit);
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
    uint64_t *end = n ? t->touched + n : t->touched; /* where nothing was touched yet there is no array */
    if (is_shared)
        fan_rehash(t, t->top, t->touched, end);
    else
        page_rehash(t, t->top, t->touched, end);
    t->touched_n = 0;
    return t->top->hash;
}
