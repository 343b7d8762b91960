/* Signatures of transactions: one encoding, and collecting k of n offline. */
#include "chain/tx.h"
#include "tests/support.h"

#include <stdlib.h>
#include <string.h>

#define N 5

struct set { /* n keys in the order of their public keys */
    struct seckey secret[N];
    struct pubkey key[N];
    struct hashes keys;
};

static int by_key(const void *x, const void *y)
{
    struct pubkey a = key_public(x), b = key_public(y);
    return pubkey_compare(&a, &b);
}

static struct set make_set(void)
{
    static struct set s;
    for (unsigned i = 0; i < N; i++)
        memset(s.secret[i].b, (int)(7 * i + 1), sizeof s.secret[i].b);
    qsort(s.secret, N, sizeof *s.secret, by_key);
    for (unsigned i = 0; i < N; i++)
        s.key[i] = key_public(&s.secret[i]);
    s.keys = (struct hashes){s.key[0].b, N};
    return s;
}

static struct tx make_tx(struct buf *body)
{
    struct tx_bond bond = {1, amount_of(5)};
    struct tx t = {.nonce = 3, .fee = amount_of(77), .kind = TX_BOND};
    memset(t.signer.b, 0x11, sizeof t.signer.b);
    memset(t.chain.b, 0xcc, sizeof t.chain.b);
    tx_bond_put(body, &bond);
    t.body = bytes_of_buf(body);
    return t;
}

/* The next stage in place of the last. */
static enum err sign(struct buf *partial, const struct seckey *secret)
{
    struct buf next = {0};
    enum err e = tx_partial_sign(bytes_of_buf(partial), secret, &next, NULL);
    if (e == ERR_OK) {
        buf_reset(partial);
        buf_add(partial, next.p, next.n);
    }
    buf_clear(&next);
    return e;
}

static void three_of_five_in_any_order(void **state)
{
    (void)state;
    static const unsigned orders[][3] = {{0, 1, 2}, {4, 2, 0}, {3, 1, 4}, {1, 4, 0}};
    struct set s = make_set();
    for (unsigned o = 0; o < 4; o++) {
        struct buf body = {0}, partial = {0}, tx = {0};
        struct tx t = make_tx(&body), got;
        struct tx_partial p;
        struct seckey stranger = {{9}};
        assert_int_equal(tx_partial_begin(&partial, &t, 3, &s.keys, NULL), ERR_OK);
        for (unsigned i = 0; i < 3; i++) {
            assert_int_equal(tx_partial_decode(bytes_of_buf(&partial), &p, &got, NULL), ERR_OK);
            assert_int_equal(tx_partial_missing(&p), 3 - i);
            assert_int_equal(tx_partial_finish(bytes_of_buf(&partial), &tx, NULL), ERR_STATE);
            assert_int_equal(sign(&partial, &stranger), ERR_AUTH);
            assert_int_equal(sign(&partial, &s.secret[orders[o][i]]), ERR_OK);
            assert_int_equal(sign(&partial, &s.secret[orders[o][i]]), ERR_DUPLICATE);
        }
        for (unsigned i = 0; i < N; i++)
            assert_true(sign(&partial, &s.secret[i]) == ERR_STATE || sign(&partial, &s.secret[i]) == ERR_DUPLICATE);
        assert_int_equal(tx_partial_decode(bytes_of_buf(&partial), &p, &got, NULL), ERR_OK);
        assert_int_equal(tx_partial_finish(bytes_of_buf(&partial), &tx, NULL), ERR_OK);
        assert_int_equal(tx.n, tx_partial_size(&p));
        assert_int_equal(tx_decode(bytes_of_buf(&tx), &got, NULL), ERR_OK);
        assert_int_equal(tx_check(&got, &t.chain, NULL), ERR_OK);
        assert_int_equal(tx_authorized(&got, 3, &s.keys, NULL), ERR_OK);
        assert_int_equal(tx_authorized(&got, 2, &s.keys, NULL), ERR_AUTH);
        assert_int_equal(tx_authorized(&got, 4, &s.keys, NULL), ERR_AUTH);
        assert_int_equal(tx_authorized(&got, 0, &(struct hashes){0}, NULL), ERR_AUTH);
        t.version = TX_VERSION;
        struct hash id = tx_id(&t), id_got = tx_id(&got), id_raw = tx_id_of(bytes_of_buf(&tx));
        assert_true(hash_equal(&id, &id_got) && hash_equal(&id, &id_raw));
        assert_int_equal(tx_work(&got), 2 + 2);
        /* Without one of the keys that signed, it is not authorised. */
        struct hashes fewer = {s.key[orders[o][0] == 0 ? 1 : 0].b, orders[o][0] == 0 ? N - 1 : N};
        if (orders[o][0] == 0)
            assert_int_equal(tx_authorized(&got, 3, &fewer, NULL), ERR_AUTH);
        buf_clear(&body);
        buf_clear(&partial);
        buf_clear(&tx);
    }
}

