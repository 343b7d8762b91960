/* Consensus of one height after the other: Tendermint (arXiv:1807.04938, algorithm 1) as a state machine without
 * I/O, keys or clock. Events go in, effects come out. "Line n" in the source is that paper's.
 *
 *              GO, a proposal, or f+1 in a round
 *     WAIT ------------------------------------> PROPOSE --(proposal, or timeout)--> PREVOTE
 *       ^                                           ^                                   |
 *       | START (next height)                       | timeout, or f+1 in a later round  | quorum, or timeout
 *       |                                           |                                   v
 *     DECIDED <--(quorum of precommits for one value, of any round)---------------- PRECOMMIT
 *
 * It holds no key: a vote to be cast is an effect; whoever drives it signs (signer.h), stores, and gives the vote
 * back as an event before anything else, as if it had come from a peer. It holds no blocks either: a value is an
 * id together with the verdict that the driver gave with it.
 *
 * Differences from the paper, each allowed by it: a locked validator prevotes only what had a quorum in the round of
 * its lock or later, its own value included (so a prevote that forgets a lock is evidence by itself); prevotes carry
 * the valid round and a quorum is of equal (value, valid round); rounds are skipped on f+1 of power in that round or
 * later ones; a fresh proposal whose time is off our clock or that was made in another round is refused (but not one
 * that had a quorum before); a proposer's second proposal is taken if a quorum voted for it.
 *
 * Same events in the same order give the same effects: a log of events is a log of the state.
 */
#ifndef KITH_CHAIN_BFT_H
#define KITH_CHAIN_BFT_H

#include "chain/evidence.h"
#include "chain/valset.h"
#include "chain/vote.h"

enum bft_step { BFT_WAIT, BFT_PROPOSE, BFT_PREVOTE, BFT_PRECOMMIT, BFT_DECIDED };
enum bft_verdict { BFT_UNKNOWN, BFT_INVALID, BFT_VALID };

enum bft_event_kind {
    BFT_START,    /* height, validators */
    BFT_GO,       /* a block is wanted: round 0 may begin */
    BFT_PROPOSAL, /* proposal, verdict on its block, timely: made in its round, and its time near our clock */
    BFT_VALUE,    /* value: the block that BFT_MAKE asked for, valid by its making; round */
    BFT_VOTE,     /* vote */
    BFT_TIMEOUT,  /* round, step: a BFT_TIMER is over */
    BFT_RESUME    /* round: to begin now, since votes of ours in those before are forgotten */
};
struct bft_event {
    enum bft_event_kind kind;
    uint64_t height;
    uint32_t round;
    enum bft_step step;
    const struct valset *validators; /* borrowed for the call */
    struct proposal proposal;
    enum bft_verdict verdict;
    bool timely;
    struct hash value;
    struct vote vote;
};

enum bft_effect_kind {
    BFT_CAST,    /* vote, unsigned: sign, store, give back, send */
    BFT_OFFER,   /* proposal, unsigned: sign, store, give back, send with its block */
    BFT_MAKE,    /* round: make a block and give it as BFT_VALUE */
    BFT_TIMER,   /* round, step, delay_ms */
    BFT_DECIDE,  /* round, value: bft_commit gives the precommits */
    BFT_EVIDENCE /* evidence */
};
struct bft_effect {
    enum bft_effect_kind kind;
    uint32_t round;
    enum bft_step step;
    uint32_t delay_ms;
    struct hash value;
    struct vote vote;
    struct proposal proposal;
    struct evidence evidence;
};
struct bft_effects {
    const struct bft_effect *at; /* valid until the next step */
    uint32_t n;
    bool news;   /* the proposal or vote was one that we did not have: worth relaying */
    bool forged; /* the vote is not signed by whom it names: nobody honest passed it on */
};

struct bft;
/* self NULL: an observer, who casts nothing. */
struct bft *bft_new(const struct hash *chain, const struct pubkey *self);
void bft_free(struct bft *b);
struct bft_effects bft_step(struct bft *b, const struct bft_event *event);

/* For whoever drives it. */
struct bft_view {
    uint64_t height;
    uint32_t round;
    enum bft_step step;
    uint32_t locked_round, valid_round; /* VOTE_NO_ROUND: none */
    struct hash locked_value, valid_value;
    uint32_t proposer; /* of this round */
    int self;          /* our index, -1 for an observer */
};
struct bft_view bft_view(const struct bft *b);
/* Would the proposal tell us something? To be asked before its block is checked, which costs. Its signature is verified
 * here. */
bool bft_wants(const struct bft *b, const struct proposal *p);
/* Does it contradict the one that we have of its round and proposer? Then it is worth an event, for the evidence. */
bool bft_contradicts(const struct bft *b, const struct proposal *p);
/* What we know of the verdict on a value of this height. */
enum bft_verdict bft_verdict(const struct bft *b, const struct hash *value);
/* Does it know a vote of ours? */
bool bft_has_voted(const struct bft *b, uint32_t round, enum vote_kind kind);
/* After BFT_DECIDE: appends commit_sig's of its precommits, ordered by index. Returns how many. */
uint32_t bft_commit(const struct bft *b, uint32_t round, const struct hash *value, struct buf *sigs);
/* Calls fn for every quorum of prevotes for a value, of the rounds that are kept. */
struct bft_votes;
struct bft_tally;
typedef void (*bft_quorum_fn)(void *arg, uint32_t round, const struct bft_votes *votes, const struct bft_tally *tally);
void bft_quorums(const struct bft *b, bft_quorum_fn fn, void *arg);
/* Calls fn for what a peer that missed messages needs: the votes of this round, of the one before
 * and of the valid round. */
typedef void (*bft_vote_fn)(void *arg, const struct vote *v);
void bft_votes(const struct bft *b, bft_vote_fn fn, void *arg);
/* All votes for one thing: a bit for each validator. */
struct bft_ballot {
    enum vote_kind kind;
    uint32_t round, valid_round;
    struct hash value;
    uint8_t voted[VALIDATORS_MAX / 8];
};
/* Calls fn for what the votes of bft_votes are, or only for those of this round. */
typedef void (*bft_ballot_fn)(void *arg, const struct bft_ballot *ballot);
void bft_ballots(const struct bft *b, bool only_this_round, bft_ballot_fn fn, void *arg);
/* Takes out the votes that it has, and those that it would not take; true if any are left. */
bool bft_lacks(const struct bft *b, struct bft_ballot *ballot) MUST_USE;
/* Calls fn for those of these votes that it has. */
void bft_ballot_votes(const struct bft *b, const struct bft_ballot *ballot, bft_vote_fn fn, void *arg);
/* The proposal of a round, if there is one. */
bool bft_proposal(const struct bft *b, uint32_t round, struct proposal *out);
/* Milliseconds that a step of a round may take; grows with the round. */
uint32_t bft_timeout_ms(enum bft_step step, uint32_t round);

#endif
