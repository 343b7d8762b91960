/* Planted jobs: who says match without looking is caught, who looks is not, and nothing is to be had by it. */
#include "chain/ledger_core.h"
#include "tests/support.h"
#include "tests/world.h"

#define KITH MOTE_PER_KITH

enum { PUBLISHER = 1, PROVIDER = 2, PAYER = 3, STRANGER = 4, FIRST = 5, AUDITORS = 5 };

static struct world *market(unsigned auditors)
{
    struct world *w = world_new(NULL);
    assert_int_equal(WORLD_DO(w, PROVIDER, TX_BOND, tx_bond, BOND_PROVIDER, amount_of(100 * KITH)), ERR_OK);
    assert_int_equal(world_publish(w, PUBLISHER, 7, 1000, 0, NULL, 0), ERR_OK);
    assert_int_equal(world_provide(w, PROVIDER, PROVIDER, 7, false), ERR_OK);
    for (unsigned who = FIRST; who < FIRST + auditors; who++) {
        assert_int_equal(WORLD_DO(w, who, TX_BOND, tx_bond, BOND_AUDITOR, amount_of(20 * KITH)), ERR_OK);
        assert_int_equal(world_provide(w, who, who, 7, true), ERR_OK);
    }
    return w;
}

static unsigned who_is(const struct world *w, const struct pubkey *key)
{
    unsigned i = 0;
    while (!pubkey_equal(&w->key[i], key))
        i++;
    return i;
}

/* One receipt, settled and drawn. */
static struct hash settled(struct world *w, struct world_channel *c)
{
    assert_int_equal(world_open(w, c, PAYER, PROVIDER, 7, 10 * KITH), ERR_OK);
    world_job(c, KITH);
    assert_int_equal(world_settle(w, c), ERR_OK);
    struct hash id = w->last_id;
    assert_int_equal(world_settled(w, &id), SETTLEMENT_DRAWN);
    return id;
}

/* Those drawn in this round say so; the first of them. */
static unsigned all_say(struct world *w, const struct world_channel *c, const struct hash *id,
                        enum audit_verdict verdict)
{
    struct rec_settlement s;
    struct buf room[2] = {{0}};
    unsigned who[AUDITORS], n = 0;
    assert_true(ledger_settlement(w->ledger, id, &s));
    for (uint32_t i = 0; i < settlement_audits(&s); i++) {
        struct audit_draw d = settlement_audit_at(&s, i);
        if (d.round == s.round)
            who[n++] = who_is(w, &d.auditor);
    }
    struct tx_audit_reveal r = world_audit(w, c, id, 0, verdict, room);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(world_commit(w, who[i], &r), ERR_OK);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(world_reveal(w, who[i], &r), ERR_OK);
    buf_clear(&room[0]);
    buf_clear(&room[1]);
    return who[0];
}

static enum err show(struct world *w, unsigned who, const struct tx_plant *p)
{
    tx_plant_put(world_body(w), p);
    return world_do(w, who, TX_PLANT, bytes_of_buf(&w->body));
}

static uint64_t stake(const struct world *w, unsigned who)
{
    return ledger_bond(w->ledger, BOND_AUDITOR, &w->key[who]).mote;
}

