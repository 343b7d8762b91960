/* Doubts: did an auditor replay what he spoke of?
 *
 * With his verdict an auditor reveals a witness: a hash of activations at places that his salt picks, which he kept
 * secret until then, so that nobody could give it to him. Whoever has the transcript can replay it under the same salt,
 * and doubts a witness that differs, against a bond. The settlement is over by then, and stays as it is: a doubt
 * concerns the auditor's bond alone.
 *
 *     WAITING ---draw---> DRAWN ---all committed, or the window over---> REVEALING ---> decision, or the next round
 *
 * Committees of 2, 4, 8... of those who audit the model replay under the doubted salt. Each commits to the witness that
 * it found, and reveals when the others have committed or their time is over. A whole committee of one mind decides;
 * else the next one of twice the size; and where there is none, whoever has more than half of the stake that was heard.
 * "Differs" is no mind by itself: it is the witness found that must be the same, and who did not replay cannot know it.
 * So the doubter does not say what he found.
 *
 *     RIGHT      the witness is no replay's: the auditor pays the committee, and a part of his bond: audit_slash_bps,
 *                as for a wrong verdict, since memory flips bits; slash_bps for the second within fault_window_ms. The
 *                doubter has slash_auditor_bps of that, but no more than his bond was, or who is in two minds of the
 *                committee would frame the rich; the rest burns. While slashing is paused he pays the committee alone.
 *     WRONG      the doubter's bond pays the committee, as far as it goes, and the rest burns
 *     UNDECIDED  a bond returns, nobody pays
 *     WITHHELD   the doubter showed no transcript: his bond burns, so that nobody has a reason to say so who was shown
 *                it; the doubt did not count, or an auditor could use up the place with one of his own
 *     UNHEARD    nobody could be asked, or answered: the bond returns; it did not count either
 *
 * A member on the wrong side loses audit_slash_bps, as in other committees; but never for "withheld": who shows it to
 * some and not to others would make him pay. A witness that no replay gave does not count towards a pause of slashing:
 * else a few who are lazy together would bring about the pause that protects them. */
#include "chain/apply.h"

#include "base/mem.h"

#include <stdlib.h>

struct hash rec_doubt_id(const struct hash *settlement, uint32_t index, const struct pubkey *auditor)
{
    struct hasher h;
    hash_start(&h, HASH_STATE_KEY);
    hash_add(&h, settlement->b, sizeof settlement->b);
    hash_add_u32(&h, index);
    hash_add(&h, auditor->b, sizeof auditor->b);
    return hash_end(&h);
}

uint32_t doubt_draws(const struct rec_doubt *d)
{
    return (uint32_t)(d->draws.n / DOUBT_DRAW_SIZE);
}

struct doubt_draw doubt_draw_at(const struct rec_doubt *d, uint32_t i)
{
    struct doubt_draw m;
    CHECK(i < doubt_draws(d));
    struct cursor c = cursor_of(bytes_of(d->draws.p + (size_t)i * DOUBT_DRAW_SIZE, DOUBT_DRAW_SIZE));
    doubt_draw_get(&c, &m);
    return m;
}

/* -- the record -- */

static bool has_committed(const struct doubt_draw *m)
{
    return !hash_is_zero(&m->commit);
}

static bool has_revealed(const struct doubt_draw *m)
{
    return m->verdict != AUDIT_PENDING;
}

/* What two of one mind have in common. */
struct mind {
    uint8_t verdict;
    struct hash witness;
};

static bool is_of(const struct doubt_draw *m, const struct mind *mind)
{
    return m->verdict == mind->verdict && hash_equal(&m->witness, &mind->witness);
}

static void put_draw(struct apply *a, struct rec_doubt *d, int64_t at, const struct doubt_draw *changed)
{
    struct buf draws = {0};
    for (uint32_t i = 0; i < doubt_draws(d); i++) {
        struct doubt_draw m = i == at ? *changed : doubt_draw_at(d, i);
        doubt_draw_put(&draws, &m);
    }
    d->draws = bytes_of_buf(&draws);
    state_put_doubt(a->s, &d->id, d);
    buf_clear(&draws);
    CHECK(state_get_doubt(a->s, &d->id, d));
}

