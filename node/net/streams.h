/* Streams between two nodes: for the market a job, an audit, hashes of a data set, layers of a model; for the network
 * dialling back, a relay's promise, a circuit through one. Each is an ordered pair of byte-message queues over the
 * connection to one peer, with bounded credit (STREAM_WINDOW bytes on the way, CIRCUIT_WINDOW of a circuit), and dies
 * with the connection. What the messages say is the business of their two ends.
 *
 * Identified by a number that is unique in this process and never 0.
 */
#ifndef KITH_NODE_STREAMS_H
#define KITH_NODE_STREAMS_H

#include "node/net/peers.h"

struct streams;

enum stream_kind {
    STREAM_JOB = 1,
    STREAM_AUDIT = 2,
    STREAM_HASHES = 3,
    STREAM_DIALBACK = 4,
    STREAM_RELAY = 5,
    STREAM_CIRCUIT = 6,
    STREAM_LAYERS = 7,
    STREAM_KIND_COUNT
};

/* Calls of one stream; any may be NULL. After `closed` nothing more comes and the number is void. A
 * stream that this side closes gets no call. Every call may use streams_send and streams_close. */
struct stream_calls {
    void (*opened)(void *arg, uint64_t stream); /* ours had to wait for its connection, which is there */
    void (*data)(void *arg, uint64_t stream, struct bytes message);
    void (*ready)(void *arg, uint64_t stream); /* there is credit again after ERR_BUSY */
    void (*closed)(void *arg, uint64_t stream, enum err reason, const char *text);
};

struct streams *streams_new(struct host *host, struct peers *peers);
void streams_free(struct streams *s);

/* A stream that a peer opened: set `*calls` and `*arg` and return ERR_OK, or return why not (the opener is
 * told). `body` is borrowed. One handler per kind. */
typedef enum err (*streams_accept_fn)(void *arg, uint64_t stream, const struct pubkey *from, struct bytes body,
                                      const struct stream_calls **calls, void **calls_arg);
void streams_on(struct streams *s, enum stream_kind kind, streams_accept_fn fn, void *arg);

/* Opens to a peer, dialling it if need be (`endpoint` is its way or NULL, as in peers_reach; then the body
 * waits here, and `closed` comes with ERR_TIMEOUT when it is not up within PEER_DIAL_MS, through relays twice that). */
enum err streams_open(struct streams *s, const struct pubkey *to, const char *endpoint, enum stream_kind kind,
                      struct bytes body, const struct stream_calls *calls, void *arg, uint64_t *stream) MUST_USE;
/* At most STREAM_DATA_MAX bytes. ERR_BUSY: no credit (or not yet connected), try again in `ready`;
 * ERR_NOT_FOUND: the stream is gone. */
enum err streams_send(struct streams *s, uint64_t stream, struct bytes message) MUST_USE;
/* Held: this side gives no credit for what comes, so that at most a window of it does. */
void streams_hold(struct streams *s, uint64_t stream, bool held);
/* Frees the number; `reason` ERR_OK is a clean end. */
void streams_close(struct streams *s, uint64_t stream, enum err reason, const char *text);
/* False if the stream is gone. */
bool streams_peer(const struct streams *s, uint64_t stream, struct pubkey *peer);

#endif
