/* The questions to a worker, message by message: those about the vocabulary are answered at once, the others
 * become jobs of the scheduler. */
#include "base/json.h"
#include "base/mem.h"
#include "base/variables.h"
#include "inference/sched/sched_in.h"
#include "inference/template/answer_form.h"
#include "inference/template/chat.h"

#include <stdlib.h>
#include <string.h>

static enum err no_model(struct note *note)
{
    return note_set(note, ERR_STATE, "this worker has the model's vocabulary only, not its weights");
}

/* Any ids that a tokenizer gives, as a blob. */
static void put_ids(const struct tok_ids *ids, struct buf *out)
{
    for (size_t i = 0; i < ids->n; i++)
        wire_put_id(out, (uint32_t)ids->p[i]);
}

static enum err take_tokenize(struct sched *s, const struct wire_tokenize *m, struct buf *out, struct note *note)
{
    static const enum tok_ends ends[] = {
        [WIRE_ENDS_FILE] = TOK_ENDS_FILE, [WIRE_ENDS_NONE] = TOK_ENDS_NONE, [WIRE_ENDS_BOS] = TOK_ENDS_BOS};
    const struct tok_options o = {.ends = ends[m->ends], .special = m->special};
    struct tok_ids ids = {0};
    struct buf blob = {0};
    enum err e = tok_encode(s->tok, m->text, o, &ids, note);
    if (e == ERR_OK) {
        put_ids(&ids, &blob);
        wire_add_tokens(out, &(struct wire_tokens){m->ask, bytes_of_buf(&blob)});
    }
    buf_clear(&blob);
    tok_ids_clear(&ids);
    return e;
}

static enum err take_detokenize(struct sched *s, const struct wire_detokenize *m, struct buf *out, struct note *note)
{
    struct tok_ids ids = {0};
    struct buf text = {0}, reaches = {0}, marks = {0};
    enum err e = ERR_OK;
    for (size_t i = 0; i < wire_id_count(m->ids) && e == ERR_OK; i++) {
        uint32_t id = wire_id_at(m->ids, i);
        if (id >= tok_count(s->tok))
            e = note_set(note, ERR_RANGE, "token %u is not in the vocabulary of %u", id, tok_count(s->tok));
        else
            tok_ids_add(&ids, (int32_t)id);
    }
    if (e == ERR_OK && m->begins)
        tok_decode(s->tok, ids.p, ids.n, m->special, &text);
    for (size_t i = 0; i < ids.n && e == ERR_OK && !m->begins; i++) {
        tok_piece(s->tok, ids.p[i], m->special, &text);
        wire_put_id(&reaches, (uint32_t)text.n);
        if (!m->special)
            answer_marks_add(&marks, (uint32_t)i, tok_mark(s->tok, ids.p[i]));
    }
    if (e == ERR_OK && text.n > TEMPLATE_OUTPUT_MAX)
        e = note_set(note, ERR_LIMIT, "the text of these tokens has %zu bytes, over the most of %u", text.n,
                     (unsigned)TEMPLATE_OUTPUT_MAX);
    if (e == ERR_OK)
        wire_add_text(out,
                      &(struct wire_text){m->ask, bytes_of_buf(&text), bytes_of_buf(&reaches), bytes_of_buf(&marks)});
    buf_clear(&text);
    buf_clear(&reaches);
    buf_clear(&marks);
    tok_ids_clear(&ids);
    return e;
}

/* The text of a token in front or behind, empty where the file names none. */
static struct bytes end_text(const struct sched *s, int32_t id)
{
    return id < 0 ? bytes_of(NULL, 0) : tok_text(s->tok, id);
}

/* An answer that keeps to a schema has no room for thoughts: templates that can do without are told so, unless the
 * request says otherwise. */
static void set_thinking(const struct wire_template *m, json_t *variables)
{
    if (m->begins != WIRE_BEGINS_ANY && !json_object_get(variables, "enable_thinking"))
        json_object_set_new(variables, "enable_thinking", json_false());
}

static enum err render(const struct sched *s, const struct wire_template *m, const json_t *messages,
                       const json_t *tools, json_t *variables, struct buf *text, struct note *note)
{
    if (!json_is_array(messages))
        return note_set(note, ERR_FORMAT, "messages must be a JSON array of {\"role\":..,\"content\":..}");
    if (tools && !json_is_array(tools))
        return note_set(note, ERR_FORMAT, "tools must be a JSON array");
    enum err e = variables_check(variables, "variables", note);
    if (e != ERR_OK)
        return e;
    set_thinking(m, variables);
    const struct template_input in = {.source = s->template,
                                      .messages = messages,
                                      .tools = tools,
                                      .variables = variables,
                                      .bos = end_text(s, tok_bos(s->tok)),
                                      .eos = end_text(s, tok_eos(s->tok)),
                                      .add_generation_prompt = m->answer,
                                      .clock_s = (int64_t)(m->clock_ms / 1000)};
    return chat_render(&in, text, note);
}

