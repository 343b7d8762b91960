/* A ledger to test with: a store in memory, a handful of keys with money, blocks on demand, and a check of
 * the supply by a full scan of the store after every block. */
#ifndef KITH_TESTS_WORLD_H
#define KITH_TESTS_WORLD_H

#include "chain/ledger.h"

#define WORLD_KEYS 16
#define WORLD_TXS  256                                 /* in one block */
#define WORLD_FUND (UINT64_C(1000000) * MOTE_PER_KITH) /* what keys 1 to WORLD_KEYS - 1 begin with; key 0 validates */

struct world {
    struct kv *kv;
    struct ledger *ledger;
    struct genesis genesis;
    struct buf genesis_room;
    struct hash chain;
    struct seckey secret[WORLD_KEYS];
    struct pubkey key[WORLD_KEYS];
    uint64_t nonce[WORLD_KEYS];
    uint64_t time_ms;
    uint64_t step_ms; /* between blocks */
    /* of the block being filled, then of the last one */
    struct buf txs[WORLD_TXS];
    uint32_t n;
    const struct ledger_result *result;
    struct buf body;
    struct hash last_id; /* of the last transaction added */
};

/* Params may be NULL for the private network's. Free with world_free. */
struct world *world_new(const struct params *params);
void world_free(struct world *w);
/* Closes the ledger and opens it again over the same store. */
void world_reopen(struct world *w);

/* Adds a transaction of key `who` to the next block, with the least fee, the next nonce. */
void world_add(struct world *w, unsigned who, enum tx_kind kind, struct bytes body);
#define WORLD_ADD(w, who, KIND, record, ...)                                                                           \
    (record##_put(world_body(w), &(struct record){__VA_ARGS__}), world_add(w, who, KIND, bytes_of_buf(&(w)->body)))
/* Processes, finalizes and commits what was added; checks supply and root. Returns the first code that is not ERR_OK.
 */
enum err world_block(struct world *w);
/* Adds and makes a block at once; its code. */
enum err world_do(struct world *w, unsigned who, enum tx_kind kind, struct bytes body);
#define WORLD_DO(w, who, KIND, record, ...)                                                                            \
    (record##_put(world_body(w), &(struct record){__VA_ARGS__}), world_do(w, who, KIND, bytes_of_buf(&(w)->body)))
/* The scratch buffer for a body, emptied. */
struct buf *world_body(struct world *w);

uint64_t world_balance(const struct world *w, unsigned who);
/* The n-th event of a kind in the last block, or NULL. */
const struct ledger_event *world_event(const struct world *w, enum ledger_event_kind kind, unsigned n);

/* Full scan: every record decodes and re-encodes, the pots hold what the records say, and balances + locked + funds +
 * burned = genesis + issued. */
void supply_check(struct kv *kv);

#endif
