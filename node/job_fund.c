/* What pays for a job: the channels that this node pays through, opened and topped up on the ledger.
 *
 * A channel holds enough for every job that runs over it, at its most expensive. One transaction at a time to one
 * provider for one model: jobs that come meanwhile wait for it and look again. */
#include "node/job.h"

#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

#define CHANNEL_JOBS     16 /* a new channel holds this many times the job's greatest cost */
#define CHANNEL_MIN_MOTE 10000000u

/* -- channels -- */

static void refresh(struct jobs *jobs, const struct rec_channel *rec)
{
    struct channel *c = channel_list_refresh(&jobs->channels, &jobs->s.chain, rec);
    c->head.closed = rec->closes_ms != 0;
}

void job_remote_adopt(struct jobs *jobs)
{
    struct rec_channel rec;
    for (size_t i = 0; i < jobs->channels.n; i++)
        jobs->channels.at[i]->head.closed = true; /* unless the ledger still has it */
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
    struct channel *c = channel_list_find(&jobs->channels, id);
    if (ledger_channel(jobs->s.ledger, id, &rec)) {
        if (pubkey_equal(&rec.payer, &jobs->s.self))
            refresh(jobs, &rec);
    } else if (c)
        c->head.closed = true;
}

struct channel *job_channel_for(const struct job *j, const struct offer *o)
{
    struct channel *best = NULL;
    for (size_t i = 0; i < j->jobs->channels.n; i++) {
        struct channel *c = j->jobs->channels.at[i];
        if (c->head.closed || c->is_given_up || !pubkey_equal(&c->head.provider, &o->provider) ||
            !hash_equal(&c->head.model, &o->model))
            continue;
        if (channel_find_job(c, &j->r.paid_id) != CHANNEL_NO_JOB)
            return c; /* what was paid counts there */
        if (c->n < RECEIPTS_MAX && (!best || amount_compare(channel_left(c), channel_left(best)) > 0))
            best = c;
    }
    return best;
}

uint32_t job_receipt_index(const struct job *j)
{
    const struct channel *c = channel_list_find(&j->jobs->channels, &j->r.channel);
    return c ? channel_find_job(c, &j->r.paid_id) : CHANNEL_NO_JOB;
}

/* -- costs -- */

struct amount job_cost(const struct job *j, const struct channel *except)
{
    struct amount sum = {0};
    for (size_t i = 0; i < j->jobs->channels.n; i++) {
        const struct channel *c = j->jobs->channels.at[i];
        uint32_t at = c == except ? CHANNEL_NO_JOB : channel_find_job(c, &j->r.paid_id);
        if (at != CHANNEL_NO_JOB)
            (void)!amount_add(&sum, sum, c->receipts[at].receipt.price);
    }
    return sum;
}

bool job_channel_cost(const struct job *j, const struct offer *o, const struct channel *c, struct amount *out)
{
    uint32_t at = c ? channel_find_job(c, &j->r.paid_id) : CHANNEL_NO_JOB;
    const struct receipt *was = at == CHANNEL_NO_JOB ? NULL : &c->receipts[at].receipt;
    uint32_t prompt = job_prompt_n(j), most = job_tokens_max(j);
    uint32_t in = was ? was->tokens_in : prompt + job_tokens_n(j), brought = in - prompt;
    if (!offer_cost(o->price_in, o->price_out, in, most > brought ? most - brought : 0, out))
        return false;
    if (was && amount_compare(*out, was->price) < 0)
        *out = was->price;
    return true;
}

/* What a job may still take from a channel. */
static struct amount reserve(const struct job *j, const struct channel *c)
{
    struct amount left = {0};
    uint32_t at = channel_find_job(c, &j->r.paid_id);
    struct amount paid = at == CHANNEL_NO_JOB ? left : c->receipts[at].receipt.price;
    return amount_sub(&left, j->remote->cost_max, paid) ? left : amount_of(0);
}

/* What every other job may still take from it. */
static struct amount reserved(const struct job *j)
{
    struct amount sum = {0};
    for (const struct job *o = j->jobs->first; o; o = o->next)
        if (o != j && o->remote && o->remote->channel == j->remote->channel && o->remote->stream &&
            o->r.state < JOB_DONE && !amount_add(&sum, sum, reserve(o, j->remote->channel)))
            return amount_of(UINT64_MAX);
    return sum;
}

/* How much is missing for this job. */
static struct amount lack(const struct job *j)
{
    struct amount need = reserved(j), short_of = {0};
    if (!amount_add(&need, need, reserve(j, j->remote->channel)))
        return amount_of(UINT64_MAX);
    return amount_sub(&short_of, need, channel_left(j->remote->channel)) ? short_of : amount_of(0);
}

bool job_is_funded(const struct job *j)
{
    return j->remote->channel && lack(j).mote == 0;
}

