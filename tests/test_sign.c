/* Signed transactions: the fee foretold is the fee paid, and a quarter over the least that the ledger takes. */
#include "wallet/sign.h"

#include "tests/support.h"

#include <string.h>

static struct sign_terms some_terms(void)
{
    struct sign_terms terms = {.nonce = 7, .fee_per_byte = amount_of(10), .fee_per_work = amount_of(1000)};
    memset(terms.chain.b, 0xc1, HASH_SIZE);
    return terms;
}

static void signs_what_the_ledger_accepts(void **state)
{
    (void)state;
    struct sign_terms terms = some_terms();
    struct tx_transfer transfer = {.amount = amount_of(5)};
    struct seckey secret;
    struct buf body = {0}, raw = {0};
    struct amount foretold, paid;
    struct hash id, again;
    struct tx t;
    memset(secret.b, 3, sizeof secret.b);
    transfer.to = key_public(&secret);
    assert_true(text64_set(&transfer.memo, "for bread"));
    tx_transfer_put(&body, &transfer);
    assert_int_equal(sign_fee(&terms, TX_TRANSFER, bytes_of_buf(&body), &foretold, NULL), ERR_OK);
    assert_int_equal(sign_tx(&raw, &secret, &terms, TX_TRANSFER, bytes_of_buf(&body), &paid, &id, NULL), ERR_OK);
    assert_true(foretold.mote == paid.mote);
    assert_int_equal(tx_decode(bytes_of_buf(&raw), &t, NULL), ERR_OK);
    assert_int_equal(tx_check(&t, &terms.chain, NULL), ERR_OK);
    again = tx_id(&t);
    assert_true(hash_equal(&id, &again));
    assert_true(t.nonce == 7 && t.fee.mote == paid.mote);
    uint64_t least = 10 * raw.n + 1000 * tx_work(&t);
    assert_true(paid.mote == least + least / 4);
    /* On another chain it is worth nothing. */
    struct hash other = terms.chain;
    other.b[0] ^= 1;
    assert_int_equal(tx_check(&t, &other, NULL), ERR_CHAIN);
    buf_clear(&body);
    buf_clear(&raw);
}

static void refuses_a_body_of_another_kind(void **state)
{
    (void)state;
    struct sign_terms terms = some_terms();
    struct tx_bond bond = {.role = BOND_PROVIDER, .amount = amount_of(5)};
    struct seckey secret;
    struct buf body = {0}, raw = {0};
    struct amount fee;
    struct note note;
    memset(secret.b, 3, sizeof secret.b);
    tx_bond_put(&body, &bond);
    assert_int_not_equal(sign_fee(&terms, TX_TRANSFER, bytes_of_buf(&body), &fee, &note), ERR_OK);
    assert_int_not_equal(sign_tx(&raw, &secret, &terms, TX_TRANSFER, bytes_of_buf(&body), NULL, NULL, &note), ERR_OK);
    assert_int_equal(raw.n, 0);
    buf_clear(&body);
    buf_clear(&raw);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signs_what_the_ledger_accepts),
        cmocka_unit_test(refuses_a_body_of_another_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