/* Three signatures by the right keys, then each way to bend them. */
static void one_encoding(void **state)
{
    (void)state;
    struct set s = make_set();
    struct buf body = {0}, partial = {0}, tx = {0}, bent = {0};
    struct tx t = make_tx(&body), got;
    assert_int_equal(tx_partial_begin(&partial, &t, 2, &s.keys, NULL), ERR_OK);
    assert_int_equal(sign(&partial, &s.secret[1]), ERR_OK);
    assert_int_equal(sign(&partial, &s.secret[3]), ERR_OK);
    assert_int_equal(tx_partial_finish(bytes_of_buf(&partial), &tx, NULL), ERR_OK);
    uint8_t *list = tx.p + tx.n - 2 * COSIG_SIZE, swap[COSIG_SIZE];
    assert_int_equal(list[-1], 2);
    for (size_t cut = 1; cut < 2 * COSIG_SIZE + 2; cut++)
        assert_int_equal(tx_decode(bytes_of(tx.p, tx.n - cut), &got, NULL), ERR_FORMAT);
    /* Swapped, or one twice. */
    memcpy(swap, list, COSIG_SIZE);
    memcpy(list, list + COSIG_SIZE, COSIG_SIZE);
    assert_int_equal(tx_decode(bytes_of_buf(&tx), &got, NULL), ERR_FORMAT);
    memcpy(list + COSIG_SIZE, swap, COSIG_SIZE);
    assert_int_equal(tx_decode(bytes_of_buf(&tx), &got, NULL), ERR_FORMAT);
    memcpy(list, swap, COSIG_SIZE);
    assert_int_equal(tx_decode(bytes_of_buf(&tx), &got, NULL), ERR_FORMAT);
    /* More than a transaction may have. */
    buf_add(&bent, tx.p, (size_t)(list - tx.p));
    bent.p[bent.n - 1] = COSIGNERS_MAX + 1;
    for (unsigned i = 0; i <= COSIGNERS_MAX; i++) {
        swap[0] = (uint8_t)i;
        buf_add(&bent, swap, COSIG_SIZE);
    }
    assert_int_equal(tx_decode(bytes_of_buf(&bent), &got, NULL), ERR_FORMAT);
    bent.p[list - tx.p - 1] = COSIGNERS_MAX;
    assert_int_equal(tx_decode(bytes_of(bent.p, bent.n - COSIG_SIZE), &got, NULL), ERR_OK);
    assert_int_equal(tx_check(&got, &t.chain, NULL), ERR_AUTH);
    buf_clear(&body);
    buf_clear(&partial);
    buf_clear(&tx);
    buf_clear(&bent);
}

static void rules_that_are_none(void **state)
{
    (void)state;
    struct set s = make_set();
    struct pubkey bad[N];
    struct hashes keys = {bad[0].b, N};
    assert_int_equal(tx_rule_check(1, &s.keys, NULL), ERR_OK);
    assert_int_equal(tx_rule_check(N, &s.keys, NULL), ERR_OK);
    assert_int_equal(tx_rule_check(0, &s.keys, NULL), ERR_RANGE);
    assert_int_equal(tx_rule_check(N + 1, &s.keys, NULL), ERR_RANGE);
    assert_int_equal(tx_rule_check(1, &(struct hashes){s.key[0].b, 0}, NULL), ERR_RANGE);
    memcpy(bad, s.key, sizeof bad);
    bad[1] = bad[0];
    assert_int_equal(tx_rule_check(2, &keys, NULL), ERR_FORMAT);
    memcpy(bad, s.key, sizeof bad);
    memset(bad[N - 1].b, 0xff, sizeof bad[0].b); /* over the field's size: on no curve */
    assert_int_equal(tx_rule_check(2, &keys, NULL), ERR_FORMAT);
}

static void partials_that_are_none(void **state)
{
    (void)state;
    struct set s = make_set();
    struct buf body = {0}, partial = {0};
    struct tx t = make_tx(&body), got;
    struct tx_partial p;
    assert_int_equal(tx_partial_begin(&partial, &t, 2, &s.keys, NULL), ERR_OK);
    assert_int_equal(sign(&partial, &s.secret[2]), ERR_OK);
    for (size_t i = 0; i < partial.n; i++) { /* a flipped bit anywhere is seen: nobody adds his name to it */
        partial.p[i] ^= 1;
        enum err e = tx_partial_decode(bytes_of_buf(&partial), &p, &got, NULL);
        bool in_rule = i >= partial.n - 4 - COSIG_SIZE - N * HASH_SIZE - 5 && i < partial.n - 4 - COSIG_SIZE;
        assert_true(e != ERR_OK || in_rule); /* the rule is not signed: the ledger's own decides */
        partial.p[i] ^= 1;
    }
    for (size_t n = 0; n < partial.n; n++)
        assert_int_not_equal(tx_partial_decode(bytes_of(partial.p, n), &p, &got, NULL), ERR_OK);
    buf_clear(&body);
    buf_clear(&partial);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_of_five_in_any_order),
        cmocka_unit_test(one_encoding),
        cmocka_unit_test(rules_that_are_none),
        cmocka_unit_test(partials_that_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
