/* Snapshots: the state of one height, cut into leaves that are checked one by one on arrival.
 *
 * A leaf is all entries below one prefix of their paths (chain/tree.h). The state is halved by the next bit of the path
 * until what is left takes at most SNAPSHOT_LEAF_BYTES (or 64 bits are used up): so the cut is a function of the state,
 * and every node cuts the same. A leaf's hash is computed from its entries as the tree defines it, and the siblings on
 * the way up lead from there to the state root, which a header carries. What was halved has at least two entries, so
 * every node above a leaf is the hash of a pair, and a leaf that misses, adds or changes one entry fits no root.
 *
 * The table is the depths of the leaves in the order of their prefixes, one byte each; it is whole if they fill the
 * space exactly. The anchor is what else the next height needs and headers only name by hash: the two next sets of
 * validators with their turns.
 *
 * Pure. Who makes snapshots, keeps, sends and fetches them is node/consensus/snapshot*.c.
 */
#ifndef KITH_CHAIN_SNAPSHOT_H
#define KITH_CHAIN_SNAPSHOT_H

#include "chain/block.h"

/* Entries of a leaf stand one behind the other, ordered by path. */
#define SNAPSHOT_ENTRY_FIELDS(F) F(blob, key) F(blob, value)
RECORD_DECLARE(snapshot_entry, SNAPSHOT_ENTRY_FIELDS)

/* All paths whose first `depth` bits are those of `start` (the first 64 bits of a path, the first one highest). */
struct snapshot_place {
    uint64_t start;
    uint8_t depth;
};
struct snapshot_table {
    uint32_t n;
    struct snapshot_place *at;
};
/* ERR_FORMAT where the leaves leave a gap or overlap, ERR_LIMIT for too many. Clear it in either case. */
enum err snapshot_table_decode(struct bytes depths, struct snapshot_table *out, struct note *note) MUST_USE;
void snapshot_table_clear(struct snapshot_table *t);
struct hash snapshot_table_hash(struct bytes depths);

/* The hash of the tree's node at this place, if these are its entries. ERR_FORMAT for what is malformed, out of order
 * or belongs elsewhere. */
enum err snapshot_leaf_hash(const struct snapshot_place *place, struct bytes entries, struct hash *out,
                            struct note *note) MUST_USE;
/* ERR_OK if these are all entries at this place under the state root. Total over hostile input. */
enum err snapshot_leaf_check(const struct hash *root, const struct snapshot_place *place, const struct hashes *siblings,
                             struct bytes entries, struct note *note) MUST_USE;

/* The tree above the leaves, for whoever serves them. `leaves`: n hashes in the order of the table. */
struct snapshot_tree;
struct snapshot_tree *snapshot_tree_new(const struct snapshot_table *t, const struct hash *leaves);
void snapshot_tree_free(struct snapshot_tree *t);
struct hash snapshot_tree_root(const struct snapshot_tree *t);
/* Appends the siblings of a leaf, from the root downwards. */
void snapshot_tree_siblings(const struct snapshot_tree *t, const struct snapshot_place *place, struct buf *out);

/* Cutting: every entry is added once in any order with its place in a file of entries; then cut, which may run on
 * another thread; then each leaf's entries are read from the file, by their paths' first 64 bits, and put in order. */
struct snapshot_item {
    uint64_t path;
    uint64_t offset;
    uint32_t size; /* of the encoded entry */
};
struct snapshot_maker;
struct snapshot_maker *snapshot_maker_new(void);
void snapshot_maker_free(struct snapshot_maker *m);
/* Appends the encoded entry to `out`. */
void snapshot_maker_add(struct snapshot_maker *m, struct bytes key, struct bytes value, struct buf *out);
/* ERR_LIMIT where a leaf or their number would be too large. */
enum err snapshot_maker_cut(struct snapshot_maker *m) MUST_USE;
struct bytes snapshot_maker_depths(const struct snapshot_maker *m);
const struct snapshot_item *snapshot_maker_leaf(const struct snapshot_maker *m, uint32_t i, uint32_t *n);
/* Entries with equal first 64 bits may be in any order after the cut: sorts by whole paths. */
void snapshot_leaf_sort(struct buf *entries);

/* The sets of the two next heights. Decoded only if they are those that the headers of these heights name. */
void snapshot_anchor_put(struct buf *out, const struct valset *next, const struct valset *after);
enum err snapshot_anchor_get(struct bytes raw, const struct header *next_header, const struct header *after_header,
                             struct valset *next, struct valset *after, struct note *note) MUST_USE;

#endif
