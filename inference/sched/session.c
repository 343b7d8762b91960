/* A request turned into tokens.
 *
 * Positions of a sequence: the prompt's tokens 0..p-1, then the answer's. The row of position p-1+i gives answer token
 * i; so the rows from p-1 on are wanted, and each is followed, in the sequence, by the token that it gave. */
#include "inference/sched/session_in.h"

#include "inference/sched/logprob.h"

#include <stdlib.h>
#include <string.h>

_Static_assert(DRAFT_MAX <= GUESSES_MAX, "every row of a draft may be taken back");

/* -- rows -- */

/* Steps that were shared cost nothing: nobody waits to be let go on with them, and none of them is told. */
static void skip_steps(struct session *s)
{
    if (!s->step || s->step > s->fed)
        return;
    while (s->step && s->step <= s->fed)
        s->step = request_step_end(s->step, s->prompt_n);
    session_go(s, s->step ? s->step : UINT32_MAX);
}

/* The row of the prompt's last token is always evaluated: the answer is made from its hidden state. */
static void share_rows(struct session *s)
{
    if (!s->is_shared || s->fed + ARITH_CHUNK >= s->prompt_n || engine_seq_length(s->seq) != s->fed)
        return;
    uint32_t end = engine_seq_reuse(s->seq, s->tokens, (s->until ? s->until : s->prompt_n) - 1);
    s->shared_n += end - s->fed;
    s->fed = end;
    skip_steps(s);
}

/* A step's end that is told: the state of its last position is asked for. */
static bool is_step_row(const struct session *s, uint32_t position)
{
    return position + 1 < s->prompt_n && (position + 1 == s->step || position + 1 == s->until);
}

void session_go(struct session *s, uint32_t reads_to)
{
    if (reads_to > s->reads_to)
        s->reads_to = reads_to;
}

bool session_is_held(const struct session *s)
{
    return !s->over && s->fed >= s->reads_to && s->fed < s->prompt_n;
}

bool session_next_key(struct session *s, struct hash *key)
{
    if (s->over || session_is_held(s))
        return false;
    share_rows(s);
    return engine_seq_next_key(s->seq, s->tokens, s->prompt_n, key);
}

/* Rows behind the certain one, for tokens that may come. They keep away from the last position of a page of the cache,
 * so that none is whole before all in it is certain, and from the last token of the answer, which needs no row. */
static uint32_t guess_rows(struct session *s, const struct draft_cost *cost, struct engine_row *rows, uint32_t max)
{
    uint32_t n = s->prompt_n + s->chosen_n, left = s->prompt_n + s->request.tokens_max - 1 - n;
    uint32_t page = ARITH_CHUNK - 1 - n % ARITH_CHUNK, room = max < left ? max : left;
    uint32_t k = draft_length(&s->draft, cost, room < page ? room : page);
    k = k ? draft_guess(s->tokens, n, k, s->tokens + n) : 0;
    for (uint32_t i = 0; i < k; i++)
        rows[i] = (struct engine_row){
            .seq = s->seq, .token = s->tokens[n + i], .wants = true, .best_only = s->is_plain, .guessed = true};
    return k;
}

uint32_t session_rows(struct session *s, const struct draft_cost *cost, struct engine_row *rows, uint32_t max,
                      uint32_t logits_max)
{
    /* Fed may be: the prompt, the known tokens, and what was chosen; never the last token of the answer. */
    uint32_t answer = s->chosen_n > s->known_n ? s->chosen_n : s->known_n;
    uint32_t end = s->prompt_n + answer, last = s->prompt_n + s->request.tokens_max - 1, n = 0;
    const bool is_plain = s->is_plain || s->is_settled; /* then nothing is chosen any more */
    if (s->over)
        return 0;
    share_rows(s);
    if (s->mode == SESSION_VERIFY)
        end = s->until ? s->until : s->prompt_n + s->known_n - (s->beyond ? 0 : 1);
    if (end > last)
        end = last;
    if (s->reads_to < s->prompt_n && end > s->reads_to)
        end = s->reads_to;
    for (; n < max && s->fed < end; n++, s->fed++) {
        const bool wants = s->fed + 1 >= s->prompt_n, ends_step = is_step_row(s, s->fed);
        if (wants && !is_plain && logits_max-- == 0)
            break;
        rows[n] = (struct engine_row){.seq = s->seq,
                                      .token = s->tokens[s->fed],
                                      .wants = wants || ends_step,
                                      .best_only = ends_step || (wants && is_plain)};
        if (ends_step && s->step)
            s->step = request_step_end(s->fed + 1, s->prompt_n);
    }
    s->guesses = 0;
    if (s->draft.most && n > 0 && n < max && s->chosen_n > 0 && s->chosen_n >= s->known_n &&
        s->fed == s->prompt_n + s->chosen_n && s->fed < last) {
        s->guesses = guess_rows(s, cost, rows + n, max - n);
        s->fed += s->guesses;
    }
    return n + s->guesses;
}

