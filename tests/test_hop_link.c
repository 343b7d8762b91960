/* The head's end of a hop, against hops that do what they should not: whatever comes, the head gets an answer that the
 * hop signed, or is told that there is none. */
#include "base/log.h"
#include "base/mem.h"
#include "node/hops/hop_link.h"
#include "tests/net.h"

#include <stdlib.h>
#include <string.h>

struct stage {
    struct net net;
    struct streams *head, *hop;
    struct hop_link *link;
    /* the hop */
    uint64_t stream;
    unsigned opened, closed, parts;
    enum err accept_as;
    struct hop_taking taking;
    struct hop_statement statement;
    /* the head */
    unsigned changed, answers;
    enum err e;
    struct buf answer;
    char text[256];
    enum hop_link_state want;
};

static const struct hash chain = {{1}};

static void on_hop_data(void *arg, uint64_t stream, struct bytes message)
{
    struct stage *s = arg;
    struct hop_part part;
    uint8_t type;
    bool whole;
    struct cursor c = hop_message_open(message, &type);
    (void)stream;
    assert_int_equal(type, HOP_CALL);
    hop_part_get(&c, &part);
    assert_true(cursor_end(&c));
    s->taking.number = part.number;
    assert_int_equal(hop_taking_add(&s->taking, &part, &whole), ERR_OK);
    s->parts += whole;
}

static void on_hop_closed(void *arg, uint64_t stream, enum err reason, const char *text)
{
    struct stage *s = arg;
    (void)stream;
    (void)reason;
    (void)text;
    s->closed++;
    hop_taking_clear(&s->taking);
}

static const struct stream_calls hop_calls = {.data = on_hop_data, .closed = on_hop_closed};

static enum err on_hop_open(void *arg, uint64_t stream, const struct pubkey *from, struct bytes body,
                            const struct stream_calls **calls, void **calls_arg)
{
    struct stage *s = arg;
    struct hop_open m;
    struct cursor c = cursor_of(body);
    (void)from;
    hop_open_get(&c, &m);
    assert_true(cursor_end(&c));
    s->stream = stream;
    s->opened++;
    s->statement = (struct hop_statement){
        .chain = chain, .node = s->net.node[1].id, .model = m.model, .arith = m.arith, .first = m.first, .end = m.end};
    *calls = &hop_calls;
    *calls_arg = s;
    return s->accept_as;
}

static void on_changed(void *arg)
{
    struct stage *s = arg;
    s->changed++;
}

static void on_answer(void *arg, enum err e, struct bytes answer, const struct hop_statement *said, const char *text)
{
    struct stage *s = arg;
    s->answers++;
    s->e = e;
    buf_reset(&s->answer);
    buf_add(&s->answer, answer.p, answer.n);
    strncpy(s->text, text, sizeof s->text - 1);
    if (e == ERR_OK)
        assert_true(hop_statement_verify(said));
}

static const struct hop_link_calls link_calls = {on_changed, on_answer};

static void stage_open_net(struct stage *s, uint64_t call_ms)
{
    *s = (struct stage){0};
    net_open(&s->net);
    net_start(&s->net, 0, chain);
    net_start(&s->net, 1, chain);
    s->head = streams_new(s->net.host, s->net.node[0].peers);
    s->hop = streams_new(s->net.host, s->net.node[1].peers);
    streams_on(s->hop, STREAM_LAYERS, on_hop_open, s);
    const struct hop_link_options o = {.host = s->net.host,
                                       .peers = s->net.node[0].peers,
                                       .streams = s->head,
                                       .chain = chain,
                                       .node = s->net.node[1].id,
                                       .endpoint = strchr(s->net.node[1].address, '@') + 1,
                                       .of = {HOP_VERSION, {{9}}, 1, 4, 12},
                                       .call_ms = call_ms};
    s->link = hop_link_new(&o, &link_calls, s);
}

static void stage_close_net(struct stage *s)
{
    hop_link_free(s->link);
    streams_free(s->head);
    streams_free(s->hop);
    hop_taking_clear(&s->taking);
    buf_clear(&s->answer);
    net_close(&s->net);
}

static bool is_state(void *arg)
{
    const struct stage *s = arg;
    struct hop_link_info info;
    hop_link_get_info(s->link, &info);
    return info.state == s->want;
}

