/* The blocking client. */
#include "cli/client.h"

#include "base/limits.h"
#include "base/mem.h"
#include "cli/http.h"
#include "cli/out.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static enum err connect_unix(const struct cli *cli, int *fd, struct note *note)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int n = snprintf(to.sun_path, sizeof to.sun_path, "%s/kithd.sock", cli->home);
    if (n < 0 || (size_t)n >= sizeof to.sun_path)
        return note_set(note, ERR_USAGE, "the path %.100s... is too long for a socket: use a shorter --home",
                        cli->home);
    *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (*fd >= 0 && connect(*fd, (struct sockaddr *)&to, sizeof to) == 0)
        return ERR_OK;
    if (errno == EACCES)
        return note_set(note, ERR_NOT_FOUND,
                        "%s is another user's: ask for a key (`kith key new`), and use --url with KITH_API_KEY",
                        to.sun_path);
    return note_set(note, ERR_NOT_FOUND,
                    "no kithd answers at %s (%s): start one with `kithd --home %s`, or `kithd dev`", to.sun_path,
                    strerror(errno), cli->home);
}

/* "http://HOST:PORT", with or without a slash behind. */
static bool split_url(const char *url, char host[256], char port[8])
{
    static const char scheme[] = "http://";
    if (strncmp(url, scheme, sizeof scheme - 1) != 0)
        return false;
    const char *start = url + sizeof scheme - 1, *end = start + strcspn(start, "/");
    const char *colon = end;
    while (colon > start && *colon != ':')
        colon--;
    bool bare = colon == start || memchr(colon, ']', (size_t)(end - colon));
    size_t host_n = (size_t)((bare ? end : colon) - start);
    size_t port_n = bare ? 2 : (size_t)(end - colon - 1);
    if (end[0] && end[1])
        return false;
    if (host_n >= 2 && start[0] == '[' && start[host_n - 1] == ']') {
        start++;
        host_n -= 2;
    }
    if (host_n == 0 || host_n > 255 || port_n == 0 || port_n > 7)
        return false;
    snprintf(host, 256, "%.*s", (int)host_n, start);
    snprintf(port, 8, "%.*s", (int)port_n, bare ? "80" : colon + 1);
    return true;
}

static enum err connect_url(const struct cli *cli, int *fd, struct note *note)
{
    char host[256], port[8];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    if (!split_url(cli->url, host, port))
        return note_set(note, ERR_USAGE, "--url \"%.100s\" is not of the form http://HOST:PORT", cli->url);
    int rc = getaddrinfo(host, port, &hints, &found);
    if (rc != 0)
        return note_set(note, ERR_NOT_FOUND, "cannot find the host of %.100s: %s", cli->url, gai_strerror(rc));
    for (struct addrinfo *a = found; a; a = a->ai_next) {
        *fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, a->ai_protocol);
        if (*fd >= 0 && connect(*fd, a->ai_addr, a->ai_addrlen) == 0)
            break;
        if (*fd >= 0)
            close(*fd);
        *fd = -1;
    }
    freeaddrinfo(found);
    return *fd >= 0
               ? ERR_OK
               : note_set(note, ERR_NOT_FOUND, "no kithd answers at %.100s (%s): is it running there, with --http?",
                          cli->url, strerror(errno));
}

