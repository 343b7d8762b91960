/* What happened to each account, for people: an entry for each transaction that it signed and for each event that
 * moved its money. The ledger's state holds balances and not how they came about; this is an index beside it.
 *
 * Entries are written in the batch of their block, so a kill loses none and doubles none. They begin with the first
 * block that this node applied with its history switched on; the first height is kept, so that a part is never taken
 * for the whole. New money and fees that a proposer earns are not among them: they are an entry a block.
 *
 * In the store, newest first under each account:
 *
 *     'h' account | 2^64 - 1 - height | 2^32 - 1 - place in the block   (big-endian) -> history_entry
 *     'h'                                                               -> history_span
 */
#ifndef KITH_NODE_HISTORY_H
#define KITH_NODE_HISTORY_H

#include "chain/ledger.h"
#include "node/consensus/consensus.h"

/* Numbers stand in stores and are never reused; so do those of tx_kind and payout_reason. `sign`: what `amount` does to
 * the account's balance; of a transaction it says what the body moved if it took effect, its fee not counted.
 * number, name, sign, text for the API */
#define HISTORY_LIST(H)                                                                                                \
    H(1, TX, 0, "tx")                  /* signed a transaction; code: tx_kind */                                       \
    H(2, RECEIVED, 1, "received")      /* a transfer; other: from */                                                   \
    H(3, PAYOUT, 1, "payout")          /* subject: model or data set; code: payout_reason */                           \
    H(4, CHANNEL_REST, 1, "rest")      /* what a channel did not use; other: provider node; subject: model */          \
    H(5, FORFEITED, 1, "refund")       /* of a settlement that failed its audit; other: provider node */               \
    H(6, SLASHED, 0, "slashed")        /* out of a bond; code: bond_role */                                            \
    H(7, BOND_RETURNED, 1, "unbonded") /* code: bond_role */                                                           \
    H(8, GRANT_PAID, 1, "grant paid")  /* for access to data; subject: data set; other: buyer */                       \
    H(9, GRANT_BACK, 1, "grant back")  /* the key did not come, or did not open it; other: seller */                   \
    H(10, BOUNTY_PAID, 1, "bounty")    /* subject: what was accepted; other: poster */                                 \
    H(11, BOUNTY_BACK, 1, "bounty back")
enum history_what {
#define H(number, name, sign, text) HISTORY_##name = number,
    HISTORY_LIST(H)
#undef H
};
const char *history_text(uint8_t what);

#define HISTORY_ENTRY_FIELDS(F)                                                                                        \
    F(u8, what)                                                                                                        \
    F(u8, code)                                                                                                        \
    F(u64, time_ms) /* of the block */                                                                                 \
    F(u64, height)                                                                                                     \
    F(u32, place)  /* in the block, among all entries */                                                               \
    F(u32, result) /* of a transaction: enum err */                                                                    \
    F(hash, tx)    /* zero: by itself */                                                                               \
    F(amount, amount)                                                                                                  \
    F(amount, fee)                                                                                                     \
    F(hash, subject)                                                                                                   \
    F(pubkey, other)                                                                                                   \
    F(text64, memo)
RECORD_DECLARE(history_entry, HISTORY_ENTRY_FIELDS)

/* Entries are complete from `from` to `to`. */
#define HISTORY_SPAN_FIELDS(F) F(u64, from) F(u64, to)
RECORD_DECLARE(history_span, HISTORY_SPAN_FIELDS)

struct history;
/* `height`: the ledger's. Entries of blocks before a gap stay, and history_from says where they are complete from. */
enum err history_open(struct kv *kv, uint64_t height, struct history **out, struct note *note) MUST_USE;
void history_close(struct history *h);
/* The first height from which on every block is in it. */
uint64_t history_from(const struct history *h);
/* A consensus_store_fn. */
void history_store(void *history, const struct consensus_block *block, struct kv_batch *batch);

/* Where a page begins: {UINT64_MAX, UINT32_MAX} is the newest; behind an entry: its height and place, which are then
 * excluded. */
struct history_place {
    uint64_t height;
    uint32_t place;
};
/* Up to n entries of the account before `before`, newest first, into out[]; *count says how many. */
enum err history_read(const struct history *h, const struct pubkey *account, struct history_place before,
                      struct history_entry *out, uint32_t n, uint32_t *count, struct note *note) MUST_USE;

#endif
