/* A fixed set of threads. A piece of work is cut into parts that threads take as they get to them. It is over when all
 * parts are done, whoever did them: a thread that was held up, by other programs or in its sleep, and has taken none is
 * not waited for, and finds later that there is nothing left, or the next piece. A thread waits first by looking, since
 * the next piece mostly comes within microseconds, then by sleeping. Where there are no threads (WebAssembly) the
 * calling one does everything. */
#include "inference/engine/pool.h"

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
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#define LOOKS  2000 /* a few dozen microseconds */
#define PARTS  2    /* for each thread, that what is left of a piece is cut into */
#define CLOSED UINT32_MAX

struct pool {
    unsigned threads;
    pthread_t *ids;
    pthread_mutex_t lock;
    pthread_cond_t begun, ended;
    unsigned asleep;
    atomic_bool stop, waits; /* waits: the calling thread sleeps until a piece is over */
    /* The number of the piece << 32 | where its next part begins. A part is taken by changing it, which fails if it is
     * another piece by now; while the fields below are changed it is CLOSED. */
    _Atomic uint64_t place;
    atomic_size_t done; /* of n */
    _Atomic pool_fn fn;
    _Atomic(void *) arg;
    atomic_size_t n, grain; /* of the piece, and what parts are multiples of */
};

struct part {
    pool_fn fn;
    void *arg;
    size_t first, end;
};

static unsigned turn_of(const struct pool *p)
{
    return (unsigned)(atomic_load_explicit(&p->place, memory_order_acquire) >> 32);
}

/* Where the part that begins at `first` ends: parts get smaller towards the end, so that the last ones, for which the
 * others wait, are short. */
static size_t part_end(const struct pool *p, size_t n, size_t grain, size_t first)
{
    size_t left = n - first, part = (left / (p->threads * PARTS) + grain - 1) / grain * grain;
    if (part == 0)
        part = grain;
    return left < part ? n : first + part;
}

/* The next part of the piece that is being done. False: there is none. */
static bool take_part(struct pool *p, struct part *part)
{
    uint64_t place = atomic_load_explicit(&p->place, memory_order_acquire);
    for (;;) {
        const size_t n = atomic_load_explicit(&p->n, memory_order_acquire),
                     grain = atomic_load_explicit(&p->grain, memory_order_acquire);
        part->fn = atomic_load_explicit(&p->fn, memory_order_acquire);
        part->arg = atomic_load_explicit(&p->arg, memory_order_acquire);
        part->first = (uint32_t)place;
        if (part->first == CLOSED || part->first >= n)
            return false;
        part->end = part_end(p, n, grain, part->first);
        /* Who has read what is another piece's sees, too, that this one was closed before, and fails here. */
        if (atomic_compare_exchange_weak_explicit(&p->place, &place, place + (part->end - part->first),
                                                  memory_order_acq_rel, memory_order_acquire))
            return true;
    }
}

/* Takes parts until none is left. */
static void do_parts(struct pool *p)
{
    struct part part;
    while (take_part(p, &part)) {
        part.fn(part.arg, part.first, part.end);
        atomic_fetch_add(&p->done, part.end - part.first);
        if (atomic_load(&p->waits)) {
            CHECK(pthread_mutex_lock(&p->lock) == 0 && pthread_cond_signal(&p->ended) == 0 &&
                  pthread_mutex_unlock(&p->lock) == 0);
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
        unsigned now = turn_of(p);
        if (now != seen)
            return now;
        relax();
    }
    CHECK(pthread_mutex_lock(&p->lock) == 0);
    p->asleep++;
    while (turn_of(p) == seen)
        CHECK(pthread_cond_wait(&p->begun, &p->lock) == 0);
    p->asleep--;
    CHECK(pthread_mutex_unlock(&p->lock) == 0);
    return turn_of(p);
}

static void *work(void *arg)
{
    struct pool *p = arg;
    for (unsigned seen = 0;;) {
        seen = wait_turn(p, seen);
        if (atomic_load(&p->stop))
            return NULL;
        do_parts(p);
    }
}

/* All parts of the piece before are done, but threads may still look for one. */
static void next_turn(struct pool *p, size_t n, size_t grain, pool_fn fn, void *arg)
{
    const uint64_t turn = (uint64_t)turn_of(p) << 32;
    atomic_store_explicit(&p->place, turn | CLOSED, memory_order_relaxed);
    atomic_store_explicit(&p->fn, fn, memory_order_release);
    atomic_store_explicit(&p->arg, arg, memory_order_release);
    atomic_store_explicit(&p->n, n, memory_order_release);
    atomic_store_explicit(&p->grain, grain, memory_order_release);
    atomic_store_explicit(&p->done, 0, memory_order_relaxed);
    CHECK(pthread_mutex_lock(&p->lock) == 0);
    atomic_store_explicit(&p->place, turn + ((uint64_t)1 << 32), memory_order_release);
    if (p->asleep)
        CHECK(pthread_cond_broadcast(&p->begun) == 0);
    CHECK(pthread_mutex_unlock(&p->lock) == 0);
}

/* Until other threads are done with the parts that they took. */
static void wait_end(struct pool *p, size_t n)
{
    for (int i = 0; i < LOOKS; i++) {
        if (atomic_load_explicit(&p->done, memory_order_acquire) == n)
            return;
        relax();
    }
    CHECK(pthread_mutex_lock(&p->lock) == 0);
    /* Whoever is done last sees it, or is seen below. A store and then a load would say that, too, but qemu lets them
     * pass each other (ARM's stlr and ldar on x86); an exchange it does not. */
    (void)atomic_exchange(&p->waits, true);
    while (atomic_load(&p->done) != n)
        CHECK(pthread_cond_wait(&p->ended, &p->lock) == 0);
    atomic_store(&p->waits, false);
    CHECK(pthread_mutex_unlock(&p->lock) == 0);
}

struct pool *pool_new(unsigned threads)
{
    CHECK(threads >= 1 && threads <= THREADS_MAX);
    struct pool *p = mem_new(sizeof *p);
    p->threads = threads;
    p->ids = mem_array(threads, sizeof *p->ids);
    CHECK(pthread_mutex_init(&p->lock, NULL) == 0 && pthread_cond_init(&p->begun, NULL) == 0 &&
          pthread_cond_init(&p->ended, NULL) == 0);
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
    atomic_store(&p->stop, true);
    next_turn(p, 0, 1, NULL, NULL);
    for (unsigned i = 1; i < p->threads; i++)
        pthread_join(p->ids[i], NULL);
    pthread_cond_destroy(&p->begun);
    pthread_cond_destroy(&p->ended);
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
    CHECK(n < CLOSED);
    next_turn(p, n, grain, fn, arg);
    do_parts(p);
    wait_end(p, n);
}

#endif
