/* Circuits through relays: what passes, whom they serve, and those who would misuse them. Node 0 is the relay; 1 and 2
 * listen nowhere; 3 is a stranger. */
#include "base/limits.h"
#include "node/net/circuits.h"
#include "tests/net.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RELAY, CLIENT, DIALLER, STRANGER, SIDES };

struct fixture {
    struct net net;
    struct streams *streams[SIDES];
    struct circuits *circuits[SIDES];
    size_t got[SIDES];
    struct buf body[SIDES];
    uint64_t far; /* the stranger's own end of a circuit */
};

static enum err on_message(void *arg, const struct pubkey *from, struct bytes body)
{
    struct buf *out = arg;
    (void)from;
    buf_add(out, body.p, body.n);
    return ERR_OK;
}

static void fixture_open(struct fixture *f)
{
    struct hash chain = {{1}};
    *f = (struct fixture){0};
    net_open(&f->net);
    for (unsigned i = 0; i < SIDES; i++) {
        f->net.node[i].is_deaf = i != RELAY;
        net_start(&f->net, i, chain);
        f->streams[i] = streams_new(f->net.host, f->net.node[i].peers);
        peers_on(f->net.node[i].peers, MSG_BLOCK, on_message, &f->body[i]);
        if (i != STRANGER)
            f->circuits[i] = circuits_new(f->net.host, f->net.node[i].peers, f->streams[i]);
    }
    for (unsigned i = 1; i < SIDES; i++)
        net_join(&f->net, i, RELAY);
}

static void stop_side(struct fixture *f, unsigned i)
{
    circuits_free(f->circuits[i]);
    streams_free(f->streams[i]);
    net_stop(&f->net, i);
    f->circuits[i] = NULL;
    f->streams[i] = NULL;
}

static void fixture_close(struct fixture *f)
{
    for (unsigned i = 0; i < SIDES; i++) {
        circuits_free(f->circuits[i]);
        streams_free(f->streams[i]);
        buf_clear(&f->body[i]);
    }
    net_close(&f->net);
}

static bool is_promised(void *arg)
{
    struct fixture *f = arg;
    return circuits_info(f->circuits[CLIENT]).relays == 1 && circuits_info(f->circuits[RELAY]).clients == 1;
}

static void promise(struct fixture *f)
{
    circuits_set_relaying(f->circuits[RELAY], true);
    circuits_set_wanted(f->circuits[CLIENT], true);
    net_run(&f->net, is_promised, f, 5000);
    assert_true(strstr(circuits_way(f->circuits[CLIENT]), "@127.0.0.1:"));
}

static bool are_joined(void *arg)
{
    struct fixture *f = arg;
    struct net_node *n = f->net.node;
    return peers_is_up(n[CLIENT].peers, &n[DIALLER].id) && peers_is_up(n[DIALLER].peers, &n[CLIENT].id);
}

static void join_through(struct fixture *f)
{
    promise(f);
    assert_int_equal(
        peers_reach(f->net.node[DIALLER].peers, &f->net.node[CLIENT].id, circuits_way(f->circuits[CLIENT])), ERR_OK);
    net_run(&f->net, are_joined, f, 5000);
}

static bool blocks_came(void *arg)
{
    struct fixture *f = arg;
    return f->body[CLIENT].n == BLOCK_SIZE_MAX && f->body[DIALLER].n == BLOCK_SIZE_MAX;
}

static bool are_parted(void *arg)
{
    struct fixture *f = arg;
    struct net_node *n = f->net.node;
    return !peers_is_up(n[CLIENT].peers, &n[DIALLER].id) && !peers_is_up(n[DIALLER].peers, &n[CLIENT].id);
}

