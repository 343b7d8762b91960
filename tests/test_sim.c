/* The simulator itself: its disk loses what a disk may lose and nothing else, and some seeds run as they should, twice
 * with one digest. `make sim` runs more of them, and docs/consensus.md says which planted bugs it finds. */
#include "tests/sim/disk.h"
#include "tests/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static char program[4096];

static int run(const char *arguments)
{
    char command[8192];
    snprintf(command, sizeof command, "%s --quiet %s", program, arguments);
    int status = system(command);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void seeds_hold_and_repeat(void **state)
{
    (void)state;
    assert_int_equal(run("--count 6 --twice"), 0);
    assert_int_equal(run("--seed 7 --count 4 --byzantine 1"), 0);
    assert_int_equal(run("--seed 1 --count 2 --halt --twice"), 0);
    assert_int_equal(run("--seed 2 --count 2 --plant --twice"), 0);
    assert_int_equal(run("--seed 2 --count 2 --doubt --twice"), 0);
}

static void a_run_that_cannot_get_on_is_seen(void **state)
{
    (void)state;
    /* A healed network is given no time at all. */
    assert_int_equal(run("--count 1 --heal-ms 0 >/dev/null"), 1);
}

/* -- the disk -- */

static void put(struct sim_file *f, uint64_t at, const char *text, struct random *r)
{
    assert_int_equal(file_put(f, at, text, strlen(text), r), ERR_OK);
}

static bool holds(const struct sim_file *f, const char *text)
{
    return bytes_equal(file_content(f), bytes_of_text(text));
}

static void what_was_synced_survives(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct random r = {seed};
        struct sim_disk *d = disk_new();
        struct sim_file *f = disk_open(d, "a/b");
        put(f, 0, "abcdef", &r);
        assert_int_equal(file_sync(f), ERR_OK);
        put(f, 6, "ghi", &r);
        disk_crash(d, &r);
        struct bytes left = file_content(f);
        assert_true(left.n >= 6 && left.n <= 9 && memcmp(left.p, "abcdef", 6) == 0);
        disk_free(d);
    }
}

static void every_kind_of_loss_comes(void **state)
{
    (void)state;
    unsigned none = 0, all = 0, torn = 0, zeros = 0;
    for (uint64_t seed = 0; seed < 400; seed++) {
        struct random r = {seed};
        struct sim_disk *d = disk_new();
        struct sim_file *f = disk_open(d, "f");
        put(f, 0, "abcd", &r);
        disk_crash(d, &r);
        none += holds(f, "");
        all += holds(f, "abcd");
        torn += holds(f, "ab");
        zeros += file_content(f).n == 4 && file_content(f).p[0] == 0;
        disk_free(d);
    }
    assert_true(none > 0 && all > 0 && torn > 0 && zeros > 0);
}

static void a_failed_sync_has_lost_it(void **state)
{
    (void)state;
    struct random r = {1};
    struct sim_disk *d = disk_new();
    struct sim_file *f = disk_open(d, "f");
    disk_fail_syncs(d, 1);
    put(f, 0, "lost", &r);
    assert_int_equal(file_sync(f), ERR_IO);
    assert_true(holds(f, "lost"));
    assert_int_equal(file_sync(f), ERR_OK);
    disk_crash(d, &r);
    assert_true(holds(f, ""));
    disk_free(d);
}

static void a_full_disk_takes_what_needs_no_room(void **state)
{
    (void)state;
    struct random r = {1};
    struct sim_disk *d = disk_new();
    struct sim_file *f = disk_open(d, "f");
    put(f, 0, "abcd", &r);
    disk_fill(d, true);
    put(f, 1, "xy", &r);
    assert_true(holds(f, "axyd"));
    assert_int_equal(file_put(f, 4, "longer", 6, &r), ERR_FULL);
    assert_true(file_content(f).n < 10);
    assert_int_equal(disk_write(d, "g", bytes_of_text("g")), ERR_FULL);
    disk_free(d);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_synced_survives),  cmocka_unit_test(every_kind_of_loss_comes),
        cmocka_unit_test(a_failed_sync_has_lost_it), cmocka_unit_test(a_full_disk_takes_what_needs_no_room),
        cmocka_unit_test(seeds_hold_and_repeat),     cmocka_unit_test(a_run_that_cannot_get_on_is_seen),
    };
    char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
    snprintf(program, sizeof program, "%.*s/../sim", slash ? (int)(slash - argv[0]) : 1, slash ? argv[0] : ".");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
