/* Access to data between real nodes over loopback, with the ledger that judges them: a buyer's node fetches, keeps the
 * key that fits, and proves one that does not; what a disk changed is nobody else's fault; hashes that lie are asked of
 * the next. */
#include "base/file.h"
#include "base/log.h"
#include "base/seal.h"
#include "node/data/access.h"
#include "tests/net.h"
#include "tests/world.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIZE  (5u * LEAF_SIZE + 1234u)
#define PRICE (3 * MOTE_PER_KITH)

/* Nodes: 0 the seller's, 1 the buyer's, 2 somebody's. Keys of the world: 1 sells, 2 buys. */
enum { SELLER, BUYER, OTHER, NODES };

struct sale {
    struct net net;
    struct world *w;
    char *dir[NODES];
    struct streams *streams[NODES];
    struct blobs *blobs[NODES];
    struct access *access[NODES];
    uint8_t *content;
    struct data_facts facts; /* as registered */
    struct hash honest;      /* the plain root as it should be */
    struct hash grant;
    struct pubkey once;
};

/* -- waiting -- */

struct done {
    bool called, fits;
    enum err e;
    struct data_facts facts;
    struct buf dispute;
    struct note note;
};

static bool is_done(void *arg)
{
    return ((struct done *)arg)->called;
}

static void on_added(void *arg, enum err e, const struct data_facts *f, const struct note *note)
{
    struct done *d = arg;
    *d = (struct done){.called = true, .e = e, .facts = *f, .note = *note};
}

static void on_fetched(void *arg, enum err e, const struct note *note)
{
    struct done *d = arg;
    *d = (struct done){.called = true, .e = e, .note = *note};
}

static void on_verdict(void *arg, enum err e, bool fits, struct bytes dispute, const struct note *note)
{
    struct done *d = arg;
    *d = (struct done){.called = true, .e = e, .fits = fits, .note = *note};
    buf_add(&d->dispute, dispute.p, dispute.n);
}

static void on_opened(void *arg, enum err e, const struct data_opened *o, const struct note *note)
{
    struct done *d = arg;
    *d = (struct done){.called = true, .e = e, .fits = o->fits, .note = *note};
}

/* -- the stage -- */

static void start(struct sale *s, unsigned i)
{
    net_start(&s->net, i, s->w->chain);
    struct peers *peers = s->net.node[i].peers;
    s->streams[i] = streams_new(s->net.host, peers);
    assert_int_equal(blobs_open(s->net.host, peers, s->dir[i], &s->blobs[i], NULL), ERR_OK);
    const struct access_options o = {.host = s->net.host,
                                     .ledger = s->w->ledger,
                                     .peers = peers,
                                     .streams = s->streams[i],
                                     .blobs = s->blobs[i],
                                     .home = s->dir[i]};
    s->access[i] = access_new(&o);
}

static void stop(struct sale *s, unsigned i)
{
    access_free(s->access[i]);
    blobs_close(s->blobs[i]);
    streams_free(s->streams[i]);
    net_stop(&s->net, i);
    s->access[i] = NULL;
}

/* Of one leaf another hash is registered. */
static void lie(struct sale *s)
{
    struct hash *leaves;
    assert_int_equal(data_plain_read(s->dir[SELLER], &s->facts, &leaves, NULL), ERR_OK);
    leaves[4].b[7] ^= 1;
    struct merkle_tree *tree = merkle_tree_new(leaves, merkle_leaves(SIZE), SIZE);
    s->facts.plain_root = merkle_tree_root(tree);
    merkle_tree_free(tree);
    assert_int_equal(data_plain_write(s->dir[SELLER], &s->facts, leaves, NULL), ERR_OK);
    free(leaves);
}

static struct sale *sale_new(bool lies)
{
    struct sale *s = calloc(1, sizeof *s);
    struct done d = {0};
    char path[300];
    s->w = world_new(NULL);
    net_open(&s->net);
    for (unsigned i = 0; i < NODES; i++) {
        s->dir[i] = test_dir_new();
        start(s, i);
    }
    s->content = malloc(SIZE);
    for (size_t i = 0; i < SIZE; i++)
        s->content[i] = (uint8_t)(i * 89 + i / 555);
    snprintf(path, sizeof path, "%s/plain", s->dir[SELLER]);
    assert_int_equal(file_write(path, 0600, bytes_of(s->content, SIZE), NULL), ERR_OK);
    data_add(s->net.host, s->blobs[SELLER], s->dir[SELLER], path, on_added, &d);
    net_run(&s->net, is_done, &d, 10000);
    assert_int_equal(d.e, ERR_OK);
    s->facts = d.facts;
    s->honest = d.facts.plain_root;
    if (lies)
        lie(s);
    struct tx_data_contribute c = {.plain_root = s->facts.plain_root,
                                   .cipher_root = s->facts.cipher_root,
                                   .size = SIZE,
                                   .price = amount_of(PRICE)};
    assert_true(text64_set(&c.name, "set"));
    tx_data_contribute_put(world_body(s->w), &c);
    assert_int_equal(world_do(s->w, 1, TX_DATA_CONTRIBUTE, bytes_of_buf(&s->w->body)), ERR_OK);
    return s;
}

