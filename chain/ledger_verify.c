/* What a transaction's bytes alone say: its form, its chain, its name, and that its signatures fit.
 *
 * That signatures fit is remembered, so a transaction is verified once on its way from the pool to the block. A block's
 * transactions are verified in parts, on as many processors as the ledger was given; the parts read the memory and
 * nothing writes it meanwhile. */
#include "chain/ledger_core.h"

#include "base/mem.h"

#include <string.h>

#define PART 32u /* transactions: a thousandth of a second of verification */

/* What stands behind the signed bytes. More than one signature's worth is kept as its hash. */
static struct verified verified_of(const struct hash *id, struct bytes signatures)
{
    struct verified v = {.id = *id, .n = (uint32_t)signatures.n};
    if (signatures.n <= sizeof v.signatures) {
        memcpy(v.signatures, signatures.p, signatures.n);
    } else {
        struct hash h = hash_once(HASH_GOSSIP, signatures.p, signatures.n);
        memcpy(v.signatures, h.b, sizeof h.b);
    }
    return v;
}

static struct verified *slot_of(const struct ledger *l, const struct hash *id)
{
    return &l->verified[load_le16(id->b)];
}

static bool is_verified(const struct ledger *l, const struct verified *v)
{
    return memcmp(slot_of(l, &v->id), v, sizeof *v) == 0;
}

/* They are the end of the encoding. */
static struct bytes signatures_of(struct bytes raw, const struct tx *t)
{
    size_t n = 1 + (t->sigs.n ? (size_t)t->sigs.n * COSIG_SIZE : sizeof t->sigs.own);
    return bytes_of(raw.p + raw.n - n, n);
}

static enum err check(const struct ledger *l, struct bytes raw, struct checked *c, struct note *note)
{
    enum err e = tx_decode(raw, &c->tx, note);
    if (e)
        return e;
    c->id = tx_id_of(raw); /* decoding is canonical: raw is the encoding */
    c->verified = verified_of(&c->id, signatures_of(raw, &c->tx));
    return is_verified(l, &c->verified) ? ERR_OK : tx_check_id(&c->tx, &c->id, &l->chain, note);
}

enum err ledger_verify(struct ledger *l, struct bytes raw, struct tx *t, struct hash *id, struct note *note)
{
    struct checked c;
    enum err e = check(l, raw, &c, note);
    if (e)
        return e;
    *t = c.tx;
    *id = c.id;
    *slot_of(l, &c.id) = c.verified;
    return ERR_OK;
}

void ledger_remember(struct ledger *l, struct bytes raw)
{
    struct tx t;
    CHECK(tx_decode(raw, &t, NULL) == ERR_OK);
    struct hash id = tx_id_of(raw);
    *slot_of(l, &id) = verified_of(&id, signatures_of(raw, &t));
}

/* -- a block's -- */

/* The state is far larger than a processor's memory: what the transaction will read is fetched here, by all processors
 * at once, and not one after the other where it is applied. */
static void warm(const struct ledger *l, struct checked *c)
{
    c->to = c->tx.signer;
    if (c->tx.kind == TX_TRANSFER)
        memcpy(c->to.b, c->tx.body.p, sizeof c->to.b); /* the first field of a body that decodes */
    c->signer_at = state_warm_account(&l->state, &c->tx.signer);
    c->to_at = c->tx.kind == TX_TRANSFER ? state_warm_account(&l->state, &c->to) : c->signer_at;
}

#define FETCH_AHEAD 6u /* transactions: their memory comes while so many are applied */

void ledger_prime(struct ledger *l, uint32_t i)
{
    const struct checked *c = &l->checked[i];
    if (i + FETCH_AHEAD < l->checked_n && l->checked[i + FETCH_AHEAD].e == ERR_OK) {
        tree_fetch(l->state.tree, &l->checked[i + FETCH_AHEAD].signer_at);
        tree_fetch(l->state.tree, &l->checked[i + FETCH_AHEAD].to_at);
    }
    state_prime_account(&l->state, &c->tx.signer, &c->signer_at);
    state_prime_account(&l->state, &c->to, &c->to_at);
}

static void verify_part(void *arg, uint32_t part)
{
    const struct ledger *l = arg;
    uint32_t end = (part + 1) * PART < l->checked_n ? (part + 1) * PART : l->checked_n;
    for (uint32_t i = part * PART; i < end; i++) {
        struct checked *c = &l->checked[i];
        c->e = check(l, c->raw, c, NULL);
        if (c->e == ERR_OK)
            warm(l, c);
    }
}

static bool is_same(const struct ledger *l, const struct bytes *txs, uint32_t n)
{
    if (n != l->checked_n)
        return false;
    for (uint32_t i = 0; i < n; i++)
        if (!bytes_equal(l->checked[i].raw, txs[i]))
            return false;
    return true;
}

/* The list of this block, copied: it outlives the caller's. */
static void list_begin(struct ledger *l, const struct bytes *txs, uint32_t n)
{
    size_t size = 0;
    if (n > l->checked_room) {
        l->checked = mem_resize(l->checked, n, sizeof *l->checked);
        l->checked_room = n;
    }
    for (uint32_t i = 0; i < n; i++)
        size += txs[i].n;
    buf_reset(&l->checked_raw);
    buf_reserve(&l->checked_raw, size);
    for (uint32_t i = 0; i < n; i++) {
        l->checked[i].raw = bytes_of(l->checked_raw.p + l->checked_raw.n, txs[i].n);
        buf_add(&l->checked_raw, txs[i].p, txs[i].n);
    }
    l->checked_n = n;
}

const struct checked *ledger_verify_all(struct ledger *l, const struct bytes *txs, uint32_t n)
{
    if (is_same(l, txs, n))
        return l->checked;
    list_begin(l, txs, n);
    parallel_run(&l->parallel, verify_part, l, (n + PART - 1) / PART);
    for (uint32_t i = 0; i < n; i++)
        if (l->checked[i].e == ERR_OK)
            *slot_of(l, &l->checked[i].id) = l->checked[i].verified;
    return l->checked;
}
