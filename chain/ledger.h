/* The ledger as consensus and node see it: a deterministic state machine over a store. Consensus uses
 * check, prepare, process, finalize, commit and queries and nothing else of it, so another engine could take its place.
 *
 *     prepare   the proposer: which of the waiting transactions make the next block
 *     process   every validator: is this proposal one that may be decided
 *     finalize  apply the decided block in memory: the new state root, what became of each transaction, events
 *     commit    make it durable: one synced batch with the changed state, the height, and what the caller adds
 *
 * One block at a time: finalize, then commit. A commit that fails (disk full) may be tried again; until it
 * succeeds no other block can be finalized. After a crash the state is that of the last committed height.
 *
 * Not thread-safe. Everything returned by pointer (blobs, hashes inside records) is borrowed until the next finalize.
 */
#ifndef KITH_CHAIN_LEDGER_H
#define KITH_CHAIN_LEDGER_H

#include "chain/genesis.h"
#include "chain/kv.h"
#include "chain/parallel.h"
#include "chain/records.h"

struct ledger;

/* Opens the chain in `kv`, or begins it from `genesis`. `genesis` may be NULL for a chain that exists; given for one
 * that exists, it must be the same (else ERR_CHAIN). The state is read into memory and its root compared
 * with the stored one: ERR_CORRUPT if they differ. `kv` stays the caller's and is closed after the ledger. */
enum err ledger_open(struct kv *kv, const struct genesis *genesis, struct ledger **out, struct note *note) MUST_USE;
void ledger_close(struct ledger *l);
/* The same with processors to share work: the state's hashes here, a block's signatures and hashes later. */
enum err ledger_open_parallel(struct kv *kv, const struct genesis *genesis, const struct parallel *p,
                              struct ledger **out, struct note *note) MUST_USE;
void ledger_set_parallel(struct ledger *l, const struct parallel *p);

struct ledger_info {
    struct hash chain;
    uint64_t height;        /* last committed; 0 before the first block */
    uint64_t time_ms;       /* of that block; genesis time at height 0 */
    struct hash block;      /* id of that block; zero at height 0 */
    struct hash state_root; /* after it: what the next header carries */
    bool wants_block;     /* the last block changed the state, or draws or claims wait: a block should follow at once */
    uint64_t next_due_ms; /* something happens by itself at this block time; 0: nothing */
    uint64_t stood_ms;    /* what the ledger's clock is behind block time: apply_clock.c */
};
struct ledger_info ledger_info(const struct ledger *l);
/* When the ledger's clock, in which records have their times, will be there in block time, unless the chain stands
 * still meanwhile. */
uint64_t ledger_date(const struct ledger *l, uint64_t clock_ms);
const struct genesis *ledger_genesis(const struct ledger *l);

/* -- transactions before blocks -- */

struct ledger_pending { /* what the pool already holds of this signer */
    uint32_t count;
    struct amount claims; /* together, or the most that can be counted */
};
struct ledger_checked {
    struct hash id;
    struct pubkey signer;
    uint64_t nonce;
    struct amount fee;
    struct amount claim; /* the fee, and the most that it may spend; at most UINT64_MAX */
};
/* May it enter the pool? Form, chain, signature, nonce (the signer's next after its pending ones), fee; and where
 * nothing of the signer is pending, a trial run on the committed state, so that a spend over the balance is refused
 * here. */
enum err ledger_check(struct ledger *l, struct bytes tx, const struct ledger_pending *pending,
                      struct ledger_checked *out, struct note *note) MUST_USE;
/* What keeps this publication, whose content was checked, from being registered now? Its claim aside, and other than
 * ledger_check it does not let a name pass that belongs to somebody else: for whoever has not claimed it yet. */
enum err ledger_try_publication(struct ledger *l, const struct pubkey *signer, uint8_t kind, struct bytes body,
                                struct note *note) MUST_USE;
/* This transaction decodes, and tx_check was seen to accept it (elsewhere, on another thread): it is not verified
 * again.
 */
void ledger_remember(struct ledger *l, struct bytes tx);
/* Do the signatures of a transaction that was checked before still fit its account's rule? */
bool ledger_authorized(const struct ledger *l, struct bytes tx);
/* What a later ledger_check of a signer starts from, without pending ones. */
uint64_t ledger_nonce(const struct ledger *l, const struct pubkey *account);
/* Least fee in the next block for a transaction of this size and kind of work; and the prices that it comes from. */
struct amount ledger_fee(const struct ledger *l, size_t size, uint64_t work);
struct rec_fees ledger_fees(const struct ledger *l);

