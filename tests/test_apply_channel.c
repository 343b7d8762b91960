/* Channels: opening, vouchers that earn and those that earn nothing, the dispute window. */
#include "tests/support.h"
#include "tests/world.h"

#include <string.h>

#define KITH MOTE_PER_KITH

/* Keys: 1 publisher, 2 owner, 3 node, 4 payer. Model 7 is served by 3 for 2. */
static struct world *market(void)
{
    struct world *w = world_new(NULL);
    assert_int_equal(WORLD_DO(w, 2, TX_BOND, tx_bond, BOND_PROVIDER, amount_of(5 * KITH)), ERR_OK);
    assert_int_equal(world_publish(w, 1, 7, 1000, 0, NULL, 0), ERR_OK);
    assert_int_equal(world_provide(w, 2, 3, 7, false), ERR_OK);
    return w;
}

static enum err settle_body(struct world *w, unsigned who, const struct tx_channel_settle *body)
{
    tx_channel_settle_put(world_body(w), body);
    return world_do(w, who, TX_CHANNEL_SETTLE, bytes_of_buf(&w->body));
}

static void opens_only_what_is_served(void **state)
{
    (void)state;
    struct world *w = market();
    struct world_channel c;
    struct rec_channel rec;
    assert_int_equal(world_open(w, &c, 4, 5, 7, KITH), ERR_NOT_FOUND); /* no provider */
    assert_int_equal(world_open(w, &c, 4, 3, 8, KITH), ERR_NOT_FOUND); /* not this model */
    assert_int_equal(world_open(w, &c, 4, 3, 7, 0), ERR_RANGE);
    assert_int_equal(world_open(w, &c, 4, 3, 7, 2 * WORLD_FUND), ERR_FUNDS);
    assert_int_equal(world_open(w, &c, 4, 3, 7, KITH), ERR_OK);
    assert_true(ledger_channel(w->ledger, &c.id, &rec));
    assert_true(rec.deposit.mote == KITH && pubkey_equal(&rec.payer, &w->key[4]));
    const struct ledger_event *e = world_event(w, LEDGER_CHANNEL_OPENED, 0);
    assert_true(e && hash_equal(&e->id, &c.id) && e->amount.mote == KITH && e->tx == 0);
    assert_int_equal(WORLD_DO(w, 5, TX_CHANNEL_TOPUP, tx_channel_topup, c.id, amount_of(1)), ERR_AUTH);
    assert_int_equal(WORLD_DO(w, 4, TX_CHANNEL_TOPUP, tx_channel_topup, c.id, amount_of(0)), ERR_RANGE);
    assert_int_equal(WORLD_DO(w, 4, TX_CHANNEL_TOPUP, tx_channel_topup, world_root(1), amount_of(1)), ERR_NOT_FOUND);
    assert_int_equal(WORLD_DO(w, 4, TX_CHANNEL_TOPUP, tx_channel_topup, c.id, amount_of(KITH)), ERR_OK);
    assert_true(ledger_channel(w->ledger, &c.id, &rec) && rec.deposit.mote == 2 * KITH);
    /* A provider whose bond is gone gets no new channel. */
    assert_int_equal(WORLD_DO(w, 2, TX_UNBOND, tx_unbond, BOND_PROVIDER, amount_of(5 * KITH)), ERR_OK);
    assert_int_equal(world_open(w, &c, 4, 3, 7, KITH), ERR_STATE);
    world_free(w);
}

/* What goes round is counted each time, so more than there is can have been put in. */
static void a_deposit_that_goes_round_is_bounded(void **state)
{
    (void)state;
    const uint64_t fund = UINT64_MAX / 16, most = UINT64_MAX / 16 * 10;
    struct world *w = world_new_rich(NULL, fund);
    struct world_channel c;
    for (unsigned i = 5; i < WORLD_KEYS; i++)
        assert_int_equal(WORLD_DO(w, i, TX_TRANSFER, tx_transfer, w->key[4], amount_of(fund - KITH), {0}), ERR_OK);
    assert_int_equal(WORLD_DO(w, 2, TX_BOND, tx_bond, BOND_PROVIDER, amount_of(5 * KITH)), ERR_OK);
    assert_int_equal(world_publish(w, 1, 7, 0, 0, NULL, 0), ERR_OK);
    assert_int_equal(world_provide(w, 2, 3, 7, false), ERR_OK);
    assert_int_equal(world_open(w, &c, 4, 3, 7, most), ERR_OK);
    world_job(&c, most);
    assert_int_equal(world_settle(w, &c), ERR_OK);
    world_draw(w); /* nobody audits: paid */
    assert_int_equal(WORLD_DO(w, 2, TX_TRANSFER, tx_transfer, w->key[4], amount_of(most / 10 * 9), {0}), ERR_OK);
    assert_int_equal(WORLD_DO(w, 4, TX_CHANNEL_TOPUP, tx_channel_topup, c.id, amount_of(most / 10 * 8)), ERR_RANGE);
    assert_int_equal(WORLD_DO(w, 4, TX_CHANNEL_TOPUP, tx_channel_topup, c.id, amount_of(KITH)), ERR_OK);
    world_free(w);
}

