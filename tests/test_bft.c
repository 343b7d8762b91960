/* The consensus core, trap by trap: four validators of equal power, of which we are one; the others' messages are
 * signed here, so every situation can be made. */
#include "base/mem.h"
#include "chain/bft.h"
#include "chain/block.h"
#include "tests/support.h"

#include <stdlib.h>
#include <string.h>

#define NIL ((struct hash){{0}})

struct fixture {
    struct bft *bft;
    struct hash chain;
    struct seckey key[4]; /* in the order of the set */
    struct valset set;
    unsigned self;
    struct bft_effect effects[64]; /* since the last look */
    uint32_t n;
    bool news;
};

static struct hash value(uint8_t b)
{
    struct hash h = {{b, 1}};
    return h;
}

static void feed(struct fixture *f, struct bft_event e)
{
    e.height = e.height ? e.height : 1;
    struct bft_effects r = bft_step(f->bft, &e);
    f->news = r.news;
    for (uint32_t i = 0; i < r.n; i++) {
        f->effects[f->n++] = r.at[i];
        assert_true(f->n < 64);
    }
}

/* The n-th effect of a kind since `forget`. */
static const struct bft_effect *effect(const struct fixture *f, enum bft_effect_kind kind, unsigned nth)
{
    for (uint32_t i = 0; i < f->n; i++)
        if (f->effects[i].kind == kind && nth-- == 0)
            return &f->effects[i];
    return NULL;
}

static void forget(struct fixture *f)
{
    f->n = 0;
}

static struct vote signed_vote(const struct fixture *f, unsigned who, enum vote_kind kind, uint32_t round,
                               struct hash v, uint32_t valid_round)
{
    struct vote vote = {.kind = (uint8_t)kind,
                        .height = 1,
                        .round = round,
                        .value = v,
                        .valid_round = valid_round,
                        .index = (uint16_t)who};
    struct hash h = vote_hash(&vote, &f->chain);
    key_sign_hash(&f->key[who], &h, NULL, &vote.sig);
    return vote;
}

static void prevote(struct fixture *f, unsigned who, uint32_t round, struct hash v, uint32_t valid_round)
{
    feed(f, (struct bft_event){.kind = BFT_VOTE, .vote = signed_vote(f, who, VOTE_PREVOTE, round, v, valid_round)});
}

static void precommit(struct fixture *f, unsigned who, uint32_t round, struct hash v)
{
    feed(f, (struct bft_event){.kind = BFT_VOTE, .vote = signed_vote(f, who, VOTE_PRECOMMIT, round, v, VOTE_NO_ROUND)});
}

static struct proposal signed_proposal(const struct fixture *f, uint32_t round, struct hash v, uint32_t valid_round)
{
    unsigned who = valset_proposer(&f->set, round);
    struct proposal p = {.height = 1, .round = round, .valid_round = valid_round, .value = v, .index = (uint16_t)who};
    struct hash h = proposal_hash(&p, &f->chain);
    key_sign_hash(&f->key[who], &h, NULL, &p.sig);
    return p;
}

static void propose(struct fixture *f, uint32_t round, struct hash v, uint32_t valid_round)
{
    feed(f, (struct bft_event){.kind = BFT_PROPOSAL,
                               .proposal = signed_proposal(f, round, v, valid_round),
                               .verdict = BFT_VALID,
                               .timely = true});
}

static void timeout(struct fixture *f, uint32_t round, enum bft_step step)
{
    feed(f, (struct bft_event){.kind = BFT_TIMEOUT, .round = round, .step = step});
}

/* Our own votes come back as the driver gives them. */
static void echo(struct fixture *f)
{
    struct vote cast[16];
    unsigned n = 0;
    for (const struct bft_effect *e; (e = effect(f, BFT_CAST, n)) != NULL;)
        cast[n++] = e->vote;
    forget(f);
    for (unsigned i = 0; i < n; i++)
        feed(f, (struct bft_event){
                    .kind = BFT_VOTE,
                    .vote = signed_vote(f, f->self, cast[i].kind, cast[i].round, cast[i].value, cast[i].valid_round)});
}

