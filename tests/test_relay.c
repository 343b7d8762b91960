/* Who sends news whole and who only tells of it, over real sockets: one node in the middle, the others around it. */
#include "node/consensus/relay.h"
#include "tests/net.h"

#include <string.h>

#define AROUND 6 /* node 0 is the middle */

struct ring {
    struct net net;
    struct relay *relay[NET_MAX];
    unsigned n;
    unsigned got[NET_MAX]; /* votes that each was sent */
};

struct at {
    struct ring *r;
    unsigned i;
};
static struct at at[NET_MAX];

static enum err on_news(void *arg, const struct pubkey *from, struct bytes body)
{
    const struct at *a = arg;
    return relay_take(a->r->relay[a->i], from, body);
}

static enum err on_vote(void *arg, const struct pubkey *from, struct bytes body)
{
    const struct at *a = arg;
    (void)from, (void)body;
    a->r->got[a->i]++;
    return ERR_OK;
}

static void on_change(void *arg, const struct pubkey *peer, bool up)
{
    const struct at *a = arg;
    relay_change(a->r->relay[a->i], peer, up);
}

static void ring_open(struct ring *r, unsigned around)
{
    *r = (struct ring){.n = around + 1};
    net_open(&r->net);
    for (unsigned i = 0; i < r->n; i++) {
        net_start(&r->net, i, (struct hash){{1}});
        struct peers *p = r->net.node[i].peers;
        at[i] = (struct at){r, i};
        r->relay[i] = relay_new(r->net.host, p);
        peers_on(p, MSG_NEWS, on_news, &at[i]);
        peers_on(p, MSG_VOTE, on_vote, &at[i]);
        peers_on_change(p, on_change, &at[i]);
    }
    for (unsigned i = 1; i < r->n; i++)
        net_join(&r->net, i, 0);
}

static void ring_close(struct ring *r)
{
    for (unsigned i = 0; i < r->n; i++) {
        net_stop(&r->net, i);
        relay_free(r->relay[i]);
    }
    net_close(&r->net);
}

static unsigned told_by_others(const struct ring *r)
{
    unsigned n = 0;
    for (unsigned i = 1; i < r->n; i++)
        n += relay_told(r->relay[i]) == relay_bit(r->relay[i], &r->net.node[0].id);
    return n;
}

static bool few_are_near(void *arg)
{
    const struct ring *r = arg;
    return told_by_others(r) == AROUND - RELAY_NEAR;
}

static void few_peers_are_all_near(void **state)
{
    (void)state;
    struct ring r;
    ring_open(&r, RELAY_ALL);
    net_wait(&r.net, RELAY_SOON_MS + 200);
    assert_int_equal(told_by_others(&r), 0);
    for (unsigned i = 0; i < r.n; i++)
        assert_true(relay_told(r.relay[i]) == 0);
    ring_close(&r);
}

static bool votes_came(void *arg)
{
    const struct ring *r = arg;
    unsigned n = 0;
    for (unsigned i = 1; i < r->n; i++)
        n += r->got[i];
    return n >= 2 * AROUND - 2;
}

/* Those that brought most are near, whatever is drawn. */
static void of_many_the_first_are_near(void **state)
{
    (void)state;
    struct ring r;
    ring_open(&r, AROUND);
    for (unsigned k = 0; k < 100; k++) {
        relay_credit(r.relay[0], &r.net.node[2].id);
        relay_credit(r.relay[0], &r.net.node[5].id);
    }
    net_run(&r.net, few_are_near, &r, 5000);
    assert_true(relay_told(r.relay[2]) == 0);
    assert_true(relay_told(r.relay[5]) == 0);
    /* The middle itself was asked for nothing: what it passes on goes to all but where it came from. */
    relay_pass(r.relay[0], MSG_VOTE, bytes_of("v", 1), &r.net.node[1].id);
    relay_pass(r.relay[0], MSG_VOTE, bytes_of("v", 1), NULL);
    relay_tell(r.relay[0], MSG_VOTE, bytes_of("v", 1), NULL);
    net_run(&r.net, votes_came, &r, 5000);
    net_wait(&r.net, 50);
    for (unsigned i = 1; i < r.n; i++)
        assert_int_equal(r.got[i], i == 1 ? 1 : 2);
    ring_close(&r);
}

static bool middle_is_told(void *arg)
{
    const struct ring *r = arg;
    return r->got[0] >= AROUND - RELAY_NEAR;
}

static void who_wants_to_be_told_gets_nothing_whole(void **state)
{
    (void)state;
    struct ring r;
    ring_open(&r, AROUND);
    net_run(&r.net, few_are_near, &r, 5000);
    for (unsigned i = 1; i < r.n; i++)
        relay_tell(r.relay[i], MSG_VOTE, bytes_of("v", 1), NULL);
    net_run(&r.net, middle_is_told, &r, 5000);
    for (unsigned i = 1; i < r.n; i++)
        relay_pass(r.relay[i], MSG_VOTE, bytes_of("v", 1), NULL);
    net_wait(&r.net, 100);
    assert_int_equal(r.got[0], AROUND); /* each either told, or sent */
    ring_close(&r);
}

static void places_come_and_go(void **state)
{
    (void)state;
    struct ring r;
    struct pubkey key = {{0}};
    ring_open(&r, 1);
    struct relay *relay = r.relay[0];
    for (unsigned k = 0; k < RELAY_SLOTS - 1; k++) {
        key.b[0] = (uint8_t)(100 + k);
        relay_change(relay, &key, true);
        int slot = relay_slot(relay, &key);
        assert_in_range(slot, 1, RELAY_SLOTS - 1);
        assert_true(pubkey_equal(relay_peer(relay, slot), &key));
        assert_true(relay_bit(relay, &key) == UINT64_C(1) << slot);
    }
    key.b[1] = 1; /* one too many: no place, and no harm */
    relay_change(relay, &key, true);
    assert_int_equal(relay_slot(relay, &key), -1);
    assert_true(relay_bit(relay, &key) == 0);
    assert_int_equal(relay_take(relay, &key, bytes_of("\0", 1)), ERR_OK);
    relay_credit(relay, &key);
    key.b[1] = 0;
    key.b[0] = 110;
    int slot = relay_slot(relay, &key);
    relay_change(relay, &key, false);
    assert_int_equal(relay_slot(relay, &key), -1);
    assert_null(relay_peer(relay, slot));
    assert_null(relay_peer(relay, -1));
    assert_int_equal(relay_take(relay, &r.net.node[1].id, bytes_of("\2", 1)), ERR_PROTOCOL);
    assert_int_equal(relay_take(relay, &r.net.node[1].id, bytes_of("\0\0", 2)), ERR_PROTOCOL);
    assert_int_equal(relay_take(relay, &r.net.node[1].id, bytes_of("\0", 1)), ERR_OK);
    assert_true(relay_told(relay) == relay_bit(relay, &r.net.node[1].id));
    assert_int_equal(relay_take(relay, &r.net.node[1].id, bytes_of("\1", 1)), ERR_OK);
    assert_true(relay_told(relay) == 0);
    ring_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(few_peers_are_all_near),
        cmocka_unit_test(of_many_the_first_are_near),
        cmocka_unit_test(who_wants_to_be_told_gets_nothing_whole),
        cmocka_unit_test(places_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
