/* Models that are cut over several devices: the head's side. */
#include "base/log.h"
#include "base/mem.h"
#include "inference/request.h"
#include "node/hops/hops_in.h"
#include "node/blobs/model_facts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_MS 1000 /* between two looks at a worker that is to start again when it is idle */

static void look(void *arg);

struct span *hops_find(const struct hops *h, const struct hash *model)
{
    struct span *s = h->spans;
    while (s && !hash_equal(&s->model, model))
        s = s->next;
    return s;
}

static void look_in(struct span *s, uint64_t ms)
{
    host_timer_set(s->hops->o.host, &s->timer, ms, look, s);
}

/* -- the worker starts -- */

static bool are_all_ready(const struct span *s)
{
    for (unsigned i = 0; i < s->n; i++)
        if (!hop_link_is_ready(s->hop[i].link))
            return false;
    return true;
}

/* What the worker is started with: the least that every hop takes. */
static struct worker_cut cut_of(struct span *s)
{
    struct worker_cut cut = {.batch = UINT32_MAX, .pages = UINT32_MAX, .bytes = s->bytes};
    buf_reset(&s->cut);
    for (unsigned i = 0; i < s->n; i++) {
        struct hop_link_info info;
        uint8_t range[8];
        hop_link_get_info(s->hop[i].link, &info);
        cut.batch = info.ready.batch < cut.batch ? info.ready.batch : cut.batch;
        cut.pages = info.ready.pages < cut.pages ? info.ready.pages : cut.pages;
        store_le32(range, s->hop[i].place.first);
        store_le32(range + 4, s->hop[i].place.end);
        buf_add(&s->cut, range, sizeof range);
    }
    cut.hops = bytes_of_buf(&s->cut);
    return cut;
}

static void want_links(struct span *s, bool wanted)
{
    for (unsigned i = 0; i < s->n; i++)
        hop_link_want(s->hop[i].link, wanted);
}

static void forget_call(struct span *s)
{
    if (s->asked >= 0)
        hop_link_forget(s->hop[s->asked].link);
    s->asked = -1;
}

static uint64_t elsewhere(void *arg, const struct hash *root)
{
    const struct span *s = hops_find(arg, root);
    return s ? s->bytes : 0;
}

static bool start(void *arg, struct worker *w, struct worker_cut *cut)
{
    struct hops *h = arg;
    struct worker_info info;
    worker_get_info(w, &info);
    struct span *s = hops_find(h, &info.root);
    if (!s)
        return true;
    forget_call(s);
    s->worker = w;
    want_links(s, true);
    if (are_all_ready(s)) {
        *cut = cut_of(s);
        s->state = SPAN_TOGETHER;
        return true;
    }
    s->state = SPAN_GATHERING;
    s->since_ms = host_now_ms(h->o.host);
    look_in(s, h->o.wait_ms);
    return false;
}

/* -- waiting for the hops -- */

/* The first that is not ready, in words. */
static void put_missing(const struct span *s, struct buf *b)
{
    for (unsigned i = 0; i < s->n; i++) {
        const struct hop_place *p = &s->hop[i].place;
        struct hop_link_info info;
        char node[2 * sizeof p->node.b + 1];
        if (hop_link_is_ready(s->hop[i].link))
            continue;
        hop_link_get_info(s->hop[i].link, &info);
        hex_put(node, p->node.b, sizeof p->node.b);
        buf_add_format(b, "layers %u-%u are to be at the node %s, which ", p->first, p->end - 1, node);
        if (info.state == HOP_LOADING)
            buf_add_text(b, "still loads them: ask again");
        else
            buf_add_format(b, "has not got them (%.90s); kith hop rm takes them back",
                           info.why[0] ? info.why : "no answer yet: is kithd running there?");
        return;
    }
}

/* Those who were reached and load may take longer. */
static bool is_any_loading(const struct span *s, uint64_t now_ms)
{
    for (unsigned i = 0; i < s->n; i++) {
        struct hop_link_info info;
        hop_link_get_info(s->hop[i].link, &info);
        if (info.state == HOP_LOADING && now_ms - info.since_ms < HOP_LOAD_MS)
            return true;
    }
    return false;
}

