/* What the rest of the node asks of its connections: messages to one, some or all of the peers, and who they are. */
#include "node/net/peers_in.h"

#include "base/mem.h"

#include <stdio.h>

static enum err send_to(struct link *l, enum msg_type type, struct bytes body)
{
    enum err e = peer_send(l->peer, type, body);
    if (e != ERR_LIMIT)
        peers_sweep_soon(l->owner);
    return e;
}

enum err peers_send(struct peers *p, const struct pubkey *to, enum msg_type type, struct bytes body)
{
    struct link *l = peers_link_up(p, to);
    enum err e = l ? send_to(l, type, body) : ERR_NOT_FOUND;
    return e == ERR_STATE ? ERR_NOT_FOUND : e;
}

void peers_charge(struct peers *p, const struct pubkey *peer, uint32_t cost)
{
    struct link *l = peers_link_up(p, peer);
    if (l)
        peer_charge(l->peer, cost);
}

unsigned peers_send_some(struct peers *p, enum msg_type type, struct bytes body, peers_pick_fn pick, void *arg)
{
    unsigned n = 0;
    for (struct link *l = p->links; l; l = l->next)
        if (l->up && !l->gone && pick(arg, peer_key(l->peer)))
            n += send_to(l, type, body) == ERR_OK;
    return n;
}

static bool is_other(void *arg, const struct pubkey *peer)
{
    const struct pubkey *except = arg;
    return !except || !pubkey_equal(peer, except);
}

unsigned peers_broadcast(struct peers *p, enum msg_type type, struct bytes body, const struct pubkey *except)
{
    return peers_send_some(p, type, body, is_other, (void *)(uintptr_t)except);
}

bool peers_seen_first(struct peers *p, enum msg_type type, struct bytes body)
{
    return gossip_add(p->gossip, (uint8_t)type, body, host_now_ms(p->host));
}

size_t peers_queued(const struct peers *p, const struct pubkey *to)
{
    const struct link *l = peers_link_up(p, to);
    return l ? peer_queued(l->peer) : 0;
}

void peers_on(struct peers *p, enum msg_type type, peers_message_fn fn, void *arg)
{
    CHECK(type < MSG_TYPE_END && !p->handler[type].fn);
    p->handler[type].fn = fn;
    p->handler[type].arg = arg;
}

void peers_on_change(struct peers *p, peers_change_fn fn, void *arg)
{
    CHECK(p->changes_n < PEERS_CHANGES_MAX);
    p->change[p->changes_n].fn = fn;
    p->change[p->changes_n++].arg = arg;
}

bool peers_is_up(const struct peers *p, const struct pubkey *key)
{
    return peers_link_up(p, key) != NULL;
}

bool peers_is_dialled(const struct peers *p, const struct pubkey *key)
{
    const struct link *l = peers_link_up(p, key);
    return l && l->dialled;
}

bool peers_endpoint(const struct peers *p, const struct pubkey *key, const char **endpoint, bool *relayed)
{
    const struct link *l = peers_link_up(p, key);
    if (l) {
        *endpoint = l->endpoint;
        *relayed = l->relayed;
    }
    return l != NULL;
}

void peers_drop(struct peers *p, const struct pubkey *key, enum err reason, const char *text)
{
    struct link *l = peers_link_up(p, key);
    if (!l)
        return;
    peer_end(l->peer, reason, text);
    peers_sweep_soon(p);
}

void peers_set_height(struct peers *p, uint64_t height)
{
    p->hello.height = height;
}

void peers_set_features(struct peers *p, uint32_t features)
{
    p->hello.features = features;
}

void peers_set_listen(struct peers *p, const char *way)
{
    if (!text255_set(&p->hello.listen, way ? way : p->listen))
        p->hello.listen = (struct text255){0};
}

void peers_on_circuit(struct peers *p, peers_circuit_fn fn, void *arg)
{
    p->circuit = fn;
    p->circuit_arg = arg;
}

void peers_note_height(struct peers *p, const struct pubkey *key, uint64_t height)
{
    struct link *l = peers_link_up(p, key);
    if (l)
        l->height = height;
}

unsigned peers_count(const struct peers *p)
{
    unsigned n = 0;
    for (const struct link *l = p->links; l; l = l->next)
        n += l->up && !l->gone;
    return n;
}

void peers_list(const struct peers *p, peers_info_fn fn, void *arg)
{
    for (const struct link *l = p->links; l; l = l->next) {
        if (!l->up || l->gone)
            continue;
        struct peers_info info = {
            .key = *peer_key(l->peer),
            .up = true,
            .outgoing = l->dialled,
            .relayed = l->relayed,
            .features = peer_hello(l->peer)->features,
            .height = l->height,
            .up_ms = host_now_ms(p->host) - l->up_at_ms,
            .bytes_in = l->bytes_in,
            .bytes_out = l->bytes_out,
            .rtt_ms = peer_rtt_ms(l->peer),
        };
        snprintf(info.endpoint, sizeof info.endpoint, "%s", l->endpoint);
        fn(arg, &info);
    }
    for (const struct target *t = p->targets; t; t = t->next) {
        struct peers_info info = {.key = t->key, .outgoing = true};
        if (!t->keep || peers_link_up(p, &t->key))
            continue;
        snprintf(info.endpoint, sizeof info.endpoint, "%s", t->endpoint);
        fn(arg, &info);
    }
}

uint16_t peers_port(const struct peers *p)
{
    return p->port;
}

struct pubkey peers_self(const struct peers *p)
{
    return p->self;
}
