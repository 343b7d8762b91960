/* A scheduler, fed and heard. */
#include "tests/sched_stage.h"

#include "base/file_map.h"
#include "tests/support.h"

static _Atomic uint64_t clock_us;
uint64_t sched_stage_step_us;
uint64_t sched_stage_clock(void)
{
    return clock_us += sched_stage_step_us; /* so long takes whatever is timed */
}

void sched_stage_open(struct sched_stage *s, const char *path, uint32_t batch, uint64_t memory)
{
    struct note note = {{0}};
    struct buf out = {0};
    struct wire_open o = {.root = {{3}}, .threads = 3, .batch = batch, .jobs = 8, .memory_bytes = memory};
    *s = (struct sched_stage){0};
    clock_us = 1;
    sched_stage_step_us = 1;
    assert_true(text64_set(&o.backend, "auto"));
    assert_int_equal(file_map(path, &s->file, &note), ERR_OK);
    if (sched_open(&o, &(struct sched_options){.file = s->file, .pack_fd = -1, .clock = sched_stage_clock}, &out,
                   &s->sched, &note) != ERR_OK)
        fail_msg("%s", note.text);
    buf_clear(&out);
}

void sched_stage_close(struct sched_stage *s)
{
    sched_close(s->sched);
    file_unmap(s->file);
    for (unsigned i = 0; i < SCHED_STAGE_ASKS; i++) {
        buf_clear(&s->said[i].logprobs);
        buf_clear(&s->said[i].vector);
        buf_clear(&s->said[i].text);
    }
}

static void hear_token(struct sched_stage *s, const struct wire_frame *f)
{
    struct wire_token m;
    assert_true(wire_read_token(f->body, &m) && m.ask < SCHED_STAGE_ASKS);
    struct sched_stage_said *x = &s->said[m.ask];
    if (x->first_step == 0)
        x->first_step = s->steps;
    assert_true(m.index < 512);
    x->tokens[m.index] = m.token;
    x->n = m.index + 1;
    buf_add(&x->logprobs, m.logprobs.p, m.logprobs.n);
    buf_add(&x->text, m.text.p, m.text.n);
}

static void hear_scored(struct sched_stage *s, const struct wire_frame *f)
{
    struct wire_scored m;
    assert_true(wire_read_scored(f->body, &m) && m.ask < SCHED_STAGE_ASKS);
    struct sched_stage_said *x = &s->said[m.ask];
    assert_int_equal(m.position, x->n++); /* each, in order */
    buf_add(&x->logprobs, m.logprobs.p, m.logprobs.n);
}

static void hear(struct sched_stage *s, const struct wire_frame *f)
{
    struct wire_done done;
    struct wire_failed failed;
    struct wire_verified verified;
    struct wire_embedding vector;
    struct wire_scores scores;
    struct sched_stage_said *x = NULL;
    if (f->type == WIRE_TOKEN) {
        hear_token(s, f);
        return;
    }
    if (f->type == WIRE_DONE) {
        assert_true(wire_read_done(f->body, &done));
        x = &s->said[done.ask];
        x->digest = done.digest;
        x->shared = done.shared;
        x->prompt_n = done.prompt_tokens;
    } else if (f->type == WIRE_FAILED) {
        assert_true(wire_read_failed(f->body, &failed));
        x = &s->said[failed.ask];
        x->failed = (enum err)failed.code;
    } else if (f->type == WIRE_VERIFIED) {
        assert_true(wire_read_verified(f->body, &verified));
        x = &s->said[verified.ask];
        x->same = verified.same;
        x->digest = verified.digest;
        if (verified.witness.n)
            memcpy(x->witness.b, verified.witness.p, sizeof x->witness.b);
    } else if (f->type == WIRE_EMBEDDING) {
        assert_true(wire_read_embedding(f->body, &vector));
        x = &s->said[vector.ask];
        x->digest = vector.digest;
        buf_add(&x->vector, vector.values.p, vector.values.n);
    } else if (f->type == WIRE_SCORED) {
        hear_scored(s, f);
        return;
    } else if (f->type == WIRE_SCORES) {
        assert_true(wire_read_scores(f->body, &scores));
        x = &s->said[scores.ask];
        assert_int_equal(scores.values.n, 0);
    } else {
        return;
    }
    assert_false(x->is_over);
    x->is_over = true;
    x->step = s->steps;
}

static void take_output(struct sched_stage *s, struct buf *out)
{
    struct wire_frame f;
    size_t used;
    while (wire_next(bytes_of_buf(out), false, &f, &used) == ERR_OK && used) {
        hear(s, &f);
        buf_drop(out, used);
    }
    assert_int_equal(out->n, 0);
    buf_clear(out);
}

void sched_stage_send(struct sched_stage *s, struct buf *frames)
{
    struct wire_frame f;
    struct note note;
    struct buf out = {0};
    size_t used;
    while (wire_next(bytes_of_buf(frames), true, &f, &used) == ERR_OK && used) {
        assert_int_equal(sched_take(s->sched, &f, &out, &note), ERR_OK);
        buf_drop(frames, used);
    }
    assert_int_equal(frames->n, 0);
    buf_clear(frames);
    take_output(s, &out);
}

void sched_stage_step(struct sched_stage *s)
{
    struct buf out = {0};
    s->steps++;
    sched_step(s->sched, &out);
    take_output(s, &out);
}

void sched_stage_finish(struct sched_stage *s)
{
    while (sched_is_busy(s->sched))
        sched_stage_step(s);
}

/* A prompt of n tokens that goes its own way at `fork`. */
void sched_stage_put_prompt(struct buf *b, uint32_t n, uint32_t fork, uint32_t way)
{
    for (uint32_t i = 0; i < n; i++)
        wire_put_id(b, i == 0 ? 1 : i < fork ? 300 + i * 7 % 150 : 300 + (i * 11 + 13 * way) % 150);
}

void sched_stage_put_request(struct buf *out, const struct sched_stage_work *w, struct bytes prompt)
{
    struct request r;
    request_init(&r);
    r.prompt = prompt;
    r.tokens_max = w->tokens;
    r.temp = w->temp;
    r.choice = w->choice;
    r.seed.b[0] = w->seed;
    request_put(out, &r);
}

void sched_stage_ask(struct sched_stage *s, uint64_t number, const struct sched_stage_work *w)
{
    struct buf prompt = {0}, request = {0}, frames = {0};
    s->said[number].is_over = false;
    sched_stage_put_prompt(&prompt, w->prompt_n, w->fork, w->way);
    sched_stage_put_request(&request, w, bytes_of_buf(&prompt));
    const struct wire_run m = {
        .ask = number, .scope = {{w->scope}}, .logprobs = w->logprobs, .request = bytes_of_buf(&request)};
    wire_add_run(&frames, &m);
    sched_stage_send(s, &frames);
    buf_clear(&prompt);
    buf_clear(&request);
}

void sched_stage_expect_same(const struct sched_stage_said *a, const struct sched_stage_said *b)
{
    assert_true(a->is_over && b->is_over);
    assert_int_equal(a->failed, ERR_OK);
    assert_int_equal(b->failed, ERR_OK);
    assert_int_equal(a->n, b->n);
    assert_memory_equal(a->tokens, b->tokens, a->n * sizeof *a->tokens);
    assert_true(hash_equal(&a->digest, &b->digest));
}
