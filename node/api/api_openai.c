/* The way of a request in OpenAI's API, from its body to its answer, whatever the form (node/api/api_openai_answer.h).
 *
 * Each choice of an answer is a job (node/market/jobs.h): `n` of them for each prompt, which differ in nothing but
 * their number. Without `stream` the answer waits for the end of all jobs; with it, each piece of text is sent when it
 * comes, and a broken job is an error frame. A client that hangs up cancels its jobs; what was delivered is billed.
 * Fields that are not known are ignored and named in the header Kith-Ignored.
 */
#include "node/api/api_openai_answer.h"

#include "base/codec.h"
#include "base/mem.h"
#include "node/node.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Jobs that are not over go with it. */
void openai_answer_free(struct answer *a)
{
    for (unsigned i = 0; i < a->n; i++) {
        struct choice *c = &a->choice[i];
        if (c->watch)
            jobs_unwatch(c->watch);
        if (!c->is_over)
            jobs_cancel(node_jobs(a->node), &c->job);
        json_decref(c->calls);
        answer_parts_clear(&c->parts);
        buf_clear(&c->marked);
        buf_clear(&c->json);
    }
    for (unsigned i = 0; i < a->told_n; i++)
        openai_told_clear(&a->told[i]);
    free(a->told);
    buf_clear(&a->kith);
    buf_clear(&a->echo);
    json_decref(a->tools);
    free(a->choice);
    free(a->model);
    free(a);
}

/* -- for the forms -- */

const char *openai_finish_reason(const struct choice *c, const struct job_view *v)
{
    if (c->calls)
        return "tool_calls";
    if (!v->stop)
        return "stop";
    return strcmp(v->stop, "length") == 0                                      ? "length"
           : strcmp(v->stop, "numeric") == 0 || strcmp(v->stop, "schema") == 0 ? "content_filter"
                                                                               : "stop";
}

void openai_put_kith(struct buf *b, const struct job_view *v)
{
    char kith[AMOUNT_TEXT_ROOM];
    amount_print(v->cost, kith);
    buf_add_text(b, ",\"kith\":{\"job\":");
    codec_json_hash(b, &v->id);
    buf_add_format(b, ",\"cost\":\"%" PRIu64 "\",\"cost_kith\":\"%s\",\"provider\":", v->cost.mote, kith);
    if (v->is_local)
        buf_add_text(b, "\"local\"");
    else
        codec_json_pubkey(b, &v->provider);
    buf_add_text(b, ",\"receipt\":");
    if (hash_is_zero(&v->receipt))
        buf_add_text(b, "null");
    else
        codec_json_hash(b, &v->receipt);
    buf_add_text(b, ",\"digest\":");
    codec_json_hash(b, &v->digest);
    buf_add_text(b, ",\"seed\":");
    codec_json_hash(b, &v->seed);
    buf_add_format(b, ",\"choice\":%u,\"verified\":%s}", v->choice, v->verified ? "true" : "false");
}

uint32_t openai_tokens_told(const struct job_view *v)
{
    bool is_over = v->state == JOB_DONE, ends = is_over && v->stop && strcmp(v->stop, "eos") == 0;
    return v->tokens > 0 && (ends || !is_over) ? v->tokens - 1 : v->tokens;
}

size_t openai_text_ready(struct choice *c, const struct job_view *v)
{
    const struct answer *a = c->answer;
    size_t n = v->text_n;
    if (!a->tools)
        return n;
    if (v->state != JOB_DONE)
        return c->parts.in_channels ? n : tool_calls_sure(a->tools, v->form.calls, bytes_of(v->text, n));
    json_decref(c->calls);
    c->calls = c->parts.in_channels ? json_incref(c->parts.calls)
                                    : tool_calls_find(a->tools, v->form.calls, bytes_of(v->text, n), &n);
    while (a->one_call && json_array_size(c->calls) > 1)
        json_array_remove(c->calls, 1);
    return n;
}

/* -- the way of a request -- */

/* The prompt of several choices was read once, and counts once; each prompt of a completion counts. */
static void count_usage(struct answer *a, const struct job_view *v)
{
    a->usage.written += v->tokens;
    if (v->choice > 0)
        return;
    a->usage.prompt += v->prompt_tokens;
    a->usage.cached += v->shared;
}

void openai_start_stream(struct answer *a)
{
    if (a->started)
        return;
    http_add_header(a->request, "X-Accel-Buffering", "no");
    http_stream_start(a->request, 200, "text/event-stream");
    a->started = true;
}

