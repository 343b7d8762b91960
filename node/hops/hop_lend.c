/* Layers that this device lends. */
#include "node/hops/hop_lend.h"

#include "base/log.h"
#include "base/mem.h"
#include "inference/request.h"
#include "node/hops/hop_wire.h"
#include "node/blobs/model_facts.h"

#include <inttypes.h>
#include <stdlib.h>

enum lent_state { LENT_LOADING, LENT_READY, LENT_WORKING, LENT_ANSWERING };

struct lent {
    struct lent *next;
    struct hop_lender *lender;
    uint64_t stream;
    struct pubkey node;
    struct hop_open of;
    struct worker *worker;
    worker_ask ask; /* ready, or a call; 0: none */
    enum lent_state state;
    struct hop_taking taking;
    struct hop_sending sending;
    struct hop_statement statement; /* of the call that came last */
};

struct hop_lender {
    struct hop_lender_options o;
    struct lent *list;
    struct log_rate lines; /* about openings that were refused: who is connected makes thousands a second */
};

/* Off the list, with its worker; nobody on the stream is told. */
static void lent_free(struct lent *t)
{
    struct hop_lender *l = t->lender;
    struct lent **at = &l->list;
    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
    if (t->ask)
        worker_drop(t->worker, t->ask);
    if (t->worker)
        workers_stop(l->o.workers, t->worker);
    hop_taking_clear(&t->taking);
    hop_sending_clear(&t->sending);
    free(t);
}

static void log_end(const struct lent *t, enum err e, const char *text)
{
    char node[17];
    hex_put(node, t->node.b, 8);
    log_event(e == ERR_OK || e == ERR_CLOSED ? LOG_INFO : LOG_ODD, "hop", "ended", "to=%s layers=%u-%u why=%s", node,
              t->of.first, t->of.end - 1, text);
}

static void lent_end(struct lent *t, enum err e, const char *text)
{
    struct hop_lender *l = t->lender;
    log_end(t, e, text);
    streams_close(l->o.streams, t->stream, e, text);
    lent_free(t);
    l->o.changed(l->o.arg);
}

/* -- answering -- */

static bool send_record(struct lent *t, const struct buf *message)
{
    enum err e = streams_send(t->lender->o.streams, t->stream, bytes_of_buf(message));
    return e == ERR_OK; /* gone: `closed` comes; busy: `ready` does */
}

static bool send_signed(struct lent *t)
{
    struct buf b = {0};
    const struct hop_signed m = {.number = t->statement.number, .answer = t->statement.answer, .sig = t->statement.sig};
    hop_message_start(&b, HOP_SIGNED);
    hop_signed_put(&b, &m);
    bool sent = send_record(t, &b);
    buf_clear(&b);
    return sent;
}

/* As much of the answer as there is credit for, then the statement. */
static void pump(struct lent *t)
{
    bool going = t->state == LENT_ANSWERING;
    while (going && t->sending.active) {
        struct buf b = {0};
        CHECK(hop_sending_next(&t->sending, HOP_ANSWER, &b));
        going = send_record(t, &b);
        buf_clear(&b);
        if (going)
            hop_sending_step(&t->sending);
    }
    if (!going || !send_signed(t))
        return;
    struct hop_statement *s = &t->statement;
    s->before = hop_calls_hash(&s->before, &s->call);
    t->taking.number = s->number + 1;
    t->state = LENT_READY;
}

static void on_answer(void *arg, enum err e, struct bytes answer, const struct note *note)
{
    struct lent *t = arg;
    t->ask = 0;
    if (e != ERR_OK) {
        lent_end(t, e, note->text);
        return;
    }
    t->statement.answer = hop_bytes_hash(answer);
    hop_statement_sign(&t->statement, t->lender->o.key);
    hop_sending_start(&t->sending, t->statement.number, answer);
    t->state = LENT_ANSWERING;
    pump(t);
}

static enum err take_call(struct lent *t, struct cursor c)
{
    struct hop_part part;
    bool whole;
    hop_part_get(&c, &part);
    if (!cursor_end(&c) || t->state != LENT_READY)
        return ERR_PROTOCOL;
    enum err e = hop_taking_add(&t->taking, &part, &whole);
    if (e != ERR_OK || !whole)
        return e;
    t->statement.number = part.number;
    t->statement.call = hop_bytes_hash(bytes_of_buf(&t->taking.bytes));
    t->state = LENT_WORKING;
    t->ask = worker_hop_call(t->worker, bytes_of_buf(&t->taking.bytes), on_answer, t);
    hop_taking_clear(&t->taking);
    return ERR_OK;
}

