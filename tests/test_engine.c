/* Whole models: the reference text of stories260K, and the same bits for every kernel set, thread count, batch and mix
 * of jobs; resumed, verified, tampered with. */
#include "base/file.h"
#include "base/file_map.h"
#include "base/json.h"
#include "base/merkle.h"
#include "base/mem.h"
#include "inference/session.h"
#include "tests/gguf_make.h"
#include "tests/support.h"
#include "tests/validate.h"

#include <stdlib.h>
#include <string.h>

struct loaded {
    struct bytes file;
    struct gguf *gguf;
    struct pack *pack;
    uint8_t *packed;
    struct model *model;
    struct tok *tok;
    struct hash root;
};

static void pack_all(struct loaded *l)
{
    l->pack = pack_new(l->gguf);
    l->packed = mem_new(pack_bytes(l->pack) + 1);
    pack_set_memory(l->pack, l->packed);
    pack_fill(l->pack);
}

static void load(const char *path, struct loaded *l)
{
    struct note note = {{0}};
    assert_int_equal(file_map(path, &l->file, &note), ERR_OK);
    assert_int_equal(gguf_open(l->file, &l->gguf, &note), ERR_OK);
    pack_all(l);
    if (model_open(l->gguf, l->pack, &l->model, &note) != ERR_OK)
        fail_msg("%s", note.text);
    assert_int_equal(tok_open(l->gguf, &l->tok, &note), ERR_OK);
    struct merkle_tree *t = merkle_tree_of(l->file.p, l->file.n);
    l->root = merkle_tree_root(t);
    merkle_tree_free(t);
}

static void unload(struct loaded *l)
{
    tok_free(l->tok);
    model_free(l->model);
    pack_free(l->pack);
    free(l->packed);
    gguf_free(l->gguf);
    file_unmap(l->file);
}

static struct engine *engine_for(const struct loaded *l, const char *ops, unsigned threads, uint32_t batch)
{
    struct engine_options o = {.model = l->model, .ops = ops_pick(ops, NULL), .threads = threads, .batch_max = batch};
    return o.ops ? engine_new(&o) : NULL;
}

static void put_request(struct buf *b, const uint32_t *prompt, uint32_t n, uint32_t tokens, float temp, uint8_t seed)
{
    struct request r;
    request_init(&r);
    r.prompt = bytes_of(prompt, (size_t)n * 4);
    r.tokens_max = tokens;
    r.temp = temp;
    r.top_p = 0.95f;
    r.top_k = 40;
    r.repeat_penalty = temp > 0 ? 1.1f : 1;
    r.window = 32;
    r.seed.b[0] = seed;
    request_put(b, &r);
}

struct answer {
    uint32_t tokens[256];
    uint32_t n;
    struct hash digest;
    uint8_t stop;
    struct buf text;
    bool same;
    uint32_t position;
    enum session_event_kind end;
};

static void collect(struct session *s, struct answer *a)
{
    struct session_event e;
    while ((e = session_next_event(s)).kind != SESSION_NONE) {
        buf_add(&a->text, e.text.p, e.text.n);
        a->digest = e.digest;
        if (e.kind == SESSION_TOKEN) {
            a->tokens[e.index] = e.token;
            a->n = e.index + 1;
        } else {
            a->end = e.kind;
            a->stop = e.stop;
            a->same = e.same;
            a->position = e.index;
        }
    }
}

/* Runs sessions together, `batch` rows at a time. */
static void drive(struct engine *engine, struct session **s, struct answer *a, unsigned n, uint32_t batch)
{
    struct engine_row *rows = mem_array(batch, sizeof *rows);
    for (;;) {
        uint32_t used = 0, share[8] = {0};
        for (unsigned i = 0; i < n; i++)
            used += share[i] =
                session_rows(s[i], NULL, rows + used, i + 1 < n ? (batch - used + 1) / 2 : batch - used, UINT32_MAX);
        if (used == 0)
            break;
        engine_eval(engine, rows, used);
        for (unsigned i = 0, at = 0; i < n; at += share[i++]) {
            session_take(s[i], rows + at, share[i]);
            collect(s[i], &a[i]);
        }
    }
    free(rows);
}

static struct answer run(const struct loaded *l, struct engine *e, enum session_mode mode, struct bytes request,
                         struct bytes tokens, const struct hash *claimed, uint32_t batch)
{
    struct answer a = {0};
    struct note note = {{0}};
    struct session *s;
    struct session_options o = {
        .mode = mode, .engine = e, .tok = l->tok, .model = l->root, .request = request, .tokens = tokens};
    if (claimed)
        o.digest = *claimed;
    if (session_new(&o, &s, &note) != ERR_OK)
        fail_msg("%s", note.text);
    drive(e, &s, &a, 1, batch);
    assert_true(session_is_over(s));
    session_free(s);
    return a;
}

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

static const uint32_t short_prompt[] = {1, 403, 407, 261, 378};

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
        } ways[] = {{"ref", 2, 64}, {"ref", 1, 7}, {"avx2", 1, 1}, {"avx2", 2, 7}, {"avx2", 2, 128}};
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
        cmocka_unit_test(reproduces_the_reference_texts),      cmocka_unit_test(every_way_gives_the_same_bits),
        cmocka_unit_test(strangers_in_a_batch_change_nothing), cmocka_unit_test(drafts_change_nothing),
        cmocka_unit_test(resumes_verifies_and_notices),        cmocka_unit_test(schemas_are_kept_to),
        cmocka_unit_test(bad_schemas_end_no_process),          cmocka_unit_test(an_end_by_numbers_is_verified),
        cmocka_unit_test(what_overflowed_is_not_shared),       cmocka_unit_test(bad_requests_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
