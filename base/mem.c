/* Allocation that cannot return NULL. */
#include "base/mem.h"

#include "base/err.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void *mem_new(size_t size)
{
    void *p = calloc(1, size ? size : 1);
    CHECK(p);
    return p;
}

void *mem_array(size_t count, size_t size)
{
    void *p = calloc(count ? count : 1, size ? size : 1);
    CHECK(p);
    return p;
}

void *mem_resize(void *old, size_t count, size_t size)
{
    CHECK(size == 0 || count <= SIZE_MAX / size);
    size_t bytes = count * size;
    void *p = realloc(old, bytes ? bytes : 1);
    CHECK(p);
    return p;
}

char *mem_string(const char *text)
{
    size_t n = strlen(text) + 1;
    char *copy = mem_new(n);
    memcpy(copy, text, n);
    return copy;
}
