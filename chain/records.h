/* The records of the authenticated state: what the ledger remembers, each under a logical key whose first
 * byte is its class. docs/ledger.md says what each is for; state.h reads and writes them. */
#ifndef KITH_CHAIN_RECORDS_H
#define KITH_CHAIN_RECORDS_H

#include "chain/tx.h"

/* byte, name, listed: whether the entries of the class can be walked in order of their keys (kept in an
 * index in memory). */
#define STATE_CLASS_LIST(C)                                                                                            \
    C('a', ACCOUNT, false)    /* pubkey -> rec_account */                                                              \
    C('b', BOND, true)        /* role, owner -> rec_bond */                                                            \
    C('c', CIPHER, false)     /* cipher root -> plain root of the data set */                                          \
    C('d', DATA, true)        /* plain root -> rec_data */                                                             \
    C('e', FEES, false)       /* -> rec_fees */                                                                        \
    C('f', FAULT, false)      /* owner -> rec_fault */                                                                 \
    C('g', GRANT, true)       /* grant -> rec_grant */                                                                 \
    C('h', CHANNEL, true)     /* channel -> rec_channel */                                                             \
    C('i', AUDITOR, true)     /* model, owner -> the owner's node that audits this model */                            \
    C('j', MARKS, false)      /* -> rec_marks */                                                                       \
    C('k', BEACON_KEY, false) /* validator -> rec_beacon_key */                                                        \
    C('l', RULE, false)       /* account -> rec_rule */                                                                \
    C('m', MODEL, true)       /* root -> rec_model */                                                                  \
    C('n', NAME, false)       /* H[kith.statekey](name) -> root of the newest model with it */                         \
    C('o', OFFER, true)       /* H[kith.statekey](bounty | root) -> rec_offer */                                       \
    C('p', PROVIDER, true)    /* node -> rec_provider */                                                               \
    C('q', DUE, true)         /* time (big-endian), kind, id -> rec_due */                                             \
    C('r', PARAMS, false)     /* -> params */                                                                          \
    C('s', SETTLEMENT, true)  /* settlement -> rec_settlement */                                                       \
    C('t', TENSOR, false)     /* tensor root -> root of the model that registered it first */                          \
    C('u', UNBONDING, true)   /* role, owner, id -> rec_unbonding */                                                   \
    C('v', TOTALS, false)     /* -> rec_totals */                                                                      \
    C('w', DRAW, true)        /* height (big-endian), settlement -> nothing: draws to be made */                       \
    C('x', EPOCH, false)      /* -> rec_epoch */                                                                       \
    C('y', BOUNTY, true)      /* bounty -> rec_bounty */                                                               \
    C('z', OFFICE, true)      /* validator -> rec_office */                                                            \
    C('C', CLAIM, false)      /* rec_claim_id -> rec_claim */                                                          \
    C('D', DOUBT, true)       /* rec_doubt_id -> rec_doubt */                                                          \
    C('S', STOOD, false)      /* -> rec_stood */                                                                       \
    C('Y', YOUNG, false)      /* -> rec_young */

enum state_class {
#define C(byte, name, listed) STATE_##name = byte,
    STATE_CLASS_LIST(C)
#undef C
};
/* The class of this name in either case ("account"), for questions from outside. */
bool state_class_find(const char *name, enum state_class *cls) MUST_USE;

/* k: how many keys of the account's rec_rule sign for it; 0: it has none. Here too, so that accounts without a rule
 * cost no second look. */
#define REC_ACCOUNT_FIELDS(F) F(amount, balance) F(u64, nonce) F(u8, k)
RECORD_DECLARE(rec_account, REC_ACCOUNT_FIELDS)

#define REC_RULE_FIELDS(F) F(u8, k) F(hashes, keys)
RECORD_DECLARE(rec_rule, REC_RULE_FIELDS)

#define REC_BOND_FIELDS(F) F(amount, amount)
RECORD_DECLARE(rec_bond, REC_BOND_FIELDS)

