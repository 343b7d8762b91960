/* The interface's calls, and TCP over libuv.
 *
 * A uv handle's memory is free again only after its close callback: a tcp_conn lives until `closed`, and
 * the transport until the last of them. After conn_close (calls == NULL) nobody is called.
 */
#include "p2p/transport.h"

#include "base/limits.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define BACKLOG      1024 /* where it is full, who comes waits a second until its system asks again */
#define READ_ROOM    65536
#define ACCEPTS_TURN 16 /* connections taken in one turn of the loop: libuv would take all that wait, and come */

/* -- the interface -- */

enum err transport_listen(struct transport *t, const struct endpoint *at, transport_accept_fn fn, void *arg,
                          uint16_t *port, struct note *note)
{
    return t->ops->listen(t, at, fn, arg, port, note);
}

void transport_unlisten(struct transport *t)
{
    t->ops->unlisten(t);
}

struct conn *transport_dial(struct transport *t, const struct endpoint *to, const struct conn_calls *calls, void *arg)
{
    return t->ops->dial(t, to, calls, arg);
}

void transport_free(struct transport *t)
{
    if (t)
        t->ops->free(t);
}

void conn_own(struct conn *c, const struct conn_calls *calls, void *arg)
{
    c->calls = calls;
    c->arg = arg;
}

size_t conn_write(struct conn *c, struct bytes out)
{
    return out.n ? c->ops->write(c, out) : 0;
}

void conn_pause(struct conn *c, bool paused)
{
    c->ops->pause(c, paused);
}

void conn_close(struct conn *c, struct bytes last)
{
    c->calls = NULL;
    c->ops->close(c, last);
}

/* -- libuv -- */

struct tcp {
    struct transport base;
    uv_loop_t *loop;
    uv_tcp_t *listener;  /* heap: it closes while another may be opened */
    uv_timer_t *accepts; /* the next turn; as the listener */
    unsigned accepted;   /* in this turn */
    bool accept_waits;   /* libuv holds one, and looks for no other until it is taken */
    transport_accept_fn accept;
    void *accept_arg;
    struct tcp_conn *first;
    unsigned alive; /* handles and requests that still point here */
    bool freed;
    char read_room[READ_ROOM]; /* one read at a time on one loop */
};

struct tcp_conn {
    struct conn base;
    struct tcp *tcp;
    struct tcp_conn *next, **link; /* among the open ones */
    uv_tcp_t handle;
    uv_connect_t connect;
    uv_getaddrinfo_t lookup;
    uv_write_t write;
    struct buf kept; /* bytes of `write` */
    bool looking, writing, is_up, reading, paused, closing, closed;
    uint16_t port;
};

static void release(struct tcp *t)
{
    CHECK(t->alive > 0);
    if (--t->alive == 0 && t->freed)
        free(t);
}

/* Its memory goes when the handle is closed and no lookup is under way. */
static void conn_reap(struct tcp_conn *c)
{
    if (!c->closed || c->looking)
        return;
    struct tcp *t = c->tcp;
    buf_clear(&c->kept);
    free(c);
    release(t);
}

static void conn_closed(uv_handle_t *handle)
{
    struct tcp_conn *c = handle->data;
    c->closed = true;
    conn_reap(c);
}

static void conn_shut(struct tcp_conn *c)
{
    if (c->closing)
        return;
    c->closing = true;
    *c->link = c->next;
    if (c->next)
        c->next->link = c->link;
    if (c->looking)
        uv_cancel((uv_req_t *)&c->lookup);
    uv_close((uv_handle_t *)&c->handle, conn_closed);
}

static void conn_fail(struct tcp_conn *c, int status)
{
    const struct conn_calls *calls = c->base.calls;
    c->base.calls = NULL;
    conn_shut(c);
    if (calls)
        calls->down(c->base.arg, &c->base, status == UV_EOF ? ERR_CLOSED : ERR_IO,
                    status == UV_EOF ? "closed by the other side" : uv_strerror(status));
}

static struct tcp_conn *conn_create(struct tcp *t)
{
    struct tcp_conn *c = mem_new(sizeof *c);
    c->base.ops = t->base.ops;
    c->tcp = t;
    c->next = t->first;
    c->link = &t->first;
    if (c->next)
        c->next->link = &c->next;
    t->first = c;
    t->alive++;
    CHECK(uv_tcp_init(t->loop, &c->handle) == 0);
    c->handle.data = c;
    return c;
}

static void give_room(uv_handle_t *handle, size_t wanted, uv_buf_t *out)
{
    (void)wanted;
    struct tcp_conn *c = handle->data;
    *out = uv_buf_init(c->tcp->read_room, READ_ROOM);
}

static void was_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *in)
{
    struct tcp_conn *c = stream->data;
    if (n < 0)
        conn_fail(c, (int)n);
    else if (n > 0 && c->base.calls)
        c->base.calls->data(c->base.arg, &c->base, bytes_of(in->base, (size_t)n));
}

