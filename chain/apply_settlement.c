/* Settlements from escrow to their end; what auditors and challengers do in between is in apply_audit.c.
 *
 *    AUDIT_DRAW_BLOCKS on: draw              all committed, or the window over     all revealed, or the window over
 *     WAITING --------------------> DRAWN ----------------------------------> REVEALING ---------------> decision
 *        |  nobody can audit: PAID    `--- nobody committed ------------------------------------------------^
 *        |
 *        `<--- a committee is wanted (apply_audit.c): the next round's draw, as far on
 *
 *     decision: no fault ---> PAID        a fault ---> FORFEITED
 *
 * Paid: burn, audit fund, royalty by share, each rounded down, the rest to the provider's owner. The royalty goes to
 * the publisher and along the flattened lineage, each part rounded down; what rounding leaves is the provider's.
 * Auditors of the first round who gave a verdict are paid out of the fund, together at most what this settlement put
 * in. */
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
void apply_settlement_finish(struct apply *a, struct rec_settlement *s, enum settlement_state state)
{
    if (s->state == SETTLEMENT_DRAWN || s->state == SETTLEMENT_REVEALING)
        state_remove_due(a->s, &(struct due){s->deadline_ms, DUE_SETTLEMENT_MATURE, s->id, {s->owner, 0}});
    s->state = (uint8_t)state;
    state_put_settlement(a->s, &s->id, s);
    state_put_due(a->s, &(struct due){a->clock_ms + a->params.keep_ms, DUE_SETTLEMENT_FORGET, s->id, {s->owner, 0}});
}

/* -- payout -- */

void apply_pay(struct apply *a, const struct hash *settlement, const struct hash *source, enum pot from,
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
        apply_pay(a, &s->id, &e.id, POT_LOCKED, &e.to, part, e.type == LINEAGE_MODEL ? PAYOUT_PARENT : PAYOUT_DATA);
        CHECK(amount_add(&paid, paid, part));
        own -= e.share;
    }
    CHECK(amount_scale(&part, royalty, own, LINEAGE_WHOLE));
    apply_pay(a, &s->id, &m->root, POT_LOCKED, &m->publisher, part, PAYOUT_PUBLISHER);
    CHECK(amount_add(&paid, paid, part));
    return paid;
}

static uint32_t first_round(const struct rec_settlement *s)
{
    uint32_t n = 0;
    while (n < settlement_audits(s) && settlement_audit_at(s, n).round == 0)
        n++;
    return n;
}

struct amount apply_audit_pay(const struct apply *a, const struct rec_settlement *s)
{
    uint32_t n = first_round(s);
    return amount_of(amount_share(s->amount, a->params.audit_bps).mote / (n ? n : 1));
}

struct pubkey apply_owner_of(const struct apply *a, const struct pubkey *node)
{
    struct rec_provider p;
    CHECK(state_get_provider(a->s, node, &p));
    return p.owner;
}

static void pay_auditors(struct apply *a, const struct rec_settlement *s)
{
    for (uint32_t i = 0; i < first_round(s); i++) {
        struct audit_draw d = settlement_audit_at(s, i);
        if (d.verdict != AUDIT_MATCH)
            continue;
        struct pubkey owner = apply_owner_of(a, &d.auditor);
        apply_pay(a, &s->id, &s->model, POT_FUNDS, &owner, apply_audit_pay(a, s), PAYOUT_AUDITOR);
    }
}

void apply_settlement_payout(struct apply *a, struct rec_settlement *s)
{
    struct rec_model model;
    CHECK(state_get_model(a->s, &s->model, &model));
    struct amount burn = amount_share(s->amount, a->params.settle_burn_bps);
    struct amount fund = amount_share(s->amount, a->params.audit_bps), rest = s->amount;
    struct amount royalty = pay_royalty(a, s, &model);
    state_shift(a->s, POT_LOCKED, POT_BURNED, burn);
    state_shift(a->s, POT_LOCKED, POT_FUNDS, fund);
    CHECK(amount_sub(&rest, rest, burn) && amount_sub(&rest, rest, fund) && amount_sub(&rest, rest, royalty));
    apply_pay(a, &s->id, &s->model, POT_LOCKED, &s->owner, rest, PAYOUT_PROVIDER);
    pay_auditors(a, s);
    apply_settlement_finish(a, s, SETTLEMENT_PAID);
}

