/* Tendermint's algorithm 1 as rules over the messages that are kept. Each event changes what is known; then the
 * rules run until none applies. Invariants:
 *
 *   - locked_round is the round of our last precommit for a value in this height, valid_round the highest round
 *     in which we saw a quorum of prevotes for a value whose block we hold; valid_round >= locked_round.
 *   - one prevote and one precommit are cast a round, in this order: `step` only grows within a round.
 *   - every kept message was verified against the height's validators.
 *   - kept: our round and BFT_ROUNDS_AHEAD ahead, BFT_ROUNDS_KEPT behind, and the pinned ones (locked, valid, and the
 *     valid round of the current proposal). Of what lies further ahead only each validator's highest round.
 */
#include "chain/bft_core.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

struct bft *bft_new(const struct hash *chain, const struct pubkey *self)
{
    struct bft *b = mem_new(sizeof *b);
    b->chain = *chain;
    b->has_key = self != NULL;
    if (self)
        b->key = *self;
    b->step = BFT_DECIDED;
    b->self = -1;
    return b;
}

void bft_free(struct bft *b)
{
    if (!b)
        return;
    rounds_clear(b);
    free(b->rounds);
    free(b->effects);
    free(b);
}

static struct bft_effect *effect_add(struct bft *b, enum bft_effect_kind kind)
{
    if (b->effects_n == b->effects_room) {
        b->effects_room = b->effects_room ? 2 * b->effects_room : 8;
        b->effects = mem_resize(b->effects, b->effects_room, sizeof *b->effects);
    }
    struct bft_effect *e = &b->effects[b->effects_n++];
    *e = (struct bft_effect){.kind = kind, .round = b->round};
    return e;
}

uint32_t bft_timeout_ms(enum bft_step step, uint32_t round)
{
    uint64_t base = step == BFT_PROPOSE ? BFT_TIMEOUT_MS : BFT_TIMEOUT_VOTE_MS;
    uint64_t ms = base + (uint64_t)round * BFT_TIMEOUT_STEP_MS;
    return (uint32_t)(ms < BFT_TIMEOUT_MAX_MS ? ms : BFT_TIMEOUT_MAX_MS);
}

static void timer_add_effect(struct bft *b, enum bft_step step)
{
    struct bft_effect *e = effect_add(b, BFT_TIMER);
    e->step = step;
    e->delay_ms = bft_timeout_ms(step, b->round);
}

/* -- what we do -- */

static void cast(struct bft *b, enum vote_kind kind, const struct hash *value, uint32_t valid_round)
{
    b->step = kind == VOTE_PREVOTE ? BFT_PREVOTE : BFT_PRECOMMIT;
    if (b->self < 0)
        return;
    struct bft_effect *e = effect_add(b, BFT_CAST);
    e->vote = (struct vote){.kind = (uint8_t)kind,
                            .height = b->height,
                            .round = b->round,
                            .value = value ? *value : (struct hash){{0}},
                            .valid_round = value && kind == VOTE_PREVOTE ? valid_round : VOTE_NO_ROUND,
                            .index = (uint16_t)b->self};
}

static void offer(struct bft *b, const struct hash *value, uint32_t valid_round)
{
    struct bft_effect *e = effect_add(b, BFT_OFFER);
    e->proposal = (struct proposal){.height = b->height,
                                    .round = b->round,
                                    .valid_round = valid_round,
                                    .value = *value,
                                    .index = (uint16_t)b->self};
}

/* Line 11. The timeout of the step runs for the proposer too: its block may fail to come. */
static void round_start(struct bft *b, uint32_t round)
{
    b->round = round;
    b->step = BFT_PROPOSE;
    rounds_prune(b);
    struct round *r = round_get(b, round);
    if (b->self >= 0 && r->proposer == (uint32_t)b->self && !r->has_proposal) {
        if (b->valid_round != VOTE_NO_ROUND)
            offer(b, &b->valid_value, b->valid_round);
        else
            effect_add(b, BFT_MAKE);
    }
    timer_add_effect(b, BFT_PROPOSE);
}

