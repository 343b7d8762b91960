/* The pool of workers: one a model, as many as the memory that they may take together has room for. */
#include "node/worker/worker_in.h"

#include "base/locate.h"
#include "base/log.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct workers *workers_new(const struct workers_options *o)
{
    struct workers *ws = mem_new(sizeof *ws);
    struct note note;
    ws->o = *o;
    if (o->program)
        buf_add_text(&ws->program, o->program);
    else if (locate_worker(&ws->program, &note) != ERR_OK)
        log_event(LOG_ODD, "worker", "missing", "%s", note.text); /* starting one will say so again */
    ws->o.program = buf_text(&ws->program);
    if (o->packs)
        buf_add_text(&ws->packs, o->packs);
    ws->o.packs = o->packs ? buf_text(&ws->packs) : NULL;
    return ws;
}

static void worker_free(struct worker *w)
{
    host_timer_cancel(w->owner->o.host, &w->restart);
    host_timer_cancel(w->owner->o.host, &w->late);
    worker_drop_process(w);
    ask_free_all(w);
    buf_clear(&w->hops);
    keep_clear(&w->pack);
    close(w->fd);
    free(w);
}

static void free_list(struct worker *w)
{
    while (w) {
        struct worker *next = w->next;
        worker_free(w);
        w = next;
    }
}

void workers_free(struct workers *ws)
{
    if (!ws)
        return;
    free_list(ws->list);
    free_list(ws->gone);
    buf_clear(&ws->program);
    buf_clear(&ws->packs);
    free(ws);
}

static void unlink_from(struct worker **list, const struct worker *one)
{
    while (*list && *list != one)
        list = &(*list)->next;
    CHECK(*list);
    *list = one->next;
}

static void on_gone(void *arg)
{
    struct worker *w = arg;
    struct note note;
    note_set(&note, ERR_CANCELLED, "the model was unloaded");
    ask_fail_all(w, ERR_CANCELLED, &note);
    unlink_from(&w->owner->gone, w);
    worker_free(w);
}

void workers_stop(struct workers *ws, struct worker *one)
{
    if (one->is_gone)
        return;
    worker_tell_ended(one, true);
    unlink_from(&ws->list, one);
    one->next = ws->gone;
    ws->gone = one;
    one->is_gone = true;
    worker_drop_process(one);
    one->state = WORKER_DOWN;
    host_timer_cancel(ws->o.host, &one->restart);
    host_timer_set(ws->o.host, &one->late, 0, on_gone, one);
}

void workers_drop_model(struct workers *ws, const struct hash *root)
{
    struct buf path = {0};
    for (struct worker *w = ws->list, *next; w; w = next) {
        next = w->next;
        if (!hash_equal(&w->root, root))
            continue;
        if (w->mode != WORKER_LAYERS)
            workers_stop(ws, w);
        else if (w->state != WORKER_REFUSED) {
            worker_drop_process(w);
            w->refusal = note_set(&w->refusal_note, ERR_CORRUPT, "the model's file was found damaged on that device");
            worker_end_layers(w);
        }
    }
    if (!ws->o.packs)
        return;
    buf_add_format(&path, "%s/", ws->o.packs);
    worker_pack_name(root, &path);
    (void)!host_remove(ws->o.host, buf_text(&path), NULL); /* there may be none */
    buf_clear(&path);
}

struct worker *workers_find(struct workers *ws, const struct hash *root, enum worker_mode mode)
{
    for (struct worker *w = ws->list; w; w = w->next)
        if (hash_equal(&w->root, root) && w->mode != WORKER_LAYERS && (w->mode == mode || w->mode == WORKER_FULL))
            return w;
    return NULL;
}

static uint64_t bytes_of_worker(const struct worker *w)
{
    if (w->mode == WORKER_VOCAB)
        return 0;
    if (w->state == WORKER_READY)
        return w->opened.memory_bytes;
    return w->mode == WORKER_LAYERS ? w->layers.bytes : w->file_bytes - w->elsewhere_bytes;
}

