/* The address book under one who fills it, its file, and the set of what was seen. */
#include "p2p/book.h"
#include "p2p/gossip.h"
#include "tests/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct addr addr_of(uint32_t i, const char *host)
{
    struct addr a = {.key = {{(uint8_t)i, (uint8_t)(i >> 8), (uint8_t)(i >> 16), 1}}};
    char text[200];
    snprintf(text, sizeof text, "%s:%u", host, 1000 + i % 60000);
    assert_true(text255_set(&a.endpoint, text));
    return a;
}

static const uint8_t key[32] = {5};

/* However many keys and hosts of its network it tells from. */
static void one_network_reaches_few_buckets(void **state)
{
    (void)state;
    struct book *b = book_new(key);
    struct addr mine[20];
    for (uint32_t i = 0; i < 20; i++) {
        mine[i] = addr_of(i, "10.1.2.3");
        book_good(b, &mine[i], 1);
    }
    for (uint32_t i = 1000; i < 60000; i++) {
        char host[32];
        snprintf(host, sizeof host, "%u.%u.1.1", i % 250, i / 250 % 250);
        struct addr a = addr_of(i, host);
        struct endpoint liar = {.port = (uint16_t)i};
        snprintf(liar.host, sizeof liar.host, "66.7.%u.%u", i % 256, i / 256 % 256);
        book_add(b, &liar, &a);
    }
    assert_true(book_count(b) <= 20 + 8 * 32);
    struct addr found;
    for (uint32_t i = 0; i < 20; i++) /* those that worked are not pushed out */
        assert_true(book_find(b, &mine[i].key, &found));
    book_free(b);
}

/* One who runs relays in two networks tells of thousands of nodes behind them, in networks that he does not have. */
static void nodes_behind_relays_count_as_their_relay(void **state)
{
    (void)state;
    struct book *b = book_new(key);
    struct addr honest[64], found;
    for (uint32_t i = 0; i < 5000; i++) {
        struct addr a = {.key = {{(uint8_t)i, (uint8_t)(i >> 8), 9}}};
        struct endpoint liar = {.host = "66.7.1.1", .port = 1};
        char text[200];
        snprintf(text, sizeof text, "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798@66.%u.1.1:%u",
                 i % 2, 1 + i);
        assert_true(text255_set(&a.endpoint, text));
        book_add(b, &liar, &a);
    }
    assert_in_range(book_count(b), 1, 2 * 32);
    for (uint32_t i = 0; i < 64; i++) {
        char host[32];
        snprintf(host, sizeof host, "%u.9.9.9", i);
        honest[i] = addr_of(100000 + i, host);
        struct endpoint teller = {.port = 1};
        snprintf(teller.host, sizeof teller.host, "%u.8.8.8", i);
        book_add(b, &teller, &honest[i]);
    }
    unsigned kept = 0;
    for (uint32_t i = 0; i < 64; i++)
        kept += book_find(b, &honest[i].key, &found);
    assert_int_equal(kept, 64);
    book_free(b);
}

/* Who is outside cannot have this node dial into its own network; who is in it may tell of others there. */
static void who_is_outside_tells_of_nobody_near(void **state)
{
    (void)state;
    static const char *const near[] = {"127.0.0.1", "192.168.1.1", "[::ffff:10.0.0.1]",
                                       "0x7f.1",    "localhost",   "[fe80::1]"};
    struct endpoint outside = {"66.7.1.1", 1}, inside = {"192.168.1.7", 1};
    struct book *b = book_new(key);
    for (uint32_t i = 0; i < sizeof near / sizeof *near; i++) {
        struct addr a = addr_of(i, near[i]);
        book_add(b, &outside, &a);
    }
    assert_int_equal(book_count(b), 0);
    for (uint32_t i = 0; i < sizeof near / sizeof *near; i++) {
        struct addr a = addr_of(i, near[i]);
        book_add(b, &inside, &a);
    }
    assert_int_equal(book_count(b), sizeof near / sizeof *near);
    book_free(b);
}

static void it_stays_bounded_and_forgets_the_dead(void **state)
{
    (void)state;
    struct book *b = book_new(key);
    for (uint32_t i = 0; i < 20000; i++) {
        struct endpoint teller = {.port = 1};
        snprintf(teller.host, sizeof teller.host, "%u.%u.3.3", i % 256, i / 256);
        char host[32];
        snprintf(host, sizeof host, "%u.%u.9.9", i % 250, i / 250);
        struct addr a = addr_of(i, host);
        book_add(b, &teller, &a);
    }
    assert_true(book_count(b) <= BOOK_MAX && book_count(b) > BOOK_MAX / 2);
    struct addr a;
    unsigned before = book_count(b);
    assert_true(book_pick(b, 12345, &a));
    for (int i = 0; i < 5; i++)
        book_bad(b, &a.key);
    assert_int_equal(book_count(b), before - 1);
    assert_false(book_find(b, &a.key, &a));
    struct addr some[ADDRS_MAX];
    assert_int_equal(book_sample(b, 7, some, ADDRS_MAX), ADDRS_MAX);
    book_free(b);
}

static void its_file_brings_it_back(void **state)
{
    (void)state;
    struct book *b = book_new(key), *again = book_new(key);
    struct endpoint teller = {"::1", 5};
    struct buf out = {0};
    struct addr a = addr_of(1, "[::1]"), bad = addr_of(2, "x y"), found;
    struct addr good = addr_of(3, "example.org");
    book_add(b, &teller, &a);
    book_add(b, &teller, &bad);
    book_good(b, &good, 77);
    assert_int_equal(book_count(b), 2);
    book_put(b, &out);
    assert_true(book_get(again, bytes_of_buf(&out)));
    assert_int_equal(book_count(again), 2);
    assert_true(book_find(again, &good.key, &found));
    assert_string_equal(found.endpoint.s, good.endpoint.s);
    out.n -= 3; /* a torn tail keeps what stands before it */
    struct book *torn = book_new(key);
    assert_false(book_get(torn, bytes_of_buf(&out)));
    assert_int_equal(book_count(torn), 1);
    book_free(torn);
    book_free(again);
    book_free(b);
    buf_clear(&out);
}

static void seen_once_within_its_time(void **state)
{
    (void)state;
    struct gossip *g = gossip_new(key);
    struct bytes x = bytes_of_text("x");
    assert_true(gossip_add(g, 1, x, 100));
    assert_false(gossip_add(g, 1, x, 100 + SEEN_MS / 2 - 1));
    assert_true(gossip_add(g, 2, x, 200));
    assert_true(gossip_add(g, 1, x, 100 + 2 * SEEN_MS));
    for (uint32_t i = 0; i < 3 * SEEN_MAX; i++) /* bounded, and what is new is remembered */
        assert_true(gossip_add(g, 3, bytes_of(&i, sizeof i), 100 + 2 * SEEN_MS));
    uint32_t last = 3 * SEEN_MAX - 1;
    assert_false(gossip_add(g, 3, bytes_of(&last, sizeof last), 100 + 2 * SEEN_MS));
    gossip_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_network_reaches_few_buckets),
        cmocka_unit_test(nodes_behind_relays_count_as_their_relay),
        cmocka_unit_test(who_is_outside_tells_of_nobody_near),
        cmocka_unit_test(it_stays_bounded_and_forgets_the_dead),
        cmocka_unit_test(its_file_brings_it_back),
        cmocka_unit_test(seen_once_within_its_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