/* The answer as it was written, with the marks that left no text, and (`ends`) where its tokens end in that. */
static struct bytes marked_text(struct choice *c, const struct job_view *v, struct buf *ends)
{
    const struct bytes text = bytes_of(v->text, v->text_n);
    const bool reads_marks = c->answer->tools || v->form.thought.kind != THOUGHT_NONE;
    if (v->marks.n == 0 || !reads_marks) {
        buf_add(ends, v->reaches.p, v->reaches.n);
        return text;
    }
    buf_reset(&c->marked);
    answer_marks_join(text, v->reaches, v->marks, &c->marked, ends);
    return bytes_of_buf(&c->marked);
}

static void read_parts(struct choice *c, const struct job_view *v, struct bytes text)
{
    struct answer *a = c->answer;
    const bool is_over = v->state == JOB_DONE;
    if (v->called)
        answer_parts_call(&c->parts, a->tools, v->called, text, is_over);
    else if (a->thoughts == OPENAI_THOUGHTS_IN_TEXT)
        answer_parts_clear(&c->parts);
    else
        answer_parts_read(&c->parts, v->form.thought, a->tools, text, is_over);
    if (a->thoughts != OPENAI_THOUGHTS_HIDDEN)
        return;
    buf_reset(&c->parts.thought);
    c->parts.thought_first = 0;
}

/* The job as a form sees it: of an answer in parts, what is said. */
static struct job_view said_of(struct choice *c, const struct job_view *v)
{
    struct job_view said = *v;
    struct buf ends = {0};
    if (c->answer->form->kind == OPENAI_COMPLETION)
        return said;
    const struct bytes text = marked_text(c, v, &ends);
    read_parts(c, v, text);
    if (v->state == JOB_DONE && !v->called)
        c->answer->usage.thought += answer_parts_thought_tokens(v->form.thought, text, bytes_of_buf(&ends));
    const struct bytes shown = c->parts.are ? bytes_of_buf(&c->parts.said) : text;
    said.text = shown.n ? (const char *)shown.p : "";
    said.text_n = shown.n;
    buf_clear(&ends);
    return said;
}

/* Bytes of what was thought that a client hears as they come. */
static size_t thought_ready(const struct choice *c)
{
    const unsigned form = c->answer->form->kind;
    return form == OPENAI_CHAT ? c->parts.thought.n : form == OPENAI_RESPONSE ? c->parts.thought_first : 0;
}

/* True when the answer is at its end. */
static bool stream_progress(struct choice *c, const struct job_view *v)
{
    struct answer *a = c->answer;
    size_t ready = openai_text_ready(c, v);
    bool thinks = thought_ready(c) > c->thought_sent;
    if (v->state != JOB_DONE && ready <= c->sent && !thinks)
        return false;
    openai_start_stream(a);
    if (!a->form->send(c, v, ready))
        return true;
    if (a->over_n < a->n)
        return false;
    (void)a->form->send_end(a, v); /* too slow or not, this is the end */
    return true;
}

static void whole_answer(struct answer *a, uint64_t made_ms)
{
    struct buf b = {0};
    a->form->put_whole(&b, a, made_ms);
    api_reply_json(a->request, 200, &b);
}

static void on_progress(void *arg, const struct job_view *whole)
{
    struct choice *c = arg;
    struct answer *a = c->answer;
    const struct job_view said = said_of(c, whole), *v = &said;
    if (v->state == JOB_DONE || v->state == JOB_FAILED) {
        c->watch = NULL; /* it ends itself */
        c->is_over = true;
        a->over_n++;
        count_usage(a, v);
    }
    if (v->state == JOB_FAILED && !a->started) { /* nothing was sent yet: a proper status */
        openai_fail(a->request, v->code, a->form->prompt, v->error);
    } else if (v->state == JOB_FAILED) {
        (void)a->form->send_error(a, v);
        http_stream_end(a->request);
    } else if (a->stream) {
        if (!stream_progress(c, v))
            return;
        http_stream_end(a->request);
    } else {
        if (v->state == JOB_DONE)
            a->form->put_choice(c, v);
        if (a->over_n < a->n)
            return;
        whole_answer(a, v->made_ms);
    }
    openai_answer_free(a);
}

static void on_client_gone(void *arg, struct http_request *r)
{
    (void)r;
    openai_answer_free(arg);
}

/* Of what the caller's key may still spend, each job's part. */
static void limit_cost(const struct apikey *key, struct openai_ask *ask)
{
    uint64_t most = key ? apikeys_left(key).mote / ((uint64_t)ask->prompts_n * ask->n) : UINT64_MAX;
    if (ask->job.cost_max.mote > most)
        ask->job.cost_max.mote = most;
}

