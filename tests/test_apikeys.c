/* Keys of the API: kept over a restart, gone when removed, and no more spent than their cap. */
#include "node/api/apikeys.h"

#include "base/mem.h"
#include "node/market/job.h"
#include "tests/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct meeting {
    struct host *host;
    struct apikeys *keys;
    struct jobs jobs;
    struct timer late;
    char *dir, path[100];
};

static int meeting_begin(void **state)
{
    struct meeting *m = mem_new(sizeof *m);
    struct note note;
    m->host = host_uv_open(&note);
    m->dir = test_dir_new();
    snprintf(m->path, sizeof m->path, "%s/keys", m->dir);
    assert_int_equal(apikeys_open(m->host, m->path, &m->keys, &note), ERR_OK);
    m->jobs.s = (struct market_services){.host = m->host, .kv = kv_mem_open()};
    *state = m;
    return 0;
}

static int meeting_end(void **state)
{
    struct meeting *m = *state;
    apikeys_close(m->keys);
    while (m->jobs.first) {
        while (m->jobs.first->watches)
            jobs_unwatch(m->jobs.first->watches);
        job_free(m->jobs.first);
    }
    kv_close(m->jobs.s.kv);
    host_uv_close(m->host);
    test_dir_remove(m->dir);
    free(m);
    return 0;
}

static void again(struct meeting *m, enum err expected)
{
    struct note note = {{0}};
    apikeys_close(m->keys);
    m->keys = NULL;
    assert_int_equal(apikeys_open(m->host, m->path, &m->keys, &note), expected);
    assert_true((note.text[0] != 0) == (expected != ERR_OK));
}

static void keys_outlive_a_restart(void **state)
{
    struct meeting *m = *state;
    struct note note;
    char a[APIKEY_TEXT_ROOM], b[APIKEY_TEXT_ROOM], id[APIKEY_ID_ROOM];
    assert_int_equal(apikeys_add(m->keys, "a", APIKEY_USE, NULL, a, &note), ERR_OK);
    assert_int_equal(apikeys_add(m->keys, "b", APIKEY_READ | APIKEY_POST, &(struct amount){5}, b, &note), ERR_OK);
    assert_true(apikeys_looks_like_key(a) && strlen(a) == APIKEY_TEXT_ROOM - 1 && strcmp(a, b) != 0);
    again(m, ERR_OK);
    const struct apikey *k = apikeys_find(m->keys, b);
    assert_non_null(k);
    assert_string_equal(k->name.s, "b");
    assert_int_equal(k->scopes, APIKEY_READ | APIKEY_POST);
    assert_int_equal(apikeys_left(k).mote, 5);
    assert_int_equal(apikeys_left(apikeys_find(m->keys, a)).mote, UINT64_MAX);
    b[20] = b[20] == '0' ? '1' : '0';
    assert_null(apikeys_find(m->keys, b));
    assert_null(apikeys_find(m->keys, ""));
    apikeys_id(apikeys_find(m->keys, a), id);
    assert_int_equal(apikeys_remove(m->keys, id, &note), ERR_OK);
    assert_int_equal(apikeys_remove(m->keys, id, &note), ERR_NOT_FOUND);
    again(m, ERR_OK);
    assert_null(apikeys_find(m->keys, a));
}

static void a_damaged_file_is_refused(void **state)
{
    struct meeting *m = *state;
    struct note note;
    char text[APIKEY_TEXT_ROOM];
    struct buf raw = {0};
    assert_int_equal(apikeys_add(m->keys, "a", APIKEY_USE, NULL, text, &note), ERR_OK);
    assert_int_equal(host_read(m->host, m->path, 4096, &raw, &note), ERR_OK);
    for (size_t i = 0; i < raw.n; i++) {
        raw.p[i] ^= 1;
        assert_int_equal(host_write(m->host, m->path, 0600, bytes_of_buf(&raw), &note), ERR_OK);
        again(m, ERR_CORRUPT);
        raw.p[i] ^= 1;
    }
    for (size_t n = 0; n < raw.n; n += 7) {
        assert_int_equal(host_write(m->host, m->path, 0600, bytes_of(raw.p, n), &note), ERR_OK);
        again(m, ERR_CORRUPT);
    }
    buf_clear(&raw);
}

