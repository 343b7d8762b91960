/* Prices that follow the load. */
#include "base/mem.h"
#include "tests/support.h"
#include "tests/world.h"

#include <stdlib.h>

#define BIG    60000
#define TARGET (BLOCK_SIZE_MAX / 2)

/* Transactions of about 60 kB that do nothing but pay; 12 units of work each. */
static void add_big(struct world *w, unsigned n)
{
    uint8_t *leaf = mem_new(BIG);
    for (unsigned i = 0; i < n; i++)
        WORLD_ADD(w, 1, TX_DATA_DISPUTE, tx_data_dispute, .leaf = bytes_of(leaf, BIG));
    free(leaf);
}

/* And of 2,010 units. */
static void add_laborious(struct world *w, unsigned n)
{
    uint8_t *tensors = mem_new(2000 * HASH_SIZE);
    for (unsigned i = 0; i < n; i++)
        WORLD_ADD(w, 1, TX_MODEL_PUBLISH, tx_model_publish, .tensors = {tensors, 2000});
    free(tensors);
}

static uint64_t size_of_block(const struct world *w)
{
    uint64_t size = 0;
    for (uint32_t i = 0; i < w->n; i++)
        size += w->txs[i].n;
    return size;
}

static void a_full_block_raises_the_price(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct params p = ledger_params(w->ledger);
    struct rec_fees before = ledger_fees(w->ledger), after;
    assert_true(before.per_byte.mote == p.fee_byte.mote && before.per_work.mote == p.fee_work.mote);
    for (unsigned i = 0; i < 12; i++) {
        unsigned n = i % 2 ? 17 : 10;
        add_big(w, n);
        uint64_t size = size_of_block(w);
        assert_int_equal(world_block(w), ERR_NOT_FOUND);
        after = ledger_fees(w->ledger);
        uint64_t change = before.per_byte.mote * (size - TARGET) * 1250 / ((uint64_t)TARGET * BPS_ALL);
        assert_true(after.per_byte.mote == before.per_byte.mote + change);
        assert_true(change * 8 <= before.per_byte.mote);
        assert_true(after.per_work.mote == p.fee_work.mote); /* little work was in it */
        before = after;
    }
    assert_true(before.per_byte.mote > 2 * p.fee_byte.mote);
    world_reopen(w);
    after = ledger_fees(w->ledger);
    assert_true(after.per_byte.mote == before.per_byte.mote);
    /* Empty blocks bring it back, each by an eighth, and each is wanted until it is there. */
    unsigned blocks = 0;
    while (after.per_byte.mote > p.fee_byte.mote) {
        assert_true(ledger_info(w->ledger).wants_block);
        assert_int_equal(world_block(w), ERR_OK);
        before = after;
        after = ledger_fees(w->ledger);
        assert_true(after.per_byte.mote < before.per_byte.mote);
        assert_true((before.per_byte.mote - after.per_byte.mote) * 8 <= before.per_byte.mote);
        assert_true(++blocks < 20);
    }
    assert_true(after.per_byte.mote == p.fee_byte.mote);
    assert_int_equal(world_block(w), ERR_OK);
    assert_false(ledger_info(w->ledger).wants_block);
    world_free(w);
}

/* Nobody proposes a block that is larger than one may be; decided all the same, it moves the price no further. */
static void an_eighth_is_the_most(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct bytes txs[40];
    struct note note;
    const struct ledger_result *result;
    add_big(w, 40);
    for (unsigned i = 0; i < 40; i++)
        txs[i] = bytes_of_buf(&w->txs[i]);
    struct ledger_block block = {.height = 1, .time_ms = w->time_ms, .proposer = w->key[0], .txs = txs, .n = 40};
    assert_int_equal(ledger_process(w->ledger, txs, 40, &note), ERR_LIMIT);
    assert_int_equal(ledger_finalize(w->ledger, &block, &result, &note), ERR_OK);
    assert_int_equal(ledger_commit(w->ledger, NULL, &note), ERR_OK);
    assert_true(ledger_fees(w->ledger).per_byte.mote == ledger_params(w->ledger).fee_byte.mote * 9 / 8);
    world_free(w);
}

static bool next_one(void *arg, struct bytes *tx)
{
    struct bytes *one = arg;
    *tx = *one;
    *one = (struct bytes){0};
    return tx->n > 0;
}

