/* Inside of circuits. Nobody else includes this. */
#ifndef KITH_NODE_CIRCUITS_IN_H
#define KITH_NODE_CIRCUITS_IN_H

#include "base/limits.h"
#include "base/log.h"
#include "node/net/circuits.h"
#include "p2p/transport.h"
#include "p2p/way.h"

struct circuit; /* an end here: circuits.c */
struct client;  /* whom this node promised: circuits_relay.c */
struct passing; /* a circuit that it passes on: circuits_relay.c */

/* A relay of this node: FREE --(asked)--> ASKED --(its terms came)--> PROMISED, and with its stream FREE again. */
struct promise {
    struct circuits *owner;
    enum { PROMISE_FREE, PROMISE_ASKED, PROMISE_MADE } state;
    struct pubkey relay;
    uint64_t stream, asked_ms;
    char at[ENDPOINT_TEXT_ROOM]; /* RELAY@HOST:PORT */
};

struct tried {
    struct pubkey relay;
    uint64_t at_ms; /* 0: nobody */
};

struct circuits {
    struct host *host;
    struct peers *peers;
    struct streams *streams;
    uint8_t place[16];

    /* circuits.c */
    struct circuit *ends;
    bool turn_is_posted, closing;
    unsigned dialled, accepted;

    /* circuits_relay.c */
    bool relaying;
    struct client *clients;
    struct passing *passing;
    unsigned clients_n, passing_n;
    uint64_t orders;   /* of circuits passed on, ever */
    int64_t allowance; /* bytes that may pass now, of all circuits */
    uint64_t allowance_ms;
    struct timer pass_timer;
    uint64_t passed_bytes, refused;

    /* circuits_promise.c */
    bool wanted;
    struct promise promises[WAY_RELAYS_MAX];
    struct tried tried[RELAYS_TRIED];
    unsigned tried_n;
    struct timer promise_timer;
    char way[ENDPOINT_TEXT_ROOM];
    circuits_fn fn;
    void *fn_arg;
};

/* circuits_relay.c */
void circuits_relay_start(struct circuits *c);
void circuits_relay_stop(struct circuits *c);
/* A STREAM_CIRCUIT with CIRCUIT_RELAY, as a streams_accept_fn. */
enum err circuits_relay_accept(struct circuits *c, uint64_t stream, const struct pubkey *from, const struct pubkey *to,
                               const struct stream_calls **calls, void **calls_arg) MUST_USE;

/* circuits_promise.c */
void circuits_promise_stop(struct circuits *c);
/* Is this one of ours? Then where. */
const char *circuits_promised(const struct circuits *c, const struct pubkey *relay);

/* Of a peer that is up and connected without a relay: its network. */
bool circuits_network(const struct circuits *c, const struct pubkey *peer, uint64_t *network) MUST_USE;

#endif
