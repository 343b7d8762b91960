/* Taking a job: whether its terms, its channel and its request are in order, what an earlier opening left, and its
 * start. */
#include "node/market/provider_in.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/seal.h"
#include "inference/request.h"
#include "node/market/plant.h"

#include <string.h>

/* -- opening -- */

static bool serves(const struct provider *p, const struct hash *model)
{
    for (unsigned i = 0; p->share.on && i < p->share.models_n; i++)
        if (hash_equal(&p->share.models[i], model))
            return true;
    return false;
}

static enum err check_terms(struct provider *p, const struct pubkey *from, const struct job_open *o,
                            struct channel **channel)
{
    struct rec_channel rec;
    if (!serves(p, &o->model))
        return ERR_NOT_FOUND;
    if (p->closed || p->serving_n >= p->share.slots)
        return ERR_BUSY;
    if (amount_compare(o->price_in, p->share.price_in) < 0 || amount_compare(o->price_out, p->share.price_out) < 0)
        return ERR_FUNDS;
    if (!ledger_channel(p->s.ledger, &o->channel, &rec) || rec.closes_ms)
        return ERR_STATE;
    struct channel *c = provider_channel(p, &o->channel);
    if (!c || !pubkey_equal(&c->head.payer, from) || !hash_equal(&c->head.model, &o->model))
        return ERR_AUTH;
    *channel = c;
    return ERR_OK;
}

static enum err check_request(struct serving *v, const struct job_open *o, struct bytes raw)
{
    struct request r;
    struct cursor c = cursor_of(raw);
    request_get(&c, &r);
    if (!cursor_end(&c))
        return ERR_FORMAT;
    if (!request_travels(&r))
        return ERR_UNSUPPORTED;
    struct hash h = request_hash(&r);
    struct hash job = job_id(&v->provider->s.chain, &v->from, o->nonce, &o->model, &h);
    if (!hash_equal(&job, &o->job))
        return ERR_MISMATCH;
    if (!hash_is_zero(&o->seed_block)) {
        struct hash seed = job_seed(&job, &v->from, &o->seed_block);
        if (!hash_equal(&seed, &r.seed))
            return ERR_MISMATCH;
    }
    v->prompt_n = (uint32_t)(r.prompt.n / 4);
    buf_add(&v->request, raw.p, raw.n);
    return ERR_OK;
}

/* Salts are a function of the node's secret and the job, so that a receipt after a restart commits as before. */
static struct hash make_salt(const struct provider *p, const struct hash *job, uint8_t which)
{
    uint8_t message[33];
    memcpy(message, job->b, 32);
    message[32] = which;
    return hash_keyed(HASH_COMMIT, p->s.key->b, message, sizeof message);
}

/* The receipt that this channel has of the job: ours, or the payer's where ours was lost. None is ERR_NOT_FOUND. */
static enum err find_earlier(const struct serving *v, struct bytes shown, struct receipt *out)
{
    struct signed_receipt r;
    uint32_t i = channel_find_job(v->channel, &v->job);
    if (i != CHANNEL_NO_JOB)
        *out = v->channel->receipts[i].receipt;
    if (!shown.n)
        return i == CHANNEL_NO_JOB ? ERR_NOT_FOUND : ERR_OK;
    struct cursor c = cursor_of(shown);
    signed_receipt_get(&c, &r);
    if (!cursor_end(&c) || !hash_equal(&r.receipt.job, &v->job) ||
        !hash_equal(&r.receipt.channel, &v->channel->head.id) ||
        !receipt_verify(&r.receipt, &v->channel->head.provider, &r.sig))
        return ERR_MISMATCH;
    *out = r.receipt;
    return ERR_OK;
}

/* A job that this channel knows already goes on from its receipt; one that is finished is only shown again. What the
 * receipt is over must be what is asked now: the transcript is kept anew, and auditors may be shown that receipt. */
static enum err join_earlier(struct serving *v, struct bytes given, struct bytes shown)
{
    struct receipt r;
    enum err e = find_earlier(v, shown, &r);
    v->base = (uint32_t)(given.n / 4);
    if (e != ERR_OK)
        return e == ERR_NOT_FOUND ? ERR_OK : e;
    const struct receipt_reach reach = receipt_reach(&r, bytes_of_buf(&v->request));
    const uint32_t n = reach.answered, until = reach.until;
    const bool fits = until ? request_is_step_end(until, v->prompt_n) && r.tokens_out == 0
                            : r.tokens_in >= v->prompt_n && r.tokens_in - v->prompt_n <= n;
    if (!fits || n > v->base)
        return ERR_MISMATCH;
    struct hash request = receipt_commit(v->salts.request_salt.b, bytes_of_buf(&v->request));
    struct hash answer = receipt_commit(v->salts.answer_salt.b, bytes_of(given.p, (size_t)n * 4));
    if (!hash_equal(&request, &r.request_commit) || !hash_equal(&answer, &r.answer_commit))
        return ERR_MISMATCH;
    v->read = v->read_receipted = v->read_paid = until ? until : v->prompt_n;
    if (!until)
        v->base = r.tokens_in - v->prompt_n;
    v->price_least = r.price;
    return ERR_OK;
}

