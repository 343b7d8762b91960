/* Workers on a stage: one process, questions to it, answers. */
#include "tests/worker_stage.h"

#include "inference/request.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GUARD_MS 60000 /* a test that takes longer hangs */

static void on_guard(void *arg)
{
    (void)arg;
    fail_msg("nothing more came");
}

const char *stage_program(void)
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

const char *stage_packs;

void stage_open(struct stage *s, const char *model, const char *worker_program, enum worker_mode mode)
{
    struct note note = {{0}};
    const struct hash root = {{7}}; /* it is the daemon's to know: not checked again in the worker */
    *s = (struct stage){.host = host_uv_open(&note)};
    assert_non_null(s->host);
    s->workers = workers_new(&(struct workers_options){.host = s->host,
                                                       .program = worker_program,
                                                       .backend = "auto",
                                                       .threads = 2,
                                                       .jobs_max = STAGE_JOBS_MAX,
                                                       .packs = stage_packs,
                                                       .packs_bytes = 1u << 30});
    int fd = open(model, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(workers_get(s->workers, &root, mode, fd, &s->worker, &note), ERR_OK);
    assert_ptr_equal(workers_find(s->workers, &root, mode), s->worker);
    host_timer_set(s->host, &s->guard, GUARD_MS, on_guard, s);
}

void stage_close(struct stage *s)
{
    host_timer_cancel(s->host, &s->guard);
    workers_free(s->workers);
    host_uv_close(s->host);
}

/* Until all questions are answered. */
void stage_run(struct stage *s)
{
    if (s->waiting > 0)
        host_uv_run(s->host);
    assert_int_equal(s->waiting, 0);
}

void stage_answered(struct stage *s)
{
    assert_true(s->waiting > 0);
    if (--s->waiting == 0)
        host_uv_stop(s->host);
}

/* The process whose parent we are, and which lives. */
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

void stage_kill(void)
{
    pid_t child = find_child();
    assert_true(child > 0);
    assert_int_equal(kill(child, SIGKILL), 0);
}

/* False where it is dead already: what it had said before still comes, so another token of it is no sign of life. */
static bool kill_if_alive(void)
{
    pid_t child = find_child();
    return child > 0 && kill(child, SIGKILL) == 0;
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
    if (r->kill_at && t->index >= r->kill_at && kill_if_alive())
        r->kill_at = 0;
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
    stage_answered(r->stage);
}

const struct worker_calls run_calls = {.token = on_token, .done = on_done};

/* "Once upon a time", and differently from job to job: greedy or drawn, longer or shorter. */
void run_request(unsigned job, uint32_t tokens_max, struct buf *out)
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
void run_start_shared(struct stage *s, struct run *r, uint8_t scope, uint32_t job, uint32_t tokens_max)
{
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
    r->ask = worker_run(s->worker, &work, &run_calls, r);
    buf_clear(&request);
    buf_clear(&prompt);
}

void run_start(struct stage *s, struct run *r, unsigned job, uint32_t tokens_max)
{
    struct buf request = {0};
    run_request(job, tokens_max, &request);
    r->stage = s;
    s->waiting++;
    const struct worker_work work = {.request = bytes_of_buf(&request), .tokens = bytes_of_buf(&r->tokens)};
    r->ask = worker_run(s->worker, &work, &run_calls, r);
    assert_false(r->is_over); /* never within the call */
    buf_clear(&request);
}

void run_clear(struct run *r, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        buf_clear(&r[i].tokens);
        buf_clear(&r[i].text);
    }
}

void run_expect_same(const struct run *a, const struct run *b)
{
    assert_int_equal(a->e, ERR_OK);
    assert_int_equal(b->e, ERR_OK);
    assert_true(bytes_equal(bytes_of_buf(&a->tokens), bytes_of_buf(&b->tokens)));
    assert_true(hash_equal(&a->digest, &b->digest));
    assert_int_equal(a->stop, b->stop);
}
