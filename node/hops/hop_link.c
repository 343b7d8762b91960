/* One hop as its head sees it. */
#include "node/hops/hop_link.h"

#include "base/log.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct hop_link {
    struct hop_link_options o;
    struct hop_link_calls calls;
    void *arg;
    char *endpoint;
    enum hop_link_state state;
    bool wanted;
    uint64_t since_ms, stream; /* 0: none */
    unsigned failures;         /* in a row */
    char why[256];
    struct hop_ready ready;
    struct timer timer; /* the end of a pause, of a call, or the next turn of the loop */

    struct hop_sending sending;
    struct hop_taking taking;
    struct buf next;                /* a call that waits until the one before is over */
    bool has_next, is_forgotten;    /* the call on the way */
    bool is_answered;               /* all but its statement is here */
    struct hop_statement statement; /* of that call */
    struct hop_statement kept[HOP_STATEMENTS];
    uint64_t kept_n; /* ever */
    uint64_t answered, bytes_out, bytes_in;
};

static void connect_now(void *arg);

static void set_state(struct hop_link *l, enum hop_link_state state)
{
    l->state = state;
    l->since_ms = host_now_ms(l->o.host);
}

static const char *short_name(const struct hop_link *l, char text[17])
{
    hex_put(text, l->o.node.b, 8);
    return text;
}

/* What belongs to the stream goes. */
static void reset(struct hop_link *l)
{
    hop_sending_clear(&l->sending);
    hop_taking_clear(&l->taking);
    buf_clear(&l->next);
    l->has_next = l->is_forgotten = l->is_answered = false;
    l->stream = 0;
    l->ready = (struct hop_ready){0};
    host_timer_cancel(l->o.host, &l->timer);
    set_state(l, HOP_REST);
}

/* Nothing, or no more: tried again after a pause. Whoever is told may free the link, so that comes last. */
static void give_up(struct hop_link *l, enum err e, const char *text)
{
    const struct hop_link_calls calls = l->calls;
    void *arg = l->arg;
    const bool was_ready = hop_link_is_ready(l);
    const bool is_asked = (l->state == HOP_CALLING && !l->is_forgotten) || l->has_next;
    const unsigned doubled = l->failures < 6 ? l->failures : 6;
    const uint64_t pause_ms =
        HOP_PAUSE_MS << doubled < HOP_PAUSE_MAX_MS ? (uint64_t)HOP_PAUSE_MS << doubled : HOP_PAUSE_MAX_MS;
    char node[17], said[sizeof l->why];
    snprintf(said, sizeof said, "%.255s", text);
    memcpy(l->why, said, sizeof said);
    log_event(LOG_ODD, "hop", "lost", "node=%s layers=%u-%u pause_ms=%u why=%s", short_name(l, node), l->o.of.first,
              l->o.of.end - 1, (unsigned)pause_ms, said);
    l->failures++;
    reset(l);
    set_state(l, HOP_PAUSED);
    host_timer_set(l->o.host, &l->timer, pause_ms, connect_now, l);
    if (is_asked)
        calls.answer(arg, e, bytes_of(NULL, 0), NULL, said);
    else if (was_ready)
        calls.changed(arg);
}

/* This side ends it. */
static void break_off(struct hop_link *l, enum err e, const char *text)
{
    streams_close(l->o.streams, l->stream, e, text);
    give_up(l, e, text);
}

/* -- calls -- */

static void on_late(void *arg)
{
    break_off(arg, ERR_TIMEOUT, "it did not answer in time");
}

static void moved(struct hop_link *l)
{
    host_timer_set(l->o.host, &l->timer, l->o.call_ms, on_late, l);
}

static void pump(struct hop_link *l)
{
    while (l->state == HOP_CALLING && l->sending.active) {
        struct buf b = {0};
        CHECK(hop_sending_next(&l->sending, HOP_CALL, &b));
        enum err e = streams_send(l->o.streams, l->stream, bytes_of_buf(&b));
        if (e == ERR_OK) {
            l->bytes_out += b.n;
            hop_sending_step(&l->sending);
            moved(l);
        }
        buf_clear(&b);
        if (e != ERR_OK)
            return; /* busy: `ready` comes; gone: `closed` does */
    }
}

