/* Questions to workers: kept until they are answered, asked again of the next process when one dies. A run goes on
 * from the tokens that it has. */
#include "node/worker/worker_in.h"

#include "base/mem.h"

#include <stdlib.h>

static void ask_free(struct ask *a)
{
    buf_clear(&a->frame);
    buf_clear(&a->request);
    buf_clear(&a->tokens);
    buf_clear(&a->scored);
    free(a);
}

struct ask *ask_find(struct worker *w, uint64_t id)
{
    for (struct ask *a = w->asks; a; a = a->next)
        if (a->id == id)
            return a;
    return NULL;
}

/* Takes it off the list, for its last callback. */
static void ask_unlink(struct worker *w, struct ask *one)
{
    for (struct ask **a = &w->asks; *a; a = &(*a)->next)
        if (*a == one) {
            *a = one->next;
            w->asks_n--;
            w->used_ms = host_now_ms(w->host);
            return;
        }
}

static void ask_send(struct worker *w, const struct ask *a)
{
    struct buf out = {0};
    if (a->kind == ASK_READY || a->failed != ERR_OK)
        return;
    if (a->kind == ASK_RUN) {
        const struct wire_run m = {.ask = a->id,
                                   .scope = a->scope,
                                   .logprobs = a->logprobs,
                                   .request = bytes_of_buf(&a->request),
                                   .tokens = bytes_of_buf(&a->tokens)};
        wire_add_run(&out, &m);
    } else {
        buf_add(&out, a->frame.p, a->frame.n);
    }
    worker_send_take(w, &out);
}

void ask_send_all(struct worker *w)
{
    for (const struct ask *a = w->asks; a; a = a->next)
        ask_send(w, a);
}

/* Off the list and told; the callback may do anything, so nothing of the worker is touched behind it. */
static void ask_end(struct worker *w, struct ask *a, enum err e, const struct note *note)
{
    ask_unlink(w, a);
    switch (a->kind) {
    case ASK_READY:
        if (a->fn.ready) {
            struct worker_info info;
            worker_get_info(w, &info);
            a->fn.ready(a->arg, e, &info, note);
        }
        break;
    case ASK_TOKENIZE:
        if (a->fn.ids)
            a->fn.ids(a->arg, e, bytes_of(NULL, 0), note);
        break;
    case ASK_TEMPLATE:
        if (a->fn.prompt)
            a->fn.prompt(a->arg, e, &(struct worker_prompt){.called = false}, note);
        break;
    case ASK_DETOKENIZE:
    case ASK_SCORE:
        if (a->fn.text)
            a->fn.text(a->arg, e, &(struct worker_text){.text = {0}}, note);
        break;
    case ASK_RUN:
        if (a->fn.calls.done)
            a->fn.calls.done(a->arg, e, NULL, note);
        break;
    case ASK_VERIFY:
        if (a->fn.verdict)
            a->fn.verdict(a->arg, e, NULL, note);
        break;
    case ASK_EMBED:
        if (a->fn.embedding)
            a->fn.embedding(a->arg, e, NULL, note);
        break;
    case ASK_HOP:
        if (a->fn.answer)
            a->fn.answer(a->arg, e, bytes_of(NULL, 0), note);
        break;
    }
    ask_free(a);
}

/* What a callback asks anew must not be ended with the rest: only ids below the mark. A callback may stop the worker,
 * which stays in memory until the loop's next turn. */
void ask_fail_all(struct worker *w, enum err e, const struct note *note)
{
    const uint64_t mark = w->next_id;
    const struct note said = *note;
    while (w->asks && w->asks->id <= mark)
        ask_end(w, w->asks, e, &said);
}

void ask_fail_marked(struct worker *w)
{
    const uint64_t mark = w->next_id;
    for (struct ask *a = w->asks; a;) {
        struct ask *next = a->next;
        if (a->failed != ERR_OK && a->id <= mark) {
            struct note note = a->note;
            ask_end(w, a, a->failed, &note);
            next = w->asks; /* the callback may have changed the list */
        }
        a = next;
    }
}

