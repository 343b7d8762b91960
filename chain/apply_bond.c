/* Stake: bond, unbond, and taking of it. A withdrawn bond answers until its period ends, like one that stands. */
#include "chain/apply.h"

static struct amount bond_min(const struct params *p, enum bond_role role)
{
    switch (role) {
    case BOND_VALIDATOR:
        return p->validator_bond_min;
    case BOND_PROVIDER:
        return p->provider_bond_min;
    default:
        return p->auditor_bond_min;
    }
}

static const char *role_name(enum bond_role role)
{
    return role == BOND_VALIDATOR ? "validator" : role == BOND_PROVIDER ? "provider" : "auditor";
}

static enum err role_check(struct apply *a, uint8_t role, struct amount amount)
{
    if (role >= BOND_ROLES)
        return note_set(a->note, ERR_FORMAT, "role %u: a bond is for 0 validator, 1 provider or 2 auditor", role);
    if (amount.mote == 0)
        return note_set(a->note, ERR_RANGE, "a bond of nothing: give an amount");
    return ERR_OK;
}

enum err apply_tx_bond(struct apply *a, const struct tx_bond *body)
{
    enum err e = role_check(a, body->role, body->amount);
    if (e)
        return e;
    enum bond_role role = (enum bond_role)body->role;
    struct rec_office office;
    if (role == BOND_VALIDATOR && state_get_office(a->s, &a->signer, &office) && office.banned)
        return note_set(a->note, ERR_REFUSED, "this key signed two things that contradict: bond with another key");
    struct amount min = bond_min(&a->params, role), bond = state_get_bond(a->s, role, &a->signer);
    if (!state_debit(a->s, &a->signer, POT_LOCKED, body->amount))
        return apply_no_funds(a, body->amount);
    CHECK(amount_add(&bond, bond, body->amount));
    if (amount_compare(bond, min) < 0)
        return note_set(a->note, ERR_RANGE, "a %s bond of %s: at least %s is needed", role_name(role),
                        apply_text_amount(bond).s, apply_text_amount(min).s);
    state_put_bond(a->s, role, &a->signer, bond);
    return ERR_OK;
}

/* The chain would stand still for ever. */
static bool is_last_validator(const struct state *s, const struct pubkey *owner)
{
    struct pubkey first, second;
    struct amount amount;
    return state_next_bond(s, BOND_VALIDATOR, NULL, &first, &amount) && pubkey_equal(&first, owner) &&
           !state_next_bond(s, BOND_VALIDATOR, &first, &second, &amount);
}

static bool has_many_withdrawals(const struct state *s, enum bond_role role, const struct pubkey *owner)
{
    struct hash id;
    struct rec_unbonding u;
    uint32_t n = 0;
    for (bool more = state_next_unbonding(s, role, owner, NULL, &id, &u); more && n < UNBONDINGS_MAX; n++)
        more = state_next_unbonding(s, role, owner, &id, &id, &u);
    return n == UNBONDINGS_MAX;
}

enum err apply_tx_unbond(struct apply *a, const struct tx_unbond *body)
{
    enum err e = role_check(a, body->role, body->amount);
    if (e)
        return e;
    enum bond_role role = (enum bond_role)body->role;
    struct amount bond = state_get_bond(a->s, role, &a->signer), left, min = bond_min(&a->params, role);
    if (!amount_sub(&left, bond, body->amount))
        return note_set(a->note, ERR_FUNDS, "the %s bond is %s, less than %s", role_name(role),
                        apply_text_amount(bond).s, apply_text_amount(body->amount).s);
    if (left.mote && amount_compare(left, min) < 0)
        return note_set(a->note, ERR_RANGE,
                        "that would leave a %s bond of %s, below the least of %s: withdraw all of it", role_name(role),
                        apply_text_amount(left).s, apply_text_amount(min).s);
    if (role == BOND_VALIDATOR && left.mote == 0 && is_last_validator(a->s, &a->signer))
        return note_set(a->note, ERR_STATE, "the last validator cannot leave: the chain would stand still");
    if (has_many_withdrawals(a->s, role, &a->signer))
        return note_set(a->note, ERR_LIMIT, "%d withdrawals are under way already: wait until one has returned",
                        UNBONDINGS_MAX);
    struct rec_unbonding u = {a->signer, body->role, body->amount, a->clock_ms + a->params.unbonding_ms};
    state_put_bond(a->s, role, &a->signer, left);
    state_put_unbonding(a->s, &a->id, &u);
    state_put_due(a->s, &(struct due){u.until_ms, DUE_UNBOND, a->id, {a->signer, body->role}});
    return ERR_OK;
}

struct amount apply_stake(const struct state *s, enum bond_role role, const struct pubkey *owner)
{
    struct amount sum = state_get_bond(s, role, owner);
    struct hash id;
    struct rec_unbonding u;
    for (bool more = state_next_unbonding(s, role, owner, NULL, &id, &u); more;
         more = state_next_unbonding(s, role, owner, &id, &id, &u))
        CHECK(amount_add(&sum, sum, u.amount));
    return sum;
}

/* The lesser of the two off both; returns it. */
static struct amount take(struct amount *have, struct amount *need)
{
    struct amount part = amount_compare(*have, *need) < 0 ? *have : *need;
    CHECK(amount_sub(have, *have, part) && amount_sub(need, *need, part));
    return part;
}

struct amount apply_take_stake(struct apply *a, enum bond_role role, const struct pubkey *owner, struct amount amount)
{
    struct amount bond = state_get_bond(a->s, role, owner), need = amount, taken;
    struct hash id;
    struct rec_unbonding u;
    if (take(&bond, &need).mote)
        state_put_bond(a->s, role, owner, bond);
    for (bool more = state_next_unbonding(a->s, role, owner, NULL, &id, &u); more && need.mote;
         more = state_next_unbonding(a->s, role, owner, &id, &id, &u)) {
        (void)take(&u.amount, &need);
        state_put_unbonding(a->s, &id, &u);
    }
    CHECK(amount_sub(&taken, amount, need));
    return taken;
}

void apply_tell_slashed(struct apply *a, const struct hash *why, enum bond_role role, const struct pubkey *owner,
                        struct amount taken)
{
    struct ledger_event *e = apply_event(a, LEDGER_SLASHED);
    e->id = *why;
    e->a = *owner;
    e->amount = taken;
    e->code = (uint8_t)role;
}
