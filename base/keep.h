/* Files that can be made again: a directory of them, each under a name that says what it holds, none larger in all than
 * a cap. What has not been used for the longest goes first. Losing any of them costs time and nothing else.
 *
 * A file is there under its name only once it is whole: it is made under NAME.new, which one maker at a time has
 * locked, and gets its name by keep_finish. What a maker that died left behind goes when the next file is opened. */
#ifndef KITH_BASE_KEEP_H
#define KITH_BASE_KEEP_H

#include "base/bytes.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct keep_file {
    int fd;       /* -1: none, do without */
    bool is_new;  /* empty, open for reading and writing; else whole, open for reading */
    char *path;   /* under which it is or will be kept */
    uint64_t cap; /* bytes of the directory */
};

/* Opens the file, marking it as used, or begins it. `bytes` it is likely to have: ERR_LIMIT where that is over the cap.
 * ERR_BUSY: another process is making it. After any error there is nothing to clear. */
enum err keep_open(const char *dir, uint64_t cap, const char *name, uint64_t bytes, struct keep_file *f,
                   struct note *note) MUST_USE;
/* A file that was begun is whole: it is synced (which may take seconds), named, and the directory brought under its
 * cap. On an error it is gone. */
enum err keep_finish(struct keep_file *f, struct note *note) MUST_USE;
/* It is of no use: gone. */
void keep_remove(struct keep_file *f);
/* Closes; one that was begun and not finished is gone. Fine for one that is cleared or all zeros with fd -1. */
void keep_clear(struct keep_file *f);

#endif
