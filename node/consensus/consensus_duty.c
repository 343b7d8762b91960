/* What a validator's node sends to the ledger by itself: the key of its random function. */
#include "node/consensus/consensus_in.h"

#include "base/log.h"

#include <inttypes.h>

/* Encoded, signed with the node's key, at the least fee. The size does not depend on the fee. */
static void tx_make(struct consensus *c, enum tx_kind kind, struct bytes body, struct buf *out)
{
    uint64_t nonce = consensus_nonce(c, &c->self);
    struct tx t;
    tx_build(out, &c->chain, &c->key, nonce, amount_of(0), kind, body);
    CHECK(tx_decode(bytes_of_buf(out), &t, NULL) == ERR_OK);
    struct amount fee = ledger_fee(c->o.ledger, out->n, tx_work(&t));
    buf_reset(out);
    tx_build(out, &c->chain, &c->key, nonce, fee, kind, body);
}

/* True if it is on its way: sent with the node's key. Through the node's account where there is one, since that counts
 * its nonces itself. */
bool duty_send(struct consensus *c, enum tx_kind kind, struct bytes body)
{
    struct buf tx = {0};
    struct note note = {{0}};
    struct rec_account account;
    struct tx t;
    tx_make(c, kind, body, &tx);
    CHECK(tx_decode(bytes_of_buf(&tx), &t, NULL) == ERR_OK);
    (void)!ledger_account(c->o.ledger, &c->self, &account);
    bool can_pay = amount_compare(account.balance, t.fee) >= 0;
    enum err e = ERR_OK;
    if (can_pay && c->send)
        c->send(c->send_arg, kind, body);
    else if (can_pay)
        e = consensus_submit(c, bytes_of_buf(&tx), NULL, &note);
    if (!can_pay || e != ERR_OK)
        log_event(LOG_DEBUG, "consensus", "unsent", "kind=%s why=\"%s\"", tx_kind_name((uint8_t)kind),
                  can_pay ? note.text : "the account cannot pay its fee");
    buf_clear(&tx);
    return can_pay && e == ERR_OK;
}

/* A validator whose node is new, or moved to another home, has no key on the ledger that is this node's. */
static void beacon_key_step(struct consensus *c)
{
    struct tx_beacon_key body = {vrf_public_of(&c->vrf)};
    struct vrf_public last;
    if (c->height < c->beacon_key_height || ledger_bond(c->o.ledger, BOND_VALIDATOR, &c->self).mote == 0)
        return;
    if (ledger_beacon_key_last(c->o.ledger, &c->self, &last) && codec_equal_vrf_public(&last, &body.key))
        return;
    struct buf raw = {0};
    tx_beacon_key_put(&raw, &body);
    if (duty_send(c, TX_BEACON_KEY, bytes_of_buf(&raw)))
        c->beacon_key_height = c->height + CONSENSUS_DUTY_BLOCKS;
    buf_clear(&raw);
}

void duty_step(struct consensus *c)
{
    if (!c->has_key)
        return;
    beacon_key_step(c);
    evidence_step(c);
}

void consensus_on_send(struct consensus *c, consensus_send_fn fn, void *arg)
{
    c->send = fn;
    c->send_arg = arg;
}
