/* Many transactions at once, on their way into the pool: from a peer's TXS, or from a client that posts a list.
 *
 *     list --taken apart, known ones left out--> bundle --verified on a thread of the pool--> pool, and on to the
 * others
 *
 * One job verifies all bundles that wait; the next waits for it. So while the loop is busy, bundles gather, and what is
 * done for each job, message and broadcast is shared by more of them. Nothing in a job touches what the loop touches:
 * a bundle's bytes are its own.
 *
 * Peers send on only what they verified: a peer whose list holds a signature that does not fit is cut off. */
#include "node/consensus/consensus_in.h"

#include "base/mem.h"
#include "chain/tx.h"

#include <stdlib.h>
#include <string.h>

#define FLIGHT_SLOTS 16384u /* what is under way: a direct-mapped table; what it forgets is only verified twice */

struct item {
    struct bytes raw; /* in the bundle's bytes */
    struct hash id;   /* of those that decode */
    struct hash seen; /* of all its bytes: one with another signature is another one, and must not hide this one */
    enum err e;
    bool is_flying; /* it is in the table of those under way */
};

struct bundle {
    struct bundle *next;
    struct pubkey from;
    bool has_from;
    struct buf bytes;
    struct item *items;
    uint32_t n;
    struct hash chain;
    consensus_taken_fn fn; /* may be NULL */
    void *arg;
};

struct intake {
    struct consensus *c;
    struct bundle *waiting, **waiting_end;
    struct bundle *at_work; /* of the job under way */
    size_t bytes;           /* of all bundles */
    bool is_over;           /* consensus is gone: the job frees this */
    struct hash *flight;
};

/* -- lists: each transaction with its length (u32) in front, as in a block -- */

static uint32_t list_count(struct bytes list, bool *good)
{
    uint32_t n = 0;
    struct cursor c = cursor_of(list);
    while (c.n && cursor_ok(&c)) {
        struct bytes raw;
        codec_get_blob(&c, &raw);
        n++;
    }
    *good = cursor_end(&c) && n <= INTAKE_TXS_MAX;
    return n;
}

static struct hash *flight_slot(const struct intake *in, const struct hash *seen)
{
    return &in->flight[load_le16(seen->b) % FLIGHT_SLOTS];
}

/* ERR_OK for what is to be verified. Most that comes has come before from another peer, and late ones are in a block:
 * neither is worth a signature. */
static enum err item_read(struct intake *in, struct item *item)
{
    struct tx t;
    struct bytes known;
    item->id = tx_id_of(item->raw);
    if (mempool_find(in->c->pool, &item->id, &known) && bytes_equal(known, item->raw))
        return ERR_DUPLICATE;
    item->seen = hash_once(HASH_GOSSIP, item->raw.p, item->raw.n);
    struct hash *slot = flight_slot(in, &item->seen);
    if (hash_equal(slot, &item->seen))
        return ERR_DUPLICATE;
    enum err e = tx_decode(item->raw, &t, NULL);
    if (e != ERR_OK)
        return e;
    if (mempool_has(in->c->pool, &item->id))
        return ERR_DUPLICATE;
    if (t.nonce < ledger_nonce(in->c->o.ledger, &t.signer))
        return ERR_NONCE;
    *slot = item->seen;
    item->is_flying = true;
    return ERR_OK;
}

static void item_land(struct intake *in, const struct item *item)
{
    struct hash *slot = flight_slot(in, &item->seen);
    if (item->is_flying && hash_equal(slot, &item->seen))
        *slot = (struct hash){{0}};
}

static struct bundle *bundle_new(struct intake *in, struct bytes list, uint32_t n)
{
    struct bundle *b = mem_new(sizeof *b);
    buf_add(&b->bytes, list.p, list.n);
    b->items = mem_array(n, sizeof *b->items);
    b->n = n;
    b->chain = in->c->chain;
    struct cursor c = cursor_of(bytes_of_buf(&b->bytes));
    for (uint32_t i = 0; i < n; i++) {
        codec_get_blob(&c, &b->items[i].raw);
        b->items[i].e = item_read(in, &b->items[i]);
    }
    in->bytes += b->bytes.n;
    return b;
}

static void bundle_free(struct intake *in, struct bundle *b)
{
    in->bytes -= b->bytes.n;
    buf_clear(&b->bytes);
    free(b->items);
    free(b);
}

/* -- the job -- */

/* On a thread of the pool. */
static void job_work(void *arg)
{
    struct intake *in = arg;
    for (struct bundle *b = in->at_work; b; b = b->next)
        for (uint32_t i = 0; i < b->n; i++) {
            struct item *item = &b->items[i];
            struct tx t;
            if (item->e == ERR_OK && (item->e = tx_decode(item->raw, &t, NULL)) == ERR_OK)
                item->e = tx_check_id(&t, &item->id, &b->chain, NULL);
        }
}

/* What is new to the network goes whole to all. */
static void send_list(struct consensus *c, struct buf *list, const struct bundle *b)
{
    if (list->n && c->relay && b->has_from)
        relay_pass(c->relay, MSG_TXS, bytes_of_buf(list), &b->from);
    else if (list->n && c->o.peers)
        peers_broadcast(c->o.peers, MSG_TXS, bytes_of_buf(list), NULL);
    buf_reset(list);
}

static enum err item_take(struct consensus *c, const struct bundle *b, const struct item *item, struct buf *list)
{
    ledger_remember(c->o.ledger, item->raw);
    if (b->has_from)
        return told_take(c, item->raw, &b->from, list);
    enum err e = mempool_add(c->pool, item->raw, NULL, NULL);
    if (e == ERR_OK) {
        told_had(c, &item->id);
        codec_put_blob(list, &item->raw);
    }
    return e;
}

