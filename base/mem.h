/* Heap memory that is there or the process ends: sizes are bounded by base/limits.h before they
 * reach this point, so exhaustion is not something a caller could handle better. */
#ifndef KITH_BASE_MEM_H
#define KITH_BASE_MEM_H

#include <stddef.h>

/* Zeroed; free with free(). A count times size that overflows ends the process. */
void *mem_new(size_t size);
void *mem_array(size_t count, size_t size);
/* Like realloc over `count` elements; new space is not zeroed. */
void *mem_resize(void *old, size_t count, size_t size);
char *mem_string(const char *text);

#endif
