/* Settlements from escrow to their end.
 *
 *                 at height + 2: draw                  every drawn receipt matches,
 *     WAITING ----------------------------> DRAWN ---- or the window has passed ---------> PAID
 *        |  nobody can audit, or               |
 *        |  nothing is to be drawn: PAID        `----- a mismatch, or withheld -----------> FORFEITED
 *
 * Paid: burn, audit fund, royalty by share, each rounded down, the rest to the provider's owner. The royalty goes to
 * the publisher and along the flattened lineage, each part rounded down; what rounding leaves is the provider's.
 * Auditors who gave a verdict are paid out of the fund, together at most what this settlement put in.
 *
 * Forfeited: all of it returns to the payer. The auditor who found it is paid what a match would have paid, out of the
 * provider's bond: the loser pays, and nobody can drain the fund by settling with himself. The owner comes under full
 * audit; the second exact mismatch within the window is slashed, while slashing is not paused (apply_pause.c). */
#include "chain/apply.h"

#include "base/mem.h"

#include <stdlib.h>

uint32_t settlement_audits(const struct rec_settlement *s)
{
    return (uint32_t)(s->audits.n / AUDIT_DRAW_SIZE);
}

struct audit_draw settlement_audit_at(const struct rec_settlement *s, uint32_t i)
{
    struct audit_draw d;
    CHECK(i < settlement_audits(s));
    struct cursor c = cursor_of(bytes_of(s->audits.p + (size_t)i * AUDIT_DRAW_SIZE, AUDIT_DRAW_SIZE));
    audit_draw_get(&c, &d);
    return d;
}

/* The record stays for those who ask, for keep_ms. */
static void finish(struct apply *a, struct rec_settlement *s, enum settlement_state state)
{
    if (s->state == SETTLEMENT_DRAWN)
        state_remove_due(a->s, &(struct due){s->deadline_ms, DUE_SETTLEMENT_MATURE, s->id, {s->owner, 0}});
    s->state = (uint8_t)state;
    state_put_settlement(a->s, &s->id, s);
    state_put_due(a->s, &(struct due){a->time_ms + a->params.keep_ms, DUE_SETTLEMENT_FORGET, s->id, {s->owner, 0}});
}

/* -- payout -- */

static void pay(struct apply *a, const struct hash *settlement, const struct hash *source, enum pot from,
                const struct pubkey *to, struct amount amount, enum payout_reason reason)
{
    if (amount.mote == 0)
        return;
    state_credit(a->s, from, to, amount);
    struct ledger_event *e = apply_event(a, LEDGER_PAYOUT);
    e->id = *settlement;
    e->other = *source;
    e->a = *to;
    e->amount = amount;
    e->code = (uint8_t)reason;
}

/* Pays the royalty along the lineage; returns what was paid. */
static struct amount pay_royalty(struct apply *a, const struct rec_settlement *s, const struct rec_model *m)
{
    struct amount royalty = amount_share(s->amount, m->royalty_bps), paid = amount_of(0), part = amount_of(0);
    struct cursor c = cursor_of(m->lineage);
    uint32_t own = LINEAGE_WHOLE;
    while (c.n) {
        struct flat_entry e;
        flat_entry_get(&c, &e);
        CHECK(cursor_ok(&c) && e.share <= own);
        CHECK(amount_scale(&part, royalty, e.share, LINEAGE_WHOLE));
        pay(a, &s->id, &e.id, POT_LOCKED, &e.to, part, e.type == LINEAGE_MODEL ? PAYOUT_PARENT : PAYOUT_DATA);
        CHECK(amount_add(&paid, paid, part));
        own -= e.share;
    }
    CHECK(amount_scale(&part, royalty, own, LINEAGE_WHOLE));
    pay(a, &s->id, &m->root, POT_LOCKED, &m->publisher, part, PAYOUT_PUBLISHER);
    CHECK(amount_add(&paid, paid, part));
    return paid;
}

/* What one audit of this settlement earns. */
static struct amount audit_pay(const struct apply *a, const struct rec_settlement *s)
{
    uint32_t n = settlement_audits(s);
    return amount_of(n ? amount_share(s->amount, a->params.audit_bps).mote / n : 0);
}

static struct pubkey owner_of(const struct apply *a, const struct pubkey *node)
{
    struct rec_provider p;
    CHECK(state_get_provider(a->s, node, &p));
    return p.owner;
}

