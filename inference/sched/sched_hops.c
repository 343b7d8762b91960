/* A model some of whose layers other machines evaluate: what goes where, and what is said of it.
 *
 *     engine [0, a) -> hop [a, b) -> device on the same threads [b, c) -> hop [c, d) -> the same [d, layers), the
 * output */
#include "inference/engine/layers.h"
#include "inference/sched/sched_in.h"
#include "inference/sched/witness.h"

#include <stdio.h>

struct hop {
    uint32_t first, end;
};

static struct hop hop_at(const struct wire_open *open, uint32_t i)
{
    return (struct hop){wire_id_at(open->hops, 2 * i), wire_id_at(open->hops, 2 * i + 1)};
}

static uint32_t hops_n(const struct wire_open *open)
{
    return (uint32_t)(open->hops.n / 8);
}

void sched_leave_hops(struct sched *s, const struct wire_open *open)
{
    for (uint32_t i = 0; i < hops_n(open); i++) {
        struct hop h = hop_at(open, i);
        pack_leave(s->pack, h.first, h.end);
    }
}

static void say(struct sched *s, const struct wire_open *open)
{
    char text[256];
    int n = snprintf(text, sizeof text, "of %u layers on other machines:", s->model->layers);
    for (uint32_t i = 0; i < hops_n(open); i++) {
        struct hop h = hop_at(open, i);
        n += snprintf(text + n, sizeof text - (size_t)n, "%s %u to %u", i ? "," : "", h.first, h.end - 1);
    }
    sched_set_device(s, text);
}

/* Rows and jobs at once: no more than a call may have. */
static enum err fit_calls(struct sched *s, struct engine_options *o, struct note *note)
{
    const uint32_t context = o->context && o->context < s->model->context ? o->context : s->model->context;
    const uint32_t rows = far_rows_max(s->model, context);
    if (rows == 0)
        return note_set(note, ERR_UNSUPPORTED, "a row of this model, with a context of %u, is too long to be sent",
                        context);
    if (o->batch_max > rows)
        o->batch_max = rows;
    const uint32_t jobs = FAR_TAPS_MAX / WITNESS_PLACES; /* all of which may be replays with a witness */
    if (s->slots > jobs)
        s->slots = jobs;
    if (s->slots > o->batch_max)
        s->slots = o->batch_max;
    return ERR_OK;
}

/* Layers [first, end) on this machine, behind some that are not. */
static struct engine_device here(struct sched *s, const struct engine_options *o, uint32_t first, uint32_t end)
{
    return layers_device(&(struct layers_options){
        .model = s->model, .ops = s->ops, .pool = s->pool, .batch_max = o->batch_max, .first = first, .end = end});
}

enum err sched_place_hops(struct sched *s, const struct wire_open *open, const struct sched_options *so,
                          struct engine_options *o, struct engine_device *at, struct note *note)
{
    const uint32_t n = hops_n(open), end = hop_at(open, n - 1).end;
    _Static_assert(2 * HOPS_MAX + 2 <= DEVICES_MAX, "hops, and the layers in front, between and behind, are devices");
    enum err e = layers_check(s->model, note);
    if (e != ERR_OK)
        return e;
    if (end >= s->model->layers)
        return note_set(note, ERR_RANGE,
                        "layers up to %u cannot be elsewhere: the model has %u, and the last stays here", end - 1,
                        s->model->layers);
    e = fit_calls(s, o, note);
    if (e != ERR_OK)
        return e;
    s->pool = pool_new(o->threads);
    o->pool = s->pool;
    o->devices_n = 0;
    for (uint32_t i = 0, before = 0; i < n; i++) {
        struct hop h = hop_at(open, i);
        if (h.first > before)
            at[o->devices_n++] = here(s, o, before, h.first);
        at[o->devices_n++] = far_device(&(struct far_options){.model = s->model,
                                                              .hop = i,
                                                              .first = h.first,
                                                              .end = h.end,
                                                              .call = so->call,
                                                              .send = so->send,
                                                              .receive = so->receive,
                                                              .arg = so->call_arg});
        before = h.end;
    }
    /* The last layer by itself: only it is evaluated for all of a batch at once (engine_device.c). */
    if (end + 1 < s->model->layers)
        at[o->devices_n++] = here(s, o, end, s->model->layers - 1);
    at[o->devices_n++] = here(s, o, s->model->layers - 1, s->model->layers);
    o->devices = at;
    o->lost = sched_be_lost;
    o->lost_arg = s;
    s->has_device = s->has_hops = true;
    s->pages_max = open->pages;
    say(s, open);
    return ERR_OK;
}
