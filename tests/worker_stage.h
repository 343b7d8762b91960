/* Real processes of kith-worker over a real loop, for the tests of what the daemon does with them. */
#ifndef KITH_TESTS_WORKER_STAGE_H
#define KITH_TESTS_WORKER_STAGE_H

#include "node/worker/worker.h"
#include "tests/support.h"

#define STAGE_JOBS_MAX 6 /* at once */

struct stage {
    struct host *host;
    struct workers *workers;
    struct worker *worker;
    struct timer guard;
    unsigned waiting; /* questions */
};

struct run {
    struct stage *stage;
    struct buf tokens, text;
    struct hash digest;
    uint32_t kill_at; /* token at which, or behind which, the process is killed; 0: none, or it was */
    worker_ask ask;
    bool is_over;
    enum err e;
    uint8_t stop;
    uint32_t shared;
};

/* The program that was built with this test: build/MODE/tests/TEST, build/MODE/kith-worker. */
const char *stage_program(void);
extern const char *stage_packs; /* where packed weights are kept; NULL: nowhere */
/* One worker for the model, whose root is world-wide unique: 7 and zeros. A test that takes over a minute fails. */
void stage_open(struct stage *s, const char *model, const char *worker_program, enum worker_mode mode);
void stage_close(struct stage *s);
/* Until all questions are answered. */
void stage_run(struct stage *s);
/* Kills the worker's process. */
void stage_kill(void);
/* One of them is. */
void stage_answered(struct stage *s);

/* What fills a struct run. */
extern const struct worker_calls run_calls;
/* "Once upon a time", and differently from job to job: greedy or drawn, longer or shorter. */
void run_request(unsigned job, uint32_t tokens_max, struct buf *out);
void run_start(struct stage *s, struct run *r, unsigned job, uint32_t tokens_max);
/* Of a scope, so that jobs share beginnings: all begin with the same 130 tokens. */
void run_start_shared(struct stage *s, struct run *r, uint8_t scope, uint32_t job, uint32_t tokens_max);
void run_clear(struct run *r, unsigned n);
void run_expect_same(const struct run *a, const struct run *b);

#endif
