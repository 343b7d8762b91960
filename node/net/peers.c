/* Connections: made, kept or not, and swept when they are gone. See node/net/peers_in.h for the states of a link. */
#include "node/net/peers_in.h"
#include "node/host/room.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GUESTS_MAX (4 * PEERS_MAX) /* peers that are up: those dialled come on top */
#define WRITE_ROOM 262144u         /* handed to the transport at a time: the queue with the bound is the peer's */

static void sweep(void *arg);

void peers_sweep_soon(struct peers *p)
{
    if (p->sweep_is_posted || p->closing)
        return;
    p->sweep_is_posted = true;
    host_post(p->host, sweep, p);
}

/* -- links -- */

struct link *peers_link_new(struct peers *p, const char *endpoint)
{
    struct link *l = mem_new(sizeof *l);
    l->owner = p;
    l->order = ++p->orders;
    snprintf(l->endpoint, sizeof l->endpoint, "%s", endpoint);
    l->relayed = way_is_relayed(endpoint);
    l->next = p->links;
    p->links = l;
    return l;
}

struct link *peers_link_up(const struct peers *p, const struct pubkey *key)
{
    for (struct link *l = p->links; l; l = l->next)
        if (l->up && !l->gone && peer_state(l->peer) == PEER_READY && pubkey_equal(peer_key(l->peer), key))
            return l;
    return NULL;
}

struct link *peers_link_any(const struct peers *p, const struct pubkey *key)
{
    struct link *up = peers_link_up(p, key);
    for (struct link *l = p->links; l && !up; l = l->next)
        if (!l->gone && l->dialled && pubkey_equal(&l->expected, key))
            return l;
    return up;
}

static void link_gone(struct link *l, enum err reason, const char *text)
{
    if (l->gone)
        return;
    l->gone = true;
    l->gone_reason = reason;
    snprintf(l->gone_text, sizeof l->gone_text, "%s", text);
    peers_sweep_soon(l->owner);
}

static struct peer_setup setup(struct peers *p)
{
    struct peer_setup s = {.key = &p->key, .self = p->self, .hello = p->hello, .now_ms = host_now_ms(p->host)};
    do
        host_random(p->host, s.ephemeral.b, sizeof s.ephemeral.b);
    while (!key_is_valid(&s.ephemeral));
    return s;
}

/* -- a link's bytes and time -- */

static void link_timer(void *arg);

void peers_link_flush(struct link *l)
{
    if (l->gone || !l->conn || !l->peer)
        return;
    for (;;) {
        struct bytes out = peer_output(l->peer);
        if (out.n > WRITE_ROOM)
            out.n = WRITE_ROOM;
        size_t n = conn_write(l->conn, out);
        if (n == 0)
            break;
        l->bytes_out += n;
        peer_output_drop(l->peer, n);
    }
    if (peer_state(l->peer) == PEER_ENDED) {
        link_gone(l, peer_reason(l->peer), peer_reason_text(l->peer));
        return;
    }
    conn_pause(l->conn, peer_is_throttled(l->peer) || (l->waits && peer_held(l->peer) >= PEER_HELD_MAX));
    uint64_t at_ms = peer_timeout_ms(l->peer), now_ms = host_now_ms(l->owner->host);
    host_timer_set(l->owner->host, &l->timer, at_ms > now_ms ? at_ms - now_ms : 0, link_timer, l);
}

/* Two connections to one peer: both sides keep the one that goes through no relay if that is the newer one, else the
 * one that the smaller key dialled, or the newer one when the same side dialled both or the older is older than any
 * dialling takes: then the other side has lost the older, or it would not have dialled. True if `l` is the one. */
static bool wins(const struct link *l, const struct link *other)
{
    uint64_t up_ms = host_now_ms(l->owner->host) - other->up_at_ms;
    if (l->dialled == other->dialled || (other->relayed && !l->relayed) || up_ms > PEER_DIAL_MS + PEER_HANDSHAKE_MS)
        return true;
    bool self_is_smaller = pubkey_compare(&l->owner->self, peer_key(l->peer)) < 0;
    return l->dialled == self_is_smaller;
}

/* Room for one more of this link's network among `guests`, up (or, with `up` false, strangers). */
static size_t list_guests(const struct peers *p, bool up, struct room_guest *guests, struct link **links, size_t max)
{
    size_t n = 0;
    for (struct link *l = p->links; l && n < max; l = l->next)
        if (!l->gone && l->up == up && (up || !l->dialled)) {
            links[n] = l;
            guests[n++] = (struct room_guest){l->network, l->order,
                                              up && (l->dialled || peers_is_configured(p, peer_key(l->peer)))};
        }
    return n;
}

