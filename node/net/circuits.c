/* A circuit's two ends: a conn of p2p/transport.h over a stream of a connection.
 *
 *     dialled   stream opened --(it stands)--> up --> data, room --> down
 *     accepted  stream came, taken by peers   ------> data, room --> down
 *
 * What node/peers is told in a turn of its own (up; bytes that were kept while it was paused) is told by `turn`, and
 * what is over is freed there: no call comes before the one that asked for it has returned. */
#include "node/net/circuits_in.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

struct circuit {
    struct conn base;
    struct circuits *owner;
    struct circuit *next;
    uint64_t stream; /* 0: gone */
    bool dialled, up_is_due, is_up, paused, over;
    struct buf out; /* taken from peers, and waiting for credit */
    struct buf in;  /* came while paused: at most a window, which is held then */
};

static const struct transport_ops circuit_ops;

static const struct conn_calls *calls_of(struct circuit *e)
{
    return e->over ? NULL : e->base.calls;
}

static void turn(void *arg);

static void turn_soon(struct circuits *c)
{
    if (c->turn_is_posted || c->closing)
        return;
    c->turn_is_posted = true;
    host_post(c->host, turn, c);
}

static struct circuit *end_new(struct circuits *c, bool dialled)
{
    struct circuit *e = mem_new(sizeof *e);
    e->base.ops = &circuit_ops;
    e->owner = c;
    e->dialled = dialled;
    e->next = c->ends;
    c->ends = e;
    return e;
}

static void end_over(struct circuit *e)
{
    e->over = true;
    turn_soon(e->owner);
}

/* Its user is told, as the last thing. */
static void end_fail(struct circuit *e, enum err reason, const char *text)
{
    const struct conn_calls *calls = calls_of(e);
    e->base.calls = NULL;
    e->stream = 0;
    end_over(e);
    if (calls)
        calls->down(e->base.arg, &e->base, reason == ERR_OK ? ERR_CLOSED : reason, text);
}

/* -- bytes out -- */

/* As many as there is credit for. */
static size_t send_some(struct circuit *e, struct bytes out)
{
    size_t done = 0;
    while (done < out.n && e->stream) {
        size_t n = out.n - done < CIRCUIT_PART ? out.n - done : CIRCUIT_PART;
        if (streams_send(e->owner->streams, e->stream, bytes_of(out.p + done, n)) != ERR_OK)
            break; /* no credit; or the connection is ending, and `closed` comes */
        done += n;
    }
    return done;
}

static size_t circuit_write(struct conn *base, struct bytes out)
{
    struct circuit *e = (struct circuit *)base;
    if (e->over || !e->is_up || e->out.n > 0)
        return 0;
    size_t done = send_some(e, out);
    buf_add(&e->out, out.p + done, out.n - done);
    return out.n;
}

static void on_ready(void *arg, uint64_t stream)
{
    struct circuit *e = arg;
    (void)stream;
    if (e->over || e->out.n == 0)
        return;
    buf_drop(&e->out, send_some(e, bytes_of_buf(&e->out)));
    const struct conn_calls *calls = calls_of(e);
    if (e->out.n == 0 && calls)
        calls->room(e->base.arg, &e->base);
}

/* -- bytes in -- */

static void on_data(void *arg, uint64_t stream, struct bytes message)
{
    struct circuit *e = arg;
    const struct conn_calls *calls = calls_of(e);
    (void)stream;
    if (!calls || message.n == 0)
        return;
    if (e->paused || e->in.n > 0)
        buf_add(&e->in, message.p, message.n);
    else
        calls->data(e->base.arg, &e->base, message);
}

static void circuit_pause(struct conn *base, bool paused)
{
    struct circuit *e = (struct circuit *)base;
    if (e->over || e->paused == paused)
        return;
    e->paused = paused;
    streams_hold(e->owner->streams, e->stream, paused);
    if (!paused && e->in.n > 0)
        turn_soon(e->owner);
}

static void give_kept(struct circuit *e)
{
    struct buf in = e->in;
    const struct conn_calls *calls = calls_of(e);
    e->in = (struct buf){0};
    if (calls)
        calls->data(e->base.arg, &e->base, bytes_of_buf(&in));
    buf_clear(&in);
}

/* -- coming and going -- */

static void on_opened(void *arg, uint64_t stream)
{
    struct circuit *e = arg;
    const struct conn_calls *calls = calls_of(e);
    (void)stream;
    e->up_is_due = false;
    e->is_up = true;
    if (calls && calls->up)
        calls->up(e->base.arg, &e->base);
}

static void on_closed(void *arg, uint64_t stream, enum err reason, const char *text)
{
    (void)stream;
    end_fail(arg, reason, *text ? text : "the relay ended the circuit");
}

static void circuit_close(struct conn *base, struct bytes last)
{
    struct circuit *e = (struct circuit *)base;
    if (e->over)
        return;
    if (e->is_up && e->out.n == 0)
        (void)send_some(e, last);
    streams_close(e->owner->streams, e->stream, ERR_OK, "");
    e->stream = 0;
    end_over(e);
}

static const struct transport_ops circuit_ops = {
    .write = circuit_write, .pause = circuit_pause, .close = circuit_close};

static const struct stream_calls end_calls = {on_opened, on_data, on_ready, on_closed};

static void end_free(struct circuit *e)
{
    buf_clear(&e->out);
    buf_clear(&e->in);
    free(e);
}

