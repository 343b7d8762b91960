/* Pre-tokenizers: every family against its published regular expressions, run by a regular expression
 * engine over texts of many scripts (tests/pretok_cases.json holds the words' lengths); time. */
#include "base/file.h"
#include "base/json.h"
#include "inference/tok/pretok.h"
#include "inference/tok/unicode.h"
#include "tests/support.h"

#include <string.h>

static int compare(const char *name, const struct pretok *p, const json_t *text, const json_t *expected)
{
    struct pretok_words words = {0};
    pretok_split(p, bytes_of(json_string_value(text), json_string_length(text)), &words);
    bool same = words.n == json_array_size(expected);
    for (size_t i = 0; same && i < words.n; i++)
        same = words.lengths[i] == (uint32_t)json_integer_value(json_array_get(expected, i));
    if (!same)
        print_message("%s: '%s' is not cut as it should be\n", name, json_string_value(text));
    pretok_words_clear(&words);
    return !same;
}

static void cuts_as_published(void **state)
{
    (void)state;
    struct buf file = {0};
    struct note note = {{0}};
    if (file_read("tests/pretok_cases.json", 1u << 20, &file, &note) != ERR_OK)
        fail_msg("%s", note.text);
    json_t *all = json_parse(bytes_of_buf(&file), &note);
    if (!all)
        fail_msg("%s", note.text);
    const json_t *texts = json_object_get(all, "texts");
    json_t *families = json_object_get(all, "families"), *lengths;
    const char *name;
    int bad = 0;
    json_object_foreach(families, name, lengths)
    {
        const struct pretok *p = pretok_find(bytes_of_text(name));
        assert_non_null(p);
        for (size_t i = 0; i < json_array_size(texts); i++)
            bad += compare(name, p, json_array_get(texts, i), json_array_get(lengths, i));
    }
    assert_int_equal(json_object_size(families), 22);
    json_decref(all);
    buf_clear(&file);
    assert_int_equal(bad, 0);
}

static void names_are_known(void **state)
{
    (void)state;
    static const char *const known[] = {"gpt-2",
                                        "llama-bpe",
                                        "llama3",
                                        "qwen2",
                                        "starcoder",
                                        "refact",
                                        "deepseek-llm",
                                        "deepseek-coder",
                                        "falcon",
                                        "mpt",
                                        "tekken",
                                        "smollm",
                                        "llama-v3",
                                        "smaug-bpe",
                                        "deepseek-r1-qwen",
                                        "roberta-bpe",
                                        "jina-v2-code",
                                        "joyai-llm",
                                        "bailingmoe2",
                                        "llada-moe",
                                        "minimax-m2",
                                        "kimi-k2",
                                        "granite-embed-multi-97m",
                                        "poro-chat",
                                        "jina-v5-nano"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        assert_non_null(pretok_find(bytes_of_text(known[i])));
    static const char *const unknown[] = {"", " ", "gpt", "gpt-2 ", "gpt-2 phi-2", "bert-bge", "llama-bp"};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
        assert_null(pretok_find(bytes_of_text(unknown[i])));
    struct buf names = {0};
    pretok_names(&names);
    assert_non_null(strstr(buf_text(&names), "gpt-2, starcoder, llama-bpe"));
    buf_clear(&names);
    assert_true(pretok_prefers_words(pretok_find(bytes_of_text("llama-bpe"))));
    assert_false(pretok_prefers_words(pretok_find(bytes_of_text("gpt-2"))));
}

/* Any bytes are covered, and runs that no expression takes do not cost their square. */
static void covers_any_bytes(void **state)
{
    (void)state;
    static const char *const families[] = {"gpt-2",      "starcoder",    "llama-bpe",      "qwen2",       "tekken",
                                           "gpt-4o",     "deepseek-llm", "deepseek-coder", "deepseek-v3", "falcon",
                                           "default",    "minicpm5",     "jais-2",         "qwen35",      "laguna",
                                           "seed-coder", "exaone-moe",   "bloom",          "viking",      "kimi-k2"};
    static const char *const units[] = {" ",
                                        "\n",
                                        " \n",
                                        "\xff",
                                        "a",
                                        "A",
                                        "aA",
                                        "1",
                                        "'",
                                        "!",
                                        " !",
                                        "\xcc\x81",
                                        "\xe4\xb8\x80",
                                        " \xe4\xb8\x80",
                                        "\xc2\xaa"
                                        "A",
                                        "\xe3\x80\x80"};
    struct buf text = {0};
    for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
        buf_reset(&text);
        while (text.n < 200000)
            buf_add_text(&text, units[u]);
        buf_add_text(&text, "\xe4\xb8\x80");
        for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
            struct pretok_words words = {0};
            size_t sum = 0;
            pretok_split(pretok_find(bytes_of_text(families[i])), bytes_of_buf(&text), &words);
            for (size_t k = 0; k < words.n; k++) {
                assert_true(words.lengths[k] > 0);
                sum += words.lengths[k];
            }
            assert_true(sum == text.n);
            pretok_words_clear(&words);
        }
    }
    buf_clear(&text);
}

