/* Looking back at a job: where a client that lost its connection goes on in the text, and whether the answer
 * is the model's own. */
#include "base/mem.h"
#include "node/market/job.h"

#include <stdlib.h>

/* -- where a client stands in the text -- */

struct job_place {
    struct jobs *jobs;
    struct job_place *next;
    struct hash id;
    uint32_t tokens;
    unsigned tries;
    job_place_fn fn;
    void *arg;
    struct worker *worker;
    worker_ask ask;
    struct timer timer;
};

static void place_free(struct job_place *p)
{
    for (struct job_place **at = &p->jobs->places; *at; at = &(*at)->next)
        if (*at == p) {
            *at = p->next;
            break;
        }
    if (p->worker && p->ask)
        worker_drop(p->worker, p->ask);
    host_timer_cancel(p->jobs->s.host, &p->timer);
    free(p);
}

static void place_answer(struct job_place *p, size_t offset)
{
    job_place_fn fn = p->fn;
    void *arg = p->arg;
    place_free(p);
    fn(arg, offset);
}

#define PLACE_WAIT_MS   50
#define PLACE_TRIES_MAX 40 /* at the text of the tokens; then it is what is shown now */

static void place_step(void *arg);

static void on_place_text(void *arg, enum err e, const struct worker_text *t, const struct note *note)
{
    struct job_place *p = arg;
    struct job *j = job_find(p->jobs, &p->id);
    struct buf b = {0};
    (void)note;
    p->ask = 0;
    if (e != ERR_OK) { /* the worker died too often: another is started */
        p->tries++;
        host_timer_set(p->jobs->s.host, &p->timer, PLACE_WAIT_MS, place_step, p);
        return;
    }
    buf_add(&b, t->text.p, t->text.n);
    size_t offset = j ? job_showable(j, &b, false) : 0;
    buf_clear(&b);
    place_answer(p, offset);
}

/* What was shown with so many tokens is what may be shown of their text while more could come: also of a job that is
 * over, whose last text, held back until then, counts as one token more. */
static void place_step(void *arg)
{
    struct job_place *p = arg;
    struct job *j = job_find(p->jobs, &p->id);
    struct note note = {{0}};
    if (!j || p->tokens == 0) {
        place_answer(p, 0);
    } else if (j->r.state < JOB_DONE && (job_tokens_n(j) < p->tokens || j->r.state == JOB_PREPARING)) {
        host_timer_set(p->jobs->s.host, &p->timer, PLACE_WAIT_MS, place_step, p); /* after a restart it comes again */
    } else if (job_tokens_n(j) < p->tokens || p->tries >= PLACE_TRIES_MAX) {
        place_answer(p, j->text_shown);
    } else if (job_need_worker(j, &note) == ERR_OK) {
        p->worker = j->worker;
        p->ask = worker_detokenize(p->worker, bytes_of(j->tokens.p, (size_t)p->tokens * 4), on_place_text, p);
    } else {
        p->tries++;
        host_timer_set(p->jobs->s.host, &p->timer, PLACE_WAIT_MS, place_step, p);
    }
}

void jobs_place(struct jobs *jobs, const struct hash *id, uint32_t tokens, job_place_fn fn, void *arg)
{
    struct job_place *p = mem_new(sizeof *p);
    *p = (struct job_place){.jobs = jobs, .next = jobs->places, .id = *id, .tokens = tokens, .fn = fn, .arg = arg};
    jobs->places = p;
    host_timer_set(jobs->s.host, &p->timer, 0, place_step, p);
}

void jobs_drop_place(struct jobs *jobs, const void *arg)
{
    for (struct job_place *p = jobs->places, *next; p; p = next) {
        next = p->next;
        if (p->arg == arg)
            place_free(p);
    }
}

/* -- verifying -- */

struct verification {
    struct jobs *jobs;
    struct hash id;
    struct hash claimed; /* digest */
    job_verified_fn fn;
    void *arg;
    enum err e; /* of one that is refused before a worker is asked */
    struct note note;
};

static void on_verdict(void *arg, enum err e, const struct worker_verdict *v, const struct note *note)
{
    struct verification *x = arg;
    struct job *j = job_find(x->jobs, &x->id);
    struct job_verdict verdict = {0};
    if (e == ERR_OK)
        verdict = (struct job_verdict){.same = v->same,
                                       .position = v->position,
                                       .digest = v->digest,
                                       .ends = j && (j->r.state != JOB_DONE || v->stop == j->r.stop),
                                       .claimed = x->claimed};
    if (j && verdict.same && verdict.ends) {
        j->r.verified = true;
        (void)!job_save(j);
    }
    x->fn(x->arg, e, e == ERR_OK ? &verdict : NULL, note);
    free(x);
}

static void on_refused(void *arg)
{
    struct verification *x = arg;
    x->fn(x->arg, x->e, NULL, &x->note);
    free(x);
}

/* A worker with the whole model, if it is here. */
static enum err full_worker(struct jobs *jobs, const struct hash *model, struct worker **w, struct note *note)
{
    char hex[65];
    if (workers_find(jobs->s.workers, model, WORKER_FULL) || blobs_path(jobs->s.blobs, model))
        return market_worker(&jobs->s, model, w, note);
    hex_put(hex, model->b, sizeof model->b);
    return note_set(note, ERR_NOT_FOUND, "the model is not on this machine: kith model pull %s", hex);
}

void jobs_verify(struct jobs *jobs, const struct hash *id, job_verified_fn fn, void *arg)
{
    struct job *j = job_find(jobs, id);
    struct worker *w = NULL;
    struct verification *x = mem_new(sizeof *x);
    *x = (struct verification){.jobs = jobs, .id = *id, .fn = fn, .arg = arg};
    if (!j)
        x->e = note_set(&x->note, ERR_NOT_FOUND, "no such job on this node");
    else if (j->r.state < JOB_DONE)
        x->e = note_set(&x->note, ERR_STATE, "the job is not over");
    else if (j->r.state != JOB_DONE && j->tokens.n == 0 && j->r.read == 0)
        x->e = note_set(&x->note, ERR_STATE, "nothing was answered, and nothing of the prompt was paid");
    else
        x->e = full_worker(jobs, &j->r.model, &w, &x->note);
    if (x->e == ERR_OK) {
        /* Without a scope: a verification takes nothing over from what was evaluated before. Of a job that was cut
         * short before its answer that much of the prompt is replayed which was paid. */
        const bool reads = j->r.state != JOB_DONE && j->tokens.n == 0;
        const struct worker_work work = {
            .request = bytes_of_buf(&j->request), .tokens = bytes_of_buf(&j->tokens), .until = reads ? j->r.read : 0};
        x->claimed = reads ? j->r.read_digest : j->r.digest;
        worker_verify(w, &work, &x->claimed, on_verdict, x);
    } else
        host_post(jobs->s.host, on_refused, x);
}

void job_places_clear(struct jobs *jobs)
{
    while (jobs->places)
        place_free(jobs->places);
}
