/* What auditors say of a settlement, and who is believed.
 *
 * Round 0: one auditor for each drawn receipt. Each commits to verdict and digest, and reveals when the others have
 * committed or their time is over, so that nobody copies. All matches, or silence: the settlement is paid.
 *
 * Anything else is a disagreement with the provider about a receipt. So is a challenge, which waits until the first
 * round is over, so that nobody gets rid of the drawn auditors by challenging himself. Receipts that are disputed are
 * looked into one after the other until one is found at fault, so that nobody shields one by accusing another. A
 * committee of two, of owners that were not asked about the receipt yet, goes through the same two steps; where it is
 * of one mind, that decides, else the next one of twice the size does. Once too few are left for a whole one, or this
 * receipt's part of AUDITORS_ASKED_MAX were asked, the majority by stake of all who revealed about it decides; a tie is
 * no fault. Each receipt that is still to be looked into has an equal part of the places that are left, so that none is
 * decided by its accuser alone.
 *
 * The losers pay: a provider at fault the committee's work out of its bond, an auditor on the wrong side a part of its
 * bond, a challenger his. Of that those on the right side are paid, and the rest burns. Silence costs nothing but the
 * pay. docs/ledger.md says what a share of the stake can do.
 *
 * With verdict and digest goes a witness, of activations that the auditor's own salt picks. The ledger cannot tell
 * whether a replay gave it: apply_doubt.c is for that. */
#include "chain/apply.h"

/* -- the draws of a record -- */

static bool has_committed(const struct audit_draw *d)
{
    return !hash_is_zero(&d->commit);
}

static bool has_revealed(const struct audit_draw *d)
{
    return d->verdict != AUDIT_PENDING;
}

struct tally {
    uint32_t asked, committed, revealed;
    uint32_t by[AUDIT_VERDICTS];
};

/* Of the present round. */
static struct tally tally_of(const struct rec_settlement *s)
{
    struct tally t = {0};
    for (uint32_t i = 0; i < settlement_audits(s); i++) {
        struct audit_draw d = settlement_audit_at(s, i);
        if (d.round != s->round)
            continue;
        t.asked++;
        t.committed += has_committed(&d);
        t.revealed += has_revealed(&d);
        if (has_revealed(&d))
            t.by[d.verdict]++;
    }
    return t;
}

/* The signer's draw of this receipt in the present round; its number, or -1. */
static int64_t own_draw(const struct apply *a, const struct rec_settlement *s, uint32_t index, struct audit_draw *out)
{
    for (uint32_t i = 0; i < settlement_audits(s); i++) {
        *out = settlement_audit_at(s, i);
        if (out->round == s->round && out->index == index && pubkey_equal(&out->auditor, &a->signer))
            return i;
    }
    return -1;
}

/* Stores the record with draw number `at` changed. */
static void put_draw(struct apply *a, struct rec_settlement *s, int64_t at, const struct audit_draw *changed)
{
    struct buf draws = {0};
    for (uint32_t i = 0; i < settlement_audits(s); i++) {
        struct audit_draw d = i == at ? *changed : settlement_audit_at(s, i);
        audit_draw_put(&draws, &d);
    }
    s->audits = bytes_of_buf(&draws);
    state_put_settlement(a->s, &s->id, s);
    buf_clear(&draws);
    CHECK(state_get_settlement(a->s, &s->id, s));
}

/* -- who pays whom -- */

/* The part of a wrong auditor's bond, to the pool. While slashing is paused nobody's fault is sure. */
static struct amount take_wrong(struct apply *a, const struct rec_settlement *s, enum audit_verdict right)
{
    struct amount pool = amount_of(0);
    for (uint32_t i = 0; i < settlement_audits(s) && !apply_slashing_paused(a); i++) {
        struct audit_draw d = settlement_audit_at(s, i);
        if (d.index != s->disputed || !has_revealed(&d) || d.verdict == right)
            continue;
        struct pubkey owner = apply_owner_of(a, &d.auditor);
        struct amount want = amount_share(apply_stake(a->s, BOND_AUDITOR, &owner), a->params.audit_slash_bps);
        struct amount taken = apply_take_stake(a, BOND_AUDITOR, &owner, want);
        CHECK(amount_add(&pool, pool, taken));
        apply_tell_slashed(a, &s->id, BOND_AUDITOR, &owner, taken);
    }
    return pool;
}

