/* Is what the hops of a model say right?
 *
 *     new streams -> the head's worker runs a request, the calls are kept -> for each hop: a worker of this device's
 * own with the same layers gets the same calls -> the first answer that is not what the hop signed names the hop
 *
 * New streams, because an answer depends on all calls before it, and these must be had to be made again.
 */
#include "base/log.h"
#include "base/mem.h"
#include "inference/request.h"
#include "node/hops/hops_in.h"
#include "node/blobs/model_facts.h"

#include <stdlib.h>

#define PROMPT_TOKENS 24
#define ANSWER_TOKENS 8

struct checked {
    struct hop_place place;
    struct buf calls[HOP_CHECK_CALLS];
    struct hash hash[HOP_CHECK_CALLS], before[HOP_CHECK_CALLS], all; /* of them, as statements name them */
    struct hop_statement said[HOP_CHECK_CALLS];                      /* number 0: nothing, nobody waited for it */
    unsigned calls_n, compared;
    bool differs;
    unsigned wrong;   /* call that was answered otherwise here, from 0 */
    struct hash here; /* its answer */
};

struct hops_check {
    struct hops *hops;
    struct hash model;
    hops_check_fn fn;
    void *arg;
    struct worker *head, *own;
    worker_ask head_ask, own_ask;
    struct timer timer;
    enum err e; /* of the run */
    struct note note;
    bool is_broken; /* a hop said something of other calls than those that are kept: its stream began anew */
    size_t bytes;
    unsigned n, at, call; /* hops; the one that is compared, and its call */
    struct checked hop[HOPS_MAX];
};

static void next_hop(void *arg);

/* -- the end -- */

static void put_hop(struct buf *b, const struct checked *x)
{
    buf_add_text(b, "{\"node\":");
    codec_json_pubkey(b, &x->place.node);
    buf_add_format(b, ",\"first\":%u,\"last\":%u,\"calls\":%u,\"agree\":%s", x->place.first, x->place.end - 1,
                   x->compared, x->differs ? "false" : "true");
    if (x->differs) {
        buf_add_format(b, ",\"call\":%u,\"here\":", x->wrong + 1);
        codec_json_hash(b, &x->here);
        buf_add_text(b, ",\"statement\":");
        hop_statement_json(b, &x->said[x->wrong]);
    }
    buf_add_text(b, "}");
}

static void put_result(const struct hops_check *c, struct buf *b)
{
    bool agree = true;
    for (unsigned i = 0; i < c->n; i++)
        agree &= !c->hop[i].differs;
    buf_add_text(b, "{\"model\":");
    codec_json_hash(b, &c->model);
    buf_add_format(b, ",\"agree\":%s,\"hops\":[", agree ? "true" : "false");
    for (unsigned i = 0; i < c->n; i++) {
        buf_add_text(b, i ? "," : "");
        put_hop(b, &c->hop[i]);
    }
    buf_add_text(b, "]}");
}

static void finish(struct hops_check *c, enum err e, const struct note *why)
{
    struct buf result = {0};
    const struct note note = *why;
    struct hops *h = c->hops;
    if (c->head_ask)
        worker_drop(c->head, c->head_ask);
    if (c->own_ask)
        worker_drop(c->own, c->own_ask);
    if (c->own)
        workers_stop(h->o.workers, c->own);
    host_timer_cancel(h->o.host, &c->timer);
    h->check = NULL;
    if (e == ERR_OK)
        put_result(c, &result);
    if (c->fn)
        c->fn(c->arg, e, bytes_of_buf(&result), &note);
    buf_clear(&result);
    for (unsigned i = 0; i < c->n; i++)
        for (unsigned k = 0; k < c->hop[i].calls_n; k++)
            buf_clear(&c->hop[i].calls[k]);
    free(c);
}

static void fail(struct hops_check *c, enum err e, const char *text)
{
    struct note note;
    note_set(&note, e, "%s", text);
    finish(c, e, &note);
}