#define REC_UNBONDING_FIELDS(F) F(pubkey, owner) F(u8, role) F(amount, amount) F(u64, until_ms)
RECORD_DECLARE(rec_unbonding, REC_UNBONDING_FIELDS)

/* The key of a validator's random function, from a height on, and the one that takes its place from a later height;
 * a height of 0: none. */
#define REC_BEACON_KEY_FIELDS(F) F(vrf_public, key) F(u64, from_height) F(vrf_public, next) F(u64, next_from_height)
RECORD_DECLARE(rec_beacon_key, REC_BEACON_KEY_FIELDS)

/* A validator: its power in the set of the height after next, the heights that it was in office from and until (0:
 * still; an earlier stay is counted as part of this one), whether its key was found guilty and may never be bonded
 * again, and the heights for which it was punished, u64 one behind the other. */
#define REC_OFFICE_FIELDS(F) F(u64, power) F(u64, from_height) F(u64, until_height) F(flag, banned) F(blob, punished)
RECORD_DECLARE(rec_office, REC_OFFICE_FIELDS)

/* When heights were: office_mark one behind the other, the oldest first. */
#define OFFICE_MARK_FIELDS(F) F(u64, height) F(u64, time_ms)
RECORD_DECLARE(office_mark, OFFICE_MARK_FIELDS)
#define OFFICE_MARK_SIZE    16
#define REC_MARKS_FIELDS(F) F(blob, marks)
RECORD_DECLARE(rec_marks, REC_MARKS_FIELDS)

/* An owner's exact mismatches that are held against it, and when the last such was; full audit holds until its time.
 * mismatch_ms: the last one at all, also while slashing is paused. As an auditor: witnesses that no replay gave, and
 * when the last such was found. */
#define REC_FAULT_FIELDS(F)                                                                                            \
    F(u32, mismatches)                                                                                                 \
    F(u64, last_ms)                                                                                                    \
    F(u64, full_audit_until_ms)                                                                                        \
    F(u64, mismatch_ms)                                                                                                \
    F(u32, witnesses)                                                                                                  \
    F(u64, witness_ms)
RECORD_DECLARE(rec_fault, REC_FAULT_FIELDS)

#define REC_PROVIDER_FIELDS(F)                                                                                         \
    F(pubkey, node)                                                                                                    \
    F(pubkey, owner)                                                                                                   \
    F(text255, endpoint)                                                                                               \
    F(hashes, models)                                                                                                  \
    F(flag, audits)
RECORD_DECLARE(rec_provider, REC_PROVIDER_FIELDS)

/* Flattened lineage: share of the royalty in units of 1/LINEAGE_WHOLE; what is missing to the whole is the
 * publisher's own. */
#define LINEAGE_WHOLE        100000000u
#define FLAT_ENTRY_FIELDS(F) F(u8, type) F(hash, id) F(pubkey, to) F(u32, share)
RECORD_DECLARE(flat_entry, FLAT_ENTRY_FIELDS)
#define FLAT_ENTRY_SIZE 69

/* `lineage`: flat_entry one behind the other, ordered by (type, id). */
#define REC_MODEL_FIELDS(F)                                                                                            \
    F(hash, root)                                                                                                      \
    F(pubkey, publisher)                                                                                               \
    F(u64, size)                                                                                                       \
    F(text64, name)                                                                                                    \
    F(text64, licence)                                                                                                 \
    F(text64, architecture)                                                                                            \
    F(text64, format)                                                                                                  \
    F(u32, arith)                                                                                                      \
    F(u16, royalty_bps)                                                                                                \
    F(u16, derive_bps)                                                                                                 \
    F(hash, tensors_root)                                                                                              \
    F(u32, tensors)                                                                                                    \
    F(amount, bond)                                                                                                    \
    F(u64, height)                                                                                                     \
    F(blob, lineage)
RECORD_DECLARE(rec_model, REC_MODEL_FIELDS)

