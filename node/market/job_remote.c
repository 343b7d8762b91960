/* A job's leg to a provider.
 *
 *     offer -> channel (found, topped up, or opened on the ledger) -> stream -> tokens and receipts -> done
 *
 * Every receipt is checked against what came: counts, price, and that its commitments hide exactly this request,
 * these tokens and this digest. Then receipts, transcript and voucher are written in one synced batch, and only
 * then the voucher leaves. So after any crash the store holds at least what was promised, and a provider that
 * lost a voucher is sent the receipts that it lacks. */
#include "node/market/job.h"

#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "node/pay/channel_past.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STALL_MS       30000 /* no word from the provider for this long: try another */
#define LINGER_MS      5000  /* after the last voucher, for the provider's last word */
#define NO_OFFER_TRIES 8     /* 18 s */

static const struct stream_calls calls;

/* -- letting go -- */

void job_remote_stop(struct job *j)
{
    struct job_remote *m = j->remote;
    if (!m)
        return;
    j->remote = NULL;
    if (m->stream)
        streams_close(j->jobs->s.streams, m->stream, ERR_OK, "");
    host_timer_cancel(j->jobs->s.host, &m->stall);
    buf_clear(&m->missing);
    /* A transaction under way finds the job by its id, so m may go. */
    free(m);
}

static void on_lingered(void *arg)
{
    job_remote_stop(arg);
}

void job_remote_linger(struct job *j)
{
    struct job_remote *m = j->remote;
    if (m && m->stream)
        host_timer_set(j->jobs->s.host, &m->stall, LINGER_MS, on_lingered, j);
    else
        job_remote_stop(j);
}

void job_remote_cancel(struct job *j)
{
    uint8_t cancel = JOB_CANCEL;
    if (j->remote && j->remote->stream)
        (void)!streams_send(j->jobs->s.streams, j->remote->stream, bytes_of(&cancel, 1));
}

static void blame(struct job *j)
{
    if (!j->remote || j->failed_n == JOB_FAILED_PROVIDERS_MAX)
        return;
    j->failed[j->failed_n++] = j->remote->offer.provider;
}

void job_remote_fail(struct job *j, enum err e, const char *why)
{
    log_event(LOG_ODD, "jobs", "provider failed", "error=%s why=%s", err_name(e), why);
    blame(j);
    job_retry(j, e, why);
}

static void on_stall(void *arg)
{
    struct job *j = arg;
    if (j->r.stop != JOB_STOP_NONE)
        job_finish(j, ERR_OK, ""); /* the last voucher is written: it goes with the next job's */
    else
        job_remote_fail(j, ERR_TIMEOUT, "the provider stalled");
}

static void alive(struct job_remote *m)
{
    m->heard_ms = host_now_ms(m->job->jobs->s.host);
    host_timer_set(m->job->jobs->s.host, &m->stall, STALL_MS, on_stall, m->job);
}

/* -- tokens and receipts -- */

static enum err take_tokens(struct job *j, const struct job_tokens *t)
{
    struct job_remote *m = j->remote;
    uint32_t have = job_tokens_n(j), n = (uint32_t)(t->tokens.n / JOB_TOKEN_SIZE);
    if (!m->accepted || t->tokens.n % JOB_TOKEN_SIZE || n == 0 || t->first != have)
        return ERR_PROTOCOL;
    if (have + n > m->paid + STEP_TOKENS || have + n > job_tokens_max(j))
        return ERR_LIMIT;
    for (uint32_t i = 0; i < n; i++)
        buf_add(&j->tokens, t->tokens.p + (size_t)i * JOB_TOKEN_SIZE, 4);
    memcpy(j->r.digest.b, t->tokens.p + (size_t)(n - 1) * JOB_TOKEN_SIZE + 4, 32);
    j->r.state = JOB_RUNNING;
    job_moved(j);
    job_tokens_came(j);
    return ERR_OK;
}

