/* /kith/v1/events: what happens to this node, as server-sent events, for as long as somebody follows.
 *
 * A follower is a place in the ring of events (node/api/events.h) and a few KiB of its connection. When those are full
 * it is left where it is; when the client has taken them it goes on, and is told how many it missed if the ring has
 * gone by meanwhile. An id is the start of the node that it counts from and the event's number: who comes back with the
 * last one (Last-Event-ID) is given what followed. A key sees what it may read, for as long as it is one. */
#include "base/codec.h"
#include "base/mem.h"
#include "node/api/api.h"
#include "node/node.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEEPALIVE_MS 10000
#define LOOK_MS      1000
#define WAITING_MAX  (64u << 10) /* bytes of events that wait for one client */

struct follower {
    struct node *node;
    struct http_request *request;
    struct follower *next, *prev;
    uint64_t at; /* the number that it reads next */
    unsigned kinds;
    bool has_key;
    struct hash key;
    struct timer keepalive;
};

struct followers {
    struct follower *first;
    unsigned n;
    struct timer pump, look;
};

static void follower_free(struct follower *f)
{
    struct followers *all = f->node->followers;
    if (f->prev)
        f->prev->next = f->next;
    else
        all->first = f->next;
    if (f->next)
        f->next->prev = f->prev;
    all->n--;
    host_timer_cancel(f->node->host, &f->keepalive);
    if (all->n == 0)
        host_timer_cancel(f->node->host, &all->look);
    free(f);
}

/* -- what is told -- */

/* Of keys that are removed, nothing more. */
static unsigned scopes_of(const struct follower *f)
{
    const struct apikey *k = f->has_key ? apikeys_get(f->node->apikeys, &f->key) : NULL;
    return !f->has_key ? APIKEY_ALL : k ? k->scopes : 0;
}

static bool may_see(const struct follower *f, unsigned scopes, const struct event *e)
{
    static const unsigned needs[] = {
#define E(kind, name, scope) APIKEY_##scope,
        EVENTS_LIST(E)
#undef E
    };
    if (!(f->kinds & 1u << e->kind) || !(scopes & needs[e->kind]))
        return false;
    return needs[e->kind] == APIKEY_READ || !f->has_key || hash_equal(&f->key, &e->owner);
}

static void put_id(struct buf *b, const struct follower *f, uint64_t number)
{
    buf_add_format(b, "id: %08" PRIx32 "-%" PRIu64 "\n", feed_start(f->node->feed), number);
}

static void put_event(struct buf *b, const struct follower *f, const struct event *e)
{
    put_id(b, f, e->number);
    buf_add_format(b, "event: %s\ndata: ", event_kind_name(e->kind));
    buf_add(b, e->data.p, e->data.n);
    buf_add_text(b, "\n\n");
}

/* How many there were, of all kinds and owners: which of them were for this one nobody knows any more. */
static void put_missed(struct buf *b, const struct follower *f, uint64_t missed)
{
    put_id(b, f, f->at - 1);
    buf_add_format(b, "event: missed\ndata: {\"events\":%" PRIu64 "}\n\n", missed);
}

/* The position, which a client takes note of without being told an event. */
static void put_position(struct buf *b, const struct follower *f)
{
    put_id(b, f, f->at - 1);
    buf_add_text(b, "\n");
}

static bool send_some(struct follower *f, struct buf *b)
{
    bool good = b->n == 0 || http_stream_put(f->request, bytes_of_buf(b));
    buf_clear(b);
    return good;
}

/* Up to as much as may wait. False: the stream must end. */
static bool pump(struct follower *f)
{
    const struct events *events = feed_events(f->node->feed);
    unsigned scopes = scopes_of(f);
    struct buf b = {0};
    if (!scopes)
        return false;
    while (http_stream_waiting(f->request) + b.n < WAITING_MAX) {
        uint64_t next = f->at, missed;
        const struct event *e = events_read(events, &next, &missed);
        f->at += missed;
        if (missed)
            put_missed(&b, f, missed);
        if (!e)
            break;
        f->at = next;
        if (may_see(f, scopes, e))
            put_event(&b, f, e);
    }
    if (b.n)
        host_timer_cancel(f->node->host, &f->keepalive); /* set again by whoever called */
    return send_some(f, &b);
}

static void on_keepalive(void *arg);

static void step(struct follower *f)
{
    if (pump(f)) {
        if (!timer_is_set(&f->keepalive))
            host_timer_set(f->node->host, &f->keepalive, KEEPALIVE_MS, on_keepalive, f);
        return;
    }
    http_stream_end(f->request);
    follower_free(f);
}

static void on_keepalive(void *arg)
{
    struct follower *f = arg;
    struct buf b = {0};
    buf_add_text(&b, ": alive\n");
    put_position(&b, f);
    if (send_some(f, &b)) {
        step(f);
        return;
    }
    http_stream_end(f->request);
    follower_free(f);
}

