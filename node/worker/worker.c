/* Processes of workers: started, spoken to, buried, started again. */
#include "node/worker/worker_in.h"

#include "base/last_words.h"
#include "base/locate.h"
#include "base/log.h"
#include "base/mem.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

/* A process and our end of its socket. It lives until libuv has closed both handles, and outlives its worker. */
struct worker_proc {
    struct worker *worker; /* NULL once nobody listens any more */
    uv_process_t process;
    uv_pipe_t pipe;
    int said; /* base/last_words.h */
    bool has_process, is_pipe_closed;
    struct buf in;
};

static void proc_died(struct worker_proc *p, const char *why);

/* -- handles -- */

static void proc_release(struct worker_proc *p)
{
    char ignored[LAST_WORDS_ROOM];
    if (p->has_process || !p->is_pipe_closed)
        return;
    last_words_take(p->said, ignored); /* of one that never started */
    buf_clear(&p->in);
    free(p);
}

static void on_pipe_closed(uv_handle_t *h)
{
    struct worker_proc *p = h->data;
    p->is_pipe_closed = true;
    proc_release(p);
}

static void on_process_closed(uv_handle_t *h)
{
    struct worker_proc *p = h->data;
    p->has_process = false;
    proc_release(p);
}

/* The handle stays open until here, or the child would stay a zombie. */
static void on_exit_status(uv_process_t *process, int64_t status, int signal)
{
    struct worker_proc *p = process->data;
    char why[64], said[LAST_WORDS_ROOM];
    last_words_take(p->said, said);
    p->said = -1;
    if (said[0])
        log_event(LOG_ODD, "worker", "said", "text=\"%s\"", said);
    snprintf(why, sizeof why, "status=%" PRId64 " signal=%d", status, signal);
    uv_close((uv_handle_t *)process, on_process_closed);
    proc_died(p, why);
}

/* Cuts the process off from its worker and kills it. */
static void proc_drop(struct worker_proc *p)
{
    p->worker = NULL;
    if (p->has_process && !uv_is_closing((uv_handle_t *)&p->process))
        uv_process_kill(&p->process, SIGKILL);
    if (!uv_is_closing((uv_handle_t *)&p->pipe))
        uv_close((uv_handle_t *)&p->pipe, on_pipe_closed);
}

void worker_drop_process(struct worker *w)
{
    if (w->proc)
        proc_drop(w->proc);
    w->proc = NULL;
}

static void on_room(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
    struct worker_proc *p = h->data;
    buf_reserve(&p->in, suggested);
    *buf = uv_buf_init((char *)p->in.p + p->in.n, (unsigned)suggested);
}

struct sending {
    uv_write_t req;
    struct buf frames;
};

static void on_sent(uv_write_t *req, int status)
{
    struct sending *s = req->data;
    (void)status; /* a failure shows in reading, too */
    buf_clear(&s->frames);
    free(s);
}

void worker_send_take(struct worker *w, struct buf *frames)
{
    CHECK(w->proc);
    struct sending *s = mem_new(sizeof *s);
    s->frames = *frames;
    *frames = (struct buf){0};
    s->req.data = s;
    const uv_buf_t b = uv_buf_init((char *)s->frames.p, (unsigned)s->frames.n);
    if (s->frames.n == 0 || uv_write(&s->req, (uv_stream_t *)&w->proc->pipe, &b, 1, on_sent) != 0)
        on_sent(&s->req, -1);
}

/* -- what a process says -- */

/* Syncing a file of gigabytes takes seconds: not on the loop. It is named there, too, and nobody waits for it. */
struct finishing {
    uv_work_t req;
    struct keep_file pack;
    enum err e;
    struct note note;
};

static void finish_pack(uv_work_t *req)
{
    struct finishing *f = req->data;
    f->e = keep_finish(&f->pack, &f->note);
}

static void on_finished(uv_work_t *req, int status)
{
    struct finishing *f = req->data;
    if (status == 0 && f->e != ERR_OK)
        log_event(LOG_ODD, "worker", "pack", "%s", f->note.text);
    else if (status == 0)
        log_event(LOG_INFO, "worker", "pack", "kept=%s", f->pack.path);
    keep_clear(&f->pack);
    free(f);
}

static void finish_pack_take(struct worker *w)
{
    struct finishing *f = mem_new(sizeof *f);
    f->pack = w->pack;
    w->pack = (struct keep_file){.fd = -1};
    f->req.data = f;
    if (uv_queue_work(host_uv_loop(w->host), &f->req, finish_pack, on_finished) != 0) {
        keep_clear(&f->pack);
        free(f);
    }
}

static void take_pack(struct worker *w, const struct wire_opened *m)
{
    if (m->remark.n)
        log_event(LOG_ODD, "worker", "pack", "%s", m->remark.s);
    if (m->packed == WIRE_PACKED_MADE && w->pack.is_new)
        finish_pack_take(w);
    else if (m->packed == WIRE_PACKED_BAD)
        keep_remove(&w->pack);
    else if (m->packed != WIRE_PACKED_USED)
        keep_clear(&w->pack);
}

