/* Log-probabilities against the C library's own functions. */
#include "tests/support.h"

#include "inference/sched/score.h"

#include <math.h>

#define N 5000

static void test_against_libm(void **state)
{
    (void)state;
    static float logits[N];
    static const float spreads[] = {0.0f, 1.0f, 30.0f, 400.0f};
    uint32_t draw = 1;
    for (size_t s = 0; s < sizeof spreads / sizeof *spreads; s++) {
        double most = -INFINITY, sum = 0;
        for (uint32_t i = 0; i < N; i++) {
            draw = draw * 1664525u + 1013904223u;
            logits[i] = ((float)(draw >> 8) * 0x1p-24f - 0.5f) * spreads[s] + 7.0f;
            most = fmax(most, logits[i]);
        }
        for (uint32_t i = 0; i < N; i++)
            sum += exp(logits[i] - most);
        for (uint32_t token = 0; token < N; token += 617) {
            double want = logits[token] - most - log(sum), got = score_token(logits, N, token);
            assert_true(fabs(got - want) <= 1e-12 * (1 + fabs(want)));
            assert_true(got <= 0);
        }
    }
}

static void test_edges(void **state)
{
    (void)state;
    const float one[] = {3.5f}, apart[] = {-1e30f, 1e30f, -3e38f};
    assert_true(score_token(one, 1, 0) == 0);
    assert_true(score_token(apart, 3, 1) == 0);
    assert_true(score_token(apart, 3, 0) < -1e30);
    assert_true(isfinite(score_token(apart, 3, 2)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_libm),
        cmocka_unit_test(test_edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
