/* Guesses, and how many of them pay. */
#include "tests/support.h"

#include "inference/sched/draft.h"

#include <string.h>

static void expect_guess(const uint32_t *tokens, uint32_t n, const uint32_t *want, uint32_t want_n)
{
    uint32_t out[DRAFT_MAX];
    assert_int_equal(draft_guess(tokens, n, want_n ? want_n : 3, out), want_n);
    assert_memory_equal(out, want, want_n * sizeof *out);
}

static void test_guesses(void **state)
{
    (void)state;
    static const uint32_t repeats[] = {1, 2, 3, 4, 5, 9, 2, 3}, longer[] = {1, 2, 3, 7, 7, 2, 3, 8, 1, 2, 3},
                          last[] = {2, 3, 4, 2, 3, 5, 2, 3}, once[] = {1, 2, 3, 4, 5}, one[] = {5, 6, 7, 5},
                          round[] = {4, 1, 2, 1, 2}, same[] = {7, 7, 7};
    expect_guess(repeats, 8, (const uint32_t[]){4, 5, 9}, 3);
    expect_guess(longer, 11, (const uint32_t[]){7, 7, 2}, 3); /* the longer likeness, not the later */
    expect_guess(last, 8, (const uint32_t[]){5, 2, 3}, 3);    /* the later of equals */
    expect_guess(once, 5, NULL, 0);
    expect_guess(one, 4, NULL, 0); /* one token alike says nothing */
    expect_guess(round, 5, (const uint32_t[]){1, 2, 1, 2, 1}, 5);
    expect_guess(same, 3, (const uint32_t[]){7, 7, 7, 7}, 4);
    expect_guess(same, 1, NULL, 0);
}

/* A batch of k + 1 rows takes base + k x each microseconds, and of its guesses `right` in ten come. */
static double speed_of(double base, double each, unsigned right, uint32_t most, uint32_t *longest)
{
    struct draft d = {.most = most};
    struct draft_cost c = {0};
    double us = 0, tokens = 0;
    uint32_t draw = 1;
    *longest = 0;
    for (unsigned step = 0; step < 4000; step++) {
        uint32_t k = draft_length(&d, &c, 1000), came = 0;
        assert_true(k <= most);
        for (; came < k; came++) {
            draw = draw * 1664525u + 1013904223u;
            if ((draw >> 16) % 10 >= right)
                break;
        }
        draft_learn(&d, k, came);
        draft_measure(&c, k, (uint64_t)(base + each * k));
        us += base + each * k;
        tokens += 1 + came;
        *longest = k > *longest && step > 100 ? k : *longest;
    }
    print_message("%.0f us and %.0f a guess, %u of 10 right: x %.2f, guesses of up to %u\n", base, each, right,
                  tokens / us * base, *longest);
    return tokens / us * base; /* beside no guesses at all */
}

static void test_only_what_pays(void **state)
{
    (void)state;
    uint32_t longest;
    assert_true(speed_of(1000, 20, 9, DRAFT_MAX, &longest) > 3.5); /* rows nearly free, guesses good */
    assert_true(longest >= 11);
    assert_true(speed_of(1000, 20, 0, DRAFT_MAX, &longest) > 0.98); /* never right: next to nothing is lost */
    assert_true(speed_of(1000, 900, 3, DRAFT_MAX, &longest) > 0.9); /* rows as dear as batches */
    assert_true(speed_of(1000, 300, 6, DRAFT_MAX, &longest) > 1.1);
    assert_true(longest <= 7);
    assert_true(speed_of(1000, 20, 9, 0, &longest) == 1.0);
    assert_int_equal(longest, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_guesses),
        cmocka_unit_test(test_only_what_pays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
