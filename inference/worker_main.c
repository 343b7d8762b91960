/* kith-worker: runs one model for whoever started it. It is given a socket (descriptor 3), the model's file
 * (descriptor 4) and perhaps a file for its packed weights (5), reads one message that says how to run, shuts itself in
 * (sandbox.h), and only then looks at the file. It ends when the other side closes the socket.
 *
 * Exit status: 0 closed by the other side, 1 the model cannot be run or its packed weights went bad (said as `failed`),
 * 2 started wrongly.
 */
#include "inference/sched/doctor.h"
#include "inference/sched/hop.h"
#include "inference/sandbox.h"
#include "inference/sched/sched.h"
#include "inference/train/trainer.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define READ_SIZE (64u << 10)

/* Most that a file of packed weights may have: they are about as large as the model, but rows are filled up to 16. */
#define PACK_FILE_FACTOR 2u
#define PACK_FILE_MORE   ((uint64_t)64 << 20)

static uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* Waits while the other side is slow to read: then there is no use in computing ahead of it. False when it is gone. */
static bool flush(struct buf *out)
{
    size_t at = 0;
    while (at < out->n) {
        ssize_t n = send(WORKER_FD_SOCKET, out->p + at, out->n - at, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            struct pollfd p = {.fd = WORKER_FD_SOCKET, .events = POLLOUT};
            poll(&p, 1, -1);
            continue;
        }
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        at += (size_t)n;
    }
    buf_reset(out);
    return true;
}

/* Takes what there is, waiting for it if told to. False when the other side is gone. */
static bool fill(struct buf *in, bool may_wait)
{
    struct pollfd p = {.fd = WORKER_FD_SOCKET, .events = POLLIN};
    int ready = poll(&p, 1, may_wait ? -1 : 0);
    if (ready <= 0)
        return ready == 0 || errno == EINTR;
    buf_reserve(in, READ_SIZE);
    ssize_t n = recv(WORKER_FD_SOCKET, in->p + in->n, READ_SIZE, MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    in->n += (size_t)n;
    return n > 0;
}

/* The first message, which must be `open`; *hops takes over what it says of them. */
static bool read_open(struct buf *in, struct wire_open *open, struct buf *hops)
{
    struct wire_frame frame;
    size_t used = 0;
    while (wire_next(bytes_of_buf(in), true, &frame, &used) == ERR_OK) {
        if (used == 0) {
            if (!fill(in, true))
                return false;
            continue;
        }
        bool is_right = frame.type == WIRE_OPEN && wire_read_open(frame.body, open);
        if (is_right) {
            buf_add(hops, open->hops.p, open->hops.n);
            open->hops = bytes_of_buf(hops);
        }
        buf_drop(in, used);
        return is_right;
    }
    return false;
}

static uint32_t count_processors(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return n < 1 ? 1 : n > (int)THREADS_MAX ? THREADS_MAX : (uint32_t)n;
}

/* Address space for what the limit does not mean: this program, thread stacks, the C library's heaps by thread, and the
 * file itself, whose pages are let go where they are packed. */
static uint64_t address_space(const struct wire_open *open, uint64_t file_bytes)
{
    const uint64_t program = (uint64_t)512 << 20, thread = (uint64_t)160 << 20;
    const bool is_part =
        open->mode == WIRE_LAYERS || open->hops.n; /* room for all packed weights, most of it never used */
    const uint64_t packed = is_part ? PACK_FILE_FACTOR * file_bytes + PACK_FILE_MORE : 0;
    return open->memory_bytes ? open->memory_bytes + file_bytes + packed + program + thread * open->threads : 0;
}

static enum err map_model(struct bytes *file, struct note *note)
{
    struct stat st;
    if (fstat(WORKER_FD_MODEL, &st) != 0 || !S_ISREG(st.st_mode))
        return note_set(note, ERR_IO, "the model is not a regular file");
    if (st.st_size <= 0)
        return note_set(note, ERR_FORMAT, "the model's file is empty");
    void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, WORKER_FD_MODEL, 0);
    if (p == MAP_FAILED)
        return note_set(note, ERR_IO, "the model cannot be mapped: %s", strerror(errno));
    *file = bytes_of(p, (size_t)st.st_size);
    return ERR_OK;
}

/* -- layers elsewhere -- */

struct line {
    struct buf in, out;
};

