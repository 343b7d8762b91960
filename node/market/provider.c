/* Serving jobs. See provider.h for the states of a job, job_wire.h for what is said. */
#include "node/market/provider_in.h"

#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "inference/request.h"

#include <stdlib.h>
#include <string.h>

#define RECEIPT_EVERY 8     /* tokens: half a step, so that the next half flows while the last is being paid */
#define PAY_WAIT_MS   30000 /* nobody pays for this long: the job is dropped */
#define TOKENS_FRAME  64    /* tokens in one message at most */

static void on_turn(void *arg);

/* -- ending -- */

void serving_free(struct serving *v)
{
    struct provider *p = v->provider;
    for (struct serving **at = &p->serving; *at; at = &(*at)->next)
        if (*at == v) {
            *at = v->next;
            p->serving_n--;
            break;
        }
    if (v->awaiting_pay)
        channel_undo(v->channel); /* nobody paid for it: it must not stand in another job's way */
    host_timer_cancel(p->s.host, &v->timer);
    if (v->worker && v->ask)
        worker_drop(v->worker, v->ask);
    buf_clear(&v->request);
    buf_clear(&v->tokens);
    buf_clear(&v->digests);
    buf_clear(&v->steps);
    buf_clear(&v->pay);
    free(v);
    provider_tell_slots(p);
}

void serving_drop(struct serving *v, enum err e, const char *why)
{
    struct provider *p = v->provider;
    log_event(e == ERR_OK ? LOG_DEBUG : LOG_ODD, "provider", "job ended", "error=%s why=%s tokens=%u", err_name(e), why,
              v->sent);
    streams_close(p->s.streams, v->stream, e, why);
    serving_free(v);
    host_timer_set(p->s.host, &p->timer, 0, on_turn, p); /* the channel may be free for another's receipt */
}

/* Everybody's turn: whoever has a receipt due may find its channel free now. A pump ends no job but its
 * own, and what it ends asks for another turn. */
static void on_turn(void *arg)
{
    struct provider *p = arg;
    for (struct serving *v = p->serving, *next; v; v = next) {
        next = v->next;
        serving_pump(v);
    }
}

static void on_pay_late(void *arg)
{
    serving_drop(arg, ERR_TIMEOUT, "no voucher came for what was delivered");
}

/* -- delivering -- */

static uint32_t produced(const struct serving *v)
{
    return (uint32_t)(v->tokens.n / 4);
}

bool serving_send(struct serving *v, struct buf *message)
{
    enum err e = streams_send(v->provider->s.streams, v->stream, bytes_of_buf(message));
    buf_clear(message);
    return e == ERR_OK;
}

static bool send_tokens(struct serving *v, uint32_t n)
{
    struct buf body = {0}, message = {0};
    for (uint32_t i = v->sent; i < v->sent + n; i++) {
        buf_add(&body, v->tokens.p + (size_t)i * 4, 4);
        buf_add(&body, v->digests.p + (size_t)i * 32, 32);
    }
    struct job_tokens t = {.first = v->sent, .tokens = bytes_of_buf(&body)};
    job_message_start(&message, JOB_TOKENS);
    job_tokens_put(&message, &t);
    buf_clear(&body);
    if (!serving_send(v, &message))
        return false;
    v->sent += n;
    return true;
}

static bool channel_is_busy(const struct serving *v)
{
    for (const struct serving *o = v->provider->serving; o; o = o->next)
        if (o->channel == v->channel && o->awaiting_pay)
            return true;
    return false;
}

static bool is_step_due(const struct serving *v)
{
    return v->read > v->read_paid;
}

/* Over what was sent; or, while steps of the prompt are to be paid, over these. */
static bool make_receipt(const struct serving *v, struct signed_receipt *out)
{
    const bool reads = is_step_due(v);
    uint32_t n = reads ? 0 : v->sent;
    bool last = !reads && v->produced_all && n == produced(v);
    struct hash digest = {{0}};
    struct receipt *r = &out->receipt;
    if (reads)
        CHECK(transcript_step(bytes_of_buf(&v->steps), v->read, &digest));
    else if (n)
        memcpy(digest.b, v->digests.p + (size_t)(n - 1) * 32, sizeof digest.b);
    *out = (struct signed_receipt){0};
    r->job = v->job;
    r->channel = v->channel->head.id;
    r->request_commit = receipt_commit(v->salts.request_salt.b, bytes_of_buf(&v->request));
    r->answer_commit = receipt_commit(v->salts.answer_salt.b, bytes_of(v->tokens.p, (size_t)n * 4));
    r->digest_commit = receipt_commit(v->salts.digest_salt.b, bytes_of(digest.b, sizeof digest.b));
    r->tokens_in = reads ? v->read : v->prompt_n + v->base;
    r->tokens_out = reads ? 0 : n - v->base;
    r->stop = last ? v->stop : RECEIPT_OPEN;
    if (!offer_cost(v->price_in, v->price_out, r->tokens_in, r->tokens_out, &r->price))
        return false;
    if (amount_compare(r->price, v->price_least) < 0)
        r->price = v->price_least;
    receipt_sign(r, v->provider->s.key, &out->sig);
    return true;
}

