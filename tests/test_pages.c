/* The pages that kithd serves: what is sent with them, and when nothing is sent at all. */
#include "node/api/api.h"

#include "base/file.h"
#include "base/mem.h"
#include "tests/support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LATE_MS 3000

struct visit {
    struct host *host;
    struct http *http;
    struct timer late;
    char *dir, path[100];
    struct buf answer;
    int fd;
};

/* A page takes nothing of the node. */
static void serve(void *arg, struct http_request *r)
{
    struct api_call call = {.request = r};
    const char *path = http_path(r);
    (void)arg;
    if (strncmp(path, "/web/", 5) == 0)
        snprintf(call.rest, sizeof call.rest, "%s", path + 5);
    api_page_get(&call);
}

static int visit_begin(void **state)
{
    struct visit *v = mem_new(sizeof *v);
    struct note note;
    v->host = host_uv_open(&note);
    v->dir = test_dir_new();
    assert_true(snprintf(v->path, sizeof v->path, "%s/http", v->dir) < (int)sizeof v->path);
    assert_int_equal(http_open_unix(v->host, v->path, serve, v, &v->http, &note), ERR_OK);
    *state = v;
    return 0;
}

static int visit_end(void **state)
{
    struct visit *v = *state;
    http_close(v->http);
    host_uv_close(v->host);
    buf_clear(&v->answer);
    test_dir_remove(v->dir);
    free(v);
    return 0;
}

static void too_late(void *arg)
{
    (void)arg;
    fail_msg("the server keeps the connection");
}

static void reads(void *arg, int fd, unsigned events)
{
    struct visit *v = arg;
    char part[4096];
    ssize_t n;
    (void)events;
    while ((n = recv(fd, part, sizeof part, MSG_DONTWAIT)) > 0)
        buf_add(&v->answer, part, (size_t)n);
    if (n == 0 || (errno != EAGAIN && errno != EINTR))
        host_uv_stop(v->host);
}

/* The answer, head and body, as a text; `more`: header lines. */
static const char *ask(struct visit *v, const char *method, const char *path, const char *more)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct buf request = {0};
    snprintf(at.sun_path, sizeof at.sun_path, "%s", v->path);
    v->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(v->fd, (struct sockaddr *)&at, sizeof at), 0);
    buf_reset(&v->answer);
    assert_int_equal(host_poll_set(v->host, v->fd, HOST_READABLE, reads, v), ERR_OK);
    buf_add_format(&request, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n", method, path, more);
    assert_int_equal(send(v->fd, request.p, request.n, MSG_NOSIGNAL), (ssize_t)request.n);
    host_timer_set(v->host, &v->late, LATE_MS, too_late, v);
    host_uv_run(v->host);
    host_timer_cancel(v->host, &v->late);
    host_poll_cancel(v->host, v->fd);
    close(v->fd);
    buf_clear(&request);
    return buf_text(&v->answer);
}

static int status_of(const char *answer)
{
    int status = 0;
    return sscanf(answer, "HTTP/1.1 %3d", &status) == 1 ? status : 0;
}

static const char *body_of(const char *answer)
{
    const char *end = strstr(answer, "\r\n\r\n");
    assert_non_null(end);
    return end + 4;
}

static void assert_has(const char *answer, const char *line)
{
    if (!strstr(answer, line))
        fail_msg("\"%s\" is missing in:\n%.800s", line, answer);
}

static void pages_let_nothing_in_from_elsewhere(void **state)
{
    static const char *const paths[] = {"/", "/web/app.js", "/web/style.css", "/web/icon.svg", "/web/pages/chat.js"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        const char *answer = ask(*state, "GET", paths[i], "");
        assert_int_equal(status_of(answer), 200);
        assert_has(answer, "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; "
                           "connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
                           "frame-ancestors 'none'\r\n");
        assert_has(answer, "X-Content-Type-Options: nosniff\r\n");
        assert_has(answer, "Referrer-Policy: no-referrer\r\n");
        assert_has(answer, "Cross-Origin-Opener-Policy: same-origin\r\n");
        assert_has(answer, "Cross-Origin-Resource-Policy: same-origin\r\n");
        assert_has(answer, "Cache-Control: no-cache\r\n");
        assert_null(strstr(answer, "no-store"));
        assert_null(strstr(answer, "Access-Control-"));
    }
}

static void files_have_their_types(void **state)
{
    assert_has(ask(*state, "GET", "/", ""), "Content-Type: text/html; charset=utf-8\r\n");
    assert_has(ask(*state, "GET", "/web/app.js", ""), "Content-Type: text/javascript; charset=utf-8\r\n");
    assert_has(ask(*state, "GET", "/web/style.css", ""), "Content-Type: text/css; charset=utf-8\r\n");
    assert_has(ask(*state, "GET", "/web/icon.svg", ""), "Content-Type: image/svg+xml\r\n");
    assert_has(ask(*state, "GET", "/web/vendor/uPlot/LICENSE", ""), "Content-Type: text/plain; charset=utf-8\r\n");
}

static void a_file_is_what_lies_in_web(void **state)
{
    struct buf file = {0};
    struct note note = {{0}};
    if (file_read("web/app.js", 1u << 20, &file, &note) != ERR_OK)
        fail_msg("%s", note.text);
    assert_string_equal(body_of(ask(*state, "GET", "/web/app.js", "")), buf_text(&file));
    buf_clear(&file);
}

static void a_known_tag_is_answered_without_a_body(void **state)
{
    char tag[80], more[120];
    const char *at = strstr(ask(*state, "GET", "/web/app.js", ""), "ETag: ");
    assert_non_null(at);
    assert_int_equal(sscanf(at, "ETag: %79[^\r]", tag), 1);
    snprintf(more, sizeof more, "If-None-Match: \"other\", %s\r\n", tag);
    const char *answer = ask(*state, "GET", "/web/app.js", more);
    assert_int_equal(status_of(answer), 304);
    assert_has(answer, tag);
    assert_string_equal(body_of(answer), "");
    assert_int_equal(status_of(ask(*state, "GET", "/web/app.js", "If-None-Match: *\r\n")), 304);
    assert_int_equal(status_of(ask(*state, "GET", "/web/app.js", "If-None-Match: \"other\"\r\n")), 200);
    assert_int_equal(status_of(ask(*state, "GET", "/web/style.css", more)), 200);
}

static void head_has_no_body(void **state)
{
    const char *answer = ask(*state, "HEAD", "/", "");
    assert_int_equal(status_of(answer), 200);
    assert_has(answer, "ETag: \"");
    assert_string_equal(body_of(answer), "");
}

static void other_paths_are_not_there(void **state)
{
    static const char *const paths[] = {
        "/web/none.js", "/web/../node/api/pages.c", "/web/%2e%2e/Makefile", "/web/pages", "/web/pages/", "/web/APP.js"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        assert_int_equal(status_of(ask(*state, "GET", paths[i], "")), 404);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(pages_let_nothing_in_from_elsewhere),
                                       cmocka_unit_test(files_have_their_types),
                                       cmocka_unit_test(a_file_is_what_lies_in_web),
                                       cmocka_unit_test(a_known_tag_is_answered_without_a_body),
                                       cmocka_unit_test(head_has_no_body),
                                       cmocka_unit_test(other_paths_are_not_there)};
    return cmocka_run_group_tests(tests, visit_begin, visit_end);
}
