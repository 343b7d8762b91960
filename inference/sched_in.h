/* Inside the scheduler: what sched.c and sched_ask.c share. */
#ifndef KITH_INFERENCE_SCHED_IN_H
#define KITH_INFERENCE_SCHED_IN_H

#include "inference/sched.h"
#include "inference/session.h"

/* A run or a verification (session), or a question for logits (seq and ids). */
struct sched_job {
    uint64_t ask;
    struct session *session;
    struct engine_seq *seq;
    struct buf ids;
    uint32_t at;                 /* logits: the next position */
    uint64_t bytes;              /* of its cache at most */
    uint32_t first_row, rows_n;  /* in the present batch */
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
    uint8_t *pack_memory;
    struct model *model;
    const struct ops *ops;
    struct engine *engine;
    struct engine_row *rows; /* [engine_batch_max] */
    uint32_t threads, slots;
    uint64_t memory_bytes, fixed_bytes;
    struct sched_job *jobs[JOBS_MAX]; /* in the order in which they came */
    uint32_t jobs_n;
    uint32_t turn; /* which reader is first */
};

/* Takes the job over, also when it fails. `positions` it may come to hold. */
enum err sched_add_job(struct sched *s, struct sched_job *job_take, uint32_t positions, struct note *note) MUST_USE;
/* False if there is none. */
bool sched_cancel_job(struct sched *s, uint64_t ask);

#endif
