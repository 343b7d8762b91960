/* The real host: timers, posts, threads, descriptors, files. */
#include "base/file.h"
#include "node/host/host.h"
#include "tests/support.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct seen {
    struct host *host;
    struct timer a, b, stop;
    char order[16];
    unsigned n;
    atomic_int worked; /* by several threads at once */
    int fd[2];
};

static void note(struct seen *s, char c)
{
    if (s->n < sizeof s->order - 1)
        s->order[s->n++] = c;
}

static void timer_a(void *arg)
{
    note(arg, 'a');
}
static void timer_b(void *arg)
{
    note(arg, 'b');
}
static void posted(void *arg)
{
    note(arg, 'p');
}
static void stop(void *arg)
{
    host_uv_stop(((struct seen *)arg)->host);
}
static void work(void *arg)
{
    ((struct seen *)arg)->worked++;
}
static void work_done(void *arg)
{
    note(arg, 'w');
}
static void readable(void *arg, int fd, unsigned events)
{
    struct seen *s = arg;
    char c;
    assert_true(events & HOST_READABLE);
    assert_int_equal(read(fd, &c, 1), 1);
    note(s, c);
    host_poll_cancel(s->host, fd);
}

static void callbacks_come_once_and_later(void **state)
{
    (void)state;
    struct seen s = {.host = host_uv_open(NULL)};
    host_timer_set(s.host, &s.b, 60, timer_b, &s);
    host_timer_set(s.host, &s.a, 30, timer_a, &s);
    host_timer_set(s.host, &s.stop, 150, stop, &s);
    host_post(s.host, posted, &s);
    assert_int_equal(s.n, 0);
    host_uv_run(s.host);
    assert_string_equal(s.order, "pab");
    memset(s.order, 0, sizeof s.order);
    s.n = 0;
    host_timer_set(s.host, &s.a, 10, timer_a, &s);
    host_timer_set(s.host, &s.b, 10, timer_b, &s);
    host_timer_set(s.host, &s.b, 40, timer_b, &s); /* moved */
    host_timer_cancel(s.host, &s.a);
    host_timer_set(s.host, &s.stop, 100, stop, &s);
    host_submit(s.host, work, work_done, &s);
    host_uv_run(s.host);
    assert_true(strcmp(s.order, "wb") == 0 || strcmp(s.order, "bw") == 0); /* work waits for no timer */
    assert_int_equal(s.worked, 1);
    assert_true(host_wall_ms(s.host) > 1600000000000u);
    host_uv_close(s.host);
}

static void descriptors_are_watched(void **state)
{
    (void)state;
    struct seen s = {.host = host_uv_open(NULL)};
    assert_int_equal(pipe(s.fd), 0);
    assert_int_equal(host_poll_set(s.host, s.fd[0], HOST_READABLE, readable, &s), ERR_OK);
    assert_int_equal(write(s.fd[1], "xy", 2), 2);
    host_timer_set(s.host, &s.stop, 60, stop, &s);
    host_uv_run(s.host);
    assert_string_equal(s.order, "x"); /* cancelled after the first */
    assert_int_equal(host_poll_set(s.host, s.fd[0], HOST_READABLE, readable, &s), ERR_OK);
    host_timer_set(s.host, &s.stop, 60, stop, &s);
    host_uv_run(s.host);
    assert_string_equal(s.order, "xy");
    host_uv_close(s.host);
    close(s.fd[0]);
    close(s.fd[1]);
}

static void unfinished_work_ends_before_close(void **state)
{
    (void)state;
    struct seen s = {.host = host_uv_open(NULL)};
    for (int i = 0; i < 5; i++)
        host_submit(s.host, work, work_done, &s);
    host_post(s.host, posted, &s);
    host_uv_close(s.host);
    assert_int_equal(s.worked, 5);
    assert_int_equal(s.n, 6);
}

/* A chain of works, as an import behind a check, beside one that never ends. */
struct chain {
    struct host *host;
    unsigned left, done;
};

static void nothing(void *arg)
{
    (void)arg;
}

static void chain_done(void *arg)
{
    struct chain *c = arg;
    c->done++;
    if (c->left && c->left-- > 0)
        host_submit(c->host, nothing, chain_done, c);
}

