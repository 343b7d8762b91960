/* Work in parts: every part once, job after job, with and without helpers. */
#include "node/host/helpers.h"
#include "tests/support.h"

#include <stdatomic.h>
#include <string.h>

#define PARTS 257

struct counts {
    atomic_uint runs[PARTS];
    uint32_t plain[PARTS]; /* written without a lock: run() must make it seen */
};

static void count(void *arg, uint32_t part)
{
    struct counts *c = arg;
    atomic_fetch_add(&c->runs[part], 1);
    c->plain[part]++;
}

static void every_part_runs_once(void **state)
{
    (void)state;
    for (unsigned n = 0; n <= 3; n++) {
        static struct counts c;
        struct helpers *h = helpers_new(n);
        struct parallel p = helpers_parallel(h);
        memset(&c, 0, sizeof c);
        for (uint32_t job = 1; job <= 500; job++) {
            uint32_t parts = job % PARTS;
            memset(c.runs, 0, sizeof c.runs);
            memset(c.plain, 0, sizeof c.plain);
            if (job & 1)
                parallel_run(&p, count, &c, parts);
            else
                parallel_run_waiting(&p, count, &c, parts);
            for (uint32_t i = 0; i < PARTS; i++)
                assert_true(c.runs[i] == (i < parts) && c.plain[i] == (i < parts));
        }
        helpers_free(h);
    }
    helpers_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_part_runs_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
