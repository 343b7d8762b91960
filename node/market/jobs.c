/* The life of a job on the asking side. See jobs.h for its states. */
#include "node/market/jobs.h"

#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "node/pay/channel_past.h"
#include "node/market/job.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRIES_MAX      40
#define RETRY_MS       500
#define RETRY_MS_MAX   5000
#define TEXT_TRIES_MAX 10

struct job_watch {
    struct job *job;
    struct job_watch *next;
    job_fn fn;
    void *arg;
};

const char *job_state_name(enum job_state s)
{
    static const char *const names[] = {"preparing", "routing", "funding", "running", "done", "failed"};
    return names[s];
}

void job_ask_init(struct job_ask *a)
{
    *a = (struct job_ask){.top_p = 1, .repeat_penalty = 1, .cost_max = {MOTE_PER_KITH}};
}

/* -- watching -- */

static void tell(void *arg)
{
    struct job *j = arg;
    struct job_view v;
    job_get_view(j, &v);
    bool over = v.state >= JOB_DONE;
    /* A callback may unwatch itself or others: start again from what is left, each told once. */
    struct job_watch *told = j->watches;
    while (told) {
        struct job_watch *w = told;
        told = w->next;
        if (over) {
            j->watches = told;
            w->job = NULL;
        }
        w->fn(w->arg, &v);
        if (over)
            free(w);
    }
    if (over)
        buf_clear(&j->logprobs); /* who wanted them has them */
}

/* Before it runs all is one: it waits. */
static uint8_t told_of(uint8_t state)
{
    return state < JOB_RUNNING ? JOB_PREPARING : state;
}

static void tell_state(struct job *j)
{
    struct job_view v;
    if (j->told_state == told_of(j->r.state) || !j->jobs->on_state)
        return;
    j->told_state = told_of(j->r.state);
    job_get_view(j, &v);
    j->jobs->on_state(j->jobs->state_arg, &v);
}

void jobs_on_state(struct jobs *jobs, job_fn fn, void *arg)
{
    jobs->on_state = fn;
    jobs->state_arg = arg;
}

void job_changed(struct job *j)
{
    tell_state(j);
    if (j->watches)
        host_timer_set(j->jobs->s.host, &j->turn, 0, tell, j);
}

struct job_watch *jobs_watch(struct jobs *jobs, const struct hash *id, job_fn fn, void *arg)
{
    struct job *j = job_find(jobs, id);
    if (!j)
        return NULL;
    struct job_watch *w = mem_new(sizeof *w);
    *w = (struct job_watch){.job = j, .next = j->watches, .fn = fn, .arg = arg};
    j->watches = w;
    job_changed(j);
    return w;
}

void jobs_unwatch(struct job_watch *w)
{
    if (!w || !w->job)
        return;
    for (struct job_watch **at = &w->job->watches; *at; at = &(*at)->next)
        if (*at == w) {
            *at = w->next;
            break;
        }
    free(w);
}

/* -- text -- */

/* What may be shown of the text: up to the first stop text; while the job runs, not what may still become one. */
size_t job_showable(const struct job *j, const struct buf *text, bool over)
{
    struct request r;
    job_get_request(j, &r);
    size_t shown = text->n - (over ? 0 : text_half_character(bytes_of_buf(text)));
    for (size_t at = 0; at < r.stops.n;) {
        size_t n = r.stops.p[at++];
        const uint8_t *stop = r.stops.p + at;
        at += n;
        for (size_t i = 0; i < shown; i++) {
            size_t have = text->n - i < n ? text->n - i : n;
            if (memcmp(text->p + i, stop, have) == 0 && (have == n || !over))
                shown = i;
        }
    }
    return shown;
}

static void show(struct job *j)
{
    size_t shown = job_showable(j, &j->text, j->r.state >= JOB_DONE);
    if (shown > j->text_shown || j->r.state >= JOB_DONE)
        j->text_shown = shown;
    if (j->text_shown && !j->r.first_token_ms)
        j->r.first_token_ms = host_wall_ms(j->jobs->s.host);
}

/* -- ending -- */

static void let_go(struct job *j)
{
    if (j->worker && j->ask)
        worker_drop(j->worker, j->ask);
    if (j->worker && j->text_ask)
        worker_drop(j->worker, j->text_ask);
    j->ask = j->text_ask = 0;
    job_leave_head(j);
    host_timer_cancel(j->jobs->s.host, &j->timer);
    job_wait_end(j);
}

static bool lacks_text(const struct job *j)
{
    return !j->r.local && j->r.text_tokens < job_tokens_n(j);
}