static void who_did_not_look_is_caught(void **state)
{
    (void)state;
    struct world *w = market(3);
    struct world_channel c;
    struct rec_settlement s;
    struct buf room[2] = {{0}};
    struct hash id = settled(w, &c);
    struct tx_plant p = world_plant(w, &c, &id, 0, room);
    assert_int_equal(show(w, PAYER, &p), ERR_STATE); /* nobody is to know before he has spoken */
    unsigned lazy = all_say(w, &c, &id, AUDIT_MATCH);
    assert_true(ledger_settlement(w->ledger, &id, &s) && s.state == SETTLEMENT_PAID);

    struct tx_plant bad = p;
    assert_int_equal(show(w, PROVIDER, &p), ERR_AUTH); /* only who paid */
    assert_int_equal(show(w, STRANGER, &p), ERR_AUTH);
    bad.secret = world_root(1);
    assert_int_equal(show(w, PAYER, &bad), ERR_MISMATCH);
    bad = p;
    bad.salt = world_root(1);
    assert_int_equal(show(w, PAYER, &bad), ERR_MISMATCH);
    bad = p;
    bad.index = 1;
    assert_int_equal(show(w, PAYER, &bad), ERR_MISMATCH);
    bad = p;
    bad.receipt.n--;
    assert_int_equal(show(w, PAYER, &bad), ERR_FORMAT);
    bad = p;
    bad.settlement = world_root(1);
    assert_int_equal(show(w, PAYER, &bad), ERR_NOT_FOUND);
    room[0].p[room[0].n - 1] ^= 1;
    assert_int_equal(show(w, PAYER, &p), ERR_AUTH); /* the provider did not sign that */
    room[0].p[room[0].n - 1] ^= 1;
    assert_true(stake(w, lazy) == 20 * KITH);

    uint64_t balance = world_balance(w, PAYER), burned = ledger_totals(w->ledger).burned.mote;
    WORLD_ADD(w, PAYER, TX_PLANT, tx_plant, p.settlement, p.index, p.receipt, p.proof, p.salt, p.secret);
    struct tx t;
    assert_int_equal(tx_decode(bytes_of_buf(&w->txs[0]), &t, NULL), ERR_OK);
    assert_int_equal(world_block(w), ERR_OK);
    assert_true(stake(w, lazy) == 18 * KITH);
    assert_true(world_balance(w, PAYER) == balance - t.fee.mote + 2 * KITH / 5);
    assert_true(ledger_totals(w->ledger).burned.mote >= burned + 2 * KITH - 2 * KITH / 5);
    const struct ledger_event *e = world_event(w, LEDGER_PLANTED, 0);
    assert_true(e && e->code == 1 && e->index == 0 && e->amount.mote == 0 && hash_equal(&e->id, &id));
    assert_true(world_event(w, LEDGER_SLASHED, 0) && !world_event(w, LEDGER_FORFEITED, 0));
    assert_true(ledger_settlement(w->ledger, &id, &s) && s.state == SETTLEMENT_PAID);
    assert_int_equal(settlement_audit_at(&s, 0).verdict, AUDIT_CAUGHT);
    assert_int_equal(show(w, PAYER, &p), ERR_STATE); /* once */
    assert_true(stake(w, lazy) == 18 * KITH);
    buf_clear(&room[0]);
    buf_clear(&room[1]);
    world_free(w);
}

static void who_looked_is_paid_and_nobody_is_at_fault(void **state)
{
    (void)state;
    for (unsigned late = 0; late < 2; late++) { /* shown before the committee is drawn, or when it has spoken */
        struct world *w = market(3);
        struct world_channel c;
        struct rec_settlement s;
        struct rec_fault fault;
        struct buf room[2] = {{0}};
        struct hash id = settled(w, &c);
        struct tx_plant p = world_plant(w, &c, &id, 0, room);
        unsigned honest = all_say(w, &c, &id, AUDIT_MISMATCH);
        if (late)
            assert_int_equal(world_settled(w, &id), SETTLEMENT_DRAWN);
        uint64_t auditor = world_balance(w, honest), bond = stake(w, honest), payer = world_balance(w, PAYER);
        assert_int_equal(show(w, PAYER, &p), ERR_OK);
        assert_true(world_balance(w, honest) == auditor + KITH / 100 && stake(w, honest) == bond);
        const struct ledger_event *e = world_event(w, LEDGER_PLANTED, 0), *over = world_event(w, LEDGER_FORFEITED, 0);
        assert_true(e && over && e->code == 0 && e->amount.mote == KITH - KITH / 100);
        assert_true(over->amount.mote == e->amount.mote && world_balance(w, PAYER) > payer);
        assert_null(world_event(w, LEDGER_SLASHED, 0));
        assert_false(ledger_fault(w->ledger, &w->key[PROVIDER], &fault) && fault.mismatches);
        assert_true(ledger_bond(w->ledger, BOND_PROVIDER, &w->key[PROVIDER]).mote == 100 * KITH);
        assert_true(ledger_settlement(w->ledger, &id, &s) && s.state == SETTLEMENT_FORFEITED);
        assert_false(ledger_channel_in_escrow(w->ledger, &c.id));
        for (unsigned i = 0; i < 2 * AUDIT_DRAW_BLOCKS; i++) /* the draw that is left behind draws nobody */
            assert_int_equal(world_block(w), ERR_OK);
        assert_true(ledger_settlement(w->ledger, &id, &s) && s.state == SETTLEMENT_FORFEITED);
        assert_int_equal(show(w, PAYER, &p), ERR_STATE);
        buf_clear(&room[0]);
        buf_clear(&room[1]);
        world_free(w);
    }
}