static void what_passes_is_whole_both_ways(void **state)
{
    static uint8_t block[BLOCK_SIZE_MAX];
    struct fixture f;
    struct net_node *n = f.net.node;
    const char *endpoint;
    bool relayed;
    (void)state;
    fixture_open(&f);
    join_through(&f);
    assert_true(peers_endpoint(n[CLIENT].peers, &n[DIALLER].id, &endpoint, &relayed) && relayed);
    assert_string_equal(endpoint, circuits_way(f.circuits[CLIENT]));
    for (size_t i = 0; i < sizeof block; i++)
        block[i] = (uint8_t)(i * 7 + i / 256);
    assert_int_equal(peers_send(n[CLIENT].peers, &n[DIALLER].id, MSG_BLOCK, bytes_of(block, sizeof block)), ERR_OK);
    assert_int_equal(peers_send(n[DIALLER].peers, &n[CLIENT].id, MSG_BLOCK, bytes_of(block, sizeof block)), ERR_OK);
    net_run(&f.net, blocks_came, &f, 10000);
    assert_memory_equal(f.body[CLIENT].p, block, sizeof block);
    assert_memory_equal(f.body[DIALLER].p, block, sizeof block);
    struct circuits_info relay = circuits_info(f.circuits[RELAY]);
    assert_int_equal(relay.passing, 1);
    assert_true(relay.passed_bytes > 2 * sizeof block);
    stop_side(&f, RELAY);
    net_run(&f.net, are_parted, &f, 5000);
    assert_string_equal(circuits_way(f.circuits[CLIENT]), "");
    fixture_close(&f);
}

/* -- places -- */

enum { HOARDERS = CIRCUITS_TO / CIRCUITS_FROM };

static const struct stream_calls no_calls;

static void hoard(struct streams *from, const struct pubkey *relay, const struct pubkey *to)
{
    struct buf body = {0};
    circuit_ask_put(&body, &(struct circuit_ask){CIRCUIT_RELAY, *to});
    for (unsigned i = 0; i < CIRCUITS_FROM; i++) {
        uint64_t stream;
        assert_int_equal(streams_open(from, relay, NULL, STREAM_CIRCUIT, bytes_of_buf(&body), &no_calls, NULL, &stream),
                         ERR_OK);
    }
    buf_clear(&body);
}

static bool has_ipv6(void)
{
    const struct sockaddr_in6 any = {.sin6_family = AF_INET6};
    int fd = socket(AF_INET6, SOCK_STREAM, 0), bound = bind(fd, (const struct sockaddr *)&any, sizeof any);
    close(fd);
    return bound == 0;
}

static bool are_hoarders_up(void *arg)
{
    const struct fixture *f = arg;
    unsigned n = 0;
    for (unsigned i = 0; i < HOARDERS; i++)
        n += peers_is_up(f->net.node[RELAY].peers, &f->net.node[SIDES + i].id) &&
             peers_is_up(f->net.node[SIDES + i].peers, &f->net.node[RELAY].id);
    return n == HOARDERS;
}

static bool are_places_taken(void *arg)
{
    const struct fixture *f = arg;
    return circuits_info(f->circuits[RELAY]).passing >= CIRCUITS_TO;
}

/* Keys cost nothing: whoever takes all of a client's circuits with some from one network makes room for who comes from
 * another, as it is among peers (node/host/room.h). Those that come by IPv6 are of another network. */
