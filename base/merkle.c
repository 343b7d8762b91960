/* Merkle trees over fixed-size leaves. The levels lie one behind the other, leaves first. */
#include "base/merkle.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define LEVELS_MAX (LEAF_PROOF_MAX + 1)

struct merkle_tree {
    uint64_t size;
    unsigned levels;
    uint64_t count[LEVELS_MAX];
    struct hash *level[LEVELS_MAX];
    struct hash root;
};

uint64_t merkle_leaves(uint64_t size)
{
    return size / LEAF_SIZE + (size % LEAF_SIZE != 0);
}

uint32_t merkle_leaf_size(uint64_t size, uint64_t i)
{
    uint64_t at = i * LEAF_SIZE;
    CHECK(at < size);
    return size - at < LEAF_SIZE ? (uint32_t)(size - at) : LEAF_SIZE;
}

struct hash merkle_leaf_hash(const void *p, size_t n)
{
    return hash_once(HASH_LEAF, p, n);
}

static struct hash node_hash(const struct hash *left, const struct hash *right)
{
    struct hash pair[2] = {*left, *right};
    return hash_once(HASH_NODE, pair, sizeof pair);
}

static struct hash root_hash(uint64_t size, const struct hash *top)
{
    struct hasher h;
    hash_start(&h, HASH_BLOB);
    hash_add_u64(&h, size);
    hash_add(&h, top->b, sizeof top->b);
    return hash_end(&h);
}

struct merkle_tree *merkle_tree_new(const struct hash *leaves, uint64_t n, uint64_t size)
{
    CHECK(size <= BLOB_SIZE_MAX && n == merkle_leaves(size));
    struct merkle_tree *t = mem_new(sizeof *t);
    t->size = size;
    struct hash top = {{0}};
    for (uint64_t count = n; count > 0; count = count / 2 + count % 2) {
        CHECK(t->levels < LEVELS_MAX);
        struct hash *row = mem_array(count, sizeof *row);
        const struct hash *below = t->levels ? t->level[t->levels - 1] : leaves;
        uint64_t below_n = t->levels ? t->count[t->levels - 1] : n;
        for (uint64_t i = 0; i < count; i++) {
            if (t->levels == 0)
                row[i] = leaves[i];
            else
                row[i] = 2 * i + 1 < below_n ? node_hash(&below[2 * i], &below[2 * i + 1]) : below[2 * i];
        }
        t->level[t->levels] = row;
        t->count[t->levels++] = count;
        top = row[0];
        if (count == 1)
            break;
    }
    t->root = root_hash(size, &top);
    return t;
}

struct merkle_tree *merkle_tree_of(const void *p, uint64_t size)
{
    uint64_t n = merkle_leaves(size);
    struct hash *leaves = mem_array(n, sizeof *leaves);
    for (uint64_t i = 0; i < n; i++)
        leaves[i] = merkle_leaf_hash((const uint8_t *)p + i * LEAF_SIZE, merkle_leaf_size(size, i));
    struct merkle_tree *t = merkle_tree_new(leaves, n, size);
    free(leaves);
    return t;
}

void merkle_tree_free(struct merkle_tree *t)
{
    if (!t)
        return;
    for (unsigned i = 0; i < t->levels; i++)
        free(t->level[i]);
    free(t);
}

struct hash merkle_tree_root(const struct merkle_tree *t)
{
    return t->root;
}

uint64_t merkle_tree_size(const struct merkle_tree *t)
{
    return t->size;
}

const struct hash *merkle_tree_leaf(const struct merkle_tree *t, uint64_t i)
{
    CHECK(t->levels && i < t->count[0]);
    return &t->level[0][i];
}

unsigned merkle_tree_proof(const struct merkle_tree *t, uint64_t i, struct hash proof[LEAF_PROOF_MAX])
{
    unsigned n = 0;
    CHECK(t->levels && i < t->count[0]);
    for (unsigned level = 0; level + 1 < t->levels; level++, i /= 2) {
        uint64_t sibling = i ^ 1;
        if (sibling < t->count[level])
            proof[n++] = t->level[level][sibling];
    }
    return n;
}

bool merkle_verify(const struct hash *root, uint64_t size, uint64_t i, const struct hash *leaf,
                   const struct hash *proof, unsigned proof_n)
{
    uint64_t count = merkle_leaves(size);
    if (size > BLOB_SIZE_MAX || i >= count || proof_n > LEAF_PROOF_MAX)
        return false;
    struct hash top = *leaf;
    unsigned used = 0;
    for (; count > 1; count = count / 2 + count % 2, i /= 2) {
        if ((i ^ 1) >= count)
            continue; /* without a partner: rises unchanged */
        if (used == proof_n)
            return false;
        top = i & 1 ? node_hash(&proof[used], &top) : node_hash(&top, &proof[used]);
        used++;
    }
    struct hash got = root_hash(size, &top);
    return used == proof_n && hash_equal(&got, root);
}
