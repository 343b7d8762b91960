/* Prompts that are read in steps: where these end, what is told of each, that nothing is read beyond what was let go,
 * and that the answer knows nothing of it. */
#include "base/file.h"
#include "base/limits.h"
#include "tests/model_make.h"
#include "tests/sched_stage.h"
#include "tests/support.h"

#include <stdio.h>
#include <string.h>

#define PROMPT 2000u /* three steps, and what is left */

enum { FIRST = PROMPT_STEP_TOKENS, SECOND = 2 * FIRST, THIRD = 3 * FIRST };

static void steps_end_where_they_do(void **state)
{
    (void)state;
    assert_int_equal(request_step_end(0, 0), 0);
    assert_int_equal(request_step_end(0, FIRST), 0); /* the last step is the answer's */
    assert_int_equal(request_step_end(0, FIRST + 1), FIRST);
    assert_int_equal(request_step_end(FIRST, SECOND), 0);
    assert_int_equal(request_step_end(8 * FIRST, 100 * FIRST), 9 * FIRST);
    assert_int_equal(request_step_end(16 * FIRST, 100 * FIRST), 18 * FIRST); /* an eighth of what was read */
    assert_int_equal(request_step_end(UINT32_MAX - 8, UINT32_MAX), 0);
    assert_false(request_is_step_end(0, PROMPT));
    assert_false(request_is_step_end(FIRST - 1, PROMPT));
    assert_true(request_is_step_end(THIRD, PROMPT));
    assert_false(request_is_step_end(PROMPT, PROMPT));
    unsigned n = 0;
    for (uint32_t at = 0; (at = request_step_end(at, CONTEXT_MAX)); n++)
        assert_true(request_is_step_end(at, CONTEXT_MAX));
    assert_true(n < CONTEXT_MAX / PROMPT_STEP_MAX + 32);
}

static void (*shape_more)(struct gguf_make *m, const struct model_make *s);

static void with_vocabulary(struct gguf_make *m, const struct model_make *s)
{
    struct gguf_make_array texts = {0}, types = {0}, none = {0};
    char text[16];
    for (uint32_t i = 0; i < MODEL_MAKE_VOCAB; i++) {
        snprintf(text, sizeof text, "t%u", i);
        gguf_make_array_text(&texts, text);
        gguf_make_array_i32(&types, 1);
    }
    gguf_make_text(m, "tokenizer.ggml.model", "gpt2");
    gguf_make_text(m, "tokenizer.ggml.pre", "gpt-2");
    gguf_make_array_take(m, "tokenizer.ggml.tokens", GGUF_TEXT, &texts);
    gguf_make_array_take(m, "tokenizer.ggml.token_type", GGUF_I32, &types);
    gguf_make_array_take(m, "tokenizer.ggml.merges", GGUF_TEXT, &none);
    if (shape_more)
        shape_more(m, s);
}

static char *dir;

/* The path of a small model with texts for its tokens, whose context is made long enough; until the next one. */
static const char *make(const char *label)
{
    static char path[256];
    struct buf file = {0};
    struct model_make shape;
    size_t i = 0;
    while (strcmp(model_make_at(i)->label, label) != 0)
        i++;
    shape = *model_make_at(i);
    shape_more = shape.more;
    shape.more = with_vocabulary;
    model_make(&file, &shape);
    gguf_make_lengthen(&file, 2 * PROMPT);
    snprintf(path, sizeof path, "%s/model.gguf", dir);
    (void)remove(path);
    assert_int_equal(file_write(path, 0600, bytes_of_buf(&file), NULL), ERR_OK);
    buf_clear(&file);
    return path;
}

static void put_request(struct buf *out, float temp)
{
    const struct sched_stage_work w = {.tokens = 12, .temp = temp, .seed = 5};
    struct buf prompt = {0};
    for (uint32_t i = 0; i < PROMPT; i++)
        wire_put_id(&prompt, 2 + i * 7 % (MODEL_MAKE_VOCAB - 2));
    sched_stage_put_request(out, &w, bytes_of_buf(&prompt));
    buf_clear(&prompt);
}

static void ask(struct sched_stage *s, uint64_t number, uint8_t scope, float temp, uint32_t reads_to)
{
    struct buf request = {0}, frames = {0};
    put_request(&request, temp);
    wire_add_run(&frames, &(struct wire_run){.ask = number,
                                             .scope = {{scope}},
                                             .request = bytes_of_buf(&request),
                                             .endless = true,
                                             .reads_to = reads_to});
    sched_stage_send(s, &frames);
    buf_clear(&request);
}

static void verify(struct sched_stage *s, uint64_t number, uint32_t until, const struct hash *digest)
{
    struct buf request = {0}, frames = {0};
    put_request(&request, 0);
    wire_add_verify(
        &frames,
        &(struct wire_verify){
            .ask = number, .request = bytes_of_buf(&request), .digest = *digest, .endless = true, .until = until});
    sched_stage_send(s, &frames);
    sched_stage_finish(s);
    buf_clear(&request);
}

