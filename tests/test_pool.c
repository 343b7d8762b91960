/* Pieces of work over several threads: every element exactly once, whatever the sizes, and however late a thread is. */
#include "inference/engine/pool.h"
#include "tests/support.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define MOST 1000u

struct piece {
    size_t n, grain;
    unsigned slow; /* one part of so many gives its processor away */
    unsigned char *times;
    atomic_uint parts;
};

static void do_part(void *arg, size_t first, size_t end)
{
    struct piece *w = arg;
    assert_true(first < end && end <= w->n);
    assert_true(first % w->grain == 0 && (end % w->grain == 0 || end == w->n));
    for (size_t i = first; i < end; i++)
        w->times[i]++;
    if (w->slow && atomic_fetch_add(&w->parts, 1) % w->slow == 0)
        sched_yield();
}

static void each_once(struct pool *pool, size_t n, size_t grain, unsigned slow)
{
    unsigned char times[MOST];
    struct piece w = {.n = n, .grain = grain, .slow = slow, .times = times};
    memset(times, 0, sizeof times);
    pool_run(pool, n, grain, do_part, &w);
    for (size_t i = 0; i < n; i++)
        if (times[i] != 1)
            fail_msg("element %zu of %zu, grain %zu: %u times", i, n, grain, times[i]);
}

static void every_element_once(void **state)
{
    (void)state;
    uint64_t seed = 1;
    for (unsigned threads = 1; threads <= 9; threads++) { /* more than there are processors: some are always late */
        struct pool *pool = pool_new(threads);
        assert_int_equal(pool_threads(pool), threads);
        for (unsigned i = 0; i < 3000; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            each_once(pool, (size_t)(seed >> 33) % MOST, 1 + (size_t)(seed >> 50) % 40, i % 3 ? 0 : 1 + i % 7);
        }
        pool_free(pool);
    }
}

/* Threads that are ended without ever having worked. */
static void nothing_to_do(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 50; i++) {
        struct pool *pool = pool_new(4);
        if (i % 2)
            each_once(pool, 0, 1, 0);
        pool_free(pool);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_element_once), cmocka_unit_test(nothing_to_do)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