static void begin(struct hop_link *l, struct bytes call)
{
    struct hop_statement *s = &l->statement;
    s->number++;
    s->call = hop_bytes_hash(call);
    l->taking.number = s->number;
    l->is_answered = l->is_forgotten = false;
    set_state(l, HOP_CALLING);
    hop_sending_start(&l->sending, s->number, call);
    moved(l);
    pump(l);
}

enum err hop_link_call(struct hop_link *l, struct bytes call)
{
    if (call.n > FAR_CALL_MAX)
        return ERR_LIMIT;
    if (l->state == HOP_CALLING && l->is_forgotten && !l->has_next) {
        buf_add(&l->next, call.p, call.n);
        l->has_next = true;
        return ERR_OK;
    }
    if (l->state != HOP_IS_READY)
        return ERR_STATE;
    begin(l, call);
    return ERR_OK;
}

void hop_link_forget(struct hop_link *l)
{
    l->is_forgotten = l->state == HOP_CALLING;
    l->has_next = false;
    buf_clear(&l->next);
}

static enum err take_answer(struct hop_link *l, struct cursor c)
{
    struct hop_part part;
    bool whole;
    hop_part_get(&c, &part);
    if (!cursor_end(&c) || l->state != HOP_CALLING || l->sending.active || l->is_answered)
        return ERR_PROTOCOL;
    enum err e = hop_taking_add(&l->taking, &part, &whole);
    l->bytes_in += part.bytes.n;
    l->is_answered = e == ERR_OK && whole;
    moved(l);
    return e;
}

static void keep(struct hop_link *l)
{
    l->kept[l->kept_n++ % HOP_STATEMENTS] = l->statement;
    l->answered++;
    l->failures = 0;
}

static void log_wrong(const struct hop_link *l)
{
    struct buf b = {0};
    hop_statement_json(&b, &l->statement);
    log_event(LOG_ODD, "hop", "wrong statement", "statement=%s", buf_text(&b));
    buf_clear(&b);
}

static enum err take_signed(struct hop_link *l, struct cursor c)
{
    struct hop_statement *s = &l->statement;
    struct hop_signed m;
    hop_signed_get(&c, &m);
    if (!cursor_end(&c) || l->state != HOP_CALLING || !l->is_answered || m.number != s->number)
        return ERR_PROTOCOL;
    const struct hash is = hop_bytes_hash(bytes_of_buf(&l->taking.bytes));
    s->answer = m.answer;
    s->sig = m.sig;
    if (!hash_equal(&is, &m.answer) || !hop_statement_verify(s)) {
        log_wrong(l);
        return ERR_AUTH;
    }
    keep(l);
    s->before = hop_calls_hash(&s->before, &s->call);
    struct buf answer = l->taking.bytes;
    l->taking.bytes = (struct buf){0};
    host_timer_cancel(l->o.host, &l->timer);
    set_state(l, HOP_IS_READY);
    if (l->is_forgotten) {
        l->is_forgotten = false;
        if (l->has_next) {
            struct buf next = l->next;
            l->next = (struct buf){0};
            l->has_next = false;
            begin(l, bytes_of_buf(&next));
            buf_clear(&next);
        }
    } else {
        const struct hop_statement said = l->kept[(l->kept_n - 1) % HOP_STATEMENTS];
        l->calls.answer(l->arg, ERR_OK, bytes_of_buf(&answer), &said, ""); /* may free the link, or call again */
    }
    buf_clear(&answer);
    return ERR_OK;
}

/* -- the stream -- */

static enum err take_ready(struct hop_link *l, struct cursor c)
{
    struct hop_ready m;
    char node[17];
    hop_ready_get(&c, &m);
    if (!cursor_end(&c) || l->state != HOP_LOADING || m.batch == 0 || m.batch > BATCH_MAX || m.pages == 0)
        return ERR_PROTOCOL;
    l->ready = m;
    l->why[0] = '\0';
    set_state(l, HOP_IS_READY);
    log_event(LOG_INFO, "hop", "ready", "node=%s layers=%u-%u batch=%u pages=%u backend=%s", short_name(l, node),
              l->o.of.first, l->o.of.end - 1, m.batch, m.pages, m.backend.s);
    l->calls.changed(l->arg);
    return ERR_OK;
}

static void on_opened(void *arg, uint64_t stream)
{
    (void)stream;
    set_state(arg, HOP_LOADING);
}