/* The transcript first: a receipt that is out may be paid, settled and drawn, whatever happens to this process. */
static enum err keep_transcript(const struct serving *v)
{
    struct kv_batch batch = {0};
    serving_put_transcript(v, &batch);
    enum err e = kv_write(v->provider->s.kv, &batch, false, NULL);
    kv_batch_clear(&batch);
    return e;
}

static enum err send_receipt(struct serving *v)
{
    struct signed_receipt r;
    struct buf message = {0};
    uint32_t index;
    if (!make_receipt(v, &r))
        return ERR_RANGE;
    enum err e = keep_transcript(v);
    if (e == ERR_OK)
        e = channel_put_receipt(v->channel, &r, &index);
    if (e != ERR_OK)
        return e;
    job_message_start(&message, JOB_RECEIPT);
    signed_receipt_put(&message, &r);
    if (!serving_send(v, &message)) {
        channel_undo(v->channel);
        return ERR_BUSY;
    }
    if (is_step_due(v))
        v->read_receipted = v->read;
    else
        v->receipted = v->sent;
    v->closed = r.receipt.stop != RECEIPT_OPEN;
    v->awaiting_pay = true;
    host_timer_set(v->provider->s.host, &v->timer, PAY_WAIT_MS, on_pay_late, v);
    return ERR_OK;
}

uint32_t serving_reads_to(const struct serving *v)
{
    const uint32_t one = request_step_end(v->read_paid, v->prompt_n);
    const uint32_t two = one ? request_step_end(one, v->prompt_n) : 0;
    return one && !two ? v->prompt_n : two;
}

static bool send_step(struct serving *v)
{
    struct buf message = {0};
    struct job_step step = {.at = v->read};
    if (v->read_told == v->read) /* and there was no credit for its receipt */
        return true;
    CHECK(transcript_step(bytes_of_buf(&v->steps), v->read, &step.digest));
    job_message_start(&message, JOB_STEP);
    job_step_put(&message, &step);
    if (!serving_send(v, &message))
        return false;
    v->read_told = v->read;
    return true;
}

/* The last step that was read, and a receipt over it; the one behind is read meanwhile. */
static void pump_step(struct serving *v)
{
    if (v->awaiting_pay || channel_is_busy(v) || !send_step(v))
        return;
    enum err e = send_receipt(v);
    if (e != ERR_OK && e != ERR_BUSY)
        serving_drop(v, e, "cannot make a receipt");
}

void serving_pump(struct serving *v)
{
    if (!v->accepted)
        return;
    if (is_step_due(v)) {
        pump_step(v);
        return;
    }
    uint32_t allowed = v->paid + STEP_TOKENS;
    while (v->sent < produced(v) && v->sent < allowed) {
        uint32_t n = (produced(v) < allowed ? produced(v) : allowed) - v->sent;
        if (!send_tokens(v, n < TOKENS_FRAME ? n : TOKENS_FRAME))
            return; /* no credit: on_ready comes back here */
    }
    bool last = v->produced_all && v->sent == produced(v);
    bool due = last || v->sent - v->receipted >= RECEIPT_EVERY;
    if (!due || v->closed || channel_is_busy(v))
        return;
    enum err e = send_receipt(v);
    if (e != ERR_OK && e != ERR_BUSY)
        serving_drop(v, e, "cannot make a receipt");
}

static void on_step(void *arg, uint32_t position, const struct hash *digest)
{
    struct serving *v = arg;
    uint8_t raw[4];
    store_le32(raw, position);
    buf_add(&v->steps, raw, sizeof raw);
    buf_add(&v->steps, v->planted ? v->plant.b : digest->b, sizeof digest->b);
    v->read = position;
    serving_pump(v);
}

static void on_token(void *arg, const struct worker_token *t)
{
    struct serving *v = arg;
    uint8_t raw[4];
    if (t->index != produced(v))
        return; /* replayed ones that the opening brought */
    store_le32(raw, t->token);
    buf_add(&v->tokens, raw, sizeof raw);
    buf_add(&v->digests, v->planted ? v->plant.b : t->digest.b, sizeof t->digest.b);
    if (!v->first_ms)
        v->first_ms = host_now_ms(v->provider->s.host);
    serving_pump(v);
}

