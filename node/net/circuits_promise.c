/* A node's own relays: asked among the peers that it dialled without a relay, those outside its own network first, and
 * of different networks where there are some; asked again when one is gone. */
#include "node/net/circuits_in.h"

#include <stdio.h>
#include <string.h>

static void look(void *arg);

static void way_changed(struct circuits *c)
{
    struct way way = {0}, one;
    char text[ENDPOINT_TEXT_ROOM] = "";
    for (unsigned i = 0; i < WAY_RELAYS_MAX; i++)
        if (c->promises[i].state == PROMISE_MADE && way_parse(c->promises[i].at, &one, NULL) == ERR_OK) {
            way.relay[way.relays] = one.relay[0];
            way.at[way.relays++] = one.at[0];
        }
    if (way.relays > 0)
        way_print(&way, text);
    if (strcmp(text, c->way) == 0)
        return;
    snprintf(c->way, sizeof c->way, "%s", text);
    log_event(LOG_INFO, "circuits", "way", "through=%s", text[0] ? text : "-");
    if (c->fn)
        c->fn(c->fn_arg);
}

const char *circuits_way(const struct circuits *c)
{
    return c->way;
}

const char *circuits_promised(const struct circuits *c, const struct pubkey *relay)
{
    for (unsigned i = 0; i < WAY_RELAYS_MAX; i++)
        if (c->promises[i].state == PROMISE_MADE && pubkey_equal(&c->promises[i].relay, relay))
            return c->promises[i].at;
    return NULL;
}

/* -- asking -- */

static void on_terms(void *arg, uint64_t stream, struct bytes message)
{
    struct promise *m = arg;
    struct relay_terms terms;
    if (!MSG_GET(relay_terms, message, &terms)) {
        streams_close(m->owner->streams, stream, ERR_FORMAT, "no terms");
        m->state = PROMISE_FREE;
        way_changed(m->owner);
        return;
    }
    m->state = PROMISE_MADE;
    way_changed(m->owner);
}

static void forget(struct circuits *c, const struct pubkey *relay)
{
    for (unsigned i = 0; i < RELAYS_TRIED; i++)
        if (pubkey_equal(&c->tried[i].relay, relay))
            c->tried[i].at_ms = 0;
}

static void on_closed(void *arg, uint64_t stream, enum err reason, const char *text)
{
    struct promise *m = arg;
    (void)stream;
    log_event(LOG_DEBUG, "circuits", "no relay", "at=%s err=%s why=%s", m->at, err_name(reason), text);
    if (m->state == PROMISE_MADE) /* the connection went, or the relay: it may soon be back */
        forget(m->owner, &m->relay);
    m->state = PROMISE_FREE;
    way_changed(m->owner);
    host_timer_set(m->owner->host, &m->owner->promise_timer, 0, look, m->owner);
}

static const struct stream_calls promise_calls = {.data = on_terms, .closed = on_closed};

static const struct tried *tried_of(const struct circuits *c, const struct pubkey *key)
{
    for (unsigned i = 0; i < RELAYS_TRIED; i++)
        if (c->tried[i].at_ms != 0 && pubkey_equal(&c->tried[i].relay, key))
            return &c->tried[i];
    return NULL;
}

struct search {
    const struct circuits *c;
    unsigned best; /* 0: nobody */
    struct pubkey relay;
    char at[ENDPOINT_TEXT_ROOM];
};

/* 1 for any, 2 more for one outside, 1 more where no promise is of its network. */
static void look_at(void *arg, const struct peers_info *info)
{
    struct search *s = arg;
    const struct circuits *c = s->c;
    struct endpoint at;
    uint64_t network, other, now_ms = host_now_ms(c->host);
    if (!info->up || !info->outgoing || info->relayed || endpoint_parse(info->endpoint, &at, NULL) != ERR_OK ||
        !circuits_network(c, &info->key, &network))
        return;
    const struct tried *t = tried_of(c, &info->key);
    if (t && now_ms < t->at_ms + RELAYS_AGAIN_MS)
        return;
    unsigned worth = 2 + (endpoint_is_private(&at) ? 0 : 2);
    for (unsigned i = 0; i < WAY_RELAYS_MAX; i++) {
        const struct promise *m = &c->promises[i];
        if (m->state == PROMISE_FREE)
            continue;
        if (pubkey_equal(&m->relay, &info->key))
            return;
        worth -= circuits_network(c, &m->relay, &other) && other == network && worth > 1;
    }
    if (worth <= s->best)
        return;
    s->best = worth;
    s->relay = info->key;
    snprintf(s->at, sizeof s->at, "%s", info->endpoint);
}

static void ask(struct circuits *c, struct promise *m, const struct search *s)
{
    struct way way = {.relays = 1, .relay = {s->relay}};
    c->tried[c->tried_n] = (struct tried){s->relay, host_now_ms(c->host) + 1};
    c->tried_n = (c->tried_n + 1) % RELAYS_TRIED;
    if (endpoint_parse(s->at, &way.at[0], NULL) != ERR_OK)
        return;
    *m = (struct promise){.owner = c, .state = PROMISE_ASKED, .relay = s->relay, .asked_ms = host_now_ms(c->host)};
    way_print(&way, m->at);
    if (streams_open(c->streams, &s->relay, NULL, STREAM_RELAY, (struct bytes){0}, &promise_calls, m, &m->stream) !=
        ERR_OK)
        m->state = PROMISE_FREE;
}

static void look(void *arg)
{
    struct circuits *c = arg;
    uint64_t now_ms = host_now_ms(c->host);
    if (!c->wanted)
        return;
    for (unsigned i = 0; i < WAY_RELAYS_MAX; i++) {
        struct promise *m = &c->promises[i];
        struct search s = {.c = c};
        if (m->state == PROMISE_ASKED && now_ms > m->asked_ms + RELAYS_ANSWER_MS) {
            streams_close(c->streams, m->stream, ERR_TIMEOUT, "no answer");
            m->state = PROMISE_FREE;
        }
        if (m->state != PROMISE_FREE)
            continue;
        peers_list(c->peers, look_at, &s);
        if (s.best > 0)
            ask(c, m, &s);
    }
    host_timer_set(c->host, &c->promise_timer, RELAYS_TRY_MS, look, c);
}

static void let_go(struct circuits *c)
{
    for (unsigned i = 0; i < WAY_RELAYS_MAX; i++) {
        if (c->promises[i].state != PROMISE_FREE)
            streams_close(c->streams, c->promises[i].stream, ERR_OK, "");
        c->promises[i].state = PROMISE_FREE;
    }
}

void circuits_set_wanted(struct circuits *c, bool wanted)
{
    if (c->wanted == wanted)
        return;
    c->wanted = wanted;
    if (wanted) {
        host_timer_set(c->host, &c->promise_timer, 0, look, c);
        return;
    }
    let_go(c);
    way_changed(c);
}

void circuits_on_change(struct circuits *c, circuits_fn fn, void *arg)
{
    c->fn = fn;
    c->fn_arg = arg;
}

void circuits_promise_stop(struct circuits *c)
{
    c->fn = NULL;
    host_timer_cancel(c->host, &c->promise_timer);
    let_go(c);
}