static void expect_cast(const struct fixture *f, enum vote_kind kind, uint32_t round, struct hash v,
                        uint32_t valid_round)
{
    const struct bft_effect *e = effect(f, BFT_CAST, 0);
    assert_non_null(e);
    assert_int_equal(e->vote.kind, kind);
    assert_int_equal(e->vote.round, round);
    assert_true(hash_equal(&e->vote.value, &v));
    assert_int_equal(e->vote.valid_round, valid_round);
}

/* self: index in the set; we never propose in the rounds that a test uses unless it asks for that. */
static int setup(void **state)
{
    struct fixture *f = mem_new(sizeof *f);
    struct valset_entry entries[4];
    struct seckey keys[4];
    f->chain = (struct hash){{3}};
    for (unsigned i = 0; i < 4; i++) {
        memset(keys[i].b, (int)(i + 1), sizeof keys[i].b);
        entries[i].power = 10;
        key_derive(&keys[i], &entries[i].key);
    }
    assert_int_equal(valset_init(&f->set, entries, 4, NULL), ERR_OK);
    for (unsigned i = 0; i < 4; i++)
        f->key[valset_find(&f->set, &entries[i].key)] = keys[i];
    f->self = valset_proposer(&f->set, 3); /* rounds 0 to 2 are the others' */
    f->bft = bft_new(&f->chain, &f->set.v[f->self].key);
    feed(f, (struct bft_event){.kind = BFT_START, .validators = &f->set});
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    bft_free(f->bft);
    free(f);
    return 0;
}

static unsigned other(const struct fixture *f, unsigned n)
{
    for (unsigned i = 0; i < 4; i++)
        if (i != f->self && n-- == 0)
            return i;
    return 0;
}

/* Locks value 1 in round 0 and lets the round pass. */
static void lock_in_round_0(struct fixture *f)
{
    propose(f, 0, value(1), VOTE_NO_ROUND);
    expect_cast(f, VOTE_PREVOTE, 0, value(1), VOTE_NO_ROUND);
    echo(f);
    forget(f);
    prevote(f, other(f, 0), 0, value(1), VOTE_NO_ROUND);
    prevote(f, other(f, 1), 0, value(1), VOTE_NO_ROUND);
    expect_cast(f, VOTE_PRECOMMIT, 0, value(1), VOTE_NO_ROUND);
    echo(f);
    assert_int_equal(bft_view(f->bft).locked_round, 0);
    timeout(f, 0, BFT_PRECOMMIT);
    assert_int_equal(bft_view(f->bft).round, 1);
    forget(f);
}

static void a_plain_round_decides(void **state)
{
    struct fixture *f = *state;
    struct buf sigs = {0}, raw = {0};
    propose(f, 0, value(1), VOTE_NO_ROUND);
    assert_true(f->news);
    echo(f);
    prevote(f, other(f, 0), 0, value(1), VOTE_NO_ROUND);
    assert_null(effect(f, BFT_CAST, 0)); /* two of four are no quorum */
    prevote(f, other(f, 1), 0, value(1), VOTE_NO_ROUND);
    echo(f);
    precommit(f, other(f, 2), 0, value(1));
    assert_null(effect(f, BFT_DECIDE, 0));
    precommit(f, other(f, 0), 0, value(1));
    const struct bft_effect *d = effect(f, BFT_DECIDE, 0);
    assert_non_null(d);
    struct hash v = value(1);
    assert_true(hash_equal(&d->value, &v));
    assert_int_equal(bft_commit(f->bft, 0, &v, &sigs), 3);
    struct commit m = {.height = 1, .round = 0, .value = v, .sigs = bytes_of_buf(&sigs)}, back;
    commit_put(&raw, &m);
    assert_int_equal(commit_decode(bytes_of_buf(&raw), &back), ERR_OK);
    assert_int_equal(commit_verify(&back, &f->chain, 1, &v, &f->set, NULL), ERR_OK);
    assert_int_equal(commit_verify(&back, &f->chain, 2, &v, &f->set, NULL), ERR_PROTOCOL);
    back.round = 1; /* signed for another round */
    assert_int_equal(commit_verify(&back, &f->chain, 1, &v, &f->set, NULL), ERR_AUTH);
    back.round = 0;
    back.sigs.n -= COMMIT_SIG_SIZE; /* two are no quorum */
    assert_int_equal(commit_verify(&back, &f->chain, 1, &v, &f->set, NULL), ERR_AUTH);
    memcpy(sigs.p + COMMIT_SIG_SIZE, sigs.p, COMMIT_SIG_SIZE); /* nor is one of them twice */
    back.sigs = bytes_of_buf(&sigs);
    assert_int_equal(commit_verify(&back, &f->chain, 1, &v, &f->set, NULL), ERR_PROTOCOL);
    buf_clear(&sigs);
    buf_clear(&raw);
}

