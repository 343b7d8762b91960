/* A job's leg to a provider.
 *
 *     offer -> channel (found, topped up, or opened on the ledger) -> stream -> tokens and receipts -> done
 *
 * Every receipt is checked against what came: counts, price, and that its commitments hide exactly this request,
 * these tokens and this digest. Then receipts, transcript and voucher are written in one synced batch, and only
 * then the voucher leaves. So after any crash the store holds at least what was promised. */
#include "node/job.h"

#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NO_OFFER_TRIES   8     /* 18 s */
#define STALL_MS         30000 /* no word from the provider for this long: try another */
#define CHANNEL_JOBS     16    /* a new channel holds this many times the job's greatest cost */
#define CHANNEL_MIN_MOTE 10000000u

struct job_remote {
    struct job *job;
    struct offer offer; /* its terms, fixed when it was picked */
    struct channel *channel;
    uint64_t stream;
    bool accepted, funding;
    struct job_accept salts;
    uint32_t paid; /* tokens covered by a voucher, or brought along */
    struct timer stall;
};

static const struct stream_calls calls;

/* -- channels -- */

void job_remote_add_channel(void *arg, struct channel *c)
{
    struct jobs *jobs = arg;
    if (jobs->channels_n == jobs->channels_room) {
        jobs->channels_room = jobs->channels_room ? 2 * jobs->channels_room : 16;
        jobs->channels = mem_resize(jobs->channels, jobs->channels_room, sizeof *jobs->channels);
    }
    jobs->channels[jobs->channels_n++] = c;
}

static struct channel *find_channel(struct jobs *jobs, const struct hash *id)
{
    for (size_t i = 0; i < jobs->channels_n; i++)
        if (hash_equal(&jobs->channels[i]->head.id, id))
            return jobs->channels[i];
    return NULL;
}

/* The ledger's word on a channel of ours into our copy, which is made if it is missing. */
static struct channel *refresh(struct jobs *jobs, const struct rec_channel *rec)
{
    struct channel *c = find_channel(jobs, &rec->id);
    if (!c) {
        struct channel_head head = {
            .id = rec->id, .chain = jobs->s.chain, .payer = rec->payer, .provider = rec->provider, .model = rec->model};
        c = mem_new(sizeof *c);
        channel_init(c, &head);
        job_remote_add_channel(jobs, c);
    }
    c->head.funded = rec->deposit;
    c->head.settled = rec->settled;
    c->head.closed = rec->closes_ms != 0;
    return c;
}

void job_remote_adopt(struct jobs *jobs)
{
    struct rec_channel rec;
    for (size_t i = 0; i < jobs->channels_n; i++)
        jobs->channels[i]->head.closed = true; /* unless the ledger still has it */
    struct hash last;
    for (const struct hash *after = NULL; ledger_channel_next(jobs->s.ledger, after, &rec); after = &last) {
        if (pubkey_equal(&rec.payer, &jobs->s.self))
            refresh(jobs, &rec);
        last = rec.id;
    }
}

void job_remote_channel_event(struct jobs *jobs, const struct ledger_event *e)
{
    const struct hash *id = e->kind == LEDGER_SETTLED ? &e->other : &e->id;
    struct rec_channel rec;
    struct channel *c = find_channel(jobs, id);
    if (ledger_channel(jobs->s.ledger, id, &rec)) {
        if (pubkey_equal(&rec.payer, &jobs->s.self))
            refresh(jobs, &rec);
    } else if (c)
        c->head.closed = true;
}

static struct channel *channel_for(struct jobs *jobs, const struct offer *o)
{
    struct channel *best = NULL;
    for (size_t i = 0; i < jobs->channels_n; i++) {
        struct channel *c = jobs->channels[i];
        if (!c->head.closed && pubkey_equal(&c->head.provider, &o->provider) && hash_equal(&c->head.model, &o->model) &&
            c->n < RECEIPTS_MAX && (!best || amount_compare(channel_left(c), channel_left(best)) > 0))
            best = c;
    }
    return best;
}

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
    /* A transaction under way finds the job by its id, so m may go. */
    free(m);
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

static void fail(struct job *j, enum err e, const char *why)
{
    log_event(LOG_ODD, "jobs", "provider failed", "error=%s why=%s", err_name(e), why);
    blame(j);
    job_retry(j, e, why);
}

static void on_stall(void *arg)
{
    fail(arg, ERR_TIMEOUT, "the provider stalled");
}

static void alive(struct job_remote *m)
{
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
    job_tokens_came(j);
    return ERR_OK;
}