/* -- draws -- */

/* The owners that were asked about the disputed receipt in earlier rounds. */
struct asked {
    struct pubkey owner[AUDITORS_ASKED_MAX];
    uint32_t n;
};

static void asked_find(const struct apply *a, const struct rec_settlement *s, struct asked *out)
{
    out->n = 0;
    for (uint32_t i = 0; i < settlement_audits(s); i++) {
        struct audit_draw d = settlement_audit_at(s, i);
        if (d.index == s->disputed)
            out->owner[out->n++] = apply_owner_of(a, &d.auditor);
    }
}

static bool was_asked(const struct asked *asked, const struct pubkey *owner)
{
    for (uint32_t i = 0; i < asked->n; i++)
        if (pubkey_equal(&asked->owner[i], owner))
            return true;
    return false;
}

static bool is_party(const struct rec_settlement *s, const struct pubkey *key)
{
    return pubkey_equal(key, &s->challenger) || pubkey_equal(key, &s->owner) || pubkey_equal(key, &s->payer);
}

void apply_auditors_clear(struct apply_auditors *k)
{
    for (uint32_t i = 0; i < k->n; i++)
        free(k->at[i].list);
    *k = (struct apply_auditors){0};
}

/* Nodes that audit this model, one per owner, bonded. */
static void look_up(const struct apply *a, const struct hash *model, struct apply_audited *out)
{
    struct candidate c;
    uint32_t room = 0;
    *out = (struct apply_audited){.model = *model};
    for (bool more = state_next_auditor(a->s, model, NULL, &c.owner, &c.node); more;
         more = state_next_auditor(a->s, model, &c.owner, &c.owner, &c.node)) {
        c.stake = state_get_bond(a->s, BOND_AUDITOR, &c.owner);
        if (c.stake.mote == 0 || amount_compare(c.stake, a->params.auditor_bond_min) < 0)
            continue;
        if (out->n == room) {
            room = room ? 2 * room : 64;
            out->list = mem_resize(out->list, room, sizeof *out->list);
        }
        out->list[out->n++] = c;
    }
}

const struct apply_audited *apply_audited(const struct apply *a, const struct hash *model, struct apply_auditors *k)
{
    if (k->version != a->s->auditors_version)
        apply_auditors_clear(k);
    k->version = a->s->auditors_version;
    for (uint32_t i = 0; i < k->n; i++)
        if (hash_equal(&k->at[i].model, model))
            return &k->at[i];
    struct apply_audited *at = &k->at[k->n < APPLY_AUDITED_MAX ? k->n++ : k->next++ % APPLY_AUDITED_MAX];
    free(at->list);
    look_up(a, model, at);
    return at;
}

/* Of those, who is no party to the settlement, and not asked before. */
static struct candidate *candidates_new(struct apply *a, const struct rec_settlement *s, struct apply_auditors *known,
                                        uint32_t *n)
{
    struct asked asked;
    const struct apply_audited *all = apply_audited(a, &s->model, known);
    struct candidate *list = mem_array(all->n ? all->n : 1, sizeof *list);
    *n = 0;
    asked_find(a, s, &asked);
    for (uint32_t i = 0; i < all->n; i++) {
        const struct candidate *c = &all->list[i];
        if (!is_party(s, &c->owner) && !is_party(s, &c->node) && !was_asked(&asked, &c->owner))
            list[(*n)++] = *c;
    }
    return list;
}

uint64_t apply_draw_number(const struct apply *a, const struct hash *id, uint32_t k, const char use[4])
{
    struct hasher h;
    hash_start(&h, HASH_BEACON);
    hash_add(&h, a->beacon.b, sizeof a->beacon.b);
    hash_add(&h, id->b, sizeof id->b);
    hash_add_u32(&h, k);
    hash_add(&h, use, 4);
    struct hash out = hash_end(&h);
    return load_le64(out.b);
}

