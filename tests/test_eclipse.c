/* An attacker who wants to be all the peers that a victim dials: the real address book and the rules of
 * node/net/peers_dial.c (one outgoing connection for a network, anchors first after a restart), against a world of
 * honest nodes and of one who has as many keys and addresses as he likes, in a few networks. Everything from one seed.
 *
 * The attacker dials the victim from all his networks all the time and tells of his nodes and of addresses in other
 * networks that lead nowhere; of his the victim's questions are answered in the same way. He makes it restart as often
 * as he likes. Honest peers tell of honest nodes. */
#include "base/mem.h"
#include "p2p/book.h"
#include "tests/sim/random.h"
#include "tests/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HONEST 200
#define WANT   8
#define SEEDS  6

struct world {
    struct random random;
    struct book *book;
    unsigned networks;            /* the attacker's */
    unsigned peer[WANT], peers_n; /* outgoing, in the order of their coming; HONEST and up are the attacker's */
    uint32_t up_at[WANT], now;
    bool anchors, one_a_network;
};

/* Number i: an honest node in a network of its own, or one of the attacker's, or nobody at all. */
static struct addr addr_of(const struct world *w, uint32_t i)
{
    struct addr a = {.key = {{(uint8_t)i, (uint8_t)(i >> 8), (uint8_t)(i >> 16), 1}}};
    char text[64];
    uint32_t k = i - HONEST;
    if (i < HONEST)
        snprintf(text, sizeof text, "20.%u.1.1:7718", i);
    else if (i < 1000000)
        snprintf(text, sizeof text, "66.%u.%u.%u:7718", k % w->networks, k / 250 % 250, k % 250);
    else
        snprintf(text, sizeof text, "%u.%u.3.3:7718", 90 + i % 100, i / 100 % 250);
    assert_true(text255_set(&a.endpoint, text));
    return a;
}

static uint32_t number_of(const struct addr *a)
{
    return a->key.b[0] | (uint32_t)a->key.b[1] << 8 | (uint32_t)a->key.b[2] << 16;
}

static struct endpoint at(const struct world *w, uint32_t i)
{
    struct addr a = addr_of(w, i);
    struct endpoint e;
    assert_int_equal(endpoint_parse(a.endpoint.s, &e, NULL), ERR_OK);
    return e;
}

static bool is_honest(uint32_t i)
{
    return i < HONEST;
}

/* What it tells when asked: ADDRS_MAX of its side. */
static void tell(struct world *w, uint32_t teller)
{
    struct endpoint from = at(w, teller);
    for (unsigned i = 0; i < ADDRS_MAX; i++) {
        uint32_t about = is_honest(teller) ? (uint32_t)random_below(&w->random, HONEST)
                         : i % 2           ? HONEST + (uint32_t)random_below(&w->random, 100000)
                                           : 1000000 + (uint32_t)random_below(&w->random, 1000000);
        struct addr a = addr_of(w, about);
        book_add(w->book, &from, &a);
    }
}

/* One attacker in each of his networks dials the victim and says where he listens. */
static void bombard(struct world *w)
{
    for (unsigned n = 0; n < w->networks; n++) {
        uint32_t i = HONEST + n + w->networks * (uint32_t)random_below(&w->random, 1000);
        struct addr a = addr_of(w, i);
        struct endpoint from = at(w, i);
        book_add(w->book, &from, &a);
    }
}

static void connect_to(struct world *w, uint32_t i)
{
    struct addr a = addr_of(w, i);
    book_good(w->book, &a, w->now);
    w->up_at[w->peers_n] = w->now;
    w->peer[w->peers_n++] = i;
    tell(w, i);
}

static bool may_dial(const struct world *w, const struct addr *a)
{
    uint32_t i = number_of(a);
    struct endpoint to = at(w, i);
    for (unsigned k = 0; k < w->peers_n; k++) {
        struct endpoint other = at(w, w->peer[k]);
        if (w->peer[k] == i || (w->one_a_network && bytes_equal(endpoint_group(&other), endpoint_group(&to))))
            return false;
    }
    return true;
}

/* One look of node/net/peers_dial.c: 5 seconds. */
static void look(struct world *w)
{
    struct addr a;
    w->now += 5;
    bombard(w);
    if (w->peers_n == WANT || !book_pick(w->book, random_next(&w->random), &a) || !may_dial(w, &a))
        return;
    uint32_t i = number_of(&a);
    bool answers = i < 1000000 && (!is_honest(i) || random_chance(&w->random, 80)); /* honest devices sleep */
    if (answers)
        connect_to(w, i);
    else
        book_bad(w->book, &a.key);
}

