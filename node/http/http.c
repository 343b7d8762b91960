/* libmicrohttpd on our loop: its epoll descriptor is watched, its timeouts become a timer.
 *
 * A connection whose request waits for its answer is suspended; libmicrohttpd then does not look at the
 * socket. Nor does it see an end of file that came together with the last bytes, since it asks for edges and
 * stops at a short read. So we watch every connection for its end ourselves (on_hangup). A connection that
 * sends no whole request head within HTTP_HEADER_MS is shut, trickled bytes or not. */
#include "node/http/http_in.h"

#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "node/http/http_head.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define SWEEP_MS 1000

static void run(struct http *h);
static void run_soon(struct http *h);

/* -- requests -- */

/* RFC 9112, section 3.2.2: http://HOST/PATH asks for the same as /PATH, of HOST, whatever the header says. */
static void read_target(struct http_request *r, const char *target)
{
    if (strncasecmp(target, "http://", 7) == 0) {
        const char *host = target + 7;
        size_t n = strcspn(host, "/?#");
        r->authority = mem_string(host);
        r->authority[n] = 0;
        target = host[n] == '/' ? host + n : "/";
    }
    r->path = mem_string(target);
}

static struct http_request *request_new(struct link *l, struct MHD_Connection *c, const char *method, const char *path)
{
    struct http *h = l->http;
    struct http_request *r = mem_new(sizeof *r);
    r->http = h;
    r->link = l;
    l->request = r;
    r->connection = c;
    r->method = mem_string(method);
    read_target(r, path);
    r->next = h->requests;
    if (r->next)
        r->next->prev = r;
    h->requests = r;
    return r;
}

static void request_free(struct http_request *r)
{
    if (r->prev)
        r->prev->next = r->next;
    else
        r->http->requests = r->next;
    if (r->next)
        r->next->prev = r->prev;
    r->link->request = NULL;
    if (r->response)
        MHD_destroy_response(r->response);
    buf_clear(&r->body);
    buf_clear(&r->headers);
    buf_clear(&r->out);
    free(r->method);
    free(r->path);
    free(r->authority);
    free(r);
}

static void tell_gone(struct http_request *r)
{
    if (r->gone)
        return;
    r->gone = true;
    bool owed = (r->phase == WAITING || r->phase == STREAMING) && !r->ended;
    if (owed && r->on_gone)
        r->on_gone(r->gone_arg, r);
}

void http_resume(struct http_request *r)
{
    if (!r->suspended)
        return;
    r->suspended = false;
    MHD_resume_connection(r->connection);
    run_soon(r->http);
}

static int connection_fd(struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info ? info->connect_fd : -1;
}

static void unwatch(struct link *l)
{
    if (l->is_watched)
        host_poll_cancel(l->http->host, l->fd);
    l->is_watched = false;
}