static enum err send_all(int fd, struct bytes b, struct note *note)
{
    while (b.n) {
        ssize_t n = send(fd, b.p, b.n, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return note_set(note, ERR_CLOSED, "kithd closed the connection: %s", strerror(errno));
        b.p += n;
        b.n -= (size_t)n;
    }
    return ERR_OK;
}

/* Connects and sends the request. `last_id`: of a stream that is gone on with, or NULL. */
static enum err send_request(const struct cli *cli, const char *method, const char *path, const json_t *body,
                             const char *last_id, int *fd, struct note *note)
{
    struct buf request = {0}, content = {0};
    const char *key = getenv("KITH_API_KEY");
    *fd = -1;
    enum err e = cli->url ? connect_url(cli, fd, note) : connect_unix(cli, fd, note);
    if (e != ERR_OK)
        goto out;
    if (body)
        json_print(&content, body);
    buf_add_format(&request, "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAccept: application/json\r\n",
                   method, path);
    if (key && !strpbrk(key, "\r\n"))
        buf_add_format(&request, "Authorization: Bearer %s\r\n", key);
    if (last_id && *last_id && !strpbrk(last_id, "\r\n"))
        buf_add_format(&request, "Last-Event-ID: %s\r\n", last_id);
    if (body)
        buf_add_format(&request, "Content-Type: application/json\r\nContent-Length: %zu\r\n", content.n);
    buf_add_text(&request, "\r\n");
    buf_add(&request, content.p, content.n);
    e = send_all(*fd, bytes_of_buf(&request), note);
out:
    if (e != ERR_OK && *fd >= 0) {
        close(*fd);
        *fd = -1;
    }
    buf_clear(&request);
    buf_clear(&content);
    return e;
}

/* The one thing that a signal handler may touch. */
static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

void client_watch_interrupt(void)
{
    struct sigaction action = {.sa_handler = on_interrupt};
    interrupted = 0;
    sigaction(SIGINT, &action, NULL);
}

void client_unwatch_interrupt(void)
{
    signal(SIGINT, SIG_DFL);
    interrupted = 0;
}

/* Waits until `deadline_ms` for more bytes and feeds them. */
static enum err receive_some(int fd, struct http_reader *r, uint64_t deadline_ms, struct note *note)
{
    char piece[16384];
    for (;;) {
        uint64_t now = out_now_ms();
        struct pollfd p = {.fd = fd, .events = POLLIN};
        uint64_t left = deadline_ms > now ? deadline_ms - now : 0;
        int rc = interrupted ? -1 : poll(&p, 1, left > 1000000 ? 1000000 : (int)left);
        if (interrupted)
            return note_set(note, ERR_CANCELLED, "broken off");
        if (rc < 0 && errno == EINTR)
            continue;
        if (rc == 0)
            return note_set(note, ERR_TIMEOUT, "kithd did not answer in time");
        ssize_t n = rc < 0 ? -1 : recv(fd, piece, sizeof piece, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return note_set(note, ERR_CLOSED, "the connection to kithd broke: %s", strerror(errno));
        return n == 0 ? http_reader_end(r, note) : http_reader_step(r, piece, (size_t)n, note);
    }
}

static enum err parse_body(struct http_reader *r, json_t **reply, struct note *note)
{
    *reply = NULL;
    if (r->body.n == 0)
        return ERR_OK;
    *reply = json_parse(bytes_of_buf(&r->body), note);
    if (!*reply && r->status < 400)
        return note_set(note, ERR_PROTOCOL, "the answer is not JSON: is this a kithd?");
    return ERR_OK;
}

static enum err receive_all(int fd, struct http_reader *r, uint64_t timeout_ms, struct note *note)
{
    uint64_t deadline = out_now_ms() + timeout_ms;
    enum err e = ERR_OK;
    while (e == ERR_OK && r->state != HTTP_DONE)
        e = receive_some(fd, r, deadline, note);
    return e;
}

enum err client_try(const struct cli *cli, const char *method, const char *path, const json_t *body,
                    uint64_t timeout_ms, int *status, json_t **reply, struct note *note)
{
    struct http_reader r;
    int fd;
    *reply = NULL;
    enum err e = send_request(cli, method, path, body, NULL, &fd, note);
    if (e != ERR_OK)
        return e;
    http_reader_init(&r, cli->answer_max ? cli->answer_max : JSON_BYTES_MAX);
    e = receive_all(fd, &r, timeout_ms, note);
    if (e == ERR_OK)
        e = parse_body(&r, reply, note);
    *status = r.status;
    http_reader_clear(&r);
    close(fd);
    return e;
}

bool client_is_reachable(const struct cli *cli)
{
    int fd = -1;
    enum err e = cli->url ? connect_url(cli, &fd, NULL) : connect_unix(cli, &fd, NULL);
    if (fd >= 0)
        close(fd);
    return e == ERR_OK;
}

int client_fail(const struct cli *cli, enum err e, const struct note *note)
{
    enum cli_exit status = e == ERR_NOT_FOUND || e == ERR_CLOSED ? CLI_UNREACHABLE
                           : e == ERR_TIMEOUT                    ? CLI_LATE
                           : e == ERR_USAGE                      ? CLI_USAGE
                                                                 : CLI_REFUSED;
    return cli_fail(cli, status, "%s", note->text);
}

int client_refusal(const struct cli *cli, int status, const json_t *reply)
{
    const char *message = json_text(json_object_get(reply, "error"), "message");
    enum cli_exit exit_status = status == 400 ? CLI_USAGE : status == 408 || status == 504 ? CLI_LATE : CLI_REFUSED;
    if (message)
        return cli_fail(cli, exit_status, "%s", message);
    return cli_fail(cli, exit_status, "kithd answered with HTTP status %d and no reason", status);
}

static int call(const struct cli *cli, const char *method, const char *path, const json_t *body, uint64_t timeout_ms,
                json_t **reply)
{
    struct note note = {{0}};
    int status = 0;
    enum err e = client_try(cli, method, path, body, timeout_ms, &status, reply, &note);
    if (e != ERR_OK)
        return client_fail(cli, e, &note);
    if (status >= 200 && status < 300 && *reply)
        return CLI_DONE;
    int rc = client_refusal(cli, status, *reply);
    json_decref(*reply);
    *reply = NULL;
    return rc;
}

int client_post_take(const struct cli *cli, const char *path, json_t *body, json_t **reply)
{
    CHECK(body);
    int rc = call(cli, "POST", path, body, CLIENT_TIMEOUT_MS, reply);
    json_decref(body);
    return rc;
}

int client_get(const struct cli *cli, json_t **reply, const char *path_format, ...)
{
    char path[512];
    va_list args;
    va_start(args, path_format);
    vsnprintf(path, sizeof path, path_format, args);
    va_end(args);
    return call(cli, "GET", path, NULL, CLIENT_TIMEOUT_MS, reply);
}

static enum err get_bytes(const struct cli *cli, const char *path, struct http_reader *r, json_t **refusal,
                          struct note *note)
{
    int fd;
    enum err e = send_request(cli, "GET", path, NULL, NULL, &fd, note);
    if (e != ERR_OK)
        return e;
    e = receive_all(fd, r, CLIENT_TIMEOUT_MS, note);
    if (e == ERR_OK && r->status != 200)
        e = parse_body(r, refusal, note);
    close(fd);
    return e;
}

int client_get_bytes(const struct cli *cli, struct buf *out, const char *path_format, ...)
{
    char path[512];
    struct http_reader r;
    struct note note = {{0}};
    json_t *refusal = NULL;
    va_list args;
    va_start(args, path_format);
    vsnprintf(path, sizeof path, path_format, args);
    va_end(args);
    http_reader_init(&r, JSON_BYTES_MAX);
    enum err e = get_bytes(cli, path, &r, &refusal, &note);
    int rc = e != ERR_OK       ? client_fail(cli, e, &note)
             : r.status == 200 ? CLI_DONE
                               : client_refusal(cli, r.status, refusal);
    if (rc == CLI_DONE)
        buf_add(out, r.body.p, r.body.n);
    json_decref(refusal);
    http_reader_clear(&r);
    return rc;
}

int client_get_patiently(const struct cli *cli, uint64_t timeout_ms, json_t **reply, const char *path)
{
    return call(cli, "GET", path, NULL, timeout_ms, reply);
}

struct client_stream {
    int fd;
    struct http_reader reader;
    char id[48];
};

enum err client_stream_open(const struct cli *cli, const char *path, const char *last_id, struct client_stream **out,
                            int *status, json_t **reply, struct note *note)
{
    struct client_stream *s = mem_new(sizeof *s);
    uint64_t deadline = out_now_ms() + CLIENT_TIMEOUT_MS;
    *out = NULL;
    *reply = NULL;
    enum err e = send_request(cli, "GET", path, NULL, last_id, &s->fd, note);
    if (e != ERR_OK) {
        free(s);
        return e;
    }
    http_reader_init(&s->reader, JSON_BYTES_MAX);
    while (e == ERR_OK && (s->reader.state == HTTP_STATUS || s->reader.state == HTTP_HEADERS))
        e = receive_some(s->fd, &s->reader, deadline, note);
    *status = s->reader.status;
    if (e == ERR_OK && *status == 200) {
        *out = s;
        return ERR_OK;
    }
    if (e == ERR_OK)
        e = receive_all(s->fd, &s->reader, CLIENT_TIMEOUT_MS, note);
    if (e == ERR_OK)
        e = parse_body(&s->reader, reply, note);
    client_stream_close(s);
    return e;
}

enum err client_stream_next(struct client_stream *s, uint64_t timeout_ms, char name[32], json_t **data,
                            struct note *note)
{
    struct http_event event;
    for (;;) {
        bool is_whole = http_event_take(&s->reader.body, &event);
        if (event.id[0])
            snprintf(s->id, sizeof s->id, "%s", event.id);
        if (is_whole)
            break;
        if (s->reader.state == HTTP_DONE)
            return note_set(note, ERR_CLOSED, "kithd ended the stream");
        enum err e = receive_some(s->fd, &s->reader, out_now_ms() + timeout_ms, note);
        if (e != ERR_OK)
            return e;
    }
    snprintf(name, 32, "%s", event.name);
    *data = json_parse(bytes_of_buf(&event.data), note);
    buf_clear(&event.data);
    return *data ? ERR_OK : ERR_PROTOCOL;
}

const char *client_stream_id(const struct client_stream *s)
{
    return s->id;
}

void client_stream_close(struct client_stream *s)
{
    close(s->fd);
    http_reader_clear(&s->reader);
    free(s);
}
