/* The walls around a worker: what must go on working inside, and what must not. Each case runs in a process of its
 * own, since there is no way back out. */
#include "tests/support.h"

#include "inference/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUTCOME_FINE   0
#define OUTCOME_DENIED 1
#define OUTCOME_ODD    2

static int pair[2];
static pid_t parent; /* whom it may not ask for inside */

/* A process that has started GPUs, or has tried to and found none. */
enum devices { NOT_TRIED, NONE_FOUND, STARTED };

/* Runs `what` inside; its exit status, or minus the signal that killed it. */
static int run_with(enum devices devices, int (*what)(void), uint64_t memory_bytes)
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    parent = getpid();
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct sandbox_state state = {0};
        struct note note;
        const struct sandbox_options o = {
            .fd_last = pair[1], .fd_written = -1, .memory_bytes = memory_bytes, .has_devices = devices == STARTED};
        if (devices != NOT_TRIED)
            sandbox_before_devices(&o, &state);
        if (sandbox_enter(&o, &state, &note) != ERR_OK || !state.is_filtered)
            _exit(99);
        _exit(what());
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    close(pair[0]);
    close(pair[1]);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static int run_inside(int (*what)(void), uint64_t memory_bytes)
{
    return run_with(NOT_TRIED, what, memory_bytes);
}

static int outcome_of(bool is_fine)
{
    return is_fine ? OUTCOME_FINE : errno == EPERM || errno == ENOENT ? OUTCOME_DENIED : OUTCOME_ODD;
}

static int try_read_file(void)
{
    return outcome_of(open("/etc/passwd", O_RDONLY) >= 0);
}

static int try_write_file(void)
{
    return outcome_of(open("/tmp/kith-sandbox-test", O_WRONLY | O_CREAT, 0600) >= 0);
}

static int try_socket(void)
{
    return outcome_of(socket(AF_INET, SOCK_STREAM, 0) >= 0);
}

static int try_program(void)
{
    char *argv[] = {NULL};
    execve("/bin/true", argv, argv);
    return OUTCOME_DENIED;
}

static int try_process(void)
{
    return outcome_of(fork() >= 0);
}

static int try_kill_parent(void)
{
    return outcome_of(kill(parent, 0) == 0);
}

/* Which processors the parent may use is no business of a worker's. */
static int try_bind_parent(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(0, &set);
    return outcome_of(sched_setaffinity(parent, sizeof set, &set) == 0);
}

static int try_code(void)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return outcome_of(p != MAP_FAILED);
}

static void *add_one(void *arg)
{
    int *n = arg;
    char *heap = malloc(1 << 20);
    *n += heap != NULL;
    free(heap);
    return NULL;
}

/* Threads with memory of their own, the kept descriptors: all that an engine needs. */
static int try_work(void)
{
    pthread_t thread[3];
    int sum[3] = {0};
    for (int i = 0; i < 3; i++)
        if (pthread_create(&thread[i], NULL, add_one, &sum[i]) != 0)
            return 10;
    for (int i = 0; i < 3; i++)
        pthread_join(thread[i], NULL);
    char c = 'x';
    if (send(pair[0], &c, 1, MSG_NOSIGNAL) != 1 || recv(pair[1], &c, 1, 0) != 1)
        return 11;
    if (fcntl(pair[1] + 1, F_GETFD) >= 0 || sum[0] + sum[1] + sum[2] != 3)
        return 12;
    return OUTCOME_FINE;
}

static int try_much_memory(void)
{
    volatile char *p = malloc((size_t)256 << 20);
    return p ? OUTCOME_FINE : OUTCOME_DENIED;
}

static void test_work_goes_on(void **state)
{
    (void)state;
    assert_int_equal(run_inside(try_work, 0), OUTCOME_FINE);
}

static void test_files_are_out_of_reach(void **state)
{
    (void)state;
    assert_int_equal(try_read_file(), OUTCOME_FINE); /* outside it is there */
    assert_int_equal(run_inside(try_read_file, 0), OUTCOME_DENIED);
    assert_int_equal(run_inside(try_write_file, 0), -SIGSYS);
    assert_int_not_equal(access("/tmp/kith-sandbox-test", F_OK), 0);
}

static void test_network_programs_processes_kill(void **state)
{
    (void)state;
    assert_int_equal(run_inside(try_socket, 0), -SIGSYS);
    assert_int_equal(run_inside(try_program, 0), -SIGSYS);
    assert_int_not_equal(run_inside(try_process, 0), OUTCOME_FINE);
    assert_int_equal(run_inside(try_kill_parent, 0), OUTCOME_DENIED);
    cpu_set_t before;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    int outcome = run_inside(try_bind_parent, 0);
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
    assert_int_equal(outcome, OUTCOME_DENIED);
    assert_int_equal(run_inside(try_code, 0), OUTCOME_DENIED);
}

static int try_ioctl(void)
{
    int n = 0;
    return outcome_of(ioctl(pair[1], FIONREAD, &n) == 0);
}

/* A driver may be spoken to, and its many addresses are not counted; the rest holds. */
static void test_devices_leave_the_walls(void **state)
{
    (void)state;
    assert_int_equal(run_inside(try_ioctl, 0), OUTCOME_DENIED);
    assert_int_equal(run_with(NONE_FOUND, try_ioctl, 0), OUTCOME_DENIED);
    assert_int_equal(run_with(STARTED, try_ioctl, 0), OUTCOME_FINE);
    for (enum devices d = NONE_FOUND; d <= STARTED; d++) {
        assert_int_equal(run_with(d, try_work, 0), OUTCOME_FINE);
        assert_int_equal(run_with(d, try_read_file, 0), OUTCOME_DENIED);
        assert_int_not_equal(run_with(d, try_write_file, 0), OUTCOME_FINE);
        assert_int_equal(run_with(d, try_socket, 0), -SIGSYS);
        assert_int_equal(run_with(d, try_program, 0), -SIGSYS);
        assert_int_equal(run_with(d, try_code, 0), OUTCOME_DENIED);
    }
    assert_int_equal(run_with(STARTED, try_much_memory, (uint64_t)128 << 20), OUTCOME_FINE);
}

static void test_memory_is_limited(void **state)
{
    (void)state;
    assert_int_equal(run_inside(try_much_memory, 0), OUTCOME_FINE);
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    print_message("skip: under a sanitizer address space has no limit\n");
    skip();
#else
    assert_int_equal(run_inside(try_much_memory, (uint64_t)128 << 20), OUTCOME_DENIED);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_work_goes_on),
        cmocka_unit_test(test_files_are_out_of_reach),
        cmocka_unit_test(test_network_programs_processes_kill),
        cmocka_unit_test(test_devices_leave_the_walls),
        cmocka_unit_test(test_memory_is_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
