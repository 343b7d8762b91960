/* Labels: set, found, removed, written and read again as BIP 329 has them; what is wrong is named by its line. */
#include "wallet/labels.h"

#include "base/file.h"
#include "tests/support.h"
#include "wallet/address.h"

#include <string.h>

static struct pubkey key_of(uint8_t fill)
{
    struct seckey secret;
    memset(secret.b, fill, sizeof secret.b);
    return key_public(&secret);
}

static void kept_and_found(void **state)
{
    (void)state;
    struct labels l = {0}, again;
    struct buf file = {0}, second = {0};
    struct pubkey a = key_of(1), b = key_of(2);
    uint8_t tx[32] = {7};
    assert_int_equal(labels_set(&l, LABEL_ADDR, a.b, "Anna \"the\" cook", false, NULL), ERR_OK);
    assert_int_equal(labels_set(&l, LABEL_ADDR, b.b, "savings", true, NULL), ERR_OK);
    assert_int_equal(labels_set(&l, LABEL_TX, tx, "rent", false, NULL), ERR_OK);
    labels_put(&file, &l);
    assert_int_equal(labels_get(bytes_of_buf(&file), &again, NULL), ERR_OK);
    assert_int_equal(again.n, 3);
    assert_string_equal(labels_find(&again, LABEL_ADDR, a.b)->text.s, "Anna \"the\" cook");
    assert_true(labels_find(&again, LABEL_ADDR, b.b)->watch);
    assert_false(labels_find(&again, LABEL_ADDR, a.b)->watch);
    assert_string_equal(labels_find(&again, LABEL_TX, tx)->text.s, "rent");
    assert_null(labels_find(&again, LABEL_TX, a.b));
    assert_memory_equal(labels_find_text(&again, "savings")->id, b.b, 32);
    assert_null(labels_find_text(&again, "rent"));
    labels_put(&second, &again);
    assert_true(bytes_equal(bytes_of_buf(&file), bytes_of_buf(&second)));
    labels_clear(&again);
    labels_clear(&l);
    buf_clear(&file);
    buf_clear(&second);
}

static void changed_and_removed(void **state)
{
    (void)state;
    struct labels l = {0};
    struct pubkey a = key_of(1), b = key_of(2);
    struct note note;
    char longest[258];
    memset(longest, 'x', sizeof longest);
    longest[257] = 0;
    assert_int_equal(labels_set(&l, LABEL_ADDR, a.b, "one", false, NULL), ERR_OK);
    assert_int_equal(labels_set(&l, LABEL_ADDR, a.b, "two", false, NULL), ERR_OK);
    assert_int_equal(l.n, 1);
    assert_int_equal(labels_set(&l, LABEL_ADDR, b.b, "two", false, &note), ERR_EXISTS);
    assert_non_null(strstr(note.text, "two"));
    assert_int_equal(labels_set(&l, LABEL_ADDR, b.b, longest, false, &note), ERR_FORMAT);
    longest[255] = 0;
    assert_int_equal(labels_set(&l, LABEL_ADDR, b.b, longest, false, NULL), ERR_OK);
    assert_int_equal(labels_set(&l, LABEL_ADDR, b.b, "two\nlines", false, NULL), ERR_FORMAT);
    assert_int_equal(labels_set(&l, LABEL_ADDR, a.b, "", false, NULL), ERR_OK);
    assert_null(labels_find(&l, LABEL_ADDR, a.b));
    assert_non_null(labels_find(&l, LABEL_ADDR, b.b));
    labels_clear(&l);
}

/* A file that another wallet wrote keeps what we do not know. */
static void foreign_types_stay(void **state)
{
    (void)state;
    struct labels l;
    struct buf out = {0};
    const char *text =
        "{\"type\":\"xpub\",\"ref\":\"xpub1\",\"label\":\"cold\"}\n\n"
        "{ \"type\": \"tx\", \"ref\": \"00000000000000000000000000000000000000000000000000000000000000aA\", "
        "\"label\": \"x\", \"more\": 1 }";
    assert_int_equal(labels_get(bytes_of_text(text), &l, NULL), ERR_OK);
    assert_int_equal(l.n, 1);
    labels_put(&out, &l);
    assert_non_null(strstr(buf_text(&out), "xpub1"));
    assert_non_null(strstr(buf_text(&out), "00aa\",\"label\":\"x\"}\n"));
    labels_clear(&l);
    buf_clear(&out);
}