#define REC_DATA_FIELDS(F)                                                                                             \
    F(hash, plain_root)                                                                                                \
    F(hash, cipher_root)                                                                                               \
    F(pubkey, owner)                                                                                                   \
    F(u64, size)                                                                                                       \
    F(text64, name)                                                                                                    \
    F(text64, format)                                                                                                  \
    F(text64, licence)                                                                                                 \
    F(flag, train)                                                                                                     \
    F(u16, share_bps)                                                                                                  \
    F(amount, price)                                                                                                   \
    F(u64, height)                                                                                                     \
    F(u32, disputes) /* proven: a key was released that does not open what was promised */
RECORD_DECLARE(rec_data, REC_DATA_FIELDS)

enum grant_state { GRANT_OPEN, GRANT_RELEASED, GRANT_PAID };
/* `price` is locked until paid or refunded, the seller's `bond` from the release on. deadline_ms: until when the key
 * may be released, then until when it may be disputed. A paid one stays: it is the buyer's title; its `sealed` does
 * not. */
#define REC_GRANT_FIELDS(F)                                                                                            \
    F(hash, id)                                                                                                        \
    F(hash, data)                                                                                                      \
    F(pubkey, buyer)                                                                                                   \
    F(pubkey, seller)                                                                                                  \
    F(pubkey, key)                                                                                                     \
    F(amount, price)                                                                                                   \
    F(amount, bond)                                                                                                    \
    F(u8, state)                                                                                                       \
    F(u64, deadline_ms)                                                                                                \
    F(u64, height)                                                                                                     \
    F(blob, sealed)
RECORD_DECLARE(rec_grant, REC_GRANT_FIELDS)

enum bounty_state { BOUNTY_OPEN, BOUNTY_PAID };
/* `amount` is locked while open. `root` and `to`: what was accepted, and whose it is. */
#define REC_BOUNTY_FIELDS(F)                                                                                           \
    F(hash, id)                                                                                                        \
    F(pubkey, poster)                                                                                                  \
    F(u8, wants)                                                                                                       \
    F(text64, title)                                                                                                   \
    F(hash, terms)                                                                                                     \
    F(amount, amount)                                                                                                  \
    F(u64, deadline_ms)                                                                                                \
    F(u64, height)                                                                                                     \
    F(u8, state)                                                                                                       \
    F(hash, root)                                                                                                      \
    F(pubkey, to)
RECORD_DECLARE(rec_bounty, REC_BOUNTY_FIELDS)

/* Until the bounty's deadline. */
#define REC_OFFER_FIELDS(F) F(hash, id) F(hash, bounty) F(hash, root) F(pubkey, by) F(u64, height)
RECORD_DECLARE(rec_offer, REC_OFFER_FIELDS)
struct hash rec_offer_id(const struct hash *bounty, const struct hash *root);

/* What `by` is about to publish, until it does or the time is up: some blocks after until_ms, `last` is the one that
 * may still hold it, known once that time came. */
#define REC_CLAIM_FIELDS(F) F(pubkey, by) F(hash, commit) F(u64, height) F(u64, until_ms) F(u64, last)
RECORD_DECLARE(rec_claim, REC_CLAIM_FIELDS)
/* Of the signer too: whoever copies a commitment on its way into a block makes a claim of his own, and worth nothing.
 */
struct hash rec_claim_id(const struct pubkey *by, const struct hash *commit);
/* The block of the newest claim. */
#define REC_YOUNG_FIELDS(F) F(u64, height)
RECORD_DECLARE(rec_young, REC_YOUNG_FIELDS)

/* `deposit` is all that was ever put in, `settled` what vouchers took out of it (paid or in escrow); the
 * difference is locked here. closes_ms is 0 while open. A closed channel has no record. */
#define REC_CHANNEL_FIELDS(F)                                                                                          \
    F(hash, id)                                                                                                        \
    F(pubkey, payer)                                                                                                   \
    F(pubkey, provider)                                                                                                \
    F(hash, model)                                                                                                     \
    F(amount, deposit)                                                                                                 \
    F(amount, settled)                                                                                                 \
    F(u64, tokens_in)                                                                                                  \
    F(u64, tokens_out)                                                                                                 \
    F(u32, receipts)                                                                                                   \
    F(u64, closes_ms)
