/* A few nodes' worth of peers in one process, over real sockets on loopback, for the tests of what runs on
 * top of them. */
#ifndef KITH_TESTS_NET_H
#define KITH_TESTS_NET_H

#include "node/net/peers.h"
#include "p2p/transport.h"
#include "tests/support.h"

#define NET_MAX 12

struct net_node {
    struct seckey key;
    struct pubkey id;
    struct transport *transport;
    struct peers *peers;
    const char *anchors; /* where they are kept; NULL: nowhere */
    bool is_deaf;        /* listens nowhere */
    const char *listen;  /* NULL: 127.0.0.1:0 */
    char address[160];   /* id@127.0.0.1:port */
};

struct net {
    struct host *host;
    struct net_node node[NET_MAX];
    struct timer poll;
    uint64_t left_ms, looked_ms;
    bool (*until)(void *arg);
    void *arg;
    bool timed_out;
};

void net_open(struct net *net);
/* Starts node i on the chain; a key that it already has is kept (a restart). */
void net_start(struct net *net, unsigned i, struct hash chain);
void net_stop(struct net *net, unsigned i);
/* Runs the loop until the condition holds (looked at every few milliseconds); fails after the limit. Counted is the
 * time in which the loop runs: a machine that stands still between two looks uses up none of it. */
void net_run(struct net *net, bool (*until)(void *arg), void *arg, uint64_t limit_ms);
/* Just runs it. */
void net_wait(struct net *net, uint64_t ms);
/* Node a dials b. */
void net_connect(struct net *net, unsigned a, unsigned b);
/* The same, and waits until both are up. */
void net_join(struct net *net, unsigned a, unsigned b);
void net_close(struct net *net);

#endif