static void sale_free(struct sale *s)
{
    host_uv_settle(s->net.host);
    for (unsigned i = 0; i < NODES; i++)
        if (s->access[i])
            stop(s, i);
    net_close(&s->net);
    for (unsigned i = 0; i < NODES; i++)
        test_dir_remove(s->dir[i]);
    world_free(s->w);
    free(s->content);
    free(s);
}

static struct done fetch(struct sale *s, unsigned i)
{
    struct done d = {0};
    access_fetch(s->access[i], &s->facts, on_fetched, &d);
    assert_false(d.called);
    net_run(&s->net, is_done, &d, 20000);
    return d;
}

static void grant(struct sale *s)
{
    assert_int_equal(access_key_new(s->access[BUYER], &s->once, NULL), ERR_OK);
    assert_true(access_has_secret(s->access[BUYER], &s->once));
    assert_int_equal(WORLD_DO(s->w, 2, TX_DATA_GRANT, tx_data_grant, s->facts.plain_root, s->once), ERR_OK);
    s->grant = s->w->last_id;
}

static struct rec_grant grant_now(const struct sale *s)
{
    struct rec_grant g;
    assert_true(ledger_grant(s->w->ledger, &s->grant, &g));
    return g;
}

static void release(struct sale *s, struct bytes sealed)
{
    assert_int_equal(WORLD_DO(s->w, 1, TX_KEY_RELEASE, tx_key_release, s->grant, sealed), ERR_OK);
}

static void release_key(struct sale *s, const uint8_t key[DATA_KEY_SIZE])
{
    struct buf sealed = {0};
    struct seckey ephemeral;
    memset(ephemeral.b, 0x55, sizeof ephemeral.b);
    assert_true(seal_to_key(&sealed, &s->once, &ephemeral, key, DATA_KEY_SIZE));
    release(s, bytes_of_buf(&sealed));
    buf_clear(&sealed);
}

static struct done check(struct sale *s)
{
    struct done d = {0};
    struct rec_grant g = grant_now(s);
    access_check(s->access[BUYER], &g, on_verdict, &d);
    net_run(&s->net, is_done, &d, 10000);
    return d;
}

static struct done open_to(struct sale *s, unsigned i, const char *to)
{
    struct done d = {0};
    struct data_opening o = {.facts = s->facts, .to = to};
    assert_int_equal(data_key_read(s->dir[i], &s->facts.plain_root, o.key, NULL), ERR_OK);
    data_open(s->net.host, s->blobs[i], s->dir[i], &o, on_opened, &d);
    net_run(&s->net, is_done, &d, 10000);
    return d;
}

static bool key_is_here(void *arg)
{
    const struct sale *s = arg;
    uint8_t key[DATA_KEY_SIZE];
    return data_key_read(s->dir[BUYER], &s->facts.plain_root, key, NULL) == ERR_OK;
}

/* Flips a byte of a file under a node's data. */
static void damage(const struct sale *s, unsigned i, const struct hash *root, const char *ending, off_t at)
{
    char path[400], hex[65];
    uint8_t b;
    hex_put(hex, root->b, sizeof root->b);
    snprintf(path, sizeof path, "%s/data/%s.%s", s->dir[i], hex, ending);
    assert_int_equal(chmod(path, 0600), 0);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0 && pread(fd, &b, 1, at) == 1);
    b ^= 1;
    assert_int_equal(pwrite(fd, &b, 1, at), 1);
    close(fd);
}

/* -- tests -- */

