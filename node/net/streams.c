/* Streams over peers' connections. See node/net/streams.h; numbers and credit are p2p/stream.h's.
 *
 * A line is a connection to one peer as streams see it: made when the peer comes, gone with it. A
 * stream that waits for its connection has no line yet.
 */
#include "node/net/streams.h"

#include "base/log.h"
#include "base/mem.h"
#include "p2p/stream.h"
#include "p2p/way.h"

#include <stdlib.h>
#include <string.h>

#define QUEUE_HIGH (PEER_SEND_QUEUE_MAX / 4) /* waiting for a peer: streams wait, votes must still fit */
#define RETRY_MS   20                        /* until the queue is looked at again */

struct line {
    struct line *next;
    struct pubkey peer;
    struct stream_table table;
};

struct one {
    struct one *next;
    uint64_t number;
    struct pubkey peer;
    struct line *line; /* NULL: waits for the connection */
    uint32_t id;       /* on the line */
    const struct stream_calls *calls;
    void *arg;
    enum stream_kind kind;
    struct buf body;      /* of a waiting one */
    uint64_t deadline_ms; /* of a waiting one */
    bool queue_was_full;  /* `ready` is due when the connection's queue is short again */
};

struct streams {
    struct host *host;
    struct peers *peers;
    struct line *lines;
    struct one *ones;
    uint64_t number;
    struct timer timer; /* deadlines and full queues */
    struct {
        streams_accept_fn fn;
        void *arg;
    } accept[STREAM_KIND_COUNT];
};

static struct line *find_line(const struct streams *s, const struct pubkey *peer)
{
    struct line *l = s->lines;
    while (l && !pubkey_equal(&l->peer, peer))
        l = l->next;
    return l;
}

static struct one *find_one(const struct streams *s, uint64_t number)
{
    struct one *o = s->ones;
    while (o && o->number != number)
        o = o->next;
    return o;
}

static struct one *add_one(struct streams *s, const struct pubkey *peer)
{
    struct one *o = mem_new(sizeof *o);
    o->number = ++s->number;
    o->peer = *peer;
    o->next = s->ones;
    s->ones = o;
    return o;
}

static void remove_one(struct streams *s, struct one *gone)
{
    struct one **at = &s->ones;
    while (*at != gone)
        at = &(*at)->next;
    *at = gone->next;
    if (gone->line)
        stream_remove(&gone->line->table, gone->id);
    buf_clear(&gone->body);
    free(gone);
}

/* Gone, and its user is told. */
static void fail_one(struct streams *s, struct one *o, enum err reason, const char *text)
{
    const struct stream_calls *calls = o->calls;
    void *arg = o->arg;
    uint64_t number = o->number;
    remove_one(s, o);
    if (calls && calls->closed)
        calls->closed(arg, number, reason, text);
}

/* -- messages out -- */

static void send_close(struct streams *s, const struct pubkey *to, uint32_t id, enum err reason, const char *text)
{
    struct buf body = {0};
    struct stream_close m = {.id = id, .reason = (uint8_t)reason};
    if (!text255_set(&m.text, text ? text : ""))
        m.text = (struct text255){0};
    stream_close_put(&body, &m);
    if (peers_send(s->peers, to, MSG_STREAM_CLOSE, bytes_of_buf(&body)) != ERR_OK)
        log_event(LOG_DEBUG, "streams", "close not sent", "id=%u", id);
    buf_clear(&body);
}

static uint32_t window_of(enum stream_kind kind)
{
    return kind == STREAM_CIRCUIT ? CIRCUIT_WINDOW : STREAM_WINDOW;
}

static bool send_open(struct streams *s, struct one *o, struct bytes content)
{
    struct stream *st = stream_open_out(&o->line->table, o->number, window_of(o->kind));
    if (!st)
        return false;
    o->id = st->id;
    struct buf body = {0};
    stream_open_put(&body, &(struct stream_open){.id = o->id, .kind = (uint8_t)o->kind, .body = content});
    enum err e = peers_send(s->peers, &o->peer, MSG_STREAM_OPEN, bytes_of_buf(&body));
    buf_clear(&body);
    return e == ERR_OK;
}