/* Digests of what this node made of the job before: receipts over it may be settled, and are shown with them. */
static void join_digests(struct serving *v)
{
    struct buf raw = {0};
    struct transcript t;
    const bool has = provider_transcript(v->provider, &v->channel->head.id, &v->job, &raw, &t) == ERR_OK;
    for (size_t i = 0; has && i + STEP_SIZE <= t.steps.n && load_le32(t.steps.p + i) <= v->read; i += STEP_SIZE)
        buf_add(&v->steps, t.steps.p + i, STEP_SIZE);
    if (has && t.digests.n / 32 == t.tokens.n / 4)
        for (size_t i = 0; i < v->first && i < t.tokens.n / 4; i++) {
            if (memcmp(v->tokens.p + i * 4, t.tokens.p + i * 4, 4) != 0)
                break;
            memcpy(v->digests.p + i * 32, t.digests.p + i * 32, 32);
        }
    buf_clear(&raw);
}

/* What one payer asks is shared with what the same payer asked before, and with nobody else's. */
static struct hash scope_of_payer(const struct pubkey *payer)
{
    return hash_once(HASH_PAGE, payer->b, sizeof payer->b);
}

static enum err start(struct serving *v, struct bytes tokens)
{
    struct provider *p = v->provider;
    struct note note = {{0}};
    enum err e = market_worker(&p->s, &v->channel->head.model, &v->worker, &note);
    if (e != ERR_OK) {
        log_event(LOG_ODD, "provider", "no worker", "why=%s", note.text);
        return e;
    }
    const struct worker_work work = {.request = bytes_of_buf(&v->request),
                                     .tokens = tokens,
                                     .scope = scope_of_payer(&v->from),
                                     .stepped = serving_reads_to(v) ? v->read_paid : 0,
                                     .reads_to = serving_reads_to(v)};
    v->ask = worker_run(v->worker, &work, &serving_worker_calls, v);
    return ERR_OK;
}

static void send_accept(void *arg)
{
    struct serving *v = arg;
    struct buf message = {0};
    job_message_start(&message, JOB_ACCEPT);
    job_accept_put(&message, &v->salts);
    if (!serving_send(v, &message)) {
        serving_drop(v, ERR_BUSY, "no credit for the acceptance");
        return;
    }
    v->accepted = true;
    serving_pump(v);
}

static enum err fill(struct serving *v, const struct job_open *o)
{
    struct provider *p = v->provider;
    struct buf plain = {0};
    struct job_secret secret;
    enum err e = seal_open(&plain, p->s.key, o->sealed.p, o->sealed.n) ? ERR_OK : ERR_AUTH;
    struct cursor c = cursor_of(bytes_of_buf(&plain));
    if (e == ERR_OK)
        job_secret_get(&c, &secret);
    if (e == ERR_OK && (!cursor_end(&c) || secret.tokens.n % 4))
        e = ERR_FORMAT;
    if (e == ERR_OK)
        e = check_request(v, o, secret.request);
    v->salts = (struct job_accept){make_salt(p, &v->job, 0), make_salt(p, &v->job, 1), make_salt(p, &v->job, 2)};
    v->planted = planting_for(p->s.planting, &v->from);
    if (v->planted) {
        struct hash sown = planting_secret(p->s.planting, &v->job);
        v->plant = plant_digest(&sown);
        v->salts.digest_salt = planting_salt(p->s.planting, &v->job);
    }
    if (e == ERR_OK)
        e = join_earlier(v, secret.tokens, secret.receipt);
    if (e == ERR_OK) {
        v->first = v->sent = v->receipted = v->paid = (uint32_t)(secret.tokens.n / 4);
        buf_add(&v->tokens, secret.tokens.p, secret.tokens.n);
        buf_reserve(&v->digests, (size_t)v->first * 32);
        memset(v->digests.p ? v->digests.p : (uint8_t *)"", 0, (size_t)v->first * 32);
        v->digests.n = (size_t)v->first * 32;
        join_digests(v);
        e = start(v, secret.tokens);
    }
    buf_clear(&plain);
    return e;
}

enum err provider_accept(void *arg, uint64_t stream, const struct pubkey *from, struct bytes body,
                         const struct stream_calls **calls, void **calls_arg)
{
    struct provider *p = arg;
    struct job_open o;
    struct channel *channel;
    struct cursor c = cursor_of(body);
    job_open_get(&c, &o);
    if (!cursor_end(&c))
        return ERR_FORMAT;
    for (struct serving *old = p->serving; old; old = old->next)
        if (hash_equal(&old->job, &o.job) && pubkey_equal(&old->from, from)) {
            serving_drop(old, ERR_CANCELLED, "the requester opened the job again");
            break;
        }
    enum err e = check_terms(p, from, &o, &channel);
    if (e != ERR_OK)
        return e;
    struct serving *v = mem_new(sizeof *v);
    *v = (struct serving){.provider = p,
                          .next = p->serving,
                          .stream = stream,
                          .from = *from,
                          .channel = channel,
                          .job = o.job,
                          .price_in = o.price_in,
                          .price_out = o.price_out,
                          .opened_ms = host_now_ms(p->s.host)};
    p->serving = v;
    p->serving_n++;
    provider_tell_slots(p);
    e = fill(v, &o);
    if (e != ERR_OK) {
        serving_free(v);
        return e;
    }
    host_timer_set(p->s.host, &v->timer, 0, send_accept, v);
    *calls = &serving_stream_calls;
    *calls_arg = v;
    return ERR_OK;
}
