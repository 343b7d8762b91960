/* Connections as pipes with two ends. A pipe's memory goes when both ends were closed and no packet or task points to
 * it any more. */
#include "tests/sim/net.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW    (1u << 20) /* bytes sent and not read, of one direction */
#define READ_ROOM 65536

enum kind { SYN, SYN_ACK, DATA, FIN, RESET };

struct end {
    struct conn base;
    struct pipe *pipe;
    struct sim_node *node;
    uint64_t boot; /* of the node, when it opened this */
    bool is_open;  /* its owner has it */
    bool is_up, is_paused, is_accepted;
    bool is_ended;    /* the other side closed: told behind the last byte */
    bool is_reset;    /* told at once */
    bool is_pumping;  /* a task is on its way */
    bool is_waiting;  /* for room to write */
    bool is_vanished; /* its machine went silently */
    struct buf in;
    size_t in_flight; /* towards this end, not read yet */
    uint64_t last_us; /* arrival of the latest packet towards this end */
    struct packet *stalled, **stalled_end;
};

struct pipe {
    struct pipe *next, **link;
    struct net *net;
    struct end end[2];
    unsigned refs;
};

struct packet {
    struct packet *next; /* among the stalled */
    struct timer timer;
    struct pipe *pipe;
    struct end *to;
    enum kind kind;
    struct buf data;
};

struct sim_transport {
    struct transport base;
    struct sim_node *node;
    transport_accept_fn accept;
    void *arg;
};

struct way {
    uint64_t base_us, jitter_us;
    bool is_cut;
};

struct net {
    struct sim *sim;
    struct random random;
    struct pipe *pipes;
    uint64_t bandwidth;
    uint64_t up_us[SIM_NODES_MAX], down_us[SIM_NODES_MAX]; /* when the node's line is free */
    struct way way[SIM_NODES_MAX][SIM_NODES_MAX];
    unsigned ports;
};

static struct end *other(const struct end *e)
{
    return &e->pipe->end[e == &e->pipe->end[0]];
}

static const struct way *way_to(const struct end *to)
{
    return &to->pipe->net->way[other(to)->node->index][to->node->index];
}

static void pipe_release(struct pipe *p)
{
    CHECK(p->refs > 0);
    if (--p->refs)
        return;
    *p->link = p->next;
    if (p->next)
        p->next->link = p->link;
    buf_clear(&p->end[0].in);
    buf_clear(&p->end[1].in);
    free(p);
}

/* -- what an end's owner is told, in its own turns -- */

static void end_close(struct end *e)
{
    if (!e->is_open)
        return;
    e->is_open = false;
    pipe_release(e->pipe);
}

static void tell_down(struct end *e, enum err why, const char *text)
{
    const struct conn_calls *calls = e->base.calls;
    e->base.calls = NULL;
    if (calls)
        calls->down(e->base.arg, &e->base, why, text);
    end_close(e);
}

static void pump(void *arg);

static void pump_soon(struct end *e)
{
    bool has_news = e->is_reset || (!e->is_paused && e->is_up && (e->in.n || e->is_ended));
    if (!e->is_open || e->is_pumping || !has_news)
        return;
    e->is_pumping = true;
    e->pipe->refs++;
    sim_task_add(e->node, pump, pump, e);
}

static void room(void *arg)
{
    struct end *e = arg;
    if (e->is_open && e->base.calls && !e->node->is_dead)
        e->base.calls->room(e->base.arg, &e->base);
    pipe_release(e->pipe);
}

static void was_read(struct end *e, size_t n)
{
    struct end *writer = other(e);
    e->in_flight -= n;
    if (!writer->is_waiting || e->in_flight >= WINDOW)
        return;
    writer->is_waiting = false;
    if (writer->is_open && writer->node->is_up) {
        e->pipe->refs++;
        sim_task_add(writer->node, room, room, writer);
    }
}

static void read_some(struct end *e)
{
    struct buf taken = {0};
    size_t n = e->in.n < READ_ROOM ? e->in.n : READ_ROOM;
    buf_add(&taken, e->in.p, n);
    buf_drop(&e->in, n);
    was_read(e, n);
    if (e->base.calls)
        e->base.calls->data(e->base.arg, &e->base, bytes_of_buf(&taken));
    buf_clear(&taken);
}

