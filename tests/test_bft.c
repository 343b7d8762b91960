/* The consensus core, trap by trap. Contradictions of others are in test_bft_evidence.c. */
#include "tests/bft_four.h"

#include "base/mem.h"
#include "chain/block.h"

#include <stdlib.h>
#include <string.h>

/* Locks value 1 in round 0 and lets the round pass. */
static void lock_in_round_0(struct four *f)
{
    four_propose(f, 0, four_value(1), VOTE_NO_ROUND);
    four_expect_cast(f, VOTE_PREVOTE, 0, four_value(1), VOTE_NO_ROUND);
    four_echo(f);
    four_forget(f);
    four_prevote(f, four_other(f, 0), 0, four_value(1), VOTE_NO_ROUND);
    four_prevote(f, four_other(f, 1), 0, four_value(1), VOTE_NO_ROUND);
    four_expect_cast(f, VOTE_PRECOMMIT, 0, four_value(1), VOTE_NO_ROUND);
    four_echo(f);
    assert_int_equal(bft_view(f->bft).locked_round, 0);
    four_timeout(f, 0, BFT_PRECOMMIT);
    assert_int_equal(bft_view(f->bft).round, 1);
    four_forget(f);
}

static void a_plain_round_decides(void **state)
{
    struct four *f = *state;
    struct buf sigs = {0}, raw = {0};
    four_propose(f, 0, four_value(1), VOTE_NO_ROUND);
    assert_true(f->news);
    four_echo(f);
    four_prevote(f, four_other(f, 0), 0, four_value(1), VOTE_NO_ROUND);
    assert_null(four_effect(f, BFT_CAST, 0)); /* two of four are no quorum */
    four_prevote(f, four_other(f, 1), 0, four_value(1), VOTE_NO_ROUND);
    four_echo(f);
    four_precommit(f, four_other(f, 2), 0, four_value(1));
    assert_null(four_effect(f, BFT_DECIDE, 0));
    four_precommit(f, four_other(f, 0), 0, four_value(1));
    const struct bft_effect *d = four_effect(f, BFT_DECIDE, 0);
    assert_non_null(d);
    struct hash v = four_value(1);
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
    struct four *f = *state;
    four_feed(f, (struct bft_event){.kind = BFT_PROPOSAL,
                                    .proposal = four_signed_proposal(f, 0, four_value(1), VOTE_NO_ROUND),
                                    .verdict = BFT_VALID,
                                    .timely = false});
    four_expect_cast(f, VOTE_PREVOTE, 0, NIL, VOTE_NO_ROUND);
    four_timeout(f, 0, BFT_PREVOTE);
    four_timeout(f, 0, BFT_PRECOMMIT);
    four_forget(f);
    four_feed(f, (struct bft_event){.kind = BFT_PROPOSAL,
                                    .proposal = four_signed_proposal(f, 1, four_value(2), VOTE_NO_ROUND),
                                    .verdict = BFT_INVALID,
                                    .timely = true});
    four_expect_cast(f, VOTE_PREVOTE, 1, NIL, VOTE_NO_ROUND);
}

static void only_the_proposer_of_the_round_proposes(void **state)
{
    struct four *f = *state;
    struct proposal p = four_signed_proposal(f, 1, four_value(1), VOTE_NO_ROUND);
    p.round = 0; /* another's turn, and another signature */
    four_feed(f, (struct bft_event){.kind = BFT_PROPOSAL, .proposal = p, .verdict = BFT_VALID, .timely = true});
    assert_false(f->news);
    p = four_signed_proposal(f, 0, four_value(1), VOTE_NO_ROUND);
    p.sig.b[5] ^= 1;
    assert_false(bft_wants(f->bft, &p));
}

static void a_lock_holds_against_a_fresh_value(void **state)
{
    struct four *f = *state;
    lock_in_round_0(f);
    four_propose(f, 1, four_value(2), VOTE_NO_ROUND);
    four_expect_cast(f, VOTE_PREVOTE, 1, NIL, VOTE_NO_ROUND);
}