/* The pool's transactions in its order; false at the end. */
typedef bool (*ledger_next_fn)(void *arg, struct bytes *tx);
/* Picks what fits a block of at most `size_max` bytes of transactions and what process will accept; skips the rest.
 * Fills txs[0..BLOCK_TXS_MAX) with borrowed bytes, returns how many. */
uint32_t ledger_prepare(struct ledger *l, ledger_next_fn next, void *arg, size_t size_max, struct bytes *txs);
/* ERR_OK if these may be decided as the next block: sizes, form, chain, signatures, each signer's nonces in sequence,
 * each fee covered by what its signer has at the start, less what those before it claim. */
enum err ledger_process(struct ledger *l, const struct bytes *txs, uint32_t n, struct note *note) MUST_USE;
/* What the block after the next one is likely to hold, where its bytes are at hand: while finalize and commit are at
 * work, processors that they leave idle verify its signatures, so that its own process has less to do. Nothing else
 * comes of it. The bytes are copied; without processors to share work it does nothing. */
void ledger_expect(struct ledger *l, const struct bytes *txs, uint32_t n);

/* -- blocks -- */

struct ledger_block {
    uint64_t height;    /* last committed + 1 */
    uint64_t time_ms;   /* not before the last block's */
    struct hash id;     /* of this block */
    struct hash beacon; /* for draws due in this block: the makers of the blocks since each put a value in */
    struct pubkey proposer;
    const struct bytes *txs;
    uint32_t n;
};

/* What happened in a block, for the node. `id`: a settlement for SETTLED to SLASHED, else the channel, model, data set.
 *   CHANNEL_OPENED  id, other = model, a = payer, b = provider node, amount = deposit
 *   CHANNEL_TOPPED  the same, amount = added
 *   CHANNEL_CLOSING the same, time_ms = when the rest returns
 *   CHANNEL_CLOSED  the same, amount = returned to the payer
 *   SETTLED         id, other = channel, a = payer, b = provider node, amount, index = receipts so far
 *   AUDIT_DRAWN     id, other = channel, a = auditor node, b = provider node, index of the receipt, time_ms = deadline
 *   AUDIT_REVEALING id, other = channel, a = payer, b = provider node, time_ms = until when
 *   CHALLENGED      id, other = channel, a = challenger, b = provider node, amount = his bond, index of the receipt
 *   AUDIT_VERDICT   id, other = channel, a = auditor node, b = provider node, index, code = audit_verdict
 *   PAYOUT          id, other = model or data set it is for, a = who is paid, amount, code = payout_reason
 *   FORFEITED       id, other = channel, a = payer, b = provider node, amount returned to the payer
 *   SLASHED         id (of the evidence's transaction for a validator), a = owner, amount, code = bond_role
 *   PLANTED         id, other = channel, a = payer, b = provider node, index of the receipt, code = auditors caught,
 *                   amount returned to the payer (0: the settlement was paid before)
 *   DOUBTED         id, other = settlement, a = doubter, b = doubted auditor's node, amount = bond, index of the
 * receipt DOUBT_DRAWN     id, other = settlement, a = member's node, b = doubter, index of the receipt, time_ms =
 * deadline DOUBT_REVEALING id, other = settlement, a = doubter, b = doubted auditor's node, time_ms = until when
 *   DOUBT_VERDICT   id, other = settlement, a = member's node, b = doubter, index, code = audit_verdict
 *   DOUBT_OVER      id, other = settlement, a = doubter, b = doubted auditor's node, index, code = doubt_state,
 *                   amount to the doubter: his bond and his part
 *   SLASHING_PAUSED time_ms = until when, index = mismatches, code = owners that had some (255: or more)
 *   UNBONDED        a = owner, amount, code = bond_role
 *   MODEL           id = root, a = publisher           DATA      id = plain root, a = owner
 *   PROVIDER        a = node, b = owner                TRANSFER  a = from, b = to, amount
 *   GRANT_OPENED    id, other = data, a = buyer, b = seller, amount = price, time_ms = until when the key must come
 *   KEY_RELEASED    the same, time_ms = until when it may be disputed
 *   GRANT_PAID      the same, amount to the seller     GRANT_REFUNDED  the same, amount back to the buyer
 *   GRANT_DISPUTED  the same, amount to the buyer: price and his part of the bond
 *   BOUNTY_POSTED   id, a = poster, amount, time_ms = deadline, code = wants
 *   BOUNTY_OFFERED  id, other = root, a = poster, b = who offers
 *   BOUNTY_PAID     the same, amount                   BOUNTY_RETURNED id, a = poster, amount
 *   RULE            a = account, code = signatures needed (0: the rule ended), index = keys */
