/* What comes before a block: checking a transaction for the pool, choosing for a proposal, judging one.
 *
 * A proposal is judged by what can be said without applying it: form, signatures, nonces in sequence, and that what
 * each signer has at the start pays its fees, each behind all that those before it claim: their fees, and the most that
 * they may spend. So no fee is found spent, and filling a block, or the pool, is paid for in full. Nor is a publication
 * in it before its claim lets it. Whether each does what it says is found in finalize; one that cannot has paid its
 * fee. */
#include "chain/ledger_core.h"

#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct amount ledger_fee(const struct ledger *l, size_t size, uint64_t work)
{
    return tx_fee_min(size, work, l->state.fees.per_byte, l->state.fees.per_work);
}

static enum err fee_check(const struct ledger *l, struct bytes raw, const struct tx *t, struct note *note)
{
    struct amount least = ledger_fee(l, raw.n, tx_work(t));
    if (amount_compare(t->fee, least) >= 0)
        return ERR_OK;
    return note_set(note, ERR_RANGE, "a fee of %s: at least %s is needed for these %zu bytes",
                    apply_text_amount(t->fee).s, apply_text_amount(least).s, raw.n);
}

static enum err nonce_check(uint64_t got, uint64_t want, struct note *note)
{
    if (got == want)
        return ERR_OK;
    return note_set(note, ERR_NONCE, "nonce %" PRIu64 ", the account's next is %" PRIu64 ": %s", got, want,
                    got < want ? "this was sent already" : "send the ones before it first");
}

static struct amount claim_of(const struct ledger *l, const struct tx *t)
{
    struct amount sum;
    return amount_add(&sum, t->fee, apply_spends(&l->state, &l->genesis.params, t)) ? sum : amount_of(UINT64_MAX);
}

/* Applies it to the committed state as if it came next, and takes that back; where others of its signer come before it,
 * its body alone. A publication may come a little early: it waits for its block here. */
static enum err try_out(struct ledger *l, const struct tx *t, const struct hash *id, bool is_next, struct note *note)
{
    struct apply_events events = {0};
    uint64_t early = tx_is_claimed(t->kind) ? CLAIM_POOL_BLOCKS : 0;
    struct apply a = ledger_apply(l, l->head.height + 1 + early, l->head.time_ms, &events);
    struct state_mark mark = state_mark(&l->state);
    a.note = note;
    a.id = *id;
    a.signer = t->signer;
    bool charged;
    enum err e = is_next ? apply_tx(&a, t, id, &charged) : apply_body(&a, t);
    state_undo(&l->state, &mark);
    free(events.at);
    return e;
}

/* Would it be known by the name that it asks for? In the state behind it. */
static enum err name_check(const struct ledger *l, const struct tx *t, struct note *note)
{
    struct tx_model_publish body;
    struct rec_model model;
    struct cursor c = cursor_of(t->body);
    if (t->kind != TX_MODEL_PUBLISH)
        return ERR_OK;
    tx_model_publish_get(&c, &body);
    CHECK(state_get_model(&l->state, &body.root, &model));
    if (strcmp(model.name.s, body.name.s) == 0)
        return ERR_OK;
    return note_set(note, ERR_EXISTS, "the name %.64s belongs to another publisher: choose a different one",
                    body.name.s);
}

enum err ledger_try_publication(struct ledger *l, const struct pubkey *signer, uint8_t kind, struct bytes body,
                                struct note *note)
{
    struct apply_events events = {0};
    struct tx t = {.chain = l->chain, .signer = *signer, .kind = kind, .body = body};
    struct apply a = ledger_apply(l, l->head.height + 1, l->head.time_ms, &events);
    struct state_mark mark = state_mark(&l->state);
    CHECK(tx_is_claimed(kind));
    a.note = note;
    a.signer = *signer;
    a.params.claim_blocks = 0;
    enum err e = apply_body(&a, &t);
    if (e == ERR_OK)
        e = name_check(l, &t, note);
    state_undo(&l->state, &mark);
    free(events.at);
    return e;
}

