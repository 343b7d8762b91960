/* The pool: signers in an open hash table, each with its queue; transactions' ids in a second table. */
#include "node/consensus/mempool.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define SLOTS (4u * MEMPOOL_MAX) /* of each table: at most a quarter full */

__extension__ typedef unsigned __int128 wide;

/* What is paid for so many bytes. */
struct rate {
    struct amount fee;
    size_t bytes;
};

struct pooled {
    struct hash id;
    uint64_t nonce;
    struct amount fee, claim;
    bool cosigned;    /* by the keys of a rule */
    struct bytes raw; /* owned */
};

/* txs[0] is the next; consecutive nonces. Empty queues are dropped. `least` is what is paid for the cheapest: what
 * stands behind that one can be in no block before it. */
struct signer_queue {
    struct rate least;
    uint32_t n, room;
    struct pooled **txs;
    struct pubkey signer;
};

struct mempool {
    uint8_t key[16];
    struct ledger *ledger;
    struct signer_queue **signers; /* dense */
    struct signer_queue *worst;    /* that pays least, if it is known */
    uint32_t signers_n, signers_room;
    uint32_t *by_signer;   /* hash table: 1 + index into signers, rebuilt when one goes */
    struct pooled **by_id; /* hash table, linear probing, deletion by shifting back */
    uint32_t count, count_max;
    size_t bytes;
};

struct mempool *mempool_new(struct ledger *ledger, const uint8_t key[16])
{
    struct mempool *m = mem_new(sizeof *m);
    memcpy(m->key, key, sizeof m->key);
    m->ledger = ledger;
    m->count_max = MEMPOOL_MAX;
    m->by_signer = mem_array(SLOTS, sizeof *m->by_signer);
    m->by_id = mem_array(SLOTS, sizeof(struct pooled *));
    return m;
}

void mempool_set_max(struct mempool *m, uint32_t count_max)
{
    CHECK(count_max <= MEMPOOL_MAX);
    m->count_max = count_max;
}

static void pooled_free(struct pooled *p)
{
    free((void *)(uintptr_t)p->raw.p);
    free(p);
}

static void queue_free(struct signer_queue *q)
{
    for (uint32_t i = 0; i < q->n; i++)
        pooled_free(q->txs[i]);
    free(q->txs);
    free(q);
}

void mempool_free(struct mempool *m)
{
    if (!m)
        return;
    for (uint32_t i = 0; i < m->signers_n; i++)
        queue_free(m->signers[i]);
    free(m->signers);
    free(m->by_signer);
    free(m->by_id);
    free(m);
}

/* -- the tables -- */

static uint32_t slot_of(const struct mempool *m, const uint8_t key[32])
{
    return (uint32_t)(hash_place(m->key, key, 32) % SLOTS);
}

/* The slot that holds the id, or the free one where it would stand. */
static uint32_t id_slot(const struct mempool *m, const struct hash *id)
{
    uint32_t i = slot_of(m, id->b);
    while (m->by_id[i] && !hash_equal(&m->by_id[i]->id, id))
        i = (i + 1) % SLOTS;
    return i;
}

static void id_remove(struct mempool *m, const struct hash *id)
{
    uint32_t hole = id_slot(m, id);
    CHECK(m->by_id[hole]);
    for (uint32_t i = (hole + 1) % SLOTS; m->by_id[i]; i = (i + 1) % SLOTS) {
        uint32_t home = slot_of(m, m->by_id[i]->id.b);
        if ((i + SLOTS - home) % SLOTS >= (i + SLOTS - hole) % SLOTS) {
            m->by_id[hole] = m->by_id[i];
            hole = i;
        }
    }
    m->by_id[hole] = NULL;
}

static uint32_t signer_slot(const struct mempool *m, const struct pubkey *signer)
{
    uint32_t i = slot_of(m, signer->b);
    while (m->by_signer[i] && !pubkey_equal(&m->signers[m->by_signer[i] - 1]->signer, signer))
        i = (i + 1) % SLOTS;
    return i;
}

