/* Inside the ledger: what each transaction does to the state, and what happens by itself. One file a group of records:
 * apply.c (dispatch, fees, transfer), apply_bond.c, apply_model.c (models, data), apply_provider.c, apply_channel.c,
 * apply_settlement.c (draws, payout), apply_audit.c (commitments, reveals, committees, challenges), apply_plant.c
 * (planted jobs), apply_doubt.c (auditors' witnesses), apply_grant.c (access to data), apply_bounty.c, apply_claim.c,
 * apply_rule.c (who signs for an account), apply_beacon.c, apply_evidence.c, apply_office.c (who validates),
 * apply_fee.c, apply_pause.c, apply_clock.c (time, and halts), apply_due.c.
 *
 * A function that refuses returns an error with a note; it may have changed the state by then, and the dispatcher
 * undoes that. None looks at anything but the state, the block and the transaction. */
#ifndef KITH_CHAIN_APPLY_H
#define KITH_CHAIN_APPLY_H

#include "chain/ledger.h"
#include "chain/state.h"

struct apply_events {
    struct ledger_event *at;
    uint32_t n, room;
};

struct apply {
    struct state *s;
    struct hash chain;
    struct params params;
    /* of the block */
    uint64_t height;
    uint64_t time_ms;
    uint64_t before_ms; /* of the block before */
    uint64_t clock_ms;  /* the ledger's clock, in which all windows are: apply_clock.c */
    struct hash beacon;
    struct pubkey proposer;
    struct amount rewards; /* fees for the proposer so far, in the locked pot */
    uint64_t size, work;   /* of its transactions so far */
    /* of the transaction */
    uint32_t tx; /* LEDGER_NO_TX outside of one */
    struct hash id;
    struct pubkey signer;
    struct note *note;
    struct apply_events *events;
};

/* A new event with kind and tx filled, to be completed at once. */
struct ledger_event *apply_event(struct apply *a, enum ledger_event_kind kind);

/* Do the signatures of a checked transaction fit the rule of its account? */
enum err apply_authorized(const struct state *s, const struct tx *t, const struct rec_account *account,
                          struct note *note) MUST_USE;
/* Charges the fee and applies. *charged false: nothing happened at all (nonce, or not the signatures that the account
 * asks for); else an error means that the fee is paid and nothing else happened. `t` was decoded and checked. */
enum err apply_tx(struct apply *a, const struct tx *t, const struct hash *id, bool *charged) MUST_USE;
/* The most that a checked transaction may take from its signer beside the fee. */
struct amount apply_spends(const struct state *s, const struct params *params, const struct tx *t);
/* The body alone: no nonce, no fee. */
enum err apply_body(struct apply *a, const struct tx *t) MUST_USE;

#define K(number, name, record, work) enum err apply_##record(struct apply *a, const struct record *body) MUST_USE;
TX_KIND_LIST(K)
#undef K

/* Draws and timed effects that are due at this block, at most DRAWS_PER_BLOCK_MAX and DUE_PER_BLOCK_MAX. */
void apply_due(struct apply *a);
/* Fees and new money to the proposer; `busy`: the block had transactions. */
void apply_reward(struct apply *a, bool busy);

/* Moves the office towards the bonds by what one block may (valset_approach). True if it changed; *arrived: nothing was
 * left to do. */
bool apply_office_step(struct apply *a, bool *arrived);
/* Remembers when this block was, if the last mark is old. */
void apply_office_mark(struct apply *a);
/* The prices of the next block, from how full this one was. */
void apply_fees(struct apply *a);

/* -- shared by the files of this group -- */

/* The height behind which faults are forgiven: the last that an unbonding period has passed since. */
uint64_t apply_office_oldest(const struct apply *a);
/* May it be punished in this block? Fills *rec where it may. */
enum err apply_evidence_check(const struct apply *a, const struct evidence *e, struct rec_office *rec) MUST_USE;

/* Bond and withdrawn bond of an owner that still answers. */
struct amount apply_stake(const struct state *s, enum bond_role role, const struct pubkey *owner);
/* Takes up to `amount` of it, the bond first, out of the locked pot's records; the money stays in the pot for the
 * caller to move on. Returns how much. */
struct amount apply_take_stake(struct apply *a, enum bond_role role, const struct pubkey *owner, struct amount amount);
/* Tells what was taken so, and for which settlement, doubt or transaction. */
void apply_tell_slashed(struct apply *a, const struct hash *why, enum bond_role role, const struct pubkey *owner,
                        struct amount taken);
