/* Jobs that are kept: the newest, as many as there may be and as long as they may be together, on disk as in memory. */
#include "node/job.h"

#include "base/mem.h"
#include "tests/support.h"

#include <stdlib.h>
#include <string.h>

#define SOME 40

struct kept {
    struct jobs jobs;
    struct host *host;
};

static int kept_begin(void **state)
{
    struct kept *k = mem_new(sizeof *k);
    struct note note;
    k->host = host_uv_open(&note);
    k->jobs.s = (struct market_services){.host = k->host, .kv = kv_mem_open()};
    *state = k;
    return 0;
}

static int kept_end(void **state)
{
    struct kept *k = *state;
    while (k->jobs.first)
        job_free(k->jobs.first);
    kv_close(k->jobs.s.kv);
    host_uv_close(k->host);
    free(k);
    return 0;
}

/* One of that age, whose text has so many bytes. */
static struct job *make(struct kept *k, uint8_t age, enum job_state state, size_t bytes)
{
    static const char zeros[1000];
    struct job *j = job_new(&k->jobs);
    j->r.id.b[0] = age;
    j->r.made_ms = age;
    j->r.state = (uint8_t)state;
    request_put(&j->request, &(struct request){.arith = REQUEST_ARITH, .top_p = 1, .repeat_penalty = 1});
    buf_add(&j->text, zeros, bytes);
    assert_int_equal(job_save(j), ERR_OK);
    return j;
}

static bool count(void *arg, struct bytes key, struct bytes value)
{
    (void)key;
    (void)value;
    ++*(unsigned *)arg;
    return true;
}

static void expect(struct kept *k, unsigned n)
{
    unsigned stored = 0;
    assert_int_equal(kv_scan(k->jobs.s.kv, bytes_of("j", 1), count, &stored, NULL), ERR_OK);
    assert_int_equal(k->jobs.n, n);
    assert_int_equal(stored, n);
}

static bool is_there(struct kept *k, uint8_t age)
{
    return job_find(&k->jobs, &(struct hash){{age}}) != NULL;
}

static void the_oldest_go(void **state)
{
    struct kept *k = *state;
    for (uint8_t i = 1; i <= SOME; i++)
        make(k, i, i % 2 ? JOB_DONE : JOB_FAILED, 0);
    job_drop_old(&k->jobs, SOME, SIZE_MAX);
    expect(k, SOME);
    job_drop_old(&k->jobs, 10, SIZE_MAX);
    expect(k, 10);
    assert_true(is_there(k, SOME - 9));
    assert_false(is_there(k, SOME - 10));
}

/* Who runs or is looked at stays, however old. */
static void those_in_use_stay(void **state)
{
    struct kept *k = *state;
    make(k, 1, JOB_RUNNING, 0);
    make(k, 2, JOB_DONE, 0)->text_ask = 1;
    make(k, 3, JOB_DONE, 0);
    make(k, 4, JOB_DONE, 0);
    job_drop_old(&k->jobs, 1, SIZE_MAX);
    expect(k, 3);
    assert_true(is_there(k, 1) && is_there(k, 2) && is_there(k, 4));
}

/* Each is somewhat more than its text. */
static void long_ones_are_fewer(void **state)
{
    struct kept *k = *state;
    for (uint8_t i = 1; i <= 10; i++)
        make(k, i, JOB_DONE, 1000);
    size_t each = sizeof(struct job) + k->jobs.first->request.n + 1000;
    job_drop_old(&k->jobs, SOME, 3 * each);
    expect(k, 3);
    job_drop_old(&k->jobs, SOME, 3 * each - 1);
    expect(k, 2);
    assert_true(is_there(k, 10) && is_there(k, 9));
}

static void a_start_has_them_by_age(void **state)
{
    struct kept *k = *state;
    struct note note;
    static const uint8_t ages[] = {3, 1, 4, 2};
    for (size_t i = 0; i < sizeof ages; i++)
        make(k, ages[i], JOB_DONE, 10);
    while (k->jobs.first)
        job_free(k->jobs.first);
    assert_int_equal(job_load_all(&k->jobs, &note), ERR_OK);
    expect(k, 4);
    uint8_t age = 4;
    for (struct job *j = k->jobs.first; j; j = j->next)
        assert_int_equal(j->r.id.b[0], age--);
}

/* Of the owner and of nobody else, unless one of them is in use; from the disk, too. */
static void a_talk_is_forgotten(void **state)
{
    struct kept *k = *state;
    struct note note = {{0}};
    const struct hash talk = {{7}}, other = {{8}}, anna = {{1}}, ben = {{2}};
    for (uint8_t i = 1; i <= 6; i++) {
        struct job *j = make(k, i, JOB_DONE, 10);
        j->r.owner = i == 5 ? ben : anna;
        j->r.talk = i == 6 ? other : talk;
        j->text_ask = i == 4;
    }
    assert_int_equal(jobs_forget_talk(&k->jobs, &anna, &talk, &note), ERR_STATE);
    expect(k, 6);
    job_find(&k->jobs, &(struct hash){{4}})->text_ask = 0;
    assert_int_equal(jobs_forget_talk(&k->jobs, &anna, &talk, &note), ERR_OK);
    expect(k, 2);
    assert_true(is_there(k, 5) && is_there(k, 6));
    assert_int_equal(jobs_forget_talk(&k->jobs, &anna, &talk, &note), ERR_NOT_FOUND);
    assert_int_equal(jobs_forget_talk(&k->jobs, NULL, &talk, &note), ERR_OK);
    expect(k, 1);
}

/* No conversation is what jobs outside of them are in. */
static void no_talk_is_not_forgotten(void **state)
{
    struct kept *k = *state;
    struct note note = {{0}};
    make(k, 1, JOB_DONE, 10);
    assert_int_equal(jobs_forget_talk(&k->jobs, NULL, &(struct hash){{0}}, &note), ERR_NOT_FOUND);
    expect(k, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_oldest_go, kept_begin, kept_end),
        cmocka_unit_test_setup_teardown(those_in_use_stay, kept_begin, kept_end),
        cmocka_unit_test_setup_teardown(long_ones_are_fewer, kept_begin, kept_end),
        cmocka_unit_test_setup_teardown(a_start_has_them_by_age, kept_begin, kept_end),
        cmocka_unit_test_setup_teardown(a_talk_is_forgotten, kept_begin, kept_end),
        cmocka_unit_test_setup_teardown(no_talk_is_not_forgotten, kept_begin, kept_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
