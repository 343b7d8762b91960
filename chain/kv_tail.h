/* The torn end of LevelDB's logs.
 *
 * LevelDB passes over a record that ends with the file, but after a power cut the file may have its size already and
 * its last write only in parts: of some sectors nothing arrived, and they read as zeros. LevelDB, told to trust
 * nothing, then refuses to open. All writes are synced, so only the last batch of a log can be so, and nobody was told
 * that it is stored: it is cut off.
 *
 * What was synced and damaged later looks different: whole, and nowhere zero for a sector's length; or with
 * whole records behind it. That stays an error. */
#ifndef KITH_CHAIN_KV_TAIL_H
#define KITH_CHAIN_KV_TAIL_H

#include "base/bytes.h"

/* Cuts torn ends off the logs in the directory. *cut counts them. */
enum err kv_tail_mend(const char *dir, unsigned *cut, struct note *note) MUST_USE;
/* Where a log of these bytes is to be cut; its size if it is not torn. */
size_t kv_tail_find(struct bytes log);

#endif
