/* The network as this node meets it, over HTTP: who is kept out, and whether others can reach it. */
#include "chain/block.h"
#include "node/api/api.h"
#include "node/consensus/consensus.h"
#include "node/node.h"
#include "node/net/outside.h"
#include "p2p/way.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- keeping out -- */

static void put_ban(void *arg, const struct peer_kept_out *out)
{
    struct buf *b = arg;
    bool first = true;
    api_begin_entry(b);
    api_put_key(b, &first, "node", &out->key);
    api_put_text(b, &first, "reason", out->reason.s);
    api_put_u64(b, &first, "since_ms", out->since_ms);
    buf_add_text(b, "}");
}

void api_bans_get(struct api_call *c)
{
    struct buf b = {0};
    buf_add_text(&b, "{\"bans\":[");
    peers_bans(c->node->peers, put_ban, &b);
    buf_add_text(&b, "]}");
    api_reply_json(c->request, 200, &b);
}

/* 64 hexadecimal digits, alone or in front of an address. */
static enum err read_node(const json_t *body, struct pubkey *key, struct note *note)
{
    const char *text = json_text(body, "peer");
    char hex[65] = "";
    if (text)
        snprintf(hex, sizeof hex, "%.64s", text);
    if (!text || strlen(hex) != 64 || (text[64] && text[64] != '@') || !hex_get(hex, key->b, sizeof key->b))
        return note_set(note, ERR_FORMAT, "peer = %.80s: the 64 digits of a node are meant, as kith peers shows them",
                        text ? text : "?");
    return ERR_OK;
}

static void answer(struct api_call *c, enum err e, const struct pubkey *key, const char *state, const struct note *note)
{
    struct buf b = {0};
    bool first = true;
    if (e != ERR_OK) {
        api_fail(c->request, e, note);
        return;
    }
    buf_add_text(&b, "{");
    api_put_key(&b, &first, "node", key);
    api_put_text(&b, &first, "state", state);
    buf_add_text(&b, "}");
    api_reply_json(c->request, 200, &b);
}

void api_peer_ban(struct api_call *c)
{
    struct note note = {{0}};
    struct pubkey key;
    const char *reason = NULL;
    json_t *body = api_body(c->request);
    if (!body)
        return;
    enum err e = read_node(body, &key, &note);
    if (e == ERR_OK)
        e = api_read_text(body, "reason", "reason", &reason, &note);
    if (e == ERR_OK)
        e = peers_ban(c->node->peers, &key, reason ? reason : "", &note);
    answer(c, e, &key, "kept out", &note);
    json_decref(body);
}

void api_peer_unban(struct api_call *c)
{
    struct note note = {{0}};
    struct pubkey key;
    json_t *body = api_body(c->request);
    if (!body)
        return;
    enum err e = read_node(body, &key, &note);
    if (e == ERR_OK)
        e = peers_unban(c->node->peers, &key, &note);
    answer(c, e, &key, "let in", &note);
    json_decref(body);
}

/* -- checking -- */

struct met {
    unsigned up, dialled, came, relayed;
    uint64_t highest;
};

static void meet(void *arg, const struct peers_info *info)
{
    struct met *m = arg;
    if (!info->up)
        return;
    m->up++;
    m->dialled += info->outgoing;
    m->came += !info->outgoing;
    m->relayed += info->relayed;
    if (info->height > m->highest)
        m->highest = info->height;
}

/* One line of the list: what was looked at, what came of it (ok, bad, unknown), and in words. */
static void put_check(struct buf *b, const char *what, const char *result, const char *text)
{
    bool first = true;
    api_begin_entry(b);
    api_put_text(b, &first, "check", what);
    api_put_text(b, &first, "result", result);
    api_put_text(b, &first, "text", text);
    buf_add_text(b, "}");
}

static void check_peers(struct buf *b, const struct met *m)
{
    char text[300];
    if (m->up == 0)
        put_check(b, "peers", "bad",
                  "no peer is connected: kith peer add PUBKEY@HOST:PORT, or another network in between "
                  "does not let this node out");
    else {
        snprintf(text, sizeof text,
                 "%u connected: %u that this node dialled, %u that dialled it; %u of them through relays", m->up,
                 m->dialled, m->came, m->relayed);
        put_check(b, "peers", "ok", text);
    }
}

