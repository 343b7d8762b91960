/* The pool over a real ledger: nonces in order, fees in order, bounds, what a block takes away. */
#include "node/consensus/mempool.h"
#include "tests/support.h"
#include "tests/world.h"

#include <stdlib.h>

struct fixture {
    struct world *w;
    struct mempool *pool;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->w = world_new(NULL);
    f->pool = mempool_new(f->w->ledger, (const uint8_t[16]){7});
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    mempool_free(f->pool);
    world_free(f->w);
    free(f);
    return 0;
}

static struct buf transfer(const struct fixture *f, unsigned who, uint64_t nonce, uint64_t fee)
{
    struct buf body = {0}, tx = {0};
    tx_transfer_put(&body, &(struct tx_transfer){.to = f->w->key[2], .amount = amount_of(1)});
    tx_build(&tx, &f->w->chain, &f->w->secret[who], nonce, amount_of(fee), TX_TRANSFER, bytes_of_buf(&body));
    buf_clear(&body);
    return tx;
}

static enum err add(struct fixture *f, unsigned who, uint64_t nonce, uint64_t fee)
{
    struct buf tx = transfer(f, who, nonce, fee);
    struct note note = {{0}};
    struct hash id = {{0}};
    enum err e = mempool_add(f->pool, bytes_of_buf(&tx), &id, &note);
    assert_int_equal(mempool_has(f->pool, &id), e == ERR_OK || e == ERR_DUPLICATE);
    assert_true(e == ERR_OK || note.text[0]);
    buf_clear(&tx);
    return e;
}

#define FEE (MOTE_PER_KITH / 10)

static void nonces_come_in_order(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(add(f, 1, 1, FEE), ERR_NONCE);
    assert_int_equal(add(f, 1, 0, FEE), ERR_OK);
    assert_int_equal(add(f, 1, 0, FEE), ERR_DUPLICATE);
    assert_int_equal(add(f, 1, 0, 2 * FEE), ERR_NONCE); /* its place is taken */
    assert_int_equal(add(f, 1, 1, FEE), ERR_OK);
    assert_int_equal(mempool_nonce(f->pool, &f->w->key[1]), 2);
    assert_int_equal(mempool_count(f->pool), 2);
}

/* What waits when its account changes who signs for it can never be in a block. */
static void a_new_rule_empties_the_queue(void **state)
{
    struct fixture *f = *state;
    struct pubkey key = f->w->key[5];
    assert_int_equal(add(f, 1, 0, FEE), ERR_OK);
    assert_int_equal(add(f, 1, 1, FEE), ERR_OK);
    assert_int_equal(add(f, 3, 0, FEE), ERR_OK);
    assert_int_equal(WORLD_DO(f->w, 1, TX_ACCOUNT_RULE, tx_account_rule, 1, {key.b, 1}), ERR_OK);
    mempool_step(f->pool);
    assert_int_equal(mempool_count(f->pool), 1);
    assert_int_equal(mempool_nonce(f->pool, &f->w->key[1]), 1);
    assert_int_equal(add(f, 1, 1, FEE), ERR_AUTH);
    assert_int_equal(add(f, 3, 1, FEE), ERR_OK);
}

static void garbage_is_refused(void **state)
{
    struct fixture *f = *state;
    struct buf tx = transfer(f, 1, 0, FEE);
    assert_int_equal(mempool_add(f->pool, bytes_of_text("no"), NULL, NULL), ERR_FORMAT);
    tx.p[tx.n - 1] ^= 1;
    assert_int_equal(mempool_add(f->pool, bytes_of_buf(&tx), NULL, NULL), ERR_AUTH);
    buf_clear(&tx);
    assert_int_equal(add(f, 1, 0, 1), ERR_RANGE); /* too small a fee */
    assert_int_equal(mempool_count(f->pool), 0);
    assert_int_equal(mempool_bytes(f->pool), 0);
}

static void better_fees_go_first_and_nonces_stay_in_order(void **state)
{
    struct fixture *f = *state;
    static struct bytes txs[BLOCK_TXS_MAX];
    assert_int_equal(add(f, 1, 0, FEE), ERR_OK);
    assert_int_equal(add(f, 1, 1, 9 * FEE), ERR_OK);
    assert_int_equal(add(f, 2, 0, 3 * FEE), ERR_OK);
    assert_int_equal(add(f, 3, 0, 2 * FEE), ERR_OK);
    assert_int_equal(mempool_prepare(f->pool, BLOCK_SIZE_MAX, txs), 4);
    static const struct {
        unsigned who;
        uint64_t nonce;
    } order[] = {{2, 0}, {3, 0}, {1, 0}, {1, 1}};
    for (unsigned i = 0; i < 4; i++) {
        struct tx t;
        assert_int_equal(tx_decode(txs[i], &t, NULL), ERR_OK);
        assert_true(pubkey_equal(&t.signer, &f->w->key[order[i].who]));
        assert_int_equal(t.nonce, order[i].nonce);
    }
    assert_int_equal(ledger_process(f->w->ledger, txs, 4, NULL), ERR_OK);
    assert_int_equal(mempool_prepare(f->pool, 2 * txs[0].n, txs), 2); /* as many as fit */
}