/* Line 49: of whatever round, once the block is known to be valid. */
static bool rule_decide(struct bft *b)
{
    for (uint32_t i = 0; i < b->rounds_n; i++) {
        const struct bft_tally *t = bft_votes_decided(&b->rounds[i]->precommits, &b->validators);
        if (!t || bft_verdict(b, &t->value) != BFT_VALID)
            continue;
        b->step = BFT_DECIDED;
        struct bft_effect *e = effect_add(b, BFT_DECIDE);
        e->round = b->rounds[i]->round;
        e->value = t->value;
        return true;
    }
    return false;
}

static int compare_falling(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x < y) - (x > y);
}

/* Line 55: the highest round that more than a third of the power has reached or passed, so at least one honest
 * validator; -1 if there is none. */
static int64_t round_reached(const struct bft *b)
{
    int64_t sorted[VALIDATORS_MAX];
    memcpy(sorted, b->highest, b->validators.n * sizeof *sorted);
    qsort(sorted, b->validators.n, sizeof *sorted, compare_falling);
    for (uint32_t i = 0; i < b->validators.n && sorted[i] >= 0; i++) {
        uint64_t power = 0;
        for (uint32_t k = 0; k < b->validators.n; k++)
            if (b->highest[k] >= sorted[i])
                power += b->validators.v[k].power;
        if (valset_is_honest(&b->validators, power))
            return sorted[i];
    }
    return -1;
}

static bool rule_skip(struct bft *b)
{
    int64_t reached = round_reached(b);
    bool is_waiting = b->step == BFT_WAIT;
    const struct round *first = is_waiting ? round_find(b, 0) : NULL;
    if (first && first->has_proposal && reached < 0)
        reached = 0;
    if (reached < 0 || (is_waiting ? false : reached <= (int64_t)b->round))
        return false;
    round_start(b, (uint32_t)reached);
    return true;
}

/* Lines 22 and 28, but for one thing: where we are locked on this very value, the paper prevotes it whatever it rests
 * on. Refusing what rests on less than our lock costs no progress, since of all honest validators the one whose valid
 * round is highest is still accepted by all at its turn; and it makes each prevote below a lock a fault. */
static bool rule_prevote(struct bft *b, const struct round *r)
{
    if (b->step != BFT_PROPOSE || !r->has_proposal)
        return false;
    const struct proposal *p = &r->proposal;
    enum bft_verdict verdict = bft_verdict(b, &p->value);
    if (verdict == BFT_UNKNOWN)
        return false;
    bool is_free = b->locked_round == VOTE_NO_ROUND, accept = is_free && r->is_timely;
    if (p->valid_round != VOTE_NO_ROUND) {
        const struct round *then = round_find(b, p->valid_round);
        if (!then || !bft_votes_quorum(&then->prevotes, &b->validators, &p->value))
            return false;
        accept = is_free || b->locked_round <= p->valid_round;
    }
    accept = accept && verdict == BFT_VALID;
    cast(b, VOTE_PREVOTE, accept ? &p->value : NULL, p->valid_round);
    return true;
}

/* Line 36. Setting the valid value even where we precommitted nil is what reveals hidden locks. */
static bool rule_lock(struct bft *b, struct round *r)
{
    if ((b->step != BFT_PREVOTE && b->step != BFT_PRECOMMIT) || r->had_quorum || !r->has_proposal ||
        bft_verdict(b, &r->proposal.value) != BFT_VALID ||
        !bft_votes_quorum(&r->prevotes, &b->validators, &r->proposal.value))
        return false;
    r->had_quorum = true;
    b->valid_round = b->round;
    b->valid_value = r->proposal.value;
    if (b->step == BFT_PREVOTE) {
        b->locked_round = b->round;
        b->locked_value = r->proposal.value;
        cast(b, VOTE_PRECOMMIT, &r->proposal.value, VOTE_NO_ROUND);
    }
    return true;
}

