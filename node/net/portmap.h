/* Asks the router of a home network to pass the node's port on: by NAT-PMP, else by UPnP. Both libraries wait for
 * answers, so they run in the thread for long work.
 *
 *     TRYING --(a router agreed)--> MAPPED --(half of its time)--> TRYING
 *        \--(none did)--> NONE --(PORTMAP_AGAIN_MS)--> TRYING
 *
 * A router that agreed is not yet one that does it: whether others reach the node is found by dialling back
 * (node/net/reach.h). What was mapped is given back at a clean stop, and ends by itself after PORTMAP_LEASE_S. */
#ifndef KITH_NODE_PORTMAP_H
#define KITH_NODE_PORTMAP_H

#include "node/host/host.h"

struct portmap;

enum portmap_state { PORTMAP_TRYING, PORTMAP_NONE, PORTMAP_MAPPED };

struct portmap_info {
    enum portmap_state state;
    const char *by; /* "NAT-PMP", "UPnP"; "" */
    uint16_t port;  /* outside */
    char host[64];  /* the router's outside; "" where it does not say */
    char why[128];  /* not */
};

/* Called on the loop when the state or the port became another. */
typedef void (*portmap_fn)(void *arg);
struct portmap *portmap_new(struct host *host, uint16_t port, portmap_fn fn, void *arg);
/* Gives back what was mapped, while the loop runs on, and frees. NULL is fine. */
void portmap_free(struct portmap *p);
struct portmap_info portmap_info(const struct portmap *p);

#endif
