/* What payer and provider sign towards each other, and how the ledger reads it: vouchers, steps,
 * receipts and the Merkle-sum tree over a channel's receipts. Pure; shared by the ledger and the market.
 *
 * One leaf a job, in the order in which the jobs began; a job that still runs has a leaf too (stop =
 * RECEIPT_OPEN) that grows with each voucher. Every node carries the sums below it:
 *
 *     leaf   = H[kith.sum]("leaf" | receipt hash | amount | in | out)
 *     node   = H[kith.sum]("node" | left hash | amount | in | out | right hash | amount | in | out)
 *     root   = H[kith.sum]("root" | top hash | amount | in | out | count as u32)
 *
 * with amount, in and out as u64 little-endian; a node without a partner rises unchanged; an empty tree
 * has a zero top. The root is what a voucher signs as receipts_root, with the same sums as its own
 * cumulative amount and token counts, so the ledger sees that they agree from the top hash alone.
 *
 * A data set that is sold is a blob (base/merkle.h) encrypted leaf by leaf under one key of 32 bytes:
 *
 *     cipher leaf i = XChaCha20(key, i) over the plain leaf                (seal_stream); their tree has the cipher
 * root plain leaf i  = H[kith.data](H[kith.data, key](i) | plain leaf)      their tree has the plain root
 *
 * so one leaf shows whether a key opens what the roots promise, and a plain hash tells nothing to who guesses at
 * the plain bytes.
 */
#ifndef KITH_CHAIN_MARKET_RECORDS_H
#define KITH_CHAIN_MARKET_RECORDS_H

#include "base/codec.h"

/* A payer's promise: everything owed in this channel so far. Signed by the payer's key. */
#define VOUCHER_FIELDS(F)                                                                                              \
    F(hash, chain)                                                                                                     \
    F(hash, channel)                                                                                                   \
    F(amount, cumulative)                                                                                              \
    F(u64, tokens_in)                                                                                                  \
    F(u64, tokens_out)                                                                                                 \
    F(u32, receipts)                                                                                                   \
    F(hash, receipts_root)
RECORD_DECLARE(voucher, VOUCHER_FIELDS)
#define CODEC_TYPE_voucher struct voucher
RECORD_AS_FIELD(voucher)

struct hash voucher_hash(const struct voucher *v); /* H[kith.voucher](encoding): what is signed */
void voucher_sign(const struct voucher *v, const struct seckey *payer, struct sig *out);
bool voucher_verify(const struct voucher *v, const struct pubkey *payer, const struct sig *sig) MUST_USE;

/* One job of a channel. The commitments are H[kith.commit](salt of 32 bytes | content). */
#define RECEIPT_FIELDS(F)                                                                                              \
    F(hash, job)                                                                                                       \
    F(hash, channel)                                                                                                   \
    F(hash, request_commit)                                                                                            \
    F(hash, answer_commit)                                                                                             \
    F(hash, digest_commit)                                                                                             \
    F(u32, tokens_in)                                                                                                  \
    F(u32, tokens_out)                                                                                                 \
    F(amount, price)                                                                                                   \
    F(u8, stop)
RECORD_DECLARE(receipt, RECEIPT_FIELDS)
#define CODEC_TYPE_receipt struct receipt
RECORD_AS_FIELD(receipt)
#define RECEIPT_OPEN 255 /* stop: the job still runs */

/* A receipt with the provider's signature over receipt_hash. */
#define SIGNED_RECEIPT_FIELDS(F) F(receipt, receipt) F(sig, sig)
RECORD_DECLARE(signed_receipt, SIGNED_RECEIPT_FIELDS)
#define CODEC_TYPE_signed_receipt struct signed_receipt
RECORD_AS_FIELD(signed_receipt)

struct hash receipt_hash(const struct receipt *r); /* H[kith.receipt](encoding) */
void receipt_sign(const struct receipt *r, const struct seckey *node, struct sig *out);
bool receipt_verify(const struct receipt *r, const struct pubkey *node, const struct sig *sig) MUST_USE;
/* H[kith.plant](secret): in the place of a digest of hidden states, and surely none. */
struct hash plant_digest(const struct hash *secret);
struct hash receipt_commit(const uint8_t salt[32], struct bytes content);

/* The hash of plain leaf i of a data set under `key`, salted by it. */
struct hash data_leaf_hash(const uint8_t key[32], uint64_t i, const void *plain, size_t n);

/* A node of the tree with its sums. As a record: the siblings of a proof, one behind the other. */
#define SUM_NODE_FIELDS(F) F(hash, hash) F(amount, amount) F(u64, tokens_in) F(u64, tokens_out)
RECORD_DECLARE(sum_node, SUM_NODE_FIELDS)
#define SUM_NODE_SIZE 56

struct sum_node sum_leaf(const struct receipt *r);
/* False if a sum overflows. */
bool sum_join(struct sum_node *out, const struct sum_node *left, const struct sum_node *right) MUST_USE;
struct hash sum_root(const struct sum_node *top, uint32_t count);

/* The tree over n leaves (n <= RECEIPTS_MAX); *top zero for none. False if a sum overflows. */
bool sum_tree_top(const struct sum_node *leaves, uint32_t n, struct sum_node *top) MUST_USE;
/* Appends the encoded siblings of leaf i, from the leaf upwards. False if i >= n or a sum overflows. */
bool sum_tree_prove(const struct sum_node *leaves, uint32_t n, uint32_t i, struct buf *proof) MUST_USE;
/* True if `leaf` is number i of the `count` leaves under `root`. Total over hostile input. */
bool sum_tree_verify(const struct hash *root, uint32_t count, uint32_t i, const struct sum_node *leaf,
                     struct bytes proof) MUST_USE;

#endif
