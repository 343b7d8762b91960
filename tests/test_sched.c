/* The scheduler as a worker has it, without its socket: beginnings that are shared change nothing but the time, nobody
 * waits long for others' prompts, everybody gets something of a step, and what else is asked is answered rightly. */
#include "tests/support.h"

#include "base/file_map.h"
#include "base/mem.h"
#include "inference/digest.h"
#include "inference/sched.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ASKS 24

struct said {
    uint32_t tokens[512], n, shared, prompt_n;
    uint32_t step, first_step; /* when it was over, and when its first token came */
    struct hash digest;
    enum err failed;
    bool is_over, same;
    struct buf logprobs, vector, text;
};

struct stage {
    struct bytes file;
    struct sched *sched;
    struct said said[ASKS];
    uint32_t steps;
};

static _Atomic uint64_t clock_us;
static uint64_t step_us;
static uint64_t fake_clock(void)
{
    return clock_us += step_us; /* so long takes whatever is timed */
}

static void open_with(struct stage *s, const char *path, uint32_t batch, uint64_t memory)
{
    struct note note = {{0}};
    struct buf out = {0};
    struct wire_open o = {.root = {{3}}, .threads = 3, .batch = batch, .jobs = 8, .memory_bytes = memory};
    *s = (struct stage){0};
    clock_us = 1;
    step_us = 1;
    assert_true(text64_set(&o.backend, "auto"));
    assert_int_equal(file_map(path, &s->file, &note), ERR_OK);
    if (sched_open(&o, &(struct sched_options){.file = s->file, .pack_fd = -1, .clock = fake_clock}, &out, &s->sched,
                   &note) != ERR_OK)
        fail_msg("%s", note.text);
    buf_clear(&out);
}

static void close_stage(struct stage *s)
{
    sched_close(s->sched);
    file_unmap(s->file);
    for (unsigned i = 0; i < ASKS; i++) {
        buf_clear(&s->said[i].logprobs);
        buf_clear(&s->said[i].vector);
        buf_clear(&s->said[i].text);
    }
}

static void hear_token(struct stage *s, const struct wire_frame *f)
{
    struct wire_token m;
    assert_true(wire_read_token(f->body, &m) && m.ask < ASKS);
    struct said *x = &s->said[m.ask];
    if (x->first_step == 0)
        x->first_step = s->steps;
    assert_true(m.index < 512);
    x->tokens[m.index] = m.token;
    x->n = m.index + 1;
    buf_add(&x->logprobs, m.logprobs.p, m.logprobs.n);
    buf_add(&x->text, m.text.p, m.text.n);
}

static void hear_scored(struct stage *s, const struct wire_frame *f)
{
    struct wire_scored m;
    assert_true(wire_read_scored(f->body, &m) && m.ask < ASKS);
    struct said *x = &s->said[m.ask];
    assert_int_equal(m.position, x->n++); /* each, in order */
    buf_add(&x->logprobs, m.logprobs.p, m.logprobs.n);
}

