/* Transactions that travel as files: one signer, several, copies that add up, words, and files that are wrong. */
#include "wallet/offline.h"
#include "tests/support.h"

#include <stdlib.h>
#include <string.h>

static struct seckey secret_of(uint8_t fill)
{
    struct seckey secret;
    memset(secret.b, fill, sizeof secret.b);
    return secret;
}

static struct pubkey key_of(uint8_t fill)
{
    struct seckey secret = secret_of(fill);
    return key_public(&secret);
}

static int order(const void *x, const void *y)
{
    return memcmp(x, y, 32);
}

/* Three keys, sorted as a rule wants them. */
static struct hashes rule_keys(struct pubkey keys[3])
{
    for (int i = 0; i < 3; i++)
        keys[i] = key_of((uint8_t)(2 + i));
    qsort(keys, 3, sizeof *keys, order);
    return (struct hashes){keys[0].b, 3};
}

static struct offline made(uint8_t k, uint64_t mote)
{
    struct offline o;
    struct pubkey keys[3];
    struct hashes all = rule_keys(keys);
    struct buf body = {0};
    struct tx_transfer transfer = {.to = key_of(9), .amount = amount_of(mote)};
    assert_true(text64_set(&transfer.memo, "rent"));
    tx_transfer_put(&body, &transfer);
    struct tx t = {.chain = {{7}},
                   .signer = key_of(1),
                   .nonce = 4,
                   .fee = amount_of(1000),
                   .kind = TX_TRANSFER,
                   .body = bytes_of_buf(&body)};
    assert_int_equal(offline_begin(&o, "kith", &t, k, k ? &all : &(struct hashes){0}, NULL), ERR_OK);
    buf_clear(&body);
    return o;
}

/* Through a file and back. */
static void carry(struct offline *o)
{
    struct buf file = {0};
    struct offline next;
    offline_put(&file, o);
    assert_int_equal(offline_get(bytes_of_buf(&file), &next, NULL), ERR_OK);
    assert_true(bytes_equal(bytes_of_buf(&o->partial), bytes_of_buf(&next.partial)));
    offline_clear(o);
    buf_clear(&file);
    *o = next;
}

static void finished_is_valid(const struct offline *o, uint8_t k)
{
    struct buf raw = {0};
    struct tx t;
    struct pubkey keys[3];
    struct hashes all = rule_keys(keys);
    assert_int_equal(tx_partial_finish(bytes_of_buf(&o->partial), &raw, NULL), ERR_OK);
    assert_int_equal(tx_decode(bytes_of_buf(&raw), &t, NULL), ERR_OK);
    assert_int_equal(tx_check(&t, &(struct hash){{7}}, NULL), ERR_OK);
    assert_int_equal(tx_authorized(&t, k, &all, NULL), ERR_OK);
    assert_int_equal(raw.n, tx_partial_size(&o->p));
    buf_clear(&raw);
}

static void one_signer(void **state)
{
    (void)state;
    struct offline o = made(0, 5);
    struct seckey own = secret_of(1), other = secret_of(2);
    struct pubkey own_key = key_of(1), other_key = key_of(2);
    struct buf raw = {0};
    carry(&o);
    assert_true(offline_wants(&o, &own_key));
    assert_false(offline_wants(&o, &other_key));
    assert_int_equal(offline_sign(&o, &other, NULL), ERR_AUTH);
    assert_int_equal(tx_partial_finish(bytes_of_buf(&o.partial), &raw, NULL), ERR_STATE);
    assert_int_equal(offline_sign(&o, &own, NULL), ERR_OK);
    carry(&o);
    assert_false(offline_wants(&o, &own_key));
    finished_is_valid(&o, 0);
    offline_clear(&o);
    buf_clear(&raw);
}

static void two_of_three(void **state)
{
    (void)state;
    struct offline o = made(2, 5);
    struct seckey first = secret_of(4), second = secret_of(2), own = secret_of(1), third = secret_of(3);
    assert_int_equal(offline_sign(&o, &own, NULL), ERR_AUTH);
    assert_int_equal(offline_sign(&o, &first, NULL), ERR_OK);
    assert_int_equal(offline_sign(&o, &first, NULL), ERR_DUPLICATE);
    carry(&o);
    assert_int_equal(tx_partial_missing(&o.p), 1);
    assert_int_equal(offline_sign(&o, &second, NULL), ERR_OK);
    assert_int_equal(offline_sign(&o, &third, NULL), ERR_STATE);
    carry(&o);
    finished_is_valid(&o, 2);
    offline_clear(&o);
}

