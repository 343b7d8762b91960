/* The ledger's clock, and halts. Whatever the times of blocks are, a bond that was withdrawn behind a settlement
 * answers until its verdict; on a chain that runs, or has nothing to do, it returns when its time is up. And who may
 * answer within a window still may when the chain goes on. */
#include "chain/apply.h"
#include "tests/sim/random.h"
#include "tests/support.h"
#include "tests/world.h"

#include <stdlib.h>

#define KITH   MOTE_PER_KITH
#define HOUR   UINT64_C(3600000)
#define MANY   100u /* auditors */
#define SEEDS  400u
#define SECOND UINT64_C(1000)
#define BEAT   (30 * SECOND) /* of a chain that has nothing to do */
#define GAP_MS (30 * SECOND) /* of the ledgers below */

/* -- a state alone, on any clock: the longest way to a verdict -- */

struct stage {
    struct state s;
    struct apply a;
    struct apply_events events;
    struct random chance;
    struct pubkey owner, payer;
    struct hash model, settlement, withdrawal;
};

static struct pubkey some_key(struct stage *t)
{
    struct pubkey k;
    random_bytes(&t->chance, k.b, sizeof k.b);
    return k;
}

static void put_settlement(struct stage *t)
{
    struct rec_settlement s = {.model = t->model,
                               .count = 9,
                               .state = SETTLEMENT_WAITING,
                               .owner = t->owner,
                               .payer = t->payer,
                               .provider = t->owner,
                               .amount = amount_of(KITH)};
    random_bytes(&t->chance, s.id.b, sizeof s.id.b);
    t->settlement = s.id;
    state_put_settlement(&t->s, &s.id, &s);
    state_put_draw(&t->s, t->a.height + AUDIT_DRAW_BLOCKS, &s.id);
}

static void withdraw(struct stage *t)
{
    random_bytes(&t->chance, t->a.id.b, sizeof t->a.id.b);
    t->withdrawal = t->a.id;
    t->a.signer = t->owner;
    assert_int_equal(apply_tx_unbond(&t->a, &(struct tx_unbond){BOND_PROVIDER, amount_of(100 * KITH)}), ERR_OK);
}

static struct stage *stage_new(uint64_t seed)
{
    struct stage *t = calloc(1, sizeof *t);
    t->chance.s = seed;
    state_init(&t->s);
    t->a = (struct apply){.s = &t->s, .params = params_private(), .height = 9, .events = &t->events};
    t->a.time_ms = t->a.clock_ms = HOUR;
    t->a.params.audits_per_settlement = t->a.params.audits_full = (uint8_t)(1 + seed % SETTLEMENT_AUDITS_MAX);
    t->a.params.unbonding_ms = params_verdict_ms(&t->a.params) + seed % 3 * HOUR / 4;
    t->s.totals.locked = t->s.totals.funds = amount_of(UINT64_MAX / 4);
    t->owner = some_key(t);
    t->payer = some_key(t);
    state_put_bond(&t->s, BOND_PROVIDER, &t->owner, amount_of(100 * KITH));
    random_bytes(&t->chance, t->model.b, sizeof t->model.b);
    state_put_model(&t->s, &t->model, &(struct rec_model){.root = t->model, .publisher = some_key(t)});
    for (uint32_t i = 0; i < MANY; i++) {
        struct pubkey k = some_key(t);
        state_put_provider(&t->s, &k, &(struct rec_provider){.node = k, .owner = k, .audits = true});
        state_put_bond(&t->s, BOND_AUDITOR, &k, amount_of(10 * KITH));
        state_put_auditor(&t->s, &t->model, &k, &k);
    }
    return t;
}

static void stage_free(struct stage *t)
{
    free(t->events.at);
    state_clear(&t->s);
    free(t);
}

/* Those drawn have said all that they will, so that nothing but the clock ends a window; no committee is of one mind.
 */
static void divide(struct stage *t)
{
    struct rec_settlement s;
    struct buf draws = {0};
    if (!state_get_settlement(&t->s, &t->settlement, &s))
        return;
    for (uint32_t i = 0; i < settlement_audits(&s); i++) {
        struct audit_draw d = settlement_audit_at(&s, i);
        if (d.verdict == AUDIT_PENDING) {
            d.commit = t->model;
            d.verdict = d.round == 0 || i % 2 ? AUDIT_MISMATCH : AUDIT_MATCH;
        }
        audit_draw_put(&draws, &d);
    }
    s.audits = bytes_of_buf(&draws);
    state_put_settlement(&t->s, &s.id, &s);
    buf_clear(&draws);
}

