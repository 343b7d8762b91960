/* A running kithd: the parts of the node, made in layer order and unmade in the opposite one.
 *
 * node.c has one table with a start and a stop for each part; that is all the wiring there is. Parts are
 * handed what they need and do not see this struct; only node.c and the API's handlers do.
 */
#ifndef KITH_NODE_NODE_H
#define KITH_NODE_NODE_H

#include "node/blobs.h"
#include "node/config.h"
#include "node/consensus.h"
#include "node/host.h"
#include "node/peers.h"
#include "node/streams.h"

struct node {
    const struct config *config;
    int lock_fd, log_fd;
    struct host *host;
    struct seckey key; /* as key_derive left it */
    struct pubkey id;
    struct hash chain;
    struct kv *kv;
    struct ledger *ledger;
    struct transport *transport;
    struct peers *peers;
    struct streams *streams;
    struct blobs *blobs;
    struct consensus *consensus;
};

/* Starts every part; on failure those that had started are stopped again, and the note says why.
 * `config` must outlive the node. */
enum err node_open(const struct config *config, struct node **out, struct note *note) MUST_USE;
/* Until SIGTERM, SIGINT or node_stop. */
void node_run(struct node *n);
void node_stop(struct node *n);
void node_close(struct node *n);

#endif
