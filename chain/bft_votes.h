/* The votes of one round and kind: who voted what, and how much power stands behind each value.
 *
 * A validator's first vote is always kept. A second, different one (equivocation) is kept only if somebody else's first
 * vote was for the same (value, valid round), so that an equivocator can neither hide a quorum from us by
 * showing us its other face, nor fill our memory: at most one vote a validator and value that somebody voted first.
 */
#ifndef KITH_CHAIN_BFT_VOTES_H
#define KITH_CHAIN_BFT_VOTES_H

#include "chain/valset.h"
#include "chain/vote.h"

struct bft_tally {
    struct hash value;
    uint32_t valid_round;
    uint64_t power;
    uint8_t voted[VALIDATORS_MAX / 8];
};
/* {0} is empty. */
struct bft_votes {
    struct vote *votes; /* in the order of their coming */
    uint32_t n, room;
    struct bft_tally *tallies;
    uint32_t tallies_n, tallies_room;
    uint64_t power; /* of all who voted, each once */
    uint8_t voted[VALIDATORS_MAX / 8];
};

enum bft_votes_added { BFT_VOTE_OLD, BFT_VOTE_NEW, BFT_VOTE_CONFLICT };

void bft_votes_clear(struct bft_votes *v);
/* Is it already here, so that its signature needs no look? */
bool bft_votes_has(const struct bft_votes *v, const struct vote *vote);
/* A verified vote of index < s->n that bft_votes_has does not know. On a conflict *first is the validator's earlier
 * one. */
enum bft_votes_added bft_votes_add(struct bft_votes *v, const struct valset *s, const struct vote *vote,
                                   struct vote *first);
/* Appends the commit_sig's of those who voted this, ordered by index; returns how many. */
uint32_t bft_votes_sigs(const struct bft_votes *v, const struct hash *value, uint32_t valid_round, struct buf *sigs);
/* The tally with a quorum for this value, of any valid round; NULL if there is none. */
const struct bft_tally *bft_votes_quorum(const struct bft_votes *v, const struct valset *s, const struct hash *value);
/* The value other than nil that has a quorum; NULL if none has. */
const struct bft_tally *bft_votes_decided(const struct bft_votes *v, const struct valset *s);

#endif
