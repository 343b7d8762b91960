/* Inside the machine of consensus: what it knows, shared by bft.c (events and rules), bft_rounds.c (what is kept of a
 * height, and views of it). Nobody else includes it. */
#ifndef KITH_CHAIN_BFT_CORE_H
#define KITH_CHAIN_BFT_CORE_H

#include "chain/bft.h"
#include "chain/bft_votes.h"

struct round {
    uint32_t round;
    uint32_t proposer;
    bool has_proposal, is_timely;
    struct proposal proposal;
    struct bft_votes prevotes, precommits;
    bool had_quorum;                     /* line 36 was entered */
    bool prevote_timer, precommit_timer; /* lines 34 and 47 were entered */
};

struct bft {
    struct hash chain;
    bool has_key;
    struct pubkey key;
    int self;
    struct valset validators;
    uint64_t height;
    uint32_t round;
    enum bft_step step;
    uint32_t locked_round, valid_round;
    struct hash locked_value, valid_value;
    struct round **rounds;
    uint32_t rounds_n, rounds_room;
    int64_t highest[VALIDATORS_MAX]; /* round of a validator's latest message; -1: none */
    bool accused[VALIDATORS_MAX];    /* evidence was given in this height */
    struct {
        struct hash id;
        enum bft_verdict verdict;
    } values[BFT_VALUES_MAX];
    uint32_t values_n; /* ever noted; the oldest gives way */
    struct bft_effect *effects;
    uint32_t effects_n, effects_room;
    bool news, forged;
};

/* bft_rounds.c */
void rounds_clear(struct bft *b);
/* NULL if nothing is known of it. */
struct round *round_find(const struct bft *b, uint32_t round);
/* Made where it is not there yet. */
struct round *round_get(struct bft *b, uint32_t round);
bool round_is_kept(const struct bft *b, uint32_t round);
/* Forgets the rounds that are not to be kept any more. */
void rounds_prune(struct bft *b);
/* The first verdict on a value stands. */
void verdict_note(struct bft *b, const struct hash *value, enum bft_verdict verdict);
void highest_note(struct bft *b, uint32_t index, uint32_t round);

#endif