/* -- the stream -- */

static void on_data(void *arg, uint64_t stream, struct bytes message)
{
    struct lent *t = arg;
    uint8_t type;
    struct cursor c = hop_message_open(message, &type);
    (void)stream;
    enum err e = type == HOP_CALL ? take_call(t, c) : ERR_PROTOCOL;
    if (e == ERR_LIMIT)
        lent_end(t, e, "a call is larger than a call may be");
    else if (e != ERR_OK)
        lent_end(t, e, "what came is no part of a call that could come now");
}

static void on_ready(void *arg, uint64_t stream)
{
    (void)stream;
    pump(arg);
}

static void on_closed(void *arg, uint64_t stream, enum err reason, const char *text)
{
    struct lent *t = arg;
    struct hop_lender *l = t->lender;
    (void)stream;
    log_end(t, reason == ERR_OK ? ERR_OK : ERR_CLOSED, text);
    lent_free(t);
    l->o.changed(l->o.arg);
}

static const struct stream_calls lent_calls = {.data = on_data, .ready = on_ready, .closed = on_closed};

/* -- opening -- */

static void on_loaded(void *arg, enum err e, const struct worker_info *info, const struct note *note)
{
    struct lent *t = arg;
    struct hop_ready m = {.batch = info->batch, .pages = info->pages};
    struct buf b = {0};
    (void)note;
    t->ask = 0;
    if (e != ERR_OK)
        return; /* on_ended says it */
    if (!text64_set(&m.backend, info->backend))
        m.backend = (struct text64){0};
    t->state = LENT_READY;
    hop_message_start(&b, HOP_READY);
    hop_ready_put(&b, &m);
    if (!send_record(t, &b)) /* the first message of a stream has credit, unless its connection is choked */
        lent_end(t, ERR_BUSY, "the connection is full");
    else
        t->lender->o.changed(t->lender->o.arg);
    buf_clear(&b);
}

static void on_ended(void *arg, enum err e, const struct note *note)
{
    lent_end(arg, e, note->text);
}

static struct lent *find(const struct hop_lender *l, const struct hash *model)
{
    struct lent *t = l->list;
    while (t && !hash_equal(&t->of.model, model))
        t = t->next;
    return t;
}

/* Whether layers go to that node; if so, how large they are. */
static enum err judge(struct hop_lender *l, const struct pubkey *from, const struct hop_open *m, uint64_t *bytes,
                      struct note *note)
{
    char node[2 * sizeof from->b + 1];
    uint32_t layers;
    struct buf why = {0};
    hex_put(node, l->o.self.b, sizeof l->o.self.b);
    if (m->version != HOP_VERSION || m->arith != REQUEST_ARITH)
        return note_set(note, ERR_UNSUPPORTED, "version %u with arithmetic %u: here it is %u with %u; use one kithd",
                        m->version, m->arith, HOP_VERSION, REQUEST_ARITH);
    const char *path = blobs_path(l->o.blobs, &m->model);
    if (!path)
        return note_set(note, ERR_NOT_FOUND, "the model is not whole on this device: kith model pull it there");
    enum err e = model_layers_read(path, m->first, m->end, &layers, bytes, note);
    if (e != ERR_OK)
        return e;
    if (m->first == 0 || m->first >= m->end || m->end >= layers)
        return note_set(note, ERR_RANGE, "layers %u to %u are no layers between the first and the last of %u", m->first,
                        m->end - 1, layers);
    const struct lent *other = find(l, &m->model);
    if (other && !pubkey_equal(&other->node, from)) {
        hex_put(node, other->node.b, sizeof other->node.b);
        return note_set(note, ERR_BUSY, "layers of this model are lent to the node %.64s already", node);
    }
    if (!l->o.may(l->o.arg, other ? 0 : *bytes, &why))
        e = note_set(note, ERR_REFUSED, "that device does not lend now: %s", buf_text(&why));
    buf_clear(&why);
    return e;
}

static enum err begin(struct hop_lender *l, uint64_t stream, const struct pubkey *from, const struct hop_open *m,
                      uint64_t bytes, struct lent **out, struct note *note)
{
    const struct worker_layers of = {.root = m->model, .first = m->first, .end = m->end, .bytes = bytes};
    struct lent *t = mem_new(sizeof *t);
    int fd;
    t->lender = l;
    t->stream = stream;
    t->node = *from;
    t->of = *m;
    t->taking.number = 1;
    t->statement = (struct hop_statement){
        .chain = l->o.chain, .node = l->o.self, .model = m->model, .arith = m->arith, .first = m->first, .end = m->end};
    t->next = l->list;
    l->list = t;
    enum err e = blobs_fd(l->o.blobs, &m->model, &fd, note);
    if (e == ERR_OK)
        e = workers_get_layers(l->o.workers, &of, fd, on_ended, t, &t->worker, note);
    if (e != ERR_OK) {
        lent_free(t);
        return e;
    }
    t->ask = worker_when_ready(t->worker, on_loaded, t);
    *out = t;
    return ERR_OK;
}