void ask_tell_ready(struct worker *w)
{
    static const struct note nothing;
    for (struct ask *a = w->asks; a && w->state == WORKER_READY;) {
        struct ask *next = a->next;
        if (a->kind == ASK_READY && a->failed == ERR_OK) {
            ask_end(w, a, ERR_OK, &nothing);
            next = w->asks;
        }
        a = next;
    }
}

void ask_free_all(struct worker *w)
{
    while (w->asks) {
        struct ask *next = w->asks->next;
        ask_free(w->asks);
        w->asks = next;
    }
}

/* Has the process end its work on it. */
static void cancel(struct worker *w, const struct ask *a)
{
    bool can = a->kind == ASK_RUN || a->kind == ASK_VERIFY || a->kind == ASK_EMBED || a->kind == ASK_SCORE;
    if (w->state == WORKER_READY && can && a->failed == ERR_OK) {
        struct buf out = {0};
        wire_add_cancel(&out, &(struct wire_cancel){.ask = a->id});
        worker_send_take(w, &out);
    }
}

/* -- answers -- */

static const struct note no_note;

static enum err take_token(struct ask *a, const struct wire_token *m)
{
    if (a->kind != ASK_RUN || m->index != a->tokens.n / 4)
        return ERR_PROTOCOL;
    wire_put_id(&a->tokens, m->token);
    const struct worker_token t = {m->index, m->token, m->digest, m->text, m->reach, m->mark, m->logprobs};
    if (a->fn.calls.token)
        a->fn.calls.token(a->arg, &t);
    return ERR_OK;
}

static enum err take_done(struct worker *w, struct ask *a, const struct wire_done *m)
{
    if (a->kind != ASK_RUN || m->tokens != a->tokens.n / 4)
        return ERR_PROTOCOL;
    const struct worker_done d = {.stop = m->stop,
                                  .tokens = m->tokens,
                                  .shared = m->shared,
                                  .digest = m->digest,
                                  .prompt_us = m->prompt_us,
                                  .decode_us = m->decode_us,
                                  .text = m->text};
    w->guessed += m->drafted;
    w->guessed_right += m->accepted;
    ask_unlink(w, a);
    if (a->fn.calls.done)
        a->fn.calls.done(a->arg, ERR_OK, &d, &no_note);
    ask_free(a);
    return ERR_OK;
}

static enum err take_verified(struct worker *w, struct ask *a, const struct wire_verified *m)
{
    if (a->kind != ASK_VERIFY || (m->witness.n > 0) != a->is_witnessed)
        return ERR_PROTOCOL;
    struct worker_verdict v = {.same = m->same, .position = m->position, .digest = m->digest};
    if (a->is_witnessed)
        memcpy(v.witness.b, m->witness.p, sizeof v.witness.b);
    ask_unlink(w, a);
    if (a->fn.verdict)
        a->fn.verdict(a->arg, ERR_OK, &v, &no_note);
    ask_free(a);
    return ERR_OK;
}

static enum err take_embedding(struct worker *w, struct ask *a, const struct wire_embedding *m)
{
    if (a->kind != ASK_EMBED || m->values.n > 4 * (size_t)w->opened.embed)
        return ERR_PROTOCOL;
    const struct worker_embedding v = {m->tokens, m->values, m->digest};
    ask_unlink(w, a);
    if (a->fn.embedding)
        a->fn.embedding(a->arg, ERR_OK, &v, &no_note);
    ask_free(a);
    return ERR_OK;
}

static enum err take_hop_answer(struct worker *w, struct ask *a, const struct wire_hop_answer *m)
{
    if (a->kind != ASK_HOP || m->answer.n > FAR_CALL_MAX)
        return ERR_PROTOCOL;
    ask_unlink(w, a);
    if (a->fn.answer)
        a->fn.answer(a->arg, ERR_OK, m->answer, &no_note);
    ask_free(a);
    return ERR_OK;
}

