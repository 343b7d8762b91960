/* What pays for a job: the channels that this node pays through, opened and topped up on the ledger.
 *
 * A channel holds enough for every job that runs over it, at its most expensive. One transaction at a time to one
 * provider for one model: jobs that come meanwhile wait for it and look again. */
#include "node/market/job.h"

#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "node/host/stored.h"

#include <stdio.h>
#include <stdlib.h>

#define CHANNEL_JOBS     16 /* a new channel holds this many times the job's greatest cost */
#define CHANNEL_MIN_MOTE 10000000u
#define FUND_TX_SIZE     256 /* opening a channel takes a little less, and so does a top-up */
#define FUND_TX_WORK     4

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
    const bool is_read = was && was->tokens_in >= prompt; /* else what is answered was answered by others */
    uint32_t in = is_read ? was->tokens_in : prompt + job_tokens_n(j), brought = in - prompt;
    if (!offer_cost(o->price_in, o->price_out, in, most > brought ? most - brought : 0, out))
        return false;
    if (was && amount_compare(*out, was->price) < 0)
        *out = was->price;
    return true;
}

/* What a job may still take from a channel: nothing where all of it is paid, and only its text is still made. */
static struct amount reserve(const struct job *j, const struct channel *c)
{
    struct amount left = {0};
    if (j->r.stop != JOB_STOP_NONE)
        return left;
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
            !amount_add(&sum, sum, reserve(o, j->remote->channel)))
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

/* A transaction that is on its way. It may outlive the job that it was sent for, and this process: its bytes are on the
 * disk before they leave, and a start goes on with them. Else others would have the first one in their pools still,
 * while this node opens a second channel. */
#define FUNDING_FIELDS(F) F(hash, job) F(hash, model) F(pubkey, provider) F(flag, is_topup) F(blob, tx)
RECORD_DECLARE(funding_record, FUNDING_FIELDS)
RECORD_DEFINE(funding_record, FUNDING_FIELDS)
#define FUNDING_KEY_SIZE (1 + sizeof(struct pubkey) + HASH_SIZE)

struct funding {
    struct jobs *jobs;
    struct funding *next;
    struct hash job, model;
    struct pubkey provider;
    bool is_topup;
};

static bool is_for(const struct funding *f, const struct job *j)
{
    return j->remote && hash_equal(&j->r.model, &f->model) && pubkey_equal(&j->remote->offer.provider, &f->provider);
}

static bool is_under_way(const struct job *j)
{
    for (const struct funding *f = j->jobs->fundings; f; f = f->next)
        if (is_for(f, j))
            return true;
    return false;
}

static void funding_free(struct funding *f)
{
    for (struct funding **at = &f->jobs->fundings; *at; at = &(*at)->next)
        if (*at == f) {
            *at = f->next;
            break;
        }
    free(f);
}

void job_fund_clear(struct jobs *jobs)
{
    while (jobs->fundings)
        funding_free(jobs->fundings);
}