/* -- funding -- */

struct funding {
    struct jobs *jobs;
    struct hash job, model;
    struct pubkey provider;
};

static bool same_channel(const struct job *j, const struct hash *model, const struct pubkey *provider)
{
    return j->remote && hash_equal(&j->r.model, model) && pubkey_equal(&j->remote->offer.provider, provider);
}

/* Those who waited for that transaction look again. */
static void wake(struct jobs *jobs, const struct funding *f)
{
    for (struct job *j = jobs->first, *next; j; j = next) {
        next = j->next;
        if (!same_channel(j, &f->model, &f->provider) || !j->remote->waits)
            continue;
        job_remote_stop(j);
        job_route(j);
    }
}

static void go_on(struct job *j)
{
    j->remote->funding = false;
    j->remote->channel = job_channel_for(j, &j->remote->offer);
    if (job_is_funded(j))
        job_remote_open(j);
    else
        job_retry(j, ERR_STATE, "the channel is not on the ledger yet");
}

static void on_funded(void *arg, enum err e, const struct hash *id, const struct note *note)
{
    struct funding *f = arg;
    struct jobs *jobs = f->jobs;
    struct job *j = job_find(jobs, &f->job);
    (void)id;
    job_remote_adopt(jobs);
    bool waited = j && j->remote && j->remote->funding;
    if (waited && e == ERR_OK)
        go_on(j);
    else if (waited)
        job_finish(j, e, note && note->text[0] ? note->text : "the ledger refused to open a channel");
    wake(jobs, f);
    free(f);
}

static void send_funds(struct job *j, struct amount amount)
{
    struct job_remote *m = j->remote;
    struct buf body = {0};
    struct funding *f = mem_new(sizeof *f);
    *f = (struct funding){.jobs = j->jobs, .job = j->r.id, .model = j->r.model, .provider = m->offer.provider};
    m->funding = true;
    if (m->channel) {
        struct tx_channel_topup top = {.channel = m->channel->head.id, .amount = amount};
        tx_channel_topup_put(&body, &top);
        account_send(j->jobs->s.account, TX_CHANNEL_TOPUP, bytes_of_buf(&body), on_funded, f);
    } else {
        struct tx_channel_open open = {.provider = m->offer.provider, .model = j->r.model, .amount = amount};
        tx_channel_open_put(&body, &open);
        account_send(j->jobs->s.account, TX_CHANNEL_OPEN, bytes_of_buf(&body), on_funded, f);
    }
    buf_clear(&body);
}

static bool is_under_way(const struct job *j)
{
    for (const struct job *o = j->jobs->first; o; o = o->next)
        if (o != j && same_channel(o, &j->r.model, &j->remote->offer.provider) && o->remote->funding)
            return true;
    return false;
}

static void refuse(struct job *j, struct amount want, struct amount balance)
{
    char line[200], need[AMOUNT_TEXT_ROOM], have[AMOUNT_TEXT_ROOM];
    amount_print(want, need);
    amount_print(balance, have);
    snprintf(line, sizeof line,
             "this answer may cost %s KITH and the node's account holds %s: send it some (kith status shows its "
             "address)",
             need, have);
    job_finish(j, ERR_FUNDS, line);
}

/* A channel with room for this job at its most expensive, and for some more after it. */
void job_fund(struct job *j)
{
    struct job_remote *m = j->remote;
    struct amount cost = m->channel ? lack(j) : m->cost_max, balance = account_balance(j->jobs->s.account), want;
    j->r.state = JOB_FUNDING;
    if (is_under_way(j)) {
        m->waits = true;
        job_changed(j);
        return;
    }
    uint64_t most = cost.mote > UINT64_MAX / CHANNEL_JOBS ? cost.mote : cost.mote * CHANNEL_JOBS;
    want = amount_of(most > CHANNEL_MIN_MOTE ? most : CHANNEL_MIN_MOTE);
    if (amount_compare(want, amount_of(balance.mote / 2)) > 0)
        want = amount_compare(cost, amount_of(balance.mote / 2)) > 0 ? cost : amount_of(balance.mote / 2);
    if (amount_compare(want, balance) >= 0) {
        refuse(j, want, balance);
        return;
    }
    send_funds(j, want);
    job_changed(j);
}

void job_give_up_channel(struct job *j)
{
    struct channel *c = j->remote->channel;
    struct buf body = {0};
    log_event(LOG_ODD, "jobs", "channel given up", "receipts=%u", c->n);
    c->is_given_up = true;
    tx_channel_close_put(&body, &(struct tx_channel_close){.channel = c->head.id});
    account_send(j->jobs->s.account, TX_CHANNEL_CLOSE, bytes_of_buf(&body), NULL, NULL);
    buf_clear(&body);
}