static void pay_auditors(struct apply *a, const struct rec_settlement *s)
{
    for (uint32_t i = 0; i < settlement_audits(s); i++) {
        struct audit_draw d = settlement_audit_at(s, i);
        if (d.verdict == AUDIT_PENDING)
            continue;
        struct pubkey owner = owner_of(a, &d.auditor);
        pay(a, &s->id, &s->model, POT_FUNDS, &owner, audit_pay(a, s), PAYOUT_AUDITOR);
    }
}

static void payout(struct apply *a, struct rec_settlement *s)
{
    struct rec_model model;
    CHECK(state_get_model(a->s, &s->model, &model));
    struct amount burn = amount_share(s->amount, a->params.settle_burn_bps);
    struct amount fund = amount_share(s->amount, a->params.audit_bps), rest = s->amount;
    struct amount royalty = pay_royalty(a, s, &model);
    state_shift(a->s, POT_LOCKED, POT_BURNED, burn);
    state_shift(a->s, POT_LOCKED, POT_FUNDS, fund);
    CHECK(amount_sub(&rest, rest, burn) && amount_sub(&rest, rest, fund) && amount_sub(&rest, rest, royalty));
    pay(a, &s->id, &s->model, POT_LOCKED, &s->owner, rest, PAYOUT_PROVIDER);
    pay_auditors(a, s);
    finish(a, s, SETTLEMENT_PAID);
}

void apply_settlement_mature(struct apply *a, const struct hash *id)
{
    struct rec_settlement s;
    if (state_get_settlement(a->s, id, &s) && s.state == SETTLEMENT_DRAWN)
        payout(a, &s);
}

/* -- draws -- */

struct candidate {
    struct pubkey node, owner;
    struct amount stake;
};

/* Nodes that audit this model, one per owner, bonded, and no party to the settlement. */
static struct candidate *candidates_new(struct apply *a, const struct rec_settlement *s, uint32_t *n)
{
    struct candidate *list = NULL;
    struct pubkey node;
    *n = 0;
    for (bool more = state_next_auditor(a->s, &s->model, NULL, &node); more;
         more = state_next_auditor(a->s, &s->model, &node, &node)) {
        struct candidate c = {node, owner_of(a, &node), amount_of(0)};
        c.stake = state_get_bond(a->s, BOND_AUDITOR, &c.owner);
        bool out = pubkey_equal(&c.owner, &s->owner) || pubkey_equal(&c.owner, &s->payer) ||
                   pubkey_equal(&c.node, &s->payer) || c.stake.mote == 0 ||
                   amount_compare(c.stake, a->params.auditor_bond_min) < 0;
        for (uint32_t i = 0; i < *n && !out; i++)
            out = pubkey_equal(&list[i].owner, &c.owner);
        if (out)
            continue;
        list = mem_resize(list, *n + 1, sizeof *list);
        list[(*n)++] = c;
    }
    return list;
}

/* A number that nobody could know when the settlement was made. */
static uint64_t draw_number(const struct apply *a, const struct hash *settlement, uint32_t k, const char use[4])
{
    struct hasher h;
    hash_start(&h, HASH_BEACON);
    hash_add(&h, a->beacon.b, sizeof a->beacon.b);
    hash_add(&h, settlement->b, sizeof settlement->b);
    hash_add_u32(&h, k);
    hash_add(&h, use, 4);
    struct hash out = hash_end(&h);
    return load_le64(out.b);
}

/* By stake among those at or behind `first`; the chosen one is moved to `first`. */
static void choose_auditor(struct candidate *list, uint32_t n, uint32_t first, uint64_t number)
{
    struct amount total = amount_of(0);
    for (uint32_t i = first; i < n; i++)
        CHECK(amount_add(&total, total, list[i].stake));
    uint64_t at = number % total.mote;
    uint32_t i = first;
    while (at >= list[i].stake.mote)
        at -= list[i++].stake.mote;
    struct candidate chosen = list[i];
    list[i] = list[first];
    list[first] = chosen;
}

static bool index_taken(struct bytes draws, uint32_t index)
{
    for (size_t at = 0; at < draws.n; at += AUDIT_DRAW_SIZE)
        if (load_le32(draws.p + at) == index)
            return true;
    return false;
}