const struct draft *session_draft(const struct session *s)
{
    return &s->draft;
}

bool session_is_prefilling(const struct session *s)
{
    return s->fed + 1 < s->prompt_n + s->known_n;
}

uint32_t session_unread_n(const struct session *s)
{
    uint32_t end = s->prompt_n + s->known_n;
    end = s->reads_to < s->prompt_n ? s->reads_to : end;
    return s->fed < end ? end - s->fed : 0;
}

uint32_t session_read_n(const struct session *s)
{
    return s->fed;
}

uint32_t session_shared_n(const struct session *s)
{
    return s->shared_n;
}

/* -- text -- */

/* The answer's text has ended with a stop text: it is cut where the first one begins. It may have begun in any token;
 * only a match that ends in new text is new, but all of it is short to search. */
static bool ends_with_stop(struct session *s)
{
    size_t first = s->text.n;
    for (size_t at = 0; at < s->request.stops.n;) {
        size_t n = s->request.stops.p[at++];
        const uint8_t *stop = s->request.stops.p + at;
        at += n;
        for (size_t i = s->shown; i < first && i + n <= s->text.n; i++)
            if (memcmp(s->text.p + i, stop, n) == 0)
                first = i;
    }
    bool ends = first < s->text.n;
    s->text.n = first;
    return ends;
}

/* Bytes at the end that may still become a stop text or a whole character. */
static size_t held_back(const struct session *s)
{
    size_t held = text_half_character(bytes_of_buf(&s->text));
    for (size_t at = 0; at < s->request.stops.n;) {
        size_t n = s->request.stops.p[at++];
        const uint8_t *stop = s->request.stops.p + at;
        at += n;
        for (size_t k = n - 1; k > held; k--)
            if (k <= s->text.n - s->shown && memcmp(s->text.p + s->text.n - k, stop, k) == 0)
                held = k;
    }
    return held;
}

/* What may be given out now and was not yet. */
static struct bytes show(struct session *s, bool all)
{
    size_t end = s->text.n - (all ? 0 : held_back(s));
    if (end <= s->shown)
        return (struct bytes){0};
    struct bytes out = bytes_of(s->text.p + s->shown, end - s->shown);
    s->shown = end;
    return out;
}

/* -- events -- */

static struct session_event *add_event(struct session *s, enum session_event_kind kind)
{
    CHECK(s->events_n < SESSION_EVENTS_MAX);
    struct session_event *e = &s->events[s->events_n++];
    *e = (struct session_event){.kind = kind, .digest = s->digest};
    return e;
}

bool session_is_over(const struct session *s)
{
    return s->over;
}

uint32_t session_prompt_n(const struct session *s)
{
    return s->prompt_n;
}

uint32_t session_tokens_n(const struct session *s)
{
    return s->chosen_n;
}

static void end_run(struct session *s, enum request_stop stop)
{
    struct session_event *e = add_event(s, SESSION_DONE);
    e->index = s->chosen_n;
    e->stop = (uint8_t)stop;
    e->text = show(s, true);
    s->over = true;
}

/* `stop`: what the answer ends with at its last token; REQUEST_STOPS: nothing, or it is not the model's so far. */
static void end_verify(struct session *s, bool same, uint32_t index, uint32_t token, enum request_stop stop)
{
    s->verdict = (struct session_event){SESSION_VERIFIED, .digest = s->digest, .index = index, .token = token};
    s->verdict.same = same && hash_equal(&s->digest, &s->claimed);
    s->verdict.stop = (uint8_t)stop;
    s->is_settled = true;
}

/* The verdict is told when the witness has its rows, too. */
static void tell_verdict(struct session *s)
{
    if (!s->is_settled || (s->witness && !witness_is_whole(s->witness)))
        return;
    if (s->witness)
        s->verdict.witness = witness_end(s->witness);
    s->verdict.is_witnessed = s->witness != NULL;
    *add_event(s, SESSION_VERIFIED) = s->verdict;
    s->over = true;
}

/* -- results -- */

static bool is_end(const struct session *s, uint32_t token)
{
    return s->tok && tok_is_eog(s->tok, (int32_t)token);
}

