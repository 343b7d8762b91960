/* Planted jobs: who says of a job that it replays without having looked loses a part of his bond.
 *
 * A planter is payer and provider in one hand, or two hands that agree. The provider answers as it should, and commits
 * in the receipt to a digest that no replay gives: plant_digest of a secret. Nothing on the ledger, and nothing in the
 * transcript, tells that receipt from others; its commitment is in the settled tree, so before the draw. An auditor who
 * replays it finds a mismatch, as he must. Whoever says match shows that he did not.
 *
 *     the first round is over and       settlement       revealed by the payer:
 *     all say match                     PAID             who said match loses; nothing else changes
 *     somebody accuses, or challenges   before a         who said match loses; who said mismatch has his pay, and the
 *                                       committee        payer the rest: FORFEITED, and no fault of the provider
 *
 * The proof is the digest itself. That it is wrong follows from the hash: to plant what an honest auditor finds in
 * order one would have to know a secret whose hash is the model's own digest. That it covers no fraud follows from the
 * signature: it is the payer's, whom a fraud would have cost, and an honest one has no such secret. Nothing is paid for
 * it but what those caught lose, so that there is nothing to be had by planting for one's own auditors. */
#include "chain/apply.h"

static enum err plant_check(struct apply *a, const struct tx_plant *body, struct rec_settlement *s)
{
    if (!state_get_settlement(a->s, &body->settlement, s))
        return note_set(a->note, ERR_NOT_FOUND, "no settlement %s...", apply_text_id(body->settlement.b).s);
    if (!pubkey_equal(&a->signer, &s->payer))
        return note_set(a->note, ERR_AUTH, "only its payer shows that a job was planted");
    if (s->state < SETTLEMENT_PAID && s->round == 0)
        return note_set(a->note, ERR_STATE, "the first auditors of settlement %s... are not heard yet: show it then",
                        apply_text_id(s->id.b).s);
    if (s->state == SETTLEMENT_FORFEITED || (s->state == SETTLEMENT_PAID && s->round))
        return note_set(a->note, ERR_STATE, "a committee decided about settlement %s...: it was to be shown before",
                        apply_text_id(s->id.b).s);
    if (s->state == SETTLEMENT_PAID && a->clock_ms - s->time_ms > params_verdict_ms(&a->params))
        return note_set(a->note, ERR_EXPIRED, "settlement %s... is too old: bonds answer no more",
                        apply_text_id(s->id.b).s);
    struct receipt r;
    enum err e = apply_receipt_check(a, s, body->index, body->receipt, body->proof, &r);
    if (e)
        return e;
    struct hash digest = plant_digest(&body->secret);
    struct hash commit = receipt_commit(body->salt.b, bytes_of(digest.b, sizeof digest.b));
    if (!hash_equal(&commit, &r.digest_commit))
        return note_set(a->note, ERR_MISMATCH, "receipt %u is not planted: its digest is not that of this secret",
                        body->index);
    return ERR_OK;
}

/* A part of the bond of one who said match. No pause of slashing stops it: no backend is to blame for not looking. */
static struct amount take_lazy(struct apply *a, const struct rec_settlement *s, const struct audit_draw *d)
{
    struct pubkey owner = apply_owner_of(a, &d->auditor);
    struct amount want = amount_share(apply_stake(a->s, BOND_AUDITOR, &owner), a->params.audit_slash_bps);
    struct amount taken = apply_take_stake(a, BOND_AUDITOR, &owner, want);
    apply_tell_slashed(a, &s->id, BOND_AUDITOR, &owner, taken);
    return taken;
}

/* Those who said match of the receipt: marked, so that each is caught once; how many, and what they lose. */
static uint32_t catch_lazy(struct apply *a, struct rec_settlement *s, uint32_t index, struct amount *pool)
{
    struct buf draws = {0};
    uint32_t caught = 0;
    *pool = amount_of(0);
    for (uint32_t i = 0; i < settlement_audits(s); i++) {
        struct audit_draw d = settlement_audit_at(s, i);
        if (d.index == index && d.verdict == AUDIT_MATCH) {
            CHECK(amount_add(pool, *pool, take_lazy(a, s, &d)));
            d.verdict = AUDIT_CAUGHT;
            caught++;
        }
        audit_draw_put(&draws, &d);
    }
    s->audits = bytes_of_buf(&draws);
    state_put_settlement(a->s, &s->id, s);
    buf_clear(&draws);
    CHECK(state_get_settlement(a->s, &s->id, s));
    return caught;
}

/* Was right about what it was asked, the planted receipt or another one. */
static bool is_right(const struct audit_draw *d, uint32_t planted)
{
    return d->index == planted ? d->verdict == AUDIT_MISMATCH : d->verdict == AUDIT_MATCH && d->round == 0;
}

/* Ends what is in escrow: the pay of those who looked, as for any audit, and the rest to the payer. */
static struct amount call_off(struct apply *a, struct rec_settlement *s, uint32_t planted)
{
    struct amount rest = s->amount, each = apply_audit_pay(a, s);
    uint32_t n = 0;
    for (uint32_t i = 0; i < settlement_audits(s); i++) {
        struct audit_draw d = settlement_audit_at(s, i);
        n += is_right(&d, planted);
    }
    if (n && each.mote > rest.mote / n)
        each.mote = rest.mote / n;
    for (uint32_t i = 0; i < settlement_audits(s); i++) {
        struct audit_draw d = settlement_audit_at(s, i);
        if (!is_right(&d, planted))
            continue;
        struct pubkey owner = apply_owner_of(a, &d.auditor);
        apply_pay(a, &s->id, &s->model, POT_LOCKED, &owner, each, PAYOUT_AUDITOR);
        CHECK(amount_sub(&rest, rest, each));
    }
    state_credit(a->s, POT_LOCKED, &s->payer, rest);
    state_credit(a->s, POT_LOCKED, &s->challenger, s->challenge_bond);
    s->challenge_bond = amount_of(0);
    struct ledger_event *e = apply_event(a, LEDGER_FORFEITED);
    e->id = s->id;
    e->other = s->channel;
    e->a = s->payer;
    e->b = s->provider;
    e->amount = rest;
    apply_settlement_finish(a, s, SETTLEMENT_FORFEITED);
    return rest;
}

enum err apply_tx_plant(struct apply *a, const struct tx_plant *body)
{
    struct rec_settlement s;
    struct amount pool, burn, back = amount_of(0);
    enum err e = plant_check(a, body, &s);
    if (e)
        return e;
    bool is_paid = s.state == SETTLEMENT_PAID;
    uint32_t caught = catch_lazy(a, &s, body->index, &pool);
    if (is_paid && caught == 0)
        return note_set(a->note, ERR_STATE, "nobody said of receipt %u that it is in order", body->index);
    struct amount part = amount_share(pool, a->params.slash_auditor_bps);
    CHECK(amount_sub(&burn, pool, part));
    apply_pay(a, &s.id, &s.model, POT_LOCKED, &s.payer, part, PAYOUT_AUDITOR);
    state_shift(a->s, POT_LOCKED, POT_BURNED, burn);
    if (!is_paid)
        back = call_off(a, &s, body->index);
    struct ledger_event *ev = apply_event(a, LEDGER_PLANTED);
    ev->id = s.id;
    ev->other = s.channel;
    ev->a = s.payer;
    ev->b = s.provider;
    ev->amount = back;
    ev->index = body->index;
    ev->code = (uint8_t)caught;
    return ERR_OK;
}
