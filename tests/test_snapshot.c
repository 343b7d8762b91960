/* Snapshots: the cut is the tree's, hostile leaves and tables are refused one by one, a fetch goes on behind any
 * interruption. */
#include "base/mem.h"
#include "chain/ledger.h"
#include "chain/snapshot.h"
#include "chain/tree.h"
#include "tests/support.h"
#include "tests/world.h"

#include <stdlib.h>
#include <string.h>

#define ENTRIES 4000

static struct note note;

/* A cut state: table, leaves, hashes. */
struct cut {
    struct hash root;
    struct snapshot_maker *maker;
    struct buf file;
    struct snapshot_table table;
    struct buf *leaf;
    struct hash *hash;
    struct snapshot_tree *tree;
};

static void cut_finish(struct cut *c)
{
    assert_int_equal(snapshot_maker_cut(c->maker), ERR_OK);
    assert_int_equal(snapshot_table_decode(snapshot_maker_depths(c->maker), &c->table, &note), ERR_OK);
    c->leaf = mem_array(c->table.n, sizeof *c->leaf);
    c->hash = mem_array(c->table.n, sizeof *c->hash);
    for (uint32_t i = 0; i < c->table.n; i++) {
        uint32_t n;
        const struct snapshot_item *item = snapshot_maker_leaf(c->maker, i, &n);
        for (uint32_t k = 0; k < n; k++)
            buf_add(&c->leaf[i], c->file.p + item[k].offset, item[k].size);
        snapshot_leaf_sort(&c->leaf[i]);
        assert_int_equal(snapshot_leaf_hash(&c->table.at[i], bytes_of_buf(&c->leaf[i]), &c->hash[i], &note), ERR_OK);
    }
    c->tree = snapshot_tree_new(&c->table, c->hash);
}

static struct cut *cut_new(uint32_t entries)
{
    struct cut *c = mem_new(sizeof *c);
    struct tree *t = tree_new("");
    c->maker = snapshot_maker_new();
    for (uint32_t i = 0; i < entries; i++) {
        uint8_t key[33] = {'a'}, value[300];
        store_le32(key + 1, i);
        memset(value, (int)i, sizeof value);
        struct bytes v = bytes_of(value, i % 300);
        tree_put(t, bytes_of(key, sizeof key), v);
        snapshot_maker_add(c->maker, bytes_of(key, sizeof key), v, &c->file);
    }
    c->root = tree_root(t);
    tree_free(t);
    cut_finish(c);
    return c;
}

static void cut_free(struct cut *c)
{
    for (uint32_t i = 0; i < c->table.n; i++)
        buf_clear(&c->leaf[i]);
    free(c->leaf);
    free(c->hash);
    snapshot_tree_free(c->tree);
    snapshot_table_clear(&c->table);
    snapshot_maker_free(c->maker);
    buf_clear(&c->file);
    free(c);
}

static enum err check_leaf(const struct cut *c, const struct snapshot_place *place, uint32_t siblings_of,
                           struct bytes entries)
{
    struct buf raw = {0};
    snapshot_tree_siblings(c->tree, &c->table.at[siblings_of], &raw);
    struct hashes siblings = {raw.p, (uint32_t)(raw.n / HASH_SIZE)};
    enum err e = snapshot_leaf_check(&c->root, place, &siblings, entries, &note);
    buf_clear(&raw);
    return e;
}

static enum err check_at(const struct cut *c, uint32_t i, struct bytes entries)
{
    return check_leaf(c, &c->table.at[i], i, entries);
}

static void leaves_hash_to_the_root(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {0, 1, 2, 3, 100, 500, ENTRIES};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        struct cut *c = cut_new(sizes[s]);
        struct hash top = snapshot_tree_root(c->tree);
        assert_true(hash_equal(&top, &c->root));
        for (uint32_t i = 0; i < c->table.n; i++) {
            assert_int_equal(check_at(c, i, bytes_of_buf(&c->leaf[i])), ERR_OK);
            assert_true(c->leaf[i].n <= SNAPSHOT_LEAF_BYTES);
        }
        if (sizes[s] == ENTRIES)
            assert_in_range(c->table.n, 20, 64);
        cut_free(c);
    }
}

