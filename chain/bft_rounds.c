/* What the machine of consensus keeps of a height (rounds with their votes, verdicts on blocks, how far each validator
 * came) and what others may see of it. */
#include "chain/bft_core.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

static void round_free(struct round *r)
{
    bft_votes_clear(&r->prevotes);
    bft_votes_clear(&r->precommits);
    free(r);
}

void rounds_clear(struct bft *b)
{
    for (uint32_t i = 0; i < b->rounds_n; i++)
        round_free(b->rounds[i]);
    b->rounds_n = 0;
}

/* -- what is kept -- */

struct round *round_find(const struct bft *b, uint32_t round)
{
    for (uint32_t i = 0; i < b->rounds_n; i++)
        if (b->rounds[i]->round == round)
            return b->rounds[i];
    return NULL;
}

struct round *round_get(struct bft *b, uint32_t round)
{
    struct round *r = round_find(b, round);
    if (r)
        return r;
    if (b->rounds_n == b->rounds_room) {
        b->rounds_room = b->rounds_room ? 2 * b->rounds_room : 8;
        b->rounds = mem_resize(b->rounds, b->rounds_room, sizeof(struct round *));
    }
    r = mem_new(sizeof *r);
    r->round = round;
    r->proposer = valset_proposer(&b->validators, round);
    b->rounds[b->rounds_n++] = r;
    return r;
}

static bool round_is_pinned(const struct bft *b, uint32_t round)
{
    if (round == b->locked_round || round == b->valid_round)
        return true;
    const struct round *now = round_find(b, b->round);
    return now && now->has_proposal && now->proposal.valid_round == round;
}

bool round_is_kept(const struct bft *b, uint32_t round)
{
    if (round > b->round)
        return round - b->round <= BFT_ROUNDS_AHEAD;
    return b->round - round <= BFT_ROUNDS_KEPT || round_is_pinned(b, round);
}

void rounds_prune(struct bft *b)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < b->rounds_n; i++)
        if (round_is_kept(b, b->rounds[i]->round))
            b->rounds[kept++] = b->rounds[i];
        else
            round_free(b->rounds[i]);
    b->rounds_n = kept;
}

enum bft_verdict bft_verdict(const struct bft *b, const struct hash *value)
{
    uint32_t n = b->values_n < BFT_VALUES_MAX ? b->values_n : BFT_VALUES_MAX;
    for (uint32_t i = 0; i < n; i++)
        if (hash_equal(&b->values[i].id, value))
            return b->values[i].verdict;
    return BFT_UNKNOWN;
}

/* The verdicts on the locked and the valid value are never given up. */
void verdict_note(struct bft *b, const struct hash *value, enum bft_verdict verdict)
{
    if (verdict == BFT_UNKNOWN || bft_verdict(b, value) != BFT_UNKNOWN)
        return;
    for (;;) {
        uint32_t i = b->values_n++ % BFT_VALUES_MAX;
        bool pinned = b->values_n > BFT_VALUES_MAX &&
                      ((b->locked_round != VOTE_NO_ROUND && hash_equal(&b->values[i].id, &b->locked_value)) ||
                       (b->valid_round != VOTE_NO_ROUND && hash_equal(&b->values[i].id, &b->valid_value)));
        if (pinned)
            continue;
        b->values[i].id = *value;
        b->values[i].verdict = verdict;
        return;
    }
}

void highest_note(struct bft *b, uint32_t index, uint32_t round)
{
    if ((int64_t)round > b->highest[index])
        b->highest[index] = round;
}

/* -- views -- */

struct bft_view bft_view(const struct bft *b)
{
    const struct round *r = round_find(b, b->round);
    return (struct bft_view){.height = b->height,
                             .round = b->round,
                             .step = b->step,
                             .locked_round = b->locked_round,
                             .valid_round = b->valid_round,
                             .locked_value = b->locked_value,
                             .valid_value = b->valid_value,
                             .proposer = r               ? r->proposer
                                         : b->height > 0 ? valset_proposer(&b->validators, b->round)
                                                         : 0,
                             .self = b->self};
}

bool bft_has_voted(const struct bft *b, uint32_t round, enum vote_kind kind)
{
    const struct round *r = round_find(b, round);
    const struct bft_votes *votes = !r ? NULL : kind == VOTE_PREVOTE ? &r->prevotes : &r->precommits;
    for (uint32_t i = 0; votes && i < votes->n; i++)
        if (votes->votes[i].index == b->self)
            return true;
    return false;
}

uint32_t bft_commit(const struct bft *b, uint32_t round, const struct hash *value, struct buf *sigs)
{
    const struct round *r = round_find(b, round);
    return r ? bft_votes_sigs(&r->precommits, value, VOTE_NO_ROUND, sigs) : 0;
}

