/* One node that follows, between two peers that have no node behind them, and say what the test wants. */
#ifndef KITH_TESTS_MUTES_H
#define KITH_TESTS_MUTES_H

#include "node/consensus/consensus_in.h"
#include "tests/net.h"

#define MUTES_TXS 64

/* A peer without a node behind it: what it was sent of each kind. */
struct mute {
    struct mutes *s;
    unsigned i;
    unsigned n[MSG_TYPE_END];
    struct buf last[MSG_TYPE_END];
};

struct mutes {
    struct net net; /* 0: the node, 1: whose key is the only validator's, 2: somebody */
    struct mute mute[3];
    struct genesis genesis;
    struct buf room;
    struct hash chain;
    struct seckey rich;
    struct kv *kv;
    struct ledger *ledger;
    struct consensus *consensus;
    char *dir;
    struct buf tx[MUTES_TXS]; /* of rich, by nonce */
    struct hash id[MUTES_TXS];
    unsigned misbehaved;
    struct host_ops ops, real; /* of the host: its clock is ours */
    uint64_t seen_ms, now_ms;  /* of the real clock, and of ours */
    struct timer tick;
    /* for conditions */
    unsigned who, type, count;
};

/* Setup and teardown of cmocka. The node's clock goes at most some milliseconds further at a time, and only while its
 * loop turns: a machine that stands still is not taken for a peer that does not answer, and what comes together is due
 * together. In a hurry: it has something to do before its loop turns for the first time. */
int mutes_begin(void **state);
int mutes_begin_in_a_hurry(void **state);
int mutes_end(void **state);

/* Peer i to the node; the second clears the body. */
void mutes_say(struct mutes *s, unsigned i, enum msg_type type, struct bytes body);
void mutes_say_buf(struct mutes *s, unsigned i, enum msg_type type, struct buf *body);
/* Transactions from..from+n-1, by their ids and whole. */
void mutes_say_ids(struct mutes *s, unsigned i, enum msg_type type, unsigned from, unsigned n);
void mutes_say_txs(struct mutes *s, unsigned i, unsigned from, unsigned n);
/* Until peer `who` was sent so many messages of a kind; the last one. */
void mutes_hear(struct mutes *s, unsigned who, enum msg_type type, unsigned count);
struct bytes mutes_last(const struct mutes *s, unsigned who, enum msg_type type);
/* Until the pool has so many, and no more. */
void mutes_pooled(struct mutes *s, unsigned count);
/* In any order: what is asked for again comes in another one. */
bool mutes_are_ids(const struct mutes *s, struct bytes body, unsigned from, unsigned n);
/* A condition: some peer was, for what it said. */
bool mutes_is_cut_off(void *arg);

#endif
