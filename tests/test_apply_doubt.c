/* Doubts: a witness that no replay gave costs the auditor, a wrong doubt its bond, and nothing else moves. */
#include "base/limits.h"
#include "tests/support.h"
#include "tests/world.h"

#include <string.h>

#define KITH MOTE_PER_KITH

enum { PUBLISHER = 1, PROVIDER = 2, PAYER = 3, STRANGER = 4, FIRST = 5 };

#define TRUTH 88 /* the root that world_audit has for a witness */

static struct world *market_of(const struct params *params, unsigned auditors)
{
    struct world *w = world_new(params);
    assert_int_equal(WORLD_DO(w, PROVIDER, TX_BOND, tx_bond, BOND_PROVIDER, amount_of(100 * KITH)), ERR_OK);
    assert_int_equal(world_publish(w, PUBLISHER, 7, 0, 0, NULL, 0), ERR_OK);
    assert_int_equal(world_provide(w, PROVIDER, PROVIDER, 7, false), ERR_OK);
    for (unsigned who = FIRST; who < FIRST + auditors; who++) {
        assert_int_equal(WORLD_DO(w, who, TX_BOND, tx_bond, BOND_AUDITOR, amount_of(20 * KITH)), ERR_OK);
        assert_int_equal(world_provide(w, who, who, 7, true), ERR_OK);
    }
    return w;
}

static struct world *market(unsigned auditors)
{
    return market_of(NULL, auditors);
}

static unsigned who_is(const struct world *w, const struct pubkey *key)
{
    unsigned i = 0;
    while (!pubkey_equal(&w->key[i], key))
        i++;
    return i;
}

/* One receipt of a KITH, settled and drawn. */
static struct hash settled(struct world *w, struct world_channel *c)
{
    assert_int_equal(world_open(w, c, PAYER, PROVIDER, 7, 10 * KITH), ERR_OK);
    world_job(c, KITH);
    assert_int_equal(world_settle(w, c), ERR_OK);
    struct hash id = w->last_id;
    assert_int_equal(world_settled(w, &id), SETTLEMENT_DRAWN);
    return id;
}

static unsigned first_auditor(const struct world *w, const struct hash *id)
{
    struct rec_settlement s;
    assert_true(ledger_settlement(w->ledger, id, &s));
    struct audit_draw d = settlement_audit_at(&s, 0);
    return who_is(w, &d.auditor);
}

/* Drawn and heard: he says match, and has this for a witness. */
static unsigned heard(struct world *w, const struct world_channel *c, const struct hash *id, uint8_t witness)
{
    struct buf room[2] = {{0}};
    unsigned who = first_auditor(w, id);
    struct tx_audit_reveal r = world_audit(w, c, id, 0, AUDIT_MATCH, room);
    r.witness = world_root(witness);
    assert_int_equal(world_verdict(w, who, &r), ERR_OK);
    buf_clear(&room[0]);
    buf_clear(&room[1]);
    return who;
}

/* A settlement that is paid, by what an auditor said. */
static struct hash paid(struct world *w, uint8_t witness, unsigned *auditor)
{
    struct world_channel c;
    struct hash id = settled(w, &c);
    *auditor = heard(w, &c, &id, witness);
    assert_int_equal(world_settled(w, &id), SETTLEMENT_PAID);
    return id;
}

static enum err doubt(struct world *w, unsigned who, const struct hash *id, unsigned auditor)
{
    return WORLD_DO(w, who, TX_DOUBT, tx_doubt, *id, 0, w->key[auditor]);
}

static struct hash doubt_id(const struct world *w, const struct hash *id, unsigned auditor)
{
    return rec_doubt_id(id, 0, &w->key[auditor]);
}

/* Empty blocks until it waits for somebody, or is over; DOUBT_STATES: it is gone. */
static enum doubt_state state_of(struct world *w, const struct hash *id)
{
    struct rec_doubt d;
    for (unsigned i = 0; i < AUDIT_DRAW_BLOCKS + 2; i++) {
        if (!ledger_doubt(w->ledger, id, &d))
            return DOUBT_STATES;
        if (d.state != DOUBT_WAITING)
            break;
        assert_int_equal(world_block(w), ERR_OK);
    }
    return (enum doubt_state)d.state;
}

