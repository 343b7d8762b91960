/* The walls around a worker, for Linux: limits, namespaces, filter, in this order, since each takes away what
 * building the one before needed. */
#include "inference/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A sanitizer reserves terabytes of addresses that it never touches, and looks at its own process. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED true
#else
#define IS_SANITIZED false
#endif

static enum err set_limit(int what, rlim_t value, const char *name, struct note *note)
{
    struct rlimit now;
    if (getrlimit((__rlimit_resource_t)what, &now) == 0 && now.rlim_max != RLIM_INFINITY && now.rlim_max < value)
        value = now.rlim_max; /* tighter already */
    const struct rlimit limit = {value, value};
    if (setrlimit((__rlimit_resource_t)what, &limit) != 0)
        return note_set(note, ERR_IO, "the worker's limit on %s cannot be set: %s", name, strerror(errno));
    return ERR_OK;
}

static enum err set_limits(const struct sandbox_options *o, struct note *note)
{
    static const struct {
        int what;
        const char *name;
    } zero[] = {{RLIMIT_CORE, "core files"}, {RLIMIT_MSGQUEUE, "message queues"}};
    for (size_t i = 0; i < sizeof zero / sizeof *zero; i++) {
        enum err e = set_limit(zero[i].what, 0, zero[i].name, note);
        if (e != ERR_OK)
            return e;
    }
    if (o->fd_written >= 0) {
        enum err e = set_limit(RLIMIT_FSIZE, (rlim_t)o->written_bytes, "file size", note);
        if (e != ERR_OK)
            return e;
    }
    if (o->memory_bytes > 0 && !o->has_devices && !IS_SANITIZED)
        return set_limit(RLIMIT_AS, (rlim_t)o->memory_bytes, "memory", note);
    return ERR_OK;
}

static void close_above(int last)
{
    if (syscall(SYS_close_range, (unsigned)last + 1, ~0U, 0) == 0)
        return;
    for (int fd = last + 1; fd < 65536; fd++)
        close(fd);
}

/* An empty file system as root: mounted over a directory of our own private view of the mounts, and entered. The
 * directory underneath is never seen again by this process. */
static bool enter_empty_root(void)
{
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        return false;
    if (mount("none", "/tmp", "tmpfs", MS_NODEV | MS_NOEXEC | MS_NOSUID | MS_RDONLY, "size=4096") != 0)
        return false;
    return chroot("/tmp") == 0 && chdir("/") == 0;
}

/* Not being allowed any of this is common (containers, hardened kernels) and no error. */
static void enter_namespaces(struct sandbox_state *state)
{
    if (state->has_own_net) { /* entered before devices, of which none was found then */
        state->has_own_root = unshare(CLONE_NEWNS | CLONE_NEWUTS) == 0 && enter_empty_root();
        return;
    }
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) == 0) {
        state->has_own_net = true;
        state->has_own_root = enter_empty_root();
    } else if (unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0) {
        state->has_own_net = true;
    }
}

/* Allowed with any arguments. What takes a descriptor can only use those that were kept. */
static const int allowed[] = {
    /* memory */
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(brk),
    SCMP_SYS(mincore),
    /* threads and signals */
    SCMP_SYS(futex),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(rseq),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(gettid),
    SCMP_SYS(getpid),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    /* time and chance */
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_getres),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(nanosleep),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(getrandom),
    /* the kept descriptors */
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(readv),
    SCMP_SYS(writev),
    SCMP_SYS(recvfrom),
    SCMP_SYS(pread64),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(lseek),
    SCMP_SYS(fstat),
    SCMP_SYS(close),
};

/* No honest worker comes near these: whoever calls one is not the engine any more. */
static const int deadly[] = {
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(fork),
    SCMP_SYS(vfork),
    SCMP_SYS(socket),
    SCMP_SYS(connect),
    SCMP_SYS(bind),
    SCMP_SYS(listen),
    SCMP_SYS(accept),
    SCMP_SYS(accept4),
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(mount),
    SCMP_SYS(bpf),
    SCMP_SYS(unshare),
    SCMP_SYS(setns),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(unlink),
    SCMP_SYS(unlinkat),
    SCMP_SYS(creat),
    SCMP_SYS(keyctl),
    SCMP_SYS(init_module),
    SCMP_SYS(kexec_load),
};

#define THREAD ((scmp_datum_t)CLONE_THREAD | CLONE_VM)

