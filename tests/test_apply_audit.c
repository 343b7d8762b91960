/* Disagreement: committees of double size, the majority in the end, losers that pay, challenges. */
#include "tests/support.h"
#include "tests/world.h"

#define KITH     MOTE_PER_KITH
#define PROVIDER 1
#define PAYER    2
#define FIRST    3 /* auditors: keys 3 to 3 + n - 1, each its own owner and node */

static struct world *market_of(struct world *w, unsigned auditors, uint64_t last)
{
    assert_int_equal(WORLD_DO(w, PROVIDER, TX_BOND, tx_bond, BOND_PROVIDER, amount_of(100 * KITH)), ERR_OK);
    assert_int_equal(world_publish(w, 15, 7, 0, 0, NULL, 0), ERR_OK);
    assert_int_equal(world_provide(w, PROVIDER, PROVIDER, 7, false), ERR_OK);
    for (unsigned i = 0; i < auditors; i++) {
        struct amount bond = amount_of((i + 1 == auditors ? last : 1) * 10 * KITH);
        assert_int_equal(WORLD_DO(w, FIRST + i, TX_BOND, tx_bond, BOND_AUDITOR, bond), ERR_OK);
        assert_int_equal(world_provide(w, FIRST + i, FIRST + i, 7, true), ERR_OK);
    }
    return w;
}

/* Everyone has equal stake but the last, who has `last` times as much. */
static struct world *market(unsigned auditors, uint64_t last)
{
    return market_of(world_new(NULL), auditors, last);
}

static unsigned key_number(const struct world *w, const struct pubkey *key)
{
    unsigned i = 0;
    while (i < WORLD_KEYS && !pubkey_equal(&w->key[i], key))
        i++;
    return i;
}

/* One receipt of 100 KITH in escrow. */
static struct hash settle(struct world *w, struct world_channel *c)
{
    assert_int_equal(world_open(w, c, PAYER, PROVIDER, 7, 1000 * KITH), ERR_OK);
    world_job(c, 100 * KITH);
    assert_int_equal(world_settle(w, c), ERR_OK);
    return w->last_id;
}

/* Who was drawn in the present round. */
static unsigned drawn(const struct world *w, const struct hash *id, unsigned who[16])
{
    struct rec_settlement s;
    unsigned n = 0;
    assert_true(ledger_settlement(w->ledger, id, &s));
    for (uint32_t i = 0; i < settlement_audits(&s); i++) {
        struct audit_draw d = settlement_audit_at(&s, i);
        if (d.round == s.round)
            who[n++] = key_number(w, &d.auditor);
    }
    return n;
}

/* A whole round: each drawn auditor says what `says` has for its key. Returns how many were drawn. */
static unsigned round_of(struct world *w, const struct world_channel *c, const struct hash *id,
                         const enum audit_verdict says[16])
{
    unsigned who[16], n;
    struct buf room[2] = {{0}};
    assert_int_equal(world_settled(w, id), SETTLEMENT_DRAWN);
    n = drawn(w, id, who);
    for (unsigned step = 0; step < 2; step++)
        for (unsigned i = 0; i < n; i++) {
            struct tx_audit_reveal r = world_audit(w, c, id, 0, says[who[i]], room);
            assert_int_equal(step ? world_reveal(w, who[i], &r) : world_commit(w, who[i], &r), ERR_OK);
        }
    buf_clear(&room[0]);
    buf_clear(&room[1]);
    return n;
}

static uint64_t bond_of(const struct world *w, enum bond_role role, unsigned who)
{
    return ledger_bond(w->ledger, role, &w->key[who]).mote;
}

