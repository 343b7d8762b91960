/* The ends of LevelDB's logs, looked at before it opens them.
 *
 * LevelDB passes over a record that ends with the file. But after a power cut the file may have its size already and
 * what was written since its last sync only in parts: of some sectors nothing arrived, and they read as zeros. LevelDB,
 * told to trust nothing, then refuses to open. Nobody was told that this is stored, and the next sync would have
 * made all of it safe, so from the first such record on it is cut off.
 *
 * What was synced and damaged later looks different: whole, and nowhere zero for a sector's length. That is an error;
 * LevelDB would take a damaged length in a log's last block for its end, and silently forget all that stands behind. (A
 * disk that loses a log's end, or returns zeros for what was synced, cannot be told from a power cut here; a
 * validator's signer knows better: node/consensus/consensus.c.) */
#ifndef KITH_CHAIN_KV_TAIL_H
#define KITH_CHAIN_KV_TAIL_H

#include "base/bytes.h"

enum kv_tail { KV_TAIL_WHOLE, KV_TAIL_TORN, KV_TAIL_DAMAGED };

/* Cuts torn ends off the logs in the directory, if there is one; *cut counts them. ERR_CORRUPT names a damaged one. */
enum err kv_tail_mend(const char *dir, unsigned *cut, struct note *note) MUST_USE;
/* *at: where a log of these bytes is to be cut, or is damaged. */
enum kv_tail kv_tail_find(struct bytes log, size_t *at);

#endif