static void set_text(struct job *j, const struct worker_text *t, uint32_t tokens)
{
    buf_reset(&j->text);
    buf_add(&j->text, t->text.p, t->text.n);
    buf_reset(&j->reaches);
    buf_add(&j->reaches, t->reaches.p, t->reaches.n);
    buf_reset(&j->marks);
    buf_add(&j->marks, t->marks.p, t->marks.n);
    j->r.text_tokens = tokens;
}

static void on_finish(void *arg)
{
    job_finish(arg, ERR_OK, "");
}

/* Without its text an answer is of no use to anybody: the worker may have died, so it is asked again. */
static void text_later(struct job *j)
{
    j->text_tries++;
    host_timer_set(j->jobs->s.host, &j->timer, (uint64_t)RETRY_MS * j->text_tries, on_finish, j);
}

static void on_last_text(void *arg, enum err e, const struct worker_text *t, const struct note *note)
{
    struct job *j = arg;
    j->text_ask = 0;
    if (e == ERR_OK) {
        set_text(j, t, job_tokens_n(j));
        job_finish(j, ERR_OK, "");
        return;
    }
    log_event(LOG_ODD, "jobs", "no text", "error=%s why=%s try=%u", err_name(e), note->text, j->text_tries);
    text_later(j);
}

/* True while an answer waits for its last text. */
static bool waits_for_text(struct job *j)
{
    struct note note = {{0}};
    if (!lacks_text(j) || j->text_tries >= TEXT_TRIES_MAX)
        return false;
    if (j->text_ask)
        worker_drop(j->worker, j->text_ask);
    j->text_ask = 0;
    if (job_need_worker(j, &note) == ERR_OK)
        j->text_ask = worker_detokenize(j->worker, bytes_of_buf(&j->tokens), on_last_text, j);
    else
        text_later(j);
    return true;
}

static void on_mended(void *arg, enum err e, const struct worker_text *t, const struct note *note)
{
    struct job *j = arg;
    (void)note;
    j->text_ask = 0;
    if (e != ERR_OK)
        return; /* the next start tries again */
    set_text(j, t, job_tokens_n(j));
    show(j);
    (void)!job_save(j);
}

void job_mend_text(struct job *j)
{
    struct note note = {{0}};
    if (lacks_text(j) && job_need_worker(j, &note) == ERR_OK)
        j->text_ask = worker_detokenize(j->worker, bytes_of_buf(&j->tokens), on_mended, j);
}

void job_finish(struct job *j, enum err e, const char *why)
{
    if (j->r.state >= JOB_DONE)
        return;
    if (e == ERR_OK && waits_for_text(j))
        return;
    let_go(j);
    if (e == ERR_OK)
        job_remote_linger(j);
    else
        job_remote_stop(j);
    j->r.state = e == ERR_OK ? JOB_DONE : JOB_FAILED;
    j->r.code = (uint8_t)e;
    j->r.done_ms = host_wall_ms(j->jobs->s.host);
    char line[256];
    snprintf(line, sizeof line, "%s", why);
    for (char *c = line; *c; c++)
        if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7F)
            *c = '?';
    CHECK(text255_set(&j->r.error, line));
    show(j);
    (void)!job_save(j);
    log_event(LOG_INFO, "jobs", job_state_name((enum job_state)j->r.state), "tokens=%u cost=%" PRIu64 " code=%s",
              job_tokens_n(j), j->r.cost.mote, err_name(e));
    job_changed(j);
}

static void on_retry(void *arg)
{
    job_route(arg);
}

void job_retry(struct job *j, enum err e, const char *why)
{
    if (++j->tries > TRIES_MAX) {
        job_finish(j, e, why);
        return;
    }
    if (j->remote)
        job_remote_stop(j);
    j->r.state = JOB_ROUTING;
    snprintf(j->why, sizeof j->why, "%s", why);
    uint64_t wait_ms = (uint64_t)RETRY_MS * j->tries;
    log_event(LOG_DEBUG, "jobs", "again", "why=%s try=%u", why, j->tries);
    host_timer_set(j->jobs->s.host, &j->timer, wait_ms < RETRY_MS_MAX ? wait_ms : RETRY_MS_MAX, on_retry, j);
    job_changed(j);
}

void jobs_cancel(struct jobs *jobs, const struct hash *id)
{
    struct job *j = job_find(jobs, id);
    if (!j || j->r.state >= JOB_DONE)
        return;
    if (j->remote)
        job_remote_cancel(j);
    job_finish(j, ERR_CANCELLED, "cancelled");
}

/* -- running -- */