void bft_quorums(const struct bft *b, bft_quorum_fn fn, void *arg)
{
    for (uint32_t i = 0; i < b->rounds_n; i++) {
        const struct bft_votes *votes = &b->rounds[i]->prevotes;
        for (uint32_t k = 0; k < votes->tallies_n; k++)
            if (!hash_is_zero(&votes->tallies[k].value) && valset_is_quorum(&b->validators, votes->tallies[k].power))
                fn(arg, b->rounds[i]->round, votes, &votes->tallies[k]);
    }
}

static void round_votes(const struct bft *b, uint32_t round, bft_vote_fn fn, void *arg)
{
    const struct round *r = round_find(b, round);
    for (uint32_t i = 0; r && i < r->prevotes.n; i++)
        fn(arg, &r->prevotes.votes[i]);
    for (uint32_t i = 0; r && i < r->precommits.n; i++)
        fn(arg, &r->precommits.votes[i]);
}

void bft_votes(const struct bft *b, bft_vote_fn fn, void *arg)
{
    if (b->valid_round != VOTE_NO_ROUND && b->valid_round + 1 < b->round)
        round_votes(b, b->valid_round, fn, arg);
    if (b->round > 0)
        round_votes(b, b->round - 1, fn, arg);
    round_votes(b, b->round, fn, arg);
}

/* -- ballots: what others have, and what they lack -- */

static void round_ballots(const struct bft *b, uint32_t round, bft_ballot_fn fn, void *arg)
{
    const struct round *r = round_find(b, round);
    for (int kind = VOTE_PREVOTE; r && kind <= VOTE_PRECOMMIT; kind++) {
        const struct bft_votes *votes = kind == VOTE_PREVOTE ? &r->prevotes : &r->precommits;
        for (uint32_t i = 0; i < votes->tallies_n; i++) {
            const struct bft_tally *t = &votes->tallies[i];
            struct bft_ballot ballot = {
                .kind = (enum vote_kind)kind, .round = round, .valid_round = t->valid_round, .value = t->value};
            memcpy(ballot.voted, t->voted, sizeof ballot.voted);
            fn(arg, &ballot);
        }
    }
}

void bft_ballots(const struct bft *b, bool only_this_round, bft_ballot_fn fn, void *arg)
{
    if (!only_this_round && b->valid_round != VOTE_NO_ROUND && b->valid_round + 1 < b->round)
        round_ballots(b, b->valid_round, fn, arg);
    if (!only_this_round && b->round > 0)
        round_ballots(b, b->round - 1, fn, arg);
    round_ballots(b, b->round, fn, arg);
}

/* As a vote of the ballot's: is it here, or of no use? Of rounds that are too far ahead only how far each came counts.
 */
static bool has_vote(const struct bft *b, const struct bft_votes *votes, const struct vote *v)
{
    if (v->index >= b->validators.n)
        return true;
    if (!round_is_kept(b, v->round))
        return v->round < b->round || (int64_t)v->round <= b->highest[v->index];
    return votes && bft_votes_has(votes, v);
}

bool bft_lacks(const struct bft *b, struct bft_ballot *ballot)
{
    struct vote v = {.kind = (uint8_t)ballot->kind,
                     .height = b->height,
                     .round = ballot->round,
                     .value = ballot->value,
                     .valid_round = ballot->valid_round};
    bool lacks = false;
    if (b->step == BFT_DECIDED || !vote_is_sane(&v))
        return false;
    const struct round *r = round_find(b, v.round);
    const struct bft_votes *votes = !r ? NULL : v.kind == VOTE_PREVOTE ? &r->prevotes : &r->precommits;
    for (v.index = 0; v.index < VALIDATORS_MAX; v.index++) {
        uint8_t *byte = &ballot->voted[v.index / 8], bit = (uint8_t)(1u << v.index % 8);
        if (*byte & bit && has_vote(b, votes, &v))
            *byte = (uint8_t)(*byte & ~bit);
        lacks |= (*byte & bit) != 0;
    }
    return lacks;
}

void bft_ballot_votes(const struct bft *b, const struct bft_ballot *ballot, bft_vote_fn fn, void *arg)
{
    const struct round *r = round_find(b, ballot->round);
    const struct bft_votes *votes = !r ? NULL : ballot->kind == VOTE_PREVOTE ? &r->prevotes : &r->precommits;
    for (uint32_t i = 0; votes && i < votes->n; i++) {
        const struct vote *v = &votes->votes[i];
        if (v->valid_round == ballot->valid_round && hash_equal(&v->value, &ballot->value) &&
            ballot->voted[v->index / 8] >> (v->index % 8) & 1)
            fn(arg, v);
    }
}

bool bft_proposal(const struct bft *b, uint32_t round, struct proposal *out)
{
    const struct round *r = round_find(b, round);
    if (r && r->has_proposal)
        *out = r->proposal;
    return r && r->has_proposal;
}
