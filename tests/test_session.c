/* Jobs: answers that keep to schemas, resumed, verified, tampered with; and requests that are refused. */
#include "base/json.h"
#include "tests/engine.h"
#include "tests/gguf_make.h"
#include "tests/validate.h"

/* -- schemas -- */

static void put_schema_request(struct buf *b, const char *schema, uint32_t tokens, float temp, uint8_t seed)
{
    struct request r;
    request_init(&r);
    r.prompt = bytes_of(short_prompt, sizeof short_prompt);
    r.tokens_max = tokens;
    r.temp = temp;
    r.schema = bytes_of_text(schema);
    r.seed.b[0] = seed;
    request_put(b, &r);
}

/* Whole, in batches of one, from every third token on, and verified: the same; and the text is what was asked for. */
static void keeps_to(const struct loaded *l, const char *schema, float temp, uint8_t seed)
{
    struct buf request = {0};
    struct engine *e = engine_for(l, "auto", 1, 64);
    put_schema_request(&request, schema, 200, temp, seed);
    struct answer a = run(l, e, SESSION_RUN, bytes_of_buf(&request), (struct bytes){0}, NULL, 64);
    json_t *v = json_parse(bytes_of_buf(&a.text), NULL), *s = json_parse(bytes_of_text(schema), NULL);
    if (a.stop != REQUEST_EOS || !v || !validate(s, s, v))
        fail_msg("%s: %s (%s)", schema, buf_text(&a.text), request_stop_name(a.stop));
    json_decref(v);
    json_decref(s);
    for (uint32_t from = 0; from <= a.n; from += 3) {
        struct answer rest = run(l, e, SESSION_RUN, bytes_of_buf(&request), bytes_of(a.tokens, (size_t)from * 4), NULL,
                                 from % 2 ? 1 : 64);
        assert_true(rest.end == SESSION_DONE && rest.stop == a.stop && hash_equal(&rest.digest, &a.digest));
        buf_clear(&rest.text);
    }
    struct answer same =
        run(l, e, SESSION_VERIFY, bytes_of_buf(&request), bytes_of(a.tokens, (size_t)a.n * 4), &a.digest, 64);
    assert_true(same.same);
    /* Without the schema, or with another, it is another answer. */
    buf_reset(&request);
    put_schema_request(&request, "true", 200, temp, seed);
    same = run(l, e, SESSION_VERIFY, bytes_of_buf(&request), bytes_of(a.tokens, (size_t)a.n * 4), &a.digest, 64);
    assert_false(same.same);
    buf_clear(&a.text);
    buf_clear(&request);
    engine_free(e);
}

static void schemas_are_kept_to(void **state)
{
    (void)state;
    static const char *const schemas[] = {
        "{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\",\"maxLength\":12},\"n\":{\"type\":"
        "\"integer\","
        "\"minimum\":3,\"maximum\":70}},\"required\":[\"name\",\"n\"],\"additionalProperties\":false}",
        "{\"type\":\"array\",\"items\":{\"enum\":[\"yes\",\"no\",\"caf\xC3\xA9\"]},\"minItems\":2,\"maxItems\":5}",
        "{\"const\":\"\xE2\x98\x83 only this\"}",
    };
    TEST_NEEDS(path, "weights/stories260K-Q8_0.gguf");
    struct loaded l;
    load(path, &l);
    for (unsigned i = 0; i < 3; i++) {
        keeps_to(&l, schemas[i], 0, 0);
        keeps_to(&l, schemas[i], 1, (uint8_t)(i + 1));
    }
    unload(&l);
}

static void bad_schemas_end_no_process(void **state)
{
    (void)state;
    TEST_NEEDS(path, "weights/stories260K-Q8_0.gguf");
    struct loaded l;
    struct buf request = {0};
    struct note note = {{0}};
    struct session *s;
    load(path, &l);
    struct engine *e = engine_for(&l, "auto", 1, 64);
    struct session_options o = {.engine = e, .tok = l.tok, .model = l.root};
    put_schema_request(&request, "{\"not\":true}", 10, 0, 0);
    o.request = bytes_of_buf(&request);
    assert_int_equal(session_new(&o, &s, &note), ERR_UNSUPPORTED);
    assert_non_null(strstr(note.text, "\"not\""));
    o.tok = NULL;
    assert_int_equal(session_new(&o, &s, &note), ERR_UNSUPPORTED);
    assert_non_null(strstr(note.text, "vocabulary"));
    engine_free(e);
    unload(&l);
    buf_clear(&request);
}

