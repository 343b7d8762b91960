/* The ledger's state with types: records by their keys over the tree, and money that only moves.
 *
 * Money lies in four pots: balances, locked, funds, burned. It moves between an account and a pot, or from pot to pot,
 * by the three functions below and by nothing else, so that every path through the ledger conserves it; new money comes
 * from state_issue alone. The running totals live here and enter the tree once a block (state_seal).
 */
#ifndef KITH_CHAIN_STATE_H
#define KITH_CHAIN_STATE_H

#include "chain/genesis.h"
#include "chain/records.h"
#include "chain/tree.h"

struct state {
    struct tree *tree;
    struct rec_totals totals;
    struct buf scratch;        /* the record that is being encoded */
    struct rec_fees fees;      /* of the next block; in the tree from the seal on, like the totals */
    uint64_t auditors_version; /* another whenever who audits a model, or an auditor's bond, may have changed */
    bool validators_changed;   /* a validator's bond or ban did, since state_init or the last clearing */
};

struct state_mark {
    size_t tree;
    struct rec_totals totals;
    struct rec_fees fees;
    bool validators_changed;
};

void state_init(struct state *s);
void state_clear(struct state *s);
/* The state that a checked genesis begins with. */
void state_begin(struct state *s, const struct genesis *g);
/* After the tree was filled from a store: takes totals and fees from it. False if they are absent. */
bool state_load(struct state *s) MUST_USE;
struct state_mark state_mark(const struct state *s);
void state_undo(struct state *s, const struct state_mark *mark);
/* Puts totals and fees into the tree. */
void state_seal(struct state *s);

/* -- money -- */

enum pot { POT_LOCKED, POT_FUNDS, POT_BURNED };
/* False, and nothing moved, if the account has less. */
bool state_debit(struct state *s, const struct pubkey *from, enum pot to, struct amount a) MUST_USE;
/* The same for a fee: the account, as it was just read, also counts one more transaction. It must cover the fee. */
void state_charge(struct state *s, const struct pubkey *key, struct rec_account *account, enum pot to,
                  struct amount fee);
void state_credit(struct state *s, enum pot from, const struct pubkey *to, struct amount a);
void state_shift(struct state *s, enum pot from, enum pot to, struct amount a);
bool state_transfer(struct state *s, const struct pubkey *from, const struct pubkey *to, struct amount a) MUST_USE;
/* New money into the locked pot; less, or none, where the total would not fit. Returns how much. */
struct amount state_issue(struct state *s, struct amount a);

/* tree_paths and tree_prime for accounts; n is at most STATE_PATHS_MAX. */
#define STATE_PATHS_MAX 16u
void state_account_paths(const struct pubkey *keys, uint32_t n, struct hash *out);
void state_prime_account(struct state *s, const struct pubkey *key, const struct tree_spot *spot);

/* -- records with one key -- */

/* name, class, type of the key, record */
#define STATE_RECORD_LIST(R)                                                                                           \
    R(account, ACCOUNT, pubkey, rec_account)                                                                           \
    R(rule, RULE, pubkey, rec_rule)                                                                                    \
    R(beacon_key, BEACON_KEY, pubkey, rec_beacon_key)                                                                  \
    R(office, OFFICE, pubkey, rec_office)                                                                              \
    R(fault, FAULT, pubkey, rec_fault)                                                                                 \
    R(provider, PROVIDER, pubkey, rec_provider)                                                                        \
    R(model, MODEL, hash, rec_model)                                                                                   \
    R(data, DATA, hash, rec_data)                                                                                      \
    R(channel, CHANNEL, hash, rec_channel)                                                                             \
    R(settlement, SETTLEMENT, hash, rec_settlement)                                                                    \
    R(grant, GRANT, hash, rec_grant)                                                                                   \
    R(bounty, BOUNTY, hash, rec_bounty)                                                                                \
    R(offer, OFFER, hash, rec_offer)                                                                                   \
    R(claim, CLAIM, hash, rec_claim)                                                                                   \
    R(doubt, DOUBT, hash, rec_doubt)

/* get and next: false, and *out zeroed, where there is none. What *out borrows holds until the record's next change
 * is settled. next: the first behind `after` (NULL: of all) in a listed class. */
