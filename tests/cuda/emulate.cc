/* Fibers for the threads of a block; see the header. */
#include "tests/cuda/emulate.h"
#include "tests/cuda/runtime_emulated.h"

#include <cstdio>
#include <cstdlib>
#include <sys/mman.h>
#include <ucontext.h>
#include <vector>

#define STACK_BYTES     (64u << 10)
#define THREADS_AT_MOST 1024u
#define SLOT            64u
#define SHARED_AT_MOST  (227u << 10) /* of a block, on the largest GPUs */
#define BARRIERS        16u          /* of a block, the first is everybody's */

dim3 gridDim, blockDim, blockIdx;
const dim3 *emulate_thread;

struct copy {
    void *to;
    const void *from;
    size_t bytes;
    unsigned group;
};

struct later {
    std::function<void()> work;
    unsigned batch;
};

enum state { READY, WAITS_WARP, WAITS_BLOCK, WAITS_BARRIER, LETS_OTHERS, DONE };

struct fiber {
    void *sp; /* where it left off, on its stack */
    ucontext_t context;
    dim3 index;
    enum state state;
    const char *what;         /* it waits in */
    unsigned barrier;         /* it waits at */
    bool has_waited;          /* for the kernel before */
    std::vector<copy> copies; /* not yet made */
    unsigned groups;          /* of copies, ended */
    std::vector<later> works; /* in the background, not yet done */
    unsigned batches;         /* of them, ended */
    unsigned turn;            /* warp operations so far: which half of the warp's slots is written */
};

struct warp {
    unsigned char slot[2][32][SLOT];
};

struct barrier {
    unsigned threads, here; /* that come to it, and that have */
};

static std::vector<fiber> fibers;
static barrier barriers[BARRIERS];
static std::vector<warp> warps;
static unsigned char *stacks;
static size_t current;
static void (*thread_call)(void *);
static void *thread_arg;
static unsigned char *shared_memory;
static enum emulate_order run_order;

void emulate_set_order(enum emulate_order order)
{
    run_order = order;
}

static size_t shared_most = SHARED_AT_MOST;
void emulate_set_shared(size_t bytes)
{
    shared_most = bytes ? bytes : SHARED_AT_MOST;
}
size_t emulate_shared_most(void)
{
    return shared_most;
}

static unsigned processors = 132;
void emulate_set_processors(unsigned n)
{
    processors = n ? n : 132;
}
unsigned emulate_processors(void)
{
    return processors;
}

void *emulate_shared(void)
{
    return shared_memory;
}

[[noreturn]] static void die(const char *why, const fiber &f)
{
    fprintf(stderr, "emulated GPU: %s: block (%u %u %u), thread (%u %u %u), in %s\n", why, blockIdx.x, blockIdx.y,
            blockIdx.z, f.index.x, f.index.y, f.index.z, f.what ? f.what : "nothing");
    abort();
}

/* -- changing fibers -- */

static void thread_main(void)
{
    thread_call(thread_arg);
    fibers[current].state = DONE;
}

#if defined(__x86_64__)
/* Saves the callee's registers on the stack, leaves its address in *from, and goes on at `to`. */
extern "C" void emulate_switch(void **from, void *to);
__asm__(".text\n"
        ".globl emulate_switch\n"
        "emulate_switch:\n"
        "    push %rbp\n    push %rbx\n    push %r12\n    push %r13\n    push %r14\n    push %r15\n"
        "    mov %rsp, (%rdi)\n"
        "    mov %rsi, %rsp\n"
        "    pop %r15\n    pop %r14\n    pop %r13\n    pop %r12\n    pop %rbx\n    pop %rbp\n"
        "    ret\n");

static void *home;

static void to_home(void)
{
    emulate_switch(&fibers[current].sp, home);
}

static void fiber_main(void)
{
    thread_main();
    to_home();
    abort();
}

static void prepare(fiber &f, unsigned char *stack)
{
    void **top = (void **)(stack + STACK_BYTES);
    *--top = nullptr; /* the place of a caller's address: keeps the stack as a call leaves it */
    *--top = (void *)fiber_main;
    for (int i = 0; i < 6; i++)
        *--top = nullptr;
    f.sp = top;
}

static void to_fiber(fiber &f)
{
    emulate_switch(&home, f.sp);
}
#else
static ucontext_t home;

static void to_home(void)
{
    swapcontext(&fibers[current].context, &home);
}

