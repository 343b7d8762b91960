/* Whether this machine is lent now. It is while the owner says so (HOME/share), has not paused it, and none of his
 * rules speaks against it (share_rules.h):
 *
 *     off --start--> lent <--rules, clock, pause--> held
 *      ^               '------finish-----> finishing --the last job is over--> off (and settled)
 *      '---stop-- any
 *
 * When it stops being lent the offers are withdrawn first, then no job is taken; those that run are finished and paid.
 * Nobody loses a bond by that: what a provider owes for work done (transcripts for auditors, settlements) and what an
 * auditor was drawn for goes on, lent or not.
 */
#include "node/market/market_in.h"

#include "base/log.h"
#include "base/mem.h"
#include "node/market/settle.h"
#include "node/market/share_file.h"

#include <stdlib.h>

#define LOOK_EVERY_MS 10000
#define SLOTS_DEFAULT 4
#define HOPS_ASKED_MS 180000 /* after somebody asked for layers: he tries again within this */

static void on_timer(void *arg);
static const char *put_state(const struct market *m, struct buf *why);

/* -- the file -- */

static void share_path(const struct market *m, struct buf *path)
{
    buf_add_format(path, "%s/share", m->home);
}

static enum err store(struct market *m, const struct market_share *s, struct note *note)
{
    struct buf path = {0}, content = {0};
    share_path(m, &path);
    share_file_store(&content, s);
    enum err e = host_write(m->s.host, buf_text(&path), 0600, bytes_of_buf(&content), note);
    buf_clear(&path);
    buf_clear(&content);
    return e;
}