static void one_network_does_not_hold_all_places(void **state)
{
    struct fixture f;
    struct streams *hoarder[HOARDERS];
    struct hash chain = {{1}};
    char address[200], hex[65];
    (void)state;
    if (!has_ipv6())
        skip();
    fixture_open(&f);
    stop_side(&f, RELAY);
    f.net.node[RELAY].listen = "[::]:0";
    net_start(&f.net, RELAY, chain);
    f.streams[RELAY] = streams_new(f.net.host, f.net.node[RELAY].peers);
    f.circuits[RELAY] = circuits_new(f.net.host, f.net.node[RELAY].peers, f.streams[RELAY]);
    net_join(&f.net, CLIENT, RELAY);
    promise(&f);
    const struct pubkey relay = f.net.node[RELAY].id, client = f.net.node[CLIENT].id;
    hex_put(hex, relay.b, 32);
    snprintf(address, sizeof address, "%s@[::1]:%u", hex, peers_port(f.net.node[RELAY].peers));
    for (unsigned i = 0; i < HOARDERS; i++) {
        struct net_node *n = &f.net.node[SIDES + i];
        struct note note;
        n->is_deaf = true;
        net_start(&f.net, SIDES + i, chain);
        hoarder[i] = streams_new(f.net.host, n->peers);
        assert_int_equal(peers_add(n->peers, address, &note), ERR_OK);
    }
    net_run(&f.net, are_hoarders_up, &f, 5000);
    for (unsigned i = 0; i < HOARDERS; i++)
        hoard(hoarder[i], &relay, &client);
    net_run(&f.net, are_places_taken, &f, 5000);
    net_wait(&f.net, 200); /* and no more are */
    assert_true(circuits_info(f.circuits[RELAY]).passing <= CIRCUITS_TO);
    assert_int_equal(peers_reach(f.net.node[DIALLER].peers, &client, circuits_way(f.circuits[CLIENT])), ERR_OK);
    net_run(&f.net, are_joined, &f, 5000);
    for (unsigned i = 0; i < HOARDERS; i++)
        streams_free(hoarder[i]);
    fixture_close(&f);
}

#define ASKED_MIN      50u /* of what comes at once so much is refused at least, before the rest is not even heard */
#define ASKED_MAX      200u
#define ASKED_A_SECOND 20u /* and so much more as time goes by */

static bool are_many_refused(void *arg)
{
    struct fixture *f = arg;
    return circuits_info(f->circuits[RELAY]).refused >= ASKED_MIN;
}

static uint64_t asked_max(const struct fixture *f, uint64_t start_ms)
{
    return ASKED_MAX + ASKED_A_SECOND * (host_now_ms(f->net.host) - start_ms) / 1000;
}

static void who_does_not_relay_promises_nothing(void **state)
{
    struct fixture f;
    (void)state;
    fixture_open(&f);
    circuits_set_wanted(f.circuits[CLIENT], true);
    net_wait(&f.net, 500);
    assert_int_equal(circuits_info(f.circuits[CLIENT]).relays, 0);
    assert_string_equal(circuits_way(f.circuits[CLIENT]), "");
    fixture_close(&f);
}

static bool is_given_up(void *arg)
{
    struct fixture *f = arg;
    return circuits_info(f->circuits[RELAY]).refused >= 1 && circuits_info(f->circuits[DIALLER]).dialled == 0;
}

static void circuits_to_nobody_end_at_once(void **state)
{
    struct fixture f;
    struct pubkey nobody = {{0x79, 1}};
    (void)state;
    fixture_open(&f);
    promise(&f);
    /* The stranger is connected to the relay, which promised it nothing. */
    assert_int_equal(peers_reach(f.net.node[DIALLER].peers, &f.net.node[STRANGER].id, circuits_way(f.circuits[CLIENT])),
                     ERR_OK);
    net_run(&f.net, is_given_up, &f, 5000);
    assert_int_equal(peers_reach(f.net.node[DIALLER].peers, &nobody, circuits_way(f.circuits[CLIENT])), ERR_OK);
    net_wait(&f.net, 200);
    assert_int_equal(circuits_info(f.circuits[RELAY]).passing, 0);
    assert_int_equal(peers_count(f.net.node[DIALLER].peers), 1);
    fixture_close(&f);
}

/* -- the stranger speaks to the relay by streams of its own making -- */

struct tally {
    unsigned closed;
    enum err reason;
    size_t got;
};

static void tally_data(void *arg, uint64_t stream, struct bytes message)
{
    (void)stream;
    ((struct tally *)arg)->got += message.n;
}

