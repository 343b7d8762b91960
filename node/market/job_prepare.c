/* What a job needs before it is sent anywhere: where it may run, a worker that knows the model's vocabulary, the
 * prompt's tokens. */
#include "node/market/job.h"

#include "base/limits.h"
#include "inference/worker_proto.h"
#include "node/market/jobs.h"

#include <stdio.h>

#define HEAD_LEAVES     64 /* 2 MiB: metadata and vocabulary of most; doubled where they are longer */
#define HEAD_LEAVES_MAX 4096
#define HEAD_WAIT_MS    60000 /* for the vocabulary of a model that is not here */

static void on_head(void *arg, enum err e, const struct hash *root, const struct note *note);

/* -- preparing: model, vocabulary, tokens -- */

/* The model's vocabulary speaks: a full worker, or one over the head of the file. */
enum err job_need_worker(struct job *j, struct note *note)
{
    struct jobs *jobs = j->jobs;
    if (j->ask || j->text_ask)
        return ERR_OK; /* it cannot go while it is asked something */
    j->worker = workers_find(jobs->s.workers, &j->r.model, WORKER_FULL);
    if (!j->worker && !j->r.local)
        j->worker = workers_find(jobs->s.workers, &j->r.model, WORKER_VOCAB);
    if (j->worker)
        return ERR_OK;
    int fd;
    enum err e = blobs_fd(jobs->s.blobs, &j->r.model, &fd, note);
    enum worker_mode mode = j->r.local ? WORKER_FULL : WORKER_VOCAB;
    if (e != ERR_OK && !j->r.local)
        e = blobs_head_fd(jobs->s.blobs, &j->r.model, &fd, note);
    return e == ERR_OK ? workers_get(jobs->s.workers, &j->r.model, mode, fd, &j->worker, note) : e;
}

static void set_prompt(struct job *j, struct bytes ids, uint32_t context)
{
    struct request r;
    struct buf old = j->request;
    job_get_request(j, &r);
    r.prompt = ids;
    if (j->called)
        r.schema = bytes_of_buf(&j->call_schema);
    uint32_t room = context - (uint32_t)(ids.n / 4);
    if (r.tokens_max == 0)
        r.tokens_max = room < JOB_TOKENS_DEFAULT ? room : JOB_TOKENS_DEFAULT;
    struct hash h = request_hash(&r);
    struct hash job = job_id(&j->jobs->s.chain, &j->jobs->s.self, j->r.nonce, &j->r.model, &h);
    j->r.paid_id = job;
    if (!j->r.has_seed) {
        j->r.seed_block = ledger_info(j->jobs->s.ledger).block;
        r.seed = job_seed(&job, &j->jobs->s.self, &j->r.seed_block);
    }
    j->request = (struct buf){0};
    request_put(&j->request, &r);
    buf_clear(&old);
}

static void on_prompt(void *arg, enum err e, const struct worker_prompt *p, const struct note *note)
{
    struct job *j = arg;
    const struct bytes ids = p->ids;
    struct worker_info info;
    j->ask = 0;
    j->called = p->called;
    j->form = p->form;
    if (e != ERR_OK) {
        job_finish(j, e, note->text);
        return;
    }
    worker_get_info(j->worker, &info);
    uint64_t want = ids.n / 4 + job_tokens_max(j);
    if (ids.n / 4 >= info.context || want > info.context) {
        char line[200];
        snprintf(line, sizeof line,
                 "the prompt of %zu tokens and an answer of %u do not fit the model's context of %u tokens: shorten "
                 "the one or the other",
                 ids.n / 4, job_tokens_max(j), info.context);
        job_finish(j, ERR_LIMIT, line);
        return;
    }
    set_prompt(j, ids, info.context);
    j->r.state = JOB_ROUTING;
    if (job_save(j) != ERR_OK)
        job_finish(j, ERR_FULL, "the job cannot be kept: is the disk full?");
    else
        job_route(j);
}

static void on_ids(void *arg, enum err e, struct bytes ids, const struct note *note)
{
    on_prompt(arg, e, &(struct worker_prompt){.ids = ids}, note);
}

