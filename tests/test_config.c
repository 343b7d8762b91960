/* Settings from file, environment and options, in that order; the node's directory, key and lock. */
#include "base/file.h"
#include "node/config.h"
#include "node/home.h"
#include "tests/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum err load(struct config *c, struct note *note, char **words, int n)
{
    bool help;
    return config_load(c, n, words, &help, note);
}

static void later_sources_win(void **state)
{
    (void)state;
    char *home = test_dir_new();
    struct config c;
    struct note note = {{0}};
    char conf[512];
    snprintf(conf, sizeof conf, "%s/kith.conf", home);
    const char *text =
        "# a comment\nlisten = 1.1.1.1:1\nhttp = 2.2.2.2:2\nlog = debug\nvalidator = yes\npeer = a\npeer = b\n";
    assert_int_equal(file_write(conf, 0600, bytes_of_text(text), NULL), ERR_OK);
    setenv("KITH_HTTP", "3.3.3.3:3", 1);
    setenv("KITH_LOG", "trace", 1);
    char *words[] = {"--home", home, "--log=odd", "--peer", "c", "--audit", "--threads", "3"};
    assert_int_equal(load(&c, &note, words, 8), ERR_OK);
    assert_string_equal(c.home, home);
    assert_string_equal(c.listen, "1.1.1.1:1");
    assert_string_equal(c.http, "3.3.3.3:3");
    assert_int_equal(c.log_level, LOG_ODD);
    assert_true(c.validator && c.audit && !c.provide);
    assert_int_equal(c.threads, 3);
    assert_int_equal(c.peers.n, 3);
    assert_string_equal(c.peers.text[1], "b");
    config_clear(&c);
    unsetenv("KITH_HTTP");
    unsetenv("KITH_LOG");
    test_dir_remove(home);
}

