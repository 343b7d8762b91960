/* Voices, and whom to ask next. */
#include "node/net/reach.h"

#include "base/log.h"
#include "base/mem.h"
#include "p2p/way.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One network's latest word. */
struct voice {
    uint64_t network;
    uint64_t said_ms; /* 0: none */
    bool reached, outside;
    enum err why;
    char at[ENDPOINT_TEXT_ROOM]; /* "" of one that dialled by itself */
};

struct asked {
    struct pubkey helper;
    uint64_t at_ms; /* 0: nobody */
};

struct reach {
    struct host *host;
    struct peers *peers;
    struct dialbacks *dialbacks;
    uint16_t port;
    uint8_t place[16];
    struct voice voices[REACH_WITNESSES];
    struct asked asked[REACH_WITNESSES];
    struct reach_info told;
    struct timer timer;
    reach_fn fn;
    void *fn_arg;
};

const char *reach_state_name(enum reach_state s)
{
    return s == REACH_YES ? "yes" : s == REACH_NO ? "no" : "unknown";
}

static uint64_t network_of(const struct reach *r, const struct endpoint *e)
{
    struct bytes group = endpoint_group(e);
    return hash_place(r->place, group.p, group.n);
}

/* -- what is known -- */

static bool counts(const struct reach *r, const struct voice *v, bool outside)
{
    return v->said_ms != 0 && v->outside == outside && host_now_ms(r->host) < v->said_ms + REACH_TRUST_MS;
}

/* The address that most of those who reached it name; of as many the latest. */
static void most_named(const struct reach *r, bool outside, char at[256])
{
    unsigned most = 0;
    uint64_t latest_ms = 0;
    at[0] = 0;
    for (unsigned i = 0; i < REACH_WITNESSES; i++) {
        const struct voice *v = &r->voices[i];
        unsigned n = 0;
        if (!counts(r, v, outside) || !v->reached || !v->at[0])
            continue;
        for (unsigned j = 0; j < REACH_WITNESSES; j++)
            n += counts(r, &r->voices[j], outside) && r->voices[j].reached && strcmp(r->voices[j].at, v->at) == 0;
        if (n > most || (n == most && v->said_ms > latest_ms)) {
            most = n;
            latest_ms = v->said_ms;
            snprintf(at, 256, "%s", v->at);
        }
    }
}

static struct reach_info count(const struct reach *r, bool outside)
{
    struct reach_info info = {.listens = peers_port(r->peers) != 0, .outside = outside, .port = r->port};
    uint64_t latest_ms = 0, failed_ms = 0;
    bool latest = false;
    for (unsigned i = 0; i < REACH_WITNESSES; i++) {
        const struct voice *v = &r->voices[i];
        if (!counts(r, v, outside))
            continue;
        info.yes += v->reached;
        info.no += !v->reached;
        if (v->said_ms >= latest_ms) {
            latest_ms = v->said_ms;
            latest = v->reached;
        }
        if (!v->reached && v->said_ms >= failed_ms) {
            failed_ms = v->said_ms;
            info.why = v->why;
        }
    }
    if (info.yes + info.no > 0) {
        bool yes = info.yes != info.no ? info.yes > info.no : latest;
        info.state = yes ? REACH_YES : REACH_NO;
        info.age_ms = host_now_ms(r->host) - latest_ms;
    }
    most_named(r, outside, info.at);
    return info;
}

struct reach_info reach_info(const struct reach *r)
{
    struct reach_info info = count(r, true);
    if (info.state == REACH_UNKNOWN)
        info = count(r, false);
    if (!info.listens)
        info.state = REACH_NO;
    return info;
}

static void tell(struct reach *r)
{
    struct reach_info info = reach_info(r), old = r->told;
    r->told = info;
    if (info.state == old.state && strcmp(info.at, old.at) == 0)
        return;
    log_event(LOG_INFO, "reach", "reachable", "from_outside=%s at=%s yes=%u no=%u why=%s", reach_state_name(info.state),
              info.at[0] ? info.at : "-", info.yes, info.no, info.state == REACH_NO ? err_name(info.why) : "-");
    if (r->fn)
        r->fn(r->fn_arg);
}

static void add_voice(struct reach *r, const struct endpoint *from, bool reached, enum err why, const char *at)
{
    struct voice v = {.network = network_of(r, from),
                      .said_ms = host_now_ms(r->host) + 1,
                      .reached = reached,
                      .outside = !endpoint_is_private(from),
                      .why = why};
    struct voice *place = &r->voices[0];
    snprintf(v.at, sizeof v.at, "%s", at);
    for (unsigned i = 0; i < REACH_WITNESSES && place->network != v.network; i++)
        if (r->voices[i].network == v.network || r->voices[i].said_ms < place->said_ms)
            place = &r->voices[i];
    /* One that dialled by itself names no address, and does not take away the one that its network named. */
    if (!at[0] && place->network == v.network && place->reached)
        memcpy(v.at, place->at, sizeof v.at);
    *place = v;
    tell(r);
}

