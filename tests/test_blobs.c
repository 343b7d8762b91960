/* The store on a real disk, and pulling over real sockets: import, pull from several, a liar, a restart in the
 * middle, damage found at start. */
#include "base/file.h"
#include "base/log.h"
#include "p2p/blob.h"
#include "tests/blobs_stage.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void check_content(struct blobs_stage *f, unsigned i)
{
    int fd;
    struct stat st;
    uint8_t *got = malloc(BLOBS_SIZE);
    assert_int_equal(blobs_fd(f->blobs[i], &f->root, &fd, NULL), ERR_OK);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0400);
    assert_int_equal(st.st_size, BLOBS_SIZE);
    assert_int_equal(read(fd, got, BLOBS_SIZE), BLOBS_SIZE);
    assert_memory_equal(got, f->content, BLOBS_SIZE);
    close(fd);
    free(got);
}

static void import_copies_and_survives(void **state)
{
    (void)state;
    struct blobs_stage f;
    struct blobs_info info;
    struct blobs_done d = {0};
    blobs_stage_open(&f, 1);
    blobs_stage_import(&f, 0);
    blobs_stage_import(&f, 0); /* again is fine */
    check_content(&f, 0);
    /* The original may change: the copy does not. */
    assert_int_equal(truncate(f.file, 10), 0);
    check_content(&f, 0);
    blobs_stage_stop(&f, 0);
    blobs_stage_start(&f, 0);
    assert_true(blobs_find(f.blobs[0], &f.root, &info));
    assert_true(info.whole);
    assert_int_equal(info.leaves_have, 301);
    blobs_import(f.blobs[0], BLOB_MODEL, "/nonexistent/model", blobs_stage_done, &d);
    net_run(&f.net, blobs_stage_is_done, &d, 5000);
    assert_int_equal(d.e, ERR_NOT_FOUND);
    assert_non_null(strstr(d.note.text, "/nonexistent/model"));
    assert_int_equal(blobs_remove(f.blobs[0], &f.root, NULL), ERR_OK);
    assert_false(blobs_find(f.blobs[0], &f.root, &info));
    blobs_stage_close(&f);
}

static void pulled_from_two_at_once(void **state)
{
    (void)state;
    struct blobs_stage f;
    struct blobs_done d = {0}, again = {0};
    blobs_stage_open(&f, 3);
    blobs_stage_import(&f, 0);
    blobs_stage_import(&f, 1);
    net_join(&f.net, 2, 0);
    net_join(&f.net, 2, 1);
    blobs_pull(f.blobs[2], BLOB_MODEL, &f.root, blobs_stage_done, &d);
    blobs_pull(f.blobs[2], BLOB_MODEL, &f.root, blobs_stage_done, &again);
    net_run(&f.net, blobs_stage_is_done, &d, 10000);
    assert_int_equal(d.e, ERR_OK);
    net_run(&f.net, blobs_stage_is_done, &again, 1000);
    assert_int_equal(again.e, ERR_OK);
    check_content(&f, 2);
    blobs_stage_close(&f);
}

static void waits_for_a_peer_that_has_it(void **state)
{
    (void)state;
    struct blobs_stage f;
    struct blobs_done d = {0};
    blobs_stage_open(&f, 2);
    blobs_pull(f.blobs[1], BLOB_MODEL, &f.root, blobs_stage_done, &d);
    net_join(&f.net, 1, 0);
    net_wait(&f.net, 100);
    assert_false(d.called);
    blobs_stage_import(&f, 0); /* it has it only now: the next question finds it */
    net_run(&f.net, blobs_stage_is_done, &d, 8000);
    assert_int_equal(d.e, ERR_OK);
    check_content(&f, 1);
    blobs_stage_close(&f);
}

/* A peer that has the blob's name but answers with other bytes. */
struct liar {
    struct peers *peers;
    struct merkle_tree *tree;
    unsigned asked;
};

