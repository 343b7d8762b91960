/* Access to data, as a fair exchange.
 *
 *             grant: the price is locked          key_release: the seller locks a bond
 *     (none) ----------------------------> OPEN ------------------------------------> RELEASED
 *                                           |                                          |   \  window over (apply_due.c)
 *                  no key in time           v                        dispute proven    v    `----> PAID: the seller has
 *                  (apply_due.c)         (none): refunded         (none): refunded, bond lost      price and bond
 *
 * What the buyer must do first: fetch the encrypted data and the hashes of the plain leaves, and compare both with the
 * roots on the ledger. Then any key that does not fit shows in one leaf, and a dispute can prove it: the ledger opens
 * the sealed key with the grant's one-time secret, decrypts the leaf and compares. A key that fits disproves every
 * dispute, so an honest seller cannot lose. A proof makes the data's key public. */
#include "chain/apply.h"

#include "base/merkle.h"
#include "base/seal.h"

#include <string.h>

#define DATA_KEY_SIZE 32
_Static_assert(KEY_SEALED_SIZE == DATA_KEY_SIZE + SEAL_TO_KEY_EXTRA, "a sealed data key");

static void event_grant(struct apply *a, enum ledger_event_kind kind, const struct rec_grant *g, struct amount amount)
{
    struct ledger_event *e = apply_event(a, kind);
    e->id = g->id;
    e->other = g->data;
    e->a = g->buyer;
    e->b = g->seller;
    e->amount = amount;
    e->time_ms = apply_date(a, g->deadline_ms);
}

static struct due due_of(const struct rec_grant *g)
{
    return (struct due){g->deadline_ms, DUE_GRANT, g->id, {g->buyer, 0}};
}

enum err apply_tx_data_grant(struct apply *a, const struct tx_data_grant *body)
{
    struct rec_data data;
    if (!state_get_data(a->s, &body->data, &data))
        return note_set(a->note, ERR_NOT_FOUND, "data set %s... is not on the ledger", apply_text_id(body->data.b).s);
    if (pubkey_equal(&data.owner, &a->signer))
        return note_set(a->note, ERR_STATE, "the data set %.64s is your own", data.name.s);
    if (!key_public_is_valid(&body->key) || pubkey_equal(&body->key, &a->signer))
        return note_set(a->note, ERR_FORMAT,
                        "a grant needs a key made for it alone: a dispute would make its secret public");
    if (!state_debit(a->s, &a->signer, POT_LOCKED, data.price))
        return apply_no_funds(a, data.price);
    struct rec_grant g = {.id = a->id,
                          .data = body->data,
                          .buyer = a->signer,
                          .seller = data.owner,
                          .key = body->key,
                          .price = data.price,
                          .state = GRANT_OPEN,
                          .deadline_ms = a->clock_ms + a->params.grant_release_ms,
                          .height = a->height};
    struct due due = due_of(&g);
    state_put_grant(a->s, &g.id, &g);
    state_put_due(a->s, &due);
    event_grant(a, LEDGER_GRANT_OPENED, &g, g.price);
    return ERR_OK;
}

static enum err grant_find(struct apply *a, const struct hash *id, enum grant_state state, struct rec_grant *g)
{
    if (!state_get_grant(a->s, id, g))
        return note_set(a->note, ERR_NOT_FOUND, "no grant %s...", apply_text_id(id->b).s);
    if (g->state != state)
        return note_set(a->note, ERR_STATE,
                        state == GRANT_OPEN ? "the key of grant %s... was released already"
                                            : "no key of grant %s... can be disputed now",
                        apply_text_id(id->b).s);
    if (a->clock_ms > g->deadline_ms)
        return note_set(a->note, ERR_EXPIRED, "the time of grant %s... has passed", apply_text_id(id->b).s);
    return ERR_OK;
}

enum err apply_tx_key_release(struct apply *a, const struct tx_key_release *body)
{
    struct rec_grant g;
    enum err e = grant_find(a, &body->grant, GRANT_OPEN, &g);
    if (e)
        return e;
    if (!pubkey_equal(&g.seller, &a->signer))
        return note_set(a->note, ERR_AUTH, "only the data's owner releases its key");
    if (body->sealed.n != KEY_SEALED_SIZE)
        return note_set(a->note, ERR_FORMAT, "a sealed key of %zu bytes: it has %d", body->sealed.n, KEY_SEALED_SIZE);
    if (!state_debit(a->s, &a->signer, POT_LOCKED, a->params.grant_bond))
        return apply_no_funds(a, a->params.grant_bond);
    struct due due = due_of(&g);
    state_remove_due(a->s, &due);
    g.bond = a->params.grant_bond;
    g.sealed = body->sealed;
    g.state = GRANT_RELEASED;
    g.deadline_ms = a->clock_ms + a->params.grant_dispute_ms;
    due = due_of(&g);
    state_put_grant(a->s, &g.id, &g);
    state_put_due(a->s, &due);
    event_grant(a, LEDGER_KEY_RELEASED, &g, g.price);
    return ERR_OK;
}

