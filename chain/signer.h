/* What a validator remembers of what it signed, so that it never signs two things that contradict.
 *
 * Invariants: (height, round, step) of what is signed never falls; for the same step the same content gets
 * the same bytes and other content is refused. A signature may leave only after the record that
 * knows of it is stored and synced: the caller stores signer_put's bytes whenever `fresh` is set.
 *
 * The lock is kept with it: the round and value of the last precommit for a value in this height. A
 * validator that comes back without the memory of its lock must not vote in that height.
 *
 * As a file it is two slots, written in turn, each of two equal copies with a sequence number and a checksum: a write
 * that is torn leaves the other slot, and what was signed by the torn one never left. It also leaves one whole copy,
 * the old or the new, in its own slot; so a slot without a whole copy was damaged later, may hold what was signed last,
 * and nothing is signed any more. Damage to one copy is repaired by the other.
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

#define SIGNER_COPY_SIZE 256
#define SIGNER_SLOT_SIZE (2 * SIGNER_COPY_SIZE) /* a disk's sector */
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
/* The newest of the copies; ERR_CORRUPT if a slot has none that is whole, ERR_FORMAT for another size. */
enum err signer_get_file(struct signer *s, struct bytes file) MUST_USE;
/* Makes the copies of each slot equal again, so that the next tear or damage finds two; true if the file changed and is
 * to be written. The write may be torn, too. */
bool signer_mend_file(uint8_t file[SIGNER_FILE_SIZE]) MUST_USE;
/* A new file: this record, as the first. */
void signer_make_file(struct signer *s, uint8_t file[SIGNER_FILE_SIZE]);

#endif
