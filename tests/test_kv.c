/* The store, both kinds: batches whole or not at all, order of scans, faults, reopening. */
#include "base/file.h"
#include "base/mem.h"
#include "chain/kv.h"
#include "chain/kv_tail.h"
#include "tests/support.h"

#include <fcntl.h>
#include <signal.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static void put(struct kv_batch *b, const char *key, const char *value)
{
    kv_batch_put(b, bytes_of_text(key), bytes_of_text(value));
}

static void write_one(struct kv *kv, const char *key, const char *value, bool sync)
{
    struct kv_batch b = {0};
    put(&b, key, value);
    assert_int_equal(kv_write(kv, &b, sync, NULL), ERR_OK);
    kv_batch_clear(&b);
}

static void expect(struct kv *kv, const char *key, const char *value)
{
    struct buf got = {0};
    enum err e = kv_get(kv, bytes_of_text(key), &got, NULL);
    if (value) {
        assert_int_equal(e, ERR_OK);
        assert_string_equal(buf_text(&got), value);
    } else {
        assert_int_equal(e, ERR_NOT_FOUND);
        assert_int_equal(got.n, 0);
    }
    buf_clear(&got);
}

static bool collect(void *arg, struct bytes key, struct bytes value)
{
    struct buf *out = arg;
    buf_add(out, key.p, key.n);
    buf_add(out, "=", 1);
    buf_add(out, value.p, value.n);
    buf_add(out, " ", 1);
    return true;
}

static bool collect_one(void *arg, struct bytes key, struct bytes value)
{
    (void)collect(arg, key, value);
    return false;
}

static void basics(struct kv *kv)
{
    struct kv_batch b = {0};
    struct buf out = {0};
    expect(kv, "a", NULL);
    put(&b, "b2", "two");
    put(&b, "b1", "one");
    put(&b, "c", "see");
    put(&b, "b1", "uno");
    put(&b, "gone", "x");
    kv_batch_delete(&b, bytes_of_text("gone"));
    kv_batch_delete(&b, bytes_of_text("never"));
    put(&b, "empty", "");
    assert_int_equal(b.count, 8);
    assert_int_equal(kv_write(kv, &b, true, NULL), ERR_OK);
    kv_batch_clear(&b);
    expect(kv, "b1", "uno");
    expect(kv, "gone", NULL);
    expect(kv, "empty", "");
    assert_int_equal(kv_scan(kv, bytes_of_text("b"), collect, &out, NULL), ERR_OK);
    assert_string_equal(buf_text(&out), "b1=uno b2=two ");
    buf_reset(&out);
    assert_int_equal(kv_scan(kv, bytes_of_text(""), collect_one, &out, NULL), ERR_OK);
    assert_string_equal(buf_text(&out), "b1=uno ");
    buf_clear(&out);
    kv_batch_delete(&b, bytes_of_text("b1"));
    assert_int_equal(kv_write(kv, &b, true, NULL), ERR_OK);
    kv_batch_clear(&b);
    expect(kv, "b1", NULL);
    expect(kv, "b2", "two");
}

static void memory_does_the_basics(void **state)
{
    (void)state;
    struct kv *kv = kv_mem_open();
    basics(kv);
    kv_close(kv);
}

static void leveldb_does_the_basics_and_reopens(void **state)
{
    (void)state;
    char *dir = test_dir_new();
    struct kv *kv = NULL, *second = NULL;
    struct note note;
    char path[1100];
    snprintf(path, sizeof path, "%s/db", dir);
    assert_int_equal(kv_leveldb_open(path, &kv, &note), ERR_OK);
    basics(kv);
    assert_int_equal(kv_leveldb_open(path, &second, &note), ERR_BUSY);
    kv_close(kv);
    assert_int_equal(kv_leveldb_open(path, &kv, &note), ERR_OK);
    expect(kv, "b2", "two");
    expect(kv, "c", "see");
    kv_close(kv);
    snprintf(path, sizeof path, "%s/none/db", dir);
    assert_int_equal(kv_leveldb_open(path, &kv, &note), ERR_IO);
    assert_non_null(strstr(note.text, path));
    test_dir_remove(dir);
}

