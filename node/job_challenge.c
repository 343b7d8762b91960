/* Going to the ledger with an answer that is not the model's own: the receipt that the provider signed for it is
 * challenged before its settlement pays. The node's account puts up the bond.
 *
 *     asked -> replayed: the same? then no; else kept under 'g' and the job's id
 *           -> its channel settles (or has)  -> the receipt and its place in the settled tree -> challenge -> forgotten
 *
 * A settlement may pay within seconds, so the event of it is what is waited for, over restarts too. */
#include "node/job.h"

#include "base/log.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

struct grievance {
    struct jobs *jobs;
    struct grievance *next;
    struct hash job, channel;
    bool sending;
    job_challenged_fn fn; /* who waits for an answer; NULL: nobody any more */
    void *arg;
};

/* -- settlements -- */

static bool settlement_over(const struct jobs *jobs, const struct hash *channel, uint32_t index,
                            struct rec_settlement *out)
{
    struct rec_settlement rec;
    struct hash last;
    bool found = false;
    for (const struct hash *after = NULL; ledger_settlement_next(jobs->s.ledger, after, &rec); after = &last) {
        last = rec.id;
        if (hash_equal(&rec.channel, channel) && rec.count > index && (!found || rec.count < out->count)) {
            *out = rec;
            found = true;
        }
    }
    return found;
}

bool jobs_settlement(const struct jobs *jobs, const struct hash *channel, uint32_t index, struct rec_settlement *out)
{
    return index != CHANNEL_NO_JOB && settlement_over(jobs, channel, index, out);
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
    uint8_t key[KEY_SIZE];
    struct kv_batch batch = {0};
    key_of(key, &g->job);
    if (is_kept)
        kv_batch_put(&batch, bytes_of(key, sizeof key), (struct bytes){0});
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

static struct grievance *grievance_new(struct jobs *jobs, const struct job *j)
{
    struct grievance *g = mem_new(sizeof *g);
    *g = (struct grievance){.jobs = jobs, .next = jobs->grievances, .job = j->r.id, .channel = j->r.channel};
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

/* The receipt and its place in the tree that was settled. The channel may have grown since; a receipt that was open
 * then and went on has another leaf now, and the tree cannot be made again. */
static enum err prove(const struct jobs *jobs, const struct rec_settlement *s, uint32_t index, struct buf *receipt,
                      struct buf *proof, struct note *note)
{
    const struct channel *c = channel_list_find(&jobs->channels, &s->channel);
    if (c && s->count <= c->n) {
        struct channel settled = *c;
        settled.n = s->count;
        const struct sum_node leaf = sum_leaf(&c->receipts[index].receipt);
        if (channel_prove(&settled, index, proof) == ERR_OK &&
            sum_tree_verify(&s->receipts_root, s->count, index, &leaf, bytes_of_buf(proof))) {
            signed_receipt_put(receipt, &c->receipts[index]);
            return ERR_OK;
        }
    }
    return note_set(note, ERR_MISMATCH,
                    "the channel's receipts have changed since it was settled: their tree cannot be made again");
}

static void challenge(struct grievance *g, const struct rec_settlement *s, uint32_t index)
{
    struct jobs *jobs = g->jobs;
    struct buf receipt = {0}, proof = {0}, body = {0};
    struct note note = {{0}};
    enum err e = prove(jobs, s, index, &receipt, &proof, &note);
    if (e != ERR_OK)
        end(g, e, NULL, &note);
    else {
        struct sending *x = mem_new(sizeof *x);
        *x = (struct sending){jobs, g->job, {.is_sent = true, .settlement = s->id, .index = index}};
        const struct tx_challenge t = {s->id, index, bytes_of_buf(&receipt), bytes_of_buf(&proof)};
        tx_challenge_put(&body, &t);
        g->sending = true;
        account_send(jobs->s.account, TX_CHALLENGE, bytes_of_buf(&body), on_sent, x);
    }
    buf_clear(&receipt);
    buf_clear(&proof);
    buf_clear(&body);
}

/* As far as it can go now. */
static void go_on(struct grievance *g)
{
    const struct job *j = job_find(g->jobs, &g->job);
    struct rec_settlement s;
    struct note note;
    const uint32_t index = j ? job_receipt_index(j) : CHANNEL_NO_JOB;
    if (g->sending)
        return;
    if (index == CHANNEL_NO_JOB)
        end(g, note_set(&note, ERR_NOT_FOUND, "the job or its channel is not kept any more"), NULL, &note);
    else if (!settlement_over(g->jobs, &g->channel, index, &s))
        answer(g, ERR_OK, &(struct job_challenge){.index = index}, NULL);
    else if (s.state >= SETTLEMENT_PAID)
        end(g,
            note_set(&note, ERR_STATE, "its settlement is %s already: too late for a challenge",
                     s.state == SETTLEMENT_PAID ? "paid" : "forfeited"),
            NULL, &note);
    else if (s.round || s.challenge_bond.mote)
        end(g, note_set(&note, ERR_DUPLICATE, "its settlement is before the committees already"), NULL, &note);
    else
        challenge(g, &s, index);
}

void job_challenge_event(struct jobs *jobs, const struct ledger_event *e)
{
    for (struct grievance *g = jobs->grievances, *next; g && e->kind == LEDGER_SETTLED; g = next) {
        next = g->next;
        if (hash_equal(&g->channel, &e->other))
            go_on(g);
    }
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
    else if (v->same)
        refuse(x,
               note_set(&why, ERR_STATE,
                        "the answer is the model's own, bit by bit: a challenge would only lose its bond"),
               &why);
    else if (!j)
        refuse(x, note_set(&why, ERR_NOT_FOUND, "the job is not kept any more"), &why);
    else if (g)
        refuse(x, note_set(&why, ERR_DUPLICATE, "it is being challenged already"), &why);
    else {
        g = grievance_new(x->jobs, j);
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
    (void)value;
    if (key.n == KEY_SIZE) {
        memcpy(id.b, key.p + 1, sizeof id.b);
        struct job *j = job_find(jobs, &id);
        if (j)
            (void)grievance_new(jobs, j);
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
}

enum err job_challenge_load(struct jobs *jobs, struct note *note)
{
    enum err e = kv_scan(jobs->s.kv, bytes_of("g", 1), load_one, jobs, note);
    if (jobs->grievances)
        host_timer_set(jobs->s.host, &jobs->grievance_timer, 0, on_start, jobs);
    return e;
}

void job_challenge_clear(struct jobs *jobs)
{
    host_timer_cancel(jobs->s.host, &jobs->grievance_timer);
    while (jobs->grievances)
        grievance_free(jobs->grievances);
}
