/* The scheduler as a worker has it, without its socket: beginnings that are shared change nothing but the time, nobody
 * waits long for others' prompts, and everybody gets something of a step. */
#include "base/mem.h"
#include "tests/sched_stage.h"
#include "tests/support.h"

#include <stdlib.h>
#include <string.h>

/* -- beginnings -- */

/* The same questions with nothing shared and with everything, one after the other and all at once, with room for what
 * is kept and without. */
static void beginnings_change_nothing(void **state)
{
    (void)state;
    TEST_NEEDS(path, "weights/stories260K-Q8_0.gguf");
    static const struct sched_stage_work works[] = {
        {200, 300, 0, 30, 0, 0, 0, 1, 0},   {200, 150, 1, 30, 0, 0, 0, 2, 0.9f}, {130, 300, 0, 30, 0, 0, 0, 3, 0.9f},
        {129, 128, 2, 30, 0, 0, 0, 4, 0},   {128, 300, 0, 30, 0, 0, 0, 5, 0.7f}, {65, 300, 0, 30, 0, 0, 0, 6, 0.7f},
        {64, 300, 0, 30, 0, 0, 0, 7, 0.7f},
    };
    enum { N = sizeof works / sizeof *works };
    static const uint32_t batches[] = {128, 7, 64};
    for (unsigned b = 0; b < 3; b++) {
        struct sched_stage alone, one, all;
        sched_stage_open(&alone, path, batches[b], 0);
        sched_stage_open(&one, path, batches[b], 0);
        sched_stage_open(&all, path, batches[b], 0);
        for (unsigned i = 0; i < N; i++) {
            struct sched_stage_work w = works[i];
            sched_stage_ask(&alone, i + 1, &w);
            sched_stage_finish(&alone);
            assert_int_equal(alone.said[i + 1].shared, 0);
            w.scope = 1;
            sched_stage_ask(&one, i + 1, &w);
            sched_stage_finish(&one);
            sched_stage_ask(&all, i + 1, &w);
        }
        sched_stage_finish(&all);
        for (unsigned i = 0; i < N; i++) {
            sched_stage_expect_same(&alone.said[i + 1], &one.said[i + 1]);
            sched_stage_expect_same(&alone.said[i + 1], &all.said[i + 1]);
        }
        static const uint32_t shared[N] = {0, 128, 128, 128, 64, 64, 0};
        for (unsigned i = 0; i < N; i++)
            assert_int_equal(one.said[i + 1].shared, shared[i]);
        sched_stage_close(&alone);
        sched_stage_close(&one);
        sched_stage_close(&all);
    }
}

/* Prompt and answer of one turn begin the next. */
static void a_talk_goes_on(void **state)
{
    (void)state;
    TEST_NEEDS(path, "weights/stories260K-F32.gguf");
    struct sched_stage s;
    sched_stage_open(&s, path, 64, 0);
    const struct sched_stage_work first = {.prompt_n = 60, .fork = 300, .tokens = 80, .scope = 1};
    sched_stage_ask(&s, 1, &first);
    sched_stage_finish(&s);
    for (unsigned scope = 0; scope < 3; scope++) { /* nobody's, the same, a stranger's */
        struct buf prompt = {0}, request = {0}, frames = {0};
        struct sched_stage_work next = {.tokens = 20};
        sched_stage_put_prompt(&prompt, 60, 300, 0);
        for (uint32_t i = 0; i < 80; i++)
            wire_put_id(&prompt, s.said[1].tokens[i]);
        wire_put_id(&prompt, 400);
        sched_stage_put_request(&request, &next, bytes_of_buf(&prompt));
        wire_add_run(&frames, &(struct wire_run){
                                  .ask = 2 + scope, .scope = {{(uint8_t)scope}}, .request = bytes_of_buf(&request)});
        sched_stage_send(&s, &frames);
        sched_stage_finish(&s);
        assert_int_equal(s.said[2 + scope].shared, scope == 1 ? 128 : 0);
        buf_clear(&prompt);
        buf_clear(&request);
    }
    sched_stage_expect_same(&s.said[2], &s.said[3]);
    sched_stage_expect_same(&s.said[2], &s.said[4]);
    sched_stage_close(&s);
}