static void check_ports(struct buf *b, const struct node *n)
{
    char text[800];
    struct endpoint e;
    const char *told = node_endpoint(n);
    if (!peers_port(n->peers)) {
        put_check(b, "listening", "unknown", "this node does not listen, so nobody can dial it but through relays");
    } else {
        snprintf(text, sizeof text, "on %.200s, port %u for peers", n->config->listen, peers_port(n->peers));
        put_check(b, "listening", "ok", text);
    }
    bool relayed = way_is_relayed(told);
    bool good = relayed || (endpoint_parse(told, &e, NULL) == ERR_OK && e.host[0] && e.port);
    bool is_private = !relayed && good && endpoint_is_private(&e);
    if (!good)
        snprintf(text, sizeof text, "others are told no host, and take the one that they see: set announce if lending");
    else
        snprintf(text, sizeof text, "others are told %.300s%s", told,
                 is_private ? ", which only this machine or its own network reaches: set announce to an address "
                              "that the world reaches, unless the network is a private one"
                            : "");
    put_check(b, "address", !good || is_private ? "unknown" : "ok", text);
}

/* What helps one that cannot be dialled, in one sentence. */
static void add_help(struct buf *b, const struct node *n, const struct reach_info *r)
{
    const struct circuits_info c = outside_circuits(n->outside);
    if (c.relays > 0)
        buf_add_format(b, ". Others reach it through %u relay%s; ", c.relays, c.relays > 1 ? "s" : "");
    else
        buf_add_text(b, ". No relay has promised yet, so nobody but those whom it dials deals with it; ");
    if (!r->listens)
        buf_add_text(b, "to be dialled directly it must listen: set listen");
    else
        buf_add_format(
            b, "to be dialled directly: open TCP port %u in router and firewall, towards port %u of this machine",
            r->port ? r->port : peers_port(n->peers), peers_port(n->peers));
}

static void check_reachable(struct buf *b, const struct node *n)
{
    struct reach_info r = outside_reach(n->outside);
    struct buf text = {0};
    const char *whose = r.outside ? "outside" : "its own network, since nobody outside was asked";
    if (r.state == REACH_YES) {
        buf_add_format(&text, "yes, from %s: %u of %u networks reached it", whose, r.yes, r.yes + r.no);
        if (r.at[0])
            buf_add_format(&text, " at %.200s", r.at);
        buf_add_format(&text, ", the last %u s ago", (unsigned)(r.age_ms / 1000));
    } else if (r.state == REACH_NO) {
        if (!r.listens)
            buf_add_text(&text, "no: it does not listen");
        else
            buf_add_format(&text, "no: %u of %u networks of %s that were asked to dial it could not (%s)", r.no,
                           r.yes + r.no, whose, err_text(r.why));
        add_help(&text, n, &r);
    } else {
        buf_add_text(&text, "nobody has dialled this node, and no peer that it dialled has tried yet: they are asked "
                            "within seconds of connecting, and by the minute where they are busy");
    }
    put_check(b, "reachable",
              r.state == REACH_YES                                              ? "ok"
              : r.state == REACH_NO && outside_circuits(n->outside).relays == 0 ? "bad"
                                                                                : "unknown",
              buf_text(&text));
    buf_clear(&text);
}