#define R(name, cls, key, record)                                                                                      \
    bool state_get_##name(const struct state *s, const struct key *id, struct record *out);                            \
    void state_put_##name(struct state *s, const struct key *id, const struct record *v);                              \
    void state_remove_##name(struct state *s, const struct key *id);                                                   \
    bool state_next_##name(const struct state *s, const struct key *after, struct record *out);
STATE_RECORD_LIST(R)
#undef R

/* -- the others -- */

struct amount state_get_bond(const struct state *s, enum bond_role role, const struct pubkey *owner);
void state_put_bond(struct state *s, enum bond_role role, const struct pubkey *owner, struct amount a); /* 0 removes */
bool state_next_bond(const struct state *s, enum bond_role role, const struct pubkey *after, struct pubkey *owner,
                     struct amount *a);

/* The next validator with a record of office, in the order of keys; `after` may be NULL, and be the same as `key`. */
bool state_next_in_office(const struct state *s, const struct pubkey *after, struct pubkey *key,
                          struct rec_office *out);
bool state_get_marks(const struct state *s, struct rec_marks *out);
void state_put_marks(struct state *s, const struct rec_marks *m);

/* `after`: NULL for the first. */
void state_put_unbonding(struct state *s, const struct hash *id, const struct rec_unbonding *u);
void state_remove_unbonding(struct state *s, const struct hash *id, const struct rec_unbonding *u);
bool state_get_unbonding(const struct state *s, enum bond_role role, const struct pubkey *owner, const struct hash *id,
                         struct rec_unbonding *out);
bool state_next_unbonding(const struct state *s, enum bond_role role, const struct pubkey *owner,
                          const struct hash *after, struct hash *id, struct rec_unbonding *out);

struct due {
    uint64_t time_ms;
    enum due_kind kind;
    struct hash id;
    struct rec_due rec;
};
void state_put_due(struct state *s, const struct due *d);
void state_remove_due(struct state *s, const struct due *d);
bool state_first_due(const struct state *s, struct due *out);
/* Behind `after` (NULL: the first), in the order of times; *out may be *after. */
bool state_next_due(const struct state *s, const struct due *after, struct due *out);

void state_put_draw(struct state *s, uint64_t height, const struct hash *settlement);
void state_remove_draw(struct state *s, uint64_t height, const struct hash *settlement);
bool state_first_draw(const struct state *s, uint64_t *height, struct hash *settlement);
/* Behind that of `after` at *height (NULL: the first), in the order of heights; *settlement may be *after. */
bool state_next_draw(const struct state *s, const struct hash *after, uint64_t *height, struct hash *settlement);

/* Which node of an owner audits a model: one, or a draw would walk through as many as he cares to register. */
void state_put_auditor(struct state *s, const struct hash *model, const struct pubkey *owner,
                       const struct pubkey *node);
/* If it is this node. */
void state_remove_auditor(struct state *s, const struct hash *model, const struct pubkey *owner,
                          const struct pubkey *node);
/* The first owner behind `after` (NULL: of all); *owner may be *after. */
bool state_next_auditor(const struct state *s, const struct hash *model, const struct pubkey *after,
                        struct pubkey *owner, struct pubkey *node);

/* All zero before the first audit. */
struct rec_epoch state_get_epoch(const struct state *s);
void state_put_epoch(struct state *s, const struct rec_epoch *e);

/* Zero before the first claim. */
struct rec_young state_get_young(const struct state *s);
void state_put_young(struct state *s, const struct rec_young *y);

/* Zero on a chain that never stood still. */
struct rec_stood state_get_stood(const struct state *s);
void state_put_stood(struct state *s, const struct rec_stood *v);

/* Indexes from one hash, or a name, to the root of a model or data set. */
bool state_get_name(const struct state *s, const struct text64 *name, struct hash *root);
void state_put_name(struct state *s, const struct text64 *name, const struct hash *root);
bool state_get_tensor(const struct state *s, const struct hash *tensor, struct hash *model);
void state_put_tensor(struct state *s, const struct hash *tensor, const struct hash *model);
bool state_get_cipher(const struct state *s, const struct hash *cipher, struct hash *plain);
void state_put_cipher(struct state *s, const struct hash *cipher, const struct hash *plain);

/* The classes that can be walked, as a string of their bytes. */
const char *state_listed(void);

#endif