static void prepare(fiber &f, unsigned char *stack)
{
    getcontext(&f.context);
    f.context.uc_stack.ss_sp = stack;
    f.context.uc_stack.ss_size = STACK_BYTES;
    f.context.uc_link = &home;
    makecontext(&f.context, thread_main, 0);
}

static void to_fiber(fiber &f)
{
    swapcontext(&home, &f.context);
}
#endif

static void run(size_t i)
{
    current = i;
    emulate_thread = &fibers[i].index;
    to_fiber(fibers[i]);
}

/* -- waiting -- */

static void wait(enum state state, const char *what)
{
    fiber &f = fibers[current];
    size_t me = current;
    f.state = state;
    f.what = what;
    to_home();
    current = me;
    emulate_thread = &fibers[me].index;
}

void emulate_wait_block(const char *what)
{
    wait(WAITS_BLOCK, what);
}

void emulate_meet(unsigned id, unsigned threads, bool waits)
{
    fiber &f = fibers[current];
    f.what = "lane_meet";
    if (id == 0 || id >= BARRIERS || threads % 32)
        die("no such barrier", f);
    barrier &b = barriers[id];
    if (b.here && b.threads != threads)
        die("threads do not agree how many come to a barrier", f);
    b.threads = threads;
    if (++b.here == threads) {
        b.here = 0;
        for (fiber &other : fibers)
            if (other.state == WAITS_BARRIER && other.barrier == id)
                other.state = READY;
        return;
    }
    f.barrier = id;
    if (waits)
        wait(WAITS_BARRIER, f.what);
}

void emulate_copy(void *to, const void *from, size_t bytes)
{
    fiber &f = fibers[current];
    if (run_order == EMULATE_FORWARD)
        memcpy(to, from, bytes);
    else
        f.copies.push_back(copy{to, from, bytes, f.groups});
}

void emulate_copy_end(void)
{
    fibers[current].groups++;
}

void emulate_copy_wait(unsigned left)
{
    fiber &f = fibers[current];
    size_t made = 0;
    while (made < f.copies.size() && f.copies[made].group + left < f.groups) {
        memcpy(f.copies[made].to, f.copies[made].from, f.copies[made].bytes);
        made++;
    }
    f.copies.erase(f.copies.begin(), f.copies.begin() + (ptrdiff_t)made);
}

void emulate_later(const std::function<void()> &work)
{
    fiber &f = fibers[current];
    if (run_order == EMULATE_FORWARD)
        work();
    else
        f.works.push_back(later{work, f.batches});
}

void emulate_later_end(void)
{
    fibers[current].batches++;
}

void emulate_later_wait(unsigned left)
{
    size_t done = 0;
    wait(LETS_OTHERS, "lane_group_wait");
    fiber &f = fibers[current];
    while (done < f.works.size() && f.works[done].batch + left < f.batches)
        f.works[done++].work();
    f.works.erase(f.works.begin(), f.works.begin() + (ptrdiff_t)done);
}

void emulate_waited(void)
{
    fibers[current].has_waited = true;
}

const unsigned char *emulate_exchange(const char *what, const void *mine, size_t bytes)
{
    fiber &f = fibers[current];
    warp &w = warps[current / 32];
    unsigned half = f.turn++ % 2;
    if (bytes > SLOT)
        die("too many bytes", f);
    if (bytes)
        memcpy(w.slot[half][current % 32], mine, bytes);
    wait(WAITS_WARP, what);
    return &w.slot[half][0][0];
}

/* -- a block -- */

static size_t in_order(size_t i, size_t n)
{
    switch (run_order) {
    case EMULATE_BACKWARD:
        return n - 1 - i;
    case EMULATE_MIXED: /* 11 and powers of two have no common divisor */
        return n % 11 ? (i * 11 + 5) % n : i;
    default:
        return i;
    }
}

/* Runs the lanes of a warp until all wait for the block or at a barrier, or are done. */
static void run_warp(size_t first, size_t n)
{
    for (;;) {
        size_t waiting = 0, ready = 0;
        for (size_t i = 0; i < n; i++) {
            fiber &f = fibers[first + in_order(i, n)];
            if (f.state == READY)
                run(first + in_order(i, n));
        }
        for (size_t i = 0; i < n; i++) {
            waiting += fibers[first + i].state == WAITS_WARP;
            ready += fibers[first + i].state == READY; /* the last lane that came to a barrier woke them */
        }
        if (ready)
            continue;
        if (!waiting)
            return;
        for (size_t i = 0; i < n; i++) {
            fiber &f = fibers[first + i];
            if (waiting < n && f.state == WAITS_WARP)
                die("a lane is missing from an operation of its warp", f);
            if (f.what != fibers[first].what)
                die("lanes of a warp are in different operations", f);
            f.state = READY;
        }
    }
}