/* Who was drawn in the present round. */
static unsigned committee(struct world *w, const struct hash *id, unsigned who[16])
{
    struct rec_doubt d;
    unsigned n = 0;
    assert_int_equal(state_of(w, id), DOUBT_DRAWN);
    assert_true(ledger_doubt(w->ledger, id, &d));
    for (uint32_t i = 0; i < doubt_draws(&d); i++) {
        struct doubt_draw m = doubt_draw_at(&d, i);
        if (m.round == d.round)
            who[n++] = who_is(w, &m.member);
    }
    return n;
}

/* What one finds who replays (0: he was shown nothing). */
static struct tx_doubt_reveal finding(const struct world *w, const struct hash *id, uint8_t found)
{
    struct rec_doubt d;
    struct tx_doubt_reveal r = {.doubt = *id, .salt = world_root(33), .verdict = AUDIT_WITHHELD};
    assert_true(ledger_doubt(w->ledger, id, &d));
    if (found) {
        r.witness = world_root(found);
        r.verdict = hash_equal(&r.witness, &d.witness) ? AUDIT_MATCH : AUDIT_MISMATCH;
    }
    return r;
}

static enum err commit(struct world *w, unsigned who, const struct tx_doubt_reveal *r)
{
    return WORLD_DO(w, who, TX_DOUBT_COMMIT, tx_doubt_commit, r->doubt, tx_doubt_commitment(r, &w->key[who]));
}

static enum err reveal(struct world *w, unsigned who, const struct tx_doubt_reveal *r)
{
    tx_doubt_reveal_put(world_body(w), r);
    return world_do(w, who, TX_DOUBT_REVEAL, bytes_of_buf(&w->body));
}

/* A whole round: the n-th drawn finds found[n], the last of them all that are left. Returns how many were drawn. */
static unsigned round_of(struct world *w, const struct hash *id, const char *found)
{
    unsigned who[16], n = committee(w, id, who), last = (unsigned)strlen(found) - 1;
    struct tx_doubt_reveal r[16];
    for (unsigned i = 0; i < n; i++) {
        char f = found[i < last ? i : last];
        r[i] = finding(w, id, f == '-' ? 0 : f == 'T' ? TRUTH : (uint8_t)f);
        assert_int_equal(commit(w, who[i], &r[i]), ERR_OK);
    }
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(reveal(w, who[i], &r[i]), ERR_OK);
    return n;
}

static uint64_t stake(const struct world *w, unsigned who)
{
    return ledger_bond(w->ledger, BOND_AUDITOR, &w->key[who]).mote;
}

static uint64_t bond_of(const struct world *w)
{
    return ledger_params(w->ledger).challenge_bond.mote;
}

/* -- */

static void a_made_up_witness_costs(void **state)
{
    (void)state;
    struct world *w = market(4);
    struct world_channel c;
    struct rec_settlement s;
    struct rec_fault fault;
    unsigned who[16];
    struct hash id = settled(w, &c);
    unsigned lazy = heard(w, &c, &id, 44);
    struct hash d = doubt_id(w, &id, lazy);
    uint64_t doubter = world_balance(w, STRANGER);
    assert_int_equal(doubt(w, STRANGER, &id, lazy), ERR_OK);
    const struct ledger_event *e = world_event(w, LEDGER_DOUBTED, 0);
    assert_true(e && hash_equal(&e->id, &d) && hash_equal(&e->other, &id) && e->amount.mote == bond_of(w));
    assert_true(pubkey_equal(&e->a, &w->key[STRANGER]) && pubkey_equal(&e->b, &w->key[lazy]));
    uint64_t fee = doubter - bond_of(w) - world_balance(w, STRANGER);
    assert_int_equal(committee(w, &d, who), 2);
    uint64_t member = world_balance(w, who[0]), burned = ledger_totals(w->ledger).burned.mote;
    assert_int_equal(round_of(w, &d, "T"), 2);
    assert_int_equal(state_of(w, &d), DOUBT_RIGHT);

    /* The committee's pay, a hundredth of the amount each, then a tenth of his stake: a fifth of that would be the
     * doubter's, but no more than his bond was. */
    uint64_t left = 20 * KITH - 2 * KITH / 100, taken = left / 10;
    assert_true(stake(w, lazy) == left - taken);
    assert_true(world_balance(w, STRANGER) == doubter - fee + bond_of(w));
    assert_true(world_balance(w, who[0]) < member + KITH / 100 && world_balance(w, who[0]) > member);
    assert_true(ledger_totals(w->ledger).burned.mote >= burned + taken - bond_of(w));
    e = world_event(w, LEDGER_DOUBT_OVER, 0);
    assert_true(e && e->code == DOUBT_RIGHT && e->amount.mote == 2 * bond_of(w));
    e = world_event(w, LEDGER_SLASHED, 0);
    assert_true(e && e->code == BOND_AUDITOR && e->amount.mote == taken && !world_event(w, LEDGER_SLASHED, 1));
    assert_true(ledger_fault(w->ledger, &w->key[lazy], &fault) && fault.witnesses == 1 && fault.mismatches == 0);

    /* The settlement stays as it was, and neither a plant nor a doubt makes him pay twice. */
    assert_true(ledger_settlement(w->ledger, &id, &s) && s.state == SETTLEMENT_PAID);
    assert_int_equal(settlement_audit_at(&s, 0).verdict, AUDIT_CAUGHT);
    assert_true(ledger_bond(w->ledger, BOND_PROVIDER, &w->key[PROVIDER]).mote == 100 * KITH);
    struct buf room[2] = {{0}};
    struct tx_plant p = world_plant(w, &c, &id, 0, room);
    tx_plant_put(world_body(w), &p);
    assert_int_equal(world_do(w, PAYER, TX_PLANT, bytes_of_buf(&w->body)), ERR_STATE);
    assert_int_equal(doubt(w, STRANGER, &id, lazy), ERR_STATE);
    buf_clear(&room[0]);
    buf_clear(&room[1]);
    world_free(w);
}

