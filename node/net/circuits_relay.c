/* The relay: whom it promised, and passing bytes on.
 *
 * What came for the other side and finds no credit there, or no allowance, waits here, and its sender gets no credit
 * meanwhile: so at most a window (CIRCUIT_WINDOW) waits each way of each circuit. A circuit has an allowance, and all
 * of them together have one: what is relayed costs a node that gains nothing from it little. */
#include "node/net/circuits_in.h"

#include "base/mem.h"
#include "node/host/room.h"

#include <stdlib.h>

struct client {
    struct circuits *owner;
    struct client *next;
    struct pubkey key;
    uint64_t stream, network;
};

/* side[0] is the dialler's, side[1] the client's. */
struct side {
    struct passing *passing;
    uint64_t stream;
    struct buf waits; /* to be sent here; what the other side sends is held then */
};

struct passing {
    struct circuits *owner;
    struct passing *next;
    struct pubkey from, to;
    uint64_t network; /* of `from` */
    uint64_t order;   /* rising */
    struct side side[2];
    int64_t allowance;
    uint64_t allowance_ms, moved_ms, bytes;
    bool over;
};

static struct side *other_side(struct side *s)
{
    return s == &s->passing->side[0] ? &s->passing->side[1] : &s->passing->side[0];
}

static void tick(void *arg);

static void tick_later(struct circuits *c, uint64_t ms)
{
    if (!timer_is_set(&c->pass_timer) || c->pass_timer.due_ms > host_now_ms(c->host) + ms)
        host_timer_set(c->host, &c->pass_timer, ms, tick, c);
}

/* -- ending -- */

/* Freed in the next tick: a call of its streams may be under way. */
static void passing_end(struct passing *p, enum err reason, const char *text)
{
    struct circuits *c = p->owner;
    if (p->over)
        return;
    p->over = true;
    for (unsigned i = 0; i < 2; i++) {
        if (p->side[i].stream)
            streams_close(c->streams, p->side[i].stream, reason, text);
        p->side[i].stream = 0;
    }
    host_timer_set(c->host, &c->pass_timer, 0, tick, c);
}

static void passing_free(struct passing *p)
{
    buf_clear(&p->side[0].waits);
    buf_clear(&p->side[1].waits);
    p->owner->passing_n--;
    free(p);
}

/* -- allowances -- */

static void refill(int64_t *allowance, uint64_t *at_ms, uint32_t rate, uint64_t now_ms)
{
    uint64_t passed_ms = now_ms - *at_ms < 1000 ? now_ms - *at_ms : 1000;
    *allowance += (int64_t)(passed_ms * rate / 1000);
    if (*allowance > rate)
        *allowance = rate;
    *at_ms = now_ms;
}

/* May it send now? What it then sends may take the allowances below zero. */
static bool may_pass(struct passing *p)
{
    struct circuits *c = p->owner;
    uint64_t now_ms = host_now_ms(c->host);
    refill(&p->allowance, &p->allowance_ms, CIRCUIT_RATE, now_ms);
    refill(&c->allowance, &c->allowance_ms, RELAY_RATE, now_ms);
    return p->allowance > 0 && c->allowance > 0;
}

/* -- passing on -- */

static bool pass(struct side *to, struct bytes part)
{
    struct passing *p = to->passing;
    struct circuits *c = p->owner;
    if (!may_pass(p)) {
        tick_later(c, RELAY_TICK_MS);
        return false;
    }
    if (streams_send(c->streams, to->stream, part) != ERR_OK)
        return false; /* no credit: `ready` comes; or the connection is ending: `closed` does */
    p->allowance -= (int64_t)part.n + CIRCUIT_FRAME;
    c->allowance -= (int64_t)part.n + CIRCUIT_FRAME;
    p->bytes += part.n + CIRCUIT_FRAME;
    c->passed_bytes += part.n;
    p->moved_ms = host_now_ms(c->host);
    return true;
}

/* What waits for this side, as far as it goes. */
static void drain(struct side *to)
{
    struct passing *p = to->passing;
    size_t done = 0;
    while (!p->over && done < to->waits.n) {
        size_t n = to->waits.n - done < CIRCUIT_PART ? to->waits.n - done : CIRCUIT_PART;
        if (!pass(to, bytes_of(to->waits.p + done, n)))
            break;
        done += n;
    }
    if (p->over || done == 0)
        return;
    buf_drop(&to->waits, done);
    if (to->waits.n == 0)
        streams_hold(p->owner->streams, other_side(to)->stream, false);
}