static void resumes_verifies_and_notices(void **state)
{
    (void)state;
    TEST_NEEDS(path, "weights/stories260K-Q4_0.gguf");
    struct loaded l;
    struct buf request = {0};
    load(path, &l);
    struct engine *e = engine_for(&l, "auto", 1, 64);
    put_request(&request, short_prompt, 5, 50, 0.9f, 77);
    struct answer a = run(&l, e, SESSION_RUN, bytes_of_buf(&request), (struct bytes){0}, NULL, 64);
    struct bytes all = bytes_of(a.tokens, (size_t)a.n * 4);
    /* Taken up in the middle. */
    struct answer rest = run(&l, e, SESSION_RUN, bytes_of_buf(&request), bytes_of(a.tokens, 20 * 4), NULL, 64);
    assert_int_equal(rest.n, a.n);
    assert_memory_equal(rest.tokens + 20, a.tokens + 20, (a.n - 20) * 4);
    assert_true(hash_equal(&rest.digest, &a.digest));
    /* Taken up at its end: nothing is left but to say so. */
    struct answer end = run(&l, e, SESSION_RUN, bytes_of_buf(&request), all, NULL, 64);
    assert_int_equal(end.end, SESSION_DONE);
    assert_true(hash_equal(&end.digest, &a.digest));
    struct answer v = run(&l, e, SESSION_VERIFY, bytes_of_buf(&request), all, &a.digest, 64);
    assert_true(v.same);
    /* A digest of something else, a token of something else, another seed. */
    struct hash other = a.digest;
    other.b[7] ^= 1;
    v = run(&l, e, SESSION_VERIFY, bytes_of_buf(&request), all, &other, 64);
    assert_false(v.same);
    assert_int_equal(v.position, a.n);
    uint32_t wrong[256];
    memcpy(wrong, a.tokens, sizeof wrong);
    wrong[31] ^= 1;
    v = run(&l, e, SESSION_VERIFY, bytes_of_buf(&request), bytes_of(wrong, (size_t)a.n * 4), &a.digest, 64);
    assert_false(v.same);
    assert_int_equal(v.position, 31);
    struct answer refused = run(&l, e, SESSION_RUN, bytes_of_buf(&request), bytes_of(wrong, 40 * 4), NULL, 64);
    assert_int_equal(refused.end, SESSION_FAILED);
    assert_int_equal(refused.position, 31);
    buf_clear(&request);
    put_request(&request, short_prompt, 5, 50, 0.9f, 78);
    v = run(&l, e, SESSION_VERIFY, bytes_of_buf(&request), all, &a.digest, 64);
    assert_false(v.same);
    buf_clear(&a.text);
    buf_clear(&rest.text);
    buf_clear(&refused.text);
    buf_clear(&end.text);
    buf_clear(&request);
    engine_free(e);
    unload(&l);
}

/* A model whose arithmetic overflows behind token 5: the answer ends there, and is verified with that end. */
static void an_end_by_numbers_is_verified(void **state)
{
    (void)state;
    struct gguf_make make;
    struct buf file = {0}, request = {0};
    struct loaded l = {0};
    struct note note = {{0}};
    gguf_make_counter(&make, NULL);
    gguf_make_end(&make, &file);
    assert_int_equal(gguf_open(bytes_of_buf(&file), &l.gguf, &note), ERR_OK);
    pack_all(&l);
    assert_int_equal(model_open(l.gguf, l.pack, &l.model, &note), ERR_OK);
    const struct ops *ops;
    for (size_t i = 0; (ops = ops_at(i)); i++) {
        struct engine *e = engine_for(&l, ops->name, 1, 4);
        for (uint32_t first = 1; first <= 5; first++) { /* from 5 no token is written at all */
            const uint32_t prompt[] = {7, first};
            buf_reset(&request);
            put_request(&request, prompt, 2, 20, 0, 0);
            struct answer a = run(&l, e, SESSION_RUN, bytes_of_buf(&request), (struct bytes){0}, NULL, 4);
            assert_int_equal(a.stop, REQUEST_NUMERIC);
            assert_int_equal(a.n, 5 - first);
            for (uint32_t j = 0; j < a.n; j++)
                assert_int_equal(a.tokens[j], first + 1 + j);
            struct bytes all = bytes_of(a.tokens, (size_t)a.n * 4);
            struct answer v = run(&l, e, SESSION_VERIFY, bytes_of_buf(&request), all, &a.digest, 4);
            assert_true(v.same);
            a.digest.b[0] ^= 1;
            v = run(&l, e, SESSION_VERIFY, bytes_of_buf(&request), all, &a.digest, 4);
            assert_false(v.same);
        }
        /* An answer broken off earlier, with its digest and with another. */
        const uint32_t prompt[] = {1}, answer[] = {2, 3};
        buf_reset(&request);
        put_request(&request, prompt, 1, 2, 0, 0);
        struct answer a = run(&l, e, SESSION_RUN, bytes_of_buf(&request), (struct bytes){0}, NULL, 4);
        assert_int_equal(a.stop, REQUEST_LENGTH);
        assert_memory_equal(a.tokens, answer, sizeof answer);
        struct answer v = run(&l, e, SESSION_VERIFY, bytes_of_buf(&request), bytes_of(answer, 4), &a.digest, 4);
        assert_false(v.same);
        engine_free(e);
    }
    gguf_make_clear(&make);
    buf_clear(&file);
    buf_clear(&request);
    model_free(l.model);
    pack_free(l.pack);
    free(l.packed);
    gguf_free(l.gguf);
}

