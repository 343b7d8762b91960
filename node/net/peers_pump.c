/* Whose messages are handled when: a peer that sends a lot, or what takes long, must not keep others waiting.
 *
 * What comes from a peer that was idle is handled at once, for PEER_TURN_MS. What then is left waits, and is handled in
 * the next turns of the loop, those who waited longest first, for PEERS_TURN_MS in all; between two such turns come
 * timers, clients of the API and idle peers. So with all peers flooding, a message waits for as many turns as there are
 * peers, and a timer for one. */
#include "node/net/peers_in.h"

#include "base/log.h"

#include <stdio.h>

#define READ_FULL 65536u /* the transport may read more at once where a read was as long as this */

/* A part that this node does not run, or an answer that nobody waits for: nobody's fault for sure, but not free. */
static void charge(struct link *l, const struct peer_message *m)
{
    peer_charge(l->peer, PEER_USELESS_KIB * (uint32_t)(1 + m->body.n / 1024));
}

static void handle(struct link *l, const struct peer_message *m)
{
    struct peers *p = l->owner;
    struct pubkey from = *peer_key(l->peer); /* the handler may end the peer */
    enum err e = ERR_DUPLICATE;
    if (p->handler[m->type].fn)
        e = p->handler[m->type].fn(p->handler[m->type].arg, &from, m->body);
    if (e == ERR_OK)
        return;
    if (e == ERR_DUPLICATE) {
        charge(l, m);
        return;
    }
    char text[128];
    snprintf(text, sizeof text, "%s: %s", msg_rule((uint8_t)m->type)->name, err_text(e));
    peer_end(l->peer, ERR_PROTOCOL, text);
}

static void pump_waiting(void *arg);

static void pump_soon(struct peers *p)
{
    if (p->pump_is_posted || p->closing)
        return;
    p->pump_is_posted = true;
    host_post(p->host, pump_waiting, p);
}

void peers_pump(struct link *l)
{
    struct peers *p = l->owner;
    struct peer_message m;
    uint64_t start_ms = host_now_ms(p->host), now_ms = start_ms;
    bool more = true;
    while (more && !l->gone && now_ms < start_ms + PEER_TURN_MS) {
        more = peer_next(l->peer, &m, now_ms);
        /* hello is not a message of its own: the first look at READY is the moment */
        if (!l->up && peer_state(l->peer) == PEER_READY)
            peers_link_ready(l);
        if (more && l->up && peer_state(l->peer) == PEER_READY)
            handle(l, &m);
        now_ms = host_now_ms(p->host);
    }
    l->waits = more && !l->gone;
    l->turn = ++p->turns;
    if (l->waits)
        pump_soon(p);
    peers_link_flush(l);
}

void peers_pump_bytes(struct link *l, struct bytes in)
{
    peer_receive(l->peer, in, host_now_ms(l->owner->host));
    if (l->waits || l->had_turn) {
        l->waits = true;
        peers_link_flush(l); /* reads no further, if too much waits */
        return;
    }
    if (in.n >= READ_FULL) {
        l->had_turn = true;
        pump_soon(l->owner);
    }
    peers_pump(l);
}

static struct link *waiting_longest(const struct peers *p)
{
    struct link *best = NULL;
    for (struct link *l = p->links; l; l = l->next)
        if (l->waits && !l->gone && (!best || l->turn < best->turn))
            best = l;
    return best;
}

static void pump_waiting(void *arg)
{
    struct peers *p = arg;
    struct link *l;
    p->pump_is_posted = false;
    if (p->closing)
        return;
    for (l = p->links; l; l = l->next)
        l->had_turn = false;
    uint64_t end_ms = host_now_ms(p->host) + PEERS_TURN_MS;
    while ((l = waiting_longest(p)) && host_now_ms(p->host) < end_ms)
        peers_pump(l);
    if (l)
        pump_soon(p);
}