static void the_second_within_the_window_costs_half(void **state)
{
    (void)state;
    for (unsigned late = 0; late < 2; late++) {
        struct params p = params_private();
        p.keep_ms = p.fault_window_ms + 600000;
        p.unbonding_ms += p.fault_window_ms;
        struct world *w = market_of(&p, 4);
        unsigned lazy[2], n = 0;
        struct hash id[2];
        id[0] = paid(w, 44, &lazy[0]);
        do { /* until the same one is drawn again, and does the same */
            id[1] = paid(w, 44, &lazy[1]);
            assert_true(++n < 60);
        } while (lazy[1] != lazy[0]);
        for (unsigned i = 0; i < 2; i++) {
            struct hash d = doubt_id(w, &id[i], lazy[0]);
            uint64_t before = stake(w, lazy[0]);
            if (i && late)
                world_wait(w, p.fault_window_ms);
            assert_int_equal(doubt(w, PAYER, &id[i], lazy[0]), ERR_OK);
            (void)round_of(w, &d, "T");
            uint64_t left = before - 2 * KITH / 100, part = i && !late ? 2 : 10;
            assert_true(stake(w, lazy[0]) == left - left / part);
        }
        world_free(w);
    }
}

static void a_wrong_doubt_costs_its_bond(void **state)
{
    (void)state;
    struct world *w = market(4);
    struct rec_settlement s;
    struct rec_doubt rec;
    unsigned honest, who[16];
    struct hash id = paid(w, TRUTH, &honest), d = doubt_id(w, &id, honest);
    uint64_t doubter = world_balance(w, PAYER);
    assert_int_equal(doubt(w, PAYER, &id, honest), ERR_OK);
    assert_int_equal(doubt(w, STRANGER, &id, honest), ERR_DUPLICATE);
    assert_int_equal(committee(w, &d, who), 2);
    uint64_t burned = ledger_totals(w->ledger).burned.mote, member = world_balance(w, who[1]);
    assert_int_equal(round_of(w, &d, "T"), 2);
    assert_int_equal(state_of(w, &d), DOUBT_WRONG);
    assert_true(stake(w, honest) == 20 * KITH && world_balance(w, PAYER) < doubter - bond_of(w));
    assert_true(world_balance(w, who[1]) > member && world_balance(w, who[1]) < member + KITH / 100);
    assert_true(ledger_totals(w->ledger).burned.mote >= burned + bond_of(w) - 2 * KITH / 100);
    assert_null(world_event(w, LEDGER_SLASHED, 0));
    assert_true(ledger_settlement(w->ledger, &id, &s) && s.state == SETTLEMENT_PAID);
    assert_int_equal(settlement_audit_at(&s, 0).verdict, AUDIT_MATCH);
    assert_int_equal(doubt(w, STRANGER, &id, honest), ERR_DUPLICATE); /* once */
    world_wait(w, ledger_params(w->ledger).keep_ms);
    assert_int_equal(doubt(w, STRANGER, &id, honest), ERR_NOT_FOUND);
    world_wait(w, ledger_params(w->ledger).keep_ms);
    assert_false(ledger_doubt(w->ledger, &d, &rec));
    world_free(w);
}

