/* Proofs of presence and absence, and their verification. */
#include "chain/tree_core.h"

#include <string.h>

static const struct hash nothing = {{0}};

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
    struct span s = span_of(t, p, 0, p->n);
    unsigned depth = p->depth;
    while (s.high - s.low > 1) {
        struct leaf *l = page_leaf(t, p, s.split - 1);
        struct span zero = span_of(t, p, s.low, s.split), one = span_of(t, p, s.split, s.high);
        const struct hash *left = span_kept(t, p, &zero), *right = span_kept(t, p, &one);
        for (; depth < s.fork; depth++) { /* levels without a fork: the span is on one side, nothing on the other */
            bool parts = path_bit(&v->path, depth) != path_bit(&l->path, depth);
            struct hash below = nothing;
            if (parts)
                below = tree_lift(tree_pair_hash(left, right), &l->path, s.fork, depth + 1);
            proving_add(v, &below);
            if (parts)
                return;
        }
        bool bit = path_bit(&v->path, depth++);
        proving_add(v, bit ? left : right);
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
        *out = tree_entry_hash(path, value);
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
    *out = tree_entry_hash(&other, bytes_of(p->other.p + HASH_SIZE, p->other.n - HASH_SIZE));
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
        top = path_bit(&path, depth) ? tree_pair_hash(&sibling, &top) : tree_pair_hash(&top, &sibling);
    }
    return hash_equal(&top, root);
}