/* A block with some of them, and one that another node's pool had instead of ours. */
static void a_block_takes_what_it_holds(void **state)
{
    struct fixture *f = *state;
    for (uint64_t n = 0; n < 5; n++)
        assert_int_equal(add(f, 1, n, FEE), ERR_OK);
    assert_int_equal(add(f, 2, 0, FEE), ERR_OK);
    for (int i = 0; i < 3; i++)
        WORLD_ADD(f->w, 1, TX_TRANSFER, tx_transfer, .to = f->w->key[3], .amount = amount_of(7));
    assert_int_equal(world_block(f->w), ERR_OK);
    mempool_step(f->pool);
    assert_int_equal(mempool_count(f->pool), 3);
    assert_int_equal(mempool_nonce(f->pool, &f->w->key[1]), 5);
    /* now its money goes: what can no longer pay its fee leaves */
    WORLD_ADD(f->w, 2, TX_TRANSFER, tx_transfer, .to = f->w->key[3],
              .amount = amount_of(WORLD_FUND - MOTE_PER_KITH / 1000));
    assert_int_equal(world_block(f->w), ERR_OK);
    mempool_step(f->pool);
    assert_int_equal(mempool_count(f->pool), 2);
}

/* Fees behind a spend of all there is will not be paid, and take no room. */
static void fees_are_covered_behind_what_is_spent(void **state)
{
    struct fixture *f = *state;
    struct buf body = {0}, tx = {0};
    tx_transfer_put(&body,
                    &(struct tx_transfer){.to = f->w->key[2], .amount = amount_of(WORLD_FUND - 2 * FEE - FEE / 2)});
    tx_build(&tx, &f->w->chain, &f->w->secret[1], 0, amount_of(FEE), TX_TRANSFER, bytes_of_buf(&body));
    assert_int_equal(mempool_add(f->pool, bytes_of_buf(&tx), NULL, NULL), ERR_OK);
    assert_int_equal(add(f, 1, 1, FEE), ERR_OK);
    assert_int_equal(add(f, 1, 2, FEE), ERR_FUNDS);
    assert_int_equal(mempool_count(f->pool), 2);
    buf_clear(&body);
    buf_clear(&tx);
}

/* Who pays a quarter more has the place of the last of those that pay least, however much what stands behind one of
 * them offers. */
static void a_full_pool_gives_way_to_better_fees(void **state)
{
    struct fixture *f = *state;
    uint64_t fee = MOTE_PER_KITH / 1000;
    for (unsigned who = 1; who < WORLD_KEYS; who++)
        assert_int_equal(WORLD_DO(f->w, who, TX_TRANSFER, tx_transfer, f->w->key[0], amount_of(MOTE_PER_KITH), {0}),
                         ERR_OK);
    mempool_set_max(f->pool, 30);
    for (unsigned k = 0; k < 30; k++)
        assert_int_equal(add(f, 1 + k % 3, 1 + k / 3, k % 3 == 1 && k / 3 ? 100 * fee : 2 * fee), ERR_OK);
    assert_int_equal(add(f, 4, 1, 2 * fee), ERR_FULL);
    assert_int_equal(add(f, 1, 11, 9 * fee), ERR_FULL); /* behind its own cheap ones */
    assert_int_equal(add(f, 4, 1, 3 * fee), ERR_OK);
    assert_int_equal(mempool_count(f->pool), 30);
    for (unsigned k = 0; k < 29; k++) /* until all that pay less are gone, the dear ones behind a cheap one too */
        assert_int_equal(add(f, 4, 2 + k, 3 * fee), ERR_OK);
    assert_int_equal(mempool_count(f->pool), 30);
    assert_int_equal(add(f, 5, 1, 3 * fee), ERR_FULL);
    assert_int_equal(mempool_nonce(f->pool, &f->w->key[2]), 1);
}

static void one_account_has_its_bound(void **state)
{
    struct fixture *f = *state;
    for (uint64_t n = 0; n < MEMPOOL_SIGNER_MAX; n++)
        assert_int_equal(add(f, 1, n, FEE), ERR_OK);
    assert_int_equal(add(f, 1, MEMPOOL_SIGNER_MAX, FEE), ERR_FULL);
    assert_int_equal(add(f, 2, 0, FEE), ERR_OK); /* and takes nothing from others */
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(nonces_come_in_order),
        T(a_new_rule_empties_the_queue),
        T(garbage_is_refused),
        T(better_fees_go_first_and_nonces_stay_in_order),
        T(a_block_takes_what_it_holds),
        T(fees_are_covered_behind_what_is_spent),
        T(a_full_pool_gives_way_to_better_fees),
        T(one_account_has_its_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
