/* Transactions that came before the one they follow. */
#include "base/limits.h"
#include "base/mem.h"
#include "node/consensus/early.h"
#include "tests/support.h"

#include <stdlib.h>
#include <string.h>

static const struct pubkey alice = {{1}}, bob = {{2}};

static void add(struct early *e, const struct pubkey *who, uint64_t nonce, uint64_t next, const char *text, uint64_t at)
{
    early_add(e, who, nonce, next, bytes_of_text(text), at);
}

static bool take(struct early *e, const struct pubkey *who, uint64_t nonce, uint64_t at, const char *text)
{
    struct buf tx = {0};
    bool is_there = early_take(e, who, nonce, at, &tx);
    if (is_there)
        assert_true(bytes_equal(bytes_of_buf(&tx), bytes_of_text(text)));
    else
        assert_int_equal(tx.n, 0);
    buf_clear(&tx);
    return is_there;
}

static void each_waits_for_its_turn(void **state)
{
    (void)state;
    struct early *e = early_new();
    add(e, &alice, 8, 5, "a8", 0);
    add(e, &alice, 7, 5, "a7", 0);
    add(e, &bob, 7, 2, "b7", 0);
    assert_int_equal(early_count(e), 3);
    assert_false(take(e, &alice, 6, 10, ""));
    assert_true(take(e, &alice, 7, 10, "a7"));
    assert_false(take(e, &alice, 7, 10, ""));
    assert_true(take(e, &alice, 8, 10, "a8"));
    assert_true(take(e, &bob, 7, 10, "b7"));
    assert_int_equal(early_count(e), 0);
    early_free(e);
}

static void the_latest_of_one_nonce_stays(void **state)
{
    (void)state;
    struct early *e = early_new();
    add(e, &alice, 7, 5, "first", 0);
    add(e, &alice, 7, 5, "second", 0);
    assert_int_equal(early_count(e), 1);
    assert_true(take(e, &alice, 7, 10, "second"));
    early_free(e);
}

static void what_is_not_early_or_too_far_off_is_not_kept(void **state)
{
    (void)state;
    struct early *e = early_new();
    add(e, &alice, 5, 5, "next", 0);
    add(e, &alice, 4, 5, "past", 0);
    add(e, &alice, 5 + EARLY_AHEAD + 1, 5, "far", 0);
    assert_int_equal(early_count(e), 0);
    add(e, &alice, 5 + EARLY_AHEAD, 5, "just", 0);
    assert_true(take(e, &alice, 5 + EARLY_AHEAD, 0, "just"));
    early_free(e);
}

static void it_waits_for_so_long(void **state)
{
    (void)state;
    struct early *e = early_new();
    add(e, &alice, 7, 5, "a7", 1000);
    add(e, &bob, 7, 5, "b7", 1000);
    assert_true(take(e, &alice, 7, 1000 + EARLY_MS - 1, "a7"));
    assert_false(take(e, &bob, 7, 1000 + EARLY_MS, "b7"));
    assert_int_equal(early_count(e), 0);
    early_free(e);
}

static void the_oldest_gives_way(void **state)
{
    (void)state;
    struct early *e = early_new();
    uint8_t large[65536] = {1};
    for (uint64_t i = 0; i <= EARLY_MAX; i++)
        early_add(e, &alice, 1 + i, i, bytes_of_text("x"), 0);
    assert_int_equal(early_count(e), EARLY_MAX);
    assert_false(take(e, &alice, 1, 0, ""));
    assert_true(take(e, &alice, 2, 0, "x"));
    assert_true(take(e, &alice, 1 + EARLY_MAX, 0, "x"));
    for (uint64_t i = 0; i < 100; i++) /* as many bytes as fit */
        early_add(e, &bob, 1 + i, i, bytes_of(large, sizeof large), 0);
    assert_int_equal(early_count(e), EARLY_BYTES_MAX / sizeof large);
    assert_false(take(e, &alice, 3, 0, ""));
    struct buf tx = {0};
    assert_false(early_take(e, &bob, 1, 0, &tx));
    assert_true(early_take(e, &bob, 100, 0, &tx));
    assert_int_equal(tx.n, sizeof large);
    buf_clear(&tx);
    early_free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_waits_for_its_turn),
        cmocka_unit_test(the_latest_of_one_nonce_stays),
        cmocka_unit_test(what_is_not_early_or_too_far_off_is_not_kept),
        cmocka_unit_test(it_waits_for_so_long),
        cmocka_unit_test(the_oldest_gives_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
