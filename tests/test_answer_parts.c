/* Answers in channels through OpenAI's API: what is said, what was thought and what is called stand each in its place.
 */
#include "node/api/api_openai_answer.h"
#include "tests/support.h"

#include <string.h>

static const char tools[] = "[{\"type\":\"function\",\"function\":{\"name\":\"get_weather\"}},"
                            "{\"type\":\"function\",\"function\":{\"name\":\"get\"}}]";

static json_t *parse(const char *text)
{
    struct note note = {{0}};
    json_t *value = json_parse(bytes_of_text(text), &note);
    if (!value)
        fail_msg("%s: %s", note.text, text);
    return value;
}

#define A                    "<|start|>assistant"
#define THOUGHT(text)        "<|channel|>analysis<|message|>" text
#define FINAL(text)          A "<|channel|>final<|message|>" text
#define CALL(name, argument) A "<|channel|>commentary to=functions." name " <|constrain|>json<|message|>" argument

static const struct {
    const char *answer, *said, *thought, *calls; /* calls NULL: none */
} answers[] = {
    {THOUGHT("Simple.") FINAL("Four."), "Four.", "Simple.", NULL},
    {THOUGHT("Look") CALL("get_weather", "{\"city\": \"K\"}"), "", "Look",
     "[{\"name\":\"get_weather\",\"arguments\":\"{\\\"city\\\":\\\"K\\\"}\"}]"},
    {THOUGHT("Both") CALL("get", "{}") CALL("get_weather", "{\"a\":1}"), "", "Both",
     "[{\"name\":\"get\",\"arguments\":\"{}\"},{\"name\":\"get_weather\",\"arguments\":\"{\\\"a\\\":1}\"}]"},
    /* what is no call is said */
    {THOUGHT("x") CALL("other", "{\"a\":1}"), "{\"a\":1}", "x", NULL},
    {THOUGHT("x") CALL("get", "[1]"), "[1]", "x", NULL},
    {THOUGHT("x") CALL("get", "{\"a\":") FINAL("so"), "so\n\n{\"a\":", "x", NULL},
};

/* What was thought in front of the first that is said: the rest came later, and is told later. */
static void thoughts_come_before_or_after(void **state)
{
    (void)state;
    static const struct {
        const char *answer, *first, *rest;
    } cases[] = {
        {THOUGHT("a") FINAL("so"), "a", ""},
        {THOUGHT("a") A THOUGHT("b") FINAL("so"), "a\n\nb", ""},
        {THOUGHT("a") FINAL("so") A THOUGHT("b"), "a", "\n\nb"},
        {"<|channel|>final<|message|>so" A THOUGHT("b"), "", "b"},
        {THOUGHT("a") FINAL(""), "a", ""},
        {THOUGHT("a") CALL("get", "{}") A THOUGHT("b"), "a\n\nb", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct answer_parts p = {0};
        struct buf both = {0};
        answer_parts_read(&p, (struct thought_form){.kind = THOUGHT_NONE}, NULL, bytes_of_text(cases[i].answer), true);
        assert_int_equal(p.thought_first, strlen(cases[i].first));
        buf_add_format(&both, "%s%s", cases[i].first, cases[i].rest);
        assert_string_equal(buf_text(&p.thought), buf_text(&both));
        buf_clear(&both);
        answer_parts_clear(&p);
    }
}

/* The prompt called the function, and the answer is its arguments. */
static void arguments_alone_are_a_call(void **state)
{
    (void)state;
    json_t *list = parse(tools);
    struct answer_parts p = {0};
    answer_parts_call(&p, list, "get", bytes_of_text("{\"a\":"), false);
    assert_true(p.are && !p.calls && p.said.n == 0);
    answer_parts_call(&p, list, "get", bytes_of_text("{\"a\": 1}"), true);
    json_t *wanted = parse("[{\"name\":\"get\",\"arguments\":\"{\\\"a\\\":1}\"}]");
    assert_true(json_equal(p.calls, wanted) && p.said.n == 0);
    answer_parts_call(&p, list, "get", bytes_of_text("{\"a\":"), true);
    assert_true(p.are && !p.calls);
    assert_string_equal(buf_text(&p.said), "{\"a\":");
    answer_parts_clear(&p);
    json_decref(wanted);
    json_decref(list);
}

static void calls_are_of_the_tools(void **state)
{
    (void)state;
    json_t *list = parse(tools);
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        struct answer_parts p = {0};
        answer_parts_read(&p, (struct thought_form){.kind = THOUGHT_NONE}, list, bytes_of_text(answers[i].answer),
                          true);
        assert_true(p.are);
        assert_string_equal(buf_text(&p.said), answers[i].said);
        assert_string_equal(buf_text(&p.thought), answers[i].thought);
        json_t *calls = answers[i].calls ? parse(answers[i].calls) : NULL;
        assert_true(calls ? json_equal(p.calls, calls) : p.calls == NULL);
        json_decref(calls);
        answer_parts_read(&p, (struct thought_form){.kind = THOUGHT_NONE}, NULL, bytes_of_text(answers[i].answer),
                          true); /* without tools nothing is called */
        assert_null(p.calls);
        answer_parts_read(&p, (struct thought_form){.kind = THOUGHT_NONE}, list, bytes_of_text("plain"), true);
        assert_true(!p.are && p.said.n == 0 && p.thought.n == 0);
        answer_parts_clear(&p);
    }
    json_decref(list);
}