/* Adds a token to the text; true if the answer ends with it, and why. */
static bool ends_answer(struct session *s, uint32_t token, enum request_stop *stop)
{
    if (is_end(s, token)) {
        *stop = REQUEST_EOS;
        return true;
    }
    if (s->tok)
        tok_piece(s->tok, (int32_t)token, false, &s->text);
    if (ends_with_stop(s)) {
        *stop = REQUEST_STOP;
        return true;
    }
    *stop = REQUEST_LENGTH;
    if (s->chosen_n == s->request.tokens_max)
        return true;
    enum constraint_state state = s->constraint ? constraint_take(s->constraint, token) : CONSTRAINT_OPEN;
    *stop = state == CONSTRAINT_WHOLE ? REQUEST_STOP : REQUEST_SCHEMA;
    return state != CONSTRAINT_OPEN;
}

static void fail_known(struct session *s, uint32_t index, uint32_t token)
{
    struct session_event *e = add_event(s, SESSION_FAILED);
    e->index = index;
    e->token = token;
    s->over = true;
}

/* A choice in a run: checked where the token was known, reported where it is new. */
static void take_choice(struct session *s, uint32_t token)
{
    uint32_t i = s->chosen_n;
    enum request_stop stop;
    bool known = i < s->known_n;
    if (known && s->tokens[s->prompt_n + i] != token) {
        fail_known(s, i, token);
        return;
    }
    s->tokens[s->prompt_n + i] = token;
    s->chosen_n++;
    bool over = ends_answer(s, token, &stop);
    struct bytes text = show(s, false);
    if (over && s->chosen_n < s->known_n) {
        fail_known(s, s->chosen_n, token); /* tokens behind the end */
        return;
    }
    if (!known) {
        struct session_event *e = add_event(s, SESSION_TOKEN);
        e->index = i;
        e->token = token;
        e->text = text;
        e->reach = (uint32_t)s->text.n;
        e->mark = s->tok ? tok_mark(s->tok, (int32_t)token) : bytes_of(NULL, 0);
        e->logprobs = bytes_of_buf(&s->event_logprobs);
    }
    if (over)
        end_run(s, stop);
}

/* All tokens are the model's. If the digest is not, the answer may have ended, one position further, by a number that
 * is not finite: only the row of that position can tell, so it is evaluated before anybody is accused. */
static void check_end(struct session *s, bool over, uint32_t token, enum request_stop stop)
{
    if (!over && !s->beyond && !hash_equal(&s->digest, &s->claimed))
        s->beyond = true;
    else
        end_verify(s, true, s->known_n, token, over ? stop : REQUEST_STOPS);
}

/* What the answer claims at this place against what the model chose. */
static void take_check(struct session *s, uint32_t token)
{
    uint32_t i = s->chosen_n++;
    enum request_stop stop;
    if (s->tokens[s->prompt_n + i] != token) {
        end_verify(s, false, i, token, REQUEST_STOPS);
        return;
    }
    bool over = ends_answer(s, token, &stop);
    show(s, false);
    if (s->chosen_n == s->known_n)
        check_end(s, over, token, stop);
    else if (over)
        end_verify(s, false, s->chosen_n, token, REQUEST_STOPS); /* tokens behind the end */
}

static void take_numeric(struct session *s)
{
    digest_add_numeric(&s->digest);
    if (s->mode == SESSION_RUN)
        end_run(s, REQUEST_NUMERIC);
    else
        end_verify(s, s->chosen_n == s->known_n, s->chosen_n, 0, REQUEST_NUMERIC);
}

/* What the model thought of the token that was chosen, and of the likeliest; with their texts, which only we know. */
static void tell_logprobs(struct session *s, uint32_t token)
{
    uint32_t vocab = engine_model(s->engine)->vocab, n = s->logprobs < vocab ? s->logprobs : vocab;
    struct logprob all[1 + LOGPROBS_MAX];
    logprob_all(engine_ops(s->engine), s->raw_logits, vocab, token, n - 1, all);
    buf_reset(&s->event_logprobs);
    logprob_put(&s->event_logprobs, s->tok, all, n);
}

/* The token that follows the first `position` of them, by the row of the last; they are those that were given where
 * nothing is chosen yet. */
static uint32_t pick(const struct session *s, struct sampler *sampler, const struct engine_row *row, uint32_t position)
{
    return sampler_pick(sampler, &s->request, s->constraint ? constraint_mask(s->constraint) : NULL, row->logits,
                        s->tokens, position, s->request.choice, position);
}

static void hash_hidden(const struct session *s, struct engine_row *row)
{
    row->hidden_hash = digest_hidden(row->hidden, engine_model(s->engine)->embed);
    row->is_hashed = true;
}

