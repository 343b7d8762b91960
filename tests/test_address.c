/* Addresses: BIP350's vectors for the encoding; keys there and back; every single wrong character is noticed. */
#include "wallet/address.h"

#include "base/file.h"
#include "base/json.h"
#include "tests/support.h"

#include <ctype.h>
#include <string.h>

static json_t *vectors(const char *path)
{
    struct buf file = {0};
    assert_int_equal(file_read(path, 4u << 20, &file, NULL), ERR_OK);
    json_t *all = json_parse(bytes_of_buf(&file), NULL);
    assert_non_null(all);
    buf_clear(&file);
    return all;
}

static enum err decode(const char *text)
{
    char hrp[BECH32M_MAX];
    uint8_t data[BECH32M_MAX];
    size_t n;
    return address_bech32m_get(text, hrp, data, &n, NULL);
}

static void agrees_with_the_vectors(void **state)
{
    (void)state;
    TEST_NEEDS(path, "vectors/bech32m.json");
    json_t *all = vectors(path), *v;
    size_t i, valid = 0, invalid = 0;
    json_array_foreach(json_object_get(all, "valid_bech32m"), i, v)
    {
        assert_int_equal(decode(json_string_value(v)), ERR_OK);
        valid++;
    }
    json_array_foreach(json_object_get(all, "invalid_bech32m"), i, v)
    {
        struct buf raw = {0};
        test_hex(&raw, json_text(v, "hex"));
        assert_int_equal(decode(buf_text(&raw)), ERR_FORMAT);
        buf_clear(&raw);
        invalid++;
    }
    assert_int_equal(valid, 7);
    assert_int_equal(invalid, 14);
    json_decref(all);
}

static struct pubkey some_key(uint8_t fill)
{
    struct seckey secret;
    memset(secret.b, fill, sizeof secret.b);
    return key_public(&secret);
}

static void keys_return(void **state)
{
    (void)state;
    static const char *const prefixes[] = {ADDRESS_PREFIX_MAIN, ADDRESS_PREFIX_DEV};
    for (int p = 0; p < 2; p++)
        for (uint8_t fill = 1; fill < 100; fill++) {
            struct pubkey key = some_key(fill), back;
            char text[ADDRESS_TEXT_ROOM];
            address_put(prefixes[p], &key, text);
            assert_int_equal(address_get(text, prefixes[p], &back, NULL), ERR_OK);
            assert_true(pubkey_equal(&key, &back));
            assert_int_equal(address_get(text, NULL, &back, NULL), ERR_OK);
            assert_int_equal(address_get(text, prefixes[!p], &back, NULL), ERR_CHAIN);
            for (char *c = text; *c; c++)
                *c = (char)toupper((unsigned char)*c);
            assert_int_equal(address_get(text, prefixes[p], &back, NULL), ERR_OK);
            assert_true(pubkey_equal(&key, &back));
        }
}

static void one_wrong_character_is_noticed(void **state)
{
    (void)state;
    static const char alphabet[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    struct pubkey key = some_key(7), back;
    char text[ADDRESS_TEXT_ROOM], wrong[ADDRESS_TEXT_ROOM];
    address_put(ADDRESS_PREFIX_MAIN, &key, text);
    size_t n = strlen(text);
    for (size_t at = 5; at < n; at++)
        for (const char *c = alphabet; *c; c++) {
            memcpy(wrong, text, n + 1);
            wrong[at] = *c;
            assert_int_equal(address_get(wrong, ADDRESS_PREFIX_MAIN, &back, NULL),
                             *c == text[at] ? ERR_OK : ERR_FORMAT);
        }
    for (size_t at = 0; at + 1 < n; at++) { /* swapped neighbours */
        memcpy(wrong, text, n + 1);
        wrong[at] = text[at + 1];
        wrong[at + 1] = text[at];
        if (wrong[at] != text[at])
            assert_int_not_equal(address_get(wrong, ADDRESS_PREFIX_MAIN, &back, NULL), ERR_OK);
    }
}

static void says_what_is_wrong(void **state)
{
    (void)state;
    struct pubkey key = some_key(9), back;
    char text[ADDRESS_TEXT_ROOM], damaged[ADDRESS_TEXT_ROOM + 40];
    address_put(ADDRESS_PREFIX_DEV, &key, text);
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"", "no prefix"},
        {"alice", "no prefix"},
        {"kith1", "too short"},
        {"kith1qqqqqb", "'b'"},
        {"kithdev1qqqqqQ", "mixes"},
        {"kith1 qqqqqqq", "character 6"},
        {"bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0", "not an address of Kith"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct note note = {{0}};
        assert_int_not_equal(address_get(bad[i].text, NULL, &back, &note), ERR_OK);
        if (!strstr(note.text, bad[i].says))
            fail_msg("\"%s\" should say \"%s\"", note.text, bad[i].says);
    }
    struct note note = {{0}};
    memcpy(damaged, text, sizeof text);
    damaged[20] = damaged[20] == 'q' ? 'p' : 'q';
    assert_int_equal(address_get(damaged, NULL, &back, &note), ERR_FORMAT);
    assert_non_null(strstr(note.text, "checksum"));
    assert_int_equal(address_get(text, ADDRESS_PREFIX_MAIN, &back, &note), ERR_CHAIN);
    assert_non_null(strstr(note.text, "another network"));
}

/* x = 5 is on no point of secp256k1: an address of it could never be spent from. */
static void refuses_what_is_no_key(void **state)
{
    (void)state;
    struct pubkey key = {{0}}, back;
    char text[ADDRESS_TEXT_ROOM];
    key.b[31] = 5;
    assert_false(key_public_is_valid(&key));
    address_put(ADDRESS_PREFIX_MAIN, &key, text);
    assert_int_equal(address_get(text, ADDRESS_PREFIX_MAIN, &back, NULL), ERR_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_vectors),        cmocka_unit_test(keys_return),
        cmocka_unit_test(one_wrong_character_is_noticed), cmocka_unit_test(says_what_is_wrong),
        cmocka_unit_test(refuses_what_is_no_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
