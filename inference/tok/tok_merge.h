/* Merging neighbours, best pair first: the loop that SentencePiece-style and byte-level tokenizers
 * share. A word begins as a row of symbols; again and again the best pair of neighbours becomes one.
 * A heap over the candidate pairs makes n symbols cost O(n log n), whatever the vocabulary. */
#ifndef KITH_INFERENCE_TOK_MERGE_H
#define KITH_INFERENCE_TOK_MERGE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Part of the word: `n` bytes at `start`; n = 0 once it was merged into its left neighbour. */
struct merge_symbol {
    uint32_t start;
    uint32_t n;
    int32_t id; /* token, or -1 */
    int32_t prev;
    int32_t next; /* -1 at the end */
};

/* A pair that could merge. A pair is stale when its symbols have changed since, which shows in their
 * size: symbols only grow. */
struct merge_pair {
    uint64_t key; /* order << 32 | index of the left symbol: the smallest merges first, leftmost of equals */
    uint32_t size;
    int32_t id;
};

/* Scratch space, reused from word to word. {0} is empty. */
struct merge {
    struct merge_symbol *symbols;
    struct merge_pair *heap;
    size_t n, symbols_room;
    size_t heap_n, heap_room;
};

/* What two neighbours would become: true and the token with its order (smaller merges first). */
typedef bool (*merge_find)(const void *context, const struct merge_symbol *left, const struct merge_symbol *right,
                           uint32_t *order, int32_t *id);

void merge_clear(struct merge *m);
/* Forgets the word but keeps the room. */
void merge_reset(struct merge *m);
/* Appends a symbol to the word; at most 2^31 - 1 bytes in all. */
void merge_add(struct merge *m, uint32_t n, int32_t id);
/* Merges until nothing can; what is left is the chain from symbol 0 over `next`. */
void merge_run(struct merge *m, merge_find find, const void *context);

#endif