static uint32_t draws_wanted(const struct apply *a, const struct rec_settlement *s)
{
    struct rec_fault fault;
    uint32_t want = a->params.audits_per_settlement, drawable = s->count - s->from;
    if (state_get_fault(a->s, &s->owner, &fault) && fault.full_audit_until_ms > a->time_ms)
        want = want > a->params.audits_full ? want : a->params.audits_full;
    return want < drawable ? want : drawable;
}

static void event_draw(struct apply *a, const struct rec_settlement *s, const struct audit_draw *d,
                       enum ledger_event_kind kind)
{
    struct ledger_event *e = apply_event(a, kind);
    e->id = s->id;
    e->other = s->channel;
    e->a = d->auditor;
    e->b = s->provider;
    e->index = d->index;
    e->code = d->verdict;
    e->time_ms = s->deadline_ms;
}

void apply_settlement_draw(struct apply *a, const struct hash *id)
{
    struct rec_settlement s;
    struct buf draws = {0};
    uint32_t n = 0;
    if (!state_get_settlement(a->s, id, &s) || s.state != SETTLEMENT_WAITING)
        return;
    struct candidate *list = candidates_new(a, &s, &n);
    uint32_t want = n ? draws_wanted(a, &s) : 0;
    s.deadline_ms = a->time_ms + a->params.audit_window_ms;
    for (uint32_t k = 0; k < want; k++) {
        uint32_t first = k % n; /* all were chosen once: start again */
        choose_auditor(list, n, first, draw_number(a, id, k, "node"));
        struct audit_draw d = {0, list[first].node, AUDIT_PENDING};
        d.index = s.from + (uint32_t)(draw_number(a, id, k, "leaf") % (s.count - s.from));
        while (index_taken(bytes_of_buf(&draws), d.index))
            d.index = d.index + 1 < s.count ? d.index + 1 : s.from;
        audit_draw_put(&draws, &d);
        event_draw(a, &s, &d, LEDGER_AUDIT_DRAWN);
    }
    free(list);
    s.audits = bytes_of_buf(&draws);
    if (want) {
        s.state = SETTLEMENT_DRAWN;
        state_put_settlement(a->s, &s.id, &s);
        state_put_due(a->s, &(struct due){s.deadline_ms, DUE_SETTLEMENT_MATURE, s.id, {s.owner, 0}});
    } else {
        payout(a, &s);
    }
    buf_clear(&draws);
}

/* -- audits -- */

/* The receipt is the drawn one: signed by the provider, and in the settled tree at this index. */
static enum err evidence_check(struct apply *a, const struct tx_audit *body, const struct rec_settlement *s)
{
    struct cursor c = cursor_of(body->receipt);
    struct signed_receipt r;
    if (body->verdict == AUDIT_WITHHELD)
        return body->receipt.n == 0 && body->proof.n == 0 && hash_is_zero(&body->digest)
                   ? ERR_OK
                   : note_set(a->note, ERR_FORMAT, "what was withheld cannot be shown: leave receipt and digest out");
    signed_receipt_get(&c, &r);
    if (!cursor_end(&c))
        return note_set(a->note, ERR_FORMAT, "the receipt does not decode");
    struct sum_node leaf = sum_leaf(&r.receipt);
    if (!hash_equal(&r.receipt.channel, &s->channel) ||
        !sum_tree_verify(&s->receipts_root, s->count, body->index, &leaf, body->proof))
        return note_set(a->note, ERR_MISMATCH, "this is not receipt %u of the settlement", body->index);
    if (!receipt_verify(&r.receipt, &s->provider, &r.sig))
        return note_set(a->note, ERR_AUTH, "the receipt is not signed by the provider");
    return ERR_OK;
}