/* Nobody gains by saying so, and the auditor's friend does not use up the place. */
static void who_shows_nothing_loses_his_bond(void **state)
{
    (void)state;
    struct world *w = market(4);
    unsigned lazy, who[16];
    struct hash id = paid(w, 44, &lazy), d = doubt_id(w, &id, lazy);
    assert_int_equal(doubt(w, PAYER, &id, lazy), ERR_OK);
    assert_int_equal(committee(w, &d, who), 2);
    uint64_t burned = ledger_totals(w->ledger).burned.mote, member = world_balance(w, who[0]);
    assert_int_equal(round_of(w, &d, "-"), 2);
    const struct ledger_event *e = world_event(w, LEDGER_DOUBT_OVER, 0);
    assert_true(e && e->code == DOUBT_WITHHELD && e->amount.mote == 0);
    assert_true(ledger_totals(w->ledger).burned.mote >= burned + bond_of(w) && world_balance(w, who[0]) < member);
    assert_true(stake(w, lazy) == 20 * KITH && !world_event(w, LEDGER_SLASHED, 0));
    assert_int_equal(state_of(w, &d), DOUBT_STATES);
    assert_int_equal(doubt(w, STRANGER, &id, lazy), ERR_OK);
    (void)round_of(w, &d, "T");
    assert_int_equal(state_of(w, &d), DOUBT_RIGHT);
    world_free(w);
}

/* Divided committees: the next is twice the size, of others; who was wrong pays, but not who was shown nothing. */
static void the_losers_pay_but_not_for_silence(void **state)
{
    (void)state;
    struct world *w = market(9);
    struct rec_doubt rec;
    unsigned lazy, first[16], second[16];
    struct hash id = paid(w, 44, &lazy), d = doubt_id(w, &id, lazy);
    assert_int_equal(doubt(w, PAYER, &id, lazy), ERR_OK);
    assert_int_equal(committee(w, &d, first), 2);
    assert_int_equal(round_of(w, &d, "-T"), 2);
    assert_int_equal(committee(w, &d, second), 4);
    for (unsigned i = 0; i < 4; i++)
        assert_true(second[i] != first[0] && second[i] != first[1] && second[i] != lazy);
    /* One made something up, one took the doubted auditor's word, two looked. */
    assert_int_equal(round_of(w, &d, "\x21\x2cTT"), 4);
    unsigned last[16];
    assert_int_equal(committee(w, &d, last), 2); /* all that are left, for a committee of eight */
    assert_int_equal(round_of(w, &d, "T"), 2);
    assert_int_equal(state_of(w, &d), DOUBT_RIGHT);
    assert_true(stake(w, first[0]) == 20 * KITH && stake(w, first[1]) == 20 * KITH);
    assert_true(stake(w, second[0]) == 18 * KITH && stake(w, second[1]) == 18 * KITH);
    assert_true(stake(w, second[2]) == 20 * KITH && stake(w, last[1]) == 20 * KITH && stake(w, lazy) < 18 * KITH);
    assert_true(ledger_doubt(w->ledger, &d, &rec) && doubt_draws(&rec) == 8);
    world_free(w);
}

/* Two who make up different witnesses against an honest auditor convince nobody. */
static void what_differs_must_be_the_same(void **state)
{
    (void)state;
    struct world *w = market(3);
    unsigned honest;
    struct hash id = paid(w, TRUTH, &honest), d = doubt_id(w, &id, honest);
    uint64_t before = world_balance(w, PAYER);
    assert_int_equal(doubt(w, PAYER, &id, honest), ERR_OK);
    uint64_t paid_fee = before - bond_of(w) - world_balance(w, PAYER);
    assert_int_equal(round_of(w, &d, "\x21\x22"), 2);
    assert_int_equal(state_of(w, &d), DOUBT_UNDECIDED); /* nobody else audits */
    assert_true(world_balance(w, PAYER) == before - paid_fee);
    for (unsigned who = FIRST; who < FIRST + 3; who++)
        assert_true(stake(w, who) == 20 * KITH);
    assert_int_equal(doubt(w, STRANGER, &id, honest), ERR_DUPLICATE);
    world_free(w);
}