static void on_data(void *arg, uint64_t stream, struct bytes message)
{
    struct side *from = arg, *to = other_side(from);
    struct passing *p = from->passing;
    (void)stream;
    if (p->over || message.n == 0)
        return;
    if (p->bytes > CIRCUIT_BYTES_MAX) {
        passing_end(p, ERR_LIMIT, "the circuit has passed what one may");
        return;
    }
    if (to->waits.n == 0 && message.n <= CIRCUIT_PART && pass(to, message))
        return;
    buf_add(&to->waits, message.p, message.n);
    streams_hold(p->owner->streams, from->stream, true);
    drain(to);
}

static void on_ready(void *arg, uint64_t stream)
{
    (void)stream;
    drain(arg);
}

static void on_closed(void *arg, uint64_t stream, enum err reason, const char *text)
{
    struct side *s = arg;
    (void)stream;
    s->stream = 0;
    passing_end(s->passing, reason, text);
}

static const struct stream_calls pass_calls = {.data = on_data, .ready = on_ready, .closed = on_closed};

/* Frees what is over, drains what had no allowance, ends what is silent. */
static void tick(void *arg)
{
    struct circuits *c = arg;
    uint64_t now_ms = host_now_ms(c->host);
    bool waits = false;
    for (struct passing **at = &c->passing; *at;) {
        struct passing *p = *at;
        if (!p->over && now_ms > p->moved_ms + CIRCUIT_SILENT_MS)
            passing_end(p, ERR_TIMEOUT, "nothing passed for a while");
        if (p->over) {
            *at = p->next;
            passing_free(p);
            continue;
        }
        drain(&p->side[0]);
        drain(&p->side[1]);
        waits |= p->side[0].waits.n > 0 || p->side[1].waits.n > 0;
        at = &p->next;
    }
    if (c->passing)
        host_timer_set(c->host, &c->pass_timer, waits ? RELAY_TICK_MS : CIRCUIT_SILENT_MS / 4, tick, c);
}

/* -- who may -- */

static struct client *find_client(const struct circuits *c, const struct pubkey *key)
{
    struct client *k = c->clients;
    while (k && !pubkey_equal(&k->key, key))
        k = k->next;
    return k;
}

/* A place among those of a client (NULL: among all). Where they are taken, the network that has the most of them gives
 * up its youngest, as among peers. */
static bool make_room(struct circuits *c, const struct pubkey *to, size_t places, uint64_t network)
{
    struct room_guest guests[CIRCUITS_MAX];
    struct passing *all[CIRCUITS_MAX];
    size_t n = 0, gone = 0;
    for (struct passing *p = c->passing; p && n < CIRCUITS_MAX; p = p->next)
        if (!p->over && (!to || pubkey_equal(&p->to, to))) {
            all[n] = p;
            guests[n++] = (struct room_guest){.network = p->network, .since = p->order};
        }
    if (n < places)
        return true;
    if (!room_of_peers(guests, n, network, &gone))
        return false;
    passing_end(all[gone], ERR_FULL, "makes room for a circuit from another network");
    return true;
}

static enum err may_open(struct circuits *c, const struct pubkey *from, const struct pubkey *to, uint64_t network)
{
    unsigned from_n = 0, network_n = 0;
    if (pubkey_equal(from, to) || !find_client(c, to))
        return ERR_NOT_FOUND;
    for (const struct passing *p = c->passing; p; p = p->next) {
        if (p->over)
            continue;
        from_n += pubkey_equal(&p->from, from);
        network_n += p->network == network;
    }
    if (from_n >= CIRCUITS_FROM || network_n >= CIRCUITS_NETWORK || !make_room(c, to, CIRCUITS_TO, network) ||
        !make_room(c, NULL, CIRCUITS_MAX, network))
        return ERR_FULL;
    return ERR_OK;
}

static enum err refuse(struct circuits *c, enum err e)
{
    c->refused++;
    return e;
}

