/* The authenticated state: root independent of history, undo, walks, proofs. */
#include "chain/tree_core.h"
#include "tests/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N 500

static uint64_t seed = 88172645463325252u;

static uint32_t below(uint32_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed % n);
}

static uint32_t spread = 1; /* another set of keys */

static struct bytes key_at(uint32_t i)
{
    static char text[4][16];
    static unsigned turn;
    char *t = text[turn++ % 4];
    snprintf(t, sizeof text[0], "%c%06u", i % 2 ? 'l' : 'x', i * spread % 1000000);
    return bytes_of(t, 7);
}

static void shuffle(uint32_t *order, uint32_t n)
{
    for (uint32_t i = n; i > 1; i--) {
        uint32_t k = below(i), swap = order[i - 1];
        order[i - 1] = order[k];
        order[k] = swap;
    }
}

/* The definition, written again: entries as (path, value), split bit by bit. */
struct pair {
    struct hash path;
    struct bytes value;
};

static struct hash root_of(struct pair *p, uint32_t n, unsigned depth)
{
    struct hasher h;
    struct hash side[2];
    uint32_t zeros = 0;
    if (n == 0)
        return (struct hash){{0}};
    if (n == 1) {
        hash_start(&h, HASH_STATE_LEAF);
        hash_add(&h, p->path.b, 32);
        hash_add(&h, p->value.p, p->value.n);
        return hash_end(&h);
    }
    for (uint32_t i = 0; i < n; i++)
        if (!(p[i].path.b[depth / 8] >> (7 - depth % 8) & 1)) {
            struct pair swap = p[zeros];
            p[zeros++] = p[i];
            p[i] = swap;
        }
    side[0] = root_of(p, zeros, depth + 1);
    side[1] = root_of(p + zeros, n - zeros, depth + 1);
    return hash_once(HASH_STATE, side, sizeof side);
}

static void root_is_that_of_the_content(void **state)
{
    (void)state;
    static struct pair pairs[N];
    static uint32_t order[N], values[N];
    struct hash want = {{0}};
    for (uint32_t i = 0; i < N; i++) {
        struct bytes key = key_at(i);
        values[i] = i * 7;
        order[i] = i;
        pairs[i] = (struct pair){hash_once(HASH_STATE_KEY, key.p, key.n), bytes_of(&values[i], i % 5)};
    }
    want = root_of(pairs, N, 0);
    for (unsigned round = 0; round < 20; round++) {
        struct tree *t = tree_new("l");
        shuffle(order, N);
        for (uint32_t i = 0; i < N; i++) {
            uint32_t k = order[i];
            if (below(3) == 0) /* something else first, sometimes hashed */
                tree_put(t, key_at(k), bytes_of("other", 5));
            if (below(50) == 0)
                (void)tree_root(t);
            tree_put(t, key_at(k), bytes_of(&values[k], k % 5));
            uint32_t extra = N + below(N);
            if (below(2) == 0)
                tree_put(t, key_at(extra), bytes_of("extra", 5));
            if (below(4) == 0)
                tree_remove(t, key_at(N + below(N)));
            if (below(20) == 0)
                tree_settle(t);
        }
        shuffle(order, N);
        for (uint32_t i = 0; i < N; i++)
            tree_remove(t, key_at(N + order[i]));
        struct hash root = tree_root(t);
        assert_true(hash_equal(&root, &want));
        assert_true(tree_count(t) == N);
        for (uint32_t i = 0; i < N; i++)
            tree_remove(t, key_at(order[i]));
        root = tree_root(t);
        assert_true(hash_is_zero(&root));
        tree_free(t);
    }
}

