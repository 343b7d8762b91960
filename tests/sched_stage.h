/* A scheduler without its socket, for its tests: asks go in as frames, what comes out is kept, and a clock that goes
 * only when it is looked at. */
#ifndef KITH_TESTS_SCHED_STAGE_H
#define KITH_TESTS_SCHED_STAGE_H

#include "base/bytes.h"
#include "base/err.h"
#include "inference/request.h"
#include "inference/sched/sched.h"

#define SCHED_STAGE_ASKS 24

struct sched_stage_said {
    uint32_t tokens[512], n, shared, prompt_n;
    uint32_t step, first_step;   /* when it was over, and when its first token came */
    struct hash digest, witness; /* zero: none */
    enum err failed;
    bool is_over, same;
    struct buf logprobs, vector, text;
};

struct sched_stage {
    struct bytes file;
    struct sched *sched;
    struct sched_stage_said said[SCHED_STAGE_ASKS];
    uint32_t steps;
};

uint64_t sched_stage_clock(void);
/* What a look at it takes; 1 at first. */
extern uint64_t sched_stage_step_us;

struct sched_stage_work {
    uint32_t prompt_n, fork, way, tokens, choice;
    uint8_t scope, logprobs, seed;
    float temp;
};

void sched_stage_open(struct sched_stage *s, const char *path, uint32_t batch, uint64_t memory);
void sched_stage_close(struct sched_stage *s);
/* Empties the frames. */
void sched_stage_send(struct sched_stage *s, struct buf *frames);
void sched_stage_step(struct sched_stage *s);
/* Steps until nothing is to be done. */
void sched_stage_finish(struct sched_stage *s);
/* A prompt of n tokens that goes its own way at `fork`. */
void sched_stage_put_prompt(struct buf *b, uint32_t n, uint32_t fork, uint32_t way);
void sched_stage_put_request(struct buf *out, const struct sched_stage_work *w, struct bytes prompt);
void sched_stage_ask(struct sched_stage *s, uint64_t number, const struct sched_stage_work *w);
void sched_stage_expect_same(const struct sched_stage_said *a, const struct sched_stage_said *b);

#endif