static void bad_settings_are_named(void **state)
{
    (void)state;
    char *home = test_dir_new();
    char conf[512];
    snprintf(conf, sizeof conf, "%s/kith.conf", home);
    static const struct {
        const char *file, *word, *names;
    } bad[] = {
        {"", "--nonsense", "--nonsense"},
        {"", "--listen", "--listen"},
        {"", "--threads=x", "threads"},
        {"", "--threads=-1", "threads"},
        {"", "--log=loud", "loud"},
        {"", "--validator=maybe", "maybe"},
        {"colour = red\n", "--audit", "colour"},
        {"home = /x\n", "--audit", "home"},
        {"[s]\nlog = odd\n", "--audit", "s.log"},
        {"nonsense\n", "--audit", "line 1"},
        {"", "stray", "stray"},
        {"", "--config=/nonexistent/x", "/nonexistent/x"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct config c;
        struct note note = {{0}};
        char *words[] = {"--home", home, (char *)(uintptr_t)bad[i].word};
        assert_int_equal(file_write(conf, 0600, bytes_of_text(bad[i].file), NULL), ERR_OK);
        assert_int_not_equal(load(&c, &note, words, 3), ERR_OK);
        if (!strstr(note.text, bad[i].names))
            fail_msg("%s: %s", bad[i].names, note.text);
        config_clear(&c);
    }
    test_dir_remove(home);
}

static void one_node_a_home(void **state)
{
    (void)state;
    char *dir = test_dir_new();
    char home[512], path[600];
    struct note note;
    int lock, second;
    snprintf(home, sizeof home, "%s/a/b", dir);
    struct config c = {.home = home};
    assert_int_equal(home_open(&c, &lock, &note), ERR_OK);
    assert_int_equal(home_open(&c, &second, &note), ERR_BUSY);
    assert_non_null(strstr(note.text, home));
    home_close(lock);
    assert_int_equal(home_open(&c, &lock, &note), ERR_OK);

    struct seckey first, again;
    struct pubkey id, same;
    struct stat st;
    assert_int_equal(home_key(&c, &first, &id, &note), ERR_OK);
    assert_int_equal(home_key(&c, &again, &same, &note), ERR_OK);
    assert_memory_equal(first.b, again.b, 32);
    assert_true(pubkey_equal(&id, &same));
    snprintf(path, sizeof path, "%s/node.key", home);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(home_key(&c, &again, &same, &note), ERR_AUTH);
    assert_non_null(strstr(note.text, "chmod 600"));
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(file_write(path, 0600, bytes_of_text("zz\n"), NULL), ERR_OK);
    assert_int_equal(home_key(&c, &again, &same, &note), ERR_FORMAT);
    home_close(lock);
    test_dir_remove(dir);
}

/* Another key than the one that was made is never taken. */
static void a_changed_key_is_found(void **state)
{
    (void)state;
    char *home = test_dir_new(), path[600];
    struct config c = {.home = home};
    struct seckey made, read;
    struct pubkey id;
    struct note note;
    struct buf file = {0};
    assert_int_equal(home_key(&c, &made, &id, &note), ERR_OK);
    snprintf(path, sizeof path, "%s/node.key", home);
    assert_int_equal(file_read(path, 4096, &file, NULL), ERR_OK);
    assert_int_equal(file.n, 130);
    for (size_t i = 0; i < 8 * file.n; i++) {
        file.p[i / 8] ^= (uint8_t)(1u << i % 8);
        assert_int_equal(file_write(path, 0600, bytes_of_buf(&file), NULL), ERR_OK);
        file.p[i / 8] ^= (uint8_t)(1u << i % 8);
        if (home_key(&c, &read, &id, &note) != ERR_OK)
            assert_non_null(strstr(note.text, path));
        else
            assert_memory_equal(read.b, made.b, sizeof made.b); /* a digit of another case */
    }
    assert_int_equal(file_write(path, 0600, bytes_of(file.p, 64), NULL), ERR_OK); /* the key alone will do */
    assert_int_equal(home_key(&c, &read, &id, &note), ERR_OK);
    assert_memory_equal(read.b, made.b, sizeof made.b);
    buf_clear(&file);
    test_dir_remove(home);
}

static void the_genesis_file_is_kept(void **state)
{
    (void)state;
    char *dir = test_dir_new();
    char given[512];
    struct note note;
    char *path;
    struct config c = {.home = dir};
    assert_int_equal(home_genesis(&c, &path, &note), ERR_NOT_FOUND);
    assert_non_null(strstr(note.text, "--genesis"));
    snprintf(given, sizeof given, "%s/given.json", dir);
    assert_int_equal(file_write(given, 0600, bytes_of_text("{1}"), NULL), ERR_OK);
    c.genesis = given;
    assert_int_equal(home_genesis(&c, &path, &note), ERR_OK);
    free(path);
    c.genesis = NULL;
    assert_int_equal(home_genesis(&c, &path, &note), ERR_OK);
    free(path);
    assert_int_equal(file_write(given, 0600, bytes_of_text("{2}"), NULL), ERR_OK);
    c.genesis = given;
    assert_int_equal(home_genesis(&c, &path, &note), ERR_CHAIN);
    test_dir_remove(dir);
}

static char *read_conf(const char *home)
{
    char conf[512];
    struct buf text = {0};
    snprintf(conf, sizeof conf, "%s/kith.conf", home);
    assert_int_equal(file_read(conf, 1 << 16, &text, NULL), ERR_OK);
    char *copy = strdup(buf_text(&text));
    buf_clear(&text);
    return copy;
}

static enum err write_setting(const char *home, const char *name, const char *first, const char *second,
                              struct note *note)
{
    struct config c;
    char *words[] = {"--home", (char *)(uintptr_t)home},
         *values[] = {(char *)(uintptr_t)first, (char *)(uintptr_t)second};
    assert_int_equal(load(&c, note, words, 2), ERR_OK);
    enum err e = config_write(&c, name, values, !first ? 0 : !second ? 1 : 2, note);
    config_clear(&c);
    return e;
}

static void a_setting_is_written_and_the_rest_stays(void **state)
{
    (void)state;
    char *home = test_dir_new(), conf[512], *text;
    struct note note = {{0}};
    snprintf(conf, sizeof conf, "%s/kith.conf", home);
    assert_int_equal(write_setting(home, "log", "debug", NULL, &note), ERR_OK); /* there was no file */
    text = read_conf(home);
    assert_string_equal(text, "log = debug\n");
    free(text);
    assert_int_equal(
        file_write(conf, 0600,
                   bytes_of_text("# mine\n  log=odd\nlog-file = /x ; why\n\npeer = a\n# log = info\npeer = b"), NULL),
        ERR_OK);
    assert_int_equal(write_setting(home, "log", "trace", NULL, &note), ERR_OK);
    assert_int_equal(write_setting(home, "peer", "c", "d", &note), ERR_OK);
    assert_int_equal(write_setting(home, "threads", "3", NULL, &note), ERR_OK);
    text = read_conf(home);
    assert_string_equal(text,
                        "# mine\nlog = trace\nlog-file = /x ; why\n\npeer = c\npeer = d\n# log = info\nthreads = 3\n");
    free(text);
    assert_int_equal(write_setting(home, "peer", NULL, NULL, &note), ERR_OK);
    assert_int_equal(write_setting(home, "log", NULL, NULL, &note), ERR_OK);
    text = read_conf(home);
    assert_string_equal(text, "# mine\nlog-file = /x ; why\n\n# log = info\nthreads = 3\n");
    free(text);
    test_dir_remove(home);
}

/* An indented line goes on with the value before it: taken from its own, it would fall to another. */
static void what_would_change_another_setting_is_not_written(void **state)
{
    (void)state;
    char *home = test_dir_new(), conf[512], *text;
    const char *was = "http = 1.1.1.1:1\npeer = a\n    b\n";
    struct note note = {{0}};
    snprintf(conf, sizeof conf, "%s/kith.conf", home);
    assert_int_equal(file_write(conf, 0600, bytes_of_text(was), NULL), ERR_OK);
    assert_int_equal(write_setting(home, "peer", NULL, NULL, &note), ERR_USAGE);
    assert_non_null(strstr(note.text, "http"));
    assert_non_null(strstr(note.text, conf));
    text = read_conf(home);
    assert_string_equal(text, was);
    free(text);
    assert_int_equal(write_setting(home, "threads", "3", NULL, &note), ERR_OK);
    test_dir_remove(home);
}

static void what_is_no_setting_is_not_written(void **state)
{
    (void)state;
    char *home = test_dir_new(), *text;
    static const struct {
        const char *name, *value, *says;
    } bad[] = {
        {"lsten", "x:1", "did you mean listen"},
        {"colour", "red", "kith config show"},
        {"home", "/x", "option of kithd only"},
        {"log", "loud", "loud"},
        {"threads", "x", "threads"},
        {"log-file", "a ; b", "cannot stand"},
        {"log-file", "a\nlog = odd", "cannot stand"},
    };
    struct note note = {{0}};
    assert_int_equal(write_setting(home, "log", "debug", NULL, &note), ERR_OK);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(write_setting(home, bad[i].name, bad[i].value, NULL, &note), ERR_USAGE);
        if (!strstr(note.text, bad[i].says))
            fail_msg("%s: %s", bad[i].name, note.text);
    }
    assert_int_equal(write_setting(home, "log", "odd", "info", &note), ERR_USAGE);
    text = read_conf(home);
    assert_string_equal(text, "log = debug\n");
    free(text);
    test_dir_remove(home);
}