/* All auditors honest, the provider not: one, then two of one mind. */
static void two_more_confirm_it(void **state)
{
    (void)state;
    struct world *w = market(8, 1);
    struct world_channel c;
    enum audit_verdict says[16];
    unsigned first[16], second[16];
    for (unsigned i = 0; i < 16; i++)
        says[i] = AUDIT_MISMATCH;
    struct hash id = settle(w, &c);
    uint64_t payer = world_balance(w, PAYER);
    assert_int_equal(world_settled(w, &id), SETTLEMENT_DRAWN);
    (void)drawn(w, &id, first);
    assert_int_equal(round_of(w, &c, &id, says), 1);
    assert_int_equal(world_settled(w, &id), SETTLEMENT_DRAWN); /* not believed at its word */
    assert_int_equal(drawn(w, &id, second), 2);
    assert_true(first[0] != second[0] && first[0] != second[1] && second[0] != second[1]);
    uint64_t before = world_balance(w, first[0]);
    assert_int_equal(round_of(w, &c, &id, says), 2);
    assert_int_equal(world_settled(w, &id), SETTLEMENT_FORFEITED);
    assert_true(world_balance(w, PAYER) == payer + 100 * KITH);
    /* The loser pays all three; nobody else loses. */
    assert_true(bond_of(w, BOND_PROVIDER, PROVIDER) == 97 * KITH);
    assert_true(world_balance(w, first[0]) == before + KITH);
    for (unsigned i = 0; i < 8; i++)
        assert_true(bond_of(w, BOND_AUDITOR, FIRST + i) == 10 * KITH);
    world_free(w);
}

/* One lies about an honest provider: a committee clears it, and the liar pays for it. */
static void a_lying_auditor_pays(void **state)
{
    (void)state;
    struct world *w = market(8, 1);
    struct world_channel c;
    enum audit_verdict says[16] = {AUDIT_MATCH};
    unsigned liar[16], committee[16];
    struct hash id = settle(w, &c);
    assert_int_equal(world_settled(w, &id), SETTLEMENT_DRAWN);
    (void)drawn(w, &id, liar);
    says[liar[0]] = AUDIT_MISMATCH;
    uint64_t provider = world_balance(w, PROVIDER);
    assert_int_equal(round_of(w, &c, &id, says), 1);
    assert_int_equal(world_settled(w, &id), SETTLEMENT_DRAWN);
    assert_int_equal(drawn(w, &id, committee), 2);
    uint64_t before[2] = {world_balance(w, committee[0]), world_balance(w, committee[1])};
    assert_int_equal(round_of(w, &c, &id, says), 2);
    assert_int_equal(world_settled(w, &id), SETTLEMENT_PAID);
    assert_true(world_balance(w, PROVIDER) == provider + 98 * KITH); /* less burn and fund */
    assert_true(bond_of(w, BOND_PROVIDER, PROVIDER) == 100 * KITH);
    assert_true(bond_of(w, BOND_AUDITOR, liar[0]) == 9 * KITH);
    const struct ledger_event *e = world_event(w, LEDGER_SLASHED, 0);
    assert_true(e && e->code == BOND_AUDITOR && e->amount.mote == KITH && key_number(w, &e->a) == liar[0]);
    /* Of his KITH the committee has its pay, half of the usual each, since there is no more. */
    for (unsigned i = 0; i < 2; i++)
        assert_true(world_balance(w, committee[i]) > before[i] + KITH / 3 &&
                    world_balance(w, committee[i]) <= before[i] + KITH / 2);
    world_free(w);
}

/* Five of nine see a match. 1, 2, 4 are asked, then the two who are left; where no whole committee was of one mind, all
 * of them decide. */
static void everyone_is_asked_in_the_end(void **state)
{
    (void)state;
    struct world *w = market(9, 1);
    struct world_channel c;
    enum audit_verdict says[16];
    unsigned all_asked = 0, agreed = 0;
    for (unsigned i = 0; i < 16; i++)
        says[i] = i % 2 ? AUDIT_MATCH : AUDIT_MISMATCH;
    for (unsigned tries = 0; tries < 12 || (tries < 100 && !(all_asked && agreed)); tries++) {
        struct hash id = settle(w, &c);
        unsigned who[16], n, want = 1, asked = 0;
        bool fault = false, one_mind = false;
        while (world_settled(w, &id) == SETTLEMENT_DRAWN) {
            n = drawn(w, &id, who);
            assert_true(n == want || (want == 8 && n == 2));
            one_mind = n == want;
            for (unsigned i = 1; i < n; i++)
                one_mind = one_mind && says[who[i]] == says[who[0]];
            fault = says[who[0]] == AUDIT_MISMATCH;
            (void)round_of(w, &c, &id, says);
            asked += n;
            want *= 2;
        }
        all_asked += asked == 9;
        agreed += one_mind && asked > 1;
        assert_true(one_mind || asked == 9);
        assert_int_equal(world_settled(w, &id), one_mind && fault ? SETTLEMENT_FORFEITED : SETTLEMENT_PAID);
    }
    assert_true(all_asked > 0 && agreed > 0);
    world_free(w);
}

