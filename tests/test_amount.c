/* Amounts: decimal text both ways, checked arithmetic, shares. */
#include "base/amount.h"
#include "tests/support.h"

#include <string.h>

static void parses_and_prints(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t mote;
        const char *printed;
    } good[] = {
        {"0", 0, "0"},
        {"1", 1000000000, "1"},
        {"0.25", 250000000, "0.25"},
        {".5", 500000000, "0.5"},
        {"0.000000001", 1, "0.000000001"},
        {"18446744073.709551615", UINT64_MAX, "18446744073.709551615"},
        {"007.10", 7100000000, "7.1"},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct amount a;
        char text[AMOUNT_TEXT_ROOM];
        assert_int_equal(amount_parse(good[i].text, &a, NULL), ERR_OK);
        assert_true(a.mote == good[i].mote);
        amount_print(a, text);
        assert_string_equal(text, good[i].printed);
    }
}

static void refuses_what_is_no_amount(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      ".",
                                      "1.",
                                      "-1",
                                      "+1",
                                      "1e3",
                                      " 1",
                                      "1 ",
                                      "0x10",
                                      "1,5",
                                      "1..2",
                                      "1.0000000001",
                                      "18446744073.709551616",
                                      "99999999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct amount a = {7};
        struct note note = {{0}};
        assert_int_not_equal(amount_parse(bad[i], &a, &note), ERR_OK);
        assert_true(a.mote == 7);
        assert_non_null(strstr(note.text, bad[i]));
    }
}

static void arithmetic_is_checked(void **state)
{
    (void)state;
    struct amount a = amount_of(5), b = amount_of(UINT64_MAX), out = amount_of(1);
    assert_false(amount_add(&out, a, b));
    assert_false(amount_sub(&out, a, b));
    assert_true(out.mote == 1);
    assert_true(amount_sub(&out, b, a));
    assert_true(out.mote == UINT64_MAX - 5);
    assert_true(amount_scale(&out, b, 3, 3));
    assert_true(out.mote == UINT64_MAX);
    assert_false(amount_scale(&out, b, 3, 2));
    assert_true(amount_share(b, 10000).mote == UINT64_MAX);
    assert_true(amount_share(amount_of(9999), 1).mote == 0);
    assert_true(amount_share(amount_of(10000), 1).mote == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses_and_prints),
        cmocka_unit_test(refuses_what_is_no_amount),
        cmocka_unit_test(arithmetic_is_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
