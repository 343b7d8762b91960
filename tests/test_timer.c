/* The heap of timers against a plain list, under random settings, moves and cancellations. */
#include "node/host/timer.h"
#include "tests/support.h"

#include <stdlib.h>

#define N 200

static unsigned fired;

static void fire(void *arg)
{
    (void)arg;
    fired++;
}

static void order_of_random_timers(void **state)
{
    (void)state;
    struct timer_heap h = {0};
    struct timer t[N] = {{0}};
    uint32_t seed = 12345;
    unsigned set = 0;
    for (unsigned i = 0; i < 20000; i++) {
        seed = seed * 1664525u + 1013904223u;
        struct timer *one = &t[(seed >> 8) % N];
        if ((seed >> 28) < 11)
            timer_add(&h, one, (seed >> 4) % 1000, fire, one);
        else
            timer_remove(&h, one);
        set = 0;
        uint64_t least = UINT64_MAX;
        for (unsigned k = 0; k < N; k++) {
            set += timer_is_set(&t[k]);
            if (timer_is_set(&t[k]) && t[k].due_ms < least)
                least = t[k].due_ms;
        }
        assert_int_equal(h.n, set);
        assert_true(timer_next_ms(&h) == least);
    }
    assert_true(set > 10);
    assert_null(timer_step(&h, timer_next_ms(&h) - 1));
    uint64_t before_ms = 0, before_order = 0;
    for (struct timer *one; (one = timer_step(&h, 1000)); set--) {
        assert_true(one->due_ms > before_ms || (one->due_ms == before_ms && one->order >= before_order));
        assert_false(timer_is_set(one));
        before_ms = one->due_ms;
        before_order = one->order;
        one->fn(one->arg);
    }
    assert_int_equal(set, 0);
    assert_true(fired > 10);
    assert_true(timer_next_ms(&h) == UINT64_MAX);
    timer_heap_clear(&h);
}

static void equal_times_keep_their_order(void **state)
{
    (void)state;
    struct timer_heap h = {0};
    struct timer t[5] = {{0}};
    for (unsigned i = 0; i < 5; i++)
        timer_add(&h, &t[i], 7, fire, NULL);
    timer_add(&h, &t[0], 7, fire, NULL); /* set again: behind the others */
    static const unsigned order[] = {1, 2, 3, 4, 0};
    for (unsigned i = 0; i < 5; i++)
        assert_ptr_equal(timer_step(&h, 7), &t[order[i]]);
    timer_heap_clear(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_of_random_timers),
        cmocka_unit_test(equal_times_keep_their_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
