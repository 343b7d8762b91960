/* Evidence on the ledger: who is punished, with how much, for which heights, once; and who never is. */
#include "chain/evidence.h"
#include "tests/support.h"
#include "tests/world.h"

#include <string.h>

#define KITH MOTE_PER_KITH

/* Two prevotes of key `who` at a height. */
static struct tx_evidence double_vote(const struct world *w, unsigned who, uint64_t height, uint8_t variant)
{
    struct vote v[2];
    struct tx_evidence body;
    for (int i = 0; i < 2; i++) {
        v[i] = (struct vote){.kind = VOTE_PREVOTE, .height = height, .valid_round = VOTE_NO_ROUND};
        v[i].value.b[0] = (uint8_t)(variant + i);
        struct hash h = vote_hash(&v[i], &w->chain);
        key_sign_hash(&w->secret[who], &h, NULL, &v[i].sig);
    }
    assert_true(evidence_of_votes(&w->key[who], &v[0], &v[1], &body.evidence));
    return body;
}

static enum err report(struct world *w, unsigned reporter, const struct tx_evidence *body)
{
    tx_evidence_put(world_body(w), body);
    return world_do(w, reporter, TX_EVIDENCE, bytes_of_buf(&w->body));
}

/* Keys 1 to 3 validate beside key 0, with 1000 KITH each. */
static struct world *four(void)
{
    struct params p = params_private();
    p.unbonding_ms = 100000;
    p.audits_per_settlement = 0;
    struct world *w = world_new(&p);
    for (unsigned i = 1; i < 4; i++)
        assert_int_equal(WORLD_DO(w, i, TX_BOND, tx_bond, BOND_VALIDATOR, amount_of(1000 * KITH)), ERR_OK);
    while (w->result->validators_changed)
        world_block(w);
    world_block(w);
    world_block(w);
    return w;
}

static uint64_t height(const struct world *w)
{
    return ledger_info(w->ledger).height;
}

static bool in_office(const struct world *w, unsigned who)
{
    struct rec_office rec;
    return ledger_office(w->ledger, &w->key[who], &rec) && rec.power > 0;
}

static void an_equivocator_is_slashed_and_leaves(void **state)
{
    (void)state;
    struct world *w = four();
    uint64_t before = world_balance(w, 5), burned = ledger_totals(w->ledger).burned.mote;
    struct tx_evidence body = double_vote(w, 2, height(w), 1);
    assert_int_equal(ledger_evidence_check(w->ledger, &body.evidence, NULL), ERR_OK);
    assert_int_equal(report(w, 5, &body), ERR_OK);
    const struct ledger_event *e = world_event(w, LEDGER_SLASHED, 0);
    assert_non_null(e);
    assert_true(pubkey_equal(&e->a, &w->key[2]) && e->amount.mote == 100 * KITH && e->code == BOND_VALIDATOR);
    assert_true(world_balance(w, 5) > before + 9 * KITH && world_balance(w, 5) < before + 10 * KITH); /* less the fee */
    assert_true(ledger_totals(w->ledger).burned.mote >= burned + 90 * KITH);
    assert_true(ledger_bond(w->ledger, BOND_VALIDATOR, &w->key[2]).mote == 0);
    while (w->result->validators_changed)
        world_block(w);
    assert_false(in_office(w, 2));
    for (unsigned i = 0; i < 4; i++)
        assert_true(i == 2 || in_office(w, i));
    /* Never again with this key; what is left comes back after its time. */
    assert_int_equal(WORLD_DO(w, 2, TX_BOND, tx_bond, BOND_VALIDATOR, amount_of(1000 * KITH)), ERR_REFUSED);
    assert_int_equal(WORLD_DO(w, 2, TX_BOND, tx_bond, BOND_PROVIDER, amount_of(KITH)), ERR_OK);
    uint64_t held = world_balance(w, 2);
    w->step_ms = 100000;
    world_block(w);
    assert_true(world_balance(w, 2) == held + 900 * KITH);
    world_free(w);
}

static void once_a_height(void **state)
{
    (void)state;
    struct world *w = four();
    uint64_t h = height(w);
    struct tx_evidence first = double_vote(w, 2, h, 1), same = double_vote(w, 2, h, 3),
                       other = double_vote(w, 2, h - 1, 1);
    assert_int_equal(report(w, 5, &first), ERR_OK);
    assert_int_equal(ledger_evidence_check(w->ledger, &same.evidence, NULL), ERR_DUPLICATE);
    assert_int_equal(report(w, 6, &first), ERR_DUPLICATE);
    assert_int_equal(report(w, 6, &same), ERR_DUPLICATE); /* other votes of that height */
    assert_null(world_event(w, LEDGER_SLASHED, 0));
    assert_int_equal(report(w, 6, &other), ERR_OK); /* another height: what is being withdrawn answers */
    assert_true(world_event(w, LEDGER_SLASHED, 0)->amount.mote == 90 * KITH);
    world_reopen(w);
    assert_int_equal(report(w, 6, &other), ERR_DUPLICATE);
    world_free(w);
}

static void money_on_its_way_out_answers(void **state)
{
    (void)state;
    struct world *w = four();
    uint64_t at = height(w);
    assert_int_equal(WORLD_DO(w, 3, TX_UNBOND, tx_unbond, BOND_VALIDATOR, amount_of(1000 * KITH)), ERR_OK);
    while (w->result->validators_changed)
        world_block(w);
    struct rec_office rec;
    assert_true(ledger_office(w->ledger, &w->key[3], &rec) && rec.until_height > at);
    world_block(w);
    world_block(w);
    struct tx_evidence late = double_vote(w, 3, rec.until_height, 1), good = double_vote(w, 3, at, 1);
    assert_int_equal(report(w, 5, &late), ERR_RANGE); /* it was no validator any more */
    assert_int_equal(report(w, 5, &good), ERR_OK);
    assert_true(world_event(w, LEDGER_SLASHED, 0)->amount.mote == 100 * KITH);
    world_free(w);
}