static enum err load(struct market *m, struct note *note)
{
    struct buf path = {0}, content = {0};
    struct market_share share;
    share_path(m, &path);
    enum err e = host_read(m->s.host, buf_text(&path), SHARE_FILE_MAX, &content, note);
    if (e == ERR_OK && !share_file_load(bytes_of_buf(&content), &share))
        e = note_set(note, ERR_CORRUPT, "%s is damaged: remove it, and give the terms again with kith share start",
                     buf_text(&path));
    if (e == ERR_OK) {
        share.on = share.on && !share.finishing; /* what was to be finished ended with the process */
        share.finishing = false;
        provider_set_share(m->provider, &share);
        free((void *)(uintptr_t)share.models);
    }
    buf_clear(&path);
    buf_clear(&content);
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

/* -- the decision -- */

static bool is_paused(const struct market *m)
{
    return host_wall_ms(m->s.host) < provider_share(m->provider)->paused_until_ms;
}

/* What the models take that are lent: the most that was seen, so that it does not shrink when they are put down. */
static void measure_models(struct market *m)
{
    const struct market_share *s = provider_share(m->provider);
    uint64_t sum = 0;
    for (unsigned i = 0; i < s->models_n; i++) {
        struct worker *w = workers_find(m->s.workers, &s->models[i], WORKER_FULL);
        struct worker_info info = {0};
        struct blobs_info blob;
        if (w)
            worker_get_info(w, &info);
        if (info.memory_bytes)
            sum += info.memory_bytes;
        else if (blobs_find(m->s.blobs, &s->models[i], &blob))
            sum += blob.size;
    }
    if (sum > m->models_bytes)
        m->models_bytes = sum;
    m->readings.memory_bytes = (s->on ? m->models_bytes : 0) + hop_lender_bytes(m->lender);
}

/* Once after it stopped being lent, when the last job is over: workers that nobody asks anything give their memory back
 * to the owner, and where that was for good, what was earned is settled. */
static void go_quiet(struct market *m)
{
    const struct market_share *s = provider_share(m->provider);
    if (!m->holds_models || m->is_lent || provider_running(m->provider))
        return;
    m->holds_models = false;
    if (!s->on)
        settle_now(m->settle, NULL, NULL);
    for (unsigned i = 0; i < s->models_n; i++) {
        struct worker *w = workers_find(m->s.workers, &s->models[i], WORKER_FULL);
        struct worker_info info;
        if (w)
            worker_get_info(w, &info);
        if (w && info.jobs == 0)
            workers_stop(m->s.workers, w);
    }
}

static void end_finishing(struct market *m)
{
    struct market_share s = *provider_share(m->provider);
    struct note note = {{0}};
    if (!s.finishing || provider_running(m->provider))
        return;
    s.on = s.finishing = false;
    if (store(m, &s, &note) != ERR_OK) /* the next look tries again; started anew it is off as well */
        log_event(LOG_ODD, "share", "finished, but not kept", "why=%s", note.text);
    else {
        provider_set_share(m->provider, &s);
        settle_now(m->settle, NULL, NULL); /* also where a rule or a pause had held it, and its models are put down */
    }
}

static void withdraw_all(struct market *m)
{
    const struct market_share *s = provider_share(m->provider);
    for (unsigned i = 0; i < s->models_n; i++)
        market_withdraw(m, &s->models[i]);
}

static uint64_t until_next(const struct market *m)
{
    uint64_t now_ms = host_wall_ms(m->s.host), end_ms = provider_share(m->provider)->paused_until_ms;
    return end_ms > now_ms && end_ms - now_ms < LOOK_EVERY_MS ? end_ms - now_ms : LOOK_EVERY_MS;
}

static void decide(struct market *m)
{
    const struct market_share *s = provider_share(m->provider);
    measure_models(m);
    m->readings.now_ms = host_now_ms(m->s.host);
    enum share_reason reason = share_decide(&s->rules, &m->readings, &m->decided);
    bool lent = s->on && !s->finishing && !is_paused(m) && reason == SHARE_MAY;
    if (lent != m->is_lent) {
        struct buf why = {0};
        m->is_lent = lent;
        if (!lent)
            withdraw_all(m);
        provider_set_closed(m->provider, !lent);
        (void)put_state(m, &why);
        log_event(LOG_INFO, "share", lent ? "lent" : "not lent", "why=%s", buf_text(&why));
        buf_clear(&why);
        market_offer_all(m);
    }
    m->holds_models |= lent;
    end_finishing(m);
    go_quiet(m);
    hop_lender_look(m->lender);
}

/* Not by whoever asks how it is: one who asks often would put off each look at the machine, and its rules with it. */
static void look_later(struct market *m)
{
    const bool is_asked = m->hop_asked_ms && host_now_ms(m->s.host) - m->hop_asked_ms < HOPS_ASKED_MS;
    if (provider_share(m->provider)->on || is_asked || hop_lender_count(m->lender))
        host_timer_set(m->s.host, &m->share_timer, until_next(m), on_timer, m);
}

/* -- looking at the machine, on a thread -- */

struct share_look {
    struct market *market; /* NULL: it is gone */
    struct host *host;
    struct machine found;
};

static void take(struct market *m, const struct machine *now)
{
    m->readings.has_others = machine_others(&m->readings.machine, now, &m->readings.others);
    m->readings.machine = *now;
}

static void look(void *arg)
{
    struct share_look *l = arg;
    host_machine(l->host, &l->found);
}

static void looked(void *arg)
{
    struct share_look *l = arg;
    struct market *m = l->market;
    if (m) {
        m->look = NULL;
        take(m, &l->found);
        decide(m);
        look_later(m);
    }
    free(l);
}

static void on_timer(void *arg)
{
    struct market *m = arg;
    if (m->look)
        return;
    m->look = mem_new(sizeof *m->look);
    *m->look = (struct share_look){.market = m, .host = m->s.host};
    host_submit(m->s.host, look, looked, m->look);
}

void share_on_slots(struct market *m)
{
    if (!m->is_lent && provider_running(m->provider) == 0)
        host_timer_set(m->s.host, &m->share_timer, 0, on_timer, m);
}

/* -- the owner -- */

/* All as it is now, but how busy others are, which needs two readings some time apart. */
static void look_at_once(struct market *m, bool was_on)
{
    struct machine now, *before = &m->readings.machine;
    host_machine(m->s.host, &now);
    if (was_on) {
        now.cpu_total = before->cpu_total;
        now.cpu_busy = before->cpu_busy;
        now.cpu_ours = before->cpu_ours;
    } else {
        m->readings.has_others = false;
    }
    m->readings.machine = now;
}

enum err market_set_share(struct market *m, const struct market_share *s, struct note *note)
{
    const struct market_share *old = provider_share(m->provider);
    struct market_share share = *s;
    const struct share_rules was = old->rules;
    const bool was_on = old->on;
    if (share.slots == 0)
        share.slots = SLOTS_DEFAULT;
    enum err e = store(m, &share, note);
    if (e != ERR_OK)
        return e;
    for (unsigned i = 0; m->is_lent && i < old->models_n; i++) {
        bool stays = false;
        for (unsigned k = 0; k < share.models_n; k++)
            stays |= hash_equal(&share.models[k], &old->models[i]);
        if (!stays)
            market_withdraw(m, &old->models[i]);
    }
    provider_set_share(m->provider, &share);
    m->models_bytes = 0;
    if (was.on_battery != share.rules.on_battery || was.temperature_max != share.rules.temperature_max ||
        was.idle_only != share.rules.idle_only)
        m->decided = (struct share_state){0}; /* what the rules of before held counts no more */
    look_at_once(m, was_on);
    decide(m);
    look_later(m);
    market_offer_all(m);
    return ERR_OK;
}

struct market_share market_share(const struct market *m)
{
    return *provider_share(m->provider);
}

const struct share_readings *market_share_readings(const struct market *m)
{
    return &m->readings;
}

/* -- layers for other devices of the owner -- */

bool share_may_hop(void *market, uint64_t more, struct buf *why)
{
    struct market *m = market;
    const struct share_rules *rules = &provider_share(m->provider)->rules;
    m->hop_asked_ms = host_now_ms(m->s.host);
    if (!timer_is_set(&m->share_timer) && !m->look) { /* nothing was lent, so nobody looked */
        look_at_once(m, false);
        look_later(m);
    }
    struct share_readings now = m->readings;
    struct share_state decided = m->decided;
    now.now_ms = m->hop_asked_ms;
    now.memory_bytes += more;
    if (is_paused(m)) {
        buf_add_text(why, "it is paused: kith share resume, there");
        return false;
    }
    if (share_decide(rules, &now, &decided) == SHARE_MAY)
        return true;
    share_reason_put(why, rules, &now, &decided);
    return false;
}

static void on_hops(void *arg)
{
    struct market *m = arg;
    decide(m);
    look_later(m);
}

void share_on_hops(void *market)
{
    struct market *m = market;
    host_timer_set(m->s.host, &m->hops_timer, 0, on_hops, m);
}

/* -- in words -- */

static void put_running(const struct market *m, struct buf *why)
{
    unsigned n = provider_running(m->provider);
    if (n)
        buf_add_format(why, "; %u job%s being finished", n, n == 1 ? " is" : "s are");
}

static const char *put_pause(const struct market *m, const struct market_share *s, struct buf *why)
{
    uint64_t now_ms = host_wall_ms(m->s.host); /* it may end between two looks at the clock */
    uint64_t left_s = s->paused_until_ms > now_ms ? (s->paused_until_ms - now_ms) / 1000 + 1 : 0;
    if (s->paused_until_ms == MARKET_PAUSED_FOREVER)
        buf_add_text(why, "until kith share resume");
    else if (left_s >= 120)
        buf_add_format(why, "for %u h %02u min more: kith share resume ends it", (unsigned)(left_s / 3600),
                       (unsigned)(left_s / 60 % 60));
    else
        buf_add_format(why, "for %u s more: kith share resume ends it", (unsigned)left_s);
    put_running(m, why);
    return "paused";
}

/* The ledger's part: a channel to this node can be opened only while its owner has enough at stake. */
static bool put_bond(const struct market *m, struct buf *why)
{
    struct rec_provider rec;
    struct params params = ledger_params(m->s.ledger);
    if (!ledger_provider(m->s.ledger, &m->s.self, &rec)) {
        buf_add_text(why, "this node is not registered as a provider: kith share start");
        return true;
    }
    if (amount_compare(ledger_bond(m->s.ledger, BOND_PROVIDER, &rec.owner), params.provider_bond_min) >= 0)
        return false;
    buf_add_text(why, "its owner has less at stake than the ledger asks for: kith share start adds it");
    return true;
}

static void put_served(const struct market *m, const struct market_share *s, struct buf *why)
{
    unsigned absent = 0, strange = 0, loading = 0, ready = 0;
    for (unsigned i = 0; i < s->models_n; i++) {
        struct worker_info info = {0};
        struct worker *w = workers_find(m->s.workers, &s->models[i], WORKER_FULL);
        if (w)
            worker_get_info(w, &info);
        if (!blobs_path(m->s.blobs, &s->models[i]))
            absent++;
        else if (!market_is_registered(m, &s->models[i]))
            strange++;
        else if (!info.ready)
            loading++;
        else
            ready++;
    }
    buf_add_format(why, "serving %u of %u models, %u of %u slots busy", ready, s->models_n,
                   provider_running(m->provider), s->slots);
    if (loading)
        buf_add_format(why, "; %u loading", loading);
    if (absent)
        buf_add_format(why, "; %u not on this machine: kith model pull", absent);
    if (strange)
        buf_add_format(why, "; %u not in this node's record on the ledger: kith share start", strange);
    if (peers_count(m->s.peers) == 0)
        buf_add_text(why, "; no peer is connected, so nobody hears of it");
}

static const char *put_sharing(const struct market *m, struct buf *why)
{
    const struct market_share *s = provider_share(m->provider);
    if (!s->on) {
        buf_add_text(why, "sharing is off: kith share start turns it on");
        put_running(m, why);
        return "off";
    }
    if (s->finishing) {
        buf_add_text(why, "no job is taken any more");
        put_running(m, why);
        return "finishing";
    }
    if (is_paused(m))
        return put_pause(m, s, why);
    if (!m->is_lent) {
        share_reason_put(why, &s->rules, &m->readings, &m->decided);
        put_running(m, why);
        return "waiting";
    }
    if (s->models_n == 0)
        buf_add_text(why, "no model is shared: kith share start --model NAME");
    else if (!put_bond(m, why))
        put_served(m, s, why);
    return "on";
}

static void put_name(const struct market *m, const struct hash *model, struct buf *b)
{
    struct rec_model rec;
    char hex[2 * HASH_SIZE + 1];
    hex_put(hex, model->b, HASH_SIZE);
    if (ledger_model(m->s.ledger, model, &rec))
        buf_add_text(b, rec.name.s);
    else if (hash_equal(model, &m->default_model))
        buf_add_text(b, "default");
    else
        buf_add_format(b, "%.16s", hex);
}

struct words {
    const struct market *market;
    struct buf *b;
};

static void put_range(struct words *w, uint32_t first, uint32_t end, const struct hash *model, const char *where,
                      const struct pubkey *node)
{
    char hex[17];
    hex_put(hex, node->b, 8);
    buf_add_format(w->b, "; layers %u-%u of ", first, end - 1);
    put_name(w->market, model, w->b);
    buf_add_format(w->b, " %s the node %s", where, hex);
}

static void put_lent(void *arg, const struct hop_lent *t)
{
    put_range(arg, t->first, t->end, &t->model, t->ready ? "are lent to" : "are being loaded for", &t->node);
}

static void put_hop(void *arg, const struct hops_info *h)
{
    struct words *w = arg;
    put_range(w, h->place->first, h->place->end, &h->place->model, "are at", &h->place->node);
    buf_add_format(w->b, ": %s", h->state);
}

static const char *put_state(const struct market *m, struct buf *why)
{
    struct words w = {m, why};
    const char *state = put_sharing(m, why);
    hop_lender_each(m->lender, put_lent, &w);
    hops_each(m->hops, put_hop, &w);
    return state;
}

const char *market_share_state(struct market *m, struct buf *why)
{
    decide(m);
    return put_state(m, why);
}

/* -- life -- */

enum err share_open(struct market *m, struct note *note)
{
    enum err e = load(m, note);
    if (e != ERR_OK)
        return e;
    host_machine(m->s.host, &m->readings.machine);
    provider_set_closed(m->provider, true);
    decide(m);
    look_later(m);
    return ERR_OK;
}

void share_close(struct market *m)
{
    host_timer_cancel(m->s.host, &m->share_timer);
    host_timer_cancel(m->s.host, &m->hops_timer);
    if (m->look)
        m->look->market = NULL;
}
