/* A fixed set of threads. A piece of work is cut into parts that threads take as they get to them, so that one that was
 * held up is not waited for; a thread waits first by looking, since the next piece mostly comes within microseconds,
 * then by sleeping. Where there are no threads (WebAssembly) the calling one does everything. */
#include "inference/pool.h"

#include "base/limits.h"
#include "base/err.h"
#include "base/mem.h"

#if defined(__wasm__)

#include <stdlib.h>

struct pool {
    unsigned threads;
};

struct pool *pool_new(unsigned threads)
{
    CHECK(threads >= 1 && threads <= THREADS_MAX);
    struct pool *p = mem_new(sizeof *p);
    p->threads = 1;
    return p;
}

void pool_free(struct pool *p)
{
    free(p);
}

unsigned pool_threads(const struct pool *p)
{
    return p->threads;
}

void pool_run(struct pool *p, size_t n, size_t grain, pool_fn fn, void *arg)
{
    (void)p;
    (void)grain;
    if (n)
        fn(arg, 0, n);
}

#else

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#define LOOKS 2000 /* a few microseconds */
#define PARTS 2    /* for each thread, that what is left of a piece is cut into */

struct pool {
    unsigned threads;
    pthread_t *ids;
    pthread_mutex_t lock;
    pthread_cond_t begun;
    atomic_uint turn;     /* counts pieces of work */
    atomic_uint finished; /* threads that are done with this one */
    unsigned asleep;
    int stop;
    pool_fn fn;
    void *arg;
    size_t n, grain;    /* of the piece, and what parts are multiples of */
    atomic_size_t next; /* where the next part begins */
};

/* Where the part that begins at `first` ends: parts get smaller towards the end, so that the last ones, for which the
 * others wait, are short. */
static size_t part_end(const struct pool *p, size_t first)
{
    size_t left = p->n - first, part = (left / (p->threads * PARTS) + p->grain - 1) / p->grain * p->grain;
    if (part == 0)
        part = p->grain;
    return left < part ? p->n : first + part;
}

/* Takes parts until none is left. */
static void do_parts(struct pool *p)
{
    size_t first = atomic_load_explicit(&p->next, memory_order_relaxed);
    while (first < p->n) {
        size_t end = part_end(p, first);
        if (atomic_compare_exchange_weak_explicit(&p->next, &first, end, memory_order_relaxed, memory_order_relaxed)) {
            p->fn(p->arg, first, end);
            first = atomic_load_explicit(&p->next, memory_order_relaxed);
        }
    }
}

static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static unsigned wait_turn(struct pool *p, unsigned seen)
{
    for (int i = 0; i < LOOKS; i++) {
        unsigned now = atomic_load_explicit(&p->turn, memory_order_acquire);
        if (now != seen)
            return now;
        relax();
    }
    CHECK(pthread_mutex_lock(&p->lock) == 0);
    p->asleep++;
    while (atomic_load_explicit(&p->turn, memory_order_acquire) == seen)
        CHECK(pthread_cond_wait(&p->begun, &p->lock) == 0);
    p->asleep--;
    CHECK(pthread_mutex_unlock(&p->lock) == 0);
    return atomic_load_explicit(&p->turn, memory_order_acquire);
}

static void *work(void *arg)
{
    struct pool *p = arg;
    unsigned seen = 0;
    for (;;) {
        seen = wait_turn(p, seen);
        if (p->stop)
            return NULL;
        do_parts(p);
        atomic_fetch_add_explicit(&p->finished, 1, memory_order_release);
    }
}

static void next_turn(struct pool *p)
{
    CHECK(pthread_mutex_lock(&p->lock) == 0);
    atomic_fetch_add_explicit(&p->turn, 1, memory_order_release);
    if (p->asleep)
        CHECK(pthread_cond_broadcast(&p->begun) == 0);
    CHECK(pthread_mutex_unlock(&p->lock) == 0);
}

struct pool *pool_new(unsigned threads)
{
    CHECK(threads >= 1 && threads <= THREADS_MAX);
    struct pool *p = mem_new(sizeof *p);
    p->threads = threads;
    p->ids = mem_array(threads, sizeof *p->ids);
    CHECK(pthread_mutex_init(&p->lock, NULL) == 0 && pthread_cond_init(&p->begun, NULL) == 0);
    for (unsigned i = 1; i < threads; i++) {
        if (pthread_create(&p->ids[i], NULL, work, p) != 0) /* fewer threads, the same bits */
            p->threads = threads = i;
    }
    return p;
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    p->stop = 1;
    next_turn(p);
    for (unsigned i = 1; i < p->threads; i++)
        pthread_join(p->ids[i], NULL);
    pthread_cond_destroy(&p->begun);
    pthread_mutex_destroy(&p->lock);
    free(p->ids);
    free(p);
}

unsigned pool_threads(const struct pool *p)
{
    return p->threads;
}

void pool_run(struct pool *p, size_t n, size_t grain, pool_fn fn, void *arg)
{
    if (p->threads == 1 || n <= grain) {
        if (n)
            fn(arg, 0, n);
        return;
    }
    p->fn = fn;
    p->arg = arg;
    p->n = n;
    p->grain = grain;
    atomic_store_explicit(&p->next, 0, memory_order_relaxed);
    atomic_store_explicit(&p->finished, 0, memory_order_relaxed);
    next_turn(p);
    do_parts(p);
    for (unsigned looks = 0; atomic_load_explicit(&p->finished, memory_order_acquire) + 1 < p->threads; looks++)
        if (looks < LOOKS)
            relax();
        else {
            struct timespec moment = {0, 20000};
            nanosleep(&moment, NULL);
        }
}

#endif