static void read_or_not(struct tcp_conn *c)
{
    bool want = c->is_up && !c->paused && !c->closing;
    if (want == c->reading || c->closing)
        return;
    c->reading = want;
    if (want)
        CHECK(uv_read_start((uv_stream_t *)&c->handle, give_room, was_read) == 0);
    else
        uv_read_stop((uv_stream_t *)&c->handle);
}

static void now_up(struct tcp_conn *c)
{
    c->is_up = true;
    uv_tcp_nodelay(&c->handle, 1);
    read_or_not(c);
}

/* -- dialling -- */

static void connected(uv_connect_t *request, int status)
{
    struct tcp_conn *c = request->data;
    if (c->closing)
        return;
    if (status < 0) {
        conn_fail(c, status);
        return;
    }
    now_up(c);
    if (c->base.calls && c->base.calls->up)
        c->base.calls->up(c->base.arg, &c->base);
}

static void looked_up(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    struct tcp_conn *c = request->data;
    c->looking = false;
    if (c->closing) {
        uv_freeaddrinfo(found);
        conn_reap(c);
        return;
    }
    if (status == 0) {
        c->connect.data = c;
        status = uv_tcp_connect(&c->connect, &c->handle, found->ai_addr, connected);
    }
    uv_freeaddrinfo(found);
    if (status < 0)
        conn_fail(c, status);
}

static struct conn *tcp_dial(struct transport *base, const struct endpoint *to, const struct conn_calls *calls,
                             void *arg)
{
    struct tcp *t = (struct tcp *)base;
    struct tcp_conn *c = conn_create(t);
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct endpoint port = {.port = to->port};
    char text[ENDPOINT_TEXT_ROOM];
    endpoint_print(&port, text); /* ":PORT" */
    conn_own(&c->base, calls, arg);
    c->lookup.data = c;
    c->looking = true;
    /* Fails only without memory, or for a name longer than 255 bytes, which endpoint_parse refuses. */
    CHECK(uv_getaddrinfo(t->loop, &c->lookup, looked_up, to->host, text + 1, &hints) == 0);
    return &c->base;
}

/* -- writing, pausing, closing -- */

static void was_written(uv_write_t *request, int status)
{
    struct tcp_conn *c = request->data;
    c->writing = false;
    if (c->closing)
        return;
    if (status < 0) {
        conn_fail(c, status);
        return;
    }
    buf_reset(&c->kept);
    if (c->base.calls)
        c->base.calls->room(c->base.arg, &c->base);
}

static size_t tcp_write(struct conn *base, struct bytes out)
{
    struct tcp_conn *c = (struct tcp_conn *)base;
    if (c->closing || !c->is_up || c->writing)
        return 0;
    uv_buf_t whole = uv_buf_init((char *)(uintptr_t)out.p, (unsigned)out.n);
    int n = uv_try_write((uv_stream_t *)&c->handle, &whole, 1);
    size_t done = n > 0 ? (size_t)n : 0;
    if (done == out.n)
        return out.n;
    buf_reset(&c->kept);
    buf_add(&c->kept, out.p + done, out.n - done);
    uv_buf_t rest = uv_buf_init((char *)c->kept.p, (unsigned)c->kept.n);
    c->write.data = c;
    /* A broken connection comes as a failed callback. */
    if (uv_write(&c->write, (uv_stream_t *)&c->handle, &rest, 1, was_written) != 0)
        return 0;
    c->writing = true;
    return out.n;
}

static void tcp_pause(struct conn *base, bool paused)
{
    struct tcp_conn *c = (struct tcp_conn *)base;
    c->paused = paused;
    read_or_not(c);
}

static void tcp_close(struct conn *base, struct bytes last)
{
    struct tcp_conn *c = (struct tcp_conn *)base;
    if (last.n && c->is_up && !c->writing && !c->closing) {
        uv_buf_t b = uv_buf_init((char *)(uintptr_t)last.p, (unsigned)last.n);
        uv_try_write((uv_stream_t *)&c->handle, &b, 1);
    }
    conn_shut(c);
}

/* -- listening -- */

static void print_peer(const uv_tcp_t *handle, char text[ENDPOINT_TEXT_ROOM])
{
    struct sockaddr_storage a;
    int n = sizeof a;
    struct endpoint e = {.host = "?"}, settled;
    if (uv_tcp_getpeername(handle, (struct sockaddr *)&a, &n) == 0) {
        uv_ip_name((struct sockaddr *)&a, e.host, sizeof e.host);
        e.port = ntohs(a.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&a)->sin6_port
                                               : ((struct sockaddr_in *)&a)->sin_port);
    }
    endpoint_print(&e, text);
    if (endpoint_parse(text, &settled, NULL) == ERR_OK) /* an address of IPv4 comes as one within IPv6 */
        endpoint_print(&settled, text);
}

