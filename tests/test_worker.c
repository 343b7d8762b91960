/* Workers as the daemon has them: real processes of kith-worker over a real loop. Many jobs at once say what each says
 * alone; a worker that is killed in the middle is noticed by nobody; what cannot be run is refused once and clearly. */
#include "tests/support.h"

#include "base/file.h"
#include "inference/request.h"
#include "node/worker.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GUARD_MS 60000 /* a test that takes longer hangs */
#define JOBS     6

struct stage {
    struct host *host;
    struct workers *workers;
    struct worker *worker;
    struct timer guard;
    unsigned waiting; /* questions */
};

struct run {
    struct stage *stage;
    struct buf tokens, text;
    struct hash digest;
    uint32_t kill_at; /* token at which the process is killed; 0: none */
    worker_ask ask;
    bool is_over;
    enum err e;
    uint8_t stop;
    uint32_t shared;
};

static void on_guard(void *arg)
{
    (void)arg;
    fail_msg("nothing more came");
}

/* The program that was built with this test: build/MODE/tests/test_worker, build/MODE/kith-worker. */
static const char *program(void)
{
    static char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 32);
    assert_true(n > 0);
    path[n] = '\0';
    for (int up = 0; up < 2; up++)
        *strrchr(path, '/') = '\0';
    strcat(path, "/kith-worker");
    return path;
}

static const char *packs; /* where packed weights are kept; NULL: nowhere */