static void gather(struct span *s)
{
    const uint64_t now_ms = host_now_ms(s->hops->o.host), end_ms = s->since_ms + s->hops->o.wait_ms;
    static const struct worker_cut whole;
    struct buf missing = {0};
    if (are_all_ready(s)) {
        const struct worker_cut cut = cut_of(s);
        s->state = SPAN_TOGETHER;
        worker_release(s->worker, &cut);
        return;
    }
    if (now_ms < end_ms || is_any_loading(s, now_ms)) {
        look_in(s, now_ms < end_ms ? end_ms - now_ms : LOOK_MS);
        return;
    }
    put_missing(s, &missing);
    log_event(LOG_ODD, "hop", "missing", "why=%s", buf_text(&missing));
    if (worker_has_room(s->worker)) {
        s->state = SPAN_ALONE;
        worker_release(s->worker, &whole);
    } else {
        struct buf why = {0};
        buf_add_format(&why, "the whole model does not fit here, and %s", buf_text(&missing));
        s->state = SPAN_REST; /* the next question gathers anew; until then they are tried again */
        worker_refuse(s->worker, ERR_FULL, buf_text(&why));
        buf_clear(&why);
    }
    buf_clear(&missing);
}

/* The worker does without; can it do with them again? */
static void reunite(struct span *s)
{
    struct worker_info info;
    if (!are_all_ready(s))
        return; /* link_changed comes */
    worker_get_info(s->worker, &info);
    if (info.jobs == 0)
        worker_again(s->worker);
    else
        look_in(s, LOOK_MS);
}

static void look(void *arg)
{
    struct span *s = arg;
    if (s->state == SPAN_GATHERING)
        gather(s);
    else if (s->state == SPAN_ALONE && s->worker)
        reunite(s);
}

static void link_changed(void *arg)
{
    struct span_hop *hop = arg;
    struct span *s = hop->span;
    if (s->state == SPAN_TOGETHER && !hop_link_is_ready(hop->link))
        s->state = SPAN_ALONE; /* what its layers kept is gone: this process of the worker can use it no more */
    look_in(s, 0);
}

/* -- calls -- */

static void lost(struct span *s, unsigned hop, enum err e, const char *text)
{
    const struct hop_place *p = &s->hop[hop].place;
    struct note note;
    char node[17];
    hex_put(node, p->node.b, 8);
    note_set(&note, e, "layers %u-%u at the node %s: %.180s", p->first, p->end - 1, node, text);
    s->state = SPAN_ALONE;
    worker_far_answer(s->worker, hop, e, bytes_of(NULL, 0), note.text);
    look_in(s, LOOK_MS);
}

static void answered(void *arg, enum err e, struct bytes answer, const struct hop_statement *statement,
                     const char *text)
{
    struct span_hop *hop = arg;
    struct span *s = hop->span;
    const unsigned i = (unsigned)(hop - s->hop);
    if (s->asked != (int)i)
        return;
    s->asked = -1;
    if (e != ERR_OK) {
        lost(s, i, e, text);
        return;
    }
    if (s->hops->check)
        hops_check_answer(s->hops->check, s, i, statement);
    worker_far_answer(s->worker, i, ERR_OK, answer, "");
}

static const struct hop_link_calls link_calls = {link_changed, answered};

static void call(void *arg, struct worker *w, uint32_t hop, struct bytes bytes)
{
    struct hops *h = arg;
    struct span *s = h->spans;
    while (s && s->worker != w)
        s = s->next;
    if (!s || hop >= s->n || s->state != SPAN_TOGETHER) {
        worker_far_answer(w, hop, ERR_CLOSED, bytes_of(NULL, 0), "a device with layers was lost");
        return;
    }
    if (h->check)
        hops_check_call(h->check, s, hop, bytes);
    s->asked = (int)hop;
    enum err e = hop_link_call(s->hop[hop].link, bytes);
    if (e == ERR_OK)
        return;
    s->asked = -1;
    lost(s, hop, e, "it is not connected");
}