static void pump(void *arg)
{
    struct end *e = arg;
    e->is_pumping = false;
    if (e->is_open && !e->node->is_dead && e->boot == e->node->boot) {
        if (e->is_reset)
            tell_down(e, ERR_IO, "connection reset");
        else if (e->in.n && !e->is_paused)
            read_some(e);
        else if (e->is_ended && !e->is_paused)
            tell_down(e, ERR_CLOSED, "closed by the other side");
        pump_soon(e);
    }
    pipe_release(e->pipe);
}

static void connected(void *arg)
{
    struct end *e = arg;
    if (e->is_open && !e->node->is_dead && e->boot == e->node->boot) {
        e->is_up = true;
        if (e->base.calls)
            e->base.calls->up(e->base.arg, &e->base);
        pump_soon(e);
    }
    pipe_release(e->pipe);
}

/* -- packets -- */

static void arrived(void *arg);

static uint64_t line_us(uint64_t *free_us, uint64_t from_us, uint64_t bits_per_second, size_t n)
{
    if (!bits_per_second)
        return from_us;
    *free_us = (*free_us > from_us ? *free_us : from_us) + (n + 40) * 8 * SIM_SECOND / bits_per_second;
    return *free_us;
}

static void schedule(struct packet *p, uint64_t from_us)
{
    struct end *to = p->to;
    struct net *net = p->pipe->net;
    const struct way *way = way_to(to);
    uint64_t at = line_us(&net->up_us[other(to)->node->index], from_us, net->bandwidth, p->data.n);
    at += way->base_us + random_below(&net->random, way->jitter_us + 1);
    at = line_us(&net->down_us[to->node->index], at, net->bandwidth, p->data.n);
    to->last_us = at > to->last_us ? at : to->last_us; /* never before the one before */
    sim_at(net->sim, &p->timer, to->last_us, arrived, p);
}

static void send(struct end *to, enum kind kind, struct bytes data)
{
    struct packet *p = mem_new(sizeof *p);
    struct sim_node *from = other(to)->node;
    p->pipe = to->pipe;
    p->pipe->refs++;
    p->to = to;
    p->kind = kind;
    buf_add(&p->data, data.p, data.n);
    to->in_flight += data.n;
    schedule(p, p->pipe->net->sim->now_us + from->charge_ns / 1000);
}

static void accepted(void *arg)
{
    struct end *e = arg;
    struct sim_transport *t = e->node->transport;
    char from[64];
    if (!e->node->is_dead && e->boot == e->node->boot && t && t->accept) {
        snprintf(from, sizeof from, "%s:%u", other(e)->node->name, 40000 + ++e->pipe->net->ports % 20000);
        e->is_open = e->is_up = true;
        e->pipe->refs++;
        send(other(e), SYN_ACK, (struct bytes){0});
        t->accept(t->arg, &e->base, from);
        pump_soon(e);
    }
    pipe_release(e->pipe);
}

static void take(struct packet *p)
{
    struct end *to = p->to;
    struct sim_node *n = to->node;
    bool is_here = n->is_up && !n->is_dead && (p->kind == SYN || to->boot == n->boot);
    switch (p->kind) {
    case SYN:
        if (!is_here || way_to(other(to))->is_cut) {
            if (!n->is_up && !n->dies_of_power)
                send(other(to), RESET, (struct bytes){0}); /* refused */
            return;
        }
        to->boot = n->boot;
        p->pipe->refs++;
        sim_task_add(n, accepted, accepted, to);
        return;
    case SYN_ACK:
        if (!is_here)
            return;
        p->pipe->refs++;
        sim_task_add(n, connected, connected, to);
        return;
    case DATA:
        if (is_here && to->is_open)
            buf_add(&to->in, p->data.p, p->data.n);
        else
            was_read(to, p->data.n);
        break;
    case FIN:
        to->is_ended = true;
        break;
    case RESET:
        to->is_reset = true;
        break;
    }
    if (is_here)
        pump_soon(to);
}