/* Also its own value must rest on a quorum of the lock's round or a later one. */
static void a_lock_takes_its_own_value_on_its_ground_alone(void **state)
{
    struct four *f = *state;
    lock_in_round_0(f);
    four_propose(f, 1, four_value(1), VOTE_NO_ROUND);
    four_expect_cast(f, VOTE_PREVOTE, 1, NIL, VOTE_NO_ROUND);
    four_timeout(f, 1, BFT_PREVOTE);
    four_timeout(f, 1, BFT_PRECOMMIT);
    four_forget(f);
    four_propose(f, 2, four_value(1), 0);
    four_expect_cast(f, VOTE_PREVOTE, 2, four_value(1), 0);
}

/* Line 28: the quorum of an earlier round releases a lock of that round or before, and is waited for. */
static void a_later_quorum_releases_a_lock(void **state)
{
    struct four *f = *state;
    lock_in_round_0(f);
    four_timeout(f, 1, BFT_PROPOSE);
    four_echo(f);
    four_timeout(f, 1, BFT_PREVOTE);
    four_timeout(f, 1, BFT_PRECOMMIT);
    assert_int_equal(bft_view(f->bft).round, 2);
    four_forget(f);
    four_propose(f, 2, four_value(2), 1);
    assert_null(four_effect(f, BFT_CAST, 0)); /* its quorum is not here yet */
    for (unsigned i = 0; i < 3; i++)
        four_prevote(f, four_other(f, i), 1, four_value(2), VOTE_NO_ROUND); /* old-round votes count */
    four_expect_cast(f, VOTE_PREVOTE, 2, four_value(2), 1);                 /* and the prevote says on what it rests */
}

static void an_earlier_quorum_does_not(void **state)
{
    struct four *f = *state;
    four_propose(f, 0, four_value(1), VOTE_NO_ROUND);
    four_echo(f);
    four_timeout(f, 0, BFT_PREVOTE);
    four_timeout(f, 0, BFT_PRECOMMIT);
    four_propose(f, 1, four_value(2), VOTE_NO_ROUND); /* lock 2 in round 1 */
    four_echo(f);
    four_prevote(f, four_other(f, 0), 1, four_value(2), VOTE_NO_ROUND);
    four_prevote(f, four_other(f, 1), 1, four_value(2), VOTE_NO_ROUND);
    assert_int_equal(bft_view(f->bft).locked_round, 1);
    four_timeout(f, 1, BFT_PRECOMMIT);
    four_forget(f);
    four_propose(f, 2, four_value(1), 0);
    for (unsigned i = 0; i < 3; i++)
        four_prevote(f, four_other(f, i), 0, four_value(1), VOTE_NO_ROUND);
    four_expect_cast(f, VOTE_PREVOTE, 2, NIL, VOTE_NO_ROUND);
}

/* Hidden locks: a quorum that is seen after our nil precommit still becomes the valid value, and is proposed. */
static void a_quorum_seen_late_becomes_the_valid_value(void **state)
{
    struct four *f = *state;
    four_propose(f, 0, four_value(1), VOTE_NO_ROUND);
    four_echo(f);
    four_timeout(f, 0, BFT_PREVOTE); /* precommits nil: no lock */
    four_echo(f);
    four_prevote(f, four_other(f, 0), 0, four_value(1), VOTE_NO_ROUND);
    four_prevote(f, four_other(f, 1), 0, four_value(1), VOTE_NO_ROUND);
    struct bft_view v = bft_view(f->bft);
    assert_int_equal(v.locked_round, VOTE_NO_ROUND);
    assert_int_equal(v.valid_round, 0);
    for (uint32_t r = 0; r < 3; r++)
        four_timeout(f, r, BFT_PRECOMMIT);
    const struct bft_effect *o = four_effect(f, BFT_OFFER, 0); /* round 3 is our turn */
    assert_non_null(o);
    assert_null(four_effect(f, BFT_MAKE, 0));
    struct hash one = four_value(1);
    assert_true(hash_equal(&o->proposal.value, &one));
    assert_int_equal(o->proposal.valid_round, 0);
}

