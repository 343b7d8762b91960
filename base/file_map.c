/* The table of mappings and the handler of SIGBUS, which are the process's: a signal comes to whichever thread reads.
 *
 * Invariant: a slot with from != 0 is a mapping of [from, to) that nobody else unmaps. `taken` is set first and cleared
 * last, so that no two have one slot. The handler only reads, marks and maps: nothing that a signal may not do. */
#include "base/file_map.h"

#include "base/file.h"
#include "base/limits.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct slot {
    atomic_bool taken, torn;
    atomic_uintptr_t from, to;
} slots[FILE_MAPS_MAX];

static uintptr_t page_size;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction before; /* whose turn it is where the memory is none of ours */

static struct slot *slot_of(uintptr_t at)
{
    for (unsigned i = 0; i < FILE_MAPS_MAX; i++) {
        uintptr_t from = atomic_load(&slots[i].from);
        if (from && at >= from && at < atomic_load(&slots[i].to))
            return &slots[i];
    }
    return NULL;
}

/* Zeros from the page on that is not there. Of anybody else's memory: as if there were no handler. */
static void on_bus(int number, siginfo_t *info, void *context)
{
    (void)context;
    uintptr_t at = (uintptr_t)info->si_addr;
    struct slot *s = slot_of(at);
    uintptr_t page = at & ~(page_size - 1);
    if (s && mmap((void *)page, atomic_load(&s->to) - page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
                  0) != MAP_FAILED) {
        atomic_store(&s->torn, true);
        return;
    }
    (void)sigaction(number, &before, NULL); /* it comes again at once */
}

/* Each time: a test's framework or a sanitizer may have put its own in between. */
static void catch_bus(void)
{
    struct sigaction action = {.sa_sigaction = on_bus, .sa_flags = SA_SIGINFO};
    struct sigaction old;
    sigemptyset(&action.sa_mask);
    pthread_mutex_lock(&lock);
    page_size = (uintptr_t)sysconf(_SC_PAGESIZE);
    if (sigaction(SIGBUS, &action, &old) == 0 && old.sa_sigaction != on_bus)
        before = old;
    pthread_mutex_unlock(&lock);
}

static struct slot *slot_take(void)
{
    for (unsigned i = 0; i < FILE_MAPS_MAX; i++) {
        bool is_taken = false;
        if (atomic_compare_exchange_strong(&slots[i].taken, &is_taken, true))
            return &slots[i];
    }
    return NULL;
}

static void slot_give(struct slot *s)
{
    atomic_store(&s->from, 0);
    atomic_store(&s->torn, false);
    atomic_store(&s->taken, false);
}

static enum err map(int fd, const char *path, uint64_t size, struct bytes *out, struct note *note)
{
    struct slot *s = slot_take();
    if (!s)
        return note_set(note, ERR_FULL, "%s: %u files are mapped already, no more are", path, FILE_MAPS_MAX);
    void *p = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED) {
        slot_give(s);
        return file_failed(note, "map", path);
    }
    atomic_store(&s->to, ((uintptr_t)p + size + page_size - 1) & ~(page_size - 1));
    atomic_store(&s->from, (uintptr_t)p);
    *out = bytes_of(p, size);
    return ERR_OK;
}

enum err file_map(const char *path, struct bytes *out, struct note *note)
{
    int fd;
    uint64_t size;
    *out = (struct bytes){0};
    catch_bus();
    enum err e = file_open_regular(path, &fd, &size, note);
    if (e != ERR_OK)
        return e;
    if (size > 0)
        e = map(fd, path, size, out, note);
    close(fd);
    return e;
}

bool file_map_is_whole(struct bytes mapped)
{
    const struct slot *s = mapped.n ? slot_of((uintptr_t)mapped.p) : NULL;
    return !s || !atomic_load(&s->torn);
}

void file_unmap(struct bytes mapped)
{
    struct slot *s = mapped.n ? slot_of((uintptr_t)mapped.p) : NULL;
    if (!s)
        return;
    atomic_store(&s->from, 0); /* before its addresses are somebody else's */
    munmap((void *)(uintptr_t)mapped.p, mapped.n);
    slot_give(s);
}
