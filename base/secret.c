/* Secret bytes, over libsodium. */
#include "base/secret.h"

#include "base/err.h"

#include <sodium.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

void secret_random(void *p, size_t n)
{
    CHECK(sodium_init() >= 0);
    randombytes_buf(p, n);
}

void secret_wipe(void *p, size_t n)
{
    sodium_memzero(p, n);
}

bool secret_equal(const void *a, const void *b, size_t n)
{
    return sodium_memcmp(a, b, n) == 0;
}

void secret_lock(void *p, size_t n)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = (uintptr_t)p / page * page;
    size_t size = (uintptr_t)p + n - from;
    int ignored = mlock((void *)from, size) | madvise((void *)from, (size + page - 1) / page * page, MADV_DONTDUMP);
    (void)ignored; /* a user's limit on locked memory may be small */
}

void secret_hide_process(void)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* programs that take core files through a pipe pass over the limit */
}

void *secret_new(size_t n)
{
    CHECK(sodium_init() >= 0);
    void *p = sodium_malloc(n);
    CHECK(p);
    sodium_memzero(p, n);
    return p;
}

void secret_free(void *p)
{
    sodium_free(p);
}