/* Its own key alone could promise away what the rule's keys put in. */
static void who_has_a_rule_puts_nothing_in(void **state)
{
    (void)state;
    struct world *w = market();
    struct world_channel c;
    struct hash key;
    memcpy(key.b, w->key[5].b, sizeof key.b);
    assert_int_equal(world_open(w, &c, 4, 3, 7, KITH), ERR_OK);
    struct tx_account_rule rule = {1, {key.b, 1}};
    tx_account_rule_put(world_body(w), &rule);
    assert_int_equal(world_do(w, 4, TX_ACCOUNT_RULE, bytes_of_buf(&w->body)), ERR_OK);
    assert_int_equal(WORLD_DO(w, 4, TX_CHANNEL_TOPUP, tx_channel_topup, c.id, amount_of(KITH)), ERR_STATE);
    world_free(w);
}

static void pays_out_and_splits(void **state)
{
    (void)state;
    struct world *w = market();
    struct world_channel c;
    struct rec_settlement s;
    assert_int_equal(world_open(w, &c, 4, 3, 7, KITH), ERR_OK);
    world_job(&c, 1000);
    world_job(&c, 999);
    uint64_t owner = world_balance(w, 2), publisher = world_balance(w, 1);
    assert_int_equal(world_settle(w, &c), ERR_OK);
    struct hash id = w->last_id;
    assert_true(ledger_settlement(w->ledger, &id, &s));
    assert_true(s.amount.mote == 1999 && s.state == SETTLEMENT_WAITING && s.from == 0 && s.count == 2);
    assert_true(world_balance(w, 2) == owner);
    for (unsigned i = 1; i < AUDIT_DRAW_BLOCKS; i++) { /* so many makers put a value into the beacon first */
        assert_int_equal(world_block(w), ERR_OK);
        assert_true(ledger_info(w->ledger).wants_block);
        assert_true(world_balance(w, 2) == owner);
    }
    assert_int_equal(world_block(w), ERR_OK); /* nobody audits, so it pays */
    assert_true(ledger_settlement(w->ledger, &id, &s) && s.state == SETTLEMENT_PAID);
    /* 1999: royalty 199 of 10 %, burn 19, fund 19, the rest to the owner. */
    assert_true(world_balance(w, 1) == publisher + 199);
    assert_true(world_balance(w, 2) == owner + 1999 - 199 - 19 - 19);
    assert_true(ledger_totals(w->ledger).funds.mote == 19);
    /* Only the difference is paid the next time. */
    world_job(&c, 500);
    assert_int_equal(world_settle(w, &c), ERR_OK);
    assert_true(ledger_settlement(w->ledger, &w->last_id, &s));
    assert_true(s.amount.mote == 500 && s.from == 1 && s.count == 3);
    /* The record goes after its time. */
    world_wait(w, ledger_params(w->ledger).keep_ms);
    assert_false(ledger_settlement(w->ledger, &id, &s));
    world_free(w);
}

static void vouchers_that_earn_nothing(void **state)
{
    (void)state;
    struct world *w = market();
    struct world_channel c, other;
    assert_int_equal(world_open(w, &other, 4, 3, 7, KITH), ERR_OK);
    assert_int_equal(world_open(w, &c, 4, 3, 7, 5000), ERR_OK);
    world_job(&c, 1000);
    struct tx_channel_settle first = world_voucher(w, &c), bad;
    world_job(&c, 1000);
    struct tx_channel_settle second = world_voucher(w, &c);

    assert_int_equal(settle_body(w, 2, &second), ERR_AUTH); /* the owner is not the node */
    assert_int_equal(settle_body(w, 4, &second), ERR_AUTH);
    bad = second;
    bad.voucher.chain = world_root(1);
    voucher_sign(&bad.voucher, &w->secret[4], &bad.payer_sig);
    assert_int_equal(settle_body(w, 3, &bad), ERR_CHAIN);
    bad = second;
    voucher_sign(&bad.voucher, &w->secret[3], &bad.payer_sig);
    assert_int_equal(settle_body(w, 3, &bad), ERR_AUTH);
    bad = second;
    bad.voucher.channel = other.id; /* the payer signed another channel */
    assert_int_equal(settle_body(w, 3, &bad), ERR_AUTH);
    bad = second;
    bad.voucher.cumulative = amount_of(2001); /* more than its receipts, though signed */
    voucher_sign(&bad.voucher, &w->secret[4], &bad.payer_sig);
    assert_int_equal(settle_body(w, 3, &bad), ERR_MISMATCH);
    bad = second;
    bad.voucher.receipts = 1;
    voucher_sign(&bad.voucher, &w->secret[4], &bad.payer_sig);
    assert_int_equal(settle_body(w, 3, &bad), ERR_MISMATCH);
    bad = second;
    bad.sum_top.b[0] ^= 1;
    assert_int_equal(settle_body(w, 3, &bad), ERR_MISMATCH);

    assert_int_equal(settle_body(w, 3, &second), ERR_OK);
    assert_int_equal(settle_body(w, 3, &second), ERR_DUPLICATE); /* replay */
    assert_int_equal(settle_body(w, 3, &first), ERR_DUPLICATE);  /* stale */
    world_job(&c, 3001);
    assert_int_equal(world_settle(w, &c), ERR_FUNDS); /* 5001 of 5000 */
    world_job(&c, 0);
    c.leaves[2] = sum_leaf(&(struct receipt){.channel = c.id, .price = amount_of(3000)});
    assert_int_equal(world_settle(w, &c), ERR_OK); /* 5000 of 5000 */
    world_free(w);
}