static bool is_at_end(int fd)
{
    char byte;
    ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

/* The client sends no more, which TCP shows alike for one that left and one that still reads. What it asked for whole
 * and is answered goes out to its end; for what is not answered yet there is nobody; and what is not whole never will
 * be, once libmicrohttpd has read all that came. */
static void on_hangup(void *arg, int fd, unsigned events)
{
    struct link *l = arg;
    struct http_request *r = l->request;
    (void)events;
    if (r && r->ended) {
        unwatch(l);
        return;
    }
    if (r && r->phase != RECEIVING)
        tell_gone(r);
    else if (!is_at_end(fd)) {
        run(l->http);
        return;
    }
    unwatch(l);
    shutdown(fd, SHUT_RDWR);
    if (r && r->suspended)
        http_resume(r);
    else
        run(l->http);
}

static void watch(struct link *l)
{
    if (!l->is_watched)
        l->is_watched = host_poll_set(l->http->host, l->fd, HOST_HANGUP, on_hangup, l) == ERR_OK;
}

void http_suspend(struct http_request *r)
{
    if (r->suspended)
        return;
    r->suspended = true;
    MHD_suspend_connection(r->connection);
}

/* -- what is let in -- */

static bool is_type(const char *type, const char *wanted)
{
    size_t n = strlen(wanted);
    return strncasecmp(type, wanted, n) == 0 && (type[n] == 0 || strchr("; \t", type[n]));
}

/* Types that a form of another page cannot have. */
static bool type_is_ours(const char *type)
{
    return type && (is_type(type, "application/json") || is_type(type, "application/octet-stream"));
}

/* Bodies are read as they come. */
static bool refuse_encoded(struct http_request *r)
{
    const char *encoding = http_header(r, "Content-Encoding");
    if (!encoding || strcasecmp(encoding, "identity") == 0)
        return false;
    http_add_header(r, "Accept-Encoding", "identity");
    http_reply_error(r, 415, "bad_encoding", "send the body as it is, without Content-Encoding");
    return true;
}

/* Keeps web pages out: a rebound name fails on Host, a cross-site form fails on the type. */
static bool refuse_foreign(struct http_request *r)
{
    if (r->http->is_unix)
        return false;
    if (!http_host_is_ours(r->http, r->link->fd, http_request_host(r))) {
        http_reply_error(r, 403, "bad_host",
                         "the Host header does not name this machine: use http://127.0.0.1, or tell it of the name "
                         "(http-name)");
        return true;
    }
    const char *type = http_header(r, "Content-Type");
    if (strcmp(r->method, "POST") == 0 && !type_is_ours(type)) {
        http_reply_error(r, 415, "bad_content_type",
                         "send Content-Type: application/json (application/octet-stream for bytes)");
        return true;
    }
    return false;
}

static void reply_too_large(struct http_request *r)
{
    char text[80];
    snprintf(text, sizeof text, "the body is over the limit of %u bytes", HTTP_BODY_MAX);
    http_reply_error(r, 413, "too_large", text);
}

static void reply_long_head(struct http_request *r, size_t n)
{
    char text[100];
    snprintf(text, sizeof text, "the request's line and fields have %zu bytes: at most %u are taken", n, HTTP_HEAD_MAX);
    http_reply_error(r, 431, "too_large", text);
}

static void dispatch(struct http_request *r)
{
    r->phase = WAITING;
    if (r->too_large)
        reply_too_large(r);
    else if (!refuse_foreign(r) && !refuse_encoded(r))
        r->http->handler(r->http->arg, r);
}

static struct link *link_new(struct http *h, int fd)
{
    struct link *l = mem_new(sizeof *l);
    *l = (struct link){.http = h, .fd = fd, .is_fresh = true, .since_ms = host_now_ms(h->host), .next = h->links};
    if (l->next)
        l->next->prev = l;
    h->links = l;
    l->is_near = h->is_unix || http_peer_is_near(fd);
    watch(l);
    return l;
}

static void link_free(struct link *l)
{
    unwatch(l);
    if (l->prev)
        l->prev->next = l->next;
    else
        l->http->links = l->next;
    if (l->next)
        l->next->prev = l->prev;
    free(l);
}

static struct link *link_of(struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    CHECK(info && info->socket_context);
    return info->socket_context;
}

static enum MHD_Result on_field(void *arg, enum MHD_ValueKind kind, const char *name, size_t name_n, const char *value,
                                size_t value_n)
{
    (void)kind;
    if (value)
        http_head_add(arg, name, name_n, value, value_n);
    return MHD_YES;
}

/* A body over the limit is read to its end, since a client that writes does not read; one that waits to be asked for
 * it (Expect), or says that it has far too much, is told at once. */
static bool is_hopeless(const struct http_request *r)
{
    const char *text = http_header(r, "Content-Length");
    unsigned long long length = text ? strtoull(text, NULL, 10) : 0;
    return length > HTTP_DRAIN_MAX || (length > HTTP_BODY_MAX && http_header(r, "Expect"));
}

/* The request's target as it came, before libmicrohttpd decodes it where it stands. */
static void *on_target(void *arg, const char *target, struct MHD_Connection *c)
{
    struct link *l = link_of(c);
    (void)arg;
    l->line = (struct http_line){
        .target = target, .target_end = target + strcspn(target, " \t"), .has_zero = strstr(target, "%00") != NULL};
    return NULL;
}

/* An answer before the body is read has libmicrohttpd close the connection behind it. */
static enum MHD_Result on_head(struct http_request *r, const char *version, const char *start)
{
    struct http_head head = {0};
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    struct http_line line = r->link->line;
    line.method = start;
    line.version = version;
    http_head_line(&head, &line);
    MHD_get_connection_values_n(r->connection, MHD_HEADER_KIND, on_field, &head);
    http_head_end(&head, info ? start + info->header_size : NULL);
    if (head.has_encoding && strcmp(version, "HTTP/1.1") != 0 && !head.fault)
        head.fault = "Transfer-Encoding needs HTTP/1.1";
    bool is_long = info && info->header_size > HTTP_HEAD_MAX;
    if (!head.fault && !is_long && !is_hopeless(r))
        return MHD_YES;
    r->phase = WAITING;
    if (is_long)
        reply_long_head(r, info->header_size);
    else if (head.fault)
        http_reply_error(r, 400, "bad_head", head.fault);
    else
        reply_too_large(r);
    r->queued = true;
    return MHD_queue_response(r->connection, r->status, r->response);
}

static enum MHD_Result on_access(void *arg, struct MHD_Connection *c, const char *path, const char *method,
                                 const char *version, const char *data, size_t *data_n, void **slot)
{
    struct http_request *r = *slot;
    (void)arg;
    if (!r) {
        struct link *l = link_of(c);
        l->is_fresh = false;
        *slot = r = request_new(l, c, method, path);
        return on_head(r, version, method); /* with which the head begins */
    }
    if (*data_n) {
        r->received += *data_n;
        r->too_large |= r->received > HTTP_BODY_MAX;
        if (!r->too_large)
            buf_add(&r->body, data, *data_n);
        *data_n = 0;
        return r->received > HTTP_DRAIN_MAX ? MHD_NO : MHD_YES;
    }
    if (r->phase == RECEIVING)
        dispatch(r);
    if (r->gone)
        return MHD_NO;
    if (r->response && !r->queued) {
        r->queued = true;
        return MHD_queue_response(c, r->status, r->response);
    }
    http_suspend(r);
    return MHD_YES;
}

static void on_completed(void *arg, struct MHD_Connection *c, void **slot, enum MHD_RequestTerminationCode how)
{
    struct http_request *r = *slot;
    (void)arg;
    (void)how;
    if (r) {
        tell_gone(r); /* a stream that HEAD asked for is complete before its end, too */
        request_free(r);
        watch(link_of(c));
    }
    *slot = NULL;
}

static void on_connection(void *arg, struct MHD_Connection *c, void **slot, enum MHD_ConnectionNotificationCode code)
{
    struct http *h = arg;
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        link_free(*slot);
        return;
    }
    int fd = connection_fd(c);
    *slot = link_new(h, fd);
    if (h->is_unix && !http_peer_is_ours(fd)) {
        log_event(LOG_ODD, "http", "stranger", "another user on the Unix socket");
        shutdown(fd, SHUT_RDWR);
    }
}