static struct ledger_event *event(struct apply *a, const struct rec_doubt *d, enum ledger_event_kind kind)
{
    struct ledger_event *e = apply_event(a, kind);
    e->id = d->id;
    e->other = d->settlement;
    e->a = d->doubter;
    e->b = d->auditor;
    e->index = d->index;
    return e;
}

static void event_member(struct apply *a, const struct rec_doubt *d, const struct doubt_draw *m,
                         enum ledger_event_kind kind)
{
    struct ledger_event *e = event(a, d, kind);
    e->a = m->member;
    e->b = d->doubter;
    e->code = m->verdict;
    e->time_ms = apply_date(a, d->deadline_ms);
}

static struct due window_of(const struct rec_doubt *d)
{
    return (struct due){d->deadline_ms, DUE_DOUBT, d->id, {d->liable, 0}};
}

static void open_window(struct apply *a, struct rec_doubt *d, enum doubt_state state, uint64_t ms)
{
    d->state = (uint8_t)state;
    d->deadline_ms = a->clock_ms + ms;
    struct due window = window_of(d);
    state_put_doubt(a->s, &d->id, d);
    state_put_due(a->s, &window);
}

static void close_window(struct apply *a, const struct rec_doubt *d)
{
    struct due window = window_of(d);
    if (d->state == DOUBT_DRAWN || d->state == DOUBT_REVEALING)
        state_remove_due(a->s, &window);
}

/* -- who pays whom -- */

/* From members whose replay gave something else. While slashing is paused nobody's fault is sure. */
static struct amount take_wrong(struct apply *a, const struct rec_doubt *d, const struct mind *right)
{
    struct amount pool = amount_of(0);
    for (uint32_t i = 0; i < doubt_draws(d) && !apply_slashing_paused(a); i++) {
        struct doubt_draw m = doubt_draw_at(d, i);
        if (!has_revealed(&m) || m.verdict == AUDIT_WITHHELD || is_of(&m, right))
            continue;
        struct pubkey owner = apply_owner_of(a, &m.member);
        struct amount want = amount_share(apply_stake(a->s, BOND_AUDITOR, &owner), a->params.audit_slash_bps);
        struct amount taken = apply_take_stake(a, BOND_AUDITOR, &owner, want);
        CHECK(amount_add(&pool, pool, taken));
        apply_tell_slashed(a, &d->id, BOND_AUDITOR, &owner, taken);
    }
    return pool;
}

static uint32_t count_of(const struct rec_doubt *d, const struct mind *mind)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < doubt_draws(d); i++) {
        struct doubt_draw m = doubt_draw_at(d, i);
        n += is_of(&m, mind);
    }
    return n;
}

/* Each on the right side his pay out of the pool, as far as it goes; the rest burns. */
static void pay_right(struct apply *a, const struct rec_doubt *d, const struct mind *right, struct amount pool)
{
    uint32_t n = count_of(d, right);
    struct amount each = d->pay;
    if (n && each.mote > pool.mote / n)
        each.mote = pool.mote / n;
    for (uint32_t i = 0; i < doubt_draws(d); i++) {
        struct doubt_draw m = doubt_draw_at(d, i);
        if (!is_of(&m, right))
            continue;
        struct pubkey owner = apply_owner_of(a, &m.member);
        apply_pay(a, &d->settlement, &d->model, POT_LOCKED, &owner, each, PAYOUT_AUDITOR);
        CHECK(amount_sub(&pool, pool, each));
    }
    state_shift(a->s, POT_LOCKED, POT_BURNED, pool);
}

/* A first one loses what a wrong verdict does, the next within the window what a provider's does. The doubter's part.
 */
static struct amount punish(struct apply *a, const struct rec_doubt *d)
{
    struct rec_fault fault;
    struct amount part, burn;
    if (apply_slashing_paused(a))
        return amount_of(0);
    state_get_fault(a->s, &d->liable, &fault);
    bool again = fault.witnesses > 0 && a->clock_ms - fault.witness_ms <= a->params.fault_window_ms;
    fault.witnesses += fault.witnesses < UINT32_MAX;
    fault.witness_ms = a->clock_ms;
    state_put_fault(a->s, &d->liable, &fault);
    struct amount stake = apply_stake(a->s, BOND_AUDITOR, &d->liable);
    struct amount want = amount_share(stake, again ? a->params.slash_bps : a->params.audit_slash_bps);
    struct amount taken = apply_take_stake(a, BOND_AUDITOR, &d->liable, want);
    part = amount_share(taken, a->params.slash_auditor_bps);
    part = amount_compare(part, d->bond) < 0 ? part : d->bond;
    CHECK(amount_sub(&burn, taken, part));
    apply_pay(a, &d->settlement, &d->model, POT_LOCKED, &d->doubter, part, PAYOUT_AUDITOR);
    state_shift(a->s, POT_LOCKED, POT_BURNED, burn);
    apply_tell_slashed(a, &d->id, BOND_AUDITOR, &d->liable, taken);
    return part;
}