static void stage_open(struct stage *s, const char *model, const char *worker_program, enum worker_mode mode)
{
    struct note note = {{0}};
    const struct hash root = {{7}}; /* it is the daemon's to know: not checked again in the worker */
    *s = (struct stage){.host = host_uv_open(&note)};
    assert_non_null(s->host);
    s->workers = workers_new(&(struct workers_options){.host = s->host,
                                                       .program = worker_program,
                                                       .backend = "auto",
                                                       .threads = 2,
                                                       .jobs_max = JOBS,
                                                       .packs = packs,
                                                       .packs_bytes = 1u << 30});
    int fd = open(model, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(workers_get(s->workers, &root, mode, fd, &s->worker, &note), ERR_OK);
    assert_ptr_equal(workers_find(s->workers, &root, mode), s->worker);
    host_timer_set(s->host, &s->guard, GUARD_MS, on_guard, s);
}

static void stage_close(struct stage *s)
{
    host_timer_cancel(s->host, &s->guard);
    workers_free(s->workers);
    host_uv_close(s->host);
}

/* Until all questions are answered. */
static void stage_run(struct stage *s)
{
    if (s->waiting > 0)
        host_uv_run(s->host);
    assert_int_equal(s->waiting, 0);
}

static void answered(struct stage *s)
{
    assert_true(s->waiting > 0);
    if (--s->waiting == 0)
        host_uv_stop(s->host);
}

/* The process whose parent we are. */
static pid_t find_child(void)
{
    DIR *dir = opendir("/proc");
    struct dirent *entry;
    pid_t found = 0;
    assert_non_null(dir);
    while (!found && (entry = readdir(dir))) {
        char path[300], line[512];
        snprintf(path, sizeof path, "/proc/%.100s/stat", entry->d_name);
        FILE *f = *entry->d_name >= '0' && *entry->d_name <= '9' ? fopen(path, "r") : NULL;
        if (!f)
            continue;
        const char *behind = fgets(line, sizeof line, f) ? strrchr(line, ')') : NULL;
        int parent = 0;
        char state = 0;
        if (behind && sscanf(behind, ") %c %d", &state, &parent) == 2 && parent == getpid() && state != 'Z')
            found = (pid_t)strtol(entry->d_name, NULL, 10);
        fclose(f);
    }
    closedir(dir);
    return found;
}

/* -- jobs -- */

static void on_token(void *arg, const struct worker_token *t)
{
    struct run *r = arg;
    uint8_t id[4];
    assert_false(r->is_over);
    assert_int_equal(t->index, r->tokens.n / 4); /* each once, in order, whatever dies */
    store_le32(id, t->token);
    buf_add(&r->tokens, id, sizeof id);
    buf_add(&r->text, t->text.p, t->text.n);
    r->digest = t->digest;
    if (r->kill_at && t->index == r->kill_at) {
        pid_t child = find_child();
        assert_true(child > 0);
        assert_int_equal(kill(child, SIGKILL), 0);
    }
}

static void on_done(void *arg, enum err e, const struct worker_done *d, const struct note *note)
{
    struct run *r = arg;
    assert_false(r->is_over);
    r->is_over = true;
    r->e = e;
    if (e == ERR_OK) {
        assert_int_equal(d->tokens, r->tokens.n / 4);
        assert_true(hash_equal(&d->digest, &r->digest));
        buf_add(&r->text, d->text.p, d->text.n);
        r->stop = d->stop;
        r->shared = d->shared;
    } else {
        assert_true(note->text[0] != '\0');
        assert_null(strchr(note->text, '\n'));
    }
    answered(r->stage);
}

/* "Once upon a time", and differently from job to job: greedy or drawn, longer or shorter. */
static void request_of_job(unsigned job, uint32_t tokens_max, struct buf *out)
{
    static const uint32_t ids[] = {1, 403, 407, 261, 378, 432, 383, 286};
    uint8_t prompt[sizeof ids];
    struct request r;
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        store_le32(prompt + 4 * i, ids[i]);
    request_init(&r);
    r.prompt = bytes_of(prompt, 4 * (size_t)(3 + job % 6));
    r.tokens_max = tokens_max;
    if (job % 2) {
        r.temp = 0.8f;
        r.top_p = 0.95f;
        r.repeat_penalty = 1.1f;
        r.window = 32;
        r.seed.b[0] = (uint8_t)job;
    }
    request_put(out, &r);
}

/* Of a scope, so that jobs share beginnings: all begin with the same 130 tokens. */
static void start_shared(struct stage *s, struct run *r, uint8_t scope, uint32_t job, uint32_t tokens_max)
{
    static const struct worker_calls calls = {.token = on_token, .done = on_done};
    struct buf request = {0}, prompt = {0};
    struct request q;
    request_init(&q);
    for (uint32_t i = 0; i < 130 + 10 * job; i++) {
        uint8_t id[4];
        store_le32(id, i < 130 ? 300 + i * 7 % 150 : 300 + job);
        buf_add(&prompt, id, sizeof id);
    }
    q.prompt = bytes_of_buf(&prompt);
    q.tokens_max = tokens_max;
    q.temp = 0.8f;
    q.seed.b[0] = (uint8_t)job;
    request_put(&request, &q);
    r->stage = s;
    s->waiting++;
    const struct worker_work work = {.request = bytes_of_buf(&request), .scope = {{scope}}};
    r->ask = worker_run(s->worker, &work, &calls, r);
    buf_clear(&request);
    buf_clear(&prompt);
}

static void start_run(struct stage *s, struct run *r, unsigned job, uint32_t tokens_max)
{
    static const struct worker_calls calls = {.token = on_token, .done = on_done};
    struct buf request = {0};
    request_of_job(job, tokens_max, &request);
    r->stage = s;
    s->waiting++;
    const struct worker_work work = {.request = bytes_of_buf(&request), .tokens = bytes_of_buf(&r->tokens)};
    r->ask = worker_run(s->worker, &work, &calls, r);
    assert_false(r->is_over); /* never within the call */
    buf_clear(&request);
}

static void clear_runs(struct run *r, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        buf_clear(&r[i].tokens);
        buf_clear(&r[i].text);
    }
}

static void expect_same(const struct run *a, const struct run *b)
{
    assert_int_equal(a->e, ERR_OK);
    assert_int_equal(b->e, ERR_OK);
    assert_true(bytes_equal(bytes_of_buf(&a->tokens), bytes_of_buf(&b->tokens)));
    assert_true(hash_equal(&a->digest, &b->digest));
    assert_int_equal(a->stop, b->stop);
}

static void test_jobs_at_once(void **state)
{
    (void)state;
    TEST_NEEDS(model, "weights/stories260K-Q8_0.gguf");
    struct run alone[JOBS] = {{0}}, together[JOBS] = {{0}};
    struct stage s;
    stage_open(&s, model, program(), WORKER_FULL);
    for (unsigned i = 0; i < JOBS; i++) {
        start_run(&s, &alone[i], i, 40 + 10 * i);
        stage_run(&s);
    }
    for (unsigned i = 0; i < JOBS; i++)
        start_run(&s, &together[i], i, 40 + 10 * i);
    stage_run(&s);
    for (unsigned i = 0; i < JOBS; i++) {
        expect_same(&alone[i], &together[i]);
        assert_true(bytes_equal(bytes_of_buf(&alone[i].text), bytes_of_buf(&together[i].text)));
    }
    assert_false(hash_equal(&alone[1].digest, &alone[3].digest)); /* the seed matters */
    clear_runs(alone, JOBS);
    clear_runs(together, JOBS);
    stage_close(&s);
}

