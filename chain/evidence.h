/* Proof that a validator signed two things that the protocol never lets it sign both:
 *
 *   - two votes of one kind and round, or two proposals of one round, for different (value, valid round);
 *   - amnesia: a precommit for a value in a round, and in a later one a prevote for a value whose valid round
 *     lies before the first.
 *
 * Whoever precommits is locked, and prevotes only what had a quorum in the round of its lock or later.
 *
 * It stands by itself: two signatures of one key, no set of validators, no other message. An honest validator's signer
 * (signer.h) refuses to make the second of any such pair, so nobody can be framed.
 *
 * A pair has one encoding: `a` is the lesser of the two by (round, kind, value, valid round).
 */
#ifndef KITH_CHAIN_EVIDENCE_H
#define KITH_CHAIN_EVIDENCE_H

#include "chain/vote.h"

/* kind: a vote_kind, or this for a proposal. */
#define EVIDENCE_PROPOSAL       3
#define EVIDENCE_PART_FIELDS(F) F(u8, kind) F(u32, round) F(hash, value) F(u32, valid_round) F(sig, sig)
RECORD_DECLARE(evidence_part, EVIDENCE_PART_FIELDS)
#define CODEC_TYPE_evidence_part struct evidence_part
RECORD_AS_FIELD(evidence_part)

#define EVIDENCE_FIELDS(F) F(pubkey, validator) F(u64, height) F(evidence_part, a) F(evidence_part, b)
RECORD_DECLARE(evidence, EVIDENCE_FIELDS)
#define CODEC_TYPE_evidence struct evidence
RECORD_AS_FIELD(evidence)

/* From two messages of one validator and height, in either order; false if they do not contradict. */
bool evidence_of_votes(const struct pubkey *validator, const struct vote *x, const struct vote *y,
                       struct evidence *out) MUST_USE;
bool evidence_of_proposals(const struct pubkey *validator, const struct proposal *x, const struct proposal *y,
                           struct evidence *out) MUST_USE;
/* What was done, in a few words. */
const char *evidence_text(const struct evidence *e);
/* In order, within ranges, contradicting: everything but the signatures. */
bool evidence_is_sane(const struct evidence *e) MUST_USE;
/* A whole message, every byte used, and sane. */
bool evidence_decode(struct bytes raw, struct evidence *e) MUST_USE;
/* Sane, and the validator signed both on this chain. */
bool evidence_verify(const struct evidence *e, const struct hash *chain) MUST_USE;

#endif