static void tally_closed(void *arg, uint64_t stream, enum err reason, const char *text)
{
    struct tally *t = arg;
    (void)stream;
    (void)text;
    t->closed++;
    t->reason = reason;
}

static const struct stream_calls tally_calls = {.data = tally_data, .closed = tally_closed};

static enum err open_circuit(struct fixture *f, enum circuit_what what, const struct pubkey *to, struct tally *t,
                             uint64_t *stream)
{
    struct buf body = {0};
    circuit_ask_put(&body, &(struct circuit_ask){(uint8_t)what, *to});
    enum err e = streams_open(f->streams[STRANGER], &f->net.node[RELAY].id, NULL, STREAM_CIRCUIT, bytes_of_buf(&body),
                              &tally_calls, t, stream);
    buf_clear(&body);
    return e;
}

static void thousands_of_circuits_are_four(void **state)
{
    struct fixture f;
    struct tally t = {0};
    uint64_t stream;
    (void)state;
    fixture_open(&f);
    promise(&f);
    const uint64_t start_ms = host_now_ms(f.net.host);
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(open_circuit(&f, CIRCUIT_RELAY, &f.net.node[CLIENT].id, &t, &stream), ERR_OK);
    net_run(&f.net, are_many_refused, &f, 5000);
    net_wait(&f.net, 300);
    struct circuits_info relay = circuits_info(f.circuits[RELAY]);
    assert_int_equal(relay.passing, CIRCUITS_FROM);
    assert_int_equal(t.reason, ERR_FULL);
    /* Refused ones cost it its allowance, so that it is not even asked all of them; and others are served meanwhile. */
    assert_in_range(relay.refused, ASKED_MIN, asked_max(&f, start_ms));
    join_through(&f);
    fixture_close(&f);
}

static void on_info(void *arg, const struct peers_info *info)
{
    *(uint64_t *)arg += info->bytes_in;
}

/* Each circuit is heard of by the client, too, at the cost of all others that its relay leads there. */
static void ever_new_circuits_reach_a_client_seldom(void **state)
{
    struct fixture f;
    struct tally t = {0};
    uint64_t stream, before = 0, behind = 0;
    (void)state;
    fixture_open(&f);
    promise(&f);
    peers_list(f.net.node[CLIENT].peers, on_info, &before);
    const uint64_t start_ms = host_now_ms(f.net.host);
    for (unsigned i = 0; i < 1000; i++) {
        assert_int_equal(open_circuit(&f, CIRCUIT_RELAY, &f.net.node[CLIENT].id, &t, &stream), ERR_OK);
        streams_close(f.streams[STRANGER], stream, ERR_OK, "");
    }
    net_wait(&f.net, 500);
    peers_list(f.net.node[CLIENT].peers, on_info, &behind);
    assert_in_range(behind - before, 1000, 150 * asked_max(&f, start_ms)); /* some 100 of 160 bytes at once */
    join_through(&f);
    fixture_close(&f);
}

static bool has_relay(void *arg)
{
    const struct fixture *f = arg;
    return circuits_info(f->circuits[DIALLER]).relays == 1;
}

static bool has_dialled(void *arg)
{
    const struct fixture *f = arg;
    return circuits_info(f->circuits[DIALLER]).dialled == 1;
}

static bool is_reached_by_stranger(void *arg)
{
    struct fixture *f = arg;
    return peers_is_up(f->net.node[DIALLER].peers, &f->net.node[STRANGER].id);
}