RECORD_DECLARE(rec_channel, REC_CHANNEL_FIELDS)

/* DRAWN: auditors may commit; REVEALING: those who did may reveal. */
enum settlement_state {
    SETTLEMENT_WAITING,
    SETTLEMENT_DRAWN,
    SETTLEMENT_REVEALING,
    SETTLEMENT_PAID,
    SETTLEMENT_FORFEITED
};
/* `amount` is in escrow until paid or forfeited, and so is the bond of a challenger, if there is one. Receipts
 * from..count-1 may be drawn. `round`: 0 of the first auditors, then of committees over receipt `disputed`;
 * `challenged` is the receipt that the challenger names, and his bond is zero where there is none. `audits`: audit_draw
 * one behind the other, of all rounds. */
#define REC_SETTLEMENT_FIELDS(F)                                                                                       \
    F(hash, id)                                                                                                        \
    F(hash, channel)                                                                                                   \
    F(pubkey, payer)                                                                                                   \
    F(pubkey, provider)                                                                                                \
    F(pubkey, owner)                                                                                                   \
    F(hash, model)                                                                                                     \
    F(amount, amount)                                                                                                  \
    F(u32, from)                                                                                                       \
    F(u32, count)                                                                                                      \
    F(hash, receipts_root)                                                                                             \
    F(u64, height)                                                                                                     \
    F(u64, time_ms)                                                                                                    \
    F(u8, state)                                                                                                       \
    F(u64, deadline_ms)                                                                                                \
    F(u8, round)                                                                                                       \
    F(u32, disputed)                                                                                                   \
    F(u32, challenged)                                                                                                 \
    F(pubkey, challenger)                                                                                              \
    F(amount, challenge_bond)                                                                                          \
    F(blob, audits)
RECORD_DECLARE(rec_settlement, REC_SETTLEMENT_FIELDS)

#define AUDIT_PENDING 255 /* verdict: none yet */
#define AUDIT_CAUGHT  254 /* it was match of what was planted (apply_plant.c), or no replay's (apply_doubt.c) */
#define AUDIT_DRAW_FIELDS(F)                                                                                           \
    F(u32, index)                                                                                                      \
    F(pubkey, auditor)                                                                                                 \
    F(u8, round)                                                                                                       \
    F(hash, commit)                                                                                                    \
    F(u8, verdict)                                                                                                     \
    F(hash, digest)                                                                                                    \
    F(hash, witness)                                                                                                   \
    F(hash, salt)
RECORD_DECLARE(audit_draw, AUDIT_DRAW_FIELDS)
#define AUDIT_DRAW_SIZE 166

/* WAITING for its draw, DRAWN: members may commit; REVEALING: those who did may reveal. RIGHT: the witness was no
 * replay's; WRONG: it was; UNDECIDED: nobody had more than half of the stake that was heard. The record of a doubt that
 * came to nothing, WITHHELD or UNHEARD, goes at once, and another may take its place. */
enum doubt_state {
    DOUBT_WAITING,
    DOUBT_DRAWN,
    DOUBT_REVEALING,
    DOUBT_RIGHT,
    DOUBT_WRONG,
    DOUBT_UNDECIDED,
    DOUBT_WITHHELD,
    DOUBT_UNHEARD,
    DOUBT_STATES
};
/* Whether a replay of receipt `index` (a leaf under receipts_root) under `salt` gives `witness`, as `auditor` of
 * `liable` revealed. All of the settlement's that matters is here: its record may be gone before this one is. `bond`,
 * the doubter's, is locked until the end; `pay` is that of a member of a committee. `draws`: doubt_draw one behind the
 * other, of all rounds. */
