/* Is this node reachable from outside, and at which address?
 *
 * Two things tell. Peers that were asked dial back (node/net/dialback.h). And whoever dials this node by himself has
 * reached it. A network (endpoint_group) has one voice, its latest; what is seen from outside counts, and what peers of
 * this node's own network see only where nobody outside was asked. The majority is believed, so that one liar among
 * three networks is not. A node that does not listen need not ask. */
#ifndef KITH_NODE_REACH_H
#define KITH_NODE_REACH_H

#include "node/net/dialback.h"

struct reach;

enum reach_state { REACH_UNKNOWN, REACH_YES, REACH_NO };
const char *reach_state_name(enum reach_state s); /* "unknown", "yes", "no" */

struct reach_info {
    enum reach_state state;
    bool listens;
    bool outside;     /* the voices are of networks outside */
    unsigned yes, no; /* networks */
    enum err why;     /* of the latest that could not */
    uint64_t age_ms;  /* of the latest voice */
    uint16_t port;    /* that is asked for */
    char at[256];     /* "HOST:PORT" that most reached; "" where none of them was asked */
};

struct reach *reach_new(struct host *host, struct peers *peers, struct dialbacks *dialbacks);
void reach_free(struct reach *r);
struct reach_info reach_info(const struct reach *r);
/* A router was made to pass this port on (node/net/portmap.h); 0: none. */
void reach_set_port(struct reach *r, uint16_t port);
/* Called when the state or the address became another. */
typedef void (*reach_fn)(void *arg);
void reach_on_change(struct reach *r, reach_fn fn, void *arg);

#endif