/* Those who waited for that transaction look again. */
static void wake(const struct funding *f)
{
    struct jobs *jobs = f->jobs;
    for (struct job *j = jobs->first, *next; j; j = next) {
        next = j->next;
        if (!is_for(f, j) || !j->remote->waits)
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

/* Why the ledger did not take it says what else there is: an account that others emptied may do with less, in the place
 * of a channel that ended is another, and in that of a provider that is none any more. */
static void refused(struct job *j, const struct funding *f, enum err e, const char *why)
{
    if (e == ERR_FUNDS || (f->is_topup && (e == ERR_NOT_FOUND || e == ERR_STATE)))
        job_retry(j, e, why);
    else if (e == ERR_NOT_FOUND)
        job_remote_fail(j, e, why);
    else
        job_finish(j, e, why);
}

/* There is one at a time to each provider for each model. */
static void funding_key(const struct funding *f, uint8_t key[FUNDING_KEY_SIZE])
{
    key[0] = 'f';
    memcpy(key + 1, f->provider.b, sizeof f->provider.b);
    memcpy(key + 1 + sizeof f->provider.b, f->model.b, sizeof f->model.b);
}

static enum err keep_funding(void *arg, struct bytes tx)
{
    const struct funding *f = arg;
    const struct funding_record r = {f->job, f->model, f->provider, f->is_topup, tx};
    uint8_t key[FUNDING_KEY_SIZE];
    struct kv_batch batch = {0};
    struct buf value = {0};
    funding_key(f, key);
    funding_record_put(&value, &r);
    kv_batch_put(&batch, bytes_of(key, sizeof key), bytes_of_buf(&value));
    enum err e = kv_write(f->jobs->s.kv, &batch, true, NULL);
    kv_batch_clear(&batch);
    buf_clear(&value);
    return e;
}

/* Where it stays after all, a start finds that the ledger has it. */
static void forget_funding(const struct funding *f)
{
    uint8_t key[FUNDING_KEY_SIZE];
    struct kv_batch batch = {0};
    funding_key(f, key);
    kv_batch_delete(&batch, bytes_of(key, sizeof key));
    if (kv_write(f->jobs->s.kv, &batch, false, NULL) != ERR_OK)
        log_event(LOG_ODD, "jobs", "a funding stays", "the store refused to drop it");
    kv_batch_clear(&batch);
}

static void on_funded(void *arg, enum err e, const struct hash *id, const struct note *note)
{
    const struct funding f = *(struct funding *)arg;
    struct job *j = job_find(f.jobs, &f.job);
    (void)id;
    forget_funding(&f);
    funding_free(arg);
    job_remote_adopt(f.jobs);
    bool waited = j && j->remote && j->remote->funding;
    if (waited && e == ERR_OK)
        go_on(j);
    else if (waited)
        refused(j, &f, e, note && note->text[0] ? note->text : "the ledger refused to open a channel");
    wake(&f);
}

static struct funding *funding_add(struct jobs *jobs, const struct funding *from)
{
    struct funding *f = mem_new(sizeof *f);
    *f = *from;
    f->jobs = jobs;
    f->next = jobs->fundings;
    return jobs->fundings = f;
}

static void send_funds(struct job *j, struct amount amount)
{
    struct job_remote *m = j->remote;
    struct buf body = {0};
    struct funding *f = funding_add(j->jobs, &(struct funding){.job = j->r.id,
                                                               .model = j->r.model,
                                                               .provider = m->offer.provider,
                                                               .is_topup = m->channel != NULL});
    m->funding = true;
    if (m->channel) {
        struct tx_channel_topup top = {.channel = m->channel->head.id, .amount = amount};
        tx_channel_topup_put(&body, &top);
        account_send_kept(j->jobs->s.account, TX_CHANNEL_TOPUP, bytes_of_buf(&body), keep_funding, on_funded, f);
    } else {
        struct tx_channel_open open = {.provider = m->offer.provider, .model = j->r.model, .amount = amount};
        tx_channel_open_put(&body, &open);
        account_send_kept(j->jobs->s.account, TX_CHANNEL_OPEN, bytes_of_buf(&body), keep_funding, on_funded, f);
    }
    buf_clear(&body);
}

/* Into a list first: the store is not written while it is scanned. */
struct resumed {
    struct jobs *jobs;
    struct buf records;
};

static bool read_funding(void *arg, struct bytes key, struct bytes value)
{
    struct resumed *l = arg;
    uint32_t n = (uint32_t)value.n;
    (void)key;
    codec_put_u32(&l->records, &n);
    buf_add(&l->records, value.p, value.n);
    return true;
}

enum err job_fund_load(struct jobs *jobs, struct note *note)
{
    struct resumed l = {.jobs = jobs};
    enum err e = kv_scan(jobs->s.kv, bytes_of("f", 1), read_funding, &l, note);
    struct cursor all = cursor_of(bytes_of_buf(&l.records));
    while (e == ERR_OK && all.n) {
        struct funding_record r;
        uint32_t n;
        codec_get_u32(&all, &n);
        struct cursor c = cursor_of(bytes_of(all.p, n));
        all.p += n;
        all.n -= n;
        funding_record_get(&c, &r);
        if (!cursor_end(&c)) {
            e = stored_broken(note, "transaction for a channel to", bytes_of(r.provider.b, sizeof r.provider.b));
            break;
        }
        struct funding *f = funding_add(
            jobs, &(struct funding){.job = r.job, .model = r.model, .provider = r.provider, .is_topup = r.is_topup});
        if (account_resume(jobs->s.account, r.tx, keep_funding, on_funded, f) != ERR_OK) {
            forget_funding(f);
            funding_free(f);
        }
    }
    buf_clear(&l.records);
    return e;
}

/* What the account can put into a channel: the transaction costs something, too. */
static struct amount spendable(const struct jobs *jobs)
{
    struct amount out = {0}, fee = tx_fee_offer(ledger_fee(jobs->s.ledger, FUND_TX_SIZE, FUND_TX_WORK));
    return amount_sub(&out, account_balance(jobs->s.account), fee) ? out : amount_of(0);
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
    struct amount cost = m->channel ? lack(j) : m->cost_max, balance = spendable(j->jobs), want;
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
    if (amount_compare(want, balance) > 0) {
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
    if (c->is_given_up)
        return;
    log_event(LOG_ODD, "jobs", "channel given up", "receipts=%u", c->n);
    c->is_given_up = true;
    tx_channel_close_put(&body, &(struct tx_channel_close){.channel = c->head.id});
    account_send(j->jobs->s.account, TX_CHANNEL_CLOSE, bytes_of_buf(&body), NULL, NULL);
    buf_clear(&body);
}
