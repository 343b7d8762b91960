/* Vouchers, steps, receipts: signatures bind every field; the Merkle-sum tree proves each leaf and nothing else. */
#include "chain/market_records.h"
#include "tests/support.h"

#include <string.h>

#define LEAVES 19

static struct seckey secret_of(uint8_t b)
{
    struct seckey s;
    memset(s.b, b, sizeof s.b);
    return s;
}

static void signatures_bind_every_byte(void **state)
{
    (void)state;
    struct seckey payer = secret_of(3);
    struct pubkey key = key_public(&payer);
    struct voucher v = {.cumulative = amount_of(5), .tokens_in = 6, .receipts = 1}, got;
    struct receipt r = {.tokens_in = 1, .price = amount_of(2)}, got_receipt;
    struct sig sig, receipt_sig;
    struct buf raw = {0};
    voucher_sign(&v, &payer, &sig);
    receipt_sign(&r, &payer, &receipt_sig);
    assert_true(voucher_verify(&v, &key, &sig));
    assert_true(receipt_verify(&r, &key, &receipt_sig));
    voucher_put(&raw, &v);
    for (size_t i = 0; i < raw.n; i++) {
        struct cursor c = cursor_of(bytes_of_buf(&raw));
        raw.p[i] ^= 1;
        voucher_get(&c, &got);
        assert_true(cursor_end(&c));
        assert_false(voucher_verify(&got, &key, &sig));
        raw.p[i] ^= 1;
    }
    buf_reset(&raw);
    receipt_put(&raw, &r);
    for (size_t i = 0; i < raw.n; i++) {
        struct cursor c = cursor_of(bytes_of_buf(&raw));
        raw.p[i] ^= 1;
        receipt_get(&c, &got_receipt);
        assert_false(receipt_verify(&got_receipt, &key, &receipt_sig));
        raw.p[i] ^= 1;
    }
    buf_clear(&raw);
}

static void make_leaves(struct sum_node leaves[LEAVES])
{
    for (uint32_t i = 0; i < LEAVES; i++)
        leaves[i] = sum_leaf(&(struct receipt){.tokens_in = i, .tokens_out = 2 * i, .price = amount_of(3 * i)});
}

static void every_leaf_is_proven_in_its_place_only(void **state)
{
    (void)state;
    struct sum_node leaves[LEAVES], top;
    struct buf proof = {0};
    make_leaves(leaves);
    for (uint32_t n = 1; n <= LEAVES; n++) {
        assert_true(sum_tree_top(leaves, n, &top));
        assert_true(top.amount.mote == 3 * n * (n - 1) / 2 && top.tokens_out == n * (n - 1));
        struct hash root = sum_root(&top, n);
        for (uint32_t i = 0; i < n; i++) {
            buf_reset(&proof);
            assert_true(sum_tree_prove(leaves, n, i, &proof));
            assert_int_equal(proof.n % SUM_NODE_SIZE, 0);
            assert_true(sum_tree_verify(&root, n, i, &leaves[i], bytes_of_buf(&proof)));
            for (uint32_t k = 0; k <= n; k++)
                assert_int_equal(sum_tree_verify(&root, n, k, &leaves[i], bytes_of_buf(&proof)), k == i);
            assert_false(sum_tree_verify(&root, n + 1, i, &leaves[i], bytes_of_buf(&proof)));
            struct sum_node richer = leaves[i];
            richer.amount.mote++;
            assert_false(sum_tree_verify(&root, n, i, &richer, bytes_of_buf(&proof)));
            buf_add(&proof, "x", 1);
            assert_false(sum_tree_verify(&root, n, i, &leaves[i], bytes_of_buf(&proof)));
        }
        assert_false(sum_tree_prove(leaves, n, n, &proof));
    }
    assert_true(sum_tree_top(leaves, 0, &top));
    assert_true(hash_is_zero(&top.hash) && top.amount.mote == 0);
    buf_clear(&proof);
}

static void sums_that_overflow_are_refused(void **state)
{
    (void)state;
    struct sum_node leaves[3] = {{.amount = {UINT64_MAX}}, {.amount = {1}}, {.tokens_in = UINT64_MAX}}, top;
    struct buf proof = {0};
    assert_false(sum_tree_top(leaves, 2, &top));
    assert_false(sum_tree_prove(leaves, 3, 2, &proof));
    leaves[0].amount.mote = UINT64_MAX - 1;
    assert_true(sum_tree_top(leaves, 2, &top));
    assert_true(top.amount.mote == UINT64_MAX);
    /* A proof with such a sibling is refused and nothing else happens. */
    buf_reset(&proof);
    sum_node_put(&proof, &leaves[0]);
    leaves[1].amount.mote = 2;
    assert_false(sum_tree_verify(&(struct hash){{0}}, 2, 1, &leaves[1], bytes_of_buf(&proof)));
    buf_clear(&proof);
}

static void hashes_are_the_documented_ones(void **state)
{
    (void)state;
    struct receipt r = {.tokens_in = 1, .tokens_out = 2, .price = amount_of(3)};
    struct hash rh = receipt_hash(&r);
    struct sum_node leaf = sum_leaf(&r);
    struct buf by_hand = {0};
    buf_add(&by_hand, "leaf", 4);
    buf_add(&by_hand, rh.b, 32);
    const uint64_t sums[] = {3, 1, 2};
    for (unsigned i = 0; i < 3; i++)
        codec_put_u64(&by_hand, &sums[i]);
    struct hash want = hash_once(HASH_SUM, by_hand.p, by_hand.n);
    assert_true(hash_equal(&leaf.hash, &want));
    const uint8_t salt[32] = {7};
    buf_reset(&by_hand);
    buf_add(&by_hand, salt, 32);
    buf_add(&by_hand, "content", 7);
    want = hash_once(HASH_COMMIT, by_hand.p, by_hand.n);
    struct hash got = receipt_commit(salt, bytes_of_text("content"));
    assert_true(hash_equal(&got, &want));
    buf_clear(&by_hand);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signatures_bind_every_byte),
        cmocka_unit_test(every_leaf_is_proven_in_its_place_only),
        cmocka_unit_test(sums_that_overflow_are_refused),
        cmocka_unit_test(hashes_are_the_documented_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