/* -- asking -- */

static void on_result(void *arg, const struct pubkey *helper, const struct dialback_result *result)
{
    struct reach *r = arg;
    struct way way;
    const char *endpoint;
    bool relayed;
    if (result->asked != ERR_OK) {
        log_event(LOG_DEBUG, "reach", "not dialled back", "err=%s", err_name(result->asked));
        return;
    }
    if (peers_endpoint(r->peers, helper, &endpoint, &relayed) && !relayed && way_parse(endpoint, &way, NULL) == ERR_OK)
        add_voice(r, &way.at[0], result->reached, result->why, result->at);
}

static struct asked *asked_of(struct reach *r, const struct pubkey *helper)
{
    struct asked *oldest = &r->asked[0];
    for (unsigned i = 0; i < REACH_WITNESSES; i++) {
        if (pubkey_equal(&r->asked[i].helper, helper))
            return &r->asked[i];
        if (r->asked[i].at_ms < oldest->at_ms)
            oldest = &r->asked[i];
    }
    return oldest;
}

struct search {
    struct reach *r;
    uint64_t again_ms;
    bool found;
    bool outside;
    struct pubkey helper;
};

/* Whom this node dialled sees the address that it comes from; who is outside is asked before who is near. */
static void look_at(void *arg, const struct peers_info *info)
{
    struct search *s = arg;
    struct way way;
    if (!info->up || !info->outgoing || info->relayed || way_parse(info->endpoint, &way, NULL) != ERR_OK)
        return;
    bool outside = !endpoint_is_private(&way.at[0]);
    const struct asked *a = asked_of(s->r, &info->key);
    uint64_t network = network_of(s->r, &way.at[0]), now_ms = host_now_ms(s->r->host);
    if ((pubkey_equal(&a->helper, &info->key) && a->at_ms != 0 && now_ms < a->at_ms + s->again_ms) ||
        (s->found && s->outside >= outside))
        return;
    for (unsigned i = 0; i < REACH_WITNESSES; i++) {
        const struct voice *v = &s->r->voices[i];
        if (v->network == network && v->said_ms != 0 && now_ms < v->said_ms + s->again_ms)
            return;
    }
    s->found = true;
    s->outside = outside;
    s->helper = info->key;
}

static void look(void *arg)
{
    struct reach *r = arg;
    struct reach_info info = reach_info(r);
    struct search s = {.r = r, .again_ms = info.state == REACH_NO ? REACH_NOT_AGAIN_MS : REACH_AGAIN_MS};
    host_timer_set(r->host, &r->timer, REACH_LOOK_MS, look, r);
    tell(r); /* voices grow old */
    if (info.listens)
        peers_list(r->peers, look_at, &s);
    if (!s.found || (info.outside && info.yes + info.no >= REACH_ASKED && info.age_ms < s.again_ms))
        return;
    enum err e = dialback_ask(r->dialbacks, &s.helper, r->port ? r->port : peers_port(r->peers), on_result, r);
    if (e == ERR_OK)
        *asked_of(r, &s.helper) = (struct asked){s.helper, host_now_ms(r->host) + 1};
}

/* Who came by itself has reached this node. */
static void on_change(void *arg, const struct pubkey *peer, bool up)
{
    struct reach *r = arg;
    struct endpoint from;
    const char *endpoint;
    bool relayed;
    if (up && !peers_is_dialled(r->peers, peer) && peers_endpoint(r->peers, peer, &endpoint, &relayed) && !relayed &&
        endpoint_parse(endpoint, &from, NULL) == ERR_OK)
        add_voice(r, &from, true, ERR_OK, "");
}

/* -- life -- */

struct reach *reach_new(struct host *host, struct peers *peers, struct dialbacks *dialbacks)
{
    struct reach *r = mem_new(sizeof *r);
    r->host = host;
    r->peers = peers;
    r->dialbacks = dialbacks;
    host_random(host, r->place, sizeof r->place);
    peers_on_change(peers, on_change, r);
    host_timer_set(host, &r->timer, 0, look, r);
    return r;
}

void reach_free(struct reach *r)
{
    if (!r)
        return;
    host_timer_cancel(r->host, &r->timer);
    free(r);
}

void reach_set_port(struct reach *r, uint16_t port)
{
    if (r->port == port)
        return;
    r->port = port;
    memset(r->asked, 0, sizeof r->asked); /* what they said was of another port */
    for (unsigned i = 0; i < REACH_WITNESSES; i++)
        if (!r->voices[i].reached)
            r->voices[i].said_ms = 0;
}

void reach_on_change(struct reach *r, reach_fn fn, void *arg)
{
    r->fn = fn;
    r->fn_arg = arg;
}
