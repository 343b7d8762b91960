/* Requests: what is refused and with which word, the hash, and the digest that grows from it. */
#include "tests/support.h"

#include "inference/sched/digest.h"

#include <math.h>
#include <string.h>

static const uint8_t prompt[] = {1, 0, 0, 0, 7, 0, 0, 0};

static struct request sound(void)
{
    struct request r;
    request_init(&r);
    r.prompt = bytes_of(prompt, sizeof prompt);
    r.tokens_max = 8;
    return r;
}

static void assert_refused(const struct request *r, enum err e, const char *word)
{
    struct note note = {""};
    assert_int_equal(request_check(r, 8, 10, &note), e);
    if (!strstr(note.text, word))
        fail_msg("\"%s\" does not say %s", note.text, word);
}

static void sound_ones_pass_to_the_edge(void **state)
{
    (void)state;
    struct request r = sound();
    struct note note = {""};
    assert_int_equal(request_check(&r, 8, 10, &note), ERR_OK);
    r.tokens_max = 9;
    assert_refused(&r, ERR_LIMIT, "context");
    r.tokens_max = 0;
    assert_refused(&r, ERR_RANGE, "0 tokens");
    r = sound();
    assert_int_equal(request_check(&r, 7, 10, &note), ERR_RANGE);
    r.stops = bytes_of("\1a\2bc", 5);
    assert_int_equal(request_check(&r, 8, 10, &note), ERR_OK);
}

static void wrong_ones_are_named(void **state)
{
    (void)state;
    struct request r = sound();
    r.arith = 99;
    assert_refused(&r, ERR_UNSUPPORTED, "99");
    r = sound();
    r.prompt.n = 0;
    assert_refused(&r, ERR_FORMAT, "prompt");
    r.prompt.n = 7;
    assert_refused(&r, ERR_FORMAT, "prompt");
    r = sound();
    r.temp = -1;
    assert_refused(&r, ERR_RANGE, "-1");
    r.temp = NAN;
    assert_refused(&r, ERR_RANGE, "nan");
    r = sound();
    r.top_p = 1.5f;
    assert_refused(&r, ERR_RANGE, "1.5");
    r = sound();
    r.repeat_penalty = 0;
    assert_refused(&r, ERR_RANGE, "penalty");
    r = sound();
    r.stops = bytes_of("\5ab", 3);
    assert_refused(&r, ERR_FORMAT, "stop");
    r.stops = bytes_of("\0", 1);
    assert_refused(&r, ERR_FORMAT, "stop");
    r = sound();
    static uint8_t much[SCHEMA_BYTES_MAX + 1];
    r.schema = bytes_of(much, sizeof much);
    assert_refused(&r, ERR_LIMIT, "schema");
    r = sound();
    r.tokens_max = UINT32_MAX;
    assert_refused(&r, ERR_LIMIT, "4294967295");
}

static void the_hash_covers_all_but_the_seed(void **state)
{
    (void)state;
    struct request r = sound(), other = r;
    struct hash h = request_hash(&r), g;
    other.seed.b[0] = 1;
    g = request_hash(&other);
    assert_true(hash_equal(&h, &g));
    other = r;
    other.top_k = 1;
    g = request_hash(&other);
    assert_false(hash_equal(&h, &g));
    other = r;
    other.schema = bytes_of_text("true");
    g = request_hash(&other);
    assert_false(hash_equal(&h, &g));
    other = r;
    other.prompt.n = 4;
    g = request_hash(&other);
    assert_false(hash_equal(&h, &g));
}

#define BARE                                                                                                           \
    "01000000"                                                                                                         \
    "080000000100000007000000"                                                                                         \
    "08000000"                                                                                                         \
    "00000000"                                                                                                         \
    "00000000"                                                                                                         \
    "0000803f"                                                                                                         \
    "00000000"                                                                                                         \
    "0000803f"                                                                                                         \
    "00000000"                                                                                                         \
    "00000000"                                                                                                         \
    "00000000"                                                                                                         \
    "00000000"                                                                                                         \
    "00000000"                                                                                                         \
    "00000000"                                                                                                         \
    "0500000000000000000000000000000000000000000000000000000000000000"

static bool decodes(const char *hex, struct request *r)
{
    static struct buf b;
    buf_reset(&b);
    test_hex(&b, hex);
    struct cursor c = cursor_of(bytes_of_buf(&b));
    request_get(&c, r);
    return cursor_end(&c);
}

