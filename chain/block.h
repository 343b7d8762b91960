/* Blocks: header, transactions, and the commit that decided one.
 *
 * Id of a block = H[kith.header](encoding of its header). The header fixes everything: the transactions by the
 * root of a binary tree over them, the state that the PREVIOUS block left, the validators of this height and
 * the next, and the rotation of proposers.
 *
 * The beacon: each block carries the proof of its maker's random function (base/vrf.h) over (chain, height, beacon),
 * and the beacon of the next height is H[kith.beacon](beacon | output). The value is its maker's, whoever proposes the
 * block again: the header names maker and round, the maker must be the proposer of that round, and a block may be
 * proposed as new in that round alone. So a validator has one value a height and cannot choose among others'. While a
 * maker has no key that holds, there is no proof and the next beacon is H[kith.beacon](beacon).
 */
#ifndef KITH_CHAIN_BLOCK_H
#define KITH_CHAIN_BLOCK_H

#include "base/vrf.h"
#include "chain/valset.h"
#include "chain/vote.h"

#define BLOCK_VERSION 1

#define HEADER_FIELDS(F)                                                                                               \
    F(u16, version)                                                                                                    \
    F(hash, chain)                                                                                                     \
    F(u64, height)                                                                                                     \
    F(u64, time_ms)                                                                                                    \
    F(u32, round)       /* in which it was made... */                                                                  \
    F(pubkey, proposer) /* ...by the proposer of that round; whoever proposes it again changes nothing */              \
    F(hash, prev)       /* id of the block before; zero at height 1 */                                                 \
    F(hash, txs)                                                                                                       \
    F(u32, txs_n)                                                                                                      \
    F(hash, state)           /* root after the block before */                                                         \
    F(hash, validators)      /* valset_hash of this height... */                                                       \
    F(hash, next_validators) /* ...and of the next */                                                                  \
    F(hash, rotation)        /* valset_rotation_hash of this height */                                                 \
    F(hash, beacon)                                                                                                    \
    F(vrf_proof, proof) /* over block_beacon_input, zero where the maker has no key */
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
#define BLOCK_BEACON_INPUT_SIZE 72
/* What the maker of a block proves its random function over. */
void block_beacon_input(const struct header *h, uint8_t out[BLOCK_BEACON_INPUT_SIZE]);
/* The beacon of height 1, and the one behind a block whose proof was checked. */
struct hash block_beacon_first(const struct hash *chain);
struct hash block_beacon_next(const struct header *h);
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
/* Everything of the header but its transactions' meaning, the proof and the clock. ERR_PROTOCOL, or ERR_CHAIN. The
 * caller has bounded its round: whose turn it was costs as many steps. */
enum err block_check(const struct header *h, const struct block_context *x, struct note *note) MUST_USE;

/* The proof against the key that holds for the maker at this height; NULL: none does. ERR_AUTH. */
enum err block_check_proof(const struct header *h, const struct vrf_public *key, struct note *note) MUST_USE;

enum err commit_decode(struct bytes raw, struct commit *c) MUST_USE;
/* The signatures of more than two thirds of the power of `s` on this block. */
enum err commit_verify(const struct commit *c, const struct hash *chain, uint64_t height, const struct hash *id,
                       const struct valset *s, struct note *note) MUST_USE;

#endif