static enum err take_ids(struct worker *w, struct ask *a, struct bytes ids)
{
    if (a->kind != ASK_TOKENIZE)
        return ERR_PROTOCOL;
    ask_unlink(w, a);
    if (a->fn.ids)
        a->fn.ids(a->arg, ERR_OK, ids, &no_note);
    ask_free(a);
    return ERR_OK;
}

static enum err take_prompt(struct worker *w, struct ask *a, const struct wire_templated *m)
{
    if (a->kind != ASK_TEMPLATE)
        return ERR_PROTOCOL;
    ask_unlink(w, a);
    const struct worker_prompt p = {
        .ids = m->ids, .called = m->called, .form = {{m->thought, m->within, m->said}, .calls = m->calls}};
    if (a->fn.prompt)
        a->fn.prompt(a->arg, ERR_OK, &p, &no_note);
    ask_free(a);
    return ERR_OK;
}

static enum err take_text(struct worker *w, struct ask *a, const struct wire_text *m)
{
    const struct worker_text t = {m->text, m->reaches, m->marks};
    if (a->kind != ASK_DETOKENIZE)
        return ERR_PROTOCOL;
    ask_unlink(w, a);
    if (a->fn.text)
        a->fn.text(a->arg, ERR_OK, &t, &no_note);
    ask_free(a);
    return ERR_OK;
}

/* A process that was started anew begins anew. */
static enum err take_scored(struct worker *w, struct ask *a, const struct wire_scored *m)
{
    if (a->kind == ASK_SCORE && m->position == 0) {
        a->scored_n = 0;
        buf_reset(&a->scored);
    }
    if (a->kind != ASK_SCORE || m->position != a->scored_n)
        return ERR_PROTOCOL;
    a->scored_n++;
    buf_add(&a->scored, m->logprobs.p, m->logprobs.n);
    if (a->scored.n > WORKER_SCORED_MAX) {
        struct note note;
        cancel(w, a);
        ask_end(w, a,
                note_set(&note, ERR_LIMIT,
                         "the prompt with its logprobs is over %u bytes: ask for fewer of them, or a part of it",
                         WORKER_SCORED_MAX),
                &note);
    }
    return ERR_OK;
}

static enum err take_scores(struct worker *w, struct ask *a)
{
    if (a->kind != ASK_SCORE || a->scored_n == 0)
        return ERR_PROTOCOL;
    ask_unlink(w, a);
    if (a->fn.text)
        a->fn.text(a->arg, ERR_OK, &(struct worker_text){.text = bytes_of_buf(&a->scored)}, &no_note);
    ask_free(a);
    return ERR_OK;
}

static enum err take_failed(struct worker *w, struct ask *a, const struct wire_failed *m)
{
    struct note note;
    enum err e = wire_failure(m, &note);
    ask_end(w, a, e, &note);
    return ERR_OK;
}

/* Reads the body as NAME, finds its question (one that was dropped is no error) and hands both on. */
#define TAKE(NAME, name, call)                                                                                         \
    case WIRE_##NAME: {                                                                                                \
        struct wire_##name m;                                                                                          \
        if (!wire_read_##name(frame->body, &m) || m.ask == 0)                                                          \
            return ERR_PROTOCOL;                                                                                       \
        struct ask *a = ask_find(w, m.ask);                                                                            \
        if (!a)                                                                                                        \
            return ERR_OK;                                                                                             \
        w->deaths = 0; /* it got somewhere */                                                                          \
        return call;                                                                                                   \
    }

