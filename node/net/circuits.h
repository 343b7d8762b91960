/* Circuits: connections through relays, for nodes that nobody can dial.
 *
 * A node that is not reachable (node/net/reach.h) dials up to WAY_RELAYS_MAX relays, opens a STREAM_RELAY to each, and
 * tells others the way "RELAY@HOST:PORT". The promise lasts as long as that stream. Who wants the node opens a
 * STREAM_CIRCUIT to the relay, which opens one to the node and passes bytes on:
 *
 *     dialler ==(stream)==> relay ==(stream)==> node          two streams, each in a connection of its own,
 *         \------------------------------------/               and in both the bytes of one connection from end to
 *          handshake to the node's key, frames                end, which is a transport's for node/peers
 *
 * So the relay sees ciphertext, lengths and times; it can cut a circuit off, and can pretend nothing. Nothing above
 * knows the difference. There is no relay behind a relay: both streams stand in connections that go through none.
 *
 * Three files: circuits.c (a circuit's two ends), circuits_relay.c (passing on, and its bounds), circuits_promise.c (a
 * node's own relays). */
#ifndef KITH_NODE_CIRCUITS_H
#define KITH_NODE_CIRCUITS_H

#include "node/net/streams.h"

struct circuits;

struct circuits *circuits_new(struct host *host, struct peers *peers, struct streams *streams);
void circuits_free(struct circuits *c);

/* Pass on for others, or no longer: then those that stand go on, and no new ones come. */
void circuits_set_relaying(struct circuits *c, bool relaying);
/* Have relays of its own, or no longer (those circuits that stand go on). */
void circuits_set_wanted(struct circuits *c, bool wanted);
/* The way through its relays that promised; "" when there is none. */
const char *circuits_way(const struct circuits *c);
/* Called when that became another. */
typedef void (*circuits_fn)(void *arg);
void circuits_on_change(struct circuits *c, circuits_fn fn, void *arg);

struct circuits_info {
    bool relaying, wanted;
    unsigned relays;            /* of its own, that promised */
    unsigned dialled, accepted; /* circuits that end here */
    unsigned clients, passing;  /* promised to; circuits that this node passes on */
    uint64_t passed_bytes, refused;
};
struct circuits_info circuits_info(const struct circuits *c);

#endif