static void on_local_token(void *arg, const struct worker_token *t)
{
    struct job *j = arg;
    uint8_t raw[4];
    if (t->index == job_tokens_n(j)) {
        store_le32(raw, t->token);
        buf_add(&j->tokens, raw, sizeof raw);
    }
    buf_add(&j->text, t->text.p, t->text.n);
    store_le32(raw, t->reach);
    buf_add(&j->reaches, raw, sizeof raw);
    answer_marks_add(&j->marks, t->index, t->mark);
    buf_add(&j->logprobs, t->logprobs.p, t->logprobs.n);
    j->r.text_tokens = job_tokens_n(j);
    j->r.digest = t->digest;
    j->r.state = JOB_RUNNING;
    show(j);
    job_changed(j);
}

static void on_local_done(void *arg, enum err e, const struct worker_done *d, const struct note *note)
{
    struct job *j = arg;
    j->ask = 0;
    if (e == ERR_OK) {
        j->r.stop = d->stop;
        j->shared = d->shared;
        j->r.digest = d->digest;
        buf_add(&j->text, d->text.p, d->text.n);
    }
    job_finish(j, e, note ? note->text : "");
}

/* What jobs share beginnings under: how soon an answer begins tells its owner no more than what he asked himself. */
static struct hash job_scope(const struct job *j)
{
    struct hasher h;
    hash_start(&h, HASH_PAGE);
    hash_add(&h, "own", 3);
    hash_add(&h, j->r.owner.b, sizeof j->r.owner.b);
    return hash_end(&h);
}

void job_route(struct job *j)
{
    static const struct worker_calls calls = {.token = on_local_token, .done = on_local_done};
    if (!j->r.local && j->r.stop != JOB_STOP_NONE) {
        job_finish(j, ERR_OK, ""); /* a restart after the last payment */
        return;
    }
    if (!j->r.local) {
        job_remote_start(j);
        return;
    }
    buf_reset(&j->tokens); /* a local answer costs nothing but time: from the start again, the same bits */
    buf_reset(&j->text);
    buf_reset(&j->reaches);
    buf_reset(&j->marks);
    buf_reset(&j->logprobs);
    j->r.state = JOB_RUNNING;
    const struct worker_work work = {
        .request = bytes_of_buf(&j->request), .scope = job_scope(j), .logprobs = j->logprobs_asked};
    j->ask = worker_run(j->worker, &work, &calls, j);
}

static void on_text(void *arg, enum err e, const struct worker_text *t, const struct note *note);

static void ask_text(struct job *j)
{
    struct note note = {{0}};
    if (j->text_ask || j->texted == job_tokens_n(j) || job_need_worker(j, &note) != ERR_OK)
        return;
    j->texted = job_tokens_n(j);
    j->text_ask = worker_detokenize(j->worker, bytes_of_buf(&j->tokens), on_text, j);
}

static void on_text(void *arg, enum err e, const struct worker_text *t, const struct note *note)
{
    struct job *j = arg;
    (void)note;
    j->text_ask = 0;
    if (e == ERR_OK) {
        set_text(j, t, j->texted);
        show(j);
        job_changed(j);
    }
    ask_text(j);
}

void job_tokens_came(struct job *j)
{
    ask_text(j);
    job_changed(j);
}

/* -- making -- */

static void set_how(struct job *j, const struct job_ask *ask)
{
    buf_add_text(&j->tools, ask->tools ? ask->tools : "");
    buf_add_text(&j->variables, ask->variables ? ask->variables : "");
    if (ask->call)
        CHECK(text64_set(&j->call, ask->call)); /* tool_calls_is_name */
    buf_add(&j->call_schema, ask->call_schema.p, ask->call_schema.n);
}