static void packet_free(struct packet *p)
{
    pipe_release(p->pipe);
    buf_clear(&p->data);
    free(p);
}

static void arrived(void *arg)
{
    struct packet *p = arg;
    struct end *to = p->to;
    if (!way_to(to)->is_cut && !to->stalled) {
        take(p);
        packet_free(p);
        return;
    }
    if (p->kind == SYN) { /* whoever dials gives up by himself */
        packet_free(p);
        return;
    }
    if (!to->stalled)
        to->stalled_end = &to->stalled;
    p->next = NULL;
    *to->stalled_end = p;
    to->stalled_end = &p->next;
}

/* In their order, before anything that is still on its way. The pipe may go with the last of them. */
static void unstall(struct end *to)
{
    struct packet *p = to->stalled;
    to->stalled = NULL;
    while (p) {
        struct packet *next = p->next;
        take(p);
        packet_free(p);
        p = next;
    }
}

/* -- the transport -- */

static struct net *net_of(const struct transport *t)
{
    return ((const struct sim_transport *)t)->node->sim->net;
}

static struct pipe *pipe_new(struct net *net, const struct transport_ops *o)
{
    struct pipe *p = mem_new(sizeof *p);
    p->net = net;
    p->next = net->pipes;
    p->link = &net->pipes;
    if (p->next)
        p->next->link = &p->next;
    net->pipes = p;
    for (int i = 0; i < 2; i++) {
        p->end[i].pipe = p;
        p->end[i].base.ops = o;
    }
    return p;
}

static struct sim_node *node_named(struct sim *s, const char *name)
{
    for (unsigned i = 0; i < s->nodes; i++)
        if (strcmp(s->node[i].name, name) == 0)
            return &s->node[i];
    return NULL;
}

static enum err sim_listen(struct transport *base, const struct endpoint *at, transport_accept_fn fn, void *arg,
                           uint16_t *port, struct note *note)
{
    struct sim_transport *t = (struct sim_transport *)base;
    (void)note;
    t->accept = fn;
    t->arg = arg;
    *port = at->port;
    return ERR_OK;
}

static void sim_unlisten(struct transport *base)
{
    ((struct sim_transport *)base)->accept = NULL;
}

static struct conn *sim_dial(struct transport *base, const struct endpoint *to, const struct conn_calls *calls,
                             void *arg)
{
    struct sim_transport *t = (struct sim_transport *)base;
    struct net *net = net_of(base);
    struct sim_node *target = node_named(net->sim, to->host);
    struct pipe *p = pipe_new(net, base->ops);
    struct end *e = &p->end[0];
    p->refs = 1;
    e->node = t->node;
    e->boot = t->node->boot;
    e->is_open = true;
    conn_own(&e->base, calls, arg);
    p->end[1].node = target ? target : t->node;
    if (!target) {
        e->is_reset = true; /* no such host */
        pump_soon(e);
    } else if (sim_acts(t->node)) {
        send(&p->end[1], SYN, (struct bytes){0});
    }
    return &e->base;
}

static size_t sim_conn_write(struct conn *base, struct bytes out)
{
    struct end *e = (struct end *)base, *to = other(e);
    if (!e->is_open || !e->is_up || e->is_reset)
        return 0;
    if (to->in_flight >= WINDOW) {
        e->is_waiting = true;
        return 0;
    }
    if (sim_acts(e->node) && !to->is_vanished)
        send(to, DATA, out);
    return out.n;
}

static void sim_conn_pause(struct conn *base, bool paused)
{
    struct end *e = (struct end *)base;
    e->is_paused = paused;
    pump_soon(e);
}

static void sim_conn_close(struct conn *base, struct bytes last)
{
    struct end *e = (struct end *)base;
    if (!e->is_open)
        return;
    if (!e->node->is_dead && e->is_up && last.n)
        (void)sim_conn_write(base, last);
    if (!e->node->is_dead)
        send(other(e), FIN, (struct bytes){0});
    end_close(e);
}

