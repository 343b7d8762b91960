/* Dispatch by kind, fees, transfers, the proposer's reward. */
#include "chain/apply.h"

#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>

struct ledger_event *apply_event(struct apply *a, enum ledger_event_kind kind)
{
    struct apply_events *e = a->events;
    if (e->n == e->room) {
        e->room = e->room ? 2 * e->room : 64;
        e->at = mem_resize(e->at, e->room, sizeof *e->at);
    }
    e->at[e->n] = (struct ledger_event){.kind = kind, .tx = a->tx};
    return &e->at[e->n++];
}

struct apply_text apply_text_amount(struct amount amount)
{
    struct apply_text t;
    char digits[AMOUNT_TEXT_ROOM];
    amount_print(amount, digits);
    snprintf(t.s, sizeof t.s, "%s KITH", digits);
    return t;
}

struct apply_text apply_text_id(const uint8_t id[32])
{
    struct apply_text t;
    hex_put(t.s, id, 8);
    return t;
}

enum err apply_no_funds(struct apply *a, struct amount need)
{
    struct rec_account account;
    state_get_account(a->s, &a->signer, &account);
    return note_set(a->note, ERR_FUNDS, "the account holds %s, this needs %s: send less, or wait for money to arrive",
                    apply_text_amount(account.balance).s, apply_text_amount(need).s);
}

enum err apply_tx_transfer(struct apply *a, const struct tx_transfer *body)
{
    struct rec_account known;
    if (body->amount.mote == 0)
        return note_set(a->note, ERR_RANGE, "a transfer of nothing: give an amount");
    /* Parsing a key costs a square root: only for accounts that are new. */
    if (!state_get_account(a->s, &body->to, &known) && !key_public_is_valid(&body->to))
        return note_set(a->note, ERR_FORMAT, "%s... is not a public key: money sent there would be lost",
                        apply_text_id(body->to.b).s);
    if (!state_transfer(a->s, &a->signer, &body->to, body->amount))
        return apply_no_funds(a, body->amount);
    struct ledger_event *e = apply_event(a, LEDGER_TRANSFER);
    e->a = a->signer;
    e->b = body->to;
    e->amount = body->amount;
    return ERR_OK;
}

enum err apply_body(struct apply *a, const struct tx *t)
{
    struct cursor c = cursor_of(t->body);
    enum err e = apply_claim_use(a, t);
    if (e)
        return e;
    switch (t->kind) {
#define K(number, name, record, work)                                                                                  \
    case TX_##name: {                                                                                                  \
        struct record body;                                                                                            \
        record##_get(&c, &body);                                                                                       \
        CHECK(cursor_end(&c));                                                                                         \
        return apply_##record(a, &body);                                                                               \
    }
        TX_KIND_LIST(K)
#undef K
    default:
        CHECK(!"a kind that tx_decode let through");
    }
}

static struct amount data_price(const struct state *s, struct bytes body)
{
    struct tx_data_grant grant;
    struct rec_data data;
    struct cursor c = cursor_of(body);
    tx_data_grant_get(&c, &grant);
    return state_get_data(s, &grant.data, &data) ? data.price : amount_of(UINT64_MAX); /* it may yet be registered */
}

struct amount apply_spends(const struct state *s, const struct params *params, const struct tx *t)
{
    struct cursor c = cursor_of(t->body);
#define AMOUNT_OF(KIND, record)                                                                                        \
    case KIND: {                                                                                                       \
        struct record body;                                                                                            \
        record##_get(&c, &body);                                                                                       \
        return body.amount;                                                                                            \
    }
    switch ((enum tx_kind)t->kind) {
        AMOUNT_OF(TX_TRANSFER, tx_transfer)
        AMOUNT_OF(TX_BOND, tx_bond)
        AMOUNT_OF(TX_CHANNEL_OPEN, tx_channel_open)
        AMOUNT_OF(TX_CHANNEL_TOPUP, tx_channel_topup)
        AMOUNT_OF(TX_BOUNTY_POST, tx_bounty_post)
    case TX_MODEL_PUBLISH:
        return params->model_bond;
    case TX_DATA_GRANT:
        return data_price(s, t->body);
    case TX_KEY_RELEASE:
        return params->grant_bond;
    case TX_CHALLENGE:
    case TX_DOUBT:
        return params->challenge_bond;
    case TX_UNBOND:
    case TX_PROVIDER:
    case TX_DATA_CONTRIBUTE:
    case TX_CHANNEL_SETTLE:
    case TX_CHANNEL_CLOSE:
    case TX_EVIDENCE:
    case TX_BEACON_KEY:
    case TX_ACCOUNT_RULE:
    case TX_DATA_DISPUTE:
    case TX_BOUNTY_OFFER:
    case TX_BOUNTY_ACCEPT:
    case TX_AUDIT_COMMIT:
    case TX_AUDIT_REVEAL:
    case TX_CLAIM:
    case TX_PLANT:
    case TX_DOUBT_COMMIT:
    case TX_DOUBT_REVEAL:
        return amount_of(0);
    }
#undef AMOUNT_OF
    CHECK(!"a kind that tx_decode let through");
}

/* Takes the fee, or what the account has of it: no block that a validator votes for lets it be less (ledger_pool.c). A
 * part burns, the rest waits for the proposer. */
static enum err charge(struct apply *a, const struct tx *t, bool *charged)
{
    struct rec_account account;
    state_get_account(a->s, &t->signer, &account);
    if (account.nonce != t->nonce)
        return note_set(a->note, ERR_NONCE, "nonce %" PRIu64 " where the account's next is %" PRIu64, t->nonce,
                        account.nonce);
    enum err e = apply_authorized(a->s, t, &account, a->note);
    if (e)
        return e;
    *charged = true;
    bool short_of = amount_compare(account.balance, t->fee) < 0;
    struct amount fee = short_of ? account.balance : t->fee;
    state_charge(a->s, &t->signer, &account, POT_LOCKED, fee);
    struct amount burn = amount_share(fee, a->params.fee_burn_bps), rest;
    CHECK(amount_sub(&rest, fee, burn));
    CHECK(amount_add(&a->rewards, a->rewards, rest));
    state_shift(a->s, POT_LOCKED, POT_BURNED, burn);
    return short_of ? apply_no_funds(a, t->fee) : ERR_OK;
}

enum err apply_tx(struct apply *a, const struct tx *t, const struct hash *id, bool *charged)
{
    a->id = *id;
    a->signer = t->signer;
    *charged = false;
    enum err e = charge(a, t, charged);
    if (e)
        return e;
    struct state_mark mark = state_mark(a->s);
    uint32_t events = a->events->n;
    e = apply_body(a, t);
    if (e) {
        state_undo(a->s, &mark);
        a->events->n = events;
    }
    return e;
}

void apply_reward(struct apply *a, bool busy)
{
    uint64_t halvings = a->height / a->params.issue_halving;
    struct amount issue = amount_of(halvings < 64 ? a->params.issue_block.mote >> halvings : 0);
    if (busy)
        CHECK(amount_add(&a->rewards, a->rewards, state_issue(a->s, issue)));
    state_credit(a->s, POT_LOCKED, &a->proposer, a->rewards);
    a->rewards = amount_of(0);
}