enum err ledger_check(struct ledger *l, struct bytes raw, const struct ledger_pending *pending,
                      struct ledger_checked *out, struct note *note)
{
    struct tx t;
    struct rec_account account;
    struct amount need;
    enum err e = ledger_verify(l, raw, &t, &out->id, note);
    if (e)
        return e;
    if ((e = fee_check(l, raw, &t, note)))
        return e;
    state_get_account(&l->state, &t.signer, &account);
    if ((e = nonce_check(t.nonce, account.nonce + pending->count, note)))
        return e;
    if ((e = apply_authorized(&l->state, &t, &account, note)))
        return e;
    if (!amount_add(&need, pending->claims, t.fee) || amount_compare(account.balance, need) < 0)
        return note_set(note, ERR_FUNDS, "the account holds %s, which does not cover the fee of %s%s",
                        apply_text_amount(account.balance).s, apply_text_amount(t.fee).s,
                        pending->count ? " behind what waits: try again after the next block" : "");
    /* A publication that will fail must not be seen by anybody, whatever waits before it. */
    if ((pending->count == 0 || tx_is_claimed(t.kind)) && (e = try_out(l, &t, &out->id, pending->count == 0, note)))
        return e;
    out->signer = t.signer;
    out->nonce = t.nonce;
    out->fee = t.fee;
    out->claim = claim_of(l, &t);
    return ERR_OK;
}

bool ledger_authorized(const struct ledger *l, struct bytes raw)
{
    struct tx t;
    struct rec_account account;
    if (tx_decode(raw, &t, NULL) != ERR_OK)
        return false;
    state_get_account(&l->state, &t.signer, &account);
    return apply_authorized(&l->state, &t, &account, NULL) == ERR_OK;
}

uint64_t ledger_nonce(const struct ledger *l, const struct pubkey *account)
{
    struct rec_account rec;
    state_get_account(&l->state, account, &rec);
    return rec.nonce;
}

/* -- a block's signers: where each stands within it. Open addressing; slots is a power of two above twice the most. --
 */

#define SIGNER_SLOTS 32768u
_Static_assert(SIGNER_SLOTS >= 2 * BLOCK_TXS_MAX && BLOCK_TXS_MAX < UINT16_MAX,
               "the table of signers stays half empty");

struct signer {
    struct pubkey key;
    bool closed;             /* it changed who signs for it: what follows is judged in the next block */
    struct rec_account left; /* of the balance: what nothing before claims */
};

struct signers {
    uint16_t slots[SIGNER_SLOTS]; /* 1 + place; 0: free */
    uint32_t n;
    struct signer at[BLOCK_TXS_MAX];
};

__extension__ typedef unsigned __int128 wide;

static uint32_t signer_slot(const struct ledger *l, const struct pubkey *key)
{
    wide mixed = (wide)(load_le64(key->b) ^ l->salt[0]) * (load_le64(key->b + 8) ^ l->salt[1]);
    return (uint32_t)((uint64_t)mixed ^ (uint64_t)(mixed >> 64)) % SIGNER_SLOTS;
}

static struct signers *signers_new(void)
{
    struct signers *s = mem_resize(NULL, 1, sizeof *s);
    memset(s->slots, 0, sizeof s->slots);
    s->n = 0;
    return s;
}

static struct signer *signer_find(const struct ledger *l, struct signers *s, const struct pubkey *key)
{
    uint32_t i = signer_slot(l, key);
    while (s->slots[i] && !pubkey_equal(&s->at[s->slots[i] - 1].key, key))
        i = (i + 1) % SIGNER_SLOTS;
    if (s->slots[i])
        return &s->at[s->slots[i] - 1];
    struct signer *found = &s->at[s->n++];
    s->slots[i] = (uint16_t)s->n;
    *found = (struct signer){.key = *key};
    state_get_account(&l->state, key, &found->left);
    return found;
}