/* Into the pool, and on to the others in messages of a moderate size. True if the sender broke the protocol. */
static bool bundle_take(struct intake *in, struct bundle *b)
{
    struct consensus *c = in->c;
    struct buf list = {0};
    bool is_bad = false;
    for (uint32_t i = 0; i < b->n; i++) {
        struct item *item = &b->items[i];
        is_bad |= item->e == ERR_FORMAT || item->e == ERR_AUTH;
        if (item->e == ERR_OK)
            item->e = item_take(c, b, item, &list);
        item_land(in, item);
        if (list.n >= INTAKE_SEND_BYTES)
            send_list(c, &list, b);
    }
    send_list(c, &list, b);
    buf_clear(&list);
    return is_bad;
}

static void bundle_tell(const struct bundle *b)
{
    struct consensus_taken taken = {.n = b->n};
    for (uint32_t i = 0; i < b->n; i++) {
        bool is_in = b->items[i].e == ERR_OK || b->items[i].e == ERR_DUPLICATE;
        taken.accepted += is_in;
        if (!is_in && taken.first_error == ERR_OK) {
            taken.first_error = b->items[i].e;
            taken.first_refused = i;
        }
    }
    if (b->fn)
        b->fn(b->arg, &taken);
}

static void job_start(struct intake *in);

static void intake_end(struct intake *in)
{
    struct bundle *lists[2] = {in->at_work, in->waiting};
    for (int k = 0; k < 2; k++)
        for (struct bundle *b = lists[k], *next; b; b = next) {
            next = b->next;
            bundle_free(in, b);
        }
    free(in->flight);
    free(in);
}

static void job_done(void *arg)
{
    struct intake *in = arg;
    if (in->is_over) {
        intake_end(in);
        return;
    }
    while (in->at_work) {
        struct bundle *b = in->at_work;
        in->at_work = b->next;
        if (bundle_take(in, b) && b->has_from && in->c->o.peers)
            peers_drop(in->c->o.peers, &b->from, ERR_PROTOCOL, "a list of transactions holds one that is not valid");
        bundle_tell(b);
        bundle_free(in, b);
    }
    consensus_wake_soon(in->c);
    if (in->waiting)
        job_start(in);
}

static void job_start(struct intake *in)
{
    in->at_work = in->waiting;
    in->waiting = NULL;
    in->waiting_end = &in->waiting;
    host_submit(in->c->o.host, job_work, job_done, in);
}

static bool has_work(const struct bundle *b)
{
    for (uint32_t i = 0; i < b->n; i++)
        if (b->items[i].e == ERR_OK)
            return true;
    return false;
}

/* A list of which everything is known needs no job. */
static void bundle_queue(struct intake *in, struct bundle *b)
{
    if (!b->fn && !has_work(b)) {
        bundle_free(in, b);
        return;
    }
    *in->waiting_end = b;
    in->waiting_end = &b->next;
    if (!in->at_work)
        job_start(in);
}

/* -- in -- */

enum err consensus_submit_list(struct consensus *c, struct bytes list, consensus_taken_fn fn, void *arg,
                               struct note *note)
{
    bool good;
    uint32_t n = list_count(list, &good);
    if (!good || n == 0)
        return note_set(note, ERR_FORMAT,
                        "not a list of 1 to %u transactions, each with its length (4 bytes, little-endian) in front",
                        INTAKE_TXS_MAX);
    if (c->intake->bytes + list.n > INTAKE_BYTES_MAX)
        return note_set(note, ERR_FULL, "%zu bytes of transactions wait to be verified: try again in a moment",
                        c->intake->bytes);
    struct bundle *b = bundle_new(c->intake, list, n);
    b->fn = fn;
    b->arg = arg;
    bundle_queue(c->intake, b);
    return ERR_OK;
}

void consensus_submit_cancel(struct consensus *c, consensus_taken_fn fn, void *arg)
{
    struct bundle *lists[2] = {c->intake->at_work, c->intake->waiting};
    for (int k = 0; k < 2; k++)
        for (struct bundle *b = lists[k]; b; b = b->next)
            if (b->fn == fn && b->arg == arg)
                b->fn = NULL;
}

static enum err on_txs(void *arg, const struct pubkey *from, struct bytes body)
{
    struct consensus *c = arg;
    bool good;
    uint32_t n = list_count(body, &good);
    if (!good)
        return ERR_PROTOCOL;
    told_came(c, from);
    if (n == 0 || c->intake->bytes + body.n > INTAKE_BYTES_MAX)
        return ERR_OK; /* it is said again while it waits */
    struct bundle *b = bundle_new(c->intake, body, n);
    b->from = *from;
    b->has_from = true;
    bundle_queue(c->intake, b);
    return ERR_OK;
}

void intake_open(struct consensus *c)
{
    c->intake = mem_new(sizeof *c->intake);
    c->intake->c = c;
    c->intake->waiting_end = &c->intake->waiting;
    c->intake->flight = mem_array(FLIGHT_SLOTS, sizeof *c->intake->flight);
    if (c->o.peers)
        peers_on(c->o.peers, MSG_TXS, on_txs, c);
}

/* A job under way holds its bundles; it comes back and frees them. */
void intake_close(struct consensus *c)
{
    struct intake *in = c->intake;
    c->intake = NULL;
    if (!in)
        return;
    in->is_over = true;
    if (!in->at_work)
        intake_end(in);
}