/* The time has come: refund, or payment. */
void apply_grant_end(struct apply *a, const struct hash *id)
{
    struct rec_grant g;
    if (!state_get_grant(a->s, id, &g))
        return;
    if (g.state == GRANT_OPEN) {
        state_credit(a->s, POT_LOCKED, &g.buyer, g.price);
        state_remove_grant(a->s, id);
        event_grant(a, LEDGER_GRANT_REFUNDED, &g, g.price);
        return;
    }
    state_credit(a->s, POT_LOCKED, &g.seller, g.price);
    state_credit(a->s, POT_LOCKED, &g.seller, g.bond);
    g.bond = amount_of(0);
    g.sealed = (struct bytes){0};
    g.state = GRANT_PAID;
    state_put_grant(a->s, id, &g);
    event_grant(a, LEDGER_GRANT_PAID, &g, g.price);
}

/* Opens the released key; false where it does not open, which is the seller's fault as well: the secret fits the key
 * that was sealed to. */
static enum err key_open(struct apply *a, const struct tx_data_dispute *body, const struct rec_grant *g,
                         uint8_t key[DATA_KEY_SIZE], bool *opens)
{
    struct seckey secret;
    struct pubkey own;
    struct buf plain = {0};
    memcpy(secret.b, body->secret.b, sizeof secret.b);
    if (key_is_valid(&secret))
        key_derive(&secret, &own); /* one of the two secrets of an x coordinate opens, so both must do */
    else
        own = (struct pubkey){{0}};
    if (!pubkey_equal(&own, &g->key))
        return note_set(a->note, ERR_AUTH, "this is not the secret of the grant's key");
    *opens = seal_open(&plain, &secret, g->sealed.p, g->sealed.n) && plain.n == DATA_KEY_SIZE;
    if (*opens)
        memcpy(key, plain.p, DATA_KEY_SIZE);
    buf_clear(&plain);
    return ERR_OK;
}

static bool proven(const struct hash *root, uint64_t size, uint64_t i, const struct hash *leaf,
                   const struct hashes *proof)
{
    struct hash siblings[LEAF_PROOF_MAX];
    if (proof->n > LEAF_PROOF_MAX)
        return false;
    for (uint32_t k = 0; k < proof->n; k++)
        siblings[k] = hashes_at(proof, k);
    return merkle_verify(root, size, i, leaf, siblings, proof->n);
}

/* ERR_OK: under this key the leaf is not what was promised. */
static enum err leaf_disputed(struct apply *a, const struct tx_data_dispute *body, const struct rec_data *data,
                              const uint8_t key[DATA_KEY_SIZE])
{
    uint8_t plain[LEAF_SIZE];
    if (body->index >= merkle_leaves(data->size) || body->leaf.n != merkle_leaf_size(data->size, body->index))
        return note_set(a->note, ERR_RANGE, "leaf %llu with %zu bytes: the data set has none such",
                        (unsigned long long)body->index, body->leaf.n);
    struct hash cipher = merkle_leaf_hash(body->leaf.p, body->leaf.n);
    if (!proven(&data->cipher_root, data->size, body->index, &cipher, &body->leaf_proof) ||
        !proven(&data->plain_root, data->size, body->index, &body->plain_leaf, &body->plain_proof))
        return note_set(a->note, ERR_MISMATCH, "leaf %llu is not under the roots of the data set",
                        (unsigned long long)body->index);
    seal_stream(plain, key, body->index, body->leaf.p, body->leaf.n);
    struct hash got = data_leaf_hash(key, body->index, plain, body->leaf.n);
    if (hash_equal(&got, &body->plain_leaf))
        return note_set(a->note, ERR_REFUSED, "the key opens this leaf to what was promised");
    return ERR_OK;
}

static enum err dispute_check(struct apply *a, const struct tx_data_dispute *body, const struct rec_grant *g,
                              const struct rec_data *data)
{
    uint8_t key[DATA_KEY_SIZE] = {0};
    bool opens = false;
    enum err e = key_open(a, body, g, key, &opens);
    if (e)
        return e;
    if (opens)
        return leaf_disputed(a, body, data, key);
    if (body->index || body->leaf.n || body->leaf_proof.n || body->plain_proof.n || !hash_is_zero(&body->plain_leaf))
        return note_set(a->note, ERR_FORMAT, "the sealed key does not open at all: leave the leaf out");
    return ERR_OK;
}

enum err apply_tx_data_dispute(struct apply *a, const struct tx_data_dispute *body)
{
    struct rec_grant g;
    struct rec_data data;
    enum err e = grant_find(a, &body->grant, GRANT_RELEASED, &g);
    if (e)
        return e;
    if (!pubkey_equal(&g.buyer, &a->signer))
        return note_set(a->note, ERR_AUTH, "only the buyer disputes a key");
    CHECK(state_get_data(a->s, &g.data, &data));
    if ((e = dispute_check(a, body, &g, &data)))
        return e;
    struct amount part = amount_share(g.bond, a->params.slash_auditor_bps), burn, sum;
    CHECK(amount_sub(&burn, g.bond, part) && amount_add(&sum, g.price, part));
    state_credit(a->s, POT_LOCKED, &g.buyer, sum);
    state_shift(a->s, POT_LOCKED, POT_BURNED, burn);
    data.disputes += data.disputes < UINT32_MAX;
    state_put_data(a->s, &g.data, &data);
    struct due due = due_of(&g);
    state_remove_due(a->s, &due);
    event_grant(a, LEDGER_GRANT_DISPUTED, &g, sum);
    state_remove_grant(a->s, &body->grant);
    return ERR_OK;
}
