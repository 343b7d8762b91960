/* Nodes' connections over real sockets: hello, dispatch, duplicates, wrong chain, self, garbage,
 * reconnecting. */
#include "base/file.h"
#include "base/log.h"
#include "tests/net.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

static struct hash chain_of(uint8_t b)
{
    struct hash h = {{b}};
    return h;
}

struct inbox {
    unsigned n, ups, downs;
    struct pubkey from;
    size_t size;
    enum err answer;
};

static enum err on_message(void *arg, const struct pubkey *from, struct bytes body)
{
    struct inbox *in = arg;
    in->n++;
    in->from = *from;
    in->size = body.n;
    return in->answer;
}

static void on_change(void *arg, const struct pubkey *peer, bool up)
{
    struct inbox *in = arg;
    (void)peer;
    if (up)
        in->ups++;
    else
        in->downs++;
}

static bool has_message(void *arg)
{
    return ((struct inbox *)arg)->n > 0;
}

static bool has_down(void *arg)
{
    return ((struct inbox *)arg)->downs > 0;
}

static void messages_reach_their_handler(void **state)
{
    (void)state;
    struct net net;
    struct inbox in = {0};
    static uint8_t block[BLOCK_SIZE_MAX];
    net_open(&net);
    net_start(&net, 0, chain_of(1));
    net_start(&net, 1, chain_of(1));
    peers_on(net.node[1].peers, MSG_TX, on_message, &in);
    peers_on(net.node[1].peers, MSG_BLOCK, on_message, &in);
    struct peers *a = net.node[0].peers;
    assert_int_equal(peers_send(a, &net.node[1].id, MSG_TX, bytes_of_text("x")), ERR_NOT_FOUND);
    net_join(&net, 0, 1);
    assert_int_equal(peers_send(a, &net.node[1].id, MSG_TX, bytes_of_text("x")), ERR_OK);
    net_run(&net, has_message, &in, 2000);
    assert_true(pubkey_equal(&in.from, &net.node[0].id));
    assert_int_equal(in.size, 1);
    in.n = 0;
    assert_int_equal(peers_broadcast(a, MSG_BLOCK, bytes_of(block, sizeof block), NULL), 1);
    net_run(&net, has_message, &in, 2000);
    assert_int_equal(in.size, sizeof block);
    assert_int_equal(peers_send(a, &net.node[1].id, MSG_VOTE, bytes_of(block, 4096)), ERR_LIMIT);
    assert_true(peers_seen_first(a, MSG_TX, bytes_of_text("x")));
    assert_false(peers_seen_first(a, MSG_TX, bytes_of_text("x")));
    assert_true(peers_seen_first(a, MSG_OFFER, bytes_of_text("x")));
    net_close(&net);
}

static void both_dial_and_one_connection_stays(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        struct net net;
        struct inbox in[2] = {{0}, {0}};
        net_open(&net);
        for (unsigned k = 0; k < 2; k++) {
            net_start(&net, k, chain_of(1));
            peers_on_change(net.node[k].peers, on_change, &in[k]);
        }
        net_connect(&net, 0, 1);
        net_join(&net, 1, 0);
        net_wait(&net, 200);
        for (unsigned k = 0; k < 2; k++) {
            assert_int_equal(peers_count(net.node[k].peers), 1);
            assert_int_equal(in[k].ups - in[k].downs, 1);
        }
        net_close(&net);
    }
}

static void other_chain_and_own_address_are_refused(void **state)
{
    (void)state;
    struct net net;
    struct note note;
    net_open(&net);
    net_start(&net, 0, chain_of(1));
    net_start(&net, 1, chain_of(2));
    assert_int_equal(peers_add(net.node[0].peers, net.node[0].address, &note), ERR_DUPLICATE);
    net_connect(&net, 0, 1);
    net_wait(&net, 300);
    assert_int_equal(peers_count(net.node[0].peers), 0);
    assert_int_equal(peers_count(net.node[1].peers), 0);
    assert_int_equal(peers_add(net.node[0].peers, "nonsense", &note), ERR_FORMAT);
    assert_non_null(strstr(note.text, "nonsense"));
    net_close(&net);
}

