/* Frames and messages between a worker and those who speak to it. */
#include "tests/support.h"

#include "inference/worker_proto.h"

#include <string.h>

static void test_message_goes_there_and_back(void **state)
{
    (void)state;
    struct buf out = {0};
    struct wire_run run = {.ask = 7, .request = bytes_of_text("request"), .tokens = bytes_of("abcdefgh", 8)}, got;
    struct wire_frame frame;
    size_t used;
    wire_add_run(&out, &run);
    wire_add_cancel(&out, &(struct wire_cancel){.ask = 7});
    assert_int_equal(wire_next(bytes_of_buf(&out), true, &frame, &used), ERR_OK);
    assert_int_equal(frame.type, WIRE_RUN);
    assert_true(wire_read_run(frame.body, &got));
    assert_true(wire_run_equal(&run, &got));
    buf_drop(&out, used);
    assert_int_equal(wire_next(bytes_of_buf(&out), true, &frame, &used), ERR_OK);
    assert_int_equal(frame.type, WIRE_CANCEL);
    assert_int_equal(used, out.n);
    buf_clear(&out);
}

/* Entries one behind the other, texts of any bytes; a blob that ends in the middle of one is refused. */
static void test_logprobs(void **state)
{
    (void)state;
    static const uint8_t two[] = {5, 0, 0, 0, 0, 0, 0x80, 0xBF, 2, 0, 'h', 0xE2, 6, 0, 0, 0, 0, 0, 0, 0xC0, 0, 0};
    static const uint8_t infinite[] = {5, 0, 0, 0, 0, 0, 0x80, 0xFF, 0, 0};
    struct bytes rest = bytes_of(two, sizeof two);
    struct wire_logprob p;
    assert_true(wire_next_logprob(&rest, &p));
    assert_int_equal(p.token, 5);
    assert_true(arith_bits(p.value) == arith_bits(-1.0f));
    assert_true(bytes_equal(p.text, bytes_of("h\xE2", 2)));
    assert_true(wire_next_logprob(&rest, &p));
    assert_int_equal(p.token, 6);
    assert_int_equal(p.text.n, 0);
    assert_false(wire_next_logprob(&rest, &p));
    for (size_t n = 0; n <= sizeof two; n++) {
        struct buf out = {0};
        struct wire_token m = {.ask = 1, .logprobs = bytes_of(two, n)};
        wire_add_token(&out, &m);
        assert_int_equal(wire_read_token(bytes_of(out.p + WIRE_HEAD, out.n - WIRE_HEAD), &m),
                         n == 0 || n == 12 || n == 22);
        buf_clear(&out);
    }
    struct buf out = {0};
    struct wire_token m = {.ask = 1, .logprobs = bytes_of(infinite, sizeof infinite)};
    wire_add_token(&out, &m);
    assert_false(wire_read_token(bytes_of(out.p + WIRE_HEAD, out.n - WIRE_HEAD), &m));
    buf_reset(&out);
    struct wire_run r = {.ask = 1, .logprobs = 2 + LOGPROBS_MAX};
    wire_add_run(&out, &r);
    assert_false(wire_read_run(bytes_of(out.p + WIRE_HEAD, out.n - WIRE_HEAD), &r));
    buf_clear(&out);
}

/* However little comes in at a time, there is no frame before its last byte and one with it. */
static void test_frame_in_pieces(void **state)
{
    (void)state;
    struct buf out = {0};
    wire_add_tokenize(&out, &(struct wire_tokenize){.ask = 1, .text = bytes_of_text("a word")});
    for (size_t n = 0; n <= out.n; n++) {
        struct wire_frame frame;
        size_t used = 99;
        assert_int_equal(wire_next(bytes_of(out.p, n), true, &frame, &used), ERR_OK);
        assert_int_equal(used, n == out.n ? n : 0);
    }
    buf_clear(&out);
}

static void test_refused_frames(void **state)
{
    (void)state;
    static const struct {
        uint8_t head[WIRE_HEAD];
        bool to_worker;
    } bad[] = {
        {{0, 0, 0, 0, WIRE_RUN}, true},                  /* no type counted */
        {{1, 0, 0, 0, 0}, true},                         /* no such type */
        {{1, 0, 0, 0, 200}, true},                       /* no such type */
        {{9, 0, 0, 0, WIRE_CANCEL}, false},              /* the wrong way */
        {{9, 0, 0, 0, WIRE_DONE}, true},                 /* the wrong way */
        {{0xFF, 0xFF, 0xFF, 0xFF, WIRE_RUN}, true},      /* endless */
        {{0x02, 0x08, 0, 0, WIRE_CANCEL}, true},         /* one byte over this message's most */
        {{0x02, 0x00, 0x10, 0x10, WIRE_TOKENIZE}, true}, /* one over, in the high bytes */
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct wire_frame frame;
        size_t used;
        assert_int_equal(wire_next(bytes_of(bad[i].head, WIRE_HEAD), bad[i].to_worker, &frame, &used), ERR_PROTOCOL);
    }
    static const uint8_t most[WIRE_HEAD] = {0x01, 0x08, 0, 0, WIRE_CANCEL};
    struct wire_frame frame;
    size_t used;
    assert_int_equal(wire_next(bytes_of(most, sizeof most), true, &frame, &used), ERR_OK);
    assert_int_equal(used, 0);
}

static struct bytes body_of(struct buf *b)
{
    return bytes_of(b->p + WIRE_HEAD, b->n - WIRE_HEAD);
}