/* A job for each choice; those that were made are cancelled if one cannot be. */
static enum err make_jobs(struct answer *a, const struct apikey *key, struct openai_ask *ask, const json_t *body,
                          struct note *note)
{
    struct jobs *jobs = node_jobs(a->node);
    a->choice = mem_array((size_t)ask->prompts_n * ask->n, sizeof *a->choice);
    for (uint32_t i = 0; i < ask->prompts_n; i++) {
        openai_set_prompt(body, ask, i);
        for (uint32_t k = 0; k < ask->n; k++) {
            struct choice *c = &a->choice[a->n];
            *c = (struct choice){.answer = a, .index = a->n, .told = a->told ? &a->told[i] : NULL};
            ask->job.choice = k;
            enum err e = jobs_make(jobs, &ask->job, &c->job, note);
            if (e != ERR_OK)
                return e;
            a->n++;
            if (key)
                e = apikeys_charge(a->node->apikeys, &key->hash, jobs, &c->job, ask->job.cost_max, note);
            if (e != ERR_OK)
                return e;
        }
    }
    return ERR_OK;
}

static void start(struct answer *a, json_t *body)
{
    char hex[65];
    openai_name_ignored(a->request, body, a->form->kind);
    hex_put(hex, a->choice[0].job.b, sizeof a->choice[0].job.b);
    http_add_header(a->request, "Kith-Job", hex);
    http_add_header(a->request, "X-Request-Id", hex); /* where OpenAI's clients look for it */
    http_on_gone(a->request, on_client_gone, a);
    for (unsigned i = 0; i < a->n; i++)
        a->choice[i].watch = jobs_watch(node_jobs(a->node), &a->choice[i].job, on_progress, &a->choice[i]);
}

static struct answer *answer_new(struct api_call *call, const struct openai_form *form, struct openai_ask *ask)
{
    struct answer *a = mem_new(sizeof *a);
    *a = (struct answer){.form = form,
                         .node = call->node,
                         .request = call->request,
                         .stream = ask->stream,
                         .include_usage = ask->include_usage,
                         .one_call = ask->one_call,
                         .thoughts = ask->thoughts,
                         .tools = ask->tools ? json_deep_copy(ask->tools) : NULL,
                         .model = mem_string(ask->job.model),
                         .logprobs_each = ask->job.logprobs,
                         .echo = ask->echo};
    ask->echo = (struct buf){0};
    ask->job.owner = api_owner(call);
    return a;
}

/* The key may have been removed since the question came. */
static enum err find_key(const struct answer *a, const struct hash *owner, const struct apikey **key, struct note *note)
{
    *key = apikeys_get(a->node->apikeys, owner);
    return *key || hash_is_zero(owner) ? ERR_OK
                                       : note_set(note, ERR_AUTH, "the key of this question was removed meanwhile");
}

void openai_go_take(struct answer *a, struct openai_ask *ask, json_t *body)
{
    struct note note = {{0}};
    const struct apikey *key = NULL;
    enum err e = find_key(a, &ask->job.owner, &key, &note);
    if (e == ERR_OK) {
        limit_cost(key, ask);
        e = make_jobs(a, key, ask, body, &note);
    }
    if (e == ERR_OK)
        start(a, body);
    else {
        openai_refuse(a->request, e, "model", note.text);
        openai_answer_free(a);
    }
    openai_ask_clear(ask);
    free(ask);
    json_decref(body);
}

static void answer_request(struct api_call *call, const struct openai_form *form)
{
    struct note note = {{0}};
    json_t *body = api_body(call->request);
    if (!body)
        return;
    struct openai_ask *ask = mem_new(sizeof *ask);
    openai_ask_init(ask);
    enum err e = form->read(body, ask, &note);
    if (e == ERR_OK && (ask->echo_prompt || ask->no_answer)) {
        openai_echo_take(answer_new(call, form, ask), ask, body);
    } else if (e == ERR_OK) {
        openai_go_take(answer_new(call, form, ask), ask, body);
    } else {
        openai_refuse(call->request, e, form->prompt, note.text);
        openai_ask_clear(ask);
        free(ask);
        json_decref(body);
    }
}

void api_openai_chat(struct api_call *call)
{
    answer_request(call, &openai_form_chat);
}

void api_openai_completion(struct api_call *call)
{
    answer_request(call, &openai_form_completion);
}

void api_openai_response(struct api_call *call)
{
    answer_request(call, &openai_form_response);
}
