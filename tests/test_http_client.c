/* The client's reader of answers: bodies by length, by chunks and until the end; events; what is no HTTP. */
#include "cli/http.h"
#include "tests/support.h"

#include <string.h>

/* Feeds the text byte by byte, which meets every state, and closes. */
static enum err feed(struct http_reader *r, const char *text)
{
    struct note note;
    http_reader_init(r, 1000);
    for (; *text; text++) {
        enum err e = http_reader_step(r, text, 1, &note);
        if (e != ERR_OK)
            return e;
    }
    return http_reader_end(r, &note);
}

static void reads_bodies(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int status;
        const char *body;
    } good[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello and more that is not ours", 200, "hello"},
        {"HTTP/1.0 404 Not Found\r\n\r\nall of it", 404, "all of it"},
        {"HTTP/1.1 200\nTransfer-Encoding: chunked\n\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nTrailer: 1\r\n\r\n", 200,
         "hello"},
        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", 204, ""},
        {"HTTP/1.1 202 Accepted\r\ncontent-length:  0 \r\n\r\n", 202, ""},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct http_reader r;
        assert_int_equal(feed(&r, good[i].text), ERR_OK);
        assert_int_equal(r.state, HTTP_DONE);
        assert_int_equal(r.status, good[i].status);
        assert_string_equal(buf_text(&r.body), good[i].body);
        http_reader_clear(&r);
    }
}

static void refuses_what_is_no_answer(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum err e;
    } bad[] = {
        {"SSH-2.0-OpenSSH\r\n", ERR_PROTOCOL},
        {"HTTP/2.0 200 OK\r\n", ERR_PROTOCOL},
        {"HTTP/1.1 20 OK\r\n", ERR_PROTOCOL},
        {"HTTP/1.1 999 OK\r\n", ERR_PROTOCOL},
        {"HTTP/1.1 200 OK\r\nno colon\r\n", ERR_PROTOCOL},
        {"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n", ERR_PROTOCOL},
        {"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n", ERR_PROTOCOL},
        {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n", ERR_PROTOCOL},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n", ERR_PROTOCOL},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", ERR_PROTOCOL},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", ERR_PROTOCOL},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", ERR_CLOSED},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n", ERR_CLOSED},
        {"HTTP/1.1 200 OK\r\n", ERR_CLOSED},
        {"", ERR_CLOSED},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct http_reader r;
        assert_int_equal(feed(&r, bad[i].text), bad[i].e);
        http_reader_clear(&r);
    }
}

static void bounds_what_it_holds(void **state)
{
    (void)state;
    struct http_reader r;
    struct note note;
    char piece[600];
    memset(piece, 'x', sizeof piece);
    http_reader_init(&r, 1000);
    assert_int_equal(http_reader_step(&r, "HTTP/1.1 200 OK\r\n\r\n", 19, &note), ERR_OK);
    assert_int_equal(http_reader_step(&r, piece, sizeof piece, &note), ERR_OK);
    assert_int_equal(http_reader_step(&r, piece, sizeof piece, &note), ERR_LIMIT);
    http_reader_clear(&r);
    http_reader_init(&r, 1000);
    enum err e = ERR_OK;
    for (int i = 0; i < 100 && e == ERR_OK; i++)
        e = http_reader_step(&r, piece, sizeof piece, &note);
    assert_int_equal(e, ERR_PROTOCOL); /* a first line without end */
    http_reader_clear(&r);
}

static void takes_events(void **state)
{
    (void)state;
    struct buf body = {0};
    struct http_event e;
    buf_add_text(
        &body,
        ": sign of life\n\nevent: token\ndata: {\"i\":0,\ndata:  \"text\":\"a\"}\n\n\r\ndata:plain\r\n\r\nevent: d");
    assert_true(http_event_take(&body, &e));
    assert_string_equal(e.name, "token");
    assert_string_equal(buf_text(&e.data), "{\"i\":0,\n \"text\":\"a\"}");
    buf_clear(&e.data);
    assert_true(http_event_take(&body, &e));
    assert_string_equal(e.name, "message");
    assert_string_equal(buf_text(&e.data), "plain");
    buf_clear(&e.data);
    assert_false(http_event_take(&body, &e));
    buf_add_text(&body, "one\ndata: 1\n\n");
    assert_true(http_event_take(&body, &e));
    assert_string_equal(e.name, "done");
    buf_clear(&e.data);
    assert_int_equal(body.n, 0);
    buf_clear(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_bodies),
        cmocka_unit_test(refuses_what_is_no_answer),
        cmocka_unit_test(bounds_what_it_holds),
        cmocka_unit_test(takes_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