static void bad_and_untimely_blocks_get_nil(void **state)
{
    struct fixture *f = *state;
    feed(f, (struct bft_event){.kind = BFT_PROPOSAL,
                               .proposal = signed_proposal(f, 0, value(1), VOTE_NO_ROUND),
                               .verdict = BFT_VALID,
                               .timely = false});
    expect_cast(f, VOTE_PREVOTE, 0, NIL, VOTE_NO_ROUND);
    timeout(f, 0, BFT_PREVOTE);
    timeout(f, 0, BFT_PRECOMMIT);
    forget(f);
    feed(f, (struct bft_event){.kind = BFT_PROPOSAL,
                               .proposal = signed_proposal(f, 1, value(2), VOTE_NO_ROUND),
                               .verdict = BFT_INVALID,
                               .timely = true});
    expect_cast(f, VOTE_PREVOTE, 1, NIL, VOTE_NO_ROUND);
}

static void only_the_proposer_of_the_round_proposes(void **state)
{
    struct fixture *f = *state;
    struct proposal p = signed_proposal(f, 1, value(1), VOTE_NO_ROUND);
    p.round = 0; /* another's turn, and another signature */
    feed(f, (struct bft_event){.kind = BFT_PROPOSAL, .proposal = p, .verdict = BFT_VALID, .timely = true});
    assert_false(f->news);
    p = signed_proposal(f, 0, value(1), VOTE_NO_ROUND);
    p.sig.b[5] ^= 1;
    assert_false(bft_wants(f->bft, &p));
}

static void a_lock_holds_against_a_fresh_value(void **state)
{
    struct fixture *f = *state;
    lock_in_round_0(f);
    propose(f, 1, value(2), VOTE_NO_ROUND);
    expect_cast(f, VOTE_PREVOTE, 1, NIL, VOTE_NO_ROUND);
}

/* Also its own value must rest on a quorum of the lock's round or a later one. */
static void a_lock_takes_its_own_value_on_its_ground_alone(void **state)
{
    struct fixture *f = *state;
    lock_in_round_0(f);
    propose(f, 1, value(1), VOTE_NO_ROUND);
    expect_cast(f, VOTE_PREVOTE, 1, NIL, VOTE_NO_ROUND);
    timeout(f, 1, BFT_PREVOTE);
    timeout(f, 1, BFT_PRECOMMIT);
    forget(f);
    propose(f, 2, value(1), 0);
    expect_cast(f, VOTE_PREVOTE, 2, value(1), 0);
}

/* Line 28: the quorum of an earlier round releases a lock of that round or before, and is waited for. */
static void a_later_quorum_releases_a_lock(void **state)
{
    struct fixture *f = *state;
    lock_in_round_0(f);
    timeout(f, 1, BFT_PROPOSE);
    echo(f);
    timeout(f, 1, BFT_PREVOTE);
    timeout(f, 1, BFT_PRECOMMIT);
    assert_int_equal(bft_view(f->bft).round, 2);
    forget(f);
    propose(f, 2, value(2), 1);
    assert_null(effect(f, BFT_CAST, 0)); /* its quorum is not here yet */
    for (unsigned i = 0; i < 3; i++)
        prevote(f, other(f, i), 1, value(2), VOTE_NO_ROUND); /* old-round votes count */
    expect_cast(f, VOTE_PREVOTE, 2, value(2), 1);            /* and the prevote says on what it rests */
}

