/* What commands that start their own worker keep between them, in $KITH_CACHE (`off`: nothing), $XDG_CACHE_HOME/kith or
 * ~/.cache/kith: the roots of model files, so that a file that did not change is not hashed anew, and packed weights
 * (inference/engine/pack_file.h), at most $KITH_CACHE_MB MiB of them. All of it may be deleted at any time. */
#ifndef KITH_CLI_CACHE_H
#define KITH_CLI_CACHE_H

#include "base/hash.h"
#include "base/keep.h"

/* The root of an open model file: remembered for this device, inode, size, time of change and time of status change,
 * else hashed on all processors. A file that changed within the last two seconds is not remembered: it might change
 * again within the same tick of the file system's clock. */
enum err cache_root(int fd, struct hash *root, struct note *note) MUST_USE;
/* The packed weights of a model, or where to put them; fd -1 where nothing is kept. What goes wrong is said in the
 * note, which is empty otherwise; it never keeps a model from running. */
void cache_pack(const struct hash *root, uint64_t model_bytes, struct keep_file *f, struct note *note);

#endif