/* Killed twice with several jobs in it: tokens come once each, and the digests are those of an undisturbed run. */
static void test_killed_in_the_middle(void **state)
{
    (void)state;
    TEST_NEEDS(model, "weights/stories260K-F32.gguf");
    struct run quiet[3] = {{0}}, killed[3] = {{0}};
    struct stage s;
    stage_open(&s, model, program(), WORKER_FULL);
    for (unsigned i = 0; i < 3; i++)
        start_run(&s, &quiet[i], i, 120);
    stage_run(&s);
    killed[0].kill_at = 20;
    killed[2].kill_at = 70;
    for (unsigned i = 0; i < 3; i++)
        start_run(&s, &killed[i], i, 120);
    stage_run(&s);
    for (unsigned i = 0; i < 3; i++)
        expect_same(&quiet[i], &killed[i]);
    clear_runs(quiet, 3);
    clear_runs(killed, 3);
    stage_close(&s);
}

/* The same with jobs that share their beginning, two of them waiting for a third to read it when it dies. */
static void test_killed_while_sharing(void **state)
{
    (void)state;
    TEST_NEEDS(model, "weights/stories260K-Q8_0.gguf");
    struct run quiet[4] = {{0}}, killed[4] = {{0}};
    struct stage s;
    stage_open(&s, model, program(), WORKER_FULL);
    for (unsigned i = 0; i < 4; i++) {
        start_shared(&s, &quiet[i], 0, i, 60);
        stage_run(&s);
        assert_int_equal(quiet[i].shared, 0);
    }
    killed[0].kill_at = 1; /* the others have hardly begun */
    killed[3].kill_at = 40;
    for (unsigned i = 0; i < 4; i++)
        start_shared(&s, &killed[i], 1, i, 60);
    stage_run(&s);
    for (unsigned i = 0; i < 4; i++)
        expect_same(&quiet[i], &killed[i]);
    struct run again = {0};
    start_shared(&s, &again, 1, 2, 60);
    stage_run(&s);
    expect_same(&quiet[2], &again);
    assert_int_equal(again.shared, 128);
    clear_runs(quiet, 4);
    clear_runs(killed, 4);
    clear_runs(&again, 1);
    stage_close(&s);
}

/* Tokens that are known go in as a prefix and only the rest comes out; wrong ones are noticed. */
static void test_known_tokens(void **state)
{
    (void)state;
    TEST_NEEDS(model, "weights/stories260K-F32.gguf");
    struct run whole = {0}, rest = {0}, wrong = {0};
    struct stage s;
    stage_open(&s, model, program(), WORKER_FULL);
    start_run(&s, &whole, 1, 50);
    stage_run(&s);
    buf_add(&rest.tokens, whole.tokens.p, 4 * 17);
    start_run(&s, &rest, 1, 50);
    buf_add(&wrong.tokens, whole.tokens.p, 4 * 17);
    wrong.tokens.p[4 * 9] ^= 1;
    start_run(&s, &wrong, 1, 50);
    stage_run(&s);
    expect_same(&whole, &rest);
    assert_int_equal(wrong.e, ERR_MISMATCH);
    clear_runs(&whole, 1);
    clear_runs(&rest, 1);
    clear_runs(&wrong, 1);
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
    answered(c->stage);
}

static struct worker_verdict check(struct stage *s, const struct run *r, const struct hash *digest)
{
    struct check c = {.stage = s};
    struct buf request = {0};
    request_of_job(1, 50, &request);
    s->waiting++;
    const struct worker_work work = {.request = bytes_of_buf(&request), .tokens = bytes_of_buf(&r->tokens)};
    worker_verify(s->worker, &work, digest, on_verdict, &c);
    stage_run(s);
    assert_int_equal(c.e, ERR_OK);
    buf_clear(&request);
    return c.verdict;
}

static void test_verify(void **state)
{
    (void)state;
    TEST_NEEDS(model, "weights/stories260K-Q4_0.gguf");
    struct run r = {0};
    struct stage s;
    stage_open(&s, model, program(), WORKER_FULL);
    start_run(&s, &r, 1, 50);
    stage_run(&s);
    assert_true(check(&s, &r, &r.digest).same);
    struct hash other = r.digest;
    other.b[31] ^= 1;
    assert_false(check(&s, &r, &other).same);
    r.tokens.p[4 * 23] ^= 1;
    const struct worker_verdict v = check(&s, &r, &r.digest);
    assert_false(v.same);
    assert_int_equal(v.position, 23);
    clear_runs(&r, 1);
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
    answered(w->stage);
}