static void sim_transport_free(struct transport *base)
{
    struct sim_transport *t = (struct sim_transport *)base;
    struct net *net = net_of(base);
    for (struct pipe *p = net->pipes, *next; p; p = next) {
        next = p->next;
        p->refs++;
        for (int i = 0; i < 2; i++)
            if (p->end[i].node == t->node && p->end[i].is_open && p->end[i].boot == t->node->boot) {
                p->end[i].base.calls = NULL;
                sim_conn_close(&p->end[i].base, (struct bytes){0});
            }
        next = p->next;
        pipe_release(p);
    }
    t->node->transport = NULL;
    free(t);
}

static const struct transport_ops ops = {
    .listen = sim_listen,
    .unlisten = sim_unlisten,
    .dial = sim_dial,
    .write = sim_conn_write,
    .pause = sim_conn_pause,
    .close = sim_conn_close,
    .free = sim_transport_free,
};

struct transport *sim_net_transport(struct sim_node *n)
{
    struct sim_transport *t = mem_new(sizeof *t);
    t->base.ops = &ops;
    t->node = n;
    n->transport = t;
    return &t->base;
}

/* -- what fate does -- */

void sim_net_delay(struct sim *s, unsigned from, unsigned to, uint64_t base_us, uint64_t jitter_us)
{
    struct way *w = &s->net->way[from][to];
    w->base_us = base_us;
    w->jitter_us = jitter_us;
}

void sim_net_bandwidth(struct sim *s, uint64_t bits_per_second)
{
    s->net->bandwidth = bits_per_second;
}

void sim_net_cut(struct sim *s, unsigned from, unsigned to, bool is_cut)
{
    struct way *w = &s->net->way[from][to];
    bool is_over = w->is_cut && !is_cut;
    w->is_cut = is_cut;
    for (struct pipe *p = s->net->pipes, *next; p && is_over; p = next) {
        p->refs++;
        for (int i = 0; i < 2; i++)
            if (way_to(&p->end[i]) == w)
                unstall(&p->end[i]);
        next = p->next;
        pipe_release(p);
    }
}

static void break_end(struct end *e)
{
    e->is_reset = true;
    if (e->node->is_up && e->boot == e->node->boot)
        pump_soon(e);
}

void sim_net_reset(struct sim *s, unsigned a, unsigned b)
{
    for (struct pipe *p = s->net->pipes; p; p = p->next) {
        unsigned x = p->end[0].node->index, y = p->end[1].node->index;
        if ((x == a && y == b) || (x == b && y == a)) {
            break_end(&p->end[0]);
            break_end(&p->end[1]);
        }
    }
}

void sim_net_node_gone(struct sim_node *n, bool is_silent)
{
    for (struct pipe *p = n->sim->net->pipes; p; p = p->next)
        for (int i = 0; i < 2; i++) {
            struct end *e = &p->end[i];
            if (e->node != n || !e->is_open || e->boot != n->boot)
                continue;
            e->is_vanished = is_silent;
            if (!is_silent)
                send(other(e), RESET, (struct bytes){0});
        }
}

void sim_net_node_back(struct sim_node *n)
{
    for (struct pipe *p = n->sim->net->pipes; p; p = p->next)
        for (int i = 0; i < 2; i++)
            if (p->end[i].node == n && p->end[i].is_vanished) {
                p->end[i].is_vanished = false;
                send(other(&p->end[i]), RESET, (struct bytes){0});
            }
}

/* -- life -- */

void sim_net_open(struct sim *s)
{
    s->net = mem_new(sizeof *s->net);
    s->net->sim = s;
    s->net->random = random_fork(&s->random);
    for (unsigned i = 0; i < s->nodes; i++)
        for (unsigned k = 0; k < s->nodes; k++)
            sim_net_delay(s, i, k, 5000, 2000);
}

void sim_net_close(struct sim *s)
{
    struct timer *t;
    struct net *net = s->net;
    for (struct pipe *p = net->pipes, *next; p; p = next) {
        p->refs++;
        unstall(&p->end[0]);
        unstall(&p->end[1]);
        next = p->next;
        pipe_release(p);
    }
    while ((t = timer_step(&s->events, UINT64_MAX - 1)))
        if (t->fn == arrived)
            packet_free(t->arg);
    CHECK(!net->pipes);
    free(net);
}
