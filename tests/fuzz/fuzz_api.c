/* Requests to the API of a whole node (kithd dev, without a model), all routes: the first line is method, path and
 * query, the rest the body. The HTTP server is replaced by one that only hands them over and takes the answer, so this
 * file has the functions of node/http/http.h, and neither sockets nor libmicrohttpd are there.
 *
 * A request is answered once, or kept by who wants to hear that its client hangs up, which the client then does. An
 * answer is JSON where it says so, a failure is of OpenAI's form, and none is 500, which is a fault of ours. */
#include "base/codec.h"
#include "base/json.h"
#include "base/mem.h"
#include "node/api/api.h"
#include "node/dev.h"
#include "node/node.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__lsan_default_suppressions(void);

/* The tree keeps its leaves by pointers with a mark in them, and the account lies in memory that is kept from others:
 * what they have is not found. */
const char *__lsan_default_suppressions(void)
{
    return "leak:payload_make\nleak:account_send\n";
}

#define TURNS       3 /* of the loop for an answer that does not come at once; then the client hangs up */
#define STREAM_MAX  (1u << 20)
#define HEADERS_MAX 16

struct http_request {
    char *line;          /* NULs between its parts */
    char *method, *path; /* in it */
    char *query;         /* NAME NUL VALUE NUL ..., an empty name at its end */
    struct bytes body;
    http_gone_fn gone;
    void *gone_arg;
    unsigned status;
    struct buf answer;
    bool is_json, is_stream, is_over;
};

/* -- the server that is not there -- */

struct http {
    http_handler_fn handler;
    void *arg;
};

static struct http door;

enum err http_open_unix(struct host *host, const char *path, http_handler_fn handler, void *arg, struct http **out,
                        struct note *note)
{
    (void)host;
    (void)path;
    (void)note;
    door = (struct http){handler, arg};
    *out = &door;
    return ERR_OK;
}

enum err http_open_tcp(struct host *host, const char *listen_at, http_handler_fn handler, void *arg, struct http **out,
                       struct note *note)
{
    return http_open_unix(host, listen_at, handler, arg, out, note);
}

void http_add_name(struct http *h, const char *name)
{
    (void)h;
    (void)name;
}

void http_close(struct http *h)
{
    (void)h;
}

unsigned http_connections(const struct http *h)
{
    (void)h;
    return 1;
}

unsigned http_port(const struct http *h)
{
    (void)h;
    return 7717;
}

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
    for (const char *at = r->query; *at;) {
        const char *value = at + strlen(at) + 1;
        if (strcmp(at, name) == 0)
            return value;
        at = value + strlen(value) + 1;
    }
    return NULL;
}

const char *http_header(const struct http_request *r, const char *name)
{
    (void)r;
    (void)name;
    return NULL;
}

struct bytes http_body(const struct http_request *r)
{
    return r->body;
}

bool http_is_local(const struct http_request *r)
{
    (void)r;
    return true;
}

bool http_is_near(const struct http_request *r)
{
    (void)r;
    return true;
}

void http_on_gone(struct http_request *r, http_gone_fn gone, void *arg)
{
    r->gone = gone;
    r->gone_arg = arg;
}

void http_add_header(struct http_request *r, const char *name, const char *value)
{
    CHECK(r->status == 0);
    CHECK(*name && !strpbrk(name, "\r\n: ") && !strpbrk(value, "\r\n"));
}

static void begin_answer(struct http_request *r, unsigned status, const char *type)
{
    CHECK(r->status == 0 && status >= 200 && status < 600);
    r->status = status;
    r->is_json = strcmp(type, "application/json") == 0;
}

void http_reply(struct http_request *r, unsigned status, const char *type, struct bytes body)
{
    begin_answer(r, status, type);
    buf_add(&r->answer, body.p, body.n);
    r->is_over = true;
}

void http_stream_start(struct http_request *r, unsigned status, const char *type)
{
    begin_answer(r, status, type);
    r->is_stream = true;
}

bool http_stream_put(struct http_request *r, struct bytes part)
{
    CHECK(r->is_stream && !r->is_over);
    buf_add(&r->answer, part.p, part.n);
    return r->answer.n <= STREAM_MAX;
}

/* Its client takes everything at once. */
size_t http_stream_waiting(const struct http_request *r)
{
    CHECK(r->is_stream && !r->is_over);
    return 0;
}