static void on_data(void *arg, uint64_t stream, struct bytes message)
{
    struct hop_link *l = arg;
    uint8_t type;
    struct cursor c = hop_message_open(message, &type);
    enum err e = ERR_PROTOCOL;
    (void)stream;
    if (type == HOP_READY)
        e = take_ready(l, c);
    else if (type == HOP_ANSWER)
        e = take_answer(l, c);
    else if (type == HOP_SIGNED)
        e = take_signed(l, c);
    if (e == ERR_AUTH)
        break_off(l, e, "its signature is not one over what it was asked and answered");
    else if (e != ERR_OK)
        break_off(l, e, "what came is no part of an answer that could come now");
}

static void on_ready(void *arg, uint64_t stream)
{
    (void)stream;
    pump(arg);
}

static void on_closed(void *arg, uint64_t stream, enum err reason, const char *text)
{
    (void)stream;
    static const char *const unreached = "it cannot be reached: is kithd running there?";
    const struct hop_link *l = arg;
    const bool is_unreached = l->state == HOP_CONNECTING && reason == ERR_TIMEOUT;
    give_up(arg, reason == ERR_OK ? ERR_CLOSED : reason, is_unreached ? unreached : *text ? text : err_text(reason));
}

static const struct stream_calls link_calls = {on_opened, on_data, on_ready, on_closed};

static void connect_now(void *arg)
{
    struct hop_link *l = arg;
    struct buf body = {0};
    const struct hop_open *of = &l->o.of;
    l->statement = (struct hop_statement){.chain = l->o.chain,
                                          .node = l->o.node,
                                          .model = of->model,
                                          .arith = of->arith,
                                          .first = of->first,
                                          .end = of->end};
    hop_open_put(&body, of);
    set_state(l, peers_is_up(l->o.peers, &l->o.node) ? HOP_LOADING : HOP_CONNECTING);
    enum err e = streams_open(l->o.streams, &l->o.node, l->endpoint, STREAM_LAYERS, bytes_of_buf(&body), &link_calls, l,
                              &l->stream);
    buf_clear(&body);
    if (e == ERR_NOT_FOUND)
        give_up(l, e, "nobody knows where that device is: name it as NODE@HOST:PORT");
    else if (e != ERR_OK)
        give_up(l, e, err_text(e));
}

/* -- its user -- */

void hop_link_want(struct hop_link *l, bool wanted)
{
    if (wanted == l->wanted)
        return;
    l->wanted = wanted;
    hop_link_forget(l);
    if (wanted) {
        host_timer_set(l->o.host, &l->timer, 0, connect_now, l);
        set_state(l, HOP_CONNECTING);
        return;
    }
    if (l->stream)
        streams_close(l->o.streams, l->stream, ERR_OK, "the layers are not needed now");
    reset(l);
    l->failures = 0;
}

bool hop_link_is_ready(const struct hop_link *l)
{
    return l->state == HOP_IS_READY || l->state == HOP_CALLING;
}

void hop_link_get_info(const struct hop_link *l, struct hop_link_info *out)
{
    *out = (struct hop_link_info){.state = l->state,
                                  .ready = l->ready,
                                  .since_ms = l->since_ms,
                                  .calls = l->answered,
                                  .bytes_out = l->bytes_out,
                                  .bytes_in = l->bytes_in,
                                  .why = l->why};
}

const struct hop_statement *hop_link_statement(const struct hop_link *l, unsigned i)
{
    if (i >= HOP_STATEMENTS || i >= l->kept_n)
        return NULL;
    return &l->kept[(l->kept_n - 1 - i) % HOP_STATEMENTS];
}

struct hop_link *hop_link_new(const struct hop_link_options *o, const struct hop_link_calls *calls, void *arg)
{
    struct hop_link *l = mem_new(sizeof *l);
    l->o = *o;
    l->calls = *calls;
    l->arg = arg;
    l->endpoint = o->endpoint && *o->endpoint ? mem_string(o->endpoint) : NULL;
    l->o.endpoint = NULL;
    l->o.call_ms = o->call_ms ? o->call_ms : HOP_CALL_MS;
    return l;
}

void hop_link_free(struct hop_link *l)
{
    if (!l)
        return;
    hop_link_want(l, false);
    host_timer_cancel(l->o.host, &l->timer);
    free(l->endpoint);
    free(l);
}
