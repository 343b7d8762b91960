/* Genesis: who holds what when a chain begins, and the parameters that it runs under. The chain's id is the
 * hash of the canonical record, so two chains that differ in anything have different ids.
 *
 * As a file it is JSON:
 *   {"version":5,"name":"kith-dev","prefix":"kithdev","time_ms":0,
 *    "params":{"fee_byte":"1000",...},                       amounts are decimal strings of mote; what is absent is
 *    "accounts":[{"key":"<hex64>","amount":"1000000000"}],   the private network's value
 *    "validators":[{"key":"<hex64>","amount":"1000000000"}]}
 */
#ifndef KITH_CHAIN_GENESIS_H
#define KITH_CHAIN_GENESIS_H

#include "base/codec.h"

#define GENESIS_VERSION      5        /* of the rules, too: another where a record or a rule of the ledger changes */
#define GENESIS_ACCOUNTS_MAX 100000   /* a genesis file of about 10 MiB */
#define GENESIS_STAKE_LEAST  1000000u /* mote: one unit of voting power, so that every validator has some */

/* Times are milliseconds of the ledger's clock (apply_clock.c), bps are of BPS_ALL. */
#define PARAMS_FIELDS(F)                                                                                               \
    F(amount, fee_byte)       /* least price of a transaction's byte... */                                             \
    F(amount, fee_work)       /* ...and per unit of work */                                                            \
    F(u16, fee_change_bps)    /* how much both change at most from block to block; 0: never */                         \
    F(u16, fee_burn_bps)      /* of a fee; the rest is the proposer's */                                               \
    F(u16, settle_burn_bps)   /* of a settled amount */                                                                \
    F(u16, audit_bps)         /* of a settled amount, to the audit fund */                                             \
    F(u16, royalty_max_bps)   /* of a settled amount: what a publisher may ask at most... */                           \
    F(u16, royalty_floor_bps) /* ...and at least, where parents are owed a share */                                    \
    F(u16, overlap_bps)       /* of a model's tensors: more than this from one earlier model make it a parent */       \
    F(amount, model_bond)     /* locked by a publish... */                                                             \
    F(u64, model_bond_ms)     /* ...for this long */                                                                   \
    F(amount, validator_bond_min)                                                                                      \
    F(amount, provider_bond_min)                                                                                       \
    F(amount, auditor_bond_min)                                                                                        \
    F(u64, unbonding_ms)          /* a withdrawn bond answers this long */                                             \
    F(u64, dispute_ms)            /* between a payer's close and the return of the rest */                             \
    F(u64, audit_window_ms)       /* between a draw and the payout without a verdict */                                \
    F(u64, audit_reveal_ms)       /* between the commitments and a decision without reveals */                         \
    F(u64, fault_window_ms)       /* a second mismatch within it is slashed; full audit lasts as long */               \
    F(u64, keep_ms)               /* a finished settlement's record stays this long */                                 \
    F(u8, audits_per_settlement)  /* receipts drawn... */                                                              \
    F(u8, audits_full)            /* ...and where the owner is under full audit */                                     \
    F(u16, slash_bps)             /* of the provider bond */                                                           \
    F(u16, slash_auditor_bps)     /* of what was slashed, to who proved it; the rest burns */                          \
    F(u16, audit_slash_bps)       /* of the bond of an auditor that the decision finds wrong */                        \
    F(amount, challenge_bond)     /* locked by who challenges a receipt */                                             \
    F(u16, evidence_slash_bps)    /* of a validator's stake, for each height in which it contradicted itself */        \
    F(u16, evidence_reporter_bps) /* of that, to who reports it; the rest burns */                                     \
    F(u64, audit_epoch_ms)        /* verdicts are counted over it, and slashing pauses for it... */                    \
    F(u16, pause_bps)             /* ...where more than this of them are mismatches, of several owners */              \
    F(amount, grant_bond)         /* locked by who releases a data key, until the dispute window is over */            \
    F(u64, grant_release_ms)      /* between a grant and its refund without a key */                                   \
    F(u64, grant_dispute_ms)      /* between a key's release and its payment */                                        \
    F(amount, issue_block)        /* new money for the proposer of a block with transactions... */                     \
    F(u64, issue_halving)         /* ...which halves after this many blocks */                                         \
    F(u64, beacon_epoch)          /* blocks; a key of the beacon holds two of these after it was registered */         \
    F(u64, claim_blocks)          /* a publication is claimed so many blocks ahead; 0: it needs no claim */            \
    F(u64, claim_ms)              /* a claim that is not used is forgotten after this long */                          \
    F(u64, gap_ms) /* without a block for longer, the chain stood still; heartbeats are half as far apart */
RECORD_DECLARE(params, PARAMS_FIELDS)
#define CODEC_TYPE_params struct params
RECORD_AS_FIELD(params)

/* An initial holder, or an initial validator with its stake. */
#define GENESIS_HOLDER_FIELDS(F) F(pubkey, key) F(amount, amount)
RECORD_DECLARE(genesis_holder, GENESIS_HOLDER_FIELDS)
#define GENESIS_HOLDER_SIZE 40

/* `accounts` and `validators`: genesis_holder one behind the other, ordered by key, no key twice. */
#define GENESIS_FIELDS(F)                                                                                              \
    F(u16, version)                                                                                                    \
    F(text64, name)                                                                                                    \
    F(text64, prefix)                                                                                                  \
    F(u64, time_ms)                                                                                                    \
    F(params, params)                                                                                                  \
    F(blob, accounts)                                                                                                  \
    F(blob, validators)
RECORD_DECLARE(genesis, GENESIS_FIELDS)

#define ADDRESS_PREFIX         "kith"    /* of a lasting network */
#define ADDRESS_PREFIX_PRIVATE "kithdev" /* of any other */

/* Values for a lasting network, and for a private one, whose windows are seconds. */
struct params params_default(void);
struct params params_private(void);
/* The longest that a settlement waits for its verdict, all committees and each to its last moment. */
uint64_t params_verdict_ms(const struct params *p);
/* The same of a doubt. */
uint64_t params_doubt_ms(const struct params *p);
/* The least that a bond must answer for: a doubt about what was said last, begun within a window from then. */
uint64_t params_answer_ms(const struct params *p);
/* Refused with a note where a share is over the whole, a count over its limit, shares leave nothing, or a withdrawn
 * bond is back before the verdict. */
enum err params_check(const struct params *p, struct note *note) MUST_USE;

uint32_t genesis_holders(struct bytes list);
struct genesis_holder genesis_holder_at(struct bytes list, uint32_t i);
/* Sorts them and appends the list. ERR_DUPLICATE for a key twice. */
enum err genesis_list(struct genesis_holder *holders, size_t n, struct buf *out, struct note *note) MUST_USE;

/* Version, params, lists in order, at least one validator over its minimum, valid keys, and a supply that fits. */
enum err genesis_check(const struct genesis *g, struct note *note) MUST_USE;
struct hash genesis_chain_id(const struct genesis *g);

/* Reads the JSON form; `room` holds what *g borrows, for as long as *g is used. */
enum err genesis_parse(struct bytes json, struct genesis *g, struct buf *room, struct note *note) MUST_USE;
/* Appends the JSON form, one field a line. */
void genesis_print(const struct genesis *g, struct buf *out);
enum err genesis_read(const char *path, struct genesis *g, struct buf *room, struct note *note) MUST_USE;
enum err genesis_write(const char *path, const struct genesis *g, struct note *note) MUST_USE;

#endif
