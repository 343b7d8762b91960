/* Jobs over HTTP that were made (api_kith_job_post.c): shown, followed token by token, cancelled, verified. */
#include "base/mem.h"
#include "node/api/api.h"
#include "node/api/job_parts.h"
#include "node/node.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEEPALIVE_MS 10000

/* -- showing -- */

const char *api_job_state(const struct job_view *v)
{
    if (v->state == JOB_DONE)
        return "done";
    if (v->state == JOB_FAILED)
        return v->code == ERR_CANCELLED ? "cancelled" : "failed";
    return v->state == JOB_RUNNING ? "running" : "queued";
}

/* The settlement that covers the job's receipt. */
static bool find_settlement(struct node *n, const struct job_view *v, struct rec_settlement *out)
{
    return !v->is_local && jobs_settlement(market_jobs(n->market), &v->channel, v->receipt_index, out);
}

static void put_settlement(struct buf *b, bool *first, struct node *n, const struct job_view *v)
{
    static const char *const states[] = {"waiting", "waiting", "waiting", "paid", "forfeited"};
    struct rec_settlement rec;
    bool inner = true, have = find_settlement(n, v, &rec);
    codec_json_key(b, first, "settlement");
    if (!have) {
        buf_add_text(b, "null,\"audit\":null");
        return;
    }
    buf_add_text(b, "{");
    api_put_hash(b, &inner, "tx", &rec.id);
    api_put_u64(b, &inner, "height", rec.height);
    api_put_text(b, &inner, "state", states[rec.state]);
    api_put_amount(b, &inner, "amount", rec.amount);
    codec_json_key(b, &inner, "challenger");
    if (pubkey_equal(&rec.challenger, &(struct pubkey){{0}}))
        buf_add_text(b, "null");
    else
        codec_json_pubkey(b, &rec.challenger);
    buf_add_text(b, "}");
    codec_json_key(b, first, "audit");
    if (settlement_audits(&rec) == 0) {
        buf_add_text(b, "null");
        return;
    }
    struct audit_draw d = settlement_audit_at(&rec, 0);
    inner = true;
    buf_add_text(b, "{");
    api_put_key(b, &inner, "auditor", &d.auditor);
    api_put_u64(b, &inner, "index", d.index);
    api_put_verdict(b, &inner, d.verdict);
    buf_add_text(b, "}");
}

/* A text from there on. */
static void put_bytes(struct buf *b, bool *first, const char *name, struct bytes text, size_t from)
{
    codec_json_key(b, first, name);
    codec_json_string(b, from < text.n ? (const char *)text.p + from : "", from < text.n ? text.n - from : 0);
}

void api_put_job(struct buf *b, struct node *n, const struct job_view *v)
{
    bool first = true, inner = true;
    struct job_parts parts = {0};
    buf_add_text(b, "{");
    api_put_hash(b, &first, "job", &v->id);
    api_put_text(b, &first, "state", api_job_state(v));
    codec_json_key(b, &first, "model");
    buf_add_text(b, "{");
    api_put_hash(b, &inner, "root", &v->model);
    api_put_text(b, &inner, "name", v->model_name);
    buf_add_text(b, "}");
    api_put_text(b, &first, "route", v->is_local ? "local" : "network");
    api_put_key(b, &first, "provider", &v->provider);
    api_put_flag(b, &first, "private", v->is_private);
    api_put_u64(b, &first, "created_ms", v->made_ms);
    api_put_u64(b, &first, "tokens_in", v->prompt_tokens);
    api_put_u64(b, &first, "tokens_read", v->read);
    api_put_u64(b, &first, "tokens_out", v->tokens);
    codec_json_key(b, &first, "text");
    codec_json_string(b, v->text ? v->text : "", v->text_n);
    job_parts_of(&parts, v);
    put_bytes(b, &first, "thought", parts.thought, 0);
    put_bytes(b, &first, "said", parts.said, 0);
    job_parts_clear(&parts);
    api_put_hash(b, &first, "seed", &v->seed);
    codec_json_key(b, &first, "stop");
    buf_add_format(b, v->stop ? "\"%s\"" : "null", v->stop);
    api_put_hash(b, &first, "digest", &v->digest);
    api_put_amount(b, &first, "cost", v->cost);
    api_put_hash(b, &first, "channel", &v->channel);
    codec_json_key(b, &first, "receipt");
    if (hash_is_zero(&v->receipt))
        buf_add_text(b, "null");
    else
        codec_json_hash(b, &v->receipt);
    api_put_flag(b, &first, "verified", v->verified);
    codec_json_key(b, &first, "note");
    if (v->state < JOB_DONE && v->note)
        codec_json_string(b, v->note, strlen(v->note));
    else
        buf_add_text(b, "null");
    put_settlement(b, &first, n, v);
    codec_json_key(b, &first, "error");
    if (v->state == JOB_FAILED) {
        struct note note;
        note_set(&note, v->code, "%s", v->error);
        api_put_error(b, v->code, &note);
    } else
        buf_add_text(b, "null");
    buf_add_text(b, "}");
}

