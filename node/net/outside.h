/* This node as others see it from outside: whether they reach it (node/net/reach.h), its relays if not, relaying for
 * others if so (node/net/circuits.h), what its router passes on (node/net/portmap.h), and the way that they are told.
 *
 *     reachable       relays for others; tells what `announce` says, or the address that was reached
 *     not reachable   has relays of its own, and tells the way through them
 *     unknown         neither; tells `announce`, or where it listens
 */
#ifndef KITH_NODE_OUTSIDE_H
#define KITH_NODE_OUTSIDE_H

#include "node/net/circuits.h"
#include "node/net/portmap.h"
#include "node/net/reach.h"

struct outside;

struct outside_options {
    struct host *host;
    struct peers *peers;
    struct streams *streams;
    struct transport *transport;
    const char *listen, *announce; /* as configured; announce may be NULL */
    bool relay;                    /* for others, while reachable */
    bool portmap;                  /* ask a router, where it listens for more than this machine */
};

struct outside *outside_new(const struct outside_options *o);
/* Begins to give back what a router was asked for: before the loop ends. */
void outside_give_back(struct outside *s);
void outside_free(struct outside *s);
/* The way that others are told (p2p/way.h). */
const char *outside_endpoint(const struct outside *s);
/* Called when that became another. */
typedef void (*outside_fn)(void *arg);
void outside_on_change(struct outside *s, outside_fn fn, void *arg);
struct reach_info outside_reach(const struct outside *s);
/* False where no router is asked. */
bool outside_portmap(const struct outside *s, struct portmap_info *out) MUST_USE;
struct circuits_info outside_circuits(const struct outside *s);

#endif