/* Both stores say the same after the same random writes. */
static void leveldb_and_memory_agree(void **state)
{
    (void)state;
    char *dir = test_dir_new();
    struct kv *a = kv_mem_open(), *b = NULL;
    struct buf x = {0}, y = {0};
    unsigned seed = 1;
    assert_int_equal(kv_leveldb_open(dir, &b, NULL), ERR_OK);
    for (unsigned round = 0; round < 50; round++) {
        struct kv_batch batch = {0};
        for (unsigned i = 0; i < 40; i++) {
            char key[16], value[16];
            seed = seed * 1103515245u + 12345u;
            snprintf(key, sizeof key, "%u", seed >> 16 & 127);
            snprintf(value, sizeof value, "%u", seed >> 8);
            if (seed >> 28 & 1)
                kv_batch_delete(&batch, bytes_of_text(key));
            else
                put(&batch, key, value);
        }
        assert_int_equal(kv_write(a, &batch, round % 2, NULL), ERR_OK);
        assert_int_equal(kv_write(b, &batch, round % 2, NULL), ERR_OK);
        kv_batch_clear(&batch);
        buf_reset(&x);
        buf_reset(&y);
        assert_int_equal(kv_scan(a, bytes_of_text(""), collect, &x, NULL), ERR_OK);
        assert_int_equal(kv_scan(b, bytes_of_text(""), collect, &y, NULL), ERR_OK);
        assert_true(bytes_equal(bytes_of_buf(&x), bytes_of_buf(&y)));
    }
    buf_clear(&x);
    buf_clear(&y);
    kv_close(a);
    kv_close(b);
    test_dir_remove(dir);
}

static void writes_fail_when_told_and_change_nothing(void **state)
{
    (void)state;
    struct kv *kv = kv_mem_open();
    struct kv_batch b = {0};
    write_one(kv, "a", "1", true);
    put(&b, "a", "2");
    put(&b, "b", "2");
    kv_mem_fail(kv, 2, ERR_FULL);
    assert_int_equal(kv_room(kv, 1, NULL), ERR_OK);
    write_one(kv, "c", "1", true);
    assert_int_equal(kv_room(kv, 1, NULL), ERR_FULL);
    assert_int_equal(kv_write(kv, &b, true, NULL), ERR_FULL);
    assert_int_equal(kv_write(kv, &b, true, NULL), ERR_FULL);
    expect(kv, "a", "1");
    expect(kv, "b", NULL);
    kv_mem_fail(kv, 0, ERR_OK);
    assert_int_equal(kv_write(kv, &b, true, NULL), ERR_OK);
    expect(kv, "b", "2");
    kv_batch_clear(&b);
    kv_close(kv);
}

static void a_crash_takes_what_was_not_synced(void **state)
{
    (void)state;
    struct kv *kv = kv_mem_open();
    write_one(kv, "a", "1", true);
    write_one(kv, "a", "2", false);
    write_one(kv, "b", "1", true); /* a sync holds for all before it */
    write_one(kv, "c", "1", false);
    struct kv *copy = kv_mem_copy(kv);
    kv_mem_crash(kv);
    expect(kv, "a", "2");
    expect(kv, "b", "1");
    expect(kv, "c", NULL);
    expect(copy, "c", "1");
    kv_close(kv);
    kv_close(copy);
}

/* A file that may not grow stands for a full disk: writes fail half-way, then there is room again. */
static void a_torn_write_costs_nothing_behind_it(void **state)
{
    (void)state;
    char *dir = test_dir_new();
    struct rlimit old, small;
    struct kv *kv = NULL;
    struct kv_batch b = {0};
    struct note note;
    char *value = mem_new(20001);
    memset(value, 'v', 20000);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(kv_leveldb_open(dir, &kv, NULL), ERR_OK);
    write_one(kv, "before", "1", true);
    assert_int_equal(kv_room(kv, 1, NULL), ERR_OK);
    assert_int_equal(kv_room(kv, SIZE_MAX / 4, NULL), ERR_FULL);
    small = old;
    small.rlim_cur = 30000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    put(&b, "half", value);
    put(&b, "half2", value);
    assert_int_not_equal(kv_write(kv, &b, true, &note), ERR_OK);
    expect(kv, "before", "1");
    expect(kv, "half", NULL);
    assert_int_not_equal(kv_write(kv, &b, true, &note), ERR_OK);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    write_one(kv, "behind", "2", true);
    expect(kv, "half", NULL);
    kv_close(kv);
    assert_int_equal(kv_leveldb_open(dir, &kv, &note), ERR_OK);
    expect(kv, "before", "1");
    expect(kv, "behind", "2");
    expect(kv, "half", NULL);
    kv_close(kv);
    kv_batch_clear(&b);
    free(value);
    test_dir_remove(dir);
}