/* Lines 34, 44 and 47. */
static bool rule_nil_and_timers(struct bft *b, struct round *r)
{
    static const struct hash nil = {{0}};
    if (b->step == BFT_PREVOTE && bft_votes_quorum(&r->prevotes, &b->validators, &nil)) {
        cast(b, VOTE_PRECOMMIT, NULL, VOTE_NO_ROUND);
        return true;
    }
    if (b->step == BFT_PREVOTE && !r->prevote_timer && valset_is_quorum(&b->validators, r->prevotes.power)) {
        r->prevote_timer = true;
        timer_add_effect(b, BFT_PREVOTE);
    }
    if (!r->precommit_timer && valset_is_quorum(&b->validators, r->precommits.power)) {
        r->precommit_timer = true;
        timer_add_effect(b, BFT_PRECOMMIT);
    }
    return false;
}

static bool rules_step(struct bft *b)
{
    if (b->step == BFT_DECIDED)
        return false;
    if (rule_decide(b) || rule_skip(b))
        return true;
    if (b->step == BFT_WAIT)
        return false;
    struct round *r = round_get(b, b->round);
    return rule_prevote(b, r) || rule_lock(b, r) || rule_nil_and_timers(b, r);
}

/* -- events -- */

static void on_start(struct bft *b, const struct bft_event *e)
{
    rounds_clear(b);
    b->validators = *e->validators;
    b->height = e->height;
    b->round = 0;
    b->step = BFT_WAIT;
    b->locked_round = b->valid_round = VOTE_NO_ROUND;
    b->locked_value = b->valid_value = (struct hash){0};
    b->values_n = 0;
    b->self = b->has_key ? valset_find(&b->validators, &b->key) : -1;
    for (uint32_t i = 0; i < VALIDATORS_MAX; i++) {
        b->highest[i] = -1;
        b->accused[i] = false;
    }
}

bool bft_wants(const struct bft *b, const struct proposal *p)
{
    if (p->height != b->height || b->step == BFT_DECIDED || !proposal_is_sane(p) || p->index >= b->validators.n ||
        !round_is_kept(b, p->round))
        return false;
    const struct round *r = round_find(b, p->round);
    if (r && r->has_proposal &&
        (hash_equal(&r->proposal.value, &p->value) || !(bft_votes_quorum(&r->prevotes, &b->validators, &p->value) ||
                                                        bft_votes_quorum(&r->precommits, &b->validators, &p->value))))
        return false;
    uint32_t proposer = r ? r->proposer : valset_proposer(&b->validators, p->round);
    return proposer == p->index && proposal_verify(p, &b->chain, &b->validators.v[p->index].key);
}

bool bft_contradicts(const struct bft *b, const struct proposal *p)
{
    struct evidence e;
    const struct round *r = round_find(b, p->round);
    if (p->height != b->height || b->step == BFT_DECIDED || !proposal_is_sane(p) || p->index >= b->validators.n || !r ||
        !r->has_proposal || r->proposer != p->index || b->accused[p->index])
        return false;
    const struct pubkey *key = &b->validators.v[p->index].key;
    return evidence_of_proposals(key, &r->proposal, p, &e) && proposal_verify(p, &b->chain, key);
}

static void accuse(struct bft *b, uint32_t index, const struct evidence *e)
{
    if (b->accused[index])
        return;
    b->accused[index] = true;
    effect_add(b, BFT_EVIDENCE)->evidence = *e;
}

static void on_proposal(struct bft *b, const struct bft_event *e)
{
    const struct proposal *p = &e->proposal;
    if (bft_contradicts(b, p)) {
        struct evidence found;
        if (evidence_of_proposals(&b->validators.v[p->index].key, &round_find(b, p->round)->proposal, p, &found))
            accuse(b, p->index, &found);
    }
    if (!bft_wants(b, p))
        return;
    struct round *r = round_get(b, p->round);
    r->has_proposal = true;
    r->proposal = *p;
    r->is_timely = e->timely;
    verdict_note(b, &p->value, e->verdict);
    highest_note(b, p->index, p->round);
    b->news = true;
}

static void on_value(struct bft *b, const struct bft_event *e)
{
    const struct round *r = round_find(b, e->round);
    if (e->height != b->height || e->round != b->round || b->step != BFT_PROPOSE || b->self < 0 || !r ||
        r->proposer != (uint32_t)b->self || r->has_proposal)
        return;
    verdict_note(b, &e->value, BFT_VALID);
    offer(b, &e->value, VOTE_NO_ROUND);
}