static void ended(void *arg, struct worker *w, bool for_good)
{
    struct hops *h = arg;
    for (struct span *s = h->spans; s; s = s->next) {
        if (s->worker != w)
            continue;
        forget_call(s);
        if (!for_good)
            return; /* `start` comes */
        s->worker = NULL;
        s->state = SPAN_REST;
        host_timer_cancel(h->o.host, &s->timer);
        want_links(s, false);
        return;
    }
}

/* A model that does not fit is one that lacks a hop, if it does. */
static void refused(void *arg, struct worker *w, enum err e, struct note *note)
{
    struct hops *h = arg;
    struct span *s = h->spans;
    struct buf missing = {0};
    while (s && s->worker != w)
        s = s->next;
    if (!s || e != ERR_FULL || s->state != SPAN_ALONE)
        return;
    put_missing(s, &missing);
    const struct note said = *note;
    if (missing.n)
        note_set(note, e, "%.90s, and %s", said.text, buf_text(&missing));
    buf_clear(&missing);
}

static const struct workers_far far = {elsewhere, start, call, refused, ended};

/* -- settings -- */

static void span_clear(struct span *s)
{
    for (unsigned i = 0; i < s->n; i++)
        hop_link_free(s->hop[i].link);
    s->n = 0;
    s->bytes = 0;
    s->asked = -1;
    host_timer_cancel(s->hops->o.host, &s->timer);
}

static void span_free(struct hops *h, struct span *gone)
{
    struct span **at = &h->spans;
    while (*at != gone)
        at = &(*at)->next;
    *at = gone->next;
    span_clear(gone);
    buf_clear(&gone->cut);
    free(gone);
}

static void add_hop(struct span *s, const struct hop_place *p)
{
    struct hops *h = s->hops;
    struct span_hop *hop = &s->hop[s->n++];
    const struct hop_link_options o = {
        .host = h->o.host,
        .peers = h->o.peers,
        .streams = h->o.streams,
        .chain = h->o.chain,
        .node = p->node,
        .endpoint = p->endpoint.s,
        .of = {.version = HOP_VERSION, .model = p->model, .arith = REQUEST_ARITH, .first = p->first, .end = p->end}};
    const char *path = blobs_path(h->o.blobs, &p->model);
    uint64_t bytes = 0;
    uint32_t layers;
    hop->span = s;
    hop->place = *p;
    hop->link = hop_link_new(&o, &link_calls, hop);
    if (path && model_layers_read(path, p->first, p->end, &layers, &bytes, NULL) == ERR_OK)
        s->bytes += bytes;
}

/* Makes the model's span as the settings have it. Its worker goes on with that. */
static void rebuild(struct hops *h, const struct hash *model)
{
    struct span *s = hops_find(h, model);
    hops_check_drop(h, model);
    if (s) {
        span_clear(s);
    } else {
        s = mem_new(sizeof *s);
        s->hops = h;
        s->model = *model;
        s->asked = -1;
        s->next = h->spans;
        h->spans = s;
    }
    for (unsigned i = 0; i < h->settings.places_n; i++)
        if (hash_equal(&h->settings.places[i].model, model))
            add_hop(s, &h->settings.places[i]);
    struct worker *w = s->worker ? s->worker : workers_find(h->o.workers, model, WORKER_FULL);
    s->worker = NULL;
    s->state = SPAN_REST;
    if (s->n == 0)
        span_free(h, s);
    if (w)
        worker_again(w);
}

static enum err store(struct hops *h, const struct hops_settings *next, struct note *note)
{
    struct buf path = {0}, content = {0};
    buf_add_format(&path, "%s/hops", h->home);
    hops_file_store(&content, next);
    enum err e = host_write(h->o.host, buf_text(&path), 0600, bytes_of_buf(&content), note);
    if (e == ERR_OK)
        h->settings = *next;
    buf_clear(&path);
    buf_clear(&content);
    return e;
}

