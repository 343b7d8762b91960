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

#define PART 8u /* transactions: half a thousandth of a second of verification */
_Static_assert(PART <= TX_IDS_MAX && 2 * PART <= STATE_PATHS_MAX, "a part is hashed at once");

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

/* Asks for the memory of an id's slot; the table is larger than what a core keeps near. */
static void slot_fetch(const struct ledger *l, const struct hash *id)
{
    const char *slot = (const char *)slot_of(l, id);
    for (size_t at = 0; at < sizeof(struct verified); at += 64)
        __builtin_prefetch(slot + at, 1);
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

/* The rest, of one that decodes and whose id is known. */
static enum err check_signatures(const struct ledger *l, struct bytes raw, struct checked *c, struct note *note)
{
    c->verified = verified_of(&c->id, signatures_of(raw, &c->tx));
    return is_verified(l, &c->verified) ? ERR_OK : tx_check_id(&c->tx, &c->id, &l->chain, note);
}

static enum err check(const struct ledger *l, struct bytes raw, struct checked *c, struct note *note)
{
    enum err e = tx_decode(raw, &c->tx, note);
    if (e)
        return e;
    c->id = tx_id_of(raw); /* decoding is canonical: raw is the encoding */
    return check_signatures(l, raw, c, note);
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

/* -- a part of a list: what can be done for several at once is -- */

struct part {
    struct checked *at;
    uint32_t n;
};

static struct part part_of(const struct checked_list *list, uint32_t i)
{
    uint32_t left = list->n - i * PART;
    return (struct part){list->at + i * PART, left < PART ? left : PART};
}

static uint32_t parts_of(const struct checked_list *list)
{
    return (list->n + PART - 1) / PART;
}

/* Decodes and names those that are not done. */
static void part_read(const struct ledger *l, const struct part *p)
{
    struct checked *some[PART];
    struct bytes raw[PART] = {{0}};
    struct hash id[PART];
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->n; i++) {
        struct checked *c = &p->at[i];
        if (c->is_done)
            continue;
        c->e = tx_decode(c->raw, &c->tx, NULL);
        c->is_done = c->e != ERR_OK;
        if (c->is_done)
            continue;
        raw[n] = c->raw;
        some[n++] = c;
    }
    tx_ids_of(raw, n, id);
    for (uint32_t i = 0; i < n; i++) {
        some[i]->id = id[i];
        slot_fetch(l, &id[i]);
    }
}

/* The state is far larger than a processor's memory. What the transactions will read of it is asked for before their
 * signatures are verified, and found after that: by all processors at once, and not one after the other where they are
 * applied. */
static void part_near(const struct ledger *l, const struct part *p)
{
    struct pubkey keys[2 * PART];
    struct hash paths[2 * PART];
    for (uint32_t i = 0; i < p->n; i++) {
        struct checked *c = &p->at[i];
        if (c->e) /* nothing will be read */
            c->tx.signer = (struct pubkey){{0}};
        c->to = c->tx.signer;
        if (!c->e && c->tx.kind == TX_TRANSFER)
            memcpy(c->to.b, c->tx.body.p, sizeof c->to.b); /* the first field of a body that decodes */
        keys[2 * i] = c->tx.signer;
        keys[2 * i + 1] = c->to;
    }
    state_account_paths(keys, 2 * p->n, paths);
    for (uint32_t i = 0; i < p->n; i++) {
        p->at[i].signer_at.path = paths[2 * i];
        p->at[i].to_at.path = paths[2 * i + 1];
        tree_near(l->state.tree, &paths[2 * i]);
        tree_near(l->state.tree, &paths[2 * i + 1]);
    }
}

static void check_once(const struct ledger *l, struct checked *c)
{
    if (!c->is_done)
        c->e = check_signatures(l, c->raw, c, NULL);
    c->is_done = true;
}

static void warm(const struct ledger *l, struct checked *c)
{
    c->signer_at = tree_warm(l->state.tree, &c->signer_at.path);
    c->to_at = c->tx.kind == TX_TRANSFER ? tree_warm(l->state.tree, &c->to_at.path) : c->signer_at;
}

void ledger_prime(struct ledger *l, const struct checked *c)
{
    state_prime_account(&l->state, &c->tx.signer, &c->signer_at);
    state_prime_account(&l->state, &c->to, &c->to_at);
}

/* -- a block's: verified in parts, followed in order -- */

struct verifying {
    struct ledger *l;
    ledger_follow_fn follow;
    void *arg;
    atomic_bool *is_ready;   /* parts */
    atomic_flag is_followed; /* by some thread, now */
    uint32_t next;           /* part to be followed; whoever is at it owns this */
};

/* Where somebody is at it already, he may just have seen this part unready: the end of it all looks again. */
static void follow_ready(struct verifying *v)
{
    const struct checked_list *list = &v->l->checked;
    if (!v->follow || atomic_flag_test_and_set(&v->is_followed))
        return;
    for (; v->next < parts_of(list) && atomic_load(&v->is_ready[v->next]); v->next++) {
        struct part p = part_of(list, v->next);
        for (uint32_t i = 0; i < p.n; i++)
            v->follow(v->arg, &p.at[i]);
    }
    atomic_flag_clear(&v->is_followed);
}

static void verify_part(void *arg, uint32_t i)
{
    struct verifying *v = arg;
    struct part p = part_of(&v->l->checked, i);
    part_read(v->l, &p);
    part_near(v->l, &p);
    for (uint32_t k = 0; k < p.n; k++)
        check_once(v->l, &p.at[k]);
    for (uint32_t k = 0; k < p.n; k++)
        if (p.at[k].e == ERR_OK)
            warm(v->l, &p.at[k]);
    atomic_store(&v->is_ready[i], true);
    follow_ready(v);
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

/* The list of these transactions, as far as it is known already. */
static void list_take(struct ledger *l, const struct bytes *txs, uint32_t n)
{
    struct checked_list old = l->checked;
    if (n && list_is(&l->expected, txs, n)) {
        l->checked = l->expected;
        l->expected = old;
        l->expected.n = 0;
    } else {
        list_begin(&l->checked, txs, n);
    }
}

static void follow_all(const struct ledger *l, ledger_follow_fn follow, void *arg)
{
    for (uint32_t i = 0; follow && i < l->checked.n; i++)
        follow(arg, &l->checked.at[i]);
}

#define SLOTS_AHEAD 8u

static void remember_all(struct ledger *l)
{
    const struct checked_list *list = &l->checked;
    for (uint32_t i = 0; i < list->n; i++) {
        if (i + SLOTS_AHEAD < list->n && list->at[i + SLOTS_AHEAD].e == ERR_OK)
            slot_fetch(l, &list->at[i + SLOTS_AHEAD].id);
        if (list->at[i].e == ERR_OK)
            *slot_of(l, &list->at[i].id) = list->at[i].verified;
    }
}

const struct checked *ledger_verify_all(struct ledger *l, const struct bytes *txs, uint32_t n, ledger_follow_fn follow,
                                        void *arg)
{
    if (list_is(&l->checked, txs, n)) {
        follow_all(l, follow, arg);
        return l->checked.at;
    }
    list_take(l, txs, n);
    struct verifying v = {.l = l, .follow = follow, .arg = arg, .is_followed = ATOMIC_FLAG_INIT};
    v.is_ready = mem_array(parts_of(&l->checked), sizeof *v.is_ready);
    parallel_run(&l->parallel, verify_part, &v, parts_of(&l->checked));
    follow_ready(&v);
    free(v.is_ready);
    remember_all(l);
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
    if (part == 0) {
        b->fn(b->arg);
        atomic_store(&b->is_over, true);
        return;
    }
    if (atomic_load(&b->is_over))
        return;
    struct part p = part_of(&b->l->expected, part - 1);
    part_read(b->l, &p);
    for (uint32_t i = 0; i < p.n && !atomic_load(&b->is_over); i++)
        check_once(b->l, &p.at[i]);
}

void ledger_do_beside(struct ledger *l, void (*fn)(void *arg), void *arg, bool waits)
{
    struct beside b = {.l = l, .fn = fn, .arg = arg};
    if (l->expected.n == 0)
        fn(arg);
    else if (waits)
        parallel_run_waiting(&l->parallel, beside_part, &b, 1 + parts_of(&l->expected));
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