static void block(struct stage *t, uint64_t gap_ms)
{
    t->a.height++;
    t->a.before_ms = t->a.time_ms;
    t->a.time_ms += gap_ms;
    random_bytes(&t->chance, t->a.beacon.b, sizeof t->a.beacon.b);
    t->events.n = 0;
    apply_clock(&t->a);
    apply_due(&t->a);
    divide(t);
}

static bool is_withdrawn(const struct stage *t)
{
    struct rec_unbonding u;
    return !state_get_unbonding(&t->s, BOND_PROVIDER, &t->owner, &t->withdrawal, &u);
}

static bool is_decided(const struct stage *t)
{
    struct rec_settlement s;
    return state_get_settlement(&t->s, &t->settlement, &s) && s.state >= SETTLEMENT_PAID;
}

/* A chain that has nothing to do until something is due; its heart beats. */
static uint64_t due_in(const struct stage *t)
{
    struct due d;
    uint64_t ms = state_first_due(&t->s, &d) && d.time_ms > t->a.clock_ms ? d.time_ms - t->a.clock_ms : 1;
    return ms < BEAT ? ms : BEAT;
}

/* A chain that runs, slow or fast, and stands still now and then, for a time of any length. */
static uint64_t some_gap(struct stage *t, unsigned halts)
{
    uint64_t height;
    struct hash id;
    bool has_draw = state_first_draw(&t->s, &height, &id);
    if (random_chance(&t->chance, halts))
        return random_between(&t->chance, 1, random_chance(&t->chance, 50) ? 2 * HOUR : 10 * SECOND);
    if (has_draw)
        return random_between(&t->chance, 1, BLOCK_LATE_MS);
    return due_in(t) + random_below(&t->chance, BLOCK_LATE_MS);
}

static void a_bond_answers_until_the_verdict(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct stage *t = stage_new(seed);
        unsigned halts = (unsigned)random_below(&t->chance, 4) * 8;
        put_settlement(t);
        withdraw(t);
        while (!is_decided(t)) {
            block(t, some_gap(t, halts));
            assert_true(!is_withdrawn(t) || is_decided(t));
        }
        stage_free(t);
    }
}

/* The other side of it: what a chain is not late with holds nobody's bond for longer. */
static void a_chain_that_runs_returns_it_in_time(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS / 4; seed++) {
        struct stage *t = stage_new(seed);
        if (seed % 4)
            put_settlement(t);
        withdraw(t);
        uint64_t until_ms = t->a.time_ms + t->a.params.unbonding_ms;
        while (!is_withdrawn(t)) {
            block(t, some_gap(t, 0));
            assert_true(is_withdrawn(t) == (t->a.time_ms >= until_ms));
        }
        assert_int_equal(state_get_stood(&t->s).stood_ms, 0);
        stage_free(t);
    }
}

/* Whenever it begins, a halt costs its own length, and params.gap_ms where it cannot be told from having nothing to do.
 */
static void a_halt_holds_it_no_longer_than_itself(void **state)
{
    (void)state;
    for (uint64_t halt_ms = HOUR / 3600; halt_ms < 40 * HOUR; halt_ms += halt_ms / 2) {
        struct stage *t = stage_new(halt_ms);
        uint64_t until_ms = t->a.time_ms + t->a.params.unbonding_ms, gap_ms = t->a.params.gap_ms;
        withdraw(t);
        for (uint64_t n = random_below(&t->chance, 9); n > 0; n--)
            block(t, random_between(&t->chance, 1, BEAT));
        block(t, halt_ms);
        while (!is_withdrawn(t))
            block(t, due_in(t));
        uint64_t held_ms = t->a.time_ms - until_ms;
        assert_true(held_ms <= halt_ms && (held_ms == halt_ms || halt_ms <= gap_ms));
        stage_free(t);
    }
}