static void test_text(void **state)
{
    (void)state;
    TEST_NEEDS(model, "weights/stories260K-F32.gguf");
    struct run r = {0};
    struct stage s;
    stage_open(&s, model, program(), WORKER_VOCAB);
    struct words ids = {.stage = &s}, text = {.stage = &s}, chat = {.stage = &s};
    s.waiting = 2;
    worker_tokenize(s.worker, bytes_of_text("Once upon a time"), false, on_bytes, &ids);
    worker_template(s.worker, bytes_of_text("[{\"role\":\"user\",\"content\":\"hi\"}]"), (struct bytes){0}, on_bytes,
                    &chat);
    stage_run(&s);
    assert_int_equal(ids.e, ERR_OK);
    assert_int_equal(ids.bytes.n, 20);
    assert_int_equal(load_le32(ids.bytes.p), 1);
    assert_int_equal(load_le32(ids.bytes.p + 16), 378);
    assert_int_equal(chat.e, ERR_UNSUPPORTED); /* this file has no template */
    s.waiting = 1;
    worker_detokenize(s.worker, bytes_of_buf(&ids.bytes), on_bytes, &text);
    stage_run(&s);
    assert_int_equal(text.e, ERR_OK);
    assert_true(bytes_equal(bytes_of_buf(&text.bytes), bytes_of_text(" Once upon a time")));
    start_run(&s, &r, 0, 10);
    stage_run(&s);
    assert_int_equal(r.e, ERR_STATE); /* a vocabulary cannot run */
    buf_clear(&ids.bytes);
    buf_clear(&text.bytes);
    buf_clear(&chat.bytes);
    clear_runs(&r, 1);
    stage_close(&s);
}

/* -- packed weights -- */

/* The one file in the directory, or NULL. */
static const char *find_pack(const char *dir)
{
    static char path[600];
    DIR *d = opendir(dir);
    const struct dirent *one;
    unsigned n = 0;
    while (d && (one = readdir(d)))
        if (*one->d_name != '.') {
            snprintf(path, sizeof path, "%.300s/%.250s", dir, one->d_name);
            n++;
        }
    if (d)
        closedir(d);
    assert_true(n <= 1);
    return n ? path : NULL;
}

static void flip(const char *path, off_t at, int whence)
{
    uint8_t b;
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0 && lseek(fd, at, whence) >= 0 && read(fd, &b, 1) == 1);
    b ^= 4;
    assert_true(lseek(fd, -1, SEEK_CUR) >= 0 && write(fd, &b, 1) == 1);
    close(fd);
}

static enum err run_with_packs(const char *model, struct run *r)
{
    struct stage s;
    *r = (struct run){0};
    stage_open(&s, model, program(), WORKER_FULL);
    start_run(&s, r, 1, 60);
    stage_run(&s);
    stage_close(&s); /* also waits until the file has its name */
    return r->e;
}

static void expect_packed_run(const char *model, const struct run *want)
{
    struct run r;
    assert_int_equal(run_with_packs(model, &r), ERR_OK);
    expect_same(want, &r);
    clear_runs(&r, 1);
}

