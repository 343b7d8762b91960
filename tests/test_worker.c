/* Workers as the daemon has them: real processes of kith-worker over a real loop. Many jobs at once say what each says
 * alone; a worker that is killed in the middle is noticed by nobody; what cannot be run is refused once and clearly. */
#include "tests/worker_stage.h"

#include "base/file.h"
#include "inference/request.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define JOBS STAGE_JOBS_MAX

static void test_jobs_at_once(void **state)
{
    (void)state;
    TEST_NEEDS(model, "weights/stories260K-Q8_0.gguf");
    struct run alone[JOBS] = {{0}}, together[JOBS] = {{0}};
    struct stage s;
    stage_open(&s, model, stage_program(), WORKER_FULL);
    for (unsigned i = 0; i < JOBS; i++) {
        run_start(&s, &alone[i], i, 40 + 10 * i);
        stage_run(&s);
    }
    for (unsigned i = 0; i < JOBS; i++)
        run_start(&s, &together[i], i, 40 + 10 * i);
    stage_run(&s);
    for (unsigned i = 0; i < JOBS; i++) {
        run_expect_same(&alone[i], &together[i]);
        assert_true(bytes_equal(bytes_of_buf(&alone[i].text), bytes_of_buf(&together[i].text)));
    }
    assert_false(hash_equal(&alone[1].digest, &alone[3].digest)); /* the seed matters */
    run_clear(alone, JOBS);
    run_clear(together, JOBS);
    stage_close(&s);
}

/* Killed twice with several jobs in it: tokens come once each, and the digests are those of an undisturbed run. */
static void test_killed_in_the_middle(void **state)
{
    (void)state;
    TEST_NEEDS(model, "weights/stories260K-F32.gguf");
    struct run quiet[3] = {{0}}, killed[3] = {{0}};
    struct stage s;
    stage_open(&s, model, stage_program(), WORKER_FULL);
    for (unsigned i = 0; i < 3; i++)
        run_start(&s, &quiet[i], i, 120);
    stage_run(&s);
    killed[0].kill_at = 20;
    killed[2].kill_at = 70;
    for (unsigned i = 0; i < 3; i++)
        run_start(&s, &killed[i], i, 120);
    stage_run(&s);
    assert_int_equal(killed[0].kill_at, 0); /* it was; the second where something was left to be said */
    for (unsigned i = 0; i < 3; i++)
        run_expect_same(&quiet[i], &killed[i]);
    run_clear(quiet, 3);
    run_clear(killed, 3);
    stage_close(&s);
}

/* Looks every few milliseconds whether the worker is ready, or not, and wants it; fails after ten seconds. */
struct look {
    struct stage *stage;
    struct timer timer;
    bool until_ready;
    unsigned left;
};

static void look(void *arg)
{
    struct look *l = arg;
    struct worker_info info;
    if (l->until_ready)
        worker_wake(l->stage->worker);
    worker_get_info(l->stage->worker, &info);
    if (info.ready == l->until_ready || --l->left == 0)
        host_uv_stop(l->stage->host);
    else
        host_timer_set(l->stage->host, &l->timer, 5, look, l);
}

static void wait_ready(struct stage *s, bool until_ready)
{
    struct look l = {.stage = s, .until_ready = until_ready, .left = 2000};
    host_timer_set(s->host, &l.timer, 1, look, &l);
    host_uv_run(s->host);
    host_timer_cancel(s->host, &l.timer);
    assert_true(l.left > 0);
}

/* A worker that dies with nothing to do stays down until it is wanted, not for ever. */
static void test_killed_while_idle(void **state)
{
    (void)state;
    TEST_NEEDS(model, "weights/stories260K-F32.gguf");
    struct run run = {0};
    struct stage s;
    stage_open(&s, model, stage_program(), WORKER_FULL);
    run_start(&s, &run, 0, 8);
    stage_run(&s);
    stage_kill();
    wait_ready(&s, false);
    wait_ready(&s, true);
    run_clear(&run, 1);
    stage_close(&s);
}

/* The same with jobs that share their beginning, two of them waiting for a third to read it when it dies. */
static void test_killed_while_sharing(void **state)
{
    (void)state;
    TEST_NEEDS(model, "weights/stories260K-Q8_0.gguf");
    struct run quiet[4] = {{0}}, killed[4] = {{0}};
    struct stage s;
    stage_open(&s, model, stage_program(), WORKER_FULL);
    for (unsigned i = 0; i < 4; i++) {
        run_start_shared(&s, &quiet[i], 0, i, 60);
        stage_run(&s);
        assert_int_equal(quiet[i].shared, 0);
    }
    killed[0].kill_at = 1; /* the others have hardly begun */
    killed[3].kill_at = 40;
    for (unsigned i = 0; i < 4; i++)
        run_start_shared(&s, &killed[i], 1, i, 60);
    stage_run(&s);
    for (unsigned i = 0; i < 4; i++)
        run_expect_same(&quiet[i], &killed[i]);
    /* All may have been said before the last of them died, which is then noticed in the first of these. */
    struct run again[2] = {{0}};
    for (unsigned i = 0; i < 2; i++) {
        run_start_shared(&s, &again[i], 1, 2, 60);
        stage_run(&s);
        run_expect_same(&quiet[2], &again[i]);
    }
    assert_int_equal(again[1].shared, 128);
    run_clear(quiet, 4);
    run_clear(killed, 4);
    run_clear(again, 2);
    stage_close(&s);
}

