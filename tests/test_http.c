/* The server of the API before strangers' bytes: llhttp's requests, and clients that close their writing side. */
#include "node/http/http.h"

#include "base/file.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "tests/support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LATE_MS 3000 /* long before any of the server's own deadlines */

struct meeting {
    struct host *host;
    struct http *http;
    struct timer late;
    char *dir, path[100];
    struct http_request *kept; /* by the handler, of /wait */
    struct buf answer;
    int fd;
    unsigned served, gone;
    bool is_closed, is_late;
};

static void was_gone(void *arg, struct http_request *r)
{
    struct meeting *m = arg;
    assert_ptr_equal(r, m->kept);
    m->kept = NULL;
    m->gone++;
}

static void serve(void *arg, struct http_request *r)
{
    struct meeting *m = arg;
    m->served++;
    if (strcmp(http_path(r), "/wait") == 0) {
        m->kept = r;
        http_on_gone(r, was_gone, m);
        return;
    }
    if (strcmp(http_path(r), "/named") == 0)
        http_add_header(r, "X-Request-Id", "abc");
    http_reply_error(r, 404, "not_found", "there is nothing here");
}

static int meeting_begin(void **state)
{
    struct meeting *m = mem_new(sizeof *m);
    struct note note;
    m->host = host_uv_open(&note);
    m->dir = test_dir_new();
    assert_true(snprintf(m->path, sizeof m->path, "%s/http", m->dir) < (int)sizeof m->path);
    assert_int_equal(http_open_unix(m->host, m->path, serve, m, &m->http, &note), ERR_OK);
    *state = m;
    return 0;
}

static int meeting_end(void **state)
{
    struct meeting *m = *state;
    http_close(m->http);
    host_uv_close(m->host);
    buf_clear(&m->answer);
    test_dir_remove(m->dir);
    free(m);
    return 0;
}

static void too_late(void *arg)
{
    struct meeting *m = arg;
    m->is_late = true;
    host_uv_stop(m->host);
}

static void client_reads(void *arg, int fd, unsigned events)
{
    struct meeting *m = arg;
    char part[4096];
    ssize_t n;
    (void)events;
    while ((n = recv(fd, part, sizeof part, MSG_DONTWAIT)) > 0)
        buf_add(&m->answer, part, (size_t)n);
    if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        m->is_closed = true;
        host_uv_stop(m->host);
    }
}

static void client_connect(struct meeting *m)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(at.sun_path, sizeof at.sun_path, "%s", m->path);
    m->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(m->fd, (struct sockaddr *)&at, sizeof at), 0);
    buf_reset(&m->answer);
    m->is_closed = m->is_late = false;
    assert_int_equal(host_poll_set(m->host, m->fd, HOST_READABLE, client_reads, m), ERR_OK);
}

static void client_send(struct meeting *m, struct bytes b)
{
    assert_int_equal(send(m->fd, b.p, b.n, MSG_NOSIGNAL), (ssize_t)b.n);
}

/* Until the server closed, or for so long. */
static void meet(struct meeting *m, uint64_t at_most_ms)
{
    host_timer_set(m->host, &m->late, at_most_ms, too_late, m);
    if (!m->is_closed)
        host_uv_run(m->host);
    host_timer_cancel(m->host, &m->late);
}

static void client_close(struct meeting *m)
{
    host_poll_cancel(m->host, m->fd);
    close(m->fd);
}

/* Sends all of it at once, closes the writing side, and gives the answer's status: 0 for none, -1 when the server
 * kept the connection. */
static int ask(struct meeting *m, struct bytes request)
{
    int status = 0;
    client_connect(m);
    client_send(m, request);
    shutdown(m->fd, SHUT_WR);
    meet(m, LATE_MS);
    client_close(m);
    if (!m->is_closed)
        return -1;
    return sscanf(buf_text(&m->answer), "HTTP/1.%*1[01] %3d", &status) == 1 ? status : 0;
}

