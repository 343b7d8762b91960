/* What validators sign: votes and proposals.
 *
 * A prevote carries the valid round of the proposal that it answers (VOTE_NO_ROUND where there is none), and
 * a quorum of prevotes is one of equal (value, valid round): two prevotes of one round that differ only
 * there are equivocation, and after a fork the quorums that were kept name who is to blame.
 *
 * Signed is H[kith.vote](chain | all fields but index and signature), H[kith.proposal](...) likewise: the
 * index is only where to look for the key.
 */
#ifndef KITH_CHAIN_VOTE_H
#define KITH_CHAIN_VOTE_H

#include "base/codec.h"

enum vote_kind { VOTE_PREVOTE = 1, VOTE_PRECOMMIT = 2 };
#define VOTE_NO_ROUND UINT32_MAX /* valid_round of what was never valid before */

/* value: a block's id, zero for nil. valid_round is VOTE_NO_ROUND in precommits and for nil. */
#define VOTE_FIELDS(F)                                                                                                 \
    F(u8, kind) F(u64, height) F(u32, round) F(hash, value) F(u32, valid_round) F(u16, index) F(sig, sig)
RECORD_DECLARE(vote, VOTE_FIELDS)
#define CODEC_TYPE_vote struct vote
RECORD_AS_FIELD(vote)

#define PROPOSAL_FIELDS(F) F(u64, height) F(u32, round) F(u32, valid_round) F(hash, value) F(u16, index) F(sig, sig)
RECORD_DECLARE(proposal, PROPOSAL_FIELDS)
#define CODEC_TYPE_proposal struct proposal
RECORD_AS_FIELD(proposal)

/* The hash that is signed. */
struct hash vote_hash(const struct vote *v, const struct hash *chain);
struct hash proposal_hash(const struct proposal *p, const struct hash *chain);
/* Fields within their ranges; total over anything that decodes. */
bool vote_is_sane(const struct vote *v) MUST_USE;
bool proposal_is_sane(const struct proposal *p) MUST_USE;
bool vote_verify(const struct vote *v, const struct hash *chain, const struct pubkey *key) MUST_USE;
bool proposal_verify(const struct proposal *p, const struct hash *chain, const struct pubkey *key) MUST_USE;
/* A whole message, every byte used and sane. */
bool vote_decode(struct bytes raw, struct vote *v) MUST_USE;

#endif
