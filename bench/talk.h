/* Talking to a scheduler as a worker's other end does, for the programs that measure one. */
#ifndef KITH_BENCH_TALK_H
#define KITH_BENCH_TALK_H

#include "inference/sched/sched.h"

#include <time.h>

static inline uint64_t talk_now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* Whoever hears what the scheduler says. */
struct talk {
    struct sched *sched;
    void (*hear)(void *arg, const struct wire_frame *f);
    void *arg;
};

static inline void talk_listen(const struct talk *t, struct buf *out)
{
    struct wire_frame f;
    size_t used;
    while (wire_next(bytes_of_buf(out), false, &f, &used) == ERR_OK && used) {
        t->hear(t->arg, &f);
        buf_drop(out, used);
    }
}

static inline void talk_step(const struct talk *t)
{
    struct buf out = {0};
    sched_step(t->sched, &out);
    talk_listen(t, &out);
    buf_clear(&out);
}

/* One message, which is emptied. */
static inline void talk_say(const struct talk *t, struct buf *frame)
{
    struct wire_frame f;
    struct buf out = {0};
    struct note note;
    size_t used;
    CHECK(wire_next(bytes_of_buf(frame), true, &f, &used) == ERR_OK && used == frame->n);
    CHECK(sched_take(t->sched, &f, &out, &note) == ERR_OK);
    talk_listen(t, &out);
    buf_clear(&out);
    buf_clear(frame);
}

/* A request of so many tokens behind a prompt of so many. */
static inline void talk_request(struct buf *out, uint32_t prompt_n, uint32_t tokens, float temp)
{
    struct buf prompt = {0};
    struct request r;
    for (uint32_t i = 0; i < prompt_n; i++)
        wire_put_id(&prompt, 3 + i * 37 % 400);
    request_init(&r);
    r.prompt = bytes_of_buf(&prompt);
    r.tokens_max = tokens;
    r.temp = temp;
    request_put(out, &r);
    buf_clear(&prompt);
}

#endif