static bool has_room(struct link *l)
{
    struct room_guest guests[GUESTS_MAX];
    struct link *links[GUESTS_MAX];
    struct peers *p = l->owner;
    size_t gone, n = list_guests(p, true, guests, links, GUESTS_MAX);
    if (peers_is_configured(p, peer_key(l->peer)))
        return true;
    if (!room_of_peers(guests, n, l->network, &gone))
        return false;
    peer_end(links[gone]->peer, ERR_FULL, "makes room for a peer of another network");
    peers_sweep_soon(p);
    return true;
}

static void tell(struct peers *p, const struct pubkey *key, bool up)
{
    for (unsigned i = 0; i < p->changes_n; i++)
        p->change[i].fn(p->change[i].arg, key, up);
}

static void tell_down(struct link *l)
{
    if (!l->told_up)
        return;
    l->told_up = false;
    tell(l->owner, peer_key(l->peer), false);
}

void peers_link_ready(struct link *l)
{
    struct peers *p = l->owner;
    const struct pubkey *key = peer_key(l->peer);
    struct link *other = peers_link_up(p, key);
    if (peers_is_kept_out(p, key)) {
        peer_end(l->peer, ERR_REFUSED, "kept out by the owner of this node");
        return;
    }
    if (peers_is_banned(p, key)) {
        peer_end(l->peer, ERR_REFUSED, "kept out for a while after breaking the protocol");
        return;
    }
    if (other && !wins(l, other)) {
        peer_end(l->peer, ERR_DUPLICATE, "another connection between the two nodes is kept");
        return;
    }
    if (!other && !l->dialled && peers_count(p) >= PEERS_MAX && !has_room(l)) {
        peer_end(l->peer, ERR_FULL, "has all the peers that it takes");
        return;
    }
    if (other) {
        peer_end(other->peer, ERR_DUPLICATE, "another connection between the two nodes is kept");
        peers_sweep_soon(p);
    }
    for (struct link *o = p->links; o; o = o->next) /* down is told before up, also of one not swept yet */
        if (o != l && o->told_up && pubkey_equal(peer_key(o->peer), key))
            tell_down(o);
    l->up = l->told_up = true;
    l->up_at_ms = host_now_ms(p->host);
    l->height = peer_hello(l->peer)->height;
    peers_log_up(l);
    if (l->dialled)
        peers_dial_up(p, l);
    tell(p, key, true);
}

static void link_timer(void *arg)
{
    struct link *l = arg;
    if (l->gone)
        return;
    if (!l->peer) {
        link_gone(l, ERR_TIMEOUT, "does not answer");
        return;
    }
    peer_step(l->peer, host_now_ms(l->owner->host));
    peers_pump(l);
}

static void conn_up(void *arg, struct conn *c)
{
    struct link *l = arg;
    (void)c;
    struct peer_setup s = setup(l->owner);
    l->peer = peer_new_dialled(&s, &l->expected);
    secret_wipe(&s.ephemeral, sizeof s.ephemeral);
    if (!l->peer)
        link_gone(l, ERR_AUTH, "its key is no point of the curve");
    else
        peers_link_flush(l);
}

static void conn_data(void *arg, struct conn *c, struct bytes in)
{
    struct link *l = arg;
    (void)c;
    if (l->gone || !l->peer)
        return;
    l->bytes_in += in.n;
    peers_pump_bytes(l, in);
}

static void conn_room(void *arg, struct conn *c)
{
    (void)c;
    peers_link_flush(arg);
}

static void conn_down(void *arg, struct conn *c, enum err e, const char *text)
{
    struct link *l = arg;
    (void)c;
    l->conn = NULL;
    link_gone(l, e, text);
}

const struct conn_calls peers_conn_calls = {conn_up, conn_data, conn_room, conn_down};

void peers_link_dialled(struct link *l, struct conn *c)
{
    l->conn = c;
    l->dialled = true;
    host_timer_set(l->owner->host, &l->timer, l->relayed ? 2 * PEER_DIAL_MS : PEER_DIAL_MS, link_timer, l);
}

/* The oldest of the network that has the most makes room: handshakes take a few round trips, floods hold their place.
 */
static void make_room_for_stranger(struct peers *p, uint64_t network)
{
    struct room_guest guests[PEERS_STRANGERS_MAX];
    struct link *links[PEERS_STRANGERS_MAX];
    size_t n = list_guests(p, false, guests, links, PEERS_STRANGERS_MAX);
    if (n < PEERS_STRANGERS_MAX)
        return;
    struct link *gone = links[room_of_strangers(guests, n, network)];
    if (gone->conn)
        conn_close(gone->conn, (struct bytes){0}); /* now, not in the sweep: many may come in one turn */
    gone->conn = NULL;
    link_gone(gone, ERR_FULL, "makes room for other strangers");
}

static uint64_t network_of(const struct peers *p, const char *endpoint)
{
    struct way way;
    if (way_parse(endpoint, &way, NULL) != ERR_OK)
        return 0;
    struct bytes group = endpoint_group(&way.at[0]); /* of a relayed one: its relay's */
    return hash_place(p->place, group.p, group.n);
}