static struct job *running(struct meeting *m, uint8_t id, bool local)
{
    struct job *j = job_new(&m->jobs);
    j->r.id.b[0] = id;
    j->r.state = JOB_RUNNING;
    j->r.local = local;
    request_put(&j->request, &(struct request){.arith = REQUEST_ARITH, .top_p = 1, .repeat_penalty = 1});
    return j;
}

static void stop(void *arg)
{
    host_uv_stop(arg);
}

static void finish(struct meeting *m, struct job *j, uint64_t cost)
{
    j->r.cost = amount_of(cost);
    job_finish(j, ERR_OK, "");
    host_timer_set(m->host, &m->late, 20, stop, m->host);
    host_uv_run(m->host);
}

static enum err charge(struct meeting *m, const char *text, const struct job *j, uint64_t most)
{
    struct note note;
    return apikeys_charge(m->keys, &apikeys_find(m->keys, text)->hash, &m->jobs, &j->r.id, amount_of(most), &note);
}

/* What a job may cost is taken at its start; what it did not cost comes back. */
static void a_cap_holds(void **state)
{
    struct meeting *m = *state;
    struct note note;
    char text[APIKEY_TEXT_ROOM];
    assert_int_equal(apikeys_add(m->keys, "", APIKEY_USE, &(struct amount){100}, text, &note), ERR_OK);
    struct job *a = running(m, 1, false), *b = running(m, 2, false), *here = running(m, 3, true);
    assert_int_equal(charge(m, text, a, 70), ERR_OK);
    assert_int_equal(charge(m, text, b, 31), ERR_FUNDS);
    assert_int_equal(charge(m, text, here, 1000), ERR_OK);
    assert_int_equal(apikeys_left(apikeys_find(m->keys, text)).mote, 30);
    finish(m, a, 20);
    assert_int_equal(apikeys_left(apikeys_find(m->keys, text)).mote, 80);
    assert_int_equal(charge(m, text, b, 80), ERR_OK);
    assert_int_equal(charge(m, text, a, 0), ERR_FUNDS);
    again(m, ERR_OK); /* with b under way: what it may cost stays taken */
    assert_int_equal(apikeys_left(apikeys_find(m->keys, text)).mote, 0);
}

/* One that is removed meanwhile has nothing to be given back to. */
static void a_removed_key_is_forgotten(void **state)
{
    struct meeting *m = *state;
    struct note note;
    char text[APIKEY_TEXT_ROOM], id[APIKEY_ID_ROOM];
    assert_int_equal(apikeys_add(m->keys, "", APIKEY_USE, &(struct amount){100}, text, &note), ERR_OK);
    struct job *a = running(m, 1, false);
    assert_int_equal(charge(m, text, a, 70), ERR_OK);
    apikeys_id(apikeys_find(m->keys, text), id);
    assert_int_equal(apikeys_remove(m->keys, id, &note), ERR_OK);
    finish(m, a, 20);
    assert_null(a->watches);
}

static void there_is_a_limit(void **state)
{
    struct meeting *m = *state;
    struct note note;
    char text[APIKEY_TEXT_ROOM], name[80];
    memset(name, 'a', sizeof name);
    name[65] = 0;
    assert_int_equal(apikeys_add(m->keys, name, APIKEY_USE, NULL, text, &note), ERR_FORMAT);
    name[64] = 0;
    for (unsigned i = 0; i < APIKEYS_MAX; i++)
        assert_int_equal(apikeys_add(m->keys, name, APIKEY_ALL, &(struct amount){1}, text, &note), ERR_OK);
    assert_int_equal(apikeys_add(m->keys, "", APIKEY_USE, NULL, text, &note), ERR_LIMIT);
    again(m, ERR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(keys_outlive_a_restart, meeting_begin, meeting_end),
        cmocka_unit_test_setup_teardown(a_damaged_file_is_refused, meeting_begin, meeting_end),
        cmocka_unit_test_setup_teardown(a_cap_holds, meeting_begin, meeting_end),
        cmocka_unit_test_setup_teardown(a_removed_key_is_forgotten, meeting_begin, meeting_end),
        cmocka_unit_test_setup_teardown(there_is_a_limit, meeting_begin, meeting_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
