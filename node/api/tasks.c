/* Tasks of the API. */
#include "node/api/tasks.h"

#include "base/codec.h"
#include "base/mem.h"
#include "node/api/api.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define TASKS_MAX   256
#define PROGRESS_MS 1000

enum task_state { TASK_RUNNING, TASK_DONE, TASK_FAILED };

struct waiter {
    struct task *task;
    struct waiter *next;
    struct http_request *request;
    struct timer timer;
};

struct task {
    struct tasks *tasks;
    struct task *next;
    uint64_t number;
    const char *kind;
    struct hash owner;
    enum task_state state;
    uint64_t done, total;
    struct buf result;
    enum err code;
    struct note note;
    char says[160]; /* what it waits for */
    void (*on_cancel)(void *arg);
    void *cancel_arg;
    struct waiter *waiters;
};

struct tasks {
    struct host *host;
    struct task *first; /* newest first */
    uint64_t last_number;
    unsigned n;
    task_fn on_change;
    void *change_arg;
};

static const char *state_name(const struct task *t)
{
    static const char *const names[] = {"running", "done", "failed"};
    return names[t->state];
}

void task_put_state(const struct task *t, struct buf *b)
{
    buf_add_format(b, "\"task\":\"%" PRIu64 "\",\"kind\":\"%s\",\"state\":\"%s\",\"error\":", t->number, t->kind,
                   state_name(t));
    if (t->state == TASK_FAILED)
        api_put_error(b, t->code, &t->note);
    else
        buf_add_text(b, "null");
}

static void answer(struct task *t, struct http_request *r)
{
    struct buf b = {0};
    bool first = false;
    buf_add_format(&b,
                   "{\"task\":\"%" PRIu64 "\",\"kind\":\"%s\",\"state\":\"%s\",\"done\":%" PRIu64 ",\"total\":%" PRIu64
                   ",\"result\":",
                   t->number, t->kind, state_name(t), t->done, t->total);
    if (t->state == TASK_DONE)
        buf_add(&b, t->result.p, t->result.n);
    else
        buf_add_text(&b, "null");
    buf_add_text(&b, ",\"error\":");
    if (t->state == TASK_FAILED)
        api_put_error(&b, t->code, &t->note);
    else
        buf_add_text(&b, "null");
    if (t->state == TASK_RUNNING && t->says[0])
        api_put_text(&b, &first, "note", t->says);
    buf_add_text(&b, "}");
    api_reply_json(r, 200, &b);
}

static void waiter_free(struct waiter *w)
{
    for (struct waiter **at = &w->task->waiters; *at; at = &(*at)->next)
        if (*at == w) {
            *at = w->next;
            break;
        }
    host_timer_cancel(w->task->tasks->host, &w->timer);
    free(w);
}

static void wake(struct waiter *w)
{
    struct http_request *r = w->request;
    struct task *t = w->task;
    waiter_free(w);
    answer(t, r);
}

static void on_timer(void *arg)
{
    wake(arg);
}

static void on_gone(void *arg, struct http_request *r)
{
    (void)r;
    waiter_free(arg);
}

static void changed(struct task *t)
{
    if (t->tasks->on_change)
        t->tasks->on_change(t->tasks->change_arg, t);
}

static void wake_all(struct task *t)
{
    changed(t);
    while (t->waiters)
        wake(t->waiters);
}

static void task_free(struct task *t)
{
    buf_clear(&t->result);
    while (t->waiters)
        waiter_free(t->waiters);
    free(t);
}

struct tasks *tasks_new(struct host *host)
{
    struct tasks *t = mem_new(sizeof *t);
    t->host = host;
    return t;
}

void tasks_on_change(struct tasks *t, task_fn fn, void *arg)
{
    t->on_change = fn;
    t->change_arg = arg;
}

void tasks_free(struct tasks *t)
{
    if (!t)
        return;
    while (t->first) {
        struct task *x = t->first;
        t->first = x->next;
        task_free(x);
    }
    free(t);
}

/* Running ones stay whatever their age. */
static void drop_oldest(struct tasks *t)
{
    struct task **oldest = NULL;
    for (struct task **at = &t->first; *at; at = &(*at)->next)
        if ((*at)->state != TASK_RUNNING)
            oldest = at;
    if (!oldest)
        return;
    struct task *dead = *oldest;
    *oldest = dead->next;
    t->n--;
    task_free(dead);
}

struct task *task_new(struct tasks *t, const char *kind)
{
    if (t->n >= TASKS_MAX)
        drop_oldest(t);
    struct task *x = mem_new(sizeof *x);
    *x = (struct task){.tasks = t, .next = t->first, .number = ++t->last_number, .kind = kind};
    t->first = x;
    t->n++;
    return x;
}

void task_give(struct task *t, struct hash owner)
{
    t->owner = owner;
}

struct hash task_owner(const struct task *t)
{
    return t->owner;
}

uint64_t task_number(const struct task *t)
{
    return t->number;
}

void task_progress(struct task *t, uint64_t done, uint64_t total)
{
    t->done = done;
    t->total = total;
}

void task_say(struct task *t, const char *what)
{
    snprintf(t->says, sizeof t->says, "%s", what);
}

void task_on_cancel(struct task *t, void (*fn)(void *arg), void *arg)
{
    t->on_cancel = fn;
    t->cancel_arg = arg;
}

enum err task_cancel(struct task *t)
{
    if (t->state != TASK_RUNNING || !t->on_cancel)
        return ERR_STATE;
    t->on_cancel(t->cancel_arg);
    return ERR_OK;
}

void task_finish(struct task *t, struct bytes result)
{
    CHECK(t->state == TASK_RUNNING);
    t->on_cancel = NULL;
    t->state = TASK_DONE;
    buf_add(&t->result, result.p, result.n);
    wake_all(t);
}

void task_fail(struct task *t, enum err e, const struct note *note)
{
    CHECK(t->state == TASK_RUNNING);
    t->state = TASK_FAILED;
    t->on_cancel = NULL;
    t->code = e;
    if (note)
        t->note = *note;
    wake_all(t);
}

struct task *task_find(struct tasks *t, uint64_t number)
{
    for (struct task *x = t->first; x; x = x->next)
        if (x->number == number)
            return x;
    return NULL;
}

void task_answer(struct task *t, struct http_request *r, uint64_t wait_ms)
{
    if (t->state != TASK_RUNNING || wait_ms == 0) {
        answer(t, r);
        return;
    }
    struct waiter *w = mem_new(sizeof *w);
    *w = (struct waiter){.task = t, .next = t->waiters, .request = r};
    t->waiters = w;
    http_on_gone(r, on_gone, w);
    host_timer_set(t->tasks->host, &w->timer, wait_ms < PROGRESS_MS ? wait_ms : PROGRESS_MS, on_timer, w);
}

void task_accepted(struct task *t, struct http_request *r)
{
    struct buf b = {0};
    if (t->state == TASK_RUNNING)
        changed(t); /* now it is known whose it is */
    buf_add_format(&b, "{\"task\":\"%" PRIu64 "\"}", t->number);
    api_reply_json(r, 202, &b);
}