static enum err take_step(struct job *j, const struct job_step *s)
{
    struct job_remote *m = j->remote;
    if (!m->accepted || s->at <= m->read.at || !request_is_step_end(s->at, job_prompt_n(j)))
        return ERR_PROTOCOL;
    m->read = *s;
    j->r.state = JOB_RUNNING;
    job_moved(j);
    return ERR_OK;
}

/* What a receipt must bill: by the agreed prices, and not less than the job's receipt before it, which may have been at
 * other ones. */
static bool price_of(const struct job *j, const struct receipt *r, struct amount *out)
{
    const struct job_remote *m = j->remote;
    uint32_t at = channel_find_job(m->channel, &j->r.paid_id);
    if (!offer_cost(m->offer.price_in, m->offer.price_out, r->tokens_in, r->tokens_out, out))
        return false;
    if (at != CHANNEL_NO_JOB && amount_compare(*out, m->channel->receipts[at].receipt.price) < 0)
        *out = m->channel->receipts[at].receipt.price;
    return true;
}

static bool is_over_step(const struct job *j, const struct receipt *r)
{
    return r->tokens_in < job_prompt_n(j);
}

/* Is this receipt over exactly what came, for exactly the agreed price? */
static enum err check_receipt(const struct job *j, const struct receipt *r)
{
    const struct job_remote *m = j->remote;
    const uint32_t prompt = job_prompt_n(j), n = job_tokens_n(j);
    const bool reads = is_over_step(j, r);
    const struct bytes tokens = reads ? bytes_of(NULL, 0) : bytes_of_buf(&j->tokens);
    const struct hash *shown = reads ? &m->read.digest : &j->r.digest;
    struct amount price;
    if (!hash_equal(&r->job, &j->r.paid_id))
        return ERR_MISMATCH;
    if (reads ? r->tokens_in != m->read.at || r->tokens_out != 0 || r->stop != RECEIPT_OPEN
              : (uint64_t)r->tokens_in + r->tokens_out != (uint64_t)prompt + n)
        return ERR_MISMATCH;
    if (!price_of(j, r, &price) || amount_compare(price, r->price) != 0)
        return ERR_MISMATCH;
    struct hash request = receipt_commit(m->salts.request_salt.b, bytes_of_buf(&j->request));
    struct hash answer = receipt_commit(m->salts.answer_salt.b, tokens);
    struct hash digest = receipt_commit(m->salts.digest_salt.b, bytes_of(shown->b, sizeof shown->b));
    return hash_equal(&request, &r->request_commit) && hash_equal(&answer, &r->answer_commit) &&
                   hash_equal(&digest, &r->digest_commit)
               ? ERR_OK
               : ERR_MISMATCH;
}

/* The latest voucher, with what is missing of its receipts; without credit it waits for on_ready. */
static void send_pay(struct job *j)
{
    struct job_remote *m = j->remote;
    struct buf message = {0};
    struct job_pay p = {
        .voucher = m->channel->head.voucher, .sig = m->channel->head.payer_sig, .missing = bytes_of_buf(&m->missing)};
    job_message_start(&message, JOB_PAY);
    job_pay_put(&message, &p);
    m->owes = streams_send(j->jobs->s.streams, m->stream, bytes_of_buf(&message)) == ERR_BUSY;
    buf_clear(&message);
    if (!m->owes)
        buf_clear(&m->missing);
}

static enum err write_paid(struct job *j, uint32_t index)
{
    struct kv_batch batch = {0};
    channel_store(j->remote->channel, MARKET_SIDE_REQUESTER, index, &batch);
    channel_past_add(j->remote->channel, &batch);
    j->salts = j->remote->salts;
    j->is_salted = true;
    job_put(j, &batch);
    enum err e = kv_write(j->jobs->s.kv, &batch, true, NULL);
    kv_batch_clear(&batch);
    return e;
}

