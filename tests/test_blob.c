/* Fetching by root, as pure code: several sources, lies, silence, resuming. */
#include "p2p/blob.h"
#include "tests/support.h"

#include <stdlib.h>
#include <string.h>

#define LEAVES 40u
#define SIZE   (LEAVES * LEAF_SIZE - 77u)

static uint8_t content[LEAVES * LEAF_SIZE];

struct world {
    struct merkle_tree *tree;
    struct hash root;
    struct blob_fetch *fetch;
    uint8_t got[LEAVES];
};

static struct pubkey peer_of(uint8_t i)
{
    struct pubkey k = {{i}};
    return k;
}

static void world_open(struct world *w)
{
    for (size_t i = 0; i < sizeof content; i++)
        content[i] = (uint8_t)(i * 31 + i / 999);
    *w = (struct world){.tree = merkle_tree_of(content, SIZE)};
    w->root = merkle_tree_root(w->tree);
    w->fetch = blob_fetch_new(&w->root);
}

static void world_close(struct world *w)
{
    blob_fetch_free(w->fetch);
    merkle_tree_free(w->tree);
}

static bool read_content(void *arg, uint64_t at, void *p, size_t n)
{
    (void)arg;
    memcpy(p, content + at, n);
    return true;
}

/* The answer of a source; `spoil` flips a bit of it. */
static enum err answer(struct world *w, const struct blob_ask *ask, bool spoil)
{
    struct buf body = {0};
    struct leaf m;
    struct leaf_get question = {w->root, ask->index};
    blob_answer(w->tree, read_content, NULL, &question, &body);
    if (spoil)
        body.p[body.n - 5] ^= 4;
    assert_true(MSG_GET(leaf, bytes_of_buf(&body), &m));
    enum err e = blob_fetch_step(w->fetch, &ask->source, &m);
    if (e == ERR_OK) {
        assert_int_equal(w->got[m.index], 0);
        assert_memory_equal(m.bytes.p, content + m.index * LEAF_SIZE, m.bytes.n);
        w->got[m.index] = 1;
    }
    buf_clear(&body);
    return e;
}

static void leaves_come_from_all_sources(void **state)
{
    (void)state;
    struct world w;
    struct blob_ask ask;
    unsigned by[4] = {0};
    world_open(&w);
    for (uint8_t i = 1; i <= 3; i++) {
        struct pubkey k = peer_of(i);
        assert_int_equal(blob_fetch_add(w.fetch, &k, SIZE), ERR_OK);
        assert_int_equal(blob_fetch_add(w.fetch, &k, SIZE), ERR_DUPLICATE);
    }
    struct blob_ask asked[3 * BLOB_WINDOW];
    while (!blob_fetch_is_done(w.fetch)) {
        unsigned n = 0;
        while (blob_fetch_next(w.fetch, 0, &ask)) {
            assert_true(n < 3 * BLOB_WINDOW);
            asked[n++] = ask;
        }
        assert_true(n > 0);
        for (unsigned i = 0; i < n; i++) {
            enum err e = answer(&w, &asked[i], false);
            assert_true(e == ERR_OK || e == ERR_DUPLICATE);
            by[asked[i].source.b[0]]++;
        }
    }
    for (uint8_t i = 1; i <= 3; i++)
        assert_true(by[i] > 5);
    assert_int_equal(blob_fetch_here(w.fetch), LEAVES);
    world_close(&w);
}

static void a_corrupted_leaf_costs_its_sender(void **state)
{
    (void)state;
    struct world w;
    struct blob_ask ask;
    struct pubkey liar = peer_of(1), honest = peer_of(2);
    world_open(&w);
    assert_int_equal(blob_fetch_add(w.fetch, &liar, SIZE), ERR_OK);
    assert_true(blob_fetch_next(w.fetch, 0, &ask));
    assert_int_equal(answer(&w, &ask, false), ERR_OK); /* honest at first */
    assert_true(blob_fetch_next(w.fetch, 0, &ask));
    uint64_t spoiled = ask.index;
    assert_int_equal(answer(&w, &ask, true), ERR_CORRUPT);
    assert_int_equal(blob_fetch_sources(w.fetch), 0);
    assert_false(blob_fetch_next(w.fetch, 0, &ask));
    assert_int_equal(blob_fetch_add(w.fetch, &honest, SIZE), ERR_OK);
    while (blob_fetch_next(w.fetch, 0, &ask))
        assert_int_equal(answer(&w, &ask, false), ERR_OK);
    assert_true(blob_fetch_is_done(w.fetch));
    assert_int_equal(w.got[spoiled], 1);
    world_close(&w);
}

static void a_false_size_is_found_by_the_first_leaf(void **state)
{
    (void)state;
    struct world w;
    struct blob_ask ask;
    struct pubkey liar = peer_of(1), honest = peer_of(2), late = peer_of(3);
    uint64_t size;
    world_open(&w);
    assert_int_equal(blob_fetch_add(w.fetch, &liar, SIZE + 1), ERR_OK);
    assert_int_equal(blob_fetch_add(w.fetch, &honest, SIZE), ERR_OK);
    assert_int_equal(blob_fetch_add(w.fetch, &late, 0), ERR_MISMATCH);
    assert_int_equal(blob_fetch_add(w.fetch, &late, BLOB_SIZE_MAX + 1), ERR_MISMATCH);
    assert_false(blob_fetch_size(w.fetch, &size));
    while (blob_fetch_next(w.fetch, 0, &ask))
        if (pubkey_equal(&ask.source, &honest))
            assert_true(answer(&w, &ask, false) == ERR_OK);
    assert_true(blob_fetch_size(w.fetch, &size));
    assert_int_equal(size, SIZE);
    assert_int_equal(blob_fetch_sources(w.fetch), 1);
    assert_int_equal(blob_fetch_add(w.fetch, &late, SIZE - 1), ERR_MISMATCH);
    world_close(&w);
}

