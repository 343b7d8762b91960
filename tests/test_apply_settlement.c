/* Settlements: draws, verdicts, payout, forfeit, slashing. */
#include "chain/ledger_core.h"
#include "tests/support.h"
#include "tests/world.h"

#define KITH MOTE_PER_KITH

/* Keys: 1 publisher, 2 owner, 3 its node, 4 payer, 5 auditor's owner, 6 its node, 7 and 8 another auditor. */
static struct world *market(unsigned auditors)
{
    struct world *w = world_new(NULL);
    assert_int_equal(WORLD_DO(w, 2, TX_BOND, tx_bond, BOND_PROVIDER, amount_of(100 * KITH)), ERR_OK);
    assert_int_equal(world_publish(w, 1, 7, 1000, 0, NULL, 0), ERR_OK);
    assert_int_equal(world_provide(w, 2, 3, 7, true), ERR_OK);
    for (unsigned i = 0; i < auditors; i++) {
        assert_int_equal(WORLD_DO(w, 5 + 2 * i, TX_BOND, tx_bond, BOND_AUDITOR, amount_of(KITH)), ERR_OK);
        assert_int_equal(world_provide(w, 5 + 2 * i, 6 + 2 * i, 7, true), ERR_OK);
    }
    return w;
}

static unsigned key_number(const struct world *w, const struct pubkey *key)
{
    for (unsigned i = 0; i < WORLD_KEYS; i++)
        if (pubkey_equal(&w->key[i], key))
            return i;
    return WORLD_KEYS;
}

/* Settles and draws; the settlement's id. */
static struct hash drawn(struct world *w, struct world_channel *c)
{
    assert_int_equal(world_settle(w, c), ERR_OK);
    struct hash id = w->last_id;
    world_draw(w);
    return id;
}

static void a_match_pays_at_once(void **state)
{
    (void)state;
    struct world *w = market(1);
    struct world_channel c;
    struct rec_settlement s;
    struct buf room[2] = {{0}};
    assert_int_equal(world_open(w, &c, 4, 3, 7, 10 * KITH), ERR_OK);
    world_job(&c, KITH);
    world_job(&c, KITH);
    uint64_t owner = world_balance(w, 2);
    struct hash id = drawn(w, &c);
    const struct ledger_event *e = world_event(w, LEDGER_AUDIT_DRAWN, 0);
    assert_non_null(e);
    assert_int_equal(key_number(w, &e->a), 6);
    assert_true(hash_equal(&e->id, &id) && hash_equal(&e->other, &c.id) && e->index < 2);
    assert_true(e->time_ms == w->time_ms + ledger_params(w->ledger).audit_window_ms);
    assert_true(ledger_settlement(w->ledger, &id, &s) && s.state == SETTLEMENT_DRAWN);
    assert_int_equal(settlement_audits(&s), 1);
    struct audit_draw d = settlement_audit_at(&s, 0);
    assert_int_equal(d.verdict, AUDIT_PENDING);
    assert_true(world_balance(w, 2) == owner);

    struct tx_audit_reveal good = world_audit(w, &c, &id, d.index, AUDIT_MATCH, room), bad = good;
    assert_int_equal(world_reveal(w, 6, &good), ERR_STATE); /* nothing is committed */
    assert_int_equal(world_commit(w, 5, &good), ERR_AUTH);  /* the owner was not drawn, its node was */
    assert_int_equal(world_commit(w, 3, &good), ERR_AUTH);
    bad.index = d.index ^ 1;
    assert_int_equal(world_commit(w, 6, &bad), ERR_AUTH); /* that receipt was not */
    bad.settlement = world_root(1);
    assert_int_equal(world_commit(w, 6, &bad), ERR_NOT_FOUND);
    assert_int_equal(WORLD_DO(w, 6, TX_AUDIT_COMMIT, tx_audit_commit, id, d.index, {{0}}), ERR_FORMAT); /* zeros */
    assert_int_equal(world_commit(w, 6, &good), ERR_OK);
    e = world_event(w, LEDGER_AUDIT_REVEALING, 0);
    assert_true(e && hash_equal(&e->id, &id));
    assert_int_equal(world_commit(w, 6, &good), ERR_STATE);

    bad = good;
    bad.verdict = 3;
    assert_int_equal(world_reveal(w, 6, &bad), ERR_FORMAT);
    bad = good;
    bad.verdict = AUDIT_MISMATCH; /* not what was committed to */
    assert_int_equal(world_reveal(w, 6, &bad), ERR_MISMATCH);
    bad = good;
    bad.digest = world_root(1);
    assert_int_equal(world_reveal(w, 6, &bad), ERR_MISMATCH);
    bad = good;
    bad.salt = world_root(1);
    assert_int_equal(world_reveal(w, 6, &bad), ERR_MISMATCH);
    bad = good;
    bad.receipt.n--;
    assert_int_equal(world_reveal(w, 6, &bad), ERR_FORMAT);
    bad = good;
    bad.proof.n = 0;
    assert_int_equal(world_reveal(w, 6, &bad), ERR_MISMATCH);
    bad = good;
    bad.settlement = world_root(1);
    assert_int_equal(world_reveal(w, 6, &bad), ERR_NOT_FOUND);
    assert_int_equal(world_reveal(w, 5, &good), ERR_AUTH);
    room[0].p[room[0].n - 1] ^= 1;
    assert_int_equal(world_reveal(w, 6, &good), ERR_AUTH);
    room[0].p[room[0].n - 1] ^= 1;

    uint64_t auditor = world_balance(w, 5);
    assert_int_equal(world_reveal(w, 6, &good), ERR_OK);
    assert_true(ledger_settlement(w->ledger, &id, &s) && s.state == SETTLEMENT_PAID);
    assert_true(world_balance(w, 5) == auditor + 2 * KITH / 100);
    assert_true(world_balance(w, 2) == owner + 2 * KITH - 2 * KITH / 10 - 2 * KITH / 50);
    assert_true(ledger_totals(w->ledger).funds.mote == 0);
    assert_int_equal(world_reveal(w, 6, &good), ERR_STATE);
    for (unsigned i = 0; i < 2; i++)
        buf_clear(&room[i]);
    world_free(w);
}

