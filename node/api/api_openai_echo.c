/* Completions that tell their prompt again (`echo`), with how likely each of its tokens was where `logprobs` are asked
 * for, and those that ask for no token at all (`max_tokens` 0). This is what evaluations of models ask: how likely a
 * given text is.
 *
 *     a text   -> tokens, where they are needed --.
 *     tokens   -> their text, where it is told ---+-> their logprobs, if asked for -> told
 *
 * A few prompts at a time, by the worker of a model on this machine; a text that is told without its logprobs needs
 * none. Then the jobs are made, as without it; or, where no token is asked for, that is the answer. */
#include "node/api/api_openai_answer.h"

#include "base/mem.h"
#include "node/node.h"

#include <stdlib.h>
#include <string.h>

#define AT_ONCE 8 /* prompts that the worker has of one request */

struct echo;

struct prompt {
    struct echo *echo;
    struct openai_told *told;
    worker_ask ask;
};

struct echo {
    struct answer *answer;
    struct openai_ask *ask;
    json_t *body;
    struct worker *worker; /* NULL: not needed */
    struct prompt *prompt;
    uint32_t n, asked, done;
};

void openai_told_clear(struct openai_told *t)
{
    buf_clear(&t->text);
    buf_clear(&t->ids);
    buf_clear(&t->logprobs);
}

enum err openai_find_worker(struct node *n, const char *model, const char *what, struct hash *root, struct worker **out,
                            struct note *note)
{
    int fd;
    enum err e = market_find_model(n->market, model, root, note);
    if (e != ERR_OK)
        return e;
    if (!blobs_path(n->blobs, root))
        return note_set(note, ERR_NOT_FOUND, "%s come from models on this machine: kith model pull %.100s", what,
                        model);
    *out = workers_find(n->workers, root, WORKER_FULL);
    if (*out)
        return ERR_OK;
    e = blobs_fd(n->blobs, root, &fd, note);
    return e == ERR_OK ? workers_get(n->workers, root, WORKER_FULL, fd, out, note) : e;
}

/* But for the answer. */
static void echo_free(struct echo *x)
{
    for (uint32_t i = 0; i < x->n; i++)
        if (x->prompt[i].ask)
            worker_drop(x->worker, x->prompt[i].ask);
    free(x->prompt);
    if (x->ask) {
        openai_ask_clear(x->ask);
        free(x->ask);
    }
    json_decref(x->body);
    free(x);
}

static void refuse(struct echo *x, enum err e, const char *text)
{
    openai_refuse(x->answer->request, e, "prompt", text);
    openai_answer_free(x->answer);
    echo_free(x);
}

static void on_client_gone(void *arg, struct http_request *r)
{
    struct echo *x = arg;
    (void)r;
    openai_answer_free(x->answer);
    echo_free(x);
}

/* -- when all are read -- */

/* No token was asked for, so no job answers: the prompts are the answer. */
static void answer_prompts(struct echo *x)
{
    struct answer *a = x->answer;
    struct job_view v = {.state = JOB_DONE, .stop = "length", .text = "", .made_ms = host_wall_ms(a->node->host)};
    bool good = true;
    char id[65];
    a->choice = mem_array((size_t)x->n * x->ask->n, sizeof *a->choice);
    for (; a->n < x->n * x->ask->n; a->n++) {
        struct choice *c = &a->choice[a->n];
        *c = (struct choice){.answer = a, .index = a->n, .is_over = true};
        c->told = x->ask->echo_prompt ? &a->told[a->n / x->ask->n] : NULL;
    }
    host_random(a->node->host, a->choice[0].job.b, sizeof a->choice[0].job.b); /* the answer's id */
    hex_put(id, a->choice[0].job.b, sizeof a->choice[0].job.b);
    for (uint32_t i = 0; i < x->n; i++)
        a->usage.prompt += a->told[i].ids.n / 4;
    openai_name_ignored(a->request, x->body, a->form->kind);
    http_add_header(a->request, "X-Request-Id", id);
    if (a->stream)
        openai_start_stream(a);
    for (unsigned i = 0; i < a->n && good; i++)
        if (a->stream)
            good = a->form->send(&a->choice[i], &v, 0);
        else
            a->form->put_choice(&a->choice[i], &v);
    if (a->stream) {
        (void)(good && a->form->send_end(a, &v));
        http_stream_end(a->request);
    } else {
        struct buf b = {0};
        a->form->put_whole(&b, a, v.made_ms);
        api_reply_json(a->request, 200, &b);
    }
    openai_answer_free(a);
}

static void go_on(struct echo *x)
{
    if (x->ask->no_answer) {
        answer_prompts(x);
    } else {
        openai_go_take(x->answer, x->ask, x->body);
        x->ask = NULL;
        x->body = NULL;
    }
    echo_free(x);
}

