/* Inside the scheduler: what sched.c and sched_ask.c share. */
#ifndef KITH_INFERENCE_SCHED_IN_H
#define KITH_INFERENCE_SCHED_IN_H

#include "inference/engine/pack_file.h"
#include "inference/sched/sched.h"
#include "inference/sched/session.h"

#define SCHED_DEVICE "cuda" /* the backend that asks for a device */

/* A run or a verification (session), a question for logits or scores (seq and ids), or for an embedding
 * (vector and ids; seq unless the model sees a text as a whole). */
struct sched_job {
    uint64_t ask;
    struct session *session;
    struct engine_seq *seq;
    struct buf ids;
    float *vector; /* embedding: what was pooled so far */
    uint32_t dimensions;
    bool is_unit;
    uint32_t at;                 /* logits, scores: the next position */
    bool is_score;               /* of the positions from `from` on */
    uint32_t from;               /* logits: 0 */
    struct buf scores;           /* so far */
    uint8_t logprobs;            /* scores: 0, or 1 and how many of the likeliest are told beside each */
    uint64_t bytes;              /* of its cache at most */
    uint32_t first_row, rows_n;  /* in the present batch */
    struct buf out;              /* what the job has to say about it */
    uint64_t start_us, first_us; /* first batch, first token; 0: not yet */
    bool is_over;
};

struct sched {
    sched_clock_fn clock;
    struct hash root;
    struct gguf *file;
    struct tok *tok;
    struct bytes template; /* the model's chat template, borrowed from the file; empty: none */
    /* the rest is NULL and 0 for a vocabulary */
    struct pack *pack; /* where the kernels want one */
    struct pack_file *pack_file;
    bool has_chores;
    uint64_t chore_us; /* when the last one was done */
    struct model *model;
    const struct ops *ops;
    struct engine *engine;
    struct engine_row *rows; /* [engine_batch_max] */
    uint32_t logits_max;     /* of them that keep their logits, beside those of who writes */
    struct sched_hearing *hearing;
    uint32_t threads, slots;
    uint64_t memory_bytes, fixed_bytes;
    struct sched_job *jobs[JOBS_MAX]; /* in the order in which they came */
    uint32_t jobs_n;
    uint32_t turn;   /* which reader is first */
    uint64_t row_ns; /* what a row of a batch took lately; 0: not known */
    bool is_alone;   /* the batch is of one answer that is written */
    struct draft_cost draft_cost;
    /* devices */
    uint32_t pages_max;    /* of their cache; UINT32_MAX without */
    struct text255 device; /* for `opened` */
    bool is_told;          /* ... and nothing has changed since */
    bool has_device;       /* some layers are not evaluated by the engine itself, */
    bool has_hops;         /* ... but by other machines; and the last ones by a device on the same threads: */
    struct pool *pool;     /* NULL: the engine's own */
};

/* Takes the job over, also when it fails. `positions` it may come to hold. */
enum err sched_add_job(struct sched *s, struct sched_job *job_take, uint32_t positions, struct note *note) MUST_USE;
/* A run reads on to there, if there is such a run. */
void sched_let_go(struct sched *s, uint64_t ask, uint32_t reads_to);
/* False if there is none. */
bool sched_cancel_job(struct sched *s, uint64_t ask);

/* -- sched_batch.c -- */
/* Fills the next batch: how many rows. `active`: the first of the jobs that may have rows in it. */
uint32_t sched_fill(struct sched *s, uint32_t *active);
/* A batch of so many rows took so long. */
void sched_pace(struct sched *s, uint32_t rows, uint64_t us);

/* -- sched_hear.c -- */
struct sched_hearing *sched_hearing_new(const struct sched *s);
void sched_hearing_free(struct sched_hearing *h);
/* The batch of the first `active` jobs is evaluated: each takes its rows, and what it has to say is appended. */
void sched_hear(struct sched *s, uint32_t active, struct buf *out);

/* -- sched_device.c -- */
/* Which devices the backend asks for have room for which layers of s->model. */
void sched_plan(const struct sched *s, const struct wire_open *open, const struct devices *devices,
                const struct engine_options *o, struct devices_plan *plan);
/* They take them, into o (devices, devices_n, lost) and at[DEVICES_MAX], which the engine takes over; none, and *plan
 * says why, where one of them cannot. ERR_UNSUPPORTED: one was asked for by name, and there is none. */
enum err sched_place(struct sched *s, const struct wire_open *open, const struct devices *devices,
                     struct devices_plan *plan, struct engine_options *o, struct engine_device *at,
                     struct note *note) MUST_USE;
/* What a worker says of its devices, from now on. */
void sched_set_device(struct sched *s, const char *text);
/* An engine_lost_fn. */
void sched_be_lost(void *arg, const struct note *why);
/* Says it if a device was lost. */
void sched_tell_device(struct sched *s, struct buf *out);

/* -- sched_hops.c -- */
/* Their weights are not needed in memory. */
void sched_leave_hops(struct sched *s, const struct wire_open *open);
/* As sched_place: the layers of other machines, and on this one those between and behind them. ERR_RANGE: they are not
 * this model's. */
enum err sched_place_hops(struct sched *s, const struct wire_open *open, const struct sched_options *so,
                          struct engine_options *o, struct engine_device *at, struct note *note) MUST_USE;

/* -- sched_embed.c -- */
/* An embedding's rows of this batch. True when it is over. */
bool sched_embed_rows(struct sched *s, struct sched_job *j, struct buf *out);
/* One of the embeddings that no batch can hold a part of, if there is any among the active jobs. */
void sched_embed_whole(struct sched *s, uint32_t active, struct buf *out);

#endif
