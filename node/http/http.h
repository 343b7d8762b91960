/* HTTP/1.1 for the API: libmicrohttpd on the node's loop, behind an interface that shows nothing of it.
 *
 * One request reaches the handler when its body is whole. The handler answers at once or later:
 *
 *     http_reply(r, status, type, body)                          one answer, then r is gone
 *     http_stream_start(r, status, type); http_stream_put...; http_stream_end(r)
 *
 * A request that is kept is valid until it was answered or ended, or until its `gone` callback ran: the
 * client hung up, nothing more may be said, r must be forgotten. It never runs from within a call of these functions,
 * but for http_close. All on the loop's thread. A client that only closes its writing side has what was answered sent
 * to its end, but has hung up from what is still to be answered or streamed: TCP shows no difference, and a job must
 * not go on for nobody.
 *
 *     received --handler--> waiting --reply--> answered
 *                             |  \--stream_start--> streaming --stream_end--> answered
 *                             \--client hangs up--> gone <--/
 *
 * Bounds: HTTP_* in base/limits.h. Two doors, one server each: TCP, where the Host header must name this machine (a
 * loopback name, the address that was connected to, or one that it was told of) and a POST must be application/json (so
 * that no web page can send one unasked), and a Unix socket, where only processes of our own user (or root) are let in.
 */
#ifndef KITH_NODE_HTTP_H
#define KITH_NODE_HTTP_H

#include "base/bytes.h"
#include "node/host/host.h"

struct http;
struct http_request;

typedef void (*http_handler_fn)(void *arg, struct http_request *r);
typedef void (*http_gone_fn)(void *arg, struct http_request *r);

/* Listens on HOST:PORT (numeric or localhost). ERR_BUSY when the port is taken. */
enum err http_open_tcp(struct host *host, const char *listen_at, http_handler_fn handler, void *arg, struct http **out,
                       struct note *note) MUST_USE;
/* Listens on a Unix socket at `path`, replacing a dead one. */
enum err http_open_unix(struct host *host, const char *path, http_handler_fn handler, void *arg, struct http **out,
                        struct note *note) MUST_USE;
/* The Host header may also be this name, in any case of letters. At most HTTP_NAMES_MAX. */
void http_add_name(struct http *h, const char *name);
/* Ends every connection; `gone` callbacks run. NULL is fine. */
void http_close(struct http *h);
/* NULL has none. */
unsigned http_connections(const struct http *h);
/* The TCP port that was bound, or 0. */
unsigned http_port(const struct http *h);

const char *http_method(const struct http_request *r);
/* Without the query; percent-decoded. */
const char *http_path(const struct http_request *r);
/* NULL when absent. Borrowed for the request's life. */
const char *http_query(const struct http_request *r, const char *name);
const char *http_header(const struct http_request *r, const char *name);
struct bytes http_body(const struct http_request *r);
/* Came through the Unix socket: from this machine's own user. */
bool http_is_local(const struct http_request *r);
/* Came from this node's own user, on this machine by a name of this machine, and by no proxy or page of another site
 * that says so. */
bool http_is_near(const struct http_request *r);

void http_on_gone(struct http_request *r, http_gone_fn gone, void *arg);
/* Before the answer; name and value are copied. */
void http_add_header(struct http_request *r, const char *name, const char *value);
void http_reply(struct http_request *r, unsigned status, const char *type, struct bytes body);
/* {"error":{"message","type","param","code"}}, OpenAI's form; `param`: the field of the request that it is about, or
 * NULL. 429 says with Retry-After when to come again. */
void http_put_error(struct buf *b, unsigned status, const char *code, const char *param, const char *message);
void http_reply_fault(struct http_request *r, unsigned status, const char *code, const char *param,
                      const char *message);
/* Of no field. */
void http_reply_error(struct http_request *r, unsigned status, const char *code, const char *message);

void http_stream_start(struct http_request *r, unsigned status, const char *type);
/* False when the client reads so slowly that its bound on waiting bytes is passed: end the stream. */
bool http_stream_put(struct http_request *r, struct bytes part) MUST_USE;
void http_stream_end(struct http_request *r);
/* Bytes that the client has not taken yet; and whom to ask for more when it has them all (put or end, or neither). */
size_t http_stream_waiting(const struct http_request *r);
void http_on_drained(struct http_request *r, http_gone_fn drained, void *arg);

#endif