/* The channel ends: what is left returns to the payer. */
void apply_channel_end(struct apply *a, const struct rec_channel *channel);
/* Who audits which model, as it was looked up for the last draws: a block has up to DRAWS_PER_BLOCK_MAX of them.
 * Zeroed: nothing yet. Good as long as the state's auditors_version stays. */
#define APPLY_AUDITED_MAX 16
struct apply_auditors {
    uint64_t version;
    uint32_t n, next; /* next: whose place another model takes */
    struct apply_audited {
        struct hash model;
        struct candidate *list; /* bonded, one an owner, in the order of owners */
        uint32_t n;
    } at[APPLY_AUDITED_MAX];
};
struct candidate {
    struct pubkey node, owner;
    struct amount stake;
};
void apply_auditors_clear(struct apply_auditors *k);
/* Good until the next call. */
const struct apply_audited *apply_audited(const struct apply *a, const struct hash *model, struct apply_auditors *k);
/* A number that nobody could know when what is drawn for was put into a block. */
uint64_t apply_draw_number(const struct apply *a, const struct hash *id, uint32_t k, const char use[4]);
/* By stake among those at or behind `first`; the chosen one is moved to `first`. */
void apply_choose_auditor(struct candidate *list, uint32_t n, uint32_t first, uint64_t number);
void apply_settlement_draw(struct apply *a, const struct hash *settlement, struct apply_auditors *known);
void apply_settlement_mature(struct apply *a, const struct hash *settlement);
/* Between those two files. The record changes and is stored; the settlement ends, or waits for the next draw. */
void apply_settlement_payout(struct apply *a, struct rec_settlement *s);
void apply_settlement_finish(struct apply *a, struct rec_settlement *s, enum settlement_state state);
/* Of a round behind the first: 2, and double with each earlier committee over the same receipt. */
uint32_t apply_committee_size(const struct rec_settlement *s);
/* How many may be asked about the disputed receipt, so that those that wait for their turn have as many. */
uint32_t apply_committee_room(const struct rec_settlement *s);
/* A committee's candidates are used up: the majority by stake of all who were asked decides. */
void apply_audit_final(struct apply *a, struct rec_settlement *s);
void apply_pay(struct apply *a, const struct hash *settlement, const struct hash *source, enum pot from,
               const struct pubkey *to, struct amount amount, enum payout_reason reason);
/* What one audit of this settlement earns. */
struct amount apply_audit_pay(const struct apply *a, const struct rec_settlement *s);
/* The receipt is number `index` of the settlement, and signed by the provider. */
enum err apply_receipt_check(struct apply *a, const struct rec_settlement *s, uint32_t index, struct bytes receipt,
                             struct bytes proof, struct receipt *out) MUST_USE;
struct pubkey apply_owner_of(const struct apply *a, const struct pubkey *node);
void apply_event_draw(struct apply *a, const struct rec_settlement *s, const struct audit_draw *d,
                      enum ledger_event_kind kind);
/* Counts an auditor's verdict over a provider's owner; before the owner's record of faults changes. */
void apply_count_verdict(struct apply *a, const struct pubkey *owner, enum audit_verdict verdict);
bool apply_slashing_paused(const struct apply *a);
/* Fills a->clock_ms, and the state's sum of halts; before anything else happens in a block. */
void apply_clock(struct apply *a);
/* When the clock will be there, in block time, unless the chain stands still meanwhile. */
uint64_t apply_date(const struct apply *a, uint64_t clock_ms);
/* Its draw has come, or a window of it is over, or it is to be forgotten. */
void apply_doubt_draw(struct apply *a, const struct hash *doubt, struct apply_auditors *known);
void apply_doubt_due(struct apply *a, const struct hash *doubt);
void apply_grant_end(struct apply *a, const struct hash *grant);
void apply_bounty_end(struct apply *a, const struct hash *bounty);

/* Takes the claim of a publication that it may follow; what needs none, it lets pass. */
enum err apply_claim_use(struct apply *a, const struct tx *t) MUST_USE;
/* Its time is up: it ends, or stays for its last blocks. */
void apply_claim_due(struct apply *a, const struct hash *id);
/* The first block that may hold it, where its claim stands and that block is still to come; else 0. */
uint64_t apply_claim_waits(const struct apply *a, const struct tx *t);

/* "0.25 KITH" and the first digits of an id, for notes. */
struct apply_text {
    char s[AMOUNT_TEXT_ROOM + 8];
};
struct apply_text apply_text_amount(struct amount a);
struct apply_text apply_text_id(const uint8_t id[32]);
/* Why a spend is refused: names balance and need. */
enum err apply_no_funds(struct apply *a, struct amount need) MUST_USE;

#endif
