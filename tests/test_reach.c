/* Dialling back, and what a node concludes from it. */
#include "node/net/reach.h"
#include "tests/net.h"

#include <stdio.h>
#include <string.h>

struct side {
    struct streams *streams;
    struct dialbacks *dialbacks;
    struct reach *reach;
};

struct fixture {
    struct net net;
    struct side side[3];
    struct dialback_result got;
    unsigned answers;
};

static void side_open(struct fixture *f, unsigned i)
{
    struct net_node *n = &f->net.node[i];
    struct hash chain = {{1}};
    net_start(&f->net, i, chain);
    f->side[i].streams = streams_new(f->net.host, n->peers);
    f->side[i].dialbacks = dialbacks_new(f->net.host, n->peers, f->side[i].streams, n->transport);
}

static void side_close(struct fixture *f, unsigned i)
{
    reach_free(f->side[i].reach);
    dialbacks_free(f->side[i].dialbacks);
    streams_free(f->side[i].streams);
}

static void fixture_open(struct fixture *f, unsigned n)
{
    *f = (struct fixture){0};
    net_open(&f->net);
    for (unsigned i = 0; i < n; i++)
        side_open(f, i);
}

static void fixture_close(struct fixture *f)
{
    for (unsigned i = 0; i < 3; i++)
        if (f->side[i].streams)
            side_close(f, i);
    net_close(&f->net);
}

static void on_result(void *arg, const struct pubkey *helper, const struct dialback_result *result)
{
    struct fixture *f = arg;
    assert_true(pubkey_equal(helper, &f->net.node[1].id));
    f->got = *result;
    f->answers++;
}

static bool has_answer(void *arg)
{
    return ((struct fixture *)arg)->answers > 0;
}

static void ask(struct fixture *f, uint16_t port)
{
    f->answers = 0;
    assert_int_equal(dialback_ask(f->side[0].dialbacks, &f->net.node[1].id, port, on_result, f), ERR_OK);
    assert_int_equal(dialback_ask(f->side[0].dialbacks, &f->net.node[1].id, port, on_result, f), ERR_BUSY);
    net_run(&f->net, has_answer, f, 12000);
}

static void a_peer_dials_back_once_in_a_while(void **state)
{
    struct fixture f;
    char at[64];
    (void)state;
    fixture_open(&f, 2);
    assert_int_equal(dialback_ask(f.side[0].dialbacks, &f.net.node[1].id, 1, on_result, &f), ERR_NOT_FOUND);
    net_join(&f.net, 0, 1);
    uint16_t port = peers_port(f.net.node[0].peers);
    ask(&f, port);
    snprintf(at, sizeof at, "127.0.0.1:%u", port);
    assert_int_equal(f.got.asked, ERR_OK);
    assert_true(f.got.reached);
    assert_string_equal(f.got.at, at);
    assert_int_equal(peers_count(f.net.node[0].peers), 1); /* a probe is no connection, and takes none away */
    assert_true(peers_is_dialled(f.net.node[0].peers, &f.net.node[1].id));
    ask(&f, port);
    assert_int_equal(f.got.asked, ERR_BUSY);
    fixture_close(&f);
}

/* Something listens there, but has not the asker's key: it was not the asker that was reached. */
static void another_one_s_port_is_not_this_node(void **state)
{
    struct fixture f;
    (void)state;
    fixture_open(&f, 3);
    net_join(&f.net, 0, 1);
    ask(&f, peers_port(f.net.node[2].peers));
    assert_int_equal(f.got.asked, ERR_OK);
    assert_false(f.got.reached);
    assert_int_not_equal(f.got.why, ERR_OK);
    fixture_close(&f);
}

static void nobody_listens_there(void **state)
{
    struct fixture f;
    (void)state;
    fixture_open(&f, 2);
    net_join(&f.net, 0, 1);
    ask(&f, 1);
    assert_int_equal(f.got.asked, ERR_OK);
    assert_false(f.got.reached);
    assert_int_equal(f.got.why, ERR_IO);
    fixture_close(&f);
}

static void no_port_is_no_question(void **state)
{
    struct fixture f;
    (void)state;
    fixture_open(&f, 2);
    net_join(&f.net, 0, 1);
    ask(&f, 0);
    assert_int_equal(f.got.asked, ERR_FORMAT);
    fixture_close(&f);
}

/* Whom the helper dialled itself has been reached by that; and what was dialled then may be a name. */
static void a_helper_that_dialled_refuses(void **state)
{
    struct fixture f;
    (void)state;
    fixture_open(&f, 2);
    net_join(&f.net, 1, 0);
    ask(&f, peers_port(f.net.node[0].peers));
    assert_int_equal(f.got.asked, ERR_REFUSED);
    fixture_close(&f);
}