static void too_old_too_early_and_nobodys(void **state)
{
    (void)state;
    struct world *w = four();
    uint64_t at = height(w);
    struct tx_evidence old = double_vote(w, 2, at, 1), stranger = double_vote(w, 7, at, 1),
                       early = double_vote(w, 2, at + 50, 1), before = double_vote(w, 2, 1, 1);
    assert_int_equal(report(w, 5, &stranger), ERR_NOT_FOUND);
    assert_int_equal(report(w, 5, &early), ERR_RANGE);
    assert_int_equal(report(w, 5, &before), ERR_RANGE); /* not in office yet */
    struct tx_transfer body = {.to = w->key[1], .amount = amount_of(1)};
    for (int i = 0; i < 4; i++) { /* busy blocks, whose times are remembered */
        w->step_ms = 40000;
        tx_transfer_put(world_body(w), &body);
        assert_int_equal(world_do(w, 5, TX_TRANSFER, bytes_of_buf(&w->body)), ERR_OK);
    }
    assert_int_equal(ledger_evidence_check(w->ledger, &old.evidence, NULL), ERR_EXPIRED);
    assert_int_equal(report(w, 5, &old), ERR_EXPIRED);
    assert_true(in_office(w, 2));
    struct tx_evidence young = double_vote(w, 2, height(w), 1);
    assert_int_equal(report(w, 5, &young), ERR_OK);
    world_free(w);
}

static void an_honest_validator_cannot_be_framed(void **state)
{
    (void)state;
    struct world *w = four();
    uint64_t at = height(w), stake = ledger_bond(w->ledger, BOND_VALIDATOR, &w->key[1]).mote;
    struct tx_evidence real = double_vote(w, 2, at, 1), bad = real;
    bad.evidence.validator = w->key[1]; /* another's votes */
    assert_int_equal(report(w, 5, &bad), ERR_AUTH);
    bad = real;
    bad.evidence.validator = w->key[1];
    key_sign(&w->secret[1], HASH_VOTE, "x", 1, NULL, &bad.evidence.a.sig);
    assert_int_equal(report(w, 5, &bad), ERR_AUTH);
    bad = real;
    bad.evidence.height--;
    assert_int_equal(report(w, 5, &bad), ERR_AUTH);
    bad = real;
    bad.evidence.a = bad.evidence.b;
    assert_int_equal(report(w, 5, &bad), ERR_FORMAT);
    bad = real;
    bad.evidence.a.round = 3;
    assert_int_equal(report(w, 5, &bad), ERR_FORMAT);
    /* The votes of one height of an honest validator: a prevote and a precommit. */
    struct vote pre = {.kind = VOTE_PREVOTE, .height = at, .value = {{1}}, .valid_round = VOTE_NO_ROUND}, com = pre;
    com.kind = VOTE_PRECOMMIT;
    struct hash h1 = vote_hash(&pre, &w->chain), h2 = vote_hash(&com, &w->chain);
    key_sign_hash(&w->secret[1], &h1, NULL, &pre.sig);
    key_sign_hash(&w->secret[1], &h2, NULL, &com.sig);
    assert_false(evidence_of_votes(&w->key[1], &pre, &com, &bad.evidence));
    assert_int_equal(report(w, 5, &bad), ERR_FORMAT);
    assert_true(ledger_bond(w->ledger, BOND_VALIDATOR, &w->key[1]).mote == stake);
    assert_true(in_office(w, 1));
    world_free(w);
}

/* It loses its stake, and the chain keeps the only validators it has. */
static void the_only_validator_stays_in_office(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    world_block(w);
    struct tx_evidence body = double_vote(w, 0, 1, 1);
    assert_int_equal(report(w, 5, &body), ERR_OK);
    world_block(w);
    assert_true(in_office(w, 0));
    assert_int_equal(WORLD_DO(w, 1, TX_BOND, tx_bond, BOND_VALIDATOR, amount_of(5 * KITH)), ERR_OK);
    while (w->result->validators_changed)
        world_block(w);
    assert_false(in_office(w, 0)); /* until somebody else comes */
    assert_true(in_office(w, 1));
    world_free(w);
}

static void reporting_oneself_loses(void **state)
{
    (void)state;
    struct world *w = four();
    struct rec_totals before = ledger_totals(w->ledger);
    uint64_t held = world_balance(w, 2);
    struct tx_evidence body = double_vote(w, 2, height(w), 1);
    assert_int_equal(report(w, 2, &body), ERR_OK);
    w->step_ms = 100000;
    world_block(w);
    assert_true(world_balance(w, 2) < held + 911 * KITH); /* of 1000, and after what reporting gave */
    assert_true(ledger_totals(w->ledger).burned.mote > before.burned.mote + 89 * KITH);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_equivocator_is_slashed_and_leaves),
        cmocka_unit_test(once_a_height),
        cmocka_unit_test(money_on_its_way_out_answers),
        cmocka_unit_test(too_old_too_early_and_nobodys),
        cmocka_unit_test(an_honest_validator_cannot_be_framed),
        cmocka_unit_test(the_only_validator_stays_in_office),
        cmocka_unit_test(reporting_oneself_loses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