/* Our call's answer, which may stand behind other messages: those wait. False when the other side is gone or odd. */
static bool find_answer(struct buf *in, uint32_t hop, struct wire_far_answer *m, size_t *at, size_t *used)
{
    struct wire_frame frame;
    for (*at = 0;; *at += *used) {
        while (wire_next(bytes_of(in->p + *at, in->n - *at), true, &frame, used) == ERR_OK && *used == 0)
            if (!fill(in, true))
                return false;
        if (*used == 0)
            return false;
        if (frame.type == WIRE_FAR_ANSWER)
            return wire_read_far_answer(frame.body, m) && m->hop == hop;
    }
}

static enum err nobody_carries(struct note *note)
{
    return note_set(note, ERR_CLOSED, "nobody carries calls to layers elsewhere any more");
}

static enum err send_far(void *arg, uint32_t hop, struct bytes call, struct note *note)
{
    struct line *line = arg;
    wire_add_far_call(&line->out, &(struct wire_far_call){.hop = hop, .call = call});
    return flush(&line->out) ? ERR_OK : nobody_carries(note);
}

/* Nothing else is done until the answer is there: the batch needs it. Who gives up waiting is kithd. */
static enum err receive_far(void *arg, uint32_t hop, struct buf *answer, struct note *note)
{
    struct line *line = arg;
    struct wire_far_answer m;
    size_t at, used = 0;
    if (!find_answer(&line->in, hop, &m, &at, &used))
        return nobody_carries(note);
    enum err e = (enum err)m.code;
    if (e == ERR_OK)
        buf_add(answer, m.answer.p, m.answer.n);
    else
        note_set(note, e, "%s", m.text.s);
    memmove(line->in.p + at, line->in.p + at + used, line->in.n - at - used);
    line->in.n -= used;
    return e;
}

static enum err call_far(void *arg, uint32_t hop, struct bytes call, struct buf *answer, struct note *note)
{
    enum err e = send_far(arg, hop, call, note);
    return e == ERR_OK ? receive_far(arg, hop, answer, note) : e;
}

/* -- serving -- */

/* The next message that is there; *used 0: none is whole yet. */
static enum err next_message(const struct buf *in, struct wire_frame *frame, size_t *used, struct note *note)
{
    enum err e = wire_next(bytes_of_buf(in), true, frame, used);
    return e == ERR_OK ? ERR_OK : note_set(note, e, "what came over the socket is no message");
}

/* Says why, and ends the process with the status that is returned. */
static int give_up(struct buf *out, enum err e, const struct note *note)
{
    wire_add_failure(out, 0, e, note);
    flush(out);
    return 1;
}

/* A worker that has layers for others: a call at a time. */
static int serve_hop(struct hop *h, struct buf *in, struct buf *out)
{
    struct note note;
    for (;;) {
        struct wire_frame frame;
        size_t used;
        enum err e = next_message(in, &frame, &used, &note);
        if (e == ERR_OK && used > 0)
            e = hop_take(h, &frame, out, &note);
        if (e == ERR_OK)
            buf_drop(in, used);
        else
            wire_add_failure(out, 0, e, &note);
        if (!flush(out) || e != ERR_OK || (used == 0 && !fill(in, true)))
            return e == ERR_OK ? 0 : 1;
    }
}

/* A worker that trains: every message that is there, then a step. */
static int serve_trainer(struct trainer *t, struct buf *in, struct buf *out)
{
    struct note note;
    for (;;) {
        struct wire_frame frame;
        size_t used;
        enum err e = next_message(in, &frame, &used, &note);
        if (e == ERR_OK && used > 0) {
            e = trainer_take(t, &frame, out, &note);
            buf_drop(in, used);
        } else if (e == ERR_OK) {
            if (trainer_is_busy(t))
                trainer_step(t, out);
            if (!flush(out) || !fill(in, !trainer_is_busy(t)))
                return 0;
        }
        if (e != ERR_OK)
            return give_up(out, e, &note);
    }
}

/* Every message that is there, then a batch, until the other side goes. */
static int serve(struct sched *s, struct buf *in, struct buf *out)
{
    struct note note;
    for (;;) {
        struct wire_frame frame;
        size_t used;
        enum err e = next_message(in, &frame, &used, &note);
        if (e == ERR_OK && used > 0) {
            e = sched_take(s, &frame, out, &note);
            buf_drop(in, used);
        } else if (e == ERR_OK) {
            if (sched_is_busy(s))
                sched_step(s, out);
            e = sched_tend(s, &note);
            if (e == ERR_OK && (!flush(out) || !fill(in, !sched_is_busy(s) && !sched_has_chores(s))))
                return 0;
        }
        if (e != ERR_OK)
            return give_up(out, e, &note);
    }
}

