/* Those in the node who use the chain: who submit transactions, wait for them, and follow blocks. */
#include "node/consensus/consensus_in.h"

#include "base/mem.h"
#include "chain/tx.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum err consensus_submit(struct consensus *c, struct bytes tx, struct hash *id, struct note *note)
{
    struct hash known;
    enum err e = mempool_add(c->pool, tx, &known, note);
    if (id)
        *id = known;
    if (e != ERR_OK)
        return e;
    told_had(c, &known);
    if (c->o.peers)
        peers_broadcast(c->o.peers, MSG_TX, tx, NULL);
    consensus_wake_soon(c);
    return ERR_OK;
}

bool consensus_has_tx(const struct consensus *c, const struct hash *id)
{
    return mempool_has(c->pool, id);
}

uint64_t consensus_nonce(const struct consensus *c, const struct pubkey *account)
{
    return mempool_nonce(c->pool, account);
}

/* -- waiters -- */

static void on_wait_timer(void *arg);

static void waits_schedule(struct consensus *c)
{
    uint64_t now = host_now_ms(c->o.host), next = UINT64_MAX;
    for (uint32_t i = 0; i < c->waits_n; i++) {
        uint64_t due = c->waits[i].is_over ? now : c->waits[i].due_ms;
        next = due < next ? due : next;
    }
    if (next == UINT64_MAX)
        host_timer_cancel(c->o.host, &c->wait_timer);
    else
        host_timer_set(c->o.host, &c->wait_timer, next > now ? next - now : 0, on_wait_timer, c);
}

/* One at a time: fn may add or cancel others. */
static void on_wait_timer(void *arg)
{
    struct consensus *c = arg;
    uint64_t now = host_now_ms(c->o.host);
    for (uint32_t i = 0; i < c->waits_n;) {
        struct wait w = c->waits[i];
        if (!w.is_over && w.due_ms > now) {
            i++;
            continue;
        }
        c->waits[i] = c->waits[--c->waits_n];
        if (!w.is_over) {
            w.result = ERR_TIMEOUT;
            (void)note_set(&w.note, ERR_TIMEOUT, "not in a block yet");
        }
        w.fn(w.arg, w.result, &w.id, w.height, &w.note);
        i = 0;
    }
    waits_schedule(c);
}

static struct wait *wait_add(struct consensus *c)
{
    if (c->waits_n == c->waits_room) {
        c->waits_room = c->waits_room ? 2 * c->waits_room : 16;
        c->waits = mem_resize(c->waits, c->waits_room, sizeof *c->waits);
    }
    return &c->waits[c->waits_n++];
}

enum err consensus_wait_tx(struct consensus *c, const struct hash *id, uint64_t timeout_ms, consensus_tx_fn fn,
                           void *arg)
{
    struct rec_result known;
    if (c->waits_n >= CONSENSUS_WAITS_MAX)
        return ERR_FULL;
    struct wait *w = wait_add(c);
    *w = (struct wait){.id = *id, .fn = fn, .arg = arg, .due_ms = host_now_ms(c->o.host) + timeout_ms};
    if (ledger_tx_result(c->o.ledger, id, &known, NULL) == ERR_OK) {
        w->is_over = true;
        w->result = (enum err)known.code;
        w->height = known.height;
        if (w->result != ERR_OK)
            (void)note_set(&w->note, w->result, "in block %" PRIu64 ", without effect: %s", known.height,
                           err_text(w->result));
    }
    waits_schedule(c);
    return ERR_OK;
}

void consensus_wait_cancel(struct consensus *c, consensus_tx_fn fn, void *arg)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < c->waits_n; i++)
        if (c->waits[i].fn != fn || c->waits[i].arg != arg)
            c->waits[kept++] = c->waits[i];
    c->waits_n = kept;
}

void waits_clear(struct consensus *c)
{
    free(c->waits);
    c->waits = NULL;
    c->waits_n = c->waits_room = 0;
}

static void waits_note(struct consensus *c, const struct consensus_block *block)
{
    for (uint32_t t = 0; t < block->header->txs_n && (c->waits_n || c->told); t++) {
        struct hash id = tx_id_of(block->txs[t]);
        told_had(c, &id);
        for (uint32_t i = 0; i < c->waits_n; i++) {
            struct wait *w = &c->waits[i];
            if (w->is_over || !hash_equal(&w->id, &id))
                continue;
            w->is_over = true;
            w->result = block->result->codes[t];
            w->height = block->header->height;
            w->note = block->result->notes[t];
        }
    }
    waits_schedule(c);
}

/* -- listeners -- */

void consensus_on_block(struct consensus *c, consensus_block_fn fn, void *arg)
{
    CHECK(c->listeners_n < CONSENSUS_LISTENERS_MAX);
    c->listeners[c->listeners_n].fn = fn;
    c->listeners[c->listeners_n++].arg = arg;
}

void txs_committed(struct consensus *c, const struct consensus_block *block)
{
    waits_note(c, block);
    for (uint32_t i = 0; i < c->listeners_n; i++)
        c->listeners[i].fn(c->listeners[i].arg, block);
}