/* An exact mismatch is counted; the second within the window costs a part of the bond. */
static void punish(struct apply *a, const struct rec_settlement *s, const struct audit_draw *d)
{
    struct rec_fault fault;
    struct pubkey auditor = owner_of(a, &d->auditor);
    state_get_fault(a->s, &s->owner, &fault);
    bool again = fault.mismatches > 0 && a->time_ms - fault.last_ms <= a->params.fault_window_ms;
    fault.full_audit_until_ms = a->time_ms + a->params.fault_window_ms;
    if (d->verdict == AUDIT_MISMATCH)
        fault.mismatch_ms = a->time_ms;
    if (d->verdict == AUDIT_MISMATCH && !apply_slashing_paused(a)) {
        fault.mismatches += fault.mismatches < UINT32_MAX;
        fault.last_ms = a->time_ms;
    }
    state_put_fault(a->s, &s->owner, &fault);
    struct amount pay_of = apply_take_stake(a, BOND_PROVIDER, &s->owner, audit_pay(a, s));
    pay(a, &s->id, &s->model, POT_LOCKED, &auditor, pay_of, PAYOUT_AUDITOR);
    if (d->verdict != AUDIT_MISMATCH || !again || apply_slashing_paused(a))
        return;
    struct amount want = amount_share(apply_stake(a->s, BOND_PROVIDER, &s->owner), a->params.slash_bps);
    struct amount taken = apply_take_stake(a, BOND_PROVIDER, &s->owner, want), burn;
    struct amount part = amount_share(taken, a->params.slash_auditor_bps);
    CHECK(amount_sub(&burn, taken, part));
    pay(a, &s->id, &s->model, POT_LOCKED, &auditor, part, PAYOUT_AUDITOR);
    state_shift(a->s, POT_LOCKED, POT_BURNED, burn);
    struct ledger_event *e = apply_event(a, LEDGER_SLASHED);
    e->id = s->id;
    e->a = s->owner;
    e->amount = taken;
    e->code = BOND_PROVIDER;
}

static void forfeit(struct apply *a, struct rec_settlement *s, const struct audit_draw *d)
{
    state_credit(a->s, POT_LOCKED, &s->payer, s->amount);
    struct ledger_event *e = apply_event(a, LEDGER_FORFEITED);
    e->id = s->id;
    e->other = s->channel;
    e->a = s->payer;
    e->b = s->provider;
    e->amount = s->amount;
    punish(a, s, d);
    finish(a, s, SETTLEMENT_FORFEITED);
}

/* Finds the signer's draw of this index; writes the verdict into `draws`, a copy of all of them. Counts those pending
 * still. */
static enum err verdict_set(struct apply *a, const struct tx_audit *body, const struct rec_settlement *s,
                            struct buf *draws, struct audit_draw *own, uint32_t *pending)
{
    bool found = false;
    *pending = 0;
    for (uint32_t i = 0; i < settlement_audits(s); i++) {
        struct audit_draw d = settlement_audit_at(s, i);
        if (d.index == body->index && pubkey_equal(&d.auditor, &a->signer)) {
            if (d.verdict != AUDIT_PENDING)
                return note_set(a->note, ERR_DUPLICATE, "receipt %u has its verdict already", body->index);
            d.verdict = body->verdict;
            *own = d;
            found = true;
        }
        *pending += d.verdict == AUDIT_PENDING;
        audit_draw_put(draws, &d);
    }
    if (!found)
        return note_set(a->note, ERR_AUTH, "this node was not drawn for receipt %u", body->index);
    return ERR_OK;
}

static enum err audit(struct apply *a, const struct tx_audit *body, struct rec_settlement *s, struct buf *draws)
{
    struct audit_draw own;
    uint32_t pending;
    enum err e = verdict_set(a, body, s, draws, &own, &pending);
    if (e)
        return e;
    if ((e = evidence_check(a, body, s)))
        return e;
    s->audits = bytes_of_buf(draws);
    event_draw(a, s, &own, LEDGER_AUDIT_VERDICT);
    apply_count_verdict(a, &s->owner, (enum audit_verdict)own.verdict);
    if (own.verdict != AUDIT_MATCH)
        forfeit(a, s, &own);
    else if (pending == 0)
        payout(a, s);
    else
        state_put_settlement(a->s, &s->id, s);
    return ERR_OK;
}

enum err apply_tx_audit(struct apply *a, const struct tx_audit *body)
{
    struct rec_settlement s;
    struct buf draws = {0};
    if (body->verdict >= AUDIT_VERDICTS)
        return note_set(a->note, ERR_FORMAT, "verdict %u: it is 0 match, 1 mismatch or 2 withheld", body->verdict);
    if (!state_get_settlement(a->s, &body->settlement, &s))
        return note_set(a->note, ERR_NOT_FOUND, "no settlement %s...", apply_text_id(body->settlement.b).s);
    if (s.state != SETTLEMENT_DRAWN)
        return note_set(a->note, ERR_STATE, "settlement %s... waits for no audit", apply_text_id(s.id.b).s);
    if (a->time_ms > s.deadline_ms)
        return note_set(a->note, ERR_EXPIRED, "the audit window of settlement %s... has passed",
                        apply_text_id(s.id.b).s);
    enum err e = audit(a, body, &s, &draws);
    buf_clear(&draws);
    return e;
}