static void restart(struct world *w)
{
    uint32_t anchor[PEERS_ANCHORS];
    unsigned n = w->peers_n < PEERS_ANCHORS ? w->peers_n : PEERS_ANCHORS;
    uint8_t key[32] = {0};
    struct buf file = {0};
    for (unsigned i = 0; i < n; i++)
        anchor[i] = w->peer[i]; /* they stand in the order of their coming */
    book_put(w->book, &file);
    book_free(w->book);
    store_le64(key, random_next(&w->random));
    w->book = book_new(key);
    assert_true(book_get(w->book, bytes_of_buf(&file)));
    buf_clear(&file);
    w->peers_n = 0;
    for (unsigned i = 0; w->anchors && i < n; i++)
        if (!is_honest(anchor[i]) || random_chance(&w->random, 80))
            connect_to(w, anchor[i]);
}

static unsigned honest_peers(const struct world *w)
{
    unsigned n = 0;
    for (unsigned i = 0; i < w->peers_n; i++)
        n += is_honest(w->peer[i]);
    return n;
}

struct outcome {
    unsigned rounds, eclipsed; /* looked at before each restart */
    double honest;             /* of the outgoing ones, on average */
};

static struct outcome play(uint64_t seed, unsigned networks, bool anchors, bool one_a_network)
{
    struct outcome o = {0};
    uint8_t key[32] = {(uint8_t)seed, 1};
    struct world w = {.networks = networks, .anchors = anchors, .one_a_network = one_a_network};
    w.random.s = seed;
    w.book = book_new(key);
    for (uint32_t i = 0; i < 4; i++) /* it was among others for an hour before */
        connect_to(&w, i * 3);
    for (unsigned i = 0; i < 720; i++) {
        w.networks = networks;
        look(&w);
    }
    for (unsigned r = 0; r < 30; r++) {
        restart(&w);
        for (unsigned i = 0; i < 120; i++) /* ten minutes */
            look(&w);
        o.rounds++;
        o.eclipsed += honest_peers(&w) == 0;
        o.honest += (double)honest_peers(&w) / WANT;
    }
    o.honest /= o.rounds;
    book_free(w.book);
    return o;
}

static struct outcome play_many(unsigned networks, bool anchors, bool one_a_network, const char *what)
{
    struct outcome all = {0};
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct outcome o = play(seed, networks, anchors, one_a_network);
        all.rounds += o.rounds;
        all.eclipsed += o.eclipsed;
        all.honest += o.honest / SEEDS;
    }
    printf("%u networks, %s: %u of %u times surrounded, %.0f %% of the dialled are honest\n", networks, what,
           all.eclipsed, all.rounds, 100 * all.honest);
    return all;
}

static void few_networks_surround_nobody(void **state)
{
    (void)state;
    for (unsigned networks = 1; networks <= 6; networks *= 2) {
        struct outcome o = play_many(networks, true, true, "as built");
        assert_int_equal(o.eclipsed, 0);
        assert_true(o.honest >= 1 - (double)(networks + 1) / WANT);
    }
}

/* More networks than the victim has connections. An attacker who never sleeps becomes an anchor, too, in the end:
 * anchors keep what stood before an attack began, and are no help against one that lasts (docs/assurance.md). */
static void as_many_networks_as_he_needs_surround_it_rarely(void **state)
{
    (void)state;
    struct outcome with = play_many(16, true, true, "as built");
    (void)play_many(16, false, true, "without anchors");
    assert_true(with.eclipsed * 20 <= with.rounds);
    assert_true(with.honest >= 0.35);
}

/* The test can see it: of a book that is the attacker's alone nobody else is dialled. */
static void a_book_of_his_alone_is_the_end(void **state)
{
    uint8_t key[32] = {1};
    struct world w = {.networks = 16, .one_a_network = true, .random = {7}};
    (void)state;
    w.book = book_new(key);
    for (unsigned i = 0; i < 500; i++)
        look(&w);
    assert_int_equal(w.peers_n, WANT);
    assert_int_equal(honest_peers(&w), 0);
    book_free(w.book);
}

/* What he told does not spread over the book by restarts: hearsay of 2 networks reaches 16 of 96 buckets, for ever. */
static void restarts_spread_nothing(void **state)
{
    uint8_t key[32] = {1};
    struct world w = {.networks = 2, .random = {7}};
    (void)state;
    w.book = book_new(key);
    for (unsigned r = 0; r < 40; r++) {
        for (unsigned i = 0; i < 20; i++) {
            tell(&w, HONEST);
            tell(&w, HONEST + 1);
        }
        restart(&w);
    }
    printf("after 40 restarts: %u addresses\n", book_count(w.book));
    assert_in_range(book_count(w.book), 1, 2 * 8 * 32);
    book_free(w.book);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(few_networks_surround_nobody),
        cmocka_unit_test(as_many_networks_as_he_needs_surround_it_rarely),
        cmocka_unit_test(a_book_of_his_alone_is_the_end),
        cmocka_unit_test(restarts_spread_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
