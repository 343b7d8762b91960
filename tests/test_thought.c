/* Thoughts in front of answers: where they begin and end, that a stream of them only grows, marks that leave no text,
 * and what a vocabulary and a template show. */
#include "base/answer_form.h"
#include "base/thought.h"
#include "inference/template/answer_form.h"
#include "node/api/answer_parts.h"
#include "tests/support.h"
#include "tests/tok_file.h"

#include <string.h>

static const struct {
    struct thought_form form;
    const char *answer, *thought, *said;
} cases[] = {
    {{THOUGHT_THINK, false, SAID_PLAIN}, "<think>\nTwo.\n</think>\n\nFour.", "Two.", "Four."},
    {{THOUGHT_THINK, false, SAID_PLAIN}, "\n<think>Two.</think>Four.\n", "Two.", "Four.\n"},
    {{THOUGHT_THINK, false, SAID_PLAIN}, "<think>\n\n</think>\n\nFour.", "", "Four."},
    {{THOUGHT_THINK, false, SAID_PLAIN}, "<think>cut by the limit </th", "cut by the limit </th", ""},
    {{THOUGHT_THINK, false, SAID_PLAIN}, "<think>", "", ""},
    {{THOUGHT_THINK, false, SAID_PLAIN}, "<thin", "", "<thin"},
    {{THOUGHT_THINK, false, SAID_PLAIN}, " Four <think>no</think>", "", " Four <think>no</think>"},
    {{THOUGHT_THINK, false, SAID_PLAIN},
     "The mark <think> begins a thought, and </think> ends it.",
     "",
     "The mark <think> begins a thought, and </think> ends it."},
    {{THOUGHT_THINK, false, SAID_PLAIN}, "[THINK]a[/THINK]b", "", "[THINK]a[/THINK]b"},
    {{THOUGHT_THINK, false, SAID_PLAIN}, "<think>a</think>b<think>c</think>", "a", "b<think>c</think>"},
    {{THOUGHT_THINK, true, SAID_PLAIN}, "Two.\n</think>\n\nFour.", "Two.", "Four."},
    {{THOUGHT_THINK, true, SAID_PLAIN}, "<think>\nTwo.</think>Four.", "Two.", "Four."},
    {{THOUGHT_THINK, true, SAID_PLAIN}, "only thought", "only thought", ""},
    {{THOUGHT_THINK, true, SAID_PLAIN}, "a < b </think> c", "a < b", "c"},
    {{THOUGHT_SEED, false, SAID_PLAIN}, "<seed:think>x</seed:think>y", "x", "y"},
    {{THOUGHT_BRACKET, false, SAID_PLAIN}, "[THINK]x[/THINK]y", "x", "y"},
    {{THOUGHT_COHERE, false, SAID_PLAIN}, "<|START_THINKING|>x<|END_THINKING|>y", "x", "y"},
    {{THOUGHT_CHANNEL, false, SAID_PLAIN}, "<|channel>thought\nx<channel|>y", "x", "y"},
    {{THOUGHT_INNER, false, SAID_PLAIN}, "<|inner_prefix|>x<|inner_suffix|>y", "x", "y"},
    {{THOUGHT_THOUGHT, true, SAID_PLAIN}, "x</thought>y", "x", "y"},
    {{THOUGHT_NONE, false, SAID_PLAIN}, "<think>x</think>y", "", "<think>x</think>y"},
    {{THOUGHT_THINK, true, SAID_PLAIN}, "", "", ""},
    {{THOUGHT_THINK, false, SAID_ANSWER}, "<think>\na\n</think>\n<answer>\nb\n</answer>", "a", "b"},
    {{THOUGHT_THINK, false, SAID_ANSWER}, "<answer>b</answer>\n", "", "b"},
    {{THOUGHT_THINK, false, SAID_ANSWER}, "<think>a</think>b</answer>", "a", "b</answer>"},
    {{THOUGHT_THINK, false, SAID_ANSWER}, "<answer>b <answer> c", "", "b <answer> c"},
    {{THOUGHT_THINK, false, SAID_ANSWER}, "<answer>b</answer> <tool_calls>", "", "b</answer> <tool_calls>"},
    {{THOUGHT_THINK, false, SAID_RESPONSE}, "<think>a</think><response>b </response>", "a", "b"},
    {{THOUGHT_THINK, false, SAID_RESPONSE}, "<think>a</think>\n<resp", "a", "<resp"},
    {{THOUGHT_NONE, false, SAID_ALL}, "all\nFour.", "", "Four."},
    {{THOUGHT_NONE, false, SAID_ALL}, "all\nI look.>>>get\n{}", "", "I look.>>>get\n{}"},
    {{THOUGHT_NONE, false, SAID_ALL}, "get\n{}", "", "get\n{}"},
    {{THOUGHT_NONE, false, SAID_ALL}, "allow", "", "allow"},
};

