/* Joining by snapshots over real sockets: from peers that lie, are killed, or have dropped what came before. */
#include "base/file.h"
#include "node/consensus/snapshot_in.h"
#include "tests/cluster.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE_MS 180000 /* a machine may have other things to do */

enum { REFUSED, UNREADABLE }; /* lines that are counted */

static struct cluster *begin(unsigned validators, unsigned others, uint64_t keep_blocks)
{
    struct cluster *c = cluster_new(&(struct cluster_options){.validators = validators,
                                                              .others = others,
                                                              .unbonding_ms = keep_blocks ? 500 : 0,
                                                              .block_interval_ms = 5,
                                                              .heartbeat_ms = 15,
                                                              .keep_blocks = keep_blocks,
                                                              .accounts = 3000, /* about twelve leaves */
                                                              .snapshot_interval = 20,
                                                              .sync = SNAPSHOT_SYNC_SNAPSHOT});
    c->watch[REFUSED].text = "snapshot refused";
    c->watch[UNREADABLE].text = "snapshot unreadable";
    return c;
}

static bool has_snapshot(void *arg)
{
    struct cluster *c = arg;
    uint64_t at = snapshots_status(c->m[0].snapshots).newest;
    return at > 0 && cluster_height(c, 0) >= at + 2;
}

static bool has_state_of(const struct cluster *c, unsigned who)
{
    return cluster_has_account(c, who, 3 * 256 + 7);
}

static void a_new_node_joins_and_follows(void **state)
{
    (void)state;
    struct cluster *c = begin(2, 1, 0);
    net_run(&c->net, has_snapshot, c, PATIENCE_MS);
    cluster_start(c, 2);
    net_connect(&c->net, 2, 0);
    net_connect(&c->net, 2, 1);
    cluster_reach(c, 2, cluster_height(c, 0) + 10, PATIENCE_MS);
    assert_true(has_state_of(c, 2));
    assert_true(consensus_first(c->m[2].consensus) > 20); /* and not from the first block on */
    assert_true(ledger_genesis(c->m[2].ledger)->time_ms > 0);
    struct buf raw = {0};
    assert_int_equal(consensus_block_get(c->m[2].consensus, 1, &raw, NULL, NULL), ERR_EXPIRED);
    cluster_stop(c, 2);
    cluster_start(c, 2);
    net_connect(&c->net, 2, 0);
    cluster_reach(c, 2, cluster_height(c, 0) + 5, PATIENCE_MS);
    buf_clear(&raw);
    cluster_free(c);
}

static bool yes(void *arg)
{
    (void)arg;
    return true;
}
static bool no(void *arg)
{
    (void)arg;
    return false;
}

