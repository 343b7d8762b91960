/* Validators: turns in proportion to power, quorums, extremes of power, changes, encodings. */
#include "base/mem.h"
#include "chain/valset.h"
#include "tests/support.h"

#include <stdlib.h>
#include <string.h>

static struct valset_entry entry(uint32_t i, uint64_t power)
{
    struct valset_entry e = {.power = power};
    store_le32(e.key.b, i * 2654435761u);
    store_le32(e.key.b + 4, i);
    return e;
}

static struct valset *set_of(const uint64_t *powers, uint32_t n)
{
    struct valset *s = mem_new(sizeof *s);
    struct valset_entry e[VALIDATORS_MAX];
    for (uint32_t i = 0; i < n; i++)
        e[i] = entry(i, powers[i]);
    assert_int_equal(valset_init(s, e, n, NULL), ERR_OK);
    return s;
}

static void turns_follow_power(void **state)
{
    (void)state;
    const uint64_t powers[] = {1, 2, 3, 10, 84};
    struct valset *s = set_of(powers, 5);
    uint64_t turns[5] = {0};
    for (int i = 0; i < 1000; i++)
        turns[valset_step(s)]++;
    for (uint32_t i = 0; i < 5; i++)
        assert_true(turns[i] >= s->v[i].power * 10 - 1 && turns[i] <= s->v[i].power * 10 + 1);
    free(s);
}

static void a_round_is_a_turn(void **state)
{
    (void)state;
    const uint64_t powers[] = {5, 5, 7};
    struct valset *s = set_of(powers, 3), *t = mem_new(sizeof *t);
    *t = *s;
    for (uint32_t r = 0; r < 20; r++)
        assert_int_equal(valset_proposer(s, r), valset_step(t));
    free(s);
    free(t);
}

static void the_greatest_powers_do_not_overflow(void **state)
{
    (void)state;
    const uint64_t powers[] = {POWER_SUM_MAX - 2, 1, 1};
    struct valset *s = set_of(powers, 3);
    uint32_t big = 0;
    for (uint32_t i = 0; i < 3; i++)
        if (s->v[i].power > 1)
            big = i;
    for (int i = 0; i < 2000; i++)
        assert_int_equal(valset_step(s), big);
    struct valset_entry e[3] = {entry(0, 1), entry(1, POWER_SUM_MAX - 2), entry(7, 1)};
    for (int i = 0; i < 200; i++) { /* a set that turns over again and again */
        e[2] = entry(100 + (uint32_t)i, 1);
        e[0].power = i % 2 ? 1 : POWER_SUM_MAX - 2;
        e[1].power = i % 2 ? POWER_SUM_MAX - 2 : 1;
        assert_int_equal(valset_update(s, e, 3, NULL), ERR_OK);
        valset_step(s);
        for (uint32_t k = 0; k < 3; k++)
            assert_true(s->v[k].priority < INT64_C(1) << 61 && s->v[k].priority > -(INT64_C(1) << 61));
    }
    const uint64_t all[] = {POWER_SUM_MAX / 2, POWER_SUM_MAX / 2};
    struct valset *half = set_of(all, 2);
    assert_false(valset_is_quorum(half, half->total / 2));
    assert_true(valset_is_quorum(half, half->total));
    free(half);
    free(s);
}

static void bad_sets_are_refused(void **state)
{
    (void)state;
    struct valset *s = mem_new(sizeof *s);
    struct valset_entry e[3] = {entry(0, 1), entry(1, 0), entry(2, 1)};
    assert_int_equal(valset_init(s, e, 0, NULL), ERR_RANGE);
    assert_int_equal(valset_init(s, e, 2, NULL), ERR_RANGE); /* no power */
    e[1] = entry(0, 5);
    assert_int_equal(valset_init(s, e, 2, NULL), ERR_RANGE); /* twice */
    e[1] = entry(1, POWER_SUM_MAX);
    assert_int_equal(valset_init(s, e, 2, NULL), ERR_RANGE); /* too much */
    e[1].power = POWER_SUM_MAX - 1;
    assert_int_equal(valset_init(s, e, 2, NULL), ERR_OK);
    struct valset before = *s;
    e[1].power = 0;
    assert_int_equal(valset_update(s, e, 2, NULL), ERR_RANGE);
    assert_memory_equal(&before, s, sizeof before);
    free(s);
}

static void quorums_are_more_than_two_thirds(void **state)
{
    (void)state;
    struct valset s = {.n = 1};
    for (uint64_t total = 1; total < 300; total++) {
        s.total = total;
        for (uint64_t p = 0; p <= total; p++) {
            assert_int_equal(valset_is_quorum(&s, p), 3 * p > 2 * total);
            assert_int_equal(valset_is_honest(&s, p), 3 * p > total);
        }
    }
}

static void a_newcomer_waits_for_its_turn(void **state)
{
    (void)state;
    const uint64_t powers[] = {10, 10, 10};
    struct valset *s = set_of(powers, 3);
    for (int i = 0; i < 7; i++)
        valset_step(s);
    struct valset_entry e[4] = {entry(0, 10), entry(1, 10), entry(2, 10), entry(3, 10)};
    for (int i = 0; i < 5; i++) { /* leaving and coming back gains nothing */
        assert_int_equal(valset_update(s, e, 3, NULL), ERR_OK);
        assert_int_equal(valset_update(s, e, 4, NULL), ERR_OK);
        uint32_t who = valset_step(s);
        assert_false(pubkey_equal(&s->v[who].key, &e[3].key));
    }
    free(s);
}

static void encodings_are_checked(void **state)
{
    (void)state;
    const uint64_t powers[] = {10, 20, 30};
    struct valset *s = set_of(powers, 3), *t = mem_new(sizeof *t);
    struct buf b = {0};
    valset_step(s);
    valset_put(&b, s);
    struct cursor c = cursor_of(bytes_of_buf(&b));
    valset_get(&c, t);
    assert_true(cursor_end(&c));
    assert_memory_equal(s, t, sizeof *s);
    struct hash keys = valset_hash(s), turn = valset_rotation_hash(s);
    valset_step(s);
    struct hash keys_after = valset_hash(s), turn_after = valset_rotation_hash(s);
    assert_true(hash_equal(&keys, &keys_after));
    assert_false(hash_equal(&turn, &turn_after));
    for (size_t n = 0; n < b.n; n++) {
        c = cursor_of(bytes_of(b.p, n));
        valset_get(&c, t);
        assert_false(cursor_ok(&c));
    }
    store_le64(b.p + 4 + 32, 0); /* no power */
    c = cursor_of(bytes_of_buf(&b));
    valset_get(&c, t);
    assert_false(cursor_ok(&c));
    buf_clear(&b);
    free(s);
    free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(turns_follow_power),
        cmocka_unit_test(a_round_is_a_turn),
        cmocka_unit_test(the_greatest_powers_do_not_overflow),
        cmocka_unit_test(bad_sets_are_refused),
        cmocka_unit_test(quorums_are_more_than_two_thirds),
        cmocka_unit_test(a_newcomer_waits_for_its_turn),
        cmocka_unit_test(encodings_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
