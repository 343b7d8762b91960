/* What was seen lately, so that gossip does not circle: a set of 64-bit ids in two generations, of which
 * the older is dropped when the younger is full or old. Something is remembered for SEEN_MS / 2 at
 * least (unless more than SEEN_MAX / 2 others came since) and SEEN_MS at most.
 *
 * Ids are hashes under a secret key: nobody can make two messages that collide.
 */
#ifndef KITH_P2P_GOSSIP_H
#define KITH_P2P_GOSSIP_H

#include "base/hash.h"

struct gossip;

struct gossip *gossip_new(const uint8_t key[32]);
void gossip_free(struct gossip *g);
/* Is it remembered? */
bool gossip_has(const struct gossip *g, uint8_t type, struct bytes body);
/* True the first time; remembers it. */
bool gossip_add(struct gossip *g, uint8_t type, struct bytes body, uint64_t now_ms);

#endif
