/* Streams: the table of numbers and credit, and two nodes that talk through them. */
#include "base/log.h"
#include "node/net/streams.h"
#include "p2p/stream.h"
#include "tests/net.h"

#include <stdlib.h>
#include <string.h>

static void numbers_and_credit(void **state)
{
    (void)state;
    struct stream_table a, b;
    enum err e;
    uint32_t give;
    bool ready;
    stream_table_init(&a, true);
    stream_table_init(&b, false);
    struct stream *out = stream_open_out(&a, 7, STREAM_WINDOW);
    assert_int_equal(out->id, 2);
    assert_null(stream_open_in(&b, 3, 1, STREAM_WINDOW, &e)); /* the wrong parity */
    assert_int_equal(e, ERR_PROTOCOL);
    assert_null(stream_open_in(&b, 4, 1, STREAM_WINDOW, &e)); /* a gap */
    struct stream *in = stream_open_in(&b, 2, 1, STREAM_WINDOW, &e);
    assert_non_null(in);
    assert_null(stream_open_in(&b, 2, 1, STREAM_WINDOW, &e)); /* twice */
    assert_true(stream_spend(out, STREAM_WINDOW - 1));
    assert_false(stream_spend(out, 2));
    assert_false(stream_take(in, STREAM_WINDOW + 1, &give));
    assert_true(stream_take(in, 10, &give));
    assert_int_equal(give, 0);
    assert_true(stream_take(in, STREAM_WINDOW / 2, &give));
    assert_int_equal(give, STREAM_WINDOW / 2 + 10);
    assert_true(stream_refill(out, give, &ready));
    assert_true(ready);
    assert_false(stream_refill(out, STREAM_WINDOW, &ready)); /* more than can be missing */
    assert_true(stream_was_open(&b, 2));
    assert_false(stream_was_open(&b, 4));
    assert_false(stream_was_open(&b, 1));
    stream_hold(in, true, &give);
    assert_int_equal(give, 0);
    assert_true(stream_take(in, STREAM_WINDOW / 2, &give));
    assert_int_equal(give, 0); /* held: no credit... */
    stream_hold(in, false, &give);
    assert_int_equal(give, STREAM_WINDOW / 2); /* ...until it is not */
    stream_remove(&b, 2);
    assert_null(stream_find(&b, 2));
    assert_true(stream_was_open(&b, 2));
    for (unsigned i = 1; i < STREAMS_MAX; i++)
        assert_non_null(stream_open_out(&a, i, STREAM_WINDOW));
    assert_null(stream_open_out(&a, 0, STREAM_WINDOW));
    stream_table_clear(&a);
    stream_table_clear(&b);
}

/* An end of a stream in the tests below. */
struct end {
    struct streams *streams;
    uint64_t stream;
    size_t bytes, sent, want;
    unsigned messages, opened, closed;
    enum err reason, accept_as;
    char text[64];
};

static void on_opened(void *arg, uint64_t stream)
{
    struct end *e = arg;
    assert_int_equal(stream, e->stream);
    e->opened++;
}

static void on_data(void *arg, uint64_t stream, struct bytes message)
{
    struct end *e = arg;
    assert_int_equal(stream, e->stream);
    e->messages++;
    e->bytes += message.n;
}

static void pour(struct end *e)
{
    static uint8_t some[100000];
    while (e->sent < e->want) {
        enum err got = streams_send(e->streams, e->stream, bytes_of(some, sizeof some));
        if (got == ERR_BUSY)
            return;
        assert_int_equal(got, ERR_OK);
        e->sent += sizeof some;
    }
}

static void on_ready(void *arg, uint64_t stream)
{
    (void)stream;
    pour(arg);
}

static void on_closed(void *arg, uint64_t stream, enum err reason, const char *text)
{
    struct end *e = arg;
    (void)stream;
    e->closed++;
    e->reason = reason;
    strncpy(e->text, text, sizeof e->text - 1);
}

static const struct stream_calls calls = {on_opened, on_data, on_ready, on_closed};

static enum err accept_one(void *arg, uint64_t stream, const struct pubkey *from, struct bytes body,
                           const struct stream_calls **out, void **out_arg)
{
    struct end *e = arg;
    struct pubkey peer;
    assert_true(streams_peer(e->streams, stream, &peer));
    assert_true(pubkey_equal(&peer, from));
    e->stream = stream;
    e->opened++;
    e->bytes += body.n;
    *out = &calls;
    *out_arg = e;
    return e->accept_as;
}

struct fixture {
    struct net net;
    struct end a, b;
};

static void fixture_open(struct fixture *f)
{
    struct hash chain = {{1}};
    *f = (struct fixture){0};
    net_open(&f->net);
    net_start(&f->net, 0, chain);
    net_start(&f->net, 1, chain);
    f->a.streams = streams_new(f->net.host, f->net.node[0].peers);
    f->b.streams = streams_new(f->net.host, f->net.node[1].peers);
    streams_on(f->b.streams, STREAM_JOB, accept_one, &f->b);
}

static void fixture_close(struct fixture *f)
{
    streams_free(f->a.streams);
    streams_free(f->b.streams);
    net_close(&f->net);
}

