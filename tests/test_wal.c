/* The log of a height: entries come back whole and in order whatever prefix of the file was written. */
#include "base/file.h"
#include "node/consensus/wal.h"
#include "tests/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct seen {
    unsigned n;
    size_t size[16];
    unsigned stop_at;
};

static bool on_entry(void *arg, struct bytes e)
{
    struct seen *s = arg;
    if (s->stop_at && s->n == s->stop_at)
        return false;
    for (size_t i = 0; i < e.n; i++)
        assert_int_equal(e.p[i], (uint8_t)(s->n + i));
    s->size[s->n++] = e.n;
    return true;
}

static void append(struct wal *w, unsigned number, size_t n)
{
    uint8_t b[300];
    for (size_t i = 0; i < n; i++)
        b[i] = (uint8_t)(number + i);
    wal_append(w, bytes_of(b, n));
}

static void every_prefix_gives_whole_entries(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 40, 300, 7};
    char *dir = test_dir_new();
    char path[300];
    struct host *host = host_uv_open(NULL);
    struct wal *w;
    struct buf whole = {0};
    struct seen s = {0};
    snprintf(path, sizeof path, "%s/wal", dir);
    assert_int_equal(wal_open(host, path, on_entry, &s, &w, NULL), ERR_OK);
    for (unsigned i = 0; i < 5; i++)
        append(w, i, sizes[i]);
    assert_int_equal(wal_sync(w), ERR_OK);
    wal_close(w);
    assert_int_equal(file_read(path, 1 << 20, &whole, NULL), ERR_OK);
    for (size_t cut = 0; cut <= whole.n; cut++) {
        assert_int_equal(file_write(path, 0600, bytes_of(whole.p, cut), NULL), ERR_OK);
        s = (struct seen){0};
        assert_int_equal(wal_open(host, path, on_entry, &s, &w, NULL), ERR_OK);
        unsigned n = s.n;
        assert_true(n <= 5 && (cut < whole.n || n == 5));
        append(w, n, 33); /* behind what was whole, not behind the torn tail */
        assert_int_equal(wal_sync(w), ERR_OK);
        wal_close(w);
        s = (struct seen){0};
        assert_int_equal(wal_open(host, path, on_entry, &s, &w, NULL), ERR_OK);
        assert_int_equal(s.n, n + 1);
        assert_int_equal(s.size[n], 33);
        wal_close(w);
    }
    buf_clear(&whole);
    host_uv_close(host);
    test_dir_remove(dir);
}

static void reset_and_refusal_forget(void **state)
{
    (void)state;
    char *dir = test_dir_new();
    char path[300];
    struct host *host = host_uv_open(NULL);
    struct wal *w;
    struct seen s = {0};
    snprintf(path, sizeof path, "%s/wal", dir);
    assert_int_equal(wal_open(host, path, on_entry, &s, &w, NULL), ERR_OK);
    append(w, 0, 10);
    wal_reset(w);
    append(w, 0, 20);
    append(w, 1, 30);
    wal_close(w);
    s = (struct seen){.stop_at = 1};
    assert_int_equal(wal_open(host, path, on_entry, &s, &w, NULL), ERR_OK);
    assert_int_equal(s.n, 1);
    assert_int_equal(s.size[0], 20);
    wal_close(w);
    host_uv_close(host);
    test_dir_remove(dir);
}

/* -- a host whose file loses what a failed sync should have covered, as Linux does -- */

struct lossy_file {
    struct host_file base;
    struct buf now, safe; /* what is read, and what a power cut leaves */
    size_t seen;          /* bytes that a sync has dealt with, well or not */
    bool fails;           /* the next sync */
    unsigned syncs;
};
static struct lossy_file lossy;

static enum err lossy_open(struct host *h, const char *path, enum host_open how, struct host_file **out,
                           struct note *note)
{
    (void)h, (void)path, (void)how, (void)note;
    *out = &lossy.base;
    return ERR_OK;
}

static void lossy_close(struct host_file *f)
{
    (void)f;
}

static enum err lossy_read(struct host *h, const char *path, size_t max, struct buf *out, struct note *note)
{
    (void)h, (void)path, (void)max, (void)note;
    buf_add(out, lossy.now.p, lossy.now.n);
    return ERR_OK;
}

static enum err lossy_append(struct host_file *f, const void *p, size_t n)
{
    (void)f;
    buf_add(&lossy.now, p, n);
    return ERR_OK;
}

static enum err lossy_cut(struct host_file *f, uint64_t size)
{
    (void)f;
    lossy.now.n = size;
    if (lossy.safe.n > size)
        lossy.safe.n = size;
    if (lossy.seen > size)
        lossy.seen = size;
    return ERR_OK;
}

/* Only what was written behind the last good or failed sync is made safe: with one failed, a hole is left. */
static enum err lossy_sync(struct host_file *f)
{
    (void)f;
    lossy.syncs++;
    if (lossy.safe.n == lossy.seen && !lossy.fails)
        buf_add(&lossy.safe, lossy.now.p + lossy.seen, lossy.now.n - lossy.seen);
    lossy.seen = lossy.now.n;
    bool failed = lossy.fails;
    lossy.fails = false;
    return failed ? ERR_IO : ERR_OK;
}

static const struct host_ops lossy_ops = {
    .open = lossy_open,
    .close = lossy_close,
    .read = lossy_read,
    .append = lossy_append,
    .cut = lossy_cut,
    .sync = lossy_sync,
};

static void a_failed_sync_is_made_good(void **state)
{
    (void)state;
    struct host host = {&lossy_ops};
    struct wal *w;
    struct seen s = {0};
    lossy.base.ops = &lossy_ops;
    assert_int_equal(wal_open(&host, "wal", on_entry, &s, &w, NULL), ERR_OK);
    append(w, 0, 10);
    assert_int_equal(wal_sync(w), ERR_OK);
    append(w, 1, 20);
    lossy.fails = true;
    assert_int_equal(wal_sync(w), ERR_IO);
    append(w, 2, 30);
    assert_int_equal(wal_sync(w), ERR_OK);
    assert_true(bytes_equal(bytes_of_buf(&lossy.now), bytes_of_buf(&lossy.safe)));
    wal_close(w);
    unsigned before = lossy.syncs;
    assert_int_equal(wal_open(&host, "wal", on_entry, &s, &w, NULL), ERR_OK);
    assert_int_equal(s.n, 3);
    assert_int_equal(lossy.syncs, before + 1); /* what a killed process left unsynced counts from here on */
    lossy.fails = true;
    wal_close(w);
    s = (struct seen){0};
    assert_int_equal(wal_open(&host, "wal", on_entry, &s, &w, NULL), ERR_IO);
    buf_clear(&lossy.now);
    buf_clear(&lossy.safe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_prefix_gives_whole_entries),
        cmocka_unit_test(reset_and_refusal_forget),
        cmocka_unit_test(a_failed_sync_is_made_good),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