static void wait_for(struct stage *s, enum hop_link_state state)
{
    s->want = state;
    net_run(&s->net, is_state, s, 5000);
}

static bool is_opened(void *arg)
{
    const struct stage *s = arg;
    return s->opened > 0;
}

static bool is_called(void *arg)
{
    const struct stage *s = arg;
    return s->parts > 0;
}

/* -- what a hop says -- */

static void say(struct stage *s, const struct buf *b)
{
    assert_int_equal(streams_send(s->hop, s->stream, bytes_of_buf(b)), ERR_OK);
}

static void say_ready(struct stage *s, uint32_t batch, uint32_t pages)
{
    struct buf b = {0};
    struct hop_ready m = {.batch = batch, .pages = pages};
    assert_true(text64_set(&m.backend, "ref"));
    hop_message_start(&b, HOP_READY);
    hop_ready_put(&b, &m);
    say(s, &b);
    buf_clear(&b);
}

static void say_part(struct stage *s, uint64_t number, bool last, const char *text)
{
    struct buf b = {0};
    const struct hop_part m = {number, last, bytes_of_text(text)};
    hop_message_start(&b, HOP_ANSWER);
    hop_part_put(&b, &m);
    say(s, &b);
    buf_clear(&b);
}

/* Over `text`, after what was asked. `spoil`: a byte of the signature. */
static void say_signed(struct stage *s, uint64_t number, const char *text, uint8_t spoil)
{
    struct buf b = {0};
    struct hop_statement *m = &s->statement;
    m->number = number;
    m->call = hop_bytes_hash(bytes_of_buf(&s->taking.bytes));
    m->answer = hop_bytes_hash(bytes_of_text(text));
    hop_statement_sign(m, &s->net.node[1].key);
    struct hop_signed w = {.number = number, .answer = m->answer, .sig = m->sig};
    w.sig.b[40] ^= spoil;
    hop_message_start(&b, HOP_SIGNED);
    hop_signed_put(&b, &w);
    say(s, &b);
    buf_clear(&b);
    m->before = hop_calls_hash(&m->before, &m->call);
}

static void get_ready(struct stage *s)
{
    hop_link_want(s->link, true);
    s->opened = 0;
    net_run(&s->net, is_opened, s, 5000);
    wait_for(s, HOP_LOADING);
    say_ready(s, 16, 8);
    wait_for(s, HOP_IS_READY);
}

static void ask(struct stage *s, const char *call)
{
    s->parts = s->answers = 0;
    hop_taking_clear(&s->taking);
    assert_int_equal(hop_link_call(s->link, bytes_of_text(call)), ERR_OK);
    net_run(&s->net, is_called, s, 5000);
}

static bool is_answered(void *arg)
{
    const struct stage *s = arg;
    return s->answers > 0;
}

/* -- the tests -- */

static void answers_come_with_their_statements(void **state)
{
    (void)state;
    struct stage s;
    struct hop_link_info info;
    stage_open_net(&s, 0);
    assert_int_equal(hop_link_call(s.link, bytes_of_text("x")), ERR_STATE);
    get_ready(&s);
    assert_int_equal(s.changed, 1);
    hop_link_get_info(s.link, &info);
    assert_int_equal(info.ready.batch, 16);
    assert_int_equal(info.ready.pages, 8);
    for (unsigned i = 1; i <= HOP_STATEMENTS + 3; i++) {
        ask(&s, "a call");
        assert_int_equal(hop_link_call(s.link, bytes_of_text("another")), ERR_STATE); /* one at a time */
        say_part(&s, i, false, "an ");
        say_part(&s, i, true, "answer");
        say_signed(&s, i, "an answer", 0);
        net_run(&s.net, is_answered, &s, 5000);
        assert_int_equal(s.e, ERR_OK);
        assert_int_equal(s.answer.n, 9);
    }
    assert_int_equal(hop_link_statement(s.link, 0)->number, HOP_STATEMENTS + 3);
    assert_int_equal(hop_link_statement(s.link, HOP_STATEMENTS - 1)->number, 4);
    assert_null(hop_link_statement(s.link, HOP_STATEMENTS));
    hop_link_want(s.link, false);
    net_wait(&s.net, 50);
    assert_int_equal(s.closed, 1);
    stage_close_net(&s);
}

