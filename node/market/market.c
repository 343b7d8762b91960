/* Opens the market's store and pieces, offers what this node serves, keeps what others offer, and hands
 * the ledger's events to whom they concern. */
#include "node/market/market_in.h"

#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "node/market/auditor.h"
#include "node/market/doubts.h"
#include "node/market/job.h"
#include "node/market/settle.h"

#include <stdlib.h>
#include <string.h>

#define OFFER_EVERY_MS (OFFER_LIFE_MS / 4)
#define OFFER_SOON_MS  300 /* until others hear that the last slot was taken, or that one is free again */

/* -- offers -- */

static enum err on_offer(void *arg, const struct pubkey *from, struct bytes body)
{
    struct market *m = arg;
    struct offer o;
    uint64_t now_ms = host_wall_ms(m->s.host);
    enum err e = offer_decode(body, &m->s.chain, now_ms, &o);
    if (e == ERR_FORMAT || e == ERR_AUTH)
        return ERR_PROTOCOL;
    if (e == ERR_OK && offers_add(m->s.offers, &o, now_ms))
        peers_broadcast(m->s.peers, MSG_OFFER, body, from);
    return ERR_OK;
}

static uint32_t context_of(struct market *m, const struct hash *model)
{
    struct worker_info info = {0};
    struct worker *w = workers_find(m->s.workers, model, WORKER_FULL);
    if (w)
        worker_get_info(w, &info);
    return w && info.ready ? info.context : 0;
}

/* A worker for a model that is to be served, so that it is warm and its context is known. */
static void warm(struct market *m, const struct hash *model)
{
    struct note note = {{0}};
    struct worker *w;
    if (blobs_path(m->s.blobs, model) && market_worker(&m->s, model, &w, &note) != ERR_OK)
        log_event(LOG_ODD, "market", "model not served", "why=%s", note.text);
}

bool market_is_registered(const struct market *m, const struct hash *model)
{
    struct rec_provider rec;
    if (!ledger_provider(m->s.ledger, &m->s.self, &rec))
        return false;
    for (uint32_t i = 0; i < rec.models.n; i++) {
        struct hash h = hashes_at(&rec.models, i);
        if (hash_equal(&h, model))
            return true;
    }
    return false;
}

static void publish(struct market *m, struct offer *o)
{
    struct buf body = {0};
    offer_sign(o, m->s.key);
    offer_put(&body, o);
    if (offers_add(m->s.offers, o, o->issued_ms))
        peers_broadcast(m->s.peers, MSG_OFFER, bytes_of_buf(&body), NULL);
    buf_clear(&body);
}

void market_withdraw(struct market *m, const struct hash *model)
{
    uint64_t now_ms = host_wall_ms(m->s.host);
    struct offer o = {.chain = m->s.chain,
                      .provider = m->s.self,
                      .endpoint = m->endpoint,
                      .model = *model,
                      .arith = REQUEST_ARITH,
                      .issued_ms = now_ms,
                      .expiry_ms = now_ms + OFFER_LIFE_MS};
    publish(m, &o);
}

static bool offer_one(struct market *m, const struct hash *model)
{
    const struct market_share *share = provider_share(m->provider);
    uint32_t context = context_of(m, model);
    uint64_t now_ms = host_wall_ms(m->s.host);
    unsigned running = provider_running(m->provider);
    if (!context || !market_is_registered(m, model))
        return false;
    struct offer o = {.chain = m->s.chain,
                      .provider = m->s.self,
                      .endpoint = m->endpoint,
                      .model = *model,
                      .arith = REQUEST_ARITH,
                      .price_in = share->price_in,
                      .price_out = share->price_out,
                      .context = context,
                      .slots = share->slots,
                      .slots_free = share->slots > running ? share->slots - running : 0,
                      .first_token_ms = provider_first_token_ms(m->provider),
                      .tokens_per_s = provider_tokens_per_s(m->provider),
                      .issued_ms = now_ms,
                      .expiry_ms = now_ms + OFFER_LIFE_MS};
    publish(m, &o);
    return true;
}

static bool is_full(const struct market *m)
{
    return provider_running(m->provider) >= provider_share(m->provider)->slots;
}

void market_offer_all(void *market)
{
    struct market *m = market;
    const struct market_share *share = provider_share(m->provider);
    bool waiting = false;
    m->is_soon = false;
    m->is_full = is_full(m);
    for (unsigned i = 0; m->is_lent && i < share->models_n; i++) {
        warm(m, &share->models[i]);
        waiting |= !offer_one(m, &share->models[i]);
    }
    if (m->is_lent)
        host_timer_set(m->s.host, &m->offer_timer, waiting ? 500 : OFFER_EVERY_MS, market_offer_all, m);
    else
        host_timer_cancel(m->s.host, &m->offer_timer);
}

static void on_slots(void *arg)
{
    struct market *m = arg;
    share_on_slots(m);
    if (!m->is_lent || m->is_soon || is_full(m) == m->is_full)
        return;
    m->is_soon = true;
    host_timer_set(m->s.host, &m->offer_timer, OFFER_SOON_MS, market_offer_all, m);
}

