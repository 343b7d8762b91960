/* The Merkle-sum tree over a channel's receipts (chain/market_records.h) with its inner nodes kept: both ends of a
 * channel sign over it at every step, and a step changes one leaf. A change costs a hash a level.
 *
 * Each row is half of the one below it, rounded up; what has no partner rises. Sums that overflow are marked and rise
 * as such, so a tree says what its leaves come to whatever was in it before, and a leaf that is taken back leaves
 * nothing behind. */
#ifndef KITH_CHAIN_RECEIPT_TREE_H
#define KITH_CHAIN_RECEIPT_TREE_H

#include "chain/market_records.h"

#define RECEIPT_TREE_ROWS 21 /* of RECEIPTS_MAX leaves, the top among them */

struct receipt_tree_node {
    struct sum_node sum;
    bool overflows;
};

/* Zeroed: empty. */
struct receipt_tree {
    uint32_t n, room; /* leaves */
    struct receipt_tree_node *row[RECEIPT_TREE_ROWS];
};

void receipt_tree_clear(struct receipt_tree *t);
/* *out is made. */
void receipt_tree_copy(const struct receipt_tree *t, struct receipt_tree *out);
/* Leaf i becomes this one; i == n adds it. At most RECEIPTS_MAX. */
void receipt_tree_put(struct receipt_tree *t, uint32_t i, const struct sum_node *leaf);
/* The first n of its leaves stay. */
void receipt_tree_cut(struct receipt_tree *t, uint32_t n);
/* As sum_tree_top and sum_tree_prove. */
bool receipt_tree_top(const struct receipt_tree *t, struct sum_node *top) MUST_USE;
bool receipt_tree_prove(const struct receipt_tree *t, uint32_t i, struct buf *proof) MUST_USE;

#endif