#define LEDGER_EVENT_LIST(E)                                                                                           \
    E(TRANSFER)                                                                                                        \
    E(CHANNEL_OPENED)                                                                                                  \
    E(CHANNEL_TOPPED)                                                                                                  \
    E(CHANNEL_CLOSING)                                                                                                 \
    E(CHANNEL_CLOSED)                                                                                                  \
    E(SETTLED)                                                                                                         \
    E(AUDIT_DRAWN)                                                                                                     \
    E(AUDIT_REVEALING)                                                                                                 \
    E(CHALLENGED)                                                                                                      \
    E(AUDIT_VERDICT)                                                                                                   \
    E(PAYOUT)                                                                                                          \
    E(FORFEITED)                                                                                                       \
    E(SLASHED)                                                                                                         \
    E(PLANTED)                                                                                                         \
    E(DOUBTED)                                                                                                         \
    E(DOUBT_DRAWN)                                                                                                     \
    E(DOUBT_REVEALING)                                                                                                 \
    E(DOUBT_VERDICT)                                                                                                   \
    E(DOUBT_OVER)                                                                                                      \
    E(SLASHING_PAUSED)                                                                                                 \
    E(UNBONDED)                                                                                                        \
    E(MODEL)                                                                                                           \
    E(DATA)                                                                                                            \
    E(PROVIDER)                                                                                                        \
    E(RULE)                                                                                                            \
    E(GRANT_OPENED)                                                                                                    \
    E(KEY_RELEASED)                                                                                                    \
    E(GRANT_PAID)                                                                                                      \
    E(GRANT_REFUNDED) E(GRANT_DISPUTED) E(BOUNTY_POSTED) E(BOUNTY_OFFERED) E(BOUNTY_PAID) E(BOUNTY_RETURNED)
enum ledger_event_kind {
#define E(name) LEDGER_##name,
    LEDGER_EVENT_LIST(E)
#undef E
        LEDGER_EVENT_KINDS
};
enum payout_reason { PAYOUT_PROVIDER, PAYOUT_PUBLISHER, PAYOUT_PARENT, PAYOUT_DATA, PAYOUT_AUDITOR, PAYOUT_REASONS };
struct ledger_event {
    enum ledger_event_kind kind;
    uint32_t tx; /* which transaction of the block; LEDGER_NO_TX for what happened by itself */
    struct hash id, other;
    struct pubkey a, b;
    struct amount amount;
    uint32_t index;
    uint8_t code;
    uint64_t time_ms;
};
#define LEDGER_NO_TX UINT32_MAX
const char *ledger_event_name(enum ledger_event_kind kind);
const char *ledger_payout_name(enum payout_reason reason);

struct ledger_validator {
    struct pubkey key;
    uint64_t power; /* stake in units of LEDGER_POWER_UNIT mote: sums of all stay far under 2^63 */
};
#define LEDGER_POWER_UNIT GENESIS_STAKE_LEAST

/* Owned by the ledger, valid until the next finalize. */
struct ledger_result {
    struct hash state_root;
    const enum err *codes;    /* one a transaction: ERR_OK, or why it had no effect but its fee */
    const struct note *notes; /* one a transaction, empty where ERR_OK */
    uint32_t n;
    const struct ledger_event *events;
    uint32_t events_n;
    bool validators_changed;
    const struct ledger_validator *validators; /* the whole new set, ordered by power (falling), then key */
    uint32_t validators_n;
};
/* Applies a decided block in memory. ERR_STATE if its height or time cannot be next, or a finalized one is uncommitted.
 */
enum err ledger_finalize(struct ledger *l, const struct ledger_block *block, const struct ledger_result **out,
                         struct note *note) MUST_USE;
