/* Random transactions of every record, valid and not, for a world: money, registrations, channels with their receipts,
 * settlements and audits, grants and disputes, bounties, rules. All from one seed. */
#ifndef KITH_TESTS_DEALS_H
#define KITH_TESTS_DEALS_H

#include "tests/world.h"

#define DEALS_CHANNELS 48
#define DEALS_SETS     3  /* data sets for sale, by keys 1 to 3 */
#define DEALS_IDS      16 /* grants, and bounties, that are looked at again */
#define DEALS_CLAIMS   16 /* publications that were claimed last */

struct deals_claim {
    unsigned who;
    enum tx_kind kind;
    struct buf body;
};

struct deals {
    struct world *w;
    uint64_t seed;
    struct world_channel channel[DEALS_CHANNELS];
    unsigned channels;
    struct hash settlement[DEALS_CHANNELS];
    unsigned settled_by[DEALS_CHANNELS]; /* which channel */
    unsigned settlements;
    struct world_data data[DEALS_SETS];
    struct hash grant[DEALS_IDS], bounty[DEALS_IDS];
    unsigned grants, bounties;
    struct deals_claim claim[DEALS_CLAIMS];
    unsigned claims;
    bool closed[WORLD_KEYS]; /* changed who signs for it in this block, or may have spent all: no more of it */
};

/* The next of the seed's numbers, under n. */
uint32_t deals_below(struct deals *r, uint32_t n);
/* Adds a few transactions of one sort to the world's next block. */
void deals_add(struct deals *r);
void deals_add_evidence(struct deals *r);
void deals_clear(struct deals *r);

#endif
