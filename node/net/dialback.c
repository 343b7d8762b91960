/* Both sides of dialling back. A probe is one connection to an asker; its number of the stream names it. */
#include "node/net/dialback.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "p2p/noise.h"
#include "p2p/transport.h"
#include "p2p/way.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct probe {
    struct dialbacks *owner;
    struct probe *next;
    uint64_t stream;
    struct conn *conn; /* NULL once closed */
    struct pubkey asker;
    struct noise noise;
    struct buf in;
    struct timer timer;
    bool over;
    char at[ENDPOINT_TEXT_ROOM];
};

struct served {
    uint64_t network, at_ms;
};

struct dialbacks {
    struct host *host;
    struct peers *peers;
    struct streams *streams;
    struct transport *transport;
    struct probe *probes;
    unsigned probes_n;
    uint8_t place[16];
    struct served served[DIALBACKS_KEPT];

    /* the question that is out */
    uint64_t asking;
    uint16_t port;
    struct pubkey helper;
    struct timer asking_timer;
    struct dialback_result result;
    dialback_fn fn;
    void *fn_arg;
};

/* -- the helper -- */

static void probe_free(struct probe *p)
{
    struct dialbacks *d = p->owner;
    struct probe **at = &d->probes;
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    d->probes_n--;
    host_timer_cancel(d->host, &p->timer);
    if (p->conn)
        conn_close(p->conn, (struct bytes){0});
    noise_clear(&p->noise);
    buf_clear(&p->in);
    free(p);
}

static void probe_swept(void *arg)
{
    probe_free(arg);
}

/* Says what came of it, and goes away in a turn of its own: the connection's calls end first. */
static void probe_end(struct probe *p, bool reached, enum err why)
{
    struct dialback_said said = {.reached = reached, .reason = (uint8_t)why};
    struct buf body = {0};
    if (p->over)
        return;
    p->over = true;
    CHECK(text255_set(&said.at, p->at));
    dialback_said_put(&body, &said);
    if (streams_send(p->owner->streams, p->stream, bytes_of_buf(&body)) != ERR_OK)
        log_event(LOG_DEBUG, "reach", "asker is gone", "at=%s", p->at);
    streams_close(p->owner->streams, p->stream, ERR_OK, "");
    buf_clear(&body);
    host_timer_set(p->owner->host, &p->timer, 0, probe_swept, p);
}

static void probe_late(void *arg)
{
    probe_end(arg, false, ERR_TIMEOUT);
}

/* With keys for this once: the asker learns nothing from the handshake that it did not know. */
static void probe_up(void *arg, struct conn *c)
{
    struct probe *p = arg;
    struct seckey self, ephemeral;
    struct pubkey unused;
    struct buf act = {0};
    struct point to = key_point_even(&p->asker);
    host_random(p->owner->host, self.b, sizeof self.b);
    host_random(p->owner->host, ephemeral.b, sizeof ephemeral.b);
    bool good = key_is_valid(&self) && key_is_valid(&ephemeral);
    if (good) {
        key_derive(&self, &unused);
        good = noise_init_initiator(&p->noise, &self, &to, &ephemeral, &act);
    }
    if (!good || conn_write(c, bytes_of_buf(&act)) != act.n)
        probe_end(p, false, ERR_IO);
    secret_wipe(&self, sizeof self);
    secret_wipe(&ephemeral, sizeof ephemeral);
    buf_clear(&act);
}

static void probe_data(void *arg, struct conn *c, struct bytes in)
{
    struct probe *p = arg;
    struct buf act = {0};
    (void)c;
    if (p->over)
        return;
    if (in.n > NOISE_ACT2_SIZE - p->in.n)
        in.n = NOISE_ACT2_SIZE - p->in.n;
    buf_add(&p->in, in.p, in.n);
    if (p->in.n < NOISE_ACT2_SIZE)
        return;
    bool good = noise_step(&p->noise, bytes_of_buf(&p->in), &act) == NOISE_OK;
    buf_clear(&act); /* act 3, which is not sent: it would be one more connection of ours */
    probe_end(p, good, good ? ERR_OK : ERR_AUTH);
}

static void probe_room(void *arg, struct conn *c)
{
    (void)arg;
    (void)c;
}

static void probe_down(void *arg, struct conn *c, enum err e, const char *text)
{
    struct probe *p = arg;
    (void)c;
    (void)text;
    p->conn = NULL;
    probe_end(p, false, e);
}

static const struct conn_calls probe_calls = {probe_up, probe_data, probe_room, probe_down};

static void asker_left(void *arg, uint64_t stream, enum err reason, const char *text)
{
    struct probe *p = arg;
    (void)stream;
    (void)reason;
    (void)text;
    if (p->over)
        return;
    p->over = true;
    host_timer_set(p->owner->host, &p->timer, 0, probe_swept, p);
}

static const struct stream_calls helper_calls = {.closed = asker_left};

