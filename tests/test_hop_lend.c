/* Lending layers: heads that do what they should not get nothing. Real workers, on both sides of a connection over
 * loopback. */
#include "base/log.h"
#include "base/mem.h"
#include "inference/request.h"
#include "node/hops/hop_wire.h"
#include "tests/hop_stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A stream of layers as a head has it. */
struct end {
    unsigned at;
    uint64_t stream;
    unsigned closed, messages;
    enum err reason;
    char text[256];
    struct hop_ready ready;
};

static struct end ends[3]; /* of each node the latest */

static void on_data(void *arg, uint64_t stream, struct bytes message)
{
    struct end *e = arg;
    uint8_t type;
    struct cursor c = hop_message_open(message, &type);
    assert_int_equal(stream, e->stream);
    e->messages++;
    if (type == HOP_READY) {
        hop_ready_get(&c, &e->ready);
        assert_true(cursor_end(&c));
    }
}

static void on_closed(void *arg, uint64_t stream, enum err reason, const char *text)
{
    struct end *e = arg;
    e->closed += stream == e->stream; /* else it is one that another took the place of */
    e->reason = reason;
    snprintf(e->text, sizeof e->text, "%s", text);
}

static const struct stream_calls head_calls = {.data = on_data, .closed = on_closed};

static bool is_said(void *arg)
{
    const struct end *e = arg;
    return e->closed || e->messages;
}

static bool is_closed(void *arg)
{
    const struct end *e = arg;
    return e->closed > 0;
}

static struct end *open_raw(struct hop_stage *s, unsigned who, struct bytes body)
{
    struct end *e = &ends[who];
    *e = (struct end){.at = who};
    assert_int_equal(streams_open(s->side[who].streams, &s->net.node[LENDER].id, NULL, STREAM_LAYERS, body, &head_calls,
                                  e, &e->stream),
                     ERR_OK);
    net_run(&s->net, is_said, e, 20000);
    return e;
}

static struct end *open_as(struct hop_stage *s, unsigned who, uint32_t first, uint32_t end)
{
    struct buf b = {0};
    hop_open_put(&b, &(struct hop_open){HOP_VERSION, s->root, REQUEST_ARITH, first, end});
    struct end *e = open_raw(s, who, bytes_of_buf(&b));
    buf_clear(&b);
    return e;
}

static void expect_refusal(struct end *e, enum err reason, const char *says)
{
    assert_int_equal(e->closed, 1);
    assert_int_equal(e->messages, 0);
    assert_int_equal(e->reason, reason);
    if (!strstr(e->text, says))
        fail_msg("\"%s\" does not say \"%s\"", e->text, says);
}

static void say_part(struct hop_stage *s, struct end *e, uint64_t number, bool last, struct bytes bytes)
{
    struct buf b = {0};
    const struct hop_part m = {number, last, bytes};
    hop_message_start(&b, HOP_CALL);
    hop_part_put(&b, &m);
    assert_int_equal(streams_send(s->side[e->at].streams, e->stream, bytes_of_buf(&b)), ERR_OK);
    buf_clear(&b);
}

static void refusals(void **state)
{
    (void)state;
    struct hop_stage s;
    hop_stage_open(&s, 0);
    expect_refusal(open_as(&s, OTHER, 1, 3), ERR_AUTH, "kith hop allow");
    expect_refusal(open_raw(&s, OTHER, bytes_of_text("x")), ERR_AUTH, "kith hop allow"); /* nobody learns more */
    expect_refusal(open_as(&s, HEAD, 1, 3), ERR_NOT_FOUND, "kith model pull");
    hop_stage_import(&s, LENDER);
    expect_refusal(open_raw(&s, HEAD, bytes_of_text("x")), ERR_FORMAT, "malformed");
    expect_refusal(open_raw(&s, HEAD, bytes_of(NULL, 0)), ERR_FORMAT, "malformed");
    expect_refusal(open_as(&s, HEAD, 0, 3), ERR_RANGE, "between");
    expect_refusal(open_as(&s, HEAD, 1, 4), ERR_RANGE, "of 4");
    expect_refusal(open_as(&s, HEAD, 2, 2), ERR_RANGE, "between");
    expect_refusal(open_as(&s, HEAD, 2, UINT32_MAX), ERR_RANGE, "between");
    struct buf b = {0};
    hop_open_put(&b, &(struct hop_open){HOP_VERSION + 1, s.root, REQUEST_ARITH, 1, 3});
    expect_refusal(open_raw(&s, HEAD, bytes_of_buf(&b)), ERR_UNSUPPORTED, "version");
    buf_clear(&b);
    s.may = false;
    expect_refusal(open_as(&s, HEAD, 1, 3), ERR_REFUSED, "the battery is low");
    assert_true(s.more > 0); /* how much it would be was asked */
    assert_int_equal(hop_lender_count(s.lender), 0);
    hop_stage_close(&s);
}

