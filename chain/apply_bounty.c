/* Bounties: money for a model or a data set that its poster accepts.
 *
 *             post: the money is locked          accept: paid to who offered          keep_ms later (apply_due.c)
 *     (none) --------------------------> OPEN ---------------------------------> PAID --------------------------->
 * (none) | ^ offer                                         deadline (apply_due.c)
 *                                         `------------------------------------------------------------------> (none):
 *                                                                                                              returned
 *
 * The ledger does not judge what is offered: it must be registered, of the kind that is wanted, and its owner's. The
 * poster decides, and can spend the money on an offer of his own under another key, so a bounty promises no more than
 * its poster does. */
#include "chain/apply.h"

struct hash rec_offer_id(const struct hash *bounty, const struct hash *root)
{
    struct hash both[2] = {*bounty, *root};
    return hash_once(HASH_STATE_KEY, both, sizeof both);
}

static void event_bounty(struct apply *a, enum ledger_event_kind kind, const struct rec_bounty *b)
{
    struct ledger_event *e = apply_event(a, kind);
    e->id = b->id;
    e->other = b->root;
    e->a = b->poster;
    e->b = b->to;
    e->amount = b->amount;
    e->time_ms = apply_date(a, b->deadline_ms);
    e->code = b->wants;
}

enum err apply_tx_bounty_post(struct apply *a, const struct tx_bounty_post *body)
{
    if (body->wants != LINEAGE_MODEL && body->wants != LINEAGE_DATA)
        return note_set(a->note, ERR_FORMAT, "a bounty for %u: it is for 0 a model or 1 a data set", body->wants);
    if (body->title.n == 0)
        return note_set(a->note, ERR_FORMAT, "a bounty needs a title");
    if (body->amount.mote == 0)
        return note_set(a->note, ERR_RANGE, "a bounty of nothing: give an amount");
    if (body->deadline_ms <= a->time_ms || body->deadline_ms - a->time_ms > BOUNTY_MS_MAX)
        return note_set(a->note, ERR_RANGE, "a bounty's deadline lies ahead, by at most a year");
    if (!state_debit(a->s, &a->signer, POT_LOCKED, body->amount))
        return apply_no_funds(a, body->amount);
    struct rec_bounty b = {.id = a->id,
                           .poster = a->signer,
                           .wants = body->wants,
                           .title = body->title,
                           .terms = body->terms,
                           .amount = body->amount,
                           .deadline_ms = body->deadline_ms - (a->time_ms - a->clock_ms),
                           .height = a->height,
                           .state = BOUNTY_OPEN};
    state_put_bounty(a->s, &b.id, &b);
    state_put_due(a->s, &(struct due){b.deadline_ms, DUE_BOUNTY, b.id, {b.poster, 0}});
    event_bounty(a, LEDGER_BOUNTY_POSTED, &b);
    return ERR_OK;
}

static enum err bounty_find(struct apply *a, const struct hash *id, struct rec_bounty *b)
{
    if (!state_get_bounty(a->s, id, b))
        return note_set(a->note, ERR_NOT_FOUND, "no bounty %s...", apply_text_id(id->b).s);
    if (b->state != BOUNTY_OPEN)
        return note_set(a->note, ERR_STATE, "bounty %s... is paid already", apply_text_id(id->b).s);
    if (a->clock_ms > b->deadline_ms)
        return note_set(a->note, ERR_EXPIRED, "the deadline of bounty %s... has passed", apply_text_id(id->b).s);
    return ERR_OK;
}

/* Whose the offered model or data set is. */
static bool owner_find(struct apply *a, uint8_t wants, const struct hash *root, struct pubkey *owner)
{
    struct rec_model model;
    struct rec_data data;
    bool found = wants == LINEAGE_MODEL ? state_get_model(a->s, root, &model) : state_get_data(a->s, root, &data);
    if (found)
        *owner = wants == LINEAGE_MODEL ? model.publisher : data.owner;
    return found;
}

enum err apply_tx_bounty_offer(struct apply *a, const struct tx_bounty_offer *body)
{
    struct rec_bounty b;
    struct pubkey owner;
    struct rec_offer offer = {.id = rec_offer_id(&body->bounty, &body->root),
                              .bounty = body->bounty,
                              .root = body->root,
                              .by = a->signer,
                              .height = a->height},
                     other;
    enum err e = bounty_find(a, &body->bounty, &b);
    if (e)
        return e;
    if (!owner_find(a, b.wants, &body->root, &owner))
        return note_set(a->note, ERR_NOT_FOUND, "%s %s... is not on the ledger: register it first",
                        b.wants == LINEAGE_MODEL ? "model" : "data set", apply_text_id(body->root.b).s);
    if (!pubkey_equal(&owner, &a->signer))
        return note_set(a->note, ERR_AUTH, "only its owner offers it");
    if (state_get_offer(a->s, &offer.id, &other))
        return note_set(a->note, ERR_DUPLICATE, "this is offered already");
    state_put_offer(a->s, &offer.id, &offer);
    state_put_due(a->s, &(struct due){b.deadline_ms, DUE_OFFER, offer.id, {a->signer, 0}});
    b.root = body->root;
    b.to = a->signer;
    event_bounty(a, LEDGER_BOUNTY_OFFERED, &b);
    return ERR_OK;
}

enum err apply_tx_bounty_accept(struct apply *a, const struct tx_bounty_accept *body)
{
    struct rec_bounty b;
    struct rec_offer offer;
    struct hash id = rec_offer_id(&body->bounty, &body->root);
    enum err e = bounty_find(a, &body->bounty, &b);
    if (e)
        return e;
    if (!pubkey_equal(&b.poster, &a->signer))
        return note_set(a->note, ERR_AUTH, "only its poster accepts for a bounty");
    if (!state_get_offer(a->s, &id, &offer))
        return note_set(a->note, ERR_NOT_FOUND, "%s... was not offered", apply_text_id(body->root.b).s);
    state_credit(a->s, POT_LOCKED, &offer.by, b.amount);
    state_remove_due(a->s, &(struct due){b.deadline_ms, DUE_BOUNTY, b.id, {b.poster, 0}});
    state_put_due(a->s, &(struct due){a->clock_ms + a->params.keep_ms, DUE_BOUNTY, b.id, {b.poster, 0}});
    b.state = BOUNTY_PAID;
    b.root = body->root;
    b.to = offer.by;
    state_put_bounty(a->s, &b.id, &b);
    event_bounty(a, LEDGER_BOUNTY_PAID, &b);
    return ERR_OK;
}

void apply_bounty_end(struct apply *a, const struct hash *id)
{
    struct rec_bounty b;
    if (!state_get_bounty(a->s, id, &b))
        return;
    if (b.state == BOUNTY_OPEN) {
        state_credit(a->s, POT_LOCKED, &b.poster, b.amount);
        event_bounty(a, LEDGER_BOUNTY_RETURNED, &b);
    }
    state_remove_bounty(a->s, id);
}
