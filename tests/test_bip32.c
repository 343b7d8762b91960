/* BIP32: the published vectors, read from their base58 form here; paths; the account's own path. */
#include "wallet/bip32.h"

#include "base/file.h"
#include "base/json.h"
#include "tests/support.h"
#include "wallet/mnemonic.h"

#include <string.h>

/* Base58check of an extended key: 78 bytes and a checksum of four. */
static bool base58_key(const char *text, uint8_t out[82])
{
    static const char alphabet[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    memset(out, 0, 82);
    for (; *text; text++) {
        const char *at = strchr(alphabet, *text);
        if (!at)
            return false;
        unsigned carry = (unsigned)(at - alphabet);
        for (int i = 81; i >= 0; i--) {
            carry += out[i] * 58u;
            out[i] = (uint8_t)carry;
            carry >>= 8;
        }
    }
    struct hash once = hash_sha256(out, 78), twice = hash_sha256(once.b, sizeof once.b);
    return memcmp(twice.b, out + 78, 4) == 0;
}

static void check_chain(const struct buf *seed, const json_t *chain)
{
    uint32_t steps[BIP32_DEPTH_MAX];
    unsigned n;
    struct bip32_key key;
    uint8_t private[82], public[82];
    assert_int_equal(bip32_path_get(json_text(chain, "path"), steps, &n, NULL), ERR_OK);
    assert_true(bip32_master(&key, seed->p, seed->n));
    for (unsigned i = 0; i < n; i++)
        assert_true(bip32_child(&key, steps[i]));
    assert_true(base58_key(json_text(chain, "xprv"), private));
    assert_true(base58_key(json_text(chain, "xpub"), public));
    struct point p = key_point(&key.secret);
    assert_int_equal(private[4], n);
    assert_memory_equal(private + 13, key.chain, 32);
    assert_memory_equal(private + 46, key.secret.b, 32);
    assert_memory_equal(public + 13, key.chain, 32);
    assert_memory_equal(public + 45, p.b, 33);
}

static void agrees_with_the_vectors(void **state)
{
    (void)state;
    TEST_NEEDS(path, "vectors/bip32.json");
    struct buf file = {0};
    assert_int_equal(file_read(path, 4u << 20, &file, NULL), ERR_OK);
    json_t *all = json_parse(bytes_of_buf(&file), NULL), *v, *chain;
    size_t i, k, count = 0;
    json_array_foreach(json_object_get(all, "vectors"), i, v)
    {
        struct buf seed = {0};
        test_hex(&seed, json_text(v, "seed"));
        json_array_foreach(json_object_get(v, "chains"), k, chain)
        {
            check_chain(&seed, chain);
            count++;
        }
        buf_clear(&seed);
    }
    assert_int_equal(count, 17);
    json_decref(all);
    buf_clear(&file);
}

static void paths(void **state)
{
    (void)state;
    uint32_t s[BIP32_DEPTH_MAX];
    unsigned n;
    assert_int_equal(bip32_path_get("m", s, &n, NULL), ERR_OK);
    assert_int_equal(n, 0);
    assert_int_equal(bip32_path_get("m/44'/0h/2147483647H/7", s, &n, NULL), ERR_OK);
    assert_int_equal(n, 4);
    assert_true(s[0] == (44 | BIP32_HARD) && s[1] == BIP32_HARD && s[2] == UINT32_MAX && s[3] == 7);
    static const char *const bad[] = {
        "",    "n/0",  "m/",    "m/x",          "m//1",          "m/1/",
        "m1",  "m/-1", "m/1''", "m/2147483648", "m/99999999999", "m/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0",
        "/m/0"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_not_equal(bip32_path_get(bad[i], s, &n, NULL), ERR_OK);
}

/* Golden: the first accounts of the words "abandon ... about"; a wallet must find them again for ever. */
static void accounts_stay_where_they_are(void **state)
{
    (void)state;
    uint8_t seed[64];
    uint32_t steps[BIP32_DEPTH_MAX];
    unsigned n;
    mnemonic_seed("abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about", "",
                  seed);
    static const char *const path[] = {"m/44'/7717'/0'/0/0", "m/44'/7717'/1'/0/0"};
    for (uint32_t account = 0; account < 2; account++) {
        struct bip32_key key;
        struct seckey direct;
        assert_int_equal(bip32_path_get(path[account], steps, &n, NULL), ERR_OK);
        assert_true(bip32_master(&key, seed, sizeof seed));
        for (unsigned i = 0; i < n; i++)
            assert_true(bip32_child(&key, steps[i]));
        assert_true(bip32_account(&direct, seed, sizeof seed, account));
        assert_memory_equal(direct.b, key.secret.b, 32);
    }
    struct seckey first;
    char hex[65];
    assert_true(bip32_account(&first, seed, sizeof seed, 0));
    struct pubkey public = key_public(&first);
    hex_put(hex, public.b, sizeof public.b);
    assert_string_equal(hex, "11aeb851d23cc40d0c9d2a92bd4f51e5c8f1c36eafc0d978b246560e3e47ab8a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_vectors),
        cmocka_unit_test(paths),
        cmocka_unit_test(accounts_stay_where_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
