/* Threads that help with work in parts (chain/parallel.h): the loop's thread hands out parts, takes its own share, and
 * goes on when all are done. So nothing runs beside the loop, and what the parts only read is not written meanwhile. */
#ifndef KITH_NODE_HELPERS_H
#define KITH_NODE_HELPERS_H

#include "chain/parallel.h"

struct helpers;

/* n further threads, and one that runs only where another waits for a disk; 0 leaves all to the caller. */
struct helpers *helpers_new(unsigned n);
void helpers_free(struct helpers *h);
/* Processors that this process may use, less the loop's own, at most HELPERS_MAX. */
unsigned helpers_best(void);
/* Used by one thread at a time; parts must not call it again. Good until helpers_free. */
struct parallel helpers_parallel(struct helpers *h);

#endif