void http_on_drained(struct http_request *r, http_gone_fn drained, void *arg)
{
    (void)r;
    (void)drained;
    (void)arg;
}

void http_stream_end(struct http_request *r)
{
    CHECK(r->is_stream && !r->is_over);
    r->is_over = true;
}

/* -- a request -- */

/* METHOD PATH?NAME=VALUE&.. in place; a name without a value has none, as libmicrohttpd has it. False: it is no line.
 */
static bool take_line(struct http_request *r, const uint8_t *line, size_t n)
{
    r->line = mem_array(n + 3, 1);
    memcpy(r->line, line, n);
    char *space = memchr(r->line, ' ', n);
    if (memchr(line, 0, n) || !space || space == r->line || space[1] != '/')
        return false;
    *space = 0;
    r->method = r->line;
    r->path = space + 1;
    r->query = strchr(r->path, '?');
    if (!r->query) {
        r->query = r->line + n;
        return true;
    }
    *r->query++ = 0;
    for (char *p = r->query; *p; p++)
        if (*p == '&' || *p == '=')
            *p = 0;
    return true;
}

/* What leaves this process: files that are there, hosts that may be. */
static bool is_harmless(const struct http_request *r)
{
    struct note note;
    json_t *body = json_parse(r->body.n ? r->body : bytes_of_text("{}"), &note);
    const char *path = json_text(body, "path");
    bool good = (!path || access(path, F_OK) != 0) && !json_text(body, "peer");
    json_decref(body);
    return good;
}

static void check_answer(const struct http_request *r)
{
    struct note note = {{0}};
    CHECK(r->status != 500);
    if (!r->is_json)
        return;
    json_t *body = json_parse(bytes_of_buf(&r->answer), &note), *error = json_object_get(body, "error");
    CHECK(json_is_object(body));
    if (r->status >= 400)
        CHECK(json_text(error, "message") && *json_text(error, "message") && json_text(error, "type") &&
              json_text(error, "code") && json_object_get(error, "param"));
    json_decref(body);
}

/* -- the node -- */

static struct config config;

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void remove_home(void)
{
    nftw(config.home, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static struct node *node_now(void)
{
    static struct node *node;
    struct note note = {{0}};
    const char *tmp = getenv("TMPDIR");
    struct buf home = {0};
    bool help;
    if (node)
        return node;
    buf_add_format(&home, "%s/kith-fuzz-api.XXXXXX", tmp ? tmp : "/tmp");
    char *path = mem_string(buf_text(&home));
    CHECK(mkdtemp(path));
    char *words[] = {(char *)(uintptr_t) "--home",
                     path,
                     (char *)(uintptr_t) "--listen",
                     (char *)(uintptr_t) "",
                     (char *)(uintptr_t) "--no-default-model",
                     (char *)(uintptr_t) "--log",
                     (char *)(uintptr_t) "broken"};
    if (config_load(&config, sizeof words / sizeof *words, words, &help, &note) != ERR_OK ||
        dev_prepare(&config, &note) != ERR_OK || node_open(&config, &node, &note) != ERR_OK) {
        fprintf(stderr, "%s\n", note.text);
        abort();
    }
    atexit(remove_home);
    free(path);
    buf_clear(&home);
    return node;
}

static void turn_over(void *arg)
{
    node_stop(arg);
}

static void run_turn(struct node *n)
{
    struct timer timer = {0};
    host_timer_set(n->host, &timer, 0, turn_over, n);
    node_run(n);
    host_timer_cancel(n->host, &timer);
}

static void serve(struct node *n, struct http_request *r)
{
    door.handler(door.arg, r);
    for (int i = 0; i < TURNS && !r->is_over; i++)
        run_turn(n);
    if (!r->is_over) {
        CHECK(r->gone);
        r->gone(r->gone_arg, r);
    }
    check_answer(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size ? memchr(data, '\n', size) : NULL;
    struct node *n = node_now();
    if (!end)
        return 0;
    size_t line_n = (size_t)(end - data);
    struct http_request *r = mem_new(sizeof *r);
    r->body = bytes_of(end + 1, size - line_n - 1);
    if (take_line(r, data, line_n) && is_harmless(r))
        serve(n, r);
    buf_clear(&r->answer);
    free(r->line);
    free(r); /* whoever still has it is seen by the sanitizer */
    run_turn(n);
    return 0;
}