static bool job_id_of(struct api_call *c, struct hash *id, struct job_view *v)
{
    if (hex_get(c->rest, id->b, sizeof id->b) && jobs_find(market_jobs(c->node->market), id, v) &&
        api_may_see(c, &v->owner))
        return true;
    http_reply_error(c->request, 404, "not_found", "this node has no such job");
    return false;
}

struct job_wait {
    struct node *node;
    struct http_request *request;
    struct hash id;
    bool settled;
    struct job_watch *watch;
    struct timer timer, poll;
};

static void job_wait_free(struct job_wait *w)
{
    jobs_unwatch(w->watch);
    host_timer_cancel(w->node->host, &w->timer);
    host_timer_cancel(w->node->host, &w->poll);
    free(w);
}

static void job_wait_over(void *arg)
{
    struct job_wait *w = arg;
    struct job_view v;
    struct buf b = {0};
    if (jobs_find(market_jobs(w->node->market), &w->id, &v)) {
        api_put_job(&b, w->node, &v);
        api_reply_json(w->request, 200, &b);
    } else
        http_reply_error(w->request, 404, "not_found", "the job is gone");
    job_wait_free(w);
}

static bool is_settled(struct node *n, const struct job_view *v)
{
    struct rec_settlement rec;
    if (v->state == JOB_FAILED || v->is_local || v->cost.mote == 0)
        return v->state >= JOB_DONE;
    return v->state == JOB_DONE && find_settlement(n, v, &rec) && rec.state >= SETTLEMENT_PAID;
}

static void job_wait_poll(void *arg)
{
    struct job_wait *w = arg;
    struct job_view v;
    if (!jobs_find(market_jobs(w->node->market), &w->id, &v) || is_settled(w->node, &v))
        job_wait_over(w);
    else
        host_timer_set(w->node->host, &w->poll, 200, job_wait_poll, w);
}

static void job_wait_progress(void *arg, const struct job_view *v)
{
    struct job_wait *w = arg;
    if (v->state < JOB_DONE)
        return;
    w->watch = NULL;
    host_timer_set(w->node->host, &w->poll, 0, w->settled ? job_wait_poll : job_wait_over, w);
}

static void job_wait_gone(void *arg, struct http_request *r)
{
    (void)r;
    job_wait_free(arg);
}

void api_job_get(struct api_call *c)
{
    struct hash id;
    struct job_view v;
    struct buf b = {0};
    const char *until = http_query(c->request, "until");
    bool settled = until && strcmp(until, "settled") == 0;
    uint64_t wait_ms;
    if (until && !settled && strcmp(until, "done") != 0) {
        http_reply_error(c->request, 400, "bad_request", "until must be done or settled");
        return;
    }
    if (!api_wait_ms(c, &wait_ms) || !job_id_of(c, &id, &v))
        return;
    bool ready = settled ? is_settled(c->node, &v) : v.state >= JOB_DONE;
    if (ready || wait_ms == 0) {
        api_put_job(&b, c->node, &v);
        api_reply_json(c->request, 200, &b);
        return;
    }
    struct job_wait *w = mem_new(sizeof *w);
    *w = (struct job_wait){.node = c->node, .request = c->request, .id = id, .settled = settled};
    http_on_gone(c->request, job_wait_gone, w);
    host_timer_set(c->node->host, &w->timer, wait_ms, job_wait_over, w);
    w->watch = jobs_watch(market_jobs(c->node->market), &id, job_wait_progress, w);
}

/* -- following -- */

struct follow {
    struct node *node;
    struct http_request *request;
    struct hash id;
    uint32_t tokens; /* that the client has */
    size_t sent;     /* bytes of the text that the client has, and of ... */
    size_t thought, said;
    struct job_parts parts;
    uint32_t notes; /* of the job, when the client was told the latest */
    struct job_watch *watch;
    struct timer keepalive;
};

static void follow_free(struct follow *f)
{
    jobs_unwatch(f->watch);
    jobs_drop_place(market_jobs(f->node->market), f);
    host_timer_cancel(f->node->host, &f->keepalive);
    job_parts_clear(&f->parts);
    free(f);
}

