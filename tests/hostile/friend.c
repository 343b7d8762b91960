#include "tests/hostile/friend.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SAMPLES_MAX 65536u
#define PATIENCE_MS 10000u /* then it counts as failed */

struct one {
    pthread_t thread;
    pthread_mutex_t lock;
    const struct friends *owner;
    uint64_t seed;
    uint32_t *waited;
    unsigned n, failed;
};

struct friends {
    struct one one[FRIEND_KINDS];
    struct field field;
    uint16_t http_port;
    atomic_bool is_over;
};

static bool is_over(const struct one *o)
{
    return atomic_load(&((struct friends *)(uintptr_t)o->owner)->is_over);
}

static void waited(struct one *o, uint64_t ms)
{
    pthread_mutex_lock(&o->lock);
    if (ms >= PATIENCE_MS)
        o->failed++;
    if (o->n < SAMPLES_MAX)
        o->waited[o->n++] = (uint32_t)ms;
    pthread_mutex_unlock(&o->lock);
}

static void rest(unsigned ms)
{
    usleep(ms * 1000);
}

/* -- peers -- */

struct asking {
    struct foe foe;
    bool is_answered;
};

static void on_message(struct foe *f, uint8_t type, struct bytes body)
{
    struct asking *a = (struct asking *)(void *)f; /* its first member */
    (void)body;
    a->is_answered |= type == MSG_BLOCK;
}

static void ask(struct foe *f)
{
    uint8_t height[8] = {1};
    foe_message(f, MSG_BLOCK_GET, bytes_of(height, sizeof height));
}

static void poll_once(struct foe *f)
{
    struct pollfd p = {f->fd, foe_events(f), 0};
    int n = poll(&p, 1, 20);
    foe_step(f, n > 0 ? p.revents : 0);
}

/* Dials until the node said hello and answered one question. False if that took too long. */
static bool arrive(struct asking *a, const struct one *o)
{
    uint64_t start_ms = foe_now_ms();
    bool has_asked = false;
    a->is_answered = false;
    foe_dial(&a->foe, start_ms);
    while (!a->is_answered && !is_over(o)) {
        uint64_t now_ms = foe_now_ms();
        if (now_ms >= start_ms + PATIENCE_MS)
            return false;
        if (a->foe.state == FOE_CLOSED) { /* refused: again, as a node would */
            rest(50);
            foe_dial(&a->foe, now_ms);
            has_asked = false;
        }
        if (a->foe.state == FOE_READY && !has_asked) {
            ask(&a->foe);
            has_asked = true;
        }
        poll_once(&a->foe);
    }
    return true;
}

static void asking_init(struct asking *a, struct one *o, struct field *field)
{
    *field = o->owner->field;
    a->foe.field = field;
    a->foe.random = (struct random){o->seed};
    a->foe.on_message = on_message;
    a->foe.from = (127u << 24) + ((2u + (uint32_t)(o - o->owner->one)) << 16) + 1; /* a network of its own */
}

static void *run_peer(void *arg)
{
    struct one *o = arg;
    struct field field;
    struct asking a = {0};
    asking_init(&a, o, &field);
    while (!is_over(o)) {
        uint64_t start_ms = foe_now_ms();
        if (a.foe.state != FOE_READY) { /* not by its fault: what it takes to come back counts */
            (void)arrive(&a, o);
        } else {
            a.is_answered = false;
            ask(&a.foe);
            while (!a.is_answered && a.foe.state == FOE_READY && foe_now_ms() < start_ms + PATIENCE_MS && !is_over(o))
                poll_once(&a.foe);
            if (!a.is_answered)
                continue;
        }
        if (!is_over(o))
            waited(o, foe_now_ms() - start_ms);
        for (int i = 0; i < 3; i++)
            poll_once(&a.foe); /* answers pings */
    }
    foe_clear(&a.foe);
    return NULL;
}

static void *run_newcomer(void *arg)
{
    struct one *o = arg;
    struct field field;
    struct asking a = {0};
    asking_init(&a, o, &field);
    while (!is_over(o)) {
        uint64_t start_ms = foe_now_ms();
        (void)arrive(&a, o);
        if (!is_over(o))
            waited(o, foe_now_ms() - start_ms);
        foe_close(&a.foe);
        rest(200);
    }
    foe_clear(&a.foe);
    return NULL;
}

/* -- the API -- */

static bool get_health(uint16_t port)
{
    static const char request[] = "GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval patience = {PATIENCE_MS / 1000, 0};
    char answer[512] = {0};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    bool ok = connect(fd, (const struct sockaddr *)&at, sizeof at) == 0 &&
              send(fd, request, sizeof request - 1, MSG_NOSIGNAL) == (ssize_t)sizeof request - 1 &&
              recv(fd, answer, sizeof answer - 1, 0) > 0 && strstr(answer, " 200 ");
    close(fd);
    return ok;
}

static void *run_client(void *arg)
{
    struct one *o = arg;
    while (!is_over(o)) {
        uint64_t start_ms = foe_now_ms();
        bool ok = get_health(o->owner->http_port);
        if (!is_over(o))
            waited(o, ok ? foe_now_ms() - start_ms : PATIENCE_MS);
        rest(100);
    }
    return NULL;
}

/* -- all -- */

struct friends *friends_start(const struct field *field, uint16_t http_port, uint64_t seed)
{
    static void *(*const runs[FRIEND_KINDS])(void *) = {run_peer, run_newcomer, run_client};
    struct friends *f = mem_new(sizeof *f);
    f->field = *field;
    f->http_port = http_port;
    for (int k = 0; k < FRIEND_KINDS; k++) {
        struct one *o = &f->one[k];
        o->owner = f;
        o->seed = seed + (uint64_t)k * 977;
        o->waited = mem_array(SAMPLES_MAX, sizeof *o->waited);
        pthread_mutex_init(&o->lock, NULL);
        CHECK(pthread_create(&o->thread, NULL, runs[k], o) == 0);
    }
    return f;
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

struct waits friends_take(struct friends *f, enum friend_kind kind)
{
    struct one *o = &f->one[kind];
    pthread_mutex_lock(&o->lock);
    qsort(o->waited, o->n, sizeof *o->waited, compare);
    struct waits w = {.n = o->n, .failed = o->failed};
    if (o->n > 0) {
        w.median_ms = o->waited[o->n / 2];
        w.worst_ms = o->waited[o->n - 1];
    }
    o->n = o->failed = 0;
    pthread_mutex_unlock(&o->lock);
    return w;
}

void friends_stop(struct friends *f)
{
    atomic_store(&f->is_over, true);
    for (int k = 0; k < FRIEND_KINDS; k++) {
        pthread_join(f->one[k].thread, NULL);
        pthread_mutex_destroy(&f->one[k].lock);
        free(f->one[k].waited);
    }
    free(f);
}