static void a_taken_port_is_one_clear_line(void **state)
{
    (void)state;
    struct net net;
    struct note note;
    char listen_at[32];
    struct peers *p;
    net_open(&net);
    net_start(&net, 0, chain_of(1));
    snprintf(listen_at, sizeof listen_at, "127.0.0.1:%u", peers_port(net.node[0].peers));
    struct transport *t = transport_uv_open(host_uv_loop(net.host));
    struct peers_options o = {
        .host = net.host, .transport = t, .key = &net.node[0].key, .chain = chain_of(1), .listen = listen_at};
    assert_int_equal(peers_open(&o, &p, &note), ERR_EXISTS);
    assert_non_null(strstr(note.text, listen_at));
    transport_free(t);
    net_close(&net);
}

static enum err reopen(struct net *net, const char *bans, struct peers **out, struct note *note)
{
    struct transport *t = transport_uv_open(host_uv_loop(net->host));
    struct peers_options o = {.host = net->host,
                              .transport = t,
                              .key = &net->node[0].key,
                              .chain = chain_of(1),
                              .listen = "",
                              .bans_path = bans};
    enum err e = peers_open(&o, out, note);
    if (e == ERR_OK) {
        peers_close(*out);
        net_wait(net, 1);
    }
    transport_free(t);
    return e;
}

/* Whoever was kept out is not let in because a file was cut, even where a node ends in it, or changed. */
static void a_damaged_list_of_those_kept_out_is_named(void **state)
{
    (void)state;
    char *dir = test_dir_new(), path[512];
    struct net net;
    struct note note;
    struct buf whole = {0};
    struct pubkey key[2] = {{{1}}, {{2}}};
    net_open(&net);
    net_start(&net, 0, chain_of(1));
    snprintf(path, sizeof path, "%s/peers.bans", dir);
    struct transport *t = transport_uv_open(host_uv_loop(net.host));
    struct peers *p;
    struct peers_options o = {.host = net.host,
                              .transport = t,
                              .key = &net.node[0].key,
                              .chain = chain_of(1),
                              .listen = "",
                              .bans_path = path};
    assert_int_equal(peers_open(&o, &p, &note), ERR_OK);
    assert_int_equal(peers_ban(p, &key[0], "", &note), ERR_OK);
    assert_int_equal(peers_ban(p, &key[1], "spam", &note), ERR_OK);
    assert_int_equal(file_read(path, 4096, &whole, NULL), ERR_OK);
    for (size_t n = 0; n < whole.n; n++) {
        struct peers *other;
        assert_int_equal(file_write(path, 0600, bytes_of(whole.p, n), NULL), ERR_OK);
        assert_int_equal(reopen(&net, path, &other, &note), ERR_CORRUPT);
        assert_non_null(strstr(note.text, path));
        whole.p[n] ^= 1;
        assert_int_equal(file_write(path, 0600, bytes_of_buf(&whole), NULL), ERR_OK);
        assert_int_equal(reopen(&net, path, &other, &note), ERR_CORRUPT);
        whole.p[n] ^= 1;
    }
    assert_int_equal(file_write(path, 0600, bytes_of_buf(&whole), NULL), ERR_OK);
    assert_int_equal(peers_unban(p, &key[0], &note), ERR_OK);
    assert_int_equal(peers_unban(p, &key[1], &note), ERR_OK); /* an empty list is one, too */
    peers_close(p);
    net_wait(&net, 1);
    transport_free(t);
    assert_int_equal(reopen(&net, path, &p, &note), ERR_OK);
    net_close(&net);
    buf_clear(&whole);
    test_dir_remove(dir);
}

static bool is_joined(void *arg)
{
    struct net *net = arg;
    return peers_is_up(net->node[0].peers, &net->node[1].id) && peers_is_up(net->node[1].peers, &net->node[0].id);
}