/* A leaf with one entry less, more, changed, moved, doubled, or out of order, and a leaf in another's place. */
static void hostile_leaves_are_refused(void **state)
{
    (void)state;
    struct cut *c = cut_new(ENTRIES);
    struct buf bent = {0};
    for (uint32_t i = 0; i < c->table.n; i++) {
        struct buf *leaf = &c->leaf[i];
        size_t first = 8 + load_le32(leaf->p) + load_le32(leaf->p + 4 + load_le32(leaf->p));
        assert_int_not_equal(check_at(c, i, bytes_of(leaf->p + first, leaf->n - first)), ERR_OK); /* less */
        assert_int_equal(check_at(c, i, bytes_of(leaf->p, leaf->n - 1)), ERR_FORMAT);
        assert_int_equal(check_at(c, i, bytes_of(leaf->p, 0)), ERR_CORRUPT);
        buf_reset(&bent); /* doubled */
        buf_add(&bent, leaf->p, first);
        buf_add(&bent, leaf->p, leaf->n);
        assert_int_equal(check_at(c, i, bytes_of_buf(&bent)), ERR_FORMAT);
        buf_reset(&bent); /* out of order */
        buf_add(&bent, leaf->p + first, leaf->n - first);
        buf_add(&bent, leaf->p, first);
        assert_int_equal(check_at(c, i, bytes_of_buf(&bent)), ERR_FORMAT);
        uint32_t other = (i + 1) % c->table.n; /* of another place */
        assert_int_equal(check_at(c, i, bytes_of_buf(&c->leaf[other])), ERR_FORMAT);
        assert_int_equal(check_leaf(c, &c->table.at[other], other, bytes_of_buf(leaf)), ERR_FORMAT);
        for (size_t k = 0; k < leaf->n; k += 997) { /* changed */
            leaf->p[k] ^= 1;
            assert_int_not_equal(check_at(c, i, bytes_of_buf(leaf)), ERR_OK);
            leaf->p[k] ^= 1;
        }
    }
    static uint8_t big[SNAPSHOT_LEAF_MAX + 1];
    assert_int_equal(check_at(c, 0, bytes_of(big, sizeof big)), ERR_LIMIT);
    struct snapshot_place half = {0, 1}; /* a place that the tree does not have with these siblings */
    assert_int_equal(check_leaf(c, &half, 0, bytes_of_buf(&c->leaf[0])), ERR_FORMAT);
    buf_clear(&bent);
    cut_free(c);
}

static enum err table_of(const char *depths, size_t n)
{
    struct snapshot_table t;
    enum err e = snapshot_table_decode(bytes_of(depths, n), &t, &note);
    snapshot_table_clear(&t);
    return e;
}

static void tables_fill_the_space_exactly(void **state)
{
    (void)state;
    assert_int_equal(table_of("\0", 1), ERR_OK);
    assert_int_equal(table_of("\1\1", 2), ERR_OK);
    assert_int_equal(table_of("\1\2\2", 3), ERR_OK);
    assert_int_equal(table_of("\2\2\1", 3), ERR_OK);
    assert_int_equal(table_of("", 0), ERR_LIMIT);
    assert_int_equal(table_of("\1", 1), ERR_FORMAT);     /* a gap */
    assert_int_equal(table_of("\1\2", 2), ERR_FORMAT);   /* a gap */
    assert_int_equal(table_of("\2\1\2", 3), ERR_FORMAT); /* overlaps */
    assert_int_equal(table_of("\1\1\1", 3), ERR_FORMAT); /* too much */
    assert_int_equal(table_of("\0\0", 2), ERR_FORMAT);
    assert_int_equal(table_of("\101", 1), ERR_FORMAT); /* 65 bits */
    char deep[66];
    for (int i = 0; i < 64; i++)
        deep[i] = (char)(i + 1);
    deep[64] = 64;
    assert_int_equal(table_of(deep, 65), ERR_OK); /* 1, 2, ... 64, 64 */
    assert_int_equal(table_of(deep, 64), ERR_FORMAT);
}

