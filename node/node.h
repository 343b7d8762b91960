/* A running kithd: the parts of the node, made in layer order and unmade in the opposite one.
 *
 * node.c has one table with a start and a stop for each part (those of the chain stand in node_chain.c); that is all
 * the wiring there is. Parts are handed what they need and do not see this struct; only these two and the API's
 * handlers do.
 */
#ifndef KITH_NODE_NODE_H
#define KITH_NODE_NODE_H

#include "node/data/access.h"
#include "node/api/apikeys.h"
#include "node/config.h"
#include "node/consensus/consensus.h"
#include "node/api/feed.h"
#include "node/http/http.h"
#include "node/market/market.h"
#include "node/consensus/snapshot.h"
#include "node/api/tasks.h"

#define NODE_VERSION "0.1.0"

struct chain_wait;
struct outside;
struct history;
struct model_head;

struct node {
    const struct config *config;
    int lock_fd, log_fd;
    uint64_t started_ms; /* wall clock */
    struct host *host;
    struct seckey key; /* as key_derive left it */
    struct pubkey id;
    struct hash chain;
    struct kv *kv;
    struct ledger *ledger;
    struct helpers *helpers; /* share a block's work */
    struct transport *transport;
    struct peers *peers;
    struct streams *streams;
    struct outside *outside; /* how others reach this node */
    struct blobs *blobs;
    struct history *history; /* NULL: not kept */
    struct consensus *consensus;
    struct snapshots *snapshots;
    struct access *access; /* to data sets */
    struct account *account;
    struct workers *workers;
    struct market *market;
    struct apikeys *apikeys; /* of the HTTP API */
    struct tasks *tasks;
    struct feed *feed;              /* events of this node; NULL before the API is there */
    struct followers *followers;    /* of them: api_kith_events.c */
    struct chain_wait *waits;       /* api_kith_chain.c */
    struct model_head *model_heads; /* model_heads.h: of files that were read */
    size_t model_heads_n;
    struct http *http_unix, *http_tcp;
};

/* Starts every part; on failure those that had started are stopped again, and the note says why.
 * `config` must outlive the node. */
enum err node_open(const struct config *config, struct node **out, struct note *note) MUST_USE;
/* Until SIGTERM, SIGINT or node_stop. */
void node_run(struct node *n);
void node_stop(struct node *n);
void node_close(struct node *n);

/* For the API. */
const char *node_endpoint(const struct node *n); /* the way that others are told: p2p/way.h */
/* Appends HOST:PORT of the API over TCP, with the port that it got; nothing where there is none. */
void node_add_http(const struct node *n, struct buf *out);
const char *node_prefix(const struct node *n); /* of addresses on this chain */
uint32_t node_features(const struct node *n);  /* enum msg_feature */
struct jobs *node_jobs(const struct node *n);

#endif
