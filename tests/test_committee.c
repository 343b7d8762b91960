/* Committees where there are more auditors than may be asked: every disputed receipt has some, and the verdict comes
 * within params_verdict_ms, however they divide. Settlements are put into the state, and verdicts into their records.
 */
#include "base/limits.h"
#include "chain/apply.h"
#include "tests/sim/random.h"
#include "tests/support.h"

#include <stdlib.h>
#include <string.h>

#define AUDITORS 200u
#define KITH     MOTE_PER_KITH

struct stage {
    struct state s;
    struct apply a;
    struct apply_events events;
    struct apply_auditors known;
    struct random chance;
    struct pubkey owner, payer;
    struct hash model;
    uint32_t settlements;
    /* of the last one */
    uint32_t drawn, rounds, draws;
};

static struct pubkey some_key(struct stage *t)
{
    struct pubkey k;
    random_bytes(&t->chance, k.b, sizeof k.b);
    return k;
}

static struct stage *stage_new(uint64_t seed, uint8_t audits)
{
    struct stage *t = calloc(1, sizeof *t);
    t->chance.s = seed;
    state_init(&t->s);
    t->a = (struct apply){.s = &t->s, .params = params_private(), .height = 9, .time_ms = 1000, .events = &t->events};
    t->a.params.audits_per_settlement = t->a.params.audits_full = audits;
    t->s.totals.locked = t->s.totals.funds = amount_of(UINT64_MAX / 4);
    t->owner = some_key(t);
    t->payer = some_key(t);
    state_put_bond(&t->s, BOND_PROVIDER, &t->owner, amount_of(1000 * KITH));
    random_bytes(&t->chance, t->model.b, sizeof t->model.b);
    state_put_model(&t->s, &t->model, &(struct rec_model){.root = t->model, .publisher = some_key(t)});
    for (uint32_t i = 0; i < AUDITORS; i++) {
        struct pubkey k = some_key(t);
        state_put_provider(&t->s, &k, &(struct rec_provider){.node = k, .owner = k, .audits = true});
        state_put_bond(&t->s, BOND_AUDITOR, &k, amount_of(10 * KITH));
        state_put_auditor(&t->s, &t->model, &k, &k);
    }
    return t;
}

static void stage_free(struct stage *t)
{
    apply_auditors_clear(&t->known);
    free(t->events.at);
    state_clear(&t->s);
    free(t);
}

/* How the n-th of `of` asked in this round speaks of receipt `index`. */
typedef enum audit_verdict (*says_fn)(struct stage *t, const struct rec_settlement *s, uint32_t n, uint32_t of);

static void speak(struct stage *t, struct rec_settlement *s, says_fn says)
{
    struct buf draws = {0};
    uint32_t of = 0, n = 0;
    for (uint32_t i = 0; i < settlement_audits(s); i++)
        of += settlement_audit_at(s, i).round == s->round;
    for (uint32_t i = 0; i < settlement_audits(s); i++) {
        struct audit_draw d = settlement_audit_at(s, i);
        if (d.round == s->round) {
            d.commit = t->model;
            d.verdict = (uint8_t)says(t, s, n++, of);
        }
        audit_draw_put(&draws, &d);
    }
    s->audits = bytes_of_buf(&draws);
    s->state = SETTLEMENT_REVEALING;
    state_put_settlement(&t->s, &s->id, s);
    buf_clear(&draws);
}

/* From its draw to its end. `challenged`: a receipt, or UINT32_MAX. */
static struct rec_settlement run(struct stage *t, uint32_t challenged, says_fn says)
{
    struct rec_settlement s = {.model = t->model,
                               .count = 40,
                               .state = SETTLEMENT_WAITING,
                               .owner = t->owner,
                               .payer = t->payer,
                               .provider = t->owner,
                               .amount = amount_of(KITH)};
    s.id = hash_once(HASH_BEACON, &t->settlements, sizeof t->settlements);
    t->settlements++;
    if (challenged != UINT32_MAX) {
        s.challenger = t->payer;
        s.challenge_bond = amount_of(KITH);
        s.challenged = challenged;
    }
    t->rounds = t->draws = 0;
    state_put_settlement(&t->s, &s.id, &s);
    while (s.state < SETTLEMENT_PAID) {
        random_bytes(&t->chance, t->a.beacon.b, sizeof t->a.beacon.b);
        t->draws++;
        apply_settlement_draw(&t->a, &s.id, &t->known);
        assert_true(state_get_settlement(&t->s, &s.id, &s));
        if (s.state != SETTLEMENT_DRAWN)
            continue;
        if (s.round == 0)
            t->drawn = settlement_audits(&s);
        t->rounds++;
        assert_true(settlement_audits(&s) <= AUDITORS_ASKED_MAX);
        speak(t, &s, says);
        apply_settlement_mature(&t->a, &s.id);
        assert_true(state_get_settlement(&t->s, &s.id, &s));
    }
    return s;
}

/* How many of committees were asked about a receipt. */
static uint32_t committee_of(const struct rec_settlement *s, uint32_t index)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < settlement_audits(s); i++) {
        struct audit_draw d = settlement_audit_at(s, i);
        n += d.round > 0 && d.index == index;
    }
    return n;
}