static void accuse_of_votes(struct bft *b, const struct vote *x, const struct vote *y)
{
    struct evidence e;
    if (evidence_of_votes(&b->validators.v[x->index].key, x, y, &e))
        accuse(b, x->index, &e);
}

/* A precommit and a later prevote of one validator that contradict: `v` was just added, the other is of another round.
 */
static void find_amnesia(struct bft *b, const struct vote *v)
{
    for (uint32_t i = 0; i < b->rounds_n && !b->accused[v->index]; i++) {
        const struct round *r = b->rounds[i];
        const struct bft_votes *votes = v->kind == VOTE_PREVOTE ? &r->precommits : &r->prevotes;
        for (uint32_t k = 0; k < votes->n && r->round != v->round; k++)
            if (votes->votes[k].index == v->index)
                accuse_of_votes(b, &votes->votes[k], v);
    }
}

static bool is_signed(struct bft *b, const struct vote *v)
{
    b->forged = !vote_verify(v, &b->chain, &b->validators.v[v->index].key);
    return !b->forged;
}

static void on_vote(struct bft *b, const struct vote *v)
{
    if (v->height != b->height || b->step == BFT_DECIDED || !vote_is_sane(v) || v->index >= b->validators.n)
        return;
    if (!round_is_kept(b, v->round)) {
        if (v->round > b->round && (int64_t)v->round > b->highest[v->index] && is_signed(b, v)) {
            highest_note(b, v->index, v->round);
            b->news = true;
        }
        return;
    }
    struct round *r = round_find(b, v->round);
    struct bft_votes *votes = r ? v->kind == VOTE_PREVOTE ? &r->prevotes : &r->precommits : NULL;
    if ((votes && bft_votes_has(votes, v)) || !is_signed(b, v))
        return;
    if (!votes) {
        r = round_get(b, v->round);
        votes = v->kind == VOTE_PREVOTE ? &r->prevotes : &r->precommits;
    }
    struct vote first;
    uint32_t before = votes->n;
    if (bft_votes_add(votes, &b->validators, v, &first) == BFT_VOTE_CONFLICT)
        accuse_of_votes(b, &first, v);
    if (votes->n > before)
        find_amnesia(b, v);
    highest_note(b, v->index, v->round);
    b->news = votes->n > before;
}

static void on_timeout(struct bft *b, const struct bft_event *e)
{
    if (e->height != b->height || e->round != b->round || b->step == BFT_WAIT || b->step == BFT_DECIDED)
        return;
    if (e->step == BFT_PROPOSE && b->step == BFT_PROPOSE)
        cast(b, VOTE_PREVOTE, NULL, VOTE_NO_ROUND); /* line 57 */
    else if (e->step == BFT_PREVOTE && b->step == BFT_PREVOTE)
        cast(b, VOTE_PRECOMMIT, NULL, VOTE_NO_ROUND); /* line 61 */
    else if (e->step == BFT_PRECOMMIT && b->round < BFT_ROUND_MAX)
        round_start(b, b->round + 1); /* line 65 */
}

struct bft_effects bft_step(struct bft *b, const struct bft_event *e)
{
    b->effects_n = 0;
    b->news = b->forged = false;
    switch (e->kind) {
    case BFT_START:
        on_start(b, e);
        break;
    case BFT_GO:
        if (e->height == b->height && b->step == BFT_WAIT)
            round_start(b, 0);
        break;
    case BFT_PROPOSAL:
        on_proposal(b, e);
        break;
    case BFT_VALUE:
        on_value(b, e);
        break;
    case BFT_VOTE:
        on_vote(b, &e->vote);
        break;
    case BFT_TIMEOUT:
        on_timeout(b, e);
        break;
    case BFT_RESUME:
        if (e->height == b->height && b->step != BFT_DECIDED && (b->step == BFT_WAIT || e->round > b->round))
            round_start(b, e->round);
        break;
    }
    while (rules_step(b))
        ;
    return (struct bft_effects){b->effects, b->effects_n, b->news, b->forged};
}
