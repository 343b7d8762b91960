/* Timers of a host: a binary heap over members of their users, so that setting, moving and cancelling
 * allocate nothing and take effect at once. Equal times fire in the order in which they were set.
 *
 * Invariant: heap[t->slot - 1] == t for every set timer, slot == 0 for every other.
 */
#ifndef KITH_NODE_TIMER_H
#define KITH_NODE_TIMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef void (*timer_fn)(void *arg);

struct timer { /* zeroed before its first use */
    uint64_t due_ms;
    uint64_t order;
    timer_fn fn;
    void *arg;
    size_t slot;
};

struct timer_heap {
    struct timer **heap;
    size_t n, room;
    uint64_t order;
};

void timer_heap_clear(struct timer_heap *h);
void timer_add(struct timer_heap *h, struct timer *t, uint64_t due_ms, timer_fn fn, void *arg);
void timer_remove(struct timer_heap *h, struct timer *t);
bool timer_is_set(const struct timer *t);
/* The next one's time; UINT64_MAX if there is none. */
uint64_t timer_next_ms(const struct timer_heap *h);
/* Takes off the first timer that is due, NULL if none is. The caller then calls its fn. */
struct timer *timer_step(struct timer_heap *h, uint64_t now_ms);

#endif