enum err ask_take(struct worker *w, const struct wire_frame *frame)
{
    switch ((int)frame->type) {
        TAKE(TOKEN, token, take_token(a, &m))
        TAKE(DONE, done, take_done(w, a, &m))
        TAKE(VERIFIED, verified, take_verified(w, a, &m))
        TAKE(EMBEDDING, embedding, take_embedding(w, a, &m))
        TAKE(TOKENS, tokens, take_ids(w, a, m.ids))
        TAKE(TEMPLATED, templated, take_prompt(w, a, &m))
        TAKE(TEXT, text, take_text(w, a, &m))
        TAKE(SCORED, scored, take_scored(w, a, &m))
        TAKE(SCORES, scores, take_scores(w, a))
        TAKE(HOP_ANSWER, hop_answer, take_hop_answer(w, a, &m))
        TAKE(FAILED, failed, take_failed(w, a, &m))
    default:
        return ERR_PROTOCOL;
    }
}

/* -- asking -- */

/* Told late, since nothing is answered within the call. */
static void on_late(void *arg)
{
    struct worker *w = arg;
    ask_fail_marked(w);
    if (!w->is_gone && w->state == WORKER_READY)
        ask_tell_ready(w);
}

struct ask *ask_new(struct worker *w, enum ask_kind kind, void *arg)
{
    struct ask *a = mem_new(sizeof *a), **end = &w->asks;
    a->id = ++w->next_id;
    a->kind = kind;
    a->arg = arg;
    while (*end)
        end = &(*end)->next;
    *end = a;
    w->asks_n++;
    return a;
}

static void ask_fail_late(struct worker *w, struct ask *a, enum err e, const char *text)
{
    a->failed = note_set(&a->note, e, "%s", text);
    if (!w->is_gone) /* else it tells all of them anyway */
        host_timer_set(w->host, &w->late, 0, on_late, w);
}

/* Sends it, starts the process, or fails it; whatever the worker's state asks for. */
worker_ask ask_go(struct worker *w, struct ask *a)
{
    if (w->asks_n > JOBS_MAX)
        ask_fail_late(w, a, ERR_BUSY, "this model has as many jobs waiting as it may have: ask again later");
    else if (w->state == WORKER_REFUSED)
        ask_fail_late(w, a, w->refusal, w->refusal_note.text);
    else if (w->is_gone)
        return a->id;
    else if (w->state == WORKER_READY && a->kind == ASK_READY)
        host_timer_set(w->host, &w->late, 0, on_late, w);
    else if (w->state == WORKER_READY)
        ask_send(w, a);
    else if (w->state == WORKER_DOWN) {
        w->deaths = 0;
        worker_start(w);
    }
    return a->id;
}

worker_ask worker_when_ready(struct worker *w, worker_ready_fn fn, void *arg)
{
    struct ask *a = ask_new(w, ASK_READY, arg);
    a->fn.ready = fn;
    return ask_go(w, a);
}

static worker_ask too_long(struct worker *w, struct ask *a)
{
    ask_fail_late(w, a, ERR_LIMIT, "the text is longer than a prompt may be");
    return a->id;
}

worker_ask worker_tokenize(struct worker *w, struct bytes text, bool special, worker_ids_fn fn, void *arg)
{
    struct ask *a = ask_new(w, ASK_TOKENIZE, arg);
    a->fn.ids = fn;
    if (text.n > PROMPT_BYTES_MAX)
        return too_long(w, a);
    wire_add_tokenize(&a->frame, &(struct wire_tokenize){.ask = a->id, .special = special, .text = text});
    return ask_go(w, a);
}

worker_ask worker_template(struct worker *w, const struct worker_chat *chat, worker_prompt_fn fn, void *arg)
{
    struct ask *a = ask_new(w, ASK_TEMPLATE, arg);
    a->fn.prompt = fn;
    if (chat->messages.n > PROMPT_BYTES_MAX || chat->tools.n > PROMPT_BYTES_MAX ||
        chat->variables.n > TEMPLATE_VARIABLES_BYTES_MAX)
        return too_long(w, a);
    const struct wire_template m = {.ask = a->id,
                                    .answer = true,
                                    .begins = chat->begins,
                                    .function = chat->function,
                                    .clock_ms = host_wall_ms(w->host),
                                    .messages = chat->messages,
                                    .tools = chat->tools,
                                    .variables = chat->variables};
    wire_add_template(&a->frame, &m);
    return ask_go(w, a);
}