/* Flips a byte in each file of the store in turn: every read then gives the right value or an error. */
static void flipped_bits_are_never_believed(void **state)
{
    (void)state;
    char *dir = test_dir_new(), path[1300];
    struct kv *kv = NULL;
    char *value = mem_new(5001);
    unsigned refused = 0;
    memset(value, 'v', 5000);
    assert_int_equal(kv_leveldb_open(dir, &kv, NULL), ERR_OK);
    for (unsigned i = 0; i < 100; i++) {
        char key[8];
        snprintf(key, sizeof key, "k%03u", i);
        write_one(kv, key, value, true);
    }
    kv_close(kv);
    assert_int_equal(kv_leveldb_open(dir, &kv, NULL), ERR_OK); /* turns the log into a table */
    kv_close(kv);
    DIR *d = opendir(dir);
    struct dirent *entry;
    while ((entry = readdir(d))) {
        uint8_t byte;
        if (!strstr(entry->d_name, ".ldb") && !strstr(entry->d_name, ".sst"))
            continue;
        snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
        int fd = open(path, O_RDWR);
        assert_true(fd >= 0 && pread(fd, &byte, 1, 1000) == 1);
        byte ^= 16;
        assert_true(pwrite(fd, &byte, 1, 1000) == 1);
        close(fd);
        struct buf all = {0};
        struct note note;
        enum err e = kv_leveldb_open(dir, &kv, &note);
        if (e == ERR_OK) {
            e = kv_scan(kv, bytes_of_text("k"), collect, &all, &note);
            kv_close(kv);
        }
        assert_int_equal(e, ERR_CORRUPT);
        buf_clear(&all);
        refused++;
    }
    closedir(d);
    assert_true(refused > 0);
    free(value);
    test_dir_remove(dir);
}

/* The store's only log, as bytes. */
static void read_log(const char *dir, char path[512], struct buf *log)
{
    DIR *d = opendir(dir);
    struct dirent *one;
    path[0] = 0;
    while ((one = readdir(d)))
        if (strstr(one->d_name, ".log"))
            snprintf(path, 512, "%s/%s", dir, one->d_name);
    closedir(d);
    assert_int_equal(file_read(path, 1u << 24, log, NULL), ERR_OK);
}

static void write_log(const char *path, const struct buf *log, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(log->p, 1, n, f), n);
    fclose(f);
}

/* A last batch over several blocks of the log, of which any one sector did not arrive: it is gone, and all before it is
 * there. A byte that changed: an error. */
