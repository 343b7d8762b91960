/* Jobs on disk: one record each under 'j' and the id, written whole, and all of them in memory. The oldest finished
 * ones beyond what is to be kept (struct job_limits) are dropped: at the start, as others are made, and every minute.
 * One whose answer may still be challenged stays, up to twice the limits: whoever never settles shall not fill the
 * disk. */
#include "node/market/job.h"

#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "node/pay/channel_past.h"
#include "node/pay/escrow.h"
#include "node/host/stored.h"

#include <stdlib.h>
#include <string.h>

#define KEEP_EVERY_MS 60000

RECORD_DEFINE(job_record, JOB_RECORD_FIELDS)

struct job *job_new(struct jobs *jobs)
{
    struct job *j = mem_new(sizeof *j);
    j->jobs = jobs;
    j->told_state = JOB_STATE_NONE;
    j->next = jobs->first;
    jobs->first = j;
    jobs->n++;
    return j;
}

void job_free(struct job *j)
{
    for (struct job **at = &j->jobs->first; *at; at = &(*at)->next)
        if (*at == j) {
            *at = j->next;
            j->jobs->n--;
            break;
        }
    host_timer_cancel(j->jobs->s.host, &j->timer);
    host_timer_cancel(j->jobs->s.host, &j->turn);
    host_timer_cancel(j->jobs->s.host, &j->look);
    buf_clear(&j->input);
    buf_clear(&j->tools);
    buf_clear(&j->variables);
    buf_clear(&j->call_schema);
    buf_clear(&j->request);
    buf_clear(&j->tokens);
    buf_clear(&j->text);
    buf_clear(&j->reaches);
    buf_clear(&j->marks);
    buf_clear(&j->logprobs);
    free(j);
}

void job_key(uint8_t key[JOB_KEY_SIZE], char letter, const struct hash *id)
{
    key[0] = (uint8_t)letter;
    memcpy(key + 1, id->b, sizeof id->b);
}

void job_put(struct job *j, struct kv_batch *batch)
{
    uint8_t key[JOB_KEY_SIZE];
    struct buf value = {0};
    j->r.input = bytes_of_buf(&j->input);
    j->r.tools = bytes_of_buf(&j->tools);
    j->r.request = bytes_of_buf(&j->request);
    j->r.tokens = bytes_of_buf(&j->tokens);
    j->r.text = bytes_of_buf(&j->text);
    job_key(key, 'j', &j->r.id);
    job_record_put(&value, &j->r);
    kv_batch_put(batch, bytes_of(key, sizeof key), bytes_of_buf(&value));
    buf_clear(&value);
    job_talk_put(j, batch);
    job_how_put(j, batch);
    job_form_put(j, batch);
    job_salts_put(j, batch);
}

void job_delete(const struct job *j, struct kv_batch *batch)
{
    uint8_t key[JOB_KEY_SIZE];
    job_key(key, 'j', &j->r.id);
    kv_batch_delete(batch, bytes_of(key, sizeof key));
    job_talk_delete(j, batch);
    job_how_delete(j, batch);
    job_form_delete(j, batch);
    job_salts_delete(j, batch);
}

enum err job_save(struct job *j)
{
    struct kv_batch batch = {0};
    job_put(j, &batch);
    enum err e = kv_write(j->jobs->s.kv, &batch, !j->r.local, NULL);
    kv_batch_clear(&batch);
    if (e != ERR_OK)
        log_event(LOG_ODD, "jobs", "not saved", "error=%s", err_name(e));
    return e;
}

struct load {
    struct jobs *jobs;
    struct note *note;
    enum err e;
};

/* What job_get_request and the tokens' readers rely on. */
static bool is_whole(struct bytes value, struct job_record *r)
{
    struct request request;
    struct cursor c = cursor_of(value);
    job_record_get(&c, r);
    if (!cursor_end(&c))
        return false;
    struct cursor inner = cursor_of(r->request);
    request_get(&inner, &request);
    return cursor_end(&inner) && r->tokens.n % 4 == 0 && r->state <= JOB_FAILED;
}

