/* BIP39: the published vectors both ways, and what a person gets wrong. */
#include "wallet/mnemonic.h"

#include "base/file.h"
#include "base/json.h"
#include "tests/support.h"

#include <string.h>

static const char zeros[] =
    "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";

static void agrees_with_the_vectors(void **state)
{
    (void)state;
    TEST_NEEDS(path, "vectors/bip39.json");
    struct buf file = {0};
    struct note note;
    assert_int_equal(file_read(path, 4u << 20, &file, &note), ERR_OK);
    json_t *all = json_parse(bytes_of_buf(&file), &note), *v;
    assert_non_null(all);
    size_t i, count = 0;
    json_array_foreach(json_object_get(all, "english"), i, v)
    {
        const char *hex = json_string_value(json_array_get(v, 0)), *words = json_string_value(json_array_get(v, 1));
        const char *seed_hex = json_string_value(json_array_get(v, 2));
        uint8_t entropy[32], back[32], seed[64], expected[64];
        char text[MNEMONIC_TEXT_ROOM];
        size_t n = strlen(hex) / 2, back_n;
        assert_true(hex_get(hex, entropy, n));
        mnemonic_put(entropy, n, text);
        assert_string_equal(text, words);
        assert_int_equal(mnemonic_get(words, back, &back_n, &note), ERR_OK);
        assert_int_equal(back_n, n);
        assert_memory_equal(back, entropy, n);
        mnemonic_seed(text, "TREZOR", seed);
        assert_true(hex_get(seed_hex, expected, 64));
        assert_memory_equal(seed, expected, 64);
        count++;
    }
    assert_int_equal(count, 24);
    json_decref(all);
    buf_clear(&file);
}

static void the_list_is_the_published_one(void **state)
{
    (void)state;
    TEST_NEEDS(path, "vectors/bip39-english.txt");
    struct buf file = {0};
    assert_int_equal(file_read(path, 1u << 20, &file, NULL), ERR_OK);
    /* Word number w is the first of the phrase whose entropy begins with the eleven bits of w. */
    const char *line = buf_text(&file);
    for (unsigned w = 0; w < 2048; w++) {
        uint8_t entropy[16] = {(uint8_t)(w >> 3), (uint8_t)(w << 5)};
        char text[MNEMONIC_TEXT_ROOM];
        size_t n = strcspn(line, "\n");
        mnemonic_put(entropy, sizeof entropy, text);
        assert_int_equal(strcspn(text, " "), n);
        assert_memory_equal(text, line, n);
        line += n + 1;
    }
    buf_clear(&file);
}

static void takes_what_people_type(void **state)
{
    (void)state;
    uint8_t entropy[32];
    size_t n;
    static const char sloppy[] = "  Abandon abandon\tabandon abandon abandon abandon\n"
                                 "abandon ABANDON abandon abandon abandon   about \n";
    assert_int_equal(mnemonic_get(sloppy, entropy, &n, NULL), ERR_OK);
    assert_int_equal(n, 16);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(entropy[i], 0);
}

static void names_the_wrong_word(void **state)
{
    (void)state;
    static const struct {
        const char *words, *says;
    } bad[] = {
        {"", "0 words"},
        {"abandon", "1 words"},
        {"abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon", "11 words"},
        {"abandon abandom abandon abandon abandon abandon abandon abandon abandon abandon abandon about",
         "word 2, \"abandom\", is not in the list: did you mean \"abandon\"?"},
        {"abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon zzzzzzzz",
         "word 12, \"zzzzzzzz\", is not"},
        {"abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon", "checksum"},
        {"abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about abandon", "checksum"},
        {"abandonabandonabandonabandonabandonabandon", "word 1"},
        {"ab\xc3\xa9ndon abandon", "word 1"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint8_t entropy[32];
        size_t n;
        struct note note = {{0}};
        assert_int_equal(mnemonic_get(bad[i].words, entropy, &n, &note), ERR_FORMAT);
        if (!strstr(note.text, bad[i].says))
            fail_msg("\"%s\" should say \"%s\"", note.text, bad[i].says);
    }
}

static void every_length_returns(void **state)
{
    (void)state;
    for (size_t n = 16; n <= 32; n += 4)
        for (unsigned fill = 0; fill < 256; fill += 5) {
            uint8_t entropy[32], back[32];
            char text[MNEMONIC_TEXT_ROOM];
            size_t back_n;
            for (size_t i = 0; i < n; i++)
                entropy[i] = (uint8_t)(fill + i * 37);
            mnemonic_put(entropy, n, text);
            assert_int_equal(mnemonic_get(text, back, &back_n, NULL), ERR_OK);
            assert_int_equal(back_n, n);
            assert_memory_equal(entropy, back, n);
        }
    uint8_t nothing[16] = {0};
    char text[MNEMONIC_TEXT_ROOM];
    mnemonic_put(nothing, sizeof nothing, text);
    assert_string_equal(text, zeros);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_vectors), cmocka_unit_test(the_list_is_the_published_one),
        cmocka_unit_test(takes_what_people_type),  cmocka_unit_test(names_the_wrong_word),
        cmocka_unit_test(every_length_returns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
