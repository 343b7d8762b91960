/* Workers whose model is cut over several devices: those that ask others for some layers, and those that lend some. */
#include "node/worker/worker_in.h"

#include "base/log.h"

#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

/* -- lending -- */

static void on_end(void *arg)
{
    struct worker *w = arg;
    const struct note note = w->refusal_note;
    const enum err e = w->refusal;
    w->state = WORKER_REFUSED;
    ask_fail_all(w, e, &note);
    if (!w->is_gone)
        w->ended(w->ended_arg, e, &note);
}

void worker_end_layers(struct worker *w)
{
    if (w->refusal == ERR_OK)
        w->refusal = note_set(&w->refusal_note, ERR_CLOSED, "the process with these layers ended; the log says how");
    w->state = WORKER_REFUSED;
    host_timer_set(w->host, &w->restart, 0, on_end, w);
}

enum err workers_get_layers(struct workers *ws, const struct worker_layers *of, int fd_take, worker_ended_fn ended,
                            void *arg, struct worker **out, struct note *note)
{
    struct stat st;
    if (!workers_make_room(ws, NULL, of->bytes)) {
        close(fd_take);
        return note_set(note, ERR_FULL,
                        "no memory here for layers of %" PRIu64
                        " MiB while others work: raise memory-mb, or lend fewer",
                        of->bytes >> 20);
    }
    const uint64_t size = fstat(fd_take, &st) == 0 && st.st_size > 0 ? (uint64_t)st.st_size : 0;
    struct worker *w = worker_new(ws, &of->root, WORKER_LAYERS, fd_take, size);
    w->layers = *of;
    w->ended = ended;
    w->ended_arg = arg;
    worker_start(w);
    *out = w;
    return ERR_OK;
}

worker_ask worker_hop_call(struct worker *w, struct bytes call, worker_answer_fn fn, void *arg)
{
    CHECK(call.n <= FAR_CALL_MAX);
    struct ask *a = ask_new(w, ASK_HOP, arg);
    a->fn.answer = fn;
    wire_add_hop_call(&a->frame, &(struct wire_hop_call){a->id, call});
    return ask_go(w, a);
}

/* -- asking others -- */

void workers_set_far(struct workers *ws, const struct workers_far *far, void *arg)
{
    ws->far = far;
    ws->far_arg = arg;
}

static void set_cut(struct worker *w, const struct worker_cut *cut)
{
    buf_reset(&w->hops);
    buf_add(&w->hops, cut->hops.p, cut->hops.n);
    w->has_lost_hops = w->is_calling = false;
    w->batch = cut->batch;
    w->pages = cut->pages;
    w->elsewhere_bytes = cut->bytes < w->file_bytes ? cut->bytes : w->file_bytes;
}

bool worker_may_start(struct worker *w)
{
    struct workers *ws = w->owner;
    struct worker_cut cut = {0};
    if (w->mode != WORKER_FULL)
        return true;
    w->state = WORKER_HELD;
    bool may = !ws->far || ws->far->start(ws->far_arg, w, &cut);
    if (may)
        set_cut(w, &cut);
    return may;
}

void worker_release(struct worker *w, const struct worker_cut *cut)
{
    if (w->state != WORKER_HELD || w->is_gone)
        return;
    set_cut(w, cut);
    worker_spawn(w);
}

void worker_refuse(struct worker *w, enum err e, const char *text)
{
    struct note note;
    if (w->state != WORKER_HELD || w->is_gone)
        return;
    w->state = WORKER_DOWN;
    note_set(&note, e, "%s", text);
    ask_fail_all(w, e, &note);
}

bool worker_has_room(struct worker *w)
{
    return workers_make_room(w->owner, w, w->file_bytes);
}

void worker_again(struct worker *w)
{
    if (w->is_gone || (w->state != WORKER_READY && w->state != WORKER_STARTING && w->state != WORKER_HELD))
        return;
    worker_drop_process(w);
    w->state = WORKER_DOWN;
    w->deaths = 0;
    worker_tell_ended(w, false);
    worker_start(w);
}

void worker_tell_ended(struct worker *w, bool for_good)
{
    struct workers *ws = w->owner;
    w->is_calling = false;
    if (w->mode == WORKER_FULL && ws->far && (for_good || w->hops.n))
        ws->far->ended(ws->far_arg, w, for_good);
}

uint32_t worker_elsewhere(const struct worker *w)
{
    uint32_t n = 0;
    for (size_t i = 0; !w->has_lost_hops && i + 8 <= w->hops.n; i += 8)
        n += load_le32(w->hops.p + i + 4) - load_le32(w->hops.p + i);
    return n;
}

enum err worker_take_far_call(struct worker *w, const struct wire_frame *frame)
{
    struct workers *ws = w->owner;
    struct wire_far_call m;
    if (!wire_read_far_call(frame->body, &m) || m.hop >= w->hops.n / 8 || m.call.n > FAR_CALL_MAX || w->is_calling ||
        w->has_lost_hops)
        return ERR_PROTOCOL;
    w->is_calling = true;
    w->called = m.hop;
    if (ws->far)
        ws->far->call(ws->far_arg, w, m.hop, m.call);
    else
        worker_far_answer(w, m.hop, ERR_CLOSED, bytes_of(NULL, 0), "nobody carries calls any more");
    return ERR_OK;
}

void worker_far_answer(struct worker *w, uint32_t hop, enum err e, struct bytes answer, const char *text)
{
    struct wire_far_answer m = {.hop = hop, .code = (uint8_t)e};
    struct buf out = {0};
    if (!w->is_calling || w->called != hop || w->state != WORKER_READY)
        return;
    w->is_calling = false;
    w->has_lost_hops = e != ERR_OK;
    if (e == ERR_OK)
        m.answer = answer;
    else if (!text255_set(&m.text, text))
        CHECK(text255_set(&m.text, err_text(e)));
    wire_add_far_answer(&out, &m);
    worker_send_take(w, &out);
}