static void nobody_to_ask_gives_the_bond_back(void **state)
{
    (void)state;
    for (unsigned silent = 0; silent < 2; silent++) {
        struct world *w = market(silent ? 3 : 1);
        unsigned lazy, who[16];
        struct hash id = paid(w, 44, &lazy), d = doubt_id(w, &id, lazy);
        uint64_t before = world_balance(w, PAYER);
        assert_int_equal(doubt(w, PAYER, &id, lazy), ERR_OK);
        uint64_t fee = before - bond_of(w) - world_balance(w, PAYER);
        if (silent) {
            assert_int_equal(committee(w, &d, who), 2);
            world_wait(w, ledger_params(w->ledger).audit_window_ms + 1000);
        }
        assert_int_equal(state_of(w, &d), DOUBT_STATES);
        assert_true(world_balance(w, PAYER) == before - fee && stake(w, lazy) == 20 * KITH);
        world_free(w);
    }
}

static void what_cannot_be_doubted(void **state)
{
    (void)state;
    struct world *w = market(4);
    struct world_channel c;
    struct buf room[2] = {{0}};
    unsigned who[16];
    struct hash none = world_root(1), id = settled(w, &c);
    unsigned first = first_auditor(w, &id), poor = 15;
    assert_int_equal(doubt(w, PAYER, &none, first), ERR_NOT_FOUND);
    assert_int_equal(doubt(w, PAYER, &id, first), ERR_STATE); /* it is not over */
    (void)heard(w, &c, &id, TRUTH);
    assert_int_equal(doubt(w, first, &id, first), ERR_AUTH);
    assert_int_equal(doubt(w, PAYER, &id, first == FIRST ? FIRST + 1 : FIRST), ERR_NOT_FOUND); /* not drawn */
    assert_int_equal(WORLD_DO(w, PAYER, TX_DOUBT, tx_doubt, id, 1, w->key[first]), ERR_NOT_FOUND);
    uint64_t rest = world_balance(w, poor) - bond_of(w);
    assert_int_equal(WORLD_DO(w, poor, TX_TRANSFER, tx_transfer, w->key[0], amount_of(rest), {0}), ERR_OK);
    assert_int_equal(doubt(w, poor, &id, first), ERR_FUNDS);

    struct hash d = doubt_id(w, &id, first);
    assert_int_equal(doubt(w, PAYER, &id, first), ERR_OK);
    struct tx_doubt_reveal r = finding(w, &d, TRUTH);
    assert_int_equal(commit(w, FIRST, &r), ERR_STATE); /* not drawn yet */
    assert_int_equal(committee(w, &d, who), 2);
    struct tx_doubt_reveal other = {.doubt = none};
    assert_int_equal(commit(w, who[0], &other), ERR_NOT_FOUND);
    assert_int_equal(commit(w, STRANGER, &r), ERR_AUTH);
    assert_int_equal(commit(w, first, &r), ERR_AUTH);
    assert_int_equal(reveal(w, who[0], &r), ERR_STATE);
    assert_int_equal(WORLD_DO(w, who[0], TX_DOUBT_COMMIT, tx_doubt_commit, d, {{0}}), ERR_FORMAT);
    assert_int_equal(commit(w, who[0], &r), ERR_OK);
    assert_int_equal(commit(w, who[0], &r), ERR_DUPLICATE);
    assert_int_equal(commit(w, who[1], &r), ERR_OK);
    other = r;
    other.salt = none;
    assert_int_equal(reveal(w, who[0], &other), ERR_MISMATCH);
    other = r;
    other.verdict = AUDIT_VERDICTS;
    assert_int_equal(reveal(w, who[0], &other), ERR_FORMAT);
    for (other = r, other.verdict = AUDIT_MISMATCH; other.verdict <= AUDIT_WITHHELD; other.verdict++)
        assert_int_equal(reveal(w, who[0], &other), ERR_FORMAT); /* which this witness does not say */
    assert_int_equal(reveal(w, STRANGER, &r), ERR_AUTH);
    assert_int_equal(reveal(w, who[0], &r), ERR_OK);
    assert_int_equal(reveal(w, who[0], &r), ERR_DUPLICATE);
    assert_int_equal(reveal(w, who[1], &r), ERR_OK);
    buf_clear(&room[0]);
    buf_clear(&room[1]);
    world_free(w);
}