static void look_at(void *arg, const char *name, const char *value, enum config_source from, const char *help)
{
    struct buf *b = arg;
    (void)help;
    if (from != CONFIG_DEFAULT || strcmp(name, "listen") == 0)
        buf_add_format(b, "%s=%s (%s)\n", name, value, config_source_text(from));
}

static void it_is_known_where_a_value_comes_from(void **state)
{
    (void)state;
    char *home = test_dir_new(), conf[512], want[700];
    struct config c;
    struct note note = {{0}};
    struct buf seen = {0};
    snprintf(conf, sizeof conf, "%s/kith.conf", home);
    assert_int_equal(file_write(conf, 0600, bytes_of_text("http = 2.2.2.2:2\nlog = debug\npeer = a\npeer = b\n"), NULL),
                     ERR_OK);
    setenv("KITH_LOG", "trace", 1);
    char *words[] = {"--home", home, "--audit"};
    assert_int_equal(load(&c, &note, words, 3), ERR_OK);
    config_each(&c, look_at, &seen);
    snprintf(want, sizeof want,
             "home=%s (option)\nlisten=0.0.0.0:7718 (default)\nhttp=2.2.2.2:2 (file)\npeer=a, b (file)\naudit=yes "
             "(option)\nlog=trace (environment)\n",
             home);
    assert_string_equal(buf_text(&seen), want);
    unsetenv("KITH_LOG");
    buf_clear(&seen);
    config_clear(&c);
    test_dir_remove(home);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_setting_is_written_and_the_rest_stays),
        cmocka_unit_test(what_would_change_another_setting_is_not_written),
        cmocka_unit_test(what_is_no_setting_is_not_written),
        cmocka_unit_test(it_is_known_where_a_value_comes_from),
        cmocka_unit_test(later_sources_win),
        cmocka_unit_test(bad_settings_are_named),
        cmocka_unit_test(one_node_a_home),
        cmocka_unit_test(a_changed_key_is_found),
        cmocka_unit_test(the_genesis_file_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