static void test_refused_layers(void)
{
    static const uint32_t rising[] = {1, 2, 2, 4}, crossed[] = {1, 3, 2, 4}, empty[] = {1, 1};
    static const uint32_t many[2 * (HOPS_MAX + 1)];
    const struct {
        struct wire_open m;
        bool is_right;
    } cases[] = {{{.mode = WIRE_LAYERS, .first = 1, .end = 2}, true},
                 {{.mode = WIRE_LAYERS, .first = 2, .end = 2}, false},
                 {{.mode = WIRE_FULL, .first = 1, .end = 2}, false},
                 {{.mode = WIRE_FULL, .pages = 9, .hops = bytes_of(rising, sizeof rising)}, true},
                 {{.mode = WIRE_FULL, .hops = bytes_of(rising, sizeof rising)}, false},
                 {{.mode = WIRE_FULL, .pages = 9}, false},
                 {{.mode = WIRE_VOCAB, .pages = 9, .hops = bytes_of(rising, sizeof rising)}, false},
                 {{.mode = WIRE_LAYERS, .first = 5, .end = 6, .pages = 9, .hops = bytes_of(rising, 8)}, false},
                 {{.mode = WIRE_FULL, .pages = 9, .hops = bytes_of(rising, 12)}, false},
                 {{.mode = WIRE_FULL, .pages = 9, .hops = bytes_of(crossed, sizeof crossed)}, false},
                 {{.mode = WIRE_FULL, .pages = 9, .hops = bytes_of(empty, sizeof empty)}, false},
                 {{.mode = WIRE_FULL, .pages = 9, .hops = bytes_of(many, sizeof many)}, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf out = {0};
        struct wire_open back;
        wire_add_open(&out, &cases[i].m);
        if (wire_read_open(body_of(&out), &back) != cases[i].is_right)
            fail_msg("open message %zu is taken wrongly", i);
        buf_clear(&out);
    }
}

static void test_refused_bodies(void **state)
{
    (void)state;
    struct buf out = {0};
    struct wire_run run;
    struct wire_open open;
    struct wire_tokenize tokenize;
    struct wire_failed failed;
    wire_add_run(&out, &(struct wire_run){.ask = 0});
    assert_false(wire_read_run(body_of(&out), &run)); /* no number */
    buf_reset(&out);
    wire_add_run(&out, &(struct wire_run){.ask = 1, .tokens = bytes_of("abc", 3)});
    assert_false(wire_read_run(body_of(&out), &run)); /* part of an id */
    buf_reset(&out);
    wire_add_open(&out, &(struct wire_open){.mode = WIRE_TRAINING + 1});
    assert_false(wire_read_open(body_of(&out), &open));
    buf_reset(&out);
    test_refused_layers();
    wire_add_tokenize(&out, &(struct wire_tokenize){.ask = 1, .ends = WIRE_ENDS_BOS + 1});
    assert_false(wire_read_tokenize(body_of(&out), &tokenize));
    buf_reset(&out);
    wire_add_failed(&out, &(struct wire_failed){.ask = 1, .code = ERR_COUNT});
    assert_false(wire_read_failed(body_of(&out), &failed));
    buf_reset(&out);
    wire_add_failed(&out, &(struct wire_failed){.ask = 1, .code = ERR_OK});
    assert_false(wire_read_failed(body_of(&out), &failed));
    buf_reset(&out);
    wire_add_cancel(&out, &(struct wire_cancel){.ask = 1});
    buf_add(&out, "x", 1); /* one byte too many */
    struct wire_cancel cancel;
    assert_false(wire_read_cancel(body_of(&out), &cancel));
    buf_clear(&out);
}

static void check_failure(const char *said, const char *heard)
{
    struct buf out = {0};
    struct wire_failed m;
    struct note note = {{0}}, back;
    memcpy(note.text, said, strnlen(said, sizeof note.text - 1));
    wire_add_failure(&out, 3, ERR_FORMAT, &note);
    assert_true(wire_read_failed(body_of(&out), &m));
    assert_int_equal(m.ask, 3);
    assert_int_equal(wire_failure(&m, &back), ERR_FORMAT);
    assert_string_equal(back.text, heard);
    buf_clear(&out);
}

/* A note may be longer than the message holds and may quote any bytes of a hostile file. */
static void test_failures_arrive_clean(void **state)
{
    (void)state;
    char said[320], heard[320];
    check_failure("token 7 is not in the vocabulary", "token 7 is not in the vocabulary");
    check_failure("", "malformed");
    check_failure("key \"a\xff\x1b[2J\"", "key \"a??[2J\"");
    check_failure("gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f");
    memset(said, 'x', 319);
    said[319] = 0;
    memcpy(heard, said, 320);
    heard[255] = 0;
    check_failure(said, heard);
    memcpy(said + 254, "\xc3\xbc", 2); /* a character across the cut goes as a whole */
    heard[254] = 0;
    check_failure(said, heard);
}

static void test_ids(void **state)
{
    (void)state;
    struct buf ids = {0};
    wire_put_id(&ids, 1);
    wire_put_id(&ids, 0x01020304);
    assert_int_equal(wire_id_count(bytes_of_buf(&ids)), 2);
    assert_int_equal(wire_id_at(bytes_of_buf(&ids), 1), 0x01020304);
    assert_int_equal(ids.p[4], 4); /* little-endian */
    buf_clear(&ids);
    assert_string_equal(wire_name(WIRE_VERIFIED), "verified");
    assert_string_equal(wire_name(250), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_message_goes_there_and_back),
        cmocka_unit_test(test_logprobs),
        cmocka_unit_test(test_frame_in_pieces),
        cmocka_unit_test(test_refused_frames),
        cmocka_unit_test(test_refused_bodies),
        cmocka_unit_test(test_failures_arrive_clean),
        cmocka_unit_test(test_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
