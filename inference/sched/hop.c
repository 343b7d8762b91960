/* Layers for another machine; see the header. */
#include "inference/sched/hop.h"

#include "base/mem.h"
#include "inference/engine/far.h"
#include "inference/engine/layers.h"
#include "inference/engine/pack_file.h"
#include "inference/engine/pages.h"
#include "inference/sched/sched.h"

#include <stdlib.h>
#include <string.h>

struct hop {
    struct gguf *file;
    struct pack *pack;
    struct pack_file *pack_file;
    struct model *model;
    const struct ops *ops;
    struct pool *pool;
    struct engine_device device;
    struct far_bounds bounds;
    const char *backend;
    struct text255 remark; /* of the device */
    uint64_t memory_bytes;
};

/* -- weights -- */

static enum err open_weights(struct hop *h, const struct wire_open *open, const struct hop_options *o,
                             struct note *note)
{
    const struct pack_file_options po = {.pack = h->pack = pack_new(h->file),
                                         .file = h->file,
                                         .root = &open->root,
                                         .fd = o->pack_fd,
                                         .given = open->pack,
                                         .memory_bytes = open->memory_bytes,
                                         .pool = h->pool};
    pack_leave_ends(h->pack);
    pack_leave(h->pack, 0, open->first);
    pack_leave(h->pack, open->end, LAYERS_MAX);
    return pack_file_open(&po, &h->pack_file, note);
}

static enum err open_model(struct hop *h, const struct wire_open *open, const struct hop_options *o, struct note *note)
{
    enum err e = gguf_open(o->file, &h->file, note);
    if (e == ERR_OK && h->ops->wants_packed)
        e = open_weights(h, open, o, note);
    if (e == ERR_OK)
        e = model_open(h->file, h->pack, &h->model, note);
    if (e != ERR_OK)
        return e;
    e = layers_check(h->model, note);
    if (e != ERR_OK)
        return e;
    if (open->end >= h->model->layers)
        return note_set(note, ERR_RANGE, "layers %u to %u cannot be lent: the model has %u, and the last stays at home",
                        open->first, open->end - 1, h->model->layers);
    return ERR_OK;
}

/* Of the file only the tensors of these layers are needed, and of those that are packed only that form. */
static uint64_t weight_bytes(const struct hop *h, const struct hop_options *o)
{
    if (!h->pack)
        return o->file.n;
    return o->file.n - pack_left_source_bytes(h->pack) - pack_source_bytes(h->pack) + pack_bytes_here(h->pack);
}

/* -- the device -- */

/* The first GPU that takes them beside the whole cache. */
static bool place_on_gpu(struct hop *h, const struct wire_open *open, const struct hop_options *o)
{
    const struct device_table *t = o->devices->table;
    for (uint32_t i = 0; i < o->devices->n; i++) {
        const struct device_options d = {.index = i,
                                         .model = h->model,
                                         .first = open->first,
                                         .end = open->end,
                                         .batch_max = h->bounds.rows_max,
                                         .threads = open->threads};
        struct device_facts facts;
        struct note why;
        if (t->describe(i, &facts, &why) != ERR_OK ||
            t->bytes(&d) + t->page_bytes(&d) * h->bounds.numbers_max > facts.free_bytes)
            continue;
        h->device = (struct engine_device){.table = t, .first = d.first, .end = d.end};
        if (t->open(&d, &h->device.device_take, &why) == ERR_OK) {
            wire_set_text(&h->remark, facts.name);
            h->backend = "cuda";
            h->memory_bytes = weight_bytes(h, o);
            return true;
        }
        wire_set_text(&h->remark, why.text);
    }
    h->device = (struct engine_device){.table = NULL};
    return false;
}

static void place_here(struct hop *h, const struct wire_open *open)
{
    h->device = layers_device(&(struct layers_options){.model = h->model,
                                                       .ops = h->ops,
                                                       .pool = h->pool,
                                                       .batch_max = h->bounds.rows_max,
                                                       .first = open->first,
                                                       .end = open->end});
    h->backend = h->ops->name;
}

/* What is left of a limit is the cache's. */
static enum err bound_pages(struct hop *h, const struct wire_open *open, uint64_t fixed, struct note *note)
{
    const uint64_t page = layers_page_bytes(h->model, open->first, open->end);
    const uint32_t least = pages_for(h->bounds.context);
    uint64_t pages = sched_pages(SCHED_JOBS, h->bounds.context);
    if (open->memory_bytes) {
        const uint64_t room = open->memory_bytes > fixed ? (open->memory_bytes - fixed) / page : 0;
        if (room < least)
            return note_set(note, ERR_FULL,
                            "layers %u to %u need %llu MiB with the cache of one job, and the limit is %llu MiB",
                            open->first, open->end - 1, (unsigned long long)((fixed + least * page) >> 20),
                            (unsigned long long)(open->memory_bytes >> 20));
        pages = room < pages ? room : pages;
    }
    h->bounds.numbers_max = (uint32_t)pages;
    h->memory_bytes = fixed + pages * page;
    return ERR_OK;
}