static void on_done(void *arg, enum err e, const struct worker_done *d, const struct note *note)
{
    struct serving *v = arg;
    struct provider *p = v->provider;
    v->ask = 0;
    if (e != ERR_OK) {
        serving_drop(v, e, note ? note->text : err_text(e));
        return;
    }
    v->stop = d->stop;
    v->produced_all = true;
    if (v->first && produced(v) == v->first) /* nothing was left to do: the replay's digest is the answer's */
        memcpy(v->digests.p + (size_t)(v->first - 1) * 32, v->planted ? v->plant.b : d->digest.b, 32);
    p->served++;
    if (v->first_ms) {
        p->first_token_ms_sum += v->first_ms - v->opened_ms;
        p->tokens_made += d->tokens;
        p->decode_ms += d->decode_us / 1000 + 1;
    }
    serving_pump(v);
}

const struct worker_calls serving_worker_calls = {.step = on_step, .token = on_token, .done = on_done};

/* -- being paid -- */

static enum err store_paid(const struct serving *v, const struct channel *c, uint32_t index)
{
    struct kv_batch batch = {0};
    channel_store(c, MARKET_SIDE_PROVIDER, index, &batch);
    serving_put_transcript(v, &batch);
    enum err e = kv_write(v->provider->s.kv, &batch, true, NULL);
    kv_batch_clear(&batch);
    return e;
}

/* A voucher of ours was lost, or its job with this process: the payer is asked for what we lack. */
static enum err tell_behind(struct serving *v)
{
    struct buf behind = {0}, message = {0};
    channel_put_behind(v->channel, &behind);
    job_message_start(&message, JOB_BEHIND);
    job_behind_put(&message, &(struct job_behind){bytes_of_buf(&behind)});
    buf_clear(&behind);
    v->told_behind = true;
    log_event(LOG_INFO, "provider", "behind", "receipts=%u", v->channel->n);
    return serving_send(v, &message) ? ERR_OK : ERR_BUSY;
}

/* On the disk before it is the channel: a later voucher is written with its own receipt alone, and would be worth
 * nothing after a restart without these. */
static enum err catch_up(struct serving *v, const struct job_pay *pay)
{
    struct channel grown;
    enum err e =
        channel_catch_up(v->channel, pay->missing, &pay->voucher, &pay->sig, provider_proves, v->provider, &grown);
    if (e != ERR_OK)
        return e;
    e = store_paid(v, &grown, CHANNEL_ALL);
    if (e == ERR_OK)
        channel_replace(v->channel, &grown);
    else
        channel_clear(&grown);
    return e;
}

static enum err take_voucher(struct serving *v, const struct job_pay *pay)
{
    if (pay->missing.n)
        return catch_up(v, pay);
    enum err e = channel_take(v->channel, &pay->voucher, &pay->sig);
    return e == ERR_OK ? store_paid(v, v->channel, channel_find_job(v->channel, &v->job)) : e;
}

/* ERR_FUNDS: the payer's ledger may have a block more than ours, with more in the channel. */
static enum err take_pay(struct serving *v, const struct job_pay *pay, bool *taken)
{
    *taken = false;
    if (!v->awaiting_pay)
        return ERR_PROTOCOL;
    (void)provider_channel(v->provider, &v->channel->head.id); /* as much as the ledger says is in it */
    enum err e = take_voucher(v, pay);
    if (e == ERR_MISMATCH && !v->told_behind)
        return tell_behind(v);
    *taken = e == ERR_OK;
    return e;
}

static void paid(struct serving *v)
{
    struct provider *p = v->provider;
    channel_keep(v->channel);
    v->awaiting_pay = v->told_behind = false;
    v->paid = v->receipted;
    if (v->read_paid < v->read_receipted) {
        v->read_paid = v->read_receipted;
        if (v->worker && v->ask)
            worker_go(v->worker, v->ask, serving_reads_to(v) ? serving_reads_to(v) : v->prompt_n);
    }
    host_timer_cancel(p->s.host, &v->timer);
    if (v->closed) {
        serving_drop(v, ERR_OK, "done");
        return;
    }
    host_timer_set(p->s.host, &p->timer, 0, on_turn, p);
}

