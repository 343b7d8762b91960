/* Pulls that come to nothing, wait, are left or end: whose place they hold, and who is told. */
#include "base/file.h"
#include "base/log.h"
#include "p2p/blob.h"
#include "tests/blobs_stage.h"

#include <string.h>

static void cancelled_is_told_once(void **state)
{
    (void)state;
    struct blobs_stage f;
    struct blobs_done d = {0};
    blobs_stage_open(&f, 1);
    blobs_pull(f.blobs[0], BLOB_MODEL, &f.root, blobs_stage_done, &d);
    blobs_pull_cancel(f.blobs[0], &f.root);
    assert_false(d.called);
    net_run(&f.net, blobs_stage_is_done, &d, 1000);
    assert_int_equal(d.e, ERR_CANCELLED);
    d.called = false;
    blobs_pull_cancel(f.blobs[0], &f.root);
    /* The store closes with an import under way and a pull that waits: nobody is called any more. */
    blobs_pull(f.blobs[0], BLOB_MODEL, &f.root, blobs_stage_done, &d);
    blobs_import(f.blobs[0], BLOB_MODEL, f.file, blobs_stage_done, &d);
    blobs_stage_stop(&f, 0);
    net_wait(&f.net, 200);
    assert_false(d.called);
    blobs_stage_close(&f);
}

static struct hash unknown(unsigned i)
{
    return (struct hash){{7, (uint8_t)i, (uint8_t)(i >> 8)}};
}

/* What nobody has is in nobody's way; of that, too, there is an end, which is told. */
static void pulls_of_nothing_hold_no_place(void **state)
{
    (void)state;
    struct blobs_stage f;
    struct blobs_done none[BLOB_WANTED_MAX] = {{0}}, d = {0}, more = {0};
    struct blobs_info info;
    blobs_stage_open(&f, 2);
    blobs_stage_import(&f, 0);
    net_join(&f.net, 1, 0);
    for (unsigned i = 0; i < BLOB_WANTED_MAX - 1; i++) {
        const struct hash root = unknown(i);
        blobs_pull(f.blobs[1], BLOB_MODEL, &root, blobs_stage_done, &none[i]);
    }
    blobs_pull(f.blobs[1], BLOB_MODEL, &f.root, blobs_stage_done, &d);
    const struct hash last = unknown(BLOB_WANTED_MAX);
    blobs_pull(f.blobs[1], BLOB_MODEL, &last, blobs_stage_done, &more);
    net_run(&f.net, blobs_stage_is_done, &more, 1000);
    assert_int_equal(more.e, ERR_BUSY);
    net_run(&f.net, blobs_stage_is_done, &d, 10000);
    assert_int_equal(d.e, ERR_OK);
    const struct hash first = unknown(0);
    assert_true(blobs_find(f.blobs[1], &first, &info) && info.pulling);
    assert_true(info.asked == 1 && info.sources == 0 && !info.waits && info.asked_ago_ms < 20000);
    assert_false(none[0].called);
    blobs_pull_cancel(f.blobs[1], &first);
    more = (struct blobs_done){0};
    blobs_pull(f.blobs[1], BLOB_MODEL, &last, blobs_stage_done, &more);
    net_wait(&f.net, 50);
    assert_true(none[0].called && none[0].e == ERR_CANCELLED && !more.called);
    blobs_stage_close(&f);
}

static void nobody_has_it_in_the_end(void **state)
{
    (void)state;
    struct blobs_stage f;
    struct blobs_done d = {0}, other = {0};
    struct blobs_info info;
    blobs_stage_open(&f, 2);
    net_join(&f.net, 1, 0);
    blobs_set_nobody_ms(f.blobs[1], 1000);
    blobs_pull(f.blobs[1], BLOB_MODEL, &f.root, blobs_stage_done, &d);
    const struct hash own = unknown(1);
    blobs_pull(f.blobs[1], BLOB_MODEL, &own, NULL, NULL); /* as node/blobs/blobs_check.c does */
    blobs_pull(f.blobs[1], BLOB_MODEL, &own, blobs_stage_done, &other);
    net_run(&f.net, blobs_stage_is_done, &d, 10000);
    assert_int_equal(d.e, ERR_NOT_FOUND);
    assert_non_null(strstr(d.note.text, "nobody in reach gave any of it for 1 s (1 peers were asked last)"));
    net_run(&f.net, blobs_stage_is_done, &other, 10000);
    assert_int_equal(other.e, ERR_NOT_FOUND);
    assert_true(blobs_find(f.blobs[1], &f.root, &info) && !info.pulling);
    assert_true(blobs_find(f.blobs[1], &own, &info) && info.pulling);
    blobs_stage_import(&f, 0); /* and it can be pulled after all */
    d = (struct blobs_done){0};
    blobs_pull(f.blobs[1], BLOB_MODEL, &f.root, blobs_stage_done, &d);
    net_run(&f.net, blobs_stage_is_done, &d, 10000);
    assert_int_equal(d.e, ERR_OK);
    blobs_stage_close(&f);
}

/* A peer that says that it has whatever it is asked for, again and again, and gives nothing. */
struct boaster {
    struct blobs_stage *f;
    struct hash root;
    struct timer timer;
};

