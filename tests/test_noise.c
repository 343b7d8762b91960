/* BOLT 8: the specification's vectors (handshakes, failures, messages over two key rotations), and what
 * they do not cover: altered frames. */
#include "base/file.h"
#include "base/json.h"
#include "base/limits.h"
#include "p2p/noise.h"
#include "tests/support.h"

#include <string.h>

static json_t *vectors(const char *path)
{
    struct buf text = {0};
    assert_int_equal(file_read(path, JSON_BYTES_MAX, &text, NULL), ERR_OK);
    json_t *j = json_parse(bytes_of_buf(&text), NULL);
    assert_non_null(j);
    buf_clear(&text);
    return j;
}

static void member(const json_t *object, const char *key, void *out, size_t n)
{
    const char *text = json_text(object, key);
    assert_non_null(text);
    assert_true(hex_get(text, out, n));
}

/* Runs one case and returns how it ended. Every output is compared. */
static enum noise_fail run_case(const json_t *test, bool initiator, struct noise *n)
{
    struct seckey self, ephemeral;
    struct point remote;
    struct buf out = {0}, want = {0}, in = {0};
    enum noise_fail fail = NOISE_OK;
    member(test, "ls_priv", self.b, sizeof self.b);
    member(test, "e_priv", ephemeral.b, sizeof ephemeral.b);
    if (initiator) {
        member(test, "rs_pub", remote.b, sizeof remote.b);
        assert_true(noise_init_initiator(n, &self, &remote, &ephemeral, &out));
    } else {
        noise_init_responder(n, &self, &ephemeral);
    }
    size_t i;
    json_t *step;
    json_array_foreach(json_object_get(test, "steps"), i, step)
    {
        const char *hex = json_text(step, "hex");
        if (strcmp(json_text(step, "dir"), "output") == 0) {
            test_hex(&want, hex);
            assert_true(bytes_equal(bytes_of_buf(&want), bytes_of_buf(&out)));
            buf_reset(&want);
            buf_reset(&out);
        } else {
            buf_reset(&in);
            test_hex(&in, hex);
            fail = noise_step(n, bytes_of_buf(&in), &out);
        }
    }
    assert_int_equal(out.n, 0);
    buf_clear(&out);
    buf_clear(&want);
    buf_clear(&in);
    return fail;
}

static void check_cases(const json_t *tests, bool initiator)
{
    size_t i;
    json_t *test;
    assert_true(json_array_size(tests) > 4);
    json_array_foreach(tests, i, test)
    {
        struct noise n;
        const char *error = json_text(test, "error");
        enum noise_fail fail = run_case(test, initiator, &n);
        assert_string_equal(noise_fail_name(fail), error ? error : "OK");
        assert_int_equal(n.state, error ? NOISE_FAILED : NOISE_DONE);
        if (!error) {
            uint8_t key[32];
            member(test, "sk", key, 32);
            assert_memory_equal(key, n.send.key, 32);
            member(test, "rk", key, 32);
            assert_memory_equal(key, n.receive.key, 32);
        }
        assert_int_equal(noise_wants(&n), 0);
        noise_clear(&n);
    }
}

static void handshakes_of_the_specification(void **state)
{
    (void)state;
    TEST_NEEDS(path, "vectors/bolt8.json");
    json_t *j = vectors(path);
    check_cases(json_object_get(j, "initiator"), true);
    check_cases(json_object_get(j, "responder"), false);
    json_decref(j);
}

static void messages_of_the_specification(void **state)
{
    (void)state;
    TEST_NEEDS(path, "vectors/bolt8.json");
    json_t *j = vectors(path);
    const json_t *message = json_object_get(j, "message"), *outputs = json_object_get(message, "outputs");
    struct noise n = {.state = NOISE_DONE}, other = {.state = NOISE_DONE};
    member(message, "sk", n.send.key, 32);
    member(message, "ck", n.send.chain, 32);
    other.receive = n.send;
    size_t next = 0;
    for (unsigned i = 0; i < 1002; i++) {
        struct buf out = {0}, want = {0};
        noise_put(&n, &out, bytes_of_text("hello"));
        const json_t *o = json_array_get(outputs, next);
        if (o && (unsigned)json_integer_value(json_object_get(o, "index")) == i) {
            test_hex(&want, json_text(o, "hex"));
            assert_true(bytes_equal(bytes_of_buf(&out), bytes_of_buf(&want)));
            next++;
        }
        uint16_t length;
        uint8_t body[5];
        assert_true(noise_get_length(&other, out.p, &length));
        assert_int_equal(length, 5);
        assert_true(noise_get_body(&other, out.p + NOISE_HEADER_SIZE, length, body));
        assert_memory_equal(body, "hello", 5);
        buf_clear(&out);
        buf_clear(&want);
    }
    assert_int_equal(next, json_array_size(outputs));
    json_decref(j);
}

