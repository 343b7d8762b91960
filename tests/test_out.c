/* What others wrote, on its way to a terminal. */
#include "cli/out.h"
#include "tests/support.h"

#include <string.h>

static const struct {
    const char *text, *lines, *line;
} cases[] = {
    {"", "", ""},
    {"kith \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "kith \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80",
     "kith \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"},
    {"a\nb\tc\rd", "a\nb\tc?d", "a?b?c?d"},
    {"\x1b]0;owned\x07\x7f", "?]0;owned??", "?]0;owned??"},
    {"\xc2\x9b"
     "31m",
     "??31m", "??31m"},
    {"\x9b"
     "31m",
     "?31m", "?31m"},
    {"half \xe2\x82", "half ??", "half ??"},
    {"half \xc2", "half ?", "half ?"},
    {"\xe2\x80\xae"
     "txt\xe2\x81\xa9",
     "\xe2\x80\xae"
     "txt\xe2\x81\xa9",
     "?txt?"},
    {"\xed\xa0\x80", "???", "???"}, /* half of a surrogate pair */
};

static void strangers_texts_steer_no_terminal(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf b = {0};
        out_plain(&b, cases[i].text, strlen(cases[i].text), false);
        assert_string_equal(buf_text(&b), cases[i].lines);
        buf_reset(&b);
        out_plain(&b, cases[i].text, strlen(cases[i].text), true);
        assert_string_equal(buf_text(&b), cases[i].line);
        buf_clear(&b);
    }
}

static void members_are_plain(void **state)
{
    (void)state;
    json_t *r = json_pack("{s:s, s:s, s:i}", "name", "x\x1b[2J\nroot  fake", "good", "kith-guide", "n", 3);
    assert_non_null(r);
    assert_string_equal(out_text(r, "name"), "x?[2J?root  fake");
    assert_string_equal(out_text(r, "name"), "x?[2J?root  fake");
    assert_string_equal(out_text(r, "good"), "kith-guide");
    assert_string_equal(out_text(r, "n"), "-");
    assert_string_equal(out_text(r, "none"), "-");
    assert_string_equal(out_text(NULL, "none"), "-");
    json_decref(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strangers_texts_steer_no_terminal),
        cmocka_unit_test(members_are_plain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
