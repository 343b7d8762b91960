/* What becomes an event of this node (node/api/events.h), in JSON: blocks, earnings, jobs, tasks and peers when they
 * say so; how lending is, where layers are, and how far pulls are, when they are looked at: each second while somebody
 * follows.
 *
 * No event holds what was asked or answered. */
#ifndef KITH_NODE_FEED_H
#define KITH_NODE_FEED_H

#include "node/consensus/consensus.h"
#include "node/api/events.h"

struct node;
struct feed;

/* Of a node whose parts up to the market are there; registers with them. `on_event` is called, on the loop, when there
 * is news to be read. */
typedef void (*feed_fn)(void *arg);
struct feed *feed_open(struct node *n, feed_fn on_event, void *arg);
/* NULL is fine. Before the market is closed. */
void feed_close(struct feed *f);
const struct events *feed_events(const struct feed *f);
/* Jobs that were over since the start, and their tokens. */
struct feed_counts {
    uint64_t done, failed, cancelled, tokens_in, tokens_out;
};
struct feed_counts feed_counts(const struct feed *f);
/* Of this start: numbers of events mean nothing beyond it. */
uint32_t feed_start(const struct feed *f);
void feed_on_block(struct feed *f, const struct consensus_block *block);
void feed_on_peer(struct feed *f, const struct pubkey *key, bool is_up);
/* Looks at what says nothing by itself. */
void feed_look(struct feed *f);

#endif