void hops_check_drop(struct hops *h, const struct hash *model)
{
    if (h->check && hash_equal(&h->check->model, model))
        fail(h->check, ERR_CANCELLED, "the model's hops were changed meanwhile: try again");
}

void hops_check_close(struct hops *h)
{
    if (!h->check)
        return;
    h->check->fn = NULL;
    fail(h->check, ERR_CANCELLED, "");
}

/* -- evaluating again -- */

static void next_call(struct hops_check *c);

static void on_own_ended(void *arg, enum err e, const struct note *note)
{
    finish(arg, e, note);
}

static void on_own_answer(void *arg, enum err e, struct bytes answer, const struct note *note)
{
    struct hops_check *c = arg;
    struct checked *x = &c->hop[c->at];
    c->own_ask = 0;
    if (e != ERR_OK) {
        finish(c, e, note);
        return;
    }
    const struct hop_statement *said = &x->said[c->call];
    const struct hash here = hop_bytes_hash(answer);
    if (said->number != 0) {
        x->compared++;
        x->differs = !hash_equal(&said->answer, &here);
    }
    if (x->differs) {
        x->wrong = c->call;
        x->here = here;
    }
    c->call++;
    next_call(c);
}

static void next_call(struct hops_check *c)
{
    struct checked *x = &c->hop[c->at];
    if (!x->differs && c->call < x->calls_n) {
        c->own_ask = worker_hop_call(c->own, bytes_of_buf(&x->calls[c->call]), on_own_answer, c);
        return;
    }
    workers_stop(c->hops->o.workers, c->own);
    c->own = NULL;
    c->at++;
    host_timer_set(c->hops->o.host, &c->timer, 0, next_hop, c);
}

static void on_own_ready(void *arg, enum err e, const struct worker_info *info, const struct note *note)
{
    struct hops_check *c = arg;
    (void)info;
    c->own_ask = 0;
    if (e != ERR_OK)
        finish(c, e, note);
    else
        next_call(c);
}

static void next_hop(void *arg)
{
    struct hops_check *c = arg;
    struct hops *h = c->hops;
    struct note note = {{0}};
    uint32_t layers;
    int fd;
    if (c->at == c->n) {
        bool any = false;
        for (unsigned i = 0; i < c->n; i++)
            any |= c->hop[i].differs;
        finish(c, any ? ERR_OK : c->e, &c->note);
        return;
    }
    const struct hop_place *p = &c->hop[c->at].place;
    struct worker_layers of = {.root = c->model, .first = p->first, .end = p->end};
    const char *path = blobs_path(h->o.blobs, &c->model);
    c->call = 0;
    enum err e = path ? model_layers_read(path, p->first, p->end, &layers, &of.bytes, &note)
                      : note_set(&note, ERR_NOT_FOUND, "the model is not on this device any more");
    if (e == ERR_OK)
        e = blobs_fd(h->o.blobs, &c->model, &fd, &note);
    if (e == ERR_OK)
        e = workers_get_layers(h->o.workers, &of, fd, on_own_ended, c, &c->own, &note);
    if (e == ERR_OK)
        c->own_ask = worker_when_ready(c->own, on_own_ready, c);
    else
        finish(c, e, &note);
}

/* -- the request -- */

void hops_check_call(struct hops_check *c, const struct span *s, unsigned hop, struct bytes call)
{
    if (!hash_equal(&s->model, &c->model) || hop >= c->n)
        return;
    struct checked *x = &c->hop[hop];
    if (x->calls_n == HOP_CHECK_CALLS || call.n > HOP_CHECK_BYTES - c->bytes)
        c->bytes = HOP_CHECK_BYTES; /* what comes after a gap is of no use */
    else {
        const unsigned i = x->calls_n++;
        buf_add(&x->calls[i], call.p, call.n);
        x->hash[i] = hop_bytes_hash(call);
        x->before[i] = x->all;
        x->all = hop_calls_hash(&x->all, &x->hash[i]);
        c->bytes += call.n;
    }
}

