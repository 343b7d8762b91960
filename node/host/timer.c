/* A binary heap of timers, earliest first. */
#include "node/host/timer.h"

#include "base/err.h"
#include "base/mem.h"

#include <stdlib.h>

void timer_heap_clear(struct timer_heap *h)
{
    for (size_t i = 0; i < h->n; i++)
        h->heap[i]->slot = 0;
    free(h->heap);
    *h = (struct timer_heap){0};
}

static bool earlier(const struct timer *a, const struct timer *b)
{
    return a->due_ms != b->due_ms ? a->due_ms < b->due_ms : a->order < b->order;
}

static void put_at(struct timer_heap *h, size_t i, struct timer *t)
{
    h->heap[i] = t;
    t->slot = i + 1;
}

static void rise(struct timer_heap *h, size_t i)
{
    struct timer *t = h->heap[i];
    for (; i > 0 && earlier(t, h->heap[(i - 1) / 2]); i = (i - 1) / 2)
        put_at(h, i, h->heap[(i - 1) / 2]);
    put_at(h, i, t);
}

static void sink(struct timer_heap *h, size_t i)
{
    struct timer *t = h->heap[i];
    for (;;) {
        size_t child = 2 * i + 1;
        if (child + 1 < h->n && earlier(h->heap[child + 1], h->heap[child]))
            child++;
        if (child >= h->n || !earlier(h->heap[child], t))
            break;
        put_at(h, i, h->heap[child]);
        i = child;
    }
    put_at(h, i, t);
}

void timer_remove(struct timer_heap *h, struct timer *t)
{
    if (!timer_is_set(t))
        return;
    size_t i = t->slot - 1;
    CHECK(i < h->n && h->heap[i] == t);
    struct timer *last = h->heap[--h->n];
    t->slot = 0;
    if (last == t)
        return;
    put_at(h, i, last);
    sink(h, i);
    rise(h, last->slot - 1);
}

void timer_add(struct timer_heap *h, struct timer *t, uint64_t due_ms, timer_fn fn, void *arg)
{
    timer_remove(h, t);
    if (h->n == h->room) {
        h->room = h->room ? 2 * h->room : 16;
        h->heap = mem_resize(h->heap, h->room, sizeof(struct timer *));
    }
    *t = (struct timer){.due_ms = due_ms, .order = h->order++, .fn = fn, .arg = arg};
    put_at(h, h->n++, t);
    rise(h, h->n - 1);
}

bool timer_is_set(const struct timer *t)
{
    return t->slot != 0;
}

uint64_t timer_next_ms(const struct timer_heap *h)
{
    return h->n ? h->heap[0]->due_ms : UINT64_MAX;
}

struct timer *timer_step(struct timer_heap *h, uint64_t now_ms)
{
    if (timer_next_ms(h) > now_ms)
        return NULL;
    struct timer *t = h->heap[0];
    timer_remove(h, t);
    return t;
}