/* Of an architecture of each kind, on the reference in batches of 16 and on the fastest kernels in batches of 252. */
static void nothing_shows_in_an_answer(void **state)
{
    static const char *const labels[] = {"llama", "llama, window", "qwen35", "lfm2", "deepseek2", "falcon-h1"};
    (void)state;
    for (unsigned k = 0; k < sizeof labels / sizeof *labels; k++) {
        struct sched_stage slow, fast;
        const char *path = make(labels[k]);
        sched_stage_open_on(&slow, path, "ref", 16);
        sched_stage_open_on(&fast, path, "auto", 252);
        for (unsigned hot = 0; hot < 2; hot++) {
            const float temp = hot ? 0.8f : 0;
            ask(&slow, 1 + hot, 0, temp, 0);
            ask(&fast, 1 + hot, 0, temp, UINT32_MAX);
            ask(&fast, 3 + hot, 0, temp, 0);
            sched_stage_finish(&slow);
            sched_stage_finish(&fast);
            sched_stage_expect_same(&slow.said[1 + hot], &fast.said[1 + hot]);
            sched_stage_expect_same(&slow.said[1 + hot], &fast.said[3 + hot]);
            assert_int_equal(slow.said[1 + hot].read_n, 0);
            assert_int_equal(fast.said[1 + hot].read_n, 3);
        }
        const struct sched_stage_said *told = &fast.said[1];
        for (unsigned i = 0; i < 3; i++) {
            struct hash other = told->read_digest[i];
            other.b[9] ^= 1;
            assert_int_equal(told->read[i], (i + 1) * FIRST);
            verify(&slow, 4 + i, told->read[i], &told->read_digest[i]);
            assert_true(slow.said[4 + i].is_over && slow.said[4 + i].same);
            verify(&slow, 8 + i, told->read[i], &other);
            assert_true(slow.said[8 + i].is_over && !slow.said[8 + i].same);
            assert_true(hash_equal(&slow.said[8 + i].digest, &told->read_digest[i]));
        }
        sched_stage_close(&slow);
        sched_stage_close(&fast);
    }
}

static void a_run_reads_what_it_may(void **state)
{
    struct sched_stage s;
    struct sched_stage_said *said = s.said;
    (void)state;
    sched_stage_open(&s, make("llama"), 100, 0);
    ask(&s, 1, 0, 0, SECOND);
    ask(&s, 2, 0, 0, FIRST);
    sched_stage_finish(&s); /* both are held: nothing is left to do */
    assert_int_equal(said[1].read_n, 2);
    assert_int_equal(said[2].read_n, 1);
    ask(&s, 3, 0, 0, 0); /* and stand in nobody's way */
    sched_stage_finish(&s);
    assert_true(said[3].is_over && !said[1].is_over && !said[2].is_over);
    sched_stage_go(&s, 2, FIRST - 1); /* never back */
    sched_stage_go(&s, 7, THIRD);     /* of nobody */
    sched_stage_finish(&s);
    assert_int_equal(said[2].read_n, 1);
    sched_stage_go(&s, 1, THIRD);
    sched_stage_finish(&s);
    assert_int_equal(said[1].read_n, 3);
    assert_false(said[1].is_over);
    sched_stage_go(&s, 1, PROMPT);
    sched_stage_go(&s, 2, UINT32_MAX);
    sched_stage_finish(&s);
    sched_stage_expect_same(&said[1], &said[2]);
    sched_stage_expect_same(&said[1], &said[3]);
    assert_int_equal(said[2].read_n, 3);
    for (unsigned i = 0; i < 3; i++)
        assert_true(hash_equal(&said[1].read_digest[i], &said[2].read_digest[i]));
    sched_stage_close(&s);
}

/* What another question of the same scope has read costs nothing: no step of it is told, nor waited for. */
static void what_is_shared_is_no_step(void **state)
{
    struct sched_stage s;
    struct sched_stage_said *said = s.said;
    (void)state;
    sched_stage_open(&s, make("llama"), 100, 0);
    ask(&s, 1, 1, 0, SECOND);
    sched_stage_finish(&s);
    assert_int_equal(said[1].read_n, 2);
    ask(&s, 2, 1, 0, FIRST);
    sched_stage_finish(&s);
    assert_int_equal(said[2].read_n, 1);
    assert_int_equal(said[2].read[0], THIRD); /* it went to the end of the step in which it began */
    assert_false(said[2].is_over);
    sched_stage_go(&s, 1, UINT32_MAX);
    sched_stage_go(&s, 2, UINT32_MAX);
    sched_stage_finish(&s);
    sched_stage_expect_same(&said[1], &said[2]);
    assert_true(said[2].shared >= SECOND);
    ask(&s, 3, 1, 0, FIRST); /* all of it */
    sched_stage_finish(&s);
    assert_int_equal(said[3].read_n, 0);
    sched_stage_expect_same(&said[1], &said[3]);
    sched_stage_close(&s);
}

static void other_places_are_refused(void **state)
{
    static const struct hash none;
    static const uint32_t places[] = {1, FIRST - 1, FIRST + 1, PROMPT, PROMPT + 1, UINT32_MAX};
    struct sched_stage s;
    (void)state;
    sched_stage_open(&s, make("llama"), 100, 0);
    for (unsigned i = 0; i < sizeof places / sizeof *places; i++) {
        verify(&s, 1 + i, places[i], &none);
        assert_int_equal(s.said[1 + i].failed, ERR_RANGE);
    }
    sched_stage_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_end_where_they_do),  cmocka_unit_test(nothing_shows_in_an_answer),
        cmocka_unit_test(a_run_reads_what_it_may),  cmocka_unit_test(what_is_shared_is_no_step),
        cmocka_unit_test(other_places_are_refused),
    };
    dir = test_dir_new();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    test_dir_remove(dir);
    return failed;
}
