/* Going to the ledger with an answer that is not the model's own: the receipt that the provider signed for it is
 * challenged before its settlement pays. The node's account puts up the bond.
 *
 *     asked -> replayed: the same? then no; else kept under 'g' and the job's id, with where it differs
 *           -> its channel settles (or has)  -> the receipt as it was settled, and its place in that tree
 *           -> is what differs in it?        -> challenge -> forgotten; else the next settlement is waited for
 *
 * A settlement may pay within seconds, so the event of it is what is waited for, over restarts too. */
#include "node/market/job.h"

#include "base/log.h"
#include "base/mem.h"
#include "node/pay/channel_past.h"

#include <stdlib.h>
#include <string.h>

struct grievance {
    struct jobs *jobs;
    struct grievance *next;
    struct hash job, channel;
    uint32_t position; /* of the first token that differs; behind the last one: of the digest, or the end, alone */
    bool sending;
    job_challenged_fn fn; /* who waits for an answer; NULL: nobody any more */
    void *arg;
};

/* -- settlements -- */

bool jobs_settlement(const struct jobs *jobs, const struct hash *channel, uint32_t index, struct rec_settlement *out)
{
    size_t at = 0;
    return index != CHANNEL_NO_JOB && settled_next(&jobs->settled, jobs->s.ledger, channel, index, &at, out);
}

/* -- what is kept -- */

#define KEY_SIZE 33
static void key_of(uint8_t key[KEY_SIZE], const struct hash *job)
{
    key[0] = 'g';
    memcpy(key + 1, job->b, sizeof job->b);
}

static enum err keep(struct grievance *g, bool is_kept)
{
    uint8_t key[KEY_SIZE], position[4];
    struct kv_batch batch = {0};
    key_of(key, &g->job);
    store_le32(position, g->position);
    if (is_kept)
        kv_batch_put(&batch, bytes_of(key, sizeof key), bytes_of(position, sizeof position));
    else
        kv_batch_delete(&batch, bytes_of(key, sizeof key));
    enum err e = kv_write(g->jobs->s.kv, &batch, true, NULL);
    kv_batch_clear(&batch);
    return e;
}

static struct grievance *grievance_find(struct jobs *jobs, const struct hash *job)
{
    struct grievance *g = jobs->grievances;
    while (g && !hash_equal(&g->job, job))
        g = g->next;
    return g;
}

static struct grievance *grievance_new(struct jobs *jobs, const struct job *j, uint32_t position)
{
    struct grievance *g = mem_new(sizeof *g);
    *g = (struct grievance){
        .jobs = jobs, .next = jobs->grievances, .job = j->r.id, .channel = j->r.channel, .position = position};
    jobs->grievances = g;
    return g;
}

static void grievance_free(struct grievance *g)
{
    for (struct grievance **at = &g->jobs->grievances; *at; at = &(*at)->next)
        if (*at == g) {
            *at = g->next;
            break;
        }
    free(g);
}

static void answer(struct grievance *g, enum err e, const struct job_challenge *c, const struct note *note)
{
    job_challenged_fn fn = g->fn;
    g->fn = NULL;
    if (fn)
        fn(g->arg, e, c, note);
}

/* It came to an end, this way or that. */
static void end(struct grievance *g, enum err e, const struct job_challenge *c, const struct note *note)
{
    if (e != ERR_OK)
        log_event(LOG_ODD, "jobs", "not challenged", "why=%s", note->text);
    answer(g, e, c, note);
    if (keep(g, false) != ERR_OK)
        log_event(LOG_ODD, "jobs", "challenge not forgotten", "the store refused it");
    grievance_free(g);
}

/* -- challenging -- */

struct sending {
    struct jobs *jobs;
    struct hash job;
    struct job_challenge c;
};

static void on_sent(void *arg, enum err e, const struct hash *id, const struct note *note)
{
    struct sending *x = arg;
    struct grievance *g = grievance_find(x->jobs, &x->job);
    if (e == ERR_OK) {
        x->c.tx = *id;
        log_event(LOG_INFO, "jobs", "challenged", "index=%u", x->c.index);
    }
    if (g)
        end(g, e, &x->c, note);
    free(x);
}

static void challenge(struct grievance *g, const struct rec_settlement *s, uint32_t index,
                      const struct signed_receipt *r, struct bytes proof)
{
    struct jobs *jobs = g->jobs;
    struct buf receipt = {0}, body = {0};
    struct sending *x = mem_new(sizeof *x);
    signed_receipt_put(&receipt, r);
    *x = (struct sending){jobs, g->job, {.is_sent = true, .settlement = s->id, .index = index}};
    const struct tx_challenge t = {s->id, index, bytes_of_buf(&receipt), proof};
    tx_challenge_put(&body, &t);
    g->sending = true;
    account_send(jobs->s.account, TX_CHALLENGE, bytes_of_buf(&body), on_sent, x);
    buf_clear(&receipt);
    buf_clear(&body);
}