/* Templates that write the beginning of text themselves get no second one. */
static enum tok_ends ends_of(const struct sched *s, const struct buf *text)
{
    struct bytes bos = end_text(s, tok_bos(s->tok));
    bool has = bos.n > 0 && text->n >= bos.n && memcmp(text->p, bos.p, bos.n) == 0;
    return has ? TOK_ENDS_NONE : TOK_ENDS_FILE;
}

/* What is empty is `otherwise` (taken). */
static json_t *parse_or(struct bytes text, json_t *otherwise_take, struct note *note)
{
    if (text.n == 0)
        return otherwise_take;
    json_decref(otherwise_take);
    return json_parse(text, note);
}

static enum err put_templated(const struct sched *s, const struct wire_template *m, struct buf *text, struct buf *out,
                              struct note *note)
{
    struct buf blob = {0};
    struct tok_ids ids = {0};
    bool called = false;
    if (m->answer && m->begins != WIRE_BEGINS_ANY)
        called = chat_begin(text, tok_has_channels(s->tok), m->begins == WIRE_BEGINS_CALL ? m->function.s : NULL);
    enum err e = tok_encode(s->tok, bytes_of_buf(text), (struct tok_options){ends_of(s, text), true}, &ids, note);
    if (e == ERR_OK)
        put_ids(&ids, &blob);
    if (e == ERR_OK && text->n + blob.n > WORKER_FRAME_MAX - 256)
        e = note_set(note, ERR_LIMIT, "the prompt has %zu bytes, which is too much", text->n);
    if (e == ERR_OK) {
        const struct answer_form f = answer_form_of(s->tok, s->template, bytes_of_buf(text));
        wire_add_templated(out, &(struct wire_templated){.ask = m->ask,
                                                         .called = called,
                                                         .thought = f.thought.kind,
                                                         .within = f.thought.is_within,
                                                         .said = f.thought.said,
                                                         .calls = f.calls,
                                                         .text = bytes_of_buf(text),
                                                         .ids = bytes_of_buf(&blob)});
    }
    buf_clear(&blob);
    tok_ids_clear(&ids);
    return e;
}

static enum err take_template(struct sched *s, const struct wire_template *m, struct buf *out, struct note *note)
{
    struct buf text = {0};
    if (s->template.n == 0)
        return note_set(note, ERR_UNSUPPORTED, "this model has no chat template: give it raw text with `kith run`");
    enum err e = ERR_FORMAT;
    json_t *messages = json_parse(m->messages, note);
    json_t *tools = messages ? parse_or(m->tools, json_null(), note) : NULL;
    json_t *variables = tools ? parse_or(m->variables, json_object(), note) : NULL;
    if (variables)
        e = render(s, m, messages, json_is_null(tools) ? NULL : tools, variables, &text, note);
    if (e == ERR_OK)
        e = put_templated(s, m, &text, out, note);
    json_decref(messages);
    json_decref(tools);
    json_decref(variables);
    buf_clear(&text);
    return e;
}

static enum err add_session(struct sched *s, uint64_t ask, bool endless, struct session_options *o, struct note *note)
{
    if (!s->engine)
        return no_model(note);
    o->engine = s->engine;
    o->tok = endless ? NULL : s->tok;
    o->model = s->root;
    struct cursor c = cursor_of(o->request);
    struct request r;
    request_get(&c, &r);
    if (!cursor_end(&c))
        return note_set(note, ERR_FORMAT, "the request is not one of this version");
    struct sched_job *j = mem_new(sizeof *j);
    j->ask = ask;
    enum err e = session_new(o, &j->session, note);
    if (e != ERR_OK) {
        free(j);
        return e;
    }
    return sched_add_job(s, j, request_prompt_n(&r) + r.tokens_max, note);
}

static enum err take_run(struct sched *s, const struct wire_run *m, struct buf *out, struct note *note)
{
    (void)out;
    struct session_options o = {.mode = SESSION_RUN,
                                .request = m->request,
                                .tokens = m->tokens,
                                .scope = m->scope,
                                .logprobs = m->logprobs,
                                .is_forced = m->forced,
                                .draft = m->draft ? m->draft - 1u : DRAFT_MAX};
    return add_session(s, m->ask, m->endless, &o, note);
}

static enum err take_verify(struct sched *s, const struct wire_verify *m, struct buf *out, struct note *note)
{
    (void)out;
    struct session_options o = {
        .mode = SESSION_VERIFY, .request = m->request, .tokens = m->tokens, .digest = m->digest, .scope = m->scope};
    struct hash key;
    if (m->key.n) {
        memcpy(key.b, m->key.p, sizeof key.b);
        o.key = &key;
    }
    return add_session(s, m->ask, m->endless, &o, note);
}