bool workers_make_room(struct workers *ws, const struct worker *except, uint64_t need)
{
    for (;;) {
        struct worker *idlest = NULL;
        uint64_t sum = need;
        for (struct worker *w = ws->list; w; w = w->next) {
            if (w == except)
                continue;
            sum += bytes_of_worker(w);
            if (!w->asks && w->mode != WORKER_LAYERS && bytes_of_worker(w) > 0 &&
                (!idlest || w->used_ms < idlest->used_ms))
                idlest = w;
        }
        if (ws->o.memory_bytes == 0 || sum <= ws->o.memory_bytes)
            return true;
        if (!idlest)
            return false;
        workers_stop(ws, idlest);
    }
}

void worker_wake(struct worker *w)
{
    if (w->deaths <= WORKER_DEATHS_MAX)
        worker_start(w);
}

enum err workers_get(struct workers *ws, const struct hash *root, enum worker_mode mode, int fd_take,
                     struct worker **out, struct note *note)
{
    struct worker *w = workers_find(ws, root, mode);
    if (w && w->state != WORKER_REFUSED) {
        close(fd_take);
        worker_wake(w);
        *out = w;
        return ERR_OK;
    }
    if (w)
        workers_stop(ws, w); /* another file may do better */
    struct stat st;
    uint64_t size = fstat(fd_take, &st) == 0 && st.st_size > 0 ? (uint64_t)st.st_size : 0;
    uint64_t elsewhere = mode == WORKER_FULL && ws->far ? ws->far->elsewhere(ws->far_arg, root) : 0;
    if (elsewhere > size)
        elsewhere = size;
    if (mode == WORKER_FULL && !workers_make_room(ws, NULL, size - elsewhere)) {
        close(fd_take);
        return note_set(note, ERR_FULL, "no memory for another model of %" PRIu64 " MiB while others work",
                        (size - elsewhere) >> 20);
    }
    w = worker_new(ws, root, mode, fd_take, size);
    w->elsewhere_bytes = elsewhere;
    worker_start(w);
    *out = w;
    return ERR_OK;
}

struct worker *worker_new(struct workers *ws, const struct hash *root, enum worker_mode mode, int fd_take,
                          uint64_t file_bytes)
{
    struct worker *w = mem_new(sizeof *w);
    w->owner = ws;
    w->host = ws->o.host;
    w->root = *root;
    w->mode = mode;
    w->fd = fd_take;
    w->pack.fd = -1;
    w->file_bytes = file_bytes;
    w->used_ms = host_now_ms(ws->o.host);
    w->next = ws->list;
    ws->list = w;
    return w;
}

void worker_get_info(const struct worker *w, struct worker_info *out)
{
    const struct wire_opened *o = &w->opened;
    *out = (struct worker_info){.root = w->root,
                                .mode = w->mode,
                                .ready = w->state == WORKER_READY,
                                .vocab = o->vocab,
                                .context = o->context,
                                .jobs = w->asks_n,
                                .bos = o->bos == WIRE_NO_TOKEN ? -1 : (int32_t)o->bos,
                                .eos = o->eos == WIRE_NO_TOKEN ? -1 : (int32_t)o->eos,
                                .parameters = o->parameters,
                                .memory_bytes = bytes_of_worker(w),
                                .deaths = w->deaths,
                                .guessed = w->guessed,
                                .guessed_right = w->guessed_right,
                                .layers = o->layers,
                                .elsewhere = worker_elsewhere(w),
                                .first = w->layers.first,
                                .end = w->layers.end,
                                .batch = o->batch,
                                .pages = o->pages,
                                .is_held = w->state == WORKER_HELD};
    snprintf(out->architecture, sizeof out->architecture, "%.63s", o->architecture.s);
    snprintf(out->format, sizeof out->format, "%.31s", o->format.s);
    snprintf(out->backend, sizeof out->backend, "%.31s", o->backend.s);
    snprintf(out->device, sizeof out->device, "%.255s", o->device.s);
}

void workers_each(struct workers *ws, worker_info_fn fn, void *arg)
{
    for (struct worker *w = ws->list, *next; w; w = next) {
        struct worker_info info;
        next = w->next;
        worker_get_info(w, &info);
        fn(arg, &info);
    }
}
