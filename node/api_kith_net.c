/* The network as this node meets it, over HTTP: who is kept out, and whether others can reach it. */
#include "chain/block.h"
#include "node/api.h"
#include "node/consensus.h"
#include "node/node.h"
#include "p2p/endpoint.h"

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

/* Addresses that only this machine or its own network reaches (RFC 1122, 1918, 3927, 4193, 4291, 6598). */
static bool is_private(const char *host)
{
    unsigned a, b;
    if (sscanf(host, "%u.%u.", &a, &b) == 2)
        return a == 0 || a == 10 || a == 127 || (a == 172 && b >= 16 && b < 32) || (a == 192 && b == 168) ||
               (a == 169 && b == 254) || (a == 100 && b >= 64 && b < 128);
    if (!strchr(host, ':'))
        return strcmp(host, "localhost") == 0;
    return strcmp(host, "::1") == 0 || strncmp(host, "fe80:", 5) == 0 || strncmp(host, "fc", 2) == 0 ||
           strncmp(host, "fd", 2) == 0;
}

struct met {
    unsigned up, dialled, came, came_from_outside;
    uint64_t highest;
};

static void meet(void *arg, const struct peers_info *info)
{
    struct met *m = arg;
    struct endpoint e;
    if (!info->up)
        return;
    m->up++;
    m->dialled += info->outgoing;
    m->came += !info->outgoing;
    if (!info->outgoing && endpoint_parse(info->endpoint, &e, NULL) == ERR_OK)
        m->came_from_outside += !is_private(e.host);
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
        snprintf(text, sizeof text, "%u connected: %u that this node dialled, %u that dialled it", m->up, m->dialled,
                 m->came);
        put_check(b, "peers", "ok", text);
    }
}

static void check_ports(struct buf *b, const struct node *n, const struct met *m)
{
    char text[800];
    struct endpoint e;
    const char *told = node_endpoint(n);
    if (!n->config->listen[0]) {
        put_check(b, "listening", "bad", "this node does not listen, so nobody can dial it: set listen");
        return;
    }
    snprintf(text, sizeof text, "on %.200s, port %u for peers", n->config->listen, peers_port(n->peers));
    put_check(b, "listening", "ok", text);
    bool good = endpoint_parse(told, &e, NULL) == ERR_OK && e.host[0];
    if (!good)
        snprintf(text, sizeof text, "others are told no host, and take the one that they see: set announce if lending");
    else
        snprintf(text, sizeof text, "others are told %.300s%s", told,
                 is_private(e.host)
                     ? ", which only this machine or its own network reaches: set announce to an address "
                       "that the world reaches, unless the network is a private one"
                     : "");
    put_check(b, "address", !good || is_private(e.host) ? "unknown" : "ok", text);
    if (m->came_from_outside)
        snprintf(text, sizeof text, "yes: %u peers of other networks dialled it", m->came_from_outside);
    else if (m->came)
        snprintf(text, sizeof text,
                 "from its own network: %u peers dialled it. Nobody from outside has, and the protocol "
                 "has no question by which a peer would dial back, so that was not tested",
                 m->came);
    else
        snprintf(text, sizeof text,
                 "nobody dialled it since it started, and the protocol has no question by which a peer "
                 "would dial back, so this was not tested: open port %u in router and firewall, and see "
                 "whether peers come",
                 peers_port(n->peers));
    put_check(b, "reachable", m->came_from_outside ? "ok" : "unknown", text);
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
    check_ports(&b, c->node, &m);
    check_chain(&b, c->node, &m);
    check_clock(&b, c->node);
    buf_add_text(&b, "]}");
    api_reply_json(c->request, 200, &b);
}