/* Tokens that are known go in as a prefix and only the rest comes out; wrong ones are noticed. */
static void test_known_tokens(void **state)
{
    (void)state;
    TEST_NEEDS(model, "weights/stories260K-F32.gguf");
    struct run whole = {0}, rest = {0}, wrong = {0};
    struct stage s;
    stage_open(&s, model, stage_program(), WORKER_FULL);
    run_start(&s, &whole, 1, 50);
    stage_run(&s);
    buf_add(&rest.tokens, whole.tokens.p, 4 * 17);
    run_start(&s, &rest, 1, 50);
    buf_add(&wrong.tokens, whole.tokens.p, 4 * 17);
    wrong.tokens.p[4 * 9] ^= 1;
    run_start(&s, &wrong, 1, 50);
    stage_run(&s);
    run_expect_same(&whole, &rest);
    assert_int_equal(wrong.e, ERR_MISMATCH);
    run_clear(&whole, 1);
    run_clear(&rest, 1);
    run_clear(&wrong, 1);
    stage_close(&s);
}

/* -- verify -- */

struct check {
    struct stage *stage;
    enum err e;
    struct worker_verdict verdict;
};

static void on_verdict(void *arg, enum err e, const struct worker_verdict *v, const struct note *note)
{
    struct check *c = arg;
    (void)note;
    c->e = e;
    if (v)
        c->verdict = *v;
    stage_answered(c->stage);
}

static struct worker_verdict check_witnessed(struct stage *s, const struct run *r, const struct hash *digest,
                                             const struct hash *key)
{
    struct check c = {.stage = s};
    struct buf request = {0};
    run_request(1, 50, &request);
    s->waiting++;
    const struct worker_work work = {.request = bytes_of_buf(&request), .tokens = bytes_of_buf(&r->tokens), .key = key};
    worker_verify(s->worker, &work, digest, on_verdict, &c);
    stage_run(s);
    assert_int_equal(c.e, ERR_OK);
    buf_clear(&request);
    return c.verdict;
}

static struct worker_verdict check(struct stage *s, const struct run *r, const struct hash *digest)
{
    return check_witnessed(s, r, digest, NULL);
}

static void test_verify(void **state)
{
    (void)state;
    TEST_NEEDS(model, "weights/stories260K-Q4_0.gguf");
    struct run r = {0};
    struct stage s;
    stage_open(&s, model, stage_program(), WORKER_FULL);
    run_start(&s, &r, 1, 50);
    stage_run(&s);
    assert_true(check(&s, &r, &r.digest).same);
    struct hash other = r.digest;
    other.b[31] ^= 1;
    assert_false(check(&s, &r, &other).same);
    const struct hash key = {{1}}, another = {{2}};
    const struct worker_verdict plain = check(&s, &r, &r.digest), first = check_witnessed(&s, &r, &r.digest, &key),
                                second = check_witnessed(&s, &r, &other, &key),
                                third = check_witnessed(&s, &r, &r.digest, &another);
    assert_true(hash_is_zero(&plain.witness) && !hash_is_zero(&first.witness));
    assert_true(first.same && !second.same && hash_equal(&first.witness, &second.witness));
    assert_false(hash_equal(&first.witness, &third.witness));
    r.tokens.p[4 * 23] ^= 1;
    const struct worker_verdict v = check(&s, &r, &r.digest);
    assert_false(v.same);
    assert_int_equal(v.position, 23);
    run_clear(&r, 1);
    stage_close(&s);
}

/* -- text -- */

struct words {
    struct stage *stage;
    struct buf bytes;
    enum err e;
};

static void on_bytes(void *arg, enum err e, struct bytes b, const struct note *note)
{
    struct words *w = arg;
    (void)note;
    w->e = e;
    buf_add(&w->bytes, b.p, b.n);
    stage_answered(w->stage);
}

static void on_text(void *arg, enum err e, const struct worker_text *t, const struct note *note)
{
    on_bytes(arg, e, t->text, note);
}

static void on_prompt(void *arg, enum err e, const struct worker_prompt *p, const struct note *note)
{
    assert_false(p->called);
    on_bytes(arg, e, p->ids, note);
}

