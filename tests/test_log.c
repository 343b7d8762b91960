/* What strangers can do to the log. */
#include "base/log.h"
#include "base/limits.h"
#include "tests/support.h"

#include <string.h>

static void a_strangers_text_is_one_word(void **state)
{
    (void)state;
    static const struct {
        const char *text, *word;
    } cases[] = {
        {"", ""},
        {"kith/1.0-rc_2", "kith/1.0-rc_2"},
        {"x err=ok broken node", "x_err_ok_broken_node"},
        {"\x1b]0;owned\x07", "__0_owned_"},
        {"%s%n", "_s_n"},
        {"\xe2\x80\xaetxt", "___txt"},
        {"a\"b\\c'd`e$f", "a_b_c_d_e_f"},
    };
    char out[LOG_WORD_ROOM], longest[256] = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        log_word(out, cases[i].text);
        assert_string_equal(out, cases[i].word);
    }
    memset(longest, 'a', sizeof longest - 1);
    log_word(out, longest);
    assert_int_equal(strlen(out), 64);
}

static void lines_have_a_rate(void **state)
{
    (void)state;
    struct log_rate r = {0};
    unsigned said = 0;
    for (unsigned i = 0; i < LOG_RATE_BURST + 5; i++)
        said += log_rate_take(&r, 1000000);
    assert_int_equal(said, LOG_RATE_BURST);
    assert_int_equal(r.unsaid, 5);
    for (unsigned ms = 1; ms <= 10000; ms++) /* one line every millisecond */
        said += log_rate_take(&r, 1000000 + ms);
    assert_int_equal(said, LOG_RATE_BURST + 10 * LOG_RATE_SECOND);
    assert_true(log_rate_take(&r, UINT64_C(1) << 60));
}

static char last[2048];

static void keep(void *arg, enum log_level level, const char *line)
{
    (void)arg, (void)level;
    strncpy(last, line, sizeof last - 1);
}

static void a_line_stays_a_line(void **state)
{
    (void)state;
    log_open(LOG_INFO, keep, NULL, NULL);
    log_event(LOG_INFO, "m", "e", "why=%s", "a\nb\x1b[31m\x7f");
    assert_string_equal(last, "info m e why=a?b?[31m?");
    log_open(LOG_INFO, NULL, NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_strangers_text_is_one_word),
        cmocka_unit_test(lines_have_a_rate),
        cmocka_unit_test(a_line_stays_a_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
