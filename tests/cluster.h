/* Nodes that decide blocks together, in one process: consensus and snapshots over real sockets (tests/net.h), stores in
 * memory, signer files on disk. */
#ifndef KITH_TESTS_CLUSTER_H
#define KITH_TESTS_CLUSTER_H

#include "node/consensus/consensus.h"
#include "node/consensus/snapshot.h"
#include "tests/net.h"

#define CLUSTER_FUND (UINT64_C(1000) * MOTE_PER_KITH) /* of the rich key, and a little more of each account */

/* Zeros: the private network's unbonding, heartbeats a minute apart, all blocks kept, no snapshots. */
struct cluster_options {
    unsigned validators, others; /* nodes; the others are not started */
    uint64_t unbonding_ms;
    unsigned block_interval_ms, heartbeat_ms;
    uint64_t keep_blocks;
    unsigned accounts;          /* in the genesis, besides the rich one */
    unsigned snapshot_interval; /* of validators, in blocks; 0: nobody has any */
    enum snapshot_sync sync;    /* of the others */
};

struct member {
    struct kv *kv;
    struct ledger *ledger;
    struct consensus *consensus; /* NULL while it is stopped */
    struct snapshots *snapshots;
    char dir[256];
};

struct cluster {
    struct net net;
    struct member m[NET_MAX];
    unsigned n;
    struct cluster_options o;
    struct genesis genesis;
    struct buf room;
    struct hash chain;
    struct seckey rich; /* holds CLUSTER_FUND */
    struct pubkey rich_id;
    uint64_t nonce; /* its next */
    char *dir;
    unsigned who; /* whom a condition is about */
    uint64_t target;
    struct {
        const char *text; /* lines of the log with this... */
        unsigned n;       /* ...so many */
    } watch[2];
    unsigned broken;
};

/* The validators run, and are connected with each other. */
struct cluster *cluster_new(const struct cluster_options *o);
/* Fails where a line of the level `broken` was logged. */
void cluster_free(struct cluster *c);

void cluster_start(struct cluster *c, unsigned i);
/* As a kill does it: nothing is said to anybody, unsynced writes are gone. */
void cluster_stop(struct cluster *c, unsigned i);

uint64_t cluster_height(const struct cluster *c, unsigned i);
/* Node `who` is that high. */
void cluster_reach(struct cluster *c, unsigned who, uint64_t target, uint64_t limit_ms);
/* For net_run: every running node is c->target high, and nothing asks for another block. */
bool cluster_is_high(void *cluster);
/* Until then; and they have the same blocks up to there. */
void cluster_all_reach(struct cluster *c, uint64_t target, uint64_t limit_ms);
/* The rich key pays node 0 through any; the transaction's id. */
struct hash cluster_pay(struct cluster *c, unsigned through, uint64_t mote);
/* Does the node have the balance of account i of the genesis? */
bool cluster_has_account(const struct cluster *c, unsigned who, unsigned i);

#endif
