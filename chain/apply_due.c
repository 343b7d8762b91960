/* What happens by itself, in the order of its time: first the draws whose height has come, then timed effects whose
 * time has, by the ledger's clock. A block does at most DRAWS_PER_BLOCK_MAX and DUE_PER_BLOCK_MAX of them; the next
 * goes on where it stopped. Each has its own measure, so that settlements without end keep no money from coming back
 * whose time has come; what a block could not get to holds the clock (apply_clock.c). */
#include "chain/apply.h"

static void end_unbonding(struct apply *a, const struct due *d)
{
    struct rec_unbonding u;
    enum bond_role role = (enum bond_role)d->rec.role;
    if (!state_get_unbonding(a->s, role, &d->rec.owner, &d->id, &u))
        return;
    state_remove_unbonding(a->s, &d->id, &u);
    state_credit(a->s, POT_LOCKED, &u.owner, u.amount);
    struct ledger_event *e = apply_event(a, LEDGER_UNBONDED);
    e->a = u.owner;
    e->amount = u.amount;
    e->code = u.role;
}

static void end_channel(struct apply *a, const struct hash *id)
{
    struct rec_channel ch;
    if (state_get_channel(a->s, id, &ch))
        apply_channel_end(a, &ch);
}

static void end_model_bond(struct apply *a, const struct hash *root)
{
    struct rec_model m;
    if (!state_get_model(a->s, root, &m))
        return;
    state_credit(a->s, POT_LOCKED, &m.publisher, m.bond);
    m.bond = amount_of(0);
    state_put_model(a->s, root, &m);
}

static void happen(struct apply *a, const struct due *d)
{
    switch (d->kind) {
    case DUE_UNBOND:
        end_unbonding(a, d);
        return;
    case DUE_CHANNEL_CLOSE:
        end_channel(a, &d->id);
        return;
    case DUE_SETTLEMENT_MATURE:
        apply_settlement_mature(a, &d->id);
        return;
    case DUE_SETTLEMENT_FORGET:
        state_remove_settlement(a->s, &d->id);
        return;
    case DUE_MODEL_BOND:
        end_model_bond(a, &d->id);
        return;
    case DUE_GRANT:
        apply_grant_end(a, &d->id);
        return;
    case DUE_BOUNTY:
        apply_bounty_end(a, &d->id);
        return;
    case DUE_OFFER:
        state_remove_offer(a->s, &d->id);
        return;
    case DUE_DOUBT:
        apply_doubt_due(a, &d->id);
        return;
    case DUE_CLAIM:
        apply_claim_due(a, &d->id);
        return;
    }
    CHECK(!"a kind of due effect");
}

void apply_due(struct apply *a)
{
    uint64_t height;
    struct hash id;
    struct due d;
    struct apply_auditors known = {0};
    for (uint32_t n = 0; n < DRAWS_PER_BLOCK_MAX && state_first_draw(a->s, &height, &id) && height <= a->height; n++) {
        state_remove_draw(a->s, height, &id);
        apply_settlement_draw(a, &id, &known);
        apply_doubt_draw(a, &id, &known); /* no id is of both */
    }
    apply_auditors_clear(&known);
    for (uint32_t n = 0; n < DUE_PER_BLOCK_MAX && state_first_due(a->s, &d) && d.time_ms <= a->clock_ms; n++) {
        state_remove_due(a->s, &d);
        happen(a, &d);
    }
}
