/* Accounts that several keys sign for, on the ledger. */
#include "tests/support.h"
#include "tests/world.h"

#include <stdlib.h>
#include <string.h>

#define KITH MOTE_PER_KITH

static int compare_keys(const void *x, const void *y)
{
    return pubkey_compare(x, y);
}

/* Keys 11 to 13, in order. */
static struct hashes three(const struct world *w, struct pubkey keys[3])
{
    memcpy(keys, &w->key[11], 3 * sizeof *keys);
    qsort(keys, 3, sizeof *keys, compare_keys);
    return (struct hashes){keys[0].b, 3};
}

/* A transfer of 1 KITH from key 1 to key 2, signed by `who` (0 ends), as raw bytes. */
static void transfer_by(struct world *w, struct buf *out, const unsigned *who, uint8_t k)
{
    struct pubkey keys[3];
    struct hashes list = three(w, keys);
    struct tx_transfer body = {.to = w->key[2], .amount = amount_of(KITH)};
    tx_transfer_put(world_body(w), &body);
    struct tx t = {.chain = w->chain,
                   .signer = w->key[1],
                   .nonce = w->nonce[1],
                   .fee = amount_of(KITH / 100),
                   .kind = TX_TRANSFER,
                   .body = bytes_of_buf(&w->body)};
    struct buf stage[2] = {{0}};
    unsigned at = 0;
    assert_int_equal(tx_partial_begin(&stage[0], &t, k, &list, NULL), ERR_OK);
    for (; *who; who++, at ^= 1) {
        buf_reset(&stage[at ^ 1]);
        assert_int_equal(tx_partial_sign(bytes_of_buf(&stage[at]), &w->secret[*who], &stage[at ^ 1], NULL), ERR_OK);
    }
    assert_int_equal(tx_partial_finish(bytes_of_buf(&stage[at]), out, NULL), ERR_OK);
    buf_clear(&stage[0]);
    buf_clear(&stage[1]);
}

static enum err check_raw(struct world *w, struct bytes raw)
{
    struct ledger_checked checked;
    static const struct ledger_pending none;
    struct note note;
    enum err e = ledger_check(w->ledger, raw, &none, &checked, &note);
    assert_int_equal(ledger_process(w->ledger, &raw, 1, &note), e); /* pool and block agree */
    return e;
}

static void two_of_three_spend(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct pubkey keys[3];
    struct rec_rule rule;
    struct buf raw = {0};
    assert_int_equal(WORLD_DO(w, 1, TX_ACCOUNT_RULE, tx_account_rule, 2, three(w, keys)), ERR_OK);
    const struct ledger_event *e = world_event(w, LEDGER_RULE, 0);
    assert_true(e && e->code == 2 && e->index == 3 && pubkey_equal(&e->a, &w->key[1]));
    assert_true(ledger_rule(w->ledger, &w->key[1], &rule) && rule.k == 2 && rule.keys.n == 3);

    /* Its own key is nobody now; nor are one, three, or others. */
    struct tx_transfer body = {.to = w->key[2], .amount = amount_of(KITH)};
    tx_transfer_put(world_body(w), &body);
    tx_build(&raw, &w->chain, &w->secret[1], 1, amount_of(KITH / 100), TX_TRANSFER, bytes_of_buf(&w->body));
    assert_int_equal(check_raw(w, bytes_of_buf(&raw)), ERR_AUTH);
    buf_reset(&raw);
    transfer_by(w, &raw, (const unsigned[]){12, 0}, 1);
    assert_int_equal(check_raw(w, bytes_of_buf(&raw)), ERR_AUTH);
    buf_reset(&raw);
    transfer_by(w, &raw, (const unsigned[]){12, 11, 13, 0}, 3);
    assert_int_equal(check_raw(w, bytes_of_buf(&raw)), ERR_AUTH);
    buf_reset(&raw);
    transfer_by(w, &raw, (const unsigned[]){13, 11, 0}, 2);
    assert_int_equal(check_raw(w, bytes_of_buf(&raw)), ERR_OK);
    assert_true(ledger_authorized(w->ledger, bytes_of_buf(&raw)));
    uint64_t before = world_balance(w, 2);
    world_add_raw(w, bytes_of_buf(&raw));
    assert_int_equal(world_block(w), ERR_OK);
    assert_true(world_balance(w, 2) == before + KITH);
    w->nonce[1]++;
    assert_int_equal(check_raw(w, bytes_of_buf(&raw)), ERR_NONCE); /* once */
    /* The listed keys' own accounts are not touched by it. */
    assert_int_equal(WORLD_DO(w, 11, TX_TRANSFER, tx_transfer, .to = w->key[2], .amount = amount_of(1)), ERR_OK);
    world_reopen(w);
    buf_reset(&raw);
    transfer_by(w, &raw, (const unsigned[]){11, 12, 0}, 2);
    assert_int_equal(check_raw(w, bytes_of_buf(&raw)), ERR_OK);
    buf_clear(&raw);
    world_free(w);
}