/* He has paid for this verdict: no planted job makes him pay once more. */
static void mark_caught(struct apply *a, const struct rec_doubt *d)
{
    struct rec_settlement s;
    struct buf draws = {0};
    if (!state_get_settlement(a->s, &d->settlement, &s))
        return;
    for (uint32_t i = 0; i < settlement_audits(&s); i++) {
        struct audit_draw draw = settlement_audit_at(&s, i);
        if (draw.index == d->index && pubkey_equal(&draw.auditor, &d->auditor))
            draw.verdict = AUDIT_CAUGHT;
        audit_draw_put(&draws, &draw);
    }
    s.audits = bytes_of_buf(&draws);
    state_put_settlement(a->s, &s.id, &s);
    buf_clear(&draws);
}

/* -- decisions -- */

/* The record stays for those who ask, and as long as the settlement's does; of one that came to nothing it goes. */
static void finish(struct apply *a, struct rec_doubt *d, enum doubt_state state, struct amount to_doubter)
{
    close_window(a, d);
    d->bond = amount_of(0);
    struct ledger_event *e = event(a, d, LEDGER_DOUBT_OVER);
    e->code = (uint8_t)state;
    e->amount = to_doubter;
    if (state == DOUBT_WITHHELD || state == DOUBT_UNHEARD)
        state_remove_doubt(a->s, &d->id);
    else
        open_window(a, d, state, a->params.keep_ms);
}

static void give_back(struct apply *a, struct rec_doubt *d, enum doubt_state state)
{
    state_credit(a->s, POT_LOCKED, &d->doubter, d->bond);
    finish(a, d, state, d->bond);
}

static void is_right(struct apply *a, struct rec_doubt *d, const struct mind *found)
{
    struct amount cost, pool = take_wrong(a, d, found), back = d->bond;
    state_credit(a->s, POT_LOCKED, &d->doubter, d->bond);
    if (!amount_scale(&cost, d->pay, count_of(d, found), 1))
        cost = amount_of(UINT64_MAX); /* it goes as far as the stake does */
    CHECK(amount_add(&pool, pool, apply_take_stake(a, BOND_AUDITOR, &d->liable, cost)));
    pay_right(a, d, found, pool);
    CHECK(amount_add(&back, back, punish(a, d)));
    mark_caught(a, d);
    finish(a, d, DOUBT_RIGHT, back);
}

static void is_wrong(struct apply *a, struct rec_doubt *d, const struct mind *found)
{
    struct amount pool = take_wrong(a, d, found);
    CHECK(amount_add(&pool, pool, d->bond));
    pay_right(a, d, found, pool);
    finish(a, d, DOUBT_WRONG, amount_of(0));
}

static void decide(struct apply *a, struct rec_doubt *d, const struct mind *mind)
{
    if (mind->verdict == AUDIT_MISMATCH)
        is_right(a, d, mind);
    else if (mind->verdict == AUDIT_MATCH)
        is_wrong(a, d, mind);
    else {
        state_shift(a->s, POT_LOCKED, POT_BURNED, d->bond);
        finish(a, d, DOUBT_WITHHELD, amount_of(0));
    }
}

static struct amount stake_of(const struct apply *a, const struct rec_doubt *d, const struct mind *mind)
{
    struct amount sum = amount_of(0);
    for (uint32_t i = 0; i < doubt_draws(d); i++) {
        struct doubt_draw m = doubt_draw_at(d, i);
        if (!has_revealed(&m) || (mind && !is_of(&m, mind)))
            continue;
        struct pubkey owner = apply_owner_of(a, &m.member);
        CHECK(amount_add(&sum, sum, state_get_bond(a->s, BOND_AUDITOR, &owner)));
    }
    return sum;
}