static void hear(struct stage *s, const struct wire_frame *f)
{
    struct wire_done done;
    struct wire_failed failed;
    struct wire_verified verified;
    struct wire_embedding vector;
    struct wire_scores scores;
    struct said *x = NULL;
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

static void take_output(struct stage *s, struct buf *out)
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

static void send(struct stage *s, struct buf *frames)
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

static void step(struct stage *s)
{
    struct buf out = {0};
    s->steps++;
    sched_step(s->sched, &out);
    take_output(s, &out);
}

static void finish(struct stage *s)
{
    while (sched_is_busy(s->sched))
        step(s);
}

/* A prompt of n tokens that goes its own way at `fork`. */
static void put_prompt(struct buf *b, uint32_t n, uint32_t fork, uint32_t way)
{
    for (uint32_t i = 0; i < n; i++)
        wire_put_id(b, i == 0 ? 1 : i < fork ? 300 + i * 7 % 150 : 300 + (i * 11 + 13 * way) % 150);
}

struct work {
    uint32_t prompt_n, fork, way, tokens, choice;
    uint8_t scope, logprobs, seed;
    float temp;
};

static void put_request(struct buf *out, const struct work *w, struct bytes prompt)
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

static void ask(struct stage *s, uint64_t number, const struct work *w)
{
    struct buf prompt = {0}, request = {0}, frames = {0};
    s->said[number].is_over = false;
    put_prompt(&prompt, w->prompt_n, w->fork, w->way);
    put_request(&request, w, bytes_of_buf(&prompt));
    const struct wire_run m = {
        .ask = number, .scope = {{w->scope}}, .logprobs = w->logprobs, .request = bytes_of_buf(&request)};
    wire_add_run(&frames, &m);
    send(s, &frames);
    buf_clear(&prompt);
    buf_clear(&request);
}

static void expect_same(const struct said *a, const struct said *b)
{
    assert_true(a->is_over && b->is_over);
    assert_int_equal(a->failed, ERR_OK);
    assert_int_equal(b->failed, ERR_OK);
    assert_int_equal(a->n, b->n);
    assert_memory_equal(a->tokens, b->tokens, a->n * sizeof *a->tokens);
    assert_true(hash_equal(&a->digest, &b->digest));
}

/* -- beginnings -- */

/* The same questions with nothing shared and with everything, one after the other and all at once, with room for what
 * is kept and without. */
static void beginnings_change_nothing(void **state)
{
    (void)state;
    TEST_NEEDS(path, "weights/stories260K-Q8_0.gguf");
    static const struct work works[] = {
        {200, 300, 0, 30, 0, 0, 0, 1, 0},   {200, 150, 1, 30, 0, 0, 0, 2, 0.9f}, {130, 300, 0, 30, 0, 0, 0, 3, 0.9f},
        {129, 128, 2, 30, 0, 0, 0, 4, 0},   {128, 300, 0, 30, 0, 0, 0, 5, 0.7f}, {65, 300, 0, 30, 0, 0, 0, 6, 0.7f},
        {64, 300, 0, 30, 0, 0, 0, 7, 0.7f},
    };
    enum { N = sizeof works / sizeof *works };
    static const uint32_t batches[] = {128, 7, 64};
    for (unsigned b = 0; b < 3; b++) {
        struct stage alone, one, all;
        open_with(&alone, path, batches[b], 0);
        open_with(&one, path, batches[b], 0);
        open_with(&all, path, batches[b], 0);
        for (unsigned i = 0; i < N; i++) {
            struct work w = works[i];
            ask(&alone, i + 1, &w);
            finish(&alone);
            assert_int_equal(alone.said[i + 1].shared, 0);
            w.scope = 1;
            ask(&one, i + 1, &w);
            finish(&one);
            ask(&all, i + 1, &w);
        }
        finish(&all);
        for (unsigned i = 0; i < N; i++) {
            expect_same(&alone.said[i + 1], &one.said[i + 1]);
            expect_same(&alone.said[i + 1], &all.said[i + 1]);
        }
        static const uint32_t shared[N] = {0, 128, 128, 128, 64, 64, 0};
        for (unsigned i = 0; i < N; i++)
            assert_int_equal(one.said[i + 1].shared, shared[i]);
        close_stage(&alone);
        close_stage(&one);
        close_stage(&all);
    }
}

/* Prompt and answer of one turn begin the next. */
static void a_talk_goes_on(void **state)
{
    (void)state;
    TEST_NEEDS(path, "weights/stories260K-F32.gguf");
    struct stage s;
    open_with(&s, path, 64, 0);
    const struct work first = {.prompt_n = 60, .fork = 300, .tokens = 80, .scope = 1};
    ask(&s, 1, &first);
    finish(&s);
    for (unsigned scope = 0; scope < 3; scope++) { /* nobody's, the same, a stranger's */
        struct buf prompt = {0}, request = {0}, frames = {0};
        struct work next = {.tokens = 20};
        put_prompt(&prompt, 60, 300, 0);
        for (uint32_t i = 0; i < 80; i++)
            wire_put_id(&prompt, s.said[1].tokens[i]);
        wire_put_id(&prompt, 400);
        put_request(&request, &next, bytes_of_buf(&prompt));
        wire_add_run(&frames, &(struct wire_run){
                                  .ask = 2 + scope, .scope = {{(uint8_t)scope}}, .request = bytes_of_buf(&request)});
        send(&s, &frames);
        finish(&s);
        assert_int_equal(s.said[2 + scope].shared, scope == 1 ? 128 : 0);
        buf_clear(&prompt);
        buf_clear(&request);
    }
    expect_same(&s.said[2], &s.said[3]);
    expect_same(&s.said[2], &s.said[4]);
    close_stage(&s);
}

/* Of several that begin alike one reads, and the others wait for it: the prompt is evaluated once. */
static void choices_read_once(void **state)
{
    (void)state;
    TEST_NEEDS(path, "weights/stories260K-Q4_0.gguf");
    struct stage s;
    open_with(&s, path, 128, 0);
    for (uint32_t i = 0; i < 4; i++) {
        const struct work w = {
            .prompt_n = 300, .fork = 400, .tokens = 40, .choice = i, .scope = 1, .temp = 1, .seed = 9};
        ask(&s, 1 + i, &w);
    }
    finish(&s);
    uint32_t shared = 0;
    for (uint32_t i = 0; i < 4; i++) {
        shared += s.said[1 + i].shared;
        const struct work w = {.prompt_n = 300, .fork = 400, .tokens = 40, .choice = i, .temp = 1, .seed = 9};
        ask(&s, 5 + i, &w);
        finish(&s);
        expect_same(&s.said[1 + i], &s.said[5 + i]);
    }
    assert_int_equal(shared, 3 * 256);
    assert_false(hash_equal(&s.said[1].digest, &s.said[2].digest));
    assert_memory_not_equal(s.said[1].tokens, s.said[2].tokens, 40 * sizeof(uint32_t));
    close_stage(&s);
}

/* Where there is no room, what was kept goes: the answers stay. */
static void memory_is_given_back(void **state)
{
    (void)state;
    TEST_NEEDS(path, "weights/stories260K-Q8_0.gguf");
    struct stage s, small;
    open_with(&s, path, 64, 0);
    /* The least that the model and one of these questions need. */
    uint64_t memory = 1 << 20;
    for (;; memory += 64 << 10) {
        struct note note = {{0}};
        struct buf out = {0};
        struct sched *x;
        struct wire_open open = {.root = {{3}}, .threads = 3, .batch = 64, .jobs = 8, .memory_bytes = memory};
        assert_true(text64_set(&open.backend, "auto"));
        enum err e = sched_open(&open, &(struct sched_options){.file = s.file, .pack_fd = -1, .clock = fake_clock},
                                &out, &x, &note);
        buf_clear(&out);
        if (e == ERR_OK) {
            sched_close(x);
            break;
        }
    }
    open_with(&small, path, 64, memory + (512 << 10));
    uint32_t known = 0, known_small = 0;
    for (uint32_t round = 0; round < 4; round++)
        for (uint32_t i = 0; i < 3; i++) {
            const struct work w = {.prompt_n = 260, .fork = 130 * (i % 2), .way = i, .tokens = 20, .scope = 1};
            uint32_t n = 1 + round * 3 + i;
            ask(&s, n, &w);
            finish(&s);
            ask(&small, n, &w);
            finish(&small);
            expect_same(&s.said[n], &small.said[n]);
            known += s.said[n].shared;
            known_small += small.said[n].shared;
        }
    assert_true(known_small < known / 2);
    assert_int_equal(s.said[12].shared, 256);
    close_stage(&s);
    close_stage(&small);
}

/* A verification reads a prompt that was read for the answer already. */
static void verification_shares(void **state)
{
    (void)state;
    TEST_NEEDS(path, "weights/stories260K-Q8_0.gguf");
    struct stage s;
    open_with(&s, path, 64, 0);
    const struct work w = {.prompt_n = 200, .fork = 300, .tokens = 50, .scope = 1, .temp = 0.9f};
    ask(&s, 1, &w);
    finish(&s);
    struct buf prompt = {0}, request = {0}, frames = {0}, tokens = {0};
    put_prompt(&prompt, 200, 300, 0);
    put_request(&request, &w, bytes_of_buf(&prompt));
    for (uint32_t i = 0; i < s.said[1].n; i++)
        wire_put_id(&tokens, s.said[1].tokens[i]);
    struct wire_verify m = {.ask = 2,
                            .scope = {{1}},
                            .request = bytes_of_buf(&request),
                            .tokens = bytes_of_buf(&tokens),
                            .digest = s.said[1].digest};
    uint32_t before = s.steps;
    wire_add_verify(&frames, &m);
    send(&s, &frames);
    finish(&s);
    uint32_t quick = s.steps - before;
    m.ask = 3;
    m.scope = (struct hash){{0}};
    wire_add_verify(&frames, &m);
    send(&s, &frames);
    finish(&s);
    assert_true(s.said[2].same && s.said[3].same);
    assert_true(s.steps - before - quick > quick);
    m.ask = 4;
    m.scope = (struct hash){{1}};
    m.digest.b[3] ^= 1;
    wire_add_verify(&frames, &m);
    send(&s, &frames);
    finish(&s);
    assert_false(s.said[4].same);
    buf_clear(&prompt);
    buf_clear(&request);
    buf_clear(&tokens);
    close_stage(&s);
}

/* -- steps -- */

/* With rows that take long, somebody who writes gets a token a step all the same, and steps are short. */
static void nobody_waits_for_a_prompt(void **state)
{
    (void)state;
    TEST_NEEDS(path, "weights/stories260K-Q8_0.gguf");
    struct stage s;
    open_with(&s, path, 128, 0);
    const struct work writer = {.prompt_n = 5, .fork = 300, .tokens = 200};
    ask(&s, 1, &writer);
    step(&s);
    const struct work reader = {.prompt_n = 300, .fork = 300, .tokens = 5};
    step_us = 400000; /* every evaluation is said to have taken that long: rows are dear */
    ask(&s, 2, &reader);
    for (unsigned i = 0; i < 6; i++)
        step(&s);
    uint32_t wrote = s.said[1].n;
    assert_true(wrote >= 6); /* a token a step */
    assert_false(s.said[2].is_over);
    assert_int_equal(s.said[2].n, 0); /* at a few rows a step it is still reading */
    finish(&s);
    uint32_t slow = s.said[2].first_step;
    /* The same where rows are cheap: it is read in as many steps as the batch asks for. */
    step_us = 1;
    for (unsigned i = 0; i < 8; i++) {
        const struct work warm = {.prompt_n = 100, .fork = 300, .tokens = 1, .way = i};
        ask(&s, 10 + i, &warm);
        finish(&s);
    }
    ask(&s, 3, &writer);
    step(&s);
    uint32_t before = s.steps;
    ask(&s, 4, &reader);
    finish(&s);
    assert_true(s.said[4].first_step - before <= 4);
    assert_true(slow > 20);
    expect_same(&s.said[1], &s.said[3]);
    expect_same(&s.said[2], &s.said[4]);
    close_stage(&s);
}

/* A short prompt beside long ones is read first, and the long ones share what is left. */
static void short_prompts_do_not_starve(void **state)
{
    (void)state;
    TEST_NEEDS(path, "weights/stories260K-Q8_0.gguf");
    struct stage s;
    open_with(&s, path, 64, 0);
    for (uint32_t i = 0; i < 3; i++) {
        const struct work w = {.prompt_n = 400, .fork = 1, .way = i, .tokens = 2};
        ask(&s, 1 + i, &w);
    }
    step(&s);
    const struct work small = {.prompt_n = 12, .fork = 300, .tokens = 2};
    ask(&s, 4, &small);
    uint32_t before = s.steps;
    finish(&s);
    assert_true(s.said[4].first_step - before <= 2);
    /* The long ones end within a few steps of each other. */
    for (uint32_t i = 1; i < 3; i++)
        assert_true(labs((long)s.said[1 + i].step - (long)s.said[1].step) <= 3);
    close_stage(&s);
}

/* A cancelled reader is gone before the next step, also one that others waited for. */
static void the_one_that_reads_is_cancelled(void **state)
{
    (void)state;
    TEST_NEEDS(path, "weights/stories260K-Q8_0.gguf");
    struct stage s;
    open_with(&s, path, 16, 0);
    const struct work w = {.prompt_n = 300, .fork = 400, .tokens = 20, .scope = 1};
    for (uint64_t i = 1; i <= 3; i++)
        ask(&s, i, &w);
    for (unsigned i = 0; i < 3; i++)
        step(&s);
    struct buf frames = {0};
    wire_add_cancel(&frames, &(struct wire_cancel){1});
    send(&s, &frames);
    assert_int_equal(s.said[1].failed, ERR_CANCELLED);
    finish(&s);
    struct work alone = w;
    alone.scope = 0;
    ask(&s, 4, &alone);
    finish(&s);
    expect_same(&s.said[2], &s.said[4]);
    expect_same(&s.said[3], &s.said[4]);
    close_stage(&s);
}

/* -- what is told beside tokens -- */

/* Logarithms of probabilities: of the chosen token first, the likeliest in order, all of them together 1; the digest is
 * that of a run without. */
static void logprobs_are_told(void **state)
{
    (void)state;
    TEST_NEEDS(path, "weights/stories260K-F32.gguf");
    struct stage s;
    open_with(&s, path, 64, 0);
    const struct work plain = {.prompt_n = 5, .fork = 300, .tokens = 20, .temp = 1, .seed = 4};
    struct work told = plain;
    told.logprobs = 1 + LOGPROBS_MAX;
    ask(&s, 1, &plain);
    ask(&s, 2, &told);
    finish(&s);
    expect_same(&s.said[1], &s.said[2]);
    assert_int_equal(s.said[1].logprobs.n, 0);
    struct bytes rest = bytes_of_buf(&s.said[2].logprobs);
    for (uint32_t i = 0; i < s.said[2].n; i++) {
        struct wire_logprob chosen, top[LOGPROBS_MAX];
        double sum = 0;
        assert_true(wire_next_logprob(&rest, &chosen));
        assert_int_equal(chosen.token, s.said[2].tokens[i]);
        assert_true(chosen.value <= 0);
        for (unsigned k = 0; k < LOGPROBS_MAX; k++) {
            assert_true(wire_next_logprob(&rest, &top[k]));
            sum += exp((double)top[k].value);
            assert_true(k == 0 || top[k].value <= top[k - 1].value);
            if (top[k].token == chosen.token)
                assert_true(arith_bits(top[k].value) == arith_bits(chosen.value));
        }
        assert_true(sum > 0.3 && sum <= 1.0001);
    }
    assert_int_equal(rest.n, 0);
    close_stage(&s);
}

static void embed(struct stage *s, uint64_t number, uint32_t n, uint32_t way)
{
    struct buf ids = {0}, frames = {0};
    put_prompt(&ids, n, 3, way);
    wire_add_embed(&frames, &(struct wire_embed){.ask = number, .ids = bytes_of_buf(&ids)});
    send(s, &frames);
    buf_clear(&ids);
}

/* Vectors are the same alone and beside jobs that write, and their digest is that of text and vector. */
static void embeddings(void **state)
{
    (void)state;
    TEST_NEEDS(path, "weights/stories260K-F32.gguf");
    struct stage s;
    struct buf ids = {0};
    open_with(&s, path, 16, 0);
    embed(&s, 1, 100, 0);
    finish(&s);
    const struct work writer = {.prompt_n = 100, .fork = 300, .tokens = 30, .scope = 1};
    ask(&s, 2, &writer);
    step(&s);
    embed(&s, 3, 100, 0);
    embed(&s, 4, 100, 1);
    embed(&s, 5, 5000, 1);
    finish(&s);
    assert_int_equal(s.said[1].vector.n, 4 * 64);
    assert_true(bytes_equal(bytes_of_buf(&s.said[1].vector), bytes_of_buf(&s.said[3].vector)));
    assert_false(bytes_equal(bytes_of_buf(&s.said[1].vector), bytes_of_buf(&s.said[4].vector)));
    assert_true(hash_equal(&s.said[1].digest, &s.said[3].digest));
    assert_int_equal(s.said[5].failed, ERR_LIMIT);
    float vector[64];
    for (uint32_t i = 0; i < 64; i++)
        vector[i] = arith_of_bits(wire_id_at(bytes_of_buf(&s.said[1].vector), i));
    put_prompt(&ids, 100, 3, 0);
    const struct hash root = {{3}}, digest = digest_embedding(&root, bytes_of_buf(&ids), vector, 64);
    assert_true(hash_equal(&digest, &s.said[1].digest));
    buf_clear(&ids);
    close_stage(&s);
}

static void ask_scores(struct stage *s, uint64_t number, uint8_t logprobs, struct bytes ids)
{
    struct buf frames = {0};
    wire_add_score(&frames, &(struct wire_score){.ask = number, .logprobs = logprobs, .ids = ids});
    send(s, &frames);
}

/* What a text is said to be as likely as is what writing it said: prompt and answer scored together end with the bytes
 * that the run told, whoever else is in the batch. */
static void texts_are_scored(void **state)
{
    (void)state;
    TEST_NEEDS(path, "weights/stories260K-Q8_0.gguf");
    const struct work wrote = {.prompt_n = 40, .fork = 40, .tokens = 30, .logprobs = 4};
    const struct work beside = {.prompt_n = 90, .fork = 1, .way = 2, .tokens = 40};
    struct stage s;
    struct buf ids = {0};
    struct wire_logprob p;
    open_with(&s, path, 16, 0);
    ask(&s, 1, &wrote);
    finish(&s);
    put_prompt(&ids, 40, 40, 0);
    for (uint32_t i = 0; i < s.said[1].n; i++)
        wire_put_id(&ids, s.said[1].tokens[i]);
    ask(&s, 2, &beside);
    ask_scores(&s, 3, 4, bytes_of_buf(&ids));
    ask_scores(&s, 4, 1, bytes_of(ids.p, 4)); /* one token: nothing is before it */
    finish(&s);
    const struct said *all = &s.said[3];
    const struct buf *told = &s.said[1].logprobs;
    assert_true(all->is_over && all->failed == ERR_OK && s.said[4].is_over);
    assert_int_equal(all->n, ids.n / 4);
    assert_memory_equal(all->logprobs.p + all->logprobs.n - told->n, told->p, told->n);
    struct bytes rest = bytes_of_buf(&all->logprobs);
    assert_true(wire_next_logprob(&rest, &p) && p.token == 1 && p.value == 0);
    for (size_t i = 1; i < ids.n / 4; i++) {
        assert_true(wire_next_logprob(&rest, &p) && p.token == wire_id_at(bytes_of_buf(&ids), i));
        float own = p.value, most = 0;
        for (unsigned k = 0; k < 3; k++) {
            assert_true(wire_next_logprob(&rest, &p) && (k == 0 || p.value <= most));
            most = p.value;
        }
        assert_true(own < 0);
    }
    assert_int_equal(rest.n, 0);
    rest = bytes_of_buf(&s.said[4].logprobs);
    assert_true(wire_next_logprob(&rest, &p) && p.value == 0 && rest.n == 0);
    ask_scores(&s, 5, 2, (struct bytes){0});
    assert_int_equal(s.said[5].failed, ERR_RANGE);
    buf_clear(&ids);
    close_stage(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(beginnings_change_nothing),
        cmocka_unit_test(a_talk_goes_on),
        cmocka_unit_test(choices_read_once),
        cmocka_unit_test(memory_is_given_back),
        cmocka_unit_test(verification_shares),
        cmocka_unit_test(nobody_waits_for_a_prompt),
        cmocka_unit_test(short_prompts_do_not_starve),
        cmocka_unit_test(the_one_that_reads_is_cancelled),
        cmocka_unit_test(logprobs_are_told),
        cmocka_unit_test(texts_are_scored),
        cmocka_unit_test(embeddings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