static void check_router(struct buf *b, const struct node *n)
{
    char text[500];
    struct portmap_info m;
    struct endpoint outside = {.port = 0};
    if (!outside_portmap(n->outside, &m)) {
        put_check(b, "router", "unknown",
                  n->config->portmap ? "not asked: this node listens for this machine alone, or is a chain of one"
                                     : "not asked: portmap = no");
        return;
    }
    if (m.state == PORTMAP_TRYING)
        snprintf(text, sizeof text, "is being asked to pass the port on");
    else if (m.state == PORTMAP_NONE)
        snprintf(text, sizeof text, "none passes the port on (%s): switch UPnP or NAT-PMP on in the router", m.why);
    else
        snprintf(text, sizeof text, "passes its port %u on, by %s; outside it is %s", m.port, m.by,
                 m.host[0] ? m.host : "at an address that it does not say");
    snprintf(outside.host, sizeof outside.host, "%s", m.host);
    bool again = m.state == PORTMAP_MAPPED && m.host[0] && endpoint_is_private(&outside);
    if (again)
        snprintf(text + strlen(text), sizeof text - strlen(text),
                 ", a private address: another router stands before it, which must pass the port on, too");
    put_check(b, "router", m.state == PORTMAP_MAPPED && !again ? "ok" : "unknown", text);
}

static void check_relaying(struct buf *b, const struct node *n)
{
    char text[300];
    const struct circuits_info c = outside_circuits(n->outside);
    if (c.relaying)
        snprintf(text, sizeof text, "for %u nodes, %u connections, %llu bytes so far (relay = no ends it)", c.clients,
                 c.passing, (unsigned long long)c.passed_bytes);
    else
        snprintf(text, sizeof text, "%s",
                 n->config->relay ? "for nobody: only a node that is reachable itself can" : "for nobody: relay = no");
    put_check(b, "relaying", c.relaying ? "ok" : "unknown", text);
}

static void check_chain(struct buf *b, struct node *n, const struct met *m)
{
    char text[300], hex[65];
    struct ledger_info info = ledger_info(n->ledger);
    hex_put(hex, info.chain.b, sizeof info.chain.b);
    snprintf(text, sizeof text, "chain %.16s: peers with another genesis are hung up on, so that all %u have this one",
             hex, m->up);
    put_check(b, "genesis", m->up ? "ok" : "unknown", text);
    snprintf(text, sizeof text, "this node is at height %llu, the highest that a peer told is %llu",
             (unsigned long long)info.height, (unsigned long long)m->highest);
    put_check(b, "height", !m->up ? "unknown" : m->highest > info.height + 2 ? "bad" : "ok", text);
}

/* A block's time is of those who decided it; how long ago it was made is not known better than the heartbeat. */
static void check_clock(struct buf *b, struct node *n)
{
    char text[300];
    struct ledger_info info = ledger_info(n->ledger);
    uint64_t now_ms = host_wall_ms(n->host);
    uint64_t heartbeat_ms = n->config->heartbeat_ms ? n->config->heartbeat_ms : BLOCK_HEARTBEAT_MS;
    double off_s = ((double)now_ms - (double)info.time_ms) / 1000;
    if (info.height == 0 || consensus_status(n->consensus).is_syncing) {
        put_check(b, "clock", "unknown", "the chain is being caught up: blocks are old, and tell nothing of the clock");
        return;
    }
    if (off_s < -1) {
        snprintf(text, sizeof text, "the newest block is %.1f s in the future of this machine's clock: it is slow",
                 -off_s);
        put_check(b, "clock", "bad", text);
    } else if (off_s * 1000 > 3 * (double)heartbeat_ms) {
        snprintf(
            text, sizeof text,
            "the newest block is %.0f s old, and one is due each %llu s: the clock is fast, or the chain stands still",
            off_s, (unsigned long long)heartbeat_ms / 1000);
        put_check(b, "clock", "bad", text);
    } else {
        snprintf(text, sizeof text, "the newest block is %.1f s old by this machine's clock, as it should be", off_s);
        put_check(b, "clock", "ok", text);
    }
}

void api_net_check(struct api_call *c)
{
    struct met m = {0};
    struct buf b = {0};
    peers_list(c->node->peers, meet, &m);
    buf_add_text(&b, "{\"checks\":[");
    check_peers(&b, &m);
    check_ports(&b, c->node);
    check_reachable(&b, c->node);
    check_router(&b, c->node);
    check_relaying(&b, c->node);
    check_chain(&b, c->node, &m);
    check_clock(&b, c->node);
    buf_add_text(&b, "]}");
    api_reply_json(c->request, 200, &b);
}