enum err hops_set(struct hops *h, const struct hop_place *place, struct note *note)
{
    struct hops_settings next = h->settings;
    const char *path = blobs_path(h->o.blobs, &place->model);
    uint32_t layers;
    uint64_t bytes;
    if (!path)
        return note_set(note, ERR_NOT_FOUND, "the model is not whole on this device: kith model pull gets it");
    enum err e = model_layers_read(path, place->first, place->end, &layers, &bytes, note);
    if (e == ERR_OK)
        e = hops_settings_set(&next, place, layers, note);
    if (e == ERR_OK)
        e = store(h, &next, note);
    if (e == ERR_OK)
        rebuild(h, &place->model);
    return e;
}

enum err hops_remove(struct hops *h, const struct hash *model, const struct pubkey *node, struct note *note)
{
    struct hops_settings next = h->settings;
    if (!hops_settings_remove(&next, model, node))
        return note_set(note, ERR_NOT_FOUND, "that node has no layers of this model: kith hop ls shows who has");
    enum err e = store(h, &next, note);
    if (e == ERR_OK)
        rebuild(h, model);
    return e;
}

enum err hops_allow(struct hops *h, const struct pubkey *node, struct note *note)
{
    struct hops_settings next = h->settings;
    enum err e = hops_settings_allow(&next, node, note);
    return e == ERR_OK ? store(h, &next, note) : e;
}

enum err hops_deny(struct hops *h, const struct pubkey *node, struct note *note)
{
    struct hops_settings next = h->settings;
    if (!hops_settings_deny(&next, node))
        return note_set(note, ERR_NOT_FOUND, "that node is not allowed any layers: kith hop ls shows who is");
    enum err e = store(h, &next, note);
    if (e == ERR_OK && h->o.changed)
        h->o.changed(h->o.arg);
    return e;
}

const struct hops_settings *hops_settings(const struct hops *h)
{
    return &h->settings;
}

static const char *state_of(const struct hop_link_info *info)
{
    static const char *const names[] = {
        [HOP_REST] = "rest",      [HOP_CONNECTING] = "connecting", [HOP_LOADING] = "loading",
        [HOP_IS_READY] = "ready", [HOP_CALLING] = "ready",         [HOP_PAUSED] = "lost"};
    return names[info->state];
}

void hops_each(const struct hops *h, hops_info_fn fn, void *arg)
{
    for (const struct span *s = h->spans; s; s = s->next)
        for (unsigned i = 0; i < s->n; i++) {
            struct hops_info info = {.place = &s->hop[i].place, .used = s->state == SPAN_TOGETHER};
            hop_link_get_info(s->hop[i].link, &info.link);
            info.state = state_of(&info.link);
            fn(arg, &info);
        }
}

/* -- life -- */

static enum err load(struct hops *h, struct note *note)
{
    struct buf path = {0}, content = {0};
    buf_add_format(&path, "%s/hops", h->home);
    enum err e = host_read(h->o.host, buf_text(&path), HOPS_FILE_MAX, &content, note);
    if (e == ERR_OK && !hops_file_load(bytes_of_buf(&content), &h->settings))
        e = note_set(note, ERR_CORRUPT,
                     "%s is damaged: remove it, and say again with kith hop which devices have and may have layers",
                     buf_text(&path));
    buf_clear(&path);
    buf_clear(&content);
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

enum err hops_open(const struct hops_options *o, struct hops **out, struct note *note)
{
    struct hops *h = mem_new(sizeof *h);
    h->o = *o;
    h->home = mem_string(o->home);
    if (h->o.wait_ms == 0)
        h->o.wait_ms = HOP_WAIT_MS;
    enum err e = load(h, note);
    if (e != ERR_OK) {
        free(h->home);
        free(h);
        return e;
    }
    for (unsigned i = 0; i < h->settings.places_n; i++)
        if (i == 0 || !hash_equal(&h->settings.places[i].model, &h->settings.places[i - 1].model))
            rebuild(h, &h->settings.places[i].model);
    workers_set_far(o->workers, &far, h);
    *out = h;
    return ERR_OK;
}

void hops_close(struct hops *h)
{
    if (!h)
        return;
    workers_set_far(h->o.workers, NULL, NULL);
    hops_check_close(h);
    while (h->spans)
        span_free(h, h->spans);
    free(h->home);
    free(h);
}