static void silence_of_the_auditor_pays_after_the_window(void **state)
{
    (void)state;
    struct world *w = market(1);
    struct world_channel c;
    struct rec_settlement s;
    struct buf room[2] = {{0}};
    assert_int_equal(world_open(w, &c, 4, 3, 7, 10 * KITH), ERR_OK);
    world_job(&c, KITH);
    struct hash id = drawn(w, &c);
    w->step_ms = ledger_params(w->ledger).audit_window_ms - 1;
    assert_int_equal(world_block(w), ERR_OK);
    assert_true(ledger_settlement(w->ledger, &id, &s) && s.state == SETTLEMENT_DRAWN);
    w->step_ms = 1;
    assert_int_equal(world_block(w), ERR_OK);
    assert_true(ledger_settlement(w->ledger, &id, &s) && s.state == SETTLEMENT_PAID);
    assert_true(ledger_totals(w->ledger).funds.mote == KITH / 100); /* nobody earned it */
    struct tx_audit_reveal late = world_audit(w, &c, &id, 0, AUDIT_MISMATCH, room);
    assert_int_equal(world_commit(w, 6, &late), ERR_STATE);
    for (unsigned i = 0; i < 2; i++)
        buf_clear(&room[i]);
    world_free(w);
}

static void a_mismatch_forfeits_and_the_second_is_slashed(void **state)
{
    (void)state;
    struct world *w = market(1);
    struct world_channel c;
    struct rec_settlement s;
    struct rec_fault fault;
    struct buf room[2] = {{0}}, other[2] = {{0}};
    uint64_t bond = 100 * KITH, pay = KITH / 100;
    assert_int_equal(world_open(w, &c, 4, 3, 7, 10 * KITH), ERR_OK);
    world_job(&c, KITH);
    uint64_t payer = world_balance(w, 4), owner = world_balance(w, 2), auditor = world_balance(w, 5);
    struct hash id = drawn(w, &c);
    struct tx_audit_reveal found = world_audit(w, &c, &id, 0, AUDIT_MISMATCH, room);
    assert_int_equal(world_verdict(w, 6, &found), ERR_OK);
    assert_int_equal(world_settled(w, &id), SETTLEMENT_FORFEITED); /* nobody else could be asked */
    assert_true(world_balance(w, 4) == payer + KITH);
    assert_true(world_balance(w, 2) == owner);
    assert_true(world_balance(w, 5) == auditor + pay); /* the loser pays */
    assert_true(ledger_bond(w->ledger, BOND_PROVIDER, &w->key[2]).mote == bond - pay);
    assert_null(world_event(w, LEDGER_SLASHED, 0));
    assert_true(ledger_fault(w->ledger, &w->key[2], &fault) && fault.mismatches == 1);

    /* Again: a part of the bond goes, all of which was withdrawn since. */
    world_job(&c, KITH);
    id = drawn(w, &c);
    assert_int_equal(WORLD_DO(w, 2, TX_UNBOND, tx_unbond, BOND_PROVIDER, amount_of(bond - pay)), ERR_OK);
    assert_true(ledger_settlement(w->ledger, &id, &s));
    assert_int_equal(settlement_audits(&s), 2); /* full audit: all that there is */
    struct audit_draw d = settlement_audit_at(&s, 0);
    found = world_audit(w, &c, &id, d.index, AUDIT_MISMATCH, room);
    auditor = world_balance(w, 5);
    struct tx_audit_reveal fine = world_audit(w, &c, &id, 1 - d.index, AUDIT_MATCH, other);
    assert_int_equal(world_commit(w, 6, &found), ERR_OK);
    assert_int_equal(world_verdict(w, 6, &fine), ERR_OK);
    assert_int_equal(world_reveal(w, 6, &found), ERR_OK);
    assert_int_equal(world_settled(w, &id), SETTLEMENT_FORFEITED);
    const struct ledger_event *e = world_event(w, LEDGER_SLASHED, 0);
    uint64_t left = bond - pay - pay / 2, slash = left / 2; /* two audits share the pay */
    assert_true(e && e->amount.mote == slash && pubkey_equal(&e->a, &w->key[2]));
    assert_true(world_balance(w, 5) == auditor + pay / 2 + slash / 5);
    owner = world_balance(w, 2);
    world_wait(w, ledger_params(w->ledger).unbonding_ms);
    assert_true(world_balance(w, 2) == owner + left - slash);
    for (unsigned i = 0; i < 2; i++) {
        buf_clear(&room[i]);
        buf_clear(&other[i]);
    }
    world_free(w);
}