/* A newcomer hears at once what is on offer. */
struct greeting {
    struct market *market;
    const struct pubkey *peer;
};

static void send_offer(void *arg, const struct offer *o)
{
    struct greeting *g = arg;
    struct buf body = {0};
    offer_put(&body, o);
    (void)!peers_send(g->market->s.peers, g->peer, MSG_OFFER, bytes_of_buf(&body));
    buf_clear(&body);
}

static void on_peer(void *arg, const struct pubkey *peer, bool up)
{
    struct market *m = arg;
    struct greeting g = {m, peer};
    if (up)
        offers_each(m->s.offers, host_wall_ms(m->s.host), send_offer, &g);
}

/* -- names -- */

enum err market_find_model(struct market *m, const char *name, struct hash *root, struct note *note)
{
    struct rec_model rec;
    if (strcmp(name, "default") == 0) {
        *root = m->default_model;
        return hash_is_zero(root)
                   ? note_set(note, ERR_NOT_FOUND, "this node has no default model: name one of kith models")
                   : ERR_OK;
    }
    if (hex_get(name, root->b, sizeof root->b) || model_names_find(m->names, name, root))
        return ERR_OK;
    if (ledger_model_by_name(m->s.ledger, name, &rec)) {
        *root = rec.root;
        return ERR_OK;
    }
    return note_set(note, ERR_NOT_FOUND, "no model is called \"%.64s\": kith models lists them", name);
}

const char *market_model_name(struct market *m, const struct hash *root)
{
    struct rec_model rec;
    if (!ledger_model(m->s.ledger, root, &rec))
        return model_names_of(m->names, root);
    m->said = rec.name;
    return m->said.s;
}

enum err market_may_name(struct market *m, const struct hash *root, const char *name, struct note *note)
{
    struct rec_model rec;
    if (ledger_model_by_name(m->s.ledger, name, &rec) && !(root && hash_equal(&rec.root, root)))
        return note_set(note, ERR_DUPLICATE, "another model is published as \"%.64s\": choose another name", name);
    return model_names_check(name, note);
}

enum err market_name_model(struct market *m, const struct hash *root, const char *name, struct note *note)
{
    enum err e = market_may_name(m, root, name, note);
    return e == ERR_OK ? model_names_set(m->names, root, name, note) : e;
}

enum err market_forget_name(struct market *m, const struct hash *root, struct note *note)
{
    return model_names_remove(m->names, root, note);
}

/* -- events -- */

void market_on_event(struct market *m, const struct ledger_event *e)
{
    switch (e->kind) {
    case LEDGER_CHANNEL_OPENED:
    case LEDGER_CHANNEL_TOPPED:
    case LEDGER_CHANNEL_CLOSING:
    case LEDGER_CHANNEL_CLOSED:
    case LEDGER_SETTLED:
        job_remote_channel_event(m->jobs, e);
        break;
    default:
        break;
    }
    doubts_on_event(m->doubts, e);
    provider_on_event(m->provider, e);
    job_challenge_event(m->jobs, e);
    job_plant_event(m->jobs, e);
    settle_on_event(m->settle, e);
    if (m->auditor)
        auditor_on_event(m->auditor, e);
}

void market_on_block(struct market *m)
{
    job_challenge_block(m->jobs);
    account_step(m->s.account);
}

/* -- the whole -- */

struct jobs *market_jobs(struct market *m)
{
    return m->jobs;
}

struct hops *market_hops(struct market *m)
{
    return m->hops;
}

struct hop_lender *market_lender(struct market *m)
{
    return m->lender;
}

struct offers *market_offers(struct market *m)
{
    return m->s.offers;
}

enum err market_receipt(struct market *m, const struct hash *settlement, uint32_t index, struct signed_receipt *out,
                        struct buf *proof, struct note *note)
{
    return settle_receipt(m->settle, settlement, index, out, proof, note);
}

void market_settle(struct market *m, market_settling_fn fn, void *arg)
{
    settle_now(m->settle, fn, arg);
}

void market_each_channel(struct market *m, uint8_t side, channel_fn fn, void *arg)
{
    if (side == MARKET_SIDE_PROVIDER)
        provider_each_channel(m->provider, fn, arg);
    else
        channel_list_each(&m->jobs->channels, fn, arg);
}

unsigned market_jobs_running(const struct market *m)
{
    return provider_running(m->provider);
}

uint64_t market_jobs_served(const struct market *m)
{
    return provider_served(m->provider);
}

struct market_kept market_kept(const struct market *m)
{
    const struct provider_kept p = provider_kept(m->provider);
    struct market_kept k = {
        .transcripts = p.transcripts, .transcripts_bytes = p.bytes, .transcripts_dropped = p.dropped};
    jobs_kept(m->jobs, &k.jobs, &k.jobs_bytes);
    return k;
}

static void add_settled(void *sum, struct channel *c)
{
    struct amount *a = sum;
    (void)!amount_add(a, *a, c->head.settled);
}

