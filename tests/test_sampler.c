/* The sampler's rules one by one, on distributions that can be computed by hand. */
#include "tests/support.h"

#include "inference/sampler.h"

#include <float.h>
#include <string.h>

#define VOCAB 8
#define DRAWS 4000

static struct request request_at(float temp)
{
    struct request r;
    request_init(&r);
    r.temp = temp;
    return r;
}

/* How often each token is chosen at DRAWS positions. */
static void count(const struct request *r, const float *logits, unsigned counts[VOCAB])
{
    struct sampler *s = sampler_new(VOCAB);
    memset(counts, 0, VOCAB * sizeof *counts);
    for (uint32_t position = 0; position < DRAWS; position++) {
        float copy[VOCAB];
        memcpy(copy, logits, sizeof copy);
        counts[sampler_pick(s, r, NULL, copy, NULL, 0, 0, position)]++;
    }
    sampler_free(s);
}

static void assert_share(unsigned n, double share)
{
    double off = (double)n / DRAWS - share;
    if (off > 0.03 || off < -0.03)
        fail_msg("%u of %d, where %g of all were expected", n, DRAWS, share);
}

static void greedy_takes_the_first_of_the_largest(void **state)
{
    (void)state;
    float logits[VOCAB] = {0, 3, 1, 3, -1, 3, 2, 0};
    unsigned counts[VOCAB];
    struct request r = request_at(0);
    count(&r, logits, counts);
    assert_int_equal(counts[1], DRAWS);
}

static void draws_follow_the_softmax(void **state)
{
    (void)state;
    /* e^x = 4, 2, 1, 1 and next to nothing */
    const float logits[VOCAB] = {1.3862944f, 0.6931472f, 0, 0, -40, -40, -40, -40};
    unsigned counts[VOCAB];
    struct request r = request_at(1);
    count(&r, logits, counts);
    assert_share(counts[0], 0.5);
    assert_share(counts[1], 0.25);
    assert_share(counts[2], 0.125);
    assert_share(counts[3], 0.125);
    assert_int_equal(counts[4] + counts[5] + counts[6] + counts[7], 0);
    r.temp = 0.5f; /* 16, 4, 1, 1 */
    count(&r, logits, counts);
    assert_share(counts[0], 16.0 / 22);
    assert_share(counts[1], 4.0 / 22);
}

static void cuts_keep_the_likely(void **state)
{
    (void)state;
    const float logits[VOCAB] = {1.3862944f, 0.6931472f, 0, 0, -40, -40, -40, -40};
    unsigned counts[VOCAB];
    struct request r = request_at(1);
    r.top_k = 3; /* of the two equal ones the smaller id stays */
    count(&r, logits, counts);
    assert_int_equal(counts[3], 0);
    assert_share(counts[2], 1.0 / 7);
    r = request_at(1);
    r.top_p = 0.7f; /* 0.5 is too little, 0.75 is enough */
    count(&r, logits, counts);
    assert_int_equal(counts[2] + counts[3], 0);
    assert_share(counts[0], 2.0 / 3);
    r = request_at(1);
    r.top_p = 0; /* one always stays */
    count(&r, logits, counts);
    assert_int_equal(counts[0], DRAWS);
    r = request_at(1);
    r.min_p = 0.3f; /* 1/4 of the first is too little, 1/2 is enough */
    count(&r, logits, counts);
    assert_int_equal(counts[2] + counts[3], 0);
    assert_share(counts[1], 1.0 / 3);
}

static void penalties_look_back_so_far(void **state)
{
    (void)state;
    const uint32_t recent[] = {0, 1, 1, 1, 2};
    struct sampler *s = sampler_new(VOCAB);
    struct request r = request_at(0);
    r.repeat_penalty = 2;
    r.presence = 0.5f;
    r.frequency = 0.25f;
    r.window = 4;
    float logits[VOCAB] = {3, 8, -4, 2.5f, 0, 0, 0, 0};
    assert_int_equal(sampler_pick(s, &r, NULL, logits, recent, 5, 0, 0), 0);
    assert_true(logits[0] == 3); /* outside the window */
    assert_true(logits[1] == 8 / 2 - 0.5f - 3 * 0.25f);
    assert_true(logits[2] == -4 * 2 - 0.5f - 0.25f);
    assert_true(logits[3] == 2.5f);
    /* Nothing of one call is left for the next. */
    float again[VOCAB] = {0, 8, 0, 0, 0, 0, 0, 0};
    r.window = 0;
    sampler_pick(s, &r, NULL, again, recent, 5, 0, 0);
    assert_true(again[1] == 8);
    sampler_free(s);
}

static void seed_choice_and_position_decide(void **state)
{
    (void)state;
    struct sampler *s = sampler_new(VOCAB);
    const float flat[VOCAB] = {0};
    uint32_t row[4][64];
    for (unsigned kind = 0; kind < 4; kind++)
        for (uint32_t i = 0; i < 64; i++) {
            float logits[VOCAB];
            memcpy(logits, flat, sizeof logits);
            struct request r = request_at(1);
            r.seed.b[31] = kind == 1;
            row[kind][i] = sampler_pick(s, &r, NULL, logits, NULL, 0, kind == 2, i);
        }
    assert_memory_equal(row[0], row[3], sizeof row[0]);
    assert_memory_not_equal(row[0], row[1], sizeof row[0]);
    assert_memory_not_equal(row[0], row[2], sizeof row[0]);
    sampler_free(s);
}

static void the_ends_of_the_range_are_no_trap(void **state)
{
    (void)state;
    struct sampler *s = sampler_new(VOCAB);
    const uint32_t recent[] = {1};
    struct request r = request_at(FLT_MIN);
    float logits[VOCAB] = {-FLT_MAX, FLT_MAX, FLT_MAX, -FLT_MAX, 0, 0, 0, 0};
    uint32_t token = sampler_pick(s, &r, NULL, logits, NULL, 0, 0, 0);
    assert_true(token == 1 || token == 2);
    r = request_at(1);
    r.repeat_penalty = 0.01f; /* takes the largest beyond the range */
    r.window = 1;
    logits[1] = FLT_MAX;
    assert_int_equal(sampler_pick(s, &r, NULL, logits, recent, 1, 0, 0), 1);
    sampler_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_takes_the_first_of_the_largest),
        cmocka_unit_test(draws_follow_the_softmax),
        cmocka_unit_test(cuts_keep_the_likely),
        cmocka_unit_test(penalties_look_back_so_far),
        cmocka_unit_test(seed_choice_and_position_decide),
        cmocka_unit_test(the_ends_of_the_range_are_no_trap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