static enum err open_to_b(struct fixture *f, enum stream_kind kind, const char *endpoint, const char *body)
{
    return streams_open(f->a.streams, &f->net.node[1].id, endpoint, kind, bytes_of_text(body), &calls, &f->a,
                        &f->a.stream);
}

static bool a_closed(void *arg)
{
    return ((struct fixture *)arg)->a.closed > 0;
}
static bool b_closed(void *arg)
{
    return ((struct fixture *)arg)->b.closed > 0;
}
static bool b_opened(void *arg)
{
    return ((struct fixture *)arg)->b.opened > 0;
}
static bool all_came(void *arg)
{
    struct fixture *f = arg;
    return f->b.bytes >= f->a.want && f->a.bytes >= f->b.want;
}

static void dials_waits_and_opens(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    assert_int_equal(open_to_b(&f, STREAM_JOB, NULL, "x"), ERR_NOT_FOUND); /* nobody knows where */
    const char *endpoint = strchr(f.net.node[1].address, '@') + 1;
    assert_int_equal(open_to_b(&f, STREAM_JOB, endpoint, "hello"), ERR_OK);
    assert_int_equal(streams_send(f.a.streams, f.a.stream, bytes_of_text("early")), ERR_BUSY);
    net_run(&f.net, b_opened, &f, 3000);
    assert_int_equal(f.a.opened, 1);
    assert_int_equal(f.b.bytes, 5);
    streams_close(f.a.streams, f.a.stream, ERR_CANCELLED, "enough");
    net_run(&f.net, b_closed, &f, 2000);
    assert_int_equal(f.b.reason, ERR_CANCELLED);
    assert_string_equal(f.b.text, "enough");
    assert_int_equal(streams_send(f.a.streams, f.a.stream, bytes_of_text("x")), ERR_NOT_FOUND);
    assert_int_equal(f.a.closed, 0);
    fixture_close(&f);
}

static void credit_carries_much_both_ways(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    net_join(&f.net, 0, 1);
    assert_int_equal(open_to_b(&f, STREAM_JOB, NULL, ""), ERR_OK);
    net_run(&f.net, b_opened, &f, 2000);
    f.a.want = 60000000;
    f.b.want = 20000000;
    pour(&f.a);
    pour(&f.b);
    assert_true(f.a.sent < f.a.want); /* the credit ended first */
    net_run(&f.net, all_came, &f, 20000);
    assert_int_equal(f.b.bytes, f.a.sent);
    assert_int_equal(f.a.closed + f.b.closed, 0);
    fixture_close(&f);
}

static void refused_unknown_and_lost(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    net_join(&f.net, 0, 1);
    f.b.accept_as = ERR_FULL;
    assert_int_equal(open_to_b(&f, STREAM_JOB, NULL, "x"), ERR_OK);
    net_run(&f.net, a_closed, &f, 2000);
    assert_int_equal(f.a.reason, ERR_FULL);
    f.a.closed = 0;
    assert_int_equal(open_to_b(&f, STREAM_AUDIT, NULL, "x"), ERR_OK); /* b does not do that */
    net_run(&f.net, a_closed, &f, 2000);
    assert_int_equal(f.a.reason, ERR_UNSUPPORTED);
    f.a.closed = 0;
    f.b.accept_as = ERR_OK;
    f.b.opened = 0;
    assert_int_equal(open_to_b(&f, STREAM_JOB, NULL, "x"), ERR_OK);
    net_run(&f.net, b_opened, &f, 2000);
    peers_drop(f.net.node[1].peers, &f.net.node[0].id, ERR_CLOSED, "test");
    net_run(&f.net, a_closed, &f, 2000);
    assert_int_equal(f.a.reason, ERR_CLOSED);
    assert_int_equal(f.b.closed, 1);
    fixture_close(&f);
}

/* Being refused costs nothing else: thousands of openings that come to nothing would keep all others waiting. */
static void refusals_cost_who_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    net_join(&f.net, 0, 1);
    f.b.accept_as = ERR_FULL;
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(open_to_b(&f, STREAM_JOB, NULL, "x"), ERR_OK);
    net_wait(&f.net, 500);
    assert_in_range(f.a.closed, PEER_RATE_BURST / 250, PEER_RATE_BURST / 150);
    fixture_close(&f);
}

static void gives_up_on_one_that_is_not_there(void **state)
{
    (void)state;
    struct fixture f;
    struct pubkey nobody;
    struct seckey key;
    fixture_open(&f);
    key_new(&key);
    key_derive(&key, &nobody);
    assert_int_equal(
        streams_open(f.a.streams, &nobody, "127.0.0.1:1", STREAM_JOB, bytes_of_text("x"), &calls, &f.a, &f.a.stream),
        ERR_OK);
    net_run(&f.net, a_closed, &f, PEER_DIAL_MS + 2000);
    assert_int_equal(f.a.reason, ERR_TIMEOUT);
    fixture_close(&f);
}

int main(void)
{
    log_open(LOG_BROKEN, NULL, NULL, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_and_credit),
        cmocka_unit_test(dials_waits_and_opens),
        cmocka_unit_test(credit_carries_much_both_ways),
        cmocka_unit_test(refused_unknown_and_lost),
        cmocka_unit_test(refusals_cost_who_is_refused),
        cmocka_unit_test(gives_up_on_one_that_is_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
