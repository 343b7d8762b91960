/* The calls of the host's interface, for any implementation. */
#include "node/host/host.h"

uint64_t host_now_ms(struct host *h)
{
    return h->ops->now_ms(h);
}

uint64_t host_wall_ms(struct host *h)
{
    return h->ops->wall_ms(h);
}

void host_random(struct host *h, void *p, size_t n)
{
    h->ops->random(h, p, n);
}

void host_machine(struct host *h, struct machine *out)
{
    h->ops->machine(h, out);
}

void host_timer_set(struct host *h, struct timer *t, uint64_t delay_ms, timer_fn fn, void *arg)
{
    h->ops->timer_set(h, t, delay_ms, fn, arg);
}

void host_timer_cancel(struct host *h, struct timer *t)
{
    h->ops->timer_cancel(h, t);
}

void host_post(struct host *h, host_fn fn, void *arg)
{
    h->ops->post(h, fn, arg);
}

void host_submit(struct host *h, host_fn work, host_fn done, void *arg)
{
    h->ops->submit(h, work, done, arg);
}

enum err host_poll_set(struct host *h, int fd, unsigned events, host_poll_fn fn, void *arg)
{
    return h->ops->poll_set(h, fd, events, fn, arg);
}

void host_poll_cancel(struct host *h, int fd)
{
    h->ops->poll_cancel(h, fd);
}

enum err host_read(struct host *h, const char *path, size_t max, struct buf *out, struct note *note)
{
    return h->ops->read(h, path, max, out, note);
}

enum err host_write(struct host *h, const char *path, unsigned mode, struct bytes content, struct note *note)
{
    return h->ops->write(h, path, mode, content, note);
}

enum err host_rename(struct host *h, const char *from, const char *to, struct note *note)
{
    return h->ops->rename(h, from, to, note);
}

enum err host_remove(struct host *h, const char *path, struct note *note)
{
    return h->ops->remove(h, path, note);
}

enum err host_make_dir(struct host *h, const char *path, struct note *note)
{
    return h->ops->make_dir(h, path, note);
}

enum err host_list(struct host *h, const char *dir, host_name_fn fn, void *arg, struct note *note)
{
    return h->ops->list(h, dir, fn, arg, note);
}

enum err host_file_open(struct host *h, const char *path, enum host_open how, struct host_file **out, struct note *note)
{
    return h->ops->open(h, path, how, out, note);
}

void host_file_close(struct host_file *f)
{
    if (f)
        f->ops->close(f);
}

enum err host_file_get(struct host_file *f, uint64_t at, void *p, size_t n)
{
    return f->ops->get(f, at, p, n);
}

enum err host_file_put(struct host_file *f, uint64_t at, const void *p, size_t n)
{
    return f->ops->put(f, at, p, n);
}

enum err host_file_append(struct host_file *f, const void *p, size_t n)
{
    return f->ops->append(f, p, n);
}

enum err host_file_sync(struct host_file *f)
{
    return f->ops->sync(f);
}

enum err host_file_cut(struct host_file *f, uint64_t size)
{
    return f->ops->cut(f, size);
}

uint64_t host_file_size(struct host_file *f)
{
    return f->ops->size(f);
}