/* ERR_FUNDS: the channel does not hold so much. ERR_FULL, ERR_IO: nothing can be written. Then nothing is changed. */
static enum err pay(struct job *j, uint32_t index, const struct receipt *r)
{
    struct job_remote *m = j->remote;
    struct job_record before = j->r;
    enum err e = channel_pay(m->channel, j->jobs->s.key);
    if (e != ERR_OK)
        return e;
    j->r.cost = job_cost(j, NULL);
    if (is_over_step(j, r)) {
        j->r.read = m->read.at;
        j->r.read_digest = m->read.digest;
    }
    if (r->stop != RECEIPT_OPEN) {
        j->r.stop = r->stop;
        j->r.receipt = receipt_hash(r);
    }
    e = write_paid(j, index);
    if (e != ERR_OK) {
        j->r = before;
        return e;
    }
    channel_keep(m->channel);
    m->paid = job_tokens_n(j);
    m->told_behind = false;
    j->tries = 0; /* it comes forward */
    send_pay(j);
    return ERR_OK;
}

/* In order, and what is to be done about it otherwise; true: it was paid. */
static bool take_receipt(struct job *j, const struct signed_receipt *r)
{
    struct job_remote *m = j->remote;
    uint32_t index;
    enum err e = m->accepted ? check_receipt(j, &r->receipt) : ERR_PROTOCOL;
    if (e == ERR_OK)
        e = channel_put_receipt(m->channel, r, &index);
    if (e != ERR_OK) {
        job_remote_fail(j, e, "the provider's receipt is not in order");
        return false;
    }
    if (amount_compare(job_cost(j, NULL), j->r.cost_max) > 0) {
        channel_undo(m->channel);
        job_finish(j, ERR_FUNDS, "the answer would cost more than the job's max_cost");
        return false;
    }
    e = pay(j, index, &r->receipt);
    if (e == ERR_OK)
        return true;
    channel_undo(m->channel);
    if (e == ERR_FUNDS)
        job_retry(j, e, "the payment channel is used up");
    else
        job_retry(j, e, "what is paid cannot be written: is the disk full?");
    return false;
}

/* The provider lacks receipts that our voucher is over. */
static void take_behind(struct job *j, struct bytes behind)
{
    struct job_remote *m = j->remote;
    bool again = m->told_behind;
    m->told_behind = true;
    buf_reset(&m->missing);
    if (again || channel_put_missing(m->channel, behind, STREAM_DATA_MAX - 4096, &m->missing) != ERR_OK) {
        job_give_up_channel(j);
        if (j->r.state < JOB_DONE)
            job_retry(j, ERR_MISMATCH, "the provider cannot follow the payments of its channel");
        else
            job_remote_stop(j);
        return;
    }
    send_pay(j);
}

static void dispatch(struct job *j, struct bytes message)
{
    uint8_t type;
    struct cursor c = job_message_open(message, &type);
    struct job_tokens t;
    struct job_step step;
    struct job_behind behind;
    struct signed_receipt r;
    enum err e = ERR_PROTOCOL;
    switch (type) {
    case JOB_ACCEPT:
        job_accept_get(&c, &j->remote->salts);
        j->remote->accepted = true;
        e = cursor_end(&c) ? ERR_OK : ERR_FORMAT;
        break;
    case JOB_STEP:
        job_step_get(&c, &step);
        e = cursor_end(&c) ? take_step(j, &step) : ERR_FORMAT;
        break;
    case JOB_TOKENS:
        job_tokens_get(&c, &t);
        e = cursor_end(&c) ? take_tokens(j, &t) : ERR_FORMAT;
        break;
    case JOB_RECEIPT:
        signed_receipt_get(&c, &r);
        e = cursor_end(&c) ? ERR_OK : ERR_FORMAT;
        if (e == ERR_OK && take_receipt(j, &r) && j->r.stop != JOB_STOP_NONE && !j->remote->owes)
            job_finish(j, ERR_OK, "");
        break;
    case JOB_BEHIND:
        job_behind_get(&c, &behind);
        e = cursor_end(&c) ? ERR_OK : ERR_FORMAT;
        if (e == ERR_OK)
            take_behind(j, behind.receipts);
        break;
    default:
        break;
    }
    if (e != ERR_OK)
        job_remote_fail(j, e, "the provider's message is not in order");
}

