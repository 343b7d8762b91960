/* node/host/host.h for one simulated node: virtual time, chance from the seed, files of disk.c. */
#include "base/mem.h"
#include "tests/sim/disk.h"
#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

#define SUBMIT_US 2000 /* that work on a thread takes */

struct open_file {
    struct host_file base;
    struct sim_node *node;
    uint64_t boot;
    char *path;
};

static struct sim_node *node_of(struct host *h)
{
    return ((struct sim_host *)h)->node;
}

/* -- time and chance -- */

static uint64_t sim_now_ms(struct host *h)
{
    const struct sim_node *n = node_of(h);
    return (n->sim->now_us - n->born_us) / 1000 + 1;
}

static uint64_t sim_wall_ms(struct host *h)
{
    const struct sim_node *n = node_of(h);
    return (uint64_t)((int64_t)(SIM_EPOCH_MS + n->sim->now_us / 1000) + n->clock_off_ms);
}

static void sim_random(struct host *h, void *p, size_t n)
{
    random_bytes(&node_of(h)->random, p, n);
}

/* One on the mains in Greenwich, with nobody at it. */
static void sim_machine(struct host *h, struct machine *out)
{
    *out = (struct machine){.local_min = (uint32_t)(sim_wall_ms(h) / 60000 % 1440),
                            .power = MACHINE_MAINS,
                            .has_input = true,
                            .input_ms = MACHINE_NOBODY};
}

static void sim_timer_set(struct host *h, struct timer *t, uint64_t delay_ms, timer_fn fn, void *arg)
{
    struct sim_host *s = (struct sim_host *)h;
    timer_add(&s->timers, t, s->node->sim->now_us + (delay_ms ? delay_ms : 1) * 1000, fn, arg);
}

static void sim_timer_cancel(struct host *h, struct timer *t)
{
    timer_remove(&((struct sim_host *)h)->timers, t);
}

/* -- posts and work -- */

static void sim_post(struct host *h, host_fn fn, void *arg)
{
    sim_task_add(node_of(h), fn, NULL, arg);
}

struct work {
    struct timer timer;
    struct sim_node *node;
    host_fn work, done;
    void *arg;
};

static void work_due(void *arg)
{
    struct work *w = arg;
    w->work(w->arg);
    w->done(w->arg);
    free(w);
}

static void sim_submit(struct host *h, host_fn work, host_fn done, void *arg)
{
    struct work *w = mem_new(sizeof *w);
    *w = (struct work){.node = node_of(h), .work = work, .done = done, .arg = arg};
    timer_add(&w->node->host.timers, &w->timer, w->node->sim->now_us + SUBMIT_US, work_due, w);
}

static enum err sim_poll_set(struct host *h, int fd, unsigned events, host_poll_fn fn, void *arg)
{
    (void)h, (void)fd, (void)events, (void)fn, (void)arg;
    return ERR_UNSUPPORTED; /* a simulated node has no descriptors */
}

static void sim_poll_cancel(struct host *h, int fd)
{
    (void)h, (void)fd;
}

/* -- whole files -- */

static enum err gone(struct note *note)
{
    return note_set(note, ERR_IO, "the process is gone");
}

static enum err sim_read(struct host *h, const char *path, size_t max, struct buf *out, struct note *note)
{
    const struct sim_file *f = disk_find(node_of(h)->disk, path);
    if (!f)
        return note_set(note, ERR_NOT_FOUND, "cannot read %s: there is none", path);
    struct bytes content = file_content(f);
    if (content.n > max)
        return note_set(note, ERR_LIMIT, "%s is too large", path);
    buf_reserve(out, content.n);
    buf_add(out, content.p, content.n);
    return ERR_OK;
}

static enum err sim_write(struct host *h, const char *path, unsigned mode, struct bytes content, struct note *note)
{
    (void)mode;
    if (!sim_acts(node_of(h)))
        return gone(note);
    enum err e = disk_write(node_of(h)->disk, path, content);
    return e == ERR_OK ? ERR_OK : note_set(note, e, "cannot write %s: %s", path, err_text(e));
}

static enum err sim_rename(struct host *h, const char *from, const char *to, struct note *note)
{
    if (!sim_acts(node_of(h)))
        return gone(note);
    if (!disk_find(node_of(h)->disk, from))
        return note_set(note, ERR_NOT_FOUND, "cannot rename %s: there is none", from);
    disk_rename(node_of(h)->disk, from, to);
    return ERR_OK;
}

static enum err sim_remove(struct host *h, const char *path, struct note *note)
{
    if (!sim_acts(node_of(h)))
        return gone(note);
    disk_remove(node_of(h)->disk, path);
    return ERR_OK;
}

