/* The consensus core among four validators of equal power, of which we are one; the others' messages are signed here,
 * so every situation can be made. Heights are 1. */
#ifndef KITH_TESTS_BFT_FOUR_H
#define KITH_TESTS_BFT_FOUR_H

#include "chain/bft.h"
#include "tests/support.h"

#define NIL ((struct hash){{0}})

struct four {
    struct bft *bft;
    struct hash chain;
    struct seckey key[4]; /* in the order of the set */
    struct valset set;
    unsigned self;
    struct bft_effect effects[64]; /* since the last look */
    uint32_t n;
    bool news;
};

/* For cmocka: *state is a struct four, started. Rounds 0 to 2 are the others' to propose. */
int four_setup(void **state);
int four_teardown(void **state);

/* -- what is said -- */

struct hash four_value(uint8_t b);
void four_feed(struct four *f, struct bft_event e);
struct vote four_signed_vote(const struct four *f, unsigned who, enum vote_kind kind, uint32_t round, struct hash v,
                             uint32_t valid_round);
void four_prevote(struct four *f, unsigned who, uint32_t round, struct hash v, uint32_t valid_round);
void four_precommit(struct four *f, unsigned who, uint32_t round, struct hash v);
struct proposal four_signed_proposal(const struct four *f, uint32_t round, struct hash v, uint32_t valid_round);
/* By the proposer of the round; valid and timely. */
void four_propose(struct four *f, uint32_t round, struct hash v, uint32_t valid_round);
void four_timeout(struct four *f, uint32_t round, enum bft_step step);
/* Our own votes come back as the driver gives them. */
void four_echo(struct four *f);
/* The n-th of the others. */
unsigned four_other(const struct four *f, unsigned n);

/* -- what came of it -- */

/* The n-th effect of a kind since four_forget, or NULL. */
const struct bft_effect *four_effect(const struct four *f, enum bft_effect_kind kind, unsigned nth);
void four_forget(struct four *f);
/* The first vote that we cast since then. */
void four_expect_cast(const struct four *f, enum vote_kind kind, uint32_t round, struct hash v, uint32_t valid_round);

#endif