static void thoughts_are_told_apart(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct thought_split s;
        thought_split(cases[i].form, bytes_of_text(cases[i].answer), true, &s);
        if (!bytes_equal(s.thought, bytes_of_text(cases[i].thought)) ||
            !bytes_equal(s.said, bytes_of_text(cases[i].said)))
            fail_msg("'%s': '%.*s' and '%.*s'", cases[i].answer, (int)s.thought.n, (const char *)s.thought.p,
                     (int)s.said.n, (const char *)s.said.p);
    }
}

static bool grows(struct bytes before, struct bytes now)
{
    return now.n >= before.n && (before.n == 0 || memcmp(before.p, now.p, before.n) == 0);
}

/* Byte by byte: nothing that was told is taken back, nothing is said before the thought is over, no half mark is told.
 */
static void streams_only_grow(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct bytes answer = bytes_of_text(cases[i].answer);
        struct thought_split last = {.said = {0}}, now, end;
        thought_split(cases[i].form, answer, true, &end);
        for (size_t n = 0; n <= answer.n; n++, last = now) {
            thought_split(cases[i].form, bytes_of(answer.p, n), false, &now);
            if (!grows(last.thought, now.thought) || !grows(last.said, now.said) || !grows(now.thought, end.thought) ||
                !grows(now.said, end.said))
                fail_msg("'%.*s': '%.*s' and '%.*s'", (int)n, cases[i].answer, (int)now.thought.n,
                         (const char *)now.thought.p, (int)now.said.n, (const char *)now.said.p);
        }
    }
}

/* Three tokens of "Hm.", a mark in front and one behind, then one that is said. */
static void marks_come_back(void **state)
{
    (void)state;
    static const uint8_t reaches[] = {0, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0, 6, 0, 0, 0};
    struct buf marks = {0}, out = {0}, ends = {0};
    answer_marks_add(&marks, 0, bytes_of_text("[THINK]"));
    answer_marks_add(&marks, 2, bytes_of(NULL, 0));
    answer_marks_add(&marks, 3, bytes_of_text("[/THINK]"));
    answer_marks_join(bytes_of_text("Hm.Yes"), bytes_of(reaches, sizeof reaches), bytes_of_buf(&marks), &out, &ends);
    assert_string_equal(buf_text(&out), "[THINK]Hm.[/THINK]Yes");
    assert_int_equal(ends.n, sizeof reaches);
    assert_int_equal(load_le32(ends.p), 7);
    assert_int_equal(load_le32(ends.p + 16), out.n);
    const struct thought_form form = {THOUGHT_BRACKET, false, SAID_PLAIN};
    assert_int_equal(answer_parts_thought_tokens(form, bytes_of_buf(&out), bytes_of_buf(&ends)), 4);
    /* so far: what is held back comes later, and the mark with it */
    buf_reset(&out);
    answer_marks_join(bytes_of_text("Hm"), bytes_of(reaches, sizeof reaches), bytes_of_buf(&marks), &out, NULL);
    assert_string_equal(buf_text(&out), "[THINK]Hm");
    /* damaged ones do no harm */
    marks.n -= 3;
    buf_reset(&out);
    answer_marks_join(bytes_of_text("Hm.Yes"), bytes_of(reaches, sizeof reaches), bytes_of_buf(&marks), &out, NULL);
    assert_string_equal(buf_text(&out), "[THINK]Hm.Yes");
    buf_clear(&marks);
    buf_clear(&out);
    buf_clear(&ends);
}