#define REC_DOUBT_FIELDS(F)                                                                                            \
    F(hash, id)                                                                                                        \
    F(hash, settlement)                                                                                                \
    F(hash, channel)                                                                                                   \
    F(u32, index)                                                                                                      \
    F(pubkey, auditor)                                                                                                 \
    F(pubkey, liable)                                                                                                  \
    F(pubkey, payer)                                                                                                   \
    F(pubkey, provider)                                                                                                \
    F(pubkey, owner)                                                                                                   \
    F(hash, model)                                                                                                     \
    F(hash, receipts_root)                                                                                             \
    F(u32, count)                                                                                                      \
    F(hash, salt)                                                                                                      \
    F(hash, witness)                                                                                                   \
    F(pubkey, doubter)                                                                                                 \
    F(amount, bond)                                                                                                    \
    F(amount, pay)                                                                                                     \
    F(u64, height)                                                                                                     \
    F(u64, time_ms)                                                                                                    \
    F(u8, state)                                                                                                       \
    F(u64, deadline_ms)                                                                                                \
    F(u8, round)                                                                                                       \
    F(blob, draws)
RECORD_DECLARE(rec_doubt, REC_DOUBT_FIELDS)
/* H[kith.statekey](settlement | index | auditor): one a draw. */
struct hash rec_doubt_id(const struct hash *settlement, uint32_t index, const struct pubkey *auditor);

#define DOUBT_DRAW_FIELDS(F) F(pubkey, member) F(u8, round) F(hash, commit) F(u8, verdict) F(hash, witness)
RECORD_DECLARE(doubt_draw, DOUBT_DRAW_FIELDS)
#define DOUBT_DRAW_SIZE 98

/* balances + locked + funds + burned = genesis + issued, after every transaction.
 * locked: bonds, unbonding, models' bonds, channels, settlements in escrow, grants with their bonds, bounties, bonds of
 * doubts. funds: the audit fund. */
#define REC_TOTALS_FIELDS(F)                                                                                           \
    F(amount, genesis)                                                                                                 \
    F(amount, issued)                                                                                                  \
    F(amount, balances)                                                                                                \
    F(amount, locked)                                                                                                  \
    F(amount, funds)                                                                                                   \
    F(amount, burned)
RECORD_DECLARE(rec_totals, REC_TOTALS_FIELDS)

/* All time for which the chain stood still: apply_clock.c. */
#define REC_STOOD_FIELDS(F) F(u64, stood_ms)
RECORD_DECLARE(rec_stood, REC_STOOD_FIELDS)

/* The verdicts of audits since began_ms: matches and mismatches together, the mismatches alone, and the owners that had
 * some. Nobody is slashed until paused_until_ms: apply_pause.c. */
#define REC_EPOCH_FIELDS(F) F(u64, began_ms) F(u32, verdicts) F(u32, mismatches) F(u32, owners) F(u64, paused_until_ms)
RECORD_DECLARE(rec_epoch, REC_EPOCH_FIELDS)

/* What a transaction of the next block pays at least: apply_fee.c. */
#define REC_FEES_FIELDS(F) F(amount, per_byte) F(amount, per_work)
RECORD_DECLARE(rec_fees, REC_FEES_FIELDS)

/* What happens by itself at a time: see apply_due.c. */
enum due_kind {
    DUE_UNBOND,
    DUE_CHANNEL_CLOSE,
    DUE_SETTLEMENT_MATURE,
    DUE_SETTLEMENT_FORGET,
    DUE_MODEL_BOND,
    DUE_GRANT,
    DUE_BOUNTY,
    DUE_OFFER,
    DUE_CLAIM,
    DUE_DOUBT
};
#define REC_DUE_FIELDS(F) F(pubkey, owner) F(u8, role)
RECORD_DECLARE(rec_due, REC_DUE_FIELDS)

/* What became of a transaction; kept in the store beside the state, not in it. */
#define REC_RESULT_FIELDS(F) F(u64, height) F(u32, index) F(u8, code) F(amount, fee)
RECORD_DECLARE(rec_result, REC_RESULT_FIELDS)

#endif
