#include "tests/hostile/foe.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define READ_ROOM 262144

uint64_t foe_now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void draw_key(struct foe *f, struct seckey *out)
{
    do
        random_bytes(&f->random, out->b, sizeof out->b);
    while (!key_is_valid(out));
}

static void begin(struct foe *f, int fd, uint64_t now_ms)
{
    int one = 1;
    f->fd = fd;
    f->at_ms = now_ms;
    f->turns = f->streams = 0;
    f->next_ms = 0;
    f->message_type = 0;
    buf_reset(&f->in);
    buf_reset(&f->out);
    buf_reset(&f->message);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

void foe_dial(struct foe *f, uint64_t now_ms)
{
    foe_close(f);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    begin(f, fd, now_ms);
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(f->from)};
    if (f->from)
        (void)bind(fd, (const struct sockaddr *)&from, sizeof from); /* or dials as others do */
    f->dialled = true;
    draw_key(f, &f->secret);
    key_derive(&f->secret, &f->key);
    if (connect(fd, (const struct sockaddr *)&f->field->at, sizeof f->field->at) != 0 && errno != EINPROGRESS) {
        foe_close(f);
        return;
    }
    f->state = FOE_CONNECTING;
}

void foe_accept(struct foe *f, int fd, const struct seckey *secret, uint64_t now_ms)
{
    struct seckey ephemeral;
    foe_close(f);
    begin(f, fd, now_ms);
    f->dialled = false;
    f->secret = *secret;
    draw_key(f, &ephemeral);
    noise_init_responder(&f->noise, &f->secret, &ephemeral);
    f->state = FOE_HANDSHAKE;
}

void foe_close(struct foe *f)
{
    if (f->state != FOE_CLOSED)
        close(f->fd);
    f->state = FOE_CLOSED;
}

void foe_clear(struct foe *f)
{
    foe_close(f);
    buf_clear(&f->in);
    buf_clear(&f->out);
    buf_clear(&f->message);
}

short foe_events(const struct foe *f)
{
    if (f->state == FOE_CLOSED)
        return 0;
    bool writes = f->state == FOE_CONNECTING || f->out.n > 0;
    return (short)((writes ? POLLOUT : 0) | (f->is_deaf && f->state == FOE_READY ? 0 : POLLIN));
}

/* -- out -- */

void foe_raw(struct foe *f, const void *p, size_t n)
{
    buf_add(&f->out, p, n);
}

void foe_frame(struct foe *f, struct bytes plain)
{
    noise_put(&f->noise, &f->out, plain);
}

void foe_message(struct foe *f, uint8_t type, struct bytes body)
{
    const size_t part_max = FRAME_BODY_MAX - 1;
    uint8_t plain[FRAME_BODY_MAX];
    do {
        size_t n = body.n < part_max ? body.n : part_max;
        plain[0] = (uint8_t)(type | (n < body.n ? FRAME_MORE : 0));
        if (n)
            memcpy(plain + 1, body.p, n);
        foe_frame(f, bytes_of(plain, n + 1));
        body.n -= n;
        body.p = body.n ? body.p + n : body.p;
    } while (body.n);
}

static void say_hello(struct foe *f)
{
    struct buf body = {0};
    struct hello h = f->hello;
    if (!f->has_hello)
        h = (struct hello){.version = PROTOCOL_VERSION, .chain = f->field->chain, .height = f->field->height};
    hello_put(&body, &h);
    foe_message(f, MSG_HELLO, bytes_of_buf(&body));
    buf_clear(&body);
}

static void write_out(struct foe *f)
{
    while (f->out.n > 0) {
        ssize_t n = send(f->fd, f->out.p, f->out.n, MSG_NOSIGNAL);
        if (n <= 0) {
            if (n < 0 && errno != EAGAIN)
                foe_close(f);
            return;
        }
        buf_drop(&f->out, (size_t)n);
    }
}

/* -- in -- */

static void connected(struct foe *f)
{
    int fault = 0;
    socklen_t n = sizeof fault;
    struct seckey ephemeral;
    if (getsockopt(f->fd, SOL_SOCKET, SO_ERROR, &fault, &n) != 0 || fault) {
        foe_close(f);
        return;
    }
    f->state = FOE_HANDSHAKE;
    if (f->is_raw)
        return;
    struct point remote = key_point_even(&f->field->node);
    draw_key(f, &ephemeral);
    if (!noise_init_initiator(&f->noise, &f->secret, &remote, &ephemeral, &f->out))
        foe_close(f);
}

static void step_handshake(struct foe *f)
{
    size_t want = noise_wants(&f->noise);
    while (want && f->in.n >= want) {
        if (noise_step(&f->noise, bytes_of(f->in.p, want), &f->out) != NOISE_OK) {
            foe_close(f);
            return;
        }
        buf_drop(&f->in, want);
        want = noise_wants(&f->noise);
    }
    if (!want)
        f->state = FOE_HELLO;
}

static void take_message(struct foe *f, uint8_t type, struct bytes body)
{
    struct hello h;
    if (type == MSG_HELLO && MSG_GET(hello, body, &h)) {
        f->field->chain = h.chain;
        f->field->height = h.height;
        f->state = FOE_READY;
        if (f->first)
            f->first(f);
        else
            say_hello(f); /* theirs first: it names the chain */
    } else if (type == MSG_STATUS && body.n >= 8) {
        f->field->height = load_le64(body.p);
    } else if (type == MSG_PING) {
        foe_message(f, MSG_PONG, body);
    }
    if (f->on_message)
        f->on_message(f, type, body);
}

static void step_frames(struct foe *f)
{
    size_t used = 0;
    while (f->state >= FOE_HELLO && f->in.n - used >= NOISE_HEADER_SIZE) {
        uint16_t length;
        uint8_t plain[FRAME_BODY_MAX];
        struct noise before = f->noise;
        if (!noise_get_length(&f->noise, f->in.p + used, &length))
            break;
        if (f->in.n - used < (size_t)NOISE_FRAME_EXTRA + length) {
            f->noise = before;
            break;
        }
        if (!noise_get_body(&f->noise, f->in.p + used + NOISE_HEADER_SIZE, length, plain) || length == 0)
            break;
        used += (size_t)NOISE_FRAME_EXTRA + length;
        uint8_t type = plain[0] & (FRAME_MORE - 1);
        buf_add(&f->message, plain + 1, length - 1u);
        if (plain[0] & FRAME_MORE)
            continue;
        take_message(f, type, bytes_of_buf(&f->message));
        buf_reset(&f->message);
    }
    if (f->state != FOE_CLOSED)
        buf_drop(&f->in, used);
}

static void read_in(struct foe *f)
{
    static _Thread_local uint8_t room[READ_ROOM];
    ssize_t n = recv(f->fd, room, sizeof room, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN)) {
        foe_close(f);
        return;
    }
    if (n < 0 || f->is_raw)
        return;
    buf_add(&f->in, room, (size_t)n);
    if (f->state == FOE_HANDSHAKE)
        step_handshake(f);
    if (f->state >= FOE_HELLO)
        step_frames(f);
}

void foe_step(struct foe *f, short events)
{
    if (f->state == FOE_CONNECTING && events & (POLLOUT | POLLERR | POLLHUP))
        connected(f);
    else if (f->state != FOE_CLOSED && events & (POLLIN | POLLERR | POLLHUP))
        read_in(f);
    if (f->state > FOE_CONNECTING)
        write_out(f);
}