static void an_earlier_quorum_does_not(void **state)
{
    struct fixture *f = *state;
    propose(f, 0, value(1), VOTE_NO_ROUND);
    echo(f);
    timeout(f, 0, BFT_PREVOTE);
    timeout(f, 0, BFT_PRECOMMIT);
    propose(f, 1, value(2), VOTE_NO_ROUND); /* lock 2 in round 1 */
    echo(f);
    prevote(f, other(f, 0), 1, value(2), VOTE_NO_ROUND);
    prevote(f, other(f, 1), 1, value(2), VOTE_NO_ROUND);
    assert_int_equal(bft_view(f->bft).locked_round, 1);
    timeout(f, 1, BFT_PRECOMMIT);
    forget(f);
    propose(f, 2, value(1), 0);
    for (unsigned i = 0; i < 3; i++)
        prevote(f, other(f, i), 0, value(1), VOTE_NO_ROUND);
    expect_cast(f, VOTE_PREVOTE, 2, NIL, VOTE_NO_ROUND);
}

/* Hidden locks: a quorum that is seen after our nil precommit still becomes the valid value, and is proposed. */
static void a_quorum_seen_late_becomes_the_valid_value(void **state)
{
    struct fixture *f = *state;
    propose(f, 0, value(1), VOTE_NO_ROUND);
    echo(f);
    timeout(f, 0, BFT_PREVOTE); /* precommits nil: no lock */
    echo(f);
    prevote(f, other(f, 0), 0, value(1), VOTE_NO_ROUND);
    prevote(f, other(f, 1), 0, value(1), VOTE_NO_ROUND);
    struct bft_view v = bft_view(f->bft);
    assert_int_equal(v.locked_round, VOTE_NO_ROUND);
    assert_int_equal(v.valid_round, 0);
    for (uint32_t r = 0; r < 3; r++)
        timeout(f, r, BFT_PRECOMMIT);
    const struct bft_effect *o = effect(f, BFT_OFFER, 0); /* round 3 is our turn */
    assert_non_null(o);
    assert_null(effect(f, BFT_MAKE, 0));
    struct hash one = value(1);
    assert_true(hash_equal(&o->proposal.value, &one));
    assert_int_equal(o->proposal.valid_round, 0);
}

static void a_quorum_is_of_one_valid_round(void **state)
{
    struct fixture *f = *state;
    timeout(f, 0, BFT_PROPOSE); /* still waiting: nothing */
    assert_int_equal(bft_view(f->bft).step, BFT_WAIT);
    feed(f, (struct bft_event){.kind = BFT_GO});
    for (uint32_t r = 0; r < 2; r++)
        timeout(f, r, BFT_PRECOMMIT);
    propose(f, 2, value(1), VOTE_NO_ROUND);
    echo(f);
    prevote(f, other(f, 0), 2, value(1), 0);
    prevote(f, other(f, 1), 2, value(1), 1);
    assert_null(effect(f, BFT_CAST, 0)); /* three prevotes for the value, on three grounds */
    prevote(f, other(f, 2), 2, value(1), VOTE_NO_ROUND);
    assert_int_equal(bft_view(f->bft).locked_round, VOTE_NO_ROUND);
}

static void precommits_of_an_old_round_decide(void **state)
{
    struct fixture *f = *state;
    propose(f, 0, value(1), VOTE_NO_ROUND);
    timeout(f, 0, BFT_PREVOTE);
    for (uint32_t r = 0; r < 5; r++)
        timeout(f, r, BFT_PRECOMMIT);
    assert_int_equal(bft_view(f->bft).round, 5);
    for (unsigned i = 0; i < 3; i++)
        precommit(f, other(f, i), 0, value(1));
    assert_non_null(effect(f, BFT_DECIDE, 0));
    assert_int_equal(effect(f, BFT_DECIDE, 0)->round, 0);
}