static void add_unsettled(void *sum, struct channel *c)
{
    struct amount *a = sum;
    (void)!amount_add(a, *a, channel_unsettled(c));
}

struct amount market_earned(const struct market *m)
{
    struct amount sum = {0};
    provider_each_channel(m->provider, add_settled, &sum);
    (void)!amount_add(&sum, sum, provider_earned_before(m->provider));
    return sum;
}

struct amount market_unsettled(const struct market *m)
{
    struct amount sum = {0};
    provider_each_channel(m->provider, add_unsettled, &sum);
    return sum;
}

static void on_default_imported(void *arg, enum err e, const struct hash *root, const struct note *note)
{
    struct market *m = arg;
    if (e == ERR_OK)
        m->default_model = *root;
    else
        log_event(LOG_ODD, "market", "no default model", "why=%s", note->text);
}

static enum err open_store(struct market *m, struct note *note)
{
    struct buf path = {0};
    buf_add_format(&path, "%s/market", m->home);
    enum err e = kv_leveldb_open(buf_text(&path), &m->s.kv, note);
    buf_clear(&path);
    return e;
}

static bool is_hop_allowed(void *arg, const struct pubkey *node)
{
    const struct market *m = arg;
    return hops_settings_is_allowed(hops_settings(m->hops), node);
}

static enum err open_hops(struct market *m, struct note *note)
{
    const struct hops_options o = {.host = m->s.host,
                                   .peers = m->s.peers,
                                   .streams = m->s.streams,
                                   .blobs = m->s.blobs,
                                   .workers = m->s.workers,
                                   .chain = m->s.chain,
                                   .home = m->home,
                                   .changed = share_on_hops,
                                   .arg = m};
    const struct hop_lender_options l = {.host = m->s.host,
                                         .streams = m->s.streams,
                                         .blobs = m->s.blobs,
                                         .workers = m->s.workers,
                                         .key = m->s.key,
                                         .self = m->s.self,
                                         .chain = m->s.chain,
                                         .is_allowed = is_hop_allowed,
                                         .may = share_may_hop,
                                         .changed = share_on_hops,
                                         .arg = m};
    enum err e = hops_open(&o, &m->hops, note);
    if (e == ERR_OK)
        m->lender = hop_lender_new(&l);
    return e;
}

enum err market_open(const struct market_options *o, struct market **out, struct note *note)
{
    struct market *m = mem_new(sizeof *m);
    m->s = o->services;
    m->s.kv = NULL;
    m->home = mem_string(o->home);
    m->s.offers = offers_new();
    enum err e = text255_set(&m->endpoint, o->endpoint)
                     ? open_store(m, note)
                     : note_set(note, ERR_FORMAT, "the endpoint to announce is too long or not plain text");
    if (e == ERR_OK)
        e = model_names_open(m->s.kv, &m->names, note);
    if (e == ERR_OK && o->plant) {
        e = planting_read(o->plant, &m->planting, note);
        m->s.planting = &m->planting;
    }
    if (e == ERR_OK)
        e = provider_new(&m->s, &m->provider, note);
    if (e == ERR_OK)
        e = open_hops(m, note);
    if (e == ERR_OK)
        e = share_open(m, note);
    if (e == ERR_OK)
        e = jobs_open(m, &m->s, &o->keep, &m->jobs, note);
    if (e != ERR_OK) {
        market_close(m);
        return e;
    }
    provider_on_slots(m->provider, on_slots, m);
    m->settle = settle_new(&m->s, m->provider, o->settle_ms);
    m->doubts = doubts_new(&m->s, m->settle, m->jobs, o->check_auditors);
    if (o->audits)
        m->auditor = auditor_new(&m->s);
    peers_on(m->s.peers, MSG_OFFER, on_offer, m);
    peers_on_change(m->s.peers, on_peer, m);
    if (o->default_model)
        blobs_import(m->s.blobs, BLOB_MODEL, o->default_model, on_default_imported, m);
    market_offer_all(m);
    *out = m;
    return ERR_OK;
}

/* Who has an offer with the old way would try that until it expires: a new one follows soon. */
void market_set_endpoint(struct market *m, const char *endpoint)
{
    if (!text255_set(&m->endpoint, endpoint) || !m->is_lent || m->is_soon)
        return;
    m->is_soon = true;
    host_timer_set(m->s.host, &m->offer_timer, OFFER_SOON_MS, market_offer_all, m);
}

void market_close(struct market *m)
{
    if (!m)
        return;
    if (m->provider)
        provider_on_slots(m->provider, NULL, NULL);
    host_timer_cancel(m->s.host, &m->offer_timer);
    share_close(m);
    hop_lender_free(m->lender);
    jobs_close(m->jobs);
    auditor_free(m->auditor);
    doubts_free(m->doubts);
    settle_free(m->settle);
    provider_free(m->provider);
    hops_close(m->hops);
    offers_free(m->s.offers);
    model_names_close(m->names);
    if (m->s.kv)
        kv_close(m->s.kv);
    free(m->home);
    free(m);
}
