/* One job at a time. A part is taken by counting `next` up; whoever finishes the last one wakes the caller. */
#include "node/host/helpers.h"

#include "base/err.h"
#include "base/limits.h"
#include "base/mem.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

struct helper {
    struct helpers *of;
    unsigned index;
    pthread_t thread;
};

struct helpers {
    pthread_mutex_t lock;
    pthread_cond_t wake, done;
    struct helper helpers[HELPERS_MAX + 1]; /* the last one is for when another waits */
    unsigned n;
    /* under the lock */
    uint64_t job;  /* counts up with each */
    unsigned at;   /* helpers that take part in it */
    unsigned busy; /* those that have not finished with it */
    bool is_over;
    /* of the job */
    parallel_part_fn fn;
    void *arg;
    uint32_t parts;
    atomic_uint next;
};

static void parts_run(struct helpers *h)
{
    for (uint32_t i; (i = atomic_fetch_add(&h->next, 1)) < h->parts;)
        h->fn(h->arg, i);
}

static void *helper_main(void *arg)
{
    const struct helper *self = arg;
    struct helpers *h = self->of;
    uint64_t seen = 0;
    pthread_mutex_lock(&h->lock);
    for (;;) {
        while (h->job == seen && !h->is_over)
            pthread_cond_wait(&h->wake, &h->lock);
        if (h->is_over)
            break;
        seen = h->job;
        if (self->index >= h->at)
            continue;
        pthread_mutex_unlock(&h->lock);
        parts_run(h);
        pthread_mutex_lock(&h->lock);
        if (--h->busy == 0)
            pthread_cond_signal(&h->done);
    }
    pthread_mutex_unlock(&h->lock);
    return NULL;
}

static void run_with(struct helpers *h, unsigned helpers, parallel_part_fn fn, void *arg, uint32_t n)
{
    pthread_mutex_lock(&h->lock);
    h->fn = fn;
    h->arg = arg;
    h->parts = n;
    atomic_store(&h->next, 0);
    h->at = h->busy = helpers;
    h->job++;
    pthread_cond_broadcast(&h->wake);
    pthread_mutex_unlock(&h->lock);
    parts_run(h);
    pthread_mutex_lock(&h->lock);
    while (h->busy > 0)
        pthread_cond_wait(&h->done, &h->lock);
    pthread_mutex_unlock(&h->lock);
}

static void helpers_run(void *self, parallel_part_fn fn, void *arg, uint32_t n)
{
    struct helpers *h = self;
    run_with(h, h->n > 1 ? h->n - 1 : h->n, fn, arg, n);
}

static void helpers_run_waiting(void *self, parallel_part_fn fn, void *arg, uint32_t n)
{
    struct helpers *h = self;
    run_with(h, h->n, fn, arg, n);
}

static bool helper_start(struct helpers *h)
{
    struct helper *next = &h->helpers[h->n];
    *next = (struct helper){.of = h, .index = h->n};
    return pthread_create(&next->thread, NULL, helper_main, next) == 0;
}

struct helpers *helpers_new(unsigned n)
{
    struct helpers *h = mem_new(sizeof *h);
    CHECK(pthread_mutex_init(&h->lock, NULL) == 0);
    CHECK(pthread_cond_init(&h->wake, NULL) == 0 && pthread_cond_init(&h->done, NULL) == 0);
    unsigned want = n == 0 ? 0 : n < HELPERS_MAX ? n + 1 : HELPERS_MAX + 1;
    /* A thread that cannot be had is a helper less. */
    while (h->n < want && helper_start(h))
        h->n++;
    return h;
}

void helpers_free(struct helpers *h)
{
    if (!h)
        return;
    pthread_mutex_lock(&h->lock);
    h->is_over = true;
    pthread_cond_broadcast(&h->wake);
    pthread_mutex_unlock(&h->lock);
    for (unsigned i = 0; i < h->n; i++)
        pthread_join(h->helpers[i].thread, NULL);
    pthread_cond_destroy(&h->wake);
    pthread_cond_destroy(&h->done);
    pthread_mutex_destroy(&h->lock);
    free(h);
}

unsigned helpers_best(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 0;
    unsigned n = (unsigned)CPU_COUNT(&set) - 1;
    return n < HELPERS_MAX ? n : HELPERS_MAX;
}

struct parallel helpers_parallel(struct helpers *h)
{
    return (struct parallel){h->n ? helpers_run : NULL, h->n ? helpers_run_waiting : NULL, h};
}