static void a_quorum_is_of_one_valid_round(void **state)
{
    struct four *f = *state;
    four_timeout(f, 0, BFT_PROPOSE); /* still waiting: nothing */
    assert_int_equal(bft_view(f->bft).step, BFT_WAIT);
    four_feed(f, (struct bft_event){.kind = BFT_GO});
    for (uint32_t r = 0; r < 2; r++)
        four_timeout(f, r, BFT_PRECOMMIT);
    four_propose(f, 2, four_value(1), VOTE_NO_ROUND);
    four_echo(f);
    four_prevote(f, four_other(f, 0), 2, four_value(1), 0);
    four_prevote(f, four_other(f, 1), 2, four_value(1), 1);
    assert_null(four_effect(f, BFT_CAST, 0)); /* three prevotes for the value, on three grounds */
    four_prevote(f, four_other(f, 2), 2, four_value(1), VOTE_NO_ROUND);
    assert_int_equal(bft_view(f->bft).locked_round, VOTE_NO_ROUND);
}

static void precommits_of_an_old_round_decide(void **state)
{
    struct four *f = *state;
    four_propose(f, 0, four_value(1), VOTE_NO_ROUND);
    four_timeout(f, 0, BFT_PREVOTE);
    for (uint32_t r = 0; r < 5; r++)
        four_timeout(f, r, BFT_PRECOMMIT);
    assert_int_equal(bft_view(f->bft).round, 5);
    for (unsigned i = 0; i < 3; i++)
        four_precommit(f, four_other(f, i), 0, four_value(1));
    assert_non_null(four_effect(f, BFT_DECIDE, 0));
    assert_int_equal(four_effect(f, BFT_DECIDE, 0)->round, 0);
}

static void a_block_that_came_after_its_quorum_decides(void **state)
{
    struct four *f = *state;
    four_feed(f, (struct bft_event){.kind = BFT_GO});
    for (unsigned i = 0; i < 3; i++)
        four_precommit(f, four_other(f, i), 0, four_value(1));
    assert_null(four_effect(f, BFT_DECIDE, 0));
    four_propose(f, 0, four_value(1), VOTE_NO_ROUND);
    assert_non_null(four_effect(f, BFT_DECIDE, 0));
}

/* A proposer who shows us another block than the rest: what a quorum voted for is taken all the same. */
static void a_second_proposal_is_taken_if_a_quorum_is_for_it(void **state)
{
    struct four *f = *state;
    four_propose(f, 0, four_value(1), VOTE_NO_ROUND);
    four_propose(f, 0, four_value(2), VOTE_NO_ROUND);
    assert_false(f->news);
    for (unsigned i = 0; i < 3; i++)
        four_precommit(f, four_other(f, i), 0, four_value(2));
    four_propose(f, 0, four_value(2), VOTE_NO_ROUND);
    assert_true(f->news);
    assert_non_null(four_effect(f, BFT_DECIDE, 0));
}

static void rounds_are_skipped_by_power(void **state)
{
    struct four *f = *state;
    four_feed(f, (struct bft_event){.kind = BFT_GO});
    four_prevote(f, four_other(f, 0), 2, NIL, VOTE_NO_ROUND);
    four_precommit(f, four_other(f, 0), 2, NIL); /* the same validator twice is still a quarter */
    assert_int_equal(bft_view(f->bft).round, 0);
    four_prevote(f, four_other(f, 1), 1, NIL, VOTE_NO_ROUND);
    assert_int_equal(bft_view(f->bft).round, 1); /* half has reached round 1, a quarter round 2 */
}

