/* Transactions that peers told of: whom to ask, when, and what liars can do. */
#include "base/limits.h"
#include "node/consensus/wanted.h"
#include "tests/support.h"

#include <string.h>
#include <time.h>

static struct hash id_of(uint32_t n)
{
    return hash_once(HASH_FILE, &n, sizeof n);
}

static void expect(struct wanted *w, uint64_t now_ms, uint32_t n, int slot)
{
    struct hash id, want = id_of(n);
    int got;
    assert_true(wanted_next(w, now_ms, &id, &got));
    assert_true(hash_equal(&id, &want));
    assert_int_equal(got, slot);
}

static void expect_none(struct wanted *w, uint64_t now_ms)
{
    struct hash id;
    int slot;
    assert_false(wanted_next(w, now_ms, &id, &slot));
}

static void add(struct wanted *w, uint32_t n, int slot, uint64_t now_ms)
{
    struct hash id = id_of(n);
    assert_true(wanted_add(w, &id, slot, now_ms));
}

static void one_is_asked_and_then_another(void **state)
{
    (void)state;
    struct wanted *w = wanted_new((const uint8_t[16]){7});
    assert_true(wanted_due_ms(w) == UINT64_MAX);
    add(w, 1, 5, 1000);
    assert_int_equal(wanted_due_ms(w), 1000 + CONSENSUS_PATIENCE_MS);
    expect_none(w, 1000 + CONSENSUS_PATIENCE_MS - 1);
    expect(w, 1000 + CONSENSUS_PATIENCE_MS, 1, 5);
    expect_none(w, 1000 + CONSENSUS_PATIENCE_MS);
    add(w, 1, 9, 1200); /* while the first is asked */
    uint64_t late = 1000 + CONSENSUS_PATIENCE_MS + CONSENSUS_ASK_MS;
    assert_int_equal(wanted_due_ms(w), late);
    expect_none(w, late - 1);
    expect(w, late, 1, 9);
    add(w, 1, 5, late); /* it was asked already */
    expect_none(w, late + CONSENSUS_ASK_MS);
    assert_int_equal(wanted_count(w), 0);
    assert_true(wanted_due_ms(w) == UINT64_MAX);
    wanted_free(w);
}

static void what_came_is_not_asked_for(void **state)
{
    (void)state;
    struct wanted *w = wanted_new((const uint8_t[16]){7});
    struct hash id = id_of(1);
    add(w, 1, 0, 0);
    add(w, 1, 63, 0);
    assert_true(wanted_remove(w, &id) == (UINT64_C(1) << 63 | 1));
    assert_true(wanted_remove(w, &id) == 0);
    expect_none(w, 100000);
    wanted_free(w);
}

static void who_has_it_no_more_passes_the_question_on(void **state)
{
    (void)state;
    struct wanted *w = wanted_new((const uint8_t[16]){7});
    struct hash id = id_of(1);
    add(w, 2, 8, 0);
    add(w, 1, 7, 0);
    expect(w, 100, 2, 8);
    expect(w, 100, 1, 7);
    add(w, 1, 8, 110);
    wanted_denied(w, &id, 8, 120); /* it was not asked */
    expect_none(w, 120);
    wanted_denied(w, &id, 7, 120);
    assert_int_equal(wanted_due_ms(w), 120);
    expect(w, 120, 1, 8);
    wanted_denied(w, &id, 8, 130);
    expect_none(w, 130);
    assert_int_equal(wanted_count(w), 1);
    wanted_free(w);
}

/* A peer that tells of everything first and sends nothing is asked only where nobody else told. */
static void a_liar_delays_nothing_for_long(void **state)
{
    (void)state;
    struct wanted *w = wanted_new((const uint8_t[16]){7});
    unsigned asked_liar = 0;
    uint64_t now = 0;
    for (uint32_t n = 0; n < 100; n++, now += 1000) {
        struct hash id = id_of(n), got;
        int slot;
        add(w, n, 3, now);
        add(w, n, 4, now + 90);
        assert_true(wanted_next(w, now + CONSENSUS_PATIENCE_MS, &got, &slot));
        if (slot == 3) {
            asked_liar++;
            assert_true(wanted_next(w, now + CONSENSUS_PATIENCE_MS + CONSENSUS_ASK_MS, &got, &slot));
        }
        assert_int_equal(slot, 4);
        wanted_came(w, 4);
        assert_true(wanted_remove(w, &id) != 0);
    }
    assert_in_range(asked_liar, 1, 1);
    wanted_gone(w, 3, now); /* who has its place next is not blamed */
    add(w, 1000, 3, now);
    add(w, 1000, 4, now);
    expect(w, now + 100, 1000, id_of(1000).b[31] % RELAY_SLOTS <= 3 || id_of(1000).b[31] % RELAY_SLOTS > 4 ? 3 : 4);
    wanted_free(w);
}