static bool load_one(void *arg, struct bytes key, struct bytes value)
{
    struct load *l = arg;
    struct job_record r;
    if (!is_whole(value, &r)) {
        l->e = stored_broken(l->note, "job", bytes_of(key.p + 1, key.n - 1));
        return false;
    }
    struct job *j = job_new(l->jobs);
    j->r = r;
    buf_add(&j->input, r.input.p, r.input.n);
    buf_add(&j->tools, r.tools.p, r.tools.n);
    buf_add(&j->request, r.request.p, r.request.n);
    buf_add(&j->tokens, r.tokens.p, r.tokens.n);
    buf_add(&j->text, r.text.p, r.text.n);
    j->told_state = r.state; /* before the last start */
    j->text_shown = r.state >= JOB_DONE ? job_showable(j, &j->text, true) : 0;
    return true;
}

static int by_age(const void *a, const void *b)
{
    const struct job *x = *(struct job *const *)a, *y = *(struct job *const *)b;
    return (x->r.made_ms > y->r.made_ms) - (x->r.made_ms < y->r.made_ms);
}

/* The list is newest first; a scan gives the order of ids. */
static void sort_by_age(struct jobs *jobs)
{
    unsigned n = jobs->n, i = 0;
    struct job **all = mem_array(n, sizeof *all);
    for (struct job *j = jobs->first; j; j = j->next)
        all[i++] = j;
    qsort(all, n, sizeof *all, by_age);
    jobs->first = NULL;
    for (i = 0; i < n; i++) {
        all[i]->next = jobs->first;
        jobs->first = all[i];
    }
    free(all);
}

static size_t bytes_of_job(const struct job *j)
{
    return sizeof *j + j->input.n + j->tools.n + j->variables.n + j->call_schema.n + j->request.n + j->tokens.n +
           j->text.n + j->reaches.n + j->marks.n + j->logprobs.n;
}

/* What is in escrow, read when somebody first asks. */
struct dropping {
    struct jobs *jobs;
    struct escrow escrow;
    bool is_read;
};

static bool may_be_challenged(struct dropping *d, const struct job *j)
{
    uint32_t at = hash_is_zero(&j->r.channel) ? CHANNEL_NO_JOB : job_receipt_index(j);
    if (job_is_challenged(j))
        return true;
    if (at == CHANNEL_NO_JOB)
        return false;
    if (!d->is_read)
        escrow_read(&d->escrow, d->jobs->s.ledger, &d->jobs->s.self);
    d->is_read = true;
    return escrow_may_ask(&d->escrow, d->jobs->s.ledger, &j->r.channel, at);
}

bool job_is_at_rest(const struct job *j)
{
    return j->r.state >= JOB_DONE && !j->watches && !j->ask && !j->text_ask && !j->remote;
}

static bool is_old(const struct job *j, uint64_t age_ms, uint64_t now_ms)
{
    return age_ms && now_ms > j->r.made_ms && now_ms - j->r.made_ms > age_ms;
}

void job_drop_old(struct jobs *jobs, const struct job_limits *most)
{
    struct dropping d = {.jobs = jobs};
    struct kv_batch batch = {0};
    const uint64_t now_ms = host_wall_ms(jobs->s.host);
    uint64_t n = 0, bytes = 0;
    for (struct job *j = jobs->first, *next; j; j = next) {
        next = j->next;
        n++;
        bytes += bytes_of_job(j);
        bool is_over = n > most->jobs || bytes > most->bytes;
        if (!job_is_at_rest(j) || !(is_over || is_old(j, most->age_ms, now_ms)))
            continue;
        if ((n + 1) / 2 <= most->jobs && bytes / 2 <= most->bytes && may_be_challenged(&d, j))
            continue;
        job_delete(j, &batch);
        n--;
        bytes -= bytes_of_job(j);
        job_free(j);
    }
    if (batch.count && kv_write(jobs->s.kv, &batch, false, NULL) != ERR_OK)
        log_event(LOG_ODD, "jobs", "old jobs stay", "the store refused to drop them");
    kv_batch_clear(&batch);
    escrow_clear(&d.escrow);
}

/* -- channels that are over -- */