/* The dialler waits for its relay's connection, and what comes is one through another relay. */
static void no_circuit_goes_through_two(void **state)
{
    struct fixture f;
    struct pubkey nobody = {{0x79, 1}};
    char hex[65], way[256];
    (void)state;
    fixture_open(&f);
    f.circuits[STRANGER] = circuits_new(f.net.host, f.net.node[STRANGER].peers, f.streams[STRANGER]);
    circuits_set_relaying(f.circuits[RELAY], true);
    circuits_set_relaying(f.circuits[STRANGER], true);
    circuits_set_wanted(f.circuits[DIALLER], true);
    net_run(&f.net, has_relay, &f, 5000);
    hex_put(hex, f.net.node[STRANGER].id.b, 32);
    snprintf(way, sizeof way, "%s@127.0.0.1:1", hex);
    assert_int_equal(peers_reach(f.net.node[DIALLER].peers, &nobody, way), ERR_OK);
    net_run(&f.net, has_dialled, &f, 5000);
    assert_int_equal(
        peers_reach(f.net.node[STRANGER].peers, &f.net.node[DIALLER].id, circuits_way(f.circuits[DIALLER])), ERR_OK);
    net_run(&f.net, is_reached_by_stranger, &f, 5000);
    net_wait(&f.net, 300);
    assert_int_equal(circuits_info(f.circuits[STRANGER]).refused, 0); /* it was not even asked */
    fixture_close(&f);
}

static bool has_refused(void *arg)
{
    return ((struct tally *)arg)->closed > 0;
}

static void a_loop_and_a_stop_out_of_nowhere_are_refused(void **state)
{
    struct fixture f;
    struct tally loop = {0}, self = {0}, stop = {0}, odd = {0};
    uint64_t stream;
    (void)state;
    fixture_open(&f);
    promise(&f);
    assert_int_equal(open_circuit(&f, CIRCUIT_RELAY, &f.net.node[RELAY].id, &loop, &stream), ERR_OK);
    net_run(&f.net, has_refused, &loop, 5000);
    assert_int_equal(loop.reason, ERR_NOT_FOUND);
    assert_int_equal(open_circuit(&f, CIRCUIT_RELAY, &f.net.node[STRANGER].id, &self, &stream), ERR_OK);
    net_run(&f.net, has_refused, &self, 5000);
    assert_int_equal(self.reason, ERR_NOT_FOUND);
    /* It is no relay of the one that it says this to. */
    assert_int_equal(open_circuit(&f, CIRCUIT_STOP, &f.net.node[CLIENT].id, &stop, &stream), ERR_OK);
    net_run(&f.net, has_refused, &stop, 5000);
    assert_int_equal(stop.reason, ERR_REFUSED);
    assert_int_equal(open_circuit(&f, (enum circuit_what)9, &f.net.node[CLIENT].id, &odd, &stream), ERR_OK);
    net_run(&f.net, has_refused, &odd, 5000);
    assert_int_equal(odd.reason, ERR_UNSUPPORTED);
    assert_int_equal(circuits_info(f.circuits[RELAY]).passing, 0);
    fixture_close(&f);
}

/* The far end of a circuit that never takes what comes: it holds its stream, so that no credit goes back. */
static struct tally reader;
static enum err accept_and_hold(void *arg, uint64_t stream, const struct pubkey *from, struct bytes body,
                                const struct stream_calls **calls, void **calls_arg)
{
    struct fixture *f = arg;
    (void)from;
    (void)body;
    *calls = &tally_calls;
    *calls_arg = &reader;
    f->far = stream;
    streams_hold(f->streams[STRANGER], stream, true);
    return ERR_OK;
}

static bool has_far(void *arg)
{
    return ((struct fixture *)arg)->far != 0;
}

static bool has_got(void *arg)
{
    return ((const struct tally *)arg)->got > 0;
}

static bool has_read(void *arg)
{
    return reader.got >= *(const size_t *)arg;
}

