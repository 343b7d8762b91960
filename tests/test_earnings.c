/* What an account earned: each payout of its history once, by reason, day and model; from which height that is whole.
 */
#include "node/api/earnings.h"
#include "base/mem.h"
#include "tests/support.h"
#include "tests/world.h"

#include <stdlib.h>
#include <string.h>

#define DAY0 UINT64_C(20000)

/* A chain of blocks that hold nothing but events. */
struct chain {
    struct kv *kv;
    struct history *h;
    struct ledger_result result;
    struct ledger_event *events;
    uint64_t height;
};

static void chain_open(struct chain *c, uint64_t height)
{
    *c = (struct chain){.kv = kv_mem_open(), .height = height};
    assert_int_equal(history_open(c->kv, height, &c->h, NULL), ERR_OK);
}

static void chain_close(struct chain *c)
{
    history_close(c->h);
    kv_close(c->kv);
    free(c->events);
}

static void pay(struct chain *c, enum ledger_event_kind kind, uint8_t who, uint8_t code, uint8_t model, uint64_t mote)
{
    struct ledger_result *r = &c->result;
    c->events = mem_resize(c->events, r->events_n + 1, sizeof *c->events);
    struct ledger_event *e = &c->events[r->events_n++];
    *e = (struct ledger_event){.kind = kind, .tx = LEDGER_NO_TX, .code = code, .amount = amount_of(mote)};
    memset(e->other.b, model, sizeof e->other.b);
    memset(e->a.b, kind == LEDGER_PAYOUT ? who : 99, sizeof e->a.b);
    memset(e->b.b, who, sizeof e->b.b);
}

static void block(struct chain *c, uint64_t time_ms)
{
    struct header header = {.height = ++c->height, .time_ms = time_ms};
    struct kv_batch batch = {0};
    c->result.events = c->events;
    const struct consensus_block b = {.header = &header, .result = &c->result};
    history_store(c->h, &b, &batch);
    assert_int_equal(kv_write(c->kv, &batch, true, NULL), ERR_OK);
    kv_batch_clear(&batch);
    c->result.events_n = 0;
}

static struct pubkey account(uint8_t b)
{
    struct pubkey k;
    memset(k.b, b, sizeof k.b);
    return k;
}

static struct earnings earned(const struct chain *c, uint8_t who, uint64_t since_ms)
{
    struct earnings_reading r;
    struct pubkey k = account(who);
    uint64_t before = 0;
    earnings_begin(&r, c->h, &k, since_ms);
    while (!r.is_done) { /* never more than a step at a time */
        assert_int_equal(earnings_step(&r, NULL), ERR_OK);
        assert_true(r.sum.payouts - before <= EARNINGS_STEP && r.read <= EARNINGS_READ_MAX);
        before = r.sum.payouts;
    }
    return r.sum;
}

static void each_payout_counts_once(void **state)
{
    (void)state;
    struct chain c;
    chain_open(&c, 0);
    pay(&c, LEDGER_PAYOUT, 1, PAYOUT_PROVIDER, 7, 100);
    pay(&c, LEDGER_PAYOUT, 2, PAYOUT_PROVIDER, 7, 5000); /* somebody else's */
    pay(&c, LEDGER_PAYOUT, 1, PAYOUT_AUDITOR, 8, 20);
    block(&c, DAY0 * DAY_MS + 5);
    pay(&c, LEDGER_PAYOUT, 1, PAYOUT_PUBLISHER, 7, 3);
    pay(&c, LEDGER_PAYOUT, 1, PAYOUT_PARENT, 9, 4);
    pay(&c, LEDGER_TRANSFER, 1, 0, 0, 77777); /* received, and not earned */
    block(&c, (DAY0 + 1) * DAY_MS - 1);
    pay(&c, LEDGER_PAYOUT, 1, PAYOUT_DATA, 5, 6);
    pay(&c, LEDGER_GRANT_PAID, 1, 0, 5, 50);
    pay(&c, LEDGER_BOUNTY_PAID, 1, 0, 7, 30);
    block(&c, (DAY0 + 1) * DAY_MS);
    struct earnings e = earned(&c, 1, 0);
    static const uint64_t want[EARNINGS] = {100, 3, 4, 6, 20, 50, 30};
    for (int i = 0; i < EARNINGS; i++)
        assert_int_equal(e.sums[i].mote, want[i]);
    assert_true(e.payouts == 7 && e.is_whole && e.from == 1);
    assert_int_equal(e.days_n, 2);
    assert_true(e.days[0].day == DAY0 + 1 && e.days[0].sums[EARNED_DATA].mote == 6);
    assert_true(e.days[1].day == DAY0 && e.days[1].sums[EARNED_PARENT].mote == 4);
    assert_int_equal(e.sources_n, 4);
    for (unsigned i = 0; i < e.sources_n; i++)
        if (e.sources[i].root.b[0] == 7)
            assert_true(e.sources[i].sum.mote == 133 && e.sources[i].payouts == 3);
    earnings_clear(&e);
    e = earned(&c, 1, (DAY0 + 1) * DAY_MS - 1); /* that block is in it, the one before is not */
    assert_true(e.payouts == 5 && e.sums[EARNED_PROVIDER].mote == 0 && e.sums[EARNED_PUBLISHER].mote == 3 &&
                e.is_whole);
    earnings_clear(&e);
    e = earned(&c, 3, 0);
    assert_true(e.payouts == 0 && e.days_n == 0 && e.is_whole);
    earnings_clear(&e);
    chain_close(&c);
}