static void on_pay(struct serving *v, struct bytes message)
{
    struct job_pay pay;
    uint8_t type;
    struct cursor c = job_message_open(message, &type);
    bool taken = false;
    job_pay_get(&c, &pay);
    enum err e = cursor_end(&c) ? take_pay(v, &pay, &taken) : ERR_FORMAT;
    if (taken)
        paid(v);
    else if (e == ERR_FUNDS) {
        buf_reset(&v->pay);
        buf_add(&v->pay, message.p, message.n);
    } else if (e == ERR_FULL || e == ERR_IO)
        serving_drop(v, e, "the provider cannot write what was paid");
    else if (e != ERR_OK)
        serving_drop(v, e, "the voucher is not over what was delivered");
}

static void on_data(void *arg, uint64_t stream, struct bytes message)
{
    struct serving *v = arg;
    (void)stream;
    if (message.n && message.p[0] == JOB_PAY)
        on_pay(v, message);
    else if (message.n && message.p[0] == JOB_CANCEL)
        serving_drop(v, ERR_CANCELLED, "cancelled by the requester");
    else
        serving_drop(v, ERR_PROTOCOL, "unknown message");
}

/* Vouchers that waited for more in their channel are looked at again. */
static void pay_again(struct serving *v)
{
    struct buf pay = v->pay;
    v->pay = (struct buf){0};
    if (pay.n)
        on_pay(v, bytes_of_buf(&pay));
    buf_clear(&pay);
}

/* What is in a channel that closes is the payer's again soon, whatever vouchers say: nothing more is delivered for it.
 */
void provider_on_event(struct provider *p, const struct ledger_event *e)
{
    const bool ends = e->kind == LEDGER_CHANNEL_CLOSING || e->kind == LEDGER_CHANNEL_CLOSED;
    if (!ends && e->kind != LEDGER_CHANNEL_TOPPED)
        return;
    for (struct serving *v = p->serving, *next; v; v = next) {
        next = v->next;
        if (!hash_equal(&v->channel->head.id, &e->id))
            continue;
        if (ends)
            serving_drop(v, ERR_STATE, "the payment channel is being closed");
        else
            pay_again(v);
    }
}

static void on_ready(void *arg, uint64_t stream)
{
    (void)stream;
    serving_pump(arg);
}

static void on_closed(void *arg, uint64_t stream, enum err reason, const char *text)
{
    struct serving *v = arg;
    (void)stream;
    log_event(LOG_DEBUG, "provider", "stream closed", "reason=%s text=%s", err_name(reason), text);
    struct provider *p = v->provider;
    serving_free(v);
    host_timer_set(p->s.host, &p->timer, 0, on_turn, p);
}

const struct stream_calls serving_stream_calls = {.data = on_data, .ready = on_ready, .closed = on_closed};

/* -- the whole -- */

enum err provider_new(const struct market_services *s, struct provider **out, struct note *note)
{
    struct provider *p = mem_new(sizeof *p);
    p->s = *s;
    enum err e = channel_list_load(&p->channels, s->kv, MARKET_SIDE_PROVIDER, note);
    if (e != ERR_OK) {
        provider_free(p);
        return e;
    }
    streams_on(s->streams, STREAM_JOB, provider_accept, p);
    provider_retain_start(p);
    *out = p;
    return ERR_OK;
}

void provider_free(struct provider *p)
{
    if (!p)
        return;
    while (p->serving) {
        streams_close(p->s.streams, p->serving->stream, ERR_CLOSED, "the provider stops");
        serving_free(p->serving);
    }
    host_timer_cancel(p->s.host, &p->timer);
    provider_retain_stop(p);
    channel_list_clear(&p->channels);
    free(p->share_models);
    free(p);
}

void provider_set_share(struct provider *p, const struct market_share *s)
{
    struct hash *models = mem_array(s->models_n, sizeof *models);
    if (s->models_n)
        memcpy(models, s->models, s->models_n * sizeof *models);
    free(p->share_models);
    p->share = *s;
    p->share.models = p->share_models = models;
}

void provider_set_closed(struct provider *p, bool closed)
{
    p->closed = closed;
}

const struct market_share *provider_share(const struct provider *p)
{
    return &p->share;
}

unsigned provider_running(const struct provider *p)
{
    return p->serving_n;
}

void provider_on_slots(struct provider *p, void (*fn)(void *arg), void *arg)
{
    p->on_slots = fn;
    p->on_slots_arg = arg;
}

void provider_tell_slots(struct provider *p)
{
    if (p->on_slots)
        p->on_slots(p->on_slots_arg);
}

uint64_t provider_served(const struct provider *p)
{
    return p->served;
}

uint32_t provider_first_token_ms(const struct provider *p)
{
    return p->served ? (uint32_t)(p->first_token_ms_sum / p->served) : 0;
}

uint32_t provider_tokens_per_s(const struct provider *p)
{
    return p->decode_ms ? (uint32_t)(p->tokens_made * 1000 / p->decode_ms) : 0;
}
