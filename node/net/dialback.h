/* Dialling back: a peer is asked to dial this node at a port of the address that it sees the connection come from, so
 * that the node learns whether, and where, others reach it.
 *
 *     asker                           helper
 *     STREAM_OPEN (dialback_ask)  -->
 *                                     dials the connection's own address at that port, sends act 1 of a handshake to
 *                                     the asker's key, and hangs up after act 2: only who has that key can have sent it
 *                             <-- STREAM_DATA (dialback_said), STREAM_CLOSE
 *
 * Nobody can be made to dial a third party: the address is the connection's, and no name is looked up. A helper serves
 * a network of askers once in DIALBACK_EVERY_MS, and DIALBACKS_MAX at a time; those through a relay have no address,
 * and are refused. */
#ifndef KITH_NODE_DIALBACK_H
#define KITH_NODE_DIALBACK_H

#include "node/net/streams.h"

struct dialbacks;
struct transport;

struct dialbacks *dialbacks_new(struct host *host, struct peers *peers, struct streams *streams,
                                struct transport *transport);
void dialbacks_free(struct dialbacks *d);

/* ERR_OK: it was reached at `at`, "HOST:PORT" as the helper says. ERR_BUSY, ERR_UNSUPPORTED, ERR_CLOSED and their like:
 * the helper did not try. `reached` false and ERR_OK: it tried in vain, for that reason. */
struct dialback_result {
    enum err asked;
    bool reached;
    enum err why;
    char at[256];
};
typedef void (*dialback_fn)(void *arg, const struct pubkey *helper, const struct dialback_result *result);
/* One question at a time (ERR_BUSY), of a peer that is up. */
enum err dialback_ask(struct dialbacks *d, const struct pubkey *helper, uint16_t port, dialback_fn fn,
                      void *arg) MUST_USE;

#endif
