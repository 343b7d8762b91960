/* The log of a height: entries come back whole and in order whatever prefix of the file was written. */
#include "base/file.h"
#include "node/wal.h"
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_prefix_gives_whole_entries),
        cmocka_unit_test(reset_and_refusal_forget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
