/* What a validator remembers of what it signed, so that it never signs two things that contradict.
 *
 * Invariants: (height, round, step) of what is signed never falls; for the same step the same content gets
 * the same bytes and other content is refused. A signature may leave only after the record that
 * knows of it is stored and synced: the caller stores signer_put's bytes whenever `fresh` is set.
 *
 * The lock is kept with it: the round and value of the last precommit for a value in this height. A
 * validator that comes back without the memory of its lock must not vote in that height.
 *
 * As a file it is two slots, written in turn, each with a sequence number and a checksum: a write that
 * is torn leaves the other slot, and what was signed by the torn one never left.
 */
#ifndef KITH_CHAIN_SIGNER_H
#define KITH_CHAIN_SIGNER_H

#include "chain/vote.h"

enum signer_step { SIGNER_NONE, SIGNER_PROPOSAL, SIGNER_PREVOTE, SIGNER_PRECOMMIT };

#define SIGNER_FIELDS(F)                                                                                               \
    F(u64, sequence)                                                                                                   \
    F(u64, height)                                                                                                     \
    F(u32, round)                                                                                                      \
    F(u8, step)                                                                                                        \
    F(hash, content) /* the hash that was signed last... */                                                            \
    F(sig, sig)      /* ...and the signature */                                                                        \
    F(u64, locked_height)                                                                                              \
    F(u32, locked_round) /* VOTE_NO_ROUND: no lock in locked_height */                                                 \
    F(hash, locked_value)
RECORD_DECLARE(signer, SIGNER_FIELDS)

#define SIGNER_SLOT_SIZE 512 /* a disk's sector */
#define SIGNER_FILE_SIZE (2 * SIGNER_SLOT_SIZE)

/* Nothing signed, nothing may be signed below `height`. */
void signer_init(struct signer *s, uint64_t height);
/* Signs in place; `fresh` says whether *s changed and must be stored. ERR_STATE: it would regress, contradict, or
 * forget the lock. */
enum err signer_sign_vote(struct signer *s, const struct seckey *key, const struct hash *chain, struct vote *v,
                          bool *fresh) MUST_USE;
enum err signer_sign_proposal(struct signer *s, const struct seckey *key, const struct hash *chain, struct proposal *p,
                              bool *fresh) MUST_USE;
/* The slot's bytes and where in the file they belong. */
uint64_t signer_put_slot(const struct signer *s, uint8_t slot[SIGNER_SLOT_SIZE]);
/* The newer of the whole slots; ERR_CORRUPT if neither is, ERR_FORMAT for another size. */
enum err signer_get_file(struct signer *s, struct bytes file) MUST_USE;

#endif