static struct signer_queue *signer_find(const struct mempool *m, const struct pubkey *signer)
{
    uint32_t at = m->by_signer[signer_slot(m, signer)];
    return at ? m->signers[at - 1] : NULL;
}

/* Drops empty queues and makes the table again; once a block, or when many came and went since; linear in the signers.
 */
static void signers_compact(struct mempool *m)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < m->signers_n; i++)
        if (m->signers[i]->n)
            m->signers[kept++] = m->signers[i];
        else
            queue_free(m->signers[i]);
    m->signers_n = 0;
    m->worst = NULL;
    memset(m->by_signer, 0, SLOTS * sizeof *m->by_signer);
    for (uint32_t i = 0; i < kept; i++) {
        uint32_t slot = signer_slot(m, &m->signers[i]->signer);
        m->signers_n = i + 1;
        m->by_signer[slot] = i + 1;
    }
}

static struct signer_queue *signer_get(struct mempool *m, const struct pubkey *signer)
{
    struct signer_queue *q = signer_find(m, signer);
    if (q)
        return q;
    if (m->signers_n == 2 * MEMPOOL_MAX)
        signers_compact(m);
    if (m->signers_n == m->signers_room) {
        m->signers_room = m->signers_room ? 2 * m->signers_room : 64;
        m->signers = mem_resize(m->signers, m->signers_room, sizeof(struct signer_queue *));
    }
    q = mem_new(sizeof *q);
    q->signer = *signer;
    uint32_t slot = signer_slot(m, signer);
    m->signers[m->signers_n++] = q;
    m->by_signer[slot] = m->signers_n;
    return q;
}

/* -- what is worth its place -- */

static struct rate rate_of(const struct pooled *p)
{
    return (struct rate){p->fee, p->raw.n};
}

static int rate_compare(struct rate a, struct rate b)
{
    wide x = (wide)a.fee.mote * b.bytes, y = (wide)b.fee.mote * a.bytes;
    return (x > y) - (x < y);
}

/* b is more than a by a quarter. */
static bool rate_is_better(struct rate a, struct rate b)
{
    return (wide)a.fee.mote * b.bytes * 5 < (wide)b.fee.mote * a.bytes * 4;
}

/* Entry i came, or those before it did not change: what is least of the first i + 1. */
static void queue_rate_step(struct signer_queue *q, uint32_t i)
{
    struct rate rate = rate_of(q->txs[i]);
    if (i == 0 || rate_compare(rate, q->least) < 0)
        q->least = rate;
}

/* What waits of the account claims together, or the most that can be counted. */
static struct amount queue_claims(const struct signer_queue *q)
{
    struct amount sum = amount_of(0);
    for (uint32_t i = 0; q && i < q->n; i++)
        if (!amount_add(&sum, sum, q->txs[i]->claim))
            return amount_of(UINT64_MAX);
    return sum;
}

static bool is_full(const struct mempool *m, size_t size)
{
    return m->count >= m->count_max || m->bytes + size > MEMPOOL_BYTES_MAX;
}

static struct signer_queue *worst_find(struct mempool *m)
{
    for (uint32_t i = 0, known = m->worst != NULL; i < m->signers_n && !known; i++)
        if (m->signers[i]->n && (!m->worst || rate_compare(m->signers[i]->least, m->worst->least) < 0))
            m->worst = m->signers[i];
    return m->worst;
}

/* The queue that pays least, if one of this rate behind those in `own` would pay better; never `own`. */
static struct signer_queue *victim_find(struct mempool *m, const struct signer_queue *own, struct rate rate)
{
    struct signer_queue *worst = worst_find(m);
    if (own && own->n && rate_compare(own->least, rate) < 0)
        rate = own->least;
    return worst && rate_is_better(worst->least, rate) ? worst : NULL;
}

/* -- in and out -- */

