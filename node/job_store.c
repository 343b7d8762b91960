/* Jobs on disk: one record each under 'j' and the id, written whole, and all of them in memory. The oldest finished
 * ones beyond JOBS_KEPT_MAX, or beyond JOBS_KEPT_BYTES together, are dropped: at the start, and as others are made. */
#include "node/job.h"

#include "base/log.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

RECORD_DEFINE(job_record, JOB_RECORD_FIELDS)

struct job *job_new(struct jobs *jobs)
{
    struct job *j = mem_new(sizeof *j);
    j->jobs = jobs;
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
    buf_clear(&j->request);
    buf_clear(&j->tokens);
    buf_clear(&j->text);
    buf_clear(&j->logprobs);
    free(j);
}

static void job_key(uint8_t key[33], const struct hash *id)
{
    key[0] = 'j';
    memcpy(key + 1, id->b, sizeof id->b);
}

void job_put(struct job *j, struct kv_batch *batch)
{
    uint8_t key[33];
    struct buf value = {0};
    j->r.input = bytes_of_buf(&j->input);
    j->r.tools = bytes_of_buf(&j->tools);
    j->r.request = bytes_of_buf(&j->request);
    j->r.tokens = bytes_of_buf(&j->tokens);
    j->r.text = bytes_of_buf(&j->text);
    job_key(key, &j->r.id);
    job_record_put(&value, &j->r);
    kv_batch_put(batch, bytes_of(key, sizeof key), bytes_of_buf(&value));
    buf_clear(&value);
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
    (void)key;
    if (!is_whole(value, &r)) {
        l->e = note_set(l->note, ERR_CORRUPT, "a stored job is broken");
        return false;
    }
    struct job *j = job_new(l->jobs);
    j->r = r;
    buf_add(&j->input, r.input.p, r.input.n);
    buf_add(&j->tools, r.tools.p, r.tools.n);
    buf_add(&j->request, r.request.p, r.request.n);
    buf_add(&j->tokens, r.tokens.p, r.tokens.n);
    buf_add(&j->text, r.text.p, r.text.n);
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
    return sizeof *j + j->input.n + j->tools.n + j->request.n + j->tokens.n + j->text.n + j->logprobs.n;
}

static bool is_at_rest(const struct job *j)
{
    return j->r.state >= JOB_DONE && !j->watches && !j->ask && !j->text_ask && !j->remote;
}

static void drop(const struct job *j, struct kv_batch *batch)
{
    uint8_t key[33];
    job_key(key, &j->r.id);
    kv_batch_delete(batch, bytes_of(key, sizeof key));
}

static bool is_of_talk(const struct job *j, const struct hash *owner, const struct hash *talk)
{
    return hash_equal(&j->r.talk, talk) && (!owner || hash_equal(&j->r.owner, owner));
}

enum err jobs_forget_talk(struct jobs *jobs, const struct hash *owner, const struct hash *talk, struct note *note)
{
    struct kv_batch batch = {0};
    enum err e = ERR_OK;
    for (const struct job *j = jobs->first; j; j = j->next) {
        if (!is_of_talk(j, owner, talk))
            continue;
        drop(j, &batch);
        if (!is_at_rest(j))
            e = note_set(note, ERR_STATE, "an answer of this conversation is under way: stop it, or wait for it");
    }
    if (hash_is_zero(talk) || batch.count == 0)
        e = note_set(note, ERR_NOT_FOUND, "this node has no such conversation (any more)");
    if (e == ERR_OK)
        e = kv_write(jobs->s.kv, &batch, true, note);
    kv_batch_clear(&batch);
    for (struct job *j = jobs->first, *next; e == ERR_OK && j; j = next) {
        next = j->next;
        if (is_of_talk(j, owner, talk))
            job_free(j);
    }
    return e;
}

void job_drop_old(struct jobs *jobs, unsigned most, size_t most_bytes)
{
    struct kv_batch batch = {0};
    unsigned n = 0;
    size_t bytes = 0;
    for (struct job *j = jobs->first, *next; j; j = next) {
        next = j->next;
        n++;
        bytes += bytes_of_job(j);
        if (!is_at_rest(j) || (n <= most && bytes <= most_bytes))
            continue;
        n--;
        bytes -= bytes_of_job(j);
        drop(j, &batch);
        job_free(j);
    }
    if (batch.count && kv_write(jobs->s.kv, &batch, false, NULL) != ERR_OK)
        log_event(LOG_ODD, "jobs", "old jobs stay", "the store refused to drop them");
    kv_batch_clear(&batch);
}

enum err job_load_all(struct jobs *jobs, struct note *note)
{
    struct load l = {.jobs = jobs, .note = note};
    enum err e = kv_scan(jobs->s.kv, bytes_of("j", 1), load_one, &l, note);
    if (e == ERR_OK)
        e = l.e;
    if (e == ERR_OK) {
        sort_by_age(jobs);
        job_drop_old(jobs, JOBS_KEPT_MAX, JOBS_KEPT_BYTES);
    }
    return e;
}
