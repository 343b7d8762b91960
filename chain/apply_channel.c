/* Channels: one payer's locked money for one provider and one model.
 *
 *             open                       close by the payer
 *     (none) ------> open ------------------------------------> closing
 *                     |  \ topup, settle                         |   \ settle
 *                     |                                          |
 *                     | settle with close                        | settle with close, or the dispute
 *                     v                                          v window has passed (apply_due.c)
 *                   (none): what no voucher took is the payer's again
 *
 * A settlement moves the difference between the voucher and what was settled before into escrow
 * (apply_settlement.c). A voucher that is not larger than the last earns nothing, so replays and stale ones
 * are refused, and after the channel's end so is every one: its id never comes again. */
#include "chain/apply.h"

static enum err channel_find(struct apply *a, const struct hash *id, struct rec_channel *ch)
{
    if (state_get_channel(a->s, id, ch))
        return ERR_OK;
    return note_set(a->note, ERR_NOT_FOUND, "no open channel %s...", apply_text_id(id->b).s);
}

static bool serves(const struct rec_provider *p, const struct hash *model)
{
    for (uint32_t i = 0; i < p->models.n; i++) {
        struct hash root = hashes_at(&p->models, i);
        if (hash_equal(&root, model))
            return true;
    }
    return false;
}

static void event_channel(struct apply *a, enum ledger_event_kind kind, const struct rec_channel *ch,
                          struct amount amount, uint64_t time_ms)
{
    struct ledger_event *e = apply_event(a, kind);
    e->id = ch->id;
    e->other = ch->model;
    e->a = ch->payer;
    e->b = ch->provider;
    e->amount = amount;
    e->time_ms = time_ms;
}

/* Vouchers are signed by the payer's own key alone, so what goes into a channel is that key's to promise away. */
static enum err own_key_check(struct apply *a)
{
    struct rec_account payer;
    state_get_account(a->s, &a->signer, &payer);
    return payer.k == 0 ? ERR_OK
                        : note_set(a->note, ERR_STATE,
                                   "vouchers are signed by the payer's own key alone: pay from an account without a "
                                   "rule");
}

enum err apply_tx_channel_open(struct apply *a, const struct tx_channel_open *body)
{
    struct rec_provider provider;
    if (body->amount.mote == 0)
        return note_set(a->note, ERR_RANGE, "a channel with nothing in it: give an amount");
    if (!state_get_provider(a->s, &body->provider, &provider))
        return note_set(a->note, ERR_NOT_FOUND, "node %s... is not a provider on this ledger",
                        apply_text_id(body->provider.b).s);
    if (!serves(&provider, &body->model))
        return note_set(a->note, ERR_NOT_FOUND, "node %s... does not serve model %s...",
                        apply_text_id(body->provider.b).s, apply_text_id(body->model.b).s);
    if (amount_compare(state_get_bond(a->s, BOND_PROVIDER, &provider.owner), a->params.provider_bond_min) < 0)
        return note_set(a->note, ERR_STATE, "the owner of node %s... has less than the provider bond of %s",
                        apply_text_id(body->provider.b).s, apply_text_amount(a->params.provider_bond_min).s);
    enum err e = own_key_check(a);
    if (e)
        return e;
    if (!state_debit(a->s, &a->signer, POT_LOCKED, body->amount))
        return apply_no_funds(a, body->amount);
    struct rec_channel ch = {
        .id = tx_channel_id(&a->id),
        .payer = a->signer,
        .provider = body->provider,
        .model = body->model,
        .deposit = body->amount,
    };
    state_put_channel(a->s, &ch.id, &ch);
    event_channel(a, LEDGER_CHANNEL_OPENED, &ch, ch.deposit, 0);
    return ERR_OK;
}

enum err apply_tx_channel_topup(struct apply *a, const struct tx_channel_topup *body)
{
    struct rec_channel ch;
    enum err e = channel_find(a, &body->channel, &ch);
    if (e)
        return e;
    if (!pubkey_equal(&ch.payer, &a->signer))
        return note_set(a->note, ERR_AUTH, "only its payer tops a channel up");
    if (ch.closes_ms)
        return note_set(a->note, ERR_STATE, "the channel is closing: open a new one");
    if (body->amount.mote == 0)
        return note_set(a->note, ERR_RANGE, "a top-up of nothing: give an amount");
    if ((e = own_key_check(a)))
        return e;
    if (!amount_add(&ch.deposit, ch.deposit, body->amount)) /* what came back can be put in again, for ever */
        return note_set(a->note, ERR_RANGE, "more was put into this channel than can be counted: open a new one");
    if (!state_debit(a->s, &a->signer, POT_LOCKED, body->amount))
        return apply_no_funds(a, body->amount);
    state_put_channel(a->s, &ch.id, &ch);
    event_channel(a, LEDGER_CHANNEL_TOPPED, &ch, body->amount, 0);
    return ERR_OK;
}

enum err apply_tx_channel_close(struct apply *a, const struct tx_channel_close *body)
{
    struct rec_channel ch;
    enum err e = channel_find(a, &body->channel, &ch);
    if (e)
        return e;
    if (!pubkey_equal(&ch.payer, &a->signer))
        return note_set(a->note, ERR_AUTH, "only its payer closes a channel so; its provider settles with close");
    if (ch.closes_ms)
        return note_set(a->note, ERR_STATE, "the channel is closing already");
    ch.closes_ms = a->clock_ms + a->params.dispute_ms;
    state_put_channel(a->s, &ch.id, &ch);
    state_put_due(a->s, &(struct due){ch.closes_ms, DUE_CHANNEL_CLOSE, ch.id, {ch.payer, 0}});
    struct amount left;
    CHECK(amount_sub(&left, ch.deposit, ch.settled));
    event_channel(a, LEDGER_CHANNEL_CLOSING, &ch, left, apply_date(a, ch.closes_ms));
    return ERR_OK;
}