/* A text of tokens that the engine can take. */
static enum err check_ids(const struct sched *s, struct bytes ids, struct note *note)
{
    size_t n = wire_id_count(ids);
    if (!s->engine)
        return no_model(note);
    if (n == 0 || n > engine_context(s->engine))
        return note_set(note, ERR_LIMIT, "%zu tokens: from 1 to the context of %u", n, engine_context(s->engine));
    for (size_t i = 0; i < n; i++)
        if (wire_id_at(ids, i) >= s->model->vocab)
            return note_set(note, ERR_RANGE, "token %u is not in the vocabulary of %u", wire_id_at(ids, i),
                            s->model->vocab);
    return ERR_OK;
}

static enum err take_embed(struct sched *s, const struct wire_embed *m, struct buf *out, struct note *note)
{
    (void)out;
    enum err e = check_ids(s, m->ids, note);
    if (e == ERR_OK && m->dimensions > s->model->embed)
        e = note_set(note, ERR_RANGE, "%u dimensions are asked for: this model's vectors have %u", m->dimensions,
                     s->model->embed);
    if (e != ERR_OK)
        return e;
    struct sched_job *j = mem_new(sizeof *j);
    j->ask = m->ask;
    j->dimensions = m->dimensions ? m->dimensions : s->model->embed;
    j->is_unit = m->unit;
    j->vector = mem_array(s->model->embed, sizeof *j->vector);
    if (model_writes(s->model))
        j->seq = engine_seq_new(s->engine, (uint32_t)wire_id_count(m->ids));
    buf_add(&j->ids, m->ids.p, m->ids.n);
    return sched_add_job(s, j, (uint32_t)wire_id_count(m->ids), note);
}

/* A job that evaluates the ids once. */
static enum err add_ids(struct sched *s, uint64_t ask, struct bytes ids, struct sched_job **job, struct note *note)
{
    size_t n = wire_id_count(ids);
    if (!s->engine)
        return no_model(note);
    if (!model_writes(s->model))
        return note_set(note, ERR_UNSUPPORTED, "a model of the architecture %s only makes embeddings: it has no logits",
                        s->model->architecture);
    enum err e = check_ids(s, ids, note);
    if (e != ERR_OK)
        return e;
    struct sched_job *j = mem_new(sizeof *j);
    j->ask = ask;
    j->seq = engine_seq_new(s->engine, (uint32_t)n);
    buf_add(&j->ids, ids.p, ids.n);
    *job = j;
    return sched_add_job(s, j, (uint32_t)n, note);
}

static enum err take_logits(struct sched *s, const struct wire_logits *m, struct buf *out, struct note *note)
{
    struct sched_job *j;
    (void)out;
    return add_ids(s, m->ask, m->ids, &j, note);
}

static enum err take_score(struct sched *s, const struct wire_score *m, struct buf *out, struct note *note)
{
    struct sched_job *j;
    (void)out;
    size_t n = wire_id_count(m->ids);
    size_t least = m->logprobs ? 1 : 2; /* the first is told, too */
    if (n < least || m->from > n - least)
        return note_set(note, ERR_RANGE, "scores from position %u on, of %zu tokens: there is none", m->from, n);
    enum err e = add_ids(s, m->ask, m->ids, &j, note);
    if (e == ERR_OK) {
        j->is_score = true;
        j->from = m->from;
        j->logprobs = m->logprobs;
    }
    return e;
}

static enum err take_cancel(struct sched *s, const struct wire_cancel *m, struct buf *out, struct note *note)
{
    (void)note;
    if (sched_cancel_job(s, m->ask))
        wire_add_failure(out, m->ask, ERR_CANCELLED, NULL);
    return ERR_OK;
}

/* What can be asked once the model is open. */
#define ASKS(A)                                                                                                        \
    A(tokenize, TOKENIZE)                                                                                              \
    A(detokenize, DETOKENIZE)                                                                                          \
    A(template, TEMPLATE)                                                                                              \
    A(run, RUN)                                                                                                        \
    A(verify, VERIFY)                                                                                                  \
    A(logits, LOGITS)                                                                                                  \
    A(score, SCORE)                                                                                                    \
    A(embed, EMBED)                                                                                                    \
    A(cancel, CANCEL)

enum err sched_take(struct sched *s, const struct wire_frame *frame, struct buf *out, struct note *note)
{
    enum err e;
    note->text[0] = 0;
    switch ((int)frame->type) {
#define A(name, NAME)                                                                                                  \
    case WIRE_##NAME: {                                                                                                \
        struct wire_##name m;                                                                                          \
        if (!wire_read_##name(frame->body, &m))                                                                        \
            break;                                                                                                     \
        e = take_##name(s, &m, out, note);                                                                             \
        if (e != ERR_OK)                                                                                               \
            wire_add_failure(out, m.ask, e, note);                                                                     \
        return ERR_OK;                                                                                                 \
    }
        ASKS(A)
#undef A
    default:
        break;
    }
    return note_set(note, ERR_PROTOCOL, "a message `%s` that is malformed or out of place", wire_name(frame->type));
}