/* Allowed or deadly depending on one argument, which is compared under a mask. */
static const struct {
    uint32_t action;
    int call;
    unsigned argument;
    scmp_datum_t mask, value;
} conditional[] = {
    /* memory that is code stays what it is */
    {SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2, PROT_EXEC, 0},
    {SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 2, PROT_EXEC, 0},
    /* a thread, not a process */
    {SCMP_ACT_ALLOW, SCMP_SYS(clone), 0, THREAD, THREAD},
    /* of itself: those of the same user are within reach otherwise */
    {SCMP_ACT_ALLOW, SCMP_SYS(sched_setaffinity), 0, ~(scmp_datum_t)0, 0},
    /* no address: to the other end of the pair */
    {SCMP_ACT_ALLOW, SCMP_SYS(sendto), 4, ~(scmp_datum_t)0, 0},
    /* the C library looks for the number of processors in a file, and goes without; but nobody writes */
    {SCMP_ACT_KILL_PROCESS, SCMP_SYS(openat), 2, O_WRONLY, O_WRONLY},
    {SCMP_ACT_KILL_PROCESS, SCMP_SYS(openat), 2, O_RDWR, O_RDWR},
    {SCMP_ACT_KILL_PROCESS, SCMP_SYS(openat), 2, O_CREAT, O_CREAT},
};

static int add_rules(scmp_filter_ctx f, const struct sandbox_options *o)
{
    int rc = 0;
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed && rc == 0; i++)
        rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, allowed[i], 0);
    for (size_t i = 0; i < sizeof deadly / sizeof *deadly && rc == 0; i++)
        rc = seccomp_rule_add(f, SCMP_ACT_KILL_PROCESS, deadly[i], 0);
    for (size_t i = 0; i < sizeof conditional / sizeof *conditional && rc == 0; i++) {
        const struct scmp_arg_cmp cmp = {conditional[i].argument, SCMP_CMP_MASKED_EQ, conditional[i].mask,
                                         conditional[i].value};
        /* a driver tries to open its devices again, and goes without */
        bool is_skipped = o->has_devices && conditional[i].call == SCMP_SYS(openat);
        rc = is_skipped ? 0 : seccomp_rule_add_array(f, conditional[i].action, conditional[i].call, 1, &cmp);
    }
    /* It hides its flags behind a pointer; without it the C library takes clone. */
    if (rc == 0)
        rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    /* Room on the disk, and writing at any place, for the one file that was given to be written. */
    const struct scmp_arg_cmp written = {0, SCMP_CMP_EQ, (scmp_datum_t)o->fd_written, 0};
    if (rc == 0 && o->has_devices)
        rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 0);
    if (rc == 0 && o->fd_written >= 0)
        rc = seccomp_rule_add_array(f, SCMP_ACT_ALLOW, SCMP_SYS(fallocate), 1, &written);
    if (rc == 0 && o->fd_written >= 0)
        rc = seccomp_rule_add_array(f, SCMP_ACT_ALLOW, SCMP_SYS(pwrite64), 1, &written);
    /* abort() ends this process and must not reach another. */
    const struct scmp_arg_cmp self = {0, SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0};
    if (rc == 0)
        rc = seccomp_rule_add_array(f, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, &self);
    return rc;
}

static enum err enter_filter(const struct sandbox_options *o, struct sandbox_state *state, struct note *note)
{
    enum err e = ERR_OK;
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (!f)
        return note_set(note, ERR_UNSUPPORTED, "the worker's system call filter cannot be made");
    int rc = add_rules(f, o);
    if (rc == 0)
        rc = seccomp_load(f);
    if (rc == 0)
        state->is_filtered = true;
    else if (rc != -EINVAL && rc != -ENOSYS) /* a kernel without filters */
        e = note_set(note, ERR_IO, "the worker's system call filter cannot be entered: %s", strerror(-rc));
    seccomp_release(f);
    return e;
}

void sandbox_before_devices(const struct sandbox_options *o, struct sandbox_state *state)
{
    close_above(o->fd_last);
    state->has_own_net = unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWIPC) == 0;
}

enum err sandbox_enter(const struct sandbox_options *o, struct sandbox_state *state, struct note *note)
{
    state->is_filtered = state->has_own_root = false;
    if (!o->has_devices)
        close_above(o->fd_last);
    enum err e = set_limits(o, note);
    if (e != ERR_OK)
        return e;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return note_set(note, ERR_IO, "the worker cannot give up new privileges: %s", strerror(errno));
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (!o->has_devices)
        enter_namespaces(state);
    return enter_filter(o, state, note);
}