static void endless_done(void *arg)
{
    struct chain *c = arg;
    c->done++;
    if (c->left)
        host_submit(c->host, nothing, endless_done, c);
}

static void settling_waits_for_what_was_submitted(void **state)
{
    (void)state;
    struct host *h = host_uv_open(NULL);
    struct chain c = {h, 3, 0}, endless = {h, 1, 0};
    host_submit(h, nothing, endless_done, &endless);
    host_submit(h, nothing, chain_done, &c);
    host_uv_settle(h);
    assert_int_equal(c.done, 4);
    assert_true(endless.done > 0);
    endless.left = 0;
    host_uv_close(h);
}

static void count_name(void *arg, const char *name)
{
    struct seen *s = arg;
    note(s, name[0]);
}

static void files(void **state)
{
    (void)state;
    char *dir = test_dir_new();
    char path[600], other[600], deep[600];
    struct host *h = host_uv_open(NULL);
    struct host_file *f;
    struct note n;
    struct buf in = {0};
    uint8_t got[8];
    snprintf(path, sizeof path, "%s/b-file", dir);
    snprintf(other, sizeof other, "%s/a-file", dir);
    snprintf(deep, sizeof deep, "%s/x/y", dir);
    assert_int_equal(host_file_open(h, path, HOST_READ, &f, &n), ERR_NOT_FOUND);
    assert_non_null(strstr(n.text, path));
    assert_int_equal(host_file_open(h, path, HOST_APPEND, &f, &n), ERR_OK);
    assert_int_equal(host_file_append(f, "hello", 5), ERR_OK);
    assert_int_equal(host_file_append(f, "world", 5), ERR_OK);
    assert_int_equal(host_file_sync(f), ERR_OK);
    assert_int_equal(host_file_size(f), 10);
    assert_int_equal(host_file_get(f, 3, got, 4), ERR_OK);
    assert_memory_equal(got, "lowo", 4);
    assert_int_equal(host_file_get(f, 8, got, 4), ERR_RANGE);
    assert_int_equal(host_file_cut(f, 5), ERR_OK);
    assert_int_equal(host_file_append(f, "!", 1), ERR_OK);
    host_file_close(f);
    assert_int_equal(host_file_open(h, path, HOST_WRITE, &f, &n), ERR_OK);
    assert_int_equal(host_file_put(f, 0, "J", 1), ERR_OK);
    host_file_close(f);
    assert_int_equal(host_read(h, path, 100, &in, &n), ERR_OK);
    assert_true(bytes_equal(bytes_of_buf(&in), bytes_of_text("Jello!")));
    assert_int_equal(host_read(h, path, 5, &in, &n), ERR_LIMIT);
    assert_int_equal(host_write(h, other, 0600, bytes_of_text("x"), &n), ERR_OK);
    assert_int_equal(host_make_dir(h, deep, &n), ERR_OK);
    struct seen s = {0};
    assert_int_equal(host_list(h, dir, count_name, &s, &n), ERR_OK);
    assert_string_equal(s.order, "abx");
    assert_int_equal(host_rename(h, other, path, &n), ERR_OK);
    assert_int_equal(host_remove(h, path, &n), ERR_OK);
    assert_int_equal(host_remove(h, path, &n), ERR_OK);
    assert_int_equal(host_rename(h, other, path, &n), ERR_NOT_FOUND);
    assert_int_equal(host_write(h, "/nonexistent/x", 0600, bytes_of_text("x"), &n), ERR_NOT_FOUND);
    buf_clear(&in);
    host_uv_close(h);
    test_dir_remove(dir);
}

static void a_full_disk_is_told_apart(void **state)
{
    (void)state;
    struct host *h = host_uv_open(NULL);
    struct host_file *f;
    assert_int_equal(host_file_open(h, "/dev/full", HOST_WRITE, &f, NULL), ERR_OK);
    assert_int_equal(host_file_put(f, 0, "x", 1), ERR_FULL);
    assert_int_equal(host_file_append(f, "x", 1), ERR_FULL);
    host_file_close(f);
    host_uv_close(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(callbacks_come_once_and_later),
        cmocka_unit_test(descriptors_are_watched),
        cmocka_unit_test(unfinished_work_ends_before_close),
        cmocka_unit_test(settling_waits_for_what_was_submitted),
        cmocka_unit_test(files),
        cmocka_unit_test(a_full_disk_is_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