/* Nobody is left to ask: more than half of the stake that was heard decides. */
static void decide_all(struct apply *a, struct rec_doubt *d)
{
    struct amount all = stake_of(a, d, NULL);
    bool heard = false;
    for (uint32_t i = 0; i < doubt_draws(d); i++) {
        struct doubt_draw m = doubt_draw_at(d, i);
        struct mind mind = {m.verdict, m.witness};
        if (!has_revealed(&m))
            continue;
        heard = true;
        if (stake_of(a, d, &mind).mote > all.mote / 2) {
            decide(a, d, &mind);
            return;
        }
    }
    give_back(a, d, heard ? DOUBT_UNDECIDED : DOUBT_UNHEARD);
}

static uint32_t committee_size(const struct rec_doubt *d)
{
    return 2u << d->round;
}

/* Of the present round. */
struct tally {
    uint32_t asked, committed, revealed;
    bool divided;
    struct mind mind; /* of who revealed, where they are not divided */
};

static struct tally tally_of(const struct rec_doubt *d)
{
    struct tally t = {0};
    for (uint32_t i = 0; i < doubt_draws(d); i++) {
        struct doubt_draw m = doubt_draw_at(d, i);
        if (m.round != d->round)
            continue;
        t.asked++;
        t.committed += has_committed(&m);
        if (!has_revealed(&m))
            continue;
        t.divided = t.divided || (t.revealed && !is_of(&m, &t.mind));
        t.mind = (struct mind){m.verdict, m.witness};
        t.revealed++;
    }
    return t;
}

static void resolve(struct apply *a, struct rec_doubt *d)
{
    struct tally t = tally_of(d);
    if (t.asked < committee_size(d)) {
        decide_all(a, d);
    } else if (t.revealed && !t.divided) {
        decide(a, d, &t.mind);
    } else {
        close_window(a, d);
        d->round++;
        d->state = DOUBT_WAITING;
        state_put_doubt(a->s, &d->id, d);
        state_put_draw(a->s, a->height + AUDIT_DRAW_BLOCKS, &d->id);
    }
}

static void open_reveals(struct apply *a, struct rec_doubt *d)
{
    close_window(a, d);
    open_window(a, d, DOUBT_REVEALING, a->params.audit_reveal_ms);
    event(a, d, LEDGER_DOUBT_REVEALING)->time_ms = apply_date(a, d->deadline_ms);
}

void apply_doubt_due(struct apply *a, const struct hash *id)
{
    struct rec_doubt d;
    struct rec_settlement s;
    if (!state_get_doubt(a->s, id, &d))
        return;
    if (d.state == DOUBT_DRAWN && tally_of(&d).committed)
        open_reveals(a, &d);
    else if (d.state == DOUBT_DRAWN || d.state == DOUBT_REVEALING)
        resolve(a, &d);
    else if (state_get_settlement(a->s, &d.settlement, &s)) /* or it could be doubted again */
        open_window(a, &d, (enum doubt_state)d.state, a->params.keep_ms);
    else
        state_remove_doubt(a->s, id);
}

/* -- draws -- */

/* Is the candidate this one, or the owner of this node? */
static bool is_party(const struct apply *a, const struct candidate *c, const struct pubkey *key)
{
    struct rec_provider p;
    return pubkey_equal(key, &c->owner) || pubkey_equal(key, &c->node) ||
           (state_get_provider(a->s, key, &p) && pubkey_equal(&p.owner, &c->owner));
}

static bool may_ask(const struct apply *a, const struct rec_doubt *d, const struct candidate *c)
{
    for (uint32_t i = 0; i < doubt_draws(d); i++) {
        struct doubt_draw m = doubt_draw_at(d, i);
        struct pubkey owner = apply_owner_of(a, &m.member);
        if (pubkey_equal(&owner, &c->owner))
            return false;
    }
    return !is_party(a, c, &d->auditor) && !is_party(a, c, &d->doubter) && !is_party(a, c, &d->provider) &&
           !is_party(a, c, &d->owner) && !is_party(a, c, &d->payer);
}