/* -- waiting: for connections, for short queues -- */

static void timer_due(void *arg);

static void look_later(struct streams *s)
{
    if (!timer_is_set(&s->timer))
        host_timer_set(s->host, &s->timer, RETRY_MS, timer_due, s);
}

/* The first that may be told something now. */
static struct one *next_due(struct streams *s, uint64_t now_ms, bool *waiting)
{
    struct one *due = NULL;
    *waiting = false;
    for (struct one *o = s->ones; o; o = o->next) {
        bool late = !o->line && now_ms >= o->deadline_ms;
        bool ready = o->line && o->queue_was_full && peers_queued(s->peers, &o->peer) <= QUEUE_HIGH;
        if (late || ready)
            due = o;
        *waiting = *waiting || !o->line || o->queue_was_full;
    }
    return due;
}

static void timer_due(void *arg)
{
    struct streams *s = arg;
    struct one *o;
    bool waiting;
    while ((o = next_due(s, host_now_ms(s->host), &waiting))) {
        if (!o->line) {
            fail_one(s, o, ERR_TIMEOUT, "the peer cannot be reached");
            continue;
        }
        o->queue_was_full = false;
        if (o->calls && o->calls->ready)
            o->calls->ready(o->arg, o->number);
    }
    if (waiting)
        look_later(s);
}

/* -- peers come and go -- */

static struct one *next_waiting(struct streams *s, const struct line *l)
{
    struct one *found = NULL;
    for (struct one *o = s->ones; o; o = o->next)
        if (!o->line && pubkey_equal(&o->peer, &l->peer))
            found = o; /* the oldest: openings keep their order */
    return found;
}

/* No circuit goes through a connection that itself goes through one: each would be read within the one that carries it.
 */
static bool may_carry(const struct streams *s, const struct one *o)
{
    const char *endpoint;
    bool relayed;
    return o->kind != STREAM_CIRCUIT || (peers_endpoint(s->peers, &o->peer, &endpoint, &relayed) && !relayed);
}

static void peer_came(struct streams *s, const struct pubkey *peer)
{
    struct line *l = mem_new(sizeof *l);
    struct one *o;
    l->peer = *peer;
    stream_table_init(&l->table, peers_is_dialled(s->peers, peer));
    l->next = s->lines;
    s->lines = l;
    while ((o = next_waiting(s, l))) {
        if (!may_carry(s, o)) {
            fail_one(s, o, ERR_REFUSED, "the relay is itself reached through one");
            continue;
        }
        o->line = l;
        if (!send_open(s, o, bytes_of_buf(&o->body))) {
            fail_one(s, o, ERR_FULL, "the connection takes no more streams");
            continue;
        }
        buf_clear(&o->body);
        if (o->calls && o->calls->opened)
            o->calls->opened(o->arg, o->number);
    }
}

static void peer_went(struct streams *s, const struct pubkey *peer)
{
    struct line **at = &s->lines;
    while (*at && !pubkey_equal(&(*at)->peer, peer))
        at = &(*at)->next;
    struct line *l = *at;
    if (!l)
        return;
    *at = l->next; /* whoever is told below finds no line any more */
    for (struct one *o = s->ones; o;) {
        if (o->line != l) {
            o = o->next;
            continue;
        }
        fail_one(s, o, ERR_CLOSED, "the connection is gone");
        o = s->ones; /* the call may have changed the list */
    }
    stream_table_clear(&l->table);
    free(l);
}

static void on_change(void *arg, const struct pubkey *peer, bool up)
{
    struct streams *s = arg;
    peer_went(s, peer);
    if (up)
        peer_came(s, peer);
}

/* -- messages in -- */