/* What others revealed is of no use: a commitment is to this witness under this salt. */
static void a_witness_is_committed_to(void **state)
{
    (void)state;
    struct world *w = market(3);
    struct world_channel c;
    struct buf room[2] = {{0}};
    struct hash id = settled(w, &c);
    unsigned first = first_auditor(w, &id);
    struct tx_audit_reveal r = world_audit(w, &c, &id, 0, AUDIT_MATCH, room), other = r;
    assert_int_equal(world_commit(w, first, &r), ERR_OK);
    other.witness = world_root(TRUTH + 1);
    assert_int_equal(world_reveal(w, first, &other), ERR_MISMATCH);
    other = r;
    other.salt = world_root(1);
    assert_int_equal(world_reveal(w, first, &other), ERR_MISMATCH);
    assert_int_equal(world_reveal(w, first, &r), ERR_OK);
    buf_clear(&room[0]);
    buf_clear(&room[1]);
    world_free(w);
}

/* Without a replay there is no witness: silence and "withheld" cannot be doubted; a match without one is refused. */
static void a_verdict_without_a_replay(void **state)
{
    (void)state;
    struct world *w = market(3);
    struct world_channel c;
    struct buf room[2] = {{0}};
    struct hash id = settled(w, &c);
    unsigned first = first_auditor(w, &id), who[16];
    struct tx_audit_reveal r = world_audit(w, &c, &id, 0, AUDIT_WITHHELD, room);
    r.witness = world_root(1);
    assert_int_equal(world_commit(w, first, &r), ERR_OK);
    assert_int_equal(world_reveal(w, first, &r), ERR_FORMAT);
    world_wait(w, ledger_params(w->ledger).audit_reveal_ms + 1000);
    assert_int_equal(world_settled(w, &id), SETTLEMENT_PAID); /* he said nothing that counts */
    assert_int_equal(doubt(w, PAYER, &id, first), ERR_STATE);
    id = settled(w, &c);
    first = first_auditor(w, &id);
    r = world_audit(w, &c, &id, 0, AUDIT_MATCH, room);
    r.witness = (struct hash){{0}};
    assert_int_equal(world_commit(w, first, &r), ERR_OK);
    assert_int_equal(world_reveal(w, first, &r), ERR_FORMAT);
    /* A mismatch may be of what the model itself refuses, so none is needed; but it can be doubted. */
    id = settled(w, &c);
    first = first_auditor(w, &id);
    r = world_audit(w, &c, &id, 0, AUDIT_MISMATCH, room);
    r.witness = (struct hash){{0}};
    assert_int_equal(world_verdict(w, first, &r), ERR_OK);
    for (unsigned k = FIRST; k < FIRST + 3; k++)
        if (k != first) {
            struct rec_settlement s;
            assert_int_equal(world_settled(w, &id), SETTLEMENT_DRAWN);
            assert_true(ledger_settlement(w->ledger, &id, &s) && s.round == 1);
            assert_int_equal(world_commit(w, k, &r), ERR_OK);
        }
    for (unsigned k = FIRST; k < FIRST + 3; k++)
        if (k != first)
            assert_int_equal(world_reveal(w, k, &r), ERR_OK);
    assert_int_equal(world_settled(w, &id), SETTLEMENT_FORFEITED);
    struct hash d = doubt_id(w, &id, first);
    assert_int_equal(doubt(w, STRANGER, &id, first), ERR_OK);
    assert_int_equal(committee(w, &d, who), 2);
    (void)round_of(w, &d, "T");
    assert_int_equal(state_of(w, &d), DOUBT_RIGHT);
    buf_clear(&room[0]);
    buf_clear(&room[1]);
    world_free(w);
}