void apply_choose_auditor(struct candidate *list, uint32_t n, uint32_t first, uint64_t number)
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
    if (state_get_fault(a->s, &s->owner, &fault) && fault.full_audit_until_ms > a->clock_ms)
        want = want > a->params.audits_full ? want : a->params.audits_full;
    return want < drawable ? want : drawable;
}

void apply_event_draw(struct apply *a, const struct rec_settlement *s, const struct audit_draw *d,
                      enum ledger_event_kind kind)
{
    struct ledger_event *e = apply_event(a, kind);
    e->id = s->id;
    e->other = s->channel;
    e->a = d->auditor;
    e->b = s->provider;
    e->index = d->index;
    e->code = d->verdict;
    e->time_ms = apply_date(a, s->deadline_ms);
}

/* The first round: receipts at random, an auditor for each, all asked once before anyone twice. */
static void draw_first(struct apply *a, struct rec_settlement *s, struct candidate *list, uint32_t n, struct buf *draws)
{
    uint32_t want = n ? draws_wanted(a, s) : 0;
    for (uint32_t k = 0; k < want; k++) {
        uint32_t first = k % n;
        apply_choose_auditor(list, n, first, apply_draw_number(a, &s->id, k, "node"));
        struct audit_draw d = {.auditor = list[first].node, .verdict = AUDIT_PENDING};
        d.index = s->from + (uint32_t)(apply_draw_number(a, &s->id, k, "leaf") % (s->count - s->from));
        while (index_taken(bytes_of_buf(draws), d.index))
            d.index = d.index + 1 < s->count ? d.index + 1 : s->from;
        audit_draw_put(draws, &d);
        apply_event_draw(a, s, &d, LEDGER_AUDIT_DRAWN);
    }
}

uint32_t apply_committee_size(const struct rec_settlement *s)
{
    uint32_t size = 2, round = 0;
    for (uint32_t i = 0; i < settlement_audits(s); i++) {
        struct audit_draw d = settlement_audit_at(s, i);
        if (d.index != s->disputed || d.round == round || d.round == s->round)
            continue;
        round = d.round;
        size *= 2;
    }
    return size;
}

/* A later one: a committee of 2, 4, 8... over the disputed receipt, or all that are left. */
static void draw_committee(struct apply *a, struct rec_settlement *s, struct candidate *list, uint32_t n,
                           struct buf *draws)
{
    uint32_t room = apply_committee_room(s), want = apply_committee_size(s);
    want = want < room ? want : room;
    buf_add(draws, s->audits.p, s->audits.n);
    for (uint32_t k = 0; k < want && k < n; k++) {
        apply_choose_auditor(list, n, k, apply_draw_number(a, &s->id, k, "node"));
        struct audit_draw d = {
            .index = s->disputed, .auditor = list[k].node, .round = s->round, .verdict = AUDIT_PENDING};
        audit_draw_put(draws, &d);
        apply_event_draw(a, s, &d, LEDGER_AUDIT_DRAWN);
    }
}

void apply_settlement_draw(struct apply *a, const struct hash *id, struct apply_auditors *known)
{
    struct rec_settlement s;
    struct buf draws = {0};
    uint32_t n = 0;
    if (!state_get_settlement(a->s, id, &s) || s.state != SETTLEMENT_WAITING)
        return;
    struct candidate *list = candidates_new(a, &s, known, &n);
    uint32_t before = settlement_audits(&s);
    s.deadline_ms = a->clock_ms + a->params.audit_window_ms;
    if (s.round == 0)
        draw_first(a, &s, list, n, &draws);
    else
        draw_committee(a, &s, list, n, &draws);
    free(list);
    if (draws.n / AUDIT_DRAW_SIZE > before) {
        s.audits = bytes_of_buf(&draws);
        s.state = SETTLEMENT_DRAWN;
        state_put_settlement(a->s, &s.id, &s);
        state_put_due(a->s, &(struct due){s.deadline_ms, DUE_SETTLEMENT_MATURE, s.id, {s.owner, 0}});
    } else {
        apply_audit_final(a, &s);
    }
    buf_clear(&draws);
}