void apply_doubt_draw(struct apply *a, const struct hash *id, struct apply_auditors *known)
{
    struct rec_doubt d;
    struct buf draws = {0};
    uint32_t n = 0;
    if (!state_get_doubt(a->s, id, &d) || d.state != DOUBT_WAITING)
        return;
    const struct apply_audited *all = apply_audited(a, &d.model, known);
    struct candidate *list = mem_array(all->n ? all->n : 1, sizeof *list);
    for (uint32_t i = 0; i < all->n; i++)
        if (may_ask(a, &d, &all->list[i]))
            list[n++] = all->list[i];
    uint32_t room = AUDITORS_ASKED_MAX - doubt_draws(&d), want = committee_size(&d);
    want = want < room ? want : room;
    d.deadline_ms = a->clock_ms + a->params.audit_window_ms;
    buf_add(&draws, d.draws.p, d.draws.n);
    for (uint32_t k = 0; k < want && k < n; k++) {
        apply_choose_auditor(list, n, k, apply_draw_number(a, &d.id, k, "node"));
        struct doubt_draw m = {.member = list[k].node, .round = d.round, .verdict = AUDIT_PENDING};
        doubt_draw_put(&draws, &m);
        event_member(a, &d, &m, LEDGER_DOUBT_DRAWN);
    }
    free(list);
    bool drawn = draws.n > d.draws.n;
    d.draws = bytes_of_buf(&draws);
    if (drawn)
        open_window(a, &d, DOUBT_DRAWN, a->params.audit_window_ms);
    else
        decide_all(a, &d);
    buf_clear(&draws);
}

/* -- transactions -- */

static bool find_draw(const struct rec_settlement *s, const struct tx_doubt *body, struct audit_draw *out)
{
    for (uint32_t i = 0; i < settlement_audits(s); i++) {
        *out = settlement_audit_at(s, i);
        if (out->index == body->index && pubkey_equal(&out->auditor, &body->auditor))
            return true;
    }
    return false;
}

static enum err doubt_check(struct apply *a, const struct tx_doubt *body, struct rec_settlement *s,
                            struct audit_draw *draw)
{
    if (!state_get_settlement(a->s, &body->settlement, s))
        return note_set(a->note, ERR_NOT_FOUND, "no settlement %s...", apply_text_id(body->settlement.b).s);
    if (s->state < SETTLEMENT_PAID)
        return note_set(a->note, ERR_STATE, "settlement %s... is not over: doubt its auditors then",
                        apply_text_id(s->id.b).s);
    if (a->clock_ms - s->time_ms + params_doubt_ms(&a->params) > a->params.unbonding_ms)
        return note_set(a->note, ERR_EXPIRED, "settlement %s... is too old: bonds would answer no more",
                        apply_text_id(s->id.b).s);
    if (!find_draw(s, body, draw))
        return note_set(a->note, ERR_NOT_FOUND, "%s... was not drawn for receipt %u", apply_text_id(body->auditor.b).s,
                        body->index);
    if (draw->verdict == AUDIT_CAUGHT)
        return note_set(a->note, ERR_STATE, "this auditor was caught already");
    if (draw->verdict != AUDIT_MATCH && draw->verdict != AUDIT_MISMATCH)
        return note_set(a->note, ERR_STATE, "this auditor spoke of no replay of receipt %u", body->index);
    struct pubkey liable = apply_owner_of(a, &draw->auditor);
    if (pubkey_equal(&a->signer, &draw->auditor) || pubkey_equal(&a->signer, &liable))
        return note_set(a->note, ERR_AUTH, "an auditor does not doubt himself");
    return ERR_OK;
}

enum err apply_tx_doubt(struct apply *a, const struct tx_doubt *body)
{
    struct rec_settlement s;
    struct audit_draw draw;
    struct rec_doubt d;
    enum err e = doubt_check(a, body, &s, &draw);
    struct hash id = rec_doubt_id(&body->settlement, body->index, &body->auditor);
    if (e)
        return e;
    if (state_get_doubt(a->s, &id, &d))
        return note_set(a->note, ERR_DUPLICATE, "this auditor is doubted, or was, for receipt %u", body->index);
    if (!state_debit(a->s, &a->signer, POT_LOCKED, a->params.challenge_bond))
        return apply_no_funds(a, a->params.challenge_bond);
    d = (struct rec_doubt){.id = id,
                           .settlement = s.id,
                           .channel = s.channel,
                           .index = body->index,
                           .auditor = draw.auditor,
                           .liable = apply_owner_of(a, &draw.auditor),
                           .payer = s.payer,
                           .provider = s.provider,
                           .owner = s.owner,
                           .model = s.model,
                           .receipts_root = s.receipts_root,
                           .count = s.count,
                           .salt = draw.salt,
                           .witness = draw.witness,
                           .doubter = a->signer,
                           .bond = a->params.challenge_bond,
                           .pay = apply_audit_pay(a, &s),
                           .height = a->height,
                           .time_ms = a->clock_ms,
                           .state = DOUBT_WAITING};
    state_put_doubt(a->s, &id, &d);
    state_put_draw(a->s, a->height + AUDIT_DRAW_BLOCKS, &id);
    event(a, &d, LEDGER_DOUBTED)->amount = d.bond;
    return ERR_OK;
}