/* A genesis is made long before its chain begins. */
static void the_first_block_ends_no_halt(void **state)
{
    (void)state;
    struct stage *t = stage_new(1);
    t->a.height = 0;
    block(t, 40 * HOUR);
    assert_int_equal(state_get_stood(&t->s).stood_ms, 0);
    assert_int_equal(t->a.clock_ms, t->a.time_ms);
    block(t, 40 * HOUR);
    assert_int_equal(state_get_stood(&t->s).stood_ms, 40 * HOUR);
    assert_int_equal(apply_date(&t->a, t->a.clock_ms), t->a.time_ms);
    stage_free(t);
}

/* Late behind what was due: that much, and no more, is no time. */
static void late_blocks_count_for_little(void **state)
{
    (void)state;
    struct stage *t = stage_new(1);
    withdraw(t);
    t->a.params.gap_ms = 100 * HOUR;
    block(t, t->a.params.unbonding_ms - 1);
    assert_int_equal(state_get_stood(&t->s).stood_ms, 0);
    assert_false(is_withdrawn(t));
    block(t, HOUR);
    assert_int_equal(state_get_stood(&t->s).stood_ms, HOUR - 1 - BLOCK_LATE_MS);
    assert_true(is_withdrawn(t));
    put_settlement(t); /* a draw waits */
    block(t, HOUR);
    assert_int_equal(state_get_stood(&t->s).stood_ms, 2 * HOUR - 1 - 2 * BLOCK_LATE_MS);
    stage_free(t);
}

/* A queue that one block is not enough for is no time that an auditor had. */
static void a_full_queue_counts_whole(void **state)
{
    (void)state;
    struct stage *t = stage_new(1);
    for (uint32_t i = 0; i < DUE_PER_BLOCK_MAX + 1; i++) {
        struct hash id = hash_once(HASH_TX, &i, sizeof i);
        state_put_due(&t->s, &(struct due){t->a.time_ms + 10, DUE_OFFER, id, {t->owner, 0}});
    }
    block(t, 200);
    assert_int_equal(state_get_stood(&t->s).stood_ms, 0);
    block(t, 200);
    assert_int_equal(state_get_stood(&t->s).stood_ms, 200);
    block(t, 200);
    assert_int_equal(state_get_stood(&t->s).stood_ms, 200);
    stage_free(t);
}

/* -- and a ledger: what halts were good for, to who had something to fear -- */

enum { PUBLISHER = 1, PROVIDER = 2, PAYER = 3, AUDITORS = 4 };

static struct world *market(void)
{
    struct params params = params_private();
    params.gap_ms = GAP_MS;
    struct world *w = world_new(&params);
    assert_int_equal(WORLD_DO(w, PROVIDER, TX_BOND, tx_bond, BOND_PROVIDER, amount_of(100 * KITH)), ERR_OK);
    assert_int_equal(world_publish(w, PUBLISHER, 7, 0, 0, NULL, 0), ERR_OK);
    assert_int_equal(world_provide(w, PROVIDER, PROVIDER, 7, false), ERR_OK);
    for (unsigned who = AUDITORS; who < AUDITORS + 3; who++) {
        assert_int_equal(WORLD_DO(w, who, TX_BOND, tx_bond, BOND_AUDITOR, amount_of(10 * KITH)), ERR_OK);
        assert_int_equal(world_provide(w, who, who, 7, true), ERR_OK);
    }
    return w;
}

/* All who are drawn in the present round say that they found a mismatch. */
static void all_say_mismatch(struct world *w, const struct world_channel *c, const struct hash *id)
{
    struct buf room[2] = {{0}};
    struct rec_settlement s;
    struct audit_draw draws[8];
    uint32_t n = 0;
    assert_int_equal(world_settled(w, id), SETTLEMENT_DRAWN);
    assert_true(ledger_settlement(w->ledger, id, &s));
    for (uint32_t i = 0; i < settlement_audits(&s) && n < 8; i++) {
        draws[n] = settlement_audit_at(&s, i);
        n += draws[n].round == s.round;
    }
    for (unsigned step = 0; step < 2; step++)
        for (uint32_t i = 0; i < n; i++) {
            struct tx_audit_reveal r = world_audit(w, c, id, draws[i].index, AUDIT_MISMATCH, room);
            for (unsigned who = AUDITORS; who < AUDITORS + 3; who++)
                if (pubkey_equal(&draws[i].auditor, &w->key[who]))
                    assert_int_equal(step ? world_reveal(w, who, &r) : world_commit(w, who, &r), ERR_OK);
        }
    buf_clear(&room[0]);
    buf_clear(&room[1]);
}