static uint32_t count_right(const struct rec_settlement *s, enum audit_verdict right, uint32_t *first)
{
    uint32_t n = 0;
    for (uint32_t i = settlement_audits(s); i-- > 0;) {
        struct audit_draw d = settlement_audit_at(s, i);
        if (d.index != s->disputed || d.verdict != right)
            continue;
        *first = i;
        n++;
    }
    return n;
}

/* Each on the right side his pay out of the pool, as far as it goes; the rest burns. Those of the first round who found
 * a match are paid out of the fund with the settlement. */
static void pay_right(struct apply *a, const struct rec_settlement *s, enum audit_verdict right, struct amount pool)
{
    uint32_t first, n = count_right(s, right, &first);
    struct amount each = apply_audit_pay(a, s);
    if (n && each.mote > pool.mote / n)
        each.mote = pool.mote / n;
    for (uint32_t i = 0; i < settlement_audits(s); i++) {
        struct audit_draw d = settlement_audit_at(s, i);
        if (d.index != s->disputed || d.verdict != right || (d.round == 0 && right == AUDIT_MATCH))
            continue;
        struct pubkey owner = apply_owner_of(a, &d.auditor);
        apply_pay(a, &s->id, &s->model, POT_LOCKED, &owner, each, PAYOUT_AUDITOR);
        CHECK(amount_sub(&pool, pool, each));
    }
    state_shift(a->s, POT_LOCKED, POT_BURNED, pool);
}

/* -- decisions -- */

static bool is_challenged(const struct rec_settlement *s)
{
    return s->challenge_bond.mote > 0;
}

/* The receipt that an auditor of the first round accuses behind the one at `after` (NULL: the first). */
static bool next_accused(const struct rec_settlement *s, const uint32_t *after, uint32_t *index)
{
    bool is_behind = !after;
    for (uint32_t i = 0; i < settlement_audits(s); i++) {
        struct audit_draw d = settlement_audit_at(s, i);
        if (d.round || !has_revealed(&d) || d.verdict == AUDIT_MATCH)
            continue;
        if (is_behind) {
            *index = d.index;
            return true;
        }
        is_behind = d.index == *after;
    }
    return false;
}

uint32_t apply_committee_room(const struct rec_settlement *s)
{
    uint32_t receipts = 1, index = s->disputed;
    bool waits = is_challenged(s) && s->challenged != index;
    while (next_accused(s, &index, &index)) {
        waits = waits && s->challenged != index;
        receipts++;
    }
    return (AUDITORS_ASKED_MAX - settlement_audits(s)) / (receipts + waits);
}

/* The next round over the disputed receipt, drawn by a beacon that nobody knows yet. */
static void next_round(struct apply *a, struct rec_settlement *s)
{
    if (s->state == SETTLEMENT_DRAWN || s->state == SETTLEMENT_REVEALING)
        state_remove_due(a->s, &(struct due){s->deadline_ms, DUE_SETTLEMENT_MATURE, s->id, {s->owner, 0}});
    s->round++;
    s->state = SETTLEMENT_WAITING;
    state_put_settlement(a->s, &s->id, s);
    state_put_draw(a->s, a->height + AUDIT_DRAW_BLOCKS, &s->id);
}

/* What is looked into behind receipt `after`, each in its turn: those that were accused, then the challenged one. Where
 * there is none the settlement is paid. */
static void next_dispute(struct apply *a, struct rec_settlement *s, const uint32_t *after)
{
    uint32_t index = s->challenged;
    if (!next_accused(s, after, &index) && !is_challenged(s)) {
        apply_settlement_payout(a, s);
        return;
    }
    s->disputed = index;
    next_round(a, s);
}

/* An exact mismatch is counted; the second within the window costs a part of the bond, of which who found it has a
 * part. */