static enum err lie_have(void *arg, const struct pubkey *from, struct bytes body)
{
    struct liar *l = arg;
    struct blob_have_get ask;
    struct buf out = {0};
    assert_true(MSG_GET(blob_have_get, body, &ask));
    blob_have_put(&out, &(struct blob_have){ask.root, true, BLOBS_SIZE});
    assert_int_equal(peers_send(l->peers, from, MSG_BLOB_HAVE, bytes_of_buf(&out)), ERR_OK);
    buf_clear(&out);
    return ERR_OK;
}

static bool read_zeros(void *arg, uint64_t at, void *p, size_t n)
{
    (void)arg;
    (void)at;
    memset(p, 0, n);
    return true;
}

static enum err lie_leaf(void *arg, const struct pubkey *from, struct bytes body)
{
    struct liar *l = arg;
    struct leaf_get ask;
    struct buf out = {0};
    assert_true(MSG_GET(leaf_get, body, &ask));
    l->asked++;
    blob_answer(l->tree, read_zeros, NULL, &ask, &out);
    assert_int_equal(peers_send(l->peers, from, MSG_LEAF, bytes_of_buf(&out)), ERR_OK);
    buf_clear(&out);
    return ERR_OK;
}

static bool is_cut_off(void *arg)
{
    struct blobs_stage *f = arg;
    return !peers_is_up(f->net.node[1].peers, &f->net.node[2].id);
}

static void a_liar_is_cut_off_and_the_pull_goes_on(void **state)
{
    (void)state;
    struct blobs_stage f;
    struct blobs_done d = {0};
    blobs_stage_open(&f, 2);
    blobs_stage_import(&f, 0);
    net_start(&f.net, 2, blobs_stage_chain(1));
    struct liar l = {f.net.node[2].peers, merkle_tree_of(f.content, BLOBS_SIZE), 0};
    peers_on(l.peers, MSG_BLOB_HAVE_GET, lie_have, &l);
    peers_on(l.peers, MSG_LEAF_GET, lie_leaf, &l);
    net_join(&f.net, 1, 2);
    blobs_pull(f.blobs[1], BLOB_MODEL, &f.root, blobs_stage_done, &d);
    net_run(&f.net, is_cut_off, &f, 8000);
    assert_true(l.asked > 0);
    net_join(&f.net, 1, 0);
    net_run(&f.net, blobs_stage_is_done, &d, 8000);
    assert_int_equal(d.e, ERR_OK);
    check_content(&f, 1);
    merkle_tree_free(l.tree);
    blobs_stage_close(&f);
}

struct part_way {
    struct blobs *blobs;
    struct hash root;
    uint64_t leaves; /* at least so many are there */
};

static bool is_part_way(void *arg)
{
    struct part_way *p = arg;
    struct blobs_info info;
    return blobs_find(p->blobs, &p->root, &info) && info.leaves_have >= p->leaves;
}

static void resumes_after_a_restart(void **state)
{
    (void)state;
    struct blobs_stage f;
    struct blobs_done d = {0};
    struct blobs_info info;
    blobs_stage_open(&f, 2);
    blobs_stage_import(&f, 0);
    net_join(&f.net, 1, 0);
    blobs_pull(f.blobs[1], BLOB_MODEL, &f.root, blobs_stage_done, &d);
    struct part_way part = {f.blobs[1], f.root, 21};
    net_run(&f.net, is_part_way, &part, 5000);
    if (d.called)
        skip(); /* too quick to be caught in the middle */
    blobs_stage_stop(&f, 1);
    blobs_stage_start(&f, 1);
    part.blobs = f.blobs[1];
    net_run(&f.net, is_part_way, &part, 8000);
    assert_true(blobs_find(f.blobs[1], &f.root, &info));
    assert_false(info.whole);
    blobs_pull(f.blobs[1], BLOB_MODEL, &f.root, blobs_stage_done, &d);
    net_join(&f.net, 1, 0);
    net_run(&f.net, blobs_stage_is_done, &d, 8000);
    assert_int_equal(d.e, ERR_OK);
    check_content(&f, 1);
    blobs_stage_close(&f);
}