/* A bond that was withdrawn before may be back with its owner before a mismatch is decided. */
static void nothing_is_settled_without_a_bond(void **state)
{
    (void)state;
    struct world *w = market(1);
    struct world_channel c;
    struct buf room[2] = {{0}};
    assert_int_equal(world_open(w, &c, 4, 3, 7, 10 * KITH), ERR_OK);
    world_job(&c, KITH);
    assert_int_equal(WORLD_DO(w, 2, TX_UNBOND, tx_unbond, BOND_PROVIDER, amount_of(100 * KITH)), ERR_OK);
    assert_int_equal(world_settle(w, &c), ERR_STATE);
    world_wait(w, ledger_params(w->ledger).unbonding_ms);
    assert_int_equal(world_settle(w, &c), ERR_STATE);
    assert_int_equal(WORLD_DO(w, 2, TX_BOND, tx_bond, BOND_PROVIDER, amount_of(KITH)), ERR_OK);
    struct hash id = drawn(w, &c);
    assert_int_equal(WORLD_DO(w, 2, TX_UNBOND, tx_unbond, BOND_PROVIDER, amount_of(KITH)), ERR_OK);
    struct tx_audit_reveal found = world_audit(w, &c, &id, 0, AUDIT_MISMATCH, room);
    assert_int_equal(world_verdict(w, 6, &found), ERR_OK);
    assert_int_equal(world_settled(w, &id), SETTLEMENT_FORFEITED);
    uint64_t owner = world_balance(w, 2);
    world_wait(w, ledger_params(w->ledger).unbonding_ms);
    assert_true(world_balance(w, 2) == owner + KITH - KITH / 100); /* the audit, of what was withdrawn */
    for (unsigned i = 0; i < 2; i++)
        buf_clear(&room[i]);
    world_free(w);
}

