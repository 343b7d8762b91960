#include "node/outside.h"

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

static void look(void *arg)
{
    struct outside *s = arg;
    struct reach_info r = reach_info(s->reach);
    char text[ENDPOINT_TEXT_ROOM];
    circuits_set_relaying(s->circuits, s->relay && r.state == REACH_YES);
    circuits_set_wanted(s->circuits, r.state == REACH_NO);
    choose(s, &r, text);
    if (strcmp(text, s->endpoint) == 0)
        return;
    snprintf(s->endpoint, sizeof s->endpoint, "%s", text);
    peers_set_listen(s->peers, way_is_relayed(text) ? text : NULL);
    log_event(LOG_INFO, "reach", "told", "way=%s", text);
    if (s->fn)
        s->fn(s->fn_arg);
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
    look(s);
    return s;
}

void outside_free(struct outside *s)
{
    if (!s)
        return;
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

struct circuits_info outside_circuits(const struct outside *s)
{
    return circuits_info(s->circuits);
}