static void punish(struct apply *a, const struct rec_settlement *s, enum audit_verdict verdict,
                   const struct pubkey *finder)
{
    struct rec_fault fault;
    state_get_fault(a->s, &s->owner, &fault);
    bool again = fault.mismatches > 0 && a->clock_ms - fault.last_ms <= a->params.fault_window_ms;
    bool counts = verdict == AUDIT_MISMATCH && !apply_slashing_paused(a);
    fault.full_audit_until_ms = a->clock_ms + a->params.fault_window_ms;
    if (verdict == AUDIT_MISMATCH)
        fault.mismatch_ms = a->clock_ms;
    if (counts) {
        fault.mismatches += fault.mismatches < UINT32_MAX;
        fault.last_ms = a->clock_ms;
    }
    state_put_fault(a->s, &s->owner, &fault);
    if (!counts || !again)
        return;
    struct amount want = amount_share(apply_stake(a->s, BOND_PROVIDER, &s->owner), a->params.slash_bps);
    struct amount taken = apply_take_stake(a, BOND_PROVIDER, &s->owner, want), burn;
    struct amount part = amount_share(taken, a->params.slash_auditor_bps);
    CHECK(amount_sub(&burn, taken, part));
    apply_pay(a, &s->id, &s->model, POT_LOCKED, finder, part, PAYOUT_AUDITOR);
    state_shift(a->s, POT_LOCKED, POT_BURNED, burn);
    apply_tell_slashed(a, &s->id, BOND_PROVIDER, &s->owner, taken);
}

static void forfeit(struct apply *a, struct rec_settlement *s, enum audit_verdict verdict)
{
    uint32_t first = 0, n = count_right(s, verdict, &first);
    struct audit_draw d = settlement_audit_at(s, first);
    bool by_challenge = is_challenged(s) && s->disputed == s->challenged && d.round > 0;
    struct pubkey finder = by_challenge ? s->challenger : apply_owner_of(a, &d.auditor);
    struct amount cost, pool = take_wrong(a, s, verdict);
    state_credit(a->s, POT_LOCKED, &s->payer, s->amount);
    state_credit(a->s, POT_LOCKED, &s->challenger, s->challenge_bond);
    s->challenge_bond = amount_of(0);
    struct ledger_event *e = apply_event(a, LEDGER_FORFEITED);
    e->id = s->id;
    e->other = s->channel;
    e->a = s->payer;
    e->b = s->provider;
    e->amount = s->amount;
    if (!amount_scale(&cost, apply_audit_pay(a, s), n, 1))
        cost = amount_of(UINT64_MAX); /* it goes as far as the stake does */
    CHECK(amount_add(&pool, pool, apply_take_stake(a, BOND_PROVIDER, &s->owner, cost)));
    pay_right(a, s, verdict, pool);
    punish(a, s, verdict, &finder);
    apply_settlement_finish(a, s, SETTLEMENT_FORFEITED);
}

/* A receipt was found in order, which says nothing of others. */
static void acquit(struct apply *a, struct rec_settlement *s)
{
    struct amount pool = take_wrong(a, s, AUDIT_MATCH);
    uint32_t done = s->disputed;
    if (is_challenged(s) && done == s->challenged) {
        CHECK(amount_add(&pool, pool, s->challenge_bond));
        s->challenge_bond = amount_of(0);
    }
    pay_right(a, s, AUDIT_MATCH, pool);
    next_dispute(a, s, &done);
}

static void decide(struct apply *a, struct rec_settlement *s, enum audit_verdict verdict)
{
    apply_count_verdict(a, &s->owner, verdict);
    if (verdict == AUDIT_MATCH)
        acquit(a, s);
    else
        forfeit(a, s, verdict);
}

void apply_audit_final(struct apply *a, struct rec_settlement *s)
{
    struct amount by[AUDIT_VERDICTS] = {{0}}, fault;
    bool heard = false;
    for (uint32_t i = 0; i < settlement_audits(s); i++) {
        struct audit_draw d = settlement_audit_at(s, i);
        if (d.index != s->disputed || !has_revealed(&d))
            continue;
        struct pubkey owner = apply_owner_of(a, &d.auditor);
        struct amount stake = state_get_bond(a->s, BOND_AUDITOR, &owner);
        CHECK(amount_add(&by[d.verdict], by[d.verdict], stake));
        heard = true;
    }
    if (!heard) { /* a challenge that nobody looked into */
        state_credit(a->s, POT_LOCKED, &s->challenger, s->challenge_bond);
        s->challenge_bond = amount_of(0);
        apply_settlement_payout(a, s);
        return;
    }
    CHECK(amount_add(&fault, by[AUDIT_MISMATCH], by[AUDIT_WITHHELD]));
    if (amount_compare(fault, by[AUDIT_MATCH]) <= 0)
        decide(a, s, AUDIT_MATCH);
    else
        decide(a, s, amount_compare(by[AUDIT_MISMATCH], by[AUDIT_WITHHELD]) >= 0 ? AUDIT_MISMATCH : AUDIT_WITHHELD);
}