/* A provider's fraud against a payer who knows of nothing stays one. */
static void a_fraud_is_not_covered(void **state)
{
    (void)state;
    struct world *w = market(3);
    struct world_channel c;
    struct rec_fault fault;
    struct buf room[2] = {{0}};
    struct hash id = settled(w, &c);
    struct tx_plant p = world_plant(w, &c, &id, 0, room);
    (void)all_say(w, &c, &id, AUDIT_MISMATCH);
    assert_int_equal(show(w, PROVIDER, &p), ERR_AUTH);
    assert_int_equal(world_settled(w, &id), SETTLEMENT_DRAWN);
    (void)all_say(w, &c, &id, AUDIT_MISMATCH);
    assert_int_equal(world_settled(w, &id), SETTLEMENT_FORFEITED);
    assert_true(ledger_fault(w->ledger, &w->key[PROVIDER], &fault) && fault.mismatches == 1);
    assert_int_equal(show(w, PAYER, &p), ERR_STATE); /* too late for a planter, too */
    buf_clear(&room[0]);
    buf_clear(&room[1]);
    world_free(w);
}

/* An accusation that a committee dismissed is not to be turned round later: its author would pay twice. */
static void a_committee_of_the_lazy_is_caught_in_time(void **state)
{
    (void)state;
    for (unsigned late = 0; late < 2; late++) {
        struct world *w = market(3);
        struct world_channel c;
        struct buf room[2] = {{0}};
        struct hash id = settled(w, &c);
        struct tx_plant p = world_plant(w, &c, &id, 0, room);
        unsigned honest = all_say(w, &c, &id, AUDIT_MISMATCH), lazy[2], n = 0;
        for (unsigned who = FIRST; who < FIRST + 3; who++)
            if (who != honest)
                lazy[n++] = who;
        assert_int_equal(world_settled(w, &id), SETTLEMENT_DRAWN);
        struct tx_audit_reveal r = world_audit(w, &c, &id, 0, AUDIT_MATCH, room);
        for (unsigned i = 0; i < 2; i++)
            assert_int_equal(world_commit(w, lazy[i], &r), ERR_OK);
        for (unsigned i = 0; i < 1 + late; i++)
            assert_int_equal(world_reveal(w, lazy[i], &r), ERR_OK);
        p = world_plant(w, &c, &id, 0, room);
        uint64_t bond = stake(w, honest);
        assert_int_equal(show(w, PAYER, &p), late ? ERR_STATE : ERR_OK);
        assert_true(stake(w, honest) == bond);
        assert_true(stake(w, lazy[0]) == (late ? 20 : 18) * KITH && stake(w, lazy[1]) == 20 * KITH);
        buf_clear(&room[0]);
        buf_clear(&room[1]);
        world_free(w);
    }
}

static void what_is_withdrawn_answers_and_what_is_old_does_not(void **state)
{
    (void)state;
    for (unsigned late = 0; late < 2; late++) {
        struct world *w = market(1);
        struct world_channel c;
        struct buf room[2] = {{0}};
        struct params params = ledger_params(w->ledger);
        struct hash id = settled(w, &c);
        struct tx_plant p = world_plant(w, &c, &id, 0, room);
        unsigned lazy = all_say(w, &c, &id, AUDIT_MATCH);
        assert_int_equal(WORLD_DO(w, lazy, TX_UNBOND, tx_unbond, BOND_AUDITOR, amount_of(20 * KITH)), ERR_OK);
        world_wait(w, params_verdict_ms(&params) - 60000 * (1 - late));
        assert_int_equal(show(w, PAYER, &p), late ? ERR_EXPIRED : ERR_OK);
        assert_true(!late == !!world_event(w, LEDGER_SLASHED, 0));
        buf_clear(&room[0]);
        buf_clear(&room[1]);
        world_free(w);
    }
}

/* Silence and a claim of withholding are no lie about a replay. */
static void who_said_nothing_of_it_is_not_caught(void **state)
{
    (void)state;
    for (unsigned silent = 0; silent < 2; silent++) {
        struct world *w = market(3);
        struct world_channel c;
        struct buf room[2] = {{0}};
        struct hash id = settled(w, &c);
        if (silent)
            world_wait(w, ledger_params(w->ledger).audit_window_ms);
        else
            (void)all_say(w, &c, &id, AUDIT_WITHHELD);
        struct tx_plant p = world_plant(w, &c, &id, 0, room);
        assert_int_equal(show(w, PAYER, &p), silent ? ERR_STATE : ERR_OK);
        for (unsigned who = FIRST; who < FIRST + 3; who++)
            assert_true(stake(w, who) == 20 * KITH);
        buf_clear(&room[0]);
        buf_clear(&room[1]);
        world_free(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_did_not_look_is_caught),
        cmocka_unit_test(who_looked_is_paid_and_nobody_is_at_fault),
        cmocka_unit_test(a_fraud_is_not_covered),
        cmocka_unit_test(a_committee_of_the_lazy_is_caught_in_time),
        cmocka_unit_test(what_is_withdrawn_answers_and_what_is_old_does_not),
        cmocka_unit_test(who_said_nothing_of_it_is_not_caught),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
