/* A vocabulary as a tree of bytes: which tokens begin with what, so that a mask looks at a common beginning once. Nodes
 * lie in depth-first order, children by rising byte; whoever cannot go to a node goes on at its `end`. Read-only once
 * made. */
#ifndef KITH_INFERENCE_TRIE_H
#define KITH_INFERENCE_TRIE_H

#include "base/bytes.h"

struct trie {
    uint32_t tokens;  /* of the vocabulary */
    uint32_t n;       /* nodes */
    uint8_t *bytes;   /* [n] that leads there */
    uint16_t *depths; /* [n] from 1 */
    uint32_t *ends;   /* [n] first node that is not below it */
    uint32_t *firsts; /* [n] token + 1 whose piece ends here, or 0 */
    uint32_t *same;   /* [tokens] token + 1 with the same piece, or 0 */
};

/* pieces.p[starts[i]..starts[i+1]) is token i's; an empty one is of no token here. */
struct trie *trie_new(const struct buf *pieces, const uint32_t *starts, uint32_t tokens);
void trie_free(struct trie *t);

#endif