/* Two auditors who differ: a tie is no fault, else the larger stake decides. */
static void stake_decides_in_the_end(void **state)
{
    (void)state;
    for (uint64_t last = 1; last <= 3; last += 2) { /* 4 has as much as 3, or three times as much */
        struct world *w = market(2, last);
        struct world_channel c;
        enum audit_verdict says[16] = {AUDIT_MATCH};
        says[4] = AUDIT_MISMATCH;
        bool seen = false;
        for (unsigned tries = 0; tries < 30 && !seen; tries++) {
            struct hash id = settle(w, &c);
            unsigned who[16];
            assert_int_equal(world_settled(w, &id), SETTLEMENT_DRAWN);
            (void)drawn(w, &id, who);
            seen = who[0] == 4;
            assert_int_equal(round_of(w, &c, &id, says), 1);
            if (seen) {
                assert_int_equal(round_of(w, &c, &id, says), 1); /* 3 is all that is left */
                assert_int_equal(world_settled(w, &id), last > 1 ? SETTLEMENT_FORFEITED : SETTLEMENT_PAID);
                assert_true((bond_of(w, BOND_AUDITOR, 3) < 10 * KITH) == (last > 1));
                assert_true((bond_of(w, BOND_AUDITOR, 4) < last * 10 * KITH) == (last == 1));
            } else {
                assert_int_equal(world_settled(w, &id), SETTLEMENT_PAID);
            }
        }
        assert_true(seen);
        world_free(w);
    }
}

static void silence_goes_on_to_the_next(void **state)
{
    (void)state;
    struct world *w = market(4, 1);
    struct world_channel c;
    struct rec_settlement s;
    enum audit_verdict says[16];
    for (unsigned i = 0; i < 16; i++)
        says[i] = AUDIT_WITHHELD;
    struct hash id = settle(w, &c);
    assert_int_equal(round_of(w, &c, &id, says), 1);
    assert_int_equal(world_settled(w, &id), SETTLEMENT_DRAWN);
    w->step_ms = ledger_params(w->ledger).audit_window_ms; /* the committee of two says nothing */
    assert_int_equal(world_block(w), ERR_OK);
    w->step_ms = 1000;
    assert_int_equal(world_settled(w, &id), SETTLEMENT_DRAWN);
    assert_true(ledger_settlement(w->ledger, &id, &s) && s.round == 2);
    assert_int_equal(round_of(w, &c, &id, says), 1); /* the one who is left */
    assert_int_equal(world_settled(w, &id), SETTLEMENT_FORFEITED);
    for (unsigned i = 0; i < 4; i++)
        assert_true(bond_of(w, BOND_AUDITOR, FIRST + i) == 10 * KITH); /* silence costs no bond */
    world_free(w);
}

/* -- challenges -- */

static enum err challenge(struct world *w, unsigned who, const struct world_channel *c, const struct hash *id,
                          uint32_t index)
{
    struct buf room[2] = {{0}};
    struct tx_audit_reveal r = world_audit(w, c, id, index, AUDIT_MATCH, room);
    enum err e = WORLD_DO(w, who, TX_CHALLENGE, tx_challenge, *id, index, r.receipt, r.proof);
    buf_clear(&room[0]);
    buf_clear(&room[1]);
    return e;
}

