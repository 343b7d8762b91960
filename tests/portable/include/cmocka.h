/* What tests/test_ops.c uses of cmocka, for machines that have no cmocka and cannot jump: a failed assertion ends the
 * program. */
#ifndef KITH_TESTS_PORTABLE_CMOCKA_H
#define KITH_TESTS_PORTABLE_CMOCKA_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct CMUnitTest {
    const char *name;
    void (*run)(void **state);
};
#define cmocka_unit_test(function)                                                                                     \
    {                                                                                                                  \
#function, function                                                                                            \
    }

static const char *cmocka_running = "";
static bool cmocka_skipped;

#define print_message(...) printf(__VA_ARGS__)
#define skip()             ((void)(cmocka_skipped = true))
#define fail_msg(...)                                                                                                  \
    do {                                                                                                               \
        printf("FAILED %s, %s:%d: ", cmocka_running, __FILE__, __LINE__);                                              \
        printf(__VA_ARGS__);                                                                                           \
        printf("\n");                                                                                                  \
        exit(1);                                                                                                       \
    } while (0)

#define assert_true(c)                                                                                                 \
    do {                                                                                                               \
        if (!(c))                                                                                                      \
            fail_msg("%s", #c);                                                                                        \
    } while (0)
#define assert_false(c)                   assert_true(!(c))
#define assert_null(p)                    assert_true((p) == NULL)
#define assert_non_null(p)                assert_true((p) != NULL)
#define assert_int_equal(a, b)            assert_true((long long)(a) == (long long)(b))
#define assert_string_equal(a, b)         assert_true(strcmp(a, b) == 0)
#define assert_memory_equal(a, b, n)      assert_true(memcmp(a, b, n) == 0)
#define cmocka_run_group_tests(all, x, y) cmocka_run(all, sizeof(all) / sizeof *(all))

static int cmocka_run(const struct CMUnitTest *all, size_t n)
{
    size_t skipped = 0;
    for (size_t i = 0; i < n; i++) {
        void *state = NULL;
        cmocka_running = all[i].name;
        cmocka_skipped = false;
        all[i].run(&state);
        skipped += cmocka_skipped;
    }
    printf("%zu passed, 0 failed, %zu skipped\n", n - skipped, skipped);
    return 0;
}

#endif