/* -- the loop -- */

static void on_timer(void *arg)
{
    run(arg);
}

/* MHD_run may call handlers, handlers may resume connections, and that asks for another run: never
 * nested, and repeated until nothing asked. */
static void run(struct http *h)
{
    if (h->running || h->closing) {
        h->run_again = true;
        return;
    }
    h->running = true;
    do {
        h->run_again = false;
        MHD_run(h->daemon);
    } while (h->run_again);
    h->running = false;
    MHD_UNSIGNED_LONG_LONG wait_ms;
    if (MHD_get_timeout(h->daemon, &wait_ms) == MHD_YES)
        host_timer_set(h->host, &h->timer, wait_ms < 60000 ? (uint64_t)wait_ms : 60000, on_timer, h);
}

/* In a later turn: whoever answers is in the middle of something, and a write that fails, or the next request on the
 * connection, would call it back. */
static void run_soon(struct http *h)
{
    if (h->running || h->closing)
        h->run_again = true;
    else
        host_timer_set(h->host, &h->timer, 0, on_timer, h);
}

static void on_epoll(void *arg, int fd, unsigned events)
{
    (void)fd;
    (void)events;
    run(arg);
}

static void on_sweep(void *arg)
{
    struct http *h = arg;
    uint64_t now_ms = host_now_ms(h->host);
    for (struct link *l = h->links; l; l = l->next)
        if (l->is_fresh && now_ms - l->since_ms > HTTP_HEADER_MS)
            shutdown(l->fd, SHUT_RDWR);
    host_timer_set(h->host, &h->sweep, SWEEP_MS, on_sweep, h);
    run(h);
}