static void a_block_that_came_after_its_quorum_decides(void **state)
{
    struct fixture *f = *state;
    feed(f, (struct bft_event){.kind = BFT_GO});
    for (unsigned i = 0; i < 3; i++)
        precommit(f, other(f, i), 0, value(1));
    assert_null(effect(f, BFT_DECIDE, 0));
    propose(f, 0, value(1), VOTE_NO_ROUND);
    assert_non_null(effect(f, BFT_DECIDE, 0));
}

/* A proposer who shows us another block than the rest: what a quorum voted for is taken all the same. */
static void a_second_proposal_is_taken_if_a_quorum_is_for_it(void **state)
{
    struct fixture *f = *state;
    propose(f, 0, value(1), VOTE_NO_ROUND);
    propose(f, 0, value(2), VOTE_NO_ROUND);
    assert_false(f->news);
    for (unsigned i = 0; i < 3; i++)
        precommit(f, other(f, i), 0, value(2));
    propose(f, 0, value(2), VOTE_NO_ROUND);
    assert_true(f->news);
    assert_non_null(effect(f, BFT_DECIDE, 0));
}

static void rounds_are_skipped_by_power(void **state)
{
    struct fixture *f = *state;
    feed(f, (struct bft_event){.kind = BFT_GO});
    prevote(f, other(f, 0), 2, NIL, VOTE_NO_ROUND);
    precommit(f, other(f, 0), 2, NIL); /* the same validator twice is still a quarter */
    assert_int_equal(bft_view(f->bft).round, 0);
    prevote(f, other(f, 1), 1, NIL, VOTE_NO_ROUND);
    assert_int_equal(bft_view(f->bft).round, 1); /* half has reached round 1, a quarter round 2 */
}

static void far_rounds_cost_no_memory_and_still_skip(void **state)
{
    struct fixture *f = *state;
    feed(f, (struct bft_event){.kind = BFT_GO});
    for (uint32_t r = 100; r < 400; r++)
        prevote(f, other(f, 0), r, value((uint8_t)r), VOTE_NO_ROUND);
    assert_int_equal(bft_view(f->bft).round, 0);
    prevote(f, other(f, 1), BFT_ROUND_MAX, NIL, VOTE_NO_ROUND);
    assert_int_equal(bft_view(f->bft).round, 399);
    struct vote v = signed_vote(f, other(f, 2), VOTE_PREVOTE, BFT_ROUND_MAX, NIL, VOTE_NO_ROUND);
    v.round++;
    assert_false(vote_is_sane(&v));
}

static void an_equivocator_is_named_once_and_hides_nothing(void **state)
{
    struct fixture *f = *state;
    propose(f, 0, value(1), VOTE_NO_ROUND);
    echo(f);
    prevote(f, other(f, 0), 0, value(9), VOTE_NO_ROUND);
    assert_null(effect(f, BFT_EVIDENCE, 0));
    prevote(f, other(f, 1), 0, value(1), VOTE_NO_ROUND);
    prevote(f, other(f, 0), 0, value(1), VOTE_NO_ROUND); /* its other face makes the quorum */
    const struct bft_effect *e = effect(f, BFT_EVIDENCE, 0);
    assert_non_null(e);
    assert_true(evidence_verify(&e->evidence, &f->chain));
    assert_true(pubkey_equal(&e->evidence.validator, &f->set.v[other(f, 0)].key));
    expect_cast(f, VOTE_PRECOMMIT, 0, value(1), VOTE_NO_ROUND);
    forget(f);
    for (uint8_t i = 20; i < 40; i++)
        prevote(f, other(f, 0), 0, value(i), VOTE_NO_ROUND);
    assert_null(effect(f, BFT_EVIDENCE, 0));
    assert_false(f->news); /* neither kept nor sent on */
}

static void votes_that_differ_in_their_valid_round_contradict(void **state)
{
    struct fixture *f = *state;
    feed(f, (struct bft_event){.kind = BFT_GO});
    timeout(f, 0, BFT_PRECOMMIT);
    prevote(f, other(f, 0), 1, value(1), VOTE_NO_ROUND);
    prevote(f, other(f, 0), 1, value(1), 0);
    assert_non_null(effect(f, BFT_EVIDENCE, 0));
}