/* An answer to a schema is said and nothing else, and where it has to be a call, it is one. */
static worker_ask ask_template(struct job *j)
{
    struct request r;
    job_get_request(j, &r);
    const struct worker_chat chat = {.messages = bytes_of_buf(&j->input),
                                     .tools = bytes_of_buf(&j->tools),
                                     .variables = bytes_of_buf(&j->variables),
                                     .begins = j->call.n    ? WIRE_BEGINS_CALL
                                               : r.schema.n ? WIRE_BEGINS_SAID
                                                            : WIRE_BEGINS_ANY,
                                     .function = j->call};
    return worker_template(j->worker, &chat, on_prompt, j);
}

static void pull_head(struct job *j)
{
    j->waits_for_head = true;
    blobs_pull_head(j->jobs->s.blobs, BLOB_MODEL, &j->r.model, j->head_leaves, on_head, j->jobs);
}

void job_leave_head(struct job *j)
{
    if (j->waits_for_head)
        blobs_pull_leave(j->jobs->s.blobs, &j->r.model, on_head, j->jobs);
    j->waits_for_head = false;
}

static void on_ready(void *arg, enum err e, const struct worker_info *info, const struct note *note)
{
    struct job *j = arg;
    (void)info;
    j->ask = 0;
    if (e != ERR_OK && !j->r.local && !blobs_path(j->jobs->s.blobs, &j->r.model) && j->head_leaves < HEAD_LEAVES_MAX) {
        /* What is here of the file may end before its vocabulary does. */
        workers_stop(j->jobs->s.workers, j->worker);
        j->worker = NULL;
        j->head_leaves *= 2;
        pull_head(j);
    } else if (e != ERR_OK)
        job_finish(j, e, note->text);
    else if (j->r.ids)
        on_ids(j, ERR_OK, bytes_of_buf(&j->input), NULL);
    else if (j->r.chat)
        j->ask = ask_template(j);
    else
        j->ask = worker_tokenize(j->worker, bytes_of_buf(&j->input), false, on_ids, j);
}

static void on_head(void *arg, enum err e, const struct hash *root, const struct note *note)
{
    struct jobs *jobs = arg;
    for (struct job *j = jobs->first, *next; j; j = next) {
        next = j->next;
        if (!hash_equal(&j->r.model, root))
            continue;
        j->waits_for_head = false;
        if (j->r.state != JOB_PREPARING || j->worker)
            continue;
        if (e == ERR_OK)
            job_prepare(j);
        else
            job_finish(j, e, note->text);
    }
}

static void on_no_head(void *arg)
{
    job_finish(arg, ERR_TIMEOUT, "nobody in reach has this model: see kith models");
}

bool job_is_local(const struct job *j)
{
    return j->r.route != ROUTE_NETWORK && blobs_path(j->jobs->s.blobs, &j->r.model) != NULL;
}

void job_prepare(struct job *j)
{
    struct note note = {{0}};
    if (!j->head_leaves)
        j->head_leaves = HEAD_LEAVES;
    j->r.local = job_is_local(j);
    if (j->r.route == ROUTE_LOCAL && !j->r.local) {
        job_finish(j, ERR_NOT_FOUND, "the model is not on this machine: kith model pull gets it");
        return;
    }
    if (j->logprobs_asked && !j->r.local) {
        job_finish(j, ERR_USAGE,
                   "logprobs come from models on this machine only: kith model pull gets this one, or ask without");
        return;
    }
    struct request r;
    job_get_request(j, &r);
    if (!request_travels(&r) && !j->r.local) {
        job_finish(j, ERR_USAGE,
                   "logit_bias is for models on this machine only: kith model pull gets this one, or ask without");
        return;
    }
    enum err e = job_need_worker(j, &note);
    if (e == ERR_NOT_FOUND) {
        host_timer_set(j->jobs->s.host, &j->timer, HEAD_WAIT_MS, on_no_head, j);
        pull_head(j);
        return;
    }
    host_timer_cancel(j->jobs->s.host, &j->timer);
    if (e != ERR_OK)
        job_finish(j, e, note.text);
    else
        j->ask = worker_when_ready(j->worker, on_ready, j);
}
