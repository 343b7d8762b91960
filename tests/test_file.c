/* Files of others: kinds that are no files, and files that become shorter under a mapping. */
#include "base/file.h"
#include "base/file_map.h"
#include "base/limits.h"
#include "tests/support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE 65536u

static char dir[] = "/tmp/kith-file.XXXXXX";

static const char *at(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void make(const char *name, size_t n)
{
    uint8_t *content = malloc(n);
    struct note note;
    memset(content, 0x5A, n);
    assert_int_equal(file_write(at(name), 0600, bytes_of(content, n), &note), ERR_OK);
    free(content);
}

static void what_is_no_file_is_refused_at_once(void **state)
{
    (void)state;
    int fd;
    uint64_t size;
    struct note note;
    struct bytes mapped;
    assert_int_equal(mkfifo(at("pipe"), 0600), 0);
    static const char *const paths[] = {"pipe", "."};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(file_open_regular(at(paths[i]), &fd, &size, &note), ERR_FORMAT);
        assert_non_null(strstr(note.text, paths[i]));
        assert_int_equal(file_map(at(paths[i]), &mapped, &note), ERR_FORMAT);
    }
    assert_int_equal(file_open_regular("/dev/zero", &fd, &size, &note), ERR_FORMAT);
    assert_int_equal(file_open_regular(at("none"), &fd, &size, &note), ERR_NOT_FOUND);
    unlink(at("pipe"));
}

static void writing_replaces_files_only(void **state)
{
    (void)state;
    struct note note;
    struct stat st;
    assert_int_equal(mkfifo(at("pipe"), 0600), 0);
    assert_int_equal(file_write(at("pipe"), 0600, bytes_of("x", 1), &note), ERR_EXISTS);
    assert_non_null(strstr(note.text, "pipe"));
    assert_int_equal(stat(at("pipe"), &st), 0);
    assert_true(S_ISFIFO(st.st_mode));
    assert_int_equal(file_write(at("."), 0600, bytes_of("x", 1), &note), ERR_EXISTS);
    unlink(at("pipe"));
}

/* A link, or a file that others may read, where we are about to write beside the path. */
static void nobody_waits_beside_the_path(void **state)
{
    (void)state;
    char beside[200], victim[200];
    struct stat st;
    make("victim", 7);
    snprintf(victim, sizeof victim, "%s", at("victim"));
    snprintf(beside, sizeof beside, "%s.%ld.new", at("secret"), (long)getpid());
    assert_int_equal(symlink(victim, beside), 0);
    make("secret", 3);
    assert_int_equal(stat(victim, &st), 0);
    assert_int_equal(st.st_size, 7);
    snprintf(beside, sizeof beside, "%s.%ld.new", at("secret"), (long)getpid());
    int fd = open(beside, O_RDWR | O_CREAT, 0666);
    assert_true(fd >= 0);
    make("secret", 3);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, 0);
    close(fd);
    assert_int_equal(lstat(at("secret"), &st), 0);
    assert_int_equal(st.st_mode, S_IFREG | 0600);
    unlink(at("secret"));
    unlink(victim);
}

static void reading_beyond_the_end_is_an_error(void **state)
{
    (void)state;
    int fd;
    uint64_t size;
    struct note note;
    uint8_t some[100];
    make("short", 150);
    assert_int_equal(file_open_regular(at("short"), &fd, &size, &note), ERR_OK);
    assert_int_equal(size, 150);
    assert_int_equal(file_read_at(fd, at("short"), some, 100, 50, &note), ERR_OK);
    assert_int_equal(some[99], 0x5A);
    assert_int_equal(file_read_at(fd, at("short"), some, 100, 51, &note), ERR_IO);
    assert_non_null(strstr(note.text, "shorter"));
    close(fd);
    unlink(at("short"));
}

static void a_mapped_file_that_shrinks_harms_nobody(void **state)
{
    (void)state;
    struct bytes torn, other;
    struct note note;
    make("torn", 3 * PIECE);
    make("other", PIECE);
    assert_int_equal(file_map(at("other"), &other, &note), ERR_OK);
    assert_int_equal(file_map(at("torn"), &torn, &note), ERR_OK);
    assert_int_equal(torn.p[3 * PIECE - 1], 0x5A);
    assert_int_equal(truncate(at("torn"), PIECE), 0);
    assert_true(file_map_is_whole(torn)); /* nobody missed anything yet */
    assert_int_equal(torn.p[PIECE - 1], 0x5A);
    assert_int_equal(torn.p[2 * PIECE], 0);
    assert_int_equal(torn.p[3 * PIECE - 1], 0);
    assert_int_equal(torn.p[0], 0x5A);
    assert_false(file_map_is_whole(torn));
    assert_true(file_map_is_whole(other));
    assert_int_equal(other.p[PIECE - 1], 0x5A);
    file_unmap(torn);
    file_unmap(other);
    assert_int_equal(file_map(at("torn"), &torn, &note), ERR_OK); /* the place is free, and new */
    assert_true(file_map_is_whole(torn));
    file_unmap(torn);
    unlink(at("torn"));
    unlink(at("other"));
}

static void so_many_at_once_and_no_more(void **state)
{
    (void)state;
    struct bytes mapped[FILE_MAPS_MAX], more;
    struct note note;
    make("many", 10);
    for (unsigned i = 0; i < FILE_MAPS_MAX; i++)
        assert_int_equal(file_map(at("many"), &mapped[i], &note), ERR_OK);
    assert_int_equal(file_map(at("many"), &more, &note), ERR_FULL);
    for (unsigned i = 0; i < FILE_MAPS_MAX; i++)
        file_unmap(mapped[i]);
    assert_int_equal(file_map(at("many"), &more, &note), ERR_OK);
    file_unmap(more);
    unlink(at("many"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writing_replaces_files_only),
        cmocka_unit_test(nobody_waits_beside_the_path),
        cmocka_unit_test(what_is_no_file_is_refused_at_once),
        cmocka_unit_test(reading_beyond_the_end_is_an_error),
        cmocka_unit_test(a_mapped_file_that_shrinks_harms_nobody),
        cmocka_unit_test(so_many_at_once_and_no_more),
    };
    if (!mkdtemp(dir))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(dir);
    return failed;
}
