/* Blocks: header, transactions, and the commit that decided one.
 *
 * Id of a block = H[kith.header](encoding of its header). The header fixes everything: the transactions by the
 * root of a binary tree over them, the state that the PREVIOUS block left, the validators of this height and
 * the next, and the rotation of proposers.
 *
 * The beacon of a height is H[kith.beacon](beacon of the block before | id of the block before): everybody
 * checks it, nobody knows it before that block is decided.
 */
#ifndef KITH_CHAIN_BLOCK_H
#define KITH_CHAIN_BLOCK_H

#include "chain/valset.h"
#include "chain/vote.h"

#define BLOCK_VERSION 1

#define HEADER_FIELDS(F)                                                                                               \
    F(u16, version)                                                                                                    \
    F(hash, chain)                                                                                                     \
    F(u64, height)                                                                                                     \
    F(u64, time_ms)                                                                                                    \
    F(pubkey, proposer) /* who made it; whoever proposes it again changes nothing */                                   \
    F(hash, prev)       /* id of the block before; zero at height 1 */                                                 \
    F(hash, txs)                                                                                                       \
    F(u32, txs_n)                                                                                                      \
    F(hash, state)           /* root after the block before */                                                         \
    F(hash, validators)      /* valset_hash of this height... */                                                       \
    F(hash, next_validators) /* ...and of the next */                                                                  \
    F(hash, rotation)        /* valset_rotation_hash of this height */                                                 \
    F(hash, beacon)
RECORD_DECLARE(header, HEADER_FIELDS)
#define CODEC_TYPE_header struct header
RECORD_AS_FIELD(header)

/* txs: header.txs_n transactions, each with its length (u32) in front. */
#define BLOCK_FIELDS(F) F(header, header) F(blob, txs)
RECORD_DECLARE(block, BLOCK_FIELDS)

/* A quorum of precommits. sigs: commit_sig one behind the other, ordered by index. */
#define COMMIT_FIELDS(F) F(u64, height) F(u32, round) F(hash, value) F(blob, sigs)
RECORD_DECLARE(commit, COMMIT_FIELDS)
#define COMMIT_SIG_FIELDS(F) F(u16, index) F(sig, sig)
RECORD_DECLARE(commit_sig, COMMIT_SIG_FIELDS)
#define COMMIT_SIG_SIZE 66

struct hash block_id(const struct header *h);
struct hash block_beacon(const struct hash *prev_beacon, const struct hash *prev_id);
/* Root over the transactions: leaves H[kith.txs](0 | bytes), inner nodes H[kith.txs](1 | left | right), a node without
 * a partner rises unchanged, zero for none. */
struct hash block_txs_root(const struct bytes *txs, uint32_t n);

/* Decodes the whole of `raw`, with all transactions within their bounds and header.txs their root.
 * *b and txs borrow from `raw`. `txs` has room for BLOCK_TXS_MAX. Nothing is said of the chain yet. */
enum err block_decode(struct bytes raw, struct block *b, struct bytes *txs, struct note *note) MUST_USE;
/* Appends the encoding of the list for block.txs. */
void block_put_txs(struct buf *out, const struct bytes *txs, uint32_t n);

/* What a header must agree with, known before the block is. */
struct block_context {
    struct hash chain;
    uint64_t height;       /* of the block */
    uint64_t prev_time_ms; /* its own must be later */
    struct hash prev;
    struct hash state;
    struct hash beacon;
    const struct valset *validators;
    const struct valset *next_validators;
};
/* Everything of the header but its transactions' meaning and the clock. ERR_PROTOCOL, or ERR_CHAIN. */
enum err block_check(const struct header *h, const struct block_context *x, struct note *note) MUST_USE;

enum err commit_decode(struct bytes raw, struct commit *c) MUST_USE;
/* The signatures of more than two thirds of the power of `s` on this block. */
enum err commit_verify(const struct commit *c, const struct hash *chain, uint64_t height, const struct hash *id,
                       const struct valset *s, struct note *note) MUST_USE;

#endif