/* Is this receipt over exactly what came, for exactly the agreed price? */
static enum err check_receipt(const struct job *j, const struct receipt *r)
{
    const struct job_remote *m = j->remote;
    uint32_t prompt = job_prompt_n(j), n = job_tokens_n(j);
    struct amount price;
    if (!hash_equal(&r->job, &j->r.paid_id) || r->tokens_in < prompt ||
        (uint64_t)r->tokens_in + r->tokens_out != (uint64_t)prompt + n)
        return ERR_MISMATCH;
    if (!offer_cost(m->offer.price_in, m->offer.price_out, r->tokens_in, r->tokens_out, &price) ||
        amount_compare(price, r->price) != 0)
        return ERR_FUNDS;
    struct hash request = receipt_commit(m->salts.request_salt.b, bytes_of_buf(&j->request));
    struct hash answer = receipt_commit(m->salts.answer_salt.b, bytes_of_buf(&j->tokens));
    struct hash digest = receipt_commit(m->salts.digest_salt.b, bytes_of(j->r.digest.b, sizeof j->r.digest.b));
    return hash_equal(&request, &r->request_commit) && hash_equal(&answer, &r->answer_commit) &&
                   hash_equal(&digest, &r->digest_commit)
               ? ERR_OK
               : ERR_MISMATCH;
}

/* What all of this job's receipts cost, over all channels it ever used. */
static struct amount job_cost(const struct job *j)
{
    struct amount sum = {0};
    for (size_t i = 0; i < j->jobs->channels_n; i++) {
        const struct channel *c = j->jobs->channels[i];
        uint32_t at = channel_find_job(c, &j->r.paid_id);
        if (at != CHANNEL_NO_JOB)
            (void)!amount_add(&sum, sum, c->receipts[at].receipt.price);
    }
    return sum;
}

static enum err pay(struct job *j, uint32_t index)
{
    struct job_remote *m = j->remote;
    struct buf message = {0};
    struct kv_batch batch = {0};
    enum err e = channel_pay(m->channel, j->jobs->s.key);
    if (e != ERR_OK)
        return e;
    j->r.cost = job_cost(j);
    channel_store(m->channel, MARKET_SIDE_REQUESTER, index, &batch);
    job_put(j, &batch);
    e = kv_write(j->jobs->s.kv, &batch, true, NULL);
    kv_batch_clear(&batch);
    if (e != ERR_OK)
        return e;
    struct job_pay p = {.voucher = m->channel->head.voucher, .sig = m->channel->head.payer_sig};
    job_message_start(&message, JOB_PAY);
    job_pay_put(&message, &p);
    e = streams_send(j->jobs->s.streams, m->stream, bytes_of_buf(&message));
    buf_clear(&message);
    m->paid = job_tokens_n(j);
    return e;
}

static enum err take_receipt(struct job *j, const struct signed_receipt *r)
{
    uint32_t index;
    if (!j->remote->accepted)
        return ERR_PROTOCOL;
    enum err e = check_receipt(j, &r->receipt);
    if (e == ERR_OK)
        e = channel_put_receipt(j->remote->channel, r, &index);
    if (e == ERR_OK && amount_compare(job_cost(j), j->r.cost_max) > 0)
        e = ERR_FUNDS;
    if (e == ERR_OK && r->receipt.stop != RECEIPT_OPEN) {
        j->r.stop = r->receipt.stop;
        j->r.receipt = receipt_hash(&r->receipt);
    }
    return e == ERR_OK ? pay(j, index) : e;
}

static enum err dispatch(struct job *j, struct bytes message)
{
    uint8_t type;
    struct cursor c = job_message_open(message, &type);
    struct job_tokens t;
    struct signed_receipt r;
    switch (type) {
    case JOB_ACCEPT:
        job_accept_get(&c, &j->remote->salts);
        j->remote->accepted = true;
        return cursor_end(&c) ? ERR_OK : ERR_FORMAT;
    case JOB_TOKENS:
        job_tokens_get(&c, &t);
        return cursor_end(&c) ? take_tokens(j, &t) : ERR_FORMAT;
    case JOB_RECEIPT:
        signed_receipt_get(&c, &r);
        return cursor_end(&c) ? take_receipt(j, &r) : ERR_FORMAT;
    default:
        return ERR_PROTOCOL;
    }
}

static void on_data(void *arg, uint64_t stream, struct bytes message)
{
    struct job *j = arg;
    (void)stream;
    alive(j->remote);
    bool was_done = j->r.stop != JOB_STOP_NONE;
    enum err e = dispatch(j, message);
    if (e == ERR_FUNDS && amount_compare(job_cost(j), j->r.cost_max) > 0)
        job_finish(j, e, "the answer would cost more than the job's max_cost");
    else if (e != ERR_OK)
        fail(j, e, "the provider's message is not in order");
    else if (!was_done && j->r.stop != JOB_STOP_NONE) {
        host_timer_cancel(j->jobs->s.host, &j->remote->stall);
        job_finish(j, ERR_OK, "");
    }
}

static void on_closed(void *arg, uint64_t stream, enum err reason, const char *text)
{
    struct job *j = arg;
    char why[160];
    (void)stream;
    j->remote->stream = 0;
    if (j->r.stop != JOB_STOP_NONE)
        return; /* all is paid; only the text is still being made */
    snprintf(why, sizeof why, "the provider ended the job: %.100s", *text ? text : err_text(reason));
    if (reason == ERR_CLOSED || reason == ERR_TIMEOUT || reason == ERR_BUSY || reason == ERR_STATE) {
        /* Down, full, or behind us on the ledger: the same one may do in a moment. */
        if (j->tries >= 6)
            blame(j);
        job_retry(j, reason, why);
    } else
        fail(j, reason, why);
}

