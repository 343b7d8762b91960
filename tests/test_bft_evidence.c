/* What the consensus core makes of contradicting, forged and bad messages. */
#include "tests/bft_four.h"

static void an_equivocator_is_named_once_and_hides_nothing(void **state)
{
    struct four *f = *state;
    four_propose(f, 0, four_value(1), VOTE_NO_ROUND);
    four_echo(f);
    four_prevote(f, four_other(f, 0), 0, four_value(9), VOTE_NO_ROUND);
    assert_null(four_effect(f, BFT_EVIDENCE, 0));
    four_prevote(f, four_other(f, 1), 0, four_value(1), VOTE_NO_ROUND);
    four_prevote(f, four_other(f, 0), 0, four_value(1), VOTE_NO_ROUND); /* its other face makes the quorum */
    const struct bft_effect *e = four_effect(f, BFT_EVIDENCE, 0);
    assert_non_null(e);
    assert_true(evidence_verify(&e->evidence, &f->chain));
    assert_true(pubkey_equal(&e->evidence.validator, &f->set.v[four_other(f, 0)].key));
    four_expect_cast(f, VOTE_PRECOMMIT, 0, four_value(1), VOTE_NO_ROUND);
    four_forget(f);
    for (uint8_t i = 20; i < 40; i++)
        four_prevote(f, four_other(f, 0), 0, four_value(i), VOTE_NO_ROUND);
    assert_null(four_effect(f, BFT_EVIDENCE, 0));
    assert_false(f->news); /* neither kept nor sent on */
}

static void votes_that_differ_in_their_valid_round_contradict(void **state)
{
    struct four *f = *state;
    four_feed(f, (struct bft_event){.kind = BFT_GO});
    four_timeout(f, 0, BFT_PRECOMMIT);
    four_prevote(f, four_other(f, 0), 1, four_value(1), VOTE_NO_ROUND);
    four_prevote(f, four_other(f, 0), 1, four_value(1), 0);
    assert_non_null(four_effect(f, BFT_EVIDENCE, 0));
}

/* The real validator's precommit and later prevotes of value 2: which of them are amnesia. */
static void a_forgotten_lock_is_evidence(void **state)
{
    struct four *f = *state;
    unsigned who = four_other(f, 0);
    four_feed(f, (struct bft_event){.kind = BFT_GO});
    for (uint32_t r = 0; r < 5; r++)
        four_timeout(f, r, BFT_PRECOMMIT);
    four_precommit(f, who, 2, four_value(1));
    four_prevote(f, who, 3, four_value(2), 2);
    four_prevote(f, who, 4, NIL, VOTE_NO_ROUND);
    four_prevote(f, who, 1, four_value(2), 0);
    assert_null(four_effect(f, BFT_EVIDENCE, 0)); /* it may have seen a quorum in round 2, or be in an earlier round */
    four_prevote(f, who, 5, four_value(2), 1);
    const struct bft_effect *e = four_effect(f, BFT_EVIDENCE, 0);
    assert_non_null(e);
    assert_true(evidence_verify(&e->evidence, &f->chain));
    assert_true(pubkey_equal(&e->evidence.validator, &f->set.v[who].key));
    who = four_other(f, 1); /* and the other way round: the prevote came first */
    four_forget(f);
    four_prevote(f, who, 4, four_value(1), VOTE_NO_ROUND);
    four_precommit(f, who, 3, four_value(1));
    assert_non_null(four_effect(f, BFT_EVIDENCE, 0));
}

static void two_proposals_are_evidence(void **state)
{
    struct four *f = *state;
    four_propose(f, 0, four_value(1), VOTE_NO_ROUND);
    struct proposal p = four_signed_proposal(f, 0, four_value(2), VOTE_NO_ROUND);
    assert_true(bft_contradicts(f->bft, &p));
    p.sig.b[3] ^= 1;
    assert_false(bft_contradicts(f->bft, &p));
    four_propose(f, 0, four_value(2), VOTE_NO_ROUND);
    const struct bft_effect *e = four_effect(f, BFT_EVIDENCE, 0);
    assert_non_null(e);
    assert_int_equal(e->evidence.a.kind, EVIDENCE_PROPOSAL);
    assert_true(evidence_verify(&e->evidence, &f->chain));
    four_forget(f);
    four_propose(f, 0, four_value(3), VOTE_NO_ROUND); /* once is enough */
    assert_null(four_effect(f, BFT_EVIDENCE, 0));
}

static void bad_votes_are_nothing(void **state)
{
    struct four *f = *state;
    four_feed(f, (struct bft_event){.kind = BFT_GO});
    struct vote v = four_signed_vote(f, four_other(f, 0), VOTE_PREVOTE, 0, four_value(1), VOTE_NO_ROUND);
    v.sig.b[0] ^= 1;
    four_feed(f, (struct bft_event){.kind = BFT_VOTE, .vote = v});
    assert_false(f->news);
    v = four_signed_vote(f, four_other(f, 0), VOTE_PREVOTE, 0, four_value(1), VOTE_NO_ROUND);
    v.index = (uint16_t)four_other(f, 1);
    four_feed(f, (struct bft_event){.kind = BFT_VOTE, .vote = v});
    assert_false(f->news);
    v.index = 200;
    four_feed(f, (struct bft_event){.kind = BFT_VOTE, .vote = v});
    assert_false(f->news);
    four_prevote(f, four_other(f, 0), 0, four_value(1), VOTE_NO_ROUND);
    assert_true(f->news);
    four_prevote(f, four_other(f, 0), 0, four_value(1), VOTE_NO_ROUND);
    assert_false(f->news); /* a repetition is not sent on */
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, four_setup, four_teardown)
    const struct CMUnitTest tests[] = {
        T(an_equivocator_is_named_once_and_hides_nothing),
        T(votes_that_differ_in_their_valid_round_contradict),
        T(a_forgotten_lock_is_evidence),
        T(two_proposals_are_evidence),
        T(bad_votes_are_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