static struct answer run_in_scope(const struct loaded *l, struct engine *e, uint8_t scope, struct bytes request,
                                  uint32_t *shared)
{
    struct answer a = {0};
    struct session *s;
    const struct session_options o = {.engine = e, .model = l->root, .request = request, .scope = {{scope}}};
    assert_int_equal(session_new(&o, &s, NULL), ERR_OK);
    drive(e, &s, &a, 1, 4);
    *shared = session_shared_n(s);
    session_free(s);
    return a;
}

/* The same model: an answer that ends on the last position of a page, because the numbers there overflow, leaves no
 * page behind. In a prompt nobody asks for these numbers, so the same tokens there are fine, and then they may be
 * shared. */
static void what_overflowed_is_not_shared(void **state)
{
    (void)state;
    struct gguf_make make;
    struct buf file = {0}, request = {0};
    struct loaded l = {0};
    struct note note = {{0}};
    uint32_t prompt[70], shared;
    gguf_make_counter(&make, NULL);
    gguf_make_end(&make, &file);
    assert_int_equal(gguf_open(bytes_of_buf(&file), &l.gguf, &note), ERR_OK);
    pack_all(&l);
    assert_int_equal(model_open(l.gguf, l.pack, &l.model, &note), ERR_OK);
    struct engine *e = engine_for(&l, "auto", 1, 4);
    for (uint32_t i = 0; i < 70; i++)
        prompt[i] = i < 59 ? 7 : i < 64 ? i - 58 : 1; /* 1 at 59, 5 at 63 */
    for (unsigned round = 0; round < 2; round++) {
        put_request(&request, prompt, 60, 20, 0, 0);
        struct answer a = run_in_scope(&l, e, 1, bytes_of_buf(&request), &shared);
        assert_int_equal(a.stop, REQUEST_NUMERIC);
        assert_int_equal(a.n, 4);
        if (round == 0)
            assert_int_equal(engine_idle_bytes(e), 0);
        buf_reset(&request);
        put_request(&request, prompt, 70, 3, 0, 0);
        struct answer alone = run_in_scope(&l, e, 0, bytes_of_buf(&request), &shared);
        struct answer b = run_in_scope(&l, e, 1, bytes_of_buf(&request), &shared);
        assert_int_equal(shared, round ? 64 : 0);
        assert_int_equal(b.stop, REQUEST_LENGTH);
        assert_true(hash_equal(&alone.digest, &b.digest));
        buf_reset(&request);
    }
    engine_free(e);
    gguf_make_clear(&make);
    buf_clear(&file);
    buf_clear(&request);
    model_free(l.model);
    pack_free(l.pack);
    free(l.packed);
    gguf_free(l.gguf);
}

static void bad_requests_are_named(void **state)
{
    (void)state;
    TEST_NEEDS(path, "weights/stories260K-Q8_0.gguf");
    struct loaded l;
    struct session *s;
    struct note note;
    struct buf b = {0};
    load(path, &l);
    struct engine *e = engine_for(&l, "auto", 1, 8);
    static const uint32_t far_token[] = {1, 512};
    struct session_options o = {.engine = e, .model = l.root};
    put_request(&b, far_token, 2, 4, 0, 0);
    o.request = bytes_of_buf(&b);
    assert_int_equal(session_new(&o, &s, &note), ERR_RANGE);
    assert_non_null(strstr(note.text, "512"));
    buf_reset(&b);
    put_request(&b, short_prompt, 5, engine_context(e), 0, 0);
    o.request = bytes_of_buf(&b);
    assert_int_equal(session_new(&o, &s, &note), ERR_LIMIT);
    buf_reset(&b);
    put_request(&b, short_prompt, 5, 0, 0, 0);
    o.request = bytes_of_buf(&b);
    assert_int_equal(session_new(&o, &s, &note), ERR_RANGE);
    o.request.n--;
    assert_int_equal(session_new(&o, &s, &note), ERR_FORMAT);
    buf_clear(&b);
    engine_free(e);
    unload(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resumes_verifies_and_notices),  cmocka_unit_test(schemas_are_kept_to),
        cmocka_unit_test(bad_schemas_end_no_process),    cmocka_unit_test(an_end_by_numbers_is_verified),
        cmocka_unit_test(what_overflowed_is_not_shared), cmocka_unit_test(bad_requests_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