static void a_torn_end_is_cut_and_nothing_else(void **state)
{
    (void)state;
    struct kv *kv;
    struct note note;
    char *dir = test_dir_new(), path[512], *long_value = mem_new(100001);
    struct buf log = {0}, damaged = {0};
    memset(long_value, 'v', 100000);
    assert_int_equal(kv_leveldb_open(dir, &kv, &note), ERR_OK);
    write_one(kv, "a", "1", true);
    write_one(kv, "b", long_value, true);
    read_log(dir, path, &log);
    size_t before = log.n;
    buf_clear(&log);
    write_one(kv, "c", long_value, true);
    read_log(dir, path, &log);
    kv_close(kv);
    size_t found;
    assert_int_equal(kv_tail_find(bytes_of_buf(&log), &found), KV_TAIL_WHOLE);
    for (size_t sector = before / 512; sector * 512 < log.n; sector += sector % 7 + 1) {
        size_t at = sector * 512 < before ? before : sector * 512, end = sector * 512 + 512;
        buf_reset(&damaged);
        buf_add(&damaged, log.p, log.n);
        memset(damaged.p + at, 0, (end < log.n ? end : log.n) - at);
        assert_int_equal(kv_tail_find(bytes_of_buf(&damaged), &found), KV_TAIL_TORN);
        assert_int_equal(found, before);
        write_log(path, &damaged, damaged.n);
        unsigned cut;
        assert_int_equal(kv_tail_mend(dir, &cut, NULL), ERR_OK);
        assert_int_equal(cut, 1);
    }
    assert_int_equal(kv_tail_find(bytes_of(log.p, before), &found), KV_TAIL_WHOLE);
    write_log(path, &damaged, damaged.n); /* and so it opens, too */
    assert_int_equal(kv_leveldb_open(dir, &kv, &note), ERR_OK);
    expect(kv, "a", "1");
    expect(kv, "b", long_value);
    expect(kv, "c", NULL);
    kv_close(kv);
    buf_reset(&damaged);
    buf_add(&damaged, log.p, log.n);
    memset(damaged.p + 40 * 512, 0, 512); /* of b: two writes that were not synced, and the first is torn */
    assert_int_equal(kv_tail_find(bytes_of_buf(&damaged), &found), KV_TAIL_TORN);
    assert_true(found < before && found < 40 * 512);
    buf_reset(&damaged);
    buf_add(&damaged, log.p, log.n);
    damaged.p[5] ^= 0x40; /* the length of a: b and c stand whole behind it */
    write_log(path, &damaged, damaged.n);
    assert_int_equal(kv_leveldb_open(dir, &kv, &note), ERR_CORRUPT);
    assert_non_null(strstr(note.text, ".log is damaged"));
    for (size_t at = before; at < log.n;
         at += at < before + 7 ? 1 : 97) { /* a byte of the last batch: not torn, damaged */
        buf_reset(&damaged);
        buf_add(&damaged, log.p, log.n);
        damaged.p[at] ^= 0x10;
        assert_int_equal(kv_tail_find(bytes_of_buf(&damaged), &found), KV_TAIL_DAMAGED);
    }
    buf_clear(&log);
    buf_clear(&damaged);
    free(long_value);
    test_dir_remove(dir);
}

/* A view shows the store as it was, whatever is written meanwhile. */
static void walk_while_writing(struct kv *kv)
{
    struct kv_view *v;
    struct kv_batch b = {0};
    struct buf got = {0};
    struct bytes key, value;
    for (int i = 0; i < 9; i++) {
        char name[] = "sx";
        name[1] = (char)('a' + i);
        write_one(kv, name, "old", false);
    }
    write_one(kv, "t", "other", false);
    assert_int_equal(kv_view_open(kv, bytes_of_text("s"), &v, NULL), ERR_OK);
    assert_true(kv_view_next(v, &key, &value));
    (void)collect(&got, key, value);
    put(&b, "sc", "new");
    put(&b, "sbb", "new");
    kv_batch_delete(&b, bytes_of_text("sd"));
    assert_int_equal(kv_write(kv, &b, true, NULL), ERR_OK);
    while (kv_view_next(v, &key, &value))
        (void)collect(&got, key, value);
    assert_int_equal(kv_view_close(v), ERR_OK);
    assert_string_equal(buf_text(&got), "sa=old sb=old sc=old sd=old se=old sf=old sg=old sh=old si=old ");
    expect(kv, "sc", "new");
    expect(kv, "sd", NULL);
    kv_batch_clear(&b);
    buf_clear(&got);
}

static void views_stay_as_they_were(void **state)
{
    (void)state;
    char *dir = test_dir_new(), path[4096];
    struct kv *kv = kv_mem_open();
    walk_while_writing(kv);
    kv_close(kv);
    snprintf(path, sizeof path, "%s/db", dir);
    assert_int_equal(kv_leveldb_open(path, &kv, NULL), ERR_OK);
    walk_while_writing(kv);
    kv_close(kv);
    test_dir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_does_the_basics),
        cmocka_unit_test(leveldb_does_the_basics_and_reopens),
        cmocka_unit_test(leveldb_and_memory_agree),
        cmocka_unit_test(writes_fail_when_told_and_change_nothing),
        cmocka_unit_test(a_crash_takes_what_was_not_synced),
        cmocka_unit_test(a_torn_write_costs_nothing_behind_it),
        cmocka_unit_test(flipped_bits_are_never_believed),
        cmocka_unit_test(a_torn_end_is_cut_and_nothing_else),
        cmocka_unit_test(views_stay_as_they_were),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