/* Everything is accused, and the first receipt divides all committees; the others are seen to be in order at once. */
static enum audit_verdict first_divides(struct stage *t, const struct rec_settlement *s, uint32_t n, uint32_t of)
{
    (void)t;
    (void)of;
    if (s->round == 0)
        return AUDIT_MISMATCH;
    return s->disputed == settlement_audit_at(s, 0).index && n == 0 ? AUDIT_MISMATCH : AUDIT_MATCH;
}

/* Or who accuses two receipts would be believed alone about the second. */
static void a_long_dispute_leaves_room_for_the_next(void **state)
{
    (void)state;
    for (uint8_t audits = 2; audits <= SETTLEMENT_AUDITS_MAX; audits++) {
        struct stage *t = stage_new(audits, audits);
        struct rec_settlement s = run(t, UINT32_MAX, first_divides);
        for (uint32_t i = 0; i < t->drawn; i++)
            assert_true(committee_of(&s, settlement_audit_at(&s, i).index) >= 2);
        assert_int_equal(s.state, SETTLEMENT_PAID);
        stage_free(t);
    }
}

static enum audit_verdict all_divide(struct stage *t, const struct rec_settlement *s, uint32_t n, uint32_t of)
{
    (void)t;
    (void)of;
    return s->round == 0 || n == 0 ? AUDIT_MISMATCH : AUDIT_MATCH;
}

static enum audit_verdict at_random(struct stage *t, const struct rec_settlement *s, uint32_t n, uint32_t of)
{
    (void)n;
    if (s->round == 0)
        return random_chance(&t->chance, 60) ? AUDIT_MISMATCH : AUDIT_MATCH;
    return random_chance(&t->chance, 10 + 80 / of) ? AUDIT_MATCH : AUDIT_WITHHELD;
}

static void the_verdict_comes_in_time(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 400; seed++) {
        struct stage *t = stage_new(seed, (uint8_t)(1 + seed % SETTLEMENT_AUDITS_MAX));
        const struct params *p = &t->a.params;
        (void)run(t, seed % 3 ? 39 : UINT32_MAX, seed % 5 ? at_random : all_divide);
        assert_true(t->rounds * (p->audit_window_ms + p->audit_reveal_ms) +
                        t->draws * AUDIT_DRAW_BLOCKS * UINT64_C(1000) <=
                    params_verdict_ms(p));
        stage_free(t);
    }
}

/* A doubt whose committees never agree ends within params_doubt_ms, and its record is not too large. */
static void so_does_that_of_a_doubt(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct stage *t = stage_new(seed, 1);
        const struct params *p = &t->a.params;
        struct rec_doubt d = {.model = t->model, .auditor = t->owner, .liable = t->owner, .state = DOUBT_WAITING};
        struct note note = {{0}};
        uint32_t rounds = 0, draws = 0;
        t->a.note = &note;
        state_put_provider(&t->s, &t->owner, &(struct rec_provider){.node = t->owner, .owner = t->owner});
        d.bond = amount_of(KITH);
        random_bytes(&t->chance, d.id.b, sizeof d.id.b);
        state_put_doubt(&t->s, &d.id, &d);
        while (d.state < DOUBT_RIGHT) {
            random_bytes(&t->chance, t->a.beacon.b, sizeof t->a.beacon.b);
            draws++;
            apply_doubt_draw(&t->a, &d.id, &t->known);
            assert_true(state_get_doubt(&t->s, &d.id, &d));
            if (d.state != DOUBT_DRAWN)
                continue;
            rounds++;
            for (uint32_t step = 0; step < 2; step++)
                for (uint32_t i = 0; i < doubt_draws(&d); i++) {
                    struct doubt_draw m = doubt_draw_at(&d, i);
                    struct tx_doubt_reveal r = {.doubt = d.id, .verdict = AUDIT_MISMATCH};
                    if (m.round != d.round)
                        continue;
                    store_le32(r.witness.b, 1 + i % 2); /* two minds, of as many each */
                    t->a.signer = m.member;
                    struct tx_doubt_commit c = {d.id, tx_doubt_commitment(&r, &m.member)};
                    assert_int_equal(step ? apply_tx_doubt_reveal(&t->a, &r) : apply_tx_doubt_commit(&t->a, &c),
                                     ERR_OK);
                    assert_true(state_get_doubt(&t->s, &d.id, &d));
                    if (step && d.state != DOUBT_REVEALING)
                        break;
                }
        }
        assert_true(doubt_draws(&d) == AUDITORS_ASKED_MAX && rounds == 7);
        assert_true(rounds * (p->audit_window_ms + p->audit_reveal_ms) + draws * AUDIT_DRAW_BLOCKS * UINT64_C(1000) <=
                    params_doubt_ms(p));
        stage_free(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_long_dispute_leaves_room_for_the_next),
        cmocka_unit_test(the_verdict_comes_in_time),
        cmocka_unit_test(so_does_that_of_a_doubt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