/* Takes transactions from..to-1 out of the queue. */
static void queue_remove(struct mempool *m, struct signer_queue *q, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++) {
        struct pooled *p = q->txs[i];
        id_remove(m, &p->id);
        m->count--;
        m->bytes -= p->raw.n;
        pooled_free(p);
    }
    memmove(q->txs + from, q->txs + to, (q->n - to) * sizeof(struct pooled *));
    q->n -= to - from;
    m->worst = NULL;
    for (uint32_t i = 0; i < q->n; i++)
        queue_rate_step(q, i);
}

static enum err room_check(struct mempool *m, const struct signer_queue *q, struct rate rate, struct note *note)
{
    if (q && q->n >= MEMPOOL_SIGNER_MAX)
        return note_set(note, ERR_FULL, "%u transactions of this account wait already: try again after the next block",
                        q->n);
    if (is_full(m, rate.bytes) && !victim_find(m, q, rate))
        return note_set(note, ERR_FULL,
                        "the pool is full with %u transactions: offer a higher fee, or try again after the next block",
                        m->count);
    return ERR_OK;
}

/* Makes room by letting go of the last of those that pay least. */
static enum err room_make(struct mempool *m, const struct signer_queue *own, struct rate rate, struct note *note)
{
    while (is_full(m, rate.bytes)) {
        struct signer_queue *victim = victim_find(m, own, rate);
        if (!victim)
            return room_check(m, own, rate, note);
        queue_remove(m, victim, victim->n - 1, victim->n);
    }
    return ERR_OK;
}

static void queue_add(struct mempool *m, struct signer_queue *q, struct bytes raw, bool cosigned,
                      const struct ledger_checked *checked)
{
    if (q->n == q->room) {
        q->room = q->room ? 2 * q->room : 4;
        q->txs = mem_resize(q->txs, q->room, sizeof(struct pooled *));
    }
    struct pooled *p = mem_new(sizeof *p);
    uint8_t *copy = mem_new(raw.n);
    memcpy(copy, raw.p, raw.n);
    *p = (struct pooled){.id = checked->id,
                         .nonce = checked->nonce,
                         .fee = checked->fee,
                         .claim = checked->claim,
                         .cosigned = cosigned,
                         .raw = bytes_of(copy, raw.n)};
    q->txs[q->n++] = p;
    queue_rate_step(q, q->n - 1);
    if (m->worst && rate_compare(q->least, m->worst->least) < 0)
        m->worst = q;
    m->by_id[id_slot(m, &p->id)] = p;
    m->count++;
    m->bytes += raw.n;
}

enum err mempool_add(struct mempool *m, struct bytes raw, struct hash *id, struct note *note)
{
    struct tx t;
    enum err e = tx_decode(raw, &t, note);
    if (e != ERR_OK)
        return e;
    struct hash known = tx_id_of(raw);
    if (id)
        *id = known;
    if (mempool_has(m, &known))
        return note_set(note, ERR_DUPLICATE, "this transaction waits already");
    struct signer_queue *q = signer_find(m, &t.signer);
    struct ledger_pending pending = {.count = q ? q->n : 0, .claims = queue_claims(q)};
    struct ledger_checked checked;
    struct rate rate = {t.fee, raw.n};
    if ((e = room_check(m, q, rate, note)) != ERR_OK ||
        (e = ledger_check(m->ledger, raw, &pending, &checked, note)) != ERR_OK ||
        (e = room_make(m, q, rate, note)) != ERR_OK)
        return e;
    queue_add(m, signer_get(m, &checked.signer), raw, t.sigs.n > 0, &checked);
    return ERR_OK;
}