static void the_pool_goes_by_it(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    static const struct ledger_pending none;
    struct ledger_checked checked;
    struct note note;
    struct bytes txs[1];
    struct bytes *room = mem_array(BLOCK_TXS_MAX, sizeof *room);
    struct tx_transfer body = {.to = w->key[3], .amount = amount_of(1)};
    struct buf raw[2] = {{0}};
    tx_transfer_put(world_body(w), &body);
    tx_build(&raw[0], &w->chain, &w->secret[2], 0, amount_of(0), TX_TRANSFER, bytes_of_buf(&w->body));
    struct amount least = ledger_fee(w->ledger, raw[0].n, 1), offer = tx_fee_offer(least);
    assert_true(offer.mote == least.mote + least.mote / 4);
    for (unsigned i = 0; i < 2; i++) {
        buf_reset(&raw[i]);
        tx_build(&raw[i], &w->chain, &w->secret[2], 0, i ? offer : least, TX_TRANSFER, bytes_of_buf(&w->body));
        assert_int_equal(ledger_check(w->ledger, bytes_of_buf(&raw[i]), &none, &checked, &note), ERR_OK);
    }
    for (unsigned full = 1; full <= 3; full++) { /* what a wallet offers outlasts two full blocks */
        add_big(w, 17);
        assert_int_equal(world_block(w), ERR_NOT_FOUND);
        for (unsigned i = 0; i < 2; i++) {
            enum err want = i == 1 && full <= 2 ? ERR_OK : ERR_RANGE;
            txs[0] = bytes_of_buf(&raw[i]);
            assert_int_equal(ledger_check(w->ledger, txs[0], &none, &checked, &note), want);
            assert_int_equal(ledger_process(w->ledger, txs, 1, &note), want);
            assert_int_equal(ledger_prepare(w->ledger, next_one, &txs[0], BLOCK_SIZE_MAX, room), want == ERR_OK);
        }
    }
    buf_clear(&raw[0]);
    buf_clear(&raw[1]);
    free(room);
    world_free(w);
}

static void work_has_its_price_and_bound(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct params p = ledger_params(w->ledger);
    struct bytes txs[10];
    struct note note;
    add_laborious(w, 10);
    for (unsigned i = 0; i < 10; i++)
        txs[i] = bytes_of_buf(&w->txs[i]);
    assert_int_equal(ledger_process(w->ledger, txs, 10, &note), ERR_LIMIT); /* 20,100 units */
    w->n = 0;
    w->nonce[1] = 0;
    add_laborious(w, 9);
    assert_int_not_equal(world_block(w), ERR_OK);
    struct rec_fees fees = ledger_fees(w->ledger);
    assert_true(fees.per_work.mote == p.fee_work.mote + p.fee_work.mote * 8090 * 1250 / (10000 * BPS_ALL));
    assert_true(fees.per_byte.mote > p.fee_byte.mote);
    world_free(w);
}

static void it_can_be_fixed(void **state)
{
    (void)state;
    struct params p = params_private();
    p.fee_change_bps = 0;
    struct world *w = world_new(&p);
    add_big(w, 17);
    assert_int_equal(world_block(w), ERR_NOT_FOUND);
    assert_true(ledger_fees(w->ledger).per_byte.mote == p.fee_byte.mote);
    world_free(w);
}

/* A floor of one mote: the change is rounded up to one, so that the price neither sticks below nor above. */
static void small_prices_move(void **state)
{
    (void)state;
    struct params p = params_private();
    p.fee_byte = p.fee_work = amount_of(1);
    struct world *w = world_new(&p);
    for (unsigned i = 0; i < 3; i++) {
        add_big(w, 10);
        assert_int_equal(world_block(w), ERR_NOT_FOUND);
        assert_true(ledger_fees(w->ledger).per_byte.mote == 2 + i);
    }
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(world_block(w), ERR_OK);
    assert_true(ledger_fees(w->ledger).per_byte.mote == 1);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_block_raises_the_price),
        cmocka_unit_test(an_eighth_is_the_most),
        cmocka_unit_test(the_pool_goes_by_it),
        cmocka_unit_test(work_has_its_price_and_bound),
        cmocka_unit_test(it_can_be_fixed),
        cmocka_unit_test(small_prices_move),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