static enum err sim_make_dir(struct host *h, const char *path, struct note *note)
{
    (void)path;
    return sim_acts(node_of(h)) ? ERR_OK : gone(note);
}

static enum err sim_list(struct host *h, const char *dir, host_name_fn fn, void *arg, struct note *note)
{
    (void)note;
    disk_list(node_of(h)->disk, dir, fn, arg);
    return ERR_OK;
}

/* -- open files -- */

static const struct host_ops ops;

static enum err sim_open(struct host *h, const char *path, enum host_open how, struct host_file **out,
                         struct note *note)
{
    struct sim_node *n = node_of(h);
    *out = NULL;
    if (!disk_find(n->disk, path)) {
        if (how == HOST_READ)
            return note_set(note, ERR_NOT_FOUND, "cannot open %s: there is none", path);
        if (!sim_acts(n))
            return gone(note);
        if (disk_is_full(n->disk))
            return note_set(note, ERR_FULL, "cannot open %s: the disk is full", path);
        disk_open(n->disk, path);
    }
    struct open_file *f = mem_new(sizeof *f);
    f->base.ops = &ops;
    f->node = n;
    f->path = mem_string(path);
    *out = &f->base;
    return ERR_OK;
}

static void sim_close(struct host_file *base)
{
    struct open_file *f = (struct open_file *)base;
    free(f->path);
    free(f);
}

/* A file that was removed while it is open is not something that the daemon does. */
static struct sim_file *file_of(struct host_file *base)
{
    struct open_file *f = (struct open_file *)base;
    struct sim_file *file = disk_find(f->node->disk, f->path);
    CHECK(file);
    return file;
}

static struct sim_node *owner(struct host_file *base)
{
    return ((struct open_file *)base)->node;
}

static enum err sim_get(struct host_file *base, uint64_t at, void *p, size_t n)
{
    struct bytes content = file_content(file_of(base));
    if (at > content.n || n > content.n - at)
        return ERR_RANGE;
    if (n)
        memcpy(p, content.p + at, n);
    return ERR_OK;
}

/* A write is not one moment: the process may be gone before it, or behind it. */
static enum err sim_put(struct host_file *base, uint64_t at, const void *p, size_t n)
{
    if (!sim_acts(owner(base)))
        return ERR_IO;
    enum err e = file_put(file_of(base), at, p, n, &owner(base)->random);
    return sim_acts(owner(base)) ? e : ERR_IO;
}

static enum err sim_append(struct host_file *base, const void *p, size_t n)
{
    return sim_put(base, file_content(file_of(base)).n, p, n);
}

static enum err sim_sync(struct host_file *base)
{
    if (!sim_acts(owner(base)))
        return ERR_IO;
    enum err e = file_sync(file_of(base));
    return sim_acts(owner(base)) ? e : ERR_IO;
}

static enum err sim_cut(struct host_file *base, uint64_t size)
{
    return sim_acts(owner(base)) ? file_cut(file_of(base), size) : ERR_IO;
}

static uint64_t sim_size(struct host_file *base)
{
    return file_content(file_of(base)).n;
}

static const struct host_ops ops = {
    .now_ms = sim_now_ms,
    .wall_ms = sim_wall_ms,
    .random = sim_random,
    .machine = sim_machine,
    .timer_set = sim_timer_set,
    .timer_cancel = sim_timer_cancel,
    .post = sim_post,
    .submit = sim_submit,
    .poll_set = sim_poll_set,
    .poll_cancel = sim_poll_cancel,
    .read = sim_read,
    .write = sim_write,
    .rename = sim_rename,
    .remove = sim_remove,
    .make_dir = sim_make_dir,
    .list = sim_list,
    .open = sim_open,
    .close = sim_close,
    .get = sim_get,
    .put = sim_put,
    .append = sim_append,
    .sync = sim_sync,
    .cut = sim_cut,
    .size = sim_size,
};

/* -- life -- */

void host_init(struct sim_node *n)
{
    n->host = (struct sim_host){.base = {&ops}, .node = n};
    n->host.tasks_end = &n->host.tasks;
}

void host_drain(struct sim_node *n)
{
    while (n->host.tasks) {
        struct sim_task *t = n->host.tasks;
        n->host.tasks = t->next;
        if (!n->host.tasks)
            n->host.tasks_end = &n->host.tasks;
        (t->drop ? t->drop : t->fn)(t->arg);
        free(t);
    }
    /* Work that a thread still does is waited for; other timers are their owners' to cancel, who have gone. */
    while (n->host.timers.n) {
        struct timer *t = n->host.timers.heap[0];
        timer_fn fn = t->fn;
        void *arg = t->arg;
        timer_remove(&n->host.timers, t);
        CHECK(fn == work_due);
        fn(arg);
    }
    timer_heap_clear(&n->host.timers);
}
