/* Hashes of several messages at once are those of each alone. */
#include "base/hash.h"
#include "tests/support.h"

#include <string.h>

#define N 37

static void many_are_each_alone(void **state)
{
    (void)state;
    uint8_t bytes[N][HASH_SIZE + HASH_JOB_MAX];
    struct hash out[N];
    struct hash_job jobs[N];
    uint32_t x = 12345;
    for (unsigned round = 0; round < 200; round++) {
        size_t n = round % N + 1;
        enum hash_tag tag = (enum hash_tag)(round % HASH_TAG_COUNT);
        for (size_t i = 0; i < n; i++) {
            for (size_t k = 0; k < sizeof bytes[i]; k++)
                bytes[i][k] = (uint8_t)((x = x * 1664525 + 1013904223) >> 24);
            uint32_t b_n = round < 100 ? (round + (uint32_t)i) % (HASH_JOB_MAX + 1) : HASH_SIZE;
            jobs[i] = (struct hash_job){bytes[i], bytes[i] + HASH_SIZE, b_n, &out[i]};
        }
        memset(out, 0, sizeof out);
        hash_many(tag, jobs, n);
        for (size_t i = 0; i < n; i++) {
            struct hash want = hash_once(tag, bytes[i], HASH_SIZE + jobs[i].b_n);
            assert_true(hash_equal(&out[i], &want));
        }
    }
    hash_many(HASH_STATE, jobs, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(many_are_each_alone)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