/* Far behind, a state is quicker than blocks; but who waits for something in them takes them, while they are there. */
static void who_needs_the_blocks_takes_them(void **state)
{
    (void)state;
    const uint64_t far = SNAPSHOT_BEHIND + 11;
    const struct {
        enum snapshot_sync sync;
        bool (*needs)(void *arg);
        uint64_t height, peers;
        bool are_gone, is_wanted;
    } cases[] = {
        {SNAPSHOT_SYNC_AUTO, NULL, 10, far, false, true},    {SNAPSHOT_SYNC_AUTO, NULL, 10, far - 1, false, false},
        {SNAPSHOT_SYNC_AUTO, NULL, 10, 11, true, true},      {SNAPSHOT_SYNC_AUTO, no, 10, far, false, true},
        {SNAPSHOT_SYNC_AUTO, yes, 10, far, false, false},    {SNAPSHOT_SYNC_AUTO, yes, 10, far, true, true},
        {SNAPSHOT_SYNC_SNAPSHOT, yes, 10, far, false, true}, /* it was asked for */
        {SNAPSHOT_SYNC_SNAPSHOT, NULL, 0, 0, false, true},   {SNAPSHOT_SYNC_SNAPSHOT, NULL, 10, 11, false, false},
        {SNAPSHOT_SYNC_BLOCKS, NULL, 10, far, true, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct snapshots_options o = {.sync = cases[i].sync, .needs_blocks = cases[i].needs};
        assert_int_equal(snapshot_is_wanted(&o, cases[i].height, cases[i].peers, cases[i].are_gone),
                         cases[i].is_wanted);
    }
}

/* -- a peer that offers what the honest have, and sends something else -- */

struct liar {
    struct cluster *c;
    unsigned self;
    int what;
    unsigned asked, leaves; /* leaves that it was asked for */
};

static void say(struct liar *l, const struct pubkey *to, enum msg_type type, struct buf *take)
{
    (void)!peers_send(l->c->net.node[l->self].peers, to, type, bytes_of_buf(take));
    buf_clear(take);
}

static const struct kept *honest(const struct liar *l)
{
    return &l->c->m[0].snapshots->kept[0];
}

static enum err lie_list(void *arg, const struct pubkey *from, struct bytes body)
{
    struct liar *l = arg;
    const struct kept *k = honest(l);
    struct snapshot_offer o = {k->index.base.height, k->index.base.state_root, k->index.base.leaves,
                               snapshot_table_hash(k->index.depths)};
    struct buf b = {0};
    (void)body;
    if (l->what == 0) { /* a state that never was */
        o.root.b[0] ^= 1;
        o.height += 1000;
    }
    snapshot_offer_put(&b, &o);
    say(l, from, MSG_SNAPSHOT_LIST, &b);
    return ERR_OK;
}

static enum err lie_light(void *arg, const struct pubkey *from, struct bytes body)
{
    struct liar *l = arg;
    struct snapshot_ask ask;
    struct cursor c = cursor_of(body);
    struct buf block = {0}, b = {0};
    snapshot_ask_get(&c, &ask);
    l->asked++;
    if (consensus_light_block(l->c->m[0].consensus, ask.height, &block, NULL) == ERR_OK && l->what == 1)
        block.p[60] ^= 1;
    light_answer_put(&b, &(struct light_answer){ask.height, bytes_of_buf(&block)});
    say(l, from, MSG_LIGHT, &b);
    buf_clear(&block);
    return ERR_OK;
}

static enum err lie_table(void *arg, const struct pubkey *from, struct bytes body)
{
    struct liar *l = arg;
    const struct kept *k = honest(l);
    struct buf b = {0}, anchor = {0};
    (void)body;
    buf_add(&anchor, k->index.anchor.p, k->index.anchor.n);
    if (l->what == 2)
        anchor.p[anchor.n - 1] ^= 1;
    snapshot_table_answer_put(
        &b, &(struct snapshot_table_answer){k->index.base.height, k->index.depths, bytes_of_buf(&anchor)});
    say(l, from, MSG_SNAPSHOT_TABLE, &b);
    buf_clear(&anchor);
    l->asked++;
    return ERR_OK;
}

static enum err lie_leaf(void *arg, const struct pubkey *from, struct bytes body)
{
    struct liar *l = arg;
    struct snapshot_leaf_ask ask;
    struct cursor c = cursor_of(body);
    struct buf b = {0}, entries = {0}, siblings = {0};
    const struct kept *k = honest(l);
    snapshot_leaf_ask_get(&c, &ask);
    l->leaves++;
    l->asked++;
    if (l->what == 3) { /* a balance of one's own making */
        struct rec_account rich = {.balance = amount_of(UINT64_C(1) << 60)};
        struct buf value = {0};
        uint8_t key[33] = {'a'};
        rec_account_put(&value, &rich);
        snapshot_entry_put(&entries, &(struct snapshot_entry){bytes_of(key, 33), bytes_of_buf(&value)});
        buf_clear(&value);
    }
    snapshot_tree_siblings(k->tree, &k->table.at[ask.leaf], &siblings);
    snapshot_leaf_answer_put(&b, &(struct snapshot_leaf_answer){ask.height,
                                                                ask.leaf,
                                                                l->what != 5,
                                                                {siblings.p, (uint32_t)(siblings.n / HASH_SIZE)},
                                                                bytes_of_buf(&entries)});
    if (l->what != 4) /* 4: never answers, 5: has it no more */
        say(l, from, MSG_SNAPSHOT_LEAF, &b);
    buf_clear(&b);
    buf_clear(&entries);
    buf_clear(&siblings);
    return ERR_OK;
}

/* The liar shows what there is now. */
static void liar_start(struct liar *l)
{
    struct cluster *c = l->c;
    for (unsigned i = 0; i < 2; i++)
        c->m[i].snapshots->o.interval = 0;
    net_start(&c->net, l->self, c->chain);
    struct peers *peers = c->net.node[l->self].peers;
    peers_on(peers, MSG_SNAPSHOT_LIST_GET, lie_list, l);
    peers_on(peers, MSG_LIGHT_GET, lie_light, l);
    peers_on(peers, MSG_SNAPSHOT_TABLE_GET, lie_table, l);
    peers_on(peers, MSG_SNAPSHOT_LEAF_GET, lie_leaf, l);
}

/* A new node for each lie, beside one honest peer. */
static void lie_to(struct cluster *c, struct liar *l)
{
    struct member *m = &c->m[2];
    unsigned refused = c->watch[REFUSED].n;
    l->asked = 0;
    cluster_start(c, 2);
    net_join(&c->net, 2, 3); /* the liar first */
    net_connect(&c->net, 2, 0);
    cluster_reach(c, 2, cluster_height(c, 0) + 5, PATIENCE_MS);
    assert_true(has_state_of(c, 2));
    print_message("lie %d: asked %u times, refused %u\n", l->what, l->asked, c->watch[REFUSED].n - refused);
    if (l->what == 1 || l->what == 3)
        assert_true(l->asked > 0 && c->watch[REFUSED].n > refused);
    cluster_stop(c, 2);
    kv_close(m->kv);
    m->kv = NULL;
    char dir[300], old[320];
    snprintf(dir, sizeof dir, "%s/2", c->dir);
    snprintf(old, sizeof old, "%s/old-%d", c->dir, l->what);
    assert_int_equal(host_rename(c->net.host, dir, old, NULL), ERR_OK);
}

/* With KITH_TEST_LONG=1 also the lies that only cost time. */
static void who_lies_is_found_at_once(void **state)
{
    (void)state;
    struct cluster *c = begin(2, 2, 0);
    struct liar l = {.c = c, .self = 3};
    net_run(&c->net, has_snapshot, c, PATIENCE_MS);
    liar_start(&l);
    for (l.what = 0; l.what <= 4; l.what++)
        if (getenv("KITH_TEST_LONG") || l.what == 1 || l.what == 3)
            lie_to(c, &l);
    net_stop(&c->net, 3);
    cluster_free(c);
}

/* -- a snapshot that is dropped while it is fetched -- */

static bool gave_up(void *arg)
{
    const struct cluster *c = arg;
    return c->watch[REFUSED].n > 0 || c->watch[UNREADABLE].n > 0;
}

/* All that are there say so: nobody waits for leaves that will not come, while what is trusted grows old. */
static void a_dropped_snapshot_is_left_at_once(void **state)
{
    (void)state;
    struct cluster *c = begin(2, 2, 0);
    struct liar l = {.c = c, .self = 3, .what = 5};
    c->watch[REFUSED].text = "nobody is left who serves the snapshot";
    c->watch[UNREADABLE].text = "no leaf came for long";
    net_run(&c->net, has_snapshot, c, PATIENCE_MS);
    liar_start(&l);
    cluster_start(c, 2);
    net_join(&c->net, 2, 3);
    net_run(&c->net, gave_up, c, PATIENCE_MS);
    assert_true(l.leaves > 0);
    net_join(&c->net, 2, 0);
    cluster_reach(c, 2, cluster_height(c, 0) + 5, PATIENCE_MS);
    assert_true(has_state_of(c, 2));
    assert_int_equal(c->watch[UNREADABLE].n, 0);
    net_stop(&c->net, 3);
    cluster_free(c);
}

/* -- a disk that changes what is kept -- */

static void change_bytes(const char *path, size_t step)
{
    struct buf raw = {0};
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    assert_int_equal(file_read(path, 64u << 20, &raw, NULL), ERR_OK);
    for (size_t at = step / 2; at < raw.n; at += step) {
        raw.p[at] ^= 4;
        assert_int_equal(fseek(f, (long)at, SEEK_SET), 0);
        assert_int_equal(fwrite(raw.p + at, 1, 1, f), 1);
    }
    assert_int_equal(fclose(f), 0);
    buf_clear(&raw);
}

/* Every leaf that one of two nodes serves was changed: it says so and gives none, the other's make the state. */
static void changed_leaves_are_not_served(void **state)
{
    (void)state;
    struct cluster *c = begin(2, 1, 0);
    net_run(&c->net, has_snapshot, c, PATIENCE_MS);
    for (unsigned i = 0; i < 2; i++)
        c->m[i].snapshots->o.interval = 0;
    struct snapshots *s = c->m[0].snapshots;
    char path[4096];
    for (unsigned i = 0; i < s->kept_n; i++) {
        snapshot_file(s, s->kept[i].index.base.height, "leaves", path);
        change_bytes(path, 1000);
    }
    cluster_start(c, 2);
    net_join(&c->net, 2, 0);
    net_join(&c->net, 2, 1);
    cluster_reach(c, 2, cluster_height(c, 1) + 5, PATIENCE_MS);
    assert_true(has_state_of(c, 2));
    assert_true(c->watch[UNREADABLE].n > 0);
    cluster_free(c);
}

/* An index with any bit changed is no index: it is named, and goes with its leaves. */
static void changed_indexes_are_dropped(void **state)
{
    (void)state;
    struct cluster *c = begin(1, 0, 0);
    net_run(&c->net, has_snapshot, c, PATIENCE_MS);
    struct snapshots *s = c->m[0].snapshots, copy = {.o = s->o};
    s->o.interval = 0;
    char path[4096], dir[300];
    struct buf index = {0};
    struct note note;
    uint64_t at = s->kept[0].index.base.height;
    snapshot_file(s, at, "index", path);
    assert_int_equal(file_read(path, 1u << 20, &index, NULL), ERR_OK);
    snprintf(dir, sizeof dir, "%s/copy", c->dir);
    copy.dir = dir;
    assert_int_equal(host_make_dir(c->net.host, dir, NULL), ERR_OK);
    snapshot_file(&copy, at, "index", path);
    for (size_t i = 0; i < index.n; i++) {
        index.p[i] ^= (uint8_t)(1u << i % 8);
        FILE *f = fopen(path, "wb");
        assert_int_equal(fwrite(index.p, 1, index.n, f), index.n);
        fclose(f);
        index.p[i] ^= (uint8_t)(1u << i % 8);
        assert_int_equal(snapshot_keep(&copy, at, &note), ERR_CORRUPT);
        assert_non_null(strstr(note.text, path));
    }
    buf_clear(&index);
    cluster_free(c);
}

/* -- pruning -- */

static bool is_pruned(void *arg)
{
    struct cluster *c = arg;
    return consensus_first(c->m[0].consensus) > 40;
}

static void old_blocks_go_and_peers_are_told(void **state)
{
    (void)state;
    struct cluster *c = begin(2, 1, 30);
    struct buf raw = {0};
    struct note note = {{0}};
    net_run(&c->net, is_pruned, c, PATIENCE_MS);
    uint64_t first = consensus_first(c->m[0].consensus);
    assert_true(cluster_height(c, 0) >= first + 29); /* the window stands */
    assert_int_equal(consensus_block_get(c->m[0].consensus, first - 1, &raw, NULL, &note), ERR_EXPIRED);
    assert_non_null(strstr(note.text, "is not kept here"));
    assert_int_equal(consensus_block_get(c->m[0].consensus, first, &raw, NULL, &note), ERR_OK);
    assert_int_equal(consensus_light_block(c->m[0].consensus, first, &raw, &note), ERR_OK);
    uint8_t key[10] = {KV_BLOCK, 'b', 0, 0, 0, 0, 0, 0, 0, 5};
    assert_int_equal(kv_get(c->m[0].kv, bytes_of(key, sizeof key), &raw, NULL), ERR_NOT_FOUND);
    key[1] = 'c';
    assert_int_equal(kv_get(c->m[0].kv, bytes_of(key, sizeof key), &raw, NULL), ERR_NOT_FOUND);
    buf_clear(&raw);
    /* Whoever asks for blocks alone is told, and stays where it is; its snapshot cannot begin at an old genesis. */
    c->o.sync = SNAPSHOT_SYNC_BLOCKS;
    cluster_start(c, 2);
    net_join(&c->net, 2, 0);
    net_wait(&c->net, 800);
    assert_int_equal(cluster_height(c, 2), 0);
    assert_true(consensus_is_pruned(c->m[2].consensus));
    cluster_stop(c, 0); /* and it survives a restart */
    cluster_start(c, 0);
    assert_true(consensus_first(c->m[0].consensus) >= first);
    cluster_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_needs_the_blocks_takes_them),  cmocka_unit_test(a_new_node_joins_and_follows),
        cmocka_unit_test(who_lies_is_found_at_once),        cmocka_unit_test(a_dropped_snapshot_is_left_at_once),
        cmocka_unit_test(changed_leaves_are_not_served),    cmocka_unit_test(changed_indexes_are_dropped),
        cmocka_unit_test(old_blocks_go_and_peers_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
