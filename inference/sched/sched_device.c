/* Which layers of a worker's model are on devices, and what is said of it. */
#include "inference/engine/cache.h"
#include "inference/engine/recur.h"
#include "inference/sched/sched_in.h"

#include <stdio.h>
#include <string.h>

void sched_set_device(struct sched *s, const char *text)
{
    wire_set_text(&s->device, text);
    s->is_told = false;
}

void sched_be_lost(void *arg, const struct note *why)
{
    struct sched *s = arg;
    char text[512];
    if (s->has_hops)
        snprintf(text, sizeof text, "all layers here again: %.300s", why->text);
    else
        snprintf(text, sizeof text, "no GPU: %.300s; the processor goes on", why->text);
    sched_set_device(s, text);
    s->has_device = s->has_hops = false;
    s->pages_max = UINT32_MAX;
    s->row_ns = 0;
    s->draft_cost = (struct draft_cost){0};
    struct note odd = {{0}};
    if (s->pack_file) /* weights that were looked at before */
        CHECK(pack_file_fill(s->pack_file, engine_pool(s->engine), &odd) == ERR_OK);
}

void sched_tell_device(struct sched *s, struct buf *out)
{
    if (s->is_told)
        return;
    s->is_told = true;
    wire_add_device(out, &(struct wire_device){s->device});
}

bool sched_wants_devices(const struct wire_open *open)
{
    const char *backend = open->backend.s;
    return open->mode != WIRE_VOCAB && open->mode != WIRE_TRAINING && open->hops.n == 0 &&
           (!*backend || strcmp(backend, "auto") == 0 || strcmp(backend, SCHED_DEVICE) == 0);
}

/* The weights of one of them, copied. */
static enum err open_one(const struct devices *devices, const struct device_options *o, struct engine_device *at,
                         struct note *note)
{
    *at = (struct engine_device){.table = devices->table, .first = o->first, .end = o->end};
    return devices->table->open(o, &at->device_take, note);
}

static enum err open_all(const struct devices *devices, const struct devices_plan *p, struct engine_device *at,
                         struct note *note)
{
    for (uint32_t i = 0; i < p->n; i++) {
        enum err e = open_one(devices, &p->at[i], &at[i], note);
        if (e == ERR_OK)
            continue;
        while (i-- > 0)
            devices->table->close(at[i].device_take);
        return e;
    }
    return ERR_OK;
}

uint32_t sched_pages(uint32_t jobs, uint32_t context)
{
    const uint32_t each = pages_for(context < SCHED_POSITIONS ? context : SCHED_POSITIONS), least = pages_for(context);
    return jobs * each > least ? jobs * each : least;
}

/* What a sequence's state takes, in pages of its keys and values: a device's part of both is alike (its page_bytes). */
static uint32_t state_pages(const struct model *m)
{
    const uint64_t page = cache_page_bytes(m);
    return page ? (uint32_t)((recur_seq_bytes(m) + page - 1) / page) : 0;
}

void sched_plan(const struct sched *s, const struct wire_open *open, const struct devices *devices,
                const struct engine_options *o, struct devices_plan *plan)
{
    const uint32_t context = o->context && o->context < s->model->context ? o->context : s->model->context;
    const uint32_t state = state_pages(s->model), pages = sched_pages(s->slots, context) + s->slots * state;
    *plan = (struct devices_plan){0};
    if (devices && sched_wants_devices(open))
        devices_plan(devices, s->model, o->batch_max, pages, pages_for(context) + state, plan);
    for (uint32_t i = 0; i < plan->n; i++)
        plan->at[i].threads = o->threads;
}

enum err sched_place(struct sched *s, const struct wire_open *open, const struct devices *devices,
                     struct devices_plan *plan, struct engine_options *o, struct engine_device *at, struct note *note)
{
    const bool must = strcmp(open->backend.s, SCHED_DEVICE) == 0;
    char text[512];
    if (devices && sched_wants_devices(open)) {
        if (plan->n && open_all(devices, plan, at, &plan->why) != ERR_OK)
            plan->n = 0;
        devices_say(plan, text, sizeof text);
        sched_set_device(s, text);
    }
    if (must && plan->n == 0)
        return note_set(note, ERR_UNSUPPORTED, "the backend %s was asked for: %s", SCHED_DEVICE,
                        plan->why.text[0] ? plan->why.text : "this worker has no devices");
    s->has_device = plan->n > 0;
    if (plan->n)
        s->pages_max = plan->pages_max;
    o->devices = at;
    o->devices_n = plan->n;
    o->lost = sched_be_lost;
    o->lost_arg = s;
    return ERR_OK;
}