/* Without biases a request's bytes are those that it had before there were any; with them they stand behind. */
static void biases_are_an_addition(void **state)
{
    (void)state;
    struct request r = sound(), again;
    struct buf b = {0}, want = {0}, biases = {0};
    r.seed.b[0] = 5;
    request_put(&b, &r);
    test_hex(&want, BARE);
    assert_true(bytes_equal(bytes_of_buf(&b), bytes_of_buf(&want)));
    struct hash bare = request_hash(&r);
    request_bias_put(&biases, (struct request_bias){2, 1.5f});
    request_bias_put(&biases, (struct request_bias){5, -10});
    r.biases = bytes_of_buf(&biases);
    struct hash biased = request_hash(&r);
    assert_false(hash_equal(&bare, &biased));
    buf_reset(&b);
    request_put(&b, &r);
    test_hex(&want, "10000000"
                    "020000000000c03f"
                    "05000000000020c1");
    assert_true(bytes_equal(bytes_of_buf(&b), bytes_of_buf(&want)));
    assert_false(request_travels(&r));
    assert_true(decodes(BARE "10000000"
                             "020000000000c03f"
                             "05000000000020c1",
                        &again) &&
                request_equal(&again, &r));
    assert_true(decodes(BARE, &again) && again.biases.n == 0 && request_travels(&again));
    assert_false(decodes(BARE "00000000", &again)); /* none has one encoding */
    assert_false(decodes(BARE "00", &again));
    assert_false(decodes(BARE "10000000"
                              "020000000000c03f",
                         &again));
    buf_clear(&b);
    buf_clear(&want);
    buf_clear(&biases);
}

static void biases_are_checked(void **state)
{
    (void)state;
    static const struct {
        struct request_bias first, second;
        enum err e;
        const char *word;
    } cases[] = {
        {{2, 100}, {7, -100}, ERR_OK, ""},         {{2, 1}, {8, 1}, ERR_RANGE, "token 8"},
        {{2, 1}, {2, 1}, ERR_FORMAT, "must rise"}, {{3, 1}, {2, 1}, ERR_FORMAT, "must rise"},
        {{2, 1}, {3, 100.5f}, ERR_RANGE, "100.5"}, {{2, 0}, {3, 1}, ERR_RANGE, "token 2"},
    };
    struct note note = {""};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct request r = sound();
        struct buf b = {0};
        request_bias_put(&b, cases[i].first);
        request_bias_put(&b, cases[i].second);
        r.biases = bytes_of_buf(&b);
        if (cases[i].e == ERR_OK)
            assert_int_equal(request_check(&r, 8, 10, &note), ERR_OK);
        else
            assert_refused(&r, cases[i].e, cases[i].word);
        buf_clear(&b);
    }
    struct request r = sound();
    r.biases = bytes_of("\2\0\0\0\0\0\300\177", 8); /* no number */
    assert_refused(&r, ERR_RANGE, "nan");
    r.biases.n = 7;
    assert_refused(&r, ERR_FORMAT, "7 bytes");
    static uint8_t many[(BIASES_MAX + 1) * 8];
    r.biases = bytes_of(many, sizeof many);
    assert_refused(&r, ERR_FORMAT, "1024");
}

/* Written out, as docs/arithmetic.md has it. */
static void the_digest_is_what_is_documented(void **state)
{
    (void)state;
    struct request r = sound();
    struct hash model = {{9}}, asked = request_hash(&r), tokens = hash_once(HASH_TOKENS, prompt, sizeof prompt);
    r.seed.b[3] = 5;
    struct buf b = {0};
    buf_add(&b, "\1\0\0\0", 4);
    buf_add(&b, model.b, 32);
    buf_add(&b, asked.b, 32);
    buf_add(&b, r.seed.b, 32);
    buf_add(&b, tokens.b, 32);
    buf_add(&b, "\2\0\0\0", 4);
    struct hash want = hash_once(HASH_DIGEST, b.p, b.n), got = digest_start(&model, &r);
    assert_true(hash_equal(&want, &got));
    const float hidden[] = {1.0f, -0.0f, 0.5f};
    struct hash state_hash = hash_once(HASH_HIDDEN, "\0\0\200\77\0\0\0\200\0\0\0\77", 12),
                got_state = digest_hidden(hidden, 3);
    assert_true(hash_equal(&state_hash, &got_state));
    buf_reset(&b);
    buf_add(&b, want.b, 32);
    buf_add(&b, state_hash.b, 32);
    buf_add(&b, "\6\0\0\0", 4);
    want = hash_once(HASH_DIGEST, b.p, b.n);
    digest_add(&got, &got_state, 6);
    assert_true(hash_equal(&want, &got));
    buf_reset(&b);
    buf_add(&b, want.b, 32);
    buf_add(&b, "numeric", 7);
    want = hash_once(HASH_DIGEST, b.p, b.n);
    digest_add_numeric(&got);
    assert_true(hash_equal(&want, &got));
    buf_clear(&b);
}

static void stops_have_names(void **state)
{
    (void)state;
    assert_string_equal(request_stop_name(REQUEST_LENGTH), "length");
    assert_string_equal(request_stop_name(REQUEST_EOS), "eos");
    assert_string_equal(request_stop_name(REQUEST_STOP), "stop");
    assert_string_equal(request_stop_name(REQUEST_NUMERIC), "numeric");
    assert_string_equal(request_stop_name(REQUEST_SCHEMA), "schema");
    assert_string_equal(request_stop_name(200), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sound_ones_pass_to_the_edge),
        cmocka_unit_test(wrong_ones_are_named),
        cmocka_unit_test(the_hash_covers_all_but_the_seed),
        cmocka_unit_test(biases_are_an_addition),
        cmocka_unit_test(biases_are_checked),
        cmocka_unit_test(the_digest_is_what_is_documented),
        cmocka_unit_test(stops_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