static void wrong_lines_are_named(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "{\"type\":\"tx\"",
        "[]",
        "{\"ref\":\"x\",\"label\":\"y\"}",
        "{\"type\":\"tx\",\"ref\":\"12\",\"label\":\"y\"}",
        "{\"type\":\"addr\",\"ref\":\"kith1qqq\",\"label\":\"y\"}",
        "{\"type\":\"tx\",\"ref\":\"00000000000000000000000000000000000000000000000000000000000000aa\",\"label\":\"\"}",
        "{\"type\":\"tx\",\"ref\":\"00000000000000000000000000000000000000000000000000000000000000aa\",\"label\":3}",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct buf file = {0};
        struct labels l;
        struct note note = {{0}};
        buf_add_text(&file, "{\"type\":\"xpub\",\"ref\":\"a\",\"label\":\"b\"}\n");
        buf_add_text(&file, wrong[i]);
        assert_int_not_equal(labels_get(bytes_of_buf(&file), &l, &note), ERR_OK);
        assert_int_equal(l.n, 0);
        assert_non_null(strstr(note.text, "line 2: "));
        buf_clear(&file);
    }
}

static void files(void **state)
{
    (void)state;
    struct labels l;
    struct buf path = {0};
    struct pubkey a = key_of(3);
    char *dir = test_dir_new();
    buf_add_format(&path, "%s/labels.jsonl", dir);
    assert_int_equal(labels_read(buf_text(&path), &l, NULL), ERR_OK);
    assert_int_equal(l.n, 0);
    assert_int_equal(labels_set(&l, LABEL_ADDR, a.b, "a", true, NULL), ERR_OK);
    assert_int_equal(labels_write(buf_text(&path), &l, NULL), ERR_OK);
    labels_clear(&l);
    assert_int_equal(labels_read(buf_text(&path), &l, NULL), ERR_OK);
    assert_true(labels_find(&l, LABEL_ADDR, a.b)->watch);
    labels_clear(&l);
    buf_clear(&path);
    test_dir_remove(dir);
}

/* A file that we wrote and a disk changed says other things than we did, or nothing: never that silently. */
static void every_flipped_bit_is_noticed(void **state)
{
    (void)state;
    struct labels l = {0};
    struct buf path = {0}, file = {0}, was = {0};
    struct pubkey a = key_of(1);
    uint8_t tx[32] = {7};
    struct note note;
    char *dir = test_dir_new();
    buf_add_format(&path, "%s/labels.jsonl", dir);
    assert_int_equal(labels_set(&l, LABEL_ADDR, a.b, "savings", true, NULL), ERR_OK);
    assert_int_equal(labels_set(&l, LABEL_TX, tx, "rent", false, NULL), ERR_OK);
    assert_int_equal(labels_write(buf_text(&path), &l, NULL), ERR_OK);
    labels_put(&was, &l);
    labels_clear(&l);
    assert_int_equal(file_read(buf_text(&path), 1 << 16, &file, NULL), ERR_OK);
    for (size_t i = 0; i < 8 * file.n; i++) {
        struct buf is = {0};
        file.p[i / 8] ^= (uint8_t)(1u << i % 8);
        assert_int_equal(file_write(buf_text(&path), 0600, bytes_of_buf(&file), NULL), ERR_OK);
        file.p[i / 8] ^= (uint8_t)(1u << i % 8);
        if (labels_read(buf_text(&path), &l, &note) != ERR_OK) {
            assert_non_null(strstr(note.text, buf_text(&path)));
            continue;
        }
        labels_put(&is, &l); /* a digit of another case, or a checksum that is taken for a line of another wallet's */
        assert_true(is.n >= was.n && memcmp(is.p, was.p, was.n) == 0);
        labels_clear(&l);
        buf_clear(&is);
    }
    buf_clear(&was);
    buf_clear(&file);
    buf_clear(&path);
    test_dir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept_and_found),
        cmocka_unit_test(changed_and_removed),
        cmocka_unit_test(foreign_types_stay),
        cmocka_unit_test(wrong_lines_are_named),
        cmocka_unit_test(files),
        cmocka_unit_test(every_flipped_bit_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