static void on_keepalive(void *arg)
{
    struct follow *f = arg;
    if (http_stream_put(f->request, bytes_of_text(": alive\n\n"))) {
        host_timer_set(f->node->host, &f->keepalive, KEEPALIVE_MS, on_keepalive, f);
        return;
    }
    http_stream_end(f->request);
    follow_free(f);
}

static bool put_event(struct follow *f, const char *name, struct buf *data)
{
    struct buf frame = {0};
    buf_add_format(&frame, "event: %s\ndata: %s\n\n", name, buf_text(data));
    bool good = http_stream_put(f->request, bytes_of_buf(&frame));
    buf_clear(&frame);
    buf_clear(data);
    return good;
}

/* The last text, held back until the job is over, may come with no token of its own: it counts as one more. */
static bool send_text(struct follow *f, const struct job_view *v)
{
    struct buf b = {0};
    bool over = v->state >= JOB_DONE, first = false;
    if ((!over && v->text_tokens <= f->tokens) || (v->text_n <= f->sent && !over))
        return true;
    job_parts_of(&f->parts, v);
    const struct bytes thought = f->parts.thought, said = f->parts.said;
    if (v->text_n <= f->sent && thought.n <= f->thought && said.n <= f->said)
        return true;
    f->tokens = over ? v->tokens + 1 : v->text_tokens;
    buf_add_format(&b, "{\"i\":%u", f->tokens - 1);
    put_bytes(&b, &first, "text", bytes_of(v->text, v->text_n), f->sent);
    put_bytes(&b, &first, "thought", thought, f->thought);
    put_bytes(&b, &first, "said", said, f->said);
    buf_add_text(&b, "}");
    f->sent = v->text_n;
    f->thought = thought.n;
    f->said = said.n;
    return put_event(f, "token", &b);
}

static bool send_note(struct follow *f, const struct job_view *v)
{
    struct buf b = {0};
    if (v->state >= JOB_DONE || f->notes == v->notes || !v->note)
        return true;
    f->notes = v->notes;
    buf_add_text(&b, "{\"text\":");
    codec_json_string(&b, v->note, strlen(v->note));
    buf_add_text(&b, "}");
    return put_event(f, "note", &b);
}

static bool send_end(struct follow *f, const struct job_view *v)
{
    struct buf b = {0};
    bool first = true;
    buf_add_text(&b, "{");
    if (v->state == JOB_FAILED) {
        struct note note;
        note_set(&note, v->code, "%s", v->error);
        codec_json_key(&b, &first, "error");
        api_put_error(&b, v->code, &note);
        buf_add_text(&b, "}");
        return put_event(f, "failed", &b);
    }
    api_put_text(&b, &first, "stop", v->stop);
    api_put_u64(&b, &first, "tokens_in", v->prompt_tokens);
    api_put_u64(&b, &first, "tokens_out", v->tokens);
    api_put_amount(&b, &first, "cost", v->cost);
    if (v->is_local)
        api_put_text(&b, &first, "provider", "local");
    else
        api_put_key(&b, &first, "provider", &v->provider);
    codec_json_key(&b, &first, "receipt");
    if (hash_is_zero(&v->receipt))
        buf_add_text(&b, "null");
    else
        codec_json_hash(&b, &v->receipt);
    api_put_hash(&b, &first, "digest", &v->digest);
    buf_add_text(&b, "}");
    return put_event(f, "done", &b);
}

static void follow_step(void *arg, const struct job_view *v)
{
    struct follow *f = arg;
    bool over = v->state >= JOB_DONE;
    if (over)
        f->watch = NULL;
    bool good = send_note(f, v) && send_text(f, v) && (!over || send_end(f, v));
    host_timer_set(f->node->host, &f->keepalive, KEEPALIVE_MS, on_keepalive, f);
    if (good && !over)
        return;
    http_stream_end(f->request);
    follow_free(f);
}

static void follow_gone(void *arg, struct http_request *r)
{
    (void)r;
    follow_free(arg);
}

/* The text of the client's first tokens is so long: from there on. */
static void on_place(void *arg, size_t offset)
{
    struct follow *f = arg;
    struct job_view v;
    f->sent = offset;
    if (offset && jobs_find(market_jobs(f->node->market), &f->id, &v)) {
        job_parts_read(&f->parts, &v, offset < v.text_n ? offset : v.text_n, f->tokens,
                       v.state >= JOB_DONE && f->tokens > v.tokens);
        f->thought = f->parts.thought.n;
        f->said = f->parts.said.n;
    }
    f->watch = jobs_watch(market_jobs(f->node->market), &f->id, follow_step, f);
}