static int ask_text(struct meeting *m, const char *request)
{
    return ask(m, bytes_of((const uint8_t *)request, strlen(request)));
}

static void a_closed_writing_side_is_answered(void **state)
{
    struct meeting *m = *state;
    assert_int_equal(ask_text(m, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"), 404);
    assert_int_equal(ask_text(m, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"), 404);
    assert_int_equal(ask_text(m, "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"), 404);
    assert_int_equal(m->served, 4);
}

static void half_a_request_is_dropped_at_once(void **state)
{
    struct meeting *m = *state;
    static const char *const parts[] = {
        "",
        "GET",
        "GET / HTTP/1.1\r\nHost: x\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabc",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HT",
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        assert_int_not_equal(ask_text(m, parts[i]), -1);
    assert_int_equal(m->served, 1);
    assert_int_equal(http_connections(m->http), 0);
}

/* One that has asked and then only closes its writing side has hung up as well: TCP shows no difference. */
static void who_hangs_up_is_told_of(void **state)
{
    struct meeting *m = *state;
    assert_int_equal(ask_text(m, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
    assert_int_equal(m->gone, 1);
    client_connect(m);
    client_send(m, bytes_of_text("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n"));
    meet(m, 50);
    assert_non_null(m->kept);
    client_close(m);
    m->is_closed = false;
    meet(m, 50);
    assert_int_equal(m->gone, 2);
    assert_int_equal(http_connections(m->http), 0);
}

/* Nobody is called back from within a call: who streams may go on using what `gone` would free. */
static void a_put_calls_nobody_back(void **state)
{
    struct meeting *m = *state;
    client_connect(m);
    client_send(m, bytes_of_text("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n"));
    meet(m, 50);
    client_close(m);
    http_stream_start(m->kept, 200, "text/plain");
    for (int i = 0; i < 3; i++) {
        assert_non_null(m->kept);
        assert_true(http_stream_put(m->kept, bytes_of((const uint8_t *)"abc", 3)));
    }
    assert_int_equal(m->gone, 0);
    m->is_closed = false;
    meet(m, 50);
    assert_int_equal(m->gone, 1);
    assert_int_equal(http_connections(m->http), 0);
}

/* An answer over what a socket takes at once, to a client that has closed its writing side and reads on. */
static void a_long_answer_is_sent_to_its_end(void **state)
{
    struct meeting *m = *state;
    struct buf body = {0};
    buf_reserve(&body, 4u << 20);
    body.n = 4u << 20;
    memset(body.p, 'a', body.n);
    client_connect(m);
    client_send(m, bytes_of_text("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n"));
    meet(m, 50);
    host_poll_cancel(m->host, m->fd);
    http_reply(m->kept, 200, "text/plain", bytes_of_buf(&body));
    shutdown(m->fd, SHUT_WR);
    meet(m, 50);
    assert_int_equal(host_poll_set(m->host, m->fd, HOST_READABLE, client_reads, m), ERR_OK);
    meet(m, LATE_MS);
    assert_true(m->is_closed);
    assert_true(m->answer.n > body.n);
    client_close(m);
    buf_clear(&body);
}

/* One piece may be long where nothing waits; what comes while much waits ends the stream, whose reader is too slow, and
 * what was put before is sent. */
static void a_slow_reader_is_given_up(void **state)
{
    struct meeting *m = *state;
    struct buf part = {0};
    buf_reserve(&part, 6u << 20);
    part.n = 6u << 20;
    memset(part.p, 'a', part.n);
    client_connect(m);
    client_send(m, bytes_of_text("GET /wait HTTP/1.0\r\nHost: x\r\n\r\n"));
    meet(m, 50);
    host_poll_cancel(m->host, m->fd);
    http_stream_start(m->kept, 200, "text/plain");
    assert_true(http_stream_put(m->kept, bytes_of_buf(&part)));
    meet(m, 50);
    assert_false(http_stream_put(m->kept, bytes_of_text("b")));
    http_stream_end(m->kept);
    assert_int_equal(host_poll_set(m->host, m->fd, HOST_READABLE, client_reads, m), ERR_OK);
    meet(m, LATE_MS);
    assert_true(m->is_closed);
    assert_true(m->answer.n > part.n && m->answer.p[m->answer.n - 1] == 'a');
    client_close(m);
    buf_clear(&part);
}

/* RFC 9112: what leaves a doubt about where a field or the body ends is refused, and no handler sees it, nor what
 * another reader would take for the next request. */
static void doubtful_heads_are_refused(void **state)
{
    struct meeting *m = *state;
    static const char *const fields[] = {
        "Content-Length : 3\r\n",
        "Content-Length\t: 3\r\n",
        " Content-Length: 3\r\n",
        "Content-Length: 3\r\nContent-Length: 4\r\n",
        "Content-Length: 3\r\nContent-Length: 3\r\n",
        "Content-Length: 3, 3\r\n",
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding:\r\n",
        "Transfer-Encoding:\x0b"
        "chunked\r\n",
        "Content-Length: -3\r\n",
        "Content-Length: +3\r\n",
        "Content-Length: 0x3\r\n",
        "Content-Length: 3 0\r\n",
        "Content-Length:\r\n",
        "Content-Length: \r\n 3\r\n",
        "Content-Length: 3\r\n 0\r\n",
        "Content: 3\r\n -Length\r\n",
        "Content-Length: 3\r\n\t\r\n",
        "X: a\r\n Content-Length: 3\r\n",
        "X: a\r\n b\r\n c\r\nContent-Length: 3\r\n",
        "X: a\rContent-Length: 3\r\n",
        "X: a\r\rContent-Length: 3\r\n",
        "X:\nContent-Length: 3\r\n",
        "X: a\nContent-Length: 3\r\n",
        "X\r: a\r\nContent-Length: 3\r\n",
        "X y: a\r\nContent-Length: 3\r\n",
        "X\x01: a\r\nContent-Length: 3\r\n",
        "X: a\x7f\r\nContent-Length: 3\r\n",
        ": a\r\nContent-Length: 3\r\n",
        "X: a\r\nContent-Length: 3\r\n: a\r\n",
        "no colon\r\nContent-Length: 3\r\n",
        "Host: y\r\nContent-Length: 3\r\n",
        "Content-Type: a/b\r\nContent-Length: 3\r\nContent-Type: a/b\r\n",
        "Authorization: a\r\nAuthorization: b\r\nContent-Length: 3\r\n",
        "Origin: a\r\nContent-Length: 3\r\nOrigin: b\r\n",
        "Sec-Fetch-Site: none\r\nSec-Fetch-Site: cross-site\r\nContent-Length: 3\r\n",
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        struct buf b = {0};
        buf_add_format(&b, "POST / HTTP/1.1\r\nHost: x\r\n%s\r\nabcGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n",
                       fields[i]);
        int status = ask(m, bytes_of_buf(&b));
        if (status != 400 || m->served)
            print_error("%s: status %d, served %u\n", fields[i], status, m->served);
        assert_int_equal(status, 400);
        assert_int_equal(m->served, 0);
        buf_clear(&b);
    }
}

/* A NUL ends a path for whoever reads it as a text of C, and not for a proxy that let it pass. */
static void doubtful_request_lines_are_refused(void **state)
{
    struct meeting *m = *state;
    static const char zero[] = "GET /named\0x HTTP/1.1\r\nHost: x\r\n\r\n";
    static const char *const lines[] = {
        "GET /named%00 HTTP/1.1\r\n", "GET /named%00/../x HTTP/1.1\r\n", "GET /named?a=b%00c HTTP/1.1\r\n",
        "GET  /named HTTP/1.1\r\n",   "GET /named  HTTP/1.1\r\n",
    };
    assert_int_equal(ask(m, bytes_of((const uint8_t *)zero, sizeof zero - 1)), 400);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct buf b = {0};
        buf_add_format(&b, "%sHost: x\r\n\r\n", lines[i]);
        assert_int_equal(ask(m, bytes_of_buf(&b)), 400);
        buf_clear(&b);
    }
    assert_int_equal(m->served, 0);
}

static void a_head_with_a_nul_is_refused(void **state)
{
    struct meeting *m = *state;
    static const char after[] = "POST / HTTP/1.1\r\nHost: x\0y\r\nContent-Length: 3\r\n\r\nabc";
    static const char before[] = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\0003\r\n\r\nabc";
    static const char first[] = "POST / HTTP/1.1\r\nHost: x\r\n\0Y: Z\r\nContent-Length: 3\r\n\r\nabc";
    static const char within[] = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length\0: 3\r\n\r\nabc";
    assert_int_equal(ask(m, bytes_of((const uint8_t *)after, sizeof after - 1)), 400);
    assert_int_equal(ask(m, bytes_of((const uint8_t *)before, sizeof before - 1)), 400);
    assert_int_equal(ask(m, bytes_of((const uint8_t *)first, sizeof first - 1)), 400);
    assert_int_equal(ask(m, bytes_of((const uint8_t *)within, sizeof within - 1)), 400);
    /* As many as look like two line ends. */
    for (unsigned n = 1; n < 12; n++) {
        static const char name[] = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3", rest[] = "9\r\n\r\nabc",
                          zeros[12] = {0};
        struct buf b = {0};
        buf_add(&b, name, sizeof name - 1);
        buf_add(&b, zeros, n);
        buf_add(&b, rest, sizeof rest - 1);
        assert_int_equal(ask(m, bytes_of_buf(&b)), 400);
        buf_clear(&b);
    }
    assert_int_equal(m->served, 0);
}

static void bodies_without_end_are_refused(void **state)
{
    struct meeting *m = *state;
    assert_int_equal(ask_text(m, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551615\r\n\r\nabc"), 413);
    assert_int_equal(ask_text(m, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551616\r\n\r\nabc"), 413);
    assert_int_equal(
        ask_text(m, "POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"), 400);
    assert_int_equal(
        ask_text(m, "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 8388609\r\n\r\n"), 413);
    assert_int_equal(m->served, 0);
}

/* What looks odd and is plain all the same. */
static void plain_heads_are_answered(void **state)
{
    struct meeting *m = *state;
    static const char *const fields[] = {
        "content-length:3\r\n",
        "Content-Length: \t 3\r\n",
        "CONTENT-LENGTH: 003\r\n",
        "X:\r\nY: \r\nContent-Length: 3\r\n",
        "X: a: b\tc \xc3\xa4\r\nContent-Length: 3\r\n",
        "X: a\r\nX: b\r\nx!#$%&'*+-.^_`|~9: c\r\nContent-Length: 3\r\n",
        "Cookie: a=b; c=d\r\nContent-Length: 3\r\nZ: y\r\n",
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        struct buf b = {0};
        buf_add_format(&b, "POST /?a=b&c HTTP/1.1\r\nHost: x\r\n%s\r\nabcGET / HTTP/1.0\r\n\r\n", fields[i]);
        assert_int_equal(ask(m, bytes_of_buf(&b)), 404);
        assert_int_equal(m->served, 2 * (i + 1));
        buf_clear(&b);
    }
    assert_int_equal(ask_text(m, "POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\nHost: "
                                 "x\r\n\r\n3\r\nabc\r\n0\r\nContent-Length: 9\r\n\r\n"),
                     404);
}

/* A head that comes in parts, over more than one of the server's buffers. */
static void a_long_head_comes_in_parts(void **state)
{
    struct meeting *m = *state;
    struct buf b = {0};
    buf_add_text(&b, "GET / HTTP/1.0\r\n");
    for (unsigned i = 0; i < 40; i++)
        buf_add_format(&b, "X-Field-%u: %01000u\r\n", i, i);
    buf_add_text(&b, "\r\n");
    client_connect(m);
    for (size_t at = 0, n; at < b.n; at += n) {
        n = b.n - at < 777 ? b.n - at : 777;
        client_send(m, bytes_of(b.p + at, n));
        meet(m, 1);
    }
    meet(m, LATE_MS);
    client_close(m);
    assert_int_equal(strncmp(buf_text(&m->answer), "HTTP/1.1 404", 12), 0);
    buf_clear(&b);
}

/* The text behind "NAME: " in the answer's head; empty: it has no such field. */
static void answer_field(struct meeting *m, const char *name, char *out, size_t room)
{
    const char *at = strstr(buf_text(&m->answer), name);
    size_t n = at ? strcspn(at + strlen(name) + 2, "\r") : 0;
    assert_true(n < room);
    memcpy(out, at ? at + strlen(name) + 2 : "", n);
    out[n] = 0;
}

/* Also one that no handler saw: whoever reports a failure can say which. */
static void each_answer_has_a_number(void **state)
{
    struct meeting *m = *state;
    static const char *const requests[] = {
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "GET /named HTTP/1.0\r\n\r\n",
    };
    char id[4][80];
    for (size_t i = 0; i < 4; i++) {
        assert_in_range(ask_text(m, requests[i]), 400, 404);
        answer_field(m, "X-Request-Id", id[i], sizeof id[i]);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(id[i], id[j]);
        assert_int_equal(strspn(id[i], "0123456789abcdef"), i == 3 ? 3 : 32);
    }
    assert_string_equal(id[3], "abc");
    assert_null(strstr(strstr(buf_text(&m->answer), "X-Request-Id") + 1, "X-Request-Id"));
}

/* One that is too long is refused in our words, whether its line is or its fields are; up to the limit it is taken. */
static void a_head_over_the_limit_is_told_so(void **state)
{
    struct meeting *m = *state;
    static const char *const heads[][2] = {{"GET / HTTP/1.0\r\nX: ", "\r\n\r\n"}, {"GET /?x=", " HTTP/1.0\r\n\r\n"}};
    static const size_t sizes[] = {HTTP_HEAD_MAX - 1, HTTP_HEAD_MAX, HTTP_HEAD_MAX + 1, 60000, 90000};
    for (size_t i = 0; i < 2 * sizeof sizes / sizeof *sizes; i++) {
        const char *const *head = heads[i % 2];
        size_t n = sizes[i / 2];
        struct buf b = {0};
        buf_add_text(&b, head[0]);
        while (b.n + strlen(head[1]) < n)
            buf_add_text(&b, "a");
        buf_add_text(&b, head[1]);
        assert_int_equal(ask(m, bytes_of_buf(&b)), n > HTTP_HEAD_MAX ? 431 : 404);
        if (n > HTTP_HEAD_MAX)
            assert_non_null(strstr(buf_text(&m->answer), "\r\n\r\n{\"error\":{\"message\":\"the request's line"));
        buf_clear(&b);
    }
}

/* What llhttp refuses because two readers may not agree where a field or the body ends. */
static bool is_doubtful(int code)
{
    static const int codes[] = {2,  3,  4,  10, 11,
                                12, 15, 25, 30}; /* line ends, lengths, names and values, chunk sizes, encodings */
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (code == codes[i])
            return true;
    return false;
}

static bool is_whole(const json_t *one)
{
    const json_t *line, *log = json_object_get(one, "log");
    size_t i;
    json_array_foreach(log, i, line)
    {
        if (strstr(json_string_value(line), "message complete"))
            return true;
    }
    return false;
}

/* Well formed, and not answered: not HTTP/1, encoded in a way that we do not read, or one of which llhttp is told to
 * expect no body. */
static bool is_not_for_us(const json_t *one, const struct buf *request)
{
    const char *name = json_text(one, "name");
    return strstr(name, "as last transfer-encoding") || strstr(name, "no body is received") ||
           !memmem(request->p, request->n, "HTTP/1", 6);
}

/* Of what llhttp refuses, we take: methods that it does not know, URLs with odd bytes, requests behind a last one, and
 * a semicolon behind a chunk's size with nothing after it. */
static bool llhttp_request(struct meeting *m, const json_t *one)
{
    const json_t *error = json_object_get(one, "error");
    int code = (int)json_integer_value(json_object_get(error, "code"));
    struct buf request = {0};
    test_hex(&request, json_text(one, "input_hex"));
    m->served = 0;
    int status = ask(m, bytes_of_buf(&request));
    bool ok = status != -1 && (status == 0 || status == 404 || status == 400 || status == 505);
    if (strcmp(json_text(one, "mode"), "request") == 0) {
        if (is_doubtful(code) && !strstr(json_text(one, "name"), "No extension after semicolon"))
            ok = ok && m->served == 0;
        if (json_is_null(error) && is_whole(one) && !is_not_for_us(one, &request))
            ok = ok && status == 404;
    }
    if (!ok)
        print_error("%s: status %d, served %u\n", json_text(one, "name"), status, m->served);
    buf_clear(&request);
    return ok;
}

static void llhttp_requests(void **state)
{
    struct meeting *m = *state;
    TEST_NEEDS(path, "vectors/http/llhttp-request.json");
    struct buf text = {0};
    unsigned wrong = 0;
    assert_int_equal(file_read(path, 16u << 20, &text, NULL), ERR_OK);
    json_t *all = json_parse(bytes_of_buf(&text), NULL), *one, *cases = json_object_get(all, "cases");
    size_t i;
    assert_int_equal(json_array_size(cases), 153);
    json_array_foreach(cases, i, one)
    {
        wrong += !llhttp_request(m, one);
    }
    assert_int_equal(wrong, 0);
    assert_int_equal(http_connections(m->http), 0);
    json_decref(all);
    buf_clear(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_closed_writing_side_is_answered, meeting_begin, meeting_end),
        cmocka_unit_test_setup_teardown(half_a_request_is_dropped_at_once, meeting_begin, meeting_end),
        cmocka_unit_test_setup_teardown(who_hangs_up_is_told_of, meeting_begin, meeting_end),
        cmocka_unit_test_setup_teardown(a_put_calls_nobody_back, meeting_begin, meeting_end),
        cmocka_unit_test_setup_teardown(a_long_answer_is_sent_to_its_end, meeting_begin, meeting_end),
        cmocka_unit_test_setup_teardown(a_slow_reader_is_given_up, meeting_begin, meeting_end),
        cmocka_unit_test_setup_teardown(doubtful_heads_are_refused, meeting_begin, meeting_end),
        cmocka_unit_test_setup_teardown(doubtful_request_lines_are_refused, meeting_begin, meeting_end),
        cmocka_unit_test_setup_teardown(a_head_with_a_nul_is_refused, meeting_begin, meeting_end),
        cmocka_unit_test_setup_teardown(bodies_without_end_are_refused, meeting_begin, meeting_end),
        cmocka_unit_test_setup_teardown(plain_heads_are_answered, meeting_begin, meeting_end),
        cmocka_unit_test_setup_teardown(a_long_head_comes_in_parts, meeting_begin, meeting_end),
        cmocka_unit_test_setup_teardown(a_head_over_the_limit_is_told_so, meeting_begin, meeting_end),
        cmocka_unit_test_setup_teardown(each_answer_has_a_number, meeting_begin, meeting_end),
        cmocka_unit_test_setup_teardown(llhttp_requests, meeting_begin, meeting_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