/* The real validator's precommit and later prevotes of value 2: which of them are amnesia. */
static void a_forgotten_lock_is_evidence(void **state)
{
    struct fixture *f = *state;
    unsigned who = other(f, 0);
    feed(f, (struct bft_event){.kind = BFT_GO});
    for (uint32_t r = 0; r < 5; r++)
        timeout(f, r, BFT_PRECOMMIT);
    precommit(f, who, 2, value(1));
    prevote(f, who, 3, value(2), 2);
    prevote(f, who, 4, NIL, VOTE_NO_ROUND);
    prevote(f, who, 1, value(2), 0);
    assert_null(effect(f, BFT_EVIDENCE, 0)); /* it may have seen a quorum in round 2, or be in an earlier round */
    prevote(f, who, 5, value(2), 1);
    const struct bft_effect *e = effect(f, BFT_EVIDENCE, 0);
    assert_non_null(e);
    assert_true(evidence_verify(&e->evidence, &f->chain));
    assert_true(pubkey_equal(&e->evidence.validator, &f->set.v[who].key));
    who = other(f, 1); /* and the other way round: the prevote came first */
    forget(f);
    prevote(f, who, 4, value(1), VOTE_NO_ROUND);
    precommit(f, who, 3, value(1));
    assert_non_null(effect(f, BFT_EVIDENCE, 0));
}

static void two_proposals_are_evidence(void **state)
{
    struct fixture *f = *state;
    propose(f, 0, value(1), VOTE_NO_ROUND);
    struct proposal p = signed_proposal(f, 0, value(2), VOTE_NO_ROUND);
    assert_true(bft_contradicts(f->bft, &p));
    p.sig.b[3] ^= 1;
    assert_false(bft_contradicts(f->bft, &p));
    propose(f, 0, value(2), VOTE_NO_ROUND);
    const struct bft_effect *e = effect(f, BFT_EVIDENCE, 0);
    assert_non_null(e);
    assert_int_equal(e->evidence.a.kind, EVIDENCE_PROPOSAL);
    assert_true(evidence_verify(&e->evidence, &f->chain));
    forget(f);
    propose(f, 0, value(3), VOTE_NO_ROUND); /* once is enough */
    assert_null(effect(f, BFT_EVIDENCE, 0));
}

static void bad_votes_are_nothing(void **state)
{
    struct fixture *f = *state;
    feed(f, (struct bft_event){.kind = BFT_GO});
    struct vote v = signed_vote(f, other(f, 0), VOTE_PREVOTE, 0, value(1), VOTE_NO_ROUND);
    v.sig.b[0] ^= 1;
    feed(f, (struct bft_event){.kind = BFT_VOTE, .vote = v});
    assert_false(f->news);
    v = signed_vote(f, other(f, 0), VOTE_PREVOTE, 0, value(1), VOTE_NO_ROUND);
    v.index = (uint16_t)other(f, 1);
    feed(f, (struct bft_event){.kind = BFT_VOTE, .vote = v});
    assert_false(f->news);
    v.index = 200;
    feed(f, (struct bft_event){.kind = BFT_VOTE, .vote = v});
    assert_false(f->news);
    prevote(f, other(f, 0), 0, value(1), VOTE_NO_ROUND);
    assert_true(f->news);
    prevote(f, other(f, 0), 0, value(1), VOTE_NO_ROUND);
    assert_false(f->news); /* a repetition is not sent on */
}

static void timeouts_grow_to_a_bound(void **state)
{
    (void)state;
    for (int s = BFT_PROPOSE; s <= BFT_PRECOMMIT; s++) {
        for (uint32_t r = 0; r < 300; r++) {
            uint32_t now = bft_timeout_ms((enum bft_step)s, r), next = bft_timeout_ms((enum bft_step)s, r + 1);
            assert_true(next > now || now == BFT_TIMEOUT_MAX_MS);
        }
        assert_int_equal(bft_timeout_ms((enum bft_step)s, UINT32_MAX), BFT_TIMEOUT_MAX_MS);
    }
}