static uint32_t tokens(struct thought_form form, const char *answer, const uint32_t *ends, size_t n)
{
    struct buf b = {0};
    for (size_t i = 0; i < n; i++) {
        uint8_t raw[4];
        store_le32(raw, ends[i]);
        buf_add(&b, raw, sizeof raw);
    }
    uint32_t count = answer_parts_thought_tokens(form, bytes_of_text(answer), bytes_of_buf(&b));
    buf_clear(&b);
    return count;
}

static void thoughts_are_counted_in_tokens(void **state)
{
    (void)state;
    static const struct thought_form think = {THOUGHT_THINK, false, SAID_PLAIN},
                                     within = {THOUGHT_THINK, true, SAID_PLAIN},
                                     none = {THOUGHT_NONE, false, SAID_PLAIN};
    assert_int_equal(tokens(think, "<think>a b</think>\nc", (uint32_t[]){7, 8, 10, 18, 19, 20}, 6), 4);
    assert_int_equal(tokens(within, "a b</think>c", (uint32_t[]){1, 3, 11, 12}, 4), 3);
    assert_int_equal(tokens(within, "a b", (uint32_t[]){1, 3}, 2), 2); /* cut */
    assert_int_equal(tokens(within,
                            "a</th"
                            "ink>b",
                            (uint32_t[]){1, 3, 10}, 3),
                     3); /* one reaches beyond */
    assert_int_equal(tokens(think, "a b", (uint32_t[]){1, 3}, 2), 0);
    assert_int_equal(tokens(none, "<think>a</think>", (uint32_t[]){7, 8, 16}, 3), 0);
    /* in channels: head and text of what was thought */
    static const char channels[] = "<|channel|>analysis<|message|>Hm<|start|>assistant<|channel|>final<|message|>So";
    assert_int_equal(tokens(none, channels, (uint32_t[]){11, 19, 30, 32, 41, 50, 61, 66, 77, 79}, 10), 4);
}

static void prompts_may_open_a_thought(void **state)
{
    (void)state;
    assert_true(thought_is_left_open(THOUGHT_THINK, bytes_of_text("<|assistant|><think>\n")));
    assert_true(thought_is_left_open(THOUGHT_BRACKET, bytes_of_text("[/INST][THINK]")));
    assert_false(thought_is_left_open(THOUGHT_THINK, bytes_of_text("<think>\n\n</think>\n\n")));
    assert_false(thought_is_left_open(THOUGHT_THINK, bytes_of_text("")));
    assert_false(thought_is_left_open(THOUGHT_NONE, bytes_of_text("<think>")));
}

enum { NORMAL = 1, CONTROL = 3, USER = 4 };

/* Of three tokens, two of which are of that type. */
static struct tok *make_tok(const char *first, const char *second, int32_t type)
{
    const char *const texts[] = {"x", first, second};
    const int32_t types[] = {NORMAL, type, type};
    struct gguf_file f = {0};
    struct note note = {{0}};
    gguf_file_text(&f, KEY("model"), "gpt2");
    gguf_file_text(&f, KEY("pre"), "gpt-2");
    gguf_file_texts(&f, KEY("tokens"), texts, 3);
    gguf_file_ints(&f, KEY("token_type"), types, 3);
    gguf_file_texts(&f, KEY("merges"), texts, 0);
    struct tok *t = tok_file_open(&f, &note);
    if (!t)
        fail_msg("%s", note.text);
    return t;
}