static enum err on_open(void *arg, const struct pubkey *from, struct bytes body)
{
    struct streams *s = arg;
    struct stream_open m;
    struct line *l = find_line(s, from);
    enum err e;
    if (!l || !MSG_GET(stream_open, body, &m))
        return ERR_FORMAT;
    struct stream *st = stream_open_in(&l->table, m.id, 0, window_of(m.kind), &e);
    if (!st && e == ERR_PROTOCOL)
        return e;
    if (!st) {
        send_close(s, from, m.id, ERR_FULL, "too many streams");
        return ERR_OK;
    }
    struct one *o = add_one(s, from);
    uint64_t number = o->number;
    st->user = number;
    o->line = l;
    o->id = m.id;
    o->kind = m.kind;
    const struct stream_calls *calls = NULL;
    void *calls_arg = NULL;
    e = ERR_UNSUPPORTED;
    if (m.kind < STREAM_KIND_COUNT && s->accept[m.kind].fn)
        e = s->accept[m.kind].fn(s->accept[m.kind].arg, number, from, m.body, &calls, &calls_arg);
    o = find_one(s, number);
    if (e != ERR_OK)
        peers_charge(s->peers, from, STREAM_REFUSED_COST);
    if (!o)
        return ERR_OK; /* the handler closed it */
    if (e != ERR_OK) {
        send_close(s, from, m.id, e, err_text(e));
        remove_one(s, o);
        return ERR_OK;
    }
    o->calls = calls;
    o->arg = calls_arg;
    return ERR_OK;
}

/* False: the connection is ending. */
static bool give_credit(struct streams *s, const struct pubkey *to, uint32_t id, uint32_t give)
{
    if (give == 0)
        return true;
    struct buf credit = {0};
    stream_credit_put(&credit, &(struct stream_credit){id, give});
    enum err e = peers_send(s->peers, to, MSG_STREAM_CREDIT, bytes_of_buf(&credit));
    buf_clear(&credit);
    return e == ERR_OK;
}

/* The stream that a message is about. NULL with ERR_DUPLICATE: closed here already. */
static struct stream *lookup(struct line *l, uint32_t id, enum err *e)
{
    struct stream *st = l ? stream_find(&l->table, id) : NULL;
    *e = st ? ERR_OK : l && stream_was_open(&l->table, id) ? ERR_DUPLICATE : ERR_PROTOCOL;
    return st;
}

static enum err on_data(void *arg, const struct pubkey *from, struct bytes body)
{
    struct streams *s = arg;
    struct stream_data m;
    enum err e;
    uint32_t give;
    if (!MSG_GET(stream_data, body, &m))
        return ERR_FORMAT;
    struct stream *st = lookup(find_line(s, from), m.id, &e);
    if (!st)
        return e;
    if (!stream_take(st, m.body.n, &give))
        return ERR_PROTOCOL;
    uint64_t number = st->user;
    if (!give_credit(s, from, m.id, give))
        return ERR_OK;
    struct one *o = find_one(s, number);
    if (o && o->calls && o->calls->data)
        o->calls->data(o->arg, number, m.body);
    return ERR_OK;
}

static enum err on_credit(void *arg, const struct pubkey *from, struct bytes body)
{
    struct streams *s = arg;
    struct stream_credit m;
    enum err e;
    bool ready;
    if (!MSG_GET(stream_credit, body, &m))
        return ERR_FORMAT;
    struct stream *st = lookup(find_line(s, from), m.id, &e);
    if (!st)
        return e;
    if (!stream_refill(st, m.bytes, &ready))
        return ERR_PROTOCOL;
    struct one *o = find_one(s, st->user);
    if (ready && o && o->calls && o->calls->ready)
        o->calls->ready(o->arg, o->number);
    return ERR_OK;
}

static enum err on_close(void *arg, const struct pubkey *from, struct bytes body)
{
    struct streams *s = arg;
    struct stream_close m;
    enum err e;
    if (!MSG_GET(stream_close, body, &m))
        return ERR_FORMAT;
    struct stream *st = lookup(find_line(s, from), m.id, &e);
    struct one *o = st ? find_one(s, st->user) : NULL;
    if (o)
        fail_one(s, o, m.reason < ERR_COUNT ? (enum err)m.reason : ERR_CLOSED, m.text.s);
    return e;
}

/* -- for the market -- */

