/* Inside of node.c: the parts whose start and stop stand elsewhere. Nobody else includes this. */
#ifndef KITH_NODE_NODE_IN_H
#define KITH_NODE_NODE_IN_H

#include "node/node.h"

/* node_chain.c */
enum err node_start_ledger(struct node *n, struct note *note) MUST_USE;
void node_stop_ledger(struct node *n);
enum err node_start_consensus(struct node *n, struct note *note) MUST_USE;
void node_stop_consensus(struct node *n);
enum err node_start_snapshots(struct node *n, struct note *note) MUST_USE;
void node_stop_snapshots(struct node *n);

#endif