static void take_opened(struct worker *w, const struct wire_opened *m)
{
    w->opened = *m;
    w->state = WORKER_READY;
    take_pack(w, m);
    log_event(LOG_INFO, "worker", "ready", "architecture=%s format=%s backend=%s context=%u", m->architecture.s,
              m->format.s, m->backend.s, m->context);
    if (m->device.n)
        log_event(LOG_INFO, "worker", "device", "%s", m->device.s);
    ask_send_all(w);
    ask_tell_ready(w);
}

/* The model cannot be run: no death, and no use in trying again. */
static void take_refusal(struct worker *w, const struct wire_failed *m)
{
    struct note note;
    w->refusal = wire_failure(m, &note);
    if (w->mode == WORKER_FULL && w->owner->far)
        w->owner->far->refused(w->owner->far_arg, w, w->refusal, &note);
    w->refusal_note = note;
    w->state = WORKER_REFUSED;
    log_event(LOG_ODD, "worker", "refused", "%s", note.text);
    worker_drop_process(w);
    if (w->mode == WORKER_LAYERS)
        worker_end_layers(w);
    else
        ask_fail_all(w, w->refusal, &note);
}

/* A GPU failed; what it was asked goes on. */
static enum err take_device(struct worker *w, const struct wire_frame *frame)
{
    struct wire_device m;
    if (!wire_read_device(frame->body, &m))
        return ERR_PROTOCOL;
    w->opened.device = m.device;
    log_event(LOG_ODD, "worker", "device", "%s", m.device.s);
    return ERR_OK;
}

static enum err take_frame(struct worker *w, const struct wire_frame *frame)
{
    struct wire_opened opened;
    struct wire_failed failed;
    if (w->state == WORKER_READY && frame->type == WIRE_FAILED && wire_read_failed(frame->body, &failed) &&
        failed.ask == 0 && failed.code == ERR_CORRUPT) {
        log_event(LOG_ODD, "worker", "pack", "%s", failed.text.s);
        keep_remove(&w->pack);
        return ERR_CORRUPT;
    }
    if (w->state == WORKER_READY && frame->type == WIRE_DEVICE)
        return take_device(w, frame);
    if (w->state == WORKER_READY && frame->type == WIRE_FAR_CALL)
        return worker_take_far_call(w, frame);
    if (w->state == WORKER_READY)
        return ask_take(w, frame);
    if (frame->type == WIRE_OPENED && wire_read_opened(frame->body, &opened))
        take_opened(w, &opened);
    else if (frame->type == WIRE_FAILED && wire_read_failed(frame->body, &failed))
        take_refusal(w, &failed);
    else
        return ERR_PROTOCOL;
    return ERR_OK;
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct worker_proc *p = stream->data;
    (void)buf;
    if (n < 0) {
        proc_died(p, uv_strerror((int)n));
        return;
    }
    p->in.n += (size_t)n;
    size_t at = 0;
    /* A callback may stop the worker: then `worker` is NULL, and nobody wants the rest. */
    while (p->worker) {
        struct wire_frame frame;
        size_t used;
        enum err e = wire_next(bytes_of(p->in.p + at, p->in.n - at), false, &frame, &used);
        if (e == ERR_OK && used == 0)
            break;
        if (e == ERR_OK)
            e = take_frame(p->worker, &frame);
        if (e != ERR_OK) {
            proc_died(p, e == ERR_CORRUPT ? "its packed weights were damaged" : "it spoke against the protocol");
            break;
        }
        at += used;
    }
    buf_drop(&p->in, at);
}

/* -- starting -- */

void worker_pack_name(const struct hash *root, struct buf *out)
{
    char hex[2 * HASH_SIZE + 1];
    hex_put(hex, root->b, HASH_SIZE);
    buf_add_format(out, "%s-%d.pack", hex, WIRE_PACK_VERSION);
}

/* A file for packed weights, as far as there is one. */
static void open_pack(struct worker *w)
{
    const struct workers_options *o = &w->owner->o;
    struct note note;
    struct buf name = {0};
    keep_clear(&w->pack);
    if (!o->packs || o->packs_bytes == 0 || w->mode == WORKER_VOCAB)
        return;
    worker_pack_name(&w->root, &name);
    enum err e = keep_open(o->packs, o->packs_bytes, buf_text(&name), w->file_bytes, &w->pack, &note);
    if (e != ERR_OK)
        log_event(e == ERR_BUSY || e == ERR_LIMIT ? LOG_DEBUG : LOG_ODD, "worker", "pack", "%s", note.text);
    buf_clear(&name);
}