static void far_rounds_cost_no_memory_and_still_skip(void **state)
{
    struct four *f = *state;
    four_feed(f, (struct bft_event){.kind = BFT_GO});
    for (uint32_t r = 100; r < 400; r++)
        four_prevote(f, four_other(f, 0), r, four_value((uint8_t)r), VOTE_NO_ROUND);
    assert_int_equal(bft_view(f->bft).round, 0);
    four_prevote(f, four_other(f, 1), BFT_ROUND_MAX, NIL, VOTE_NO_ROUND);
    assert_int_equal(bft_view(f->bft).round, 399);
    struct vote v = four_signed_vote(f, four_other(f, 2), VOTE_PREVOTE, BFT_ROUND_MAX, NIL, VOTE_NO_ROUND);
    v.round++;
    assert_false(vote_is_sane(&v));
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
    struct four *f = *state;
    four_feed(f, (struct bft_event){.kind = BFT_GO});
    for (uint32_t r = 0; r < 3; r++)
        four_timeout(f, r, BFT_PRECOMMIT);
    assert_non_null(four_effect(f, BFT_MAKE, 0));
    assert_int_equal(four_effect(f, BFT_MAKE, 0)->round, 3);
    four_feed(f, (struct bft_event){.kind = BFT_VALUE, .round = 2, .value = four_value(4)}); /* too late */
    assert_null(four_effect(f, BFT_OFFER, 0));
    four_feed(f, (struct bft_event){.kind = BFT_VALUE, .round = 3, .value = four_value(5)});
    assert_non_null(four_effect(f, BFT_OFFER, 0));
    assert_int_equal(four_effect(f, BFT_OFFER, 0)->proposal.valid_round, VOTE_NO_ROUND);
}

static void one_validator_needs_nobody(void **state)
{
    struct four *f = *state;
    struct valset_entry one = {f->set.v[f->self].key, 5};
    assert_int_equal(valset_init(&f->set, &one, 1, NULL), ERR_OK);
    f->key[0] = f->key[f->self];
    f->self = 0;
    four_feed(f, (struct bft_event){.kind = BFT_START, .validators = &f->set});
    four_feed(f, (struct bft_event){.kind = BFT_GO});
    assert_non_null(four_effect(f, BFT_MAKE, 0));
    four_feed(f, (struct bft_event){.kind = BFT_VALUE, .round = 0, .value = four_value(1)});
    assert_non_null(four_effect(f, BFT_OFFER, 0));
    four_propose(f, 0, four_value(1), VOTE_NO_ROUND);
    four_echo(f);
    four_echo(f);
    assert_non_null(four_effect(f, BFT_DECIDE, 0));
}

/* What was signed in a round is forgotten: the one behind it begins, once, and our vote in it is known when it came
 * back. */
static void a_forgotten_round_is_left(void **state)
{
    struct four *f = *state;
    four_feed(f, (struct bft_event){.kind = BFT_RESUME, .round = 3});
    assert_int_equal(bft_view(f->bft).round, 3);
    assert_non_null(four_effect(f, BFT_TIMER, 0));
    four_forget(f);
    four_feed(f, (struct bft_event){.kind = BFT_RESUME, .round = 3});
    four_feed(f, (struct bft_event){.kind = BFT_RESUME, .round = 2});
    assert_int_equal(bft_view(f->bft).round, 3);
    assert_int_equal(f->n, 0);
    four_feed(f, (struct bft_event){.kind = BFT_TIMEOUT, .round = 3, .step = BFT_PROPOSE});
    assert_false(bft_has_voted(f->bft, 3, VOTE_PREVOTE));
    four_echo(f);
    assert_true(bft_has_voted(f->bft, 3, VOTE_PREVOTE));
    assert_false(bft_has_voted(f->bft, 3, VOTE_PRECOMMIT));
    assert_false(bft_has_voted(f->bft, 2, VOTE_PREVOTE));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, four_setup, four_teardown)
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
        T(timeouts_grow_to_a_bound),
        T(our_turn_makes_a_block),
        T(one_validator_needs_nobody),
        T(a_forgotten_round_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
