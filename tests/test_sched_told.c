/* What a scheduler tells beside tokens, and to those who ask for none: logarithms of probabilities, scores, vectors. */
#include "base/mem.h"
#include "inference/sched/digest.h"
#include "tests/sched_stage.h"
#include "tests/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Logarithms of probabilities: of the chosen token first, the likeliest in order, all of them together 1; the digest is
 * that of a run without. */
static void logprobs_are_told(void **state)
{
    (void)state;
    TEST_NEEDS(path, "weights/stories260K-F32.gguf");
    struct sched_stage s;
    sched_stage_open(&s, path, 64, 0);
    const struct sched_stage_work plain = {.prompt_n = 5, .fork = 300, .tokens = 20, .temp = 1, .seed = 4};
    struct sched_stage_work told = plain;
    told.logprobs = 1 + LOGPROBS_MAX;
    sched_stage_ask(&s, 1, &plain);
    sched_stage_ask(&s, 2, &told);
    sched_stage_finish(&s);
    sched_stage_expect_same(&s.said[1], &s.said[2]);
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
    sched_stage_close(&s);
}

static void embed(struct sched_stage *s, uint64_t number, uint32_t n, uint32_t way)
{
    struct buf ids = {0}, frames = {0};
    sched_stage_put_prompt(&ids, n, 3, way);
    wire_add_embed(&frames, &(struct wire_embed){.ask = number, .ids = bytes_of_buf(&ids)});
    sched_stage_send(s, &frames);
    buf_clear(&ids);
}

/* Vectors are the same alone and beside jobs that write, and their digest is that of text and vector. */
static void embeddings(void **state)
{
    (void)state;
    TEST_NEEDS(path, "weights/stories260K-F32.gguf");
    struct sched_stage s;
    struct buf ids = {0};
    sched_stage_open(&s, path, 16, 0);
    embed(&s, 1, 100, 0);
    sched_stage_finish(&s);
    const struct sched_stage_work writer = {.prompt_n = 100, .fork = 300, .tokens = 30, .scope = 1};
    sched_stage_ask(&s, 2, &writer);
    sched_stage_step(&s);
    embed(&s, 3, 100, 0);
    embed(&s, 4, 100, 1);
    embed(&s, 5, 5000, 1);
    sched_stage_finish(&s);
    assert_int_equal(s.said[1].vector.n, 4 * 64);
    assert_true(bytes_equal(bytes_of_buf(&s.said[1].vector), bytes_of_buf(&s.said[3].vector)));
    assert_false(bytes_equal(bytes_of_buf(&s.said[1].vector), bytes_of_buf(&s.said[4].vector)));
    assert_true(hash_equal(&s.said[1].digest, &s.said[3].digest));
    assert_int_equal(s.said[5].failed, ERR_LIMIT);
    float vector[64];
    for (uint32_t i = 0; i < 64; i++)
        vector[i] = arith_of_bits(wire_id_at(bytes_of_buf(&s.said[1].vector), i));
    sched_stage_put_prompt(&ids, 100, 3, 0);
    const struct hash root = {{3}}, digest = digest_embedding(&root, bytes_of_buf(&ids), vector, 64);
    assert_true(hash_equal(&digest, &s.said[1].digest));
    buf_clear(&ids);
    sched_stage_close(&s);
}

static void ask_scores(struct sched_stage *s, uint64_t number, uint8_t logprobs, struct bytes ids)
{
    struct buf frames = {0};
    wire_add_score(&frames, &(struct wire_score){.ask = number, .logprobs = logprobs, .ids = ids});
    sched_stage_send(s, &frames);
}

/* What a text is said to be as likely as is what writing it said: prompt and answer scored together end with the bytes
 * that the run told, whoever else is in the batch. */
static void texts_are_scored(void **state)
{
    (void)state;
    TEST_NEEDS(path, "weights/stories260K-Q8_0.gguf");
    const struct sched_stage_work wrote = {.prompt_n = 40, .fork = 40, .tokens = 30, .logprobs = 4};
    const struct sched_stage_work beside = {.prompt_n = 90, .fork = 1, .way = 2, .tokens = 40};
    struct sched_stage s;
    struct buf ids = {0};
    struct wire_logprob p;
    sched_stage_open(&s, path, 16, 0);
    sched_stage_ask(&s, 1, &wrote);
    sched_stage_finish(&s);
    sched_stage_put_prompt(&ids, 40, 40, 0);
    for (uint32_t i = 0; i < s.said[1].n; i++)
        wire_put_id(&ids, s.said[1].tokens[i]);
    sched_stage_ask(&s, 2, &beside);
    ask_scores(&s, 3, 4, bytes_of_buf(&ids));
    ask_scores(&s, 4, 1, bytes_of(ids.p, 4)); /* one token: nothing is before it */
    sched_stage_finish(&s);
    const struct sched_stage_said *all = &s.said[3];
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
    sched_stage_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logprobs_are_told),
        cmocka_unit_test(texts_are_scored),
        cmocka_unit_test(embeddings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
