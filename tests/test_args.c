/* Options against their table. */
#include "cli/args.h"
#include "tests/support.h"

#include <string.h>

static const struct option_spec global[] = {
    {.name = "json", .type = OPTION_FLAG, .help = ""},
    {.name = "home", .type = OPTION_TEXT, .value = "DIR", .help = ""},
    {.name = NULL},
};
static const struct option_spec table[] = {
    {.name = "tokens", .type = OPTION_COUNT, .value = "N", .preset = "64", .least = 1, .most = 1000, .help = ""},
    {.name = "temp", .type = OPTION_REAL, .value = "T", .preset = "0", .help = ""},
    {.name = "seed", .type = OPTION_HEX32, .value = "HEX", .help = ""},
    {.name = "price", .type = OPTION_AMOUNT, .value = "KITH", .preset = "0.5", .help = ""},
    {.name = "message", .type = OPTION_TEXT, .value = "TEXT", .letter = 'm', .help = ""},
    {.name = "model", .type = OPTION_TEXT, .value = "ROOT", .many = true, .help = ""},
    {.name = NULL},
};

#define PARSE(a, note, ...)                                                                                            \
    args_parse(a, global, table, (int)(sizeof((char *[]){__VA_ARGS__}) / sizeof(char *)), (char *[]){__VA_ARGS__}, note)

static void presets_hold_until_given(void **state)
{
    (void)state;
    struct args a;
    assert_int_equal(args_parse(&a, global, table, 0, NULL, NULL), ERR_OK);
    assert_int_equal(args_count(&a, "tokens"), 64);
    assert_true(args_amount(&a, "price").mote == 500000000);
    assert_false(args_has(&a, "tokens"));
    assert_false(args_has(&a, "json"));
    assert_null(args_text(&a, "message"));
    assert_null(args_word(&a, 0));
}

static void reads_every_form(void **state)
{
    (void)state;
    struct args a;
    uint8_t seed[32];
    assert_int_equal(PARSE(&a, NULL, "one", "--tokens", "7", "--temp=0.25", "-m", "-hi-", "two", "--json", "--price",
                           "3", "--model", "x", "--model=y", "--seed",
                           "00000000000000000000000000000000000000000000000000000000000000fF", "--", "--tokens", "-"),
                     ERR_OK);
    assert_int_equal(args_count(&a, "tokens"), 7);
    assert_true(args_real(&a, "temp") == 0.25);
    assert_string_equal(args_text(&a, "message"), "-hi-");
    assert_true(args_has(&a, "json"));
    assert_true(args_amount(&a, "price").mote == 3000000000u);
    assert_string_equal(args_nth(&a, "model", 0), "x");
    assert_string_equal(args_nth(&a, "model", 1), "y");
    assert_null(args_nth(&a, "model", 2));
    args_hex32(&a, "seed", seed);
    assert_int_equal(seed[31], 0xff);
    assert_int_equal(a.words_n, 4);
    assert_string_equal(args_word(&a, 1), "two");
    assert_string_equal(args_word(&a, 2), "--tokens");
    assert_string_equal(args_word(&a, 3), "-");
}

static void names_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *words[3];
        const char *says;
    } bad[] = {
        {{"--tokns", "3"}, "unknown option --tokns: did you mean --tokens?"},
        {{"--nonsense"}, "unknown option --nonsense"},
        {{"-x"}, "unknown option -x"},
        {{"--tokens"}, "--tokens needs a value"},
        {{"--tokens", "many"}, "\"many\" is not a whole number"},
        {{"--tokens", "-1"}, "\"-1\" is not a whole number"},
        {{"--tokens", "1.5"}, "not a whole number"},
        {{"--tokens", "0"}, "--tokens 0 is out of range: 1 to 1000"},
        {{"--tokens", "1001"}, "out of range"},
        {{"--tokens", "99999999999999999999999"}, "out of range: 1 to 1000"},
        {{"--tokens", "--temp"}, "--tokens needs a value"},
        {{"--temp", "-0.5"}, "out of range"},
        {{"--temp", "nan"}, "not a number"},
        {{"--temp", "1e999"}, "not a number"},
        {{"--temp", ""}, "not a number"},
        {{"--seed", "abc"}, "not 64 hexadecimal digits"},
        {{"--price", "1.0000000001"}, "10 decimals"},
        {{"--price", "-3"}, "not an amount"},
        {{"--json=yes"}, "takes no value"},
        {{"--tokens=3", "--tokens=4"}, "given twice"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct args a;
        struct note note = {{0}};
        char *words[3];
        int n = 0;
        for (; n < 3 && bad[i].words[n]; n++)
            words[n] = (char *)(uintptr_t)bad[i].words[n];
        assert_int_equal(args_parse(&a, global, table, n, words, &note), ERR_USAGE);
        if (!strstr(note.text, bad[i].says))
            fail_msg("\"%s\" should say \"%s\"", note.text, bad[i].says);
    }
}

static void finds_the_command_between_options(void **state)
{
    (void)state;
    char *line[] = {"--home", "/x", "--json", "wallet", "--home=/y", "new", "--name"};
    assert_int_equal(args_next_word(global, 7, line, 0), 3);
    assert_int_equal(args_next_word(global, 7, line, 4), 5);
    assert_int_equal(args_next_word(global, 7, line, 6), 7); /* unknown here: the command's own */
}

static void distances(void **state)
{
    (void)state;
    assert_int_equal(text_distance("status", "status"), 0);
    assert_int_equal(text_distance("statsu", "status"), 2);
    assert_int_equal(text_distance("", "abc"), 3);
    assert_int_equal(text_distance("abc", ""), 3);
    assert_int_equal(text_distance("kitten", "sitting"), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(presets_hold_until_given),
        cmocka_unit_test(reads_every_form),
        cmocka_unit_test(names_what_is_wrong),
        cmocka_unit_test(finds_the_command_between_options),
        cmocka_unit_test(distances),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