/* What is signed is compared only with what is made of the very calls that it names. */
void hops_check_answer(struct hops_check *c, const struct span *s, unsigned hop, const struct hop_statement *said)
{
    if (!hash_equal(&s->model, &c->model) || hop >= c->n || said->number > c->hop[hop].calls_n)
        return;
    struct checked *x = &c->hop[hop];
    const unsigned i = (unsigned)said->number - 1;
    if (hash_equal(&said->before, &x->before[i]) && hash_equal(&said->call, &x->hash[i]))
        x->said[i] = *said;
    else
        c->is_broken = true;
}

/* A hop that computes nonsense may fail the run; what it signed is compared all the same. */
static void on_done(void *arg, enum err e, const struct worker_done *d, const struct note *note)
{
    struct hops_check *c = arg;
    struct worker_info info;
    (void)d;
    c->head_ask = 0;
    c->e = e;
    c->note = *note;
    worker_get_info(c->head, &info);
    if (e == ERR_OK && (info.elsewhere == 0 || c->is_broken))
        c->e = note_set(&c->note, ERR_CLOSED, "a hop was lost while it was asked: try again (kith hop ls)");
    host_timer_set(c->hops->o.host, &c->timer, 0, next_hop, c);
}

static void run(struct hops_check *c, uint32_t vocab)
{
    static const struct worker_calls calls = {.done = on_done};
    struct request r;
    struct buf prompt = {0}, request = {0};
    for (uint32_t i = 0; i < PROMPT_TOKENS; i++) {
        uint8_t id[4];
        store_le32(id, (i * 2654435761u) % vocab);
        buf_add(&prompt, id, sizeof id);
    }
    request_init(&r);
    r.prompt = bytes_of_buf(&prompt);
    r.tokens_max = ANSWER_TOKENS;
    request_put(&request, &r);
    c->head_ask = worker_run(c->head, &(struct worker_work){.request = bytes_of_buf(&request)}, &calls, c);
    buf_clear(&prompt);
    buf_clear(&request);
}

static void on_ready(void *arg, enum err e, const struct worker_info *info, const struct note *note)
{
    struct hops_check *c = arg;
    c->head_ask = 0;
    if (e != ERR_OK)
        finish(c, e, note);
    else if (info->elsewhere == 0)
        fail(c, ERR_CLOSED, "not every device with layers of this model is there: kith hop ls says which, and why");
    else
        run(c, info->vocab);
}

enum err hops_check(struct hops *h, const struct hash *model, hops_check_fn fn, void *arg, struct note *note)
{
    struct span *s = hops_find(h, model);
    struct worker *w = workers_find(h->o.workers, model, WORKER_FULL);
    struct worker_info info = {0};
    int fd;
    if (!s)
        return note_set(note, ERR_NOT_FOUND, "no layers of this model are elsewhere: kith hop set says which are");
    if (w)
        worker_get_info(w, &info);
    if (h->check || info.jobs)
        return note_set(note, ERR_BUSY, "%s",
                        h->check ? "another check is under way: try again when it is over"
                                 : "answers are being written with it: try again after them");
    enum err e = blobs_fd(h->o.blobs, model, &fd, note);
    if (e != ERR_OK)
        return e;
    if (w)
        workers_stop(h->o.workers, w); /* with its streams */
    struct hops_check *c = mem_new(sizeof *c);
    *c = (struct hops_check){.hops = h, .model = *model, .fn = fn, .arg = arg, .n = s->n};
    for (unsigned i = 0; i < s->n; i++)
        c->hop[i].place = s->hop[i].place;
    h->check = c;
    e = workers_get(h->o.workers, model, WORKER_FULL, fd, &c->head, note);
    if (e != ERR_OK) {
        h->check = NULL;
        free(c);
        return e;
    }
    c->head_ask = worker_when_ready(c->head, on_ready, c);
    return ERR_OK;
}
