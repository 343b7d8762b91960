/* Answers in channels: thoughts, calls and what is said, whole and piece by piece. */
#include "base/harmony.h"

#include "tests/support.h"

#include <string.h>
#include <time.h>

#define A "<|start|>assistant"

static const struct {
    const char *answer, *thought, *said, *calls; /* calls: NAME:ARGUMENTS; each */
} answers[] = {
    {"<|channel|>analysis<|message|>Simple." A "<|channel|>final<|message|>Four.", "Simple.", "Four.", ""},
    {"<|channel|>final<|message|>Four.", "", "Four.", ""},
    {"<|channel|>analysis<|message|>Look" A
     "<|channel|>commentary to=functions.get <|constrain|>json<|message|>{\"a\":1}",
     "Look", "", "get:{\"a\":1};"},
    {"<|channel|>analysis<|message|>Look" A " to=functions.get<|channel|>commentary json<|message|>{}", "Look", "",
     "get:{};"},
    {" to=functions.get_weather<|channel|>commentary json<|message|>{\"city\":\"K\"}", "", "",
     "get_weather:{\"city\":\"K\"};"},
    {"<|channel|>commentary<|message|>I will look." A "<|channel|>commentary to=functions.a<|message|>{}" A
     "<|channel|>commentary to=functions.b<|message|>{\"x\":2}",
     "", "I will look.", "a:{};b:{\"x\":2};"},
    {"<|channel|>analysis<|message|>one" A
     "<|channel|>analysis to=python<|message|>print(1)<|channel|>final<|message|>two",
     "one\n\nprint(1)", "two", ""},
    {"<|channel|>analysis<|message|>" A "<|channel|>final<|message|>a" A "<|channel|>final<|message|>b", "", "a\n\nb",
     ""},
    {"<|channel|>analysis", "", "", ""},
    {"<|channel|>analysis<|message|>half" A "<|channel|>fi", "half", "", ""},
    {"<|channel|>", "", "", ""},
};

static void calls_of(struct bytes answer, struct buf *out)
{
    struct harmony_part part;
    while (harmony_next(&answer, &part))
        if (part.kind == HARMONY_CALL) {
            buf_add(out, part.name.p, part.name.n);
            buf_add_text(out, ":");
            buf_add(out, part.text.p, part.text.n);
            buf_add_text(out, ";");
        }
}

static void parts_are_told_apart(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        struct bytes answer = bytes_of_text(answers[i].answer);
        struct buf thought = {0}, said = {0}, calls = {0};
        assert_true(harmony_is(answer, true));
        harmony_join(answer, HARMONY_THOUGHT, &thought);
        harmony_join(answer, HARMONY_ANSWER, &said);
        calls_of(answer, &calls);
        assert_string_equal(buf_text(&thought), answers[i].thought);
        assert_string_equal(buf_text(&said), answers[i].said);
        assert_string_equal(buf_text(&calls), answers[i].calls);
        buf_clear(&thought);
        buf_clear(&said);
        buf_clear(&calls);
    }
}

/* Marks come whole, since each is a token; other text letter by letter. What was told is never taken back. */
static void streams_only_grow(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        struct buf last[2] = {{0}, {0}};
        size_t n = strlen(answers[i].answer), step;
        for (size_t at = 1; at <= n; at += step) {
            const char *p = answers[i].answer + at, *end = strncmp(p, "<|", 2) == 0 ? strstr(p, "|>") : NULL;
            step = end ? (size_t)(end - p) + 2 : 1;
            if (at == 1 && answers[i].answer[0] == '<')
                continue; /* within the first mark */
            struct bytes answer = bytes_of(answers[i].answer, at);
            assert_true(harmony_is(answer, false));
            for (enum harmony_kind kind = HARMONY_THOUGHT; kind <= HARMONY_ANSWER; kind++) {
                struct buf now = {0};
                harmony_join(answer, kind, &now);
                assert_true(now.n >= last[kind].n);
                assert_true(last[kind].n == 0 || memcmp(now.p, last[kind].p, last[kind].n) == 0);
                buf_clear(&last[kind]);
                last[kind] = now;
            }
        }
        buf_clear(&last[0]);
        buf_clear(&last[1]);
    }
}

static void other_texts_have_none(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "Hello", "", " to", "<|", "{\"a\":1}", "to=functions.x", "say <|channel|>final<|message|>x"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_false(harmony_is(bytes_of_text(texts[i]), true));
    assert_true(harmony_is(bytes_of_text(" to"), false)); /* it may become one */
    assert_true(harmony_is(bytes_of_text("<|ch"), false));
    assert_false(harmony_is(bytes_of_text(" too"), false));
    assert_false(harmony_is(bytes_of_text(""), false));
}

/* Whoever answers for others chooses the text, which is read anew with each token: parts by the thousand cost as much
 * as so many bytes, not their square. */
static void many_short_parts_are_read_in_passing(void **state)
{
    enum { PARTS = 200000 };
    struct buf answer = {0}, said = {0};
    struct timespec start, end;
    (void)state;
    for (unsigned i = 0; i < PARTS; i++)
        buf_add_text(&answer, "<|channel|>final<|message|>x");
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
    harmony_join(bytes_of_buf(&answer), HARMONY_ANSWER, &said);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
    assert_int_equal(said.n, 3 * PARTS - 2);
    assert_true(end.tv_sec - start.tv_sec < 5); /* 6 MB: a hundredth of a second; the square of it took minutes */
    buf_clear(&answer);
    buf_clear(&said);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_told_apart),
        cmocka_unit_test(many_short_parts_are_read_in_passing),
        cmocka_unit_test(streams_only_grow),
        cmocka_unit_test(other_texts_have_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