static enum err place(struct hop *h, const struct wire_open *open, const struct hop_options *o, struct note *note)
{
    const uint32_t asked = open->context, own = h->model->context;
    h->bounds.model = h->model;
    h->bounds.context = asked && asked < own ? asked : own;
    h->bounds.rows_max = far_rows_max(h->model, h->bounds.context);
    if (h->bounds.rows_max == 0)
        return note_set(note, ERR_UNSUPPORTED, "a row of this model, with a context of %u, is too long to be sent",
                        h->bounds.context);
    const uint32_t batch = open->batch ? open->batch : SCHED_BATCH;
    if (h->bounds.rows_max > batch)
        h->bounds.rows_max = batch;
    h->bounds.numbers_max = sched_pages(SCHED_JOBS, h->bounds.context);
    if (o->devices && o->devices->n && sched_wants_devices(open) && place_on_gpu(h, open, o))
        return ERR_OK;
    if (strcmp(open->backend.s, "cuda") == 0)
        return note_set(note, ERR_UNSUPPORTED, "the backend cuda was asked for: %s",
                        h->remark.n ? h->remark.s : "no GPU has room for these layers");
    place_here(h, open);
    return bound_pages(h, open, weight_bytes(h, o) + layers_bytes(h->device.device_take), note);
}

/* -- opening and closing -- */

static void say_opened(const struct hop *h, const struct wire_open *open, struct buf *out)
{
    const struct model *m = h->model;
    struct wire_opened o = {.root = open->root,
                            .arith = REQUEST_ARITH,
                            .vocab = m->vocab,
                            .context = h->bounds.context,
                            .embed = m->embed,
                            .layers = m->layers,
                            .bos = WIRE_NO_TOKEN,
                            .eos = WIRE_NO_TOKEN,
                            .parameters = m->parameters,
                            .memory_bytes = h->memory_bytes,
                            .threads = open->threads,
                            .batch = h->bounds.rows_max,
                            .pages = h->bounds.numbers_max,
                            .device = h->remark};
    CHECK(text64_set(&o.architecture, m->architecture) && text64_set(&o.format, m->format));
    CHECK(text64_set(&o.backend, h->backend));
    if (h->pack_file) {
        o.packed = (uint8_t)pack_file_state(h->pack_file);
        CHECK(text255_set(&o.remark, pack_file_remark(h->pack_file)));
    }
    wire_add_opened(out, &o);
}

enum err hop_open(const struct wire_open *open, const struct hop_options *o, struct buf *out, struct hop **hop,
                  struct note *note)
{
    if (open->batch > BATCH_MAX || open->threads == 0 || open->threads > THREADS_MAX)
        return note_set(note, ERR_RANGE, "a batch of %u rows on %u threads is out of range: up to %u, 1 to %u",
                        open->batch, open->threads, (unsigned)BATCH_MAX, (unsigned)THREADS_MAX);
    const bool is_named = *open->backend.s && strcmp(open->backend.s, "cuda") != 0;
    struct hop *h = mem_new(sizeof *h);
    h->ops = ops_pick(is_named ? open->backend.s : "auto", note);
    enum err e = h->ops ? ERR_OK : ERR_UNSUPPORTED;
    if (e == ERR_OK) {
        h->pool = pool_new(open->threads);
        e = open_model(h, open, o, note);
    }
    if (e == ERR_OK)
        e = place(h, open, o, note);
    if (e != ERR_OK) {
        hop_close(h);
        return e;
    }
    say_opened(h, open, out);
    *hop = h;
    return ERR_OK;
}

void hop_close(struct hop *h)
{
    if (!h)
        return;
    if (h->device.table)
        h->device.table->close(h->device.device_take);
    model_free(h->model);
    pack_file_close(h->pack_file);
    pack_free(h->pack);
    gguf_free(h->file);
    if (h->pool)
        pool_free(h->pool);
    free(h);
}

/* -- calls -- */

enum err hop_take(struct hop *h, const struct wire_frame *frame, struct buf *out, struct note *note)
{
    struct wire_hop_call call;
    struct buf answer = {0};
    struct note why = {{0}};
    if (frame->type != WIRE_HOP_CALL || !wire_read_hop_call(frame->body, &call))
        return note_set(note, ERR_PROTOCOL,
                        "a worker that has layers for others answers calls to them, and nothing else");
    enum err e = far_serve(&h->bounds, &h->device, call.call, &answer, &why);
    if (e == ERR_OK)
        wire_add_hop_answer(out, &(struct wire_hop_answer){.ask = call.ask, .answer = bytes_of_buf(&answer)});
    else
        wire_add_failure(out, call.ask, e, &why);
    buf_clear(&answer);
    return ERR_OK;
}