static worker_ask detokenize(struct worker *w, struct bytes ids, bool begins, worker_text_fn fn, void *arg)
{
    struct ask *a = ask_new(w, ASK_DETOKENIZE, arg);
    a->fn.text = fn;
    if (ids.n > WIRE_BODY_IDS - 64)
        return too_long(w, a);
    wire_add_detokenize(&a->frame,
                        &(struct wire_detokenize){.ask = a->id, .special = begins, .begins = begins, .ids = ids});
    return ask_go(w, a);
}

worker_ask worker_detokenize(struct worker *w, struct bytes ids, worker_text_fn fn, void *arg)
{
    return detokenize(w, ids, false, fn, arg);
}

worker_ask worker_detokenize_prompt(struct worker *w, struct bytes ids, worker_text_fn fn, void *arg)
{
    return detokenize(w, ids, true, fn, arg);
}

worker_ask worker_score(struct worker *w, struct bytes ids, uint8_t logprobs, worker_text_fn fn, void *arg)
{
    struct ask *a = ask_new(w, ASK_SCORE, arg);
    a->fn.text = fn;
    if (ids.n > WIRE_BODY_IDS - 64)
        return too_long(w, a);
    wire_add_score(&a->frame, &(struct wire_score){.ask = a->id, .logprobs = logprobs, .ids = ids});
    return ask_go(w, a);
}

static bool is_too_long(struct bytes request, struct bytes tokens)
{
    return request.n > WIRE_BODY_IDS - 64 || tokens.n > WIRE_BODY_IDS - 64;
}

worker_ask worker_run(struct worker *w, const struct worker_work *work, const struct worker_calls *calls, void *arg)
{
    struct ask *a = ask_new(w, ASK_RUN, arg);
    a->fn.calls = *calls;
    if (is_too_long(work->request, work->tokens))
        return too_long(w, a);
    buf_add(&a->request, work->request.p, work->request.n);
    buf_add(&a->tokens, work->tokens.p, work->tokens.n);
    a->scope = work->scope;
    a->logprobs = work->logprobs;
    return ask_go(w, a);
}

worker_ask worker_verify(struct worker *w, const struct worker_work *work, const struct hash *digest,
                         worker_verdict_fn fn, void *arg)
{
    struct ask *a = ask_new(w, ASK_VERIFY, arg);
    a->fn.verdict = fn;
    if (is_too_long(work->request, work->tokens))
        return too_long(w, a);
    struct wire_verify m = {
        .ask = a->id, .scope = work->scope, .request = work->request, .tokens = work->tokens, .digest = *digest};
    a->is_witnessed = work->key != NULL;
    if (work->key)
        m.key = bytes_of(work->key->b, sizeof work->key->b);
    wire_add_verify(&a->frame, &m);
    return ask_go(w, a);
}

worker_ask worker_embed(struct worker *w, struct bytes ids, uint32_t dimensions, worker_embedding_fn fn, void *arg)
{
    struct ask *a = ask_new(w, ASK_EMBED, arg);
    a->fn.embedding = fn;
    if (ids.n > WIRE_BODY_IDS - 64)
        return too_long(w, a);
    wire_add_embed(&a->frame, &(struct wire_embed){a->id, dimensions, true, ids});
    return ask_go(w, a);
}

void worker_drop(struct worker *w, worker_ask id)
{
    struct ask *a = ask_find(w, id);
    if (!a)
        return;
    cancel(w, a);
    ask_unlink(w, a);
    ask_free(a);
}