/* Pools have a publication before its time. Who proposed it then would make its signer pay for nothing. */
static uint64_t claim_wait(struct ledger *l, const struct tx *t)
{
    struct apply next_block = ledger_apply(l, l->head.height + 1, l->head.time_ms, NULL);
    return apply_claim_waits(&next_block, t);
}

/* May this one, which is verified, follow those before it? Counts it, and its work, if so. */
static enum err admit(struct ledger *l, struct signers *table, struct bytes raw, const struct tx *t, uint64_t *work,
                      struct note *note)
{
    uint64_t from;
    enum err e = fee_check(l, raw, t, note);
    if (e)
        return e;
    if (tx_work(t) > BLOCK_WORK_MAX - *work)
        return note_set(note, ERR_LIMIT, "more than %u units of work in a block", BLOCK_WORK_MAX);
    if ((from = claim_wait(l, t)))
        return note_set(note, ERR_STATE, "by its claim it may be published from block %" PRIu64 " on", from);
    struct signer *s = signer_find(l, table, &t->signer);
    if ((e = nonce_check(t->nonce, s->left.nonce, note)))
        return e;
    if (s->closed)
        return note_set(note, ERR_STATE, "the account's rule changes in this block: the next one will do");
    if ((e = apply_authorized(&l->state, t, &s->left, note)))
        return e;
    if (amount_compare(s->left.balance, t->fee) < 0)
        return note_set(note, ERR_FUNDS,
                        "the signer's balance does not cover this fee behind what its others may spend in this block");
    if (!amount_sub(&s->left.balance, s->left.balance, claim_of(l, t)))
        s->left.balance = amount_of(0);
    s->left.nonce++;
    *work += tx_work(t);
    s->closed = t->kind == TX_ACCOUNT_RULE;
    return ERR_OK;
}

uint32_t ledger_prepare(struct ledger *l, ledger_next_fn next, void *arg, size_t size_max, struct bytes *txs)
{
    struct signers *table = signers_new();
    struct bytes raw;
    struct tx t;
    struct hash id;
    size_t size = 0;
    uint64_t work = 0;
    uint32_t n = 0;
    while (n < BLOCK_TXS_MAX && next(arg, &raw)) {
        if (raw.n > size_max - size || ledger_verify(l, raw, &t, &id, NULL) != ERR_OK ||
            admit(l, table, raw, &t, &work, NULL) != ERR_OK)
            continue;
        size += raw.n;
        txs[n++] = raw;
    }
    free(table);
    return n;
}

struct judging {
    struct ledger *l;
    struct signers *table;
    uint64_t work;
    struct note *note;
    enum err e; /* of the first that may not follow */
};

static void judge(void *arg, const struct checked *c)
{
    struct judging *j = arg;
    if (j->e)
        return;
    if (c->e) {
        j->e = ledger_why(j->l, c->raw, c->e, j->note);
        return;
    }
    ledger_prime(j->l, c);
    j->e = admit(j->l, j->table, c->raw, &c->tx, &j->work, j->note);
}

enum err ledger_process(struct ledger *l, const struct bytes *txs, uint32_t n, struct note *note)
{
    size_t size = 0;
    if (n > BLOCK_TXS_MAX)
        return note_set(note, ERR_LIMIT, "%u transactions in a block: at most %u", n, BLOCK_TXS_MAX);
    for (uint32_t i = 0; i < n; i++)
        size += txs[i].n;
    if (size > BLOCK_SIZE_MAX)
        return note_set(note, ERR_LIMIT, "%zu bytes of transactions in a block: at most %u", size, BLOCK_SIZE_MAX);
    struct judging j = {.l = l, .table = signers_new(), .note = note};
    (void)ledger_verify_all(l, txs, n, judge, &j);
    free(j.table);
    return j.e;
}
