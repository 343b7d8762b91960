/* Secrets in memory: locked, out of core files, wiped. Constant time is tests/ctime.c's. */
#include "base/secret.h"
#include "tests/support.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static long locked_kib(void)
{
    char line[200];
    long kib = -1;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmLck: %ld", &kib) == 1)
            break;
    if (f)
        fclose(f);
    return kib;
}

static void memory_is_locked(void **state)
{
    (void)state;
    static _Alignas(4096) unsigned char key[3 * 4096];
    struct rlimit limit;
#ifdef __SANITIZE_ADDRESS__
    print_message("skip: the address sanitizer locks nothing\n");
    skip();
#endif
    assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &limit), 0);
    if (locked_kib() < 0 || limit.rlim_cur < 1u << 20) {
        print_message("skip: this system lets nobody lock memory\n");
        skip();
    }
    long before = locked_kib();
    secret_lock(key + 4000, 200); /* over the end of a page */
    assert_true(locked_kib() >= before + 8);
    before = locked_kib();
    unsigned char *made = secret_new(32);
    assert_true(locked_kib() > before);
    static const unsigned char zero[32];
    assert_memory_equal(made, zero, 32);
    secret_free(made);
}

static void a_hidden_process_leaves_no_core(void **state)
{
    (void)state;
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit much = {RLIM_INFINITY, RLIM_INFINITY};
        setrlimit(RLIMIT_CORE, &much);
        signal(SIGSEGV, SIG_DFL);
        secret_hide_process();
        if (prctl(PR_GET_DUMPABLE) != 0)
            _exit(1);
        raise(SIGSEGV);
        _exit(2);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_false(WCOREDUMP(status));
}

static void what_is_wiped_is_gone(void **state)
{
    (void)state;
    unsigned char key[32], zero[32] = {0};
    memset(key, 7, sizeof key);
    secret_wipe(key, sizeof key);
    assert_true(secret_equal(key, zero, sizeof key));
    key[31] = 1;
    assert_false(secret_equal(key, zero, sizeof key));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_locked),
        cmocka_unit_test(a_hidden_process_leaves_no_core),
        cmocka_unit_test(what_is_wiped_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