/* Whom a node dialled by its own choice it dials again after a restart, and be the address book gone. */
static void anchors_are_dialled_after_a_restart(void **state)
{
    (void)state;
    char *dir = test_dir_new(), path[512];
    struct net net;
    net_open(&net);
    snprintf(path, sizeof path, "%s/peers.anchors", dir);
    net.node[0].anchors = path;
    net_start(&net, 0, chain_of(1));
    net_start(&net, 1, chain_of(1));
    assert_int_equal(peers_reach(net.node[0].peers, &net.node[1].id, strchr(net.node[1].address, '@') + 1), ERR_OK);
    net_run(&net, is_joined, &net, 5000);
    net_stop(&net, 0);
    net_start(&net, 0, chain_of(1));
    net_run(&net, is_joined, &net, 5000);
    net_stop(&net, 0);
    /* A file that is none harms nobody. */
    assert_int_equal(file_write(path, 0600, bytes_of_text("garbage"), NULL), ERR_OK);
    net_start(&net, 0, chain_of(1));
    net_wait(&net, 100);
    assert_int_equal(peers_count(net.node[0].peers), 0);
    net_close(&net);
    test_dir_remove(dir);
}

static void one_that_breaks_the_protocol_is_cut_off(void **state)
{
    (void)state;
    struct net net;
    struct inbox in = {.answer = ERR_FORMAT}, seen = {0};
    net_open(&net);
    net_start(&net, 0, chain_of(1));
    net_start(&net, 1, chain_of(1));
    peers_on(net.node[1].peers, MSG_TX, on_message, &in);
    peers_on_change(net.node[0].peers, on_change, &seen);
    net_join(&net, 0, 1);
    assert_int_equal(peers_send(net.node[0].peers, &net.node[1].id, MSG_TX, bytes_of_text("x")), ERR_OK);
    net_run(&net, has_down, &seen, 2000);
    assert_int_equal(in.n, 1);
    net_wait(&net, 1500); /* kept out although it dials again */
    assert_int_equal(peers_count(net.node[1].peers), 0);
    net_close(&net);
}

/* To where there may be nobody any more. */
static int try_connection(const char *address)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(strrchr(address, ':') + 1))};
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
        return fd;
    close(fd);
    return -1;
}

static int raw_connection(const char *address)
{
    int fd = try_connection(address);
    assert_true(fd >= 0);
    return fd;
}

static void garbage_harms_nobody(void **state)
{
    (void)state;
    struct net net;
    int fd[PEERS_STRANGERS_MAX + 8];
    char junk[5000];
    net_open(&net);
    net_start(&net, 0, chain_of(1));
    net_start(&net, 1, chain_of(1));
    memset(junk, 'G', sizeof junk);
    for (size_t i = 0; i < sizeof fd / sizeof *fd; i++) {
        fd[i] = raw_connection(net.node[0].address);
        if (i % 2)
            assert_true(write(fd[i], junk, sizeof junk - 100 * (i % 40)) > 0);
    }
    net_wait(&net, 100);
    for (size_t i = 0; i < sizeof fd / sizeof *fd; i++)
        close(fd[i]);
    net_join(&net, 1, 0);
    net_close(&net);
}

struct counted {
    struct peers *peers;
    unsigned want;
};

static bool has_count(void *arg)
{
    struct counted *c = arg;
    return peers_count(c->peers) == c->want;
}

static void a_peer_that_went_is_dialled_again(void **state)
{
    (void)state;
    struct net net;
    net_open(&net);
    net_start(&net, 0, chain_of(1));
    net_start(&net, 1, chain_of(1));
    net_join(&net, 1, 0);
    struct counted none = {net.node[0].peers, 0}, one = {net.node[0].peers, 1};
    net_stop(&net, 1);
    net_run(&net, has_count, &none, 2000);
    /* It comes back elsewhere and dials: the newer connection counts. */
    net_start(&net, 1, chain_of(1));
    net_connect(&net, 1, 0);
    net_run(&net, has_count, &one, 5000);
    /* The dialled side restarts on the same port: see test_node for whole processes. */
    net_close(&net);
}

