/* Transactions that wait for a block: bounded in count and bytes, in nonce order for each signer, offered in the
 * order of fee per byte.
 *
 * Invariants: a signer's transactions have consecutive nonces from the ledger's next one on, so each that is offered
 * can follow the ones offered before; none is here twice; count <= MEMPOOL_MAX, bytes <= MEMPOOL_BYTES_MAX and
 * MEMPOOL_SIGNER_MAX for one signer. What each claims (its fee, and what it may spend) is covered behind those before
 * it. Where it is full, what pays least for a byte gives way to what pays a quarter more: else whoever filled it once
 * at the least price would keep everybody out for as long as the price is above that.
 */
#ifndef KITH_NODE_MEMPOOL_H
#define KITH_NODE_MEMPOOL_H

#include "chain/ledger.h"

struct mempool;

/* `key` is random and secret: it says where ids and signers lie in the tables. */
struct mempool *mempool_new(struct ledger *ledger, const uint8_t key[16]);
void mempool_free(struct mempool *m);
/* Fewer than MEMPOOL_MAX. */
void mempool_set_max(struct mempool *m, uint32_t count_max);
/* Checks and keeps a copy. ERR_DUPLICATE, ERR_FULL, or what ledger_check says. *id (may be NULL) is set whenever
 * the bytes are a transaction. */
enum err mempool_add(struct mempool *m, struct bytes tx, struct hash *id, struct note *note) MUST_USE;
/* After a committed block: takes out what is in it, seen by the nonces, and what can no longer follow. */
void mempool_step(struct mempool *m);
bool mempool_has(const struct mempool *m, const struct hash *id);
/* The bytes of one that waits, borrowed until the pool changes; false if there is none. */
bool mempool_find(const struct mempool *m, const struct hash *id, struct bytes *tx);
uint32_t mempool_count(const struct mempool *m);
size_t mempool_bytes(const struct mempool *m);
/* The signer's next nonce behind what waits here. */
uint64_t mempool_nonce(const struct mempool *m, const struct pubkey *signer);
/* ledger_prepare over the pool: fills txs[0..BLOCK_TXS_MAX) with bytes borrowed until the pool changes. */
uint32_t mempool_prepare(struct mempool *m, size_t size_max, struct bytes *txs);
/* Every waiting transaction, each signer's in order: for a peer that comes late. */
typedef void (*mempool_fn)(void *arg, struct bytes tx);
void mempool_each(const struct mempool *m, mempool_fn fn, void *arg);

#endif