/* Neither doubter nor doubted, payer nor provider, nor whoever owns their nodes, is ever in a committee. */
static void no_party_is_asked(void **state)
{
    (void)state;
    struct world *w = market(6);
    unsigned honest, who[16];
    assert_int_equal(WORLD_DO(w, FIRST, TX_BOND, tx_bond, BOND_PROVIDER, amount_of(KITH)), ERR_OK);
    assert_int_equal(world_provide(w, FIRST, STRANGER, 7, false), ERR_OK); /* one of them has a node besides */
    for (unsigned n = 0; n < 12; n++) {
        struct hash id = paid(w, TRUTH, &honest), d = doubt_id(w, &id, honest);
        unsigned doubter = honest == FIRST ? PAYER : n % 2 ? STRANGER : FIRST;
        assert_int_equal(doubt(w, doubter, &id, honest), ERR_OK);
        assert_int_equal(committee(w, &d, who), 2);
        for (unsigned i = 0; i < 2; i++)
            assert_true(who[i] != honest && who[i] > FIRST);
        (void)round_of(w, &d, "T");
    }
    world_free(w);
}

/* While mismatches are too many to be fraud nobody is slashed: he pays the committee alone, and nothing is held against
 * him. Doubts themselves bring no pause about. */
static void a_pause_protects_him(void **state)
{
    (void)state;
    for (unsigned paused = 0; paused < 2; paused++) {
        struct world *w = market(4);
        struct rec_fault fault;
        unsigned lazy[4];
        struct hash id[4];
        for (unsigned i = 0; i < 4; i++)
            id[i] = paid(w, 44, &lazy[i]);
        for (unsigned i = 0; i < 3; i++) { /* of several owners, most likely; nothing but wrong witnesses */
            struct hash d = doubt_id(w, &id[i], lazy[i]);
            assert_int_equal(doubt(w, PAYER, &id[i], lazy[i]), ERR_OK);
            (void)round_of(w, &d, "T");
        }
        assert_true(ledger_audit_epoch(w->ledger).mismatches == 0);
        if (paused) { /* three providers' owners are found at fault, each by all */
            for (unsigned node = 12; node < 15; node++) {
                struct world_channel c;
                struct buf room[2] = {{0}};
                assert_int_equal(WORLD_DO(w, node, TX_BOND, tx_bond, BOND_PROVIDER, amount_of(10 * KITH)), ERR_OK);
                assert_int_equal(world_provide(w, node, node, 7, false), ERR_OK);
                assert_int_equal(world_open(w, &c, PAYER, node, 7, KITH), ERR_OK);
                world_job(&c, 1000);
                assert_int_equal(world_settle(w, &c), ERR_OK);
                struct hash bad = w->last_id;
                for (unsigned round = 0; round < 2; round++) {
                    struct rec_settlement s;
                    assert_int_equal(world_settled(w, &bad), SETTLEMENT_DRAWN);
                    struct tx_audit_reveal r = world_audit(w, &c, &bad, 0, AUDIT_MISMATCH, room);
                    for (unsigned step = 0; step < 2; step++) {
                        assert_true(ledger_settlement(w->ledger, &bad, &s));
                        unsigned who[4], n = 0;
                        for (uint32_t i = 0; i < settlement_audits(&s); i++) {
                            struct audit_draw d = settlement_audit_at(&s, i);
                            if (d.round == round)
                                who[n++] = who_is(w, &d.auditor);
                        }
                        for (unsigned i = 0; i < n; i++)
                            assert_int_equal(step ? world_reveal(w, who[i], &r) : world_commit(w, who[i], &r), ERR_OK);
                    }
                }
                buf_clear(&room[0]);
                buf_clear(&room[1]);
            }
            assert_true(ledger_audit_epoch(w->ledger).paused_until_ms > w->time_ms);
        }
        struct hash d = doubt_id(w, &id[3], lazy[3]);
        uint64_t before = stake(w, lazy[3]);
        bool known = ledger_fault(w->ledger, &w->key[lazy[3]], &fault);
        uint32_t counted = known ? fault.witnesses : 0;
        assert_int_equal(doubt(w, PAYER, &id[3], lazy[3]), ERR_OK);
        (void)round_of(w, &d, "T");
        assert_int_equal(state_of(w, &d), DOUBT_RIGHT);
        known = ledger_fault(w->ledger, &w->key[lazy[3]], &fault);
        assert_int_equal(known ? fault.witnesses : 0, counted + !paused);
        assert_true(paused ? stake(w, lazy[3]) == before - 2 * KITH / 100 : stake(w, lazy[3]) < before - KITH);
        world_free(w);
    }
}

