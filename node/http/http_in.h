/* Inside the HTTP server: shared by http.c (connections and the loop), http_request.c (a request as its handler sees
 * it), http_listen.c, http_peer.c (sockets) and http_host.c (names). Nobody else includes it. */
#ifndef KITH_NODE_HTTP_IN_H
#define KITH_NODE_HTTP_IN_H

#include "node/http/http.h"
#include "base/limits.h"
#include "node/host/timer.h"
#include "node/http/http_head.h"

struct MHD_Connection;
struct MHD_Daemon;
struct MHD_Response;

enum phase { RECEIVING, WAITING, ANSWERED, STREAMING };

struct http_request {
    struct http *http;
    struct link *link;
    struct MHD_Connection *connection;
    struct http_request *next, *prev;
    enum phase phase;
    bool suspended, too_large, ended, gone, queued;
    char *method, *path;
    char *authority; /* of the request line, or NULL */
    struct buf body;
    uint64_t received; /* bytes of the body, kept or not */
    struct MHD_Response *response;
    unsigned status;
    struct buf headers; /* name NUL value NUL ... for the answer */
    struct buf out;     /* stream bytes not yet taken */
    http_gone_fn on_gone, on_drained;
    void *gone_arg, *drained_arg;
};

/* An accepted connection. */
struct link {
    struct http *http;
    int fd;
    bool is_fresh; /* has not sent a request head yet */
    bool is_watched;
    bool is_near; /* the other end is this node's user, on this machine */
    uint64_t since_ms;
    struct http_line line;        /* of the last request, its target */
    struct http_request *request; /* the one it is at, or NULL */
    struct link *next, *prev;
};

struct http {
    struct host *host;
    struct MHD_Daemon *daemon;
    int epoll_fd; /* -1 before it is watched */
    struct timer timer, sweep;
    http_handler_fn handler;
    void *arg;
    bool is_unix, closing, running, run_again;
    int listen_fd;
    char *unix_path;
    char *name[HTTP_NAMES_MAX]; /* that the Host header may be, too */
    unsigned names_n;
    unsigned port;
    struct http_request *requests;
    struct link *links;
};

/* http.c: libmicrohttpd leaves a suspended connection alone; either may be called twice. */
void http_suspend(struct http_request *r);
void http_resume(struct http_request *r);

/* http_listen.c: *port is the one that was given for 0; *fd is to be closed also on an error, if it is not -1. */
enum err http_listen_tcp(const char *where, int *fd, unsigned *port, struct note *note) MUST_USE;
enum err http_listen_unix(const char *path, int *fd, struct note *note) MUST_USE;
/* http_peer.c: of a socket's other end. A TCP one on this machine: of this user, or root. */
bool http_peer_is_near(int fd);
/* Of a Unix one the same. */
bool http_peer_is_ours(int fd);
/* The address that was connected to, as a Host header has it: 1.2.3.4 or [::1]. */
bool http_own_address(int fd, char *out, size_t room);
/* http_request.c: whom the request means, or NULL. */
const char *http_request_host(const struct http_request *r);
/* http_host.c: HOST or HOST:PORT, or NULL: this machine's loopback names; any name that is ours. */
bool http_host_is_loopback(const char *host);
bool http_host_is_ours(const struct http *h, int fd, const char *host);

#endif
