/* What a batch came to, told to the jobs whose rows it had. Most of that work is of rows that do not depend on each
 * other: which token a row chooses, the hash of its hidden state, how likely the next token was. Then every job hears
 * its own rows in order. Both are shared out among the engine's threads; what is said is the same in any case. */
#include "base/mem.h"
#include "inference/sched/logprob.h"
#include "inference/engine/pool.h"
#include "inference/sched/sched_in.h"
#include "inference/sched/score.h"

#include <stdatomic.h>
#include <stdlib.h>

#define WORTH_ROWS 32u /* to be heard, for threads to be woken */

struct row_of {
    const struct sched_job *job;
    uint32_t i; /* of its rows */
};

struct sched_hearing {
    unsigned threads;
    struct sampler **sampler; /* [threads] */
    atomic_flag *is_used;
    double *score;          /* [batch] of rows that are scored, */
    struct logprob *likely; /* [batch, 1 + LOGPROBS_MAX] or with the likeliest */
    struct row_of *rows;    /* [batch] to be looked at first */
    uint32_t rows_n;
};

struct sched_hearing *sched_hearing_new(const struct sched *s)
{
    const uint32_t batch = engine_batch_max(s->engine);
    struct sched_hearing *h = mem_new(sizeof *h);
    h->threads = pool_threads(engine_pool(s->engine));
    h->sampler = mem_array(h->threads, sizeof *h->sampler);
    h->is_used = mem_array(h->threads, sizeof *h->is_used);
    for (unsigned i = 0; i < h->threads; i++) {
        h->sampler[i] = sampler_new(engine_ops(s->engine), s->model->vocab);
        atomic_flag_clear(&h->is_used[i]);
    }
    h->score = mem_array(batch, sizeof *h->score);
    h->likely = mem_array((size_t)batch * (1 + LOGPROBS_MAX), sizeof *h->likely);
    h->rows = mem_array(batch, sizeof *h->rows);
    return h;
}

void sched_hearing_free(struct sched_hearing *h)
{
    if (!h)
        return;
    for (unsigned i = 0; i < h->threads; i++)
        sampler_free(h->sampler[i]);
    free(h->sampler);
    free(h->is_used);
    free(h->score);
    free(h->likely);
    free(h->rows);
    free(h);
}

/* -- rows by themselves -- */

/* No more parts are under way at once than there are threads. */
static unsigned find_sampler(struct sched_hearing *h)
{
    unsigned i = 0;
    while (atomic_flag_test_and_set_explicit(&h->is_used[i], memory_order_acquire))
        i = (i + 1) % h->threads;
    return i;
}

/* A job's logprobs, of a vocabulary that may be smaller. */
static uint32_t likely_n(const struct sched *s, const struct sched_job *j)
{
    return j->logprobs < s->model->vocab ? j->logprobs : s->model->vocab;
}

static void score_row(const struct sched *s, const struct sched_job *j, uint32_t i)
{
    struct sched_hearing *h = s->hearing;
    uint32_t row = j->first_row + i, token = wire_id_at(bytes_of_buf(&j->ids), j->at + i + 1);
    if (j->logprobs)
        logprob_all(engine_ops(s->engine), s->rows[row].logits, s->model->vocab, token, likely_n(s, j) - 1,
                    h->likely + (size_t)row * (1 + LOGPROBS_MAX));
    else
        h->score[row] = score_token(s->rows[row].logits, s->model->vocab, token);
}

static void look_part(void *arg, size_t first, size_t end)
{
    const struct sched *s = arg;
    struct sched_hearing *h = s->hearing;
    unsigned mine = find_sampler(h);
    for (size_t k = first; k < end; k++) {
        const struct sched_job *j = h->rows[k].job;
        if (j->session)
            session_look(j->session, h->rows[k].i, h->sampler[mine]);
        else
            score_row(s, j, h->rows[k].i);
    }
    atomic_flag_clear_explicit(&h->is_used[mine], memory_order_release);
}

/* Whether row i of a job, which the job has taken, is to be looked at; *heard counts those that are heard then. */
static bool is_looked_at(const struct sched *s, const struct sched_job *j, uint32_t i, uint32_t *heard)
{
    const struct engine_row *r = &s->rows[j->first_row + i];
    *heard += j->session && r->wants;
    return j->session ? session_may_look(j->session, i) : j->is_score && r->wants && r->finite;
}

/* -- jobs -- */

static void add_token(const struct sched_job *j, const struct session_event *e, struct buf *out)
{
    const struct wire_token m = {j->ask, e->index, e->token, e->digest, e->text, e->reach, e->mark, e->logprobs};
    wire_add_token(out, &m);
}

static void add_done(struct sched *s, const struct sched_job *j, const struct session_event *e, struct buf *out)
{
    uint64_t now = s->clock(), first = j->first_us ? j->first_us : now;
    const struct wire_done m = {.ask = j->ask,
                                .stop = e->stop,
                                .prompt_tokens = session_prompt_n(j->session),
                                .shared = session_shared_n(j->session),
                                .tokens = session_tokens_n(j->session),
                                .drafted = session_draft(j->session)->guessed,
                                .accepted = session_draft(j->session)->counted,
                                .digest = e->digest,
                                .prompt_us = first - j->start_us,
                                .decode_us = now - first,
                                .text = e->text};
    wire_add_done(out, &m);
}

