/* The real world: libuv's loop, thread pool and polling, POSIX files.
 *
 * One uv timer serves the whole heap of timers. It and the posting handle are closed in host_uv_close,
 * which runs the loop until nothing is left open; a descriptor's poll handle is freed by its close
 * callback.
 */
#include "base/file.h"
#include "base/mem.h"
#include "base/secret.h"
#include "node/host/host.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

struct poll {
    uv_poll_t handle;
    struct poll *next, **link;
    int fd;
    host_poll_fn fn;
    void *arg;
};

struct post {
    struct post *next;
    host_fn fn;
    void *arg;
};

struct work {
    uv_work_t request;
    struct host_uv *owner;
    unsigned round;
    host_fn work, done;
    void *arg;
};

struct host_uv {
    struct host base;
    uv_loop_t loop;
    uv_timer_t clock;
    uv_idle_t idle; /* runs while something is posted */
    uv_signal_t term, interrupt;
    bool signals, closing;
    unsigned works[2], round; /* submitted in this round of settling and in the one before, and not done */
    struct timer_heap timers;
    struct post *posts, **posts_end;
    struct poll *polls;
    host_fn signal_fn;
    void *signal_arg;
};

struct file {
    struct host_file base;
    int fd;
};

static struct host_uv *of(struct host *h)
{
    return (struct host_uv *)h;
}

/* -- time and chance -- */

static uint64_t uv_now_ms(struct host *h)
{
    (void)h;
    return uv_hrtime() / 1000000;
}