void apply_channel_end(struct apply *a, const struct rec_channel *ch)
{
    struct amount left;
    CHECK(amount_sub(&left, ch->deposit, ch->settled));
    state_credit(a->s, POT_LOCKED, &ch->payer, left);
    if (ch->closes_ms)
        state_remove_due(a->s, &(struct due){ch->closes_ms, DUE_CHANNEL_CLOSE, ch->id, {ch->payer, 0}});
    state_remove_channel(a->s, &ch->id);
    event_channel(a, LEDGER_CHANNEL_CLOSED, ch, left, 0);
}

/* The voucher is this channel's, newer than the last, covered, signed, and its sums are those of its receipts. */
static enum err voucher_check(struct apply *a, const struct tx_channel_settle *body, const struct rec_channel *ch)
{
    const struct voucher *v = &body->voucher;
    if (!hash_equal(&v->chain, &a->chain))
        return note_set(a->note, ERR_CHAIN, "the voucher is for another chain");
    if (amount_compare(v->cumulative, ch->settled) <= 0)
        return note_set(a->note, ERR_DUPLICATE, "the voucher is over %s, and %s is settled already",
                        apply_text_amount(v->cumulative).s, apply_text_amount(ch->settled).s);
    if (v->tokens_in < ch->tokens_in || v->tokens_out < ch->tokens_out || v->receipts < ch->receipts)
        return note_set(a->note, ERR_STATE, "the voucher counts fewer tokens or receipts than the last one");
    if (amount_compare(v->cumulative, ch->deposit) > 0)
        return note_set(a->note, ERR_FUNDS, "the voucher is over %s, the channel holds %s",
                        apply_text_amount(v->cumulative).s, apply_text_amount(ch->deposit).s);
    if (v->receipts == 0 || v->receipts > RECEIPTS_MAX)
        return note_set(a->note, ERR_RANGE, "a voucher with %u receipts: from 1 to %u can be settled", v->receipts,
                        RECEIPTS_MAX);
    struct sum_node top = {body->sum_top, v->cumulative, v->tokens_in, v->tokens_out};
    struct hash root = sum_root(&top, v->receipts);
    if (!hash_equal(&root, &v->receipts_root))
        return note_set(a->note, ERR_MISMATCH, "the voucher's sums are not those of its receipts");
    if (!voucher_verify(v, &ch->payer, &body->payer_sig))
        return note_set(a->note, ERR_AUTH, "the voucher is not signed by the channel's payer");
    return ERR_OK;
}

/* Receipts that this settlement adds; the last one of the settlement before may have been open then and have
 * grown since, so it can be drawn again. */
static uint32_t first_drawable(const struct rec_channel *ch)
{
    return ch->receipts ? ch->receipts - 1 : 0;
}

/* What is settled answers with the bond for as long as it is in escrow. One that is withdrawn from now on answers for
 * the unbonding period, which is longer; one that was before may be gone by then, so it does not count. A bond that was
 * slashed does, whatever is left of it. */
static enum err bond_check(struct apply *a, const struct rec_provider *provider)
{
    if (state_get_bond(a->s, BOND_PROVIDER, &provider->owner).mote)
        return ERR_OK;
    return note_set(a->note, ERR_STATE,
                    "the owner of node %s... has withdrawn the provider bond, which answers for what is settled: put "
                    "one up again, settle, and withdraw it then",
                    apply_text_id(provider->node.b).s);
}

enum err apply_tx_channel_settle(struct apply *a, const struct tx_channel_settle *body)
{
    const struct voucher *v = &body->voucher;
    struct rec_channel ch;
    struct rec_provider provider;
    enum err e = channel_find(a, &v->channel, &ch);
    if (e)
        return e;
    if (!pubkey_equal(&ch.provider, &a->signer))
        return note_set(a->note, ERR_AUTH, "only the channel's provider settles it, with its node key");
    if ((e = voucher_check(a, body, &ch)))
        return e;
    CHECK(state_get_provider(a->s, &ch.provider, &provider));
    if ((e = bond_check(a, &provider)))
        return e;
    struct rec_settlement s = {
        .id = a->id,
        .channel = ch.id,
        .payer = ch.payer,
        .provider = ch.provider,
        .owner = provider.owner,
        .model = ch.model,
        .from = first_drawable(&ch),
        .count = v->receipts,
        .receipts_root = v->receipts_root,
        .height = a->height,
        .time_ms = a->clock_ms,
        .state = SETTLEMENT_WAITING,
    };
    CHECK(amount_sub(&s.amount, v->cumulative, ch.settled));
    state_put_settlement(a->s, &s.id, &s);
    state_put_draw(a->s, a->height + AUDIT_DRAW_BLOCKS, &s.id);
    ch.settled = v->cumulative;
    ch.tokens_in = v->tokens_in;
    ch.tokens_out = v->tokens_out;
    ch.receipts = v->receipts;
    struct ledger_event *ev = apply_event(a, LEDGER_SETTLED);
    ev->id = s.id;
    ev->other = ch.id;
    ev->a = ch.payer;
    ev->b = ch.provider;
    ev->amount = s.amount;
    ev->index = s.count;
    if (body->close)
        apply_channel_end(a, &ch);
    else
        state_put_channel(a->s, &ch.id, &ch);
    return ERR_OK;
}
