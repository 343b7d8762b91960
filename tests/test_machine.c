/* What this machine says of itself, read from directories as Linux has them: laptops, desktops, servers, and ones that
 * tell nothing. */
#include "base/file.h"
#include "node/host/machine.h"
#include "tests/support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NOW_S UINT64_C(1764000000)

static char *root;

static void put(const char *path, const char *text)
{
    char full[600];
    snprintf(full, sizeof full, "%s/%s", root, path);
    char *slash = strrchr(full, '/');
    *slash = 0;
    assert_int_equal(file_make_dir(full, NULL), ERR_OK);
    *slash = '/';
    assert_int_equal(file_write(full, 0600, bytes_of_text(text), NULL), ERR_OK);
}

static void touched(const char *path, uint64_t ago_s)
{
    char full[600];
    put(path, "");
    snprintf(full, sizeof full, "%s/%s", root, path);
    const struct timespec at[2] = {{.tv_sec = (time_t)(NOW_S - ago_s)}, {.tv_nsec = UTIME_NOW}};
    assert_int_equal(utimensat(AT_FDCWD, full, at, 0), 0);
}

static struct machine look(void)
{
    struct machine m;
    machine_read(root, NOW_S * 1000, &m);
    return m;
}

static int setup(void **state)
{
    (void)state;
    root = test_dir_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    test_dir_remove(root);
    return 0;
}

static void one_that_tells_nothing_is_unknown(void **state)
{
    (void)state;
    struct machine m = look();
    assert_int_equal(m.power, MACHINE_POWER_UNKNOWN);
    assert_false(m.has_temperature || m.has_input);
    assert_true(m.cpu_total == 0 && m.memory_bytes == 0);
}

static void power_is_told(void **state)
{
    (void)state;
    put("sys/class/net/x", "");
    assert_int_equal(look().power, MACHINE_MAINS); /* a desktop: no supply is listed */
    put("sys/class/power_supply/hidpp_battery_0/type", "Battery\n");
    put("sys/class/power_supply/hidpp_battery_0/scope", "Device\n");
    put("sys/class/power_supply/hidpp_battery_0/status", "Discharging\n");
    assert_int_equal(look().power, MACHINE_MAINS); /* a mouse */
    put("sys/class/power_supply/BAT0/type", "Battery\n");
    put("sys/class/power_supply/BAT0/status", "Discharging\n");
    put("sys/class/power_supply/AC/type", "Mains\n");
    put("sys/class/power_supply/AC/online", "0\n");
    assert_int_equal(look().power, MACHINE_BATTERY);
    put("sys/class/power_supply/AC/online", "1\n");
    assert_int_equal(look().power, MACHINE_MAINS); /* also where a weak charger lets it drain */
    put("sys/class/power_supply/AC/online", "0\n");
    put("sys/class/power_supply/BAT0/status", "Unknown\n");
    assert_int_equal(look().power, MACHINE_POWER_UNKNOWN);
    put("sys/class/power_supply/BAT0/status", "Not charging\n");
    assert_int_equal(look().power, MACHINE_MAINS);
}

static void the_processor_is_the_warmest_that_counts(void **state)
{
    (void)state;
    put("sys/class/thermal/thermal_zone0/type", "acpitz\n");
    put("sys/class/thermal/thermal_zone0/temp", "47800\n");
    put("sys/class/thermal/thermal_zone1/type", "iwlwifi_1\n");
    put("sys/class/thermal/thermal_zone1/temp", "-274000\n");
    put("sys/class/thermal/cooling_device0/type", "Processor\n");
    struct machine m = look();
    assert_true(m.has_temperature);
    assert_int_equal(m.temperature, 47);
    put("sys/class/thermal/thermal_zone2/type", "x86_pkg_temp\n");
    put("sys/class/thermal/thermal_zone2/temp", "41000\n");
    assert_int_equal(look().temperature, 41);
    put("sys/class/hwmon/hwmon3/name", "k10temp\n");
    put("sys/class/hwmon/hwmon3/temp1_input", "88125\n");
    assert_int_equal(look().temperature, 88);
}