static void a_challenge_is_decided_by_a_committee(void **state)
{
    (void)state;
    for (unsigned guilty = 0; guilty < 2; guilty++) {
        struct world *w = market(8, 1);
        struct world_channel c;
        struct rec_settlement s;
        enum audit_verdict says[16] = {AUDIT_MATCH}; /* the first auditor is lazy, or the committee says so too */
        uint64_t bond = ledger_params(w->ledger).challenge_bond.mote;
        struct hash id = settle(w, &c);
        assert_int_equal(challenge(w, PROVIDER, &c, &id, 0), ERR_AUTH);
        struct buf room[2] = {{0}};
        struct tx_audit_reveal r = world_audit(w, &c, &id, 0, AUDIT_MATCH, room);
        assert_int_equal(WORLD_DO(w, 14, TX_CHALLENGE, tx_challenge, id, 1, r.receipt, r.proof), ERR_RANGE);
        r.proof.n = 0;
        r.receipt.n--;
        assert_int_equal(WORLD_DO(w, 14, TX_CHALLENGE, tx_challenge, id, 0, r.receipt, r.proof), ERR_FORMAT);
        buf_clear(&room[0]);
        buf_clear(&room[1]);
        uint64_t before = world_balance(w, 14);
        assert_int_equal(challenge(w, 14, &c, &id, 0), ERR_OK);
        assert_true(world_balance(w, 14) < before - bond);
        const struct ledger_event *e = world_event(w, LEDGER_CHALLENGED, 0);
        assert_true(e && key_number(w, &e->a) == 14 && e->amount.mote == bond);
        assert_int_equal(challenge(w, 13, &c, &id, 0), ERR_DUPLICATE);
        assert_int_equal(round_of(w, &c, &id, says), 1); /* the drawn one goes first */
        assert_true(ledger_settlement(w->ledger, &id, &s) && s.round == 1 && s.disputed == 0);
        for (unsigned i = 0; i < 16 && guilty; i++)
            says[i] = AUDIT_MISMATCH;
        before = world_balance(w, 14);
        uint64_t burned = ledger_totals(w->ledger).burned.mote;
        assert_int_equal(round_of(w, &c, &id, says), 2);
        assert_int_equal(world_settled(w, &id), guilty ? SETTLEMENT_FORFEITED : SETTLEMENT_PAID);
        assert_true(world_balance(w, 14) == before + (guilty ? bond : 0));
        assert_true(ledger_totals(w->ledger).burned.mote > burned);
        assert_int_equal(challenge(w, 14, &c, &id, 0), ERR_STATE);
        world_free(w);
    }
}

/* A provider that challenges one of its good receipts keeps the drawn auditor from nothing. */
static void a_challenge_shields_nobody(void **state)
{
    (void)state;
    struct world *w = market(8, 1);
    struct world_channel c;
    struct rec_settlement s;
    struct buf room[2] = {{0}};
    uint64_t bond = ledger_params(w->ledger).challenge_bond.mote;
    assert_int_equal(world_open(w, &c, PAYER, PROVIDER, 7, 1000 * KITH), ERR_OK);
    world_job(&c, 50 * KITH);
    world_job(&c, 50 * KITH);
    assert_int_equal(world_settle(w, &c), ERR_OK);
    struct hash id = w->last_id;
    assert_int_equal(world_settled(w, &id), SETTLEMENT_DRAWN);
    assert_true(ledger_settlement(w->ledger, &id, &s));
    struct audit_draw d = settlement_audit_at(&s, 0);
    assert_int_equal(challenge(w, 14, &c, &id, 1 - d.index), ERR_OK); /* the other receipt */
    uint64_t challenger = world_balance(w, 14);
    for (unsigned round = 0; round < 2; round++) {
        unsigned who[16], n;
        assert_int_equal(world_settled(w, &id), SETTLEMENT_DRAWN);
        n = drawn(w, &id, who);
        assert_int_equal(n, round + 1);
        for (unsigned i = 0; i < 2 * n; i++) {
            struct tx_audit_reveal r = world_audit(w, &c, &id, d.index, AUDIT_MISMATCH, room);
            assert_int_equal(i < n ? world_commit(w, who[i], &r) : world_reveal(w, who[i - n], &r), ERR_OK);
        }
    }
    assert_int_equal(world_settled(w, &id), SETTLEMENT_FORFEITED);
    assert_true(world_balance(w, 14) == challenger + bond); /* not looked into: returned */
    buf_clear(&room[0]);
    buf_clear(&room[1]);
    world_free(w);
}

