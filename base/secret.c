/* Secret bytes, over libsodium. */
#include "base/secret.h"

#include "base/err.h"

#include <sodium.h>

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