static void copies_add_up(void **state)
{
    (void)state;
    struct offline a = made(2, 5), b = made(2, 5), c = made(2, 6);
    struct seckey one = secret_of(2), two = secret_of(3), three = secret_of(4);
    struct note note;
    assert_int_equal(offline_sign(&a, &one, NULL), ERR_OK);
    assert_int_equal(offline_sign(&b, &two, NULL), ERR_OK);
    assert_int_equal(offline_sign(&c, &two, NULL), ERR_OK);
    assert_int_equal(offline_merge(&a, &c, &note), ERR_MISMATCH);
    assert_int_equal(offline_merge(&a, &b, NULL), ERR_OK);
    assert_int_equal(tx_partial_missing(&a.p), 0);
    /* Again, and more than is needed, changes nothing. */
    assert_int_equal(offline_merge(&a, &b, NULL), ERR_OK);
    offline_clear(&c);
    c = made(2, 5);
    assert_int_equal(offline_sign(&c, &three, NULL), ERR_OK);
    assert_int_equal(offline_merge(&a, &c, NULL), ERR_OK);
    finished_is_valid(&a, 2);
    offline_clear(&a);
    offline_clear(&b);
    offline_clear(&c);
}

static void says_what_is_signed(void **state)
{
    (void)state;
    struct offline o = made(2, 5000000000);
    struct buf words = {0};
    offline_describe(&words, &o);
    assert_non_null(strstr(buf_text(&words), "send 5 KITH to kith1"));
    assert_non_null(strstr(buf_text(&words), ": rent\n"));
    assert_non_null(strstr(buf_text(&words), "fee        0.000001 KITH"));
    assert_non_null(strstr(buf_text(&words), "signatures 0 of 2"));
    offline_clear(&o);
    buf_clear(&words);
}

/* Whatever a courier changes is noticed before the next one signs, or is another transaction in its words. */
static void changed_files_are_noticed(void **state)
{
    (void)state;
    struct offline o = made(2, 5), got;
    struct seckey one = secret_of(2);
    struct buf file = {0};
    unsigned changed = 0;
    assert_int_equal(offline_sign(&o, &one, NULL), ERR_OK);
    offline_put(&file, &o);
    const char *start = strstr(buf_text(&file), "\"partial\":\"") + 11;
    for (size_t i = (size_t)(start - buf_text(&file)); file.p[i] != '"'; i++) {
        uint8_t old = file.p[i];
        file.p[i] = old == '0' ? '1' : '0';
        if (offline_get(bytes_of_buf(&file), &got, NULL) == ERR_OK) {
            changed++; /* only the rule's list is not under the signature; the ledger has its own */
            assert_true(bytes_equal(got.p.content, o.p.content));
            offline_clear(&got);
        }
        file.p[i] = old;
    }
    assert_true(changed < 200);
    offline_clear(&o);
    buf_clear(&file);
}

static void wrong_files_say_so(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "[]",
        "{}",
        "{\"kith\":\"transaction to sign\",\"version\":1,\"prefix\":\"kith\",\"partial\":\"00\"}",
        "{\"kith\":\"transaction to sign\",\"version\":2,\"prefix\":\"kith\",\"partial\":\"00\"}",
        "{\"kith\":\"transaction to sign\",\"version\":1,\"prefix\":\"btc\",\"partial\":\"00\"}",
        "{\"kith\":\"transaction to sign\",\"version\":1,\"prefix\":\"kith\",\"partial\":\"0g\"}",
        "{\"kith\":\"transaction to sign\",\"version\":1,\"prefix\":\"kith\",\"partial\":\"000\"}",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct offline o;
        struct note note = {{0}};
        assert_int_not_equal(offline_get(bytes_of_text(wrong[i]), &o, &note), ERR_OK);
        assert_true(note.text[0]);
        assert_int_equal(o.partial.n, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_signer),         cmocka_unit_test(two_of_three),
        cmocka_unit_test(copies_add_up),      cmocka_unit_test(says_what_is_signed),
        cmocka_unit_test(wrong_files_say_so), cmocka_unit_test(changed_files_are_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