/* The message of a chat's whole answer. */
static json_t *message_of(const char *text, json_t *list)
{
    struct answer a = {.form = &openai_form_chat, .model = "m", .tools = list, .n = 1};
    struct choice c = {.answer = &a};
    struct job_view v = {.state = JOB_DONE, .text = text, .text_n = strlen(text), .stop = "eos"};
    a.choice = &c;
    answer_parts_read(&c.parts, (struct thought_form){.kind = THOUGHT_NONE}, list, bytes_of_text(text), true);
    if (c.parts.are) {
        v.text = buf_text(&c.parts.said);
        v.text_n = c.parts.said.n;
    }
    openai_form_chat.put_choice(&c, &v);
    json_t *choice = parse(buf_text(&c.json)), *message = json_incref(json_object_get(choice, "message"));
    json_object_set(message, "finish_reason", json_object_get(choice, "finish_reason"));
    json_decref(choice);
    json_decref(c.calls);
    answer_parts_clear(&c.parts);
    buf_clear(&c.json);
    buf_clear(&a.kith);
    return message;
}

static void messages_have_what_was_thought(void **state)
{
    (void)state;
    json_t *list = parse(tools), *m = message_of(answers[0].answer, NULL);
    assert_string_equal(json_text(m, "content"), "Four.");
    assert_string_equal(json_text(m, "reasoning_content"), "Simple.");
    assert_null(json_object_get(m, "tool_calls"));
    assert_string_equal(json_text(m, "finish_reason"), "stop");
    json_decref(m);
    m = message_of(answers[1].answer, list);
    assert_true(json_is_null(json_object_get(m, "content")));
    assert_string_equal(json_text(m, "reasoning_content"), "Look");
    assert_int_equal(json_array_size(json_object_get(m, "tool_calls")), 1);
    assert_string_equal(json_text(m, "finish_reason"), "tool_calls");
    json_decref(m);
    m = message_of("plain", list);
    assert_string_equal(json_text(m, "content"), "plain");
    assert_null(json_object_get(m, "reasoning_content"));
    json_decref(m);
    json_decref(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thoughts_come_before_or_after),
        cmocka_unit_test(arguments_alone_are_a_call),
        cmocka_unit_test(calls_are_of_the_tools),
        cmocka_unit_test(messages_have_what_was_thought),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