struct streams *streams_new(struct host *host, struct peers *peers)
{
    struct streams *s = mem_new(sizeof *s);
    s->host = host;
    s->peers = peers;
    peers_on(peers, MSG_STREAM_OPEN, on_open, s);
    peers_on(peers, MSG_STREAM_DATA, on_data, s);
    peers_on(peers, MSG_STREAM_CREDIT, on_credit, s);
    peers_on(peers, MSG_STREAM_CLOSE, on_close, s);
    peers_on_change(peers, on_change, s);
    return s;
}

void streams_free(struct streams *s)
{
    if (!s)
        return;
    host_timer_cancel(s->host, &s->timer);
    while (s->ones)
        remove_one(s, s->ones);
    while (s->lines) {
        struct line *l = s->lines;
        s->lines = l->next;
        stream_table_clear(&l->table);
        free(l);
    }
    free(s);
}

void streams_on(struct streams *s, enum stream_kind kind, streams_accept_fn fn, void *arg)
{
    CHECK(kind < STREAM_KIND_COUNT && !s->accept[kind].fn);
    s->accept[kind].fn = fn;
    s->accept[kind].arg = arg;
}

enum err streams_open(struct streams *s, const struct pubkey *to, const char *endpoint, enum stream_kind kind,
                      struct bytes body, const struct stream_calls *calls, void *arg, uint64_t *stream)
{
    if (body.n > STREAM_DATA_MAX)
        return ERR_LIMIT;
    struct line *l = find_line(s, to);
    if (!l) {
        enum err e = peers_reach(s->peers, to, endpoint);
        if (e != ERR_OK)
            return e;
    }
    struct one *o = add_one(s, to);
    o->kind = kind;
    o->calls = calls;
    o->arg = arg;
    o->line = l;
    if (!l) {
        buf_add(&o->body, body.p, body.n);
        o->deadline_ms = host_now_ms(s->host) + (endpoint && way_is_relayed(endpoint) ? 2u : 1u) * PEER_DIAL_MS;
        look_later(s);
    } else if (!send_open(s, o, body)) {
        remove_one(s, o);
        return ERR_FULL;
    }
    *stream = o->number;
    return ERR_OK;
}

enum err streams_send(struct streams *s, uint64_t stream, struct bytes message)
{
    struct one *o = find_one(s, stream);
    if (!o)
        return ERR_NOT_FOUND;
    if (message.n > STREAM_DATA_MAX)
        return ERR_LIMIT;
    if (!o->line)
        return ERR_BUSY;
    if (peers_queued(s->peers, &o->peer) > QUEUE_HIGH) {
        o->queue_was_full = true;
        look_later(s);
        return ERR_BUSY;
    }
    struct stream *st = stream_find(&o->line->table, o->id);
    CHECK(st);
    if (!stream_spend(st, message.n))
        return ERR_BUSY;
    struct buf body = {0};
    stream_data_put(&body, &(struct stream_data){.id = o->id, .body = message});
    enum err e = peers_send(s->peers, &o->peer, MSG_STREAM_DATA, bytes_of_buf(&body));
    buf_clear(&body);
    return e == ERR_OK ? ERR_OK : ERR_NOT_FOUND; /* the connection is ending: `closed` comes */
}

void streams_hold(struct streams *s, uint64_t stream, bool held)
{
    struct one *o = find_one(s, stream);
    struct stream *st = o && o->line ? stream_find(&o->line->table, o->id) : NULL;
    uint32_t give;
    if (!st || st->held == held)
        return;
    stream_hold(st, held, &give);
    (void)give_credit(s, &o->peer, o->id, give); /* where not, `closed` comes */
}

void streams_close(struct streams *s, uint64_t stream, enum err reason, const char *text)
{
    struct one *o = find_one(s, stream);
    if (!o)
        return;
    if (o->line)
        send_close(s, &o->peer, o->id, reason, text);
    remove_one(s, o);
}

bool streams_peer(const struct streams *s, uint64_t stream, struct pubkey *peer)
{
    const struct one *o = find_one(s, stream);
    if (o)
        *peer = o->peer;
    return o != NULL;
}
