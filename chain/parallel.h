/* Work in parts on several processors, for code that has no threads of its own: whoever owns it gives it a way to run
 * parts (the node its helper threads, a measuring program its own), or none. */
#ifndef KITH_CHAIN_PARALLEL_H
#define KITH_CHAIN_PARALLEL_H

#include <stdint.h>

typedef void (*parallel_part_fn)(void *arg, uint32_t part);
/* Calls fn(arg, 0) to fn(arg, n - 1), each once, in any order and at the same time, and returns when all have. */
typedef void (*parallel_run_fn)(void *self, parallel_part_fn fn, void *arg, uint32_t n);

struct parallel {
    parallel_run_fn run; /* NULL: one after the other, on the caller's thread */
    parallel_run_fn
        run_waiting; /* the same, where one part waits for a disk: one more runs then. NULL: `run` will do */
    void *self;
};

static inline void parallel_run(const struct parallel *p, parallel_part_fn fn, void *arg, uint32_t n)
{
    if (p->run) {
        p->run(p->self, fn, arg, n);
        return;
    }
    for (uint32_t i = 0; i < n; i++)
        fn(arg, i);
}

static inline void parallel_run_waiting(const struct parallel *p, parallel_part_fn fn, void *arg, uint32_t n)
{
    if (p->run_waiting)
        p->run_waiting(p->self, fn, arg, n);
    else
        parallel_run(p, fn, arg, n);
}

#endif