/* All that the session has to say. True when the job is over. */
static bool session_speaks(struct sched *s, struct sched_job *j, struct buf *out)
{
    struct note note;
    for (;;) {
        struct session_event e = session_next_event(j->session);
        switch (e.kind) {
        case SESSION_NONE:
            return session_is_over(j->session);
        case SESSION_TOKEN:
            if (j->first_us == 0)
                j->first_us = s->clock();
            add_token(j, &e, out);
            break;
        case SESSION_DONE:
            add_done(s, j, &e, out);
            return true;
        case SESSION_FAILED:
            note_set(&note, ERR_MISMATCH, "token %u of the answer so far is not what the model says there", e.index);
            wire_add_failure(out, j->ask, ERR_MISMATCH, &note);
            return true;
        case SESSION_VERIFIED: {
            const struct wire_verified m = {.ask = j->ask,
                                            .same = e.same,
                                            .position = e.index,
                                            .token = e.token,
                                            .digest = e.digest,
                                            .us = s->clock() - j->start_us,
                                            .witness = bytes_of(e.witness.b, e.is_witnessed ? HASH_SIZE : 0)};
            wire_add_verified(out, &m);
            return true;
        }
        }
    }
}

static void add_scored(const struct sched *s, const struct sched_job *j, uint32_t position,
                       const struct logprob *likely, uint32_t n, struct buf *out)
{
    struct buf logprobs = {0};
    logprob_put(&logprobs, s->tok, likely, n);
    wire_add_scored(out, &(struct wire_scored){j->ask, position, bytes_of_buf(&logprobs)});
    buf_clear(&logprobs);
}

/* The one that the first score is about stands behind it. */
static void add_first(const struct sched *s, const struct sched_job *j, struct buf *out)
{
    const struct logprob first = {wire_id_at(bytes_of_buf(&j->ids), j->at), 0};
    if (j->logprobs && j->at == j->from)
        add_scored(s, j, j->at, &first, 1, out);
}

static void add_row(const struct sched *s, struct sched_job *j, const struct engine_row *r, struct buf *out)
{
    const uint32_t vocab = engine_model(s->engine)->vocab;
    if (j->logprobs) {
        add_scored(s, j, j->at + 1, s->hearing->likely + (size_t)(r - s->rows) * (1 + LOGPROBS_MAX), likely_n(s, j),
                   out);
        return;
    }
    if (j->is_score) {
        wire_put_score(&j->scores, s->hearing->score[r - s->rows]);
        return;
    }
    wire_add_row(out, &(struct wire_row){j->ask, j->at, bytes_of(r->logits, (size_t)vocab * sizeof *r->logits)});
}

static bool logits_speak(struct sched *s, struct sched_job *j, struct buf *out)
{
    for (uint32_t i = 0; i < j->rows_n; i++, j->at++) {
        const struct engine_row *r = &s->rows[j->first_row + i];
        if (!r->finite) {
            struct note note;
            note_set(&note, ERR_NUMERIC, "the logits of position %u are not finite", j->at);
            wire_add_failure(out, j->ask, ERR_NUMERIC, &note);
            return true;
        }
        add_first(s, j, out);
        if (r->wants)
            add_row(s, j, r, out);
    }
    uint32_t n = (uint32_t)(j->ids.n / 4);
    if (j->at < n)
        return false;
    if (j->is_score)
        wire_add_scores(out, &(struct wire_scores){j->ask, bytes_of_buf(&j->scores)});
    else
        wire_add_done(out,
                      &(struct wire_done){.ask = j->ask, .prompt_tokens = n, .prompt_us = s->clock() - j->start_us});
    return true;
}

static void hear_part(void *arg, size_t first, size_t end)
{
    struct sched *s = arg;
    for (size_t i = first; i < end; i++) {
        struct sched_job *j = s->jobs[i];
        if (j->session)
            j->is_over = session_speaks(s, j, &j->out);
        else if (j->vector)
            j->is_over = sched_embed_rows(s, j, &j->out);
        else
            j->is_over = logits_speak(s, j, &j->out);
    }
}

void sched_hear(struct sched *s, uint32_t active, struct buf *out)
{
    struct sched_hearing *h = s->hearing;
    struct pool *pool = engine_pool(s->engine);
    uint32_t heard = 0;
    h->rows_n = 0;
    for (uint32_t k = 0; k < active; k++) {
        struct sched_job *j = s->jobs[k];
        if (j->session && j->rows_n > 0)
            session_take(j->session, s->rows + j->first_row, j->rows_n);
        for (uint32_t i = 0; i < j->rows_n; i++)
            if (is_looked_at(s, j, i, &heard))
                h->rows[h->rows_n++] = (struct row_of){j, i};
    }
    pool_run(pool, h->rows_n, 1, look_part, s);
    pool_run(pool, active, heard < WORTH_ROWS ? active : 1, hear_part, s);
    for (uint32_t k = 0; k < active; k++) {
        buf_add(out, s->jobs[k]->out.p, s->jobs[k]->out.n);
        buf_reset(&s->jobs[k]->out);
    }
}