/* A network that was served of late waits, and so does everybody when as many were as are remembered. */
static bool may_serve(struct dialbacks *d, const struct endpoint *from)
{
    struct bytes group = endpoint_group(from);
    uint64_t network = hash_place(d->place, group.p, group.n), now_ms = host_now_ms(d->host);
    struct served *oldest = &d->served[0];
    for (unsigned i = 0; i < DIALBACKS_KEPT; i++) {
        struct served *s = &d->served[i];
        if (s->network == network && s->at_ms != 0 && now_ms < s->at_ms + DIALBACK_EVERY_MS)
            return false;
        if (s->at_ms < oldest->at_ms)
            oldest = s;
    }
    if (oldest->at_ms != 0 && now_ms < oldest->at_ms + DIALBACK_EVERY_MS)
        return false;
    *oldest = (struct served){network, now_ms ? now_ms : 1};
    return true;
}

static enum err on_ask(void *arg, uint64_t stream, const struct pubkey *from, struct bytes body,
                       const struct stream_calls **calls, void **calls_arg)
{
    struct dialbacks *d = arg;
    struct dialback_ask ask;
    struct endpoint to;
    const char *endpoint;
    bool relayed;
    if (!MSG_GET(dialback_ask, body, &ask) || ask.port == 0)
        return ERR_FORMAT;
    /* One that this node dialled itself has been reached, and what was dialled may be a name. */
    if (!peers_endpoint(d->peers, from, &endpoint, &relayed) || relayed || peers_is_dialled(d->peers, from) ||
        endpoint_parse(endpoint, &to, NULL) != ERR_OK)
        return ERR_REFUSED;
    if (d->probes_n >= DIALBACKS_MAX || !may_serve(d, &to))
        return ERR_BUSY;
    struct probe *p = mem_new(sizeof *p);
    to.port = ask.port;
    p->owner = d;
    p->next = d->probes;
    p->stream = stream;
    p->asker = *from;
    endpoint_print(&to, p->at);
    d->probes = p;
    d->probes_n++;
    host_timer_set(d->host, &p->timer, DIALBACK_MS, probe_late, p);
    p->conn = transport_dial(d->transport, &to, &probe_calls, p);
    *calls = &helper_calls;
    *calls_arg = p;
    return ERR_OK;
}

/* -- the asker -- */

static void answered(struct dialbacks *d)
{
    dialback_fn fn = d->fn;
    struct pubkey helper = d->helper;
    struct dialback_result result = d->result;
    host_timer_cancel(d->host, &d->asking_timer);
    d->asking = 0;
    d->fn = NULL;
    fn(d->fn_arg, &helper, &result);
}

static void on_said(void *arg, uint64_t stream, struct bytes message)
{
    struct dialbacks *d = arg;
    struct dialback_said said;
    struct endpoint at;
    d->result.asked = ERR_FORMAT;
    /* Others are told where that is: the port is known here, and what it saw has an address. */
    if (MSG_GET(dialback_said, message, &said) && said.reason < ERR_COUNT &&
        endpoint_parse(said.at.s, &at, NULL) == ERR_OK && endpoint_is_address(&at) && at.port == d->port) {
        d->result = (struct dialback_result){.reached = said.reached, .why = (enum err)said.reason};
        endpoint_print(&at, d->result.at);
    }
    streams_close(d->streams, stream, ERR_OK, "");
    answered(d);
}

static void on_refused(void *arg, uint64_t stream, enum err reason, const char *text)
{
    struct dialbacks *d = arg;
    (void)stream;
    (void)text;
    d->result.asked = reason == ERR_OK ? ERR_CLOSED : reason;
    answered(d);
}

static const struct stream_calls asker_calls = {.data = on_said, .closed = on_refused};

static void on_late(void *arg)
{
    struct dialbacks *d = arg;
    streams_close(d->streams, d->asking, ERR_TIMEOUT, "");
    d->result.asked = ERR_TIMEOUT;
    answered(d);
}

enum err dialback_ask(struct dialbacks *d, const struct pubkey *helper, uint16_t port, dialback_fn fn, void *arg)
{
    struct buf body = {0};
    if (d->asking)
        return ERR_BUSY;
    if (!peers_is_up(d->peers, helper))
        return ERR_NOT_FOUND;
    dialback_ask_put(&body, &(struct dialback_ask){port});
    enum err e =
        streams_open(d->streams, helper, NULL, STREAM_DIALBACK, bytes_of_buf(&body), &asker_calls, d, &d->asking);
    buf_clear(&body);
    if (e != ERR_OK) {
        d->asking = 0;
        return e;
    }
    d->helper = *helper;
    d->port = port;
    d->fn = fn;
    d->fn_arg = arg;
    d->result = (struct dialback_result){0};
    host_timer_set(d->host, &d->asking_timer, 2 * DIALBACK_MS, on_late, d);
    return ERR_OK;
}

/* -- life -- */

struct dialbacks *dialbacks_new(struct host *host, struct peers *peers, struct streams *streams,
                                struct transport *transport)
{
    struct dialbacks *d = mem_new(sizeof *d);
    d->host = host;
    d->peers = peers;
    d->streams = streams;
    d->transport = transport;
    host_random(host, d->place, sizeof d->place);
    streams_on(streams, STREAM_DIALBACK, on_ask, d);
    return d;
}

void dialbacks_free(struct dialbacks *d)
{
    if (!d)
        return;
    host_timer_cancel(d->host, &d->asking_timer);
    while (d->probes)
        probe_free(d->probes);
    free(d);
}