/* They are made by the first worker and used by the next ones; whatever happens to the file, no answer changes. */
static void test_packed_weights_are_kept(void **state)
{
    (void)state;
    TEST_NEEDS(found, "weights/stories260K-Q8_0.gguf");
    char model[1024], *dir = test_dir_new();
    struct run want = {0}, r;
    struct buf pack = {0}, later = {0};
    struct note note;
    snprintf(model, sizeof model, "%s", found);
    assert_int_equal(run_with_packs(model, &want), ERR_OK);
    packs = dir;
    expect_packed_run(model, &want);
    if (!find_pack(dir)) {
        test_dir_remove(dir);
        packs = NULL;
        clear_runs(&want, 1);
        print_message("skip: the kernels of this machine do not pack\n");
        skip();
    }
    assert_int_equal(file_read(find_pack(dir), 1u << 30, &pack, &note), ERR_OK);
    expect_packed_run(model, &want);

    /* Of another length, a head that is wrong, a table that is: noticed before it is used, and made anew. */
    assert_int_equal(truncate(find_pack(dir), (off_t)pack.n - 1), 0);
    expect_packed_run(model, &want);
    assert_null(find_pack(dir));
    static const off_t places[] = {0, 20, 60, 4096};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        expect_packed_run(model, &want);
        flip(find_pack(dir), places[i], SEEK_SET);
        expect_packed_run(model, &want);
        assert_null(find_pack(dir));
    }

    /* A weight that is wrong: found as the worker works, which ends; the next one packs anew and the job goes on,
     * unless what it had said already was wrong. */
    expect_packed_run(model, &want);
    flip(find_pack(dir), -100, SEEK_END);
    enum err e = run_with_packs(model, &r);
    assert_true(e == ERR_MISMATCH || (e == ERR_OK && hash_equal(&r.digest, &want.digest)));
    clear_runs(&r, 1);
    expect_packed_run(model, &want);
    assert_int_equal(file_read(find_pack(dir), 1u << 30, &later, &note), ERR_OK);
    assert_true(bytes_equal(bytes_of_buf(&pack), bytes_of_buf(&later)));
    packs = NULL;
    buf_clear(&pack);
    buf_clear(&later);
    clear_runs(&want, 1);
    test_dir_remove(dir);
}

/* -- what goes wrong -- */

/* A job that is taken back says nothing more, and the others do not mind. */
static void test_dropped(void **state)
{
    (void)state;
    TEST_NEEDS(model, "weights/stories260K-F32.gguf");
    struct run kept = {0}, dropped = {0}, again = {0};
    struct stage s;
    stage_open(&s, model, program(), WORKER_FULL);
    start_run(&s, &dropped, 2, 400);
    start_run(&s, &kept, 0, 60);
    s.waiting--;
    worker_drop(s.worker, dropped.ask);
    worker_drop(s.worker, dropped.ask);
    worker_drop(s.worker, 12345);
    stage_run(&s);
    assert_false(dropped.is_over);
    start_run(&s, &again, 0, 60);
    stage_run(&s);
    expect_same(&kept, &again);
    clear_runs(&kept, 1);
    clear_runs(&dropped, 1);
    clear_runs(&again, 1);
    stage_close(&s);
}

static void test_bad_requests(void **state)
{
    (void)state;
    TEST_NEEDS(model, "weights/stories260K-F32.gguf");
    static const struct worker_calls calls = {.token = on_token, .done = on_done};
    struct run over = {0}, garbage = {0}, fine = {0};
    struct stage s;
    stage_open(&s, model, program(), WORKER_FULL);
    start_run(&s, &over, 0, 100000); /* beyond the context */
    garbage.stage = &s;
    s.waiting++;
    worker_run(s.worker, &(struct worker_work){.request = bytes_of_text("no request")}, &calls, &garbage);
    start_run(&s, &fine, 0, 5);
    stage_run(&s);
    assert_int_equal(over.e, ERR_LIMIT);
    assert_int_equal(garbage.e, ERR_FORMAT);
    assert_int_equal(fine.e, ERR_OK);
    clear_runs(&fine, 1);
    stage_close(&s);
}

/* Not a model: said once, not tried again and again; a later question hears the same. */
static void test_no_model(void **state)
{
    (void)state;
    struct run first = {0}, second = {0};
    struct stage s;
    stage_open(&s, "/proc/self/exe", program(), WORKER_FULL);
    start_run(&s, &first, 0, 5);
    stage_run(&s);
    assert_int_equal(first.e, ERR_FORMAT);
    start_run(&s, &second, 0, 5);
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
        start_run(&s, &r, 0, 5);
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
    stage_open(&s, model, program(), WORKER_FULL);
    start_run(&s, &r, 0, 400);
    workers_stop(s.workers, s.worker);
    assert_false(r.is_over);
    stage_run(&s);
    assert_int_equal(r.e, ERR_CANCELLED);
    clear_runs(&r, 1);
    stage_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jobs_at_once),
        cmocka_unit_test(test_killed_in_the_middle),
        cmocka_unit_test(test_killed_while_sharing),
        cmocka_unit_test(test_known_tokens),
        cmocka_unit_test(test_verify),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_packed_weights_are_kept),
        cmocka_unit_test(test_dropped),
        cmocka_unit_test(test_bad_requests),
        cmocka_unit_test(test_no_model),
        cmocka_unit_test(test_dies_always),
        cmocka_unit_test(test_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
