/* The ends of LevelDB's logs, looked at before it opens them.
 *
 * LevelDB passes over a record that ends with the file. But after a power cut the file may have its size already and
 * its last write only in parts: of some sectors nothing arrived, and they read as zeros. LevelDB, told to trust
 * nothing, then refuses to open. All writes are synced, so only the last batch of a log can be so, and nobody was told
 * that it is stored: it is cut off.
 *
 * What was synced and damaged later looks different: whole, and nowhere zero for a sector's length; or with whole
 * batches behind it. That is an error; LevelDB would take a damaged length in a log's last block for its end, and
 * silently forget all that stands behind. (A log that lost its end altogether cannot be told from a shorter one here; a
 * validator's signer knows better: node/consensus.c.) */
#ifndef KITH_CHAIN_KV_TAIL_H
#define KITH_CHAIN_KV_TAIL_H

#include "base/bytes.h"

enum kv_tail { KV_TAIL_WHOLE, KV_TAIL_TORN, KV_TAIL_DAMAGED };

/* Cuts torn ends off the logs in the directory, if there is one; *cut counts them. ERR_CORRUPT names a damaged one. */
enum err kv_tail_mend(const char *dir, unsigned *cut, struct note *note) MUST_USE;
/* *at: where a log of these bytes is to be cut, or is damaged. */
enum kv_tail kv_tail_find(struct bytes log, size_t *at);

#endif
