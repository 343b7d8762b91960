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
/* Keeps the pages of memory that is there already from swap and core files, as far as the system's limits allow; they
 * stay so until the process ends. */
void secret_lock(void *p, size_t n);
/* At a program's start: no core file of it, whatever takes them, and no other process of the user looks into it. */
void secret_hide_process(void);
/* Locked, guarded, wiped when freed. */
void *secret_new(size_t n);
void secret_free(void *p);

#endif