static void connect_two(struct noise *a, struct noise *b)
{
    struct seckey ka, kb, ea, eb;
    key_new(&ka);
    key_new(&kb);
    key_new(&ea);
    key_new(&eb);
    struct point to = key_point(&kb), from = key_point(&ka);
    struct buf act = {0}, answer = {0};
    assert_true(noise_init_initiator(a, &ka, &to, &ea, &act));
    noise_init_responder(b, &kb, &eb);
    assert_int_equal(noise_step(b, bytes_of_buf(&act), &answer), NOISE_OK);
    buf_reset(&act);
    assert_int_equal(noise_step(a, bytes_of_buf(&answer), &act), NOISE_OK);
    assert_int_equal(noise_step(b, bytes_of_buf(&act), &answer), NOISE_OK);
    assert_memory_equal(b->remote.b, from.b, sizeof from.b);
    buf_clear(&act);
    buf_clear(&answer);
}

static void frames_of_every_size_and_direction(void **state)
{
    (void)state;
    static uint8_t body[FRAME_BODY_MAX], got[FRAME_BODY_MAX];
    static const size_t sizes[] = {0, 1, 255, 256, 32768, FRAME_BODY_MAX};
    struct noise side[2];
    connect_two(&side[0], &side[1]);
    for (size_t i = 0; i < sizeof body; i++)
        body[i] = (uint8_t)(i * 7);
    for (size_t i = 0; i < 2 * sizeof sizes / sizeof *sizes; i++) {
        struct buf out = {0};
        uint16_t length;
        size_t n = sizes[i / 2];
        noise_put(&side[i % 2], &out, bytes_of(body, n));
        assert_int_equal(out.n, n + NOISE_FRAME_EXTRA);
        assert_true(noise_get_length(&side[1 - i % 2], out.p, &length));
        assert_int_equal(length, n);
        assert_true(noise_get_body(&side[1 - i % 2], out.p + NOISE_HEADER_SIZE, length, got));
        assert_memory_equal(got, body, n);
        buf_clear(&out);
    }
}

static void altered_frames_end_it(void **state)
{
    (void)state;
    for (size_t at = 0; at < NOISE_FRAME_EXTRA + 5; at++) {
        struct noise a, b;
        struct buf out = {0};
        uint16_t length = 0;
        uint8_t body[5];
        connect_two(&a, &b);
        noise_put(&a, &out, bytes_of_text("hello"));
        out.p[at] ^= 1;
        bool header = noise_get_length(&b, out.p, &length);
        assert_int_equal(header, at >= NOISE_HEADER_SIZE);
        if (header)
            assert_false(noise_get_body(&b, out.p + NOISE_HEADER_SIZE, length, body));
        out.p[at] ^= 1;
        assert_false(noise_get_length(&b, out.p, &length));
        buf_clear(&out);
    }
}

static void wrong_static_key_fails_in_act_one(void **state)
{
    (void)state;
    struct noise a, b;
    struct seckey k[4];
    struct buf act = {0}, answer = {0};
    for (int i = 0; i < 4; i++)
        key_new(&k[i]);
    struct point meant = key_point(&k[3]), bad = {{5}};
    assert_false(noise_init_initiator(&a, &k[0], &bad, &k[1], &act));
    assert_true(noise_init_initiator(&a, &k[0], &meant, &k[1], &act));
    noise_init_responder(&b, &k[2], &k[1]);
    assert_int_equal(noise_step(&b, bytes_of_buf(&act), &answer), NOISE_ACT1_BAD_TAG);
    assert_int_equal(answer.n, 0);
    buf_clear(&act);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handshakes_of_the_specification),    cmocka_unit_test(messages_of_the_specification),
        cmocka_unit_test(frames_of_every_size_and_direction), cmocka_unit_test(altered_frames_end_it),
        cmocka_unit_test(wrong_static_key_fails_in_act_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