static bool is_used(const struct jobs *jobs, const struct channel *c)
{
    for (const struct job *j = jobs->first; j; j = j->next)
        if ((j->remote && j->remote->channel == c) || channel_find_job(c, &j->r.paid_id) != CHANNEL_NO_JOB)
            return true;
    return false;
}

static void forget_channel(struct jobs *jobs, struct channel *c)
{
    struct kv_batch batch = {0};
    channel_past_drop(jobs->s.kv, &c->head.id, UINT64_MAX);
    channel_forget(c, MARKET_SIDE_REQUESTER, &batch);
    if (kv_write(jobs->s.kv, &batch, false, NULL) == ERR_OK)
        channel_list_remove(&jobs->channels, c);
    kv_batch_clear(&batch);
}

/* One a call: where more than CHANNELS_OVER_KEPT have come to their end, with nothing in escrow, one that no job that
 * is kept was paid over. */
static void drop_channel(struct jobs *jobs)
{
    struct rec_channel rec;
    struct escrow escrow = {0};
    struct channel *found = NULL;
    size_t over = 0;
    escrow_read(&escrow, jobs->s.ledger, &jobs->s.self);
    for (size_t i = 0; i < jobs->channels.n; i++) {
        struct channel *c = jobs->channels.at[i];
        if (!c->head.closed || ledger_channel(jobs->s.ledger, &c->head.id, &rec) ||
            escrow_has_channel(&escrow, &c->head.id) || is_used(jobs, c))
            continue;
        over++;
        found = c;
    }
    if (over > CHANNELS_OVER_KEPT)
        forget_channel(jobs, found);
    escrow_clear(&escrow);
}

void job_keep_step(struct jobs *jobs)
{
    job_drop_old(jobs, &jobs->most);
    if (jobs->channels.n > CHANNELS_OVER_KEPT)
        drop_channel(jobs);
}

static void on_keep(void *arg)
{
    struct jobs *jobs = arg;
    job_keep_step(jobs);
    host_timer_set(jobs->s.host, &jobs->keep_timer, KEEP_EVERY_MS, on_keep, jobs);
}

void job_keep_start(struct jobs *jobs)
{
    host_timer_set(jobs->s.host, &jobs->keep_timer, KEEP_EVERY_MS, on_keep, jobs);
}

void jobs_kept(const struct jobs *jobs, uint64_t *n, uint64_t *bytes)
{
    *n = jobs->n;
    *bytes = 0;
    for (const struct job *j = jobs->first; j; j = j->next)
        *bytes += bytes_of_job(j);
}

static enum err load_beside(struct job *j, const struct job_beside *what, struct buf *value, struct note *note)
{
    uint8_t key[JOB_KEY_SIZE];
    job_key(key, what->letter, &j->r.id);
    buf_reset(value);
    enum err e = kv_get(j->jobs->s.kv, bytes_of(key, sizeof key), value, note);
    if (e != ERR_OK) /* it has none */
        return e == ERR_NOT_FOUND ? ERR_OK : e;
    if (!what->get(j, bytes_of_buf(value)))
        return stored_broken(note, what->called, bytes_of(j->r.id.b, sizeof j->r.id.b));
    return ERR_OK;
}

enum err job_load_beside(struct jobs *jobs, const struct job_beside *what, struct note *note)
{
    struct buf value = {0};
    enum err e = ERR_OK;
    for (struct job *j = jobs->first; j && e == ERR_OK; j = j->next)
        e = load_beside(j, what, &value, note);
    buf_clear(&value);
    return e;
}

enum err job_load_all(struct jobs *jobs, struct note *note)
{
    struct load l = {.jobs = jobs, .note = note};
    enum err e = kv_scan(jobs->s.kv, bytes_of("j", 1), load_one, &l, note);
    if (e == ERR_OK)
        e = l.e;
    if (e == ERR_OK)
        e = job_talk_load(jobs, note);
    if (e == ERR_OK)
        e = job_how_load(jobs, note);
    if (e == ERR_OK)
        e = job_form_load(jobs, note);
    if (e == ERR_OK)
        e = job_salts_load(jobs, note);
    if (e == ERR_OK)
        sort_by_age(jobs);
    return e;
}