/* The round is over. */
static void resolve(struct apply *a, struct rec_settlement *s)
{
    struct tally t = tally_of(s);
    uint32_t accused;
    if (s->round == 0) {
        bool clean = !next_accused(s, NULL, &accused);
        for (uint32_t i = 0; clean && i < t.by[AUDIT_MATCH]; i++)
            apply_count_verdict(a, &s->owner, AUDIT_MATCH);
        next_dispute(a, s, NULL);
        return;
    }
    if (t.asked < apply_committee_size(s)) { /* nobody is left to ask */
        apply_audit_final(a, s);
        return;
    }
    for (unsigned v = 0; v < AUDIT_VERDICTS; v++)
        if (t.revealed && t.by[v] == t.revealed) {
            decide(a, s, (enum audit_verdict)v);
            return;
        }
    next_round(a, s);
}

static void open_reveals(struct apply *a, struct rec_settlement *s)
{
    state_remove_due(a->s, &(struct due){s->deadline_ms, DUE_SETTLEMENT_MATURE, s->id, {s->owner, 0}});
    s->state = SETTLEMENT_REVEALING;
    s->deadline_ms = a->clock_ms + a->params.audit_reveal_ms;
    state_put_settlement(a->s, &s->id, s);
    state_put_due(a->s, &(struct due){s->deadline_ms, DUE_SETTLEMENT_MATURE, s->id, {s->owner, 0}});
    struct ledger_event *e = apply_event(a, LEDGER_AUDIT_REVEALING);
    e->id = s->id;
    e->other = s->channel;
    e->a = s->payer;
    e->b = s->provider;
    e->time_ms = apply_date(a, s->deadline_ms);
}

/* A window is over. */
void apply_settlement_mature(struct apply *a, const struct hash *id)
{
    struct rec_settlement s;
    if (!state_get_settlement(a->s, id, &s))
        return;
    if (s.state == SETTLEMENT_DRAWN && tally_of(&s).committed)
        open_reveals(a, &s);
    else if (s.state == SETTLEMENT_DRAWN || s.state == SETTLEMENT_REVEALING)
        resolve(a, &s);
}

/* -- transactions -- */

static enum err settlement_find(struct apply *a, const struct hash *id, enum settlement_state state,
                                struct rec_settlement *s)
{
    if (!state_get_settlement(a->s, id, s))
        return note_set(a->note, ERR_NOT_FOUND, "no settlement %s...", apply_text_id(id->b).s);
    if (s->state != state)
        return note_set(a->note, ERR_STATE, "settlement %s... waits for no %s", apply_text_id(id->b).s,
                        state == SETTLEMENT_DRAWN ? "commitment" : "reveal");
    if (a->clock_ms > s->deadline_ms)
        return note_set(a->note, ERR_EXPIRED, "the audit window of settlement %s... has passed",
                        apply_text_id(id->b).s);
    return ERR_OK;
}

enum err apply_tx_audit_commit(struct apply *a, const struct tx_audit_commit *body)
{
    struct rec_settlement s;
    struct audit_draw d;
    enum err e = settlement_find(a, &body->settlement, SETTLEMENT_DRAWN, &s);
    if (e)
        return e;
    int64_t at = own_draw(a, &s, body->index, &d);
    if (at < 0)
        return note_set(a->note, ERR_AUTH, "this node was not drawn for receipt %u", body->index);
    if (has_committed(&d))
        return note_set(a->note, ERR_DUPLICATE, "receipt %u has its commitment already", body->index);
    if (hash_is_zero(&body->commit))
        return note_set(a->note, ERR_FORMAT, "a commitment of zeros commits to nothing");
    d.commit = body->commit;
    put_draw(a, &s, at, &d);
    struct tally t = tally_of(&s);
    if (t.committed == t.asked)
        open_reveals(a, &s);
    return ERR_OK;
}

enum err apply_receipt_check(struct apply *a, const struct rec_settlement *s, uint32_t index, struct bytes receipt,
                             struct bytes proof, struct receipt *out)
{
    struct cursor c = cursor_of(receipt);
    struct signed_receipt r;
    signed_receipt_get(&c, &r);
    if (!cursor_end(&c))
        return note_set(a->note, ERR_FORMAT, "the receipt does not decode");
    struct sum_node leaf = sum_leaf(&r.receipt);
    if (!hash_equal(&r.receipt.channel, &s->channel) ||
        !sum_tree_verify(&s->receipts_root, s->count, index, &leaf, proof))
        return note_set(a->note, ERR_MISMATCH, "this is not receipt %u of the settlement", index);
    if (!receipt_verify(&r.receipt, &s->provider, &r.sig))
        return note_set(a->note, ERR_AUTH, "the receipt is not signed by the provider");
    *out = r.receipt;
    return ERR_OK;
}

