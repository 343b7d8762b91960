/* Messages between node/net/peers.c and p2p/peer.c, which the linker leads through here (--wrap): lost, repeated, held
 * back, looked at.
 *
 * Above the noise layer, because below it a lost or repeated byte only ends the connection, which sim_net_reset does; a
 * lost message (a queue that was dropped with its connection) and a repeated one (said again by peers) is what
 * consensus has to live with, and here both pass through everything below once more. docs/decisions.md.
 */
#ifndef KITH_TESTS_SIM_WIRE_H
#define KITH_TESTS_SIM_WIRE_H

#include "p2p/peer.h"
#include "tests/sim/sim.h"

/* Of messages of consensus: percent lost, percent repeated after up to `repeat_ms`. */
void sim_wire_faults(struct sim *s, unsigned loss, unsigned repeat, uint64_t repeat_ms);
/* Until it is called again: in the directions of a kind's bit set (from * 8 + to) no message of that kind comes
 * through. */
enum sim_kind { SIM_PREVOTES, SIM_PRECOMMITS, SIM_PROPOSALS, SIM_BLOCKS /* and heights */, SIM_KINDS };
void sim_wire_block(struct sim *s, enum sim_kind kind, uint64_t ways);
/* Sends as if the node had meant it: looked at, and lost or repeated like any. */
enum err sim_wire_send(struct sim_node *n, struct peer *to, enum msg_type type, struct bytes body) MUST_USE;
/* The same after a while, if that peer is still connected then. */
void sim_wire_send_later(struct sim_node *n, const struct pubkey *to, enum msg_type type, struct bytes body,
                         uint64_t delay_us);
void sim_wire_open(struct sim *s);
void sim_wire_close(struct sim *s);

#endif