enum err circuits_relay_accept(struct circuits *c, uint64_t stream, const struct pubkey *from, const struct pubkey *to,
                               const struct stream_calls **calls, void **calls_arg)
{
    struct buf body = {0};
    uint64_t network, now_ms = host_now_ms(c->host);
    if (!circuits_network(c, from, &network))
        return refuse(c, ERR_REFUSED); /* it comes through a relay itself */
    enum err e = may_open(c, from, to, network);
    if (e != ERR_OK)
        return refuse(c, e);
    struct passing *p = mem_new(sizeof *p);
    *p = (struct passing){.owner = c,
                          .next = c->passing,
                          .from = *from,
                          .to = *to,
                          .network = network,
                          .order = ++c->orders,
                          .allowance = CIRCUIT_RATE,
                          .allowance_ms = now_ms,
                          .moved_ms = now_ms};
    p->side[0] = (struct side){.passing = p, .stream = stream};
    p->side[1] = (struct side){.passing = p};
    circuit_ask_put(&body, &(struct circuit_ask){CIRCUIT_STOP, *from});
    e = streams_open(c->streams, to, NULL, STREAM_CIRCUIT, bytes_of_buf(&body), &pass_calls, &p->side[1],
                     &p->side[1].stream);
    buf_clear(&body);
    if (e != ERR_OK) {
        free(p);
        return refuse(c, e);
    }
    peers_charge(c->peers, from, CIRCUIT_COST);
    c->passing = p;
    c->passing_n++;
    *calls = &pass_calls;
    *calls_arg = &p->side[0];
    tick_later(c, CIRCUIT_SILENT_MS / 4);
    return ERR_OK;
}

/* -- promises -- */

static void client_left(void *arg, uint64_t stream, enum err reason, const char *text)
{
    struct client *k = arg;
    struct circuits *c = k->owner;
    struct client **at = &c->clients;
    (void)stream;
    (void)reason;
    (void)text;
    while (*at != k)
        at = &(*at)->next;
    *at = k->next;
    c->clients_n--;
    free(k);
}

static const struct stream_calls client_calls = {.closed = client_left};

static enum err may_promise(const struct circuits *c, const struct pubkey *to, uint64_t network)
{
    unsigned n = 0;
    if (!c->relaying)
        return ERR_REFUSED;
    if (find_client(c, to))
        return ERR_DUPLICATE;
    for (const struct client *k = c->clients; k; k = k->next)
        n += k->network == network;
    return c->clients_n < RELAY_CLIENTS_MAX && n < RELAY_CLIENTS_NETWORK ? ERR_OK : ERR_FULL;
}

static enum err on_promise(void *arg, uint64_t stream, const struct pubkey *from, struct bytes body,
                           const struct stream_calls **calls, void **calls_arg)
{
    struct circuits *c = arg;
    struct buf terms = {0};
    uint64_t network;
    if (body.n != 0)
        return ERR_FORMAT;
    if (!circuits_network(c, from, &network))
        return ERR_REFUSED;
    enum err e = may_promise(c, from, network);
    if (e != ERR_OK)
        return e;
    relay_terms_put(&terms, &(struct relay_terms){CIRCUITS_TO, CIRCUIT_RATE >> 10, CIRCUIT_BYTES_MAX});
    e = streams_send(c->streams, stream, bytes_of_buf(&terms));
    buf_clear(&terms);
    if (e != ERR_OK)
        return e;
    struct client *k = mem_new(sizeof *k);
    *k = (struct client){.owner = c, .next = c->clients, .key = *from, .stream = stream, .network = network};
    c->clients = k;
    c->clients_n++;
    *calls = &client_calls;
    *calls_arg = k;
    return ERR_OK;
}

void circuits_set_relaying(struct circuits *c, bool relaying)
{
    if (c->relaying != relaying)
        log_event(LOG_INFO, "circuits", "relaying", "for_others=%d", relaying);
    c->relaying = relaying;
}

void circuits_relay_start(struct circuits *c)
{
    c->allowance = RELAY_RATE;
    c->allowance_ms = host_now_ms(c->host);
    streams_on(c->streams, STREAM_RELAY, on_promise, c);
}

void circuits_relay_stop(struct circuits *c)
{
    for (struct passing *p = c->passing; p; p = p->next)
        passing_end(p, ERR_CLOSED, "the relay stops");
    host_timer_cancel(c->host, &c->pass_timer);
    while (c->passing) {
        struct passing *p = c->passing;
        c->passing = p->next;
        passing_free(p);
    }
    while (c->clients) {
        streams_close(c->streams, c->clients->stream, ERR_CLOSED, "the relay stops");
        client_left(c->clients, 0, ERR_OK, "");
    }
}