static void one_that_never_reads_holds_two_windows(void **state)
{
    struct fixture f;
    struct tally promised = {0}, sender = {0};
    struct buf body = {0};
    static uint8_t part[CIRCUIT_PART];
    uint64_t stream;
    size_t sent = 0;
    (void)state;
    reader = (struct tally){0};
    fixture_open(&f);
    promise(&f);
    streams_on(f.streams[STRANGER], STREAM_CIRCUIT, accept_and_hold, &f);
    assert_int_equal(streams_open(f.streams[STRANGER], &f.net.node[RELAY].id, NULL, STREAM_RELAY, (struct bytes){0},
                                  &tally_calls, &promised, &stream),
                     ERR_OK);
    net_run(&f.net, has_got, &promised, 5000);
    circuits_free(f.circuits[DIALLER]);
    f.circuits[DIALLER] = NULL;
    circuit_ask_put(&body, &(struct circuit_ask){CIRCUIT_RELAY, f.net.node[STRANGER].id});
    assert_int_equal(streams_open(f.streams[DIALLER], &f.net.node[RELAY].id, NULL, STREAM_CIRCUIT, bytes_of_buf(&body),
                                  &tally_calls, &sender, &stream),
                     ERR_OK);
    buf_clear(&body);
    for (unsigned i = 0; i < 40; i++) {
        while (streams_send(f.streams[DIALLER], stream, bytes_of(part, sizeof part)) == ERR_OK)
            sent += sizeof part;
        net_wait(&f.net, 20);
    }
    net_run(&f.net, has_far, &f, 5000);
    assert_in_range(sent, CIRCUIT_WINDOW, 2 * CIRCUIT_WINDOW);
    assert_in_range(reader.got, 1, CIRCUIT_WINDOW);
    streams_hold(f.streams[STRANGER], f.far, false); /* and once it does, the rest comes */
    net_run(&f.net, has_read, &sent, 5000);
    assert_int_equal(reader.got, sent);
    fixture_close(&f);
}

/* A message of one byte is some fifty on the line: what a relay gives away is counted in those. */
static void bytes_one_by_one_cost_what_they_take(void **state)
{
    struct fixture f;
    struct tally promised = {0}, sender = {0};
    struct buf body = {0};
    uint64_t stream;
    (void)state;
    reader = (struct tally){0};
    fixture_open(&f);
    promise(&f);
    streams_on(f.streams[STRANGER], STREAM_CIRCUIT, accept_and_hold, &f);
    assert_int_equal(streams_open(f.streams[STRANGER], &f.net.node[RELAY].id, NULL, STREAM_RELAY, (struct bytes){0},
                                  &tally_calls, &promised, &stream),
                     ERR_OK);
    net_run(&f.net, has_got, &promised, 5000);
    circuits_free(f.circuits[DIALLER]);
    f.circuits[DIALLER] = NULL;
    circuit_ask_put(&body, &(struct circuit_ask){CIRCUIT_RELAY, f.net.node[STRANGER].id});
    assert_int_equal(streams_open(f.streams[DIALLER], &f.net.node[RELAY].id, NULL, STREAM_CIRCUIT, bytes_of_buf(&body),
                                  &tally_calls, &sender, &stream),
                     ERR_OK);
    buf_clear(&body);
    uint64_t start_ms = host_now_ms(f.net.host), bytes = 0;
    for (unsigned i = 0; i < 40; i++) {
        while (streams_send(f.streams[DIALLER], stream, bytes_of("", 1)) == ERR_OK)
            continue;
        net_wait(&f.net, 20);
    }
    peers_list(f.net.node[STRANGER].peers, on_info, &bytes);
    assert_true(reader.got > 0);
    assert_in_range(bytes, reader.got, CIRCUIT_RATE * (1000 + host_now_ms(f.net.host) - start_ms) / 1000);
    fixture_close(&f);
}

/* A relay that leads elsewhere: the handshake is to the key that was wanted, and another one does not pass it. */
static struct hijack {
    struct fixture *f;
    uint64_t in, out;
} hijack;

static void to_out(void *arg, uint64_t stream, struct bytes message)
{
    (void)arg;
    (void)stream;
    assert_int_equal(streams_send(hijack.f->streams[STRANGER], hijack.out, message), ERR_OK);
}

