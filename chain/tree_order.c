/* Entries of listed classes in the order of their keys: a treap whose priorities are hashes of the paths under a
 * secret. Its shape is another one on every machine, and nothing else depends on it. By the paths alone it would be
 * chosen by strangers: who registers under roots of his own finds keys whose paths rise with them, and all walks go
 * past each. */
#include "chain/tree_core.h"

#include "base/secret.h"

#include <string.h>

static struct order_node *node_at(const struct tree *t, uint32_t i)
{
    return pool_at(&t->order.nodes, i);
}

static const struct leaf *leaf_of(const struct tree *t, uint32_t i)
{
    return tree_leaf(t, node_at(t, i)->leaf);
}

static int compare_keys(struct bytes a, struct bytes b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.p, b.p, n) : 0;
    return c ? c : (a.n > b.n) - (a.n < b.n);
}

/* Splits `at` into keys up to `key` and keys behind it. */
static void split(struct tree *t, uint32_t at, struct bytes key, uint32_t *low, uint32_t *high)
{
    while (at) {
        struct order_node *n = node_at(t, at);
        if (compare_keys(leaf_key(leaf_of(t, at)), key) <= 0) {
            *low = at;
            low = &n->after;
            at = n->after;
        } else {
            *high = at;
            high = &n->before;
            at = n->before;
        }
    }
    *low = *high = 0;
}

/* The slot below `at` on the way to `key`. */
static uint32_t *way_down(struct tree *t, uint32_t at, struct bytes key)
{
    struct order_node *n = node_at(t, at);
    return compare_keys(key, leaf_key(leaf_of(t, at))) < 0 ? &n->before : &n->after;
}

void order_init(struct tree *t)
{
    t->order = (struct order){.nodes = {.item = sizeof(struct order_node), .used = 1}};
    secret_random(t->order.secret, sizeof t->order.secret); /* of nothing that can be seen */
}

void order_add(struct tree *t, uint32_t leaf)
{
    struct bytes key = leaf_key(tree_leaf(t, leaf));
    const struct hash *path = &tree_leaf(t, leaf)->path;
    uint32_t i = pool_take(&t->order.nodes), *slot = &t->order.root;
    uint32_t rank = (uint32_t)hash_place(t->order.secret, path->b, sizeof path->b);
    while (*slot && node_at(t, *slot)->rank < rank)
        slot = way_down(t, *slot, key);
    uint32_t below = *slot;
    struct order_node *n = node_at(t, i);
    n->leaf = leaf;
    n->rank = rank;
    *slot = i;
    split(t, below, key, &n->before, &n->after);
}

void order_remove(struct tree *t, uint32_t leaf)
{
    struct bytes key = leaf_key(tree_leaf(t, leaf));
    uint32_t *slot = &t->order.root;
    while (node_at(t, *slot)->leaf != leaf) {
        slot = way_down(t, *slot, key);
        CHECK(*slot);
    }
    uint32_t gone = *slot, a = node_at(t, gone)->before, b = node_at(t, gone)->after;
    while (a && b) { /* join: the smaller rank stands above */
        if (node_at(t, a)->rank < node_at(t, b)->rank) {
            *slot = a;
            slot = &node_at(t, a)->after;
            a = *slot;
        } else {
            *slot = b;
            slot = &node_at(t, b)->before;
            b = *slot;
        }
    }
    *slot = a ? a : b;
    pool_give(&t->order.nodes, gone);
}

void order_clear(struct tree *t)
{
    pool_clear(&t->order.nodes);
}

bool tree_next(const struct tree *t, struct bytes prefix, struct bytes after, struct bytes *key, struct bytes *value)
{
    const struct leaf *best = NULL;
    for (uint32_t at = t->order.root; at;) {
        const struct leaf *l = leaf_of(t, at);
        bool behind = after.p ? compare_keys(leaf_key(l), after) > 0 : compare_keys(leaf_key(l), prefix) >= 0;
        if (behind)
            best = l;
        at = behind ? node_at(t, at)->before : node_at(t, at)->after;
    }
    if (!best || leaf_key(best).n < prefix.n || memcmp(leaf_key(best).p, prefix.p, prefix.n) != 0)
        return false;
    *key = leaf_key(best);
    *value = leaf_value(best);
    return true;
}