/* The signer's draw of this doubt in the present round. */
static enum err own_draw(struct apply *a, const struct hash *id, enum doubt_state state, struct rec_doubt *d,
                         int64_t *at, struct doubt_draw *out)
{
    if (!state_get_doubt(a->s, id, d))
        return note_set(a->note, ERR_NOT_FOUND, "no doubt %s...", apply_text_id(id->b).s);
    if (d->state != state)
        return note_set(a->note, ERR_STATE, "doubt %s... waits for no %s", apply_text_id(id->b).s,
                        state == DOUBT_DRAWN ? "commitment" : "reveal");
    if (a->clock_ms > d->deadline_ms)
        return note_set(a->note, ERR_EXPIRED, "the window of doubt %s... has passed", apply_text_id(id->b).s);
    for (uint32_t i = 0; i < doubt_draws(d); i++) {
        *out = doubt_draw_at(d, i);
        *at = i;
        if (out->round == d->round && pubkey_equal(&out->member, &a->signer))
            return ERR_OK;
    }
    return note_set(a->note, ERR_AUTH, "this node was not drawn for doubt %s...", apply_text_id(id->b).s);
}

enum err apply_tx_doubt_commit(struct apply *a, const struct tx_doubt_commit *body)
{
    struct rec_doubt d;
    struct doubt_draw m;
    int64_t at;
    enum err e = own_draw(a, &body->doubt, DOUBT_DRAWN, &d, &at, &m);
    if (e)
        return e;
    if (has_committed(&m))
        return note_set(a->note, ERR_DUPLICATE, "this node has committed already");
    if (hash_is_zero(&body->commit))
        return note_set(a->note, ERR_FORMAT, "a commitment of zeros commits to nothing");
    m.commit = body->commit;
    put_draw(a, &d, at, &m);
    struct tally t = tally_of(&d);
    if (t.committed == t.asked)
        open_reveals(a, &d);
    return ERR_OK;
}

/* A verdict and the witness that it is of say the same. */
static enum err agree_check(struct apply *a, const struct tx_doubt_reveal *body, const struct rec_doubt *d)
{
    bool same = hash_equal(&body->witness, &d->witness);
    if (body->verdict >= AUDIT_VERDICTS)
        return note_set(a->note, ERR_FORMAT, "verdict %u: it is 0 match, 1 mismatch or 2 withheld", body->verdict);
    if (body->verdict == AUDIT_WITHHELD ? !hash_is_zero(&body->witness) : same != (body->verdict == AUDIT_MATCH))
        return note_set(a->note, ERR_FORMAT, "verdict %u does not go with this witness", body->verdict);
    return ERR_OK;
}

enum err apply_tx_doubt_reveal(struct apply *a, const struct tx_doubt_reveal *body)
{
    struct rec_doubt d;
    struct doubt_draw m;
    int64_t at;
    enum err e = own_draw(a, &body->doubt, DOUBT_REVEALING, &d, &at, &m);
    if (e || (e = agree_check(a, body, &d)))
        return e;
    if (!has_committed(&m))
        return note_set(a->note, ERR_AUTH, "this node has not committed");
    if (has_revealed(&m))
        return note_set(a->note, ERR_DUPLICATE, "this node has spoken already");
    struct hash commit = tx_doubt_commitment(body, &a->signer);
    if (!hash_equal(&commit, &m.commit))
        return note_set(a->note, ERR_MISMATCH, "this is not what the node committed to");
    m.verdict = body->verdict;
    m.witness = body->witness;
    put_draw(a, &d, at, &m);
    event_member(a, &d, &m, LEDGER_DOUBT_VERDICT);
    struct tally t = tally_of(&d);
    if (t.revealed == t.committed)
        resolve(a, &d);
    return ERR_OK;
}