static void the_anchor_is_bound_to_headers(void **state)
{
    (void)state;
    struct valset *a = mem_new(sizeof *a), *b = mem_new(sizeof *b), *x = mem_new(sizeof *x), *y = mem_new(sizeof *y);
    struct valset_entry e[2] = {{{{5}}, 10}, {{{6}}, 3}};
    assert_int_equal(valset_init(a, e, 2, NULL), ERR_OK);
    *b = *a;
    valset_step(b);
    struct header next = {.validators = valset_hash(a),
                          .next_validators = valset_hash(b),
                          .rotation = valset_rotation_hash(a)},
                  after = {.validators = valset_hash(b), .rotation = valset_rotation_hash(b)};
    struct buf raw = {0};
    snapshot_anchor_put(&raw, a, b);
    assert_int_equal(snapshot_anchor_get(bytes_of_buf(&raw), &next, &after, x, y, &note), ERR_OK);
    assert_int_equal(x->n, 2);
    for (size_t i = 0; i < raw.n; i++) {
        raw.p[i] ^= 1;
        assert_int_not_equal(snapshot_anchor_get(bytes_of_buf(&raw), &next, &after, x, y, &note), ERR_OK);
        raw.p[i] ^= 1;
    }
    buf_reset(&raw);
    snapshot_anchor_put(&raw, b, a);
    assert_int_equal(snapshot_anchor_get(bytes_of_buf(&raw), &next, &after, x, y, &note), ERR_CORRUPT);
    buf_clear(&raw);
    free(a);
    free(b);
    free(x);
    free(y);
}

/* -- from ledger to ledger -- */

static struct cut *cut_of_ledger(struct ledger *l)
{
    struct cut *c = mem_new(sizeof *c);
    struct kv_view *v;
    struct bytes key, value;
    c->root = ledger_info(l).state_root;
    c->maker = snapshot_maker_new();
    assert_int_equal(ledger_snapshot_view(l, &v, &note), ERR_OK);
    while (ledger_snapshot_next(v, &key, &value))
        snapshot_maker_add(c->maker, key, value, &c->file);
    assert_int_equal(kv_view_close(v), ERR_OK);
    cut_finish(c);
    struct hash top = snapshot_tree_root(c->tree);
    assert_true(hash_equal(&top, &c->root));
    return c;
}

/* A chain with enough models for several leaves. */
static struct world *rich(void)
{
    struct world *w = world_new(NULL);
    for (unsigned i = 1; i <= 250; i++)
        assert_int_equal(world_publish(w, 1 + i % 8, (uint8_t)i, 1000, 0, NULL, 0), ERR_OK);
    return w;
}

/* Puts every leaf, and is killed after `kill_after` writes, then opens again and goes on: until it is done. */
static unsigned fetch(const struct world *w, const struct cut *c, const struct ledger_base *s, unsigned kill_after,
                      bool power)
{
    struct kv *kv = kv_mem_open();
    struct ledger *l;
    unsigned kills = 0;
    for (bool is_done = false; !is_done;) {
        assert_int_equal(ledger_open(kv, &w->genesis, &l, &note), ERR_OK);
        assert_int_equal(ledger_info(l).height, 0);
        kv_mem_fail(kv, kill_after, ERR_IO);
        enum err e;
        while ((e = ledger_snapshot_begin(l, s, &note)) == ERR_BUSY)
            ;
        for (uint32_t i = 0; e == ERR_OK && i < c->table.n; i++)
            if (!ledger_snapshot_has(l, i))
                e = ledger_snapshot_put(l, i, bytes_of_buf(&c->leaf[i]), &note);
        if (e == ERR_OK)
            e = ledger_snapshot_end(l, NULL, &note);
        is_done = e == ERR_OK;
        if (!is_done) {
            assert_int_equal(e, ERR_IO);
            ledger_close(l);
            if (power)
                kv_mem_crash(kv);
            kills++;
            kv_mem_fail(kv, 0, ERR_OK);
            kill_after = kill_after + 1 + (power ? c->table.n / 3 : 0); /* unsynced leaves are lost: longer lives */
        }
    }
    kv_mem_fail(kv, 0, ERR_OK);
    struct ledger_info have = ledger_info(l), want = ledger_info(w->ledger);
    assert_int_equal(have.height, want.height);
    assert_true(hash_equal(&have.state_root, &want.state_root));
    assert_true(have.wants_block == want.wants_block);
    assert_null(ledger_snapshot_now(l));
    struct rec_model model;
    struct hash root = world_root(77);
    assert_true(ledger_model(l, &root, &model));
    supply_check(kv);
    ledger_close(l);
    kv_mem_crash(kv); /* all of it is synced */
    assert_int_equal(ledger_open(kv, NULL, &l, &note), ERR_OK);
    assert_int_equal(ledger_info(l).height, want.height);
    ledger_close(l);
    kv_close(kv);
    return kills;
}