static void fewer_receipts_or_tokens_are_refused(void **state)
{
    (void)state;
    struct world *w = market();
    struct world_channel c;
    assert_int_equal(world_open(w, &c, 4, 3, 7, KITH), ERR_OK);
    struct tx_channel_settle none = world_voucher(w, &c);
    assert_int_equal(settle_body(w, 3, &none), ERR_DUPLICATE); /* nothing over nothing */
    world_job(&c, 10);
    world_job(&c, 10);
    assert_int_equal(world_settle(w, &c), ERR_OK);
    c.n = 1;
    c.leaves[0] = sum_leaf(&(struct receipt){.price = amount_of(50), .tokens_in = 100, .tokens_out = 100});
    assert_int_equal(world_settle(w, &c), ERR_STATE);
    c.n = 2;
    c.leaves[0] = sum_leaf(&(struct receipt){.price = amount_of(50)});
    assert_int_equal(world_settle(w, &c), ERR_STATE);
    world_free(w);
}

static void a_close_waits_for_the_provider(void **state)
{
    (void)state;
    struct world *w = market();
    struct world_channel c;
    struct rec_channel rec;
    uint64_t dispute = ledger_params(w->ledger).dispute_ms;
    assert_int_equal(world_open(w, &c, 4, 3, 7, KITH), ERR_OK);
    world_job(&c, 1000);
    assert_int_equal(WORLD_DO(w, 3, TX_CHANNEL_CLOSE, tx_channel_close, c.id), ERR_AUTH);
    assert_int_equal(WORLD_DO(w, 4, TX_CHANNEL_CLOSE, tx_channel_close, c.id), ERR_OK);
    assert_true(world_event(w, LEDGER_CHANNEL_CLOSING, 0)->time_ms == w->time_ms + dispute);
    assert_int_equal(WORLD_DO(w, 4, TX_CHANNEL_CLOSE, tx_channel_close, c.id), ERR_STATE);
    assert_int_equal(WORLD_DO(w, 4, TX_CHANNEL_TOPUP, tx_channel_topup, c.id, amount_of(1)), ERR_STATE);
    uint64_t payer = world_balance(w, 4);
    assert_int_equal(world_settle(w, &c), ERR_OK); /* in time */
    world_wait(w, dispute - 3 * w->step_ms);
    assert_true(world_balance(w, 4) == payer + KITH - 1000);
    assert_non_null(world_event(w, LEDGER_CHANNEL_CLOSED, 0));
    assert_false(ledger_channel(w->ledger, &c.id, &rec));
    world_job(&c, 1000);
    assert_int_equal(world_settle(w, &c), ERR_NOT_FOUND); /* too late */
    world_free(w);
}

static void the_provider_closes_at_once(void **state)
{
    (void)state;
    struct world *w = market();
    struct world_channel c;
    assert_int_equal(world_open(w, &c, 4, 3, 7, KITH), ERR_OK);
    world_job(&c, 1000);
    uint64_t payer = world_balance(w, 4);
    assert_int_equal(WORLD_DO(w, 4, TX_CHANNEL_CLOSE, tx_channel_close, c.id), ERR_OK);
    uint64_t fee = payer - world_balance(w, 4);
    struct tx_channel_settle body = world_voucher(w, &c);
    body.close = true;
    assert_int_equal(settle_body(w, 3, &body), ERR_OK);
    assert_true(world_balance(w, 4) == payer - fee + KITH - 1000);
    assert_int_equal(settle_body(w, 3, &body), ERR_NOT_FOUND);
    world_reopen(w);
    assert_int_equal(world_block(w), ERR_OK);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_only_what_is_served),      cmocka_unit_test(a_deposit_that_goes_round_is_bounded),
        cmocka_unit_test(who_has_a_rule_puts_nothing_in), cmocka_unit_test(pays_out_and_splits),
        cmocka_unit_test(vouchers_that_earn_nothing),     cmocka_unit_test(fewer_receipts_or_tokens_are_refused),
        cmocka_unit_test(a_close_waits_for_the_provider), cmocka_unit_test(the_provider_closes_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
