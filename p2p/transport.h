/* Connections that carry bytes: an interface, and libuv's TCP behind it (transport.c). A simulator gives
 * its own.
 *
 * All calls and callbacks on the loop's thread. No callback comes before the call that asked for it
 * has returned.
 */
#ifndef KITH_P2P_TRANSPORT_H
#define KITH_P2P_TRANSPORT_H

#include "p2p/endpoint.h"

struct transport;
struct conn;

/* Calls of one connection. `down` is the last: the connection is gone when it returns. After conn_close
 * none comes. */
struct conn_calls {
    void (*up)(void *arg, struct conn *c); /* dialled ones only */
    void (*data)(void *arg, struct conn *c, struct bytes in);
    void (*room)(void *arg, struct conn *c); /* what conn_write kept has gone out */
    void (*down)(void *arg, struct conn *c, enum err e, const char *text);
};

/* A connection came in: give it calls with conn_own, or close it. `from` is "HOST:PORT". */
typedef void (*transport_accept_fn)(void *arg, struct conn *c, const char *from);

struct transport_ops {
    enum err (*listen)(struct transport *, const struct endpoint *at, transport_accept_fn fn, void *arg, uint16_t *port,
                       struct note *);
    void (*unlisten)(struct transport *);
    struct conn *(*dial)(struct transport *, const struct endpoint *to, const struct conn_calls *calls, void *arg);
    size_t (*write)(struct conn *, struct bytes);
    void (*pause)(struct conn *, bool paused);
    void (*close)(struct conn *, struct bytes last);
    void (*free)(struct transport *);
};

struct transport {
    const struct transport_ops *ops;
};
struct conn {
    const struct transport_ops *ops;
    const struct conn_calls *calls;
    void *arg;
};

/* One listener at a time. Port 0 takes a free one; *port is what it became. ERR_EXISTS: taken. */
enum err transport_listen(struct transport *t, const struct endpoint *at, transport_accept_fn fn, void *arg,
                          uint16_t *port, struct note *note) MUST_USE;
/* No accept comes any more. */
void transport_unlisten(struct transport *t);
/* Failure comes as `down`. There is no time limit but the system's: close it when it takes too long. */
struct conn *transport_dial(struct transport *t, const struct endpoint *to, const struct conn_calls *calls, void *arg);
void transport_free(struct transport *t);

void conn_own(struct conn *c, const struct conn_calls *calls, void *arg);
/* Takes all of the bytes, or none (0) while earlier ones wait for room. */
size_t conn_write(struct conn *c, struct bytes out);
/* Paused: no data is read, the other side is slowed down. */
void conn_pause(struct conn *c, bool paused);
/* Sends `last` as far as that is possible at once, and closes. */
void conn_close(struct conn *c, struct bytes last);

struct uv_loop_s;
/* Frees all its connections in transport_free; their handles close as the loop runs on. */
struct transport *transport_uv_open(struct uv_loop_s *loop);

#endif