static void the_rule_ends_by_its_own_signers(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct pubkey keys[3];
    struct rec_rule rule;
    struct rec_account account;
    struct buf partial = {0}, next = {0}, raw = {0};
    assert_int_equal(WORLD_DO(w, 1, TX_ACCOUNT_RULE, tx_account_rule, 0, {0}), ERR_STATE);
    assert_int_equal(WORLD_DO(w, 1, TX_ACCOUNT_RULE, tx_account_rule, 4, three(w, keys)), ERR_RANGE);
    assert_int_equal(WORLD_DO(w, 1, TX_ACCOUNT_RULE, tx_account_rule, 0, three(w, keys)), ERR_FORMAT);
    assert_int_equal(WORLD_DO(w, 1, TX_ACCOUNT_RULE, tx_account_rule, 1, three(w, keys)), ERR_OK);
    struct tx_account_rule end = {0};
    tx_account_rule_put(world_body(w), &end);
    struct tx t = {.chain = w->chain, .signer = w->key[1], .nonce = w->nonce[1], .fee = amount_of(KITH)};
    t.kind = TX_ACCOUNT_RULE;
    t.body = bytes_of_buf(&w->body);
    struct hashes list = three(w, keys);
    assert_int_equal(tx_partial_begin(&partial, &t, 1, &list, NULL), ERR_OK);
    assert_int_equal(tx_partial_sign(bytes_of_buf(&partial), &w->secret[13], &next, NULL), ERR_OK);
    assert_int_equal(tx_partial_finish(bytes_of_buf(&next), &raw, NULL), ERR_OK);
    world_add_raw(w, bytes_of_buf(&raw));
    assert_int_equal(world_block(w), ERR_OK);
    w->nonce[1]++;
    assert_false(ledger_rule(w->ledger, &w->key[1], &rule));
    assert_true(ledger_account(w->ledger, &w->key[1], &account) && account.k == 0);
    buf_reset(&raw);
    transfer_by(w, &raw, (const unsigned[]){13, 0}, 1);
    assert_int_equal(check_raw(w, bytes_of_buf(&raw)), ERR_AUTH); /* its signers are nobody now */
    assert_int_equal(WORLD_DO(w, 1, TX_TRANSFER, tx_transfer, .to = w->key[2], .amount = amount_of(1)), ERR_OK);
    buf_clear(&partial);
    buf_clear(&next);
    buf_clear(&raw);
    world_free(w);
}

/* What follows a change of rule in its block would be in the block for nothing. */
static void nothing_follows_in_the_same_block(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct pubkey keys[3];
    struct bytes txs[2];
    struct note note;
    WORLD_ADD(w, 1, TX_ACCOUNT_RULE, tx_account_rule, 2, three(w, keys));
    WORLD_ADD(w, 1, TX_TRANSFER, tx_transfer, .to = w->key[2], .amount = amount_of(KITH));
    for (unsigned i = 0; i < 2; i++)
        txs[i] = bytes_of_buf(&w->txs[i]);
    assert_int_equal(ledger_process(w->ledger, txs, 2, &note), ERR_STATE);
    assert_int_equal(ledger_process(w->ledger, txs, 1, &note), ERR_OK);
    /* Decided all the same, it has no effect, not even a fee. */
    const struct ledger_result *result;
    struct ledger_block block = {.height = 1, .time_ms = w->time_ms, .proposer = w->key[0], .txs = txs, .n = 2};
    struct rec_account account;
    assert_int_equal(ledger_finalize(w->ledger, &block, &result, &note), ERR_OK);
    assert_int_equal(result->codes[0], ERR_OK);
    assert_int_equal(result->codes[1], ERR_AUTH);
    assert_true(ledger_account(w->ledger, &w->key[1], &account) && account.nonce == 1);
    assert_int_equal(ledger_commit(w->ledger, NULL, &note), ERR_OK);
    struct rec_result kept;
    assert_int_equal(ledger_tx_result(w->ledger, &w->last_id, &kept, &note), ERR_NOT_FOUND);
    supply_check(w->kv);
    world_free(w);
}

/* Its own key could promise the deposit away in vouchers. */
static void it_opens_no_channel(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct world_channel c;
    struct pubkey keys[3];
    assert_int_equal(WORLD_DO(w, 2, TX_BOND, tx_bond, BOND_PROVIDER, amount_of(5 * KITH)), ERR_OK);
    assert_int_equal(world_publish(w, 2, 7, 0, 0, NULL, 0), ERR_OK);
    assert_int_equal(world_provide(w, 2, 2, 7, false), ERR_OK);
    assert_int_equal(world_open(w, &c, 1, 2, 7, KITH), ERR_OK);
    assert_int_equal(WORLD_DO(w, 1, TX_ACCOUNT_RULE, tx_account_rule, 2, three(w, keys)), ERR_OK);
    assert_int_equal(world_open(w, &c, 1, 2, 7, KITH), ERR_STATE);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_of_three_spend),
        cmocka_unit_test(the_rule_ends_by_its_own_signers),
        cmocka_unit_test(nothing_follows_in_the_same_block),
        cmocka_unit_test(it_opens_no_channel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
