/* A ledger to test with: a store in memory, a handful of keys with money, blocks on demand, and a check of
 * the supply by a full scan of the store after every block. */
#ifndef KITH_TESTS_WORLD_H
#define KITH_TESTS_WORLD_H

#include "base/merkle.h"
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
    bool unjudged;    /* blocks are applied that nobody honest would vote for */
    /* of the block being filled, then of the last one */
    struct buf txs[WORLD_TXS];
    uint32_t n;
    const struct ledger_result *result;
    struct buf body;
    struct hash last_id; /* of the last transaction added */
};

/* Params may be NULL for the private network's. Free with world_free. */
struct world *world_new(const struct params *params);
/* The same with another sum than WORLD_FUND. */
struct world *world_new_rich(const struct params *params, uint64_t fund);
void world_free(struct world *w);
/* Closes the ledger and opens it again over the same store. */
void world_reopen(struct world *w);

/* Adds a transaction of key `who` to the next block, with the least fee, the next nonce, and the signatures that the
 * account asks for. */
void world_add(struct world *w, unsigned who, enum tx_kind kind, struct bytes body);
/* Adds bytes that are a transaction already. */
void world_add_raw(struct world *w, struct bytes raw);
#define WORLD_ADD(w, who, KIND, record, ...)                                                                           \
    (record##_put(world_body(w), &(struct record){__VA_ARGS__}), world_add(w, who, KIND, bytes_of_buf(&(w)->body)))
/* Processes, finalizes and commits what was added; checks supply and root. Returns the first code that is not ERR_OK.
 */
enum err world_block(struct world *w);
/* A block with the claim of this publication, and empty ones until the next may hold it. */
void world_claim(struct world *w, unsigned who, enum tx_kind kind, struct bytes body);
/* Adds and makes a block at once; its code. A publication is claimed first. */
enum err world_do(struct world *w, unsigned who, enum tx_kind kind, struct bytes body);
#define WORLD_DO(w, who, KIND, record, ...)                                                                            \
    (record##_put(world_body(w), &(struct record){__VA_ARGS__}), world_do(w, who, KIND, bytes_of_buf(&(w)->body)))
/* The scratch buffer for a body, emptied. */
struct buf *world_body(struct world *w);

uint64_t world_balance(const struct world *w, unsigned who);
/* The n-th event of a kind in the last block, or NULL. */
const struct ledger_event *world_event(const struct world *w, enum ledger_event_kind kind, unsigned n);

/* -- the market's first steps, each in a block of its own; their code -- */

/* A root of 32 equal bytes. */
struct hash world_root(uint8_t b);
/* Publishes world_root(b) with one tensor, world_root(b) again. `lineage` may be NULL. */
enum err world_publish(struct world *w, unsigned who, uint8_t b, uint16_t royalty_bps, uint16_t derive_bps,
                       const struct lineage_entry *lineage, unsigned lineage_n);
enum err world_contribute(struct world *w, unsigned who, uint8_t b, bool train, uint16_t share_bps);
/* Key `node` serves model b for key `owner`. */
enum err world_provide(struct world *w, unsigned owner, unsigned node, uint8_t b, bool audits);

/* A channel as both sides see it: its receipts and the voucher over them. */
struct world_channel {
    struct hash id;
    unsigned payer, node;
    struct receipt receipts[32];
    struct sum_node leaves[32];
    uint32_t n;
};
enum err world_open(struct world *w, struct world_channel *c, unsigned payer, unsigned node, uint8_t b, uint64_t mote);
/* One more finished job of 10 tokens in, 20 out, at this price; its digest is a planted one. */
void world_job(struct world_channel *c, uint64_t price);
struct tx_channel_settle world_voucher(const struct world *w, const struct world_channel *c);
enum err world_settle(struct world *w, const struct world_channel *c);
/* What an auditor reveals of receipt `index`; `room` holds what it borrows. */
struct tx_audit_reveal world_audit(const struct world *w, const struct world_channel *c, const struct hash *settlement,
                                   uint32_t index, enum audit_verdict verdict, struct buf room[2]);
/* What shows that it was planted. */
struct tx_plant world_plant(const struct world *w, const struct world_channel *c, const struct hash *settlement,
                            uint32_t index, struct buf room[2]);
/* Each in a block of its own; the last is both, one after the other. */
enum err world_commit(struct world *w, unsigned who, const struct tx_audit_reveal *r);
enum err world_reveal(struct world *w, unsigned who, const struct tx_audit_reveal *r);
enum err world_verdict(struct world *w, unsigned who, const struct tx_audit_reveal *r);
/* Empty blocks until what was just settled is drawn. */
void world_draw(struct world *w);
/* Empty blocks, each when something is due, until so much time has passed: as on a chain where nothing else happens. */
void world_wait(struct world *w, uint64_t ms);
/* Empty blocks until the settlement waits for somebody, or is over; its state. */
enum settlement_state world_settled(struct world *w, const struct hash *settlement);

/* A data set for sale: three leaves, the last one short, under one key. */
#define WORLD_DATA_LEAVES 3
struct world_data {
    uint8_t key[32];
    uint8_t plain[2 * LEAF_SIZE + 777], cipher[2 * LEAF_SIZE + 777];
    struct merkle_tree *plain_tree, *cipher_tree;
};
void world_data_new(struct world_data *d, uint8_t seed);
void world_data_clear(struct world_data *d);
struct tx_data_contribute world_data_body(const struct world_data *d, uint64_t price);
/* The dispute of leaf i, as it is on the ledger, but for grant and secret; `room` holds its proofs. */
struct tx_data_dispute world_dispute(const struct world_data *d, uint64_t i, struct hash room[2][LEAF_PROOF_MAX]);

/* Full scan: every record decodes and re-encodes, the pots hold what the records say, and balances + locked + funds +
 * burned = genesis + issued. */
void supply_check(struct kv *kv);

#endif