/* A grievance against all settlements that its receipt is in: as it was then, since it may have been open. */
struct hearing {
    struct grievance *g;
    const struct job *job;
    const struct channel *channel;
    uint32_t index;
    bool is_whole; /* one was over the receipt as it is now: nothing more comes */
    enum err e;    /* why not, of the last one that was no use */
    struct note note;
};

/* Is what differs in that part of the answer? A digest that differs by itself is seen in the whole alone. */
static bool shows_fault(const struct hearing *h, const struct receipt *r)
{
    const uint64_t all = (uint64_t)r->tokens_in + r->tokens_out, prompt = job_prompt_n(h->job);
    return (all > prompt && all - prompt > h->g->position) || receipt_equal(r, &h->channel->receipts[h->index].receipt);
}

/* True: challenged. */
static bool hear(struct hearing *h, const struct rec_settlement *s)
{
    struct signed_receipt r;
    struct buf proof = {0};
    enum err e = channel_past_find(h->g->jobs->s.kv, h->channel, s, h->index, &r, &proof);
    bool shown = e == ERR_OK && shows_fault(h, &r.receipt), challenged = false;
    h->is_whole |= e == ERR_OK && receipt_equal(&r.receipt, &h->channel->receipts[h->index].receipt);
    if (e == ERR_OK && !shown)
        h->e = note_set(&h->note, ERR_STATE, "what was settled of this answer is the model's own");
    else if (s->state >= SETTLEMENT_PAID)
        h->e = note_set(&h->note, ERR_STATE, "its settlement is %s already: too late for a challenge",
                        s->state == SETTLEMENT_PAID ? "paid" : "forfeited");
    else if (s->round || s->challenge_bond.mote)
        h->e = note_set(&h->note, ERR_DUPLICATE, "its settlement is before the committees already");
    else if (e != ERR_OK)
        h->e = note_set(&h->note, ERR_MISMATCH,
                        "the tree that was settled is older than what is remembered of the channel's receipts");
    else {
        challenge(h->g, s, h->index, &r, bytes_of_buf(&proof));
        challenged = true;
    }
    buf_clear(&proof);
    return challenged;
}

/* Each settlement begins with the last receipt of the one before. */
static bool may_settle(const struct jobs *jobs, const struct hash *channel, uint32_t index)
{
    struct rec_channel rec;
    return ledger_channel(jobs->s.ledger, channel, &rec) && index + 1 >= rec.receipts;
}

/* As far as it can go now. */
static void go_on(struct grievance *g)
{
    struct jobs *jobs = g->jobs;
    struct rec_settlement s;
    size_t at = 0;
    struct hearing h = {.g = g, .job = job_find(jobs, &g->job), .index = CHANNEL_NO_JOB};
    if (g->sending)
        return;
    if (h.job)
        h.index = job_receipt_index(h.job);
    if (h.index == CHANNEL_NO_JOB) {
        end(g, note_set(&h.note, ERR_NOT_FOUND, "the job or its channel is not kept any more"), NULL, &h.note);
        return;
    }
    h.channel = channel_list_find(&jobs->channels, &g->channel);
    while (settled_next(&jobs->settled, jobs->s.ledger, &g->channel, h.index, &at, &s))
        if (hear(&h, &s))
            return;
    if (!h.is_whole && may_settle(jobs, &g->channel, h.index))
        answer(g, ERR_OK, &(struct job_challenge){.index = h.index}, NULL);
    else if (h.e != ERR_OK)
        end(g, h.e, NULL, &h.note);
    else
        end(g, note_set(&h.note, ERR_STATE, "its channel ended, and nothing was settled for this answer"), NULL,
            &h.note);
}

bool job_is_challenged(const struct job *j)
{
    const struct grievance *g = j->jobs->grievances;
    while (g && !hash_equal(&g->job, &j->r.id))
        g = g->next;
    return g != NULL;
}

/* What nothing can be challenged with any more: nothing of the channel is in escrow, and older vouchers settle nothing.
 */
static void forget(struct jobs *jobs, const struct hash *channel)
{
    struct rec_channel rec;
    if (!channel_list_find(&jobs->channels, channel) || ledger_channel_in_escrow(jobs->s.ledger, channel))
        return;
    bool is_there = ledger_channel(jobs->s.ledger, channel, &rec);
    channel_past_drop(jobs->s.kv, channel, is_there ? rec.tokens_in + rec.tokens_out : UINT64_MAX);
}

