/* What models are called here (node/blobs/model_names.h): one name a model and one model a name, also behind a restart,
 * and nothing of a change that the disk refused. */
#include "node/blobs/model_names.h"

#include "base/limits.h"
#include "tests/support.h"

#include <stdio.h>
#include <string.h>

static struct hash root_of(uint32_t i)
{
    struct hash h = {{0}};
    store_le32(h.b, i + 1);
    return h;
}

static struct model_names *open_names(struct kv *kv)
{
    struct model_names *m;
    struct note note = {{0}};
    if (model_names_open(kv, &m, &note) != ERR_OK)
        fail_msg("%s", note.text);
    return m;
}

static void set(struct model_names *m, uint32_t i, const char *name)
{
    const struct hash root = root_of(i);
    struct note note = {{0}};
    if (model_names_set(m, &root, name, &note) != ERR_OK)
        fail_msg("%s", note.text);
}

/* Model i is called so and found so; "": it is called nothing. */
static void expect(const struct model_names *m, uint32_t i, const char *name)
{
    const struct hash root = root_of(i);
    struct hash found;
    assert_string_equal(model_names_of(m, &root), name);
    if (*name)
        assert_true(model_names_find(m, name, &found) && hash_equal(&found, &root));
}

static void one_name_each(void **state)
{
    (void)state;
    struct kv *kv = kv_mem_open();
    struct model_names *m = open_names(kv);
    struct hash found;
    set(m, 0, "a");
    set(m, 1, "b");
    set(m, 1, "b");
    set(m, 0, "c");
    assert_false(model_names_find(m, "a", &found));
    set(m, 2, "b"); /* which model 1 had */
    for (unsigned again = 0; again < 2; again++) {
        expect(m, 0, "c");
        expect(m, 1, "");
        expect(m, 2, "b");
        model_names_close(m);
        m = open_names(kv);
    }
    set(m, 0, "b"); /* both of which had another */
    expect(m, 0, "b");
    expect(m, 2, "");
    assert_false(model_names_find(m, "c", &found));
    const struct hash root = root_of(0);
    struct note note;
    assert_int_equal(model_names_remove(m, &root, &note), ERR_OK);
    assert_int_equal(model_names_remove(m, &root, &note), ERR_OK);
    model_names_close(m);
    m = open_names(kv);
    expect(m, 0, "");
    model_names_close(m);
    kv_close(kv);
}

static void what_is_no_name(void **state)
{
    (void)state;
    struct kv *kv = kv_mem_open();
    struct model_names *m = open_names(kv);
    const struct hash root = root_of(0);
    char hex[2 * HASH_SIZE + 1], longest[66];
    hex_put(hex, root.b, sizeof root.b);
    memset(longest, 'n', 65);
    longest[65] = 0;
    const char *const bad[] = {"", "default", hex, longest, "a\nb", "\xff"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct note note = {{0}};
        assert_int_equal(model_names_set(m, &root, bad[i], &note), ERR_FORMAT);
        assert_string_not_equal(note.text, "");
    }
    longest[64] = 0;
    set(m, 0, longest);
    expect(m, 0, longest);
    model_names_close(m);
    kv_close(kv);
}

static void there_is_a_limit(void **state)
{
    (void)state;
    struct kv *kv = kv_mem_open();
    struct model_names *m = open_names(kv);
    const struct hash more = root_of(MODEL_NAMES_MAX);
    struct note note;
    char name[16];
    for (uint32_t i = 0; i < MODEL_NAMES_MAX; i++) {
        snprintf(name, sizeof name, "m%u", i);
        set(m, i, name);
    }
    assert_int_equal(model_names_set(m, &more, "more", &note), ERR_LIMIT);
    set(m, 3, "other"); /* no more of them */
    assert_int_equal(model_names_set(m, &more, "m7", &note), ERR_OK);
    expect(m, MODEL_NAMES_MAX, "m7");
    expect(m, 7, "");
    model_names_close(m);
    kv_close(kv);
}

static void a_full_disk_changes_nothing(void **state)
{
    (void)state;
    struct kv *kv = kv_mem_open();
    struct model_names *m = open_names(kv);
    struct hash found;
    struct note note;
    set(m, 0, "a");
    set(m, 1, "b");
    const struct hash first = root_of(0);
    kv_mem_fail(kv, 1, ERR_FULL);
    assert_int_equal(model_names_set(m, &first, "b", &note), ERR_FULL);
    kv_mem_fail(kv, 1, ERR_FULL);
    assert_int_equal(model_names_remove(m, &first, &note), ERR_FULL);
    kv_mem_fail(kv, 0, ERR_OK);
    expect(m, 0, "a");
    expect(m, 1, "b");
    assert_false(model_names_find(m, "c", &found));
    model_names_close(m);
    kv_close(kv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_name_each),
        cmocka_unit_test(what_is_no_name),
        cmocka_unit_test(there_is_a_limit),
        cmocka_unit_test(a_full_disk_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