static void damage_is_found_at_start_and_healed(void **state)
{
    (void)state;
    struct blobs_stage f;
    struct blobs_done d = {0};
    struct blobs_info info;
    blobs_stage_open(&f, 2);
    blobs_stage_import(&f, 0);
    blobs_stage_import(&f, 1);
    char *path = strdup(blobs_path(f.blobs[1], &f.root));
    blobs_stage_stop(&f, 1);
    assert_int_equal(chmod(path, 0600), 0);
    int fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, "x", 1, 100 * LEAF_SIZE), 1);
    close(fd);
    free(path);
    blobs_stage_start(&f, 1);
    struct part_way part = {f.blobs[1], f.root, 300};
    net_run(&f.net, is_part_way, &part, 8000);
    net_wait(&f.net, 100); /* the damaged one might still be taken for whole */
    assert_true(blobs_find(f.blobs[1], &f.root, &info));
    assert_false(info.whole);
    assert_int_equal(info.leaves_have, 300);
    net_join(&f.net, 1, 0);
    blobs_pull(f.blobs[1], BLOB_MODEL, &f.root, blobs_stage_done, &d);
    net_run(&f.net, blobs_stage_is_done, &d, 8000);
    assert_int_equal(d.e, ERR_OK);
    check_content(&f, 1);
    blobs_stage_close(&f);
}

struct damage {
    struct hash root;
    unsigned heard;
};

static void on_damage(void *arg, const struct hash *root)
{
    struct damage *d = arg;
    d->root = *root;
    d->heard++;
}

static bool is_heard(void *arg)
{
    return ((struct damage *)arg)->heard > 0;
}

static bool is_whole_again(void *arg)
{
    struct blobs_stage *f = arg;
    struct blobs_info info;
    return blobs_find(f->blobs[1], &f->root, &info) && info.whole;
}

/* A byte of the file becomes another, and nothing else: not its time either. */
static void change_byte(const char *path, off_t at)
{
    struct stat st;
    char byte;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(chmod(path, 0600), 0);
    int fd = open(path, O_RDWR);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    assert_int_equal(futimens(fd, (const struct timespec[]){st.st_atim, st.st_mtim}), 0);
    close(fd);
    assert_int_equal(chmod(path, st.st_mode & 07777), 0);
}

/* A disk that changes a weight tells nobody. It is found all the same, whoever used the blob is told, and it heals. */
static void silent_damage_is_found_and_healed(void **state)
{
    (void)state;
    struct blobs_stage f;
    struct damage heard = {0};
    struct blobs_info info;
    blobs_stage_open(&f, 2);
    blobs_stage_import(&f, 0);
    blobs_stage_import(&f, 1);
    char *path = strdup(blobs_path(f.blobs[1], &f.root));
    blobs_stage_stop(&f, 1);
    change_byte(path, 100 * LEAF_SIZE + 5);
    blobs_stage_start(&f, 1);
    blobs_on_damage(f.blobs[1], on_damage, &heard);
    assert_true(blobs_find(f.blobs[1], &f.root, &info) && info.whole); /* its stamp is as it was */
    net_run(&f.net, is_heard, &heard, 8000);
    assert_true(hash_equal(&heard.root, &f.root));
    assert_null(blobs_path(f.blobs[1], &f.root));
    net_join(&f.net, 1, 0);
    net_run(&f.net, is_whole_again, &f, 8000);
    check_content(&f, 1);
    assert_int_equal(heard.heard, 1);
    free(path);
    blobs_stage_close(&f);
}

