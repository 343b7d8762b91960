#include "node/net/outside.h"

#include "base/log.h"
#include "base/mem.h"
#include "p2p/way.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct outside {
    struct peers *peers;
    struct dialbacks *dialbacks;
    struct reach *reach;
    struct circuits *circuits;
    struct portmap *portmap; /* NULL: not asked */
    char *listen, *announce;
    bool relay;
    char endpoint[ENDPOINT_TEXT_ROOM];
    outside_fn fn;
    void *fn_arg;
};

/* The host that it was told to listen on names an address, not all of them. */
static bool listens_at_host(const struct outside *s, struct endpoint *at)
{
    bool good = endpoint_parse(s->listen, at, NULL) == ERR_OK && at->host[0];
    return good && strcmp(at->host, "0.0.0.0") != 0 && strcmp(at->host, "::") != 0;
}

static void choose(const struct outside *s, const struct reach_info *r, char text[ENDPOINT_TEXT_ROOM])
{
    struct endpoint at;
    if (r->state == REACH_NO && circuits_way(s->circuits)[0]) {
        snprintf(text, ENDPOINT_TEXT_ROOM, "%s", circuits_way(s->circuits));
    } else if (s->announce) {
        snprintf(text, ENDPOINT_TEXT_ROOM, "%s", s->announce);
    } else if (listens_at_host(s, &at)) {
        at.port = peers_port(s->peers);
        endpoint_print(&at, text);
    } else if (r->state == REACH_YES && r->at[0]) {
        snprintf(text, ENDPOINT_TEXT_ROOM, "%s", r->at);
    } else {
        snprintf(text, ENDPOINT_TEXT_ROOM, "127.0.0.1:%u", peers_port(s->peers));
    }
}

/* What hello says: the way through relays, else the port where the router has another one. */
static void tell_port(struct outside *s, const char *way)
{
    struct portmap_info m = {.port = 0};
    char port[16];
    bool mapped = outside_portmap(s, &m) && m.state == PORTMAP_MAPPED && !s->announce;
    snprintf(port, sizeof port, ":%u", m.port);
    peers_set_listen(s->peers, way_is_relayed(way) ? way : mapped ? port : NULL);
}

static void look(void *arg)
{
    struct outside *s = arg;
    struct reach_info r = reach_info(s->reach);
    char text[ENDPOINT_TEXT_ROOM];
    circuits_set_relaying(s->circuits, s->relay && r.state == REACH_YES);
    circuits_set_wanted(s->circuits, r.state == REACH_NO);
    choose(s, &r, text);
    tell_port(s, text);
    if (strcmp(text, s->endpoint) == 0)
        return;
    snprintf(s->endpoint, sizeof s->endpoint, "%s", text);
    log_event(LOG_INFO, "reach", "told", "way=%s", text);
    if (s->fn)
        s->fn(s->fn_arg);
}

static void port_changed(void *arg)
{
    struct outside *s = arg;
    struct portmap_info m = portmap_info(s->portmap);
    reach_set_port(s->reach, m.state == PORTMAP_MAPPED ? m.port : 0);
    look(s);
}

/* For this machine alone no router needs to do anything. */
static bool listens_for_others(const struct outside *s)
{
    struct endpoint at;
    bool good = peers_port(s->peers) != 0 && endpoint_parse(s->listen, &at, NULL) == ERR_OK;
    return good && strncmp(at.host, "127.", 4) != 0 && strcmp(at.host, "::1") != 0 && strcmp(at.host, "localhost") != 0;
}

struct outside *outside_new(const struct outside_options *o)
{
    struct outside *s = mem_new(sizeof *s);
    s->peers = o->peers;
    s->listen = mem_string(o->listen);
    s->announce = o->announce ? mem_string(o->announce) : NULL;
    s->relay = o->relay;
    s->dialbacks = dialbacks_new(o->host, o->peers, o->streams, o->transport);
    s->reach = reach_new(o->host, o->peers, s->dialbacks);
    s->circuits = circuits_new(o->host, o->peers, o->streams);
    reach_on_change(s->reach, look, s);
    circuits_on_change(s->circuits, look, s);
    if (o->portmap && listens_for_others(s))
        s->portmap = portmap_new(o->host, peers_port(o->peers), port_changed, s);
    look(s);
    return s;
}

void outside_give_back(struct outside *s)
{
    portmap_free(s->portmap);
    s->portmap = NULL;
}

void outside_free(struct outside *s)
{
    if (!s)
        return;
    outside_give_back(s);
    circuits_free(s->circuits);
    reach_free(s->reach);
    dialbacks_free(s->dialbacks);
    free(s->listen);
    free(s->announce);
    free(s);
}

const char *outside_endpoint(const struct outside *s)
{
    return s->endpoint;
}

void outside_on_change(struct outside *s, outside_fn fn, void *arg)
{
    s->fn = fn;
    s->fn_arg = arg;
}

struct reach_info outside_reach(const struct outside *s)
{
    return reach_info(s->reach);
}

bool outside_portmap(const struct outside *s, struct portmap_info *out)
{
    if (s->portmap)
        *out = portmap_info(s->portmap);
    return s->portmap != NULL;
}

struct circuits_info outside_circuits(const struct outside *s)
{
    return circuits_info(s->circuits);
}