static void expect_form(const struct tok *t, const char *template, const char *prompt, enum thought_kind kind,
                        bool is_within, uint32_t calls)
{
    const struct answer_form f = answer_form_of(t, bytes_of_text(template), bytes_of_text(prompt));
    if (f.thought.kind != kind || f.thought.is_within != is_within || f.calls != (ANSWER_FORM_PLAIN | calls))
        fail_msg("'%s', '%s': kind %u, within %d, calls %x", template, prompt, f.thought.kind, f.thought.is_within,
                 f.calls);
}

static void expect_said(const struct tok *t, const char *template, enum said_kind said)
{
    assert_int_equal(answer_form_of(t, bytes_of_text(template), bytes_of_text("hi")).thought.said, said);
}

/* By what template and vocabulary have, and by how the prompt ends; names say nothing. */
static void forms_show_themselves(void **state)
{
    (void)state;
    struct tok *plain_tok = make_tok("a", "b", NORMAL), *think = make_tok("<think>", "</think>", USER),
               *bracket = make_tok("[THINK]", "[/THINK]", CONTROL),
               *calls = make_tok("<|tool_call_start|>", "b", CONTROL);
    expect_form(plain_tok, "", "user: hi", THOUGHT_NONE, false, 0);
    expect_form(plain_tok, "{{ content.split('</think>') }}", "hi", THOUGHT_THINK, false, 0);
    expect_form(plain_tok, "{{ content.split('</think>') }}<think>\n", "hi<think>\n", THOUGHT_THINK, true, 0);
    expect_form(plain_tok, "</think>", "<think>\n\n</think>\n\n", THOUGHT_THINK, false, 0);
    expect_form(think, "", "hi", THOUGHT_THINK, false, 0);
    expect_form(think, "[/THINK]", "hi", THOUGHT_BRACKET, false, 0);
    expect_form(bracket, "", "hi", THOUGHT_BRACKET, false, 0);
    expect_form(bracket, "", "hi[THINK]", THOUGHT_BRACKET, true, 0);
    expect_form(calls, "", "hi", THOUGHT_NONE, false, 1u << CALL_PYTHON);
    expect_form(plain_tok, "<tool_call>\n<function=x>", "hi", THOUGHT_NONE, false, 1u << CALL_FUNCTION);
    expect_form(plain_tok,
                "set dsml = '\xef\xbd\x9c"
                "DSML\xef\xbd\x9c'",
                "hi", THOUGHT_NONE, false, 1u << CALL_DSML | 1u << CALL_DSML_TOOL);
    expect_form(plain_tok, "'>>>all\\n' + content", "hi>>>", THOUGHT_NONE, false, 1u << CALL_ALL);
    expect_said(plain_tok, "'>>>all\\n' + content", SAID_ALL);
    expect_said(plain_tok, "split('<answer>')[-1].split('</answer>')", SAID_ANSWER);
    expect_said(plain_tok, "write it between <response></response>", SAID_RESPONSE);
    expect_said(plain_tok, "'<response>' + result + '</response>'", SAID_PLAIN);
    assert_true(bytes_equal(tok_mark(bracket, 1), bytes_of_text("[THINK]")));
    assert_int_equal(tok_mark(think, 1).n, 0); /* it is text */
    assert_int_equal(tok_mark(bracket, 0).n, 0);
    assert_int_equal(tok_mark(bracket, -1).n, 0);
    tok_free(plain_tok);
    tok_free(think);
    tok_free(bracket);
    tok_free(calls);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thoughts_are_told_apart),
        cmocka_unit_test(streams_only_grow),
        cmocka_unit_test(marks_come_back),
        cmocka_unit_test(thoughts_are_counted_in_tokens),
        cmocka_unit_test(prompts_may_open_a_thought),
        cmocka_unit_test(forms_show_themselves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
