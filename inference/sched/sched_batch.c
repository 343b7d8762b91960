/* Who gets how many rows of the next batch.
 *
 * Each job that writes gets its one row, and a few more for a draft where few jobs are there. Readers share what a step
 * may take longer by: with somebody writing a step is to last STEP_US, with nobody LONE_STEP_US, and how many rows that
 * is follows from the last steps. It is shared evenly, as far as each can use it, so that a short prompt is read at
 * once beside a long one; where it is too little for all, they take turns. A reader whose next page another one is
 * reading waits for it (session_next_key). */
#include "inference/sched/sched_in.h"

#include <stdlib.h>

#define STEP_US       120000u    /* what somebody who writes may wait for strangers' prompts between two tokens */
#define LONE_STEP_US  1000000u   /* what a cancellation or a new question may wait */
#define ROWS_START    64u        /* before anything was measured */
#define ROWS_LEAST    8u         /* a row is as cheap then as in a full batch; among 4 it takes half as long again */
#define IDLE_BYTES    (1u << 30) /* of pages kept for later questions, where no limit is set, */
#define IDLE_CONTEXTS 4u         /* ... and no more than so many whole sequences */

#define DRAFT_JOBS 4u /* at once, at most, for drafts to be tried */

struct reader {
    struct sched_job *job;
    uint32_t wants, gets;
    bool has_key, waits;
    struct hash key;
};

/* -- which jobs -- */

/* How many of the first jobs go at once. */
static uint32_t active_count(const struct sched *s, uint64_t *bytes)
{
    uint32_t n = 0;
    uint64_t pages = 0; /* where a device keeps them too */
    for (*bytes = s->fixed_bytes; n < s->jobs_n && n < s->slots; n++) {
        uint64_t more = s->jobs[n]->bytes;
        if (n > 0 && s->memory_bytes && *bytes + more > s->memory_bytes)
            break;
        pages += more / engine_seq_bytes(s->engine, ARITH_CHUNK);
        if (n > 0 && pages > s->pages_max)
            break;
        *bytes += more;
    }
    return n;
}

/* Some job that may have rows in the next batch does not wait to be let go. */
bool sched_is_busy(const struct sched *s)
{
    uint64_t bytes;
    uint32_t i = 0, n = s->jobs_n ? active_count(s, &bytes) : 0;
    while (i < n && s->jobs[i]->session && session_is_held(s->jobs[i]->session))
        i++;
    return i < n;
}

/* Shared pages are taken first, so that those which a new job goes on from are not the ones that make room for it. */
static void make_room(struct sched *s, uint32_t active, uint64_t bytes)
{
    struct hash key;
    uint64_t most = IDLE_CONTEXTS * engine_seq_bytes(s->engine, engine_context(s->engine));
    for (uint32_t i = 0; i < active; i++)
        if (s->jobs[i]->session)
            (void)session_next_key(s->jobs[i]->session, &key);
    if (most > IDLE_BYTES)
        most = IDLE_BYTES;
    if (s->memory_bytes)
        most = bytes < s->memory_bytes ? s->memory_bytes - bytes : 0;
    if (s->pages_max != UINT32_MAX) {
        uint64_t held = bytes - s->fixed_bytes, all = s->pages_max * engine_seq_bytes(s->engine, ARITH_CHUNK);
        uint64_t left = held < all ? all - held : 0;
        most = left < most ? left : most;
    }
    engine_trim(s->engine, most);
}

static bool is_reading(const struct sched_job *j)
{
    return j->session ? session_is_prefilling(j->session) : j->seq != NULL;
}

static bool is_writing(const struct sched_job *j)
{
    return j->session && !session_is_prefilling(j->session);
}

/* -- how many rows -- */

void sched_pace(struct sched *s, uint32_t rows, uint64_t us)
{
    if (rows < ROWS_LEAST)
        return; /* their time is that of the weights, not of the rows */
    uint64_t ns = us * 1000 / rows + 1;
    s->row_ns = s->row_ns ? (3 * s->row_ns + ns) / 4 : ns;
}

static uint32_t rows_for(const struct sched *s, uint32_t writers)
{
    uint32_t max = engine_batch_max(s->engine) - writers;
    uint64_t us = writers ? STEP_US : LONE_STEP_US, rows = s->row_ns ? us * 1000 / s->row_ns : ROWS_START;
    rows = rows > writers + ROWS_LEAST ? rows - writers : ROWS_LEAST;
    return rows < max ? (uint32_t)rows : max;
}

/* Of those that are about to read one and the same page the furthest reads it. */
static void find_waiting(struct reader *r, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        r[i].has_key = r[i].job->session && session_next_key(r[i].job->session, &r[i].key);
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t k = 0; k < n && r[i].has_key && !r[i].waits; k++) {
            if (k == i || !r[k].has_key || !hash_equal(&r[i].key, &r[k].key))
                continue;
            uint32_t mine = session_read_n(r[i].job->session), others = session_read_n(r[k].job->session);
            r[i].waits = others > mine || (others == mine && k < i);
        }
}

/* -- who gets them -- */