static void addresses_spread(void **state)
{
    (void)state;
    struct net net;
    net_open(&net);
    for (unsigned i = 0; i < 3; i++)
        net_start(&net, i, chain_of(1));
    net_join(&net, 1, 0);
    net_join(&net, 2, 0);
    /* 2 heard of 1 from 0 and can reach it by key alone. */
    for (int i = 0; i < 40 && peers_reach(net.node[2].peers, &net.node[1].id, NULL) != ERR_OK; i++)
        net_wait(&net, 50);
    struct counted two = {net.node[2].peers, 2};
    net_run(&net, has_count, &two, 5000);
    net_close(&net);
}

#define SLOW_US 200
#define SLOW_N  3000

struct flooded {
    struct host *host;
    struct timer timer;
    unsigned handled, handled_at_vote;
    uint64_t last_ms, gap_ms;
    bool has_vote;
    const char *address;
    atomic_bool is_over;
};

static enum err on_slow(void *arg, const struct pubkey *from, struct bytes body)
{
    struct flooded *f = arg;
    (void)from, (void)body;
    usleep(SLOW_US);
    f->handled++;
    return ERR_OK;
}

static enum err on_vote(void *arg, const struct pubkey *from, struct bytes body)
{
    struct flooded *f = arg;
    (void)from, (void)body;
    f->has_vote = true;
    f->handled_at_vote = f->handled;
    return ERR_OK;
}

static void on_tick(void *arg)
{
    struct flooded *f = arg;
    uint64_t now_ms = host_now_ms(f->host);
    f->gap_ms = now_ms - f->last_ms > f->gap_ms ? now_ms - f->last_ms : f->gap_ms;
    f->last_ms = now_ms;
    host_timer_set(f->host, &f->timer, 5, on_tick, f);
}

static bool has_handled_all(void *arg)
{
    return ((struct flooded *)arg)->handled == SLOW_N;
}

/* One peer sends what takes 0.6 s: another's message waits for a turn, and timers run. */
static void a_flood_keeps_nobody_waiting(void **state)
{
    (void)state;
    struct net net;
    net_open(&net);
    struct flooded f = {.host = net.host};
    for (unsigned i = 0; i < 3; i++)
        net_start(&net, i, chain_of(1));
    peers_on(net.node[0].peers, MSG_TX, on_slow, &f);
    peers_on(net.node[0].peers, MSG_VOTE, on_vote, &f);
    net_join(&net, 1, 0);
    net_join(&net, 2, 0);
    for (unsigned i = 0; i < SLOW_N; i++)
        assert_int_equal(peers_send(net.node[1].peers, &net.node[0].id, MSG_TX, bytes_of_text("x")), ERR_OK);
    assert_int_equal(peers_send(net.node[2].peers, &net.node[0].id, MSG_VOTE, bytes_of_text("x")), ERR_OK);
    f.last_ms = host_now_ms(f.host);
    on_tick(&f);
    net_run(&net, has_handled_all, &f, 10000);
    assert_true(f.has_vote);
    assert_true(f.handled_at_vote < SLOW_N / 4);
    assert_true(f.gap_ms < SLOW_N * SLOW_US / 1000 / 3);
    host_timer_cancel(f.host, &f.timer);
    net_close(&net);
}

static void *dial_and_hang_up(void *arg)
{
    struct flooded *f = arg;
    while (!atomic_load(&f->is_over)) {
        struct linger at_once = {1, 0}; /* no port is kept */
        int fd = try_connection(f->address);
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        close(fd);
    }
    return NULL;
}

static void take_slowly(void *arg, struct conn *c, const char *from)
{
    struct flooded *f = arg;
    (void)from;
    usleep(5000);
    f->handled++;
    conn_close(c, (struct bytes){0});
}