/* Refusals say why; a stranger learns only that he is one. */
static enum err refuse(struct hop_lender *l, uint64_t stream, const struct pubkey *from, enum err e, const char *text)
{
    char node[17];
    hex_put(node, from->b, 8);
    if (log_rate_take(&l->lines, host_now_ms(l->o.host)))
        log_event(LOG_ODD, "hop", "refused", "to=%s why=%s", node, text);
    streams_close(l->o.streams, stream, e, text);
    return e;
}

static enum err on_open(void *arg, uint64_t stream, const struct pubkey *from, struct bytes body,
                        const struct stream_calls **calls, void **calls_arg)
{
    struct hop_lender *l = arg;
    struct hop_open m;
    struct note note = {{0}};
    struct cursor c = cursor_of(body);
    struct lent *t = NULL;
    uint64_t bytes = 0;
    hop_open_get(&c, &m);
    if (!l->o.is_allowed(l->o.arg, from))
        return refuse(l, stream, from, ERR_AUTH,
                      "that device lends you no layers: kith hop allow, there, with this node's key");
    if (!cursor_end(&c))
        return refuse(l, stream, from, ERR_FORMAT, "the opening is malformed");
    enum err e = judge(l, from, &m, &bytes, &note);
    if (e != ERR_OK)
        return refuse(l, stream, from, e, note.text);
    struct lent *before = find(l, &m.model);
    if (before)
        lent_end(before, ERR_CLOSED, "the same node opened another stream for it");
    e = begin(l, stream, from, &m, bytes, &t, &note);
    if (e != ERR_OK)
        return refuse(l, stream, from, e, note.text);
    *calls = &lent_calls;
    *calls_arg = t;
    l->o.changed(l->o.arg);
    return ERR_OK;
}

/* -- the owner -- */

void hop_lender_look(struct hop_lender *l)
{
    for (struct lent *t = l->list, *next; t; t = next) {
        struct buf why = {0};
        next = t->next; /* ending one ends no other */
        if (!l->o.is_allowed(l->o.arg, &t->node))
            lent_end(t, ERR_AUTH, "the owner of that device lends you no layers any more (kith hop allow, there)");
        else if (!l->o.may(l->o.arg, 0, &why)) {
            struct note note;
            note_set(&note, ERR_REFUSED, "that device does not lend now: %s", buf_text(&why));
            lent_end(t, ERR_REFUSED, note.text);
        }
        buf_clear(&why);
    }
}

static uint64_t lent_bytes(const struct lent *t)
{
    struct worker_info info;
    worker_get_info(t->worker, &info);
    return info.memory_bytes;
}

void hop_lender_each(const struct hop_lender *l, hop_lent_fn fn, void *arg)
{
    for (const struct lent *t = l->list; t; t = t->next) {
        const struct hop_lent one = {.model = t->of.model,
                                     .node = t->node,
                                     .first = t->of.first,
                                     .end = t->of.end,
                                     .ready = t->state != LENT_LOADING,
                                     .calls = t->taking.number - 1,
                                     .memory_bytes = lent_bytes(t)};
        fn(arg, &one);
    }
}

uint64_t hop_lender_bytes(const struct hop_lender *l)
{
    uint64_t sum = 0;
    for (const struct lent *t = l->list; t; t = t->next)
        sum += lent_bytes(t);
    return sum;
}

unsigned hop_lender_count(const struct hop_lender *l)
{
    unsigned n = 0;
    for (const struct lent *t = l->list; t; t = t->next)
        n++;
    return n;
}

struct hop_lender *hop_lender_new(const struct hop_lender_options *o)
{
    struct hop_lender *l = mem_new(sizeof *l);
    l->o = *o;
    streams_on(o->streams, STREAM_LAYERS, on_open, l);
    return l;
}

void hop_lender_free(struct hop_lender *l)
{
    if (!l)
        return;
    while (l->list) {
        streams_close(l->o.streams, l->list->stream, ERR_CLOSED, "that device is being turned off");
        lent_free(l->list);
    }
    free(l);
}
