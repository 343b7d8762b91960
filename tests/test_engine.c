/* Whole models: the reference text of stories260K, and the same bits for every kernel set, thread count, batch and mix
 * of jobs. */
#include "base/file.h"
#include "base/json.h"
#include "tests/engine.h"

static json_t *reference(const char *name)
{
    struct buf path = {0}, text = {0};
    buf_add_format(&path, "weights/stories260K-%s.json", name);
    assert_int_equal(file_read(test_data_path(buf_text(&path)), 1 << 20, &text, NULL), ERR_OK);
    json_t *v = json_parse(bytes_of_buf(&text), NULL);
    assert_non_null(v);
    buf_clear(&path);
    buf_clear(&text);
    return v;
}

static uint32_t ids(const json_t *list, uint32_t *out)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        out[i] = (uint32_t)json_integer_value(json_array_get(list, i));
    return (uint32_t)json_array_size(list);
}

static void reproduces(const char *name, bool exactly)
{
    struct buf file = {0}, request = {0};
    buf_add_format(&file, "weights/stories260K-%s.gguf", name);
    const char *path = test_data_path(buf_text(&file));
    struct loaded l;
    load(path, &l);
    json_t *ref = reference(name);
    uint32_t prompt[32], expected[256];
    uint32_t prompt_n = ids(json_object_get(ref, "prompt_ids"), prompt);
    uint32_t n = ids(json_object_get(ref, "greedy_ids"), expected);
    struct engine *e = engine_for(&l, "auto", 1, 16);
    put_request(&request, prompt, prompt_n, n, 0, 0);
    struct answer a = run(&l, e, SESSION_RUN, bytes_of_buf(&request), (struct bytes){0}, NULL, 16);
    uint32_t equal = 0;
    while (equal < n && a.tokens[equal] == expected[equal])
        equal++;
    print_message("%s: the first %u of %u tokens are the float reference's\n", name, equal, n);
    assert_int_equal(a.n, n);
    if (exactly) {
        assert_int_equal(equal, n);
        const char *whole = json_text(ref, "text"); /* prompt and continuation */
        assert_true(strlen(whole) > a.text.n && a.text.n > 0);
        assert_string_equal(buf_text(&a.text), whole + strlen(whole) - a.text.n);
    } else
        assert_true(equal >= 8);
    buf_clear(&a.text);
    engine_free(e);
    json_decref(ref);
    unload(&l);
    buf_clear(&file);
    buf_clear(&request);
}

static void reproduces_the_reference_texts(void **state)
{
    (void)state;
    TEST_NEEDS(path, "weights/stories260K-F32.gguf");
    (void)path;
    reproduces("F32", true);
    reproduces("F16", true);
    reproduces("Q8_0", false);
    reproduces("Q4_0", false);
}

static void every_way_gives_the_same_bits(void **state)
{
    (void)state;
    static const char *const names[] = {"F32", "F16", "Q8_0", "Q4_0"};
    /* Of arithmetic 1. They change when a rule does, and then the version does too. */
    static const char *const digests[] = {"65b670f52eeda185dabca5179170f45bd283e7489e9dba963ad3fd2a6ff3840a",
                                          "4f70c2e313b8676778b61e224d0271796969acdb1f27ae4ebac72703276bc688",
                                          "32e02e5643a95fbd32477b45617de52eb4e698ea1b5854e3cf8ae17a8db2f138",
                                          "d13b7041739c484b904a6f9b52a778a986727575271b94bb347eb9d51aefc020"};
    TEST_NEEDS(path, "weights/stories260K-F32.gguf");
    (void)path;
    for (unsigned f = 0; f < 4; f++) {
        struct buf file = {0}, request = {0};
        struct loaded l;
        buf_add_format(&file, "weights/stories260K-%s.gguf", names[f]);
        load(test_data_path(buf_text(&file)), &l);
        uint32_t prompt[90];
        for (uint32_t i = 0; i < 90; i++)
            prompt[i] = i < 5 ? short_prompt[i] : 300 + i * 7 % 150;
        put_request(&request, prompt, 90, 60, f % 2 ? 0.8f : 0, 5); /* over two chunks of the cache */
        struct engine *e = engine_for(&l, "ref", 1, 1);
        struct answer first = run(&l, e, SESSION_RUN, bytes_of_buf(&request), (struct bytes){0}, NULL, 1);
        engine_free(e);
        char hex[2 * HASH_SIZE + 1];
        hex_put(hex, first.digest.b, HASH_SIZE);
        assert_string_equal(hex, digests[f]);
        static const struct {
            const char *ops;
            unsigned threads, batch;
        } ways[] = {{"ref", 2, 64}, {"ref", 1, 7}, {"avx2", 1, 1}, {"avx2", 2, 7}, {"avx2", 2, 128}, {"avxvnni", 2, 7}};
        for (unsigned w = 0; w < sizeof ways / sizeof *ways; w++) {
            e = engine_for(&l, ways[w].ops, ways[w].threads, ways[w].batch);
            if (!e)
                continue;
            struct answer a = run(&l, e, SESSION_RUN, bytes_of_buf(&request), (struct bytes){0}, NULL, ways[w].batch);
            assert_int_equal(a.n, first.n);
            assert_memory_equal(a.tokens, first.tokens, first.n * sizeof *first.tokens);
            assert_true(hash_equal(&a.digest, &first.digest));
            buf_clear(&a.text);
            engine_free(e);
        }
        buf_clear(&first.text);
        buf_clear(&file);
        buf_clear(&request);
        unload(&l);
    }
}