/* -- news -- */

static void on_pump(void *arg)
{
    struct node *n = arg;
    for (struct follower *f = n->followers->first, *next; f; f = next) {
        next = f->next;
        step(f);
    }
}

static void on_news(void *arg)
{
    struct node *n = arg;
    if (n->followers->first)
        host_timer_set(n->host, &n->followers->pump, 0, on_pump, n);
}

static void on_look(void *arg)
{
    struct node *n = arg;
    feed_look(n->feed);
    host_timer_set(n->host, &n->followers->look, LOOK_MS, on_look, n);
}

void api_events_open(struct node *n)
{
    n->followers = mem_new(sizeof *n->followers);
    n->feed = feed_open(n, on_news, n);
}

void api_events_close(struct node *n)
{
    while (n->followers->first)
        follower_free(n->followers->first);
    host_timer_cancel(n->host, &n->followers->pump);
    feed_close(n->feed);
    free(n->followers);
    n->feed = NULL;
    n->followers = NULL;
}

/* -- following -- */

/* ?kinds=block,job: a set of bits. */
static enum err read_kinds(const char *text, unsigned *out, struct note *note)
{
    *out = text ? 0 : ~0u;
    for (const char *at = text; at && *at;) {
        size_t n = strcspn(at, ",");
        unsigned kind = 0;
        while (kind < EVENT_KINDS && (strlen(event_kind_name((enum event_kind)kind)) != n ||
                                      memcmp(event_kind_name((enum event_kind)kind), at, n) != 0))
            kind++;
        if (kind == EVENT_KINDS)
            return note_set(note, ERR_FORMAT, "kinds=%.*s is no kind of event: docs/api.md has them",
                            n < 40 ? (int)n : 40, at);
        *out |= 1u << kind;
        at += n + (at[n] == ',');
    }
    return *out ? ERR_OK : note_set(note, ERR_FORMAT, "kinds is empty: leave it out, or name some");
}

/* Where to go on: behind the id that the client has. One of another start of the node: all that there was since, and
 * how much there was before nobody knows. */
static enum err read_place(struct follower *f, const char *id, bool *is_other, struct note *note)
{
    uint64_t end = events_end(feed_events(f->node->feed));
    char *rest = NULL;
    f->at = end;
    if (!id || !*id)
        return ERR_OK;
    unsigned long long start = strlen(id) > 9 && id[8] == '-' ? strtoull(id, &rest, 16) : 0;
    if (rest != id + 8 || strspn(id + 9, "0123456789") != strlen(id + 9) || strlen(id + 9) > 19)
        return note_set(note, ERR_FORMAT, "Last-Event-ID: %.40s is none of this stream's ids", id);
    *is_other = start != feed_start(f->node->feed);
    uint64_t at = *is_other ? 1 : strtoull(id + 9, NULL, 10) + 1;
    f->at = at < end ? at : end;
    return ERR_OK;
}

static void on_gone(void *arg, struct http_request *r)
{
    (void)r;
    follower_free(arg);
}

static void on_drained(void *arg, struct http_request *r)
{
    (void)r;
    step(arg);
}

static void follow(struct follower *f, bool is_other)
{
    struct followers *all = f->node->followers;
    struct buf b = {0};
    f->next = all->first;
    if (f->next)
        f->next->prev = f;
    all->first = f;
    if (all->n++ == 0)
        host_timer_set(f->node->host, &all->look, 0, on_look, f->node);
    http_on_gone(f->request, on_gone, f);
    http_add_header(f->request, "X-Accel-Buffering", "no");
    http_stream_start(f->request, 200, "text/event-stream");
    http_on_drained(f->request, on_drained, f);
    if (is_other)
        buf_add_text(&b, "event: missed\ndata: {\"events\":null}\n\n");
    put_position(&b, f);
    (void)send_some(f, &b);
    step(f);
}

void api_events_get(struct api_call *c)
{
    struct note note = {{0}};
    bool is_other = false;
    if (c->node->followers->n >= EVENTS_FOLLOWERS_MAX) {
        api_reply_busy(c->request, "as many follow this node's events as may: end one of them");
        return;
    }
    struct follower *f = mem_new(sizeof *f);
    *f = (struct follower){.node = c->node, .request = c->request, .has_key = c->key != NULL, .key = api_owner(c)};
    enum err e = read_kinds(http_query(c->request, "kinds"), &f->kinds, &note);
    if (e == ERR_OK)
        e = read_place(f, http_header(c->request, "Last-Event-ID"), &is_other, &note);
    if (e == ERR_OK) {
        follow(f, is_other);
    } else {
        api_fail(c->request, e, &note);
        free(f);
    }
}