static void somebody_at_a_terminal_is_seen(void **state)
{
    (void)state;
    touched("dev/pts/ptmx", 1);
    struct machine m = look();
    assert_true(m.has_input && m.input_ms == MACHINE_NOBODY);
    touched("dev/pts/0", 400);
    touched("dev/pts/1", 30);
    touched("dev/tty1", 5000);
    touched("dev/ttyS0", 2);
    m = look();
    assert_true(m.has_input);
    assert_int_equal(m.input_ms, 30000);
    put("run/systemd/sessions/3", "UID=1000\nACTIVE=1\nTYPE=tty\nCLASS=user\n");
    assert_true(look().has_input);
    put("run/systemd/sessions/c1", "UID=111\nACTIVE=1\nTYPE=wayland\nCLASS=greeter\n");
    assert_true(look().has_input);
    put("run/systemd/sessions/2", "UID=1000\nACTIVE=1\nIS_DISPLAY=1\nTYPE=wayland\nCLASS=user\n");
    assert_false(look().has_input); /* keys of a desktop are seen by nobody else */
}

static void our_own_work_is_no_use_by_others(void **state)
{
    (void)state;
    struct machine before, now;
    uint32_t others = 0;
    put("proc/stat", "cpu  1000 0 1000 8000 0 0 0 0 0 0\ncpu0 1 2 3\n");
    put("proc/self/stat", "10 (kithd) S 1 0 0 0 0 0 0 0 0 0 100 0 0 0 20 0\n");
    put("proc/1/stat", "1 (init) S 0 0 0 0 0 0 0 0 0 0 7 7 7 7 20 0\n");
    put("proc/10/stat", "10 (kithd) S 1 0 0 0 0 0 0 0 0 0 100 0 0 0 20 0\n");
    put("proc/12/stat", "12 (a ) S 9 odd) S 11 0 0 0 0 0 0 0 0 0 50 0 0 0 20 0\n"); /* below a worker, listed first */
    put("proc/11/stat", "11 (kith-worker) R 10 0 0 0 0 0 0 0 0 0 200 0 0 0 20 0\n");
    put("proc/99/stat", "99 (cc1) R 1 0 0 0 0 0 0 0 0 0 900 0 0 0 20 0\n");
    before = look();
    assert_int_equal(before.cpu_total, 10000);
    assert_int_equal(before.cpu_busy, 2000);
    assert_int_equal(before.cpu_ours, 350);
    put("proc/stat", "cpu  1900 0 1000 8100 0 0 0 0 0 0\n");
    put("proc/11/stat", "11 (kith-worker) R 10 0 0 0 0 0 0 0 0 0 850 0 0 0 20 0\n");
    now = look();
    assert_true(machine_others(&before, &now, &others));
    assert_int_equal(others, 250); /* of 1000 ticks 900 were busy, 650 of them ours */
    assert_false(machine_others(&now, &now, &others));
    assert_false(machine_others(&(struct machine){0}, &now, &others));
}

static void memory_is_told(void **state)
{
    (void)state;
    put("proc/meminfo", "MemTotal:       16000000 kB\nMemFree:  1 kB\nMemAvailable:    9000000 kB\n");
    struct machine m = look();
    assert_true(m.memory_bytes == UINT64_C(16000000) << 10 && m.memory_free_bytes == UINT64_C(9000000) << 10);
}

static void the_local_clock_is_followed(void **state)
{
    (void)state;
    setenv("TZ", "XXX-05:30", 1);
    uint32_t there = look().local_min;
    setenv("TZ", "UTC0", 1);
    uint32_t here = look().local_min;
    assert_int_equal(here, NOW_S / 60 % 1440);
    assert_int_equal(there, (here + 330) % 1440);
}

static void this_one_is_read(void **state)
{
    (void)state;
    struct machine m;
    machine_read("", NOW_S * 1000, &m);
    assert_true(m.memory_bytes > 0 && m.memory_free_bytes <= m.memory_bytes);
    assert_true(m.cpu_busy <= m.cpu_total);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(one_that_tells_nothing_is_unknown),
        T(power_is_told),
        T(the_processor_is_the_warmest_that_counts),
        T(somebody_at_a_terminal_is_seen),
        T(our_own_work_is_no_use_by_others),
        T(memory_is_told),
        T(the_local_clock_is_followed),
        T(this_one_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
