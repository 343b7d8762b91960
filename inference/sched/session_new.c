/* A session's beginning: what it is asked, and whether that can be. */
#include "inference/sched/session_in.h"

#include "base/mem.h"

#include <stdlib.h>

static enum err read_known(struct session *s, struct bytes tokens, struct note *note)
{
    uint32_t vocab = engine_model(s->engine)->vocab;
    size_t n = tokens.n / 4;
    if (tokens.n % 4 || n > s->request.tokens_max)
        return note_set(note, ERR_RANGE, "%zu tokens of the answer are given, at most %u were asked for", n,
                        s->request.tokens_max);
    for (size_t i = 0; i < n; i++) {
        uint32_t id = load_le32(tokens.p + 4 * i);
        if (id >= vocab)
            return note_set(note, ERR_RANGE, "token %u at position %zu of the answer: the vocabulary has %u", id, i,
                            vocab);
        s->tokens[s->prompt_n + i] = id;
    }
    s->known_n = (uint32_t)n;
    return ERR_OK;
}

/* What was taken for known is what will be chosen. */
static void force(struct session *s)
{
    s->forced = mem_array(s->known_n ? s->known_n : 1, sizeof *s->forced);
    s->forced_n = s->known_n;
    for (uint32_t i = 0; i < s->known_n; i++)
        s->forced[i] = s->tokens[s->prompt_n + i];
    s->known_n = 0;
}

static enum err read_request(struct session *s, const struct session_options *o, struct note *note)
{
    const struct model *m = engine_model(o->engine);
    if (!model_writes(m))
        return note_set(note, ERR_UNSUPPORTED,
                        "a model of the architecture %s only makes embeddings: it writes no text", m->architecture);
    buf_add(&s->raw, o->request.p, o->request.n);
    struct cursor c = cursor_of(bytes_of_buf(&s->raw));
    request_get(&c, &s->request);
    if (!cursor_end(&c))
        return note_set(note, ERR_FORMAT, "the request is not in its canonical form");
    enum err e = request_check(&s->request, m->vocab, engine_context(o->engine), note);
    if (e != ERR_OK)
        return e;
    s->prompt_n = request_prompt_n(&s->request);
    s->tokens = mem_array((size_t)s->prompt_n + s->request.tokens_max, sizeof *s->tokens);
    for (uint32_t i = 0; i < s->prompt_n; i++)
        s->tokens[i] = request_prompt_at(&s->request, i);
    return read_known(s, o->tokens, note);
}

static enum err check_steps(const struct session *s, const struct session_options *o, struct note *note)
{
    const uint32_t at = o->mode == SESSION_VERIFY ? o->until : o->stepped;
    if (at && !request_is_step_end(at, s->prompt_n))
        return note_set(note, ERR_RANGE, "no step of a prompt of %u tokens ends at %u", s->prompt_n, at);
    return ERR_OK;
}

static enum err read_schema(struct session *s, struct note *note)
{
    if (!s->tok)
        return note_set(note, ERR_UNSUPPORTED, "a schema was asked for: this model has no vocabulary to write it with");
    return constraint_new(s->request.schema, s->tok, engine_model(s->engine)->vocab, &s->constraint, note);
}

/* Its rows are evaluated, all of them, in this sequence. */
static void seek_witness(struct session *s, const struct hash *key)
{
    const struct model *m = engine_model(s->engine);
    s->witness = witness_new(&(struct witness_options){.key = *key,
                                                       .layers = m->layers,
                                                       .embed = m->embed,
                                                       .prompt_n = s->until ? s->until : s->prompt_n,
                                                       .answer_n = s->known_n});
    witness_tap(s->witness, s->seq);
}

enum err session_new(const struct session_options *o, struct session **out, struct note *note)
{
    struct session *s = mem_new(sizeof *s);
    s->mode = o->mode;
    s->engine = o->engine;
    s->tok = o->tok;
    s->claimed = o->digest;
    enum err e = read_request(s, o, note);
    if (e == ERR_OK)
        e = check_steps(s, o, note);
    if (e == ERR_OK && s->request.schema.n)
        e = read_schema(s, note);
    if (e != ERR_OK) {
        session_free(s);
        return e;
    }
    s->digest = digest_start(&o->model, &s->request);
    s->reads_to = o->reads_to ? o->reads_to : UINT32_MAX;
    s->step = o->reads_to ? request_step_end(o->stepped, s->prompt_n) : 0;
    s->until = o->until;
    s->seq = engine_seq_new(o->engine, s->prompt_n + s->request.tokens_max);
    if (o->is_forced)
        force(s);
    if (o->mode == SESSION_RUN)
        s->draft.most = o->draft < DRAFT_MAX ? o->draft : DRAFT_MAX;
    if (o->mode == SESSION_VERIFY && o->key)
        seek_witness(s, o->key);
    s->is_shared = !hash_is_zero(&o->scope) && !s->witness;
    if (s->is_shared)
        engine_seq_share(s->seq, &o->scope);
    CHECK(o->logprobs <= 1 + LOGPROBS_MAX);
    s->logprobs = o->mode == SESSION_RUN ? o->logprobs : 0;
    if (s->logprobs)
        s->raw_logits = mem_array(engine_model(o->engine)->vocab, sizeof *s->raw_logits);
    s->is_plain = sampler_is_plain(&s->request) && !s->constraint && !s->logprobs;
    s->beyond = o->mode == SESSION_VERIFY && s->known_n == 0 && !s->until;
    *out = s;
    return ERR_OK;
}

void session_free(struct session *s)
{
    if (!s)
        return;
    engine_seq_free(s->seq);
    witness_free(s->witness);
    sampler_free(s->sampler);
    constraint_free(s->constraint);
    buf_clear(&s->raw);
    buf_clear(&s->text);
    buf_clear(&s->event_text);
    buf_clear(&s->event_logprobs);
    free(s->raw_logits);
    free(s->tokens);
    free(s->forced);
    free(s);
}