static enum err evidence_check(struct apply *a, const struct tx_audit_reveal *body, const struct rec_settlement *s)
{
    struct receipt r;
    if (body->verdict == AUDIT_MATCH && hash_is_zero(&body->witness))
        return note_set(a->note, ERR_FORMAT, "a match without a witness: a replay gives one");
    if (body->verdict != AUDIT_WITHHELD)
        return apply_receipt_check(a, s, body->index, body->receipt, body->proof, &r);
    return body->receipt.n == 0 && body->proof.n == 0 && hash_is_zero(&body->digest) && hash_is_zero(&body->witness)
               ? ERR_OK
               : note_set(a->note, ERR_FORMAT,
                          "what was withheld cannot be shown: leave receipt, digest and witness out");
}

enum err apply_tx_audit_reveal(struct apply *a, const struct tx_audit_reveal *body)
{
    struct rec_settlement s;
    struct audit_draw d;
    if (body->verdict >= AUDIT_VERDICTS)
        return note_set(a->note, ERR_FORMAT, "verdict %u: it is 0 match, 1 mismatch or 2 withheld", body->verdict);
    enum err e = settlement_find(a, &body->settlement, SETTLEMENT_REVEALING, &s);
    if (e)
        return e;
    int64_t at = own_draw(a, &s, body->index, &d);
    if (at < 0 || !has_committed(&d))
        return note_set(a->note, ERR_AUTH, "this node has not committed to receipt %u", body->index);
    if (has_revealed(&d))
        return note_set(a->note, ERR_DUPLICATE, "receipt %u has its verdict already", body->index);
    struct hash commit = tx_audit_commitment(body, &a->signer);
    if (!hash_equal(&commit, &d.commit))
        return note_set(a->note, ERR_MISMATCH, "this is not what the auditor committed to");
    if ((e = evidence_check(a, body, &s)))
        return e;
    d.verdict = body->verdict;
    d.digest = body->digest;
    d.witness = body->witness;
    d.salt = body->salt;
    put_draw(a, &s, at, &d);
    apply_event_draw(a, &s, &d, LEDGER_AUDIT_VERDICT);
    struct tally t = tally_of(&s);
    if (t.revealed == t.committed)
        resolve(a, &s);
    return ERR_OK;
}

enum err apply_tx_challenge(struct apply *a, const struct tx_challenge *body)
{
    struct rec_settlement s;
    if (!state_get_settlement(a->s, &body->settlement, &s))
        return note_set(a->note, ERR_NOT_FOUND, "no settlement %s...", apply_text_id(body->settlement.b).s);
    if (s.state >= SETTLEMENT_PAID)
        return note_set(a->note, ERR_STATE, "settlement %s... is over", apply_text_id(s.id.b).s);
    if (s.round || is_challenged(&s))
        return note_set(a->note, ERR_DUPLICATE, "settlement %s... is challenged, or before a committee, already",
                        apply_text_id(s.id.b).s);
    if (pubkey_equal(&a->signer, &s.owner) || pubkey_equal(&a->signer, &s.provider))
        return note_set(a->note, ERR_AUTH, "a provider does not challenge itself");
    if (body->index < s.from || body->index >= s.count)
        return note_set(a->note, ERR_RANGE, "receipt %u: this settlement is over %u to %u", body->index, s.from,
                        s.count - 1);
    struct receipt r;
    enum err e = apply_receipt_check(a, &s, body->index, body->receipt, body->proof, &r);
    if (e)
        return e;
    if (!state_debit(a->s, &a->signer, POT_LOCKED, a->params.challenge_bond))
        return apply_no_funds(a, a->params.challenge_bond);
    s.challenger = a->signer;
    s.challenge_bond = a->params.challenge_bond;
    s.challenged = body->index;
    state_put_settlement(a->s, &s.id, &s);
    struct ledger_event *ev = apply_event(a, LEDGER_CHALLENGED);
    ev->id = s.id;
    ev->other = s.channel;
    ev->a = a->signer;
    ev->b = s.provider;
    ev->amount = s.challenge_bond;
    ev->index = body->index;
    return ERR_OK;
}