static bool is_behind(struct bytes message)
{
    return message.n && message.p[0] == JOB_BEHIND;
}

static void on_data(void *arg, uint64_t stream, struct bytes message)
{
    struct job *j = arg;
    (void)stream;
    /* All is paid, and the answer whole: of that only the voucher can still be spoken of. */
    if (j->r.stop != JOB_STOP_NONE && !is_behind(message))
        return;
    if (j->r.state < JOB_DONE)
        alive(j->remote);
    dispatch(j, message);
}

static void on_ready(void *arg, uint64_t stream)
{
    struct job *j = arg;
    (void)stream;
    if (!j->remote->owes)
        return;
    send_pay(j);
    if (!j->remote->owes && j->r.stop != JOB_STOP_NONE)
        job_finish(j, ERR_OK, "");
}

/* The same provider again, or another: what its end of the stream means. */
static void lost(struct job *j, enum err reason, const char *why)
{
    struct job_remote *m = j->remote;
    switch (reason) {
    case ERR_CLOSED:
    case ERR_TIMEOUT: /* down: back in a moment, perhaps */
        if (j->tries >= 1)
            blame(j);
        job_retry(j, reason, why);
        break;
    case ERR_BUSY: /* others may be free */
        blame(j);
        job_retry(j, reason, why);
        break;
    case ERR_STATE: /* behind us on the ledger */
        if (j->tries >= 6)
            blame(j);
        job_retry(j, reason, why);
        break;
    case ERR_MISMATCH:
        if (m->accepted && m->channel->head.promised && !m->channel->is_given_up) {
            job_give_up_channel(j); /* a voucher of ours was not what it has: a new channel has no past */
            job_retry(j, reason, why);
            break;
        }
        job_remote_fail(j, reason, why);
        break;
    default:
        job_remote_fail(j, reason, why);
    }
}

static void on_closed(void *arg, uint64_t stream, enum err reason, const char *text)
{
    struct job *j = arg;
    char why[160];
    (void)stream;
    j->remote->stream = 0;
    if (j->r.state >= JOB_DONE) {
        job_remote_stop(j);
        return;
    }
    if (j->r.stop != JOB_STOP_NONE) { /* all is paid; only the text is still being made, or the voucher goes later */
        if (j->remote->owes)
            job_finish(j, ERR_OK, "");
        return;
    }
    snprintf(why, sizeof why, "the provider ended the job: %.100s", *text ? text : err_text(reason));
    lost(j, reason, why);
}

static void on_opened(void *arg, uint64_t stream)
{
    struct job *j = arg;
    (void)stream;
    alive(j->remote);
}

static const struct stream_calls calls = {.opened = on_opened, .data = on_data, .ready = on_ready, .closed = on_closed};

/* -- opening -- */

static bool seal_secret(const struct job *j, struct buf *sealed)
{
    const struct channel *c = j->remote->channel;
    uint32_t at = channel_find_job(c, &j->r.paid_id);
    struct buf plain = {0}, receipt = {0};
    if (at != CHANNEL_NO_JOB)
        signed_receipt_put(&receipt, &c->receipts[at]);
    struct job_secret secret = {
        .request = bytes_of_buf(&j->request), .tokens = bytes_of_buf(&j->tokens), .receipt = bytes_of_buf(&receipt)};
    job_secret_put(&plain, &secret);
    bool good = market_seal(&j->jobs->s, &j->remote->offer.provider, bytes_of_buf(&plain), sealed);
    buf_clear(&plain);
    buf_clear(&receipt);
    return good;
}