static void undo_brings_everything_back(void **state)
{
    (void)state;
    struct tree *t = tree_new("l");
    for (uint32_t i = 0; i < 100; i++)
        tree_put(t, key_at(i), bytes_of(&i, 4));
    tree_settle(t);
    struct hash before = tree_root(t);
    for (unsigned round = 0; round < 50; round++) {
        size_t outer = tree_mark(t);
        assert_true(outer == 0);
        for (unsigned i = 0; i < 40; i++) {
            size_t inner = tree_mark(t);
            uint32_t k = below(150);
            if (below(3) == 0)
                tree_remove(t, key_at(k));
            else
                tree_put(t, key_at(k), bytes_of(&i, below(5)));
            if (below(3) == 0)
                tree_undo(t, inner);
            if (below(10) == 0)
                (void)tree_root(t);
        }
        tree_undo(t, outer);
        struct hash root = tree_root(t);
        assert_true(hash_equal(&root, &before));
        assert_true(tree_count(t) == 100);
    }
    struct bytes value = tree_get(t, key_at(99));
    assert_true(value.n == 4 && load_le32(value.p) == 99);
    tree_free(t);
}

static void walks_in_order(void **state)
{
    (void)state;
    struct tree *t = tree_new("l");
    uint32_t order[N];
    for (uint32_t i = 0; i < N; i++)
        order[i] = i;
    shuffle(order, N);
    for (uint32_t i = 0; i < N; i++)
        tree_put(t, key_at(order[i]), bytes_of("", 0));
    for (uint32_t i = 0; i < N; i += 3)
        tree_remove(t, key_at(i));
    char last[8] = {0};
    struct bytes key, value, after = {0};
    uint32_t seen = 0, want = 0;
    while (tree_next(t, bytes_of("l", 1), after, &key, &value)) {
        assert_true(key.n == 7 && key.p[0] == 'l' && value.p && value.n == 0);
        assert_true(memcmp(key.p, last, 7) > 0);
        memcpy(last, key.p, 7);
        after = bytes_of(last, 7);
        seen++;
    }
    for (uint32_t i = 1; i < N; i += 2)
        want += i % 3 != 0;
    assert_int_equal(seen, want);
    assert_false(tree_next(t, bytes_of("x", 1), (struct bytes){0}, &key, &value)); /* not listed */
    assert_true(tree_next(t, bytes_of("l00040", 6), (struct bytes){0}, &key, &value));
    assert_memory_equal(key.p, "l000401", 7);
    tree_free(t);
}

struct seen {
    unsigned puts, removes;
};

static unsigned order_height(const struct tree *t, uint32_t at)
{
    if (!at)
        return 0;
    const struct order_node *n = pool_at(&t->order.nodes, at);
    unsigned before = order_height(t, n->before), after = order_height(t, n->after);
    return 1 + (before > after ? before : after);
}

