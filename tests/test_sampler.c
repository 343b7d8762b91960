/* The sampler's rules one by one, on distributions that can be computed by hand. */
#include "tests/support.h"

#include "inference/sched/sampler.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
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
    struct sampler *s = sampler_new(&ops_ref, VOCAB);
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

/* Half of all is exactly what the first has. */
static void enough_is_enough(void **state)
{
    (void)state;
    const float logits[VOCAB] = {-0.6931472f, 0, -0.6931472f, -40, -40, -40, -40, -40};
    unsigned counts[VOCAB];
    struct request r = request_at(1);
    assert_true(arith_exp(logits[0]) == 0.5f);
    r.top_p = 0.5f;
    count(&r, logits, counts);
    assert_int_equal(counts[1], DRAWS);
}

static void penalties_look_back_so_far(void **state)
{
    (void)state;
    const uint32_t recent[] = {0, 1, 1, 1, 2};
    struct sampler *s = sampler_new(&ops_ref, VOCAB);
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

/* In front of the penalties, and only where a mask lets the token be; the largest is no longer the plain one. */
static void biases_move_logits(void **state)
{
    (void)state;
    const uint32_t recent[] = {3}, mask[] = {1u << 1 | 1u << 3};
    struct sampler *s = sampler_new(&ops_ref, VOCAB);
    struct request r = request_at(0);
    struct buf biases = {0};
    float logits[VOCAB] = {3, 8, -4, 2.5f, 0, 0, 0, 0}, again[VOCAB] = {0, 1, 0, 0, 0, 9, 0, 0};
    assert_true(sampler_is_plain(&r));
    request_bias_put(&biases, (struct request_bias){1, -6});
    request_bias_put(&biases, (struct request_bias){3, 1.5f});
    request_bias_put(&biases, (struct request_bias){5, 100});
    r.biases = bytes_of_buf(&biases);
    assert_false(sampler_is_plain(&r));
    r.repeat_penalty = 2;
    r.window = 1;
    assert_int_equal(sampler_pick(s, &r, NULL, logits, recent, 1, 0, 0), 5);
    assert_true(logits[1] == 2 && logits[3] == (2.5f + 1.5f) / 2 && logits[5] == 100 && logits[0] == 3);
    assert_int_equal(sampler_pick(s, &r, mask, again, recent, 1, 0, 0), 3); /* 1 is at -5 */
    r.temp = 1;
    unsigned counts[VOCAB];
    const float even[VOCAB] = {0};
    count(&r, even, counts);
    assert_int_equal(counts[5], DRAWS);
    buf_clear(&biases);
    sampler_free(s);
}

static void seed_choice_and_position_decide(void **state)
{
    (void)state;
    struct sampler *s = sampler_new(&ops_ref, VOCAB);
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
    struct sampler *s = sampler_new(&ops_ref, VOCAB);
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

/* -- the rules once more, with everything sorted -- */

#define MANY 3000 /* tokens: several pieces, the last one not full */

struct plain {
    float logit, p;
    uint32_t id;
    uint64_t weight;
};

static int by_order(const void *a, const void *b)
{
    const struct plain *x = a, *y = b;
    if (x->logit != y->logit)
        return x->logit > y->logit ? -1 : 1;
    return x->id < y->id ? -1 : 1;
}

static uint64_t sum_of(const struct plain *c, uint32_t n)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += c[i].weight;
    return sum;
}

static uint32_t plain_draw(const struct plain *c, uint32_t n, const struct request *r, uint32_t position)
{
    __extension__ typedef unsigned __int128 wide;
    uint8_t message[8] = {0};
    store_le32(message + 4, position);
    struct hash h = hash_keyed(HASH_SAMPLE, r->seed.b, message, sizeof message);
    uint64_t at = (uint64_t)((wide)load_le64(h.b) * sum_of(c, n) >> 64), sum = 0;
    for (uint32_t i = 0; i < n; i++)
        if ((sum += c[i].weight) > at)
            return c[i].id;
    fail();
    return 0;
}

static uint32_t plain_pick(const struct request *r, const uint32_t *mask, const float *logits, uint32_t position)
{
    __extension__ typedef unsigned __int128 wide;
    static struct plain c[MANY];
    uint32_t n = 0, kept = 0, best = MANY;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < MANY; i++)
        if ((!mask || mask[i / 32] >> i % 32 & 1) && (best == MANY || logits[i] > logits[best]))
            best = i;
    if (r->temp == 0)
        return best;
    for (uint32_t i = 0; i < MANY; i++) {
        float x = (logits[i] - logits[best]) / r->temp, p = x < -23.0f ? 0 : arith_exp(x);
        bool is_allowed = !mask || mask[i / 32] >> i % 32 & 1;
        if (is_allowed && (uint64_t)(p * 0x1p32f))
            c[n++] = (struct plain){logits[i], p, i, (uint64_t)(p * 0x1p32f)};
    }
    qsort(c, n, sizeof *c, by_order);
    n = r->top_k && r->top_k < n ? r->top_k : n;
    const wide need = (wide)sum_of(c, n) * (uint64_t)(r->top_p * 0x1p24f);
    for (uint32_t all = n; r->top_p < 1 && (n = ++kept) < all;)
        if ((wide)(sum += c[kept - 1].weight) << 24 >= need)
            break;
    for (kept = 1; kept < n && c[kept].p >= r->min_p; kept++)
        ;
    return plain_draw(c, kept, r, position);
}

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Sums of four draws, some of them rounded so that many are equal; or all equal; or one far above, and below a crowd.
 */