static void sweep(struct circuits *c)
{
    for (struct circuit **at = &c->ends; *at;) {
        struct circuit *e = *at;
        if (e->over) {
            *at = e->next;
            c->dialled -= e->dialled;
            c->accepted -= !e->dialled;
            end_free(e);
        } else {
            at = &e->next;
        }
    }
}

/* Calls may make and end others: nothing is taken out of the list but at the end. */
static void turn(void *arg)
{
    struct circuits *c = arg;
    c->turn_is_posted = false;
    for (struct circuit *e = c->ends; e; e = e->next) {
        if (e->over)
            continue;
        if (!e->stream)
            end_fail(e, ERR_NOT_FOUND, "its relay cannot be reached");
        else if (e->up_is_due)
            on_opened(e, e->stream);
        if (!e->over && !e->paused && e->in.n > 0)
            give_kept(e);
    }
    sweep(c);
}

/* A failure comes in a turn of its own, too. */
static struct conn *dial(void *arg, const struct pubkey *relay, const char *relay_at, const struct pubkey *to,
                         const struct conn_calls *calls, void *calls_arg)
{
    struct circuits *c = arg;
    struct circuit *e = end_new(c, true);
    struct buf body = {0};
    uint64_t network;
    bool stands = peers_is_up(c->peers, relay);
    conn_own(&e->base, calls, calls_arg);
    c->dialled++;
    circuit_ask_put(&body, &(struct circuit_ask){CIRCUIT_RELAY, *to});
    /* A relay that itself is reached through one is none. */
    if (!stands || circuits_network(c, relay, &network)) {
        enum err err =
            streams_open(c->streams, relay, relay_at, STREAM_CIRCUIT, bytes_of_buf(&body), &end_calls, e, &e->stream);
        if (err != ERR_OK) {
            log_event(LOG_DEBUG, "circuits", "no circuit", "err=%s", err_name(err));
            e->stream = 0;
        }
    }
    e->up_is_due = stands && e->stream;
    if (stands || !e->stream)
        turn_soon(c);
    buf_clear(&body);
    return &e->base;
}

static enum err accept_stop(struct circuits *c, uint64_t stream, const struct pubkey *relay,
                            const struct stream_calls **calls, void **calls_arg)
{
    const char *at = circuits_promised(c, relay);
    if (!at)
        return ERR_REFUSED; /* it is no relay of this node */
    if (c->accepted >= CIRCUITS_MAX)
        return ERR_FULL;
    struct circuit *e = end_new(c, false);
    e->stream = stream;
    e->is_up = true;
    c->accepted++;
    *calls = &end_calls;
    *calls_arg = e;
    peers_accept(c->peers, &e->base, at);
    return ERR_OK;
}

static enum err on_circuit(void *arg, uint64_t stream, const struct pubkey *from, struct bytes body,
                           const struct stream_calls **calls, void **calls_arg)
{
    struct circuits *c = arg;
    struct circuit_ask ask;
    if (!MSG_GET(circuit_ask, body, &ask))
        return ERR_FORMAT;
    if (ask.what == CIRCUIT_STOP)
        return accept_stop(c, stream, from, calls, calls_arg);
    if (ask.what == CIRCUIT_RELAY)
        return circuits_relay_accept(c, stream, from, &ask.peer, calls, calls_arg);
    return ERR_UNSUPPORTED;
}

/* -- life -- */

bool circuits_network(const struct circuits *c, const struct pubkey *peer, uint64_t *network)
{
    struct endpoint e;
    const char *endpoint;
    bool relayed;
    if (!peers_endpoint(c->peers, peer, &endpoint, &relayed) || relayed || endpoint_parse(endpoint, &e, NULL) != ERR_OK)
        return false;
    struct bytes group = endpoint_group(&e);
    *network = hash_place(c->place, group.p, group.n);
    return true;
}

struct circuits *circuits_new(struct host *host, struct peers *peers, struct streams *streams)
{
    struct circuits *c = mem_new(sizeof *c);
    c->host = host;
    c->peers = peers;
    c->streams = streams;
    host_random(host, c->place, sizeof c->place);
    peers_on_circuit(peers, dial, c);
    streams_on(streams, STREAM_CIRCUIT, on_circuit, c);
    circuits_relay_start(c);
    return c;
}

static void circuits_bury(void *arg)
{
    struct circuits *c = arg;
    while (c->ends) {
        struct circuit *e = c->ends;
        c->ends = e->next;
        end_free(e);
    }
    free(c);
}

/* Peers' links end before the streams do that carry them; a turn that is posted still points here. */
void circuits_free(struct circuits *c)
{
    if (!c)
        return;
    peers_on_circuit(c->peers, NULL, NULL);
    circuits_promise_stop(c);
    circuits_relay_stop(c);
    for (struct circuit *e = c->ends; e; e = e->next) {
        uint64_t stream = e->stream;
        if (e->over)
            continue;
        streams_close(c->streams, stream, ERR_CLOSED, "stops");
        end_fail(e, ERR_CLOSED, "stops");
    }
    c->closing = true;
    host_post(c->host, circuits_bury, c);
}

struct circuits_info circuits_info(const struct circuits *c)
{
    struct circuits_info info = {.relaying = c->relaying,
                                 .wanted = c->wanted,
                                 .dialled = c->dialled,
                                 .accepted = c->accepted,
                                 .clients = c->clients_n,
                                 .passing = c->passing_n,
                                 .passed_bytes = c->passed_bytes,
                                 .refused = c->refused};
    for (unsigned i = 0; i < WAY_RELAYS_MAX; i++)
        info.relays += c->promises[i].state == PROMISE_MADE;
    return info;
}