/* The drawn auditor lies about one receipt, somebody challenges the other, which is bad: first the one is cleared, then
 * the other found. */
static void a_challenge_outlasts_a_false_alarm(void **state)
{
    (void)state;
    struct world *w = market(11, 1);
    struct world_channel c;
    struct rec_settlement s;
    struct buf room[2] = {{0}};
    uint64_t bond = ledger_params(w->ledger).challenge_bond.mote;
    assert_int_equal(world_open(w, &c, PAYER, PROVIDER, 7, 1000 * KITH), ERR_OK);
    world_job(&c, 50 * KITH);
    world_job(&c, 50 * KITH);
    assert_int_equal(world_settle(w, &c), ERR_OK);
    struct hash id = w->last_id;
    assert_int_equal(world_settled(w, &id), SETTLEMENT_DRAWN);
    assert_true(ledger_settlement(w->ledger, &id, &s));
    uint32_t good = settlement_audit_at(&s, 0).index, bad = 1 - good;
    assert_int_equal(challenge(w, 14, &c, &id, bad), ERR_OK);
    uint64_t challenger = world_balance(w, 14);
    for (unsigned round = 0; round < 3; round++) {
        unsigned who[16], n;
        assert_int_equal(world_settled(w, &id), SETTLEMENT_DRAWN);
        n = drawn(w, &id, who);
        assert_int_equal(n, round ? 2 : 1);
        enum audit_verdict says = round == 1 ? AUDIT_MATCH : AUDIT_MISMATCH;
        for (unsigned i = 0; i < 2 * n; i++) {
            struct tx_audit_reveal r = world_audit(w, &c, &id, round < 2 ? good : bad, says, room);
            assert_int_equal(i < n ? world_commit(w, who[i], &r) : world_reveal(w, who[i - n], &r), ERR_OK);
        }
    }
    assert_int_equal(world_settled(w, &id), SETTLEMENT_FORFEITED);
    assert_true(world_balance(w, 14) == challenger + bond);
    buf_clear(&room[0]);
    buf_clear(&room[1]);
    world_free(w);
}

/* All who were drawn in the present round say this of a receipt. */
static void round_says(struct world *w, const struct world_channel *c, const struct hash *id, uint32_t index,
                       enum audit_verdict verdict)
{
    unsigned who[16], n;
    struct buf room[2] = {{0}};
    assert_int_equal(world_settled(w, id), SETTLEMENT_DRAWN);
    n = drawn(w, id, who);
    for (unsigned i = 0; i < 2 * n; i++) {
        struct tx_audit_reveal r = world_audit(w, c, id, index, verdict, room);
        assert_int_equal(i < n ? world_commit(w, who[i], &r) : world_reveal(w, who[i - n], &r), ERR_OK);
    }
    buf_clear(&room[0]);
    buf_clear(&room[1]);
}

/* Two receipts are drawn, and both auditors find a fault. That the first was wrong says nothing of the second. */
static void a_false_alarm_shields_nobody(void **state)
{
    (void)state;
    struct params params = params_private();
    params.audits_per_settlement = 2;
    struct world *w = market_of(world_new(&params), 11, 1);
    struct world_channel c;
    struct rec_settlement s;
    struct buf room[2] = {{0}};
    assert_int_equal(world_open(w, &c, PAYER, PROVIDER, 7, 1000 * KITH), ERR_OK);
    world_job(&c, 50 * KITH);
    world_job(&c, 50 * KITH);
    assert_int_equal(world_settle(w, &c), ERR_OK);
    struct hash id = w->last_id;
    uint64_t payer = world_balance(w, PAYER);
    assert_int_equal(world_settled(w, &id), SETTLEMENT_DRAWN);
    assert_true(ledger_settlement(w->ledger, &id, &s));
    struct audit_draw d[2] = {settlement_audit_at(&s, 0), settlement_audit_at(&s, 1)};
    for (unsigned i = 0; i < 4; i++) {
        unsigned who = key_number(w, &d[i % 2].auditor);
        struct tx_audit_reveal r = world_audit(w, &c, &id, d[i % 2].index, AUDIT_MISMATCH, room);
        assert_int_equal(i < 2 ? world_commit(w, who, &r) : world_reveal(w, who, &r), ERR_OK);
    }
    round_says(w, &c, &id, d[0].index, AUDIT_MATCH);
    round_says(w, &c, &id, d[1].index, AUDIT_MISMATCH);
    assert_int_equal(world_settled(w, &id), SETTLEMENT_FORFEITED);
    assert_true(world_balance(w, PAYER) == payer + 100 * KITH);
    assert_true(bond_of(w, BOND_AUDITOR, key_number(w, &d[0].auditor)) == 9 * KITH);
    assert_true(bond_of(w, BOND_AUDITOR, key_number(w, &d[1].auditor)) == 10 * KITH);
    buf_clear(&room[0]);
    buf_clear(&room[1]);
    world_free(w);
}