/* What was read until now and is asked for again comes back from the page cache; the rest is there only packed. */
static void let_go(struct bytes file)
{
    madvise((void *)(uintptr_t)file.p, file.n, MADV_DONTNEED);
}

/* The model is opened behind the walls, and served; a status of the process. */
static int run_model(const struct wire_open *open, const struct sched_options *o, struct line *line)
{
    struct sched *s = NULL;
    struct hop *h = NULL;
    struct trainer *t = NULL;
    struct note note = {{0}};
    const struct hop_options ho = {.file = o->file, .pack_fd = o->pack_fd, .devices = o->devices};
    enum err e = open->mode == WIRE_LAYERS     ? hop_open(open, &ho, &line->out, &h, &note)
                 : open->mode == WIRE_TRAINING ? trainer_open(open, o->file, o->clock, &line->out, &t, &note)
                                               : sched_open(open, o, &line->out, &s, &note);
    if (e != ERR_OK) {
        wire_add_failure(&line->out, 0, e, &note);
        flush(&line->out);
        return 1;
    }
    if (!t) /* who trains reads its weights from there, again and again */
        let_go(o->file);
    int status = h   ? serve_hop(h, &line->in, &line->out)
                 : t ? serve_trainer(t, &line->in, &line->out)
                     : serve(s, &line->in, &line->out);
    hop_close(h);
    trainer_close(t);
    sched_close(s);
    return status;
}

static int run(void)
{
    struct line line = {{0}, {0}};
    struct buf hops = {0};
    struct wire_open open;
    struct sandbox_state walls = {0};
    struct devices devices = {0};
    struct note note = {{0}};
    struct sched_options so = {.devices = &devices,
                               .clock = now_us,
                               .call = call_far,
                               .send = send_far,
                               .receive = receive_far,
                               .call_arg = &line};
    if (!read_open(&line.in, &open, &hops))
        return 2;
    signal(SIGXFSZ, SIG_IGN); /* a file over its limit is an error like others */
    if (open.threads == 0)
        open.threads = count_processors();
    /* Mapped before the walls go up, since the limits depend on its size; not a byte of it is read. */
    enum err e = map_model(&so.file, &note);
    const bool has_pack = open.pack != WIRE_PACK_NONE;
    so.pack_fd = has_pack ? WORKER_FD_PACK : -1;
    struct sandbox_options o = {.fd_last = has_pack ? WORKER_FD_PACK : WORKER_FD_MODEL,
                                .fd_written = open.pack == WIRE_PACK_NEW ? WORKER_FD_PACK : -1,
                                .written_bytes = e == ERR_OK ? PACK_FILE_FACTOR * so.file.n + PACK_FILE_MORE : 0,
                                .memory_bytes = e == ERR_OK ? address_space(&open, so.file.n) : 0};
    if (e == ERR_OK && sched_wants_devices(&open) && devices_possible(&devices)) {
        sandbox_before_devices(&o, &walls);
        devices_start(&devices);
        o.has_devices = devices.n > 0;
    }
    if (e == ERR_OK)
        e = sandbox_enter(&o, &walls, &note);
    int status = 1;
    if (e == ERR_OK) {
        status = run_model(&open, &so, &line);
    } else {
        wire_add_failure(&line.out, 0, e, &note);
        flush(&line.out);
    }
    buf_clear(&line.in);
    buf_clear(&line.out);
    buf_clear(&hops);
    return status;
}

/* For `kith doctor`. */
static int tell_doctor(void)
{
    struct buf out = {0};
    doctor_look(&out);
    buf_add_text(&out, "\n");
    ssize_t n = write(STDOUT_FILENO, out.p, out.n);
    return n == (ssize_t)out.n ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct stat st;
    if (argc == 2 && strcmp(argv[1], WORKER_DOCTOR) == 0)
        _exit(tell_doctor());
    if (fstat(WORKER_FD_SOCKET, &st) != 0 || !S_ISSOCK(st.st_mode)) {
        fprintf(stderr, "kith-worker is started by kith and kithd, with a socket as descriptor %d\n", WORKER_FD_SOCKET);
        return 2;
    }
    _exit(run()); /* nothing is registered to run at the end, and a sanitizer's search for leaks is not let out */
}