static void say_open(struct worker *w)
{
    const struct workers_options *o = &w->owner->o;
    struct wire_open m = {.mode = w->mode == WORKER_VOCAB    ? WIRE_VOCAB
                                  : w->mode == WORKER_LAYERS ? WIRE_LAYERS
                                                             : WIRE_FULL,
                          .root = w->root,
                          .pack = w->pack.fd < 0   ? WIRE_PACK_NONE
                                  : w->pack.is_new ? WIRE_PACK_NEW
                                                   : WIRE_PACK_KEPT,
                          .threads = o->threads,
                          .batch = w->batch,
                          .jobs = o->jobs_max,
                          .first = w->layers.first,
                          .end = w->layers.end,
                          .pages = w->pages,
                          .hops = bytes_of_buf(&w->hops),
                          .memory_bytes = o->memory_bytes};
    struct buf out = {0};
    if (!o->backend || !text64_set(&m.backend, o->backend))
        CHECK(text64_set(&m.backend, "auto"));
    wire_add_open(&out, &m);
    worker_send_take(w, &out);
}

static int spawn(struct worker *w, struct worker_proc *p)
{
    uv_stdio_container_t stdio[WORKER_FD_PACK + 1];
    int says;
    p->said = last_words_open(&says);
    memset(stdio, 0, sizeof stdio);
    stdio[0].flags = stdio[1].flags = UV_IGNORE;
    stdio[2].flags = UV_INHERIT_FD;
    stdio[2].data.fd = says;
    stdio[WORKER_FD_SOCKET].flags = UV_CREATE_PIPE | UV_READABLE_PIPE | UV_WRITABLE_PIPE;
    stdio[WORKER_FD_SOCKET].data.stream = (uv_stream_t *)&p->pipe;
    stdio[WORKER_FD_MODEL].flags = UV_INHERIT_FD;
    stdio[WORKER_FD_MODEL].data.fd = w->fd;
    stdio[WORKER_FD_PACK].flags = UV_INHERIT_FD;
    stdio[WORKER_FD_PACK].data.fd = w->pack.fd;
    char *argv[] = {"kith-worker", NULL}, *environment[LOCATE_ENVIRONMENT_MAX];
    locate_environment(environment);
    uv_process_options_t o;
    memset(&o, 0, sizeof o);
    o.exit_cb = on_exit_status;
    o.file = buf_text(&w->owner->program);
    o.args = argv;
    o.env = environment;
    o.stdio = stdio;
    o.stdio_count = w->pack.fd < 0 ? WORKER_FD_PACK : WORKER_FD_PACK + 1;
    int rc = uv_spawn(host_uv_loop(w->owner->o.host), &p->process, &o);
    last_words_start(says);
    return rc;
}

void worker_start(struct worker *w)
{
    if (w->state == WORKER_DOWN && worker_may_start(w))
        worker_spawn(w);
}

void worker_spawn(struct worker *w)
{
    struct worker_proc *p = mem_new(sizeof *p);
    p->worker = w;
    p->process.data = p->pipe.data = p;
    p->said = -1;
    uv_pipe_init(host_uv_loop(w->owner->o.host), &p->pipe, 0);
    w->proc = p;
    w->state = WORKER_STARTING;
    open_pack(w);
    int rc = spawn(w, p);
    p->has_process = true; /* also a failed one has a handle to close */
    if (rc != 0) {
        uv_close((uv_handle_t *)&p->process, on_process_closed);
        proc_died(p, uv_strerror(rc));
        return;
    }
    say_open(w);
    rc = uv_read_start((uv_stream_t *)&p->pipe, on_room, on_read);
    if (rc != 0)
        proc_died(p, uv_strerror(rc));
}

static void on_restart(void *arg)
{
    struct worker *w = arg;
    w->state = WORKER_DOWN;
    if (w->mode == WORKER_LAYERS) {
        worker_end_layers(w);
        return;
    }
    if (w->deaths > WORKER_DEATHS_MAX) {
        struct note note;
        note_set(&note, ERR_CLOSED, "kith-worker ended %u times in a row; the log says how (%.150s)", w->deaths,
                 buf_text(&w->owner->program));
        ask_fail_all(w, ERR_CLOSED, &note);
        return;
    }
    if (w->asks)
        worker_start(w);
}

/* By end of file or exit, whichever is seen first; afterwards the process has no worker. */
static void proc_died(struct worker_proc *p, const char *why)
{
    struct worker *w = p->worker;
    proc_drop(p);
    if (!w)
        return;
    w->proc = NULL;
    w->state = WORKER_WAITING;
    w->deaths++;
    worker_tell_ended(w, false);
    log_event(LOG_ODD, "worker", "died", "deaths=%u jobs=%u why=%s", w->deaths, w->asks_n, why);
    uint64_t pause_ms = (uint64_t)WORKER_BACKOFF_MS << (w->deaths < 8 ? w->deaths - 1 : 7);
    host_timer_set(w->owner->o.host, &w->restart,
                   w->deaths > WORKER_DEATHS_MAX || w->mode == WORKER_LAYERS ? 0 : pause_ms, on_restart, w);
}