static void our_turn_makes_a_block(void **state)
{
    struct fixture *f = *state;
    feed(f, (struct bft_event){.kind = BFT_GO});
    for (uint32_t r = 0; r < 3; r++)
        timeout(f, r, BFT_PRECOMMIT);
    assert_non_null(effect(f, BFT_MAKE, 0));
    assert_int_equal(effect(f, BFT_MAKE, 0)->round, 3);
    feed(f, (struct bft_event){.kind = BFT_VALUE, .round = 2, .value = value(4)}); /* too late */
    assert_null(effect(f, BFT_OFFER, 0));
    feed(f, (struct bft_event){.kind = BFT_VALUE, .round = 3, .value = value(5)});
    assert_non_null(effect(f, BFT_OFFER, 0));
    assert_int_equal(effect(f, BFT_OFFER, 0)->proposal.valid_round, VOTE_NO_ROUND);
}

static void one_validator_needs_nobody(void **state)
{
    struct fixture *f = *state;
    struct valset_entry one = {f->set.v[f->self].key, 5};
    assert_int_equal(valset_init(&f->set, &one, 1, NULL), ERR_OK);
    f->key[0] = f->key[f->self];
    f->self = 0;
    feed(f, (struct bft_event){.kind = BFT_START, .validators = &f->set});
    feed(f, (struct bft_event){.kind = BFT_GO});
    assert_non_null(effect(f, BFT_MAKE, 0));
    feed(f, (struct bft_event){.kind = BFT_VALUE, .round = 0, .value = value(1)});
    assert_non_null(effect(f, BFT_OFFER, 0));
    propose(f, 0, value(1), VOTE_NO_ROUND);
    echo(f);
    echo(f);
    assert_non_null(effect(f, BFT_DECIDE, 0));
}

/* What was signed in a round is forgotten: the one behind it begins, once, and our vote in it is known when it came
 * back. */
static void a_forgotten_round_is_left(void **state)
{
    struct fixture *f = *state;
    feed(f, (struct bft_event){.kind = BFT_RESUME, .round = 3});
    assert_int_equal(bft_view(f->bft).round, 3);
    assert_non_null(effect(f, BFT_TIMER, 0));
    forget(f);
    feed(f, (struct bft_event){.kind = BFT_RESUME, .round = 3});
    feed(f, (struct bft_event){.kind = BFT_RESUME, .round = 2});
    assert_int_equal(bft_view(f->bft).round, 3);
    assert_int_equal(f->n, 0);
    feed(f, (struct bft_event){.kind = BFT_TIMEOUT, .round = 3, .step = BFT_PROPOSE});
    assert_false(bft_has_voted(f->bft, 3, VOTE_PREVOTE));
    echo(f);
    assert_true(bft_has_voted(f->bft, 3, VOTE_PREVOTE));
    assert_false(bft_has_voted(f->bft, 3, VOTE_PRECOMMIT));
    assert_false(bft_has_voted(f->bft, 2, VOTE_PREVOTE));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_plain_round_decides),
        T(bad_and_untimely_blocks_get_nil),
        T(only_the_proposer_of_the_round_proposes),
        T(a_lock_holds_against_a_fresh_value),
        T(a_lock_takes_its_own_value_on_its_ground_alone),
        T(a_later_quorum_releases_a_lock),
        T(an_earlier_quorum_does_not),
        T(a_quorum_seen_late_becomes_the_valid_value),
        T(a_quorum_is_of_one_valid_round),
        T(precommits_of_an_old_round_decide),
        T(a_block_that_came_after_its_quorum_decides),
        T(a_second_proposal_is_taken_if_a_quorum_is_for_it),
        T(rounds_are_skipped_by_power),
        T(far_rounds_cost_no_memory_and_still_skip),
        T(an_equivocator_is_named_once_and_hides_nothing),
        T(votes_that_differ_in_their_valid_round_contradict),
        T(a_forgotten_lock_is_evidence),
        T(two_proposals_are_evidence),
        T(bad_votes_are_nothing),
        T(timeouts_grow_to_a_bound),
        T(our_turn_makes_a_block),
        T(one_validator_needs_nobody),
        T(a_forgotten_round_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
