/* The history of accounts: what each entry says, order and pages, blocks applied twice, gaps. */
#include "node/consensus/history.h"
#include "tests/support.h"
#include "tests/world.h"

#include <string.h>

/* The block that world_block just made, as consensus shows it, into the store. */
static void store(struct world *w, struct history *h)
{
    struct header header = {.height = ledger_info(w->ledger).height, .time_ms = ledger_info(w->ledger).time_ms};
    struct bytes txs[WORLD_TXS];
    struct kv_batch batch = {0};
    for (uint32_t i = 0; i < w->result->n; i++)
        txs[i] = bytes_of_buf(&w->txs[i]);
    struct consensus_block block = {.header = &header, .txs = txs, .result = w->result};
    history_store(h, &block, &batch);
    assert_int_equal(kv_write(w->kv, &batch, true, NULL), ERR_OK);
    kv_batch_clear(&batch);
}

static struct history *opened(struct world *w)
{
    struct history *h;
    assert_int_equal(history_open(w->kv, ledger_info(w->ledger).height, &h, NULL), ERR_OK);
    return h;
}

static const struct history_place newest = {UINT64_MAX, UINT32_MAX};

static uint32_t read_all(const struct history *h, const struct pubkey *account, struct history_entry *out, uint32_t n)
{
    uint32_t count;
    assert_int_equal(history_read(h, account, newest, out, n, &count, NULL), ERR_OK);
    return count;
}

static void both_sides_of_a_transfer(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct history *h = opened(w);
    struct history_entry e[8];
    struct tx_transfer body = {.to = w->key[2], .amount = amount_of(5)};
    assert_true(text64_set(&body.memo, "for bread"));
    tx_transfer_put(world_body(w), &body);
    assert_int_equal(world_do(w, 1, TX_TRANSFER, bytes_of_buf(&w->body)), ERR_OK);
    store(w, h);
    assert_int_equal(read_all(h, &w->key[1], e, 8), 1);
    assert_true(e[0].what == HISTORY_TX && e[0].code == TX_TRANSFER && e[0].amount.mote == 5 && e[0].fee.mote > 0);
    assert_memory_equal(e[0].other.b, w->key[2].b, 32);
    assert_string_equal(e[0].memo.s, "for bread");
    assert_memory_equal(e[0].tx.b, w->last_id.b, 32);
    assert_int_equal(read_all(h, &w->key[2], e, 8), 1);
    assert_true(e[0].what == HISTORY_RECEIVED && e[0].amount.mote == 5 && e[0].height == 1);
    assert_memory_equal(e[0].other.b, w->key[1].b, 32);
    assert_string_equal(e[0].memo.s, "for bread");
    assert_int_equal(read_all(h, &w->key[3], e, 8), 0);
    /* One that fails is the signer's alone. */
    body.amount = amount_of(WORLD_FUND);
    tx_transfer_put(world_body(w), &body);
    assert_int_equal(world_do(w, 1, TX_TRANSFER, bytes_of_buf(&w->body)), ERR_FUNDS);
    store(w, h);
    assert_int_equal(read_all(h, &w->key[1], e, 8), 2);
    assert_true(e[0].result == ERR_FUNDS && e[1].result == ERR_OK);
    assert_int_equal(read_all(h, &w->key[2], e, 8), 1);
    history_close(h);
    world_free(w);
}

static void pages_are_newest_first_and_whole(void **state)
{
    (void)state;
    enum { SENT = 23, PAGE = 5 };
    struct world *w = world_new(NULL);
    struct history *h = opened(w);
    struct history_entry e[PAGE];
    struct history_place at = newest;
    uint64_t next = SENT;
    uint32_t n;
    for (uint64_t i = 1; i <= SENT; i++) {
        WORLD_ADD(w, 1, TX_TRANSFER, tx_transfer, .to = w->key[2], .amount = amount_of(i));
        if (i % 3 == 0 || i == SENT) {
            assert_int_equal(world_block(w), ERR_OK);
            store(w, h);
        }
    }
    do {
        assert_int_equal(history_read(h, &w->key[2], at, e, PAGE, &n, NULL), ERR_OK);
        for (uint32_t i = 0; i < n; i++)
            assert_true(e[i].amount.mote == next--);
        if (n)
            at = (struct history_place){e[n - 1].height, e[n - 1].place};
    } while (n == PAGE);
    assert_true(next == 0);
    history_close(h);
    world_free(w);
}

/* A batch that is built again after a failed commit replaces itself. */
static void a_block_counts_once(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct history *h = opened(w);
    struct history_entry e[8];
    assert_int_equal(WORLD_DO(w, 1, TX_TRANSFER, tx_transfer, .to = w->key[2], .amount = amount_of(5)), ERR_OK);
    store(w, h);
    store(w, h);
    assert_int_equal(read_all(h, &w->key[2], e, 8), 1);
    history_close(h);
    world_free(w);
}

static void says_from_where_it_is_whole(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct history *h = opened(w);
    assert_true(history_from(h) == 1);
    assert_int_equal(WORLD_DO(w, 1, TX_TRANSFER, tx_transfer, .to = w->key[2], .amount = amount_of(5)), ERR_OK);
    store(w, h);
    history_close(h);
    h = opened(w);
    assert_true(history_from(h) == 1);
    history_close(h);
    assert_int_equal(WORLD_DO(w, 1, TX_TRANSFER, tx_transfer, .to = w->key[2], .amount = amount_of(5)), ERR_OK);
    h = opened(w); /* a block went by while it was switched off */
    assert_true(history_from(h) == 3);
    history_close(h);
    world_free(w);
}

static void royalties_name_their_source(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct world_channel c;
    struct history_entry e[32];
    struct hash root = world_root(7);
    bool royalty = false;
    assert_int_equal(world_publish(w, 1, 7, 1000, 0, NULL, 0), ERR_OK);
    assert_int_equal(WORLD_DO(w, 2, TX_BOND, tx_bond, .role = BOND_PROVIDER, .amount = amount_of(MOTE_PER_KITH)),
                     ERR_OK);
    assert_int_equal(world_provide(w, 2, 3, 7, false), ERR_OK);
    assert_int_equal(world_open(w, &c, 4, 3, 7, MOTE_PER_KITH), ERR_OK);
    world_job(&c, 5000);
    assert_int_equal(world_settle(w, &c), ERR_OK);
    struct history *h = opened(w);
    for (int i = 0; i < 6 && !royalty; i++) {
        assert_int_equal(world_block(w), ERR_OK);
        store(w, h);
        uint32_t n = read_all(h, &w->key[1], e, 32);
        for (uint32_t k = 0; k < n; k++)
            royalty |= e[k].what == HISTORY_PAYOUT && e[k].code == PAYOUT_PUBLISHER && e[k].amount.mote == 500 &&
                       hash_equal(&e[k].subject, &root);
    }
    assert_true(royalty);
    history_close(h);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_sides_of_a_transfer),    cmocka_unit_test(pages_are_newest_first_and_whole),
        cmocka_unit_test(a_block_counts_once),         cmocka_unit_test(says_from_where_it_is_whole),
        cmocka_unit_test(royalties_name_their_source),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