static void a_fetch_survives_every_interruption(void **state)
{
    (void)state;
    struct world *w = rich();
    struct cut *c = cut_of_ledger(w->ledger);
    struct ledger_base s = ledger_snapshot_of(w->ledger);
    s.leaves = c->table.n;
    assert_in_range(c->table.n, 3, 64);
    unsigned kills = 0, writes = 3 + c->table.n + 1;
    for (unsigned k = 1; k <= writes; k++) {
        kills += fetch(w, c, &s, k, false);
        kills += fetch(w, c, &s, k, true);
    }
    assert_true(kills > 2 * writes);
    print_message("%u leaves, killed %u times\n", c->table.n, kills);
    cut_free(c);
    world_free(w);
}

static void while_it_is_fetched_nothing_is_decided(void **state)
{
    (void)state;
    struct world *w = rich();
    struct cut *c = cut_of_ledger(w->ledger);
    struct ledger_base s = ledger_snapshot_of(w->ledger), other;
    struct kv *kv = kv_mem_open();
    struct ledger *l;
    const struct ledger_result *result;
    s.leaves = c->table.n;
    assert_int_equal(ledger_open(kv, &w->genesis, &l, &note), ERR_OK);
    assert_int_equal(ledger_snapshot_begin(l, &s, &note), ERR_OK);
    struct ledger_block block = {.height = 1, .time_ms = w->time_ms};
    assert_int_equal(ledger_finalize(l, &block, &result, &note), ERR_STATE);
    assert_int_equal(ledger_snapshot_put(l, 0, bytes_of_buf(&c->leaf[0]), &note), ERR_OK);
    assert_int_equal(ledger_snapshot_begin(l, &s, &note), ERR_OK); /* the same: goes on */
    assert_true(ledger_snapshot_has(l, 0));
    other = s;
    other.height++;
    assert_int_equal(ledger_snapshot_begin(l, &other, &note), ERR_OK); /* another: begins */
    assert_false(ledger_snapshot_has(l, 0));
    assert_int_equal(ledger_snapshot_count(l), 0);
    assert_int_equal(ledger_snapshot_begin(l, &s, &note), ERR_OK);
    /* What the store does not give back as it was put is found at the end, and dropped. */
    for (uint32_t i = 0; i < c->table.n; i++) {
        struct buf bent = {0};
        buf_add(&bent, c->leaf[i].p, c->leaf[i].n);
        bent.p[bent.n - 1] ^= i == 1;
        assert_int_equal(ledger_snapshot_put(l, i, bytes_of_buf(&bent), &note), ERR_OK);
        buf_clear(&bent);
    }
    assert_int_equal(ledger_snapshot_end(l, NULL, &note), ERR_CORRUPT);
    assert_int_equal(ledger_snapshot_count(l), 0);
    assert_int_equal(ledger_snapshot_begin(l, &s, &note), ERR_OK);
    for (uint32_t i = 0; i < c->table.n; i++)
        assert_int_equal(ledger_snapshot_put(l, i, bytes_of_buf(&c->leaf[i]), &note), ERR_OK);
    assert_int_equal(ledger_snapshot_end(l, NULL, &note), ERR_OK);
    ledger_close(l);
    kv_close(kv);
    cut_free(c);
    world_free(w);
}