/* -- reading -- */

static void ask_more(struct echo *x);

static void prompt_is_read(struct prompt *p)
{
    struct echo *x = p->echo;
    if (++x->done == x->n)
        go_on(x);
    else
        ask_more(x);
}

static void on_scored(void *arg, enum err e, const struct worker_text *t, const struct note *note)
{
    struct prompt *p = arg;
    p->ask = 0;
    if (e != ERR_OK) {
        refuse(p->echo, e, note->text);
        return;
    }
    buf_add(&p->told->logprobs, t->text.p, t->text.n);
    prompt_is_read(p);
}

/* It has its text, and its tokens where they are needed. */
static void score(struct prompt *p)
{
    struct echo *x = p->echo;
    struct worker_info info;
    struct note note;
    worker_get_info(x->worker, &info);
    if (info.ready && p->told->ids.n / 4 > info.context)
        refuse(x,
               note_set(&note, ERR_LIMIT, "the prompt of %zu tokens does not fit the model's context of %u tokens",
                        p->told->ids.n / 4, info.context),
               note.text);
    else if (p->told->ids.n == 0)
        refuse(x, note_set(&note, ERR_FORMAT, "prompt %u has no tokens", (unsigned)(p - x->prompt)), note.text);
    else if (x->ask->echo_prompt && x->ask->job.logprobs)
        p->ask = worker_score(x->worker, bytes_of_buf(&p->told->ids), x->ask->job.logprobs, on_scored, p);
    else
        prompt_is_read(p);
}

static void on_ids(void *arg, enum err e, struct bytes ids, const struct note *note)
{
    struct prompt *p = arg;
    p->ask = 0;
    if (e != ERR_OK) {
        refuse(p->echo, e, note->text);
        return;
    }
    buf_add(&p->told->ids, ids.p, ids.n);
    score(p);
}

static void on_text(void *arg, enum err e, const struct worker_text *t, const struct note *note)
{
    struct prompt *p = arg;
    p->ask = 0;
    if (e != ERR_OK) {
        refuse(p->echo, e, note->text);
        return;
    }
    buf_add(&p->told->text, t->text.p, t->text.n);
    score(p);
}

static void ask_more(struct echo *x)
{
    while (x->asked < x->n && x->asked - x->done < AT_ONCE) {
        struct prompt *p = &x->prompt[x->asked];
        struct openai_input in = openai_input_at(x->body, "prompt", x->asked++, &p->told->ids);
        if (in.text)
            buf_add_text(&p->told->text, in.text);
        p->ask = in.text ? worker_tokenize(x->worker, bytes_of_text(in.text), false, on_ids, p)
                         : worker_detokenize_prompt(x->worker, in.ids, on_text, p);
    }
}

/* -- beginning -- */

/* Texts that are told as they are, in front of an answer that anybody gives. */
static bool needs_worker(const struct echo *x)
{
    bool are_texts = true;
    struct buf ids = {0};
    for (uint32_t i = 0; i < x->n; i++)
        are_texts = are_texts && openai_input_at(x->body, "prompt", i, &ids).text;
    buf_clear(&ids);
    return x->ask->job.logprobs || x->ask->no_answer || !are_texts;
}

static enum err begin(struct echo *x, struct note *note)
{
    struct hash root;
    if (!needs_worker(x)) {
        for (uint32_t i = 0; i < x->n; i++)
            buf_add_text(&x->answer->told[i].text, openai_input_at(x->body, "prompt", i, &x->answer->told[i].ids).text);
        return ERR_OK;
    }
    if (x->ask->job.route == ROUTE_NETWORK)
        return note_set(note, ERR_FORMAT,
                        "echo of tokens or with logprobs, and max_tokens 0, are of models on this machine only: "
                        "leave out kith.route");
    return openai_find_worker(x->answer->node, x->ask->job.model, "echo of tokens or with logprobs, and max_tokens 0",
                              &root, &x->worker, note);
}

void openai_echo_take(struct answer *a, struct openai_ask *ask, json_t *body)
{
    struct note note = {{0}};
    struct echo *x = mem_new(sizeof *x);
    *x = (struct echo){.answer = a, .ask = ask, .body = body, .n = ask->prompts_n};
    x->prompt = mem_array(x->n, sizeof *x->prompt);
    a->told = mem_array(x->n, sizeof *a->told);
    a->told_n = x->n;
    for (uint32_t i = 0; i < x->n; i++)
        x->prompt[i] = (struct prompt){.echo = x, .told = &a->told[i]};
    enum err e = begin(x, &note);
    if (e != ERR_OK)
        refuse(x, e, note.text);
    else if (!x->worker)
        go_on(x);
    else {
        http_on_gone(a->request, on_client_gone, x);
        ask_more(x);
    }
}
