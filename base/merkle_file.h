/* The root of a file (base/merkle.h), read on several threads. */
#ifndef KITH_BASE_MERKLE_FILE_H
#define KITH_BASE_MERKLE_FILE_H

#include "base/merkle.h"

/* `fd`: a regular file, open for reading; its offset stays. Threads 1..THREADS_MAX; where the system gives fewer, fewer
 * do. ERR_IO also for a file that became shorter meanwhile. */
enum err merkle_root_of_file(int fd, unsigned threads, struct hash *root, struct note *note) MUST_USE;

#endif