static struct hash settle_one(struct world *w, struct world_channel *c)
{
    world_job(c, KITH);
    assert_int_equal(world_settle(w, c), ERR_OK);
    return w->last_id;
}

static void a_slash_is_not_lost_in_a_halt(void **state)
{
    (void)state;
    struct world *w = market();
    struct world_channel c;
    struct params p = ledger_params(w->ledger);
    assert_int_equal(world_open(w, &c, PAYER, PROVIDER, 7, 10 * KITH), ERR_OK);
    struct hash id = settle_one(w, &c);
    for (unsigned round = 0; round < 2; round++)
        all_say_mismatch(w, &c, &id);
    assert_int_equal(world_settled(w, &id), SETTLEMENT_FORFEITED); /* the first is forgiven */
    id = settle_one(w, &c);
    struct amount bond = ledger_bond(w->ledger, BOND_PROVIDER, &w->key[PROVIDER]);
    assert_int_equal(WORLD_DO(w, PROVIDER, TX_UNBOND, tx_unbond, BOND_PROVIDER, bond), ERR_OK);
    uint64_t owner = world_balance(w, PROVIDER);
    all_say_mismatch(w, &c, &id);                     /* and now two others are to be asked */
    w->step_ms = p.unbonding_ms + p.unbonding_ms / 2; /* within fault_window_ms */
    assert_int_equal(world_block(w), ERR_OK);
    assert_null(world_event(w, LEDGER_UNBONDED, 0));
    w->step_ms = 1000;
    all_say_mismatch(w, &c, &id);
    const struct ledger_event *slashed = world_event(w, LEDGER_SLASHED, 0);
    assert_int_equal(world_settled(w, &id), SETTLEMENT_FORFEITED);
    assert_true(slashed && slashed->code == BOND_PROVIDER && slashed->amount.mote > bond.mote / 3);
    uint64_t taken = slashed->amount.mote;
    assert_true(world_balance(w, PROVIDER) == owner);
    world_reopen(w); /* the sum of halts is the store's */
    world_wait(w, p.unbonding_ms);
    uint64_t back = world_balance(w, PROVIDER) - owner;
    assert_true(back > 0 && back < bond.mote - taken);
    world_free(w);
}

static void halt(struct world *w, uint64_t ms)
{
    uint64_t step_ms = w->step_ms;
    w->step_ms = ms;
    assert_int_equal(world_block(w), ERR_OK);
    w->step_ms = step_ms;
}

/* What two auditors found wrong is not paid because no block took their word. */
static void auditors_are_heard_after_a_halt(void **state)
{
    (void)state;
    struct world *w = market();
    struct world_channel c;
    assert_int_equal(world_open(w, &c, PAYER, PROVIDER, 7, 10 * KITH), ERR_OK);
    struct hash id = settle_one(w, &c);
    assert_int_equal(world_settled(w, &id), SETTLEMENT_DRAWN);
    halt(w, HOUR);
    assert_int_equal(world_settled(w, &id), SETTLEMENT_DRAWN);
    for (unsigned round = 0; round < 2; round++)
        all_say_mismatch(w, &c, &id);
    assert_int_equal(world_settled(w, &id), SETTLEMENT_FORFEITED);
    world_free(w);
}

/* A payer closes early, the chain stands, and the provider's voucher comes with the first block behind it, or with one
 * of the next ones. */