static void on_opened(void *arg, uint64_t stream)
{
    struct job *j = arg;
    (void)stream;
    alive(j->remote);
}

static const struct stream_calls calls = {.opened = on_opened, .data = on_data, .closed = on_closed};

/* -- opening -- */

static bool seal_secret(const struct job *j, struct buf *sealed)
{
    struct buf plain = {0};
    struct job_secret secret = {.request = bytes_of_buf(&j->request), .tokens = bytes_of_buf(&j->tokens)};
    job_secret_put(&plain, &secret);
    bool good = market_seal(&j->jobs->s, &j->remote->offer.provider, bytes_of_buf(&plain), sealed);
    buf_clear(&plain);
    return good;
}

static void open_stream(struct job *j)
{
    struct job_remote *m = j->remote;
    struct buf sealed = {0}, body = {0};
    m->paid = job_tokens_n(j);
    j->r.state = JOB_RUNNING;
    j->r.provider = m->offer.provider;
    j->r.channel = m->channel->head.id;
    if (!seal_secret(j, &sealed)) {
        fail(j, ERR_AUTH, "the provider's key is no key");
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
        fail(j, e, "the provider cannot be reached");
    else
        alive(m);
    job_changed(j);
}

struct funding {
    struct jobs *jobs;
    struct hash job;
};

static void on_funded(void *arg, enum err e, const struct hash *id, const struct note *note)
{
    struct funding *f = arg;
    struct job *j = f->jobs->first;
    (void)id;
    while (j && !hash_equal(&j->r.id, &f->job))
        j = j->next;
    free(f);
    if (!j || !j->remote || !j->remote->funding)
        return;
    j->remote->funding = false;
    if (e != ERR_OK) {
        job_finish(j, e, note && note->text[0] ? note->text : "the ledger refused to open a channel");
        return;
    }
    job_remote_adopt(j->jobs);
    j->remote->channel = channel_for(j->jobs, &j->remote->offer);
    if (j->remote->channel)
        open_stream(j);
    else
        job_retry(j, ERR_STATE, "the channel is not on the ledger yet");
}

/* A channel with room for this job at its most expensive, and for some more after it. */
static void fund(struct job *j, struct amount cost)
{
    struct job_remote *m = j->remote;
    struct jobs *jobs = j->jobs;
    struct buf body = {0};
    struct amount balance = account_balance(jobs->s.account), want;
    uint64_t most = cost.mote > UINT64_MAX / CHANNEL_JOBS ? cost.mote : cost.mote * CHANNEL_JOBS;
    want = amount_of(most > CHANNEL_MIN_MOTE ? most : CHANNEL_MIN_MOTE);
    if (amount_compare(want, amount_of(balance.mote / 2)) > 0)
        want = amount_compare(cost, amount_of(balance.mote / 2)) > 0 ? cost : amount_of(balance.mote / 2);
    if (amount_compare(want, balance) >= 0) {
        char line[200], need[AMOUNT_TEXT_ROOM], have[AMOUNT_TEXT_ROOM];
        amount_print(want, need);
        amount_print(balance, have);
        snprintf(line, sizeof line,
                 "this answer may cost %s KITH and the node's account holds %s: send it some (kith status shows its "
                 "address)",
                 need, have);
        job_finish(j, ERR_FUNDS, line);
        return;
    }
    struct funding *f = mem_new(sizeof *f);
    *f = (struct funding){.jobs = jobs, .job = j->r.id};
    m->funding = true;
    j->r.state = JOB_FUNDING;
    if (m->channel) {
        struct tx_channel_topup top = {.channel = m->channel->head.id, .amount = want};
        tx_channel_topup_put(&body, &top);
        account_send(jobs->s.account, TX_CHANNEL_TOPUP, bytes_of_buf(&body), on_funded, f);
    } else {
        struct tx_channel_open open = {.provider = m->offer.provider, .model = j->r.model, .amount = want};
        tx_channel_open_put(&body, &open);
        account_send(jobs->s.account, TX_CHANNEL_OPEN, bytes_of_buf(&body), on_funded, f);
    }
    buf_clear(&body);
    job_changed(j);
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
                              .exclude_n = j->failed_n};
    const struct offer *o = offers_pick(jobs->s.offers, &need, host_wall_ms(jobs->s.host));
    if (!o) {
        no_offer(j, &need);
        return;
    }
    j->remote = mem_new(sizeof *j->remote);
    *j->remote = (struct job_remote){.job = j, .offer = *o, .channel = channel_for(jobs, o)};
    struct amount cost;
    CHECK(offer_cost(o->price_in, o->price_out, need.prompt_tokens, need.tokens_max, &cost));
    if (j->remote->channel && amount_compare(channel_left(j->remote->channel), cost) >= 0)
        open_stream(j);
    else
        fund(j, cost);
}
