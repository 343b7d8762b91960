/* Leaves, tables and anchors of snapshots as peers send them: judged whatever they are, and believed by nobody. The
 * first byte says how deep the leaf is to lie. */
#include "base/mem.h"
#include "chain/snapshot.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_table(struct bytes raw)
{
    struct snapshot_table t;
    struct note note;
    if (snapshot_table_decode(raw, &t, &note) == ERR_OK) {
        struct hash *leaves = mem_array(t.n, sizeof *leaves);
        struct snapshot_tree *tree = snapshot_tree_new(&t, leaves);
        struct buf siblings = {0};
        for (uint32_t i = 0; i < t.n && i < 64; i++) {
            buf_reset(&siblings);
            snapshot_tree_siblings(tree, &t.at[i], &siblings);
            CHECK(siblings.n == (size_t)HASH_SIZE * t.at[i].depth);
        }
        buf_clear(&siblings);
        snapshot_tree_free(tree);
        free(leaves);
    }
    snapshot_table_clear(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct hash root = {{1}};
    static const uint8_t zero[64 * HASH_SIZE];
    struct bytes raw = bytes_of(data, size);
    struct note note;
    struct hash h;
    struct snapshot_place place = {0, size ? data[0] % 65 : 0};
    struct hashes siblings = {zero, place.depth};
    struct valset *a = mem_new(sizeof *a), *b = mem_new(sizeof *b);
    struct header next = {.height = 1}, after = {.height = 2};
    try_table(raw);
    struct bytes entries = bytes_of(data + (size > 0), size - (size > 0));
    if (snapshot_leaf_hash(&place, entries, &h, &note) == ERR_OK) {
        struct buf sorted = {0};
        buf_add(&sorted, entries.p, entries.n);
        snapshot_leaf_sort(&sorted); /* was in order */
        CHECK(bytes_equal(bytes_of_buf(&sorted), entries));
        buf_clear(&sorted);
    }
    CHECK(snapshot_leaf_check(&root, &place, &siblings, entries, &note) != ERR_OK);
    CHECK(snapshot_anchor_get(raw, &next, &after, a, b, &note) != ERR_OK);
    free(a);
    free(b);
    return 0;
}
