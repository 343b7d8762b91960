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
    C('e', OFFICE, true)      /* validator -> rec_office */                                                            \
    C('f', FAULT, false)      /* owner -> rec_fault */                                                                 \
    C('h', CHANNEL, true)     /* channel -> rec_channel */                                                             \
    C('i', AUDITOR, true)     /* model, node -> nothing: nodes that audit this model */                                \
    C('j', MARKS, false)      /* -> rec_marks */                                                                       \
    C('k', BEACON_KEY, false) /* validator -> rec_beacon_key */                                                        \
    C('m', MODEL, true)       /* root -> rec_model */                                                                  \
    C('n', NAME, false)       /* H[kith.statekey](name) -> root of the newest model with it */                         \
    C('p', PROVIDER, true)    /* node -> rec_provider */                                                               \
    C('q', DUE, true)         /* time (big-endian), kind, id -> rec_due */                                             \
    C('r', PARAMS, false)     /* -> params */                                                                          \
    C('s', SETTLEMENT, true)  /* settlement -> rec_settlement */                                                       \
    C('t', TENSOR, false)     /* tensor root -> root of the model that registered it first */                          \
    C('u', UNBONDING, true)   /* role, owner, id -> rec_unbonding */                                                   \
    C('v', TOTALS, false)     /* -> rec_totals */                                                                      \
    C('w', DRAW, true)        /* height (big-endian), settlement -> nothing: draws to be made */

enum state_class {
#define C(byte, name, listed) STATE_##name = byte,
    STATE_CLASS_LIST(C)
#undef C
};

#define REC_ACCOUNT_FIELDS(F) F(amount, balance) F(u64, nonce)
RECORD_DECLARE(rec_account, REC_ACCOUNT_FIELDS)

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

/* An owner's exact mismatches. full_audit holds until until_ms. */
#define REC_FAULT_FIELDS(F) F(u32, mismatches) F(u64, last_ms) F(u64, full_audit_until_ms)
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
    F(u64, height)
RECORD_DECLARE(rec_data, REC_DATA_FIELDS)

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

enum settlement_state { SETTLEMENT_WAITING, SETTLEMENT_DRAWN, SETTLEMENT_PAID, SETTLEMENT_FORFEITED };
/* `amount` is in escrow until paid or forfeited. Receipts from..count-1 may be drawn. `audits`: audit_draw one
 * behind the other, empty until drawn. */
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
    F(blob, audits)
RECORD_DECLARE(rec_settlement, REC_SETTLEMENT_FIELDS)

#define AUDIT_PENDING        255 /* verdict: none yet */
#define AUDIT_DRAW_FIELDS(F) F(u32, index) F(pubkey, auditor) F(u8, verdict)
RECORD_DECLARE(audit_draw, AUDIT_DRAW_FIELDS)
#define AUDIT_DRAW_SIZE 37

/* balances + locked + funds + burned = genesis + issued, after every transaction.
 * locked: bonds, unbonding, models' bonds, channels, settlements in escrow. funds: the audit fund. */
#define REC_TOTALS_FIELDS(F)                                                                                           \
    F(amount, genesis)                                                                                                 \
    F(amount, issued)                                                                                                  \
    F(amount, balances)                                                                                                \
    F(amount, locked)                                                                                                  \
    F(amount, funds)                                                                                                   \
    F(amount, burned)
RECORD_DECLARE(rec_totals, REC_TOTALS_FIELDS)

/* What happens by itself at a time: see apply_due.c. */
enum due_kind { DUE_UNBOND, DUE_CHANNEL_CLOSE, DUE_SETTLEMENT_MATURE, DUE_SETTLEMENT_FORGET, DUE_MODEL_BOND };
#define REC_DUE_FIELDS(F) F(pubkey, owner) F(u8, role)
RECORD_DECLARE(rec_due, REC_DUE_FIELDS)

/* What became of a transaction; kept in the store beside the state, not in it. */
#define REC_RESULT_FIELDS(F) F(u64, height) F(u32, index) F(u8, code) F(amount, fee)
RECORD_DECLARE(rec_result, REC_RESULT_FIELDS)

#endif