/* Of several that begin alike one reads, and the others wait for it: the prompt is evaluated once. */
static void choices_read_once(void **state)
{
    (void)state;
    TEST_NEEDS(path, "weights/stories260K-Q4_0.gguf");
    struct sched_stage s;
    sched_stage_open(&s, path, 128, 0);
    for (uint32_t i = 0; i < 4; i++) {
        const struct sched_stage_work w = {
            .prompt_n = 300, .fork = 400, .tokens = 40, .choice = i, .scope = 1, .temp = 1, .seed = 9};
        sched_stage_ask(&s, 1 + i, &w);
    }
    sched_stage_finish(&s);
    uint32_t shared = 0;
    for (uint32_t i = 0; i < 4; i++) {
        shared += s.said[1 + i].shared;
        const struct sched_stage_work w = {
            .prompt_n = 300, .fork = 400, .tokens = 40, .choice = i, .temp = 1, .seed = 9};
        sched_stage_ask(&s, 5 + i, &w);
        sched_stage_finish(&s);
        sched_stage_expect_same(&s.said[1 + i], &s.said[5 + i]);
    }
    assert_int_equal(shared, 3 * 256);
    assert_false(hash_equal(&s.said[1].digest, &s.said[2].digest));
    assert_memory_not_equal(s.said[1].tokens, s.said[2].tokens, 40 * sizeof(uint32_t));
    sched_stage_close(&s);
}

/* Where there is no room, what was kept goes: the answers stay. */
static void memory_is_given_back(void **state)
{
    (void)state;
    TEST_NEEDS(path, "weights/stories260K-Q8_0.gguf");
    struct sched_stage s, small;
    sched_stage_open(&s, path, 64, 0);
    /* The least that the model and one of these questions need. */
    uint64_t memory = 1 << 20;
    for (;; memory += 64 << 10) {
        struct note note = {{0}};
        struct buf out = {0};
        struct sched *x;
        struct wire_open open = {.root = {{3}}, .threads = 3, .batch = 64, .jobs = 8, .memory_bytes = memory};
        assert_true(text64_set(&open.backend, "auto"));
        enum err e = sched_open(
            &open, &(struct sched_options){.file = s.file, .pack_fd = -1, .clock = sched_stage_clock}, &out, &x, &note);
        buf_clear(&out);
        if (e == ERR_OK) {
            sched_close(x);
            break;
        }
    }
    sched_stage_open(&small, path, 64, memory + (512 << 10));
    uint32_t known = 0, known_small = 0;
    for (uint32_t round = 0; round < 4; round++)
        for (uint32_t i = 0; i < 3; i++) {
            const struct sched_stage_work w = {
                .prompt_n = 260, .fork = 130 * (i % 2), .way = i, .tokens = 20, .scope = 1};
            uint32_t n = 1 + round * 3 + i;
            sched_stage_ask(&s, n, &w);
            sched_stage_finish(&s);
            sched_stage_ask(&small, n, &w);
            sched_stage_finish(&small);
            sched_stage_expect_same(&s.said[n], &small.said[n]);
            known += s.said[n].shared;
            known_small += small.said[n].shared;
        }
    assert_true(known_small < known / 2);
    assert_int_equal(s.said[12].shared, 256);
    sched_stage_close(&s);
    sched_stage_close(&small);
}