/* Keys whose paths rise with them, as a stranger can choose them who registers under roots of his own. */
static void chosen_keys_make_no_long_way(void **state)
{
    (void)state;
    enum { KEYS = 1000 };
    struct tree *t = tree_new("d");
    for (uint32_t i = 0; i < KEYS; i++) {
        uint8_t key[9] = {'d', (uint8_t)(i >> 24), (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};
        struct hash path;
        do {
            store_le32(key + 5, load_le32(key + 5) + 1);
            path = hash_once(HASH_STATE_KEY, key, sizeof key);
        } while (
            (uint32_t)(((uint64_t)path.b[0] << 24 | (uint64_t)path.b[1] << 16 | (uint64_t)path.b[2] << 8 | path.b[3]) *
                           KEYS >>
                       32) != i);
        tree_put(t, bytes_of(key, sizeof key), bytes_of_text("x"));
    }
    unsigned height = order_height(t, t->order.root);
    assert_true(height < 100); /* of 1000 in chance order 22 or so, of these 1000 */
    tree_free(t);
}

static void count_change(void *arg, struct bytes key, struct bytes value)
{
    struct seen *s = arg;
    (void)key;
    if (value.p)
        s->puts++;
    else
        s->removes++;
}

static void tells_what_changed(void **state)
{
    (void)state;
    struct tree *t = tree_new("");
    struct seen s = {0};
    tree_put(t, key_at(1), bytes_of("a", 1));
    tree_put(t, key_at(2), bytes_of("a", 1));
    tree_settle(t);
    tree_put(t, key_at(1), bytes_of("a", 1)); /* the same */
    tree_changes(t, count_change, &s);
    assert_int_equal(s.puts + s.removes, 0);
    tree_put(t, key_at(1), bytes_of("b", 1));
    tree_put(t, key_at(1), bytes_of("c", 1));
    tree_remove(t, key_at(2));
    tree_put(t, key_at(3), bytes_of("d", 1));
    tree_remove(t, key_at(3)); /* came and went */
    tree_changes(t, count_change, &s);
    assert_int_equal(s.puts, 1);
    assert_int_equal(s.removes >= 1, 1);
    tree_free(t);
}

static void proofs_hold_and_forged_ones_do_not(void **state)
{
    (void)state;
    struct tree *t = tree_new("");
    struct buf proof = {0};
    for (uint32_t i = 0; i < 200; i++)
        tree_put(t, key_at(i), bytes_of(&i, 4));
    struct hash root = tree_root(t);
    for (uint32_t i = 0; i < 300; i++) {
        struct bytes there = i < 200 ? bytes_of(&i, 4) : (struct bytes){0}, none = {0};
        uint32_t wrong = i + 1;
        buf_reset(&proof);
        tree_prove(t, key_at(i), &proof);
        assert_true(tree_verify(&root, key_at(i), there, bytes_of_buf(&proof)));
        assert_false(tree_verify(&root, key_at(i), bytes_of(&wrong, 4), bytes_of_buf(&proof)));
        assert_false(tree_verify(&root, key_at(i + 1), there, bytes_of_buf(&proof)) && i < 200);
        if (i < 200)
            assert_false(tree_verify(&root, key_at(i), none, bytes_of_buf(&proof)));
        size_t at = below((uint32_t)proof.n);
        proof.p[at] ^= (uint8_t)(1 + below(255));
        assert_false(tree_verify(&root, key_at(i), there, bytes_of_buf(&proof)));
        assert_false(tree_verify(&root, key_at(i), there, bytes_of(proof.p, at)));
    }
    tree_free(t);
    /* Nothing is in an empty tree. */
    t = tree_new("");
    root = tree_root(t);
    buf_reset(&proof);
    tree_prove(t, key_at(1), &proof);
    assert_true(tree_verify(&root, key_at(1), (struct bytes){0}, bytes_of_buf(&proof)));
    assert_false(tree_verify(&root, key_at(1), bytes_of("", 0), bytes_of_buf(&proof)));
    buf_clear(&proof);
    tree_free(t);
}

/* -- against the definition: random histories, with what each key has kept beside -- */

#define KEYS 3000

struct shadow {
    uint8_t n[KEYS]; /* length of the value + 1; 0: none */
    uint8_t byte[KEYS];
};

static struct bytes shadow_value(const struct shadow *s, uint32_t i, uint8_t room[80])
{
    memset(room, s->byte[i], 80);
    return s->n[i] ? bytes_of(room, s->n[i] - 1u) : (struct bytes){0};
}

/* Paths that were planted in the tree's memory of paths stand for keys that somebody searched for. */
static struct hash path_at(const struct tree *t, uint32_t i)
{
    return tree_path(t, key_at(i));
}

static struct hash shadow_root(const struct tree *t, const struct shadow *s, uint32_t keys)
{
    static struct pair pairs[KEYS];
    static uint8_t rooms[KEYS][80];
    uint32_t n = 0;
    for (uint32_t i = 0; i < keys; i++)
        if (s->n[i]) {
            pairs[n] = (struct pair){path_at(t, i), shadow_value(s, i, rooms[n])};
            n++;
        }
    return root_of(pairs, n, 0);
}

static void shadow_step(struct tree *t, struct shadow *s, uint32_t keys, unsigned removes)
{
    uint8_t room[80];
    uint32_t i = below(keys);
    if (below(100) < removes) {
        s->n[i] = 0;
        tree_remove(t, key_at(i));
        return;
    }
    s->n[i] = (uint8_t)(1 + (below(4) ? below(20) : 30 + below(50))); /* within the entry, or beside it */
    s->byte[i] = (uint8_t)below(256);
    tree_put(t, key_at(i), shadow_value(s, i, room));
}

static void assert_is_shadow(struct tree *t, const struct shadow *s, uint32_t keys)
{
    uint8_t room[80];
    uint32_t n = 0;
    struct hash want = shadow_root(t, s, keys), root = tree_root(t);
    assert_true(hash_equal(&root, &want));
    for (uint32_t i = 0; i < keys; i++) {
        struct bytes value = tree_get(t, key_at(i)), kept = shadow_value(s, i, room);
        n += s->n[i] != 0;
        assert_true(!value.p == !kept.p && bytes_equal(value, kept));
    }
    assert_true(tree_count(t) == n);
}

static void assert_walk_is_whole(const struct tree *t)
{
    struct hash path, last = {{0}};
    struct bytes key, value;
    uint64_t n = 0;
    for (bool more = tree_next_path(t, NULL, &path, &key, &value); more;
         more = tree_next_path(t, &path, &path, &key, &value)) {
        struct hash own = tree_path(t, key);
        assert_true(hash_equal(&own, &path) && (n == 0 || hash_compare(&path, &last) > 0));
        last = path;
        n++;
    }
    assert_true(n == tree_count(t));
}

static void assert_proofs_hold(struct tree *t, const struct shadow *s)
{
    struct buf proof = {0};
    struct hash root = tree_root(t);
    uint8_t room[80];
    for (unsigned k = 0; k < 50; k++) {
        uint32_t i = below(KEYS);
        struct bytes value = shadow_value(s, i, room);
        buf_reset(&proof);
        tree_prove(t, key_at(i), &proof);
        assert_true(tree_verify(&root, key_at(i), value, bytes_of_buf(&proof)));
        assert_false(
            tree_verify(&root, key_at(i), value.p ? (struct bytes){0} : bytes_of("x", 1), bytes_of_buf(&proof)));
    }
    buf_clear(&proof);
}

static void history(struct tree *t, uint32_t keys, unsigned rounds)
{
    static struct shadow now, before;
    memset(&now, 0, sizeof now);
    for (unsigned round = 0; round < rounds; round++) {
        unsigned removes = round % 3 == 2 ? 80 : 20, steps = 1 + below(keys / 4 + 2);
        size_t mark = tree_mark(t);
        before = now;
        for (unsigned i = 0; i < steps; i++) {
            shadow_step(t, &now, keys, removes);
            if (below(200) == 0)
                (void)tree_root(t);
        }
        if (below(3) == 0) {
            tree_undo(t, mark);
            now = before;
        }
        if (below(2) == 0)
            tree_settle(t);
        if (below(4) == 0)
            assert_is_shadow(t, &now, keys);
    }
    assert_is_shadow(t, &now, keys);
    assert_walk_is_whole(t);
}

static void random_histories_have_the_defined_root(void **state)
{
    (void)state;
    for (unsigned run = 0; run < 12; run++) {
        struct tree *t = tree_new("l");
        history(t, run % 3 == 0 ? 6 : run % 3 == 1 ? 100 : KEYS, 40);
        tree_free(t);
    }
}

static void proofs_hold_in_pages_and_fans(void **state)
{
    (void)state;
    static struct shadow s;
    struct tree *t = tree_new("");
    memset(&s, 0, sizeof s);
    for (unsigned round = 0; round < 8; round++) { /* from one page to a fan of pages */
        for (unsigned i = 0; i < 400; i++)
            shadow_step(t, &s, KEYS, 10);
        assert_is_shadow(t, &s, KEYS);
        assert_proofs_hold(t, &s);
    }
    assert_true(t->top->is_fan);
    while (tree_count(t) > 3) { /* back to nearly empty, the fan stays */
        for (unsigned i = 0; i < 3000; i++)
            shadow_step(t, &s, KEYS, 100);
        assert_is_shadow(t, &s, KEYS);
        assert_proofs_hold(t, &s);
    }
    tree_free(t);
}

#define PLANTED 48

/* In the tree's memory of paths; false if two of the keys share a place there. */
static bool plant(struct tree *t)
{
    static const unsigned agree[4] = {0, 7, 8, 31}; /* bytes */
    for (uint32_t i = 0; i < PLANTED; i++) {
        struct hash path = tree_path(t, key_at(i));
        memset(path.b, 0x5a, agree[i % 4]);
        for (struct recent *r = t->recent; r < t->recent + TREE_RECENT; r++)
            if (r->key_n == 7 && memcmp(r->key, key_at(i).p, 7) == 0)
                r->spot.path = path;
    }
    for (uint32_t i = 0; i < PLANTED; i++)
        if (i % 4 && tree_path(t, key_at(i)).b[0] != 0x5a)
            return false;
    return true;
}

/* Two keys whose paths agree in 64 bits can be found; more that agree further are only planted here. */
static void paths_that_agree_far_are_told_apart(void **state)
{
    (void)state;
    struct tree *t = tree_new("l");
    while (!plant(t)) {
        tree_free(t);
        t = tree_new("l");
        spread++;
        assert_true(spread < 10000);
    }
    history(t, PLANTED, 300);
    spread = 1;
    tree_free(t);
}

static void run_backwards(void *self, parallel_part_fn fn, void *arg, uint32_t n)
{
    ++*(unsigned *)self;
    while (n-- > 0)
        fn(arg, n);
}

static void loading_gives_the_root_of_putting(void **state)
{
    (void)state;
    enum { MANY = 140000 }; /* fans below fans */
    unsigned runs = 0;
    struct parallel how = {.run = run_backwards, .self = &runs};
    struct tree *put = tree_new("l"), *loaded = tree_new("l");
    tree_set_parallel(loaded, &how);
    for (uint32_t i = 0; i < MANY; i++) {
        tree_put(put, key_at(i), bytes_of(&i, 4));
        if (i == 700 || i == 70000)
            (void)tree_root(put);
        uint32_t k = MANY - 1 - i;
        assert_true(tree_load(loaded, key_at(k), bytes_of(&k, 4)));
    }
    assert_true(tree_load_end(loaded));
    assert_true(tree_load(loaded, key_at(5), bytes_of("", 0)));
    assert_false(tree_load_end(loaded)); /* is there */
    struct hash a = tree_root(put), b = tree_root(loaded);
    assert_true(hash_equal(&a, &b));
    assert_true(loaded->top->is_fan && loaded->top->u.fan->pages[0].is_fan && runs == 1);
    assert_true(tree_mark(loaded) == 0);
    for (uint32_t i = 0; i < 1000; i++) {
        uint32_t k = below(MANY + 100);
        tree_put(put, key_at(k), bytes_of(&i, 4));
        tree_put(loaded, key_at(k), bytes_of(&i, 4));
    }
    a = tree_root(put);
    b = tree_root(loaded);
    assert_true(hash_equal(&a, &b) && runs == 2);
    assert_walk_is_whole(loaded);
    tree_free(put);
    tree_free(loaded);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(root_is_that_of_the_content),
        cmocka_unit_test(undo_brings_everything_back),
        cmocka_unit_test(walks_in_order),
        cmocka_unit_test(chosen_keys_make_no_long_way),
        cmocka_unit_test(tells_what_changed),
        cmocka_unit_test(proofs_hold_and_forged_ones_do_not),
        cmocka_unit_test(random_histories_have_the_defined_root),
        cmocka_unit_test(proofs_hold_in_pages_and_fans),
        cmocka_unit_test(paths_that_agree_far_are_told_apart),
        cmocka_unit_test(loading_gives_the_root_of_putting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
