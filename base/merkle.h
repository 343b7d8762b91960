/* Blobs by Merkle root: models and data are cut into leaves of LEAF_SIZE bytes (the last may be
 * short), each hashed; pairs are hashed level by level, a node without a partner rises unchanged; the
 * root hashes the size with the top, so a root fixes size and content. Leaf and inner hashes carry
 * different personalisations, so neither can stand for the other.
 *
 *     leaf_i = H[kith.leaf](bytes of leaf i)
 *     node   = H[kith.node](left || right)
 *     root   = H[kith.blob](size as u64 little-endian || top)        an empty blob has top = 0
 */
#ifndef KITH_BASE_MERKLE_H
#define KITH_BASE_MERKLE_H

#include "base/hash.h"
#include "base/limits.h"

/* Number of leaves of a blob of `size` bytes; 0 for an empty one. */
uint64_t merkle_leaves(uint64_t size);
/* Bytes in leaf i < merkle_leaves(size). */
uint32_t merkle_leaf_size(uint64_t size, uint64_t i);

/* The whole tree in memory: about 64 bytes a leaf. */
struct merkle_tree;
/* From the leaves' hashes in order; takes a copy. n = merkle_leaves(size). */
struct merkle_tree *merkle_tree_new(const struct hash *leaves, uint64_t n, uint64_t size);
struct merkle_tree *merkle_tree_of(const void *p, uint64_t size);
void merkle_tree_free(struct merkle_tree *t);
struct hash merkle_tree_root(const struct merkle_tree *t);
uint64_t merkle_tree_size(const struct merkle_tree *t);
const struct hash *merkle_tree_leaf(const struct merkle_tree *t, uint64_t i);
/* Siblings from the leaf upwards; returns how many, at most LEAF_PROOF_MAX. */
unsigned merkle_tree_proof(const struct merkle_tree *t, uint64_t i, struct hash proof[LEAF_PROOF_MAX]);

struct hash merkle_leaf_hash(const void *p, size_t n);
/* True if leaf i with this hash belongs to the blob of this size and root. Total over hostile input. */
bool merkle_verify(const struct hash *root, uint64_t size, uint64_t i, const struct hash *leaf,
                   const struct hash *proof, unsigned proof_n) MUST_USE;

#endif