/* A verification reads a prompt that was read for the answer already. */
static void verification_shares(void **state)
{
    (void)state;
    TEST_NEEDS(path, "weights/stories260K-Q8_0.gguf");
    struct sched_stage s;
    sched_stage_open(&s, path, 64, 0);
    const struct sched_stage_work w = {.prompt_n = 200, .fork = 300, .tokens = 50, .scope = 1, .temp = 0.9f};
    sched_stage_ask(&s, 1, &w);
    sched_stage_finish(&s);
    struct buf prompt = {0}, request = {0}, frames = {0}, tokens = {0};
    sched_stage_put_prompt(&prompt, 200, 300, 0);
    sched_stage_put_request(&request, &w, bytes_of_buf(&prompt));
    for (uint32_t i = 0; i < s.said[1].n; i++)
        wire_put_id(&tokens, s.said[1].tokens[i]);
    struct wire_verify m = {.ask = 2,
                            .scope = {{1}},
                            .request = bytes_of_buf(&request),
                            .tokens = bytes_of_buf(&tokens),
                            .digest = s.said[1].digest};
    uint32_t before = s.steps;
    wire_add_verify(&frames, &m);
    sched_stage_send(&s, &frames);
    sched_stage_finish(&s);
    uint32_t quick = s.steps - before;
    m.ask = 3;
    m.scope = (struct hash){{0}};
    wire_add_verify(&frames, &m);
    sched_stage_send(&s, &frames);
    sched_stage_finish(&s);
    assert_true(s.said[2].same && s.said[3].same);
    assert_true(s.steps - before - quick > quick);
    m.ask = 4;
    m.scope = (struct hash){{1}};
    m.digest.b[3] ^= 1;
    wire_add_verify(&frames, &m);
    sched_stage_send(&s, &frames);
    sched_stage_finish(&s);
    assert_false(s.said[4].same);
    buf_clear(&prompt);
    buf_clear(&request);
    buf_clear(&tokens);
    sched_stage_close(&s);
}

/* Replays with a key: each by itself, all at once beside one that writes, and in the scope whose pages are kept. */
static void witnesses_are_told(void **state)
{
    (void)state;
    TEST_NEEDS(path, "weights/stories260K-Q8_0.gguf");
    struct sched_stage s;
    sched_stage_open(&s, path, 64, 0);
    const struct sched_stage_work w = {.prompt_n = 200, .fork = 300, .tokens = 50, .scope = 1, .temp = 0.9f};
    sched_stage_ask(&s, 1, &w);
    sched_stage_finish(&s);
    struct buf prompt = {0}, request = {0}, frames = {0}, tokens = {0};
    struct hash key = {{0}};
    sched_stage_put_prompt(&prompt, 200, 300, 0);
    sched_stage_put_request(&request, &w, bytes_of_buf(&prompt));
    for (uint32_t i = 0; i < s.said[1].n; i++)
        wire_put_id(&tokens, s.said[1].tokens[i]);
    struct wire_verify m = {.request = bytes_of_buf(&request),
                            .tokens = bytes_of_buf(&tokens),
                            .digest = s.said[1].digest,
                            .key = bytes_of(key.b, sizeof key.b)};
    for (uint8_t k = 0; k < 2; k++) {
        key.b[0] = k;
        m.ask = 2u + k;
        wire_add_verify(&frames, &m);
        sched_stage_send(&s, &frames);
        sched_stage_finish(&s);
    }
    assert_true(s.said[2].same && s.said[3].same && !hash_equal(&s.said[2].witness, &s.said[3].witness));
    const struct sched_stage_work writer = {.prompt_n = 5, .fork = 300, .tokens = 60};
    sched_stage_ask(&s, 4, &writer);
    m.scope.b[0] = 1;
    for (uint8_t k = 0; k < 3; k++) { /* the last without */
        key.b[0] = k;
        m.ask = 5u + k;
        m.key.n = k < 2 ? HASH_SIZE : 0;
        wire_add_verify(&frames, &m);
    }
    sched_stage_send(&s, &frames);
    sched_stage_finish(&s);
    assert_true(s.said[5].same && s.said[6].same && s.said[7].same);
    assert_true(hash_equal(&s.said[2].witness, &s.said[5].witness));
    assert_true(hash_equal(&s.said[3].witness, &s.said[6].witness));
    assert_true(hash_is_zero(&s.said[7].witness));
    assert_true(s.said[7].step < s.said[5].step); /* it had little left to read */
    buf_clear(&prompt);
    buf_clear(&request);
    buf_clear(&tokens);
    buf_clear(&frames);
    sched_stage_close(&s);
}

/* -- steps -- */