static uint32_t unread(const struct sched_job *j)
{
    return j->session ? session_unread_n(j->session) : (uint32_t)(j->ids.n / 4) - j->at;
}

/* Those that read, may, and need not wait, the one whose turn it is in front. */
static uint32_t find_readers(struct sched *s, uint32_t active, struct reader *r)
{
    uint32_t n = 0, kept = 0;
    for (uint32_t i = 0; i < active; i++) {
        struct sched_job *j = s->jobs[(i + s->turn) % active];
        if (is_reading(j))
            r[n++] = (struct reader){.job = j};
    }
    find_waiting(r, n);
    for (uint32_t i = 0; i < n; i++)
        if (!r[i].waits && unread(r[i].job)) {
            r[kept] = r[i];
            r[kept++].wants = unread(r[i].job);
        }
    return kept;
}

static int by_wants(const void *a, const void *b)
{
    const struct reader *x = a, *y = b;
    return (x->wants > y->wants) - (x->wants < y->wants);
}

/* Evenly, and what one cannot use goes to the others. Returns how many got rows: the first of the list. */
static uint32_t share_out(struct reader *r, uint32_t n, uint32_t rows)
{
    uint32_t k = rows / ROWS_LEAST;
    k = k == 0 ? 1 : k;
    k = k < n ? k : n;
    qsort(r, k, sizeof *r, by_wants);
    for (uint32_t i = 0; i < k; i++) {
        uint32_t share = rows / (k - i);
        r[i].gets = r[i].wants < share ? r[i].wants : share;
        rows -= r[i].gets;
    }
    return k;
}

/* -- the batch -- */

/* Of a question for logits, all of them; for scores, from one on and not behind the last; for an embedding, hidden
 * states as far as they are pooled. */
static bool is_wanted(const struct sched *s, const struct sched_job *j, uint32_t at, uint32_t all)
{
    if (j->vector)
        return engine_embed_wants(s->engine, at, all);
    return !j->is_score || (at >= j->from && at + 1 < all);
}

static uint32_t plain_rows(const struct sched *s, struct sched_job *j, struct engine_row *rows, uint32_t max,
                           uint32_t logits_max)
{
    struct bytes ids = bytes_of_buf(&j->ids);
    uint32_t n = 0, all = (uint32_t)wire_id_count(ids);
    for (; n < max && j->at + n < all; n++) {
        bool wants = is_wanted(s, j, j->at + n, all);
        if (wants && !j->vector && logits_max-- == 0)
            break;
        rows[n] = (struct engine_row){
            .seq = j->seq, .token = wire_id_at(ids, j->at + n), .wants = wants, .no_logits = j->vector != NULL};
    }
    return n;
}

static uint32_t fill_rows(struct sched *s, struct sched_job *j, uint32_t at, uint32_t max, uint32_t logits_max)
{
    struct engine_row *rows = s->rows + at;
    if (j->start_us == 0)
        j->start_us = s->clock();
    j->first_row = at;
    j->rows_n = j->session ? session_rows(j->session, &s->draft_cost, rows, max, logits_max)
                           : plain_rows(s, j, rows, max, logits_max);
    return j->rows_n;
}

/* Readers' rows. Only so many keep their logits: where a reader gets none of those, it reads up to them. */
static uint32_t fill_readers(struct sched *s, struct reader *r, uint32_t readers_n, uint32_t at)
{
    uint32_t n = at, logits = s->logits_max;
    for (unsigned no_logits = 0; no_logits < 2; no_logits++) /* engine.h: those stand behind */
        for (uint32_t i = 0; i < readers_n; i++) {
            if (!r[i].gets || no_logits != (r[i].job->vector != NULL))
                continue;
            uint32_t rows = fill_rows(s, r[i].job, n, r[i].gets, logits);
            for (uint32_t k = n; k < n + rows; k++)
                logits -= s->rows[k].wants && !s->rows[k].no_logits && !s->rows[k].best_only;
            n += rows;
        }
    return n - at;
}

/* Rows of one that writes: drafts only while few answers are asked for, since then rows are nearly free. */
static uint32_t draft_rows(const struct sched *s, uint32_t active)
{
    uint32_t rows = (DRAFT_MAX + 1) / active, most = engine_batch_max(s->engine) / active;
    rows = rows < most ? rows : most;
    return active <= DRAFT_JOBS && rows > 1 ? rows : 1;
}

uint32_t sched_fill(struct sched *s, uint32_t *active)
{
    struct reader readers[JOBS_MAX];
    uint64_t bytes;
    uint32_t n = 0, writers = 0;
    *active = active_count(s, &bytes);
    make_room(s, *active, bytes);
    for (uint32_t i = 0; i < *active; i++) {
        s->jobs[i]->rows_n = 0;
        if (is_writing(s->jobs[i]))
            n += fill_rows(s, s->jobs[i], n, draft_rows(s, *active), UINT32_MAX);
    }
    s->is_alone = *active == 1 && n > 0;
    writers = n;
    uint32_t readers_n = find_readers(s, *active, readers);
    readers_n = readers_n ? share_out(readers, readers_n, rows_for(s, writers)) : 0;
    n += fill_readers(s, readers, readers_n, n);
    s->turn++;
    return n;
}