static void a_sale_ends_with_the_file(void **state)
{
    (void)state;
    struct sale *s = sale_new(false);
    struct buf sealed = {0}, got = {0};
    char path[300];
    net_join(&s->net, BUYER, SELLER);
    assert_int_equal(fetch(s, BUYER).e, ERR_OK);
    assert_int_equal(fetch(s, BUYER).e, ERR_OK); /* again: all is here */
    grant(s);
    struct rec_grant g = grant_now(s);
    assert_int_equal(check(s).e, ERR_STATE);
    assert_int_equal(access_seal(s->access[BUYER], &g, &sealed, NULL), ERR_NOT_FOUND);
    assert_int_equal(access_seal(s->access[SELLER], &g, &sealed, NULL), ERR_OK);
    release(s, bytes_of_buf(&sealed));
    assert_false(key_is_here(s));
    access_on_event(s->access[SELLER], world_event(s->w, LEDGER_KEY_RELEASED, 0)); /* not for this one */
    access_on_event(s->access[BUYER], world_event(s->w, LEDGER_KEY_RELEASED, 0));
    net_run(&s->net, key_is_here, s, 10000);
    struct done d = check(s);
    assert_true(d.e == ERR_OK && d.fits && d.dispute.n == 0);
    snprintf(path, sizeof path, "%s/out", s->dir[BUYER]);
    assert_int_equal(open_to(s, BUYER, path).e, ERR_OK);
    assert_int_equal(file_read(path, SIZE, &got, NULL), ERR_OK);
    assert_true(got.n == SIZE && memcmp(got.p, s->content, SIZE) == 0);
    assert_int_equal(open_to(s, BUYER, path).e, ERR_EXISTS);
    buf_clear(&sealed);
    buf_clear(&got);
    sale_free(s);
}

/* The daemon was down when the key came. */
static void a_restart_takes_what_was_released(void **state)
{
    (void)state;
    struct sale *s = sale_new(false);
    struct buf sealed = {0};
    net_join(&s->net, BUYER, SELLER);
    assert_int_equal(fetch(s, BUYER).e, ERR_OK);
    assert_false(access_waits(s->access[BUYER]));
    grant(s);
    assert_true(access_waits(s->access[BUYER]));
    assert_false(access_waits(s->access[SELLER]));
    stop(s, BUYER);
    struct rec_grant g = grant_now(s);
    assert_int_equal(access_seal(s->access[SELLER], &g, &sealed, NULL), ERR_OK);
    release(s, bytes_of_buf(&sealed));
    start(s, BUYER);
    assert_false(access_waits(s->access[BUYER])); /* the state has it */
    net_run(&s->net, key_is_here, s, 10000);
    buf_clear(&sealed);
    sale_free(s);
}

/* It was down for the whole dispute time: the key is paid and not in the state any more, and the block has it still. */
static void blocks_bring_what_the_state_lost(void **state)
{
    (void)state;
    struct sale *s = sale_new(false);
    struct buf sealed = {0};
    net_join(&s->net, BUYER, SELLER);
    assert_int_equal(fetch(s, BUYER).e, ERR_OK);
    grant(s);
    struct rec_grant g = grant_now(s);
    assert_int_equal(access_seal(s->access[SELLER], &g, &sealed, NULL), ERR_OK);
    release(s, bytes_of_buf(&sealed));
    access_on_event(s->access[BUYER], world_event(s->w, LEDGER_KEY_RELEASED, 0));
    s->w->step_ms = s->w->genesis.params.grant_dispute_ms + 1;
    while (grant_now(s).state != GRANT_PAID) /* all of them at once, as a node that catches up has them */
        assert_int_equal(world_block(s->w), ERR_OK);
    assert_false(key_is_here(s));
    net_run(&s->net, key_is_here, s, 10000);
    buf_clear(&sealed);
    sale_free(s);
}

static void disputed(struct sale *s, const struct done *d)
{
    assert_int_equal(d->e, ERR_OK);
    assert_false(d->fits);
    assert_false(key_is_here(s));
    const uint64_t before = world_balance(s->w, 2);
    assert_int_equal(world_do(s->w, 2, TX_DATA_DISPUTE, bytes_of_buf(&d->dispute)), ERR_OK);
    assert_non_null(world_event(s->w, LEDGER_GRANT_DISPUTED, 0));
    assert_true(world_balance(s->w, 2) > before);
}

static void another_key_is_proven(void **state)
{
    (void)state;
    struct sale *s = sale_new(false);
    uint8_t key[DATA_KEY_SIZE];
    net_join(&s->net, BUYER, SELLER);
    assert_int_equal(fetch(s, BUYER).e, ERR_OK);
    grant(s);
    memset(key, 0x33, sizeof key);
    release_key(s, key);
    struct done d = check(s);
    disputed(s, &d);
    buf_clear(&d.dispute);
    sale_free(s);
}