static void a_voucher_is_in_time_after_a_halt(void **state)
{
    (void)state;
    for (unsigned blocks = 0; blocks < 3; blocks++) {
        struct world *w = market();
        struct world_channel c;
        struct rec_channel rec;
        assert_int_equal(world_open(w, &c, PAYER, PROVIDER, 7, 10 * KITH), ERR_OK);
        world_job(&c, KITH);
        assert_int_equal(WORLD_DO(w, PAYER, TX_CHANNEL_CLOSE, tx_channel_close, c.id), ERR_OK);
        if (blocks)
            halt(w, HOUR);
        for (unsigned i = 1; i < blocks; i++)
            assert_int_equal(world_block(w), ERR_OK);
        w->step_ms = blocks ? w->step_ms : HOUR;
        assert_int_equal(world_settle(w, &c), ERR_OK);
        w->step_ms = 1000;
        assert_int_equal(world_settled(w, &w->last_id), SETTLEMENT_DRAWN);
        assert_true(ledger_channel(w->ledger, &c.id, &rec) && rec.closes_ms);
        world_wait(w, ledger_params(w->ledger).dispute_ms);
        assert_false(ledger_channel(w->ledger, &c.id, &rec));
        world_free(w);
    }
}

/* What is in time for a block is in time for a pool. */
static void a_pool_goes_by_the_same_clock(void **state)
{
    (void)state;
    struct world *w = market();
    struct world_channel c;
    struct rec_settlement s;
    struct ledger_pending none = {0};
    struct ledger_checked checked;
    struct note note = {{0}};
    struct buf room[2] = {{0}};
    assert_int_equal(world_open(w, &c, PAYER, PROVIDER, 7, 10 * KITH), ERR_OK);
    struct hash id = settle_one(w, &c);
    assert_int_equal(world_settled(w, &id), SETTLEMENT_DRAWN);
    halt(w, HOUR);
    assert_true(ledger_settlement(w->ledger, &id, &s) && s.state == SETTLEMENT_DRAWN);
    struct audit_draw d = settlement_audit_at(&s, 0);
    unsigned who = AUDITORS;
    while (!pubkey_equal(&d.auditor, &w->key[who]))
        who++;
    struct tx_audit_reveal r = world_audit(w, &c, &id, d.index, AUDIT_MATCH, room);
    struct tx_audit_commit commit = {id, d.index, tx_audit_commitment(&r, &w->key[who])};
    tx_audit_commit_put(world_body(w), &commit);
    world_add(w, who, TX_AUDIT_COMMIT, bytes_of_buf(&w->body));
    if (ledger_check(w->ledger, bytes_of_buf(&w->txs[--w->n]), &none, &checked, &note) != ERR_OK)
        fail_msg("%s", note.text);
    buf_clear(&room[0]);
    buf_clear(&room[1]);
    world_free(w);
}

/* A bounty's deadline is a date; what the chain stood for is added to it. */
static void a_bounty_waits_as_long(void **state)
{
    (void)state;
    struct world *w = market();
    struct rec_bounty b;
    halt(w, HOUR);
    struct tx_bounty_post post = {.wants = LINEAGE_MODEL, .amount = amount_of(KITH), .deadline_ms = w->time_ms + HOUR};
    assert_true(text64_set(&post.title, "a model"));
    tx_bounty_post_put(world_body(w), &post);
    assert_int_equal(world_do(w, PAYER, TX_BOUNTY_POST, bytes_of_buf(&w->body)), ERR_OK);
    struct hash id = w->last_id;
    assert_true(ledger_bounty(w->ledger, &id, &b) && ledger_date(w->ledger, b.deadline_ms) == post.deadline_ms);
    assert_int_equal(world_event(w, LEDGER_BOUNTY_POSTED, 0)->time_ms, post.deadline_ms);
    halt(w, 2 * HOUR);
    assert_true(ledger_bounty(w->ledger, &id, &b) &&
                ledger_date(w->ledger, b.deadline_ms) == post.deadline_ms + 2 * HOUR);
    world_wait(w, HOUR);
    assert_false(ledger_bounty(w->ledger, &id, &b));
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bond_answers_until_the_verdict),      cmocka_unit_test(a_chain_that_runs_returns_it_in_time),
        cmocka_unit_test(a_halt_holds_it_no_longer_than_itself), cmocka_unit_test(the_first_block_ends_no_halt),
        cmocka_unit_test(late_blocks_count_for_little),          cmocka_unit_test(a_full_queue_counts_whole),
        cmocka_unit_test(a_slash_is_not_lost_in_a_halt),         cmocka_unit_test(auditors_are_heard_after_a_halt),
        cmocka_unit_test(a_voucher_is_in_time_after_a_halt),     cmocka_unit_test(a_bounty_waits_as_long),
        cmocka_unit_test(a_pool_goes_by_the_same_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