/* A challenge that copies what a drawn auditor is about to reveal takes nothing from him. */
static void a_challenge_takes_no_finders_part(void **state)
{
    (void)state;
    struct world *w = market(11, 1);
    struct world_channel c;
    struct rec_settlement s;
    struct buf room[2] = {{0}};
    for (unsigned time = 0; time < 2; time++) {
        struct hash id = settle(w, &c);
        assert_int_equal(world_settled(w, &id), SETTLEMENT_DRAWN);
        assert_true(ledger_settlement(w->ledger, &id, &s));
        struct audit_draw d = settlement_audit_at(&s, 0);
        unsigned finder = key_number(w, &d.auditor);
        struct tx_audit_reveal r = world_audit(w, &c, &id, 0, AUDIT_MISMATCH, room);
        assert_int_equal(world_commit(w, finder, &r), ERR_OK);
        uint64_t copier = world_balance(w, 14);
        struct tx_challenge copy = {id, 0, r.receipt, r.proof};
        tx_challenge_put(world_body(w), &copy);
        assert_int_equal(world_do(w, 14, TX_CHALLENGE, bytes_of_buf(&w->body)), ERR_OK);
        assert_int_equal(world_reveal(w, finder, &r), ERR_OK);
        round_says(w, &c, &id, 0, AUDIT_MISMATCH);
        assert_int_equal(world_settled(w, &id), SETTLEMENT_FORFEITED);
        assert_true(world_balance(w, 14) < copier); /* the bond is back, the fee is not */
        bool found = false;
        for (unsigned i = 0; world_event(w, LEDGER_PAYOUT, i); i++)
            found |= key_number(w, &world_event(w, LEDGER_PAYOUT, i)->a) == finder &&
                     world_event(w, LEDGER_PAYOUT, i)->amount.mote > 9 * KITH;
        assert_true(found == (time == 1)); /* a part of the slashed bond */
    }
    buf_clear(&room[0]);
    buf_clear(&room[1]);
    world_free(w);
}

/* What the committees' work costs may be more than there is money. */
static void work_costs_at_most_the_stake(void **state)
{
    (void)state;
    struct params params = params_private();
    const uint64_t fund = UINT64_MAX / 16;
    params.audit_bps = 4900; /* the most that burn and royalty leave */
    struct world *w = market_of(world_new_rich(&params, fund), 8, 1);
    struct world_channel c;
    for (unsigned i = 11; i < WORLD_KEYS; i++)
        assert_int_equal(WORLD_DO(w, i, TX_TRANSFER, tx_transfer, w->key[PAYER], amount_of(fund - 20 * KITH), {0}),
                         ERR_OK);
    for (unsigned i = FIRST; i < 11; i++)
        assert_int_equal(WORLD_DO(w, i, TX_TRANSFER, tx_transfer, w->key[PAYER], amount_of(fund - 20 * KITH), {0}),
                         ERR_OK);
    assert_int_equal(world_open(w, &c, PAYER, PROVIDER, 7, fund * 14 - 1000 * KITH), ERR_OK);
    world_job(&c, fund * 13);
    assert_int_equal(world_settle(w, &c), ERR_OK);
    struct hash id = w->last_id;
    for (unsigned round = 0; round < 2; round++)
        round_says(w, &c, &id, 0, AUDIT_MISMATCH);
    assert_int_equal(world_settled(w, &id), SETTLEMENT_FORFEITED);
    assert_true(bond_of(w, BOND_PROVIDER, PROVIDER) == 0);
    world_free(w);
}

