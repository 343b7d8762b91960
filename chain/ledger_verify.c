/* What a transaction's bytes alone say: its form, its chain, its name, and that its signatures fit.
 *
 * That signatures fit is remembered, so a transaction is verified once on its way from the pool to the block. A block's
 * transactions are verified in parts, on as many processors as the ledger was given; the parts read the memory and
 * nothing writes it meanwhile.
 *
 * Applying and storing a block keep one processor busy, or wait for a disk. Where the next block is at hand
 * (ledger_expect) the others verify it then: its bytes and the chain are all that this reads, so nothing of it is
 * believed before its turn, and no order of commits changes. */
#include "chain/ledger_core.h"

#include "base/mem.h"

#include <stdatomic.h>
#include <stdlib.h>
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

enum err ledger_why(const struct ledger *l, struct bytes raw, enum err e, struct note *note)
{
    struct checked c;
    enum err why = check(l, raw, &c, note);
    return why ? why : e;
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
    const struct checked *c = &l->checked.at[i], *later = c + FETCH_AHEAD;
    if (i + FETCH_AHEAD < l->checked.n && later->e == ERR_OK) {
        tree_fetch(l->state.tree, &later->signer_at);
        tree_fetch(l->state.tree, &later->to_at);
    }
    state_prime_account(&l->state, &c->tx.signer, &c->signer_at);
    state_prime_account(&l->state, &c->to, &c->to_at);
}

static void check_once(const struct ledger *l, struct checked *c)
{
    if (!c->is_done)
        c->e = check(l, c->raw, c, NULL);
    c->is_done = true;
}

static uint32_t part_end(const struct checked_list *list, uint32_t part)
{
    return (part + 1) * PART < list->n ? (part + 1) * PART : list->n;
}

static uint32_t parts_of(const struct checked_list *list)
{
    return (list->n + PART - 1) / PART;
}

static void verify_part(void *arg, uint32_t part)
{
    const struct ledger *l = arg;
    for (uint32_t i = part * PART; i < part_end(&l->checked, part); i++) {
        struct checked *c = &l->checked.at[i];
        check_once(l, c);
        if (c->e == ERR_OK)
            warm(l, c);
    }
}

static bool list_is(const struct checked_list *list, const struct bytes *txs, uint32_t n)
{
    if (n != list->n)
        return false;
    for (uint32_t i = 0; i < n; i++)
        if (!bytes_equal(list->at[i].raw, txs[i]))
            return false;
    return true;
}

static void list_begin(struct checked_list *list, const struct bytes *txs, uint32_t n)
{
    size_t size = 0;
    if (n > list->room) {
        list->at = mem_resize(list->at, n, sizeof *list->at);
        list->room = n;
    }
    for (uint32_t i = 0; i < n; i++)
        size += txs[i].n;
    buf_reset(&list->raw);
    buf_reserve(&list->raw, size);
    for (uint32_t i = 0; i < n; i++) {
        list->at[i].raw = bytes_of(list->raw.p + list->raw.n, txs[i].n);
        list->at[i].is_done = false;
        buf_add(&list->raw, txs[i].p, txs[i].n);
    }
    list->n = n;
}

static void list_clear(struct checked_list *list)
{
    free(list->at);
    buf_clear(&list->raw);
    *list = (struct checked_list){0};
}

const struct checked *ledger_verify_all(struct ledger *l, const struct bytes *txs, uint32_t n)
{
    if (list_is(&l->checked, txs, n))
        return l->checked.at;
    if (n && list_is(&l->expected, txs, n)) {
        struct checked_list old = l->checked;
        l->checked = l->expected;
        l->expected = old;
        l->expected.n = 0;
    } else {
        list_begin(&l->checked, txs, n);
    }
    parallel_run(&l->parallel, verify_part, l, parts_of(&l->checked));
    for (uint32_t i = 0; i < n; i++)
        if (l->checked.at[i].e == ERR_OK)
            *slot_of(l, &l->checked.at[i].id) = l->checked.at[i].verified;
    return l->checked.at;
}

/* -- the block after -- */

struct beside {
    const struct ledger *l;
    void (*fn)(void *arg);
    void *arg;
    atomic_bool is_over;
};

/* Part 0 is the work itself. */
static void beside_part(void *arg, uint32_t part)
{
    struct beside *b = arg;
    const struct checked_list *list = &b->l->expected;
    if (part == 0) {
        b->fn(b->arg);
        atomic_store(&b->is_over, true);
        return;
    }
    for (uint32_t i = (part - 1) * PART; i < part_end(list, part - 1) && !atomic_load(&b->is_over); i++)
        check_once(b->l, &list->at[i]);
}

void ledger_do_beside(struct ledger *l, void (*fn)(void *arg), void *arg)
{
    struct beside b = {.l = l, .fn = fn, .arg = arg};
    if (l->expected.n == 0)
        fn(arg);
    else
        parallel_run(&l->parallel, beside_part, &b, 1 + parts_of(&l->expected));
}

void ledger_expect(struct ledger *l, const struct bytes *txs, uint32_t n)
{
    if (n <= BLOCK_TXS_MAX && l->parallel.run)
        list_begin(&l->expected, txs, n);
}

void ledger_lists_clear(struct ledger *l)
{
    list_clear(&l->checked);
    list_clear(&l->expected);
}