static void withheld_forfeits_and_is_not_slashed(void **state)
{
    (void)state;
    struct world *w = market(1);
    struct world_channel c;
    struct rec_settlement s;
    struct rec_fault fault;
    struct buf room[2] = {{0}};
    assert_int_equal(world_open(w, &c, 4, 3, 7, 10 * KITH), ERR_OK);
    for (unsigned round = 0; round < 3; round++) {
        world_job(&c, KITH);
        struct hash id = drawn(w, &c);
        assert_true(ledger_settlement(w->ledger, &id, &s));
        struct audit_draw d = settlement_audit_at(&s, 0);
        struct tx_audit_reveal body = world_audit(w, &c, &id, d.index, AUDIT_WITHHELD, room);
        for (unsigned i = 1; i < settlement_audits(&s); i++) { /* under full audit there are more */
            struct audit_draw more = settlement_audit_at(&s, i);
            struct tx_audit_reveal also = body;
            also.index = more.index;
            assert_int_equal(world_commit(w, 6, &also), ERR_OK);
            assert_true(ledger_settlement(w->ledger, &id, &s));
        }
        assert_int_equal(world_verdict(w, 6, &body), ERR_OK);
        w->step_ms = ledger_params(w->ledger).audit_reveal_ms; /* the others are not revealed */
        assert_int_equal(world_block(w), ERR_OK);
        w->step_ms = 1000;
        assert_int_equal(world_settled(w, &id), SETTLEMENT_FORFEITED);
        assert_non_null(world_event(w, LEDGER_FORFEITED, 0));
        assert_null(world_event(w, LEDGER_SLASHED, 0));
    }
    assert_true(ledger_fault(w->ledger, &w->key[2], &fault));
    assert_true(fault.mismatches == 0 && fault.full_audit_until_ms > w->time_ms);
    world_free(w);
}

static void full_audit_waits_for_all(void **state)
{
    (void)state;
    struct params params = params_private();
    params.audits_per_settlement = 3;
    struct world *w = world_new(&params);
    struct world_channel c;
    struct rec_settlement s;
    struct buf room[2] = {{0}};
    bool seen[8] = {0};
    assert_int_equal(WORLD_DO(w, 2, TX_BOND, tx_bond, BOND_PROVIDER, amount_of(100 * KITH)), ERR_OK);
    assert_int_equal(world_publish(w, 1, 7, 1000, 0, NULL, 0), ERR_OK);
    assert_int_equal(world_provide(w, 2, 3, 7, true), ERR_OK);
    for (unsigned owner = 5; owner <= 7; owner += 2) {
        assert_int_equal(WORLD_DO(w, owner, TX_BOND, tx_bond, BOND_AUDITOR, amount_of(KITH)), ERR_OK);
        assert_int_equal(world_provide(w, owner, owner + 1, 7, true), ERR_OK);
    }
    assert_int_equal(world_open(w, &c, 4, 3, 7, 10 * KITH), ERR_OK);
    for (unsigned i = 0; i < 8; i++)
        world_job(&c, 1001);
    struct hash id = drawn(w, &c);
    assert_true(ledger_settlement(w->ledger, &id, &s));
    assert_int_equal(settlement_audits(&s), 3);
    /* Both auditors were drawn before either twice, and no receipt twice. */
    struct audit_draw first = settlement_audit_at(&s, 0), second = settlement_audit_at(&s, 1);
    assert_false(pubkey_equal(&first.auditor, &second.auditor));
    for (unsigned i = 0; i < 6; i++) {
        assert_true(ledger_settlement(w->ledger, &id, &s));
        assert_int_equal(s.state, i < 3 ? SETTLEMENT_DRAWN : SETTLEMENT_REVEALING);
        struct audit_draw d = settlement_audit_at(&s, i % 3);
        assert_true(i >= 3 || !seen[d.index]);
        seen[d.index] = true;
        struct tx_audit_reveal body = world_audit(w, &c, &id, d.index, AUDIT_MATCH, room);
        unsigned who = key_number(w, &d.auditor);
        assert_true(who == 6 || who == 8);
        assert_int_equal(i < 3 ? world_commit(w, who, &body) : world_reveal(w, who, &body), ERR_OK);
        enum err again = i < 3 ? world_commit(w, who, &body) : world_reveal(w, who, &body);
        assert_int_equal(again, i % 3 < 2 ? ERR_DUPLICATE : ERR_STATE);
    }
    assert_true(ledger_settlement(w->ledger, &id, &s) && s.state == SETTLEMENT_PAID);
    assert_true(ledger_totals(w->ledger).funds.mote == 80 - 3 * (80 / 3)); /* 1 % of 8008, in three parts */
    for (unsigned i = 0; i < 2; i++)
        buf_clear(&room[i]);
    world_free(w);
}