static void many_pages_are_one_sum(void **state)
{
    (void)state;
    struct chain c;
    uint64_t sum = 0;
    chain_open(&c, 0);
    for (uint32_t i = 1; i <= 1001; i++) {
        pay(&c, LEDGER_PAYOUT, 1, PAYOUT_PROVIDER, 7, i);
        sum += i;
        if (i % 5 == 0 || i == 1001)
            block(&c, DAY0 * DAY_MS + i);
    }
    struct earnings e = earned(&c, 1, 0);
    assert_true(e.sums[EARNED_PROVIDER].mote == sum && e.payouts == 1001 && e.is_whole);
    earnings_clear(&e);
    chain_close(&c);
}

/* What is paid while a sum is made belongs to the next one. */
static void what_comes_meanwhile_is_not_in_it(void **state)
{
    (void)state;
    struct chain c;
    struct earnings_reading r;
    struct pubkey k = account(1);
    chain_open(&c, 0);
    for (uint32_t i = 1; i <= 2 * EARNINGS_STEP; i++) {
        pay(&c, LEDGER_PAYOUT, 1, PAYOUT_PROVIDER, 7, 1);
        if (i % 100 == 0)
            block(&c, DAY0 * DAY_MS + i);
    }
    earnings_begin(&r, c.h, &k, 0);
    unsigned steps = 0;
    for (; !r.is_done; steps++) {
        assert_int_equal(earnings_step(&r, NULL), ERR_OK);
        pay(&c, LEDGER_PAYOUT, 1, PAYOUT_PROVIDER, 7, 1000000);
        block(&c, DAY0 * DAY_MS + 2000 + steps);
    }
    assert_int_equal(steps, 3); /* the last finds nothing */
    assert_true(r.sum.sums[EARNED_PROVIDER].mote == 2 * EARNINGS_STEP && r.sum.is_whole);
    earnings_clear(&r.sum);
    chain_close(&c);
}

/* A history that began with a snapshot, and one with a gap: what is from before is in no sum, and that is said. */
static void it_says_from_where_it_is_whole(void **state)
{
    (void)state;
    struct chain c;
    chain_open(&c, 500);
    pay(&c, LEDGER_PAYOUT, 1, PAYOUT_PROVIDER, 7, 1);
    block(&c, DAY0 * DAY_MS);
    struct earnings e = earned(&c, 1, 0);
    assert_true(e.from == 501 && !e.is_whole && e.payouts == 1);
    earnings_clear(&e);
    c.height += 10; /* ten blocks went by unseen */
    pay(&c, LEDGER_PAYOUT, 1, PAYOUT_PROVIDER, 7, 10);
    block(&c, DAY0 * DAY_MS + 100);
    pay(&c, LEDGER_PAYOUT, 1, PAYOUT_PROVIDER, 7, 100);
    block(&c, DAY0 * DAY_MS + 200);
    e = earned(&c, 1, 0);
    assert_true(e.from == 512 && !e.is_whole && e.sums[EARNED_PROVIDER].mote == 110);
    earnings_clear(&e);
    e = earned(&c, 1, DAY0 * DAY_MS + 150); /* an entry of before, behind the gap, shows that nothing is missing */
    assert_true(e.is_whole && e.sums[EARNED_PROVIDER].mote == 100);
    earnings_clear(&e);
    chain_close(&c);
}

/* Money goes round: who pays himself again and again earns more than there is. */
static void a_sum_of_more_than_there_is_stays_at_the_most(void **state)
{
    (void)state;
    struct chain c;
    chain_open(&c, 0);
    for (int i = 0; i < 3; i++)
        pay(&c, LEDGER_GRANT_PAID, 1, 0, 5, UINT64_MAX / 2);
    pay(&c, LEDGER_PAYOUT, 1, PAYOUT_PROVIDER, 5, UINT64_MAX / 2);
    block(&c, DAY0 * DAY_MS);
    struct earnings e = earned(&c, 1, 0);
    assert_true(e.payouts == 4 && e.sums[EARNED_GRANT].mote == UINT64_MAX);
    assert_true(e.days[0].sums[EARNED_GRANT].mote == UINT64_MAX && e.sources[0].sum.mote == UINT64_MAX);
    assert_true(earnings_total(e.sums).mote == UINT64_MAX);
    earnings_clear(&e);
    chain_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_payout_counts_once),
        cmocka_unit_test(many_pages_are_one_sum),
        cmocka_unit_test(what_comes_meanwhile_is_not_in_it),
        cmocka_unit_test(it_says_from_where_it_is_whole),
        cmocka_unit_test(a_sum_of_more_than_there_is_stays_at_the_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