/* The lists of leaves: whatever bit of them a disk changes, no other bytes are taken for the blob. */
static void damaged_lists_are_found_at_start(void **state)
{
    (void)state;
    struct blobs_stage f;
    struct blobs_info info;
    blobs_stage_open(&f, 1);
    blobs_stage_import(&f, 0);
    char *path = strdup(blobs_path(f.blobs[0], &f.root));
    size_t n = strlen(path);
    char *list = malloc(n + 8);
    memcpy(list, path, n - 4);
    memcpy(list + n - 4, "leaves", 7);
    for (unsigned i = 0; i < 24; i++) {
        blobs_stage_stop(&f, 0);
        change_byte(list, i < 16 ? 2 * (off_t)i : 32 + 32 * (off_t)(i - 16) * 40);
        blobs_stage_start(&f, 0);
        net_wait(&f.net, 60);
        /* A head that fits no more: nothing is known of it, or all leaves are read again. A leaf's hash: that leaf is
         * missing until it is fetched. */
        bool is_there = blobs_find(f.blobs[0], &f.root, &info);
        assert_true(!is_there || !info.whole || i < 16);
        if (is_there && info.whole)
            check_content(&f, 0);
        if (is_there)
            assert_int_equal(blobs_remove(f.blobs[0], &f.root, NULL), ERR_OK);
        blobs_stage_import(&f, 0);
    }
    free(list);
    free(path);
    blobs_stage_close(&f);
}

/* The disk of every file that is opened from now on takes so many more writes. */
static const struct host_ops *real;
static struct host_ops full;
static unsigned puts_left;

static enum err put_until_full(struct host_file *file, uint64_t at, const void *p, size_t n)
{
    if (puts_left == 0)
        return ERR_FULL;
    puts_left--;
    return real->put(file, at, p, n);
}

static enum err open_on_full_disk(struct host *host, const char *path, enum host_open how, struct host_file **out,
                                  struct note *note)
{
    enum err e = real->open(host, path, how, out, note);
    if (e == ERR_OK)
        (*out)->ops = &full;
    return e;
}

static void a_full_disk_ends_the_pull_and_loses_nothing(void **state)
{
    (void)state;
    struct blobs_stage f;
    struct blobs_done d = {0};
    struct blobs_info info;
    blobs_stage_open(&f, 2);
    blobs_stage_import(&f, 0);
    real = f.net.host->ops;
    full = *real;
    full.put = put_until_full;
    full.open = open_on_full_disk;
    puts_left = 101;
    f.net.host->ops = &full;
    net_join(&f.net, 1, 0);
    blobs_pull(f.blobs[1], BLOB_MODEL, &f.root, blobs_stage_done, &d);
    net_run(&f.net, blobs_stage_is_done, &d, 5000);
    assert_int_equal(d.e, ERR_FULL);
    assert_non_null(strstr(d.note.text, "models: no room left"));
    assert_true(peers_is_up(f.net.node[1].peers, &f.net.node[0].id)); /* it is not the peer's fault */
    assert_true(blobs_find(f.blobs[1], &f.root, &info));
    assert_int_equal(info.leaves_have, 50);
    f.net.host->ops = real;
    d = (struct blobs_done){0};
    blobs_pull(f.blobs[1], BLOB_MODEL, &f.root, blobs_stage_done, &d);
    net_run(&f.net, blobs_stage_is_done, &d, 5000);
    assert_int_equal(d.e, ERR_OK);
    check_content(&f, 1);
    blobs_stage_close(&f);
}

int main(void)
{
    log_open(LOG_BROKEN, NULL, NULL, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(import_copies_and_survives),
        cmocka_unit_test(pulled_from_two_at_once),
        cmocka_unit_test(waits_for_a_peer_that_has_it),
        cmocka_unit_test(a_liar_is_cut_off_and_the_pull_goes_on),
        cmocka_unit_test(resumes_after_a_restart),
        cmocka_unit_test(damage_is_found_at_start_and_healed),
        cmocka_unit_test(silent_damage_is_found_and_healed),
        cmocka_unit_test(damaged_lists_are_found_at_start),
        cmocka_unit_test(a_full_disk_ends_the_pull_and_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
