/* The validators of a height, weighted by stake, and whose turn it is to propose.
 *
 * Turns: every validator has a priority. A step adds to each its power, the highest one (the smaller
 * key where equal) proposes and pays the sum of all powers. So over time each proposes in proportion to
 * its power, and everybody computes the same turns.
 *
 * Invariants: 0 < n <= VALIDATORS_MAX; powers > 0; keys ordered and distinct; the sum of powers is at most
 * POWER_SUM_MAX; before each step priorities are centred on 0 and at most 2 sums apart, so that no
 * addition leaves 63 bits whatever the history. A newcomer starts 1.125 sums behind, so that
 * leaving and coming back gains no turn.
 */
#ifndef KITH_CHAIN_VALSET_H
#define KITH_CHAIN_VALSET_H

#include "base/codec.h"

struct validator {
    struct pubkey key;
    uint64_t power;
    int64_t priority;
};
struct valset {
    uint32_t n;
    uint64_t total; /* power of all */
    struct validator v[VALIDATORS_MAX];
};

struct valset_entry { /* a validator as others name it */
    struct pubkey key;
    uint64_t power;
};

/* Sorts by key. ERR_RANGE for none, too many, a power of 0, a key twice, or a sum over POWER_SUM_MAX. */
enum err valset_init(struct valset *s, const struct valset_entry *entries, uint32_t n, struct note *note) MUST_USE;
/* The same members keep their priorities, newcomers start behind; `s` is what it was on failure. */
enum err valset_update(struct valset *s, const struct valset_entry *entries, uint32_t n, struct note *note) MUST_USE;
/* One block's step from the set in office towards the wanted one, both ordered by key; returns how many are in `out`,
 * which is ordered by key too. All that powers lose and gain in one step is less than a third of the power
 * in office (one unit where that is under 4): so any quorum of a set holds more than a third of the set before, and who
 * trusts that one can trust its successor. Where some gain, losses take at most half of that, so that a set in exchange
 * does not melt away first; those who leave go before those who lose. The set is never empty, and nobody enters where
 * VALIDATORS_MAX are in office. Repeated, it arrives. */
uint32_t valset_approach(const struct valset_entry *now, uint32_t now_n, const struct valset_entry *want,
                         uint32_t want_n, struct valset_entry out[VALIDATORS_MAX]);
/* One turn of the rotation: returns the index of its proposer. */
uint32_t valset_step(struct valset *s);
/* Who proposes in a round of the height that this set is for: the one of turn round + 1. The next height's set is this
 * one after one turn, however many rounds it took. */
uint32_t valset_proposer(const struct valset *s, uint32_t round);
/* Index of a key, or -1. */
int valset_find(const struct valset *s, const struct pubkey *key);
/* More than two thirds; more than one third: at least one honest one is among them. */
bool valset_is_quorum(const struct valset *s, uint64_t power);
bool valset_is_honest(const struct valset *s, uint64_t power);
/* Of keys and powers; and of the priorities as well. */
struct hash valset_hash(const struct valset *s);
struct hash valset_rotation_hash(const struct valset *s);
/* For storing: everything, priorities included. Decoding checks the invariants. */
void valset_put(struct buf *b, const struct valset *s);
void valset_get(struct cursor *c, struct valset *s);

#endif
