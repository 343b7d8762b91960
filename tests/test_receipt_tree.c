/* A channel's tree that is kept: after any sequence of changes it is the one that is made from all leaves. */
#include "base/limits.h"
#include "base/mem.h"
#include "chain/receipt_tree.h"
#include "tests/sim/random.h"
#include "tests/support.h"

#include <stdlib.h>
#include <string.h>

#define LEAVES 300u
#define SEEDS  12u
#define STEPS  600u

struct both {
    struct receipt_tree kept;
    struct sum_node leaf[LEAVES];
    uint32_t n;
};

static void assert_same(const struct both *b, struct random *chance)
{
    struct sum_node made, kept;
    struct buf x = {0}, y = {0};
    const uint32_t i = (uint32_t)random_below(chance, b->n + 1);
    bool good = sum_tree_top(b->leaf, b->n, &made);
    assert_int_equal(receipt_tree_top(&b->kept, &kept), good);
    assert_true(!good || sum_node_equal(&made, &kept));
    if (good) {
        assert_int_equal(receipt_tree_prove(&b->kept, i, &x), sum_tree_prove(b->leaf, b->n, i, &y));
        assert_true(x.n == y.n && (!x.n || memcmp(x.p, y.p, x.n) == 0));
    } else {
        assert_false(receipt_tree_prove(&b->kept, i, &x));
    }
    buf_clear(&x);
    buf_clear(&y);
}

static struct sum_node random_leaf(struct random *chance)
{
    struct receipt r = {.tokens_in = (uint32_t)random_below(chance, 1000),
                        .price = amount_of(random_below(chance, 9999))};
    random_bytes(chance, r.job.b, sizeof r.job.b);
    struct sum_node leaf = sum_leaf(&r);
    if (random_chance(chance, 3)) /* two of these are too much */
        leaf.amount = amount_of(UINT64_MAX / 2 + 1);
    return leaf;
}

static void change(struct both *b, struct random *chance)
{
    uint32_t i = (uint32_t)random_below(chance, b->n + 1);
    if (random_chance(chance, 40))
        i = b->n; /* it grows, on the whole */
    if (random_chance(chance, 2)) {
        receipt_tree_cut(&b->kept, i);
        b->n = i;
    } else if (random_chance(chance, 15) && b->n) {
        receipt_tree_cut(&b->kept, --b->n);
    } else if (i < LEAVES) {
        b->leaf[i] = random_leaf(chance);
        receipt_tree_put(&b->kept, i, &b->leaf[i]);
        b->n += i == b->n;
    }
}

static void it_is_the_tree_of_its_leaves(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct random chance = {seed};
        struct both *b = mem_new(sizeof *b);
        assert_same(b, &chance);
        for (unsigned k = 0; k < STEPS; k++) {
            change(b, &chance);
            assert_same(b, &chance);
            if (random_chance(&chance, 5)) { /* a copy goes on as the first would */
                struct receipt_tree copy;
                receipt_tree_copy(&b->kept, &copy);
                receipt_tree_clear(&b->kept);
                b->kept = copy;
                assert_same(b, &chance);
            }
        }
        receipt_tree_clear(&b->kept);
        free(b);
    }
}

/* Room that is no power of two grows to what may be, not past the last row. */
static void the_largest_tree(void **state)
{
    (void)state;
    struct receipt_tree t = {0}, copy;
    struct sum_node top;
    const struct sum_node leaf = sum_leaf(&(struct receipt){.tokens_in = 1, .price = amount_of(3)});
    const uint32_t n = RECEIPTS_MAX / 2 + 77;
    for (uint32_t i = 0; i < n; i++)
        receipt_tree_put(&t, i, &leaf);
    receipt_tree_copy(&t, &copy);
    receipt_tree_clear(&t);
    receipt_tree_put(&copy, n, &leaf);
    assert_int_equal(copy.room, RECEIPTS_MAX);
    assert_true(receipt_tree_top(&copy, &top));
    assert_int_equal(top.tokens_in, n + 1);
    receipt_tree_clear(&copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_the_tree_of_its_leaves),
        cmocka_unit_test(the_largest_tree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