void job_challenge_event(struct jobs *jobs, const struct ledger_event *e)
{
    struct rec_settlement s;
    if (e->kind == LEDGER_SETTLED)
        settled_add(&jobs->settled, jobs->s.ledger, &jobs->s.self, &e->id);
    bool settled = e->kind == LEDGER_SETTLED || e->kind == LEDGER_CHANNEL_CLOSED;
    const struct hash *channel = e->kind == LEDGER_SETTLED ? &e->other : &e->id;
    for (struct grievance *g = jobs->grievances, *next; settled && g; g = next) {
        next = g->next;
        if (hash_equal(&g->channel, channel))
            go_on(g);
    }
    bool over = e->kind == LEDGER_FORFEITED || (e->kind == LEDGER_PAYOUT && e->code == PAYOUT_PROVIDER);
    if (over && ledger_settlement(jobs->s.ledger, &e->id, &s))
        forget(jobs, &s.channel);
    else if (e->kind == LEDGER_CHANNEL_CLOSED)
        forget(jobs, &e->id);
}

/* -- asking for it -- */

struct asking {
    struct jobs *jobs;
    struct hash job;
    job_challenged_fn fn;
    void *arg;
    enum err e; /* of one that is refused before anything is replayed */
    struct note note;
};

static void refuse(struct asking *x, enum err e, const struct note *note)
{
    x->fn(x->arg, e, NULL, note);
}

static void on_replayed(void *arg, enum err e, const struct job_verdict *v, const struct note *note)
{
    struct asking *x = arg;
    struct job *j = job_find(x->jobs, &x->job);
    struct grievance *g = grievance_find(x->jobs, &x->job);
    struct note why = {{0}};
    if (e != ERR_OK)
        refuse(x, e, note);
    else if (v->same && v->ends)
        refuse(x,
               note_set(&why, ERR_STATE,
                        "the answer is the model's own, bit by bit: a challenge would only lose its bond"),
               &why);
    else if (!j)
        refuse(x, note_set(&why, ERR_NOT_FOUND, "the job is not kept any more"), &why);
    else if (g)
        refuse(x, note_set(&why, ERR_DUPLICATE, "it is being challenged already"), &why);
    else {
        g = grievance_new(x->jobs, j, v->position);
        g->fn = x->fn;
        g->arg = x->arg;
        e = keep(g, true);
        if (e == ERR_OK)
            go_on(g);
        else
            end(g, note_set(&why, e, "the challenge cannot be kept"), NULL, &why);
    }
    free(x);
}

static void on_refused(void *arg)
{
    struct asking *x = arg;
    refuse(x, x->e, &x->note);
    free(x);
}

void jobs_challenge(struct jobs *jobs, const struct hash *id, job_challenged_fn fn, void *arg)
{
    const struct job *j = job_find(jobs, id);
    struct asking *x = mem_new(sizeof *x);
    *x = (struct asking){.jobs = jobs, .job = *id, .fn = fn, .arg = arg};
    if (j && (j->r.local || job_receipt_index(j) == CHANNEL_NO_JOB)) {
        x->e = note_set(&x->note, ERR_STATE, "nobody was paid for this answer: there is no receipt to challenge");
        host_post(jobs->s.host, on_refused, x);
    } else
        jobs_verify(jobs, id, on_replayed, x);
}

/* -- the whole -- */

static bool load_one(void *arg, struct bytes key, struct bytes value)
{
    struct jobs *jobs = arg;
    struct hash id;
    if (key.n == KEY_SIZE && value.n == 4) {
        memcpy(id.b, key.p + 1, sizeof id.b);
        struct job *j = job_find(jobs, &id);
        if (j)
            (void)grievance_new(jobs, j, load_le32(value.p));
    }
    return true;
}

static void on_start(void *arg)
{
    struct jobs *jobs = arg;
    for (struct grievance *g = jobs->grievances, *next; g; g = next) {
        next = g->next;
        go_on(g);
    }
    job_plant_load(jobs);
}

enum err job_challenge_load(struct jobs *jobs, struct note *note)
{
    enum err e = kv_scan(jobs->s.kv, bytes_of("g", 1), load_one, jobs, note);
    settled_read(&jobs->settled, jobs->s.ledger, &jobs->s.self);
    if (jobs->grievances || jobs->s.planting)
        host_timer_set(jobs->s.host, &jobs->grievance_timer, 0, on_start, jobs);
    return e;
}

void job_challenge_block(struct jobs *jobs)
{
    settled_block(&jobs->settled, jobs->s.ledger, &jobs->s.self);
}

void job_challenge_clear(struct jobs *jobs)
{
    host_timer_cancel(jobs->s.host, &jobs->grievance_timer);
    settled_clear(&jobs->settled);
    while (jobs->grievances)
        grievance_free(jobs->grievances);
}