/* Connections that come faster than they are taken: libuv alone would take all that wait, in one turn. */
static void ever_new_connections_keep_nobody_waiting(void **state)
{
    (void)state;
    struct net net;
    pthread_t thread[2];
    char address[32];
    uint16_t port;
    struct endpoint at = {"127.0.0.1", 0};
    net_open(&net);
    struct flooded f = {.host = net.host, .address = address};
    struct transport *t = transport_uv_open(host_uv_loop(net.host));
    assert_int_equal(transport_listen(t, &at, take_slowly, &f, &port, NULL), ERR_OK);
    snprintf(address, sizeof address, "127.0.0.1:%u", port);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, dial_and_hang_up, &f), 0);
    f.last_ms = host_now_ms(f.host);
    on_tick(&f);
    net_wait(&net, 1000);
    on_tick(&f);
    transport_unlisten(t); /* also ends the threads' waiting */
    atomic_store(&f.is_over, true);
    for (int i = 0; i < 2; i++)
        pthread_join(thread[i], NULL);
    assert_true(f.handled > 20);
    assert_true(f.gap_ms < 400); /* 16 of them take 80 ms, all that the system keeps seconds */
    host_timer_cancel(f.host, &f.timer);
    transport_free(t);
    net_close(&net);
}

static void what_nobody_asked_for_costs_and_no_more(void **state)
{
    (void)state;
    struct net net;
    struct inbox in = {.answer = ERR_DUPLICATE};
    static uint8_t block[BLOCK_SIZE_MAX];
    net_open(&net);
    net_start(&net, 0, chain_of(1));
    net_start(&net, 1, chain_of(1));
    peers_on(net.node[1].peers, MSG_BLOCK, on_message, &in);
    net_join(&net, 0, 1);
    for (int i = 0; i < 7; i++)
        assert_int_equal(peers_send(net.node[0].peers, &net.node[1].id, MSG_BLOCK, bytes_of(block, sizeof block)),
                         ERR_OK);
    net_wait(&net, 500);
    assert_in_range(in.n, 4, 5); /* of 4 KiB each the allowance is gone with the fourth */
    assert_int_equal(peers_count(net.node[1].peers), 1);
    net_close(&net);
}

/* Whoever comes by IPv4 to one that listens for both comes from an address of IPv4: within IPv6 all of the world would
 * be one network, and the nearest of it a stranger. */
static void who_comes_by_ipv4_is_of_an_ipv4_network(void **state)
{
    struct net net;
    const char *endpoint;
    bool relayed;
    const struct sockaddr_in6 any = {.sin6_family = AF_INET6};
    int fd = socket(AF_INET6, SOCK_STREAM, 0), bound = bind(fd, (const struct sockaddr *)&any, sizeof any);
    (void)state;
    close(fd);
    if (bound != 0)
        skip(); /* this machine has no IPv6 */
    net_open(&net);
    net.node[0].listen = "[::]:0";
    net_start(&net, 0, chain_of(1));
    net_start(&net, 1, chain_of(1));
    net_join(&net, 1, 0);
    assert_true(peers_endpoint(net.node[0].peers, &net.node[1].id, &endpoint, &relayed));
    assert_memory_equal(endpoint, "127.0.0.1:", 10);
    net_close(&net);
}

int main(void)
{
    log_open(LOG_BROKEN, NULL, NULL, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_reach_their_handler),
        cmocka_unit_test(who_comes_by_ipv4_is_of_an_ipv4_network),
        cmocka_unit_test(both_dial_and_one_connection_stays),
        cmocka_unit_test(other_chain_and_own_address_are_refused),
        cmocka_unit_test(a_taken_port_is_one_clear_line),
        cmocka_unit_test(a_damaged_list_of_those_kept_out_is_named),
        cmocka_unit_test(anchors_are_dialled_after_a_restart),
        cmocka_unit_test(one_that_breaks_the_protocol_is_cut_off),
        cmocka_unit_test(garbage_harms_nobody),
        cmocka_unit_test(a_peer_that_went_is_dialled_again),
        cmocka_unit_test(addresses_spread),
        cmocka_unit_test(a_flood_keeps_nobody_waiting),
        cmocka_unit_test(ever_new_connections_keep_nobody_waiting),
        cmocka_unit_test(what_nobody_asked_for_costs_and_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