/* What a block may not touch: behind its shared memory. */
static void check_shared(size_t shared)
{
    for (size_t i = shared; i < SHARED_AT_MOST && i < shared + 1024; i++)
        if (shared_memory[i] != 0xA5)
            die("a thread wrote behind the block's shared memory", fibers[0]);
}

static void run_block(size_t n, size_t shared)
{
    memset(shared_memory, 0xA5, SHARED_AT_MOST);
    for (size_t i = 0; i < n; i++) {
        fiber &f = fibers[i];
        f.index = dim3((unsigned)(i % blockDim.x), (unsigned)(i / blockDim.x % blockDim.y),
                       (unsigned)(i / blockDim.x / blockDim.y));
        f.state = READY;
        f.barrier = 0;
        f.turn = 0;
        f.has_waited = false;
        f.copies.clear();
        f.groups = 0;
        f.works.clear();
        f.batches = 0;
        f.what = nullptr;
        prepare(f, stacks + i * STACK_BYTES);
    }
    for (barrier &b : barriers)
        b = barrier{0, 0};
    for (;;) {
        size_t done = 0, ready = 0, warps_n = (n + 31) / 32;
        for (size_t w = 0; w < warps_n; w++) {
            size_t first = in_order(w, warps_n) * 32;
            run_warp(first, n - first < 32 ? n - first : 32);
        }
        for (size_t i = 0; i < n; i++) {
            if (fibers[i].state == LETS_OTHERS)
                fibers[i].state = READY;
            done += fibers[i].state == DONE;
            ready += fibers[i].state == READY; /* that, or others came to its barrier behind it */
        }
        if (ready)
            continue;
        for (size_t i = 0; i < n && done == n; i++)
            if (!fibers[i].has_waited)
                die("a thread did not wait for the kernel before", fibers[i]);
        for (size_t i = 0; i < BARRIERS && done == n; i++)
            if (barriers[i].here)
                die("threads came to a barrier that others never did", fibers[0]);
        if (done == n)
            return check_shared(shared);
        for (size_t i = 0; i < n; i++) {
            if ((done && fibers[i].state != DONE) || fibers[i].state == WAITS_BARRIER)
                die("others do not come to where threads wait for them", fibers[i]);
            fibers[i].state = READY;
        }
    }
}

static uint64_t kernels_run;
uint64_t emulated_kernels_run(void)
{
    return kernels_run;
}

void emulate_run(dim3 grid, dim3 block, size_t shared, void (*thread)(void *), void *arg)
{
    size_t n = (size_t)block.x * block.y * block.z;
    if (n == 0 || n > THREADS_AT_MOST || shared > shared_most || grid.y > 65535 || grid.z > 65535) {
        fprintf(stderr, "emulated GPU: no GPU launches %zu threads in a block with %zu bytes, grid %u x %u x %u\n", n,
                shared, grid.x, grid.y, grid.z);
        abort();
    }
    if (!stacks) {
        stacks = (unsigned char *)mmap(nullptr, (size_t)THREADS_AT_MOST * STACK_BYTES, PROT_READ | PROT_WRITE,
                                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        shared_memory = (unsigned char *)aligned_alloc(1024, (SHARED_AT_MOST + 1023) / 1024 * 1024);
        if (stacks == MAP_FAILED || !shared_memory)
            abort();
        fibers.resize(THREADS_AT_MOST);
        warps.resize(THREADS_AT_MOST / 32);
    }
    gridDim = grid;
    blockDim = block;
    thread_call = thread;
    thread_arg = arg;
    uint64_t blocks = (uint64_t)grid.x * grid.y * grid.z;
    kernels_run++;
    for (uint64_t b = 0; b < blocks; b++) {
        uint64_t at = run_order == EMULATE_FORWARD ? b : blocks - 1 - b;
        blockIdx = dim3((unsigned)(at % grid.x), (unsigned)(at / grid.x % grid.y), (unsigned)(at / grid.x / grid.y));
        run_block(n, shared);
    }
}