static void to_in(void *arg, uint64_t stream, struct bytes message)
{
    struct fixture *f = hijack.f;
    (void)arg;
    (void)stream;
    f->got[STRANGER] += message.n;
    if (streams_send(f->streams[STRANGER], hijack.in, message) != ERR_OK)
        return;
}

static const struct stream_calls in_calls = {.data = to_out}, out_calls = {.data = to_in};

static enum err lead_elsewhere(void *arg, uint64_t stream, const struct pubkey *from, struct bytes body,
                               const struct stream_calls **calls, void **calls_arg)
{
    struct fixture *f = arg;
    struct buf ask = {0};
    (void)from;
    (void)body;
    hijack = (struct hijack){f, stream, 0};
    circuit_ask_put(&ask, &(struct circuit_ask){CIRCUIT_RELAY, f->net.node[CLIENT].id});
    assert_int_equal(streams_open(f->streams[STRANGER], &f->net.node[RELAY].id, NULL, STREAM_CIRCUIT,
                                  bytes_of_buf(&ask), &out_calls, f, &hijack.out),
                     ERR_OK);
    buf_clear(&ask);
    *calls = &in_calls;
    *calls_arg = f;
    return ERR_OK;
}

static bool is_hijacked(void *arg)
{
    return ((const struct hijack *)arg)->f != NULL;
}

static void a_relay_cannot_pretend(void **state)
{
    struct fixture f;
    struct hash chain = {{1}};
    struct seckey wanted;
    struct pubkey wanted_id;
    char way[256];
    (void)state;
    key_new(&wanted);
    key_derive(&wanted, &wanted_id);
    fixture_open(&f);
    promise(&f);
    /* The stranger, listening now, is the dialler's relay. */
    streams_free(f.streams[STRANGER]);
    net_stop(&f.net, STRANGER);
    f.net.node[STRANGER].is_deaf = false;
    net_start(&f.net, STRANGER, chain);
    f.streams[STRANGER] = streams_new(f.net.host, f.net.node[STRANGER].peers);
    streams_on(f.streams[STRANGER], STREAM_CIRCUIT, lead_elsewhere, &f);
    net_join(&f.net, STRANGER, RELAY);
    net_join(&f.net, DIALLER, STRANGER);
    snprintf(way, sizeof way, "%s", f.net.node[STRANGER].address);
    assert_int_equal(peers_reach(f.net.node[DIALLER].peers, &wanted_id, way), ERR_OK);
    net_run(&f.net, is_hijacked, &hijack, 5000); /* it was asked, and led to the client */
    net_wait(&f.net, 500);
    assert_false(peers_is_up(f.net.node[DIALLER].peers, &wanted_id));
    assert_false(peers_is_up(f.net.node[DIALLER].peers, &f.net.node[CLIENT].id));
    /* To the client itself it may lead, by two relays in a row that neither end asked for: it is still the client. */
    assert_int_equal(peers_reach(f.net.node[DIALLER].peers, &f.net.node[CLIENT].id, way), ERR_OK);
    net_run(&f.net, are_joined, &f, 10000);
    assert_true(f.got[STRANGER] > 0);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_passes_is_whole_both_ways),
        cmocka_unit_test(who_does_not_relay_promises_nothing),
        cmocka_unit_test(circuits_to_nobody_end_at_once),
        cmocka_unit_test(thousands_of_circuits_are_four),
        cmocka_unit_test(one_network_does_not_hold_all_places),
        cmocka_unit_test(ever_new_circuits_reach_a_client_seldom),
        cmocka_unit_test(no_circuit_goes_through_two),
        cmocka_unit_test(a_loop_and_a_stop_out_of_nowhere_are_refused),
        cmocka_unit_test(one_that_never_reads_holds_two_windows),
        cmocka_unit_test(bytes_one_by_one_cost_what_they_take),
        cmocka_unit_test(a_relay_cannot_pretend),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