/* Writes it, with `extra` (may be NULL) in the same synced batch. */
enum err ledger_commit(struct ledger *l, const struct kv_batch *extra, struct note *note) MUST_USE;

/* -- snapshots: the state of another height, put into the store leaf by leaf (chain/snapshot.h) -- */

/* What a snapshot is of; all of it from headers that were verified. */
#define LEDGER_BASE_FIELDS(F)                                                                                          \
    F(u64, height)                                                                                                     \
    F(u64, time_ms)                                                                                                    \
    F(hash, block)         /* id of the block at that height... */                                                     \
    F(hash, previous_root) /* ...the state that its header carries... */                                               \
    F(hash, state_root)    /* ...and the one that the next does */                                                     \
    F(u32, leaves)
RECORD_DECLARE(ledger_base, LEDGER_BASE_FIELDS)

/* Gives up the state in the store for this snapshot; the one in memory stays until the end. ERR_BUSY: a part of the old
 * state is dropped, call again. From the first call on no block can be finalized, and after a restart the fetch goes on
 * where it stopped. The same snapshot again changes nothing; another one drops what came of this one. */
enum err ledger_snapshot_begin(struct ledger *l, const struct ledger_base *s, struct note *note) MUST_USE;
/* One that was begun and not ended, also before a restart; NULL: none. */
const struct ledger_base *ledger_snapshot_now(const struct ledger *l);
/* Stores a leaf's entries, which the caller has checked, and that it is there. */
enum err ledger_snapshot_put(struct ledger *l, uint32_t leaf, struct bytes entries, struct note *note) MUST_USE;
bool ledger_snapshot_has(const struct ledger *l, uint32_t leaf);
uint32_t ledger_snapshot_count(const struct ledger *l); /* leaves there */
/* With all leaves there: reads the state, compares its root, and makes it the ledger's, with `extra` in the same synced
 * batch. ERR_CORRUPT: the store does not give back what was put; the fetch begins again. */
enum err ledger_snapshot_end(struct ledger *l, const struct kv_batch *extra, struct note *note) MUST_USE;
/* What ledger_snapshot_begin would be called with for the last committed height, but for leaves. */
struct ledger_base ledger_snapshot_of(const struct ledger *l);
/* The records of the last committed state as they stand in the store, for a snapshot of it: key (with its class) and
 * value, whatever is committed later. */
enum err ledger_snapshot_view(struct ledger *l, struct kv_view **out, struct note *note) MUST_USE;
bool ledger_snapshot_next(struct kv_view *v, struct bytes *key, struct bytes *value);

/* -- queries, of the last finalized state -- */

bool ledger_account(const struct ledger *l, const struct pubkey *key, struct rec_account *out); /* false: zeroed */
bool ledger_rule(const struct ledger *l, const struct pubkey *account, struct rec_rule *out);
struct amount ledger_bond(const struct ledger *l, enum bond_role role, const struct pubkey *owner);
/* Withdrawn bonds that have not returned, in the order of ids behind `after` (NULL: the first); *id may be *after. */
bool ledger_unbonding_next(const struct ledger *l, enum bond_role role, const struct pubkey *owner,
                           const struct hash *after, struct hash *id, struct rec_unbonding *out);
bool ledger_fault(const struct ledger *l, const struct pubkey *owner, struct rec_fault *out);
bool ledger_model(const struct ledger *l, const struct hash *root, struct rec_model *out);
bool ledger_model_by_name(const struct ledger *l, const char *name, struct rec_model *out);
bool ledger_data(const struct ledger *l, const struct hash *plain_root, struct rec_data *out);
bool ledger_provider(const struct ledger *l, const struct pubkey *node, struct rec_provider *out);
bool ledger_channel(const struct ledger *l, const struct hash *channel, struct rec_channel *out);
bool ledger_settlement(const struct ledger *l, const struct hash *settlement, struct rec_settlement *out);
bool ledger_doubt(const struct ledger *l, const struct hash *doubt, struct rec_doubt *out);
bool ledger_grant(const struct ledger *l, const struct hash *grant, struct rec_grant *out);
bool ledger_bounty(const struct ledger *l, const struct hash *bounty, struct rec_bounty *out);
bool ledger_claim(const struct ledger *l, const struct pubkey *by, const struct hash *commit, struct rec_claim *out);
bool ledger_offer(const struct ledger *l, const struct hash *bounty, const struct hash *root, struct rec_offer *out);
/* The key whose proof a block of this validator must carry at this height, which is the next or one of the next two
 * epochs; false: none holds, and there must be no proof. */