static uint64_t uv_wall_ms(struct host *h)
{
    (void)h;
    struct timespec now;
    CHECK(clock_gettime(CLOCK_REALTIME, &now) == 0);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void uv_random_bytes(struct host *h, void *p, size_t n)
{
    (void)h;
    secret_random(p, n);
}

static void uv_machine(struct host *h, struct machine *out)
{
    machine_read("", uv_wall_ms(h), out);
}

/* -- timers -- */

static void timers_due(uv_timer_t *clock);

static void aim(struct host_uv *u)
{
    uint64_t next_ms = timer_next_ms(&u->timers), now_ms = uv_now_ms(&u->base);
    if (u->closing)
        return;
    if (next_ms == UINT64_MAX) {
        uv_timer_stop(&u->clock);
        return;
    }
    uv_update_time(&u->loop);
    uv_timer_start(&u->clock, timers_due, next_ms > now_ms ? next_ms - now_ms : 0, 0);
}

static void timers_due(uv_timer_t *clock)
{
    struct host_uv *u = clock->data;
    uint64_t now_ms = uv_now_ms(&u->base);
    struct timer *t;
    while ((t = timer_step(&u->timers, now_ms)))
        t->fn(t->arg);
    aim(u);
}

static void uv_set_timer(struct host *h, struct timer *t, uint64_t delay_ms, timer_fn fn, void *arg)
{
    uint64_t next_ms = timer_next_ms(&of(h)->timers), now_ms = uv_now_ms(h);
    /* At least one millisecond ahead, so that a timer set by a timer that is due cannot hold the loop. */
    timer_add(&of(h)->timers, t, now_ms + (delay_ms ? delay_ms : 1), fn, arg);
    if (timer_next_ms(&of(h)->timers) != next_ms)
        aim(of(h));
}

static void uv_cancel_timer(struct host *h, struct timer *t)
{
    timer_remove(&of(h)->timers, t); /* a clock that rings for nothing aims again */
}

/* -- posting and threads -- */

static void run_posts(struct host_uv *u)
{
    struct post *p = u->posts;
    u->posts = NULL;
    u->posts_end = &u->posts;
    while (p) {
        struct post *next = p->next;
        p->fn(p->arg);
        free(p);
        p = next;
    }
}

static void posts_due(uv_idle_t *idle)
{
    struct host_uv *u = idle->data;
    run_posts(u);
    if (!u->posts)
        uv_idle_stop(idle);
}

static void uv_post(struct host *h, host_fn fn, void *arg)
{
    struct host_uv *u = of(h);
    struct post *p = mem_new(sizeof *p);
    p->fn = fn;
    p->arg = arg;
    *u->posts_end = p;
    u->posts_end = &p->next;
    if (!u->closing)
        uv_idle_start(&u->idle, posts_due);
}

static void work_run(uv_work_t *request)
{
    struct work *w = request->data;
    w->work(w->arg);
}

static void work_done(uv_work_t *request, int status)
{
    struct work *w = request->data;
    (void)status;
    w->owner->works[w->round]--;
    w->done(w->arg);
    free(w);
}

static void uv_submit(struct host *h, host_fn work, host_fn done, void *arg)
{
    struct work *w = mem_new(sizeof *w);
    w->work = work;
    w->done = done;
    w->arg = arg;
    w->request.data = w;
    w->owner = of(h);
    w->round = of(h)->round;
    of(h)->works[w->round]++;
    CHECK(uv_queue_work(&of(h)->loop, &w->request, work_run, work_done) == 0);
}

/* -- descriptors -- */

static struct poll *find_poll(struct host_uv *u, int fd)
{
    struct poll *p = u->polls;
    while (p && p->fd != fd)
        p = p->next;
    return p;
}

static void poll_ready(uv_poll_t *handle, int status, int events)
{
    struct poll *p = handle->data;
    unsigned ready = (events & UV_READABLE ? HOST_READABLE : 0) | (events & UV_WRITABLE ? HOST_WRITABLE : 0) |
                     (events & UV_DISCONNECT ? HOST_HANGUP : 0);
    /* An error shows when the owner reads or writes. */
    p->fn(p->arg, p->fd, status < 0 ? HOST_READABLE | HOST_WRITABLE | HOST_HANGUP : ready);
}

static enum err uv_set_poll(struct host *h, int fd, unsigned events, host_poll_fn fn, void *arg)
{
    struct host_uv *u = of(h);
    struct poll *p = find_poll(u, fd);
    if (!p) {
        p = mem_new(sizeof *p);
        if (uv_poll_init(&u->loop, &p->handle, fd) != 0) {
            free(p);
            return ERR_IO;
        }
        p->handle.data = p;
        p->fd = fd;
        p->next = u->polls;
        p->link = &u->polls;
        if (p->next)
            p->next->link = &p->next;
        u->polls = p;
    }
    p->fn = fn;
    p->arg = arg;
    int want = (events & HOST_READABLE ? UV_READABLE : 0) | (events & HOST_WRITABLE ? UV_WRITABLE : 0) |
               (events & HOST_HANGUP ? UV_DISCONNECT : 0);
    return uv_poll_start(&p->handle, want, poll_ready) == 0 ? ERR_OK : ERR_IO;
}

static void poll_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void uv_cancel_poll(struct host *h, int fd)
{
    struct poll *p = find_poll(of(h), fd);
    if (!p)
        return;
    *p->link = p->next;
    if (p->next)
        p->next->link = p->link;
    uv_poll_stop(&p->handle);
    uv_close((uv_handle_t *)&p->handle, poll_closed);
}

/* -- files -- */

static enum err code_of(int e)
{
    switch (e) {
    case ENOENT:
        return ERR_NOT_FOUND;
    case EEXIST:
        return ERR_EXISTS;
    case ENOSPC:
    case EDQUOT:
        return ERR_FULL;
    default:
        return ERR_IO;
    }
}

static enum err uv_read_file(struct host *h, const char *path, size_t max, struct buf *out, struct note *note)
{
    (void)h;
    return file_read(path, max, out, note);
}

static enum err uv_write_file(struct host *h, const char *path, unsigned mode, struct bytes content, struct note *note)
{
    (void)h;
    return file_write(path, mode, content, note);
}

static enum err uv_rename(struct host *h, const char *from, const char *to, struct note *note)
{
    (void)h;
    return rename(from, to) != 0 ? file_failed(note, "rename", from) : file_sync_parent(to, note);
}

static enum err uv_remove(struct host *h, const char *path, struct note *note)
{
    (void)h;
    if (unlink(path) != 0)
        return errno == ENOENT ? ERR_OK : file_failed(note, "remove", path);
    return file_sync_parent(path, note);
}

static enum err uv_make_dir(struct host *h, const char *path, struct note *note)
{
    (void)h;
    return file_make_dir(path, note);
}

static enum err uv_list(struct host *h, const char *dir, host_name_fn fn, void *arg, struct note *note)
{
    uv_fs_t request;
    uv_dirent_t entry;
    int n = uv_fs_scandir(&of(h)->loop, &request, dir, 0, NULL); /* sorts the names */
    if (n < 0)
        return note_set(note, code_of(-n), "cannot list %s: %s", dir, uv_strerror(n));
    while (uv_fs_scandir_next(&request, &entry) == 0)
        fn(arg, entry.name);
    uv_fs_req_cleanup(&request);
    return ERR_OK;
}

static const struct host_ops uv_ops;

static enum err uv_open_file(struct host *h, const char *path, enum host_open how, struct host_file **out,
                             struct note *note)
{
    static const int flags[] = {
        [HOST_READ] = O_RDONLY,
        [HOST_WRITE] = O_RDWR | O_CREAT,
        [HOST_APPEND] = O_RDWR | O_CREAT | O_APPEND,
    };
    (void)h;
    *out = NULL;
    int fd = open(path, flags[how] | O_CLOEXEC, 0600);
    if (fd < 0)
        return file_failed(note, "open", path);
    /* Not only if it is new: who made it may have been killed before this. */
    enum err e = how != HOST_READ ? file_sync_parent(path, note) : ERR_OK;
    if (e != ERR_OK) {
        close(fd);
        return e;
    }
    struct file *f = mem_new(sizeof *f);
    f->base.ops = &uv_ops;
    f->fd = fd;
    *out = &f->base;
    return ERR_OK;
}

static void uv_close_file(struct host_file *base)
{
    struct file *f = (struct file *)base;
    close(f->fd);
    free(f);
}

static enum err uv_get(struct host_file *base, uint64_t at, void *p, size_t n)
{
    uint8_t *to = p;
    while (n) {
        ssize_t got = pread(((struct file *)base)->fd, to, n, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return code_of(errno);
        if (got == 0)
            return ERR_RANGE;
        to += got;
        at += (uint64_t)got;
        n -= (size_t)got;
    }
    return ERR_OK;
}

static enum err uv_put(struct host_file *base, uint64_t at, const void *p, size_t n)
{
    int error = file_write_at(((struct file *)base)->fd, p, n, at);
    return error ? code_of(error) : ERR_OK;
}

static enum err uv_append(struct host_file *base, const void *p, size_t n)
{
    const uint8_t *from = p;
    while (n) {
        ssize_t put = write(((struct file *)base)->fd, from, n);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return code_of(errno);
        from += put;
        n -= (size_t)put;
    }
    return ERR_OK;
}

static enum err uv_sync(struct host_file *base)
{
    return fdatasync(((struct file *)base)->fd) == 0 ? ERR_OK : code_of(errno);
}

static enum err uv_cut(struct host_file *base, uint64_t size)
{
    return ftruncate(((struct file *)base)->fd, (off_t)size) == 0 ? ERR_OK : code_of(errno);
}

static uint64_t uv_size(struct host_file *base)
{
    struct stat st;
    return fstat(((struct file *)base)->fd, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static const struct host_ops uv_ops = {
    .now_ms = uv_now_ms,
    .wall_ms = uv_wall_ms,
    .random = uv_random_bytes,
    .machine = uv_machine,
    .timer_set = uv_set_timer,
    .timer_cancel = uv_cancel_timer,
    .post = uv_post,
    .submit = uv_submit,
    .poll_set = uv_set_poll,
    .poll_cancel = uv_cancel_poll,
    .read = uv_read_file,
    .write = uv_write_file,
    .rename = uv_rename,
    .remove = uv_remove,
    .make_dir = uv_make_dir,
    .list = uv_list,
    .open = uv_open_file,
    .close = uv_close_file,
    .get = uv_get,
    .put = uv_put,
    .append = uv_append,
    .sync = uv_sync,
    .cut = uv_cut,
    .size = uv_size,
};

/* -- life -- */

struct host *host_uv_open(struct note *note)
{
    struct host_uv *u = mem_new(sizeof *u);
    u->base.ops = &uv_ops;
    u->posts_end = &u->posts;
    int status = uv_loop_init(&u->loop);
    if (status != 0) {
        (void)note_set(note, ERR_IO, "cannot start the event loop: %s", uv_strerror(status));
        free(u);
        return NULL;
    }
    CHECK(uv_timer_init(&u->loop, &u->clock) == 0 && uv_idle_init(&u->loop, &u->idle) == 0);
    u->clock.data = u->idle.data = u;
    signal(SIGPIPE, SIG_IGN);
    return &u->base;
}

static void was_signalled(uv_signal_t *handle, int number)
{
    struct host_uv *u = handle->data;
    (void)number;
    u->signal_fn(u->signal_arg);
}

enum err host_uv_on_signal(struct host *h, host_fn fn, void *arg, struct note *note)
{
    struct host_uv *u = of(h);
    CHECK(!u->signals);
    u->signal_fn = fn;
    u->signal_arg = arg;
    u->signals = true;
    CHECK(uv_signal_init(&u->loop, &u->term) == 0 && uv_signal_init(&u->loop, &u->interrupt) == 0);
    u->term.data = u->interrupt.data = u;
    int status = uv_signal_start(&u->term, was_signalled, SIGTERM);
    if (status == 0)
        status = uv_signal_start(&u->interrupt, was_signalled, SIGINT);
    return status == 0 ? ERR_OK : note_set(note, ERR_IO, "cannot handle signals: %s", uv_strerror(status));
}

void host_uv_run(struct host *h)
{
    aim(of(h));
    uv_run(&of(h)->loop, UV_RUN_DEFAULT);
}

void host_uv_stop(struct host *h)
{
    uv_stop(&of(h)->loop);
}

struct uv_loop_s *host_uv_loop(struct host *h)
{
    return &of(h)->loop;
}

/* What is done may submit more, as an import behind a check. A few rounds see the end of that, and each has an end,
 * whatever is submitted beside it all the time. */
#define SETTLE_ROUNDS 8
void host_uv_settle(struct host *h)
{
    struct host_uv *u = of(h);
    for (unsigned i = 0; i < SETTLE_ROUNDS; i++) {
        const unsigned old = u->round;
        u->round ^= 1;
        while (u->works[old])
            uv_run(&u->loop, UV_RUN_ONCE);
    }
}

void host_uv_close(struct host *h)
{
    if (!h)
        return;
    struct host_uv *u = of(h);
    while (u->polls)
        uv_cancel_poll(h, u->polls->fd);
    uv_close((uv_handle_t *)&u->clock, NULL);
    if (u->signals) {
        uv_close((uv_handle_t *)&u->term, NULL);
        uv_close((uv_handle_t *)&u->interrupt, NULL);
    }
    uv_close((uv_handle_t *)&u->idle, NULL);
    u->closing = true;
    while (uv_run(&u->loop, UV_RUN_DEFAULT) != 0) /* closing handles, and jobs on threads */
        continue;
    while (u->posts)
        run_posts(u);
    CHECK(uv_loop_close(&u->loop) == 0);
    timer_heap_clear(&u->timers);
    free(u);
}