/* What was withdrawn behind the verdict answers as long as a doubt can come; then none can. */
static void what_is_withdrawn_answers(void **state)
{
    (void)state;
    for (unsigned late = 0; late < 2; late++) {
        struct params p = params_private();
        p.keep_ms = p.unbonding_ms;
        struct world *w = market_of(&p, 4);
        struct rec_settlement s;
        struct rec_unbonding u;
        struct hash withdrawal;
        unsigned lazy;
        struct hash id = paid(w, 44, &lazy), d = doubt_id(w, &id, lazy);
        assert_true(ledger_settlement(w->ledger, &id, &s));
        assert_int_equal(WORLD_DO(w, lazy, TX_UNBOND, tx_unbond, BOND_AUDITOR, amount_of(20 * KITH)), ERR_OK);
        uint64_t now_ms = w->time_ms, last_ms = s.time_ms + p.unbonding_ms - params_doubt_ms(&p);
        world_wait(w, last_ms - now_ms - 5000 + late * 10000);
        assert_int_equal(doubt(w, PAYER, &id, lazy), late ? ERR_EXPIRED : ERR_OK);
        if (!late) {
            (void)round_of(w, &d, "T");
            assert_true(world_event(w, LEDGER_SLASHED, 0));
            assert_true(ledger_unbonding_next(w->ledger, BOND_AUDITOR, &w->key[lazy], NULL, &withdrawal, &u));
            assert_true(u.amount.mote < 18 * KITH);
        }
        world_free(w);
    }
}

/* A halt of the chain ends no window of a doubt. */
static void a_halt_ends_no_window(void **state)
{
    (void)state;
    struct world *w = market(4);
    unsigned lazy, who[16];
    struct hash id = paid(w, 44, &lazy), d = doubt_id(w, &id, lazy);
    const uint64_t step_ms = w->step_ms, halt_ms = ledger_params(w->ledger).unbonding_ms;
    assert_int_equal(WORLD_DO(w, lazy, TX_UNBOND, tx_unbond, BOND_AUDITOR, amount_of(20 * KITH)), ERR_OK);
    assert_int_equal(doubt(w, PAYER, &id, lazy), ERR_OK);
    assert_int_equal(committee(w, &d, who), 2);
    w->step_ms = halt_ms;
    assert_int_equal(world_block(w), ERR_OK);
    w->step_ms = step_ms;
    world_reopen(w);
    (void)round_of(w, &d, "T");
    assert_int_equal(state_of(w, &d), DOUBT_RIGHT);
    const struct ledger_event *e = world_event(w, LEDGER_SLASHED, 0);
    assert_true(e && e->amount.mote > KITH);
    world_free(w);
}

/* Who commits and does not reveal is not heard; the others decide. */
static void who_does_not_reveal_is_not_heard(void **state)
{
    (void)state;
    struct world *w = market(4);
    unsigned lazy, who[16];
    struct hash id = paid(w, 44, &lazy), d = doubt_id(w, &id, lazy);
    assert_int_equal(doubt(w, PAYER, &id, lazy), ERR_OK);
    assert_int_equal(committee(w, &d, who), 2);
    struct tx_doubt_reveal r = finding(w, &d, TRUTH);
    assert_int_equal(commit(w, who[0], &r), ERR_OK);
    assert_int_equal(reveal(w, who[0], &r), ERR_STATE); /* the other may still commit */
    assert_int_equal(commit(w, who[1], &r), ERR_OK);
    assert_int_equal(reveal(w, who[0], &r), ERR_OK);
    world_wait(w, ledger_params(w->ledger).audit_reveal_ms + 1000);
    assert_int_equal(state_of(w, &d), DOUBT_RIGHT);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_made_up_witness_costs),
        cmocka_unit_test(the_second_within_the_window_costs_half),
        cmocka_unit_test(a_wrong_doubt_costs_its_bond),
        cmocka_unit_test(who_shows_nothing_loses_his_bond),
        cmocka_unit_test(the_losers_pay_but_not_for_silence),
        cmocka_unit_test(what_differs_must_be_the_same),
        cmocka_unit_test(nobody_to_ask_gives_the_bond_back),
        cmocka_unit_test(what_cannot_be_doubted),
        cmocka_unit_test(a_witness_is_committed_to),
        cmocka_unit_test(a_verdict_without_a_replay),
        cmocka_unit_test(no_party_is_asked),
        cmocka_unit_test(a_pause_protects_him),
        cmocka_unit_test(what_is_withdrawn_answers),
        cmocka_unit_test(a_halt_ends_no_window),
        cmocka_unit_test(who_does_not_reveal_is_not_heard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
