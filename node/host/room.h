/* Who makes room where connections are full. Keys cost nothing, networks do (endpoint_group): whoever has the most
 * connections from one network gives one up, so that a flood from one place pushes out itself and nobody else. */
#ifndef KITH_NODE_ROOM_H
#define KITH_NODE_ROOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct room_guest {
    uint64_t network; /* equal numbers are one network */
    uint64_t since;   /* rising */
    bool stays;       /* dialled by us, or configured */
};

/* For a connection whose handshake is yet to come: the oldest of the network that has the most, the newcomer counted.
 * Always one of them; n > 0. */
size_t room_of_strangers(const struct room_guest *guests, size_t n, uint64_t network);
/* For a peer: the youngest of the network that has the most of those that need not stay. False, the newcomer is
 * refused, where its own network would have as many. */
bool room_of_peers(const struct room_guest *guests, size_t n, uint64_t network, size_t *gone);

#endif
