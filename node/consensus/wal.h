/* A log of one height's events, written ahead: what consensus saw since the last block, so that a node that was
 * killed comes back with its lock and its votes. Emptied when the height is decided.
 *
 *     entry = u32 length | bytes | first 8 bytes of H[kith.file](bytes)
 *
 * Invariants: the file holds whole entries up to `good`; what could not be written yet waits in memory, in order, and
 * goes first. A torn tail (a kill in the middle of a write) is cut off at opening. Everything read at opening is
 * synced, because a killed process may have left it unsynced. What was written since the last sync is kept until the
 * next: a sync that fails may have lost it for good (Linux drops the pages and reports the next sync as fine), so it is
 * written again.
 */
#ifndef KITH_NODE_WAL_H
#define KITH_NODE_WAL_H

#include "node/host/host.h"

struct wal;

/* False: this entry is none that the caller knows, and the rest is cut off. */
typedef bool (*wal_entry_fn)(void *arg, struct bytes entry);
/* Opens or makes the file, syncs it, and calls fn for every whole entry. */
enum err wal_open(struct host *host, const char *path, wal_entry_fn fn, void *arg, struct wal **out,
                  struct note *note) MUST_USE;
void wal_close(struct wal *w);
/* Never fails: what does not reach the file waits for wal_sync. */
void wal_append(struct wal *w, struct bytes entry);
/* ERR_OK: everything appended so far survives a crash. */
enum err wal_sync(struct wal *w) MUST_USE;
void wal_reset(struct wal *w);

#endif