static void a_peer_tells_of_so_many_and_no_more(void **state)
{
    (void)state;
    struct wanted *w = wanted_new((const uint8_t[16]){7});
    for (uint32_t n = 0; n < WANTED_PEER_MAX; n++)
        add(w, n, 1, 0);
    struct hash more = id_of(WANTED_PEER_MAX), first = id_of(0);
    assert_false(wanted_add(w, &more, 1, 0));
    assert_true(wanted_add(w, &more, 2, 0)); /* another one still may */
    assert_true(wanted_add(w, &more, 1, 0)); /* and then it is a second teller */
    assert_true(wanted_remove(w, &first) == 2);
    add(w, 0, 1, 0);
    assert_int_equal(wanted_count(w), WANTED_PEER_MAX + 1);
    wanted_gone(w, 1, 0);
    assert_int_equal(wanted_count(w), 1);
    for (uint32_t n = 0; n < WANTED_PEER_MAX; n++) /* nothing is left on its account */
        add(w, n, 1, 0);
    wanted_free(w);
}

static void who_goes_takes_its_questions_along(void **state)
{
    (void)state;
    struct wanted *w = wanted_new((const uint8_t[16]){7});
    add(w, 1, 10, 0);
    expect(w, 100, 1, 10);
    add(w, 1, 11, 110);
    wanted_gone(w, 10, 120);
    expect(w, 120, 1, 11); /* at once */
    wanted_gone(w, 11, 130);
    assert_int_equal(wanted_count(w), 0);
    wanted_free(w);
}

/* Against a list, over many additions and removals. */
static void the_table_loses_nothing(void **state)
{
    (void)state;
    enum { N = 3000 };
    struct wanted *w = wanted_new((const uint8_t[16]){7});
    bool is_in[N] = {false};
    uint32_t random = 1, n = 0;
    for (unsigned step = 0; step < 100000; step++) {
        random = random * 1664525u + 1013904223u;
        uint32_t k = (random >> 8) % N;
        struct hash id = id_of(k);
        if (random >> 31) {
            n += !is_in[k];
            is_in[k] = true;
            assert_true(wanted_add(w, &id, (int)(k % RELAY_SLOTS), 0));
        } else {
            uint64_t want = is_in[k] ? UINT64_C(1) << k % RELAY_SLOTS : 0;
            assert_true(wanted_remove(w, &id) == want);
            n -= is_in[k];
            is_in[k] = false;
        }
        assert_int_equal(wanted_count(w), n);
    }
    struct hash id;
    int slot;
    uint32_t asked = 0;
    while (wanted_next(w, CONSENSUS_PATIENCE_MS, &id, &slot))
        asked++;
    assert_int_equal(asked, n);
    wanted_free(w);
}

/* Ids that look alike lie apart: without a secret these would stand in one row, and take minutes. */
static void nobody_chooses_where_ids_lie(void **state)
{
    (void)state;
    struct wanted *w = wanted_new((const uint8_t[16]){7});
    clock_t start = clock();
    for (uint32_t k = 0; k < RELAY_SLOTS * WANTED_PEER_MAX; k++) {
        struct hash id = {{0}};
        store_le32(id.b + 8, k);
        assert_true(wanted_add(w, &id, (int)(k / WANTED_PEER_MAX), 0));
    }
    assert_int_equal(wanted_count(w), RELAY_SLOTS * WANTED_PEER_MAX);
    assert_true(clock() - start < 5 * CLOCKS_PER_SEC);
    wanted_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_is_asked_and_then_another),
        cmocka_unit_test(what_came_is_not_asked_for),
        cmocka_unit_test(who_has_it_no_more_passes_the_question_on),
        cmocka_unit_test(a_liar_delays_nothing_for_long),
        cmocka_unit_test(a_peer_tells_of_so_many_and_no_more),
        cmocka_unit_test(who_goes_takes_its_questions_along),
        cmocka_unit_test(the_table_loses_nothing),
        cmocka_unit_test(nobody_chooses_where_ids_lie),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