static void boast(void *arg)
{
    struct boaster *x = arg;
    struct buf out = {0};
    blob_have_put(&out, &(struct blob_have){.root = x->root, .have = true, .size = BLOBS_SIZE});
    (void)peers_broadcast(x->f->net.node[2].peers, MSG_BLOB_HAVE, bytes_of_buf(&out), NULL);
    buf_clear(&out);
    host_timer_set(x->f->net.host, &x->timer, 200, boast, x);
}

static enum err give_nothing(void *arg, const struct pubkey *from, struct bytes body)
{
    (void)arg;
    (void)from;
    (void)body;
    return ERR_OK;
}

static void a_boaster_keeps_no_pull_alive(void **state)
{
    (void)state;
    struct blobs_stage f;
    struct blobs_done d = {0};
    blobs_stage_open(&f, 2);
    net_start(&f.net, 2, blobs_stage_chain(1));
    struct boaster x = {.f = &f, .root = f.root};
    peers_on(f.net.node[2].peers, MSG_BLOB_HAVE_GET, give_nothing, NULL);
    peers_on(f.net.node[2].peers, MSG_LEAF_GET, give_nothing, NULL);
    net_join(&f.net, 1, 2);
    blobs_set_nobody_ms(f.blobs[1], 1000);
    blobs_pull(f.blobs[1], BLOB_MODEL, &f.root, blobs_stage_done, &d);
    boast(&x);
    net_run(&f.net, blobs_stage_is_done, &d, 2 * BLOB_LEAF_MS);
    assert_true(d.called && d.e == ERR_NOT_FOUND);
    assert_non_null(strstr(d.note.text, "nobody in reach gave any of it for 1 s"));
    host_timer_cancel(f.net.host, &x.timer);
    net_stop(&f.net, 2);
    blobs_stage_close(&f);
}

static void who_leaves_is_not_told(void **state)
{
    (void)state;
    struct blobs_stage f;
    struct blobs_done a = {0}, b = {0}, other = {0};
    struct blobs_info info;
    blobs_stage_open(&f, 1);
    blobs_pull(f.blobs[0], BLOB_MODEL, &f.root, blobs_stage_done, &a);
    blobs_pull(f.blobs[0], BLOB_MODEL, &f.root, blobs_stage_done, &b);
    blobs_pull_leave(f.blobs[0], &f.root, blobs_stage_done, &a);
    blobs_pull_leave(f.blobs[0], &f.root, blobs_stage_done, &a); /* no more */
    assert_true(blobs_find(f.blobs[0], &f.root, &info) && info.pulling);
    blobs_pull_leave(f.blobs[0], &f.root, blobs_stage_done, &b);
    assert_true(blobs_find(f.blobs[0], &f.root, &info) && !info.pulling);
    blobs_pull(f.blobs[0], BLOB_MODEL, &f.root, blobs_stage_done, &a);
    blobs_pull(f.blobs[0], BLOB_MODEL, &f.root, blobs_stage_done, &other);
    blobs_pull_cancel(f.blobs[0], &f.root); /* which they hear of in the next turn */
    blobs_pull_leave(f.blobs[0], &f.root, blobs_stage_done, &a);
    net_wait(&f.net, 50);
    assert_false(a.called || b.called);
    assert_true(other.called);
    blobs_stage_close(&f);
}

/* More than there are places, all to be had. */
static void places_go_round(void **state)
{
    (void)state;
    enum { BLOBS = 2 * BLOB_PULLS_MAX + 3 };
    struct blobs_stage f;
    static struct blobs_done d[BLOBS], imported;
    blobs_stage_open(&f, 2);
    for (unsigned i = 0; i < BLOBS; i++) {
        memset(f.content, (int)i + 1, 9 * LEAF_SIZE);
        assert_int_equal(file_write(f.file, 0644, bytes_of(f.content, 9 * LEAF_SIZE + i), NULL), ERR_OK);
        imported = (struct blobs_done){0};
        blobs_import(f.blobs[0], BLOB_MODEL, f.file, blobs_stage_done, &imported);
        net_run(&f.net, blobs_stage_is_done, &imported, 10000);
        assert_int_equal(imported.e, ERR_OK);
        d[i] = (struct blobs_done){.root = imported.root};
    }
    net_join(&f.net, 1, 0);
    for (unsigned i = 0; i < BLOBS; i++) {
        const struct hash root = d[i].root;
        blobs_pull(f.blobs[1], BLOB_MODEL, &root, blobs_stage_done, &d[i]);
    }
    for (unsigned i = 0; i < BLOBS; i++) {
        net_run(&f.net, blobs_stage_is_done, &d[i], 20000);
        assert_int_equal(d[i].e, ERR_OK);
    }
    blobs_stage_close(&f);
}

int main(void)
{
    log_open(LOG_BROKEN, NULL, NULL, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cancelled_is_told_once),   cmocka_unit_test(pulls_of_nothing_hold_no_place),
        cmocka_unit_test(nobody_has_it_in_the_end), cmocka_unit_test(a_boaster_keeps_no_pull_alive),
        cmocka_unit_test(who_leaves_is_not_told),   cmocka_unit_test(places_go_round),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