/* A key that opens all leaves but one, of which the seller registered a hash that fits nothing. */
static void one_leaf_that_lies_is_proven(void **state)
{
    (void)state;
    struct sale *s = sale_new(true);
    uint8_t key[DATA_KEY_SIZE];
    memset(key, 0, sizeof key);
    net_join(&s->net, BUYER, SELLER);
    assert_int_equal(fetch(s, BUYER).e, ERR_OK);
    grant(s);
    assert_int_equal(data_key_read(s->dir[SELLER], &s->honest, key, NULL), ERR_OK);
    release_key(s, key);
    struct done d = check(s);
    disputed(s, &d);
    buf_clear(&d.dispute);
    sale_free(s);
}

static void what_opens_not_at_all_is_proven(void **state)
{
    (void)state;
    struct sale *s = sale_new(false);
    uint8_t noise[KEY_SEALED_SIZE];
    net_join(&s->net, BUYER, SELLER);
    assert_int_equal(fetch(s, BUYER).e, ERR_OK);
    grant(s);
    memset(noise, 2, sizeof noise);
    release(s, bytes_of(noise, sizeof noise));
    struct done d = check(s);
    disputed(s, &d);
    buf_clear(&d.dispute);
    sale_free(s);
}

/* A dispute over bytes that our own disk changed would be refused, and is not made. */
static void a_changed_disk_is_said(void **state)
{
    (void)state;
    struct sale *s = sale_new(false);
    uint8_t key[DATA_KEY_SIZE];
    struct buf sealed = {0};
    net_join(&s->net, BUYER, SELLER);
    assert_int_equal(fetch(s, BUYER).e, ERR_OK);
    grant(s);
    struct rec_grant g = grant_now(s);
    assert_int_equal(data_key_read(s->dir[SELLER], &s->facts.plain_root, key, NULL), ERR_OK);
    release_key(s, key);
    damage(s, BUYER, &s->facts.cipher_root, "blob", 3 * LEAF_SIZE + 5);
    struct done d = check(s);
    assert_true(d.e == ERR_CORRUPT && !d.fits && d.dispute.n == 0);
    assert_non_null(strstr(d.note.text, "its disk changed it"));
    assert_false(key_is_here(s));
    /* The seller's: a key, and hashes. */
    damage(s, SELLER, &s->facts.plain_root, "plain", 40);
    assert_int_equal(access_seal(s->access[SELLER], &g, &sealed, NULL), ERR_MISMATCH);
    damage(s, SELLER, &s->facts.plain_root, "plain", 40);
    damage(s, SELLER, &s->facts.plain_root, "key", 31);
    assert_int_equal(access_seal(s->access[SELLER], &g, &sealed, NULL), ERR_CORRUPT);
    assert_int_equal(sealed.n, 0);
    buf_clear(&sealed);
    sale_free(s);
}

/* One peer gives hashes that are none, or too few; the next has them. */
static void lying_hashes_are_asked_of_the_next(void **state)
{
    (void)state;
    for (unsigned how = 0; how < 2; how++) {
        struct sale *s = sale_new(false);
        char *path = data_plain_path(s->dir[OTHER], &s->facts.plain_root);
        struct done d = {0};
        net_join(&s->net, OTHER, SELLER);
        assert_int_equal(fetch(s, OTHER).e, ERR_OK);
        if (how == 0)
            damage(s, OTHER, &s->facts.plain_root, "plain", 100);
        else
            assert_int_equal(truncate(path, 64), 0);
        net_join(&s->net, BUYER, OTHER);
        access_fetch(s->access[BUYER], &s->facts, on_fetched, &d);
        net_wait(&s->net, 300);
        assert_false(d.called);
        net_connect(&s->net, BUYER, SELLER);
        net_run(&s->net, is_done, &d, 20000);
        assert_int_equal(d.e, ERR_OK);
        free(path);
        sale_free(s);
    }
}

/* A blob of another size than the ledger says could not be disputed. */
static void a_false_size_is_not_bought(void **state)
{
    (void)state;
    struct sale *s = sale_new(false);
    net_join(&s->net, BUYER, SELLER);
    s->facts.size -= LEAF_SIZE;
    struct done d = fetch(s, BUYER);
    assert_int_equal(d.e, ERR_MISMATCH);
    assert_non_null(strstr(d.note.text, "another size"));
    sale_free(s);
}

int main(void)
{
    log_open(LOG_BROKEN, NULL, NULL, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sale_ends_with_the_file),        cmocka_unit_test(a_restart_takes_what_was_released),
        cmocka_unit_test(blocks_bring_what_the_state_lost), cmocka_unit_test(another_key_is_proven),
        cmocka_unit_test(one_leaf_that_lies_is_proven),     cmocka_unit_test(what_opens_not_at_all_is_proven),
        cmocka_unit_test(a_changed_disk_is_said),           cmocka_unit_test(lying_hashes_are_asked_of_the_next),
        cmocka_unit_test(a_false_size_is_not_bought),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