/* With rows that take long, somebody who writes gets a token a step all the same, and steps are short. */
static void nobody_waits_for_a_prompt(void **state)
{
    (void)state;
    TEST_NEEDS(path, "weights/stories260K-Q8_0.gguf");
    struct sched_stage s;
    sched_stage_open(&s, path, 128, 0);
    const struct sched_stage_work writer = {.prompt_n = 5, .fork = 300, .tokens = 200};
    sched_stage_ask(&s, 1, &writer);
    sched_stage_step(&s);
    const struct sched_stage_work reader = {.prompt_n = 300, .fork = 300, .tokens = 5};
    sched_stage_step_us = 400000; /* every evaluation is said to have taken that long: rows are dear */
    sched_stage_ask(&s, 2, &reader);
    for (unsigned i = 0; i < 6; i++)
        sched_stage_step(&s);
    uint32_t wrote = s.said[1].n;
    assert_true(wrote >= 6); /* a token a step */
    assert_false(s.said[2].is_over);
    assert_int_equal(s.said[2].n, 0); /* at a few rows a step it is still reading */
    sched_stage_finish(&s);
    uint32_t slow = s.said[2].first_step;
    /* The same where rows are cheap: it is read in as many steps as the batch asks for. */
    sched_stage_step_us = 1;
    for (unsigned i = 0; i < 8; i++) {
        const struct sched_stage_work warm = {.prompt_n = 100, .fork = 300, .tokens = 1, .way = i};
        sched_stage_ask(&s, 10 + i, &warm);
        sched_stage_finish(&s);
    }
    sched_stage_ask(&s, 3, &writer);
    sched_stage_step(&s);
    uint32_t before = s.steps;
    sched_stage_ask(&s, 4, &reader);
    sched_stage_finish(&s);
    assert_true(s.said[4].first_step - before <= 4);
    assert_true(slow > 20);
    sched_stage_expect_same(&s.said[1], &s.said[3]);
    sched_stage_expect_same(&s.said[2], &s.said[4]);
    sched_stage_close(&s);
}

/* A short prompt beside long ones is read first, and the long ones share what is left. */
static void short_prompts_do_not_starve(void **state)
{
    (void)state;
    TEST_NEEDS(path, "weights/stories260K-Q8_0.gguf");
    struct sched_stage s;
    sched_stage_open(&s, path, 64, 0);
    for (uint32_t i = 0; i < 3; i++) {
        const struct sched_stage_work w = {.prompt_n = 400, .fork = 1, .way = i, .tokens = 2};
        sched_stage_ask(&s, 1 + i, &w);
    }
    sched_stage_step(&s);
    const struct sched_stage_work small = {.prompt_n = 12, .fork = 300, .tokens = 2};
    sched_stage_ask(&s, 4, &small);
    uint32_t before = s.steps;
    sched_stage_finish(&s);
    assert_true(s.said[4].first_step - before <= 2);
    /* The long ones end within a few steps of each other. */
    for (uint32_t i = 1; i < 3; i++)
        assert_true(labs((long)s.said[1 + i].step - (long)s.said[1].step) <= 3);
    sched_stage_close(&s);
}

/* A cancelled reader is gone before the next step, also one that others waited for. */
static void the_one_that_reads_is_cancelled(void **state)
{
    (void)state;
    TEST_NEEDS(path, "weights/stories260K-Q8_0.gguf");
    struct sched_stage s;
    sched_stage_open(&s, path, 16, 0);
    const struct sched_stage_work w = {.prompt_n = 300, .fork = 400, .tokens = 20, .scope = 1};
    for (uint64_t i = 1; i <= 3; i++)
        sched_stage_ask(&s, i, &w);
    for (unsigned i = 0; i < 3; i++)
        sched_stage_step(&s);
    struct buf frames = {0};
    wire_add_cancel(&frames, &(struct wire_cancel){1});
    sched_stage_send(&s, &frames);
    assert_int_equal(s.said[1].failed, ERR_CANCELLED);
    sched_stage_finish(&s);
    struct sched_stage_work alone = w;
    alone.scope = 0;
    sched_stage_ask(&s, 4, &alone);
    sched_stage_finish(&s);
    sched_stage_expect_same(&s.said[2], &s.said[4]);
    sched_stage_expect_same(&s.said[3], &s.said[4]);
    sched_stage_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(beginnings_change_nothing),
        cmocka_unit_test(a_talk_goes_on),
        cmocka_unit_test(choices_read_once),
        cmocka_unit_test(memory_is_given_back),
        cmocka_unit_test(verification_shares),
        cmocka_unit_test(witnesses_are_told),
        cmocka_unit_test(nobody_waits_for_a_prompt),
        cmocka_unit_test(short_prompts_do_not_starve),
        cmocka_unit_test(the_one_that_reads_is_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