static void strangers_in_a_batch_change_nothing(void **state)
{
    (void)state;
    TEST_NEEDS(path, "weights/stories260K-Q8_0.gguf");
    struct loaded l;
    struct buf request[3] = {{0}};
    struct answer alone[3], mixed[3];
    struct session *s[3];
    memset(mixed, 0, sizeof mixed);
    load(path, &l);
    struct engine *e = engine_for(&l, "auto", 2, 32);
    for (unsigned i = 0; i < 3; i++) {
        put_request(&request[i], short_prompt, 5 - i, 30 + 10 * i, (float)i * 0.5f, (uint8_t)i);
        alone[i] = run(&l, e, SESSION_RUN, bytes_of_buf(&request[i]), (struct bytes){0}, NULL, 32);
        struct session_options o = {.engine = e, .tok = l.tok, .model = l.root, .request = bytes_of_buf(&request[i])};
        assert_int_equal(session_new(&o, &s[i], NULL), ERR_OK);
    }
    drive(e, s, mixed, 3, 32);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(mixed[i].n, alone[i].n);
        assert_true(hash_equal(&mixed[i].digest, &alone[i].digest));
        session_free(s[i]);
        buf_clear(&alone[i].text);
        buf_clear(&mixed[i].text);
        buf_clear(&request[i]);
    }
    engine_free(e);
    unload(&l);
}

/* -- drafts -- */

/* The same request with drafts of every length in batches of every size: the same bits. Returns how many guesses came.
 */
static uint32_t drafts_give(const struct loaded *l, struct engine *e, struct bytes request, struct bytes known,
                            const struct answer *want)
{
    static const uint32_t batches[] = {2, 5, 16, 64}, drafts[] = {1, 3, 15, 99};
    uint32_t came = 0;
    for (unsigned b = 0; b < 4; b++)
        for (unsigned d = 0; d < 4; d++) {
            struct answer a = {0};
            struct session *s;
            struct session_options o = {
                .engine = e, .tok = l->tok, .model = l->root, .request = request, .tokens = known, .draft = drafts[d]};
            assert_int_equal(session_new(&o, &s, NULL), ERR_OK);
            drive(e, &s, &a, 1, batches[b]);
            assert_int_equal(a.end, SESSION_DONE);
            assert_int_equal(a.n, want->n);
            assert_int_equal(a.stop, want->stop);
            assert_memory_equal(a.tokens + known.n / 4, want->tokens + known.n / 4, (want->n - known.n / 4) * 4);
            assert_true(hash_equal(&a.digest, &want->digest));
            const struct draft *draft = session_draft(s);
            assert_true(draft->guessed > 0 && draft->counted <= draft->guessed);
            came += draft->counted;
            if (known.n == 0)
                assert_true(bytes_equal(bytes_of_buf(&a.text), bytes_of_buf(&want->text)));
            session_free(s);
            buf_clear(&a.text);
        }
    return came;
}

static void drafts_change_nothing(void **state)
{
    (void)state;
    TEST_NEEDS(path, "weights/stories260K-Q8_0.gguf");
    struct loaded l;
    load(path, &l);
    struct engine *e = engine_for(&l, "auto", 1, 64);
    for (unsigned i = 0; i < 4; i++) {
        uint32_t prompt[120];
        struct buf request = {0};
        /* A sentence over and over, or only once. */
        for (uint32_t k = 0; k < 120; k++)
            prompt[k] = k % 12 < 5 ? short_prompt[k % 12] : 300 + k % 12 * 7;
        put_request(&request, prompt, i < 2 ? 120 : 12, 150, i % 2 ? 0.7f : 0, (uint8_t)i);
        struct answer want = run(&l, e, SESSION_RUN, bytes_of_buf(&request), (struct bytes){0}, NULL, 64);
        uint32_t came = drafts_give(&l, e, bytes_of_buf(&request), (struct bytes){0}, &want);
        print_message("%s: %u guesses came in 16 runs of %u tokens\n", i % 2 ? "drawn" : "greedy", came, want.n);
        assert_true(i % 2 || came > 0);
        /* Resumed in the middle of a page and at its end. */
        for (uint32_t from = 0; from < want.n; from += 37)
            drafts_give(&l, e, bytes_of_buf(&request), bytes_of(want.tokens, (size_t)(from < 40 ? from : 40) * 4),
                        &want);
        buf_clear(&want.text);
        buf_clear(&request);
    }
    engine_free(e);
    unload(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reproduces_the_reference_texts),
        cmocka_unit_test(every_way_gives_the_same_bits),
        cmocka_unit_test(strangers_in_a_batch_change_nothing),
        cmocka_unit_test(drafts_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