/* An old chain makes place for a newer state. */
static void an_old_state_is_replaced(void **state)
{
    (void)state;
    struct world *w = rich(), *old = world_new(NULL);
    struct cut *c = cut_of_ledger(w->ledger);
    struct ledger_base s = ledger_snapshot_of(w->ledger);
    s.leaves = c->table.n;
    assert_int_equal(WORLD_DO(old, 2, TX_TRANSFER, tx_transfer, old->key[3], amount_of(5), {0}), ERR_OK);
    assert_int_equal(ledger_snapshot_begin(old->ledger, &s, &note), ERR_OK);
    assert_int_equal(ledger_info(old->ledger).height, 1); /* still answers */
    for (uint32_t i = 0; i < c->table.n; i++)
        assert_int_equal(ledger_snapshot_put(old->ledger, i, bytes_of_buf(&c->leaf[i]), &note), ERR_OK);
    assert_int_equal(ledger_snapshot_end(old->ledger, NULL, &note), ERR_OK);
    supply_check(old->kv);
    world_reopen(old);
    assert_int_equal(ledger_info(old->ledger).height, s.height);
    cut_free(c);
    world_free(w);
    world_free(old);
}

/* The state says nothing of whether the office is on its way: who takes a state while it is must look. */
static void the_office_moves_on_behind_a_snapshot(void **state)
{
    (void)state;
    struct world *w = world_new(NULL), *old = world_new(NULL);
    assert_int_equal(WORLD_DO(old, 2, TX_TRANSFER, tx_transfer, old->key[3], amount_of(5), {0}), ERR_OK);
    assert_int_equal(WORLD_DO(w, 1, TX_BOND, tx_bond, BOND_VALIDATOR, amount_of(9000 * MOTE_PER_KITH)), ERR_OK);
    struct cut *c = cut_of_ledger(w->ledger);
    struct ledger_base s = ledger_snapshot_of(w->ledger);
    s.leaves = c->table.n;
    assert_int_equal(WORLD_DO(old, 2, TX_TRANSFER, tx_transfer, old->key[3], amount_of(5), {0}), ERR_OK);
    assert_int_equal(ledger_snapshot_begin(old->ledger, &s, &note), ERR_OK);
    for (uint32_t i = 0; i < c->table.n; i++)
        assert_int_equal(ledger_snapshot_put(old->ledger, i, bytes_of_buf(&c->leaf[i]), &note), ERR_OK);
    assert_int_equal(ledger_snapshot_end(old->ledger, NULL, &note), ERR_OK);
    old->time_ms = w->time_ms;
    for (unsigned i = 0; i < 5; i++) {
        struct hash was = ledger_info(w->ledger).state_root;
        assert_int_equal(world_block(w), ERR_OK);
        assert_int_equal(world_block(old), ERR_OK);
        struct ledger_info a = ledger_info(w->ledger), b = ledger_info(old->ledger);
        assert_true(hash_equal(&a.state_root, &b.state_root));
        assert_true(i > 0 || !hash_equal(&a.state_root, &was)); /* it was on its way */
    }
    cut_free(c);
    world_free(w);
    world_free(old);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaves_hash_to_the_root),
        cmocka_unit_test(hostile_leaves_are_refused),
        cmocka_unit_test(tables_fill_the_space_exactly),
        cmocka_unit_test(the_anchor_is_bound_to_headers),
        cmocka_unit_test(a_fetch_survives_every_interruption),
        cmocka_unit_test(while_it_is_fetched_nothing_is_decided),
        cmocka_unit_test(an_old_state_is_replaced),
        cmocka_unit_test(the_office_moves_on_behind_a_snapshot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
