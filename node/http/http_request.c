/* A request as its handler sees it: what it asks, and its answer, whole or as a stream. */
#include "node/http/http_in.h"

#include "base/log.h"
#include "base/mem.h"

#include <microhttpd.h>
#include <string.h>
#include <strings.h>

#define STREAM_WAITING_MAX (4u << 20) /* bytes a slow reader may leave waiting when more comes */

const char *http_method(const struct http_request *r)
{
    return r->method;
}

const char *http_path(const struct http_request *r)
{
    return r->path;
}

const char *http_query(const struct http_request *r, const char *name)
{
    return MHD_lookup_connection_value(r->connection, MHD_GET_ARGUMENT_KIND, name);
}

const char *http_header(const struct http_request *r, const char *name)
{
    return MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name);
}

struct bytes http_body(const struct http_request *r)
{
    return bytes_of_buf(&r->body);
}

bool http_is_local(const struct http_request *r)
{
    return r->http->is_unix;
}

const char *http_request_host(const struct http_request *r)
{
    return r->authority ? r->authority : http_header(r, "Host");
}

/* What proxies put in, so that we do not take what they pass on for their own. Some do so only when told to. */
static bool is_from_proxy(const struct http_request *r)
{
    static const char *const names[] = {"X-Forwarded-For",   "Forwarded", "X-Real-IP",        "X-Forwarded-Host",
                                        "X-Forwarded-Proto", "Via",       "CF-Connecting-IP", "True-Client-IP"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (http_header(r, names[i]))
            return true;
    return false;
}

/* Browsers say of a request which page it is made for. What pages may send without asking, they would send to us; to
 * them another port of this machine is the same site, and another user of it may serve there. */
static bool is_from_foreign_page(const struct http_request *r)
{
    const char *origin = http_header(r, "Origin"), *site = http_header(r, "Sec-Fetch-Site");
    const char *host = origin ? strstr(origin, "://") : NULL;
    if (origin && !(host && http_host_is_ours(r->http, r->link->fd, host + 3)))
        return true;
    return site && strcasecmp(site, "same-origin") != 0 && strcasecmp(site, "none") != 0;
}

bool http_is_near(const struct http_request *r)
{
    return r->http->is_unix || (r->link->is_near && http_host_is_loopback(http_request_host(r)) && !is_from_proxy(r) &&
                                !is_from_foreign_page(r));
}

void http_on_gone(struct http_request *r, http_gone_fn gone, void *arg)
{
    r->on_gone = gone;
    r->gone_arg = arg;
}

/* -- answers -- */

void http_add_header(struct http_request *r, const char *name, const char *value)
{
    buf_add(&r->headers, name, strlen(name) + 1);
    buf_add(&r->headers, value, strlen(value) + 1);
}

/* Who has a job's id has given that; else a number for this answer alone, with which the log names a failure. */
static void name_response(const struct http_request *r, struct MHD_Response *response, unsigned status)
{
    uint8_t raw[16];
    char id[2 * sizeof raw + 1];
    host_random(r->http->host, raw, sizeof raw);
    hex_put(id, raw, sizeof raw);
    MHD_add_response_header(response, "X-Request-Id", id);
    if (status >= 400)
        log_event(LOG_DEBUG, "http", "refused", "status=%u request=%s", status, id);
}

static void set_response(struct http_request *r, struct MHD_Response *response, unsigned status, const char *type)
{
    CHECK(response && !r->response);
    r->response = response;
    r->status = status;
    MHD_add_response_header(response, "Content-Type", type);
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(response, "Cross-Origin-Resource-Policy", "same-origin");
    bool is_cached = false, is_named = false;
    for (size_t at = 0; at < r->headers.n;) {
        const char *name = (const char *)r->headers.p + at;
        const char *value = name + strlen(name) + 1;
        MHD_add_response_header(response, name, value);
        is_cached |= strcasecmp(name, "Cache-Control") == 0;
        is_named |= strcasecmp(name, "X-Request-Id") == 0;
        at = (size_t)(value + strlen(value) + 1 - (const char *)r->headers.p);
    }
    if (!is_cached)
        MHD_add_response_header(response, "Cache-Control", "no-store");
    if (!is_named)
        name_response(r, response, status);
}

void http_reply(struct http_request *r, unsigned status, const char *type, struct bytes body)
{
    CHECK(r->phase == WAITING);
    r->phase = ANSWERED;
    r->ended = true;
    void *copy = (void *)(uintptr_t)(body.n ? body.p : (const uint8_t *)"");
    set_response(r, MHD_create_response_from_buffer(body.n, copy, MHD_RESPMEM_MUST_COPY), status, type);
    http_resume(r);
}

static ssize_t stream_read(void *arg, uint64_t at, char *to, size_t room)
{
    struct http_request *r = arg;
    (void)at;
    if (r->gone)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (r->out.n == 0 && !r->ended && r->on_drained)
        r->on_drained(r->drained_arg, r);
    if (r->out.n == 0) {
        if (r->ended)
            return MHD_CONTENT_READER_END_OF_STREAM;
        http_suspend(r);
        return 0;
    }
    size_t n = r->out.n < room ? r->out.n : room;
    memcpy(to, r->out.p, n);
    buf_drop(&r->out, n);
    return (ssize_t)n;
}

void http_stream_start(struct http_request *r, unsigned status, const char *type)
{
    CHECK(r->phase == WAITING);
    r->phase = STREAMING;
    /* Of a stream, libmicrohttpd would send the last chunk to HEAD, too. */
    struct MHD_Response *response =
        strcmp(r->method, "HEAD") == 0
            ? MHD_create_response_from_buffer(0, "", MHD_RESPMEM_PERSISTENT)
            : MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16384, stream_read, r, NULL);
    set_response(r, response, status, type);
    http_resume(r);
}

bool http_stream_put(struct http_request *r, struct bytes part)
{
    CHECK(r->phase == STREAMING && !r->ended);
    if (r->out.n > STREAM_WAITING_MAX)
        return false;
    buf_add(&r->out, part.p, part.n);
    http_resume(r);
    return true;
}

void http_stream_end(struct http_request *r)
{
    CHECK(r->phase == STREAMING && !r->ended);
    r->ended = true;
    http_resume(r);
}

size_t http_stream_waiting(const struct http_request *r)
{
    return r->out.n;
}

void http_on_drained(struct http_request *r, http_gone_fn drained, void *arg)
{
    r->on_drained = drained;
    r->drained_arg = arg;
}
