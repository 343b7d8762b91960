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

static uint64_t total_of(const struct valset_entry *v, uint32_t n)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += v[i].power;
    return sum;
}

static uint64_t power_in(const struct valset_entry *v, uint32_t n, const struct pubkey *key)
{
    for (uint32_t i = 0; i < n; i++)
        if (pubkey_equal(&v[i].key, key))
            return v[i].power;
    return 0;
}

/* Of the set before, what those hold that a quorum of the set after has at the least: all that is over two thirds may
 * first be newcomers, then whoever grew. */
static void check_step(const struct valset_entry *a, uint32_t an, const struct valset_entry *b, uint32_t bn)
{
    uint64_t lost = 0, won = 0, before = total_of(a, an), after = total_of(b, bn);
    assert_true(bn > 0 && bn <= VALIDATORS_MAX);
    for (uint32_t i = 0; i < an; i++) {
        uint64_t now = power_in(b, bn, &a[i].key);
        lost += now < a[i].power ? a[i].power - now : 0;
    }
    for (uint32_t i = 0; i < bn; i++) {
        uint64_t then = power_in(a, an, &b[i].key);
        assert_true(b[i].power > 0 && (i == 0 || pubkey_compare(&b[i - 1].key, &b[i].key) < 0));
        won += then < b[i].power ? b[i].power - then : 0;
    }
    assert_true(before - lost + won == after);
    if (before < 4)
        assert_true(lost + won <= 1);
    else {
        assert_true(3 * (lost + won) < before);
        assert_true(2 * after / 3 + 1 - won > before / 3); /* a quorum of the new, without all that is new */
    }
}

/* How many steps from a to b; each is checked. */
static unsigned steps(struct valset_entry *a, uint32_t an, const struct valset_entry *b, uint32_t bn)
{
    struct valset_entry *now = mem_array(VALIDATORS_MAX, sizeof *now), *next = mem_array(VALIDATORS_MAX, sizeof *now);
    memcpy(now, a, an * sizeof *a);
    uint32_t n = an;
    unsigned count = 0;
    for (;; count++) {
        uint32_t next_n = valset_approach(now, n, b, bn, next);
        if (next_n == n && memcmp(now, next, n * sizeof *now) == 0)
            break;
        check_step(now, n, next, next_n);
        memcpy(now, next, next_n * sizeof *now);
        n = next_n;
        assert_true(count < 500);
    }
    assert_int_equal(n, bn ? bn : an);
    assert_memory_equal(now, bn ? b : a, n * sizeof *now);
    free(now);
    free(next);
    return count;
}

static int compare_by_key(const void *x, const void *y)
{
    return pubkey_compare(&((const struct valset_entry *)x)->key, &((const struct valset_entry *)y)->key);
}

static void a_set_changes_by_less_than_a_third(void **state)
{
    (void)state;
    struct valset_entry one = entry(1, 1), other = entry(2, 1), a[3] = {entry(1, 10), entry(2, 10), entry(3, 10)};
    qsort(a, 3, sizeof *a, compare_by_key);
    assert_int_equal(steps(a, 3, a, 3), 0);
    assert_int_equal(steps(&one, 1, &other, 1), 2); /* never nobody: in comes one, out goes the other */
    assert_int_equal(steps(a, 3, a, 0), 0);         /* nobody wants to: they stay */
    struct valset_entry giant = entry(9, POWER_SUM_MAX / 2), dwarf = entry(8, 1);
    assert_true(steps(&dwarf, 1, &giant, 1) < 160); /* a third more each block: 2^58 in 140 blocks */
    assert_true(steps(&giant, 1, &dwarf, 1) < 160);
    struct valset_entry bigger[3] = {entry(1, 10), entry(2, 10), entry(3, 19)};
    qsort(bigger, 3, sizeof *bigger, compare_by_key);
    assert_int_equal(steps(a, 3, bigger, 3), 1); /* 9 of 30 in one block */
}

/* 256 leave and 256 others come: places are free before they are taken. */
static void a_whole_set_is_replaced(void **state)
{
    (void)state;
    struct valset_entry *a = mem_array(VALIDATORS_MAX, sizeof *a), *b = mem_array(VALIDATORS_MAX, sizeof *b);
    for (uint32_t i = 0; i < VALIDATORS_MAX; i++) {
        a[i] = entry(2 * i, 1000 + i);
        b[i] = entry(2 * i + 1, 5000 - i);
    }
    qsort(a, VALIDATORS_MAX, sizeof *a, compare_by_key);
    qsort(b, VALIDATORS_MAX, sizeof *b, compare_by_key);
    assert_true(steps(a, VALIDATORS_MAX, b, VALIDATORS_MAX) < 60);
    uint64_t least = total_of(a, VALIDATORS_MAX);
    struct valset_entry *now = mem_array(VALIDATORS_MAX, sizeof *now);
    memcpy(now, a, VALIDATORS_MAX * sizeof *a);
    for (uint32_t n = VALIDATORS_MAX, i = 0; i < 60; i++) {
        n = valset_approach(now, n, b, VALIDATORS_MAX, now);
        least = total_of(now, n) < least ? total_of(now, n) : least;
    }
    assert_true(least > total_of(a, VALIDATORS_MAX) / 2); /* it does not melt away before the new ones are there */
    free(now);
    free(a);
    free(b);
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
        cmocka_unit_test(a_set_changes_by_less_than_a_third),
        cmocka_unit_test(a_whole_set_is_replaced),
        cmocka_unit_test(encodings_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