/* The nonce moved on: what lies before it is gone, and where the sequence or the fees no longer fit, the rest too. */
static void queue_recheck(struct mempool *m, struct signer_queue *q)
{
    struct rec_account account;
    uint64_t nonce = ledger_nonce(m->ledger, &q->signer);
    uint32_t passed = 0;
    while (passed < q->n && q->txs[passed]->nonce < nonce)
        passed++;
    queue_remove(m, q, 0, passed);
    if (q->n && q->txs[0]->nonce != nonce)
        queue_remove(m, q, 0, q->n);
    ledger_account(m->ledger, &q->signer, &account);
    if (q->n && (account.k || q->txs[0]->cosigned) && !ledger_authorized(m->ledger, q->txs[0]->raw))
        queue_remove(m, q, 0, q->n);
    struct amount left = account.balance;
    for (uint32_t i = 0; i < q->n; i++) {
        if (amount_compare(left, q->txs[i]->fee) < 0)
            queue_remove(m, q, i, q->n);
        else if (!amount_sub(&left, left, q->txs[i]->claim))
            left = amount_of(0);
    }
}

void mempool_step(struct mempool *m)
{
    for (uint32_t i = 0; i < m->signers_n; i++)
        queue_recheck(m, m->signers[i]);
    signers_compact(m);
}

bool mempool_has(const struct mempool *m, const struct hash *id)
{
    return m->by_id[id_slot(m, id)] != NULL;
}

bool mempool_find(const struct mempool *m, const struct hash *id, struct bytes *tx)
{
    const struct pooled *p = m->by_id[id_slot(m, id)];
    if (p)
        *tx = p->raw;
    return p != NULL;
}

uint32_t mempool_count(const struct mempool *m)
{
    return m->count;
}

size_t mempool_bytes(const struct mempool *m)
{
    return m->bytes;
}

uint64_t mempool_nonce(const struct mempool *m, const struct pubkey *signer)
{
    const struct signer_queue *q = signer_find(m, signer);
    return ledger_nonce(m->ledger, signer) + (q ? q->n : 0);
}

void mempool_each(const struct mempool *m, mempool_fn fn, void *arg)
{
    for (uint32_t i = 0; i < m->signers_n; i++)
        for (uint32_t k = 0; k < m->signers[i]->n; k++)
            fn(arg, m->signers[i]->txs[k]->raw);
}

/* -- the order of a block: a heap of the queues' heads by fee per byte -- */

struct head {
    const struct signer_queue *queue;
    uint32_t at;
};
struct order {
    struct head *heap;
    uint32_t n;
};

/* a pays more per byte than b; ids break ties, so that the order is one. */
static bool pays_more(const struct head *a, const struct head *b)
{
    const struct pooled *x = a->queue->txs[a->at], *y = b->queue->txs[b->at];
    int order = rate_compare(rate_of(x), rate_of(y));
    return order ? order > 0 : hash_compare(&x->id, &y->id) < 0;
}

static void heap_sink(struct order *o, uint32_t i)
{
    for (;;) {
        uint32_t best = i;
        for (uint32_t child = 2 * i + 1; child <= 2 * i + 2 && child < o->n; child++)
            if (pays_more(&o->heap[child], &o->heap[best]))
                best = child;
        if (best == i)
            return;
        struct head swap = o->heap[i];
        o->heap[i] = o->heap[best];
        o->heap[best] = swap;
        i = best;
    }
}

static bool order_next(void *arg, struct bytes *tx)
{
    struct order *o = arg;
    if (o->n == 0)
        return false;
    struct head *top = &o->heap[0];
    *tx = top->queue->txs[top->at]->raw;
    if (++top->at == top->queue->n)
        *top = o->heap[--o->n];
    heap_sink(o, 0);
    return true;
}

uint32_t mempool_prepare(struct mempool *m, size_t size_max, struct bytes *txs)
{
    struct order o = {.heap = mem_array(m->signers_n + 1, sizeof(struct head))};
    for (uint32_t i = 0; i < m->signers_n; i++)
        if (m->signers[i]->n)
            o.heap[o.n++] = (struct head){m->signers[i], 0};
    for (uint32_t i = o.n / 2; i-- > 0;)
        heap_sink(&o, i);
    uint32_t n = ledger_prepare(m->ledger, order_next, &o, size_max, txs);
    free(o.heap);
    return n;
}
