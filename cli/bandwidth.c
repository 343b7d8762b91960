/* Threads that sum their part of a large buffer, pass by pass. */
#include "cli/bandwidth.h"

#include "base/err.h"
#include "base/limits.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BYTES_ALL ((size_t)512 << 20)
#define PASSES    5

struct gate {
    pthread_mutex_t closed; /* held until it is known how many threads there are */
    pthread_barrier_t barrier;
};

struct part {
    pthread_t id;
    struct gate *gate;
    uint64_t *words; /* of the whole buffer; this part is [first, end) */
    size_t first, end;
    double begun[PASSES], ended[PASSES];
    uint64_t sum;
};

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Eight sums, so that the additions are no chain. */
static uint64_t sum_of(const uint64_t *p, size_t n)
{
    uint64_t s[8] = {0}, all = 0;
    for (size_t i = 0; i + 8 <= n; i += 8)
        for (size_t j = 0; j < 8; j++)
            s[j] += p[i + j];
    for (size_t j = 0; j < 8; j++)
        all += s[j];
    return all;
}

static void work(struct part *p)
{
    memset(p->words + p->first, 1, (p->end - p->first) * sizeof *p->words); /* touched by the thread that reads it */
    for (int i = 0; i < PASSES; i++) {
        pthread_barrier_wait(&p->gate->barrier);
        p->begun[i] = now_s();
        p->sum += sum_of(p->words + p->first, p->end - p->first);
        p->ended[i] = now_s();
    }
}

static void *wait_and_work(void *arg)
{
    struct part *p = arg;
    pthread_mutex_lock(&p->gate->closed);
    pthread_mutex_unlock(&p->gate->closed);
    work(p);
    return NULL;
}

/* Of all the passes, from the first thread's beginning to the last one's end. */
static double best_of(const struct part *parts, unsigned n, size_t bytes)
{
    double best = 0;
    volatile uint64_t keep = 0; /* so that the sums are made */
    for (int i = 0; i < PASSES; i++) {
        double begun = parts[0].begun[i], ended = parts[0].ended[i];
        for (unsigned t = 1; t < n; t++) {
            begun = parts[t].begun[i] < begun ? parts[t].begun[i] : begun;
            ended = parts[t].ended[i] > ended ? parts[t].ended[i] : ended;
        }
        if (ended > begun && (double)bytes / (ended - begun) > best)
            best = (double)bytes / (ended - begun);
    }
    for (unsigned t = 0; t < n; t++)
        keep += parts[t].sum;
    return best;
}

double bandwidth_measure(unsigned threads)
{
    static struct part parts[THREADS_MAX];
    struct gate gate;
    const size_t words = BYTES_ALL / sizeof(uint64_t);
    if (threads == 0 || threads > THREADS_MAX)
        return 0;
    uint64_t *buffer = aligned_alloc(64, BYTES_ALL);
    if (!buffer)
        return 0;
    memset(parts, 0, sizeof parts);
    CHECK(pthread_mutex_init(&gate.closed, NULL) == 0 && pthread_mutex_lock(&gate.closed) == 0);
    for (unsigned i = 0; i < threads; i++) /* before any thread looks */
        parts[i].gate = &gate;
    unsigned n = 1;
    while (n < threads && pthread_create(&parts[n].id, NULL, wait_and_work, &parts[n]) == 0)
        n++;
    CHECK(pthread_barrier_init(&gate.barrier, NULL, n) == 0);
    for (unsigned i = 0; i < n; i++) {
        parts[i].words = buffer;
        parts[i].first = words / n * i;
        parts[i].end = i + 1 == n ? words : words / n * (i + 1);
    }
    pthread_mutex_unlock(&gate.closed);
    work(&parts[0]);
    for (unsigned i = 1; i < n; i++)
        pthread_join(parts[i].id, NULL);
    pthread_barrier_destroy(&gate.barrier);
    pthread_mutex_destroy(&gate.closed);
    free(buffer);
    return best_of(parts, n, BYTES_ALL);
}