static void test_text(void **state)
{
    (void)state;
    TEST_NEEDS(model, "weights/stories260K-F32.gguf");
    struct run r = {0};
    struct stage s;
    stage_open(&s, model, stage_program(), WORKER_VOCAB);
    struct words ids = {.stage = &s}, text = {.stage = &s}, chat = {.stage = &s};
    s.waiting = 2;
    worker_tokenize(s.worker, bytes_of_text("Once upon a time"), false, on_bytes, &ids);
    worker_template(s.worker,
                    &(struct worker_chat){.messages = bytes_of_text("[{\"role\":\"user\",\"content\":\"hi\"}]")},
                    on_prompt, &chat);
    stage_run(&s);
    assert_int_equal(ids.e, ERR_OK);
    assert_int_equal(ids.bytes.n, 20);
    assert_int_equal(load_le32(ids.bytes.p), 1);
    assert_int_equal(load_le32(ids.bytes.p + 16), 378);
    assert_int_equal(chat.e, ERR_UNSUPPORTED); /* this file has no template */
    s.waiting = 1;
    worker_detokenize(s.worker, bytes_of_buf(&ids.bytes), on_text, &text);
    stage_run(&s);
    assert_int_equal(text.e, ERR_OK);
    assert_true(bytes_equal(bytes_of_buf(&text.bytes), bytes_of_text(" Once upon a time")));
    run_start(&s, &r, 0, 10);
    stage_run(&s);
    assert_int_equal(r.e, ERR_STATE); /* a vocabulary cannot run */
    buf_clear(&ids.bytes);
    buf_clear(&text.bytes);
    buf_clear(&chat.bytes);
    run_clear(&r, 1);
    stage_close(&s);
}

/* -- what goes wrong -- */

/* A job that is taken back says nothing more, and the others do not mind. */
static void test_dropped(void **state)
{
    (void)state;
    TEST_NEEDS(model, "weights/stories260K-F32.gguf");
    struct run kept = {0}, dropped = {0}, again = {0};
    struct stage s;
    stage_open(&s, model, stage_program(), WORKER_FULL);
    run_start(&s, &dropped, 2, 400);
    run_start(&s, &kept, 0, 60);
    s.waiting--;
    worker_drop(s.worker, dropped.ask);
    worker_drop(s.worker, dropped.ask);
    worker_drop(s.worker, 12345);
    stage_run(&s);
    assert_false(dropped.is_over);
    run_start(&s, &again, 0, 60);
    stage_run(&s);
    run_expect_same(&kept, &again);
    run_clear(&kept, 1);
    run_clear(&dropped, 1);
    run_clear(&again, 1);
    stage_close(&s);
}

static void test_bad_requests(void **state)
{
    (void)state;
    TEST_NEEDS(model, "weights/stories260K-F32.gguf");
    struct run over = {0}, garbage = {0}, fine = {0};
    struct stage s;
    stage_open(&s, model, stage_program(), WORKER_FULL);
    run_start(&s, &over, 0, 100000); /* beyond the context */
    garbage.stage = &s;
    s.waiting++;
    worker_run(s.worker, &(struct worker_work){.request = bytes_of_text("no request")}, &run_calls, &garbage);
    run_start(&s, &fine, 0, 5);
    stage_run(&s);
    assert_int_equal(over.e, ERR_LIMIT);
    assert_int_equal(garbage.e, ERR_FORMAT);
    assert_int_equal(fine.e, ERR_OK);
    run_clear(&fine, 1);
    stage_close(&s);
}

/* Not a model: said once, not tried again and again; a later question hears the same. */
static void test_no_model(void **state)
{
    (void)state;
    struct run first = {0}, second = {0};
    struct stage s;
    stage_open(&s, "/proc/self/exe", stage_program(), WORKER_FULL);
    run_start(&s, &first, 0, 5);
    stage_run(&s);
    assert_int_equal(first.e, ERR_FORMAT);
    run_start(&s, &second, 0, 5);
    stage_run(&s);
    assert_int_equal(second.e, ERR_FORMAT);
    stage_close(&s);
}

/* A program that dies whatever it is asked is given up after a few times, and one that is not there too. */
static void test_dies_always(void **state)
{
    (void)state;
    static const char *const programs[] = {"/bin/false", "/nonexistent/kith-worker"};
    for (unsigned i = 0; i < 2; i++) {
        struct run r = {0};
        struct stage s;
        stage_open(&s, "/proc/self/exe", programs[i], WORKER_FULL);
        run_start(&s, &r, 0, 5);
        stage_run(&s);
        assert_int_equal(r.e, ERR_CLOSED);
        stage_close(&s);
    }
}

/* Unloaded with questions open: each hears so, later. */
static void test_stopped(void **state)
{
    (void)state;
    TEST_NEEDS(model, "weights/stories260K-F32.gguf");
    struct run r = {0};
    struct stage s;
    stage_open(&s, model, stage_program(), WORKER_FULL);
    run_start(&s, &r, 0, 400);
    workers_stop(s.workers, s.worker);
    assert_false(r.is_over);
    stage_run(&s);
    assert_int_equal(r.e, ERR_CANCELLED);
    run_clear(&r, 1);
    stage_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jobs_at_once),
        cmocka_unit_test(test_killed_in_the_middle),
        cmocka_unit_test(test_killed_while_idle),
        cmocka_unit_test(test_killed_while_sharing),
        cmocka_unit_test(test_known_tokens),
        cmocka_unit_test(test_verify),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_dropped),
        cmocka_unit_test(test_bad_requests),
        cmocka_unit_test(test_no_model),
        cmocka_unit_test(test_dies_always),
        cmocka_unit_test(test_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
