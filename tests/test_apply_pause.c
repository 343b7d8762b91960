/* Slashing pauses where mismatches are too many to be fraud, and only there. */
#include "tests/support.h"
#include "tests/world.h"

#define KITH MOTE_PER_KITH

/* Keys 1 to 4 serve model 7 under owners of their own, 5 pays, 6 audits. */
static struct world *market(uint16_t pause_bps)
{
    struct params p = params_private();
    p.pause_bps = pause_bps;
    struct world *w = world_new(&p);
    assert_int_equal(world_publish(w, 8, 7, 0, 0, NULL, 0), ERR_OK);
    for (unsigned i = 1; i <= 4; i++) {
        assert_int_equal(WORLD_DO(w, i, TX_BOND, tx_bond, BOND_PROVIDER, amount_of(10 * KITH)), ERR_OK);
        assert_int_equal(world_provide(w, i, i, 7, false), ERR_OK);
    }
    assert_int_equal(WORLD_DO(w, 6, TX_BOND, tx_bond, BOND_AUDITOR, amount_of(KITH)), ERR_OK);
    assert_int_equal(world_provide(w, 6, 6, 7, true), ERR_OK);
    return w;
}

/* One job with this provider, settled and audited with this verdict. */
static void job(struct world *w, unsigned node, enum audit_verdict verdict)
{
    struct world_channel c;
    struct rec_settlement s;
    struct buf room[2] = {{0}};
    assert_int_equal(world_open(w, &c, 5, node, 7, KITH), ERR_OK);
    world_job(&c, 1000);
    assert_int_equal(world_settle(w, &c), ERR_OK);
    struct hash id = w->last_id;
    world_draw(w);
    assert_true(ledger_settlement(w->ledger, &id, &s) && s.state == SETTLEMENT_DRAWN);
    struct tx_audit_reveal body = world_audit(w, &c, &id, 0, verdict, room);
    assert_int_equal(world_verdict(w, 6, &body), ERR_OK);
    assert_int_equal(world_settled(w, &id), verdict == AUDIT_MATCH ? SETTLEMENT_PAID : SETTLEMENT_FORFEITED);
    buf_clear(&room[0]);
    buf_clear(&room[1]);
}

static bool slashed(const struct world *w)
{
    return world_event(w, LEDGER_SLASHED, 0) != NULL;
}

static bool paused(const struct world *w)
{
    return ledger_audit_epoch(w->ledger).paused_until_ms > w->time_ms;
}

static void three_owners_pause_it(void **state)
{
    (void)state;
    struct world *w = market(300);
    struct rec_fault fault;
    for (unsigned owner = 1; owner <= 3; owner++) {
        assert_false(paused(w));
        job(w, owner, AUDIT_MISMATCH);
        assert_int_equal(ledger_audit_epoch(w->ledger).owners, owner);
    }
    const struct ledger_event *e = world_event(w, LEDGER_SLASHING_PAUSED, 0);
    assert_true(e && e->code == 3 && e->index == 3);
    assert_true(e->time_ms == w->time_ms + ledger_params(w->ledger).audit_epoch_ms && paused(w));
    /* The second of owner 1 would be slashed; it forfeits, and is not held against it. */
    job(w, 1, AUDIT_MISMATCH);
    assert_false(slashed(w));
    assert_true(ledger_fault(w->ledger, &w->key[1], &fault) && fault.mismatches == 1 &&
                fault.mismatch_ms == w->time_ms);
    assert_true(fault.full_audit_until_ms > w->time_ms);
    assert_int_equal(ledger_audit_epoch(w->ledger).owners, 3); /* nor counted as one more owner */
    assert_true(ledger_fault(w->ledger, &w->key[3], &fault) && fault.mismatches == 0); /* that one brought it about */
    /* An epoch later it is over: new counts, and owner 1's second mismatch counts. */
    w->step_ms = ledger_params(w->ledger).audit_epoch_ms;
    assert_int_equal(world_block(w), ERR_OK);
    w->step_ms = 1000;
    assert_false(paused(w));
    job(w, 1, AUDIT_MISMATCH);
    assert_true(slashed(w));
    struct rec_epoch epoch = ledger_audit_epoch(w->ledger);
    assert_true(epoch.verdicts == 1 && epoch.mismatches == 1 && epoch.owners == 1);
    world_free(w);
}

static void two_owners_do_not(void **state)
{
    (void)state;
    struct world *w = market(300);
    for (unsigned i = 0; i < 2; i++) {
        job(w, 1, AUDIT_MISMATCH);
        assert_int_equal(slashed(w), i > 0);
        job(w, 2, AUDIT_MISMATCH);
        assert_int_equal(slashed(w), i > 0);
    }
    assert_false(paused(w));
    job(w, 3, AUDIT_WITHHELD); /* silence is no mismatch */
    assert_false(paused(w));
    assert_int_equal(ledger_audit_epoch(w->ledger).verdicts, 4);
    world_free(w);
}

/* Three owners, but three of ten verdicts: at a limit of 30 % that is not over it, and the next one is. */
static void a_few_among_many_do_not(void **state)
{
    (void)state;
    struct world *w = market(3000);
    for (unsigned i = 0; i < 7; i++)
        job(w, 4, AUDIT_MATCH);
    for (unsigned owner = 1; owner <= 3; owner++)
        job(w, owner, AUDIT_MISMATCH);
    struct rec_epoch epoch = ledger_audit_epoch(w->ledger);
    assert_true(epoch.verdicts == 10 && epoch.mismatches == 3 && epoch.owners == 3);
    assert_false(paused(w));
    job(w, 2, AUDIT_MISMATCH); /* four of eleven */
    assert_true(paused(w));
    assert_false(slashed(w));
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_owners_pause_it),
        cmocka_unit_test(two_owners_do_not),
        cmocka_unit_test(a_few_among_many_do_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