static bool knows(void *arg)
{
    return reach_info(arg).state == REACH_YES;
}

static void changed(void *arg)
{
    (*(unsigned *)arg)++;
}

/* -- a helper that lies -- */

static char lie[64];

static enum err on_lie(void *arg, uint64_t stream, const struct pubkey *from, struct bytes body,
                       const struct stream_calls **calls, void **calls_arg)
{
    static const struct stream_calls none;
    struct fixture *f = arg;
    struct dialback_said said = {.reached = true};
    struct buf out = {0};
    (void)from;
    (void)body;
    assert_true(text255_set(&said.at, lie));
    dialback_said_put(&out, &said);
    assert_int_equal(streams_send(f->side[1].streams, stream, bytes_of_buf(&out)), ERR_OK);
    buf_clear(&out);
    *calls = &none;
    *calls_arg = NULL;
    return ERR_OK;
}

/* What it says goes to others as this node's own address: a name, which leads where its owner likes, another port than
 * was asked for, or nothing that can be dialled. */
static void a_helper_names_the_address_that_it_saw(void **state)
{
    static const char *const lies[] = {"victim.example:7718", "198.51.100.7:1", ":7718", "nonsense"};
    struct fixture f;
    (void)state;
    fixture_open(&f, 1);
    struct hash chain = {{1}};
    net_start(&f.net, 1, chain);
    f.side[1].streams = streams_new(f.net.host, f.net.node[1].peers);
    streams_on(f.side[1].streams, STREAM_DIALBACK, on_lie, &f);
    net_join(&f.net, 0, 1);
    snprintf(lie, sizeof lie, "198.51.100.7:7718");
    ask(&f, 7718);
    assert_int_equal(f.got.asked, ERR_OK);
    assert_string_equal(f.got.at, "198.51.100.7:7718");
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        snprintf(lie, sizeof lie, "%s", lies[i]);
        ask(&f, 7718);
        if (f.got.asked != ERR_FORMAT)
            fail_msg("%s was believed", lies[i]);
    }
    fixture_close(&f);
}

static void a_node_learns_where_it_is_reached(void **state)
{
    struct fixture f;
    unsigned changes = 0;
    char at[64];
    (void)state;
    fixture_open(&f, 2);
    for (unsigned i = 0; i < 2; i++)
        f.side[i].reach = reach_new(f.net.host, f.net.node[i].peers, f.side[i].dialbacks);
    reach_on_change(f.side[0].reach, changed, &changes);
    assert_int_equal(reach_info(f.side[0].reach).state, REACH_UNKNOWN);
    net_join(&f.net, 0, 1);
    net_run(&f.net, knows, f.side[0].reach, 5000);
    struct reach_info asker = reach_info(f.side[0].reach), helper = reach_info(f.side[1].reach);
    snprintf(at, sizeof at, "127.0.0.1:%u", peers_port(f.net.node[0].peers));
    assert_string_equal(asker.at, at);
    assert_false(asker.outside); /* loopback */
    assert_true(changes > 0);
    assert_int_equal(helper.state, REACH_YES); /* it was dialled, and need not ask */
    assert_string_equal(helper.at, "");
    fixture_close(&f);
}

static bool is_not(void *arg)
{
    return reach_info(arg).state == REACH_NO;
}

static void a_port_that_does_not_answer_is_not_reachable(void **state)
{
    struct fixture f;
    (void)state;
    fixture_open(&f, 2);
    f.side[0].reach = reach_new(f.net.host, f.net.node[0].peers, f.side[0].dialbacks);
    reach_set_port(f.side[0].reach, 1); /* as a router that passes another port on, and does not */
    net_join(&f.net, 0, 1);
    net_run(&f.net, is_not, f.side[0].reach, 5000);
    struct reach_info info = reach_info(f.side[0].reach);
    assert_int_equal(info.why, ERR_IO);
    assert_int_equal(info.no, 1);
    assert_string_equal(info.at, "");
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_peer_dials_back_once_in_a_while),
        cmocka_unit_test(another_one_s_port_is_not_this_node),
        cmocka_unit_test(nobody_listens_there),
        cmocka_unit_test(no_port_is_no_question),
        cmocka_unit_test(a_helper_that_dialled_refuses),
        cmocka_unit_test(a_helper_names_the_address_that_it_saw),
        cmocka_unit_test(a_node_learns_where_it_is_reached),
        cmocka_unit_test(a_port_that_does_not_answer_is_not_reachable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