void peers_accept(struct peers *p, struct conn *c, const char *from)
{
    uint64_t network = network_of(p, from);
    make_room_for_stranger(p, network);
    struct link *l = peers_link_new(p, from);
    struct peer_setup s = setup(p);
    l->conn = c;
    l->network = network;
    l->peer = peer_new_accepted(&s);
    secret_wipe(&s.ephemeral, sizeof s.ephemeral);
    conn_own(c, &peers_conn_calls, l);
    peers_link_flush(l);
}

static void accepted(void *arg, struct conn *c, const char *from)
{
    peers_accept(arg, c, from);
}

/* -- sweeping -- */

static void link_free(struct link *l)
{
    host_timer_cancel(l->owner->host, &l->timer);
    if (l->conn)
        conn_close(l->conn, l->peer ? peer_output(l->peer) : (struct bytes){0});
    peer_free(l->peer);
    free(l);
}

/* The link is out of the list already. */
static void bury(struct peers *p, struct link *l)
{
    if (l->peer && peer_is_faulty(l->peer) && (l->up || l->dialled))
        peers_ban_for_a_while(p, peer_key(l->peer));
    peers_log_down(l);
    tell_down(l);
    if (l->dialled)
        peers_dial_down(p, l, l->up);
    link_free(l);
}

static void sweep(void *arg)
{
    struct peers *p = arg;
    p->sweep_is_posted = false;
    if (p->closing)
        return;
    for (struct link *l = p->links; l; l = l->next)
        peers_link_flush(l);
    for (struct link **at = &p->links; *at;) {
        struct link *l = *at;
        if (!l->gone) {
            at = &l->next;
            continue;
        }
        *at = l->next;
        bury(p, l);
        at = &p->links; /* whoever was told may have dialled: start again */
    }
}

/* -- life -- */

static enum err listen_at(struct peers *p, const struct peers_options *o, struct note *note)
{
    struct endpoint at;
    if (!o->listen || !o->listen[0])
        return ERR_OK;
    enum err e = endpoint_parse(o->listen, &at, note);
    if (e == ERR_OK)
        e = transport_listen(p->transport, &at, accepted, p, &p->port, note);
    if (e != ERR_OK)
        return e;
    char port[16];
    snprintf(port, sizeof port, ":%u", p->port);
    if (!text255_set(&p->hello.listen, o->announce && o->announce[0] ? o->announce : port))
        return note_set(note, ERR_FORMAT, "%.200s cannot be announced", o->announce);
    snprintf(p->listen, sizeof p->listen, "%s", p->hello.listen.s);
    return ERR_OK;
}

enum err peers_open(const struct peers_options *o, struct peers **out, struct note *note)
{
    uint8_t secret[32];
    struct peers *p = mem_new(sizeof *p);
    p->host = o->host;
    p->transport = o->transport;
    secret_lock(&p->key, sizeof p->key);
    p->key = *o->key;
    p->self = key_public(o->key);
    p->hello = (struct hello){.version = PROTOCOL_VERSION, .chain = o->chain, .features = o->features};
    CHECK(text64_set(&p->hello.agent, "kith/1"));
    p->book_path = o->book_path ? mem_string(o->book_path) : NULL;
    p->anchors_path = o->anchors_path ? mem_string(o->anchors_path) : NULL;
    p->bans_path = o->bans_path ? mem_string(o->bans_path) : NULL;
    host_random(p->host, p->place, sizeof p->place);
    host_random(p->host, secret, sizeof secret);
    p->gossip = gossip_new(secret);
    p->book = book_new(secret);
    *out = NULL;
    enum err e = peers_bans_load(p, note);
    if (e == ERR_OK)
        e = listen_at(p, o, note);
    if (e != ERR_OK) {
        peers_close(p);
        return e;
    }
    peers_dial_start(p);
    *out = p;
    return ERR_OK;
}

/* A sweep that is posted still points here: the memory goes behind it. */
static void peers_bury(void *arg)
{
    struct peers *p = arg;
    secret_wipe(&p->key, sizeof p->key);
    free(p->book_path);
    free(p->anchors_path);
    peers_bans_clear(p);
    free(p);
}

void peers_close(struct peers *p)
{
    if (!p)
        return;
    p->closing = true;
    p->changes_n = 0;
    transport_unlisten(p->transport);
    peers_dial_stop(p);
    while (p->links) {
        struct link *l = p->links;
        p->links = l->next;
        if (l->peer)
            peer_end(l->peer, ERR_CLOSED, "stops");
        link_free(l);
    }
    gossip_free(p->gossip);
    book_free(p->book);
    p->gossip = NULL;
    p->book = NULL;
    host_post(p->host, peers_bury, p);
}