static void nobody_audits_himself(void **state)
{
    (void)state;
    struct world *w = market(0);
    struct world_channel c;
    /* The owner bonds as auditor, under two nodes; the payer too. None of them is drawn. */
    assert_int_equal(WORLD_DO(w, 2, TX_BOND, tx_bond, BOND_AUDITOR, amount_of(KITH)), ERR_OK);
    assert_int_equal(world_provide(w, 2, 9, 7, true), ERR_OK);
    assert_int_equal(WORLD_DO(w, 4, TX_BOND, tx_bond, BOND_AUDITOR, amount_of(KITH)), ERR_OK);
    assert_int_equal(world_provide(w, 4, 4, 7, true), ERR_OK);
    assert_int_equal(world_open(w, &c, 4, 3, 7, 10 * KITH), ERR_OK);
    world_job(&c, KITH);
    (void)drawn(w, &c);
    assert_null(world_event(w, LEDGER_AUDIT_DRAWN, 0));
    assert_non_null(world_event(w, LEDGER_PAYOUT, 0));
    /* Without a bond as auditor, neither is one who only says so. */
    assert_int_equal(WORLD_DO(w, 5, TX_BOND, tx_bond, BOND_PROVIDER, amount_of(KITH)), ERR_OK);
    assert_int_equal(world_provide(w, 5, 6, 7, true), ERR_OK);
    world_job(&c, KITH);
    (void)drawn(w, &c);
    assert_null(world_event(w, LEDGER_AUDIT_DRAWN, 0));
    world_free(w);
}

/* Or every draw would walk through all the nodes that one bond can register. */
static void an_owner_audits_with_one_node(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct hash model = world_root(7);
    struct pubkey owner, node;
    assert_int_equal(world_publish(w, 1, 7, 1000, 0, NULL, 0), ERR_OK);
    assert_int_equal(WORLD_DO(w, 2, TX_BOND, tx_bond, BOND_AUDITOR, amount_of(KITH)), ERR_OK);
    assert_int_equal(WORLD_DO(w, 2, TX_BOND, tx_bond, BOND_PROVIDER, amount_of(KITH)), ERR_OK);
    for (unsigned i = 5; i < 10; i++)
        assert_int_equal(world_provide(w, 2, i, 7, true), ERR_OK);
    struct state *s = &w->ledger->state;
    assert_true(state_next_auditor(s, &model, NULL, &owner, &node));
    assert_true(pubkey_equal(&owner, &w->key[2]) && pubkey_equal(&node, &w->key[9]));
    assert_false(state_next_auditor(s, &model, &owner, &owner, &node));
    assert_int_equal(world_provide(w, 2, 5, 7, false), ERR_OK); /* another than the one that does */
    assert_true(state_next_auditor(s, &model, NULL, &owner, &node) && pubkey_equal(&node, &w->key[9]));
    assert_int_equal(world_provide(w, 2, 9, 7, false), ERR_OK);
    assert_false(state_next_auditor(s, &model, NULL, &owner, &node));
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_match_pays_at_once),
        cmocka_unit_test(silence_of_the_auditor_pays_after_the_window),
        cmocka_unit_test(a_mismatch_forfeits_and_the_second_is_slashed),
        cmocka_unit_test(nothing_is_settled_without_a_bond),
        cmocka_unit_test(withheld_forfeits_and_is_not_slashed),
        cmocka_unit_test(full_audit_waits_for_all),
        cmocka_unit_test(nobody_audits_himself),
        cmocka_unit_test(an_owner_audits_with_one_node),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