static void take(struct tcp *t)
{
    uv_stream_t *listener = (uv_stream_t *)t->listener;
    char from[ENDPOINT_TEXT_ROOM];
    struct tcp_conn *c = conn_create(t);
    if (uv_accept(listener, (uv_stream_t *)&c->handle) != 0) {
        conn_shut(c);
        return;
    }
    print_peer(&c->handle, from);
    now_up(c);
    t->accept(t->accept_arg, &c->base, from);
}

static void next_turn(uv_timer_t *timer)
{
    struct tcp *t = timer->data;
    t->accepted = 0;
    if (!t->accept_waits)
        return;
    t->accept_waits = false;
    uv_timer_start(timer, next_turn, 0, 0);
    t->accepted = 1;
    take(t);
}

/* After so many the next one is left with libuv, which then comes back to its loop, to timers and to other connections.
 */
static void came_in(uv_stream_t *listener, int status)
{
    struct tcp *t = listener->data;
    if (status < 0)
        return; /* out of descriptors, or it went away again */
    if (t->accepted++ == 0)
        uv_timer_start(t->accepts, next_turn, 0, 0);
    t->accept_waits = t->accepted > ACCEPTS_TURN;
    if (!t->accept_waits)
        take(t);
}

/* Of the listener and of its timer. */
static void listener_closed(uv_handle_t *handle)
{
    struct tcp *t = handle->data;
    free(handle);
    release(t);
}

static void tcp_unlisten(struct transport *base)
{
    struct tcp *t = (struct tcp *)base;
    if (t->listener) {
        uv_close((uv_handle_t *)t->listener, listener_closed);
        uv_close((uv_handle_t *)t->accepts, listener_closed);
    }
    t->listener = NULL;
    t->accepts = NULL;
    t->accepted = 0;
    t->accept_waits = false;
}

static int resolve_here(uv_loop_t *loop, const struct endpoint *at, struct sockaddr_storage *out)
{
    const char *host = at->host[0] ? at->host : "0.0.0.0";
    if (uv_ip4_addr(host, at->port, (struct sockaddr_in *)out) == 0 ||
        uv_ip6_addr(host, at->port, (struct sockaddr_in6 *)out) == 0)
        return 0;
    uv_getaddrinfo_t request;
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    int status = uv_getaddrinfo(loop, &request, NULL, host, NULL, &hints);
    if (status != 0)
        return status;
    memcpy(out, request.addrinfo->ai_addr, request.addrinfo->ai_addrlen);
    uv_freeaddrinfo(request.addrinfo);
    if (out->ss_family == AF_INET6)
        ((struct sockaddr_in6 *)out)->sin6_port = htons(at->port);
    else
        ((struct sockaddr_in *)out)->sin_port = htons(at->port);
    return 0;
}

static enum err tcp_listen(struct transport *base, const struct endpoint *at, transport_accept_fn fn, void *arg,
                           uint16_t *port, struct note *note)
{
    struct tcp *t = (struct tcp *)base;
    struct sockaddr_storage here = {0};
    char text[ENDPOINT_TEXT_ROOM];
    CHECK(!t->listener);
    endpoint_print(at, text);
    uv_tcp_t *l = mem_new(sizeof *l);
    CHECK(uv_tcp_init(t->loop, l) == 0);
    l->data = t;
    t->accepts = mem_new(sizeof *t->accepts);
    CHECK(uv_timer_init(t->loop, t->accepts) == 0);
    t->accepts->data = t;
    t->alive += 2;
    t->listener = l;
    t->accept = fn;
    t->accept_arg = arg;
    int status = resolve_here(t->loop, at, &here);
    if (status == 0)
        status = uv_tcp_bind(l, (struct sockaddr *)&here, 0);
    if (status == 0)
        status = uv_listen((uv_stream_t *)l, BACKLOG, came_in);
    int n = sizeof here;
    if (status == 0)
        status = uv_tcp_getsockname(l, (struct sockaddr *)&here, &n);
    if (status != 0) {
        tcp_unlisten(base);
        return note_set(note, status == UV_EADDRINUSE ? ERR_EXISTS : ERR_IO, "cannot listen on %.200s: %s%s", text,
                        uv_strerror(status), status == UV_EADDRINUSE ? " (choose another port with --listen)" : "");
    }
    *port = ntohs(here.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&here)->sin6_port
                                             : ((struct sockaddr_in *)&here)->sin_port);
    return ERR_OK;
}

static void tcp_free(struct transport *base)
{
    struct tcp *t = (struct tcp *)base;
    tcp_unlisten(base);
    while (t->first) {
        t->first->base.calls = NULL;
        conn_shut(t->first);
    }
    t->freed = true;
    release(t);
}

static const struct transport_ops tcp_ops = {
    .listen = tcp_listen,
    .unlisten = tcp_unlisten,
    .dial = tcp_dial,
    .write = tcp_write,
    .pause = tcp_pause,
    .close = tcp_close,
    .free = tcp_free,
};

struct transport *transport_uv_open(struct uv_loop_s *loop)
{
    struct tcp *t = mem_new(sizeof *t);
    t->base.ops = &tcp_ops;
    t->loop = loop;
    t->alive = 1;
    return &t->base;
}