void job_remote_open(struct job *j)
{
    struct job_remote *m = j->remote;
    struct buf sealed = {0}, body = {0};
    m->paid = job_tokens_n(j);
    j->r.state = JOB_RUNNING;
    j->r.provider = m->offer.provider;
    j->r.channel = m->channel->head.id;
    if (!seal_secret(j, &sealed)) {
        job_remote_fail(j, ERR_AUTH, "the provider's key is no key");
        return;
    }
    struct job_open o = {.job = j->r.paid_id,
                         .channel = m->channel->head.id,
                         .model = j->r.model,
                         .nonce = j->r.nonce,
                         .seed_block = j->r.seed_block,
                         .price_in = m->offer.price_in,
                         .price_out = m->offer.price_out,
                         .open = true,
                         .sealed = bytes_of_buf(&sealed)};
    job_open_put(&body, &o);
    enum err e = streams_open(j->jobs->s.streams, &m->offer.provider, m->offer.endpoint.n ? m->offer.endpoint.s : NULL,
                              STREAM_JOB, bytes_of_buf(&body), &calls, j, &m->stream);
    buf_clear(&sealed);
    buf_clear(&body);
    if (e != ERR_OK)
        job_remote_fail(j, e, "the provider cannot be reached");
    else
        alive(m);
    job_changed(j);
}

/* -- choosing -- */

/* What the whole job will have cost if the rest is asked of this one; an offers_cost_fn. */
static bool whole_cost(void *arg, const struct offer *o, struct amount *out)
{
    const struct job *j = arg;
    const struct channel *c = job_channel_for(j, o);
    struct amount here;
    return job_channel_cost(j, o, c, &here) && amount_add(out, job_cost(j, c), here);
}

/* Offers of a network that was just joined come within seconds; whoever waits for an answer need not wait for minutes
 * to hear that there is none. A job that began elsewhere, or whose providers are only busy, has the patience of
 * job_retry. */
static void no_offer(struct job *j, const struct offer_need *need)
{
    struct jobs *jobs = j->jobs;
    struct amount least;
    char line[200], want[AMOUNT_TEXT_ROOM], have[AMOUNT_TEXT_ROOM];
    enum offers_lack lack = offers_lack(jobs->s.offers, need, host_wall_ms(jobs->s.host), &least);
    bool waits = lack == OFFERS_BUSY || job_tokens_n(j) > 0 || j->tries < NO_OFFER_TRIES;
    snprintf(line, sizeof line, "no provider offers this model now");
    enum err e = ERR_BUSY;
    if (lack == OFFERS_BUSY) {
        snprintf(line, sizeof line, "no provider of this model is free now");
    } else if (lack == OFFERS_DEAR) {
        amount_print(least, want);
        amount_print(j->r.cost_max, have);
        snprintf(line, sizeof line,
                 "the cheapest provider's answer may cost %s KITH, the budget is %s: allow more, or "
                 "ask for fewer tokens",
                 want, have);
        e = ERR_FUNDS;
    } else if (lack == OFFERS_SMALL) {
        snprintf(line, sizeof line, "no provider has room for a prompt of %u tokens and an answer of %u",
                 need->prompt_tokens, need->tokens_max);
        e = ERR_LIMIT;
    }
    j->failed_n = 0; /* those that failed may do better after the pause */
    if (waits)
        job_retry(j, e, line);
    else
        job_finish(j, e, line);
}

void job_remote_start(struct job *j)
{
    struct jobs *jobs = j->jobs;
    uint32_t have = job_tokens_n(j), most = job_tokens_max(j);
    struct offer_need need = {.model = j->r.model,
                              .arith = REQUEST_ARITH,
                              .prompt_tokens = job_prompt_n(j) + have,
                              .tokens_max = most > have ? most - have : 0,
                              .budget = j->r.cost_max,
                              .exclude = j->failed,
                              .exclude_n = j->failed_n,
                              .cost = whole_cost,
                              .cost_arg = j};
    const struct offer *o = offers_pick(jobs->s.offers, &need, host_wall_ms(jobs->s.host));
    if (!o) {
        no_offer(j, &need);
        return;
    }
    j->remote = mem_new(sizeof *j->remote);
    *j->remote = (struct job_remote){.job = j, .offer = *o, .channel = job_channel_for(j, o)};
    CHECK(job_channel_cost(j, o, j->remote->channel, &j->remote->cost_max));
    if (job_is_funded(j))
        job_remote_open(j);
    else
        job_fund(j);
}
