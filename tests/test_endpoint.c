/* "HOST:PORT", and what is behind the key in "PUBKEY@WAY". */
#include "p2p/way.h"
#include "tests/support.h"

#include <stdio.h>
#include <string.h>

static void good_ones_print_as_they_were(void **state)
{
    (void)state;
    static const char *const good[] = {"127.0.0.1:7718", "example.org:1", "[::1]:65535", ":0", "[fe80::1%eth0]:5"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct endpoint e;
        char text[ENDPOINT_TEXT_ROOM];
        assert_int_equal(endpoint_parse(good[i], &e, NULL), ERR_OK);
        endpoint_print(&e, text);
        assert_string_equal(text, good[i]);
    }
    /* The longest host there is room for, and one more. */
    char longest[300];
    struct endpoint e;
    char text[ENDPOINT_TEXT_ROOM];
    memset(longest, 'h', 247);
    memcpy(longest + 247, ":65535", 7);
    assert_int_equal(endpoint_parse(longest, &e, NULL), ERR_OK);
    endpoint_print(&e, text);
    assert_string_equal(text, longest);
    memmove(longest + 1, longest, 254);
    assert_int_equal(endpoint_parse(longest, &e, NULL), ERR_FORMAT);
}

/* As many networks as there are spellings of one host would be had for nothing: there is one of each. */
static void a_host_has_one_spelling(void **state)
{
    (void)state;
    static const struct {
        const char *said, *is;
    } hosts[] = {{"Example.ORG:1", "example.org:1"},
                 {"example.org.:1", "example.org:1"},
                 {"0102.0x7.1.1:5", "66.7.1.1:5"},
                 {"1107755265:5", "66.7.1.1:5"},
                 {"0X42.460033:5", "66.7.5.1:5"},
                 {"127.1:5", "127.0.0.1:5"},
                 {"[2001:0DB8:0::1]:5", "[2001:db8::1]:5"},
                 {"[::ffff:66.7.1.1]:5", "66.7.1.1:5"},
                 {"[0:0:0:0:0:FFFF:7f00:1]:5", "127.0.0.1:5"},
                 {"[FE80:0::1%eth0]:5", "[fe80::1%eth0]:5"}};
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        struct endpoint e;
        char text[ENDPOINT_TEXT_ROOM];
        assert_int_equal(endpoint_parse(hosts[i].said, &e, NULL), ERR_OK);
        endpoint_print(&e, text);
        assert_string_equal(text, hosts[i].is);
    }
}

static void this_network_is_known_by_its_addresses(void **state)
{
    (void)state;
    static const char *const near[] = {
        "0.0.0.0",   "10.1.2.3",  "100.64.0.1",     "127.1", "0x7f000001", "169.254.1.1",  "172.31.0.1",
        "192.168.7", "localhost", "LocalHost",      "::",    "::1",        "FE80::1%eth0", "febf::1",
        "fc00::1",   "fdff::1",   "::ffff:10.0.0.1"};
    static const char *const far[] = {"1.1.1.1",     "100.128.0.1", "172.32.0.1",     "192.169.1.1", "example.org",
                                      "2001:db8::1", "fec0::1",     "::ffff:8.8.8.8", "fcdomain.org"};
    for (size_t i = 0; i < sizeof near / sizeof *near + sizeof far / sizeof *far; i++) {
        const bool is_near = i < sizeof near / sizeof *near;
        const char *host = is_near ? near[i] : far[i - sizeof near / sizeof *near];
        struct endpoint e;
        char text[64];
        snprintf(text, sizeof text, strchr(host, ':') ? "[%s]:1" : "%s:1", host);
        assert_int_equal(endpoint_parse(text, &e, NULL), ERR_OK);
        if (endpoint_is_private(&e) != is_near)
            fail_msg("%s is %s", host, is_near ? "near" : "far");
    }
}

static void bad_ones_are_named(void **state)
{
    (void)state;
    static const char *const bad[] = {"",      "host",  "host:",  "host:65536", "host:1x", "host:-1",
                                      "::1:5", "a b:1", "[::1:5", "a/b:1",      "a@b:1",   "host:000000001"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct endpoint e;
        struct note note = {{0}};
        assert_int_equal(endpoint_parse(bad[i], &e, &note), ERR_FORMAT);
        assert_non_null(strstr(note.text, bad[i]));
    }
}

static void peers_need_a_key_a_host_and_a_port(void **state)
{
    (void)state;
    struct pubkey key;
    struct way e;
    struct note note;
#define KEY "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
    assert_int_equal(way_parse_peer(KEY "@h:1", &key, &e, &note), ERR_OK);
    assert_int_equal(key.b[0], 0x79);
    static const char *const bad[] = {
        "h:1",     KEY "@:1", KEY "@h:0",
        KEY "h:1", "79@h:1",  "0000000000000000000000000000000000000000000000000000000000000005@h:1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(way_parse_peer(bad[i], &key, &e, &note), ERR_FORMAT);
}

#define OTHER "f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9"

static void a_way_through_relays_has_one_text(void **state)
{
    (void)state;
    struct way w;
    struct note note;
    char text[ENDPOINT_TEXT_ROOM];
    static const char *const good[] = {"127.0.0.1:7718", KEY "@h:1", KEY "@[::1]:65535," OTHER "@example.org:7718"};
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(way_parse(good[i], &w, &note), ERR_OK);
        assert_int_equal(w.relays, i);
        assert_int_equal(way_is_relayed(good[i]), i > 0);
        assert_int_equal(way_print(&w, text), i);
        assert_string_equal(text, good[i]);
    }
    struct way second = way_only(&w, 1);
    assert_int_equal(way_print(&second, text), 1);
    assert_string_equal(text, OTHER "@example.org:7718");
    static const char *const bad[] = {":1",
                                      "h:0",
                                      "@h:1",
                                      KEY "@h:0",
                                      KEY "@:5",
                                      KEY "@h:01",
                                      KEY "@h:1,",
                                      "," KEY "@h:1",
                                      KEY "@h:1," KEY "@g:1",               /* one relay twice */
                                      KEY "@h:1,h:2",                       /* directly and not */
                                      KEY "@" OTHER "@h:1",                 /* a relay behind a relay */
                                      KEY "@h:1," OTHER "@h:1," KEY "@h:2", /* too many */
                                      "79BE667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798@h:1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(way_parse(bad[i], &w, &note), ERR_FORMAT);
}

/* With hosts so long that two have no room, the first is told alone. */
static void what_has_no_room_is_left_out(void **state)
{
    (void)state;
    struct way w = {.relays = 2}, again;
    struct note note;
    char text[ENDPOINT_TEXT_ROOM];
    assert_true(hex_get(KEY, w.relay[0].b, 32) && hex_get(OTHER, w.relay[1].b, 32));
    memset(w.at[0].host, 'a', 100);
    memset(w.at[1].host, 'b', 100);
    w.at[0].port = w.at[1].port = 9;
    assert_int_equal(way_print(&w, text), 1);
    assert_int_equal(way_parse(text, &again, &note), ERR_OK);
    assert_int_equal(again.relays, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_host_has_one_spelling),
        cmocka_unit_test(this_network_is_known_by_its_addresses),
        cmocka_unit_test(good_ones_print_as_they_were),
        cmocka_unit_test(bad_ones_are_named),
        cmocka_unit_test(peers_need_a_key_a_host_and_a_port),
        cmocka_unit_test(a_way_through_relays_has_one_text),
        cmocka_unit_test(what_has_no_room_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