enum err jobs_make(struct jobs *jobs, const struct job_ask *ask, struct hash *id, struct note *note)
{
    struct hash model;
    unsigned active = 0;
    for (struct job *o = jobs->first; o; o = o->next) {
        active += o->r.state < JOB_DONE;
        if (ask->key && o->r.key == ask->key && hash_equal(&o->r.owner, &ask->owner)) {
            *id = o->r.id;
            return ERR_OK;
        }
    }
    if (active >= JOBS_MAX)
        return note_set(note, ERR_BUSY, "%u jobs are under way already: try again when some are done", active);
    enum err e = market_find_model(jobs->market, ask->model, &model, note);
    if (e != ERR_OK)
        return e;
    struct request r = {.arith = REQUEST_ARITH,
                        .tokens_max = ask->tokens_max,
                        .temp = ask->temp,
                        .top_k = ask->top_k,
                        .top_p = ask->top_p,
                        .min_p = ask->min_p,
                        .repeat_penalty = ask->repeat_penalty,
                        .presence = ask->presence,
                        .frequency = ask->frequency,
                        .window = ask->window,
                        .stops = ask->stops,
                        .schema = ask->schema,
                        .choice = ask->choice,
                        .seed = ask->seed,
                        .biases = ask->biases};
    if (jobs->made++ % JOBS_DROP_EVERY == 0)
        job_drop_old(jobs, &jobs->most);
    struct job *j = job_new(jobs);
    j->r.model = model;
    if (!text255_set(&j->r.model_name, ask->model) || !text255_set(&j->title, ask->title ? ask->title : "")) {
        job_free(j);
        return note_set(note, ERR_FORMAT, "the name of the model, or the title, is too long or not plain text");
    }
    host_random(jobs->s.host, j->r.id.b, sizeof j->r.id.b);
    host_random(jobs->s.host, &j->r.nonce, sizeof j->r.nonce);
    j->r.state = JOB_PREPARING;
    j->r.route = (uint8_t)(ask->is_private ? ROUTE_LOCAL : ask->route);
    j->r.local = job_is_local(j);
    j->r.has_seed = ask->has_seed;
    j->r.chat = ask->messages != NULL;
    j->r.cost_max = ask->cost_max;
    j->r.key = ask->key;
    j->r.owner = ask->owner;
    j->talk = ask->talk;
    j->logprobs_asked = ask->logprobs;
    j->r.stop = JOB_STOP_NONE;
    j->r.made_ms = host_wall_ms(jobs->s.host);
    j->r.ids = !ask->messages && !ask->prompt;
    if (j->r.chat)
        set_how(j, ask);
    if (j->r.ids)
        buf_add(&j->input, ask->prompt_ids.p, ask->prompt_ids.n);
    else
        buf_add_text(&j->input, ask->messages ? ask->messages : ask->prompt);
    request_put(&j->request, &r);
    e = job_save(j);
    if (e != ERR_OK) {
        job_free(j);
        return note_set(note, e, "the job cannot be kept: %s%s", err_text(e),
                        e == ERR_FULL ? " on the disk of the node: make some" : "");
    }
    *id = j->r.id;
    job_wait_start(j);
    job_changed(j);
    job_prepare(j);
    return ERR_OK;
}

uint64_t jobs_made(const struct jobs *jobs)
{
    return jobs->made;
}

/* -- the whole -- */

static void on_resume(void *arg)
{
    struct job *j = arg;
    struct note note = {{0}};
    if (j->r.state == JOB_DONE) {
        job_mend_text(j);
        return;
    }
    job_wait_start(j);
    if (j->r.state == JOB_PREPARING) {
        job_prepare(j);
        return;
    }
    enum err e = j->r.local ? job_need_worker(j, &note) : ERR_OK; /* a provider needs none of ours */
    if (e != ERR_OK)
        job_finish(j, e, note.text);
    else
        job_route(j);
}

enum err jobs_open(struct market *m, const struct market_services *s, const struct job_limits *most, struct jobs **out,
                   struct note *note)
{
    struct jobs *jobs = mem_new(sizeof *jobs);
    jobs->s = *s;
    jobs->market = m;
    jobs->most = *most;
    enum err e = channel_list_load(&jobs->channels, s->kv, MARKET_SIDE_REQUESTER, note);
    if (e == ERR_OK)
        e = channel_past_load(s->kv, &jobs->channels, note);
    if (e == ERR_OK)
        e = job_load_all(jobs, note);
    if (e == ERR_OK)
        e = job_challenge_load(jobs, note);
    if (e == ERR_OK)
        e = job_fund_load(jobs, note);
    if (e != ERR_OK) {
        jobs_close(jobs);
        return e;
    }
    job_remote_adopt(jobs);
    job_drop_old(jobs, &jobs->most);
    job_keep_start(jobs);
    for (struct job *j = jobs->first; j; j = j->next)
        if (j->r.state < JOB_DONE) {
            log_event(LOG_INFO, "jobs", "goes on", "state=%s tokens=%u", job_state_name((enum job_state)j->r.state),
                      job_tokens_n(j));
            host_timer_set(s->host, &j->timer, 0, on_resume, j);
        } else if (j->r.state == JOB_DONE && lacks_text(j))
            host_timer_set(s->host, &j->timer, 0, on_resume, j);
    *out = jobs;
    return ERR_OK;
}

void jobs_close(struct jobs *jobs)
{
    if (!jobs)
        return;
    host_timer_cancel(jobs->s.host, &jobs->keep_timer);
    job_places_clear(jobs);
    job_challenge_clear(jobs);
    job_fund_clear(jobs);
    while (jobs->first) {
        struct job *j = jobs->first;
        let_go(j);
        job_remote_stop(j);
        while (j->watches)
            jobs_unwatch(j->watches);
        job_free(j);
    }
    channel_list_clear(&jobs->channels);
    free(jobs);
}