void api_job_events(struct api_call *c)
{
    struct hash id;
    struct job_view v;
    uint64_t from = 0;
    if (!job_id_of(c, &id, &v) || !api_query_number(c, "from", UINT32_MAX, &from))
        return;
    struct follow *f = mem_new(sizeof *f);
    *f = (struct follow){.node = c->node, .request = c->request, .id = id};
    f->tokens = (uint32_t)from;
    http_on_gone(c->request, follow_gone, f);
    http_stream_start(c->request, 200, "text/event-stream");
    host_timer_set(c->node->host, &f->keepalive, KEEPALIVE_MS, on_keepalive, f);
    jobs_place(market_jobs(c->node->market), &id, f->tokens, on_place, f);
}

/* -- cancelling and verifying -- */

void api_job_cancel(struct api_call *c)
{
    struct hash id;
    struct job_view v;
    struct buf b = {0};
    if (!job_id_of(c, &id, &v))
        return;
    jobs_cancel(market_jobs(c->node->market), &id);
    if (jobs_find(market_jobs(c->node->market), &id, &v))
        api_put_job(&b, c->node, &v);
    api_reply_json(c->request, 200, &b);
}

struct verify_task {
    struct node *node;
    struct hash id;
    struct task *task;
    uint64_t since_ms;
};

static void on_verified(void *arg, enum err e, const struct job_verdict *verdict, const struct note *note)
{
    struct verify_task *x = arg;
    struct job_view v;
    struct buf b = {0};
    bool first = true;
    if (e != ERR_OK || !jobs_find(market_jobs(x->node->market), &x->id, &v)) {
        task_fail(x->task, e, note);
    } else {
        buf_add_text(&b, "{");
        api_put_flag(&b, &first, "same", verdict->same && verdict->ends);
        api_put_u64(&b, &first, "tokens", v.tokens);
        codec_json_key(&b, &first, "position");
        if (verdict->same && verdict->ends)
            buf_add_text(&b, "null");
        else
            buf_add_format(&b, "%" PRIu32, verdict->same ? v.tokens : verdict->position);
        api_put_flag(&b, &first, "cut", verdict->same && !verdict->ends);
        api_put_hash(&b, &first, "digest_claimed", &verdict->claimed);
        api_put_hash(&b, &first, "digest_replayed", &verdict->digest);
        api_put_u64(&b, &first, "replay_ms", host_now_ms(x->node->host) - x->since_ms);
        buf_add_text(&b, "}");
        task_finish(x->task, bytes_of_buf(&b));
        buf_clear(&b);
    }
    free(x);
}

void api_job_verify(struct api_call *c)
{
    struct hash id;
    struct job_view v;
    if (!job_id_of(c, &id, &v))
        return;
    struct verify_task *x = mem_new(sizeof *x);
    *x = (struct verify_task){c->node, id, task_new(c->node->tasks, "verify"), host_now_ms(c->node->host)};
    task_give(x->task, api_owner(c));
    task_progress(x->task, 0, v.tokens);
    jobs_verify(market_jobs(c->node->market), &id, on_verified, x);
    task_accepted(x->task, c->request);
}

static void on_challenged(void *arg, enum err e, const struct job_challenge *ch, const struct note *note)
{
    struct verify_task *x = arg;
    struct buf b = {0};
    bool first = true;
    if (e != ERR_OK) {
        task_fail(x->task, e, note);
    } else {
        buf_add_text(&b, "{");
        api_put_text(&b, &first, "state", ch->is_sent ? "sent" : "waiting");
        api_put_u64(&b, &first, "index", ch->index);
        api_put_amount(&b, &first, "bond", ledger_params(x->node->ledger).challenge_bond);
        codec_json_key(&b, &first, "settlement");
        if (ch->is_sent) {
            codec_json_hash(&b, &ch->settlement);
            api_put_hash(&b, &first, "tx", &ch->tx);
        } else
            buf_add_text(&b, "null,\"tx\":null");
        buf_add_text(&b, "}");
        task_finish(x->task, bytes_of_buf(&b));
    }
    buf_clear(&b);
    free(x);
}

void api_job_challenge(struct api_call *c)
{
    struct hash id;
    struct job_view v;
    if (!job_id_of(c, &id, &v))
        return;
    struct verify_task *x = mem_new(sizeof *x);
    *x = (struct verify_task){c->node, id, task_new(c->node->tasks, "challenge"), host_now_ms(c->node->host)};
    jobs_challenge(market_jobs(c->node->market), &id, on_challenged, x);
    task_accepted(x->task, c->request);
}