/* All at the last moment: who is drawn commits, and reveals, in the last block that takes it. */
static unsigned slow_round(struct world *w, const struct world_channel *c, const struct hash *id,
                           const enum audit_verdict says[16])
{
    struct params p = ledger_params(w->ledger);
    unsigned who[16], n;
    struct buf room[2] = {{0}};
    assert_int_equal(world_settled(w, id), SETTLEMENT_DRAWN);
    n = drawn(w, id, who);
    for (unsigned step = 0; step < 2; step++) {
        w->step_ms = (step ? p.audit_reveal_ms : p.audit_window_ms) - 1;
        for (unsigned i = 0; i < n; i++) {
            struct tx_audit_reveal r = world_audit(w, c, id, 0, says[who[i]], room);
            assert_int_equal(step ? world_reveal(w, who[i], &r) : world_commit(w, who[i], &r), ERR_OK);
            w->step_ms = 0;
        }
    }
    w->step_ms = 1000;
    buf_clear(&room[0]);
    buf_clear(&room[1]);
    return n;
}

/* A bond that is withdrawn right behind the settlement still answers when the largest committee has been heard. */
static void a_withdrawn_bond_outlasts_the_committees(void **state)
{
    (void)state;
    struct world *w = market(15 - FIRST, 1);
    struct world_channel c;
    enum audit_verdict says[16];
    struct hash id = settle(w, &c);
    assert_int_equal(WORLD_DO(w, PROVIDER, TX_UNBOND, tx_unbond, BOND_PROVIDER, amount_of(100 * KITH)), ERR_OK);
    uint64_t owner = world_balance(w, PROVIDER);
    for (unsigned round = 0, asked = 1; asked; round++) { /* each committee but the last is divided */
        unsigned who[16], n;
        enum settlement_state at = world_settled(w, &id);
        if (at != SETTLEMENT_DRAWN) {
            assert_int_equal(at, SETTLEMENT_FORFEITED);
            assert_true(round > 2);
            break;
        }
        n = drawn(w, &id, who);
        for (unsigned i = 0; i < n; i++)
            says[who[i]] = i == 1 ? AUDIT_MATCH : AUDIT_MISMATCH;
        asked = slow_round(w, &c, &id, says);
    }
    world_wait(w, ledger_params(w->ledger).unbonding_ms);
    uint64_t back = world_balance(w, PROVIDER) - owner;
    assert_true(back > 0 && back < 95 * KITH); /* the committees' work is paid out of it */
    world_free(w);
}

static void nobody_to_look_into_it(void **state)
{
    (void)state;
    struct world *w = market(0, 1);
    struct world_channel c;
    struct hash id = settle(w, &c);
    assert_int_equal(challenge(w, 14, &c, &id, 0), ERR_OK);
    uint64_t before = world_balance(w, 14);
    assert_int_equal(world_settled(w, &id), SETTLEMENT_PAID);
    assert_true(world_balance(w, 14) == before + ledger_params(w->ledger).challenge_bond.mote);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_more_confirm_it),
        cmocka_unit_test(a_lying_auditor_pays),
        cmocka_unit_test(everyone_is_asked_in_the_end),
        cmocka_unit_test(stake_decides_in_the_end),
        cmocka_unit_test(silence_goes_on_to_the_next),
        cmocka_unit_test(a_challenge_is_decided_by_a_committee),
        cmocka_unit_test(a_challenge_shields_nobody),
        cmocka_unit_test(a_challenge_outlasts_a_false_alarm),
        cmocka_unit_test(nobody_to_look_into_it),
        cmocka_unit_test(a_false_alarm_shields_nobody),
        cmocka_unit_test(a_challenge_takes_no_finders_part),
        cmocka_unit_test(work_costs_at_most_the_stake),
        cmocka_unit_test(a_withdrawn_bond_outlasts_the_committees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
