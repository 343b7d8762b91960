/* Transactions that came before the one they follow: of one signer, with a nonce that is not the pool's next yet. Where
 * one comes from one peer and the next from another, their order is nobody's. Bounded (EARLY_MAX, EARLY_AHEAD,
 * EARLY_MS); when full, the oldest goes: whoever fills it with nonsense makes others send again, and nothing else. */
#ifndef KITH_NODE_EARLY_H
#define KITH_NODE_EARLY_H

#include "base/key.h"

struct early;

struct early *early_new(void);
void early_free(struct early *e);
/* Keeps a copy. `next`: the nonce that the pool waits for. */
void early_add(struct early *e, const struct pubkey *signer, uint64_t nonce, uint64_t next, struct bytes tx,
               uint64_t now_ms);
/* Appends the one with this nonce and forgets it; false if there is none. */
bool early_take(struct early *e, const struct pubkey *signer, uint64_t nonce, uint64_t now_ms, struct buf *tx);
uint32_t early_count(const struct early *e);

#endif