static void much_goes_through(void **state)
{
    (void)state;
    struct stage s;
    uint8_t *p = mem_array(FAR_CALL_MAX + 1, 1);
    stage_open_net(&s, 0);
    get_ready(&s);
    assert_int_equal(hop_link_call(s.link, bytes_of(p, FAR_CALL_MAX + 1)), ERR_LIMIT);
    assert_int_equal(hop_link_call(s.link, bytes_of(p, FAR_CALL_MAX)), ERR_OK);
    net_run(&s.net, is_called, &s, 20000);
    assert_int_equal(s.taking.bytes.n, FAR_CALL_MAX);
    say_part(&s, 1, true, "");
    say_signed(&s, 1, "", 0);
    net_run(&s.net, is_answered, &s, 5000);
    assert_int_equal(s.e, ERR_OK);
    free(p);
    stage_close_net(&s);
}

enum wrong {
    SPOILT,       /* a signature over nothing */
    OTHER_ANSWER, /* signed, but not what was said */
    OTHER_NUMBER,
    OTHER_HISTORY, /* as if there had been other calls */
    PART_NUMBER,
    SIGNED_FIRST,
    SIGNED_EARLY, /* before the last part */
    PART_AFTER_LAST,
    READY_AGAIN,
    NONSENSE,
    NOTHING,
    CLOSES,
    SILENT, /* the call's time passes */
    WRONG_COUNT
};

static void be_wrong(struct stage *s, enum wrong how)
{
    struct buf b = {0};
    switch (how) {
    case SPOILT:
        say_part(s, 1, true, "a");
        say_signed(s, 1, "a", 1);
        break;
    case OTHER_ANSWER:
        say_part(s, 1, true, "a");
        say_signed(s, 1, "b", 0);
        break;
    case OTHER_NUMBER:
        say_part(s, 1, true, "a");
        say_signed(s, 2, "a", 0);
        break;
    case OTHER_HISTORY:
        s->statement.before.b[0] = 1;
        say_part(s, 1, true, "a");
        say_signed(s, 1, "a", 0);
        break;
    case PART_NUMBER:
        say_part(s, 2, true, "a");
        break;
    case SIGNED_FIRST:
        say_signed(s, 1, "", 0);
        break;
    case SIGNED_EARLY:
        say_part(s, 1, false, "a");
        say_signed(s, 1, "a", 0);
        break;
    case PART_AFTER_LAST:
        say_part(s, 1, true, "a");
        say_part(s, 1, true, "a");
        break;
    case READY_AGAIN:
        say_ready(s, 16, 8);
        break;
    case NONSENSE:
        buf_add_text(&b, "\x63nonsense");
        say(s, &b);
        break;
    case NOTHING:
        say(s, &b);
        break;
    case CLOSES:
        streams_close(s->hop, s->stream, ERR_REFUSED, "the battery is low");
        break;
    case SILENT:
    case WRONG_COUNT:
        break;
    }
    buf_clear(&b);
}

static void no_wrong_answer_is_taken(void **state)
{
    (void)state;
    for (unsigned how = 0; how < WRONG_COUNT; how++) {
        struct stage s;
        struct hop_link_info info;
        stage_open_net(&s, how == SILENT ? 200 : 0);
        get_ready(&s);
        ask(&s, "a call");
        be_wrong(&s, (enum wrong)how);
        net_run(&s.net, is_answered, &s, 5000);
        assert_int_not_equal(s.e, ERR_OK);
        assert_int_equal(s.answers, 1);
        hop_link_get_info(s.link, &info);
        assert_int_equal(info.state, HOP_PAUSED);
        assert_true(s.text[0] && strcmp(info.why, s.text) == 0);
        if (how == CLOSES)
            assert_string_equal(info.why, "the battery is low");
        assert_null(hop_link_statement(s.link, 0));
        get_ready(&s); /* after a pause it is asked again */
        ask(&s, "a call");
        say_part(&s, 1, true, "right");
        say_signed(&s, 1, "right", 0);
        net_run(&s.net, is_answered, &s, 5000);
        assert_int_equal(s.e, ERR_OK);
        stage_close_net(&s);
    }
}

