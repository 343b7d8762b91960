/* Secret bytes: made, held where they are neither swapped nor dumped, compared and wiped. */
#ifndef KITH_BASE_SECRET_H
#define KITH_BASE_SECRET_H

#include <stdbool.h>
#include <stddef.h>

/* From the system's random source. Only for keys, salts and nonces, and only outside the simulated
 * part: a node takes its random numbers from its host. */
void secret_random(void *p, size_t n);
/* Not removed by the compiler. */
void secret_wipe(void *p, size_t n);
/* In time that does not depend on the content. */
bool secret_equal(const void *a, const void *b, size_t n);
/* Locked, guarded, wiped when freed. */
void *secret_new(size_t n);
void secret_free(void *p);

#endif
