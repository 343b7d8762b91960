/* The network between the nodes: p2p/transport.h with delays, bandwidth, partitions and resets.
 *
 * A connection is what TCP makes of it: bytes arrive in order or not at all. In a direction that is cut nothing
 * arrives; what was sent waits, as if sent again and again, until the cut is over or the connection dies. Bytes of one
 * direction that were sent and not read are bounded. Messages are lost, repeated and turned around above this (wire.c).
 */
#ifndef KITH_TESTS_SIM_NET_H
#define KITH_TESTS_SIM_NET_H

#include "tests/sim/sim.h"

void sim_net_open(struct sim *s);
void sim_net_close(struct sim *s);
struct transport *sim_net_transport(struct sim_node *n);
/* One-way delay: `base_us` and up to `jitter_us` more each time. */
void sim_net_delay(struct sim *s, unsigned from, unsigned to, uint64_t base_us, uint64_t jitter_us);
/* Of each node, up and down; 0: no bound. */
void sim_net_bandwidth(struct sim *s, uint64_t bits_per_second);
void sim_net_cut(struct sim *s, unsigned from, unsigned to, bool is_cut);
/* Both ends of every connection of the two see it broken. */
void sim_net_reset(struct sim *s, unsigned a, unsigned b);
/* The node is dead. Its machine says so to the others, or is as silent as it: then they learn it when it is back. */
void sim_net_node_gone(struct sim_node *n, bool is_silent);
void sim_net_node_back(struct sim_node *n);

#endif