static void unicode_knows_its_classes(void **state)
{
    (void)state;
    static const struct {
        uint32_t c;
        enum unicode_class class;
    } cases[] = {{0, UNICODE_CONTROL},
                 {'A', UNICODE_LU},
                 {'z', UNICODE_LL},
                 {0x1c5, UNICODE_LT},
                 {0x2b0, UNICODE_LM},
                 {0x4e00, UNICODE_LO},
                 {0x9fff, UNICODE_LO},
                 {0x300, UNICODE_MN},
                 {0x903, UNICODE_MARK},
                 {'7', UNICODE_NUMBER},
                 {0xbd, UNICODE_NUMBER},
                 {'_', UNICODE_PUNCTUATION},
                 {'$', UNICODE_SYMBOL},
                 {0x1f999, UNICODE_SYMBOL},
                 {' ', UNICODE_SEPARATOR},
                 {0x200d, UNICODE_CONTROL},
                 {0x378, UNICODE_NONE},
                 {0xd800, UNICODE_NONE},
                 {0xe000, UNICODE_NONE},
                 {0x1df20, UNICODE_NONE},
                 {0x11f00, UNICODE_MN},
                 {0x10ffff, UNICODE_NONE},
                 {UNICODE_INVALID, UNICODE_NONE}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (unicode_class_of(cases[i].c) != cases[i].class)
            fail_msg("U+%04X is of class %d", cases[i].c, unicode_class_of(cases[i].c));
    assert_int_equal(unicode_to_lower(0xc4), 0xe4);
    assert_int_equal(unicode_to_upper(0xe4), 0xc4);
    assert_int_equal(unicode_to_upper('1'), '1');
    assert_int_equal(unicode_to_lower(0x1e921), 0x1e943);
}

static void unicode_takes_letters_apart(void **state)
{
    (void)state;
    static const struct {
        uint32_t c;
        size_t n;
        uint32_t parts[UNICODE_PARTS_MAX];
    } cases[] = {{'a', 1, {'a'}},
                 {0xc5, 2, {'A', 0x30a}},
                 {0xf8, 1, {0xf8}},
                 {0x1ea5, 3, {'a', 0x302, 0x301}},
                 {0x1f82, 4, {0x3b1, 0x313, 0x300, 0x345}},
                 {0x212b, 2, {'A', 0x30a}},
                 {0x9cb, 2, {0x9c7, 0x9be}},
                 {0xac00, 2, {0x1100, 0x1161}},
                 {0xd55c, 3, {0x1112, 0x1161, 0x11ab}},
                 {0xd7a3, 3, {0x1112, 0x1175, 0x11c2}},
                 {0xd7a4, 1, {0xd7a4}},
                 {0xf900, 1, {0x8c48}},
                 {0x2fa1d, 1, {0x2a600}},
                 {0x1d1c0, 3, {0x1d1ba, 0x1d165, 0x1d16f}},
                 {UNICODE_INVALID, 1, {UNICODE_INVALID}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t parts[UNICODE_PARTS_MAX] = {0};
        size_t n = unicode_decompose(cases[i].c, parts);
        if (n != cases[i].n || memcmp(parts, cases[i].parts, n * sizeof *parts) != 0)
            fail_msg("U+%04X has %zu parts, the first U+%04X", cases[i].c, n, parts[0]);
    }
}

static void utf8_reads_any_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        uint32_t c;
    } cases[] = {{"a", 1, 'a'},
                 {"\xc3\xa4", 2, 0xe4},
                 {"\xe2\x82\xac", 3, 0x20ac},
                 {"\xf0\x9f\xa6\x99", 4, 0x1f999},
                 {"\xf4\x8f\xbf\xbf", 4, 0x10ffff},
                 {"\xc0\x80", 1, UNICODE_INVALID},
                 {"\xc1\xbf", 1, UNICODE_INVALID},
                 {"\xe0\x9f\xbf", 1, UNICODE_INVALID},
                 {"\xed\xa0\x80", 1, UNICODE_INVALID},
                 {"\xf0\x8f\xbf\xbf", 1, UNICODE_INVALID},
                 {"\xf4\x90\x80\x80", 1, UNICODE_INVALID},
                 {"\xf8\x88\x80\x80\x80", 1, UNICODE_INVALID},
                 {"\x80", 1, UNICODE_INVALID},
                 {"\xe2\x82", 1, UNICODE_INVALID},
                 {"\xc3(", 1, UNICODE_INVALID}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t c;
        struct buf back = {0};
        assert_int_equal(unicode_get((const uint8_t *)cases[i].bytes, strlen(cases[i].bytes), &c), cases[i].n);
        assert_int_equal(c, cases[i].c);
        assert_true(unicode_is_utf8(bytes_of_text(cases[i].bytes)) == (c != UNICODE_INVALID));
        unicode_put(&back, c);
        assert_string_equal(buf_text(&back), c == UNICODE_INVALID ? "\xef\xbf\xbd" : cases[i].bytes);
        buf_clear(&back);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cuts_as_published),
        cmocka_unit_test(names_are_known),
        cmocka_unit_test(covers_any_bytes),
        cmocka_unit_test(unicode_knows_its_classes),
        cmocka_unit_test(unicode_takes_letters_apart),
        cmocka_unit_test(utf8_reads_any_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