/* Before there is a call, and before it is ready. */
static void unasked_words_end_it(void **state)
{
    (void)state;
    for (unsigned how = 0; how < 5; how++) {
        struct stage s;
        stage_open_net(&s, 0);
        hop_link_want(s.link, true);
        net_run(&s.net, is_opened, &s, 5000);
        wait_for(&s, HOP_LOADING);
        if (how == 0)
            say_part(&s, 1, true, "a");
        else if (how == 1)
            say_ready(&s, 0, 8);
        else if (how == 2)
            say_ready(&s, 16, 0);
        else if (how == 4)
            say_ready(&s, BATCH_MAX + 1, 8); /* no worker starts with that, and no job would go on */
        else {
            say_ready(&s, 16, 8);
            wait_for(&s, HOP_IS_READY);
            say_part(&s, 0, true, "a");
        }
        wait_for(&s, HOP_PAUSED);
        assert_int_equal(s.changed, how == 3 ? 2 : 0);
        assert_int_equal(s.answers, 0);
        stage_close_net(&s);
    }
}

static void refusals_are_tried_again_more_seldom(void **state)
{
    (void)state;
    struct stage s;
    stage_open_net(&s, 0);
    s.accept_as = ERR_AUTH;
    hop_link_want(s.link, true);
    net_wait(&s.net, 4 * HOP_PAUSE_MS); /* at 0, 1 and 3 seconds */
    assert_int_equal(s.opened, 3);
    s.accept_as = ERR_OK;
    get_ready(&s);
    stage_close_net(&s);
}

/* Whoever asked died: the answer is of use to nobody, but the layers have seen the call, and the next waits for it. */
static void a_forgotten_call_counts(void **state)
{
    (void)state;
    struct stage s;
    stage_open_net(&s, 0);
    get_ready(&s);
    ask(&s, "one");
    hop_link_forget(s.link);
    assert_int_equal(hop_link_call(s.link, bytes_of_text("two")), ERR_OK);
    assert_int_equal(hop_link_call(s.link, bytes_of_text("three")), ERR_STATE);
    say_part(&s, 1, true, "a");
    say_signed(&s, 1, "a", 0);
    s.parts = 0;
    hop_taking_clear(&s.taking);
    net_run(&s.net, is_called, &s, 5000);
    assert_int_equal(s.answers, 0);
    assert_int_equal(s.taking.bytes.n, 3);
    say_part(&s, 2, true, "bb");
    say_signed(&s, 2, "bb", 0);
    net_run(&s.net, is_answered, &s, 5000);
    assert_int_equal(s.e, ERR_OK);
    assert_int_equal(s.answer.n, 2);
    ask(&s, "three");
    hop_link_forget(s.link);
    assert_int_equal(hop_link_call(s.link, bytes_of_text("four")), ERR_OK);
    streams_close(s.hop, s.stream, ERR_OK, "");
    s.answers = 0;
    net_run(&s.net, is_answered, &s, 5000); /* the fourth's, once */
    assert_int_not_equal(s.e, ERR_OK);
    assert_int_equal(s.answers, 1);
    stage_close_net(&s);
}

static void nobody_there(void **state)
{
    (void)state;
    struct stage s;
    struct hop_link_info info;
    stage_open_net(&s, 0);
    const struct hop_link_options o = {.host = s.net.host,
                                       .peers = s.net.node[0].peers,
                                       .streams = s.head,
                                       .chain = chain,
                                       .node = {{77}},
                                       .of = {HOP_VERSION, {{9}}, 1, 4, 12}};
    hop_link_free(s.link);
    s.link = hop_link_new(&o, &link_calls, &s);
    hop_link_want(s.link, true);
    wait_for(&s, HOP_PAUSED);
    hop_link_get_info(s.link, &info);
    assert_non_null(strstr(info.why, "NODE@HOST:PORT"));
    stage_close_net(&s);
}

int main(void)
{
    log_open(LOG_BROKEN, NULL, NULL, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_come_with_their_statements),
        cmocka_unit_test(much_goes_through),
        cmocka_unit_test(no_wrong_answer_is_taken),
        cmocka_unit_test(unasked_words_end_it),
        cmocka_unit_test(refusals_are_tried_again_more_seldom),
        cmocka_unit_test(a_forgotten_call_counts),
        cmocka_unit_test(nobody_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
