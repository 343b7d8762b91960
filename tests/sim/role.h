/* Byzantine validators: production nodes whose messages pass through a hostile wrapper. */
#ifndef KITH_TESTS_SIM_ROLE_H
#define KITH_TESTS_SIM_ROLE_H

#include "p2p/peer.h"
#include "tests/sim/sim.h"

const char *role_name(enum sim_role r);
/* SIM_ROLES for an unknown name. */
enum sim_role role_parse(const char *name);
/* What it forgets while it is down. */
void role_before_start(struct sim_node *n);
/* A message that was handed to it. */
void role_delivered(struct sim_node *n, enum msg_type type, struct bytes body);
/* Takes over the sending of this message; false: it goes out as an honest node's. */
bool role_send(struct sim_node *n, struct peer *to, enum msg_type type, struct bytes body);

#endif