bool ledger_beacon_key(const struct ledger *l, const struct pubkey *validator, uint64_t height, struct vrf_public *out);
/* The key that it registered last, whether it holds yet or not. */
bool ledger_beacon_key_last(const struct ledger *l, const struct pubkey *validator, struct vrf_public *out);
struct params ledger_params(const struct ledger *l);
struct rec_epoch ledger_audit_epoch(const struct ledger *l); /* verdicts so far, and whether slashing is paused */
struct rec_totals ledger_totals(const struct ledger *l);
/* Would a transaction with it have its effect in the next block? ERR_RANGE for a height to come, ERR_DUPLICATE where
 * the validator was punished for that height. */
enum err ledger_evidence_check(struct ledger *l, const struct evidence *e, struct note *note) MUST_USE;
/* No fault of a height below is punished any more. */
uint64_t ledger_answers_from(struct ledger *l);
bool ledger_office(const struct ledger *l, const struct pubkey *validator, struct rec_office *out);
/* Those in office two heights after the last block; at most VALIDATORS_MAX, returns how many. */
uint32_t ledger_validators(const struct ledger *l, struct ledger_validator out[VALIDATORS_MAX]);
/* The next record behind `after` in the order of keys (NULL: the first); false at the end. */
bool ledger_model_next(const struct ledger *l, const struct hash *after, struct rec_model *out);
bool ledger_data_next(const struct ledger *l, const struct hash *after, struct rec_data *out);
bool ledger_provider_next(const struct ledger *l, const struct pubkey *after, struct rec_provider *out);
bool ledger_channel_next(const struct ledger *l, const struct hash *after, struct rec_channel *out);
bool ledger_settlement_next(const struct ledger *l, const struct hash *after, struct rec_settlement *out);
/* Those in escrow, in the order in which they wait; fn returns false to stop. Looks at no settlement that is over. */
typedef bool (*ledger_escrow_fn)(void *arg, const struct rec_settlement *s);
void ledger_escrow_each(const struct ledger *l, ledger_escrow_fn fn, void *arg);
/* Whether a settlement of this channel is in escrow, so that its receipts may be asked for. */
bool ledger_channel_in_escrow(const struct ledger *l, const struct hash *channel);
bool ledger_doubt_next(const struct ledger *l, const struct hash *after, struct rec_doubt *out);
bool ledger_grant_next(const struct ledger *l, const struct hash *after, struct rec_grant *out);
bool ledger_bounty_next(const struct ledger *l, const struct hash *after, struct rec_bounty *out);
bool ledger_offer_next(const struct ledger *l, const struct hash *after, struct rec_offer *out); /* after: its id */
/* What became of a transaction, from the store: ERR_NOT_FOUND if it was in no committed block. */
enum err ledger_tx_result(struct ledger *l, const struct hash *id, struct rec_result *out, struct note *note) MUST_USE;
/* What stands in the state under this class and key, and the proof of it, present or absent. `header`: the height whose
 * header carries the root that it is under (the last one where the last block left the state as it was, else the next).
 */
struct ledger_proof {
    uint64_t height; /* of the state: after this block */
    uint64_t header;
    struct hash root;
    bool found;
    struct buf value; /* of the record; empty where there is none */
    struct buf proof; /* for tree_verify, light_check_record */
};
/* The buffers of *out are used again; ledger_proof_clear frees them. */
void ledger_query(const struct ledger *l, enum state_class cls, struct bytes key, struct ledger_proof *out);
void ledger_proof_clear(struct ledger_proof *p);
/* As proofs are checked with: p is NULL where there is no record, and not where one is empty. */
struct bytes ledger_proof_value(const struct ledger_proof *p);

/* Takes away what became of a transaction, with its block. */
void ledger_drop_result(struct kv_batch *batch, const struct hash *id);

/* Audits of settlements, and the members of a doubt's committees: draws of one record. */
uint32_t doubt_draws(const struct rec_doubt *d);
struct doubt_draw doubt_draw_at(const struct rec_doubt *d, uint32_t i);
uint32_t settlement_audits(const struct rec_settlement *s);
struct audit_draw settlement_audit_at(const struct rec_settlement *s, uint32_t i);

#endif