static void one_head_at_a_time(void **state)
{
    (void)state;
    struct hop_stage s;
    hop_stage_open(&s, 0);
    hop_stage_import(&s, LENDER);
    s.allow[OTHER] = true;
    struct end *e = open_as(&s, HEAD, 1, 3);
    assert_int_equal(e->closed, 0);
    assert_true(e->ready.batch > 0 && e->ready.pages > 0 && e->ready.backend.n > 0);
    expect_refusal(open_as(&s, OTHER, 1, 2), ERR_BUSY, "already");
    const uint64_t first = e->stream;
    e = open_as(&s, HEAD, 1, 2); /* the same head: instead */
    assert_int_not_equal(e->stream, first);
    assert_int_equal(e->closed, 0);
    assert_int_equal(hop_lender_count(s.lender), 1);
    assert_true(hop_lender_bytes(s.lender) > 0);
    streams_close(s.side[HEAD].streams, e->stream, ERR_OK, "");
    net_wait(&s.net, 100);
    assert_int_equal(hop_lender_count(s.lender), 0);
    assert_int_equal(open_as(&s, OTHER, 1, 2)->closed, 0);
    hop_stage_close(&s);
}

static void the_owner_takes_it_back(void **state)
{
    (void)state;
    struct hop_stage s;
    hop_stage_open(&s, 0);
    hop_stage_import(&s, LENDER);
    struct end *e = open_as(&s, HEAD, 1, 3);
    hop_lender_look(s.lender);
    assert_int_equal(hop_lender_count(s.lender), 1);
    s.may = false;
    hop_lender_look(s.lender);
    assert_int_equal(hop_lender_count(s.lender), 0);
    net_run(&s.net, is_closed, e, 5000);
    assert_int_equal(e->reason, ERR_REFUSED);
    assert_non_null(strstr(e->text, "the battery is low"));
    s.may = true;
    e = open_as(&s, HEAD, 1, 3);
    s.allow[HEAD] = false;
    hop_lender_look(s.lender);
    net_run(&s.net, is_closed, e, 5000);
    assert_int_equal(e->reason, ERR_AUTH);
    hop_stage_close(&s);
}

static void calls_that_cannot_be(void **state)
{
    (void)state;
    struct hop_stage s;
    uint8_t *p = mem_array(HOP_PART_MAX + 1, 1);
    hop_stage_open(&s, 0);
    hop_stage_import(&s, LENDER);
    for (unsigned how = 0; how < 7; how++) {
        struct end *e = open_as(&s, HEAD, 1, 3);
        assert_int_equal(e->closed, 0);
        if (how == 0)
            say_part(&s, e, 2, true, bytes_of(p, 100));
        else if (how == 1)
            say_part(&s, e, 1, true, bytes_of(p, HOP_PART_MAX + 1));
        else if (how == 2)
            say_part(&s, e, 1, false, bytes_of(p, 0));
        else if (how == 3) /* whole, but nothing that layers could evaluate: the worker says so */
            say_part(&s, e, 1, true, bytes_of(p, 1000));
        else if (how == 4) {
            say_part(&s, e, 1, true, bytes_of(p, 1000));
            say_part(&s, e, 2, true, bytes_of(p, 1000)); /* another before there was an answer */
        } else
            assert_int_equal(streams_send(s.side[HEAD].streams, e->stream,
                                          how == 5 ? bytes_of(p, 0) : bytes_of_text("\x04nonsense")),
                             ERR_OK);
        net_run(&s.net, is_closed, e, 5000);
        assert_int_equal(e->reason, ERR_PROTOCOL);
        assert_int_equal(hop_lender_count(s.lender), 0);
    }
    free(p);
    hop_stage_close(&s);
}

struct pouring {
    struct hop_stage *s;
    struct end *e;
    uint8_t *p;
    uint64_t sent;
};

static bool is_poured(void *arg)
{
    struct pouring *x = arg;
    for (;;) {
        struct buf b = {0};
        const struct hop_part m = {1, false, {x->p, HOP_PART_MAX}};
        hop_message_start(&b, HOP_CALL);
        hop_part_put(&b, &m);
        enum err e = streams_send(x->s->side[HEAD].streams, x->e->stream, bytes_of_buf(&b));
        buf_clear(&b);
        if (e != ERR_OK)
            return x->e->closed > 0;
        x->sent += HOP_PART_MAX;
    }
}

static void a_call_without_end(void **state)
{
    (void)state;
    struct hop_stage s;
    hop_stage_open(&s, 0);
    hop_stage_import(&s, LENDER);
    struct pouring x = {.s = &s, .p = mem_array(HOP_PART_MAX, 1)};
    x.e = open_as(&s, HEAD, 1, 3);
    net_run(&s.net, is_poured, &x, 20000);
    assert_int_equal(x.e->reason, ERR_LIMIT);
    assert_true(x.sent >= FAR_CALL_MAX && x.sent < FAR_CALL_MAX + 2u * STREAM_WINDOW);
    free(x.p);
    hop_stage_close(&s);
}

int main(void)
{
    log_open(LOG_BROKEN, NULL, NULL, NULL);
    if (access(HOP_MODEL, R_OK) != 0) {
        print_message("skip: %s is not there\n", HOP_MODEL);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refusals),
        cmocka_unit_test(one_head_at_a_time),
        cmocka_unit_test(the_owner_takes_it_back),
        cmocka_unit_test(calls_that_cannot_be),
        cmocka_unit_test(a_call_without_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
