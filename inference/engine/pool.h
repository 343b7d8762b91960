/* Threads for the engine: one piece of work at a time, cut into parts that do not touch each other. Which thread does
 * which part decides nothing: every part is computed the same way wherever it runs. */
#ifndef KITH_INFERENCE_POOL_H
#define KITH_INFERENCE_POOL_H

#include <stddef.h>

struct pool;
/* threads 1..THREADS_MAX, the calling one included; they exist until pool_free. */
struct pool *pool_new(unsigned threads);
void pool_free(struct pool *p);
unsigned pool_threads(const struct pool *p);

/* Calls fn(arg, first, end) for stretches that together are 0..n, each a multiple of `grain` long except the last;
 * returns when all are done. Runs here alone when n <= grain. */
typedef void (*pool_fn)(void *arg, size_t first, size_t end);
void pool_run(struct pool *p, size_t n, size_t grain, pool_fn fn, void *arg);

#endif