static enum err start(struct http *h, const char *where, struct note *note)
{
    h->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_access, h, MHD_OPTION_LISTEN_SOCKET, h->listen_fd,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTIONS_MAX, MHD_OPTION_URI_LOG_CALLBACK, on_target, h,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_CONNECTION_BYTES, MHD_OPTION_CONNECTION_TIMEOUT, 75u,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, h, MHD_OPTION_NOTIFY_CONNECTION, on_connection, h, MHD_OPTION_END);
    if (!h->daemon)
        return note_set(note, ERR_IO, "cannot serve HTTP on %s", where);
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    CHECK(info);
    if (host_poll_set(h->host, info->epoll_fd, HOST_READABLE, on_epoll, h) != ERR_OK)
        return note_set(note, ERR_IO, "cannot watch the HTTP sockets of %s", where);
    h->epoll_fd = info->epoll_fd;
    host_timer_set(h->host, &h->sweep, SWEEP_MS, on_sweep, h);
    return ERR_OK;
}

static struct http *http_new(struct host *host, http_handler_fn handler, void *arg)
{
    struct http *h = mem_new(sizeof *h);
    h->host = host;
    h->handler = handler;
    h->arg = arg;
    h->listen_fd = h->epoll_fd = -1;
    return h;
}

enum err http_open_tcp(struct host *host, const char *listen_at, http_handler_fn handler, void *arg, struct http **out,
                       struct note *note)
{
    struct http *h = http_new(host, handler, arg);
    enum err e = http_listen_tcp(listen_at, &h->listen_fd, &h->port, note);
    if (e == ERR_OK)
        e = start(h, listen_at, note);
    if (e != ERR_OK) {
        http_close(h);
        return e;
    }
    *out = h;
    return ERR_OK;
}

enum err http_open_unix(struct host *host, const char *path, http_handler_fn handler, void *arg, struct http **out,
                        struct note *note)
{
    struct http *h = http_new(host, handler, arg);
    h->is_unix = true;
    enum err e = http_listen_unix(path, &h->listen_fd, note);
    if (e == ERR_OK) {
        h->unix_path = mem_string(path);
        e = start(h, path, note);
    }
    if (e != ERR_OK) {
        http_close(h);
        return e;
    }
    *out = h;
    return ERR_OK;
}

void http_close(struct http *h)
{
    if (!h)
        return;
    h->closing = true;
    for (struct http_request *r = h->requests; r; r = r->next) {
        tell_gone(r);
        if (r->suspended) {
            r->suspended = false;
            MHD_resume_connection(r->connection);
        }
    }
    if (h->epoll_fd >= 0)
        host_poll_cancel(h->host, h->epoll_fd);
    host_timer_cancel(h->host, &h->timer);
    host_timer_cancel(h->host, &h->sweep);
    if (h->daemon)
        MHD_stop_daemon(h->daemon);
    else if (h->listen_fd >= 0)
        close(h->listen_fd);
    if (h->unix_path)
        unlink(h->unix_path);
    for (unsigned i = 0; i < h->names_n; i++)
        free(h->name[i]);
    free(h->unix_path);
    free(h);
}

void http_add_name(struct http *h, const char *name)
{
    CHECK(h->names_n < HTTP_NAMES_MAX);
    h->name[h->names_n++] = mem_string(name);
}

unsigned http_connections(const struct http *h)
{
    const union MHD_DaemonInfo *info = h ? MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS) : NULL;
    return info ? info->num_connections : 0;
}

unsigned http_port(const struct http *h)
{
    return h->port;
}