static void draw_logits(unsigned kind, uint32_t *state, float *logits)
{
    for (uint32_t i = 0; i < MANY; i++) {
        float x = 0;
        for (unsigned k = 0; k < 4; k++)
            x += (float)(int32_t)next_random(state) * 0x1p-21f - 4.0f;
        logits[i] = kind == 0 ? x : kind == 1 ? (float)(int32_t)x : kind == 2 ? 1.5f : x * 1e-4f;
    }
    if (kind == 3)
        logits[next_random(state) % MANY] = 11.0f;
}

static void nothing_sorted_is_everything_sorted(void **state)
{
    (void)state;
    static const float temps[] = {0, 0.01f, 0.7f, 1, 8, 100}, top_ps[] = {1, 0.95f, 0.3f, 0}, min_ps[] = {0, 0.05f, 1};
    static const uint32_t top_ks[] = {0, 1, 40, 2999, 5000};
    static float logits[MANY];
    static uint32_t mask[(MANY + 31) / 32];
    const struct ops *ops;
    uint32_t random = 1;
    for (size_t set = 0; (ops = ops_at(set)); set++) {
        struct sampler *s = sampler_new(ops, MANY);
        for (uint32_t i = 0; i < 600; i++) {
            struct request r = request_at(temps[next_random(&random) % 6]);
            r.top_p = top_ps[next_random(&random) % 4];
            r.top_k = top_ks[next_random(&random) % 5];
            r.min_p = min_ps[next_random(&random) % 3];
            draw_logits(next_random(&random) % 4, &random, logits);
            for (uint32_t k = 0; k < MANY / 32 + 1; k++)
                mask[k] = next_random(&random) % 3 == 0 ? 1u << next_random(&random) % 24 : 0;
            mask[1] |= 1;
            const uint32_t *allowed = next_random(&random) % 3 ? NULL : mask;
            uint32_t want = plain_pick(&r, allowed, logits, i),
                     got = sampler_pick(s, &r, allowed, logits, NULL, 0, 0, i);
            if (want != got)
                fail_msg("%s, case %u: temp %g, top_k %u, top_p %g, min_p %g: token %u, and %u when sorted", ops->name,
                         i, (double)r.temp, r.top_k, (double)r.top_p, (double)r.min_p, got, want);
        }
        sampler_free(s);
    }
}

/* The first of equals, at any place and in rows of any length; and one that is not finite is seen at any. */
static void the_largest_is_found(void **state)
{
    (void)state;
    static const float odd[] = {NAN, INFINITY, -INFINITY};
    static float x[2100];
    const struct ops *ops;
    uint32_t got, random = 7;
    for (size_t set = 0; (ops = ops_at(set)); set++)
        for (unsigned i = 0; i < 400; i++) {
            uint32_t n = 1 + next_random(&random) % 2100, want = 0, bad = next_random(&random) % n;
            for (uint32_t k = 0; k < n; k++) {
                x[k] = (float)(int32_t)(next_random(&random) % (i % 2 ? 9 : 1u << 20)) * -0.5f;
                x[k] = x[k] == 0 && next_random(&random) % 2 ? -0.0f : x[k];
                want = x[k] > x[want] ? k : want;
            }
            assert_true(ops_largest(ops, x, n, &got));
            assert_int_equal(got, want);
            x[bad] = odd[i % 3];
            assert_false(ops_largest(ops, x, n, &got));
            assert_int_equal(got, 0);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_takes_the_first_of_the_largest),
        cmocka_unit_test(draws_follow_the_softmax),
        cmocka_unit_test(cuts_keep_the_likely),
        cmocka_unit_test(enough_is_enough),
        cmocka_unit_test(penalties_look_back_so_far),
        cmocka_unit_test(biases_move_logits),
        cmocka_unit_test(seed_choice_and_position_decide),
        cmocka_unit_test(the_ends_of_the_range_are_no_trap),
        cmocka_unit_test(nothing_sorted_is_everything_sorted),
        cmocka_unit_test(the_largest_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