bool session_may_look(const struct session *s, uint32_t i)
{
    const struct engine_row *row = &s->rows[i];
    return !s->over && !s->is_settled && row->wants && row->finite;
}

void session_look(const struct session *s, uint32_t i, struct sampler *sampler)
{
    struct engine_row *row = &s->rows[i];
    hash_hidden(s, row);
    if (!row->logits || s->constraint || s->logprobs)
        return;
    row->best = pick(s, sampler, row, s->fed - s->rows_n + i + 1);
    row->logits = NULL;
}

static uint32_t choose(struct session *s, const struct engine_row *row, uint32_t position)
{
    if (s->forced && s->chosen_n < s->forced_n)
        return s->forced[s->chosen_n];
    if (!row->logits)
        return row->best;
    if (!s->sampler)
        s->sampler = sampler_new(engine_ops(s->engine), engine_model(s->engine)->vocab);
    return pick(s, s->sampler, row, position);
}

static void take_one(struct session *s, struct engine_row *row)
{
    if (!row->finite) {
        take_numeric(s);
        return;
    }
    uint32_t position = s->prompt_n + s->chosen_n;
    if (s->beyond) { /* a number after all, so the answer did not end there and the digest stays different */
        end_verify(s, true, s->known_n, s->known_n ? s->tokens[position - 1] : 0, REQUEST_STOPS);
        return;
    }
    bool tells = s->logprobs && s->chosen_n >= s->known_n;
    if (tells)
        memcpy(s->raw_logits, row->logits, engine_model(s->engine)->vocab * sizeof *s->raw_logits);
    uint32_t token = choose(s, row, position);
    if (!row->is_hashed)
        hash_hidden(s, row);
    digest_add(&s->digest, &row->hidden_hash, token);
    if (tells)
        tell_logprobs(s, token);
    if (s->mode == SESSION_RUN)
        take_choice(s, token);
    else
        take_check(s, token);
}

/* Where the choice is another token than the next row's, that row of the draft and those behind it never were. */
static void check_draft(struct session *s)
{
    uint32_t at = s->rows_at - (s->rows_n - s->guesses), fed = s->prompt_n + s->chosen_n - 1;
    if (s->guesses == 0 || s->rows_at + s->guesses < s->rows_n)
        return;
    bool is_wrong = s->rows_at < s->rows_n && s->rows[s->rows_at].token != s->tokens[fed];
    if (!s->over && !is_wrong && s->rows_at < s->rows_n)
        return;
    draft_learn(&s->draft, s->guesses, at);
    if (is_wrong && !s->over) {
        engine_seq_cut(s->seq, fed);
        s->fed = fed;
    }
    s->rows_n = s->rows_at;
    s->guesses = 0;
}

/* The end of a step of the prompt. */
static void take_step(struct session *s, struct engine_row *row, uint32_t at)
{
    if (!row->finite) {
        take_numeric(s);
        return;
    }
    if (!row->is_hashed)
        hash_hidden(s, row);
    const struct hash digest = digest_step(&s->digest, &row->hidden_hash, at);
    if (s->mode == SESSION_VERIFY) {
        s->digest = digest;
        end_verify(s, true, 0, 0, REQUEST_STOPS);
        return;
    }
    struct session_event *e = add_event(s, SESSION_STEP);
    e->index = at;
    e->digest = digest;
}

static void take_next(struct session *s)
{
    const uint32_t at = s->fed - s->rows_n + s->rows_at + 1; /* behind this row */
    struct engine_row *row = &s->rows[s->rows_at++];
    if (s->witness)
        witness_take(s->witness, at - 1, row);
    if (!s->is_settled && row->wants && at < s->prompt_n)
        take_step(s, row, at);
    else if (!s->is_settled && row->wants)
        take_one(s, row);
    else if (!s->is_settled && !row->finite)
        take_numeric(s);
    tell_verdict(s);
    check_draft(s);
}

void session_take(struct session *s, struct engine_row *rows, uint32_t n)
{
    s->rows = rows;
    s->rows_n = n;
    s->rows_at = 0;
}

/* A row at a time, since what an event borrows lasts until the next one is made. */
struct session_event session_next_event(struct session *s)
{
    while (s->events_at == s->events_n) {
        s->events_at = s->events_n = 0;
        buf_reset(&s->event_text);
        buf_reset(&s->event_logprobs);
        if (s->over || s->rows_at == s->rows_n)
            return (struct session_event){.kind = SESSION_NONE};
        take_next(s);
    }
    return s->events[s->events_at++];
}
