/* Files that can be made again: whole or not there, one maker at a time, the least recently used gone first. */
#include "tests/support.h"

#include "base/file.h"
#include "base/keep.h"
#include "base/merkle_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define CAP 10000

static char path_room[1200];

static const char *path_of(const char *dir, const char *name)
{
    snprintf(path_room, sizeof path_room, "%s/%s", dir, name);
    return path_room;
}

static bool exists(const char *dir, const char *name)
{
    return access(path_of(dir, name), F_OK) == 0;
}

/* Makes it with so many bytes, used so many seconds ago. */
static void make(const char *dir, const char *name, size_t bytes, time_t ago)
{
    struct keep_file f;
    struct note note;
    char content[CAP] = {0};
    assert_int_equal(keep_open(dir, CAP, name, bytes, &f, &note), ERR_OK);
    assert_true(f.is_new);
    assert_false(exists(dir, name));
    assert_int_equal(write(f.fd, content, bytes), bytes);
    const struct timespec used[2] = {{time(NULL) - ago, 0}, {time(NULL) - ago, 0}};
    assert_int_equal(futimens(f.fd, used), 0);
    assert_int_equal(keep_finish(&f, &note), ERR_OK);
    assert_true(exists(dir, name));
    keep_clear(&f);
    assert_int_equal(f.fd, -1);
}

static void test_made_and_found(void **state)
{
    (void)state;
    char *dir = test_dir_new();
    struct keep_file f;
    struct note note;
    make(dir, "a", 100, 50);
    assert_int_equal(keep_open(dir, CAP, "a", 100, &f, &note), ERR_OK);
    assert_false(f.is_new);
    assert_int_equal(lseek(f.fd, 0, SEEK_END), 100);
    assert_int_equal(write(f.fd, "x", 1), -1); /* for reading only */
    keep_clear(&f);
    keep_clear(&f);
    test_dir_remove(dir);
}

/* A maker that gives up, or dies, leaves nothing; while it works nobody else makes the same. */
static void test_one_maker(void **state)
{
    (void)state;
    char *dir = test_dir_new();
    struct keep_file f, g;
    struct note note;
    assert_int_equal(keep_open(dir, CAP, "a", 10, &f, &note), ERR_OK);
    assert_int_equal(keep_open(dir, CAP, "a", 10, &g, &note), ERR_BUSY);
    assert_int_equal(g.fd, -1);
    keep_clear(&g);
    assert_int_equal(keep_open(dir, CAP, "b", 10, &g, &note), ERR_OK);
    assert_true(exists(dir, "a.new")); /* and is not taken for left behind */
    keep_clear(&f);
    assert_false(exists(dir, "a.new"));
    assert_true(exists(dir, "b.new"));
    keep_clear(&g);

    assert_int_equal(file_write(path_of(dir, "c.new"), 0600, bytes_of("half", 4), &note), ERR_OK);
    assert_int_equal(keep_open(dir, CAP, "d", 10, &f, &note), ERR_OK);
    assert_false(exists(dir, "c.new")); /* nobody has it locked */
    keep_clear(&f);
    assert_int_equal(file_write(path_of(dir, "d.new"), 0600, bytes_of("half", 4), &note), ERR_OK);
    assert_int_equal(keep_open(dir, CAP, "d", 10, &f, &note), ERR_OK);
    assert_int_equal(lseek(f.fd, 0, SEEK_END), 0); /* begun again from nothing */
    keep_clear(&f);
    test_dir_remove(dir);
}

static void test_least_recently_used_goes(void **state)
{
    (void)state;
    char *dir = test_dir_new();
    struct keep_file f;
    struct note note;
    make(dir, "old", 4000, 300);
    make(dir, "older", 4000, 400);
    assert_int_equal(keep_open(dir, CAP, "older", 4000, &f, &note), ERR_OK); /* used now */
    keep_clear(&f);
    make(dir, "new", 4000, 0);
    assert_true(exists(dir, "new"));
    assert_true(exists(dir, "older"));
    assert_false(exists(dir, "old"));
    assert_int_equal(keep_open(dir, CAP, "huge", CAP + 1, &f, &note), ERR_LIMIT);
    assert_int_equal(f.fd, -1);
    assert_true(exists(dir, "new"));
    test_dir_remove(dir);
}

static void test_removed_and_refused(void **state)
{
    (void)state;
    char *dir = test_dir_new();
    struct keep_file f;
    struct note note;
    make(dir, "a", 100, 0);
    assert_int_equal(keep_open(dir, CAP, "a", 100, &f, &note), ERR_OK);
    keep_remove(&f);
    assert_false(exists(dir, "a"));

    make(dir, "a", 100, 0); /* what others put in its place is not what was damaged */
    assert_int_equal(keep_open(dir, CAP, "a", 100, &f, &note), ERR_OK);
    assert_int_equal(unlink(path_of(dir, "a")), 0);
    make(dir, "a", 100, 0);
    keep_remove(&f);
    assert_true(exists(dir, "a"));

    assert_int_equal(chmod(path_of(dir, "a"), 0666), 0);
    assert_int_equal(keep_open(dir, CAP, "a", 100, &f, &note), ERR_AUTH);
    assert_int_equal(unlink(path_of(dir, "a")), 0);
    assert_int_equal(symlink("/etc/passwd", path_of(dir, "a")), 0);
    assert_int_equal(keep_open(dir, CAP, "a", 100, &f, &note), ERR_IO);
    assert_int_equal(keep_open("/dev/null/x", CAP, "a", 100, &f, &note), ERR_NOT_FOUND);
    assert_int_equal(f.fd, -1);
    test_dir_remove(dir);
}

/* On any number of threads the root that the whole tree has. */
static void test_root_of_file(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, LEAF_SIZE, LEAF_SIZE + 1, 70 * LEAF_SIZE + 5};
    char *dir = test_dir_new();
    struct note note;
    uint8_t *content = malloc(71 * LEAF_SIZE);
    for (size_t i = 0; i < 71 * LEAF_SIZE; i++)
        content[i] = (uint8_t)(i * 2654435761u >> 13);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct merkle_tree *tree = merkle_tree_of(content, sizes[i]);
        struct hash want = merkle_tree_root(tree), got;
        merkle_tree_free(tree);
        assert_int_equal(file_write(path_of(dir, "f"), 0600, bytes_of(content, sizes[i]), &note), ERR_OK);
        int fd = open(path_of(dir, "f"), O_RDONLY);
        for (unsigned threads = 1; threads <= 4; threads++) {
            assert_int_equal(merkle_root_of_file(fd, threads, &got, &note), ERR_OK);
            assert_true(hash_equal(&want, &got));
        }
        close(fd);
    }
    int fd = open("/dev/null", O_RDONLY);
    struct hash got;
    assert_int_equal(merkle_root_of_file(fd, 1, &got, &note), ERR_IO);
    close(fd);
    free(content);
    test_dir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_made_and_found),
        cmocka_unit_test(test_one_maker),
        cmocka_unit_test(test_least_recently_used_goes),
        cmocka_unit_test(test_removed_and_refused),
        cmocka_unit_test(test_root_of_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