static void silence_moves_questions_elsewhere(void **state)
{
    (void)state;
    struct world w;
    struct blob_ask ask, late = {{{0}}, 0};
    struct pubkey silent = peer_of(1), good = peer_of(2);
    world_open(&w);
    blob_fetch_set_size(w.fetch, SIZE);
    assert_int_equal(blob_fetch_add(w.fetch, &silent, SIZE), ERR_OK);
    unsigned n = 0;
    for (; blob_fetch_next(w.fetch, 1000, &ask); n++)
        late = ask;
    assert_int_equal(n, BLOB_WINDOW);
    assert_int_equal(blob_fetch_timeout_ms(w.fetch), 1000 + BLOB_LEAF_MS);
    blob_fetch_tick(w.fetch, 1000 + BLOB_LEAF_MS - 1);
    assert_int_equal(blob_fetch_sources(w.fetch), 1);
    blob_fetch_tick(w.fetch, 1000 + BLOB_LEAF_MS);
    assert_int_equal(blob_fetch_sources(w.fetch), 0); /* more than its strikes at once */
    /* An answer that comes after all is neither used nor blamed. */
    assert_int_equal(answer(&w, &late, false), ERR_DUPLICATE);
    assert_int_equal(blob_fetch_add(w.fetch, &good, SIZE), ERR_OK);
    while (blob_fetch_next(w.fetch, 9000, &ask))
        assert_int_equal(answer(&w, &ask, false), ERR_OK);
    assert_true(blob_fetch_is_done(w.fetch));
    world_close(&w);
}

static void what_was_not_asked_is_refused(void **state)
{
    (void)state;
    struct world w;
    struct pubkey k = peer_of(1);
    world_open(&w);
    assert_int_equal(blob_fetch_add(w.fetch, &k, SIZE), ERR_OK);
    struct blob_ask ask = {k, 3};
    assert_int_equal(answer(&w, &ask, false), ERR_PROTOCOL);
    assert_int_equal(blob_fetch_sources(w.fetch), 0);
    world_close(&w);
}

static void resuming_asks_for_the_rest_only(void **state)
{
    (void)state;
    struct world w;
    struct blob_ask ask;
    struct pubkey k = peer_of(1);
    world_open(&w);
    blob_fetch_set_size(w.fetch, SIZE);
    for (uint64_t i = 0; i < LEAVES; i++)
        if (i % 3)
            blob_fetch_set_here(w.fetch, i);
    blob_fetch_set_missing(w.fetch, 4);
    assert_int_equal(blob_fetch_add(w.fetch, &k, SIZE), ERR_OK);
    unsigned n = 0;
    for (; blob_fetch_next(w.fetch, 0, &ask); n++) {
        assert_true(ask.index % 3 == 0 || ask.index == 4);
        assert_int_equal(answer(&w, &ask, false), ERR_OK);
    }
    assert_int_equal(n, (LEAVES + 2) / 3 + 1);
    assert_true(blob_fetch_is_done(w.fetch));
    world_close(&w);
}

static void absent_and_empty_blobs(void **state)
{
    (void)state;
    struct world w;
    struct buf body = {0};
    struct leaf m;
    struct pubkey k = peer_of(1);
    world_open(&w);
    struct leaf_get past = {w.root, LEAVES};
    blob_answer(w.tree, read_content, NULL, &past, &body);
    assert_true(MSG_GET(leaf, bytes_of_buf(&body), &m));
    assert_int_equal(m.bytes.n, 0);
    buf_reset(&body);
    blob_answer(NULL, read_content, NULL, &(struct leaf_get){w.root, 0}, &body);
    assert_true(MSG_GET(leaf, bytes_of_buf(&body), &m));
    assert_int_equal(blob_fetch_add(w.fetch, &k, SIZE), ERR_OK);
    struct blob_ask ask;
    assert_true(blob_fetch_next(w.fetch, 0, &ask));
    assert_int_equal(blob_fetch_step(w.fetch, &k, &m), ERR_NOT_FOUND);
    assert_int_equal(blob_fetch_sources(w.fetch), 0);
    buf_clear(&body);
    world_close(&w);

    struct merkle_tree *empty = merkle_tree_of(NULL, 0);
    struct hash root = merkle_tree_root(empty);
    struct blob_fetch *f = blob_fetch_new(&root);
    assert_int_equal(blob_fetch_add(f, &k, 0), ERR_OK);
    assert_true(blob_fetch_is_done(f));
    blob_fetch_free(f);
    merkle_tree_free(empty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaves_come_from_all_sources),
        cmocka_unit_test(a_corrupted_leaf_costs_its_sender),
        cmocka_unit_test(a_false_size_is_found_by_the_first_leaf),
        cmocka_unit_test(silence_moves_questions_elsewhere),
        cmocka_unit_test(what_was_not_asked_is_refused),
        cmocka_unit_test(resuming_asks_for_the_rest_only),
        cmocka_unit_test(absent_and_empty_blobs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
