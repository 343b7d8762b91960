/* Peers on loopback. */
#include "tests/net.h"

#include <stdio.h>
#include <string.h>

void net_open(struct net *net)
{
    *net = (struct net){0};
    net->host = host_uv_open(NULL);
    assert_non_null(net->host);
}

void net_start(struct net *net, unsigned i, struct hash chain)
{
    struct net_node *n = &net->node[i];
    struct note note;
    char hex[65];
    uint8_t none[32] = {0};
    if (memcmp(n->key.b, none, sizeof none) == 0)
        key_new(&n->key);
    key_derive(&n->key, &n->id);
    n->transport = transport_uv_open(host_uv_loop(net->host));
    struct peers_options o = {
        .host = net->host,
        .transport = n->transport,
        .key = &n->key,
        .chain = chain,
        .anchors_path = n->anchors,
        .listen = n->is_deaf  ? ""
                  : n->listen ? n->listen
                              : "127.0.0.1:0",
    };
    assert_int_equal(peers_open(&o, &n->peers, &note), ERR_OK);
    hex_put(hex, n->id.b, 32);
    snprintf(n->address, sizeof n->address, "%s@127.0.0.1:%u", hex, peers_port(n->peers));
}

void net_stop(struct net *net, unsigned i)
{
    struct net_node *n = &net->node[i];
    peers_close(n->peers);
    transport_free(n->transport);
    n->peers = NULL;
    n->transport = NULL;
}

#define LOOK_MS 5
#define STEP_MS 50 /* the most that counts between two looks */

static void look(void *arg)
{
    struct net *net = arg;
    const uint64_t now_ms = host_now_ms(net->host), passed_ms = now_ms - net->looked_ms;
    const uint64_t counts_ms = passed_ms < STEP_MS ? passed_ms : STEP_MS;
    net->looked_ms = now_ms;
    net->timed_out = counts_ms >= net->left_ms;
    net->left_ms -= net->timed_out ? net->left_ms : counts_ms;
    if (net->until(net->arg)) {
        net->timed_out = false;
        host_uv_stop(net->host);
    } else if (net->timed_out)
        host_uv_stop(net->host);
    else
        host_timer_set(net->host, &net->poll, LOOK_MS, look, net);
}

static bool never(void *arg)
{
    (void)arg;
    return false;
}

/* What is awaited comes; a machine that does other things only takes longer. */
#define BUSY 8

void net_run(struct net *net, bool (*until)(void *arg), void *arg, uint64_t limit_ms)
{
    net->until = until;
    net->arg = arg;
    net->timed_out = false;
    net->left_ms = until == never ? limit_ms : BUSY * limit_ms;
    net->looked_ms = host_now_ms(net->host);
    host_timer_set(net->host, &net->poll, 1, look, net);
    host_uv_run(net->host);
    host_timer_cancel(net->host, &net->poll);
    assert_int_equal(net->timed_out, until == never);
}

void net_wait(struct net *net, uint64_t ms)
{
    net_run(net, never, NULL, ms);
}

struct pair {
    struct net_node *a, *b;
};

static bool both_up(void *arg)
{
    struct pair *p = arg;
    return peers_is_up(p->a->peers, &p->b->id) && peers_is_up(p->b->peers, &p->a->id);
}

void net_connect(struct net *net, unsigned a, unsigned b)
{
    assert_int_equal(peers_add(net->node[a].peers, net->node[b].address, NULL), ERR_OK);
}

void net_join(struct net *net, unsigned a, unsigned b)
{
    struct pair p = {&net->node[a], &net->node[b]};
    net_connect(net, a, b);
    net_run(net, both_up, &p, 5000);
}

void net_close(struct net *net)
{
    for (unsigned i = 0; i < NET_MAX; i++)
        if (net->node[i].peers)
            net_stop(net, i);
    host_uv_close(net->host);
}
